//! A worker's life: how it begins, and that it ends.

use super::bootstrap::{self, Task};
use super::shipping::{Worker, sound};
use super::{code, functions, outcome, run};
use crate::error::{self, Line, Lossy};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::due;
use crate::future::make::Work;
use crate::future::run as tasks;
use crate::future::run::Ended;
use crate::future::state::Outcome;
use crate::platform::fault::crash_point;
use crate::platform::fd::Fd;
use crate::platform::shm::Shm;
use crate::platform::socket::Socket;
use crate::platform::{Errno, clock, fork, memory, process, thread};
use crate::transport::config::{Initializer, WorkerConfig};
use crate::transport::control::{Message, PACKET};
use crate::transport::frame;
use crate::transport::link::{Link, WorkerSide};
use crate::unwind::{self, contain};
use std::ffi::CStr;
use std::io::Write;

/// How a worker's life has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As its host told it.
    Told,
    /// It could not begin.
    Failed,
}

impl End {
    /// Exit code of the process.
    pub(super) fn code(self) -> i32 {
        match self {
            End::Told => 0,
            End::Failed => 1,
        }
    }
}

/// What a worker is made of.
pub(super) struct Parts {
    pub(super) number: u32,
    pub(super) socket: Socket,
    pub(super) link: Fd,
    pub(super) config: &'static Shm,
    /// The process that ends it when it ends itself.
    pub(super) parent: i32,
}

/// Runs a worker that was executed. Not contained: calls the user.
pub(super) fn run_executed(task: Task) -> End {
    match contain(|| receive_parts(task)) {
        Ok(Some(parts)) => run_parts(parts),
        _ => End::Failed, // the supervisor tells of the end
    }
}

/// The supervisor's message goes on as that of the host's to the supervisor.
fn receive_parts(task: Task) -> Option<Parts> {
    // It has made the socket, and may have ended before this process asks for its parent.
    let (parent, _) = task.socket.peer()?;
    let [config, ..] = task.fds;
    let config = map_config(config?)?;
    let mut packet = [0u8; PACKET];
    let (length, [socket, link, ..]) = bootstrap::receive(&task.socket, &mut packet)?;
    let Some(Message::Spawn { worker, .. }) = Message::decode(&packet[..length]) else {
        return None;
    };
    // SAFETY: made by the host as the end of a pair.
    let socket = unsafe { Socket::from_fd(socket?) };
    Some(Parts { number: worker, socket, link: link?, config, parent })
}

/// A `WorkerConfig`, mapped for as long as the process lives.
pub(super) fn map_config(fd: Fd) -> Option<&'static Shm> {
    let shm = Shm::adopt_read_only(fd).ok()?;
    // SAFETY: never freed.
    memory::try_box(shm).ok().map(|place| unsafe { place.as_ref() })
}

/// Runs a worker from its begin to its end. Not contained: calls the user.
pub(super) fn run_parts(parts: Parts) -> End {
    let Parts { number, socket, link, config, parent } = parts;
    // Where that is forbidden, the host ends what a dead supervisor leaves behind.
    let _ = process::die_with_parent();
    if process::parent_id() != parent {
        return End::Failed;
    }
    let Some(config) = WorkerConfig::open(config) else { return End::Failed };
    let Ok(link) = Link::open(link) else { return End::Failed };
    fork::watch();
    clock::prepare(); // before its first task, which is timed
    name_process(config.name, number);
    let WorkerSide { link, tasks, results } = link;
    let Some(worker) = Worker::make(link, results, socket, config.rss_limit) else {
        return End::Failed;
    };
    if let Err((limit, errno)) = set_limits(&config, worker) {
        let line = Line::of(format_args!("{limit} of worker {number} could not be set: {errno}"));
        refuse(worker, code::SYSTEM, line.as_bytes());
        return End::Failed;
    }
    if let Some(initializer) = config.initializer {
        if !initialize(worker, number, &initializer) {
            return End::Failed;
        }
    }
    crash_point("ready");
    if contain(|| worker.push(frame::READY, 0, &[])).is_err() {
        return End::Failed;
    }
    run::run_tasks(worker, tasks, config.spin_ns);
    End::Told
}

/// NAME-n, as `ps` and `top` show it: the name is cut, not the number.
fn name_process(name: &CStr, number: u32) {
    let mut text = [0u8; 16];
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    let name = if name.is_empty() { c"cfut" } else { name }.to_bytes();
    let kept = name.len().min(15 - 1 - digits);
    text[..kept].copy_from_slice(&name[..kept]);
    // Cannot fail: the room was counted.
    let _ = write!(&mut text[kept..15], "-{number}");
    if let Ok(text) = CStr::from_bytes_until_nul(&text) {
        thread::set_name(text);
    }
}

/// Err: the option that could not be had.
fn set_limits(config: &WorkerConfig<'_>, worker: &Worker) -> Result<(), (&'static str, Errno)> {
    if let Some(nice) = config.nice {
        if let Err(errno) = thread::set_nice(nice) {
            note(worker, format_args!("CFUT_OPT_NICE {nice} was refused: {errno}"));
        }
    }
    if config.cpu_limit != 0 {
        process::limit_cpu(config.cpu_limit).map_err(|errno| ("CFUT_OPT_CPU_TIME_LIMIT", errno))?;
    }
    if config.memory_limit != 0 {
        process::limit_memory(config.memory_limit)
            .map_err(|errno| ("CFUT_OPT_MEMORY_LIMIT", errno))?;
    }
    Ok(())
}

/// A line for the host's log.
fn note(worker: &Worker, text: std::fmt::Arguments<'_>) {
    let line = Line::of(text);
    worker.push(frame::NOTE, 0, &[line.as_bytes()]);
}

/// Tells the host why this worker takes no tasks.
fn refuse(worker: &Worker, code: i32, text: &[u8]) {
    let message = outcome::Message::of(text);
    let [text, note] = message.parts();
    let _ = contain(|| worker.push(frame::START_FAILED, 0, &[&code.to_ne_bytes(), text, note]));
}

/// Runs the initializer as a task of nobody's; false: it failed, and the host was told. Not
/// contained.
fn initialize(worker: &Worker, number: u32, initializer: &Initializer<'_>) -> bool {
    let function = match contain(|| functions::resolve(&initializer.function)) {
        Ok(Ok(function)) => function,
        Ok(Err(_)) => {
            error::with_last(|text| refuse(worker, code::NOT_FOUND, text));
            return false;
        }
        Err(panic) => unwind::die(panic.text()),
    };
    let Some(cell) = TaskCell::allocate(Work::Bytes(function, initializer.data), 2) else {
        refuse(worker, code::NO_MEMORY, b"no memory for the initializer");
        return false;
    };
    // SAFETY: fresh, with two references: one for the run, one to look at the end.
    let (task, end) = unsafe { (TaskRef::from_raw(cell), TaskRef::from_raw(cell)) };
    let _begun = task.state.start(false); // nobody else knows it
    let mut unreturned = Unreturned(Some(worker));
    fork::watch();
    let process = fork::generation();
    let ended = {
        let _user = due::InUser::enter();
        tasks::run_started(task, |_, _| (fork::generation() == process).then_some((0, 0)))
    };
    unreturned.0 = None;
    run::leave_if_forked(process);
    end.note_seen();
    due::run_pending();
    let text = end.message().as_bytes();
    let line = match ended {
        Ended::Settled(Outcome::Succeeded) => return true,
        Ended::Detached => {
            Line::of(format_args!("the initializer returned CFUT_DETACH, which it must not"))
        }
        _ => Line::of(format_args!(
            "the initializer of worker {number} failed with code {}{}{}",
            end.code(),
            if text.is_empty() { "" } else { ": " },
            Lossy(text)
        )),
    };
    refuse(worker, end.code(), line.as_bytes());
    false
}

/// Tells of an initializer that ended the main thread, and ends the process, which could do
/// nothing without it.
struct Unreturned<'a>(Option<&'a Worker>);

impl Drop for Unreturned<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.0 {
            refuse(worker, tasks::THREAD_ENDED, b"the initializer ended its thread");
            process::flush_streams();
            process::leave(End::Failed.code());
        }
    }
}

/// The next record of the link, with its payload, which stays until the ring is advanced.
pub(super) struct Received<'a> {
    pub(super) kind: u16,
    pub(super) payload: &'a [u8],
}

impl Received<'_> {
    /// Waits for it, and looks for a while before it sleeps.
    pub(super) fn next<'a>(
        worker: &Worker,
        tasks: &mut crate::transport::ring::Consumer<crate::transport::link::Ring>,
        spin_ns: u64,
    ) -> Received<'a> {
        if !sound(tasks.has_record()) {
            worker.trim();
            let _ready = sound(worker.link.bells().wait_for_task(tasks, spin_ns, None));
        }
        loop {
            if let Some(record) = sound(tasks.peek()) {
                // SAFETY: in the ring until it is advanced (W4), and the host, which is trusted,
                // does not write there before.
                let payload =
                    unsafe { std::slice::from_raw_parts(record.payload(), record.length as usize) };
                return Received { kind: record.kind, payload };
            }
            let _ready = sound(worker.link.bells().wait_for_task(tasks, 0, None));
        }
    }
}
