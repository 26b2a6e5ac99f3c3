//! Commands of executors that keep no lane.

use super::{build, prepare};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::promise::{self, Cancel, Reach};
use crate::future::run::{self, Ended};
use crate::future::state::Outcome;
use crate::future::wait::{Step, Wait};
use crate::shared::Shared;
use crate::sync::Timeout;

/// What an executor without a lane does with a command.
fn start(words: &[&[u8]], input: &[u8]) -> TaskRef {
    let function = prepare().expect("cfutures-worker is built: cargo build");
    let mut program = build::new(words[0]).expect("a program");
    for word in &words[1..] {
        build::add_argument(&mut program, word).expect("an argument");
    }
    let spec = Spec { program: Shared::try_new(program), ..Spec::DEFAULT };
    let cell = TaskCell::allocate(Work::Bytes(function, input), 2).expect("a cell");
    // SAFETY: fresh, with two references.
    let (runner, future) = unsafe { (TaskRef::from_raw(cell), TaskRef::from_raw(cell)) };
    runner.add_extra(Shared::try_new(spec)).expect("options");
    assert!(runner.state.start(false));
    assert_eq!(run::run_started(runner, |_, _| Some((0, 0))), Ended::Detached);
    future
}

fn end_of(future: &TaskRef) -> Outcome {
    match Wait::new(future, Timeout::Forever).step() {
        Step::Settled(outcome) => outcome,
        _ => panic!("nothing else ends this wait"),
    }
}

#[test]
fn commands_without_a_lane() {
    let future = start(&[b"tr", b"a-z", b"A-Z"], b"more than fits a cell");
    assert_eq!(end_of(&future), Outcome::Succeeded);
    let (bytes, length) = future.bytes().expect("bytes");
    // SAFETY: a settled future's result.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    assert_eq!(bytes, b"MORE THAN FITS A CELL");
    let future = start(&[b"sh", b"-c", b"exit 4"], b"");
    assert_eq!((end_of(&future), future.code()), (Outcome::Failed, 4));
}

#[test]
fn commands_without_a_lane_are_stopped() {
    for (reach, done) in [(Reach::Stop, Cancel::Asked), (Reach::Kill, Cancel::Done)] {
        let future = start(&[b"sleep", b"1000"], b"");
        assert_eq!(promise::cancel(&future, reach), Ok(done));
        assert_eq!(end_of(&future), Outcome::Cancelled);
    }
}
