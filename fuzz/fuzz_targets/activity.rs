//! See `cfutures::fuzzing::activity`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::activity(bytes));
