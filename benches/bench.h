/* What the C and C++ programs of the comparison share: clocks, a latch, a cell, the cases.
 *
 * Every program runs one case and prints one line, `CASE wall NS cpu NS sleeps N others CORES` a
 * task (or what the case says): so every peer is timed by the same code. `cpu` is user and system
 * time of all threads of the process: it moves less than wall time where other programs want the
 * same cores. `sleeps` is how often a thread gave its core up, for a thousand tasks. `others` is
 * how many cores other programs used meanwhile.
 */
#ifndef BENCH_H
#define BENCH_H

#include <dirent.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The command line: PROGRAM CASE [tasks [workers [producers]]] */
struct bench {
    const char *name;
    size_t tasks;
    unsigned workers;
    unsigned producers;
};

struct bench_span {
    double wall, cpu, busy, sleeps;
};

static inline void bench_die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(2);
}

static inline double bench_cpu_ns(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return 1e9 * (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e3 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static inline double bench_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* How often threads of this process gave up a core to wait for something. */
static inline double bench_sleeps(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_nvcsw;
}

/* What all programs of the machine have used, and what its host took from it. */
static inline double bench_busy_ns(void)
{
    unsigned long long v[8] = {0};
    FILE *f = fopen("/proc/stat", "r");
    if (!f || fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
                     &v[4], &v[5], &v[6], &v[7]) != 8)
        bench_die("/proc/stat");
    fclose(f);
    return 1e9 / (double)sysconf(_SC_CLK_TCK) *
           (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]);
}

static inline struct bench_span bench_begin(void)
{
    struct bench_span s;
    s.busy = bench_busy_ns();
    s.sleeps = bench_sleeps();
    s.cpu = bench_cpu_ns();
    s.wall = bench_wall_ns();
    return s;
}

static inline void bench_end(const struct bench *b, struct bench_span s, double count)
{
    double wall = bench_wall_ns() - s.wall, cpu = bench_cpu_ns() - s.cpu;
    double sleeps = bench_sleeps() - s.sleeps;
    double others = (bench_busy_ns() - s.busy - cpu) / wall;
    printf("%s wall %.1f cpu %.1f sleeps %.3f others %.2f\n", b->name, wall / count, cpu / count,
           1000 * sleeps / count, others > 0 ? others : 0);
}

/* Memory whose pages are there already. By hand: a compiler makes calloc() of malloc and memset. */
static inline void *bench_memory_of(size_t size)
{
    char *memory = (char *)malloc(size);
    if (!memory)
        bench_die("no memory");
    for (size_t i = 0; i < size; i += 4096)
        *(volatile char *)(memory + i) = 0;
    return memory;
}

/* ---- futex ---- */

static inline void bench_futex_wait(uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static inline void bench_futex_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* ---- A latch: opens when `left` tasks have gone down it. For peers that cannot wait for many. With
 * cache lines of its own: workers change it all the time, and what lies beside it (the pool's
 * pointer, in each of the programs) would be taken away from whoever submits. */

struct bench_latch {
    size_t left;
    uint32_t open;
} __attribute__((aligned(128)));

static inline void bench_latch_set(struct bench_latch *l, size_t count)
{
    l->open = 0;
    __atomic_store_n(&l->left, count, __ATOMIC_RELEASE);
}

static inline void bench_latch_down(struct bench_latch *l)
{
    if (__atomic_sub_fetch(&l->left, 1, __ATOMIC_ACQ_REL) == 0) {
        __atomic_store_n(&l->open, 1, __ATOMIC_RELEASE);
        bench_futex_wake(&l->open);
    }
}

static inline void bench_latch_wait(struct bench_latch *l)
{
    while (!__atomic_load_n(&l->open, __ATOMIC_ACQUIRE))
        bench_futex_wait(&l->open, 0);
}

/* ---- A cell: the cheapest future one can write by hand, for peers that have none. Its memory is
 * the caller's, it has one waiter, no errors, no cancel and no callbacks. */

struct bench_cell {
    uint32_t state; /* 0 empty, 1 somebody sleeps, 2 full */
    uint64_t value;
};

static inline void bench_cell_fill(struct bench_cell *c, uint64_t value)
{
    c->value = value;
    if (__atomic_exchange_n(&c->state, 2, __ATOMIC_ACQ_REL) == 1)
        bench_futex_wake(&c->state);
}

static inline uint64_t bench_cell_read(struct bench_cell *c)
{
    uint32_t seen = 0;
    if (__atomic_load_n(&c->state, __ATOMIC_ACQUIRE) != 2 &&
        __atomic_compare_exchange_n(&c->state, &seen, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&c->state, __ATOMIC_ACQUIRE) != 2)
            bench_futex_wait(&c->state, 1);
    return c->value;
}

/* ---- Producers: threads that start together and submit their share. ---- */

struct bench_producers {
    void (*produce)(size_t first, size_t count);
    size_t tasks;
    unsigned producers;
    pthread_barrier_t ready, done;
    pthread_t threads[64];
};

struct bench_producer {
    struct bench_producers *all;
    unsigned number;
};

static inline void *bench_produce(void *arg)
{
    struct bench_producer *me = (struct bench_producer *)arg;
    struct bench_producers *all = me->all;
    size_t share = all->tasks / all->producers;
    pthread_barrier_wait(&all->ready);
    all->produce(me->number * share, share);
    pthread_barrier_wait(&all->done);
    return NULL;
}

/* Times `produce` in several threads; each must have waited for its own tasks when it returns. */
static inline void bench_run_producers(const struct bench *b, void (*produce)(size_t, size_t))
{
    struct bench_producers all;
    struct bench_producer each[64];
    struct bench_span span;
    if (b->producers < 1 || b->producers > 64)
        bench_die("1 to 64 producers");
    memset(&all, 0, sizeof all);
    all.produce = produce;
    all.tasks = b->tasks;
    all.producers = b->producers;
    pthread_barrier_init(&all.ready, NULL, b->producers + 1);
    pthread_barrier_init(&all.done, NULL, b->producers + 1);
    for (unsigned i = 0; i < b->producers; i++) {
        each[i].all = &all;
        each[i].number = i;
        if (pthread_create(&all.threads[i], NULL, bench_produce, &each[i]) != 0)
            bench_die("no thread");
    }
    span = bench_begin();
    pthread_barrier_wait(&all.ready);
    pthread_barrier_wait(&all.done);
    bench_end(b, span, (double)(b->tasks / b->producers * b->producers));
    for (unsigned i = 0; i < b->producers; i++)
        pthread_join(all.threads[i], NULL);
}

/* ---- Work for the parallel sum: each step needs the one before, so that every compiler makes the
 * same of it, and there is no memory traffic. About 100 us a chunk. */

enum { BENCH_SUM_STEPS = 1 << 16, BENCH_SUM_CHUNKS = 64 };

static inline uint64_t bench_sum(uint64_t chunk)
{
    uint64_t x = chunk + 1, sum = 0;
    for (int i = 0; i < BENCH_SUM_STEPS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum += x;
    }
    return sum;
}

static inline uint64_t bench_whole_sum(void)
{
    uint64_t sum = 0;
    for (uint64_t c = 0; c < BENCH_SUM_CHUNKS; c++)
        sum += bench_sum(c);
    return sum;
}

static inline void bench_check_sum(uint64_t sum)
{
    static uint64_t expected;
    if (!expected)
        expected = bench_whole_sum();
    if (sum != expected)
        bench_die("wrong sum");
}

/* ---- Work for loops over a range: a short chain of steps for each number ---- */

enum { BENCH_LOOP_STEPS = 8 };

/* Loops over `tasks` numbers: so many that the case takes about half a second on one core. */
static inline size_t bench_loops(const struct bench *b)
{
    return 16000000 / (b->tasks + 100) + 10;
}

static inline void bench_loop(uint64_t *numbers, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        uint64_t x = numbers[i] + i + 1;
        for (int step = 0; step < BENCH_LOOP_STEPS; step++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        numbers[i] = x;
    }
}

/* The numbers after so many loops. */
static inline void bench_check_loops(const struct bench *b, const uint64_t *numbers, size_t loops)
{
    uint64_t *expected = (uint64_t *)calloc(b->tasks, sizeof *expected);
    if (!expected)
        bench_die("no memory");
    for (size_t i = 0; i < loops; i++)
        bench_loop(expected, 0, b->tasks);
    if (memcmp(expected, numbers, b->tasks * sizeof *numbers) != 0)
        bench_die("wrong numbers");
    free(expected);
}

/* How many futures fib(n) needs when every call with n > 1 hands one half on. */
static inline double bench_fib_spawns(uint64_t n)
{
    double a = 0, b = 1; /* spawns(n) = fib(n + 1) - 1 */
    for (uint64_t i = 0; i < n + 1; i++) {
        double c = a + b;
        a = b;
        b = c;
    }
    return a - 1;
}

static inline uint64_t bench_fib_value(uint64_t n)
{
    uint64_t a = 0, b = 1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t c = a + b;
        a = b;
        b = c;
    }
    return a;
}

/* ---- Memory and idleness ---- */

static inline double bench_rss(void)
{
    unsigned long pages = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%lu %lu", &pages, &rss) != 2)
        bench_die("/proc/self/statm");
    fclose(f);
    return (double)rss * (double)sysconf(_SC_PAGESIZE);
}

static inline double bench_malloced(void)
{
    struct mallinfo2 m = mallinfo2();
    return (double)m.uordblks + (double)m.hblkhd;
}

struct bench_memory {
    double rss, heap;
};

static inline struct bench_memory bench_memory_begin(void)
{
    struct bench_memory m;
    m.rss = bench_rss();
    m.heap = bench_malloced();
    return m;
}

static inline void bench_memory_end(const struct bench *b, struct bench_memory m)
{
    double rss = bench_rss() - m.rss, heap = bench_malloced() - m.heap;
    printf("%s rss %.1f malloc %.1f\n", b->name, rss / (double)b->tasks, heap / (double)b->tasks);
}

/* How often the other threads of this process went to sleep: each is a wake-up before or later. */
static inline long bench_switches(void)
{
    long sum = 0, n, main_thread = (long)getpid();
    char path[300], line[200];
    struct dirent *entry;
    DIR *dir = opendir("/proc/self/task");
    if (!dir)
        bench_die("/proc/self/task");
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || atol(entry->d_name) == main_thread)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        while (fgets(line, sizeof line, f))
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
                sum += n;
        fclose(f);
    }
    closedir(dir);
    return sum;
}

/* An idle pool: CPU time in microseconds, and wake-ups, while nothing is to be done. */
static inline void bench_idle(const struct bench *b, double seconds)
{
    struct timespec settle = {0, 200000000}, rest;
    rest.tv_sec = (time_t)seconds;
    rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
    nanosleep(&settle, NULL);
    long switches = bench_switches();
    double cpu = bench_cpu_ns();
    nanosleep(&rest, NULL);
    cpu = bench_cpu_ns() - cpu;
    switches = bench_switches() - switches;
    printf("%s cpu_us %.0f wakeups %ld\n", b->name, cpu / 1e3, switches);
}

/* ---- Cases ---- */

typedef void (*bench_fn)(const struct bench *b);

struct bench_case {
    const char *name;
    bench_fn run;
};

/* A case that a program does not have ends it with 3: the runner leaves that cell empty. */
static inline int bench_main(int argc, char **argv, const struct bench_case *cases,
                             void (*start)(const struct bench *), void (*stop)(void))
{
    struct bench b = {argc > 1 ? argv[1] : "", 1000000, 2, 1};
    if (argc > 2)
        b.tasks = strtoul(argv[2], NULL, 10);
    if (argc > 3)
        b.workers = (unsigned)strtoul(argv[3], NULL, 10);
    if (argc > 4)
        b.producers = (unsigned)strtoul(argv[4], NULL, 10);
    for (; cases->name; cases++) {
        if (strcmp(cases->name, b.name) == 0) {
            start(&b);
            cases->run(&b);
            stop();
            return 0;
        }
    }
    return 3;
}

#endif
