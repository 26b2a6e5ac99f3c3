/* Functions that are called when a future settles: cfut_future_on_done(). */
#include "parts.h"

struct call {
    int calls;
    pthread_t thread;
    cfut_executor *executor;
    latch called;
};

#define NOT_CALLED { 0, 0, NULL, LATCH_CLOSED }

static void note_call(cfut_future *future, void *arg)
{
    struct call *call = arg;
    CHECK(cfut_future_wait(future, CFUT_NOW) != CFUT_TIMEOUT);
    call->calls++;
    call->thread = pthread_self();
    call->executor = cfut_executor_current();
    latch_open(&call->called);
}

static void callback_in_the_settling_thread(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    struct call call = NOT_CALLED;
    CHECK_OK(cfut_future_on_done(future, NULL, note_call, &call, NULL));
    CHECK_EQ(call.calls, 0);
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_EQ(call.calls, 1);
    CHECK(pthread_equal(call.thread, pthread_self()));
    cfut_promise_release(promise);
    cfut_future_release(future);
    CHECK_EQ(call.calls, 1);
}

static void callback_of_a_settled_one_comes_at_once(void)
{
    static const cfut_status ends[] = { CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, CFUT_BROKEN };
    for (int i = 0; i < 4; i++) {
        cfut_future *future = ended(ends[i]);
        struct call call = NOT_CALLED;
        CHECK_OK(cfut_future_on_done(future, NULL, note_call, &call, NULL));
        CHECK_EQ(call.calls, 1);
        CHECK(pthread_equal(call.thread, pthread_self()));
        cfut_future_release(future);
    }
}

static void callback_in_the_worker(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    struct call call = NOT_CALLED;
    cfut_future *future = gate_submit(pool, &gate);
    CHECK_OK(cfut_future_on_done(future, NULL, note_call, &call, NULL));
    latch_open(&gate.open);
    latch_wait(&call.called);
    CHECK(!pthread_equal(call.thread, pthread_self()));
    CHECK(call.executor == pool);
    cfut_future_release(future);
    check_close(pool);
}

static void callback_on_an_executor(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    struct call before = NOT_CALLED, after = NOT_CALLED;
    CHECK_OK(cfut_future_on_done(future, pool, note_call, &before, NULL));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_OK(cfut_future_on_done(future, pool, note_call, &after, NULL));
    latch_wait(&before.called);
    latch_wait(&after.called);
    CHECK(!pthread_equal(before.thread, pthread_self()));
    CHECK(!pthread_equal(after.thread, pthread_self()));
    CHECK(before.executor == pool && after.executor == pool);
    cfut_promise_release(promise);
    cfut_future_release(future);
    check_close(pool);
}

static void callback_on_an_executor_that_is_shut_down(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    struct call before = NOT_CALLED, after = NOT_CALLED;
    CHECK_OK(cfut_future_on_done(future, pool, note_call, &before, NULL));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_EQ(before.calls, 1); /* in the settling thread instead */
    CHECK(pthread_equal(before.thread, pthread_self()));
    CHECK_OK(cfut_future_on_done(future, pool, note_call, &after, NULL));
    CHECK_EQ(after.calls, 1);
    cfut_promise_release(promise);
    cfut_future_release(future);
    check_close(pool);
}

static void callback_on_a_full_executor(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    cfut_executor *pool = check_pool_with(options);
    gate gate = GATE_CLOSED;
    cfut_future *done = ended(CFUT_OK);
    struct call call = NOT_CALLED;
    gate_hold(pool, &gate);
    cfut_future_release(submit_nothing(pool));
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_EFULL);
    CHECK_OK(cfut_future_on_done(done, pool, note_call, &call, NULL)); /* not held up */
    latch_open(&gate.open);
    latch_wait(&call.called);
    cfut_future_release(done);
    check_close(pool);
}

static char letters[16];

static void append_letter(cfut_future *future, void *arg)
{
    (void)future;
    strcat(letters, arg);
}

static void add_more(cfut_future *future, void *arg)
{
    (void)arg;
    strcat(letters, "(");
    CHECK_OK(cfut_future_on_done(future, NULL, append_letter, "c", NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, append_letter, "d", NULL));
    strcat(letters, ")"); /* they do not nest */
}

static void callbacks_added_during_callbacks_run_too(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_future_on_done(future, NULL, append_letter, "a", NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, add_more, NULL, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, append_letter, "b", NULL));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_TEXT(letters, "a()bcd");
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void callback_argument_is_freed_after_the_call(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    atomic_int calls = 0;
    /* Counts calls and frees alike: 2 after both. */
    CHECK_OK(cfut_future_on_done(future, NULL, count_done, &calls, count_free));
    CHECK_EQ(calls, 0);
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_EQ(calls, 2);
    CHECK_STATUS(cfut_future_on_done(future, NULL, NULL, &calls, count_free), CFUT_EINVAL);
    CHECK_EQ(calls, 3); /* moved, also when the call fails */
    CHECK_STATUS(cfut_future_on_done(NULL, NULL, count_done, &calls, count_free), CFUT_EINVAL);
    CHECK_EQ(calls, 4);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void release_it(cfut_future *future, void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    cfut_future_release(future); /* the handle of the thread that set this up */
}

static void callback_may_release_the_future(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    atomic_int calls = 0;
    CHECK_OK(cfut_future_on_done(future, NULL, release_it, &calls, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, count_done, &calls, NULL));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_EQ(calls, 2);
    cfut_promise_release(promise);
}

static void callback_of_a_released_future(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    struct call call = NOT_CALLED;
    cfut_future *future = gate_submit(pool, &gate);
    CHECK_OK(cfut_future_on_done(future, NULL, note_call, &call, NULL));
    cfut_future_release(future);
    latch_open(&gate.open);
    latch_wait(&call.called);
    check_close(pool);
    CHECK_EQ(call.calls, 1);
}

static void callback_runs_in_the_thread_that_cancels(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    struct call call = NOT_CALLED;
    gate_hold(pool, &gate);
    cfut_future *future = submit_nothing(pool);
    CHECK_OK(cfut_future_on_done(future, NULL, note_call, &call, NULL));
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_EQ(call.calls, 1);
    CHECK(pthread_equal(call.thread, pthread_self()));
    latch_open(&gate.open);
    cfut_future_release(future);
    check_close(pool);
}

static void exit_in_callback(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
    pthread_exit(NULL);
}

/* A callback that ends the worker's thread harms neither the pool nor other callbacks. */
static void callback_cannot_harm_a_worker(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    struct call call = NOT_CALLED;
    cfut_future *future = gate_submit(pool, &gate);
    CHECK_OK(cfut_future_on_done(future, NULL, exit_in_callback, NULL, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, note_call, &call, NULL));
    latch_open(&gate.open);
    latch_wait(&call.called);
    CHECK_OK(end_of(future)); /* the task had ended */
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

CHECK_MAIN(CASE(callback_in_the_settling_thread), CASE(callback_of_a_settled_one_comes_at_once),
           CASE(callback_in_the_worker), CASE(callback_on_an_executor),
           CASE(callback_on_an_executor_that_is_shut_down), CASE(callback_on_a_full_executor),
           CASE(callbacks_added_during_callbacks_run_too),
           CASE(callback_argument_is_freed_after_the_call), CASE(callback_may_release_the_future),
           CASE(callback_of_a_released_future), CASE(callback_runs_in_the_thread_that_cancels),
           CASE(callback_cannot_harm_a_worker))
