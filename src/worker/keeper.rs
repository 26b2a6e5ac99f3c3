//! The process that is the parent of a host's commands, in the host's stead: it starts them, watches
//! their ends and signals them, so that the host sees no child, no SIGCHLD and no status.
//!
//! It has one thread and does what its socket says. Commands end with it (PR_SET_PDEATHSIG), and it
//! ends with its host, which kills their groups. What has left its group, as daemons do, is nobody's
//! business.

use super::bootstrap::Task;
use super::outbox::Outbox;
use super::supervisor::{AGAIN_NS, CHILDREN, CONTROL, Events, HOST};
use crate::platform::clock::Instant;
use crate::platform::fault::crash_point;
use crate::platform::fd::Fd;
use crate::platform::poll::BATCH;
use crate::platform::process::{self, Reaped};
use crate::platform::shm::Shm;
use crate::platform::socket::MOST_FDS;
use crate::platform::spawn::command::{Command, Failed, HERALD, Herald, Started, exec_command};
use crate::platform::{Errno, thread};
use crate::transport::control::{Message, PACKET};
use crate::transport::entry;
use crate::transport::program::{Request, Step, texts};
use crate::unwind::{self, contain};
use std::ffi::{CStr, CString};

/// Where the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Runs the keeper.
pub(super) fn run(task: Task) -> ! {
    let host = task.socket.peer().map(|(pid, _)| pid);
    process::ignore_hangups();
    thread::set_name(c"cfut-keeper");
    let mut keeper = Keeper { outbox: Outbox::new(task.socket), children: Vec::new() };
    let Ok(children) = process::watch_children() else { process::leave(1) };
    let Ok(events) = Events::new(&keeper.outbox.control, children, host) else { process::leave(1) };
    crash_point("keeper");
    keeper.tell(Message::Ready { pid: process::own_id() });
    loop {
        if let Err(panic) = contain(|| keeper.step(&events)) {
            unwind::die(panic.text());
        }
    }
}

struct Keeper {
    outbox: Outbox,
    children: Vec<Child>,
}

/// A command that has not been collected.
struct Child {
    number: u32,
    generation: u32,
    pid: i32,
}

impl Keeper {
    fn step(&mut self, events: &Events) {
        self.outbox.send_pending();
        let deadline = self.outbox.is_behind().then(|| Instant::now().plus(AGAIN_NS));
        let mut tokens = [0; BATCH];
        let count = events.poller.wait(&mut tokens, deadline);
        for token in &tokens[..count] {
            match *token {
                CONTROL => self.obey(),
                CHILDREN => {
                    process::drain_children(&events.children);
                    self.collect();
                }
                HOST => self.end(),
                _ => {}
            }
        }
    }

    /// Takes one message of the host's.
    fn obey(&mut self) {
        let mut packet = [0u8; PACKET];
        let mut fds = [const { None }; MOST_FDS];
        let length = match self.outbox.control.receive(&mut packet, &mut fds) {
            Ok(Some(length)) => length,
            Err(Errno(libc::EAGAIN | libc::EINTR)) => return,
            // Descriptors that did not arrive: which command's is not known.
            Ok(None) | Err(_) => self.end(),
        };
        match Message::decode(&packet[..length]) {
            Some(Message::Execute { worker, generation, input, directory }) => {
                let started = self.start(worker, generation, fds, input, directory);
                crash_point("command");
                self.tell(match started {
                    // It has said so itself, before it could have children that outlive us.
                    Ok(Started { heralded: true, .. }) => return,
                    Ok(Started { pid, .. }) => Message::Spawned { worker, generation, pid },
                    Err((step, Errno(errno))) => {
                        Message::NotExecuted { worker, generation, step, errno }
                    }
                });
            }
            Some(Message::Kill { worker, generation, signal, .. }) => {
                let wanted =
                    |child: &&Child| child.number == worker && child.generation == generation;
                // Not there any more: its end is on its way to the host.
                let Some(child) = self.children.iter().find(wanted) else { return };
                signal_group(child.pid, signal);
            }
            // It wants to know whether anybody is there.
            Some(Message::Bell) => self.tell(Message::Bell),
            _ => {}
        }
    }

    fn start(
        &mut self,
        number: u32,
        generation: u32,
        fds: [Option<Fd>; MOST_FDS],
        input: bool,
        directory: bool,
    ) -> Result<Started, (Step, Errno)> {
        let cannot = |errno: i32| (Step::Make, Errno(errno));
        let [request, output, errors, fourth, fifth] = fds;
        let (input, base) = match (input, directory) {
            (false, false) => (None, None),
            (false, true) => (None, fourth),
            (true, _) => (fourth, fifth),
        };
        let (Some(request), Some(output), Some(errors)) = (request, output, errors) else {
            return Err(cannot(libc::EPROTO));
        };
        self.children.try_reserve(1).map_err(|_| cannot(libc::ENOMEM))?;
        let request = Shm::adopt_read_only(request).map_err(|errno| (Step::Make, errno))?;
        // SAFETY: the mapping is so long and lasts as long as `request`; the host, which is
        // trusted, does not change it.
        let bytes =
            unsafe { std::slice::from_raw_parts(request.address().as_ptr(), request.size()) };
        let asked = Request::decode(bytes).ok_or(cannot(libc::EPROTO))?;
        let no_memory = |()| cannot(libc::ENOMEM);
        let argv = collect(asked.words).map_err(no_memory)?;
        let envp = collect(asked.environment).map_err(no_memory)?;
        let Some(program) = argv.first() else { return Err(cannot(libc::EPROTO)) };
        let places = places(program, &envp).map_err(no_memory)?;
        let mut paths: Vec<&CStr> = Vec::new();
        paths.try_reserve_exact(places.len()).map_err(|_| no_memory(()))?;
        paths.extend(places.iter().map(CString::as_c_str));
        let mut packet = [0; HERALD];
        let spawned = Message::Spawned { worker: number, generation, pid: 0 }.encode();
        packet.copy_from_slice(spawned.as_bytes().get(..HERALD).ok_or(cannot(libc::EPROTO))?);
        let started = exec_command(&Command {
            paths: &paths,
            argv: &argv,
            envp: &envp,
            base: base.as_ref(),
            directory: texts(asked.directory).next(),
            input: input.as_ref(),
            output: &output,
            errors: &errors,
            herald: Herald { socket: self.outbox.control.fd(), packet },
        });
        match started {
            Ok(started) => {
                self.children.push(Child { number, generation, pid: started.pid });
                Ok(started)
            }
            Err(Failed::Making(errno)) => Err((Step::Make, errno)),
            Err(Failed::Directory(errno)) => Err((Step::Directory, errno)),
            Err(Failed::Execution(errno)) => Err((Step::Execute, errno)),
        }
    }

    /// Collects whoever has ended, with what is left of its group.
    fn collect(&mut self) {
        while let Some(pid) = process::ended_child() {
            // While its number is still its own.
            let _ = process::kill_group(pid, process::KILL); // none of its group is left
            let Some(reaped) = process::reap(pid) else { break };
            if let Some(place) = self.children.iter().position(|child| child.pid == pid) {
                let child = self.children.swap_remove(place);
                self.tell_of_end(&child, &reaped);
            }
        }
    }

    fn tell_of_end(&mut self, child: &Child, reaped: &Reaped) {
        crash_point("ended");
        self.tell(Message::Exited {
            worker: child.number,
            generation: child.generation,
            status: reaped.status,
            user_ns: reaped.user_ns,
            system_ns: reaped.system_ns,
            max_rss: reaped.max_rss,
            oom: 0,
            pid: reaped.pid,
        });
    }

    fn tell(&mut self, message: Message<'_>) {
        if self.outbox.tell(message).is_err() {
            self.end(); // the host must not miss an end: it hears of this one by ours
        }
    }

    /// The host is gone, or has no more commands: what runs goes.
    fn end(&mut self) -> ! {
        for child in &self.children {
            signal_group(child.pid, process::KILL);
        }
        process::leave(0)
    }
}

/// Signals a command and its group. A command that has left its group, and nobody else is there,
/// gets the signal by itself.
fn signal_group(pid: i32, signal: i32) {
    if process::kill_group(pid, signal).is_err() || signal == process::KILL {
        let _ = process::kill(pid, signal); // it has not been collected, so it exists
    }
}

fn collect(list: &[u8]) -> Result<Vec<&CStr>, ()> {
    let mut collected = Vec::new();
    for text in texts(list) {
        if !entry::is_entry(text) {
            collected.try_reserve(1).map_err(|_| ())?;
            collected.push(text);
        }
    }
    Ok(collected)
}

/// Where a program may be: at its path, or in the directories of the PATH that it will have.
fn places(program: &CStr, envp: &[&CStr]) -> Result<Vec<CString>, ()> {
    let name = program.to_bytes();
    let mut places = Vec::new();
    if name.contains(&b'/') || name.is_empty() {
        add_place(&mut places, b"", name)?;
        return Ok(places);
    }
    let variable = envp.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
    for directory in variable.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':') {
        // An empty entry is the current directory.
        add_place(&mut places, if directory.is_empty() { b"." } else { directory }, name)?;
    }
    Ok(places)
}

fn add_place(places: &mut Vec<CString>, directory: &[u8], name: &[u8]) -> Result<(), ()> {
    let mut path = Vec::new();
    path.try_reserve_exact(directory.len() + name.len() + 2).map_err(|_| ())?;
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    places.try_reserve(1).map_err(|_| ())?;
    places.push(CString::new(path).map_err(|_| ())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(program: &CStr, envp: &[&CStr]) -> Vec<String> {
        let places = places(program, envp).expect("memory");
        places.iter().map(|place| place.to_str().expect("text").into()).collect()
    }

    #[test]
    fn programs_are_looked_up_as_execvp_does() {
        assert_eq!(found(c"./x", &[c"PATH=/bin"]), ["./x"]);
        assert_eq!(found(c"", &[c"PATH=/bin"]), [""]);
        assert_eq!(found(c"x", &[c"A=1", c"PATH=/bin::/opt/b"]), ["/bin/x", "./x", "/opt/b/x"]);
        assert_eq!(found(c"x", &[c"PATHS=/no"]), ["/bin/x", "/usr/bin/x"]);
    }
}
