/* The reading side: state, getters, cancel. */
#include "parts.h"

/* ---- getters ---- */

static void getters_before_the_end(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    size_t length = 9;
    int64_t info = 9;
    CHECK(cfut_future_bytes(future, &length) == NULL);
    CHECK_EQ(length, 0);
    CHECK(cfut_future_value(future) == NULL);
    CHECK(cfut_future_take(future) == NULL);
    CHECK(cfut_future_buffer(future) == NULL);
    CHECK_EQ(cfut_future_code(future), 0);
    CHECK_TEXT(cfut_future_message(future), "");
    CHECK_STATUS(cfut_future_info(future, CFUT_INFO_RUN_NS, &info), CFUT_PENDING);
    CHECK_EQ(info, 9); /* written on CFUT_OK only */
    CHECK_OK(cfut_promise_start(promise));
    CHECK(cfut_future_bytes(future, &length) == NULL);
    CHECK_STATUS(cfut_future_info(future, CFUT_INFO_RUN_NS, &info), CFUT_PENDING);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void getters_where_nothing_is(void)
{
    cfut_future *future = ended(CFUT_CANCELLED);
    size_t length = 9;
    CHECK(cfut_future_bytes(future, &length) == NULL);
    CHECK_EQ(length, 0);
    CHECK(cfut_future_value(future) == NULL);
    CHECK(cfut_future_take(future) == NULL);
    CHECK(cfut_future_buffer(future) == NULL);
    CHECK_EQ(cfut_future_code(future), 0);
    CHECK(cfut_future_message(future) != NULL);
    cfut_future_release(future);
}

static void bytes_without_length(void)
{
    cfut_future *future = ended(CFUT_OK);
    CHECK(memcmp(cfut_future_bytes(future, NULL), "good", 4) == 0);
    CHECK(cfut_future_bytes(future, NULL) == cfut_future_bytes(future, NULL));
    cfut_future_release(future);
}

static void bytes_of_a_buffer_result(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    cfut_buffer *buffer;
    size_t length;
    CHECK_OK(cfut_buffer_new(1000, 0, &buffer));
    memset(cfut_buffer_data(buffer), 'b', 1000);
    CHECK_OK(cfut_promise_set_buffer(promise, buffer));
    cfut_promise_release(promise);
    CHECK(cfut_future_bytes(future, &length) == cfut_buffer_data(buffer));
    CHECK_EQ(length, 1000);
    CHECK(cfut_future_buffer(future) == buffer);
    CHECK(cfut_future_value(future) == NULL);
    cfut_buffer_release(buffer);
    cfut_buffer *kept = cfut_buffer_retain(cfut_future_buffer(future));
    cfut_future_release(future);
    CHECK_EQ(cfut_buffer_size(kept), 1000);
    cfut_buffer_release(kept);
}

static void take_moves_the_value_once(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    atomic_int freed = 0;
    CHECK_OK(cfut_promise_set_value(promise, &freed, count_free));
    cfut_promise_release(promise);
    CHECK(cfut_future_take(future) == &freed);
    CHECK(cfut_future_take(future) == NULL);
    CHECK(cfut_future_value(future) == NULL);
    CHECK_OK(end_of(future));
    CHECK_EQ(freed, 0); /* never after take */
}

struct taker {
    cfut_future *future;
    latch *go;
    void *got;
};

static void *take(void *arg)
{
    struct taker *taker = arg;
    latch_wait(taker->go);
    taker->got = cfut_future_take(taker->future);
    return NULL;
}

static void take_gives_to_one_thread_only(void)
{
    for (int round = 0; round < 50; round++) {
        cfut_promise *promise;
        cfut_future *future = by_hand(&promise);
        atomic_int freed = 0;
        latch go = LATCH_CLOSED;
        struct taker takers[2] = { { future, &go, NULL }, { future, &go, NULL } };
        pthread_t threads[2];
        CHECK_OK(cfut_promise_set_value(promise, &freed, count_free));
        cfut_promise_release(promise);
        for (int i = 0; i < 2; i++)
            threads[i] = thread_start(take, &takers[i]);
        latch_open(&go);
        for (int i = 0; i < 2; i++)
            thread_join(threads[i]);
        CHECK((takers[0].got == &freed) + (takers[1].got == &freed) == 1);
        CHECK((takers[0].got == NULL) + (takers[1].got == NULL) == 1);
        cfut_future_release(future);
        CHECK_EQ(freed, 0);
    }
}

static void info_of_a_task(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    int64_t info;
    cfut_future *first = gate_submit(pool, &gate), *second = submit_nothing(pool);
    check_sleep(CFUT_MSEC(5));
    latch_open(&gate.open);
    CHECK_OK(cfut_future_wait(second, CFUT_FOREVER));
    CHECK_OK(cfut_future_info(first, CFUT_INFO_RUN_NS, &info));
    CHECK(info >= CFUT_MSEC(4)); /* the clock of ticks is calibrated, not exact */
    CHECK_OK(cfut_future_info(second, CFUT_INFO_QUEUED_NS, &info));
    CHECK(info >= CFUT_MSEC(4));
    CHECK_OK(cfut_future_info(second, CFUT_INFO_RUN_NS, &info));
    CHECK(info >= 0);
    CHECK_OK(cfut_future_info(second, CFUT_INFO_ATTEMPTS, &info));
    CHECK_EQ(info, 1);
    cfut_future_release(first);
    cfut_future_release(second);
    check_close(pool);
}

static int32_t sleep_and_fail(cfut_promise *self, const void *data, size_t length)
{
    (void)self, (void)data, (void)length;
    check_sleep(CFUT_MSEC(5));
    return 7;
}

static void info_of_a_task_that_failed(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future = submit(pool, sleep_and_fail, NULL, 0);
    int64_t info;
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_OK(cfut_future_info(future, CFUT_INFO_RUN_NS, &info));
    CHECK(info >= CFUT_MSEC(4));
    cfut_future_release(future);
    check_close(pool);
}

static void info_that_does_not_apply_is_0(void)
{
    static const int32_t keys[] = { CFUT_INFO_WORKER_PID, CFUT_INFO_EXIT_CODE, CFUT_INFO_SIGNAL,
                                    CFUT_INFO_OUT_OF_MEMORY, CFUT_INFO_MAX_RSS };
    cfut_executor *pool = check_pool(1);
    cfut_future *future = submit_nothing(pool), *made = ended(CFUT_OK);
    int64_t info;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        info = 9;
        CHECK_OK(cfut_future_info(future, keys[i], &info));
        CHECK_EQ(info, 0);
    }
    info = 9;
    CHECK_OK(cfut_future_info(made, CFUT_INFO_ATTEMPTS, &info));
    CHECK_EQ(info, 0); /* never started by an executor */
    CHECK_STATUS(cfut_future_info(future, 999, &info), CFUT_ENOTSUP);
    cfut_future_release(made);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- life ---- */

static void released_before_the_end_runs_all_the_same(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    atomic_int ran = 0, *data = &ran;
    gate_hold(pool, &gate);
    for (int i = 0; i < 10; i++)
        cfut_future_release(submit(pool, count_task, &data, sizeof data));
    latch_open(&gate.open);
    check_close(pool);
    CHECK_EQ(ran, 10);
}

static void outlives_its_executor(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_future *future = submit(pool, echo_task, "something longer than a line of memory, to be kept",
                                 51);
    check_close(pool);
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    CHECK_TEXT(cfut_future_bytes(future, NULL),
               "something longer than a line of memory, to be kept");
    cfut_future_release(future);
}

/* ---- cancel ---- */

static void cancel_frees_the_arguments_at_once(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    atomic_int freed = 0;
    cfut_future *future;
    gate_hold(pool, &gate);
    CHECK_OK(cfut_submit_closure(pool, count_closure, &freed, count_free, &future));
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_EQ(freed, 1);
    latch_open(&gate.open);
    cfut_future_release(future);
    check_close(pool);
    CHECK_EQ(freed, 1); /* neither run nor freed again */
}

static void cancel_by_every_mode(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (uint32_t mode = CFUT_CANCEL_PENDING; mode <= CFUT_CANCEL_KILL; mode++) {
        cfut_future *future = submit_nothing(pool);
        CHECK_OK(cfut_future_cancel(future, mode));
        CHECK_OK(cfut_future_cancel(future, mode)); /* twice: OK */
        CHECK_EQ(cfut_future_state(future), CFUT_STATE_CANCELLED);
        CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    }
    latch_open(&gate.open);
    check_close(pool);
}

static void cancel_too_late(void)
{
    cfut_future *good = ended(CFUT_OK), *bad = ended(CFUT_FAILED);
    for (uint32_t mode = CFUT_CANCEL_PENDING; mode <= CFUT_CANCEL_KILL; mode++) {
        CHECK_STATUS(cfut_future_cancel(good, mode), CFUT_TOO_LATE);
        CHECK_STATUS(cfut_future_cancel(bad, mode), CFUT_TOO_LATE);
    }
    CHECK_ERROR(cfut_future_cancel(good, 3), CFUT_EINVAL, "3");
    CHECK_OK(end_of(good));
    CHECK_STATUS(end_of(bad), CFUT_FAILED);
}

CHECK_MAIN(CASE(getters_before_the_end), CASE(getters_where_nothing_is), CASE(bytes_without_length),
           CASE(bytes_of_a_buffer_result), CASE(take_moves_the_value_once),
           CASE(take_gives_to_one_thread_only), CASE(info_of_a_task), CASE(info_of_a_task_that_failed),
           CASE(info_that_does_not_apply_is_0), CASE(released_before_the_end_runs_all_the_same),
           CASE(outlives_its_executor), CASE(cancel_frees_the_arguments_at_once),
           CASE(cancel_by_every_mode), CASE(cancel_too_late))
