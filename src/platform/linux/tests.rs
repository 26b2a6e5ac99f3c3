//! Tests of what processes share. Limits and filters are of a whole process, so those tests run
//! themselves once more in a child.

use super::area::Area;
use super::clock::Instant;
use super::fd::Fd;
use super::poll::{BATCH, Poller, WAKE};
use super::shm::{Shm, parse_available};
use super::socket::{MOST_FDS, Socket};
use crate::platform::Errno;
use std::process::Command;

// ---- memory ----

fn first_byte(shm: &Shm) -> *mut u8 {
    shm.address().as_ptr()
}

fn round_trip() {
    let made = Shm::create(c"cfutures-test", 10_000).expect("memory");
    // SAFETY: both mappings are 10,000 bytes long, and nobody else has them.
    unsafe {
        assert_eq!((made.size(), first_byte(&made).add(9_999).read()), (10_000, 0));
        first_byte(&made).add(9_999).write(7);
        let seen = Shm::adopt(made.fd().duplicate().expect("a descriptor")).expect("memory");
        assert_eq!((seen.size(), first_byte(&seen).add(9_999).read()), (10_000, 7));
    }
    let frozen = Shm::frozen(c"cfutures-test", b"words").expect("memory");
    let seen = Shm::adopt_read_only(frozen).expect("a mapping");
    // SAFETY: five bytes that nobody changes.
    assert_eq!(unsafe { std::slice::from_raw_parts(first_byte(&seen), seen.size()) }, b"words");
}

#[test]
fn memory_is_shared_and_keeps_its_size() {
    round_trip();
    let made = Shm::create(c"cfutures-test", 4096).expect("memory");
    for size in [0, 4095, 4097] {
        // SAFETY: our own descriptor.
        assert_eq!(unsafe { libc::ftruncate(made.fd().raw(), size) }, -1);
    }
    assert!(Shm::create(c"x", 0).is_err() && Shm::create(c"x", usize::MAX).is_err());
    // More than any machine has: an error, and not the end of the process.
    assert!(Shm::create(c"x", 1 << 50).is_err());
}

#[test]
fn what_the_machine_has_to_give() {
    let table = b"MemTotal:  5 kB\nMemFree: 1 kB\nMemAvailable:      4 kB\nBuffers: 9 kB\n";
    assert_eq!(parse_available(table), Some(4096));
    let wrong: [&[u8]; 5] =
        [b"", b"MemAvailable:", b"MemAvailable: 4", b"MemAvailable: 4 MB", b"MemAvailable: -1 kB"];
    for text in wrong {
        assert_eq!(parse_available(text), None);
    }
    assert_eq!(parse_available(b"MemAvailable: 18446744073709551615 kB"), None);
}

#[test]
fn memory_that_can_shrink_is_refused() {
    // SAFETY: makes a descriptor.
    let raw = unsafe { libc::memfd_create(c"x".as_ptr(), libc::MFD_ALLOW_SEALING) };
    // SAFETY: just made.
    let unsealed = unsafe { Fd::adopt(raw) };
    // SAFETY: our own descriptor.
    assert_eq!(unsafe { libc::ftruncate(raw, 4096) }, 0);
    assert_eq!(Shm::adopt(unsealed).err(), Some(Errno(libc::EPROTO)));
    let (end, _other) = Socket::pair().expect("sockets");
    assert_eq!(Shm::adopt(end.into_fd()).err(), Some(Errno(libc::EPROTO)));
}

#[test]
fn areas_change_hands() {
    let (made, fd) = Area::create(100).expect("memory");
    let seen = Area::adopt(fd, made.id()).expect("an area");
    assert!(made.size() == 100 && seen.size() == 100 && made.id() != 0);
    assert!(!made.is_free());
    seen.mark_free();
    assert!(made.is_free());
    made.reuse();
    assert!(!made.is_free() && !seen.is_dead());
    made.mark_dead();
    seen.mark_free();
    assert!(seen.is_dead() && !made.is_free());
}

// ---- sockets ----

fn nothing() -> [Option<Fd>; MOST_FDS] {
    [const { None }; MOST_FDS]
}

#[test]
fn messages_keep_their_borders_and_descriptors() {
    let (here, there) = Socket::pair().expect("sockets");
    assert!(here.is_genuine());
    // SAFETY: asks for numbers.
    let me = unsafe { (libc::getpid(), libc::getuid()) };
    assert_eq!(there.peer(), Some(me));
    let mut into = [0; 8];
    let mut fds = nothing();
    assert_eq!(there.receive(&mut into, &mut fds), Err(Errno(libc::EAGAIN)));
    let soon = Some(Instant::now().plus(1_000_000));
    assert_eq!(there.wait_readable(soon), Ok(false));

    let shm = Shm::create(c"cfutures-test", 4096).expect("memory");
    here.send(b"one", &[]).expect("sent");
    here.send(b"two", &[shm.fd(), here.fd(), shm.fd()]).expect("sent");
    assert_eq!(there.wait_readable(None), Ok(true));
    assert_eq!(there.receive(&mut into, &mut fds), Ok(Some(3)));
    assert!(&into[..3] == b"one" && fds.iter().all(Option::is_none));
    assert_eq!(there.receive(&mut into, &mut fds), Ok(Some(3)));
    assert!(&into[..3] == b"two" && fds.iter().flatten().count() == 3);
    for fd in fds.iter().flatten() {
        // SAFETY: our own descriptor.
        assert_eq!(unsafe { libc::fcntl(fd.raw(), libc::F_GETFD) }, libc::FD_CLOEXEC);
    }
    // A copy of `here` was among them; it would keep the socket open.
    fds = nothing();

    here.send(&[1; 9], &[shm.fd()]).expect("sent");
    assert_eq!(there.receive(&mut into, &mut fds), Err(Errno(libc::EPROTO)));
    assert!(fds.iter().all(Option::is_none));
    assert_eq!(here.send(b"", &[]), Err(Errno(libc::EINVAL)));
    let too_many = [shm.fd(); MOST_FDS + 1];
    assert_eq!(here.send(b"x", &too_many), Err(Errno(libc::EINVAL)));
    while here.send(b"x", &[]).is_ok() {}
    assert_eq!(here.send(b"x", &[]), Err(Errno(libc::EAGAIN)));

    drop(here);
    assert_eq!(there.send(b"x", &[]), Err(Errno(libc::EPIPE)));
    while there.receive(&mut into, &mut fds) == Ok(Some(1)) {}
    assert_eq!(there.receive(&mut into, &mut fds), Ok(None));
}

#[test]
fn more_descriptors_than_ours_send_are_closed() {
    let (here, there) = Socket::pair().expect("sockets");
    let sent = [here.fd().raw(); 6];
    let mut control = [0u64; 8];
    let mut part = libc::iovec { iov_base: (&raw mut control).cast(), iov_len: 1 };
    // SAFETY: a message as in the manual of cmsg(3), within `control`.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(24) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(24) as _;
        libc::CMSG_DATA(header).cast::<[i32; 6]>().write_unaligned(sent);
        assert_eq!(libc::sendmsg(here.fd().raw(), &message, 0), 1);
    }
    let mut fds = nothing();
    assert_eq!(there.receive(&mut [0; 8], &mut fds), Err(Errno(libc::EPROTO)));
    assert!(fds.iter().all(Option::is_none));
    // Were a copy of `here` left open, its end would not be seen.
    drop(here);
    assert_eq!(there.receive(&mut [0; 8], &mut fds), Ok(None));
}

#[test]
fn what_is_no_such_socket() {
    let poller = Poller::new().expect("a poller");
    let shm = Shm::create(c"cfutures-test", 10).expect("memory");
    // SAFETY: asked only what it is.
    let socket = unsafe { Socket::from_fd(shm.into_parts().1) };
    assert!(!socket.is_genuine() && socket.peer().is_none());
    // Nor can it be waited for.
    assert!(poller.add(socket.fd(), 1).is_err());
}

// ---- the poller ----

#[test]
fn poller_reports_messages_wakes_and_ends() {
    let poller = Poller::new().expect("a poller");
    let (here, there) = Socket::pair().expect("sockets");
    poller.add(there.fd(), 5).expect("added");
    let mut tokens = [0; BATCH];
    let soon = Instant::now().plus(2_000_000);
    assert_eq!(poller.wait(&mut tokens, Some(soon)), 0);
    assert!(Instant::now() >= soon);
    assert_eq!(poller.wait(&mut tokens, Some(Instant(0))), 0);

    poller.wake();
    poller.wake();
    assert_eq!((poller.wait(&mut tokens, None), tokens[0]), (1, WAKE));
    assert_eq!(poller.wait(&mut tokens, Some(Instant(0))), 0);
    here.send(b"x", &[]).expect("sent");
    for _ in 0..2 {
        assert_eq!((poller.wait(&mut tokens, None), tokens[0]), (1, 5));
    }
    there.receive(&mut [0; 8], &mut nothing()).expect("a message");
    assert_eq!(poller.wait(&mut tokens, Some(Instant(0))), 0);
    drop(here);
    assert_eq!((poller.wait(&mut tokens, None), tokens[0]), (1, 5));
    poller.remove(there.fd());
    poller.remove(there.fd());
    assert_eq!(poller.wait(&mut tokens, Some(Instant(0))), 0);
}

// ---- limits and filters ----

const VARIABLE: &str = "CFUT_TEST_IN_CHILD";

/// Runs `body` in a child: this test binary once more, with this test alone.
fn in_child(test: &str, body: fn()) {
    if std::env::var_os(VARIABLE).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("this program");
    let name = format!("platform::linux::tests::{test}");
    let mut child = Command::new(program);
    let output = child.args(["--exact", &name, "--nocapture"]).env(VARIABLE, "1").output();
    let output = output.expect("a child");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {text}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn limit(what: libc::__rlimit_resource_t, value: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit, and reads it.
    unsafe {
        assert_eq!(libc::getrlimit(what, &mut limit), 0);
        limit.rlim_cur = value;
        assert_eq!(libc::setrlimit(what, &limit), 0);
    }
}

/// A small limit on file sizes is an error; its signal would end the process.
#[test]
fn file_size_limit() {
    in_child("file_size_limit", || {
        limit(libc::RLIMIT_FSIZE, 8192);
        assert_eq!(Shm::create(c"x", 8193).err(), Some(Errno(libc::EFBIG)));
        assert_eq!(Area::create(8192).err(), Some(Errno(libc::EFBIG)));
        assert!(Shm::create(c"x", 8192).is_ok());
        assert!(Shm::frozen(c"x", &[1; 8192]).is_ok() && Shm::frozen(c"x", &[1; 8193]).is_err());
    });
}

/// Without descriptors everything says so, and keeps none.
#[test]
fn descriptor_limit() {
    in_child("descriptor_limit", || {
        const FIRST: u64 = 3;
        // Whatever the child has been given; it uses none of it.
        for raw in FIRST as i32..1024 {
            // SAFETY: nobody in this child uses these numbers.
            unsafe { libc::close(raw) };
        }
        let all = || -> Result<(), Errno> {
            let shm = Shm::create(c"x", 4096)?;
            let _copy = shm.fd().duplicate()?;
            let _ends = Socket::pair()?;
            let _poller = Poller::new()?;
            Ok(())
        };
        for more in 0..6 {
            limit(libc::RLIMIT_NOFILE, FIRST + more);
            assert_eq!(all(), Err(Errno(libc::EMFILE)), "{more} more");
        }
        limit(libc::RLIMIT_NOFILE, FIRST + 6);
        assert_eq!(all(), Ok(()));
    });
}

/// Makes the kernel answer this call with this error, from now on.
fn refuse(call: libc::c_long, errno: i32) {
    let step = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32, 0, 1),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
    // SAFETY: installs a well-formed filter for this thread.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

/// Without memfds, unnamed files do.
#[test]
fn no_memfd() {
    in_child("no_memfd", || {
        for errno in [libc::EPERM, libc::ENOSYS] {
            refuse(libc::SYS_memfd_create, errno);
            round_trip();
        }
    });
}

/// Without fallocate, writing provides the pages.
#[test]
fn no_fallocate() {
    in_child("no_fallocate", || {
        refuse(libc::SYS_fallocate, libc::EPERM);
        round_trip();
    });
}

/// Without nanoseconds, milliseconds do, and no wait ends before its time.
#[test]
fn no_epoll_pwait2() {
    in_child("no_epoll_pwait2", || {
        refuse(libc::SYS_epoll_pwait2, libc::ENOSYS);
        let poller = Poller::new().expect("a poller");
        for _ in 0..2 {
            let soon = Instant::now().plus(1_500_000);
            assert_eq!(poller.wait(&mut [0; BATCH], Some(soon)), 0);
            assert!(Instant::now() >= soon);
        }
    });
}
