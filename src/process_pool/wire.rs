//! What is said to a worker, and what it answers, in the terms of the pool.
//!
//! Whatever is wrong with what a worker wrote ends in one flag: `is_damaged`. Its owner sees to
//! it that such a worker is killed.

use crate::platform::Errno;
use crate::platform::fd::Fd;
use crate::transport::frame::{self, ABOVE_RSS, RESULT_HEAD, ResultHead, TaskHead};
use crate::transport::link::{HostSide, Link};
use crate::transport::slot::{HANDED, STARTED, Slot};
use std::ffi::CStr;

/// The most bytes of an answer behind its head.
pub(super) const ANSWER_LIMIT: usize = frame::INLINE_LIMIT + frame::MESSAGE_LIMIT;

/// The longest text of a worker that could not start, and of a line for the log.
const TEXT_LIMIT: usize = 1024;

/// An answer; its bytes are a copy, which the worker cannot change any more.
pub(super) enum Answer<'a> {
    Ready,
    StartFailed { code: i32, text: &'a [u8] },
    Note(&'a [u8]),
    Result { head: ResultHead, above_rss: bool, data: &'a [u8], message: &'a [u8] },
}

pub(super) struct Wire {
    side: HostSide,
    damaged: bool,
}

impl Wire {
    pub(super) fn create(name: &CStr) -> Result<Wire, Errno> {
        Ok(Wire { side: Link::create(name)?, damaged: false })
    }

    /// The descriptor that goes to the worker.
    pub(super) fn fd(&self) -> &Fd {
        self.side.link.fd()
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// `number` is one that this pool gave out.
    pub(super) fn slot(&self, number: u16) -> &Slot {
        match self.side.link.slot(u32::from(number)) {
            Some(slot) => slot,
            None => crate::unwind::die("a slot of a worker that it does not have"),
        }
    }

    pub(super) fn is_handed(&self, number: u16) -> bool {
        self.slot(number).state() == HANDED
    }

    pub(super) fn is_started(&self, number: u16) -> bool {
        self.slot(number).state() == STARTED
    }

    /// When the task in a slot began, by the worker's word.
    pub(super) fn started_ns(&self, number: u16) -> Option<u64> {
        self.slot(number).started_ns()
    }

    // ---- to the worker ----

    /// Hands a task over; false: there is no room for it now.
    pub(super) fn push_task(&mut self, number: u16, head: &TaskHead, data: &[u8]) -> bool {
        self.slot(number).hand();
        let sent = self.push(frame::TASK, &[&head.encode(), data]);
        if !sent {
            self.slot(number).clear();
        }
        sent
    }

    pub(super) fn push_define(&mut self, function: u32, encoded: &[u8]) -> bool {
        self.push(frame::DEFINE, &[&function.to_ne_bytes(), encoded])
    }

    pub(super) fn push_exit(&mut self) -> bool {
        self.push(frame::EXIT, &[])
    }

    fn push(&mut self, kind: u16, parts: &[&[u8]]) -> bool {
        self.side.tasks.push(kind, 0, parts).unwrap_or_else(|_| {
            self.damaged = true;
            false
        })
    }

    /// Wakes the worker if it sleeps.
    pub(super) fn ring_worker(&self) {
        self.side.link.bells().ring_worker();
    }

    pub(super) fn set_stop_level(&self, level: u32) {
        self.side.link.set_stop_level(level);
    }

    // ---- from the worker ----

    pub(super) fn has_answer(&mut self) -> bool {
        match self.side.results.has_record() {
            Ok(has) => has,
            Err(_) => {
                self.damaged = true;
                true // there is something to see to
            }
        }
    }

    /// The next answer, which is gone then; its bytes are copied into `place`.
    pub(super) fn take_answer<'a>(&mut self, place: &'a mut [u8]) -> Option<Answer<'a>> {
        let answer = match self.side.results.peek() {
            Ok(None) => return None,
            Ok(Some(record)) => {
                let mut head = [0u8; RESULT_HEAD];
                let length = record.length as usize;
                match record.kind {
                    frame::RESULT => record
                        .read(0, &mut head)
                        .then(|| ResultHead::decode(&head, length))
                        .flatten()
                        .and_then(|head| {
                            let place = place.get_mut(..length - RESULT_HEAD)?;
                            record.read(RESULT_HEAD, place).then_some(())?;
                            let (data, message) = place.split_at_checked(head.inline())?;
                            let above_rss = record.flags & ABOVE_RSS != 0;
                            Some(Answer::Result { head, above_rss, data, message })
                        }),
                    frame::READY => Some(Answer::Ready),
                    frame::START_FAILED => {
                        let mut code = [0u8; 4];
                        let text = length.saturating_sub(4).min(TEXT_LIMIT);
                        let place = &mut place[..text];
                        (record.read(0, &mut code) && record.read(4, place)).then(|| {
                            Answer::StartFailed { code: i32::from_ne_bytes(code), text: place }
                        })
                    }
                    frame::NOTE => {
                        let place = &mut place[..length.min(TEXT_LIMIT)];
                        record.read(0, place).then_some(Answer::Note(place))
                    }
                    _ => None,
                }
            }
            Err(_) => None,
        };
        match answer {
            Some(answer) => {
                self.side.results.advance();
                Some(answer)
            }
            None => {
                self.damaged = true;
                None
            }
        }
    }

    /// After answers were taken: a worker that waited for room goes on.
    pub(super) fn made_room(&self) {
        self.side.link.bells().room_made();
    }

    /// Before the host sleeps; false: there is an answer.
    pub(super) fn announce_wait(&mut self) -> bool {
        let Wire { side: HostSide { link, results, .. }, damaged } = self;
        match link.bells().announce_wait(results) {
            Ok(has) => !has,
            Err(_) => {
                *damaged = true;
                false
            }
        }
    }

    pub(super) fn end_wait(&self) {
        self.side.link.bells().end_wait();
    }
}
