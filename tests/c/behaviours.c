/* What tutorials on futures teach, each in as few lines as a user would write. The other half,
 * about pools, is behaviours_pools.c. */
#include "behaviours.h"

#include <poll.h>

/* ---- A2: submit returns at once; wait, then 25 ---- */

static void a02_submit(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_future *future;
    int64_t five = 5, result;
    size_t length;
    CHECK_OK(cfut_submit(pool, square, &five, sizeof five, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    memcpy(&result, cfut_future_bytes(future, &length), sizeof result);
    CHECK_EQ(length, sizeof result);
    CHECK_EQ(result, 25);
    cfut_future_release(future);
    check_close(pool);
}

static void a02_submit_returns_at_once(void)
{
    cfut_executor *pool = check_pool(1);
    gate busy = GATE_CLOSED;
    int64_t five = 5;
    gate_hold(pool, &busy);
    cfut_future *future = submit(pool, square, &five, sizeof five);
    five = 6; /* the task has its own copy */
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING);
    latch_open(&busy.open);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 25);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- A3: as completed ---- */

static int32_t nap(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    memcpy(&n, data, length);
    check_sleep(CFUT_MSEC(10) * n);
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

static void a03_as_completed(void)
{
    cfut_executor *pool = check_pool(3);
    cfut_queue *queue;
    cfut_future *future;
    uint64_t tag;
    int seen[5] = { 0 };
    CHECK_OK(cfut_queue_new(&queue));
    for (int64_t n = 0; n < 5; n++) {
        CHECK_OK(cfut_submit(pool, nap, &n, sizeof n, &future));
        CHECK_OK(cfut_queue_add(queue, future, (uint64_t)n));
        cfut_future_release(future);
    }
    while (cfut_queue_next(queue, CFUT_FOREVER, &future, &tag) == CFUT_OK) {
        CHECK_EQ(integer_of(future), tag);
        seen[tag]++;
        cfut_future_release(future);
    }
    for (int n = 0; n < 5; n++)
        CHECK_EQ(seen[n], 1);
    cfut_queue_release(queue);
    check_close(pool);
}

/* The same with the order given by hand, so that it can be checked. */
static void a03_completion_order(void)
{
    static const uint64_t order[5] = { 1, 0, 2, 4, 3 };
    cfut_executor *pool = check_pool(5);
    gate gates[5] = { GATE_CLOSED, GATE_CLOSED, GATE_CLOSED, GATE_CLOSED, GATE_CLOSED };
    cfut_future *futures[5], *future;
    cfut_queue *queue;
    uint64_t tag;
    CHECK_OK(cfut_queue_new(&queue));
    for (uint64_t n = 0; n < 5; n++) {
        futures[n] = gate_submit(pool, &gates[n]);
        CHECK_OK(cfut_queue_add(queue, futures[n], n));
    }
    for (int i = 0; i < 5; i++) {
        latch_open(&gates[order[i]].open);
        CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &future, &tag));
        CHECK_EQ(tag, order[i]);
        CHECK(future == futures[tag]);
        cfut_future_release(future);
    }
    CHECK_STATUS(cfut_queue_next(queue, CFUT_NOW, &future, &tag), CFUT_END);
    for (int n = 0; n < 5; n++)
        cfut_future_release(futures[n]);
    cfut_queue_release(queue);
    check_close(pool);
}

/* ---- A4: one task fails, the pool goes on ---- */

static void a04_one_failure(void)
{
    one_failure(check_pool(2));
}

/* ---- A5: a wait that ends first, and a task that may not run longer ---- */

static void a05_wait_times_out(void)
{
    cfut_executor *pool = check_pool(2);
    gate slow = GATE_CLOSED;
    cfut_future *future = gate_submit(pool, &slow);
    CHECK_STATUS(cfut_future_wait(future, CFUT_MSEC(10)), CFUT_TIMEOUT);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    latch_open(&slow.open);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    check_close(pool);
}

static void a05_run_time_out(void)
{
    cfut_executor *pool = check_pool(2);
    latch entered = LATCH_CLOSED, *data = &entered;
    cfut_task *task = task_with(obedient_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(10));
    cfut_future *future = submit_once(pool, task, &data, sizeof data);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_FINISHED);
    CHECK(cfut_future_message(future)[0] != '\0');
    cfut_future_release(future);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

/* ---- A9: the states, and callbacks before and after the end ---- */

static void a09_states(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    cfut_future *running = gate_submit(pool, &gate);
    cfut_future *pending = submit_nothing(pool), *cancelled = submit_nothing(pool);
    cfut_future *failing = submit_code(pool, 9);
    CHECK_EQ(cfut_future_state(running), CFUT_STATE_RUNNING);
    CHECK_STATUS(cfut_future_wait(running, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_future_cancel(running, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    CHECK_EQ(cfut_future_state(pending), CFUT_STATE_PENDING);
    CHECK_STATUS(cfut_future_wait(pending, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    CHECK_EQ(cfut_future_state(cancelled), CFUT_STATE_CANCELLED);
    CHECK_STATUS(cfut_future_wait(cancelled, CFUT_NOW), CFUT_CANCELLED);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    latch_open(&gate.open);
    CHECK_OK(cfut_future_wait(running, CFUT_FOREVER));
    CHECK_OK(cfut_future_wait(pending, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(failing, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_state(pending), CFUT_STATE_FINISHED);
    CHECK_EQ(cfut_future_state(failing), CFUT_STATE_FINISHED);
    CHECK_STATUS(cfut_future_cancel(pending, CFUT_CANCEL_KILL), CFUT_TOO_LATE);
    CHECK_STATUS(cfut_future_wait(cancelled, CFUT_FOREVER), CFUT_CANCELLED);
    cfut_future_release(running);
    cfut_future_release(pending);
    cfut_future_release(cancelled);
    cfut_future_release(failing);
    check_close(pool);
}

static void a09_callbacks(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    cfut_future *future = gate_submit(pool, &gate);
    CHECK_OK(cfut_future_on_done(future, NULL, append, "a", NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, append, "b", NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, append, "c", NULL));
    CHECK_TEXT(a09_letters, "");
    latch_open(&gate.open);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_TEXT(a09_letters, "abc");
    CHECK_OK(cfut_future_on_done(future, NULL, append, "d", NULL)); /* here and now */
    CHECK_TEXT(a09_letters, "abcd");
    cfut_future_release(future);
    check_close(pool);
}

/* ---- A11: an outcome for each future, time-outs included ---- */

static void a11_outcome_of_each(void)
{
    cfut_executor *pool = check_pool(4);
    gate slow = GATE_CLOSED;
    cfut_future *fourth = gate_submit(pool, &slow), *third = submit(pool, unlucky, NULL, 0);
    int64_t n = 1;
    cfut_future *first = submit(pool, square, &n, sizeof n);
    CHECK_OK(cfut_future_wait(first, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(third, CFUT_FOREVER), CFUT_FAILED);
    CHECK_TEXT(cfut_future_message(third), "Number 3 is unlucky!");
    CHECK_STATUS(cfut_future_wait(fourth, CFUT_MSEC(2)), CFUT_TIMEOUT);
    latch_open(&slow.open);
    CHECK_OK(cfut_future_wait(fourth, CFUT_FOREVER));
    cfut_future_release(first);
    cfut_future_release(third);
    cfut_future_release(fourth);
    check_close(pool);
}

/* ---- A13: as completed, with a limit for all of it ---- */

static void a13_total_time_out(void)
{
    cfut_executor *pool = check_pool(5);
    gate slow = GATE_CLOSED;
    cfut_future *futures[5], *future;
    cfut_queue *queue;
    cfut_status status;
    size_t finished = 0;
    CHECK_OK(cfut_queue_new(&queue));
    for (int i = 0; i < 5; i++) {
        futures[i] = i < 2 ? gate_submit(pool, &slow) : submit_nothing(pool);
        CHECK_OK(cfut_queue_add(queue, futures[i], (uint64_t)i));
    }
    for (int i = 2; i < 5; i++) /* what can finish has, before the clock starts */
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
    int64_t end = check_now() + CFUT_MSEC(50), left;
    while (left = end - check_now(),
           (status = cfut_queue_next(queue, left > 0 ? left : CFUT_NOW, &future, NULL)) == CFUT_OK) {
        cfut_future_release(future);
        finished++;
    }
    CHECK_STATUS(status, CFUT_TIMEOUT);
    CHECK_EQ(finished, 3);
    uint8_t done[5];
    CHECK_STATUS(cfut_wait_many(futures, 5, CFUT_WAIT_ALL, CFUT_NOW, done, &finished), CFUT_TIMEOUT);
    CHECK_EQ(finished, 3); /* 2 of 5 are unfinished */
    CHECK(!done[0] && !done[1] && done[2] && done[3] && done[4]);
    latch_open(&slow.open);
    for (int i = 0; i < 5; i++)
        CHECK_OK(end_of(futures[i]));
    cfut_queue_release(queue);
    check_close(pool);
}

/* ---- A14: more workers than useful cost little ---- */

static void run_tiny_tasks(cfut_executor *pool)
{
    cfut_future *futures[100];
    for (int64_t n = 0; n < 100; n++)
        futures[n] = submit(pool, square, &n, sizeof n);
    for (int64_t n = 0; n < 100; n++) {
        CHECK_OK(cfut_future_wait(futures[n], CFUT_FOREVER));
        CHECK_EQ(integer_of(futures[n]), n * n);
        cfut_future_release(futures[n]);
    }
}

static void a14_many_workers(void)
{
    cfut_executor *pool = check_pool(100);
    run_tiny_tasks(pool);
    /* What would cost is threads; there are about as many as processors. */
    CHECK(check_stat(pool, CFUT_STAT_WORKERS_STARTED) < 50);
    check_close(pool);
}

static void a14_four_workers(void)
{
    cfut_executor *pool = check_pool(4);
    run_tiny_tasks(pool);
    check_close(pool);
}

static void a14_default_workers(void)
{
    cfut_executor *pool;
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    run_tiny_tasks(check_watch(pool));
    check_close(pool);
}

/* ---- A16: the first of several, then all ---- */

static void a16_any_then_all(void)
{
    cfut_executor *pool = check_pool(4);
    gate slow = GATE_CLOSED, delta = GATE_CLOSED;
    cfut_future *futures[4];
    uint8_t done[4];
    size_t count;
    for (int i = 0; i < 4; i++)
        futures[i] = gate_submit(pool, i == 3 ? &delta : &slow);
    latch_open(&delta.open);
    CHECK_OK(cfut_wait_many(futures, 4, CFUT_WAIT_ANY, CFUT_FOREVER, done, &count));
    CHECK_EQ(count, 1);
    CHECK(!done[0] && !done[1] && !done[2] && done[3]);
    latch_open(&slow.open);
    CHECK_OK(cfut_wait_many(futures, 4, CFUT_WAIT_ALL, CFUT_FOREVER, done, &count));
    CHECK_EQ(count, 4);
    for (int i = 0; i < 4; i++)
        cfut_future_release(futures[i]);
    check_close(pool);
}

/* ---- A17: the first failure ---- */

static void a17_first_failure(void)
{
    cfut_executor *pool = check_pool(2);
    gate slow = GATE_CLOSED, failing = GATE_CLOSED;
    cfut_future *futures[3] = { gate_submit(pool, &slow), gate_submit(pool, &failing), NULL };
    uint8_t done[3];
    size_t count;
    futures[2] = submit_nothing(pool);
    CHECK_OK(cfut_future_cancel(futures[2], CFUT_CANCEL_PENDING));
    /* Cancelled is no failure. */
    CHECK_STATUS(cfut_wait_many(futures, 3, CFUT_WAIT_FIRST_FAILURE, CFUT_MSEC(1), done, &count),
                 CFUT_TIMEOUT);
    CHECK_EQ(count, 1);
    CHECK(done[2]);
    latch_open(&failing.open);
    CHECK_OK(end_of(futures[1]));
    futures[1] = submit_code(pool, 4);
    CHECK_STATUS(cfut_wait_many(futures, 3, CFUT_WAIT_FIRST_FAILURE, CFUT_FOREVER, done, &count),
                 CFUT_FAILED);
    CHECK(!done[0] && done[1] && done[2]);
    latch_open(&slow.open);
    for (int i = 0; i < 3; i++)
        cfut_future_release(futures[i]);
    check_close(pool);
}

/* ---- A18: cancel what has not started ---- */

static void a18_cancel_the_rest(void)
{
    cfut_executor *pool = check_pool(2);
    gate slow = GATE_CLOSED, *data = &slow;
    cfut_future *futures[10];
    int cancelled = 0, good = 0;
    for (int i = 0; i < 2; i++)
        futures[i] = gate_submit(pool, &slow);
    for (int i = 2; i < 10; i++)
        futures[i] = submit(pool, gate_task, &data, sizeof data);
    for (int i = 2; i < 10; i++)
        CHECK_OK(cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING));
    latch_open(&slow.open);
    for (int i = 0; i < 10; i++) {
        cfut_status status = end_of(futures[i]);
        cancelled += status == CFUT_CANCELLED;
        good += status == CFUT_OK;
    }
    CHECK_EQ(cancelled, 8);
    CHECK_EQ(good, 2);
    CHECK_EQ(latch_count(&slow.entered), 2);
    check_close(pool);
}

struct a18_waiter {
    cfut_future *future;
    latch started;
    cfut_status status;
};

static void *a18_wait(void *arg)
{
    struct a18_waiter *waiter = arg;
    latch_open(&waiter->started);
    waiter->status = cfut_future_wait(waiter->future, CFUT_FOREVER);
    return NULL;
}

static void *a18_wait_many(void *arg)
{
    struct a18_waiter *waiter = arg;
    latch_open(&waiter->started);
    waiter->status = cfut_wait_many(&waiter->future, 1, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL);
    return NULL;
}

/* Both workers stay busy throughout: every waiter hears of the cancel at once all the same. */
static void a18_every_kind_of_waiter(void)
{
    cfut_executor *pool = check_pool(2);
    gate slow = GATE_CLOSED;
    gate_hold(pool, &slow);
    gate_hold(pool, &slow);
    cfut_future *future = submit_nothing(pool), *joined, *out;
    struct a18_waiter one = { future, LATCH_CLOSED, CFUT_EINVAL };
    struct a18_waiter many = { future, LATCH_CLOSED, CFUT_EINVAL };
    atomic_int called = 0;
    cfut_queue *queue;
    int fd;
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_queue_fd(queue, &fd));
    CHECK_OK(cfut_queue_add(queue, future, 18));
    CHECK_OK(cfut_join(&future, 1, CFUT_JOIN_ALL, &joined));
    CHECK_OK(cfut_future_on_done(future, NULL, count_done, &called, NULL));
    pthread_t threads[2] = { thread_start(a18_wait, &one), thread_start(a18_wait_many, &many) };
    latch_wait(&one.started);
    latch_wait(&many.started);
    struct pollfd poller = { fd, POLLIN, 0 };
    CHECK_EQ(poll(&poller, 1, 0), 0);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_EQ(called, 1);
    CHECK_EQ(poll(&poller, 1, -1), 1);
    CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &out, NULL));
    CHECK(out == future);
    CHECK_STATUS(cfut_future_wait(joined, CFUT_FOREVER), CFUT_CANCELLED);
    thread_join(threads[0]);
    thread_join(threads[1]);
    CHECK_STATUS(one.status, CFUT_CANCELLED);
    CHECK_STATUS(many.status, CFUT_OK);
    latch_add(&slow.open, 1);
    cfut_future_release(out);
    cfut_future_release(joined);
    cfut_future_release(future);
    cfut_queue_release(queue);
    check_close(pool);
}

/* ---- A1, A6, A8, A12, A19, A25 by map ---- */

static latch a01_entered = LATCH_CLOSED;

/* Stands until four do: fewer at once would never go on. */
static int32_t square_of_four(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    memcpy(&n, data, length);
    latch_open(&a01_entered);
    if (n < 4)
        latch_wait_for(&a01_entered, 4);
    return square(self, data, length);
}

static void a01_map(void)
{
    static const int64_t numbers[6] = { 0, 1, 2, 3, 4, 5 };
    cfut_executor *pool = check_pool(4);
    cfut_map *map = map_of(pool, task_of(square_of_four), numbers, 6);
    for (int64_t n = 0; n < 6; n++)
        CHECK_EQ(next_integer(map), n * n);
    expect_end(map);
    check_close(pool);
}

static void a06_by_map(void)
{
    three_primes_by_map(check_pool(2));
}

static void a08_sums_by_map(void)
{
    sums_by_map(check_pool(2));
}

static void a12_fruits_by_map(void)
{
    fruits_by_map(check_pool(2));
}

static void a19_one_second_for_all(void)
{
    one_second_for_all(check_pool(4));
}

static void a25_endless(void)
{
    hundred_of_endless(check_pool(2));
}

CHECK_MAIN(CASE(a02_submit), CASE(a02_submit_returns_at_once), CASE(a03_as_completed),
           CASE(a03_completion_order), CASE(a04_one_failure), CASE(a05_wait_times_out),
           CASE(a05_run_time_out), CASE(a09_states), CASE(a09_callbacks), CASE(a11_outcome_of_each),
           CASE(a13_total_time_out), CASE(a14_many_workers), CASE(a14_four_workers),
           CASE(a14_default_workers), CASE(a16_any_then_all), CASE(a17_first_failure),
           CASE(a18_cancel_the_rest), CASE(a18_every_kind_of_waiter),
           CASE(a01_map), CASE(a06_by_map), CASE(a08_sums_by_map), CASE(a12_fruits_by_map),
           CASE(a19_one_second_for_all), CASE(a25_endless))
