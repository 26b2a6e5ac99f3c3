/* What two processes take to hand a word to and fro through shared memory, and a mebibyte: no pool
 * of processes can be faster. PROGRAM CASE [times]. */
#define _GNU_SOURCE
#include "tree.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { MIB = 1 << 20 };

struct word {
    _Alignas(64) uint32_t count; /* how often it was told */
    uint32_t sleeps;             /* whether somebody sleeps on it */
};

static struct shared {
    struct word there, back; /* of the other process, of this one */
    _Alignas(64) uint64_t number;
    char in[MIB], out[MIB];
} *shared;

static char private_bytes[MIB];

static void wait_for(struct word *word, uint32_t old, double spin_ns)
{
    if (spin_ns > 0) {
        double until = bench_wall_ns() + spin_ns;
        while (bench_wall_ns() < until)
            for (int i = 0; i < 64; i++)
                if (__atomic_load_n(&word->count, __ATOMIC_ACQUIRE) != old)
                    return;
    }
    __atomic_store_n(&word->sleeps, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&word->count, __ATOMIC_SEQ_CST) == old)
        syscall(SYS_futex, &word->count, FUTEX_WAIT, old, NULL, NULL, 0);
    __atomic_store_n(&word->sleeps, 0, __ATOMIC_RELAXED);
}

static void tell(struct word *word)
{
    __atomic_add_fetch(&word->count, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&word->sleeps, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &word->count, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void start(const struct bench *b)
{
    (void)b;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        bench_die("no shared memory");
}

static void stop(void) {}

/* How long each side looks before it sleeps: not at all, or longer than any trip takes. */
static void trips(const struct bench *b, double spin_ns, int copies)
{
    pid_t other = fork();
    if (other < 0)
        bench_die("no process");
    for (uint32_t i = 0; other == 0; i++) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        wait_for(&shared->there, i, spin_ns);
        shared->number *= 2;
        if (copies)
            memcpy(shared->out, shared->in, MIB);
        tell(&shared->back);
    }
    for (uint32_t round = 0, i = 0; round < 2; round++) {
        uint32_t until = i + (uint32_t)(round ? b->tasks : b->tasks / 10);
        double count = until - i;
        struct bench_span span = tree_begin();
        for (; i < until; i++) {
            shared->number = i;
            if (copies)
                memcpy(shared->in, private_bytes, MIB);
            tell(&shared->there);
            wait_for(&shared->back, i, spin_ns);
            if (shared->number != 2 * (uint64_t)i)
                bench_die("wrong number");
            if (copies)
                memcpy(private_bytes, shared->out, MIB);
        }
        if (round)
            tree_end_with(b, span, count, copies ? " bytes 2097152" : "");
    }
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
}

static void case_sleeping(const struct bench *b)
{
    trips(b, 0, 0);
}

static void case_spinning(const struct bench *b)
{
    trips(b, 50e3, 0);
}

static void case_mebibytes(const struct bench *b)
{
    trips(b, 50e3, 1);
}

static void case_memcpy(const struct bench *b)
{
    struct bench_span span = tree_begin();
    for (size_t i = 0; i < b->tasks; i++) {
        memcpy(shared->in, private_bytes, MIB);
        memcpy(private_bytes, shared->in, MIB);
        __asm__ volatile("" ::: "memory");
    }
    tree_end_with(b, span, (double)b->tasks, " bytes 2097152");
}

/* fork() of this small process, exit and wait, one after the other. */
static void case_fork(const struct bench *b)
{
    struct bench_span span = tree_begin();
    for (size_t i = 0; i < b->tasks; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) != child)
            bench_die("no process");
    }
    tree_end(b, span, (double)b->tasks);
}

int main(int argc, char **argv)
{
    static const struct bench_case cases[] = {
        {"sleeping", case_sleeping},
        {"spinning", case_spinning},
        {"mebibytes", case_mebibytes},
        {"memcpy", case_memcpy},
        {"fork", case_fork},
        {NULL, NULL},
    };
    return bench_main(argc, argv, cases, start, stop);
}
