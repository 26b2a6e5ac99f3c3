//! A task that runs in another process: what its executor and its callers do with the cell here.
//!
//! The executor hands the arguments over and keeps the cell, with its arguments, until the task
//! has ended or its process has. It is the runner in the sense of F2: it starts the cell when it
//! learns that the function was entered, and ends it with what came back. Whoever looks at such
//! a task in between asks the executor first (`owner::RemoteTable`), for it may have started, or
//! got further, without anybody here having been told.

use super::buffer::BufferRef;
use super::cell::{Kind, TaskCell, TaskFn, TaskRef};
use super::extra::{Extra, Text};
use super::owner::{OwnerRef, RemoteTable};
use super::promise;
use super::result::Payload;
use super::run::{self, Ended};
use super::settle::Verdict;
use super::state::{EXTRA, Life, Outcome, PayloadBits, RECORDED};
use super::then::ThenCall;
use crate::sync::Ordering;
use crate::unwind::contain;
use std::ffi::c_void;

/// The executor of a task in another process, kept alive for as long as it is asked.
pub(crate) struct Remote {
    owner: OwnerRef,
    table: &'static RemoteTable,
}

impl Remote {
    /// None for all other futures, and for settled ones.
    pub(crate) fn of(cell: &TaskCell) -> Option<Remote> {
        // Such a task has always an `Extra`; others must not pay for the question.
        let seen = cell.snapshot();
        if seen.is_settled() || !seen.has(EXTRA) {
            return None;
        }
        let seen = cell.state.lock();
        let owner = if seen.is_settled() {
            None
        } else {
            // SAFETY: LOCK is held and the future is not settled (F6).
            unsafe { cell.retain_owner(seen) }
        };
        cell.state.unlock(0, 0);
        let owner = owner?;
        let table = owner.vtable.remote?;
        Some(Remote { owner, table })
    }

    pub(crate) fn withdraw(&self, cell: &TaskRef) {
        // SAFETY: `owner` keeps the executor alive.
        unsafe { (self.table.withdraw)(self.owner.as_ptr(), cell) };
    }

    pub(crate) fn stop(&self, cell: &TaskRef, kill: bool) {
        // SAFETY: as above.
        unsafe { (self.table.stop)(self.owner.as_ptr(), cell, kill) };
    }
}

/// Where a future is in its life, also if it started in another process just now.
pub(crate) fn life(cell: &TaskCell) -> Life {
    let life = cell.snapshot().life();
    if life != Life::Pending || cell.is_inherited() {
        return life;
    }
    if let Some(remote) = Remote::of(cell) {
        // SAFETY: `owner` keeps the executor alive.
        unsafe { (remote.table.refresh)(remote.owner.as_ptr(), &cell.clone_ref()) };
    }
    cell.snapshot().life()
}

/// Looks for the end of a task in another process for a moment; true: it has settled.
pub(super) fn attend(cell: &TaskCell) -> bool {
    if let Some(remote) = Remote::of(cell) {
        // SAFETY: `owner` keeps the executor alive.
        unsafe { (remote.table.attend)(remote.owner.as_ptr(), &cell.clone_ref()) };
    }
    cell.snapshot().is_settled()
}

/// How far a task in another process says it is.
pub(super) fn progress(cell: &TaskCell) -> Option<(u64, u64)> {
    let remote = Remote::of(cell)?;
    // SAFETY: `owner` keeps the executor alive.
    unsafe { (remote.table.progress)(remote.owner.as_ptr(), &cell.clone_ref()) }
}

/// The function of a task, for showing its name; NULL for one that is known by name.
///
/// # Safety
/// As `TaskCell::argument`.
pub(crate) unsafe fn function_of(cell: &TaskCell) -> *const c_void {
    // SAFETY: by the contract.
    unsafe { cell.function() }
}

/// Arguments of a task, as they are handed over.
pub(crate) enum Argument<'a> {
    Bytes(&'a [u8]),
    /// Also whether the user knows it as a buffer.
    Buffer(&'a BufferRef, bool),
}

impl TaskCell {
    /// The arguments of a task for another process.
    ///
    /// # Safety
    /// The caller is the executor (F2), which has not consumed them, and for as long as it uses
    /// them does not.
    pub(crate) unsafe fn argument(&self) -> Argument<'_> {
        // SAFETY: by the contract, here and below; each kind has stored what is read back.
        unsafe {
            match self.kind() {
                Kind::Bytes => {
                    let (_, data, length) = self.bytes_call();
                    Argument::Bytes(slice(data, length))
                }
                Kind::External => {
                    Argument::Bytes(slice(self.back().cast_const(), self.front()[1].addr()))
                }
                Kind::Buffer => {
                    let buffer = self.back_buffer();
                    Argument::Buffer(buffer, buffer.is_visible())
                }
                Kind::Then => input_of(&self.then_args().as_ref().input),
                Kind::Promise | Kind::Closure | Kind::Join | Kind::Foreign => Argument::Bytes(&[]),
            }
        }
    }

    /// Whether this is a piped task whose input succeeded: its bytes are the argument.
    pub(crate) fn passes_bytes_on(&self) -> bool {
        self.kind() == Kind::Then && {
            // SAFETY: asked by the executor that is being given the task: PENDING, and nobody
            // consumes the arguments but with LOCK or through it.
            let input = unsafe { &self.then_args().as_ref().input };
            input.snapshot().is_settled() && input.snapshot().outcome() == Outcome::Succeeded
        }
    }

    /// The function of a piped task.
    pub(crate) fn piped_function(&self) -> Option<TaskFn> {
        if self.kind() != Kind::Then {
            return None;
        }
        // SAFETY: as in `passes_bytes_on`.
        match unsafe { self.then_args().as_ref() }.call {
            ThenCall::Pipe(function) => Some(function),
            ThenCall::Then(_) | ThenCall::Callback(_) => None,
        }
    }

    /// The `Extra` of a cell that others know, made if need be.
    pub(crate) fn extra_of_known(&self) -> Option<&Extra> {
        let seen = self.state.lock();
        let extra = if seen.is_settled() {
            None
        } else {
            // SAFETY: LOCK is held and it is not settled.
            unsafe { self.extra_locked(seen) }
        };
        self.state.unlock(0, 0);
        extra
    }
}

/// # Safety
/// `length` bytes at `data`, or none.
unsafe fn slice<'a>(data: *const c_void, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: by the contract.
    unsafe { std::slice::from_raw_parts(data.cast(), length) }
}

/// The result of a settled future as an argument.
fn input_of(input: &TaskCell) -> Argument<'_> {
    if let Some(buffer) = input.buffer_of_bytes() {
        return Argument::Buffer(buffer, false);
    }
    let (data, length) = input.bytes().unwrap_or((std::ptr::null(), 0));
    // SAFETY: valid as long as the input, which the task keeps.
    Argument::Bytes(unsafe { slice(data, length) })
}

/// How a process ended with a task in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Death {
    /// 0: it exited by itself.
    pub(crate) signal: u8,
    pub(crate) exit_code: u8,
    pub(crate) out_of_memory: bool,
}

impl Death {
    /// As a number that is never 0.
    fn pack(self) -> u32 {
        1 << 24
            | u32::from(self.out_of_memory) << 16
            | u32::from(self.exit_code) << 8
            | u32::from(self.signal)
    }

    fn unpack(bits: u32) -> Option<Death> {
        (bits != 0).then_some(Death {
            signal: bits as u8,
            exit_code: (bits >> 8) as u8,
            out_of_memory: bits >> 16 & 1 != 0,
        })
    }
}

/// What is known of the process that a settled task ran in.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) cpu_ns: u64,
    pub(crate) max_rss: u64,
}

/// What came back of a task.
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) code: i32,
    pub(crate) message: Text,
    pub(crate) payload: Payload,
    /// In ticks.
    pub(crate) queued: u64,
    pub(crate) ran: u64,
}

impl TaskCell {
    /// Notes how far the task says it was, when it cannot be asked any more.
    pub(crate) fn note_progress(&self, progress: (u64, u64)) {
        if progress == (0, 0) {
            return;
        }
        let seen = self.state.lock();
        if let Some(extra) = self.extra_in(seen) {
            // SAFETY: LOCK is held.
            extra.progress.with_mut(|place| unsafe { *place = progress });
        }
        self.state.unlock(0, 0);
    }

    /// Notes how the task's process died; before the future settles.
    pub(crate) fn note_death(&self, death: Death) {
        if let Some(extra) = self.extra_in(self.snapshot()) {
            // Relaxed: published by settling.
            extra.death.store(death.pack(), Ordering::Relaxed);
        }
    }

    /// None for a task that ran in none.
    pub(crate) fn process(&self) -> Option<Process> {
        let extra = self.extra_in(self.snapshot())?;
        // Relaxed, all: published by settling.
        let pid = extra.pid.load(Ordering::Relaxed);
        (pid != 0).then(|| Process {
            pid,
            cpu_ns: extra.cpu_ns.load(Ordering::Relaxed),
            max_rss: u64::from(extra.max_rss_kib.load(Ordering::Relaxed)) * 1024,
        })
    }

    /// How often a settled task was started.
    pub(crate) fn attempts(&self) -> u64 {
        let remote = self.extra_in(self.snapshot()).map_or(0, |extra| {
            extra.attempts.load(Ordering::Relaxed) // as above
        });
        u64::from(remote.max(u32::from(self.has_run())))
    }

    /// How the process of a settled task died, if it did.
    pub(crate) fn death(&self) -> Option<Death> {
        let extra = self.extra_in(self.snapshot())?;
        // Relaxed: published by settling.
        Death::unpack(extra.death.load(Ordering::Relaxed))
    }
}

/// Ends a task that `State::start` gave to its executor, which hands over the runner's reference.
/// Contained, and calls nobody: what becomes due is on the thread's list afterwards. `recorded` is
/// called when the outcome is there and nobody can see it yet.
pub(crate) fn end(cell: TaskRef, report: Report, recorded: impl FnOnce(&TaskRef)) -> Ended {
    // SAFETY: F2: started by the caller, which has not consumed the arguments.
    let arguments = unsafe { run::drop_arguments(&cell) };
    debug_assert!(arguments.is_none(), "a task for another process has nothing of the user's");
    // SAFETY: the function has returned, and the arguments are gone.
    unsafe { cell.stamp_durations(report.queued, report.ran) };
    if record(&cell, report) {
        recorded(&cell);
    }
    // SAFETY: the runner's reference.
    unsafe { run::complete(cell.into_raw(), 0) }
}

/// Records the outcome under LOCK; false: somebody has settled the task.
fn record(cell: &TaskRef, report: Report) -> bool {
    let seen = cell.state.lock();
    if seen.is_settled() || seen.has(RECORDED) {
        cell.state.unlock(0, 0);
        let _ = contain(|| promise::take_back(report.payload));
        return false;
    }
    // SAFETY: LOCK is held, not settled, nothing recorded.
    let bits = unsafe { cell.write_verdict(seen, report.code, report.message, report.payload) };
    cell.state.record_locked(report.outcome, bits.unwrap_or(PayloadBits::NONE));
    true
}

/// Settles a task that has not started, or has and will not be heard of again; the caller
/// keeps its reference. False: it is settled already.
pub(crate) fn settle(cell: &TaskRef, verdict: Verdict) -> bool {
    cell.settle_if(cell, |_| true, verdict)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Death;

    #[test]
    fn deaths_are_packed() {
        for death in [
            Death { signal: 0, exit_code: 0, out_of_memory: false },
            Death { signal: 11, exit_code: 0, out_of_memory: true },
            Death { signal: 0, exit_code: 255, out_of_memory: false },
        ] {
            assert_eq!(Death::unpack(death.pack()), Some(death));
        }
        assert_eq!(Death::unpack(0), None);
    }
}
