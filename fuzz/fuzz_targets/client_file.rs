#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcpproxy::core::properties::client_file(bytes));
