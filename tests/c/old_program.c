/* A program of the time of version 0.1.0. It is compiled with the header of that release
 * (abi/0.1.0) and has to run with every later library of the same soname: nothing in it may be
 * changed so that it keeps on working, that is for the library to see to.
 *
 * Prints the version of its header, then of its library. */
#include <cfutures.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEED(condition) \
    do { \
        if (!(condition)) { \
            char text[512]; \
            cfut_last_error(text, sizeof text); \
            fprintf(stderr, "%s:%d: not so: %s\n    %s\n", __FILE__, __LINE__, #condition, text); \
            exit(1); \
        } \
    } while (0)

static int32_t square(cfut_promise *promise, const void *data, size_t len)
{
    int64_t n;
    NEED(len == sizeof n);
    memcpy(&n, data, len);
    n *= n;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

static int32_t refuse(cfut_promise *promise, const void *data, size_t len)
{
    (void)data;
    (void)len;
    return cfut_promise_fail(promise, 7, "no thanks");
}

static int32_t vanish(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise;
    (void)data;
    (void)len;
    exit(3);
}

static int32_t one_more(cfut_promise *promise, cfut_future *input, void *arg)
{
    int64_t n;
    NEED(arg == NULL);
    memcpy(&n, cfut_future_bytes(input, NULL), sizeof n);
    n++;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

static int64_t number_of(cfut_future *future)
{
    int64_t n;
    size_t len;
    NEED(cfut_future_wait(future, CFUT_FOREVER) == CFUT_OK);
    NEED(cfut_future_state(future) == CFUT_STATE_FINISHED);
    const void *bytes = cfut_future_bytes(future, &len);
    NEED(len == sizeof n);
    memcpy(&n, bytes, sizeof n);
    cfut_future_release(future);
    return n;
}

static cfut_options *two_workers(void)
{
    cfut_options *options = cfut_options_new();
    NEED(options != NULL);
    NEED(cfut_options_set(options, CFUT_OPT_WORKERS, 2) == CFUT_OK);
    NEED(cfut_options_set_text(options, CFUT_OPT_NAME, "old") == CFUT_OK);
    return options;
}

static cfut_executor *threads(void)
{
    cfut_options *options = two_workers();
    cfut_executor *pool;
    NEED(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 1000) == CFUT_OK);
    NEED(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT) == CFUT_OK);
    NEED(cfut_thread_pool_new(options, &pool) == CFUT_OK);
    cfut_options_free(options);
    return pool;
}

static cfut_executor *processes(void)
{
    cfut_options *options = two_workers();
    cfut_executor *pool;
    NEED(cfut_options_set(options, CFUT_OPT_START_METHOD, CFUT_START_SPAWN) == CFUT_OK);
    NEED(cfut_process_pool_new(options, &pool) == CFUT_OK);
    cfut_options_free(options);
    return pool;
}

static void close_pool(cfut_executor *pool)
{
    int64_t submitted;
    NEED(cfut_executor_stat(pool, CFUT_STAT_SUBMITTED, &submitted) == CFUT_OK && submitted > 0);
    NEED(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER) == CFUT_OK);
    cfut_executor_release(pool);
}

static void submits(cfut_executor *pool)
{
    int64_t n = 5;
    cfut_future *future;
    NEED(cfut_submit(pool, square, &n, sizeof n, &future) == CFUT_OK);
    NEED(number_of(future) == 25);
    NEED(cfut_submit(pool, refuse, NULL, 0, &future) == CFUT_OK);
    NEED(cfut_future_wait(future, CFUT_SEC(100)) == CFUT_FAILED);
    NEED(cfut_future_code(future) == 7);
    NEED(strcmp(cfut_future_message(future), "no thanks") == 0);
    cfut_future_release(future);
}

static void maps(cfut_executor *pool)
{
    int64_t numbers[100], squares[100];
    cfut_task *task;
    for (int64_t n = 0; n < 100; n++)
        numbers[n] = n;
    NEED(cfut_task_new(square, &task) == CFUT_OK);
    NEED(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(100)) == CFUT_OK);
    NEED(cfut_task_set_text(task, CFUT_TASK_NAME, "square") == CFUT_OK);
    NEED(cfut_map_into(pool, task, numbers, sizeof numbers[0], 100, squares, sizeof squares[0],
                       CFUT_FOREVER) == CFUT_OK);
    for (int64_t n = 0; n < 100; n++)
        NEED(squares[n] == n * n);
    cfut_task_free(task);
}

static void completions(cfut_executor *pool)
{
    cfut_queue *queue;
    uint64_t tags = 0;
    int fd;
    NEED(cfut_queue_new(&queue) == CFUT_OK);
    NEED(cfut_queue_fd(queue, &fd) == CFUT_OK);
    for (int64_t n = 0; n < 3; n++) {
        cfut_future *future;
        NEED(cfut_submit(pool, square, &n, sizeof n, &future) == CFUT_OK);
        NEED(cfut_queue_add(queue, future, (uint64_t)1 << n) == CFUT_OK);
        cfut_future_release(future);
    }
    for (;;) {
        uint64_t tag;
        cfut_future *future;
        cfut_status status = cfut_queue_next(queue, CFUT_NOW, &future, &tag);
        if (status == CFUT_END)
            break;
        if (status == CFUT_TIMEOUT) {
            struct pollfd ready = { fd, POLLIN, 0 };
            NEED(poll(&ready, 1, 100000) == 1);
            continue;
        }
        NEED(status == CFUT_OK);
        tags |= tag;
        cfut_future_release(future);
    }
    NEED(tags == 7);
    cfut_queue_release(queue);
}

static void continuations(cfut_executor *pool)
{
    int64_t n = 6;
    cfut_future *parts[2], *joined;
    NEED(cfut_submit(pool, square, &n, sizeof n, &parts[0]) == CFUT_OK);
    NEED(cfut_future_then(parts[0], pool, one_more, NULL, NULL, &parts[1]) == CFUT_OK);
    NEED(cfut_join(parts, 2, CFUT_JOIN_ALL, &joined) == CFUT_OK);
    NEED(cfut_future_wait(joined, CFUT_FOREVER) == CFUT_OK);
    cfut_future_release(joined);
    NEED(number_of(parts[1]) == 37);
    cfut_future_release(parts[0]);
}

static void promises(void)
{
    cfut_promise *promise;
    cfut_future *future;
    char *text = malloc(4);
    NEED(cfut_promise_new(&promise, &future) == CFUT_OK);
    NEED(cfut_future_wait(future, CFUT_NOW) == CFUT_TIMEOUT);
    NEED(cfut_promise_set_value(promise, text, free) == CFUT_OK);
    NEED(cfut_future_cancel(future, CFUT_CANCEL_PENDING) == CFUT_TOO_LATE);
    NEED(cfut_future_value(future) == text);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void crashes(cfut_executor *pool)
{
    cfut_future *future;
    int64_t code;
    NEED(cfut_submit(pool, vanish, NULL, 0, &future) == CFUT_OK);
    NEED(cfut_future_wait(future, CFUT_FOREVER) == CFUT_CRASHED);
    NEED(cfut_future_info(future, CFUT_INFO_EXIT_CODE, &code) == CFUT_OK && code == 3);
    cfut_future_release(future);
}

int main(void)
{
    cfut_executor *pool;
    cfut_worker_main();
    pool = threads();
    submits(pool);
    maps(pool);
    completions(pool);
    continuations(pool);
    promises();
    close_pool(pool);

    pool = processes();
    submits(pool);
    maps(pool);
    crashes(pool);
    submits(pool);
    close_pool(pool);
    printf("header %s, library %s\n", CFUT_VERSION, cfut_version());
    return 0;
}
