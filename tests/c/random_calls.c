/* Random sequences of calls, held against a small model of what they must answer.
 *
 * The model knows one executor with one worker, which stands in a gate until the sequence
 * opens it for one task, so that it is known at each moment which task runs and which are
 * queued: every answer is determined. CHECK_SEED starts at another sequence, CHECK_SEQUENCES
 * (3000) says how many; a failure prints the seed of its sequence. */
#include "check.h"

#include <sched.h>
#include <stdatomic.h>

#define SLOTS 12 /* futures a sequence can have at a time */
#define STEPS 60

/* ---- chance ---- */

static uint64_t seed, state;

static unsigned next(unsigned limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % limit;
}

static uint64_t number_of(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : standard;
}

static void start_sequence(uint64_t number)
{
    seed = number;
    state = number * UINT64_C(0x9E3779B97F4A7C15) + 1;
    printf("CHECK_SEED=%llu\n", (unsigned long long)seed); /* the last one printed is at fault */
    fflush(stdout);
}

/* ---- the model ---- */

typedef enum kind { TASK, PROMISE } kind;
typedef enum life { QUEUED, RUNNING, STARTED, OVER } life; /* STARTED: a promise that was */

/* How a task is to end, chosen when it is submitted. */
typedef enum plan { SUCCEEDS, FAILS, CANCELS, RETURNS_CODE, PLANS } plan;

typedef struct model {
    kind kind;
    life life;
    plan plan;
    cfut_status outcome; /* once it is OVER */
    int32_t code;
    int number;         /* what it is told apart by, and its result */
    bool stop;          /* it was asked to stop */
    bool dropped;       /* its handle has been released */
    bool in_use;
    int callbacks;      /* added */
    cfut_future *future;
    cfut_promise *promise;
    atomic_int called, runs;
} model;

static model slots[SLOTS];
static int numbers;
static cfut_executor *pool;
static bool closed;
static gate step;           /* each task enters and waits here */
static int entered, opened; /* how many have, and may go on */
static model *running;
static int queue[SLOTS], queued;

static bool is_over(const model *at)
{
    return at->life == OVER;
}

/* ---- what tasks do ---- */

/* Looks at its slot before it has entered only: the sequence may use it again then. */
static int32_t planned_task(cfut_promise *self, const void *data, size_t length)
{
    model *at;
    plan plan;
    int number;
    CHECK_EQ(length, sizeof at);
    memcpy(&at, data, sizeof at);
    plan = at->plan;
    number = at->number;
    at->runs++;
    latch_open(&step.entered);
    latch_wait_for(&step.open, number); /* its turn to end */
    switch (plan) {
    case SUCCEEDS:
        CHECK_OK(cfut_promise_set_bytes(self, &number, sizeof number));
        CHECK_STATUS(cfut_promise_set_bytes(self, "x", 1), CFUT_ESTATE);
        return 0;
    case FAILS:
        CHECK_OK(cfut_promise_fail(self, number, "as planned"));
        return 0;
    case CANCELS:
        CHECK_OK(cfut_promise_set_cancelled(self));
        return 0;
    default:
        return number;
    }
}

/* ---- the model's moves ---- */

static void settle(model *at, cfut_status outcome, int32_t code)
{
    at->life = OVER;
    at->outcome = outcome;
    at->code = code;
}

static int place_of(const model *at)
{
    return (int)(at - slots);
}

static model *free_slot(void)
{
    for (int i = 0; i < SLOTS; i++) {
        if (!slots[i].in_use) {
            model *at = &slots[i];
            memset(at, 0, sizeof *at);
            at->in_use = true;
            return at;
        }
    }
    return NULL;
}

/* The worker takes the oldest task, if it is free. */
static void begin_next(void)
{
    if (running != NULL || queued == 0)
        return;
    running = &slots[queue[0]];
    queued--;
    memmove(queue, queue + 1, (size_t)queued * sizeof queue[0]);
    running->life = RUNNING;
    latch_wait_for(&step.entered, ++entered);
}

static void take_from_queue(const model *at)
{
    for (int i = 0; i < queued; i++) {
        if (queue[i] == place_of(at)) {
            queued--;
            memmove(queue + i, queue + i + 1, (size_t)(queued - i) * sizeof queue[0]);
            return;
        }
    }
    check_failed(__FILE__, __LINE__, "the model has lost a task");
}

/* ---- looking ---- */

static void check_state(model *at)
{
    int32_t wanted = at->life == QUEUED    ? CFUT_STATE_PENDING
                     : !is_over(at)        ? CFUT_STATE_RUNNING
                     : at->outcome == CFUT_CANCELLED ? CFUT_STATE_CANCELLED
                                                     : CFUT_STATE_FINISHED;
    int number;
    size_t length;
    const void *bytes;
    if (at->future == NULL)
        return;
    CHECK_EQ(cfut_future_state(at->future), wanted);
    CHECK_STATUS(cfut_future_wait(at->future, CFUT_NOW), is_over(at) ? at->outcome : CFUT_TIMEOUT);
    CHECK_EQ(cfut_future_code(at->future), is_over(at) ? at->code : 0);
    bytes = cfut_future_bytes(at->future, &length);
    if (is_over(at) && at->outcome == CFUT_OK) {
        CHECK_EQ(length, sizeof number);
        memcpy(&number, bytes, sizeof number);
        CHECK_EQ(number, at->number);
    } else {
        CHECK_EQ(length, 0);
    }
    CHECK_EQ(at->runs, at->kind == TASK && (at->life == RUNNING || (is_over(at) && at->runs)));
}

static void on_done(cfut_future *future, void *arg)
{
    model *at = arg;
    CHECK(cfut_future_state(future) >= CFUT_STATE_CANCELLED);
    at->called++;
}

/* A task's callbacks run in the worker, a moment later. */
static void check_called(model *at)
{
    if (is_over(at))
        CHECK_SOON(at->called == at->callbacks);
    else
        CHECK_EQ(at->called, 0);
}

static void check_all(void)
{
    for (int i = 0; i < SLOTS; i++) {
        if (slots[i].in_use)
            check_state(&slots[i]);
    }
}

/* ---- steps ---- */

static void submit_step(void)
{
    model *at = free_slot();
    cfut_status status;
    if (at == NULL)
        return;
    at->kind = TASK;
    at->plan = (plan)next(PLANS);
    at->number = numbers + 1;
    /* Numbers are the turns at the gate, and so only for what is accepted. */
    status = cfut_submit(pool, planned_task, &at, sizeof at, &at->future);
    CHECK_STATUS(status, closed ? CFUT_ESHUTDOWN : CFUT_OK);
    if (closed) {
        at->in_use = false;
        return;
    }
    numbers++;
    queue[queued++] = place_of(at);
    begin_next();
}

/* Lets the running task come to its end. */
static void finish_step(void)
{
    static const cfut_status outcomes[PLANS] = { CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, CFUT_FAILED };
    model *at = running;
    if (at == NULL)
        return;
    latch_add(&step.open, at->number - opened);
    opened = at->number;
    running = NULL;
    settle(at, outcomes[at->plan], at->plan == FAILS || at->plan == RETURNS_CODE ? at->number : 0);
    if (at->future != NULL)
        CHECK_STATUS(cfut_future_wait(at->future, CFUT_FOREVER), at->outcome);
    begin_next();
    check_called(at);
    if (at->dropped)
        at->in_use = false;
}

static model *any(void)
{
    model *at = &slots[next(SLOTS)];
    return at->in_use && at->future != NULL ? at : NULL;
}

static void cancel_step(model *at)
{
    uint32_t mode = next(3);
    cfut_status wanted;
    if (is_over(at))
        wanted = at->outcome == CFUT_CANCELLED ? CFUT_OK : CFUT_TOO_LATE;
    else if (at->life == QUEUED)
        wanted = CFUT_OK;
    else
        wanted = mode == CFUT_CANCEL_PENDING ? CFUT_TOO_LATE : CFUT_PENDING;
    CHECK_STATUS(cfut_future_cancel(at->future, mode), wanted);
    if (at->life == QUEUED) {
        if (at->kind == TASK)
            take_from_queue(at);
        settle(at, CFUT_CANCELLED, 0);
        CHECK_EQ(at->called, at->callbacks); /* in this thread, before it returned */
    } else if (!is_over(at) && mode != CFUT_CANCEL_PENDING) {
        at->stop = true;
    }
}

static void callback_step(model *at)
{
    at->callbacks++;
    CHECK_OK(cfut_future_on_done(at->future, NULL, on_done, at, NULL));
    if (is_over(at) && at->kind == PROMISE)
        CHECK_EQ(at->called, at->callbacks); /* here and now */
    else
        check_called(at); /* the worker may still be at those before */
}

static void promise_step(void)
{
    model *at = free_slot();
    if (at == NULL)
        return;
    at->kind = PROMISE;
    CHECK_OK(cfut_promise_new(&at->promise, &at->future));
}

/* One call on a promise made by hand. */
static void settle_step(model *at)
{
    unsigned which = next(6);
    bool over = is_over(at);
    cfut_status late = over ? CFUT_ESTATE : CFUT_OK;
    if (at->promise == NULL)
        return;
    switch (which) {
    case 0:
        CHECK_STATUS(cfut_promise_start(at->promise),
                     over && at->outcome == CFUT_CANCELLED ? CFUT_CANCELLED
                     : over || at->life == STARTED         ? CFUT_ESTATE
                                                           : CFUT_OK);
        if (!over)
            at->life = STARTED;
        return;
    case 1:
        CHECK_STATUS(cfut_promise_set_bytes(at->promise, &at->number, sizeof at->number), late);
        if (!over)
            settle(at, CFUT_OK, 0);
        break;
    case 2:
        CHECK_STATUS(cfut_promise_fail(at->promise, 41, "as said"), late);
        if (!over)
            settle(at, CFUT_FAILED, 41);
        break;
    case 3:
        CHECK_STATUS(cfut_promise_set_progress(at->promise, 1, 2), late);
        return;
    case 4:
        CHECK_EQ(cfut_promise_stop_requested(at->promise), at->stop);
        return;
    default:
        cfut_promise_release(at->promise);
        at->promise = NULL;
        if (!over)
            settle(at, CFUT_BROKEN, 0);
    }
    CHECK_EQ(at->called, at->callbacks);
}

/* Copies of handles come and go; the last one may go before the end. */
static void release_step(model *at)
{
    cfut_future *other = cfut_future_retain(at->future);
    CHECK(other == at->future);
    cfut_future_release(other);
    if (at->kind == PROMISE && at->promise != NULL)
        return;
    cfut_future_release(at->future);
    at->future = NULL;
    at->dropped = true;
    if (is_over(at))
        at->in_use = false;
}

static cfut_status join_outcome(model *const *inputs, int32_t mode)
{
    int over = 0, good = 0;
    cfut_status bad = CFUT_OK;
    for (int i = 0; i < 3; i++) {
        over += is_over(inputs[i]);
        good += is_over(inputs[i]) && inputs[i]->outcome == CFUT_OK;
        if (is_over(inputs[i]) && inputs[i]->outcome != CFUT_OK && bad == CFUT_OK)
            bad = inputs[i]->outcome;
    }
    switch (mode) {
    case CFUT_JOIN_ALL:
        return bad != CFUT_OK ? bad : over == 3 ? CFUT_OK : CFUT_TIMEOUT;
    case CFUT_JOIN_SETTLED:
        return over == 3 ? CFUT_OK : CFUT_TIMEOUT;
    case CFUT_JOIN_ANY: /* of those that are settled already: the first */
        for (int i = 0; i < 3; i++) {
            if (is_over(inputs[i]))
                return inputs[i]->outcome;
        }
        return CFUT_TIMEOUT;
    default:
        return good > 0 ? CFUT_OK : over == 3 ? CFUT_END : CFUT_TIMEOUT; /* END: some failure */
    }
}

/* Waits for several, and a join of them that is thrown away. */
static void group_step(void)
{
    model *inputs[3] = { any(), any(), any() };
    cfut_future *futures[3], *joined;
    uint8_t done[3] = { 9, 9, 9 };
    size_t number = 9, over = 0;
    int32_t mode = (int32_t)next(4);
    cfut_status wanted, status;
    for (int i = 0; i < 3; i++) {
        if (inputs[i] == NULL)
            return;
        futures[i] = inputs[i]->future;
        over += is_over(inputs[i]);
    }
    CHECK_STATUS(cfut_wait_many(futures, 3, CFUT_WAIT_ALL, CFUT_NOW, done, &number),
                 over == 3 ? CFUT_OK : CFUT_TIMEOUT);
    CHECK_EQ(number, over);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(done[i], is_over(inputs[i]));
    CHECK_STATUS(cfut_wait_many(futures, 3, CFUT_WAIT_ANY, CFUT_NOW, NULL, NULL),
                 over > 0 ? CFUT_OK : CFUT_TIMEOUT);
    CHECK_OK(cfut_join(futures, 3, mode, &joined));
    wanted = join_outcome(inputs, mode);
    status = cfut_future_wait(joined, CFUT_NOW);
    if (wanted == CFUT_END)
        CHECK(status > CFUT_TIMEOUT);
    else
        CHECK_STATUS(status, wanted);
    if (next(2) == 0)
        CHECK_STATUS(cfut_future_cancel(joined, CFUT_CANCEL_PENDING),
                     status == CFUT_TIMEOUT || status == CFUT_CANCELLED ? CFUT_OK : CFUT_TOO_LATE);
    cfut_future_release(joined);
}

/* Those that are settled come out at once, in the order added; the rest never do. */
static void queue_step(void)
{
    cfut_queue *completions;
    model *added[8];
    int count = 0;
    CHECK_OK(cfut_queue_new(&completions));
    for (int i = 0; i < 8; i++) {
        model *at = any();
        if (at == NULL)
            continue;
        CHECK_OK(cfut_queue_add(completions, at->future, (uint64_t)count));
        added[count++] = at;
    }
    for (int i = 0; i < count; i++) {
        cfut_future *taken;
        uint64_t tag;
        if (!is_over(added[i]))
            continue;
        CHECK_OK(cfut_queue_next(completions, CFUT_NOW, &taken, &tag));
        CHECK_EQ(tag, i);
        CHECK(taken == added[i]->future);
        cfut_future_release(taken);
        added[i] = NULL;
    }
    for (int i = 0; i < count; i++) {
        if (added[i] != NULL) {
            CHECK_STATUS(cfut_queue_next(completions, CFUT_NOW, NULL, NULL), CFUT_TIMEOUT);
            break;
        }
        if (i == count - 1)
            CHECK_STATUS(cfut_queue_next(completions, CFUT_FOREVER, NULL, NULL), CFUT_END);
    }
    cfut_queue_release(completions);
}

static void look_step(void)
{
    CHECK_SOON(check_stat(pool, CFUT_STAT_RUNNING) == (running != NULL));
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), queued);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), numbers);
    if (running != NULL)
        CHECK_STATUS(cfut_quiesce(CFUT_NOW), CFUT_TIMEOUT);
    else
        CHECK_OK(cfut_quiesce(CFUT_FOREVER));
}

static void shutdown_step(void)
{
    bool cancels = next(2) == 0;
    cfut_status status;
    if (next(6) != 0)
        return; /* not in every sequence */
    status = cfut_executor_shutdown(pool, cancels ? CFUT_SHUTDOWN_CANCEL : 0, CFUT_NOW);
    CHECK(status == CFUT_TIMEOUT || (status == CFUT_OK && running == NULL));
    closed = true;
    for (int i = 0; cancels && i < queued; i++) {
        model *at = &slots[queue[i]];
        settle(at, CFUT_CANCELLED, 0);
        CHECK_EQ(at->called, at->callbacks);
        if (at->dropped)
            at->in_use = false;
    }
    if (cancels)
        queued = 0;
}

static void random_step(void)
{
    unsigned which = next(12);
    model *at = any();
    if (which < 2)
        submit_step();
    else if (which == 2)
        finish_step();
    else if (which == 3)
        promise_step();
    else if (which == 4)
        group_step();
    else if (which == 5)
        queue_step();
    else if (which == 6)
        look_step();
    else if (which == 7 && next(4) == 0)
        shutdown_step();
    else if (at == NULL)
        return;
    else if (which == 8)
        cancel_step(at);
    else if (which == 9)
        callback_step(at);
    else if (which == 10)
        settle_step(at);
    else
        release_step(at);
}

/* ---- a sequence ---- */

static void begin_sequence(void)
{
    static const gate closed_gate = GATE_CLOSED;
    memset(slots, 0, sizeof slots);
    step = closed_gate;
    numbers = entered = opened = queued = 0;
    running = NULL;
    closed = false;
    pool = check_pool(1);
}

static void end_sequence(void)
{
    while (running != NULL)
        finish_step();
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    for (int i = 0; i < SLOTS; i++) {
        model *at = &slots[i];
        if (!at->in_use)
            continue;
        if (at->promise != NULL) {
            cfut_promise_release(at->promise);
            at->promise = NULL;
            if (!is_over(at))
                settle(at, CFUT_BROKEN, 0);
        }
        check_state(at);
        check_called(at);
        cfut_future_release(at->future);
    }
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 0);
    check_close(pool);
}

static void calls_against_the_model(void)
{
    uint64_t from = number_of("CHECK_SEED", 1), count = number_of("CHECK_SEQUENCES", 3000);
    if (getenv("CHECK_SEED") != NULL && getenv("CHECK_SEQUENCES") == NULL)
        count = 1;
    for (uint64_t i = 0; i < count; i++) {
        start_sequence(from + i);
        begin_sequence();
        for (int n = 0; n < STEPS; n++) {
            random_step();
            check_all();
        }
        end_sequence();
    }
}

CHECK_MAIN(CASE(calls_against_the_model))
