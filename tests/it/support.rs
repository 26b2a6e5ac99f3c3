//! What the tests share: the built library, C programs made with it, and a way to run
//! them that never hangs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// Limit for one program; the programs' own watchdogs, which say more, come first.
fn limit() -> Duration {
    let own = std::env::var("CHECK_SECONDS").ok().and_then(|text| text.parse::<u64>().ok());
    Duration::from_secs(own.map_or(180, |own| own.max(170) + 10))
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory with libcfutures.so, the one that cargo built for this run.
pub(crate) fn library_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        // Cargo puts it beside the test program, in target/debug/deps.
        let mut dir = std::env::current_exe().expect("own path");
        dir.pop();
        assert!(dir.join("libcfutures.so").exists(), "no libcfutures.so in {}", dir.display());
        let link = dir.join(soname());
        let _ = std::os::unix::fs::symlink("libcfutures.so", &link); // there already, or made now
        assert!(link.exists(), "{} is missing", link.display());
        dir
    })
}

/// Of this version.
pub(crate) fn soname() -> String {
    soname_of(env!("CARGO_PKG_VERSION"))
}

/// As build.rs has it: while the major version is 0, each minor version is an ABI of its own.
pub(crate) fn soname_of(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("libcfutures.so.0.{minor}"),
        (Some(major), Some(_)) => format!("libcfutures.so.{major}"),
        _ => panic!("{version:?} is no version"),
    }
}

/// Where programs are built.
pub(crate) fn work_dir() -> PathBuf {
    let dir = library_dir().join("c");
    std::fs::create_dir_all(&dir).expect("directory for programs");
    dir
}

/// A compiler as the `cc` crate finds it (CC, CXX, or the system's).
pub(crate) fn compiler(cpp: bool) -> Command {
    cc::Build::new()
        .cpp(cpp)
        .opt_level(1)
        .debug(true)
        .host(env!("TARGET_FOR_TESTS"))
        .target(env!("TARGET_FOR_TESTS"))
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .cargo_metadata(false)
        .get_compiler()
        .to_command()
}

/// Runs to the end and wants success; what it printed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", describe(command, &output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn describe(command: &Command, output: &Output) -> String {
    format!(
        "{command:?}: {}\n--- stdout\n{}--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs to the end, or to the limit: then it is killed and the test fails.
pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let guard = Limit::watch(&child);
    // By a thread of its own: a process that the program leaves behind may hold its output open.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(limit() + Duration::from_secs(10));
    let Ok(output) = output else {
        panic!("{command:?}: killed after {:?}, and its output is still held open", limit());
    };
    let output = output.expect("output");
    assert!(!guard.fired(), "killed after {:?}: {}", limit(), describe(command, &output));
    output
}

/// Kills a process that takes too long.
struct Limit(Arc<Mutex<State>>);

#[derive(PartialEq)]
enum State {
    Running,
    Done,
    Killed,
}

impl Limit {
    fn watch(child: &Child) -> Limit {
        let state = Arc::new(Mutex::new(State::Running));
        let (watched, pid) = (Arc::clone(&state), child.id());
        let end = Instant::now() + limit();
        std::thread::spawn(move || {
            while Instant::now() < end {
                std::thread::sleep(Duration::from_millis(200));
                if *watched.lock().expect("lock") != State::Running {
                    return;
                }
            }
            let mut state = watched.lock().expect("lock");
            if *state == State::Running {
                *state = State::Killed;
                // SAFETY: a signal to a child that has not been waited for.
                unsafe { libc::kill(pid as i32, libc::SIGKILL) };
            }
        });
        Limit(state)
    }

    fn fired(&self) -> bool {
        let mut state = self.0.lock().expect("lock");
        std::mem::replace(&mut *state, State::Done) == State::Killed
    }
}

/// Builds a program from a source under the project's root, once per test run.
pub(crate) fn build(source: &str) -> PathBuf {
    build_with(source, &[])
}

/// Says what was not tested, also where the output of tests is kept back.
pub(crate) fn skipped(what: &str) {
    let line = format!("skipped: {what}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// As `build`, for a source that names libraries for pkg-config in its first line; None, and a line
/// that says so, where they are not found.
pub(crate) fn build_with_libraries(source: &str, arguments: &[&str]) -> Option<PathBuf> {
    let text = std::fs::read_to_string(root().join(source)).expect(source);
    let needs = text.lines().next().and_then(|line| line.strip_prefix("/* pkg-config: "));
    let needs = needs.and_then(|line| line.strip_suffix(" */")).expect("names for pkg-config");
    let found = Command::new("pkg-config")
        .args(["--cflags", "--libs"])
        .args(needs.split(' '))
        .output()
        .ok()
        .filter(|output| output.status.success());
    let Some(found) = found else {
        skipped(&format!("{source}: pkg-config does not find {needs}"));
        return None;
    };
    let flags = String::from_utf8(found.stdout).expect("flags");
    let all: Vec<_> = arguments.iter().copied().chain(flags.split_whitespace()).collect();
    Some(build_with(source, &all))
}

/// As `build`, with further arguments for the compiler.
pub(crate) fn build_with(source: &str, arguments: &[&str]) -> PathBuf {
    once(&format!("{source} {}", arguments.join(" ")), || compile(source, arguments))
}

/// What tests have in common is made by the first one that needs it; the others wait.
pub(crate) fn once(key: &str, make: impl FnOnce() -> PathBuf) -> PathBuf {
    type Made = HashMap<String, Arc<OnceLock<PathBuf>>>;
    static MADE: OnceLock<Mutex<Made>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().expect("lock");
    let place = Arc::clone(made.entry(key.to_owned()).or_default());
    drop(made);
    place.get_or_init(make).clone()
}

/// Arguments as a part of a file's name.
pub(crate) fn in_a_name(arguments: &[&str]) -> String {
    let letters = arguments.iter().flat_map(|argument| argument.chars());
    letters.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

fn compile(source: &str, arguments: &[&str]) -> PathBuf {
    let cpp = source.ends_with(".cpp");
    let program = work_dir().join(source.replace(['/', '.'], "_") + &in_a_name(arguments));
    // Libraries come behind what needs them.
    let (libraries, arguments): (Vec<&str>, Vec<&str>) =
        arguments.iter().partition(|argument| argument.starts_with("-l"));
    let mut command = compiler(cpp);
    if !arguments.contains(&"-shared") {
        // What only a program is linked with: the run time of a sanitizer.
        let flags = std::env::var("CFUT_TEST_LINK").unwrap_or_default();
        command.args(flags.split_whitespace());
    }
    command
        .arg(if cpp { "-std=c++17" } else { "-std=c11" })
        .arg("-I")
        .arg(root().join("include"))
        .args(arguments)
        .arg(root().join(source))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(library_dir())
        .args(libraries)
        .args(["-lcfutures", "-lpthread", "-lm", "-ldl"])
        .arg(format!("-Wl,-rpath,{}", library_dir().display()));
    succeed(&mut command);
    program
}

/// What a program with the static library inside is linked with.
pub(crate) const FOR_STATIC: &[&str] = &["-lpthread", "-lm", "-ldl"];

/// A program or shared object with the static library inside.
pub(crate) fn build_static(source: &str, output: &str, arguments: &[&str]) -> PathBuf {
    let output = work_dir().join(output);
    let mut command = compiler(false);
    command
        .arg("-std=c11")
        .args(arguments)
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join(source))
        .arg(library_dir().join("libcfutures.a"))
        .args(FOR_STATIC)
        .arg("-o")
        .arg(&output);
    succeed(&mut command);
    output
}

/// A program to run, behind what `CFUT_TEST_WRAPPER` names: valgrind, taskset, …
pub(crate) fn program(path: &Path) -> Command {
    let mut command = match std::env::var("CFUT_TEST_WRAPPER") {
        Ok(wrapper) if !wrapper.is_empty() => {
            let mut words = wrapper.split_whitespace();
            let mut command = Command::new(words.next().expect("a word"));
            command.args(words).arg(path);
            command
        }
        _ => Command::new(path),
    };
    command.env_remove("CFUT_CHECK");
    if let Ok(check) = std::env::var("CFUT_TEST_CHECK") {
        command.env("CFUT_CHECK", check);
    }
    command
}
