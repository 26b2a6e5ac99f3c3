"""cffi reads cfutures.ffi.h as it is: a thread pool with tasks of a shared object.

ctypes (cfutures.py) needs nothing that is not in Python; cffi has the declarations from the header.
"""

import os
from pathlib import Path

import cffi

ffi = cffi.FFI()
ffi.cdef(Path(os.environ["CFUT_HEADERS"], "cfutures.ffi.h").read_text())
lib = ffi.dlopen(os.environ["CFUT_LIBRARY"])


def check(status):
    """The status, or an exception with the library's own words."""
    if status < 0:
        text = ffi.new("char[]", 512)
        lib.cfut_last_error(text, 512)
        name = ffi.string(lib.cfut_status_name(status)).decode()
        raise RuntimeError(f"{name}: {ffi.string(text).decode()}")
    return status


def made(function, *arguments, free=None):
    """The handle that a constructor puts into its last parameter."""
    out = ffi.new(ffi.getctype(ffi.typeof(function).args[-1].item, "[1]"))
    check(function(*arguments, out))
    return ffi.gc(out[0], free) if free else out[0]


def main():
    assert lib.cfut_version_number() == lib.CFUT_VERSION_NUMBER, "header and library differ"
    assert lib.CFUT_DETACH == -2**31 and lib.CFUT_EPANIC == -10
    pool = made(lib.cfut_thread_pool_new, ffi.NULL, free=lib.cfut_executor_release)
    task = made(lib.cfut_task_new_named, f"{os.environ['CFUT_TASKS']}:square".encode(),
                free=lib.cfut_task_free)
    futures = [
        made(lib.cfut_submit_task, pool, task, ffi.new("int64_t *", n), 8,
             free=lib.cfut_future_release)
        for n in range(1000)
    ]
    total = 0
    for future in futures:
        assert check(lib.cfut_future_wait(future, lib.CFUT_FOREVER)) == lib.CFUT_OK
        total += ffi.cast("const int64_t *", lib.cfut_future_bytes(future, ffi.NULL))[0]
    assert total == sum(n * n for n in range(1000))

    short = made(lib.cfut_submit_task, pool, task, b"?", 1, free=lib.cfut_future_release)
    assert lib.cfut_future_wait(short, lib.CFUT_FOREVER) == lib.CFUT_FAILED
    assert ffi.string(lib.cfut_future_message(short)) == b"wanted: an int64_t"
    try:
        made(lib.cfut_task_new_named, b"")
    except RuntimeError as error:
        assert "CFUT_EINVAL" in str(error), error
    check(lib.cfut_executor_shutdown(pool, 0, lib.CFUT_FOREVER))
    print(f"cffi {cffi.__version__}, cfutures {ffi.string(lib.cfut_version()).decode()}: ok")


main()
