//! What the library keeps for each thread. Open to all rooms.
//!
//! One block, of constants at start and without a destructor of its own: a thread of the host may
//! come and go without the library noticing. The only thing in it that owns memory, the
//! magazines of `future::arena`, is emptied by a destructor which that room registers when it
//! first fills one.
//!
//! # How a thread finds its block
//! Each submit and each release looks at it, so the way there counts. For a shared library
//! the compiler would call `__tls_get_addr`: 15 instructions, and all registers of the
//! caller's to save. Thread-local storage by descriptor (Oliva and Araújo, "Speeding Up
//! Thread-Local Storage Access in Dynamic Libraries", 2006) takes five and saves none, wherever
//! the library was loaded from; on x86-64 the compiler does not use it yet, so it is
//! spelled out here. aarch64 has it already; elsewhere, and under miri and the model
//! checker, std's way is taken.

use crate::platform::fork::Word;
use std::cell::Cell;

/// The generation of no process.
pub(crate) static NOWHERE: Word = Word::none();

/// Number of block sizes of `future::arena`.
pub(crate) const CLASSES: usize = 5;

#[repr(C, align(64))]
pub(crate) struct Local {
    /// While `magazines` are in use: the word that holds the generation of the process that
    /// reads it (`platform::fork`); else one that holds 0. First, for it has a value from the
    /// start.
    pub(crate) process: Cell<&'static Word>,
    /// The fork generation that `magazines` belong to; 0 = not in use (`future::arena`).
    pub(crate) generation: Cell<u32>,
    /// How many tasks, callbacks and free functions of the user are on this stack.
    pub(crate) user_depth: Cell<u32>,
    /// The running pool worker (`thread_pool::worker`), NULL in other threads.
    pub(crate) worker: Cell<*const ()>,
    /// The executor whose task runs in this thread (`future::Owner`), NULL outside tasks.
    pub(crate) executor: Cell<*const ()>,
    /// What is due in this thread (`future::due`).
    pub(crate) due_head: Cell<*mut ()>,
    pub(crate) due_tail: Cell<*mut ()>,
    /// A callback or free function is running below us: further ones wait for it.
    pub(crate) in_callback: Cell<bool>,
    pub(crate) magazines: [Magazine; CLASSES],
}

/// Free blocks of one size, for this thread alone (`future::arena`).
#[repr(C)]
pub(crate) struct Magazine {
    pub(crate) blocks: Blocks,
    /// A whole chain, or NULL.
    pub(crate) spare: Cell<*mut ()>,
    /// How many to fetch next time.
    pub(crate) wanted: Cell<u32>,
}

/// A list of free blocks (`future::arena::list`); not valid before that room has made it so.
#[repr(C)]
pub(crate) struct Blocks {
    /// The top node, or NULL.
    pub(crate) top: Cell<*mut ()>,
    /// How many blocks it names.
    pub(crate) fill: Cell<usize>,
    /// How many nodes there are.
    pub(crate) nodes: Cell<u32>,
}

impl Blocks {
    pub(crate) const fn new(top: *mut (), fill: usize, nodes: u32) -> Blocks {
        Blocks { top: Cell::new(top), fill: Cell::new(fill), nodes: Cell::new(nodes) }
    }
}

/// The calling thread's block. It lasts as long as the thread, which a reference to it cannot
/// leave: `Local` is not `Sync`.
#[inline(always)]
pub(crate) fn here<'a>() -> &'a Local {
    place::here()
}

/// Looks at the calling thread's block.
#[inline(always)]
pub(crate) fn with<R>(use_it: impl FnOnce(&Local) -> R) -> R {
    use_it(here())
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri), not(loom)))]
mod place {
    use super::Local;

    std::arch::global_asm!(
        ".pushsection .tdata.cfut_thread_local,\"awT\",@progbits",
        ".globl cfut_thread_local",
        ".hidden cfut_thread_local",
        ".type cfut_thread_local,@object",
        ".size cfut_thread_local, {size}",
        ".balign {align}",
        "cfut_thread_local:",
        ".quad {nowhere}",
        ".zero {size} - 8",
        ".popsection",
        size = const size_of::<Local>(),
        align = const align_of::<Local>(),
        nowhere = sym super::NOWHERE,
    );

    #[inline(always)]
    pub(super) fn here<'a>() -> &'a Local {
        let local: *const Local;
        // SAFETY: the sequence of the psABI for a TLS descriptor. It keeps all general
        // registers but RAX; C libraries that forget to save the vector registers where
        // the block has to be made are why these are given up. What it starts with is a valid Local;
        // see `super::here` for how long it lasts.
        unsafe {
            std::arch::asm!(
                "lea rax, [rip + cfut_thread_local@tlsdesc]",
                "call [rax + cfut_thread_local@tlscall]",
                "add rax, qword ptr fs:[0]",
                out("rax") local,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            );
            &*local
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri), not(loom))))]
mod place {
    use super::{Blocks, CLASSES, Local, Magazine, NOWHERE};
    use std::cell::Cell;
    use std::ptr;

    impl Local {
        const NEW: Local = Local {
            process: Cell::new(&NOWHERE),
            generation: Cell::new(0),
            user_depth: Cell::new(0),
            worker: Cell::new(ptr::null()),
            executor: Cell::new(ptr::null()),
            due_head: Cell::new(ptr::null_mut()),
            due_tail: Cell::new(ptr::null_mut()),
            in_callback: Cell::new(false),
            magazines: [const {
                Magazine {
                    blocks: Blocks::new(ptr::null_mut(), 0, 0),
                    spare: Cell::new(ptr::null_mut()),
                    wanted: Cell::new(0),
                }
            }; CLASSES],
        };
    }

    #[cfg(not(loom))]
    thread_local! {
        static LOCAL: Local = const { Local::NEW };
    }

    #[cfg(loom)]
    loom::thread_local! {
        static LOCAL: Local = Local::NEW;
    }

    #[inline(always)]
    pub(super) fn here<'a>() -> &'a Local {
        // SAFETY: it has no destructor, so it lasts as long as the thread; `super::here` says
        // why that is long enough.
        LOCAL.with(|local| unsafe { &*ptr::from_ref(local) })
    }
}
