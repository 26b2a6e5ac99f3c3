//! See `cfutures::fuzzing::mounts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cfutures::fuzzing::mounts(bytes));
