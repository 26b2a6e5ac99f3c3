/* What the suites of process pools are made of.
 *
 * Latches and gates of check.h lie in one process. Here host and workers meet on a board: memory
 * that the host makes and any process of the test maps, by the path that comes with a call. It is
 * the system's, not the library's, so that no test leans on what it tests.
 */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BOARD_GATES 8
#define BOARD_SEEN 4096

struct board {
    struct {
        atomic_int entered; /* tasks that stand, or stood, at this gate */
        atomic_int open;
        atomic_int pid; /* of the last one's process */
    } gates[BOARD_GATES];
    atomic_int count;
    atomic_int seen[BOARD_SEEN]; /* numbers that tasks noted, as many as counted */
    char text[480];
};

/* Data of the tasks below: where the board is, and what is meant. */
struct call {
    int32_t host, fd;
    int32_t gate;
    int32_t number;
};

static struct board *board;
static int board_fd = -1;

/* In the host, before anything else. */
CHECK_UNUSED static void board_make(void)
{
    board_fd = memfd_create("board", 0);
    CHECK(board_fd >= 0);
    CHECK_EQ(ftruncate(board_fd, sizeof *board), 0);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0);
    CHECK(board != MAP_FAILED);
}

CHECK_UNUSED static struct call call_of(int32_t gate, int32_t number)
{
    struct call call = { (int32_t)getpid(), board_fd, gate, number };
    CHECK(board != NULL);
    return call;
}

/* The board's name for a variable of the environment, and the call that it makes. */
CHECK_UNUSED static const char *board_name(void)
{
    static char name[64];
    snprintf(name, sizeof name, "%d:%d", (int)getpid(), board_fd);
    return name;
}

CHECK_UNUSED static struct call call_of_name(const char *name)
{
    struct call call = { 0, 0, 0, 0 };
    CHECK_EQ(sscanf(name, "%d:%d", &call.host, &call.fd), 2);
    return call;
}

/* In a task: its call; `board` is there afterwards. */
CHECK_UNUSED static struct call call_from(const void *data, size_t length)
{
    struct call call;
    CHECK(length >= sizeof call);
    memcpy(&call, data, sizeof call);
    if (board == NULL) {
        char path[64];
        int fd;
        snprintf(path, sizeof path, "/proc/%d/fd/%d", call.host, call.fd);
        fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0);
        board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(board != MAP_FAILED);
        close(fd);
    }
    return call;
}

/* ---- tasks ---- */

/* Says that it has come to its gate. */
CHECK_UNUSED static void enter(const struct call *call)
{
    atomic_store(&board->gates[call->gate].pid, getpid());
    atomic_fetch_add(&board->gates[call->gate].entered, 1);
}

/* Task: stands at its gate until that is open; answers its number. */
CHECK_UNUSED static int32_t stand_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    int64_t number = call.number;
    enter(&call);
    CHECK_SOON(atomic_load(&board->gates[call.gate].open));
    CHECK_OK(cfut_promise_set_bytes(self, &number, sizeof number));
    return 0;
}

/* Task: goes on until it is asked to stop, and agrees. */
CHECK_UNUSED static int32_t heed_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    enter(&call);
    CHECK_SOON(cfut_promise_stop_requested(self));
    CHECK_OK(cfut_promise_set_cancelled(self));
    return 0;
}

/* Task: goes on for ever. */
CHECK_UNUSED static int32_t stubborn_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    (void)self;
    enter(&call);
    for (;;)
        pause();
    return 0;
}

/* Task: goes to its gate, and dies of the signal that is its number once that is open. */
CHECK_UNUSED static int32_t die_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    (void)self;
    enter(&call);
    CHECK_SOON(atomic_load(&board->gates[call.gate].open));
    signal(call.number, SIG_DFL);
    raise(call.number);
    return 0;
}

/* Task: notes its number on the board. */
CHECK_UNUSED static int32_t see_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    int place = atomic_fetch_add(&board->count, 1);
    (void)self;
    if (place < BOARD_SEEN)
        atomic_store(&board->seen[place], call.number);
    return 0;
}

/* Task: the process it runs in, as an int64_t. */
CHECK_UNUSED static int32_t pid_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t pid = getpid();
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, &pid, sizeof pid);
}

/* Task: one more than an int64_t. */
CHECK_UNUSED static int32_t plus_one_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, length);
    n++;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

/* ---- submits ---- */

/* The future of `task` over the result of `future`, which it lets go. */
CHECK_UNUSED static cfut_future *piped(cfut_future *future, cfut_executor *executor, cfut_task *task)
{
    cfut_future *out = NULL;
    CHECK_OK(cfut_future_pipe(future, executor, task, &out));
    cfut_future_release(future);
    return out;
}

CHECK_UNUSED static cfut_future *submit_call(cfut_executor *executor, cfut_task_fn fn, int32_t gate,
                                             int32_t number)
{
    struct call call = call_of(gate, number);
    return submit(executor, fn, &call, sizeof call);
}

/* From a builder made for this one task, which it frees. */
CHECK_UNUSED static cfut_future *submit_call_once(cfut_executor *executor, cfut_task *task,
                                                  int32_t gate, int32_t number)
{
    struct call call = call_of(gate, number);
    return submit_once(executor, task, &call, sizeof call);
}

/* Waits until so many tasks have come to a gate. */
CHECK_UNUSED static void entered(int gate, int count)
{
    CHECK_SOON(atomic_load(&board->gates[gate].entered) >= count);
}

CHECK_UNUSED static void open_gate(int gate)
{
    atomic_store(&board->gates[gate].open, 1);
}

/* Occupies one worker; returns once it does. */
CHECK_UNUSED static cfut_future *stand(cfut_executor *executor, int gate)
{
    int before = atomic_load(&board->gates[gate].entered);
    cfut_future *future = submit_call(executor, stand_task, gate, gate);
    entered(gate, before + 1);
    return future;
}

/* The process that a task of the executor runs in. */
CHECK_UNUSED static int64_t pid_of_next(cfut_executor *executor)
{
    cfut_future *future = submit(executor, pid_task, NULL, 0);
    int64_t pid;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    pid = integer_of(future);
    cfut_future_release(future);
    return pid;
}

CHECK_UNUSED static int64_t info_of(cfut_future *future, int32_t key)
{
    int64_t value = -1;
    CHECK_OK(cfut_future_info(future, key, &value));
    return value;
}

/* Waits until a process is no more; it is nobody's child here, so nothing is left of it. */
CHECK_UNUSED static void gone(int64_t pid)
{
    CHECK(pid > 0);
    CHECK_SOON(kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

/* A number of a snapshot, by its key; -1: it has none. */
CHECK_UNUSED static int64_t snapshot_number(cfut_executor *executor, const char *key)
{
    static char state[1 << 16];
    char name[64];
    const char *at;
    size_t length;
    CHECK_OK(cfut_executor_snapshot(executor, state, sizeof state, &length));
    snprintf(name, sizeof name, "\"%s\":", key);
    at = strstr(state, name);
    return at == NULL ? -1 : strtoll(at + strlen(name), NULL, 10);
}

#endif
