/* Many threads that do everything to the same executors, for CHECK_STRESS_SECONDS (2), and
 * exact counts at the end: what was accepted, settled once, called once, freed once. */
#include "check.h"

#include <sched.h>
#include <stdatomic.h>

#define THREADS 6
#define POOLS 3
#define SHARED 64

static cfut_executor *pools[POOLS];
static atomic_bool ends;

/* Everything that is counted twice, at its beginning and at its end. */
static struct {
    atomic_llong accepted, refused, run, settled, callbacks, called, moved, freed, results;
    atomic_llong queued_up, taken, continued, followed, detached;
} count;

/* Futures that all threads look at, put in and take out. */
static struct {
    pthread_mutex_t lock;
    cfut_future *futures[SHARED];
} shared = { PTHREAD_MUTEX_INITIALIZER, { NULL } };

/* xorshift: each thread has its own. */
static unsigned next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 33);
}

static void free_moved(void *arg)
{
    (void)arg;
    count.freed++;
}

static void *move(void)
{
    count.moved++;
    return &count;
}

static void done(cfut_future *future, void *arg)
{
    CHECK(arg == &count);
    CHECK(cfut_future_state(future) >= CFUT_STATE_CANCELLED);
    count.called++;
}

/* ---- tasks ---- */

static int32_t plain_task(cfut_promise *self, const void *data, size_t length)
{
    count.run++;
    count.results++;
    return cfut_promise_set_bytes(self, data, length);
}

static int32_t value_task(cfut_promise *self, void *arg)
{
    CHECK(arg == &count);
    count.run++;
    return cfut_promise_set_value(self, move(), free_moved);
}

static int32_t failing_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    count.run++;
    return cfut_promise_fail(self, 41, "a message long enough to need memory of its own");
}

static int32_t nested_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_future *future = NULL;
    (void)self;
    count.run++;
    if (cfut_submit(cfut_executor_current(), plain_task, data, length, &future) == CFUT_OK) {
        count.accepted++;
        CHECK(cfut_future_wait(future, CFUT_FOREVER) >= 0);
        cfut_future_release(future);
    }
    return 0;
}

static int32_t stopping_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    count.run++;
    for (int i = 0; i < 20 && !cfut_promise_stop_requested(self); i++)
        sched_yield();
    return cfut_promise_stop_requested(self) ? cfut_promise_set_cancelled(self) : 0;
}

static void *settle_detached(void *promise)
{
    CHECK(cfut_promise_set_bytes(promise, "x", 1) >= CFUT_ESTATE);
    cfut_promise_release(promise);
    return NULL;
}

static int32_t settle_later(cfut_promise *self, void *promise)
{
    (void)self;
    count.run++;
    settle_detached(promise);
    return 0;
}

static int32_t detaching_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_promise *kept = cfut_promise_retain(self);
    (void)data;
    (void)length;
    count.run++;
    count.detached++;
    if (cfut_submit_closure(pools[0], settle_later, kept, NULL, NULL) == CFUT_OK)
        count.accepted++;
    else
        settle_detached(kept);
    return CFUT_DETACH;
}

static int32_t ending_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    count.run++;
    pthread_exit(NULL);
}

static int32_t follow(cfut_promise *self, cfut_future *input, void *arg)
{
    CHECK(arg == &count);
    CHECK(cfut_future_wait(input, CFUT_NOW) != CFUT_TIMEOUT);
    count.followed++;
    return cfut_promise_set_bytes(self, "x", 1);
}

/* ---- what threads do ---- */

static void share(uint64_t *random, cfut_future *future)
{
    unsigned place = next(random) % SHARED;
    cfut_future *before;
    pthread_mutex_lock(&shared.lock);
    before = shared.futures[place];
    shared.futures[place] = future;
    pthread_mutex_unlock(&shared.lock);
    cfut_future_release(before);
}

/* A handle of its own on a shared future, or NULL. */
static cfut_future *pick(uint64_t *random)
{
    cfut_future *future;
    pthread_mutex_lock(&shared.lock);
    future = cfut_future_retain(shared.futures[next(random) % SHARED]);
    pthread_mutex_unlock(&shared.lock);
    return future;
}

static void submit_something(uint64_t *random)
{
    static const cfut_task_fn functions[] = { plain_task,    plain_task,     plain_task,
                                              failing_task,  nested_task,    stopping_task,
                                              detaching_task };
    static const char data[300] = "data";
    cfut_executor *pool = pools[next(random) % POOLS];
    cfut_future *future = NULL;
    unsigned kind = next(random) % 16;
    cfut_status status;
    if (kind == 0)
        status = cfut_submit(pool, ending_task, NULL, 0, &future);
    else if (kind < 4)
        status = cfut_submit_closure(pool, value_task, move(), free_moved, &future);
    else
        status = cfut_submit(pool, functions[next(random) % 7], data, next(random) % 300, &future);
    CHECK(status == CFUT_OK || status == CFUT_EFULL);
    if (status != CFUT_OK) {
        count.refused++;
        return;
    }
    count.accepted++;
    share(random, future);
}

static void submit_timed(uint64_t *random)
{
    cfut_task *task;
    cfut_future *futures[5];
    cfut_executor *pool = pools[next(random) % POOLS];
    CHECK_OK(cfut_task_new(plain_task, &task));
    CHECK_OK(cfut_task_set(task, 1 + (int32_t)(next(random) % 3), next(random) % 2000000));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_PRIORITY, (int64_t)(next(random) % 3) - 1));
    if (cfut_submit_many(pool, task, "abcde", 1, 5, futures) == CFUT_OK) {
        count.accepted += 5;
        for (int i = 0; i < 5; i++)
            share(random, futures[i]);
    }
    cfut_task_free(task);
}

static void watch_something(uint64_t *random, cfut_future *future)
{
    cfut_executor *pool = next(random) % 2 == 0 ? NULL : pools[next(random) % POOLS];
    cfut_future *made;
    count.callbacks++;
    CHECK_OK(cfut_future_on_done(future, pool, done, move(), free_moved));
    if (next(random) % 2 == 0) {
        count.continued++;
        CHECK_OK(cfut_future_then(future, pool, follow, move(), free_moved, &made));
        cfut_future_release(made);
    }
}

static void queue_something(uint64_t *random, cfut_future *future)
{
    cfut_queue *queue;
    cfut_future *other = pick(random), *taken;
    uint64_t sum = 0, tag;
    cfut_status status;
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_queue_add(queue, future, 1));
    if (other != NULL)
        CHECK_OK(cfut_queue_add(queue, other, 2));
    count.queued_up += other == NULL ? 1 : 3;
    while ((status = cfut_queue_next(queue, CFUT_FOREVER, &taken, &tag)) == CFUT_OK) {
        sum += tag;
        cfut_future_release(taken);
    }
    CHECK_STATUS(status, CFUT_END);
    count.taken += (long long)sum;
    cfut_queue_release(queue);
    cfut_future_release(other);
}

static void join_something(uint64_t *random, cfut_future *future)
{
    cfut_future *pair[2] = { future, pick(random) }, *joined;
    size_t number = pair[1] == NULL ? 1 : 2;
    CHECK_OK(cfut_join(pair, number, (int32_t)(next(random) % 4), &joined));
    CHECK(cfut_wait_many(pair, number, (int32_t)(next(random) % 3), next(random) % 1000, NULL, NULL) >= 0);
    if (next(random) % 4 == 0)
        cfut_future_cancel(joined, CFUT_CANCEL_PENDING);
    CHECK(cfut_future_wait(joined, CFUT_FOREVER) >= 0);
    cfut_future_release(joined);
    cfut_future_release(pair[1]);
}

static void do_something(uint64_t *random)
{
    cfut_future *future = pick(random);
    char text[200];
    size_t length;
    if (future == NULL)
        return;
    switch (next(random) % 8) {
    case 0:
        CHECK(cfut_future_wait(future, CFUT_FOREVER) >= 0);
        break;
    case 1:
        CHECK(cfut_future_wait(future, next(random) % 100000) >= 0);
        break;
    case 2:
        CHECK(cfut_future_cancel(future, next(random) % 3) >= 0);
        break;
    case 3:
        watch_something(random, future);
        break;
    case 4:
        queue_something(random, future);
        break;
    case 5:
        join_something(random, future);
        break;
    case 6:
        if (cfut_future_take(future) == &count)
            free_moved(&count);
        break;
    default:
        CHECK_OK(cfut_executor_snapshot(pools[next(random) % POOLS], text, sizeof text, &length));
    }
    cfut_future_release(future);
}

static void *busy(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    while (!ends) {
        switch (next(&random) % 4) {
        case 0:
            submit_something(&random);
            break;
        case 1:
            if (next(&random) % 8 == 0)
                submit_timed(&random);
            break;
        default:
            do_something(&random);
        }
    }
    return NULL;
}

/* ---- the end ---- */

static void make_pools(void)
{
    for (int i = 0; i < POOLS; i++) {
        cfut_options *options = cfut_options_new();
        CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, i + 1));
        if (i == 1) {
            CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 50));
            CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
        }
        if (i == 2) {
            CHECK_OK(cfut_options_set(options, CFUT_OPT_MIN_WORKERS, 0));
            CHECK_OK(cfut_options_set(options, CFUT_OPT_IDLE_NS, CFUT_MSEC(1)));
        }
        pools[i] = check_pool_with(options);
    }
}

static void check_counts(void)
{
    static const int32_t outcomes[] = { CFUT_STAT_SUCCEEDED, CFUT_STAT_FAILED, CFUT_STAT_CANCELLED,
                                        CFUT_STAT_EXPIRED };
    int64_t submitted = 0, ended = 0;
    for (int i = 0; i < POOLS; i++) {
        CHECK_EQ(check_stat(pools[i], CFUT_STAT_QUEUED), 0);
        CHECK_EQ(check_stat(pools[i], CFUT_STAT_RUNNING), 0);
        submitted += check_stat(pools[i], CFUT_STAT_SUBMITTED);
        for (int k = 0; k < 4; k++)
            ended += check_stat(pools[i], outcomes[k]);
    }
    printf("%lld accepted, %lld run, %lld callbacks, %lld continuations, %lld moved\n",
           (long long)count.accepted, (long long)count.run, (long long)count.called,
           (long long)count.followed, (long long)count.moved);
    CHECK(count.run <= count.accepted);
    CHECK_EQ(count.callbacks, count.called);
    CHECK_EQ(count.continued, count.followed);
    CHECK_EQ(count.queued_up, count.taken);
    CHECK_EQ(count.moved, count.freed);
    CHECK(submitted >= count.accepted); /* callbacks and continuations are tasks, too */
    CHECK_EQ(submitted, ended);
}

static void everything_at_once(void)
{
    const char *wanted = getenv("CHECK_STRESS_SECONDS");
    pthread_t threads[THREADS];
    make_pools();
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, busy, (void *)(i + 1)), 0);
    check_sleep(CFUT_SEC(wanted != NULL ? atoi(wanted) : 2));
    CHECK_SOON(count.accepted > 100); /* it takes longer under valgrind */
    ends = true;
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < SHARED; i++)
        cfut_future_release(shared.futures[i]);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    for (int i = POOLS - 1; i >= 0; i--)
        CHECK_OK(cfut_executor_shutdown(pools[i], 0, CFUT_FOREVER));
    check_counts();
    for (int i = 0; i < POOLS; i++)
        check_close(pools[i]);
}

/* Submits against the end of their pool: each is refused, or its future settles. */
static cfut_executor *_Atomic closing;

static void *submit_into_the_end(void *arg)
{
    cfut_future *futures[16];
    int accepted = 0;
    (void)arg;
    for (int i = 0; i < 16; i++) {
        cfut_status status = cfut_submit(closing, nothing_task, NULL, 0, &futures[accepted]);
        CHECK(status == CFUT_OK || status == CFUT_ESHUTDOWN);
        accepted += status == CFUT_OK;
    }
    for (int i = 0; i < accepted; i++) {
        cfut_status status = cfut_future_wait(futures[i], CFUT_FOREVER);
        CHECK(status == CFUT_OK || status == CFUT_CANCELLED);
        cfut_future_release(futures[i]);
    }
    return NULL;
}

static void submits_meet_shutdown(void)
{
    for (int round = 0; round < 200; round++) {
        cfut_executor *pool = check_pool(1 + round % 3);
        pthread_t threads[3];
        closing = pool;
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_create(&threads[i], NULL, submit_into_the_end, NULL), 0);
        for (int i = 0; i < round % 20; i++)
            sched_yield();
        CHECK_OK(cfut_executor_shutdown(pool, round % 2 == 0 ? CFUT_SHUTDOWN_CANCEL : 0,
                                        CFUT_FOREVER));
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
        check_close(pool);
    }
}

/* Pools come and go; nothing is left of them. */
static void pools_come_and_go(void)
{
    int64_t before = 0;
    for (int round = 0; round < 2000; round++) {
        cfut_executor *pool = check_pool(2);
        cfut_future *future;
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
        if (round % 2 == 0)
            CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
        if (round % 3 == 0) {
            check_unwatch(pool);
            cfut_executor_release(pool); /* it ends by itself */
        } else {
            check_close(pool);
        }
        if (round == 500)
            before = resident_kib();
    }
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK(resident_kib() < before + 8192);
}

CHECK_MAIN(CASE(everything_at_once), CASE(submits_meet_shutdown), CASE(pools_come_and_go))
