//! The readers of this room over bytes that anybody may have written, held against naive twins.
//! For the property tests and the targets of fuzz/; only test and fuzz builds have this file.

use super::bytes::{Reader, Sink};
use super::cells::Cells;
use super::config::{DATA_LIMIT, WorkerConfig};
use super::control::Message;
use super::frame::{
    Ended, INLINE_LIMIT, MESSAGE_LIMIT, Payload, RESULT_HEAD, ResultHead, TASK_HEAD, TaskHead,
};
use super::function::FunctionRef;
use super::link::{Link, RING};
use super::ring::{Consumer, Memory, Producer, Record};
use std::collections::VecDeque;

// ---- rings ----

/// Pushes and pops in any order, and what a queue would do: two bytes a step.
pub fn ring(steps: &[u8]) {
    const CAPACITY: usize = 256;
    let memory = Cells::new(CAPACITY);
    // SAFETY: new memory, one of each.
    let (mut producer, mut consumer) =
        unsafe { (Producer::new(memory.clone()), Consumer::new(memory.clone())) };
    let mut queue = VecDeque::new();
    let (mut begun, mut ended) = (0u64, 0u64);
    for (number, step) in steps.chunks_exact(2).enumerate() {
        if step[0] % 3 != 0 {
            let payload: Vec<u8> = (0..step[1] % 128).map(|at| at ^ number as u8).collect();
            let kind = number as u16 % 1000;
            let halves = payload.split_at(payload.len() / 3);
            let whole = 16 + payload.len().next_multiple_of(16) as u64;
            let to_end = CAPACITY as u64 - ended % CAPACITY as u64;
            let wanted = whole + if whole > to_end { to_end } else { 0 };
            let pushed = producer.push(kind, step[0].into(), &[halves.0, &[], halves.1]);
            match pushed {
                Err(damaged) => {
                    assert!(payload.len() as u64 > producer.limit(), "{damaged:?}");
                }
                Ok(pushed) => {
                    assert_eq!(pushed, CAPACITY as u64 - (ended - begun) >= wanted);
                    if pushed {
                        ended += wanted;
                        queue.push_back((kind, u16::from(step[0]), payload, ended));
                    }
                }
            }
        } else {
            let expected = queue.pop_front();
            assert_eq!(consumer.has_record(), Ok(expected.is_some()));
            let record = consumer.peek().expect("a sound ring");
            assert_eq!(record.is_some(), expected.is_some());
            if let (Some(record), Some((kind, flags, payload, end))) = (record, expected) {
                assert_eq!((record.kind, record.flags), (kind, flags));
                assert_eq!(bytes_of(&record), payload);
                assert_eq!(record.payload().addr() % 16, 0);
                begun = end;
            }
            consumer.advance();
        }
        assert_eq!(producer.free(), Ok(CAPACITY as u64 - (ended - begun)));
    }
}

fn bytes_of<M: Memory>(record: &Record<'_, M>) -> Vec<u8> {
    let mut bytes = vec![0; record.length as usize];
    assert!(record.read(0, &mut bytes));
    assert!(!record.read(1, &mut bytes) || bytes.is_empty());
    bytes
}

/// A record: kind, flags, payload.
type Plain = (u16, u16, Vec<u8>);

/// A ring of any content and any index of its writer: 8 bytes of index, then the content.
pub fn hostile_ring(bytes: &[u8]) {
    const CAPACITY: usize = 256;
    let Some((tail, content)) = bytes.split_at_checked(8) else { return };
    let tail = u64::from_ne_bytes(tail.try_into().expect("eight"));
    let mut whole = [0; CAPACITY];
    let length = content.len().min(CAPACITY);
    whole[..length].copy_from_slice(&content[..length]);
    let memory = Cells::new(CAPACITY);
    memory.fill(0, &whole);
    memory.indices().set(0, tail);
    // SAFETY: one consumer.
    let mut consumer = unsafe { Consumer::new(memory) };
    let mut seen = Vec::new();
    let end = loop {
        match consumer.peek() {
            Ok(None) => break true,
            Err(_) => break false,
            Ok(Some(record)) => seen.push((record.kind, record.flags, bytes_of(&record))),
        }
        consumer.advance();
    };
    assert_eq!((seen, end), naive_records(&whole, tail));
}

/// The records of a ring that has not gone round, and whether it is sound to its end.
fn naive_records(content: &[u8], tail: u64) -> (Vec<Plain>, bool) {
    let mut seen = Vec::new();
    if tail > content.len() as u64 || tail % 16 != 0 {
        return (seen, false);
    }
    let mut rest = &content[..tail as usize];
    while !rest.is_empty() {
        // A head is 16 bytes, and the rest a multiple of them.
        let number = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().expect("four"));
        let (low, high) = (number(0), number(4));
        let sound = number(8) == low ^ high ^ 0x5CF0_7E57 && number(12) == 0;
        let length = low as usize;
        let kind = (high & 0xFFFF) as u16;
        // This ring has not gone round: padding is at its end, with nothing behind it.
        if !sound || kind == 0xFFFF || length > rest.len() - 16 {
            return (seen, false);
        }
        seen.push((kind, (high >> 16) as u16, rest[16..16 + length].to_vec()));
        rest = &rest[16 + length.next_multiple_of(16)..];
    }
    (seen, true)
}

/// A whole link whose worker writes what it likes where it likes while the host works: five
/// bytes a step. Nothing panics, every loop ends, every record is within the ring.
pub fn hostile_worker(steps: &[u8]) {
    let Ok(mut host) = Link::create(c"fuzz") else { return };
    let words = host.link.words();
    for step in steps.chunks_exact(5) {
        let value = u16::from_ne_bytes([step[3], step[4]]);
        match step[0] % 8 {
            0 => drop(host.tasks.push(value, 0, &[&steps[..steps.len().min(64)]])),
            1 => drain(&mut host.results),
            2 => {
                let slot = host.link.slot(value.into());
                assert_eq!(slot.is_some(), value < 256);
                if let Some(slot) = slot {
                    slot.hand();
                    let _ = slot.revoke();
                    slot.clear();
                }
            }
            3 => host.link.bells().ring_worker(),
            4 => drop(host.link.bells().announce_wait(&mut host.results)),
            // The worker: indices of both rings; the start of the results; anywhere.
            kind => {
                let near = u16::from_ne_bytes([step[1], step[2]]) as usize;
                let place = match kind {
                    5 => near % 128,
                    6 => (20480 + RING) / 8 + near % 64,
                    _ => near % words.len(),
                };
                let value = u64::from(value);
                let value = if step[0] & 8 == 0 { value } else { sealed(value) };
                // Relaxed: another process keeps no order either.
                words[place].store(value, crate::sync::Ordering::Relaxed);
            }
        }
    }
    drain(&mut host.results);
}

/// A first word of a record's head, for checks that are only numbers.
fn sealed(length: u64) -> u64 {
    length ^ 0x5CF0_7E57
}

/// As a manager does: until there is no more, or damage, at most one ring's worth.
fn drain<M: Memory>(results: &mut Consumer<M>) {
    for _ in 0..=RING / 16 {
        let Ok(Some(record)) = results.peek() else { return };
        let bytes = bytes_of(&record);
        if let Some((head, _)) = bytes.split_first_chunk::<RESULT_HEAD>() {
            if let Some(head) = ResultHead::decode(head, bytes.len()) {
                assert!(RESULT_HEAD + head.inline() + head.message as usize == bytes.len());
            }
        }
        results.advance();
    }
    panic!("a ring without an end");
}

// ---- messages ----

/// Heads of tasks and results: bytes that decode are what encoding makes, in bounds.
pub fn frame(bytes: &[u8]) {
    if let Some((head, rest)) = bytes.split_first_chunk::<TASK_HEAD>() {
        if let Some(task) = TaskHead::decode(head, bytes.len()) {
            assert!(task.area == 0 && task.length == rest.len() as u64 || rest.is_empty());
            assert_eq!(TaskHead::decode(&task.encode(), bytes.len()), Some(task));
        }
    }
    if let Some((head, rest)) = bytes.split_first_chunk::<RESULT_HEAD>() {
        if let Some(result) = ResultHead::decode(head, bytes.len()) {
            let message = result.message as usize;
            assert_eq!(result.inline() + message, rest.len());
            assert!(result.inline() <= INLINE_LIMIT && message <= MESSAGE_LIMIT);
            assert_eq!(result.area != 0, result.area != 0 && result.inline() == 0);
            if result.ended == Ended::Skipped {
                assert!(rest.is_empty() && result.payload == Payload::None);
            }
            assert_eq!(ResultHead::decode(&result.encode(), bytes.len()), Some(result));
        }
    }
}

/// Packets: one that decodes is the one that its message makes.
pub fn control(packet: &[u8]) {
    if let Some(message) = Message::decode(packet) {
        assert_eq!(message.encode().as_bytes(), packet);
    }
}

/// References to functions: as packets.
pub fn function(bytes: &[u8]) {
    let mut from = Reader(bytes);
    if let Some(function) = FunctionRef::decode(&mut from) {
        let mut again = Vec::new();
        function.encode(&mut again).expect("in bounds");
        assert_eq!(again, bytes[..bytes.len() - from.0.len()]);
    }
}

/// Configs: as packets, but for the value that stands for "no niceness".
pub fn config(bytes: &[u8]) {
    let Some(config) = WorkerConfig::decode(bytes) else { return };
    for texts in [config.preload, config.argv, config.envp] {
        assert_eq!(texts.count(), texts.len());
    }
    assert!(config.initializer.is_none_or(|initializer| initializer.data.len() <= DATA_LIMIT));
    let mut again = Vec::new();
    config.encode(&mut again).expect("in bounds");
    if config.nice.is_some() {
        assert_eq!(again, bytes);
    }
    let again = WorkerConfig::decode(&again).expect("what was encoded");
    assert_eq!((again.name, again.nice, again.depth), (config.name, config.nice, config.depth));
}

/// Any order of `Sink` and `Reader`: what was put is what is taken.
pub fn bytes(values: &[u8]) {
    let mut out = Vec::new();
    for value in values.chunks(7) {
        out.counted(value, 7).expect("memory");
    }
    let mut from = Reader(&out);
    for value in values.chunks(7) {
        assert_eq!(from.counted(7), Some(value));
    }
    assert!(from.is_empty() && from.u32().is_none());
}
