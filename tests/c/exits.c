/* Ends of threads and of the process while executors are at work. What ends the process runs in a child. */
#include "child.h"

/* ---- a thread ends inside a task ---- */

static int32_t exit_thread_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
}

static int32_t exit_thread_closure(cfut_promise *self, void *arg)
{
    (void)self;
    (void)arg;
    pthread_exit(NULL);
}

static void count_free(void *at)
{
    latch_open(at);
}

/* Each is replaced; the pool never has fewer or more workers than it should. */
static void tasks_end_their_threads(void)
{
    latch freed = LATCH_CLOSED;
    cfut_executor *pool = check_pool(2);
    cfut_future *futures[100];
    for (int i = 0; i < 100; i++) {
        if (i % 3 == 0)
            CHECK_OK(cfut_submit_closure(pool, exit_thread_closure, &freed, count_free, &futures[i]));
        else
            CHECK_OK(cfut_submit(pool, i % 3 == 1 ? exit_thread_task : nothing_task, NULL, 0,
                                 &futures[i]));
    }
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(cfut_future_wait(futures[i], CFUT_FOREVER), i % 3 == 2 ? CFUT_OK : CFUT_FAILED);
        CHECK_EQ(cfut_future_code(futures[i]), i % 3 == 2 ? 0 : CFUT_EPANIC);
        cfut_future_release(futures[i]);
    }
    latch_wait_for(&freed, 34);
    CHECK_SOON(check_stat(pool, CFUT_STAT_FAILED) == 67);
    CHECK_SOON(check_stat(pool, CFUT_STAT_SUCCEEDED) == 33);
    CHECK_SOON(check_stat(pool, CFUT_STAT_WORKERS) <= 2);
    check_close(pool);
    CHECK_EQ(latch_count(&freed), 34);
}

typedef struct cancelled_thread {
    latch entered;
    pthread_t thread;
    cfut_future *awaited;
} cancelled_thread;

static int32_t stand_task(cfut_promise *self, const void *data, size_t length)
{
    cancelled_thread *at;
    (void)self;
    (void)length;
    memcpy(&at, data, sizeof at);
    at->thread = pthread_self();
    latch_open(&at->entered);
    for (;;)
        pause();
    return 0;
}

static void tasks_are_cancelled_by_pthread_cancel(void)
{
    cfut_executor *pool = check_pool(1);
    for (int i = 0; i < 30; i++) {
        cancelled_thread stand = { LATCH_CLOSED, pthread_self(), NULL }, *at = &stand;
        cfut_future *future;
        CHECK_OK(cfut_submit(pool, stand_task, &at, sizeof at, &future));
        latch_wait(&stand.entered);
        CHECK_EQ(pthread_cancel(stand.thread), 0);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
        cfut_future_release(future);
    }
    check_close(pool);
}

/* A request to cancel is on its way while the thread works in the library: it must not go
 * off there. Descriptors, files and waits are the places where it could. */
static int32_t cancel_then_call(cfut_promise *self, const void *data, size_t length)
{
    cfut_queue *queue;
    cfut_promise *promise;
    cfut_future *future;
    cfut_executor *pool;
    int fd;
    (void)self;
    (void)data;
    (void)length;
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_queue_fd(queue, &fd));
    CHECK_OK(cfut_queue_add(queue, future, 1));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1)); /* makes it readable */
    cfut_promise_release(promise);
    cfut_future_release(future);
    CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &future, NULL));
    cfut_future_release(future);
    cfut_queue_release(queue); /* closes it */
    CHECK(cfut_cpu_count() > 0); /* reads files */
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
    return 0;
}

static void cancel_is_pending_in_the_library(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    cfut_status status;
    CHECK_OK(cfut_submit(pool, cancel_then_call, NULL, 0, &future));
    status = cfut_future_wait(future, CFUT_FOREVER);
    CHECK(status == CFUT_OK || status == CFUT_FAILED); /* as the request goes off or not */
    cfut_future_release(future);
    check_close(pool);
}

/* The same in the worker itself: the task returns with the request pending, and settling it
 * writes to a descriptor. */
static int32_t cancel_and_return(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    return 0;
}

static void cancel_is_pending_at_return(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_queue *queue;
    CHECK_OK(cfut_queue_new(&queue));
    for (int i = 0; i < 20; i++) {
        cfut_future *future, *taken;
        int fd;
        CHECK_OK(cfut_queue_fd(queue, &fd));
        CHECK_OK(cfut_submit(pool, cancel_and_return, NULL, 0, &future));
        CHECK_OK(cfut_queue_add(queue, future, 0));
        CHECK(cfut_queue_next(queue, CFUT_FOREVER, &taken, NULL) >= 0);
        cfut_future_release(taken);
        cfut_future_release(future);
    }
    cfut_queue_release(queue);
    check_close(pool);
}

/* A wait of a thread of the host's that is cancelled meanwhile: it waits to the end. */
static void *wait_cancelled(void *arg)
{
    cancelled_thread *at = arg;
    latch_open(&at->entered);
    CHECK_OK(cfut_future_wait(at->awaited, CFUT_FOREVER));
    latch_open(&at->entered);
    pthread_testcancel();
    return NULL;
}

static void host_thread_is_cancelled_in_a_wait(void)
{
    gate stage = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cancelled_thread stand = { LATCH_CLOSED, pthread_self(), gate_submit(pool, &stage) };
    void *result;
    CHECK_EQ(pthread_create(&stand.thread, NULL, wait_cancelled, &stand), 0);
    latch_wait(&stand.entered);
    CHECK_EQ(pthread_cancel(stand.thread), 0);
    latch_open(&stage.open);
    CHECK_EQ(pthread_join(stand.thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK_EQ(latch_count(&stand.entered), 2);
    cfut_future_release(stand.awaited);
    check_close(pool);
}

static int32_t exiting_hook(void *arg, uint32_t worker)
{
    (void)worker;
    latch_open(arg);
    pthread_exit(NULL);
}

/* A start hook that never returns is one that failed: the executor breaks. */
static void start_hook_ends_the_thread(void)
{
    latch called = LATCH_CLOSED;
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    cfut_future *future;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 2));
    CHECK_OK(cfut_options_set_worker_hooks(options, exiting_hook, NULL, &called, NULL));
    pool = check_pool_with(options);
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_BROKEN);
    cfut_future_release(future);
    check_close(pool);
}

static void initializer_ends_the_thread(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    cfut_future *future;
    cfut_task *task;
    CHECK_OK(cfut_task_new(exit_thread_task, &task));
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    cfut_task_free(task);
    pool = check_pool_with(options);
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
    cfut_future_release(future);
    check_close(pool);
}

static void stop_hook_ends_the_thread(void)
{
    latch called = LATCH_CLOSED;
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 2));
    CHECK_OK(cfut_options_set_worker_hooks(options, NULL, exiting_hook, &called, NULL));
    pool = check_pool_with(options);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    check_close(pool);
    CHECK_EQ(latch_count(&called), 2);
}

static void exiting_callback(cfut_future *future, void *arg)
{
    (void)future;
    latch_open(arg);
    pthread_exit(NULL);
}

static void counting_callback(cfut_future *future, void *arg)
{
    (void)future;
    latch_open(arg);
}

/* A callback that ends its worker: the others of the future are called all the same. */
static void callback_ends_the_thread(void)
{
    latch called = LATCH_CLOSED, freed = LATCH_CLOSED;
    gate stage = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &stage), *next;
    CHECK_OK(cfut_future_on_done(future, NULL, counting_callback, &called, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, exiting_callback, &called, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, counting_callback, &called, NULL));
    CHECK_OK(cfut_submit_closure(pool, exit_thread_closure, &freed, count_free, &next));
    latch_open(&stage.open);
    latch_wait_for(&called, 3);
    CHECK_STATUS(cfut_future_wait(next, CFUT_FOREVER), CFUT_FAILED);
    latch_wait(&freed);
    cfut_future_release(next);
    cfut_future_release(future);
    check_close(pool);
    CHECK_EQ(latch_count(&called), 3);
}

/* ---- thread-local storage of the host ---- */

static pthread_key_t late_key;
static latch late_calls = LATCH_CLOSED;

/* Runs when a thread ends, after the library has put its own things away, or before. */
static void call_late(void *pool)
{
    cfut_future *future;
    cfut_promise *promise;
    static __thread int rounds;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_promise_set_bytes(promise, "0123456789012345678901234567890", 31));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_promise_release(promise);
    cfut_future_release(future);
    if (pool != (void *)&late_key) {
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
    latch_open(&late_calls);
    if (++rounds < 3)
        pthread_setspecific(late_key, pool);
}

static void *set_late(void *pool)
{
    cfut_future *future;
    CHECK_EQ(pthread_setspecific(late_key, pool), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
        cfut_future_release(future);
    }
    return NULL;
}

static int32_t set_late_task(cfut_promise *self, const void *data, size_t length)
{
    /* A worker that ends has no pool any more that it could ask for something. */
    CHECK_EQ(pthread_setspecific(late_key, &late_key), 0);
    return nothing_task(self, data, length);
}

static void destructors_of_threads_call(void)
{
    cfut_executor *pool = check_pool(2);
    pthread_t thread;
    CHECK_EQ(pthread_key_create(&late_key, call_late), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(pthread_create(&thread, NULL, set_late, pool), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
    CHECK_EQ(latch_count(&late_calls), 60);
    CHECK_OK(cfut_submit(pool, set_late_task, NULL, 0, NULL));
    check_close(pool); /* joins its threads: their destructors have run */
    CHECK_EQ(latch_count(&late_calls), 63);
}

/* ---- the process ends ---- */

static cfut_executor *pool_at_exit;
static gate *stages;

/* Pools in every state. The memory is not given back: the process ends. */
static void be_busy(void)
{
    static gate stage = GATE_CLOSED;
    cfut_executor *idle;
    stages = &stage;
    CHECK_OK(cfut_thread_pool_new(NULL, &idle));
    CHECK_OK(cfut_executor_warm(idle, CFUT_FOREVER));
    pool_at_exit = check_pool(3);
    gate_submit(pool_at_exit, &stage);
    for (int i = 0; i < 1000; i++)
        CHECK_OK(cfut_submit(pool_at_exit, nothing_task, NULL, 0, NULL));
}

static void end_normally(void)
{
    be_busy();
    exit(0);
}

static void end_while_shutting_down(void)
{
    be_busy();
    CHECK_STATUS(cfut_executor_shutdown(pool_at_exit, 0, CFUT_NOW), CFUT_TIMEOUT);
    cfut_executor_release(pool_at_exit);
    exit(0);
}

static void end_quickly(void)
{
    be_busy();
    quick_exit(0);
}

/* Handlers of atexit run while other threads go on, and may use everything. */
static void use_at_exit(void)
{
    cfut_future *future;
    latch_open(&stages->open);
    CHECK_OK(cfut_submit(pool_at_exit, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    check_close(pool_at_exit);
}

static void end_with_handler(void)
{
    be_busy();
    CHECK_EQ(atexit(use_at_exit), 0);
    exit(0);
}

static void main_is_busy_at_exit(void)
{
    for (int i = 0; i < 25; i++) {
        child_run(end_normally);
        child_run(end_while_shutting_down);
        child_run(end_quickly);
        child_run(end_with_handler);
    }
}

/* This one runs for every case, last of all: destructors of the program may use the library. */
__attribute__((destructor)) static void use_in_destructor(void)
{
    cfut_executor *pool = NULL;
    cfut_future *future = NULL;
    if (cfut_thread_pool_new(NULL, &pool) != CFUT_OK ||
        cfut_submit(pool, nothing_task, NULL, 0, &future) != CFUT_OK ||
        cfut_future_wait(future, CFUT_FOREVER) != CFUT_OK)
        _exit(70);
    cfut_future_release(future);
    if (cfut_executor_shutdown(pool, 0, CFUT_FOREVER) != CFUT_OK)
        _exit(71);
    cfut_executor_release(pool);
}

static int32_t exit_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)length;
    exit(*(const char *)data);
}

static void exiting_process_callback(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
    exit(9);
}

static int32_t exiting_process_hook(void *arg, uint32_t worker)
{
    (void)arg;
    (void)worker;
    exit(11);
}

static void stand_for_ever(void)
{
    for (;;)
        pause();
}

static void exit_in_task(void)
{
    be_busy();
    CHECK_OK(cfut_submit(pool_at_exit, exit_task, "\7", 1, NULL));
    stand_for_ever();
}

static void exit_in_awaited_task(void)
{
    cfut_future *future;
    be_busy();
    CHECK_OK(cfut_submit(pool_at_exit, exit_task, "\7", 1, &future));
    cfut_future_wait(future, CFUT_FOREVER);
    stand_for_ever();
}

static void exit_in_callback(void)
{
    cfut_future *future;
    be_busy();
    CHECK_OK(cfut_submit(pool_at_exit, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_on_done(future, NULL, exiting_process_callback, NULL, NULL));
    stand_for_ever();
}

static void exit_in_hook(void)
{
    cfut_options *options = cfut_options_new();
    CHECK_OK(cfut_options_set_worker_hooks(options, exiting_process_hook, NULL, NULL, NULL));
    CHECK_OK(cfut_submit(check_pool_with(options), nothing_task, NULL, 0, NULL));
    stand_for_ever();
}

/* Runs a function that ends its process with this code. */
static void child_exits_with(void (*run)(void), int code)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        child_watchdog();
        run();
        _exit(99);
    }
    CHILD_EXITED(child, code);
}

static void user_code_exits(void)
{
    for (int i = 0; i < 10; i++) {
        child_exits_with(exit_in_task, 7);
        child_exits_with(exit_in_awaited_task, 7);
        child_exits_with(exit_in_callback, 9);
        child_exits_with(exit_in_hook, 11);
    }
}

static void leave_main(void)
{
    be_busy();
    latch_open(&stages->open);
    CHECK_OK(cfut_submit(pool_at_exit, exit_task, "\3", 1, NULL));
    pthread_exit(NULL);
}

/* The main thread goes, executors go on, a task ends the process later. */
static void main_thread_ends(void)
{
    for (int i = 0; i < 10; i++)
        child_exits_with(leave_main, 3);
}

static void abort_busy(void)
{
    struct rlimit none = { 0, 0 };
    be_busy();
    setrlimit(RLIMIT_CORE, &none);
    abort();
}

static void main_aborts(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        child_watchdog();
        abort_busy();
    }
    CHILD_KILLED(child, SIGABRT);
}

CHECK_MAIN(CASE(tasks_end_their_threads), CASE(tasks_are_cancelled_by_pthread_cancel),
           CASE(cancel_is_pending_in_the_library), CASE(cancel_is_pending_at_return),
           CASE(host_thread_is_cancelled_in_a_wait), CASE(start_hook_ends_the_thread),
           CASE(initializer_ends_the_thread), CASE(stop_hook_ends_the_thread),
           CASE(callback_ends_the_thread), CASE(destructors_of_threads_call),
           CASE(main_is_busy_at_exit), CASE(user_code_exits), CASE(main_thread_ends),
           CASE(main_aborts))
