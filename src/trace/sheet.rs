//! The file of a timeline: events go into a buffer of fixed size, and from there to the disk.
//!
//! Executors of one process that name the same file write into one, with one time axis. Another
//! process that has it is told from the lock, and refused.
//!
//! # States
//! | state | `put` | leaves it by |
//! |---|---|---|
//! | OPEN | into the buffer | an error of the disk; the last executor's `close` |
//! | FAILED | lost, and no more is written; the file ends as if it were complete | `close` |
//! | CLOSED | lost | |
//!
//! # Locks
//! The table of files → `output` → `filling`. Under `filling` bytes are copied and nothing else, so
//! `put` may be called under any lock of an executor. System calls are made under `output`.
//!
//! # Memory
//! Two buffers of `CAPACITY`, one that is filled and one that is written. Where the disk cannot
//! follow, whoever has an event waits for it (`put_for_certain`), or the event is lost and counted
//! (`put`).

use crate::error::{Error, Kind, Lossy, Result, fail};
use crate::future::extra::Text;
use crate::log::{self, Level};
use crate::platform::fd::Fd;
use crate::platform::file::{self, Identity};
use crate::platform::fork::{self, PerProcess};
use crate::shared::Shared;
use crate::sync::{Guard, Lock, global};
use std::ffi::CStr;

const CAPACITY: usize = 128 * 1024;

/// The beginning of the file, and its end.
const HEAD: &[u8] = b"[\n";
const TAIL: &[u8] = b"\n]\n";
/// Stands before each event but the first, and nowhere inside of one.
const BETWEEN: &[u8] = b",\n";

pub(crate) struct Sheet {
    identity: Identity,
    /// The fork generation it belongs to.
    generation: u32,
    filling: Lock<Filling>,
    output: Lock<Output>,
}

struct Filling {
    /// Whole events, each with what stands before it.
    bytes: Vec<u8>,
    open: bool,
    /// Nothing has been written yet.
    first: bool,
    /// Events lost for want of room.
    lost: u64,
}

struct Output {
    path: Text,
    fd: Option<Fd>,
    /// The buffer that is not being filled.
    spare: Vec<u8>,
    /// Length of the file.
    length: u64,
}

/// The files that are open, and how many executors write to each.
struct Open {
    sheet: Shared<Sheet>,
    users: usize,
}

global! {
    static SHEETS: Lock<Vec<Open>> = Lock::new(Vec::new());
}
static PER_PROCESS: PerProcess = PerProcess::new();

/// In a forked child the lock may be held by a thread that does not exist there, and the files are
/// the parent's.
fn sheets() -> Guard<'static, Vec<Open>> {
    PER_PROCESS.follow(|| {
        // SAFETY: first use in this child: none of its threads holds the lock.
        unsafe { SHEETS.reset(Vec::new()) };
    });
    SHEETS.lock()
}

impl Sheet {
    /// The file of this path, emptied, unless an executor of this process writes to it already.
    pub(super) fn open(path: &Text) -> Result<Shared<Sheet>> {
        let shown = Lossy(path.as_bytes());
        let failed = |why: &dyn std::fmt::Display| {
            Error::new(Kind::System, format_args!("CFUT_OPT_TRACE_FILE {shown}: {why}"))
        };
        // SAFETY: NUL-terminated, as long as the text.
        let name = unsafe { CStr::from_ptr(path.as_c_str()) };
        let mut sheets = sheets();
        let (fd, identity) = file::open(name).map_err(|errno| match errno.0 {
            libc::EINVAL => failed(&"it is neither a file nor a device"),
            _ => failed(&errno),
        })?;
        if let Some(open) = sheets.iter_mut().find(|open| open.sheet.identity == identity) {
            open.users += 1;
            return Ok(open.sheet.clone());
        }
        if !file::lock(&fd) {
            return Err(failed(&"another process writes its timeline there"));
        }
        file::cut(&fd, 0);
        file::write(&fd, 0, HEAD).map_err(|(_, errno)| failed(&errno))?;
        let sheet = Sheet::with(path, fd, identity).filter(|_| sheets.try_reserve(1).is_ok());
        let Some(sheet) = sheet else {
            return fail!(NoMemory, "no memory for a timeline ({} bytes)", 2 * CAPACITY);
        };
        sheets.push(Open { sheet: sheet.clone(), users: 1 });
        Ok(sheet)
    }

    fn with(path: &Text, fd: Fd, identity: Identity) -> Option<Shared<Sheet>> {
        let buffer = || {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(CAPACITY + TAIL.len()).ok().map(|()| bytes)
        };
        let filling = Filling { bytes: buffer()?, open: true, first: true, lost: 0 };
        let output = Output {
            path: Text::copy(path.as_bytes())?,
            fd: Some(fd),
            spare: buffer()?,
            length: HEAD.len() as u64,
        };
        Shared::try_new(Sheet {
            identity,
            generation: fork::generation(),
            filling: Lock::new(filling),
            output: Lock::new(output),
        })
    }

    /// The executors of a forked child are none, and its locks may be held by nobody who is there.
    fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Notes an event, if there is room for it. Never waits for the disk.
    pub(super) fn put(&self, event: &[u8]) {
        if !self.is_inherited() {
            let mut filling = self.filling.lock();
            if !filling.take(event) {
                filling.lost += 1;
            }
        }
    }

    /// Notes an event, after the disk has taken others where there is no room. Not under a lock
    /// that tasks need.
    pub(super) fn put_for_certain(&self, event: &[u8]) {
        if self.is_inherited() {
            return;
        }
        loop {
            let (taken, half) = {
                let mut filling = self.filling.lock();
                (filling.take(event), filling.is_half_full())
            };
            if !taken {
                self.write_out(&mut self.output.lock(), b"");
                continue;
            }
            if half {
                self.tend();
            }
            return;
        }
    }

    /// Writes what is there, if it has become much, and nobody does.
    pub(super) fn tend(&self) {
        if self.is_inherited() || !self.filling.lock().is_half_full() {
            return;
        }
        if let Some(mut output) = self.output.try_lock() {
            self.write_out(&mut output, b"");
        }
    }

    /// Writes what there is, and `end` behind it.
    fn write_out(&self, output: &mut Output, end: &[u8]) {
        std::mem::swap(&mut self.filling.lock().bytes, &mut output.spare);
        output.spare.extend_from_slice(end); // there is room: `CAPACITY` is of events
        let written = output.write();
        output.spare.clear();
        if let Err(errno) = written {
            self.filling.lock().fail();
            log::post(
                Level::Warning,
                format_args!(
                    "the timeline {} ends early: {errno}; the executor goes on without",
                    Lossy(output.path.as_bytes())
                ),
            );
        }
    }

    /// One executor fewer; after the last one the file is complete.
    pub(super) fn close(this: &Shared<Sheet>) {
        if this.is_inherited() {
            return;
        }
        let mut sheets = sheets();
        let Some(at) = sheets.iter().position(|open| open.sheet.identity == this.identity) else {
            return;
        };
        sheets[at].users -= 1;
        if sheets[at].users > 0 {
            // What is there by now is this executor's, who may look at it.
            this.write_out(&mut this.output.lock(), b"");
            return;
        }
        this.note_lost();
        let mut output = this.output.lock();
        let whole = this.filling.lock().open;
        this.write_out(&mut output, if whole { TAIL } else { b"" });
        this.filling.lock().open = false;
        if let Some(fd) = output.fd.take() {
            file::unlock(&fd);
        }
        drop(sheets.swap_remove(at));
    }

    fn note_lost(&self) {
        let lost = self.filling.lock().lost;
        if lost > 0 {
            let line = crate::error::Line::of(format_args!(
                "{{\"name\":\"events_lost\",\"ph\":\"M\",\"ts\":0,\"pid\":0,\"tid\":0,\
                 \"args\":{{\"count\":{lost}}}}}"
            ));
            self.put_for_certain(line.as_bytes());
        }
    }
}

impl Filling {
    /// True: taken, or nothing is taken any more.
    fn take(&mut self, event: &[u8]) -> bool {
        if !self.open {
            return true;
        }
        let between = if self.first { &b""[..] } else { BETWEEN };
        if self.bytes.len() + between.len() + event.len() > CAPACITY {
            return false;
        }
        self.bytes.extend_from_slice(between);
        self.bytes.extend_from_slice(event);
        self.first = false;
        true
    }

    fn is_half_full(&self) -> bool {
        self.bytes.len() >= CAPACITY / 2
    }

    fn fail(&mut self) {
        self.open = false;
        self.bytes.clear();
    }
}

impl Output {
    /// Writes the spare buffer. On an error the file ends as a complete one would, behind the last
    /// event for which that fits.
    fn write(&mut self) -> std::result::Result<(), crate::platform::Errno> {
        let spare = std::mem::take(&mut self.spare);
        let before = self.length;
        let written = self.append(&spare);
        if let Err((wrote, _)) = written {
            let mut whole = wrote;
            loop {
                let before_it = spare[..whole].windows(2).rposition(|pair| pair == BETWEEN);
                whole = before_it.unwrap_or(0);
                if self.end_at(before + whole as u64) || whole == 0 {
                    break;
                }
            }
        }
        self.spare = spare;
        written.map_err(|(_, errno)| errno)
    }

    /// `length` counts what was written, also on an error.
    fn append(&mut self, bytes: &[u8]) -> std::result::Result<(), (usize, crate::platform::Errno)> {
        let Some(fd) = &self.fd else { return Ok(()) };
        let written = file::write(fd, self.length, bytes);
        let done = match &written {
            Ok(()) => bytes.len(),
            Err((done, _)) => *done,
        };
        self.length += done as u64;
        written
    }

    /// Cuts the file, and ends it; false: not even that fits.
    fn end_at(&mut self, length: u64) -> bool {
        let Some(fd) = &self.fd else { return true };
        file::cut(fd, length);
        self.length = length;
        self.append(TAIL).is_ok()
    }
}
