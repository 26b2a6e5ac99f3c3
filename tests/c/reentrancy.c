/* User code that calls the library, from every place the library calls it from: each verb in
 * each context. No lock is held there, so all of it works or is refused with a status. */
#include "check.h"

/* What a verb finds. */
typedef struct scene {
    cfut_executor *pool;  /* whose thread it runs in, or which has to do with it */
    cfut_executor *other; /* a pool that has nothing to do with it */
    cfut_future *own;     /* the future it is called for, or NULL */
    bool settled;         /* that one is settled */
    bool worker;          /* it runs in a worker of `pool` */
    void (*verb)(struct scene *);
    latch called, extra; /* the verb is over; what it started is */
    gate stage;
    cfut_future *waiting; /* has the gate in it, or NULL */
} scene;

/* ---- verbs ---- */

static int32_t open_extra(cfut_promise *self, const void *data, size_t length)
{
    scene *at;
    (void)self;
    (void)length;
    memcpy(&at, data, sizeof at);
    latch_open(&at->extra);
    return 0;
}

static void open_extra_callback(cfut_future *future, void *at)
{
    CHECK(cfut_future_state(future) >= CFUT_STATE_CANCELLED);
    latch_open(&((scene *)at)->extra);
}

static void no_verb(scene *at)
{
    latch_open(&at->extra);
}

static void submits(scene *at)
{
    CHECK_OK(cfut_submit(at->pool, open_extra, &at, sizeof at, NULL));
}

static void submits_and_waits(scene *at)
{
    cfut_future *future;
    CHECK_OK(cfut_submit(at->pool, open_extra, &at, sizeof at, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
}

static void submits_many_and_waits(scene *at)
{
    cfut_task *task;
    cfut_future *futures[50];
    CHECK_OK(cfut_task_new(nothing_task, &task));
    CHECK_OK(cfut_submit_many(at->pool, task, futures, sizeof futures[0], 50, futures));
    CHECK_OK(cfut_wait_many(futures, 50, CFUT_WAIT_ALL, CFUT_FOREVER, NULL, NULL));
    for (int i = 0; i < 50; i++)
        cfut_future_release(futures[i]);
    cfut_task_free(task);
    latch_open(&at->extra);
}

static void submits_elsewhere_and_waits(scene *at)
{
    cfut_future *future;
    CHECK_OK(cfut_submit(at->other, open_extra, &at, sizeof at, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
}

/* With a time-out the pool may not run it here, but has another worker. */
static void waits_with_timeout(scene *at)
{
    cfut_future *future;
    CHECK_OK(cfut_submit(at->pool, open_extra, &at, sizeof at, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_SEC(1000)));
    cfut_future_release(future);
}

static void waits_for_itself(scene *at)
{
    if (at->own != NULL && at->settled)
        CHECK(cfut_future_wait(at->own, CFUT_FOREVER) >= 0);
    if (at->own != NULL && !at->settled)
        CHECK_STATUS(cfut_future_wait(at->own, CFUT_FOREVER), CFUT_EDEADLK);
    latch_open(&at->extra);
}

static void releases_itself(scene *at)
{
    cfut_future_release(cfut_future_retain(at->own));
    cfut_future_release(at->own); /* the only handle, in all contexts */
    at->own = NULL;
    latch_open(&at->extra);
}

static void cancels_itself(scene *at)
{
    if (at->own != NULL) {
        cfut_status status = cfut_future_cancel(at->own, CFUT_CANCEL_STOP);
        if (at->settled)
            CHECK(status == CFUT_TOO_LATE || status == CFUT_OK);
        else
            CHECK_STATUS(status, CFUT_PENDING);
    }
    latch_open(&at->extra);
}

static void adds_a_callback(scene *at)
{
    if (at->own == NULL)
        latch_open(&at->extra);
    else
        CHECK_OK(cfut_future_on_done(at->own, NULL, open_extra_callback, at, NULL));
}

static void adds_a_callback_elsewhere(scene *at)
{
    if (at->own == NULL)
        latch_open(&at->extra);
    else
        CHECK_OK(cfut_future_on_done(at->own, at->other, open_extra_callback, at, NULL));
}

static int32_t open_extra_then(cfut_promise *self, cfut_future *input, void *at)
{
    (void)self;
    open_extra_callback(input, at);
    return 0;
}

static void continues(scene *at)
{
    cfut_future *made;
    if (at->own == NULL) {
        latch_open(&at->extra);
        return;
    }
    CHECK_OK(cfut_future_then(at->own, at->pool, open_extra_then, at, NULL, &made));
    cfut_future_release(made);
}

static void settles_promises(scene *at)
{
    for (int i = 0; i < 3; i++) {
        cfut_promise *promise;
        cfut_future *future;
        CHECK_OK(cfut_promise_new(&promise, &future));
        CHECK_OK(cfut_future_on_done(future, NULL, open_extra_callback, at, NULL));
        if (i == 0)
            CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
        if (i == 1)
            CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
        cfut_promise_release(promise); /* else it breaks */
        CHECK(cfut_future_wait(future, CFUT_FOREVER) > (i == 0 ? -1 : 0));
        cfut_future_release(future);
    }
}

static void uses_a_queue(scene *at)
{
    cfut_queue *queue;
    cfut_future *future;
    uint64_t tag;
    CHECK_OK(cfut_queue_new(&queue));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(cfut_submit(at->pool, open_extra, &at, sizeof at, &future));
        CHECK_OK(cfut_queue_add(queue, future, 1));
        cfut_future_release(future);
    }
    while (cfut_queue_next(queue, CFUT_FOREVER, &future, &tag) == CFUT_OK)
        cfut_future_release(future);
    cfut_queue_release(queue);
}

static void makes_a_pool(scene *at)
{
    cfut_executor *pool;
    cfut_future *future;
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    CHECK_OK(cfut_submit(pool, open_extra, &at, sizeof at, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

/* For ever only where it can end. */
static void shuts_down(scene *at)
{
    if (at->worker)
        CHECK_STATUS(cfut_executor_shutdown(at->pool, 0, CFUT_FOREVER), CFUT_EDEADLK);
    CHECK(cfut_executor_shutdown(at->pool, 0, CFUT_NOW) >= 0);
    CHECK_STATUS(cfut_submit(at->pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    latch_open(&at->extra);
}

static void shuts_down_and_cancels(scene *at)
{
    CHECK(cfut_executor_shutdown(at->pool, CFUT_SHUTDOWN_CANCEL | CFUT_SHUTDOWN_STOP, 0) >= 0);
    CHECK_STATUS(cfut_submit(at->pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    latch_open(&at->extra);
}

static void shuts_other_down(scene *at)
{
    CHECK_OK(cfut_submit(at->other, open_extra, &at, sizeof at, NULL));
    CHECK_OK(cfut_executor_shutdown(at->other, 0, CFUT_FOREVER));
}

static void quiesces(scene *at)
{
    CHECK_STATUS(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK);
    CHECK_STATUS(cfut_quiesce(CFUT_NOW), CFUT_EDEADLK);
    latch_open(&at->extra);
}

static void blocks(scene *at)
{
    cfut_blocking_begin();
    cfut_blocking_begin();
    CHECK_OK(cfut_submit(at->pool, open_extra, &at, sizeof at, NULL));
    latch_wait(&at->extra); /* another worker runs it meanwhile */
    cfut_blocking_end();
    cfut_blocking_end();
    cfut_blocking_end(); /* one too many does nothing */
}

static void looks_around(scene *at)
{
    char text[4096];
    size_t length;
    CHECK_OK(cfut_executor_snapshot(at->pool, text, sizeof text, &length));
    for (int32_t key = CFUT_STAT_WORKERS; key <= CFUT_STAT_BROKEN; key++)
        check_stat(at->pool, key);
    if (at->worker)
        CHECK(cfut_executor_current() == at->pool);
    latch_open(&at->extra);
}

static void (*const verbs[])(scene *) = {
    no_verb,           submits,         submits_and_waits,
    submits_many_and_waits,             submits_elsewhere_and_waits,
    waits_with_timeout, waits_for_itself, releases_itself,
    cancels_itself,    adds_a_callback, adds_a_callback_elsewhere,
    continues,         settles_promises, uses_a_queue,
    makes_a_pool,      shuts_down,      shuts_down_and_cancels,
    shuts_other_down,  quiesces,        blocks,
    looks_around,
};

/* ---- contexts ---- */

static void speak(scene *at)
{
    at->verb(at);
    latch_open(&at->called);
}

static void speak_in_callback(cfut_future *future, void *arg)
{
    scene *at = arg;
    CHECK(at->own == future);
    at->settled = true;
    speak(at);
}

static void speak_in_free(void *arg)
{
    speak(arg);
}

static int32_t speak_in_task(cfut_promise *self, const void *data, size_t length)
{
    scene *at;
    (void)self;
    (void)length;
    memcpy(&at, data, sizeof at);
    latch_open(&at->stage.entered);
    latch_wait(&at->stage.open); /* the handle is written */
    at->worker = true;
    speak(at);
    return 0;
}

static int32_t speak_in_then(cfut_promise *self, cfut_future *input, void *arg)
{
    scene *at = arg;
    (void)self;
    CHECK_OK(cfut_future_wait(input, CFUT_NOW));
    at->worker = cfut_executor_current() == at->pool;
    speak(at);
    return 0;
}

static int32_t speak_in_hook(void *arg, uint32_t worker)
{
    scene *at = arg;
    at->worker = true;
    if (worker == 0 && latch_count(&at->called) == 0)
        speak(at);
    return 0;
}

/* A callback that a worker calls. */
static void callback_in_worker(scene *at)
{
    at->worker = true;
    at->own = gate_submit(at->pool, &at->stage);
    CHECK_OK(cfut_future_on_done(at->own, NULL, speak_in_callback, at, NULL));
    latch_open(&at->stage.open);
}

static void callback_on_executor(scene *at)
{
    at->worker = true;
    at->own = gate_submit(at->other, &at->stage);
    CHECK_OK(cfut_future_on_done(at->own, at->pool, speak_in_callback, at, NULL));
    latch_open(&at->stage.open);
}

static void callback_in_host(scene *at)
{
    cfut_promise *promise;
    CHECK_OK(cfut_promise_new(&promise, &at->own));
    CHECK_OK(cfut_future_on_done(at->own, NULL, speak_in_callback, at, NULL));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    cfut_promise_release(promise);
}

/* Here and now, for the future is settled. */
static void callback_at_once(scene *at)
{
    cfut_promise *promise;
    CHECK_OK(cfut_promise_new(&promise, &at->own));
    CHECK_OK(cfut_promise_set_cancelled(promise));
    cfut_promise_release(promise);
    CHECK_OK(cfut_future_on_done(at->own, NULL, speak_in_callback, at, NULL));
}

static void callback_of_cancel(scene *at)
{
    cfut_future *before = gate_submit(at->pool, &at->stage), *kept;
    CHECK_OK(cfut_submit(at->pool, nothing_task, NULL, 0, &at->own));
    kept = cfut_future_retain(at->own);
    CHECK_OK(cfut_future_on_done(at->own, NULL, speak_in_callback, at, NULL));
    latch_open(&at->stage.open); /* or a verb that waits for the pool would wait for us */
    CHECK(cfut_future_wait(before, CFUT_FOREVER) == CFUT_OK);
    cfut_future_cancel(kept, CFUT_CANCEL_PENDING); /* may come too late: called all the same */
    cfut_future_release(kept);
    cfut_future_release(before);
}

static void inside_task(scene *at)
{
    CHECK_OK(cfut_submit(at->pool, speak_in_task, &at, sizeof at, &at->own));
    latch_open(&at->stage.open);
}

static void then_function(scene *at)
{
    cfut_future *input, *made;
    CHECK_OK(cfut_submit(at->pool, nothing_task, NULL, 0, &input));
    CHECK_OK(cfut_future_then(input, at->pool, speak_in_then, at, NULL, &made));
    cfut_future_release(input);
    cfut_future_release(made);
}

static void then_without_executor(scene *at)
{
    cfut_promise *promise;
    cfut_future *input, *made;
    CHECK_OK(cfut_promise_new(&promise, &input));
    CHECK_OK(cfut_future_then(input, NULL, speak_in_then, at, NULL, &made));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    cfut_promise_release(promise);
    cfut_future_release(input);
    cfut_future_release(made);
}

static int32_t closure(cfut_promise *self, void *arg)
{
    (void)self;
    (void)arg;
    return 0;
}

/* A free function that a worker calls. */
static void free_in_worker(scene *at)
{
    at->worker = true;
    CHECK_OK(cfut_submit_closure(at->pool, closure, at, speak_in_free, NULL));
}

/* One that a call calls which refuses its argument. */
static void free_of_refused(scene *at)
{
    CHECK_STATUS(cfut_submit_closure(NULL, closure, at, speak_in_free, NULL), CFUT_EINVAL);
}

static void free_of_value(scene *at)
{
    cfut_promise *promise;
    cfut_future *future;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_promise_set_value(promise, at, speak_in_free));
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void free_of_buffer(scene *at)
{
    cfut_buffer *buffer;
    CHECK_OK(cfut_buffer_wrap(NULL, 0, speak_in_free, at, &buffer));
    cfut_buffer_release(buffer);
}

static void hooked(scene *at, cfut_hook_fn start, cfut_hook_fn stop)
{
    cfut_options *options = cfut_options_new();
    check_close(at->pool);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 2));
    CHECK_OK(cfut_options_set_worker_hooks(options, start, stop, at, NULL));
    at->pool = check_pool_with(options);
}

static void start_hook(scene *at)
{
    hooked(at, speak_in_hook, NULL);
    CHECK_OK(cfut_submit(at->pool, nothing_task, NULL, 0, NULL));
}

/* ---- the product ---- */

static void play(void (*context)(scene *), void (*verb)(scene *))
{
    static const scene fresh = { .called = LATCH_CLOSED, .extra = LATCH_CLOSED,
                                 .stage = GATE_CLOSED };
    scene at = fresh;
    at.verb = verb;
    at.pool = check_pool(1);
    at.other = check_pool(1);
    context(&at);
    latch_wait(&at.called);
    latch_wait(&at.extra);
    cfut_future_release(at.own);
    check_close(at.pool);
    check_close(at.other);
}

static void play_all(void (*context)(scene *))
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        printf("verb %zu\n", i);
        fflush(stdout);
        play(context, verbs[i]);
    }
}

#define CONTEXTS(X) \
    X(callback_in_worker) X(callback_on_executor) X(callback_in_host) X(callback_at_once) \
    X(callback_of_cancel) X(inside_task) X(then_function) X(then_without_executor) X(free_in_worker) \
    X(free_of_refused) X(free_of_value) X(free_of_buffer) X(start_hook)

#define DEFINE_CASE(context) \
    static void from_##context(void) \
    { \
        play_all(context); \
    }
CONTEXTS(DEFINE_CASE)
#define LIST_CASE(context) CASE(from_##context),

/* ---- and others ---- */

static latch logged = LATCH_CLOSED;
static cfut_executor *log_pool;

static int32_t failing_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_fail(self, 41, "no luck");
}

static void log_and_call(int32_t level, const char *message, void *arg)
{
    cfut_future *future;
    CHECK(strstr(message, "no luck") != NULL);
    CHECK(level == CFUT_LOG_ERROR || level == CFUT_LOG_WARNING);
    CHECK_OK(cfut_submit(log_pool, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    if (latch_count(&logged) == 0)
        CHECK_OK(cfut_set_log(NULL, NULL, NULL)); /* out of its own call */
    latch_open(arg);
}

static void from_log(void)
{
    log_pool = check_pool(1);
    CHECK_OK(cfut_set_log(log_and_call, &logged, NULL));
    CHECK_OK(cfut_submit(log_pool, failing_task, NULL, 0, NULL)); /* nobody has its future */
    latch_wait(&logged);
    check_close(log_pool);
}

/* The last handles go inside: the pool ends by itself. */
static int32_t release_pool_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool;
    memcpy(&pool, data, sizeof pool);
    cfut_executor_release(pool);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    return cfut_promise_set_bytes(self, data, length);
}

static void task_releases_its_executor(void)
{
    for (int i = 0; i < 50; i++) {
        cfut_executor *pool;
        cfut_future *future;
        CHECK_OK(cfut_thread_pool_new(NULL, &pool));
        CHECK_OK(cfut_submit(pool, release_pool_task, &pool, sizeof pool, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
    }
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
}

CHECK_MAIN(CONTEXTS(LIST_CASE) CASE(task_releases_its_executor), CASE(from_log))
