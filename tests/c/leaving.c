/* A callback or free function that ends its thread: whatever else was due there is still called,
 * exactly once. */
#include "check.h"

static latch called = LATCH_CLOSED;

static void leave(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
    pthread_exit(NULL);
}

static void leave_while_freeing(void *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

static void note(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
    latch_open(&called);
}

static void *cancel(void *future)
{
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    return NULL;
}

static void cancel_in_a_thread(cfut_future *future)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, cancel, future), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void second_callback_of_a_worker(void)
{
    static gate at = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &at);
    CHECK_OK(cfut_future_on_done(future, NULL, leave, NULL, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, note, NULL, NULL));
    latch_open(&at.open);
    latch_wait(&called);
    cfut_future_release(future);
    check_close(pool);
    CHECK_EQ(latch_count(&called), 1);
}

static void second_callback_of_a_cancel(void)
{
    cfut_promise *promise;
    cfut_future *future;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_future_on_done(future, NULL, leave, NULL, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, note, NULL, NULL));
    cancel_in_a_thread(future);
    CHECK_EQ(latch_count(&called), 1);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void callback_of_another_future(void)
{
    cfut_promise *promise;
    cfut_future *future, *join;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_join(&future, 1, CFUT_JOIN_ANY, &join));
    CHECK_OK(cfut_future_on_done(future, NULL, leave, NULL, NULL));
    CHECK_OK(cfut_future_on_done(join, NULL, note, NULL, NULL));
    cancel_in_a_thread(future);
    CHECK_STATUS(cfut_future_wait(join, CFUT_NOW), CFUT_CANCELLED);
    CHECK_EQ(latch_count(&called), 1);
    cfut_future_release(join);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void callback_after_a_free_function(void)
{
    cfut_promise *promise;
    cfut_future *future;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_future_on_done(future, NULL, note, NULL, leave_while_freeing));
    CHECK_OK(cfut_future_on_done(future, NULL, note, NULL, NULL));
    cancel_in_a_thread(future);
    CHECK_EQ(latch_count(&called), 2);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

CHECK_MAIN(CASE(second_callback_of_a_worker), CASE(second_callback_of_a_cancel),
           CASE(callback_of_another_future), CASE(callback_after_a_free_function))
