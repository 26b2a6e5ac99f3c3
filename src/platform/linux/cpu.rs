//! How many processors this process may use, and a hint to them.

use super::cgroup;

/// What the scheduler and the administrator allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// Processors in the affinity mask of the calling thread; at least 1.
    pub(crate) affinity: u32,
    /// The same, cut by a control group's quota (rounded up); at least 1.
    pub(crate) usable: u32,
}

/// Reads the current answer; it can change while the process runs.
pub(crate) fn cpus() -> Cpus {
    if cfg!(loom) {
        return Cpus { affinity: 2, usable: 2 }; // models must not depend on the machine
    }
    let affinity = affinity();
    let quota = cgroup::quota().map_or(u64::MAX, cgroup::Quota::cpus);
    Cpus { affinity, usable: quota.min(u64::from(affinity)).max(1) as u32 }
}

/// The line of this address will be written to soon: has it brought here, and taken away from other
/// processors, in one go. A hint; any address is allowed.
#[inline(always)]
pub(crate) fn prefetch_to_write<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: changes nothing, whatever the address; processors that do not know it take it for
    // no operation.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address.addr(), options(nomem, nostack, preserves_flags));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: changes nothing, whatever the address.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) address.addr(), options(nomem, nostack, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = address;
}

/// The kernel wants a mask at least as large as its own; no fixed size is always enough.
fn affinity() -> u32 {
    const LARGEST: usize = 16 * 1024;
    let mut mask = [0u64; LARGEST / 64];
    // SAFETY: writes at most the size of `mask` into it; returns the bytes written.
    let bytes = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr())
    };
    if bytes > 0 {
        return mask.iter().map(|word| word.count_ones()).sum::<u32>().max(1);
    }
    // SAFETY: no pointers.
    let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(online).unwrap_or(1).max(1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    #[test]
    fn agrees_with_the_standard_library() {
        let ours = super::cpus();
        let theirs = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        // std rounds a quota down, we round it up.
        assert!(ours.usable >= theirs && ours.usable <= theirs + 1, "{ours:?}, std says {theirs}");
        assert!(ours.usable <= ours.affinity);
    }
}
