/* Messages that no call can answer with: cfut_set_log(). */
#include "parts.h"

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

CHECK_MAIN(CASE(broken_executor_is_told), CASE(no_function_no_messages),
           CASE(argument_is_freed_when_replaced), CASE(function_may_call_the_library),
           CASE(failure_of_a_task_without_a_name), CASE(what_is_not_told),
           CASE(failure_without_a_future), CASE(failure_of_a_future_released_before),
           CASE(failure_of_a_detached_task), CASE(failures_of_a_batch))
