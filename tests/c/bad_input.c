/* Arguments that are wrong: the status says so, the text names the value and what to do, and
 * what was moved is freed once all the same.
 *
 * The tables of NULLs have one row for each pointer parameter of each export: a test in Rust
 * compares them with the header. */
#include "check.h"

#include <limits.h>

/* What calls are given besides the argument that is wrong. */
static struct {
    cfut_executor *pool;
    cfut_task *task;
    cfut_options *options;
    cfut_future *future; /* settled: three bytes */
    cfut_promise *promise;
    cfut_future *promised;
    cfut_queue *queue;
    cfut_buffer *buffer;
} good;

static int moved; /* arguments handed over */
static int freed;

static void free_moved(void *arg)
{
    CHECK(arg == (void *)&moved);
    freed++;
}

/* An argument and its free function. */
#define MOVED (moved++, (void *)&moved), free_moved

static int32_t closure(cfut_promise *self, void *arg)
{
    (void)self;
    (void)arg;
    return 0;
}

static int32_t range(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)begin;
    (void)end;
    return closure(self, arg);
}

static int32_t then(cfut_promise *self, cfut_future *input, void *arg)
{
    (void)input;
    return closure(self, arg);
}

static int32_t source(void *arg, const void **data, size_t *length)
{
    (void)arg;
    (void)data;
    (void)length;
    return CFUT_END;
}

static void done(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
}

static int32_t hook(void *arg, uint32_t worker)
{
    (void)arg;
    (void)worker;
    return 0;
}

static int32_t three_bytes(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, "abc", 3);
}

static void make_good(void)
{
    good.pool = check_pool(1);
    CHECK_OK(cfut_task_new(nothing_task, &good.task));
    good.options = cfut_options_new();
    CHECK(good.options != NULL);
    CHECK_OK(cfut_submit(good.pool, three_bytes, NULL, 0, &good.future));
    CHECK_OK(cfut_future_wait(good.future, CFUT_FOREVER));
    CHECK_OK(cfut_promise_new(&good.promise, &good.promised));
    CHECK_OK(cfut_queue_new(&good.queue));
    CHECK_OK(cfut_buffer_new(3, 0, &good.buffer));
}

static void free_good(void)
{
    cfut_task_free(good.task);
    cfut_options_free(good.options);
    cfut_future_release(good.future);
    cfut_promise_release(good.promise);
    cfut_future_release(good.promised);
    cfut_queue_release(good.queue);
    cfut_buffer_release(good.buffer);
    check_close(good.pool);
    CHECK_EQ(freed, moved);
}

/* ---- NULL ---- */

/* The parameter must not be NULL: EINVAL, and a text with these words; nothing is written. */
#define REFUSES(call, parameter, words, arguments) \
    CHECK_ERROR(call arguments, CFUT_EINVAL, words); \
    CHECK_ERROR(CFUT_EINVAL, CFUT_EINVAL, "NULL")
/* It may be NULL. */
#define ALLOWS(call, parameter, arguments) CHECK_OK(call arguments)
/* A call without a status: what it gives for NULL. */
#define GIVES(call, parameter, value, arguments) CHECK(call arguments == (value))
#define DOES_NOTHING(call, parameter, arguments) call arguments
/* The whole call comes with a later version, and must say that. */
#define LATER(call, parameter, arguments) CHECK_ERROR(call arguments, CFUT_ENOTSUP, "later version")

static void null_library_and_options(void)
{
    char text[8];
    make_good();
    GIVES(cfut_last_error, buf, strlen("the executor is NULL"),
          (cfut_executor_warm(NULL, 0) == CFUT_EINVAL ? NULL : text, 8));
    ALLOWS(cfut_set_log, fn, (NULL, MOVED));
    ALLOWS(cfut_set_log, arg, (NULL, NULL, NULL));
    ALLOWS(cfut_set_log, arg_free, (NULL, &moved, NULL));
    DOES_NOTHING(cfut_options_free, options, (NULL));
    REFUSES(cfut_options_set, options, "options", (NULL, CFUT_OPT_WORKERS, 1));
    REFUSES(cfut_options_set_text, options, "options", (NULL, CFUT_OPT_NAME, "x"));
    REFUSES(cfut_options_set_text, text, "text", (good.options, CFUT_OPT_NAME, NULL));
    REFUSES(cfut_options_set_initializer, options, "options", (NULL, good.task, NULL, 0));
    ALLOWS(cfut_options_set_initializer, task, (good.options, NULL, NULL, 0));
    REFUSES(cfut_options_set_initializer, data, "data", (good.options, good.task, NULL, 9));
    REFUSES(cfut_options_set_worker_hooks, options, "options", (NULL, hook, hook, MOVED));
    ALLOWS(cfut_options_set_worker_hooks, start, (good.options, NULL, hook, MOVED));
    ALLOWS(cfut_options_set_worker_hooks, stop, (good.options, hook, NULL, MOVED));
    ALLOWS(cfut_options_set_worker_hooks, arg, (good.options, hook, hook, NULL, NULL));
    ALLOWS(cfut_options_set_worker_hooks, arg_free, (good.options, hook, hook, &moved, NULL));
    REFUSES(cfut_options_add_worker_arg, options, "options", (NULL, "x"));
    REFUSES(cfut_options_add_worker_arg, arg, "argument", (good.options, NULL));
    REFUSES(cfut_options_add_worker_env, options, "options", (NULL, "x", "y"));
    REFUSES(cfut_options_add_worker_env, name, "name", (good.options, NULL, "y"));
    REFUSES(cfut_options_add_worker_env, value, "value", (good.options, "x", NULL));
    free_good();
}

static void null_executors(void)
{
    cfut_executor *made = NULL;
    size_t number = 7;
    int64_t value = 7;
    int fd = 7;
    char text[8];
    make_good();
    ALLOWS(cfut_thread_pool_new, options, (NULL, &made));
    check_close(made);
    made = NULL;
    REFUSES(cfut_thread_pool_new, out, "out", (NULL, NULL));
    LATER(cfut_process_pool_new, options, (NULL, &made));
    REFUSES(cfut_process_pool_new, out, "out", (good.options, NULL));
    LATER(cfut_loop_new, options, (NULL, &made));
    REFUSES(cfut_loop_new, out, "out", (good.options, NULL));
    REFUSES(cfut_loop_run, loop, "executor", (NULL, 0, 0, &number));
    CHECK_EQ(number, 0);
    LATER(cfut_loop_run, ran, (good.pool, 0, 0, NULL));
    REFUSES(cfut_loop_fd, loop, "executor", (NULL, &fd));
    REFUSES(cfut_loop_fd, fd, "fd", (good.pool, NULL));
    REFUSES(cfut_limited_new, parent, "executor", (NULL, 1, &made));
    REFUSES(cfut_limited_new, out, "out", (good.pool, 1, NULL));
    GIVES(cfut_executor_retain, executor, NULL, (NULL));
    DOES_NOTHING(cfut_executor_release, executor, (NULL));
    REFUSES(cfut_executor_warm, executor, "executor", (NULL, CFUT_FOREVER));
    REFUSES(cfut_executor_shutdown, executor, "executor", (NULL, 0, CFUT_FOREVER));
    REFUSES(cfut_executor_stat, executor, "executor", (NULL, CFUT_STAT_WORKERS, &value));
    REFUSES(cfut_executor_stat, out, "out", (good.pool, CFUT_STAT_WORKERS, NULL));
    number = 7;
    REFUSES(cfut_executor_snapshot, executor, "executor", (NULL, text, sizeof text, &number));
    CHECK_EQ(number, 7);
    ALLOWS(cfut_executor_snapshot, buf, (good.pool, NULL, 100, &number));
    CHECK(number > 7);
    REFUSES(cfut_executor_snapshot, len, "len", (good.pool, text, sizeof text, NULL));
    CHECK(made == NULL);
    CHECK_EQ(value, 7);
    CHECK_EQ(fd, 7);
    free_good();
}

static void null_tasks_and_submits(void)
{
    cfut_task *made = NULL;
    cfut_future *future = NULL;
    make_good();
    REFUSES(cfut_task_new, fn, "task function", (NULL, &made));
    REFUSES(cfut_task_new, out, "out", (nothing_task, NULL));
    REFUSES(cfut_task_new_named, name, "name", (NULL, &made));
    REFUSES(cfut_task_new_named, out, "out", ("x", NULL));
    REFUSES(cfut_task_new_command, program, "program", (NULL, &made));
    REFUSES(cfut_task_new_command, out, "out", ("x", NULL));
    REFUSES(cfut_task_add_arg, task, "task", (NULL, "x"));
    REFUSES(cfut_task_add_arg, arg, "argument", (good.task, NULL));
    REFUSES(cfut_task_add_env, task, "task", (NULL, "x", "y"));
    REFUSES(cfut_task_add_env, name, "name", (good.task, NULL, "y"));
    REFUSES(cfut_task_add_env, value, "value", (good.task, "x", NULL));
    REFUSES(cfut_task_set, task, "task", (NULL, CFUT_TASK_PRIORITY, 0));
    REFUSES(cfut_task_set_text, task, "task", (NULL, CFUT_TASK_NAME, "x"));
    REFUSES(cfut_task_set_text, text, "text", (good.task, CFUT_TASK_NAME, NULL));
    DOES_NOTHING(cfut_task_free, task, (NULL));
    REFUSES(cfut_submit, executor, "executor", (NULL, nothing_task, NULL, 0, &future));
    REFUSES(cfut_submit, fn, "task function", (good.pool, NULL, NULL, 0, &future));
    REFUSES(cfut_submit, data, "len is 9", (good.pool, nothing_task, NULL, 9, &future));
    ALLOWS(cfut_submit, out, (good.pool, nothing_task, NULL, 0, NULL));
    REFUSES(cfut_submit_task, executor, "executor", (NULL, good.task, NULL, 0, &future));
    REFUSES(cfut_submit_task, task, "task", (good.pool, NULL, NULL, 0, &future));
    REFUSES(cfut_submit_task, data, "len is 9", (good.pool, good.task, NULL, 9, &future));
    ALLOWS(cfut_submit_task, out, (good.pool, good.task, NULL, 0, NULL));
    REFUSES(cfut_submit_buffer, executor, "executor", (NULL, good.task, good.buffer, &future));
    REFUSES(cfut_submit_buffer, task, "task", (good.pool, NULL, good.buffer, &future));
    REFUSES(cfut_submit_buffer, buffer, "buffer", (good.pool, good.task, NULL, &future));
    ALLOWS(cfut_submit_buffer, out, (good.pool, good.task, good.buffer, NULL));
    REFUSES(cfut_submit_closure, executor, "executor", (NULL, closure, MOVED, &future));
    REFUSES(cfut_submit_closure, fn, "closure", (good.pool, NULL, MOVED, &future));
    ALLOWS(cfut_submit_closure, arg, (good.pool, closure, NULL, NULL, NULL));
    ALLOWS(cfut_submit_closure, arg_free, (good.pool, closure, &moved, NULL, NULL));
    ALLOWS(cfut_submit_closure, out, (good.pool, closure, MOVED, NULL));
    REFUSES(cfut_submit_many, executor, "executor", (NULL, good.task, "abc", 1, 3, NULL));
    REFUSES(cfut_submit_many, task, "task", (good.pool, NULL, "abc", 1, 3, NULL));
    REFUSES(cfut_submit_many, items, "NULL", (good.pool, good.task, NULL, 1, 3, NULL));
    ALLOWS(cfut_submit_many, out, (good.pool, good.task, "abc", 1, 3, NULL));
    CHECK(made == NULL);
    CHECK(future == NULL);
    free_good();
}

/* None of these works yet; each must say so, whatever it is given, and free what was moved. */
static void null_maps(void)
{
    cfut_map *map = NULL;
    cfut_future *future = NULL;
    void *args[1];
    char results[3];
    make_good();
    LATER(cfut_map_new, executor, (NULL, good.task, "abc", 1, 3, &map));
    LATER(cfut_map_new, task, (good.pool, NULL, "abc", 1, 3, &map));
    LATER(cfut_map_new, items, (good.pool, good.task, NULL, 1, 3, &map));
    LATER(cfut_map_new, out, (good.pool, good.task, "abc", 1, 3, NULL));
    LATER(cfut_map_new_source, executor, (NULL, good.task, source, MOVED, &map));
    LATER(cfut_map_new_source, task, (good.pool, NULL, source, MOVED, &map));
    LATER(cfut_map_new_source, next, (good.pool, good.task, NULL, MOVED, &map));
    LATER(cfut_map_new_source, arg, (good.pool, good.task, source, NULL, NULL, &map));
    LATER(cfut_map_new_source, arg_free, (good.pool, good.task, source, &moved, NULL, &map));
    LATER(cfut_map_new_source, out, (good.pool, good.task, source, MOVED, NULL));
    LATER(cfut_map_next, map, (NULL, 0, &future));
    LATER(cfut_map_next, out, (NULL, 0, NULL));
    args[0] = &moved;
    moved++;
    LATER(cfut_map_new_closure, executor, (NULL, closure, args, 1, free_moved, &map));
    moved++;
    LATER(cfut_map_new_closure, fn, (good.pool, NULL, args, 1, free_moved, &map));
    LATER(cfut_map_new_closure, args, (good.pool, closure, NULL, 1, free_moved, &map));
    LATER(cfut_map_new_closure, arg_free, (good.pool, closure, args, 1, NULL, &map));
    moved++;
    LATER(cfut_map_new_closure, out, (good.pool, closure, args, 1, free_moved, NULL));
    DOES_NOTHING(cfut_map_free, map, (NULL));
    DOES_NOTHING(cfut_map_detach, map, (NULL));
    LATER(cfut_map_into, executor, (NULL, good.task, "abc", 1, 3, results, 1, 0));
    LATER(cfut_map_into, task, (good.pool, NULL, "abc", 1, 3, results, 1, 0));
    LATER(cfut_map_into, items, (good.pool, good.task, NULL, 1, 3, results, 1, 0));
    LATER(cfut_map_into, results, (good.pool, good.task, "abc", 1, 3, NULL, 1, 0));
    LATER(cfut_parallel_for, executor, (NULL, 3, 1, range, MOVED, &future));
    LATER(cfut_parallel_for, fn, (good.pool, 3, 1, NULL, MOVED, &future));
    LATER(cfut_parallel_for, arg, (good.pool, 3, 1, range, NULL, NULL, &future));
    LATER(cfut_parallel_for, arg_free, (good.pool, 3, 1, range, &moved, NULL, &future));
    LATER(cfut_parallel_for, out, (good.pool, 3, 1, range, MOVED, NULL));
    CHECK(map == NULL);
    CHECK(future == NULL);
    free_good();
}

static void null_futures(void)
{
    cfut_future *made = NULL;
    int64_t value = 7;
    size_t length = 7;
    uint64_t number = 7;
    make_good();
    GIVES(cfut_future_retain, future, NULL, (NULL));
    DOES_NOTHING(cfut_future_release, future, (NULL));
    GIVES(cfut_future_state, future, CFUT_STATE_FINISHED, (NULL));
    REFUSES(cfut_future_wait, future, "future", (NULL, CFUT_FOREVER));
    REFUSES(cfut_future_wait, future, "future", (NULL, CFUT_NOW));
    GIVES(cfut_future_bytes, future, NULL, (NULL, &length));
    CHECK_EQ(length, 0);
    CHECK(memcmp(cfut_future_bytes(good.future, NULL), "abc", 3) == 0);
    GIVES(cfut_future_bytes, len, NULL, (NULL, NULL));
    GIVES(cfut_future_value, future, NULL, (NULL));
    GIVES(cfut_future_take, future, NULL, (NULL));
    GIVES(cfut_future_buffer, future, NULL, (NULL));
    GIVES(cfut_future_code, future, 0, (NULL));
    GIVES(*cfut_future_message, future, '\0', (NULL));
    REFUSES(cfut_future_info, future, "future", (NULL, CFUT_INFO_RUN_NS, &value));
    REFUSES(cfut_future_info, out, "out", (good.future, CFUT_INFO_RUN_NS, NULL));
    REFUSES(cfut_future_progress, future, "future", (NULL, &number, &number));
    CHECK_EQ(number, 7);
    ALLOWS(cfut_future_progress, done, (good.future, NULL, &number));
    ALLOWS(cfut_future_progress, total, (good.future, &number, NULL));
    REFUSES(cfut_future_cancel, future, "future", (NULL, CFUT_CANCEL_STOP));
    REFUSES(cfut_future_on_done, future, "future", (NULL, good.pool, done, MOVED));
    ALLOWS(cfut_future_on_done, executor, (good.future, NULL, done, MOVED));
    REFUSES(cfut_future_on_done, fn, "callback", (good.future, good.pool, NULL, MOVED));
    ALLOWS(cfut_future_on_done, arg, (good.future, good.pool, done, NULL, NULL));
    ALLOWS(cfut_future_on_done, arg_free, (good.future, good.pool, done, &moved, NULL));
    REFUSES(cfut_future_then, future, "future", (NULL, good.pool, then, MOVED, &made));
    REFUSES(cfut_future_then, fn, "continuation", (good.future, good.pool, NULL, MOVED, &made));
    REFUSES(cfut_future_then, out, "out", (good.future, good.pool, then, MOVED, NULL));
    CHECK(made == NULL);
    ALLOWS(cfut_future_then, executor, (good.future, NULL, then, MOVED, &made));
    cfut_future_release(made);
    ALLOWS(cfut_future_then, arg, (good.future, good.pool, then, NULL, NULL, &made));
    cfut_future_release(made);
    ALLOWS(cfut_future_then, arg_free, (good.future, good.pool, then, &moved, NULL, &made));
    cfut_future_release(made);
    made = NULL;
    REFUSES(cfut_future_pipe, future, "future", (NULL, good.pool, good.task, &made));
    REFUSES(cfut_future_pipe, executor, "executor", (good.future, NULL, good.task, &made));
    REFUSES(cfut_future_pipe, task, "task", (good.future, good.pool, NULL, &made));
    REFUSES(cfut_future_pipe, out, "out", (good.future, good.pool, good.task, NULL));
    CHECK(made == NULL);
    CHECK_EQ(value, 7);
    free_good();
}

static void null_groups_and_queues(void)
{
    cfut_future *made = NULL, *pair[2] = { NULL, NULL };
    size_t count = 7;
    uint64_t tag = 7;
    uint8_t bytes[2] = { 7, 7 };
    make_good();
    pair[0] = good.future;
    REFUSES(cfut_wait_many, futures, "count is 2",
            (NULL, 2, CFUT_WAIT_ALL, CFUT_FOREVER, bytes, &count));
    REFUSES(cfut_wait_many, futures, "futures[1]",
            (pair, 2, CFUT_WAIT_ALL, CFUT_FOREVER, bytes, &count));
    CHECK_EQ(count, 7);
    CHECK_EQ(bytes[0], 7);
    ALLOWS(cfut_wait_many, done, (pair, 1, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, &count));
    CHECK_EQ(count, 1);
    ALLOWS(cfut_wait_many, done_count, (pair, 1, CFUT_WAIT_ALL, CFUT_FOREVER, bytes, NULL));
    CHECK_EQ(bytes[0], 1);
    CHECK_EQ(bytes[1], 7);
    CHECK_OK(cfut_wait_many(NULL, 0, CFUT_WAIT_ANY, CFUT_FOREVER, NULL, NULL));
    REFUSES(cfut_join, futures, "count is 2", (NULL, 2, CFUT_JOIN_ALL, &made));
    REFUSES(cfut_join, futures, "futures[1]", (pair, 2, CFUT_JOIN_ANY, &made));
    REFUSES(cfut_join, out, "out", (pair, 1, CFUT_JOIN_ALL, NULL));
    CHECK(made == NULL);
    REFUSES(cfut_queue_new, out, "out", (NULL));
    GIVES(cfut_queue_retain, queue, NULL, (NULL));
    DOES_NOTHING(cfut_queue_release, queue, (NULL));
    REFUSES(cfut_queue_add, queue, "queue", (NULL, good.future, 1));
    REFUSES(cfut_queue_add, future, "future", (good.queue, NULL, 1));
    REFUSES(cfut_queue_next, queue, "queue", (NULL, CFUT_FOREVER, &made, &tag));
    CHECK(made == NULL);
    CHECK_EQ(tag, 7);
    CHECK_OK(cfut_queue_add(good.queue, good.future, 1));
    ALLOWS(cfut_queue_next, future, (good.queue, CFUT_FOREVER, NULL, &tag));
    CHECK_EQ(tag, 1);
    CHECK_OK(cfut_queue_add(good.queue, good.future, 1));
    ALLOWS(cfut_queue_next, tag, (good.queue, CFUT_FOREVER, &made, NULL));
    CHECK(made == good.future);
    cfut_future_release(made);
    REFUSES(cfut_queue_fd, queue, "queue", (NULL, (int[]){ 0 }));
    REFUSES(cfut_queue_fd, fd, "fd", (good.queue, NULL));
    free_good();
}

static void null_promises(void)
{
    cfut_promise *promise = NULL;
    cfut_future *future = NULL;
    cfut_promise *p;
    make_good();
    p = good.promise;
    REFUSES(cfut_promise_new, promise, "promise", (NULL, &future));
    REFUSES(cfut_promise_new, future, "future", (&promise, NULL));
    CHECK(promise == NULL && future == NULL);
    GIVES(cfut_promise_retain, promise, NULL, (NULL));
    DOES_NOTHING(cfut_promise_release, promise, (NULL));
    REFUSES(cfut_promise_start, promise, "promise", (NULL));
    REFUSES(cfut_promise_set_bytes, promise, "promise", (NULL, "abc", 3));
    REFUSES(cfut_promise_set_bytes, data, "len is 3", (p, NULL, 3));
    REFUSES(cfut_promise_set_value, promise, "promise", (NULL, MOVED));
    REFUSES(cfut_promise_set_buffer, promise, "promise", (NULL, good.buffer));
    REFUSES(cfut_promise_set_buffer, buffer, "buffer", (p, NULL));
    REFUSES(cfut_promise_fail, promise, "promise", (NULL, 1, "x"));
    REFUSES(cfut_promise_fail_bytes, promise, "promise", (NULL, 1, "x", "abc", 3));
    REFUSES(cfut_promise_fail_bytes, data, "len is 3", (p, 1, "x", NULL, 3));
    REFUSES(cfut_promise_fail_value, promise, "promise", (NULL, 1, "x", MOVED));
    REFUSES(cfut_promise_set_cancelled, promise, "promise", (NULL));
    GIVES(cfut_promise_stop_requested, promise, 0, (NULL));
    REFUSES(cfut_promise_set_progress, promise, "promise", (NULL, 1, 2));
    GIVES(cfut_promise_input, promise, NULL, (NULL));
    CHECK_EQ(cfut_future_state(good.promised), CFUT_STATE_PENDING);
    free_good();
}

/* NULL that means "none": each settles a promise of its own. */
#define SETTLES(call, parameter, arguments) \
    do { \
        cfut_promise *p; \
        cfut_future *future; \
        CHECK_OK(cfut_promise_new(&p, &future)); \
        ALLOWS(call, parameter, arguments); \
        CHECK(cfut_future_wait(future, CFUT_NOW) != CFUT_TIMEOUT); \
        CHECK(cfut_future_value(future) == NULL || cfut_future_value(future) == &moved); \
        CHECK_TEXT(cfut_future_message(future), ""); \
        cfut_promise_release(p); \
        cfut_future_release(future); \
    } while (0)

static void null_results(void)
{
    SETTLES(cfut_promise_set_bytes, data, (p, NULL, 0));
    SETTLES(cfut_promise_set_value, value, (p, NULL, NULL));
    SETTLES(cfut_promise_set_value, value_free, (p, &moved, NULL));
    SETTLES(cfut_promise_fail, message, (p, 1, NULL));
    SETTLES(cfut_promise_fail_bytes, message, (p, 1, NULL, "abc", 3));
    SETTLES(cfut_promise_fail_bytes, data, (p, 1, NULL, NULL, 0));
    SETTLES(cfut_promise_fail_value, message, (p, 1, NULL, MOVED));
    SETTLES(cfut_promise_fail_value, value, (p, 1, NULL, NULL, NULL));
    SETTLES(cfut_promise_fail_value, value_free, (p, 1, NULL, &moved, NULL));
    CHECK_EQ(freed, moved);
}

static void null_buffers(void)
{
    cfut_buffer *made = NULL;
    char bytes[3];
    make_good();
    REFUSES(cfut_buffer_new, out, "out", (3, 0, NULL));
    REFUSES(cfut_buffer_wrap, data, "len is 3", (NULL, 3, free_moved, (moved++, &moved), &made));
    REFUSES(cfut_buffer_wrap, out, "out", (bytes, 3, free_moved, (moved++, &moved), NULL));
    CHECK(made == NULL);
    ALLOWS(cfut_buffer_wrap, data, (NULL, 0, free_moved, (moved++, &moved), &made));
    cfut_buffer_release(made);
    ALLOWS(cfut_buffer_wrap, data_free, (bytes, 3, NULL, &moved, &made));
    cfut_buffer_release(made);
    ALLOWS(cfut_buffer_wrap, free_arg, (bytes, 3, NULL, NULL, &made));
    cfut_buffer_release(made);
    GIVES(cfut_buffer_retain, buffer, NULL, (NULL));
    DOES_NOTHING(cfut_buffer_release, buffer, (NULL));
    GIVES(cfut_buffer_data, buffer, NULL, (NULL));
    GIVES(cfut_buffer_size, buffer, 0, (NULL));
    REFUSES(cfut_register, name, "name", (NULL, nothing_task));
    REFUSES(cfut_register, fn, "task function", ("x", NULL));
    free_good();
}

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
        { CFUT_TASK_ATTEMPTS, 0, CFUT_EINVAL, "CFUT_TASK_ATTEMPTS is 0; the least is 1" },
        { CFUT_TASK_ATTEMPTS, 2, CFUT_ENOTSUP, "CFUT_TASK_ATTEMPTS" },
        { CFUT_TASK_CHUNK, 2, CFUT_ENOTSUP, "CFUT_TASK_CHUNK" },
        { CFUT_TASK_WINDOW, -2, CFUT_EINVAL, "CFUT_TASK_WINDOW is -2; the least is -1" },
        { CFUT_TASK_WINDOW, 2, CFUT_ENOTSUP, "CFUT_TASK_WINDOW" },
        { CFUT_TASK_GRACE_NS, 1, CFUT_ENOTSUP, "CFUT_TASK_GRACE_NS" },
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
    static const int32_t texts[] = { CFUT_OPT_WORKER_PROGRAM, CFUT_OPT_PRELOAD,
                                     CFUT_OPT_TRACE_FILE };
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
        CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOTSUP, "not for thread pools");
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

CHECK_MAIN(CASE(null_library_and_options), CASE(null_executors), CASE(null_tasks_and_submits),
           CASE(null_maps), CASE(null_futures), CASE(null_groups_and_queues), CASE(null_promises),
           CASE(null_results), CASE(null_buffers), CASE(option_values), CASE(task_values),
           CASE(options_that_do_not_fit), CASE(other_numbers), CASE(huge_sizes), CASE(empty_sizes),
           CASE(small_buffers), CASE(long_texts), CASE(far_waits), CASE(far_deadlines),
           CASE(far_options), CASE(no_idle_time), CASE(far_but_allowed))
