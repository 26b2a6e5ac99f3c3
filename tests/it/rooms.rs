//! Who may import whom, and which tool has which home. The rooms' own contracts give the
//! reasons; a new arrow is a decision, and a line here.

use crate::sources::{Source, has_word, is_word, sources};
use std::collections::BTreeSet;

/// Files beside the rooms that any room may use, as long as they do not use it themselves.
const OPEN: &[&str] = &["checks", "error", "local", "quiet", "shared", "sync", "unwind"];

/// Each room or file at the top, and what it may name. "open" stands for all of `OPEN`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // At the bottom: knows nobody.
    ("error", &[]),
    ("local", &["platform"]),
    ("platform", &[]),
    ("unwind", &["error"]),
    // Open to all, so they may know only what is below everybody.
    ("sync", &["platform"]),
    ("quiet", &["platform", "sync"]),
    ("shared", &["platform", "sync", "unwind"]),
    ("checks", &["error", "platform", "sync", "unwind"]),
    // Futures know nobody who runs them.
    ("future", &["open", "log", "platform"]),
    ("trace", &["open", "future", "log", "platform"]),
    // Its text and its sink are the host's, so it counts user code and keeps a buffer.
    ("log", &["open", "future", "platform"]),
    // A pool knows no other executor, and nobody above.
    ("thread_pool", &["open", "future", "log", "platform", "trace"]),
    // Both sides of a process border share this, and it knows neither.
    ("transport", &["open", "platform"]),
    // The other side: knows no pool.
    ("worker", &["open", "future", "platform", "transport"]),
    ("process_pool", &["open", "future", "log", "platform", "trace", "transport"]),
    // In front of another executor, whichever: asks it through its table.
    ("limited", &["open", "future", "platform", "trace"]),
    // Runs in its callers' threads.
    ("loops", &["open", "future", "platform", "trace"]),
    // Programs as tasks: knows no executor, only that one may keep a lane.
    ("command", &["open", "future", "platform", "transport"]),
    // The arms: no logic, no system.
    ("executor", &["open", "future", "limited", "loops", "process_pool", "thread_pool", "trace"]),
    // Above every kind of executor, by their one interface.
    ("map", &["open", "executor", "future", "log", "platform", "trace"]),
    (
        "ffi",
        &[
            "open",
            "command",
            "executor",
            "future",
            "log",
            "loops",
            "map",
            "platform",
            "process_pool",
            "thread_pool",
            "trace",
            "worker",
        ],
    ),
    // Names the rooms.
    ("lib", &[]),
    // Programs of their own, with nothing of the library inside.
    ("bin", &[]),
];

/// What only some files may name, and why.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("crossbeam_deque", &["thread_pool/queue.rs"], "one file knows the deque"),
    ("loom::", &["sync.rs", "local.rs"], "one shim for real and model"),
    ("target_os", &["platform/", "local.rs"], "another system is added in platform/ alone"),
    ("std::sync::atomic", &["sync.rs", "platform/"], "the model checker must see every atomic"),
    ("core::sync::atomic", &[], "the model checker must see every atomic"),
    ("thread_local", &["error.rs", "local.rs"], "one block a thread"),
    ("catch_unwind", &["unwind.rs"], "user code must be able to unwind"),
    ("abort", &["unwind.rs"], "only `die` ends the host, and says why"),
    ("no_mangle", &["ffi/"], "exports stand at the border"),
    ("export_name", &[], "exports bear their own names"),
    ("link_section", &[], "nothing of ours runs when the library is loaded"),
    ("std::thread", &[], "threads are made by platform::thread, and none naps"),
    ("std::process", &["unwind.rs"], "the process is the host's"),
    ("std::env", &[], "the environment is the host's"),
    ("std::fs", &[], "files are read by platform::memory"),
    ("std::time", &[], "time is platform::clock"),
    ("Box", &["unwind.rs"], "its allocation cannot fail: platform::memory"),
    ("with_capacity", &[], "its allocation cannot fail: try_reserve"),
    ("vec!", &[], "its allocation cannot fail: try_reserve"),
    ("to_vec", &[], "its allocation cannot fail: try_reserve"),
    ("to_string", &[], "its allocation cannot fail: error::Line"),
    ("format!", &[], "its allocation cannot fail: error::Line"),
    // In the queue it is the model's.
    ("Arc", &["thread_pool/queue.rs"], "its allocation cannot fail: shared"),
    ("String", &["unwind.rs"], "its allocation cannot fail: error::Line"),
    ("Mutex", &["sync.rs"], "std's enters the kernel on each notify, and poisons"),
    ("Condvar", &["sync.rs"], "std's enters the kernel on each notify"),
    ("println", &[], "the streams are the host's"),
    ("eprintln", &[], "the streams are the host's"),
];

/// What other files may have from the C library. Error numbers are free to all.
const CALLS_OF_LIBC: &[(&str, &[&str])] = &[
    ("checks.rs", &["getenv", "c_char"]),
    // `die` must work when nothing else does.
    ("unwind.rs", &["write"]),
];

/// What stands behind each `before` of a line: a name, or the names of a group.
fn names_after(line: &str, before: &str) -> Vec<String> {
    let first = |text: &str| text.chars().take_while(|&letter| is_word(letter)).collect();
    let mut names = Vec::new();
    for (at, _) in line.match_indices(before) {
        if line[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let rest = &line[at + before.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(top_level(group).into_iter().map(first)),
            None => names.push(first(rest)),
        }
    }
    names
}

/// The members of `a::{b, c}, d}…`, up to the brace that closes the group.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(group[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

/// What a file names at the top of the crate.
fn imports(source: &Source) -> BTreeSet<String> {
    // As one line: a group may go over several.
    let code = source.code.join(" ");
    let mut names: BTreeSet<String> = names_after(&code, "crate::").into_iter().collect();
    // From a file at the top, `super` is the crate, but not from a module inside.
    let depth = source.path.matches('/').count() + usize::from(!source.path.ends_with("mod.rs"));
    let up = "super::".repeat(depth);
    names.extend(names_after(&code, &up).into_iter().filter(|name| is_room(name)));
    names.retain(|name| name != source.room());
    names
}

fn is_room(name: &str) -> bool {
    MAY_IMPORT.iter().any(|(room, _)| *room == name)
}

fn allowed(room: &str) -> BTreeSet<&'static str> {
    let found = MAY_IMPORT.iter().find(|(name, _)| *name == room);
    let (_, names) = found.unwrap_or_else(|| panic!("src/{room} has no line in MAY_IMPORT"));
    let expand = |name: &&'static str| if *name == "open" { OPEN.to_vec() } else { vec![*name] };
    names.iter().flat_map(expand).collect()
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let allowed = allowed(source.room());
        for name in imports(&source) {
            if !allowed.contains(name.as_str()) && source.path != "lib.rs" {
                wrong.push(format!("src/{} names crate::{name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// An arrow nobody uses would be a licence.
#[test]
fn every_arrow_is_in_use() {
    let sources = sources();
    let mut unused = Vec::new();
    for (room, names) in MAY_IMPORT {
        let of_room = sources.iter().filter(|source| source.room() == *room);
        let used: BTreeSet<String> = of_room.flat_map(imports).collect();
        for name in names.iter().filter(|name| **name != "open") {
            if !used.contains(*name) {
                unused.push(format!("{room} → {name}"));
            }
        }
    }
    assert!(unused.is_empty(), "{unused:#?}");
}

/// The one step back up: a failure that nobody can see goes to the log, and the log counts
/// the host's code and keeps the host's argument as futures do.
const BACK: (&str, &str) = ("log", "future");

/// Going down means that nobody comes back to where he started.
#[test]
fn the_table_has_no_circle() {
    fn visit(room: &str, path: &mut Vec<String>) {
        assert!(!path.iter().any(|seen| seen == room), "a circle: {path:?} → {room}");
        path.push(room.to_owned());
        for next in allowed(room).into_iter().filter(|next| (room, *next) != BACK) {
            visit(next, path);
        }
        path.pop();
    }
    for (room, _) in MAY_IMPORT {
        visit(room, &mut Vec::new());
    }
}

#[test]
fn each_tool_is_used_at_home_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.room() == "bin" {
            continue; // what is asked here is the library's manners in its host
        }
        for (word, homes, reason) in HOMES {
            if homes.iter().any(|home| source.path.starts_with(home)) {
                continue;
            }
            let places = source.places_of(word).into_iter();
            wrong.extend(places.map(|place| format!("{} ({word}: {reason})", source.at(place))));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_system_is_asked_by_platform_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !["platform", "bin"].contains(&source.room())) {
        let own = CALLS_OF_LIBC.iter().find(|(path, _)| *path == source.path);
        let own = own.map_or(&[][..], |(_, names)| names);
        for (place, line) in source.code.iter().enumerate() {
            let names = names_after(line, "libc::");
            let number = |name: &str| name.starts_with('E') && !name.contains(char::is_lowercase);
            let stray = names.iter().any(|name| !own.contains(&name.as_str()) && !number(name));
            if stray || has_word(line, "asm!") && source.path != "local.rs" {
                wrong.push(source.at(place));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_are_found_in_groups() {
    let line = "use crate::{log, future::{cell, state}, sync}; mycrate::no; crate::error::fail!()";
    assert_eq!(names_after(line, "crate::"), ["log", "future", "sync", "error"]);
}
