//! resize_images on real JPEG and PNG files, which tests/c/pictures.c makes.

use super::{directory, has_processes, result, text};
use crate::support::{build_with_libraries, describe, program, run, succeed};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const THREADS: &[&str] = &["--threads"];

/// In processes, and on threads.
fn kinds() -> Vec<&'static [&'static str]> {
    if has_processes() { vec![&[], THREADS] } else { vec![THREADS] }
}

/// The two programs; None where there is no library for pictures.
struct Lab {
    resize_images: PathBuf,
    pictures: PathBuf,
}

impl Lab {
    fn open() -> Option<Lab> {
        let resize_images =
            build_with_libraries("examples-c/resize_images.c", &["-pedantic", "-Wshadow"])?;
        Some(Lab { resize_images, pictures: build_with_libraries("tests/c/pictures.c", &[])? })
    }

    fn resize(&self) -> Command {
        program(&self.resize_images)
    }

    fn make(&self, kind: &str, (width, height): (usize, usize), file: &Path) {
        let size = [width.to_string(), height.to_string()];
        succeed(Command::new(&self.pictures).args(["make", kind]).args(size).arg(file));
    }

    /// The samples of two pixels: in the middle of the left half, and of the right one.
    fn halves(&self, file: &Path) -> [Vec<u8>; 2] {
        let shown = succeed(Command::new(&self.pictures).arg("show").arg(file));
        let pixels = shown.split_whitespace().map(|pixel| {
            pixel.split(',').map(|sample| sample.parse().expect("a sample")).collect()
        });
        pixels.collect::<Vec<_>>().try_into().expect("two pixels")
    }

    /// Of every kind that the program reads; the names.
    fn fill(&self, from: &Path) -> Vec<&'static str> {
        for (name, kind, size, _, _) in GOOD {
            self.make(kind, *size, &from.join(name));
        }
        fs::write(from.join("notes.txt"), "not a picture").expect("file");
        GOOD.iter().map(|row| row.0).collect()
    }
}

type Size = (usize, usize);

/// Name, kind, size; with --size 320: size, and samples of the left half.
const GOOD: &[(&str, &str, Size, Size, &[u8])] = &[
    ("photo.jpg", "jpeg", (1600, 1200), (320, 240), &[255, 0, 0]),
    ("GREY.JPG", "jpeg-grey", (900, 1201), (240, 320), &[255]),
    ("small.jpeg", "jpeg", (200, 100), (200, 100), &[255, 0, 0]),
    ("exact.jpg", "jpeg", (320, 17), (320, 17), &[255, 0, 0]),
    ("odd name.png", "rgb", (1001, 333), (320, 106), &[255, 0, 0]),
    ("grey.png", "grey", (640, 640), (320, 320), &[255]),
    // Of a transparent pixel nobody sees the colour.
    ("alpha.png", "rgba", (1280, 640), (320, 160), &[255, 0, 0, 128]),
    ("grey-alpha.png", "ga", (640, 480), (320, 240), &[255, 128]),
    ("deep.png", "rgb-16", (640, 480), (320, 240), &[255, 0, 0]),
    ("palette.png", "palette", (640, 480), (320, 240), &[255, 0, 0]),
    ("thin.png", "rgb", (5000, 2), (320, 1), &[255, 0, 0]),
    ("named-wrong.png", "jpeg", (640, 320), (320, 160), &[255, 0, 0]),
];

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

/// Width, height and samples of a pixel, as the header of the file says.
fn header(file: &Path) -> (Size, usize) {
    let bytes = fs::read(file).expect("a picture");
    if bytes.starts_with(b"\x89PNG") {
        assert_eq!((&bytes[12..16], bytes[24]), (&b"IHDR"[..], 8), "{file:?}");
        let samples = [1, 0, 3, 0, 2, 0, 4][usize::from(bytes[25])];
        return ((big_endian(&bytes[16..20]), big_endian(&bytes[20..24])), samples);
    }
    let mut at = 2;
    while bytes[at + 1] != 0xC0 {
        assert_eq!(bytes[at], 0xFF, "{file:?}: a marker");
        at += 2 + big_endian(&bytes[at + 2..at + 4]);
    }
    let size = (big_endian(&bytes[at + 7..at + 9]), big_endian(&bytes[at + 5..at + 7]));
    (size, usize::from(bytes[at + 9]))
}

/// What it said of each name, from lines `[k/n] name...`: each k once, n the number of all. The last
/// line of stdout is split off.
fn lines(printed: &str, complaint: &str) -> (BTreeMap<String, String>, String) {
    let mut all: Vec<_> = printed.lines().collect();
    let last = all.pop().expect("a last line").to_owned();
    all.extend(complaint.lines().map(|line| line.strip_prefix("resize_images: ").expect("prefix")));
    let mut numbers = Vec::new();
    let mut said = BTreeMap::new();
    for line in &all {
        let (numbering, rest) = line[1..].split_once("] ").expect("[k/n]");
        let (number, of) = numbering.split_once('/').expect("k/n");
        numbers.push(number.parse::<usize>().expect("a number"));
        assert_eq!(of, all.len().to_string());
        let end = rest.find(" -> ").or_else(|| rest.find(": ")).expect("the end of the name");
        said.insert(rest[..end].to_owned(), rest[end..].to_owned());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=all.len()).collect::<Vec<_>>());
    (said, last)
}

/// All that lies in the directory, sorted.
fn listed(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("directory");
    let mut names: Vec<_> =
        entries.map(|entry| text(entry.expect("entry").file_name().as_encoded_bytes())).collect();
    names.sort_unstable();
    names
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn makes_them_smaller() {
    let Some(lab) = Lab::open() else { return };
    let from = directory("resize_from");
    let names = lab.fill(&from);
    for kind in kinds() {
        for workers in ["1", "3"] {
            let to = directory("resize_to").join("made");
            let (code, printed, complaint) =
                result(lab.resize().args(kind).args(["--workers", workers]).args([&from, &to]));
            assert_eq!((code, complaint.as_str()), (0, ""));
            assert_eq!(listed(&to), sorted(&names));
            let (said, last) = lines(&printed, "");
            assert_eq!(last, format!("{} resized, 0 failed", names.len()));
            for (name, _, before, after, left) in GOOD {
                let file = to.join(name);
                let ((width, height), (old_width, old_height)) = (*after, *before);
                let sizes = format!("{old_width} x {old_height} to {width} x {height}");
                assert_eq!(said[*name], format!(" -> {} ({sizes})", file.display()));
                assert_eq!(header(&file), (*after, left.len()), "{name}");
                let [shown, _] = lab.halves(&file);
                let near = shown.iter().zip(*left).all(|(a, b)| a.abs_diff(*b) <= 4);
                assert!(near, "{name}: {shown:?}");
            }
        }
    }
}

#[test]
fn another_size() {
    let Some(lab) = Lab::open() else { return };
    let (from, to) = (directory("resize_size_from"), directory("resize_size_to"));
    lab.make("rgb", (300, 150), &from.join("a.png"));
    for (size, expected) in [("1", (1, 1)), ("40", (40, 20)), ("16384", (300, 150))] {
        let mut resize = lab.resize();
        succeed(resize.args(kinds()[0]).args(["--size", size]).args([&from, &to]));
        assert_eq!(header(&to.join("a.png")).0, expected);
    }
}

#[test]
fn nothing_to_do() {
    let Some(lab) = Lab::open() else { return };
    let (from, to) = (directory("resize_none_from"), directory("resize_none_to"));
    let printed = succeed(lab.resize().args(kinds()[0]).args([&from, &to]));
    assert_eq!(printed, "0 resized, 0 failed\n");
}

#[test]
fn a_corrupt_file_fails_alone() {
    let Some(lab) = Lab::open() else { return };
    let from = directory("resize_corrupt_from");
    let names = lab.fill(&from);
    let read = |name: &str| fs::read(from.join(name)).expect("a picture");
    let write = |name: &str, bytes: &[u8]| fs::write(from.join(name), bytes).expect("a file");
    let (photo, mut png) = (read("photo.jpg"), read("odd name.png"));
    write("bad-cut.jpg", &photo[..photo.len() / 2]);
    write("bad-cut.png", &png[..png.len() / 2]);
    let middle = png.len() / 2;
    png[middle] ^= 0xFF;
    write("bad-byte.png", &png);
    write("bad-empty.jpg", b"");
    write("bad-empty.png", b"");
    write("bad-text.jpg", b"Dear all, this is no picture.\n");
    lab.make("jpeg-cmyk", (64, 64), &from.join("bad-cmyk.jpg"));
    symlink("nowhere", from.join("bad-link.png")).expect("symlink");
    fs::create_dir(from.join("bad-directory.png")).expect("directory");
    // For some the library's own words, which change from version to version.
    let reasons = [
        ("bad-cut.jpg", "Premature end"),
        ("bad-cut.png", ""),
        ("bad-byte.png", ""),
        ("bad-empty.jpg", "the file is empty"),
        ("bad-empty.png", "the file is empty"),
        ("bad-text.jpg", "neither JPEG nor PNG"),
        ("bad-cmyk.jpg", ""),
        ("bad-link.png", "No such file or directory"),
        ("bad-directory.png", "Is a directory"),
    ];
    for kind in kinds() {
        let to = directory("resize_corrupt_to");
        let (code, printed, complaint) = result(lab.resize().args(kind).args([&from, &to]));
        assert_eq!(code, 1);
        assert_eq!(complaint.lines().count(), reasons.len(), "{complaint}");
        let (said, last) = lines(&printed, &complaint);
        for (name, reason) in reasons {
            let shown = said[name].strip_prefix(": ").unwrap_or_else(|| panic!("{}", said[name]));
            assert!(!shown.is_empty() && shown.contains(reason), "{name}: {shown:?}");
        }
        assert_eq!(last, format!("{} resized, {} failed", names.len(), reasons.len()));
        assert_eq!(listed(&to), sorted(&names), "no part of what failed is left");
    }
}

#[test]
fn a_crash_in_a_process_costs_one_file() {
    let Some(lab) = Lab::open() else { return };
    if !has_processes() {
        return;
    }
    let from = directory("resize_crash_from");
    let mut names = lab.fill(&from);
    let to = directory("resize_crash_to");
    let (code, printed, complaint) =
        result(lab.resize().args(["--crash-on", "grey.png"]).args([&from, &to]));
    assert_eq!(code, 1);
    let (said, last) = lines(&printed, &complaint);
    assert!(said["grey.png"].contains("was killed by signal 11 (SIGSEGV)"), "{complaint}");
    names.retain(|&name| name != "grey.png");
    assert_eq!(last, format!("{} resized, 1 failed", names.len()));
    assert_eq!(listed(&to), sorted(&names));
}

#[test]
fn a_crash_on_a_thread_costs_the_process() {
    let Some(lab) = Lab::open() else { return };
    let from = directory("resize_thread_crash_from");
    lab.make("grey", (64, 64), &from.join("a.png"));
    let to = directory("resize_thread_crash_to");
    let mut resize = lab.resize();
    resize.args(["--threads", "--crash-on", "a.png"]).args([&from, &to]);
    let output = run(&mut resize);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", describe(&resize, &output));
}

/// A picture that is small as a file, and of 144 MB in memory.
fn bomb(lab: &Lab, from: &Path) {
    lab.make("grey", (12_000, 12_000), &from.join("bomb.png"));
}

#[test]
fn memory_of_a_process_is_limited() {
    let Some(lab) = Lab::open() else { return };
    if !has_processes() {
        return;
    }
    let (from, to) = (directory("resize_memory_from"), directory("resize_memory_to"));
    bomb(&lab, &from);
    let names = lab.fill(&from);
    let (code, printed, complaint) =
        result(lab.resize().args(["--memory-limit", "128"]).args([&from, &to]));
    assert_eq!(code, 1, "{complaint}");
    let (said, _) = lines(&printed, &complaint);
    assert_eq!(said["bomb.png"], ": no memory for 12000 x 12000 pixels");
    assert_eq!(listed(&to), sorted(&names));
}

#[test]
fn time_of_a_file_is_limited() {
    let Some(lab) = Lab::open() else { return };
    let from = directory("resize_time_from");
    bomb(&lab, &from);
    for kind in kinds() {
        let to = directory("resize_time_to");
        let mut resize = lab.resize();
        let (code, printed, complaint) =
            result(resize.args(kind).args(["--timeout", "1"]).args([&from, &to]));
        assert_eq!((code, printed.as_str()), (1, "0 resized, 1 failed\n"));
        let (said, _) = lines(&printed, &complaint);
        assert!(
            said["bomb.png"].contains("CFUT_TASK_RUN_TIMEOUT_NS of 1 ms passed"),
            "{complaint}"
        );
        assert!(listed(&to).is_empty(), "what was late is thrown away");
        let mut resize = lab.resize();
        succeed(resize.args(kind).args(["--timeout", "600000"]).args([&from, &to]));
    }
}

#[test]
fn bad_arguments_are_refused() {
    let Some(lab) = Lab::open() else { return };
    let from = directory("resize_bad");
    let file = from.join("file");
    fs::write(&file, "").expect("file");
    let (dir, file) = (from.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    let to = format!("{dir}/to");
    let missing = format!("{dir}/missing");
    let endless = format!("{dir}/{}", "x/".repeat(3000));
    let mut cases: Vec<(Vec<&str>, &str)> = vec![
        (vec![], "two directories"),
        (vec![dir], "two directories"),
        (vec![dir, &to, dir], "two directories"),
        (vec!["--thread=s", dir, &to], "--thread"),
        (vec!["--workers", "40000", dir, &to], "CFUT_OPT_WORKERS is 40000"),
        (vec!["--size", "16385", dir, &to], "--size"),
        (vec!["--threads", "--memory-limit", "100", dir, &to], "--memory-limit"),
        (vec![&missing, &to], "No such file or directory"),
        (vec![file, &to], "Not a directory"),
        (vec![dir, file], "Not a directory"),
        (vec![dir, "/dev/null/to"], "Not a directory"),
        (vec![dir, dir], "originals"),
        (vec![&endless, &to], "too long"),
        (vec![dir, &endless], "too long"),
    ];
    for option in ["--size", "--timeout", "--memory-limit", "--workers"] {
        cases.push((vec![option], option));
        for number in ["0", "-3", "", "two", "2x", "99999999999999999999"] {
            cases.push((vec![option, number, dir, &to], option));
        }
    }
    for (arguments, words) in cases {
        let (code, printed, complaint) = result(lab.resize().args(&arguments));
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint:?} lacks {words:?}");
        assert!(complaint.contains("resize_images"), "{complaint:?} has no name");
    }
    let (code, printed, complaint) = result(lab.resize().arg("--help"));
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert!(printed.starts_with("usage: resize_images "), "{printed}");
}
