//! The main thread's loop: one record after the other.

use super::functions::Functions;
use super::life::Received;
use super::shipping::{DAMAGED, Worker, sound};
use super::slots::Slot;
use super::{code, outcome};
use crate::error::Lossy;
use crate::future::buffer::BufferRef;
use crate::future::cell::{TaskCell, TaskFn, TaskRef};
use crate::future::due;
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::run::{self, Ended};
use crate::platform::area::Area;
use crate::platform::clock::{self, Instant};
use crate::platform::fault::crash_point;
use crate::platform::socket::MOST_FDS;
use crate::platform::{Errno, fork, process};
use crate::shared::Shared;
use crate::sync::Ordering;
use crate::transport::areas::AreaCache;
use crate::transport::control::{Message, PACKET};
use crate::transport::frame::{self, INPUT_BUFFER, ResultHead, TASK_HEAD, TaskHead};
use crate::transport::link::Ring;
use crate::transport::ring::Consumer;
use crate::unwind::{self, contain};
use std::ffi::c_void;

/// What the main thread alone has (W1).
struct Main {
    worker: &'static Worker,
    tasks: Consumer<Ring>,
    functions: Functions,
    /// Areas of the host's.
    areas: AreaCache,
    /// Processor time when it was last asked for, if there was always something to do since.
    used: Option<u64>,
    /// How long tasks ran since then, for which it was not asked.
    short_ns: u64,
}

/// Asking for the processor time takes a system call. A task that ran for less than this has used
/// the processor all the time, by assumption.
const SHORT_NS: u64 = 50_000;

/// Runs tasks until the host says that it is enough. Not contained: calls the user.
pub(super) fn run_tasks(worker: &'static Worker, tasks: Consumer<Ring>, spin_ns: u64) {
    fork::watch();
    let (functions, areas) = (Functions::new(), AreaCache::new());
    let mut main = Main { worker, tasks, functions, areas, used: None, short_ns: 0 };
    loop {
        let next = library(|| main.next(spin_ns));
        match next {
            Next::Run(task) => {
                main.run(task);
            }
            Next::Again => {}
            Next::End => break,
        }
    }
    worker.detached.wait_for_none();
}

/// A step of the library's (rule U1). A defect in it leaves nothing to go on with: the process
/// ends, and the host hears of that.
fn library<T>(step: impl FnOnce() -> T) -> T {
    match contain(step) {
        Ok(value) => value,
        Err(panic) => unwind::die(panic.text()),
    }
}

enum Next {
    Run(Started),
    Again,
    End,
}

/// A task that has been started and is to be called.
struct Started {
    slot: &'static Slot,
    task: TaskRef,
}

impl Main {
    fn next(&mut self, spin_ns: u64) -> Next {
        if !sound(self.tasks.has_record()) {
            self.used = None;
            self.areas.sweep();
        }
        let record = Received::next(self.worker, &mut self.tasks, spin_ns);
        let next = match record.kind {
            frame::TASK => match self.begin(record.payload) {
                Some(started) => return Next::Run(started),
                None => Next::Again,
            },
            frame::DEFINE if self.functions.define(record.payload).is_some() => Next::Again,
            frame::EXIT => Next::End,
            _ => damaged("a record that is none of the host's\n"),
        };
        self.tasks.advance();
        next
    }

    /// Starts the task of a record. None: it is not to run, and the host has been told.
    fn begin(&mut self, record: &[u8]) -> Option<Started> {
        let head = record.first_chunk::<TASK_HEAD>();
        let head = head.and_then(|head| TaskHead::decode(head, record.len()));
        let Some((head, slot)) = head.and_then(|head| Some((head, self.worker.slot(head.slot)?)))
        else {
            damaged("a task that is none\n")
        };
        let shared = self.worker.link.slot(head.slot)?;
        crash_point("taken");
        if !shared.start(Instant::now().0) {
            outcome::skip(self.worker, head.slot);
            return None;
        }
        crash_point("started");
        match self.make(&head, &record[TASK_HEAD..], slot) {
            Ok(task) => Some(Started { slot, task }),
            Err(why) => {
                self.refuse(&head, why);
                None
            }
        }
    }

    /// The task of a record, ready to be called.
    fn make(&mut self, head: &TaskHead, inline: &[u8], slot: &Slot) -> Result<TaskRef, Why> {
        let function = match self.functions.find(head.function) {
            Some(Ok(function)) => function,
            Some(Err(_)) => return Err(Why::Function),
            None => damaged("a task with an unknown function\n"),
        };
        let work = self.work(head, inline, function)?;
        let cell = TaskCell::allocate(work, 2).ok_or(Why::Memory)?;
        // SAFETY: fresh, with two references: the runner's, and the slot's.
        let (task, kept) = unsafe { (TaskRef::from_raw(cell), TaskRef::from_raw(cell)) };
        task.set_owner(slot.as_owner());
        if head.output_limit >= 0 {
            let spec = Spec { output_limit: head.output_limit, ..Spec::DEFAULT };
            let spec = Shared::try_new(spec).ok_or(Why::Memory)?;
            task.add_extra(Some(spec)).ok_or(Why::Memory)?;
        }
        let late = self.worker.link.stop_level() != 0;
        let _begun = task.state.start(late); // nobody else knows it
        slot.begin(kept, head.area);
        Ok(task)
    }

    fn work<'a>(
        &mut self,
        head: &TaskHead,
        inline: &'a [u8],
        function: TaskFn,
    ) -> Result<Work<'a>, Why> {
        let as_buffer = head.flags & INPUT_BUFFER != 0;
        if head.area == 0 {
            if !as_buffer {
                let data: *const c_void = inline.as_ptr().cast();
                return Ok(Work::Foreign(function, data, inline.len()));
            }
            let buffer = BufferRef::new(inline.len()).ok_or(Why::Memory)?;
            if !inline.is_empty() {
                let place = buffer.data().cast::<u8>();
                // SAFETY: fresh memory of that length.
                unsafe { place.copy_from_nonoverlapping(inline.as_ptr(), inline.len()) };
            }
            return Ok(Work::Buffer(function, buffer));
        }
        let area = self.area(head.area)?;
        let Some(length) = usize::try_from(head.length).ok().filter(|&size| size <= area.size())
        else {
            damaged("a task with more data than its memory has\n")
        };
        // A buffer also where the task sees only its bytes: it keeps them for the task (W4).
        let buffer = BufferRef::of_lent_area(area, length, as_buffer).ok_or(Why::Memory)?;
        Ok(Work::Buffer(function, buffer))
    }

    /// An area of the host's. It has sent the descriptor before the record that needs it.
    fn area(&mut self, number: u64) -> Result<Shared<Area>, Why> {
        if let Some(area) = self.areas.get(number) {
            return Ok(area.clone());
        }
        let mut failure = None;
        loop {
            let mut packet = [0u8; PACKET];
            let mut fds = [const { None }; MOST_FDS];
            match self.worker.socket.receive(&mut packet, &mut fds) {
                Ok(Some(length)) => {
                    if let Err(errno) = self.take_message(&packet[..length], &mut fds, number) {
                        failure = Some(errno);
                    }
                }
                Ok(None) => process::leave(0), // the host has let go of this worker
                Err(Errno(libc::EAGAIN)) => break,
                Err(errno) => failure = Some(errno), // its descriptor is lost: no room for one
            }
        }
        match self.areas.get(number) {
            Some(area) => Ok(area.clone()),
            None => Err(Why::Area(failure.unwrap_or(Errno(libc::EMFILE)))),
        }
    }

    /// Err: the wanted area could not be taken in.
    fn take_message(
        &mut self,
        packet: &[u8],
        fds: &mut [Option<crate::platform::fd::Fd>; MOST_FDS],
        wanted: u64,
    ) -> Result<(), Errno> {
        let Some(Message::Area { id }) = Message::decode(packet) else { return Ok(()) };
        let Some(fd) = fds[0].take() else { return Ok(()) };
        match self.areas.insert(fd, id) {
            Err(errno) if id == wanted => Err(errno),
            _ => Ok(()),
        }
    }

    /// A task that cannot be run fails.
    fn refuse(&self, head: &TaskHead, why: Why) {
        let result = ResultHead { slot: head.slot, ..ResultHead::default() };
        let fail = |code, text: std::fmt::Arguments<'_>| {
            outcome::fail(self.worker, result, code, text);
        };
        match why {
            Why::Memory => fail(code::NO_MEMORY, format_args!("no memory for the task")),
            Why::Area(errno) => fail(
                code::SYSTEM,
                format_args!("the task's data could not be mapped in its worker: {errno}"),
            ),
            Why::Function => {
                if let Some(Err(text)) = self.functions.find(head.function) {
                    fail(code::NOT_FOUND, format_args!("{}", Lossy(text.as_bytes())));
                }
            }
        }
    }

    /// How much of the processor a task used that has just returned.
    fn processor_time_of(&mut self, ran_ns: u64) -> u64 {
        if ran_ns < SHORT_NS {
            self.short_ns += ran_ns;
            return ran_ns;
        }
        let now = process::processor_time();
        let before = self.used.replace(now).unwrap_or(now) + std::mem::take(&mut self.short_ns);
        now.saturating_sub(before)
    }

    /// Runs a started task and ships its outcome, unless it is kept for later. Not contained.
    fn run(&mut self, started: Started) {
        let Started { slot, task } = started;
        if self.used.is_none() {
            self.used = Some(process::processor_time());
            self.short_ns = 0;
        }
        let process = fork::generation();
        let begun = clock::ticks();
        let ended = {
            let _unreturned = Unreturned;
            let _user = due::InUser::enter();
            let ended = run::run_started(task, |_, _| {
                if fork::generation() != process {
                    return None;
                }
                let ran = clock::ticks().saturating_sub(begun);
                let ran_ns = clock::ticks_to_ns(ran);
                // Relaxed: W3: this thread's until the task is shipped, which comes after it has
                // settled or is detached.
                slot.run_ns.store(ran_ns, Ordering::Relaxed);
                slot.cpu_ns.store(self.processor_time_of(ran_ns), Ordering::Relaxed);
                Some((0, ran))
            });
            std::mem::forget(_unreturned);
            ended
        };
        leave_if_forked(process);
        crash_point("returned");
        library(|| {
            // First: the host looks for room in this ring when it reads the answer.
            self.tasks.advance();
            crash_point("advanced");
            if let Ended::Settled(_) = ended {
                slot.ship();
            }
        });
        crash_point("shipped");
        due::run_pending();
    }
}

/// What is missing for a task to be run.
enum Why {
    Memory,
    Function,
    Area(Errno),
}

fn damaged(how: &str) -> ! {
    unwind::tell(&["cfutures: a worker's link is damaged: ", how]);
    process::leave(DAMAGED)
}

/// A task forked and has returned in the child: the task is the parent's.
pub(super) fn leave_if_forked(process: u32) {
    if fork::generation() != process {
        process::flush_streams();
        process::leave(0);
    }
}

/// A task that ends the main thread (pthread_exit, cancellation) has failed, which the host was
/// told when its guards ran; the process cannot go on without its main thread.
struct Unreturned;

impl Drop for Unreturned {
    fn drop(&mut self) {
        process::flush_streams();
        process::leave(0);
    }
}
