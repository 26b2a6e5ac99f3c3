//! The process between a pool and its workers: makes them, watches their ends, kills them.
//!
//! It is a child of nobody that the host can see, and has one thread. With `ForkServer` it loads
//! the pool's modules once and forks; with `Spawn` it executes the worker program anew for each
//! worker.

use super::bootstrap::Task;
use super::code;
use super::life::{self, Parts};
use super::outbox::Outbox;
use crate::error::{Error, Line, Lossy, Result};
use crate::platform::clock::{self, Instant};
use crate::platform::fault::crash_point;
use crate::platform::fd::Fd;
use crate::platform::poll::{BATCH, Poller};
use crate::platform::process::{self, Reaped};
use crate::platform::shm::Shm;
use crate::platform::socket::{MOST_FDS, Socket};
use crate::platform::spawn::{self, Forked, Program, SOCKET};
use crate::platform::{Errno, module, oom, thread, tree};
use crate::transport::config::{StartMethod, WorkerConfig};
use crate::transport::control::{Message, PACKET, Role};
use crate::transport::entry::{self, Entry, NONCE, Nonce};
use crate::transport::link::PROTOCOL;
use crate::unwind::{self, contain};
use std::ffi::CStr;

/// Runs the supervisor. Not contained: modules that are loaded run code of the user's, and what is
/// forked here does.
pub(super) fn run(task: Task) -> ! {
    let host = task.socket.peer().map(|(pid, _)| pid);
    let mut supervisor = match contain(|| Supervisor::begin(task)) {
        Ok(Some(supervisor)) => supervisor,
        Ok(None) => process::leave(1), // the host sees the end of its socket
        Err(panic) => unwind::die(panic.text()),
    };
    // The program is one for this: what happens from here on is no other program's doing.
    crash_point("begin");
    supervisor.tell(Message::Bell);
    thread::set_name(c"cfut-super");
    let Some(config) = WorkerConfig::open(supervisor.config) else {
        supervisor.refuse(code::SYSTEM, format_args!("the supervisor's configuration is none"));
    };
    let (program, method) = (Executed::of(&config), config.start_method);
    if method == StartMethod::ForkServer {
        for path in config.preload {
            if let Err(reason) = module::load(path) {
                supervisor.refuse(
                    code::NOT_FOUND,
                    format_args!(
                        "CFUT_OPT_PRELOAD {}: {}",
                        Lossy(path.to_bytes()),
                        Lossy(reason.as_bytes())
                    ),
                );
            }
        }
    }
    // What modules have printed would be printed again by each child.
    process::flush_streams();
    let Ok(program) = program else {
        supervisor.refuse(code::NO_MEMORY, format_args!("no memory for the worker's arguments"));
    };
    let Ok(children) = process::watch_children() else {
        supervisor.refuse(code::SYSTEM, format_args!("the supervisor cannot watch processes"));
    };
    let Ok(events) = Events::new(&supervisor.outbox.control, children, host) else {
        supervisor.refuse(code::SYSTEM, format_args!("the supervisor cannot wait for events"));
    };
    crash_point("loaded");
    supervisor.tell(Message::Ready { pid: process::own_id() });
    loop {
        let deed = match contain(|| supervisor.step(&events, &program, method)) {
            Ok(deed) => deed,
            Err(panic) => unwind::die(panic.text()),
        };
        if let Deed::BeWorker { number, socket, link, parent } = deed {
            drop(program);
            drop(events);
            be_worker(supervisor, number, socket, link, parent);
        }
    }
}

/// In the child of a fork: becomes a worker. Not contained.
fn be_worker(supervisor: Supervisor, number: u32, socket: Socket, link: Fd, parent: i32) -> ! {
    let Supervisor { outbox, config, workers } = supervisor;
    drop((outbox, workers));
    process::default_signals();
    process::lead_group(0);
    let end = life::run_parts(Parts { number, socket, link, config, parent });
    process::flush_streams();
    process::leave(end.code())
}

struct Supervisor {
    outbox: Outbox,
    config: &'static Shm,
    workers: Vec<Worker>,
}

/// A worker that has not been collected.
struct Worker {
    number: u32,
    generation: u32,
    pid: i32,
    /// How often its group had run out of memory when it began.
    oom: u64,
}

/// What the loop goes on with.
enum Deed {
    Wait,
    BeWorker { number: u32, socket: Socket, link: Fd, parent: i32 },
}

/// Argument and environment of a worker that is executed.
struct Executed<'a> {
    path: &'a CStr,
    argv: Vec<&'a CStr>,
    envp: Vec<&'a CStr>,
}

impl<'a> Executed<'a> {
    fn of(config: &WorkerConfig<'a>) -> Result<Executed<'a>> {
        let collect = |texts: crate::transport::config::Texts<'a>, more: usize| {
            let mut list = Vec::new();
            let count = texts.len() + more;
            list.try_reserve_exact(count)
                .map_err(|_| Error::no_memory("a worker's arguments", count * 16))?;
            list.extend(texts);
            Ok(list)
        };
        // One more for the entry that says that it is a worker.
        let (argv, mut envp) = (collect(config.argv, 0)?, collect(config.envp, 1)?);
        // Each worker gets an entry of its own.
        envp.retain(|entry| !entry::is_entry(entry));
        Ok(Executed { path: config.program, argv, envp })
    }
}

// ---- events ----

/// How soon a socket without room is tried again.
pub(super) const AGAIN_NS: u64 = 5_000_000;

pub(super) const CONTROL: u64 = 0;
pub(super) const CHILDREN: u64 = 1;
pub(super) const HOST: u64 = 2;

pub(super) struct Events {
    pub(super) poller: Poller,
    pub(super) children: Fd,
    /// Ends with the host also where a child that it has forked keeps its socket open.
    _host: Option<Fd>,
}

impl Events {
    pub(super) fn new(
        control: &Socket,
        children: Fd,
        host: Option<i32>,
    ) -> std::result::Result<Events, Errno> {
        let poller = Poller::new()?;
        poller.add(control.fd(), CONTROL)?;
        poller.add(&children, CHILDREN)?;
        // 0: it lives in another namespace of processes.
        let host = host.filter(|&pid| pid > 0).and_then(process::watch_end);
        if let Some(host) = &host {
            poller.add(host, HOST)?;
        }
        Ok(Events { poller, children, _host: host })
    }
}

impl Supervisor {
    fn begin(task: Task) -> Option<Supervisor> {
        let [config, ..] = task.fds;
        let config = life::map_config(config?)?;
        process::ignore_hangups();
        // Without it a worker's orphans are init's, and outlive it: nothing else is lost.
        let _ = process::become_subreaper();
        clock::prepare(); // for the workers, too
        Some(Supervisor { outbox: Outbox::new(task.socket), config, workers: Vec::new() })
    }

    /// Waits, and does what there is to do; at most one worker is made.
    fn step(&mut self, events: &Events, program: &Executed<'_>, method: StartMethod) -> Deed {
        self.outbox.send_pending();
        let deadline = self.outbox.is_behind().then(|| Instant::now().plus(AGAIN_NS));
        let mut tokens = [0; BATCH];
        let count = events.poller.wait(&mut tokens, deadline);
        let mut deed = Deed::Wait;
        for token in &tokens[..count] {
            match *token {
                CONTROL => deed = self.obey(program, method),
                CHILDREN => {
                    process::drain_children(&events.children);
                    self.collect();
                }
                HOST => self.end(),
                _ => {}
            }
            if matches!(deed, Deed::BeWorker { .. }) {
                break;
            }
        }
        deed
    }

    /// Takes one message of the host's.
    fn obey(&mut self, program: &Executed<'_>, method: StartMethod) -> Deed {
        let mut packet = [0u8; PACKET];
        let mut fds = [const { None }; MOST_FDS];
        let length = match self.outbox.control.receive(&mut packet, &mut fds) {
            Ok(Some(length)) => length,
            Ok(None) => self.end(),
            Err(Errno(libc::EAGAIN | libc::EINTR)) => return Deed::Wait,
            // Descriptors that were lost leave the host waiting: it has a time-out for that.
            Err(Errno(libc::EPROTO)) => return Deed::Wait,
            Err(_) => self.end(),
        };
        match Message::decode(&packet[..length]) {
            Some(Message::Spawn { worker, generation }) => {
                let [socket, link, ..] = fds;
                let (Some(socket), Some(link)) = (socket, link) else {
                    self.tell(Message::NotSpawned { worker, generation, errno: libc::EMFILE });
                    return Deed::Wait;
                };
                self.spawn(worker, generation, socket, link, program, method)
            }
            Some(Message::Kill { worker, generation, signal, tree }) => {
                self.kill(worker, generation, signal, tree);
                Deed::Wait
            }
            _ => Deed::Wait,
        }
    }

    // ---- begins ----

    fn spawn(
        &mut self,
        number: u32,
        generation: u32,
        socket: Fd,
        link: Fd,
        program: &Executed<'_>,
        method: StartMethod,
    ) -> Deed {
        crash_point("fork");
        let made = match self.workers.try_reserve(1) {
            Err(_) => Err(Errno(libc::ENOMEM)),
            Ok(()) if method == StartMethod::Spawn => {
                self.execute(number, generation, &socket, &link, program)
            }
            Ok(()) => {
                let parent = process::own_id();
                // SAFETY: this process has one thread, or its user was told what that means.
                match unsafe { spawn::fork_child() } {
                    Ok(Forked::Child) => {
                        // SAFETY: made by the host as the end of a pair.
                        let socket = unsafe { Socket::from_fd(socket) };
                        return Deed::BeWorker { number, socket, link, parent };
                    }
                    Ok(Forked::Parent(pid)) => {
                        process::lead_group(pid); // whichever of the two comes first
                        Ok(pid)
                    }
                    Err(errno) => Err(errno),
                }
            }
        };
        // Before the host hears of it: only then does the end of the socket tell of the worker's
        // death, also while this process is stopped.
        drop((socket, link));
        match made {
            Ok(pid) => {
                crash_point("forked");
                self.workers.push(Worker { number, generation, pid, oom: oom::kills() });
                self.tell(Message::Spawned { worker: number, generation, pid });
            }
            Err(Errno(errno)) => {
                self.tell(Message::NotSpawned { worker: number, generation, errno });
            }
        }
        Deed::Wait
    }

    /// Executes the worker program, and tells it over a socket of their own what it is.
    fn execute(
        &mut self,
        worker: u32,
        generation: u32,
        socket: &Fd,
        link: &Fd,
        program: &Executed<'_>,
    ) -> std::result::Result<i32, Errno> {
        let mut nonce: Nonce = [0; NONCE];
        if !process::random(&mut nonce) {
            return Err(Errno(libc::ENOSYS));
        }
        let (ours, theirs) = Socket::pair()?;
        let config = WorkerConfig::open(self.config).ok_or(Errno(libc::EPROTO))?;
        let start = Message::Start {
            nonce,
            protocol: PROTOCOL,
            version: 0,
            role: Role::Worker,
            depth: config.depth,
        };
        ours.send(start.encode().as_bytes(), &[self.config.fd()])?;
        let spawn = Message::Spawn { worker, generation };
        ours.send(spawn.encode().as_bytes(), &[socket, link])?;
        let entry = Entry::new(SOCKET, &nonce);
        let mut envp = Vec::new();
        envp.try_reserve_exact(program.envp.len() + 1).map_err(|_| Errno(libc::ENOMEM))?;
        envp.extend_from_slice(&program.envp);
        envp.push(entry.as_c_str());
        spawn::exec_child(&Program {
            path: program.path,
            argv: &program.argv,
            envp: &envp,
            directory: None,
            socket: theirs.fd(),
        })
    }

    // ---- ends ----

    fn kill(&mut self, number: u32, generation: u32, signal: i32, tree: bool) {
        let wanted = |worker: &&Worker| worker.number == number && worker.generation == generation;
        // Not there any more: its end is on its way to the host.
        let Some(worker) = self.workers.iter().find(wanted) else { return };
        if tree {
            process::kill_tree(worker.pid, signal);
        } else {
            let _ = process::kill(worker.pid, signal); // it has not been collected, so it exists
        }
    }

    /// Collects whoever has ended, and tells the host of its workers.
    fn collect(&mut self) {
        while let Some(pid) = process::ended_child() {
            let place = self.workers.iter().position(|worker| worker.pid == pid);
            if place.is_some() {
                // While its number is still its own: what it has started goes with it.
                let _ = process::kill_group(pid, process::KILL); // none of its group is left
            }
            let Some(reaped) = process::reap(pid) else { break };
            if let Some(place) = place {
                let worker = self.workers.swap_remove(place);
                self.tell_of_end(&worker, &reaped);
            }
        }
    }

    fn tell_of_end(&mut self, worker: &Worker, reaped: &Reaped) {
        crash_point("collected");
        let killed = process::ending_signal(reaped.status) == Some(process::KILL);
        let oom = if killed { oom::kills().saturating_sub(worker.oom) } else { 0 };
        self.tell(Message::Exited {
            worker: worker.number,
            generation: worker.generation,
            pid: reaped.pid,
            status: reaped.status,
            user_ns: reaped.user_ns,
            system_ns: reaped.system_ns,
            max_rss: reaped.max_rss,
            oom: u32::try_from(oom).unwrap_or(u32::MAX),
        });
    }

    /// The host is gone, or done with this pool: everything it had made goes.
    fn end(&mut self) -> ! {
        for worker in &self.workers {
            process::kill_tree(worker.pid, process::KILL);
        }
        // What workers that have ended had started became this process's own.
        for pid in tree::visit_descendants(process::own_id(), |_| {}) {
            let _ = process::kill(pid, process::KILL); // it may have ended
        }
        process::leave(0)
    }

    // ---- telling ----

    fn tell(&mut self, message: Message<'_>) {
        if self.outbox.tell(message).is_err() {
            // The host must not miss an end: it hears of this one by ours.
            self.end();
        }
    }

    /// Tells why there is nothing to be had from this supervisor, and ends it.
    fn refuse(&mut self, code: i32, text: std::fmt::Arguments<'_>) -> ! {
        let line = Line::of(text);
        self.tell(Message::Refused { code, text: line.as_bytes() });
        self.outbox.send_pending();
        super::bootstrap::await_end(&self.outbox.control);
        process::leave(1)
    }
}
