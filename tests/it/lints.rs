//! Habits of the sources that no lint of the compiler knows, and that the lints we count on
//! are switched on.

use crate::sources::{Source, has_word, is_word, sources};
use crate::support::root;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

// ---- unsafe ----

/// clippy sees blocks and implementations without `// SAFETY:`; rustc the rest.
const DENIED: &[&str] = &[
    "undocumented_unsafe_blocks",
    "missing_safety_doc",
    "unsafe_op_in_unsafe_fn",
    "improper_ctypes_definitions",
    "missing_docs",
    "disallowed_methods",
    "todo",
    "dbg_macro",
    "print_stdout",
    "print_stderr",
];

#[test]
fn lints_are_denied() {
    let manifest = read("Cargo.toml");
    for lint in DENIED {
        let line = format!("{lint} = \"deny\"");
        assert!(manifest.lines().any(|found| found == line), "Cargo.toml lacks: {line}");
    }
}

/// An `allow` says why, beside it or above; and some lints are not negotiable.
#[test]
fn lints_are_allowed_with_a_reason() {
    let mut wrong = Vec::new();
    for source in sources() {
        for place in source.places_of("allow") {
            let line = &source.code[place];
            if !line.contains("[allow(") {
                continue;
            }
            let strict = ["undocumented_unsafe_blocks", "unsafe_op_in_unsafe_fn"];
            let explained = has_comment(&source.lines[place])
                || place > 0 && source.lines[place - 1].trim_start().starts_with("//");
            let style = line.contains("non_camel_case_types"); // C's names
            if strict.iter().any(|lint| line.contains(lint)) || !(explained || style) {
                wrong.push(source.at(place));
            }
        }
    }
    none(&wrong);
}

fn has_comment(line: &str) -> bool {
    line.contains("//")
}

/// "SAFETY:" with next to nothing behind it is filler.
#[test]
fn safety_comments_give_a_reason() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (place, line) in source.lines.iter().enumerate() {
            let Some((_, reason)) = line.split_once("// SAFETY:") else { continue };
            let next = source.lines.get(place + 1).map_or("", |next| next.trim_start());
            let more = next.strip_prefix("//").unwrap_or("");
            if reason.trim().len() + more.len() < "fresh.".len() {
                wrong.push(source.at(place));
            }
        }
    }
    none(&wrong);
}

// ---- atomics ----

const ORDERINGS: &[&str] = &["Acquire", "Release", "AcqRel", "SeqCst"];

/// What a comment on an ordering says: its partner ("pairs with …"), or where the partner
/// is named ("see …", "as in …", "as above").
const PARTNER: &[&str] = &["pairs with", "pair with", "see `", "as in `", "as above", "as below"];

/// Files with operations whose partners are still to be named. None may be added.
const PARTNERS_UNNAMED: &[&str] = &[
    "future/result.rs",
    "future/state.rs",
    "thread_pool/pool.rs",
    "thread_pool/queue.rs",
    "thread_pool/worker.rs",
    "thread_pool/worker/find.rs",
];

/// Beside each operation that is more than Relaxed, or above it in the same paragraph, or
/// in the doc comment of its function, stands which operation it pairs with.
#[test]
fn orderings_name_their_partner() {
    let mut wrong = Vec::new();
    let named = |source: &Source| !PARTNERS_UNNAMED.contains(&source.path.as_str());
    for source in sources().iter().filter(|source| named(source)) {
        for (place, line) in source.code.iter().enumerate() {
            let imported = line.trim_start().starts_with("use ");
            let strong =
                ORDERINGS.iter().any(|order| has_word(line, &format!("Ordering::{order}")));
            if strong && !imported && !names_partner(source, place) {
                wrong.push(source.at(place));
            }
        }
    }
    none(&wrong);
}

fn names_partner(source: &Source, place: usize) -> bool {
    let paragraph = source.lines[..=place].iter().rev().take_while(|line| !line.trim().is_empty());
    // One text: "pairs" may end a line and "with" begin the next.
    let mut comments: Vec<&str> = paragraph
        .filter_map(|line| line.split_once("//"))
        .map(|(_, comment)| comment.trim_start_matches(['/', '!']).trim())
        .collect();
    comments.reverse();
    let text = comments.join(" ").to_lowercase();
    PARTNER.iter().any(|words| text.contains(words))
}

// ---- files ----

const MOST_LINES: usize = 600;

/// Tables of cases read well in one piece.
const MOST_LINES_OF_CASES: usize = 1000;

#[test]
fn files_answer_one_question() {
    let mut wrong = Vec::new();
    for dir in ["src", "tests", "benches", "examples-c", "fuzz"] {
        long_files(&root().join(dir), &mut wrong);
    }
    none(&wrong);
}

fn long_files(dir: &Path, wrong: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return }; // not there yet
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let generated = ["target", "corpus", "artifacts"].contains(&name.as_str());
        if path.is_dir() && !generated {
            long_files(&path, wrong);
        }
        let source = [".rs", ".c", ".h", ".cpp", ".hpp"].iter().any(|end| name.ends_with(end));
        if !path.is_dir() && source {
            let text = std::fs::read_to_string(&path).expect("a source");
            let lines = text.lines().count();
            let cases = path.parent().is_some_and(|dir| dir.ends_with("tests/c"));
            if lines > if cases { MOST_LINES_OF_CASES } else { MOST_LINES } {
                wrong.push(format!("{} has {lines} lines", path.display()));
            }
        }
    }
}

/// Words of work that was left for later.
#[test]
fn nothing_is_left_for_later() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut wrong = Vec::new();
    for source in sources() {
        for (place, line) in source.lines.iter().enumerate() {
            if marks.iter().any(|mark| has_word(line, mark)) {
                wrong.push(source.at(place));
            }
        }
    }
    none(&wrong);
}

// ---- names of the process ----

/// What others in the process can see bears the library's name.
#[test]
fn names_that_others_see_are_ours() {
    let mut wrong = Vec::new();
    for source in sources() {
        for place in source.places_of("no_mangle") {
            let mut rest = source.code[place..].iter();
            let function = rest.find(|line| has_word(line, "fn")).expect("a function");
            if !function.contains("fn cfut_") {
                wrong.push(source.at(place));
            }
        }
        for (place, line) in source.lines.iter().enumerate() {
            let asks = has_word(&source.code[place], "getenv");
            if asks && !line.contains("c\"CFUT_") {
                wrong.push(source.at(place));
            }
        }
    }
    let header = read("include/cfutures.h");
    for line in header.lines() {
        let words: Vec<&str> = line.split(|letter| !is_word(letter)).collect();
        let ours = |name: &str| name.starts_with("CFUT_") || name == "CFUTURES_H";
        if line.starts_with("#define ") && !ours(words[2]) {
            wrong.push(line.to_owned());
        }
        if line.starts_with("typedef ") && !words.iter().any(|word| word.starts_with("cfut_")) {
            wrong.push(line.to_owned());
        }
    }
    none(&wrong);
}
