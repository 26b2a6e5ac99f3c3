/* What connects futures of processes with the rest: continuations, joins, queues, callbacks. */
#include "processes.h"

static void fill(unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(length + i + (i >> 8));
}

/* ---- continuations ---- */

static void pipe_through_threads_and_processes(void)
{
    cfut_executor *threads = check_pool(1), *processes = check_process_pool(2);
    cfut_task *task = task_of(plus_one_task);
    cfut_future *futures[20];
    for (int64_t i = 0; i < 20; i++) {
        cfut_future *future = submit(threads, plus_one_task, &i, sizeof i);
        for (int step = 0; step < 6; step++)
            future = piped(future, step % 3 == 2 ? threads : processes, task);
        futures[i] = future;
    }
    for (int64_t i = 0; i < 20; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        CHECK_EQ(integer_of(futures[i]), i + 7);
        cfut_future_release(futures[i]);
    }
    cfut_task_free(task);
    check_close(processes);
    check_close(threads);
}

static void pipe_of_large_bytes(void)
{
    cfut_executor *processes = check_process_pool(2), *threads = check_pool(1);
    cfut_task *task = task_of(echo_task);
    static unsigned char data[300000];
    size_t length;
    fill(data, sizeof data);
    cfut_future *future = submit(processes, echo_task, data, sizeof data);
    future = piped(piped(future, processes, task), processes, task);
    future = piped(piped(future, threads, task), processes, task);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK(memcmp(cfut_future_bytes(future, &length), data, sizeof data) == 0);
    CHECK_EQ(length, sizeof data);
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(processes);
    check_close(threads);
}

static void pipe_passes_other_ends_through(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_of(see_task);
    static const cfut_status ends[] = { CFUT_FAILED, CFUT_CANCELLED, CFUT_BROKEN };
    cfut_future *future;
    for (int i = 0; i < 3; i++) {
        future = piped(ended(ends[i]), pool, task);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), ends[i]);
        if (ends[i] == CFUT_FAILED)
            CHECK_TEXT(cfut_future_message(future), "bad");
        cfut_future_release(future);
    }
    open_gate(0);
    future = piped(submit_call(pool, die_task, 0, SIGKILL), pool, task);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK(strstr(cfut_future_message(future), "signal 9") != NULL);
    cfut_future_release(future);
    CHECK_EQ(board->count, 0);
    cfut_task_free(task);
    check_close(pool);
}

static void pipe_into_a_pool_that_is_shut_down(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *future;
    cfut_task *task = task_of(see_task);
    CHECK_OK(cfut_future_pipe(input, pool, task, &future));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
    CHECK(strstr(cfut_future_message(future), "shut down") != NULL);
    cfut_future_release(future);
    cfut_future_release(input);
    cfut_promise_release(promise);
    cfut_task_free(task);
    check_close(pool);
}

static int32_t then_length(cfut_promise *self, cfut_future *input, void *arg)
{
    size_t length;
    (void)arg;
    cfut_future_bytes(input, &length);
    return cfut_promise_set_bytes(self, &length, sizeof length);
}

static void then_runs_in_the_host(void)
{
    cfut_executor *processes = check_process_pool(1), *threads = check_pool(1);
    cfut_executor *where[2] = { threads, NULL };
    for (int i = 0; i < 2; i++) {
        cfut_future *future = submit(processes, echo_task, "seven b", 7), *length;
        CHECK_OK(cfut_future_then(future, where[i], then_length, NULL, NULL, &length));
        CHECK_OK(cfut_future_wait(length, CFUT_FOREVER));
        CHECK_EQ(integer_of(length), 7);
        cfut_future_release(future);
        cfut_future_release(length);
    }
    check_close(processes);
    check_close(threads);
}

static void callbacks_and_then_on_a_process_pool_are_refused(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit_nothing(pool), *out = NULL;
    atomic_int called = 0, freed = 0;
    CHECK_ERROR(cfut_future_on_done(future, pool, count_done, &freed, count_free), CFUT_ENOTSUP,
                "other processes");
    CHECK_EQ(freed, 1);
    CHECK_ERROR(cfut_future_then(future, pool, then_length, &freed, count_free, &out), CFUT_ENOTSUP,
                "other processes");
    CHECK_EQ(freed, 2);
    CHECK(out == NULL);
    CHECK_OK(end_of(future));
    CHECK_EQ(called, 0);
    check_close(pool);
}

static void joins_and_queues_over_both_kinds(void)
{
    cfut_executor *processes = check_process_pool(2), *threads = check_pool(1);
    cfut_future *futures[20], *joined, *out;
    cfut_queue *queue;
    uint64_t tag, sum = 0;
    CHECK_OK(cfut_queue_new(&queue));
    for (int64_t i = 0; i < 20; i++) {
        futures[i] = submit(i % 3 ? processes : threads, plus_one_task, &i, sizeof i);
        CHECK_OK(cfut_queue_add(queue, futures[i], (uint64_t)i));
    }
    CHECK_OK(cfut_join(futures, 20, CFUT_JOIN_ALL, &joined));
    CHECK_OK(end_of(joined));
    while (cfut_queue_next(queue, CFUT_FOREVER, &out, &tag) == CFUT_OK) {
        CHECK_EQ(integer_of(out), tag + 1);
        sum += tag;
        cfut_future_release(out);
    }
    CHECK_EQ(sum, 190);
    CHECK_OK(cfut_wait_many(futures, 20, CFUT_WAIT_ALL, CFUT_NOW, NULL, NULL));
    for (int i = 0; i < 20; i++)
        cfut_future_release(futures[i]);
    open_gate(0);
    futures[0] = submit_call(processes, die_task, 0, SIGKILL);
    CHECK_OK(cfut_join(futures, 1, CFUT_JOIN_ALL, &joined));
    CHECK_STATUS(end_of(joined), CFUT_CRASHED);
    CHECK_STATUS(cfut_wait_many(futures, 1, CFUT_WAIT_FIRST_FAILURE, CFUT_FOREVER, NULL, NULL),
                 CFUT_CRASHED);
    cfut_future_release(futures[0]);
    cfut_queue_release(queue);
    check_close(processes);
    check_close(threads);
}

/* A task on threads waits for one in a process. */
static int32_t wait_for_process_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *processes;
    cfut_future *future;
    int64_t n = 41;
    CHECK_EQ(length, sizeof processes);
    memcpy(&processes, data, length);
    future = submit(processes, plus_one_task, &n, sizeof n);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    n = integer_of(future);
    cfut_future_release(future);
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

static void thread_tasks_wait_for_process_tasks(void)
{
    cfut_executor *processes = check_process_pool(1), *threads = check_pool(2);
    cfut_future *futures[10];
    for (int i = 0; i < 10; i++)
        futures[i] = submit(threads, wait_for_process_task, &processes, sizeof processes);
    for (int i = 0; i < 10; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        CHECK_EQ(integer_of(futures[i]), 42);
        cfut_future_release(futures[i]);
    }
    check_close(threads);
    check_close(processes);
}

/* ---- callbacks ---- */

struct hearing {
    latch begun, go_on, done;
    pthread_t thread;
    cfut_executor *pool;
    cfut_future *other;
    cfut_status status;
};

#define HEARING(pool) { LATCH_CLOSED, LATCH_CLOSED, LATCH_CLOSED, 0, pool, NULL, CFUT_EINVAL }

static void note_thread(cfut_future *future, void *arg)
{
    struct hearing *hearing = arg;
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    hearing->thread = pthread_self();
    latch_open(&hearing->begun);
    latch_wait(&hearing->go_on);
    latch_open(&hearing->done);
}

/* One that blocks holds nobody up: neither tasks nor other callbacks. */
static void callback_that_blocks(void)
{
    cfut_executor *pool = check_process_pool(1);
    struct hearing one = HEARING(pool), two = HEARING(pool);
    cfut_future *busy = stand(pool, 0), *second = submit_nothing(pool);
    CHECK_OK(cfut_future_on_done(busy, NULL, note_thread, &one, NULL));
    CHECK_OK(cfut_future_on_done(second, NULL, note_thread, &two, NULL));
    open_gate(0);
    latch_wait(&one.begun);
    CHECK(!pthread_equal(one.thread, pthread_self()));
    for (int i = 0; i < 50; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    latch_wait(&two.begun); /* in another thread */
    CHECK(!pthread_equal(one.thread, two.thread));
    latch_open(&two.go_on);
    latch_wait(&two.done);
    CHECK_EQ(latch_count(&one.done), 0);
    latch_open(&one.go_on);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(latch_count(&one.done), 1); /* they run within the shutdown */
    cfut_future_release(busy);
    cfut_future_release(second);
    check_close(pool);
}

static void submit_and_wait(cfut_future *future, void *arg)
{
    struct hearing *hearing = arg;
    (void)future;
    for (int i = 0; i < 5; i++)
        CHECK_OK(end_of(submit_nothing(hearing->pool)));
    hearing->other = submit_code(hearing->pool, 3);
    CHECK_STATUS(cfut_future_wait(hearing->other, CFUT_FOREVER), CFUT_FAILED);
    latch_open(&hearing->done);
}

static void callback_that_submits_and_waits(void)
{
    cfut_executor *pool = check_process_pool(1);
    struct hearing hearing = HEARING(pool);
    cfut_future *busy = stand(pool, 0);
    CHECK_OK(cfut_future_on_done(busy, NULL, submit_and_wait, &hearing, NULL));
    open_gate(0);
    latch_wait(&hearing.done);
    cfut_future_release(hearing.other);
    cfut_future_release(busy);
    check_close(pool);
}

static void release_future(cfut_future *future, void *arg)
{
    cfut_future_release(future);
    latch_open(arg);
}

static void callback_that_releases_its_future(void)
{
    cfut_executor *pool = check_process_pool(2);
    latch done = LATCH_CLOSED;
    for (int i = 0; i < 2; i++)
        CHECK_OK(cfut_future_on_done(stand(pool, 0), NULL, release_future, &done, NULL));
    open_gate(0);
    latch_wait_for(&done, 2);
    check_close(pool);
}

static void shut_down(cfut_future *future, void *arg)
{
    struct hearing *hearing = arg;
    (void)future;
    hearing->status = cfut_executor_shutdown(hearing->pool, 0, CFUT_NOW);
    latch_open(&hearing->done);
}

static void callback_that_shuts_the_pool_down(void)
{
    cfut_executor *pool = check_process_pool(1);
    struct hearing hearing = HEARING(pool);
    cfut_future *busy = stand(pool, 0), *queued = submit_nothing(pool);
    CHECK_OK(cfut_future_on_done(busy, NULL, shut_down, &hearing, NULL));
    open_gate(0);
    latch_wait(&hearing.done);
    CHECK_STATUS(hearing.status, CFUT_TIMEOUT);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    CHECK_OK(end_of(queued));
    cfut_future_release(busy);
    check_close(pool);
}

/* It runs in a thread of the pool, for which the shutdown would wait. */
static void shut_down_and_wait(cfut_future *future, void *arg)
{
    struct hearing *hearing = arg;
    (void)future;
    hearing->status = cfut_executor_shutdown(hearing->pool, 0, CFUT_FOREVER);
    CHECK_STATUS(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK);
    latch_open(&hearing->done);
}

static void callback_that_waits_for_the_end_of_its_pool(void)
{
    cfut_executor *pool = check_process_pool(1);
    struct hearing hearing = HEARING(pool);
    cfut_future *busy = stand(pool, 0);
    CHECK_OK(cfut_future_on_done(busy, NULL, shut_down_and_wait, &hearing, NULL));
    open_gate(0);
    latch_wait(&hearing.done);
    CHECK_STATUS(hearing.status, CFUT_EDEADLK);
    cfut_future_release(busy);
    check_close(pool);
}

static void release_pool(cfut_future *future, void *arg)
{
    struct hearing *hearing = arg;
    (void)future;
    cfut_executor_release(hearing->pool);
    latch_open(&hearing->done);
}

static void callback_that_releases_the_pool(void)
{
    cfut_executor *pool = check_process_pool(1);
    struct hearing hearing = HEARING(pool);
    cfut_future *busy = stand(pool, 0), *queued = submit_nothing(pool);
    check_unwatch(pool);
    CHECK_OK(cfut_future_on_done(busy, NULL, release_pool, &hearing, NULL));
    open_gate(0);
    latch_wait(&hearing.done);
    CHECK_OK(end_of(queued));
    cfut_future_release(busy);
    gone(board->gates[0].pid);
}

static void end_thread(cfut_future *future, void *arg)
{
    (void)future;
    latch_open(arg);
    pthread_exit(NULL);
}

static void callback_that_ends_its_thread(void)
{
    cfut_executor *pool = check_process_pool(1);
    latch ends = LATCH_CLOSED;
    atomic_int called = 0;
    for (int i = 0; i < 3; i++) {
        cfut_future *busy = stand(pool, i), *next = submit_nothing(pool);
        CHECK_OK(cfut_future_on_done(busy, NULL, end_thread, &ends, NULL));
        CHECK_OK(cfut_future_on_done(next, NULL, count_done, &called, NULL));
        open_gate(i);
        CHECK_OK(end_of(busy));
        CHECK_OK(end_of(next));
        CHECK_SOON(called == i + 1);
    }
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(latch_count(&ends), 3);
    check_close(pool);
}

static void callbacks_of_many(void)
{
    cfut_executor *pool = check_process_pool(2), *threads = check_pool(1);
    atomic_int called = 0;
    for (int i = 0; i < 500; i++) {
        cfut_future *future = submit_nothing(pool);
        CHECK_OK(cfut_future_on_done(future, i % 2 ? threads : NULL, count_done, &called, NULL));
        cfut_future_release(future);
    }
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_executor_shutdown(threads, 0, CFUT_FOREVER));
    CHECK_EQ(called, 500);
    check_close(pool);
    check_close(threads);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        CASE(pipe_through_threads_and_processes),
        CASE(pipe_of_large_bytes),
        CASE(pipe_passes_other_ends_through),
        CASE(pipe_into_a_pool_that_is_shut_down),
        CASE(then_runs_in_the_host),
        CASE(callbacks_and_then_on_a_process_pool_are_refused),
        CASE(joins_and_queues_over_both_kinds),
        CASE(thread_tasks_wait_for_process_tasks),
        CASE(callback_that_blocks),
        CASE(callback_that_submits_and_waits),
        CASE(callback_that_releases_its_future),
        CASE(callback_that_shuts_the_pool_down),
        CASE(callback_that_waits_for_the_end_of_its_pool),
        CASE(callback_that_releases_the_pool),
        CASE(callback_that_ends_its_thread),
        CASE(callbacks_of_many),
    };
    cfut_worker_main();
    board_make();
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
