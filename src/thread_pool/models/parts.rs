//! The sleep protocol and the queues, each alone.

use super::*;

// ---- the sleep protocol alone ----

/// One worker number's life with `Sleep` and an inbox alone, so that more preemptions can be
/// explored than with a whole pool: as `worker` does it, without its other queues.
struct Dormitory {
    sleep: Sleep,
    inbox: Inbox,
    /// Tasks that are still to be taken.
    left: AtomicUsize,
}

impl Dormitory {
    fn new(target: u32, workers: u32, tasks: usize) -> Arc<Dormitory> {
        let limits = Limits { target, most: workers, extra: 0 };
        Arc::new(Dormitory {
            sleep: Sleep::new(limits).expect("memory"),
            inbox: Inbox::new(),
            left: AtomicUsize::new(tasks),
        })
    }

    fn submit(this: &Arc<Dormitory>, short: bool) {
        // Never followed.
        let entry = std::ptr::NonNull::without_provenance(std::num::NonZeroUsize::MIN);
        let waiting = this.inbox.push(Lane::Normal, entry).expect("memory");
        this.notify(if short { waiting } else { usize::MAX });
    }

    fn notify(self: &Arc<Dormitory>, backlog: usize) {
        let notified = self.sleep.notify(backlog, |searching| {
            let this = Arc::clone(self);
            let number = HIRED.get();
            HIRED.set(number + 1);
            WORKERS.with_borrow_mut(|workers| {
                workers.push(thread::spawn(move || this.work(number, searching)));
            });
            true
        });
        assert_ne!(notified, Notified::Stranded);
    }

    fn work(self: &Arc<Dormitory>, number: u16, mut searching: bool) {
        loop {
            if self.inbox.hint(Lane::Normal) > 0 && self.inbox.pop_one(Lane::Normal).is_some() {
                if std::mem::replace(&mut searching, false) {
                    self.sleep.found();
                    if self.inbox.is_empty_since().is_none() {
                        self.notify(self.inbox.hint(Lane::Normal));
                    }
                }
                if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    while !self.sleep.wake_all_if(|_| true) {}
                }
                continue;
            }
            if self.left.load(Ordering::Acquire) == 0 {
                self.sleep.leave(searching);
                return;
            }
            self.sleep.publish_idle(number, std::mem::replace(&mut searching, false));
            if self.inbox.is_empty_since().is_none() {
                self.notify(usize::MAX);
            } else if self.left.load(Ordering::Acquire) == 0 {
                self.sleep.wake_all_if(|_| true);
            }
            match self.sleep.park(number, None, 0, || false) {
                Unparked::ToSearch => searching = true,
                Unparked::ToLook => {}
                Unparked::TimedOut | Unparked::Stays => return,
            }
        }
    }
}

thread_local! {
    static HIRED: Cell<u16> = const { Cell::new(0) };
    static WORKERS: RefCell<Vec<thread::JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

fn sleepers(target: u32, workers: u32, submitters: usize, short: bool, preemptions: usize) {
    explore(Some(preemptions), move || {
        HIRED.set(0);
        let here = Dormitory::new(target, workers, 1 + submitters);
        if short {
            here.sleep.note_short(crate::thread_pool::sleep::SOME_PACE);
        }
        let threads: Vec<_> = (0..submitters)
            .map(|_| {
                let here = Arc::clone(&here);
                thread::spawn(move || Dormitory::submit(&here, short))
            })
            .collect();
        Dormitory::submit(&here, short);
        threads.into_iter().for_each(|thread| thread.join().expect("joined"));
        while let Some(worker) = WORKERS.with_borrow_mut(Vec::pop) {
            worker.join().expect("joined");
        }
        assert_eq!(here.left.load(Ordering::Acquire), 0);
        assert_eq!(here.sleep.census().live(), 0);
    });
}

/// A submitter, another one, and a worker that goes to sleep in between: no task stays
/// queued while the worker sleeps. At most three preemptions.
#[test]
fn one_sleeper() {
    sleepers(1, 1, 1, false, 3);
}

/// The same with two workers, also while tasks are short, when few are woken. At most one
/// preemption.
#[test]
fn two_sleepers() {
    sleepers(2, 2, 1, false, 1);
    sleepers(2, 2, 1, true, 1);
}

/// A worker that was made to search may find nothing, and its duty ends when it goes to sleep,
/// while a task comes in. At most three preemptions.
#[test]
fn search_in_vain() {
    explore(Some(3), || {
        HIRED.set(0);
        let here = Dormitory::new(1, 1, 1);
        here.notify(usize::MAX);
        Dormitory::submit(&here, false);
        while let Some(worker) = WORKERS.with_borrow_mut(Vec::pop) {
            worker.join().expect("joined");
        }
        assert_eq!(here.left.load(Ordering::Acquire), 0);
    });
}

// ---- queues ----

/// Something to queue; never followed.
pub(super) fn entry(number: usize) -> Entry {
    Entry::without_provenance(number.try_into().expect("not 0"))
}

/// A batch and what its tasks lead to, as the model checker can see it.
struct Booty {
    batch: Batch,
    /// Written before task n + 1 is published, and after it is taken.
    behind: [UnsafeCell<()>; 4],
    taken: AtomicUsize,
}

impl Booty {
    fn new() -> Arc<Booty> {
        let behind = std::array::from_fn(|_| UnsafeCell::new(()));
        Arc::new(Booty { batch: Batch::new(), behind, taken: AtomicUsize::new(0) })
    }

    /// By the owner.
    fn fill(&self, numbers: std::ops::Range<usize>) {
        let tasks: Vec<_> = numbers.map(entry).collect();
        for task in &tasks {
            self.behind[task.as_ptr().addr() - 1].with_mut(|_| ());
        }
        self.batch.fill(&tasks);
    }

    fn pop(&self) -> usize {
        std::iter::from_fn(|| self.batch.pop()).map(|task| self.note(task)).count()
    }

    fn steal(&self) -> usize {
        let mut loot = [MaybeUninit::uninit(); BATCH];
        let count = self.batch.steal(&mut loot);
        for task in &loot[..count] {
            // SAFETY: `steal` filled this many.
            self.note(unsafe { task.assume_init() });
        }
        count
    }

    fn note(&self, task: Entry) {
        let number = task.as_ptr().addr();
        self.behind[number - 1].with_mut(|_| ());
        let before = self.taken.fetch_or(1 << number, Ordering::Relaxed);
        assert_eq!(before & 1 << number, 0, "{number} was taken twice");
    }
}

/// The owner fills its batch twice, with as many, and empties it while two thieves take halves:
/// each task is taken once, by somebody who sees what it leads to. At most two preemptions.
#[test]
fn owner_and_two_thieves() {
    explore(Some(2), || {
        let booty = Booty::new();
        let thieves = [(); 2].map(|()| {
            let booty = Arc::clone(&booty);
            thread::spawn(move || booty.steal())
        });
        booty.fill(1..3);
        let first = booty.pop();
        booty.fill(3..5);
        let second = booty.pop();
        let stolen = thieves.map(|thief| thief.join().expect("joined"));
        assert_eq!(first + second + stolen[0] + stolen[1], 4);
        assert_eq!(booty.taken.load(Ordering::Relaxed), 0b1_1110);
    });
}

/// A worker publishes a batch and then stays in a task, while another worker goes to sleep:
/// that one does not sleep while the batch is not empty. All interleavings.
#[test]
fn batch_against_a_sleeper() {
    explore(None, || {
        let limits = Limits { target: 2, most: 2, extra: 0 };
        let sleep = Arc::new(Sleep::new(limits).expect("memory"));
        for _ in 0..2 {
            assert_eq!(sleep.start_worker(|_| true), Notified::Enough);
        }
        let booty = Booty::new();
        let (also, theirs) = (Arc::clone(&sleep), Arc::clone(&booty));
        let sleeper = thread::spawn(move || sleep_until_stolen(&also, &theirs));
        booty.fill(1..2);
        // As `Slot::publish`.
        fence(Ordering::SeqCst);
        assert_ne!(sleep.notify(1, |_| panic!("there are two")), Notified::Stranded);
        sleeper.join().expect("joined");
        assert_eq!(booty.taken.load(Ordering::Relaxed), 0b10);
    });
}

/// A worker's steps until there was something to steal.
fn sleep_until_stolen(sleep: &Sleep, booty: &Booty) {
    let (_own, deque) = Own::new();
    let mut searching = false;
    while booty.steal() == 0 {
        sleep.publish_idle(1, std::mem::replace(&mut searching, false));
        // As `Slot::is_empty`.
        if !(deque.is_empty() && booty.batch.len() == 0) {
            sleep.notify(usize::MAX, |_| panic!("there are two"));
        }
        searching = sleep.park(1, None, 0, || false) == Unparked::ToSearch;
    }
}

/// A task is taken out of the middle of the inbox, over the border of two chunks, while workers
/// take the oldest and another one comes in: each goes to one of them, in order. All
/// interleavings.
#[test]
fn taking_back_against_workers() {
    for closes in [false, true] {
        explore(None, move || {
            let inbox = Arc::new(Inbox::new());
            for number in 1..4 {
                inbox.push(Lane::Normal, entry(number)).expect("memory");
            }
            let here = Arc::clone(&inbox);
            let submitter = thread::spawn(move || here.take_back(Lane::Normal, entry(2)));
            let here = Arc::clone(&inbox);
            let worker = thread::spawn(move || take_numbers(&here, 2));
            if closes {
                assert!(inbox.close());
            }
            let pushed = inbox.push(Lane::Normal, entry(4)).is_ok();
            assert_eq!(pushed, !closes);
            let back = submitter.join().expect("joined");
            let mut taken = worker.join().expect("joined");
            taken.extend(take_numbers(&inbox, 4));
            let all = (1..=4).filter(|&number| match number {
                2 => !back,
                4 => pushed,
                _ => true,
            });
            assert!(taken.iter().copied().eq(all), "{taken:?}");
            assert!(inbox.is_empty_since().is_some());
            assert!(!inbox.take_back(Lane::Normal, entry(3)));
            assert_eq!(inbox.accepted(), taken.len() as u64);
        });
    }
}

pub(super) fn take_numbers(inbox: &Inbox, most: usize) -> Vec<usize> {
    let mut places = [MaybeUninit::uninit(); 4];
    let count = inbox.pop(Lane::Normal, 1, &mut places[..most]);
    // SAFETY: `pop` filled this many.
    places[..count].iter().map(|place| unsafe { place.assume_init() }.as_ptr().addr()).collect()
}
