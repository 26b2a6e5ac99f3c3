//! See `cfutures::fuzzing::groups`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::groups(bytes));
