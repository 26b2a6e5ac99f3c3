//! What becomes of the rest when a map goes.

use super::fill::{self, Room};
use super::hold::Wish;
use super::{Inside, Map, read};
use crate::error::{self, Kind, Lossy};
use crate::future::due::{Moved, call_free};
use crate::future::promise::{self, Reach};
use crate::log::{self, Level};
use crate::platform::memory;
use crate::sync::Timeout;
use crate::unwind::contain;
use std::ptr::NonNull;

/// Frees a map; cancels what has not started. Not contained: calls the user.
///
/// # Safety
/// The handle is the caller's, and no longer.
pub(crate) unsafe fn free(map: NonNull<Map>) {
    // SAFETY: by the contract.
    unsafe { read::end_as(map, Wish::Free) };
}

/// Frees the handle of a map; what is left is handed out. Not contained: calls the user.
///
/// # Safety
/// As `free`.
pub(crate) unsafe fn detach(map: NonNull<Map>) {
    // SAFETY: by the contract.
    unsafe { read::end_as(map, Wish::Detach) };
}

/// # Safety
/// The caller holds the map, and nobody will ask for it any more.
pub(super) unsafe fn carry_out(map: NonNull<Map>, wish: Wish) {
    // SAFETY: by the contract.
    unsafe {
        if wish == Wish::Detach {
            hand_out_the_rest(map);
        }
        destroy(map);
    }
}

/// A map that goes, whatever the free functions of the user's do to this thread.
struct Going(NonNull<Map>);

impl Drop for Going {
    fn drop(&mut self) {
        // SAFETY: made by `destroy`.
        unsafe {
            free_moved(self.0);
            let _ = contain(|| memory::drop_box(self.0));
        }
    }
}

/// # Safety
/// As `carry_out`.
pub(super) unsafe fn destroy(map: NonNull<Map>) {
    let going = Going(map);
    // SAFETY: M2: a reference for this step alone.
    let _ = contain(|| unsafe { Map::inside(map) }.cancel_outstanding(Reach::Pending));
    drop(going);
}

/// Frees the arguments of closures that will not run, and the source's. Not contained.
///
/// # Safety
/// As `carry_out`.
unsafe fn free_moved(map: NonNull<Map>) {
    // SAFETY: M2: a reference for this step alone.
    let next = || contain(|| unsafe { Map::inside(map) }.items.take_argument());
    while let Ok(Some((free, argument))) = next() {
        call_free(free, argument);
    }
    let source: Option<Moved> = contain(|| {
        // SAFETY: as above.
        let map = unsafe { Map::inside(map) };
        map.items.source_mut().map(|source| source.take())
    })
    .ok()
    .flatten();
    drop(source);
}

impl Inside {
    /// The newest first: fewer of the others are started meanwhile.
    pub(super) fn cancel_outstanding(&mut self, reach: Reach) {
        for task in self.outstanding.iter().rev() {
            // One of a parent process is not ours to cancel.
            let _ = promise::cancel(task, reach);
        }
    }
}

/// Hands out all that is left, waiting for room where that is needed. The source is asked to
/// its end. Not contained.
///
/// # Safety
/// As `carry_out`.
unsafe fn hand_out_the_rest(map: NonNull<Map>) {
    let start = |map: &mut Inside| {
        map.current = None;
        map.outstanding.clear();
        map.pace.unbound();
    };
    // SAFETY: M2, here and below.
    let _ = contain(|| start(unsafe { Map::inside(map) }));
    loop {
        // SAFETY: the caller holds the map.
        let filled = unsafe { fill::fill(map, Room::ByPolicy) };
        let done = contain(|| {
            // SAFETY: M2: a reference for this step alone.
            let map = unsafe { Map::inside(map) };
            map.outstanding.clear();
            let none_left = map.items.ready() == 0 && map.items.source().is_none();
            none_left || map.closed.is_some()
        });
        match filled {
            Err(error) if error.0 == Kind::Full => read::nap(Timeout::Forever),
            Err(_) => return tell_of_the_rest(),
            Ok(_) => {}
        }
        if done.unwrap_or(true) {
            return;
        }
    }
}

/// Nobody has a future that could say so.
fn tell_of_the_rest() {
    let text = error::with_last(|text| error::Line::of(format_args!("{}", Lossy(text))));
    log::write(
        Level::Error,
        format_args!("the rest of a detached map does not run: {}", text.as_str()),
    );
}
