//! Tasks of an executor against those who would run or settle them.

use super::*;
use crate::future::owner::Refused;

// ---- executors ----

/// As much of an executor as futures see.
#[repr(C)]
struct House {
    owner: Owner,
}

static HOUSE: Vtable = Vtable {
    kind: crate::future::owner::Kind::Threads,
    enqueue: |_, task, _| Err(Refused { task, verdict: None }),
    keep_time: |_, _| Ok(()),
    settled: |owner, _, _, stage| {
        note(Event::Told(stage));
        if stage == Stage::Detached {
            // SAFETY: the reference that `detached` left behind.
            drop(unsafe { OwnerRef::adopt(owner) });
        }
    },
    // SAFETY: by the contract the executor is alive.
    detached: |owner| {
        // SAFETY: as above.
        let _left_behind = unsafe { OwnerRef::retain(owner) }.into_raw();
    },
    // SAFETY: the reference that `detached` left behind.
    attached: |owner| drop(unsafe { OwnerRef::adopt(owner) }),
    stop_level: |_| 0,
    take_seat: |_| true,
    run_in_seat: |_, task| {
        run::run_started(task, |_, _| Some((0, 0)));
        due::run_pending();
    },
    uncharge: |_, _| {},
    is_quiet: |_| true,
    expire: None,
    shipped: None,
    remote: None,
    parent: None,
    view: None,
    outside: None,
    // SAFETY: made by try_box; the last reference is gone.
    destroy: |owner| unsafe { memory::drop_box(owner.cast::<House>()) },
};

fn new_house() -> OwnerRef {
    let house = memory::try_box(House { owner: Owner::new(&HOUSE, 1) }).ok().expect("memory");
    // SAFETY: fresh, with one reference.
    unsafe { OwnerRef::adopt(house.cast()) }
}

thread_local! {
    /// The thread that a task of `Script::Detach` hands its promise to.
    pub(super) static PROMISED: RefCell<Option<thread::JoinHandle<()>>> = const { RefCell::new(None) };
}

/// A task hands its promise on and detaches itself while the promise makes progress, so that
/// the cell gets an `Extra`, answers and goes. At most three preemptions, or none with a waiter.
#[test]
fn detaching_against_the_promise() {
    for waits in [false, true] {
        explore(Some(if waits { 0 } else { 3 }), move || {
            events();
            SCRIPT.set(Script::Detach);
            let house = new_house();
            let mut references = new_task(2);
            let (future, runner) = (references.remove(0), references.remove(0));
            future.set_owner(house.as_ptr());
            assert!(runner.state.start(false));
            let waiter = waits.then(|| {
                let future = future.clone();
                thread::spawn(move || do_deed(Deed::Wait, future))
            });
            let ended = run::run_started(runner, |_, _| Some((0, 0)));
            due::run_pending();
            PROMISED.take().expect("handed on").join().expect("joined");
            waiter.into_iter().for_each(|thread| thread.join().expect("joined"));
            SCRIPT.set(Script::Answer);
            check_result(&future);
            let events = events();
            let told = count(&events, Event::Told(Stage::Detached));
            assert_eq!(told, usize::from(ended == run::Ended::Detached), "{events:?}");
            drop(future);
            due::run_pending();
        });
    }
}

/// What the task hands its promise to.
pub(super) fn keep_promise(promise: TaskRef) {
    promise::set_progress(&promise, 1, 2).expect("not settled");
    assert!(answer_and_release(promise));
}

/// A waiter takes the task it waits for out of a worker's hands, or does not, while somebody
/// cancels it. At most two preemptions, or one with the cancel.
#[test]
fn claiming_against_the_worker() {
    for cancels in [false, true] {
        explore(Some(if cancels { 1 } else { 2 }), move || {
            events();
            SCRIPT.set(Script::Succeed);
            let house = new_house();
            let mut references = new_task(3);
            references[0].set_owner(house.as_ptr());
            let waited = references.remove(0);
            let kept = references.remove(0);
            let waiter = thread::spawn(move || do_deed(Deed::Wait, waited));
            let canceller = thread::spawn(move || {
                do_deed(if cancels { Deed::Cancel } else { Deed::Drop }, kept);
            });
            work(references.remove(0));
            waiter.join().expect("joined");
            canceller.join().expect("joined");
            let events = events();
            let (ran, cancelled) = (count(&events, Event::Ran), count(&events, Event::Cancelled));
            assert_eq!(ran + cancelled, 1, "{events:?}");
            assert_eq!(count(&events, Event::Told(Stage::Queued)), cancelled, "{events:?}");
        });
    }
}
