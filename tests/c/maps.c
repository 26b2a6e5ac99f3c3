/* Maps on threads: arrays and closures, windows and chunks, the end of a map, arrays of results.
 * Sources have a program of their own, map_sources.c. */
#include "behaviours.h"

#include <limits.h>
#include <sys/wait.h>

/* ---- tasks ---- */

/* Task: its data is an int32_t; fails with it as code, and its number as message, if that is odd. */
static int32_t odd_fails(cfut_promise *self, const void *data, size_t length)
{
    int32_t n;
    char text[16];
    memcpy(&n, data, length);
    snprintf(text, sizeof text, "no. %d", (int)n);
    if (n % 2 != 0)
        return cfut_promise_fail(self, n, text);
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

/* An item that counts, and stands at a gate if it has one. */
struct item {
    atomic_int *started;
    gate *at;
    int64_t number;
};

static int32_t item_task(cfut_promise *self, const void *data, size_t length)
{
    struct item item;
    memcpy(&item, data, length);
    if (item.started != NULL)
        atomic_fetch_add(item.started, 1);
    if (item.at != NULL) {
        latch_open(&item.at->entered);
        latch_wait(&item.at->open);
    }
    return cfut_promise_set_bytes(self, &item.number, sizeof item.number);
}

#define MANY 1000

/* Numbers 0, 1, 2, ... with a counter of those that started. */
static void number_items(struct item *items, int count, atomic_int *started, gate *at)
{
    for (int i = 0; i < count; i++)
        items[i] = (struct item){ started, at, i };
}

static cfut_map *items_map(cfut_executor *pool, cfut_task *task, const struct item *items, int count)
{
    cfut_map *map = NULL;
    CHECK_OK(cfut_map_new(pool, task, items, sizeof *items, (size_t)count, &map));
    cfut_task_free(task);
    return map;
}

static void read_numbers(cfut_map *map, int64_t from, int64_t to)
{
    for (int64_t n = from; n < to; n++)
        CHECK_EQ(next_integer(map), n);
}

/* ---- order and outcomes ---- */

static void results_are_in_order(void)
{
    static struct item items[MANY];
    cfut_executor *pool = check_pool(3);
    atomic_int started = 0;
    number_items(items, MANY, &started, NULL);
    cfut_map *map = items_map(pool, task_of(item_task), items, MANY);
    memset(items, 0xff, sizeof items); /* copied */
    read_numbers(map, 0, MANY);
    expect_end(map);
    CHECK_EQ(started, MANY);
    check_close(pool);
}

static void end_stays_the_end(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future = (cfut_future *)&pool;
    cfut_map *map;
    cfut_task *task = task_of(square);
    CHECK_OK(cfut_map_new(pool, task, NULL, 0, 0, &map));
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cfut_map_next(map, CFUT_NOW, &future), CFUT_END);
        CHECK(future == NULL);
    }
    cfut_map_free(map);
    cfut_task_free(task);
    check_close(pool);
}

static void a_failure_stays_with_its_item(void)
{
    cfut_executor *pool = check_pool(2);
    int32_t numbers[20];
    cfut_future *future;
    cfut_map *map;
    for (int chunk = 1; chunk <= 8; chunk *= 8) {
        cfut_task *task = task_with(odd_fails, CFUT_TASK_CHUNK, chunk);
        for (int32_t n = 0; n < 20; n++)
            numbers[n] = n;
        CHECK_OK(cfut_map_new(pool, task, numbers, sizeof numbers[0], 20, &map));
        for (int32_t n = 0; n < 20; n++) {
            char text[16];
            snprintf(text, sizeof text, "no. %d", (int)n);
            CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future),
                         n % 2 != 0 ? CFUT_FAILED : CFUT_OK);
            CHECK_EQ(cfut_future_code(future), n % 2 != 0 ? n : 0);
            CHECK_TEXT(cfut_future_message(future), n % 2 != 0 ? text : "");
        }
        expect_end(map);
        cfut_task_free(task);
    }
    check_close(pool);
}

static void retained_futures_stay(void)
{
    static const int64_t numbers[3] = { 1, 2, 3 };
    cfut_executor *pool = check_pool(2);
    cfut_map *map = map_of(pool, task_of(square), numbers, 3);
    cfut_future *futures[3];
    for (int i = 0; i < 3; i++) {
        CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &futures[i]));
        cfut_future_retain(futures[i]);
    }
    expect_end(map);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(integer_of(futures[i]), numbers[i] * numbers[i]);
        cfut_future_release(futures[i]);
    }
    check_close(pool);
}

static void a_wait_that_ends_loses_nothing(void)
{
    static gate standing = GATE_CLOSED;
    struct item items[2] = { { NULL, &standing, 0 }, { NULL, NULL, 1 } };
    cfut_executor *pool = check_pool(2);
    cfut_map *map = items_map(pool, task_of(item_task), items, 2);
    cfut_future *future = (cfut_future *)items;
    latch_wait(&standing.entered);
    CHECK_STATUS(cfut_map_next(map, CFUT_NOW, &future), CFUT_TIMEOUT);
    CHECK(future == NULL);
    CHECK_STATUS(cfut_map_next(map, CFUT_MSEC(2), &future), CFUT_TIMEOUT);
    latch_open(&standing.open);
    read_numbers(map, 0, 2);
    expect_end(map);
    check_close(pool);
}

static void options_are_for_each_item(void)
{
    static const int64_t number = 5;
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(square, CFUT_TASK_OUTPUT_LIMIT, 4);
    cfut_future *future;
    CHECK_OK(cfut_task_set(task, CFUT_TASK_WINDOW, 3));
    cfut_map *map = map_of(pool, task, &number, 1);
    CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), CFUT_EFULL);
    expect_end(map);
    check_close(pool);
}

/* ---- windows and chunks ---- */

/* So many have been accepted by the executor. */
static void expect_handed_out(cfut_executor *pool, int64_t count)
{
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), count);
}

static void a_window_bounds_what_is_ahead(void)
{
    struct item items[20];
    cfut_executor *pool = check_pool(2);
    number_items(items, 20, NULL, NULL);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, 5), items, 20);
    expect_handed_out(pool, 5);
    for (int n = 0; n < 20; n++) {
        read_numbers(map, n, n + 1);
        expect_handed_out(pool, n + 6 < 20 ? n + 6 : 20);
    }
    expect_end(map);
    check_close(pool);
}

static void the_whole_window(void)
{
    static struct item items[MANY];
    cfut_executor *pool = check_pool(2);
    number_items(items, MANY, NULL, NULL);
    cfut_map *map =
        items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, CFUT_WINDOW_ALL), items, MANY);
    expect_handed_out(pool, MANY);
    read_numbers(map, 0, MANY);
    expect_end(map);
    check_close(pool);
}

static void a_chosen_window_is_bounded(void)
{
    static struct item items[MANY];
    static gate standing = GATE_CLOSED;
    cfut_executor *pool = check_pool(2);
    number_items(items, MANY, NULL, &standing);
    cfut_map *map = items_map(pool, task_of(item_task), items, MANY);
    int64_t handed = check_stat(pool, CFUT_STAT_SUBMITTED);
    CHECK(handed >= 2 && handed <= 16); /* a few for each worker */
    latch_add(&standing.open, 1);
    read_numbers(map, 0, MANY);
    expect_end(map);
    check_close(pool);
}

static void a_chunk_goes_at_once(void)
{
    struct item items[20];
    cfut_executor *pool = check_pool(2);
    number_items(items, 20, NULL, NULL);
    cfut_task *task = task_with(item_task, CFUT_TASK_WINDOW, 6);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_CHUNK, 3));
    cfut_map *map = items_map(pool, task, items, 20);
    expect_handed_out(pool, 6);
    for (int n = 0; n < 20; n++) {
        int64_t wanted = 6 + (n + 1) / 3 * 3;
        read_numbers(map, n, n + 1);
        /* The last two are fewer than a chunk, and so wait for no more than their own places. */
        expect_handed_out(pool, wanted > 20 || (wanted == 18 && n >= 13) ? 20 : wanted);
    }
    expect_end(map);
    check_close(pool);
}

static void a_chunk_larger_than_the_window(void)
{
    struct item items[20];
    cfut_executor *pool = check_pool(1);
    number_items(items, 20, NULL, NULL);
    cfut_task *task = task_with(item_task, CFUT_TASK_WINDOW, 4);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_CHUNK, 100));
    cfut_map *map = items_map(pool, task, items, 20);
    expect_handed_out(pool, 4);
    read_numbers(map, 0, 4);
    expect_handed_out(pool, 8);
    read_numbers(map, 4, 20);
    expect_end(map);
    check_close(pool);
}

static void a_chunk_alone_makes_its_window(void)
{
    static struct item items[MANY];
    cfut_executor *pool = check_pool(1);
    number_items(items, MANY, NULL, NULL);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_CHUNK, 50), items, MANY);
    int64_t handed = check_stat(pool, CFUT_STAT_SUBMITTED);
    CHECK(handed >= 50 && handed < MANY && handed % 50 == 0);
    read_numbers(map, 0, MANY);
    expect_end(map);
    check_close(pool);
}

/* Short items go in larger chunks once that is known. */
static void a_chosen_chunk_grows(void)
{
    static struct item items[20 * MANY];
    cfut_executor *pool = check_pool(1);
    number_items(items, 20 * MANY, NULL, NULL);
    cfut_map *map = items_map(pool, task_of(item_task), items, 20 * MANY);
    int64_t first = check_stat(pool, CFUT_STAT_SUBMITTED), ahead = 0;
    for (int n = 0; n < 20 * MANY; n++) {
        read_numbers(map, n, n + 1);
        int64_t now = check_stat(pool, CFUT_STAT_SUBMITTED) - n - 1;
        ahead = now > ahead ? now : ahead;
    }
    CHECK(first <= 8 && ahead > first);
    expect_end(map);
    check_close(pool);
}

static void keys_out_of_range(void)
{
    cfut_task *task = task_of(square);
    CHECK_ERROR(cfut_task_set(task, CFUT_TASK_CHUNK, -1), CFUT_EINVAL, "CFUT_TASK_CHUNK is -1");
    CHECK_ERROR(cfut_task_set(task, CFUT_TASK_WINDOW, -2), CFUT_EINVAL, "CFUT_TASK_WINDOW is -2");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_CHUNK, INT64_MAX));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_WINDOW, INT64_MAX));
    cfut_task_free(task);
}

/* Keys of maps mean nothing to a single task. */
static void a_single_task_with_keys_of_maps(void)
{
    cfut_executor *pool = check_pool(1);
    int64_t five = 5;
    cfut_future *future = submit_once(pool, task_with(square, CFUT_TASK_CHUNK, 7), &five, sizeof five);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 25);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- bounded queues ---- */

/* A map through a queue of `limit` tasks, with one worker busy first. */
static void through_a_bound(int32_t policy, int64_t window, int64_t chunk)
{
    static struct item items[MANY];
    cfut_options *options = options_with(2, CFUT_OPT_QUEUE_LIMIT, 3);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, policy));
    cfut_executor *pool = check_pool_with(options);
    cfut_task *task = task_with(item_task, CFUT_TASK_WINDOW, window);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_CHUNK, chunk));
    number_items(items, MANY, NULL, NULL);
    cfut_map *map = items_map(pool, task, items, MANY);
    read_numbers(map, 0, MANY);
    expect_end(map);
    check_close(pool);
}

static void a_full_queue_that_blocks(void)
{
    through_a_bound(CFUT_FULL_BLOCK, 0, 0);
    through_a_bound(CFUT_FULL_BLOCK, 100, 20);
}

static void a_full_queue_that_rejects(void)
{
    through_a_bound(CFUT_FULL_REJECT, 0, 0);
    through_a_bound(CFUT_FULL_REJECT, CFUT_WINDOW_ALL, 0);
}

static void a_full_queue_that_runs_in_the_caller(void)
{
    through_a_bound(CFUT_FULL_RUN_IN_CALLER, 50, 1);
}

/* Results that nobody reads take the room that the next items need. */
static int32_t large_result(cfut_promise *self, const void *data, size_t length)
{
    static const char zeros[4096];
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, zeros, sizeof zeros);
}

static void unread_results_fill_the_queue(void)
{
    cfut_executor *pool = check_pool_with(options_with(2, CFUT_OPT_QUEUE_BYTES, 10000));
    int64_t numbers[200] = { 0 };
    cfut_map *map = map_of(pool, task_with(large_result, CFUT_TASK_WINDOW, 100), numbers, 200);
    cfut_future *future;
    for (int i = 0; i < 200; i++)
        CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
    expect_end(map);
    check_close(pool);
}

/* The queue is full of others' tasks, and nothing of the map is outstanding. */
static void a_queue_full_of_others(void)
{
    static gate standing = GATE_CLOSED;
    static const int64_t numbers[4] = { 0, 1, 2, 3 };
    cfut_options *options = options_with(1, CFUT_OPT_QUEUE_LIMIT, 1);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    cfut_executor *pool = check_pool_with(options);
    cfut_future *future, *busy;
    cfut_task *task = task_of(square);
    cfut_map *map = map_of(pool, task_with(square, CFUT_TASK_WINDOW, 1), numbers, 4), *none = NULL;
    CHECK_SOON(check_stat(pool, CFUT_STAT_SUCCEEDED) == 1);
    gate_hold(pool, &standing);
    busy = submit_nothing(pool);
    CHECK_EQ(next_integer(map), 0); /* had been handed out; the next one finds no room */
    CHECK_STATUS(cfut_map_next(map, CFUT_NOW, &future), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_map_next(map, CFUT_MSEC(3), &future), CFUT_TIMEOUT);
    CHECK_ERROR(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_EFULL, "no room");
    CHECK(future == NULL);
    CHECK_ERROR(cfut_map_new(pool, task, numbers, 8, 4, &none), CFUT_EFULL, "no room");
    CHECK(none == NULL);
    latch_open(&standing.open);
    CHECK_OK(end_of(busy));
    for (int64_t n = 1; n < 4; n++)
        CHECK_EQ(next_integer(map), n * n);
    expect_end(map);
    cfut_task_free(task);
    check_close(pool);
}

/* A read with a time-out looks for room until it is there. */
static void *open_later(void *arg)
{
    check_sleep(5000000);
    latch_open(arg);
    return NULL;
}

static void a_read_looks_for_room(void)
{
    static gate standing = GATE_CLOSED;
    static const int64_t numbers[2] = { 3, 4 };
    cfut_executor *pool = check_pool_with(options_with(1, CFUT_OPT_QUEUE_LIMIT, 1));
    cfut_future *future, *busy;
    cfut_map *map = map_of(pool, task_with(square, CFUT_TASK_WINDOW, 1), numbers, 2);
    CHECK_SOON(check_stat(pool, CFUT_STAT_SUCCEEDED) == 1);
    gate_hold(pool, &standing);
    busy = submit_nothing(pool);
    CHECK_EQ(next_integer(map), 9);
    pthread_t opener = thread_start(open_later, &standing.open);
    CHECK_OK(cfut_map_next(map, CFUT_SEC(60), &future));
    CHECK_EQ(integer_of(future), 16);
    thread_join(opener);
    CHECK_OK(end_of(busy));
    expect_end(map);
    check_close(pool);
}

/* ---- closures ---- */

static int32_t closure_adds(cfut_promise *self, void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return cfut_promise_set_value(self, arg, NULL);
}

static void closures_in_order(void)
{
    static atomic_int counters[50];
    void *args[50];
    cfut_executor *pool = check_pool(2);
    cfut_future *future;
    cfut_map *map;
    for (int i = 0; i < 50; i++)
        args[i] = &counters[i];
    CHECK_OK(cfut_map_new_closure(pool, closure_adds, args, 50, count_free, &map));
    memset(args, 0, sizeof args); /* borrowed for the call alone */
    for (int i = 0; i < 50; i++) {
        CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
        CHECK(cfut_future_value(future) == &counters[i]);
        CHECK_SOON(counters[i] == 2); /* called once, freed once */
    }
    expect_end(map);
    check_close(pool);
}

static void closures_that_do_not_run_are_freed(void)
{
    static gate standing = GATE_CLOSED;
    atomic_int touched = 0;
    void *args[100];
    cfut_executor *pool = check_pool(1);
    cfut_map *map;
    for (int i = 0; i < 100; i++)
        args[i] = &touched;
    gate_hold(pool, &standing);
    CHECK_OK(cfut_map_new_closure(pool, count_closure, args, 100, count_free, &map));
    CHECK_EQ(touched, 0);
    cfut_map_free(map);
    CHECK_EQ(touched, 100);
    latch_open(&standing.open);
    check_close(pool);
    CHECK_EQ(touched, 100);
}

static void closures_of_a_map_that_is_refused(void)
{
    atomic_int touched = 0;
    void *args[3] = { &touched, &touched, &touched };
    cfut_executor *pool = check_pool(1);
    cfut_map *map = NULL;
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_STATUS(cfut_map_new_closure(pool, count_closure, args, 3, count_free, &map), CFUT_ESHUTDOWN);
    CHECK_EQ(touched, 3);
    CHECK_ERROR(cfut_map_new_closure(pool, NULL, args, 3, count_free, &map), CFUT_EINVAL, "closure");
    CHECK_EQ(touched, 6);
    CHECK(map == NULL);
    check_close(pool);
}

/* ---- the end of a map, and of its executor ---- */

static void free_cancels_what_has_not_started(void)
{
    static struct item items[MANY];
    static gate standing = GATE_CLOSED;
    cfut_executor *pool = check_pool(2);
    atomic_int started = 0;
    number_items(items, MANY, &started, &standing);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, 100), items, MANY);
    latch_wait_for(&standing.entered, 2);
    cfut_map_free(map);
    int begun = started;
    latch_open(&standing.open);
    check_close(pool);
    CHECK_EQ(started, begun);
    CHECK(begun < 100);
}

static void detach_runs_all(void)
{
    static struct item items[MANY];
    cfut_executor *pool = check_pool(2);
    atomic_int started = 0;
    number_items(items, MANY, &started, NULL);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, 3), items, MANY);
    read_numbers(map, 0, 5);
    cfut_map_detach(map);
    check_close(pool);
    CHECK_EQ(started, MANY);
}

static void detach_waits_for_room(void)
{
    static struct item items[MANY];
    for (int policy = CFUT_FULL_BLOCK; policy <= CFUT_FULL_RUN_IN_CALLER; policy++) {
        cfut_options *options = options_with(2, CFUT_OPT_QUEUE_LIMIT, 7);
        CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, policy));
        cfut_executor *pool = check_pool_with(options);
        atomic_int started = 0;
        number_items(items, MANY, &started, NULL);
        cfut_map *map = items_map(pool, task_of(item_task), items, MANY);
        cfut_map_detach(map);
        check_close(pool);
        CHECK_EQ(started, MANY);
    }
}

static char logged[512];

static void note_line(int32_t level, const char *message, void *arg)
{
    (void)level;
    (void)arg;
    snprintf(logged, sizeof logged, "%s", message);
}

static void detach_from_a_closed_executor(void)
{
    static const int64_t numbers[20] = { 0 };
    cfut_executor *pool = check_pool(1);
    cfut_map *map = map_of(pool, task_with(square, CFUT_TASK_WINDOW, 2), numbers, 20);
    CHECK_OK(cfut_set_log(note_line, NULL, NULL));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_map_detach(map);
    CHECK(strstr(logged, "detached map") != NULL && strstr(logged, "shut down") != NULL);
    check_close(pool);
}

/* The map has a handle of its own. */
static void a_map_outlives_the_handle(void)
{
    static struct item items[MANY];
    cfut_executor *pool = check_pool(2);
    number_items(items, MANY, NULL, NULL);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, 4), items, MANY);
    check_unwatch(pool);
    cfut_executor_release(pool);
    read_numbers(map, 0, MANY);
    expect_end(map);
}

static void a_shutdown_in_the_middle(void)
{
    static struct item items[50];
    cfut_executor *pool = check_pool(2);
    cfut_future *future;
    number_items(items, 50, NULL, NULL);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, 5), items, 50);
    read_numbers(map, 0, 10);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    read_numbers(map, 10, 15); /* accepted before */
    for (int i = 15; i < 50; i++) {
        CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_CANCELLED);
        CHECK(strstr(cfut_future_message(future), "shut down") != NULL);
        CHECK_EQ(cfut_future_state(future), CFUT_STATE_CANCELLED);
    }
    expect_end(map);
    check_close(pool);
}

static int32_t failing_initializer(cfut_promise *self, const void *data, size_t length)
{
    gate *at;
    memcpy(&at, data, length);
    latch_open(&at->entered);
    latch_wait(&at->open);
    return cfut_promise_fail(self, 5, "no licence");
}

static void an_executor_that_breaks(void)
{
    static gate starting = GATE_CLOSED;
    static const int64_t numbers[20] = { 0 };
    gate *at = &starting;
    cfut_task *task = task_of(failing_initializer);
    cfut_options *options = options_of(1);
    cfut_future *future;
    CHECK_OK(cfut_options_set_initializer(options, task, &at, sizeof at));
    cfut_task_free(task);
    cfut_executor *pool = check_pool_with(options);
    cfut_map *map = map_of(pool, task_with(square, CFUT_TASK_WINDOW, 5), numbers, 20);
    latch_open(&starting.open);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_BROKEN);
        CHECK(future != NULL && strstr(cfut_future_message(future), "no licence") != NULL);
    }
    expect_end(map);
    map = NULL;
    task = task_of(square);
    CHECK_ERROR(cfut_map_new(pool, task, numbers, 8, 20, &map), CFUT_BROKEN, "no licence");
    CHECK(map == NULL);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- the time of the whole ---- */

static void what_was_not_handed_out_expires(void)
{
    static struct item items[50];
    static gate standing = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(item_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(30));
    cfut_future *future;
    atomic_int started = 0;
    int64_t begin = check_now();
    number_items(items, 50, &started, &standing);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_WINDOW, 3));
    cfut_map *map = items_map(pool, task, items, 50);
    for (int i = 0; i < 50; i++) {
        CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_EXPIRED);
        CHECK(check_now() - begin >= CFUT_MSEC(30));
        CHECK(strstr(cfut_future_message(future), "CFUT_TASK_TOTAL_TIMEOUT_NS") != NULL);
    }
    expect_end(map);
    latch_open(&standing.open);
    check_close(pool);
    CHECK(started <= 3);
}

static void a_time_out_of_nothing(void)
{
    static const int64_t numbers[5] = { 1 };
    cfut_executor *pool = check_pool(1);
    cfut_map *map = map_of(pool, task_with(square, CFUT_TASK_TOTAL_TIMEOUT_NS, 0), numbers, 5);
    cfut_future *future;
    for (int i = 0; i < 5; i++)
        CHECK_STATUS(cfut_map_next(map, CFUT_NOW, &future), CFUT_EXPIRED);
    expect_end(map);
    check_close(pool);
}

/* Whether it has started or not: who runs is asked to stop, also while nobody reads. */
static void the_time_passes_unread(void)
{
    static latch entered = LATCH_CLOSED;
    latch *at = &entered;
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(obedient_task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(10));
    cfut_future *future;
    cfut_map *map;
    CHECK_OK(cfut_map_new(pool, task, &at, sizeof at, 1, &map));
    if (check_stat(pool, CFUT_STAT_SUBMITTED) == 1) /* the time may have passed before */
        CHECK_SOON(check_stat(pool, CFUT_STAT_EXPIRED) == 1);
    CHECK_STATUS(cfut_map_next(map, CFUT_NOW, &future), CFUT_EXPIRED);
    expect_end(map);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- maps in tasks, and in callbacks ---- */

static int32_t map_in_a_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t numbers[100], results[100], sum = 0;
    cfut_task *task = task_of(square);
    (void)data;
    (void)length;
    for (int64_t n = 0; n < 100; n++)
        numbers[n] = n;
    CHECK_OK(cfut_map_into(cfut_executor_current(), task, numbers, sizeof numbers[0], 100, results,
                           sizeof results[0], CFUT_FOREVER));
    cfut_map *map = map_of(cfut_executor_current(), task, results, 100);
    for (int64_t n = 0; n < 100; n++)
        sum += next_integer(map);
    expect_end(map);
    return cfut_promise_set_bytes(self, &sum, sizeof sum);
}

static void in_a_task_of_the_pool(void)
{
    for (int64_t workers = 1; workers <= 3; workers += 2) {
        cfut_executor *pool = check_pool(workers);
        cfut_future *futures[4];
        for (int i = 0; i < 4; i++)
            futures[i] = submit(pool, map_in_a_task, NULL, 0);
        for (int i = 0; i < 4; i++) {
            CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
            CHECK_EQ(integer_of(futures[i]), 1950333330);
            cfut_future_release(futures[i]);
        }
        check_close(pool);
    }
}

static void free_the_map(cfut_future *future, void *arg)
{
    (void)future;
    cfut_map_free(arg);
}

static void freed_in_a_callback(void)
{
    static struct item items[MANY];
    cfut_executor *pool = check_pool(2);
    cfut_future *future;
    number_items(items, MANY, NULL, NULL);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, 100), items, MANY);
    CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
    CHECK_OK(cfut_future_on_done(future, NULL, free_the_map, map, NULL));
    check_close(pool);
}

/* By a thread that does not read it, while nobody does. */
static void freed_by_another_thread(void)
{
    static gate standing = GATE_CLOSED;
    struct item items[3] = { { NULL, &standing, 0 }, { NULL, NULL, 1 }, { NULL, NULL, 2 } };
    cfut_executor *pool = check_pool(1), *other = check_pool(1);
    cfut_map *map = items_map(pool, task_of(item_task), items, 3);
    cfut_future *trigger = submit_nothing(other);
    latch_wait(&standing.entered);
    CHECK_OK(cfut_future_on_done(trigger, other, free_the_map, map, NULL));
    CHECK_SOON(check_stat(other, CFUT_STAT_SUCCEEDED) == 2);
    CHECK_SOON(check_stat(pool, CFUT_STAT_CANCELLED) == 2);
    latch_open(&standing.open);
    cfut_future_release(trigger);
    check_close(pool);
    check_close(other);
}

static cfut_map *read_here;

/* Item: the map that it is of is freed, or read, by the thread that waits for it. */
static int32_t meddle(cfut_promise *self, const void *data, size_t length)
{
    cfut_future *future = (cfut_future *)self;
    int64_t frees;
    memcpy(&frees, data, length);
    CHECK_ERROR(cfut_map_next(read_here, CFUT_NOW, &future), CFUT_EDEADLK, "another call");
    CHECK(future == NULL);
    if (frees)
        cfut_map_free(read_here);
    return 0;
}

static int32_t read_what_meddles(cfut_promise *self, const void *data, size_t length)
{
    static const int64_t frees[3] = { 0, 1, 1 };
    cfut_future *future;
    (void)self;
    (void)data;
    (void)length;
    read_here = map_of(cfut_executor_current(), task_of(meddle), frees, 3);
    CHECK_OK(cfut_map_next(read_here, CFUT_FOREVER, &future));
    CHECK_STATUS(cfut_map_next(read_here, CFUT_FOREVER, &future), CFUT_END);
    CHECK(future == NULL);
    return 0;
}

/* In a pool of one worker the reader runs the items itself. */
static void freed_by_an_item_that_the_reader_runs(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(end_of(submit(pool, read_what_meddles, NULL, 0)));
    CHECK_SOON(check_stat(pool, CFUT_STAT_CANCELLED) == 1);
    check_close(pool);
}

/* ---- arrays of results ---- */

static int32_t some_bytes(cfut_promise *self, const void *data, size_t length)
{
    uint8_t bytes[64];
    uint8_t count = *(const uint8_t *)data;
    CHECK_EQ(length, 1);
    memset(bytes, count, sizeof bytes);
    if (count == 99)
        return cfut_promise_fail(self, 7, "ninety-nine");
    return cfut_promise_set_bytes(self, bytes, count);
}

static cfut_status into(cfut_executor *pool, const char *counts, size_t count, void *results,
                        size_t size)
{
    cfut_task *task = task_of(some_bytes);
    cfut_status status = cfut_map_into(pool, task, counts, 1, count, results, size, CFUT_FOREVER);
    cfut_task_free(task);
    return status;
}

static void shorter_results_leave_zeros(void)
{
    static const char wanted[3][4] = { { 4, 4, 4, 4 }, { 0 }, { 2, 2, 0, 0 } };
    char results[3][4];
    cfut_executor *pool = check_pool(2);
    memset(results, 0xee, sizeof results);
    CHECK_OK(into(pool, "\4\0\2", 3, results, 4));
    CHECK(memcmp(results, wanted, sizeof wanted) == 0);
    check_close(pool);
}

static void longer_results_fail(void)
{
    char results[3][4];
    static const char wanted[3][4] = { { 1 }, { 0 }, { 3, 3, 3, 0 } };
    cfut_executor *pool = check_pool(2);
    memset(results, 0xee, sizeof results);
    CHECK_STATUS(into(pool, "\1\5\3", 3, results, 4), CFUT_FAILED);
    char text[128];
    cfut_last_error(text, sizeof text);
    CHECK_TEXT(text, "the result of item 1 has 5 bytes, but result_size is 4");
    CHECK(memcmp(results, wanted, sizeof wanted) == 0);
    check_close(pool);
}

static void the_first_failure_by_index(void)
{
    char results[4];
    cfut_executor *pool = check_pool(2);
    CHECK_STATUS(into(pool, "\1c\5\1", 4, results, 1), CFUT_FAILED);
    char text[128];
    cfut_last_error(text, sizeof text);
    CHECK_TEXT(text, "item 1: Failed, code 7: ninety-nine");
    CHECK(results[0] == 1 && results[1] == 0 && results[2] == 0 && results[3] == 1);
    check_close(pool);
}

static void results_of_no_size(void)
{
    cfut_executor *pool = check_pool(2);
    CHECK_OK(into(pool, "\0\0", 2, NULL, 0));
    CHECK_OK(into(pool, NULL, 0, NULL, 8));
    CHECK_STATUS(into(pool, "\0\1", 2, NULL, 0), CFUT_FAILED);
    check_close(pool);
}

static void the_time_of_an_array(void)
{
    static gate standing = GATE_CLOSED;
    static struct item items[20];
    int64_t results[20];
    cfut_executor *pool = check_pool(2);
    cfut_task *task = task_of(item_task);
    atomic_int started = 0;
    number_items(items, 20, &started, NULL);
    items[1].at = &standing;
    items[2].at = &standing;
    memset(results, 0xee, sizeof results);
    CHECK_STATUS(cfut_map_into(pool, task, items, sizeof items[0], 20, results, sizeof results[0],
                               CFUT_MSEC(20)),
                 CFUT_TIMEOUT);
    for (int i = 0; i < 20; i++)
        CHECK(results[i] == 0 || results[i] == i); /* which others come first is not said */
    CHECK(results[1] == 0 && results[2] == 0);
    latch_add(&standing.open, 1);
    cfut_task_free(task);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK(started < 20); /* the others were cancelled, or never handed out */
    CHECK_SOON(check_stat(pool, CFUT_STAT_CANCELLED) == check_stat(pool, CFUT_STAT_SUBMITTED) - started);
    check_close(pool);
}

static void the_time_of_an_array_is_over_at_once(void)
{
    static const int64_t numbers[3] = { 1, 2, 3 };
    static gate standing = GATE_CLOSED;
    int64_t results[3];
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(square);
    gate_hold(pool, &standing);
    CHECK_STATUS(cfut_map_into(pool, task, numbers, 8, 3, results, 8, CFUT_NOW), CFUT_TIMEOUT);
    latch_open(&standing.open);
    CHECK_SOON(check_stat(pool, CFUT_STAT_CANCELLED) == 3);
    cfut_task_free(task);
    check_close(pool);
}

static void many_into_an_array(void)
{
    static int64_t numbers[20 * MANY], results[20 * MANY];
    cfut_executor *pool = check_pool(2);
    cfut_task *task = task_of(square);
    for (int64_t n = 0; n < 20 * MANY; n++)
        numbers[n] = n;
    CHECK_OK(cfut_map_into(pool, task, numbers, 8, 20 * MANY, results, 8, CFUT_FOREVER));
    for (int64_t n = 0; n < 20 * MANY; n++)
        CHECK_EQ(results[n], n * n);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- wrong use ---- */

static void child_has_no_map(cfut_executor *pool, cfut_map *map)
{
    static const int64_t number = 5;
    cfut_task *task = task_of(square);
    cfut_future *future;
    cfut_map *none = NULL;
    int64_t result;
    CHECK_ERROR(cfut_map_next(map, CFUT_NOW, &future), CFUT_EFORKED, "fork()");
    CHECK_ERROR(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_EFORKED, "fork()");
    CHECK(future == NULL);
    CHECK_STATUS(cfut_map_new(pool, task, &number, 8, 1, &none), CFUT_EFORKED);
    CHECK_STATUS(cfut_map_into(pool, task, &number, 8, 1, &result, 8, CFUT_FOREVER), CFUT_EFORKED);
    CHECK(none == NULL);
    cfut_map_free(map);
    cfut_task_free(task);
}

static void inherited_through_fork(void)
{
    static gate standing = GATE_CLOSED;
    static struct item items[50];
    cfut_executor *pool = check_pool(1);
    int status;
    number_items(items, 50, NULL, &standing);
    cfut_map *map = items_map(pool, task_with(item_task, CFUT_TASK_WINDOW, 3), items, 50);
    latch_wait(&standing.entered);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        child_has_no_map(pool, map);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    latch_add(&standing.open, 1);
    read_numbers(map, 0, 50);
    expect_end(map);
    check_close(pool);
}

static void sizes_that_no_object_has(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(square);
    cfut_map *map = NULL;
    char results[1];
    CHECK_ERROR(cfut_map_new(pool, task, "abc", 0, 3, &map), CFUT_EINVAL, "item_size is 0");
    CHECK_ERROR(cfut_map_new(pool, task, "abc", SIZE_MAX, 3, &map), CFUT_EINVAL, "more than any");
    CHECK_ERROR(cfut_map_new(pool, task, "abc", 1, SIZE_MAX, &map), CFUT_EINVAL, "more than any");
    CHECK_ERROR(cfut_map_into(pool, task, "abc", 0, 3, results, 1, 0), CFUT_EINVAL, "item_size is 0");
    CHECK_ERROR(cfut_map_into(pool, task, "abc", 1, 3, results, SIZE_MAX, 0), CFUT_EINVAL,
                "results of");
    CHECK_ERROR(cfut_map_into(pool, task, "abc", 1, 3, NULL, 1, 0), CFUT_EINVAL, "results is NULL");
    CHECK(map == NULL);
    cfut_task_free(task);
    check_close(pool);
}

CHECK_MAIN(CASE(results_are_in_order), CASE(end_stays_the_end), CASE(a_failure_stays_with_its_item),
           CASE(retained_futures_stay), CASE(a_wait_that_ends_loses_nothing),
           CASE(options_are_for_each_item), CASE(a_window_bounds_what_is_ahead),
           CASE(the_whole_window), CASE(a_chosen_window_is_bounded), CASE(a_chunk_goes_at_once),
           CASE(a_chunk_larger_than_the_window), CASE(a_chunk_alone_makes_its_window),
           CASE(a_chosen_chunk_grows), CASE(keys_out_of_range), CASE(a_single_task_with_keys_of_maps),
           CASE(a_full_queue_that_blocks), CASE(a_full_queue_that_rejects),
           CASE(a_full_queue_that_runs_in_the_caller), CASE(unread_results_fill_the_queue),
           CASE(a_queue_full_of_others), CASE(a_read_looks_for_room), CASE(closures_in_order),
           CASE(closures_that_do_not_run_are_freed), CASE(closures_of_a_map_that_is_refused),
           CASE(free_cancels_what_has_not_started), CASE(detach_runs_all), CASE(detach_waits_for_room),
           CASE(detach_from_a_closed_executor), CASE(a_map_outlives_the_handle),
           CASE(a_shutdown_in_the_middle), CASE(an_executor_that_breaks),
           CASE(what_was_not_handed_out_expires), CASE(a_time_out_of_nothing),
           CASE(the_time_passes_unread), CASE(in_a_task_of_the_pool), CASE(freed_in_a_callback),
           CASE(freed_by_another_thread),
           CASE(freed_by_an_item_that_the_reader_runs), CASE(shorter_results_leave_zeros), CASE(longer_results_fail),
           CASE(the_first_failure_by_index), CASE(results_of_no_size), CASE(the_time_of_an_array),
           CASE(the_time_of_an_array_is_over_at_once), CASE(many_into_an_array),
           CASE(inherited_through_fork), CASE(sizes_that_no_object_has))
