//! `cfutures.hpp`: its suites in each C++ that is here, what it refuses and with which words, and
//! that no compiler has a word to say about it.
//!
//! `CXX` names the compiler, in place of gcc and clang; `CXXFLAGS` has further arguments for the
//! suites: a sanitizer, say.

use crate::support::{describe, library_dir, program, root, run, succeed, work_dir};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const WARNINGS: [&str; 6] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"];

/// Those of the compilers that are here and know an edition. The older one with clang is tried when
/// `CXX` asks for that, by a step of its own: each takes a while to build.
fn compilers(edition: &str) -> Vec<String> {
    let both = if edition == "c++17" { "g++" } else { "g++ clang++" };
    let names = std::env::var("CXX").unwrap_or_else(|_| both.to_owned());
    let empty = work_dir().join("empty.cpp");
    fs::write(&empty, "").expect("source written");
    let knows = |name: &String| {
        let mut probe = Command::new(name);
        probe.arg(format!("-std={edition}")).arg("-fsyntax-only").arg(&empty);
        let knows = probe.output().is_ok_and(|output| output.status.success());
        if !knows {
            // Straight to the terminal: a test that passes shows nothing else.
            let _ = writeln!(std::io::stderr(), "skipped, no {name} for {edition} here: {edition}");
        }
        knows
    };
    names.split_whitespace().map(str::to_owned).filter(knows).collect()
}

/// A compiler for one edition, with all its warnings as errors.
fn compile(compiler: &str, edition: &str) -> Command {
    let mut command = Command::new(compiler);
    command.arg(format!("-std={edition}")).args(WARNINGS).arg("-I").arg(root().join("include"));
    command
}

fn link(command: &mut Command, program: &Path) {
    let more = std::env::var("CXXFLAGS").unwrap_or_default();
    command.args(more.split_whitespace()).arg("-o").arg(program);
    command.arg("-L").arg(library_dir()).args(["-lcfutures", "-lpthread"]);
    command.arg(format!("-Wl,-rpath,{}", library_dir().display()));
}

/// All cases of a suite, in each compiler that knows the edition.
fn suite(name: &str, edition: &str) {
    for compiler in compilers(edition) {
        let path = work_dir().join(format!("cpp_{name}_{compiler}_{edition}"));
        let mut command = compile(&compiler, edition);
        command.arg("-g").arg(root().join(format!("tests/cpp/{name}.cpp")));
        link(&mut command, &path);
        succeed(&mut command);
        let listed = succeed(Command::new(&path).arg("--list"));
        let failed: Vec<String> = listed
            .lines()
            .filter_map(|case| {
                let mut command = program(&path);
                command.arg(case);
                let output = run(&mut command);
                (!output.status.success()).then(|| describe(&command, &output))
            })
            .collect();
        assert!(!listed.is_empty() && failed.is_empty(), "{}", failed.join("\n"));
    }
}

macro_rules! suites {
    ($($name:ident in $($module:ident $edition:literal),+;)+) => {
        $(mod $name {
            $(
                #[test]
                fn $module() {
                    super::suite(stringify!($name), $edition);
                }
            )+
        })+
    };
}

suites! {
    submits in cpp17 "c++17", cpp20 "c++20";
    futures in cpp17 "c++17", cpp20 "c++20";
    several in cpp17 "c++17", cpp20 "c++20";
    processes in cpp17 "c++17", cpp20 "c++20";
    coroutines in cpp20 "c++20";
}

fn source(name: &str, text: &str) -> PathBuf {
    let path = work_dir().join(format!("{name}.cpp"));
    fs::write(&path, text).expect("source written");
    path
}

// ---- what the compilers say ----

/// Nothing, also in the newest edition and without run-time types.
#[test]
fn other_dialects_take_the_header() {
    const DIALECTS: [(&str, &str, &str); 3] = [
        ("c++17", "-fno-rtti", "submits"),
        ("c++20", "-fno-rtti", "coroutines"),
        ("c++23", "-Wundef", "several"),
    ];
    for (edition, argument, suite) in DIALECTS {
        // As it was called before it was there.
        let spelling = if edition == "c++23" { "c++2b" } else { edition };
        for compiler in compilers(spelling) {
            let mut command = compile(&compiler, spelling);
            command.args([argument, "-Wnon-virtual-dtor", "-fsyntax-only"]);
            succeed(command.arg(root().join(format!("tests/cpp/{suite}.cpp"))));
        }
    }
}

#[test]
fn two_objects_link() {
    let call = |name: &str| {
        format!(
            "#include <cfutures.hpp>\nint {name}();\nstatic int f(int n) {{ return n; }}\n\
             int {name}() {{ cfut::thread_pool pool(1); return pool.submit<&f>(2).get(); }}\n"
        )
    };
    let main = "#include <cfutures.hpp>\nint one();\nint two();\n\
                int main() { return one() + two() == 4 ? 0 : 1; }\n";
    let sources =
        [source("link_1", &call("one")), source("link_2", &call("two")), source("link_3", main)];
    for compiler in compilers("c++17") {
        let path = work_dir().join(format!("cpp_link_{compiler}"));
        let mut command = compile(&compiler, "c++17");
        link(command.args(&sources), &path);
        succeed(&mut command);
        succeed(&mut program(&path));
    }
}

/// What does not compile, and words of the message.
const REFUSED: &[(&str, &str)] = &[
    ("pool.submit([]() -> int & { static int n; return n; })", "cannot answer with a reference"),
    ("pool.submit([](int *) {}, 1)", "cannot be called with these arguments"),
    ("pool.submit<&takes_pointer>(nullptr)", "an argument of this function cannot travel"),
    ("pool.submit<&gives_view>()", "the result of this function cannot travel"),
    ("pool.submit<&takes_owners>(owners())", "an argument of this function cannot travel"),
    ("pool.submit<&changes>(1)", "cannot change its arguments"),
    ("pool.submit<&takes_two>(1)", "as many arguments as the function has"),
    ("pool.submit<&takes_two>(1, \"two\")", "does not convert to the parameter"),
    ("pool.submit<&counter::next>()", "not overloaded, a template or a member"),
    ("pool.submit([] {}).then([](int) {})", "a continuation takes the result"),
    ("pool.submit<&takes_two>(1, 2).then<&takes_long>(pool)", "exactly the type of the result"),
    ("pool.submit([] { return owner(); }).share().get()", "cannot be copied"),
    ("cfut::buffer::wrap(std::vector<std::string>())", "the elements of a buffer are bytes"),
    ("cfut::promise<void>().set_value(1)", "a promise of nothing takes no value"),
];

const REFUSED_IN_CPP20: &[(&str, &str)] =
    &[("pool.submit([](std::stop_token) {})", "take a cfut::stop_token")];

const FUNCTIONS: &str = "#include <cfutures.hpp>
using owner = std::unique_ptr<int>;
using owners = std::vector<owner>;
inline int takes_pointer(int *p) { return *p; }
inline std::string_view gives_view() { return \"\"; }
inline int takes_owners(const owners &o) { return static_cast<int>(o.size()); }
inline void changes(int &n) { n++; }
inline int takes_two(int a, int b) { return a + b; }
inline long takes_long(long n) { return n; }
struct counter { int next() { return 0; } };
";

/// Each in a function of its own, and all in one compilation: each message names its line. (Clang 14
/// in C++17 has forgotten it where another call of the same function is refused, too.)
fn refuses(refused: &[(&str, &str)], edition: &str) {
    let mut text = FUNCTIONS.to_owned();
    let mut lines = vec![];
    for (place, (statement, _)) in refused.iter().enumerate() {
        lines.push(text.lines().count() + 1);
        text +=
            &format!("inline void f{place}(cfut::thread_pool &pool) {{ (void)({statement}); }}\n");
    }
    let source = source(&format!("refused_{edition}"), &text);
    let name = source.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    for compiler in compilers(edition) {
        let limit = if compiler.contains("clang") { "-ferror-limit=0" } else { "-fmax-errors=0" };
        let mut command = compile(&compiler, edition);
        let output = run(command.arg(limit).arg("-fsyntax-only").arg(&source));
        let said = String::from_utf8_lossy(&output.stderr);
        for ((statement, words), line) in refused.iter().zip(&lines) {
            let names_line = said.contains(&format!("{name}:{line}:"));
            let may_forget = compiler.contains("clang") && statement.contains("takes_two");
            assert!(names_line || may_forget, "{compiler} takes {statement}");
            assert!(said.contains(words), "{statement}: {compiler} lacks {words:?}: {said}");
        }
    }
}

#[test]
fn what_cannot_work_is_refused_with_words() {
    refuses(REFUSED, "c++17");
    refuses(REFUSED_IN_CPP20, "c++20");
}

#[test]
fn older_editions_and_no_exceptions_are_refused_with_words() {
    let source = source("plain_include", "#include <cfutures.hpp>\n");
    for (arguments, words) in [
        (["-std=c++14", "-fexceptions"], "needs C++17"),
        (["-std=c++17", "-fno-exceptions"], "needs exceptions"),
    ] {
        for compiler in compilers("c++17") {
            let mut command = Command::new(&compiler);
            command.args(arguments).arg("-fsyntax-only").arg("-I").arg(root().join("include"));
            let output = run(command.arg(&source));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains(words), "{compiler}: {said}");
        }
    }
}
