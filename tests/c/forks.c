/* fork() in the host, at bad moments. In the child the parent's executors and unfinished
 * futures answer CFUT_EFORKED at once, what is finished may be read, releases only drop
 * memory, new executors work, and the child ends cleanly however it ends. */
#include "child.h"

#include <fcntl.h>
#include <sys/syscall.h>

/* What the parent had when it forked. */
static struct {
    gate stage;
    cfut_executor *pool;
    cfut_task *task;
    cfut_options *options;
    cfut_future *done, *failed, *running, *queued, *promised, *joined;
    cfut_promise *promise;
    cfut_queue *queue;
    cfut_buffer *buffer;
} had;

static int arguments_freed;

static void free_argument(void *arg)
{
    (void)arg;
    arguments_freed++;
}

static int32_t closure(cfut_promise *self, void *arg)
{
    (void)self;
    (void)arg;
    return 0;
}

static int32_t then(cfut_promise *self, cfut_future *input, void *arg)
{
    (void)input;
    return closure(self, arg);
}

static void done(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
}

static int32_t number_task(cfut_promise *self, const void *data, size_t length)
{
    return cfut_promise_set_bytes(self, data, length);
}

static int32_t failing_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_fail(self, 41, "a message that is longer than what fits beside a code");
}

static void have_all(void)
{
    static const gate closed = GATE_CLOSED;
    static char long_result[300] = "a long result";
    had.stage = closed;
    had.pool = check_pool(1);
    CHECK_OK(cfut_task_new(nothing_task, &had.task));
    had.options = cfut_options_new();
    CHECK_OK(cfut_submit(had.pool, number_task, long_result, sizeof long_result, &had.done));
    CHECK_OK(cfut_submit(had.pool, failing_task, NULL, 0, &had.failed));
    CHECK_OK(cfut_future_wait(had.done, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(had.failed, CFUT_FOREVER), CFUT_FAILED);
    had.running = gate_submit(had.pool, &had.stage);
    CHECK_OK(cfut_submit_closure(had.pool, closure, NULL, free_argument, &had.queued));
    CHECK_OK(cfut_promise_new(&had.promise, &had.promised));
    CHECK_OK(cfut_join(&had.running, 1, CFUT_JOIN_ALL, &had.joined));
    CHECK_OK(cfut_queue_new(&had.queue));
    CHECK_OK(cfut_queue_add(had.queue, had.running, 1));
    CHECK_OK(cfut_buffer_new(10, 0, &had.buffer));
}

/* Also in the child, where it must drop memory and nothing else. */
static void let_go(void)
{
    cfut_task_free(had.task);
    cfut_options_free(had.options);
    cfut_future_release(had.done);
    cfut_future_release(had.failed);
    cfut_future_release(had.running);
    cfut_future_release(had.queued);
    cfut_future_release(had.joined);
    cfut_promise_release(had.promise);
    cfut_future_release(had.promised);
    cfut_queue_release(had.queue);
    cfut_buffer_release(had.buffer);
    cfut_executor_release(had.pool);
}

/* In the parent: nothing of what the child did is to be seen. */
static void end_all(void)
{
    latch_open(&had.stage.open);
    CHECK_OK(cfut_future_wait(had.joined, CFUT_FOREVER));
    CHECK_OK(cfut_future_wait(had.queued, CFUT_FOREVER));
    CHECK_EQ(cfut_future_state(had.promised), CFUT_STATE_PENDING);
    CHECK_OK(cfut_executor_shutdown(had.pool, 0, CFUT_FOREVER));
    CHECK_EQ(arguments_freed, 1);
    check_unwatch(had.pool);
    let_go();
}

/* An executor of the child's own, with all that it takes. */
static void use_new_pool(void)
{
    cfut_executor *pool = NULL;
    cfut_future *futures[8], *joined;
    cfut_queue *queue;
    int64_t numbers[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    cfut_task *task;
    int fd;
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    CHECK_OK(cfut_task_new(number_task, &task));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000)));
    CHECK_OK(cfut_submit_many(pool, task, numbers, sizeof numbers[0], 8, futures));
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_queue_fd(queue, &fd));
    CHECK_OK(cfut_join(futures, 8, CFUT_JOIN_ALL, &joined));
    for (uint64_t i = 0; i < 8; i++)
        CHECK_OK(cfut_queue_add(queue, futures[i], i));
    CHECK_OK(cfut_future_wait(joined, CFUT_FOREVER));
    for (int i = 0; i < 8; i++) {
        cfut_future *taken;
        uint64_t tag;
        CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &taken, &tag));
        CHECK(memcmp(cfut_future_bytes(taken, NULL), &numbers[tag], sizeof numbers[0]) == 0);
        cfut_future_release(taken);
        cfut_future_release(futures[i]);
    }
    cfut_future_release(joined);
    cfut_task_free(task);
    cfut_queue_release(queue);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

/* ---- what a child is told ---- */

static void executor_calls_refuse(void)
{
    cfut_future *future = NULL;
    int64_t value;
    size_t length;
    CHECK_ERROR(cfut_submit(had.pool, nothing_task, NULL, 0, &future), CFUT_EFORKED, "make a new one");
    CHECK_STATUS(cfut_submit(had.pool, nothing_task, NULL, 0, NULL), CFUT_EFORKED);
    CHECK_STATUS(cfut_submit_task(had.pool, had.task, NULL, 0, &future), CFUT_EFORKED);
    CHECK_STATUS(cfut_submit_buffer(had.pool, had.task, had.buffer, &future), CFUT_EFORKED);
    CHECK_STATUS(cfut_submit_closure(had.pool, closure, NULL, free_argument, &future), CFUT_EFORKED);
    CHECK_EQ(arguments_freed, 1);
    CHECK_STATUS(cfut_submit_many(had.pool, had.task, "abc", 1, 3, NULL), CFUT_EFORKED);
    CHECK_STATUS(cfut_executor_warm(had.pool, CFUT_FOREVER), CFUT_EFORKED);
    CHECK_STATUS(cfut_executor_shutdown(had.pool, 0, CFUT_FOREVER), CFUT_EFORKED);
    CHECK_STATUS(cfut_executor_shutdown(had.pool, 15, CFUT_NOW), CFUT_EFORKED);
    CHECK_STATUS(cfut_executor_stat(had.pool, CFUT_STAT_WORKERS, &value), CFUT_EFORKED);
    CHECK_STATUS(cfut_executor_snapshot(had.pool, NULL, 0, &length), CFUT_EFORKED);
    CHECK_STATUS(cfut_future_on_done(had.done, had.pool, done, NULL, free_argument), CFUT_EFORKED);
    CHECK_STATUS(cfut_future_then(had.done, had.pool, then, NULL, free_argument, &future),
                 CFUT_EFORKED);
    CHECK_EQ(arguments_freed, 3);
    CHECK_STATUS(cfut_future_pipe(had.done, had.pool, had.task, &future), CFUT_EFORKED);
    CHECK(future == NULL);
    cfut_executor_release(cfut_executor_retain(had.pool));
    CHECK_OK(cfut_quiesce(CFUT_FOREVER)); /* nothing goes on in this process */
}

static void unfinished_futures_refuse(void)
{
    cfut_future *unfinished[] = { had.running, had.queued, had.promised, had.joined }, *taken;
    uint64_t tag;
    for (int i = 0; i < 4; i++) {
        CHECK_ERROR(cfut_future_wait(unfinished[i], CFUT_FOREVER), CFUT_EFORKED, "fork");
        CHECK_STATUS(cfut_future_wait(unfinished[i], CFUT_SEC(1000)), CFUT_EFORKED);
        CHECK(cfut_future_state(unfinished[i]) <= CFUT_STATE_RUNNING);
        CHECK_STATUS(cfut_future_cancel(unfinished[i], CFUT_CANCEL_STOP), CFUT_EFORKED);
        CHECK(cfut_future_bytes(unfinished[i], NULL) == NULL);
    }
    for (int mode = CFUT_WAIT_ALL; mode <= CFUT_WAIT_FIRST_FAILURE; mode++)
        CHECK_STATUS(cfut_wait_many(unfinished, 4, mode, CFUT_FOREVER, NULL, NULL), CFUT_EFORKED);
    CHECK_STATUS(cfut_promise_start(had.promise), CFUT_EFORKED);
    CHECK_STATUS(cfut_promise_set_bytes(had.promise, "x", 1), CFUT_EFORKED);
    CHECK_STATUS(cfut_promise_fail(had.promise, 1, "x"), CFUT_EFORKED);
    CHECK_STATUS(cfut_promise_set_progress(had.promise, 1, 2), CFUT_EFORKED);
    CHECK_STATUS(cfut_queue_add(had.queue, had.done, 2), CFUT_EFORKED);
    CHECK_STATUS(cfut_queue_next(had.queue, CFUT_FOREVER, &taken, &tag), CFUT_EFORKED);
    CHECK_STATUS(cfut_queue_fd(had.queue, &(int){ 0 }), CFUT_EFORKED);
}

static void finished_futures_are_read(void)
{
    size_t length;
    CHECK_OK(cfut_future_wait(had.done, CFUT_FOREVER));
    CHECK_TEXT(cfut_future_bytes(had.done, &length), "a long result");
    CHECK_EQ(length, 300);
    CHECK_STATUS(cfut_future_wait(had.failed, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(had.failed), 41);
    CHECK(strlen(cfut_future_message(had.failed)) > 30);
    CHECK_EQ(cfut_buffer_size(had.buffer), 10);
    memset(cfut_buffer_data(had.buffer), 1, 10);
}

static void look_at_everything(void)
{
    arguments_freed = 0;
    executor_calls_refuse();
    unfinished_futures_refuse();
    finished_futures_are_read();
    use_new_pool();
    let_go();
    use_new_pool();
}

static void child_is_told(void)
{
    have_all();
    child_run(look_at_everything);
    end_all();
}

/* The other way round: a new executor first, so that the child's memory is in use. */
static void use_then_look(void)
{
    use_new_pool();
    look_at_everything();
}

static void child_uses_new_pool_first(void)
{
    have_all();
    child_run(use_then_look);
    end_all();
}

static void fork_again(void)
{
    /* What a child makes is its child's inheritance in turn. */
    let_go();
    have_all();
    child_run(look_at_everything);
    arguments_freed = 0;
    end_all();
    exit(0);
}

static void grandchild_is_told(void)
{
    have_all();
    child_run(fork_again);
    end_all();
}

/* ---- how a child ends ---- */

static void end_by_exit(void)
{
    exit(0);
}

static void use_and_exit(void)
{
    use_new_pool();
    let_go();
    exit(0);
}

static void exit_busy(void)
{
    cfut_executor *pool;
    gate *stage = calloc(1, sizeof *stage);
    static const gate closed = GATE_CLOSED;
    *stage = closed;
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    gate_submit(pool, stage);
    exit(0);
}

static void child_exits(void)
{
    have_all();
    for (int i = 0; i < 20; i++) {
        child_run(end_by_exit);
        child_run(use_and_exit);
        child_run(exit_busy);
    }
    end_all();
}

/* The child of a daemon's double fork. */
static void become_daemon(void)
{
    if (fork() != 0)
        _exit(0);
    child_watchdog();
    CHECK(setsid() > 0);
    CHECK_ERROR(cfut_submit(had.pool, nothing_task, NULL, 0, NULL), CFUT_EFORKED, "before fork");
    use_new_pool();
    CHECK_EQ(kill(getppid(), 0), 0);
    _exit(0);
}

static void daemon_is_told(void)
{
    have_all();
    child_run(become_daemon);
    end_all();
}

/* Descriptors of the library do not reach a program that a child becomes. */
static void descriptors_close_on_exec(void)
{
    bool before[100];
    int fd;
    for (int i = 0; i < 100; i++)
        before[i] = fcntl(i, F_GETFD) != -1;
    have_all();
    CHECK_OK(cfut_queue_fd(had.queue, &fd));
    CHECK(fd >= 0 && fd < 100);
    for (int i = 0; i < 100; i++) {
        int flags = fcntl(i, F_GETFD);
        CHECK(before[i] || flags == -1 || (flags & FD_CLOEXEC) != 0);
    }
    end_all();
}

/* ---- when ---- */

static latch storm_ends = LATCH_CLOSED;

/* Host thread: submits, waits, makes and ends pools, so that each lock is held now and then. */
static void *storm(void *pool)
{
    while (latch_count(&storm_ends) == 0) {
        cfut_future *futures[40];
        cfut_executor *short_lived;
        cfut_task *task;
        CHECK_OK(cfut_task_new(nothing_task, &task));
        CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000)));
        for (int i = 0; i < 40; i++)
            CHECK_OK(cfut_submit_task(pool, task, "0123456789", i % 11, &futures[i]));
        CHECK_OK(cfut_wait_many(futures, 40, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL));
        for (int i = 0; i < 40; i++)
            cfut_future_release(futures[i]);
        CHECK_OK(cfut_thread_pool_new(NULL, &short_lived));
        CHECK_OK(cfut_submit_task(short_lived, task, NULL, 0, NULL));
        cfut_task_free(task);
        CHECK_OK(cfut_executor_shutdown(short_lived, 0, CFUT_FOREVER));
        cfut_executor_release(short_lived);
    }
    return NULL;
}

static void in_storm(void)
{
    cfut_future *future = NULL;
    CHECK_STATUS(cfut_submit(had.pool, nothing_task, NULL, 0, &future), CFUT_EFORKED);
    use_new_pool();
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
}

static void fork_in_a_storm(void)
{
    pthread_t threads[3];
    had.pool = check_pool(3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, storm, had.pool), 0);
    for (int i = 0; i < 150; i++)
        child_run(in_storm);
    latch_open(&storm_ends);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    check_close(had.pool);
}

/* A child without malloc, made by a call that runs no handlers: the page tells all the same. */
static void raw_fork(void)
{
    pid_t child;
    have_all();
    child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    CHECK(child >= 0);
    if (child == 0)
        _exit(cfut_submit(had.pool, nothing_task, NULL, 0, NULL) == CFUT_EFORKED ? 0 : 3);
    CHILD_EXITED(child, 0);
    end_all();
}

/* ---- from inside ---- */

/* The thread that forks is the child's only one. What it runs then. */
static void (*inside)(void);

static int32_t forking_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    child_run(inside);
    return cfut_promise_set_bytes(self, data, length);
}

/* In the child, of a pool whose worker the thread was. */
static void inside_task(void)
{
    CHECK_STATUS(cfut_submit(had.pool, nothing_task, NULL, 0, NULL), CFUT_EFORKED);
    CHECK_STATUS(cfut_executor_shutdown(had.pool, 0, CFUT_FOREVER), CFUT_EFORKED);
    use_new_pool();
    CHECK_STATUS(cfut_submit(had.pool, nothing_task, NULL, 0, NULL), CFUT_EFORKED);
}

static void exit_inside(void)
{
    use_new_pool();
    exit(0);
}

static void run_inside(void (*run)(void))
{
    cfut_future *future;
    inside = run;
    for (int i = 0; i < 10; i++) {
        CHECK_OK(cfut_submit(had.pool, forking_task, "x", 1, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
}

static void fork_in_a_task(void)
{
    had.pool = check_pool(2);
    run_inside(inside_task);
    run_inside(exit_inside);
    check_close(had.pool);
}

/* The same while other threads hold this and that lock of the pool. */
static void fork_in_a_task_in_a_storm(void)
{
    pthread_t threads[2];
    had.pool = check_pool(3);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, storm, had.pool), 0);
    for (int i = 0; i < 10; i++)
        run_inside(inside_task);
    latch_open(&storm_ends);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    check_close(had.pool);
}

static void forking_callback(cfut_future *future, void *arg)
{
    (void)future;
    latch_open(arg);
    child_run(inside);
    latch_open(arg);
}

/* In a worker, and in a thread of the host. */
static void fork_in_a_callback(void)
{
    latch called = LATCH_CLOSED;
    cfut_promise *promise;
    cfut_future *future;
    inside = inside_task;
    had.pool = check_pool(2);
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_future_on_done(future, had.pool, forking_callback, &called, NULL));
    CHECK_OK(cfut_future_on_done(future, NULL, forking_callback, &called, NULL));
    CHECK_OK(cfut_promise_set_cancelled(promise));
    latch_wait_for(&called, 4);
    cfut_promise_release(promise);
    cfut_future_release(future);
    check_close(had.pool);
}

static latch others_ran = LATCH_CLOSED;
static pid_t home;

/* Must run in the parent alone. */
static int32_t at_home(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    if (getpid() != home)
        _exit(66);
    latch_open(&others_ran);
    return 0;
}

/* A task stands before its fork until others are queued behind it. */
static cfut_future *submit_before_others(gate *stage, cfut_task_fn fn)
{
    cfut_future *future;
    home = getpid();
    had.pool = check_pool(1);
    CHECK_OK(cfut_submit(had.pool, fn, &stage, sizeof stage, &future));
    latch_wait(&stage->entered);
    for (int i = 0; i < 10; i++)
        CHECK_OK(cfut_submit(had.pool, at_home, NULL, 0, NULL));
    latch_open(&stage->open);
    return future;
}

static gate *enter(const void *data)
{
    gate *stage;
    memcpy(&stage, data, sizeof stage);
    latch_open(&stage->entered);
    latch_wait(&stage->open);
    return stage;
}

static int32_t fork_and_wait(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)length;
    enter(data);
    child_run(inside);
    return 0;
}

static int32_t slow_task(cfut_promise *self, const void *data, size_t length)
{
    check_sleep(CFUT_MSEC(20)); /* whoever waits for it goes to sleep */
    return nothing_task(self, data, length);
}

static void wait_long(void)
{
    cfut_executor *pool;
    cfut_future *future;
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    CHECK_OK(cfut_submit(pool, slow_task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

/* While the task waits in the child, for an executor that works there, nobody stands in for
 * it in the executor of the parent. */
static void wait_in_the_child(void)
{
    gate stage = GATE_CLOSED;
    cfut_future *future;
    inside = wait_long;
    future = submit_before_others(&stage, fork_and_wait);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    latch_wait_for(&others_ran, 10);
    cfut_future_release(future);
    check_close(had.pool);
}

static pid_t child_of_task;

static int32_t fork_and_return(cfut_promise *self, const void *data, size_t length)
{
    (void)length;
    enter(data);
    child_of_task = fork();
    CHECK(child_of_task >= 0);
    if (child_of_task == 0)
        child_watchdog();
    return cfut_promise_set_bytes(self, "x", 1);
}

static void called_at_home(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
    if (getpid() != home)
        _exit(66);
}

/* A task that forks and returns in both processes: the child has no work of its own to go on
 * with, and must neither run the parent's nor hang. */
static void return_in_the_child(void)
{
    gate stage = GATE_CLOSED;
    cfut_future *future;
    int status;
    future = submit_before_others(&stage, fork_and_return);
    CHECK_OK(cfut_future_on_done(future, NULL, called_at_home, NULL, NULL));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    latch_wait_for(&others_ran, 10);
    status = child_wait(child_of_task);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) != 66); /* it ran a task of the parent's */
    cfut_future_release(future);
    check_close(had.pool);
}

CHECK_MAIN(CASE(child_is_told), CASE(child_uses_new_pool_first), CASE(grandchild_is_told),
           CASE(child_exits), CASE(daemon_is_told), CASE(descriptors_close_on_exec),
           CASE(fork_in_a_storm), CASE(raw_fork), CASE(fork_in_a_task),
           CASE(fork_in_a_task_in_a_storm), CASE(fork_in_a_callback), CASE(wait_in_the_child),
           CASE(return_in_the_child))
