//! What is executed to get workers, with which arguments, environment and configuration.

use super::config::{Config, StartMethod};
use super::functions::{self, Name};
use crate::error::{Error, Kind, Line, Lossy, Result, fail};
use crate::platform::fd::Fd;
use crate::platform::{Errno, host, module, process, spawn};
use crate::transport::bytes::Reader;
use crate::transport::config::{self, WorkerConfig};
use crate::transport::function::FunctionRef;
use crate::worker::bootstrap;
use std::ffi::{CStr, CString};
use std::fmt::Write;

/// What a worker program is.
pub(super) struct Worker {
    pub(super) path: CString,
    /// This program, which has the guard.
    pub(super) is_this: bool,
}

impl Worker {
    pub(super) fn find(config: &Config) -> Result<Worker> {
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
pub(super) struct Parts {
    argv: Vec<CString>,
    envp: Vec<CString>,
    /// What makes a supervisor of the program, and must not reach the workers that it executes:
    /// each gets one of its own.
    entry: bootstrap::Entry,
}

impl Parts {
    pub(super) fn of(
        config: &Config,
        worker: &Worker,
        nonce: &[u8; 16],
        depth: u32,
    ) -> Result<Parts> {
        let entry = bootstrap::Entry::new(spawn::SOCKET, nonce);
        let mut parts = Parts { argv: Vec::new(), envp: Vec::new(), entry };
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
        Ok(parts)
    }

    pub(super) fn argv_refs(&self) -> Result<Vec<&CStr>> {
        refs(&self.argv)
    }

    /// The supervisor's.
    pub(super) fn envp_refs(&self) -> Result<Vec<&CStr>> {
        let mut all = refs(&self.envp)?;
        all.try_reserve(1).map_err(|_| Error::no_memory("the environment of workers", 64))?;
        all.push(self.entry.as_c_str());
        Ok(all)
    }

    /// The sealed memory that supervisor and workers read.
    pub(super) fn store(&self, config: &Config, worker: &Worker, depth: u32) -> Result<Fd> {
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
        let envp = refs(&self.envp)?;
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
