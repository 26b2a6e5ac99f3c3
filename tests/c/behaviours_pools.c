/* What tutorials teach about pools: failures, shutdown, numbers of workers, initializers, tasks
 * that wait for tasks. The other half is behaviours.c. */
#include "behaviours.h"

#include <sched.h>
#include <sys/wait.h>

/* ---- A20: a failure with its reason ---- */

static void a20_divide(void)
{
    divisions(check_pool(2));
}

/* ---- A21: shutdown ---- */

static void a21_shutdown_waits(void)
{
    cfut_executor *pool = check_pool(2);
    atomic_int counter = 0, *data = &counter;
    for (int i = 0; i < 100; i++)
        CHECK_OK(cfut_submit(pool, count_task, &data, sizeof data, NULL));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(counter, 100);
    CHECK_STATUS(cfut_submit(pool, count_task, &data, sizeof data, NULL), CFUT_ESHUTDOWN);
    check_unwatch(pool);
    cfut_executor_release(pool);
}

static void a21_shutdown_without_waiting(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_future *queued = submit_nothing(pool);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    latch_open(&gate.open);
    CHECK_OK(end_of(queued)); /* what was accepted runs */
    check_close(pool);
}

static void a21_shutdown_cancels_pending(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    cfut_future *running = gate_submit(pool, &gate), *queued[8];
    for (int i = 0; i < 8; i++)
        queued[i] = submit_nothing(pool);
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    for (int i = 0; i < 8; i++)
        CHECK_STATUS(end_of(queued[i]), CFUT_CANCELLED);
    latch_open(&gate.open);
    CHECK_OK(end_of(running));
    check_close(pool);
}

static int32_t shut_own_pool(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = cfut_executor_current();
    (void)self;
    (void)data;
    (void)length;
    CHECK_ERROR(cfut_executor_shutdown(pool, 0, CFUT_FOREVER), CFUT_EDEADLK, "CFUT_NOW");
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_MSEC(1)), CFUT_EDEADLK);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    return 0;
}

static void a21_shutdown_from_a_task(void)
{
    cfut_executor *pool = check_pool(2);
    CHECK_OK(end_of(submit(pool, shut_own_pool, NULL, 0)));
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    check_close(pool);
}

static void a21_shutdown_twice(void)
{
    cfut_executor *pool = check_pool(2);
    CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_NOW));
    check_close(pool);
}

struct a21_race {
    cfut_executor *pool;
    atomic_int accepted, refused, ran;
    latch started;
};

static void *a21_submit_until_refused(void *arg)
{
    struct a21_race *race = arg;
    atomic_int *ran = &race->ran;
    latch_open(&race->started);
    for (;;) {
        cfut_status status = cfut_submit(race->pool, count_task, &ran, sizeof ran, NULL);
        if (status == CFUT_ESHUTDOWN)
            return NULL;
        CHECK_OK(status);
        atomic_fetch_add(&race->accepted, 1);
    }
}

static void a21_shutdown_while_submitting(void)
{
    for (int round = 0; round < 20; round++) {
        struct a21_race race = { check_pool(2), 0, 0, 0, LATCH_CLOSED };
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            threads[i] = thread_start(a21_submit_until_refused, &race);
        latch_wait_for(&race.started, 3);
        CHECK_OK(cfut_executor_shutdown(race.pool, 0, CFUT_FOREVER));
        for (int i = 0; i < 3; i++)
            thread_join(threads[i]);
        CHECK_EQ(race.ran, race.accepted); /* accepted or refused, never both, none lost */
        check_close(race.pool);
    }
}

/* ---- A24: tasks that wait for tasks of their own pool ---- */

static int32_t nested(cfut_promise *self, const void *data, size_t length)
{
    int64_t depth, below = 0;
    memcpy(&depth, data, length);
    if (depth > 0) {
        int64_t next = depth - 1;
        cfut_future *future = submit(cfut_executor_current(), nested, &next, sizeof next);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        below = integer_of(future) + 1;
        cfut_future_release(future);
    }
    return cfut_promise_set_bytes(self, &below, sizeof below);
}

static void nest(int64_t workers, int64_t depth)
{
    cfut_executor *pool = check_pool(workers);
    cfut_future *future = submit(pool, nested, &depth, sizeof depth);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), depth);
    cfut_future_release(future);
    check_close(pool);
}

static void a24_one_worker_1000_deep(void)
{
    nest(1, 1000);
}

static void a24_two_workers_1000_deep(void)
{
    nest(2, 1000);
}

/* Each task waits for two: a tree of 2047 on one worker. */
static int32_t tree(cfut_promise *self, const void *data, size_t length)
{
    int64_t depth, sum = 1;
    memcpy(&depth, data, length);
    if (depth > 0) {
        int64_t next = depth - 1;
        cfut_future *sides[2];
        for (int i = 0; i < 2; i++)
            sides[i] = submit(cfut_executor_current(), tree, &next, sizeof next);
        for (int i = 0; i < 2; i++) {
            CHECK_OK(cfut_future_wait(sides[i], CFUT_FOREVER));
            sum += integer_of(sides[i]);
            cfut_future_release(sides[i]);
        }
    }
    return cfut_promise_set_bytes(self, &sum, sizeof sum);
}

static void a24_tree(void)
{
    for (int64_t workers = 1; workers <= 3; workers++) {
        cfut_executor *pool = check_pool(workers);
        int64_t depth = 10;
        cfut_future *future = submit(pool, tree, &depth, sizeof depth);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_EQ(integer_of(future), 2047);
        cfut_future_release(future);
        check_close(pool);
    }
}

/* ---- A22: numbers of workers ---- */

static int affinity_count(void)
{
    cpu_set_t set;
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    return CPU_COUNT(&set);
}

static void a22_cpu_count(void)
{
    uint32_t cpus = cfut_cpu_count();
    CHECK(cpus >= 1);
    CHECK(cpus <= (uint32_t)affinity_count()); /* a quota may leave less */
}

static void a22_default_workers(void)
{
    cfut_executor *pool;
    int64_t wanted = cfut_cpu_count() + 4 < 32 ? cfut_cpu_count() + 4 : 32;
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    check_watch(pool);
    CHECK_EQ(check_stat(pool, CFUT_STAT_MAX_WORKERS), wanted);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0); /* they start when needed */
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), wanted);
    check_close(pool);
}

static void a22_own_number(void)
{
    cfut_executor *pool = check_pool(7);
    CHECK_EQ(check_stat(pool, CFUT_STAT_MAX_WORKERS), 7);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 7);
    check_close(pool);
}

static void a22_under_affinity(void)
{
    pid_t child = fork();
    int status;
    CHECK(child >= 0);
    if (child == 0) {
        cpu_set_t set;
        int cpu = sched_getcpu();
        alarm(60); /* the watchdog is not in this process */
        CPU_ZERO(&set);
        CPU_SET(cpu < 0 ? 0 : cpu, &set);
        CHECK_EQ(sched_setaffinity(0, sizeof set, &set), 0);
        CHECK_EQ(cfut_cpu_count(), 1);
        a22_default_workers();
        nest(4, 10);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

/* ---- A23: initializers ---- */

static _Thread_local int64_t a23_state;
static atomic_int a23_initialized;

static int32_t a23_initialize(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    CHECK_EQ(length, sizeof a23_state);
    CHECK_EQ(a23_state, 0); /* once in each worker */
    memcpy(&a23_state, data, length);
    atomic_fetch_add(&a23_initialized, 1);
    return 0;
}

static int32_t a23_read(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, &a23_state, sizeof a23_state);
}

static void a23_initializer(void)
{
    cfut_options *options = options_of(3);
    cfut_task *task = task_of(a23_initialize);
    int64_t state = 23;
    CHECK_OK(cfut_options_set_initializer(options, task, &state, sizeof state));
    cfut_task_free(task);
    cfut_executor *pool = check_pool_with(options);
    for (int i = 0; i < 50; i++) {
        cfut_future *future = submit(pool, a23_read, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_EQ(integer_of(future), 23);
        cfut_future_release(future);
    }
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(a23_initialized, 3);
    check_close(pool);
}

static int32_t a23_fail(cfut_promise *self, const void *data, size_t length)
{
    gate *gate;
    memcpy(&gate, data, length);
    latch_open(&gate->entered);
    latch_wait(&gate->open);
    return cfut_promise_fail(self, 5, "no licence");
}

static void a23_initializer_that_fails(void)
{
    cfut_options *options = options_of(1);
    cfut_task *task = task_of(a23_fail);
    gate gate = GATE_CLOSED, *data = &gate;
    CHECK_OK(cfut_options_set_initializer(options, task, &data, sizeof data));
    cfut_task_free(task);
    cfut_executor *pool = check_pool_with(options);
    cfut_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = submit_nothing(pool);
    latch_open(&gate.open);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cfut_future_wait(futures[i], CFUT_FOREVER), CFUT_BROKEN);
        CHECK(strstr(cfut_future_message(futures[i]), "no licence") != NULL);
        CHECK_EQ(cfut_future_code(futures[i]), 5);
        cfut_future_release(futures[i]);
    }
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_BROKEN, "no licence");
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 1);
    check_close(pool);
}

CHECK_MAIN(CASE(a20_divide), CASE(a21_shutdown_waits), CASE(a21_shutdown_without_waiting),
           CASE(a21_shutdown_cancels_pending), CASE(a21_shutdown_from_a_task),
           CASE(a21_shutdown_twice), CASE(a21_shutdown_while_submitting), CASE(a22_cpu_count),
           CASE(a22_default_workers), CASE(a22_own_number), CASE(a22_under_affinity),
           CASE(a23_initializer), CASE(a23_initializer_that_fails), CASE(a24_one_worker_1000_deep),
           CASE(a24_two_workers_1000_deep), CASE(a24_tree))
