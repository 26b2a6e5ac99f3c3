/* Each way a task can end × each way its future is looked at × each moment at which that
 * begins × each kind of task: what is promised holds for the whole product. */
#include "check.h"

typedef enum ending { ENDS_WELL, FAILS, ENDS_ITS_THREAD, CANCELLED_QUEUED, CANCELLED_RUNNING } ending;
typedef enum watching { BY_WAIT, BY_CALLBACK, BY_CALLBACK_ELSEWHERE, BY_QUEUE, RELEASED } watching;
typedef enum moment { BEFORE, DURING, AFTER } moment;
typedef enum kind { PLAIN, WITH_OPTIONS, CLOSURE, BUFFER, MANY, CONTINUATION, DETACHED } kind;

#define WATCHINGS 5
#define MOMENTS 3
#define KINDS 7

/* One point of the product. */
typedef struct life {
    ending ending;
    watching watching;
    moment moment;
    kind kind;
    cfut_executor *pool;
    cfut_future *future; /* until it is released */
    gate blocker;        /* the only worker stands here while the task is queued */
    gate stage;          /* and here while the task runs */
    latch ended;         /* the task's function is over */
    latch watched;       /* something has been told of the end */
    latch values_freed, arguments_freed;
    pthread_t waiter;
    cfut_queue *queue;
} life;

static void free_value(void *at)
{
    latch_open(&((life *)at)->values_freed);
}

static void free_argument(void *at)
{
    latch_open(&((life *)at)->arguments_freed);
}

/* ---- the task ---- */

static void record(cfut_promise *self, life *at)
{
    switch (at->ending) {
    case ENDS_WELL:
        CHECK_OK(cfut_promise_set_value(self, at, free_value));
        break;
    case FAILS:
        CHECK_OK(cfut_promise_fail_value(self, 41, "no luck", at, free_value));
        break;
    case ENDS_ITS_THREAD:
        pthread_exit(NULL);
    case CANCELLED_QUEUED:
        check_failed(__FILE__, __LINE__, "a cancelled task runs");
        break;
    case CANCELLED_RUNNING:
        CHECK(cfut_promise_stop_requested(self));
        CHECK_OK(cfut_promise_set_cancelled(self));
        break;
    }
}

static void tell_end(void *at)
{
    latch_open(&((life *)at)->ended);
}

/* Tells of the end also if the thread ends in it. */
static void record_and_tell(cfut_promise *self, life *at)
{
    pthread_cleanup_push(tell_end, at);
    record(self, at);
    pthread_cleanup_pop(1);
}

static int32_t play(cfut_promise *self, life *at)
{
    latch_open(&at->stage.entered);
    latch_wait(&at->stage.open);
    if (at->kind == DETACHED && at->ending != ENDS_ITS_THREAD) {
        cfut_promise *kept = cfut_promise_retain(self);
        CHECK(kept == self);
        record_and_tell(kept, at);
        cfut_promise_release(kept);
        return CFUT_DETACH;
    }
    record_and_tell(self, at);
    return 0;
}

static int32_t play_bytes(cfut_promise *self, const void *data, size_t length)
{
    life *at;
    CHECK_EQ(length, sizeof at);
    memcpy(&at, data, sizeof at);
    return play(self, at);
}

static int32_t play_closure(cfut_promise *self, void *at)
{
    return play(self, at);
}

static int32_t play_then(cfut_promise *self, cfut_future *input, void *at)
{
    CHECK_OK(cfut_future_wait(input, CFUT_NOW));
    return play(self, at);
}

static cfut_task *task_of(life *at)
{
    cfut_task *task;
    CHECK_OK(cfut_task_new(play_bytes, &task));
    if (at->kind == WITH_OPTIONS) {
        CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000)));
        CHECK_OK(cfut_task_set_text(task, CFUT_TASK_NAME, "a life"));
    }
    return task;
}

static void submit_then(life *at)
{
    cfut_promise *promise;
    cfut_future *input;
    CHECK_OK(cfut_promise_new(&promise, &input));
    CHECK_OK(cfut_promise_set_bytes(promise, "", 0));
    CHECK_OK(cfut_future_then(input, at->pool, play_then, at, free_argument, &at->future));
    cfut_promise_release(promise);
    cfut_future_release(input);
}

static void submit_buffer(life *at, cfut_task *task)
{
    cfut_buffer *buffer;
    CHECK_OK(cfut_buffer_new(sizeof at, 0, &buffer));
    memcpy(cfut_buffer_data(buffer), &at, sizeof at);
    CHECK_OK(cfut_submit_buffer(at->pool, task, buffer, &at->future));
    cfut_buffer_release(buffer);
}

static void submit(life *at)
{
    cfut_task *task = task_of(at);
    switch (at->kind) {
    case PLAIN:
    case DETACHED:
        CHECK_OK(cfut_submit(at->pool, play_bytes, &at, sizeof at, &at->future));
        break;
    case WITH_OPTIONS:
        CHECK_OK(cfut_submit_task(at->pool, task, &at, sizeof at, &at->future));
        break;
    case CLOSURE:
        CHECK_OK(cfut_submit_closure(at->pool, play_closure, at, free_argument, &at->future));
        break;
    case BUFFER:
        submit_buffer(at, task);
        break;
    case MANY:
        CHECK_OK(cfut_submit_many(at->pool, task, &at, sizeof at, 1, &at->future));
        break;
    case CONTINUATION:
        submit_then(at);
        break;
    }
    cfut_task_free(task);
}

/* ---- looking at its future ---- */

static void check_outcome(life *at, cfut_future *future)
{
    static const cfut_status statuses[] = { CFUT_OK, CFUT_FAILED, CFUT_FAILED, CFUT_CANCELLED,
                                            CFUT_CANCELLED };
    static const int32_t codes[] = { 0, 41, CFUT_EPANIC, 0, 0 };
    bool has_value = at->ending == ENDS_WELL || at->ending == FAILS;
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), statuses[at->ending]);
    CHECK_EQ(cfut_future_code(future), codes[at->ending]);
    CHECK(cfut_future_value(future) == (has_value ? at : NULL));
    CHECK_EQ(cfut_future_state(future),
             statuses[at->ending] == CFUT_CANCELLED ? CFUT_STATE_CANCELLED : CFUT_STATE_FINISHED);
    if (at->ending == FAILS)
        CHECK_TEXT(cfut_future_message(future), "no luck");
    if (at->ending == ENDS_ITS_THREAD)
        CHECK(strstr(cfut_future_message(future), "thread") != NULL);
}

static void *wait_in_thread(void *arg)
{
    life *at = arg;
    CHECK(cfut_future_wait(at->future, CFUT_FOREVER) >= 0);
    check_outcome(at, at->future);
    latch_open(&at->watched);
    return NULL;
}

static void called(cfut_future *future, void *at)
{
    check_outcome(at, future);
    latch_open(&((life *)at)->watched);
}

static void watch(life *at)
{
    bool elsewhere = at->watching == BY_CALLBACK_ELSEWHERE;
    switch (at->watching) {
    case BY_WAIT:
        CHECK_EQ(pthread_create(&at->waiter, NULL, wait_in_thread, at), 0);
        break;
    case BY_CALLBACK:
    case BY_CALLBACK_ELSEWHERE:
        CHECK_OK(cfut_future_on_done(at->future, elsewhere ? at->pool : NULL, called, at, NULL));
        break;
    case BY_QUEUE:
        CHECK_OK(cfut_queue_new(&at->queue));
        CHECK_OK(cfut_queue_add(at->queue, at->future, 5));
        break;
    case RELEASED:
        cfut_future_release(at->future);
        at->future = NULL;
        break;
    }
}

static void take_from_queue(life *at)
{
    cfut_future *taken = NULL;
    uint64_t tag = 0;
    CHECK_OK(cfut_queue_next(at->queue, CFUT_FOREVER, &taken, &tag));
    CHECK(taken == at->future);
    CHECK_EQ(tag, 5);
    check_outcome(at, taken);
    cfut_future_release(taken);
    CHECK_STATUS(cfut_queue_next(at->queue, CFUT_FOREVER, &taken, &tag), CFUT_END);
    cfut_queue_release(at->queue);
}

/* Told exactly once. */
static void told_once(life *at)
{
    switch (at->watching) {
    case BY_WAIT:
        CHECK_EQ(pthread_join(at->waiter, NULL), 0);
        break;
    case BY_CALLBACK:
    case BY_CALLBACK_ELSEWHERE:
        latch_wait(&at->watched);
        break;
    case BY_QUEUE:
        take_from_queue(at);
        return;
    case RELEASED:
        return;
    }
    CHECK_EQ(latch_count(&at->watched), 1);
}

/* ---- a whole life ---- */

static void watch_at(life *at, moment now)
{
    if (at->moment == now)
        watch(at);
}

/* Up to its end, which `watch` may have left nobody to wait for. */
static void run_to_end(life *at)
{
    cfut_future *blocker = gate_submit(at->pool, &at->blocker), *own;
    submit(at);
    own = cfut_future_retain(at->future); /* to cancel it whatever happens to the other */
    watch_at(at, BEFORE);
    if (at->ending == CANCELLED_QUEUED) {
        CHECK_OK(cfut_future_cancel(own, CFUT_CANCEL_PENDING));
        latch_open(&at->blocker.open);
    } else {
        latch_open(&at->blocker.open);
        latch_wait(&at->stage.entered);
        watch_at(at, DURING);
        if (at->ending == CANCELLED_RUNNING)
            CHECK_STATUS(cfut_future_cancel(own, CFUT_CANCEL_STOP), CFUT_PENDING);
    }
    if (at->moment != AFTER) {
        cfut_future_release(own); /* what is left is what the case says */
        own = NULL;
    }
    latch_open(&at->stage.open);
    if (at->ending != CANCELLED_QUEUED)
        latch_wait(&at->ended);
    CHECK(own == NULL || cfut_future_wait(own, CFUT_FOREVER) >= 0);
    cfut_future_release(own);
    cfut_future_release(blocker);
    watch_at(at, AFTER);
}

static void live(life *at)
{
    bool has_value = at->ending == ENDS_WELL || at->ending == FAILS;
    bool has_argument = at->kind == CLOSURE || at->kind == CONTINUATION;
    cfut_future *next;
    run_to_end(at);
    told_once(at);
    cfut_future_release(at->future);
    CHECK_OK(cfut_submit(at->pool, nothing_task, NULL, 0, &next)); /* it goes on working */
    CHECK_OK(cfut_future_wait(next, CFUT_FOREVER));
    cfut_future_release(next);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(latch_count(&at->values_freed), has_value);
    CHECK_EQ(latch_count(&at->arguments_freed), has_argument);
}

static const life NEW_LIFE = { .blocker = GATE_CLOSED,
                               .stage = GATE_CLOSED,
                               .ended = LATCH_CLOSED,
                               .watched = LATCH_CLOSED,
                               .values_freed = LATCH_CLOSED,
                               .arguments_freed = LATCH_CLOSED };

static void all_lives_that_end(ending ending)
{
    cfut_executor *pool = check_pool(1);
    int lives = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int watching = 0; watching < WATCHINGS; watching++) {
            for (int moment = 0; moment < MOMENTS; moment++) {
                life at = NEW_LIFE;
                if (ending == CANCELLED_QUEUED && moment == DURING)
                    continue; /* it never runs */
                at.ending = ending;
                at.kind = (enum kind)kind;
                at.watching = (enum watching)watching;
                at.moment = (enum moment)moment;
                at.pool = pool;
                printf("kind %d, watching %d, moment %d\n", kind, watching, moment);
                fflush(stdout);
                live(&at);
                lives++;
            }
        }
    }
    CHECK_EQ(lives, KINDS * WATCHINGS * (ending == CANCELLED_QUEUED ? 2 : 3));
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_RUNNING), 0);
    check_close(pool);
}

static void ends_well(void)
{
    all_lives_that_end(ENDS_WELL);
}

static void fails(void)
{
    all_lives_that_end(FAILS);
}

static void ends_its_thread(void)
{
    all_lives_that_end(ENDS_ITS_THREAD);
}

static void cancelled_queued(void)
{
    all_lives_that_end(CANCELLED_QUEUED);
}

static void cancelled_running(void)
{
    all_lives_that_end(CANCELLED_RUNNING);
}

CHECK_MAIN(CASE(ends_well), CASE(fails), CASE(ends_its_thread), CASE(cancelled_queued),
           CASE(cancelled_running))
