//! How processes come and go: the pool's end of its supervisor.
//!
//! The supervisor is executed with the pool and executes or forks workers when it is asked to.
//! It is told apart from a dead one by its end of the socket. If it dies, its workers die with
//! it; another one takes its place, at the cost of the restart budget.

use super::child::{Child, Ended, Why};
use super::config::{Config, StartMethod};
use super::functions::{self, Name};
use super::manager;
use super::pool::{Pool, State};
use super::results::Round;
use super::wire::Wire;
use crate::error::{Error, Kind, Line, Lossy, Result, fail};
use crate::future::remote::Death;
use crate::platform::clock::Instant;
use crate::platform::fd::Fd;
use crate::platform::socket::Socket;
use crate::platform::spawn::{self, Program};
use crate::platform::{Errno, host, memory, module, process, signal};
use crate::transport::bytes::Reader;
use crate::transport::config::{self, WorkerConfig};
use crate::transport::control::{Message, PACKET, Role};
use crate::transport::function::FunctionRef;
use crate::transport::link::PROTOCOL;
use crate::worker::bootstrap;
use std::ffi::{CStr, CString};
use std::fmt::Write;

/// So many failures before "ready" within `PERIOD_NS` break the pool.
pub(super) const BUDGET: usize = 5;
const PERIOD_NS: u64 = 10_000_000_000;
/// The supervisor has so long to end when it is told to.
const END_NS: u64 = 500_000_000;

/// Process pools in workers of process pools, at most so many.
const DEEPEST: u32 = 8;

/// When workers failed to start, lately.
pub(super) struct Budget {
    failures: [Instant; BUDGET],
    count: usize,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { failures: [Instant(0); BUDGET], count: 0 }
    }

    /// Notes a failure; true: the budget is spent.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        if self.count < BUDGET {
            self.failures[self.count] = now;
            self.count += 1;
        } else {
            self.failures.rotate_left(1);
            self.failures[BUDGET - 1] = now;
        }
        self.count == BUDGET && now.saturating_since(self.failures[0]) < PERIOD_NS
    }

    /// A worker has become ready: earlier failures were not for good.
    pub(super) fn succeeded(&mut self) {
        self.count = 0;
    }
}

pub(super) struct Supervisor {
    control: Option<Socket>,
    pid: i32,
    ready: bool,
    runs_this_program: bool,
    /// An order did not fit the socket: it is given again.
    blocked: bool,
    /// Why the last worker could not be made.
    errno: Errno,
    /// It is given up, or was told to end, at this time.
    ending: Option<Instant>,
}

impl Supervisor {
    pub(super) fn none() -> Supervisor {
        Supervisor {
            control: None,
            pid: 0,
            ready: false,
            runs_this_program: false,
            blocked: false,
            errno: Errno(0),
            ending: None,
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Workers are this program: functions of its own can be reached there.
    pub(super) fn runs_this_program(&self) -> bool {
        self.runs_this_program
    }

    pub(super) fn must_retry(&self) -> bool {
        self.blocked || self.ending.is_some()
    }

    /// Has a worker killed. An order that does not fit now is repeated by the deadlines of
    /// the child, or by the end of the pool.
    pub(super) fn kill(&mut self, worker: u32, generation: u32, signal: i32, tree: bool) {
        let message = Message::Kill { worker, generation, signal, tree };
        self.send(&message, &[]);
    }

    fn send(&mut self, message: &Message<'_>, fds: &[&Fd]) -> bool {
        let Some(control) = &self.control else { return false };
        let sent = control.send(message.encode().as_bytes(), fds).is_ok();
        self.blocked |= !sent;
        sent
    }

    /// Tells it to end, and says whether it has: its workers have all gone.
    pub(super) fn has_ended(&mut self, now: Instant) -> bool {
        let Some(control) = &self.control else { return true };
        let began = *self.ending.get_or_insert_with(|| {
            control.shut_down_writing();
            now
        });
        if now.saturating_since(began) > END_NS {
            let _ = process::kill(self.pid, signal::KILL);
            self.control = None;
        }
        self.control.is_none()
    }
}

/// What a worker program is.
struct Worker {
    path: CString,
    is_this: bool,
}

impl Pool {
    /// Executes the supervisor.
    pub(super) fn start_supervisor(&self) -> Result<()> {
        let depth = bootstrap::depth() + 1;
        if depth > DEEPEST {
            return fail!(
                NotSupported,
                "process pools are nested {depth} deep; the limit is {}. A worker program must call \
                 cfut_worker_main() or cfut_worker_run() before it makes a pool",
                DEEPEST
            );
        }
        if process::worker_variable().is_some() {
            return fail!(
                NotSupported,
                "this process was executed as a worker and makes a process pool instead: its program \
                 must call cfut_worker_main() or cfut_worker_run() first"
            );
        }
        let worker = find_worker(&self.config)?;
        let system = |what: &'static str| {
            move |errno: Errno| Error::new(Kind::System, format_args!("{what}: {errno}"))
        };
        let (ours, theirs) =
            Socket::pair().map_err(system("no sockets for the supervisor of a process pool"))?;
        let mut nonce = [0u8; 16];
        if !process::random(&mut nonce) {
            return fail!(System, "no random bytes for the connection to the supervisor");
        }
        let parts = Parts::of(&self.config, &worker, &nonce, depth)?;
        let config = parts.store(&self.config, &worker, depth)?;
        let start =
            Message::Start { nonce, protocol: PROTOCOL, version: 0, role: Role::Supervisor, depth };
        ours.send(start.encode().as_bytes(), &[&config])
            .map_err(system("the supervisor could not be told what it is for"))?;
        let argv = parts.argv_refs()?;
        let envp = parts.envp_refs()?;
        let program = Program {
            path: &worker.path,
            argv: &argv,
            envp: &envp,
            directory: None,
            socket: theirs.fd(),
        };
        let pid = spawn::exec_detached(&program).map_err(|errno| {
            let kind = match errno.0 {
                libc::ENOENT | libc::EACCES | libc::ENOEXEC => Kind::NotFound,
                _ => Kind::System,
            };
            let path = Lossy(worker.path.to_bytes());
            Error::new(
                kind,
                format_args!("the worker program {path} could not be executed: {errno}"),
            )
        })?;
        self.poller
            .add(ours.fd(), manager::SUPERVISOR)
            .map_err(system("no memory to watch the supervisor"))?;
        let mut state = self.state.lock();
        state.supervisor = Supervisor {
            control: Some(ours),
            pid,
            ready: false,
            runs_this_program: worker.is_this,
            blocked: false,
            errno: Errno(0),
            ending: None,
        };
        Ok(())
    }

    /// Another supervisor, if there is none and one is needed.
    pub(super) fn see_to_supervisor(&self, state: &mut State, _now: Instant) {
        state.supervisor.blocked = false;
    }

    /// Takes what the supervisor has told. Called under `state`.
    pub(super) fn hear_supervisor(&self, state: &mut State, round: &mut Round, now: Instant) {
        let mut packet = [0u8; PACKET];
        loop {
            let Some(control) = &state.supervisor.control else { return };
            let mut fds = [None, None, None];
            match control.receive(&mut packet, &mut fds) {
                Ok(Some(length)) => {
                    round.busy = true;
                    if let Some(message) = Message::decode(&packet[..length]) {
                        self.take_message(state, &message, round, now);
                    }
                }
                Ok(None) => return self.supervisor_died(state, round, now),
                Err(errno) if errno.0 == libc::EAGAIN => return,
                Err(_) => return self.supervisor_died(state, round, now),
            }
        }
    }

    fn take_message(
        &self,
        state: &mut State,
        message: &Message<'_>,
        round: &mut Round,
        now: Instant,
    ) {
        match *message {
            Message::Ready { .. } => state.supervisor.ready = true,
            Message::Refused { code, text } => {
                let line = Line::of(format_args!("workers cannot start: {}", Lossy(text)));
                round.breaks.get_or_insert((code, line));
            }
            Message::Spawned { worker, generation, pid } => {
                if let Some(child) = state.child(worker, generation) {
                    child.pid = pid;
                }
            }
            Message::NotSpawned { worker, generation, errno } => {
                if let Some(child) = state.remove_child(worker, generation) {
                    self.poller.remove(child.fd());
                    drop(child);
                    let line = Line::of(format_args!(
                        "no process could be made for a worker: {}",
                        Errno(errno)
                    ));
                    self.failed_start(state, line, now, round);
                }
            }
            Message::Exited {
                worker,
                generation,
                status,
                user_ns,
                system_ns,
                max_rss,
                oom,
                pid,
            } => {
                if let Some(mut child) = state.remove_child(worker, generation) {
                    child.pid = pid;
                    let death = self.death_of(status, max_rss, oom);
                    let ended = Ended { death, cpu_ns: user_ns + system_ns, max_rss };
                    self.bury(state, child, ended, round, now);
                }
            }
            _ => {}
        }
    }

    fn death_of(&self, status: i32, max_rss: u64, oom: u32) -> Death {
        let signal_number = process::ending_signal(status).unwrap_or(0);
        let limit = self.config.memory_limit;
        // A limit of address space shows as a failed allocation, of which programs die in many
        // ways; one that used most of it has most likely died of that.
        let at_limit = limit != 0 && max_rss >= limit / 4 * 3 && signal_number != 0;
        Death {
            signal: signal_number as u8,
            exit_code: signal::exit_code(status).unwrap_or(0) as u8,
            out_of_memory: at_limit || oom != 0 && signal_number == signal::KILL,
        }
    }

    /// A worker did not come to life, for want of something that may be there later.
    fn failed_start(&self, state: &mut State, line: Line, now: Instant, round: &mut Round) {
        let alone = state.children().next().is_none();
        if state.budget.failed(now) && alone {
            round.breaks.get_or_insert((0, line));
        }
    }

    /// The socket is at its end: the supervisor has gone, and its workers with it.
    fn supervisor_died(&self, state: &mut State, round: &mut Round, now: Instant) {
        let told = state.supervisor.ending.is_some();
        let was_ready = state.supervisor.ready;
        if let Some(control) = state.supervisor.control.take() {
            self.poller.remove(control.fd());
        }
        host::collect_orphan(state.supervisor.pid);
        state.supervisor.ready = false;
        round.busy = true;
        for number in 0..state.children.len() as u32 {
            let Some(generation) = state.children[number as usize].map(|child| {
                // SAFETY: P1.
                unsafe { child.as_ref() }.generation
            }) else {
                continue;
            };
            let Some(mut child) = state.remove_child(number, generation) else { continue };
            if child.why == Why::Unknown {
                child.why = Why::Orphaned;
            }
            let death = Death { signal: signal::KILL as u8, ..Death::default() };
            let ended = Ended { death, cpu_ns: 0, max_rss: 0 };
            self.bury(state, child, ended, round, now);
        }
        if told {
            return;
        }
        let why = if was_ready {
            "the supervisor of the pool ended; was it killed?"
        } else {
            "the worker program ended before it was ready: it must call cfut_worker_main() or \
             cfut_worker_run()"
        };
        let line = Line::of(format_args!("{why}"));
        let spent = state.budget.failed(now);
        round.restart = true;
        if spent || !was_ready {
            round.restart = false;
            round.breaks.get_or_insert((0, line));
        }
    }

    // ---- workers ----

    /// Asks for one more worker; false: not now.
    pub(super) fn request_worker(&self, state: &mut State, now: Instant) -> bool {
        if state.supervisor.control.is_none() || state.supervisor.ending.is_some() {
            return false;
        }
        let Some(number) = state.children.iter().position(Option::is_none) else { return false };
        state.generation = state.generation.wrapping_add(1);
        match self.make_child(state, number as u32, now) {
            Ok(()) => {
                state.started += 1;
                true
            }
            Err(errno) => {
                // With a worker at work the rest waits for that one; without, this is tried again.
                state.supervisor.blocked = true;
                state.supervisor.errno = errno;
                false
            }
        }
    }

    fn make_child(
        &self,
        state: &mut State,
        number: u32,
        now: Instant,
    ) -> std::result::Result<(), Errno> {
        let no_memory = Errno(libc::ENOMEM);
        let generation = state.generation;
        let wire = Wire::create(c"cfutures-link")?;
        wire.set_stop_level(state.stop_level);
        let (ours, theirs) = Socket::pair()?;
        let deadline = self.config.start_timeout.map(|timeout| now.plus(timeout));
        let link = wire.fd().duplicate()?;
        let child = Child::new(number, generation, wire, ours, now, deadline).ok_or(no_memory)?;
        let child = memory::try_box(child).map_err(|_| no_memory)?;
        // SAFETY: fresh; given up below if it is not taken.
        let made = super::pool::ChildBox(child);
        self.poller.add(made.fd(), made.token())?;
        let message = Message::Spawn { worker: number, generation };
        if !state.supervisor.send(&message, &[theirs.fd(), &link]) {
            self.poller.remove(made.fd());
            return Err(Errno(libc::EAGAIN));
        }
        std::mem::forget(made);
        state.children[number as usize] = Some(child);
        Ok(())
    }
}

// ---- what is executed ----

fn find_worker(config: &Config) -> Result<Worker> {
    let named = config.worker_program.as_bytes();
    if !named.is_empty() {
        let path = copy(named)?;
        if !named.contains(&b'/') {
            return fail!(
                Invalid,
                "CFUT_OPT_WORKER_PROGRAM is \"{}\"; it is a path, and not looked up in PATH",
                Lossy(named)
            );
        }
        return Ok(Worker { path, is_this: false });
    }
    if bootstrap::guarded() {
        return Ok(Worker { path: copy(b"/proc/self/exe")?, is_this: true });
    }
    let Some(directory) = module::own_directory() else {
        return fail!(NotFound, "cfutures-worker: the library does not know where it lies");
    };
    for place in ["", "/..", "/../libexec/cfutures", "/../libexec", "/../lib/cfutures"] {
        let mut line = Line::new();
        let _ = write!(line, "{}{place}/cfutures-worker", Lossy(directory.as_bytes()));
        let path = copy(line.as_bytes())?;
        if module::is_program(&path) {
            return Ok(Worker { path, is_this: false });
        }
    }
    fail!(
        NotFound,
        "no worker program: cfutures-worker is not beside the library (in {}), CFUT_OPT_WORKER_PROGRAM \
         is not set, and this program does not call cfut_worker_main() at the top of main()",
        Lossy(directory.as_bytes())
    )
}

fn copy(text: &[u8]) -> Result<CString> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(text.len() + 1)
        .map_err(|_| Error::no_memory("a worker's command line", text.len()))?;
    bytes.extend_from_slice(text);
    match CString::new(bytes) {
        Ok(text) => Ok(text),
        Err(_) => fail!(Invalid, "a NUL in the worker's command line"),
    }
}

/// Arguments and environment of a worker program.
struct Parts {
    argv: Vec<CString>,
    /// Last the entry that says that the supervisor is one.
    envp: Vec<CString>,
}

impl Parts {
    fn of(config: &Config, worker: &Worker, nonce: &[u8; 16], depth: u32) -> Result<Parts> {
        let mut parts = Parts { argv: Vec::new(), envp: Vec::new() };
        if worker.is_this {
            let mut place = [0u8; 4096];
            push(&mut parts.argv, host::own_command(&mut place).unwrap_or(b"worker"))?;
        } else {
            push(&mut parts.argv, worker.path.to_bytes())?;
        }
        for argument in config.arguments.iter() {
            push(&mut parts.argv, argument.as_bytes())?;
        }
        for variable in process::environment() {
            let name = name_of(variable.to_bytes());
            let ours = [bootstrap::VARIABLE, bootstrap::DEPTH_VARIABLE]
                .map(CStr::to_bytes)
                .contains(&name);
            let replaced = config.environment.iter().any(|set| name_of(set.as_bytes()) == name);
            if !ours && !replaced {
                push(&mut parts.envp, variable.to_bytes())?;
            }
        }
        for variable in config.environment.iter() {
            push(&mut parts.envp, variable.as_bytes())?;
        }
        let mut line = Line::new();
        // Cannot fail: a number is short.
        let _ = write!(line, "{}={depth}", Lossy(bootstrap::DEPTH_VARIABLE.to_bytes()));
        push(&mut parts.envp, line.as_bytes())?;
        push(&mut parts.envp, bootstrap::Entry::new(spawn::SOCKET, nonce).as_c_str().to_bytes())?;
        Ok(parts)
    }

    fn argv_refs(&self) -> Result<Vec<&CStr>> {
        refs(&self.argv)
    }

    fn envp_refs(&self) -> Result<Vec<&CStr>> {
        refs(&self.envp)
    }

    /// The sealed memory that supervisor and workers read.
    fn store(&self, config: &Config, worker: &Worker, depth: u32) -> Result<Fd> {
        let no_memory = || Config::no_memory("the configuration of workers");
        let name = if config.name.is_empty() { b"cfut" } else { config.name.as_bytes() };
        let name = copy(name)?;
        let mut preload = Vec::new();
        for path in config.preload.as_bytes().split(|&byte| byte == b':') {
            if !path.is_empty() {
                push(&mut preload, path)?;
            }
        }
        let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
        let system = |errno: Errno| match errno.0 {
            libc::ENOMEM => no_memory(),
            _ => Error::new(
                Kind::System,
                format_args!("the configuration of workers could not be passed on: {errno}"),
            ),
        };
        let preload = refs(&preload)?;
        let argv = self.argv_refs()?;
        let envp = self.envp_refs()?;
        // A worker that is executed has an entry of its own.
        let envp = &envp[..envp.len() - 1];
        let function;
        let initializer = match &config.initializer {
            None => None,
            Some(initializer) => {
                let name = match initializer.function {
                    Some(function) => Name::Function(function),
                    None => Name::Registered(initializer.name.as_bytes()),
                };
                function = functions::encode(name, worker.is_this)?;
                let mut from = Reader(&function);
                let Some(function) = FunctionRef::decode(&mut from) else {
                    return Err(no_memory());
                };
                Some(config::Initializer { function, data: initializer.data.bytes() })
            }
        };
        let told = WorkerConfig {
            name: &name,
            start_method: match config.start_method {
                StartMethod::ForkServer => config::StartMethod::ForkServer,
                StartMethod::Spawn => config::StartMethod::Spawn,
            },
            depth,
            nice: config.nice,
            output: 0,
            memory_limit: config.memory_limit,
            cpu_limit: config.cpu_time_limit,
            rss_limit: config.rss_per_worker,
            spin_ns: config.linger_ns,
            initializer,
            program: &worker.path,
            preload: config::Texts::collect(preload.iter().copied(), &mut first).map_err(system)?,
            argv: config::Texts::collect(argv.iter().copied(), &mut second).map_err(system)?,
            envp: config::Texts::collect(envp.iter().copied(), &mut third).map_err(system)?,
        };
        told.store().map_err(system)
    }
}

fn name_of(variable: &[u8]) -> &[u8] {
    variable.split(|&byte| byte == b'=').next().unwrap_or(variable)
}

fn push(list: &mut Vec<CString>, text: &[u8]) -> Result<()> {
    let text = copy(text)?;
    list.try_reserve(1).map_err(|_| Error::no_memory("a worker's command line", 64))?;
    list.push(text);
    Ok(())
}

fn refs(list: &[CString]) -> Result<Vec<&CStr>> {
    let mut refs = Vec::new();
    refs.try_reserve_exact(list.len())
        .map_err(|_| Error::no_memory("a worker's command line", list.len() * 8))?;
    refs.extend(list.iter().map(CString::as_c_str));
    Ok(refs)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn budget_is_spent_by_failures_in_a_row() {
        let mut budget = Budget::new();
        for second in 1..BUDGET as u64 {
            assert!(!budget.failed(Instant(second)));
        }
        assert!(budget.failed(Instant(BUDGET as u64)));
        budget.succeeded();
        for failure in 0..20 {
            assert!(!budget.failed(Instant(failure * PERIOD_NS)), "too seldom to matter");
        }
    }
}
