//! What a host and its worker processes share: memory, messages, and the rules for both.

// Used by `worker` and `process_pool`, which come next.
#![allow(dead_code)]

#[cfg(not(loom))]
pub(crate) mod areas;
pub(crate) mod bytes;
#[cfg(not(loom))]
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod frame;
pub(crate) mod function;
#[cfg(not(loom))]
pub(crate) mod link;
pub(crate) mod ring;
pub(crate) mod sleep;
pub(crate) mod slot;
