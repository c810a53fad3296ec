#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcpproxy::core::properties::server_output(bytes));
