/* What tutorials on futures teach, with worker processes: the task functions are those of
 * behaviours.c and behaviours_pools.c, and only the line that makes the pool is another one. */
#include "behaviours.h"
#include "processes.h"

#include <poll.h>

/* ---- A1 ---- */

/* Stands until four do: fewer at once would never go on. */
static int32_t square_of_four(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    int64_t n = call.number;
    atomic_fetch_add(&board->gates[0].entered, 1);
    if (n < 4)
        CHECK_SOON(atomic_load(&board->gates[0].entered) >= 4);
    n *= n;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

static void a01_map(void)
{
    cfut_executor *pool = check_process_pool(4);
    struct call calls[6];
    cfut_task *task = task_of(square_of_four);
    cfut_map *map;
    for (int n = 0; n < 6; n++)
        calls[n] = call_of(0, n);
    CHECK_OK(cfut_map_new(pool, task, calls, sizeof calls[0], 6, &map));
    for (int64_t n = 0; n < 6; n++)
        CHECK_EQ(next_integer(map), n * n);
    expect_end(map);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- A2 ---- */

static void a02_submit(void)
{
    cfut_executor *pool = check_process_pool(2);
    int64_t five = 5;
    cfut_future *future = submit(pool, square, &five, sizeof five);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 25);
    CHECK(info_of(future, CFUT_INFO_WORKER_PID) != getpid());
    cfut_future_release(future);
    check_close(pool);
}

static void a02_submit_returns_at_once(void)
{
    cfut_executor *pool = check_process_pool(1);
    int64_t five = 5;
    cfut_future *busy = stand(pool, 0), *future = submit(pool, square, &five, sizeof five);
    five = 6; /* the task has its own copy */
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING);
    open_gate(0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 25);
    CHECK_OK(end_of(busy));
    cfut_future_release(future);
    check_close(pool);
}

/* ---- A3 ---- */

static void a03_completion_order(void)
{
    static const int order[5] = { 1, 0, 2, 4, 3 };
    cfut_executor *pool = check_process_pool(5);
    cfut_future *futures[5], *future;
    cfut_queue *queue;
    uint64_t tag;
    CHECK_OK(cfut_queue_new(&queue));
    for (int n = 0; n < 5; n++) {
        futures[n] = stand(pool, n);
        CHECK_OK(cfut_queue_add(queue, futures[n], (uint64_t)n));
    }
    for (int i = 0; i < 5; i++) {
        open_gate(order[i]);
        CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &future, &tag));
        CHECK_EQ(tag, order[i]);
        CHECK(future == futures[tag]);
        CHECK_EQ(integer_of(future), order[i]);
        cfut_future_release(future);
    }
    CHECK_STATUS(cfut_queue_next(queue, CFUT_NOW, &future, &tag), CFUT_END);
    for (int n = 0; n < 5; n++)
        cfut_future_release(futures[n]);
    cfut_queue_release(queue);
    check_close(pool);
}

/* ---- A4 ---- */

static void a04_one_failure(void)
{
    one_failure(check_process_pool(2));
}

/* ---- A5 ---- */

static void a05_wait_times_out(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *future = stand(pool, 0);
    CHECK_STATUS(cfut_future_wait(future, CFUT_MSEC(10)), CFUT_TIMEOUT);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    open_gate(0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    check_close(pool);
}

/* The task heeds nothing: its worker is killed, and another one goes on. */
static void a05_run_time_out(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_with(stubborn_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(20));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, 0));
    cfut_future *future = submit_call_once(pool, task, 0, 0);
    cfut_future *next = submit(pool, pid_task, NULL, 0);
    entered(0, 1);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_FINISHED);
    CHECK(strstr(cfut_future_message(future), "CFUT_TASK_RUN_TIMEOUT_NS") != NULL);
    gone(board->gates[0].pid);
    CHECK_OK(cfut_future_wait(next, CFUT_FOREVER));
    CHECK(integer_of(next) != board->gates[0].pid);
    CHECK_EQ(check_stat(pool, CFUT_STAT_EXPIRED), 1);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 0);
    cfut_future_release(future);
    cfut_future_release(next);
    check_close(pool);
}

/* ---- A6, A10, A15 ---- */

static void a06_three_primes(void)
{
    static const int64_t numbers[4] = { 112272535095293, 112582705942171, 115280095190773, 15 };
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[4];
    for (int i = 0; i < 4; i++)
        futures[i] = submit(pool, prime_by_trial, &numbers[i], sizeof numbers[i]);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        CHECK_EQ(integer_of(futures[i]), i < 3);
        cfut_future_release(futures[i]);
    }
    check_close(pool);
}

static int32_t count_primes(cfut_promise *self, const void *data, size_t length)
{
    int64_t range[2], found = 0;
    memcpy(range, data, length);
    for (int64_t n = range[0] < 2 ? 2 : range[0]; n < range[1]; n++) {
        int prime = 1;
        for (int64_t d = 2; d * d <= n && prime; d++)
            prime = n % d != 0;
        found += prime;
    }
    return cfut_promise_set_bytes(self, &found, sizeof found);
}

static int64_t count_in_ten_ranges(cfut_executor *pool)
{
    cfut_future *futures[10];
    int64_t sum = 0;
    for (int64_t i = 0; i < 10; i++) {
        int64_t range[2] = { 10000 * i, 10000 * (i + 1) };
        futures[i] = submit(pool, count_primes, range, sizeof range);
    }
    for (int i = 0; i < 10; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        sum += integer_of(futures[i]);
        cfut_future_release(futures[i]);
    }
    check_close(pool);
    return sum;
}

static void a10_the_same_on_threads(void)
{
    CHECK_EQ(count_in_ten_ranges(check_pool(2)), 9592);
    CHECK_EQ(count_in_ten_ranges(check_process_pool(2)), 9592);
}

static int32_t sieve(cfut_promise *self, const void *data, size_t length)
{
    int64_t n, found = 0;
    memcpy(&n, data, length);
    uint8_t *composite = calloc((size_t)n, 1);
    CHECK(composite != NULL);
    for (int64_t i = 2; i < n; i++) {
        found += !composite[i];
        for (int64_t j = i * i; !composite[i] && j < n; j += i)
            composite[j] = 1;
    }
    free(composite);
    return cfut_promise_set_bytes(self, &found, sizeof found);
}

static void a15_sieves(void)
{
    static const int64_t wanted[4] = { 78498, 148933, 216816, 283146 };
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[4];
    for (int64_t i = 0; i < 4; i++) {
        int64_t n = 1000000 * (i + 1);
        futures[i] = submit(pool, sieve, &n, sizeof n);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        CHECK_EQ(integer_of(futures[i]), wanted[i]);
        cfut_future_release(futures[i]);
    }
    check_close(pool);
}

/* ---- A7: the other half is process_unguarded.c ---- */

/* Main goes on in the program only: a worker that came out of the guard would say so here. */
static void a07_guarded_main_runs_once(void)
{
    static const int64_t methods[] = { CFUT_START_FORKSERVER, CFUT_START_SPAWN };
    for (int i = 0; i < 2; i++) {
        cfut_options *options = options_with(2, CFUT_OPT_START_METHOD, methods[i]);
        CHECK_OK(cfut_options_add_worker_env(options, "BEYOND_THE_GUARD", board_name()));
        cfut_executor *pool = check_process_pool_with(options);
        CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
        for (int n = 0; n < 20; n++)
            CHECK_OK(end_of(submit_nothing(pool)));
        CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 2);
        CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 2);
        check_close(pool);
    }
    CHECK_TEXT(board->text, "");
}

/* In main, after the guard. */
static void beyond_the_guard(void)
{
    if (getenv("BEYOND_THE_GUARD") == NULL)
        return;
    struct call call = call_of_name(getenv("BEYOND_THE_GUARD"));
    call_from(&call, sizeof call);
    strcpy(board->text, "a worker's main went on");
    exit(1);
}

/* ---- A9 ---- */

static void a09_states(void)
{
    cfut_executor *pool = check_process_pool(1);
    int32_t nine = 9;
    cfut_future *running = stand(pool, 0);
    cfut_future *pending = submit_nothing(pool), *cancelled = submit_nothing(pool);
    cfut_future *failing = submit(pool, return_task, &nine, sizeof nine);
    CHECK_EQ(cfut_future_state(running), CFUT_STATE_RUNNING);
    CHECK_STATUS(cfut_future_wait(running, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_future_cancel(running, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    CHECK_EQ(cfut_future_state(pending), CFUT_STATE_PENDING);
    CHECK_STATUS(cfut_future_wait(pending, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    CHECK_EQ(cfut_future_state(cancelled), CFUT_STATE_CANCELLED);
    CHECK_STATUS(cfut_future_wait(cancelled, CFUT_NOW), CFUT_CANCELLED);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    open_gate(0);
    CHECK_OK(cfut_future_wait(running, CFUT_FOREVER));
    CHECK_OK(cfut_future_wait(pending, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(failing, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(failing), 9);
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
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = stand(pool, 0);
    CHECK_OK(cfut_future_on_done(future, NULL, append, "a", NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, append, "b", NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, append, "c", NULL));
    CHECK_TEXT(a09_letters, "");
    open_gate(0);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_TEXT(a09_letters, "abc");
    CHECK_OK(cfut_future_on_done(future, NULL, append, "d", NULL)); /* here and now */
    CHECK_TEXT(a09_letters, "abcd");
    cfut_future_release(future);
    check_close(pool);
}

/* ---- A11 ---- */

static void a11_outcome_of_each(void)
{
    cfut_executor *pool = check_process_pool(4);
    cfut_future *fourth = stand(pool, 0), *third = submit(pool, unlucky, NULL, 0);
    int64_t n = 1;
    cfut_future *first = submit(pool, square, &n, sizeof n);
    CHECK_OK(cfut_future_wait(first, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(third, CFUT_FOREVER), CFUT_FAILED);
    CHECK_TEXT(cfut_future_message(third), "Number 3 is unlucky!");
    CHECK_STATUS(cfut_future_wait(fourth, CFUT_MSEC(2)), CFUT_TIMEOUT);
    open_gate(0);
    CHECK_OK(cfut_future_wait(fourth, CFUT_FOREVER));
    cfut_future_release(first);
    cfut_future_release(third);
    cfut_future_release(fourth);
    check_close(pool);
}

/* ---- A6, A8, A12, A19, A25 by map ---- */

static void a06_by_map(void)
{
    three_primes_by_map(check_process_pool(2));
}

static void a08_sums_by_map(void)
{
    sums_by_map(check_process_pool(2));
}

static void a12_fruits_by_map(void)
{
    fruits_by_map(check_process_pool(2));
}

static void a19_one_second_for_all(void)
{
    one_second_for_all(check_process_pool(4));
}

static void a25_endless(void)
{
    hundred_of_endless(check_process_pool(2));
}

/* ---- A16, A17, A18 ---- */

static void a16_any_then_all(void)
{
    cfut_executor *pool = check_process_pool(4);
    cfut_future *futures[4];
    uint8_t done[4];
    size_t count;
    for (int i = 0; i < 4; i++)
        futures[i] = stand(pool, i == 3);
    open_gate(1);
    CHECK_OK(cfut_wait_many(futures, 4, CFUT_WAIT_ANY, CFUT_FOREVER, done, &count));
    CHECK_EQ(count, 1);
    CHECK(!done[0] && !done[1] && !done[2] && done[3]);
    open_gate(0);
    CHECK_OK(cfut_wait_many(futures, 4, CFUT_WAIT_ALL, CFUT_FOREVER, done, &count));
    CHECK_EQ(count, 4);
    for (int i = 0; i < 4; i++)
        cfut_future_release(futures[i]);
    check_close(pool);
}

static void a17_first_failure(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[3] = { stand(pool, 0), stand(pool, 1), NULL };
    int32_t four = 4;
    uint8_t done[3];
    size_t count;
    futures[2] = submit_nothing(pool);
    CHECK_OK(cfut_future_cancel(futures[2], CFUT_CANCEL_PENDING));
    /* Cancelled is no failure. */
    CHECK_STATUS(cfut_wait_many(futures, 3, CFUT_WAIT_FIRST_FAILURE, CFUT_MSEC(1), done, &count),
                 CFUT_TIMEOUT);
    CHECK_EQ(count, 1);
    CHECK(done[2]);
    open_gate(1);
    CHECK_OK(end_of(futures[1]));
    futures[1] = submit(pool, return_task, &four, sizeof four);
    CHECK_STATUS(cfut_wait_many(futures, 3, CFUT_WAIT_FIRST_FAILURE, CFUT_FOREVER, done, &count),
                 CFUT_FAILED);
    CHECK(!done[0] && done[1] && done[2]);
    open_gate(0);
    for (int i = 0; i < 3; i++)
        cfut_future_release(futures[i]);
    check_close(pool);
}

/* A worker has some of them ahead already: they are taken back. */
static void a18_cancel_the_rest(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[10];
    int cancelled = 0, good = 0;
    for (int i = 0; i < 2; i++)
        futures[i] = stand(pool, 0);
    for (int i = 2; i < 10; i++)
        futures[i] = submit_call(pool, stand_task, 0, i);
    for (int i = 2; i < 10; i++)
        CHECK_OK(cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING));
    open_gate(0);
    for (int i = 0; i < 10; i++) {
        cfut_status status = end_of(futures[i]);
        cancelled += status == CFUT_CANCELLED;
        good += status == CFUT_OK;
    }
    CHECK_EQ(cancelled, 8);
    CHECK_EQ(good, 2);
    CHECK_EQ(board->gates[0].entered, 2);
    check_close(pool);
}

struct waiter {
    cfut_future *future;
    latch started;
    cfut_status status;
};

static void *wait_for_one(void *arg)
{
    struct waiter *waiter = arg;
    latch_open(&waiter->started);
    waiter->status = cfut_future_wait(waiter->future, CFUT_FOREVER);
    return NULL;
}

static void *wait_for_many(void *arg)
{
    struct waiter *waiter = arg;
    latch_open(&waiter->started);
    waiter->status = cfut_wait_many(&waiter->future, 1, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL);
    return NULL;
}

/* Both workers stay busy throughout. */
static void a18_every_kind_of_waiter(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *busy[2] = { stand(pool, 0), stand(pool, 0) };
    cfut_future *future = submit_nothing(pool), *joined, *out;
    struct waiter one = { future, LATCH_CLOSED, CFUT_EINVAL };
    struct waiter many = { future, LATCH_CLOSED, CFUT_EINVAL };
    atomic_int called = 0;
    cfut_queue *queue;
    int fd;
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_queue_fd(queue, &fd));
    CHECK_OK(cfut_queue_add(queue, future, 18));
    CHECK_OK(cfut_join(&future, 1, CFUT_JOIN_ALL, &joined));
    CHECK_OK(cfut_future_on_done(future, NULL, count_done, &called, NULL));
    pthread_t threads[2] = { thread_start(wait_for_one, &one), thread_start(wait_for_many, &many) };
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
    open_gate(0);
    CHECK_OK(end_of(busy[0]));
    CHECK_OK(end_of(busy[1]));
    cfut_future_release(out);
    cfut_future_release(joined);
    cfut_future_release(future);
    cfut_queue_release(queue);
    check_close(pool);
}

/* ---- A20 ---- */

static void a20_divide(void)
{
    divisions(check_process_pool(2));
}

/* ---- A21 ---- */

static void a21_shutdown_waits(void)
{
    cfut_executor *pool = check_process_pool(2);
    struct call call = call_of(0, 0);
    for (int i = 0; i < 100; i++)
        CHECK_OK(cfut_submit(pool, see_task, &call, sizeof call, NULL));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(board->count, 100);
    CHECK_STATUS(cfut_submit(pool, see_task, &call, sizeof call, NULL), CFUT_ESHUTDOWN);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0);
    check_close(pool);
}

static void a21_shutdown_without_waiting(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *busy = stand(pool, 0), *queued = submit_nothing(pool);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_OK(end_of(queued)); /* what was accepted runs */
    check_close(pool);
}

static void a21_shutdown_cancels_pending(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *running = stand(pool, 0), *queued[8];
    for (int i = 0; i < 8; i++)
        queued[i] = submit_nothing(pool);
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    for (int i = 0; i < 8; i++)
        CHECK_STATUS(end_of(queued[i]), CFUT_CANCELLED);
    open_gate(0);
    CHECK_OK(end_of(running));
    check_close(pool);
}

static void a21_shutdown_stops_running(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[2];
    for (int i = 0; i < 2; i++)
        futures[i] = submit_call(pool, heed_task, 0, 0);
    entered(0, 2);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_STOP, CFUT_FOREVER));
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(end_of(futures[i]), CFUT_CANCELLED);
    check_close(pool);
}

/* What does not end by itself ends with its worker. */
static void a21_shutdown_kills_busy(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[5];
    for (int i = 0; i < 2; i++)
        futures[i] = submit_call(pool, stubborn_task, i, 0);
    entered(0, 1);
    entered(1, 1);
    for (int i = 2; i < 5; i++)
        futures[i] = submit_nothing(pool);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_KILL, CFUT_MSEC(20)));
    for (int i = 0; i < 5; i++)
        CHECK_STATUS(end_of(futures[i]), CFUT_CANCELLED);
    gone(board->gates[0].pid);
    gone(board->gates[1].pid);
    check_close(pool);
}

static void *open_once_closed(void *pool)
{
    CHECK_SOON(cfut_submit(pool, nothing_task, NULL, 0, NULL) == CFUT_ESHUTDOWN);
    atomic_store(&board->gates[0].open, 1);
    return NULL;
}

/* What ends before the time-out is not killed. */
static void a21_shutdown_kills_at_the_time_out(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit_call(pool, stand_task, 0, 0);
    pthread_t opener;
    entered(0, 1);
    opener = thread_start(open_once_closed, pool);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_KILL, CFUT_SEC(1000)));
    CHECK_OK(end_of(future));
    thread_join(opener);
    check_close(pool);
}

static void a21_shutdown_by_sigterm(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[4];
    for (int i = 0; i < 2; i++)
        futures[i] = submit_call(pool, stubborn_task, i, 0);
    entered(0, 1);
    entered(1, 1);
    for (int i = 2; i < 4; i++)
        futures[i] = submit_nothing(pool);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_TERM, CFUT_FOREVER));
    for (int i = 0; i < 4; i++)
        CHECK_STATUS(end_of(futures[i]), CFUT_CANCELLED);
    gone(board->gates[0].pid);
    check_close(pool);
}

static void a21_shutdown_twice(void)
{
    cfut_executor *pool = check_process_pool(2);
    CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER));
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_KILL, CFUT_NOW));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_NOW));
    check_close(pool);
}

static void a21_shutdown_of_an_idle_pool(void)
{
    cfut_executor *pool = check_process_pool(2);
    CHECK_ERROR(cfut_executor_shutdown(pool, 16, 0), CFUT_EINVAL, "flags 0x10 ");
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 0);
    check_close(pool);
}

/* The handle goes; what was accepted runs all the same. */
static void a21_release_without_shutdown(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *busy = stand(pool, 0), *queued[3];
    for (int i = 0; i < 3; i++)
        queued[i] = submit_call(pool, see_task, 0, i);
    check_unwatch(pool);
    cfut_executor_release(pool);
    open_gate(0);
    CHECK_OK(end_of(busy));
    for (int i = 0; i < 3; i++)
        CHECK_OK(end_of(queued[i]));
    CHECK_EQ(board->count, 3);
    gone(board->gates[0].pid);
}

struct race {
    cfut_executor *pool;
    atomic_int accepted;
    latch started;
};

static void *submit_until_refused(void *arg)
{
    struct race *race = arg;
    struct call call = call_of(0, 0);
    latch_open(&race->started);
    for (;;) {
        cfut_status status = cfut_submit(race->pool, see_task, &call, sizeof call, NULL);
        if (status == CFUT_ESHUTDOWN)
            return NULL;
        CHECK_OK(status);
        atomic_fetch_add(&race->accepted, 1);
    }
}

static void a21_shutdown_while_submitting(void)
{
    int before = 0;
    for (int round = 0; round < 5; round++) {
        struct race race = { check_process_pool(2), 0, LATCH_CLOSED };
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            threads[i] = thread_start(submit_until_refused, &race);
        latch_wait_for(&race.started, 3);
        CHECK_OK(cfut_executor_shutdown(race.pool, 0, CFUT_FOREVER));
        for (int i = 0; i < 3; i++)
            thread_join(threads[i]);
        CHECK_EQ(board->count - before, race.accepted); /* accepted or refused, none lost */
        before = board->count;
        check_close(race.pool);
    }
}

/* ---- A22 ---- */

static void a22_default_workers(void)
{
    cfut_executor *pool;
    CHECK_OK(cfut_process_pool_new(NULL, &pool));
    check_watch(pool);
    CHECK_EQ(check_stat(pool, CFUT_STAT_MAX_WORKERS), cfut_cpu_count());
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0); /* they start when needed */
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), cfut_cpu_count());
    check_close(pool);
}

static void a22_own_number(void)
{
    cfut_executor *pool = check_process_pool(5);
    CHECK_EQ(check_stat(pool, CFUT_STAT_MAX_WORKERS), 5);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 5);
    check_close(pool);
}

/* ---- A23 ---- */

static int64_t a23_state;

static int32_t a23_initialize(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    (void)self;
    CHECK_EQ(a23_state, 0); /* once in each worker */
    a23_state = call.number;
    enter(&call);
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
    struct call call = call_of(0, 23);
    CHECK_OK(cfut_options_set_initializer(options, task, &call, sizeof call));
    cfut_task_free(task);
    cfut_executor *pool = check_process_pool_with(options);
    for (int i = 0; i < 50; i++) {
        cfut_future *future = submit(pool, a23_read, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_EQ(integer_of(future), 23);
        cfut_future_release(future);
    }
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(board->gates[0].entered, 3);
    CHECK_EQ(a23_state, 0); /* not here */
    check_close(pool);
}

static int32_t a23_fail(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    enter(&call);
    CHECK_SOON(atomic_load(&board->gates[call.gate].open));
    return cfut_promise_fail(self, 5, "no licence");
}

static void a23_initializer_that_fails(void)
{
    cfut_options *options = options_of(1);
    cfut_task *task = task_of(a23_fail);
    struct call call = call_of(0, 0);
    CHECK_OK(cfut_options_set_initializer(options, task, &call, sizeof call));
    cfut_task_free(task);
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = submit_nothing(pool);
    open_gate(0);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cfut_future_wait(futures[i], CFUT_FOREVER), CFUT_BROKEN);
        CHECK(strstr(cfut_future_message(futures[i]), "no licence") != NULL);
        CHECK_EQ(cfut_future_code(futures[i]), 5);
        cfut_future_release(futures[i]);
    }
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_BROKEN, "no licence");
    CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN, "no licence");
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 1);
    CHECK_EQ(board->gates[0].entered, 1);
    check_close(pool);
}

CHECK_MAIN_WORKER(
    (beyond_the_guard(), board_make()),
    CASE(a01_map), CASE(a02_submit), CASE(a02_submit_returns_at_once), CASE(a03_completion_order),
    CASE(a04_one_failure), CASE(a05_wait_times_out), CASE(a05_run_time_out), CASE(a06_three_primes),
    CASE(a07_guarded_main_runs_once), CASE(a09_states), CASE(a09_callbacks),
    CASE(a10_the_same_on_threads), CASE(a11_outcome_of_each), CASE(a15_sieves),
    CASE(a16_any_then_all), CASE(a17_first_failure), CASE(a18_cancel_the_rest),
    CASE(a18_every_kind_of_waiter), CASE(a06_by_map), CASE(a08_sums_by_map),
    CASE(a12_fruits_by_map), CASE(a19_one_second_for_all), CASE(a25_endless), CASE(a20_divide), CASE(a21_shutdown_waits),
    CASE(a21_shutdown_without_waiting), CASE(a21_shutdown_cancels_pending),
    CASE(a21_shutdown_stops_running), CASE(a21_shutdown_kills_busy),
    CASE(a21_shutdown_kills_at_the_time_out), CASE(a21_shutdown_by_sigterm),
    CASE(a21_shutdown_twice), CASE(a21_shutdown_of_an_idle_pool),
    CASE(a21_release_without_shutdown), CASE(a21_shutdown_while_submitting),
    CASE(a22_default_workers), CASE(a22_own_number), CASE(a23_initializer),
    CASE(a23_initializer_that_fails))
