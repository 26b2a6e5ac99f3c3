//! What happens next, to all commands: one thread, made when it is needed.
//!
//! A round of it: sleep until something happens; take what others have handed over; let commands
//! start that may; read what has been written; hear the keeper; see to those that were settled or
//! asked to stop; kill those whose grace is over.

use super::code;
use super::job::{self, End, Job, State, Way};
use super::keeper::{Heard, Keeper};
use super::teller::{self, Batch};
use crate::error::{self, Error, Kind, Line, Lossy, Result};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::due::List;
use crate::future::extra::Text;
use crate::future::outside;
use crate::future::owner::OwnerRef;
use crate::future::promise::{self, Recording};
use crate::future::remote::Report;
use crate::future::result::Payload;
use crate::future::state::Outcome;
use crate::platform::clock::Instant;
use crate::platform::fork::{self, PerProcess};
use crate::platform::poll::{BATCH, Poller, WAKE};
use crate::platform::{Errno, host, process, signal, thread};
use crate::shared::Shared;
use crate::sync::{AtomicBool, Lock, Ordering, global};
use crate::transport::control::{Message, PACKET};
use crate::transport::program::Step;
use crate::unwind::contain;
use std::ffi::c_void;
use std::ptr;

/// For executors.
pub(super) static FOLLOWER: outside::Follower = outside::Follower { enlist, ring };

/// Commands that cannot be started for want of something, while none runs, fail after this.
const WANT_NS: u64 = 3_000_000_000;
/// After something was wanting.
const AGAIN_NS: u64 = 15_000_000;
/// Where an executor does not ring, commands are looked at so often.
const LOOK_NS: u64 = 50_000_000;
/// The follower and its keeper stay so long with nothing to do.
const LINGER_NS: u64 = 2_000_000_000;

/// A keeper that owes an answer and says nothing for so long is asked whether it is there, and killed
/// if it does not answer that for as long: it is stopped, most likely.
const SILENCE_NS: u64 = 5_000_000_000;

const KEEPER: u64 = u64::MAX - 2;
const _: () = assert!(KEEPER != WAKE);

// ---- the outside ----

/// What was handed over, and who takes it (C1).
struct Inbox {
    /// Of the follower, if there is one.
    poller: Option<Shared<Poller>>,
    /// Executors whose lanes are to be looked into.
    lanes: Vec<OwnerRef>,
    /// Promises of commands without a lane, with their input.
    handed: Vec<(TaskRef, Vec<u8>)>,
}

const EMPTY: Inbox = Inbox { poller: None, lanes: Vec::new(), handed: Vec::new() };

global! {
    static INBOX: Lock<Inbox> = Lock::new(EMPTY);
}
static PER_PROCESS: PerProcess = PerProcess::new();

/// Something was settled or asked to stop since the follower looked.
static RUNG: AtomicBool = AtomicBool::new(false);

fn follow_fork() {
    PER_PROCESS.follow(|| {
        // SAFETY: first use in this child: no thread of it holds the lock.
        unsafe { INBOX.reset(EMPTY) };
        // Relaxed: the follower that it was for is the parent's.
        RUNG.store(false, Ordering::Relaxed);
    });
}

fn enlist(owner: OwnerRef) -> Result<()> {
    follow_fork();
    let mut inbox = INBOX.lock();
    inbox.lanes.try_reserve(1).map_err(|_| Error::no_memory("a list of executors", 8))?;
    inbox.wake_follower()?;
    inbox.lanes.push(owner);
    Ok(())
}

fn ring() {
    follow_fork();
    // AcqRel: pairs with the swap in `step`: what was done before is seen there.
    if !RUNG.swap(true, Ordering::AcqRel) {
        if let Some(poller) = &INBOX.lock().poller {
            poller.wake();
        }
    }
}

impl Inbox {
    /// Also makes one. Under the lock, so it finds what is put in after this.
    fn wake_follower(&mut self) -> Result<()> {
        if let Some(poller) = &self.poller {
            poller.wake();
            return Ok(());
        }
        fork::watch();
        let poller = Poller::new().map_err(|errno| {
            Error::new(
                Kind::System,
                format_args!("no descriptors for the events of commands: {errno}"),
            )
        })?;
        let no_memory = || Error::no_memory("the events of commands", size_of::<Poller>());
        let poller = Shared::try_new(poller).ok_or_else(no_memory)?;
        let passed = poller.clone().into_raw();
        match thread::spawn(main, passed.cast_mut().cast(), 0) {
            // SAFETY: just made, and known to nobody else.
            Ok(made) => unsafe { made.detach() },
            Err(errno) => {
                // SAFETY: the count that the thread would have had.
                drop(unsafe { Shared::from_raw(passed) });
                let text = format_args!("no thread could be created to follow commands: {errno}");
                return Err(Error::new(Kind::System, text));
            }
        }
        poller.wake();
        self.poller = Some(poller);
        Ok(())
    }
}

/// The function of a command, for executors without a lane: hands it over.
pub(super) unsafe extern "C-unwind" fn begin(
    promise: *const TaskCell,
    data: *const c_void,
    len: usize,
) -> i32 {
    // SAFETY: an executor calls this as a task function.
    let handed = contain(|| unsafe { hand_over(promise, data, len) });
    handed.unwrap_or(code::PANIC)
}

/// # Safety
/// The arguments are those of a task function that is being called.
unsafe fn hand_over(promise: *const TaskCell, data: *const c_void, len: usize) -> i32 {
    // SAFETY: by the contract.
    let task = unsafe { job::promise_of(promise) };
    let mut input = Vec::new();
    let handed = (|| {
        if !task.is_command() {
            let text = format_args!("the executor has lost the options of a command");
            return Err(Error::new(Kind::NotSupported, text));
        }
        let no_memory = || Error::no_memory("the input of a command", len);
        input.try_reserve_exact(len).map_err(|_| no_memory())?;
        if len > 0 {
            // SAFETY: by the contract so many bytes are there.
            input.extend_from_slice(unsafe { std::slice::from_raw_parts(data.cast(), len) });
        }
        follow_fork();
        let mut inbox = INBOX.lock();
        inbox.handed.try_reserve(1).map_err(|_| no_memory())?;
        inbox.wake_follower()?;
        inbox.handed.push((task.clone(), std::mem::take(&mut input)));
        Ok(())
    })();
    let Err(error) = handed else {
        // The inbox has a reference of its own; the promise is that one's.
        drop(task);
        return crate::future::run::DETACH;
    };
    let code = if error.0 == Kind::NoMemory { code::NO_MEMORY } else { code::SYSTEM };
    let message = error::with_last(|text| Text::copy(text).unwrap_or(Text::EMPTY));
    let recording = Recording { outcome: Outcome::Failed, code, message, payload: Payload::None };
    let _ = promise::put(&task, recording); // settled by others, or for lack of memory silent
    promise::release(task);
    code
}

// ---- the thread ----

extern "C-unwind" fn main(argument: *mut c_void) -> *mut c_void {
    // SAFETY: the count that `wake_follower` passed.
    let poller = unsafe { Shared::from_raw(argument.cast::<Poller>().cast_const()) };
    thread::set_name(c"cfut-commands");
    teller::follow_fork();
    let mut follower = Follower {
        jobs: Vec::new(),
        keeper: None,
        silence: None,
        trouble: None,
        generation: 0,
        next_look: None,
        idle_since: None,
    };
    // What a defect has left undone shows as a command that does not end; the others go on.
    while contain(|| follower.step(&poller)).unwrap_or(true) {}
    ptr::null_mut()
}

/// That commands cannot be started.
struct Trouble {
    since: Instant,
    last: Instant,
}

/// Since when the keeper has said nothing, and whether it was asked to.
struct Silence {
    since: Instant,
    asked: bool,
}

struct Follower {
    /// By number.
    jobs: Vec<Option<Job>>,
    keeper: Option<Keeper>,
    silence: Option<Silence>,
    trouble: Option<Trouble>,
    generation: u32,
    next_look: Option<Instant>,
    idle_since: Option<Instant>,
}

impl Follower {
    /// One round; false: the follower leaves.
    fn step(&mut self, poller: &Poller) -> bool {
        let mut tokens = [0; BATCH];
        let count = poller.wait(&mut tokens, self.deadline());
        // AcqRel: pairs with the swap in `ring`.
        let rung = RUNG.swap(false, Ordering::AcqRel);
        self.take_inbox();
        for &token in &tokens[..count] {
            match token {
                WAKE => {}
                KEEPER => self.hear(poller),
                token => self.read(token, poller),
            }
        }
        let now = Instant::now();
        self.look(rung, now);
        self.launch_parked(now, poller);
        self.mind_silence(now);
        tell(None); // what references that went have made due
        if self.is_idle() {
            let since = *self.idle_since.get_or_insert(now);
            return since.plus(LINGER_NS) > now || !self.leave(poller);
        }
        self.idle_since = None;
        true
    }

    fn is_idle(&self) -> bool {
        self.jobs().next().is_none() && teller::is_idle()
    }

    /// False: something has come meanwhile.
    fn leave(&mut self, poller: &Poller) -> bool {
        let mut inbox = INBOX.lock();
        if !inbox.lanes.is_empty() || !inbox.handed.is_empty() {
            return false;
        }
        inbox.poller = None;
        if let Some(keeper) = self.keeper.take() {
            poller.remove(keeper.fd());
        }
        true
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().flatten()
    }

    /// When the next round begins at the latest.
    fn deadline(&self) -> Option<Instant> {
        let kills = self.jobs().filter_map(Job::deadline).min();
        let again = self.trouble.as_ref().map(|trouble| trouble.last.plus(AGAIN_NS));
        let again = again.filter(|_| self.jobs().any(|job| job.state == State::Parked));
        let retries = self.jobs().any(|job| job.retries);
        let retries = retries.then(|| Instant::now().plus(AGAIN_NS));
        let start = self.keeper.as_ref().and_then(Keeper::due);
        let silence = self.silence.as_ref().map(|silence| silence.since.plus(SILENCE_NS));
        let leave = self.idle_since.map(|since| since.plus(LINGER_NS));
        let tells = teller::tend(Instant::now());
        let all = [kills, again, retries, start, silence, leave, tells, self.next_look];
        all.into_iter().flatten().min()
    }

    // ---- begins ----

    fn take_inbox(&mut self) {
        let (lanes, handed) = {
            let mut inbox = INBOX.lock();
            (std::mem::take(&mut inbox.lanes), std::mem::take(&mut inbox.handed))
        };
        for owner in lanes {
            if let Some(lane) = teller::lane_of(&owner) {
                lane.note_visit();
            }
            self.visit(&owner);
        }
        for (task, input) in handed {
            self.add(task, Way::Detached(input));
        }
    }

    /// Takes what may start out of a lane.
    fn visit(&mut self, owner: &OwnerRef) {
        let (Some(lane), Some(table)) = (teller::lane_of(owner), owner.vtable.outside) else {
            return;
        };
        while let Some(task) = lane.next() {
            // SAFETY: the reference keeps the executor, whose command this is; so below.
            let owner = unsafe { OwnerRef::retain(owner.as_ptr()) };
            // SAFETY: as above.
            if unsafe { (table.begin)(owner.as_ptr(), &task) } {
                self.add(task, Way::Lane(owner));
                continue;
            }
            // It was settled while it waited, and counted then.
            lane.give_place(&task);
            drop(task);
            tell(Some(owner));
        }
    }

    fn add(&mut self, task: TaskRef, way: Way) {
        self.generation = self.generation.wrapping_add(1);
        let job = Job::new(task, way, self.generation);
        if let Some(place) = self.jobs.iter_mut().find(|place| place.is_none()) {
            *place = Some(job);
            return;
        }
        while self.jobs.try_reserve(1).is_err() {
            thread::yield_now(); // it has been accepted
        }
        self.jobs.push(Some(job));
    }

    /// Has the keeper start what waits for that.
    fn launch_parked(&mut self, now: Instant, poller: &Poller) {
        let parked = |job: &Job| job.state == State::Parked;
        if !self.jobs().any(parked) {
            self.trouble = None;
            return;
        }
        if self.trouble.as_ref().is_some_and(|trouble| now < trouble.last.plus(AGAIN_NS)) {
            return;
        }
        if self.have_keeper(now, poller).is_err() {
            let why = error::with_last(|text| Line::of(format_args!("{}", Lossy(text))));
            return self.note_trouble(why, now, poller);
        }
        let Some(keeper) = self.keeper.as_ref().filter(|keeper| keeper.ready) else { return };
        for number in 0..self.jobs.len() {
            let Some(job) = self.jobs[number].as_mut().filter(|job| parked(job)) else { continue };
            if let Err(errno) = job.launch(keeper, poller, number as u32) {
                return self.note_trouble(Line::of(format_args!("{errno}")), now, poller);
            }
        }
        self.trouble = None;
    }

    fn have_keeper(&mut self, now: Instant, poller: &Poller) -> Result<()> {
        if let Some(keeper) = &self.keeper {
            if keeper.due().is_some_and(|due| due <= now) {
                keeper.kill(); // its socket tells of its end
            }
            return Ok(());
        }
        let keeper = Keeper::start()?;
        poller.add(keeper.fd(), KEEPER).map_err(|errno| {
            Error::new(Kind::System, format_args!("the keeper cannot be listened to: {errno}"))
        })?;
        self.keeper = Some(keeper);
        Ok(())
    }

    /// Something is wanting. What runs will give some of it back; if nothing does, whoever waits for
    /// it fails after a while.
    fn note_trouble(&mut self, why: Line, now: Instant, poller: &Poller) {
        let others = self.jobs().any(|job| job.state != State::Parked);
        let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
        let since = if others { now } else { since };
        if since.plus(WANT_NS) > now {
            self.trouble = Some(Trouble { since, last: now });
            return;
        }
        self.trouble = None;
        for number in 0..self.jobs.len() {
            let Some(job) = &mut self.jobs[number] else { continue };
            if job.state == State::Parked {
                let report = job.report_trouble(why.as_str(), poller);
                self.end(number, report);
            }
        }
    }

    // ---- runs ----

    fn read(&mut self, token: u64, poller: &Poller) {
        let Some((number, which)) = job::of_token(token) else { return };
        if let Some(Some(job)) = self.jobs.get_mut(number) {
            job.read(which, self.keeper.as_ref(), poller, number as u32);
        }
    }

    /// Sees to all that were settled or asked to stop, and to those whose time is up.
    fn look(&mut self, rung: bool, now: Instant) {
        let regular = self.next_look.is_some_and(|next| next <= now);
        let lonely = self.jobs().any(|job| matches!(job.way, Way::Detached(_)));
        self.next_look = match self.next_look {
            Some(next) if lonely && !regular => Some(next),
            _ => lonely.then(|| now.plus(LOOK_NS)),
        };
        for number in 0..self.jobs.len() {
            let Some(job) = &mut self.jobs[number] else { continue };
            let due = job.deadline().is_some_and(|deadline| deadline <= now);
            if !(rung || regular || job.retries || due) {
                continue;
            }
            let parked = job.state == State::Parked;
            let over = job.task.snapshot().is_settled() || promise::stop_requested(&job.task);
            if parked && over {
                let report = job.report_unstarted();
                self.end(number, report);
            } else if let Some(keeper) = &self.keeper {
                job.look(keeper, number as u32, now);
            }
        }
    }

    // ---- the keeper ----

    fn hear(&mut self, poller: &Poller) {
        let mut packet = [0u8; PACKET];
        // Now and then others have something to say.
        for _ in 0..BATCH {
            let Some(keeper) = &mut self.keeper else { return };
            match keeper.hear(&mut packet) {
                Heard::Nothing => return,
                Heard::Gone => return self.lose_keeper(poller),
                Heard::Message(Message::Ready { .. }) => keeper.ready = true,
                Heard::Message(message) => {
                    self.silence = None;
                    self.take(&message, poller);
                }
            }
        }
    }

    fn take(&mut self, message: &Message<'_>, poller: &Poller) {
        let now = Instant::now();
        match *message {
            Message::Spawned { worker, generation, pid } => {
                let Some(number) = self.find(worker, generation) else { return };
                if let (Some(job), Some(keeper)) = (&mut self.jobs[number], &self.keeper) {
                    job.note_start(pid);
                    job.look(keeper, worker, now); // it may have been settled meanwhile
                }
            }
            Message::NotExecuted { worker, generation, step, errno } => {
                let Some(number) = self.find(worker, generation) else { return };
                let Some(job) = &mut self.jobs[number] else { return };
                let wanting = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE];
                if step == Step::Make && wanting.contains(&errno) {
                    job.park(poller);
                    let why = Line::of(format_args!("{}", Errno(errno)));
                    return self.note_trouble(why, now, poller);
                }
                let report = job.report_no_start(step, Errno(errno), poller);
                self.end(number, report);
            }
            Message::Exited { worker, generation, status, user_ns, system_ns, max_rss, .. } => {
                let Some(number) = self.find(worker, generation) else { return };
                let Some(job) = &mut self.jobs[number] else { return };
                let end = End { status, cpu_ns: user_ns + system_ns, max_rss };
                let report = job.report_end(&end, poller);
                self.end(number, report);
            }
            _ => {}
        }
    }

    /// Sees to it that a keeper which owes an answer gives one, or goes.
    fn mind_silence(&mut self, now: Instant) {
        let owes = self.jobs().any(Job::awaits_keeper);
        let Some(keeper) = self.keeper.as_ref().filter(|keeper| keeper.ready && owes) else {
            self.silence = None;
            return;
        };
        let silence = self.silence.get_or_insert(Silence { since: now, asked: false });
        if silence.since.plus(SILENCE_NS) > now {
            return;
        }
        if silence.asked {
            keeper.kill(); // its socket tells of its end
        } else {
            // One whose socket is full does not listen either.
            let _ = keeper.send(&Message::Bell, &[]);
        }
        self.silence = Some(Silence { since: now, asked: true });
    }

    fn find(&self, number: u32, generation: u32) -> Option<usize> {
        let job = self.jobs.get(number as usize)?.as_ref()?;
        (job.generation == generation).then_some(number as usize)
    }

    /// The keeper has ended, and what it had started with it.
    fn lose_keeper(&mut self, poller: &Poller) {
        let Some(keeper) = self.keeper.take() else { return };
        poller.remove(keeper.fd());
        keeper.collect();
        for number in 0..self.jobs.len() {
            let Some(job) = &mut self.jobs[number] else { continue };
            if job.state == State::Parked {
                continue;
            }
            if job.pid > 0 {
                // The kernel ends the command; the rest of its group has nobody else to end it.
                let _ = process::kill_group(job.pid, signal::KILL); // most often: gone
                host::collect_orphan(job.pid);
            }
            let report = job.report_loss(poller);
            self.end(number, report);
        }
        if !keeper.ready {
            let why = Line::of(format_args!(
                "the program that starts commands ended before it was ready: if it is this one, it must \
                 call cfut_worker_main() at the top of main(); if it is cfutures-worker, it has said \
                 on standard error what it lacks"
            ));
            self.note_trouble(why, Instant::now(), poller);
        }
    }

    // ---- ends ----

    /// Settles a job that is over, and gives its place to the next.
    fn end(&mut self, number: usize, report: Report) {
        let Some(Job { task, way, .. }) = self.jobs[number].take() else { return };
        Job::give_place(&task, &way);
        Job::settle(task, &way, report);
        let owner = match way {
            Way::Lane(owner) => Some(owner),
            Way::Detached(_) => None,
        };
        if let Some(owner) = &owner {
            self.visit(owner);
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.last = Instant(0); // it may be had now
        }
        tell(owner);
    }
}

/// Has the user told of what has become due in this thread; the command is gone afterwards.
fn tell(leaves: Option<OwnerRef>) {
    teller::hand(Batch { calls: List::take(), leaves }, Instant::now());
}
