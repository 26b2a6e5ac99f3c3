/* Loops over ranges: who runs them, how they fail and stop, and that each index is met once. */
#include "parts.h"

#include <sys/wait.h>

/* ---- what a loop has met ---- */

#define MOST 100000

struct met {
    atomic_uchar each[MOST];
    atomic_int ranges, inside, most_inside, freed;
    size_t smallest;
    size_t end;
    pthread_mutex_t lock;
};

static struct met met = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void begin_meeting(size_t count)
{
    memset(met.each, 0, sizeof met.each);
    met.ranges = met.inside = met.most_inside = met.freed = 0;
    met.smallest = SIZE_MAX;
    met.end = count;
}

static int32_t meet(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    int inside = atomic_fetch_add(&met.inside, 1) + 1, most = met.most_inside;
    CHECK(self != NULL && arg == &met && begin < end && end <= met.end);
    CHECK_EQ(met.freed, 0);
    while (inside > most && !atomic_compare_exchange_weak(&met.most_inside, &most, inside)) {
    }
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&met.each[i], 1);
    atomic_fetch_add(&met.ranges, 1);
    pthread_mutex_lock(&met.lock);
    if (end != met.end && end - begin < met.smallest)
        met.smallest = end - begin;
    pthread_mutex_unlock(&met.lock);
    atomic_fetch_sub(&met.inside, 1);
    return 0;
}

static void free_met(void *arg)
{
    CHECK(arg == &met);
    CHECK_EQ(met.inside, 0);
    atomic_fetch_add(&met.freed, 1);
}

static void expect_each_once(size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(met.each[i], 1);
    CHECK_EQ(met.inside, 0);
    CHECK_EQ(met.freed, 1);
}

/* Runs a loop to its end. */
static cfut_status loop(cfut_executor *pool, size_t count, size_t grain)
{
    cfut_future *future = NULL;
    begin_meeting(count);
    CHECK_OK(cfut_parallel_for(pool, count, grain, meet, &met, free_met, &future));
    CHECK(future != NULL);
    return end_of(future);
}

/* ---- each index once ---- */

static void each_index_once(void)
{
    static const size_t counts[] = { 1, 2, 3, 7, 64, 1000, 99999, MOST };
    for (int64_t workers = 1; workers <= 4; workers++) {
        cfut_executor *pool = check_pool(workers);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            CHECK_OK(loop(pool, counts[i], 0));
            expect_each_once(counts[i]);
        }
        check_close(pool);
    }
}

static void ranges_keep_their_grain(void)
{
    static const size_t grains[] = { 1, 10, 999, MOST, SIZE_MAX };
    cfut_executor *pool = check_pool(3);
    for (size_t i = 0; i < sizeof grains / sizeof grains[0]; i++) {
        CHECK_OK(loop(pool, MOST - 1, grains[i]));
        expect_each_once(MOST - 1);
        CHECK(met.smallest >= grains[i] || met.smallest == SIZE_MAX);
    }
    CHECK_EQ(met.ranges, 1);
    check_close(pool);
}

static void a_loop_over_nothing(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(loop(pool, 0, 0));
    CHECK(met.ranges == 0 && met.freed == 1);
    CHECK_OK(cfut_parallel_for(pool, 0, 0, meet, &met, free_met, NULL));
    CHECK_EQ(met.freed, 2);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    check_close(pool);
}

static void nobody_has_the_future(void)
{
    cfut_executor *pool = check_pool(2);
    begin_meeting(1000);
    CHECK_OK(cfut_parallel_for(pool, 1000, 0, meet, &met, free_met, NULL));
    check_close(pool);
    expect_each_once(1000);
}

/* Without options of chance: the ends of numbers. */
static int32_t count_indices(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)self;
    atomic_fetch_add((atomic_size_t *)arg, end - begin);
    return 0;
}

static void the_largest_count(void)
{
    cfut_executor *pool = check_pool(2);
    atomic_size_t met_so_far = 0;
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, SIZE_MAX, SIZE_MAX / 5, count_indices, &met_so_far, NULL,
                               &future));
    CHECK_OK(end_of(future));
    CHECK(met_so_far == SIZE_MAX);
    check_close(pool);
}

/* ---- who takes part ---- */

static int32_t note_thread(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    pthread_t *threads = arg;
    (void)self;
    for (size_t i = begin; i < end; i++)
        threads[i] = pthread_self();
    return 0;
}

static void the_caller_takes_part(void)
{
    static gate standing[2] = { GATE_CLOSED, GATE_CLOSED };
    cfut_executor *pool = check_pool(2);
    pthread_t threads[100];
    cfut_future *future;
    gate_hold(pool, &standing[0]);
    gate_hold(pool, &standing[1]);
    CHECK_OK(cfut_parallel_for(pool, 100, 0, note_thread, threads, NULL, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_NOW)); /* done in the call, with every worker busy */
    for (int i = 0; i < 100; i++)
        CHECK(pthread_equal(threads[i], pthread_self()));
    latch_open(&standing[0].open);
    latch_open(&standing[1].open);
    cfut_future_release(future);
    check_close(pool);
}

static void expect_not_here(cfut_executor *pool)
{
    pthread_t threads[100];
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, 100, 0, note_thread, threads, NULL, &future));
    CHECK_OK(end_of(future));
    for (int i = 0; i < 100; i++)
        CHECK(!pthread_equal(threads[i], pthread_self()));
    check_close(pool);
}

static void one_worker_is_a_lock(void)
{
    expect_not_here(check_pool(1));
}

static int32_t start_hook(void *arg, uint32_t worker)
{
    (void)arg;
    (void)worker;
    return 0;
}

static void hooks_are_for_workers(void)
{
    cfut_options *options = options_of(2);
    CHECK_OK(cfut_options_set_worker_hooks(options, start_hook, NULL, NULL, NULL));
    expect_not_here(check_pool_with(options));
}

static void initializers_are_for_workers(void)
{
    cfut_options *options = options_of(2);
    cfut_task *task = task_of(nothing_task);
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    cfut_task_free(task);
    expect_not_here(check_pool_with(options));
}

/* Each range stands until there are so many: fewer at once would never go on. */
struct crowd {
    latch entered;
    int wanted;
};

static int32_t stand_in_a_crowd(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    struct crowd *crowd = arg;
    (void)self;
    CHECK_EQ(end - begin, 1);
    latch_open(&crowd->entered);
    latch_wait_for(&crowd->entered, crowd->wanted);
    return 0;
}

/* More than there are processors, for they wait: the caller in the place of a worker, and three. */
static void idle_workers_come(void)
{
    static struct crowd crowd = { LATCH_CLOSED, 4 };
    cfut_executor *pool = check_pool(4);
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, 4, 1, stand_in_a_crowd, &crowd, NULL, &future));
    CHECK_OK(end_of(future));
    check_close(pool);
}

/* A loop that is over at once has asked for one helper at most. */
static void one_invitation_at_a_time(void)
{
    static gate standing[2] = { GATE_CLOSED, GATE_CLOSED };
    cfut_executor *pool = check_pool(2);
    gate_hold(pool, &standing[0]);
    gate_hold(pool, &standing[1]);
    CHECK_OK(loop(pool, MOST, 1));
    expect_each_once(MOST);
    CHECK_SOON(check_stat(pool, CFUT_STAT_QUEUED) == 1);
    latch_open(&standing[0].open);
    latch_open(&standing[1].open);
    check_close(pool);
}

static void a_full_queue_is_no_hindrance(void)
{
    for (int policy = CFUT_FULL_BLOCK; policy <= CFUT_FULL_RUN_IN_CALLER; policy++) {
        static gate standing[2];
        cfut_options *options = options_with(2, CFUT_OPT_QUEUE_LIMIT, 1);
        CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, policy));
        cfut_executor *pool = check_pool_with(options);
        standing[0] = standing[1] = (gate)GATE_CLOSED;
        gate_hold(pool, &standing[0]);
        gate_hold(pool, &standing[1]);
        cfut_future *queued = submit_nothing(pool);
        CHECK_OK(loop(pool, 1000, 0));
        expect_each_once(1000);
        latch_open(&standing[0].open);
        latch_open(&standing[1].open);
        CHECK_OK(end_of(queued));
        check_close(pool);
    }
}

/* A loop that would be queued runs here if the policy says so of what finds the queue full. */
static void a_full_queue_runs_it_here(void)
{
    static gate standing = GATE_CLOSED;
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_RUN_IN_CALLER));
    cfut_executor *pool = check_pool_with(options);
    gate_hold(pool, &standing);
    cfut_future *queued = submit_nothing(pool), *future;
    begin_meeting(100);
    CHECK_OK(cfut_parallel_for(pool, 100, 0, meet, &met, free_met, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_OK);
    expect_each_once(100);
    latch_open(&standing.open);
    CHECK_OK(end_of(queued));
    cfut_future_release(future);
    check_close(pool);
}

static void refused_by_a_full_queue(void)
{
    static gate standing = GATE_CLOSED;
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    cfut_executor *pool = check_pool_with(options);
    gate_hold(pool, &standing);
    cfut_future *queued = submit_nothing(pool), *future = NULL;
    begin_meeting(100);
    CHECK_STATUS(cfut_parallel_for(pool, 100, 0, meet, &met, free_met, &future), CFUT_EFULL);
    CHECK(future == NULL && met.freed == 1 && met.ranges == 0);
    latch_open(&standing.open);
    CHECK_OK(end_of(queued));
    check_close(pool);
}

/* ---- in tasks, and in loops ---- */

static int32_t loop_in_a_task(cfut_promise *self, const void *data, size_t length)
{
    atomic_size_t count = 0;
    cfut_future *future;
    (void)self;
    (void)data;
    (void)length;
    CHECK_OK(cfut_parallel_for(cfut_executor_current(), 10000, 0, count_indices, &count, NULL,
                               &future));
    CHECK_OK(cfut_future_wait(future, CFUT_NOW)); /* in the call: it is a thread of the pool */
    CHECK(count == 10000);
    cfut_future_release(future);
    return 0;
}

static void in_tasks_of_the_pool(void)
{
    for (int64_t workers = 1; workers <= 3; workers++) {
        cfut_executor *pool = check_pool(workers);
        cfut_future *futures[8];
        for (int i = 0; i < 8; i++)
            futures[i] = submit(pool, loop_in_a_task, NULL, 0);
        for (int i = 0; i < 8; i++)
            CHECK_OK(end_of(futures[i]));
        check_close(pool);
    }
}

struct nested {
    cfut_executor *pool;
    atomic_size_t count;
};

static int32_t loop_in_a_range(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    struct nested *nested = arg;
    (void)self;
    for (size_t i = begin; i < end; i++) {
        cfut_future *future;
        CHECK_OK(cfut_parallel_for(nested->pool, 100, 0, count_indices, &nested->count, NULL, &future));
        CHECK_OK(end_of(future));
    }
    return 0;
}

static void loops_in_ranges(void)
{
    for (int64_t workers = 1; workers <= 3; workers++) {
        struct nested nested = { check_pool(workers), 0 };
        cfut_future *future;
        CHECK_OK(cfut_parallel_for(nested.pool, 100, 0, loop_in_a_range, &nested, NULL, &future));
        CHECK_OK(end_of(future));
        CHECK(nested.count == 100 * 100);
        check_close(nested.pool);
    }
}

/* A task of a pool of one worker that waits for a loop runs it. */
static int32_t wait_for_a_loop(cfut_promise *self, const void *data, size_t length)
{
    cfut_future *future;
    memcpy(&future, data, length);
    (void)self;
    return cfut_future_wait(future, CFUT_FOREVER);
}

static void a_wait_takes_part(void)
{
    static gate standing = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future, *waiter;
    gate_hold(pool, &standing);
    begin_meeting(1000);
    cfut_promise *promise;
    cfut_future *first = by_hand(&promise);
    CHECK_OK(cfut_parallel_for(pool, 1000, 0, meet, &met, free_met, &future));
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING);
    waiter = submit(pool, wait_for_a_loop, &future, sizeof future);
    latch_open(&standing.open);
    CHECK_OK(end_of(waiter));
    expect_each_once(1000);
    cfut_future_release(future);
    cfut_promise_release(promise);
    cfut_future_release(first);
    check_close(pool);
}

/* ---- failures ---- */

struct failing {
    size_t at;
    int how;
    atomic_int freed;
    atomic_size_t met;
};

/* Ranges behind the one that fails wait for it: ranges of nothing grow fast, and all would be done
 * while its thread stands still. */
static int32_t fail_at(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    struct failing *failing = arg;
    atomic_fetch_add(&failing->met, end - begin);
    if (failing->at < begin)
        CHECK_SOON(cfut_promise_stop_requested(self));
    if (failing->at < begin || failing->at >= end)
        return 0;
    if (failing->how == 0)
        return 33;
    if (failing->how == 1)
        return cfut_promise_fail(self, 33, "no further");
    if (failing->how == 2)
        return cfut_promise_set_cancelled(self);
    return CFUT_DETACH;
}

static void free_failing(void *arg)
{
    atomic_fetch_add(&((struct failing *)arg)->freed, 1);
}

static void a_failing_range_fails_the_whole(void)
{
    static const char *const messages[] = { "", "no further", "", "CFUT_DETACH" };
    for (int64_t workers = 1; workers <= 3; workers += 2) {
        cfut_executor *pool = check_pool(workers);
        for (int how = 0; how < 4; how++) {
            struct failing failing = { 10, how, 0, 0 };
            cfut_future *future;
            CHECK_OK(cfut_parallel_for(pool, MOST, 1, fail_at, &failing, free_failing, &future));
            CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER),
                         how == 2 ? CFUT_CANCELLED : CFUT_FAILED);
            CHECK_EQ(cfut_future_code(future), how == 2 ? 0 : how == 3 ? CFUT_EINVAL : 33);
            CHECK(strstr(cfut_future_message(future), messages[how]) != NULL);
            CHECK(failing.freed == 1 && failing.met < MOST); /* the rest was skipped */
            cfut_future_release(future);
        }
        check_close(pool);
    }
}

/* Two stand; one fails; the other sees the stop flag. */
struct pair {
    latch entered;
    atomic_int saw_stop;
};

static int32_t fail_beside_another(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    struct pair *pair = arg;
    CHECK_EQ(end - begin, 1);
    latch_open(&pair->entered);
    latch_wait_for(&pair->entered, 2);
    if (begin == 1)
        return cfut_promise_fail(self, 5, "five");
    CHECK_SOON(cfut_promise_stop_requested(self));
    atomic_fetch_add(&pair->saw_stop, 1);
    return cfut_promise_fail(self, 6, "six"); /* too late: the first one stays */
}

static void running_ranges_see_the_stop_flag(void)
{
    static struct pair pair = { LATCH_CLOSED, 0 };
    cfut_executor *pool = check_pool(2);
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, 1000, 1, fail_beside_another, &pair, NULL, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 5);
    CHECK_TEXT(cfut_future_message(future), "five");
    CHECK_EQ(pair.saw_stop, 1);
    CHECK_EQ(latch_count(&pair.entered), 2);
    cfut_future_release(future);
    check_close(pool);
}

static int32_t record_result(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)arg;
    (void)end;
    if (begin == 0)
        CHECK_OK(cfut_promise_set_bytes(self, "first", 5));
    else
        CHECK_STATUS(cfut_promise_set_bytes(self, "other", 5), CFUT_ESTATE);
    return 0;
}

static void a_range_records_the_result(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    size_t length;
    CHECK_OK(cfut_parallel_for(pool, 100, 1, record_result, NULL, NULL, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK(memcmp(cfut_future_bytes(future, &length), "first", 5) == 0);
    cfut_future_release(future);
    check_close(pool);
}

static int32_t result_then_failure(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)arg;
    (void)end;
    return begin == 0 ? cfut_promise_set_bytes(self, "first", 5) : 44;
}

static void a_failure_after_a_result(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, 100, 1, result_then_failure, NULL, NULL, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 44);
    cfut_future_release(future);
    check_close(pool);
}

static char logged[512];

static void note_line(int32_t level, const char *message, void *arg)
{
    (void)level;
    (void)arg;
    snprintf(logged, sizeof logged, "%s", message);
}

static void an_unseen_failure_goes_to_the_log(void)
{
    struct failing failing = { 10, 1, 0, 0 };
    cfut_executor *pool = check_pool(2);
    CHECK_OK(cfut_set_log(note_line, NULL, NULL));
    CHECK_OK(cfut_parallel_for(pool, 1000, 1, fail_at, &failing, free_failing, NULL));
    check_close(pool);
    CHECK(strstr(logged, "failed with code 33: no further") != NULL);
}

static int32_t leave_the_thread(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)self;
    (void)arg;
    if (begin <= 10 && end > 10)
        pthread_exit(NULL);
    return 0;
}

static void a_range_that_ends_its_thread(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int freed = 0;
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, 1000, 1, leave_the_thread, &freed, count_free, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
    CHECK(strstr(cfut_future_message(future), "thread ended inside") != NULL);
    CHECK_EQ(freed, 1);
    CHECK_OK(end_of(submit_nothing(pool))); /* the worker is replaced */
    cfut_future_release(future);
    check_close(pool);
}

/* The caller waits for the range of a thread that goes. */
static int32_t leave_a_helper(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    struct crowd *crowd = arg;
    (void)self;
    (void)end;
    latch_open(&crowd->entered);
    latch_wait_for(&crowd->entered, 2);
    if (begin == 1)
        pthread_exit(NULL);
    return 0;
}

static void a_helper_that_ends_its_thread(void)
{
    static struct crowd crowd = { LATCH_CLOSED, 2 };
    cfut_executor *pool = check_pool(2);
    cfut_future *future;
    CHECK_OK(cfut_set_log(note_line, NULL, NULL));
    CHECK_OK(cfut_parallel_for(pool, 2, 1, leave_a_helper, &crowd, NULL, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- stops ---- */

static int32_t stand_until_stopped(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)begin;
    (void)end;
    latch_open(arg);
    CHECK_SOON(cfut_promise_stop_requested(self));
    return 0;
}

static void cancelled_before_it_starts(void)
{
    static gate standing = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    atomic_int freed = 0;
    cfut_future *future;
    gate_hold(pool, &standing);
    CHECK_OK(cfut_parallel_for(pool, 1000, 1, leave_the_thread, &freed, count_free, &future));
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_EQ(freed, 1);
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    latch_open(&standing.open);
    check_close(pool);
}

static void cancelled_while_it_runs(void)
{
    static latch entered = LATCH_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, 1000, 1, stand_until_stopped, &entered, NULL, &future));
    latch_wait(&entered);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    CHECK_EQ(latch_count(&entered), 1); /* the others were skipped */
    check_close(pool);
}

/* Written before the first range runs: it can be cancelled while the caller is in the call. */
static cfut_future *in_the_call;

static void *cancel_it(void *arg)
{
    latch_wait(arg);
    CHECK_STATUS(cfut_future_cancel(in_the_call, CFUT_CANCEL_STOP), CFUT_PENDING);
    return NULL;
}

static void cancelled_while_the_caller_runs_it(void)
{
    static latch entered = LATCH_CLOSED;
    cfut_executor *pool = check_pool(2);
    pthread_t canceller = thread_start(cancel_it, &entered);
    CHECK_OK(cfut_parallel_for(pool, 1000, 1, stand_until_stopped, &entered, NULL, &in_the_call));
    CHECK_STATUS(cfut_future_wait(in_the_call, CFUT_NOW), CFUT_CANCELLED);
    thread_join(canceller);
    cfut_future_release(in_the_call);
    check_close(pool);
}

static void a_shutdown_stops_it(void)
{
    static latch entered = LATCH_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    CHECK_OK(cfut_parallel_for(pool, 1000, 1, stand_until_stopped, &entered, NULL, &future));
    latch_wait(&entered);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_STOP, CFUT_FOREVER));
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    check_close(pool);
}

static void refused_by_a_closed_executor(void)
{
    for (int64_t workers = 1; workers <= 2; workers++) {
        cfut_executor *pool = check_pool(workers);
        atomic_int freed = 0;
        cfut_future *future = NULL;
        CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
        CHECK_ERROR(cfut_parallel_for(pool, 9, 0, count_indices, &freed, count_free, &future),
                    CFUT_ESHUTDOWN, "shut down");
        CHECK(freed == 1 && future == NULL);
        check_close(pool);
    }
}

/* A range that waits for the whole of which it is a part. */
static int32_t wait_for_the_whole(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)self;
    (void)begin;
    (void)end;
    (void)arg;
    return cfut_future_wait(in_the_call, CFUT_FOREVER);
}

static void a_range_that_waits_for_its_loop(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    static gate standing = GATE_CLOSED;
    gate_hold(pool, &standing);
    CHECK_OK(cfut_parallel_for(pool, 10, 10, wait_for_the_whole, NULL, NULL, &in_the_call));
    future = in_the_call;
    latch_open(&standing.open);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_EDEADLK);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- forks ---- */

/* A child that returns from a range ends, and runs no other. */
static int32_t fork_in_a_range(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)self;
    if (begin == 0) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            *(size_t *)arg = SIZE_MAX / 2;
            return 0;
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    CHECK(*(size_t *)arg < SIZE_MAX / 2);
    *(size_t *)arg += end - begin;
    return 0;
}

static void a_range_that_forks(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    size_t sum = 0;
    CHECK_OK(cfut_parallel_for(pool, 100, 1, fork_in_a_range, &sum, NULL, &future));
    CHECK_OK(end_of(future));
    CHECK_EQ(sum, 100);
    check_close(pool);
}

/* ---- progress ---- */

static int32_t slow_range(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)self;
    (void)arg;
    for (size_t i = begin; i < end; i++)
        check_sleep(500000);
    return 0;
}

static void progress_counts_indices(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    uint64_t done = 0, total = 0;
    CHECK_OK(cfut_parallel_for(pool, 50, 1, slow_range, NULL, NULL, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_OK(cfut_future_progress(future, &done, &total));
    CHECK(done > 0 && done <= 50 && total == 50);
    cfut_future_release(future);
    check_close(pool);
}

CHECK_MAIN(CASE(each_index_once), CASE(ranges_keep_their_grain), CASE(a_loop_over_nothing),
           CASE(nobody_has_the_future), CASE(the_largest_count), CASE(the_caller_takes_part),
           CASE(one_worker_is_a_lock), CASE(hooks_are_for_workers),
           CASE(initializers_are_for_workers), CASE(idle_workers_come),
           CASE(one_invitation_at_a_time), CASE(a_full_queue_is_no_hindrance), CASE(a_full_queue_runs_it_here), CASE(refused_by_a_full_queue),
           CASE(in_tasks_of_the_pool), CASE(loops_in_ranges), CASE(a_wait_takes_part),
           CASE(a_failing_range_fails_the_whole), CASE(running_ranges_see_the_stop_flag),
           CASE(a_range_records_the_result), CASE(a_failure_after_a_result),
           CASE(an_unseen_failure_goes_to_the_log), CASE(a_range_that_ends_its_thread),
           CASE(a_helper_that_ends_its_thread), CASE(cancelled_before_it_starts),
           CASE(cancelled_while_it_runs), CASE(cancelled_while_the_caller_runs_it),
           CASE(a_shutdown_stops_it), CASE(refused_by_a_closed_executor),
           CASE(a_range_that_waits_for_its_loop), CASE(a_range_that_forks), CASE(progress_counts_indices))
