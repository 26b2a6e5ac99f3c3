/* The baseline: what a C program does without a library. Threads, one mutex, one condition
 * variable, one malloc a task, and a cell (bench.h) for the result. */
#include "bench.h"

enum { WINDOW = 1024 };

struct job {
    struct job *next;
    void (*run)(uint64_t number, struct bench_cell *cell);
    uint64_t number;
    struct bench_cell *cell;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct job *head, **tail = &head;
static int ending;
static pthread_t threads[64];
static unsigned workers, idle;
static struct bench_cell *cells;
static struct bench_latch latch;

static void *work(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    for (;;) {
        struct job *job = head;
        if (job) {
            head = job->next;
            if (!head)
                tail = &head;
            pthread_mutex_unlock(&lock);
            job->run(job->number, job->cell);
            free(job);
            pthread_mutex_lock(&lock);
        } else if (ending) {
            break;
        } else {
            idle++;
            pthread_cond_wait(&more, &lock);
            idle--;
        }
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void submit(void (*run)(uint64_t, struct bench_cell *), uint64_t number,
                   struct bench_cell *cell)
{
    struct job *job = malloc(sizeof *job);
    if (!job)
        bench_die("no memory");
    job->next = NULL;
    job->run = run;
    job->number = number;
    job->cell = cell;
    if (cell)
        cell->state = 0;
    pthread_mutex_lock(&lock);
    *tail = job;
    tail = &job->next;
    int wake = idle > 0;
    pthread_mutex_unlock(&lock);
    if (wake)
        pthread_cond_signal(&more);
}

static void start(const struct bench *b)
{
    workers = b->workers;
    cells = bench_memory_of((b->tasks + 1) * sizeof *cells);
    if (workers > 64)
        bench_die("at most 64 workers");
    for (unsigned i = 0; i < workers; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            bench_die("no thread");
}

static void stop(void)
{
    pthread_mutex_lock(&lock);
    ending = 1;
    pthread_mutex_unlock(&lock);
    pthread_cond_broadcast(&more);
    for (unsigned i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    free(cells);
}

static void twice(uint64_t number, struct bench_cell *cell)
{
    bench_cell_fill(cell, 2 * number);
}

static void down(uint64_t number, struct bench_cell *cell)
{
    (void)number, (void)cell;
    bench_latch_down(&latch);
}

static void collect(struct bench_cell *cell, uint64_t number)
{
    if (bench_cell_read(cell) != 2 * number)
        bench_die("wrong result");
}

static void each_with_cell(size_t first, size_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        submit(twice, i, &cells[i]);
    for (uint64_t i = first; i < first + count; i++)
        collect(&cells[i], i);
}

static void each_in_window(size_t first, size_t count)
{
    struct bench_cell *ring = &cells[first];
    for (uint64_t i = 0; i < count + WINDOW; i++) {
        if (i >= WINDOW && i - WINDOW < count)
            collect(&ring[i % WINDOW], first + i - WINDOW);
        if (i < count)
            submit(twice, first + i, &ring[i % WINDOW]);
    }
}

static void each_detached(size_t first, size_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        submit(down, 0, NULL);
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
    bench_latch_set(&latch, b->tasks);
    each_detached(0, b->tasks);
    bench_latch_set(&latch, b->tasks / b->producers * b->producers);
    bench_run_producers(b, each_detached);
}

static void case_pingpong(const struct bench *b)
{
    struct bench_span span = bench_begin();
    for (uint64_t i = 0; i < b->tasks; i++) {
        submit(twice, i, &cells[0]);
        collect(&cells[0], i);
    }
    bench_end(b, span, (double)b->tasks);
}

static void sum_part(uint64_t number, struct bench_cell *cell)
{
    bench_cell_fill(cell, bench_sum(number));
}

static void case_sum(const struct bench *b)
{
    struct bench_cell parts[BENCH_SUM_CHUNKS];
    bench_check_sum(bench_whole_sum());
    struct bench_span span = bench_begin();
    for (size_t i = 0; i < b->tasks; i++) {
        uint64_t sum = 0;
        for (uint64_t c = 0; c < BENCH_SUM_CHUNKS; c++)
            submit(sum_part, c, &parts[c]);
        for (int c = 0; c < BENCH_SUM_CHUNKS; c++)
            sum += bench_cell_read(&parts[c]);
        bench_check_sum(sum);
    }
    bench_end(b, span, (double)b->tasks);
}

static void wait_for_latch(uint64_t number, struct bench_cell *cell)
{
    (void)number, (void)cell;
    bench_latch_wait(&latch);
}

static int nothing_queued(void)
{
    pthread_mutex_lock(&lock);
    int empty = head == NULL;
    pthread_mutex_unlock(&lock);
    return empty;
}

static void case_memory(const struct bench *b)
{
    bench_latch_set(&latch, 1);
    for (unsigned i = 0; i < b->workers; i++)
        submit(wait_for_latch, 0, NULL);
    while (!nothing_queued())
        usleep(1000);
    struct bench_memory before = bench_memory_begin();
    for (uint64_t i = 0; i < b->tasks; i++)
        submit(twice, i, &cells[i]);
    bench_memory_end(b, before);
    bench_latch_down(&latch);
    for (uint64_t i = 0; i < b->tasks; i++)
        collect(&cells[i], i);
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
        {"future", case_future},     {"window", case_window}, {"group", case_group},
        {"pingpong", case_pingpong}, {"sum", case_sum},       {"memory", case_memory},
        {"idle", case_idle},         {NULL, NULL},
    };
    return bench_main(argc, argv, cases, start, stop);
}
