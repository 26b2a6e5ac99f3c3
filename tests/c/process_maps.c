/* Maps with worker processes: an outcome for each item, also within a chunk; windows, ends, and
 * what needs this process. */
#include "behaviours.h"
#include "processes.h"

/* Task: echoes the number of a call, or does what the gate says. */
enum { ECHO, FAIL, CRASH, STAND };

static int32_t do_as_told(cfut_promise *self, const void *data, size_t length)
{
    struct call call = call_from(data, length);
    int64_t number = call.number;
    atomic_fetch_add(&board->count, 1);
    switch (call.gate) {
    case FAIL:
        return cfut_promise_fail(self, call.number, "told to");
    case CRASH:
        abort();
    case STAND:
        atomic_fetch_add(&board->gates[STAND].entered, 1);
        CHECK_SOON(atomic_load(&board->gates[STAND].open));
        break;
    default:
        break;
    }
    return cfut_promise_set_bytes(self, &number, sizeof number);
}

static cfut_map *calls_map(cfut_executor *pool, cfut_task *task, const struct call *calls,
                           size_t count)
{
    cfut_map *map = NULL;
    CHECK_OK(cfut_map_new(pool, task, calls, sizeof *calls, count, &map));
    cfut_task_free(task);
    return map;
}

static void expect_outcomes(int64_t chunk)
{
    struct call calls[30];
    cfut_executor *pool = check_process_pool(2);
    cfut_future *future;
    for (int n = 0; n < 30; n++)
        calls[n] = call_of(n % 10 == 4 ? CRASH : n % 10 == 7 ? FAIL : ECHO, n);
    cfut_map *map = calls_map(pool, task_with(do_as_told, CFUT_TASK_CHUNK, chunk), calls, 30);
    for (int n = 0; n < 30; n++) {
        cfut_status status = cfut_map_next(map, CFUT_FOREVER, &future);
        CHECK_STATUS(status, n % 10 == 4 ? CFUT_CRASHED : n % 10 == 7 ? CFUT_FAILED : CFUT_OK);
        if (status == CFUT_OK)
            CHECK_EQ(integer_of(future), n);
        if (status == CFUT_FAILED)
            CHECK_EQ(cfut_future_code(future), n);
        if (status == CFUT_CRASHED)
            CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), SIGABRT);
    }
    expect_end(map);
    check_close(pool);
}

static void an_outcome_for_each_item(void)
{
    expect_outcomes(0);
}

static void an_outcome_for_each_item_of_a_chunk(void)
{
    expect_outcomes(10);
}

static void many_items(void)
{
    static int64_t numbers[5000], results[5000];
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_of(square);
    for (int64_t n = 0; n < 5000; n++)
        numbers[n] = n;
    CHECK_OK(cfut_map_into(pool, task, numbers, 8, 5000, results, 8, CFUT_FOREVER));
    for (int64_t n = 0; n < 5000; n++)
        CHECK_EQ(results[n], n * n);
    cfut_task_free(task);
    check_close(pool);
}

/* Larger than a ring: beside it. */
static int32_t first_and_last(cfut_promise *self, const void *data, size_t length)
{
    const char *bytes = data;
    char ends[2] = { bytes[0], bytes[length - 1] };
    return cfut_promise_set_bytes(self, ends, sizeof ends);
}

static void large_items(void)
{
    enum { SIZE = 1 << 20, COUNT = 12 };
    char *items = calloc(COUNT, SIZE), results[COUNT][2];
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_of(first_and_last);
    CHECK(items != NULL);
    for (int i = 0; i < COUNT; i++)
        items[i * SIZE] = items[(i + 1) * SIZE - 1] = (char)(i + 1);
    CHECK_OK(cfut_map_into(pool, task, items, SIZE, COUNT, results, 2, CFUT_FOREVER));
    for (int i = 0; i < COUNT; i++)
        CHECK(results[i][0] == i + 1 && results[i][1] == i + 1);
    free(items);
    cfut_task_free(task);
    check_close(pool);
}

static void a_window_bounds_what_is_ahead(void)
{
    struct call calls[40];
    cfut_executor *pool = check_process_pool(2);
    for (int n = 0; n < 40; n++)
        calls[n] = call_of(ECHO, n);
    cfut_map *map = calls_map(pool, task_with(do_as_told, CFUT_TASK_WINDOW, 6), calls, 40);
    for (int n = 0; n < 40; n++) {
        CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), n + 6 < 40 ? n + 6 : 40);
        CHECK_EQ(next_integer(map), n);
    }
    expect_end(map);
    check_close(pool);
}

static void through_a_bound(void)
{
    for (int policy = CFUT_FULL_BLOCK; policy <= CFUT_FULL_REJECT; policy++) {
        struct call calls[100];
        cfut_options *options = options_with(2, CFUT_OPT_QUEUE_LIMIT, 3);
        CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, policy));
        cfut_executor *pool = check_process_pool_with(options);
        for (int n = 0; n < 100; n++)
            calls[n] = call_of(ECHO, n);
        cfut_map *map = calls_map(pool, task_of(do_as_told), calls, 100);
        for (int n = 0; n < 100; n++)
            CHECK_EQ(next_integer(map), n);
        expect_end(map);
        check_close(pool);
    }
}

/* What workers have ahead already is taken back. */
static void free_cancels_what_has_not_started(void)
{
    struct call calls[50];
    cfut_executor *pool = check_process_pool(2);
    for (int n = 0; n < 50; n++)
        calls[n] = call_of(STAND, n);
    cfut_map *map =
        calls_map(pool, task_with(do_as_told, CFUT_TASK_WINDOW, CFUT_WINDOW_ALL), calls, 50);
    entered(STAND, 2);
    cfut_map_free(map);
    CHECK_SOON(check_stat(pool, CFUT_STAT_CANCELLED) == 48);
    open_gate(STAND);
    check_close(pool);
    CHECK_EQ(board->count, 2);
}

static void detach_runs_all(void)
{
    struct call calls[100];
    cfut_executor *pool = check_process_pool(2);
    for (int n = 0; n < 100; n++)
        calls[n] = call_of(ECHO, n);
    cfut_map_detach(calls_map(pool, task_with(do_as_told, CFUT_TASK_WINDOW, 5), calls, 100));
    check_close(pool);
    CHECK_EQ(board->count, 100);
}

static void a_shutdown_in_the_middle(void)
{
    struct call calls[20];
    cfut_executor *pool = check_process_pool(2);
    cfut_future *future;
    for (int n = 0; n < 20; n++)
        calls[n] = call_of(ECHO, n);
    cfut_map *map = calls_map(pool, task_with(do_as_told, CFUT_TASK_WINDOW, 4), calls, 20);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    for (int n = 0; n < 4; n++)
        CHECK_EQ(next_integer(map), n);
    for (int n = 4; n < 20; n++)
        CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_CANCELLED);
    expect_end(map);
    check_close(pool);
}

/* The task that runs at the end of the time is killed, and its worker replaced. */
static void the_time_kills(void)
{
    struct call calls[6];
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_with(do_as_told, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(200));
    cfut_future *future;
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, 0));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_WINDOW, 3));
    for (int n = 0; n < 6; n++)
        calls[n] = call_of(STAND, n);
    cfut_map *map = calls_map(pool, task, calls, 6);
    for (int n = 0; n < 6; n++)
        CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_EXPIRED);
    expect_end(map);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static int32_t next_call(void *arg, const void **data, size_t *length)
{
    static struct call call;
    int *next = arg;
    call = call_of(ECHO, (*next)++);
    *data = &call;
    *length = sizeof call;
    return call.number < 200 ? 0 : CFUT_END;
}

/* A source stays in this process. */
static void a_source(void)
{
    int next = 0;
    cfut_executor *pool = check_process_pool(2);
    cfut_task *task = task_of(do_as_told);
    cfut_map *map;
    CHECK_OK(cfut_map_new_source(pool, task, next_call, &next, NULL, &map));
    for (int n = 0; n < 200; n++)
        CHECK_EQ(next_integer(map), n);
    expect_end(map);
    cfut_task_free(task);
    check_close(pool);
}

static int32_t never_called(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)self;
    (void)begin;
    (void)end;
    (void)arg;
    CHECK(!"called");
    return 0;
}

static void what_needs_this_process(void)
{
    atomic_int freed = 0;
    void *args[3] = { &freed, &freed, &freed };
    cfut_executor *pool = check_process_pool(1);
    cfut_map *map = NULL;
    cfut_future *future = NULL;
    CHECK_ERROR(cfut_map_new_closure(pool, count_closure, args, 3, count_free, &map), CFUT_ENOTSUP,
                "other processes");
    CHECK_EQ(freed, 3);
    CHECK_ERROR(cfut_parallel_for(pool, 9, 0, never_called, &freed, count_free, &future),
                CFUT_ENOTSUP, "other processes");
    CHECK_EQ(freed, 4);
    CHECK_STATUS(cfut_parallel_for(pool, 0, 0, never_called, NULL, NULL, NULL), CFUT_ENOTSUP);
    CHECK(map == NULL && future == NULL);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    check_close(pool);
}

CHECK_MAIN_WORKER(board_make(), CASE(an_outcome_for_each_item),
                  CASE(an_outcome_for_each_item_of_a_chunk), CASE(many_items), CASE(large_items),
                  CASE(a_window_bounds_what_is_ahead), CASE(through_a_bound),
                  CASE(free_cancels_what_has_not_started), CASE(detach_runs_all),
                  CASE(a_shutdown_in_the_middle), CASE(the_time_kills), CASE(a_source),
                  CASE(what_needs_this_process))
