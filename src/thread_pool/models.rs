//! Models of the pool: submits, sleeping workers, shutdown, waits inside tasks.
//!
//! They run whole pools: the code of this room with the model checker's threads. Only
//! crossbeam's deque has a stand-in (`queue`), no clock runs, and there is no monitor: a
//! pool must do its work without. Tasks are closures, which go the ordinary way. A run is some
//! hundred steps, so preemptions are bounded, as each model says. A lost wake-up shows as a
//! deadlock, a task left behind as memory that was not released; see also `future::models`.

use super::batch::{BATCH, Batch};
use super::config::Config;
use super::inbox::{Inbox, Lane};
use super::pool::Pool;
use super::queue::{Entry, Own};
use super::sleep::{Limits, Notified, Sleep, Unparked};
use super::submit::Submitted;
use crate::future::bound::FullPolicy;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::due;
use crate::future::extra::Text;
use crate::future::make::{Data, Work};
use crate::future::owner::OwnerRef;
use crate::future::phase::Phase;
use crate::future::state::Outcome;
use crate::future::wait::{Step, Wait};
use crate::platform::thread::modelled;
use crate::sync::{AtomicUsize, Ordering, Timeout, UnsafeCell, explore, fence};
use loom::thread;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

mod parts;
mod recalls;

thread_local! {
    /// How many tasks have run; all threads of a model are one thread of the system.
    static RAN: Cell<u32> = const { Cell::new(0) };
}

/// CFUT_SHUTDOWN_CANCEL.
const CANCEL: u32 = 1;

fn ran() -> u32 {
    RAN.get()
}

fn new_pool(change: impl FnOnce(&mut Config)) -> OwnerRef {
    let mut config = Config {
        workers: 1,
        keep: 0,
        idle_ns: None,
        queue_limit: 0,
        queue_bytes: 0,
        full_policy: FullPolicy::Block,
        full_timeout: -1,
        stack_size: 0,
        nice: None,
        linger_ns: 0,
        waiters_help: false,
        name: Text::EMPTY,
        trace_file: Text::EMPTY,
        initializer: None,
        hooks: None,
    };
    change(&mut config);
    RAN.set(0);
    modelled::refuse(0);
    Pool::new(config).ok().expect("memory")
}

fn pool(owner: &OwnerRef) -> &Pool {
    // SAFETY: made by `new_pool`, kept by the reference.
    unsafe { Pool::of(owner.as_ptr()) }
}

unsafe extern "C-unwind" fn count(_: *const TaskCell, _: *mut c_void) -> i32 {
    RAN.set(ran() + 1);
    0
}

/// A task that has its own pool run another one, and waits for it.
unsafe extern "C-unwind" fn nest(_: *const TaskCell, of: *mut c_void) -> i32 {
    let pool = of.cast::<Pool>();
    // SAFETY: the pool this runs in.
    let inner = submit(unsafe { &*pool }).expect("accepted");
    wait_for(&inner);
    RAN.set(ran() + 1);
    0
}

/// None: refused.
fn submit(pool: &Pool) -> Option<TaskRef> {
    submit_closure(pool, count, ptr::null_mut(), true)?
}

fn submit_closure(
    pool: &Pool,
    function: crate::future::cell::ClosureFn,
    argument: *mut c_void,
    handle: bool,
) -> Option<Option<TaskRef>> {
    let work = Work::Closure(function, argument, None);
    match pool.submit(work, 0, None, handle) {
        Ok(Submitted::Queued(handle)) => Some(handle),
        Ok(Submitted::RunHere(..)) => panic!("the queue has no bound"),
        Err(_) => None,
    }
}

unsafe extern "C-unwind" fn count_straight(_: *const TaskCell, _: *const c_void, _: usize) -> i32 {
    RAN.set(ran() + 1);
    0
}

/// As an export submits small data, the straight way if there is nothing unusual. None: refused.
fn submit_small(pool: &Pool) -> Option<TaskRef> {
    let mut place = MaybeUninit::<Entry>::uninit();
    let data = Data::Word(0, 0);
    // SAFETY: there is room for the handle.
    match unsafe { pool.submit_straight(count_straight, data, place.as_mut_ptr()) } {
        // SAFETY: accepted: the handle was written.
        Some(Ok(())) => Some(unsafe { TaskRef::from_raw(place.assume_init()) }),
        Some(Err(_)) => None,
        None => match pool.submit(Work::Bytes(count_straight, &[]), 0, None, true) {
            Ok(Submitted::Queued(handle)) => handle,
            Ok(Submitted::RunHere(..)) => panic!("the queue has no bound"),
            Err(_) => None,
        },
    }
}

fn wait_for(cell: &TaskRef) -> Outcome {
    let mut wait = Wait::new(cell, Timeout::Forever);
    loop {
        match wait.step() {
            Step::Settled(outcome) => return outcome,
            Step::CallDue => due::run_all(),
            Step::Help(helped) => helped.run(),
            Step::TimedOut | Step::Deadlock | Step::Inherited => panic!("a wait for ever"),
        }
    }
}

/// Ends the pool, waits for its threads and drops the handle.
fn end(owner: OwnerRef) {
    let ended = pool(&owner).shutdown(0, Timeout::Forever);
    assert!(matches!(ended, Ok(true)));
    release(owner);
}

/// Drops the handle; the reference is the handles'.
fn release(owner: OwnerRef) {
    pool(&owner).drop_handle();
    // `drop_handle` has given up the reference that the handles have together.
    std::mem::forget(owner);
    due::run_pending();
}

/// Two tasks, one after the other: the second may find the worker asleep, or on its way. The
/// pool ends with its only worker. No preemption: switches where a thread sleeps or ends.
#[test]
fn submit_and_wait() {
    explore(Some(0), || {
        let owner = new_pool(|_| {});
        let first = submit(pool(&owner)).expect("accepted");
        assert_eq!(wait_for(&first), Outcome::Succeeded);
        let second = submit(pool(&owner)).expect("accepted");
        assert_eq!(wait_for(&second), Outcome::Succeeded);
        drop((first, second));
        end(owner);
        assert_eq!(ran(), 2);
    });
}

/// Two threads submit to a pool that has no thread yet: one of them makes the first. At most
/// one preemption.
#[test]
fn first_thread() {
    explore(Some(1), || {
        let owner = new_pool(|_| {});
        let other = owner.clone();
        let submit = |owner: &OwnerRef| {
            submit_closure(pool(owner), count, ptr::null_mut(), false).expect("accepted");
        };
        let submitter = thread::spawn(move || submit(&other));
        submit(&owner);
        submitter.join().expect("joined");
        release(owner);
        modelled::join_all();
        assert_eq!(ran(), 2);
    });
}

/// Two workers. No preemption: switches where a thread sleeps or ends.
#[test]
fn two_workers() {
    explore(Some(0), || {
        let owner = new_pool(|config| config.workers = 2);
        let tasks = [(); 3].map(|()| submit(pool(&owner)).expect("accepted"));
        for task in &tasks {
            assert_eq!(wait_for(task), Outcome::Succeeded);
        }
        drop(tasks);
        end(owner);
        assert_eq!(ran(), 3);
    });
}

/// The pool is shut down while somebody submits: what is accepted settles, what is refused
/// does not run. At most two preemptions.
#[test]
fn shutdown_against_submit() {
    for flags in [0, CANCEL] {
        explore(Some(2), move || {
            let owner = new_pool(|_| {});
            let other = owner.clone();
            let submitter = thread::spawn(move || submit(pool(&other)).map(|task| wait_for(&task)));
            let ended = pool(&owner).shutdown(flags, Timeout::Forever);
            assert!(matches!(ended, Ok(true)));
            assert!(submit(pool(&owner)).is_none());
            let ran_by_then = ran();
            let outcome = submitter.join().expect("joined");
            assert_eq!(ran(), ran_by_then);
            match outcome {
                None => assert_eq!(ran(), 0),
                Some(Outcome::Succeeded) => assert_eq!(ran(), 1),
                Some(Outcome::Cancelled) => assert_eq!((flags, ran()), (CANCEL, 0)),
                Some(_) => panic!("{outcome:?}"),
            }
            release(owner);
        });
    }
}

/// The last handle goes at once: accepted tasks run all the same, nobody waits, and the pool
/// frees itself. At most three preemptions.
#[test]
fn release_with_work() {
    explore(Some(3), || {
        let owner = new_pool(|_| {});
        submit_closure(pool(&owner), count, ptr::null_mut(), false).expect("accepted");
        release(owner);
        modelled::join_all();
        assert_eq!(ran(), 1);
    });
}

/// The last one at work leaves while the pool is closed: one of the two finds that it has ended,
/// though neither takes a lock that the other one does. All interleavings.
#[test]
fn leaving_against_the_end() {
    explore(None, || {
        let owner = new_pool(|_| {});
        pool(&owner).sleep.force_seat();
        let other = owner.clone();
        let leaver = thread::spawn(move || {
            pool(&other).sleep.leave(false);
            pool(&other).end_if_done();
        });
        pool(&owner).close();
        leaver.join().expect("joined");
        assert_eq!(pool(&owner).phase(), Phase::Ended);
        release(owner);
    });
}

/// A task submits to its own pool and waits, in a pool of one worker: it runs the task itself.
/// At most one preemption.
#[test]
fn nested_wait() {
    explore(Some(1), || {
        let owner = new_pool(|_| {});
        let of = ptr::from_ref(pool(&owner)).cast_mut().cast();
        let outer = submit_closure(pool(&owner), nest, of, true).expect("accepted");
        let outer = outer.expect("a handle");
        assert_eq!(wait_for(&outer), Outcome::Succeeded);
        drop(outer);
        end(owner);
        assert_eq!(ran(), 2);
    });
}

/// A thread of the host takes a seat and runs what it waits for, or the worker does. At most
/// one preemption.
#[test]
fn helping_against_the_worker() {
    explore(Some(1), || {
        let owner = new_pool(|config| config.waiters_help = true);
        let task = submit(pool(&owner)).expect("accepted");
        assert_eq!(wait_for(&task), Outcome::Succeeded);
        drop(task);
        end(owner);
        assert_eq!(ran(), 1);
    });
}

/// An idle worker's time is up while somebody submits: it stays, or another one is made. No
/// preemption.
#[test]
fn leaving_against_submit() {
    explore(Some(0), || {
        let owner = new_pool(|config| config.idle_ns = Some(1));
        let first = submit(pool(&owner)).expect("accepted");
        let second = submit(pool(&owner)).expect("accepted");
        assert_eq!(wait_for(&first), Outcome::Succeeded);
        assert_eq!(wait_for(&second), Outcome::Succeeded);
        drop((first, second));
        release(owner);
        modelled::join_all();
        assert_eq!(ran(), 2);
    });
}

/// The system refuses the first thread while two threads submit: each is told that its task
/// is not accepted, or its task runs. At most one preemption.
#[test]
fn refused_thread() {
    for handle in [true, false] {
        explore(Some(1), move || {
            let owner = new_pool(|_| {});
            modelled::refuse(1);
            let submit = move |owner: &OwnerRef| {
                let submitted = submit_closure(pool(owner), count, ptr::null_mut(), handle);
                u32::from(submitted.is_some())
            };
            let other = owner.clone();
            let submitter = thread::spawn(move || submit(&other));
            let mine = submit(&owner);
            let accepted = mine + submitter.join().expect("joined");
            release(owner);
            modelled::join_all();
            assert_eq!(ran(), accepted);
        });
    }
}

/// The system refuses threads while somebody submits and the pool is shut down: the task is
/// not accepted, or it settles, and the shutdown ends. At most three preemptions.
#[test]
fn refused_thread_against_shutdown() {
    for (refused, flags) in [(1, 0), (1, CANCEL), (2, 0), (2, CANCEL)] {
        explore(Some(3), move || {
            let owner = new_pool(|_| {});
            modelled::refuse(refused);
            let other = owner.clone();
            let submitter = thread::spawn(move || submit(pool(&other)).map(|task| wait_for(&task)));
            let ended = pool(&owner).shutdown(flags, Timeout::Forever);
            assert!(matches!(ended, Ok(true)));
            let outcome = submitter.join().expect("joined");
            match outcome {
                None => assert_eq!(ran(), 0),
                Some(Outcome::Succeeded) => assert_eq!(ran(), 1),
                Some(Outcome::Cancelled) => assert_eq!((flags, ran()), (CANCEL, 0)),
                Some(Outcome::Broken) => assert_eq!(ran(), 0),
                Some(_) => panic!("{outcome:?}"),
            }
            release(owner);
        });
    }
}

/// A second thread is to be made, and cannot, while the pool is shut down: the shutdown ends
/// though the thread was counted for a moment. At most one preemption.
#[test]
fn refused_warming_against_shutdown() {
    explore(Some(1), || {
        let owner = new_pool(|config| config.workers = 2);
        submit_closure(pool(&owner), count, ptr::null_mut(), false).expect("accepted");
        modelled::refuse(1);
        let other = owner.clone();
        let warmer = thread::spawn(move || {
            let warmed = pool(&other).warm(Timeout::Now);
            assert!(warmed.is_err());
        });
        let ended = pool(&owner).shutdown(0, Timeout::Forever);
        assert!(matches!(ended, Ok(true)));
        warmer.join().expect("joined");
        release(owner);
        assert_eq!(ran(), 1);
    });
}

/// Tasks of the straight way: two submitters, a worker that runs one after the other, a waiter.
/// No preemption: switches where a thread sleeps or ends.
#[test]
fn straight_tasks() {
    explore(Some(0), || {
        let owner = new_pool(|_| {});
        let other = owner.clone();
        let submitter = thread::spawn(move || {
            drop(submit_small(pool(&other)).expect("accepted"));
        });
        let first = submit_small(pool(&owner)).expect("accepted");
        drop(submit_small(pool(&owner)).expect("accepted"));
        assert_eq!(wait_for(&first), Outcome::Succeeded);
        drop(first);
        submitter.join().expect("joined");
        release(owner);
        modelled::join_all();
        assert_eq!(ran(), 3);
    });
}

/// A submit of the straight way while the pool is shut down. At most two preemptions, or one
/// where the pool cancels.
#[test]
fn straight_submit_against_shutdown() {
    for (flags, preemptions) in [(0, 2), (CANCEL, 1)] {
        explore(Some(preemptions), move || {
            let owner = new_pool(|_| {});
            let other = owner.clone();
            let submitter = thread::spawn(move || {
                let task = submit_small(pool(&other))?;
                Some(wait_for(&task))
            });
            let ended = pool(&owner).shutdown(flags, Timeout::Forever);
            assert!(matches!(ended, Ok(true)));
            assert!(submit_small(pool(&owner)).is_none());
            let ran_by_then = ran();
            let outcome = submitter.join().expect("joined");
            assert_eq!(ran(), ran_by_then);
            match outcome {
                None => assert_eq!(ran(), 0),
                Some(Outcome::Succeeded) => assert_eq!(ran(), 1),
                Some(Outcome::Cancelled) => assert_eq!((flags, ran()), (CANCEL, 0)),
                Some(_) => panic!("{outcome:?}"),
            }
            release(owner);
        });
    }
}
