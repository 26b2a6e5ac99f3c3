/* Messages that no call can answer with: cfut_set_log(). */
#include "processes.h"

struct messages {
    pthread_mutex_t lock;
    atomic_int count, freed;
    int32_t level;
    char last[1024];
};

#define NO_MESSAGES { PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, "" }

static void note_message(int32_t level, const char *message, void *arg)
{
    struct messages *messages = arg;
    pthread_mutex_lock(&messages->lock);
    messages->level = level;
    snprintf(messages->last, sizeof messages->last, "%s", message);
    pthread_mutex_unlock(&messages->lock);
    atomic_fetch_add(&messages->count, 1);
}

static void note_free(void *arg)
{
    atomic_fetch_add(&((struct messages *)arg)->freed, 1);
}

static bool last_has(struct messages *messages, const char *words)
{
    pthread_mutex_lock(&messages->lock);
    bool has = strstr(messages->last, words) != NULL;
    pthread_mutex_unlock(&messages->lock);
    return has;
}

static int32_t fail_to_start(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_fail(self, 77, "no display");
}

static void break_a_pool(void)
{
    cfut_options *options = options_of(1);
    cfut_task *task = task_of(fail_to_start);
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    cfut_task_free(task);
    cfut_executor *pool = check_pool_with(options);
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN);
    check_close(pool);
}

/* ---- the function ---- */

static void broken_executor_is_told(void)
{
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    break_a_pool();
    CHECK_EQ(messages.count, 1);
    CHECK_EQ(messages.level, CFUT_LOG_ERROR);
    CHECK(last_has(&messages, "no display"));
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

static void no_function_no_messages(void)
{
    struct messages messages = NO_MESSAGES;
    break_a_pool(); /* without one they are dropped */
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
    break_a_pool();
    CHECK_EQ(messages.count, 0);
}

static void argument_is_freed_when_replaced(void)
{
    struct messages first = NO_MESSAGES, second = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &first, note_free));
    CHECK_OK(cfut_set_log(note_message, &second, note_free));
    CHECK_EQ(first.freed, 1);
    break_a_pool();
    CHECK_EQ(first.count, 0);
    CHECK_EQ(second.count, 1);
    CHECK_EQ(second.freed, 0);
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
    CHECK_EQ(second.freed, 1);
    CHECK_OK(cfut_set_log(NULL, &first, note_free)); /* moved all the same */
    CHECK_EQ(first.freed, 2);
}

static void call_the_library(int32_t level, const char *message, void *arg)
{
    cfut_promise *promise;
    (void)level;
    (void)message;
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    cfut_promise_release(promise);
    CHECK_OK(end_of(future));
    CHECK_OK(cfut_set_log(NULL, NULL, NULL)); /* even itself may go */
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void function_may_call_the_library(void)
{
    atomic_int calls = 0;
    CHECK_OK(cfut_set_log(call_the_library, &calls, count_free));
    break_a_pool();
    CHECK_EQ(calls, 2);
}

/* ---- failures that nobody else hears of ---- */

static int32_t fail_named(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_fail(self, 42, "no paper");
}

/* Exactly one message, with the task's name, its code and its message. */
static void expect_failure_told(struct messages *messages, const char *name)
{
    CHECK_SOON(atomic_load(&messages->count) > 0);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(messages->count, 1);
    CHECK_EQ(messages->level, CFUT_LOG_ERROR);
    CHECK(last_has(messages, name));
    CHECK(last_has(messages, "42"));
    CHECK(last_has(messages, "no paper"));
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

static void failure_of_a_task_without_a_name(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    CHECK_OK(cfut_submit(pool, fail_named, NULL, 0, NULL));
    expect_failure_told(&messages, "");
    check_close(pool);
}

/* Somebody has the future, or nothing failed. */
static void what_is_not_told(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    gate gate = GATE_CLOSED;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_future *kept = submit(pool, fail_named, NULL, 0);
    CHECK_STATUS(end_of(kept), CFUT_FAILED);
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, NULL));
    gate_hold(pool, &gate);
    cfut_future *cancelled = submit(pool, fail_named, NULL, 0);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    cfut_future_release(cancelled);
    latch_open(&gate.open);
    check_close(pool);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(messages.count, 0);
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

static void failure_without_a_future(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_task *task = task_named(fail_named, "print page");
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, NULL));
    cfut_task_free(task);
    expect_failure_told(&messages, "print page");
    check_close(pool);
}

static void failure_of_a_future_released_before(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    gate gate = GATE_CLOSED;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    gate_hold(pool, &gate);
    cfut_future_release(submit_once(pool, task_named(fail_named, "print page"), NULL, 0));
    latch_open(&gate.open);
    expect_failure_told(&messages, "print page");
    check_close(pool);
}

static void failure_of_a_detached_task(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_future_release(
        submit_once(pool, task_named(detach_task, "print page"), &data, sizeof data));
    latch_wait(&detached.kept);
    CHECK_OK(cfut_promise_fail(detached.promise, 42, "no paper"));
    cfut_promise_release(detached.promise);
    expect_failure_told(&messages, "print page");
    check_close(pool);
}

static void failures_of_a_batch(void)
{
    cfut_executor *pool = check_pool(2);
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_task *task = task_named(return_task, "sort");
    int32_t items[6] = { 0, 5, 0, 5, 0, 0 };
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], 6, NULL));
    cfut_task_free(task);
    check_close(pool);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(messages.count, 2);
    CHECK(last_has(&messages, "sort"));
    CHECK(last_has(&messages, "5"));
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

/* ---- futures that were released unread ---- */

static cfut_future *fail_later(cfut_executor *pool, const char *name)
{
    cfut_future *future = submit_once(pool, task_named(fail_named, name), NULL, 0);
    CHECK_SOON(check_stat(pool, CFUT_STAT_FAILED) > 0);
    return future;
}

static void released_unread(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_future *future = fail_later(pool, "print page"), *again = cfut_future_retain(future);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    cfut_future_release(again);
    CHECK_EQ(messages.count, 0); /* somebody may look yet */
    cfut_future_release(future);
    expect_failure_told(&messages, "task print page failed with code 42: no paper");
    check_close(pool);
}

static void see_by_wait(cfut_future *future) { CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED); }
static void see_by_state(cfut_future *future) { CHECK_EQ(cfut_future_state(future), CFUT_STATE_FINISHED); }
static void see_by_code(cfut_future *future) { CHECK_EQ(cfut_future_code(future), 42); }
static void see_by_message(cfut_future *future) { CHECK_TEXT(cfut_future_message(future), "no paper"); }
static void see_by_bytes(cfut_future *future) { CHECK(cfut_future_bytes(future, NULL) == NULL); }
static void see_by_value(cfut_future *future) { CHECK(cfut_future_value(future) == NULL); }
static void see_by_take(cfut_future *future) { CHECK(cfut_future_take(future) == NULL); }
static void see_by_buffer(cfut_future *future) { CHECK(cfut_future_buffer(future) == NULL); }

static void see_by_info(cfut_future *future)
{
    int64_t value;
    CHECK_OK(cfut_future_info(future, CFUT_INFO_ATTEMPTS, &value));
}

static void see_by_callback(cfut_future *future)
{
    atomic_int calls = 0;
    CHECK_OK(cfut_future_on_done(future, NULL, count_done, &calls, NULL));
    CHECK_EQ(calls, 1);
}

static void see_by_group(cfut_future *future)
{
    size_t done;
    CHECK_OK(cfut_wait_many(&future, 1, CFUT_WAIT_ANY, CFUT_NOW, NULL, &done));
}

static void see_by_queue(cfut_future *future)
{
    cfut_queue *queue = NULL;
    cfut_future *taken = NULL;
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_queue_add(queue, future, 0));
    CHECK_OK(cfut_queue_next(queue, CFUT_NOW, &taken, NULL));
    cfut_future_release(taken);
    cfut_queue_release(queue);
}

/* Whoever waits for it, asks for anything about it or hangs something on it has seen it. */
static void ways_to_see_a_failure(void)
{
    static void (*const ways[])(cfut_future *) = {
        see_by_wait, see_by_state,  see_by_code,     see_by_message, see_by_bytes, see_by_value,
        see_by_take, see_by_buffer, see_by_callback, see_by_group,   see_by_queue, see_by_info,
    };
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        for (int named = 0; named < 2; named++) {
            cfut_future *future = named ? fail_later(pool, "print page") : NULL;
            if (!named) {
                future = submit(pool, fail_named, NULL, 0);
                CHECK_SOON(check_stat(pool, CFUT_STAT_FAILED) == (int64_t)(2 * i + 1));
            } else {
                CHECK_SOON(check_stat(pool, CFUT_STAT_FAILED) == (int64_t)(2 * i + 2));
            }
            ways[i](future);
            cfut_future_release(future);
            CHECK_EQ(messages.count, 0);
        }
    }
    check_close(pool);
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

/* A wait that timed out before the end has seen nothing. */
static void wait_that_was_too_early(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    gate gate = GATE_CLOSED;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    gate_hold(pool, &gate);
    cfut_future *future = submit_once(pool, task_named(fail_named, "print page"), NULL, 0);
    CHECK_STATUS(cfut_future_wait(future, 1000000), CFUT_TIMEOUT);
    latch_open(&gate.open);
    CHECK_SOON(check_stat(pool, CFUT_STAT_FAILED) == 1);
    cfut_future_release(future);
    expect_failure_told(&messages, "print page");
    check_close(pool);
}

/* The last one of a chain stands for all: its end is theirs. */
static void end_of_a_chain(void)
{
    cfut_executor *pool = check_pool(1);
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_task *task = task_of(nothing_task);
    cfut_future *first = submit_once(pool, task_named(fail_named, "print page"), NULL, 0);
    cfut_future *second = piped(piped(first, pool, task), pool, task), *join = NULL;
    cfut_task_free(task);
    CHECK_OK(cfut_join(&second, 1, CFUT_JOIN_ALL, &join));
    cfut_future_release(second);
    cfut_future_release(join);
    expect_failure_told(&messages, "print page");
    check_close(pool);
}

static void promises_that_nobody_reads(void)
{
    struct messages messages = NO_MESSAGES;
    cfut_promise *promise;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_future_release(by_hand(&promise)); /* given up on both sides */
    cfut_promise_release(promise);
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_promise_set_cancelled(promise));
    cfut_promise_release(promise);
    cfut_future_release(future);
    CHECK_EQ(messages.count, 0);
    cfut_future_release(by_hand(&promise));
    CHECK_OK(cfut_promise_fail(promise, 42, "no paper"));
    cfut_promise_release(promise);
    expect_failure_told(&messages, "a promise failed");
}

static void expect_told(struct messages *messages, int count, const char *words)
{
    CHECK_SOON(atomic_load(&messages->count) == count);
    CHECK(last_has(messages, "print page"));
    CHECK(last_has(messages, words));
}

static void expired_and_broken_ones(void)
{
    struct messages messages = NO_MESSAGES;
    gate gate = GATE_CLOSED, second = GATE_CLOSED;
    latch entered = LATCH_CLOSED, *at = &entered;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_named(obedient_task, "print page");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, 1000000));
    cfut_future_release(submit_once(pool, task, &at, sizeof at));
    expect_told(&messages, 1, "expired");
    gate_hold(pool, &gate);
    task = task_named(nothing_task, "print page");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_QUEUE_TIMEOUT_NS, 1000000));
    cfut_future_release(submit_once(pool, task, NULL, 0));
    CHECK_SOON(check_stat(pool, CFUT_STAT_EXPIRED) == 2);
    latch_open(&gate.open); /* told of when it has left the queue */
    expect_told(&messages, 2, "expired");
    gate_hold(pool, &second);
    cfut_future_release(submit_once(pool, task_named(nothing_task, "print page"), NULL, 0));
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    latch_open(&second.open);
    check_close(pool);
    CHECK_EQ(messages.count, 2); /* being cancelled is no failure */
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    pool = check_pool(1);
    cfut_future_release(
        submit_once(pool, task_named(detach_task, "print page"), &data, sizeof data));
    latch_wait(&detached.kept);
    cfut_promise_release(detached.promise);
    expect_told(&messages, 3, "is broken");
    check_close(pool);
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

/* ---- the same in processes ---- */

static void failures_in_processes(void)
{
    struct messages messages = NO_MESSAGES;
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_named(fail_named, "print page");
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, NULL));
    expect_told(&messages, 1, "failed with code 42: no paper");
    cfut_future *future = submit_once(pool, task, NULL, 0);
    CHECK_SOON(check_stat(pool, CFUT_STAT_FAILED) == 2);
    CHECK_EQ(messages.count, 1);
    cfut_future_release(future);
    expect_told(&messages, 2, "failed with code 42: no paper");
    open_gate(1);
    cfut_future_release(submit_call_once(pool, task_named(die_task, "print page"), 1, SIGKILL));
    expect_told(&messages, 3, "crashed: worker ");
    task = task_named(stubborn_task, "print page");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, 1000000));
    cfut_future_release(submit_call_once(pool, task, 2, 0));
    expect_told(&messages, 4, "expired");
    future = submit(pool, fail_named, NULL, 0);
    CHECK_STATUS(end_of(future), CFUT_FAILED);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_KILL, CFUT_NOW));
    check_close(pool);
    CHECK_EQ(messages.count, 4);
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

CHECK_MAIN_WORKER(board_make(), CASE(broken_executor_is_told), CASE(no_function_no_messages),
           CASE(argument_is_freed_when_replaced), CASE(function_may_call_the_library),
           CASE(failure_of_a_task_without_a_name), CASE(what_is_not_told),
           CASE(failure_without_a_future), CASE(failure_of_a_future_released_before),
           CASE(failure_of_a_detached_task), CASE(failures_of_a_batch), CASE(released_unread),
           CASE(ways_to_see_a_failure), CASE(wait_that_was_too_early), CASE(end_of_a_chain),
           CASE(promises_that_nobody_reads), CASE(expired_and_broken_ones),
           CASE(failures_in_processes))
