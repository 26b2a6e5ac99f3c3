//! Section 4 of the header: what to run, and how.

use super::guard;
use super::handle;
use super::keys;
use super::status;
use super::types::{cfut_status, cfut_task, cfut_task_fn};
use crate::command;
use crate::error::{Error, Result, fail};
use crate::executor::Executor;
use crate::future::cell::{TaskCell, TaskFn};
use crate::future::extra::{Spec, Text};
use crate::future::outside::Program;
use crate::shared::Shared;
use crate::sync::{AtomicPtr, Ordering};
use crate::worker::registry;
use std::ffi::{c_char, c_void};
use std::ptr;

pub(crate) struct Task {
    target: Target,
    /// None: all defaults.
    spec: Option<Shared<Spec>>,
}

impl Task {
    fn new(target: Target) -> Task {
        Task { target, spec: None }
    }

    /// A named one says so in its options, too, for executors whose tasks run elsewhere.
    fn named(name: &[u8]) -> Result<Task> {
        let no_memory = || Error::no_memory("a name", name.len());
        let copy = || Text::copy(name).ok_or_else(no_memory);
        let spec = Spec { function: copy()?, ..Spec::DEFAULT };
        let spec = Shared::try_new(spec).ok_or_else(no_memory)?;
        Ok(Task { target: Target::Named(Named::new(copy()?)), spec: Some(spec) })
    }

    /// A command is told by its options, which each task made from them keeps.
    fn command(program: &[u8]) -> Result<Task> {
        let no_memory = || Error::no_memory("a command", size_of::<Spec>());
        let program = Shared::try_new(command::new(program)?).ok_or_else(no_memory)?;
        let spec = Spec { program: Some(program), ..Spec::DEFAULT };
        let spec = Shared::try_new(spec).ok_or_else(no_memory)?;
        Ok(Task { target: Target::Command, spec: Some(spec) })
    }

    /// Changes what a command executes. Tasks submitted before keep what they had.
    fn change_program(
        &mut self,
        what: &str,
        change: impl FnOnce(&mut Program) -> Result<()>,
    ) -> Result<cfut_status> {
        let no_memory = || Error::no_memory("a command", 4096);
        let mut result = Ok(());
        let mut change = Some(change);
        let is_command = self.spec.as_ref().is_some_and(|spec| spec.is_command());
        if !is_command {
            return fail!(NotSupported, "only command tasks have {what}");
        }
        self.change(|spec| {
            let (Some(program), Some(change)) = (&mut spec.program, change.take()) else { return };
            if let Some(sole) = program.get_mut() {
                result = change(sole);
                return;
            }
            result = program.try_clone().ok_or_else(no_memory).and_then(|mut copy| {
                change(&mut copy)?;
                *program = Shared::try_new(copy).ok_or_else(no_memory)?;
                Ok(())
            });
        })?;
        result.map(|()| status::OK)
    }

    /// The function for an executor: where its tasks run in other processes a name is looked up
    /// there, and what is answered here stands for it.
    pub(super) fn function_for(&self, executor: Executor<'_>) -> Result<TaskFn> {
        match &self.target {
            Target::Named(_) if executor.is_elsewhere() => Ok(named_elsewhere),
            Target::Command => command::prepare(),
            target => target.function(),
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn spec(&self) -> Option<&Shared<Spec>> {
        self.spec.as_ref()
    }

    /// Changes the options. Tasks submitted before keep theirs: they share the old ones.
    fn change(&mut self, change: impl FnOnce(&mut Spec)) -> Result<()> {
        let no_memory = || Error::no_memory("the options of a task", size_of::<Spec>());
        let sole = self.spec.as_mut().and_then(Shared::get_mut);
        if let Some(spec) = sole {
            change(spec);
            return Ok(());
        }
        let mut copy = match &self.spec {
            Some(spec) => spec.try_clone().ok_or_else(no_memory)?,
            None => Spec::DEFAULT,
        };
        change(&mut copy);
        self.spec = Some(Shared::try_new(copy).ok_or_else(no_memory)?);
        Ok(())
    }
}

/// Stands for a function that is named in another process. Never called.
unsafe extern "C-unwind" fn named_elsewhere(
    _promise: *const TaskCell,
    _data: *const c_void,
    _len: usize,
) -> i32 {
    -8 // CFUT_ENOENT
}

/// What a task calls.
pub(super) enum Target {
    Function(TaskFn),
    Named(Named),
    /// What its options say.
    Command,
}

/// A function by its name.
pub(super) struct Named {
    name: Text,
    /// The function, once it has been looked up in this process; else NULL.
    found: AtomicPtr<c_void>,
}

impl Target {
    pub(super) fn function(&self) -> Result<TaskFn> {
        match self {
            Target::Function(function) => Ok(*function),
            Target::Named(named) => named.function(),
            Target::Command => {
                fail!(
                    Invalid,
                    "a command cannot be called; it is submitted with cfut_submit_task()"
                )
            }
        }
    }

    /// None when there is no memory.
    pub(super) fn try_clone(&self) -> Option<Target> {
        Some(match self {
            Target::Function(function) => Target::Function(*function),
            Target::Named(named) => Target::Named(Named::new(Text::copy(named.name())?)),
            Target::Command => Target::Command,
        })
    }
}

impl Named {
    fn new(name: Text) -> Named {
        Named { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    pub(super) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    fn function(&self) -> Result<TaskFn> {
        // Relaxed, here and below: what a name means never changes once it means something.
        let found = self.found.load(Ordering::Relaxed);
        if !found.is_null() {
            // SAFETY: stored below, and functions with a name stay.
            return Ok(unsafe { std::mem::transmute::<*mut c_void, TaskFn>(found) });
        }
        let function = registry::resolve(self.name())?;
        self.found.store(function as *mut c_void, Ordering::Relaxed);
        Ok(function)
    }
}

/// A function of the user's as the library calls it: the same, with the promise as a cell.
pub(super) fn task_fn(function: cfut_task_fn) -> Result<TaskFn> {
    match any_task_fn(function) {
        Some(function) => Ok(function),
        None => fail!(Invalid, "the task function is NULL"),
    }
}

#[inline(always)]
pub(super) fn any_task_fn(function: cfut_task_fn) -> Option<TaskFn> {
    // SAFETY: the types differ in what their opaque pointers are called.
    function.map(|function| unsafe { std::mem::transmute::<_, TaskFn>(function) })
}

/// ---- 4. Tasks: what to run -----------------------------------------------------------
///
/// Makes a builder for a task that calls `fn`. Needed only for tasks with options:
/// cfut_submit() takes a function as it is.
///
/// @param fn the function.
/// @param out owned; free with cfut_task_free(). Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_new(
    r#fn: cfut_task_fn,
    out: *mut *mut cfut_task,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe { handle::output(out, "out") }?;
        give(Task::new(Target::Function(task_fn(r#fn)?)), out)
    })
}

/// Makes a builder for a task by name: registered with cfut_register(), or "module.so:symbol", a
/// symbol of a module that is loaded for good where the task runs, as dlopen() finds it. The name
/// is looked up there: an executor of this process refuses an unknown one at the submit
/// (CFUT_ENOENT; a thread pool with such an initializer is not made), in a worker process the task
/// fails with that code.
///
/// @param name copied, UTF-8, up to 1024 bytes. A registered name comes before a module's.
/// @param out owned; free with cfut_task_free(). Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL, empty, too long or not UTF-8; CFUT_ENOMEM.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_new_named(
    name: *const c_char,
    out: *mut *mut cfut_task,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (out, name) =
            unsafe { (handle::output(out, "out")?, handle::borrow_text(name, "the name")?) };
        registry::check(name)?;
        give(Task::named(name)?, out)
    })
}

fn give(task: Task, out: handle::Output<*mut cfut_task>) -> Result<cfut_status> {
    let task = handle::give_builder(task)
        .ok_or_else(|| Error::no_memory("a task builder", size_of::<Task>()))?;
    out.write(task);
    Ok(status::OK)
}

/// Makes a builder for a command: a task that is an external program. No thread and no worker is
/// held by one that runs.
///
/// The bytes of the task, as given to cfut_submit_task() or cfut_submit_buffer(), are its standard
/// input, which is a file: it need not be read, and may be read while the program writes; without
/// bytes it is /dev/null. What it writes to its standard output is the result, whatever its exit
/// status, up to CFUT_TASK_OUTPUT_LIMIT: over that, it is killed and FAILED with CFUT_EFULL. Exit
/// status 0 is success, another one FAILED with that code, a signal FAILED with the code 128 plus its
/// number; the message is the end of what it wrote to its standard error. CFUT_INFO_WORKER_PID,
/// _EXIT_CODE, _SIGNAL, _CPU_NS and _MAX_RSS apply.
///
/// A program that does not exist is FAILED with CFUT_ENOENT and its name; what cannot be executed,
/// or not in its directory, is FAILED with CFUT_ESYS and the reason. Want of descriptors, memory or
/// processes keeps it waiting while other commands run, and else makes it FAILED with CFUT_ESYS after
/// three seconds.
///
/// It is over when its process has ended, whoever still has its output open. It leads a process
/// group; what is left of that then is killed. What shall stay has to leave the group, as daemons
/// do. A time-out, or a cancel with CFUT_CANCEL_KILL, settles the future at once; then the group gets
/// SIGTERM, and SIGKILL after CFUT_TASK_GRACE_NS. A cancel with CFUT_CANCEL_STOP, and a shutdown with
/// CFUT_SHUTDOWN_STOP, _TERM or _KILL, send SIGTERM: if it then ends other than with status 0, it is
/// CANCELLED. A shutdown with _KILL whose time is up kills it. CFUT_TASK_ATTEMPTS does nothing.
///
/// A pool runs as many commands at once as it may have workers, beside its other tasks, in the order
/// submitted by priority; nobody runs a command in the place of the pool, so
/// CFUT_FULL_RUN_IN_CALLER waits as CFUT_FULL_BLOCK does.
///
/// The program begins with default signal handling, without descriptors but 0, 1 and 2, in the
/// directory of the host at that time, and dies with the host. It is not a child of the host: that
/// sees no SIGCHLD, and cannot wait for it. It is a child of a keeper, one for each process, which is
/// this program itself if it calls cfut_worker_main(), else cfutures-worker. If that is killed, its
/// commands end as CFUT_CRASHED. What limits the workers of a process pool does not limit commands.
///
/// @param program copied: a path, taken from the command's directory, or a name that is looked up in
/// the PATH of the command as execvp() does.
/// @param out owned; free with cfut_task_free(). Written on CFUT_OK only. It has the environment that
/// the host has now.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or an empty name; CFUT_ENOMEM.
/// Thread: any; none may change the environment meanwhile. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_new_command(
    program: *const c_char,
    out: *mut *mut cfut_task,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (out, program) =
            unsafe { (handle::output(out, "out")?, handle::borrow_text(program, "the program")?) };
        give(Task::command(program)?, out)
    })
}

/// Commands: adds an argument of the program. It gets its own name as the first one by itself.
///
/// @param task borrowed.
/// @param arg copied; any bytes.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_ENOTSUP: the task is no command.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_add_arg(
    task: *mut cfut_task,
    arg: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (task, argument) = unsafe {
            (handle::change_builder::<Task>(task)?, handle::borrow_text(arg, "the argument")?)
        };
        task.change_program("arguments", |program| command::add_argument(program, argument))
    })
}

/// Commands: adds or changes a variable in the environment of the program, which is otherwise what
/// the host had when the builder was made.
///
/// @param task borrowed.
/// @param name copied; not empty, and without '='.
/// @param value copied; any bytes.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or no such name; CFUT_ENOMEM; CFUT_ENOTSUP: the task is no
/// command.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_add_env(
    task: *mut cfut_task,
    name: *const c_char,
    value: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (task, name, value) = unsafe {
            (
                handle::change_builder::<Task>(task)?,
                handle::borrow_text(name, "the name")?,
                handle::borrow_text(value, "the value")?,
            )
        };
        task.change_program("an environment", |program| command::set_variable(program, name, value))
    })
}

/// Sets an integer option of a task; the keys with their defaults stand in section 13 above. Tasks
/// submitted before keep what they had.
///
/// @param task borrowed.
/// @param key a CFUT_TASK_ key below 64.
/// @param value in the unit and range of the key: counts, bytes, or nanoseconds where its name ends
/// in _NS.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or the value is out of the key's range; CFUT_ENOMEM;
/// CFUT_ENOTSUP: no such integer option. An option that is for process pools does nothing on others,
/// for threads cannot be killed and do not die alone; CFUT_TASK_GRACE_NS is for commands, too.
/// CFUT_TASK_CHUNK and _WINDOW are for maps, and do nothing for single tasks.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_set(
    task: *mut cfut_task,
    key: i32,
    value: i64,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let task = unsafe { handle::change_builder::<Task>(task) }?;
        let entry = keys::find(keys::TASKS, key, "integer option of a task")?;
        entry.check(value)?;
        task.change(|spec| match key {
            keys::TASK_QUEUE_TIMEOUT_NS => spec.queue_timeout = value,
            keys::TASK_RUN_TIMEOUT_NS => spec.run_timeout = value,
            keys::TASK_TOTAL_TIMEOUT_NS => spec.total_timeout = value,
            keys::TASK_GRACE_NS => spec.grace = value,
            keys::TASK_ATTEMPTS => spec.attempts = value as u32,
            keys::TASK_PRIORITY => spec.priority = value as i8,
            keys::TASK_CHUNK => spec.chunk = value,
            keys::TASK_WINDOW => spec.window = value,
            _ => spec.output_limit = value,
        })?;
        Ok(status::OK)
    })
}

/// Sets a text option of a task. Tasks submitted before keep what they had.
///
/// @param task borrowed.
/// @param key a CFUT_TASK_ key from 64.
/// @param text copied, UTF-8; a directory any bytes, and not empty.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or an empty directory; CFUT_ENOMEM; CFUT_ENOTSUP: no such text
/// option, or CFUT_TASK_DIRECTORY of a task that is no command.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_set_text(
    task: *mut cfut_task,
    key: i32,
    text: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let task = unsafe { handle::change_builder::<Task>(task) }?;
        let entry = keys::find(keys::TASK_TEXTS, key, "text option of a task")?;
        // SAFETY: the contract of `ffi`.
        let text = unsafe { handle::borrow_text(text, "the text") }?;
        if key != keys::TASK_NAME {
            let set = |program: &mut Program| command::set_directory(program, text);
            debug_assert!(entry.number == keys::TASK_DIRECTORY);
            return task.change_program("a directory", set);
        }
        let copy = Text::copy(text).ok_or_else(|| Error::no_memory("a text", text.len()))?;
        task.change(|spec| spec.name = copy)?;
        Ok(status::OK)
    })
}

/// Frees a builder; tasks submitted from it keep what they need.
///
/// @param task moved; NULL does nothing.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_free(task: *mut cfut_task) {
    guard::value((), || {
        // SAFETY: the contract of `ffi`.
        unsafe { handle::drop_builder::<Task>(task) };
        Ok(())
    });
}
