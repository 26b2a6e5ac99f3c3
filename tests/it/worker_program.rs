//! The worker program as somebody meets it who starts it by hand.

use crate::support::{describe, library_dir, run};
use std::path::PathBuf;
use std::process::Command;

fn program() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_cfutures-worker"));
    assert!(library_dir().join("libcfutures.so").exists());
    path
}

#[test]
fn by_hand_it_says_what_it_is() {
    let mut command = Command::new(program());
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&command, &output));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: cfutures-worker"));
}

#[test]
fn help_and_version() {
    let output = run(Command::new(program()).arg("--help"));
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(String::from_utf8_lossy(&output.stdout).contains("process pools start it"));
    let output = run(Command::new(program()).arg("--version"));
    let wanted = format!("cfutures-worker {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
}

/// Whatever is in the variable, and whatever stands behind the number: it takes more.
#[test]
fn the_environment_alone_makes_no_worker() {
    for value in [
        "",
        "3",
        "0:00000000000000000000000000000000",
        "1:00000000000000000000000000000000",
        "3:00000000000000000000000000000000",
        "999999999:ffffffffffffffffffffffffffffffff",
        "-1:ffffffffffffffffffffffffffffffff",
    ] {
        let mut command = Command::new(program());
        let output = run(command.env("CFUT_WORKER", value));
        assert_eq!(output.status.code(), Some(2), "{}", describe(&command, &output));
    }
}

/// The library's state exists once in a worker: the program has none of it in itself.
#[test]
fn it_has_nothing_of_the_library_inside() {
    let bytes = std::fs::read(program()).expect("the program");
    let symbol = b"cfut_promise_set_bytes";
    assert!(!bytes.windows(symbol.len()).any(|part| part == symbol));
}
