//! See `cfutures::fuzzing::paths`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::paths(bytes));
