//! Where tasks wait, and what the lock of a loop guards.

use crate::future::cell::TaskRef;
use crate::future::leftovers::{FEW, take_settled};
use crate::future::phase::Phase;
use crate::platform::pipe::Pipe;
use std::collections::VecDeque;

pub(super) struct State {
    pub(super) phase: Phase,
    /// What is queued is cancelled.
    pub(super) cancels: bool,
    /// By priority, the highest first. Entries may be settled.
    lanes: [VecDeque<TaskRef>; 3],
    /// Queued tasks that are neither started nor settled. Less than that for a moment, where one is
    /// settled just before it is queued: so nothing is dropped for this count alone.
    pub(super) live: isize,
    /// Functions that have been entered and have not returned.
    pub(super) running: usize,
    /// Tasks that returned CFUT_DETACH and are not settled.
    pub(super) detached: usize,
    /// Threads in `run`, and those of them that wait for tasks.
    pub(super) runners: usize,
    pub(super) sleepers: usize,
    pub(super) pipe: Option<Pipe>,
    /// The pipe holds a byte.
    filled: bool,
}

/// The lane of a priority.
pub(super) fn lane_of(priority: i8) -> usize {
    match priority {
        1.. => 0,
        0 => 1,
        _ => 2,
    }
}

impl State {
    pub(super) fn new() -> State {
        State {
            phase: Phase::Open,
            cancels: false,
            lanes: [const { VecDeque::new() }; 3],
            live: 0,
            running: 0,
            detached: 0,
            runners: 0,
            sleepers: 0,
            pipe: None,
            filled: false,
        }
    }

    /// Room for so many tasks more in a lane; false: no memory.
    pub(super) fn reserve(&mut self, lane: usize, tasks: usize) -> bool {
        self.lanes[lane].try_reserve(tasks).is_ok()
    }

    /// Queues a task for which `reserve` has made room.
    pub(super) fn push(&mut self, lane: usize, task: TaskRef) {
        self.lanes[lane].push_back(task);
        self.live += 1;
        self.show();
    }

    /// The first entry, which may be settled.
    pub(super) fn pop(&mut self) -> Option<TaskRef> {
        self.lanes.iter_mut().find_map(VecDeque::pop_front)
    }

    /// A queued task has been started, or settled unstarted. The answer is what has to go: not
    /// under the lock, for these may be last references.
    #[must_use]
    pub(super) fn remove_live(&mut self) -> Settled {
        self.live -= 1;
        self.show();
        let entries: usize = self.lanes.iter().map(VecDeque::len).sum();
        let mut settled = Settled::default();
        if self.live <= 0 && entries > 0 || entries > 2 * self.live.max(0) as usize + FEW {
            settled.0 = self.lanes.each_mut().map(|lane| take_settled(lane, |_| true));
        }
        settled
    }

    /// Has the descriptor show what is so.
    pub(super) fn show(&mut self) {
        let wanted = self.live > 0 || self.phase != Phase::Open;
        if let Some(pipe) = &self.pipe {
            if wanted && !self.filled {
                pipe.fill();
            } else if !wanted && self.filled {
                pipe.drain();
            }
            self.filled = wanted;
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.live.max(0) as usize
    }

    /// Queued entries, the next one first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &TaskRef> {
        self.lanes.iter().flatten().filter(|task| task.snapshot().is_pending())
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.live <= 0 && self.running == 0 && self.detached == 0
    }
}

/// Entries of settled tasks on their way out.
#[derive(Default)]
pub(super) struct Settled([VecDeque<TaskRef>; 3]);
