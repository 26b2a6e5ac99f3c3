//! Programs and libraries that were not made for each other: an old program with the new library, a
//! program whose header is newer than its library, two copies of the library in one process, and a
//! program that has the library inside.

use crate::abi_guard::{baselines, changed_header, stub};
use crate::support::{
    FOR_STATIC, build_static, compiler, describe, in_a_name, library_dir, once, program, root, run,
    soname, succeed, work_dir,
};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A program made with some header and linked with a library of that header, which runs with the
/// library of this build.
fn made_with(header: &Path, source: &str, soname: &str, arguments: &[&str]) -> PathBuf {
    let linked = stub(header, soname);
    let name = source.replace(['/', '.'], "_") + &in_a_name(arguments);
    let output = linked.parent().expect("a directory").join(name);
    once(&format!("{}", output.display()), || {
        compile(header, source, &linked, &output, arguments);
        output.clone()
    })
}

fn compile(header: &Path, source: &str, linked: &Path, output: &Path, arguments: &[&str]) {
    let mut command = compiler(false);
    command
        .args(["-std=c11", "-I"])
        .arg(header)
        .arg(root().join(source))
        .arg("-o")
        .arg(output)
        .args(arguments)
        .arg(linked)
        .arg(format!("-Wl,-rpath,{}", library_dir().display()));
    succeed(&mut command);
}

// ---- an old program ----

#[test]
fn an_old_program_runs_with_the_new_library() {
    for header in baselines() {
        let output = made_with(&header, "tests/c/old_program.c", &soname(), &["-Wl,-z,now"]);
        let old = header.file_name().expect("a version").to_str().expect("UTF-8");
        let expected = format!("header {old}, library {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(succeed(&mut program(&output)), expected);
    }
}

// ---- a header that is newer than the library ----

/// The header as a later version of the same soname might have it.
fn newer_header() -> PathBuf {
    let patch = format!("#define CFUT_VERSION_PATCH {} ", env!("CARGO_PKG_VERSION_PATCH"));
    let version = format!("#define CFUT_VERSION \"{}\" ", env!("CARGO_PKG_VERSION"));
    let last = "CFUT_API void cfut_blocking_end(void);";
    let changes = [
        (patch.as_str(), "#define CFUT_VERSION_PATCH 99 "),
        (version.as_str(), "#define CFUT_VERSION \"of tomorrow\" "),
        ("#define CFUT_OPT_NAME 64 ", "#define CFUT_OPT_OF_TOMORROW 63\n#define CFUT_OPT_NAME 64 "),
        (
            "#define CFUT_TOO_LATE 9 ",
            "#define CFUT_STATUS_OF_TOMORROW 99\n#define CFUT_TOO_LATE 9 ",
        ),
        (
            last,
            "CFUT_API cfut_status cfut_call_of_tomorrow(const char *what);\n\
                CFUT_API void cfut_blocking_end(void);",
        ),
    ];
    changed_header("tomorrow", &changes)
}

fn newer(soname: &str, arguments: &[&str], what: &str) -> (Output, String) {
    let output = made_with(&newer_header(), "tests/c/newer_header.c", soname, arguments);
    let mut command = program(&output);
    let output = run(command.arg(what));
    let said = describe(&command, &output);
    (output, said)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_program_can_ask_whether_the_library_is_new_enough() {
    let (output, said) = newer(&soname(), &[], "check");
    let expected = format!(
        "this program needs cfutures of tomorrow or newer, and found {}\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert_eq!(text(&output.stderr), expected, "{said}");
}

#[test]
fn a_key_that_the_library_does_not_know_is_refused() {
    let (output, said) = newer(&soname(), &[], "key");
    assert_eq!(output.status.code(), Some(0), "{said}");
    let printed = text(&output.stdout);
    assert!(printed.starts_with("CFUT_ENOTSUP: ") && printed.contains("63"), "{said}");
    assert!(printed.ends_with("CFUT_?: unknown status\n"), "{said}");
}

/// The loader's words: at the first call, or at the start with `-z now`, as most systems link.
#[test]
fn a_call_that_the_library_does_not_have_is_named() {
    for (how, before) in [("-Wl,-z,lazy", "before the call\n"), ("-Wl,-z,now", "")] {
        let (output, said) = newer(&soname(), &[how], "call");
        assert_eq!(output.status.code(), Some(127), "{said}");
        assert_eq!(text(&output.stdout), before, "{said}");
        assert!(text(&output.stderr).contains("cfut_call_of_tomorrow"), "{said}");
    }
}

#[test]
fn a_program_can_do_without_a_call_that_may_be_missing() {
    let (output, said) = newer(&soname(), &["-DCALL_MAY_BE_MISSING", "-Wl,-z,now"], "call");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(text(&output.stdout), "done without it\n");
}

#[test]
fn a_library_of_another_soname_is_not_taken() {
    let (output, said) = newer("libcfutures.so.99", &[], "check");
    assert_eq!(output.status.code(), Some(127), "{said}");
    assert!(text(&output.stderr).contains("libcfutures.so.99"), "{said}");
}

// ---- two copies in one process ----

fn module() -> PathBuf {
    let output = work_dir().join("versions_module.so");
    let mut command = compiler(false);
    command.args(["-std=c11", "-shared", "-fPIC", "-I"]).arg(root().join("include"));
    command.arg(root().join("tests/c/module.c")).arg("-o").arg(&output);
    succeed(command.arg("-L").arg(library_dir()).arg("-lcfutures"));
    output
}

#[test]
fn two_copies_work_side_by_side() {
    let task = format!("{}:module_square", module().display());
    // With its names hidden, and with names that a loaded object could fall over.
    for (name, arguments) in [("hidden", &[][..]), ("shown", &["-rdynamic"][..])] {
        let output = build_static("tests/c/two_copies.c", &format!("two_copies_{name}"), arguments);
        succeed(program(&output).arg(library_dir().join(soname())).arg(&task));
    }
}

#[test]
fn a_handle_of_the_other_copy_is_told_by_checks() {
    let output = build_static("tests/c/two_copies.c", "two_copies_mixed", &[]);
    let mut command = program(&output);
    command.arg(library_dir().join(soname())).arg("mixed").env("CFUT_CHECK", "1");
    let output = run(&mut command);
    let said = describe(&command, &output);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    assert!(text(&output.stderr).contains("is no executor that you own"), "{said}");
}

// ---- the library inside the program ----

/// Workers are the program itself, so no second file is needed for them either.
#[test]
fn static_library_with_worker_processes() {
    every_case_with(&[], "static_processes");
}

/// Nothing at all is loaded. The linker warns of functions of the C library that want to load
/// something; the library calls none of them.
#[test]
fn static_library_in_a_static_program() {
    if links_statically() {
        every_case_with(&["-static"], "static_all");
    }
}

/// As in an image made `FROM scratch`: what has to be there beside the program, and what is said
/// where it is not.
#[test]
fn static_program_in_an_empty_root() {
    let place = work_dir().join("empty_root");
    for name in ["proc", "dev"] {
        std::fs::create_dir_all(place.join(name)).expect("a directory");
    }
    let inside = |setup: &str| {
        let script =
            format!("cd {0} && mount --bind /proc proc{setup} && exec chroot . ", place.display());
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &format!("{script} /program a02_submit")]);
        command
    };
    if !links_statically() || !may_mount() {
        return;
    }
    let program = build_static("tests/c/process_behaviours.c", "static_rooted", &["-static"]);
    std::fs::copy(program, place.join("program")).expect("a copy");
    let mut bare = inside("");
    let output = run(&mut bare);
    let said = describe(&bare, &output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(text(&output.stderr).contains("there is no /dev/null here"), "{said}");
    succeed(&mut inside(" && mount --bind /dev dev"));
}

fn links_statically() -> bool {
    static LINKS: OnceLock<bool> = OnceLock::new();
    *LINKS.get_or_init(|| {
        let probe = work_dir().join("no_c_library.c");
        std::fs::write(&probe, "int main(void) { return 0; }\n").expect("a source");
        let mut command = compiler(false);
        command.arg("-static").arg(&probe).args(FOR_STATIC);
        let output = run(command.arg("-o").arg(probe.with_extension("out")));
        output.status.success() || skipped("no static C library here: static programs")
    })
}

fn may_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-m", "true"]);
    let may = command.output().is_ok_and(|output| output.status.success());
    may || skipped("no mount namespace here: a program in an empty root")
}

fn skipped(what: &str) -> bool {
    let _ = writeln!(std::io::stderr(), "skipped, {what}");
    false
}

fn every_case_with(arguments: &[&str], name: &str) {
    let output = build_static("tests/c/process_behaviours.c", name, arguments);
    let listed = succeed(program(&output).arg("--list"));
    assert!(listed.lines().count() > 30, "{listed}");
    for case in listed.lines() {
        succeed(program(&output).arg(case));
    }
}
