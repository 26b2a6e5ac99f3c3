//! pipeline on real files, against words counted here.

use super::{directory, example, has_processes, refuses, result, text};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// The program in C and in C++.
const FORMS: [&str; 2] = ["pipeline", "pipeline++"];

fn words(bytes: &[u8]) -> Vec<Vec<u8>> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    let words = bytes.split(|byte| !is_word(byte)).filter(|word| !word.is_empty());
    words.map(<[u8]>::to_ascii_lowercase).collect()
}

/// What the file of results says.
fn list(bytes: &[u8]) -> Vec<u8> {
    let mut counts = HashMap::new();
    for word in words(bytes) {
        *counts.entry(word).or_insert(0) += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let line =
        |(word, count): (Vec<u8>, usize)| [format!("{count} ").as_bytes(), &word, b"\n"].concat();
    sorted.into_iter().flat_map(line).collect()
}

/// The line about a file on stdout.
fn line(name: &str, bytes: &[u8]) -> String {
    let different = list(bytes).iter().filter(|&&byte| byte == b'\n').count();
    format!("{name}: {} words, {different} different", words(bytes).len())
}

type Files = Vec<(String, Vec<u8>)>;

/// Files of several shapes, and many small ones.
fn write_files(directory: &Path) -> Files {
    let mut novel = String::new();
    for number in 0..60_000u32 {
        let word = ["the", "The", "a", "Whale", "élan", "Ahab's", "42", "--"][number as usize % 8];
        write!(novel, "{word}{}", if number % 11 == 0 { ".\n" } else { " " }).expect("text");
    }
    let mut files: Files = [
        ("novel.txt", novel.into_bytes()),
        ("empty", b"".to_vec()),
        ("no words", b" \n\t.,;\n".to_vec()),
        ("one", b"word".to_vec()),
        ("letters", b"a b A c B a".to_vec()),
        ("odd bytes", b"x\0y\xff\xfe X\r\n\x80\0\0x".to_vec()),
        ("long word", b"z".repeat(300_000)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into();
    for number in 0..50u32 {
        files.push((format!("note-{number}"), format!("note {number} of {number}").into_bytes()));
    }
    for (name, bytes) in &files {
        fs::write(directory.join(name), bytes).expect("file");
    }
    files
}

/// What stdout says: a line a file, how far the others were when the first was saved, the table.
struct Printed {
    files: Vec<String>,
    fetched_at_first: u64,
    counted_at_first: u64,
    /// done and failed of fetch, count and save
    stages: [[u64; 2]; 3],
    totals: String,
}

fn parse(printed: &str) -> Printed {
    let mut lines: Vec<_> = printed.lines().collect();
    let totals = lines.pop().expect("totals").to_owned();
    let table = lines.split_off(lines.len() - 4);
    assert_eq!(table[0].split_whitespace().collect::<Vec<_>>(), ["stage", "done", "failed"]);
    let row = |number: usize, name: &str| {
        let cells: Vec<_> = table[number].split_whitespace().collect();
        assert_eq!((cells.len(), cells[0]), (3, name));
        [1, 2].map(|cell: usize| cells[cell].parse().expect("a number"))
    };
    let stages = [row(1, "fetch"), row(2, "count"), row(3, "save")];
    let mut numbers = [0, 0];
    if let Some(first) = lines.first().copied() {
        let rest = first.strip_prefix("the first file is saved: so far fetched ").expect(first);
        let (fetched, counted) = rest.split_once(", counted ").expect(first);
        numbers = [fetched, counted].map(|number| number.parse().expect("a number"));
        lines.remove(0);
    }
    let mut files: Vec<_> = lines.into_iter().map(str::to_owned).collect();
    files.sort_unstable();
    Printed { files, fetched_at_first: numbers[0], counted_at_first: numbers[1], stages, totals }
}

/// All files but these are saved, with the right words; nothing else lies there.
fn check(files: &Files, without: &[&str], results: &Path, printed: &Printed) {
    let saved: Files =
        files.iter().filter(|(name, _)| !without.contains(&name.as_str())).cloned().collect();
    let mut lines: Vec<_> = saved.iter().map(|(name, bytes)| line(name, bytes)).collect();
    lines.sort_unstable();
    assert_eq!(printed.files, lines);
    let total: usize = saved.iter().map(|(_, bytes)| words(bytes).len()).sum();
    assert_eq!(printed.totals, format!("{total} words in {} files", saved.len()));
    for (name, bytes) in &saved {
        let found = fs::read(results.join(format!("{name}.words"))).expect("results");
        assert!(found == list(bytes), "{name}: {}", text(&found));
    }
    let there = fs::read_dir(results)
        .expect("directory")
        .filter(|entry| entry.as_ref().expect("entry").file_type().expect("type").is_file());
    assert_eq!(there.count(), saved.len());
}

#[test]
fn counts_the_words_of_each_file() {
    if !has_processes() {
        return;
    }
    for form in FORMS {
        let from = directory("pipeline_from");
        let files = write_files(&from);
        fs::create_dir(from.join("archive")).expect("directory");
        fs::write(from.join("archive/old"), "left out").expect("file");
        let all = files.len() as u64;
        for (window, workers) in [(1, "1"), (5, "2"), (1000, "3")] {
            let results = directory("pipeline_results").join("made");
            let mut pipeline = example(form);
            pipeline.args(["--window", &window.to_string(), "--workers", workers]);
            let (code, printed, complaint) = result(pipeline.args([&from, &results]));
            assert_eq!((code, complaint.as_str()), (0, ""));
            let printed = parse(&printed);
            check(&files, &[], &results, &printed);
            assert_eq!(printed.stages, [[all, 0]; 3]);
            // Those under way are all that can have been fetched.
            let (fetched, counted) = (printed.fetched_at_first, printed.counted_at_first);
            assert!(1 <= counted && counted <= fetched && fetched <= window, "{fetched} {counted}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_fails_alone() {
    if !has_processes() {
        return;
    }
    for form in FORMS {
        let from = directory("pipeline_unreadable");
        let results = directory("pipeline_unreadable_results");
        let files = write_files(&from);
        symlink("nowhere", from.join("dangling")).expect("symlink");
        let (code, printed, complaint) = result(example(form).args([&from, &results]));
        assert_eq!(code, 1);
        assert_eq!(complaint, "pipeline: dangling: fetch: No such file or directory\n");
        let printed = parse(&printed);
        check(&files, &[], &results, &printed);
        let all = files.len() as u64;
        assert_eq!(printed.stages, [[all, 1], [all, 0], [all, 0]]);
    }
}

#[test]
fn a_crash_of_a_process_costs_one_file() {
    if !has_processes() {
        return;
    }
    for form in FORMS {
        let from = directory("pipeline_crash");
        let results = directory("pipeline_crash_results");
        let files = write_files(&from);
        let mut pipeline = example(form);
        let (code, printed, complaint) =
            result(pipeline.args(["--crash-on", "note-7"]).args([&from, &results]));
        assert_eq!(code, 1);
        assert!(complaint.starts_with("pipeline: note-7: count: worker count-"), "{complaint}");
        assert!(complaint.contains("was killed by signal 11 (SIGSEGV)"), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        let printed = parse(&printed);
        check(&files, &["note-7"], &results, &printed);
        let all = files.len() as u64;
        assert_eq!(printed.stages, [[all, 0], [all - 1, 1], [all - 1, 0]]);
    }
}

#[test]
fn a_file_that_cannot_be_saved_fails_alone() {
    if !has_processes() {
        return;
    }
    for form in FORMS {
        let from = directory("pipeline_unsaved");
        let results = directory("pipeline_unsaved_results");
        let files = write_files(&from);
        fs::create_dir_all(results.join("one.words")).expect("directory");
        let (code, printed, complaint) = result(example(form).args([&from, &results]));
        assert_eq!((code, complaint.as_str()), (1, "pipeline: one: save: Is a directory\n"));
        let printed = parse(&printed);
        check(&files, &["one"], &results, &printed);
        let all = files.len() as u64;
        assert_eq!(printed.stages, [[all, 0], [all, 0], [all - 1, 1]]);
    }
}

/// The writer of a named pipe, once the program reads it.
fn open_pipe(path: &Path, end: Instant) -> fs::File {
    loop {
        match fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(pipe) => return pipe,
            Err(error) => assert!(Instant::now() < end, "nobody reads it: {error}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// All others are saved while one is still being fetched: its writer waits for that.
#[test]
fn no_stage_waits_for_the_whole_of_the_one_before() {
    if !has_processes() {
        return;
    }
    for form in FORMS {
        let from = directory("pipeline_slow");
        let results = directory("pipeline_slow_results");
        let mut files = write_files(&from);
        let slow = from.join("slow");
        assert!(Command::new("mkfifo").arg(&slow).status().expect("mkfifo").success());
        let awaited: Vec<_> =
            files.iter().map(|(name, _)| results.join(format!("{name}.words"))).collect();
        let writer = thread::spawn(move || {
            let end = Instant::now() + Duration::from_secs(150);
            let mut pipe = open_pipe(&slow, end);
            pipe.write_all(b"slow and ").expect("half of it");
            while !awaited.iter().all(|path| path.exists()) {
                assert!(Instant::now() < end, "others wait for a slow one");
                thread::sleep(Duration::from_millis(5));
            }
            pipe.write_all(b"slow").expect("the rest");
        });
        // Room for two: the slow one keeps its place, the others go by in the other one.
        let mut pipeline = example(form);
        let (code, printed, complaint) =
            result(pipeline.args(["--window", "2"]).args([&from, &results]));
        writer.join().expect("writer");
        assert_eq!((code, complaint.as_str()), (0, ""));
        files.push(("slow".to_owned(), b"slow and slow".to_vec()));
        check(&files, &[], &results, &parse(&printed));
    }
}

#[test]
fn of_an_empty_directory() {
    if !has_processes() {
        return;
    }
    for form in FORMS {
        let (from, results) = (directory("pipeline_empty"), directory("pipeline_empty_results"));
        let (code, printed, complaint) = result(example(form).args([&from, &results]));
        assert_eq!((code, complaint.as_str()), (0, ""));
        let printed = parse(&printed);
        assert_eq!((printed.files.len(), printed.stages), (0, [[0; 2]; 3]));
        assert_eq!(printed.totals, "0 words in 0 files");
    }
}

#[test]
fn bad_arguments_are_refused() {
    for form in FORMS {
        let from = directory("pipeline_bad");
        let file = from.join("file");
        fs::write(&file, "").expect("file");
        let (dir, file) = (from.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
        let to = format!("{dir}/to");
        let endless = format!("{dir}/{}", "x/".repeat(3000));
        refuses(form, &[], "two directories");
        refuses(form, &[dir], "two directories");
        refuses(form, &[dir, &to, dir], "two directories");
        refuses(form, &["--windows", dir, &to], "--windows");
        for option in ["--window", "--workers"] {
            refuses(form, &[option], option);
            for number in ["0", "-3", "", "two", "2x", "99999999999999999999"] {
                refuses(form, &[option, number, dir, &to], option);
            }
        }
        refuses(form, &["--workers", "2000", dir, &to], "CFUT_OPT_WORKERS is 2000");
        refuses(form, &[&format!("{dir}/missing"), &to], "No such file or directory");
        refuses(form, &[file, &to], "Not a directory");
        refuses(form, &[dir, file], "Not a directory");
        refuses(form, &[dir, dir], "another directory");
        refuses(form, &[&endless, &to], "too long");
        refuses(form, &[dir, &endless], "too long");
    }
}
