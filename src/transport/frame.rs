//! What the records of a link hold.
//!
//! | kind | way | payload |
//! |---|---|---|
//! | TASK | to the worker | `TaskHead`, then `length` bytes unless they are in an area |
//! | DEFINE | to the worker | number: u32, then a `FunctionRef`; before the first TASK with it |
//! | EXIT | to the worker | nothing: finish what was given before, and go |
//! | RESULT | to the host | `ResultHead`, inline data, message |
//! | READY | to the host | nothing: the worker takes tasks |
//! | START_FAILED | to the host | code: i32, text; the worker goes |
//! | NOTE | to the host | a line for the log |
//!
//! The host decodes from a copy of the head (T3), and a head that decodes is within its bounds:
//! lengths fit the record, numbers are among those listed.

use super::bytes::{Fixed, Reader, Sink};

pub(crate) const TASK: u16 = 1;
pub(crate) const DEFINE: u16 = 2;
pub(crate) const EXIT: u16 = 3;
pub(crate) const RESULT: u16 = 16;
pub(crate) const READY: u16 = 17;
pub(crate) const START_FAILED: u16 = 18;
pub(crate) const NOTE: u16 = 19;

/// The most data inside a record; more goes into an area.
pub(crate) const INLINE_LIMIT: usize = 8 * 1024;

/// The longest message inside a record; a longer one is cut, and says so.
pub(crate) const MESSAGE_LIMIT: usize = 8 * 1024;

/// The input is to be had with `cfut_promise_input` only.
pub(crate) const INPUT_BUFFER: u32 = 1;

/// Flag of a RESULT record: the worker has more memory in use than its config allows, and is to
/// be replaced.
pub(crate) const ABOVE_RSS: u16 = 1;

/// Bytes before a task's inline data: a multiple of 16, so that the data is 16-aligned.
pub(crate) const TASK_HEAD: usize = 48;

/// Bytes before a result's inline data.
pub(crate) const RESULT_HEAD: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskHead {
    pub(crate) slot: u32,
    /// A number that a DEFINE has given.
    pub(crate) function: u32,
    /// Bytes of input.
    pub(crate) length: u64,
    /// The area with the input; 0: it follows in the record.
    pub(crate) area: u64,
    /// `INPUT_BUFFER` or 0.
    pub(crate) flags: u32,
    /// The most bytes of the result; negative: any number.
    pub(crate) output_limit: i64,
}

impl TaskHead {
    pub(crate) fn encode(&self) -> [u8; TASK_HEAD] {
        encoded(|out| {
            out.u32(self.slot)?;
            out.u32(self.function)?;
            out.u64(self.length)?;
            out.u64(self.area)?;
            out.u32(self.flags)?;
            out.u32(0)?;
            out.i64(self.output_limit)
        })
    }

    /// The head of a record with `record` bytes of payload; None if it is none.
    pub(crate) fn decode(bytes: &[u8; TASK_HEAD], record: usize) -> Option<TaskHead> {
        let mut from = Reader(bytes);
        let (slot, function) = (from.u32()?, from.u32()?);
        let (length, area) = (from.u64()?, from.u64()?);
        let (flags, _) = (from.u32()?, from.u32()?);
        let head = TaskHead { slot, function, length, area, flags, output_limit: from.i64()? };
        let inline = record.checked_sub(TASK_HEAD)? as u64;
        let sound = if area == 0 { length == inline } else { inline == 0 };
        (sound && flags & !INPUT_BUFFER == 0).then_some(head)
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Ended {
    #[default]
    Succeeded = 1,
    Failed = 2,
    Cancelled = 3,
    Broken = 4,
    /// It was taken back, and has not run; no data, no message.
    Skipped = 5,
}

/// Where a task's data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Payload {
    /// It set none.
    #[default]
    None = 1,
    /// It set data of no bytes.
    Empty = 2,
    /// In the record, behind the head.
    Inline = 3,
    /// In the area.
    Area = 4,
    /// It set a buffer; its bytes are in the area, or in the record where `area` is 0.
    Buffer = 5,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResultHead {
    pub(crate) slot: u32,
    pub(crate) ended: Ended,
    /// The code of a failure.
    pub(crate) code: i32,
    /// Bytes of message, at the end of the record.
    pub(crate) message: u32,
    pub(crate) payload: Payload,
    /// Bytes of data.
    pub(crate) length: u64,
    /// The area with the data, or 0.
    pub(crate) area: u64,
    /// How long it ran, and how much of a processor it used.
    pub(crate) run_ns: u64,
    pub(crate) cpu_ns: u64,
}

impl ResultHead {
    pub(crate) fn encode(&self) -> [u8; RESULT_HEAD] {
        encoded(|out| {
            out.u32(self.slot)?;
            out.u32(self.ended as u32)?;
            out.i32(self.code)?;
            out.u32(self.message)?;
            out.u32(self.payload as u32)?;
            out.u32(0)?;
            out.u64(self.length)?;
            out.u64(self.area)?;
            out.u64(self.run_ns)?;
            out.u64(self.cpu_ns)
        })
    }

    /// The head of a record with `record` bytes of payload; None if it is none.
    pub(crate) fn decode(bytes: &[u8; RESULT_HEAD], record: usize) -> Option<ResultHead> {
        let mut from = Reader(bytes);
        let (slot, ended, code) = (from.u32()?, Ended::of(from.u32()?)?, from.i32()?);
        let (message, payload, _) = (from.u32()?, Payload::of(from.u32()?)?, from.u32()?);
        let (length, area) = (from.u64()?, from.u64()?);
        let (run_ns, cpu_ns) = (from.u64()?, from.u64()?);
        let head = ResultHead { slot, ended, code, message, payload, length, area, run_ns, cpu_ns };
        let tail = record.checked_sub(RESULT_HEAD)? as u64;
        let sound = match payload {
            Payload::None | Payload::Empty => length == 0 && area == 0,
            Payload::Inline => length > 0 && area == 0,
            Payload::Area => length > 0 && area != 0,
            Payload::Buffer => true,
        };
        let whole = tail == (head.inline() as u64).saturating_add(message.into());
        let bounded = head.inline() <= INLINE_LIMIT && message as usize <= MESSAGE_LIMIT;
        let bare = ended != Ended::Skipped || payload == Payload::None && message == 0;
        (sound && whole && bounded && bare).then_some(head)
    }

    /// Bytes of data in the record, behind the head; the message follows them.
    pub(crate) fn inline(&self) -> usize {
        if self.area == 0 { usize::try_from(self.length).unwrap_or(usize::MAX) } else { 0 }
    }
}

impl Ended {
    fn of(number: u32) -> Option<Ended> {
        use Ended::*;
        let all = [Succeeded, Failed, Cancelled, Broken, Skipped];
        all.into_iter().find(|ended| *ended as u32 == number)
    }
}

impl Payload {
    fn of(number: u32) -> Option<Payload> {
        use Payload::*;
        let all = [None, Empty, Inline, Area, Buffer];
        all.into_iter().find(|payload| *payload as u32 == number)
    }
}

/// What `write` writes, filled up with zeros. A head is never longer than its place.
fn encoded<const N: usize>(write: impl FnOnce(&mut Fixed<N>) -> Option<()>) -> [u8; N] {
    let mut out = Fixed::new();
    let fits = write(&mut out);
    debug_assert!(fits.is_some(), "a head fits its place");
    out.into_whole()
}
