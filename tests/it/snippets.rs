//! The code in README.md and docs/ is compiled and run.
//!
//! - A block marked `c` is a complete program. It is compiled as C11 without a warning and run, and
//!   ends with 0. If the next block of its page is marked `text`, that is what it prints.
//! - A block marked `c fragment` stands in the middle of a `main` that has what `FRAME` declares.
//! - A block marked `cpp` is a complete program in C++17, treated as one in C.
//! - A block marked `diff` is a change of the first program of its page, which prints the same after
//!   it.

use crate::support::{build_with, library_dir, program, root, succeed, work_dir};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Block {
    pub(crate) mark: String,
    /// Of its first line of code, counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let text =
        fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (place, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(mark), None) => {
                let mark = mark.trim().to_owned();
                open = Some(Block { mark, line: place + 2, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block without an end");
    blocks
}

/// What a fragment may use.
const FRAME: &str = r#"#define _GNU_SOURCE
#include <cfutures.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int32_t square(cfut_promise *promise, const void *data, size_t len)
{
    int64_t n;
    memcpy(&n, data, len);
    n *= n;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

int main(void)
{
    int64_t n = 5;
    cfut_executor *pool;
    cfut_future *future;
    cfut_task *task;
    cfut_options *options = cfut_options_new();
    cfut_worker_main();
    if (cfut_thread_pool_new(NULL, &pool) != CFUT_OK || cfut_task_new(square, &task) != CFUT_OK ||
        cfut_submit(pool, square, &n, sizeof n, &future) != CFUT_OK)
        return 99;
"#;

const FRAME_END: &str = "    (void)options;\n    return 0;\n}\n";

fn compile(page: &str, place: usize, block: &Block, text: &str) -> PathBuf {
    let kind = if block.mark.starts_with("cpp") { "cpp" } else { "c" };
    let name = format!("{}_{place}.{kind}", page.replace(['/', '.'], "_"));
    let dir = work_dir().join("snippets");
    fs::create_dir_all(&dir).expect("a directory");
    let path = dir.join(name);
    fs::write(&path, text).expect("a source");
    let mut arguments = vec!["-pedantic"];
    if block.mark.contains("fragment") {
        arguments.extend(["-Wno-unused-variable", "-Wno-unused-but-set-variable"]);
    }
    build_with(path.to_str().expect("UTF-8"), &arguments)
}

fn printed_by(path: &Path) -> String {
    succeed(&mut program(path))
}

/// Every block of a page; how many were run.
fn try_page(page: &str) {
    let blocks = blocks(page);
    for (place, block) in blocks.iter().enumerate() {
        let line = format!("#line {} \"{}\"\n", block.line, root().join(page).display());
        let text = match block.mark.as_str() {
            "c" | "cpp" => format!("{line}{}", block.text),
            "c fragment" => format!("{FRAME}{line}{}{FRAME_END}", indented(&block.text)),
            "diff" => changed(page, &blocks, &block.text),
            "text" | "sh" | "json" | "python" | "cmake" | "" => continue,
            other => panic!("{page}:{}: what is a block marked {other:?}?", block.line),
        };
        let printed = printed_by(&compile(page, place, block, &text));
        let next = blocks.get(place + 1).filter(|next| next.mark == "text");
        if let Some(expected) = next {
            assert_eq!(printed, expected.text, "{page}:{}", block.line);
        }
    }
}

/// As deep as what stands around it: compilers look at that.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The first program of a page after a change.
fn changed(page: &str, blocks: &[Block], change: &str) -> String {
    let first = blocks.iter().find(|block| block.mark == "c").expect("a program to change");
    let side = |others: char| -> String {
        let lines = change.lines().filter(|line| !line.starts_with(others));
        lines.map(|line| format!("{}\n", &line[1..])).collect()
    };
    let (before, after) = (side('+'), side('-'));
    assert_eq!(first.text.matches(&before).count(), 1, "{page}: {before}");
    first.text.replace(&before, &after)
}

macro_rules! pages {
    ($($name:ident: $page:literal),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                try_page($page);
            }
        )+

        const PAGES: &[&str] = &[$($page),+];
    };
}

pages! {
    readme: "README.md",
    abi_page: "docs/abi.md",
    timeline_page: "docs/timeline.md",
    guide: "docs/guide/README.md",
    guide_to_processes: "docs/guide/processes.md",
    guide_to_event_loops: "docs/guide/event-loops.md",
    guide_to_timeouts: "docs/guide/timeouts.md",
    guide_to_crashes: "docs/guide/crashes.md",
    guide_to_large_data: "docs/guide/large-data.md",
    guide_to_containers: "docs/guide/containers.md",
    guide_to_fork: "docs/guide/fork.md",
}

/// The commands of README.md that build its program, as they stand there, in a directory that looks
/// like the project's after `make`. (`install` has those that want an installed library.)
#[test]
fn commands_of_the_readme() {
    let blocks = blocks("README.md");
    let program = blocks.iter().find(|block| block.mark == "c").expect("a program");
    let dir = work_dir().join("commands_of_the_readme");
    let _ = fs::remove_dir_all(&dir); // of an earlier run
    fs::create_dir_all(dir.join("target")).expect("a directory");
    symlink(root().join("include"), dir.join("include")).expect("a link");
    symlink(library_dir(), dir.join("target/release")).expect("a link");
    fs::write(dir.join("square.c"), &program.text).expect("a source");
    let mut count = 0;
    let builds = |block: &&Block| block.mark == "sh" && block.text.contains("target/release");
    for block in blocks.iter().filter(|block| builds(block) && block.text.contains("gcc ")) {
        let commands = block.text.lines().filter(|&line| line != "make" && line != "./square");
        let commands: String = commands.map(|line| format!("{line}\n")).collect();
        let mut shell = Command::new("sh");
        shell.arg("-ec").arg(commands + "./square\nrm square\n").current_dir(&dir);
        assert_eq!(succeed(&mut shell), "25\n", "README.md:{}", block.line);
        count += 1;
    }
    assert_eq!(count, 2, "with the shared library, and with the static one");
}

/// The program in C++ prints the same in processes.
#[test]
fn cpp_program_of_the_readme_in_processes() {
    let blocks = blocks("README.md");
    let block = blocks.iter().find(|block| block.mark == "cpp").expect("a program");
    let threads = "cfut::thread_pool pool;";
    assert_eq!(block.text.matches(threads).count(), 1);
    let text = block.text.replace(threads, "cfut::worker_main();\n    cfut::process_pool pool;");
    assert_eq!(printed_by(&compile("README.md", 900, block, &text)), "25\n");
}

/// No page has code that nobody compiles.
#[test]
fn every_page_with_code_is_tried() {
    for dir in ["", "docs", "docs/guide"] {
        for entry in fs::read_dir(root().join(dir)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let page = path.strip_prefix(root()).expect("inside").to_str().expect("UTF-8");
            let is_code = |block: &Block| ["c", "c fragment", "cpp"].contains(&block.mark.as_str());
            let has_code = blocks(page).iter().any(is_code);
            assert!(!has_code || PAGES.contains(&page), "{page} is not in tests/it/snippets.rs");
        }
    }
}
