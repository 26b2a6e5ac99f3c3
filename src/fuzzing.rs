//! Whatever reads bytes that others wrote, held against a naive twin: for the property tests
//! below and for the targets of fuzz/. Only test and fuzz builds have this file.

use crate::error::{Line, Lossy};
use crate::future::extra::{MESSAGE_LIMIT, Text};
use crate::platform::cgroup::{self, Version};
use crate::platform::thread::{self, Activity};
use crate::trace::figures::write_text;

pub use crate::transport::fuzzing as transport;

/// Each byte as the character of its number: text functions then see every byte.
fn as_latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// /proc/self/cgroup.
pub fn groups(table: &[u8]) {
    for version in [Version::One, Version::Two] {
        let found = cgroup::group_of(table, version).map(as_latin);
        assert_eq!(found, naive_group(&as_latin(table), version));
    }
}

fn naive_group(table: &str, version: Version) -> Option<String> {
    for line in table.split('\n') {
        let Some((id, rest)) = line.split_once(':') else { continue };
        let Some((controllers, path)) = rest.split_once(':') else { continue };
        let ours = match version {
            Version::One => controllers.split(',').any(|name| name == "cpu"),
            Version::Two => id == "0" && controllers.is_empty(),
        };
        if ours && path.starts_with('/') {
            return Some(path.to_owned());
        }
    }
    None
}

/// /proc/self/mountinfo.
pub fn mounts(table: &[u8]) {
    for version in [Version::One, Version::Two] {
        let found = cgroup::mount_of(table, version);
        let found = found.map(|mount| (as_latin(mount.root), as_latin(mount.point)));
        assert_eq!(found, naive_mount(&as_latin(table), version));
    }
}

fn naive_mount(table: &str, version: Version) -> Option<(String, String)> {
    for line in table.split('\n') {
        let words: Vec<&str> = line.split(' ').collect();
        let Some(dash) = words.iter().skip(5).position(|&word| word == "-") else { continue };
        let [kind, _source, options, ..] = words[5 + dash + 1..] else { continue };
        if fits(kind, options, version) {
            return Some((words[3].to_owned(), words[4].to_owned()));
        }
    }
    None
}

fn fits(kind: &str, options: &str, version: Version) -> bool {
    match version {
        Version::One => kind == "cgroup" && options.split(',').any(|name| name == "cpu"),
        Version::Two => kind == "cgroup2",
    }
}

/// `cpu.max`.
pub fn quota(text: &[u8]) {
    let found = cgroup::parse_cpu_max(text).map(|quota| (quota.time, quota.period));
    let latin = as_latin(text);
    let mut words = latin.split([' ', '\t', '\n', '\r', '\x0C']).filter(|word| !word.is_empty());
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    let naive = match (number(), number()) {
        (Some(time), Some(period)) if time > 0 && period > 0 => Some((time, period)),
        _ => None,
    };
    assert_eq!(found, naive);
    if let Some(quota) = cgroup::parse_cpu_max(text) {
        let (cpus, time, period) =
            (u128::from(quota.cpus()), u128::from(quota.time), u128::from(quota.period));
        // As few as are enough.
        assert!(cpus * period >= time && (cpus == 1 || (cpus - 1) * period < time));
    }
}

/// Paths of groups and of the roots of mounts: `group`, a NUL, `root`.
pub fn paths(both: &[u8]) {
    let mut parts = both.splitn(2, |&byte| byte == 0);
    let (group, root) = (parts.next().unwrap_or(b""), parts.next().unwrap_or(b""));
    let rest = cgroup::below_mount(group, root);
    assert!(rest.is_empty() || rest[0] == b'/' && rest.len() > 1);
    let root = if root == b"/" { b"" } else { root };
    assert!(rest.is_empty() || [root, rest].concat() == group);
}

/// /proc/self/task/N/stat.
pub fn activity(stat: &[u8]) {
    let latin = as_latin(stat);
    let letter = latin.rsplit_once(')').and_then(|(_, rest)| rest.chars().nth(1));
    let naive = match letter {
        Some('R') => Activity::Runnable,
        Some('S' | 'D' | 'T' | 't' | 'I') => Activity::Blocked,
        _ => Activity::Unknown,
    };
    assert_eq!(thread::parse_activity(stat), naive);
}

/// Names and messages of the host's.
pub fn message(bytes: &[u8]) {
    const NOTE: &[u8] = b" [cut at 64 KiB]";
    let Some(text) = Text::copy(bytes) else { return };
    let whole = bytes.split(|&byte| byte == 0).next().unwrap_or(b"");
    // SAFETY: NUL-terminated, alive as long as `text`.
    let shown = unsafe { std::ffi::CStr::from_ptr(text.as_c_str()) }.to_bytes();
    assert_eq!(shown, text.as_bytes());
    if whole.len() <= MESSAGE_LIMIT {
        assert_eq!(shown, whole);
        return;
    }
    let kept = shown.strip_suffix(NOTE).expect("says that it was cut");
    assert!(shown.len() <= MESSAGE_LIMIT && whole.starts_with(kept));
    // A whole text is cut between characters, and loses no more than one of them.
    if std::str::from_utf8(whole).is_ok() {
        assert!(std::str::from_utf8(kept).is_ok() && shown.len() > MESSAGE_LIMIT - 4);
    }
}

/// Bytes of the host's in the text of an error.
pub fn error_text(bytes: &[u8]) {
    let line = Line::of(format_args!("{}", Lossy(bytes)));
    let whole = String::from_utf8_lossy(bytes);
    if whole.len() <= Line::CAPACITY {
        assert_eq!(line.as_str(), whole);
    } else {
        assert!(line.as_bytes().len() <= Line::CAPACITY);
        // What no longer fits is left out, character by character at each write.
        assert!(std::str::from_utf8(line.as_bytes()).is_ok());
    }
}

/// Names of the host's in a snapshot.
pub fn json(bytes: &[u8]) {
    let mut out = String::new();
    write_text(&mut out, bytes).expect("a String takes everything");
    assert_eq!(read_json(&out).expect("a JSON string"), String::from_utf8_lossy(bytes));
}

/// A reader of JSON strings, as its specification has them (RFC 8259, section 7).
fn read_json(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut read = String::new();
    while let Some(letter) = rest.next() {
        read.push(match letter {
            '"' | '\0'..' ' => return None,
            '\\' => match rest.next()? {
                plain @ ('"' | '\\' | '/') => plain,
                'n' => '\n',
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                _ => return None,
            },
            plain => plain,
        });
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Bytes that look like what is parsed, in any order, with any bytes between them.
    fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..48).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn groups(table in pieces(&["0", ":", ",", "cpu", "cpuacct", "/", "/a", "\n", "::/"])) {
            super::groups(&table);
        }

        #[test]
        fn mounts(table in pieces(&[
            " ", "1 2 0:3 / /m rw", " - ", "cgroup", "cgroup2", " x ", "rw,cpu", "cpu", "\n",
        ])) {
            super::mounts(&table);
        }

        #[test]
        fn quota(text in pieces(&["max", "1", "0", " ", "\n", "100000", "18446744073709551615"])) {
            super::quota(&text);
        }

        #[test]
        fn paths(both in pieces(&["/", "a", "/a", "/a/b", "\0", ".."])) {
            super::paths(&both);
        }

        #[test]
        fn activity(stat in pieces(&["1 ", "(", ") ", ")", "R", "S", "D", "t", "Z", " 1"])) {
            super::activity(&stat);
        }

        #[test]
        fn message(mut bytes in pieces(&["é", "𝄞", "a", "\0"]), times in 1usize..4000) {
            super::message(&bytes);
            bytes.retain(|&byte| byte != 0);
            super::message(&bytes.repeat(times.min((1 << 18) / bytes.len().max(1))));
        }

        #[test]
        fn error_text(bytes in pieces(&["é", "𝄞", "some words about it ", "\n"])) {
            super::error_text(&bytes);
        }

        #[test]
        fn json(bytes in pieces(&["\"", "\\", "\n", "\u{1f}", "é", "𝄞", "name", "\u{7f}"])) {
            super::json(&bytes);
        }
    }
}
