//! Models of the future's word, its hooks and what follows from settling.
//!
//! Each model runs the code of this room in the model checker: all interleavings, or all with
//! so many preemptions as its text says, and all values that the memory orders allow. Beside
//! what a model asserts, the checker itself finds lost wake-ups (nobody can run any more),
//! data races on plain memory, blocks that are left behind, released twice or used after
//! their release (`platform::memory::tracked`).
//!
//! What the checker does not find: it remembers only the last access to an atomic, so a race
//! between one thread's load and another one's load and store may go unexplored; and with
//! bounded preemptions it explores no more than these.

use super::cell::{self, Kind, TaskCell, TaskRef, number};
use super::due;
use super::group::{Until, Watch};
use super::hook::{Action, Hook};
use super::join::{self, Mode};
use super::make::Work;
use super::owner::{Owner, OwnerRef, Stage, Vtable};
use super::promise::{self, Cancel, Recording};
use super::queue::{self, Next, Queue};
use super::result::Payload;
use super::run::{self, DETACH};
use super::settle;
use super::state::{Outcome, Plain};
use super::then::{self, ThenCall};
use super::wait::{Helped, Step, Wait};
use crate::platform::memory;
use crate::sync::{Timeout, explore};
use loom::thread;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

mod executors;
mod several;

use executors::{PROMISED, keep_promise};

// ---- what happened ----

thread_local! {
    /// All threads of a model are one thread of the system, and take turns.
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    /// What tasks do.
    static SCRIPT: Cell<Script> = const { Cell::new(Script::Succeed) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The task's function was entered.
    Ran,
    /// Somebody saw the future settled.
    Seen(Outcome),
    /// The callback with this number was called.
    Called(usize),
    Returned(usize),
    /// The continuation was called.
    Continued,
    /// The argument with this number was freed.
    Freed(usize),
    Cancelled,
    /// A promise was in time.
    Answered,
    /// The executor was told that somebody else had settled the task.
    Told(Stage),
}

fn note(event: Event) {
    EVENTS.with_borrow_mut(|events| events.push(event));
}

fn events() -> Vec<Event> {
    EVENTS.take()
}

fn count(events: &[Event], wanted: Event) -> usize {
    events.iter().filter(|&&event| event == wanted).count()
}

// ---- what users bring ----

/// What the task's function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Succeed,
    /// Sets `RESULT` and succeeds.
    Answer,
    /// The same, and a promise that was handed on sets it as well: one of the two is told that
    /// it came too late.
    AnswerTwice,
    Fail,
    Detach,
}

/// Fits the cell itself, whose words held the arguments before.
const RESULT: &[u8] = b"settled result";

unsafe extern "C-unwind" fn task(promise: *const TaskCell, _: *const c_void, _: usize) -> i32 {
    note(Event::Ran);
    match SCRIPT.get() {
        Script::Succeed => 0,
        Script::Answer => {
            // SAFETY: the task's own promise, during its call.
            assert!(answer(&unsafe { &*promise }.clone_ref()));
            0
        }
        Script::AnswerTwice => {
            // SAFETY: as above.
            let promise = unsafe { &*promise };
            let kept = promise::retain(promise);
            PROMISED.set(Some(thread::spawn(move || note_answer(kept))));
            if answer(&promise.clone_ref()) {
                note(Event::Answered);
            }
            0
        }
        Script::Fail => 7,
        Script::Detach => {
            // SAFETY: as above.
            let promise = promise::retain(unsafe { &*promise });
            PROMISED.set(Some(thread::spawn(move || keep_promise(promise))));
            DETACH
        }
    }
}

/// What the task of `Script::AnswerTwice` hands its promise to.
fn note_answer(promise: TaskRef) {
    if answer_and_release(promise) {
        note(Event::Answered);
    }
}

/// Gives `RESULT` to a promise, as an export does; false: too late.
fn answer(cell: &TaskRef) -> bool {
    let mut halves = [[0; 8]; 2];
    halves.as_flattened_mut()[..RESULT.len()].copy_from_slice(RESULT);
    let words = halves.map(|half| number(usize::from_ne_bytes(half)));
    cell.record_inline(words, RESULT.len()) || answer_ordinarily(cell)
}

fn answer_ordinarily(cell: &TaskRef) -> bool {
    let payload = promise::copy_bytes(cell, RESULT).expect("short");
    let recording = Recording {
        outcome: Outcome::Succeeded,
        code: 0,
        message: super::extra::Text::EMPTY,
        payload,
    };
    promise::put(cell, recording).is_ok()
}

unsafe extern "C-unwind" fn called(future: *const TaskCell, number: *mut c_void) {
    // SAFETY: the library says that the future is alive.
    check_result(unsafe { &*future });
    note(Event::Called(number.addr()));
    // Somebody else may go on meanwhile.
    // SAFETY: as above.
    assert!(unsafe { &*future }.snapshot().is_settled());
    note(Event::Returned(number.addr()));
}

unsafe extern "C-unwind" fn continued(
    _: *const TaskCell,
    input: *const TaskCell,
    _: *mut c_void,
) -> i32 {
    // SAFETY: as for `called`.
    check_result(unsafe { &*input });
    note(Event::Continued);
    0
}

unsafe extern "C-unwind" fn freed(number: *mut c_void) {
    note(Event::Freed(number.addr()));
}

/// Whoever sees a settled future sees its result.
fn check_result(cell: &TaskCell) {
    let seen = cell.snapshot();
    assert!(seen.is_settled());
    note(Event::Seen(seen.outcome()));
    if seen.outcome() == Outcome::Succeeded {
        if let Some((bytes, length)) = cell.bytes() {
            // SAFETY: bytes of a settled future, which is alive.
            assert_eq!(unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }, RESULT);
        } else {
            assert!(!matches!(SCRIPT.get(), Script::Answer | Script::AnswerTwice));
        }
    }
    if seen.outcome() == Outcome::Failed {
        assert_eq!(cell.code(), 7);
    }
    cell.durations();
}

// ---- what threads do ----

/// What a thread does with its reference, which it then drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Drop,
    /// As an export releases a future.
    Release,
    Cancel,
    Wait,
    /// One callback with a free function.
    Call,
    /// Two callbacks.
    CallTwice,
    /// A continuation without an executor, whose future is waited for.
    Continue,
    /// A continuation that is cancelled.
    ContinueAndCancel,
    /// A wait for one of several, given up if it is not over at once.
    Poll,
    /// The same, to its end.
    Watch,
}

fn do_deed(deed: Deed, cell: TaskRef) {
    match deed {
        Deed::Drop | Deed::Release => {}
        Deed::Cancel => {
            if promise::cancel(&cell, promise::Reach::Stop) == Ok(Cancel::Done) {
                note(Event::Cancelled);
            }
        }
        Deed::Wait => wait_for(&cell),
        Deed::Call => call_back(&cell, 1),
        Deed::CallTwice => {
            call_back(&cell, 1);
            call_back(&cell, 2);
        }
        Deed::Continue | Deed::ContinueAndCancel => {
            let call = ThenCall::Then(continued);
            let argument = ptr::without_provenance_mut(3);
            let made = then::continue_with(&cell, None, call, argument, Some(freed), None);
            let output = made.ok().flatten().expect("memory");
            if deed == Deed::Continue {
                due::run_pending();
                wait_for(&output);
            } else {
                let _ = promise::cancel(&output, promise::Reach::Pending);
            }
        }
        Deed::Poll | Deed::Watch => {
            let futures = [cell.as_ptr().as_ptr().cast_const()];
            // SAFETY: alive: `cell`.
            let watch = unsafe { Watch::new(&futures, Until::Any) }.expect("memory");
            let ready = if deed == Deed::Watch { watch.sleep(None) } else { watch.is_ready() };
            drop(watch);
            if ready {
                check_result(&cell);
            }
        }
    }
    due::run_pending();
    if matches!(deed, Deed::Release | Deed::Wait) {
        let cell = cell.into_raw();
        // SAFETY: the reference was this thread's.
        if !unsafe { cell::release_plain(cell) } {
            // SAFETY: as above.
            unsafe { cell::release(cell) };
        }
    } else {
        drop(cell);
    }
    due::run_pending();
}

fn wait_for(cell: &TaskRef) {
    let mut wait = Wait::new(cell, Timeout::Forever);
    loop {
        match wait.step() {
            Step::Settled(outcome) => {
                assert_eq!(outcome, cell.snapshot().outcome());
                break;
            }
            Step::CallDue => due::run_all(),
            Step::Help(helped) => helped.run(),
            Step::TimedOut | Step::Deadlock | Step::Inherited => panic!("a wait for ever"),
        }
    }
    if cell.kind() == super::cell::Kind::Bytes || cell.kind() == super::cell::Kind::Promise {
        check_result(cell);
    }
}

fn call_back(cell: &TaskRef, number: usize) {
    let argument = ptr::without_provenance_mut(number);
    let action = Action::Callback(called, argument, Some(freed));
    settle::hook_in(cell, Hook::allocate(action).expect("memory"));
    due::run_pending();
}

/// What a worker does with a queued task.
fn work(cell: TaskRef) {
    if cell.state.start(false) {
        run::run_started(cell, |_, _| Some((0, 0)));
    } else {
        drop(cell);
    }
    due::run_pending();
}

/// What a worker does with a queued task on its straight way: the steps of
/// `worker::straight`.
fn work_straight(cell: TaskRef) {
    if !cell.state.start_plain(Kind::Bytes as u32) {
        return work(cell);
    }
    // The reference goes with the end of the task.
    let cell = ManuallyDrop::new(cell);
    // SAFETY: just started, and it is of that kind.
    let (function, data, length) = unsafe { cell.bytes_call() };
    // SAFETY: the task's function with its arguments.
    let code = unsafe { function(cell.as_ptr().as_ptr(), data, length) };
    // SAFETY: the function has returned.
    unsafe { cell.stamp_durations(3, 5) };
    match if code == 0 { cell.state.finish_plain() } else { Plain::No } {
        Plain::Settled => {}
        // SAFETY: the last reference is ours and given up here.
        Plain::Last => assert!(unsafe { cell::destroy(cell.as_ptr()) }),
        // SAFETY: the runner's reference.
        Plain::No => drop(unsafe { run::end(cell.as_ptr(), code) }),
    }
    due::run_pending();
}

fn new_task(references: u32) -> Vec<TaskRef> {
    let cell = TaskCell::allocate(Work::Bytes(task, &[]), references).expect("memory");
    // SAFETY: fresh, with so many references.
    (0..references).map(|_| unsafe { TaskRef::from_raw(cell) }).collect()
}

/// A task is run while other threads do their deeds; nobody else keeps it.
fn run_against(script: Script, deeds: &'static [Deed], preemptions: Option<usize>) {
    run_by(work, script, deeds, preemptions);
}

/// The same on a worker's straight way.
fn straight_against(script: Script, deeds: &'static [Deed], preemptions: Option<usize>) {
    run_by(work_straight, script, deeds, preemptions);
}

fn run_by(run: fn(TaskRef), script: Script, deeds: &'static [Deed], preemptions: Option<usize>) {
    explore(preemptions, move || {
        events();
        SCRIPT.set(script);
        let mut references = new_task(1 + deeds.len() as u32);
        let threads: Vec<_> = deeds
            .iter()
            .zip(references.drain(1..))
            .map(|(&deed, cell)| thread::spawn(move || do_deed(deed, cell)))
            .collect();
        run(references.pop().expect("the runner's"));
        threads.into_iter().for_each(|thread| thread.join().expect("joined"));
        if let Some(promised) = PROMISED.take() {
            promised.join().expect("joined");
        }
        let events = events();
        check_events(&events, deeds);
        if script == Script::AnswerTwice {
            assert_eq!(count(&events, Event::Answered), count(&events, Event::Ran), "{events:?}");
        }
    });
}

fn check_events(events: &[Event], deeds: &[Deed]) {
    let having = |wanted: Deed| deeds.iter().filter(|&&deed| deed == wanted).count();
    // Settled once: it ran, or was cancelled, and everybody saw the same end.
    let (ran, cancelled) = (count(events, Event::Ran), count(events, Event::Cancelled));
    assert!(ran <= 1, "{events:?}");
    if having(Deed::Cancel) == 0 {
        assert_eq!(ran, 1, "{events:?}");
    } else {
        assert_eq!(ran == 0, cancelled > 0, "{events:?}");
    }
    let mut seen = events.iter().filter_map(|event| match event {
        Event::Seen(outcome) => Some(*outcome),
        _ => None,
    });
    if let Some(first) = seen.next() {
        assert!(seen.all(|outcome| outcome == first), "{events:?}");
        assert_eq!(first == Outcome::Cancelled, cancelled > 0, "{events:?}");
    }
    check_calls(events, deeds);
    let continued = count(events, Event::Continued);
    assert!(continued >= having(Deed::Continue), "{events:?}");
    let all = having(Deed::Continue) + having(Deed::ContinueAndCancel);
    assert!(continued <= all, "{events:?}");
    assert_eq!(count(events, Event::Freed(3)), all, "{events:?}");
}

/// Callbacks once each, one after the other and in the order added, arguments freed once,
/// after the call.
fn check_calls(events: &[Event], deeds: &[Deed]) {
    let having = |wanted: Deed| deeds.iter().filter(|&&deed| deed == wanted).count();
    let (one, two) = (having(Deed::Call) + having(Deed::CallTwice), having(Deed::CallTwice));
    assert_eq!(count(events, Event::Called(1)), one, "{events:?}");
    assert_eq!(count(events, Event::Called(2)), two, "{events:?}");
    assert_eq!(count(events, Event::Freed(1)), one, "{events:?}");
    assert_eq!(count(events, Event::Freed(2)), two, "{events:?}");
    if one == 1 && two == 1 {
        let at = |wanted| events.iter().position(|&event| event == wanted);
        assert!(at(Event::Called(1)) < at(Event::Called(2)), "{events:?}");
        assert!(at(Event::Called(1)) < at(Event::Freed(1)), "{events:?}");
    }
    let mut running = None;
    for event in events {
        match *event {
            Event::Called(number) => assert_eq!(running.replace(number), None, "{events:?}"),
            Event::Returned(number) => assert_eq!(running.take(), Some(number), "{events:?}"),
            _ => {}
        }
    }
}

/// A run against each deed. At most two preemptions; all interleavings with the drop.
#[test]
fn run_against_one() {
    for script in [Script::Succeed, Script::Answer, Script::Fail] {
        run_against(script, &[Deed::Drop], None);
        run_against(script, &[Deed::Cancel], Some(2));
        run_against(script, &[Deed::Wait], Some(2));
        run_against(script, &[Deed::Call], Some(2));
        run_against(script, &[Deed::CallTwice], Some(2));
        run_against(script, &[Deed::Poll], Some(2));
        run_against(script, &[Deed::Watch], Some(2));
        run_against(script, &[Deed::ContinueAndCancel], Some(2));
    }
    run_against(Script::Succeed, &[Deed::Continue], Some(2));
}

/// A run against two deeds at once. At most one preemption.
#[test]
fn run_against_two() {
    for deeds in [
        &[Deed::Cancel, Deed::Cancel],
        &[Deed::Cancel, Deed::Wait],
        &[Deed::Cancel, Deed::CallTwice],
        &[Deed::Cancel, Deed::Poll],
        &[Deed::Cancel, Deed::Drop],
        &[Deed::Wait, Deed::Wait],
        &[Deed::Wait, Deed::Call],
        &[Deed::Wait, Deed::Drop],
        &[Deed::CallTwice, Deed::Drop],
        &[Deed::CallTwice, Deed::Poll],
        &[Deed::Call, Deed::Call],
        &[Deed::Watch, Deed::Drop],
    ] {
        run_against(Script::Succeed, deeds, Some(1));
    }
}

/// Continuations beside other deeds. At most one preemption.
#[test]
fn continuations_against_others() {
    for deeds in [
        &[Deed::Continue, Deed::Cancel],
        &[Deed::Continue, Deed::Call],
        &[Deed::ContinueAndCancel, Deed::Cancel],
        &[Deed::ContinueAndCancel, Deed::CallTwice],
        &[Deed::Continue, Deed::ContinueAndCancel],
    ] {
        run_against(Script::Succeed, deeds, Some(1));
    }
}

/// A run on the straight way against each deed. At most two preemptions; all interleavings
/// with the drop and the release.
#[test]
fn straight_against_one() {
    for script in [Script::Succeed, Script::Answer, Script::Fail] {
        straight_against(script, &[Deed::Drop], None);
        straight_against(script, &[Deed::Release], None);
        straight_against(script, &[Deed::Cancel], Some(2));
        straight_against(script, &[Deed::Wait], Some(2));
        // One alone: a second callback would make up for a first that was forgotten.
        straight_against(script, &[Deed::Call], Some(2));
        straight_against(script, &[Deed::CallTwice], Some(2));
        straight_against(script, &[Deed::Watch], Some(2));
        straight_against(script, &[Deed::Poll], Some(2));
    }
    straight_against(Script::Answer, &[Deed::Cancel], Some(3));
}

/// The same against two deeds, of which some take the lock while the result is recorded under
/// it. At most one preemption, or none with a waiter and a cancel.
#[test]
fn straight_against_two() {
    for deeds in [
        &[Deed::Cancel, Deed::Cancel],
        &[Deed::Cancel, Deed::Call],
        &[Deed::Wait, Deed::Release],
        &[Deed::Release, Deed::Release],
        &[Deed::Call, Deed::Release],
    ] {
        straight_against(Script::Answer, deeds, Some(1));
    }
    straight_against(Script::Succeed, &[Deed::Cancel, Deed::Wait], Some(0));
}

/// The task and a promise it has handed on set the result, one of them in vain; either may be
/// the last to let go. At most two preemptions, one with a cancel, or none with a
/// waiter.
#[test]
fn straight_against_the_promise() {
    straight_against(Script::AnswerTwice, &[], Some(2));
    straight_against(Script::AnswerTwice, &[Deed::Cancel], Some(1));
    straight_against(Script::AnswerTwice, &[Deed::Wait], Some(0));
}

// ---- promises ----

/// How the owner of a hand-made promise ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answer,
    /// Two threads answer; one is told that it came too late.
    AnswerTwice,
    Release,
}

/// A hand-made promise is settled, or broken by its release, against deeds.
fn settle_against(end: End, deeds: &'static [Deed], preemptions: Option<usize>) {
    explore(preemptions, move || {
        events();
        SCRIPT.set(Script::Answer);
        let (promise, future) = promise::new().ok().expect("memory");
        let other = (end == End::AnswerTwice).then(|| promise::retain(&promise));
        let threads: Vec<_> = deeds
            .iter()
            .map(|&deed| (deed, future.clone()))
            .map(|(deed, future)| thread::spawn(move || do_deed(deed, future)))
            .collect();
        let other = other.map(|promise| thread::spawn(move || answer_and_release(promise)));
        let answered = match end {
            End::Release => {
                promise::release(promise);
                due::run_pending();
                false
            }
            End::Answer | End::AnswerTwice => answer_and_release(promise),
        };
        threads.into_iter().for_each(|thread| thread.join().expect("joined"));
        let also = other.is_some_and(|thread| thread.join().expect("joined"));
        let events = events();
        check_calls(&events, deeds);
        let cancelled = count(&events, Event::Cancelled) > 0;
        let outcome = future.snapshot().outcome();
        assert!(future.snapshot().is_settled());
        assert!(u32::from(answered) + u32::from(also) + u32::from(cancelled) <= 1);
        assert_eq!(outcome == Outcome::Cancelled, cancelled);
        assert_eq!(outcome == Outcome::Succeeded, answered || also);
        drop(future);
        due::run_pending();
    });
}

fn answer_and_release(promise: TaskRef) -> bool {
    let answered = answer(&promise);
    promise::release(promise);
    due::run_pending();
    answered
}

/// At most two preemptions, or one where three threads meet.
#[test]
fn promises() {
    for end in [End::Answer, End::Release] {
        settle_against(end, &[Deed::Cancel], Some(2));
        settle_against(end, &[Deed::Wait], Some(2));
        settle_against(end, &[Deed::CallTwice], Some(2));
        settle_against(end, &[Deed::Watch], Some(2));
        settle_against(end, &[Deed::CallTwice, Deed::Cancel], Some(1));
    }
    settle_against(End::Release, &[Deed::Cancel, Deed::Wait], Some(1));
    settle_against(End::AnswerTwice, &[], Some(3));
    settle_against(End::AnswerTwice, &[Deed::Call], Some(1));
}
