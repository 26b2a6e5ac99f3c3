//! One reading of a future's word: its bits by name.

use std::fmt;

/// Where a future is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Life {
    Pending = 0,
    Running = 1,
    Cancelled = 2,
    Finished = 3,
}

/// How a future ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Outcome {
    Succeeded = 0,
    Failed = 1,
    Cancelled = 2,
    Crashed = 3,
    Expired = 4,
    Broken = 5,
}

impl Outcome {
    fn from_bits(bits: u32) -> Outcome {
        match bits & 7 {
            0 => Outcome::Succeeded,
            1 => Outcome::Failed,
            2 => Outcome::Cancelled,
            3 => Outcome::Crashed,
            4 => Outcome::Expired,
            _ => Outcome::Broken,
        }
    }

    fn life(self) -> Life {
        if self == Outcome::Cancelled { Life::Cancelled } else { Life::Finished }
    }
}

pub(super) const LIFE: u32 = 0b11;
pub(super) const OUTCOME_AT: u32 = 2;
pub(super) const OUTCOME: u32 = 0b111 << OUTCOME_AT;
pub(crate) const WAITERS: u32 = 1 << 5;
pub(crate) const HOOKS: u32 = 1 << 6;
pub(crate) const LOCK: u32 = 1 << 7;
pub(crate) const STOP: u32 = 1 << 8;
pub(crate) const IN_TASK: u32 = 1 << 9;
pub(crate) const RECORDED: u32 = 1 << 10;
pub(crate) const DRAINING: u32 = 1 << 11;
pub(crate) const EXTRA: u32 = 1 << 12;
pub(crate) const TAKEN: u32 = 1 << 13;
pub(crate) const DETACHED: u32 = 1 << 14;
/// The same bit of a settled word.
pub(crate) const SEEN: u32 = DETACHED;
pub(crate) const ARGS: u32 = 1 << 15;
pub(crate) const LATE: u32 = 1 << 16;
pub(crate) const RAN: u32 = 1 << 17;
pub(super) const CLASS_AT: u32 = 18;
pub(super) const CLASS: u32 = 0b111 << CLASS_AT;
pub(super) const KIND_AT: u32 = 21;
pub(super) const KIND: u32 = 0b111 << KIND_AT;
pub(super) const LOCK_AWAITED: u32 = 1 << 24;
pub(super) const PAYLOAD_AT: u32 = 25;
pub(super) const PAYLOAD: u32 = 0b111_1111 << PAYLOAD_AT;

/// What `start` sets.
pub(super) const STARTED: u32 = Life::Running as u32 | IN_TASK | RAN;

/// What giving the lock back clears.
pub(super) const UNLOCK: u32 = LOCK | LOCK_AWAITED;

pub(super) const ONE_REF: u64 = 1 << 32;
pub(super) const REFS: u64 = !0 << 32;

/// The word of a cell whose memory has gone back. No live word looks like it: it has no
/// references.
pub(super) const DEAD: u64 = 0x0000_0000_ffff_ffff;

/// Payload and inline length as they stand in the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PayloadBits(pub(super) u32);

impl PayloadBits {
    pub(crate) const NONE: PayloadBits = PayloadBits(0);

    pub(crate) fn new(payload: u32, inline_length: usize) -> PayloadBits {
        let length = (inline_length.max(1) - 1) as u32;
        PayloadBits(((payload & 7) | (length & 15) << 3) << PAYLOAD_AT)
    }
}

/// What the word was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(pub(super) u64);

impl Snapshot {
    #[inline(always)]
    pub(crate) fn low(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(crate) fn has(self, flags: u32) -> bool {
        self.low() & flags != 0
    }

    #[inline(always)]
    pub(crate) fn refs(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn life(self) -> Life {
        match self.low() & LIFE {
            0 => Life::Pending,
            1 => Life::Running,
            2 => Life::Cancelled,
            _ => Life::Finished,
        }
    }

    #[inline(always)]
    pub(crate) fn is_settled(self) -> bool {
        self.low() & 0b10 != 0
    }

    #[inline(always)]
    pub(crate) fn is_pending(self) -> bool {
        self.low() & LIFE == 0
    }

    #[inline(always)]
    pub(crate) fn outcome(self) -> Outcome {
        Outcome::from_bits(self.low() >> OUTCOME_AT)
    }

    /// It has no extras, and no outcome other than success.
    #[inline(always)]
    pub(crate) fn is_bare(self) -> bool {
        !self.has(EXTRA | OUTCOME)
    }

    /// An outcome other than success is chosen.
    #[inline(always)]
    pub(crate) fn may_fail(self) -> bool {
        self.has(OUTCOME)
    }

    /// How a task ends whose function has returned 0.
    #[inline(always)]
    pub(crate) fn recorded_outcome(self) -> Outcome {
        if self.has(RECORDED) { self.outcome() } else { Outcome::Succeeded }
    }

    pub(crate) fn class(self) -> u32 {
        (self.low() & CLASS) >> CLASS_AT
    }

    pub(crate) fn kind(self) -> u32 {
        (self.low() & KIND) >> KIND_AT
    }

    pub(crate) fn payload(self) -> u32 {
        self.low() >> PAYLOAD_AT & 7
    }

    pub(crate) fn inline_length(self) -> usize {
        (self.low() >> (PAYLOAD_AT + 3)) as usize + 1
    }

    /// At the end of its life: nothing but the block itself is to be freed. (Payloads and
    /// kinds from 4 on have something beside it.)
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        const HIGH_PAYLOAD: u32 = 0b100 << PAYLOAD_AT;
        const HIGH_KIND: u32 = 0b100 << KIND_AT;
        self.low() & (EXTRA | ARGS | HIGH_PAYLOAD | HIGH_KIND) == 0
    }

    /// The same of a cell of the first class that has succeeded, or has not settled.
    #[inline(always)]
    pub(crate) fn is_small(self) -> bool {
        const HIGH_PAYLOAD: u32 = 0b100 << PAYLOAD_AT;
        const HIGH_KIND: u32 = 0b100 << KIND_AT;
        self.low() & (EXTRA | ARGS | HIGH_PAYLOAD | HIGH_KIND | CLASS | OUTCOME) == 0
    }

    /// A success without extras whose result is of the kind `payload`.
    #[inline(always)]
    pub(crate) fn is_plain_success(self, payload: u32) -> bool {
        const KIND_OF_PAYLOAD: u32 = 0b111 << PAYLOAD_AT;
        self.low() & (LIFE | OUTCOME | EXTRA | KIND_OF_PAYLOAD)
            == Life::Finished as u32 | payload << PAYLOAD_AT
    }

    /// The only reference is left to a plain cell of the first class that has succeeded.
    #[inline(always)]
    pub(crate) fn is_last_of_small(self) -> bool {
        const HIGH_PAYLOAD: u32 = 0b100 << PAYLOAD_AT;
        const HIGH_KIND: u32 = 0b100 << KIND_AT;
        const OTHERS: u64 = (EXTRA | ARGS | HIGH_PAYLOAD | HIGH_KIND | CLASS | OUTCOME) as u64;
        self.0 & (REFS | OTHERS) == ONE_REF
    }

    #[inline(always)]
    pub(super) fn with(self, set: u32, clear: u32) -> Snapshot {
        Snapshot(self.0 & !u64::from(clear) | u64::from(set))
    }

    #[inline(always)]
    pub(super) fn settled_as(self, outcome: Outcome) -> Snapshot {
        self.with(outcome.life() as u32 | (outcome as u32) << OUTCOME_AT, LIFE | OUTCOME)
    }
}

impl fmt::Debug for Snapshot {
    /// The decoded word, flag by flag.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == DEAD {
            return out.write_str("<freed>");
        }
        write!(out, "{:?}", self.life())?;
        if self.is_settled() || self.has(RECORDED) {
            write!(out, " {:?}", self.outcome())?;
        }
        for (flag, name) in [
            (WAITERS, "waiters"),
            (HOOKS, "hooks"),
            (LOCK, "locked"),
            (STOP, "stop-requested"),
            (IN_TASK, "in-task"),
            (RECORDED, "recorded"),
            (DRAINING, "draining"),
            (EXTRA, "extra"),
            (TAKEN, "taken"),
            (DETACHED, "detached"),
            (ARGS, "args"),
            (LATE, "late"),
            (RAN, "ran"),
            (LOCK_AWAITED, "lock-awaited"),
        ] {
            if self.has(flag) {
                write!(out, " {name}")?;
            }
        }
        write!(
            out,
            " kind={} class={} payload={} refs={}",
            self.kind(),
            self.class(),
            self.payload(),
            self.refs()
        )
    }
}
