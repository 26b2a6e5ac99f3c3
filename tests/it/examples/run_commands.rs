//! run_commands: several shell commands at once.

use super::{directory, example, refuses, result};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of commands in a directory.
pub(super) fn commands_in(directory: &Path, lines: &str) -> PathBuf {
    let path = directory.join("commands");
    fs::write(&path, lines).expect("commands");
    path
}

/// What it printed, without times, by number of line in the file.
fn outcomes(printed: &str, count: usize) -> Vec<String> {
    let entries: Vec<_> = printed.split_inclusive('\n').fold(Vec::new(), |mut entries, line| {
        if line.starts_with('[') {
            entries.push(String::new());
        }
        entries.last_mut().expect("a head").push_str(line);
        entries
    });
    assert_eq!(entries.len(), count, "{printed}");
    let mut outcomes: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(at, entry)| {
            let rest = entry.strip_prefix(&format!("[{}/{count}] ", at + 1)).expect("its number");
            let (head, text) = rest.split_once(": ").expect("the command");
            format!("{text}{}", head.split(',').next().expect("how it ended"))
        })
        .collect();
    outcomes.sort();
    outcomes
}

#[test]
fn run_commands_tells_of_each() {
    let directory = directory("run_commands");
    let pid = directory.join("pid");
    let lines = format!(
        "# a comment\n\necho out; echo two\necho why >&2; exit 3\nkill -9 $$\n\
         sleep 1000 & echo $! >{}; wait\nyes\nno-such-program-at-all 2>/dev/null\ntrue",
        pid.display()
    );
    let file = commands_in(&directory, &lines);
    for jobs in ["1", "3", "20"] {
        let (code, printed, complaint) = result(
            example("run_commands")
                .args(["--jobs", jobs, "--time-out", "1", "--limit", "100000"])
                .arg(&file),
        );
        assert_eq!((code, complaint.as_str()), (1, ""), "{printed}");
        let expected = [
            "echo out; echo two\n  | out\n  | two\nexit 0".to_owned(),
            "echo why >&2; exit 3\n  ! why\nexit 3".into(),
            "kill -9 $$\n  ! sh was ended by SIGKILL (9)\nsignal 9".into(),
            "no-such-program-at-all 2>/dev/null\n  ! sh exited with status 127\nexit 127".into(),
            format!(
                "sleep 1000 & echo $! >{}; wait\n  ! expired while it ran: \
                 CFUT_TASK_RUN_TIMEOUT_NS of 1 s passed; it was asked to stop\ntime-out",
                pid.display()
            ),
            "true\nexit 0".into(),
            "yes\n  ! sh wrote more than its CFUT_TASK_OUTPUT_LIMIT of 100000 bytes, and was killed\n\
             failed"
                .into(),
        ];
        assert_eq!(outcomes(&printed, expected.len()), expected, "{jobs} jobs");
        // With all that it has started.
        let child = fs::read_to_string(&pid).expect("its number");
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        while state().is_ok_and(|state| !state.contains(") Z")) {
            std::thread::yield_now();
        }
    }
}

/// The same as xargs finds, from the standard input.
#[test]
fn run_commands_as_xargs_does() {
    let mut lines = String::new();
    for line in 0..300 {
        writeln!(lines, "echo {line}").expect("text");
    }
    let file = commands_in(&directory("run_commands_many"), &lines);
    let program = example("run_commands");
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" --jobs 4 <\"$0\""]).arg(&file).arg(program.get_program());
    let (code, printed, complaint) = result(shell.args(program.get_args()));
    assert_eq!((code, complaint.as_str()), (0, ""));
    let mut numbers: Vec<u32> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("  | "))
        .map(|number| number.parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..300), "{printed}");
}

#[test]
fn run_commands_refuses_bad_arguments() {
    refuses("run_commands", &["--jobs", "0"], "--jobs");
    refuses("run_commands", &["--jobs", "two"], "--jobs");
    refuses("run_commands", &["--time-out", "-1"], "--time-out");
    refuses("run_commands", &["--limit", "0"], "--limit");
    refuses("run_commands", &["--fast"], "--help");
    refuses("run_commands", &["one", "two"], "one FILE");
    refuses("run_commands", &["/nowhere/at/all"], "No such file or directory");
}
