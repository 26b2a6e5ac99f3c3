/* Bounds of a pool's queue, in tasks and in bytes, and what a submit does that finds it full. */
#include "parts.h"

static const char FILL[1000];

static cfut_executor *bounded(int64_t workers, int32_t key, int64_t most, int64_t policy)
{
    cfut_options *options = options_with(workers, key, most);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, policy));
    return check_pool_with(options);
}

static cfut_executor *bounded_by_count(int64_t most, int64_t policy)
{
    return bounded(1, CFUT_OPT_QUEUE_LIMIT, most, policy);
}

static cfut_executor *bounded_by_bytes(int64_t most, int64_t policy)
{
    return bounded(1, CFUT_OPT_QUEUE_BYTES, most, policy);
}

static cfut_status try_submit(cfut_executor *pool, size_t bytes)
{
    return cfut_submit(pool, nothing_task, FILL, bytes, NULL);
}

/* ---- what counts ---- */

static void no_bound_by_default(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 10000; i++)
        CHECK_OK(try_submit(pool, 100));
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 10000);
    latch_open(&gate.open);
    check_close(pool);
}

static void count_of_tasks(void)
{
    cfut_executor *pool = bounded_by_count(3, CFUT_FULL_REJECT);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate); /* has started: does not count */
    for (int round = 0; round < 3; round++) {
        cfut_future *futures[3], *none = NULL;
        for (int i = 0; i < 3; i++)
            futures[i] = submit_nothing(pool);
        CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, &none), CFUT_EFULL, "3");
        CHECK(none == NULL);
        for (int i = 0; i < 3; i++) { /* cancelled: gives its room back at once */
            CHECK_OK(cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING));
            cfut_future_release(futures[i]);
        }
    }
    cfut_future *last = submit_nothing(pool);
    latch_open(&gate.open);
    CHECK_OK(end_of(last));
    for (int i = 0; i < 100; i++) /* started: likewise */
        CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static void bytes_of_arguments(void)
{
    cfut_executor *pool = bounded_by_bytes(100, CFUT_FULL_REJECT);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 50; i++)
        CHECK_OK(try_submit(pool, 0)); /* no bytes, no bound */
    CHECK_OK(try_submit(pool, 60));
    CHECK_ERROR(try_submit(pool, 41), CFUT_EFULL, "100");
    CHECK_OK(try_submit(pool, 40));
    CHECK_STATUS(try_submit(pool, 1), CFUT_EFULL);
    CHECK_OK(try_submit(pool, 0));
    latch_open(&gate.open);
    check_close(pool);
}

static void bytes_of_buffers(void)
{
    cfut_executor *pool = bounded_by_bytes(100, CFUT_FULL_REJECT);
    cfut_task *task = task_of(nothing_task);
    cfut_buffer *buffer;
    cfut_future *future;
    gate gate = GATE_CLOSED;
    CHECK_OK(cfut_buffer_new(80, 0, &buffer));
    gate_hold(pool, &gate);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    CHECK_STATUS(cfut_submit_buffer(pool, task, buffer, NULL), CFUT_EFULL);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, NULL));
    latch_open(&gate.open);
    cfut_future_release(future);
    cfut_buffer_release(buffer);
    cfut_task_free(task);
    check_close(pool);
}

/* Otherwise it could never be accepted. */
static void larger_than_the_bound_goes_in_alone(void)
{
    cfut_executor *pool = bounded_by_bytes(100, CFUT_FULL_REJECT);
    gate gate = GATE_CLOSED;
    cfut_future *future;
    gate_hold(pool, &gate);
    CHECK_OK(cfut_submit(pool, nothing_task, FILL, 1000, &future));
    CHECK_STATUS(try_submit(pool, 1), CFUT_EFULL);
    latch_open(&gate.open);
    CHECK_OK(end_of(future));
    CHECK_OK(try_submit(pool, 1));
    check_close(pool);
}

static void unread_results_count(void)
{
    cfut_executor *pool = bounded_by_bytes(1000, CFUT_FULL_REJECT);
    cfut_future *read = submit(pool, echo_task, FILL, 600);
    CHECK_OK(cfut_future_wait(read, CFUT_FOREVER));
    CHECK_STATUS(try_submit(pool, 600), CFUT_EFULL);
    CHECK(cfut_future_bytes(read, NULL) != NULL);
    cfut_future *released = submit(pool, echo_task, FILL, 600);
    CHECK_OK(cfut_future_wait(released, CFUT_FOREVER));
    CHECK_STATUS(try_submit(pool, 600), CFUT_EFULL);
    cfut_future_release(released);
    /* The worker may hold it for a moment longer. */
    CHECK_SOON(try_submit(pool, 600) == CFUT_OK);
    cfut_future_release(read);
    check_close(pool);
}

static void expired_tasks_give_room_back(void)
{
    cfut_executor *pool = bounded_by_count(1, CFUT_FULL_REJECT);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(2));
    cfut_future *future = submit_once(pool, task, NULL, 0);
    CHECK_STATUS(end_of(future), CFUT_EXPIRED);
    CHECK_SOON(try_submit(pool, 0) == CFUT_OK);
    latch_open(&gate.open);
    check_close(pool);
}

/* ---- CFUT_FULL_BLOCK ---- */

struct submitter {
    cfut_executor *pool;
    latch started;
    atomic_int returned;
    cfut_status status;
};

static void *submit_there(void *arg)
{
    struct submitter *submitter = arg;
    latch_open(&submitter->started);
    submitter->status = try_submit(submitter->pool, 10);
    atomic_store(&submitter->returned, 1);
    return NULL;
}

/* A thread that is about to wait for room in the pool. */
static pthread_t block_submitter(struct submitter *submitter)
{
    pthread_t thread = thread_start(submit_there, submitter);
    latch_wait(&submitter->started);
    check_sleep(CFUT_MSEC(5));
    CHECK_EQ(submitter->returned, 0);
    return thread;
}

static void block_until_there_is_room(void)
{
    cfut_executor *pool = bounded_by_count(1, CFUT_FULL_BLOCK);
    struct submitter submitter = { pool, LATCH_CLOSED, 0, CFUT_EINVAL };
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    CHECK_OK(try_submit(pool, 0));
    pthread_t thread = block_submitter(&submitter);
    latch_open(&gate.open);
    thread_join(thread);
    CHECK_OK(submitter.status);
    check_close(pool);
}

static void block_until_one_is_cancelled(void)
{
    cfut_executor *pool = bounded_by_bytes(10, CFUT_FULL_BLOCK);
    struct submitter submitter = { pool, LATCH_CLOSED, 0, CFUT_EINVAL };
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_future *future = submit(pool, nothing_task, FILL, 10);
    pthread_t thread = block_submitter(&submitter);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    thread_join(thread);
    CHECK_OK(submitter.status);
    latch_open(&gate.open);
    cfut_future_release(future);
    check_close(pool);
}

static void block_no_longer_than_asked(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_TIMEOUT_NS, CFUT_MSEC(5)));
    cfut_executor *pool = check_pool_with(options);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    CHECK_OK(try_submit(pool, 0));
    int64_t before = check_now();
    CHECK_STATUS(try_submit(pool, 0), CFUT_EFULL);
    CHECK(check_now() - before >= CFUT_MSEC(5));
    latch_open(&gate.open);
    check_close(pool);
}

static void block_ends_with_a_shutdown(void)
{
    cfut_executor *pool = bounded_by_count(1, CFUT_FULL_BLOCK);
    struct submitter submitter = { pool, LATCH_CLOSED, 0, CFUT_EINVAL };
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    CHECK_OK(try_submit(pool, 0));
    pthread_t thread = block_submitter(&submitter);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    thread_join(thread); /* the gate is still closed */
    CHECK_STATUS(submitter.status, CFUT_ESHUTDOWN);
    latch_open(&gate.open);
    check_close(pool);
}

static int32_t fail_at_gate(cfut_promise *self, const void *data, size_t length)
{
    (void)gate_task(self, data, length);
    return cfut_promise_fail(self, 5, "no licence");
}

static void block_ends_with_a_break(void)
{
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    cfut_task *task = task_of(fail_at_gate);
    gate gate = GATE_CLOSED, *data = &gate;
    CHECK_OK(cfut_options_set_initializer(options, task, &data, sizeof data));
    cfut_task_free(task);
    cfut_executor *pool = check_pool_with(options);
    struct submitter submitter = { pool, LATCH_CLOSED, 0, CFUT_EINVAL };
    CHECK_OK(try_submit(pool, 0));
    latch_wait(&gate.entered);
    pthread_t thread = block_submitter(&submitter);
    latch_open(&gate.open);
    thread_join(thread);
    CHECK_STATUS(submitter.status, CFUT_BROKEN);
    check_close(pool);
}

static void a_hundred_submitters_and_little_room(void)
{
    cfut_executor *pool = bounded(2, CFUT_OPT_QUEUE_LIMIT, 2, CFUT_FULL_BLOCK);
    struct submitter submitters[100];
    pthread_t threads[100];
    for (int i = 0; i < 100; i++) {
        submitters[i] = (struct submitter){ pool, LATCH_CLOSED, 0, CFUT_EINVAL };
        threads[i] = thread_start(submit_there, &submitters[i]);
    }
    for (int i = 0; i < 100; i++) {
        thread_join(threads[i]);
        CHECK_OK(submitters[i].status);
    }
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 100);
    check_close(pool);
}

/* ---- CFUT_FULL_RUN_IN_CALLER ---- */

struct where {
    pthread_t thread;
    cfut_executor *executor;
};

static int32_t tell_where(cfut_promise *self, const void *data, size_t length)
{
    struct where where = { pthread_self(), cfut_executor_current() };
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, &where, sizeof where);
}

static bool ran_here(cfut_future *future, cfut_executor *pool)
{
    struct where where;
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    memcpy(&where, cfut_future_bytes(future, NULL), sizeof where);
    cfut_future_release(future);
    CHECK(where.executor == pool);
    return pthread_equal(where.thread, pthread_self()) != 0;
}

static void run_in_caller(void)
{
    cfut_executor *pool = bounded_by_count(1, CFUT_FULL_RUN_IN_CALLER);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    CHECK_OK(try_submit(pool, 0));
    for (int i = 0; i < 3; i++)
        CHECK(ran_here(submit(pool, tell_where, NULL, 0), pool));
    CHECK(cfut_executor_current() == NULL);
    cfut_future *failed = submit_code(pool, 3);
    CHECK_STATUS(end_of(failed), CFUT_FAILED);
    atomic_int calls = 0;
    CHECK_OK(cfut_submit_closure(pool, count_closure, &calls, count_free, NULL));
    CHECK_EQ(calls, 2);
    latch_open(&gate.open);
    check_close(pool);
}

/* ---- from a task of the pool itself: never wait for one's own pool ---- */

static int32_t fill_up_own_pool(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = cfut_executor_current();
    (void)self;
    (void)data;
    (void)length;
    CHECK_OK(try_submit(pool, 0)); /* takes the last room, or runs */
    CHECK_OK(try_submit(pool, 0));
    CHECK(ran_here(submit(pool, tell_where, NULL, 0), pool));
    return 0;
}

static void own_task_runs_it_at_once(void)
{
    static const int64_t policies[] = { CFUT_FULL_BLOCK, CFUT_FULL_RUN_IN_CALLER };
    for (int i = 0; i < 2; i++) {
        cfut_executor *pool = bounded_by_count(1, policies[i]);
        CHECK_OK(end_of(submit(pool, fill_up_own_pool, NULL, 0)));
        check_close(pool);
    }
}

static int32_t expect_rejection(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = cfut_executor_current();
    (void)self;
    (void)data;
    (void)length;
    CHECK_OK(try_submit(pool, 0));
    CHECK_STATUS(try_submit(pool, 0), CFUT_EFULL);
    return 0;
}

static void own_task_is_rejected(void)
{
    cfut_executor *pool = bounded_by_count(1, CFUT_FULL_REJECT);
    CHECK_OK(end_of(submit(pool, expect_rejection, NULL, 0)));
    check_close(pool);
}

/* ---- batches ---- */

static cfut_status submit_batch(cfut_executor *pool, size_t count, cfut_future **futures)
{
    cfut_task *task = task_of(tell_where);
    cfut_status status = cfut_submit_many(pool, task, FILL, 10, count, futures);
    cfut_task_free(task);
    return status;
}

static void batch_of_any_size_once_empty(void)
{
    cfut_executor *pool = bounded_by_count(2, CFUT_FULL_REJECT);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    CHECK_OK(submit_batch(pool, 50, NULL)); /* nothing is queued */
    CHECK_ERROR(submit_batch(pool, 1, NULL), CFUT_EFULL, "");
    latch_open(&gate.open);
    check_close(pool);
}

struct batcher {
    cfut_executor *pool;
    latch started;
    cfut_status status;
};

static void *submit_batch_there(void *arg)
{
    struct batcher *batcher = arg;
    latch_open(&batcher->started);
    batcher->status = submit_batch(batcher->pool, 20, NULL);
    return NULL;
}

static void batch_waits_for_room(void)
{
    cfut_executor *pool = bounded_by_count(2, CFUT_FULL_BLOCK);
    struct batcher batcher = { pool, LATCH_CLOSED, CFUT_EINVAL };
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    CHECK_OK(try_submit(pool, 0));
    pthread_t thread = thread_start(submit_batch_there, &batcher);
    latch_wait(&batcher.started);
    check_sleep(CFUT_MSEC(2));
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 1);
    latch_open(&gate.open);
    thread_join(thread);
    CHECK_OK(batcher.status);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 22);
    check_close(pool);
}

/* With this policy a batch never waits, and never fails for want of room. */
static void batch_with_run_in_caller(void)
{
    cfut_executor *pool = bounded_by_count(2, CFUT_FULL_RUN_IN_CALLER);
    cfut_future *futures[20];
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    CHECK_OK(try_submit(pool, 0));
    CHECK_OK(submit_batch(pool, 20, futures));
    latch_open(&gate.open);
    for (int i = 0; i < 20; i++)
        CHECK_OK(end_of(futures[i]));
    check_close(pool);
}

static int32_t submit_batch_here(cfut_promise *self, const void *data, size_t length)
{
    cfut_future *futures[20];
    (void)self;
    (void)data;
    (void)length;
    CHECK_OK(try_submit(cfut_executor_current(), 0));
    CHECK_OK(submit_batch(cfut_executor_current(), 20, futures));
    for (int i = 0; i < 20; i++)
        CHECK_OK(end_of(futures[i]));
    return 0;
}

static void batch_from_own_task(void)
{
    cfut_executor *pool = bounded_by_count(2, CFUT_FULL_BLOCK);
    CHECK_OK(end_of(submit(pool, submit_batch_here, NULL, 0)));
    check_close(pool);
}

CHECK_MAIN(CASE(no_bound_by_default), CASE(count_of_tasks), CASE(bytes_of_arguments),
           CASE(bytes_of_buffers), CASE(larger_than_the_bound_goes_in_alone),
           CASE(unread_results_count), CASE(expired_tasks_give_room_back),
           CASE(block_until_there_is_room), CASE(block_until_one_is_cancelled),
           CASE(block_no_longer_than_asked), CASE(block_ends_with_a_shutdown),
           CASE(block_ends_with_a_break), CASE(a_hundred_submitters_and_little_room),
           CASE(run_in_caller), CASE(own_task_runs_it_at_once), CASE(own_task_is_rejected),
           CASE(batch_of_any_size_once_empty), CASE(batch_waits_for_room),
           CASE(batch_with_run_in_caller), CASE(batch_from_own_task))
