//! `libcfutures`: Python's `concurrent.futures` for C, C++ and every language that can load
//! a C library.
//!
//! The product is the C interface: `include/cfutures.h` is its manual, `docs/architecture.md`
//! the map of this crate. The Rust items that are public are the C functions themselves.

#![deny(unsafe_op_in_unsafe_fn)]
// The model checker sees part of the crate: without the exports much of it has no users.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[cfg(not(loom))]
mod checks;
#[cfg(not(loom))]
mod command;
mod error;
#[cfg(not(loom))]
mod executor;
#[cfg(not(loom))]
pub mod ffi;
mod future;
#[cfg(all(any(test, fuzzing), not(loom)))]
#[doc(hidden)]
pub mod fuzzing;
mod limited;
mod local;
mod log;
mod loops;
#[cfg(not(loom))]
mod map;
// What of it has a model.
#[cfg(loom)]
#[path = "map/hold.rs"]
mod map_hold;
mod platform;
#[cfg(not(loom))]
mod process_pool;
mod quiet;
mod shared;
mod sync;
mod thread_pool;
mod trace;
mod transport;
mod unwind;
#[cfg(not(loom))]
mod worker;

#[cfg(feature = "fault-injection")]
pub use platform::fault;
