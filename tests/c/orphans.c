/* A host to which the kernel hands orphans: the first process of a container, or a subreaper, as
 * here. Supervisors and keepers of commands are orphans from the beginning, and workers become some
 * when their supervisor dies: none may be left for the host to collect.
 *
 * `wait` without WNOHANG would sleep for one that still runs, so it says what is left for good. */
#define _GNU_SOURCE
#include <cfutures.h>

#include "need.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Answers with the number of its parent, the supervisor. */
static int32_t parent(cfut_promise *promise, const void *data, size_t len)
{
    pid_t pid = getppid();
    (void)data;
    (void)len;
    return cfut_promise_set_bytes(promise, &pid, sizeof pid);
}

static int32_t crash(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise;
    (void)data;
    (void)len;
    raise(SIGKILL);
    return 0;
}

static cfut_status outcome(cfut_future *future)
{
    cfut_status status = cfut_future_wait(future, CFUT_FOREVER);
    cfut_future_release(future);
    return status;
}

static void nothing_is_left(const char *after)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL) == 0) {
        fprintf(stderr, "%s: process %d was left to be collected\n", after, (int)info.si_pid);
        exit(1);
    }
    NEED(errno == ECHILD);
}

static cfut_executor *pool_of_two(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    NEED(cfut_options_set(options, CFUT_OPT_WORKERS, 2) == CFUT_OK);
    NEED(cfut_process_pool_new(options, &pool) == CFUT_OK);
    cfut_options_free(options);
    NEED(cfut_executor_warm(pool, CFUT_FOREVER) == CFUT_OK);
    return pool;
}

static void close_pool(cfut_executor *pool, uint32_t flags)
{
    NEED(cfut_executor_shutdown(pool, flags, flags != 0 ? CFUT_NOW : CFUT_FOREVER) >= 0);
    NEED(cfut_executor_shutdown(pool, flags, CFUT_FOREVER) == CFUT_OK);
    cfut_executor_release(pool);
}

static void pools(void)
{
    for (int round = 0; round < 20; round++) {
        cfut_executor *pool = pool_of_two();
        cfut_future *future;
        NEED(cfut_submit(pool, crash, NULL, 0, &future) == CFUT_OK);
        NEED(outcome(future) == CFUT_CRASHED);
        close_pool(pool, round % 2 == 0 ? 0 : CFUT_SHUTDOWN_KILL);
        nothing_is_left("a pool");
    }
}

static void killed_supervisor(void)
{
    cfut_executor *pool = pool_of_two();
    cfut_future *future;
    pid_t supervisor;
    NEED(cfut_submit(pool, parent, NULL, 0, &future) == CFUT_OK);
    NEED(cfut_future_wait(future, CFUT_FOREVER) == CFUT_OK);
    memcpy(&supervisor, cfut_future_bytes(future, NULL), sizeof supervisor);
    cfut_future_release(future);
    NEED(supervisor > 1 && kill(supervisor, SIGKILL) == 0);
    NEED(cfut_submit(pool, parent, NULL, 0, &future) == CFUT_OK);
    outcome(future); /* in a worker of the next supervisor, or lost with the first */
    close_pool(pool, 0);
    nothing_is_left("a supervisor that was killed");
}

static void commands(void)
{
    cfut_executor *pool;
    cfut_task *task;
    NEED(cfut_thread_pool_new(NULL, &pool) == CFUT_OK);
    NEED(cfut_task_new_command("true", &task) == CFUT_OK);
    for (int n = 0; n < 20; n++) {
        cfut_future *future;
        NEED(cfut_submit_task(pool, task, NULL, 0, &future) == CFUT_OK);
        NEED(outcome(future) == CFUT_OK);
    }
    cfut_task_free(task);
    close_pool(pool, 0);
}

int main(void)
{
    cfut_worker_main();
    alarm(100); /* a watchdog: what is left and runs would be waited for */
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pools();
    killed_supervisor();
    commands();
    return 0;
}
