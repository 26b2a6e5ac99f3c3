//! The ways a task comes in.

use super::gate::Gate;
use super::view::View;
use crate::error::{Error, Result, fail};
use crate::future::bound::Load;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::hook::{Action, Home, Hook};
use crate::future::intake::Intake;
use crate::future::make::Work;
use crate::future::owner::{Arrival, Refused};
use crate::future::phase::Phase;
use crate::future::place::{self, At, Place};
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::shared::Shared;
use std::ptr::NonNull;

impl Intake for View {
    fn check_takes_work(&self) -> Result<()> {
        self.check_fork()?;
        self.check_open(&self.gate.lock())?;
        self.check_parent()
    }

    fn take_room(&self, load: Load) -> Result<()> {
        let (root, table) = self.root_table();
        // SAFETY: the parent keeps it.
        unsafe { (table.take_room)(root, load) }
    }

    fn try_take_room(&self, load: Load) -> bool {
        let (root, table) = self.root_table();
        // SAFETY: the parent keeps it.
        unsafe { (table.try_take_room)(root, load) }
    }

    fn give_room(&self, load: Load) {
        let (root, table) = self.root_table();
        // SAFETY: the parent keeps it.
        unsafe { (table.give_room)(root, load) };
    }

    fn make(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<NonNull<TaskCell>> {
        let (root, table) = self.root_table();
        // SAFETY: the parent keeps it.
        unsafe { (table.make)(root, self.as_owner(), work, bytes, spec, handle) }
    }

    fn unmake(&self, task: NonNull<TaskCell>, handle: bool) {
        let (root, table) = self.root_table();
        // SAFETY: the parent keeps it; made there, and known to nobody but the timers.
        unsafe { (table.unmake)(root, task, handle) };
    }

    /// And hands on what may be.
    fn accept(&self, tasks: &[NonNull<TaskCell>]) -> Result<()> {
        // One without a list: submits are many.
        if let [task] = *tasks {
            let hook = self.hook_for(task)?;
            return self.let_in(&[(task, hook)]);
        }
        let mut entries: Vec<(NonNull<TaskCell>, NonNull<Hook>)> = Vec::new();
        let no_memory = || Error::no_memory("a batch of tasks", tasks.len() * 16);
        let result = entries.try_reserve_exact(tasks.len()).map_err(|_| no_memory());
        let result = result.and_then(|()| {
            for &task in tasks {
                entries.push((task, self.hook_for(task)?));
            }
            Ok(())
        });
        if let Err(error) = result {
            entries.iter().for_each(|&(_, hook)| drop_unused(hook));
            return Err(error);
        }
        self.let_in(&entries)
    }
}

impl View {
    fn check_open(&self, gate: &Gate) -> Result<()> {
        if gate.phase != Phase::Open {
            return fail!(Shutdown, "the view has been shut down and takes no more work");
        }
        Ok(())
    }

    fn place_for(&self, task: NonNull<TaskCell>) -> Action {
        Action::Place(Place::new(self.retain(), self.elsewhere, task))
    }

    fn hook_for(&self, task: NonNull<TaskCell>) -> Result<NonNull<Hook>> {
        let no_memory = || Error::no_memory("a place in a view", 64);
        Hook::allocate(self.place_for(task)).ok_or_else(no_memory)
    }

    fn let_in(&self, entries: &[(NonNull<TaskCell>, NonNull<Hook>)]) -> Result<()> {
        let mut gate = self.gate.lock();
        if let Err(error) = self.check_open(&gate) {
            drop(gate);
            entries.iter().for_each(|&(_, hook)| drop_unused(hook));
            return Err(error);
        }
        for &(task, hook) in entries {
            // SAFETY: the view's reference.
            let task = unsafe { TaskRef::from_raw(task) };
            // Its time-out may have settled it by now: then it is done with, and counted.
            if let Err(task) = self.list(&mut gate, task, hook) {
                drop_unused(hook);
                self.tally.outcome(task.snapshot().outcome()).add(1);
            }
        }
        self.tally.submitted.add(entries.len() as u64);
        // More than the header promises: a task that runs at once may release the last handle, and
        // the gate is looked at after each task.
        let _kept = self.retain();
        self.hand_on(gate, entries.len());
        Ok(())
    }

    /// Puts a task behind those that wait, unless it is settled.
    fn list(&self, gate: &mut Gate, task: TaskRef, hook: NonNull<Hook>) -> Result2 {
        // SAFETY: the hook is fresh. The gate is locked, so whoever settles the task meanwhile
        // finds it in the list.
        unsafe {
            if !place::add(&task, hook) {
                return Err(task);
            }
            gate.waiting.push(hook, At::Waiting);
        }
        let _in_the_list = task.into_raw();
        Ok(())
    }

    /// Takes a continuation whose input has settled, or a task of a view of this one.
    pub(super) fn enqueue(
        &self,
        task: TaskRef,
        arrival: Arrival,
    ) -> std::result::Result<(), Refused> {
        if self.is_inherited() {
            let text = b"this view was made before fork(); what it runs on is the parent's";
            let verdict =
                task.spec().filter(|spec| spec.has_deadline()).is_some() || self.elsewhere;
            let verdict = verdict.then(|| Verdict::because(Outcome::Broken, 0, text));
            return Err(Refused { task, verdict });
        }
        if arrival != Arrival::Held {
            let (root, table) = self.root_table();
            // SAFETY: the parent keeps it.
            if let Err(verdict) = unsafe { (table.hold)(root, &task) } {
                return Err(Refused { task, verdict });
            }
        }
        let Some(hook) = self.hook_for_arrival(&task, arrival) else {
            self.let_go(&task);
            let text = b"not run: no memory for a place in a view";
            let verdict = Some(Verdict::because(Outcome::Broken, 0, text));
            return Err(Refused { task, verdict });
        };
        let mut gate = self.gate.lock();
        if gate.phase != Phase::Open {
            let cancels = gate.cancels;
            drop(gate);
            drop_unused(hook);
            self.let_go(&task);
            return Err(Refused { verdict: self.verdict_for_refused(&task, cancels), task });
        }
        match self.list(&mut gate, task, hook) {
            Ok(()) => {
                self.tally.submitted.add(1);
                self.hand_on(gate, 1);
            }
            Err(task) => {
                drop(gate);
                drop_unused(hook);
                drop(task); // settled: its executor was told
            }
        }
        Ok(())
    }

    fn hook_for_arrival(&self, task: &TaskRef, arrival: Arrival) -> Option<NonNull<Hook>> {
        let action = self.place_for(task.as_ptr());
        if arrival == Arrival::Held {
            return Hook::allocate(action);
        }
        let hook = place::room_of_continuation(task);
        // SAFETY: free, and part of the continuation, which outlives its hooks.
        unsafe { Hook::place(hook, action, Home::Embedded) };
        Some(hook)
    }

    /// A task is refused that had room and deadlines.
    fn let_go(&self, task: &TaskRef) {
        let (root, _) = self.root_table();
        // SAFETY: the parent keeps it.
        unsafe { super::vtable::tell_root(root, task, task.snapshot().outcome()) };
    }

    fn verdict_for_refused(&self, task: &TaskRef, cancels: bool) -> Option<Verdict> {
        use crate::future::cell::Kind;
        if cancels {
            return Some(Verdict::new(Outcome::Cancelled));
        }
        let timed = task.spec().is_some_and(Spec::has_deadline);
        if task.kind() == Kind::Then && !timed && !self.elsewhere {
            return None;
        }
        let text = b"not run: the view takes no work any more";
        Some(Verdict::because(Outcome::Broken, 0, text))
    }
}

/// Not listed: the task comes back.
type Result2 = std::result::Result<(), TaskRef>;

/// A hook that was never hooked in.
fn drop_unused(hook: NonNull<Hook>) {
    // SAFETY: known to nobody else.
    drop(unsafe { Hook::consume(hook) });
}
