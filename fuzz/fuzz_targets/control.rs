//! See `cfutures::fuzzing::transport::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::transport::control(bytes));
