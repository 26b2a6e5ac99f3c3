//! See `cfutures::fuzzing::error_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::error_text(bytes));
