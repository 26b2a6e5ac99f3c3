/* How tasks end that run in other processes: results of every kind and size, failures, requests to
 * stop, time-outs, deaths, and what is known of them afterwards. */
#include "processes.h"

/* ---- results ---- */

struct pattern {
    uint64_t length;
    uint32_t seed;
    uint32_t as; /* one of AS_ */
};

enum { AS_BYTES, AS_BUFFER, AS_SHARED, AS_FAILURE };

static const uint64_t lengths[] = { 0,    1,    7,    8,    15,      16,      17,      959,
                                    960,  961,  8175, 8176, 8191,    8192,    8193,    65535,
                                    65536, 65537, 1 << 20, (1 << 20) + 1, 64 << 20 };

#define LENGTHS (sizeof lengths / sizeof lengths[0])

static void fill(uint8_t *bytes, uint64_t length, uint32_t seed)
{
    for (uint64_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(seed + i + (i >> 8) * 7 + (i >> 16) * 3);
}

static void check_filled(const uint8_t *bytes, uint64_t length, uint32_t seed)
{
    for (uint64_t i = 0; i < length; i++)
        CHECK_EQ(bytes[i], (uint8_t)(seed + i + (i >> 8) * 7 + (i >> 16) * 3));
}

static int32_t pattern_task(cfut_promise *self, const void *data, size_t length)
{
    struct pattern pattern;
    cfut_buffer *buffer;
    CHECK_EQ(length, sizeof pattern);
    memcpy(&pattern, data, length);
    if (pattern.as == AS_BYTES || pattern.as == AS_FAILURE) {
        uint8_t *bytes = malloc(pattern.length + 1);
        CHECK(bytes != NULL);
        fill(bytes, pattern.length, pattern.seed);
        if (pattern.as == AS_BYTES)
            CHECK_OK(cfut_promise_set_bytes(self, bytes, pattern.length));
        else
            CHECK_OK(cfut_promise_fail_bytes(self, 6, "details", bytes, pattern.length));
        memset(bytes, 0xEE, pattern.length); /* it was copied */
        free(bytes);
        return 0;
    }
    CHECK_OK(cfut_buffer_new(pattern.length, pattern.as == AS_SHARED ? CFUT_BUFFER_SHARED : 0,
                             &buffer));
    fill(cfut_buffer_data(buffer), pattern.length, pattern.seed);
    CHECK_OK(cfut_promise_set_buffer(self, buffer));
    cfut_buffer_release(buffer);
    return 0;
}

static void results_as(uint32_t as)
{
    cfut_executor *pool = check_process_pool(2);
    for (size_t round = 0; round < 2; round++) { /* the second finds memory of the first */
        cfut_future *futures[LENGTHS];
        for (size_t i = 0; i < LENGTHS; i++) {
            struct pattern pattern = { lengths[i], (uint32_t)(i + 100 * round), as };
            futures[i] = submit(pool, pattern_task, &pattern, sizeof pattern);
        }
        for (size_t i = 0; i < LENGTHS; i++) {
            size_t length = 99;
            const void *bytes;
            CHECK_STATUS(cfut_future_wait(futures[i], CFUT_FOREVER),
                         as == AS_FAILURE ? CFUT_FAILED : CFUT_OK);
            bytes = cfut_future_bytes(futures[i], &length);
            CHECK_EQ(length, lengths[i]);
            CHECK_EQ((uintptr_t)bytes % 16, 0);
            check_filled(bytes, length, (uint32_t)(i + 100 * round));
            CHECK((cfut_future_buffer(futures[i]) != NULL) == (as == AS_BUFFER || as == AS_SHARED));
            if (as == AS_BUFFER || as == AS_SHARED) {
                cfut_buffer *buffer = cfut_future_buffer(futures[i]);
                CHECK_EQ(cfut_buffer_size(buffer), lengths[i]);
                CHECK(cfut_buffer_data(buffer) == bytes);
            }
            CHECK_EQ(cfut_future_code(futures[i]), as == AS_FAILURE ? 6 : 0);
            CHECK_TEXT(cfut_future_message(futures[i]), as == AS_FAILURE ? "details" : "");
            cfut_future_release(futures[i]);
        }
    }
    check_close(pool);
}

static void bytes_of_every_length(void)
{
    results_as(AS_BYTES);
}

static void buffers_of_every_length(void)
{
    results_as(AS_BUFFER);
}

static void shared_buffers_of_every_length(void)
{
    results_as(AS_SHARED);
}

static void failures_with_bytes(void)
{
    results_as(AS_FAILURE);
}

/* The host keeps results while the worker goes on: none is written over. */
static void results_outlive_their_pool(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[60];
    cfut_buffer *kept[60];
    for (uint32_t i = 0; i < 60; i++) {
        struct pattern pattern = { 100000 + i, i, i % 3 };
        futures[i] = submit(pool, pattern_task, &pattern, sizeof pattern);
    }
    CHECK_OK(cfut_wait_many(futures, 60, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL));
    for (uint32_t i = 0; i < 60; i++)
        kept[i] = cfut_buffer_retain(cfut_future_buffer(futures[i]));
    check_close(pool);
    for (uint32_t i = 0; i < 60; i++) {
        size_t length;
        const void *bytes = cfut_future_bytes(futures[i], &length);
        CHECK_EQ(length, 100000 + i);
        check_filled(bytes, length, i);
        cfut_future_release(futures[i]);
        if (kept[i] != NULL)
            check_filled(cfut_buffer_data(kept[i]), cfut_buffer_size(kept[i]), i);
        cfut_buffer_release(kept[i]);
    }
}

static void nothing_recorded_is_success(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit_nothing(pool);
    size_t length = 9;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_bytes(future, &length);
    CHECK_EQ(length, 0);
    CHECK(cfut_future_buffer(future) == NULL);
    CHECK(cfut_future_value(future) == NULL);
    CHECK_TEXT(cfut_future_message(future), "");
    cfut_future_release(future);
    check_close(pool);
}

/* ---- codes and messages ---- */

static void codes_that_are_returned(void)
{
    static const int32_t codes[] = { 1, -1, 255, 256, -8, INT32_MAX, INT32_MIN + 1 };
    cfut_executor *pool = check_process_pool(2);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        cfut_future *future = submit_code(pool, codes[i]);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), codes[i]);
        cfut_future_release(future);
    }
    check_close(pool);
}

/* A message of so many bytes, each its own digit, after a marker of two bytes a letter. */
static int32_t message_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t size;
    char *text;
    memcpy(&size, data, length);
    text = malloc((size_t)size + 1);
    CHECK(text != NULL);
    for (int32_t i = 0; i < size; i++)
        text[i] = (char)('0' + i % 10);
    text[size] = '\0';
    CHECK_OK(cfut_promise_fail(self, 3, text));
    memset(text, '#', (size_t)size);
    free(text);
    return 0;
}

static void messages_are_cut_at_8_kib(void)
{
    static const int32_t sizes[] = { 0, 1, 100, 8177, 8191, 8192, 8193, 65536, 100000 };
    cfut_executor *pool = check_process_pool(1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cfut_future *future = submit(pool, message_task, &sizes[i], sizeof sizes[i]);
        const char *message;
        size_t length;
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), 3);
        message = cfut_future_message(future);
        length = strlen(message);
        if (sizes[i] <= 8192) {
            CHECK_EQ(length, sizes[i]);
        } else {
            CHECK(length <= 8192 && length > 8100);
            CHECK(strstr(message, "cut at 8 KiB") != NULL);
        }
        for (size_t at = 0; at < length && at < 8100; at++)
            CHECK_EQ(message[at], '0' + at % 10);
        cfut_future_release(future);
    }
    check_close(pool);
}

static int32_t fail_and_return_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t code;
    memcpy(&code, data, length);
    CHECK_OK(cfut_promise_fail(self, 5, "as recorded"));
    CHECK_STATUS(cfut_promise_fail(self, 6, "again"), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_set_bytes(self, "x", 1), CFUT_ESTATE);
    return code;
}

static int32_t record_and_fail_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t code;
    memcpy(&code, data, length);
    CHECK_OK(cfut_promise_set_bytes(self, "dropped", 7));
    return code;
}

static void recorded_and_returned(void)
{
    static const int32_t codes[] = { 0, 8 };
    cfut_executor *pool = check_process_pool(1);
    for (int i = 0; i < 2; i++) {
        cfut_future *future = submit(pool, fail_and_return_task, &codes[i], sizeof codes[i]);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), codes[i] == 0 ? 5 : 8);
        CHECK_TEXT(cfut_future_message(future), "as recorded");
        cfut_future_release(future);
        future = submit(pool, record_and_fail_task, &codes[i], sizeof codes[i]);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), codes[i] == 0 ? CFUT_OK : CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), codes[i]);
        cfut_future_release(future);
    }
    check_close(pool);
}

static int freed;

static void free_value(void *arg)
{
    CHECK(arg == &freed);
    freed++;
}

static int32_t value_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    freed = 0;
    CHECK_ERROR(cfut_promise_set_value(self, &freed, free_value), CFUT_ENOTSUP, "process");
    CHECK_EQ(freed, 1);
    CHECK_ERROR(cfut_promise_fail_value(self, 1, "x", &freed, free_value), CFUT_ENOTSUP, "process");
    CHECK_EQ(freed, 2);
    return cfut_promise_set_bytes(self, "bytes instead", 13);
}

static void values_are_refused(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit(pool, value_task, NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK(memcmp(cfut_future_bytes(future, NULL), "bytes instead", 13) == 0);
    CHECK(cfut_future_take(future) == NULL);
    cfut_future_release(future);
    check_close(pool);
}

static int32_t limited_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_buffer *buffer;
    int32_t fits;
    memcpy(&fits, data, length);
    CHECK_ERROR(cfut_promise_set_bytes(self, "12345", 5), CFUT_EFULL, "CFUT_TASK_OUTPUT_LIMIT");
    CHECK_OK(cfut_buffer_new(5, 0, &buffer));
    CHECK_STATUS(cfut_promise_set_buffer(self, buffer), CFUT_EFULL);
    cfut_buffer_release(buffer);
    return cfut_promise_set_bytes(self, "1234", (size_t)fits);
}

static void output_limit(void)
{
    cfut_executor *pool = check_process_pool(1);
    static const int32_t sizes[] = { 0, 3, 4 };
    for (int i = 0; i < 3; i++) {
        cfut_task *task = task_with(limited_task, CFUT_TASK_OUTPUT_LIMIT, 4);
        cfut_future *future = submit_once(pool, task, &sizes[i], sizeof sizes[i]);
        size_t length;
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_bytes(future, &length);
        CHECK_EQ(length, sizes[i]);
        cfut_future_release(future);
    }
    check_close(pool);
}

/* ---- tasks that answer later ---- */

static void *answer_later(void *arg)
{
    cfut_promise *promise = arg;
    CHECK_SOON(atomic_load(&board->gates[0].open));
    CHECK_OK(cfut_promise_set_bytes(promise, "late", 4));
    cfut_promise_release(promise);
    return NULL;
}

static int32_t detach_to_thread_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    pthread_t thread = thread_start(answer_later, cfut_promise_retain(self));
    CHECK_EQ(pthread_detach(thread), 0);
    enter(&call);
    return CFUT_DETACH;
}

static void detached_answers_from_another_thread(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit_call(pool, detach_to_thread_task, 0, 0);
    entered(0, 1);
    CHECK_EQ(pid_of_next(pool), board->gates[0].pid); /* the worker goes on meanwhile */
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_EQ(check_stat(pool, CFUT_STAT_RUNNING), 1);
    open_gate(0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK(memcmp(cfut_future_bytes(future, NULL), "late", 4) == 0);
    cfut_future_release(future);
    check_close(pool);
}

static cfut_promise *kept; /* in the worker */

static int32_t keep_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    kept = cfut_promise_retain(self);
    return CFUT_DETACH;
}

static int32_t answer_kept_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t how;
    (void)self;
    memcpy(&how, data, length);
    CHECK(kept != NULL);
    if (how == CFUT_OK)
        CHECK_OK(cfut_promise_set_bytes(kept, "by a later task", 15));
    else if (how == CFUT_FAILED)
        CHECK_OK(cfut_promise_fail(kept, 77, "by a later task"));
    else if (how == CFUT_CANCELLED)
        CHECK_OK(cfut_promise_set_cancelled(kept));
    cfut_promise_release(kept); /* BROKEN: it was the last */
    kept = NULL;
    return 0;
}

static void detached_answers_by_a_later_task(void)
{
    static const int32_t ends[] = { CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, CFUT_BROKEN };
    cfut_executor *pool = check_process_pool(1);
    for (int i = 0; i < 4; i++) {
        cfut_future *future = submit(pool, keep_task, NULL, 0);
        CHECK_OK(end_of(submit(pool, answer_kept_task, &ends[i], sizeof ends[i])));
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), ends[i]);
        if (ends[i] == CFUT_FAILED) {
            CHECK_EQ(cfut_future_code(future), 77);
            CHECK_TEXT(cfut_future_message(future), "by a later task");
        }
        if (ends[i] == CFUT_BROKEN)
            CHECK(strstr(cfut_future_message(future), "promise released") != NULL);
        cfut_future_release(future);
    }
    check_close(pool);
}

static int32_t detach_without_keeping_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    return CFUT_DETACH;
}

static void detached_without_a_promise_is_broken(void)
{
    cfut_executor *pool = check_process_pool(1);
    expect_promise_released(submit(pool, detach_without_keeping_task, NULL, 0));
    check_close(pool);
}

/* The shutdown waits for what is still to be answered. */
static void shutdown_waits_for_detached(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit_call(pool, detach_to_thread_task, 0, 0);
    entered(0, 1);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_MSEC(5)), CFUT_TIMEOUT);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    open_gate(0);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    cfut_future_release(future);
    check_close(pool);
}

/* ---- progress ---- */

static int32_t progress_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    CHECK_OK(cfut_promise_set_progress(self, 3, 10));
    enter(&call);
    CHECK_SOON(atomic_load(&board->gates[call.gate].open));
    CHECK_OK(cfut_promise_set_progress(self, 1ULL << 40, UINT64_MAX));
    return call.number;
}

static void progress_is_seen(void)
{
    static const int32_t ends[] = { 0, 4 };
    for (int i = 0; i < 2; i++) {
        cfut_executor *pool = check_process_pool(1);
        cfut_future *future = submit_call(pool, progress_task, i, ends[i]);
        uint64_t done = 9, total = 9;
        entered(i, 1);
        CHECK_OK(cfut_future_progress(future, &done, &total));
        CHECK_EQ(done, 3);
        CHECK_EQ(total, 10);
        open_gate(i);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), ends[i] == 0 ? CFUT_OK : CFUT_FAILED);
        CHECK_OK(cfut_future_progress(future, &done, &total));
        CHECK(done == 1ULL << 40 && total == UINT64_MAX);
        cfut_future_release(future);
        future = submit_nothing(pool); /* has none of the one before */
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_OK(cfut_future_progress(future, &done, &total));
        CHECK_EQ(done, 0);
        CHECK_EQ(total, 0);
        cfut_future_release(future);
        check_close(pool);
    }
}

/* ---- requests to stop ---- */

static void cancel_of_waiting_ones(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *busy = stand(pool, 0), *waiting[6];
    for (int i = 0; i < 6; i++)
        waiting[i] = submit_call(pool, see_task, 0, i);
    for (int i = 0; i < 6; i += 2) { /* in the worker already, and in the host */
        CHECK_OK(cfut_future_cancel(waiting[i], i == 2 ? CFUT_CANCEL_KILL : CFUT_CANCEL_PENDING));
        CHECK_STATUS(cfut_future_wait(waiting[i], CFUT_NOW), CFUT_CANCELLED);
        CHECK_EQ(info_of(waiting[i], CFUT_INFO_ATTEMPTS), 0);
        CHECK_EQ(info_of(waiting[i], CFUT_INFO_WORKER_PID), 0);
    }
    open_gate(0);
    CHECK_OK(end_of(busy));
    for (int i = 0; i < 6; i++)
        CHECK_STATUS(end_of(waiting[i]), i % 2 == 0 ? CFUT_CANCELLED : CFUT_OK);
    CHECK_EQ(board->count, 3);
    CHECK_EQ(board->seen[0], 1);
    CHECK_EQ(board->seen[1], 3);
    CHECK_EQ(board->seen[2], 5);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CANCELLED), 3);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1);
    check_close(pool);
}

static int32_t seen_stop_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    CHECK_EQ(cfut_promise_stop_requested(self), 0); /* none of the task before */
    enter(&call);
    CHECK_SOON(cfut_promise_stop_requested(self));
    return cfut_promise_set_bytes(self, "finished all the same", 21);
}

static void cancel_with_stop(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit_call(pool, heed_task, 0, 0);
    entered(0, 1);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_CANCELLED);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_STOP)); /* cancelled before */
    cfut_future_release(future);
    for (int i = 1; i < 4; i++) {
        future = submit_call(pool, seen_stop_task, i, 0);
        entered(i, 1);
        CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK(memcmp(cfut_future_bytes(future, NULL), "finished all the same", 21) == 0);
        cfut_future_release(future);
    }
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1);
    check_close(pool);
}

static void shutdown_raises_the_stop_flag(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit_call(pool, seen_stop_task, 0, 0);
    entered(0, 1);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_STOP, CFUT_FOREVER));
    CHECK_OK(end_of(future));
    check_close(pool);
}

/* The future is settled at once, the worker has its grace; a task beside it notices nothing. */
static void cancel_with_kill(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_with(stubborn_task, CFUT_TASK_GRACE_NS, CFUT_MSEC(50));
    cfut_future *beside = stand(pool, 1);
    cfut_future *future = submit_call_once(pool, task, 0, 0), *next;
    entered(0, 1);
    next = submit(pool, pid_task, NULL, 0); /* behind either of them */
    int64_t asked = check_now();
    cfut_status status = cfut_future_cancel(future, CFUT_CANCEL_KILL);
    CHECK(status == CFUT_OK || status == CFUT_PENDING);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CANCELLED);
    gone(board->gates[0].pid);
    CHECK(check_now() - asked >= CFUT_MSEC(50)); /* not before the grace */
    CHECK_OK(cfut_future_wait(next, CFUT_FOREVER));
    CHECK(integer_of(next) != board->gates[0].pid);
    CHECK_STATUS(cfut_future_wait(beside, CFUT_NOW), CFUT_TIMEOUT);
    open_gate(1);
    CHECK_OK(end_of(beside));
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CANCELLED), 1);
    cfut_future_release(future);
    cfut_future_release(next);
    check_close(pool);
}

/* One that stops within the grace costs no worker. */
static void cancel_with_kill_of_one_that_heeds(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_with(heed_task, CFUT_TASK_GRACE_NS, -1); /* all the time it wants */
    cfut_future *future = submit_call_once(pool, task, 0, 0);
    entered(0, 1);
    cfut_status status = cfut_future_cancel(future, CFUT_CANCEL_KILL);
    CHECK(status == CFUT_OK || status == CFUT_PENDING);
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    CHECK_EQ(pid_of_next(pool), board->gates[0].pid);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1);
    check_close(pool);
}

/* ---- time-outs ---- */

static void queue_time_out(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *busy = stand(pool, 0), *expiring[4];
    for (int i = 0; i < 4; i++)
        expiring[i] = submit_call_once(
            pool, task_with(see_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(5)), 0, i);
    for (int i = 0; i < 4; i++) { /* also the one that is in the worker already */
        CHECK_STATUS(cfut_future_wait(expiring[i], CFUT_FOREVER), CFUT_EXPIRED);
        CHECK(strstr(cfut_future_message(expiring[i]), "CFUT_TASK_QUEUE_TIMEOUT_NS") != NULL);
        cfut_future_release(expiring[i]);
    }
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_OK(end_of(submit_once(
        pool, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_SEC(1000)), NULL, 0)));
    CHECK_EQ(board->count, 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_EXPIRED), 4);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1);
    check_close(pool);
}

/* A queue time-out ends with the start, however long the task runs. */
static void queue_time_out_ends_with_the_start(void)
{
    cfut_executor *pool = check_process_pool(1);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    cfut_future *future = submit_call_once(
        pool, task_with(stand_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_SEC(5)), 0, 0);
    entered(0, 1);
    check_sleep(CFUT_MSEC(20));
    open_gate(0);
    CHECK_OK(end_of(future));
    check_close(pool);
}

static void run_time_out_of_one_that_heeds(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_with(heed_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(10));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, -1));
    cfut_future *future = submit_call_once(pool, task, 0, 0);
    CHECK_STATUS(end_of(future), CFUT_EXPIRED);
    CHECK_EQ(pid_of_next(pool), board->gates[0].pid);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1);
    check_close(pool);
}

/* The time of waiting does not count. */
static void run_time_out_starts_with_the_run(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *busy = stand(pool, 0);
    cfut_future *future = submit_once(
        pool, task_with(pid_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(20)), NULL, 0);
    cfut_future *expiring = submit_call_once(
        pool, task_with(heed_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(2)), 1, 0);
    check_sleep(CFUT_MSEC(10));
    CHECK_EQ(cfut_future_state(expiring), CFUT_STATE_PENDING);
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_OK(end_of(future));
    CHECK_STATUS(end_of(expiring), CFUT_EXPIRED);
    CHECK_EQ(board->gates[1].entered, 1);
    check_close(pool);
}

static void total_time_out(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_with(stubborn_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(300));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, 0));
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    cfut_future *running = submit_call_once(pool, task, 0, 0);
    cfut_future *waiting = submit_call_once(
        pool, task_with(see_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(1)), 0, 1);
    CHECK_STATUS(cfut_future_wait(waiting, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK_STATUS(cfut_future_wait(running, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK(strstr(cfut_future_message(running), "CFUT_TASK_TOTAL_TIMEOUT_NS") != NULL);
    if (board->gates[0].entered > 0)
        gone(board->gates[0].pid);
    cfut_future_release(running);
    cfut_future_release(waiting);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

/* ---- deaths ---- */

static void death_by_signal(void)
{
    static const int signals[] = { SIGSEGV, SIGABRT, SIGKILL, SIGTERM, SIGFPE };
    cfut_executor *pool = check_process_pool(1);
    for (int i = 0; i < 5; i++) {
        cfut_future *future = submit_call(pool, die_task, i, signals[i]);
        cfut_future *behind = submit(pool, pid_task, NULL, 0);
        char number[16];
        entered(i, 1);
        open_gate(i);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
        CHECK_EQ(cfut_future_state(future), CFUT_STATE_FINISHED);
        CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), signals[i]);
        CHECK_EQ(info_of(future, CFUT_INFO_EXIT_CODE), 0);
        CHECK_EQ(info_of(future, CFUT_INFO_WORKER_PID), board->gates[i].pid);
        CHECK_EQ(info_of(future, CFUT_INFO_ATTEMPTS), 1);
        CHECK_EQ(info_of(future, CFUT_INFO_OUT_OF_MEMORY), 0);
        CHECK(info_of(future, CFUT_INFO_MAX_RSS) > 0);
        snprintf(number, sizeof number, "signal %d", signals[i]);
        CHECK(strstr(cfut_future_message(future), number) != NULL);
        CHECK_OK(cfut_future_wait(behind, CFUT_FOREVER)); /* it had not begun: it moves on */
        CHECK(integer_of(behind) != board->gates[i].pid);
        CHECK_EQ(info_of(behind, CFUT_INFO_ATTEMPTS), 1);
        cfut_future_release(future);
        cfut_future_release(behind);
    }
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 5);
    check_close(pool);
}

static int32_t exit_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t code;
    (void)self;
    memcpy(&code, data, length);
    exit(code);
}

static void death_by_exit(void)
{
    static const int32_t codes[] = { 0, 3, 255 };
    cfut_executor *pool = check_process_pool(2);
    for (int i = 0; i < 3; i++) {
        cfut_future *future = submit(pool, exit_task, &codes[i], sizeof codes[i]);
        char words[32];
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
        CHECK_EQ(info_of(future, CFUT_INFO_EXIT_CODE), codes[i]);
        CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), 0);
        snprintf(words, sizeof words, "status %d", codes[i]);
        CHECK(strstr(cfut_future_message(future), words) != NULL);
        cfut_future_release(future);
    }
    check_close(pool);
}

/* Dies until it was called as often as its number says. */
static int32_t die_at_first_task(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    (void)self;
    enter(&call);
    if (atomic_load(&board->gates[call.gate].entered) < call.number)
        raise(SIGKILL);
    return 0;
}

static void attempts_after_deaths(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *good = submit_call_once(pool, task_with(die_at_first_task, CFUT_TASK_ATTEMPTS, 3),
                                         0, 3);
    CHECK_OK(cfut_future_wait(good, CFUT_FOREVER));
    CHECK_EQ(info_of(good, CFUT_INFO_ATTEMPTS), 3);
    CHECK_EQ(info_of(good, CFUT_INFO_SIGNAL), 0);
    CHECK_EQ(info_of(good, CFUT_INFO_WORKER_PID), board->gates[0].pid);
    cfut_future *bad = submit_call_once(pool, task_with(die_at_first_task, CFUT_TASK_ATTEMPTS, 2),
                                        1, 9);
    CHECK_STATUS(cfut_future_wait(bad, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_EQ(info_of(bad, CFUT_INFO_ATTEMPTS), 2);
    CHECK_EQ(board->gates[1].entered, 2);
    /* A failure is no death: it is not tried again. */
    int32_t seven = 7;
    cfut_future *failing = submit_once(pool, task_with(return_task, CFUT_TASK_ATTEMPTS, 5), &seven,
                                       sizeof seven);
    CHECK_STATUS(cfut_future_wait(failing, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(info_of(failing, CFUT_INFO_ATTEMPTS), 1);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 1);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 1);
    cfut_future_release(good);
    cfut_future_release(bad);
    cfut_future_release(failing);
    check_close(pool);
}

/* Between two attempts it waits as RUNNING; cancelled there, it does not begin again. */
static void attempts_end_with_a_time_out(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_with(die_at_first_task, CFUT_TASK_ATTEMPTS, 1000000);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(100)));
    cfut_future *future = submit_call_once(pool, task, 0, INT32_MAX);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED);
    cfut_future_release(future);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

/* ---- what is known of a task ---- */

static int32_t compute_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t wanted, pid = getpid();
    struct timespec used;
    memcpy(&wanted, data, length);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    int64_t begun = used.tv_sec * 1000000000LL + used.tv_nsec;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    } while (used.tv_sec * 1000000000LL + used.tv_nsec - begun < wanted);
    return cfut_promise_set_bytes(self, &pid, sizeof pid);
}

static void infos(void)
{
    cfut_executor *pool = check_process_pool(1);
    int64_t wanted = CFUT_MSEC(20), value = 9;
    cfut_future *busy = stand(pool, 0);
    CHECK_STATUS(cfut_future_info(busy, CFUT_INFO_RUN_NS, &value), CFUT_PENDING);
    CHECK_STATUS(cfut_future_info(busy, CFUT_INFO_WORKER_PID, &value), CFUT_PENDING);
    CHECK_EQ(value, 9);
    cfut_future *future = submit(pool, compute_task, &wanted, sizeof wanted);
    check_sleep(CFUT_MSEC(2));
    open_gate(0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(info_of(future, CFUT_INFO_WORKER_PID), integer_of(future));
    CHECK_EQ(info_of(future, CFUT_INFO_WORKER_PID), board->gates[0].pid);
    CHECK_EQ(info_of(future, CFUT_INFO_ATTEMPTS), 1);
    CHECK(info_of(future, CFUT_INFO_QUEUED_NS) >= CFUT_MSEC(2));
    CHECK(info_of(future, CFUT_INFO_RUN_NS) >= wanted);
    CHECK(info_of(future, CFUT_INFO_CPU_NS) >= wanted);
    CHECK(info_of(future, CFUT_INFO_CPU_NS) <= info_of(future, CFUT_INFO_RUN_NS) * 2);
    CHECK_EQ(info_of(future, CFUT_INFO_EXIT_CODE), 0);
    CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), 0);
    CHECK_EQ(info_of(future, CFUT_INFO_OUT_OF_MEMORY), 0);
    CHECK_ERROR(cfut_future_info(future, 10, &value), CFUT_ENOTSUP, "10 is no info");
    CHECK_OK(end_of(busy));
    cfut_future_release(future);
    check_close(pool);
}

/* The worker has at most one of those that were there first. */
static void priorities(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *busy = stand(pool, 0), *futures[15];
    for (int32_t i = 0; i < 15; i++) {
        int32_t priority = i / 5 - 1;
        futures[i] = submit_call_once(pool, task_with(see_task, CFUT_TASK_PRIORITY, priority), 0, i);
    }
    open_gate(0);
    CHECK_OK(end_of(busy));
    for (int i = 0; i < 15; i++)
        CHECK_OK(end_of(futures[i]));
    CHECK_EQ(board->count, 15);
    int at = board->seen[0] == 0; /* it had that one ahead */
    for (int i = 10; i < 15; i++)
        CHECK_EQ(board->seen[at++], i);
    for (int i = 5; i < 10; i++)
        CHECK_EQ(board->seen[at++], i);
    for (int i = board->seen[0] == 0; i < 5; i++)
        CHECK_EQ(board->seen[at++], i);
    check_close(pool);
}

static void one_worker_keeps_the_order(void)
{
    cfut_executor *pool = check_process_pool(1);
    struct call call = call_of(0, 0);
    for (int i = 0; i < 2000; i++) {
        call.number = i;
        CHECK_OK(cfut_submit(pool, see_task, &call, sizeof call, NULL));
    }
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(board->count, 2000);
    for (int i = 0; i < 2000; i++)
        CHECK_EQ(board->seen[i], i);
    check_close(pool);
}

/* ---- figures ---- */

/* Every way to end, in turn; each is counted once. */
static void figures_add_up(void)
{
    enum { ROUNDS = 30 };
    cfut_executor *pool = check_process_pool(2);
    cfut_future *busy[2] = { stand(pool, 0), stand(pool, 0) };
    cfut_future *futures[5][ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        futures[0][i] = submit_nothing(pool);
        futures[1][i] = submit_code(pool, 1);
        futures[2][i] = submit_nothing(pool);
        CHECK_OK(cfut_future_cancel(futures[2][i], CFUT_CANCEL_PENDING));
        futures[3][i] = submit_once(
            pool, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, 0), NULL, 0);
        futures[4][i] = submit_call(pool, die_task, 1, SIGKILL);
    }
    CHECK_EQ(check_stat(pool, CFUT_STAT_RUNNING), 2);
    CHECK_OK(cfut_wait_many(futures[3], ROUNDS, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL));
    open_gate(1);
    open_gate(0);
    static const cfut_status ends[5] = { CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, CFUT_EXPIRED,
                                         CFUT_CRASHED };
    for (int kind = 0; kind < 5; kind++) {
        for (int i = 0; i < ROUNDS; i++)
            CHECK_STATUS(end_of(futures[kind][i]), ends[kind]);
    }
    CHECK_OK(end_of(busy[0]));
    CHECK_OK(end_of(busy[1]));
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 5 * ROUNDS + 2);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), ROUNDS + 2);
    CHECK_EQ(check_stat(pool, CFUT_STAT_FAILED), ROUNDS);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CANCELLED), ROUNDS);
    CHECK_EQ(check_stat(pool, CFUT_STAT_EXPIRED), ROUNDS);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), ROUNDS);
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_RUNNING), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_OLDEST_QUEUED_NS), 0);
    check_close(pool);
}

CHECK_MAIN_WORKER(
    board_make(), CASE(bytes_of_every_length), CASE(buffers_of_every_length),
    CASE(shared_buffers_of_every_length), CASE(failures_with_bytes), CASE(results_outlive_their_pool),
    CASE(nothing_recorded_is_success), CASE(codes_that_are_returned), CASE(messages_are_cut_at_8_kib),
    CASE(recorded_and_returned), CASE(values_are_refused), CASE(output_limit),
    CASE(detached_answers_from_another_thread), CASE(detached_answers_by_a_later_task),
    CASE(detached_without_a_promise_is_broken), CASE(shutdown_waits_for_detached),
    CASE(progress_is_seen), CASE(cancel_of_waiting_ones), CASE(cancel_with_stop),
    CASE(shutdown_raises_the_stop_flag), CASE(cancel_with_kill),
    CASE(cancel_with_kill_of_one_that_heeds), CASE(queue_time_out),
    CASE(queue_time_out_ends_with_the_start), CASE(run_time_out_of_one_that_heeds),
    CASE(run_time_out_starts_with_the_run), CASE(total_time_out), CASE(death_by_signal),
    CASE(death_by_exit), CASE(attempts_after_deaths), CASE(attempts_end_with_a_time_out),
    CASE(infos), CASE(priorities), CASE(one_worker_keeps_the_order), CASE(figures_add_up))
