/* What tutorials on futures teach, each in as few lines as a user would write. */
#include "parts.h"

#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

static int32_t square(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, sizeof n);
    n *= n;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

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
        CHECK_OK(cfut_future_wait(futures[order[i]], CFUT_FOREVER));
    }
    for (int i = 0; i < 5; i++) {
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

static int32_t risky(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    memcpy(&n, data, length);
    if (n == 3)
        return cfut_promise_fail(self, 33, "cannot process 3");
    n *= 10;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

static void a04_one_failure(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_future *futures[5];
    for (int64_t n = 0; n < 5; n++)
        futures[n] = submit(pool, risky, &n, sizeof n);
    for (int64_t n = 0; n < 5; n++) {
        cfut_status status = cfut_future_wait(futures[n], CFUT_FOREVER);
        if (n == 3) {
            CHECK_STATUS(status, CFUT_FAILED);
            CHECK_EQ(cfut_future_code(futures[n]), 33);
            CHECK_TEXT(cfut_future_message(futures[n]), "cannot process 3");
        } else {
            CHECK_OK(status);
            CHECK_EQ(integer_of(futures[n]), 10 * n);
        }
        cfut_future_release(futures[n]);
    }
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
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

static char a09_letters[8];

static void append(cfut_future *future, void *arg)
{
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    strcat(a09_letters, arg);
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

static int32_t unlucky(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_fail(self, 1, "Number 3 is unlucky!");
}

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

/* ---- A20: a failure with its reason ---- */

static int32_t divide(cfut_promise *self, const void *data, size_t length)
{
    int64_t numbers[2];
    memcpy(numbers, data, length);
    if (numbers[1] == 0)
        return cfut_promise_fail(self, 1, "cannot divide by zero");
    numbers[0] /= numbers[1];
    return cfut_promise_set_bytes(self, numbers, sizeof numbers[0]);
}

static void a20_divide(void)
{
    static const int64_t pairs[3][2] = { { 10, 2 }, { 5, 0 }, { 8, 4 } };
    cfut_executor *pool = check_pool(2);
    cfut_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = submit(pool, divide, pairs[i], sizeof pairs[i]);
    CHECK_OK(cfut_future_wait(futures[0], CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(futures[1], CFUT_FOREVER), CFUT_FAILED);
    CHECK_OK(cfut_future_wait(futures[2], CFUT_FOREVER));
    CHECK_EQ(integer_of(futures[0]), 5);
    CHECK_TEXT(cfut_future_message(futures[1]), "cannot divide by zero");
    CHECK_EQ(integer_of(futures[2]), 2);
    for (int i = 0; i < 3; i++)
        cfut_future_release(futures[i]);
    check_close(pool);
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
        run_tiny_tasks(check_pool(4));
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
    CHECK_EQ(a23_initialized, check_stat(pool, CFUT_STAT_WORKERS_STARTED));
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

CHECK_MAIN(CASE(a02_submit), CASE(a02_submit_returns_at_once), CASE(a03_as_completed),
           CASE(a03_completion_order), CASE(a04_one_failure), CASE(a05_wait_times_out),
           CASE(a05_run_time_out), CASE(a09_states), CASE(a09_callbacks), CASE(a11_outcome_of_each),
           CASE(a13_total_time_out), CASE(a14_many_workers), CASE(a14_four_workers),
           CASE(a14_default_workers), CASE(a16_any_then_all), CASE(a17_first_failure),
           CASE(a18_cancel_the_rest), CASE(a18_every_kind_of_waiter), CASE(a20_divide),
           CASE(a21_shutdown_waits), CASE(a21_shutdown_without_waiting),
           CASE(a21_shutdown_cancels_pending), CASE(a21_shutdown_from_a_task),
           CASE(a21_shutdown_twice), CASE(a21_shutdown_while_submitting), CASE(a22_cpu_count),
           CASE(a22_default_workers), CASE(a22_own_number), CASE(a22_under_affinity),
           CASE(a23_initializer), CASE(a23_initializer_that_fails), CASE(a24_one_worker_1000_deep),
           CASE(a24_two_workers_1000_deep), CASE(a24_tree))
