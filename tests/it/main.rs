//! One binary for all tests that need the built library.
#![allow(clippy::disallowed_methods)] // tests may nap and spawn

mod abi;
mod cpp;
mod elf;
mod examples;
mod faults;
mod header;
mod headers;
mod json;
mod lints;
mod manual;
mod map_suites;
mod process_faults;
mod process_suites;
mod rooms;
mod snapshots;
mod sources;
mod suites;
mod support;
mod testing_doc;
mod timelines;
mod view_suites;
mod worker_program;
