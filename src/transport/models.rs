//! Models of the link: the code of this room over memory in which two users of a cell at once
//! are a finding. Processes are threads; a lost wake-up shows as a deadlock.

use super::cells::Cells;
use super::frame::{RESULT, TASK};
use super::ring::{Consumer, Damaged, Indices, Memory, Producer};
use super::sleep::{Bells, Woken};
use super::slot::{EMPTY, HANDED, REVOKED, STARTED, Slot};
use crate::sync::explore;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::cell::Cell;
use std::sync::Arc;

/// The smallest ring: four cells.
const SMALL: usize = 64;

fn ring(memory: &Cells) -> (Producer<Cells>, Consumer<Cells>) {
    // SAFETY: new memory, one of each.
    unsafe { (Producer::new(memory.clone()), Consumer::new(memory.clone())) }
}

fn push<M: Memory>(producer: &mut Producer<M>, kind: u16, payload: &[u8]) {
    while !producer.push(kind, 0, &[payload]).expect("a sound ring") {
        thread::yield_now();
    }
}

/// The kind of the oldest record, which must hold `payload`.
fn pop(consumer: &mut Consumer<Cells>, payload: &[u8]) -> Option<u16> {
    let record = consumer.peek().expect("a sound ring")?;
    let mut seen = [0; 16];
    assert_eq!(record.length as usize, payload.len());
    assert!(record.read(0, &mut seen[..payload.len()]));
    assert_eq!(&seen[..payload.len()], payload);
    let kind = record.kind;
    consumer.advance();
    Some(kind)
}

/// Records that do not fit go round the end, and wait for room: each arrives, whole and in order.
#[test]
fn ring_around_the_end() {
    explore(Some(3), || {
        let (mut producer, mut consumer) = ring(&Cells::new(SMALL));
        let payloads: [&[u8]; 4] = [&[1; 16], &[], &[3; 16], &[4; 7]];
        let writer = thread::spawn(move || {
            for (kind, payload) in payloads.into_iter().enumerate() {
                push(&mut producer, kind as u16, payload);
            }
        });
        for (kind, payload) in payloads.into_iter().enumerate() {
            loop {
                match pop(&mut consumer, payload) {
                    Some(found) => break assert_eq!(found, kind as u16),
                    None => thread::yield_now(),
                }
            }
        }
        assert!(!consumer.has_record().expect("a sound ring"));
        writer.join().unwrap();
    });
}

/// Memory of a producer that is killed after some steps: what it would do later is not done.
struct Dying {
    memory: Cells,
    left: Cell<u32>,
    nowhere: Indices,
}

impl Dying {
    fn lives(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

// SAFETY: as Cells.
unsafe impl Memory for Dying {
    fn capacity(&self) -> u64 {
        self.memory.capacity()
    }

    fn indices(&self) -> &Indices {
        if self.lives() { self.memory.indices() } else { &self.nowhere }
    }

    fn load_head(&self, at: u64) -> [u64; 2] {
        self.memory.load_head(at)
    }

    unsafe fn store_head(&self, at: u64, words: [u64; 2]) {
        if self.lives() {
            // SAFETY: by the contract.
            unsafe { self.memory.store_head(at, words) };
        }
    }

    unsafe fn write(&self, at: u64, bytes: &[u8]) {
        // Byte by byte: a copy may end in the middle.
        for (offset, byte) in bytes.iter().enumerate() {
            if self.lives() {
                self.memory.fill(at + offset as u64, &[*byte]);
            }
        }
    }

    unsafe fn read(&self, at: u64, into: &mut [u8]) {
        self.memory.copy(at, into);
    }

    unsafe fn address(&self, _: u64) -> *const u8 {
        unreachable!("models read")
    }
}

/// A producer that stops after any step leaves whole records, and a ring that is sound.
#[test]
fn dying_producer() {
    const STEPS: u32 = 14;
    for steps in 0..STEPS {
        explore(None, move || {
            let memory = Cells::new(SMALL);
            let (_, mut consumer) = ring(&memory);
            let victim = thread::spawn(move || {
                let memory = Dying { memory, left: Cell::new(steps), nowhere: Indices::default() };
                // SAFETY: the ring's only producer.
                let mut producer = unsafe { Producer::new(memory) };
                for payload in [&[1; 4][..], &[2; 4][..]] {
                    let _ = producer.push(payload[0].into(), 0, &[payload]);
                }
            });
            let mut seen = 0u8;
            let mut look = |consumer: &mut Consumer<Cells>| {
                while let Some(kind) = pop(consumer, &[seen + 1; 4]) {
                    seen += 1;
                    assert_eq!(kind, u16::from(seen));
                }
            };
            look(&mut consumer);
            victim.join().unwrap();
            look(&mut consumer);
            // A head, four bytes and the index make a record.
            assert_eq!(u32::from(seen), steps / 6);
        });
    }
}

/// What both sides of a modelled link have.
struct Both {
    bells: Bells,
    slot: Slot,
    /// Stands for the socket: whether a BELL lies in it.
    socket: Mutex<bool>,
    readable: Condvar,
}

fn both() -> Arc<Both> {
    Arc::new(Both {
        bells: Bells::default(),
        slot: Slot::default(),
        socket: Mutex::new(false),
        readable: Condvar::new(),
    })
}

impl Both {
    fn send_bell(&self) {
        *self.socket.lock().unwrap() = true;
        self.readable.notify_one();
    }

    /// Host: sleeps until there is a result, and is told by BELLs alone.
    fn sleep_for_results(&self, results: &mut Consumer<Cells>) {
        while !self.bells.announce_wait(results).expect("a sound ring") {
            let mut rung = self.socket.lock().unwrap();
            while !*rung {
                rung = self.readable.wait(rung).unwrap();
            }
            *rung = false;
        }
        self.bells.end_wait();
    }
}

/// The worker sleeps for each of two tasks, while the host gives them.
#[test]
fn worker_sleeps() {
    for spin_ns in [0, 1] {
        explore(Some(3), move || {
            let (mut producer, mut consumer) = ring(&Cells::new(SMALL));
            let both = both();
            let hosts = Arc::clone(&both);
            let host = thread::spawn(move || {
                for kind in 1..=2 {
                    push(&mut producer, kind, &[]);
                    hosts.bells.ring_worker();
                }
            });
            for kind in 1..=2 {
                let woken = both.bells.wait_for_task(&mut consumer, spin_ns, None);
                assert_eq!(woken, Ok(Woken::Ready));
                assert_eq!(pop(&mut consumer, &[]), Some(kind));
            }
            host.join().unwrap();
        });
    }
}

/// The host sleeps for each of two results, while the worker gives them.
#[test]
fn host_sleeps() {
    explore(Some(3), || {
        let (mut producer, mut consumer) = ring(&Cells::new(SMALL));
        let both = both();
        let workers = Arc::clone(&both);
        let worker = thread::spawn(move || {
            for kind in 1..=2 {
                push(&mut producer, kind, &[]);
                if workers.bells.bell_needed() {
                    workers.send_bell();
                }
            }
        });
        let mut seen = 0;
        while seen < 2 {
            both.sleep_for_results(&mut consumer);
            while let Some(kind) = pop(&mut consumer, &[]) {
                seen += 1;
                assert_eq!(kind, seen);
            }
        }
        worker.join().unwrap();
    });
}

/// The worker sleeps for room among the results, the host for results: neither waits for ever.
#[test]
fn full_results() {
    explore(Some(2), || {
        let (mut producer, mut consumer) = ring(&Cells::new(SMALL));
        let both = both();
        let workers = Arc::clone(&both);
        let worker = thread::spawn(move || {
            for kind in 1..=3 {
                while !producer.push(kind, 0, &[&[0; 16]]).expect("a sound ring") {
                    let woken = workers.bells.wait_for_room(&mut producer, 16, None);
                    assert_eq!(woken, Ok(Woken::Ready));
                }
                if workers.bells.bell_needed() {
                    workers.send_bell();
                }
            }
        });
        let mut seen = 0;
        while seen < 3 {
            both.sleep_for_results(&mut consumer);
            while let Some(kind) = pop(&mut consumer, &[0; 16]) {
                seen += 1;
                assert_eq!(kind, seen);
            }
            both.bells.room_made();
        }
        worker.join().unwrap();
    });
}

/// The host takes a task back while the worker comes to it: it runs if and only if the host was
/// too late. Then the slot serves a second task.
#[test]
fn start_against_revoke() {
    const RAN: u16 = RESULT;
    const SKIPPED: u16 = RESULT + 1;
    explore(Some(3), || {
        let (mut tasks, mut given) = ring(&Cells::new(SMALL));
        let (mut answers, mut results) = ring(&Cells::new(SMALL));
        let both = both();
        let workers = Arc::clone(&both);
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                let woken = workers.bells.wait_for_task(&mut given, 0, None);
                assert_eq!(woken, Ok(Woken::Ready));
                assert_eq!(pop(&mut given, &[]), Some(TASK));
                let answer = if workers.slot.start(7) { RAN } else { SKIPPED };
                push(&mut answers, answer, &[]);
                if workers.bells.bell_needed() {
                    workers.send_bell();
                }
            }
        });
        for revokes in [true, false] {
            both.slot.hand();
            push(&mut tasks, TASK, &[]);
            both.bells.ring_worker();
            let revoked = revokes && both.slot.revoke();
            both.sleep_for_results(&mut results);
            let answer = pop(&mut results, &[]).expect("a result");
            assert_eq!(answer, if revoked { SKIPPED } else { RAN });
            let expected = if revoked { REVOKED } else { STARTED };
            assert_eq!(both.slot.clear(), expected);
            assert!(!both.slot.revoke() && both.slot.state() == EMPTY);
        }
        worker.join().unwrap();
        both.slot.hand();
        assert_eq!(both.slot.state(), HANDED);
    });
}

/// A reader that is told of records that were not written says so.
#[test]
fn liar() {
    explore(None, || {
        let memory = Cells::new(SMALL);
        let (_, mut consumer) = ring(&memory);
        let liar = thread::spawn(move || memory.indices().set(0, 16));
        let _ = consumer.has_record();
        liar.join().unwrap();
        assert_eq!(consumer.peek().err(), Some(Damaged("a record whose head is not one")));
    });
}
