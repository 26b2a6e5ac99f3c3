//! See `cfutures::fuzzing::transport::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::transport::frame(bytes));
