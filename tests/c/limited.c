/* Limited views, cfut_limited_new(): how many run, in which order, how long a place is held. */
#include "views.h"

/* ---- how many, and in which order ---- */

static void never_more_at_once(void)
{
    cfut_executor *pool = check_pool(6);
    for (uint32_t most = 1; most <= 4; most++) {
        cfut_executor *view = view_of(pool, most);
        struct crowd crowd = { 0, 0, 0 }, *to = &crowd;
        for (int i = 0; i < 2000; i++)
            CHECK_OK(cfut_submit(view, crowd_task, &to, sizeof to, NULL));
        check_close(view);
        CHECK_EQ(atomic_load(&crowd.done), 2000);
        CHECK(atomic_load(&crowd.most) <= (int)most);
    }
    check_close(pool);
}

static void as_many_as_allowed(void)
{
    cfut_executor *pool = check_pool(6), *view = view_of(pool, 3);
    gate gate = GATE_CLOSED, *to = &gate;
    for (int i = 0; i < 5; i++)
        CHECK_OK(cfut_submit(view, gate_task, &to, sizeof to, NULL));
    latch_wait_for(&gate.entered, 3);
    CHECK_SOON(check_stat(view, CFUT_STAT_RUNNING) == 3);
    CHECK_SOON(check_stat(view, CFUT_STAT_QUEUED) == 2);
    CHECK_EQ(latch_count(&gate.entered), 3);
    latch_add(&gate.open, 5);
    close_both(view, pool);
    CHECK_EQ(latch_count(&gate.entered), 5);
}

static void one_at_a_time_is_in_order(void)
{
    cfut_executor *pool = check_pool(4), *view = view_of(pool, 1);
    struct order order = NO_ORDER;
    for (int i = 0; i < 250; i++) {
        struct place place = { &order, i };
        CHECK_OK(cfut_submit(view, note_place, &place, sizeof place, NULL));
    }
    close_both(view, pool);
    for (int i = 0; i < 250; i++)
        CHECK_EQ(order.seen[i], i);
}

static void priorities_do_not_change_the_order(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    struct order order = NO_ORDER;
    gate_hold(view, &gate);
    for (int i = 0; i < 30; i++) {
        struct place place = { &order, i };
        cfut_future_release(submit_once(view, task_with(note_place, CFUT_TASK_PRIORITY, i % 3 - 1),
                                        &place, sizeof place));
    }
    latch_open(&gate.open);
    close_both(view, pool);
    for (int i = 0; i < 30; i++)
        CHECK_EQ(order.seen[i], i);
}

static void what_waits_holds_no_worker(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    gate_hold(view, &gate);
    for (int i = 0; i < 10; i++)
        CHECK_OK(cfut_submit(view, nothing_task, NULL, 0, NULL));
    for (int i = 0; i < 10; i++) /* by the other worker */
        CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_SOON(check_stat(pool, CFUT_STAT_QUEUED) == 0);
    latch_open(&gate.open);
    close_both(view, pool);
}

static void strand_of_100000(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    atomic_int count = 0, **items = calloc(100000, sizeof *items);
    cfut_task *task = task_of(count_task);
    CHECK(items != NULL);
    for (int i = 0; i < 100000; i++)
        items[i] = &count;
    gate_hold(view, &gate);
    CHECK_OK(cfut_submit_many(view, task, items, sizeof *items, 100000, NULL));
    latch_open(&gate.open);
    close_both(view, pool);
    CHECK_EQ(atomic_load(&count), 100000);
    cfut_task_free(task);
    free(items);
}

/* ---- every way in ---- */

static int32_t note_closure(cfut_promise *self, void *arg)
{
    return note_place(self, arg, sizeof(struct place));
}

static void note_done(cfut_future *future, void *arg)
{
    (void)future;
    (void)note_place(NULL, arg, sizeof(struct place));
}

static void every_way_in(void)
{
    cfut_executor *pool = check_pool(3), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    struct order order = NO_ORDER;
    struct place places[16];
    cfut_task *task = task_of(note_place);
    cfut_buffer *buffer = NULL;
    cfut_future *ready = ended(CFUT_OK), *futures[16];
    cfut_promise *promise;
    cfut_future *piped, *input = by_hand(&promise);
    int made = 0;
    for (int i = 0; i < 16; i++)
        places[i] = (struct place){ &order, i };
    gate_hold(view, &gate);
    CHECK_OK(cfut_submit(view, note_place, &places[0], sizeof places[0], &futures[made++]));
    CHECK_OK(cfut_submit_task(view, task, &places[1], sizeof places[1], &futures[made++]));
    CHECK_OK(cfut_buffer_new(sizeof places[2], 0, &buffer));
    memcpy(cfut_buffer_data(buffer), &places[2], sizeof places[2]);
    CHECK_OK(cfut_submit_buffer(view, task, buffer, &futures[made++]));
    CHECK_OK(cfut_submit_closure(view, note_closure, &places[3], NULL, &futures[made++]));
    CHECK_OK(cfut_submit_many(view, task, &places[4], sizeof places[4], 4, &futures[made]));
    made += 4;
    CHECK_OK(cfut_future_then(ready, view, note_then, &places[8], NULL, &futures[made++]));
    CHECK_OK(cfut_future_on_done(ready, view, note_done, &places[9], NULL));
    CHECK_OK(cfut_future_pipe(input, view, task, &piped));
    CHECK_OK(cfut_promise_set_bytes(promise, &places[10], sizeof places[10]));
    futures[made++] = piped;
    latch_open(&gate.open);
    for (int i = 0; i < made; i++)
        CHECK_OK(end_of(futures[i]));
    close_both(view, pool);
    CHECK_EQ(order.count, 11);
    for (int i = 0; i < 11; i++)
        CHECK_EQ(order.seen[i], i);
    cfut_future_release(ready);
    cfut_future_release(input);
    cfut_promise_release(promise);
    cfut_buffer_release(buffer);
    cfut_task_free(task);
}

static void data_of_every_length(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    static char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    for (size_t length = 0; length < sizeof bytes; length = length * 3 / 2 + 1) {
        size_t got = 99;
        cfut_future *future = submit(view, echo_task, bytes, length);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK(memcmp(cfut_future_bytes(future, &got), bytes, length) == 0 || length == 0);
        CHECK_EQ(got, length);
        cfut_future_release(future);
    }
    close_both(view, pool);
}

/* Tasks of a view, and of a pool, that submit to the view and go on. */
static int32_t submit_more(cfut_promise *self, const void *data, size_t length)
{
    struct place *places;
    (void)self;
    memcpy(&places, data, length);
    for (int i = 0; i < 3; i++)
        CHECK_OK(cfut_submit(cfut_executor_current(), note_place, &places[i], sizeof places[i], NULL));
    return 0;
}

static void own_tasks_submit(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    struct order order = NO_ORDER;
    struct place places[3] = { { &order, 0 }, { &order, 1 }, { &order, 2 } }, *to = places;
    CHECK_OK(end_of(submit(view, submit_more, &to, sizeof to)));
    close_both(view, pool);
    CHECK_EQ(order.count, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(order.seen[i], i);
}

/* ---- how long a place is held ---- */

static void detached_tasks_hold_their_place(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    struct detached detached = { LATCH_CLOSED, NULL }, *to = &detached;
    cfut_future *first = submit(view, detach_task, &to, sizeof to), *second;
    latch_wait(&detached.kept);
    second = submit_nothing(view);
    for (int i = 0; i < 20; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_EQ(cfut_future_state(second), CFUT_STATE_PENDING);
    CHECK_SOON(check_stat(view, CFUT_STAT_RUNNING) == 1);
    CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_promise_set_bytes(detached.promise, NULL, 0));
    cfut_promise_release(detached.promise);
    CHECK_OK(end_of(first));
    CHECK_OK(end_of(second));
    close_both(view, pool);
}

static void expired_tasks_hold_their_place_until_they_return(void)
{
    cfut_executor *pool = check_pool(3), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED, *to = &gate;
    cfut_future *second, *first = submit_once(
        view, task_with(gate_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(1)), &to, sizeof to);
    second = submit_nothing(view);
    CHECK_STATUS(end_of(first), CFUT_EXPIRED);
    for (int i = 0; i < 20; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_EQ(cfut_future_state(second), CFUT_STATE_PENDING);
    latch_open(&gate.open);
    CHECK_OK(end_of(second));
    close_both(view, pool);
}

static void expired_tasks_of_views_on_views_too(void)
{
    cfut_executor *pool = check_pool(3), *outer = view_of(pool, 1), *inner = view_of(outer, 1);
    gate gate = GATE_CLOSED, *to = &gate;
    cfut_future *second, *third, *first = submit_once(
        inner, task_with(gate_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(1)), &to, sizeof to);
    cfut_status status;
    second = submit_nothing(inner);
    third = submit_nothing(outer);
    status = end_of(first);
    CHECK_EQ(status, CFUT_EXPIRED);
    latch_open(&gate.open);
    CHECK_OK(end_of(second));
    CHECK_OK(end_of(third));
    check_close(inner);
    close_both(outer, pool);
}

static int32_t leave_thread(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
    return 0;
}

static void thread_that_ends_gives_its_place_back(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    cfut_future *first = submit(view, leave_thread, NULL, 0);
    cfut_future *timed = submit_once(
        view, task_with(leave_thread, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(1000)), NULL, 0);
    CHECK_STATUS(end_of(first), CFUT_FAILED);
    CHECK_STATUS(end_of(timed), CFUT_FAILED);
    CHECK_OK(end_of(submit_nothing(view)));
    close_both(view, pool);
}

static void failures_give_their_place_back(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    for (int i = 0; i < 100; i++)
        CHECK_STATUS(end_of(submit_code(view, 7)), CFUT_FAILED);
    CHECK_SOON(check_stat(view, CFUT_STAT_FAILED) == 100);
    close_both(view, pool);
}

/* ---- what does not start ---- */

static void cancelled_while_they_wait(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    atomic_int freed = 0, ran = 0;
    cfut_future *futures[50];
    gate_hold(view, &gate);
    for (int i = 0; i < 50; i++)
        CHECK_OK(cfut_submit_closure(view, count_closure, &ran, count_free, &futures[i]));
    CHECK_SOON(check_stat(view, CFUT_STAT_QUEUED) == 50);
    for (int i = 0; i < 50; i += 2)
        CHECK_OK(cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING));
    CHECK_SOON(check_stat(view, CFUT_STAT_QUEUED) == 25);
    CHECK_SOON(check_stat(view, CFUT_STAT_CANCELLED) == 25);
    CHECK_EQ(atomic_load(&freed) + atomic_load(&ran), 25); /* count_free counts in `ran` */
    latch_open(&gate.open);
    for (int i = 0; i < 50; i++)
        CHECK_STATUS(end_of(futures[i]), i % 2 == 0 ? CFUT_CANCELLED : CFUT_OK);
    close_both(view, pool);
    CHECK_EQ(atomic_load(&ran), 75); /* 25 ran, 50 were freed */
}

static void expired_while_they_wait(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    cfut_future *queue, *total, *last;
    gate_hold(view, &gate);
    queue = submit_once(view, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(1)),
                        NULL, 0);
    total = submit_once(view, task_with(nothing_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(1)),
                        NULL, 0);
    last = submit_once(view, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_SEC(1000)),
                       NULL, 0);
    CHECK_STATUS(end_of(queue), CFUT_EXPIRED);
    CHECK_STATUS(end_of(total), CFUT_EXPIRED);
    CHECK_SOON(check_stat(view, CFUT_STAT_EXPIRED) == 2);
    latch_open(&gate.open);
    CHECK_OK(end_of(last));
    close_both(view, pool);
}

static void pipe_queue_time_out_is_from_its_input(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    gate gate = GATE_CLOSED;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped;
    cfut_task *task = task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(1));
    gate_hold(view, &gate);
    CHECK_OK(cfut_future_pipe(input, view, task, &piped));
    check_sleep(CFUT_MSEC(3));
    CHECK_EQ(cfut_future_state(piped), CFUT_STATE_PENDING);
    CHECK_OK(cfut_promise_set_bytes(promise, "", 0));
    CHECK_STATUS(end_of(piped), CFUT_EXPIRED);
    latch_open(&gate.open);
    cfut_task_free(task);
    cfut_future_release(input);
    cfut_promise_release(promise);
    close_both(view, pool);
}

static void pipe_passes_failures_on(void)
{
    cfut_executor *pool = check_pool(2), *view = view_of(pool, 1);
    cfut_future *bad = ended(CFUT_FAILED), *piped;
    cfut_task *task = task_of(nothing_task);
    CHECK_OK(cfut_future_pipe(bad, view, task, &piped));
    CHECK_STATUS(cfut_future_wait(piped, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(piped), 7);
    cfut_future_release(piped);
    cfut_future_release(bad);
    cfut_task_free(task);
    close_both(view, pool);
}

/* ---- views on views ---- */

static void view_on_a_view(void)
{
    cfut_executor *pool = check_pool(6), *outer = view_of(pool, 3), *inner = view_of(outer, 2);
    gate gate = GATE_CLOSED, *to = &gate;
    struct crowd crowd = { 0, 0, 0 }, *crowded = &crowd;
    for (int i = 0; i < 4; i++)
        CHECK_OK(cfut_submit(inner, gate_task, &to, sizeof to, NULL));
    latch_wait_for(&gate.entered, 2);
    for (int i = 0; i < 4; i++)
        CHECK_OK(cfut_submit(outer, gate_task, &to, sizeof to, NULL));
    latch_wait_for(&gate.entered, 3);
    CHECK_SOON(check_stat(outer, CFUT_STAT_RUNNING) == 3);
    CHECK_SOON(check_stat(inner, CFUT_STAT_RUNNING) == 2);
    CHECK_SOON(check_stat(inner, CFUT_STAT_QUEUED) == 2);
    CHECK_SOON(check_stat(outer, CFUT_STAT_QUEUED) == 3);
    latch_add(&gate.open, 8);
    for (int i = 0; i < 1000; i++)
        CHECK_OK(cfut_submit(i % 2 ? inner : outer, crowd_task, &crowded, sizeof crowded, NULL));
    check_close(inner);
    close_both(outer, pool);
    CHECK_EQ(atomic_load(&crowd.done), 1000);
    CHECK(atomic_load(&crowd.most) <= 3);
}

static void continuations_through_views_on_views(void)
{
    cfut_executor *pool = check_pool(2), *outer = view_of(pool, 1), *inner = view_of(outer, 1);
    struct order order = NO_ORDER;
    struct place places[3] = { { &order, 0 }, { &order, 1 }, { &order, 2 } };
    cfut_future *ready = ended(CFUT_OK), *chain[3];
    CHECK_OK(cfut_future_then(ready, inner, note_then, &places[0], NULL, &chain[0]));
    CHECK_OK(cfut_future_then(chain[0], inner, note_then, &places[1], NULL, &chain[1]));
    CHECK_OK(cfut_future_then(chain[1], outer, note_then, &places[2], NULL, &chain[2]));
    CHECK_OK(cfut_future_wait(chain[2], CFUT_FOREVER));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(order.seen[i], i);
        cfut_future_release(chain[i]);
    }
    cfut_future_release(ready);
    check_close(inner);
    close_both(outer, pool);
}

static void sixteen_deep_and_no_deeper(void)
{
    cfut_executor *pool = check_pool(1), *views[17];
    atomic_int count = 0, *to = &count;
    for (int i = 0; i < 16; i++)
        CHECK_OK(cfut_limited_new(i == 0 ? pool : views[i - 1], 1, &views[i]));
    CHECK_ERROR(cfut_limited_new(views[15], 1, &views[16]), CFUT_ENOTSUP, "16");
    for (int i = 0; i < 100; i++)
        CHECK_OK(cfut_submit(views[15], count_task, &to, sizeof to, NULL));
    for (int i = 15; i >= 0; i--) {
        CHECK_OK(cfut_executor_shutdown(views[i], 0, CFUT_FOREVER));
        cfut_executor_release(views[i]);
    }
    CHECK_EQ(atomic_load(&count), 100);
    check_close(pool);
}

CHECK_MAIN(CASE(never_more_at_once), CASE(as_many_as_allowed), CASE(one_at_a_time_is_in_order),
           CASE(priorities_do_not_change_the_order), CASE(what_waits_holds_no_worker),
           CASE(strand_of_100000), CASE(every_way_in), CASE(data_of_every_length),
           CASE(own_tasks_submit), CASE(detached_tasks_hold_their_place),
           CASE(expired_tasks_hold_their_place_until_they_return),
           CASE(expired_tasks_of_views_on_views_too), CASE(thread_that_ends_gives_its_place_back),
           CASE(failures_give_their_place_back), CASE(cancelled_while_they_wait),
           CASE(expired_while_they_wait), CASE(pipe_queue_time_out_is_from_its_input),
           CASE(pipe_passes_failures_on), CASE(view_on_a_view),
           CASE(continuations_through_views_on_views), CASE(sixteen_deep_and_no_deeper))
