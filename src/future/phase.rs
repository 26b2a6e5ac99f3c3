//! Where an executor is in its life, and how it may be shut down. It only moves on: Open, Closing,
//! Ended; what each means is in the head of the executor's module.

use crate::sync::{AtomicU32, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Phase {
    Open = 0,
    Closing = 1,
    Ended = 2,
}

pub(crate) struct Life(AtomicU32);

impl Life {
    pub(crate) fn new() -> Life {
        Life(AtomicU32::new(Phase::Open as u32))
    }

    pub(crate) fn phase(&self) -> Phase {
        // Acquire: pairs with the exchange in `advance`; what it announces is seen.
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Closing,
            _ => Phase::Ended,
        }
    }

    /// Moves on by one phase; false if it was not in `from`.
    pub(crate) fn advance(&self, from: Phase) -> bool {
        let next = from as u32 + 1;
        // AcqRel: pairs with `phase`.
        self.0.compare_exchange(from as u32, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// CFUT_SHUTDOWN_*.
pub(crate) mod how {
    use crate::error::{Result, fail};

    pub(crate) const CANCEL: u32 = 1;
    pub(crate) const STOP: u32 = 2;
    /// At the end of a wait; comes with STOP, before which it is not worth much.
    pub(crate) const KILL: u32 = 4;
    pub(crate) const TERM: u32 = 8;

    const ALL: u32 = CANCEL | STOP | KILL | TERM;

    pub(crate) fn check(flags: u32) -> Result<()> {
        if flags & !ALL != 0 {
            return fail!(
                Invalid,
                "shutdown flags {flags:#x} have unknown bits; CFUT_SHUTDOWN_* are {ALL:#x}"
            );
        }
        Ok(())
    }
}
