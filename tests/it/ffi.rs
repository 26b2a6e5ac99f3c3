//! The library as other languages use it: the programs of tests/ffi/, each run where its language
//! is found. docs/languages.md says what was run with which version.

use crate::snippets::blocks;
use crate::support::{build_with, library_dir, root, work_dir};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// For one program, with all its checks; a machine under load takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(150);

/// How a language is found, and what is run of it. Commands are words; the first one is a program.
struct Language {
    /// Its directory in tests/ffi/, where its commands run.
    name: &'static str,
    /// Prints its version: what it prints first that has the form of a number with a dot.
    version: &'static [&'static str],
    oldest: (u32, u32),
    /// What else must be there: a command that succeeds then, and what is missing where it does not.
    needs: &'static [(&'static [&'static str], &'static str)],
    run: &'static [&'static [&'static str]],
}

const PYTHON: Language = Language {
    name: "python",
    version: &["python3", "--version"],
    oldest: (3, 8),
    needs: &[],
    run: &[&["python3", "-B", "test_cfutures.py"], &["python3", "-B", "example.py"]],
};

const CFFI: Language = Language {
    name: "python",
    version: &["python3", "--version"],
    oldest: (3, 8),
    needs: &[(&["python3", "-c", "import cffi"], "cffi (pip install cffi)")],
    run: &[&["python3", "-B", "by_cffi.py"]],
};

const NODE: Language = Language {
    name: "node",
    version: &["node", "--version"],
    oldest: (18, 0),
    needs: &[(
        &["node", "-e", "process.exit(+(parseInt(require('koffi').version) < 3))"],
        "koffi 3 (npm install --prefix target/npm koffi@3)",
    )],
    run: &[&["node", "--expose-gc", "test.js"], &["node", "example.js"]],
};

const LUAJIT: Language = Language {
    name: "luajit",
    version: &["luajit", "-v"],
    oldest: (2, 1),
    needs: &[],
    run: &[&["luajit", "test.lua"], &["luajit", "example.lua"]],
};

/// The program is its own worker, so it is built; the compiler's cache is in the directory, too.
const GO: Language = Language {
    name: "go",
    version: &["go", "version"],
    oldest: (1, 19),
    needs: &[],
    run: &[
        &["sh", "-c", "gofmt -l . | grep . && exit 1; echo ok"],
        &[
            "sh",
            "-c",
            "export GOCACHE=${GOCACHE:-$CFUT_SCRATCH/cache} GOFLAGS=-mod=readonly
            go vet ./... && go build -o $CFUT_SCRATCH/host . && exec $CFUT_SCRATCH/host",
        ],
    ],
};

/// Debian has JNA in this place; JNA_JAR names another one.
const JAVA: Language = Language {
    name: "java",
    version: &["javac", "-version"],
    oldest: (17, 0),
    needs: &[(
        &["sh", "-c", "test -r ${JNA_JAR:-/usr/share/java/jna.jar}"],
        "JNA (libjna-java, or JNA_JAR)",
    )],
    run: &[&[
        "sh",
        "-c",
        "classes=${JNA_JAR:-/usr/share/java/jna.jar}:$CFUT_SCRATCH
        javac -Xlint:all -Werror -cp $classes -d $CFUT_SCRATCH *.java &&
        exec java -XX:TieredStopAtLevel=1 -cp $classes Host",
    ]],
};

const CSHARP: Language = Language {
    name: "csharp",
    version: &["mono", "--version"],
    oldest: (6, 8),
    needs: &[(&["mcs", "--version"], "mcs (mono-mcs)")],
    run: &[&[
        "sh",
        "-c",
        "mcs -warnaserror -out:$CFUT_SCRATCH/worker.exe Worker.cs Native.cs &&
        mcs -warnaserror -out:$CFUT_SCRATCH/host.exe Host.cs Pool.cs Native.cs &&
        exec mono $CFUT_SCRATCH/host.exe",
    ]],
};

const RUBY: Language = Language {
    name: "ruby",
    version: &["ruby", "--version"],
    oldest: (3, 1),
    needs: &[(&["ruby", "-e", "require 'fiddle/import'"], "fiddle")],
    run: &[&["ruby", "-w", "host.rb"]],
};

#[test]
fn python() {
    check(&PYTHON);
}

#[test]
fn python_program_in_the_readme() {
    if !is_here(&PYTHON) {
        return;
    }
    let program = scratch("python").join("squares.py");
    let blocks = blocks("README.md");
    let block = blocks.iter().find(|block| block.mark == "python").expect("a program");
    std::fs::write(&program, &block.text).expect("written");
    let words = ["python3", "-B", program.to_str().expect("UTF-8")];
    let mut command = command(&PYTHON, &words);
    let output = run(command.env("PYTHONPATH", root().join("tests/ffi/python")), LIMIT);
    let mut lines: Vec<_> = lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort_unstable(); // as completed
    assert_eq!(lines, ["0", "1", "16", "4", "9"], "{}", lossy(&output.stderr));
}

#[test]
fn python_cffi() {
    check(&CFFI);
}

#[test]
fn node() {
    check(&NODE);
}

#[test]
fn luajit() {
    check(&LUAJIT);
}

#[test]
fn go() {
    check(&GO);
}

#[test]
fn java() {
    check(&JAVA);
}

#[test]
fn csharp() {
    check(&CSHARP);
}

#[test]
fn ruby() {
    check(&RUBY);
}

/// Runs all of a language that is here.
fn check(language: &Language) {
    if !is_here(language) {
        return;
    }
    for words in language.run {
        let output = run(&mut command(language, words), LIMIT);
        let (printed, complaint) = (lossy(&output.stdout), lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {}\n{printed}{complaint}", output.status);
        assert!(printed.ends_with("ok\n"), "{words:?} printed\n{printed}{complaint}");
    }
}

/// Says what is missing.
fn is_here(language: &Language) -> bool {
    let found = find(language);
    if let Err(missing) = &found {
        let line = format!("skipped: {}: {missing}\n", language.name);
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }
    found.is_ok()
}

fn find(language: &Language) -> Result<(), String> {
    let Language { name, version, oldest, needs, .. } = language;
    let said = answer(&mut command(language, version)).ok_or(format!("no {} here", version[0]))?;
    let found = version_in(&said).unwrap_or_else(|| panic!("{version:?} printed {said:?}"));
    if found < *oldest {
        let ((a, b), (c, d)) = (found, oldest);
        return Err(format!("{name} {a}.{b} here, {c}.{d} is the oldest that is supported"));
    }
    match needs.iter().find(|need| answer(&mut command(language, need.0)).is_none()) {
        Some((_, missing)) => Err(format!("no {missing} here")),
        None => Ok(()),
    }
}

/// What it prints if it can be run and succeeds.
fn answer(command: &mut Command) -> Option<String> {
    command.stdin(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(lossy(&output.stdout) + &lossy(&output.stderr)) // some say it there
}

fn version_in(text: &str) -> Option<(u32, u32)> {
    text.split(|letter: char| !letter.is_ascii_digit() && letter != '.').find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

/// A command in the directory of a language, which finds there what its programs may want:
/// CFUT_LIBRARY, CFUT_HEADERS, a module with tasks written in C (tests/ffi/tasks.c), a directory to
/// build in, and library and header where compilers and loaders look for them.
fn command(language: &Language, words: &[&str]) -> Command {
    let (headers, library) = (root().join("include"), library_dir());
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .current_dir(root().join("tests/ffi").join(language.name))
        .env("CFUT_LIBRARY", library.join("libcfutures.so"))
        .env("CFUT_HEADERS", &headers)
        .env("CFUT_TASKS", build_with("tests/ffi/tasks.c", &["-shared", "-fPIC"]))
        .env("CFUT_SCRATCH", scratch(language.name))
        .env("C_INCLUDE_PATH", &headers)
        .env("LIBRARY_PATH", library)
        .env("LD_LIBRARY_PATH", library)
        .env_remove("CFUT_CHECK");
    if std::env::var_os("NODE_PATH").is_none() {
        command.env("NODE_PATH", root().join("target/npm/node_modules"));
    }
    command
}

fn scratch(name: &str) -> PathBuf {
    let path = work_dir().join("ffi").join(name);
    std::fs::create_dir_all(&path).expect("directory");
    path
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a program that leads a process group, all of which is killed when the time is over: an
/// interpreter, a build tool and what they started.
fn run(command: &mut Command, limit: Duration) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let group = i32::try_from(child.id()).expect("a process id");
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(Child::wait_with_output(child)));
    match receiver.recv_timeout(limit) {
        Ok(output) => output.expect("output"),
        Err(RecvTimeoutError::Disconnected) => panic!("{command:?}: nobody waits for it"),
        Err(RecvTimeoutError::Timeout) => {
            // SAFETY: a signal to the group of a child; its output is open, so something of it is
            // there, and its id is of nobody else.
            unsafe { libc::kill(-group, libc::SIGKILL) };
            let rest = receiver.recv_timeout(Duration::from_secs(10)).ok().and_then(Result::ok);
            let said = rest.map(|output| lossy(&output.stdout) + &lossy(&output.stderr));
            panic!("{command:?}: killed after {limit:?}; it said {said:?}");
        }
    }
}

#[test]
fn what_hangs_is_killed_with_its_children() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo begun; sleep 1000 & sleep 1000"]);
    let hangs = std::thread::spawn(move || run(&mut command, Duration::from_millis(300)));
    let text = *hangs.join().expect_err("killed").downcast::<String>().expect("text");
    // It has said something, if only nothing: nobody holds its output open any more.
    assert!(text.contains("killed after 300ms; it said Some("), "{text}");
}

#[test]
fn versions_are_read() {
    assert_eq!(version_in("Python 3.11.7\n"), Some((3, 11)));
    assert_eq!(version_in("v20.20.2"), Some((20, 20)));
    assert_eq!(version_in("LuaJIT 2.1.0-beta3 -- Copyright (C) 2005-2022"), Some((2, 1)));
    assert_eq!(version_in("go version go1.19.8 linux/amd64"), Some((1, 19)));
    assert_eq!(version_in("openjdk 22 2024"), None);
}
