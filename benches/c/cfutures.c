/* cfutures in the comparison: PROGRAM CASE [tasks [workers [producers]]]. See ../README.md. */
#include "bench.h"

#include "cfutures.h"

enum { WINDOW = 1024, BURST = 100 };

static cfut_executor *pool;
static cfut_future **futures;
static struct bench_latch latch;

static void must(cfut_status status)
{
    char why[200];
    if (status == CFUT_OK)
        return;
    cfut_last_error(why, sizeof why);
    bench_die(why);
}

/* 0 workers: as many as the library takes by itself. */
static void make_pool(unsigned workers)
{
    cfut_options *options = cfut_options_new();
    if (workers != 0)
        must(cfut_options_set(options, CFUT_OPT_WORKERS, workers));
    must(cfut_thread_pool_new(options, &pool));
    cfut_options_free(options);
}

static void end_pool(void)
{
    must(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

static void start(const struct bench *b)
{
    make_pool(b->workers);
    must(cfut_executor_warm(pool, CFUT_FOREVER));
    futures = bench_memory_of((b->tasks + BURST) * sizeof *futures);
}

static void stop(void)
{
    end_pool();
    free(futures);
}

/* ---- Task functions ---- */

static int32_t twice(cfut_promise *promise, const void *data, size_t len)
{
    uint64_t n;
    memcpy(&n, data, len);
    n *= 2;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

static int32_t empty(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    return 0;
}

static int32_t down(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    bench_latch_down(&latch);
    return 0;
}

static uint64_t collect(cfut_future *future)
{
    uint64_t n;
    must(cfut_future_wait(future, CFUT_FOREVER));
    memcpy(&n, cfut_future_bytes(future, NULL), sizeof n);
    cfut_future_release(future);
    return n;
}

static void finish(cfut_future *future)
{
    must(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
}

/* ---- One future a task ---- */

static void each_with_future(size_t first, size_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        must(cfut_submit(pool, twice, &i, sizeof i, &futures[i]));
    for (uint64_t i = first; i < first + count; i++)
        if (collect(futures[i]) != 2 * i)
            bench_die("wrong result");
}

/* At most WINDOW tasks are outstanding: the oldest is collected before the next is submitted. */
static void each_in_window(size_t first, size_t count)
{
    cfut_future *ring[WINDOW];
    for (uint64_t i = 0; i < count + WINDOW; i++) {
        if (i >= WINDOW && i - WINDOW < count && collect(ring[i % WINDOW]) != 2 * (first + i - WINDOW))
            bench_die("wrong result");
        uint64_t n = first + i;
        if (i < count)
            must(cfut_submit(pool, twice, &n, sizeof n, &ring[i % WINDOW]));
    }
}

static void case_future(const struct bench *b)
{
    each_with_future(0, b->tasks);
    bench_run_producers(b, each_with_future);
}

static void case_window(const struct bench *b)
{
    each_in_window(0, b->tasks);
    bench_run_producers(b, each_in_window);
}

/* Futures that only say that the task is done. */
static void each_with_status(size_t first, size_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        must(cfut_submit(pool, empty, &i, sizeof i, &futures[i]));
    for (uint64_t i = first; i < first + count; i++)
        finish(futures[i]);
}

static void case_status(const struct bench *b)
{
    each_with_status(0, b->tasks);
    bench_run_producers(b, each_with_status);
}

/* ---- No future: a latch ---- */

static void each_detached(size_t first, size_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        must(cfut_submit(pool, down, &i, sizeof i, NULL));
    bench_latch_wait(&latch);
}

static void case_group(const struct bench *b)
{
    bench_latch_set(&latch, b->tasks);
    each_detached(0, b->tasks);
    bench_latch_set(&latch, b->tasks / b->producers * b->producers);
    bench_run_producers(b, each_detached);
}

/* ---- Batches ---- */

static void case_many(const struct bench *b)
{
    uint64_t *items = bench_memory_of(b->tasks * sizeof *items);
    cfut_task *task;
    for (size_t i = 0; i < b->tasks; i++)
        items[i] = i;
    must(cfut_task_new(twice, &task));
    for (int round = 0; round < 2; round++) {
        size_t count = b->tasks;
        struct bench_span span = bench_begin();
        must(cfut_submit_many(pool, task, items, sizeof *items, count, futures));
        for (size_t i = 0; i < count; i++)
            if (collect(futures[i]) != 2 * i)
                bench_die("wrong result");
        if (round)
            bench_end(b, span, (double)count);
    }
    cfut_task_free(task);
    free(items);
}

static void case_many_group(const struct bench *b)
{
    uint64_t *items = bench_memory_of(b->tasks * sizeof *items);
    cfut_task *task;
    must(cfut_task_new(down, &task));
    for (int round = 0; round < 2; round++) {
        size_t count = b->tasks;
        bench_latch_set(&latch, count);
        struct bench_span span = bench_begin();
        must(cfut_submit_many(pool, task, items, sizeof *items, count, NULL));
        bench_latch_wait(&latch);
        if (round)
            bench_end(b, span, (double)count);
    }
    cfut_task_free(task);
    free(items);
}

/* ---- Inside the pool ---- */

static int32_t submits(cfut_promise *promise, const void *data, size_t len)
{
    size_t count;
    (void)promise;
    memcpy(&count, data, len);
    each_with_future(0, count);
    return 0;
}

static void case_nested(const struct bench *b)
{
    for (int round = 0; round < 2; round++) {
        size_t count = b->tasks;
        cfut_future *future;
        struct bench_span span = bench_begin();
        must(cfut_submit(pool, submits, &count, sizeof count, &future));
        finish(future);
        if (round)
            bench_end(b, span, (double)count);
    }
}

static uint64_t fib(uint64_t n);

static int32_t fib_task(cfut_promise *promise, const void *data, size_t len)
{
    uint64_t n;
    memcpy(&n, data, len);
    n = fib(n);
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

static uint64_t fib(uint64_t n)
{
    cfut_future *one;
    if (n < 2)
        return n;
    uint64_t less = n - 1;
    must(cfut_submit(pool, fib_task, &less, sizeof less, &one));
    uint64_t two = fib(n - 2);
    return collect(one) + two;
}

/* `tasks` is the n of fib(n) here. */
static void case_fib(const struct bench *b)
{
    for (int round = 0; round < 2; round++) {
        uint64_t n = round ? b->tasks : b->tasks - 5;
        cfut_future *future;
        struct bench_span span = bench_begin();
        must(cfut_submit(pool, fib_task, &n, sizeof n, &future));
        if (collect(future) != bench_fib_value(n))
            bench_die("wrong number");
        if (round)
            bench_end(b, span, bench_fib_spawns(n));
    }
}

/* ---- One at a time ---- */

static void case_pingpong(const struct bench *b)
{
    struct bench_span span = bench_begin();
    for (uint64_t i = 0; i < b->tasks; i++) {
        cfut_future *future;
        must(cfut_submit(pool, twice, &i, sizeof i, &future));
        if (collect(future) != 2 * i)
            bench_die("wrong result");
    }
    bench_end(b, span, (double)b->tasks);
}

static void case_pingpong_status(const struct bench *b)
{
    struct bench_span span = bench_begin();
    for (uint64_t i = 0; i < b->tasks; i++) {
        cfut_future *future;
        must(cfut_submit(pool, empty, &i, sizeof i, &future));
        finish(future);
    }
    bench_end(b, span, (double)b->tasks);
}

static int32_t sum_task(cfut_promise *promise, const void *data, size_t len)
{
    uint64_t chunk;
    memcpy(&chunk, data, len);
    uint64_t sum = bench_sum(chunk);
    return cfut_promise_set_bytes(promise, &sum, sizeof sum);
}

static void case_sum(const struct bench *b)
{
    bench_check_sum(bench_whole_sum());
    struct bench_span span = bench_begin();
    for (size_t i = 0; i < b->tasks; i++) {
        cfut_future *parts[BENCH_SUM_CHUNKS];
        uint64_t sum = 0;
        for (uint64_t c = 0; c < BENCH_SUM_CHUNKS; c++)
            must(cfut_submit(pool, sum_task, &c, sizeof c, &parts[c]));
        for (int c = 0; c < BENCH_SUM_CHUNKS; c++)
            sum += collect(parts[c]);
        bench_check_sum(sum);
    }
    bench_end(b, span, (double)b->tasks);
}

/* ---- Maps: an item is a number, and so is its result ---- */

static void case_map(const struct bench *b)
{
    uint64_t *items = bench_memory_of(b->tasks * sizeof *items);
    cfut_task *task;
    for (uint64_t i = 0; i < b->tasks; i++)
        items[i] = i;
    must(cfut_task_new(twice, &task));
    for (int round = 0; round < 2; round++) {
        struct bench_span span = bench_begin();
        cfut_map *map;
        cfut_future *future;
        must(cfut_map_new(pool, task, items, sizeof *items, b->tasks, &map));
        for (uint64_t i = 0; i < b->tasks; i++) {
            uint64_t n;
            must(cfut_map_next(map, CFUT_FOREVER, &future));
            memcpy(&n, cfut_future_bytes(future, NULL), sizeof n);
            if (n != 2 * i)
                bench_die("wrong result");
        }
        cfut_map_free(map);
        if (round == 1)
            bench_end(b, span, (double)b->tasks);
    }
    cfut_task_free(task);
    free(items);
}

static void case_map_into(const struct bench *b)
{
    uint64_t *items = bench_memory_of(b->tasks * sizeof *items);
    uint64_t *results = bench_memory_of(b->tasks * sizeof *results);
    cfut_task *task;
    for (uint64_t i = 0; i < b->tasks; i++)
        items[i] = i;
    must(cfut_task_new(twice, &task));
    for (int round = 0; round < 2; round++) {
        struct bench_span span = bench_begin();
        must(cfut_map_into(pool, task, items, sizeof *items, b->tasks, results, sizeof *results,
                           CFUT_FOREVER));
        if (round == 1)
            bench_end(b, span, (double)b->tasks);
    }
    for (uint64_t i = 0; i < b->tasks; i++)
        if (results[i] != 2 * i)
            bench_die("wrong result");
    cfut_task_free(task);
    free(items);
    free(results);
}

/* ---- Loops over ranges ---- */

static int32_t loop_range(cfut_promise *promise, size_t begin, size_t end, void *numbers)
{
    (void)promise;
    bench_loop(numbers, begin, end);
    return 0;
}

static void loops(const struct bench *b, void (*loop)(uint64_t *, size_t))
{
    uint64_t *numbers = calloc(b->tasks, sizeof *numbers);
    size_t count = bench_loops(b);
    if (!numbers)
        bench_die("no memory");
    loop(numbers, b->tasks);
    struct bench_span span = bench_begin();
    for (size_t i = 0; i < count; i++)
        loop(numbers, b->tasks);
    bench_end(b, span, (double)count);
    bench_check_loops(b, numbers, count + 1);
    free(numbers);
}

static void parallel_loop(uint64_t *numbers, size_t count)
{
    cfut_future *future;
    must(cfut_parallel_for(pool, count, 0, loop_range, numbers, NULL, &future));
    must(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
}

static void plain_loop(uint64_t *numbers, size_t count)
{
    bench_loop(numbers, 0, count);
}

static void case_loop(const struct bench *b)
{
    loops(b, parallel_loop);
}

static void case_loop_plain(const struct bench *b)
{
    loops(b, plain_loop);
}

/* ---- Few tasks, many workers: `tasks` is the number of bursts ---- */

static void run_burst(void)
{
    for (uint64_t i = 0; i < BURST; i++)
        must(cfut_submit(pool, twice, &i, sizeof i, &futures[i]));
    for (uint64_t i = 0; i < BURST; i++)
        if (collect(futures[i]) != 2 * i)
            bench_die("wrong result");
}

/* All workers are there. */
static void case_burst(const struct bench *b)
{
    run_burst();
    struct bench_span span = bench_begin();
    for (size_t i = 0; i < b->tasks; i++)
        run_burst();
    bench_end(b, span, (double)b->tasks);
}

/* A pool for each burst, from its making to its end. */
static void case_life(const struct bench *b)
{
    end_pool();
    struct bench_span span = bench_begin();
    for (size_t i = 0; i < b->tasks; i++) {
        make_pool(b->workers);
        run_burst();
        end_pool();
    }
    bench_end(b, span, (double)b->tasks);
    make_pool(b->workers); /* for stop() */
}

/* ---- Memory, idleness ---- */

static int32_t wait_for_latch(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    bench_latch_wait(&latch);
    return 0;
}

/* Queues all tasks behind blocked workers, then lets them run. */
static void queue_behind(const struct bench *b, cfut_task_fn fn)
{
    cfut_future *held[64];
    bench_latch_set(&latch, 1);
    for (unsigned i = 0; i < b->workers; i++)
        must(cfut_submit(pool, wait_for_latch, NULL, 0, &held[i]));
    for (unsigned i = 0; i < b->workers; i++)
        while (cfut_future_state(held[i]) == CFUT_STATE_PENDING)
            usleep(1000);
    struct bench_memory before = bench_memory_begin();
    for (uint64_t i = 0; i < b->tasks; i++)
        must(cfut_submit(pool, fn, &i, sizeof i, &futures[i]));
    bench_memory_end(b, before);
    bench_latch_down(&latch);
    for (unsigned i = 0; i < b->workers; i++)
        finish(held[i]);
}

static void case_memory(const struct bench *b)
{
    queue_behind(b, twice);
    for (size_t i = 0; i < b->tasks; i++)
        if (collect(futures[i]) != 2 * i)
            bench_die("wrong result");
}

static void case_memory_status(const struct bench *b)
{
    queue_behind(b, empty);
    for (size_t i = 0; i < b->tasks; i++)
        finish(futures[i]);
}

/* `tasks` is the number of seconds here. */
static void case_idle(const struct bench *b)
{
    enum { TASKS = 100000 };
    bench_latch_set(&latch, TASKS);
    each_detached(0, TASKS);
    bench_idle(b, (double)b->tasks);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = {
        {"future", case_future},
        {"window", case_window},
        {"status", case_status},
        {"group", case_group},
        {"many", case_many},
        {"many-group", case_many_group},
        {"nested", case_nested},
        {"fib", case_fib},
        {"pingpong", case_pingpong},
        {"pingpong-status", case_pingpong_status},
        {"sum", case_sum},
        {"map", case_map},
        {"map-into", case_map_into},
        {"loop", case_loop},
        {"loop-plain", case_loop_plain},
        {"burst", case_burst},
        {"life", case_life},
        {"memory", case_memory},
        {"memory-status", case_memory_status},
        {"idle", case_idle},
        {NULL, NULL},
    };
    return bench_main(argc, argv, cases, start, stop);
}
