//! Completion queues: futures in the order they settle, and a descriptor for event loops.
//!
//! An entry is the hook that waited in the future: adding allocates it, so a completion
//! cannot fail for lack of memory. Everything is under one lock, held for a few
//! instructions; nobody is called under it. Whoever settles a future takes it with the future's
//! LOCK held; nobody does the other way round.
//!
//! Entries come just before their futures settle, and `next` waits for the rest. So whoever has
//! seen a future settled finds it in the queue, and what settles because of that comes after it.
//! Of two that settle at the same time either may be first.
//!
//! The descriptor is level-triggered by construction: the pipe holds a byte exactly while
//! entries wait. The byte goes in and comes out under the lock.

use super::cell::TaskRef;
use super::hook::{Action, Hook};
use super::settle;
use crate::error::{Error, Result, fail};
use crate::platform::clock::Instant;
use crate::platform::fork;
use crate::platform::pipe::Pipe;
use crate::shared::Shared;
use crate::sync::{AtomicUsize, Futex32, Lock, Ordering};
use std::ptr::{self, NonNull};

pub(crate) type QueueRef = Shared<Queue>;

pub(crate) struct Queue {
    /// Handles of the user's; without one, entries are dropped as they come.
    handles: AtomicUsize,
    generation: u32,
    entries: Lock<Entries>,
    /// Changes whenever a sleeper should look again.
    signal: Futex32,
}

struct Entries {
    first: *mut Hook,
    last: *mut Hook,
    /// Added and not yet returned by `next`.
    outstanding: usize,
    sleepers: usize,
    pipe: Option<Pipe>,
    /// No handle is left.
    closed: bool,
}

// SAFETY: the pointers lead to hooks that the queue owns.
unsafe impl Send for Entries {}

/// What `next` found.
pub(crate) enum Next {
    Entry(TaskRef, u64),
    /// Nothing is outstanding.
    End,
    /// Nothing waits now; the signal to sleep on.
    Empty(u32),
}

impl Queue {
    pub(crate) fn new() -> Result<QueueRef> {
        fork::watch();
        Shared::try_new(Queue {
            handles: AtomicUsize::new(1),
            generation: fork::generation(),
            entries: Lock::new(Entries {
                first: ptr::null_mut(),
                last: ptr::null_mut(),
                outstanding: 0,
                sleepers: 0,
                pipe: None,
                closed: false,
            }),
            signal: Futex32::new(0),
        })
        .ok_or_else(|| Error::no_memory("a queue", size_of::<Queue>()))
    }

    pub(crate) fn add_handle(&self) {
        // Relaxed: a handle from an existing one publishes nothing.
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Drops a handle of the user's. With the last one, what waits is dropped.
    pub(crate) fn drop_handle(&self) {
        // AcqRel: pairs with itself in the other drops; the last one closes after all that
        // the others did.
        if self.handles.fetch_sub(1, Ordering::AcqRel) != 1 || self.is_inherited() {
            return;
        }
        let mut list = {
            let mut entries = self.entries.lock();
            entries.closed = true;
            entries.pipe = None;
            entries.last = ptr::null_mut();
            std::mem::replace(&mut entries.first, ptr::null_mut())
        };
        while let Some(hook) = NonNull::new(list) {
            // SAFETY: taken out of the queue, so ours.
            unsafe {
                list = *Hook::link(hook);
                drop(Hook::consume(hook));
            }
        }
    }

    fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.is_inherited() {
            return fail!(Forked, "this queue was made before fork(); make a new one in the child");
        }
        Ok(())
    }

    pub(crate) fn next(&self) -> Result<Next> {
        self.check_fork()?;
        let mut entries = self.entries.lock();
        let Some(hook) = NonNull::new(entries.first) else {
            if entries.outstanding == 0 {
                return Ok(Next::End);
            }
            // Relaxed: changes only under the lock.
            return Ok(Next::Empty(self.signal.load(Ordering::Relaxed)));
        };
        // SAFETY: entries in the queue belong to it, and the lock is held.
        entries.first = unsafe { *Hook::link(hook) };
        entries.outstanding -= 1;
        if entries.first.is_null() {
            entries.last = ptr::null_mut();
            if let Some(pipe) = &entries.pipe {
                pipe.drain();
            }
        }
        let sleepers_must_end = entries.outstanding == 0 && entries.sleepers > 0;
        if sleepers_must_end {
            // Relaxed: under the lock, and the futex compares the value itself.
            self.signal.fetch_add(1, Ordering::Relaxed);
        }
        drop(entries);
        if sleepers_must_end {
            self.signal.wake_all();
        }
        // SAFETY: taken out of the queue, so ours.
        match unsafe { Hook::consume(hook) } {
            Some(Action::Delivered(future, tag)) => {
                if !future.snapshot().is_settled() {
                    // Whoever settles it has put it here and is about to give LOCK back.
                    let _settled = future.state.lock();
                    future.state.unlock(0, 0);
                }
                future.note_seen();
                Ok(Next::Entry(future, tag))
            }
            _ => Ok(Next::End), // not reached: only deliveries are in the queue
        }
    }

    /// Sleeps until the signal is no longer `seen`; false at the deadline.
    pub(crate) fn sleep(&self, seen: u32, deadline: Option<Instant>) -> bool {
        {
            let mut entries = self.entries.lock();
            // Relaxed: changes only under the lock.
            if self.signal.load(Ordering::Relaxed) != seen || !entries.first.is_null() {
                return true;
            }
            entries.sleepers += 1;
        }
        let woken = self.signal.wait(seen, deadline);
        self.entries.lock().sleepers -= 1;
        woken
    }

    /// The descriptor, made when first asked for.
    pub(crate) fn descriptor(&self) -> Result<i32> {
        self.check_fork()?;
        let mut entries = self.entries.lock();
        if let Some(pipe) = &entries.pipe {
            return Ok(pipe.readable_end());
        }
        let pipe = match Pipe::new() {
            Ok(pipe) => pipe,
            Err(errno) => return fail!(System, "no pipe for the queue's descriptor: {errno}"),
        };
        if !entries.first.is_null() {
            pipe.fill();
        }
        let descriptor = pipe.readable_end();
        entries.pipe = Some(pipe);
        Ok(descriptor)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The last handle has emptied it, and hooks that settle later find it closed; a
        // queue inherited through fork keeps its memory, whose locks may be held.
        debug_assert!(self.is_inherited() || self.entries.lock().first.is_null());
    }
}

/// Puts `future` into the queue once it settles.
pub(crate) fn add(queue: &QueueRef, future: &TaskRef, tag: u64) -> Result<()> {
    queue.check_fork()?;
    settle::check_fork(future)?;
    let Some(hook) = Hook::allocate(Action::Deliver(queue.clone(), tag)) else {
        return Err(Error::no_memory("an entry of a queue", super::arena::block_size(0)));
    };
    queue.entries.lock().outstanding += 1;
    settle::hook_in(future, hook);
    Ok(())
}

/// Turns a delivery of a settled future into an entry of its queue; any other hook is given back.
///
/// # Safety
/// The hook is in no ring and nobody else refers to it.
pub(super) unsafe fn deliver(future: &TaskRef, hook: NonNull<Hook>) -> Option<NonNull<Hook>> {
    // SAFETY: by the contract.
    let queue = match unsafe { Hook::redirect(hook, future) } {
        Some(queue) => queue,
        None => return Some(hook),
    };
    // SAFETY: a delivery, just redirected.
    drop(unsafe { enter(queue, hook) });
    None
}

/// Turns the deliveries of a future that is about to settle into entries. Whoever sleeps for the
/// last of them is woken when the answer goes: only then is the future settled.
///
/// # Safety
/// The future's LOCK is held.
pub(super) unsafe fn deliver_all(future: &TaskRef) -> Option<Sleeper> {
    let mut sleeper = None;
    // SAFETY: by the contract.
    let mut next = unsafe { future.take_hooks(Action::is_delivery) };
    while let Some(hook) = NonNull::new(next) {
        // SAFETY: out of the ring and ours; redirected before it is entered.
        unsafe {
            next = *Hook::link(hook);
            if let Some(queue) = Hook::redirect(hook, future) {
                sleeper = enter(queue, hook).or(sleeper);
            }
        }
    }
    sleeper
}

/// A queue in which somebody sleeps for an entry: is woken when this goes.
pub(super) struct Sleeper(QueueRef);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.signal.wake_one();
    }
}

/// Puts a redirected hook into its queue.
///
/// # Safety
/// The hook is in no ring and nobody else refers to it.
unsafe fn enter(queue: QueueRef, hook: NonNull<Hook>) -> Option<Sleeper> {
    let mut entries = queue.entries.lock();
    if entries.closed {
        drop(entries);
        // SAFETY: still ours.
        drop(unsafe { Hook::consume(hook) });
        return None;
    }
    // SAFETY: the hook becomes the queue's; the lock is held.
    unsafe { *Hook::link(hook) = ptr::null_mut() };
    match NonNull::new(entries.last) {
        // SAFETY: an entry of the queue.
        Some(last) => unsafe { *Hook::link(last) = hook.as_ptr() },
        None => {
            entries.first = hook.as_ptr();
            if let Some(pipe) = &entries.pipe {
                pipe.fill();
            }
        }
    }
    entries.last = hook.as_ptr();
    let wake = entries.sleepers > 0;
    if wake {
        // Relaxed: under the lock, and the futex compares the value itself.
        queue.signal.fetch_add(1, Ordering::Relaxed);
    }
    drop(entries);
    wake.then_some(Sleeper(queue))
}
