//! The view itself: its parts and its making.

use super::gate::Gate;
use crate::error::{Error, Result, fail};
use crate::future::owner::{Kind, Owner, OwnerRef, ParentTable, attention};
use crate::future::registry;
use crate::platform::{fork, memory};
use crate::sync::{AtomicUsize, Futex32, Lock, Ordering};
use crate::trace::stats::Tally;
use std::ptr::NonNull;

/// How deep views may be nested: what they do for one another needs stack.
const DEEPEST: u32 = 16;

#[repr(C)]
pub(crate) struct View {
    /// First, so that a pointer to the view is a pointer to its head.
    pub(super) owner: Owner,
    /// The whole allocation: a reference to a view is not enough to free it.
    this: NonNull<View>,
    handles: AtomicUsize,
    pub(super) parent: OwnerRef,
    /// The executor under all views; `parent` keeps it.
    root: NonNull<Owner>,
    root_table: &'static ParentTable,
    parent_table: &'static ParentTable,
    depth: u32,
    /// Its tasks run in other processes.
    pub(super) elsewhere: bool,
    pub(super) most: u32,
    pub(super) gate: Lock<Gate>,
    /// What became of its tasks.
    pub(super) tally: Tally,
    /// Changes when something does that a shutdown waits for.
    pub(super) events: Futex32,
}

// SAFETY: everything in it is atomic, locked or constant.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// A view with one handle.
    pub(crate) fn new(parent: OwnerRef, most: u32) -> Result<OwnerRef> {
        if most == 0 {
            return fail!(Invalid, "max_running is 0: no task of the view could ever run");
        }
        let Some(parent_table) = parent.vtable.parent else {
            return fail!(NotSupported, "there are no views of this kind of executor");
        };
        // SAFETY: the reference keeps the parent, here and below.
        unsafe { (parent_table.check)(parent.as_ptr()) }?;
        let (root, root_table, depth, elsewhere) = match parent.vtable.kind {
            Kind::View => {
                // SAFETY: the kind says so.
                let below = unsafe { View::of(parent.as_ptr()) };
                (below.root, below.root_table, below.depth + 1, below.elsewhere)
            }
            kind => (parent.as_ptr(), parent_table, 1, kind == Kind::Processes),
        };
        if depth > DEEPEST {
            return fail!(NotSupported, "views are nested {depth} deep; {DEEPEST} is the most");
        }
        let view = View {
            owner: Owner::new(&super::vtable::VTABLE, fork::generation()),
            this: NonNull::dangling(),
            handles: AtomicUsize::new(1),
            parent,
            root,
            root_table,
            parent_table,
            depth,
            elsewhere,
            most,
            gate: Lock::new(Gate::new()),
            tally: Tally::default(),
            events: Futex32::new(0),
        };
        let view = memory::try_box(view)
            .map_err(|_| Error::no_memory("a limited view", size_of::<View>()))?;
        // SAFETY: fresh, and its first reference is the handle's.
        let owner = unsafe {
            (*view.as_ptr()).this = view;
            (parent_table.add_handle)(view.as_ref().parent.as_ptr());
            OwnerRef::adopt(view.cast())
        };
        owner.call_attention(attention::NO_THREADS);
        registry::enter(&owner);
        Ok(owner)
    }

    /// # Safety
    /// `owner` is the head of a live view, for `'a`.
    pub(crate) unsafe fn of<'a>(owner: NonNull<Owner>) -> &'a View {
        // SAFETY: by the contract; the head is the view's first field, and pointers to it are
        // made from pointers to the view.
        unsafe { owner.cast::<View>().as_ref() }
    }

    pub(super) fn as_owner(&self) -> NonNull<Owner> {
        self.this.cast()
    }

    pub(crate) fn retain(&self) -> OwnerRef {
        // SAFETY: `self` is alive.
        unsafe { OwnerRef::retain(self.as_owner()) }
    }

    /// The executor that its tasks run on in the end.
    pub(crate) fn root(&self) -> NonNull<Owner> {
        self.root
    }

    pub(super) fn root_table(&self) -> (NonNull<Owner>, &'static ParentTable) {
        (self.root, self.root_table)
    }

    /// An error if the parent takes no work any more.
    pub(super) fn check_parent(&self) -> Result<()> {
        // SAFETY: `parent` keeps it.
        unsafe { (self.parent_table.check)(self.parent.as_ptr()) }
    }

    /// The view has ended: the parent may.
    pub(super) fn let_parent_go(&self) {
        // SAFETY: `parent` keeps it; the handle taken in `new`, given back once.
        unsafe { (self.parent_table.drop_handle)(self.parent.as_ptr()) };
    }

    // ---- handles ----

    pub(crate) fn add_handle(&self) {
        // Relaxed: a handle from an existing one publishes nothing.
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Drops a handle; with the last one the view takes no more work. What was accepted still runs.
    pub(crate) fn drop_handle(&self) {
        // AcqRel: pairs with itself: the last one closes after all that the others did.
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 && !self.is_inherited() {
            self.close();
            // SAFETY: the reference that the handles had together.
            drop(unsafe { OwnerRef::adopt(self.as_owner()) });
        }
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.owner.generation != fork::generation()
    }

    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.is_inherited() {
            return fail!(
                Forked,
                "this view was made before fork(): what it runs on does not exist in the child; \
                 make a new one here"
            );
        }
        Ok(())
    }
}

/// # Safety
/// The last reference to the view is gone.
pub(super) unsafe fn destroy(owner: NonNull<Owner>) {
    // SAFETY: by the contract nobody else has it, and no task: each would have a reference.
    unsafe {
        registry::leave(owner.as_ref());
        memory::drop_box(owner.cast::<View>());
    }
}
