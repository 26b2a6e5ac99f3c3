//! How a command ends: from the end of its process to its future.

use super::code;
use super::job::{CHUNK, End, Flaw, Job, Way, Which};
use super::teller;
use crate::error::{Line, Lossy};
use crate::future::cell::TaskRef;
use crate::future::extra::{Spec, Text};
use crate::future::promise;
use crate::future::remote::{Death, Report};
use crate::future::result::Payload;
use crate::future::state::Outcome;
use crate::platform::poll::Poller;
use crate::platform::{Errno, clock, pipe, process, signal};
use crate::sync::Ordering;
use crate::transport::program::Step;
use std::fmt::Write;

impl Job {
    pub(super) fn close(&mut self, poller: &Poller) {
        self.output.close(poller);
        self.errors.close(poller);
    }

    /// Its process has ended: reads what the pipes still hold, and how it ends.
    pub(super) fn report_end(&mut self, end: &End, poller: &Poller) -> Report {
        let limit = self.limit();
        for which in [Which::Errors, Which::Output] {
            // Others may hold it open and go on writing.
            for _ in 0..=pipe::MOST_HELD / CHUNK {
                if !matches!(self.read_once(which, limit), Ok(true)) {
                    break;
                }
            }
        }
        self.close(poller);
        self.note_end(end);
        if self.flaw == Some(Flaw::OverLimit) {
            let limit = limit.unwrap_or(0);
            return self.failed(
                code::FULL,
                format_args!(
                    "{} wrote more than its CFUT_TASK_OUTPUT_LIMIT of {limit} bytes, and was killed",
                    self.name()
                ),
            );
        }
        if self.flaw == Some(Flaw::NoMemory) {
            return self.failed(
                code::NO_MEMORY,
                format_args!("no memory for what {} wrote; it was killed", self.name()),
            );
        }
        let exit = signal::exit_code(end.status);
        if self.stopped && exit != Some(0) {
            return self.report(Outcome::Cancelled, 0, Text::EMPTY, Payload::None);
        }
        let output = std::mem::take(&mut self.output.bytes);
        let Ok(payload) = promise::copy_bytes(&self.task, &output) else {
            return self.failed(
                code::NO_MEMORY,
                format_args!("no memory for the {} bytes that {} wrote", output.len(), self.name()),
            );
        };
        match exit {
            Some(0) => self.report(Outcome::Succeeded, 0, Text::EMPTY, payload),
            Some(code) => {
                let line = Line::of(format_args!("{} exited with status {code}", self.name()));
                let text = self.errors.tail();
                let text = if text.is_empty() { line.as_bytes() } else { text };
                let text = Text::copy(text).unwrap_or(Text::EMPTY);
                self.report(Outcome::Failed, code, text, payload)
            }
            None => {
                let signal = process::ending_signal(end.status).unwrap_or(0);
                let text = self.text_of_signal(signal);
                self.report(Outcome::Failed, 128 + signal, text, payload)
            }
        }
    }

    fn text_of_signal(&self, signal: i32) -> Text {
        let mut text: Vec<u8> = Vec::new();
        let line = Line::of(format_args!(
            "{} was ended by {} ({signal})",
            self.name(),
            signal::name(signal)
        ));
        let tail = self.errors.tail();
        if text.try_reserve(line.as_bytes().len() + tail.len() + 2).is_err() {
            return Text::copy(line.as_bytes()).unwrap_or(Text::EMPTY);
        }
        text.extend_from_slice(line.as_bytes());
        if !tail.is_empty() {
            text.extend_from_slice(b": ");
            text.extend_from_slice(tail);
        }
        Text::copy(&text).unwrap_or(Text::EMPTY)
    }

    /// What is known of its process stays with the future.
    fn note_end(&self, end: &End) {
        if let Some(extra) = self.task.extra_in(self.task.snapshot()) {
            // Relaxed, both: published by settling. Who was settled before has them late.
            extra.cpu_ns.store(end.cpu_ns, Ordering::Relaxed);
            let kib = u32::try_from(end.max_rss / 1024).unwrap_or(u32::MAX);
            extra.max_rss_kib.store(kib, Ordering::Relaxed);
        }
        self.task.note_death(Death {
            signal: process::ending_signal(end.status).unwrap_or(0) as u8,
            exit_code: signal::exit_code(end.status).unwrap_or(0) as u8,
            out_of_memory: false,
        });
    }

    /// It could not be started.
    pub(super) fn report_no_start(&mut self, step: Step, errno: Errno, poller: &Poller) -> Report {
        self.close(poller);
        self.note_pid(0);
        let name = self.name();
        let program = self.task.spec().and_then(|spec| spec.program.as_deref());
        let directory = program.map_or(&b""[..], |program| &program.directory);
        let directory = directory.strip_suffix(b"\0").unwrap_or(directory);
        let mut line = Line::new();
        // Cannot fail, here and below: a Line cuts what does not fit.
        let _ = match (step, errno.0) {
            (Step::Execute, libc::ENOENT | libc::ENOTDIR) => {
                let text = if self.task.spec().is_some_and(has_path) {
                    "there is no such file, or not what its first line (#!) names"
                } else {
                    "it is in none of the directories of PATH"
                };
                write!(line, "{name} could not be started: {text}")
            }
            (Step::Execute, libc::EACCES) => {
                write!(line, "{name} may not be executed: {errno}")
            }
            (Step::Execute, libc::ENOEXEC) => write!(
                line,
                "{name} is no program: a script needs a first line (#!), or give it to sh"
            ),
            (Step::Execute, libc::E2BIG) => {
                write!(line, "{name}: arguments and environment are too long: {errno}")
            }
            (Step::Directory, _) => write!(
                line,
                "{name} could not be started in CFUT_TASK_DIRECTORY {}: {errno}",
                Lossy(directory)
            ),
            _ => write!(line, "{name} could not be started: {errno}"),
        };
        let missing = step == Step::Execute && matches!(errno.0, libc::ENOENT | libc::ENOTDIR);
        let code = if missing { code::NOT_FOUND } else { code::SYSTEM };
        self.failed(code, format_args!("{}", line.as_str()))
    }

    /// It could not be started for a reason that is not its own.
    pub(super) fn report_trouble(&mut self, text: &str, poller: &Poller) -> Report {
        self.close(poller);
        self.failed(code::SYSTEM, format_args!("{} could not be started: {text}", self.name()))
    }

    /// It is not to be started any more.
    pub(super) fn report_unstarted(&self) -> Report {
        self.report(Outcome::Cancelled, 0, Text::EMPTY, Payload::None)
    }

    /// Its keeper has gone, and it with it.
    pub(super) fn report_loss(&mut self, poller: &Poller) -> Report {
        self.close(poller);
        let line = Line::of(format_args!(
            "the process that had started {} was killed, and the command with it",
            self.name()
        ));
        let text = Text::copy(line.as_bytes()).unwrap_or(Text::EMPTY);
        self.report(Outcome::Crashed, 0, text, Payload::None)
    }

    fn failed(&self, code: i32, text: std::fmt::Arguments<'_>) -> Report {
        let line = Line::of(text);
        let text = Text::copy(line.as_bytes()).unwrap_or(Text::EMPTY);
        self.report(Outcome::Failed, code, text, Payload::None)
    }

    fn report(&self, outcome: Outcome, code: i32, message: Text, payload: Payload) -> Report {
        let queued = self.began.saturating_sub(self.task.accepted_at());
        let ran = clock::ticks().saturating_sub(self.began);
        Report { outcome, code, message, payload, queued, ran }
    }

    fn name(&self) -> Lossy<'_> {
        let program = self.task.spec().and_then(|spec| spec.program.as_deref());
        Lossy(program.map_or(&b"?"[..], |program| program.name()))
    }

    /// Settles the future.
    pub(super) fn settle(task: TaskRef, way: &Way, report: Report) {
        match way {
            Way::Lane(owner) => {
                let Some(table) = owner.vtable.outside else { return };
                // SAFETY: `owner` keeps the executor, whose command this is.
                unsafe { (table.end)(owner.as_ptr(), task, report) }
            }
            Way::Detached(_) => settle_detached(task, report),
        }
    }

    /// It is no more, and its place is free.
    pub(super) fn give_place(task: &TaskRef, way: &Way) {
        if let Way::Lane(owner) = way {
            if let Some(lane) = teller::lane_of(owner) {
                lane.give_place(task);
            }
        }
    }
}

fn settle_detached(task: TaskRef, report: Report) {
    let Report { outcome, code, message, payload, .. } = report;
    let recording = promise::Recording { outcome, code, message, payload };
    if let Err((_, payload)) = promise::put(&task, recording) {
        promise::take_back(payload);
    }
    promise::release(task);
}

fn has_path(spec: &Spec) -> bool {
    spec.program.as_deref().is_some_and(|program| program.name().contains(&b'/'))
}
