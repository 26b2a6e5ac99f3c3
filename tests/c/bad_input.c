/* Arguments that are wrong: the status says so, the text names the value and what to do, and
 * what was moved is freed once all the same. NULL has a program of its own, null_input.c. */
#include "input.h"

/* ---- numbers out of their range ---- */

typedef struct wrong {
    int32_t key;
    int64_t value;
    cfut_status status;
    const char *words; /* the value, and what it may be */
} wrong;

static void option_values(void)
{
    static const wrong table[] = {
        { CFUT_OPT_WORKERS, 0, CFUT_EINVAL, "CFUT_OPT_WORKERS is 0; it is 1 to " },
        { CFUT_OPT_WORKERS, -1, CFUT_EINVAL, "CFUT_OPT_WORKERS is -1; it is 1 to " },
        { CFUT_OPT_WORKERS, INT64_MAX, CFUT_EINVAL, "9223372036854775807; it is 1 to " },
        { CFUT_OPT_WORKERS, INT64_C(1) << 32 | 1, CFUT_EINVAL, "4294967297; it is 1 to " },
        { CFUT_OPT_MIN_WORKERS, -1, CFUT_EINVAL, "CFUT_OPT_MIN_WORKERS is -1; it is 0 to " },
        { CFUT_OPT_QUEUE_LIMIT, -1, CFUT_EINVAL, "CFUT_OPT_QUEUE_LIMIT is -1; the least is 0" },
        { CFUT_OPT_QUEUE_BYTES, INT64_MIN, CFUT_EINVAL, "-9223372036854775808; the least is 0" },
        { CFUT_OPT_FULL_POLICY, 3, CFUT_EINVAL, "CFUT_OPT_FULL_POLICY is 3; it is 0 to 2" },
        { CFUT_OPT_FULL_POLICY, -1, CFUT_EINVAL, "CFUT_OPT_FULL_POLICY is -1; it is 0 to 2" },
        { CFUT_OPT_STACK_SIZE, 1, CFUT_EINVAL, "CFUT_OPT_STACK_SIZE is 1; it is 0 " },
        { CFUT_OPT_STACK_SIZE, 65535, CFUT_EINVAL, "at least 65536" },
        { CFUT_OPT_STACK_SIZE, -1, CFUT_EINVAL, "CFUT_OPT_STACK_SIZE is -1; it is 0 to " },
        { CFUT_OPT_STACK_SIZE, INT64_MAX, CFUT_EINVAL, "CFUT_OPT_STACK_SIZE is 92" },
        { CFUT_OPT_START_METHOD, 2, CFUT_EINVAL, "CFUT_OPT_START_METHOD is 2; it is 0 to 1" },
        { CFUT_OPT_TASKS_PER_WORKER, 0, CFUT_EINVAL, "the least is 1" },
        { CFUT_OPT_RSS_PER_WORKER, 0, CFUT_EINVAL, "CFUT_OPT_RSS_PER_WORKER is 0; the least is 1" },
        { CFUT_OPT_MEMORY_LIMIT, -1, CFUT_EINVAL, "CFUT_OPT_MEMORY_LIMIT is -1; the least is 1" },
        { CFUT_OPT_CPU_TIME_LIMIT, 0, CFUT_EINVAL, "CFUT_OPT_CPU_TIME_LIMIT is 0; the least is 1" },
        { CFUT_OPT_ON_WORKER_DEATH, 2, CFUT_EINVAL, "CFUT_OPT_ON_WORKER_DEATH is 2; it is 0 to 1" },
        { CFUT_OPT_NICE, 20, CFUT_EINVAL, "CFUT_OPT_NICE is 20; it is -20 to 19" },
        { CFUT_OPT_NICE, -21, CFUT_EINVAL, "CFUT_OPT_NICE is -21; it is -20 to 19" },
        { CFUT_OPT_SPIN_NS, -2, CFUT_EINVAL, "CFUT_OPT_SPIN_NS is -2; it is -1 to " },
        { CFUT_OPT_SPIN_NS, CFUT_SEC(2), CFUT_EINVAL, "CFUT_OPT_SPIN_NS is 2000000000; it is " },
        { CFUT_OPT_WAITERS_HELP, 2, CFUT_EINVAL, "CFUT_OPT_WAITERS_HELP is 2; it is 0 to 1" },
        { 0, 1, CFUT_ENOTSUP, "0 is no integer option" },
        { -1, 1, CFUT_ENOTSUP, "-1 is no integer option" },
        { 19, 1, CFUT_ENOTSUP, "19 is no integer option" },
        { CFUT_OPT_NAME, 1, CFUT_ENOTSUP, "64 is no integer option" },
        { INT32_MAX, 1, CFUT_ENOTSUP, "2147483647 is no integer option" },
        { INT32_MIN, 1, CFUT_ENOTSUP, "-2147483648 is no integer option" },
    };
    cfut_options *options = cfut_options_new();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        CHECK_ERROR(cfut_options_set(options, table[i].key, table[i].value), table[i].status,
                    table[i].words);
    CHECK_ERROR(cfut_options_set_text(options, CFUT_OPT_WORKERS, "2"), CFUT_ENOTSUP,
                "1 is no text option");
    CHECK_ERROR(cfut_options_set_text(options, 0, "2"), CFUT_ENOTSUP, "0 is no text option");
    /* Nothing of all that has stuck. */
    check_close(check_pool_with(options));
}

static void task_values(void)
{
    static const wrong table[] = {
        { CFUT_TASK_PRIORITY, 2, CFUT_EINVAL, "CFUT_TASK_PRIORITY is 2; it is -1 to 1" },
        { CFUT_TASK_PRIORITY, -2, CFUT_EINVAL, "CFUT_TASK_PRIORITY is -2; it is -1 to 1" },
        { CFUT_TASK_PRIORITY, 257, CFUT_EINVAL, "CFUT_TASK_PRIORITY is 257; it is -1 to 1" },
        { CFUT_TASK_ATTEMPTS, 0, CFUT_EINVAL, "CFUT_TASK_ATTEMPTS is 0; it is 1 to " },
        { CFUT_TASK_ATTEMPTS, -1, CFUT_EINVAL, "CFUT_TASK_ATTEMPTS is -1; it is 1 to " },
        { CFUT_TASK_ATTEMPTS, INT64_C(1) << 32, CFUT_EINVAL, "CFUT_TASK_ATTEMPTS is 4294967296" },
        { CFUT_TASK_CHUNK, -1, CFUT_EINVAL, "CFUT_TASK_CHUNK is -1; the least is 0" },
        { CFUT_TASK_WINDOW, -2, CFUT_EINVAL, "CFUT_TASK_WINDOW is -2; the least is -1" },
        { 0, 1, CFUT_ENOTSUP, "0 is no integer option of a task" },
        { 10, 1, CFUT_ENOTSUP, "10 is no integer option of a task" },
        { CFUT_TASK_NAME, 1, CFUT_ENOTSUP, "64 is no integer option of a task" },
        { INT32_MIN, 1, CFUT_ENOTSUP, "-2147483648 is no integer option of a task" },
    };
    cfut_task *task;
    CHECK_OK(cfut_task_new(nothing_task, &task));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        CHECK_ERROR(cfut_task_set(task, table[i].key, table[i].value), table[i].status,
                    table[i].words);
    CHECK_ERROR(cfut_task_set_text(task, CFUT_TASK_PRIORITY, "x"), CFUT_ENOTSUP, "5 is no text");
    CHECK_ERROR(cfut_task_set_text(task, CFUT_TASK_DIRECTORY, "/"), CFUT_ENOTSUP, "command");
    cfut_task_free(task);
}

/* Options that go with another kind of executor, or not with each other. */
static void options_that_do_not_fit(void)
{
    static const int32_t of_processes[] = {
        CFUT_OPT_START_METHOD,   CFUT_OPT_TASKS_PER_WORKER, CFUT_OPT_RSS_PER_WORKER,
        CFUT_OPT_MEMORY_LIMIT,   CFUT_OPT_CPU_TIME_LIMIT,   CFUT_OPT_ON_WORKER_DEATH,
        CFUT_OPT_START_TIMEOUT_NS,
    };
    static const int32_t texts[] = { CFUT_OPT_WORKER_PROGRAM, CFUT_OPT_PRELOAD };
    cfut_executor *pool = NULL;
    cfut_options *options;
    for (size_t i = 0; i < sizeof of_processes / sizeof of_processes[0]; i++) {
        options = cfut_options_new();
        CHECK_OK(cfut_options_set(options, of_processes[i], 1));
        CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOTSUP, "is for process pools");
        cfut_options_free(options);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        options = cfut_options_new();
        CHECK_OK(cfut_options_set_text(options, texts[i], "x"));
        CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOTSUP, "CFUT_OPT_");
        cfut_options_free(options);
    }
    options = cfut_options_new();
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 2));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_MIN_WORKERS, 3));
    CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_EINVAL,
                "CFUT_OPT_MIN_WORKERS is 3, more than the 2 of CFUT_OPT_WORKERS");
    cfut_options_free(options);
    CHECK(pool == NULL);
}

static void other_numbers(void)
{
    int64_t value = 7;
    static const int32_t keys[] = { 0, -1, 16, 64, INT32_MAX, INT32_MIN };
    cfut_future *joined = NULL;
    cfut_buffer *buffer = NULL;
    make_good();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char words[64];
        snprintf(words, sizeof words, "%d is no statistic", keys[i]);
        CHECK_ERROR(cfut_executor_stat(good.pool, keys[i], &value), CFUT_ENOTSUP, words);
        snprintf(words, sizeof words, "%d is no info", keys[i]);
        CHECK_ERROR(cfut_future_info(good.future, keys[i], &value), CFUT_ENOTSUP, words);
        CHECK_ERROR(cfut_future_info(good.promised, keys[i], &value), CFUT_ENOTSUP, words);
    }
    CHECK_EQ(value, 7);
    CHECK_ERROR(cfut_future_cancel(good.future, 3), CFUT_EINVAL, "the cancel mode is 3; it is ");
    CHECK_ERROR(cfut_future_cancel(good.promised, UINT32_MAX), CFUT_EINVAL, "4294967295");
    CHECK_EQ(cfut_future_state(good.promised), CFUT_STATE_PENDING);
    CHECK_ERROR(cfut_wait_many(&good.future, 1, 3, 0, NULL, NULL), CFUT_EINVAL, "the mode is 3; ");
    CHECK_ERROR(cfut_wait_many(&good.future, 1, -1, 0, NULL, NULL), CFUT_EINVAL, "the mode is -1");
    CHECK_ERROR(cfut_join(&good.future, 1, 4, &joined), CFUT_EINVAL, "the mode is 4; it is ");
    CHECK_ERROR(cfut_join(&good.future, 1, -1, &joined), CFUT_EINVAL, "the mode is -1");
    CHECK_ERROR(cfut_join(NULL, 0, CFUT_JOIN_ANY, &joined), CFUT_EINVAL, "count is 0");
    CHECK_ERROR(cfut_join(NULL, 0, CFUT_JOIN_FIRST_SUCCESS, &joined), CFUT_EINVAL, "count is 0");
    CHECK(joined == NULL);
    CHECK_ERROR(cfut_executor_shutdown(good.pool, 16, 0), CFUT_EINVAL, "flags 0x10 ");
    CHECK_ERROR(cfut_executor_shutdown(good.pool, UINT32_MAX, 0), CFUT_EINVAL, "0xffffffff");
    CHECK_OK(cfut_submit(good.pool, nothing_task, NULL, 0, NULL)); /* it was not shut down */
    CHECK_ERROR(cfut_buffer_new(1, 2, &buffer), CFUT_EINVAL, "flags 0x2 ");
    CHECK(buffer == NULL);
    CHECK_ERROR(cfut_promise_fail(good.promise, 0, "x"), CFUT_EINVAL, "code is 0");
    CHECK_ERROR(cfut_promise_fail(good.promise, CFUT_DETACH, "x"), CFUT_EINVAL, "-2147483648");
    CHECK_ERROR(cfut_promise_fail_bytes(good.promise, 0, "x", "", 0), CFUT_EINVAL, "code is 0");
    CHECK_ERROR(cfut_promise_fail_value(good.promise, 0, "x", MOVED), CFUT_EINVAL, "code is 0");
    CHECK_EQ(cfut_future_state(good.promised), CFUT_STATE_PENDING);
    free_good();
}

/* Names that are none. */
static void names_that_are_none(void)
{
    static char text[1026];
    cfut_task *task = NULL;
    make_good();
    memset(text, 'n', 1025);
    CHECK_ERROR(cfut_task_new_named("", &task), CFUT_EINVAL, "empty");
    CHECK_ERROR(cfut_task_new_named("\xff", &task), CFUT_EINVAL, "not UTF-8");
    CHECK_ERROR(cfut_task_new_named(text, &task), CFUT_EINVAL, "1025 bytes; the most is 1024");
    CHECK_ERROR(cfut_register("", nothing_task), CFUT_EINVAL, "empty");
    CHECK_ERROR(cfut_register(text, nothing_task), CFUT_EINVAL, "1025 bytes; the most is 1024");
    CHECK_OK(cfut_register("taken", nothing_task));
    CHECK_ERROR(cfut_register("taken", three_bytes), CFUT_EINVAL, "another function");
    CHECK_ERROR(cfut_options_add_worker_env(good.options, "", "x"), CFUT_EINVAL, "\"\" is no name");
    CHECK_ERROR(cfut_options_add_worker_env(good.options, "a=b", "x"), CFUT_EINVAL, "\"a=b\" is no");
    CHECK(task == NULL);
    free_good();
}

/* ---- sizes ---- */

/* More than any object can have, or than there is memory for; nothing is read. */
static void huge_sizes(void)
{
    const size_t most = SIZE_MAX, half = SIZE_MAX / 2 + 1;
    const size_t many = (size_t)UINT32_MAX + 1; /* does not fit 32 bits */
    cfut_future *future = NULL;
    cfut_buffer *buffer = NULL;
    char bytes[8] = "abcdefg";
    make_good();
    CHECK_ERROR(cfut_submit(good.pool, nothing_task, bytes, most, &future), CFUT_EINVAL,
                "len is 18446744073709551615, more than any object");
    CHECK_ERROR(cfut_submit_task(good.pool, good.task, bytes, half, &future), CFUT_EINVAL,
                "len is 9223372036854775808");
    CHECK_ERROR(cfut_submit(good.pool, nothing_task, bytes, half - 1, &future), CFUT_ENOMEM, "");
    CHECK_ERROR(cfut_submit_many(good.pool, good.task, bytes, most, 2, NULL), CFUT_EINVAL,
                "2 items of 18446744073709551615 bytes");
    CHECK_ERROR(cfut_submit_many(good.pool, good.task, bytes, 2, most, NULL), CFUT_EINVAL,
                "18446744073709551615 items of 2 bytes");
    CHECK_ERROR(cfut_submit_many(good.pool, good.task, bytes, many, many, NULL), CFUT_EINVAL,
                "4294967296 items of 4294967296 bytes");
    CHECK_ERROR(cfut_submit_many(good.pool, good.task, bytes, 1, half, NULL), CFUT_EINVAL,
                "9223372036854775808");
    CHECK_ERROR(cfut_submit_many(good.pool, good.task, bytes, 1, half - 1, NULL), CFUT_ENOMEM, "");
    CHECK_ERROR(cfut_submit_many(good.pool, good.task, bytes, 0, 3, NULL), CFUT_EINVAL,
                "item_size is 0, but count is 3");
    CHECK_ERROR(cfut_promise_set_bytes(good.promise, bytes, most), CFUT_EINVAL, "more than any");
    CHECK_ERROR(cfut_promise_set_bytes(good.promise, bytes, half - 1), CFUT_ENOMEM, "");
    CHECK_ERROR(cfut_buffer_new(most, 0, &buffer), CFUT_ENOMEM, "18446744073709551615");
    CHECK_ERROR(cfut_buffer_new(half - 1, 0, &buffer), CFUT_ENOMEM, "9223372036854775807");
    CHECK_ERROR(cfut_buffer_wrap(bytes, most, free_moved, (moved++, &moved), &buffer), CFUT_EINVAL,
                "more than any");
    CHECK_ERROR(cfut_wait_many(&good.future, most, CFUT_WAIT_ALL, 0, NULL, NULL), CFUT_EINVAL,
                "count is 18446744073709551615");
    CHECK_ERROR(cfut_join(&good.future, half / 4, CFUT_JOIN_ALL, &future), CFUT_EINVAL, "count is ");
    CHECK_ERROR(cfut_options_set_initializer(good.options, good.task, bytes, most), CFUT_EINVAL,
                "more than any");
    CHECK_ERROR(cfut_options_set_initializer(good.options, good.task, bytes, half - 1), CFUT_ENOMEM,
                "");
    CHECK(future == NULL && buffer == NULL);
    CHECK_EQ(cfut_future_state(good.promised), CFUT_STATE_PENDING);
    /* All of it was refused whole: the pool has counted the one task of before. */
    CHECK_EQ(check_stat(good.pool, CFUT_STAT_SUBMITTED), 1);
    free_good();
}

static size_t seen_length;

static int32_t see_length(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    seen_length = length;
    return 0;
}

/* None at all is a size like others. */
static void empty_sizes(void)
{
    cfut_future *future;
    cfut_buffer *buffer;
    size_t length = 7;
    make_good();
    seen_length = 7;
    CHECK_OK(cfut_submit(good.pool, see_length, "abc", 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(seen_length, 0);
    cfut_future_release(future);
    future = NULL;
    CHECK_OK(cfut_submit_many(good.pool, good.task, NULL, 0, 0, &future));
    CHECK_OK(cfut_submit_many(good.pool, good.task, NULL, 8, 0, NULL));
    CHECK(future == NULL);
    CHECK_OK(cfut_join(NULL, 0, CFUT_JOIN_ALL, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    cfut_future_release(future);
    CHECK_OK(cfut_join(NULL, 0, CFUT_JOIN_SETTLED, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    cfut_future_release(future);
    CHECK_OK(cfut_promise_set_bytes(good.promise, NULL, 0));
    CHECK_OK(cfut_future_wait(good.promised, CFUT_NOW));
    cfut_future_bytes(good.promised, &length);
    CHECK_EQ(length, 0);
    CHECK_OK(cfut_buffer_new(0, 0, &buffer));
    CHECK_EQ(cfut_buffer_size(buffer), 0);
    CHECK_OK(cfut_submit_buffer(good.pool, good.task, buffer, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    cfut_buffer_release(buffer);
    free_good();
}

/* Texts: cut where the buffer ends, never written beyond. */
static void small_buffers(void)
{
    char text[8], whole[512];
    size_t length, needed = 0;
    make_good();
    CHECK_STATUS(cfut_executor_warm(NULL, 0), CFUT_EINVAL);
    length = cfut_last_error(NULL, 0);
    CHECK_EQ(cfut_last_error(whole, sizeof whole), length);
    CHECK_EQ(strlen(whole), length);
    for (size_t cap = 0; cap <= sizeof text; cap++) {
        memset(text, '#', sizeof text);
        CHECK_EQ(cfut_last_error(text, cap), length);
        if (cap > 0) {
            CHECK_EQ(strlen(text), cap - 1);
            CHECK(memcmp(text, whole, cap - 1) == 0);
        }
        for (size_t i = cap; i < sizeof text; i++)
            CHECK_EQ(text[i], '#');
        memset(text, '#', sizeof text);
        CHECK_OK(cfut_executor_snapshot(good.pool, text, cap, &needed));
        CHECK(needed > sizeof text);
        for (size_t i = cap; i < sizeof text; i++)
            CHECK_EQ(text[i], '#');
    }
    free_good();
}

/* Names of any length and bytes; messages are cut at 64 KiB and say so. */
static void long_texts(void)
{
    const size_t size = 1 << 20;
    char *text = malloc(size);
    static char state[1 << 16];
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    size_t length;
    make_good();
    memset(text, 0xFF, size - 1); /* no UTF-8 */
    text[size - 1] = '\0';
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, text));
    CHECK_ERROR(cfut_options_set_text(options, CFUT_OPT_PRELOAD, text), CFUT_EINVAL,
                "CFUT_OPT_PRELOAD has 1048575 bytes");
    CHECK_OK(cfut_task_set_text(good.task, CFUT_TASK_NAME, text));
    pool = check_pool_with(options);
    CHECK_OK(cfut_submit_task(pool, good.task, NULL, 0, NULL));
    CHECK_OK(cfut_executor_snapshot(pool, state, sizeof state, &length));
    check_close(pool);
    memset(text, 'm', size - 1);
    CHECK_OK(cfut_promise_fail(good.promise, 1, text));
    length = strlen(cfut_future_message(good.promised));
    CHECK(length <= 64 * 1024);
    CHECK(length > 63 * 1024);
    CHECK(strstr(cfut_future_message(good.promised), "cut") != NULL);
    free(text);
    free_good();
}

/* ---- times ---- */

static const int64_t past[] = { 0, 1 };
static const int64_t far[] = { INT64_MAX, INT64_MAX - 1, CFUT_SEC(4000000000), -1, -2, INT64_MIN,
                               INT64_MIN + 1 };

static void *open_soon(void *at)
{
    check_sleep(CFUT_MSEC(1));
    latch_open(at);
    return NULL;
}

/* A wait that must not end before the gate is opened, and must end then. */
#define WAITS_FOR_GATE(time, call) \
    do { \
        gate at = GATE_CLOSED; \
        cfut_executor *pool = check_pool(1); \
        cfut_future *future = gate_submit(pool, &at), *taken = NULL; \
        cfut_queue *queue; \
        pthread_t opener; \
        CHECK_OK(cfut_queue_new(&queue)); \
        CHECK_OK(cfut_queue_add(queue, future, 1)); \
        CHECK_EQ(pthread_create(&opener, NULL, open_soon, &at.open), 0); \
        CHECK_OK(call); \
        CHECK_EQ(pthread_join(opener, NULL), 0); \
        cfut_future_release(taken); \
        cfut_queue_release(queue); \
        cfut_future_release(future); \
        check_close(pool); \
    } while (0)

static void far_waits(void)
{
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        WAITS_FOR_GATE(far[i], cfut_future_wait(future, far[i]));
        WAITS_FOR_GATE(far[i], cfut_wait_many(&future, 1, CFUT_WAIT_ALL, far[i], NULL, NULL));
        WAITS_FOR_GATE(far[i], cfut_wait_many(&future, 1, CFUT_WAIT_ANY, far[i], NULL, NULL));
        WAITS_FOR_GATE(far[i], cfut_queue_next(queue, far[i], &taken, NULL));
        WAITS_FOR_GATE(far[i], cfut_executor_shutdown(pool, 0, far[i]));
        WAITS_FOR_GATE(far[i], cfut_quiesce(far[i]));
        WAITS_FOR_GATE(far[i], cfut_executor_warm(pool, far[i]));
    }
}

/* A task with this time-out, which stands in its own gate or behind another one. */
static void expires(cfut_executor *pool, int32_t key, int64_t time)
{
    gate at = GATE_CLOSED, *place = &at;
    cfut_future *before = NULL, *future;
    cfut_task *task;
    if (key != CFUT_TASK_RUN_TIMEOUT_NS)
        before = gate_submit(pool, &at);
    CHECK_OK(cfut_task_new(before == NULL ? gate_task : nothing_task, &task));
    CHECK_OK(cfut_task_set(task, key, time));
    CHECK_OK(cfut_submit_task(pool, task, &place, sizeof place, &future));
    cfut_task_free(task);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED);
    latch_open(&at.open);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER)); /* nobody looks at the gate any more */
    cfut_future_release(future);
    cfut_future_release(before);
}

/* Time-outs of tasks at both ends of the range. */
static void far_deadlines(void)
{
    static const int32_t keys[] = { CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_TASK_RUN_TIMEOUT_NS,
                                    CFUT_TASK_TOTAL_TIMEOUT_NS };
    cfut_executor *pool = check_pool(1);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
            cfut_task *task;
            cfut_future *future;
            CHECK_OK(cfut_task_new(nothing_task, &task));
            CHECK_OK(cfut_task_set(task, keys[k], far[i]));
            CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
            CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
            cfut_future_release(future);
            cfut_task_free(task);
        }
        for (size_t i = 0; i < sizeof past / sizeof past[0]; i++)
            expires(pool, keys[k], past[i]);
    }
    check_close(pool);
}

static void far_options(void)
{
    static const int32_t keys[] = { CFUT_OPT_IDLE_NS, CFUT_OPT_FULL_TIMEOUT_NS };
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
            cfut_options *options = cfut_options_new();
            cfut_executor *pool;
            cfut_future *future;
            CHECK_OK(cfut_options_set(options, keys[k], far[i]));
            CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 1));
            pool = check_pool_with(options);
            for (int n = 0; n < 4; n++) {
                CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
                CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
                cfut_future_release(future);
            }
            check_close(pool);
        }
    }
}

/* Idle workers that leave at once, and everything again. */
static void no_idle_time(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 3));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_MIN_WORKERS, 0));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_IDLE_NS, 0));
    pool = check_pool_with(options);
    for (int n = 0; n < 50; n++) {
        cfut_future *future;
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
    CHECK_SOON(check_stat(pool, CFUT_STAT_WORKERS) == 0);
    check_close(pool);
}

/* Numbers at the far end that are allowed. */
static void far_but_allowed(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    cfut_future *future;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, INT64_MAX));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_BYTES, INT64_MAX));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_STACK_SIZE, 65536));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_SPIN_NS, 0));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_NICE, 19));
    pool = check_pool_with(options);
    CHECK_OK(cfut_submit(pool, three_bytes, "abc", 3, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    CHECK_OK(cfut_executor_shutdown(pool, 15, CFUT_FOREVER));
    check_close(pool);
}

CHECK_MAIN(CASE(option_values), CASE(task_values), CASE(options_that_do_not_fit),
           CASE(other_numbers), CASE(names_that_are_none), CASE(huge_sizes), CASE(empty_sizes), CASE(small_buffers),
           CASE(long_texts), CASE(far_waits), CASE(far_deadlines), CASE(far_options),
           CASE(no_idle_time), CASE(far_but_allowed))
