"""A host in Python: gives named tasks to worker processes that run worker.py.

Shows: results, a failure with a message, a task that crashes its worker and costs nothing but
itself, and an end that leaves no process behind.
"""

import ctypes
import json
import os
import sys
from ctypes import byref, c_int64, c_size_t
from pathlib import Path

from cfut import (
    FOREVER, INFO_WORKER_PID, OK, OPT_NAME, OPT_WORKER_PROGRAM, OPT_WORKERS, check, lib,
    made, status_name,
)

WORKER = Path(__file__).resolve().parent / "worker.py"


class TaskError(Exception):
    """A task that has no result: the status says why not, the message tells more."""

    def __init__(self, status, message):
        super().__init__(f"{status_name(status)}: {message}")
        self.status = status


class Future:
    def __init__(self, handle):
        self.handle = handle

    def __del__(self):
        lib.cfut_future_release(self.handle)

    def result(self):
        status = check(lib.cfut_future_wait(self.handle, FOREVER))
        if status != OK:
            message = lib.cfut_future_message(self.handle)
            raise TaskError(status, message.decode() if message else "")
        size = c_size_t()
        data = lib.cfut_future_bytes(self.handle, byref(size))
        return json.loads(ctypes.string_at(data, size.value))

    def worker(self):
        process = c_int64()
        check(lib.cfut_future_info(self.handle, INFO_WORKER_PID, byref(process)))
        return process.value


class Pool:
    def __init__(self, workers):
        options = lib.cfut_options_new()
        try:
            check(lib.cfut_options_set(options, OPT_WORKERS, workers))
            check(lib.cfut_options_set_text(options, OPT_NAME, b"py"))
            check(lib.cfut_options_set_text(
                options, OPT_WORKER_PROGRAM, os.fsencode(sys.executable)))
            check(lib.cfut_options_add_worker_arg(options, os.fsencode(WORKER)))
            self.handle = made(lib.cfut_process_pool_new, options)
        finally:
            lib.cfut_options_free(options)

    def submit(self, name, *arguments):
        data = json.dumps(arguments).encode()
        task = made(lib.cfut_task_new_named, name.encode())
        try:
            return Future(made(lib.cfut_submit_task, self.handle, task, data, len(data)))
        finally:
            lib.cfut_task_free(task)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        check(lib.cfut_executor_shutdown(self.handle, 0, FOREVER))
        lib.cfut_executor_release(self.handle)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def show(pool, name, *arguments):
    call = f"{name}({', '.join(map(repr, arguments))})"
    try:
        print(f"{call} = {pool.submit(name, *arguments).result()!r}")
    except TaskError as error:
        print(f"{call}: {error}")


def main():
    with Pool(workers=2) as pool:
        show(pool, "square", 12)
        show(pool, "count_words", "the cat and the dog and the bird")
        show(pool, "divide", 7, 2)
        show(pool, "divide", 7, 0)
        show(pool, "crash")
        show(pool, "no_such_task")
        futures = [pool.submit("square", n) for n in range(1000)]
        print("sum of 1000 squares =", sum(future.result() for future in futures))
        workers = {future.worker() for future in futures}
        print("in other processes:", os.getpid() not in workers)
    print("left behind:", sum(map(is_alive, workers)))


if __name__ == "__main__":
    main()
