//! How the outcome of a settled task becomes a record.

use super::code;
use super::shipping::{Worker, result_memory};
use super::slots::Slot;
use crate::error::Line;
use crate::future::buffer::BufferRef;
use crate::future::cell::TaskCell;
use crate::future::state::Outcome;
use crate::platform::Errno;
use crate::sync::Ordering;
use crate::transport::frame::{self, Ended, INLINE_LIMIT, MESSAGE_LIMIT, Payload, ResultHead};

/// Ships the outcome of a slot's task. The caller has taken it (W3).
pub(super) fn ship(slot: &Slot, task: &TaskCell) {
    let worker = slot.worker();
    task.note_seen(); // by the host
    // Relaxed: written before the task settled, which whoever ships has seen.
    let (run_ns, cpu_ns) =
        (slot.run_ns.load(Ordering::Relaxed), slot.cpu_ns.load(Ordering::Relaxed));
    let outcome = task.snapshot().outcome();
    let head = ResultHead {
        slot: slot.number,
        ended: match outcome {
            Outcome::Succeeded => Ended::Succeeded,
            Outcome::Failed => Ended::Failed,
            Outcome::Cancelled => Ended::Cancelled,
            Outcome::Crashed | Outcome::Expired | Outcome::Broken => Ended::Broken,
        },
        code: if outcome == Outcome::Succeeded { 0 } else { task.code() },
        run_ns,
        cpu_ns,
        ..ResultHead::default()
    };
    let message = Message::of(task.message().as_bytes());
    // Relaxed: as above.
    let input = slot.input.load(Ordering::Relaxed);
    if let Err(errno) = ship_data(worker, task, input, head, &message) {
        fail(
            worker,
            ResultHead { payload: Payload::None, length: 0, area: 0, ..head },
            code_of(errno),
            format_args!("no memory that the result could be handed over in: {errno}"),
        );
    }
}

fn code_of(errno: Errno) -> i32 {
    match errno.0 {
        libc::ENOMEM | libc::ENOSPC | libc::EFBIG => code::NO_MEMORY,
        _ => code::SYSTEM,
    }
}

/// Err: the data could not be handed over; nothing was shipped.
fn ship_data(
    worker: &Worker,
    task: &TaskCell,
    input: u64,
    head: ResultHead,
    message: &Message<'_>,
) -> Result<(), Errno> {
    if let Some(buffer) = task.buffer() {
        return ship_buffer(worker, buffer, input, head, message);
    }
    let Some((data, length)) = task.bytes() else {
        ship_inline(worker, ResultHead { payload: Payload::None, ..head }, &[], message);
        return Ok(());
    };
    let bytes: &[u8] = match length {
        0 => &[],
        // SAFETY: a settled task's result stays as long as the task.
        _ => unsafe { std::slice::from_raw_parts(data.cast(), length) },
    };
    if length <= INLINE_LIMIT {
        let payload = if length == 0 { Payload::Empty } else { Payload::Inline };
        ship_inline(worker, ResultHead { payload, ..head }, bytes, message);
        return Ok(());
    }
    // Recorded before the task's promise was known to be for another process: not reached.
    ship_copy(worker, bytes, false, head, message)
}

fn ship_buffer(
    worker: &Worker,
    buffer: &BufferRef,
    input: u64,
    head: ResultHead,
    message: &Message<'_>,
) -> Result<(), Errno> {
    let visible = buffer.is_visible();
    match buffer.area() {
        // The host's own, which it knows as what it gave to this task.
        Some(area) if area.id() == input => {
            let head = ResultHead { area: input, ..with_buffer(head, buffer.len(), visible) };
            ship_inline(worker, head, &[], message);
            Ok(())
        }
        // Of an earlier task: the host may use it for something else by now.
        Some(_) if buffer.is_lent() => ship_copy(worker, buffer.bytes(), visible, head, message),
        Some(area) => {
            let head = ResultHead { area: area.id(), ..with_buffer(head, buffer.len(), visible) };
            let head = ResultHead { message: message.length(), ..head };
            let [text, note] = message.parts();
            worker.push_with_area(buffer, area, worker.flags(), &[&head.encode(), text, note])
        }
        None if buffer.len() <= INLINE_LIMIT => {
            let head = with_buffer(head, buffer.len(), visible);
            ship_inline(worker, head, buffer.bytes(), message);
            Ok(())
        }
        None => ship_copy(worker, buffer.bytes(), visible, head, message),
    }
}

fn with_buffer(head: ResultHead, length: usize, visible: bool) -> ResultHead {
    let payload = if visible { Payload::Buffer } else { Payload::Area };
    ResultHead { payload, length: length as u64, ..head }
}

fn ship_copy(
    worker: &Worker,
    bytes: &[u8],
    visible: bool,
    head: ResultHead,
    message: &Message<'_>,
) -> Result<(), Errno> {
    if bytes.is_empty() {
        ship_inline(worker, with_buffer(head, 0, true), &[], message);
        return Ok(());
    }
    let copy = result_memory(worker, bytes.len(), visible)?;
    // SAFETY: fresh memory of that length.
    unsafe { copy.data().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    ship_buffer(worker, &copy, 0, head, message)
}

fn ship_inline(worker: &Worker, head: ResultHead, data: &[u8], message: &Message<'_>) {
    let inline = !data.is_empty();
    let length = if inline { data.len() as u64 } else { head.length };
    let head = ResultHead { length, message: message.length(), ..head };
    let [text, note] = message.parts();
    worker.push(frame::RESULT, worker.flags(), &[&head.encode(), data, text, note]);
}

/// Ships that a task failed with `code`, for want of what it would have needed.
pub(super) fn fail(worker: &Worker, head: ResultHead, code: i32, text: std::fmt::Arguments<'_>) {
    let line = Line::of(text);
    let head = ResultHead { ended: Ended::Failed, code, ..head };
    ship_inline(worker, head, &[], &Message::of(line.as_bytes()));
}

/// Tells the host that it has taken a slot's task back in time.
pub(super) fn skip(worker: &Worker, slot: u32) {
    let head = ResultHead { slot, ended: Ended::Skipped, ..ResultHead::default() };
    worker.push(frame::RESULT, 0, &[&head.encode()]);
}

/// A message as far as records take it.
pub(super) struct Message<'a> {
    text: &'a [u8],
    note: &'static [u8],
}

impl<'a> Message<'a> {
    pub(super) fn of(text: &'a [u8]) -> Message<'a> {
        const NOTE: &[u8] = b" [cut at 8 KiB]";
        if text.len() <= MESSAGE_LIMIT {
            return Message { text, note: b"" };
        }
        let mut end = MESSAGE_LIMIT - NOTE.len();
        // Between two characters of UTF-8.
        while end > 0 && text[end] & 0xC0 == 0x80 {
            end -= 1;
        }
        Message { text: &text[..end], note: NOTE }
    }

    pub(super) fn length(&self) -> u32 {
        (self.text.len() + self.note.len()) as u32
    }

    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [self.text, self.note]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_are_cut_between_characters(text in "\\PC{0,3000}", times in 1usize..4) {
            let text = text.repeat(times);
            let message = Message::of(text.as_bytes());
            let whole = message.parts().concat();
            prop_assert_eq!(whole.len(), message.length() as usize);
            prop_assert!(whole.len() <= MESSAGE_LIMIT);
            let shown = std::str::from_utf8(&whole).expect("whole characters");
            if text.len() <= MESSAGE_LIMIT {
                prop_assert_eq!(shown, text);
            } else {
                prop_assert!(shown.ends_with("[cut at 8 KiB]"));
                prop_assert!(text.starts_with(&shown[..shown.len() - 15]));
            }
        }
    }
}
