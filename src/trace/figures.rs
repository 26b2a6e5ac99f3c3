//! What can be asked of an executor: single figures, and the parts of a snapshot in JSON.

use crate::future::cell::TaskCell;
use crate::future::outside::Lane;
use crate::platform::clock;
use std::fmt::{self, Write};

/// CFUT_STAT_* of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    Workers,
    IdleWorkers,
    Queued,
    Running,
    Submitted,
    Succeeded,
    Failed,
    Cancelled,
    Expired,
    Crashed,
    Stolen,
    WorkersStarted,
    OldestQueuedNs,
    MaxWorkers,
    Broken,
}

/// How long ago a stamp in ticks was.
pub(crate) fn age_ns(stamp: u64) -> u64 {
    clock::ticks_to_ns(clock::ticks().saturating_sub(stamp))
}

/// A JSON string; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn write_text(out: &mut dyn Write, text: &[u8]) -> fmt::Result {
    out.write_char('"')?;
    for character in text.utf8_chunks().flat_map(|chunk| {
        let broken = if chunk.invalid().is_empty() { None } else { Some('\u{FFFD}') };
        chunk.valid().chars().chain(broken)
    }) {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            '\0'..' ' => write!(out, "\\u{:04x}", character as u32)?,
            _ => out.write_char(character)?,
        }
    }
    out.write_char('"')
}

/// Commands that a snapshot shows one by one.
const SHOWN: usize = 100;

/// The commands of an executor as a member of its JSON: those that run, then those that wait.
pub(crate) fn write_commands(out: &mut dyn Write, lane: &Lane) -> fmt::Result {
    out.write_str(",\"commands\":[")?;
    let mut result = Ok(());
    let mut comma = "";
    lane.for_each(SHOWN, |task| {
        result = result.and_then(|()| write_command(out, comma, task));
        comma = ",";
    });
    result?;
    out.write_str("]")
}

fn write_command(out: &mut dyn Write, comma: &str, task: &TaskCell) -> fmt::Result {
    write!(out, "{comma}{{\"age_ns\":{},\"name\":", age_ns(task.accepted_at()))?;
    write_text(out, task.spec().map_or(b"", |spec| spec.name.as_bytes()))?;
    let pid = task.process().map_or(0, |process| process.pid);
    write!(out, ",\"state\":\"{:?}\",\"pid\":{pid}}}", task.snapshot().life())
}

#[cfg(all(test, not(loom)))]
mod tests {
    #[test]
    fn texts_are_escaped() {
        let mut out = String::new();
        super::write_text(&mut out, b"a\"\\\n\xffz").expect("writes");
        assert_eq!(out, "\"a\\\"\\\\\\u000a\u{FFFD}z\"");
    }
}
