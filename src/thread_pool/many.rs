//! How several tasks come in at once: all of them, or none.

use super::inbox::Lane;
use super::pool::Pool;
use super::queue::Entry;
use super::sleep::Notified;
use super::submit::Unaccepted;
use crate::error::{Error, Result};
use crate::future::bound::Load;
use crate::future::cell::TaskRef;
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::outside;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::shared::Shared;
use std::ptr::{self, NonNull};

impl Pool {
    /// Accepts `count` tasks over consecutive items, all or none. Their handles are
    /// written to `out` if it is given; without, they have none.
    ///
    /// # Safety
    /// `out`, if given, has room for `count` pointers.
    pub(crate) unsafe fn submit_many(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<Entry>>,
    ) -> Result<()> {
        self.check_fork()?;
        let load = Load::of_many(item_size, count);
        if outside::are_of_command(spec) {
            self.take_room_elsewhere(load)?;
        } else if let Some(bound) = &self.bound {
            self.take_room_for_many(bound, load)?;
        }
        // SAFETY: by the contract.
        unsafe { self.submit_charged(make_work, item_size, count, spec, out) }
    }

    /// The same if there is room in the queue for all of them at once, whatever the policy;
    /// false: there is not, and nothing was done.
    ///
    /// # Safety
    /// As `submit_many`.
    pub(crate) unsafe fn submit_many_if_room(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<Entry>>,
    ) -> Result<bool> {
        self.check_fork()?;
        if !self.try_take_room(Load::of_many(item_size, count)) {
            return Ok(false);
        }
        // SAFETY: by the contract.
        unsafe { self.submit_charged(make_work, item_size, count, spec, out) }.map(|()| true)
    }

    pub(super) fn try_take_room(&self, load: Load) -> bool {
        self.bound.as_ref().is_none_or(|bound| bound.try_take(load))
    }

    /// `submit_many` for a batch that has its room.
    ///
    /// # Safety
    /// As `submit_many`.
    unsafe fn submit_charged(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<Entry>>,
    ) -> Result<()> {
        if outside::are_of_command(spec) {
            // SAFETY: by the contract.
            return unsafe { self.submit_commands(make_work, item_size, count, spec, out) };
        }
        let bytes = item_size as u64;
        let result = (|| {
            // Not in `out` itself, which nothing is written to if the batch is refused.
            let (mut one, mut many) = ([std::mem::MaybeUninit::uninit()], Vec::new());
            let places = if count == 1 {
                &mut one[..]
            } else {
                many.try_reserve_exact(count)
                    .map_err(|_| Error::no_memory("a batch of tasks", count * 8))?;
                many.resize_with(count, std::mem::MaybeUninit::uninit);
                &mut many[..]
            };
            self.make_and_push_all(make_work, bytes, spec, out.is_some(), places)?;
            if let Some(out) = out {
                // SAFETY: by the contract there is room, and all places were written.
                unsafe { out.as_ptr().copy_from_nonoverlapping(places.as_ptr().cast(), count) };
            }
            Ok(())
        })();
        if result.is_err() {
            let Load { tasks, bytes } = Load::of_many(item_size, count);
            self.give_room(tasks, bytes);
        }
        result
    }

    fn make_and_push_all(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handles: bool,
        places: &mut [std::mem::MaybeUninit<Entry>],
    ) -> Result<()> {
        for made in 0..places.len() {
            match self.make(self.as_owner(), make_work(made), bytes, spec, handles) {
                Ok(task) => {
                    places[made].write(task);
                }
                Err(error) => {
                    self.discard_all(&places[..made], handles);
                    return Err(error);
                }
            }
        }
        let lane = self.lane_for_many(spec.map_or(0, |spec| spec.priority));
        // SAFETY: all places were written above.
        let tasks = unsafe { &*(ptr::from_ref(places) as *const [Entry]) };
        if let Err(refused) = self.inbox.push_all(lane, tasks) {
            self.discard_all(places, handles);
            return Err(self.refusal(Unaccepted::Refused(refused)));
        }
        self.announce(lane);
        self.sample();
        if self.look_for_a_worker(tasks.len()) == Notified::Stranded
            && self.withdraw_all(lane, tasks)
        {
            self.discard_all(places, handles);
            return Err(self.refusal(Unaccepted::NoThread));
        }
        Ok(())
    }

    /// In a pool of one worker also several that a task submits come before those from outside.
    fn lane_for_many(&self, priority: i8) -> Lane {
        let lane = Lane::of_priority(priority);
        let Some(slot) = self.this_worker() else { return lane };
        slot.tell_left_behind();
        if !self.serial || lane != Lane::Normal {
            return lane;
        }
        slot.mine().has_nested.set(true);
        Lane::Nested
    }

    /// Takes a batch back that nobody will run; false if somebody has begun with it: then
    /// what was taken back stays cancelled.
    #[cold]
    fn withdraw_all(&self, lane: Lane, tasks: &[Entry]) -> bool {
        // The newest first: each is the last of the lane then.
        let mut withdrawn = 0;
        for &task in tasks.iter().rev() {
            if !self.inbox.take_back(lane, task) {
                break;
            }
            withdrawn += 1;
        }
        let begun = tasks.len() - withdrawn;
        for &task in if begun == 0 { &[] } else { &tasks[begun..] } {
            // SAFETY: the queue's reference, which it has given up.
            let task = unsafe { TaskRef::from_raw(task) };
            let verdict = Verdict::new(Outcome::Cancelled);
            task.settle_if(&task, |seen| seen.is_pending(), verdict);
        }
        self.end_if_done(); // as in `withdraw`
        begun == 0
    }

    fn discard_all(&self, made: &[std::mem::MaybeUninit<Entry>], handles: bool) {
        for task in made {
            // SAFETY: each was written by `make_and_push_all` and is known to nobody else,
            // but for the timers.
            let task = unsafe { TaskRef::from_raw(task.assume_init()) };
            // SAFETY: the handle's reference, if one was counted.
            let handle = handles.then(|| unsafe { TaskRef::from_raw(task.as_ptr()) });
            self.take_back(task, handle);
        }
    }
}
