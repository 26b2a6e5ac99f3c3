/* Loops: cfut_loop_new(), cfut_loop_run(), cfut_loop_fd(). */
#include "views.h"

#include <poll.h>
#include <sys/wait.h>

static cfut_executor *loop_of(void)
{
    cfut_executor *loop = NULL;
    CHECK_OK(cfut_loop_new(NULL, &loop));
    return check_watch(loop);
}

/* Runs what is queued now; how many that were. */
static size_t run_now(cfut_executor *loop)
{
    size_t ran = 99;
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_NOW, &ran), CFUT_TIMEOUT);
    return ran;
}

/* Runs the rest, and lets go. */
static void close_loop(cfut_executor *loop)
{
    (void)cfut_executor_shutdown(loop, 0, CFUT_NOW);
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_FOREVER, NULL), CFUT_END);
    CHECK_OK(cfut_executor_shutdown(loop, 0, CFUT_FOREVER));
    check_unwatch(loop);
    cfut_executor_release(loop);
}

static bool is_readable(int fd)
{
    struct pollfd poll_of = { fd, POLLIN, 0 };
    return poll(&poll_of, 1, 0) == 1 && (poll_of.revents & POLLIN) != 0;
}

/* ---- what runs where ---- */

static int32_t note_thread(cfut_promise *self, const void *data, size_t length)
{
    pthread_t *thread;
    (void)self;
    memcpy(&thread, data, length);
    *thread = pthread_self();
    return 0;
}

static void nothing_runs_by_itself(void)
{
    cfut_executor *loop = loop_of();
    pthread_t thread, *to = &thread;
    cfut_future *future = submit(loop, note_thread, &to, sizeof to);
    CHECK_STATUS(cfut_future_wait(future, CFUT_MSEC(2)), CFUT_TIMEOUT);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING);
    CHECK_EQ(run_now(loop), 1);
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    CHECK(pthread_equal(thread, pthread_self()));
    CHECK_EQ(run_now(loop), 0);
    cfut_future_release(future);
    close_loop(loop);
}

static void every_way_in_and_in_order(void)
{
    cfut_executor *loop = loop_of();
    struct order order = NO_ORDER;
    struct place places[16];
    cfut_task *task = task_of(note_place);
    cfut_buffer *buffer = NULL;
    cfut_future *ready = ended(CFUT_OK), *then;
    for (int i = 0; i < 16; i++)
        places[i] = (struct place){ &order, i };
    CHECK_OK(cfut_submit(loop, note_place, &places[0], sizeof places[0], NULL));
    CHECK_OK(cfut_submit_task(loop, task, &places[1], sizeof places[1], NULL));
    CHECK_OK(cfut_buffer_new(sizeof places[2], 0, &buffer));
    memcpy(cfut_buffer_data(buffer), &places[2], sizeof places[2]);
    CHECK_OK(cfut_submit_buffer(loop, task, buffer, NULL));
    CHECK_OK(cfut_submit_many(loop, task, &places[3], sizeof places[3], 4, NULL));
    CHECK_OK(cfut_future_then(ready, loop, note_then, &places[7], NULL, &then));
    CHECK_EQ(order.count, 0);
    CHECK_EQ(run_now(loop), 8);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(order.seen[i], i);
    CHECK_OK(end_of(then));
    cfut_future_release(ready);
    cfut_buffer_release(buffer);
    cfut_task_free(task);
    close_loop(loop);
}

static void priorities(void)
{
    cfut_executor *loop = loop_of();
    struct order order = NO_ORDER;
    int wanted[] = { 2, 5, 1, 4, 0, 3 };
    for (int i = 0; i < 6; i++) {
        struct place place = { &order, i };
        cfut_future_release(submit_once(loop, task_with(note_place, CFUT_TASK_PRIORITY, i % 3 - 1),
                                        &place, sizeof place));
    }
    CHECK_EQ(run_now(loop), 6);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(order.seen[i], wanted[i]);
    close_loop(loop);
}

static void note_caller(cfut_future *future, void *arg)
{
    (void)future;
    *(pthread_t *)arg = pthread_self();
}

/* Results of a pool come home to the thread that runs the loop. */
static void callbacks_run_in_the_loop(void)
{
    cfut_executor *loop = loop_of(), *pool = check_pool(2);
    pthread_t thread = 0;
    cfut_future *future = submit_nothing(pool);
    CHECK_OK(cfut_future_on_done(future, loop, note_caller, &thread, NULL));
    CHECK_OK(cfut_loop_run(loop, 1, CFUT_FOREVER, NULL));
    CHECK(pthread_equal(thread, pthread_self()));
    cfut_future_release(future);
    check_close(pool);
    close_loop(loop);
}

static void *submit_later(void *arg)
{
    check_sleep(CFUT_MSEC(1));
    CHECK_OK(end_of(submit_nothing(arg)));
    return NULL;
}

static void submits_wake_it(void)
{
    cfut_executor *loop = loop_of();
    for (int i = 0; i < 20; i++) {
        pthread_t thread = thread_start(submit_later, loop);
        size_t ran = 0;
        CHECK_OK(cfut_loop_run(loop, 1, CFUT_FOREVER, &ran));
        CHECK_EQ(ran, 1);
        thread_join(thread);
    }
    close_loop(loop);
}

static int32_t submit_again(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    CHECK_OK(cfut_submit(cfut_executor_current(), submit_again, data, length, NULL));
    return count_task(self, data, length);
}

static void now_does_not_run_what_comes_meanwhile(void)
{
    cfut_executor *loop = loop_of();
    atomic_int count = 0, *to = &count;
    size_t ran;
    CHECK_OK(cfut_submit(loop, submit_again, &to, sizeof to, NULL));
    CHECK_OK(cfut_submit(loop, submit_again, &to, sizeof to, NULL));
    CHECK_EQ(run_now(loop), 2);
    CHECK_EQ(run_now(loop), 2);
    CHECK_OK(cfut_loop_run(loop, 10, CFUT_FOREVER, &ran));
    CHECK_EQ(ran, 10);
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_MSEC(1), &ran), CFUT_TIMEOUT); /* and then it ends */
    CHECK(ran > 0);
    CHECK_OK(cfut_executor_shutdown(loop, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER));
    check_unwatch(loop);
    cfut_executor_release(loop);
}

static void waits_as_long_as_asked(void)
{
    cfut_executor *loop = loop_of();
    size_t ran = 9;
    int64_t begin = check_now();
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_MSEC(20), &ran), CFUT_TIMEOUT);
    CHECK(check_now() - begin >= CFUT_MSEC(20));
    CHECK_EQ(ran, 0);
    close_loop(loop);
}

static void *run_all(void *arg)
{
    CHECK_STATUS(cfut_loop_run(arg, 0, CFUT_FOREVER, NULL), CFUT_END);
    return NULL;
}

static void several_threads_run_it(void)
{
    cfut_executor *loop = loop_of();
    pthread_t threads[3];
    struct crowd crowd = { 0, 0, 0 }, *to = &crowd;
    for (int i = 0; i < 3; i++)
        threads[i] = thread_start(run_all, loop);
    for (int i = 0; i < 5000; i++)
        CHECK_OK(cfut_submit(loop, crowd_task, &to, sizeof to, NULL));
    CHECK_OK(cfut_executor_shutdown(loop, 0, CFUT_FOREVER));
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    CHECK_EQ(atomic_load(&crowd.done), 5000);
    check_unwatch(loop);
    cfut_executor_release(loop);
}

/* ---- the descriptor ---- */

static void descriptor_is_readable_while_tasks_wait(void)
{
    cfut_executor *loop = loop_of();
    cfut_future *future;
    int fd = -1, again = -2;
    CHECK_OK(cfut_loop_fd(loop, &fd));
    CHECK_OK(cfut_loop_fd(loop, &again));
    CHECK_EQ(fd, again);
    CHECK(!is_readable(fd));
    CHECK_OK(cfut_submit(loop, nothing_task, NULL, 0, NULL));
    future = submit_nothing(loop);
    CHECK(is_readable(fd) && is_readable(fd));
    CHECK_OK(cfut_loop_run(loop, 1, CFUT_NOW, NULL));
    CHECK(is_readable(fd));
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    cfut_future_release(future);
    CHECK(!is_readable(fd));
    CHECK_OK(cfut_executor_shutdown(loop, 0, CFUT_NOW));
    CHECK(is_readable(fd)); /* the end is something to see */
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_NOW, NULL), CFUT_END);
    close_loop(loop);
}

static void descriptor_asked_for_late(void)
{
    cfut_executor *loop = loop_of();
    int fd = -1;
    CHECK_OK(cfut_submit(loop, nothing_task, NULL, 0, NULL));
    CHECK_OK(cfut_loop_fd(loop, &fd));
    CHECK(is_readable(fd));
    CHECK_EQ(run_now(loop), 1);
    CHECK(!is_readable(fd));
    close_loop(loop);
}

static void cancelled_tasks_leave_no_memory_behind(void)
{
    cfut_executor *loop = loop_of();
    atomic_int freed = 0;
    for (int i = 0; i < 10000; i++) {
        cfut_future *future = NULL;
        CHECK_OK(cfut_submit_closure(loop, count_closure, &freed, count_free, &future));
        CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
        cfut_future_release(future);
    }
    CHECK_EQ(atomic_load(&freed), 10000);
    CHECK_SOON(check_stat(loop, CFUT_STAT_QUEUED) == 0);
    CHECK_SOON(check_stat(loop, CFUT_STAT_CANCELLED) == 10000);
    CHECK_EQ(run_now(loop), 0);
    close_loop(loop);
}

/* ---- waits in tasks ---- */

/* Task: submits one to the loop it runs in, and waits for it, so deep. */
static int32_t dig(cfut_promise *self, const void *data, size_t length)
{
    int64_t depth;
    cfut_future *inner;
    (void)self;
    memcpy(&depth, data, length);
    if (depth == 0)
        return 0;
    depth--;
    inner = submit(cfut_executor_current(), dig, &depth, sizeof depth);
    CHECK_OK(end_of(inner));
    return 0;
}

static void awaited_tasks_run_in_the_wait(void)
{
    cfut_executor *loop = loop_of();
    int64_t depth = 1000;
    size_t ran;
    cfut_future *future = submit(loop, dig, &depth, sizeof depth);
    CHECK_OK(cfut_loop_run(loop, 1, CFUT_FOREVER, &ran));
    CHECK_EQ(ran, 1); /* the others ran in it */
    CHECK_OK(end_of(future));
    CHECK_SOON(check_stat(loop, CFUT_STAT_SUCCEEDED) == 1001);
    close_loop(loop);
}

struct own {
    cfut_executor *loop;
    cfut_future *future;
};

static int32_t wait_for_itself(cfut_promise *self, const void *data, size_t length)
{
    struct own *own;
    (void)self;
    memcpy(&own, data, length);
    CHECK_STATUS(cfut_future_wait(own->future, CFUT_FOREVER), CFUT_EDEADLK);
    CHECK_STATUS(cfut_future_wait(own->future, CFUT_USEC(10)), CFUT_TIMEOUT);
    CHECK_ERROR(cfut_executor_shutdown(own->loop, 0, CFUT_FOREVER), CFUT_EDEADLK, "CFUT_NOW");
    CHECK_STATUS(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK);
    return 0;
}

static void waits_that_could_never_end(void)
{
    cfut_executor *loop = loop_of();
    struct own own = { loop, NULL }, *to = &own;
    own.future = submit(loop, wait_for_itself, &to, sizeof to);
    CHECK_EQ(run_now(loop), 1);
    CHECK_OK(end_of(own.future));
    close_loop(loop);
}

/* A task of a pool and one of a loop wait for each other. */
struct pair {
    latch both;
    cfut_future *one, *other;
    atomic_int refused;
};

static void meet(struct pair *pair, cfut_future *other)
{
    cfut_status status;
    latch_open(&pair->both);
    latch_wait_for(&pair->both, 3);
    status = cfut_future_wait(other, CFUT_FOREVER);
    CHECK(status == CFUT_OK || status == CFUT_EDEADLK);
    if (status == CFUT_EDEADLK)
        atomic_fetch_add(&pair->refused, 1);
}

static int32_t wait_for_other(cfut_promise *self, void *arg)
{
    (void)self;
    meet(arg, ((struct pair *)arg)->other);
    return 0;
}

static int32_t wait_for_one(cfut_promise *self, void *arg)
{
    (void)self;
    meet(arg, ((struct pair *)arg)->one);
    return 0;
}

static void waits_for_each_other_with_a_pool(void)
{
    cfut_executor *loop = loop_of(), *pool = check_pool(1);
    struct pair pair = { LATCH_CLOSED, NULL, NULL, 0 };
    CHECK_OK(cfut_submit_closure(loop, wait_for_other, &pair, NULL, &pair.one));
    CHECK_OK(cfut_submit_closure(pool, wait_for_one, &pair, NULL, &pair.other));
    latch_open(&pair.both);
    CHECK_OK(cfut_loop_run(loop, 1, CFUT_FOREVER, NULL));
    CHECK_OK(end_of(pair.other));
    CHECK_OK(end_of(pair.one));
    CHECK_EQ(atomic_load(&pair.refused), 1);
    check_close(pool);
    close_loop(loop);
}

static int32_t run_own_loop(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *loop;
    size_t ran = 7;
    (void)self;
    memcpy(&loop, data, length);
    CHECK(cfut_executor_current() == loop);
    CHECK_ERROR(cfut_loop_run(loop, 0, CFUT_NOW, &ran), CFUT_EDEADLK, "same loop");
    CHECK_EQ(ran, 0);
    return 0;
}

static int32_t run_other_loop(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *loop, *here = cfut_executor_current();
    (void)self;
    memcpy(&loop, data, length);
    CHECK_OK(cfut_submit(loop, nothing_task, NULL, 0, NULL));
    CHECK_EQ(run_now(loop), 1);
    CHECK(cfut_executor_current() == here);
    CHECK_OK(end_of(submit_nothing(here))); /* it is still a worker of its own */
    return 0;
}

static void run_in_a_task(void)
{
    cfut_executor *loop = loop_of(), *other = loop_of(), *pool = check_pool(1);
    cfut_future *own = submit(loop, run_own_loop, &loop, sizeof loop), *nested;
    CHECK_EQ(run_now(loop), 1);
    CHECK_OK(end_of(own));
    nested = submit(loop, run_other_loop, &other, sizeof other);
    CHECK_OK(cfut_loop_run(loop, 1, CFUT_FOREVER, NULL));
    CHECK_OK(end_of(nested));
    CHECK_OK(end_of(submit(pool, run_other_loop, &other, sizeof other)));
    CHECK(cfut_executor_current() == NULL);
    check_close(pool);
    close_loop(other);
    close_loop(loop);
}

/* ---- time-outs ---- */

static void time_outs_pass_while_it_waits(void)
{
    cfut_executor *loop = loop_of();
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped;
    cfut_task *task = task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(2));
    atomic_int called = 0;
    CHECK_OK(cfut_future_pipe(input, loop, task, &piped));
    CHECK_OK(cfut_future_on_done(piped, NULL, count_done, &called, NULL));
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_MSEC(20), NULL), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_future_wait(piped, CFUT_NOW), CFUT_EXPIRED);
    CHECK_EQ(atomic_load(&called), 1);
    cfut_future_release(piped);
    cfut_future_release(input);
    cfut_promise_release(promise);
    cfut_task_free(task);
    close_loop(loop);
}

static void late_tasks_do_not_start(void)
{
    cfut_executor *loop = loop_of();
    cfut_future *late = submit_once(
        loop, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_USEC(10)), NULL, 0);
    check_sleep(CFUT_MSEC(1));
    CHECK_EQ(run_now(loop), 0);
    CHECK_STATUS(end_of(late), CFUT_EXPIRED);
    close_loop(loop);
}

static void waiters_see_time_outs(void)
{
    cfut_executor *loop = loop_of(), *view = view_of(loop, 1);
    cfut_future *late = submit_once(
        loop, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(1)), NULL, 0);
    CHECK_STATUS(end_of(late), CFUT_EXPIRED); /* nobody runs it */
    for (int i = 0; i < 2; i++) { /* the second waits in the view */
        late = submit_once(view, task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(1)),
                           NULL, 0);
        if (i == 0)
            CHECK_OK(cfut_submit(view, nothing_task, NULL, 0, NULL));
        CHECK_STATUS(end_of(late), CFUT_EXPIRED);
    }
    CHECK_STATUS(cfut_executor_shutdown(view, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER), CFUT_OK);
    check_close(view);
    close_loop(loop);
}

static int32_t ask_until_told(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    CHECK_SOON(cfut_promise_stop_requested(self));
    return 0;
}

static void running_tasks_see_their_time_out(void)
{
    cfut_executor *loop = loop_of();
    cfut_future *future = submit_once(
        loop, task_with(ask_until_told, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(2)), NULL, 0);
    CHECK_EQ(run_now(loop), 1);
    CHECK_STATUS(end_of(future), CFUT_EXPIRED);
    close_loop(loop);
}

/* ---- the end ---- */

static void shut_down_runs_the_rest(void)
{
    cfut_executor *loop = loop_of();
    atomic_int count = 0, *to = &count;
    size_t ran = 0;
    for (int i = 0; i < 5; i++)
        CHECK_OK(cfut_submit(loop, count_task, &to, sizeof to, NULL));
    CHECK_STATUS(cfut_executor_shutdown(loop, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_executor_shutdown(loop, 0, CFUT_MSEC(1)), CFUT_TIMEOUT); /* nobody runs it */
    CHECK_ERROR(cfut_submit(loop, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN, "loop");
    CHECK_OK(cfut_loop_run(loop, 2, CFUT_FOREVER, &ran));
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_FOREVER, &ran), CFUT_END);
    CHECK_EQ(ran, 3);
    CHECK_EQ(atomic_load(&count), 5);
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_FOREVER, &ran), CFUT_END);
    CHECK_EQ(ran, 0);
    CHECK_STATUS(cfut_executor_warm(loop, CFUT_NOW), CFUT_ESHUTDOWN);
    close_loop(loop);
}

static void shut_down_cancels(void)
{
    cfut_executor *loop = loop_of();
    cfut_future *future = submit_nothing(loop);
    CHECK_OK(cfut_executor_shutdown(loop, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER));
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    close_loop(loop);
}

static void *stop_later(void *arg)
{
    check_sleep(CFUT_MSEC(2));
    (void)cfut_executor_shutdown(arg, 0, CFUT_NOW);
    return NULL;
}

static void shut_down_by_another_thread(void)
{
    cfut_executor *loop = loop_of();
    pthread_t thread = thread_start(stop_later, loop);
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_FOREVER, NULL), CFUT_END);
    thread_join(thread);
    close_loop(loop);
}

static int32_t stop_own(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    CHECK_STATUS(cfut_executor_shutdown(cfut_executor_current(), 0, CFUT_NOW), CFUT_TIMEOUT);
    return 0;
}

static void a_task_stops_it(void)
{
    cfut_executor *loop = loop_of();
    CHECK_OK(cfut_submit(loop, stop_own, NULL, 0, NULL));
    CHECK_OK(cfut_submit(loop, nothing_task, NULL, 0, NULL));
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_FOREVER, NULL), CFUT_END);
    close_loop(loop);
}

static void detached_tasks_delay_the_end(void)
{
    cfut_executor *loop = loop_of();
    struct detached detached = { LATCH_CLOSED, NULL }, *to = &detached;
    cfut_future *future = submit(loop, detach_task, &to, sizeof to);
    CHECK_EQ(run_now(loop), 1);
    CHECK_SOON(check_stat(loop, CFUT_STAT_RUNNING) == 1);
    CHECK_STATUS(cfut_executor_shutdown(loop, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_quiesce(CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_promise_set_bytes(detached.promise, "x", 1));
    cfut_promise_release(detached.promise);
    CHECK_OK(cfut_executor_shutdown(loop, 0, CFUT_FOREVER));
    CHECK_OK(end_of(future));
    close_loop(loop);
}

static void released_with_work(void)
{
    cfut_executor *loop = NULL;
    atomic_int called = 0, freed = 0;
    struct order order = NO_ORDER;
    struct place place = { &order, 3 };
    cfut_future *ready = ended(CFUT_OK), *future, *then, *cancelled;
    CHECK_OK(cfut_loop_new(NULL, &loop));
    CHECK_OK(cfut_submit_closure(loop, count_closure, &freed, count_free, &future));
    CHECK_OK(cfut_submit_closure(loop, count_closure, &freed, count_free, &cancelled));
    CHECK_OK(cfut_future_on_done(ready, loop, count_done, &called, NULL));
    CHECK_OK(cfut_future_then(ready, loop, note_then, &place, NULL, &then));
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    cfut_executor_release(loop);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_BROKEN);
    CHECK(strstr(cfut_future_message(future), "released") != NULL);
    CHECK_STATUS(end_of(cancelled), CFUT_CANCELLED);
    CHECK_EQ(atomic_load(&freed), 2);
    CHECK_EQ(atomic_load(&called), 1);
    CHECK_OK(end_of(then));
    CHECK_EQ(order.count, 1);
    cfut_future_release(future);
    cfut_future_release(ready);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
}

static void comes_too_late(void)
{
    cfut_executor *loop = loop_of();
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped, *timed;
    cfut_task *task = task_of(nothing_task);
    cfut_task *with_time = task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000));
    atomic_int called = 0;
    CHECK_OK(cfut_future_pipe(input, loop, task, &piped));
    CHECK_OK(cfut_future_pipe(input, loop, with_time, &timed));
    CHECK_OK(cfut_future_on_done(input, loop, count_done, &called, NULL));
    CHECK_OK(cfut_executor_shutdown(loop, 0, CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(timed, CFUT_NOW), CFUT_BROKEN);
    CHECK_OK(cfut_promise_set_bytes(promise, "", 0));
    CHECK_EQ(atomic_load(&called), 1);
    CHECK_OK(end_of(piped)); /* in this thread */
    cfut_future_release(timed);
    cfut_future_release(input);
    cfut_promise_release(promise);
    cfut_task_free(task);
    cfut_task_free(with_time);
    close_loop(loop);
}

/* ---- options, figures, surroundings ---- */

static void options_that_make_no_sense(void)
{
    static const struct {
        int32_t key;
        int64_t value;
    } refused[] = {
        { CFUT_OPT_WORKERS, 1 },     { CFUT_OPT_MIN_WORKERS, 0 },
        { CFUT_OPT_IDLE_NS, 1 },     { CFUT_OPT_STACK_SIZE, 1 << 20 },
        { CFUT_OPT_NICE, 1 },        { CFUT_OPT_SPIN_NS, 0 },
        { CFUT_OPT_TASKS_PER_WORKER, 1 }, { CFUT_OPT_WAITERS_HELP, 1 },
        { CFUT_OPT_FULL_POLICY, CFUT_FULL_RUN_IN_CALLER },
    };
    cfut_executor *loop = NULL;
    cfut_task *task = task_of(nothing_task);
    cfut_options *options;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        options = cfut_options_new();
        CHECK_OK(cfut_options_set(options, refused[i].key, refused[i].value));
        CHECK_ERROR(cfut_loop_new(options, &loop), CFUT_ENOTSUP, "loops");
        cfut_options_free(options);
    }
    options = cfut_options_new();
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    CHECK_ERROR(cfut_loop_new(options, &loop), CFUT_ENOTSUP, "loops");
    cfut_options_free(options);
    cfut_task_free(task);
    CHECK(loop == NULL);
}

static void other_executors_are_no_loops(void)
{
    cfut_executor *pool = check_pool(1), *loop = loop_of(), *view = view_of(loop, 1);
    size_t ran = 9;
    int fd = -9;
    CHECK_ERROR(cfut_loop_run(pool, 0, CFUT_NOW, &ran), CFUT_ENOTSUP, "no loop");
    CHECK_EQ(ran, 0);
    CHECK_ERROR(cfut_loop_fd(pool, &fd), CFUT_ENOTSUP, "no loop");
    CHECK_ERROR(cfut_loop_run(view, 0, CFUT_NOW, &ran), CFUT_ENOTSUP, "no loop");
    CHECK_EQ(fd, -9);
    check_close(view);
    check_close(pool);
    close_loop(loop);
}

static int32_t submit_ten(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    for (int i = 0; i < 10; i++)
        CHECK_OK(cfut_submit(cfut_executor_current(), nothing_task, NULL, 0, NULL));
    return 0;
}

static void bounds(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *loop = NULL;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 2));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_TIMEOUT_NS, CFUT_MSEC(1)));
    CHECK_OK(cfut_loop_new(options, &loop));
    cfut_options_free(options);
    for (int round = 0; round < 3; round++) {
        CHECK_OK(cfut_submit(loop, submit_ten, NULL, 0, NULL));
        CHECK_OK(cfut_submit(loop, nothing_task, NULL, 0, NULL));
        CHECK_STATUS(cfut_submit(loop, nothing_task, NULL, 0, NULL), CFUT_EFULL);
        CHECK_EQ(run_now(loop), 2);
        CHECK_EQ(run_now(loop), 10); /* its own went in */
    }
    close_loop(loop);
}

static void figures(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *loop = NULL;
    char text[2048];
    size_t length;
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, "home"));
    CHECK_OK(cfut_loop_new(options, &loop));
    cfut_options_free(options);
    cfut_future_release(submit_once(loop, task_named(nothing_task, "first one"), NULL, 0));
    CHECK_OK(cfut_submit(loop, nothing_task, NULL, 0, NULL));
    CHECK_SOON(check_stat(loop, CFUT_STAT_QUEUED) == 2);
    CHECK_EQ(check_stat(loop, CFUT_STAT_SUBMITTED), 2);
    CHECK_EQ(check_stat(loop, CFUT_STAT_WORKERS), 0);
    CHECK(check_stat(loop, CFUT_STAT_OLDEST_QUEUED_NS) > 0);
    CHECK_OK(cfut_executor_snapshot(loop, text, sizeof text, &length));
    CHECK(strstr(text, "\"kind\":\"loop\"") && strstr(text, "home") && strstr(text, "first one"));
    CHECK_EQ(run_now(loop), 2);
    CHECK_SOON(check_stat(loop, CFUT_STAT_SUCCEEDED) == 2);
    CHECK_SOON(check_stat(loop, CFUT_STAT_QUEUED) == 0);
    CHECK_OK(cfut_executor_warm(loop, CFUT_NOW));
    close_loop(loop);
}

static void views_of_loops(void)
{
    cfut_executor *loop = loop_of(), *view = view_of(loop, 1);
    struct order order = NO_ORDER;
    for (int i = 0; i < 50; i++) {
        struct place place = { &order, i };
        CHECK_OK(cfut_submit(view, note_place, &place, sizeof place, NULL));
    }
    CHECK_SOON(check_stat(loop, CFUT_STAT_QUEUED) == 1);
    CHECK_EQ(run_now(loop), 1); /* the next comes with its end */
    CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_loop_run(loop, 49, CFUT_FOREVER, NULL));
    for (int i = 0; i < 50; i++)
        CHECK_EQ(order.seen[i], i);
    check_close(view);
    close_loop(loop);
}

static int32_t leave(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
    return 0;
}

static void *run_one(void *arg)
{
    (void)cfut_loop_run(arg, 1, CFUT_FOREVER, NULL);
    return NULL;
}

static void thread_that_ends_in_a_task(void)
{
    cfut_executor *loop = loop_of();
    cfut_future *future = submit(loop, leave, NULL, 0);
    thread_join(thread_start(run_one, loop));
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED);
    cfut_future_release(future);
    CHECK_EQ(check_stat(loop, CFUT_STAT_WORKERS), 0);
    CHECK_SOON(check_stat(loop, CFUT_STAT_RUNNING) == 0);
    CHECK_OK(cfut_submit(loop, nothing_task, NULL, 0, NULL));
    CHECK_EQ(run_now(loop), 1);
    close_loop(loop);
}

static int32_t fork_in_a_task(cfut_promise *self, const void *data, size_t length)
{
    pid_t *child;
    (void)self;
    memcpy(&child, data, length);
    *child = fork();
    CHECK(*child >= 0);
    return 0;
}

static void forked(void)
{
    cfut_executor *loop = loop_of(), *mine = NULL;
    pid_t child = -1, *to = &child;
    size_t ran;
    int status, fd;
    cfut_status answer;
    CHECK_OK(cfut_submit(loop, fork_in_a_task, &to, sizeof to, NULL));
    answer = cfut_loop_run(loop, 1, CFUT_FOREVER, &ran);
    if (child == 0) {
        CHECK_EQ(answer, CFUT_EFORKED);
        CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_NOW, &ran), CFUT_EFORKED);
        CHECK_STATUS(cfut_loop_fd(loop, &fd), CFUT_EFORKED);
        CHECK_STATUS(cfut_submit(loop, nothing_task, NULL, 0, NULL), CFUT_EFORKED);
        cfut_executor_release(loop);
        CHECK_OK(cfut_loop_new(NULL, &mine));
        CHECK_OK(cfut_submit(mine, nothing_task, NULL, 0, NULL));
        CHECK_EQ(run_now(mine), 1);
        _exit(0);
    }
    CHECK_OK(answer);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    close_loop(loop);
}

CHECK_MAIN(CASE(nothing_runs_by_itself), CASE(every_way_in_and_in_order), CASE(priorities),
           CASE(callbacks_run_in_the_loop), CASE(submits_wake_it),
           CASE(now_does_not_run_what_comes_meanwhile), CASE(waits_as_long_as_asked),
           CASE(several_threads_run_it), CASE(descriptor_is_readable_while_tasks_wait),
           CASE(descriptor_asked_for_late), CASE(cancelled_tasks_leave_no_memory_behind),
           CASE(awaited_tasks_run_in_the_wait), CASE(waits_that_could_never_end),
           CASE(waits_for_each_other_with_a_pool), CASE(run_in_a_task),
           CASE(time_outs_pass_while_it_waits), CASE(late_tasks_do_not_start),
           CASE(waiters_see_time_outs), CASE(running_tasks_see_their_time_out),
           CASE(shut_down_runs_the_rest), CASE(shut_down_cancels),
           CASE(shut_down_by_another_thread), CASE(a_task_stops_it),
           CASE(detached_tasks_delay_the_end), CASE(released_with_work), CASE(comes_too_late),
           CASE(options_that_make_no_sense), CASE(other_executors_are_no_loops), CASE(bounds),
           CASE(figures), CASE(views_of_loops), CASE(thread_that_ends_in_a_task), CASE(forked))
