//! The bound of a pool's queue, in tasks and in bytes. Pools without one have none of this.
//!
//! A task counts from its acceptance until it starts or is settled unstarted; its argument
//! bytes likewise. Result bytes count from settling until the result is first read or the
//! future released. Something larger than the whole bound is accepted when nothing else
//! counts, for otherwise it could never be.

use super::cell::{TaskCell, TaskRef};
use super::owner::OwnerRef;
use crate::error::{Error, Kind};
use crate::sync::{Futex32, Lock, Ordering, Timeout};

/// What to do with a submit that finds the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullPolicy {
    Block,
    Reject,
    RunInCaller,
}

pub(crate) struct Bound {
    most: Load,
    inside: Lock<Inside>,
    /// Changes when there may be room.
    signal: Futex32,
}

#[derive(Default)]
struct Inside {
    load: Load,
    /// Submitters that wait for room.
    waiting: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) tasks: u64,
    pub(crate) bytes: u64,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    Full,
    TimedOut,
}

impl Bound {
    /// A bound of 0 tasks or bytes is none.
    pub(crate) fn new(tasks: u64, bytes: u64) -> Option<Bound> {
        if tasks == 0 && bytes == 0 {
            return None;
        }
        let none = |bound: u64| if bound == 0 { u64::MAX } else { bound };
        Some(Bound {
            most: Load { tasks: none(tasks), bytes: none(bytes) },
            inside: Lock::new(Inside::default()),
            signal: Futex32::new(0),
        })
    }

    pub(crate) fn counts_bytes(&self) -> bool {
        self.most.bytes != u64::MAX
    }

    /// Takes room at once, or says that there is none.
    pub(crate) fn try_take(&self, wanted: Load) -> bool {
        self.fit(&mut self.inside.lock().load, wanted)
    }

    fn fit(&self, load: &mut Load, wanted: Load) -> bool {
        let tasks = load.tasks.saturating_add(wanted.tasks);
        let bytes = load.bytes.saturating_add(wanted.bytes);
        // What is larger than the whole bound goes in alone.
        let fits = (tasks <= self.most.tasks || load.tasks == 0)
            && (bytes <= self.most.bytes || load.bytes == 0);
        if fits {
            *load = Load { tasks, bytes };
        }
        fits
    }

    /// Takes room, waiting for it until `timeout` or until `stop` says that nothing will be
    /// accepted any more (then as if there were room: the caller finds out).
    pub(crate) fn take(
        &self,
        wanted: Load,
        timeout: Timeout,
        stop: impl Fn() -> bool,
    ) -> std::result::Result<(), NoRoom> {
        loop {
            let seen = {
                let mut inside = self.inside.lock();
                if self.fit(&mut inside.load, wanted) {
                    return Ok(());
                }
                if timeout == Timeout::Now {
                    return Err(NoRoom::Full);
                }
                inside.waiting += 1;
                // Relaxed: `give` changes it after its critical section, and then sees us.
                self.signal.load(Ordering::Relaxed)
            };
            let stopped = stop();
            let woken = stopped || self.signal.wait(seen, timeout.deadline());
            let mut inside = self.inside.lock();
            inside.waiting -= 1;
            if stopped {
                inside.load = inside.load.plus(wanted);
                return Ok(());
            }
            if !woken {
                let fits = self.fit(&mut inside.load, wanted);
                return if fits { Ok(()) } else { Err(NoRoom::TimedOut) };
            }
        }
    }

    /// Counts what is there whether it fits or not: results, and tasks of the library's own.
    pub(crate) fn force(&self, more: Load) {
        let mut inside = self.inside.lock();
        inside.load = inside.load.plus(more);
    }

    pub(crate) fn give(&self, back: Load) {
        let awaited = {
            let mut inside = self.inside.lock();
            inside.load.tasks = inside.load.tasks.saturating_sub(back.tasks);
            inside.load.bytes = inside.load.bytes.saturating_sub(back.bytes);
            inside.waiting > 0
        };
        if awaited {
            self.wake();
        }
    }

    /// The room a task took is free: it starts, or was settled before it could.
    pub(crate) fn give_room_of(&self, cell: &TaskCell) {
        let bytes = cell.extra_in(cell.snapshot()).map_or(0, |extra| {
            // Relaxed: one thread starts or settles it.
            extra.charged.swap(0, Ordering::Relaxed)
        });
        self.give(Load { tasks: 1, bytes });
    }

    /// Counts the bytes of a result until it is read. `keep` takes the reference that keeps the
    /// executor for that: `Vtable::uncharge` drops it.
    pub(crate) fn charge_result(&self, task: &TaskRef, keep: impl FnOnce() -> OwnerRef) {
        if !self.counts_bytes() {
            return;
        }
        let bytes = task.recorded_bytes();
        if bytes == 0 {
            return;
        }
        if let Some(extra) = task.extra_in(task.snapshot()) {
            self.force(Load { tasks: 0, bytes });
            // The future may outlive the executor's last handle.
            let _kept = keep().into_raw();
            // Relaxed: settling publishes it.
            extra.charged.store(bytes, Ordering::Relaxed);
        }
    }

    /// Why a submit that has waited found no room.
    #[cold]
    pub(crate) fn refusal(&self, why: NoRoom) -> Error {
        self.full(match why {
            NoRoom::Full => "the queue is full",
            NoRoom::TimedOut => "the queue stayed full for CFUT_OPT_FULL_TIMEOUT_NS",
        })
    }

    /// The error of a submit that found no room.
    #[cold]
    pub(crate) fn full(&self, what: &str) -> Error {
        let most = self.most;
        let show = |bound: u64| if bound == u64::MAX { 0 } else { bound };
        Error::new(
            Kind::Full,
            format_args!(
                "{what} (CFUT_OPT_QUEUE_LIMIT {}, CFUT_OPT_QUEUE_BYTES {}; 0 = none)",
                show(most.tasks),
                show(most.bytes)
            ),
        )
    }

    /// Has everybody who waits for room look again.
    pub(crate) fn wake(&self) {
        // Relaxed: the lock orders the room; the futex compares the value itself.
        self.signal.fetch_add(1, Ordering::Relaxed);
        self.signal.wake_all();
    }
}

impl Load {
    /// `count` tasks with so many bytes each.
    pub(crate) fn of_many(bytes: usize, count: usize) -> Load {
        let tasks = count as u64;
        Load { tasks, bytes: (bytes as u64).saturating_mul(tasks) }
    }

    fn plus(self, more: Load) -> Load {
        Load {
            tasks: self.tasks.saturating_add(more.tasks),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn load(tasks: u64, bytes: u64) -> Load {
        Load { tasks, bytes }
    }

    #[test]
    fn counts_tasks_and_bytes() {
        assert!(Bound::new(0, 0).is_none());
        let bound = Bound::new(2, 10).expect("a bound");
        assert!(bound.try_take(load(1, 4)));
        assert!(bound.try_take(load(1, 6)));
        assert!(!bound.try_take(load(1, 0)));
        bound.give(load(1, 4));
        assert!(!bound.try_take(load(1, 5)));
        assert!(bound.try_take(load(1, 4)));
    }

    #[test]
    fn what_is_larger_than_the_bound_goes_in_alone() {
        let bound = Bound::new(0, 10).expect("a bound");
        assert!(bound.try_take(load(1, 1000)));
        assert!(!bound.try_take(load(1, 1)));
        bound.give(load(1, 1000));
        assert!(bound.try_take(load(1, 1)));
    }

    #[test]
    fn waits_no_longer_than_asked() {
        let bound = Bound::new(1, 0).expect("a bound");
        assert_eq!(bound.take(load(1, 0), Timeout::Now, || false), Ok(()));
        assert_eq!(bound.take(load(1, 0), Timeout::Now, || false), Err(NoRoom::Full));
        let soon = Timeout::from_ns(1_000_000);
        assert_eq!(bound.take(load(1, 0), soon, || false), Err(NoRoom::TimedOut));
        assert_eq!(bound.take(load(1, 0), Timeout::Forever, || true), Ok(()));
    }
}
