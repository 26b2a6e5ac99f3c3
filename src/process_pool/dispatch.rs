//! Which worker gets which task, and how many ahead.
//!
//! Tasks are handed over in the order accepted, higher priority first, to the worker with the
//! fewest. A worker gets as many ahead as it will need about `AHEAD_NS` for, so that it never
//! waits for the host between short tasks: two at least, one that runs and one that waits. An
//! idle worker takes waiting tasks back from one whose present task takes long.

use super::child::{Child, Handed, Phase, Slot};
use super::pool::{Pool, State};
use crate::future::buffer::BufferRef;
use crate::future::cell::TaskRef;
use crate::future::remote::Argument;
use crate::future::state::{Life, STOP};
use crate::platform::area::Area;
use crate::platform::clock::Instant;
use crate::shared::Shared;
use crate::sync::Ordering;
use crate::transport::frame::{self, TaskHead};
use crate::transport::link::SLOTS;
use std::collections::VecDeque;

/// How much work a worker has ahead.
const AHEAD_NS: u64 = 200_000;
/// What a task costs beside its own time.
const COST_NS: u64 = 500;
/// Most tasks ahead, less than there are slots: some are taken back and not free at once.
const MOST_AHEAD: u64 = SLOTS as u64 * 3 / 4;
/// A task that has run so long keeps what waits behind it from idle workers.
const LONG_NS: u64 = 50_000;

pub(super) const LANES: usize = 3;
const NORMAL: usize = 1;

/// Tasks that no worker has, by priority.
pub(super) struct Backlog {
    lanes: [VecDeque<TaskRef>; LANES],
    /// Counts takes, so that low priority is not starved.
    turn: u32,
}

/// The lane of a priority of -1 to 1.
pub(super) fn lane_of(priority: i8) -> usize {
    (priority + 1).clamp(0, 2) as usize
}

fn lane_of_task(task: &TaskRef) -> usize {
    task.spec().map_or(NORMAL, |spec| lane_of(spec.priority))
}

impl Backlog {
    pub(super) fn new() -> Backlog {
        Backlog { lanes: [const { VecDeque::new() }; LANES], turn: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Makes room for so many more, of any lane; false when there is no memory.
    pub(super) fn reserve(&mut self, lane: usize, more: usize) -> bool {
        self.lanes[lane].try_reserve(more).is_ok()
    }

    /// Room has been reserved.
    pub(super) fn push(&mut self, lane: usize, task: TaskRef) {
        self.lanes[lane].push_back(task);
    }

    /// Puts a task in front, or answers with it when there is no memory.
    pub(super) fn push_front(&mut self, task: TaskRef) -> Result<(), TaskRef> {
        let lane = lane_of_task(&task);
        if !self.reserve(lane, 1) {
            return Err(task);
        }
        self.lanes[lane].push_front(task);
        Ok(())
    }

    /// Puts a task in front: one that has just been popped, or that `reserve_one` has made room for.
    fn put_back(&mut self, task: TaskRef) {
        self.lanes[lane_of_task(&task)].push_front(task);
    }

    /// Makes room for one more of any lane; false when there is no memory.
    fn reserve_one(&mut self) -> bool {
        (0..LANES).all(|lane| self.reserve(lane, 1))
    }

    /// The next task: of the highest priority, but every 64th time the other way round.
    pub(super) fn pop(&mut self) -> Option<TaskRef> {
        self.turn = self.turn.wrapping_add(1);
        let lowest_first = self.turn % 64 == 0;
        (0..LANES)
            .map(|lane| if lowest_first { lane } else { LANES - 1 - lane })
            .find_map(|lane| self.lanes[lane].pop_front())
    }

    /// The next one of each lane.
    pub(super) fn fronts(&self) -> impl Iterator<Item = &TaskRef> {
        self.lanes.iter().filter_map(VecDeque::front)
    }

    pub(super) fn lanes_mut(&mut self) -> &mut [VecDeque<TaskRef>; LANES] {
        &mut self.lanes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TaskRef> {
        self.lanes.iter().rev().flatten()
    }
}

/// Whether a task was handed over.
enum Given {
    Yes,
    /// The child takes no more for now.
    Full,
}

impl Pool {
    /// Hands out what can be handed out. Called under `state` (P1).
    pub(super) fn dispatch(&self, state: &mut State, now: Instant) {
        if state.backlog.is_empty() {
            self.rebalance(state, now);
            if state.backlog.is_empty() {
                return;
            }
        }
        // Whoever has nothing to do comes first: what goes behind a task may wait long.
        for number in 0..state.children.len() {
            self.fill(state, number, 1, 1, now);
        }
        let ahead = depth(state.average_ns);
        let mut given = true;
        while given && !state.backlog.is_empty() {
            given = false;
            // As many at once as leave something for the others.
            let ready = state.children().filter(|child| self.takes(child, ahead)).count();
            let share = state.backlog.len().div_ceil(ready.max(1)).clamp(1, ahead as usize);
            for idle in [true, false] {
                for number in 0..state.children.len() {
                    if state.is_idle(number) == idle {
                        given |= self.fill(state, number, ahead, share, now);
                    }
                }
            }
        }
    }

    fn takes(&self, child: &Child, ahead: u64) -> bool {
        let limit = self.config.tasks_per_worker;
        child.phase == Phase::Ready
            && !child.overweight
            && child.kills == 0
            && child.disconnected.is_none()
            && !child.silent
            && u64::from(child.in_flight) < ahead
            && (limit == 0 || child.given < limit)
    }

    /// Gives one child up to `share` tasks; true: it got one.
    fn fill(
        &self,
        state: &mut State,
        number: usize,
        ahead: u64,
        share: usize,
        now: Instant,
    ) -> bool {
        let Some(mut child) = state.children[number] else { return false };
        // SAFETY: P1; nothing else of `state` that is used here reaches the child.
        let child = unsafe { child.as_mut() };
        if child.in_flight == 0 && self.is_crowded(state) {
            return false;
        }
        let mut given = 0;
        while given < share && self.takes(child, ahead) {
            let Some(task) = state.backlog.pop() else { break };
            if task.snapshot().is_settled() || is_withdrawn(&task) {
                if task.has_run() {
                    if state.ended.try_reserve(1).is_err() {
                        state.stalled = true;
                        state.backlog.put_back(task);
                        break;
                    }
                    state.ended.push(task);
                    self.poller.wake();
                }
                continue;
            }
            match self.hand_over(state, child, &task, now) {
                Given::Yes => given += 1,
                Given::Full => {
                    state.stalled = true;
                    state.backlog.put_back(task);
                    break;
                }
            }
        }
        if given > 0 {
            child.wire.ring_worker();
        }
        given > 0
    }

    /// As many workers as there may be have tasks: one that came in the place of another which has
    /// not left yet waits for that.
    fn is_crowded(&self, state: &State) -> bool {
        let busy = state.children().filter(|child| child.in_flight > 0).count();
        busy >= self.config.workers as usize
    }

    fn hand_over(
        &self,
        state: &mut State,
        child: &mut Child,
        task: &TaskRef,
        now: Instant,
    ) -> Given {
        // Each has one: `Pool::add_extra`.
        let Some(extra) = task.extra_in(task.snapshot()) else { return Given::Full };
        // Relaxed, here and below: P1.
        let function = extra.function.load(Ordering::Relaxed);
        if !child.knows(function) {
            let told = child.wire.push_define(function, state.functions.encoded(function));
            if !told || child.note_known(function).is_none() {
                return Given::Full;
            }
        }
        let Some(slot) = child.take_slot() else { return Given::Full };
        let Some(copy) = send_task(child, task, function, slot) else {
            child.give_slot(slot);
            return Given::Full;
        };
        let handed = Handed { task: task.clone(), kill_at: None, copy };
        child.slots[slot as usize] = Slot::Handed(handed);
        if task.snapshot().has(STOP) {
            child.wire.slot(slot).raise_stop(1);
        }
        child.order.push_back(slot);
        if child.order.len() == 1 {
            child.moved_at = now;
        }
        child.in_flight += 1;
        child.given += 1;
        extra.place.store(place(child.number, slot), Ordering::Relaxed);
        let spec = task.spec();
        if let Some(spec) = spec.filter(|spec| spec.run_timeout >= 0) {
            self.expect_start(task, spec, now);
        }
        Given::Yes
    }

    // ---- taking back ----

    /// Whether the manager is to look again soon for what waits behind a task that has only just
    /// begun: an idle worker could have it.
    pub(super) fn wants_rebalance(&self, state: &State) -> bool {
        if !state.children().any(|child| child.order.len() > 1) || self.is_crowded(state) {
            return false;
        }
        let idle = |child: &Child| child.phase == Phase::Ready && child.in_flight == 0;
        state.children().any(idle)
    }

    /// Takes everything that has not begun back from a worker that is about to go.
    pub(super) fn take_all_back(&self, state: &mut State, child: &mut Child) {
        while take_one_back(state, child) {}
    }

    /// When a worker is to have begun with what it has, if another one could do that.
    pub(super) fn next_begin(&self, state: &State) -> Option<Instant> {
        if !state.children().any(|child| self.takes(child, 1)) {
            return None;
        }
        state.children().filter_map(Child::begins_by).min()
    }

    /// Takes waiting tasks back from a worker that will not come to them soon, for one that has
    /// nothing to do.
    fn rebalance(&self, state: &mut State, now: Instant) {
        let idle = |child: &Child| self.takes(child, 1) && child.in_flight == 0;
        if !state.children().any(idle) || self.is_crowded(state) {
            return;
        }
        for number in 0..state.children.len() {
            let Some(mut child) = state.children[number] else { continue };
            // SAFETY: P1; `state` is not used for this child otherwise.
            let child = unsafe { child.as_mut() };
            if child.begins_by().is_some_and(|time| time <= now) {
                child.silent = true;
                self.take_all_back(state, child);
            }
        }
        let victim = state
            .children()
            .filter(|child| is_held_up(child, now))
            .map(|child| (child.waiting(), child.number as usize))
            .max();
        let Some((waiting, number)) = victim.filter(|&(waiting, _)| waiting > 0) else { return };
        let Some(mut child) = state.children[number] else { return };
        // SAFETY: P1; the backlog is not reached through the child.
        let child = unsafe { child.as_mut() };
        for _ in 0..waiting.div_ceil(2) {
            if !take_one_back(state, child) {
                break;
            }
            state.stolen += 1;
        }
    }
}

/// Writes a task into the child's ring; the answer is memory that the slot keeps. None: there is no
/// room now.
fn send_task(
    child: &mut Child,
    task: &TaskRef,
    function: u32,
    slot: u16,
) -> Option<Option<BufferRef>> {
    let output_limit = task.spec().map_or(-1, |spec| spec.output_limit);
    let mut head =
        TaskHead { slot: u32::from(slot), function, length: 0, area: 0, flags: 0, output_limit };
    // SAFETY: the pool has not consumed the arguments, which it does when the task ends.
    let bytes = match unsafe { task.argument() } {
        Argument::Bytes(bytes) => bytes,
        Argument::Buffer(buffer, visible) => {
            head.flags = if visible { frame::INPUT_BUFFER } else { 0 };
            if let Some(area) = buffer.area() {
                let known = child.knows_area(area)
                    || buffer.area_fd().is_some_and(|fd| child.send_area(area, fd));
                if known {
                    head.length = buffer.len() as u64;
                    head.area = area.id();
                    return child.wire.push_task(slot, &head, &[]).then_some(None);
                }
                if buffer.area_fd().is_some() {
                    return None; // the user's memory is never copied
                }
            }
            buffer.bytes()
        }
    };
    head.length = bytes.len() as u64;
    if bytes.len() <= frame::INLINE_LIMIT {
        return child.wire.push_task(slot, &head, bytes).then_some(None);
    }
    let visible = head.flags & frame::INPUT_BUFFER != 0;
    let copy = copy_for(child, bytes, visible)?;
    head.area = copy.area()?.id();
    child.wire.push_task(slot, &head, &[]).then_some(Some(copy))
}

/// A copy of arguments in memory of a child.
fn copy_for(child: &mut Child, bytes: &[u8], visible: bool) -> Option<BufferRef> {
    let area = child.take_area(bytes.len())?;
    // SAFETY: the area is ours and has room for so many bytes.
    unsafe { area.data().as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    BufferRef::of_area(area, None, bytes.len(), visible)
}

/// Tasks ahead for tasks of this length; two while nothing is known.
fn depth(average_ns: u64) -> u64 {
    if average_ns == 0 {
        return 2;
    }
    (AHEAD_NS / (average_ns + COST_NS)).clamp(2, MOST_AHEAD)
}

/// Its present task has taken long, or it has not begun with any of those it has.
fn is_held_up(child: &Child, now: Instant) -> bool {
    if child.phase != Phase::Ready && child.phase != Phase::Leaving {
        return false;
    }
    let Some(&first) = child.order.front() else { return false };
    let began = child.wire.started_ns(first);
    child.wire.is_started(first) && now.0.saturating_sub(began.unwrap_or(now.0)) > LONG_NS
}

/// Takes the last waiting task of a child back into the backlog; false: there is none, or no memory.
/// Then it stays where it is, and is looked at again when the worker ends.
fn take_one_back(state: &mut State, child: &mut Child) -> bool {
    // Before it is taken: the backlog may have filled up since it was here.
    if !state.backlog.reserve_one() {
        return false;
    }
    let Some(task) = take_back_last(child) else { return false };
    state.backlog.put_back(task);
    true
}

/// Takes the last waiting task of a child back.
fn take_back_last(child: &mut Child) -> Option<TaskRef> {
    for at in (0..child.order.len()).rev() {
        let slot = child.order[at];
        if child.wire.slot(slot).revoke() {
            child.order.remove(at);
            return take_revoked(child, slot);
        }
    }
    None
}

/// The task of a slot that has just been taken back.
pub(super) fn take_revoked(child: &mut Child, slot: u16) -> Option<TaskRef> {
    match std::mem::replace(&mut child.slots[slot as usize], Slot::Revoked) {
        Slot::Handed(handed) => {
            if handed.kill_at.is_some() {
                child.kills -= 1;
            }
            let task = handed.task;
            if let Some(extra) = task.extra_in(task.snapshot()) {
                extra.place.store(0, Ordering::Relaxed); // P1
            }
            Some(task)
        }
        other => {
            child.slots[slot as usize] = other;
            None
        }
    }
}

// ---- places ----

/// `Extra::place` of a task in a slot.
fn place(child: u32, slot: u16) -> u64 {
    u64::from(child + 1) << 16 | u64::from(slot)
}

/// `Extra::place` of a task that somebody is about to settle: it is not handed over any more.
const WITHDRAWN: u64 = u64::MAX;

/// The child and slot that a task is in.
pub(super) fn place_of(task: &TaskRef) -> Option<(usize, u16)> {
    let extra = task.extra_in(task.snapshot())?;
    let place = extra.place.load(Ordering::Relaxed); // P1
    (place != 0 && place != WITHDRAWN).then(|| ((place >> 16) as usize - 1, place as u16))
}

fn is_withdrawn(task: &TaskRef) -> bool {
    // P1
    task.extra_in(task.snapshot())
        .is_some_and(|extra| extra.place.load(Ordering::Relaxed) == WITHDRAWN)
}

/// Keeps a task from being handed over. Called under `state`; whoever does that settles it.
pub(super) fn note_withdrawn(task: &TaskRef) {
    if let Some(extra) = task.extra_in(task.snapshot()) {
        extra.place.store(WITHDRAWN, Ordering::Relaxed); // P1
    }
}

impl State {
    /// The child and slot that a task is in, if it is in one.
    pub(super) fn find(&mut self, task: &TaskRef) -> Option<(&mut Child, u16)> {
        let (number, slot) = place_of(task)?;
        let mut child = self.children.get(number).copied().flatten()?;
        // SAFETY: P1: the state is locked, and nothing else reaches the child meanwhile.
        let child = unsafe { child.as_mut() };
        let here = matches!(&child.slots[slot as usize],
            Slot::Handed(handed) if handed.task.as_ptr() == task.as_ptr());
        here.then_some((child, slot))
    }
}

impl Pool {
    /// Memory of a worker that will most likely get a task which is submitted now: then its
    /// arguments are copied only once. None: nobody is free, or they fit a ring.
    pub(super) fn take_area(&self, size: usize) -> Option<Shared<Area>> {
        if size <= frame::INLINE_LIMIT {
            return None;
        }
        let mut state = self.state.lock();
        if !state.backlog.is_empty() {
            return None;
        }
        let ahead = depth(state.average_ns);
        let child = state.children_mut().filter(|child| self.takes(child, ahead));
        child.min_by_key(|child| child.in_flight)?.take_area(size)
    }

    /// Makes a task that has begun RUNNING here, too. Called under `state` (P2).
    pub(super) fn mark_started(&self, task: &TaskRef) {
        if task.snapshot().life() == Life::Pending && task.state.start(false) {
            self.tally.entered.add(1);
            self.give_room_of(task);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn short_tasks_are_handed_over_ahead_and_long_ones_are_not() {
        assert_eq!(depth(0), 2);
        assert_eq!(depth(1_000_000_000), 2);
        assert_eq!(depth(10_000), 19);
        assert_eq!(depth(1), MOST_AHEAD);
    }

    #[test]
    fn places_are_told_apart() {
        assert_eq!(place(0, 0), 1 << 16);
        assert_ne!(place(0, 7), place(7, 0));
    }
}
