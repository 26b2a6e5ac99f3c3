//! One binary for all tests that need the built library.
mod header;
