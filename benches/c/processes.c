/* Process pools of cfutures: PROGRAM CASE [tasks [workers]]. See ../README.md. */
#define _GNU_SOURCE
#include "tree.h"

#include "cfutures.h"

#include <signal.h>

enum { MIB = 1 << 20, WINDOW = 4 };

static cfut_executor *pool;

static void must(cfut_status status)
{
    char why[200];
    if (status == CFUT_OK)
        return;
    cfut_last_error(why, sizeof why);
    bench_die(why);
}

static cfut_executor *make(unsigned workers, int64_t tasks_per_worker)
{
    cfut_executor *made;
    cfut_options *options = cfut_options_new();
    must(cfut_options_set(options, CFUT_OPT_WORKERS, workers));
    if (tasks_per_worker)
        must(cfut_options_set(options, CFUT_OPT_TASKS_PER_WORKER, tasks_per_worker));
    must(cfut_process_pool_new(options, &made));
    cfut_options_free(options);
    return made;
}

static void end(cfut_executor *executor)
{
    must(cfut_executor_shutdown(executor, 0, CFUT_FOREVER));
    cfut_executor_release(executor);
}

static void start(const struct bench *b)
{
    pool = make(b->workers, strcmp(b->name, "fresh") == 0);
    must(cfut_executor_warm(pool, CFUT_FOREVER));
}

static void stop(void)
{
    end(pool);
}

static void finish(cfut_future *future)
{
    must(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
}

/* ---- Tasks ---- */

static int32_t empty(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    return 0;
}

static int32_t twice(cfut_promise *promise, const void *data, size_t len)
{
    uint64_t n;
    memcpy(&n, data, len);
    n *= 2;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

static int32_t echo(cfut_promise *promise, const void *data, size_t len)
{
    return cfut_promise_set_bytes(promise, data, len);
}

/* Changes one byte of each page, where it is. */
static int32_t touch(cfut_promise *promise, const void *data, size_t len)
{
    cfut_buffer *buffer = cfut_promise_input(promise);
    char *bytes = cfut_buffer_data(buffer);
    (void)data;
    for (size_t i = 0; i < len; i += 4096)
        bytes[i]++;
    return cfut_promise_set_buffer(promise, buffer);
}

/* A tenth of a millisecond of work; the task with number 10 kills its worker. */
static int32_t short_or_deadly(cfut_promise *promise, const void *data, size_t len)
{
    uint64_t n;
    memcpy(&n, data, len);
    if (n == 10)
        raise(SIGKILL);
    double until = bench_wall_ns() + 1e5;
    while (bench_wall_ns() < until)
        ;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

/* ---- Cases ---- */

static void all_of(const struct bench *b, cfut_task_fn fn)
{
    cfut_future **futures = bench_memory_of((b->tasks + 1) * sizeof *futures);
    for (int round = 0; round < 2; round++) {
        struct bench_span span = tree_begin();
        for (uint64_t i = 0; i < b->tasks; i++)
            must(cfut_submit(pool, fn, fn == empty ? NULL : &i, fn == empty ? 0 : sizeof i,
                             &futures[i]));
        for (uint64_t i = 0; i < b->tasks; i++) {
            must(cfut_future_wait(futures[i], CFUT_FOREVER));
            if (fn == twice && *(const uint64_t *)cfut_future_bytes(futures[i], NULL) != 2 * i)
                bench_die("wrong result");
            cfut_future_release(futures[i]);
        }
        if (round)
            tree_end(b, span, (double)b->tasks);
    }
    free(futures);
}

static void case_empty(const struct bench *b)
{
    all_of(b, empty);
}

static void case_number(const struct bench *b)
{
    all_of(b, twice);
}

static void case_round_trip(const struct bench *b)
{
    for (int round = 0; round < 2; round++) {
        size_t count = round ? b->tasks : b->tasks / 10;
        struct bench_span span = tree_begin();
        for (uint64_t i = 0; i < count; i++) {
            cfut_future *future;
            must(cfut_submit(pool, twice, &i, sizeof i, &future));
            must(cfut_future_wait(future, CFUT_FOREVER));
            if (*(const uint64_t *)cfut_future_bytes(future, NULL) != 2 * i)
                bench_die("wrong result");
            cfut_future_release(future);
        }
        if (round)
            tree_end(b, span, (double)count);
    }
}

static void mebibytes(const struct bench *b, size_t window)
{
    char *bytes = bench_memory_of(MIB);
    memset(bytes, 7, MIB);
    for (int round = 0; round < 2; round++) {
        size_t count = round ? b->tasks : b->tasks / 4;
        cfut_future *flying[WINDOW];
        struct bench_span span = tree_begin();
        for (size_t i = 0; i < count + window; i++) {
            if (i >= window) {
                cfut_future *future = flying[i % window];
                size_t size = 0;
                must(cfut_future_wait(future, CFUT_FOREVER));
                const char *back = cfut_future_bytes(future, &size);
                if (size != MIB || back[0] != 7 || back[MIB - 1] != 7)
                    bench_die("wrong bytes");
                cfut_future_release(future);
            }
            if (i < count)
                must(cfut_submit(pool, echo, bytes, MIB, &flying[i % window]));
        }
        if (round)
            tree_end_with(b, span, (double)count, " bytes 2097152");
    }
    free(bytes);
}

static void case_copied(const struct bench *b)
{
    mebibytes(b, 1);
}

static void case_copied_window(const struct bench *b)
{
    mebibytes(b, WINDOW);
}

static void case_shared(const struct bench *b)
{
    cfut_buffer *buffer;
    cfut_task *task;
    must(cfut_buffer_new(MIB, CFUT_BUFFER_SHARED, &buffer));
    must(cfut_task_new(touch, &task));
    char *bytes = cfut_buffer_data(buffer);
    for (int round = 0; round < 2; round++) {
        size_t count = round ? b->tasks : b->tasks / 10;
        struct bench_span span = tree_begin();
        for (size_t i = 0; i < count; i++) {
            cfut_future *future;
            char expected = (char)(bytes[MIB - 4096] + 1);
            must(cfut_submit_buffer(pool, task, buffer, &future));
            must(cfut_future_wait(future, CFUT_FOREVER));
            if (bytes[MIB - 4096] != expected)
                bench_die("wrong bytes");
            for (size_t page = 0; page < MIB; page += 4096)
                bytes[page]--;
            cfut_future_release(future);
        }
        if (round)
            tree_end_with(b, span, (double)count, " bytes 2097152");
    }
    cfut_task_free(task);
    cfut_buffer_release(buffer);
}

/* From nothing to a result. */
static void case_first(const struct bench *b)
{
    double sum = 0;
    for (size_t i = 0; i < b->tasks; i++) {
        double begin = bench_wall_ns();
        cfut_executor *other = make(b->workers, 0);
        uint64_t n = i;
        cfut_future *future;
        must(cfut_submit(other, twice, &n, sizeof n, &future));
        finish(future);
        sum += bench_wall_ns() - begin;
        end(other);
    }
    printf("%s took %.1f\n", b->name, sum / (double)b->tasks);
}

static void case_fresh(const struct bench *b)
{
    all_of(b, twice);
}

/* Until all but the one that dies have their results, and how many have. */
static void case_killed(const struct bench *b)
{
    enum { COUNT = 100 };
    double sum = 0;
    size_t good = 0;
    for (size_t round = 0; round < b->tasks; round++) {
        cfut_future *futures[COUNT];
        double begin = bench_wall_ns();
        for (uint64_t i = 0; i < COUNT; i++)
            must(cfut_submit(pool, short_or_deadly, &i, sizeof i, &futures[i]));
        for (size_t i = 0; i < COUNT; i++)
            if (i != 10)
                good += cfut_future_wait(futures[i], CFUT_FOREVER) == CFUT_OK;
        sum += bench_wall_ns() - begin;
        if (cfut_future_wait(futures[10], CFUT_FOREVER) != CFUT_CRASHED)
            bench_die("no crash");
        for (size_t i = 0; i < COUNT; i++)
            cfut_future_release(futures[i]);
    }
    printf("%s took %.1f results %.1f\n", b->name, sum / (double)b->tasks,
           (double)good / (double)b->tasks);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = {
        {"empty", case_empty},
        {"number", case_number},
        {"round-trip", case_round_trip},
        {"copied", case_copied},
        {"copied-window", case_copied_window},
        {"shared", case_shared},
        {"first", case_first},
        {"fresh", case_fresh},
        {"killed", case_killed},
        {NULL, NULL},
    };
    cfut_worker_main();
    return bench_main(argc, argv, cases, start, stop);
}
