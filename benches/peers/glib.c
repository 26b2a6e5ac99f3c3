/* GLib's GThreadPool in the comparison. It has no futures: a cell (bench.h) stands for one. */
#include <glib.h>

#include "bench.h"

enum { WINDOW = 1024 };

/* A task is a pointer to one of these; GLib calls one function for all of them. */
struct job {
    void (*run)(struct job *);
    uint64_t number;
    struct bench_cell cell;
};

static GThreadPool *pool;
static struct job *jobs;
static struct bench_latch latch;

static void run_job(gpointer data, gpointer arg)
{
    struct job *job = data;
    (void)arg;
    job->run(job);
}

static void start(const struct bench *b)
{
    pool = g_thread_pool_new(run_job, NULL, (gint)b->workers, TRUE, NULL);
    if (!pool)
        bench_die("no pool");
    jobs = bench_memory_of((b->tasks + 1) * sizeof *jobs);
}

static void stop(void)
{
    g_thread_pool_free(pool, FALSE, TRUE);
    free(jobs);
}

static void push(struct job *job, void (*run)(struct job *), uint64_t number)
{
    job->run = run;
    job->number = number;
    job->cell.state = 0;
    if (!g_thread_pool_push(pool, job, NULL))
        bench_die("push");
}

static void twice(struct job *job)
{
    bench_cell_fill(&job->cell, 2 * job->number);
}

static void down(struct job *job)
{
    (void)job;
    bench_latch_down(&latch);
}

static void collect(struct job *job, uint64_t number)
{
    if (bench_cell_read(&job->cell) != 2 * number)
        bench_die("wrong result");
}

static void each_with_cell(size_t first, size_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        push(&jobs[i], twice, i);
    for (uint64_t i = first; i < first + count; i++)
        collect(&jobs[i], i);
}

static void each_in_window(size_t first, size_t count)
{
    struct job *ring = &jobs[first];
    for (uint64_t i = 0; i < count + WINDOW; i++) {
        if (i >= WINDOW && i - WINDOW < count)
            collect(&ring[i % WINDOW], first + i - WINDOW);
        if (i < count)
            push(&ring[i % WINDOW], twice, first + i);
    }
}

static void each_detached(size_t first, size_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        push(&jobs[0], down, 0);
    bench_latch_wait(&latch);
}

static void case_future(const struct bench *b)
{
    each_with_cell(0, b->tasks);
    bench_run_producers(b, each_with_cell);
}

static void case_window(const struct bench *b)
{
    each_in_window(0, b->tasks);
    bench_run_producers(b, each_in_window);
}

static void case_group(const struct bench *b)
{
    jobs[0].run = down;
    bench_latch_set(&latch, b->tasks);
    each_detached(0, b->tasks);
    bench_latch_set(&latch, b->tasks / b->producers * b->producers);
    bench_run_producers(b, each_detached);
}

static void submits(struct job *job)
{
    each_with_cell(1, job->number);
    bench_latch_down(&latch);
}

/* The task that submits holds its worker while it waits; another one is there. */
static void case_nested(const struct bench *b)
{
    for (int round = 0; round < 2; round++) {
        size_t count = b->tasks;
        struct bench_span span = bench_begin();
        bench_latch_set(&latch, 1);
        push(&jobs[0], submits, count);
        bench_latch_wait(&latch);
        if (round)
            bench_end(b, span, (double)count);
    }
}

static void case_pingpong(const struct bench *b)
{
    struct bench_span span = bench_begin();
    for (uint64_t i = 0; i < b->tasks; i++) {
        push(&jobs[0], twice, i);
        collect(&jobs[0], i);
    }
    bench_end(b, span, (double)b->tasks);
}

static void sum_part(struct job *job)
{
    bench_cell_fill(&job->cell, bench_sum(job->number));
}

static void case_sum(const struct bench *b)
{
    struct job parts[BENCH_SUM_CHUNKS];
    bench_check_sum(bench_whole_sum());
    struct bench_span span = bench_begin();
    for (size_t i = 0; i < b->tasks; i++) {
        uint64_t sum = 0;
        for (uint64_t c = 0; c < BENCH_SUM_CHUNKS; c++)
            push(&parts[c], sum_part, c);
        for (int c = 0; c < BENCH_SUM_CHUNKS; c++)
            sum += bench_cell_read(&parts[c].cell);
        bench_check_sum(sum);
    }
    bench_end(b, span, (double)b->tasks);
}

static void wait_for_latch(struct job *job)
{
    (void)job;
    bench_latch_wait(&latch);
}

/* The caller's job and cell, 32 bytes a task, are not in the figure: they were there before. */
static void case_memory(const struct bench *b)
{
    static struct job held[64];
    bench_latch_set(&latch, 1);
    for (unsigned i = 0; i < b->workers; i++)
        push(&held[i], wait_for_latch, 0);
    while (g_thread_pool_unprocessed(pool) > 0)
        usleep(1000);
    struct bench_memory before = bench_memory_begin();
    for (uint64_t i = 0; i < b->tasks; i++)
        push(&jobs[i], twice, i);
    bench_memory_end(b, before);
    bench_latch_down(&latch);
    for (uint64_t i = 0; i < b->tasks; i++)
        collect(&jobs[i], i);
}

static void case_idle(const struct bench *b)
{
    enum { BURST = 100000 };
    bench_latch_set(&latch, BURST);
    each_detached(0, BURST);
    bench_idle(b, (double)b->tasks);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = {
        {"future", case_future}, {"window", case_window},     {"group", case_group},
        {"nested", case_nested}, {"pingpong", case_pingpong}, {"sum", case_sum},
        {"memory", case_memory}, {"idle", case_idle},         {NULL, NULL},
    };
    return bench_main(argc, argv, cases, start, stop);
}
