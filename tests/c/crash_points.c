/* A process of the pool ends at a named point of the protocol. Needs a library with the feature
 * `fault-injection`; CRASH_POINTS_BUILD tells that it has it.
 */
#include "remains.h"

#include <sys/stat.h>

/* Answers with more than fits a ring: an area of the worker's. */
static int32_t large_task(cfut_promise *self, const void *data, size_t length)
{
    static char bytes[100000];
    memset(bytes, length > 0 ? *(const char *)data : 0, sizeof bytes);
    CHECK_OK(cfut_promise_set_bytes(self, bytes, sizeof bytes));
    return 0;
}

struct point {
    const char *name;
    bool in_supervisor;
    int most_crashed; /* tasks that may be lost, with 2 workers */
    bool seldom; /* not reached by the tasks of every case */
};

static const struct point points[] = {
    { "ready", false, 0, false },      /* a worker, before it says that it is ready */
    { "taken", false, 0, false },      /* it knows its task, whose mark is not set */
    { "started", false, 1, false },    /* the task's mark is set, nothing was called */
    { "returned", false, 1, false },   /* the function has returned */
    { "advanced", false, 1, false },   /* its record is free again */
    { "area", false, 1, false },       /* before the memory of a result is sent */
    { "area-sent", false, 1, false },  /* before the result that names it */
    { "pushed", false, 1, false },     /* the result is in the ring, nobody is told */
    { "shipped", false, 1, false },    /* after it was told */
    { "begin", true, 0, false },       /* a supervisor, before its first word */
    { "loaded", true, 0, false },      /* before it says that it is ready */
    { "fork", true, 2, false },        /* before a worker is made */
    { "forked", true, 2, false },      /* after it, before the host is told */
    { "collected", true, 2, true },    /* before the end of a worker is told */
};

/* At the n-th passage of a point, by a signal (0: exit with a status). */
static void crash_at(const struct point *point, int nth, int number)
{
    char text[64], once[64];
    cfut_options *options = options_of(2);
    cfut_executor *executor;
    cfut_future *futures[60];
    int crashed = 0, stopped = number == SIGSTOP;
    snprintf(text, sizeof text, "%s:%d:%d", point->name, nth, number);
    snprintf(once, sizeof once, "/tmp/cfut-once-%d", (int)getpid());
    unlink(once);
    CHECK_OK(cfut_options_add_worker_env(options, "CFUT_CRASH_AT", text));
    CHECK_OK(cfut_options_add_worker_env(options, "CFUT_CRASH_ONCE", once));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_TASKS_PER_WORKER, 20)); /* ends of workers, too */
    if (stopped)
        CHECK_OK(cfut_options_set(options, CFUT_OPT_START_TIMEOUT_NS, CFUT_MSEC(200)));
    executor = process_pool_with(options);
    for (int i = 0; i < 60; i++) {
        cfut_task *task = NULL;
        char number = (char)i;
        CHECK_OK(cfut_task_new(i % 6 == 5 ? large_task : echo_task, &task));
        if (stopped) {
            CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(300)));
            CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, CFUT_MSEC(5)));
        }
        CHECK_OK(cfut_submit_task(executor, task, &number, 1, &futures[i]));
        cfut_task_free(task);
    }
    for (int i = 0; i < 60; i++) {
        cfut_status status = cfut_future_wait(futures[i], CFUT_FOREVER);
        if (status == CFUT_OK) {
            size_t length;
            const char *bytes = cfut_future_bytes(futures[i], &length);
            CHECK_EQ(length, i % 6 == 5 ? 100000 : 1);
            CHECK_EQ(bytes[0], i);
            CHECK_EQ(bytes[length - 1], i);
        } else {
            if (status != CFUT_CRASHED && !(stopped && status == CFUT_EXPIRED))
                fprintf(stderr, "%s, %d: %s: %s\n", text, i, cfut_status_name(status),
                        cfut_future_message(futures[i]));
            CHECK(status == CFUT_CRASHED || (stopped && status == CFUT_EXPIRED));
            if (status == CFUT_CRASHED && !point->in_supervisor && !stopped) {
                CHECK_EQ(info_of(futures[i], CFUT_INFO_SIGNAL), number);
                CHECK_EQ(info_of(futures[i], CFUT_INFO_EXIT_CODE), number == 0 ? 3 : 0);
                CHECK(info_of(futures[i], CFUT_INFO_WORKER_PID) > 0);
            }
            crashed++;
        }
        cfut_future_release(futures[i]);
    }
    if (crashed > point->most_crashed)
        fprintf(stderr, "%s: %d tasks crashed\n", text, crashed);
    CHECK(crashed <= point->most_crashed);
    CHECK_EQ(check_stat(executor, CFUT_STAT_BROKEN), 0);
    pool_works(executor);
    check_close(executor);
    if (access(once, F_OK) != 0 && !point->seldom && nth == 1) {
        fprintf(stderr, "%s was not reached\n", text);
        CHECK(false);
    }
    unlink(once);
}

static void at_every_point(int number)
{
    int rounds = getenv("CHECK_ROUNDS") != NULL ? atoi(getenv("CHECK_ROUNDS")) : 2;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (number == SIGSTOP && points[i].in_supervisor)
            continue; /* endurance.c has stopped supervisors: they are given five seconds */
        for (int nth = 1; nth <= rounds; nth++)
            crash_at(&points[i], nth, number);
    }
}

LEAVES_NOTHING(killed)
{
    at_every_point(SIGKILL);
}

LEAVES_NOTHING(invalid_access)
{
    at_every_point(SIGSEGV);
}

LEAVES_NOTHING(aborted)
{
    at_every_point(SIGABRT);
}

LEAVES_NOTHING(exits)
{
    at_every_point(0);
}

LEAVES_NOTHING(stopped)
{
    at_every_point(SIGSTOP);
}

/* Each worker becomes ready, and ends before its first task: the pool does not go on for ever. */
LEAVES_NOTHING(no_worker_is_of_use)
{
    cfut_options *options = options_of(2);
    cfut_executor *executor;
    cfut_future *future;
    CHECK_OK(cfut_options_add_worker_env(options, "CFUT_CRASH_AT", "taken:1:6"));
    executor = process_pool_with(options);
    future = echo_submit(executor, 1);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
    CHECK(strstr(cfut_future_message(future), "5 of them ended before they began a task") != NULL);
    CHECK(strstr(cfut_future_message(future), "signal 6") != NULL);
    cfut_future_release(future);
    CHECK_EQ(check_stat(executor, CFUT_STAT_BROKEN), 1);
    check_close(executor);
}

/* One that does begin a task makes up for those that did not. */
LEAVES_NOTHING(some_workers_are_of_use)
{
    cfut_options *options = options_of(1);
    cfut_executor *executor;
    CHECK_OK(cfut_options_add_worker_env(options, "CFUT_CRASH_AT", "taken:3:6"));
    executor = process_pool_with(options);
    for (int i = 0; i < 20; i++)
        echo_check(echo_submit(executor, i), i);
    CHECK_EQ(check_stat(executor, CFUT_STAT_BROKEN), 0);
    CHECK(check_stat(executor, CFUT_STAT_WORKERS_STARTED) > 9);
    check_close(executor);
}

REMAINS_MAIN(CASE(no_worker_is_of_use), CASE(some_workers_are_of_use), CASE(killed), CASE(invalid_access), CASE(aborted), CASE(exits), CASE(stopped))
