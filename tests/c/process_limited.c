/* Limited views of process pools. */
#include "processes.h"
#include "views.h"

static cfut_future *stand_at(cfut_executor *executor, int32_t gate, int32_t number)
{
    struct call call = call_of(gate, number);
    return submit(executor, stand_task, &call, sizeof call);
}

static void as_many_as_allowed(void)
{
    cfut_executor *pool = check_process_pool(3), *view = view_of(pool, 2);
    cfut_future *futures[5];
    for (int i = 0; i < 5; i++)
        futures[i] = stand_at(view, 0, i);
    CHECK_SOON(atomic_load(&board->gates[0].entered) == 2);
    CHECK_SOON(check_stat(view, CFUT_STAT_RUNNING) == 2);
    CHECK_SOON(check_stat(view, CFUT_STAT_QUEUED) == 3);
    atomic_store(&board->gates[1].open, 1);
    CHECK_OK(end_of(stand_at(pool, 1, 9))); /* the third worker is free */
    CHECK_EQ(atomic_load(&board->gates[0].entered), 2);
    atomic_store(&board->gates[0].open, 1);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        CHECK_EQ(integer_of(futures[i]), i);
        cfut_future_release(futures[i]);
    }
    CHECK_SOON(check_stat(view, CFUT_STAT_SUCCEEDED) == 5);
    close_both(view, pool);
}

static void one_at_a_time_is_in_order(void)
{
    cfut_executor *pool = check_process_pool(3), *view = view_of(pool, 1);
    for (int i = 0; i < 300; i++) {
        struct call call = call_of(0, i);
        CHECK_OK(cfut_submit(view, see_task, &call, sizeof call, NULL));
    }
    close_both(view, pool);
    CHECK_EQ(atomic_load(&board->count), 300);
    for (int i = 0; i < 300; i++)
        CHECK_EQ(atomic_load(&board->seen[i]), i);
}

static void every_way_in(void)
{
    cfut_executor *pool = check_process_pool(2), *view = view_of(pool, 1), *inner = view_of(view, 1);
    struct call calls[8];
    cfut_task *task = task_of(see_task);
    cfut_buffer *buffer = NULL;
    cfut_promise *promise;
    cfut_future *input = by_hand(&promise), *piped, *closure;
    for (int i = 0; i < 8; i++)
        calls[i] = call_of(0, i);
    CHECK_OK(cfut_submit(view, see_task, &calls[0], sizeof calls[0], NULL));
    CHECK_OK(cfut_submit_task(inner, task, &calls[1], sizeof calls[1], NULL));
    CHECK_OK(cfut_buffer_new(sizeof calls[2], CFUT_BUFFER_SHARED, &buffer));
    memcpy(cfut_buffer_data(buffer), &calls[2], sizeof calls[2]);
    CHECK_OK(cfut_submit_buffer(view, task, buffer, NULL));
    CHECK_OK(cfut_submit_many(view, task, &calls[3], sizeof calls[3], 4, NULL));
    CHECK_OK(cfut_promise_set_bytes(promise, &calls[7], sizeof calls[7]));
    CHECK_OK(cfut_future_pipe(input, inner, task, &piped));
    CHECK_OK(end_of(piped));
    CHECK_ERROR(cfut_submit_closure(view, count_closure, NULL, NULL, &closure), CFUT_ENOTSUP,
                "other processes");
    CHECK_STATUS(cfut_future_on_done(input, view, count_done, NULL, NULL), CFUT_ENOTSUP);
    check_close(inner);
    close_both(view, pool);
    CHECK_EQ(atomic_load(&board->count), 8);
    cfut_future_release(input);
    cfut_promise_release(promise);
    cfut_buffer_release(buffer);
    cfut_task_free(task);
}

static void pipe_passes_failures_on(void)
{
    cfut_executor *pool = check_process_pool(1), *view = view_of(pool, 1);
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

static void crashes_give_their_place_back(void)
{
    cfut_executor *pool = check_process_pool(1), *view = view_of(pool, 1);
    struct call call = call_of(0, SIGKILL);
    cfut_future *dies, *next;
    atomic_store(&board->gates[0].open, 1);
    dies = submit(view, die_task, &call, sizeof call);
    next = submit_nothing(view);
    CHECK_STATUS(end_of(dies), CFUT_CRASHED);
    CHECK_OK(end_of(next));
    CHECK_SOON(check_stat(view, CFUT_STAT_CRASHED) == 1);
    close_both(view, pool);
}

static void time_outs_give_their_place_back(void)
{
    cfut_executor *pool = check_process_pool(1), *view = view_of(pool, 1);
    struct call call = call_of(0, 0);
    cfut_task *task = task_with(stubborn_task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(5));
    cfut_future *running, *waiting;
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, CFUT_MSEC(1)));
    running = submit_once(view, task, &call, sizeof call);
    waiting = submit_once(view, task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_USEC(10)),
                          NULL, 0);
    CHECK_STATUS(end_of(waiting), CFUT_EXPIRED);
    CHECK_STATUS(end_of(running), CFUT_EXPIRED);
    CHECK_OK(end_of(submit_nothing(view)));
    close_both(view, pool);
}

static void cancelled_of_each_kind(void)
{
    cfut_executor *pool = check_process_pool(1), *view = view_of(pool, 1);
    struct call call = call_of(0, 0);
    cfut_future *running = submit(view, stubborn_task, &call, sizeof call), *waiting;
    waiting = submit_nothing(view);
    CHECK_SOON(atomic_load(&board->gates[0].entered) == 1);
    CHECK_OK(cfut_future_cancel(waiting, CFUT_CANCEL_PENDING));
    CHECK_STATUS(end_of(waiting), CFUT_CANCELLED);
    CHECK_OK(cfut_future_cancel(running, CFUT_CANCEL_KILL));
    CHECK_STATUS(end_of(running), CFUT_CANCELLED);
    CHECK_OK(end_of(submit_nothing(view)));
    close_both(view, pool);
}

static void shut_down_kills_its_own(void)
{
    cfut_executor *pool = check_process_pool(2), *view = view_of(pool, 1);
    struct call call = call_of(0, 0);
    cfut_future *running = submit(view, stubborn_task, &call, sizeof call), *waiting, *other;
    waiting = submit_nothing(view);
    other = stand_at(pool, 1, 7);
    CHECK_SOON(atomic_load(&board->gates[0].entered) == 1);
    CHECK_SOON(atomic_load(&board->gates[1].entered) == 1);
    CHECK_STATUS(cfut_executor_shutdown(view, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_OK(cfut_executor_shutdown(view, CFUT_SHUTDOWN_KILL, CFUT_MSEC(1)));
    CHECK_STATUS(end_of(running), CFUT_CANCELLED);
    CHECK_STATUS(end_of(waiting), CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(other), CFUT_STATE_RUNNING);
    atomic_store(&board->gates[1].open, 1);
    CHECK_OK(end_of(other));
    close_both(view, pool);
}

static void parent_is_shut_down(void)
{
    cfut_executor *pool = check_process_pool(1), *view = view_of(pool, 1);
    cfut_future *running = stand_at(view, 0, 3), *waiting[100];
    for (int i = 0; i < 100; i++)
        waiting[i] = submit_nothing(view);
    CHECK_SOON(atomic_load(&board->gates[0].entered) == 1);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_submit(view, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    atomic_store(&board->gates[0].open, 1);
    CHECK_OK(end_of(running));
    for (int i = 0; i < 100; i++)
        CHECK_STATUS(end_of(waiting[i]), CFUT_BROKEN);
    close_both(view, pool);
}

static void keeps_its_parent(void)
{
    cfut_executor *pool = check_process_pool(1), *view = view_of(pool, 1);
    check_unwatch(pool);
    cfut_executor_release(pool);
    CHECK_OK(end_of(submit_nothing(view)));
    CHECK_OK(end_of(submit_nothing(view)));
    check_close(view);
}

static void strand_of_10000(void)
{
    cfut_executor *pool = check_process_pool(2), *view = view_of(pool, 1);
    cfut_future *last;
    for (int i = 0; i < 10000; i++)
        CHECK_OK(cfut_submit(view, nothing_task, NULL, 0, NULL));
    last = submit_nothing(view);
    CHECK_OK(end_of(last));
    CHECK_SOON(check_stat(view, CFUT_STAT_SUCCEEDED) == 10001);
    close_both(view, pool);
}

CHECK_MAIN_WORKER(board_make(), CASE(as_many_as_allowed), CASE(one_at_a_time_is_in_order),
                  CASE(every_way_in), CASE(pipe_passes_failures_on),
                  CASE(crashes_give_their_place_back), CASE(time_outs_give_their_place_back),
                  CASE(cancelled_of_each_kind), CASE(shut_down_kills_its_own),
                  CASE(parent_is_shut_down), CASE(keeps_its_parent), CASE(strand_of_10000))
