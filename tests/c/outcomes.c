/* How tasks end: what they record, what they return, and threads that end in them. */
#include "parts.h"

/* ---- in a task: recorded, settled at its return ---- */

struct script {
    int what;
    int32_t returned;
    gate *gate;
    atomic_int *freed;
};

enum { RECORD_NOTHING, RECORD_BYTES, RECORD_VALUE, RECORD_FAILURE, RECORD_CANCELLED, RECORD_DETAILS };

static int32_t scripted_task(cfut_promise *self, const void *data, size_t length)
{
    struct script script;
    memcpy(&script, data, length);
    switch (script.what) {
    case RECORD_BYTES: CHECK_OK(cfut_promise_set_bytes(self, "good", 4)); break;
    case RECORD_VALUE: CHECK_OK(cfut_promise_set_value(self, script.freed, count_free)); break;
    case RECORD_FAILURE: CHECK_OK(cfut_promise_fail(self, 7, "bad")); break;
    case RECORD_CANCELLED: CHECK_OK(cfut_promise_set_cancelled(self)); break;
    case RECORD_DETAILS: CHECK_OK(cfut_promise_fail_bytes(self, 7, "bad", "details", 7)); break;
    default: break;
    }
    if (script.gate != NULL) {
        latch_open(&script.gate->entered);
        latch_wait(&script.gate->open);
    }
    return script.returned;
}

/* How a task ends that records `what` and returns `returned`. */
static cfut_future *outcome_of(cfut_executor *pool, int what, int32_t returned, atomic_int *freed)
{
    struct script script = { what, returned, NULL, freed };
    cfut_future *future = submit(pool, scripted_task, &script, sizeof script);
    CHECK(cfut_future_wait(future, CFUT_FOREVER) != CFUT_TIMEOUT);
    return future;
}

static void expect(cfut_future *future, cfut_status status, int32_t code, const char *message,
                   const char *bytes)
{
    size_t length;
    const void *result = cfut_future_bytes(future, &length);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), status);
    CHECK_EQ(cfut_future_code(future), code);
    CHECK_TEXT(cfut_future_message(future), message);
    CHECK_EQ(length, strlen(bytes));
    CHECK(length == 0 || memcmp(result, bytes, length) == 0);
    cfut_future_release(future);
}

static void nothing_recorded_is_success(void)
{
    cfut_executor *pool = check_pool(1);
    expect(outcome_of(pool, RECORD_NOTHING, 0, NULL), CFUT_OK, 0, "", "");
    check_close(pool);
}

static void recorded_and_0_returned(void)
{
    cfut_executor *pool = check_pool(1);
    expect(outcome_of(pool, RECORD_BYTES, 0, NULL), CFUT_OK, 0, "", "good");
    expect(outcome_of(pool, RECORD_FAILURE, 0, NULL), CFUT_FAILED, 7, "bad", "");
    expect(outcome_of(pool, RECORD_DETAILS, 0, NULL), CFUT_FAILED, 7, "bad", "details");
    expect(outcome_of(pool, RECORD_CANCELLED, 0, NULL), CFUT_CANCELLED, 0, "", "");
    check_close(pool);
}

static void other_than_0_returned(void)
{
    cfut_executor *pool = check_pool(1);
    expect(outcome_of(pool, RECORD_NOTHING, 12, NULL), CFUT_FAILED, 12, "", "");
    expect(outcome_of(pool, RECORD_NOTHING, -12, NULL), CFUT_FAILED, -12, "", "");
    /* A recorded message is kept, with the code returned. */
    expect(outcome_of(pool, RECORD_FAILURE, 12, NULL), CFUT_FAILED, 12, "bad", "");
    /* A recorded success is not one. */
    cfut_future *future = outcome_of(pool, RECORD_BYTES, 12, NULL);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 12);
    cfut_future_release(future);
    check_close(pool);
}

static void value_dropped_by_a_failure_is_freed_once(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int freed = 0;
    cfut_future *future = outcome_of(pool, RECORD_VALUE, 12, &freed);
    CHECK_STATUS(end_of(future), CFUT_FAILED);
    check_close(pool);
    CHECK_EQ(freed, 1);
}

static void settles_at_the_return_only(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    struct script script = { RECORD_BYTES, 0, &gate, NULL };
    cfut_future *future = submit(pool, scripted_task, &script, sizeof script);
    latch_wait(&gate.entered);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    CHECK(cfut_future_bytes(future, NULL) == NULL);
    latch_open(&gate.open);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    expect(future, CFUT_OK, 0, "", "good");
    check_close(pool);
}

static int32_t record_twice(cfut_promise *self, const void *data, size_t length)
{
    atomic_int *freed;
    memcpy(&freed, data, length);
    CHECK_OK(cfut_promise_set_bytes(self, "first", 5));
    CHECK_STATUS(cfut_promise_set_bytes(self, "second", 6), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_set_value(self, freed, count_free), CFUT_ESTATE);
    CHECK_EQ(*freed, 1);
    CHECK_STATUS(cfut_promise_fail(self, 1, "third"), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_set_cancelled(self), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_start(self), CFUT_ESTATE); /* it runs */
    return 0;
}

static void second_recording_is_refused(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int freed = 0, *data = &freed;
    cfut_future *future = submit(pool, record_twice, &data, sizeof data);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    expect(future, CFUT_OK, 0, "", "first");
    check_close(pool);
}

/* ---- CFUT_DETACH ---- */

static void detached_settles_later(void)
{
    cfut_executor *pool = check_pool(1);
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    cfut_future *future = submit(pool, detach_task, &data, sizeof data);
    latch_wait(&detached.kept);
    CHECK_OK(end_of(submit_nothing(pool))); /* it holds no worker */
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_EQ(cfut_promise_stop_requested(detached.promise), 1);
    CHECK_SOON(check_stat(pool, CFUT_STAT_RUNNING) == 1);
    CHECK_OK(cfut_promise_set_bytes(detached.promise, "late", 4));
    expect(cfut_future_retain(future), CFUT_OK, 0, "", "late"); /* settled by the call */
    CHECK_STATUS(cfut_promise_fail(detached.promise, 1, "no"), CFUT_ESTATE);
    cfut_promise_release(detached.promise);
    cfut_future_release(future);
    check_close(pool);
}

static int32_t detach_for_nothing(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    return CFUT_DETACH;
}

static void detached_without_a_promise_is_broken(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future = submit(pool, detach_for_nothing, NULL, 0);
    expect_promise_released(future);
    check_close(pool);
}

static void detached_and_released_is_broken(void)
{
    cfut_executor *pool = check_pool(1);
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    cfut_future *future = submit(pool, detach_task, &data, sizeof data);
    latch_wait(&detached.kept);
    cfut_promise_release(detached.promise);
    expect_promise_released(future);
    check_close(pool);
}

static void recorded_before_detach_settles_at_the_return(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future = outcome_of(pool, RECORD_BYTES, CFUT_DETACH, NULL);
    expect(future, CFUT_OK, 0, "", "good");
    future = outcome_of(pool, RECORD_FAILURE, CFUT_DETACH, NULL);
    expect(future, CFUT_FAILED, 7, "bad", "");
    check_close(pool);
}

static int32_t retain_and_return(cfut_promise *self, const void *data, size_t length)
{
    cfut_promise **kept;
    memcpy(&kept, data, length);
    *kept = cfut_promise_retain(self);
    return 0;
}

/* A promise may be kept longer than its task; it settles nothing any more. */
static void retained_without_detach(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_promise *kept = NULL, **data = &kept;
    cfut_future *future = submit(pool, retain_and_return, &data, sizeof data);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_STATUS(cfut_promise_set_bytes(kept, "late", 4), CFUT_ESTATE);
    CHECK(cfut_promise_input(kept) == NULL);
    cfut_promise_release(kept);
    expect(future, CFUT_OK, 0, "", "");
    check_close(pool);
}

/* ---- the end of a thread in a task ---- */

static int32_t exit_thread(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
}

static void thread_exit_fails_the_task(void)
{
    cfut_executor *pool = check_pool(1);
    for (int i = 0; i < 3; i++) {
        cfut_future *future = submit(pool, exit_thread, NULL, 0);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
        CHECK(cfut_future_message(future)[0] != '\0');
        cfut_future_release(future);
        CHECK_OK(end_of(submit_nothing(pool))); /* the worker is replaced */
    }
    CHECK(check_stat(pool, CFUT_STAT_WORKERS_STARTED) >= 4);
    check_close(pool);
}

static int32_t cancel_thread(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return 0;
}

static void thread_cancellation_fails_the_task(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future = submit(pool, cancel_thread, NULL, 0);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
    CHECK(cfut_future_message(future)[0] != '\0');
    cfut_future_release(future);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

/* ---- requests to stop ---- */

static void task_agrees_to_stop(void)
{
    cfut_executor *pool = check_pool(1);
    latch entered = LATCH_CLOSED, *data = &entered;
    for (uint32_t mode = CFUT_CANCEL_STOP; mode <= CFUT_CANCEL_KILL; mode++) {
        cfut_future *future = submit(pool, obedient_task, &data, sizeof data);
        latch_wait_for(&entered, (int)mode);
        CHECK_STATUS(cfut_future_cancel(future, mode), CFUT_PENDING);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CANCELLED);
        CHECK_OK(cfut_future_cancel(future, mode));
        cfut_future_release(future);
    }
    check_close(pool);
}

static void task_does_not_heed_the_request(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    cfut_future *future = gate_submit(pool, &gate);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    latch_open(&gate.open);
    CHECK_OK(end_of(future));
    check_close(pool);
}

/* ---- limits ---- */

static int32_t too_much(cfut_promise *self, const void *data, size_t length)
{
    cfut_buffer *buffer;
    (void)data;
    (void)length;
    CHECK_OK(cfut_buffer_new(11, 0, &buffer));
    CHECK_ERROR(cfut_promise_set_bytes(self, "eleven char", 11), CFUT_EFULL, "10");
    CHECK_STATUS(cfut_promise_set_buffer(self, buffer), CFUT_EFULL);
    CHECK_STATUS(cfut_promise_fail_bytes(self, 1, "x", "eleven char", 11), CFUT_EFULL);
    CHECK_OK(cfut_promise_set_bytes(self, "ten chars.", 10));
    cfut_buffer_release(buffer);
    return 0;
}

static void output_limit(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(too_much, CFUT_TASK_OUTPUT_LIMIT, 10);
    cfut_future *future = submit_once(pool, task, NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    expect(future, CFUT_OK, 0, "", "ten chars.");
    check_close(pool);
}

CHECK_MAIN(CASE(nothing_recorded_is_success), CASE(recorded_and_0_returned),
           CASE(other_than_0_returned), CASE(value_dropped_by_a_failure_is_freed_once),
           CASE(settles_at_the_return_only), CASE(second_recording_is_refused),
           CASE(detached_settles_later), CASE(detached_without_a_promise_is_broken),
           CASE(detached_and_released_is_broken),
           CASE(recorded_before_detach_settles_at_the_return), CASE(retained_without_detach),
           CASE(thread_exit_fails_the_task), CASE(thread_cancellation_fails_the_task),
           CASE(task_agrees_to_stop), CASE(task_does_not_heed_the_request), CASE(output_limit))
