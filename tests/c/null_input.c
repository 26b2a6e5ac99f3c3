/* NULL for each pointer: the status says so, the text names it, and what was moved is freed
 * once all the same.
 *
 * The tables have one row for each pointer parameter of each export: a test in Rust compares
 * them with the header. */
#include "input.h"

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
    ALLOWS(cfut_process_pool_new, options, (NULL, &made));
    check_close(made);
    made = NULL;
    REFUSES(cfut_process_pool_new, out, "out", (good.options, NULL));
    ALLOWS(cfut_loop_new, options, (NULL, &made));
    cfut_executor_release(made);
    made = NULL;
    REFUSES(cfut_loop_new, out, "out", (good.options, NULL));
    REFUSES(cfut_loop_run, loop, "executor", (NULL, 0, 0, &number));
    CHECK_EQ(number, 0);
    CHECK_OK(cfut_loop_new(NULL, &made));
    CHECK_OK(cfut_submit(made, nothing_task, NULL, 0, NULL));
    ALLOWS(cfut_loop_run, ran, (made, 1, 0, NULL));
    cfut_executor_release(made);
    made = NULL;
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

static void null_maps(void)
{
    cfut_map *map = NULL;
    cfut_future *future = NULL;
    void *args[1] = { &moved };
    char results[3];
    make_good();
    REFUSES(cfut_map_new, executor, "executor", (NULL, good.task, "abc", 1, 3, &map));
    REFUSES(cfut_map_new, task, "task", (good.pool, NULL, "abc", 1, 3, &map));
    REFUSES(cfut_map_new, items, "NULL", (good.pool, good.task, NULL, 1, 3, &map));
    REFUSES(cfut_map_new, out, "out", (good.pool, good.task, "abc", 1, 3, NULL));
    REFUSES(cfut_map_new_source, executor, "executor", (NULL, good.task, source, MOVED, &map));
    REFUSES(cfut_map_new_source, task, "task", (good.pool, NULL, source, MOVED, &map));
    REFUSES(cfut_map_new_source, next, "source", (good.pool, good.task, NULL, MOVED, &map));
    REFUSES(cfut_map_new_source, out, "out", (good.pool, good.task, source, MOVED, NULL));
    CHECK(map == NULL);
    ALLOWS(cfut_map_new_source, arg, (good.pool, good.task, source, NULL, NULL, &map));
    cfut_map_free(map);
    ALLOWS(cfut_map_new_source, arg_free, (good.pool, good.task, source, &moved, NULL, &map));
    REFUSES(cfut_map_next, map, "map", (NULL, 0, &future));
    REFUSES(cfut_map_next, out, "out", (map, 0, NULL));
    cfut_map_free(map);
    map = NULL;
    moved++;
    REFUSES(cfut_map_new_closure, executor, "executor", (NULL, closure, args, 1, free_moved, &map));
    moved++;
    REFUSES(cfut_map_new_closure, fn, "closure", (good.pool, NULL, args, 1, free_moved, &map));
    REFUSES(cfut_map_new_closure, args, "args", (good.pool, closure, NULL, 1, free_moved, &map));
    moved++;
    REFUSES(cfut_map_new_closure, out, "out", (good.pool, closure, args, 1, free_moved, NULL));
    CHECK(map == NULL);
    ALLOWS(cfut_map_new_closure, arg_free, (good.pool, closure, args, 1, NULL, &map));
    DOES_NOTHING(cfut_map_free, map, (NULL));
    DOES_NOTHING(cfut_map_detach, map, (NULL));
    cfut_map_detach(map);
    REFUSES(cfut_map_into, executor, "executor", (NULL, good.task, "abc", 1, 3, results, 1, 0));
    REFUSES(cfut_map_into, task, "task", (good.pool, NULL, "abc", 1, 3, results, 1, 0));
    REFUSES(cfut_map_into, items, "NULL", (good.pool, good.task, NULL, 1, 3, results, 1, 0));
    REFUSES(cfut_map_into, results, "results", (good.pool, good.task, "abc", 1, 3, NULL, 1, 0));
    REFUSES(cfut_parallel_for, executor, "executor", (NULL, 3, 1, range, MOVED, &future));
    REFUSES(cfut_parallel_for, fn, "range function", (good.pool, 3, 1, NULL, MOVED, &future));
    CHECK(future == NULL);
    ALLOWS(cfut_parallel_for, arg, (good.pool, 3, 1, range, NULL, NULL, &future));
    cfut_future_release(future);
    ALLOWS(cfut_parallel_for, arg_free, (good.pool, 3, 1, range, &moved, NULL, &future));
    cfut_future_release(future);
    ALLOWS(cfut_parallel_for, out, (good.pool, 3, 1, range, MOVED, NULL));
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

CHECK_MAIN(CASE(null_library_and_options), CASE(null_executors), CASE(null_tasks_and_submits),
           CASE(null_maps), CASE(null_futures), CASE(null_groups_and_queues), CASE(null_promises),
           CASE(null_results), CASE(null_buffers))
