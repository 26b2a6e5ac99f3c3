//! See `cfutures::fuzzing::transport::hostile_worker`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::transport::hostile_worker(bytes));
