//! Section 3 of the header, first half: how an executor works.

use super::guard;
use super::handle;
use super::keys;
use super::status;
use super::task::Target;
use super::types::{cfut_free_fn, cfut_hook_fn, cfut_options, cfut_status, cfut_task};
use crate::error::{Error, Lossy, Result, fail};
use crate::future::bound::FullPolicy;
use crate::future::buffer::BufferRef;
use crate::future::due::Moved;
use crate::future::extra::Text;
use crate::process_pool::Texts;
use crate::shared::Shared;
use crate::thread_pool::{Config, DEFAULT_IDLE_NS, Initializer, WorkerHooks, default_workers};
use std::ffi::{c_char, c_void};
use std::ptr;

/// Largest key of an integer option, plus 1.
const INTEGERS: usize = keys::OPTIONS.len() + 1;

pub(crate) struct Options {
    /// By key; None = not set.
    integers: [Option<i64>; INTEGERS],
    /// By key, from the first text's on; None = not set.
    texts: [Option<Text>; keys::OPTION_TEXTS.len()],
    pub(super) initializer: Option<First>,
    pub(super) hooks: Option<Shared<WorkerHooks>>,
    /// Of worker programs: arguments, and variables as NAME=value.
    pub(super) arguments: Texts,
    pub(super) environment: Texts,
}

/// What each worker runs before its first task.
pub(super) struct First {
    pub(super) target: Target,
    pub(super) data: BufferRef,
}

impl First {
    /// As a worker of this process runs it.
    fn for_threads(&self) -> Result<Shared<Initializer>> {
        let initializer =
            Initializer { function: self.target.function()?, data: self.data.clone() };
        let no_memory = || Error::no_memory("an initializer", size_of::<Initializer>());
        Shared::try_new(initializer).ok_or_else(no_memory)
    }
}

impl Options {
    pub(super) const NONE: Options = Options {
        integers: [None; INTEGERS],
        texts: [const { None }; keys::OPTION_TEXTS.len()],
        initializer: None,
        hooks: None,
        arguments: Texts::NONE,
        environment: Texts::NONE,
    };

    /// A copy of a text option; empty if it is not set.
    pub(super) fn text(&self, key: i32) -> Result<Text> {
        match self.text_place(key) {
            Some(Some(text)) => {
                let copy = Text::copy(text.as_bytes());
                copy.ok_or_else(|| Error::no_memory("a text option", text.as_bytes().len()))
            }
            _ => Ok(Text::EMPTY),
        }
    }

    fn text_place(&self, key: i32) -> Option<&Option<Text>> {
        self.texts.get(usize::try_from(key - keys::OPTION_TEXTS[0].number).ok()?)
    }

    /// When idle workers leave, and how many stay.
    pub(super) fn idling(&self, workers: u32) -> (u32, Option<u64>) {
        let idle = self.get(keys::OPT_IDLE_NS);
        let keep = match (self.get(keys::OPT_MIN_WORKERS), idle) {
            (Some(set), _) => set as u32,
            (None, None) => workers,
            (None, Some(_)) => 0,
        };
        let idle_ns = match idle {
            _ if keep == workers && idle.is_none() => None,
            None => Some(DEFAULT_IDLE_NS),
            Some(i64::MIN..0) => None,
            Some(set) => Some(set as u64),
        };
        (keep, idle_ns)
    }

    pub(super) fn full_policy(&self) -> FullPolicy {
        match self.get(keys::OPT_FULL_POLICY) {
            None | Some(0) => FullPolicy::Block,
            Some(1) => FullPolicy::Reject,
            Some(_) => FullPolicy::RunInCaller,
        }
    }

    /// An error if one of these is set: nothing is accepted and ignored.
    pub(super) fn refuse(&self, integers: &[i32], texts: &[i32], why: &str) -> Result<()> {
        for &key in integers {
            if self.get(key).is_some() {
                let key = keys::find(keys::OPTIONS, key, "option")?;
                return fail!(NotSupported, "{} is {why}", key.name);
            }
        }
        for &key in texts {
            if self.text_place(key).is_some_and(Option::is_some) {
                let key = keys::find(keys::OPTION_TEXTS, key, "option")?;
                return fail!(NotSupported, "{} is {why}", key.name);
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, key: i32) -> Option<i64> {
        self.integers.get(key as usize).copied().flatten()
    }

    /// The configuration of a thread pool; `options` None: all defaults.
    pub(super) fn for_threads(options: Option<&Options>) -> Result<Config> {
        let none = Options::NONE;
        let options = options.unwrap_or(&none);
        options.refuse(
            keys::PROCESS_OPTIONS,
            &[keys::OPT_WORKER_PROGRAM, keys::OPT_PRELOAD],
            "for process pools; threads have no such thing",
        )?;
        if !options.arguments.is_empty() || !options.environment.is_empty() {
            return fail!(NotSupported, "arguments and environment are those of worker processes");
        }
        let workers = options.get(keys::OPT_WORKERS).map_or_else(default_workers, |set| set as u32);
        let (keep, idle_ns) = options.idling(workers);
        Ok(Config {
            workers,
            keep,
            idle_ns,
            queue_limit: options.get(keys::OPT_QUEUE_LIMIT).unwrap_or(0) as u64,
            queue_bytes: options.get(keys::OPT_QUEUE_BYTES).unwrap_or(0) as u64,
            full_policy: options.full_policy(),
            full_timeout: options.get(keys::OPT_FULL_TIMEOUT_NS).unwrap_or(-1),
            stack_size: options.get(keys::OPT_STACK_SIZE).unwrap_or(0) as usize,
            nice: options.get(keys::OPT_NICE).map(|set| set as i32),
            linger_ns: match options.get(keys::OPT_SPIN_NS) {
                None | Some(-1) => Config::default_linger(),
                Some(set) => set as u64,
            },
            waiters_help: options.get(keys::OPT_WAITERS_HELP) == Some(1),
            name: options.text(keys::OPT_NAME)?,
            trace_file: options.text(keys::OPT_TRACE_FILE)?,
            initializer: options.initializer.as_ref().map(First::for_threads).transpose()?,
            hooks: options.hooks.clone(),
        })
    }
}

/// ---- 3. Executors ------------------------------------------------------------------
///
/// Makes a builder with all options at their defaults.
///
/// @return owned; NULL if there is no memory. Free with cfut_options_free().
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_new() -> *mut cfut_options {
    guard::value(ptr::null_mut(), || {
        handle::give_builder(Options::NONE)
            .ok_or_else(|| Error::no_memory("options", size_of::<Options>()))
    })
}

/// Frees a builder; executors made with it keep what they copied.
///
/// @param options moved; NULL does nothing.
/// Thread: one at a time for each builder. Blocks: no. May call the free function given to
/// cfut_options_set_worker_hooks(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_free(options: *mut cfut_options) {
    guard::value_then_calls((), || {
        // SAFETY: the contract of `ffi`.
        unsafe { handle::drop_builder::<Options>(options) };
        Ok(())
    });
}

/// Sets an integer option. The keys with their defaults stand in section 13 above. An option that
/// is not for the kind of executor it is then used with is refused there, never ignored.
///
/// @param options borrowed.
/// @param key a CFUT_OPT_ key below 64.
/// @param value in the unit and range of the key: counts, bytes, or nanoseconds where its name ends
/// in _NS.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or the value is out of the key's range;
/// CFUT_ENOTSUP: no such integer option.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_set(
    options: *mut cfut_options,
    key: i32,
    value: i64,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let options = unsafe { handle::change_builder::<Options>(options) }?;
        let entry = keys::find(keys::OPTIONS, key, "integer option")?;
        entry.check(value)?;
        /// A worker and a signal handler need this much.
        const LEAST_STACK: i64 = 64 * 1024;
        if key == keys::OPT_STACK_SIZE && (1..LEAST_STACK).contains(&value) {
            return fail!(
                Invalid,
                "{} is {value}; it is 0 for the system's default, or at least {LEAST_STACK}",
                entry.name
            );
        }
        if let Some(place) = options.integers.get_mut(key as usize) {
            *place = Some(value);
        }
        Ok(status::OK)
    })
}

/// Sets a text option.
///
/// @param options borrowed.
/// @param key a CFUT_OPT_ key from 64.
/// @param text copied, UTF-8.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or more than 64 KiB (but for CFUT_OPT_NAME); CFUT_ENOMEM;
/// CFUT_ENOTSUP: no such text option.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_set_text(
    options: *mut cfut_options,
    key: i32,
    text: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let options = unsafe { handle::change_builder::<Options>(options) }?;
        let entry = keys::find(keys::OPTION_TEXTS, key, "text option")?;
        // SAFETY: the contract of `ffi`.
        let text = unsafe { handle::borrow_text(text, "the text") }?;
        let copy = Text::copy(text).ok_or_else(|| Error::no_memory("a text", text.len()))?;
        // A name is cut wherever it is shown; half a path would be another one.
        if key != keys::OPT_NAME && copy.as_bytes().len() != text.len() {
            return fail!(Invalid, "{} has {} bytes, more than a text may", entry.name, text.len());
        }
        let place = (key - keys::OPTION_TEXTS[0].number) as usize;
        if let Some(place) = options.texts.get_mut(place) {
            *place = Some(copy);
        }
        Ok(status::OK)
    })
}

/// Has a task run once in each worker before its first one. If it fails, the executor breaks:
/// what has not started ends as CFUT_BROKEN with the reason, and so does every later submit.
/// It reports its reason like any task, with cfut_promise_fail(). It must not detach.
///
/// @param options borrowed.
/// @param task copied; NULL removes the initializer.
/// @param data copied, `len` bytes, once for all workers; NULL with 0.
/// @return CFUT_OK; CFUT_EINVAL: NULL options, a command, NULL data with a length, a length no object
/// can have; CFUT_ENOMEM.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_set_initializer(
    options: *mut cfut_options,
    task: *const cfut_task,
    data: *const c_void,
    len: usize,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let options = unsafe { handle::change_builder::<Options>(options) }?;
        if task.is_null() {
            options.initializer = None;
            return Ok(status::OK);
        }
        // SAFETY: the contract of `ffi`.
        let (task, data) = unsafe {
            (handle::borrow_builder::<super::task::Task>(task)?, handle::borrow_bytes(data, len)?)
        };
        if matches!(task.target(), Target::Command) {
            return fail!(Invalid, "a command cannot be an initializer: that is a function");
        }
        let no_memory = || Error::no_memory("an initializer's data", len);
        let copy = BufferRef::new(len).ok_or_else(no_memory)?;
        if len > 0 {
            // SAFETY: a fresh buffer of `len` bytes.
            unsafe { copy.data().cast::<u8>().copy_from_nonoverlapping(data.as_ptr(), len) };
        }
        let target = task.target().try_clone().ok_or_else(no_memory)?;
        options.initializer = Some(First { target, data: copy });
        Ok(status::OK)
    })
}

/// Sets functions that run in each worker thread as it starts, before the initializer, and
/// as it leaves: for runtimes that attach threads, and for initializers with state. If `start`
/// answers other than 0 the executor breaks, and `stop` is not called for that worker. Where a
/// runtime stops its threads by a signal, as Mono's collector does, `start` lets that one through.
///
/// @param options borrowed.
/// @param start NULL for none.
/// @param stop NULL for none; what it answers does not matter.
/// @param arg moved, also when the call fails: `arg_free` is called once, when the builder and
/// all executors made with it are gone, or the hooks were replaced.
/// @param arg_free NULL for none; runs in the thread that dropped the last of them.
/// @return CFUT_OK; CFUT_EINVAL: NULL options; CFUT_ENOMEM. Process pools refuse the hooks.
/// Thread: one at a time for each builder; the hooks run in worker threads. Blocks: no.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_set_worker_hooks(
    options: *mut cfut_options,
    start: cfut_hook_fn,
    stop: cfut_hook_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
) -> cfut_status {
    let mut moved = Moved { argument: arg, free: arg_free };
    let status = guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let options = unsafe { handle::change_builder::<Options>(options) }?;
        let no_memory = || Error::no_memory("worker hooks", size_of::<WorkerHooks>());
        // An empty buffer is a counted thing that calls a free function at its end.
        let keep = BufferRef::wrap(ptr::null_mut(), 0, arg_free, arg).ok_or_else(no_memory)?;
        moved.hand_on();
        let hooks = WorkerHooks { start, stop, argument: arg, keep };
        options.hooks = Some(Shared::try_new(hooks).ok_or_else(no_memory)?);
        Ok(status::OK)
    });
    drop(moved);
    status
}

/// Process pools: adds an argument of the worker program named by CFUT_OPT_WORKER_PROGRAM.
///
/// @param options borrowed.
/// @param arg copied, UTF-8.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM. Thread pools refuse arguments.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_add_worker_arg(
    options: *mut cfut_options,
    arg: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (options, arg) = unsafe {
            (handle::change_builder::<Options>(options)?, handle::borrow_text(arg, "the argument")?)
        };
        let no_memory = || Error::no_memory("an argument", arg.len());
        let copy = Text::copy(arg).filter(|copy| copy.as_bytes().len() == arg.len());
        options.arguments.push(copy.ok_or_else(no_memory)?).ok_or_else(no_memory)?;
        Ok(status::OK)
    })
}

/// Process pools: adds or changes a variable in the environment of the workers. Without, they
/// have the environment that the process had when the pool was made.
///
/// @param options borrowed.
/// @param name copied; not empty, and without '='.
/// @param value copied.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or no name of a variable; CFUT_ENOMEM. Thread pools refuse
/// variables.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_add_worker_env(
    options: *mut cfut_options,
    name: *const c_char,
    value: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (options, name, value) = unsafe {
            (
                handle::change_builder::<Options>(options)?,
                handle::borrow_text(name, "the name")?,
                handle::borrow_text(value, "the value")?,
            )
        };
        if name.is_empty() || name.contains(&b'=') {
            return fail!(Invalid, "\"{}\" is no name of a variable", Lossy(name));
        }
        let length = name.len() + 1 + value.len();
        let no_memory = || Error::no_memory("a variable", length);
        let mut entry = Vec::new();
        entry.try_reserve_exact(length).map_err(|_| no_memory())?;
        entry.extend_from_slice(name);
        entry.push(b'=');
        entry.extend_from_slice(value);
        let copy = Text::copy(&entry).filter(|copy| copy.as_bytes().len() == length);
        let copy = copy.ok_or_else(no_memory)?;
        // The last value of a name counts.
        options.environment.remove_if(|set| set.as_bytes().starts_with(&entry[..=name.len()]));
        options.environment.push(copy).ok_or_else(no_memory)?;
        Ok(status::OK)
    })
}
