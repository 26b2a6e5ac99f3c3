/* Tasks that are settled in the queues of threads, views and loops. */
#include "leftovers.h"
#include "views.h"

/* Tasks that submit and wait for as long as the program runs: nothing stays behind in the queues,
 * whatever the order in which they wait, or cancel, and also while nobody else looks into them. What
 * one leaves while the other does not go on stays: half a KiB a round, were it never cleared. */
#define KEPT 70

struct without_end {
    cfut_executor *pool;
    cfut_task *low;
    long rounds;
};

#define EACH 6

/* Two of each: by themselves, with a low priority, several at once. */
static void submit_each_way(const struct without_end *work, cfut_task *plain, cfut_future **futures)
{
    for (int i = 0; i < 2; i++) {
        CHECK_OK(cfut_submit(work->pool, nothing_task, NULL, 0, &futures[i]));
        CHECK_OK(cfut_submit_task(work->pool, work->low, NULL, 0, &futures[2 + i]));
    }
    CHECK_OK(cfut_submit_many(work->pool, plain, "ab", 1, 2, &futures[4]));
}

static void submit_wait_and_cancel(const struct without_end *work, cfut_task *plain)
{
    static const int order[EACH] = { 1, 3, 0, 2, 4, 5 };
    cfut_future *futures[EACH];
    submit_each_way(work, plain, futures);
    for (int i = 0; i < EACH; i++) {
        cfut_future *future = futures[order[i]];
        if (i == 1)
            cfut_future_cancel(future, 0); /* the other worker may have run it */
        else
            CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
}

static int32_t without_end_task(cfut_promise *self, const void *data, size_t length)
{
    struct without_end work;
    cfut_future *kept[KEPT];
    (void)self;
    memcpy(&work, data, length);
    for (int i = 0; i < KEPT; i++)
        CHECK_OK(cfut_submit(work.pool, nothing_task, NULL, 0, &kept[i]));
    cfut_task *plain;
    CHECK_OK(cfut_task_new(nothing_task, &plain));
    int64_t before = 0;
    for (long i = 0; i < work.rounds; i++) {
        if (i == work.rounds / 10)
            before = resident_kib();
        submit_wait_and_cancel(&work, plain);
    }
    CHECK(resident_kib() < before + 16 * 1024);
    cfut_task_free(plain);
    for (int i = 0; i < KEPT; i++)
        CHECK_OK(end_of(kept[i]));
    return 0;
}

static void tasks_without_end_leave_nothing_behind(void)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct without_end work = { check_pool(workers), NULL, 60000 };
        CHECK_OK(cfut_task_new(nothing_task, &work.low));
        CHECK_OK(cfut_task_set(work.low, CFUT_TASK_PRIORITY, -1));
        cfut_future *futures[2];
        for (unsigned i = 0; i < workers; i++)
            CHECK_OK(cfut_submit(work.pool, without_end_task, &work, sizeof work, &futures[i]));
        for (unsigned i = 0; i < workers; i++)
            CHECK_OK(end_of(futures[i]));
        cfut_task_free(work.low);
        check_close(work.pool);
    }
}

/* The one that may run does not come back. */
static void hold_and_give_up(cfut_executor *executor)
{
    gate gate = GATE_CLOSED;
    cfut_future *held = gate_submit(executor, &gate);
    submit_and_give_up(executor, task_of(nothing_task));
    latch_open(&gate.open);
    CHECK_OK(end_of(held));
    check_close(executor);
}

/* The queue is bounded: what was given up needs no room, and no memory. */
static void threads_do_not_come_back(void)
{
    cfut_options *options = options_of(1);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, ELDER + WAITING + 1));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    hold_and_give_up(check_pool_with(options));
}

static void place_of_a_view_is_held(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    hold_and_give_up(view);
    check_close(pool);
}

static void nobody_runs_the_loop(void)
{
    cfut_executor *loop;
    CHECK_OK(cfut_loop_new(NULL, &loop));
    submit_and_give_up(loop, task_of(nothing_task));
    cfut_executor_release(loop);
}

CHECK_MAIN(CASE(tasks_without_end_leave_nothing_behind), CASE(threads_do_not_come_back),
           CASE(place_of_a_view_is_held), CASE(nobody_runs_the_loop))
