/* The binary interface of this version, written down a second time: whatever is already compiled
 * depends on each line. A line may be added; one that has to be changed is a new ABI, and a new
 * soname with it. Most of it is checked by the compiler. */
#include <cfutures.h>

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- constants: value and type ---- */

#define CONSTANT(name, value, type) \
    static_assert((name) == (value), #name " has another value"); \
    static_assert(_Generic((name), type: 1, default: 0), #name " is no " #type);

CONSTANT(CFUT_FOREVER, -1, int64_t)
CONSTANT(CFUT_NOW, 0, int64_t)
CONSTANT(CFUT_OK, 0, int)
CONSTANT(CFUT_TIMEOUT, 1, int)
CONSTANT(CFUT_PENDING, 2, int)
CONSTANT(CFUT_CANCELLED, 3, int)
CONSTANT(CFUT_FAILED, 4, int)
CONSTANT(CFUT_CRASHED, 5, int)
CONSTANT(CFUT_EXPIRED, 6, int)
CONSTANT(CFUT_BROKEN, 7, int)
CONSTANT(CFUT_END, 8, int)
CONSTANT(CFUT_TOO_LATE, 9, int)
CONSTANT(CFUT_EINVAL, -1, int)
CONSTANT(CFUT_ENOMEM, -2, int)
CONSTANT(CFUT_ENOTSUP, -3, int)
CONSTANT(CFUT_ESHUTDOWN, -4, int)
CONSTANT(CFUT_EFULL, -5, int)
CONSTANT(CFUT_EDEADLK, -6, int)
CONSTANT(CFUT_EFORKED, -7, int)
CONSTANT(CFUT_ENOENT, -8, int)
CONSTANT(CFUT_ESYS, -9, int)
CONSTANT(CFUT_EPANIC, -10, int)
CONSTANT(CFUT_ESTATE, -11, int)
CONSTANT(CFUT_DETACH, (-2147483647 - 1), int32_t)
CONSTANT(CFUT_LOG_ERROR, 1, int)
CONSTANT(CFUT_LOG_WARNING, 2, int)
CONSTANT(CFUT_SHUTDOWN_CANCEL, 1, unsigned)
CONSTANT(CFUT_SHUTDOWN_STOP, 2, unsigned)
CONSTANT(CFUT_SHUTDOWN_KILL, 4, unsigned)
CONSTANT(CFUT_SHUTDOWN_TERM, 8, unsigned)
CONSTANT(CFUT_STATE_PENDING, 0, int)
CONSTANT(CFUT_STATE_RUNNING, 1, int)
CONSTANT(CFUT_STATE_CANCELLED, 2, int)
CONSTANT(CFUT_STATE_FINISHED, 3, int)
CONSTANT(CFUT_CANCEL_PENDING, 0, unsigned)
CONSTANT(CFUT_CANCEL_STOP, 1, unsigned)
CONSTANT(CFUT_CANCEL_KILL, 2, unsigned)
CONSTANT(CFUT_WAIT_ALL, 0, int)
CONSTANT(CFUT_WAIT_ANY, 1, int)
CONSTANT(CFUT_WAIT_FIRST_FAILURE, 2, int)
CONSTANT(CFUT_JOIN_ALL, 0, int)
CONSTANT(CFUT_JOIN_SETTLED, 1, int)
CONSTANT(CFUT_JOIN_ANY, 2, int)
CONSTANT(CFUT_JOIN_FIRST_SUCCESS, 3, int)
CONSTANT(CFUT_BUFFER_SHARED, 1, unsigned)
CONSTANT(CFUT_OPT_WORKERS, 1, int)
CONSTANT(CFUT_OPT_MIN_WORKERS, 2, int)
CONSTANT(CFUT_OPT_IDLE_NS, 3, int)
CONSTANT(CFUT_OPT_QUEUE_LIMIT, 4, int)
CONSTANT(CFUT_OPT_QUEUE_BYTES, 5, int)
CONSTANT(CFUT_OPT_FULL_POLICY, 6, int)
CONSTANT(CFUT_FULL_BLOCK, 0, int)
CONSTANT(CFUT_FULL_REJECT, 1, int)
CONSTANT(CFUT_FULL_RUN_IN_CALLER, 2, int)
CONSTANT(CFUT_OPT_FULL_TIMEOUT_NS, 7, int)
CONSTANT(CFUT_OPT_STACK_SIZE, 8, int)
CONSTANT(CFUT_OPT_START_METHOD, 9, int)
CONSTANT(CFUT_START_FORKSERVER, 0, int)
CONSTANT(CFUT_START_SPAWN, 1, int)
CONSTANT(CFUT_OPT_TASKS_PER_WORKER, 10, int)
CONSTANT(CFUT_OPT_RSS_PER_WORKER, 11, int)
CONSTANT(CFUT_OPT_MEMORY_LIMIT, 12, int)
CONSTANT(CFUT_OPT_CPU_TIME_LIMIT, 13, int)
CONSTANT(CFUT_OPT_NICE, 14, int)
CONSTANT(CFUT_OPT_ON_WORKER_DEATH, 15, int)
CONSTANT(CFUT_DEATH_FAIL_TASK, 0, int)
CONSTANT(CFUT_DEATH_BREAK_POOL, 1, int)
CONSTANT(CFUT_OPT_START_TIMEOUT_NS, 16, int)
CONSTANT(CFUT_OPT_SPIN_NS, 17, int)
CONSTANT(CFUT_OPT_WAITERS_HELP, 18, int)
CONSTANT(CFUT_OPT_NAME, 64, int)
CONSTANT(CFUT_OPT_WORKER_PROGRAM, 65, int)
CONSTANT(CFUT_OPT_PRELOAD, 66, int)
CONSTANT(CFUT_OPT_TRACE_FILE, 67, int)
CONSTANT(CFUT_TASK_QUEUE_TIMEOUT_NS, 1, int)
CONSTANT(CFUT_TASK_RUN_TIMEOUT_NS, 2, int)
CONSTANT(CFUT_TASK_TOTAL_TIMEOUT_NS, 3, int)
CONSTANT(CFUT_TASK_GRACE_NS, 4, int)
CONSTANT(CFUT_TASK_PRIORITY, 5, int)
CONSTANT(CFUT_TASK_ATTEMPTS, 6, int)
CONSTANT(CFUT_TASK_CHUNK, 7, int)
CONSTANT(CFUT_TASK_WINDOW, 8, int)
CONSTANT(CFUT_WINDOW_ALL, -1, int)
CONSTANT(CFUT_TASK_OUTPUT_LIMIT, 9, int)
CONSTANT(CFUT_TASK_NAME, 64, int)
CONSTANT(CFUT_TASK_DIRECTORY, 65, int)
CONSTANT(CFUT_INFO_QUEUED_NS, 1, int)
CONSTANT(CFUT_INFO_RUN_NS, 2, int)
CONSTANT(CFUT_INFO_ATTEMPTS, 3, int)
CONSTANT(CFUT_INFO_WORKER_PID, 4, int)
CONSTANT(CFUT_INFO_EXIT_CODE, 5, int)
CONSTANT(CFUT_INFO_SIGNAL, 6, int)
CONSTANT(CFUT_INFO_OUT_OF_MEMORY, 7, int)
CONSTANT(CFUT_INFO_MAX_RSS, 8, int)
CONSTANT(CFUT_INFO_CPU_NS, 9, int)
CONSTANT(CFUT_STAT_WORKERS, 1, int)
CONSTANT(CFUT_STAT_IDLE_WORKERS, 2, int)
CONSTANT(CFUT_STAT_QUEUED, 3, int)
CONSTANT(CFUT_STAT_RUNNING, 4, int)
CONSTANT(CFUT_STAT_SUBMITTED, 5, int)
CONSTANT(CFUT_STAT_SUCCEEDED, 6, int)
CONSTANT(CFUT_STAT_FAILED, 7, int)
CONSTANT(CFUT_STAT_CANCELLED, 8, int)
CONSTANT(CFUT_STAT_EXPIRED, 9, int)
CONSTANT(CFUT_STAT_CRASHED, 10, int)
CONSTANT(CFUT_STAT_STOLEN, 11, int)
CONSTANT(CFUT_STAT_WORKERS_STARTED, 12, int)
CONSTANT(CFUT_STAT_OLDEST_QUEUED_NS, 13, int)
CONSTANT(CFUT_STAT_MAX_WORKERS, 14, int)
CONSTANT(CFUT_STAT_BROKEN, 15, int)

/* ---- version ---- */

static_assert(CFUT_VERSION_NUMBER ==
                  CFUT_VERSION_MAJOR * 65536 + CFUT_VERSION_MINOR * 256 + CFUT_VERSION_PATCH,
              "the number is made of the three");
static_assert(CFUT_VERSION_MINOR < 256 && CFUT_VERSION_PATCH < 256, "each has a byte");

/* For conditional compilation, too. */
#if CFUT_VERSION_NUMBER < 0x000100 || CFUT_VERSION_NUMBER < (CFUT_VERSION_MINOR << 8)
#error "the version is no number for the preprocessor"
#endif

/* ---- types ---- */

#define SAME(type, other) static_assert(_Generic((type *)0, other *: 1, default: 0), #type)
#define HAS_SIZE(type, size) static_assert(sizeof(type) == (size), #type)

static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8, "written for 64 bits");
SAME(cfut_status, int32_t);
HAS_SIZE(cfut_status, 4);

/* The functions that the library calls. */
#define FUNCTION_TYPE(result, name, ...) \
    static_assert(_Generic((name)0, result (*)(__VA_ARGS__): 1, default: 0), #name);

FUNCTION_TYPE(void, cfut_log_fn, int32_t, const char *, void *)
FUNCTION_TYPE(void, cfut_free_fn, void *)
FUNCTION_TYPE(int32_t, cfut_hook_fn, void *, uint32_t)
FUNCTION_TYPE(int32_t, cfut_task_fn, cfut_promise *, const void *, size_t)
FUNCTION_TYPE(int32_t, cfut_closure_fn, cfut_promise *, void *)
FUNCTION_TYPE(int32_t, cfut_source_fn, void *, const void **, size_t *)
FUNCTION_TYPE(int32_t, cfut_range_fn, cfut_promise *, size_t, size_t, void *)
FUNCTION_TYPE(void, cfut_done_fn, cfut_future *, void *)
FUNCTION_TYPE(int32_t, cfut_then_fn, cfut_promise *, cfut_future *, void *)

/* Opaque: nobody but the library knows a size, and everybody may have a pointer. */
#define OPAQUE(type) \
    struct type; \
    SAME(type, struct type); \
    HAS_SIZE(type *, 8)

OPAQUE(cfut_buffer);
OPAQUE(cfut_executor);
OPAQUE(cfut_future);
OPAQUE(cfut_map);
OPAQUE(cfut_options);
OPAQUE(cfut_promise);
OPAQUE(cfut_queue);
OPAQUE(cfut_task);

/* ---- functions: each is of exactly this type ---- */

#define FUNCTION(result, name, ...) \
    static_assert(_Generic(&name, result (*)(__VA_ARGS__): 1, default: 0), #name);

FUNCTION(uint32_t, cfut_version_number, void)
FUNCTION(const char *, cfut_version, void)
FUNCTION(const char *, cfut_status_name, cfut_status)
FUNCTION(const char *, cfut_status_text, cfut_status)
FUNCTION(size_t, cfut_last_error, char *, size_t)
FUNCTION(uint32_t, cfut_cpu_count, void)
FUNCTION(cfut_status, cfut_set_log, cfut_log_fn, void *, cfut_free_fn)
FUNCTION(cfut_status, cfut_quiesce, int64_t)
FUNCTION(cfut_options *, cfut_options_new, void)
FUNCTION(void, cfut_options_free, cfut_options *)
FUNCTION(cfut_status, cfut_options_set, cfut_options *, int32_t, int64_t)
FUNCTION(cfut_status, cfut_options_set_text, cfut_options *, int32_t, const char *)
FUNCTION(cfut_status, cfut_options_set_initializer, cfut_options *, const cfut_task *, const void *,
         size_t)
FUNCTION(cfut_status, cfut_options_set_worker_hooks, cfut_options *, cfut_hook_fn, cfut_hook_fn,
         void *, cfut_free_fn)
FUNCTION(cfut_status, cfut_options_add_worker_arg, cfut_options *, const char *)
FUNCTION(cfut_status, cfut_options_add_worker_env, cfut_options *, const char *, const char *)
FUNCTION(cfut_status, cfut_thread_pool_new, const cfut_options *, cfut_executor **)
FUNCTION(cfut_status, cfut_process_pool_new, const cfut_options *, cfut_executor **)
FUNCTION(cfut_status, cfut_loop_new, const cfut_options *, cfut_executor **)
FUNCTION(cfut_status, cfut_loop_run, cfut_executor *, size_t, int64_t, size_t *)
FUNCTION(cfut_status, cfut_loop_fd, cfut_executor *, int *)
FUNCTION(cfut_status, cfut_limited_new, cfut_executor *, uint32_t, cfut_executor **)
FUNCTION(cfut_executor *, cfut_executor_retain, cfut_executor *)
FUNCTION(void, cfut_executor_release, cfut_executor *)
FUNCTION(cfut_executor *, cfut_executor_current, void)
FUNCTION(cfut_status, cfut_executor_warm, cfut_executor *, int64_t)
FUNCTION(cfut_status, cfut_executor_shutdown, cfut_executor *, uint32_t, int64_t)
FUNCTION(cfut_status, cfut_executor_stat, cfut_executor *, int32_t, int64_t *)
FUNCTION(cfut_status, cfut_executor_snapshot, cfut_executor *, char *, size_t, size_t *)
FUNCTION(cfut_status, cfut_task_new, cfut_task_fn, cfut_task **)
FUNCTION(cfut_status, cfut_task_new_named, const char *, cfut_task **)
FUNCTION(cfut_status, cfut_task_new_command, const char *, cfut_task **)
FUNCTION(cfut_status, cfut_task_add_arg, cfut_task *, const char *)
FUNCTION(cfut_status, cfut_task_add_env, cfut_task *, const char *, const char *)
FUNCTION(cfut_status, cfut_task_set, cfut_task *, int32_t, int64_t)
FUNCTION(cfut_status, cfut_task_set_text, cfut_task *, int32_t, const char *)
FUNCTION(void, cfut_task_free, cfut_task *)
FUNCTION(cfut_status, cfut_submit, cfut_executor *, cfut_task_fn, const void *, size_t,
         cfut_future **)
FUNCTION(cfut_status, cfut_submit_task, cfut_executor *, const cfut_task *, const void *, size_t,
         cfut_future **)
FUNCTION(cfut_status, cfut_submit_buffer, cfut_executor *, const cfut_task *, cfut_buffer *,
         cfut_future **)
FUNCTION(cfut_status, cfut_submit_closure, cfut_executor *, cfut_closure_fn, void *, cfut_free_fn,
         cfut_future **)
FUNCTION(cfut_status, cfut_submit_many, cfut_executor *, const cfut_task *, const void *, size_t,
         size_t, cfut_future **)
FUNCTION(cfut_status, cfut_map_new, cfut_executor *, const cfut_task *, const void *, size_t,
         size_t, cfut_map **)
FUNCTION(cfut_status, cfut_map_new_source, cfut_executor *, const cfut_task *, cfut_source_fn,
         void *, cfut_free_fn, cfut_map **)
FUNCTION(cfut_status, cfut_map_next, cfut_map *, int64_t, cfut_future **)
FUNCTION(cfut_status, cfut_map_new_closure, cfut_executor *, cfut_closure_fn, void *const *, size_t,
         cfut_free_fn, cfut_map **)
FUNCTION(void, cfut_map_free, cfut_map *)
FUNCTION(void, cfut_map_detach, cfut_map *)
FUNCTION(cfut_status, cfut_map_into, cfut_executor *, const cfut_task *, const void *, size_t,
         size_t, void *, size_t, int64_t)
FUNCTION(cfut_status, cfut_parallel_for, cfut_executor *, size_t, size_t, cfut_range_fn, void *,
         cfut_free_fn, cfut_future **)
FUNCTION(cfut_future *, cfut_future_retain, cfut_future *)
FUNCTION(void, cfut_future_release, cfut_future *)
FUNCTION(int32_t, cfut_future_state, const cfut_future *)
FUNCTION(cfut_status, cfut_future_wait, cfut_future *, int64_t)
FUNCTION(const void *, cfut_future_bytes, const cfut_future *, size_t *)
FUNCTION(void *, cfut_future_value, const cfut_future *)
FUNCTION(void *, cfut_future_take, cfut_future *)
FUNCTION(cfut_buffer *, cfut_future_buffer, const cfut_future *)
FUNCTION(int32_t, cfut_future_code, const cfut_future *)
FUNCTION(const char *, cfut_future_message, const cfut_future *)
FUNCTION(cfut_status, cfut_future_info, const cfut_future *, int32_t, int64_t *)
FUNCTION(cfut_status, cfut_future_progress, const cfut_future *, uint64_t *, uint64_t *)
FUNCTION(cfut_status, cfut_future_cancel, cfut_future *, uint32_t)
FUNCTION(cfut_status, cfut_future_on_done, cfut_future *, cfut_executor *, cfut_done_fn, void *,
         cfut_free_fn)
FUNCTION(cfut_status, cfut_future_then, cfut_future *, cfut_executor *, cfut_then_fn, void *,
         cfut_free_fn, cfut_future **)
FUNCTION(cfut_status, cfut_future_pipe, cfut_future *, cfut_executor *, const cfut_task *,
         cfut_future **)
FUNCTION(cfut_status, cfut_wait_many, cfut_future *const *, size_t, int32_t, int64_t, uint8_t *,
         size_t *)
FUNCTION(cfut_status, cfut_join, cfut_future *const *, size_t, int32_t, cfut_future **)
FUNCTION(cfut_status, cfut_queue_new, cfut_queue **)
FUNCTION(cfut_queue *, cfut_queue_retain, cfut_queue *)
FUNCTION(void, cfut_queue_release, cfut_queue *)
FUNCTION(cfut_status, cfut_queue_add, cfut_queue *, cfut_future *, uint64_t)
FUNCTION(cfut_status, cfut_queue_next, cfut_queue *, int64_t, cfut_future **, uint64_t *)
FUNCTION(cfut_status, cfut_queue_fd, cfut_queue *, int *)
FUNCTION(cfut_status, cfut_promise_new, cfut_promise **, cfut_future **)
FUNCTION(cfut_promise *, cfut_promise_retain, cfut_promise *)
FUNCTION(void, cfut_promise_release, cfut_promise *)
FUNCTION(cfut_status, cfut_promise_start, cfut_promise *)
FUNCTION(cfut_status, cfut_promise_set_bytes, cfut_promise *, const void *, size_t)
FUNCTION(cfut_status, cfut_promise_set_value, cfut_promise *, void *, cfut_free_fn)
FUNCTION(cfut_status, cfut_promise_set_buffer, cfut_promise *, cfut_buffer *)
FUNCTION(cfut_status, cfut_promise_fail, cfut_promise *, int32_t, const char *)
FUNCTION(cfut_status, cfut_promise_fail_bytes, cfut_promise *, int32_t, const char *, const void *,
         size_t)
FUNCTION(cfut_status, cfut_promise_fail_value, cfut_promise *, int32_t, const char *, void *,
         cfut_free_fn)
FUNCTION(cfut_status, cfut_promise_set_cancelled, cfut_promise *)
FUNCTION(int32_t, cfut_promise_stop_requested, const cfut_promise *)
FUNCTION(cfut_status, cfut_promise_set_progress, cfut_promise *, uint64_t, uint64_t)
FUNCTION(cfut_buffer *, cfut_promise_input, const cfut_promise *)
FUNCTION(cfut_status, cfut_buffer_new, size_t, uint32_t, cfut_buffer **)
FUNCTION(cfut_status, cfut_buffer_wrap, void *, size_t, cfut_free_fn, void *, cfut_buffer **)
FUNCTION(cfut_buffer *, cfut_buffer_retain, cfut_buffer *)
FUNCTION(void, cfut_buffer_release, cfut_buffer *)
FUNCTION(void *, cfut_buffer_data, cfut_buffer *)
FUNCTION(size_t, cfut_buffer_size, const cfut_buffer *)
FUNCTION(void, cfut_worker_main, void)
FUNCTION(cfut_status, cfut_register, const char *, cfut_task_fn)
FUNCTION(cfut_status, cfut_worker_run, void)
FUNCTION(void, cfut_blocking_begin, void)
FUNCTION(void, cfut_blocking_end, void)

/* ---- what the library says of itself ---- */

#define NAMED(status) { status, #status }

static const struct {
    cfut_status status;
    const char *name;
} names[] = {
    NAMED(CFUT_OK),
    NAMED(CFUT_TIMEOUT),
    NAMED(CFUT_PENDING),
    NAMED(CFUT_CANCELLED),
    NAMED(CFUT_FAILED),
    NAMED(CFUT_CRASHED),
    NAMED(CFUT_EXPIRED),
    NAMED(CFUT_BROKEN),
    NAMED(CFUT_END),
    NAMED(CFUT_TOO_LATE),
    NAMED(CFUT_EINVAL),
    NAMED(CFUT_ENOMEM),
    NAMED(CFUT_ENOTSUP),
    NAMED(CFUT_ESHUTDOWN),
    NAMED(CFUT_EFULL),
    NAMED(CFUT_EDEADLK),
    NAMED(CFUT_EFORKED),
    NAMED(CFUT_ENOENT),
    NAMED(CFUT_ESYS),
    NAMED(CFUT_EPANIC),
    NAMED(CFUT_ESTATE),
};

int main(void)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *name = cfut_status_name(names[i].status);
        if (strcmp(name, names[i].name) != 0) {
            fprintf(stderr, "%s is called %s\n", names[i].name, name);
            return 1;
        }
    }
    for (cfut_status status = -200; status <= 200; status++) {
        int known = 0;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            known |= names[i].status == status;
        if (known != (strcmp(cfut_status_name(status), "CFUT_?") != 0)) {
            fprintf(stderr, "%d is called %s\n", (int)status, cfut_status_name(status));
            return 1;
        }
    }
    if (cfut_version_number() != CFUT_VERSION_NUMBER || strcmp(cfut_version(), CFUT_VERSION) != 0) {
        fprintf(stderr, "header %s, library %s\n", CFUT_VERSION, cfut_version());
        return 1;
    }
    puts(cfut_version());
    return 0;
}
