#ifndef CFUTURES_H
#define CFUTURES_H 
#include <stddef.h>
#include <stdint.h>
#define CFUT_VERSION_MAJOR 0
#define CFUT_VERSION_MINOR 1
#define CFUT_VERSION_PATCH 0
#define CFUT_VERSION_NUMBER \
    ((CFUT_VERSION_MAJOR << 16) | (CFUT_VERSION_MINOR << 8) | CFUT_VERSION_PATCH)
#define CFUT_VERSION "0.1.0"
#ifndef CFUT_API
#if defined(__GNUC__)
#define CFUT_API __attribute__((visibility("default")))
#else
#define CFUT_API 
#endif
#endif
#define CFUT_FOREVER (INT64_C(-1))
#define CFUT_NOW (INT64_C(0))
#define CFUT_USEC(n) ((int64_t)(n) * 1000)
#define CFUT_MSEC(n) ((int64_t)(n) * 1000000)
#define CFUT_SEC(n) ((int64_t)(n) * 1000000000)
#define CFUT_OK 0
#define CFUT_TIMEOUT 1
#define CFUT_PENDING 2
#define CFUT_CANCELLED 3
#define CFUT_FAILED 4
#define CFUT_CRASHED 5
#define CFUT_EXPIRED 6
#define CFUT_BROKEN 7
#define CFUT_END 8
#define CFUT_TOO_LATE 9
#define CFUT_EINVAL (-1)
#define CFUT_ENOMEM (-2)
#define CFUT_ENOTSUP (-3)
#define CFUT_ESHUTDOWN (-4)
#define CFUT_EFULL (-5)
#define CFUT_EDEADLK (-6)
#define CFUT_EFORKED (-7)
#define CFUT_ENOENT (-8)
#define CFUT_ESYS (-9)
#define CFUT_EPANIC (-10)
#define CFUT_ESTATE (-11)
#define CFUT_DETACH INT32_MIN
#define CFUT_LOG_ERROR 1
#define CFUT_LOG_WARNING 2
#define CFUT_SHUTDOWN_CANCEL 1u
#define CFUT_SHUTDOWN_STOP 2u
#define CFUT_SHUTDOWN_KILL 4u
#define CFUT_SHUTDOWN_TERM 8u
#define CFUT_STATE_PENDING 0
#define CFUT_STATE_RUNNING 1
#define CFUT_STATE_CANCELLED 2
#define CFUT_STATE_FINISHED 3
#define CFUT_CANCEL_PENDING 0u
#define CFUT_CANCEL_STOP 1u
#define CFUT_CANCEL_KILL 2u
#define CFUT_WAIT_ALL 0
#define CFUT_WAIT_ANY 1
#define CFUT_WAIT_FIRST_FAILURE 2
#define CFUT_JOIN_ALL 0
#define CFUT_JOIN_SETTLED 1
#define CFUT_JOIN_ANY 2
#define CFUT_JOIN_FIRST_SUCCESS 3
#define CFUT_BUFFER_SHARED 1u
#define CFUT_OPT_WORKERS 1
#define CFUT_OPT_MIN_WORKERS 2
#define CFUT_OPT_IDLE_NS 3
#define CFUT_OPT_QUEUE_LIMIT 4
#define CFUT_OPT_QUEUE_BYTES 5
#define CFUT_OPT_FULL_POLICY 6
#define CFUT_FULL_BLOCK 0
#define CFUT_FULL_REJECT 1
#define CFUT_FULL_RUN_IN_CALLER 2
#define CFUT_OPT_FULL_TIMEOUT_NS 7
#define CFUT_OPT_STACK_SIZE 8
#define CFUT_OPT_START_METHOD 9
#define CFUT_START_FORKSERVER 0
#define CFUT_START_SPAWN 1
#define CFUT_OPT_TASKS_PER_WORKER 10
#define CFUT_OPT_RSS_PER_WORKER 11
#define CFUT_OPT_MEMORY_LIMIT 12
#define CFUT_OPT_CPU_TIME_LIMIT 13
#define CFUT_OPT_NICE 14
#define CFUT_OPT_ON_WORKER_DEATH 15
#define CFUT_DEATH_FAIL_TASK 0
#define CFUT_DEATH_BREAK_POOL 1
#define CFUT_OPT_START_TIMEOUT_NS 16
#define CFUT_OPT_SPIN_NS 17
#define CFUT_OPT_WAITERS_HELP 18
#define CFUT_OPT_NAME 64
#define CFUT_OPT_WORKER_PROGRAM 65
#define CFUT_OPT_PRELOAD 66
#define CFUT_OPT_TRACE_FILE 67
#define CFUT_TASK_QUEUE_TIMEOUT_NS 1
#define CFUT_TASK_RUN_TIMEOUT_NS 2
#define CFUT_TASK_TOTAL_TIMEOUT_NS 3
#define CFUT_TASK_GRACE_NS 4
#define CFUT_TASK_PRIORITY 5
#define CFUT_TASK_ATTEMPTS 6
#define CFUT_TASK_CHUNK 7
#define CFUT_TASK_WINDOW 8
#define CFUT_WINDOW_ALL (-1)
#define CFUT_TASK_OUTPUT_LIMIT 9
#define CFUT_TASK_NAME 64
#define CFUT_TASK_DIRECTORY 65
#define CFUT_INFO_QUEUED_NS 1
#define CFUT_INFO_RUN_NS 2
#define CFUT_INFO_ATTEMPTS 3
#define CFUT_INFO_WORKER_PID 4
#define CFUT_INFO_EXIT_CODE 5
#define CFUT_INFO_SIGNAL 6
#define CFUT_INFO_OUT_OF_MEMORY 7
#define CFUT_INFO_MAX_RSS 8
#define CFUT_INFO_CPU_NS 9
#define CFUT_STAT_WORKERS 1
#define CFUT_STAT_IDLE_WORKERS 2
#define CFUT_STAT_QUEUED 3
#define CFUT_STAT_RUNNING 4
#define CFUT_STAT_SUBMITTED 5
#define CFUT_STAT_SUCCEEDED 6
#define CFUT_STAT_FAILED 7
#define CFUT_STAT_CANCELLED 8
#define CFUT_STAT_EXPIRED 9
#define CFUT_STAT_CRASHED 10
#define CFUT_STAT_STOLEN 11
#define CFUT_STAT_WORKERS_STARTED 12
#define CFUT_STAT_OLDEST_QUEUED_NS 13
#define CFUT_STAT_MAX_WORKERS 14
#define CFUT_STAT_BROKEN 15
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
typedef int32_t (*cfut_range_fn)(struct cfut_promise *promise,
                                 size_t begin,
                                 size_t end,
                                 void *arg);
typedef void (*cfut_done_fn)(struct cfut_future *future, void *arg);
typedef int32_t (*cfut_then_fn)(struct cfut_promise *promise,
                                struct cfut_future *input,
                                void *arg);
#ifdef __cplusplus
extern "C" {
#endif
CFUT_API uint32_t cfut_version_number(void);
CFUT_API const char *cfut_version(void);
CFUT_API const char *cfut_status_name(cfut_status status);
CFUT_API const char *cfut_status_text(cfut_status status);
CFUT_API
size_t cfut_last_error(char *buf,
                       size_t cap);
CFUT_API uint32_t cfut_cpu_count(void);
CFUT_API
cfut_status cfut_set_log(cfut_log_fn fn,
                         void *arg,
                         cfut_free_fn arg_free);
CFUT_API cfut_status cfut_quiesce(int64_t timeout_ns);
CFUT_API struct cfut_options *cfut_options_new(void);
CFUT_API void cfut_options_free(struct cfut_options *options);
CFUT_API
cfut_status cfut_options_set(struct cfut_options *options,
                             int32_t key,
                             int64_t value);
CFUT_API
cfut_status cfut_options_set_text(struct cfut_options *options,
                                  int32_t key,
                                  const char *text);
CFUT_API
cfut_status cfut_options_set_initializer(struct cfut_options *options,
                                         const struct cfut_task *task,
                                         const void *data,
                                         size_t len);
CFUT_API
cfut_status cfut_options_set_worker_hooks(struct cfut_options *options,
                                          cfut_hook_fn start,
                                          cfut_hook_fn stop,
                                          void *arg,
                                          cfut_free_fn arg_free);
CFUT_API cfut_status cfut_options_add_worker_arg(struct cfut_options *options, const char *arg);
CFUT_API
cfut_status cfut_options_add_worker_env(struct cfut_options *options,
                                        const char *name,
                                        const char *value);
CFUT_API
cfut_status cfut_thread_pool_new(const struct cfut_options *options,
                                 struct cfut_executor **out);
CFUT_API
cfut_status cfut_process_pool_new(const struct cfut_options *options,
                                  struct cfut_executor **out);
CFUT_API
cfut_status cfut_limited_new(struct cfut_executor *parent,
                             uint32_t max_running,
                             struct cfut_executor **out);
CFUT_API struct cfut_executor *cfut_executor_retain(struct cfut_executor *executor);
CFUT_API void cfut_executor_release(struct cfut_executor *executor);
CFUT_API
struct cfut_executor *cfut_executor_current(void);
CFUT_API cfut_status cfut_executor_warm(struct cfut_executor *executor, int64_t timeout_ns);
CFUT_API
cfut_status cfut_executor_shutdown(struct cfut_executor *executor,
                                   uint32_t flags,
                                   int64_t timeout_ns);
CFUT_API
cfut_status cfut_executor_stat(struct cfut_executor *executor,
                               int32_t key,
                               int64_t *out);
CFUT_API
cfut_status cfut_executor_snapshot(struct cfut_executor *executor,
                                   char *buf,
                                   size_t cap,
                                   size_t *len);
CFUT_API
cfut_status cfut_loop_new(const struct cfut_options *options,
                          struct cfut_executor **out);
CFUT_API
cfut_status cfut_loop_run(struct cfut_executor *loop,
                          size_t max_tasks,
                          int64_t timeout_ns,
                          size_t *ran);
CFUT_API
cfut_status cfut_loop_fd(struct cfut_executor *loop,
                         int *fd);
CFUT_API cfut_status cfut_task_new(cfut_task_fn fn, struct cfut_task **out);
CFUT_API
cfut_status cfut_task_new_named(const char *name,
                                struct cfut_task **out);
CFUT_API
cfut_status cfut_task_new_command(const char *program,
                                  struct cfut_task **out);
CFUT_API cfut_status cfut_task_add_arg(struct cfut_task *task, const char *arg);
CFUT_API
cfut_status cfut_task_add_env(struct cfut_task *task,
                              const char *name,
                              const char *value);
CFUT_API
cfut_status cfut_task_set(struct cfut_task *task,
                          int32_t key,
                          int64_t value);
CFUT_API
cfut_status cfut_task_set_text(struct cfut_task *task,
                               int32_t key,
                               const char *text);
CFUT_API void cfut_task_free(struct cfut_task *task);
CFUT_API
cfut_status cfut_submit(struct cfut_executor *executor,
                        cfut_task_fn fn,
                        const void *data,
                        size_t len,
                        struct cfut_future **out);
CFUT_API
cfut_status cfut_submit_task(struct cfut_executor *executor,
                             const struct cfut_task *task,
                             const void *data,
                             size_t len,
                             struct cfut_future **out);
CFUT_API
cfut_status cfut_submit_buffer(struct cfut_executor *executor,
                               const struct cfut_task *task,
                               struct cfut_buffer *buffer,
                               struct cfut_future **out);
CFUT_API
cfut_status cfut_submit_closure(struct cfut_executor *executor,
                                cfut_closure_fn fn,
                                void *arg,
                                cfut_free_fn arg_free,
                                struct cfut_future **out);
CFUT_API
cfut_status cfut_submit_many(struct cfut_executor *executor,
                             const struct cfut_task *task,
                             const void *items,
                             size_t item_size,
                             size_t count,
                             struct cfut_future **out);
CFUT_API
cfut_status cfut_map_new(struct cfut_executor *executor,
                         const struct cfut_task *task,
                         const void *items,
                         size_t item_size,
                         size_t count,
                         struct cfut_map **out);
CFUT_API
cfut_status cfut_map_new_source(struct cfut_executor *executor,
                                const struct cfut_task *task,
                                cfut_source_fn next,
                                void *arg,
                                cfut_free_fn arg_free,
                                struct cfut_map **out);
CFUT_API
cfut_status cfut_map_next(struct cfut_map *map,
                          int64_t timeout_ns,
                          struct cfut_future **out);
CFUT_API
cfut_status cfut_map_new_closure(struct cfut_executor *executor,
                                 cfut_closure_fn fn,
                                 void *const *args,
                                 size_t count,
                                 cfut_free_fn arg_free,
                                 struct cfut_map **out);
CFUT_API void cfut_map_free(struct cfut_map *map);
CFUT_API
void cfut_map_detach(struct cfut_map *map);
CFUT_API
cfut_status cfut_map_into(struct cfut_executor *executor,
                          const struct cfut_task *task,
                          const void *items,
                          size_t item_size,
                          size_t count,
                          void *results,
                          size_t result_size,
                          int64_t timeout_ns);
CFUT_API
cfut_status cfut_parallel_for(struct cfut_executor *executor,
                              size_t count,
                              size_t grain,
                              cfut_range_fn fn,
                              void *arg,
                              cfut_free_fn arg_free,
                              struct cfut_future **out);
CFUT_API struct cfut_future *cfut_future_retain(struct cfut_future *future);
CFUT_API void cfut_future_release(struct cfut_future *future);
CFUT_API
int32_t cfut_future_state(const struct cfut_future *future);
CFUT_API cfut_status cfut_future_wait(struct cfut_future *future, int64_t timeout_ns);
CFUT_API const void *cfut_future_bytes(const struct cfut_future *future, size_t *len);
CFUT_API void *cfut_future_value(const struct cfut_future *future);
CFUT_API void *cfut_future_take(struct cfut_future *future);
CFUT_API struct cfut_buffer *cfut_future_buffer(const struct cfut_future *future);
CFUT_API int32_t cfut_future_code(const struct cfut_future *future);
CFUT_API const char *cfut_future_message(const struct cfut_future *future);
CFUT_API
cfut_status cfut_future_info(const struct cfut_future *future,
                             int32_t key,
                             int64_t *out);
CFUT_API
cfut_status cfut_future_progress(const struct cfut_future *future,
                                 uint64_t *done,
                                 uint64_t *total);
CFUT_API cfut_status cfut_future_cancel(struct cfut_future *future, uint32_t mode);
CFUT_API
cfut_status cfut_future_on_done(struct cfut_future *future,
                                struct cfut_executor *executor,
                                cfut_done_fn fn,
                                void *arg,
                                cfut_free_fn arg_free);
CFUT_API
cfut_status cfut_future_then(struct cfut_future *future,
                             struct cfut_executor *executor,
                             cfut_then_fn fn,
                             void *arg,
                             cfut_free_fn arg_free,
                             struct cfut_future **out);
CFUT_API
cfut_status cfut_future_pipe(struct cfut_future *future,
                             struct cfut_executor *executor,
                             const struct cfut_task *task,
                             struct cfut_future **out);
CFUT_API
cfut_status cfut_wait_many(struct cfut_future *const *futures,
                           size_t count,
                           int32_t mode,
                           int64_t timeout_ns,
                           uint8_t *done,
                           size_t *done_count);
CFUT_API
cfut_status cfut_join(struct cfut_future *const *futures,
                      size_t count,
                      int32_t mode,
                      struct cfut_future **out);
CFUT_API cfut_status cfut_queue_new(struct cfut_queue **out);
CFUT_API struct cfut_queue *cfut_queue_retain(struct cfut_queue *queue);
CFUT_API void cfut_queue_release(struct cfut_queue *queue);
CFUT_API
cfut_status cfut_queue_add(struct cfut_queue *queue,
                           struct cfut_future *future,
                           uint64_t tag);
CFUT_API
cfut_status cfut_queue_next(struct cfut_queue *queue,
                            int64_t timeout_ns,
                            struct cfut_future **future,
                            uint64_t *tag);
CFUT_API cfut_status cfut_queue_fd(struct cfut_queue *queue, int *fd);
CFUT_API
cfut_status cfut_promise_new(struct cfut_promise **promise,
                             struct cfut_future **future);
CFUT_API struct cfut_promise *cfut_promise_retain(struct cfut_promise *promise);
CFUT_API void cfut_promise_release(struct cfut_promise *promise);
CFUT_API cfut_status cfut_promise_start(struct cfut_promise *promise);
CFUT_API
cfut_status cfut_promise_set_bytes(struct cfut_promise *promise,
                                   const void *data,
                                   size_t len);
CFUT_API
cfut_status cfut_promise_set_value(struct cfut_promise *promise,
                                   void *value,
                                   cfut_free_fn value_free);
CFUT_API
cfut_status cfut_promise_set_buffer(struct cfut_promise *promise,
                                    struct cfut_buffer *buffer);
CFUT_API
cfut_status cfut_promise_fail(struct cfut_promise *promise,
                              int32_t code,
                              const char *message);
CFUT_API
cfut_status cfut_promise_fail_bytes(struct cfut_promise *promise,
                                    int32_t code,
                                    const char *message,
                                    const void *data,
                                    size_t len);
CFUT_API
cfut_status cfut_promise_fail_value(struct cfut_promise *promise,
                                    int32_t code,
                                    const char *message,
                                    void *value,
                                    cfut_free_fn value_free);
CFUT_API cfut_status cfut_promise_set_cancelled(struct cfut_promise *promise);
CFUT_API int32_t cfut_promise_stop_requested(const struct cfut_promise *promise);
CFUT_API
cfut_status cfut_promise_set_progress(struct cfut_promise *promise,
                                      uint64_t done,
                                      uint64_t total);
CFUT_API struct cfut_buffer *cfut_promise_input(const struct cfut_promise *promise);
CFUT_API
cfut_status cfut_buffer_new(size_t size,
                            uint32_t flags,
                            struct cfut_buffer **out);
CFUT_API
cfut_status cfut_buffer_wrap(void *data,
                             size_t size,
                             cfut_free_fn data_free,
                             void *free_arg,
                             struct cfut_buffer **out);
CFUT_API struct cfut_buffer *cfut_buffer_retain(struct cfut_buffer *buffer);
CFUT_API void cfut_buffer_release(struct cfut_buffer *buffer);
CFUT_API void *cfut_buffer_data(struct cfut_buffer *buffer);
CFUT_API size_t cfut_buffer_size(const struct cfut_buffer *buffer);
CFUT_API
void cfut_worker_main(void);
CFUT_API
cfut_status cfut_register(const char *name,
                          cfut_task_fn fn);
CFUT_API
cfut_status cfut_worker_run(void);
CFUT_API void cfut_blocking_begin(void);
CFUT_API void cfut_blocking_end(void);
#ifdef __cplusplus
}
#endif
#endif
