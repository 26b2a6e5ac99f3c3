/* Futures made from futures: cfut_future_then() and cfut_future_pipe(). */
#include "parts.h"

/* ---- then ---- */

static int32_t add_one(cfut_promise *self, cfut_future *input, void *arg)
{
    int64_t value;
    (void)arg;
    if (cfut_future_wait(input, CFUT_NOW) != CFUT_OK)
        return cfut_promise_fail(self, cfut_future_code(input) + 1, "passed on");
    value = integer_of(input) + 1;
    return cfut_promise_set_bytes(self, &value, sizeof value);
}

static cfut_future *with_integer(int64_t value, cfut_promise **promise)
{
    cfut_future *future = by_hand(promise);
    CHECK_OK(cfut_promise_set_bytes(*promise, &value, sizeof value));
    return future;
}

static void then_on_an_executor(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *chain[4];
    int64_t one = 1;
    chain[0] = future;
    for (int i = 1; i < 4; i++)
        CHECK_OK(cfut_future_then(chain[i - 1], pool, add_one, NULL, NULL, &chain[i]));
    CHECK_EQ(cfut_future_state(chain[3]), CFUT_STATE_PENDING);
    CHECK_OK(cfut_promise_set_bytes(promise, &one, sizeof one));
    CHECK_OK(cfut_future_wait(chain[3], CFUT_FOREVER));
    CHECK_EQ(integer_of(chain[3]), 4);
    for (int i = 0; i < 4; i++)
        cfut_future_release(chain[i]);
    cfut_promise_release(promise);
    check_close(pool);
}

static void then_in_the_settling_thread(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *then;
    int64_t one = 1;
    CHECK_OK(cfut_future_then(future, NULL, add_one, NULL, NULL, &then));
    CHECK_OK(cfut_promise_set_bytes(promise, &one, sizeof one));
    CHECK_OK(cfut_future_wait(then, CFUT_NOW));
    CHECK_EQ(integer_of(then), 2);
    cfut_future_release(then);
    CHECK_OK(cfut_future_then(future, NULL, add_one, NULL, NULL, &then)); /* settled already */
    CHECK_OK(cfut_future_wait(then, CFUT_NOW));
    CHECK_EQ(integer_of(then), 2);
    cfut_future_release(then);
    cfut_future_release(future);
    cfut_promise_release(promise);
}

static void then_on_an_executor_that_is_shut_down(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *then;
    int64_t one = 1;
    CHECK_OK(cfut_future_then(future, pool, add_one, NULL, NULL, &then));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_promise_set_bytes(promise, &one, sizeof one));
    CHECK_OK(cfut_future_wait(then, CFUT_NOW));
    cfut_future_release(then);
    cfut_future_release(future);
    cfut_promise_release(promise);
    check_close(pool);
}

/* It runs however the input ends, and answers for itself. */
static void then_of_one_that_failed(void)
{
    cfut_future *bad = ended(CFUT_FAILED), *cancelled = ended(CFUT_CANCELLED), *then;
    CHECK_OK(cfut_future_then(bad, NULL, add_one, NULL, NULL, &then));
    CHECK_STATUS(cfut_future_wait(then, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(then), 8);
    CHECK_TEXT(cfut_future_message(then), "passed on");
    cfut_future_release(then);
    CHECK_OK(cfut_future_then(cancelled, NULL, add_one, NULL, NULL, &then));
    CHECK_STATUS(cfut_future_wait(then, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(then), 1);
    cfut_future_release(then);
    cfut_future_release(bad);
    cfut_future_release(cancelled);
}

static void then_cancelled_before_its_input(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *then;
    atomic_int freed = 0;
    CHECK_OK(cfut_future_then(future, NULL, add_one, &freed, count_free, &then));
    CHECK_OK(cfut_future_cancel(then, CFUT_CANCEL_PENDING));
    CHECK_EQ(freed, 1);
    CHECK_STATUS(cfut_future_wait(then, CFUT_NOW), CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING); /* not touched */
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_OK(end_of(future));
    CHECK_STATUS(end_of(then), CFUT_CANCELLED);
    CHECK_EQ(freed, 1);
    cfut_promise_release(promise);
}

static void then_frees_its_argument(void)
{
    cfut_promise *promise;
    cfut_future *future = with_integer(1, &promise), *then;
    atomic_int freed = 0;
    CHECK_OK(cfut_future_then(future, NULL, add_one, &freed, count_free, &then));
    CHECK_EQ(freed, 1);
    cfut_future_release(then);
    CHECK_STATUS(cfut_future_then(future, NULL, NULL, &freed, count_free, &then), CFUT_EINVAL);
    CHECK_EQ(freed, 2);
    CHECK_STATUS(cfut_future_then(future, NULL, add_one, &freed, count_free, NULL), CFUT_EINVAL);
    CHECK_EQ(freed, 3);
    CHECK_STATUS(cfut_future_then(NULL, NULL, add_one, &freed, count_free, &then), CFUT_EINVAL);
    CHECK_EQ(freed, 4);
    cfut_future_release(future);
    cfut_promise_release(promise);
}

static void long_chain_of_then(void)
{
    enum { LENGTH = 20000 };
    cfut_promise *promise;
    cfut_future *last = by_hand(&promise), *next;
    int64_t zero = 0;
    for (int i = 0; i < LENGTH; i++) {
        CHECK_OK(cfut_future_then(last, NULL, add_one, NULL, NULL, &next));
        cfut_future_release(last);
        last = next;
    }
    CHECK_OK(cfut_promise_set_bytes(promise, &zero, sizeof zero)); /* no recursion */
    CHECK_OK(cfut_future_wait(last, CFUT_NOW));
    CHECK_EQ(integer_of(last), LENGTH);
    cfut_future_release(last);
    cfut_promise_release(promise);
}

/* ---- pipe ---- */

static int32_t twice(cfut_promise *self, const void *data, size_t length)
{
    int64_t value = 0;
    CHECK(length == sizeof value || length == 0);
    if (length != 0)
        memcpy(&value, data, length);
    value *= 2;
    return cfut_promise_set_bytes(self, &value, sizeof value);
}

static void pipe_gets_the_bytes(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *first, *second;
    cfut_task *task = task_of(twice);
    int64_t five = 5;
    CHECK_OK(cfut_future_pipe(future, pool, task, &first));
    CHECK_OK(cfut_future_pipe(first, pool, task, &second));
    cfut_task_free(task);
    CHECK_OK(cfut_promise_set_bytes(promise, &five, sizeof five));
    cfut_promise_release(promise);
    CHECK_OK(cfut_future_wait(second, CFUT_FOREVER));
    CHECK_EQ(integer_of(second), 20);
    cfut_future_release(future);
    cfut_future_release(first);
    cfut_future_release(second);
    check_close(pool);
}

static void pipe_of_one_without_bytes(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(twice);
    cfut_future *future = submit_nothing(pool), *piped;
    CHECK_OK(cfut_future_pipe(future, pool, task, &piped));
    CHECK_OK(cfut_future_wait(piped, CFUT_FOREVER));
    CHECK_EQ(integer_of(piped), 0);
    cfut_task_free(task);
    cfut_future_release(future);
    cfut_future_release(piped);
    check_close(pool);
}

static void pipe_passes_other_ends_through(void)
{
    static const cfut_status ends[] = { CFUT_FAILED, CFUT_CANCELLED, CFUT_BROKEN };
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(twice);
    for (int i = 0; i < 3; i++) {
        cfut_future *future = ended(ends[i]), *piped;
        CHECK_OK(cfut_future_pipe(future, pool, task, &piped));
        CHECK_STATUS(cfut_future_wait(piped, CFUT_FOREVER), ends[i]);
        CHECK_EQ(cfut_future_code(piped), cfut_future_code(future));
        CHECK_TEXT(cfut_future_message(piped), cfut_future_message(future));
        CHECK(cfut_future_bytes(piped, NULL) == NULL);
        cfut_future_release(future);
        cfut_future_release(piped);
    }
    cfut_task_free(task);
    check_close(pool);
}

/* ---- pipe: options of the task ---- */

static cfut_future *pipe_once(cfut_future *input, cfut_executor *pool, cfut_task *task)
{
    cfut_future *piped = NULL;
    CHECK_OK(cfut_future_pipe(input, pool, task, &piped));
    cfut_task_free(task);
    return piped;
}

/* Settles a future made by hand, and lets go of both. */
static void give(cfut_future *input, cfut_promise *promise, const void *data, size_t length)
{
    CHECK_OK(cfut_promise_set_bytes(promise, data, length));
    cfut_promise_release(promise);
    cfut_future_release(input);
}

static void expect_expired(cfut_future *piped, const char *key)
{
    CHECK_STATUS(cfut_future_wait(piped, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK(strstr(cfut_future_message(piped), key) != NULL);
    cfut_future_release(piped);
}

static void pipe_is_queued_by_priority(void)
{
    cfut_executor *pool = check_pool(1);
    struct order order = NO_ORDER;
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int priority = -1; priority <= 1; priority++) {
        struct place place = { &order, priority };
        cfut_promise *promise;
        cfut_future *input = by_hand(&promise);
        cfut_task *task = task_with(note_place, CFUT_TASK_PRIORITY, priority);
        cfut_future_release(pipe_once(input, pool, task));
        give(input, promise, &place, sizeof place);
    }
    latch_open(&gate.open);
    check_close(pool);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(order.seen[i], 1 - i);
}

static void pipe_total_time_out_while_it_waits(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int ran = 0, *data = &ran;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise);
    int64_t before = check_now();
    cfut_task *task = task_with(count_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(5));
    expect_expired(pipe_once(input, pool, task), "TOTAL");
    CHECK(check_now() - before >= CFUT_MSEC(5));
    CHECK_EQ(cfut_future_state(input), CFUT_STATE_PENDING); /* not touched */
    give(input, promise, &data, sizeof data);
    check_close(pool);
    CHECK_EQ(ran, 0);
}

static void pipe_total_time_out_in_the_queue(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    cfut_future *input = ended(CFUT_OK);
    gate_hold(pool, &gate);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(5));
    expect_expired(pipe_once(input, pool, task), "TOTAL");
    latch_open(&gate.open);
    cfut_future_release(input);
    check_close(pool);
}

/* The total time-out is from the call, and the first to pass. */
static void pipe_total_time_out_of_one_that_runs(void)
{
    cfut_executor *pool = check_pool(1);
    latch entered = LATCH_CLOSED, *data = &entered;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped;
    cfut_task *task = task_with(obedient_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(50));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(50)));
    piped = pipe_once(input, pool, task);
    check_sleep(CFUT_MSEC(20));
    give(input, promise, &data, sizeof data);
    expect_expired(piped, "TOTAL");
    check_close(pool);
}

static void pipe_queue_time_out_is_from_its_input(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int ran = 0, *data = &ran;
    gate gate = GATE_CLOSED;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped;
    gate_hold(pool, &gate);
    piped = pipe_once(input, pool, task_with(count_task, CFUT_TASK_QUEUE_TIMEOUT_NS, 1));
    CHECK_STATUS(cfut_future_wait(piped, CFUT_MSEC(20)), CFUT_TIMEOUT); /* it is not queued */
    give(input, promise, &data, sizeof data);
    expect_expired(piped, "QUEUE");
    latch_open(&gate.open);
    check_close(pool);
    CHECK_EQ(ran, 0);
}

static void pipe_run_time_out_is_from_its_start(void)
{
    cfut_executor *pool = check_pool(1);
    latch entered = LATCH_CLOSED, *data = &entered;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped;
    piped = pipe_once(input, pool,
                      task_with(obedient_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(5)));
    CHECK_STATUS(cfut_future_wait(piped, CFUT_MSEC(20)), CFUT_TIMEOUT); /* it does not run */
    give(input, promise, &data, sizeof data);
    expect_expired(piped, "RUN");
    check_close(pool);
    CHECK_EQ(latch_count(&entered), 1);
}

static cfut_task *with_far_time_outs(cfut_task_fn fn)
{
    cfut_task *task = task_with(fn, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_SEC(50));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(50)));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(50)));
    return task;
}

static void pipe_in_time(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *bad = ended(CFUT_FAILED), *piped;
    int64_t five = 5;
    piped = pipe_once(input, pool, with_far_time_outs(twice));
    give(input, promise, &five, sizeof five);
    CHECK_OK(cfut_future_wait(piped, CFUT_FOREVER));
    CHECK_EQ(integer_of(piped), 10);
    cfut_future_release(piped);
    CHECK_STATUS(end_of(pipe_once(bad, pool, with_far_time_outs(twice))), CFUT_FAILED);
    cfut_future_release(bad);
    check_close(pool);
}

static void pipe_with_time_outs_is_cancelled(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped;
    piped = pipe_once(input, pool, with_far_time_outs(twice));
    CHECK_OK(cfut_future_cancel(piped, CFUT_CANCEL_PENDING));
    CHECK_STATUS(end_of(piped), CFUT_CANCELLED);
    check_close(pool); /* does not wait for the time-outs */
    give(input, promise, "", 0);
}

/* Nobody is left to keep its time-outs. */
static void expect_end_with_its_pool(uint32_t flags, cfut_status wanted)
{
    cfut_executor *pool = check_pool(1);
    atomic_int told = 0;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped, *none = NULL;
    cfut_task *task = with_far_time_outs(twice);
    piped = pipe_once(input, pool, with_far_time_outs(twice));
    CHECK_OK(cfut_future_on_done(piped, NULL, count_done, &told, NULL));
    CHECK_OK(cfut_executor_shutdown(pool, flags, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(piped, CFUT_NOW), wanted);
    CHECK_SOON(told == 1);
    CHECK_EQ(cfut_future_state(input), CFUT_STATE_PENDING);
    CHECK_STATUS(cfut_future_pipe(input, pool, task, &none), CFUT_ESHUTDOWN);
    CHECK(none == NULL);
    cfut_task_free(task);
    cfut_future_release(piped);
    check_close(pool);
    give(input, promise, "", 0);
}

static void pipe_with_time_outs_ends_with_its_pool(void)
{
    expect_end_with_its_pool(0, CFUT_BROKEN);
    expect_end_with_its_pool(CFUT_SHUTDOWN_CANCEL, CFUT_CANCELLED);
}

/* Its input settles while the pool still works, but takes nothing more. */
static void pipe_with_time_outs_comes_too_late(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped;
    gate_hold(pool, &gate);
    piped = pipe_once(input, pool, with_far_time_outs(twice));
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_future_wait(piped, CFUT_NOW), CFUT_TIMEOUT);
    give(input, promise, "", 0);
    CHECK_STATUS(cfut_future_wait(piped, CFUT_NOW), CFUT_BROKEN);
    CHECK(strstr(cfut_future_message(piped), "time-outs") != NULL);
    cfut_future_release(piped);
    latch_open(&gate.open);
    check_close(pool);
}

enum { PIPED = 8 };

static void *settle_all(void *arg)
{
    cfut_promise **promises = arg;
    for (int i = 0; i < PIPED; i++) {
        CHECK_OK(cfut_promise_set_bytes(promises[i], "", 0));
        cfut_promise_release(promises[i]);
    }
    return NULL;
}

/* Inputs settle while the pool ends, and some are cancelled: each task runs, or is told. */
static void pipes_with_time_outs_meet_the_end(void)
{
    for (int round = 0; round < 300; round++) {
        cfut_executor *pool = check_pool(2);
        cfut_promise *promises[PIPED];
        cfut_future *inputs[PIPED], *piped[PIPED];
        pthread_t settler;
        for (int i = 0; i < PIPED; i++) {
            inputs[i] = by_hand(&promises[i]);
            piped[i] = pipe_once(inputs[i], pool, with_far_time_outs(nothing_task));
        }
        settler = thread_start(settle_all, promises);
        cfut_future_cancel(piped[round % PIPED], CFUT_CANCEL_PENDING);
        CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
        for (int i = 0; i < PIPED; i++) {
            cfut_status status = cfut_future_wait(piped[i], CFUT_FOREVER);
            CHECK(status == CFUT_OK || status == CFUT_BROKEN ||
                  (status == CFUT_CANCELLED && i == round % PIPED));
            cfut_future_release(piped[i]);
        }
        thread_join(settler);
        for (int i = 0; i < PIPED; i++)
            cfut_future_release(inputs[i]);
        check_close(pool);
    }
}

CHECK_MAIN(CASE(then_on_an_executor), CASE(then_in_the_settling_thread),
           CASE(then_on_an_executor_that_is_shut_down), CASE(then_of_one_that_failed),
           CASE(then_cancelled_before_its_input), CASE(then_frees_its_argument),
           CASE(long_chain_of_then), CASE(pipe_gets_the_bytes), CASE(pipe_of_one_without_bytes),
           CASE(pipe_passes_other_ends_through), CASE(pipe_is_queued_by_priority),
           CASE(pipe_total_time_out_while_it_waits), CASE(pipe_total_time_out_in_the_queue),
           CASE(pipe_total_time_out_of_one_that_runs), CASE(pipe_queue_time_out_is_from_its_input),
           CASE(pipe_run_time_out_is_from_its_start), CASE(pipe_in_time),
           CASE(pipe_with_time_outs_is_cancelled), CASE(pipe_with_time_outs_ends_with_its_pool),
           CASE(pipe_with_time_outs_comes_too_late), CASE(pipes_with_time_outs_meet_the_end))
