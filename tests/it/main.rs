//! One binary for all tests that need the built library.
#![allow(clippy::disallowed_methods)] // tests may nap and spawn

mod examples;
mod header;
mod suites;
mod support;
mod testing_doc;
