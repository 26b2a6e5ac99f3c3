//! Deadlines of tasks: a heap that each task knows its place in.
//!
//! A task with a time-out has one entry from its acceptance until it is settled: for the
//! first deadline that can pass in its present state. Starting changes the entry, settling
//! takes it out, so nothing stays behind for tasks that are done in time. Under one lock;
//! O(log n) each.

use super::cell::TaskRef;
use super::extra::{Extra, Spec};
use super::state;
use crate::platform::clock::Instant;
use crate::sync::{Lock, Ordering};

pub(crate) struct Timers {
    heap: Lock<Vec<Entry>>,
}

struct Entry {
    deadline: Instant,
    task: TaskRef,
}

/// Far away: the task has no deadline in its present state.
pub(crate) const NEVER: Instant = Instant(u64::MAX);

/// The earliest of several time-outs from `start`; negative ones are none.
pub(crate) fn first_deadline(start: Instant, timeouts: &[i64]) -> Instant {
    let set = timeouts.iter().filter(|&&timeout| timeout >= 0);
    set.map(|&timeout| start.plus(timeout as u64)).min().unwrap_or(NEVER)
}

impl Extra {
    /// The task is accepted and queued now. The answer is the first of its deadlines.
    pub(crate) fn note_accepted(&self, spec: &Spec) -> Instant {
        let now = Instant::now();
        // Relaxed: published with the task.
        self.accepted_at.store(now.0, Ordering::Relaxed);
        self.queued_at.store(now.0, Ordering::Relaxed);
        first_deadline(now, &[spec.queue_timeout, spec.total_timeout])
    }
}

/// A span of time in the unit people would use.
pub(crate) struct Nanoseconds(pub(crate) i64);

impl std::fmt::Display for Nanoseconds {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ns @ 0..1_000 => write!(out, "{ns} ns"),
            ns @ 1_000..1_000_000 => write!(out, "{} us", ns as f64 / 1e3),
            ns @ 1_000_000..1_000_000_000 => write!(out, "{} ms", ns as f64 / 1e6),
            ns => write!(out, "{} s", ns as f64 / 1e9),
        }
    }
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { heap: Lock::new(Vec::new()) }
    }

    /// Enters a task that nobody else knows yet. True: it is the next to pass. None when
    /// there is no memory.
    pub(crate) fn insert(&self, task: TaskRef, deadline: Instant) -> Option<bool> {
        let mut heap = self.heap.lock();
        heap.try_reserve(1).ok()?;
        heap.push(Entry { deadline, task });
        let last = heap.len() - 1;
        note_place(&heap, last);
        Some(sift_up(&mut heap, last) == 0)
    }

    /// Gives a task a new deadline, whether it is still in or its old one has just passed;
    /// true: it is the next to pass now.
    pub(crate) fn enter(&self, task: &TaskRef, deadline: Instant) -> bool {
        let mut heap = self.heap.lock();
        let Some(place) = place_of(task) else {
            drop(heap);
            // Without memory it has no deadline; its place was free a moment ago.
            return self.insert(task.clone(), deadline).unwrap_or(false);
        };
        heap[place].deadline = deadline;
        let place = sift_up(&mut heap, place);
        sift_down(&mut heap, place);
        place == 0
    }

    /// Takes a task out, if it is in.
    pub(crate) fn remove(&self, task: &TaskRef) {
        let removed = {
            let mut heap = self.heap.lock();
            place_of(task).map(|place| remove_at(&mut heap, place))
        };
        drop(removed); // possibly the last reference: not under the lock
    }

    /// Takes out a task whose deadline has passed by `now`.
    pub(crate) fn pop_passed(&self, now: Instant) -> Option<TaskRef> {
        let mut heap = self.heap.lock();
        if heap.first()?.deadline > now {
            return None;
        }
        Some(remove_at(&mut heap, 0).task)
    }

    /// Takes out a task that is not queued yet.
    pub(crate) fn take_waiting(&self) -> Option<TaskRef> {
        let mut heap = self.heap.lock();
        // Relaxed: changed by whoever queues the task, who finds that it has been settled.
        let waits = |entry: &Entry| {
            extra(&entry.task).is_some_and(|extra| extra.queued_at.load(Ordering::Relaxed) == 0)
        };
        let place = heap.iter().rposition(waits)?;
        Some(remove_at(&mut heap, place).task)
    }

    /// The next deadline to pass, if there is one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.lock().first().map(|entry| entry.deadline).filter(|&next| next != NEVER)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.lock().is_empty()
    }
}

fn extra(task: &TaskRef) -> Option<&Extra> {
    debug_assert!(task.snapshot().has(state::EXTRA));
    task.extra_in(task.snapshot())
}

fn place_of(task: &TaskRef) -> Option<usize> {
    // Relaxed, here and below: touched under the heap's lock only.
    let place = extra(task)?.timer.load(Ordering::Relaxed);
    (place != 0).then(|| place as usize - 1)
}

fn note_place(heap: &[Entry], place: usize) {
    if let Some(extra) = extra(&heap[place].task) {
        extra.timer.store(place as u32 + 1, Ordering::Relaxed);
    }
}

fn remove_at(heap: &mut Vec<Entry>, place: usize) -> Entry {
    let entry = heap.swap_remove(place);
    if let Some(extra) = extra(&entry.task) {
        extra.timer.store(0, Ordering::Relaxed);
    }
    if place < heap.len() {
        note_place(heap, place);
        let place = sift_up(heap, place);
        sift_down(heap, place);
    }
    entry
}

fn swap(heap: &mut [Entry], one: usize, other: usize) {
    heap.swap(one, other);
    note_place(heap, one);
    note_place(heap, other);
}

fn sift_up(heap: &mut [Entry], mut place: usize) -> usize {
    while place > 0 {
        let parent = (place - 1) / 2;
        if heap[parent].deadline <= heap[place].deadline {
            break;
        }
        swap(heap, parent, place);
        place = parent;
    }
    place
}

fn sift_down(heap: &mut [Entry], mut place: usize) {
    loop {
        let children = (2 * place + 1)..(2 * place + 3).min(heap.len());
        let Some(least) = children.min_by_key(|&child| heap[child].deadline) else { break };
        if heap[place].deadline <= heap[least].deadline {
            break;
        }
        swap(heap, place, least);
        place = least;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::cell::TaskCell;
    use super::super::extra::Spec;
    use super::super::make::Work;
    use super::*;
    use crate::shared::Shared;
    use proptest::prelude::*;

    fn task() -> TaskRef {
        let cell = TaskCell::allocate(Work::Promise, 1).expect("memory");
        // SAFETY: fresh, one reference.
        let task = unsafe { TaskRef::from_raw(cell) };
        task.add_extra(Shared::try_new(Spec::DEFAULT)).expect("memory");
        task
    }

    #[test]
    fn spans_in_human_units() {
        let shown =
            [0, 999, 1_500, 20_000_000, 3_000_000_000].map(|ns| Nanoseconds(ns).to_string());
        assert_eq!(shown, ["0 ns", "999 ns", "1.5 us", "20 ms", "3 s"]);
    }

    proptest! {
        /// Against a plain list: what passes, in which order, and what is next.
        #[test]
        fn passes_in_order(steps in proptest::collection::vec((0u8..4, 0u64..50, 0usize..20), 1..120)) {
            let timers = Timers::new();
            let mut model: Vec<(u64, TaskRef)> = Vec::new();
            for (kind, time, which) in steps {
                match kind {
                    0 | 1 => {
                        let task = task();
                        timers.insert(task.clone(), Instant(time)).expect("memory");
                        model.push((time, task));
                    }
                    2 if !model.is_empty() => {
                        let place = which % model.len();
                        let (_, task) = model.swap_remove(place);
                        timers.remove(&task);
                        timers.remove(&task);
                    }
                    _ if !model.is_empty() => {
                        let place = which % model.len();
                        model[place].0 = time;
                        timers.enter(&model[place].1, Instant(time));
                    }
                    _ => {}
                }
                prop_assert_eq!(timers.next().map(|next| next.0), model.iter().map(|entry| entry.0).min());
            }
            model.sort_by_key(|entry| entry.0);
            let mut last = 0;
            for now in 0..60 {
                while let Some(task) = timers.pop_passed(Instant(now)) {
                    let place = model.iter().position(|entry| entry.1.as_ptr() == task.as_ptr()).expect("known");
                    let (time, _) = model.remove(place);
                    prop_assert!(time <= now && time >= last);
                    last = time;
                }
            }
            prop_assert!(model.is_empty() && timers.is_empty());
        }
    }
}
