/* Which task is started first, and tasks that are given up: queue, run and total time-outs. */
#include "parts.h"

/* ---- priorities ---- */

static void submit_with(cfut_executor *pool, int64_t priority, struct order *order, int number)
{
    struct place place = { order, number };
    cfut_task *task = task_with(note_place, CFUT_TASK_PRIORITY, priority);
    cfut_future_release(submit_once(pool, task, &place, sizeof place));
}

static void higher_is_started_first(void)
{
    cfut_executor *pool = check_pool(1);
    struct order order = NO_ORDER;
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 4; i++) {
        submit_with(pool, -1, &order, -1);
        submit_with(pool, 0, &order, 0);
        submit_with(pool, 1, &order, 1);
    }
    latch_open(&gate.open);
    check_close(pool);
    static const int wanted[12] = { 1, 1, 1, 1, 0, 0, 0, 0, -1, -1, -1, -1 };
    for (int i = 0; i < 12; i++)
        CHECK_EQ(order.seen[i], wanted[i]);
}

static void order_within_a_priority(void)
{
    for (int64_t priority = -1; priority <= 1; priority++) {
        cfut_executor *pool = check_pool(1);
        struct order order = NO_ORDER;
        gate gate = GATE_CLOSED;
        gate_hold(pool, &gate);
        for (int i = 0; i < 100; i++)
            submit_with(pool, priority, &order, i);
        latch_open(&gate.open);
        check_close(pool);
        for (int i = 0; i < 100; i++)
            CHECK_EQ(order.seen[i], i);
    }
}

struct flood {
    int64_t priority;
    atomic_int stop, ran;
};

/* One that has another one like it follow: there is always one. */
static int32_t flood_task(cfut_promise *self, const void *data, size_t length)
{
    struct flood *flood;
    (void)self;
    memcpy(&flood, data, length);
    atomic_fetch_add(&flood->ran, 1);
    if (!atomic_load(&flood->stop)) {
        cfut_task *task = task_with(flood_task, CFUT_TASK_PRIORITY, flood->priority);
        cfut_future_release(submit_once(cfut_executor_current(), task, data, length));
    }
    return 0;
}

/* A low one ends although there is always one of this priority. */
static void expect_no_starvation(int64_t flooding, int64_t starved)
{
    cfut_executor *pool = check_pool(1);
    struct flood flood = { flooding, 0, 0 }, *data = &flood;
    for (int i = 0; i < 4; i++)
        cfut_future_release(submit_once(pool, task_with(flood_task, CFUT_TASK_PRIORITY, flooding),
                                        &data, sizeof data));
    CHECK_SOON(atomic_load(&flood.ran) > 0);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_PRIORITY, starved);
    CHECK_OK(end_of(submit_once(pool, task, NULL, 0)));
    atomic_store(&flood.stop, 1);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER)); /* some may still submit another one */
    check_close(pool);
}

static void low_is_not_starved_by_normal(void)
{
    expect_no_starvation(0, -1);
}

static void equal_is_not_starved_by_nested(void)
{
    for (int64_t priority = -1; priority <= 1; priority++)
        expect_no_starvation(priority, priority);
}

static void priorities_have_a_range(void)
{
    cfut_task *task = task_of(nothing_task);
    CHECK_ERROR(cfut_task_set(task, CFUT_TASK_PRIORITY, 2), CFUT_EINVAL, "CFUT_TASK_PRIORITY");
    CHECK_STATUS(cfut_task_set(task, CFUT_TASK_PRIORITY, -2), CFUT_EINVAL);
    cfut_task_free(task);
}

/* ---- time-outs ---- */

static void queue_time_out_passes(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    atomic_int ran = 0, *data = &ran;
    gate_hold(pool, &gate);
    cfut_task *task = task_with(count_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(5));
    int64_t before = check_now();
    cfut_future *future = submit_once(pool, task, &data, sizeof data);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED); /* the worker is busy */
    CHECK(check_now() - before >= CFUT_MSEC(5));
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_FINISHED);
    CHECK(cfut_future_message(future)[0] != '\0');
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    latch_open(&gate.open);
    cfut_future_release(future);
    check_close(pool);
    CHECK_EQ(ran, 0);
}

static void queue_time_out_ends_with_the_start(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED, *data = &gate;
    cfut_task *task = task_with(gate_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_SEC(50));
    cfut_future *future = submit_once(pool, task, &data, sizeof data);
    latch_wait(&gate.entered);
    CHECK_STATUS(cfut_future_wait(future, CFUT_MSEC(5)), CFUT_TIMEOUT);
    latch_open(&gate.open);
    CHECK_OK(end_of(future));
    check_close(pool);
}

static void queue_time_out_of_0(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, 0);
    CHECK_STATUS(end_of(submit_once(pool, task, NULL, 0)), CFUT_EXPIRED);
    latch_open(&gate.open);
    check_close(pool);
}

struct runner {
    gate gate;
    atomic_int stop_seen, freed;
    cfut_status late;
};

/* Does not heed the stop flag, and answers late. */
static int32_t stubborn_task(cfut_promise *self, const void *data, size_t length)
{
    struct runner *runner;
    memcpy(&runner, data, length);
    latch_open(&runner->gate.entered);
    latch_wait(&runner->gate.open);
    atomic_store(&runner->stop_seen, cfut_promise_stop_requested(self));
    runner->late = cfut_promise_set_value(self, &runner->freed, count_free);
    return 0;
}

static void expire_a_stubborn_one(int32_t key)
{
    cfut_executor *pool = check_pool(1);
    struct runner runner = { GATE_CLOSED, 0, 0, CFUT_OK }, *data = &runner;
    cfut_task *task = task_with(stubborn_task, key, CFUT_MSEC(5));
    cfut_future *future = submit_once(pool, task, &data, sizeof data);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED); /* it still runs */
    latch_open(&runner.gate.open);
    check_close(pool);
    if (latch_count(&runner.gate.entered) == 1) { /* else it expired before its start */
        CHECK_EQ(runner.stop_seen, 1);
        CHECK_EQ(runner.freed, 1); /* the late result is thrown away */
    }
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_EXPIRED);
    CHECK(cfut_future_value(future) == NULL);
    cfut_future_release(future);
}

static void run_time_out_of_a_stubborn_one(void)
{
    expire_a_stubborn_one(CFUT_TASK_RUN_TIMEOUT_NS);
}

static void total_time_out_of_a_stubborn_one(void)
{
    expire_a_stubborn_one(CFUT_TASK_TOTAL_TIMEOUT_NS);
}

static void run_time_out_of_one_that_heeds_it(void)
{
    cfut_executor *pool = check_pool(1);
    latch entered = LATCH_CLOSED, *data = &entered;
    cfut_task *task = task_with(obedient_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(5));
    CHECK_STATUS(end_of(submit_once(pool, task, &data, sizeof data)), CFUT_EXPIRED);
    check_close(pool);
}

static void run_time_out_starts_with_the_run(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(50));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_QUEUE_TIMEOUT_NS, -1)); /* none */
    cfut_future *future = submit_once(pool, task, NULL, 0);
    cfut_future *waits = submit_once(
        pool, task_with(nothing_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(1)), NULL, 0);
    check_sleep(CFUT_MSEC(5));
    CHECK_EQ(cfut_future_state(waits), CFUT_STATE_PENDING); /* queued for longer than that */
    latch_open(&gate.open);
    CHECK_OK(end_of(future));
    cfut_future_release(waits);
    check_close(pool);
}

static void total_time_out_counts_the_queue(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(5));
    CHECK_STATUS(end_of(submit_once(pool, task, NULL, 0)), CFUT_EXPIRED);
    latch_open(&gate.open);
    check_close(pool);
}

static int32_t detach_promise(cfut_promise *self, const void *data, size_t length)
{
    cfut_promise **kept;
    memcpy(&kept, data, length);
    *kept = cfut_promise_retain(self);
    return CFUT_DETACH;
}

static void run_time_out_of_a_detached_one(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_promise *kept = NULL, **data = &kept;
    cfut_task *task = task_with(detach_promise, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(20));
    cfut_future *future = submit_once(pool, task, &data, sizeof data);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED);
    check_close(pool); /* the task has returned by now */
    CHECK_EQ(cfut_promise_stop_requested(kept), 1);
    CHECK_STATUS(cfut_promise_set_bytes(kept, "late", 4), CFUT_ESTATE);
    cfut_promise_release(kept);
    CHECK_STATUS(end_of(future), CFUT_EXPIRED);
}

static void in_time_is_in_time(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_SEC(50));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(50)));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, INT64_MAX));
    for (int i = 0; i < 1000; i++) {
        cfut_future *future;
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
        CHECK_OK(end_of(future));
    }
    cfut_task_free(task);
    int64_t before = check_now();
    check_close(pool); /* and nobody waits for the deadlines */
    CHECK(check_now() - before < CFUT_SEC(40));
}

/* The first one to pass ends it; each of many at its own time. */
static void many_deadlines(void)
{
    enum { MANY = 200 };
    cfut_executor *pool = check_pool(1);
    cfut_future *futures[MANY];
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < MANY; i++) {
        int64_t nanoseconds = CFUT_MSEC((i * 7) % 20 + 1);
        futures[i] = submit_once(
            pool, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, nanoseconds), NULL, 0);
    }
    for (int i = 0; i < MANY; i++)
        CHECK_STATUS(end_of(futures[i]), CFUT_EXPIRED);
    CHECK_SOON(check_stat(pool, CFUT_STAT_EXPIRED) == MANY);
    latch_open(&gate.open);
    check_close(pool);
}

static void time_outs_of_a_batch(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *futures[10];
    int32_t items[10] = { 0 };
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_task *task = task_with(return_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(5));
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], 10, futures));
    cfut_task_free(task);
    for (int i = 0; i < 10; i++)
        CHECK_STATUS(end_of(futures[i]), CFUT_EXPIRED);
    latch_open(&gate.open);
    check_close(pool);
}

static void cancelled_before_its_deadline(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 100; i++) {
        cfut_future *future = submit_once(
            pool, task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(50)), NULL, 0);
        CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
        CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    }
    latch_open(&gate.open);
    check_close(pool);
}

static void callback_of_an_expired_one(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    atomic_int calls = 0;
    gate_hold(pool, &gate);
    cfut_future *future = submit_once(
        pool, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(5)), NULL, 0);
    CHECK_OK(cfut_future_on_done(future, NULL, count_done, &calls, NULL));
    CHECK_SOON(atomic_load(&calls) == 1);
    latch_open(&gate.open);
    CHECK_STATUS(end_of(future), CFUT_EXPIRED);
    check_close(pool);
    CHECK_EQ(calls, 1);
}

static void low_is_not_starved_by_high(void)
{
    expect_no_starvation(1, -1);
}

static void normal_is_not_starved_by_high(void)
{
    expect_no_starvation(1, 0);
}

/* The pool has nothing else left, and does not wait for a deadline that no longer matters. */
static void detached_one_ends_in_time_after_a_shutdown(void)
{
    cfut_executor *pool = check_pool(1);
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    cfut_task *task = task_with(detach_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000));
    cfut_future *future = submit_once(pool, task, &data, sizeof data);
    latch_wait(&detached.kept);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_SOON(check_stat(pool, CFUT_STAT_WORKERS) == 0);
    check_sleep(CFUT_MSEC(5)); /* whoever keeps the time is likely to sleep */
    CHECK_OK(cfut_promise_set_bytes(detached.promise, "x", 1));
    cfut_promise_release(detached.promise);
    CHECK_OK(end_of(future));
    check_close(pool);
}

CHECK_MAIN(CASE(higher_is_started_first), CASE(order_within_a_priority),
           CASE(low_is_not_starved_by_normal), CASE(equal_is_not_starved_by_nested),
           CASE(priorities_have_a_range), CASE(queue_time_out_passes),
           CASE(queue_time_out_ends_with_the_start), CASE(queue_time_out_of_0),
           CASE(run_time_out_of_a_stubborn_one), CASE(total_time_out_of_a_stubborn_one),
           CASE(run_time_out_of_one_that_heeds_it), CASE(run_time_out_starts_with_the_run),
           CASE(total_time_out_counts_the_queue), CASE(run_time_out_of_a_detached_one),
           CASE(in_time_is_in_time), CASE(many_deadlines), CASE(time_outs_of_a_batch),
           CASE(cancelled_before_its_deadline), CASE(callback_of_an_expired_one),
           CASE(low_is_not_starved_by_high), CASE(normal_is_not_starved_by_high),
           CASE(detached_one_ends_in_time_after_a_shutdown))
