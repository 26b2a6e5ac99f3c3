//! The CPU quota that control groups put on this process.
//!
//! Sources: `proc(5)` for /proc/self/cgroup and /proc/self/mountinfo, the kernel's
//! `cgroup-v2` and `sched-bwc` documents for `cpu.max`, `cpu.cfs_quota_us` and
//! `cpu.cfs_period_us`. Both versions can be mounted at once. A quota on an ancestor binds
//! its descendants, so the smallest one on the way up counts. `cpu.weight` and
//! `cpu.shares` are no limits and are not read.
//!
//! Everything read here may be garbage: a container runtime, a test or an attacker may
//! have mounted it. The parsers accept any bytes and answer None where they see no sense.

use super::memory::read_small_file;
use std::ffi::CStr;

/// Processor time allowed a period; both in microseconds, neither 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) time: u64,
    pub(crate) period: u64,
}

impl Quota {
    /// Whole processors, rounded up: half a processor still needs one thread.
    pub(crate) fn cpus(self) -> u64 {
        self.time.div_ceil(self.period).max(1)
    }

    fn tighter(self, other: Option<Quota>) -> Quota {
        match other {
            // Cross-multiplied in 128 bits: no rounding, no overflow.
            Some(other)
                if u128::from(other.time) * u128::from(self.period)
                    < u128::from(self.time) * u128::from(other.period) =>
            {
                other
            }
            _ => self,
        }
    }
}

/// The tightest quota of this process, if any.
pub(crate) fn quota() -> Option<Quota> {
    let mut groups = [0u8; 4096];
    let length = read_small_file(c"/proc/self/cgroup", &mut groups)?;
    let groups = &groups[..length];
    let mut mounts = [0u8; 32 * 1024];
    let length = read_small_file(c"/proc/self/mountinfo", &mut mounts)?;
    let mounts = &mounts[..length];
    let mut found: Option<Quota> = None;
    for version in [Version::One, Version::Two] {
        let Some(group) = group_of(groups, version) else { continue };
        let Some(mount) = mount_of(mounts, version) else { continue };
        if let Some(quota) = quota_of_group(version, group, mount) {
            found = Some(quota.tighter(found));
        }
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// Where a hierarchy is mounted, and which of its groups is the root of that mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mount<'a> {
    pub(crate) root: &'a [u8],
    pub(crate) point: &'a [u8],
}

/// The path of our group in the hierarchy that has the `cpu` controller.
/// Lines are `id:controller,controller:/path`; version 2 is `0::/path`.
pub(crate) fn group_of(table: &[u8], version: Version) -> Option<&[u8]> {
    group_with(table, version, b"cpu")
}

/// The same of the hierarchy that has another controller.
pub(super) fn group_with<'a>(
    table: &'a [u8],
    version: Version,
    controller: &[u8],
) -> Option<&'a [u8]> {
    table.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match version {
            Version::One => has_word(controllers, controller),
            Version::Two => id == b"0" && controllers.is_empty(),
        };
        (ours && path.first() == Some(&b'/')).then_some(path)
    })
}

/// Lines are `id parent dev root point options ... - type source superoptions`.
pub(crate) fn mount_of(table: &[u8], version: Version) -> Option<Mount<'_>> {
    mount_with(table, version, b"cpu")
}

/// The same of the hierarchy that has another controller.
pub(super) fn mount_with<'a>(
    table: &'a [u8],
    version: Version,
    controller: &[u8],
) -> Option<Mount<'a>> {
    table.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let mount = Mount { root: fields.nth(3)?, point: fields.next()? };
        let mut tail = fields.skip_while(|&field| field != b"-").skip(1);
        let kind = tail.next()?;
        let options = tail.nth(1)?;
        let ours = match version {
            Version::One => kind == b"cgroup" && has_word(options, controller),
            Version::Two => kind == b"cgroup2",
        };
        ours.then_some(mount)
    })
}

fn has_word(list: &[u8], word: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|item| item == word)
}

/// `cpu.max`: "QUOTA PERIOD" or "max PERIOD".
pub(crate) fn parse_cpu_max(text: &[u8]) -> Option<Quota> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    make_quota(parse_number(words.next()?)?, parse_number(words.next()?)?)
}

fn make_quota(time: u64, period: u64) -> Option<Quota> {
    (time != 0 && period != 0).then_some(Quota { time, period })
}

/// A plain decimal number; "max", "-1" and garbage are None.
fn parse_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// Walks from our group up to the root of the mount.
fn quota_of_group(version: Version, group: &[u8], mount: Mount<'_>) -> Option<Quota> {
    let mut tightest: Option<Quota> = None;
    let mut here = below_mount(group, mount.root);
    loop {
        if let Some(quota) = quota_at(version, mount.point, here) {
            tightest = Some(quota.tighter(tightest));
        }
        match here.iter().rposition(|&byte| byte == b'/') {
            Some(cut) => here = &here[..cut],
            None => return tightest,
        }
    }
}

/// `group` as a path below the mount point: without the part that the mount's own root
/// covers; "" for the root itself, or where the two do not fit together (a container that
/// sees its host's name for the group): then the mount's root is our group.
pub(crate) fn below_mount<'a>(group: &'a [u8], root: &[u8]) -> &'a [u8] {
    let root = if root == b"/" { b"" } else { root };
    match group.strip_prefix(root) {
        Some(b"/") | None => b"",
        Some(rest) if rest.is_empty() || rest[0] == b'/' => rest,
        Some(_) => b"",
    }
}

fn quota_at(version: Version, point: &[u8], group: &[u8]) -> Option<Quota> {
    match version {
        Version::Two => parse_cpu_max(read(point, group, b"/cpu.max", &mut [0; 64])?),
        Version::One => {
            let time = parse_number(read(point, group, b"/cpu.cfs_quota_us", &mut [0; 64])?)?;
            let period = parse_number(read(point, group, b"/cpu.cfs_period_us", &mut [0; 64])?)?;
            make_quota(time, period)
        }
    }
}

fn read<'a>(point: &[u8], group: &[u8], file: &[u8], text: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut path = [0u8; 1024];
    let mut end = 0;
    for part in [point, group, file, b"\0"] {
        path.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    let path = CStr::from_bytes_with_nul(&path[..end]).ok()?;
    let length = read_small_file(path, text)?;
    Some(&text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GROUPS_V1: &[u8] = b"9:name=systemd:/\n4:memory:/box\n1:cpuacct,cpu:/box/inner\n0::/\n";
    const MOUNTS: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 /box /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        40 31 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn finds_our_group_and_its_mount() {
        assert_eq!(group_of(GROUPS_V1, Version::One), Some(&b"/box/inner"[..]));
        assert_eq!(group_of(GROUPS_V1, Version::Two), Some(&b"/"[..]));
        let mount = mount_of(MOUNTS, Version::One).expect("cpu hierarchy");
        assert_eq!((mount.root, mount.point), (&b"/box"[..], &b"/sys/fs/cgroup/cpu"[..]));
        assert_eq!(
            mount_of(MOUNTS, Version::Two).expect("unified").point,
            b"/sys/fs/cgroup/unified"
        );
    }

    #[test]
    fn path_below_the_mount() {
        assert_eq!(below_mount(b"/box/inner", b"/box"), b"/inner");
        assert_eq!(below_mount(b"/box", b"/box"), b"");
        assert_eq!(below_mount(b"/boxes", b"/box"), b"");
        assert_eq!(below_mount(b"/a/b", b"/"), b"/a/b");
        assert_eq!(below_mount(b"/", b"/"), b"");
        assert_eq!(below_mount(b"/host/name", b"/other"), b"");
    }

    #[test]
    fn quotas_round_up_and_nonsense_is_none() {
        assert_eq!(parse_cpu_max(b"150000 100000\n").expect("quota").cpus(), 2);
        assert_eq!(parse_cpu_max(b"50000 100000\n").expect("quota").cpus(), 1);
        assert_eq!(parse_cpu_max(b"200000 100000").expect("quota").cpus(), 2);
        for none in [
            "max 100000",
            "",
            "\n",
            "-1 100000",
            "0 100000",
            "5",
            "5 0",
            "5 x",
            "99999999999999999999 1",
        ] {
            assert_eq!(parse_cpu_max(none.as_bytes()), None, "{none:?}");
        }
        let (one, half) = (Quota { time: 2, period: 2 }, Quota { time: 1, period: 2 });
        assert_eq!(one.tighter(Some(half)), half);
        assert_eq!(half.tighter(Some(one)), half);
        assert_eq!(half.tighter(None), half);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for version in [Version::One, Version::Two] {
                if let Some(group) = group_of(&bytes, version) {
                    prop_assert!(group.starts_with(b"/"));
                }
                mount_of(&bytes, version);
            }
            if let Some(quota) = parse_cpu_max(&bytes) {
                prop_assert!(quota.cpus() >= 1);
            }
            let half = bytes.len() / 2;
            let rest = below_mount(&bytes[..half], &bytes[half..]);
            prop_assert!(rest.is_empty() || rest[0] == b'/');
        }
    }
}
