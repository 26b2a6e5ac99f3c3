//! Models of the pool: submits, sleeping workers, shutdown, waits inside tasks.
//!
//! They run whole pools: the code of this room with the model checker's threads. Only
//! crossbeam's deque has a stand-in (`queue`), no clock runs, and there is no monitor: a
//! pool must do its work without. Tasks are closures, which go the ordinary way. A run is some
//! hundred steps, so preemptions are bounded, as each model says. A lost wake-up shows as a
//! deadlock, a task left behind as memory that was not released; see also `future::models`.

use super::batch::{BATCH, Batch};
use super::config::{Config, FullPolicy};
use super::inbox::{Inbox, Lane};
use super::pool::Pool;
use super::queue::{Entry, Own};
use super::sleep::{Limits, Notified, Sleep, Unparked};
use super::submit::Submitted;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::due;
use crate::future::extra::Text;
use crate::future::make::{Data, Work};
use crate::future::owner::OwnerRef;
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

// ---- the sleep protocol alone ----

/// One worker number's life with `Sleep` and an inbox alone, so that more preemptions can be
/// explored than with a whole pool: as `worker` does it, without its other queues.
struct Dormitory {
    sleep: Sleep,
    inbox: Inbox,
    /// Tasks that are still to be taken.
    left: AtomicUsize,
}

impl Dormitory {
    fn new(target: u32, workers: u32, tasks: usize) -> Arc<Dormitory> {
        let limits = Limits { target, most: workers, extra: 0 };
        Arc::new(Dormitory {
            sleep: Sleep::new(limits).expect("memory"),
            inbox: Inbox::new(),
            left: AtomicUsize::new(tasks),
        })
    }

    fn submit(this: &Arc<Dormitory>, short: bool) {
        // Never followed.
        let entry = std::ptr::NonNull::without_provenance(std::num::NonZeroUsize::MIN);
        let waiting = this.inbox.push(Lane::Normal, entry).expect("memory");
        this.notify(if short { waiting } else { usize::MAX });
    }

    fn notify(self: &Arc<Dormitory>, backlog: usize) {
        let notified = self.sleep.notify(backlog, |searching| {
            let this = Arc::clone(self);
            let number = HIRED.get();
            HIRED.set(number + 1);
            WORKERS.with_borrow_mut(|workers| {
                workers.push(thread::spawn(move || this.work(number, searching)));
            });
            true
        });
        assert_ne!(notified, Notified::Stranded);
    }

    fn work(self: &Arc<Dormitory>, number: u16, mut searching: bool) {
        loop {
            if self.inbox.hint(Lane::Normal) > 0 && self.inbox.pop_one(Lane::Normal).is_some() {
                if std::mem::replace(&mut searching, false) {
                    self.sleep.found();
                    if !self.inbox.is_empty() {
                        self.notify(self.inbox.hint(Lane::Normal));
                    }
                }
                if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    while !self.sleep.wake_all_if(|_| true) {}
                }
                continue;
            }
            if self.left.load(Ordering::Acquire) == 0 {
                self.sleep.leave(searching);
                return;
            }
            self.sleep.publish_idle(number, std::mem::replace(&mut searching, false));
            if !self.inbox.is_empty() {
                self.notify(usize::MAX);
            } else if self.left.load(Ordering::Acquire) == 0 {
                self.sleep.wake_all_if(|_| true);
            }
            match self.sleep.park(number, None, 0, || false) {
                Unparked::ToSearch => searching = true,
                Unparked::ToLook => {}
                Unparked::TimedOut => return,
            }
        }
    }
}

thread_local! {
    static HIRED: Cell<u16> = const { Cell::new(0) };
    static WORKERS: RefCell<Vec<thread::JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

fn sleepers(target: u32, workers: u32, submitters: usize, short: bool, preemptions: usize) {
    explore(Some(preemptions), move || {
        HIRED.set(0);
        let here = Dormitory::new(target, workers, 1 + submitters);
        here.sleep.set_short(short);
        let threads: Vec<_> = (0..submitters)
            .map(|_| {
                let here = Arc::clone(&here);
                thread::spawn(move || Dormitory::submit(&here, short))
            })
            .collect();
        Dormitory::submit(&here, short);
        threads.into_iter().for_each(|thread| thread.join().expect("joined"));
        while let Some(worker) = WORKERS.with_borrow_mut(Vec::pop) {
            worker.join().expect("joined");
        }
        assert_eq!(here.left.load(Ordering::Acquire), 0);
        assert_eq!(here.sleep.census().live(), 0);
    });
}

/// A submitter, another one, and a worker that goes to sleep in between: no task stays
/// queued while the worker sleeps. At most three preemptions.
#[test]
fn one_sleeper() {
    sleepers(1, 1, 1, false, 3);
}

/// The same with two workers, also while tasks are short, when few are woken. At most one
/// preemption.
#[test]
fn two_sleepers() {
    sleepers(2, 2, 1, false, 1);
    sleepers(2, 2, 1, true, 1);
}

/// A worker that was made to search may find nothing, and its duty ends when it goes to sleep,
/// while a task comes in. At most three preemptions.
#[test]
fn search_in_vain() {
    explore(Some(3), || {
        HIRED.set(0);
        let here = Dormitory::new(1, 1, 1);
        here.notify(usize::MAX);
        Dormitory::submit(&here, false);
        while let Some(worker) = WORKERS.with_borrow_mut(Vec::pop) {
            worker.join().expect("joined");
        }
        assert_eq!(here.left.load(Ordering::Acquire), 0);
    });
}

// ---- queues ----

/// Something to queue; never followed.
fn entry(number: usize) -> Entry {
    Entry::without_provenance(number.try_into().expect("not 0"))
}

/// A batch and what its tasks lead to, as the model checker can see it.
struct Booty {
    batch: Batch,
    /// Written before task n + 1 is published, and after it is taken.
    behind: [UnsafeCell<()>; 5],
    taken: AtomicUsize,
}

impl Booty {
    fn new() -> Arc<Booty> {
        let behind = std::array::from_fn(|_| UnsafeCell::new(()));
        Arc::new(Booty { batch: Batch::new(), behind, taken: AtomicUsize::new(0) })
    }

    /// By the owner.
    fn fill(&self, numbers: std::ops::Range<usize>) {
        let tasks: Vec<_> = numbers.map(entry).collect();
        for task in &tasks {
            self.behind[task.as_ptr().addr() - 1].with_mut(|_| ());
        }
        self.batch.fill(&tasks);
    }

    fn pop(&self) -> usize {
        std::iter::from_fn(|| self.batch.pop()).map(|task| self.note(task)).count()
    }

    fn steal(&self) -> usize {
        let mut loot = [MaybeUninit::uninit(); BATCH];
        let count = self.batch.steal(&mut loot);
        for task in &loot[..count] {
            // SAFETY: `steal` filled this many.
            self.note(unsafe { task.assume_init() });
        }
        count
    }

    fn note(&self, task: Entry) {
        let number = task.as_ptr().addr();
        self.behind[number - 1].with_mut(|_| ());
        let before = self.taken.fetch_or(1 << number, Ordering::Relaxed);
        assert_eq!(before & 1 << number, 0, "{number} was taken twice");
    }
}

/// The owner fills its batch twice and empties it while two thieves take halves: each task is
/// taken once, by somebody who sees what it leads to. At most two preemptions.
#[test]
fn owner_and_two_thieves() {
    explore(Some(2), || {
        let booty = Booty::new();
        let thieves = [(); 2].map(|()| {
            let booty = Arc::clone(&booty);
            thread::spawn(move || booty.steal())
        });
        booty.fill(1..4);
        let first = booty.pop();
        booty.fill(4..6);
        let second = booty.pop();
        let stolen = thieves.map(|thief| thief.join().expect("joined"));
        assert_eq!(first + second + stolen[0] + stolen[1], 5);
        assert_eq!(booty.taken.load(Ordering::Relaxed), 0b11_1110);
    });
}

/// A worker publishes a batch and then stays in a task, while another worker goes to sleep:
/// that one does not sleep while the batch is not empty. All interleavings.
#[test]
fn batch_against_a_sleeper() {
    explore(None, || {
        let limits = Limits { target: 2, most: 2, extra: 0 };
        let sleep = Arc::new(Sleep::new(limits).expect("memory"));
        for _ in 0..2 {
            assert_eq!(sleep.start_worker(|_| true), Notified::Enough);
        }
        let booty = Booty::new();
        let (also, theirs) = (Arc::clone(&sleep), Arc::clone(&booty));
        let sleeper = thread::spawn(move || sleep_until_stolen(&also, &theirs));
        booty.fill(1..2);
        // As `Slot::publish`.
        fence(Ordering::SeqCst);
        assert_ne!(sleep.notify(1, |_| panic!("there are two")), Notified::Stranded);
        sleeper.join().expect("joined");
        assert_eq!(booty.taken.load(Ordering::Relaxed), 0b10);
    });
}

/// A worker's steps until there was something to steal.
fn sleep_until_stolen(sleep: &Sleep, booty: &Booty) {
    let (_own, deque) = Own::new(false);
    let mut searching = false;
    while booty.steal() == 0 {
        sleep.publish_idle(1, std::mem::replace(&mut searching, false));
        // As `Slot::is_empty`.
        if !(deque.is_empty() && booty.batch.len() == 0) {
            sleep.notify(usize::MAX, |_| panic!("there are two"));
        }
        searching = sleep.park(1, None, 0, || false) == Unparked::ToSearch;
    }
}

/// A task is taken out of the middle of the inbox, over the border of two chunks, while workers
/// take the oldest and another one comes in: each goes to one of them, in order. All
/// interleavings.
#[test]
fn taking_back_against_workers() {
    for closes in [false, true] {
        explore(None, move || {
            let inbox = Arc::new(Inbox::new());
            for number in 1..4 {
                inbox.push(Lane::Normal, entry(number)).expect("memory");
            }
            let here = Arc::clone(&inbox);
            let submitter = thread::spawn(move || here.take_back(Lane::Normal, entry(2)));
            let here = Arc::clone(&inbox);
            let worker = thread::spawn(move || take_numbers(&here, 2));
            if closes {
                assert!(inbox.close());
            }
            let pushed = inbox.push(Lane::Normal, entry(4)).is_ok();
            assert_eq!(pushed, !closes);
            let back = submitter.join().expect("joined");
            let mut taken = worker.join().expect("joined");
            taken.extend(take_numbers(&inbox, 4));
            let all = (1..=4).filter(|&number| match number {
                2 => !back,
                4 => pushed,
                _ => true,
            });
            assert!(taken.iter().copied().eq(all), "{taken:?}");
            assert!(inbox.is_empty());
            assert!(!inbox.take_back(Lane::Normal, entry(3)));
            assert_eq!(inbox.accepted(), taken.len() as u64);
        });
    }
}

fn take_numbers(inbox: &Inbox, most: usize) -> Vec<usize> {
    let mut places = [MaybeUninit::uninit(); 4];
    let count = inbox.pop(Lane::Normal, 1, &mut places[..most]);
    // SAFETY: `pop` filled this many.
    places[..count].iter().map(|place| unsafe { place.assume_init() }.as_ptr().addr()).collect()
}
