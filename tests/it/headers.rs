//! The header in every dialect that has it: no compiler has a word to say about it, and C++
//! programs work with it as it is.

use crate::support::{build, describe, program, root, run, succeed, work_dir};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

/// Names for one edition of a language, the newest spelling first.
type Edition = &'static [&'static str];

const C: &[Edition] = &[&["c99"], &["c11"], &["c17", "c18"], &["c23", "c2x"]];
const CPP: &[Edition] =
    &[&["c++11"], &["c++14"], &["c++17"], &["c++20", "c++2a"], &["c++23", "c++2b"]];

const ALWAYS: &[&str] =
    &["-Wall", "-Wextra", "-pedantic", "-Wundef", "-Wconversion", "-Wshadow", "-Werror"];
const C_ONLY: &[&str] = &["-Wstrict-prototypes", "-Wmissing-prototypes", "-Wc++-compat"];
const CPP_ONLY: &[&str] = &["-Wnon-virtual-dtor", "-Wzero-as-null-pointer-constant"];

fn source(name: &str, text: &str) -> PathBuf {
    let path = work_dir().join(name);
    std::fs::write(&path, text).expect("source written");
    path
}

/// The spelling a compiler knows an edition by; None: no such compiler, or too old for it.
fn spelling(compiler: &str, edition: Edition, empty: &PathBuf) -> Option<&'static str> {
    edition.iter().copied().find(|name| {
        let mut probe = Command::new(compiler);
        probe.arg(format!("-std={name}")).arg("-fsyntax-only").arg(empty);
        probe.output().is_ok_and(|output| output.status.success())
    })
}

#[allow(clippy::print_stderr)] // says what was skipped
fn skipped(compiler: &str, edition: Edition) {
    eprintln!("skipped: {compiler} is missing or does not know -std={}", edition[0]);
}

/// Compiles tests/c/header.c in each edition; how often that was possible.
fn in_each_edition(compilers: &[&str], editions: &[Edition], language: &str, warn: &[&str]) {
    let empty = source(&format!("empty.{language}"), "typedef int nothing_here;\n");
    let mut done = 0;
    for compiler in compilers {
        for edition in editions {
            let Some(name) = spelling(compiler, edition, &empty) else {
                skipped(compiler, edition);
                continue;
            };
            let mut command = Command::new(compiler);
            command
                .arg(format!("-std={name}"))
                .args(ALWAYS)
                .args(warn)
                .args(["-x", language, "-fsyntax-only", "-I"])
                .arg(root().join("include"))
                .arg(root().join("tests/c/header.c"));
            let output = run(&mut command);
            // Also a warning that -Werror spares is one.
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{}",
                describe(&command, &output)
            );
            done += 1;
        }
    }
    assert!(done >= editions.len().min(3), "no compiler for {language}: nothing was tested");
}

#[test]
fn every_c_takes_the_header() {
    in_each_edition(&["gcc", "clang"], C, "c", C_ONLY);
}

#[test]
fn every_cpp_takes_the_header() {
    in_each_edition(&["g++", "clang++"], CPP, "c++", CPP_ONLY);
}

#[test]
fn a_cpp_program_links_and_runs() {
    succeed(program(&build("tests/c/plain.cpp")).arg("works"));
}

/// The header: an exception that leaves a C function of the user's ends the program.
fn exception_ends_the_program(place: &str) {
    let mut command = program(&build("tests/c/plain.cpp"));
    command.arg(place);
    let output = run(&mut command);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", describe(&command, &output));
    assert!(words.contains("out of a C function"), "{}", describe(&command, &output));
}

macro_rules! places {
    ($($name:ident),+ $(,)?) => {
        mod exception_ends_the_program {
            $(
                #[test]
                fn $name() {
                    super::exception_ends_the_program(stringify!($name));
                }
            )+
        }
    };
}

places! {
    task, closure, free_function, callback_of_a_worker, callback_at_once, callback_of_a_cancel,
    task_of_a_helping_waiter, task_run_in_the_submit, nested_task, hook,
}
