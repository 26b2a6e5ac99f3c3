/* Ways in which a worker process dies in a task. Exactly the task that had begun is lost; the
 * others succeed, and the pool goes on. */
#include "remains.h"

#include <sys/resource.h>
#include <sys/syscall.h>

enum way {
    FAIL, EXIT_0, EXIT_3, QUICK_EXIT, SEGV, BUS, ILL, FPE, ABRT, KILL, OVERFLOW, MEMORY, ENDLESS, STOPPED, CLOSED,
    CLOSED_AND_STAYS, GARBAGE, DAMAGED_LENGTHS, ENDS_THREAD, FORK_RETURNS, GRANDCHILD, DAEMON, TRUNCATES
};

/* CFUT_OK or CFUT_CRASHED: a worker may write its answer over the garbage before it is looked at. */
#define EITHER 1000

struct death {
    enum way way;
    cfut_status outcome;
    int signal, code; /* -1: whatever */
    const char *words;
    int64_t run_timeout;
};

static const struct death deaths[] = {
    { FAIL, CFUT_FAILED, 0, 0, "", 0 },
    { EXIT_0, CFUT_CRASHED, 0, 0, "exited with status 0", 0 },
    { EXIT_3, CFUT_CRASHED, 0, 3, "exited with status 3", 0 },
    { QUICK_EXIT, CFUT_CRASHED, 0, 4, "exited with status 4", 0 },
    { SEGV, CFUT_CRASHED, SIGSEGV, 0, "SIGSEGV", 0 },
    { BUS, CFUT_CRASHED, SIGBUS, 0, "SIGBUS", 0 },
    { ILL, CFUT_CRASHED, SIGILL, 0, "SIGILL", 0 },
    { FPE, CFUT_CRASHED, SIGFPE, 0, "SIGFPE", 0 },
    { ABRT, CFUT_CRASHED, SIGABRT, 0, "SIGABRT", 0 },
    { KILL, CFUT_CRASHED, SIGKILL, 0, "SIGKILL", 0 },
    { OVERFLOW, CFUT_CRASHED, SIGSEGV, 0, "stack overflow", 0 },
    { ENDLESS, CFUT_EXPIRED, -1, -1, "CFUT_TASK_RUN_TIMEOUT_NS", CFUT_MSEC(20) },
    { STOPPED, CFUT_EXPIRED, -1, -1, "CFUT_TASK_RUN_TIMEOUT_NS", CFUT_MSEC(20) },
    { CLOSED_AND_STAYS, CFUT_CRASHED, SIGKILL, 0, "closed its connection", 0 },
    { GARBAGE, EITHER, -1, -1, "", 0 },
    { DAMAGED_LENGTHS, EITHER, -1, -1, "", 0 },
    { ENDS_THREAD, CFUT_FAILED, 0, 0, "", 0 },
    { FORK_RETURNS, CFUT_OK, 0, 0, "", 0 },
    { GRANDCHILD, CFUT_CRASHED, SIGKILL, 0, "SIGKILL", 0 },
};

static int overflow(volatile char *above)
{
    volatile char here[4096];
    here[0] = above[0];
    return shared == NULL ? 0 : overflow(here) + here[0]; /* it never is */
}

/* The memory that this worker shares with its host. */
static char *find_link(size_t *size)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        if (strstr(line, "memfd:cfutures-link") != NULL &&
            sscanf(line, "%lx-%lx", &from, &to) == 2) {
            fclose(maps);
            *size = to - from;
            return (char *)from;
        }
    }
    _exit(77);
}

static int32_t die_task(cfut_promise *self, const void *data, size_t length)
{
    enum way way;
    size_t size;
    char *link;
    (void)self;
    (void)length;
    memcpy(&way, data, sizeof way);
    shared->pids[7] = (int32_t)getpid();
    switch (way) {
    case FAIL:
        return 7;
    case EXIT_0:
        exit(0);
    case EXIT_3:
        exit(3);
    case QUICK_EXIT:
        quick_exit(4);
    case SEGV:
        *(volatile int *)8 = 1;
        break;
    case BUS:
        raise(SIGBUS);
        break;
    case ILL:
        raise(SIGILL);
        break;
    case FPE:
        raise(SIGFPE);
        break;
    case ABRT:
        abort();
    case KILL:
        raise(SIGKILL);
        break;
    case OVERFLOW:
        return overflow((volatile char *)&way);
    case MEMORY: {
        /* Until there is none; then as programs do that do not look. */
        for (;;) {
            char *volatile more = malloc(1 << 20); /* volatile: compilers leave it out else */
            memset(more, 1, 1 << 20);
        }
    }
    case ENDLESS:
        for (;;)
            __atomic_add_fetch(&shared->counter, 1, __ATOMIC_RELAXED);
    case STOPPED:
        raise(SIGSTOP);
        break;
    case CLOSED:
        syscall(SYS_close_range, 3, ~0u, 0);
        return 0;
    case CLOSED_AND_STAYS:
        syscall(SYS_close_range, 3, ~0u, 0);
        for (;;)
            pause();
    case GARBAGE:
        link = find_link(&size);
        for (size_t i = 0; i < size; i++)
            link[i] = (char)(i * 2654435761u >> 13);
        return 0;
    case DAMAGED_LENGTHS:
        link = find_link(&size);
        memset(link, 0xff, size);
        return 0;
    case ENDS_THREAD:
        pthread_exit(NULL);
    case FORK_RETURNS:
        fork();
        return 0;
    case GRANDCHILD:
        if (fork() == 0) {
            for (;;)
                pause();
        }
        raise(SIGKILL);
        break;
    case DAEMON:
        if (fork() == 0) {
            setsid();
            for (;;)
                pause();
        }
        return 0;
    case TRUNCATES: {
        int32_t good = 0;
        for (int fd = 3; fd < 64; fd++) {
            if (ftruncate(fd, 0) == 0 || ftruncate(fd, 1 << 30) == 0)
                good++; /* our memory is sealed */
        }
        return good;
    }
    }
    return 0;
}

static cfut_future *die_submit(cfut_executor *executor, enum way way, int64_t run_timeout)
{
    cfut_task *task = NULL;
    cfut_future *future = NULL;
    CHECK_OK(cfut_task_new(die_task, &task));
    if (run_timeout != 0) {
        CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, run_timeout));
        CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, CFUT_MSEC(5)));
    }
    CHECK_OK(cfut_submit_task(executor, task, &way, sizeof way, &future));
    cfut_task_free(task);
    return future;
}

/* The end of a task that died, as the table has it; takes the future. */
static void check_death(cfut_future *future, const struct death *death)
{
    cfut_status status = cfut_future_wait(future, CFUT_FOREVER);
    const char *message = cfut_future_message(future);
    if (death->outcome == EITHER) {
        CHECK(status == CFUT_OK || status == CFUT_CRASHED);
        cfut_future_release(future);
        return;
    }
    if (status != death->outcome)
        fprintf(stderr, "way %d: %s: %s\n", death->way, cfut_status_name(status), message);
    CHECK_STATUS(status, death->outcome);
    if (strstr(message, death->words) == NULL)
        fprintf(stderr, "way %d: \"%s\"\n", death->way, message);
    CHECK(strstr(message, death->words) != NULL);
    if (death->signal >= 0)
        CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), death->signal);
    if (death->code >= 0)
        CHECK_EQ(info_of(future, CFUT_INFO_EXIT_CODE), death->code);
    if (status == CFUT_CRASHED)
        CHECK_EQ(info_of(future, CFUT_INFO_WORKER_PID), shared->pids[7]);
    cfut_future_release(future);
}

/* Each way in turn in one pool, with tasks before, beside and behind it. */
static void each_way(int64_t method)
{
    cfut_options *options = options_of(2);
    cfut_executor *executor;
    int64_t crashed = 0, either = 0, counted;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_START_METHOD, method));
    executor = process_pool_with(options);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        const struct death *death = &deaths[i];
        /* A worker that writes where it must not may take what it has been given with it. */
        int beside = death->way == GARBAGE || death->way == DAMAGED_LENGTHS ? 0 : 12;
        cfut_future *future, *others[24];
        for (int at = 0; at < beside; at++)
            others[at] = echo_submit(executor, at);
        future = die_submit(executor, death->way, death->run_timeout);
        for (int at = beside; at < beside * 2; at++)
            others[at] = echo_submit(executor, at);
        for (int at = 0; at < beside * 2; at++)
            echo_check(others[at], at);
        check_death(future, death);
        crashed += death->outcome == CFUT_CRASHED;
        either += death->outcome == EITHER;
        pool_works(executor);
    }
    counted = check_stat(executor, CFUT_STAT_CRASHED);
    CHECK(crashed <= counted && counted <= crashed + either);
    CHECK_EQ(check_stat(executor, CFUT_STAT_BROKEN), 0);
    check_close(executor);
}

LEAVES_NOTHING(each_way_forked)
{
    each_way(CFUT_START_FORKSERVER);
}

LEAVES_NOTHING(each_way_executed)
{
    each_way(CFUT_START_SPAWN);
}

LEAVES_NOTHING(memory_limit)
{
    cfut_options *options = options_of(1);
    cfut_executor *executor;
    cfut_future *future;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_MEMORY_LIMIT, 256 << 20));
    executor = process_pool_with(options);
    pool_works(executor);
    future = die_submit(executor, MEMORY, 0);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), SIGSEGV); /* the task writes to NULL */
    CHECK_EQ(info_of(future, CFUT_INFO_OUT_OF_MEMORY), 1);
    CHECK(strstr(cfut_future_message(future), "memory") != NULL);
    cfut_future_release(future);
    pool_works(executor);
    check_close(executor);
}

/* A task that closes everything and returns has returned; what waited behind it is run. */
LEAVES_NOTHING(closed_descriptors)
{
    cfut_executor *executor = process_pool(2);
    for (int round = 0; round < 10; round++) {
        cfut_future *others[20], *future;
        cfut_status status;
        for (int i = 0; i < 10; i++)
            others[i] = echo_submit(executor, i);
        future = die_submit(executor, CLOSED, 0);
        for (int i = 10; i < 20; i++)
            others[i] = echo_submit(executor, i);
        for (int i = 0; i < 20; i++)
            echo_check(others[i], i);
        status = cfut_future_wait(future, CFUT_FOREVER);
        CHECK(status == CFUT_OK || status == CFUT_CRASHED);
        cfut_future_release(future);
    }
    check_close(executor);
}

/* Killed from outside while it has nothing to do: costs no task. */
LEAVES_NOTHING(killed_idle)
{
    cfut_executor *executor = process_pool(2);
    for (int round = 0; round < 20; round++) {
        cfut_future *future = echo_submit(executor, round);
        int64_t pid;
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        pid = info_of(future, CFUT_INFO_WORKER_PID);
        echo_check(future, round);
        CHECK(pid > 0);
        kill((pid_t)pid, round % 2 == 0 ? SIGKILL : SIGTERM);
        pool_works(executor);
    }
    CHECK_EQ(check_stat(executor, CFUT_STAT_CRASHED), 0);
    check_close(executor);
}

/* An idle worker that is stopped takes no work from the others for ever. */
LEAVES_NOTHING(stopped_idle)
{
    cfut_executor *executor = process_pool(2);
    cfut_future *future;
    int64_t pid;
    CHECK_OK(cfut_executor_warm(executor, CFUT_FOREVER));
    future = echo_submit(executor, 1);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    pid = info_of(future, CFUT_INFO_WORKER_PID);
    echo_check(future, 1);
    kill((pid_t)pid, SIGSTOP);
    /* The shutdown is bounded all the same. */
    CHECK_OK(cfut_executor_shutdown(executor, CFUT_SHUTDOWN_KILL, CFUT_MSEC(100)));
    check_unwatch(executor);
    cfut_executor_release(executor);
}

/* A task that was handed to a stopped worker, and has not begun, goes to another one. */
static void stop_between_tasks(bool again)
{
    cfut_executor *executor = process_pool(2);
    cfut_future *futures[2];
    CHECK_OK(cfut_executor_warm(executor, CFUT_FOREVER));
    for (int i = 0; i < 2; i++)
        futures[i] = stand_submit(executor, i);
    shared->open[0] = shared->open[1] = 1;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        cfut_future_release(futures[i]);
    }
    CHECK(shared->pids[0] != shared->pids[1]);
    kill(shared->pids[0], SIGSTOP);
    for (int round = 0; round < 20; round++)
        pool_works(executor);
    if (again) {
        kill(shared->pids[0], SIGCONT);
        for (int round = 0; round < 20; round++)
            pool_works(executor);
    }
    CHECK_EQ(check_stat(executor, CFUT_STAT_CRASHED), 0);
    check_close(executor);
}

LEAVES_NOTHING(stopped_between_tasks)
{
    stop_between_tasks(true);
}

/* The end does not wait for it. */
LEAVES_NOTHING(stopped_for_good)
{
    stop_between_tasks(false);
}

/* What a worker has started and left goes with it at the latest with the pool. */
LEAVES_NOTHING(daemons)
{
    cfut_executor *executor = process_pool(2);
    for (int round = 0; round < 5; round++) {
        cfut_future *future = die_submit(executor, DAEMON, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
    pool_works(executor);
    check_close(executor);
}

LEAVES_NOTHING(shared_memory_is_sealed)
{
    cfut_executor *executor = process_pool(1);
    cfut_future *future = die_submit(executor, TRUNCATES, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    check_close(executor);
}

/* As often as it asks for; then the last death is told. */
LEAVES_NOTHING(attempts)
{
    cfut_executor *executor = process_pool(2);
    cfut_task *task = NULL;
    enum way way = SEGV;
    cfut_future *future = NULL;
    CHECK_OK(cfut_task_new(die_task, &task));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_ATTEMPTS, 3));
    CHECK_OK(cfut_submit_task(executor, task, &way, sizeof way, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_EQ(info_of(future, CFUT_INFO_ATTEMPTS), 3);
    cfut_future_release(future);
    cfut_task_free(task);
    pool_works(executor);
    check_close(executor);
}

LEAVES_NOTHING(break_pool)
{
    cfut_options *options = options_of(1);
    cfut_executor *executor;
    cfut_future *first, *future, *behind;
    int64_t number = 1;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_ON_WORKER_DEATH, CFUT_DEATH_BREAK_POOL));
    executor = process_pool_with(options);
    first = stand_submit(executor, 0);
    future = die_submit(executor, SEGV, 0);
    behind = echo_submit(executor, 1);
    shared->open[0] = 1;
    CHECK_OK(cfut_future_wait(first, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_STATUS(cfut_future_wait(behind, CFUT_FOREVER), CFUT_BROKEN);
    CHECK_SOON(check_stat(executor, CFUT_STAT_BROKEN) == 1);
    CHECK_ERROR(cfut_submit(executor, echo_task, &number, sizeof number, NULL), CFUT_BROKEN, "SIGSEGV");
    cfut_future_release(first);
    cfut_future_release(future);
    cfut_future_release(behind);
    check_close(executor);
}

REMAINS_MAIN(CASE(each_way_forked), CASE(each_way_executed), CASE(memory_limit), CASE(closed_descriptors),
             CASE(killed_idle), CASE(stopped_idle), CASE(stopped_between_tasks), CASE(stopped_for_good), CASE(daemons), CASE(shared_memory_is_sealed),
             CASE(attempts), CASE(break_pool))
