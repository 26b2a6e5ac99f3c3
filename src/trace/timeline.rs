//! The timeline of an executor, in the Chrome trace format: CFUT_OPT_TRACE_FILE.
//!
//! # Contract
//! An executor opens one when it is made, and closes it when nothing of it runs any more. Whoever
//! runs a task in this process keeps a `Watch` meanwhile; an executor whose tasks run elsewhere
//! gives their `Slice` when it learns of their end. Rows are named as workers begin. Times are
//! nanoseconds of CLOCK_MONOTONIC, on which all processes of the machine agree.
//!
//! `docs/timeline.md` says what is in the file; `sheet` how it gets there.

use super::figures::write_text;
use super::sheet::Sheet;
use super::symbols::Symbols;
use crate::error::Result;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Text;
use crate::future::state::{Outcome, Snapshot};
use crate::platform::clock::Instant;
use crate::platform::{memory, process_id, thread};
use crate::shared::Shared;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::unwind::contain;
use std::ffi::c_void;
use std::fmt::{self, Write};

/// Names and texts are cut at so many bytes.
const LONGEST: usize = 256;
/// An event with texts of which each byte needs six.
const EVENT: usize = LONGEST * 6 * 2 + 512;
/// Between two looks at the counters.
const SAMPLE_NS: u64 = 1_000_000;

/// Where an event is shown: a thread of a process. A worker process has one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) process: i32,
    pub(crate) thread: i32,
}

impl Row {
    pub(crate) fn of_process(process: i32) -> Row {
        Row { process, thread: process }
    }
}

/// One run of a task.
pub(crate) struct Slice {
    pub(crate) row: Row,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) queued_ns: u64,
    pub(crate) attempt: u32,
    /// How the run ended, if the task is not to say that: it will only settle now.
    pub(crate) outcome: Option<Outcome>,
}

pub(crate) struct Timeline {
    sheet: Shared<Sheet>,
    name: Text,
    /// Marks are made with no lock held, and may wait for the disk.
    marks_wait: bool,
    host: i32,
    symbols: Symbols,
    /// When the counters were last noted, and what they were.
    sampled_at: AtomicU64,
    sampled: AtomicU64,
    closed: AtomicBool,
}

impl Timeline {
    /// None without a path. `marks_wait`: the executor holds no lock when it makes marks and names
    /// rows.
    pub(crate) fn open(path: &Text, name: &Text, marks_wait: bool) -> Result<Option<Timeline>> {
        if path.is_empty() {
            return Ok(None);
        }
        let sheet = Sheet::open(path)?;
        let name = Text::copy(cut(name.as_bytes())).unwrap_or(Text::EMPTY);
        let timeline = Timeline {
            sheet,
            name,
            marks_wait,
            host: process_id(),
            symbols: Symbols::new(),
            sampled_at: AtomicU64::new(0),
            sampled: AtomicU64::new(u64::MAX),
            closed: AtomicBool::new(false),
        };
        let mut command = [0; 32];
        let length = memory::read_small_file(c"/proc/self/comm", &mut command).unwrap_or(0);
        let command = command[..length].trim_ascii_end();
        timeline.name("process_name", timeline.host(), |event| write_text(event, command));
        Ok(Some(timeline))
    }

    /// The row of the calling thread.
    pub(crate) fn here(&self) -> Row {
        Row { process: self.host, thread: thread::id() }
    }

    /// The row of what is done by no worker.
    pub(crate) fn host(&self) -> Row {
        Row::of_process(self.host)
    }

    /// Names the row of a worker.
    pub(crate) fn name_worker(&self, row: Row, number: u32) {
        if row.process != self.host {
            self.name("process_name", row, |event| self.write_worker(event, number));
        }
        self.name("thread_name", row, |event| self.write_worker(event, number));
    }

    fn name(&self, what: &str, row: Row, write: impl FnOnce(&mut Event) -> fmt::Result) {
        let mut event = Event::new();
        let written = event.begin(what, "M", row, Instant(0)).and_then(|()| {
            event.write_str(",\"args\":{\"name\":")?;
            write(&mut event)?;
            event.write_str("}}")
        });
        self.put(&event, written, self.marks_wait);
    }

    fn shown_name(&self) -> &[u8] {
        if self.name.is_empty() { b"cfut" } else { self.name.as_bytes() }
    }

    /// NAME-NUMBER, as a JSON string.
    fn write_worker(&self, event: &mut Event, number: u32) -> fmt::Result {
        write_text(event, self.shown_name())?;
        // The number goes in front of the closing quote.
        event.length -= 1;
        write!(event, "-{number}\"")
    }

    /// Something that happened to a worker or the executor.
    pub(crate) fn mark(&self, row: Row, what: &str, text: &[u8]) {
        let mut event = Event::new();
        let written = event.begin(what, "i", row, Instant::now()).and_then(|()| {
            event.write_str(",\"s\":\"t\"")?;
            if !text.is_empty() {
                event.write_str(",\"args\":{\"text\":")?;
                write_text(&mut event, cut(text))?;
                event.write_str("}")?;
            }
            event.write_str("}")
        });
        self.put(&event, written, self.marks_wait);
    }

    /// Writes the run of a task. Not under a lock that tasks need: the disk may have to take others
    /// first.
    pub(crate) fn slice(&self, slice: &Slice, name: &Name<'_>) {
        let mut event = Event::new();
        if self.write_slice(&mut event, slice, name).is_ok() && !self.is_closed() {
            self.sheet.put_for_certain(event.as_bytes());
        }
    }

    fn write_slice(&self, event: &mut Event, slice: &Slice, name: &Name<'_>) -> fmt::Result {
        let mut place = [0; LONGEST];
        event.write_str("{\"name\":")?;
        write_text(event, cut(name.shown(&self.symbols, &mut place)))?;
        event.write_str(",\"cat\":\"task\",\"ph\":\"X\",\"ts\":")?;
        write_micros(event, slice.begin)?;
        event.write_str(",\"dur\":")?;
        write_micros(event, slice.end.saturating_sub(slice.begin))?;
        write!(event, ",\"pid\":{},\"tid\":{}", slice.row.process, slice.row.thread)?;
        event.write_str(",\"args\":{\"queued_us\":")?;
        write_micros(event, slice.queued_ns)?;
        let outcome = shown_outcome(name.task.snapshot(), slice.outcome);
        write!(event, ",\"outcome\":\"{outcome}\",\"attempt\":{}", slice.attempt)?;
        match name.task.code() {
            0 => event.write_str("}}"),
            code => write!(event, ",\"code\":{code}}}}}"),
        }
    }

    /// Notes the counters, if that has not been done for a moment.
    pub(crate) fn sample(&self, figures: impl FnOnce() -> (u64, u64)) {
        let now = Instant::now();
        // Relaxed, both: of two that come at once both may note the same.
        if now.0.saturating_sub(self.sampled_at.load(Ordering::Relaxed)) >= SAMPLE_NS {
            self.sampled_at.store(now.0, Ordering::Relaxed);
            self.sample_now(figures());
        }
    }

    /// Notes the counters, if they have changed. Not under a lock.
    pub(crate) fn sample_now(&self, (queued, running): (u64, u64)) {
        let both = queued << 32 | running & u64::from(u32::MAX);
        // Relaxed: as in `sample`.
        if self.sampled.swap(both, Ordering::Relaxed) == both {
            return;
        }
        let mut event = Event::new();
        let written = (|| {
            event.write_str("{\"name\":")?;
            write_text(&mut event, self.shown_name())?;
            event.length -= 1;
            event.write_str(" tasks\",\"cat\":\"executor\",\"ph\":\"C\",\"ts\":")?;
            write_micros(&mut event, Instant::now().0)?;
            write!(
                event,
                ",\"pid\":{},\"tid\":{},\"args\":{{\"queued\":{queued},\"running\":{running}}}}}",
                self.host, self.host
            )
        })();
        self.put(&event, written, true);
    }

    /// Has what was noted under a lock written, if it has become much. Not under a lock.
    pub(crate) fn tend(&self) {
        self.sheet.tend();
    }

    fn put(&self, event: &Event, written: fmt::Result, waits: bool) {
        if written.is_err() || self.is_closed() {
            return;
        }
        if waits {
            self.sheet.put_for_certain(event.as_bytes());
        } else {
            self.sheet.put(event.as_bytes());
        }
    }

    fn is_closed(&self) -> bool {
        // Relaxed: nothing of the executor runs when it is set.
        self.closed.load(Ordering::Relaxed)
    }

    /// Nothing more will happen: the file is complete, unless other executors write to it.
    pub(crate) fn close(&self) {
        // Relaxed: decides who closes; the locks of the sheet order the rest.
        if !self.closed.swap(true, Ordering::Relaxed) {
            Sheet::close(&self.sheet);
        }
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a task is called, and the task.
pub(crate) struct Name<'a> {
    pub(crate) task: &'a TaskCell,
    /// Its function; the cell has lost it when it has run.
    pub(crate) function: *const c_void,
}

impl Name<'_> {
    /// Its own name, else that of its function.
    fn shown<'b>(&'b self, symbols: &Symbols, place: &'b mut [u8]) -> &'b [u8] {
        if let Some(spec) = self.task.spec() {
            for name in [&spec.name, &spec.function] {
                if !name.is_empty() {
                    return name.as_bytes();
                }
            }
        }
        match symbols.name_of(self.function, place) {
            Some(length) => &place[..length],
            None => b"task",
        }
    }
}

/// A task that runs in this thread; written when this goes, also if its thread ends.
pub(crate) struct Watch<'a> {
    timeline: &'a Timeline,
    /// Keeps the task, which may be gone otherwise when its end is written.
    task: Option<TaskRef>,
    function: *const c_void,
    queued_ns: u64,
    begin: Instant,
}

impl<'a> Watch<'a> {
    /// # Safety
    /// The caller has started the task and not yet called it (F2).
    pub(crate) unsafe fn begin(
        timeline: &'a Timeline,
        task: &TaskRef,
        queued_ns: u64,
    ) -> Watch<'a> {
        // SAFETY: by the contract.
        let function = unsafe { task.function() };
        let task = Some(task.clone());
        Watch { timeline, task, function, queued_ns, begin: Instant::now() }
    }

    /// The task forked, and this is the child, where it does not end.
    pub(crate) fn forget(&mut self) {
        std::mem::forget(self.task.take());
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        let _ = contain(|| {
            let slice = Slice {
                row: self.timeline.here(),
                begin: self.begin.0,
                end: Instant::now().0,
                queued_ns: self.queued_ns,
                attempt: 1,
                outcome: None,
            };
            self.timeline.slice(&slice, &Name { task: &task, function: self.function });
            drop(task);
        });
    }
}

/// As the task says, if it has settled: it may have expired while it ran.
fn shown_outcome(seen: Snapshot, run: Option<Outcome>) -> &'static str {
    let settled = seen.is_settled().then(|| seen.outcome());
    let Some(outcome) = settled.or(run) else { return "detached" };
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Crashed => "crashed",
        Outcome::Expired => "expired",
        Outcome::Broken => "broken",
    }
}

/// The unit of the format, in which viewers take fractions.
fn write_micros(out: &mut dyn Write, nanoseconds: u64) -> fmt::Result {
    write!(out, "{}.{:03}", nanoseconds / 1000, nanoseconds % 1000)
}

/// A text as far as it is shown, whole characters of it.
fn cut(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(LONGEST);
    while end < text.len() && end > 0 && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

/// One event, which is whole or not written.
struct Event {
    bytes: [u8; EVENT],
    length: usize,
}

impl Event {
    fn new() -> Event {
        Event { bytes: [0; EVENT], length: 0 }
    }

    /// Up to where the arguments begin.
    fn begin(&mut self, name: &str, phase: &str, row: Row, at: Instant) -> fmt::Result {
        write!(self, "{{\"name\":\"{name}\",\"cat\":\"executor\",\"ph\":\"{phase}\",\"ts\":")?;
        write_micros(self, at.0)?;
        write!(self, ",\"pid\":{},\"tid\":{}", row.process, row.thread)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Event {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let long = "é".repeat(LONGEST);
        assert_eq!(cut(long.as_bytes()).len(), LONGEST);
        let odd = format!("x{long}");
        assert_eq!(cut(odd.as_bytes()).len(), LONGEST - 1);
        assert_eq!(cut(b"ab"), b"ab");
    }

    #[test]
    fn the_longest_texts_fit() {
        let mut event = Event::new();
        let bad = [0u8; LONGEST];
        event
            .begin("something that happened", "i", Row::of_process(i32::MIN), Instant(u64::MAX))
            .and_then(|()| write_text(&mut event, &bad))
            .and_then(|()| write_text(&mut event, &bad))
            .expect("fits");
    }
}
