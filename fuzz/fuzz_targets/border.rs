//! Any order of calls on promises, futures, queues and builders that a program may make in one
//! thread. Checked: no call finds a defect, every future settles once and keeps its outcome, each
//! callback runs once, and what was moved into the library is freed once.
#![no_main]

use cfutures::ffi::*;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

const OK: i32 = 0;
const TIMEOUT: i32 = 1;
const END: i32 = 8;
const EPANIC: i32 = -10;

thread_local! {
    static MOVED: Cell<u64> = const { Cell::new(0) };
    static FREED: Cell<u64> = const { Cell::new(0) };
    static HOOKED: Cell<u64> = const { Cell::new(0) };
    static CALLED: Cell<u64> = const { Cell::new(0) };
}

fn add(counter: &'static std::thread::LocalKey<Cell<u64>>) {
    counter.set(counter.get() + 1);
}

unsafe extern "C-unwind" fn free(argument: *mut c_void) {
    // SAFETY: made by `moved`, freed once or the sanitizer says so.
    drop(unsafe { Box::from_raw(argument.cast::<u64>()) });
    add(&FREED);
}

fn moved() -> *mut c_void {
    add(&MOVED);
    Box::into_raw(Box::new(MOVED.get())).cast()
}

unsafe extern "C-unwind" fn callback(future: *mut cfut_future, argument: *mut c_void) {
    // SAFETY: alive during the call; the argument is not freed yet.
    unsafe {
        assert!(cfut_future_state(future) >= 2);
        assert!(*argument.cast::<u64>() > 0);
    }
    add(&CALLED);
}

unsafe extern "C-unwind" fn then(
    promise: *mut cfut_promise,
    input: *mut cfut_future,
    argument: *mut c_void,
) -> i32 {
    // SAFETY: as above.
    unsafe {
        assert!(cfut_future_state(input) >= 2);
        match *argument.cast::<u64>() % 4 {
            0 => 0,
            1 => cfut_promise_set_bytes(promise, argument, 8),
            2 => cfut_promise_set_value(promise, moved(), Some(free)),
            _ => 7,
        }
    }
}

#[derive(Default)]
struct World {
    promises: Vec<*mut cfut_promise>,
    futures: Vec<*mut cfut_future>,
    queues: Vec<*mut cfut_queue>,
    buffers: Vec<*mut cfut_buffer>,
}

fn pick<T: Copy>(list: &[T], number: u8) -> Option<T> {
    list.get(usize::from(number) % list.len().max(1)).copied()
}

fn take<T>(list: &mut Vec<T>, number: u8) -> Option<T> {
    if list.is_empty() { None } else { Some(list.swap_remove(usize::from(number) % list.len())) }
}

/// No answer of a call may be a defect of the library.
fn sound(status: i32) -> i32 {
    assert_ne!(status, EPANIC);
    status
}

impl World {
    /// SAFETY of all calls: handles are in the lists while they are owned, and only then.
    unsafe fn step(&mut self, what: u8, which: u8, how: u8) {
        unsafe {
            match what % 24 {
                0 => self.make_promise(),
                1 => self.with_promise(which, |promise| {
                    let bytes = [how; 40];
                    sound(cfut_promise_set_bytes(
                        promise,
                        bytes.as_ptr().cast(),
                        usize::from(how % 40),
                    ));
                }),
                2 => self.with_promise(which, |promise| {
                    sound(cfut_promise_set_value(promise, moved(), Some(free)));
                }),
                3 => self.with_promise(which, |promise| {
                    sound(cfut_promise_fail(promise, i32::from(how), c"because".as_ptr()));
                }),
                4 => self.with_promise(which, |promise| {
                    let value = moved();
                    sound(cfut_promise_fail_value(promise, 3, ptr::null(), value, Some(free)));
                }),
                5 => self.with_promise(which, |promise| {
                    sound(cfut_promise_set_cancelled(promise));
                }),
                6 => self.with_promise(which, |promise| {
                    sound(cfut_promise_start(promise));
                }),
                7 => self.with_promise(which, |promise| {
                    sound(cfut_promise_set_progress(promise, u64::from(how), 9));
                    cfut_promise_stop_requested(promise);
                }),
                8 => {
                    if let Some(promise) = pick(&self.promises, which) {
                        self.promises.push(cfut_promise_retain(promise));
                    }
                }
                9 => {
                    if let Some(promise) = take(&mut self.promises, which) {
                        cfut_promise_release(promise);
                    }
                }
                10 => {
                    if let Some(future) = pick(&self.futures, which) {
                        self.futures.push(cfut_future_retain(future));
                    }
                }
                11 => {
                    if let Some(future) = take(&mut self.futures, which) {
                        cfut_future_release(future);
                    }
                }
                12 => self.with_future(which, |future| look(future)),
                13 => self.with_future(which, |future| {
                    sound(cfut_future_cancel(future, u32::from(how % 4)));
                }),
                14 => self.with_future(which, |future| {
                    let value = cfut_future_take(future);
                    if !value.is_null() {
                        free(value);
                    }
                    assert!(cfut_future_take(future).is_null());
                }),
                15 => self.with_future(which, |future| {
                    let status = cfut_future_on_done(
                        future,
                        ptr::null_mut(),
                        Some(callback),
                        moved(),
                        Some(free),
                    );
                    assert_eq!(status, OK);
                    add(&HOOKED);
                }),
                16 => {
                    let Some(future) = pick(&self.futures, which) else { return };
                    let mut made = ptr::null_mut();
                    let argument = moved();
                    let status = cfut_future_then(
                        future,
                        ptr::null_mut(),
                        Some(then),
                        argument,
                        Some(free),
                        &mut made,
                    );
                    assert_eq!(status, OK);
                    self.futures.push(made);
                }
                17 => self.join(which, how),
                18 => {
                    let mut queue = ptr::null_mut();
                    assert_eq!(cfut_queue_new(&mut queue), OK);
                    self.queues.push(queue);
                }
                19 => {
                    if let (Some(queue), Some(future)) =
                        (pick(&self.queues, how), pick(&self.futures, which))
                    {
                        assert_eq!(cfut_queue_add(queue, future, u64::from(which)), OK);
                    }
                }
                20 => self.next(which),
                21 => {
                    if let Some(queue) = take(&mut self.queues, which) {
                        cfut_queue_release(queue);
                    }
                }
                22 => self.buffer(which, how),
                _ => builders(which, how),
            }
        }
    }

    unsafe fn make_promise(&mut self) {
        let (mut promise, mut future) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: places for both.
        assert_eq!(unsafe { cfut_promise_new(&mut promise, &mut future) }, OK);
        self.promises.push(promise);
        self.futures.push(future);
    }

    fn with_promise(&self, which: u8, call: impl FnOnce(*mut cfut_promise)) {
        if let Some(promise) = pick(&self.promises, which) {
            call(promise);
        }
    }

    fn with_future(&self, which: u8, call: impl FnOnce(*mut cfut_future)) {
        if let Some(future) = pick(&self.futures, which) {
            call(future);
        }
    }

    unsafe fn join(&mut self, which: u8, how: u8) {
        let count = usize::from(which % 5).min(self.futures.len());
        let mut made = ptr::null_mut();
        // SAFETY: `count` live handles.
        let status = unsafe {
            let status = cfut_join(self.futures.as_ptr(), count, i32::from(how % 5), &mut made);
            let (mut done, mut settled) = ([9u8; 5], 9);
            let mode = i32::from(how % 3);
            let waited = cfut_wait_many(
                self.futures.as_ptr(),
                count,
                mode,
                0,
                done.as_mut_ptr(),
                &mut settled,
            );
            assert!(sound(waited) >= 0);
            assert_eq!(done[..count].iter().filter(|&&one| one == 1).count(), settled);
            assert!(done[count..].iter().all(|&one| one == 9));
            status
        };
        if sound(status) == OK {
            self.futures.push(made);
        }
    }

    unsafe fn next(&mut self, which: u8) {
        let Some(queue) = pick(&self.queues, which) else { return };
        let (mut future, mut tag) = (ptr::null_mut(), 0);
        // SAFETY: a live queue and places.
        match unsafe { cfut_queue_next(queue, 0, &mut future, &mut tag) } {
            OK => {
                // SAFETY: the queue gave it to us.
                assert!(unsafe { cfut_future_state(future) } >= 2 && tag < 256);
                self.futures.push(future);
            }
            status => assert!(status == TIMEOUT || status == END, "{status}"),
        }
    }

    unsafe fn buffer(&mut self, which: u8, how: u8) {
        // SAFETY: as in `step`.
        unsafe {
            match how % 4 {
                0 => {
                    let mut buffer = ptr::null_mut();
                    assert_eq!(cfut_buffer_new(usize::from(which), 0, &mut buffer), OK);
                    self.buffers.push(buffer);
                }
                1 => {
                    let mut buffer = ptr::null_mut();
                    let data = moved();
                    assert_eq!(cfut_buffer_wrap(data, 8, Some(free), data, &mut buffer), OK);
                    self.buffers.push(buffer);
                }
                2 => {
                    if let Some(buffer) = take(&mut self.buffers, which) {
                        cfut_buffer_release(buffer);
                    }
                }
                _ => {
                    if let (Some(buffer), Some(promise)) =
                        (pick(&self.buffers, which), pick(&self.promises, which))
                    {
                        sound(cfut_promise_set_buffer(promise, buffer));
                    }
                }
            }
        }
    }

    /// All handles go; then nothing may be left.
    unsafe fn end(mut self) {
        // SAFETY: as in `step`.
        unsafe {
            self.promises.drain(..).for_each(|promise| cfut_promise_release(promise));
            for &future in &self.futures {
                assert!(cfut_future_state(future) >= 2, "unsettled without a promise");
                look(future);
            }
            self.futures.drain(..).for_each(|future| cfut_future_release(future));
            self.queues.drain(..).for_each(|queue| cfut_queue_release(queue));
            self.buffers.drain(..).for_each(|buffer| cfut_buffer_release(buffer));
        }
        assert_eq!(CALLED.get(), HOOKED.get(), "callbacks");
        assert_eq!(FREED.get(), MOVED.get(), "free functions");
    }
}

/// The getters agree with the outcome.
unsafe fn look(future: *mut cfut_future) {
    let (mut length, mut done, mut total) = (99, 0, 0);
    // SAFETY: a live handle.
    unsafe {
        let status = sound(cfut_future_wait(future, 0));
        let settled = cfut_future_state(future) >= 2;
        assert_eq!(settled, status != TIMEOUT);
        let bytes = cfut_future_bytes(future, &mut length);
        assert!(settled || bytes.is_null() && length == 0);
        if length > 0 {
            let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), length);
            std::hint::black_box(bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        }
        assert!(settled || cfut_future_value(future).is_null());
        assert!(settled || cfut_future_buffer(future).is_null());
        assert_eq!(status == 4, cfut_future_code(future) != 0);
        let message = std::ffi::CStr::from_ptr(cfut_future_message(future));
        assert!(settled || message.is_empty());
        assert_eq!(cfut_future_progress(future, &mut done, &mut total), OK);
        for key in 0..11 {
            let mut value = -1;
            let status = sound(cfut_future_info(future, key, &mut value));
            assert!(status != OK || value >= 0);
        }
    }
}

/// Any key and value is taken or refused.
unsafe fn builders(which: u8, how: u8) {
    let values = [i64::MIN, -21, -1, 0, 1, 2, 19, 65536, 1 << 41, i64::MAX, i64::from(how)];
    let value = values[usize::from(how) % values.len()];
    // SAFETY: builders of this function.
    unsafe {
        let options = cfut_options_new();
        sound(cfut_options_set(options, i32::from(which) - 4, value));
        sound(cfut_options_set_text(options, i32::from(which), c"a name \xff".as_ptr()));
        let mut pool = ptr::null_mut();
        if sound(cfut_thread_pool_new(options, &mut pool)) == OK {
            let (mut figure, mut length) = (0, 0);
            let mut text = [1u8; 64];
            sound(cfut_executor_stat(pool, i32::from(how), &mut figure));
            let cap = usize::from(how % 64);
            let status = cfut_executor_snapshot(pool, text.as_mut_ptr().cast(), cap, &mut length);
            assert_eq!(status, OK);
            assert!(cap == 0 || text[length.min(cap - 1)] == 0);
            assert!(text[cap..].iter().all(|&byte| byte == 1), "beyond the end");
            cfut_executor_release(pool);
        }
        cfut_options_free(options);
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for counter in [&MOVED, &FREED, &HOOKED, &CALLED] {
        counter.set(0);
    }
    let mut world = World::default();
    for call in bytes.chunks_exact(3).take(400) {
        // SAFETY: see `step`.
        unsafe { world.step(call[0], call[1], call[2]) };
    }
    // SAFETY: as above.
    unsafe { world.end() };
});
