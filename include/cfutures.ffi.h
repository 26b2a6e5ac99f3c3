/* cfutures 0.1.0: the declarations of cfutures.h, which is the manual, for what reads C without a
 * preprocessor: cdef of cffi, ffi.cdef of LuaJIT. One declaration a line.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 * Generated with cfutures.h: `make header`. */

enum {
    CFUT_VERSION_MAJOR = 0,
    CFUT_VERSION_MINOR = 1,
    CFUT_VERSION_PATCH = 0,
    CFUT_VERSION_NUMBER = 256,
    CFUT_FOREVER = -1,
    CFUT_NOW = 0,
    CFUT_OK = 0,
    CFUT_TIMEOUT = 1,
    CFUT_PENDING = 2,
    CFUT_CANCELLED = 3,
    CFUT_FAILED = 4,
    CFUT_CRASHED = 5,
    CFUT_EXPIRED = 6,
    CFUT_BROKEN = 7,
    CFUT_END = 8,
    CFUT_TOO_LATE = 9,
    CFUT_EINVAL = -1,
    CFUT_ENOMEM = -2,
    CFUT_ENOTSUP = -3,
    CFUT_ESHUTDOWN = -4,
    CFUT_EFULL = -5,
    CFUT_EDEADLK = -6,
    CFUT_EFORKED = -7,
    CFUT_ENOENT = -8,
    CFUT_ESYS = -9,
    CFUT_EPANIC = -10,
    CFUT_ESTATE = -11,
    CFUT_DETACH = -2147483647 - 1,
    CFUT_LOG_ERROR = 1,
    CFUT_LOG_WARNING = 2,
    CFUT_SHUTDOWN_CANCEL = 1,
    CFUT_SHUTDOWN_STOP = 2,
    CFUT_SHUTDOWN_KILL = 4,
    CFUT_SHUTDOWN_TERM = 8,
    CFUT_STATE_PENDING = 0,
    CFUT_STATE_RUNNING = 1,
    CFUT_STATE_CANCELLED = 2,
    CFUT_STATE_FINISHED = 3,
    CFUT_CANCEL_PENDING = 0,
    CFUT_CANCEL_STOP = 1,
    CFUT_CANCEL_KILL = 2,
    CFUT_WAIT_ALL = 0,
    CFUT_WAIT_ANY = 1,
    CFUT_WAIT_FIRST_FAILURE = 2,
    CFUT_JOIN_ALL = 0,
    CFUT_JOIN_SETTLED = 1,
    CFUT_JOIN_ANY = 2,
    CFUT_JOIN_FIRST_SUCCESS = 3,
    CFUT_BUFFER_SHARED = 1,
    CFUT_OPT_WORKERS = 1,
    CFUT_OPT_MIN_WORKERS = 2,
    CFUT_OPT_IDLE_NS = 3,
    CFUT_OPT_QUEUE_LIMIT = 4,
    CFUT_OPT_QUEUE_BYTES = 5,
    CFUT_OPT_FULL_POLICY = 6,
    CFUT_FULL_BLOCK = 0,
    CFUT_FULL_REJECT = 1,
    CFUT_FULL_RUN_IN_CALLER = 2,
    CFUT_OPT_FULL_TIMEOUT_NS = 7,
    CFUT_OPT_STACK_SIZE = 8,
    CFUT_OPT_START_METHOD = 9,
    CFUT_START_FORKSERVER = 0,
    CFUT_START_SPAWN = 1,
    CFUT_OPT_TASKS_PER_WORKER = 10,
    CFUT_OPT_RSS_PER_WORKER = 11,
    CFUT_OPT_MEMORY_LIMIT = 12,
    CFUT_OPT_CPU_TIME_LIMIT = 13,
    CFUT_OPT_NICE = 14,
    CFUT_OPT_ON_WORKER_DEATH = 15,
    CFUT_DEATH_FAIL_TASK = 0,
    CFUT_DEATH_BREAK_POOL = 1,
    CFUT_OPT_START_TIMEOUT_NS = 16,
    CFUT_OPT_SPIN_NS = 17,
    CFUT_OPT_WAITERS_HELP = 18,
    CFUT_OPT_NAME = 64,
    CFUT_OPT_WORKER_PROGRAM = 65,
    CFUT_OPT_PRELOAD = 66,
    CFUT_OPT_TRACE_FILE = 67,
    CFUT_TASK_QUEUE_TIMEOUT_NS = 1,
    CFUT_TASK_RUN_TIMEOUT_NS = 2,
    CFUT_TASK_TOTAL_TIMEOUT_NS = 3,
    CFUT_TASK_GRACE_NS = 4,
    CFUT_TASK_PRIORITY = 5,
    CFUT_TASK_ATTEMPTS = 6,
    CFUT_TASK_CHUNK = 7,
    CFUT_TASK_WINDOW = 8,
    CFUT_WINDOW_ALL = -1,
    CFUT_TASK_OUTPUT_LIMIT = 9,
    CFUT_TASK_NAME = 64,
    CFUT_TASK_DIRECTORY = 65,
    CFUT_INFO_QUEUED_NS = 1,
    CFUT_INFO_RUN_NS = 2,
    CFUT_INFO_ATTEMPTS = 3,
    CFUT_INFO_WORKER_PID = 4,
    CFUT_INFO_EXIT_CODE = 5,
    CFUT_INFO_SIGNAL = 6,
    CFUT_INFO_OUT_OF_MEMORY = 7,
    CFUT_INFO_MAX_RSS = 8,
    CFUT_INFO_CPU_NS = 9,
    CFUT_STAT_WORKERS = 1,
    CFUT_STAT_IDLE_WORKERS = 2,
    CFUT_STAT_QUEUED = 3,
    CFUT_STAT_RUNNING = 4,
    CFUT_STAT_SUBMITTED = 5,
    CFUT_STAT_SUCCEEDED = 6,
    CFUT_STAT_FAILED = 7,
    CFUT_STAT_CANCELLED = 8,
    CFUT_STAT_EXPIRED = 9,
    CFUT_STAT_CRASHED = 10,
    CFUT_STAT_STOLEN = 11,
    CFUT_STAT_WORKERS_STARTED = 12,
    CFUT_STAT_OLDEST_QUEUED_NS = 13,
    CFUT_STAT_MAX_WORKERS = 14,
    CFUT_STAT_BROKEN = 15
};

typedef struct cfut_buffer cfut_buffer;
typedef struct cfut_executor cfut_executor;
typedef struct cfut_future cfut_future;
typedef struct cfut_map cfut_map;
typedef struct cfut_options cfut_options;
typedef struct cfut_promise cfut_promise;
typedef struct cfut_queue cfut_queue;
typedef struct cfut_task cfut_task;
typedef int32_t cfut_status;
typedef void (*cfut_log_fn)(int32_t level, const char *message, void *arg);
typedef void (*cfut_free_fn)(void *arg);
typedef int32_t (*cfut_hook_fn)(void *arg, uint32_t worker);
typedef int32_t (*cfut_task_fn)(struct cfut_promise *promise, const void *data, size_t len);
typedef int32_t (*cfut_closure_fn)(struct cfut_promise *promise, void *arg);
typedef int32_t (*cfut_source_fn)(void *arg, const void **data, size_t *len);
typedef int32_t (*cfut_range_fn)(struct cfut_promise *promise, size_t begin, size_t end, void *arg);
typedef void (*cfut_done_fn)(struct cfut_future *future, void *arg);
typedef int32_t (*cfut_then_fn)(struct cfut_promise *promise, struct cfut_future *input, void *arg);
uint32_t cfut_version_number(void);
const char *cfut_version(void);
const char *cfut_status_name(cfut_status status);
const char *cfut_status_text(cfut_status status);
size_t cfut_last_error(char *buf, size_t cap);
uint32_t cfut_cpu_count(void);
cfut_status cfut_set_log(cfut_log_fn fn, void *arg, cfut_free_fn arg_free);
cfut_status cfut_quiesce(int64_t timeout_ns);
struct cfut_options *cfut_options_new(void);
void cfut_options_free(struct cfut_options *options);
cfut_status cfut_options_set(struct cfut_options *options, int32_t key, int64_t value);
cfut_status cfut_options_set_text(struct cfut_options *options, int32_t key, const char *text);
cfut_status cfut_options_set_initializer(struct cfut_options *options, const struct cfut_task *task, const void *data, size_t len);
cfut_status cfut_options_set_worker_hooks(struct cfut_options *options, cfut_hook_fn start, cfut_hook_fn stop, void *arg, cfut_free_fn arg_free);
cfut_status cfut_options_add_worker_arg(struct cfut_options *options, const char *arg);
cfut_status cfut_options_add_worker_env(struct cfut_options *options, const char *name, const char *value);
cfut_status cfut_thread_pool_new(const struct cfut_options *options, struct cfut_executor **out);
cfut_status cfut_process_pool_new(const struct cfut_options *options, struct cfut_executor **out);
cfut_status cfut_limited_new(struct cfut_executor *parent, uint32_t max_running, struct cfut_executor **out);
struct cfut_executor *cfut_executor_retain(struct cfut_executor *executor);
void cfut_executor_release(struct cfut_executor *executor);
struct cfut_executor *cfut_executor_current(void);
cfut_status cfut_executor_warm(struct cfut_executor *executor, int64_t timeout_ns);
cfut_status cfut_executor_shutdown(struct cfut_executor *executor, uint32_t flags, int64_t timeout_ns);
cfut_status cfut_executor_stat(struct cfut_executor *executor, int32_t key, int64_t *out);
cfut_status cfut_executor_snapshot(struct cfut_executor *executor, char *buf, size_t cap, size_t *len);
cfut_status cfut_loop_new(const struct cfut_options *options, struct cfut_executor **out);
cfut_status cfut_loop_run(struct cfut_executor *loop, size_t max_tasks, int64_t timeout_ns, size_t *ran);
cfut_status cfut_loop_fd(struct cfut_executor *loop, int *fd);
cfut_status cfut_task_new(cfut_task_fn fn, struct cfut_task **out);
cfut_status cfut_task_new_named(const char *name, struct cfut_task **out);
cfut_status cfut_task_new_command(const char *program, struct cfut_task **out);
cfut_status cfut_task_add_arg(struct cfut_task *task, const char *arg);
cfut_status cfut_task_add_env(struct cfut_task *task, const char *name, const char *value);
cfut_status cfut_task_set(struct cfut_task *task, int32_t key, int64_t value);
cfut_status cfut_task_set_text(struct cfut_task *task, int32_t key, const char *text);
void cfut_task_free(struct cfut_task *task);
cfut_status cfut_submit(struct cfut_executor *executor, cfut_task_fn fn, const void *data, size_t len, struct cfut_future **out);
cfut_status cfut_submit_task(struct cfut_executor *executor, const struct cfut_task *task, const void *data, size_t len, struct cfut_future **out);
cfut_status cfut_submit_buffer(struct cfut_executor *executor, const struct cfut_task *task, struct cfut_buffer *buffer, struct cfut_future **out);
cfut_status cfut_submit_closure(struct cfut_executor *executor, cfut_closure_fn fn, void *arg, cfut_free_fn arg_free, struct cfut_future **out);
cfut_status cfut_submit_many(struct cfut_executor *executor, const struct cfut_task *task, const void *items, size_t item_size, size_t count, struct cfut_future **out);
cfut_status cfut_map_new(struct cfut_executor *executor, const struct cfut_task *task, const void *items, size_t item_size, size_t count, struct cfut_map **out);
cfut_status cfut_map_new_source(struct cfut_executor *executor, const struct cfut_task *task, cfut_source_fn next, void *arg, cfut_free_fn arg_free, struct cfut_map **out);
cfut_status cfut_map_next(struct cfut_map *map, int64_t timeout_ns, struct cfut_future **out);
cfut_status cfut_map_new_closure(struct cfut_executor *executor, cfut_closure_fn fn, void *const *args, size_t count, cfut_free_fn arg_free, struct cfut_map **out);
void cfut_map_free(struct cfut_map *map);
void cfut_map_detach(struct cfut_map *map);
cfut_status cfut_map_into(struct cfut_executor *executor, const struct cfut_task *task, const void *items, size_t item_size, size_t count, void *results, size_t result_size, int64_t timeout_ns);
cfut_status cfut_parallel_for(struct cfut_executor *executor, size_t count, size_t grain, cfut_range_fn fn, void *arg, cfut_free_fn arg_free, struct cfut_future **out);
struct cfut_future *cfut_future_retain(struct cfut_future *future);
void cfut_future_release(struct cfut_future *future);
int32_t cfut_future_state(const struct cfut_future *future);
cfut_status cfut_future_wait(struct cfut_future *future, int64_t timeout_ns);
const void *cfut_future_bytes(const struct cfut_future *future, size_t *len);
void *cfut_future_value(const struct cfut_future *future);
void *cfut_future_take(struct cfut_future *future);
struct cfut_buffer *cfut_future_buffer(const struct cfut_future *future);
int32_t cfut_future_code(const struct cfut_future *future);
const char *cfut_future_message(const struct cfut_future *future);
cfut_status cfut_future_info(const struct cfut_future *future, int32_t key, int64_t *out);
cfut_status cfut_future_progress(const struct cfut_future *future, uint64_t *done, uint64_t *total);
cfut_status cfut_future_cancel(struct cfut_future *future, uint32_t mode);
cfut_status cfut_future_on_done(struct cfut_future *future, struct cfut_executor *executor, cfut_done_fn fn, void *arg, cfut_free_fn arg_free);
cfut_status cfut_future_then(struct cfut_future *future, struct cfut_executor *executor, cfut_then_fn fn, void *arg, cfut_free_fn arg_free, struct cfut_future **out);
cfut_status cfut_future_pipe(struct cfut_future *future, struct cfut_executor *executor, const struct cfut_task *task, struct cfut_future **out);
cfut_status cfut_wait_many(struct cfut_future *const *futures, size_t count, int32_t mode, int64_t timeout_ns, uint8_t *done, size_t *done_count);
cfut_status cfut_join(struct cfut_future *const *futures, size_t count, int32_t mode, struct cfut_future **out);
cfut_status cfut_queue_new(struct cfut_queue **out);
struct cfut_queue *cfut_queue_retain(struct cfut_queue *queue);
void cfut_queue_release(struct cfut_queue *queue);
cfut_status cfut_queue_add(struct cfut_queue *queue, struct cfut_future *future, uint64_t tag);
cfut_status cfut_queue_next(struct cfut_queue *queue, int64_t timeout_ns, struct cfut_future **future, uint64_t *tag);
cfut_status cfut_queue_fd(struct cfut_queue *queue, int *fd);
cfut_status cfut_promise_new(struct cfut_promise **promise, struct cfut_future **future);
struct cfut_promise *cfut_promise_retain(struct cfut_promise *promise);
void cfut_promise_release(struct cfut_promise *promise);
cfut_status cfut_promise_start(struct cfut_promise *promise);
cfut_status cfut_promise_set_bytes(struct cfut_promise *promise, const void *data, size_t len);
cfut_status cfut_promise_set_value(struct cfut_promise *promise, void *value, cfut_free_fn value_free);
cfut_status cfut_promise_set_buffer(struct cfut_promise *promise, struct cfut_buffer *buffer);
cfut_status cfut_promise_fail(struct cfut_promise *promise, int32_t code, const char *message);
cfut_status cfut_promise_fail_bytes(struct cfut_promise *promise, int32_t code, const char *message, const void *data, size_t len);
cfut_status cfut_promise_fail_value(struct cfut_promise *promise, int32_t code, const char *message, void *value, cfut_free_fn value_free);
cfut_status cfut_promise_set_cancelled(struct cfut_promise *promise);
int32_t cfut_promise_stop_requested(const struct cfut_promise *promise);
cfut_status cfut_promise_set_progress(struct cfut_promise *promise, uint64_t done, uint64_t total);
struct cfut_buffer *cfut_promise_input(const struct cfut_promise *promise);
cfut_status cfut_buffer_new(size_t size, uint32_t flags, struct cfut_buffer **out);
cfut_status cfut_buffer_wrap(void *data, size_t size, cfut_free_fn data_free, void *free_arg, struct cfut_buffer **out);
struct cfut_buffer *cfut_buffer_retain(struct cfut_buffer *buffer);
void cfut_buffer_release(struct cfut_buffer *buffer);
void *cfut_buffer_data(struct cfut_buffer *buffer);
size_t cfut_buffer_size(const struct cfut_buffer *buffer);
void cfut_worker_main(void);
cfut_status cfut_register(const char *name, cfut_task_fn fn);
cfut_status cfut_worker_run(void);
void cfut_blocking_begin(void);
void cfut_blocking_end(void);
