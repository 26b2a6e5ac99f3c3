/* One processor: nobody else runs while somebody waits by turning, and each wait must let
 * those go on whom it waits for. The program binds itself. */
#include "check.h"

#include <sched.h>
#include <stdatomic.h>

__attribute__((constructor)) static void use_one(void)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        abort();
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &allowed)) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            if (sched_setaffinity(0, sizeof one, &one) != 0)
                abort();
            return;
        }
    }
}

static void counts_one(void)
{
    CHECK_EQ(cfut_cpu_count(), 1);
}

static cfut_executor *pool;

/* ---- nested ---- */

static int32_t fibonacci(cfut_promise *self, const void *data, size_t length)
{
    int64_t n, parts[2];
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, sizeof n);
    if (n >= 2) {
        cfut_future *futures[2];
        for (int i = 0; i < 2; i++) {
            int64_t less = n - 1 - i;
            CHECK_OK(cfut_submit(pool, fibonacci, &less, sizeof less, &futures[i]));
        }
        for (int i = 0; i < 2; i++) {
            CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
            memcpy(&parts[i], cfut_future_bytes(futures[i], NULL), sizeof parts[i]);
            cfut_future_release(futures[i]);
        }
        n = parts[0] + parts[1];
    }
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

static void nested_waits(void)
{
    for (int workers = 1; workers <= 4; workers++) {
        int64_t n = 15, result;
        cfut_future *future;
        pool = check_pool(workers);
        CHECK_OK(cfut_submit(pool, fibonacci, &n, sizeof n, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        memcpy(&result, cfut_future_bytes(future, NULL), sizeof result);
        CHECK_EQ(result, 610);
        cfut_future_release(future);
        check_close(pool);
    }
}

/* The wait has a time-out, so that another worker has to run it. */
static int32_t waits_with_timeout(cfut_promise *self, const void *data, size_t length)
{
    cfut_future *future;
    (void)data;
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_SEC(1000)));
    cfut_future_release(future);
    return cfut_promise_set_bytes(self, "x", length + 1);
}

static void nested_waits_with_timeout(void)
{
    cfut_future *futures[20];
    pool = check_pool(1);
    for (int i = 0; i < 20; i++)
        CHECK_OK(cfut_submit(pool, waits_with_timeout, NULL, 0, &futures[i]));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        cfut_future_release(futures[i]);
    }
    check_close(pool);
}

/* ---- tasks that turn ---- */

static atomic_bool go_on;

/* Never sleeps and never asks: the other one has to get the processor from it. */
static int32_t turning_task(cfut_promise *self, const void *data, size_t length)
{
    while (!go_on) {
    }
    return nothing_task(self, data, length);
}

static int32_t releasing_task(cfut_promise *self, const void *data, size_t length)
{
    go_on = true;
    return nothing_task(self, data, length);
}

static void host_waits_for_turning_task(void)
{
    cfut_future *future;
    pool = check_pool(1);
    for (int i = 0; i < 5; i++) {
        go_on = false;
        CHECK_OK(cfut_submit(pool, turning_task, NULL, 0, &future));
        CHECK_STATUS(cfut_future_wait(future, CFUT_MSEC(5)), CFUT_TIMEOUT);
        go_on = true;
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
    check_close(pool);
}

/* It blocks nothing that the pool can see, but the one behind it has to be given a worker:
 * told by cfut_blocking_begin(). */
static int32_t declared_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_blocking_begin();
    turning_task(self, data, length);
    cfut_blocking_end();
    return 0;
}

static void turning_task_that_says_so(void)
{
    cfut_future *first, *second;
    pool = check_pool(2);
    CHECK_OK(cfut_submit(pool, declared_task, NULL, 0, &first));
    CHECK_OK(cfut_submit(pool, releasing_task, NULL, 0, &second));
    CHECK_OK(cfut_future_wait(first, CFUT_FOREVER));
    CHECK_OK(cfut_future_wait(second, CFUT_FOREVER));
    cfut_future_release(first);
    cfut_future_release(second);
    check_close(pool);
}

/* Sleeping tasks get more workers than there are processors, though nothing is submitted. */
static void sleeping_tasks_get_workers(void)
{
    gate stage = GATE_CLOSED, *place = &stage;
    pool = check_pool(6);
    for (int i = 0; i < 6; i++)
        CHECK_OK(cfut_submit(pool, gate_task, &place, sizeof place, NULL));
    latch_wait_for(&stage.entered, 6);
    latch_open(&stage.open);
    check_close(pool);
}

static int32_t stoppable_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    while (!cfut_promise_stop_requested(self)) {
    }
    return cfut_promise_set_cancelled(self);
}

static void turning_task_is_stopped(void)
{
    cfut_future *future;
    cfut_task *task;
    pool = check_pool(1);
    CHECK_OK(cfut_submit(pool, stoppable_task, NULL, 0, &future));
    CHECK_SOON(cfut_future_state(future) == CFUT_STATE_RUNNING);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CANCELLED);
    cfut_future_release(future);
    CHECK_OK(cfut_task_new(stoppable_task, &task));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(3)));
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED);
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- hand-overs ---- */

/* Back and forth between two pools and a thread of the host. */
static void hand_overs(void)
{
    cfut_executor *pools[2] = { check_pool(1), check_pool(2) };
    cfut_queue *queue;
    CHECK_OK(cfut_queue_new(&queue));
    for (int i = 0; i < 2000; i++) {
        cfut_future *future, *taken;
        CHECK_OK(cfut_submit(pools[i % 2], nothing_task, NULL, 0, &future));
        if (i % 3 == 0) {
            CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        } else {
            CHECK_OK(cfut_queue_add(queue, future, 0));
            CHECK_OK(cfut_queue_next(queue, i % 3 == 1 ? CFUT_FOREVER : CFUT_SEC(1000), &taken, NULL));
            cfut_future_release(taken);
        }
        cfut_future_release(future);
    }
    cfut_queue_release(queue);
    check_close(pools[0]);
    check_close(pools[1]);
}

typedef struct turn {
    atomic_int next;
    bool wrong;
} turn;

static turn order;

static int32_t ordered_task(cfut_promise *self, const void *data, size_t length)
{
    int number;
    memcpy(&number, data, sizeof number);
    order.wrong |= order.next++ != number;
    return nothing_task(self, data, length);
}

static void one_worker_keeps_the_order(void)
{
    pool = check_pool(1);
    for (int i = 0; i < 5000; i++)
        CHECK_OK(cfut_submit(pool, ordered_task, &i, sizeof i, NULL));
    check_close(pool);
    CHECK_EQ(order.next, 5000);
    CHECK(!order.wrong);
}

static void *submit_thousand(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        cfut_future *future;
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
    return NULL;
}

/* More submitters than workers, a queue of one. */
static void full_queue(void)
{
    cfut_options *options = cfut_options_new();
    pthread_t threads[4];
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 2));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 1));
    pool = check_pool_with(options);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, submit_thousand, NULL), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    check_close(pool);
}

CHECK_MAIN(CASE(counts_one), CASE(nested_waits), CASE(nested_waits_with_timeout),
           CASE(host_waits_for_turning_task), CASE(turning_task_that_says_so),
           CASE(sleeping_tasks_get_workers), CASE(turning_task_is_stopped), CASE(hand_overs),
           CASE(one_worker_keeps_the_order), CASE(full_queue))
