/* Behaviours, maps, parallel loops, pipes and commands: each case runs on every kind of executor. */
#include "views.h"

/* ---- the kinds ---- */

/* An executor, what is under it, and a thread that runs it if it is a loop. */
struct kind {
    const char *name;
    cfut_executor *made, *parent, *root;
    bool loop, processes;
    uint32_t most; /* of its tasks run at once */
    pthread_t runner;
};

static void *run_loop(void *loop)
{
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_FOREVER, NULL), CFUT_END);
    return NULL;
}

static struct kind kind_of(const char *name)
{
    struct kind kind = { .name = name, .most = 2 };
    kind.loop = strstr(name, "loop") != NULL;
    kind.processes = strstr(name, "processes") != NULL;
    if (kind.loop) {
        CHECK_OK(cfut_loop_new(NULL, &kind.root));
        kind.most = 1;
        CHECK_EQ(pthread_create(&kind.runner, NULL, run_loop, kind.root), 0);
    } else {
        CHECK_OK((kind.processes ? cfut_process_pool_new : cfut_thread_pool_new)(NULL, &kind.root));
    }
    check_watch(kind.root);
    kind.parent = cfut_executor_retain(kind.root);
    if (strstr(name, "view on a view") != NULL) {
        cfut_executor_release(kind.parent);
        CHECK_OK(cfut_limited_new(kind.root, 3, &kind.parent));
    }
    if (strstr(name, "strand") != NULL)
        kind.most = 1;
    if (strstr(name, "strand") != NULL || strstr(name, "view") != NULL)
        CHECK_OK(cfut_limited_new(kind.parent, kind.most, &kind.made));
    else
        kind.made = cfut_executor_retain(kind.root);
    return kind;
}

static void end_kind(struct kind kind)
{
    if (kind.made != kind.root)
        CHECK_OK(cfut_executor_shutdown(kind.made, 0, CFUT_FOREVER));
    cfut_executor_release(kind.made);
    cfut_executor_release(kind.parent);
    CHECK_OK(cfut_executor_shutdown(kind.root, 0, CFUT_FOREVER));
    if (kind.loop)
        CHECK_EQ(pthread_join(kind.runner, NULL), 0);
    check_unwatch(kind.root);
    cfut_executor_release(kind.root);
}

static void on_each_kind(void (*run)(struct kind *kind))
{
    static const char *const NAMES[] = {
        "threads",   "view of threads",   "strand of threads",   "view on a view of threads",
        "loop",      "view of a loop",    "strand of a loop",
        "processes", "view of processes", "strand of processes", "view on a view of processes",
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        struct kind kind = kind_of(NAMES[i]);
        fprintf(stderr, "on %s\n", kind.name); /* shown when something fails */
        run(&kind);
        end_kind(kind);
    }
}

/* ---- tasks ---- */

enum { BAD = 13 };

static int32_t square_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, sizeof n);
    if (n == BAD)
        return cfut_promise_fail(self, 7, "thirteen");
    n *= n;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

static int64_t number_of(cfut_future *future)
{
    int64_t number;
    size_t length;
    const void *bytes = cfut_future_bytes(future, &length);
    CHECK_EQ(length, sizeof number);
    memcpy(&number, bytes, sizeof number);
    return number;
}

/* ---- maps ---- */

enum { COUNT = 300 };

static void map_with(struct kind *kind, int64_t chunk, int64_t window)
{
    int64_t items[COUNT];
    cfut_task *task = task_of(square_task);
    cfut_map *map = NULL;
    cfut_future *future;
    for (int i = 0; i < COUNT; i++)
        items[i] = i;
    CHECK_OK(cfut_task_set(task, CFUT_TASK_CHUNK, chunk));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_WINDOW, window));
    CHECK_OK(cfut_map_new(kind->made, task, items, sizeof items[0], COUNT, &map));
    memset(items, 0, sizeof items);
    for (int64_t i = 0; i < COUNT; i++) {
        cfut_status status = cfut_map_next(map, CFUT_FOREVER, &future);
        if (i == BAD) {
            CHECK_STATUS(status, CFUT_FAILED);
            CHECK_TEXT(cfut_future_message(future), "thirteen");
        } else {
            CHECK_STATUS(status, CFUT_OK);
            CHECK_EQ(number_of(future), i * i);
        }
    }
    CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_END);
    cfut_map_free(map);
    cfut_task_free(task);
}

static void map_in_order_on(struct kind *kind)
{
    map_with(kind, 0, 0);
    map_with(kind, 7, 3);
    map_with(kind, 1, CFUT_WINDOW_ALL);
}

static void maps_are_in_order(void)
{
    on_each_kind(map_in_order_on);
}

static int32_t count_on(void *arg, const void **data, size_t *length)
{
    int64_t *next = arg;
    (*next)++;
    *data = next;
    *length = sizeof *next;
    return 0;
}

static void endless_on(struct kind *kind)
{
    int64_t pulled = 100;
    cfut_task *task = task_of(square_task);
    cfut_map *map = NULL;
    cfut_future *future;
    CHECK_OK(cfut_task_set(task, CFUT_TASK_WINDOW, 8));
    CHECK_OK(cfut_map_new_source(kind->made, task, count_on, &pulled, NULL, &map));
    for (int64_t i = 101; i <= 150; i++) {
        CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
        CHECK_EQ(number_of(future), i * i);
    }
    CHECK(pulled <= 158);
    cfut_map_free(map);
    cfut_task_free(task);
}

static void endless_sources(void)
{
    on_each_kind(endless_on);
}

static void map_into_on(struct kind *kind)
{
    int64_t items[COUNT], results[COUNT];
    cfut_task *task = task_of(square_task);
    for (int i = 0; i < COUNT; i++)
        items[i] = i;
    CHECK_STATUS(cfut_map_into(kind->made, task, items, sizeof items[0], COUNT, results,
                               sizeof results[0], CFUT_FOREVER),
                 CFUT_FAILED);
    for (int64_t i = 0; i < COUNT; i++)
        CHECK_EQ(results[i], i == BAD ? 0 : i * i);
    cfut_task_free(task);
}

static void arrays_are_filled(void)
{
    on_each_kind(map_into_on);
}

/* A task of the executor makes a map on it and reads it. */
static int32_t mapping_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t items[3] = { 2, 3, 4 }, results[3] = { 0 };
    cfut_task *task = task_of(square_task);
    cfut_status status = cfut_map_into(cfut_executor_current(), task, items, sizeof items[0], 3,
                                       results, sizeof results[0], CFUT_FOREVER);
    (void)data;
    (void)length;
    cfut_task_free(task);
    return status != CFUT_OK ? status : cfut_promise_set_bytes(self, results, sizeof results);
}

/* It runs what it waits for where it may; a strand has no place for that, and says so. */
static void map_in_a_task_on(struct kind *kind)
{
    cfut_future *future = NULL;
    cfut_status status;
    if (kind->processes)
        return; /* there is no executor in a worker */
    CHECK_OK(cfut_submit(kind->made, mapping_task, NULL, 0, &future));
    status = cfut_future_wait(future, CFUT_FOREVER);
    if (strstr(kind->name, "strand") != NULL || strcmp(kind->name, "view of a loop") == 0) {
        CHECK_STATUS(status, CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_EDEADLK);
    } else {
        CHECK_STATUS(status, CFUT_OK);
        CHECK_EQ(((const int64_t *)cfut_future_bytes(future, NULL))[2], 16);
    }
    cfut_future_release(future);
}

static void maps_in_tasks(void)
{
    on_each_kind(map_in_a_task_on);
}

/* ---- parallel loops ---- */

struct sum {
    atomic_llong value;
    atomic_int inside, most;
};

static int32_t add_range(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    struct sum *sum = arg;
    long long value = 0;
    int inside = atomic_fetch_add(&sum->inside, 1) + 1, most = atomic_load(&sum->most);
    (void)self;
    while (inside > most && !atomic_compare_exchange_weak(&sum->most, &most, inside)) {
    }
    for (size_t i = begin; i < end; i++)
        value += (long long)i;
    atomic_fetch_add(&sum->value, value);
    atomic_fetch_sub(&sum->inside, 1);
    return 0;
}

static void parallel_on(struct kind *kind)
{
    struct sum sum = { 0, 0, 0 };
    cfut_future *future = NULL;
    cfut_status status =
        cfut_parallel_for(kind->made, 100000, 100, add_range, &sum, NULL, &future);
    if (kind->processes) {
        CHECK_STATUS(status, CFUT_ENOTSUP);
        return;
    }
    CHECK_STATUS(status, CFUT_OK);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(sum.value, 4999950000LL);
    if (kind->made != kind->root)
        CHECK(sum.most <= (int)kind->most);
    cfut_future_release(future);
}

static void parallel_loops_are_whole(void)
{
    on_each_kind(parallel_on);
}

/* ---- what futures are for, on each kind ---- */

static cfut_future *square_of(struct kind *kind, int64_t n)
{
    cfut_future *future = NULL;
    CHECK_OK(cfut_submit(kind->made, square_task, &n, sizeof n, &future));
    return future;
}

static void one_failure_on(struct kind *kind)
{
    cfut_future *futures[5];
    for (int i = 0; i < 5; i++)
        futures[i] = square_of(kind, 11 + i);
    for (int i = 0; i < 5; i++) {
        cfut_status status = cfut_future_wait(futures[i], CFUT_FOREVER);
        CHECK_STATUS(status, 11 + i == BAD ? CFUT_FAILED : CFUT_OK);
        if (status == CFUT_OK)
            CHECK_EQ(number_of(futures[i]), (11 + i) * (11 + i));
        else
            CHECK_EQ(cfut_future_code(futures[i]), 7);
        cfut_future_release(futures[i]);
    }
}

static void one_failure_among_results(void)
{
    on_each_kind(one_failure_on);
}

static void as_completed_on(struct kind *kind)
{
    cfut_queue *queue = NULL;
    cfut_future *future;
    uint64_t tag, seen = 0;
    CHECK_OK(cfut_queue_new(&queue));
    for (uint64_t i = 0; i < 20; i++) {
        future = square_of(kind, (int64_t)i + 20);
        CHECK_OK(cfut_queue_add(queue, future, i));
        cfut_future_release(future);
    }
    while (cfut_queue_next(queue, CFUT_FOREVER, &future, &tag) == CFUT_OK) {
        CHECK((seen & UINT64_C(1) << tag) == 0);
        seen |= UINT64_C(1) << tag;
        CHECK_EQ(number_of(future), ((int64_t)tag + 20) * ((int64_t)tag + 20));
        cfut_future_release(future);
    }
    CHECK_EQ(seen, (1 << 20) - 1);
    cfut_queue_release(queue);
}

static void as_completed(void)
{
    on_each_kind(as_completed_on);
}

/* Runs until it is told to stop. */
static int32_t until_stopped(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    while (!cfut_promise_stop_requested(self))
        check_sleep(200000);
    return cfut_promise_set_cancelled(self);
}

static void time_outs_on(struct kind *kind)
{
    cfut_task *task = task_of(until_stopped);
    cfut_future *endless = NULL, *limited = NULL, *next;
    CHECK_OK(cfut_submit_task(kind->made, task, NULL, 0, &endless));
    CHECK_STATUS(cfut_future_wait(endless, CFUT_MSEC(2)), CFUT_TIMEOUT);
    CHECK(cfut_future_cancel(endless, CFUT_CANCEL_STOP) != CFUT_TOO_LATE);
    CHECK_STATUS(cfut_future_wait(endless, CFUT_FOREVER), CFUT_CANCELLED);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(20)));
    CHECK_OK(cfut_submit_task(kind->made, task, NULL, 0, &limited));
    CHECK_STATUS(cfut_future_wait(limited, CFUT_FOREVER), CFUT_EXPIRED);
    next = square_of(kind, 3); /* it goes on */
    CHECK_OK(cfut_future_wait(next, CFUT_FOREVER));
    cfut_future_release(next);
    cfut_future_release(limited);
    cfut_future_release(endless);
    cfut_task_free(task);
}

static void time_outs_and_cancels(void)
{
    on_each_kind(time_outs_on);
}

/* The first two stand; what has not started is cancelled at once, for each kind of waiter. */
static void cancel_the_rest_on(struct kind *kind)
{
    enum { TASKS = 40 };
    cfut_future *futures[TASKS];
    uint8_t done[TASKS];
    size_t count = 0;
    int cancelled = 0;
    for (int i = 0; i < TASKS; i++)
        CHECK_OK(cfut_submit(kind->made, until_stopped, NULL, 0, &futures[i]));
    for (int i = TASKS - 1; i >= 0; i--)
        cancelled += cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING) == CFUT_OK;
    CHECK(cancelled > 0);
    CHECK(cfut_wait_many(futures, TASKS, CFUT_WAIT_ALL, CFUT_NOW, done, &count) == CFUT_TIMEOUT ||
          cancelled == TASKS);
    CHECK_EQ(count, cancelled);
    for (int i = 0; i < TASKS; i++)
        (void)cfut_future_cancel(futures[i], CFUT_CANCEL_STOP);
    CHECK_OK(cfut_wait_many(futures, TASKS, CFUT_WAIT_ALL, CFUT_FOREVER, done, &count));
    for (int i = 0; i < TASKS; i++)
        cfut_future_release(futures[i]);
}

static void cancel_the_rest(void)
{
    on_each_kind(cancel_the_rest_on);
}

static void total_of_a_map_on(struct kind *kind)
{
    int64_t items[3] = { 0, 0, 0 };
    cfut_task *task = task_of(until_stopped);
    cfut_map *map = NULL;
    cfut_future *future;
    CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(30)));
    CHECK_OK(cfut_map_new(kind->made, task, items, sizeof items[0], 3, &map));
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_EXPIRED);
    CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_END);
    cfut_map_free(map);
    cfut_task_free(task);
}

static void total_time_of_a_map(void)
{
    on_each_kind(total_of_a_map_on);
}

static int32_t doubled(cfut_promise *self, cfut_future *input, void *arg)
{
    int64_t number = 2 * number_of(input);
    (void)arg;
    return cfut_promise_set_bytes(self, &number, sizeof number);
}

static void continuations_on(struct kind *kind)
{
    cfut_future *first = square_of(kind, 4), *second = NULL;
    atomic_int calls = 0;
    cfut_executor *where = kind->processes ? NULL : kind->made;
    if (kind->processes)
        CHECK_STATUS(cfut_future_then(first, kind->made, doubled, NULL, NULL, &second), CFUT_ENOTSUP);
    CHECK_OK(cfut_future_then(first, where, doubled, NULL, NULL, &second));
    CHECK_OK(cfut_future_on_done(first, where, count_done, &calls, NULL));
    CHECK_OK(cfut_future_on_done(second, NULL, count_done, &calls, NULL));
    CHECK_OK(cfut_future_wait(second, CFUT_FOREVER));
    CHECK_EQ(number_of(second), 32);
    CHECK_SOON(atomic_load(&calls) == 2);
    cfut_future_release(first);
    cfut_future_release(second);
}

static void continuations_and_callbacks(void)
{
    on_each_kind(continuations_on);
}

/* ---- commands, pipes ---- */

static void commands_on(struct kind *kind)
{
    cfut_task *command = NULL, *square = task_of(square_task);
    cfut_map *map = NULL;
    cfut_future *future, *number = NULL, *read = NULL, *back = NULL;
    int64_t n = 9;
    CHECK_OK(cfut_task_new_command("cat", &command));
    CHECK_OK(cfut_map_new(kind->made, command, "abcdefgh", 1, 8, &map));
    for (int i = 0; i < 8; i++) {
        CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
        CHECK_EQ(*(const char *)cfut_future_bytes(future, NULL), "abcdefgh"[i]);
    }
    CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_END);
    cfut_map_free(map);
    CHECK_OK(cfut_submit(kind->made, square_task, &n, sizeof n, &number));
    CHECK_OK(cfut_future_pipe(number, kind->made, command, &read));
    CHECK_OK(cfut_future_pipe(read, kind->made, square, &back));
    CHECK_OK(cfut_future_wait(back, CFUT_FOREVER));
    CHECK_EQ(number_of(back), 81 * 81);
    cfut_future_release(number);
    cfut_future_release(read);
    cfut_future_release(back);
    cfut_task_free(command);
    cfut_task_free(square);
}

static void commands_and_pipes(void)
{
    on_each_kind(commands_on);
}

/* From each kind to the next, all the way round. */
static void pipes_through_all_kinds(void)
{
    struct kind kinds[] = { kind_of("threads"), kind_of("strand of processes"), kind_of("loop"),
                            kind_of("view of threads"), kind_of("processes"),
                            kind_of("view of a loop") };
    enum { KINDS = sizeof kinds / sizeof kinds[0], ROUNDS = 50 };
    cfut_task *task = task_of(square_task);
    for (int64_t round = 0; round < ROUNDS; round++) {
        cfut_future *futures[KINDS];
        int64_t n = round % 2;
        CHECK_OK(cfut_submit_task(kinds[0].made, task, &n, sizeof n, &futures[0]));
        for (int i = 1; i < KINDS; i++)
            CHECK_OK(cfut_future_pipe(futures[i - 1], kinds[i].made, task, &futures[i]));
        CHECK_OK(cfut_future_wait(futures[KINDS - 1], CFUT_FOREVER));
        CHECK_EQ(number_of(futures[KINDS - 1]), n);
        for (int i = 0; i < KINDS; i++)
            cfut_future_release(futures[i]);
    }
    cfut_task_free(task);
    for (int i = 0; i < KINDS; i++)
        end_kind(kinds[i]);
}

static int32_t add_one(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    memcpy(&n, data, length);
    n++;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

/* It needs no stack, whichever kinds take turns. */
static void chain_of_100000_pipes(void)
{
    struct kind kinds[] = { kind_of("threads"), kind_of("strand of threads"), kind_of("loop"),
                            kind_of("processes") };
    enum { KINDS = sizeof kinds / sizeof kinds[0], LENGTH = 100000 };
    cfut_task *task = task_of(add_one);
    cfut_promise *promise = NULL;
    cfut_future *last = NULL, *next = NULL;
    int64_t n = 0;
    CHECK_OK(cfut_promise_new(&promise, &last));
    for (int i = 0; i < LENGTH; i++) {
        /* Processes now and then: each hand-over there and back costs some microseconds. */
        int at = i % 100 == 99 ? KINDS - 1 : i % (KINDS - 1);
        CHECK_OK(cfut_future_pipe(last, kinds[at].made, task, &next));
        cfut_future_release(last);
        last = next;
    }
    CHECK_OK(cfut_promise_set_bytes(promise, &n, sizeof n));
    cfut_promise_release(promise);
    CHECK_OK(cfut_future_wait(last, CFUT_FOREVER));
    CHECK_EQ(number_of(last), LENGTH);
    cfut_future_release(last);
    cfut_task_free(task);
    for (int i = 0; i < KINDS; i++)
        end_kind(kinds[i]);
}

CHECK_MAIN_WORKER((void)0, CASE(one_failure_among_results), CASE(as_completed),
                  CASE(time_outs_and_cancels), CASE(cancel_the_rest), CASE(total_time_of_a_map),
                  CASE(continuations_and_callbacks), CASE(maps_are_in_order), CASE(endless_sources), CASE(arrays_are_filled),
                  CASE(maps_in_tasks), CASE(parallel_loops_are_whole), CASE(commands_and_pipes),
                  CASE(pipes_through_all_kinds), CASE(chain_of_100000_pipes))
