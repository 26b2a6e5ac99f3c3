/* Tasks by name in processes, and bounds of their queues. */
#include "processes.h"

/* ---- names ---- */

static cfut_task *task_by_name(const char *name)
{
    cfut_task *task = NULL;
    CHECK_OK(cfut_task_new_named(name, &task));
    return task;
}

static cfut_future *submit_named(cfut_executor *pool, const char *name, int64_t value)
{
    return submit_once(pool, task_by_name(name), &value, sizeof value);
}

static const char *in_module(const char *symbol)
{
    static char name[4096];
    const char *module = getenv("CFUT_TEST_MODULE");
    CHECK(module != NULL);
    snprintf(name, sizeof name, "%s:%s", module, symbol);
    return name;
}

static void check_integer(cfut_future *future, int64_t wanted)
{
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), wanted);
    cfut_future_release(future);
}

static void names(void)
{
    static const int64_t methods[] = { CFUT_START_FORKSERVER, CFUT_START_SPAWN };
    for (int i = 0; i < 2; i++) {
        cfut_options *options = options_with(2, CFUT_OPT_START_METHOD, methods[i]);
        cfut_executor *pool = check_process_pool_with(options);
        for (int64_t n = 0; n < 20; n++) {
            check_integer(submit_named(pool, "plus one", n), n + 1);
            check_integer(submit_named(pool, in_module("module_square"), n), n * n);
        }
        check_close(pool);
    }
}

static int32_t late_task(cfut_promise *self, const void *data, size_t length)
{
    return plus_one_task(self, data, length);
}

/* It is the worker that looks a name up. */
static void unknown_names(void)
{
    cfut_executor *pool = check_process_pool(1);
    char missing[4200];
    static const char *const unknown[] = { "nobody", "registered late", "/nowhere.so:x", ":", "x:" };
    CHECK_OK(cfut_register("registered late", late_task)); /* here only: after the guard */
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        cfut_future *future = submit_named(pool, unknown[i], 1);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_ENOENT);
        CHECK(cfut_future_message(future)[0] != '\0');
        cfut_future_release(future);
    }
    snprintf(missing, sizeof missing, "%s", in_module("not_in_there"));
    cfut_future *future = submit_named(pool, missing, 1);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_ENOENT);
    CHECK(strstr(cfut_future_message(future), "not_in_there") != NULL);
    cfut_future_release(future);
    check_integer(submit_named(pool, "plus one", 1), 2); /* the worker is as good as before */
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1);
    check_close(pool);
}

static void names_in_every_kind_of_submit(void)
{
    cfut_executor *pool = check_process_pool(2), *threads = check_pool(1);
    cfut_task *task = task_by_name("plus one");
    int64_t items[3] = { 10, 20, 30 }, n = 6;
    cfut_future *futures[3], *future;
    cfut_buffer *buffer;
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], 3, futures));
    for (int i = 0; i < 3; i++)
        check_integer(futures[i], items[i] + 1);
    CHECK_OK(cfut_buffer_new(sizeof n, CFUT_BUFFER_SHARED, &buffer));
    memcpy(cfut_buffer_data(buffer), &n, sizeof n);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    check_integer(future, 7);
    cfut_buffer_release(buffer);
    check_integer(piped(piped(submit(threads, plus_one_task, &n, sizeof n), pool, task), threads, task),
                  9);
    cfut_task_free(task);
    check_close(pool);
    check_close(threads);
}

static void initializer_by_name(void)
{
    cfut_options *options = options_of(1);
    cfut_task *task = task_by_name(in_module("module_initialize"));
    int64_t state = 2323;
    CHECK_OK(cfut_options_set_initializer(options, task, &state, sizeof state));
    cfut_task_free(task);
    cfut_executor *pool = check_process_pool_with(options);
    check_integer(submit_named(pool, in_module("module_state"), 0), 2323);
    check_close(pool);
    options = options_of(1);
    task = task_by_name("nobody");
    CHECK_OK(cfut_options_set_initializer(options, task, &state, sizeof state));
    cfut_task_free(task);
    pool = check_process_pool_with(options);
    cfut_future *future = submit_nothing(pool);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
    CHECK_EQ(cfut_future_code(future), CFUT_ENOENT);
    CHECK(strstr(cfut_future_message(future), "nobody") != NULL);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- bounds ---- */

static void bound_that_rejects(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 2);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *busy = stand(pool, 0), *queued[2], *future = NULL;
    for (int i = 0; i < 2; i++) /* the one that runs does not count */
        queued[i] = submit_nothing(pool);
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, &future), CFUT_EFULL,
                "CFUT_OPT_QUEUE_LIMIT 2");
    CHECK(future == NULL);
    CHECK_OK(cfut_future_cancel(queued[0], CFUT_CANCEL_PENDING)); /* gives its place back */
    future = submit_nothing(pool);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_EFULL);
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_STATUS(end_of(queued[0]), CFUT_CANCELLED);
    CHECK_OK(end_of(queued[1]));
    CHECK_OK(end_of(future));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 4);
    for (int i = 0; i < 100; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static void bound_in_bytes(void)
{
    static char data[1000];
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_BYTES, 2500);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *busy = stand(pool, 0);
    for (int i = 0; i < 2; i++)
        CHECK_OK(cfut_submit(pool, nothing_task, data, sizeof data, NULL));
    CHECK_ERROR(cfut_submit(pool, nothing_task, data, sizeof data, NULL), CFUT_EFULL,
                "CFUT_OPT_QUEUE_BYTES 2500");
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    for (int i = 0; i < 2; i++)
        CHECK_OK(end_of(submit(pool, nothing_task, data, sizeof data)));
    /* Results that nobody has read count, too: here until they are released. */
    static char large[2400];
    cfut_future *unread = submit(pool, echo_task, large, sizeof large);
    CHECK_SOON(check_stat(pool, CFUT_STAT_SUCCEEDED) == 6);
    CHECK_STATUS(cfut_submit(pool, nothing_task, data, sizeof data, NULL), CFUT_EFULL);
    CHECK_OK(end_of(unread));
    CHECK_OK(cfut_submit(pool, nothing_task, data, sizeof data, NULL));
    check_close(pool);
}

struct submitter {
    cfut_executor *pool;
    latch started;
    cfut_status status;
    cfut_future *future;
};

static void *submit_one(void *arg)
{
    struct submitter *submitter = arg;
    latch_open(&submitter->started);
    submitter->status = cfut_submit(submitter->pool, nothing_task, NULL, 0, &submitter->future);
    return NULL;
}

static void bound_that_blocks(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *busy = stand(pool, 0), *queued = submit_nothing(pool);
    struct submitter submitter = { pool, LATCH_CLOSED, CFUT_EINVAL, NULL };
    pthread_t thread = thread_start(submit_one, &submitter);
    latch_wait(&submitter.started);
    check_sleep(CFUT_MSEC(5));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 2); /* it waits, or has not begun to */
    open_gate(0);
    thread_join(thread);
    CHECK_OK(submitter.status);
    CHECK_OK(end_of(submitter.future));
    CHECK_OK(end_of(queued));
    CHECK_OK(end_of(busy));
    for (int i = 0; i < 300; i++) /* the queue is full nearly always */
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, NULL));
    check_close(pool);
}

static void bound_that_blocks_for_a_time(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_TIMEOUT_NS, CFUT_MSEC(5)));
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *busy = stand(pool, 0), *queued = submit_nothing(pool);
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_EFULL,
                "CFUT_OPT_FULL_TIMEOUT_NS");
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_OK(end_of(queued));
    check_close(pool);
}

static void blocked_submit_ends_with_the_shutdown(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *busy = stand(pool, 0), *queued = submit_nothing(pool);
    struct submitter submitter = { pool, LATCH_CLOSED, CFUT_EINVAL, NULL };
    pthread_t thread = thread_start(submit_one, &submitter);
    latch_wait(&submitter.started);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    thread_join(thread);
    CHECK_STATUS(submitter.status, CFUT_ESHUTDOWN);
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_OK(end_of(queued));
    check_close(pool);
}

static void running_in_the_caller_is_refused(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    cfut_executor *pool = NULL;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_RUN_IN_CALLER));
    CHECK_ERROR(cfut_process_pool_new(options, &pool), CFUT_ENOTSUP, "CFUT_FULL_RUN_IN_CALLER");
    CHECK(pool == NULL);
    cfut_options_free(options);
}

static void quiesce_waits_for_processes(void)
{
    cfut_executor *pool = check_process_pool(2);
    atomic_int called = 0;
    CHECK_SOON(cfut_quiesce(CFUT_NOW) == CFUT_OK); /* its own threads have begun */
    cfut_future *busy = stand(pool, 0);
    CHECK_OK(cfut_future_on_done(busy, NULL, count_done, &called, NULL));
    CHECK_STATUS(cfut_quiesce(CFUT_MSEC(2)), CFUT_TIMEOUT);
    open_gate(0);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(called, 1);
    CHECK_OK(end_of(busy));
    CHECK_OK(end_of(submit_nothing(pool))); /* it stays usable */
    check_close(pool);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        CASE(names),
        CASE(unknown_names),
        CASE(names_in_every_kind_of_submit),
        CASE(initializer_by_name),
        CASE(bound_that_rejects),
        CASE(bound_in_bytes),
        CASE(bound_that_blocks),
        CASE(bound_that_blocks_for_a_time),
        CASE(blocked_submit_ends_with_the_shutdown),
        CASE(running_in_the_caller_is_refused),
        CASE(quiesce_waits_for_processes),
    };
    CHECK_OK(cfut_register("plus one", plus_one_task)); /* in workers, too: before the guard */
    cfut_worker_main();
    board_make();
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
