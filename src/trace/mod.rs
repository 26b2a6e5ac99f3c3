//! What the library counts and tells about itself.
//!
//! | file | question it answers |
//! |---|---|
//! | `stats` | how many tasks have come how far? |
//! | `figures` | what can be asked of an executor? |
//! | `snapshot` | how is all of it written down? |
//! | `running` | which tasks run, by their names? |
//! | `timeline` | what happened when, and where? |
//! | `sheet` | how does that get into its file? |
//! | `symbols` | what is a function called? |
//!
//! # Contract
//! Counters are never read by the code that decides anything; they may lag and never lose
//! a count. Whoever has a counter to itself adds without a read-modify-write. They have no user
//! code, no allocation, no failure, nothing to shut down. A timeline is closed by its executor; an
//! executor without one pays nothing for it on the straight way (`owner::attention`).

pub(crate) mod figures;
pub(crate) mod running;
mod sheet;
pub(crate) mod snapshot;
pub(crate) mod stats;
mod symbols;
pub(crate) mod timeline;
