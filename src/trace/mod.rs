//! What the library counts about itself.
//!
//! # Contract
//! Counters are never read by the code that decides anything; they may lag and never lose
//! a count. Whoever has a counter to itself adds without a read-modify-write. No user
//! code, no allocation, no failure, nothing to shut down.

pub(crate) mod figures;
pub(crate) mod stats;
