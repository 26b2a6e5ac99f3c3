/* Waiting: outside of a pool, inside one, and work that blocks outside of the library. */
#include "parts.h"

#include <sched.h>
#include <signal.h>

/* ---- outside ---- */

static void time_out_of_0_only_looks(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    CHECK_OK(cfut_future_wait(future, INT64_MIN)); /* negative: for ever */
    CHECK_OK(cfut_future_wait(future, INT64_MAX));
    CHECK_STATUS(cfut_future_wait(NULL, CFUT_NOW), CFUT_EINVAL);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void time_out_is_not_early(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    for (int i = 0; i < 20; i++) {
        int64_t before = check_now(), wanted = CFUT_USEC(100) * (i + 1);
        CHECK_STATUS(cfut_future_wait(future, wanted), CFUT_TIMEOUT);
        CHECK(check_now() - before >= wanted);
    }
    cfut_promise_release(promise);
    cfut_future_release(future);
}

struct waiter {
    cfut_future *future;
    int64_t timeout;
    latch started;
    cfut_status status;
};

static void *wait_there(void *arg)
{
    struct waiter *waiter = arg;
    latch_open(&waiter->started);
    waiter->status = cfut_future_wait(waiter->future, waiter->timeout);
    return NULL;
}

static void many_threads_wait_for_one(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    struct waiter waiters[16];
    pthread_t threads[16];
    for (int i = 0; i < 16; i++) {
        int64_t timeout = i % 2 == 0 ? CFUT_FOREVER : INT64_MAX;
        waiters[i] = (struct waiter){ future, timeout, LATCH_CLOSED, CFUT_EINVAL };
        threads[i] = thread_start(wait_there, &waiters[i]);
        latch_wait(&waiters[i].started);
    }
    check_sleep(CFUT_MSEC(2));
    CHECK_OK(cfut_promise_fail(promise, 1, NULL));
    for (int i = 0; i < 16; i++) {
        thread_join(threads[i]);
        CHECK_STATUS(waiters[i].status, CFUT_FAILED);
    }
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static atomic_int signals;

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static void waits_go_on_over_signals(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    struct waiter waiter = { future, CFUT_FOREVER, LATCH_CLOSED, CFUT_EINVAL };
    struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART */
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_t thread = thread_start(wait_there, &waiter);
    latch_wait(&waiter.started);
    for (int i = 1; i <= 20; i++) {
        CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
        CHECK_SOON(atomic_load(&signals) == i);
    }
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    thread_join(thread);
    CHECK_OK(waiter.status);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

/* ---- threads outside run nothing, unless they are allowed to ---- */

static int32_t tell_thread(cfut_promise *self, const void *data, size_t length)
{
    pthread_t here = pthread_self();
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, &here, sizeof here);
}

static bool ran_here(cfut_future *future)
{
    pthread_t there;
    memcpy(&there, cfut_future_bytes(future, NULL), sizeof there);
    return pthread_equal(there, pthread_self()) != 0;
}

/* How many of many tasks the waiting thread has run itself. */
static int count_helped(cfut_executor *pool, int64_t timeout, int tries)
{
    int helped = 0;
    for (int i = 0; i < tries; i++) {
        cfut_future *future = submit(pool, tell_thread, NULL, 0);
        CHECK_OK(cfut_future_wait(future, timeout));
        helped += ran_here(future);
        cfut_future_release(future);
    }
    return helped;
}

static void waiters_do_not_help_by_default(void)
{
    cfut_executor *pool = check_pool(2);
    CHECK_EQ(count_helped(pool, CFUT_FOREVER, 2000), 0);
    check_close(pool);
}

static void waiters_help_if_asked(void)
{
    cfut_executor *pool = check_pool_with(options_with(2, CFUT_OPT_WAITERS_HELP, 1));
    int helped = 0;
    while (helped == 0) /* who is faster is chance; in the long run it is the waiter */
        helped = count_helped(pool, CFUT_FOREVER, 100);
    check_close(pool);
}

static void waiters_with_a_time_out_do_not_help(void)
{
    cfut_executor *pool = check_pool_with(options_with(2, CFUT_OPT_WAITERS_HELP, 1));
    CHECK_EQ(count_helped(pool, CFUT_SEC(50), 2000), 0);
    check_close(pool);
}

static int32_t nothing_hook(void *arg, uint32_t worker)
{
    (void)arg;
    (void)worker;
    return 0;
}

static void waiters_do_not_help_with_an_initializer_or_hooks(void)
{
    cfut_options *options = options_with(2, CFUT_OPT_WAITERS_HELP, 1);
    CHECK_OK(cfut_options_set_worker_hooks(options, nothing_hook, NULL, NULL, NULL));
    cfut_executor *pool = check_pool_with(options);
    CHECK_EQ(count_helped(pool, CFUT_FOREVER, 2000), 0);
    check_close(pool);
    options = options_with(2, CFUT_OPT_WAITERS_HELP, 1);
    cfut_task *task = task_of(nothing_task);
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    cfut_task_free(task);
    pool = check_pool_with(options);
    CHECK_EQ(count_helped(pool, CFUT_FOREVER, 2000), 0);
    check_close(pool);
}

/* People use one worker as a lock: no second task runs beside the first. */
static void waiters_help_within_the_number_of_workers(void)
{
    cfut_executor *pool = check_pool_with(options_with(1, CFUT_OPT_WAITERS_HELP, 1));
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_future *future = submit(pool, tell_thread, NULL, 0);
    struct waiter waiter = { future, CFUT_FOREVER, LATCH_CLOSED, CFUT_EINVAL };
    pthread_t thread = thread_start(wait_there, &waiter);
    latch_wait(&waiter.started);
    check_sleep(CFUT_MSEC(10));
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING);
    latch_open(&gate.open);
    thread_join(thread);
    CHECK_OK(waiter.status);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- inside a pool ---- */

static int32_t wait_for_nested(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    cfut_future *future = submit(cfut_executor_current(), tell_thread, NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK(ran_here(future)); /* there is one worker, which claimed it */
    CHECK_EQ(check_stat(cfut_executor_current(), CFUT_STAT_WORKERS_STARTED), 1);
    cfut_future_release(future);
    return 0;
}

static void claim_on_wait(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(end_of(submit(pool, wait_for_nested, NULL, 0)));
    check_close(pool);
}

static int32_t claim_the_middle_one(cfut_promise *self, const void *data, size_t length)
{
    atomic_int before = 0, *counter = &before;
    cfut_executor *pool = cfut_executor_current();
    (void)self;
    (void)data;
    (void)length;
    cfut_future *first = submit(pool, count_task, &counter, sizeof counter);
    cfut_future *middle = submit(pool, tell_thread, NULL, 0);
    cfut_future *last = submit(pool, count_task, &counter, sizeof counter);
    CHECK_OK(cfut_future_wait(middle, CFUT_FOREVER));
    CHECK(ran_here(middle));
    CHECK_EQ(before, 0); /* exactly the awaited one, no other work */
    CHECK_OK(end_of(first));
    CHECK_OK(end_of(last));
    cfut_future_release(middle);
    return 0;
}

static void claim_takes_the_awaited_one_only(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(end_of(submit(pool, claim_the_middle_one, NULL, 0)));
    check_close(pool);
}

static int32_t wait_with_a_time_out(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    cfut_future *future = submit(cfut_executor_current(), tell_thread, NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_SEC(50)));
    CHECK(!ran_here(future)); /* it might take longer than the wait may */
    cfut_future_release(future);
    return 0;
}

static void time_limited_waits_run_nothing(void)
{
    for (int64_t workers = 1; workers <= 2; workers++) {
        cfut_executor *pool = check_pool(workers);
        CHECK_OK(end_of(submit(pool, wait_with_a_time_out, NULL, 0)));
        check_close(pool);
    }
}

struct settle {
    cfut_promise *promise;
    cfut_future *future;
    latch waiting;
};

static int32_t wait_by_hand(cfut_promise *self, const void *data, size_t length)
{
    struct settle *settle;
    (void)self;
    memcpy(&settle, data, length);
    latch_open(&settle->waiting);
    CHECK_OK(cfut_future_wait(settle->future, CFUT_FOREVER));
    return 0;
}

static int32_t settle_by_hand(cfut_promise *self, const void *data, size_t length)
{
    struct settle *settle;
    (void)self;
    memcpy(&settle, data, length);
    return cfut_promise_set_bytes(settle->promise, "x", 1);
}

/* What it waits for is settled by a task that is queued behind it, on one worker. */
static void another_worker_stands_in(void)
{
    cfut_executor *pool = check_pool(1);
    struct settle settle = { NULL, NULL, LATCH_CLOSED }, *data = &settle;
    settle.future = by_hand(&settle.promise);
    cfut_future *waits = submit(pool, wait_by_hand, &data, sizeof data);
    latch_wait(&settle.waiting);
    CHECK_OK(end_of(submit(pool, settle_by_hand, &data, sizeof data)));
    CHECK_OK(end_of(waits));
    cfut_promise_release(settle.promise);
    cfut_future_release(settle.future);
    check_close(pool);
}

static int32_t wait_for_many_nested(cfut_promise *self, const void *data, size_t length)
{
    cfut_future *futures[10];
    cfut_executor *pool = cfut_executor_current();
    (void)self;
    (void)data;
    (void)length;
    for (int i = 0; i < 10; i++)
        futures[i] = submit_nothing(pool);
    CHECK_OK(cfut_wait_many(futures, 10, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL));
    for (int i = 0; i < 10; i++)
        CHECK_OK(end_of(futures[i]));
    return 0;
}

static int32_t read_queue_nested(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = cfut_executor_current();
    cfut_queue *queue;
    (void)self;
    (void)data;
    (void)length;
    CHECK_OK(cfut_queue_new(&queue));
    for (uint64_t i = 0; i < 10; i++) {
        cfut_future *future = submit_nothing(pool);
        CHECK_OK(cfut_queue_add(queue, future, i));
        cfut_future_release(future);
    }
    for (int i = 0; i < 10; i++)
        CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, NULL, NULL));
    CHECK_STATUS(cfut_queue_next(queue, CFUT_FOREVER, NULL, NULL), CFUT_END);
    cfut_queue_release(queue);
    return 0;
}

static int32_t wait_for_joined(cfut_promise *self, const void *data, size_t length)
{
    cfut_future *futures[10], *joined;
    cfut_executor *pool = cfut_executor_current();
    (void)self;
    (void)data;
    (void)length;
    for (int i = 0; i < 10; i++)
        futures[i] = submit_nothing(pool);
    CHECK_OK(cfut_join(futures, 10, CFUT_JOIN_ALL, &joined));
    CHECK_OK(end_of(joined));
    for (int i = 0; i < 10; i++)
        CHECK_OK(end_of(futures[i]));
    return 0;
}

static void every_kind_of_wait_in_a_task(void)
{
    static const cfut_task_fn waits[] = { wait_for_many_nested, read_queue_nested, wait_for_joined };
    for (int64_t workers = 1; workers <= 3; workers++) {
        cfut_executor *pool = check_pool(workers);
        for (int i = 0; i < 3; i++)
            CHECK_OK(end_of(submit(pool, waits[i], NULL, 0)));
        check_close(pool);
    }
}

struct alone {
    atomic_int inside, most;
};

static int32_t alone_task(cfut_promise *self, const void *data, size_t length)
{
    struct alone *alone;
    (void)self;
    memcpy(&alone, data, length);
    for (int i = 0; i < 20; i++) {
        int now = atomic_fetch_add(&alone->inside, 1) + 1;
        if (now > atomic_load(&alone->most))
            atomic_store(&alone->most, now);
        sched_yield();
        atomic_fetch_sub(&alone->inside, 1);
        cfut_future *future = submit_nothing(cfut_executor_current());
        CHECK_OK(cfut_wait_many(&future, 1, CFUT_WAIT_ALL, CFUT_SEC(50), NULL, NULL));
        cfut_future_release(future);
    }
    return 0;
}

/* Also while they wait and others stand in, tasks of one worker never run side by side. */
static void one_worker_is_a_lock(void)
{
    cfut_executor *pool = check_pool(1);
    struct alone alone = { 0, 0 }, *data = &alone;
    cfut_future *futures[20];
    for (int i = 0; i < 20; i++)
        futures[i] = submit(pool, alone_task, &data, sizeof data);
    for (int i = 0; i < 20; i++)
        CHECK_OK(end_of(futures[i]));
    check_close(pool);
    CHECK_EQ(alone.most, 1);
}

/* ---- cfut_blocking_begin, cfut_blocking_end ---- */

static int32_t block_outside(cfut_promise *self, const void *data, size_t length)
{
    gate *gate;
    (void)self;
    memcpy(&gate, data, length);
    cfut_blocking_begin();
    cfut_blocking_begin(); /* nests */
    cfut_blocking_end();
    latch_open(&gate->entered);
    latch_wait(&gate->open); /* opened by a task of the same pool of one */
    cfut_blocking_end();
    return 0;
}

static int32_t open_latch(cfut_promise *self, const void *data, size_t length)
{
    latch *latch;
    (void)self;
    memcpy(&latch, data, length);
    latch_open(latch);
    return 0;
}

static void announced_blocking_lets_another_run(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED, *data = &gate;
    latch *open = &gate.open;
    cfut_future *blocked = submit(pool, block_outside, &data, sizeof data);
    latch_wait(&gate.entered);
    CHECK_OK(end_of(submit(pool, open_latch, &open, sizeof open)));
    CHECK_OK(end_of(blocked));
    for (int i = 0; i < 10; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static int32_t end_without_begin(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    cfut_blocking_end();
    cfut_blocking_end();
    return 0;
}

static void end_that_nothing_began(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_blocking_end(); /* outside of a worker they do nothing */
    cfut_blocking_begin();
    cfut_blocking_end();
    for (int i = 0; i < 5; i++) {
        CHECK_OK(end_of(submit(pool, end_without_begin, NULL, 0)));
        CHECK_OK(end_of(submit_nothing(pool)));
    }
    check_close(pool);
}

static int32_t exit_while_blocking(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    cfut_blocking_begin();
    pthread_exit(NULL);
}

static void thread_that_ends_while_it_blocks(void)
{
    cfut_executor *pool = check_pool(1);
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(end_of(submit(pool, exit_while_blocking, NULL, 0)), CFUT_FAILED);
        CHECK_OK(end_of(submit_nothing(pool)));
    }
    check_close(pool);
}

static int32_t begin_without_end(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    cfut_blocking_begin();
    cfut_blocking_begin();
    return 0;
}

/* The task has returned: it blocks no longer. */
static void begin_that_nothing_ends(void)
{
    cfut_executor *pool = check_pool(1);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(end_of(submit(pool, begin_without_end, NULL, 0)));
        CHECK_OK(end_of(submit_nothing(pool)));
    }
    check_close(pool);
}

CHECK_MAIN(CASE(time_out_of_0_only_looks), CASE(time_out_is_not_early),
           CASE(many_threads_wait_for_one), CASE(waits_go_on_over_signals),
           CASE(waiters_do_not_help_by_default), CASE(waiters_help_if_asked),
           CASE(waiters_with_a_time_out_do_not_help),
           CASE(waiters_do_not_help_with_an_initializer_or_hooks),
           CASE(waiters_help_within_the_number_of_workers), CASE(claim_on_wait),
           CASE(claim_takes_the_awaited_one_only), CASE(time_limited_waits_run_nothing),
           CASE(another_worker_stands_in), CASE(every_kind_of_wait_in_a_task),
           CASE(one_worker_is_a_lock), CASE(announced_blocking_lets_another_run),
           CASE(end_that_nothing_began), CASE(thread_that_ends_while_it_blocks),
           CASE(begin_that_nothing_ends))
