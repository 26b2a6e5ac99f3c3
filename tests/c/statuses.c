/* Each status that the header names is answered by some call, and means what it says.
 *
 * STATUSES is the table: a status, and the case that provokes it. The case all_are_here compares
 * it with the library's own list of names. */
#include "child.h"

#define STATUSES(X) \
    X(CFUT_OK, ok) \
    X(CFUT_TIMEOUT, timeout) \
    X(CFUT_PENDING, pending) \
    X(CFUT_CANCELLED, cancelled) \
    X(CFUT_FAILED, failed) \
    X(CFUT_CRASHED, crashed) \
    X(CFUT_EXPIRED, expired) \
    X(CFUT_BROKEN, broken) \
    X(CFUT_END, end) \
    X(CFUT_TOO_LATE, too_late) \
    X(CFUT_EINVAL, einval) \
    X(CFUT_ENOMEM, enomem) \
    X(CFUT_ENOTSUP, enotsup) \
    X(CFUT_ESHUTDOWN, eshutdown) \
    X(CFUT_EFULL, efull) \
    X(CFUT_EDEADLK, edeadlk) \
    X(CFUT_EFORKED, eforked) \
    X(CFUT_ENOENT, enoent) \
    X(CFUT_ESYS, esys) \
    X(CFUT_EPANIC, epanic) \
    X(CFUT_ESTATE, estate)

static void ok(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    check_close(pool);
}

/* Every wait that has a time-out. */
static void timeout(void)
{
    gate at = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &at), *taken = NULL;
    cfut_queue *queue;
    uint64_t tag = 0;
    const int64_t times[] = { CFUT_NOW, 1, CFUT_MSEC(2) };
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_queue_add(queue, future, 7));
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        CHECK_STATUS(cfut_future_wait(future, times[i]), CFUT_TIMEOUT);
        CHECK_STATUS(cfut_wait_many(&future, 1, CFUT_WAIT_ALL, times[i], NULL, NULL), CFUT_TIMEOUT);
        CHECK_STATUS(cfut_wait_many(&future, 1, CFUT_WAIT_ANY, times[i], NULL, NULL), CFUT_TIMEOUT);
        CHECK_STATUS(cfut_queue_next(queue, times[i], &taken, &tag), CFUT_TIMEOUT);
        CHECK_STATUS(cfut_quiesce(times[i]), CFUT_TIMEOUT);
        CHECK(taken == NULL);
    }
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_MSEC(1)), CFUT_TIMEOUT);
    latch_open(&at.open);
    CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &taken, &tag));
    CHECK(taken == future);
    CHECK_EQ(tag, 7);
    cfut_future_release(taken);
    cfut_future_release(future);
    cfut_queue_release(queue);
    check_close(pool);
}

static void pending(void)
{
    gate at = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &at);
    int64_t value = -1;
    CHECK_STATUS(cfut_future_info(future, CFUT_INFO_RUN_NS, &value), CFUT_PENDING);
    CHECK_EQ(value, -1);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_KILL), CFUT_PENDING);
    latch_open(&at.open);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    check_close(pool);
}

static void cancelled(void)
{
    gate at = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *running = gate_submit(pool, &at), *future;
    cfut_promise *promise;
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_CANCELLED);
    cfut_future_release(future);
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_STATUS(cfut_promise_start(promise), CFUT_CANCELLED);
    cfut_promise_release(promise);
    cfut_future_release(future);
    latch_open(&at.open);
    cfut_future_release(running);
    check_close(pool);
}

static int32_t failing_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    CHECK_OK(cfut_promise_fail(self, 41, "no luck"));
    return 0;
}

static void failed(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    CHECK_OK(cfut_submit(pool, failing_task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 41);
    CHECK_TEXT(cfut_future_message(future), "no luck");
    CHECK_STATUS(cfut_wait_many(&future, 1, CFUT_WAIT_FIRST_FAILURE, CFUT_NOW, NULL, NULL),
                 CFUT_FAILED);
    cfut_future_release(future);
    check_close(pool);
}

static int32_t dying_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    abort();
}

static void crashed(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future;
    int64_t value;
    CHECK_OK(cfut_submit(pool, dying_task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_EQ(cfut_future_code(future), 0);
    CHECK(strstr(cfut_future_message(future), "SIGABRT") != NULL);
    CHECK_OK(cfut_future_info(future, CFUT_INFO_SIGNAL, &value));
    CHECK_EQ(value, SIGABRT);
    CHECK_STATUS(cfut_wait_many(&future, 1, CFUT_WAIT_FIRST_FAILURE, CFUT_NOW, NULL, NULL),
                 CFUT_CRASHED);
    cfut_future_release(future);
    check_close(pool);
}

static cfut_future *submit_timed(cfut_executor *pool, cfut_task_fn fn, const void *data,
                                 size_t length, int32_t key, int64_t time)
{
    cfut_task *task;
    cfut_future *future;
    CHECK_OK(cfut_task_new(fn, &task));
    CHECK_OK(cfut_task_set(task, key, time));
    CHECK_OK(cfut_submit_task(pool, task, data, length, &future));
    cfut_task_free(task);
    return future;
}

static void expired(void)
{
    gate at = GATE_CLOSED, *place = &at;
    cfut_executor *pool = check_pool(1);
    cfut_future *running =
        submit_timed(pool, gate_task, &place, sizeof place, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(1));
    cfut_future *queued, *total;
    latch_wait(&at.entered);
    queued = submit_timed(pool, nothing_task, NULL, 0, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(1));
    total = submit_timed(pool, nothing_task, NULL, 0, CFUT_TASK_TOTAL_TIMEOUT_NS, 0);
    CHECK_STATUS(cfut_future_wait(running, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK_STATUS(cfut_future_wait(queued, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK_STATUS(cfut_future_wait(total, CFUT_FOREVER), CFUT_EXPIRED);
    latch_open(&at.open);
    cfut_future_release(running);
    cfut_future_release(queued);
    cfut_future_release(total);
    check_close(pool);
}

static void broken(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    cfut_task *task;
    cfut_future *future;
    cfut_promise *promise;
    CHECK_OK(cfut_task_new(failing_task, &task));
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    cfut_task_free(task);
    pool = check_pool_with(options);
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
    CHECK_EQ(cfut_future_code(future), 41);
    cfut_future_release(future);
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, &future), CFUT_BROKEN, "no luck");
    CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN, "no luck");
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 1);
    check_close(pool);
    CHECK_OK(cfut_promise_new(&promise, &future));
    cfut_promise_release(promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_BROKEN);
    cfut_future_release(future);
}

static void end(void)
{
    cfut_queue *queue;
    cfut_future *future = NULL;
    uint64_t tag = 5;
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_STATUS(cfut_queue_next(queue, CFUT_FOREVER, &future, &tag), CFUT_END);
    CHECK(future == NULL);
    CHECK_EQ(tag, 5);
    cfut_queue_release(queue);
}

static void too_late(void)
{
    gate at = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &at);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    latch_open(&at.open);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_TOO_LATE);
    cfut_future_release(future);
    check_close(pool);
}

/* The rest of wrong arguments is in bad_input.c. */
static void einval(void)
{
    CHECK_ERROR(cfut_submit(NULL, nothing_task, NULL, 0, NULL), CFUT_EINVAL, "executor");
}

static void enomem(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_buffer *buffer = NULL;
    char byte = 0;
    const size_t much = SIZE_MAX / 4; /* more than any address space */
    CHECK_ERROR(cfut_buffer_new(much, 0, &buffer), CFUT_ENOMEM, "4611686018427387903");
    CHECK(buffer == NULL);
    /* Refused before the bytes are looked at. */
    CHECK_ERROR(cfut_submit(pool, nothing_task, &byte, much, NULL), CFUT_ENOMEM, "bytes");
    check_close(pool);
}

static void enotsup(void)
{
    cfut_executor *pool = check_pool(1);
    int64_t value;
    CHECK_ERROR(cfut_executor_stat(pool, 1000, &value), CFUT_ENOTSUP, "1000");
    CHECK_ERROR(cfut_loop_run(pool, 0, CFUT_NOW, NULL), CFUT_ENOTSUP, "no loop");
    check_close(pool);
}

static void eshutdown(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN, "shut down");
    CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_ESHUTDOWN, "shut down");
    check_close(pool);
}

static int32_t limited_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    CHECK_ERROR(cfut_promise_set_bytes(self, "12345", 5), CFUT_EFULL, "CFUT_TASK_OUTPUT_LIMIT");
    return cfut_promise_set_bytes(self, "1234", 4);
}

static void efull(void)
{
    gate at = GATE_CLOSED;
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    cfut_future *running, *limited;
    cfut_task *task;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 1));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 2));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_BLOCK));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_TIMEOUT_NS, CFUT_MSEC(1)));
    pool = check_pool_with(options);
    running = gate_submit(pool, &at);
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, NULL));
    CHECK_OK(cfut_task_new(limited_task, &task));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_OUTPUT_LIMIT, 4));
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &limited));
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_EFULL, "CFUT_OPT_QUEUE_LIMIT 2");
    latch_open(&at.open);
    CHECK_OK(cfut_future_wait(limited, CFUT_FOREVER));
    cfut_task_free(task);
    cfut_future_release(limited);
    cfut_future_release(running);
    check_close(pool);
}

typedef struct deadly {
    cfut_executor *pool;
    cfut_future *own;
    latch given;
} deadly;

static int32_t deadly_task(cfut_promise *self, const void *data, size_t length)
{
    deadly *at;
    (void)self;
    (void)length;
    memcpy(&at, data, sizeof at);
    latch_wait(&at->given);
    CHECK_ERROR(cfut_future_wait(at->own, CFUT_FOREVER), CFUT_EDEADLK, "never end");
    CHECK_STATUS(cfut_wait_many(&at->own, 1, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL), CFUT_EDEADLK);
    CHECK_ERROR(cfut_executor_shutdown(at->pool, 0, CFUT_FOREVER), CFUT_EDEADLK, "CFUT_NOW");
    CHECK_ERROR(cfut_quiesce(CFUT_NOW), CFUT_EDEADLK, "task");
    return 0;
}

static void edeadlk(void)
{
    deadly at = { check_pool(1), NULL, LATCH_CLOSED }, *place = &at;
    CHECK_OK(cfut_submit(at.pool, deadly_task, &place, sizeof place, &at.own));
    latch_open(&at.given);
    CHECK_OK(cfut_future_wait(at.own, CFUT_FOREVER));
    cfut_future_release(at.own);
    check_close(at.pool);
}

static cfut_executor *inherited;

static void use_inherited(void)
{
    CHECK_ERROR(cfut_submit(inherited, nothing_task, NULL, 0, NULL), CFUT_EFORKED, "fork");
}

/* The rest of what a child may and may not do is in forks.c. */
static void eforked(void)
{
    inherited = check_pool(1);
    child_run(use_inherited);
    check_close(inherited);
}

/* As a status, and as the code of a task whose name means nothing in its worker. */
static void enoent(void)
{
    cfut_executor *threads = check_pool(1), *processes = check_process_pool(1), *pool = NULL;
    cfut_options *options = cfut_options_new();
    cfut_task *task;
    cfut_future *future;
    CHECK_OK(cfut_task_new_named("nobody", &task));
    CHECK_ERROR(cfut_submit_task(threads, task, NULL, 0, NULL), CFUT_ENOENT, "nobody");
    CHECK_OK(cfut_submit_task(processes, task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_ENOENT);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_WORKER_PROGRAM, "/nowhere/at-all"));
    CHECK_ERROR(cfut_process_pool_new(options, &pool), CFUT_ENOENT, "/nowhere/at-all");
    CHECK(pool == NULL);
    cfut_options_free(options);
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(threads);
    check_close(processes);
}

static void esys(void)
{
    cfut_queue *queue;
    int fd = -1;
    CHECK_OK(cfut_queue_new(&queue));
    child_limit(RLIMIT_NOFILE, 0);
    CHECK_ERROR(cfut_queue_fd(queue, &fd), CFUT_ESYS, "descriptor");
    CHECK_EQ(fd, -1);
    cfut_queue_release(queue);
}

static int32_t ending_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
}

/* As a status it would be a defect of the library, which cannot be provoked. As the code of
 * a failure it says that the task ended its thread. */
static void epanic(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    CHECK_OK(cfut_submit(pool, ending_task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
    cfut_future_release(future);
    check_close(pool);
}

static void estate(void)
{
    cfut_promise *promise;
    cfut_future *future;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_promise_start(promise));
    CHECK_ERROR(cfut_promise_start(promise), CFUT_ESTATE, "");
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_ERROR(cfut_promise_set_bytes(promise, "y", 1), CFUT_ESTATE, "settled");
    CHECK_ERROR(cfut_promise_fail(promise, 1, NULL), CFUT_ESTATE, "settled");
    CHECK_ERROR(cfut_promise_set_cancelled(promise), CFUT_ESTATE, "settled");
    CHECK_ERROR(cfut_worker_run(), CFUT_ESTATE, "CFUT_OPT_WORKER_PROGRAM");
    CHECK_ERROR(cfut_promise_set_progress(promise, 1, 2), CFUT_ESTATE, "");
    CHECK_ERROR(cfut_promise_start(promise), CFUT_ESTATE, "");
    cfut_promise_release(promise);
    cfut_future_release(future);
}

#define IN_TABLE(status, ignored) { status, #status },

/* What the library can name is in the table, and the other way round. */
static void all_are_here(void)
{
    static const struct {
        cfut_status status;
        const char *name;
    } table[] = { STATUSES(IN_TABLE) };
    size_t named = 0;
    for (cfut_status status = -1000; status <= 1000; status++) {
        const char *name = cfut_status_name(status);
        if (strcmp(name, "CFUT_?") == 0) {
            CHECK_TEXT(cfut_status_text(status), "unknown status");
            continue;
        }
        named++;
        for (size_t i = 0;; i++) {
            CHECK(i < sizeof table / sizeof table[0]);
            if (table[i].status == status) {
                CHECK_TEXT(name, table[i].name);
                break;
            }
        }
        CHECK(strlen(cfut_status_text(status)) > 3);
    }
    CHECK_EQ(named, sizeof table / sizeof table[0]);
    CHECK_TEXT(cfut_status_name(INT32_MIN), "CFUT_?");
    CHECK_TEXT(cfut_status_name(INT32_MAX), "CFUT_?");
}

#define STATUS_CASE(status, name) CASE(name),

CHECK_MAIN_WORKER((void)0, STATUSES(STATUS_CASE) CASE(all_are_here))
