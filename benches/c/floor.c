/* What this machine takes for the steps that every pool is made of: no pool can be faster than
 * their sum. One line a step, nanoseconds; the least of five tries. */
#include "bench.h"

enum { MANY = 2000000, SOME = 200000, FEW = 20000 };

static uint64_t shared;

static void nothing(void) {}

static void calls(void)
{
    void (*volatile fn)(void) = nothing;
    for (int i = 0; i < MANY; i++)
        fn();
}

static void atomic_adds(void)
{
    for (int i = 0; i < MANY; i++)
        __atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED);
}

static void mallocs(void)
{
    for (int i = 0; i < MANY; i++) {
        void *volatile memory = malloc(64);
        free(memory);
    }
}

static void locks(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    for (int i = 0; i < MANY; i++) {
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
    }
}

static void wakes_of_nobody(void)
{
    uint32_t word = 0;
    for (int i = 0; i < SOME; i++)
        bench_futex_wake(&word);
}

/* ---- Two threads that hand a number to and fro ---- */

static uint32_t turn;
static int sleeping;

static void await_turn(uint32_t mine)
{
    for (;;) {
        uint32_t seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);
        if (seen == mine)
            return;
        if (sleeping)
            bench_futex_wait(&turn, seen);
    }
}

static void pass(uint32_t next)
{
    __atomic_store_n(&turn, next, __ATOMIC_RELEASE);
    if (sleeping)
        bench_futex_wake(&turn);
}

static void *other_side(void *arg)
{
    (void)arg;
    for (int i = 0; i < FEW; i++) {
        await_turn(1);
        pass(0);
    }
    return NULL;
}

static void round_trips(void)
{
    pthread_t other;
    if (pthread_create(&other, NULL, other_side, NULL) != 0)
        bench_die("no thread");
    for (int i = 0; i < FEW; i++) {
        pass(1);
        await_turn(0);
    }
    pthread_join(other, NULL);
}

static void step(const char *name, void (*run)(void), double count)
{
    double least = 0;
    for (int i = 0; i < 5; i++) {
        double start = bench_wall_ns();
        run();
        double each = (bench_wall_ns() - start) / count;
        if (i == 0 || each < least)
            least = each;
    }
    printf("| %s | %.1f |\n", name, least);
}

int main(void)
{
    printf("| step | ns, least |\n|---|---:|\n");
    step("call through a pointer", calls, MANY);
    step("atomic add, one thread", atomic_adds, MANY);
    step("mutex lock and unlock, free", locks, MANY);
    step("malloc and free of 64 bytes, same thread", mallocs, MANY);
    step("futex wake, nobody sleeps", wakes_of_nobody, SOME);
    sleeping = 1;
    step("round trip between two threads that sleep", round_trips, FEW);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        sleeping = 0;
        step("round trip between two threads that spin", round_trips, FEW);
    }
    return 0;
}
