/* Random calls of several threads on the same promises, and what must hold in any order: each
 * settles once, its callbacks are called once, in the order added. CHECK_SEED and
 * CHECK_SEQUENCES as in random_calls.c. */
#include "check.h"

#include <stdatomic.h>

static uint64_t seed;

static uint64_t number_of(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : standard;
}

static void start_sequence(uint64_t number)
{
    seed = number;
    printf("CHECK_SEED=%llu\n", (unsigned long long)seed); /* the last one printed is at fault */
    fflush(stdout);
}

#define SHARED 6
#define THREADS 3

typedef struct life_of {
    atomic_int settles, frees, values, called;
    atomic_int last_called; /* number of the callback called last */
    atomic_int added;
    pthread_mutex_t adding; /* numbers are given in the order of the calls */
    cfut_promise *promise;
    cfut_future *future;
} life_of;

typedef struct numbered {
    life_of *life;
    int number;
} numbered;

static life_of lives[SHARED];

static void free_value(void *arg)
{
    ((life_of *)arg)->values++;
}

static void free_numbered(void *arg)
{
    ((numbered *)arg)->life->frees++;
    free(arg);
}

static void in_order(cfut_future *future, void *arg)
{
    numbered *at = arg;
    CHECK(cfut_future_state(future) >= CFUT_STATE_CANCELLED);
    CHECK_EQ(at->life->last_called + 1, at->number);
    at->life->last_called = at->number;
    at->life->called++;
}

static void add_numbered(life_of *at)
{
    numbered *one = malloc(sizeof *one);
    pthread_mutex_lock(&at->adding);
    one->life = at;
    one->number = ++at->added;
    CHECK_OK(cfut_future_on_done(at->future, NULL, in_order, one, free_numbered));
    pthread_mutex_unlock(&at->adding);
}

static unsigned chance(uint64_t *own, unsigned limit)
{
    *own ^= *own << 13;
    *own ^= *own >> 7;
    *own ^= *own << 17;
    return (unsigned)(*own >> 33) % limit;
}

/* One call on one life; whether it settled it. */
static bool settle_somehow(life_of *at, unsigned which)
{
    switch (which) {
    case 0:
        return cfut_promise_set_bytes(at->promise, "0123456789012345678", 19) == CFUT_OK;
    case 1:
        return cfut_promise_set_value(at->promise, at, free_value) == CFUT_OK;
    case 2:
        return cfut_promise_fail_value(at->promise, 41, "no luck", at, free_value) == CFUT_OK;
    default:
        return cfut_promise_set_cancelled(at->promise) == CFUT_OK;
    }
}

static void *race(void *arg)
{
    uint64_t own = seed * 1000 + (uint64_t)(uintptr_t)arg + 1;
    chance(&own, 2);
    for (int i = 0; i < 40; i++) {
        life_of *at = &lives[chance(&own, SHARED)];
        unsigned which = chance(&own, 24);
        if (which < 4)
            at->settles += settle_somehow(at, which);
        else if (which < 12)
            add_numbered(at);
        else if (which == 12)
            cfut_promise_start(at->promise);
        else if (which == 13)
            cfut_future_cancel(at->future, chance(&own, 3));
        else if (which < 18)
            cfut_future_wait(at->future, chance(&own, 20000));
        else
            cfut_future_release(cfut_future_retain(at->future));
    }
    return NULL;
}

static void threads_against_the_rules(void)
{
    uint64_t from = number_of("CHECK_SEED", 1), count = number_of("CHECK_SEQUENCES", 3000) / 4;
    for (uint64_t i = 0; i <= count; i++) {
        pthread_t threads[THREADS];
        start_sequence(from + i);
        for (int n = 0; n < SHARED; n++) {
            memset(&lives[n], 0, sizeof lives[n]);
            pthread_mutex_init(&lives[n].adding, NULL);
            CHECK_OK(cfut_promise_new(&lives[n].promise, &lives[n].future));
        }
        for (uintptr_t n = 0; n < THREADS; n++)
            CHECK_EQ(pthread_create(&threads[n], NULL, race, (void *)n), 0);
        for (int n = 0; n < THREADS; n++)
            CHECK_EQ(pthread_join(threads[n], NULL), 0);
        for (int n = 0; n < SHARED; n++) {
            life_of *at = &lives[n];
            bool has_value;
            CHECK(at->settles <= 1);
            cfut_promise_release(at->promise); /* now it is settled in any case */
            CHECK(cfut_future_wait(at->future, CFUT_NOW) != CFUT_TIMEOUT);
            has_value = cfut_future_value(at->future) != NULL;
            int values = at->values;
            CHECK_EQ(at->called, at->added);
            CHECK_EQ(at->frees, at->added);
            cfut_future_release(at->future);
            CHECK_EQ(at->values, values + has_value);
            pthread_mutex_destroy(&at->adding);
        }
    }
}

CHECK_MAIN(CASE(threads_against_the_rules))
