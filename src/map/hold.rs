//! Who may touch a map: one call at a time.
//!
//! ```text
//!          take                 end(Free), end(Detach)
//!   FREE ────────▶ HELD ─────────────────────────────────▶ TO_FREE, TO_DETACH
//!    ▲               │                                               │
//!    └───────────────┘ give                                          │ give: the wish,
//!                    ▲                                               │ to be carried out
//!                    └───────────────────────────────────────────────┘ by the holder
//! ```
//! A map is used by one thread at a time, so there is no contention: the word is there for calls
//! that come from inside of another one (the source, a callback, a task that is run by the wait),
//! and tells a misuse by two threads from a good use, as far as the map still exists.

use crate::sync::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
const TO_FREE: u32 = 2;
const TO_DETACH: u32 = 3;

/// How a map shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Free,
    Detach,
}

impl Wish {
    fn word(self) -> u32 {
        match self {
            Wish::Free => TO_FREE,
            Wish::Detach => TO_DETACH,
        }
    }
}

pub(super) struct Hold(AtomicU32);

impl Hold {
    pub(super) fn held() -> Hold {
        Hold(AtomicU32::new(HELD))
    }

    /// Takes the map; false: another call has it.
    pub(super) fn take(&self) -> bool {
        self.change(FREE, HELD)
    }

    /// Gives the map back, or says what the holder has to do with it, who still holds it.
    pub(super) fn give(&self) -> Option<Wish> {
        loop {
            if self.change(HELD, FREE) {
                return None;
            }
            if self.change(TO_FREE, HELD) {
                return Some(Wish::Free);
            }
            if self.change(TO_DETACH, HELD) {
                return Some(Wish::Detach);
            }
        }
    }

    /// Takes the map to end it: true; or leaves word with whoever has it, and must not touch it
    /// any more.
    pub(super) fn end(&self, wish: Wish) -> bool {
        loop {
            if self.take() {
                return true;
            }
            let changed = self.change(HELD, wish.word())
                || self.change(TO_DETACH, wish.word())
                || self.change(TO_FREE, TO_FREE);
            if changed {
                return false;
            }
        }
    }

    /// Somebody has left word that it shall end.
    pub(super) fn is_unwanted(&self) -> bool {
        // Relaxed: the one who gives it back finds out for good.
        !matches!(self.0.load(Ordering::Relaxed), FREE | HELD)
    }

    /// AcqRel: each change pairs with the one before it: whoever takes the map sees what the one
    /// who gave it back has done.
    fn change(&self, from: u32, to: u32) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let hold = Hold::held();
        assert!(!hold.take());
        assert_eq!(hold.give(), None);
        assert!(hold.take() && !hold.is_unwanted());
    }

    #[test]
    fn word_is_left_with_the_holder() {
        let hold = Hold::held();
        assert!(!hold.end(Wish::Detach) && hold.is_unwanted());
        assert_eq!(hold.give(), Some(Wish::Detach));
        assert!(!hold.end(Wish::Free));
        assert_eq!((hold.give(), hold.give()), (Some(Wish::Free), None));
        assert!(hold.end(Wish::Free), "nobody had it");
    }

    #[test]
    fn to_free_goes_before_to_detach() {
        for (first, second) in [(Wish::Free, Wish::Detach), (Wish::Detach, Wish::Free)] {
            let hold = Hold::held();
            assert!(!hold.end(first) && !hold.end(second));
            assert_eq!(hold.give(), Some(Wish::Free));
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::{UnsafeCell, explore};
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    /// A map whose inside tells if two are in it, and how often it was ended.
    struct Map {
        hold: Hold,
        inside: UnsafeCell<usize>,
        ended: AtomicUsize,
    }

    impl Map {
        fn end(&self) {
            self.inside.with_mut(|_| ());
            self.ended.fetch_add(1, Ordering::Relaxed);
        }

        /// A read, which carries out what was wished meanwhile. False: another call had it.
        fn read(&self) -> bool {
            if !self.hold.take() {
                return false;
            }
            self.inside.with_mut(|_| ());
            if self.hold.give().is_some() {
                self.end();
            }
            true
        }
    }

    /// Ended while it is read, by another thread: once, by one of the two, with nobody else inside.
    fn ended_while_it_is_read(wish: Wish) {
        explore(None, move || {
            let map = Arc::new(Map {
                hold: Hold::held(),
                inside: UnsafeCell::new(0),
                ended: AtomicUsize::new(0),
            });
            assert_eq!(map.hold.give(), None);
            let reader = Arc::clone(&map);
            let reader = thread::spawn(move || {
                reader.read();
            });
            if map.hold.end(wish) {
                map.end();
            }
            reader.join().expect("reader");
            assert_eq!(map.ended.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn map_freed_while_it_is_read() {
        ended_while_it_is_read(Wish::Free);
    }

    #[test]
    fn map_detached_while_it_is_read() {
        ended_while_it_is_read(Wish::Detach);
    }
}
