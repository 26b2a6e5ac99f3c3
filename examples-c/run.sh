#!/bin/sh
# Runs the examples on real input: `make run` calls it with the directories that those in C and
# those in C++ were built in.
set -eu
programs=$1
cpp_programs=$2

# The machine's own logs, if there are any that may be read.
logs=/var/log
if [ -z "$(find "$logs" -maxdepth 1 -type f -size +0 -readable 2>/dev/null | head -n 1)" ]; then
    echo "$logs has no log files that may be read; written instead: $programs/logs"
    logs=$programs/logs
    mkdir -p "$logs"
    for number in 1 2 3 4 5; do
        awk -v part="$number" 'BEGIN {
            for (line = 1; line <= 200000; line++)
                print "line", line, line % (7 * part) ? "INFO all is well" :
                      line % 2 ? "ERROR nothing works" : "WARNING little works"
        }' > "$logs/service-$number.log"
    done
fi

show() {
    echo
    echo "\$ $*"
    "$@"
}

# 1: some files may not be read by this user; the program has named them.
show "$programs/log_summary" --ignore-case "$logs" || [ $? -eq 1 ]
show "$programs/log_summary" --processes --ignore-case "$logs" || [ $? -eq 1 ]
show "$cpp_programs/log_summary" --processes --ignore-case "$logs" || [ $? -eq 1 ]
show "$programs/primes" --processes 112272535095293 112582705942171 115280095190773
show "$programs/primes" --processes --count 100000
show "$programs/primes" --processes --sieve 1000000 2000000 3000000 4000000
show "$programs/crash_lab"
show "$programs/event_loop"
if [ -x "$programs/event_loop_libuv" ]; then
    show "$programs/event_loop_libuv" --libuv
else
    echo "event_loop_libuv: skipped, it was not built for want of libuv"
fi
if [ -x "$programs/fetch_urls" ]; then
    # The files need no network; at the last address nobody listens.
    printf '%s\n' file:///etc/passwd file:///etc/group http://127.0.0.1:1/ > "$programs/urls"
    show "$programs/fetch_urls" --at-once 2 "$programs/urls" || [ $? -eq 1 ]
else
    echo "fetch_urls: skipped, it was not built for want of libcurl"
fi
printf '%s\n' 'uname -s' 'echo so much for this >&2; exit 3' 'sleep 60' > "$programs/commands"
# 1: some did not succeed.
show "$programs/run_commands" --time-out 0.5 "$programs/commands" || [ $? -eq 1 ]
# 1: the file that crashes, on purpose.
rm -rf "$programs/words" "$programs/small"
show "$programs/pipeline" --crash-on abi.md "$(dirname "$0")/../docs" "$programs/words" ||
    [ $? -eq 1 ]
rm -rf "$programs/words"
show "$cpp_programs/pipeline" "$(dirname "$0")/../docs" "$programs/words"
pictures=$(find /usr/share -xdev -type f -readable \( -name '*.jpg' -o -name '*.png' \) 2>/dev/null |
    sed 's|/[^/]*$||' | sort | uniq -c | awk '$1 <= 20' | sort -rn | sed -n '1s/^ *[0-9]* //p')
if [ ! -x "$programs/resize_images" ]; then
    echo "resize_images: skipped, it was not built for want of a library"
elif [ -z "$pictures" ]; then
    echo "resize_images: skipped, no pictures in /usr/share"
else
    # 1: the machine may have some that no decoder reads.
    show "$programs/resize_images" --size 64 "$pictures" "$programs/small" || [ $? -eq 1 ]
fi
if python3 --version >/dev/null 2>&1; then
    show python3 "$(dirname "$0")/../examples-python/host.py"
else
    echo "examples-python: skipped, no python3"
fi
