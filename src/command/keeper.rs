//! The process that starts commands, as seen from the host.

use crate::error::{Error, Kind, Lossy, Result, fail};
use crate::platform::clock::Instant;
use crate::platform::fd::Fd;
use crate::platform::fork::PerProcess;
use crate::platform::socket::{MOST_FDS, Socket};
use crate::platform::spawn::{self, Program};
use crate::platform::{Errno, host, process, signal};
use crate::sync::{Lock, global};
use crate::transport::control::{Message, PACKET, Role};
use crate::transport::entry;
use crate::transport::link::PROTOCOL;
use crate::transport::place::{self, Place};
use std::ffi::{CStr, CString};

/// It has so long to become ready.
const START_NS: u64 = 30_000_000_000;

/// What a keeper is executed with: settled when the first command is submitted, in the user's
/// thread, which may look at the environment.
struct Recipe {
    place: Place,
    command: CString,
    environment: Vec<CString>,
}

global! {
    static RECIPE: Lock<Option<Recipe>> = Lock::new(None);
}
static PER_PROCESS: PerProcess = PerProcess::new();

/// An error if there is no program for a keeper.
pub(super) fn prepare() -> Result<()> {
    // SAFETY: first use in this child: no thread of it holds the lock.
    PER_PROCESS.follow(|| unsafe { RECIPE.reset(None) });
    let mut recipe = RECIPE.lock();
    if recipe.is_none() {
        *recipe = Some(Recipe::new()?);
    }
    Ok(())
}

impl Recipe {
    fn new() -> Result<Recipe> {
        if process::worker_variable().is_some() {
            return fail!(
                NotSupported,
                "this process was executed as a worker and submits a command instead: its program must \
                 call cfut_worker_main() or cfut_worker_run() first"
            );
        }
        let Some(place) = place::find()? else {
            return fail!(
                NotFound,
                "no program to start commands with: this program does not call cfut_worker_main() at \
                 the top of main(), and {}",
                place::Searched
            );
        };
        let mut name = [0u8; 4096];
        let command = match place.is_this.then(|| host::own_command(&mut name)).flatten() {
            Some(name) => place::copy(name)?,
            None => place::copy(place.path.to_bytes())?,
        };
        let mut environment = Vec::new();
        for variable in process::environment() {
            if !entry::is_entry(variable) {
                let no_memory = |_| Error::no_memory("the environment of commands", 64);
                environment.try_reserve(1).map_err(no_memory)?;
                environment.push(place::copy(variable.to_bytes())?);
            }
        }
        Ok(Recipe { place, command, environment })
    }

    /// Executes a keeper. An error's text is the calling thread's last.
    fn execute(&self) -> Result<Keeper> {
        let system = |what: &'static str| {
            move |errno: Errno| Error::new(Kind::System, format_args!("{what}: {errno}"))
        };
        let (ours, theirs) = Socket::pair().map_err(system("no sockets to start commands over"))?;
        let mut nonce = [0u8; 16];
        if !process::random(&mut nonce) {
            return fail!(System, "no random bytes for the connection to the keeper of commands");
        }
        let (role, depth) = (Role::Keeper, entry::depth());
        let start = Message::Start { nonce, protocol: PROTOCOL, version: 0, role, depth };
        ours.send(start.encode().as_bytes(), &[])
            .map_err(system("the keeper of commands could not be told what it is"))?;
        let entry = entry::Entry::new(spawn::SOCKET, &nonce);
        let mut envp: Vec<&CStr> = Vec::new();
        envp.try_reserve_exact(self.environment.len() + 1)
            .map_err(|_| Error::no_memory("the environment of commands", 4096))?;
        envp.extend(self.environment.iter().map(CString::as_c_str));
        envp.push(entry.as_c_str());
        let program = Program {
            path: &self.place.path,
            argv: &[&self.command],
            envp: &envp,
            directory: None,
            socket: theirs.fd(),
        };
        let pid = spawn::exec_detached(&program).map_err(|errno| {
            let path = Lossy(self.place.path.to_bytes());
            let also = spawn::also_missing(errno);
            let text =
                format_args!("{path}, which starts commands, could not be executed: {errno}{also}");
            Error::new(Kind::System, text)
        })?;
        Ok(Keeper { control: ours, pid, ready: false, since: Instant::now() })
    }
}

/// A keeper that has been executed.
pub(super) struct Keeper {
    control: Socket,
    pid: i32,
    /// It takes requests.
    pub(super) ready: bool,
    since: Instant,
}

/// What a keeper has to say.
pub(super) enum Heard<'a> {
    Message(Message<'a>),
    Nothing,
    Gone,
}

impl Keeper {
    /// As `Recipe::execute`.
    pub(super) fn start() -> Result<Keeper> {
        match &*RECIPE.lock() {
            Some(recipe) => recipe.execute(),
            None => fail!(System, "commands were not prepared for"), // not reached
        }
    }

    pub(super) fn fd(&self) -> &Fd {
        self.control.fd()
    }

    pub(super) fn send(
        &self,
        message: &Message<'_>,
        fds: &[&Fd],
    ) -> std::result::Result<(), Errno> {
        self.control.send(message.encode().as_bytes(), fds)
    }

    pub(super) fn hear<'a>(&self, packet: &'a mut [u8; PACKET]) -> Heard<'a> {
        let mut fds = [const { None }; MOST_FDS];
        match self.control.receive(packet, &mut fds) {
            Ok(Some(length)) => match Message::decode(&packet[..length]) {
                Some(message) => Heard::Message(message),
                None => Heard::Gone, // it is no keeper of ours
            },
            Err(Errno(libc::EAGAIN)) => Heard::Nothing,
            // The other side went with something unread; what it sent before comes next.
            Err(Errno(libc::ECONNRESET)) => Heard::Nothing,
            Ok(None) | Err(_) => Heard::Gone,
        }
    }

    /// When it should have been ready.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.ready).then(|| self.since.plus(START_NS))
    }

    /// Ends it: what it has started ends with it.
    pub(super) fn kill(&self) {
        let _ = process::kill(self.pid, signal::KILL); // its socket says so if it has ended
    }

    /// Where this process is the first of its namespace, the keeper is its orphan.
    pub(super) fn collect(&self) {
        host::collect_orphan(self.pid);
    }
}
