/* Maps over sources: when they are asked, how they end, and what they may do. */
#include "behaviours.h"

/* A source of 0, 1, 2, ... up to an end, and what it answers then. */
struct numbers {
    int64_t next, end, current;
    int32_t answer;
    int asked_after_the_end, freed;
    pthread_t asked_by;
};

static int32_t next_number(void *arg, const void **data, size_t *length)
{
    struct numbers *numbers = arg;
    numbers->asked_by = pthread_self();
    if (numbers->next == numbers->end) {
        numbers->asked_after_the_end++;
        return numbers->answer;
    }
    numbers->current = numbers->next++;
    *data = &numbers->current; /* the same place for each: it is copied */
    *length = sizeof numbers->current;
    return 0;
}

static void note_freed(void *arg)
{
    ((struct numbers *)arg)->freed++;
}

static cfut_map *numbers_map(cfut_executor *pool, cfut_task *task, struct numbers *numbers)
{
    cfut_map *map = NULL;
    CHECK_OK(cfut_map_new_source(pool, task, next_number, numbers, note_freed, &map));
    cfut_task_free(task);
    return map;
}

#define UP_TO(end, answer) { 0, end, 0, answer, 0, 0, 0 }

static void in_order_to_the_end(void)
{
    struct numbers numbers = UP_TO(1000, CFUT_END);
    cfut_executor *pool = check_pool(3);
    cfut_map *map = numbers_map(pool, task_of(square), &numbers);
    for (int64_t n = 0; n < 1000; n++)
        CHECK_EQ(next_integer(map), n * n);
    CHECK_EQ(numbers.freed, 0);
    expect_end(map);
    CHECK_EQ(numbers.freed, 1);
    CHECK_EQ(numbers.asked_after_the_end, 1);
    check_close(pool);
}

static void an_empty_source(void)
{
    struct numbers numbers = UP_TO(0, CFUT_END);
    cfut_executor *pool = check_pool(1);
    expect_end(numbers_map(pool, task_of(square), &numbers));
    CHECK_EQ(numbers.asked_after_the_end, 1);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    check_close(pool);
}

static void asked_by_the_reader_alone(void)
{
    struct numbers numbers = UP_TO(100, CFUT_END);
    cfut_executor *pool = check_pool(3);
    cfut_map *map = numbers_map(pool, task_of(square), &numbers);
    for (int64_t n = 0; n < 100; n++) {
        CHECK(pthread_equal(numbers.asked_by, pthread_self()));
        CHECK_EQ(next_integer(map), n * n);
    }
    expect_end(map);
    check_close(pool);
}

/* No further ahead than the window, whatever the chunk. */
static void a_window_bounds_what_is_asked_for(void)
{
    for (int64_t chunk = 0; chunk <= 20; chunk += 5) {
        struct numbers numbers = UP_TO(INT64_MAX, CFUT_END);
        cfut_executor *pool = check_pool(2);
        cfut_task *task = task_with(square, CFUT_TASK_WINDOW, 10);
        CHECK_OK(cfut_task_set(task, CFUT_TASK_CHUNK, chunk));
        cfut_map *map = numbers_map(pool, task, &numbers);
        CHECK_EQ(numbers.next, 10);
        for (int64_t n = 0; n < 95; n++) {
            CHECK_EQ(next_integer(map), n * n);
            CHECK(numbers.next <= n + 11);
        }
        cfut_map_free(map);
        CHECK_EQ(numbers.freed, 1);
        check_close(pool);
    }
}

static void the_whole_source(void)
{
    struct numbers numbers = UP_TO(500, CFUT_END);
    cfut_executor *pool = check_pool(2);
    cfut_map *map = numbers_map(pool, task_with(square, CFUT_TASK_WINDOW, CFUT_WINDOW_ALL), &numbers);
    CHECK_EQ(numbers.asked_after_the_end, 1);
    for (int64_t n = 0; n < 500; n++)
        CHECK_EQ(next_integer(map), n * n);
    expect_end(map);
    check_close(pool);
}

/* The status of a source comes once, after the items. */
static void a_source_that_fails(void)
{
    static const int32_t answers[] = { CFUT_EINVAL, CFUT_ESYS, -1000, INT32_MIN };
    for (int i = 0; i < 4; i++) {
        for (int64_t end = 0; end <= 30; end += 30) {
            struct numbers numbers = UP_TO(end, answers[i]);
            cfut_executor *pool = check_pool(2);
            cfut_map *map = numbers_map(pool, task_of(square), &numbers);
            cfut_future *future = (cfut_future *)pool;
            for (int64_t n = 0; n < end; n++)
                CHECK_EQ(next_integer(map), n * n);
            CHECK_ERROR(cfut_map_next(map, CFUT_FOREVER, &future), answers[i], "source");
            CHECK(future == NULL);
            expect_end(map);
            CHECK_EQ(numbers.asked_after_the_end, 1);
            CHECK_EQ(numbers.freed, 1);
            check_close(pool);
        }
    }
}

static void a_source_that_answers_nonsense(void)
{
    struct numbers numbers = UP_TO(3, 5);
    cfut_executor *pool = check_pool(1);
    cfut_map *map = numbers_map(pool, task_of(square), &numbers);
    cfut_future *future;
    for (int64_t n = 0; n < 3; n++)
        CHECK_EQ(next_integer(map), n * n);
    CHECK_ERROR(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_EINVAL, "answered 5");
    expect_end(map);
    check_close(pool);
}

/* Items of these lengths, then one that is NULL. */
struct texts {
    int next;
};

static int32_t next_text(void *arg, const void **data, size_t *length)
{
    static const char *const texts[] = { "one", "", "a longer text than fits a cell of its own" };
    struct texts *state = arg;
    int place = state->next++;
    if (place == 3) { /* NULL without a length is an empty item */
        *length = 0;
        return 0;
    }
    *length = place < 3 ? strlen(texts[place]) : 7;
    *data = place < 3 ? texts[place] : NULL;
    return 0;
}

static void items_of_any_length(void)
{
    static const size_t lengths[] = { 3, 0, 41, 0 };
    struct texts texts = { 0 };
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(echo_task, CFUT_TASK_CHUNK, 3);
    cfut_future *future;
    cfut_map *map;
    size_t length;
    CHECK_OK(cfut_map_new_source(pool, task, next_text, &texts, NULL, &map));
    for (int i = 0; i < 4; i++) {
        CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
        cfut_future_bytes(future, &length);
        CHECK_EQ(length, lengths[i]);
    }
    CHECK_ERROR(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_EINVAL, "a length of 7");
    expect_end(map);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- ends ---- */

static void freed_with_items_outstanding(void)
{
    struct numbers numbers = UP_TO(INT64_MAX, CFUT_END);
    static gate standing = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    gate_hold(pool, &standing);
    cfut_map *map = numbers_map(pool, task_with(square, CFUT_TASK_WINDOW, 50), &numbers);
    cfut_map_free(map);
    CHECK_SOON(check_stat(pool, CFUT_STAT_CANCELLED) == 50);
    CHECK_EQ(numbers.freed, 1);
    latch_open(&standing.open);
    check_close(pool);
}

/* Whoever detaches it asks for the rest. */
static void detached_to_its_end(void)
{
    struct numbers numbers = UP_TO(300, CFUT_END);
    cfut_executor *pool = check_pool(2);
    cfut_map *map = numbers_map(pool, task_with(square, CFUT_TASK_WINDOW, 4), &numbers);
    CHECK_EQ(next_integer(map), 0);
    cfut_map_detach(map);
    CHECK_EQ(numbers.next, 300);
    CHECK_EQ(numbers.freed, 1);
    check_close(pool);
}

static void detached_until_it_fails(void)
{
    struct numbers numbers = UP_TO(300, CFUT_ESYS);
    cfut_executor *pool = check_pool(2);
    cfut_map_detach(numbers_map(pool, task_with(square, CFUT_TASK_WINDOW, 4), &numbers));
    CHECK_EQ(numbers.next, 300);
    check_close(pool);
}

static void a_shutdown_in_the_middle(void)
{
    struct numbers numbers = UP_TO(INT64_MAX, CFUT_END);
    cfut_executor *pool = check_pool(2);
    cfut_map *map = numbers_map(pool, task_with(square, CFUT_TASK_WINDOW, 6), &numbers);
    cfut_future *future;
    int64_t n = 0;
    cfut_status status;
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    int64_t pulled = numbers.next;
    while ((status = cfut_map_next(map, CFUT_FOREVER, &future)) == CFUT_OK) {
        CHECK_EQ(integer_of(future), n * n);
        n++;
    }
    CHECK_EQ(n, 6); /* those that were handed out */
    for (; status == CFUT_CANCELLED; n++)
        status = cfut_map_next(map, CFUT_FOREVER, &future);
    CHECK_STATUS(status, CFUT_ESHUTDOWN);
    CHECK(future == NULL);
    CHECK(numbers.next <= pulled + 1 && n == numbers.next); /* what it gave has an outcome */
    char text[128];
    cfut_last_error(text, sizeof text);
    CHECK(strstr(text, "shut down") != NULL);
    expect_end(map);
    check_close(pool);
}

static void the_time_of_an_endless_source(void)
{
    struct numbers numbers = UP_TO(INT64_MAX, CFUT_END);
    cfut_executor *pool = check_pool(2);
    cfut_task *task = task_with(square, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(20));
    int64_t begin = check_now(), n = 0;
    cfut_map *map = numbers_map(pool, task, &numbers);
    cfut_future *future;
    cfut_status status;
    while ((status = cfut_map_next(map, CFUT_FOREVER, &future)) != CFUT_END) {
        if (status == CFUT_OK)
            CHECK_EQ(integer_of(future), n * n);
        else
            CHECK_STATUS(status, CFUT_EXPIRED);
        n++;
    }
    CHECK(check_now() - begin >= CFUT_MSEC(20));
    CHECK_EQ(n, numbers.next);
    expect_end(map);
    check_close(pool);
}

static void no_room_in_the_queue(void)
{
    for (int policy = CFUT_FULL_BLOCK; policy <= CFUT_FULL_RUN_IN_CALLER; policy++) {
        struct numbers numbers = UP_TO(500, CFUT_END);
        cfut_options *options = options_with(2, CFUT_OPT_QUEUE_LIMIT, 2);
        CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, policy));
        cfut_executor *pool = check_pool_with(options);
        cfut_task *task = task_with(square, CFUT_TASK_CHUNK, 7);
        cfut_map *map = numbers_map(pool, task, &numbers);
        for (int64_t n = 0; n < 500; n++)
            CHECK_EQ(next_integer(map), n * n);
        expect_end(map);
        check_close(pool);
    }
}

/* ---- sources that use the library ---- */

static cfut_map *this_map;
static cfut_executor *this_pool;

/* A source that computes its items with the executor of its map. */
static int32_t computed(void *arg, const void **data, size_t *length)
{
    static int64_t result;
    int64_t *next = arg;
    if (*next == 50)
        return CFUT_END;
    cfut_future *future = submit(this_pool, square, next, sizeof *next);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    result = integer_of(future);
    cfut_future_release(future);
    ++*next;
    *data = &result;
    *length = sizeof result;
    return 0;
}

static void a_source_that_waits(void)
{
    int64_t next = 0;
    this_pool = check_pool(1);
    cfut_task *task = task_of(square);
    cfut_map *map;
    CHECK_OK(cfut_map_new_source(this_pool, task, computed, &next, NULL, &map));
    for (int64_t n = 0; n < 50; n++)
        CHECK_EQ(next_integer(map), n * n * n * n);
    expect_end(map);
    cfut_task_free(task);
    check_close(this_pool);
}

/* A source that reads, and in the end frees or detaches, the map that it is of. */
struct meddler {
    int64_t next;
    int ends, freed;
    void (*end)(cfut_map *);
};

static int32_t meddle(void *arg, const void **data, size_t *length)
{
    static int64_t number;
    struct meddler *meddler = arg;
    cfut_future *future = (cfut_future *)arg;
    if (this_map != NULL) {
        CHECK_ERROR(cfut_map_next(this_map, CFUT_FOREVER, &future), CFUT_EDEADLK, "another call");
        CHECK(future == NULL);
    }
    number = meddler->next++;
    if (number == 20) {
        meddler->end(this_map);
        this_map = NULL;
        meddler->ends++;
    }
    *data = &number;
    *length = sizeof number;
    return number < 40 ? 0 : CFUT_END;
}

static void free_meddler(void *arg)
{
    ((struct meddler *)arg)->freed++;
}

static void ended_by_its_source(void (*end)(cfut_map *), int64_t asked)
{
    struct meddler meddler = { 0, 0, 0, end };
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(square, CFUT_TASK_WINDOW, 4);
    cfut_future *future;
    cfut_status status;
    int read = 0;
    this_map = NULL;
    CHECK_OK(cfut_map_new_source(pool, task, meddle, &meddler, free_meddler, &this_map));
    cfut_map *map = this_map;
    while ((status = cfut_map_next(map, CFUT_FOREVER, &future)) == CFUT_OK)
        read++;
    CHECK_STATUS(status, CFUT_END);
    CHECK(future == NULL);
    CHECK(read >= 16 && read < 20);
    CHECK(meddler.ends == 1 && meddler.freed == 1);
    CHECK_EQ(meddler.next, asked);
    cfut_task_free(task);
    check_close(pool);
}

static void freed_by_its_source(void)
{
    ended_by_its_source(cfut_map_free, 21);
}

static void detached_by_its_source(void)
{
    ended_by_its_source(cfut_map_detach, 41);
}

static void free_the_map(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
    cfut_map_free(this_map);
}

/* A source in which a callback becomes due that frees the map. */
static int32_t cancels_a_future(void *arg, const void **data, size_t *length)
{
    static int64_t number;
    cfut_future **trigger = arg;
    number++;
    *data = &number;
    *length = sizeof number;
    if (number == 6)
        CHECK_OK(cfut_future_cancel(*trigger, CFUT_CANCEL_PENDING));
    return 0;
}

static void freed_by_a_callback_in_the_source(void)
{
    cfut_promise *promise;
    cfut_future *trigger = by_hand(&promise), *future;
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_with(square, CFUT_TASK_WINDOW, 4);
    cfut_status status;
    CHECK_OK(cfut_map_new_source(pool, task, cancels_a_future, &trigger, NULL, &this_map));
    CHECK_OK(cfut_future_on_done(trigger, NULL, free_the_map, NULL, NULL));
    cfut_map *map = this_map;
    while ((status = cfut_map_next(map, CFUT_FOREVER, &future)) == CFUT_OK) {
    }
    CHECK_STATUS(status, CFUT_END);
    cfut_future_release(trigger);
    cfut_promise_release(promise);
    cfut_task_free(task);
    check_close(pool);
}

/* The source is the user's code: what must not be called there answers so. */
static int32_t waits_for_quiet(void *arg, const void **data, size_t *length)
{
    (void)arg;
    (void)data;
    (void)length;
    CHECK_STATUS(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK);
    return CFUT_END;
}

static void quiesce_in_a_source(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(square);
    cfut_map *map;
    CHECK_OK(cfut_map_new_source(pool, task, waits_for_quiet, NULL, NULL, &map));
    expect_end(map);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    cfut_task_free(task);
    check_close(pool);
}

static void freed_if_the_call_fails(void)
{
    struct numbers numbers = UP_TO(10, CFUT_END);
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(square);
    cfut_map *map = NULL;
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_ERROR(cfut_map_new_source(pool, task, next_number, &numbers, note_freed, &map),
                CFUT_ESHUTDOWN, "shut down");
    CHECK_EQ(numbers.freed, 1);
    CHECK_STATUS(cfut_map_new_source(pool, task, NULL, &numbers, note_freed, &map), CFUT_EINVAL);
    CHECK_EQ(numbers.freed, 2);
    CHECK(map == NULL);
    cfut_task_free(task);
    check_close(pool);
}

CHECK_MAIN(CASE(in_order_to_the_end), CASE(an_empty_source), CASE(asked_by_the_reader_alone),
           CASE(a_window_bounds_what_is_asked_for), CASE(the_whole_source), CASE(a_source_that_fails),
           CASE(a_source_that_answers_nonsense), CASE(items_of_any_length),
           CASE(freed_with_items_outstanding), CASE(detached_to_its_end),
           CASE(detached_until_it_fails), CASE(a_shutdown_in_the_middle),
           CASE(the_time_of_an_endless_source), CASE(no_room_in_the_queue), CASE(a_source_that_waits),
           CASE(freed_by_its_source), CASE(detached_by_its_source),
           CASE(freed_by_a_callback_in_the_source), CASE(quiesce_in_a_source), CASE(freed_if_the_call_fails))
