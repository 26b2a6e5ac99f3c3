//! See `cfutures::fuzzing::transport::ring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::transport::ring(bytes));
