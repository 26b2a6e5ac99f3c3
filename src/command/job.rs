//! One command, from its place to its outcome.

use super::keeper::Keeper;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::outside;
use crate::future::owner::OwnerRef;
use crate::future::promise;
use crate::future::remote::Argument;
use crate::platform::clock::{self, Instant};
use crate::platform::fd::Fd;
use crate::platform::pipe;
use crate::platform::poll::Poller;
use crate::platform::shm::Shm;
use crate::platform::{Errno, host, signal};
use crate::sync::Ordering;
use crate::transport::control::Message;
use crate::transport::program::Request;

/// How a command came here, and so how it ends.
pub(super) enum Way {
    /// Out of the lane of this executor, to which it gives its place back.
    Lane(OwnerRef),
    /// Handed over by its task function, with its input; `task` is a promise of it.
    Detached(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Parked,
    Sent,
    Runs,
}

/// How far its end has been brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Not,
    /// SIGTERM, because it was asked to stop.
    Asked,
    /// SIGTERM; SIGKILL at that time.
    Until(Instant),
    Killed,
}

/// What is wrong with a command that would otherwise end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    OverLimit,
    NoMemory,
}

/// How its process ended.
pub(super) struct End {
    pub(super) status: i32,
    pub(super) cpu_ns: u64,
    pub(super) max_rss: u64,
}

pub(super) struct Job {
    pub(super) task: TaskRef,
    pub(super) way: Way,
    pub(super) state: State,
    /// Tells it from others of its number.
    pub(super) generation: u32,
    pub(super) pid: i32,
    ending: Ending,
    pub(super) flaw: Option<Flaw>,
    /// It was asked to stop before it ended.
    pub(super) stopped: bool,
    /// A signal did not fit the keeper's socket.
    pub(super) retries: bool,
    pub(super) began: u64,
    pub(super) output: Stream,
    pub(super) errors: Stream,
}

/// What a command writes, as far as it is kept.
#[derive(Default)]
pub(super) struct Stream {
    end: Option<Fd>,
    pub(super) bytes: Vec<u8>,
    /// Something before `bytes` was not kept.
    cut: bool,
}

/// Read at a time.
pub(super) const CHUNK: usize = 64 * 1024;
/// Reads at a time, for others have something to say, too.
const READS: usize = 4;
/// So much of the errors becomes the message.
const TAIL: usize = 4096;

/// Which of its pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Output,
    Errors,
}

impl Job {
    pub(super) fn new(task: TaskRef, way: Way, generation: u32) -> Job {
        Job {
            task,
            way,
            state: State::Parked,
            generation,
            pid: 0,
            ending: Ending::Not,
            flaw: None,
            stopped: false,
            retries: false,
            began: clock::ticks(),
            output: Stream::default(),
            errors: Stream::default(),
        }
    }

    // ---- begins ----

    /// Asks the keeper to start it. On an error nothing has happened.
    pub(super) fn launch(
        &mut self,
        keeper: &Keeper,
        poller: &Poller,
        number: u32,
    ) -> Result<(), Errno> {
        let Some(program) = self.task.spec().and_then(|spec| spec.program.as_deref()) else {
            return Err(Errno(libc::EINVAL)); // not reached: that is what makes it a command
        };
        let request = Request {
            words: &program.words,
            environment: &program.environment,
            directory: &program.directory,
        };
        let request = request.encode().ok_or(Errno(libc::ENOMEM))?;
        let request = Shm::frozen(c"cfut-command", &request)?;
        let input = self.input()?;
        let directory = host::own_directory();
        if directory.is_none() && matches!(Errno::last().0, libc::EMFILE | libc::ENFILE) {
            return Err(Errno::last());
        }
        let (output, theirs) = pipe::stream()?;
        let (errors, their_errors) = pipe::stream()?;
        let message = Message::Execute {
            worker: number,
            generation: self.generation,
            input: input.is_some(),
            directory: directory.is_some(),
        };
        let optional = [&input, &directory];
        // Only the first `count` are sent.
        let mut fds = [&request, &theirs, &their_errors, &request, &request];
        let mut count = 3;
        for fd in optional.into_iter().flatten() {
            fds[count] = fd;
            count += 1;
        }
        poller.add(&output, token(number, Which::Output))?;
        let sent = poller
            .add(&errors, token(number, Which::Errors))
            .and_then(|()| keeper.send(&message, &fds[..count]));
        if sent.is_err() {
            poller.remove(&output);
            poller.remove(&errors);
            return sent;
        }
        self.output.end = Some(output);
        self.errors.end = Some(errors);
        self.state = State::Sent;
        Ok(())
    }

    /// Its input as a file; None: nothing.
    fn input(&self) -> Result<Option<Fd>, Errno> {
        let freeze = |bytes: &[u8]| match bytes {
            [] => Ok(None),
            bytes => Shm::frozen(c"cfut-input", bytes).map(Some),
        };
        match &self.way {
            Way::Detached(input) => freeze(input),
            // SAFETY: C2: the follower is the runner, and has not consumed the arguments.
            Way::Lane(_) => match unsafe { self.task.argument() } {
                Argument::Bytes(bytes) => freeze(bytes),
                Argument::Buffer(buffer, _) => freeze(buffer.bytes()),
            },
        }
    }

    /// The keeper could not make a process now: it is as before `launch`.
    pub(super) fn park(&mut self, poller: &Poller) {
        self.close(poller);
        self.note_pid(0);
        self.state = State::Parked;
    }

    /// Its process exists; it becomes the program, or fails to.
    pub(super) fn note_start(&mut self, pid: i32) {
        self.note_pid(pid);
        self.state = State::Runs;
    }

    pub(super) fn note_pid(&mut self, pid: i32) {
        self.pid = pid;
        if let Some(extra) = self.task.extra_in(self.task.snapshot()) {
            // Relaxed: published by settling; a snapshot may see it earlier.
            extra.pid.store(pid as u32, Ordering::Relaxed);
        }
    }

    // ---- runs ----

    /// Reads what one of its pipes has to say. A command with a flaw is killed.
    pub(super) fn read(
        &mut self,
        which: Which,
        keeper: Option<&Keeper>,
        poller: &Poller,
        number: u32,
    ) {
        let limit = self.limit();
        for _ in 0..READS {
            match self.read_once(which, limit) {
                Ok(true) => {}
                Ok(false) => return self.stream(which).close(poller),
                Err(()) => break,
            }
        }
        if self.flaw.is_some() && self.ending != Ending::Killed {
            self.output.close(poller);
            if let Some(keeper) = keeper {
                self.signal(keeper, number, signal::KILL);
            }
        }
    }

    fn stream(&mut self, which: Which) -> &mut Stream {
        match which {
            Which::Output => &mut self.output,
            Which::Errors => &mut self.errors,
        }
    }

    pub(super) fn limit(&self) -> Option<u64> {
        u64::try_from(self.task.spec().map_or(-1, |spec: &Spec| spec.output_limit)).ok()
    }

    /// Ok(false): the end. Err: nothing now, or the output is of no more use.
    pub(super) fn read_once(&mut self, which: Which, limit: Option<u64>) -> Result<bool, ()> {
        let settled = self.task.snapshot().is_settled();
        let stream = self.stream(which);
        let Some(end) = &stream.end else { return Err(()) };
        if stream.bytes.try_reserve(CHUNK).is_err() {
            if which == Which::Output {
                self.flaw = Some(Flaw::NoMemory);
            }
            return Err(());
        }
        let read = match pipe::read_into(end, &mut stream.bytes) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(Errno(libc::EAGAIN)) => return Err(()),
            Err(_) => return Ok(false),
        };
        debug_assert!(read > 0);
        match which {
            Which::Errors => stream.keep_tail(TAIL),
            // Nobody will see it.
            Which::Output if settled => stream.bytes.clear(),
            Which::Output if limit.is_some_and(|limit| stream.bytes.len() as u64 > limit) => {
                self.flaw = Some(Flaw::OverLimit);
                return Err(());
            }
            Which::Output => {}
        }
        Ok(true)
    }

    /// Has it ended if its future has settled, or asked if that was asked for. Called when there may
    /// be a reason, and by `kill_late`.
    pub(super) fn look(&mut self, keeper: &Keeper, number: u32, now: Instant) {
        self.retries = false;
        let settled = self.task.snapshot().is_settled();
        let asked = !settled && promise::stop_requested(&self.task);
        self.stopped |= asked;
        if self.state != State::Runs {
            return; // when it runs, it is looked at again
        }
        match self.ending {
            Ending::Killed => {}
            Ending::Until(time) if time <= now => self.signal(keeper, number, signal::KILL),
            Ending::Until(_) => {}
            _ if self.flaw.is_some() => self.signal(keeper, number, signal::KILL),
            Ending::Not | Ending::Asked if settled => self.end_it(keeper, number, now),
            Ending::Not if asked => self.signal(keeper, number, signal::TERM),
            Ending::Not | Ending::Asked => {}
        }
    }

    fn end_it(&mut self, keeper: &Keeper, number: u32, now: Instant) {
        let grace = outside::grace_of(&self.task);
        if grace == Some(0) {
            return self.signal(keeper, number, signal::KILL);
        }
        self.signal(keeper, number, signal::TERM);
        if !self.retries {
            // For ever is longer than anybody waits.
            self.ending = Ending::Until(grace.map_or(Instant(u64::MAX), |grace| now.plus(grace)));
        }
    }

    /// Sends a signal to its group, or notes that it is to be sent again.
    fn signal(&mut self, keeper: &Keeper, number: u32, signal: i32) {
        let (worker, generation) = (number, self.generation);
        let message = Message::Kill { worker, generation, signal, tree: false };
        match keeper.send(&message, &[]) {
            Ok(()) if signal == signal::KILL => self.ending = Ending::Killed,
            Ok(()) => self.ending = Ending::Asked,
            Err(_) => self.retries = true,
        }
    }

    /// The keeper is to say that it has begun, or that it has ended.
    pub(super) fn awaits_keeper(&self) -> bool {
        self.state == State::Sent || self.ending == Ending::Killed
    }

    /// When it is to be killed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.ending {
            Ending::Until(time) if time != Instant(u64::MAX) => Some(time),
            _ => None,
        }
    }
}

impl Stream {
    pub(super) fn close(&mut self, poller: &Poller) {
        if let Some(end) = self.end.take() {
            poller.remove(&end);
        }
    }

    /// Drops all but the last bytes, now and then.
    fn keep_tail(&mut self, most: usize) {
        if self.bytes.len() > 2 * most {
            self.bytes.drain(..self.bytes.len() - most);
            self.cut = true;
        }
    }

    /// The last lines, without white space behind them, in `TAIL` bytes at most.
    pub(super) fn tail(&self) -> &[u8] {
        let mut text = self.bytes.trim_ascii_end();
        if text.len() > TAIL || self.cut {
            text = &text[text.len().saturating_sub(TAIL)..];
            // From the beginning of a line, if there is one; else of a character.
            let line = text.iter().position(|&byte| byte == b'\n');
            let character = || text.iter().position(|&byte| byte & 0xC0 != 0x80).unwrap_or(0);
            text = &text[line.map_or_else(character, |end| end + 1)..];
        }
        text
    }
}

/// What the poller says for a pipe of the job of this number.
fn token(number: u32, which: Which) -> u64 {
    u64::from(number) << 1 | u64::from(which == Which::Errors)
}

/// The other way round.
pub(super) fn of_token(token: u64) -> Option<(usize, Which)> {
    let number = u32::try_from(token >> 1).ok()?;
    Some((number as usize, if token & 1 == 0 { Which::Output } else { Which::Errors }))
}

/// A reference to the task whose function was called with this promise, for as long as it is
/// unsettled.
///
/// # Safety
/// `promise` is what a task function was called with, which has not returned.
pub(super) unsafe fn promise_of(promise: *const TaskCell) -> TaskRef {
    // SAFETY: by the contract the cell is alive.
    promise::retain(unsafe { &*promise })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &[u8]) -> Vec<u8> {
        let mut stream = Stream::default();
        for chunk in text.chunks(1000) {
            stream.bytes.extend_from_slice(chunk);
            stream.keep_tail(TAIL);
        }
        stream.tail().to_vec()
    }

    #[test]
    fn tails_are_whole_lines() {
        assert_eq!(tail(b"no\n\n"), b"no");
        assert_eq!(tail(b""), b"");
        let lines: Vec<u8> =
            (0..5000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        let kept = tail(&lines);
        assert!(kept.starts_with(b"line ") && kept.ends_with(b"line 4999") && kept.len() <= TAIL);
        let long = "\u{e9}".repeat(10_000);
        assert!(std::str::from_utf8(&tail(long.as_bytes())).is_ok());
    }

    #[test]
    fn tokens_come_back() {
        for number in [0, 1, u32::MAX] {
            for which in [Which::Output, Which::Errors] {
                assert_eq!(of_token(token(number, which)), Some((number as usize, which)));
            }
        }
        assert_eq!(of_token(crate::platform::poll::WAKE), None);
    }
}
