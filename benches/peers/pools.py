"""Process pools of CPython in the comparison: POOL-METHOD CASE [tasks [workers]].

POOL is `executor` (concurrent.futures.ProcessPoolExecutor) or `pool` (multiprocessing.Pool), METHOD
a start method of multiprocessing. The twin of ../c/processes.c; prints the same lines.
"""

import concurrent.futures
import multiprocessing
import os
import signal
import sys
import time

MIB = 1 << 20


def empty():
    pass


def twice(n):
    return 2 * n


def echo(data):
    return data


def short_or_deadly(n):
    if n == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    until = time.perf_counter_ns() + 100_000
    while time.perf_counter_ns() < until:
        pass
    return n


class Executor:
    def __init__(self, method, workers, fresh=False):
        context = multiprocessing.get_context(method)
        more = {"max_tasks_per_child": 1} if fresh else {}
        self.pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, **more)

    def submit(self, function, *arguments):
        return self.pool.submit(function, *arguments)

    @staticmethod
    def result(future, timeout=None):
        return future.result(timeout)

    def end(self):
        self.pool.shutdown()


class Pool:
    def __init__(self, method, workers, fresh=False):
        context = multiprocessing.get_context(method)
        self.pool = context.Pool(workers, maxtasksperchild=1 if fresh else None)

    def submit(self, function, *arguments):
        return self.pool.apply_async(function, arguments)

    @staticmethod
    def result(future, timeout=None):
        return future.get(timeout)

    def end(self):
        self.pool.terminate()


def tree_cpu_ns():
    """As in ../tree.h."""
    mark = b"BENCH_TREE=" + os.environ.get("BENCH_TREE", "?").encode() + b"\0"
    ticks = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark not in file.read():
                    continue
            with open(f"/proc/{name}/stat") as file:
                ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return ticks * 1e9 / os.sysconf("SC_CLK_TCK")


def busy_ns():
    with open("/proc/stat") as file:
        v = [int(word) for word in file.readline().split()[1:9]]
    return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) * 1e9 / os.sysconf("SC_CLK_TCK")


class Span:
    def __init__(self):
        self.busy, self.cpu, self.wall = busy_ns(), tree_cpu_ns(), time.perf_counter_ns()

    def end(self, case, count, more=""):
        wall = time.perf_counter_ns() - self.wall
        cpu = tree_cpu_ns() - self.cpu
        others = max(0, (busy_ns() - self.busy - cpu) / wall)
        print(f"{case} took {wall / count:.1f} cpu {cpu / count:.1f} others {others:.2f}{more}")


def all_of(make, workers, case, tasks, fresh=False):
    pool = make(workers, fresh)
    for last in False, True:
        count = tasks if last else max(tasks // 10, 2)
        span = Span()
        if case == "empty":
            results = [pool.submit(empty) for _ in range(count)]
        else:
            results = [pool.submit(twice, n) for n in range(count)]
        results = [pool.result(result) for result in results]
        if case != "empty" and results != [2 * n for n in range(count)]:
            sys.exit("wrong results")
        if last:
            span.end(case, count)
    pool.end()


def one_by_one(make, workers, case, tasks):
    pool = make(workers)
    data = b"\7" * MIB
    for last in False, True:
        count = tasks if last else max(tasks // 10, 2)
        span = Span()
        for n in range(count):
            if case == "round-trip":
                if pool.result(pool.submit(twice, n)) != 2 * n:
                    sys.exit("wrong result")
            elif len(pool.result(pool.submit(echo, data))) != MIB:
                sys.exit("wrong bytes")
        if last:
            span.end(case, count, "" if case == "round-trip" else f" bytes {2 * MIB}")
    pool.end()


def first(make, workers, case):
    """Once in a process: a later pool would find a fork server that is there already."""
    begin = time.perf_counter_ns()
    pool = make(workers)
    pool.result(pool.submit(twice, 1))
    print(f"{case} took {time.perf_counter_ns() - begin}")
    pool.end()


def killed(make, workers, case):
    """As long as it takes to know of the 99; those of a pool that gives up have no results."""
    pool = make(workers)
    [pool.result(pool.submit(twice, n)) for n in range(10)]
    begin = time.perf_counter_ns()
    results = [pool.submit(short_or_deadly, n) for n in range(100)]
    good = 0
    for n, result in enumerate(results):
        if n == 10:
            continue
        try:
            good += pool.result(result, 10) == n
        except (concurrent.futures.process.BrokenProcessPool, multiprocessing.TimeoutError):
            pass
    print(f"{case} took {time.perf_counter_ns() - begin} results {good}")
    pool.end()


def main():
    kind, method = sys.argv[1].split("-")
    case = sys.argv[2]
    tasks = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    workers = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    kinds = {"executor": Executor, "pool": Pool}

    def make(workers, fresh=False):
        return kinds[kind](method, workers, fresh)

    if case in ("empty", "number", "fresh"):
        all_of(make, workers, case, tasks, fresh=case == "fresh")
    elif case in ("round-trip", "copied"):
        one_by_one(make, workers, case, tasks)
    elif case == "first":
        first(make, workers, case)
    elif case == "killed":
        killed(make, workers, case)
    else:
        sys.exit(3)


if __name__ == "__main__":
    main()
