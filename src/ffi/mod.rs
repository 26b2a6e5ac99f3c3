//! The C border: every exported function, one file a section of the header.
//!
//! # Contract
//! What the caller promises (the header says it to C programmers):
//! - a handle is NULL or one that the library gave out and that has not been released since;
//! - other pointers are NULL where that is allowed, or valid for what is said of them;
//! - functions given may be called as often and from the threads that are said.
//!
//! What we promise:
//! - every export goes through `guard` (straight ways, rule U1, before they do anything that
//!   could fail): NULL is caught, a panic of ours becomes CFUT_EPANIC or a neutral value,
//!   errors leave their text for `cfut_last_error`;
//! - only `handle` turns pointers of the caller into references and back;
//! - user code is called outside of the guard (rule U2 of `unwind`), so exports are
//!   `extern "C-unwind"` and a thread may be ended from inside a callback;
//! - outputs are written only on CFUT_OK, unless the function says otherwise.
//!
//! The doc comments are the manual: cbindgen copies them into `include/cfutures.h`.
//! Constants stand in `cbindgen.toml`, where they can have a type and a comment each; the
//! test `abi` compares them with `status` and `keys`.

#![allow(non_camel_case_types)]
#![allow(clippy::missing_safety_doc)] // the contract above and the header's text

mod blocking;
mod buffer;
mod executor;
mod future;
mod group;
mod guard;
mod handle;
mod keys;
mod library;
mod loops;
mod map;
mod options;
mod processes;
mod promise;
mod queue;
mod status;
mod submit;
mod task;
mod types;
mod worker;

pub use {
    blocking::*, buffer::*, executor::*, future::*, group::*, library::*, loops::*, map::*,
    options::*, promise::*, queue::*, submit::*, task::*, types::*, worker::*,
};
