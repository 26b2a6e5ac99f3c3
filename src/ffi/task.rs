//! Section 4 of the header: what to run, and how.

use super::guard;
use super::handle;
use super::keys;
use super::status;
use super::types::{cfut_status, cfut_task, cfut_task_fn};
use crate::error::{Error, Result, fail};
use crate::executor::Executor;
use crate::future::cell::{TaskCell, TaskFn};
use crate::future::extra::{Spec, Text};
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

    /// The function for an executor: where its tasks run in other processes a name is looked up
    /// there, and what is answered here stands for it.
    pub(super) fn function_for(&self, executor: Executor<'_>) -> Result<TaskFn> {
        match &self.target {
            Target::Named(_) if executor.is_elsewhere() => Ok(named_elsewhere),
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
        }
    }

    /// None when there is no memory.
    pub(super) fn try_clone(&self) -> Option<Target> {
        Some(match self {
            Target::Function(function) => Target::Function(*function),
            Target::Named(named) => Target::Named(Named::new(Text::copy(named.name())?)),
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

/// Makes a builder for a task that is an external program.
///
/// @param program copied: a path, or a name that is looked up in PATH.
/// @param out owned; free with cfut_task_free(). Written on CFUT_OK only.
/// @return CFUT_ENOTSUP: command tasks come with a later version; CFUT_EINVAL: NULL.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_new_command(
    program: *const c_char,
    out: *mut *mut cfut_task,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        unsafe {
            handle::output(out, "out")?;
            handle::borrow_text(program, "the program")?;
        }
        fail!(NotSupported, "command tasks come with a later version")
    })
}

/// Command tasks: adds an argument of the program.
///
/// @param task borrowed.
/// @param arg copied.
/// @return CFUT_ENOTSUP: the task is no command; those come with a later version; CFUT_EINVAL:
/// NULL.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_add_arg(
    task: *mut cfut_task,
    arg: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        unsafe {
            handle::change_builder::<Task>(task)?;
            handle::borrow_text(arg, "the argument")?;
        }
        fail!(NotSupported, "only command tasks have arguments")
    })
}

/// Command tasks: adds or changes a variable in the environment of the program.
///
/// @param task borrowed.
/// @param name copied.
/// @param value copied.
/// @return CFUT_ENOTSUP: the task is no command; those come with a later version; CFUT_EINVAL:
/// NULL.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_task_add_env(
    task: *mut cfut_task,
    name: *const c_char,
    value: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        unsafe {
            handle::change_builder::<Task>(task)?;
            handle::borrow_text(name, "the name")?;
            handle::borrow_text(value, "the value")?;
        }
        fail!(NotSupported, "only command tasks have an environment")
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
/// for threads cannot be killed and do not die alone; CFUT_TASK_CHUNK and _WINDOW are for maps, and
/// do nothing for single tasks.
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
/// @param text copied, UTF-8.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_ENOTSUP: no such text option, or
/// CFUT_TASK_DIRECTORY of a task that is no command.
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
            return fail!(NotSupported, "{} is for command tasks", entry.name);
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
