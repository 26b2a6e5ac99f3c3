//! Messages nobody asked for: the host's log function. Open to all rooms.
//!
//! Called outside of contained library code only (rule U2 of `unwind`), with no lock held.

use crate::error::Line;
use crate::future::buffer::BufferRef;
use crate::future::due::InUser;
use crate::platform::fork::PerProcess;
use crate::platform::memory;
use crate::shared::Shared;
use crate::sync::{Lock, global};
use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ptr::{self, NonNull};

pub(crate) type LogFn =
    unsafe extern "C-unwind" fn(level: i32, message: *const c_char, *mut c_void);

/// CFUT_LOG_*, as the header numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Level {
    Error = 1,
    Warning = 2,
}

/// The host's function. Its argument and the argument's free function are a buffer
/// without bytes, which is freed with the last message under way.
pub(crate) struct Sink {
    pub(crate) function: LogFn,
    pub(crate) argument: *mut c_void,
    pub(crate) keep: BufferRef,
}

// SAFETY: the header asks for a function and an argument that any thread may use.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

global! {
    static SINK: Lock<Option<Shared<Sink>>> = Lock::new(None);
}
static PER_PROCESS: PerProcess = PerProcess::new();

/// In a forked child the lock may be held by a thread that does not exist there.
fn follow_fork() {
    PER_PROCESS.follow(|| {
        // SAFETY: first use in this child: none of its threads holds the lock.
        unsafe { SINK.reset(None) };
    });
}

/// Sets or removes the host's function; the old one is given back to be dropped.
pub(crate) fn set(sink: Option<Shared<Sink>>) -> Option<Shared<Sink>> {
    follow_fork();
    std::mem::replace(&mut *SINK.lock(), sink)
}

/// A message that waits until the user may be called.
struct Posted(Level, Line);

/// Sends a message as soon as this thread, or whoever takes over what is due in it, may call the
/// user. For library code; without memory the message is lost.
#[cold]
pub(crate) fn post(level: Level, text: fmt::Arguments<'_>) {
    let Ok(posted) = memory::try_box(Posted(level, Line::of(text))) else { return };
    // A buffer without bytes: its free function is what becomes due.
    let due = BufferRef::wrap(ptr::null_mut(), 0, Some(send), posted.as_ptr().cast());
    if due.is_none() {
        // SAFETY: made just now, known to nobody.
        unsafe { memory::drop_box(posted) };
    }
}

unsafe extern "C-unwind" fn send(posted: *mut c_void) {
    let Some(posted) = NonNull::new(posted.cast::<Posted>()) else { return };
    // SAFETY: `post` handed it over, once.
    let Posted(level, line) = unsafe { posted.read() };
    // SAFETY: made by try_box; what was in it has been moved out, and needs no drop.
    unsafe { memory::drop_box(posted) };
    write(level, format_args!("{}", line.as_str()));
}

/// Sends a message. Not contained: calls the user.
#[cold]
pub(crate) fn write(level: Level, text: fmt::Arguments<'_>) {
    follow_fork();
    let Some(sink) = SINK.lock().clone() else { return };
    let line = Line::of(text);
    let mut message = [0u8; Line::CAPACITY + 1];
    message[..line.as_bytes().len()].copy_from_slice(line.as_bytes());
    let message = CStr::from_bytes_until_nul(&message).unwrap_or_default();
    let _user = InUser::enter();
    // SAFETY: the host's function with its argument, which `sink` keeps.
    unsafe { (sink.function)(level as i32, message.as_ptr(), sink.argument) };
    let _ = &sink.keep;
}
