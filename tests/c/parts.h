/* Small parts that several suites are made of: tasks, counters, builders with one option. */
#ifndef PARTS_H
#define PARTS_H

#include "check.h"

#include <stdatomic.h>

/* ---- tasks ---- */

/* Task: returns the int32_t it is given. */
CHECK_UNUSED static int32_t return_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t code;
    (void)self;
    CHECK_EQ(length, sizeof code);
    memcpy(&code, data, sizeof code);
    return code;
}

/* Task: its result is its data. */
CHECK_UNUSED static int32_t echo_task(cfut_promise *self, const void *data, size_t length)
{
    CHECK_OK(cfut_promise_set_bytes(self, data, length));
    return 0;
}

/* Task: adds 1 to the `atomic_int *` it is given. */
CHECK_UNUSED static int32_t count_task(cfut_promise *self, const void *data, size_t length)
{
    atomic_int *counter;
    (void)self;
    (void)length;
    memcpy(&counter, data, sizeof counter);
    atomic_fetch_add(counter, 1);
    return 0;
}

/* Task: its data is a `latch *`, opened once it runs; goes on until it is asked to stop, and
 * agrees. */
CHECK_UNUSED static int32_t obedient_task(cfut_promise *self, const void *data, size_t length)
{
    latch *entered;
    (void)length;
    memcpy(&entered, data, sizeof entered);
    latch_open(entered);
    CHECK_SOON(cfut_promise_stop_requested(self));
    (void)cfut_promise_set_cancelled(self); /* too late after a time-out */
    return 0;
}

/* What a task leaves that goes on after its return. */
struct detached {
    latch kept;
    cfut_promise *promise;
};

/* Task: keeps its promise in the `struct detached *` it is given, and detaches itself. */
CHECK_UNUSED static int32_t detach_task(cfut_promise *self, const void *data, size_t length)
{
    struct detached *detached;
    memcpy(&detached, data, length);
    detached->promise = cfut_promise_retain(self);
    latch_open(&detached->kept);
    return CFUT_DETACH;
}

/* Numbers in the order in which tasks ran. */
struct order {
    pthread_mutex_t lock;
    int count;
    int seen[256];
};

#define NO_ORDER { PTHREAD_MUTEX_INITIALIZER, 0, { 0 } }

struct place {
    struct order *order;
    int number;
};

/* Task: its data is a `struct place`; notes the number. */
CHECK_UNUSED static int32_t note_place(cfut_promise *self, const void *data, size_t length)
{
    struct place place;
    (void)self;
    memcpy(&place, data, length);
    pthread_mutex_lock(&place.order->lock);
    place.order->seen[place.order->count++] = place.number;
    pthread_mutex_unlock(&place.order->lock);
    return 0;
}

/* Numbers in the order in which tasks began. */
struct sequence {
    atomic_int next, wrong;
};

#define NO_SEQUENCE { 0, 0 }

struct member {
    struct sequence *in;
    int number;
};

/* Task: its data is a `struct member`; is it its turn? */
CHECK_UNUSED static int32_t begin_in_turn(cfut_promise *self, const void *data, size_t length)
{
    struct member member;
    (void)self;
    memcpy(&member, data, length);
    if (atomic_fetch_add(&member.in->next, 1) != member.number)
        atomic_fetch_add(&member.in->wrong, 1);
    return 0;
}

/* Closure: adds 1 to an atomic_int. */
CHECK_UNUSED static int32_t count_closure(cfut_promise *self, void *arg)
{
    (void)self;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

/* Free function: adds 1 to an atomic_int. */
CHECK_UNUSED static void count_free(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* Callback: adds 1 to an atomic_int. */
CHECK_UNUSED static void count_done(cfut_future *future, void *arg)
{
    (void)future;
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* ---- submits ---- */

CHECK_UNUSED static cfut_future *submit(cfut_executor *executor, cfut_task_fn fn, const void *data,
                                        size_t length)
{
    cfut_future *future = NULL;
    CHECK_OK(cfut_submit(executor, fn, data, length, &future));
    CHECK(future != NULL);
    return future;
}

CHECK_UNUSED static cfut_future *submit_nothing(cfut_executor *executor)
{
    return submit(executor, nothing_task, NULL, 0);
}

CHECK_UNUSED static cfut_future *submit_code(cfut_executor *executor, int32_t code)
{
    return submit(executor, return_task, &code, sizeof code);
}

/* Occupies a worker with a gate task, as gate_submit() does, that nobody need wait for. */
CHECK_UNUSED static void gate_hold(cfut_executor *executor, gate *gate)
{
    cfut_future_release(gate_submit(executor, gate));
}

/* Waits for the end, lets go, and says how it ended. */
CHECK_UNUSED static cfut_status end_of(cfut_future *future)
{
    cfut_status status = cfut_future_wait(future, CFUT_FOREVER);
    cfut_future_release(future);
    return status;
}

/* The result as one integer. */
CHECK_UNUSED static int64_t integer_of(cfut_future *future)
{
    int64_t value = 0;
    size_t length = 0;
    const void *bytes = cfut_future_bytes(future, &length);
    CHECK_EQ(length, sizeof value);
    memcpy(&value, bytes, sizeof value);
    return value;
}

/* ---- builders ---- */

CHECK_UNUSED static cfut_options *options_with(int64_t workers, int32_t key, int64_t value)
{
    cfut_options *options = options_of(workers);
    CHECK_OK(cfut_options_set(options, key, value));
    return options;
}

CHECK_UNUSED static cfut_task *task_of(cfut_task_fn fn)
{
    cfut_task *task = NULL;
    CHECK_OK(cfut_task_new(fn, &task));
    CHECK(task != NULL);
    return task;
}

CHECK_UNUSED static cfut_task *task_with(cfut_task_fn fn, int32_t key, int64_t value)
{
    cfut_task *task = task_of(fn);
    CHECK_OK(cfut_task_set(task, key, value));
    return task;
}

CHECK_UNUSED static cfut_task *task_named(cfut_task_fn fn, const char *name)
{
    cfut_task *task = task_of(fn);
    CHECK_OK(cfut_task_set_text(task, CFUT_TASK_NAME, name));
    return task;
}

/* Submits from a builder made for this one task, and frees it. */
CHECK_UNUSED static cfut_future *submit_once(cfut_executor *executor, cfut_task *task,
                                             const void *data, size_t length)
{
    cfut_future *future = NULL;
    CHECK_OK(cfut_submit_task(executor, task, data, length, &future));
    cfut_task_free(task);
    return future;
}

/* ---- promises ---- */

/* The future of a promise made by hand. */
CHECK_UNUSED static cfut_future *by_hand(cfut_promise **promise)
{
    cfut_future *future = NULL;
    CHECK_OK(cfut_promise_new(promise, &future));
    CHECK(*promise != NULL && future != NULL);
    return future;
}

/* A future that has ended this way: CFUT_OK, _FAILED (with code 7), _CANCELLED or _BROKEN. */
CHECK_UNUSED static cfut_future *ended(cfut_status how)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    if (how == CFUT_OK)
        CHECK_OK(cfut_promise_set_bytes(promise, "good", 4));
    else if (how == CFUT_FAILED)
        CHECK_OK(cfut_promise_fail(promise, 7, "bad"));
    else if (how == CFUT_CANCELLED)
        CHECK_OK(cfut_promise_set_cancelled(promise));
    cfut_promise_release(promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), how);
    return future;
}

/* A future whose last promise went unsettled; lets go. */
CHECK_UNUSED static void expect_promise_released(cfut_future *future)
{
    const char *words = "promise released";
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
    CHECK_EQ(cfut_future_code(future), 0);
    CHECK(strncmp(cfut_future_message(future), words, strlen(words)) == 0);
    cfut_future_release(future);
}

/* ---- threads ---- */

CHECK_UNUSED static pthread_t thread_start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, run, arg), 0);
    return thread;
}

CHECK_UNUSED static void thread_join(pthread_t thread)
{
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

#endif
