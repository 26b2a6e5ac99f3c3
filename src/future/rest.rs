//! Whether everything that an executor accepted is settled, and what became due by that is handed over.
//!
//! Two counts: tasks that are not settled, and threads that are settling some. It is at rest when
//! both are 0. Whoever brings that about tells those who wait for it: the settling of the last task,
//! if nobody is settling in a thread that counts itself, else the end of the last such thread, for
//! whoever looked before has found that somebody still was.

use crate::sync::{AtomicI64, AtomicU32, Ordering, fence};

pub(crate) struct Rest {
    /// Accepted and not settled.
    unsettled: AtomicI64,
    /// Threads that settle, and have not handed over what is due then.
    settling: AtomicU32,
}

impl Rest {
    pub(crate) fn new() -> Rest {
        Rest { unsettled: AtomicI64::new(0), settling: AtomicU32::new(0) }
    }

    /// Tasks are accepted.
    pub(crate) fn accept(&self, tasks: i64) {
        // Relaxed: whoever looks does so under the lock that they are queued under.
        self.unsettled.fetch_add(tasks, Ordering::Relaxed);
    }

    /// A task is settled; true: it was the last one, so that the pool may be at rest.
    #[must_use]
    pub(crate) fn settle_one(&self) -> bool {
        // AcqRel: pairs with the Acquire in `is_at_rest`: what was settled is seen by whoever sees 0.
        let last = self.unsettled.fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            // SeqCst: pairs with the fence in `end`. Of the two one comes first: either that thread
            // sees this task settled, or who is told by this one sees that it has ended.
            fence(Ordering::SeqCst);
        }
        last
    }

    /// The calling thread settles tasks, until `end`.
    pub(crate) fn begin(&self) {
        // Relaxed: `settle_one`, which comes after it in this thread, publishes it.
        self.settling.fetch_add(1, Ordering::Relaxed);
    }

    /// Undoes `begin`; true: the pool is at rest.
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        // AcqRel: pairs with itself and with the Acquire in `is_at_rest`: the last one sees what the
        // others settled.
        if self.settling.fetch_sub(1, Ordering::AcqRel) != 1 {
            return false;
        }
        // SeqCst: pairs with the fence in `settle_one`.
        fence(Ordering::SeqCst);
        self.is_at_rest()
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        // Acquire, both: pair with `settle_one` and `end`. In this order: who sees the last task
        // settled sees that its settler has begun.
        self.unsettled.load(Ordering::Acquire) <= 0 && self.settling.load(Ordering::Acquire) == 0
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::Rest;
    use crate::sync::explore;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    #[derive(Default)]
    struct Signal(Mutex<()>, Condvar);

    impl Signal {
        fn tell(&self) {
            let _lock = self.0.lock().expect("lock");
            self.1.notify_all();
        }

        fn wait_for(&self, rest: &Rest) {
            let mut lock = self.0.lock().expect("lock");
            while !rest.is_at_rest() {
                lock = self.1.wait(lock).expect("lock");
            }
        }
    }

    /// A thread settles the last tasks while another one is settling nothing, as the manager does in
    /// each round: one of them tells. A wake-up that is lost shows as a deadlock.
    fn one_of_them_tells(tasks: i64, counts_itself: bool) {
        explore(Some(3), move || {
            let pool = Arc::new((Rest::new(), Signal::default()));
            pool.0.accept(tasks);
            let settler = Arc::clone(&pool);
            let settler = thread::spawn(move || {
                let (rest, signal) = &*settler;
                if counts_itself {
                    rest.begin();
                }
                for _ in 0..tasks {
                    if rest.settle_one() {
                        signal.tell();
                    }
                }
                if counts_itself && rest.end() {
                    signal.tell();
                }
            });
            let manager = Arc::clone(&pool);
            let manager = thread::spawn(move || {
                manager.0.begin();
                if manager.0.end() {
                    manager.1.tell();
                }
            });
            pool.1.wait_for(&pool.0);
            settler.join().expect("settler");
            manager.join().expect("manager");
        });
    }

    /// A waiting thread takes answers.
    #[test]
    fn rest_after_answers() {
        one_of_them_tells(2, true);
    }

    /// A user cancels the last task.
    #[test]
    fn rest_after_a_cancel() {
        one_of_them_tells(1, false);
    }
}
