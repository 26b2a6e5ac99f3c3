//! What is executed for a pool: which program, with what arguments, environment and directory.
//!
//! All of it is settled when the pool is made: a supervisor that takes another one's place much
//! later is executed as the first one was, whatever its host has done to its environment since.

use super::config::{Config, StartMethod};
use super::functions::{self, Name};
use crate::error::{Error, Kind, Line, Lossy, Result, fail};
use crate::platform::fd::Fd;
use crate::platform::socket::Socket;
use crate::platform::spawn::{self, Program};
use crate::platform::{Errno, host, process};
use crate::transport::bytes::Reader;
use crate::transport::config::{self, WorkerConfig};
use crate::transport::control::{Message, Role};
use crate::transport::entry;
use crate::transport::function::FunctionRef;
use crate::transport::link::PROTOCOL;
use crate::transport::place::{self, Place, Searched, copy};
use std::ffi::{CStr, CString};
use std::fmt::Write;

/// Process pools in workers of process pools, at most so many.
const DEEPEST: u32 = 8;

/// What a worker program is.
struct Worker {
    path: CString,
    is_this: bool,
    /// What it does is not known before it has said so.
    is_users: bool,
}

/// Everything that a supervisor of this pool is executed with.
pub(super) struct Recipe {
    worker: Worker,
    parts: Parts,
    /// Sealed memory that supervisor and workers read.
    config: Fd,
    /// Where the host was; None: not to be had, and the supervisor begins where the host is.
    directory: Option<Fd>,
    depth: u32,
}

/// A supervisor that has been executed.
pub(super) struct Started {
    pub(super) control: Socket,
    pub(super) pid: i32,
    /// Workers are this program: functions of its own can be reached there.
    pub(super) runs_this_program: bool,
    /// The program is known to be a worker program.
    pub(super) proven: bool,
}

impl Recipe {
    pub(super) fn of(config: &Config) -> Result<Recipe> {
        let depth = entry::depth() + 1;
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
        let worker = find_worker(config)?;
        let parts = Parts::of(config, &worker, depth)?;
        let told = parts.store(config, &worker, depth)?;
        Ok(Recipe { worker, parts, config: told, directory: host::own_directory(), depth })
    }

    pub(super) fn execute(&self) -> Result<Started> {
        let system = |what: &'static str| {
            move |errno: Errno| Error::new(Kind::System, format_args!("{what}: {errno}"))
        };
        let (ours, theirs) =
            Socket::pair().map_err(system("no sockets for the supervisor of a process pool"))?;
        let mut nonce = [0u8; 16];
        if !process::random(&mut nonce) {
            return fail!(System, "no random bytes for the connection to the supervisor");
        }
        let (role, depth) = (Role::Supervisor, self.depth);
        let start = Message::Start { nonce, protocol: PROTOCOL, version: 0, role, depth };
        ours.send(start.encode().as_bytes(), &[&self.config])
            .map_err(system("the supervisor could not be told what it is for"))?;
        let entry = entry::Entry::new(spawn::SOCKET, &nonce);
        let argv = refs(&self.parts.argv, None)?;
        let envp = refs(&self.parts.envp, Some(entry.as_c_str()))?;
        let program = Program {
            path: &self.worker.path,
            argv: &argv,
            envp: &envp,
            directory: self.directory.as_ref(),
            socket: theirs.fd(),
        };
        let pid = spawn::exec_detached(&program).map_err(|errno| {
            let kind = match errno.0 {
                libc::ENOENT | libc::EACCES | libc::ENOEXEC => Kind::NotFound,
                _ => Kind::System,
            };
            let path = Lossy(self.worker.path.to_bytes());
            let also = spawn::also_missing(errno);
            Error::new(
                kind,
                format_args!("the worker program {path} could not be executed: {errno}{also}"),
            )
        })?;
        Ok(Started {
            control: ours,
            pid,
            runs_this_program: self.worker.is_this,
            proven: !self.worker.is_users,
        })
    }
}

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
        return Ok(Worker { path, is_this: false, is_users: true });
    }
    if let Some(Place { path, is_this }) = place::find()? {
        return Ok(Worker { path, is_this, is_users: false });
    }
    fail!(
        NotFound,
        "no worker program: CFUT_OPT_WORKER_PROGRAM is not set, this program does not call \
         cfut_worker_main() at the top of main(), and {}",
        Searched
    )
}

/// Arguments and environment of a worker program, without what makes one process a worker.
struct Parts {
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl Parts {
    fn of(config: &Config, worker: &Worker, depth: u32) -> Result<Parts> {
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
            let ours = [entry::VARIABLE, entry::DEPTH_VARIABLE].map(CStr::to_bytes).contains(&name);
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
        let _ = write!(line, "{}={depth}", Lossy(entry::DEPTH_VARIABLE.to_bytes()));
        push(&mut parts.envp, line.as_bytes())?;
        Ok(parts)
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
        let preload = refs(&preload, None)?;
        let argv = refs(&self.argv, None)?;
        let envp = refs(&self.envp, None)?;
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

fn refs<'a>(list: &'a [CString], last: Option<&'a CStr>) -> Result<Vec<&'a CStr>> {
    let mut refs = Vec::new();
    refs.try_reserve_exact(list.len() + 1)
        .map_err(|_| Error::no_memory("a worker's command line", list.len() * 8))?;
    refs.extend(list.iter().map(CString::as_c_str).chain(last));
    Ok(refs)
}
