//! One binary for all tests that need the built library.
#![allow(clippy::disallowed_methods)] // tests may nap and spawn

mod abi;
mod abi_guard;
mod cpp;
mod declarations;
mod elf;
mod examples;
mod faults;
mod ffi;
mod header;
mod headers;
mod install;
mod json;
mod links;
mod lints;
mod man;
mod manual;
mod map_suites;
mod packages;
mod process_faults;
mod process_suites;
mod rooms;
mod snapshots;
mod snippets;
mod sources;
mod suites;
mod support;
mod testing_doc;
mod timelines;
mod versions;
mod view_suites;
mod worker_program;
