/* The end of an executor: each step of it, each flag, and what is refused afterwards. */
#include "parts.h"

static void nothing_is_accepted_any_more(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_task *task = task_of(nothing_task);
    cfut_buffer *buffer;
    atomic_int freed = 0;
    CHECK_OK(cfut_buffer_new(8, 0, &buffer));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN, "shut down");
    CHECK_STATUS(cfut_submit_task(pool, task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    CHECK_STATUS(cfut_submit_buffer(pool, task, buffer, NULL), CFUT_ESHUTDOWN);
    CHECK_STATUS(cfut_submit_closure(pool, count_closure, &freed, count_free, NULL), CFUT_ESHUTDOWN);
    CHECK_EQ(freed, 1);
    CHECK_STATUS(cfut_submit_many(pool, task, "x", 1, 1, NULL), CFUT_ESHUTDOWN);
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_NOW), CFUT_ESHUTDOWN);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0); /* the handle stays valid */
    cfut_buffer_release(buffer);
    cfut_task_free(task);
    check_close(pool);
}

static void of_a_pool_that_never_worked(void)
{
    cfut_executor *pool = check_pool(4);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_NOW));
    check_close(pool);
    cfut_executor *unused = check_pool(4);
    check_unwatch(unused);
    cfut_executor_release(unused);
}

static int live_threads(void)
{
    char path[64], text[256];
    int threads = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)getpid());
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (fgets(text, sizeof text, file) != NULL)
        sscanf(text, "Threads: %d", &threads);
    fclose(file);
    return threads;
}

static void threads_have_gone_afterwards(void)
{
    int before = live_threads();
    for (int round = 0; round < 5; round++) {
        cfut_executor *pool = check_pool(8);
        CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
        cfut_task *task = task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(50));
        CHECK_OK(end_of(submit_once(pool, task, NULL, 0))); /* the monitor as well */
        CHECK(live_threads() >= before + 8);
        check_close(pool);
        CHECK_SOON(live_threads() <= before); /* joined; the kernel counts them a moment longer */
    }
}

static void queued_work_runs_first(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int ran = 0, *data = &ran;
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 100; i++)
        CHECK_OK(cfut_submit(pool, count_task, &data, sizeof data, NULL));
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_MSEC(2)), CFUT_TIMEOUT);
    CHECK_EQ(ran, 0);
    latch_open(&gate.open);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER)); /* again, to wait longer */
    CHECK_EQ(ran, 100);
    check_close(pool);
}

static void cancel_settles_everything_queued(void)
{
    cfut_executor *pool = check_pool(2);
    gate gate = GATE_CLOSED, *data = &gate;
    cfut_future *running[2], *queued[50];
    atomic_int freed = 0;
    for (int i = 0; i < 2; i++)
        running[i] = gate_submit(pool, &gate);
    for (int i = 0; i < 50; i++) {
        if (i % 2 == 0)
            queued[i] = submit(pool, gate_task, &data, sizeof data);
        else
            CHECK_OK(cfut_submit_closure(pool, count_closure, &freed, count_free, &queued[i]));
    }
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    for (int i = 0; i < 50; i++)
        CHECK_STATUS(cfut_future_wait(queued[i], CFUT_NOW), CFUT_CANCELLED);
    CHECK_EQ(freed, 25);
    latch_open(&gate.open);
    for (int i = 0; i < 2; i++)
        CHECK_OK(end_of(running[i])); /* these are left alone */
    for (int i = 0; i < 50; i++)
        cfut_future_release(queued[i]);
    check_close(pool);
}

static void more_flags_later(void)
{
    cfut_executor *pool = check_pool(1);
    latch entered = LATCH_CLOSED, *data = &entered;
    cfut_future *running = submit(pool, obedient_task, &data, sizeof data);
    latch_wait(&entered);
    cfut_future *queued = submit_nothing(pool);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_EQ(cfut_future_state(queued), CFUT_STATE_PENDING);
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(end_of(queued), CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(running), CFUT_STATE_RUNNING);
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_STOP, CFUT_FOREVER));
    CHECK_STATUS(end_of(running), CFUT_CANCELLED);
    check_close(pool);
}

struct seen_stop {
    gate gate;
    atomic_int stop;
};

static int32_t note_stop(cfut_promise *self, const void *data, size_t length)
{
    struct seen_stop *seen;
    memcpy(&seen, data, length);
    latch_open(&seen->gate.entered);
    latch_wait(&seen->gate.open);
    atomic_store(&seen->stop, cfut_promise_stop_requested(self));
    return 0;
}

/* How a task ends that the shutdown asks to stop and that does not heed it. */
static cfut_status outcome_of_a_stubborn_task(uint32_t flags, int *stop)
{
    cfut_executor *pool = check_pool(1);
    struct seen_stop seen = { GATE_CLOSED, 9 }, *data = &seen;
    cfut_future *future = submit(pool, note_stop, &data, sizeof data);
    latch_wait(&seen.gate.entered);
    CHECK_STATUS(cfut_executor_shutdown(pool, flags, CFUT_NOW), CFUT_TIMEOUT);
    latch_open(&seen.gate.open);
    check_close(pool);
    *stop = seen.stop;
    return end_of(future);
}

static void stop_flag_is_raised_if_asked(void)
{
    int stop;
    CHECK_OK(outcome_of_a_stubborn_task(0, &stop));
    CHECK_EQ(stop, 0);
    CHECK_OK(outcome_of_a_stubborn_task(CFUT_SHUTDOWN_CANCEL, &stop));
    CHECK_EQ(stop, 0);
    CHECK_OK(outcome_of_a_stubborn_task(CFUT_SHUTDOWN_STOP, &stop));
    CHECK_EQ(stop, 1);
}

/* Threads cannot be killed: these act as STOP. */
static void kill_and_term_act_as_stop(void)
{
    int stop;
    CHECK_OK(outcome_of_a_stubborn_task(CFUT_SHUTDOWN_KILL, &stop));
    CHECK_EQ(stop, 1);
    CHECK_OK(outcome_of_a_stubborn_task(CFUT_SHUTDOWN_TERM, &stop));
    CHECK_EQ(stop, 1);
}

static void unknown_flags(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_ERROR(cfut_executor_shutdown(pool, 16, CFUT_FOREVER), CFUT_EINVAL, "0x10");
    CHECK_OK(end_of(submit_nothing(pool))); /* nothing has happened */
    CHECK_STATUS(cfut_executor_shutdown(NULL, 0, CFUT_NOW), CFUT_EINVAL);
    check_close(pool);
}

struct closer {
    cfut_executor *pool;
    latch started;
    cfut_status status;
};

static void *close_there(void *arg)
{
    struct closer *closer = arg;
    latch_open(&closer->started);
    closer->status = cfut_executor_shutdown(closer->pool, 0, CFUT_FOREVER);
    return NULL;
}

static void by_several_threads(void)
{
    cfut_executor *pool = check_pool(2);
    struct closer closers[4];
    pthread_t threads[4];
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 4; i++) {
        closers[i] = (struct closer){ pool, LATCH_CLOSED, CFUT_EINVAL };
        threads[i] = thread_start(close_there, &closers[i]);
        latch_wait(&closers[i].started);
    }
    latch_open(&gate.open);
    for (int i = 0; i < 4; i++) {
        thread_join(threads[i]);
        CHECK_OK(closers[i].status);
    }
    check_close(pool);
}

static int32_t submit_when_closing(cfut_promise *self, const void *data, size_t length)
{
    (void)gate_task(self, data, length);
    CHECK_STATUS(cfut_submit(cfut_executor_current(), nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    return 0;
}

/* Tasks that still run cannot submit either. */
static void nested_submits_are_refused(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED, *data = &gate;
    cfut_future *future = submit(pool, submit_when_closing, &data, sizeof data);
    latch_wait(&gate.entered);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    latch_open(&gate.open);
    CHECK_OK(end_of(future));
    check_close(pool);
}

/* ---- detached tasks ---- */

static void waits_for_detached_tasks(void)
{
    cfut_executor *pool = check_pool(1);
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    cfut_future *future = submit(pool, detach_task, &data, sizeof data);
    latch_wait(&detached.kept);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_MSEC(5)), CFUT_TIMEOUT);
    CHECK_EQ(cfut_promise_stop_requested(detached.promise), 0);
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_STOP, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_EQ(cfut_promise_stop_requested(detached.promise), 1);
    CHECK_OK(cfut_promise_set_bytes(detached.promise, "x", 1));
    cfut_promise_release(detached.promise);
    CHECK_OK(end_of(future));
    check_close(pool);
}

/* ---- release ---- */

static void last_release_lets_accepted_work_run(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *futures[10];
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 10; i++)
        futures[i] = submit_nothing(pool);
    check_unwatch(pool);
    CHECK(cfut_executor_retain(pool) == pool);
    cfut_executor_release(pool);
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, NULL)); /* there is another handle */
    cfut_executor_release(pool); /* does not block */
    latch_open(&gate.open);
    for (int i = 0; i < 10; i++)
        CHECK_OK(end_of(futures[i]));
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
}

static latch submitted = LATCH_CLOSED;

/* Task: once the call that submitted it needs the handle no more. */
static int32_t release_own_pool(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool;
    (void)self;
    memcpy(&pool, data, length);
    latch_wait(&submitted);
    cfut_executor_release(pool);
    return 0;
}

static void released_by_a_task_of_its_own(void)
{
    cfut_executor *pool = check_pool(2);
    check_unwatch(pool);
    int before = live_threads();
    cfut_future *future = submit(pool, release_own_pool, &pool, sizeof pool);
    latch_open(&submitted);
    CHECK_OK(end_of(future));
    CHECK_SOON(live_threads() <= before); /* its threads go by themselves */
}

static int32_t shut_other_pool(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool;
    (void)self;
    memcpy(&pool, data, length);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    return 0;
}

static void of_another_pool_from_a_task(void)
{
    cfut_executor *pools[2] = { check_pool(1), check_pool(1) };
    CHECK_OK(end_of(submit_nothing(pools[1])));
    CHECK_OK(end_of(submit(pools[0], shut_other_pool, &pools[1], sizeof pools[1])));
    CHECK_STATUS(cfut_submit(pools[1], nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    check_close(pools[0]);
    check_close(pools[1]);
}

static void callback_cancels(cfut_future *future, void *arg)
{
    latch_open(arg);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_CANCELLED);
}

/* Callbacks of futures that a shutdown cancels run in the thread that shuts down. */
static void callbacks_run_within_it(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    latch called = LATCH_CLOSED;
    gate_hold(pool, &gate);
    cfut_future *future = submit_nothing(pool);
    CHECK_OK(cfut_future_on_done(future, NULL, callback_cancels, &called, NULL));
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_EQ(latch_count(&called), 1);
    latch_open(&gate.open);
    cfut_future_release(future);
    check_close(pool);
}

/* Accepted work is settled, one way or the other, whatever happens at the same time. */
static void nothing_is_lost(void)
{
    for (int round = 0; round < 50; round++) {
        cfut_executor *pool = check_pool(1 + round % 3);
        cfut_future *futures[64];
        int ran = 0, cancelled = 0;
        for (int i = 0; i < 64; i++)
            futures[i] = submit_nothing(pool);
        CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER));
        for (int i = 0; i < 64; i++) {
            cfut_status status = cfut_future_wait(futures[i], CFUT_NOW);
            ran += status == CFUT_OK;
            cancelled += status == CFUT_CANCELLED;
            cfut_future_release(futures[i]);
        }
        CHECK_EQ(ran + cancelled, 64);
        CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), ran);
        CHECK_EQ(check_stat(pool, CFUT_STAT_CANCELLED), cancelled);
        check_close(pool);
    }
}

CHECK_MAIN(CASE(nothing_is_accepted_any_more), CASE(of_a_pool_that_never_worked),
           CASE(threads_have_gone_afterwards), CASE(queued_work_runs_first),
           CASE(cancel_settles_everything_queued), CASE(more_flags_later),
           CASE(stop_flag_is_raised_if_asked), CASE(kill_and_term_act_as_stop), CASE(unknown_flags),
           CASE(by_several_threads), CASE(nested_submits_are_refused),
           CASE(waits_for_detached_tasks), CASE(last_release_lets_accepted_work_run),
           CASE(released_by_a_task_of_its_own), CASE(of_another_pool_from_a_task),
           CASE(callbacks_run_within_it), CASE(nothing_is_lost))
