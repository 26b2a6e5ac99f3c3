#!/usr/bin/env python3
"""Instructions a task by thread and function, from the callgrind files of two runs.

    profile.py [--lines] ROUNDS*TASKS-DIFFERENCE SHORT-PREFIX LONG-PREFIX

The files are those of `counts/run --profile`: one a thread, written with --dump-instr=yes and
without compression. An inlined function gets its own instructions: each address is asked for
its innermost function in the debug information (but Rust's own library counts to its caller). With --lines each source line stands alone.
"""

import collections
import glob
import os
import re
import signal
import subprocess
import sys

COST = re.compile(r"^0x([0-9a-f]+) (\d+) (\d+)$")


def read(path):
    """Cost by (object, address), calls left out, and the callgrind name of each address."""
    costs, names = collections.Counter(), {}
    obj = fn = ""
    skip = False
    with open(path) as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith("ob="):
                obj = line[3:]
            elif line.startswith("fn="):
                fn = line[3:]
            elif line.startswith("calls="):
                skip = True
            else:
                match = COST.match(line)
                if match and skip:
                    skip = False
                elif match:
                    key = (obj, int(match[1], 16))
                    costs[key] += int(match[3])
                    names[key] = fn
    return costs, names


def shown(fn, place, with_line):
    fn = re.sub(r"::h[0-9a-f]{16}$", "", fn)
    path, _, line = place.split(" ")[0].rpartition(":")
    path = re.sub(r".*?/(library|src|sysdeps|benches)/", r"\1/", path)
    return f"{fn}  [{path}:{line}]" if with_line else f"{fn}  [{path}]"


def innermost(keys, with_line):
    """For each address the innermost inlined function that is not of Rust's own library."""
    by_object = collections.defaultdict(list)
    for obj, addr in keys:
        by_object[obj].append(addr)
    answer = {}
    for obj, addrs in by_object.items():
        if not os.path.exists(obj):
            continue
        text = "\n".join(hex(a) for a in addrs)
        run = subprocess.run(["addr2line", "-a", "-i", "-f", "-C", "-e", obj], input=text,
                             capture_output=True, text=True, check=True)
        frames = {}
        for line in run.stdout.splitlines():
            if re.match(r"^0x[0-9a-f]+$", line):
                frames[int(line, 16)] = current = []
            else:
                current.append(line)
        for addr, lines in frames.items():
            pairs = list(zip(lines[::2], lines[1::2]))
            ours = [p for p in pairs if "/library/" not in p[1] and not p[1].startswith("??")]
            if pairs[0][0] != "??":
                answer[(obj, addr)] = shown(*(ours or pairs)[0], with_line)
    return answer


def threads(prefix):
    files = sorted(glob.glob(prefix + "-*"))
    return {path.rpartition("-")[2]: read(path) for path in files}


def main():
    args = sys.argv[1:]
    with_line = "--lines" in args
    args = [a for a in args if a != "--lines"]
    tasks = int(args[0])
    short, long = threads(args[1]), threads(args[2])
    total = ours = 0
    for thread, (costs, names) in long.items():
        before = short.get(thread, (collections.Counter(), {}))[0]
        diff = {key: cost - before[key] for key, cost in costs.items() if cost != before[key]}
        inlined = innermost(diff, with_line)
        table = collections.Counter()
        outer = collections.Counter()
        for key, cost in diff.items():
            table[inlined.get(key, names[key])] += cost
            outer[names[key]] += cost
        summed = sum(diff.values())
        total += summed
        inside = sum(cost for (obj, _), cost in diff.items() if not obj.endswith("/task"))
        ours += inside
        print(f"\nthread {thread}: {summed / tasks:.1f} instructions a task,"
              f" {inside / tasks:.1f} of them below the program")
        print("  by function as compiled:")
        for name, cost in outer.most_common(25):
            if cost / tasks >= 0.5:
                print(f"  {cost / tasks:8.1f}  {name}")
        print("  by function as written:")
        for name, cost in table.most_common(60):
            if cost / tasks >= 0.5:
                print(f"  {cost / tasks:8.1f}  {name}")
    print(f"\nall threads: {total / tasks:.1f} instructions a task,"
          f" {ours / tasks:.1f} of them below the program")


# A reader that has seen enough, as head(1), is no error.
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
main()
