/* Several futures at once: cfut_wait_many() and cfut_join(). */
#include "parts.h"

enum { COUNT = 4 };

static void make_by_hand(cfut_promise **promises, cfut_future **futures)
{
    for (int i = 0; i < COUNT; i++)
        futures[i] = by_hand(&promises[i]);
}

static void let_go(cfut_promise **promises, cfut_future **futures)
{
    for (int i = 0; i < COUNT; i++) {
        cfut_promise_release(promises[i]);
        cfut_future_release(futures[i]);
    }
}

static void succeed(cfut_promise *promise, const char *text)
{
    CHECK_OK(cfut_promise_set_bytes(promise, text, strlen(text)));
}

/* ---- waiting ---- */

static void wait_for_none(void)
{
    for (int32_t mode = CFUT_WAIT_ALL; mode <= CFUT_WAIT_FIRST_FAILURE; mode++) {
        size_t count = 9;
        CHECK_OK(cfut_wait_many(NULL, 0, mode, CFUT_FOREVER, NULL, &count));
        CHECK_EQ(count, 0);
        CHECK_OK(cfut_wait_many(NULL, 0, mode, CFUT_NOW, NULL, NULL));
    }
}

static void wait_all(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    uint8_t done[COUNT];
    size_t count;
    make_by_hand(promises, futures);
    for (int i = 0; i < COUNT; i++) {
        CHECK_STATUS(cfut_wait_many(futures, COUNT, CFUT_WAIT_ALL, CFUT_MSEC(1), done, &count),
                     CFUT_TIMEOUT);
        CHECK_EQ(count, i); /* set on CFUT_TIMEOUT too */
        for (int j = 0; j < COUNT; j++)
            CHECK_EQ(done[j], j < i);
        if (i % 2 == 0)
            succeed(promises[i], "x");
        else
            CHECK_OK(cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING));
    }
    CHECK_OK(cfut_wait_many(futures, COUNT, CFUT_WAIT_ALL, CFUT_NOW, done, &count));
    CHECK_EQ(count, COUNT);
    CHECK_OK(cfut_wait_many(futures, COUNT, CFUT_WAIT_ALL, CFUT_NOW, NULL, NULL));
    let_go(promises, futures);
}

static void wait_any(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    uint8_t done[COUNT];
    size_t count = 9;
    make_by_hand(promises, futures);
    CHECK_STATUS(cfut_wait_many(futures, COUNT, CFUT_WAIT_ANY, CFUT_NOW, done, &count), CFUT_TIMEOUT);
    CHECK_EQ(count, 0);
    CHECK_OK(cfut_promise_fail(promises[2], 1, NULL)); /* however it ends */
    CHECK_OK(cfut_wait_many(futures, COUNT, CFUT_WAIT_ANY, CFUT_FOREVER, done, &count));
    CHECK_EQ(count, 1);
    CHECK(!done[0] && !done[1] && done[2] && !done[3]);
    let_go(promises, futures);
}

static void wait_first_failure_of_each_kind(void)
{
    static const cfut_status failures[] = { CFUT_FAILED, CFUT_BROKEN };
    for (int i = 0; i < 2; i++) {
        cfut_promise *promise;
        cfut_future *failed = ended(failures[i]);
        cfut_future *futures[2] = { by_hand(&promise), failed };
        size_t count;
        CHECK_STATUS(cfut_wait_many(futures, 2, CFUT_WAIT_FIRST_FAILURE, CFUT_FOREVER, NULL, &count),
                     failures[i]);
        CHECK_EQ(count, 1);
        cfut_promise_release(promise);
        cfut_future_release(futures[0]);
        cfut_future_release(failed);
    }
}

static void wait_first_failure_expired(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(2));
    cfut_future *futures[2] = { submit_nothing(pool), submit_once(pool, task, NULL, 0) };
    CHECK_STATUS(cfut_wait_many(futures, 2, CFUT_WAIT_FIRST_FAILURE, CFUT_FOREVER, NULL, NULL),
                 CFUT_EXPIRED);
    latch_open(&gate.open);
    cfut_future_release(futures[0]);
    cfut_future_release(futures[1]);
    check_close(pool);
}

static void wait_first_failure_when_none_fails(void)
{
    cfut_future *futures[3] = { ended(CFUT_OK), ended(CFUT_CANCELLED), ended(CFUT_OK) };
    size_t count;
    CHECK_OK(cfut_wait_many(futures, 3, CFUT_WAIT_FIRST_FAILURE, CFUT_FOREVER, NULL, &count));
    CHECK_EQ(count, 3);
    for (int i = 0; i < 3; i++)
        cfut_future_release(futures[i]);
}

struct waiting {
    cfut_future **futures;
    int32_t mode;
    latch started;
    cfut_status status;
    uint8_t done[COUNT];
    size_t count;
};

static void *wait_there(void *arg)
{
    struct waiting *waiting = arg;
    latch_open(&waiting->started);
    waiting->status = cfut_wait_many(waiting->futures, COUNT, waiting->mode, CFUT_FOREVER,
                                     waiting->done, &waiting->count);
    return NULL;
}

/* The wait is under way when the last future settles. */
static void wait_is_woken(void)
{
    for (int32_t mode = CFUT_WAIT_ALL; mode <= CFUT_WAIT_FIRST_FAILURE; mode++) {
        cfut_promise *promises[COUNT];
        cfut_future *futures[COUNT];
        struct waiting waiting = { futures, mode, LATCH_CLOSED, CFUT_EINVAL, { 0 }, 0 };
        make_by_hand(promises, futures);
        pthread_t thread = thread_start(wait_there, &waiting);
        latch_wait(&waiting.started);
        check_sleep(CFUT_MSEC(2)); /* most of the time it sleeps by now; right either way */
        if (mode == CFUT_WAIT_ALL) {
            for (int i = 0; i < COUNT; i++)
                succeed(promises[i], "x");
        } else {
            CHECK_OK(cfut_promise_fail(promises[1], 1, NULL));
        }
        thread_join(thread);
        CHECK_STATUS(waiting.status, mode == CFUT_WAIT_FIRST_FAILURE ? CFUT_FAILED : CFUT_OK);
        CHECK_EQ(waiting.count, mode == CFUT_WAIT_ALL ? COUNT : 1);
        CHECK_EQ(waiting.done[1], 1);
        let_go(promises, futures);
    }
}

static void duplicates_count_by_position(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *other = ended(CFUT_OK);
    cfut_future *futures[COUNT] = { future, other, future, other };
    uint8_t done[COUNT];
    size_t count;
    CHECK_STATUS(cfut_wait_many(futures, COUNT, CFUT_WAIT_ALL, CFUT_NOW, done, &count), CFUT_TIMEOUT);
    CHECK_EQ(count, 2);
    CHECK(!done[0] && done[1] && !done[2] && done[3]);
    succeed(promise, "x");
    CHECK_OK(cfut_wait_many(futures, COUNT, CFUT_WAIT_ALL, CFUT_FOREVER, done, &count));
    CHECK_EQ(count, COUNT);
    cfut_promise_release(promise);
    cfut_future_release(future);
    cfut_future_release(other);
}

static void wait_for_many(void)
{
    enum { MANY = 5000 };
    static cfut_future *futures[MANY];
    static uint8_t done[MANY];
    cfut_executor *pool = check_pool(3);
    size_t count;
    for (int i = 0; i < MANY; i++)
        futures[i] = submit_nothing(pool);
    CHECK_OK(cfut_wait_many(futures, MANY, CFUT_WAIT_ALL, CFUT_FOREVER, done, &count));
    CHECK_EQ(count, MANY);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(done[i], 1);
        CHECK_OK(end_of(futures[i]));
    }
    check_close(pool);
}

static void wait_leaves_nothing_behind(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    for (int i = 0; i < 1000; i++)
        CHECK_STATUS(cfut_wait_many(&future, 1, CFUT_WAIT_ALL, CFUT_USEC(1), NULL, NULL),
                     CFUT_TIMEOUT);
    succeed(promise, "x"); /* no waiter of old is touched */
    cfut_promise_release(promise);
    CHECK_OK(end_of(future));
}

static void wait_refuses_nonsense(void)
{
    cfut_future *future = ended(CFUT_OK), *with_null[2] = { future, NULL };
    uint8_t done[2] = { 9, 9 };
    size_t count = 9;
    CHECK_STATUS(cfut_wait_many(NULL, 1, CFUT_WAIT_ALL, CFUT_NOW, done, &count), CFUT_EINVAL);
    CHECK_STATUS(cfut_wait_many(with_null, 2, CFUT_WAIT_ALL, CFUT_NOW, done, &count), CFUT_EINVAL);
    CHECK_ERROR(cfut_wait_many(&future, 1, 3, CFUT_NOW, done, &count), CFUT_EINVAL, "3");
    CHECK(done[0] == 9 && done[1] == 9 && count == 9); /* nothing is written */
    cfut_future_release(future);
}

/* ---- joining ---- */

static void expect(cfut_future *joined, cfut_status status, const char *bytes)
{
    size_t length;
    CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), status);
    const void *result = cfut_future_bytes(joined, &length);
    CHECK_EQ(length, strlen(bytes));
    CHECK(length == 0 || memcmp(result, bytes, length) == 0);
    cfut_future_release(joined);
}

static cfut_future *join(cfut_future **futures, int32_t mode)
{
    cfut_future *joined = NULL;
    CHECK_OK(cfut_join(futures, COUNT, mode, &joined));
    CHECK(joined != NULL);
    return joined;
}

static void join_all_succeeds_with_the_last(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *joined = join(futures, CFUT_JOIN_ALL);
    for (int i = COUNT - 1; i >= 0; i--) {
        CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), CFUT_TIMEOUT);
        succeed(promises[i], "x");
    }
    expect(joined, CFUT_OK, "");
    let_go(promises, futures);
}

static void join_all_fails_with_the_first(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *joined = join(futures, CFUT_JOIN_ALL);
    succeed(promises[0], "x");
    CHECK_OK(cfut_promise_fail_bytes(promises[1], 5, "the first", "details", 7));
    CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), CFUT_FAILED); /* at once */
    CHECK_OK(cfut_promise_fail(promises[2], 6, "the second"));
    CHECK_EQ(cfut_future_code(joined), 5);
    CHECK_TEXT(cfut_future_message(joined), "the first");
    expect(joined, CFUT_FAILED, "details");
    let_go(promises, futures);
}

static void join_all_of_a_cancelled_one(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *joined = join(futures, CFUT_JOIN_ALL);
    CHECK_OK(cfut_future_cancel(futures[3], CFUT_CANCEL_PENDING));
    expect(joined, CFUT_CANCELLED, "");
    let_go(promises, futures);
}

static void join_settled(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *joined = join(futures, CFUT_JOIN_SETTLED);
    CHECK_OK(cfut_promise_fail(promises[0], 5, "bad"));
    CHECK_OK(cfut_future_cancel(futures[1], CFUT_CANCEL_PENDING));
    succeed(promises[2], "x");
    CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_promise_fail(promises[3], 5, "bad"));
    expect(joined, CFUT_OK, "");
    let_go(promises, futures);
}

static void join_any_is_as_the_first(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *joined = join(futures, CFUT_JOIN_ANY);
    succeed(promises[2], "the result of the third one");
    succeed(promises[0], "no");
    expect(joined, CFUT_OK, "the result of the third one");
    joined = NULL;
    let_go(promises, futures);
    make_by_hand(promises, futures);
    joined = join(futures, CFUT_JOIN_ANY);
    CHECK_OK(cfut_promise_fail(promises[1], 5, "bad"));
    succeed(promises[0], "no");
    CHECK_EQ(cfut_future_code(joined), 5);
    CHECK_TEXT(cfut_future_message(joined), "bad");
    expect(joined, CFUT_FAILED, "");
    let_go(promises, futures);
}

static void join_first_success(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *joined = join(futures, CFUT_JOIN_FIRST_SUCCESS);
    CHECK_OK(cfut_promise_fail(promises[0], 5, "bad"));
    CHECK_OK(cfut_future_cancel(futures[1], CFUT_CANCEL_PENDING));
    CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), CFUT_TIMEOUT);
    succeed(promises[3], "good");
    succeed(promises[2], "late");
    expect(joined, CFUT_OK, "good");
    let_go(promises, futures);
}

static void join_first_success_when_all_fail(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *joined = join(futures, CFUT_JOIN_FIRST_SUCCESS);
    for (int i = 0; i < COUNT; i++) {
        char message[2] = { (char)('a' + i), '\0' };
        CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), CFUT_TIMEOUT);
        CHECK_OK(cfut_promise_fail(promises[i], i + 1, message));
    }
    CHECK_EQ(cfut_future_code(joined), COUNT); /* the last failure */
    CHECK_TEXT(cfut_future_message(joined), "d");
    expect(joined, CFUT_FAILED, "");
    let_go(promises, futures);
}

static void join_of_none(void)
{
    cfut_future *joined = NULL;
    CHECK_STATUS(cfut_join(NULL, 0, CFUT_JOIN_ANY, &joined), CFUT_EINVAL);
    CHECK_STATUS(cfut_join(NULL, 0, CFUT_JOIN_FIRST_SUCCESS, &joined), CFUT_EINVAL);
    CHECK(joined == NULL);
    CHECK_OK(cfut_join(NULL, 0, CFUT_JOIN_ALL, &joined));
    expect(joined, CFUT_OK, "");
    CHECK_OK(cfut_join(NULL, 0, CFUT_JOIN_SETTLED, &joined));
    expect(joined, CFUT_OK, "");
}

static void join_of_settled_ones(void)
{
    cfut_future *futures[COUNT] = { ended(CFUT_FAILED), ended(CFUT_OK), ended(CFUT_OK),
                                    ended(CFUT_CANCELLED) };
    expect(join(futures, CFUT_JOIN_ALL), CFUT_FAILED, "");
    expect(join(futures, CFUT_JOIN_SETTLED), CFUT_OK, "");
    expect(join(futures, CFUT_JOIN_ANY), CFUT_FAILED, "");
    expect(join(futures, CFUT_JOIN_FIRST_SUCCESS), CFUT_OK, "good");
    for (int i = 0; i < COUNT; i++)
        cfut_future_release(futures[i]);
}

static void join_of_duplicates(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    cfut_future *futures[COUNT] = { future, future, future, future };
    cfut_future *joined = join(futures, CFUT_JOIN_ALL);
    CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), CFUT_TIMEOUT);
    succeed(promise, "x");
    expect(joined, CFUT_OK, "");
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void join_touches_no_input(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT];
    make_by_hand(promises, futures);
    cfut_future *cancelled = join(futures, CFUT_JOIN_ALL), *released = join(futures, CFUT_JOIN_ANY);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_STOP));
    cfut_future_release(released);
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(cfut_future_state(futures[i]), CFUT_STATE_PENDING);
        CHECK_EQ(cfut_promise_stop_requested(promises[i]), 0);
        succeed(promises[i], "x");
    }
    expect(cancelled, CFUT_CANCELLED, "");
    let_go(promises, futures);
}

static void join_keeps_its_inputs(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise), *joined;
    atomic_int freed = 0;
    CHECK_OK(cfut_join(&future, 1, CFUT_JOIN_ANY, &joined));
    cfut_future_release(future);
    CHECK_OK(cfut_promise_set_value(promise, &freed, count_free));
    cfut_promise_release(promise);
    CHECK_OK(cfut_future_wait(joined, CFUT_NOW));
    CHECK(cfut_future_value(joined) == &freed);
    CHECK_EQ(freed, 0);
    cfut_future_release(joined);
    CHECK_EQ(freed, 1);
}

static void join_of_joins(void)
{
    cfut_promise *promises[COUNT];
    cfut_future *futures[COUNT], *halves[2], *joined;
    make_by_hand(promises, futures);
    CHECK_OK(cfut_join(futures, 2, CFUT_JOIN_ALL, &halves[0]));
    CHECK_OK(cfut_join(futures + 2, 2, CFUT_JOIN_ANY, &halves[1]));
    CHECK_OK(cfut_join(halves, 2, CFUT_JOIN_ALL, &joined));
    succeed(promises[0], "x");
    succeed(promises[3], "x");
    CHECK_STATUS(cfut_future_wait(joined, CFUT_NOW), CFUT_TIMEOUT);
    succeed(promises[1], "x");
    expect(joined, CFUT_OK, "");
    cfut_future_release(halves[0]);
    cfut_future_release(halves[1]);
    let_go(promises, futures);
}

static void join_in_a_pool(void)
{
    enum { MANY = 1000 };
    cfut_executor *pool = check_pool(3);
    cfut_future *futures[MANY], *joined;
    for (int i = 0; i < MANY; i++)
        futures[i] = submit_nothing(pool);
    CHECK_OK(cfut_join(futures, MANY, CFUT_JOIN_ALL, &joined));
    for (int i = 0; i < MANY; i++)
        cfut_future_release(futures[i]);
    CHECK_OK(end_of(joined));
    check_close(pool);
}

static void join_refuses_nonsense(void)
{
    cfut_future *future = ended(CFUT_OK), *with_null[2] = { future, NULL }, *joined = NULL;
    CHECK_STATUS(cfut_join(NULL, 1, CFUT_JOIN_ALL, &joined), CFUT_EINVAL);
    CHECK_STATUS(cfut_join(with_null, 2, CFUT_JOIN_ALL, &joined), CFUT_EINVAL);
    CHECK_STATUS(cfut_join(&future, 1, CFUT_JOIN_ALL, NULL), CFUT_EINVAL);
    CHECK_ERROR(cfut_join(&future, 1, 4, &joined), CFUT_EINVAL, "4");
    CHECK(joined == NULL);
    cfut_future_release(future);
}

CHECK_MAIN(CASE(wait_for_none), CASE(wait_all), CASE(wait_any),
           CASE(wait_first_failure_of_each_kind), CASE(wait_first_failure_expired),
           CASE(wait_first_failure_when_none_fails), CASE(wait_is_woken),
           CASE(duplicates_count_by_position), CASE(wait_for_many), CASE(wait_leaves_nothing_behind),
           CASE(wait_refuses_nonsense), CASE(join_all_succeeds_with_the_last),
           CASE(join_all_fails_with_the_first), CASE(join_all_of_a_cancelled_one),
           CASE(join_settled), CASE(join_any_is_as_the_first), CASE(join_first_success),
           CASE(join_first_success_when_all_fail), CASE(join_of_none), CASE(join_of_settled_ones),
           CASE(join_of_duplicates), CASE(join_touches_no_input), CASE(join_keeps_its_inputs),
           CASE(join_of_joins), CASE(join_in_a_pool), CASE(join_refuses_nonsense))
