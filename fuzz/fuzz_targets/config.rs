//! See `cfutures::fuzzing::transport::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::transport::config(bytes));
