//! Property tests of the readers, and tests of links, areas and the platform under them.

use super::areas::{AreaCache, AreaPool};
use super::config::{Initializer, StartMethod, Texts, WorkerConfig};
use super::control::{Message, Role};
use super::frame::*;
use super::function::FunctionRef;
use super::fuzzing;
use super::link::{HostSide, Link, RING, SLOTS, WorkerSide};
use super::program::Step;
use super::ring::Damaged;
use super::sleep::Woken;
use super::slot::{EMPTY, REVOKED, STARTED};
use crate::platform::Errno;
use crate::platform::area::Area;
use crate::platform::clock::Instant;
use crate::platform::shm::Shm;
use crate::sync::Ordering;
use proptest::prelude::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

/// The words of a record's head that is sound, for a payload of this length.
fn sound_head(length: u32, kind: u16) -> Vec<u8> {
    let words = [length, kind.into(), length ^ u32::from(kind) ^ 0x5CF0_7E57, 0];
    words.map(u32::to_ne_bytes).concat()
}

/// Records that look right, with anything between them.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let record =
        (0u32..48, prop_oneof![9 => 0u16..4, 1 => Just(0xFFFF)]).prop_map(|(length, kind)| {
            let mut record = sound_head(length, kind);
            record.resize(16 + length.next_multiple_of(16) as usize, 7);
            record
        });
    let piece = prop_oneof![8 => record, 1 => bytes(20)];
    (
        prop_oneof![8 => (0u64..17).prop_map(|units| units * 16), 1 => any::<u64>()],
        proptest::collection::vec(piece, 0..8),
    )
        .prop_map(|(tail, pieces)| [tail.to_ne_bytes().to_vec(), pieces.concat()].concat())
}

/// 32-bit words, most of them small, as in the messages.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![6 => 0u32..12, 1 => any::<u32>()];
    proptest::collection::vec(word, 0..40)
        .prop_map(|words| words.into_iter().flat_map(u32::to_ne_bytes).collect())
}

#[cfg(not(miri))]
const CASES: u32 = 256;
#[cfg(miri)]
const CASES: u32 = 4;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ring(steps in bytes(400)) {
        fuzzing::ring(&steps);
    }

    #[test]
    fn hostile_ring(content in records()) {
        fuzzing::hostile_ring(&content);
    }

    #[test]
    #[cfg_attr(miri, ignore)] // maps memory
    fn hostile_worker(steps in bytes(2000)) {
        fuzzing::hostile_worker(&steps);
    }

    #[test]
    fn frames(content in words(), more in bytes(64)) {
        fuzzing::frame(&content);
        fuzzing::frame(&[content, more].concat());
    }

    #[test]
    fn packets(content in words(), more in bytes(8)) {
        fuzzing::control(&content);
        fuzzing::control(&[content, more].concat());
    }

    #[test]
    fn functions(content in words(), more in bytes(8)) {
        fuzzing::function(&content);
        fuzzing::function(&[content, more].concat());
    }

    #[test]
    fn configs(content in words()) {
        fuzzing::config(&content);
    }

    #[test]
    fn counted(values in bytes(100)) {
        fuzzing::bytes(&values);
    }

    /// What a config holds comes out of it, and no cut of it is a config.
    #[test]
    fn config_round_trip(
        lists in proptest::collection::vec(proptest::collection::vec("[a-z]{0,9}", 0..5), 3),
        numbers in any::<[u64; 4]>(), nice in any::<Option<i32>>(), data in bytes(50), cut in 0usize..400,
        change in any::<(usize, u8)>(),
    ) {
        let texts: Vec<Vec<std::ffi::CString>> = lists.iter()
            .map(|list| list.iter().map(|text| std::ffi::CString::new(text.as_str()).unwrap()).collect())
            .collect();
        let mut memories = [Vec::new(), Vec::new(), Vec::new()];
        let [one, two, three] = &mut memories;
        let collect = |at: usize, memory| {
            Texts::collect(texts[at].iter().map(|text| text.as_c_str()), memory).unwrap()
        };
        let config = WorkerConfig {
            name: c"pool", start_method: StartMethod::Spawn, depth: 3, nice, output: 1,
            memory_limit: numbers[0], cpu_limit: numbers[1], rss_limit: numbers[2],
            spin_ns: numbers[3],
            initializer: Some(Initializer { function: FunctionRef::Named(b"init"), data: &data }),
            program: c"/usr/bin/worker",
            preload: collect(0, one), argv: collect(1, two), envp: collect(2, three),
        };
        let mut out = Vec::new();
        config.encode(&mut out).unwrap();
        fuzzing::config(&out);
        let read = WorkerConfig::decode(&out).expect("a config");
        prop_assert_eq!(read.name, c"pool");
        prop_assert_eq!((read.nice, read.depth, read.output), (nice, 3, 1));
        prop_assert_eq!([read.memory_limit, read.cpu_limit, read.rss_limit, read.spin_ns], numbers);
        prop_assert_eq!(read.initializer, config.initializer);
        for (read, texts) in [read.preload, read.argv, read.envp].into_iter().zip(&texts) {
            prop_assert!(read.eq(texts.iter().map(|text| text.as_c_str())));
        }
        prop_assert!(WorkerConfig::decode(&out[..cut % out.len()]).is_none());
        let place = change.0 % out.len();
        out[place] = change.1;
        fuzzing::config(&out);
    }
}

// ---- messages ----

#[test]
fn packets_round_trip() {
    let text = [b'x'; 500];
    let exited = Message::Exited {
        worker: 1,
        generation: 2,
        pid: 3,
        status: -4,
        user_ns: 5,
        system_ns: 6,
        max_rss: 7,
        oom: 8,
    };
    let all = [
        Message::Start { nonce: [9; 16], protocol: 1, version: 2, role: Role::Worker, depth: 3 },
        Message::Start {
            nonce: [0; 16],
            protocol: 1,
            version: 2,
            role: Role::Supervisor,
            depth: 0,
        },
        Message::Spawn { worker: 1, generation: u32::MAX },
        Message::Kill { worker: 1, generation: 2, signal: 9, tree: true },
        Message::Ready { pid: i32::MAX },
        Message::Refused { code: -3, text: &text[..400] },
        Message::Refused { code: -3, text: b"" },
        Message::Spawned { worker: 1, generation: 2, pid: 3 },
        Message::Execute { worker: 1, generation: 2, input: true, directory: false },
        Message::NotExecuted { worker: 1, generation: 2, step: Step::Directory, errno: 2 },
        Message::NotSpawned { worker: 1, generation: 2, errno: 11 },
        exited,
        Message::Bell,
        Message::Area { id: u64::MAX },
    ];
    for message in all {
        let packet = message.encode();
        assert_eq!(Message::decode(packet.as_bytes()), Some(message));
        for cut in 0..packet.as_bytes().len() {
            assert_ne!(Message::decode(&packet.as_bytes()[..cut]), Some(message));
        }
        assert_eq!(Message::decode(&[packet.as_bytes(), &[0]].concat()), None);
    }
    let long = Message::Refused { code: 1, text: &text }.encode();
    let cut = Message::Refused { code: 1, text: &text[..400] };
    assert_eq!(Message::decode(long.as_bytes()), Some(cut));
}

#[test]
fn functions_round_trip() {
    let named = FunctionRef::Named(b"module.so:symbol");
    let located =
        FunctionRef::Located { main: true, path: b"/bin/x", identity: &[0, 1, 2], offset: 1 << 40 };
    for function in [named, located] {
        let mut out = Vec::new();
        function.encode(&mut out).expect("in bounds");
        fuzzing::function(&out);
        let read = FunctionRef::decode(&mut super::bytes::Reader(&out));
        assert_eq!(read, Some(function));
    }
    let mut out = Vec::new();
    let long = [b'a'; 5000];
    for wrong in [&b""[..], b"a\0b", &long] {
        assert!(FunctionRef::Named(wrong).encode(&mut out).is_none());
    }
}

#[test]
fn heads_out_of_bounds() {
    let task =
        TaskHead { slot: 1, function: 2, length: 5, output_limit: -1, ..TaskHead::default() };
    assert_eq!(TaskHead::decode(&task.encode(), TASK_HEAD + 5), Some(task));
    assert_eq!(TaskHead::decode(&task.encode(), TASK_HEAD + 4), None);
    assert_eq!(TaskHead::decode(&task.encode(), 5), None);
    let far = TaskHead { area: 9, length: 1 << 40, ..task };
    assert_eq!(TaskHead::decode(&far.encode(), TASK_HEAD), Some(far));
    assert_eq!(TaskHead::decode(&far.encode(), TASK_HEAD + 1), None);
    let flags = TaskHead { flags: 2, ..task };
    assert_eq!(TaskHead::decode(&flags.encode(), TASK_HEAD + 5), None);

    let inline = Payload::Inline;
    let result = ResultHead { length: 8, payload: inline, message: 3, ..ResultHead::default() };
    let whole = RESULT_HEAD + 11;
    assert_eq!(ResultHead::decode(&result.encode(), whole), Some(result));
    let wrong = [
        ResultHead { length: 9, ..result },
        ResultHead { length: u64::MAX, ..result },
        ResultHead { message: u32::MAX, ..result },
        ResultHead { payload: Payload::Empty, ..result },
        ResultHead { payload: Payload::Area, ..result },
        ResultHead { ended: Ended::Skipped, ..result },
    ];
    for head in wrong {
        assert_eq!(ResultHead::decode(&head.encode(), whole), None, "{head:?}");
    }
    let long = INLINE_LIMIT as u64 + 1;
    let head = ResultHead { length: long, payload: inline, ..ResultHead::default() };
    assert_eq!(ResultHead::decode(&head.encode(), RESULT_HEAD + INLINE_LIMIT + 1), None);
}

// ---- links ----

fn link() -> (HostSide, WorkerSide) {
    let host = Link::create(c"cfutures-test").expect("memory");
    let worker = Link::open(host.link.fd().duplicate().expect("a descriptor"));
    (host, worker.expect("a link"))
}

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn link_from_end_to_end() {
    let (mut host, mut worker) = link();
    assert!(host.link.slot(SLOTS as u32).is_none());
    let slot = host.link.slot(7).expect("a slot");
    slot.hand();
    let head = TaskHead { slot: 7, length: 5, ..TaskHead::default() };
    assert_eq!(host.tasks.push(TASK, 0, &[&head.encode(), b"hello"]), Ok(true));
    host.link.bells().ring_worker();

    let woken = worker.link.bells().wait_for_task(&mut worker.tasks, 0, None);
    assert_eq!(woken, Ok(Woken::Ready));
    let record = worker.tasks.peek().expect("sound").expect("a record");
    let mut seen = [0; TASK_HEAD];
    assert!(record.kind == TASK && record.read(0, &mut seen));
    assert_eq!(TaskHead::decode(&seen, record.length as usize), Some(head));
    // SAFETY: TASK_HEAD + 5 bytes, in place.
    let data = unsafe { std::slice::from_raw_parts(record.payload().add(TASK_HEAD), 5) };
    assert!(data == b"hello" && data.as_ptr().addr() % 16 == 0);
    let seen = worker.link.slot(7).expect("a slot");
    assert!(seen.start(99) && !slot.revoke());
    slot.raise_stop(2);
    host.link.set_stop_level(1);
    assert_eq!((seen.stop(), worker.link.stop_level()), (2, 1));
    seen.set_progress(3, 4);
    assert_eq!((slot.progress(), slot.started_ns()), ((3, 4), Some(99)));
    worker.tasks.advance();

    assert_eq!(host.link.bells().announce_wait(&mut host.results), Ok(false));
    assert_eq!(worker.results.push(RESULT, 0, &[&ResultHead::default().encode()]), Ok(true));
    assert!(worker.link.bells().bell_needed() && !worker.link.bells().bell_needed());
    assert_eq!(host.link.bells().announce_wait(&mut host.results), Ok(true));
    assert_eq!(host.results.peek().expect("sound").expect("a record").kind, RESULT);
    host.results.advance();
    assert_eq!((slot.clear(), slot.state()), (STARTED, EMPTY));
    slot.hand();
    assert!(slot.revoke() && !seen.start(1) && slot.clear() == REVOKED);
}

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn waits_end_by_their_deadline() {
    let (_host, mut worker) = link();
    let soon = Some(Instant::now().plus(1_000_000));
    let woken = worker.link.bells().wait_for_task(&mut worker.tasks, 1000, soon);
    assert_eq!(woken, Ok(Woken::TimedOut));
    while worker.results.push(NOTE, 0, &[&[0; 1000]]).expect("sound") {}
    let woken = worker.link.bells().wait_for_room(&mut worker.results, 1000, soon);
    assert_eq!(woken, Ok(Woken::TimedOut));
}

/// Through all of a ring many times, with the worker in a thread of its own.
#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn many_records_with_sleeps() {
    const RECORDS: u32 = 20_000;
    let (mut host, mut worker) = link();
    let echo = std::thread::Builder::new().spawn(move || {
        for number in 0..RECORDS {
            let woken = worker.link.bells().wait_for_task(&mut worker.tasks, 0, None);
            assert_eq!(woken, Ok(Woken::Ready));
            let record = worker.tasks.peek().expect("sound").expect("a record");
            let mut payload = vec![0; record.length as usize];
            assert!(record.read(0, &mut payload) && payload.len() as u32 == number % 5000);
            worker.tasks.advance();
            while !worker.results.push(RESULT, 0, &[&payload]).expect("sound") {
                let room = worker.link.bells().wait_for_room(
                    &mut worker.results,
                    payload.len() as u64,
                    None,
                );
                assert_eq!(room, Ok(Woken::Ready));
            }
        }
    });
    let (mut sent, mut seen) = (0, 0);
    let whole: Vec<u8> = (0..5000).map(|at| at as u8).collect();
    while seen < RECORDS {
        while sent < RECORDS
            && host.tasks.push(TASK, 0, &[&whole[..sent as usize % 5000]]).expect("sound")
        {
            sent += 1;
        }
        host.link.bells().ring_worker();
        while let Some(record) = host.results.peek().expect("sound") {
            let mut payload = vec![0; record.length as usize];
            assert!(record.read(0, &mut payload) && payload == whole[..seen as usize % 5000]);
            host.results.advance();
            seen += 1;
        }
        host.link.bells().room_made();
    }
    echo.expect("a thread").join().expect("joined");
}

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn damage_is_told() {
    let (mut host, mut worker) = link();
    let words = worker.link.words();
    // The worker's index of the task ring: ahead of what was written.
    words[16].store(16, Ordering::Relaxed);
    assert_eq!(host.tasks.free(), Err(Damaged("the index of the reading side is impossible")));
    // Its index of the result ring: more than a ring ahead.
    words[64].store(RING as u64 + 16, Ordering::Relaxed);
    let told = Damaged("the index of the writing side is impossible");
    assert_eq!(host.results.peek().err(), Some(told));
    let none = Damaged("a record that no ring takes");
    assert_eq!(worker.results.push(RESULT, 0, &[&[0; RING / 2]]), Err(none));
}

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn what_is_no_link() {
    let small = Shm::create(c"cfutures-test", 4096).expect("memory");
    let fd = small.fd().duplicate().expect("a descriptor");
    assert_eq!(Link::open(fd).err(), Some(Errno(libc::EPROTO)));
    let host = Link::create(c"cfutures-test").expect("memory");
    host.link.words()[1].store(0, Ordering::Relaxed);
    let fd = host.link.fd().duplicate().expect("a descriptor");
    assert_eq!(Link::open(fd).err(), Some(Errno(libc::EPROTO)));
}

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn config_goes_through_memory() {
    let config = WorkerConfig {
        name: c"pool",
        start_method: StartMethod::ForkServer,
        depth: 1,
        nice: None,
        output: 0,
        memory_limit: 0,
        cpu_limit: 0,
        rss_limit: 0,
        spin_ns: 5,
        initializer: None,
        program: c"/bin/worker",
        preload: Texts::NONE,
        argv: Texts::NONE,
        envp: Texts::NONE,
    };
    let fd = config.store().expect("memory");
    // Sealed: nobody maps it for writing any more.
    assert!(Shm::adopt(fd.duplicate().expect("a descriptor")).is_err());
    let shm = Shm::adopt_read_only(fd).expect("a mapping");
    let read = WorkerConfig::open(&shm).expect("a config");
    assert_eq!((read.name, read.program, read.spin_ns), (c"pool", c"/bin/worker", 5));
}

// ---- areas ----

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn areas_are_recycled_and_given_up() {
    let mut pool = AreaPool::new();
    let mut cache = AreaCache::new();
    let first = pool.take(100_000).expect("memory");
    assert!(first.area.size() == 131_072 && !first.area.is_free());
    let id = first.area.id();
    // SAFETY: fresh memory of this size.
    unsafe { first.area.data().as_ptr().add(99_999).write(42) };
    cache.insert(first.descriptor.expect("fresh"), id).expect("an area");
    let seen = cache.get(id).expect("known").clone();
    // SAFETY: as above.
    assert_eq!(unsafe { seen.data().as_ptr().add(99_999).read() }, 42);
    assert_eq!((seen.size(), cache.get(id + 1).is_none()), (131_072, true));

    let second = pool.take(100_000).expect("memory");
    assert!(second.area.id() != id && second.descriptor.is_some());
    seen.mark_free();
    let again = pool.take(70_000).expect("memory");
    assert!(again.area.id() == id && again.descriptor.is_none());
    let other = pool.take(10).expect("memory");
    assert_eq!(other.area.size(), 16 * 1024);

    pool.take_back(&other.area);
    assert!(other.area.is_dead());
    seen.mark_free();
    drop(pool);
    assert!(seen.is_dead() && !second.area.is_dead());
    cache.sweep();
    assert!(cache.get(id).is_none());
    // Still mapped for who keeps it.
    // SAFETY: as above.
    assert_eq!(unsafe { seen.data().as_ptr().add(99_999).read() }, 42);
}

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn large_areas_are_not_kept() {
    let mut pool = AreaPool::new();
    let large = pool.take(65 << 20).expect("memory").area;
    assert_eq!(large.size(), 65 << 20);
    large.mark_free();
    pool.trim();
    assert!(large.is_dead());
}

#[test]
#[cfg_attr(miri, ignore)] // maps memory
fn wrong_areas_are_refused() {
    let mut cache = AreaCache::new();
    let (area, fd) = Area::create(10).expect("memory");
    let copy = fd.duplicate().expect("a descriptor");
    assert_eq!(cache.insert(fd, 0), Err(Errno(libc::EPROTO)));
    cache.insert(copy.duplicate().expect("a descriptor"), area.id()).expect("an area");
    assert_eq!(cache.insert(copy, area.id()), Err(Errno(libc::EPROTO)));
    let small = Shm::create(c"cfutures-test", 100).expect("memory").into_parts().1;
    assert_eq!(cache.insert(small, 5), Err(Errno(libc::EPROTO)));
    assert!(Area::create(usize::MAX).is_err() && Area::create(usize::MAX - 4096).is_err());
}
