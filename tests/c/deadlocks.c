/* Waits that could never end are refused with CFUT_EDEADLK, and everything else goes on. */
#include "parts.h"

struct knot {
    cfut_future *awaited;
    latch go;
    atomic_int refused;
};

static int32_t wait_for_knot(cfut_promise *self, const void *data, size_t length)
{
    struct knot *knot;
    (void)self;
    memcpy(&knot, data, length);
    latch_wait(&knot->go);
    cfut_status status = cfut_future_wait(knot->awaited, CFUT_FOREVER);
    if (status == CFUT_EDEADLK)
        atomic_fetch_add(&knot->refused, 1);
    return 0;
}

static void waiting_for_oneself(void)
{
    cfut_executor *pool = check_pool(2);
    struct knot knot = { NULL, LATCH_CLOSED, 0 }, *data = &knot;
    knot.awaited = submit(pool, wait_for_knot, &data, sizeof data);
    latch_open(&knot.go);
    CHECK_OK(end_of(knot.awaited));
    CHECK_EQ(knot.refused, 1);
    check_close(pool);
}

static int32_t wait_for_itself_for_a_time(cfut_promise *self, const void *data, size_t length)
{
    struct knot *knot;
    (void)self;
    memcpy(&knot, data, length);
    latch_wait(&knot->go);
    CHECK_STATUS(cfut_future_wait(knot->awaited, CFUT_MSEC(5)), CFUT_TIMEOUT);
    return 0;
}

static void waiting_for_oneself_for_a_time(void)
{
    cfut_executor *pool = check_pool(2);
    struct knot knot = { NULL, LATCH_CLOSED, 0 }, *data = &knot;
    knot.awaited = submit(pool, wait_for_itself_for_a_time, &data, sizeof data);
    latch_open(&knot.go);
    CHECK_OK(end_of(knot.awaited));
    check_close(pool);
}

/* Of a ring of tasks that wait for each other one is refused, and then all end. */
static void ring_of_tasks(int count, cfut_executor **pools, int pool_count)
{
    struct knot knots[8];
    cfut_future *futures[8];
    int refused = 0;
    for (int i = 0; i < count; i++) {
        struct knot *data = &knots[i];
        knots[i] = (struct knot){ NULL, LATCH_CLOSED, 0 };
        futures[i] = submit(pools[i % pool_count], wait_for_knot, &data, sizeof data);
    }
    for (int i = 0; i < count; i++)
        knots[i].awaited = futures[(i + 1) % count];
    for (int i = 0; i < count; i++)
        latch_open(&knots[i].go);
    for (int i = 0; i < count; i++) {
        CHECK_OK(end_of(futures[i]));
        refused += knots[i].refused;
    }
    CHECK(refused >= 1);
}

static void waiting_for_each_other(void)
{
    for (int64_t workers = 1; workers <= 4; workers++) {
        cfut_executor *pool = check_pool(workers);
        ring_of_tasks(2, &pool, 1);
        ring_of_tasks(5, &pool, 1);
        check_close(pool);
    }
}

static void waiting_for_each_other_in_two_pools(void)
{
    cfut_executor *pools[2] = { check_pool(1), check_pool(1) };
    ring_of_tasks(2, pools, 2);
    ring_of_tasks(4, pools, 2);
    check_close(pools[0]);
    check_close(pools[1]);
}

static int32_t then_nothing(cfut_promise *self, cfut_future *input, void *arg)
{
    (void)self;
    (void)input;
    (void)arg;
    return 0;
}

static void waiting_for_ones_continuation(void)
{
    cfut_executor *pool = check_pool(2);
    struct knot knot = { NULL, LATCH_CLOSED, 0 }, *data = &knot;
    cfut_future *future = submit(pool, wait_for_knot, &data, sizeof data);
    CHECK_OK(cfut_future_then(future, pool, then_nothing, NULL, NULL, &knot.awaited));
    latch_open(&knot.go);
    CHECK_OK(end_of(future));
    CHECK_EQ(knot.refused, 1);
    CHECK_OK(end_of(knot.awaited));
    check_close(pool);
}

/* Its total time-out ends the wait. */
static void waiting_for_ones_continuation_with_a_time_out(void)
{
    cfut_executor *pool = check_pool(2);
    struct knot knot = { NULL, LATCH_CLOSED, 0 }, *data = &knot;
    cfut_future *future = submit(pool, wait_for_knot, &data, sizeof data);
    cfut_task *task = task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(5));
    CHECK_OK(cfut_future_pipe(future, pool, task, &knot.awaited));
    cfut_task_free(task);
    latch_open(&knot.go);
    CHECK_OK(end_of(future));
    CHECK_EQ(knot.refused, 0);
    CHECK_STATUS(end_of(knot.awaited), CFUT_EXPIRED);
    check_close(pool);
}

static void waiting_for_a_join_with_oneself(void)
{
    cfut_executor *pool = check_pool(2);
    struct knot knot = { NULL, LATCH_CLOSED, 0 }, *data = &knot;
    cfut_future *futures[2] = { submit_nothing(pool), submit(pool, wait_for_knot, &data, sizeof data) };
    CHECK_OK(cfut_join(futures, 2, CFUT_JOIN_ALL, &knot.awaited));
    latch_open(&knot.go);
    CHECK_OK(end_of(futures[1]));
    CHECK_EQ(knot.refused, 1);
    CHECK_OK(end_of(knot.awaited));
    cfut_future_release(futures[0]);
    check_close(pool);
}

static atomic_int stuck;

/* Waits in a way that cannot be claimed, deeper than there can be threads. */
static int32_t queue_and_wait(cfut_promise *self, const void *data, size_t length)
{
    int64_t depth;
    memcpy(&depth, data, length);
    if (depth-- == 0)
        return 0;
    cfut_queue *queue;
    CHECK_OK(cfut_queue_new(&queue));
    cfut_future *future = submit(cfut_executor_current(), queue_and_wait, &depth, sizeof depth);
    CHECK_OK(cfut_queue_add(queue, future, 0));
    cfut_status status = cfut_queue_next(queue, CFUT_FOREVER, NULL, NULL);
    if (status == CFUT_EDEADLK)
        atomic_fetch_add(&stuck, 1);
    else
        CHECK_OK(status);
    cfut_future_release(future);
    cfut_queue_release(queue);
    (void)self;
    return 0;
}

static void more_waits_than_there_can_be_threads(void)
{
    cfut_executor *pool = check_pool(1);
    int64_t depth = 400;
    CHECK_OK(end_of(submit(pool, queue_and_wait, &depth, sizeof depth)));
    CHECK_OK(cfut_quiesce(CFUT_FOREVER)); /* those below the refused one */
    check_close(pool);
    CHECK(stuck >= 1); /* refused, not hung */
}

CHECK_MAIN(CASE(waiting_for_oneself), CASE(waiting_for_oneself_for_a_time),
           CASE(waiting_for_each_other), CASE(waiting_for_each_other_in_two_pools),
           CASE(waiting_for_ones_continuation),
           CASE(waiting_for_ones_continuation_with_a_time_out), CASE(waiting_for_a_join_with_oneself),
           CASE(more_waits_than_there_can_be_threads))
