//! How many items are handed out at once, and how many may be outstanding.
//!
//! *Chunk.* A hand-out costs a lock and at most one wake-up: about 10 µs. So each takes about
//! `HAND_OUT_NS` of work, by how long the items that have ended ran, and the cost is a twentieth
//! at most. Items that take longer than that are handed out one by one: a worker that becomes
//! free should find something.
//!
//! *Window.* What is outstanding keeps the workers busy while the reader waits for the oldest and
//! works on it. A few chunks for each worker do; more only takes memory, so the window also ends
//! at `MOST_BYTES` of argument bytes.
//!
//! Until something has ended nothing is known: an array's first hand-out is its window, the
//! items of a source go one by one, for nobody knows how long it takes to ask for the next.

use crate::executor::Executor;
use crate::future::cell::TaskCell;
use crate::future::extra::Spec;
use crate::platform::clock;
use crate::trace::figures::Figure;

/// How much work a hand-out should be.
const HAND_OUT_NS: u64 = 200_000;
const MOST_CHUNK: usize = 1024;
/// Chunks for each worker in a chosen window.
const CHUNKS_PER_WORKER: usize = 4;
const MOST_WINDOW: usize = 16 * 1024;
const MOST_BYTES: usize = 64 << 20;

pub(crate) struct Pace {
    /// As it was asked for.
    chunk: Option<usize>,
    window: Option<usize>,
    workers: usize,
    /// Bytes of an item, about.
    bytes: usize,
    /// How long an item runs lately, in ticks; None before one has ended.
    run: Option<u64>,
}

impl Pace {
    pub(crate) fn new(executor: Executor<'_>, spec: Option<&Spec>, bytes: usize) -> Pace {
        let workers = executor.figure(Figure::MaxWorkers).unwrap_or(1);
        let (chunk, window) = spec.map_or((0, 0), |spec| (spec.chunk, spec.window));
        Pace {
            chunk: usize::try_from(chunk).ok().filter(|&chunk| chunk > 0),
            window: match window {
                0 => None,
                some => Some(usize::try_from(some).unwrap_or(usize::MAX)),
            },
            workers: usize::try_from(workers).unwrap_or(1).clamp(1, MOST_WINDOW),
            bytes,
            run: None,
        }
    }

    /// Nobody reads any more: many at once.
    pub(super) fn unbound(&mut self) {
        self.window = Some(MOST_WINDOW);
    }

    /// An item was pulled.
    pub(super) fn note_bytes(&mut self, bytes: usize) {
        self.bytes = if self.bytes == 0 { bytes } else { (self.bytes * 7 + bytes).div_ceil(8) };
    }

    /// An item has been read.
    pub(super) fn note(&mut self, cell: &TaskCell) {
        if self.chunk.is_none() && cell.has_run() {
            let (_, ran) = cell.durations();
            self.note_run(ran);
        }
    }

    fn note_run(&mut self, ran: u64) {
        self.run = Some(self.run.map_or(ran, |run| run - run / 8 + ran / 8));
    }

    /// A number was asked for: each hand-out has so many.
    pub(super) fn is_exact(&self) -> bool {
        self.chunk.is_some()
    }

    /// How many are handed out at once; `known`: they are there and need not be asked for.
    pub(super) fn chunk(&self, known: bool) -> usize {
        let most = self.window.unwrap_or(usize::MAX);
        if let Some(chunk) = self.chunk {
            return chunk.min(most);
        }
        match self.run {
            Some(_) => self.chosen(),
            None if known => self.window(),
            None => 1,
        }
    }

    fn chosen(&self) -> usize {
        let run = clock::ticks_to_ns(self.run.unwrap_or(u64::MAX)).max(1);
        let most = self.window.map_or(MOST_CHUNK, |window| (window / CHUNKS_PER_WORKER).max(1));
        usize::try_from(HAND_OUT_NS / run).unwrap_or(most).clamp(1, most)
    }

    /// How many may be handed out and not read.
    pub(super) fn window(&self) -> usize {
        if let Some(window) = self.window {
            return window;
        }
        let chunk = match (self.chunk, self.run) {
            (Some(chunk), _) => chunk,
            (None, Some(_)) => self.chosen(),
            (None, None) => 1,
        };
        let few = self.workers.saturating_mul(CHUNKS_PER_WORKER);
        let by_bytes = MOST_BYTES / self.bytes.max(1);
        let window = few.saturating_mul(chunk).min(MOST_WINDOW).min(by_bytes);
        // A worker that ends one should find another, however large they are.
        window.max(self.workers.saturating_mul(2)).max(self.chunk.unwrap_or(1))
    }

    /// Whether items that were pulled since then should wait no longer for others.
    pub(super) fn is_late(&self, since: u64) -> bool {
        const PATIENCE_NS: u64 = HAND_OUT_NS / 4;
        !self.is_exact() && clock::ticks().saturating_sub(since) > clock::about_ticks(PATIENCE_NS)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn pace(chunk: Option<usize>, window: Option<usize>) -> Pace {
        Pace { chunk, window, workers: 4, bytes: 8, run: None }
    }

    #[test]
    fn short_items_go_in_large_chunks() {
        let mut pace = pace(None, None);
        assert_eq!((pace.window(), pace.chunk(true), pace.chunk(false)), (16, 16, 1));
        pace.note_run(clock::ns_to_ticks(10_000));
        assert!((15..=25).contains(&pace.chunk(true)), "{}", pace.chunk(true));
        assert_eq!(pace.window(), 16 * pace.chunk(true));
        for _ in 0..100 {
            pace.note_run(0);
        }
        assert_eq!((pace.chunk(false), pace.window()), (MOST_CHUNK, MOST_WINDOW));
        for _ in 0..100 {
            pace.note_run(clock::ns_to_ticks(10_000_000));
        }
        assert_eq!((pace.chunk(true), pace.window()), (1, 16));
    }

    #[test]
    fn what_is_asked_for_is_so() {
        assert_eq!((pace(Some(3), None).chunk(true), pace(Some(3), None).window()), (3, 48));
        assert_eq!((pace(Some(9), Some(8)).chunk(false), pace(Some(9), Some(8)).window()), (8, 8));
        let mut chosen = pace(None, Some(8));
        chosen.note_run(0);
        assert_eq!((chosen.chunk(true), chosen.window()), (2, 8));
        assert_eq!(pace(None, Some(usize::MAX)).chunk(true), usize::MAX);
    }

    #[test]
    fn large_items_are_few() {
        let mut pace = pace(None, None);
        pace.bytes = 1 << 30;
        assert_eq!(pace.window(), 8);
    }
}
