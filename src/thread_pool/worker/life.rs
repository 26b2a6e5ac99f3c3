//! How a worker thread comes and goes.

use super::find::Next;
use super::{DECLARED, FORKED, Slot};
use crate::error::Lossy;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::due;
use crate::future::make::Work;
use crate::future::owner::OwnerRef;
use crate::future::run::{self, Ended};
use crate::future::state::Outcome;
use crate::local;
use crate::log::{self, Level};
use crate::platform::clock;
use crate::platform::thread::{self, Thread};
use crate::platform::{Errno, fork, memory};
use crate::sync::{AtomicBool, AtomicPtr, Ordering, global};
use crate::thread_pool::config::{Config, HookFn};
use crate::thread_pool::pool::Pool;
use crate::thread_pool::sleep::Notified;
use crate::unwind::contain;
use std::ffi::{CStr, c_void};
use std::io::Write;
use std::ptr::{self, NonNull};

/// Makes a worker thread that the sleep protocol has counted already, with the duty of
/// SEARCHING or without; false: it could not.
#[cold]
pub(in crate::thread_pool) fn create(pool: &Pool, searching: bool) -> bool {
    watch_forks();
    let mut roster = pool.roster.lock();
    let Some(number) = roster.vacant.pop() else { return false };
    let Some(slot) = slot_for(pool, number) else {
        roster.vacant.push(number);
        roster.errno = Errno(libc::ENOMEM);
        return false;
    };
    // The thread's own reference to the pool, taken up in `main`.
    let reference = pool.retain().into_raw();
    // SAFETY: the slot is alive. Relaxed: making the thread publishes it.
    unsafe { slot.as_ref() }.public.born_searching.store(searching, Ordering::Relaxed);
    roster.workers += 1;
    roster.starting += 1;
    match thread::spawn(main, slot.as_ptr().cast(), pool.config.stack_size) {
        Ok(_) => {
            roster.started += 1;
            true
        }
        Err(errno) => {
            roster.errno = errno;
            roster.workers -= 1;
            roster.starting -= 1;
            roster.vacant.push(number);
            drop(roster);
            // SAFETY: counted above; the caller's reference keeps the pool.
            drop(unsafe { OwnerRef::adopt(reference) });
            false
        }
    }
}

/// The slot of a number, made if need be; under the roster's lock.
fn slot_for(pool: &Pool, number: u16) -> Option<NonNull<Slot>> {
    let place = &pool.slots[usize::from(number)];
    // Relaxed: written under the same lock.
    if let Some(slot) = NonNull::new(place.load(Ordering::Relaxed)) {
        return Some(slot);
    }
    // Crossbeam allocates its deques without asking whether it can: ask for it.
    let probe = memory::allocate(4096, 64)?;
    // SAFETY: allocated just now.
    unsafe { memory::release(probe, 4096, 64) };
    let slot = memory::try_box(Slot::new(pool, number)).ok()?;
    // Release, both: pair with the Acquires in `Pool::slots` and `steal`.
    place.store(slot.as_ptr(), Ordering::Release);
    pool.slots_used.fetch_max(usize::from(number) + 1, Ordering::Release);
    Some(slot)
}

/// Frees a slot of a pool that is being destroyed.
///
/// # Safety
/// The slot has no thread and nobody else looks at it.
pub(in crate::thread_pool) unsafe fn destroy_slot(place: &AtomicPtr<Slot>) {
    // Relaxed: the last reference to the pool is gone.
    if let Some(slot) = NonNull::new(place.swap(ptr::null_mut(), Ordering::Relaxed)) {
        // SAFETY: made by try_box; by the contract nobody uses it.
        unsafe { memory::drop_box(slot) };
    }
}

/// What a worker thread runs. Unwinds through here if a task ends the thread.
extern "C-unwind" fn main(argument: *mut c_void) -> *mut c_void {
    let Some(slot) = NonNull::new(argument.cast::<Slot>()) else { return argument };
    let life = Life::begin(slot);
    // SAFETY: the slot stays as long as the pool, which `life` keeps.
    let slot = unsafe { slot.as_ref() };
    if slot.start() {
        let mut unusual = None;
        loop {
            match contain(|| slot.next(unusual.take())) {
                Ok(Next::Run(task, begun)) => slot.run(task, begun),
                Ok(Next::Calls) => {
                    slot.call_what_is_due();
                    continue;
                }
                Ok(Next::Leave) | Err(_) => break,
            }
            if !slot.is_forked() {
                unusual = slot.run_straight();
            }
            if slot.is_forked() {
                // The child's only thread: with it the child ends as by exit(0). What it would
                // leave the pool with belongs to threads that do not exist here.
                std::mem::forget(life);
                return ptr::null_mut();
            }
        }
    }
    drop(life);
    ptr::null_mut()
}

/// Called in the child of a fork(), in the thread that forked.
extern "C" fn note_fork() {
    let slot = local::here().worker.get().cast::<Slot>();
    // SAFETY: NULL, or this thread's own slot.
    if let Some(slot) = unsafe { slot.as_ref() } {
        // Relaxed: this thread looks at it.
        slot.public.called.fetch_or(FORKED, Ordering::Relaxed);
    }
}

/// Before the first worker: has workers note that they are in a forked child.
fn watch_forks() {
    global! {
        static WATCHED: AtomicBool = AtomicBool::new(false);
    }
    // Relaxed: decides who asks; a worker that forks was made after one that did.
    if !WATCHED.swap(true, Ordering::Relaxed) {
        fork::call_in_child(note_fork);
    }
}

impl Slot {
    /// The thread's first steps. False: the pool broke.
    fn start(&self) -> bool {
        let _ = contain(|| {
            self.name_thread();
            if let Some(timeline) = &self.pool().timeline {
                timeline.name_worker(timeline.here(), u32::from(self.number));
                timeline.mark(timeline.here(), "worker started", b"");
            }
        });
        if let Some(nice) = self.pool().config.nice {
            if let Err(errno) = thread::set_nice(nice) {
                log::write(
                    Level::Warning,
                    format_args!("CFUT_OPT_NICE {nice}: the system refused it: {errno}"),
                );
            }
        }
        let config = &self.pool().config;
        if config.hooks.is_some() || config.initializer.is_some() {
            // They may take long: others must not rely on this worker's search meanwhile.
            let _ = contain(|| self.stop_searching());
        }
        let mut started = Started(self, false);
        let good = self.run_start_hook() && self.run_initializer();
        started.1 = true;
        good
    }

    fn name_thread(&self) {
        let mut name = [0u8; 16];
        let digits = decimal_digits(self.number);
        // NAME-N in 15 bytes: the name is cut, not the number.
        let room = 15 - 1 - digits;
        let wanted = self.pool().config.name.as_bytes();
        let wanted = if wanted.is_empty() { b"cfut" } else { wanted };
        let kept = wanted.len().min(room);
        name[..kept].copy_from_slice(&wanted[..kept]);
        // Cannot fail: the room was counted.
        let _ = write!(&mut name[kept..15], "-{}", self.number);
        if let Ok(name) = CStr::from_bytes_until_nul(&name) {
            thread::set_name(name);
        }
    }

    fn run_start_hook(&self) -> bool {
        let Some(hooks) = &self.pool().config.hooks else { return true };
        let Some(start) = hooks.start else {
            self.mine().hooks_done.set(true);
            return true;
        };
        let code = {
            let _user = due::InUser::enter();
            // SAFETY: the user's hook with its argument, which the configuration keeps.
            unsafe { start(hooks.argument, u32::from(self.number)) }
        };
        if code == 0 {
            self.mine().hooks_done.set(true);
            return true;
        }
        self.break_pool(
            code,
            format_args!("the start hook of worker {} failed with code {code}", self.number),
        );
        false
    }

    fn run_initializer(&self) -> bool {
        let Some(initializer) = &self.pool().config.initializer else { return true };
        // SAFETY: the buffer's bytes are ours and do not change.
        let data = unsafe {
            let buffer = &initializer.data;
            if buffer.len() == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(buffer.data().cast::<u8>().cast_const(), buffer.len())
            }
        };
        let cell = TaskCell::allocate(Work::Bytes(initializer.function, data), 2);
        let Some(cell) = cell else {
            self.break_pool(
                0,
                format_args!("no memory for the initializer of worker {}", self.number),
            );
            return false;
        };
        // SAFETY: fresh, with two references: one for the run, one to look at the end.
        let (task, end) = unsafe { (TaskRef::from_raw(cell), TaskRef::from_raw(cell)) };
        let _ = contain(|| task.state.start(false));
        let ended = {
            let _user = due::InUser::enter();
            run::run_started(task, |_, _| (!self.is_forked()).then_some((0, 0)))
        };
        end.note_seen();
        due::run_pending();
        match ended {
            Ended::Settled(Outcome::Succeeded) => return true,
            Ended::Detached => self.break_pool(
                0,
                format_args!("the initializer returned CFUT_DETACH, which it must not"),
            ),
            _ => self.break_pool(
                end.code(),
                format_args!(
                    "the initializer of worker {} failed with code {}{}{}",
                    self.number,
                    end.code(),
                    if end.message().is_empty() { "" } else { ": " },
                    Lossy(end.message().as_bytes())
                ),
            ),
        }
        false
    }

    fn break_pool(&self, code: i32, text: std::fmt::Arguments<'_>) {
        let line = crate::error::Line::of(text);
        let _ = contain(|| self.pool().break_with(code, line.as_bytes()));
        log::write(Level::Error, format_args!("executor broken: {}", line.as_str()));
        due::run_pending();
    }
}

/// Tells whoever waits for the workers to be up, also if a hook ends the thread: then the
/// pool breaks, for each worker made in its place would meet the same end. The flag: it
/// returned.
struct Started<'a>(&'a Slot, bool);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        let _ = contain(|| {
            if !self.1 {
                let text = b"the start hook or the initializer ended its thread";
                self.0.pool().break_with(run::THREAD_ENDED, text);
            }
            self.0.pool().roster.lock().starting -= 1;
            self.0.pool().signal();
        });
    }
}

fn decimal_digits(number: u16) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A worker thread's life: what it enters and, however it ends, leaves.
struct Life {
    slot: NonNull<Slot>,
    /// Keeps the pool, and with it the slot.
    pool: Option<OwnerRef>,
}

impl Life {
    fn begin(slot: NonNull<Slot>) -> Life {
        // SAFETY: the creating thread counted a reference for us, so pool and slot live.
        let (this, pool) = unsafe {
            let this = slot.as_ref();
            (this, OwnerRef::adopt(this.head.executor))
        };
        let mine = this.mine();
        // Relaxed: published by the making of this thread.
        mine.searching.set(this.public.born_searching.load(Ordering::Relaxed));
        mine.uncounted.set(false);
        mine.hooks_done.set(false);
        mine.has_turn.set(false);
        mine.declared_blocks.set(0);
        mine.block_depth.set(0);
        mine.frames.set(ptr::null());
        mine.newest.set(ptr::null());
        mine.left_behind.set(0);
        mine.stack_floor.set(thread::stack_floor());
        // Relaxed: figures for the monitor.
        this.public.seen_cpu.store(0, Ordering::Relaxed);
        this.public.seen_at.store(clock::ticks(), Ordering::Relaxed);
        this.public.rests_since.store(clock::ticks(), Ordering::Relaxed);
        this.public.thread.store(thread::id(), Ordering::Relaxed);
        local::with(|local| {
            mine.local.set(local);
            local.worker.set(slot.as_ptr().cast());
            local.executor.set(pool.as_ptr().as_ptr().cast());
        });
        this.pool().end_quiet();
        Life { slot, pool: Some(pool) }
    }
}

impl Drop for Life {
    /// Also runs when a task ends the thread. Steps: the stop hook; out of the counts;
    /// the slot goes back; the pool may end; the reference goes.
    fn drop(&mut self) {
        // SAFETY: `self.pool` keeps the slot.
        let slot = unsafe { self.slot.as_ref() };
        let pool = slot.pool();
        let _leaving = Leaving(slot, self.pool.take());
        due::run_pending();
        if slot.mine().hooks_done.get() {
            if let Some((hooks, stop)) = stop_hook(&pool.config) {
                let _user = due::InUser::enter();
                // SAFETY: the user's hook with its argument, which the configuration keeps.
                unsafe { stop(hooks, u32::from(slot.number)) };
            }
        }
    }
}

/// The steps after the stop hook, also if that one ends the thread.
struct Leaving<'a>(&'a Slot, Option<OwnerRef>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _ = contain(|| leave_pool(self.0, self.0.pool()));
        local::with(|local| {
            local.worker.set(ptr::null());
            local.executor.set(ptr::null());
        });
        let reference = self.1.take();
        let _ = contain(|| drop(reference));
        due::run_pending();
    }
}

fn stop_hook(config: &Config) -> Option<(*mut c_void, HookFn)> {
    let hooks = config.hooks.as_ref()?;
    hooks.stop.map(|stop| (hooks.argument, stop))
}

fn leave_pool(slot: &Slot, pool: &Pool) {
    if let Some(timeline) = &pool.timeline {
        timeline.mark(timeline.here(), "worker left", b"");
    }
    // Relaxed: figures for the monitor.
    slot.public.since.store(0, Ordering::Relaxed);
    slot.public.thread.store(0, Ordering::Relaxed);
    let mine = slot.mine();
    if mine.has_turn.replace(false) {
        pool.turn.give();
    }
    slot.settle_dormancy();
    mine.declared_blocks.set(0);
    // Relaxed: as in `leave_frame`.
    slot.public.called.fetch_and(!DECLARED, Ordering::Relaxed);
    if !mine.uncounted.replace(true) {
        // A thread that ends inside a task may have declared to block.
        if mine.block_depth.replace(0) > 0 {
            pool.sleep.unblock();
        }
        pool.sleep.leave(mine.searching.replace(false));
    }
    if !pool.has_work() {
        pool.end_if_done();
    } else if pool.look_for_a_worker(usize::MAX) == Notified::Stranded {
        pool.monitor.keep_trying(pool);
    }
    let to_join = {
        let mut roster = pool.roster.lock();
        roster.workers -= 1;
        roster.vacant.push(slot.number);
        let to_join = roster.ended.pop();
        if pool.has_handles() {
            roster.ended.push(Thread::current());
        } else {
            // SAFETY: this very thread, in no list: nobody will join it.
            unsafe { Thread::current().detach() };
        }
        to_join
    };
    if let Some(thread) = to_join {
        // SAFETY: taken from the list, so joined here only; it is past its last lock.
        unsafe { thread.join(None) };
    }
    pool.signal();
}
