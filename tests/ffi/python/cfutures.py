"""cfutures for Python: concurrent.futures' interface on libcfutures, by ctypes alone.

    with ProcessPool() as pool:
        for future in as_completed([pool.submit(work, item) for item in items]):
            print(future.result())

ThreadPool runs callables in threads of the library. One of them runs Python at a time (the GIL),
so threads are for what waits, and for tasks of shared objects (submit_named), which run at the
same time. To the interpreter such a thread is new in each task: what a task leaves in a
threading.local is gone in the next.

ProcessPool runs callables in worker processes that are Python themselves: at the same time, and a
crash costs one future. As with the standard library, callables are found by their import name,
arguments and results are pickled, and the main program has its `if __name__ == "__main__":`.

In asyncio: `await pool.submit(f, x)`. Cancelling what awaits cancels the task.

The library is the one that CFUT_LIBRARY names, else where the system looks.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import copy
import ctypes
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
import weakref
from concurrent.futures import (
    ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, BrokenExecutor, CancelledError, TimeoutError,
)
from ctypes import (
    CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint32,
    c_uint64, c_void_p,
)

__all__ = [
    "ALL_COMPLETED", "BrokenExecutor", "CancelledError", "Crashed", "Error", "Expired",
    "FIRST_COMPLETED", "FIRST_EXCEPTION", "Future", "ProcessPool", "TaskFailed", "ThreadPool",
    "TimeoutError", "as_completed", "stop_requested", "wait",
]

# ---- The library ----

OK, TIMEOUT, PENDING, CANCELLED, FAILED, CRASHED, EXPIRED, BROKEN = range(8)
ESHUTDOWN, FOREVER = -4, -1
STATE_RUNNING, STATE_CANCELLED, STATE_FINISHED = 1, 2, 3
SHUTDOWN_CANCEL = 1

_TASK_FN = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)
_CLOSURE_FN = CFUNCTYPE(c_int32, c_void_p, c_void_p)
_DONE_FN = CFUNCTYPE(None, c_void_p, c_void_p)
_FREE_FN = CFUNCTYPE(None, c_void_p)
_OUT = POINTER(c_void_p)

# Every call gives the GIL away while it lasts.
lib = ctypes.CDLL(os.environ.get("CFUT_LIBRARY", "libcfutures.so.0.1"))

for _name, _result, *_arguments in (
    ("version_number", c_uint32),
    ("last_error", c_size_t, c_char_p, c_size_t),
    ("status_name", c_char_p, c_int32),
    ("quiesce", c_int32, c_int64),
    ("options_new", c_void_p),
    ("options_free", None, c_void_p),
    ("options_set", c_int32, c_void_p, c_int32, c_int64),
    ("options_set_text", c_int32, c_void_p, c_int32, c_char_p),
    ("options_add_worker_arg", c_int32, c_void_p, c_char_p),
    ("options_set_initializer", c_int32, c_void_p, c_void_p, c_char_p, c_size_t),
    ("options_set_worker_hooks", c_int32, c_void_p, c_void_p, c_void_p, c_void_p, _FREE_FN),
    ("thread_pool_new", c_int32, c_void_p, _OUT),
    ("process_pool_new", c_int32, c_void_p, _OUT),
    ("executor_retain", c_void_p, c_void_p),
    ("executor_release", None, c_void_p),
    ("executor_shutdown", c_int32, c_void_p, c_uint32, c_int64),
    ("task_new", c_int32, _TASK_FN, _OUT),
    ("task_new_named", c_int32, c_char_p, _OUT),
    ("task_set", c_int32, c_void_p, c_int32, c_int64),
    ("task_set_text", c_int32, c_void_p, c_int32, c_char_p),
    ("task_free", None, c_void_p),
    ("submit_task", c_int32, c_void_p, c_void_p, c_char_p, c_size_t, _OUT),
    ("submit_closure", c_int32, c_void_p, _CLOSURE_FN, c_void_p, _FREE_FN, _OUT),
    ("future_release", None, c_void_p),
    ("future_state", c_int32, c_void_p),
    ("future_wait", c_int32, c_void_p, c_int64),
    ("future_bytes", c_void_p, c_void_p, POINTER(c_size_t)),
    ("future_code", c_int32, c_void_p),
    ("future_message", c_char_p, c_void_p),
    ("future_info", c_int32, c_void_p, c_int32, POINTER(c_int64)),
    ("future_cancel", c_int32, c_void_p, c_uint32),
    ("future_on_done", c_int32, c_void_p, c_void_p, _DONE_FN, c_void_p, _FREE_FN),
    ("wait_many", c_int32, _OUT, c_size_t, c_int32, c_int64, POINTER(c_uint8), c_void_p),
    ("queue_new", c_int32, _OUT),
    ("queue_release", None, c_void_p),
    ("queue_add", c_int32, c_void_p, c_void_p, c_uint64),
    ("queue_next", c_int32, c_void_p, c_int64, c_void_p, POINTER(c_uint64)),
    ("queue_fd", c_int32, c_void_p, POINTER(c_int)),
    ("promise_set_bytes", c_int32, c_void_p, c_char_p, c_size_t),
    ("promise_fail", c_int32, c_void_p, c_int32, c_char_p),
    ("promise_fail_bytes", c_int32, c_void_p, c_int32, c_char_p, c_char_p, c_size_t),
    ("promise_set_cancelled", c_int32, c_void_p),
    ("promise_stop_requested", c_int32, c_void_p),
    ("register", c_int32, c_char_p, _TASK_FN),
    ("worker_run", c_int32),
):
    _function = getattr(lib, "cfut_" + _name)
    _function.restype, _function.argtypes = _result, _arguments

if lib.cfut_version_number() >> 8 != 0x0001:
    raise ImportError(f"cfutures.py is for libcfutures 0.1, not {lib.cfut_version_number():#08x}")


class Error(RuntimeError):
    """A call that the library refused, with its own words; `status` is its number."""

    def __init__(self, status):
        text = ctypes.create_string_buffer(512)
        lib.cfut_last_error(text, len(text))
        name = lib.cfut_status_name(status).decode()
        super().__init__(f"{name}: {text.value.decode(errors='replace')}")
        self.status = status


class TaskFailed(Exception):
    """A task of a shared object failed: with this code and this message."""

    def __init__(self, code, message):
        super().__init__(code, message)
        self.code, self.message = code, message

    def __str__(self):
        return f"{self.message} (code {self.code})"


class Expired(TimeoutError):
    """A time-out of the task has passed, and ended it."""


class Crashed(BrokenExecutor):
    """The worker process died in this task. The pool goes on."""

    def __init__(self, message, pid, signal, exit_code):
        super().__init__(message)
        self.pid, self.signal, self.exit_code = pid, signal, exit_code


class RemoteTraceback(Exception):
    """The cause of an exception that comes from a worker process: where it was raised there."""

    def __str__(self):
        return f'\n"""\n{self.args[0]}"""'


def _check(status):
    if status < 0:
        raise Error(status)
    if status == BROKEN:  # from a submit
        raise BrokenExecutor(str(Error(status)))
    return status


def _made(function, *arguments):
    """The handle that a constructor puts into its last parameter."""
    handle = c_void_p()
    _check(function(*arguments, byref(handle)))
    return handle


def _ns(seconds):
    return FOREVER if seconds is None else max(0, int(seconds * 1e9))


def _wait(call, timeout):
    """call(ns) until it answers other than TIMEOUT or the seconds are over; its status. Python
    handles signals, Ctrl-C for one, in the main thread between calls: there it waits in slices."""
    if threading.current_thread() is not threading.main_thread():
        return call(_ns(timeout))
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = 0.1 if end is None else max(0, min(0.1, end - time.monotonic()))
        status = call(_ns(left))
        if status != TIMEOUT or (end is not None and time.monotonic() >= end):
            return status


# No thread of the library calls Python after this.
atexit.register(_wait, lib.cfut_quiesce, None)

# ---- What the library calls ----

_kept = {}  # what it was given, by number, until it says that it is done with it
_numbers = itertools.count(1)
_current = threading.local()  # the promise of the task that this thread runs


def _keep(thing):
    number = next(_numbers)
    _kept[number] = thing
    return number


@_FREE_FN
def _forget(number):
    _kept.pop(number, None)


class _Job:
    """A call for a thread of this process, and what came of it."""

    def __init__(self, function, arguments, keywords):
        self.call = function, arguments, keywords
        self.result = self.exception = None

    def run(self, promise):
        before, _current.promise = getattr(_current, "promise", None), promise
        try:
            function, arguments, keywords = self.call
            self.result = function(*arguments, **keywords)
            return 0
        except BaseException as error:
            self.exception = error
            return _fail(promise, error)
        finally:
            _current.promise = before
            self.call = self = None  # the frame is in the exception's traceback


class _Initializer:
    """What each worker thread of a pool calls before its first task."""

    def __init__(self, function, arguments):
        self.call = function, arguments, {}

    def run(self, promise):
        return _Job(*self.call).run(promise)


def _fail(promise, error, details=b""):
    if isinstance(error, CancelledError) and lib.cfut_promise_stop_requested(promise):
        lib.cfut_promise_set_cancelled(promise)
        return 0
    message = f"{type(error).__name__}: {error}".encode(errors="replace")
    lib.cfut_promise_fail_bytes(promise, 1, message, details, len(details))
    return 1


@_CLOSURE_FN
def _run_closure(promise, number):
    return _kept[number].run(promise)


@_TASK_FN
def _run_numbered(promise, data, size):
    job = _kept.get(int.from_bytes(ctypes.string_at(data, size), sys.byteorder))
    return job.run(promise) if job is not None else 0  # its time-out passed as it began


@_TASK_FN
def _run_pickled(promise, data, size):
    _current.promise = promise
    try:
        function, arguments, keywords = pickle.loads(ctypes.string_at(data, size))
        result = pickle.dumps(function(*arguments, **keywords), pickle.HIGHEST_PROTOCOL)
        return lib.cfut_promise_set_bytes(promise, result, len(result))
    except BaseException as error:
        try:
            details = _pickled(error, traceback.format_exc())
        except Exception:
            details = b""  # the message is left
        return _fail(promise, error, details)
    finally:
        _current.promise = None


@_DONE_FN
def _run_callback(_, number):
    function, future = _kept[number]
    function(future)


@_DONE_FN
def _do_nothing(_, __):
    pass


def stop_requested():
    """In a task: whether it is asked to stop, by a cancel, a time-out or a shutdown. It agrees by
    raising CancelledError."""
    promise = getattr(_current, "promise", None)
    return promise is not None and lib.cfut_promise_stop_requested(promise) == 1


# ---- Futures ----


class Future:
    """As concurrent.futures.Future; can be awaited as well."""

    def __init__(self, handle, job=None, pickled=False):
        self._handle, self._job, self._pickled = handle, job, pickled
        self._outcome = None

    def __del__(self, release=lib.cfut_future_release):
        release(self._handle)

    def result(self, timeout=None):
        result, exception = self._wait(timeout)
        try:
            if exception is not None:
                raise exception
            return result
        finally:
            self = exception = None  # no cycle through the traceback

    def exception(self, timeout=None):
        exception = self._wait(timeout)[1]
        if isinstance(exception, CancelledError):
            raise exception
        return exception

    def cancel(self, stop=False, kill=False):
        """Cancels what has not started. What runs: stop asks it to end (stop_requested), kill
        ends its process as well. True if it is cancelled or asked to."""
        mode = 2 if kill else 1 if stop else 0
        return _check(lib.cfut_future_cancel(self._handle, mode)) in (OK, PENDING)

    def cancelled(self):
        return lib.cfut_future_state(self._handle) == STATE_CANCELLED

    def running(self):
        return lib.cfut_future_state(self._handle) == STATE_RUNNING

    def done(self):
        return lib.cfut_future_state(self._handle) in (STATE_CANCELLED, STATE_FINISHED)

    def add_done_callback(self, function):
        """function(future) is called in the thread that settles it, or here if it is
        settled; behind those that were added before."""
        _check(lib.cfut_future_on_done(
            self._handle, None, _run_callback, _keep((function, self)), _forget))

    def __await__(self):
        return _Bridge.of(asyncio.get_running_loop()).wait_for(self).__await__()

    def _wait(self, timeout):
        """Result and exception, of which one is None."""
        if self._outcome is None:
            status = _wait(lambda ns: lib.cfut_future_wait(self._handle, ns), timeout)
            if status == TIMEOUT:
                raise TimeoutError()
            if status < 0:
                raise Error(status)
            self._outcome = (self._result(), None) if status == OK else (None, self._error(status))
        return self._outcome

    def _bytes(self):
        size = c_size_t()
        data = lib.cfut_future_bytes(self._handle, byref(size))
        return ctypes.string_at(data, size.value) if size.value else b""

    def _result(self):
        if self._job is not None:
            return self._job.result
        return pickle.loads(self._bytes()) if self._pickled else self._bytes()

    def _error(self, status):
        message = lib.cfut_future_message(self._handle).decode(errors="replace")
        if status == CANCELLED:
            return CancelledError()
        if status == EXPIRED:
            return Expired(message)
        if status == CRASHED:
            return Crashed(message, *(self._info(key) for key in (4, 6, 5)))
        if status == BROKEN:
            return BrokenExecutor(message)
        if self._job is not None and self._job.exception is not None:
            return self._job.exception
        details = self._bytes() if self._pickled else b""
        if not details:
            return TaskFailed(lib.cfut_future_code(self._handle), message)
        error, where = pickle.loads(details)
        error.__cause__ = RemoteTraceback(where)
        return error

    def _info(self, key):
        value = c_int64()
        _check(lib.cfut_future_info(self._handle, key, byref(value)))
        return value.value


class _Queue:
    """Things that belong to futures, in the order in which these are done."""

    def __init__(self):
        self.handle = _made(lib.cfut_queue_new)
        self.things = {}

    def __del__(self, release=lib.cfut_queue_release):
        release(self.handle)

    def add(self, future, thing):
        number = next(_numbers)
        self.things[number] = thing
        _check(lib.cfut_queue_add(self.handle, future._handle, number))
        return number

    def next(self, timeout):
        """None: not in time."""
        tag = c_uint64()
        while _wait(lambda ns: lib.cfut_queue_next(self.handle, ns, None, byref(tag)), timeout) == OK:
            if tag.value in self.things:
                return self.things.pop(tag.value)
        return None


def as_completed(futures, timeout=None):
    """The futures, each as it is done."""
    queue = _Queue()
    total = len([queue.add(future, future) for future in dict.fromkeys(futures)])
    end = None if timeout is None else time.monotonic() + timeout
    while queue.things:
        future = queue.next(None if end is None else end - time.monotonic())
        if future is None:
            raise TimeoutError(f"{len(queue.things)} (of {total}) futures unfinished")
        yield future


def wait(futures, timeout=None, return_when=ALL_COMPLETED):
    """As concurrent.futures.wait: two sets, `done` and `not_done`."""
    futures = list(dict.fromkeys(futures))
    mode = (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION).index(return_when)
    handles = (c_void_p * len(futures))(*(future._handle.value for future in futures))
    settled = (c_uint8 * len(futures))()
    status = _wait(lambda ns: lib.cfut_wait_many(
        handles, len(futures), mode, ns, settled, None), timeout)
    if status < 0:
        raise Error(status)
    both = set(), set()
    for future, is_settled in zip(futures, settled):
        both[0 if is_settled else 1].add(future)
    return concurrent.futures._base.DoneAndNotDoneFutures(*both)


class _Bridge:
    """One for each event loop: it watches the descriptor of a queue. Nothing of asyncio is called
    from another thread."""

    _all = weakref.WeakKeyDictionary()

    @classmethod
    def of(cls, loop):
        bridge = cls._all.get(loop)
        if bridge is None:
            bridge = cls._all[loop] = cls()
            descriptor = c_int()
            _check(lib.cfut_queue_fd(bridge.queue.handle, byref(descriptor)))
            loop.add_reader(descriptor.value, bridge.deliver)
        return bridge

    def __init__(self):
        self.queue = _Queue()

    def wait_for(self, future):
        """An asyncio future; cancelling it cancels the task, and asks it to stop if it runs."""
        waiter = asyncio.get_running_loop().create_future()
        number = self.queue.add(future, (future, waiter))

        def end(waiter):
            if waiter.cancelled():
                self.queue.things.pop(number, None)
                future.cancel(stop=True)

        waiter.add_done_callback(end)
        return waiter

    def deliver(self):
        while True:
            thing = self.queue.next(0)
            if thing is None:
                return
            future, waiter = thing
            if waiter.done():
                continue
            result, exception = future._wait(0)
            if isinstance(exception, CancelledError):
                waiter.cancel()
            elif exception is not None:
                waiter.set_exception(exception)
            else:
                waiter.set_result(result)


# ---- Executors ----

# Of executors and of tasks: key, and what one of the unit is in the library's.
_OPTIONS = {
    "max_workers": (1, 1), "min_workers": (2, 1), "idle": (3, 1e9), "queue_limit": (4, 1),
    "queue_bytes": (5, 1), "full_policy": (6, 1), "tasks_per_worker": (10, 1),
    "memory_limit": (12, 1), "cpu_time_limit": (13, 1), "start_timeout": (16, 1e9),
    "name": (64, None), "program": (65, None), "trace_file": (67, None),
}
_TASK_OPTIONS = {
    "queue_timeout": (1, 1e9), "run_timeout": (2, 1e9), "total_timeout": (3, 1e9),
    "grace": (4, 1e9), "priority": (5, 1), "attempts": (6, 1), "output_limit": (9, 1),
    "name": (64, None),
}


def _set(handle, table, options, set_number, set_text):
    for name, value in options.items():
        if name not in table:
            raise TypeError(f"no option {name!r}; there are {', '.join(table)}")
        key, unit = table[name]
        if unit is None:
            _check(set_text(handle, key, os.fsencode(value)))
        else:
            _check(set_number(handle, key, int(value * unit)))


@contextlib.contextmanager
def _options(max_workers, options):
    builder = lib.cfut_options_new()
    try:
        if max_workers is not None:
            options = {"max_workers": max_workers, **options}
        _set(builder, _OPTIONS, options, lib.cfut_options_set, lib.cfut_options_set_text)
        yield builder
    finally:
        lib.cfut_options_free(builder)


def _initialize(builder, task, data):
    try:
        _check(lib.cfut_options_set_initializer(builder, task, data, len(data)))
    finally:
        lib.cfut_task_free(task)


def _bytes_of(number):
    return number.to_bytes(8, sys.byteorder)


class _Pool(concurrent.futures.Executor):
    """What both kinds have; map() and the `with` statement are concurrent.futures'."""

    _task_options = {}

    def __del__(self, release=lib.cfut_executor_release):
        release(getattr(self, "_handle", None))

    def with_options(self, **options):
        """The same pool, for tasks with options: pool.with_options(run_timeout=2).submit(f).
        Times are seconds."""
        other = copy.copy(self)
        lib.cfut_executor_retain(self._handle)
        other._task_options = {**self._task_options, **options}
        return other

    def submit_named(self, name, data=b""):
        """A task that is not Python: "module.so:symbol". Its result is bytes."""
        return Future(self._submit_task(_made(lib.cfut_task_new_named, name.encode()), data))

    def shutdown(self, wait=True, *, cancel_futures=False):
        flags = SHUTDOWN_CANCEL if cancel_futures else 0
        _check(_wait(lambda ns: lib.cfut_executor_shutdown(self._handle, flags, ns),
                     None if wait else 0))

    def _submit_task(self, task, data):
        try:
            _set(task, _TASK_OPTIONS, self._task_options, lib.cfut_task_set,
                 lib.cfut_task_set_text)
            return _made(lib.cfut_submit_task, self._handle, task, data, len(data))
        finally:
            lib.cfut_task_free(task)


class ThreadPool(_Pool):
    def __init__(self, max_workers=None, *, initializer=None, initargs=(), **options):
        with _options(max_workers, options) as builder:
            if initializer is not None:
                number = _keep(_Initializer(initializer, initargs))
                # Forgotten with the pool: what belongs to hooks is, also where there are none.
                _check(lib.cfut_options_set_worker_hooks(builder, None, None, number, _forget))
                _initialize(builder, _made(lib.cfut_task_new, _run_numbered), _bytes_of(number))
            self._handle = _made(lib.cfut_thread_pool_new, builder)

    def submit(self, function, /, *arguments, **keywords):
        job = _Job(function, arguments, keywords)
        number = _keep(job)
        if not self._task_options:
            return Future(_made(
                lib.cfut_submit_closure, self._handle, _run_closure, number, _forget), job)
        # Closures have no options; a task that gets the number has.
        try:
            task = _made(lib.cfut_task_new, _run_numbered)
            future = Future(self._submit_task(task, _bytes_of(number)), job)
        except BaseException:
            _forget(number)
            raise
        _check(lib.cfut_future_on_done(future._handle, None, _do_nothing, number, _forget))
        return future


class ProcessPool(_Pool):
    def __init__(self, max_workers=None, *, initializer=None, initargs=(), **options):
        main = getattr(sys.modules["__main__"], "__file__", None)
        code = (f"import sys; sys.path[:] = {sys.path!r}; import {__name__}; "
                f"{__name__}._work({main and os.path.abspath(main)!r})")
        flags = subprocess._args_from_interpreter_flags()  # as multiprocessing does
        options.setdefault("program", sys.executable)
        with _options(max_workers, options) as builder:
            for argument in (*flags, "-c", code):
                _check(lib.cfut_options_add_worker_arg(builder, os.fsencode(argument)))
            if initializer is not None:
                _initialize(builder, _python_call(), _pickled(initializer, initargs, {}))
            self._handle = _made(lib.cfut_process_pool_new, builder)

    def submit(self, function, /, *arguments, **keywords):
        data = _pickled(function, arguments, keywords)
        return Future(self._submit_task(_python_call(), data), pickled=True)


def _python_call():
    return _made(lib.cfut_task_new_named, b"python.call")


def _pickled(*thing):
    return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)


def _work(main):
    """What a worker process is. The main program's functions are there under the name
    __main__, as pickle knows them, but not what it guards by `if __name__ == "__main__":`."""
    if main is not None:
        import runpy
        import types
        module = types.ModuleType("__main__")
        module.__dict__.update(runpy.run_path(main, run_name="__worker_main__"))
        sys.modules["__main__"] = module
    _check(lib.cfut_register(b"python.call", _run_pickled))
    sys.exit(0 if lib.cfut_worker_run() == OK else 1)  # what is wrong, the pool is told
