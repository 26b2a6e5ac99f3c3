/* Limited views: how they and their parents end, waits in their tasks, figures, surroundings. */
#include "views.h"

#include <sys/wait.h>

/* ---- the end ---- */

static void refuses_nonsense(void)
{
    cfut_executor *pool = check_pool(1), *view = NULL;
    CHECK_ERROR(cfut_limited_new(pool, 0, &view), CFUT_EINVAL, "max_running is 0");
    CHECK(view == NULL);
    check_close(pool);
}

static void parent_is_dead(void)
{
    cfut_executor *pool = check_pool(1), *view = view_of(pool, 2), *inner = view_of(view, 1), *none;
    cfut_future *ready = ended(CFUT_OK), *then, *piped;
    cfut_task *task = task_of(nothing_task);
    cfut_task *timed = task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000));
    atomic_int called = 0;
    struct order order = NO_ORDER;
    struct place place = { &order, 5 };
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_ERROR(cfut_limited_new(pool, 1, &none), CFUT_ESHUTDOWN, "shut down");
    CHECK_ERROR(cfut_limited_new(inner, 1, &none), CFUT_ESHUTDOWN, "shut down");
    CHECK_ERROR(cfut_submit(view, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN, "shut down");
    CHECK_ERROR(cfut_submit(inner, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN, "shut down");
    CHECK_STATUS(cfut_executor_warm(inner, CFUT_FOREVER), CFUT_ESHUTDOWN);
    CHECK_OK(cfut_future_on_done(ready, inner, count_done, &called, NULL));
    CHECK_EQ(atomic_load(&called), 1); /* in this thread, as with any executor that is shut down */
    CHECK_OK(cfut_future_then(ready, inner, note_then, &place, NULL, &then));
    CHECK_OK(end_of(then));
    CHECK_OK(cfut_future_pipe(ready, view, task, &piped));
    CHECK_OK(end_of(piped));
    CHECK_STATUS(cfut_future_pipe(ready, view, timed, &piped), CFUT_ESHUTDOWN);
    cfut_task_free(task);
    cfut_task_free(timed);
    cfut_future_release(ready);
    check_close(inner);
    close_both(view, pool);
}

static void view_under_a_view_is_dead(void)
{
    cfut_executor *pool = check_pool(1), *view = view_of(pool, 1), *inner = view_of(view, 1);
    gate gate = GATE_CLOSED;
    cfut_future *waiting;
    gate_hold(inner, &gate);
    waiting = submit_nothing(inner);
    CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_ERROR(cfut_submit(inner, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN, "view");
    latch_open(&gate.open);
    CHECK_STATUS(cfut_future_wait(waiting, CFUT_FOREVER), CFUT_BROKEN);
    CHECK(strstr(cfut_future_message(waiting), "view takes no work") != NULL);
    cfut_future_release(waiting);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(inner);
    close_both(view, pool);
}

/* The parent ends while tasks wait in a view, many of them. */
static void parent_shut_down_with(uint32_t flags, cfut_status wanted)
{
    enum { TASKS = 20000 };
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    atomic_int called = 0, freed = 0;
    cfut_future **futures = calloc(TASKS, sizeof *futures), *timed, *then, *held;
    CHECK(futures != NULL);
    held = gate_submit(view, &gate);
    for (int i = 0; i < TASKS; i++)
        CHECK_OK(cfut_submit_closure(view, count_closure, &freed, count_free, &futures[i]));
    timed = submit_once(view, task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000)),
                        NULL, 0);
    CHECK_OK(cfut_future_on_done(futures[7], view, count_done, &called, NULL));
    CHECK_OK(cfut_future_then(futures[8], view, note_then, &(struct place){ 0 }, NULL, &then));
    cfut_future_cancel(then, CFUT_CANCEL_PENDING);
    cfut_future_release(then);
    CHECK_STATUS(cfut_executor_shutdown(pool, flags, CFUT_NOW), CFUT_TIMEOUT);
    latch_open(&gate.open);
    CHECK_OK(end_of(held));
    for (int i = 0; i < TASKS; i++)
        CHECK_STATUS(end_of(futures[i]), wanted);
    CHECK_STATUS(end_of(timed), wanted);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_SOON(atomic_load(&freed) == TASKS); /* none ran */
    CHECK_SOON(atomic_load(&called) == 1);
    CHECK_SOON(check_stat(view, CFUT_STAT_QUEUED) == 0);
    close_both(view, pool);
    free(futures);
}

static void parent_is_shut_down(void)
{
    parent_shut_down_with(0, CFUT_BROKEN);
}

static void parent_is_shut_down_with_cancel(void)
{
    parent_shut_down_with(CFUT_SHUTDOWN_CANCEL, CFUT_CANCELLED);
}

static void keeps_its_parent(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    check_unwatch(pool);
    cfut_executor_release(pool);
    CHECK_OK(end_of(submit_nothing(view)));
    check_close(view);
}

static void released_with_work(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    atomic_int count = 0, *to = &count;
    cfut_future *last;
    gate_hold(view, &gate);
    for (int i = 0; i < 100; i++)
        CHECK_OK(cfut_submit(view, count_task, &to, sizeof to, NULL));
    last = submit(view, count_task, &to, sizeof to);
    check_unwatch(view);
    check_unwatch(pool);
    cfut_executor_release(view);
    cfut_executor_release(pool); /* the view has the last handle */
    latch_open(&gate.open);
    CHECK_OK(end_of(last));
    CHECK_EQ(atomic_load(&count), 101);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
}

static void shut_down_alone(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    cfut_future *waiting;
    gate_hold(view, &gate);
    waiting = submit_nothing(view);
    CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_MSEC(1)), CFUT_TIMEOUT);
    CHECK_ERROR(cfut_submit(view, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN, "view");
    CHECK_OK(end_of(submit_nothing(pool)));
    latch_open(&gate.open);
    CHECK_OK(cfut_executor_shutdown(view, 0, CFUT_FOREVER));
    CHECK_OK(cfut_future_wait(waiting, CFUT_NOW));
    cfut_future_release(waiting);
    CHECK_OK(cfut_executor_shutdown(view, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER));
    CHECK_OK(end_of(submit_nothing(pool)));
    close_both(view, pool);
}

static void shut_down_cancels_and_stops(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    latch entered = LATCH_CLOSED, *to = &entered;
    gate gate = GATE_CLOSED;
    cfut_future *running, *waiting[20], *other = gate_submit(pool, &gate);
    running = submit(view, obedient_task, &to, sizeof to);
    latch_wait(&entered);
    for (int i = 0; i < 20; i++)
        waiting[i] = submit_nothing(view);
    CHECK_STATUS(cfut_executor_shutdown(view, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    for (int i = 0; i < 20; i++)
        CHECK_STATUS(end_of(waiting[i]), CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(running), CFUT_STATE_RUNNING);
    CHECK_ERROR(cfut_executor_shutdown(view, CFUT_SHUTDOWN_TERM, CFUT_NOW), CFUT_ENOTSUP, "parent");
    CHECK_OK(cfut_executor_shutdown(view, CFUT_SHUTDOWN_STOP, CFUT_FOREVER));
    CHECK_STATUS(end_of(running), CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(other), CFUT_STATE_RUNNING); /* the parent's own */
    latch_open(&gate.open);
    CHECK_OK(end_of(other));
    close_both(view, pool);
}

static int32_t shut_down_own(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *view;
    (void)self;
    memcpy(&view, data, length);
    CHECK_ERROR(cfut_executor_shutdown(view, 0, CFUT_FOREVER), CFUT_EDEADLK, "CFUT_NOW");
    CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_NOW), CFUT_TIMEOUT);
    return 0;
}

static void own_task_shuts_it_down(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    CHECK_OK(end_of(submit(view, shut_down_own, &view, sizeof view)));
    close_both(view, pool);
}

static int32_t wait_for_end_of(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *view;
    (void)self;
    memcpy(&view, data, length);
    CHECK_OK(cfut_executor_shutdown(view, 0, CFUT_FOREVER));
    return 0;
}

static void task_of_the_parent_shuts_it_down(void)
{
    cfut_executor *pool = check_pool(1), *view = view_of(pool, 1);
    atomic_int count = 0, *to = &count;
    cfut_future *other = submit(pool, wait_for_end_of, &view, sizeof view);
    (void)cfut_submit(view, count_task, &to, sizeof to, NULL); /* or it is too late */
    CHECK_OK(end_of(other));
    close_both(view, pool);
}

static int32_t release_own(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *view;
    (void)self;
    memcpy(&view, data, length);
    cfut_executor_release(view);
    return 0;
}

static void own_task_has_the_last_handle(void)
{
    cfut_executor *pool = check_pool(1), *view = NULL;
    CHECK_OK(cfut_limited_new(pool, 1, &view));
    CHECK_OK(end_of(submit(view, release_own, &view, sizeof view)));
    check_close(pool);
}

/* ---- waiting ---- */

struct nested {
    cfut_executor *executor;
    int tasks;
    int64_t timeout;
    cfut_status wanted;
};

/* Task: submits so many to an executor, and waits for the last one. */
static int32_t wait_for_last(cfut_promise *self, const void *data, size_t length)
{
    struct nested nested;
    cfut_future *last = NULL;
    (void)self;
    memcpy(&nested, data, length);
    for (int i = 0; i < nested.tasks; i++) {
        cfut_future_release(last);
        last = submit_nothing(nested.executor);
    }
    CHECK_STATUS(cfut_future_wait(last, nested.timeout), nested.wanted);
    cfut_future_release(last);
    return 0;
}

static void claim_on_wait(void)
{
    cfut_executor *pool = check_pool(1), *view = view_of(pool, 1);
    struct nested nested = { view, 1, CFUT_FOREVER, CFUT_OK };
    for (nested.tasks = 1; nested.tasks < 10; nested.tasks++)
        CHECK_OK(end_of(submit(pool, wait_for_last, &nested, sizeof nested)));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1); /* nobody stood in */
    close_both(view, pool);
}

static void wait_for_a_later_one_of_a_strand(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    struct nested nested = { view, 2, CFUT_FOREVER, CFUT_EDEADLK };
    CHECK_OK(end_of(submit(view, wait_for_last, &nested, sizeof nested)));
    nested.timeout = CFUT_MSEC(1);
    nested.wanted = CFUT_TIMEOUT;
    CHECK_OK(end_of(submit(view, wait_for_last, &nested, sizeof nested)));
    close_both(view, pool);
}

static void wait_for_a_later_one_through_others(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1), *inner = view_of(view, 4);
    struct nested nested = { inner, 1, CFUT_FOREVER, CFUT_EDEADLK };
    CHECK_OK(end_of(submit(view, wait_for_last, &nested, sizeof nested)));
    check_close(inner);
    close_both(view, pool);
}

/* Two hold all places, and wait for what waits behind them. */
static atomic_int refused;

static int32_t meet_and_wait(cfut_promise *self, const void *data, size_t length)
{
    struct {
        cfut_executor *view;
        latch *met;
    } here;
    cfut_future *later;
    cfut_status status;
    (void)self;
    memcpy(&here, data, length);
    latch_open(here.met);
    latch_wait_for(here.met, 2);
    later = submit_nothing(here.view);
    status = cfut_future_wait(later, CFUT_FOREVER);
    CHECK(status == CFUT_OK || status == CFUT_EDEADLK);
    if (status == CFUT_EDEADLK)
        atomic_fetch_add(&refused, 1);
    cfut_future_release(later);
    return 0;
}

static void all_holders_wait(void)
{
    cfut_executor *pool = check_pool(4), *view = view_of(pool, 2);
    latch met = LATCH_CLOSED;
    struct {
        cfut_executor *view;
        latch *met;
    } here = { view, &met };
    cfut_future *one = submit(view, meet_and_wait, &here, sizeof here);
    cfut_future *two = submit(view, meet_and_wait, &here, sizeof here);
    CHECK_OK(end_of(one));
    CHECK_OK(end_of(two));
    CHECK_EQ(atomic_load(&refused), 1);
    close_both(view, pool);
}

static void outside_threads_just_wait(void)
{
    cfut_executor *pool = check_pool_with(options_with(1, CFUT_OPT_WAITERS_HELP, 1));
    cfut_executor *view = view_of(pool, 1);
    for (int i = 0; i < 1000; i++) {
        cfut_future *first = submit_nothing(view), *second = submit_nothing(view);
        CHECK_OK(end_of(second));
        CHECK_OK(end_of(first));
    }
    close_both(view, pool);
}

/* ---- what one can ask ---- */

static int32_t current_is(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *wanted;
    (void)self;
    memcpy(&wanted, data, length);
    CHECK(cfut_executor_current() == wanted);
    return 0;
}

static void current_is_the_view(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1), *inner = view_of(view, 1);
    CHECK_OK(end_of(submit(view, current_is, &view, sizeof view)));
    CHECK_OK(end_of(submit(inner, current_is, &inner, sizeof inner)));
    CHECK_OK(end_of(submit(pool, current_is, &pool, sizeof pool)));
    CHECK(cfut_executor_current() == NULL);
    check_close(inner);
    close_both(view, pool);
}

static void figures(void)
{
    cfut_executor *pool = check_pool(3), *view = view_of(pool, 2);
    gate gate = GATE_CLOSED, *to = &gate;
    char text[4096];
    size_t length;
    cfut_future *late;
    for (int i = 0; i < 2; i++)
        CHECK_OK(cfut_submit(view, gate_task, &to, sizeof to, NULL));
    latch_wait_for(&gate.entered, 2);
    late = submit_once(view, task_named(nothing_task, "late one"), NULL, 0);
    CHECK_EQ(check_stat(view, CFUT_STAT_SUBMITTED), 3);
    CHECK_SOON(check_stat(view, CFUT_STAT_QUEUED) == 1);
    CHECK_SOON(check_stat(view, CFUT_STAT_RUNNING) == 2);
    CHECK_SOON(check_stat(view, CFUT_STAT_OLDEST_QUEUED_NS) > 0);
    CHECK_EQ(check_stat(view, CFUT_STAT_MAX_WORKERS), 3); /* the parent's */
    CHECK_EQ(check_stat(view, CFUT_STAT_BROKEN), 0);
    CHECK_OK(cfut_executor_snapshot(view, text, sizeof text, &length));
    CHECK(strstr(text, "\"kind\":\"limited\"") && strstr(text, "\"max_workers\":2"));
    CHECK(strstr(text, "late one") != NULL);
    latch_add(&gate.open, 2);
    CHECK_OK(end_of(late));
    CHECK_OK(cfut_executor_warm(view, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 3);
    CHECK_SOON(check_stat(view, CFUT_STAT_SUCCEEDED) == 3);
    CHECK_EQ(check_stat(view, CFUT_STAT_OLDEST_QUEUED_NS), 0);
    close_both(view, pool);
}

/* ---- the parent's bound ---- */

static void waiting_ones_count_against_the_bound(void)
{
    cfut_options *options = options_with(2, CFUT_OPT_QUEUE_LIMIT, 3);
    cfut_executor *pool, *view;
    gate gate = GATE_CLOSED;
    cfut_task *task = task_of(nothing_task);
    cfut_future *futures[3], *extra;
    int64_t items[4] = { 0, 1, 2, 3 };
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    pool = check_pool_with(options);
    view = view_of(pool, 1);
    gate_hold(view, &gate);
    for (int i = 0; i < 3; i++)
        futures[i] = submit_nothing(view);
    CHECK_STATUS(cfut_submit(view, nothing_task, NULL, 0, &extra), CFUT_EFULL);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, &extra), CFUT_EFULL);
    CHECK_OK(cfut_future_cancel(futures[1], CFUT_CANCEL_PENDING));
    CHECK_OK(cfut_submit(view, nothing_task, NULL, 0, &extra));
    CHECK_STATUS(cfut_submit_many(view, task, items, sizeof items[0], 4, NULL), CFUT_EFULL);
    latch_open(&gate.open);
    CHECK_OK(end_of(extra));
    for (int i = 0; i < 3; i++)
        cfut_future_release(futures[i]);
    CHECK_OK(end_of(submit_nothing(view))); /* the queue is empty */
    for (int i = 0; i < 3; i++) { /* and its room is as it was */
        struct gate again = GATE_CLOSED;
        cfut_future *held = gate_submit(view, &again);
        for (int k = 0; k < 3; k++)
            futures[k] = submit_nothing(view);
        CHECK_STATUS(cfut_submit(view, nothing_task, NULL, 0, &extra), CFUT_EFULL);
        latch_open(&again.open);
        CHECK_OK(end_of(held));
        for (int k = 0; k < 3; k++)
            CHECK_OK(end_of(futures[k]));
    }
    cfut_task_free(task);
    close_both(view, pool);
}

static void *submit_one(void *arg)
{
    CHECK_OK(end_of(submit_nothing(arg)));
    return NULL;
}

static void full_queue_has_others_wait(void)
{
    static const int64_t policies[] = { CFUT_FULL_BLOCK, CFUT_FULL_RUN_IN_CALLER };
    for (int i = 0; i < 2; i++) {
        cfut_options *options = options_with(2, CFUT_OPT_QUEUE_LIMIT, 1);
        cfut_executor *pool, *view;
        gate gate = GATE_CLOSED;
        pthread_t thread;
        cfut_future *first;
        CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, policies[i]));
        pool = check_pool_with(options);
        view = view_of(pool, 1);
        gate_hold(view, &gate);
        first = submit_nothing(view);
        thread = thread_start(submit_one, view);
        check_sleep(CFUT_MSEC(2));
        CHECK_EQ(check_stat(view, CFUT_STAT_SUBMITTED), 2);
        latch_open(&gate.open);
        CHECK_OK(end_of(first));
        thread_join(thread);
        close_both(view, pool);
    }
}

static void own_tasks_pass_a_full_queue(void)
{
    cfut_executor *pool = check_pool_with(options_with(1, CFUT_OPT_QUEUE_LIMIT, 1));
    cfut_executor *view = view_of(pool, 1);
    struct nested nested = { view, 10, CFUT_FOREVER, CFUT_OK };
    CHECK_OK(end_of(submit(pool, wait_for_last, &nested, sizeof nested)));
    close_both(view, pool);
}

/* ---- surroundings ---- */

static void forked(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1), *inner;
    gate gate = GATE_CLOSED;
    pid_t child;
    int status;
    gate_hold(view, &gate);
    CHECK_OK(cfut_submit(view, nothing_task, NULL, 0, NULL));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int64_t value;
        size_t length;
        CHECK_STATUS(cfut_submit(view, nothing_task, NULL, 0, NULL), CFUT_EFORKED);
        CHECK_STATUS(cfut_limited_new(view, 1, &inner), CFUT_EFORKED);
        CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_NOW), CFUT_EFORKED);
        CHECK_STATUS(cfut_executor_stat(view, CFUT_STAT_QUEUED, &value), CFUT_EFORKED);
        CHECK_STATUS(cfut_executor_snapshot(view, NULL, 0, &length), CFUT_EFORKED);
        cfut_executor_release(view);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    latch_open(&gate.open);
    close_both(view, pool);
}

static void quiesce_sees_what_waits(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    struct detached detached = { LATCH_CLOSED, NULL }, *to = &detached;
    CHECK_OK(cfut_submit(view, detach_task, &to, sizeof to, NULL));
    CHECK_OK(cfut_submit(view, nothing_task, NULL, 0, NULL));
    latch_wait(&detached.kept);
    CHECK_STATUS(cfut_quiesce(CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_promise_set_bytes(detached.promise, NULL, 0));
    cfut_promise_release(detached.promise);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    close_both(view, pool);
}

static atomic_int lines;

static void count_lines(int32_t level, const char *message, void *arg)
{
    (void)level;
    (void)arg;
    if (strstr(message, "nobody has seen it") != NULL)
        atomic_fetch_add(&lines, 1);
}

static void unseen_failures_go_to_the_log(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    int32_t code = 5;
    CHECK_OK(cfut_set_log(count_lines, NULL, NULL));
    CHECK_OK(cfut_submit(view, return_task, &code, sizeof code, NULL));
    CHECK_STATUS(end_of(submit_code(view, 5)), CFUT_FAILED);
    close_both(view, pool);
    CHECK_EQ(atomic_load(&lines), 1);
}

/* Many threads submit, cancel and wait; views of one, of two, and on one another. */
struct mixers {
    cfut_executor *views[3];
    struct crowd crowd;
    atomic_int number;
};

static void *mix(void *arg)
{
    struct mixers *mixers = arg;
    struct crowd *crowd = &mixers->crowd;
    unsigned seed = (unsigned)atomic_fetch_add(&mixers->number, 1);
    cfut_task *timed = task_with(crowd_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_USEC(50));
    for (int i = 0; i < 1500; i++) {
        cfut_executor *view = mixers->views[rand_r(&seed) % 3];
        cfut_future *future = NULL;
        if (rand_r(&seed) % 4 == 0)
            CHECK_OK(cfut_submit_task(view, timed, &crowd, sizeof crowd, &future));
        else
            future = submit(view, crowd_task, &crowd, sizeof crowd);
        switch (rand_r(&seed) % 4) {
        case 0:
            (void)cfut_future_cancel(future, CFUT_CANCEL_PENDING);
            break;
        case 1:
            (void)cfut_future_wait(future, CFUT_FOREVER);
            break;
        case 2:
            CHECK_OK(cfut_future_on_done(future, view, count_done, &crowd->done, NULL));
            break;
        default:
            break;
        }
        cfut_future_release(future);
    }
    cfut_task_free(timed);
    return NULL;
}

static void many_threads_at_once(void)
{
    cfut_executor *pool = check_pool(4);
    static struct mixers mixers;
    pthread_t threads[4];
    mixers.views[0] = view_of(pool, 2);
    mixers.views[1] = view_of(mixers.views[0], 1);
    mixers.views[2] = view_of(mixers.views[0], 2);
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(mix, &mixers);
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    for (int i = 2; i >= 0; i--) {
        cfut_executor *view = mixers.views[i];
        CHECK_OK(cfut_executor_shutdown(view, 0, CFUT_FOREVER));
        CHECK_EQ(check_stat(view, CFUT_STAT_SUBMITTED),
                 check_stat(view, CFUT_STAT_SUCCEEDED) + check_stat(view, CFUT_STAT_CANCELLED) +
                     check_stat(view, CFUT_STAT_EXPIRED));
        check_unwatch(view);
        cfut_executor_release(view);
    }
    CHECK(atomic_load(&mixers.crowd.most) <= 2);
    CHECK_EQ(atomic_load(&mixers.crowd.inside), 0);
    check_close(pool);
}

CHECK_MAIN(CASE(refuses_nonsense), CASE(parent_is_dead), CASE(view_under_a_view_is_dead),
           CASE(parent_is_shut_down), CASE(parent_is_shut_down_with_cancel),
           CASE(keeps_its_parent), CASE(released_with_work), CASE(shut_down_alone),
           CASE(shut_down_cancels_and_stops), CASE(own_task_shuts_it_down),
           CASE(task_of_the_parent_shuts_it_down), CASE(own_task_has_the_last_handle),
           CASE(claim_on_wait), CASE(wait_for_a_later_one_of_a_strand),
           CASE(wait_for_a_later_one_through_others), CASE(all_holders_wait),
           CASE(outside_threads_just_wait), CASE(current_is_the_view), CASE(figures),
           CASE(waiting_ones_count_against_the_bound), CASE(full_queue_has_others_wait),
           CASE(own_tasks_pass_a_full_queue), CASE(forked), CASE(quiesce_sees_what_waits),
           CASE(unseen_failures_go_to_the_log), CASE(many_threads_at_once))
