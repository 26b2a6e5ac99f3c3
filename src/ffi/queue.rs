//! Section 8 of the header, second half: completion queues.

use super::guard;
use super::handle;
use super::status;
use super::types::{cfut_future, cfut_queue, cfut_status};
use crate::error::{Error, Result, fail};
use crate::future::cell::TaskRef;
use crate::future::due;
use crate::future::queue::{self, Next, Queue, QueueRef};
use crate::future::wait::Blocking;
use crate::platform::clock::Instant;
use crate::sync::Timeout;
use crate::unwind::contain;
use std::ffi::c_int;

/// Makes a completion queue: futures come out in the order they settle, each with the tag it was
/// added with. It is what an as-completed loop uses, and the bridge to event loops: no callback
/// runs in a foreign thread.
///
/// The order in full: whoever has seen a future settled finds it in the queue, and all that is
/// settled afterwards comes out behind it. Of futures that two threads settle at the same time
/// either comes first, also if one of them is seen settled a moment before the other.
///
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_queue_new(out: *mut *mut cfut_queue) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe { handle::output(out, "out") }?;
        out.write(handle::give_queue(Queue::new()?));
        Ok(status::OK)
    })
}

/// Another handle of a queue.
///
/// @param queue borrowed; NULL gives NULL.
/// @return `queue`, owned once more.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_queue_retain(queue: *mut cfut_queue) -> *mut cfut_queue {
    guard::value(queue, || {
        // SAFETY: the contract of `ffi`.
        if let Ok(live) = unsafe { handle::borrow_queue(queue) } {
            live.add_handle();
            handle::give_queue((*live).clone());
        }
        Ok(queue)
    })
}

/// Gives a handle back. With the last one the queue is gone: entries that wait in it, and
/// those that would still come, release their futures.
///
/// @param queue moved; NULL does nothing.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_queue_release(queue: *mut cfut_queue) {
    guard::value_then_calls((), || {
        // SAFETY: the contract of `ffi`.
        if let Some(queue) = unsafe { handle::take_queue(queue) } {
            queue.drop_handle();
        }
        Ok(())
    });
}

/// Has a future come out of the queue once it is settled; at once if it is. A future may be
/// added several times, and to several queues.
///
/// @param queue borrowed.
/// @param future retained until it comes out.
/// @param tag comes out with it: an index, say, or an address.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_queue_add(
    queue: *mut cfut_queue,
    future: *mut cfut_future,
    tag: u64,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (queue, future) =
            unsafe { (handle::borrow_queue(queue)?, handle::borrow_future_ref(future)?) };
        queue::add(&queue, &future, tag)?;
        Ok(status::OK)
    })
}

/// Takes the next settled future out of the queue.
///
/// @param queue borrowed.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
/// @param future NULL, or gets the future, owned; written on CFUT_OK only.
/// @param tag NULL, or gets its tag; written on CFUT_OK only.
/// @return CFUT_OK; CFUT_TIMEOUT; CFUT_END: nothing is outstanding; CFUT_EINVAL: NULL queue;
/// CFUT_EDEADLK: every thread the executor can have waits; CFUT_EFORKED.
/// Thread: any, several at once. Blocks: up to `timeout_ns`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_queue_next(
    queue: *mut cfut_queue,
    timeout_ns: i64,
    future: *mut *mut cfut_future,
    tag: *mut u64,
) -> cfut_status {
    let mut found: Option<(TaskRef, u64)> = None;
    let mut kept = None;
    let begun = guard::status(|| {
        // SAFETY: the contract of `ffi`. Kept, for another thread may release the handle.
        let queue = kept.insert((*unsafe { handle::borrow_queue(queue) }?).clone());
        match queue.next()? {
            Next::Entry(cell, tag) => {
                found = Some((cell, tag));
                Ok(status::OK)
            }
            Next::End => Ok(status::END),
            Next::Empty(_) => Ok(status::TIMEOUT),
        }
    });
    let mut status = begun;
    if let Some(queue) = kept.as_ref().filter(|_| begun == status::TIMEOUT && timeout_ns != 0) {
        status = wait_for_entry(queue, Timeout::from_ns(timeout_ns), &mut found);
    }
    let given = guard::status_then_calls(|| {
        drop(kept);
        if let Some((cell, number)) = found {
            // SAFETY: the contract of `ffi`.
            unsafe {
                if let Some(tag) = handle::optional_output(tag) {
                    tag.write(number);
                }
                if let Some(future) = handle::optional_output(future) {
                    future.write(handle::give_future(cell));
                }
            }
        }
        Ok(status)
    });
    if given < 0 { given } else { status }
}

/// Not contained: may run callbacks that are due.
fn wait_for_entry(
    queue: &QueueRef,
    timeout: Timeout,
    found: &mut Option<(TaskRef, u64)>,
) -> cfut_status {
    loop {
        if due::pending_nested() {
            due::run_all();
        }
        match contain(|| entry_step(queue, timeout, found)) {
            Ok(Ok(Some(status))) => return status,
            Ok(Ok(None)) => {}
            Ok(Err(Error(kind))) => return status::of_error(kind),
            Err(panic) => return guard::defect(panic),
        }
    }
}

fn entry_step(
    queue: &QueueRef,
    timeout: Timeout,
    found: &mut Option<(TaskRef, u64)>,
) -> Result<Option<cfut_status>> {
    let seen = match queue.next()? {
        Next::Entry(cell, tag) => {
            *found = Some((cell, tag));
            return Ok(Some(status::OK));
        }
        Next::End => return Ok(Some(status::END)),
        Next::Empty(seen) => seen,
    };
    let deadline = timeout.deadline();
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Ok(Some(status::TIMEOUT));
    }
    let Some(_blocking) = Blocking::begin(None, timeout == Timeout::Forever) else {
        return fail!(Deadlock, "every thread of the executor waits, and its queue needs one");
    };
    queue.sleep(seen, deadline);
    Ok(None)
}

/// The descriptor for event loops: readable while at least one entry waits (level-triggered).
/// Only poll it; never read from it or close it. When it is readable, call cfut_queue_next()
/// with CFUT_NOW until it answers CFUT_TIMEOUT or CFUT_END. A runtime whose wrapper has to read
/// (Node's net.Socket) may throw away what it reads if it does the same.
///
/// @param queue borrowed.
/// @param fd borrowed, valid until the last release of the queue; a pipe, close-on-exec. Written
/// on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ESYS: no descriptor left; CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_queue_fd(
    queue: *mut cfut_queue,
    fd: *mut c_int,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (queue, fd) = unsafe { (handle::borrow_queue(queue)?, handle::output(fd, "fd")?) };
        fd.write(queue.descriptor()?);
        Ok(status::OK)
    })
}
