//! Where the items of a map come from, and how they become work.
//!
//! An array is the caller's while the map is made: what the first hand-outs take is copied
//! once, into the tasks themselves, and only the rest is kept. A source is asked by whoever
//! makes or reads the map (`fill`); what it has given is staged until it is handed out.

use crate::error::{Error, Result, fail};
use crate::future::cell::{ClosureFn, FreeFn, TaskFn};
use crate::future::due::{Moved, call_free};
use crate::future::make::Work;
use crate::platform::{clock, memory};
use std::ffi::c_void;
use std::ptr::NonNull;

pub(crate) type SourceFn =
    unsafe extern "C-unwind" fn(argument: *mut c_void, *mut *const c_void, *mut usize) -> i32;

/// What a source answers that has nothing more: CFUT_END.
pub(crate) const END: i32 = 8;

/// Alignment of the copy of an array: that of the largest ordinary type.
const ALIGN: usize = 16;

pub(crate) enum Items {
    Array(Array),
    Closures(Closures),
    Source(Source),
}

impl Items {
    /// How many can be handed out now.
    pub(super) fn ready(&self) -> usize {
        match self {
            Items::Array(array) => array.left,
            Items::Closures(closures) => closures.left,
            Items::Source(source) => source.ends.len() - source.first,
        }
    }

    /// The source, if it may have more.
    pub(super) fn source(&self) -> Option<&Source> {
        match self {
            Items::Source(source) if !source.ended => Some(source),
            _ => None,
        }
    }

    pub(super) fn source_mut(&mut self) -> Option<&mut Source> {
        match self {
            Items::Source(source) => Some(source),
            _ => None,
        }
    }

    /// Bytes of one of the next `count` items, of which there is at least one, about.
    pub(super) fn bytes_each(&self, count: usize) -> usize {
        match self {
            Items::Array(array) => array.size,
            Items::Closures(_) => 0,
            Items::Source(source) => source.bytes_of(count).div_ceil(count.max(1)),
        }
    }

    /// The work of an item, counted from the first that is left.
    ///
    /// # Safety
    /// `place` is less than `ready`, and the work is used up before the items change.
    pub(super) unsafe fn work(&self, place: usize) -> Work<'static> {
        // SAFETY: by the contract the item is there, and stays until a task has copied it.
        unsafe {
            match self {
                Items::Array(array) => {
                    let at = array.data.add(place * array.size);
                    Work::Bytes(array.function, std::slice::from_raw_parts(at, array.size))
                }
                Items::Closures(closures) => {
                    let argument = *closures.args.add(place);
                    Work::Closure(closures.function, argument, closures.free)
                }
                Items::Source(source) => {
                    let item: *const [u8] = source.item(place);
                    Work::Bytes(source.function, &*item)
                }
            }
        }
    }

    /// The next `count` have been handed out, or settled otherwise.
    pub(super) fn advance(&mut self, count: usize) {
        match self {
            Items::Array(array) => {
                // SAFETY: callers take no more than are left.
                array.data = unsafe { array.data.add(count * array.size) };
                array.left -= count;
            }
            Items::Closures(closures) => {
                // SAFETY: as above.
                closures.args = unsafe { closures.args.add(count) };
                closures.left -= count;
            }
            Items::Source(source) => source.advance(count),
        }
    }

    /// Takes the argument of a closure that will not run, if the next item is one that has
    /// something to free.
    pub(super) fn take_argument(&mut self) -> Option<(FreeFn, *mut c_void)> {
        let Items::Closures(closures) = self else { return None };
        let free = closures.free?;
        if closures.left == 0 {
            return None;
        }
        // SAFETY: one is left.
        let argument = unsafe { *closures.args };
        self.advance(1);
        Some((free, argument))
    }

    /// Keeps what is left of an array of the caller's.
    pub(super) fn own(&mut self) -> Result<()> {
        match self {
            Items::Array(Array { data, size, left, owned: owned @ None, .. }) if *left > 0 => {
                // SAFETY: by the contract of `Array` so many bytes are there.
                let copy = unsafe { Block::copy(*data, *size * *left) }?;
                *data = copy.place.as_ptr();
                *owned = Some(copy);
            }
            Items::Closures(Closures { args, left, owned: owned @ None, .. }) if *left > 0 => {
                // SAFETY: as above.
                let copy = unsafe { Block::copy(args.cast(), *left * size_of::<*mut c_void>()) }?;
                *args = copy.place.as_ptr().cast();
                *owned = Some(copy);
            }
            _ => {}
        }
        Ok(())
    }

    /// Frees what was moved. Not contained: calls the user.
    pub(crate) fn free_rest(mut self) {
        while let Some((free, argument)) = self.take_argument() {
            call_free(free, argument);
        }
        drop(self); // a source's argument goes with it
    }
}

/// Memory of `memory::allocate`.
struct Block {
    place: NonNull<u8>,
    size: usize,
}

impl Block {
    /// # Safety
    /// `size` bytes, at least one, can be read at `from`.
    unsafe fn copy(from: *const u8, size: usize) -> Result<Block> {
        let no_memory = || Error::no_memory("the items of a map", size);
        let place = memory::allocate(size, ALIGN).ok_or_else(no_memory)?;
        // SAFETY: fresh memory of that size.
        unsafe { place.as_ptr().copy_from_nonoverlapping(from, size) };
        Ok(Block { place, size })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated so in `copy`.
        unsafe { memory::release(self.place, self.size, ALIGN) };
    }
}

pub(crate) struct Array {
    function: TaskFn,
    /// The first that is left.
    data: *const u8,
    size: usize,
    left: usize,
    owned: Option<Block>,
}

impl Array {
    /// # Safety
    /// `items` stay as they are until the map is made, or `fill_array` has returned.
    pub(crate) unsafe fn new(function: TaskFn, items: &[u8], size: usize, count: usize) -> Array {
        Array { function, data: items.as_ptr(), size, left: count, owned: None }
    }
}

pub(crate) struct Closures {
    function: ClosureFn,
    free: Option<FreeFn>,
    args: *const *mut c_void,
    left: usize,
    owned: Option<Block>,
}

impl Closures {
    /// # Safety
    /// `args` points at `count` arguments, which become the map's; the array stays until the
    /// map is made.
    pub(crate) unsafe fn new(
        function: ClosureFn,
        args: *const *mut c_void,
        count: usize,
        free: Option<FreeFn>,
    ) -> Closures {
        Closures { function, free, args, left: count, owned: None }
    }
}

pub(crate) struct Source {
    function: TaskFn,
    next: SourceFn,
    argument: Moved,
    /// It has said that there is nothing more, or must not be asked.
    ended: bool,
    /// Items that were pulled: one after the other, and where each of them ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// How many of those have gone.
    first: usize,
    /// When the oldest was pulled, in ticks.
    since: u64,
}

impl Source {
    pub(crate) fn new(function: TaskFn, next: SourceFn, argument: Moved) -> Source {
        Source {
            function,
            next,
            argument,
            ended: false,
            bytes: Vec::new(),
            ends: Vec::new(),
            first: 0,
            since: 0,
        }
    }

    pub(super) fn call(&self) -> (SourceFn, *mut c_void) {
        (self.next, self.argument.argument)
    }

    /// Its argument, which is freed when that goes. It must not be asked any more.
    pub(super) fn take(&mut self) -> Moved {
        self.ended = true;
        std::mem::replace(&mut self.argument, Moved { argument: std::ptr::null_mut(), free: None })
    }

    /// It must not be asked any more.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// When the oldest staged item was pulled, in ticks.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// Keeps a copy of an item.
    ///
    /// # Safety
    /// `data` is NULL or points at `length` bytes.
    pub(super) unsafe fn stage(&mut self, data: *const c_void, length: usize) -> Result<()> {
        if data.is_null() && length > 0 {
            return fail!(Invalid, "the source of a map gave NULL, but a length of {length}");
        }
        if length > isize::MAX as usize {
            return fail!(
                Invalid,
                "the source of a map gave a length of {length}, more than any object can have"
            );
        }
        let no_memory = || Error::no_memory("an item of a map", length);
        self.bytes.try_reserve(length).map_err(|_| no_memory())?;
        self.ends.try_reserve(1).map_err(|_| no_memory())?;
        if length > 0 {
            // SAFETY: by the contract.
            let item = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
            self.bytes.extend_from_slice(item);
        }
        if self.ends.is_empty() {
            self.since = clock::ticks();
        }
        self.ends.push(self.bytes.len());
        Ok(())
    }

    fn begin_of(&self, place: usize) -> usize {
        if place == 0 { 0 } else { self.ends[place - 1] }
    }

    fn item(&self, place: usize) -> &[u8] {
        let place = self.first + place;
        &self.bytes[self.begin_of(place)..self.ends[place]]
    }

    fn bytes_of(&self, count: usize) -> usize {
        let end = (self.first + count).min(self.ends.len());
        self.begin_of(end) - self.begin_of(self.first)
    }

    fn advance(&mut self, count: usize) {
        self.first += count;
        if self.first >= self.ends.len() {
            self.bytes.clear();
            self.ends.clear();
            self.first = 0;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::future::cell::TaskCell;

    unsafe extern "C-unwind" fn nothing(_: *const TaskCell, _: *const c_void, _: usize) -> i32 {
        0
    }

    unsafe extern "C-unwind" fn no_more(
        _: *mut c_void,
        _: *mut *const c_void,
        _: *mut usize,
    ) -> i32 {
        END
    }

    fn data(work: Work<'_>) -> Vec<u8> {
        match work {
            Work::Bytes(_, bytes) => bytes.to_vec(),
            _ => panic!("bytes"),
        }
    }

    #[test]
    fn an_array_is_kept_from_where_it_is() {
        let mut numbers = [1u8, 1, 2, 2, 3, 3];
        // SAFETY: the array stays until `own`.
        let mut items = Items::Array(unsafe { Array::new(nothing, &numbers, 2, 3) });
        items.advance(1);
        items.own().expect("memory");
        numbers.fill(9);
        assert_eq!(items.ready(), 2);
        // SAFETY: two are ready.
        assert_eq!(unsafe { [0, 1].map(|place| data(items.work(place))) }, [[2, 2], [3, 3]]);
    }

    #[test]
    fn staged_items_have_their_own_lengths() {
        let argument = Moved { argument: std::ptr::null_mut(), free: None };
        let mut source = Source::new(nothing, no_more, argument);
        for length in [3usize, 0, 2] {
            // SAFETY: static bytes.
            unsafe { source.stage(b"abc".as_ptr().cast(), length) }.expect("memory");
        }
        // SAFETY: NULL is allowed without a length.
        unsafe {
            assert!(source.stage(std::ptr::null(), 1).is_err());
            source.stage(std::ptr::null(), 0).expect("memory");
        }
        let mut items = Items::Source(source);
        assert_eq!((items.ready(), items.bytes_each(4)), (4, 2));
        items.advance(1);
        assert_eq!(items.bytes_each(3), 1);
        // SAFETY: three are ready.
        assert_eq!(unsafe { data(items.work(1)) }, b"ab");
        items.advance(3);
        assert_eq!(items.ready(), 0);
    }
}
