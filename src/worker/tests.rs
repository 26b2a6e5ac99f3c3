//! A supervisor and a worker, driven by hand.

use crate::platform::clock::Instant;
use crate::platform::socket::{MOST_FDS, Socket};
use crate::platform::spawn::{self, Program, SOCKET};
use crate::platform::{module, process};
use crate::transport::bytes::Sink;
use crate::transport::config::{StartMethod, Texts, WorkerConfig};
use crate::transport::control::{Message, PACKET, Role};
use crate::transport::frame::{self, Ended, Payload, RESULT_HEAD, ResultHead, TaskHead};
use crate::transport::function::FunctionRef;
use crate::transport::link::{HostSide, Link, PROTOCOL};
use std::ffi::{CStr, CString};

/// cargo builds it two directories above the tests'.
fn program() -> CString {
    let own = module::own_program().expect("a path");
    let own = std::path::PathBuf::from(own.as_c_str().to_str().expect("UTF-8"));
    let place = own.parent().and_then(|deps| deps.parent()).expect("target/debug");
    CString::new(place.join("cfutures-worker").to_str().expect("UTF-8")).expect("no NUL")
}

fn receive<R>(socket: &Socket, look: impl FnOnce(Message<'_>) -> R) -> R {
    let deadline = Instant::now().plus(60_000_000_000);
    assert_eq!(socket.wait_readable(Some(deadline)), Ok(true));
    let mut packet = [0; PACKET];
    let mut fds = [const { None }; MOST_FDS];
    let length = socket.receive(&mut packet, &mut fds).expect("a packet").expect("not the end");
    look(Message::decode(&packet[..length]).expect("a message"))
}

struct Pool {
    control: Socket,
    socket: Socket,
    host: HostSide,
}

/// Executes the program as a supervisor, told so in this protocol; our end of its socket.
fn execute(method: StartMethod, protocol: u32) -> Socket {
    let path = program();
    if !module::is_program(&path) {
        panic!("{path:?} is not there; cargo build --bins makes it");
    }
    let mut argv = Vec::new();
    let mut envp = Vec::new();
    let environment: Vec<&CStr> = process::environment().collect();
    let config = WorkerConfig {
        name: c"hand",
        start_method: method,
        depth: 1,
        nice: None,
        output: 0,
        memory_limit: 0,
        cpu_limit: 0,
        rss_limit: 0,
        spin_ns: 0,
        initializer: None,
        program: &path,
        preload: Texts::NONE,
        argv: Texts::collect([&*path], &mut argv).expect("memory"),
        envp: Texts::collect(environment.iter().copied(), &mut envp).expect("memory"),
    };
    let config = config.store().expect("a config");
    let (control, theirs) = Socket::pair().expect("a pair");
    let nonce = [7; 16];
    let start = Message::Start { nonce, protocol, version: 0, role: Role::Supervisor, depth: 1 };
    control.send(start.encode().as_bytes(), &[&config]).expect("sent");
    let entry = crate::transport::entry::Entry::new(SOCKET, &nonce);
    let mut all = environment.clone();
    all.push(entry.as_c_str());
    spawn::exec_detached(&Program {
        path: &path,
        argv: &[&path],
        envp: &all,
        directory: None,
        socket: theirs.fd(),
    })
    .expect("executed");
    control
}

impl Pool {
    fn start(method: StartMethod) -> Pool {
        let control = execute(method, PROTOCOL);
        // Signs of life come before.
        let ready = |message: Message<'_>| match message {
            Message::Bell => false,
            Message::Ready { .. } => true,
            other => panic!("{other:?}"),
        };
        while !receive(&control, ready) {}
        let host = Link::create(c"hand").expect("a link");
        let (socket, theirs) = Socket::pair().expect("a pair");
        let spawn = Message::Spawn { worker: 0, generation: 0 };
        control.send(spawn.encode().as_bytes(), &[theirs.fd(), host.link.fd()]).expect("sent");
        receive(&control, |message| assert!(matches!(message, Message::Spawned { .. })));
        let mut pool = Pool { control, socket, host };
        assert_eq!(pool.record().0, frame::READY);
        pool
    }

    fn record(&mut self) -> (u16, Vec<u8>) {
        loop {
            if self.host.link.bells().announce_wait(&mut self.host.results).expect("sound") {
                let record = self.host.results.peek().expect("sound").expect("one");
                let mut bytes = std::vec![0; record.length as usize];
                assert!(record.read(0, &mut bytes));
                let kind = record.kind;
                self.host.results.advance();
                self.host.link.bells().room_made();
                return (kind, bytes);
            }
            receive(&self.socket, |message| assert!(matches!(message, Message::Bell)));
        }
    }

    fn push(&mut self, kind: u16, parts: &[&[u8]]) {
        assert!(self.host.tasks.push(kind, 0, parts).expect("sound"));
        self.host.link.bells().ring_worker();
    }

    fn define(&mut self, number: u32, name: &[u8]) {
        let mut bytes = Vec::new();
        bytes.u32(number).expect("memory");
        FunctionRef::Named(name).encode(&mut bytes).expect("memory");
        self.push(frame::DEFINE, &[&bytes]);
    }

    fn run(&mut self, slot: u32, data: &[u8]) -> (ResultHead, Vec<u8>) {
        self.host.link.slot(slot).expect("a slot").hand();
        let head = TaskHead {
            slot,
            function: 0,
            length: data.len() as u64,
            output_limit: -1,
            ..TaskHead::default()
        };
        self.push(frame::TASK, &[&head.encode(), data]);
        let (kind, bytes) = self.record();
        assert_eq!(kind, frame::RESULT);
        let head = bytes.first_chunk::<RESULT_HEAD>().expect("a head");
        let head = ResultHead::decode(head, bytes.len()).expect("a head");
        self.host.link.slot(slot).expect("a slot").clear();
        (head, bytes[RESULT_HEAD..].to_vec())
    }
}

fn tasks_are_run(method: StartMethod) {
    let mut pool = Pool::start(method);
    // As a task it answers with something else than 0 or -1, and needs no promise.
    pool.define(0, b"libc.so.6:getpid");
    let (head, _) = pool.run(3, b"abc");
    assert_eq!((head.slot, head.ended, head.payload), (3, Ended::Failed, Payload::None));
    assert!(head.code > 1);
    pool.define(0, b"libc.so.6:cfut_none");
    let (head, text) = pool.run(4, b"");
    assert_eq!((head.slot, head.ended, head.code), (4, Ended::Failed, -8));
    assert!(text.windows(9).any(|part| part == b"cfut_none"));
    pool.push(frame::EXIT, &[]);
    receive(&pool.control, |message| {
        assert!(matches!(message, Message::Exited { status: 0, worker: 0, .. }), "{message:?}");
    });
}

#[test]
fn forked_workers_run_tasks() {
    tasks_are_run(StartMethod::ForkServer);
}

#[test]
fn executed_workers_run_tasks() {
    tasks_are_run(StartMethod::Spawn);
}

/// A library of another version finds out at once, in words.
#[test]
fn a_pool_of_another_version_is_refused() {
    let control = execute(StartMethod::ForkServer, PROTOCOL + 1);
    receive(&control, |message| {
        let Message::Refused { code, text } = message else { panic!("{message:?}") };
        let text = String::from_utf8_lossy(text);
        assert_eq!(code, super::code::NOT_SUPPORTED);
        let protocols = std::format!(
            "protocol {PROTOCOL}, the library of the pool with protocol {}",
            PROTOCOL + 1
        );
        assert!(text.contains(&protocols) && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    });
}
