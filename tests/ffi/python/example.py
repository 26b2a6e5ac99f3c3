"""A tour: the same functions on threads and in processes, by waiting and in asyncio.

    CFUT_LIBRARY=target/release/libcfutures.so python3 tests/ffi/python/example.py
"""

import asyncio
import os
import time

from cfutures import (
    CancelledError, Crashed, Expired, ProcessPool, ThreadPool, as_completed, stop_requested,
)


def count_primes(end):
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, end))


def divide(a, b):
    return a / b


def abort():
    os.abort()  # as a defect in an extension module would


def wait_for_stop():
    while not stop_requested():
        time.sleep(0.001)
    raise CancelledError


def several(pool):
    futures = {pool.submit(count_primes, end): end for end in (3000, 1000, 2000)}
    for future in as_completed(futures):
        print(f"primes below {futures[future]}: {future.result()}")
    print("in order:", list(pool.map(count_primes, range(10, 60, 10))))


def failures(pool):
    try:
        pool.submit(divide, 1, 0).result()
    except ZeroDivisionError as error:
        print("an exception is the same one:", error)
    future = pool.submit(wait_for_stop)
    while not future.running():
        time.sleep(0.001)
    print("a running task cannot be cancelled:", not future.cancel(), end=", ")
    print("but asked to stop:", future.cancel(stop=True), end=", ")
    try:
        future.result()
    except CancelledError:
        print("and agrees")
    try:
        pool.with_options(run_timeout=0.05).submit(wait_for_stop).result()
    except Expired:
        print("a task that takes too long is ended")


def crashes(pool):
    futures = [pool.submit(count_primes, 500) for _ in range(20)] + [pool.submit(abort)]
    for future in futures:
        try:
            future.result()
        except Crashed as error:
            print("one task has crashed, by signal", error.signal)
    print("the pool goes on:", pool.submit(divide, 6, 2).result())


async def in_asyncio(pool):
    print("awaited:", await asyncio.gather(*(pool.submit(divide, n, 2) for n in range(4))))
    try:
        await asyncio.wait_for(pool.submit(wait_for_stop), 0.05)
    except asyncio.TimeoutError:
        print("a time-out of asyncio has stopped the task")


def main():
    for kind in (ThreadPool, ProcessPool):
        print(f"-- {kind.__name__}")
        with kind(max_workers=2) as pool:
            several(pool)
            failures(pool)
            asyncio.run(in_asyncio(pool))
            if kind is ProcessPool:
                crashes(pool)
    print("ok")


if __name__ == "__main__":
    main()
