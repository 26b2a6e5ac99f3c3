//! Who descends from a process.
//!
//! From `/proc/PID/task/TID/children` (`proc(5)`), which kernels have that can checkpoint; where
//! it is missing, from a walk over all of `/proc` and the parents that `/proc/PID/stat` names.
//! Either is a picture of a moment: who wants all of them stops each one that it is told of.

use super::memory::read_small_file;
use std::ffi::CStr;
use std::io::Write;

/// Calls `meet` for each descendant of `root` that is found, the root not included, parents
/// before children, and answers with all of them. Without memory those that were found are all.
pub(crate) fn visit_descendants(root: i32, mut meet: impl FnMut(i32)) -> impl Iterator<Item = i32> {
    let mut found: Vec<i32> = Vec::new();
    let mut next = 0;
    let mut parent = root;
    loop {
        children_of(parent, &mut |pid| {
            let new = pid > 1 && pid != root && !found.contains(&pid);
            if new && found.try_reserve(1).is_ok() {
                found.push(pid);
                meet(pid);
            }
        });
        let Some(&pid) = found.get(next) else { break };
        parent = pid;
        next += 1;
    }
    found.into_iter()
}

fn children_of(parent: i32, tell: &mut dyn FnMut(i32)) {
    let mut path = Path::new();
    let Some(tasks) = path.make(format_args!("/proc/{parent}/task")) else { return };
    let mut has_table = false;
    each_number_in(tasks, &mut |task| {
        let mut path = Path::new();
        let table = path.make(format_args!("/proc/{parent}/task/{task}/children"));
        let mut text = [0u8; 8192];
        if let Some(length) = table.and_then(|table| read_small_file(table, &mut text)) {
            has_table = true;
            numbers(&text[..length]).for_each(&mut *tell);
        }
    });
    if !has_table {
        children_by_parent(parent, tell);
    }
}

fn children_by_parent(parent: i32, tell: &mut dyn FnMut(i32)) {
    each_number_in(c"/proc", &mut |pid| {
        let mut path = Path::new();
        let mut text = [0u8; 512];
        let stat = path.make(format_args!("/proc/{pid}/stat"));
        let length = stat.and_then(|stat| read_small_file(stat, &mut text)).unwrap_or(0);
        if parent_in(&text[..length]) == Some(parent) {
            tell(pid);
        }
    });
}

/// `stat`: "PID (NAME) STATE PARENT ..."; the name may contain anything.
fn parent_in(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    numbers(stat.get(end + 4..)?).next()
}

/// Positive decimal numbers between blanks; a last one that is cut does not count, for the
/// kernel ends the table with a blank.
fn numbers(text: &[u8]) -> impl Iterator<Item = i32> {
    let whole = text.iter().rposition(|byte| byte.is_ascii_whitespace()).unwrap_or(0);
    text[..whole]
        .split(u8::is_ascii_whitespace)
        .filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
        .filter(|&number: &i32| number > 0)
}

fn each_number_in(directory: &CStr, tell: &mut dyn FnMut(i32)) {
    // SAFETY: a NUL-terminated path; entries are read by this thread alone, and valid until the
    // next is read.
    unsafe {
        let stream = libc::opendir(directory.as_ptr());
        if stream.is_null() {
            return;
        }
        loop {
            let entry = libc::readdir(stream);
            if entry.is_null() {
                break;
            }
            let name = CStr::from_ptr((*entry).d_name.as_ptr());
            if let Some(number) = name.to_str().ok().and_then(|name| name.parse().ok()) {
                tell(number);
            }
        }
        libc::closedir(stream);
    }
}

/// A short path, made in place.
struct Path([u8; 64]);

impl Path {
    fn new() -> Path {
        Path([0; 64])
    }

    fn make(&mut self, text: std::fmt::Arguments<'_>) -> Option<&CStr> {
        let mut rest = &mut self.0[..63];
        rest.write_fmt(text).ok()?;
        CStr::from_bytes_until_nul(&self.0).ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    #[test]
    fn children_are_found_both_ways() {
        let mut child = Command::new("sh")
            .args(["-c", "cat | cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let pid = child.id() as i32;
        let own = std::process::id() as i32;
        assert!(visit_descendants(own, |_| {}).any(|found| found == pid));
        let mut found = Vec::new();
        children_by_parent(own, &mut |pid| found.push(pid));
        assert!(found.contains(&pid));
        drop(child.stdin.take());
        child.wait().expect("its end");
    }

    #[test]
    fn a_cut_table_ends_before_the_cut() {
        assert_eq!(numbers(b"12 345 67 ").collect::<Vec<_>>(), [12, 345, 67]);
        assert_eq!(numbers(b"12 345 6").collect::<Vec<_>>(), [12, 345]);
        assert_eq!(numbers(b"-4 0 x 9\n").collect::<Vec<_>>(), [9]);
        assert_eq!(parent_in(b"7 (a) S 4) S 42 7 7 "), Some(42));
        assert_eq!(parent_in(b"7 (a)"), None);
    }

    proptest! {
        #[test]
        fn tables_of_any_kind(text in proptest::collection::vec(any::<u8>(), 0..128)) {
            numbers(&text).for_each(|number| assert!(number > 0));
            let _ = parent_in(&text);
        }
    }
}
