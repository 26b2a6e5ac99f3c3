"""What cfutures.py promises, checked one after the other. `python3 test_cfutures.py [NAME...]`"""

import asyncio
import concurrent.futures
import gc
import os
import pickle
import signal
import struct
import sys
import threading
import time

import cfutures
from cfutures import (
    FIRST_COMPLETED, FIRST_EXCEPTION, BrokenExecutor, CancelledError, Crashed, Error, Expired,
    Future, ProcessPool, TaskFailed, ThreadPool, TimeoutError, as_completed, stop_requested, wait,
)

TASKS = os.environ["CFUT_TASKS"]
KINDS = ThreadPool, ProcessPool


def square(n):
    return n * n


def divide(a, b):
    return a / b


def linger():
    while not stop_requested():
        time.sleep(0.001)
    raise CancelledError


def nap(seconds):
    time.sleep(seconds)
    return seconds


def whoami(_=None):
    return os.getpid(), threading.get_ident()


def die(number):
    os.kill(os.getpid(), number)


def leave(code):
    os._exit(code)


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__("only in its own process")
        self.lock = threading.Lock()


def raise_unpicklable():
    raise Unpicklable(1, 2)


def raises(kind, call, words=""):
    try:
        call()
    except kind as error:
        assert words in str(error), f"{error!r} lacks {words!r}"
        return error
    raise AssertionError(f"no {kind.__name__}")


def until(true):
    while not true():
        time.sleep(0.001)


def each_kind(check):
    def test():
        for kind in KINDS:
            with kind(max_workers=2) as pool:
                check(pool)
    return test


@each_kind
def test_results(pool):
    assert isinstance(pool, concurrent.futures.Executor)
    assert pool.submit(square, 12).result() == 144
    assert pool.submit(divide, b=2, a=7).result(timeout=60) == 3.5
    assert list(pool.map(square, range(1000))) == [n * n for n in range(1000)]
    assert list(pool.map(divide, [4, 9], [2, 3])) == [2, 3]
    big = os.urandom(3_000_000)
    assert pool.submit(bytes.__add__, big, b"!").result() == big + b"!"
    future = pool.submit(square, 3)
    assert future.result() == 9 and future.done() and not future.running()
    assert future.exception() is None and not future.cancelled() and not future.cancel()


@each_kind
def test_where_they_run(pool):
    own, thread = whoami()
    ids = [pool.submit(whoami).result() for _ in range(10)]
    assert all((process == own) == isinstance(pool, ThreadPool) for process, _ in ids)
    assert all(ident != thread for process, ident in ids if process == own)
    if isinstance(pool, ProcessPool):  # the interpreter's main thread, where signals arrive
        assert all(pool.map(in_main_thread, range(10)))


def in_main_thread(_):
    return threading.current_thread() is threading.main_thread()


@each_kind
def test_exceptions(pool):
    error = raises(ZeroDivisionError, pool.submit(divide, 1, 0).result, "division by zero")
    if isinstance(pool, ProcessPool):
        assert "in divide" in str(error.__cause__)
    future = pool.submit(divide, 1, 0)
    assert isinstance(future.exception(), ZeroDivisionError)
    assert future.exception() is future.exception()
    raises(SystemExit, pool.submit(sys.exit, 3).result, "3")
    kind = Unpicklable if isinstance(pool, ThreadPool) else TaskFailed
    raises(kind, pool.submit(raise_unpicklable).result, "only in its own process")
    raises(TypeError, pool.submit(square).result, "square")


def test_what_cannot_be_pickled():
    with ProcessPool(max_workers=1) as pool:
        raises((AttributeError, pickle.PicklingError), lambda: pool.submit(lambda: 1), "lambda")
        raises((TypeError, pickle.PicklingError), pool.submit(threading.Lock).result, "pickle")
        assert pool.submit(square, 2).result() == 4


@each_kind
def test_time_outs(pool):
    future = pool.submit(linger)
    raises(TimeoutError, lambda: future.result(timeout=0.01))
    raises(TimeoutError, lambda: future.exception(0))
    assert not future.done()
    raises(TimeoutError, lambda: list(as_completed([future], timeout=0.01)), "1 (of 1)")
    assert future.cancel(stop=True)
    limited = pool.with_options(run_timeout=0.02)
    raises(Expired, limited.submit(linger).result)
    busy = [pool.submit(linger), pool.submit(linger)]
    for each in busy:
        until(each.running)
    raises(Expired, pool.with_options(queue_timeout=0.01).submit(square, 2).result, "")
    for each in busy:
        each.cancel(stop=True)
    assert pool.with_options(run_timeout=60, total_timeout=60).submit(square, 5).result() == 25


@each_kind
def test_cancel(pool):
    busy = [pool.submit(linger), pool.submit(linger)]
    for future in busy:
        until(future.running)
    waiting = pool.submit(square, 2)
    assert waiting.cancel() and waiting.cancelled() and waiting.done()
    raises(CancelledError, waiting.result)
    raises(CancelledError, waiting.exception)
    assert not busy[0].cancel()
    for future in busy:
        assert future.cancel(stop=True)
        raises(CancelledError, future.result)
        assert future.cancelled()


def test_kill():
    with ProcessPool(max_workers=1) as pool:
        future = pool.with_options(grace=0).submit(nap, 1000)
        until(future.running)
        assert future.cancel(kill=True)
        raises(CancelledError, future.result)
        assert pool.submit(square, 2).result() == 4


@each_kind
def test_callbacks(pool):
    seen, settled = [], threading.Event()
    future = pool.submit(square, 4)
    for n in range(3):
        future.add_done_callback(lambda f, n=n: seen.append((n, f.result())))
    future.add_done_callback(lambda _: settled.set())
    assert settled.wait(60) and seen == [(0, 16), (1, 16), (2, 16)]
    future.add_done_callback(lambda f: seen.append(f is future))
    until(lambda: len(seen) == 4)  # here and now, or by who still calls the one before it
    assert seen[3] is True


@each_kind
def test_as_completed(pool):
    slow, fast = pool.submit(linger), pool.submit(square, 2)
    order = []
    for future in as_completed([slow, fast, slow]):
        order.append(future)
        slow.cancel(stop=True)
    assert order == [fast, slow]
    futures = {pool.submit(square, n): n for n in range(500)}
    seen = {futures[future]: future.result() for future in as_completed(futures)}
    assert seen == {n: n * n for n in range(500)}
    assert list(as_completed([])) == []


@each_kind
def test_wait(pool):
    slow, fast = pool.submit(linger), pool.submit(square, 2)
    done, not_done = wait([slow, fast, slow], return_when=FIRST_COMPLETED)
    assert done == {fast} and not_done == {slow}
    assert wait([slow, fast], timeout=0.01) == ({fast}, {slow})
    failed = pool.submit(divide, 1, 0)
    done, not_done = wait([slow, failed], return_when=FIRST_EXCEPTION)
    assert done == {failed} and not_done == {slow}
    slow.cancel(stop=True)
    assert wait([slow, fast]).done == {slow, fast}
    assert wait([]) == (set(), set())


places = []


def initialize(place):
    places.append(place)


def place(_=None):
    return places[-1]


def initialize_badly():
    raise ValueError("no licence")


def test_initializers():
    for kind in KINDS:
        with kind(max_workers=2, initializer=initialize, initargs=("here",)) as pool:
            assert set(pool.map(place, range(20))) == {"here"}
        with kind(max_workers=1, initializer=initialize_badly) as pool:
            raises(BrokenExecutor, pool.submit(place).result, "no licence")
    assert 1 <= len(places) <= 2  # once in each thread; processes have their own list
    del pool
    until(lambda: not cfutures._kept)


@each_kind
def test_tasks_of_shared_objects(pool):
    futures = [pool.submit_named(f"{TASKS}:square", struct.pack("q", n)) for n in range(100)]
    assert [struct.unpack("q", f.result())[0] for f in futures] == [n * n for n in range(100)]
    assert pool.submit_named(f"{TASKS}:echo", b"a\0b").result() == b"a\0b"
    assert pool.submit_named(f"{TASKS}:echo").result() == b""
    error = raises(TaskFailed, pool.submit_named(f"{TASKS}:fail", "zu groß".encode()).result)
    assert (error.code, error.message) == (42, "zu groß")
    future = pool.submit_named(f"{TASKS}:linger")
    until(future.running)
    assert future.cancel(stop=True)
    raises(CancelledError, future.result)
    raises(Expired, pool.with_options(run_timeout=0.01).submit_named(f"{TASKS}:linger").result)
    if isinstance(pool, ThreadPool):
        raises(Error, lambda: pool.submit_named("no.so:task"), "CFUT_ENOENT")
    else:
        raises(TaskFailed, pool.submit_named("no.so:task").result, "no.so")


def test_tasks_that_submit():
    with ThreadPool(max_workers=1) as pool:  # a wait runs the awaited task
        def outer(depth):
            return depth and 1 + pool.submit(outer, depth - 1).result()
        assert pool.submit(outer, 20).result() == 20


def test_crashes():
    with ProcessPool(max_workers=2) as pool:
        futures = [pool.submit(square, n) for n in range(100)]
        ill = pool.submit(die, signal.SIGSEGV)
        more = [pool.submit(square, n) for n in range(100)]
        error = raises(Crashed, ill.result, "SIGSEGV")
        assert isinstance(error, BrokenExecutor)
        assert error.signal == signal.SIGSEGV and error.pid not in (0, os.getpid())
        assert [f.result() for f in futures + more] == [n * n for n in range(100)] * 2
        assert raises(Crashed, pool.submit(leave, 7).result).exit_code == 7
        raises(Crashed, pool.submit_named(f"{TASKS}:crash").result)
        assert pool.submit(square, 3).result() == 9


def test_attempts(path="attempts"):
    path = os.path.join(os.environ["CFUT_SCRATCH"], path)
    with open(path, "w"):
        pass
    with ProcessPool(max_workers=1) as pool:
        assert pool.with_options(attempts=3).submit(die_twice, path).result() == "third"


def die_twice(path):
    with open(path, "a") as file:
        file.write("x")
    if os.path.getsize(path) < 3:
        die(signal.SIGKILL)
    return "third"


def test_shutdown():
    for kind in KINDS:
        pool = kind(max_workers=1)
        first = pool.submit(nap, 0.05)
        until(first.running)
        rest = [pool.submit(square, n) for n in range(10)]
        pool.shutdown(wait=False, cancel_futures=True)
        pool.shutdown()
        assert first.result() == 0.05 and all(f.cancelled() for f in rest)
        raises(Error, lambda: pool.submit(square, 1), "CFUT_ESHUTDOWN")


def test_bad_options():
    raises(Error, lambda: ThreadPool(max_workers=0), "CFUT_EINVAL")
    raises(TypeError, lambda: ThreadPool(colour="red"), "no option 'colour'")
    raises(Error, lambda: ThreadPool(memory_limit=1 << 30), "CFUT_ENOTSUP")
    raises(Error, lambda: ProcessPool(program="/no/such/program"), "/no/such/program")
    with ThreadPool() as pool:
        raises(TypeError, lambda: pool.with_options(speed=9).submit(square, 1), "'speed'")
        raises(Error, lambda: pool.with_options(priority=7).submit(square, 1), "CFUT_EINVAL")


def test_interrupt():
    """Ctrl-C ends a wait."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    with ThreadPool(max_workers=1) as pool:
        future = pool.submit(linger)
        try:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            future.result()
            raise AssertionError
        except KeyboardInterrupt:
            future.cancel(stop=True)


@each_kind
def test_asyncio(pool):
    async def main():
        assert await pool.submit(square, 4) == 16
        values = await asyncio.gather(*(pool.submit(square, n) for n in range(200)))
        assert values == [n * n for n in range(200)]
        try:
            await pool.submit(divide, 1, 0)
            raise AssertionError
        except ZeroDivisionError:
            pass
        future = pool.submit(linger)
        task = asyncio.ensure_future(awaited(future))
        for _ in range(5):  # the loop goes on meanwhile
            await asyncio.sleep(0.001)
        assert not task.done()
        future.cancel(stop=True)
        await asyncio.wait([task])
        assert task.cancelled()
        future = pool.submit(linger)
        try:
            await asyncio.wait_for(awaited(future), 0.05)
            raise AssertionError
        except asyncio.TimeoutError:
            raises(CancelledError, future.result)
        try:
            await pool.with_options(run_timeout=0.01).submit(linger)
            raise AssertionError
        except Expired:
            pass
        done = pool.submit(square, 6)
        done.result()
        assert await done == 36 and await done == 36
        seen = []
        for first in asyncio.as_completed([awaited(pool.submit(square, n)) for n in range(20)]):
            seen.append(await first)
        assert sorted(seen) == [n * n for n in range(20)]

    asyncio.run(main())
    asyncio.run(main())  # another loop, another descriptor
    gc.collect()
    assert len(cfutures._Bridge._all) == 0


async def awaited(future):
    return await future


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count(kind):
    gc.collect()
    return sum(type(thing) is kind for thing in gc.get_objects())


def test_no_leak():
    """10,000 tasks of each kind, with callbacks, cancelled ones and failures among them."""
    for kind in KINDS:
        with kind(max_workers=2) as pool:
            limited = pool.with_options(run_timeout=60)
            called = []

            def batch():
                futures = [pool.submit(square, n) for n in range(300)]
                futures += [limited.submit(square, n) for n in range(100)]
                futures += [pool.submit(divide, n, 0) for n in range(50)]
                futures += [pool.submit_named(f"{TASKS}:square", b"12345678") for _ in range(50)]
                for future in futures[::10]:
                    future.add_done_callback(called.append)
                for future in futures[5::10]:
                    future.cancel()
                assert len(list(as_completed(futures))) == 500
                for future in futures:
                    if not future.cancelled():
                        future.exception()
                called.clear()

            for _ in range(4):
                batch()
            until(lambda: not cfutures._kept)
            before, files = resident(), len(os.listdir("/proc/self/fd"))
            for _ in range(20):
                batch()
            until(lambda: not cfutures._kept)
            called.clear()
            assert count(Future) == 0 and count(cfutures._Queue) == 0
            assert len(os.listdir("/proc/self/fd")) == files
            grown = resident() - before
            assert grown < 2_000_000, f"{kind.__name__}: {grown} bytes"
            print(f"{kind.__name__}: 10,000 tasks, {grown} bytes more")


def main():
    names = sys.argv[1:] or [name for name in globals() if name.startswith("test_")]
    for name in names:
        begin = time.monotonic()
        globals()[name]()
        print(f"{name} {time.monotonic() - begin:.2f} s", flush=True)
    print("ok")


if __name__ == "__main__":
    main()
