//! See `cfutures::fuzzing::quota`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::quota(bytes));
