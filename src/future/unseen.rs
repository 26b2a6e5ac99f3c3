//! A failure that nobody has seen goes to the log.
//!
//! An end other than success or a cancel is *seen* by whoever waits for it or asks for anything about
//! it, by a callback, a continuation or a join, and by whoever takes it out of a queue. One bit of
//! the word says so once the future has settled (SEEN). A future whose last reference goes without
//! is told of, wherever it has been: fire and forget, released before its end, or never looked at.
//!
//! Successes never come here: on their way the outcome is one of the bits that are looked at
//! anyway (`Snapshot::is_small`).

use super::cell::{Kind, TaskCell};
use super::state::{Outcome, SEEN, Snapshot};
use crate::error::Lossy;
use crate::log::{self, Level};
use std::fmt;

/// Whether this is an end that somebody should hear of.
fn fails(seen: Snapshot) -> bool {
    seen.is_settled() && !matches!(seen.outcome(), Outcome::Succeeded | Outcome::Cancelled)
}

impl TaskCell {
    /// Somebody knows how the future has ended, if it has.
    #[inline(always)]
    pub(crate) fn note_seen(&self) {
        self.note_seen_in(self.snapshot());
    }

    /// The same, where the word is at hand.
    #[inline(always)]
    pub(crate) fn note_seen_in(&self, seen: Snapshot) {
        if seen.may_fail() {
            self.note_failure_seen();
        }
    }

    #[cold]
    #[inline(never)]
    fn note_failure_seen(&self) {
        let seen = self.snapshot();
        if fails(seen) && !seen.has(SEEN) {
            self.state.note_seen();
        }
    }

    /// No reference is left, and nobody knows how the future has ended; `seen` is the word.
    pub(super) fn is_unseen(&self, seen: Snapshot) -> bool {
        // A promise made by hand that was given up with its future: nothing was tried.
        let given_up = || self.kind() == Kind::Promise && seen.outcome() == Outcome::Broken;
        fails(seen) && !seen.has(SEEN) && !given_up()
    }
}

/// Tells the log. Not contained: calls the user.
#[cold]
pub(super) fn report(cell: &TaskCell) {
    if cell.is_inherited() {
        return; // the parent's, which tells of it itself
    }
    let message = cell.message().as_bytes();
    log::write(
        Level::Error,
        format_args!(
            "{} {}{}{}, and nobody has seen it",
            Named(cell),
            Ending(cell),
            if message.is_empty() { "" } else { ": " },
            Lossy(message)
        ),
    );
}

/// What it is, and its name if it has one.
struct Named<'a>(&'a TaskCell);

impl fmt::Display for Named<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = self.0;
        out.write_str(match cell.kind() {
            Kind::Promise => "a promise",
            Kind::Join => "a join",
            _ => "task",
        })?;
        // What passes the end of another one on may have no name.
        let source = cell.source(cell.snapshot());
        let names = [cell, source].into_iter().filter_map(|cell| cell.spec());
        let mut names = names.flat_map(|spec| [&spec.name, &spec.function]);
        match names.find(|name| !name.is_empty()) {
            Some(name) => write!(out, " {}", Lossy(name.as_bytes())),
            None => Ok(()),
        }
    }
}

struct Ending<'a>(&'a TaskCell);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.snapshot().outcome(), self.0.code()) {
            (Outcome::Failed, code) => write!(out, "failed with code {code}"),
            (Outcome::Crashed, _) => out.write_str("crashed"),
            (Outcome::Expired, _) => out.write_str("expired"),
            (Outcome::Broken, 0) => out.write_str("is broken"),
            (Outcome::Broken, code) => write!(out, "is broken with code {code}"),
            (Outcome::Succeeded | Outcome::Cancelled, _) => Ok(()),
        }
    }
}
