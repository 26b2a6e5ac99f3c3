//! See `cfutures::fuzzing::transport::function`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::transport::function(bytes));
