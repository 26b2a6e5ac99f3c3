//! What a host and its worker processes share: memory, messages, and the rules for both.
//!
//! # Contract
//! This room knows layouts and protocols, and neither pools nor tasks. It starts no process and
//! runs no user code. Nothing here blocks but the waits of `sleep`, which the worker alone calls.
//!
//! | file | what it answers |
//! |---|---|
//! | `link` | where everything lies in the memory of one worker |
//! | `ring` | how records go from one process to the other |
//! | `slot` | who has a task: host or worker |
//! | `sleep` | how one side sleeps and the other wakes it; the proof is in `sleep.md` |
//! | `frame` | what records hold |
//! | `areas` | where data goes that is too big for a record |
//! | `control` | messages on sockets |
//! | `function` | how a function is named to another process |
//! | `config` | what a pool tells its workers once |
//! | `place` | which program workers are |
//! | `program` | what a keeper of commands is told of one |
//! | `bytes` | numbers and texts in all of these |
//!
//! # States of a slot
//! | from | to | by | when |
//! |---|---|---|---|
//! | EMPTY | HANDED | host, `hand` | before it pushes the TASK |
//! | HANDED | STARTED | worker, `start` | it comes to the record and is the first to change the word |
//! | HANDED | REVOKED | host, `revoke` | cancelled, timed out or wanted elsewhere, and first |
//! | STARTED | EMPTY | host, `clear` | it has read the RESULT |
//! | REVOKED | EMPTY | host, `clear` | it has read the RESULT, which says Skipped |
//! | HANDED | EMPTY | host, `clear` | the TASK found no room in the ring |
//!
//! `start` and `revoke` are compare-exchanges of one word, so one of them wins. A revoked slot
//! is not used again before the worker has answered, so a record never meets the slot of a later
//! task. When a worker has died, HANDED says that the task has not begun.
//!
//! # Rules
//! T1. The bytes of a ring from head to tail belong to its consumer, the others to its
//!     producer. Each side moves its own index only, and only forward.
//! T2. Each side keeps its own index privately and never reads it back, so the other cannot
//!     change it.
//! T3. The host believes nothing that the worker could have written. An index, a length or a
//!     number is copied once, checked, and only the copy is used; data is bytes and nothing
//!     else. What does not check is `Damaged` or None: an ordinary answer, upon which the worker
//!     is killed. No count in shared memory bounds a loop.
//! T4. Words that both sides touch are atomics, so that a writer that breaks the rules makes a
//!     wrong number and no undefined behaviour.
//! T5. Payloads are copied as plain bytes. While both sides keep T1 nobody else touches them. A
//!     worker that breaks it scribbles into a copy under way: the copy holds rubbish, of which
//!     T3 expects no better; no reference to such bytes is ever made on the host's side.
//!
//! # What a worker that has gone astray can do to its host
//! It has the whole link mapped, may send anything through its socket, and may have written to
//! any area it knows.
//!
//! | it | and the host |
//! |---|---|
//! | moves indices, forges heads | answers `Damaged`; nothing is read outside of the ring |
//! | forges a result | takes only what decodes, for a slot it knows to be handed out |
//! | writes into slots | believes who won `start` against `revoke`, and no more: a task may run twice or be reported late, as after a crash |
//! | sets words of `sleep` | makes system calls too many, or lets the worker sleep for ever: then time-outs end its tasks |
//! | truncates memory | is not troubled: it is sealed (S1 of `platform::shm`) |
//! | punches holes, changes data under way | reads zeros, or rubbish |
//! | floods the socket | reads a bounded number of messages at a time; an area that is none, or known, is EPROTO |
//! | sends areas without end | stops at a limit (`areas`), and then fails the tasks that need more |
//! | frees an area that it still reads | writes the next data there: only that worker reads it |
//!
//! # Memory and forks
//! All memory is mapped shared. A child that the host forks inherits the mappings and does not
//! use them; the worker is the one user of its side of the link.

// Used by `worker` and `process_pool`, which come next.

#[cfg(not(loom))]
pub(crate) mod areas;
pub(crate) mod bytes;
#[cfg(not(loom))]
pub(crate) mod config;
pub(crate) mod control;
#[cfg(not(loom))]
pub(crate) mod entry;
pub(crate) mod frame;
pub(crate) mod function;
#[cfg(not(loom))]
pub(crate) mod link;
#[cfg(not(loom))]
pub(crate) mod place;
pub(crate) mod program;
pub(crate) mod ring;
pub(crate) mod sleep;
pub(crate) mod slot;

#[cfg(any(test, fuzzing))]
#[path = "models/cells.rs"]
mod cells;
#[cfg(all(any(test, fuzzing), not(loom)))]
pub mod fuzzing;
#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
