/* The ways to hand work to processes, and what connects their futures with the rest. */
#include "processes.h"

/* ---- data ---- */

static const size_t lengths[] = { 0,    1,    7,    8,    9,     15,    16,    17,      63,
                                  64,   65,   959,  960,  961,   8143,  8144,  8145,    8191,
                                  8192, 8193, 9000, 65536, 65537, 200000, 1 << 20, 16 << 20 };

#define LENGTHS (sizeof lengths / sizeof lengths[0])

static void fill(unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(length + i + (i >> 8));
}

static void check_filled(const unsigned char *bytes, size_t length, int more)
{
    for (size_t i = 0; i < length; i++)
        CHECK_EQ(bytes[i], (unsigned char)(length + i + (i >> 8) + (size_t)more));
}

static int32_t check_data_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t seen = (int64_t)length;
    CHECK(length == 0 || (uintptr_t)data % 16 == 0);
    CHECK(cfut_promise_input(self) == NULL);
    check_filled(data, length, 0);
    return cfut_promise_set_bytes(self, &seen, sizeof seen);
}

static void data_of_every_length(void)
{
    cfut_executor *pool = check_process_pool(2);
    for (int round = 0; round < 2; round++) {
        cfut_future *futures[LENGTHS];
        for (size_t i = 0; i < LENGTHS; i++) {
            unsigned char *data = malloc(lengths[i] + 1);
            CHECK(data != NULL);
            fill(data, lengths[i]);
            futures[i] = submit(pool, check_data_task, data, lengths[i]);
            memset(data, 0xFF, lengths[i] + 1); /* it was copied */
            free(data);
        }
        for (size_t i = 0; i < LENGTHS; i++) {
            CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
            CHECK_EQ(integer_of(futures[i]), lengths[i]);
            cfut_future_release(futures[i]);
        }
    }
    check_close(pool);
}

static void results_are_the_data(void)
{
    cfut_executor *pool = check_process_pool(2);
    for (size_t i = 0; i < LENGTHS; i++) {
        unsigned char *data = malloc(lengths[i] + 1);
        size_t length;
        CHECK(data != NULL);
        fill(data, lengths[i]);
        cfut_future *future = submit(pool, echo_task, data, lengths[i]);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK(lengths[i] == 0 || memcmp(cfut_future_bytes(future, &length), data, lengths[i]) == 0);
        cfut_future_bytes(future, &length);
        CHECK_EQ(length, lengths[i]);
        cfut_future_release(future);
        free(data);
    }
    check_close(pool);
}

static void refused_is_not_run(void)
{
    cfut_executor *pool = check_process_pool(1);
    struct call call = call_of(0, 0);
    cfut_future *future = NULL;
    CHECK_STATUS(cfut_submit(NULL, see_task, &call, sizeof call, &future), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit(pool, NULL, &call, sizeof call, &future), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit(pool, see_task, NULL, sizeof call, &future), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit(pool, see_task, &call, SIZE_MAX, &future), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit(pool, see_task, &call, SIZE_MAX / 4, &future), CFUT_ENOMEM);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_ERROR(cfut_submit(pool, see_task, &call, sizeof call, &future), CFUT_ESHUTDOWN,
                "shut down");
    CHECK(future == NULL);
    CHECK_EQ(board->count, 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    check_close(pool);
}

/* A function that lies nowhere another process could find it. */
static void function_in_no_module(void)
{
    cfut_executor *pool = check_process_pool(1);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cfut_task_fn fn;
    CHECK(page != MAP_FAILED);
    memcpy(&fn, &page, sizeof fn);
    CHECK_ERROR(cfut_submit(pool, fn, NULL, 0, NULL), CFUT_ENOENT, "no loaded module");
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static void closures_are_refused(void)
{
    cfut_executor *pool = check_process_pool(1);
    atomic_int count = 0;
    cfut_future *future = NULL;
    CHECK_ERROR(cfut_submit_closure(pool, count_closure, &count, count_free, &future), CFUT_ENOTSUP,
                "other processes");
    CHECK(future == NULL);
    CHECK_EQ(count, 1); /* freed, and not called */
    check_close(pool);
}

static int32_t no_executor_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    CHECK(cfut_executor_current() == NULL);
    return 0;
}

static void workers_have_no_executor(void)
{
    cfut_executor *pool = check_process_pool(1);
    CHECK_OK(end_of(submit(pool, no_executor_task, NULL, 0)));
    CHECK(cfut_executor_current() == NULL);
    check_close(pool);
}

/* ---- batches ---- */

static void many_of_every_size(void)
{
    static const size_t sizes[] = { 1, 8, 24, 1000, 10000 };
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_of(echo_task);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        enum { COUNT = 300 };
        unsigned char *items = malloc(sizes[s] * COUNT);
        cfut_future *futures[COUNT];
        CHECK(items != NULL);
        for (size_t i = 0; i < sizes[s] * COUNT; i++)
            items[i] = (unsigned char)(i * 7 + i / sizes[s]);
        CHECK_OK(cfut_submit_many(pool, task, items, sizes[s], COUNT, futures));
        for (size_t i = 0; i < COUNT; i++) {
            size_t length;
            CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
            CHECK(memcmp(cfut_future_bytes(futures[i], &length), items + i * sizes[s], sizes[s]) == 0);
            CHECK_EQ(length, sizes[s]);
            cfut_future_release(futures[i]);
        }
        free(items);
    }
    CHECK_OK(cfut_submit_many(pool, task, NULL, 0, 0, NULL));
    cfut_task_free(task);
    check_close(pool);
}

static void many_without_futures(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_of(see_task);
    struct call calls[500];
    for (int i = 0; i < 500; i++)
        calls[i] = call_of(0, i);
    CHECK_OK(cfut_submit_many(pool, task, calls, sizeof calls[0], 500, NULL));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(board->count, 500);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 500);
    cfut_task_free(task);
    check_close(pool);
}

static void many_cancelled_one_by_one(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_of(see_task);
    cfut_future *busy = stand(pool, 0), *futures[200];
    struct call calls[200];
    for (int i = 0; i < 200; i++)
        calls[i] = call_of(0, i);
    CHECK_OK(cfut_submit_many(pool, task, calls, sizeof calls[0], 200, futures));
    for (int i = 0; i < 200; i += 2)
        CHECK_OK(cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING));
    open_gate(0);
    CHECK_OK(end_of(busy));
    for (int i = 0; i < 200; i++)
        CHECK_STATUS(end_of(futures[i]), i % 2 == 0 ? CFUT_CANCELLED : CFUT_OK);
    CHECK_EQ(board->count, 100);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(board->seen[i], 2 * i + 1);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- buffers ---- */

/* Adds 1 to each byte of its buffer, and answers with it. */
static int32_t raise_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_buffer *input = cfut_promise_input(self);
    unsigned char *bytes = cfut_buffer_data(input);
    CHECK(input != NULL);
    CHECK_EQ(cfut_buffer_size(input), length);
    CHECK(length == 0 || bytes == data);
    CHECK((uintptr_t)bytes % 64 == 0);
    check_filled(bytes, length, 0);
    for (size_t i = 0; i < length; i++)
        bytes[i]++;
    return cfut_promise_set_buffer(self, input);
}

static void buffers(uint32_t flags)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_of(raise_task);
    for (size_t i = 0; i < LENGTHS; i++) {
        cfut_buffer *buffer, *result;
        cfut_future *future;
        CHECK_OK(cfut_buffer_new(lengths[i], flags, &buffer));
        CHECK((uintptr_t)cfut_buffer_data(buffer) % 64 == 0);
        fill(cfut_buffer_data(buffer), lengths[i]);
        CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        result = cfut_future_buffer(future);
        CHECK(result != NULL);
        CHECK_EQ(cfut_buffer_size(result), lengths[i]);
        check_filled(cfut_buffer_data(result), lengths[i], 1);
        if (flags & CFUT_BUFFER_SHARED) { /* one memory, on both sides */
            CHECK(cfut_buffer_data(result) == cfut_buffer_data(buffer));
            check_filled(cfut_buffer_data(buffer), lengths[i], 1);
        } else {
            check_filled(cfut_buffer_data(buffer), lengths[i], 0);
        }
        result = cfut_buffer_retain(result);
        cfut_future_release(future);
        cfut_buffer_release(buffer);
        check_filled(cfut_buffer_data(result), lengths[i], 1);
        cfut_buffer_release(result);
    }
    cfut_task_free(task);
    check_close(pool);
}

static void buffers_of_every_length(void)
{
    buffers(0);
}

static void shared_buffers_of_every_length(void)
{
    buffers(CFUT_BUFFER_SHARED);
}

/* The first of a pool, which has no worker yet: it is copied later. */
static void buffer_before_there_is_a_worker(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_of(raise_task);
    cfut_buffer *buffer;
    cfut_future *future;
    CHECK_OK(cfut_buffer_new(100000, 0, &buffer));
    fill(cfut_buffer_data(buffer), 100000);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_buffer_release(buffer);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_OK(end_of(submit(pool, echo_task, board, 9000)));
    check_filled(cfut_buffer_data(cfut_future_buffer(future)), 100000, 1);
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(pool);
}

/* Host and worker talk over the buffer while the task runs. */
static int32_t talk_task(cfut_promise *self, const void *data, size_t length)
{
    atomic_int *words = cfut_buffer_data(cfut_promise_input(self));
    (void)data;
    CHECK_EQ(length, 3 * sizeof *words);
    atomic_store(&words[0], 1);
    CHECK_SOON(atomic_load(&words[1]) == 2);
    atomic_store(&words[2], 3);
    return 0;
}

static void shared_buffer_is_one_memory(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_of(talk_task);
    cfut_buffer *buffer;
    cfut_future *future;
    CHECK_OK(cfut_buffer_new(3 * sizeof(atomic_int), CFUT_BUFFER_SHARED, &buffer));
    atomic_int *words = cfut_buffer_data(buffer);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    CHECK_SOON(atomic_load(&words[0]) == 1);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_TIMEOUT);
    atomic_store(&words[1], 2);
    CHECK_OK(end_of(future));
    CHECK_EQ(words[2], 3);
    cfut_buffer_release(buffer);
    cfut_task_free(task);
    check_close(pool);
}

static int32_t add_to_buffer_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)length;
    atomic_fetch_add((atomic_int *)(uintptr_t)data, 1); /* data is the buffer's */
    return 0;
}

/* Several workers have one buffer at once, in pools of their own even. */
static void shared_buffer_of_many_tasks(void)
{
    cfut_executor *pools[2] = { check_process_pool(2), check_process_pool(2) };
    cfut_task *task = task_of(add_to_buffer_task);
    cfut_buffer *buffer;
    cfut_future *futures[200];
    CHECK_OK(cfut_buffer_new(4096, CFUT_BUFFER_SHARED, &buffer));
    for (int i = 0; i < 200; i++)
        CHECK_OK(cfut_submit_buffer(pools[i % 2], task, buffer, &futures[i]));
    for (int i = 0; i < 200; i++)
        CHECK_OK(end_of(futures[i]));
    CHECK_EQ(*(atomic_int *)cfut_buffer_data(buffer), 200);
    cfut_buffer_release(buffer);
    cfut_task_free(task);
    check_close(pools[0]);
    check_close(pools[1]);
}

/* A buffer that a worker made goes to another one, and to threads. */
static int32_t make_shared_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_buffer *buffer;
    CHECK_OK(cfut_buffer_new(length, CFUT_BUFFER_SHARED, &buffer));
    memcpy(cfut_buffer_data(buffer), data, length);
    CHECK_OK(cfut_promise_set_buffer(self, buffer));
    cfut_buffer_release(buffer);
    return 0;
}

static void shared_buffer_of_a_worker_goes_on(void)
{
    cfut_executor *first = check_process_pool(1), *second = check_process_pool(1);
    cfut_executor *threads = check_pool(1);
    cfut_task *task = task_of(raise_task);
    static unsigned char data[100000];
    cfut_future *made, *raised;
    fill(data, sizeof data);
    made = submit(first, make_shared_task, data, sizeof data);
    CHECK_OK(cfut_future_wait(made, CFUT_FOREVER));
    check_filled(cfut_buffer_data(cfut_future_buffer(made)), sizeof data, 0);
    CHECK_OK(cfut_submit_buffer(second, task, cfut_future_buffer(made), &raised));
    CHECK_OK(cfut_future_wait(raised, CFUT_FOREVER));
    check_filled(cfut_buffer_data(cfut_future_buffer(raised)), sizeof data, 1);
    cfut_future_release(raised);
    cfut_future_release(made);
    made = submit(first, make_shared_task, data, sizeof data);
    CHECK_OK(cfut_future_wait(made, CFUT_FOREVER));
    check_close(first); /* its maker is gone */
    CHECK_OK(cfut_submit_buffer(threads, task, cfut_future_buffer(made), &raised));
    CHECK_OK(cfut_future_wait(raised, CFUT_FOREVER));
    check_filled(cfut_buffer_data(cfut_future_buffer(raised)), sizeof data, 1);
    cfut_future_release(raised);
    cfut_future_release(made);
    cfut_task_free(task);
    check_close(second);
    check_close(threads);
}

static int32_t sum_buffer_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += ((const unsigned char *)data)[i];
    return cfut_promise_set_bytes(self, &sum, sizeof sum);
}

/* The host's memory is freed once, when the task has ended or will not run. */
static void wrapped_memory_is_freed_once(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_of(sum_buffer_task);
    static unsigned char memory[20000];
    atomic_int freed = 0;
    cfut_buffer *buffer;
    cfut_future *future;
    memset(memory, 1, sizeof memory);
    CHECK_OK(cfut_buffer_wrap(memory, sizeof memory, count_free, &freed, &buffer));
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_buffer_release(buffer);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), sizeof memory);
    CHECK_SOON(freed == 1);
    cfut_future_release(future);
    cfut_future *busy = stand(pool, 0);
    CHECK_OK(cfut_buffer_wrap(memory, sizeof memory, count_free, &freed, &buffer));
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_buffer_release(buffer);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_SOON(freed == 2);
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- continuations ---- */

static int32_t plus_one_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, length);
    n++;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

static cfut_future *piped(cfut_future *future, cfut_executor *executor, cfut_task *task)
{
    cfut_future *out = NULL;
    CHECK_OK(cfut_future_pipe(future, executor, task, &out));
    cfut_future_release(future);
    return out;
}

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
    CHECK_OK(cfut_quiesce(CFUT_NOW));
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
        CASE(data_of_every_length),
        CASE(results_are_the_data),
        CASE(refused_is_not_run),
        CASE(function_in_no_module),
        CASE(closures_are_refused),
        CASE(workers_have_no_executor),
        CASE(many_of_every_size),
        CASE(many_without_futures),
        CASE(many_cancelled_one_by_one),
        CASE(buffers_of_every_length),
        CASE(shared_buffers_of_every_length),
        CASE(buffer_before_there_is_a_worker),
        CASE(shared_buffer_is_one_memory),
        CASE(shared_buffer_of_many_tasks),
        CASE(shared_buffer_of_a_worker_goes_on),
        CASE(wrapped_memory_is_freed_once),
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
