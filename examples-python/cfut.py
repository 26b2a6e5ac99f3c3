"""What host.py and worker.py use of libcfutures, by ctypes alone.

The library is looked for where CFUT_LIBRARY says, then in ../target/release (where make puts
it), then where the system looks.
"""

import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path

OK, CANCELLED, FAILED, CRASHED = 0, 3, 4, 5
FOREVER = -1
OPT_WORKERS, OPT_NAME, OPT_WORKER_PROGRAM = 1, 64, 65
INFO_WORKER_PID = 4

TASK_FN = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)


def _load():
    built = Path(__file__).resolve().parent.parent / "target/release/libcfutures.so"
    named = os.environ.get("CFUT_LIBRARY")
    return ctypes.CDLL(named or (str(built) if built.exists() else "libcfutures.so.0.1"))


lib = _load()


def _declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


_declare("cfut_last_error", c_size_t, c_char_p, c_size_t)
_declare("cfut_status_name", c_char_p, c_int32)
_declare("cfut_options_new", c_void_p)
_declare("cfut_options_free", None, c_void_p)
_declare("cfut_options_set", c_int32, c_void_p, c_int32, c_int64)
_declare("cfut_options_set_text", c_int32, c_void_p, c_int32, c_char_p)
_declare("cfut_options_add_worker_arg", c_int32, c_void_p, c_char_p)
_declare("cfut_process_pool_new", c_int32, c_void_p, POINTER(c_void_p))
_declare("cfut_executor_shutdown", c_int32, c_void_p, ctypes.c_uint32, c_int64)
_declare("cfut_executor_release", None, c_void_p)
_declare("cfut_task_new_named", c_int32, c_char_p, POINTER(c_void_p))
_declare("cfut_task_free", None, c_void_p)
_declare("cfut_submit_task", c_int32, c_void_p, c_void_p, c_char_p, c_size_t, POINTER(c_void_p))
_declare("cfut_future_wait", c_int32, c_void_p, c_int64)
_declare("cfut_future_bytes", c_void_p, c_void_p, POINTER(c_size_t))
_declare("cfut_future_message", c_char_p, c_void_p)
_declare("cfut_future_info", c_int32, c_void_p, c_int32, POINTER(c_int64))
_declare("cfut_future_release", None, c_void_p)
_declare("cfut_promise_set_bytes", c_int32, c_void_p, c_char_p, c_size_t)
_declare("cfut_promise_fail", c_int32, c_void_p, c_int32, c_char_p)
_declare("cfut_register", c_int32, c_char_p, TASK_FN)
_declare("cfut_worker_run", c_int32)


class Error(Exception):
    """A call of the library failed."""


def check(status):
    """Raises the library's own words for a negative status."""
    if status < 0:
        text = ctypes.create_string_buffer(512)
        lib.cfut_last_error(text, len(text))
        raise Error(f"{status_name(status)}: {text.value.decode()}")
    return status


def status_name(status):
    return lib.cfut_status_name(status).decode()


def made(function, *arguments):
    """The handle that a constructor puts into its last parameter."""
    handle = c_void_p()
    check(function(*arguments, byref(handle)))
    return handle
