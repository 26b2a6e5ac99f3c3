/* cfutures: concurrent.futures for C, C++ and every language that can load a C library.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from src/ffi/ of the library by cbindgen: to change it, change the doc comments
 * there and run `make header`.
 *
 * THE MODEL
 *
 * A program hands a task to an executor, gets a future, and collects the outcome: by waiting,
 * by a callback, or from a completion queue that an event loop can poll. The task answers
 * through its promise, the writing side of the future.
 *
 *     static int32_t square(cfut_promise *promise, const void *data, size_t len)
 *     {
 *         int64_t n;
 *         memcpy(&n, data, len);
 *         n *= n;
 *         return cfut_promise_set_bytes(promise, &n, sizeof n);
 *     }
 *
 *     cfut_executor *pool;
 *     cfut_future *future;
 *     int64_t n = 5;
 *     cfut_thread_pool_new(NULL, &pool);
 *     cfut_submit(pool, square, &n, sizeof n, &future);
 *     if (cfut_future_wait(future, CFUT_FOREVER) == CFUT_OK)
 *         printf("%lld\n", (long long)*(const int64_t *)cfut_future_bytes(future, NULL));
 *     cfut_future_release(future);
 *     cfut_executor_shutdown(pool, 0, CFUT_FOREVER);
 *     cfut_executor_release(pool);
 *
 * What is accepted settles, exactly once: succeeded, failed, crashed, cancelled, expired or
 * broken. What is not accepted is refused with a status and never runs.
 *
 * WORDS for ownership, used for every pointer:
 *   owned      you have to release it
 *   borrowed   valid while something else lives; do not release it
 *   retained   the library keeps a reference of its own
 *   copied     copied before the call returns
 *   moved      you gave it away, also when the call fails; its free function runs exactly once
 *
 * STATUS. 0 is good, > 0 an expected other outcome, < 0 wrong use or a failure of the system.
 * Outputs come last and are written only on CFUT_OK unless the function says otherwise.
 * cfut_last_error() has a text with the details of this thread's last negative status.
 *
 * TIME is int64_t nanoseconds on a clock that nobody sets; negative = for ever, 0 = do not wait.
 * A call whose time passes answers CFUT_TIMEOUT, also with 0. Waits go on over signals: a
 * program that must see Ctrl-C waits in slices.
 *
 * THREADS. Every function may be called from any thread, several at once, but for builders
 * (cfut_options, cfut_task): one thread at a time. Every function may be called from a task and
 * from a callback. None may be called from a signal handler. Workers block all signals but
 * those a fault raises.
 *
 * YOUR FUNCTIONS run with no lock of the library held. They may end their thread
 * (pthread_exit): the task then fails, and the worker is replaced. They must not leave by
 * longjmp or by a C++ exception: one that leaves a task in a worker ends the program; one that
 * leaves a callback comes out of the call that ran it, if nothing on the way ends the
 * program. A task that crashes takes the program with it; that is what process pools are for.
 *
 * PROCESSES. With cfut_process_pool_new() tasks run in worker processes: the same functions, in
 * the same program executed again, which is why cfut_worker_main() is the first call of
 * main(). Arguments and results travel as bytes or as buffers; a pointer means nothing
 * there. A task that crashes, exits or is killed ends as CFUT_CRASHED, and costs nobody else
 * anything.
 *
 * NULL. A NULL handle gives CFUT_EINVAL from functions with a status and 0 or NULL from
 * others, unless the function says otherwise; release(NULL) and free(NULL) do nothing. Releasing
 * something twice is undefined; with CFUT_CHECK=1 in the environment it ends the program with a
 * text that says what it was.
 *
 * FORK. In a forked child the executors and unfinished futures of the parent answer
 * CFUT_EFORKED, finished futures may be read, releases only drop memory, and new executors work.
 *
 * EXIT. Shut executors down before main() returns: the library has no hook at the end of the
 * process. It is never unloaded: dlclose() is harmless.
 */


#ifndef CFUTURES_H
#define CFUTURES_H

#include <stddef.h>
#include <stdint.h>

#ifndef CFUT_API
#if defined(__GNUC__)
#define CFUT_API __attribute__((visibility("default")))
#else
#define CFUT_API
#endif
#endif

/* ---- 0. Constants ------------------------------------------------------------------- */

/* The version of this header; compare with cfut_version_number() */
#define CFUT_VERSION_MAJOR 0 /* another one is another ABI                                   */
#define CFUT_VERSION_MINOR 1 /* while the major one is 0, so is another one of these         */
#define CFUT_VERSION_PATCH 0 /* the same interface, and perhaps more of it                   */
#define CFUT_VERSION_NUMBER \
    ((CFUT_VERSION_MAJOR << 16) | (CFUT_VERSION_MINOR << 8) | CFUT_VERSION_PATCH) /* 0xMMmmpp */
#define CFUT_VERSION "0.1.0" /* all three as text                                            */

/* Time-outs */
#define CFUT_FOREVER (INT64_C(-1))             /* until it comes                             */
#define CFUT_NOW (INT64_C(0))                  /* look, do not wait                          */
#define CFUT_USEC(n) ((int64_t)(n) * 1000)     /* microseconds                               */
#define CFUT_MSEC(n) ((int64_t)(n) * 1000000)  /* milliseconds                               */
#define CFUT_SEC(n) ((int64_t)(n) * 1000000000)/* seconds                                    */

/* Statuses: outcomes */
#define CFUT_OK 0          /* good                                                           */
#define CFUT_TIMEOUT 1     /* the wait ended first; the task goes on                         */
#define CFUT_PENDING 2     /* asked to stop, the outcome is still to come                    */
#define CFUT_CANCELLED 3   /* never ran, or stopped on request                               */
#define CFUT_FAILED 4      /* the task reported failure: code and message                    */
#define CFUT_CRASHED 5     /* the worker process died in this task                           */
#define CFUT_EXPIRED 6     /* a queue, run or total time-out passed                          */
#define CFUT_BROKEN 7      /* the executor or the promise broke before the task could end    */
#define CFUT_END 8         /* nothing more will come (queue, map)                            */
#define CFUT_TOO_LATE 9    /* running or finished: not cancelled                             */
/* Statuses: misuse and failures of the system */
#define CFUT_EINVAL (-1)   /* an argument is NULL or out of its range                        */
#define CFUT_ENOMEM (-2)   /* no memory                                                      */
#define CFUT_ENOTSUP (-3)  /* this executor or version cannot do that                        */
#define CFUT_ESHUTDOWN (-4)/* the executor no longer takes work                              */
#define CFUT_EFULL (-5)    /* a bound was reached                                            */
#define CFUT_EDEADLK (-6)  /* this wait could never end                                      */
#define CFUT_EFORKED (-7)  /* the handle was inherited through fork()                        */
#define CFUT_ENOENT (-8)   /* no such function, module or program                            */
#define CFUT_ESYS (-9)     /* a system call failed: see cfut_last_error()                    */
#define CFUT_EPANIC (-10)  /* defect inside the library, contained; code of a task whose
                              thread ended in it                                             */
#define CFUT_ESTATE (-11)  /* the promise is settled, or has a recorded outcome              */

/* What a task returns if a retained promise settles it later */
#define CFUT_DETACH INT32_MIN /* the outcome is still to come                                */

/* cfut_log_fn */
#define CFUT_LOG_ERROR 1   /* something failed, and nobody has seen it                       */
#define CFUT_LOG_WARNING 2 /* something is done in a lesser way                              */

/* cfut_executor_shutdown(): bits */
#define CFUT_SHUTDOWN_CANCEL 1u /* cancel what has not started                               */
#define CFUT_SHUTDOWN_STOP 2u   /* raise the stop flag of running tasks                      */
#define CFUT_SHUTDOWN_KILL 4u   /* and kill process workers still busy at the time-out       */
#define CFUT_SHUTDOWN_TERM 8u   /* SIGTERM to all process workers at once                    */

/* cfut_future_state() */
#define CFUT_STATE_PENDING 0   /* has not started                                            */
#define CFUT_STATE_RUNNING 1   /* its function has been entered                              */
#define CFUT_STATE_CANCELLED 2 /* ended as CFUT_CANCELLED                                    */
#define CFUT_STATE_FINISHED 3  /* ended in any other way                                     */

/* cfut_future_cancel() */
#define CFUT_CANCEL_PENDING 0u /* only if it has not started                                 */
#define CFUT_CANCEL_STOP 1u    /* else also raise its stop flag                              */
#define CFUT_CANCEL_KILL 2u    /* else also kill its process, after the grace                */

/* cfut_wait_many() */
#define CFUT_WAIT_ALL 0           /* until all are settled                                   */
#define CFUT_WAIT_ANY 1           /* until one is settled                                    */
#define CFUT_WAIT_FIRST_FAILURE 2 /* until one has failed, or all are settled                */

/* cfut_join() */
#define CFUT_JOIN_ALL 0           /* ends with the first that does not succeed, else with all*/
#define CFUT_JOIN_SETTLED 1       /* ends with the last, however they end                    */
#define CFUT_JOIN_ANY 2           /* ends with the first, however it ends                    */
#define CFUT_JOIN_FIRST_SUCCESS 3 /* ends with the first success, else with the last         */

/* cfut_buffer_new(): bits */
#define CFUT_BUFFER_SHARED 1u /* memory that process workers map instead of copying          */

/* ---- 13. Keys (used above them all, so they stand here) ----------------------------- */

/* Executor options, integer: cfut_options_set() */
#define CFUT_OPT_WORKERS 1           /* most workers, 1 to 32510; threads: min(32, cpus + 4),
                                        processes: cpus                                      */
#define CFUT_OPT_MIN_WORKERS 2       /* kept when idle; default: all that were started, or 0
                                        if CFUT_OPT_IDLE_NS is set                           */
#define CFUT_OPT_IDLE_NS 3           /* an idle worker above the minimum leaves after this;
                                        default 10 s, negative: never                        */
#define CFUT_OPT_QUEUE_LIMIT 4       /* most tasks accepted and not started; 0 = no bound    */
#define CFUT_OPT_QUEUE_BYTES 5       /* the same in bytes of their arguments, and of results
                                        in memory of their own that nobody has read yet      */
#define CFUT_OPT_FULL_POLICY 6       /* what a submit does that finds the queue full         */
#define CFUT_FULL_BLOCK 0            /*   waits (default); in a task of the executor itself:
                                          runs it at once                                    */
#define CFUT_FULL_REJECT 1           /*   answers CFUT_EFULL                                 */
#define CFUT_FULL_RUN_IN_CALLER 2    /*   runs it at once, in the calling thread             */
#define CFUT_OPT_FULL_TIMEOUT_NS 7   /* longest wait of CFUT_FULL_BLOCK; default for ever    */
#define CFUT_OPT_STACK_SIZE 8        /* bytes of a worker's stack, at least 65536; 0 = the
                                        system's default                                     */
#define CFUT_OPT_START_METHOD 9      /* processes: how a worker is made                      */
#define CFUT_START_FORKSERVER 0      /*   forked from a process that has loaded everything
                                          (default, but for CFUT_OPT_WORKER_PROGRAM)         */
#define CFUT_START_SPAWN 1           /*   executed anew                                      */
#define CFUT_OPT_TASKS_PER_WORKER 10 /* processes: recycle one after n tasks                 */
#define CFUT_OPT_RSS_PER_WORKER 11   /* processes: recycle one above n bytes                 */
#define CFUT_OPT_MEMORY_LIMIT 12     /* processes: hard limit, bytes of address space        */
#define CFUT_OPT_CPU_TIME_LIMIT 13   /* processes: hard limit, seconds of a worker's life    */
#define CFUT_OPT_NICE 14             /* nice value of the workers, -20 to 19; if the system
                                        refuses it, the log is told                          */
#define CFUT_OPT_ON_WORKER_DEATH 15  /* processes: what a crash costs                        */
#define CFUT_DEATH_FAIL_TASK 0       /*   the task that ran (default)                        */
#define CFUT_DEATH_BREAK_POOL 1      /*   the pool, as in Python                             */
#define CFUT_OPT_START_TIMEOUT_NS 16 /* processes: a worker that is not ready after this is
                                        killed; default 60 s, negative: never                */
#define CFUT_OPT_SPIN_NS 17          /* how long one idle worker looks for work before it
                                        sleeps, up to 1 s; -1 = chosen (default)             */
#define CFUT_OPT_WAITERS_HELP 18     /* 1: threads outside that wait for ever may run the
                                        awaited task, within the number of workers; default
                                        0; no effect with an initializer or hooks            */
/* Executor options, text: cfut_options_set_text() */
#define CFUT_OPT_NAME 64             /* workers are NAME-0, NAME-1, ..., cut before the number
                                        to 15 bytes; default "cfut"                          */
#define CFUT_OPT_WORKER_PROGRAM 65   /* processes: path of a program that calls
                                        cfut_worker_main() or cfut_worker_run()              */
#define CFUT_OPT_PRELOAD 66          /* processes: shared objects that the process which forks
                                        workers loads first, with ':' between them           */
#define CFUT_OPT_TRACE_FILE 67       /* timeline in the Chrome trace format, for Perfetto and
                                        chrome://tracing; emptied when the executor is made,
                                        complete when its shutdown has answered CFUT_OK, or
                                        with its end. Executors of a process may share one.
                                        Costs about 0.4 us a task: docs/timeline.md          */

/* Task options, integer: cfut_task_set(). Time-outs: negative = none (default) */
#define CFUT_TASK_QUEUE_TIMEOUT_NS 1 /* most time in the queue, or it is CFUT_EXPIRED        */
#define CFUT_TASK_RUN_TIMEOUT_NS 2   /* most time it may run: then it is CFUT_EXPIRED at once,
                                        its stop flag is raised, and what it still answers is
                                        dropped                                              */
#define CFUT_TASK_TOTAL_TIMEOUT_NS 3 /* the same from its submit, or its cfut_future_pipe();
                                        maps: for all of it                                  */
#define CFUT_TASK_GRACE_NS 4         /* processes, commands: how long it may go on after a time-out or
                                        CFUT_CANCEL_KILL before its worker is killed; default
                                        100 ms, negative: for ever                           */
#define CFUT_TASK_PRIORITY 5         /* -1 low, 0, 1 high: a higher one is started first; now
                                        and then a low one is, so that it is not starved     */
#define CFUT_TASK_ATTEMPTS 6         /* processes: how often it is started if its worker dies
                                        in it; default 1                                     */
#define CFUT_TASK_CHUNK 7            /* maps: items that are handed out at once, with one lock and
                                        one wake-up; each has its own outcome all the same.
                                        Default 0: chosen by how long they run               */
#define CFUT_TASK_WINDOW 8           /* maps: most items handed out and not read yet. Default
                                        0: chosen, a few chunks for each worker              */
#define CFUT_WINDOW_ALL (-1)         /*   all at once: a source is asked to its end          */
#define CFUT_TASK_OUTPUT_LIMIT 9     /* most bytes of a result; negative = any (default)     */
/* Task options, text: cfut_task_set_text() */
#define CFUT_TASK_NAME 64            /* for messages, snapshots and the timeline             */
#define CFUT_TASK_DIRECTORY 65       /* commands: where they begin; default: where the host is */

/* cfut_future_info() */
#define CFUT_INFO_QUEUED_NS 1        /* from its submit to its start                         */
#define CFUT_INFO_RUN_NS 2           /* from its start to the return of its function; 0 for
                                        one that was settled while it ran                    */
#define CFUT_INFO_ATTEMPTS 3         /* how often it was started                             */
#define CFUT_INFO_WORKER_PID 4       /* processes: where it ran, commands: what ran; or 0    */
#define CFUT_INFO_EXIT_CODE 5        /* of a crash or command: what it exited with, or 0     */
#define CFUT_INFO_SIGNAL 6           /* of a crash or command: what killed it, or 0          */
#define CFUT_INFO_OUT_OF_MEMORY 7    /* of a crash: 1 if want of memory caused it            */
#define CFUT_INFO_MAX_RSS 8          /* of a crash or command: most resident bytes of it     */
#define CFUT_INFO_CPU_NS 9           /* processes: processor time of the task; of a crash
                                        that of its worker                                   */

/* cfut_executor_stat() */
#define CFUT_STAT_WORKERS 1          /* threads that exist                                   */
#define CFUT_STAT_IDLE_WORKERS 2     /* that sleep                                           */
#define CFUT_STAT_QUEUED 3           /* accepted, neither started nor settled                */
#define CFUT_STAT_RUNNING 4          /* functions that have not returned, and detached tasks */
#define CFUT_STAT_SUBMITTED 5        /* accepted, ever                                       */
#define CFUT_STAT_SUCCEEDED 6        /* ended as CFUT_OK                                     */
#define CFUT_STAT_FAILED 7           /* failed or broken                                     */
#define CFUT_STAT_CANCELLED 8        /* ended as CFUT_CANCELLED                              */
#define CFUT_STAT_EXPIRED 9          /* ended as CFUT_EXPIRED                                */
#define CFUT_STAT_CRASHED 10         /* ended as CFUT_CRASHED                                */
#define CFUT_STAT_STOLEN 11          /* times a worker took work from another one's queue    */
#define CFUT_STAT_WORKERS_STARTED 12 /* ever, with those that replaced others                */
#define CFUT_STAT_OLDEST_QUEUED_NS 13/* age of the oldest queued task, roughly; 0 = none     */
#define CFUT_STAT_MAX_WORKERS 14     /* CFUT_OPT_WORKERS, or its default                     */
#define CFUT_STAT_BROKEN 15          /* 1 once broken                                        */

/* ---- 1. Types ------------------------------------------------------------------------ */


/**
 * Shared, counted: bytes that are handed over, not copied.
 */
typedef struct cfut_buffer cfut_buffer;

/**
 * Shared, counted: something that runs tasks.
 */
typedef struct cfut_executor cfut_executor;

/**
 * Shared, counted: the reading side of an outcome.
 */
typedef struct cfut_future cfut_future;

/**
 * One thread at a time: results in the order of their inputs.
 */
typedef struct cfut_map cfut_map;

/**
 * Builder: how an executor works. One thread at a time.
 */
typedef struct cfut_options cfut_options;

/**
 * Shared, counted: the writing side.
 */
typedef struct cfut_promise cfut_promise;

/**
 * Shared, counted: futures in the order they settle.
 */
typedef struct cfut_queue cfut_queue;

/**
 * Builder: what to run, and how. One thread at a time while it is changed; submitting from
 * it is reading.
 */
typedef struct cfut_task cfut_task;

/**
 * What a call answers: 0 good, > 0 an expected other outcome, < 0 wrong use or a failure of
 * the system. See CFUT_OK and those that follow it.
 */
typedef int32_t cfut_status;

/**
 * Takes a message for people; `level` is CFUT_LOG_ERROR or CFUT_LOG_WARNING.
 */
typedef void (*cfut_log_fn)(int32_t level, const char *message, void *arg);

/**
 * Frees what was moved into the library. Called exactly once.
 */
typedef void (*cfut_free_fn)(void *arg);

/**
 * In a worker thread as it starts (not 0: the executor breaks) and as it leaves.
 */
typedef int32_t (*cfut_hook_fn)(void *arg, uint32_t worker);

/**
 * A task. Works on `len` bytes at `data`, which stay valid during the call (aligned to 16
 * bytes; a buffer's to 64; with `len` 0 it may be NULL), and answers through `promise`, which
 * is borrowed for the call. Returns 0 = done, CFUT_DETACH = a retained promise settles later,
 * any other value = failed with that code. The same function runs on every kind of executor.
 * No C++ exception may leave it.
 */
typedef int32_t (*cfut_task_fn)(struct cfut_promise *promise, const void *data, size_t len);

/**
 * A task for executors of this process: works on a pointer.
 */
typedef int32_t (*cfut_closure_fn)(struct cfut_promise *promise, void *arg);

/**
 * The next input of a lazy map: 0 and an item (borrowed until the next call), CFUT_END, or a
 * negative status that ends the map.
 */
typedef int32_t (*cfut_source_fn)(void *arg, const void **data, size_t *len);

/**
 * One range of a parallel loop.
 */
typedef int32_t (*cfut_range_fn)(struct cfut_promise *promise,
                                 size_t begin,
                                 size_t end,
                                 void *arg);

/**
 * A callback on a settled future (borrowed for the call).
 */
typedef void (*cfut_done_fn)(struct cfut_future *future, void *arg);

/**
 * A continuation: a task that works on a settled future (borrowed for the call).
 */
typedef int32_t (*cfut_then_fn)(struct cfut_promise *promise,
                                struct cfut_future *input,
                                void *arg);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * ---- 2. Library ----------------------------------------------------------------------
 *
 * The version of the library that is loaded; compare with CFUT_VERSION_NUMBER, the version of
 * this header.
 *
 * @return 0xMMmmpp: major, minor and patch number.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API uint32_t cfut_version_number(void);

/**
 * The version of the library that is loaded, as text.
 *
 * @return borrowed, valid for ever.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API const char *cfut_version(void);

/**
 * The name of a status, as in this header: "CFUT_OK".
 *
 * @param status any number.
 * @return borrowed, valid for ever; "CFUT_?" for a number that is none.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API const char *cfut_status_name(cfut_status status);

/**
 * What a status means, in a few words.
 *
 * @param status any number.
 * @return borrowed, valid for ever; "unknown status" for a number that is none.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API const char *cfut_status_text(cfut_status status);

/**
 * What was wrong in the last call of this thread that answered with a negative status, or
 * with CFUT_BROKEN from a submit: the argument, its value, and what to do. A later success
 * leaves it alone. For people and logs: the status alone says what a program can do.
 *
 * @param buf written, NUL-terminated, as far as the text fits; NULL: only the length is asked for.
 * @param cap bytes that `buf` has room for; with 0 nothing is written.
 * @return the length of the whole text without its NUL, at most 480; 0 if there was no such call.
 * Thread: any; each has its own text. Blocks: no. Since: 0.1.
 */
CFUT_API
size_t cfut_last_error(char *buf,
                       size_t cap);

/**
 * How many processors this process may use now: its affinity, cut by a control group's quota
 * (rounded up).
 *
 * @return at least 1.
 * Thread: any. Blocks: no (reads a few files of the kernel's). Since: 0.1.
 */
CFUT_API uint32_t cfut_cpu_count(void);

/**
 * Sets where messages go that no call can answer with. Without it they are dropped.
 * CFUT_LOG_ERROR: an executor broke, or a future failed, crashed, expired or broke, and its last
 * reference went unseen: fire and forget, or nobody has waited for its end, asked for anything
 * about it, taken it out of a queue, or hung a callback, a continuation or a join on it. The
 * text has the task's name, its code and its message. CFUT_LOG_WARNING: something is done in a
 * lesser way, such as a timeline that ends early.
 *
 * @param fn called with CFUT_LOG_ERROR or CFUT_LOG_WARNING and a text (borrowed for the call),
 * in whichever thread has something to say, several at once; NULL: no messages. It may call
 * the library.
 * @param arg moved, also when the call fails: `arg_free` is called once, when the function has
 * been replaced and no thread is in it any more; at once if `fn` is NULL.
 * @param arg_free NULL for none; runs in the thread that replaces the function, or in the one that
 * was in it last.
 * @return CFUT_OK; CFUT_ENOMEM: the function set before stays.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_set_log(cfut_log_fn fn,
                         void *arg,
                         cfut_free_fn arg_free);

/**
 * Waits until no executor has work and the library will call no function of yours until it is
 * given new work: before dlclose(), or before an interpreter goes away. Executors stay usable.
 *
 * @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
 * @return CFUT_OK; CFUT_TIMEOUT; CFUT_EDEADLK: called from a task, a callback or a hook.
 * Thread: any but workers. Blocks: up to `timeout_ns`. Since: 0.1.
 */
CFUT_API cfut_status cfut_quiesce(int64_t timeout_ns);

/**
 * ---- 3. Executors ------------------------------------------------------------------
 *
 * Makes a builder with all options at their defaults.
 *
 * @return owned; NULL if there is no memory. Free with cfut_options_free().
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_options *cfut_options_new(void);

/**
 * Frees a builder; executors made with it keep what they copied.
 *
 * @param options moved; NULL does nothing.
 * Thread: one at a time for each builder. Blocks: no. May call the free function given to
 * cfut_options_set_worker_hooks(). Since: 0.1.
 */
CFUT_API void cfut_options_free(struct cfut_options *options);

/**
 * Sets an integer option. The keys with their defaults stand in section 13 above. An option that
 * is not for the kind of executor it is then used with is refused there, never ignored.
 *
 * @param options borrowed.
 * @param key a CFUT_OPT_ key below 64.
 * @param value in the unit and range of the key: counts, bytes, or nanoseconds where its name ends
 * in _NS.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or the value is out of the key's range;
 * CFUT_ENOTSUP: no such integer option.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_options_set(struct cfut_options *options,
                             int32_t key,
                             int64_t value);

/**
 * Sets a text option.
 *
 * @param options borrowed.
 * @param key a CFUT_OPT_ key from 64.
 * @param text copied, UTF-8.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or more than 64 KiB (but for CFUT_OPT_NAME); CFUT_ENOMEM;
 * CFUT_ENOTSUP: no such text option.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_options_set_text(struct cfut_options *options,
                                  int32_t key,
                                  const char *text);

/**
 * Has a task run once in each worker before its first one. If it fails, the executor breaks:
 * what has not started ends as CFUT_BROKEN with the reason, and so does every later submit.
 * It reports its reason like any task, with cfut_promise_fail(). It must not detach.
 *
 * @param options borrowed.
 * @param task copied; NULL removes the initializer.
 * @param data copied, `len` bytes, once for all workers; NULL with 0.
 * @return CFUT_OK; CFUT_EINVAL: NULL options, a command, NULL data with a length, a length no object
 * can have; CFUT_ENOMEM.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_options_set_initializer(struct cfut_options *options,
                                         const struct cfut_task *task,
                                         const void *data,
                                         size_t len);

/**
 * Sets functions that run in each worker thread as it starts, before the initializer, and
 * as it leaves: for runtimes that attach threads, and for initializers with state. If `start`
 * answers other than 0 the executor breaks, and `stop` is not called for that worker. Where a
 * runtime stops its threads by a signal, as Mono's collector does, `start` lets that one through.
 *
 * @param options borrowed.
 * @param start NULL for none.
 * @param stop NULL for none; what it answers does not matter.
 * @param arg moved, also when the call fails: `arg_free` is called once, when the builder and
 * all executors made with it are gone, or the hooks were replaced.
 * @param arg_free NULL for none; runs in the thread that dropped the last of them.
 * @return CFUT_OK; CFUT_EINVAL: NULL options; CFUT_ENOMEM. Process pools refuse the hooks.
 * Thread: one at a time for each builder; the hooks run in worker threads. Blocks: no.
 * Since: 0.1.
 */
CFUT_API
cfut_status cfut_options_set_worker_hooks(struct cfut_options *options,
                                          cfut_hook_fn start,
                                          cfut_hook_fn stop,
                                          void *arg,
                                          cfut_free_fn arg_free);

/**
 * Process pools: adds an argument of the worker program named by CFUT_OPT_WORKER_PROGRAM.
 *
 * @param options borrowed.
 * @param arg copied, UTF-8.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM. Thread pools refuse arguments.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_options_add_worker_arg(struct cfut_options *options, const char *arg);

/**
 * Process pools: adds or changes a variable in the environment of the workers. Without, they
 * have the environment that the process had when the pool was made.
 *
 * @param options borrowed.
 * @param name copied; not empty, and without '='.
 * @param value copied.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or no name of a variable; CFUT_ENOMEM. Thread pools refuse
 * variables.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_options_add_worker_env(struct cfut_options *options,
                                        const char *name,
                                        const char *value);

/**
 * Makes a pool of threads. Threads start when there is work for them: at once up to the
 * number of processors, beyond that when the monitor sees running tasks block. Tasks from
 * outside start in the order submitted, up to a batch that a worker picks up at once; with
 * one worker exactly in that order. Tasks that a task submits run newest first, with one
 * worker oldest first.
 *
 * @param options borrowed and copied; NULL: all defaults.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL out, or options that contradict each other; CFUT_ENOMEM;
 * CFUT_ENOTSUP: an option that is not for thread pools; CFUT_ENOENT: the initializer's name means
 * nothing in this process; CFUT_ESYS: CFUT_OPT_TRACE_FILE cannot be written.
 * Thread: any. Blocks: no (but for the opening of that file). Since: 0.1.
 */
CFUT_API
cfut_status cfut_thread_pool_new(const struct cfut_options *options,
                                 struct cfut_executor **out);

/**
 * Makes a pool of worker processes. A crash, a hang or a leak in a task costs that task, and
 * nothing else: its future ends as CFUT_CRASHED, tasks that had not begun go to other workers, and
 * the pool makes another worker.
 *
 * A worker is this program, executed again, if it calls cfut_worker_main() at the top of main();
 * else the program of CFUT_OPT_WORKER_PROGRAM; else cfutures-worker, which lies beside the library
 * and reaches functions in shared objects. It has the directory and the environment of this
 * process at the time of this call, standard output and error, /dev/null as standard input, no
 * other descriptor, default signal handling, and a process group of its own. Neither workers nor
 * their supervisor are seen by waitpid() or SIGCHLD here; none of them outlives this process.
 *
 * Tasks start in the order submitted; a worker may be given a few ahead, which are taken back when
 * another one is idle. Arguments and results are copied once each way, CFUT_BUFFER_SHARED buffers
 * not at all. A result's message is kept up to 8 KiB.
 *
 * @param options borrowed and copied; NULL: all defaults.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK: the supervisor runs, workers start with the first tasks; CFUT_EINVAL: NULL out,
 * or options that contradict each other; CFUT_ENOMEM; CFUT_ENOTSUP: an option that is not for
 * process pools, or pools nested more than 8 deep; CFUT_ENOENT: no worker program; CFUT_ESYS: no
 * descriptor, thread or process, or CFUT_OPT_TRACE_FILE cannot be written.
 * Thread: any. Blocks: until the supervisor has been executed, a millisecond or so. Since: 0.1.
 */
CFUT_API
cfut_status cfut_process_pool_new(const struct cfut_options *options,
                                  struct cfut_executor **out);

/**
 * Makes a view of an executor, its parent: an executor of its own that runs its tasks on the
 * parent, at most `max_running` of them at once. Those that wait hold no worker. They are handed
 * to the parent in the order accepted, whatever their priorities, which count there. With 1 it is
 * a strand: its tasks run one after the other, in order, though not always in the same thread.
 *
 * A task holds its place until it has settled and its function has returned: also while it is
 * detached, and while it does not heed that its time-out has passed. (In a process pool a place is
 * free as soon as the task has settled; its process may still be being killed.) A place is free
 * before the callbacks of the task's future run.
 *
 * Options, time-outs and statistics of tasks are as with the parent. What waits counts against the
 * bound of its queue. If that is full, tasks of the parent's own workers are accepted all the same,
 * and with CFUT_FULL_RUN_IN_CALLER other threads wait for room: no task is run by its submitter. The view's
 * statistics count its own tasks; CFUT_STAT_WORKERS and the like are the parent's.
 * cfut_executor_current() in its tasks is the view.
 *
 * A task of the view that waits without a time-out for one that cannot get a place before it ends
 * gets CFUT_EDEADLK.
 *
 * cfut_executor_shutdown() ends the view alone: CFUT_SHUTDOWN_CANCEL and _STOP reach its own tasks,
 * CFUT_SHUTDOWN_KILL kills the processes of those still busy at the time-out; CFUT_SHUTDOWN_TERM is
 * CFUT_ENOTSUP. The parent takes work as long as the view does, and is then released. If it is
 * shut down before, what still waits in the view ends as CFUT_BROKEN, or as CFUT_CANCELLED if that was
 * done with CFUT_SHUTDOWN_CANCEL; callbacks and continuations run in the thread that learns of it.
 *
 * A view does not run a loop: whoever does keeps a handle of the loop as long as the view has work.
 *
 * @param parent retained: any executor, also a view, up to 16 deep.
 * @param max_running most tasks of the view that run at once, at least 1.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or 0 as `max_running`; CFUT_ENOMEM; CFUT_ENOTSUP: nested too
 * deep; CFUT_ESHUTDOWN, CFUT_BROKEN: the parent takes no more work; CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_limited_new(struct cfut_executor *parent,
                             uint32_t max_running,
                             struct cfut_executor **out);

/**
 * Another handle of an executor.
 *
 * @param executor borrowed; NULL gives NULL.
 * @return `executor`, owned once more.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_executor *cfut_executor_retain(struct cfut_executor *executor);

/**
 * Gives a handle back. With the last one the executor takes no more work; what it has accepted
 * still runs, and then its threads go. To wait for that, call cfut_executor_shutdown() first.
 * No other call may be using this handle: a task may run before its cfut_submit() has returned.
 * cfut_executor_retain() gives it one of its own.
 *
 * @param executor moved; NULL does nothing.
 * Thread: any, also its own tasks. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_executor_release(struct cfut_executor *executor);

/**
 * The executor whose task or hook this thread runs, which is the view for a task of a view; in
 * callbacks that a thread of an executor makes that executor. (A task of a view that runs in a thread
 * that waits for it, with CFUT_OPT_WAITERS_HELP, gets the executor under the view.)
 *
 * @return borrowed, valid during the task; NULL in other threads.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
struct cfut_executor *cfut_executor_current(void);

/**
 * Starts all workers up to CFUT_OPT_WORKERS and waits until each has run its hooks and
 * initializer, so that the first task does not pay for that.
 *
 * @param executor borrowed.
 * @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
 * @return CFUT_OK; CFUT_TIMEOUT; CFUT_BROKEN: an initializer or hook failed; CFUT_EINVAL: NULL;
 * CFUT_ESHUTDOWN; CFUT_EFORKED; CFUT_ESYS: not all threads could be created, the executor
 * works with those it has.
 * Thread: any. Blocks: up to `timeout_ns`. Since: 0.1.
 */
CFUT_API cfut_status cfut_executor_warm(struct cfut_executor *executor, int64_t timeout_ns);

/**
 * Ends an executor: no new work from now on; waits until the rest is done, its threads have
 * gone, and detached tasks are settled. May be called again, to wait longer or with more flags;
 * also by several threads. The handle stays valid and is released as always.
 *
 * Tasks already accepted run, unless CFUT_SHUTDOWN_CANCEL cancels those that have not started.
 * CFUT_SHUTDOWN_STOP raises the stop flag of those that run. With CFUT_SHUTDOWN_KILL a process pool
 * kills what is still busy at the time-out, and ends within a second of it; CFUT_SHUTDOWN_TERM
 * sends SIGTERM to its workers at once. What then ends with its worker is CFUT_CANCELLED. Threads
 * cannot be killed: with them both do what CFUT_SHUTDOWN_STOP does. Commands can, on any executor
 * (see cfut_task_new_command()).
 *
 * @param executor borrowed.
 * @param flags CFUT_SHUTDOWN_ bits, 0 for none.
 * @return CFUT_OK: all done; CFUT_TIMEOUT: not yet, it goes on; CFUT_EINVAL: NULL or unknown
 * flags; CFUT_EDEADLK: called by a task of its own, or by a callback that one of its threads
 * makes, which may ask with CFUT_NOW only; CFUT_EFORKED.
 * Thread: any. Blocks: up to `timeout_ns`. Callbacks of cancelled futures run in it. Since: 0.1.
 */
CFUT_API
cfut_status cfut_executor_shutdown(struct cfut_executor *executor,
                                   uint32_t flags,
                                   int64_t timeout_ns);

/**
 * One figure about an executor. Figures may lag a moment; they never lose a count.
 *
 * @param executor borrowed.
 * @param key a CFUT_STAT_ key.
 * @param out written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOTSUP: no such key; CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_executor_stat(struct cfut_executor *executor,
                               int32_t key,
                               int64_t *out);

/**
 * The state of an executor as JSON, for people and logs: counts, workers with process, thread and
 * state, and up to 256 running and queued tasks with name, state, age, worker and attempt; the
 * others are counted. docs/snapshot.md has the schema. What it says may be out of date when it is
 * read, and a later call may need more room; keys may be added in later versions. It costs the same
 * however many tasks are queued, and holds none of them up.
 *
 * @param executor borrowed.
 * @param buf written, NUL-terminated, as far as the text fits; NULL: only the length is asked for.
 * @param cap bytes that `buf` has room for; with 0 nothing is written.
 * @param len the length of the whole text without its NUL; written on CFUT_OK only.
 * @return CFUT_OK, also if it was cut; CFUT_EINVAL: NULL executor or len; CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_executor_snapshot(struct cfut_executor *executor,
                                   char *buf,
                                   size_t cap,
                                   size_t *len);

/**
 * Makes an executor that runs nothing by itself: its tasks, and the callbacks that follow from
 * them, run in whichever threads call cfut_loop_run(), usually one. So an event loop, or a thread
 * that owns something, gets work from any thread, and nothing of its own is called from a foreign
 * one.
 *
 * Tasks start in the order submitted, those of a higher priority first. Nobody watches their
 * time-outs in the background: they are looked at in cfut_loop_run(), between tasks and while it
 * waits; in cfut_future_wait() for a task that has one; and where a running task asks
 * cfut_promise_stop_requested(). A loop that nobody runs does nothing: who waits for its tasks
 * waits.
 *
 * Of the options CFUT_OPT_QUEUE_LIMIT, _QUEUE_BYTES, _FULL_POLICY (BLOCK or REJECT), _FULL_TIMEOUT_NS,
 * _NAME and _TRACE_FILE are for loops. Tasks of the loop itself never wait for room; a thread that is to run the
 * loop does, outside of cfut_loop_run(), and should rather have CFUT_FULL_REJECT.
 *
 * cfut_executor_shutdown() waits until others have run what is queued. The last
 * cfut_executor_release() ends what is queued as CFUT_BROKEN, for nobody can run it any more;
 * callbacks and continuations run in it.
 *
 * @param options borrowed and copied; NULL: all defaults.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL out; CFUT_ENOMEM; CFUT_ENOTSUP: an option that is not for loops;
 * CFUT_ESYS: the trace file cannot be opened.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_loop_new(const struct cfut_options *options,
                          struct cfut_executor **out);

/**
 * Runs tasks of a loop in the calling thread, waiting for more, until `max_tasks` have been run,
 * the time is over, or the loop has been shut down and nothing is queued. With CFUT_NOW it runs what is
 * queued when it begins, and not what that submits in its turn: the call for an event loop, whenever
 * the descriptor of cfut_loop_fd() is readable. At least one task is run if one is queued. A task that runs
 * is not interrupted when the time is over.
 *
 * Several threads may run a loop; each task is run by one of them. A task may wait for another one of
 * the loop, which then runs in the wait.
 *
 * @param loop borrowed.
 * @param max_tasks leave after so many; 0: no limit.
 * @param timeout_ns how long: CFUT_FOREVER, CFUT_NOW, or nanoseconds.
 * @param ran NULL, or written in any case: how many tasks were run.
 * @return CFUT_OK: `max_tasks` were run; CFUT_TIMEOUT: the time is over, with CFUT_NOW also when
 * all was run; CFUT_END: shut down, and nothing is queued; CFUT_EINVAL: NULL loop; CFUT_ENOTSUP:
 * the executor is no loop; CFUT_EDEADLK: called in a task or callback of the same loop; CFUT_EFORKED.
 * Thread: any. Blocks: up to `timeout_ns`, and while tasks run. Since: 0.1.
 */
CFUT_API
cfut_status cfut_loop_run(struct cfut_executor *loop,
                          size_t max_tasks,
                          int64_t timeout_ns,
                          size_t *ran);

/**
 * The descriptor that is readable while a loop has something queued, and from its shutdown on,
 * when cfut_loop_run() answers CFUT_END: for poll(), epoll and event loops. It is level-triggered,
 * and shows tasks only: not that a time-out passes.
 *
 * @param loop borrowed.
 * @param fd borrowed, valid until the last release of the loop; only to be polled, not read or closed.
 * Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOTSUP: the executor is no loop; CFUT_ESYS: no
 * descriptor; CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_loop_fd(struct cfut_executor *loop,
                         int *fd);

/**
 * ---- 4. Tasks: what to run -----------------------------------------------------------
 *
 * Makes a builder for a task that calls `fn`. Needed only for tasks with options:
 * cfut_submit() takes a function as it is.
 *
 * @param fn the function.
 * @param out owned; free with cfut_task_free(). Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_task_new(cfut_task_fn fn, struct cfut_task **out);

/**
 * Makes a builder for a task by name: registered with cfut_register(), or "module.so:symbol", a
 * symbol of a module that is loaded for good where the task runs, as dlopen() finds it. The name
 * is looked up there: an executor of this process refuses an unknown one at the submit
 * (CFUT_ENOENT; a thread pool with such an initializer is not made), in a worker process the task
 * fails with that code.
 *
 * @param name copied, UTF-8, up to 1024 bytes. A registered name comes before a module's.
 * @param out owned; free with cfut_task_free(). Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL, empty, too long or not UTF-8; CFUT_ENOMEM.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_task_new_named(const char *name,
                                struct cfut_task **out);

/**
 * Makes a builder for a command: a task that is an external program. No thread and no worker is
 * held by one that runs.
 *
 * The bytes of the task, as given to cfut_submit_task() or cfut_submit_buffer(), are its standard
 * input, which is a file: it need not be read, and may be read while the program writes; without
 * bytes it is /dev/null. What it writes to its standard output is the result, whatever its exit
 * status, up to CFUT_TASK_OUTPUT_LIMIT: over that, it is killed and FAILED with CFUT_EFULL. Exit
 * status 0 is success, another one FAILED with that code, a signal FAILED with the code 128 plus its
 * number; the message is the end of what it wrote to its standard error. CFUT_INFO_WORKER_PID,
 * _EXIT_CODE, _SIGNAL, _CPU_NS and _MAX_RSS apply.
 *
 * A program that does not exist is FAILED with CFUT_ENOENT and its name; what cannot be executed,
 * or not in its directory, is FAILED with CFUT_ESYS and the reason. Want of descriptors, memory or
 * processes keeps it waiting while other commands run, and else makes it FAILED with CFUT_ESYS after
 * three seconds.
 *
 * It is over when its process has ended, whoever still has its output open. It leads a process
 * group; what is left of that then is killed. What shall stay has to leave the group, as daemons
 * do. A time-out, or a cancel with CFUT_CANCEL_KILL, settles the future at once; then the group gets
 * SIGTERM, and SIGKILL after CFUT_TASK_GRACE_NS. A cancel with CFUT_CANCEL_STOP, and a shutdown with
 * CFUT_SHUTDOWN_STOP, _TERM or _KILL, send SIGTERM: if it then ends other than with status 0, it is
 * CANCELLED. A shutdown with _KILL whose time is up kills it. CFUT_TASK_ATTEMPTS does nothing.
 *
 * A pool runs as many commands at once as it may have workers, beside its other tasks, in the order
 * submitted by priority; nobody runs a command in the place of the pool, so
 * CFUT_FULL_RUN_IN_CALLER waits as CFUT_FULL_BLOCK does.
 *
 * The program begins with default signal handling, without descriptors but 0, 1 and 2, in the
 * directory of the host at that time, and dies with the host. It is not a child of the host: that
 * sees no SIGCHLD, and cannot wait for it. It is a child of a keeper, one for each process, which is
 * this program itself if it calls cfut_worker_main(), else cfutures-worker. If that is killed, its
 * commands end as CFUT_CRASHED. What limits the workers of a process pool does not limit commands.
 *
 * @param program copied: a path, taken from the command's directory, or a name that is looked up in
 * the PATH of the command as execvp() does.
 * @param out owned; free with cfut_task_free(). Written on CFUT_OK only. It has the environment that
 * the host has now.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or an empty name; CFUT_ENOMEM.
 * Thread: any; none may change the environment meanwhile. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_task_new_command(const char *program,
                                  struct cfut_task **out);

/**
 * Commands: adds an argument of the program. It gets its own name as the first one by itself.
 *
 * @param task borrowed.
 * @param arg copied; any bytes.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_ENOTSUP: the task is no command.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_task_add_arg(struct cfut_task *task, const char *arg);

/**
 * Commands: adds or changes a variable in the environment of the program, which is otherwise what
 * the host had when the builder was made.
 *
 * @param task borrowed.
 * @param name copied; not empty, and without '='.
 * @param value copied; any bytes.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or no such name; CFUT_ENOMEM; CFUT_ENOTSUP: the task is no
 * command.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_task_add_env(struct cfut_task *task,
                              const char *name,
                              const char *value);

/**
 * Sets an integer option of a task; the keys with their defaults stand in section 13 above. Tasks
 * submitted before keep what they had.
 *
 * @param task borrowed.
 * @param key a CFUT_TASK_ key below 64.
 * @param value in the unit and range of the key: counts, bytes, or nanoseconds where its name ends
 * in _NS.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or the value is out of the key's range; CFUT_ENOMEM;
 * CFUT_ENOTSUP: no such integer option. An option that is for process pools does nothing on others,
 * for threads cannot be killed and do not die alone; CFUT_TASK_GRACE_NS is for commands, too.
 * CFUT_TASK_CHUNK and _WINDOW are for maps, and do nothing for single tasks.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_task_set(struct cfut_task *task,
                          int32_t key,
                          int64_t value);

/**
 * Sets a text option of a task. Tasks submitted before keep what they had.
 *
 * @param task borrowed.
 * @param key a CFUT_TASK_ key from 64.
 * @param text copied, UTF-8; a directory any bytes, and not empty.
 * @return CFUT_OK; CFUT_EINVAL: NULL, or an empty directory; CFUT_ENOMEM; CFUT_ENOTSUP: no such text
 * option, or CFUT_TASK_DIRECTORY of a task that is no command.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_task_set_text(struct cfut_task *task,
                               int32_t key,
                               const char *text);

/**
 * Frees a builder; tasks submitted from it keep what they need.
 *
 * @param task moved; NULL does nothing.
 * Thread: one at a time for each builder. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_task_free(struct cfut_task *task);

/**
 * ---- 5. Submit -----------------------------------------------------------------------
 *
 * Hands a task to an executor: `fn` will be called with a copy of the data. Either the task
 * is accepted, and its future will settle, or the call fails and the task never runs.
 *
 * @param executor borrowed.
 * @param fn the function.
 * @param data copied, `len` bytes (8 or fewer cost nothing extra, up to 960 no allocation);
 * NULL with 0. To hand over more without copying, see cfut_submit_buffer().
 * @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
 * Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_BROKEN: the executor broke, the reason is in cfut_last_error();
 * CFUT_EINVAL: NULL executor or fn, NULL data with a length, a length no object can have;
 * CFUT_ENOMEM; CFUT_ESHUTDOWN; CFUT_EFULL: the queue is full, and the policy is to reject or
 * the time to wait has passed; CFUT_EFORKED; CFUT_ESYS: the executor has no thread and could
 * not make one (the next submit tries again).
 * Thread: any. Blocks: only while the queue is full, with CFUT_FULL_BLOCK. With
 * CFUT_FULL_RUN_IN_CALLER, and in a task of the executor itself with either, a full queue
 * has the task run inside this call. Since: 0.1.
 */
CFUT_API
cfut_status cfut_submit(struct cfut_executor *executor,
                        cfut_task_fn fn,
                        const void *data,
                        size_t len,
                        struct cfut_future **out);

/**
 * As cfut_submit(), with the options of a task builder.
 *
 * @param executor borrowed.
 * @param task borrowed; it may be changed or freed at once.
 * @param data copied, `len` bytes; NULL with 0.
 * @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
 * Written on CFUT_OK only.
 * @return As cfut_submit(), CFUT_EINVAL also for a NULL task; CFUT_ESYS also if no thread could be
 * made to keep the task's time-outs; CFUT_ENOENT: the task's name means nothing in this process,
 * or there is no program to start commands with; CFUT_ESYS also if commands cannot be followed.
 * Thread: any. Blocks: as cfut_submit(). Since: 0.1.
 */
CFUT_API
cfut_status cfut_submit_task(struct cfut_executor *executor,
                             const struct cfut_task *task,
                             const void *data,
                             size_t len,
                             struct cfut_future **out);

/**
 * As cfut_submit_task(), but the task works on the bytes of a buffer, which are not copied on
 * any kind of executor. The task can get the buffer itself with cfut_promise_input().
 *
 * @param executor borrowed.
 * @param task borrowed; it may be changed or freed at once.
 * @param buffer retained until the task has returned, or will not run.
 * @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
 * Written on CFUT_OK only.
 * @return As cfut_submit_task(), CFUT_EINVAL also for a NULL buffer.
 * Thread: any. Blocks: as cfut_submit(). Since: 0.1.
 */
CFUT_API
cfut_status cfut_submit_buffer(struct cfut_executor *executor,
                               const struct cfut_task *task,
                               struct cfut_buffer *buffer,
                               struct cfut_future **out);

/**
 * Hands a function and a pointer to an executor of this process: what C++ lambdas and FFI
 * callbacks use.
 *
 * @param executor borrowed.
 * @param fn the function.
 * @param arg moved, also when the call fails: `arg_free` is called once, after the function
 * has returned, or when it is certain that it will not be called.
 * @param arg_free NULL for none; runs in the thread that ran, cancelled or refused the task.
 * @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
 * Written on CFUT_OK only.
 * @return As cfut_submit(); CFUT_ENOTSUP: the executor's tasks run in other processes.
 * Thread: any. Blocks: as cfut_submit(). Since: 0.1.
 */
CFUT_API
cfut_status cfut_submit_closure(struct cfut_executor *executor,
                                cfut_closure_fn fn,
                                void *arg,
                                cfut_free_fn arg_free,
                                struct cfut_future **out);

/**
 * Hands `count` tasks to an executor, over consecutive items: all or none, in order, with one
 * wake-up. Each task has a future of its own.
 *
 * @param executor borrowed.
 * @param task borrowed; it may be changed or freed at once.
 * @param items copied, `count` times `item_size` bytes; NULL with 0.
 * @param item_size bytes of an item.
 * @param count 0: nothing is done.
 * @param out NULL: fire and forget; else room for `count` futures, each owned. Written on
 * CFUT_OK only (and not with `count` 0).
 * @return As cfut_submit_task(). CFUT_EINVAL also for an item size of 0 with items, and where
 * the items are more bytes than any object can have. A full queue takes the whole batch
 * once it is empty, however large; with CFUT_FULL_RUN_IN_CALLER, and in a task of the
 * executor itself, at once.
 * Thread: any. Blocks: as cfut_submit(). Since: 0.1.
 */
CFUT_API
cfut_status cfut_submit_many(struct cfut_executor *executor,
                             const struct cfut_task *task,
                             const void *items,
                             size_t item_size,
                             size_t count,
                             struct cfut_future **out);

/**
 * ---- 6. Map and parallel loops -------------------------------------------------------
 *
 * Makes a map: a task for each item of an array, and their results in input order. Items are
 * handed to the executor ahead of the reader, up to the window, and more as results are read.
 * An item is a task like any other, with an outcome of its own, also where several are handed
 * out at once (CFUT_TASK_CHUNK).
 *
 * CFUT_TASK_TOTAL_TIMEOUT_NS is for the whole map: each item that has not ended by then is
 * CFUT_EXPIRED. The other options are for each item. Where the executor has a bound
 * (CFUT_OPT_QUEUE_LIMIT, _BYTES), a full queue makes the map hand out fewer as long as items are
 * outstanding; with none outstanding one is submitted as by cfut_submit(), which may wait, or
 * answer CFUT_EFULL.
 *
 * @param executor retained by the map, which so may outlive the caller's handle.
 * @param task borrowed; it may be changed or freed at once.
 * @param items copied, `count` times `item_size` bytes; NULL with 0.
 * @param item_size bytes of an item.
 * @param count number of items; 0: a map at its end.
 * @param out owned; free with cfut_map_free() or cfut_map_detach(). Written on CFUT_OK only.
 * @return As cfut_submit_many(): if not even the first item could be handed out. CFUT_EINVAL
 * also for a NULL out.
 * Thread: any. Blocks: only while a bounded queue has no room for one item. Since: 0.1.
 */
CFUT_API
cfut_status cfut_map_new(struct cfut_executor *executor,
                         const struct cfut_task *task,
                         const void *items,
                         size_t item_size,
                         size_t count,
                         struct cfut_map **out);

/**
 * As cfut_map_new(), from a source that is asked for the next item. It is asked by the thread
 * that makes or reads the map, inside that call, and only if the window has room: a source need
 * not end. An item's bytes are copied before it is asked again.
 *
 * A source answers 0 with an item, CFUT_END after the last, or a negative status, which ends
 * the map: the items so far are read, then that status once, then CFUT_END. Any other answer,
 * and an item that is NULL with a length, ends it with CFUT_EINVAL. It is not asked any more
 * after any of these, when the time of the map has passed, and when the executor is shut
 * down or broken: what it had given until then settles, and in the last case CFUT_ESHUTDOWN or
 * CFUT_BROKEN follows, once, with no future. With CFUT_WINDOW_ALL it is asked to its end before
 * this returns.
 *
 * @param executor retained by the map.
 * @param task borrowed; it may be changed or freed at once.
 * @param next asked for items. It may use the library, but not this map.
 * @param arg moved, also when the call fails: `arg_free` is called once, when the map is freed.
 * @param arg_free NULL for none.
 * @param out owned; free with cfut_map_free() or cfut_map_detach(). Written on CFUT_OK only.
 * @return As cfut_map_new(). A source that fails at once is told by cfut_map_next().
 * Thread: any. Blocks: as cfut_map_new(), and as long as the source does. Since: 0.1.
 */
CFUT_API
cfut_status cfut_map_new_source(struct cfut_executor *executor,
                                const struct cfut_task *task,
                                cfut_source_fn next,
                                void *arg,
                                cfut_free_fn arg_free,
                                struct cfut_map **out);

/**
 * The outcome of the next item. Waits for it as cfut_future_wait() does: in a task of the
 * executor, a wait without a time-out may run it here.
 *
 * A failure of an item does not end the map. When the executor has been shut down or is broken,
 * items that were not handed out end as CFUT_CANCELLED or CFUT_BROKEN. A wait that answers
 * CFUT_TIMEOUT, and a failure of the call, lose nothing: the next call is for the same item.
 *
 * A map is used by one thread at a time. It may be freed in a callback or in its source while
 * this call is going on: then this answers CFUT_END.
 *
 * @param map borrowed.
 * @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds. The source is asked all the same.
 * @param out the item's future, borrowed until the next call on the map (retain it to keep it);
 * written for each outcome. With any other answer NULL is written.
 * @return CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, CFUT_CRASHED, CFUT_EXPIRED, CFUT_BROKEN: so
 * it ended (CFUT_BROKEN without a future: see cfut_map_new_source()); CFUT_TIMEOUT: it has not
 * ended, or the queue has no room for it yet; CFUT_END: there are no more; the status of a source
 * that failed; CFUT_EINVAL: NULL; CFUT_EDEADLK: the wait could never end, or another call on this map
 * is going on; CFUT_EFULL, CFUT_ENOMEM, CFUT_ESYS: the next item could not be handed out, and
 * none is outstanding; CFUT_ESHUTDOWN: as CFUT_BROKEN without a future; CFUT_EFORKED.
 * Thread: one at a time for each map. Blocks: up to `timeout_ns`, and as long as the source
 * does. Since: 0.1.
 */
CFUT_API
cfut_status cfut_map_next(struct cfut_map *map,
                          int64_t timeout_ns,
                          struct cfut_future **out);

/**
 * As cfut_map_new(), for closures in place of items: results in input order of a function that
 * is called with each of the pointers. All options are the defaults.
 *
 * @param executor retained by the map.
 * @param fn called once with each of `args`.
 * @param args moved, each of the `count` pointers, also when the call fails: `arg_free` is called
 * once for each. The array itself is borrowed for the call; NULL with 0.
 * @param count number of pointers.
 * @param arg_free NULL for none.
 * @param out owned; free with cfut_map_free() or cfut_map_detach(). Written on CFUT_OK only.
 * @return As cfut_map_new(); CFUT_ENOTSUP: the executor's tasks run in other processes.
 * Thread: any. Blocks: as cfut_map_new(). Since: 0.1.
 */
CFUT_API
cfut_status cfut_map_new_closure(struct cfut_executor *executor,
                                 cfut_closure_fn fn,
                                 void *const *args,
                                 size_t count,
                                 cfut_free_fn arg_free,
                                 struct cfut_map **out);

/**
 * Frees a map: what has not started is cancelled, what runs goes on unseen, and a source is not
 * asked any more. Allowed in callbacks and in the source, also while a call on the map is going
 * on below them: then it is freed when that call returns.
 *
 * @param map moved; NULL does nothing.
 * Thread: one at a time for each map. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_map_free(struct cfut_map *map);

/**
 * Frees the handle of a map, all of which runs: what the window has held back is handed out now,
 * with nobody to see the results; a failure goes to the log. A source is asked by this call, to
 * its end. What an executor does not take any more is told to the log.
 *
 * @param map moved; NULL does nothing.
 * Thread: one at a time for each map. Blocks: while a bounded queue is full, whatever its policy;
 * and until a source has ended. Since: 0.1.
 */
CFUT_API
void cfut_map_detach(struct cfut_map *map);

/**
 * Maps an array to another one: the result of each item goes to the place that the item has.
 * A shorter result leaves the rest of its place zero, and so does an item that does not succeed.
 * A result that is longer than its place fails its item. The window and the time-outs are
 * those of a map (cfut_map_new()).
 *
 * @param executor borrowed.
 * @param task borrowed.
 * @param items borrowed for the call, `count` times `item_size` bytes; NULL with 0.
 * @param item_size bytes of an item.
 * @param count number of items; 0: nothing is done.
 * @param results `count` times `result_size` bytes, written if the call answers CFUT_OK, an
 * outcome or CFUT_TIMEOUT, and not after it has returned; NULL if there are none.
 * @param result_size bytes of the place of a result; 0: results are dropped.
 * @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds for all of it. When they have passed,
 * what has not started is cancelled and what runs is asked to stop.
 * @return CFUT_OK: all items succeeded; else as the first, by index, that did not: CFUT_FAILED,
 * CFUT_CANCELLED, CFUT_CRASHED, CFUT_EXPIRED, CFUT_BROKEN, or CFUT_TIMEOUT: it had not ended in
 * time; cfut_last_error() has its index, code and message. All other items have their results.
 * A failure of the call: as cfut_map_new(), CFUT_EINVAL also for NULL results; CFUT_EDEADLK: as
 * cfut_future_wait().
 * Thread: any; in a task of the executor a wait without a time-out runs items here. Blocks: up
 * to `timeout_ns`. Since: 0.1.
 */
CFUT_API
cfut_status cfut_map_into(struct cfut_executor *executor,
                          const struct cfut_task *task,
                          const void *items,
                          size_t item_size,
                          size_t count,
                          void *results,
                          size_t result_size,
                          int64_t timeout_ns);

/**
 * Calls a function over [0, count) in ranges, on several threads: each index in one call, in
 * no particular order, so no range may wait for another. The ranges are as large as pays, and
 * work is split only while somebody is idle; a loop of many indices that takes less time than
 * waking a thread is done by one.
 *
 * Who takes part. The calling thread does, in this call, which then returns when all is done, if
 * it is a thread of the executor, or the executor is a thread pool with more than one worker and
 * neither initializer nor hooks (the caller counts as one of its workers meanwhile). Otherwise (a
 * pool of one worker, which people use as a lock; a limited view, a loop) the loop is submitted
 * like a task, this returns at once, and a cfut_future_wait() takes part where it may run a task.
 *
 * `promise` of a range is that of the whole: cfut_promise_stop_requested() tells when it should
 * end early, and a result that one range records is the result of all. The first range that
 * fails (an answer that is not 0, cfut_promise_fail()) fails the whole: ranges not started are
 * skipped, running ones see the stop flag. After cfut_future_cancel() with CFUT_CANCEL_STOP and
 * after a shutdown with CFUT_SHUTDOWN_STOP it ends as CFUT_CANCELLED if a range was skipped. A
 * range cannot detach itself (CFUT_DETACH). The future's progress counts indices, in loops longer
 * than a millisecond. A range may run a loop itself.
 *
 * Threads that take part do so as tasks of the executor, and are counted in its statistics.
 *
 * @param executor borrowed.
 * @param count end of the last range; 0: the future is done, nothing is called.
 * @param grain fewest indices of a range, but for the last, and worth a thread; 0: chosen by the
 * time they take.
 * @param fn called with each range, by several threads at once.
 * @param arg moved, also when the call fails: `arg_free` is called once, after the last range and
 * before the future settles.
 * @param arg_free NULL for none.
 * @param out NULL (a failure then goes to the log), or the future of it all, owned. Written on
 * CFUT_OK only, before the first range runs.
 * @return As cfut_submit_closure(): the outcome of the loop is in the future; CFUT_ENOTSUP: the
 * executor's tasks run in other processes.
 * Thread: any. Blocks: until all is done where the calling thread takes part, else as
 * cfut_submit(). Since: 0.1.
 */
CFUT_API
cfut_status cfut_parallel_for(struct cfut_executor *executor,
                              size_t count,
                              size_t grain,
                              cfut_range_fn fn,
                              void *arg,
                              cfut_free_fn arg_free,
                              struct cfut_future **out);

/**
 * ---- 7. Futures ----------------------------------------------------------------------
 *
 * Another handle of a future.
 *
 * @param future borrowed; NULL gives NULL.
 * @return `future`, owned once more.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_future *cfut_future_retain(struct cfut_future *future);

/**
 * Gives a handle back. The task runs all the same; a value nobody took is freed with the
 * last reference. Releasing a handle twice is undefined; with CFUT_CHECK=1 in the environment
 * it ends the program with a text.
 *
 * @param future moved; NULL does nothing.
 * Thread: any, also callbacks of the future itself. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_future_release(struct cfut_future *future);

/**
 * Where a future is in its life. RUNNING means that the task's function has been entered, not
 * that it is near a worker.
 *
 * @param future borrowed.
 * @return CFUT_STATE_PENDING, _RUNNING, _CANCELLED or _FINISHED; for NULL CFUT_STATE_FINISHED, so
 * that nobody waits for it.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
int32_t cfut_future_state(const struct cfut_future *future);

/**
 * Waits for the outcome. The time-out ends the wait, not the task; to end the task, give it a
 * CFUT_TASK_RUN_TIMEOUT_NS or cancel it.
 *
 * In a task of a pool, a wait without a time-out for a future of that pool that has not
 * started runs it here; otherwise another worker stands in while this one sleeps. Threads
 * outside do the former only with CFUT_OPT_WAITERS_HELP. A wait with a time-out never runs
 * anything.
 *
 * @param future borrowed.
 * @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
 * @return CFUT_OK: it succeeded; CFUT_FAILED, CFUT_CANCELLED, CFUT_CRASHED, CFUT_EXPIRED,
 * CFUT_BROKEN: it ended so; CFUT_TIMEOUT: it has not ended; CFUT_EINVAL: NULL; CFUT_EDEADLK:
 * it could end only after this task has; CFUT_EFORKED: it will end in the parent process.
 * Thread: any. Blocks: up to `timeout_ns`; goes on over signals. Since: 0.1.
 */
CFUT_API cfut_status cfut_future_wait(struct cfut_future *future, int64_t timeout_ns);

/**
 * The result bytes of a finished future, or of a failed one that has details; for a buffer
 * result the buffer's bytes. Aligned to 16 bytes.
 *
 * @param future borrowed; NULL has no bytes.
 * @param len NULL, or written in any case: the length; 0 where there are no bytes.
 * @return borrowed, valid until the last release of the future; NULL before the end, and where
 * there are no bytes.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API const void *cfut_future_bytes(const struct cfut_future *future, size_t *len);

/**
 * The value of a finished future that was given with cfut_promise_set_value() or _fail_value().
 *
 * @param future borrowed.
 * @return borrowed, valid until it is taken or the future is released for the last time; NULL
 * before the end, after cfut_future_take(), and where there is no value.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API void *cfut_future_value(const struct cfut_future *future);

/**
 * Moves the value out of a finished future: to exactly one caller. Its free function will not
 * run.
 *
 * @param future borrowed.
 * @return owned; NULL before the end, the second time, and where there is no value.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API void *cfut_future_take(struct cfut_future *future);

/**
 * The buffer a finished future ended with.
 *
 * @param future borrowed.
 * @return borrowed, valid until the last release of the future (retain it to keep it longer);
 * NULL before the end, and where there is no buffer.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_buffer *cfut_future_buffer(const struct cfut_future *future);

/**
 * The failure code: of a failed task what it returned or gave to cfut_promise_fail(); of one
 * whose thread ended in it CFUT_EPANIC; of a broken one that of the initializer.
 *
 * @param future borrowed.
 * @return 0 before the end, and where there was no failure.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API int32_t cfut_future_code(const struct cfut_future *future);

/**
 * The message that goes with a failure, a time-out or a break.
 *
 * @param future borrowed.
 * @return borrowed, valid until the last release of the future; "" before the end, and where
 * there is none; never NULL.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API const char *cfut_future_message(const struct cfut_future *future);

/**
 * A figure about a finished future: how long it was queued and ran, and what is known of a
 * worker process.
 *
 * @param future borrowed.
 * @param key a CFUT_INFO_ key.
 * @param out 0 where the key does not apply; written on CFUT_OK only.
 * @return CFUT_OK; CFUT_PENDING: it has not ended; CFUT_EINVAL: NULL; CFUT_ENOTSUP: no such
 * key.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_future_info(const struct cfut_future *future,
                             int32_t key,
                             int64_t *out);

/**
 * How far a task says it is, with cfut_promise_set_progress(); also after its end.
 *
 * @param future borrowed.
 * @param done NULL, or written on CFUT_OK only; 0 before the task has said anything.
 * @param total NULL, or written on CFUT_OK only; 0 before the task has said anything.
 * @return CFUT_OK; CFUT_EINVAL: NULL future.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_future_progress(const struct cfut_future *future,
                                 uint64_t *done,
                                 uint64_t *total);

/**
 * Cancels a future: one that has not started is CFUT_CANCELLED at once, for every kind of
 * waiter, and its arguments are freed. One that runs is asked to stop if `mode` says so; how
 * it then ends is up to the task (cfut_promise_set_cancelled() is how it agrees).
 *
 * @param future borrowed.
 * @param mode CFUT_CANCEL_PENDING, _STOP or _KILL. Threads and promises made by hand cannot be
 * killed: with them _KILL is _STOP. Commands can (see cfut_task_new_command()).
 * @return CFUT_OK: cancelled, now or before; CFUT_PENDING: asked to stop; CFUT_TOO_LATE:
 * finished, or running and `mode` does not reach it; CFUT_EINVAL: NULL or an unknown mode;
 * CFUT_EFORKED.
 * Thread: any; callbacks of the future run in it. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_future_cancel(struct cfut_future *future, uint32_t mode);

/**
 * Has a function called when the future settles: exactly once, functions of one future in
 * the order added, with no lock held. It may call everything, release the future and add
 * further functions.
 *
 * With an executor it is called there, as a task (its queue bound does not hold it up); if that
 * executor has been shut down, or there is no memory left, as without one. Without one it is
 * called in the thread that settles the future (a worker, or whoever cancels; for a time-out
 * the pool's monitor, which it must not hold up), or, if the future is settled, here and now.
 * Such functions do not nest: one that becomes due while another one runs in the same thread
 * runs after it, or when that one waits.
 *
 * @param future borrowed; it is alive during the call of `fn`.
 * @param executor retained until the call; NULL: see above.
 * @param fn the function.
 * @param arg moved, also when this call fails: `arg_free` is called once, after `fn`, in the same
 * thread; in this one if the call fails.
 * @param arg_free NULL for none.
 * @return CFUT_OK; CFUT_EINVAL: NULL future or fn; CFUT_ENOMEM; CFUT_EFORKED: the executor is
 * the parent process's; CFUT_ENOTSUP: the executor's tasks run in other processes.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_future_on_done(struct cfut_future *future,
                                struct cfut_executor *executor,
                                cfut_done_fn fn,
                                void *arg,
                                cfut_free_fn arg_free);

/**
 * Makes a future for `fn(input)`, a task that starts when `future` settles, however it does.
 * Cancelling it before it starts does not touch `future`.
 *
 * @param future retained until the task has run, or will not.
 * @param executor where it runs, retained until it is queued; NULL, or shut down by then: in
 * the thread that settles `future`, as with cfut_future_on_done().
 * @param fn the function.
 * @param arg moved, also when this call fails: `arg_free` is called once, after `fn`, or when it
 * is certain that `fn` will not be called.
 * @param arg_free NULL for none; runs in the thread that ran, cancelled or refused the task.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL future, fn or out; CFUT_ENOMEM; CFUT_EFORKED: the executor is
 * the parent process's; CFUT_ENOTSUP: the executor's tasks run in other processes.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_future_then(struct cfut_future *future,
                             struct cfut_executor *executor,
                             cfut_then_fn fn,
                             void *arg,
                             cfut_free_fn arg_free,
                             struct cfut_future **out);

/**
 * As cfut_future_then(), portable to every kind of executor: `task` gets the bytes of `future`
 * (none if it has none). If `future` does not succeed, the new future ends the same way, with
 * its code and message, without running the task.
 *
 * The options of the task apply: its priority when it is queued, once `future` has settled;
 * CFUT_TASK_TOTAL_TIMEOUT_NS from this call on, also while `future` is awaited;
 * CFUT_TASK_QUEUE_TIMEOUT_NS from when it is queued; CFUT_TASK_RUN_TIMEOUT_NS from its start.
 *
 * @param future retained until the task has run, or will not.
 * @param executor where it runs, retained until it is queued; if it is shut down by then, the task
 * runs in the thread that settles `future`. A task with time-outs, which nobody would keep, does
 * not: it ends as CFUT_BROKEN, at the latest with the end of the executor, or as CFUT_CANCELLED if
 * that was shut down with CFUT_SHUTDOWN_CANCEL.
 * @param task borrowed; it may be changed or freed at once.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_EFORKED: the executor is the parent
 * process's; CFUT_ENOENT: its name means nothing in this process; if the task has time-outs also
 * CFUT_ESHUTDOWN and CFUT_BROKEN: the executor takes no more work; CFUT_ESYS: no thread could be
 * made to keep them.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_future_pipe(struct cfut_future *future,
                             struct cfut_executor *executor,
                             const struct cfut_task *task,
                             struct cfut_future **out);

/**
 * ---- 8. Several futures --------------------------------------------------------------
 *
 * Waits until all futures are settled, or any, or until one fails. Being cancelled is no
 * failure. A future that stands at several places counts at each.
 *
 * @param futures borrowed, `count` of them; NULL with 0.
 * @param mode CFUT_WAIT_ALL, CFUT_WAIT_ANY or CFUT_WAIT_FIRST_FAILURE.
 * @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds, for all of them together.
 * @param done NULL, or written, `count` bytes: 1 for each that is settled, 0 for the others; on
 * every outcome but a negative one, also on CFUT_TIMEOUT.
 * @param done_count NULL, or written with `done`: how many are settled.
 * @return CFUT_OK: what was waited for has come (of none: at once); with FIRST_FAILURE
 * CFUT_FAILED, CFUT_CRASHED, CFUT_EXPIRED or CFUT_BROKEN: the first failure found; CFUT_TIMEOUT;
 * CFUT_EINVAL: NULL futures, or NULL among them, or an unknown mode; CFUT_ENOMEM; CFUT_EDEADLK
 * and CFUT_EFORKED as cfut_future_wait().
 * Thread: any. Blocks: up to `timeout_ns`. Since: 0.1.
 */
CFUT_API
cfut_status cfut_wait_many(struct cfut_future *const *futures,
                           size_t count,
                           int32_t mode,
                           int64_t timeout_ns,
                           uint8_t *done,
                           size_t *done_count);

/**
 * Makes a future that settles with several others; it has the outcome, code, message and
 * result of the one it settles as.
 *
 * | mode | settles | as |
 * |---|---|---|
 * | CFUT_JOIN_ALL | with the first that does not succeed, else with the last | that one; success |
 * | CFUT_JOIN_SETTLED | with the last, however they end | success |
 * | CFUT_JOIN_ANY | with the first, however it ends | that one |
 * | CFUT_JOIN_FIRST_SUCCESS | with the first success, else with the last | that one |
 *
 * It keeps its inputs until it is released. Cancelling or releasing it touches none of them.
 * A future that stands at several places counts at each.
 *
 * @param futures retained, `count` of them; the array itself is borrowed for the call. NULL with
 * 0.
 * @param mode one of the table.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL, also among the futures, an unknown mode, or no futures with
 * ANY or FIRST_SUCCESS; CFUT_ENOMEM.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_join(struct cfut_future *const *futures,
                      size_t count,
                      int32_t mode,
                      struct cfut_future **out);

/**
 * Makes a completion queue: futures come out in the order they settle, each with the tag it was
 * added with. It is what an as-completed loop uses, and the bridge to event loops: no callback
 * runs in a foreign thread.
 *
 * The order in full: whoever has seen a future settled finds it in the queue, and all that is
 * settled afterwards comes out behind it. Of futures that two threads settle at the same time
 * either comes first, also if one of them is seen settled a moment before the other.
 *
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_queue_new(struct cfut_queue **out);

/**
 * Another handle of a queue.
 *
 * @param queue borrowed; NULL gives NULL.
 * @return `queue`, owned once more.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_queue *cfut_queue_retain(struct cfut_queue *queue);

/**
 * Gives a handle back. With the last one the queue is gone: entries that wait in it, and
 * those that would still come, release their futures.
 *
 * @param queue moved; NULL does nothing.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_queue_release(struct cfut_queue *queue);

/**
 * Has a future come out of the queue once it is settled; at once if it is. A future may be
 * added several times, and to several queues.
 *
 * @param queue borrowed.
 * @param future retained until it comes out.
 * @param tag comes out with it: an index, say, or an address.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_queue_add(struct cfut_queue *queue,
                           struct cfut_future *future,
                           uint64_t tag);

/**
 * Takes the next settled future out of the queue.
 *
 * @param queue borrowed.
 * @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
 * @param future NULL, or gets the future, owned; written on CFUT_OK only.
 * @param tag NULL, or gets its tag; written on CFUT_OK only.
 * @return CFUT_OK; CFUT_TIMEOUT; CFUT_END: nothing is outstanding; CFUT_EINVAL: NULL queue;
 * CFUT_EDEADLK: every thread the executor can have waits; CFUT_EFORKED.
 * Thread: any, several at once. Blocks: up to `timeout_ns`. Since: 0.1.
 */
CFUT_API
cfut_status cfut_queue_next(struct cfut_queue *queue,
                            int64_t timeout_ns,
                            struct cfut_future **future,
                            uint64_t *tag);

/**
 * The descriptor for event loops: readable while at least one entry waits (level-triggered).
 * Only poll it; never read from it or close it. When it is readable, call cfut_queue_next()
 * with CFUT_NOW until it answers CFUT_TIMEOUT or CFUT_END. A runtime whose wrapper has to read
 * (Node's net.Socket) may throw away what it reads if it does the same.
 *
 * @param queue borrowed.
 * @param fd borrowed, valid until the last release of the queue; a pipe, close-on-exec. Written
 * on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ESYS: no descriptor left; CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_queue_fd(struct cfut_queue *queue, int *fd);

/**
 * ---- 9. Promises ---------------------------------------------------------------------
 *
 * Makes a promise by hand and the future that goes with it.
 *
 * @param promise owned: the writing side. Written on CFUT_OK only.
 * @param future owned: the reading side. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_new(struct cfut_promise **promise,
                             struct cfut_future **future);

/**
 * Another handle of a promise: what a task keeps that returns CFUT_DETACH.
 *
 * @param promise borrowed; NULL gives NULL.
 * @return `promise`, owned once more.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_promise *cfut_promise_retain(struct cfut_promise *promise);

/**
 * Gives a handle back. If it was the last one and the future is not settled, the future ends
 * as CFUT_BROKEN ("promise released"). The promise a running task was called with counts
 * as one until the task returns.
 *
 * @param promise moved; NULL does nothing.
 * Thread: any; callbacks of the future run in it. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_promise_release(struct cfut_promise *promise);

/**
 * Says that the work of a promise made by hand begins: its future is RUNNING from now on and
 * can no longer be cancelled, only asked to stop.
 *
 * @param promise borrowed.
 * @return CFUT_OK; CFUT_CANCELLED: it was cancelled, do not begin; CFUT_ESTATE: started or
 * finished before; CFUT_EINVAL: NULL; CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_promise_start(struct cfut_promise *promise);

/**
 * Succeeds with bytes. A promise made by hand, or kept by a task that returned CFUT_DETACH,
 * settles with this call. In a running task it records the outcome, and the future settles
 * when the task returns: 0 = as recorded, other = failed with that code.
 *
 * @param promise borrowed.
 * @param data copied, `len` bytes (16 or fewer take no memory); NULL with 0.
 * @return CFUT_OK; CFUT_ESTATE: settled or recorded before, the first outcome stays; CFUT_EFULL:
 * more bytes than the task's CFUT_TASK_OUTPUT_LIMIT; CFUT_EINVAL: NULL promise, NULL data with
 * a length; CFUT_ENOMEM; CFUT_EFORKED.
 * Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_set_bytes(struct cfut_promise *promise,
                                   const void *data,
                                   size_t len);

/**
 * Succeeds with a pointer. As cfut_promise_set_bytes() in all else.
 *
 * @param promise borrowed.
 * @param value moved, also when the call fails: `value_free` is called once, at the last release
 * of the future, unless cfut_future_take() moves the value out; in this thread if the call fails.
 * @param value_free NULL for none.
 * @return CFUT_OK; CFUT_ESTATE; CFUT_EINVAL: NULL promise; CFUT_EFORKED; CFUT_ENOTSUP: in a
 * worker process.
 * Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_set_value(struct cfut_promise *promise,
                                   void *value,
                                   cfut_free_fn value_free);

/**
 * Succeeds with a buffer. As cfut_promise_set_bytes() in all else.
 *
 * @param promise borrowed.
 * @param buffer retained until the last release of the future.
 * @return CFUT_OK; CFUT_ESTATE; CFUT_EFULL; CFUT_EINVAL: NULL; CFUT_EFORKED.
 * Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_set_buffer(struct cfut_promise *promise,
                                    struct cfut_buffer *buffer);

/**
 * Fails with a code and a message. As cfut_promise_set_bytes() in all else; where a running task
 * returns another code than 0 afterwards, that one counts and the message stays.
 *
 * @param promise borrowed.
 * @param code anything but 0 and CFUT_DETACH.
 * @param message copied up to 64 KiB (a longer one is cut and says so), UTF-8; NULL for none.
 * @return CFUT_OK; CFUT_ESTATE; CFUT_EINVAL: NULL promise or a bad code; CFUT_ENOMEM;
 * CFUT_EFORKED.
 * Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_fail(struct cfut_promise *promise,
                              int32_t code,
                              const char *message);

/**
 * Fails with details in bytes, which the future's getters give beside code and message.
 *
 * @param promise borrowed.
 * @param code anything but 0 and CFUT_DETACH.
 * @param message copied up to 64 KiB, UTF-8; NULL for none.
 * @param data copied, `len` bytes; NULL with 0.
 * @return As cfut_promise_fail(); CFUT_EFULL and CFUT_EINVAL as cfut_promise_set_bytes().
 * Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_fail_bytes(struct cfut_promise *promise,
                                    int32_t code,
                                    const char *message,
                                    const void *data,
                                    size_t len);

/**
 * Fails with details in a pointer: how an exception of another language travels.
 *
 * @param promise borrowed.
 * @param code anything but 0 and CFUT_DETACH.
 * @param message copied up to 64 KiB, UTF-8; NULL for none.
 * @param value moved, as with cfut_promise_set_value(): `value_free` is called once.
 * @param value_free NULL for none.
 * @return As cfut_promise_fail(); CFUT_ENOTSUP: in a worker process.
 * Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_fail_value(struct cfut_promise *promise,
                                    int32_t code,
                                    const char *message,
                                    void *value,
                                    cfut_free_fn value_free);

/**
 * Ends as cancelled: how a task agrees to a request to stop. As cfut_promise_set_bytes() in
 * all else.
 *
 * @param promise borrowed.
 * @return CFUT_OK; CFUT_ESTATE; CFUT_EINVAL: NULL; CFUT_EFORKED.
 * Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
 */
CFUT_API cfut_status cfut_promise_set_cancelled(struct cfut_promise *promise);

/**
 * Whether the task was asked to stop: by cfut_future_cancel(), a time-out, or the shutdown of
 * its executor. A task that runs for long looks now and then.
 *
 * @param promise borrowed; NULL gives 0.
 * @return 1 or 0.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API int32_t cfut_promise_stop_requested(const struct cfut_promise *promise);

/**
 * Says how far the work is, for cfut_future_progress().
 *
 * @param promise borrowed.
 * @param done in whatever unit `total` is; the library does not compare them.
 * @return CFUT_OK; CFUT_ESTATE: the future is settled; CFUT_EINVAL: NULL; CFUT_ENOMEM;
 * CFUT_EFORKED.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_promise_set_progress(struct cfut_promise *promise,
                                      uint64_t done,
                                      uint64_t total);

/**
 * The buffer a running task was submitted with.
 *
 * @param promise borrowed.
 * @return borrowed, valid until the task returns; NULL for other tasks, and after that.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_buffer *cfut_promise_input(const struct cfut_promise *promise);

/**
 * ---- 10. Buffers ---------------------------------------------------------------------
 *
 * Makes a buffer of `size` zeroed bytes, aligned to 64.
 *
 * @param size 0 is an empty buffer.
 * @param flags 0, or CFUT_BUFFER_SHARED: process workers map these bytes and see each other's
 * writes; as an argument or a result they cross to another process without a copy. Such a buffer
 * has a descriptor of its own for as long as it lives.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL or unknown flags; CFUT_ENOMEM; CFUT_ESYS: no descriptor, or
 * no kind of shared memory.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_buffer_new(size_t size,
                            uint32_t flags,
                            struct cfut_buffer **out);

/**
 * Makes a buffer of memory that is yours.
 *
 * @param data moved, `size` bytes, also when the call fails: `data_free` is called once, when the
 * last reference goes. NULL with 0. Results promise 16 bytes of alignment and tasks 64: memory
 * with less keeps its own.
 * @param data_free called with `free_arg`, not with `data`; NULL for none. Runs in the thread
 * that drops the last reference.
 * @param free_arg moved with `data`: only `data_free` looks at it.
 * @param out owned. Written on CFUT_OK only.
 * @return CFUT_OK; CFUT_EINVAL: NULL out, NULL data with a size, a size no object can have;
 * CFUT_ENOMEM.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_buffer_wrap(void *data,
                             size_t size,
                             cfut_free_fn data_free,
                             void *free_arg,
                             struct cfut_buffer **out);

/**
 * Another handle of a buffer.
 *
 * @param buffer borrowed; NULL gives NULL.
 * @return `buffer`, owned once more.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API struct cfut_buffer *cfut_buffer_retain(struct cfut_buffer *buffer);

/**
 * Gives a handle back. The bytes go with the last reference, which a task or a future may
 * hold.
 *
 * @param buffer moved; NULL does nothing.
 * Thread: any; the free function of a wrapped buffer may run in it. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_buffer_release(struct cfut_buffer *buffer);

/**
 * The bytes. Who writes when is up to you: the library does not look at them.
 *
 * @param buffer borrowed; NULL gives NULL.
 * @return borrowed, valid as long as the buffer; NULL for an empty one.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API void *cfut_buffer_data(struct cfut_buffer *buffer);

/**
 * How many bytes there are.
 *
 * @param buffer borrowed.
 * @return the size it was made with; 0 for NULL.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API size_t cfut_buffer_size(const struct cfut_buffer *buffer);

/**
 * ---- 11. Process workers -------------------------------------------------------------
 *
 * The first line of main() in a program whose own functions shall run in process workers, as
 * `if __name__ == "__main__"` is in Python. In the program itself it returns at once. A process
 * that a pool has started to work for it never returns from here: it runs the pool's tasks and
 * ends. What is registered with cfut_register() is registered before.
 *
 * What makes a process a worker is a socket inherited from a program of the same user, on which
 * the first message repeats a secret of the environment; no variable alone does, and nothing
 * in a program that runs with other rights than its user's.
 *
 * In a worker: 0 is /dev/null, 1 and 2 are the program's own; the directory and the environment
 * are those that the program had when it made the pool; signals are as for a new program;
 * the process leads a process group, and what is left of that when it ends is killed. A task may use threads, make pools, and fork, as in any
 * program; the child of a task that forks ends when the task returns in it. exit() in a task ends
 * the worker, and the task as CFUT_CRASHED. A worker that is no longer needed ends without
 * its exit handlers; what stdio holds is written.
 *
 * With CFUT_START_FORKSERVER (the default) workers are forked from a server process that has
 * loaded the modules of CFUT_OPT_PRELOAD and has one thread. A module that starts threads when it
 * is loaded has them in the server only: in the workers locks that such a thread held stay
 * held. Such modules belong into the initializer, or CFUT_START_SPAWN is the method.
 *
 * Thread: the main thread, before others. Blocks: no. Since: 0.1.
 */
CFUT_API
void cfut_worker_main(void);

/**
 * Gives a task function a name, for as long as the process lives: what other languages and other
 * programs call it by (cfut_task_new_named()).
 *
 * @param name copied, UTF-8, up to 1024 bytes.
 * @param fn the function; it must stay where it is: the module it lies in is not to be unloaded.
 * @return CFUT_OK, also if it has that name already; CFUT_EINVAL: NULL, a name that is empty, too
 * long or not UTF-8, or another function has it; CFUT_ENOMEM.
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API
cfut_status cfut_register(const char *name,
                          cfut_task_fn fn);

/**
 * Runs the tasks of a pool in a program that was made for it (CFUT_OPT_WORKER_PROGRAM): one that
 * brings its own runtime, an interpreter for instance. It registers its tasks, then calls this,
 * which returns when the worker shall end. Such a program is executed anew for each worker.
 *
 * @return CFUT_OK: the program shall clean up and end; CFUT_ESTATE: no pool has started this
 * process; else what keeps it from working, which the pool is told, too.
 * Thread: the main thread. Blocks: for as long as there is work. Since: 0.1.
 */
CFUT_API
cfut_status cfut_worker_run(void);

/**
 * ---- 12. Blocking inside a thread pool -----------------------------------------------
 *
 * Says that the calling task is about to block outside of the library (in a read, a lock, a
 * library of somebody else's), so that another worker may run meanwhile. Without it the pool
 * finds out by itself, within about a millisecond, and only up to CFUT_OPT_WORKERS. Nests.
 * Outside of a worker it does nothing.
 *
 * Thread: any. Blocks: no. Since: 0.1.
 */
CFUT_API void cfut_blocking_begin(void);

/**
 * The end of what cfut_blocking_begin() announced. Without a begin it does nothing.
 *
 * Thread: that of the begin. Blocks: in a pool of one worker until the task that ran
 * meanwhile is done; otherwise no. Since: 0.1.
 */
CFUT_API void cfut_blocking_end(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CFUTURES_H */
