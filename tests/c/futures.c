/* The reading side: state, getters, cancel, callbacks, continuations. */
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

/* ---- callbacks ---- */

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

static void pipe_refuses_time_outs(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(twice, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(1));
    cfut_future *future = ended(CFUT_OK), *piped = NULL;
    CHECK_STATUS(cfut_future_pipe(future, pool, task, &piped), CFUT_ENOTSUP);
    CHECK(piped == NULL);
    cfut_task_free(task);
    cfut_future_release(future);
    check_close(pool);
}

CHECK_MAIN(CASE(getters_before_the_end), CASE(getters_where_nothing_is), CASE(bytes_without_length),
           CASE(bytes_of_a_buffer_result), CASE(take_moves_the_value_once),
           CASE(take_gives_to_one_thread_only), CASE(info_of_a_task),
           CASE(info_that_does_not_apply_is_0), CASE(released_before_the_end_runs_all_the_same),
           CASE(outlives_its_executor), CASE(cancel_frees_the_arguments_at_once),
           CASE(cancel_by_every_mode), CASE(cancel_too_late), CASE(callback_in_the_settling_thread),
           CASE(callback_of_a_settled_one_comes_at_once), CASE(callback_in_the_worker),
           CASE(callback_on_an_executor), CASE(callback_on_an_executor_that_is_shut_down),
           CASE(callback_on_a_full_executor), CASE(callbacks_added_during_callbacks_run_too),
           CASE(callback_argument_is_freed_after_the_call), CASE(callback_may_release_the_future),
           CASE(callback_of_a_released_future), CASE(callback_runs_in_the_thread_that_cancels),
           CASE(then_on_an_executor),
           CASE(then_in_the_settling_thread), CASE(then_on_an_executor_that_is_shut_down),
           CASE(then_of_one_that_failed), CASE(then_cancelled_before_its_input),
           CASE(then_frees_its_argument), CASE(long_chain_of_then), CASE(pipe_gets_the_bytes),
           CASE(pipe_of_one_without_bytes), CASE(pipe_passes_other_ends_through),
           CASE(pipe_refuses_time_outs))
