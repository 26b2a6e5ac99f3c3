//! Pointers of the caller to references and back. The only file that does this.
//!
//! The ownership is in the function: `borrow_*` looks, `give_*` hands a counted reference
//! out, `take_*` takes one back.

use super::types::{
    cfut_buffer, cfut_executor, cfut_future, cfut_map, cfut_options, cfut_promise, cfut_queue,
    cfut_task,
};
use crate::checks;
use crate::error::{Result, fail};
use crate::executor::Executor;
use crate::future::buffer::{Buffer, BufferRef};
use crate::future::cell::{self, TaskCell, TaskRef};
use crate::future::owner::{Owner, OwnerRef};
use crate::future::queue::{Queue, QueueRef};
use crate::future::state::Outcome;
use crate::map::Map;
use crate::platform::memory;
use crate::shared::Shared;
use std::ffi::{CStr, c_char, c_void};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A reference that is the caller's: used, not dropped.
pub(super) type Borrowed<T> = ManuallyDrop<T>;

fn not_null<T>(pointer: *const T, what: &str) -> Result<NonNull<T>> {
    match NonNull::new(pointer.cast_mut()) {
        Some(pointer) => Ok(pointer),
        None => fail!(Invalid, "{what} is NULL"),
    }
}

// ---- futures and promises: the same cell ----

/// # Safety
/// NULL or a live handle, for `'a`.
#[inline(always)]
pub(super) unsafe fn borrow_future<'a>(future: *const cfut_future) -> Result<&'a TaskCell> {
    let cell = not_null(future.cast::<TaskCell>(), "the future")?;
    // SAFETY: by the contract.
    Ok(unsafe { alive(cell) })
}

/// A future about whose end somebody asks.
///
/// # Safety
/// As `borrow_future`.
pub(super) unsafe fn borrow_seen<'a>(future: *const cfut_future) -> Result<&'a TaskCell> {
    // SAFETY: by the contract.
    let cell = unsafe { borrow_future(future) }?;
    cell.note_seen();
    Ok(cell)
}

/// Whether a future has settled as a success; false for NULL.
///
/// # Safety
/// NULL or a live handle.
#[inline(always)]
pub(super) unsafe fn succeeded(future: *const cfut_future) -> bool {
    // SAFETY: by the contract.
    match unsafe { future.cast::<TaskCell>().as_ref() } {
        Some(cell) => {
            let seen = cell.snapshot();
            seen.is_settled() && seen.outcome() == Outcome::Succeeded
        }
        None => false,
    }
}

/// # Safety
/// NULL or a live handle, for as long as the answer is used.
pub(super) unsafe fn borrow_future_ref(future: *mut cfut_future) -> Result<Borrowed<TaskRef>> {
    let cell = not_null(future.cast::<TaskCell>(), "the future")?;
    // SAFETY: by the contract; the count stays the caller's.
    Ok(unsafe {
        alive(cell);
        Borrowed::new(TaskRef::from_raw(cell))
    })
}

/// # Safety
/// NULL or a live handle, for as long as the answer is used.
pub(super) unsafe fn borrow_promise(promise: *const cfut_promise) -> Result<Borrowed<TaskRef>> {
    let cell = not_null(promise.cast::<TaskCell>(), "the promise")?;
    // SAFETY: by the contract; the count stays the caller's.
    Ok(unsafe {
        alive(cell);
        Borrowed::new(TaskRef::from_raw(cell))
    })
}

/// # Safety
/// A handle that is alive, or was.
#[inline(always)]
unsafe fn alive<'a>(cell: NonNull<TaskCell>) -> &'a TaskCell {
    // SAFETY: by the contract. A cell that was released is looked at in memory that the
    // arena still has, to say so.
    let this = unsafe { cell.as_ref() };
    if this.state.is_dead() && checks::wanted() {
        crate::unwind::die("CFUT_CHECK: a future or promise is used after its last release");
    }
    this
}

#[inline(always)]
pub(super) fn give_future(future: TaskRef) -> *mut cfut_future {
    let handle = future.into_raw().as_ptr().cast();
    checks::given("future", handle);
    handle
}

pub(super) fn give_promise(promise: TaskRef) -> *mut cfut_promise {
    let handle = promise.into_raw().as_ptr().cast();
    checks::given("promise", handle);
    handle
}

/// # Safety
/// NULL or a handle that is the caller's, and no longer.
#[inline(always)]
pub(super) unsafe fn take_future(future: *mut cfut_future) -> Option<TaskRef> {
    checks::taken("future", future);
    // SAFETY: by the contract the count becomes ours.
    NonNull::new(future.cast()).map(|cell| unsafe { TaskRef::from_raw(cell) })
}

/// Takes and drops the last handle of a future with nothing to free but itself. False:
/// nothing was done.
///
/// # Safety
/// As `take_future`.
#[inline(always)]
pub(super) unsafe fn release_plain(future: *mut cfut_future) -> bool {
    // SAFETY: by the contract. Where handles are noted (`checks`), no thread has the magazines
    // that this needs.
    NonNull::new(future.cast()).is_some_and(|cell| unsafe { cell::release_plain(cell) })
}

/// # Safety
/// As `take_future`.
pub(super) unsafe fn take_promise(promise: *mut cfut_promise) -> Option<TaskRef> {
    checks::taken("promise", promise);
    // SAFETY: by the contract the count becomes ours.
    NonNull::new(promise.cast()).map(|cell| unsafe { TaskRef::from_raw(cell) })
}

// ---- executors ----

/// # Safety
/// NULL or a live handle, for `'a`.
#[inline(always)]
pub(super) unsafe fn borrow_executor<'a>(executor: *mut cfut_executor) -> Result<Executor<'a>> {
    let owner = not_null(executor.cast::<Owner>(), "the executor")?;
    // SAFETY: by the contract.
    Ok(unsafe { Executor::from_ptr(owner) })
}

/// NULL is allowed: None.
///
/// # Safety
/// As `borrow_executor`.
pub(super) unsafe fn borrow_optional_executor<'a>(
    executor: *mut cfut_executor,
) -> Option<Executor<'a>> {
    // SAFETY: by the contract.
    NonNull::new(executor.cast::<Owner>()).map(|owner| unsafe { Executor::from_ptr(owner) })
}

/// The handle that a new executor comes with.
pub(super) fn give_executor(executor: OwnerRef) -> *mut cfut_executor {
    let handle = executor.into_raw().as_ptr().cast();
    checks::given("executor", handle);
    handle
}

/// One more handle of an executor.
pub(super) fn give_executor_again(executor: *mut cfut_executor) {
    checks::given("executor", executor);
}

/// # Safety
/// NULL or a handle that is the caller's, and no longer.
pub(super) unsafe fn take_executor<'a>(executor: *mut cfut_executor) -> Option<Executor<'a>> {
    checks::taken("executor", executor);
    // SAFETY: by the contract.
    unsafe { borrow_optional_executor(executor) }
}

// ---- queues ----

/// # Safety
/// NULL or a live handle, for as long as the answer is used.
pub(super) unsafe fn borrow_queue(queue: *mut cfut_queue) -> Result<Borrowed<QueueRef>> {
    let queue = not_null(queue.cast::<Queue>(), "the queue")?;
    // SAFETY: by the contract; the count stays the caller's.
    Ok(Borrowed::new(unsafe { Shared::from_raw(queue.as_ptr()) }))
}

/// The handles of a queue hold one reference each.
pub(super) fn give_queue(queue: QueueRef) -> *mut cfut_queue {
    let handle = queue.into_raw().cast_mut().cast();
    checks::given("queue", handle);
    handle
}

/// # Safety
/// NULL or a handle that is the caller's, and no longer.
pub(super) unsafe fn take_queue(queue: *mut cfut_queue) -> Option<QueueRef> {
    checks::taken("queue", queue);
    let queue = NonNull::new(queue.cast::<Queue>())?;
    // SAFETY: by the contract the count becomes ours.
    Some(unsafe { Shared::from_raw(queue.as_ptr()) })
}

// ---- maps ----

/// # Safety
/// NULL or a live handle, for as long as the answer is used.
pub(super) unsafe fn borrow_map(map: *mut cfut_map) -> Result<NonNull<Map>> {
    not_null(map.cast::<Map>(), "the map")
}

pub(super) fn give_map(map: NonNull<Map>) -> *mut cfut_map {
    let handle = map.as_ptr().cast();
    checks::given("map", handle);
    handle
}

/// # Safety
/// NULL or a handle that is the caller's, and no longer.
pub(super) unsafe fn take_map(map: *mut cfut_map) -> Option<NonNull<Map>> {
    checks::taken("map", map);
    NonNull::new(map.cast())
}

// ---- buffers ----

/// # Safety
/// NULL or a live handle, for as long as the answer is used.
pub(super) unsafe fn borrow_buffer(buffer: *const cfut_buffer) -> Result<Borrowed<BufferRef>> {
    let buffer = not_null(buffer.cast::<Buffer>(), "the buffer")?;
    // SAFETY: by the contract; the count stays the caller's.
    Ok(Borrowed::new(unsafe { BufferRef::from_raw(buffer) }))
}

pub(super) fn give_buffer(buffer: BufferRef) -> *mut cfut_buffer {
    let handle = buffer.into_raw().as_ptr().cast();
    checks::given("buffer", handle);
    handle
}

/// # Safety
/// NULL or a handle that is the caller's, and no longer.
pub(super) unsafe fn take_buffer(buffer: *mut cfut_buffer) -> Option<BufferRef> {
    checks::taken("buffer", buffer);
    // SAFETY: by the contract the count becomes ours.
    NonNull::new(buffer.cast()).map(|buffer| unsafe { BufferRef::from_raw(buffer) })
}

// ---- builders ----

/// What a builder's handle points at.
pub(super) trait Builder: Sized {
    type Handle;
    const NAME: &'static str;
}

impl Builder for super::options::Options {
    type Handle = cfut_options;
    const NAME: &'static str = "options";
}

impl Builder for super::task::Task {
    type Handle = cfut_task;
    const NAME: &'static str = "task";
}

/// None when there is no memory.
pub(super) fn give_builder<T: Builder>(builder: T) -> Option<*mut T::Handle> {
    let handle = memory::try_box(builder).ok()?.as_ptr().cast();
    checks::given(T::NAME, handle);
    Some(handle)
}

/// # Safety
/// NULL or a live handle, for `'a`.
pub(super) unsafe fn borrow_builder<'a, T: Builder>(builder: *const T::Handle) -> Result<&'a T> {
    match NonNull::new(builder.cast_mut().cast::<T>()) {
        // SAFETY: by the contract.
        Some(builder) => Ok(unsafe { builder.as_ref() }),
        None => fail!(Invalid, "the {} is NULL", T::NAME),
    }
}

/// # Safety
/// NULL or a live handle that only this thread uses, for `'a`.
pub(super) unsafe fn change_builder<'a, T: Builder>(builder: *mut T::Handle) -> Result<&'a mut T> {
    match NonNull::new(builder.cast::<T>()) {
        // SAFETY: by the contract.
        Some(mut builder) => Ok(unsafe { builder.as_mut() }),
        None => fail!(Invalid, "the {} is NULL", T::NAME),
    }
}

/// # Safety
/// NULL or a handle that is the caller's, and no longer.
pub(super) unsafe fn drop_builder<T: Builder>(builder: *mut T::Handle) {
    checks::taken(T::NAME, builder);
    if let Some(builder) = NonNull::new(builder.cast::<T>()) {
        // SAFETY: made by `give_builder`; by the contract used no more.
        unsafe { memory::drop_box(builder) };
    }
}

// ---- plain memory ----

/// `len` bytes; NULL is allowed for none.
///
/// # Safety
/// `data` is NULL or points at `len` bytes that do not change, for `'a`.
#[inline(always)]
pub(super) unsafe fn borrow_bytes<'a>(data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return fail!(Invalid, "data is NULL, but len is {len}");
    }
    if len > isize::MAX as usize {
        return fail!(Invalid, "len is {len}, more than any object can have");
    }
    // SAFETY: by the contract.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// A NUL-terminated text.
///
/// # Safety
/// `text` is NULL or NUL-terminated and does not change, for `'a`.
pub(super) unsafe fn borrow_text<'a>(text: *const c_char, what: &str) -> Result<&'a [u8]> {
    if text.is_null() {
        return fail!(Invalid, "{what} is NULL");
    }
    // SAFETY: by the contract.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Where an output goes.
///
/// # Safety
/// `out` is NULL or valid for writing, for as long as the answer is used.
#[inline(always)]
pub(super) unsafe fn output<T>(out: *mut T, what: &str) -> Result<Output<T>> {
    not_null(out, what).map(Output)
}

/// The same where NULL is no mistake: it leaves this thread's last error alone.
///
/// # Safety
/// As `output`.
#[inline(always)]
pub(super) unsafe fn optional_output<T>(out: *mut T) -> Option<Output<T>> {
    NonNull::new(out).map(Output)
}

/// A place of the caller's that can be written once.
pub(super) struct Output<T>(NonNull<T>);

impl<T> Output<T> {
    #[inline(always)]
    pub(super) fn write(self, value: T) {
        // SAFETY: `output` was promised that the place is valid.
        unsafe { self.0.write(value) };
    }
}

/// Copies as much of `bytes` as fits and a NUL; the answer is the length without the NUL.
///
/// # Safety
/// `buf` is NULL or has room for `cap` bytes.
pub(super) unsafe fn copy_out(bytes: &[u8], buf: *mut c_char, cap: usize) -> usize {
    if !buf.is_null() && cap > 0 {
        let kept = bytes.len().min(cap - 1);
        // SAFETY: by the contract; kept + 1 <= cap.
        unsafe {
            buf.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), kept);
            buf.add(kept).write(0);
        }
    }
    bytes.len()
}
