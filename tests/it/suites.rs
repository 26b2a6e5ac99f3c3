//! The C programs of tests/c, each case a test of its own.

use crate::support::{build, program, succeed};

/// One program: `suite!(name: case, case, …)` for tests/c/name.c.
macro_rules! suite {
    ($suite:ident: $($case:ident),+ $(,)?) => {
        mod $suite {
            $(
                #[test]
                fn $case() {
                    super::run(stringify!($suite), stringify!($case));
                }
            )+

            #[test]
            fn all_cases_are_run() {
                super::compare(stringify!($suite), &[$(stringify!($case)),+]);
            }
        }
    };
}

fn run(suite: &str, case: &str) {
    let path = build(&format!("tests/c/{suite}.c"));
    succeed(program(&path).arg(case));
}

fn compare(suite: &str, cases: &[&str]) {
    let path = build(&format!("tests/c/{suite}.c"));
    let listed = succeed(std::process::Command::new(path).arg("--list"));
    assert_eq!(listed.lines().collect::<Vec<_>>(), cases);
}

suite!(behaviours: a02_submit);
