#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcpproxy::fuzzing::usage_report(bytes));
