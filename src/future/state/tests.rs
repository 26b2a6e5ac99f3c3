//! The transitions one by one.

use super::*;

fn fresh(flags: u32) -> State {
    State::new(3, 2, flags, 2)
}

fn word(state: &State) -> Snapshot {
    state.load(Ordering::Acquire)
}

#[test]
fn fields_do_not_overlap() {
    let state = State::new(7, 7, 0, 1);
    let now = word(&state);
    assert_eq!((now.kind(), now.class(), now.refs()), (7, 7, 1));
    assert_eq!(now.life(), Life::Pending);
    let _ = state.lock();
    state.record_locked(Outcome::Broken, PayloadBits::new(5, 16));
    let now = word(&state);
    assert_eq!((now.kind(), now.class(), now.payload(), now.inline_length()), (7, 7, 5, 16));
    assert_eq!(now.outcome(), Outcome::Broken);
    assert!(now.has(RECORDED) && !now.has(LOCK));
}

#[test]
fn a_task_runs_once_and_settles_once() {
    let state = fresh(ARGS);
    assert!(state.start(false));
    assert!(!word(&state).has(ARGS) && word(&state).has(IN_TASK));
    assert!(!state.start(false));
    assert!(matches!(state.finish(), Finish::Settled { outcome: Outcome::Succeeded, last: false }));
    assert!(matches!(state.finish(), Finish::TooLate));
    assert_eq!(word(&state).refs(), 1);
    assert!(state.release());
}

#[test]
fn finish_reports_watchers_and_keeps_the_reference() {
    let state = fresh(0);
    assert!(state.start(true));
    let _ = state.announce_waiter();
    let Finish::Watched(after) = state.finish() else { panic!("watched") };
    assert!(after.is_settled() && after.has(LATE) && after.refs() == 2);
}

#[test]
fn the_plain_way_is_the_same_way() {
    let (plain, other) = (fresh(0), fresh(0));
    assert!(plain.start_plain(3) && other.start(false));
    assert_eq!(word(&plain), word(&other));
    assert_eq!(plain.finish_plain(), Plain::Settled);
    assert!(matches!(other.finish(), Finish::Settled { last: false, .. }));
    assert_eq!(word(&plain), word(&other));
}

#[test]
fn the_plain_way_is_for_plain_cells() {
    assert!(!fresh(0).start_plain(2));
    assert!(!fresh(ARGS).start_plain(3) && !fresh(EXTRA).start_plain(3));
    let state = fresh(0);
    let _ = state.lock();
    assert!(!state.start_plain(3));
    state.start_locked();
    assert!(!state.start_plain(3));
    let _ = state.announce_waiter();
    assert_eq!(state.finish_plain(), Plain::No);
    let sole = State::new(3, 2, 0, 1);
    assert!(sole.start_plain(3));
    assert_eq!(sole.finish_plain(), Plain::Last);
    assert_eq!(sole.load(Ordering::Relaxed).refs(), 1);
}

#[test]
fn a_recorded_outcome_decides() {
    let state = fresh(0);
    assert!(state.start(false));
    let now = state.lock();
    assert!(!now.is_settled());
    state.record_locked(Outcome::Cancelled, PayloadBits::NONE);
    assert!(state.detach().is_err());
    assert!(matches!(state.finish(), Finish::Settled { outcome: Outcome::Cancelled, .. }));
    assert_eq!(word(&state).life(), Life::Cancelled);
}

#[test]
fn value_is_taken_once() {
    let state = fresh(0);
    assert!(state.take());
    assert!(!state.take());
}

#[test]
fn debug_shows_the_flags() {
    let state = fresh(ARGS);
    assert_eq!(format!("{:?}", word(&state)), "Pending args kind=3 class=2 payload=0 refs=2");
    state.bury();
    assert_eq!(format!("{:?}", word(&state)), "<freed>");
    assert!(state.is_dead());
}
