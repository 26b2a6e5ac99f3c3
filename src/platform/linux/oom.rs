//! How often the kernel has killed for memory in this process's control group.
//!
//! Sources: the kernel's `cgroup-v2` (`memory.events`) and `cgroup-v1/memory`
//! (`memory.oom_control`) documents. The count is of the whole group, so it tells that
//! memory ran out there, not for whom.

use super::cgroup::{self, Version};
use super::memory::read_small_file;
use std::ffi::CStr;
use std::io::Write;

/// The count so far; 0 where it is not to be had.
pub(crate) fn kills() -> u64 {
    let mut groups = [0u8; 4096];
    let mut mounts = [0u8; 32 * 1024];
    let Some(groups_length) = read_small_file(c"/proc/self/cgroup", &mut groups) else { return 0 };
    let Some(mounts_length) = read_small_file(c"/proc/self/mountinfo", &mut mounts) else {
        return 0;
    };
    let (groups, mounts) = (&groups[..groups_length], &mounts[..mounts_length]);
    let files = [(Version::Two, "memory.events"), (Version::One, "memory.oom_control")];
    files.into_iter().find_map(|(version, file)| count(groups, mounts, version, file)).unwrap_or(0)
}

fn count(groups: &[u8], mounts: &[u8], version: Version, file: &str) -> Option<u64> {
    let group = cgroup::group_with(groups, version, b"memory")?;
    let mount = cgroup::mount_with(mounts, version, b"memory")?;
    let group = cgroup::below_mount(group, mount.root);
    let mut path = [0u8; 4096];
    let mut rest = &mut path[..4095];
    for part in [mount.point, group, b"/", file.as_bytes()] {
        rest.write_all(part).ok()?;
    }
    let mut text = [0u8; 1024];
    let length = read_small_file(CStr::from_bytes_until_nul(&path).ok()?, &mut text)?;
    oom_kill_in(&text[..length])
}

/// The line "oom_kill N".
fn oom_kill_in(text: &[u8]) -> Option<u64> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let number = line.strip_prefix(b"oom_kill ")?;
        std::str::from_utf8(number.trim_ascii()).ok()?.parse().ok()
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_versions_are_understood() {
        assert_eq!(oom_kill_in(b"low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(oom_kill_in(b"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(oom_kill_in(b"oom_kill_disable 1\n"), None);
        let _ = kills();
    }

    proptest! {
        #[test]
        fn text_of_any_kind(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = oom_kill_in(&text);
        }
    }
}
