"""A worker program in Python: its functions are tasks for the pools of other programs.

A pool starts it (CFUT_OPT_WORKER_PROGRAM); host.py is one that does. Arguments and results are
JSON. An exception is the failure of its task, with its text as the message.
"""

import ctypes
import json
import sys

from cfut import TASK_FN, check, lib

KEPT = []  # ctypes frees a callback that nobody refers to


def task(function):
    """Registers a function under its name."""

    @TASK_FN
    def run(promise, data, size):
        try:
            result = json.dumps(function(*json.loads(ctypes.string_at(data, size)))).encode()
            return lib.cfut_promise_set_bytes(promise, result, len(result))
        except BaseException as error:
            return lib.cfut_promise_fail(promise, 1, f"{type(error).__name__}: {error}".encode())

    KEPT.append(run)
    check(lib.cfut_register(function.__name__.encode(), run))
    return function


@task
def square(n):
    return n * n


@task
def count_words(text):
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return counts


@task
def divide(a, b):
    return a / b


@task
def crash():
    ctypes.memset(0, 1, 1)  # as a defect in an extension module would


if __name__ == "__main__":
    try:
        check(lib.cfut_worker_run())
    except Exception as error:
        sys.exit(f"worker.py: {error}")
