/* The ways to hand work to processes: data, batches, buffers. */
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
    };
    cfut_worker_main();
    board_make();
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
