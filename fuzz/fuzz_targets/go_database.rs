#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(mcpproxy::takeover::records::read(bytes)));
