//! The programs of examples-c/ and examples-python/, on real input against grep and known figures,
//! and on bad input.

mod event_loop;
mod fetch_urls;
mod pipeline;
mod resize_images;
mod run_commands;

use crate::json::Json;
use crate::support::{build_with, library_dir, program, root, run, succeed, work_dir};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An example in C, or with `++` behind its name the one in C++.
fn example(name: &str) -> Command {
    let source = match name.strip_suffix("++") {
        Some(name) => format!("examples-cpp/{name}.cpp"),
        None => format!("examples-c/{name}.c"),
    };
    program(&build_with(&source, &["-pedantic", "-Wshadow"]))
}

/// Runs it; exit code, what it printed, and what it complained.
fn result(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = run(command);
    let code = status.code().unwrap_or_else(|| panic!("{command:?}: {status}"));
    (code, text(&stdout), text(&stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An empty directory, for the test of this name.
fn directory(name: &str) -> PathBuf {
    let path = work_dir().join(name);
    let _ = fs::remove_dir_all(&path); // of an earlier run
    fs::create_dir_all(&path).expect("directory");
    path
}

/// A refused use: status 2, nothing on stdout, and these words on stderr.
fn refuses(example_name: &str, arguments: &[&str], words: &str) {
    let (code, printed, complaint) = result(example(example_name).args(arguments));
    assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
    assert!(complaint.contains(words), "{arguments:?}: {complaint:?} lacks {words:?}");
    let name = example_name.trim_end_matches('+');
    assert!(complaint.contains(name), "{arguments:?}: {complaint:?} has no name");
}

/// A program under valgrind has no worker processes (docs/reliability.md).
fn has_processes() -> bool {
    !std::env::var("CFUT_TEST_WRAPPER").unwrap_or_default().contains("valgrind")
}

#[test]
fn help_goes_to_stdout() {
    for form in [
        "crash_lab",
        "event_loop",
        "log_summary",
        "log_summary++",
        "pipeline",
        "pipeline++",
        "primes",
        "run_commands",
    ] {
        let (code, printed, complaint) = result(example(form).arg("--help"));
        assert_eq!((code, complaint.as_str()), (0, ""));
        let name = form.trim_end_matches('+');
        assert!(printed.starts_with(&format!("usage: {name} ")), "{printed}");
    }
}

// ---- log_summary ----

/// The program in C and in C++.
const LOG_SUMMARIES: [&str; 2] = ["log_summary", "log_summary++"];

const PROCESSES: &[&str] = &["--processes"];

/// On threads, and in processes.
fn kinds() -> Vec<&'static [&'static str]> {
    if has_processes() { vec![&[], PROCESSES] } else { vec![&[]] }
}

/// Lines as services write them, with words that are nearly what is looked for.
fn service_log(lines: usize, worse: usize) -> String {
    let mut log = String::new();
    for line in 0..lines {
        let words = match line % (11 + worse) {
            0 => "ERROR cannot reach the database",
            1 => "WARNING retrying",
            2 => "WARN cache is cold",
            3 => "error: in small letters, Warn: likewise",
            4 => "ERRERROR and WAWARN begin twice",
            5 => "ERRO R, WAR N",
            6 => "",
            7 => "ERROR twice: ERROR, and WARN",
            _ => "INFO nothing to see",
        };
        writeln!(log, "{line:08} {words}").expect("text");
    }
    log
}

/// Files of several shapes; the names in the directory.
fn write_logs(directory: &Path) -> Vec<&'static str> {
    let mut unfinished = service_log(5000, 3);
    unfinished.push_str("ERROR without an end of line");
    let long = [b"x".repeat(200_000), b"ERROR".to_vec(), b"y".repeat(70_000)].concat();
    let files = [
        ("busy.log", service_log(40_000, 0).into_bytes()),
        ("calm.log", service_log(3000, 50).into_bytes()),
        ("unfinished.log", unfinished.into_bytes()),
        ("empty.log", Vec::new()),
        ("only-newline.log", b"\n".to_vec()),
        ("odd bytes.log", b"\0ERROR\0\nWARN\xff\xfe\n\n\n\nERR\nOR\nWA\0RN".to_vec()),
        ("one-long-line.log", long),
        // Words across each border of the blocks that are read, whatever their size.
        ("crossing.log", b"ERROR WARN\n".repeat(30_000)),
    ];
    for (name, bytes) in &files {
        fs::write(directory.join(name), bytes).expect("log file");
    }
    files.map(|(name, _)| name).to_vec()
}

/// What grep -c says of a file.
fn grep(options: &str, pattern: &str, file: &Path) -> u64 {
    let output = run(Command::new("grep").env("LC_ALL", "C").args([options, pattern]).arg(file));
    assert!(output.status.code() <= Some(1), "grep: {}", text(&output.stderr));
    text(&output.stdout).trim().parse().expect("a number")
}

/// (errors, warnings, lines, name) of each printed row, in order.
fn rows(printed: &str) -> Vec<(u64, u64, u64, String)> {
    let mut lines = printed.lines();
    let titles: Vec<_> = lines.next().expect("titles").split_whitespace().collect();
    assert_eq!(titles, ["lines", "errors", "warnings", "file"]);
    lines
        .map(|line| {
            let (figures, name) = line.split_at(3 * 12 + 2 + 2);
            let figures: Vec<u64> =
                figures.split_whitespace().map(|figure| figure.parse().expect("figure")).collect();
            (figures[1], figures[2], figures[0], name.to_owned())
        })
        .collect()
}

fn compare_with_grep(directory: &Path, names: &[&str], printed: &str, options: &str) {
    let rows = rows(printed);
    let mut expected: Vec<_> = names
        .iter()
        .map(|&name| {
            let file = directory.join(name);
            let count = |pattern| grep(options, pattern, &file);
            (count("ERROR"), count("WARN"), count(""), name.to_owned())
        })
        .collect();
    expected.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.3.cmp(&b.3)));
    assert_eq!(rows, expected);
}

#[test]
fn log_summary_counts_as_grep_does() {
    for form in LOG_SUMMARIES {
        let directory = directory("log_summary_counts");
        let names = write_logs(&directory);
        fs::create_dir(directory.join("archive")).expect("directory");
        fs::write(directory.join("archive/old.log"), "ERROR old\n").expect("log file");
        for (kind, workers) in
            [(&[][..], "1"), (&[], "3"), (&[], "64"), (PROCESSES, "1"), (PROCESSES, "4")]
        {
            let mut program = example(form);
            let printed = succeed(program.args(kind).args(["--workers", workers]).arg(&directory));
            compare_with_grep(&directory, &names, &printed, "-ac");
        }
        for kind in kinds() {
            let printed = succeed(example(form).args(kind).arg(&directory).arg("-i"));
            compare_with_grep(&directory, &names, &printed, "-aci");
        }
    }
}

#[test]
fn log_summary_goes_on_after_an_unreadable_file() {
    for form in LOG_SUMMARIES {
        let directory = directory("log_summary_unreadable");
        let names = write_logs(&directory);
        symlink("nowhere", directory.join("dangling.log")).expect("symlink");
        for kind in kinds() {
            let (code, printed, complaint) = result(example(form).args(kind).arg(&directory));
            assert_eq!(code, 1);
            assert_eq!(complaint, "log_summary: dangling.log: No such file or directory\n");
            compare_with_grep(&directory, &names, &printed, "-ac");
        }
    }
}

#[test]
fn log_summary_of_an_empty_directory() {
    for form in LOG_SUMMARIES {
        let directory = directory("log_summary_empty");
        let (code, printed, complaint) = result(example(form).arg(&directory));
        assert_eq!((code, complaint.as_str()), (0, ""));
        assert_eq!(rows(&printed), []);
    }
}

#[test]
fn log_summary_of_many_files() {
    for form in LOG_SUMMARIES {
        let directory = directory("log_summary_many");
        for number in 0..500usize {
            let log = "ERROR\n".repeat(number % 7);
            fs::write(directory.join(format!("{number:03}")), log).expect("log file");
        }
        let mut expected: Vec<_> =
            (0..500).map(|number| (number % 7, format!("{number:03}"))).collect();
        expected.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let expected: Vec<_> = expected.into_iter().map(|(n, name)| (n, 0, n, name)).collect();
        for kind in kinds() {
            assert_eq!(rows(&succeed(example(form).args(kind).arg(&directory))), expected);
        }
    }
}

#[test]
fn log_summary_refuses_bad_arguments() {
    for form in LOG_SUMMARIES {
        let directory = directory("log_summary_bad");
        let file = directory.join("file");
        fs::write(&file, "").expect("file");
        let (dir, file) = (directory.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
        refuses(form, &[], "one directory");
        refuses(form, &[dir, dir], "one directory");
        refuses(form, &["--process=es", dir], "--process");
        refuses(form, &["--workers"], "--workers");
        for number in ["0", "-3", "", "two", "2x", "99999999999999999999"] {
            refuses(form, &["--workers", number, dir], "--workers");
        }
        refuses(form, &["--workers", "40000", dir], "CFUT_OPT_WORKERS is 40000");
        refuses(form, &["--processes", "--workers", "2000", dir], "CFUT_OPT_WORKERS is 2000");
        refuses(form, &[&format!("{dir}/missing")], "No such file or directory");
        refuses(form, &[file], "Not a directory");
    }
}

#[test]
fn a_full_disk_is_noticed() {
    let empty = directory("full_disk");
    let commands = run_commands::commands_in(&directory("full_disk_commands"), "echo x\n");
    for (name, arguments) in [
        ("crash_lab", vec![Path::new("refuse")]),
        ("event_loop", vec![Path::new("7")]),
        ("log_summary", vec![&empty]),
        ("log_summary++", vec![&empty]),
        ("pipeline", vec![&empty, &directory("full_disk_results")]),
        ("pipeline++", vec![&empty, &directory("full_disk_results_cpp")]),
        ("primes", vec![Path::new("7")]),
        ("run_commands", vec![&commands]),
    ] {
        let program = example(name);
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" >/dev/full", "sh"]).arg(program.get_program());
        let (code, _, complaint) = result(shell.args(program.get_args()).args(arguments));
        assert_eq!(code, 2, "{name}");
        assert!(complaint.contains("No space left"), "{complaint}");
    }
}

// ---- timelines ----

/// Runs an example with `--trace`; how many runs of tasks of each name its file has.
fn traced(name: &str, arguments: &[&str], last: &Path) -> BTreeMap<String, usize> {
    let file = work_dir().join(format!("trace_{name}_{}.json", arguments.len()));
    let mut command = example(name);
    let (code, _, complaint) = result(command.args(arguments).arg("--trace").arg(&file).arg(last));
    assert_eq!(code, 0, "{complaint}");
    let text = fs::read_to_string(&file).expect("the file");
    let events = Json::parse(&text).expect("JSON");
    let mut runs = BTreeMap::new();
    for event in events.list().iter().filter(|event| event.get("ph").text() == "X") {
        *runs.entry(event.get("name").text().to_owned()).or_default() += 1;
    }
    draw(&file);
    fs::remove_file(file).expect("removed");
    runs
}

/// By the script that made the picture in the documents, where there is a Python.
fn draw(file: &Path) {
    let script = root().join("docs/timeline.py");
    let Ok(output) = Command::new("python3").arg(script).arg(file).output() else {
        return; // no Python here
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let svg = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
}

#[test]
fn timelines_of_examples() {
    let number = Path::new("1000");
    for kind in [&["--count"][..], &["--count", "--processes"]] {
        assert_eq!(traced("primes", kind, number), [("count primes".to_owned(), 10)].into());
    }
    let ill = traced("crash_lab", &[], Path::new("segfault"));
    assert_eq!(ill.get("segfault"), Some(&1), "{ill:?}");
    let logs = directory("timeline");
    for name in ["a.log", "b.log"] {
        fs::write(logs.join(name), "ERROR nothing works\n").expect("written");
    }
    for form in LOG_SUMMARIES {
        let read = traced(form, &[], &logs);
        assert_eq!(read, [("a.log".to_owned(), 1), ("b.log".to_owned(), 1)].into());
    }
    refuses("primes", &["--trace", "/nonexistent/x", "7"], "CFUT_OPT_TRACE_FILE /nonexistent/x");
}

// ---- primes ----

/// What it printed of its numbers, without the line of times: the same without and with
/// processes, which the program itself compares number by number.
fn answers(arguments: &[&str]) -> Vec<String> {
    let [threads, processes] = [&[], PROCESSES].map(|kind| {
        let printed = succeed(example("primes").args(kind).args(arguments));
        let mut lines: Vec<_> = printed.lines().map(str::to_owned).collect();
        let times = lines.pop().expect("times");
        assert!(times.starts_with("serially ") && times.contains(" on threads ("), "{times}");
        assert_eq!(times.contains(" in processes ("), !kind.is_empty(), "{times}");
        lines
    });
    assert_eq!(threads, processes);
    threads
}

#[test]
fn primes_by_division() {
    let numbers = ["112272535095293", "112582705942171", "115280095190773"];
    assert_eq!(answers(&numbers), numbers.map(|number| format!("{number} is prime")));
    assert_eq!(
        answers(&["0", "1", "2", "3", "4", "9", "8051", "18446744073709551615"]),
        [
            "0 is not prime",
            "1 is not prime",
            "2 is prime",
            "3 is prime",
            "4 is not prime: 2 divides it",
            "9 is not prime: 3 divides it",
            "8051 is not prime: 83 divides it",
            "18446744073709551615 is not prime: 3 divides it",
        ]
    );
}

#[test]
fn primes_counted_in_ranges() {
    for workers in ["1", "2", "7"] {
        assert_eq!(
            answers(&["--workers", workers, "--count", "100000", "3", "0"]),
            ["9592 primes below 100000", "1 primes below 3", "0 primes below 0"]
        );
    }
}

#[test]
fn primes_by_sieve() {
    assert_eq!(
        answers(&["--sieve", "1000000", "2000000", "3000000", "4000000", "2", "0"]),
        [
            "78498 primes below 1000000",
            "148933 primes below 2000000",
            "216816 primes below 3000000",
            "283146 primes below 4000000",
            "0 primes below 2",
            "0 primes below 0",
        ]
    );
}

#[test]
fn primes_refuses_bad_arguments() {
    refuses("primes", &[], "a number is wanted");
    refuses("primes", &["--process=es", "7"], "--process");
    for number in ["seven", "7x", "", "+7", " 7", "18446744073709551616"] {
        refuses("primes", &["3", number], "no number");
    }
    refuses("primes", &["--", "-7"], "no number");
    refuses("primes", &["--sieve", "1000000001"], "too large");
    refuses("primes", &["--workers", "0", "7"], "--workers");
    refuses("primes", &["--workers", "40000", "7"], "CFUT_OPT_WORKERS is 40000");
    refuses("primes", &["--processes", "--workers", "2000", "7"], "CFUT_OPT_WORKERS is 2000");
}

// ---- crash_lab ----

/// The number behind each of these words, as N.
fn without_numbers(printed: &str, words: &[&str]) -> String {
    let mut text = printed.to_owned();
    for word in words {
        let mut parts = text.split(word);
        let mut plain = parts.next().unwrap_or("").to_owned();
        for part in parts {
            plain += word;
            plain += "N";
            plain += part.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        text = plain;
    }
    text
}

const CRASHES: &str = "\
task         ended as      after it  what the library says
refuse       CFUT_FAILED   10 of 10  cannot process that
segfault     CFUT_CRASHED  10 of 10  worker lab-N (pid N) was killed by signal 11 (SIGSEGV); \
an invalid memory access or a stack overflow in the task, or in code it calls
abort        CFUT_CRASHED  10 of 10  worker lab-N (pid N) was killed by signal 6 (SIGABRT); \
an assertion, an uncaught C++ exception or heap corruption
exit-0       CFUT_CRASHED  10 of 10  worker lab-N (pid N) exited with status 0 in a task: \
a task must return, and not call exit()
exit-3       CFUT_CRASHED  10 of 10  worker lab-N (pid N) exited with status 3 in a task: \
a task must return, and not call exit()
spin         CFUT_EXPIRED  10 of 10  expired while it ran: CFUT_TASK_RUN_TIMEOUT_NS of 200 ms passed
freeze       CFUT_EXPIRED  10 of 10  expired while it ran: CFUT_TASK_RUN_TIMEOUT_NS of 200 ms passed
overflow     CFUT_CRASHED  10 of 10  worker lab-N (pid N) was killed by signal 11 (SIGSEGV); \
an invalid memory access or a stack overflow in the task, or in code it calls
close        CFUT_CRASHED  10 of 10  worker lab-N (pid N) was killed: \
it closed its connection to the pool (a task that closes all descriptors?)
vanish       CFUT_CRASHED  10 of 10  worker lab-N (pid N) exited with status 0 in a task: \
a task must return, and not call exit(); its child is gone
killed       CFUT_CRASHED  10 of 10  worker lab-N (pid N) was killed by signal 9 (SIGKILL); \
killed from outside: by a person, or by the system for want of memory
eat          CFUT_FAILED   10 of 10  no more memory
eat-blindly  CFUT_CRASHED  10 of 10  worker lab-N (pid N) was killed by signal 11 (SIGSEGV); \
the memory of its limit or of the machine was used up
";

#[test]
fn crash_lab_goes_on() {
    for workers in ["1", "2", "5"] {
        let printed = succeed(example("crash_lab").args(["--workers", workers]));
        assert_eq!(without_numbers(&printed, &["lab-", "(pid "]), CRASHES, "{workers} workers");
    }
}

#[test]
fn crash_lab_with_one_task() {
    let printed = succeed(example("crash_lab").arg("abort"));
    let expected: Vec<_> = [0, 3].iter().filter_map(|&n| CRASHES.lines().nth(n)).collect();
    let printed = without_numbers(&printed, &["lab-", "(pid "]);
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn crash_lab_lists_its_tasks() {
    let listed = succeed(example("crash_lab").arg("--list"));
    let name = |line: &str| line.split(' ').next().map(str::to_owned);
    let names: Vec<_> = listed.lines().filter_map(name).collect();
    let run: Vec<_> = CRASHES.lines().skip(1).filter_map(name).collect();
    assert_eq!(names, run);
}

#[test]
fn crash_lab_refuses_bad_arguments() {
    refuses("crash_lab", &["abort", "explode"], "no such task");
    refuses("crash_lab", &["--workers", "0"], "--workers");
    refuses("crash_lab", &["--workers", "2x"], "--workers");
    refuses("crash_lab", &["--workers", "2000"], "CFUT_OPT_WORKERS is 2000");
    refuses("crash_lab", &["--threads", "2"], "--threads");
}

// ---- Python ----

/// Runs a program of examples-python/; None where there is no python3.
fn python(name: &str) -> Option<(i32, String, String)> {
    let found = Command::new("python3").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no python3\n");
        return None;
    }
    let mut command = Command::new("python3");
    command.arg("-B").arg(root().join("examples-python").join(name));
    command.env("CFUT_LIBRARY", library_dir().join("libcfutures.so"));
    Some(result(&mut command))
}

#[test]
fn python_host_and_workers() {
    let Some((code, printed, complaint)) = python("host.py") else { return };
    assert_eq!((code, complaint.as_str()), (0, ""), "{printed}");
    let expected = "\
square(12) = 144
count_words('the cat and the dog and the bird') = \
{'the': 3, 'cat': 1, 'and': 2, 'dog': 1, 'bird': 1}
divide(7, 2) = 3.5
divide(7, 0): CFUT_FAILED: ZeroDivisionError: division by zero
crash(): CFUT_CRASHED: worker py-N (pid N) was killed by signal 11 (SIGSEGV); \
an invalid memory access or a stack overflow in the task, or in code it calls
no_such_task(): CFUT_FAILED: no task is registered under the name \"no_such_task\" \
(cfut_register), and it names no \"module.so:symbol\"
sum of 1000 squares = 332833500
in other processes: True
left behind: 0
";
    assert_eq!(without_numbers(&printed, &["py-", "(pid "]), expected);
}

#[test]
fn python_worker_started_by_hand() {
    let Some((code, printed, complaint)) = python("worker.py") else { return };
    assert_eq!((code, printed.as_str()), (1, ""));
    assert!(complaint.starts_with("worker.py: CFUT_ESTATE: "), "{complaint}");
}
