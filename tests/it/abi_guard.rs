//! What was released stays: the header is compared with each one in `abi/`, whose programs this
//! library still has to run. Twice, by means that fail differently: by the C compiler, which takes
//! both headers in one program only if they agree, and by `abidiff` (Debian: abigail-tools) on two
//! libraries made of the headers, each with an empty function for each declaration. The Rust library
//! itself would not do there: without full debug information `abidiff` sees no types and says that
//! all is well.

use crate::declarations::Declarations;
use crate::support::{compiler, describe, once, root, run, soname, soname_of, succeed, work_dir};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directories of released headers that have this soname, with a header each.
pub(crate) fn baselines() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("abi")).expect("abi/");
    let paths = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    paths.filter(|path| soname_of(name_of(path)) == soname()).collect()
}

fn name_of(path: &Path) -> &str {
    path.file_name().expect("a name").to_str().expect("UTF-8")
}

fn current() -> PathBuf {
    root().join("include")
}

/// A directory with the header of this version after some changes, each of a text that stands in it
/// once. The same name stands for the same changes.
pub(crate) fn changed_header(name: &str, changes: &[(&str, &str)]) -> PathBuf {
    once(&format!("header {name}"), || {
        let mut text = fs::read_to_string(current().join("cfutures.h")).expect("the header");
        for (from, to) in changes {
            assert_eq!(text.matches(from).count(), 1, "{from:?} in the header");
            text = text.replace(from, to);
        }
        let dir = work_dir().join(format!("abi_{name}"));
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("cfutures.h"), text).expect("a header");
        dir
    })
}

// ---- by the compiler ----

/// What programs made with the old header would lose with the new one; empty if nothing.
fn losses(old: &Path, new: &Path) -> String {
    let [before, after] = [old, new].map(|dir| Declarations::read(&dir.join("cfutures.h")));
    let names = |constants: Vec<(String, String)>| -> Vec<String> {
        constants.into_iter().map(|(name, _)| name).collect()
    };
    let mut lost: Vec<String> =
        before.functions().difference(&after.functions()).cloned().collect();
    let kept = names(after.lasting_constants());
    lost.extend(names(before.lasting_constants()).into_iter().filter(|name| !kept.contains(name)));
    let mut said: String = lost.iter().map(|name| format!("{name} is gone\n")).collect();
    said += &disagreements(old, new);
    said
}

/// C takes a second declaration of a name if it says the same, and a second macro likewise.
fn disagreements(old: &Path, new: &Path) -> String {
    let text = format!(
        "#include \"{}/cfutures.h\"\n\
         #undef CFUTURES_H\n\
         #undef CFUT_VERSION\n\
         #undef CFUT_VERSION_NUMBER\n\
         #undef CFUT_VERSION_MAJOR\n\
         #undef CFUT_VERSION_MINOR\n\
         #undef CFUT_VERSION_PATCH\n\
         #include \"{}/cfutures.h\"\n",
        new.display(),
        old.display()
    );
    let name = name_of(new);
    let source = work_dir().join(format!("both_{name}.c"));
    fs::write(&source, text).expect("a source");
    let mut command = compiler(false);
    command.args(["-std=c11", "-fsyntax-only"]).arg(&source);
    let output = run(&mut command);
    if output.status.success() { String::new() } else { describe(&command, &output) }
}

// ---- by abidiff ----

/// A library with the interface that a header declares and nothing behind it. Each of its constants
/// is in an enum that a function takes, or nobody would see it; in one enum for all, abidiff takes
/// values that stand there twice for the same.
pub(crate) fn stub(header: &Path, soname: &str) -> PathBuf {
    once(&format!("stub {} {soname}", header.display()), || make_stub(header, soname))
}

fn make_stub(header: &Path, soname: &str) -> PathBuf {
    let declared = Declarations::read(&header.join("cfutures.h"));
    let mut text = String::from("#include <cfutures.h>\n\n");
    for (name, _) in declared.lasting_constants() {
        let _ = writeln!(text, "enum of_{name} {{ value_of_{name} = {name} }};");
        let _ = writeln!(text, "CFUT_API void constant_{name}(enum of_{name} value) {{}}");
    }
    for prototype in declared.prototypes() {
        let _ = write!(text, "\nCFUT_API {prototype}\n{{\n    __builtin_trap();\n}}\n");
    }
    let dir = name_of(header);
    let dir = work_dir().join(format!("stub_{dir}_{soname}"));
    fs::create_dir_all(&dir).expect("a directory");
    let source = dir.join("stub.c");
    fs::write(&source, text).expect("a stub");
    let library = dir.join("libcfutures.so");
    let mut command = compiler(false);
    command
        .args(["-std=gnu11", "-g", "-shared", "-fPIC", "-Wno-unused-parameter"])
        .args(["-fvisibility=hidden", &format!("-Wl,-soname,{soname}"), "-I"])
        .arg(header)
        .arg(&source)
        .arg("-o")
        .arg(&library);
    succeed(&mut command);
    library
}

/// What abidiff finds between two headers; empty if nothing but additions. None: there is no
/// abidiff here.
fn difference(old: &Path, new: &Path) -> Option<String> {
    if Command::new("abidiff").arg("--version").output().is_err() {
        let line = b"skipped, no abidiff here: the comparison of interfaces by it\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line);
        return None;
    }
    let [old, new] = [old, new].map(|header| stub(header, "libcfutures.so.0"));
    let mut command = Command::new("abidiff");
    command.args(["--no-added-syms", "--no-show-locs"]).arg(old).arg(new);
    let output = run(&mut command);
    // Bits 0 and 1: it could not compare. Bit 2: something changed; bit 3: for the worse.
    let code = output.status.code().expect("a code");
    assert_eq!(code & 3, 0, "{}", describe(&command, &output));
    Some(if code == 0 { String::new() } else { describe(&command, &output) })
}

// ---- the guard ----

const ADVICE: &str = "\nThe interface has changed for programs that exist. See \"What may change\" \
                      in docs/abi.md: put it back, or make a new soname.";

#[test]
fn compiler_finds_no_change_since_each_release() {
    let baselines = baselines();
    assert!(!baselines.is_empty(), "abi/ has no header of {}", soname());
    for old in baselines {
        let lost = losses(&old, &current());
        assert!(lost.is_empty(), "{}:\n{lost}{ADVICE}", old.display());
    }
}

#[test]
fn abidiff_finds_no_change_since_each_release() {
    for old in baselines() {
        let Some(found) = difference(&old, &current()) else { return };
        assert!(found.is_empty(), "{}:\n{found}{ADVICE}", old.display());
    }
}

// ---- does the guard see what it is for? ----

/// Both find the change, and say the name.
fn is_found(name: &str, changes: &[(&str, &str)], word: &str) {
    let new = changed_header(name, changes);
    let lost = losses(&current(), &new);
    assert!(lost.contains(word), "by the compiler: {lost:?}");
    if let Some(found) = difference(&current(), &new) {
        assert!(found.contains(word), "by abidiff: {found:?}");
    }
}

/// Neither has anything to say.
fn is_no_change(name: &str, changes: &[(&str, &str)]) {
    let new = changed_header(name, changes);
    assert_eq!(losses(&current(), &new), "", "by the compiler");
    assert_eq!(difference(&current(), &new).unwrap_or_default(), "", "by abidiff");
}

const LAST: &str = "CFUT_API void cfut_blocking_end(void);";

#[test]
fn guard_finds_a_changed_parameter() {
    let change = (
        "cfut_queue_fd(struct cfut_queue *queue, int *fd)",
        "cfut_queue_fd(struct cfut_queue *queue, int64_t *fd)",
    );
    is_found("parameter", &[change], "cfut_queue_fd");
}

#[test]
fn guard_finds_a_further_parameter() {
    let change = ("cfut_quiesce(int64_t timeout_ns)", "cfut_quiesce(int64_t timeout_ns, int how)");
    is_found("further_parameter", &[change], "cfut_quiesce");
}

#[test]
fn guard_finds_a_changed_result() {
    let change =
        ("CFUT_API uint32_t cfut_cpu_count(void)", "CFUT_API uint64_t cfut_cpu_count(void)");
    is_found("result", &[change], "cfut_cpu_count");
}

#[test]
fn guard_finds_a_removed_call() {
    is_found("removed", &[(LAST, "")], "cfut_blocking_end");
}

#[test]
fn guard_finds_a_changed_function_type() {
    let change = ("(*cfut_hook_fn)(void *arg, uint32_t worker)", "(*cfut_hook_fn)(void *arg)");
    is_found("function_type", &[change], "cfut_hook_fn");
}

#[test]
fn guard_finds_a_wider_status() {
    let change = ("typedef int32_t cfut_status;", "typedef int64_t cfut_status;");
    is_found("status", &[change], "cfut_status");
}

#[test]
fn guard_finds_a_changed_value() {
    is_found("value", &[("#define CFUT_EXPIRED 6 ", "#define CFUT_EXPIRED 66 ")], "CFUT_EXPIRED");
}

#[test]
fn guard_finds_a_removed_value() {
    is_found(
        "no_value",
        &[("#define CFUT_STAT_STOLEN 11 ", "#define CFUT_STAT_THEFTS 11 ")],
        "CFUT_STAT_STOLEN",
    );
}

/// There is neither a struct with a layout nor an enum in the header. If ever there is one:
#[test]
fn guard_finds_changed_structs_and_enums() {
    const WITH_TYPES: &str = "enum cfut_colour { CFUT_RED, CFUT_BLUE };
        struct cfut_point { int x, y; };
        CFUT_API struct cfut_point *cfut_point_of(enum cfut_colour colour);
        CFUT_API void cfut_blocking_end(void);";
    let compare = |name: &str, from: &str, to: &str| {
        let old = changed_header("types", &[(LAST, WITH_TYPES)]);
        let new = changed_header(name, &[(LAST, &WITH_TYPES.replace(from, to))]);
        difference(&old, &new)
    };
    let Some(found) = compare("struct", "int x, y;", "int x; double y;") else { return };
    assert!(found.contains("cfut_point"), "{found}");
    let found = compare("enum", "CFUT_RED, ", "CFUT_GREEN, CFUT_RED, ").unwrap_or_default();
    assert!(found.contains("CFUT_RED"), "{found}");
    assert_eq!(compare("same_types", "int x, y;", "int x; int y;").unwrap_or_default(), "");
}

#[test]
fn guard_passes_additions() {
    let call =
        format!("{LAST}\nCFUT_API cfut_status cfut_future_peek(struct cfut_future *future);");
    let key = "#define CFUT_STAT_BROKEN 15 /* */\n#define CFUT_STAT_TOMORROW 16 ";
    let changes = [(LAST, call.as_str()), ("#define CFUT_STAT_BROKEN 15 ", key)];
    is_no_change("additions", &changes);
}

#[test]
fn guard_passes_other_words() {
    let changes = [
        ("cfut_quiesce(int64_t timeout_ns)", "cfut_quiesce(int64_t nanoseconds)"),
        ("Gives a handle back. The bytes go", "Returns a handle. The bytes go"),
    ];
    is_no_change("words", &changes);
}
