//! event_loop: results and callbacks in one thread, with epoll and with libuv.

use super::{example, refuses};
use crate::support::{build_with_libraries, program, succeed};
use std::collections::BTreeSet;
use std::process::Command;

/// The lines but for the last, sorted: results come in any order.
fn event_loop_prints(printed: &str) -> (BTreeSet<&str>, &str) {
    let mut lines: Vec<_> = printed.lines().collect();
    let last = lines.pop().expect("a last line");
    (lines.into_iter().collect(), last)
}

fn check_event_loop(mut command: impl FnMut() -> Command) {
    let printed = succeed(command().args(["--workers", "3", "10", "1000000", "0", "100"]));
    let (results, last) = event_loop_prints(&printed);
    let expected = [
        "4 primes below 10",
        "78498 primes below 1000000",
        "0 primes below 0",
        "25 primes below 100",
    ];
    assert_eq!(results, expected.into_iter().collect());
    let words = "4 results and 4 callbacks in the event loop's thread, 0 in others; ";
    assert!(last.starts_with(words), "{last}");
    let many: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
    let printed = succeed(command().args(&many));
    assert!(printed.contains("\n302 primes below 1999\n"), "{printed}");
    assert!(printed.contains("2000 results and 2000 callbacks"), "{printed}");
}

#[test]
fn event_loop_with_epoll() {
    check_event_loop(|| example("event_loop"));
    let printed = succeed(&mut example("event_loop"));
    assert!(printed.contains("148933 primes below 2000000\n"), "{printed}");
}

#[test]
fn event_loop_with_libuv() {
    let options = ["-pedantic", "-Wshadow"];
    let Some(built) = build_with_libraries("examples-c/event_loop_libuv.c", &options) else {
        return;
    };
    check_event_loop(|| {
        let mut command = program(&built);
        command.arg("--libuv");
        command
    });
}

#[test]
fn event_loop_refuses_bad_arguments() {
    refuses("event_loop", &["10", "x"], "no number");
    refuses("event_loop", &["-1"], "event_loop");
    refuses("event_loop", &["--workers", "0"], "--workers");
    refuses("event_loop", &["--workers", "99999"], "CFUT_OPT_WORKERS is 99999");
    refuses("event_loop", &["--libuv"], "built without libuv");
}
