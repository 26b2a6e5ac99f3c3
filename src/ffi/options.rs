//! Section 3 of the header, first half: how an executor works.

use super::guard;
use super::handle;
use super::keys;
use super::status;
use super::task::Target;
use super::types::{cfut_free_fn, cfut_hook_fn, cfut_options, cfut_status, cfut_task};
use crate::error::{Error, Result, fail};
use crate::future::bound::FullPolicy;
use crate::future::buffer::BufferRef;
use crate::future::due::Moved;
use crate::future::extra::Text;
use crate::shared::Shared;
use crate::thread_pool::{
    Config, DEFAULT_IDLE_NS, Initializer, WorkerHooks, default_workers,
};
use std::ffi::{c_char, c_void};
use std::ptr;

/// Largest key of an integer option, plus 1.
const INTEGERS: usize = keys::OPTIONS.len() + 1;

pub(crate) struct Options {
    /// By key; None = not set.
    integers: [Option<i64>; INTEGERS],
    name: Option<Text>,
    /// Texts that no executor of this version knows: the keys, in the order set.
    unsupported_text: Option<i32>,
    initializer: Option<First>,
    hooks: Option<Shared<WorkerHooks>>,
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
    const NONE: Options = Options {
        integers: [None; INTEGERS],
        name: None,
        unsupported_text: None,
        initializer: None,
        hooks: None,
    };

    fn get(&self, key: i32) -> Option<i64> {
        self.integers.get(key as usize).copied().flatten()
    }

    /// The configuration of a thread pool; `options` None: all defaults.
    pub(super) fn for_threads(options: Option<&Options>) -> Result<Config> {
        let none = Options::NONE;
        let options = options.unwrap_or(&none);
        options.refuse_foreign_keys()?;
        let workers = options.get(keys::OPT_WORKERS).map_or_else(default_workers, |set| set as u32);
        let idle = options.get(keys::OPT_IDLE_NS);
        let keep = match (options.get(keys::OPT_MIN_WORKERS), idle) {
            (Some(set), _) => set as u32,
            (None, None) => workers,
            (None, Some(_)) => 0,
        };
        let name =
            options.name.as_ref().map_or(Some(Text::EMPTY), |name| Text::copy(name.as_bytes()));
        Ok(Config {
            workers,
            keep,
            idle_ns: match idle {
                _ if keep == workers && idle.is_none() => None,
                None => Some(DEFAULT_IDLE_NS),
                Some(i64::MIN..0) => None,
                Some(set) => Some(set as u64),
            },
            queue_limit: options.get(keys::OPT_QUEUE_LIMIT).unwrap_or(0) as u64,
            queue_bytes: options.get(keys::OPT_QUEUE_BYTES).unwrap_or(0) as u64,
            full_policy: match options.get(keys::OPT_FULL_POLICY) {
                None | Some(0) => FullPolicy::Block,
                Some(1) => FullPolicy::Reject,
                Some(_) => FullPolicy::RunInCaller,
            },
            full_timeout: options.get(keys::OPT_FULL_TIMEOUT_NS).unwrap_or(-1),
            stack_size: options.get(keys::OPT_STACK_SIZE).unwrap_or(0) as usize,
            nice: options.get(keys::OPT_NICE).map(|set| set as i32),
            linger_ns: match options.get(keys::OPT_SPIN_NS) {
                None | Some(-1) => Config::default_linger(),
                Some(set) => set as u64,
            },
            waiters_help: options.get(keys::OPT_WAITERS_HELP) == Some(1),
            name: name.ok_or_else(|| Error::no_memory("the executor's name", 64))?,
            initializer: options.initializer.as_ref().map(First::for_threads).transpose()?,
            hooks: options.hooks.clone(),
        })
    }

    /// Nothing is accepted and ignored.
    fn refuse_foreign_keys(&self) -> Result<()> {
        for &key in keys::PROCESS_OPTIONS {
            if self.get(key).is_some() {
                let key = keys::find(keys::OPTIONS, key, "option")?;
                return fail!(
                    NotSupported,
                    "{} is for process pools; threads have no such limit",
                    key.name
                );
            }
        }
        match self.unsupported_text {
            None => Ok(()),
            Some(key) => {
                let key = keys::find(keys::OPTION_TEXTS, key, "option")?;
                fail!(NotSupported, "{} is not for thread pools of this version", key.name)
            }
        }
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
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_ENOTSUP: no such text option.
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
        keys::find(keys::OPTION_TEXTS, key, "text option")?;
        // SAFETY: the contract of `ffi`.
        let text = unsafe { handle::borrow_text(text, "the text") }?;
        if key != keys::OPT_NAME {
            options.unsupported_text = Some(key);
            return Ok(status::OK);
        }
        let copy = Text::copy(text).ok_or_else(|| Error::no_memory("a text", text.len()))?;
        options.name = Some(copy);
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
/// @return CFUT_OK; CFUT_EINVAL: NULL options, NULL data with a length, a length no object can
/// have; CFUT_ENOMEM.
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
/// answers other than 0 the executor breaks, and `stop` is not called for that worker.
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

/// Process pools: adds an argument of the worker program.
///
/// @param options borrowed.
/// @param arg copied, UTF-8.
/// @return CFUT_ENOTSUP: process pools come with a later version; CFUT_EINVAL: NULL.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_add_worker_arg(
    options: *mut cfut_options,
    arg: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        unsafe {
            handle::change_builder::<Options>(options)?;
            handle::borrow_text(arg, "the argument")?;
        }
        fail!(NotSupported, "process pools come with a later version")
    })
}

/// Process pools: adds or changes a variable in the environment of the worker program.
///
/// @param options borrowed.
/// @param name copied.
/// @param value copied.
/// @return CFUT_ENOTSUP: process pools come with a later version; CFUT_EINVAL: NULL.
/// Thread: one at a time for each builder. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_options_add_worker_env(
    options: *mut cfut_options,
    name: *const c_char,
    value: *const c_char,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        unsafe {
            handle::change_builder::<Options>(options)?;
            handle::borrow_text(name, "the name")?;
            handle::borrow_text(value, "the value")?;
        }
        fail!(NotSupported, "process pools come with a later version")
    })
}
