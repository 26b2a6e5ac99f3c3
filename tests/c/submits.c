/* The ways to hand over work. */
#include "parts.h"

/* ---- cfut_submit ---- */

static int32_t check_alignment(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    CHECK_EQ((uintptr_t)data % 16, 0);
    for (size_t i = 0; i < length; i++)
        CHECK_EQ(((const unsigned char *)data)[i], (unsigned char)(length + i));
    return cfut_promise_set_bytes(self, &length, sizeof length);
}

static void data_of_every_length(void)
{
    static const size_t lengths[] = { 1, 7, 8, 9, 16, 48, 63, 64, 65, 959, 960, 961, 5000, 1 << 20 };
    cfut_executor *pool = check_pool(2);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        unsigned char *data = malloc(lengths[i]);
        CHECK(data != NULL);
        for (size_t j = 0; j < lengths[i]; j++)
            data[j] = (unsigned char)(lengths[i] + j);
        cfut_future *future = submit(pool, check_alignment, data, lengths[i]);
        memset(data, 0xFF, lengths[i]); /* it was copied */
        free(data);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_EQ(integer_of(future), lengths[i]);
        cfut_future_release(future);
    }
    check_close(pool);
}

static int32_t check_no_data(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data; /* it may be NULL */
    CHECK_EQ(length, 0);
    return 0;
}

static void no_data(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(end_of(submit(pool, check_no_data, NULL, 0)));
    CHECK_OK(end_of(submit(pool, check_no_data, "x", 0)));
    check_close(pool);
}

static void refused_is_not_run(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int ran = 0, *data = &ran;
    cfut_future *future = NULL;
    CHECK_STATUS(cfut_submit(NULL, count_task, &data, sizeof data, &future), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit(pool, NULL, &data, sizeof data, &future), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit(pool, count_task, NULL, sizeof data, &future), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit(pool, count_task, &data, SIZE_MAX, &future), CFUT_EINVAL);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_ERROR(cfut_submit(pool, count_task, &data, sizeof data, &future), CFUT_ESHUTDOWN, "shut down");
    CHECK(future == NULL);
    CHECK_EQ(ran, 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    check_close(pool);
}

static int32_t tell_executor(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *here = cfut_executor_current();
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, &here, sizeof here);
}

static void current_executor(void)
{
    cfut_executor *pools[2] = { check_pool(1), check_pool(1) };
    CHECK(cfut_executor_current() == NULL);
    for (int i = 0; i < 2; i++) {
        cfut_future *future = submit(pools[i], tell_executor, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK(memcmp(cfut_future_bytes(future, NULL), &pools[i], sizeof pools[i]) == 0);
        cfut_future_release(future);
    }
    check_close(pools[0]);
    check_close(pools[1]);
}

static void one_worker_keeps_the_order(void)
{
    cfut_executor *pool = check_pool(1);
    struct order order = NO_ORDER;
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    for (int i = 0; i < 64; i++) {
        struct place place = { &order, i };
        CHECK_OK(cfut_submit(pool, note_place, &place, sizeof place, NULL));
    }
    latch_open(&gate.open);
    check_close(pool);
    CHECK_EQ(order.count, 64);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(order.seen[i], i);
}

static int32_t submit_in_order(cfut_promise *self, const void *data, size_t length)
{
    struct place place;
    (void)self;
    memcpy(&place, data, length);
    for (int i = 0; i < 64; i++) {
        place.number = i;
        CHECK_OK(cfut_submit(cfut_executor_current(), note_place, &place, sizeof place, NULL));
    }
    return 0;
}

/* Also of tasks that a task submits: oldest first, as the header says. */
static void one_worker_keeps_the_order_of_nested_ones(void)
{
    cfut_executor *pool = check_pool(1);
    struct order order = NO_ORDER;
    struct place place = { &order, 0 };
    CHECK_OK(end_of(submit(pool, submit_in_order, &place, sizeof place)));
    check_close(pool);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(order.seen[i], i);
}

/* Task: as begin_in_turn(). Some block afterwards, and others go on meanwhile. */
static int32_t begin_and_block(cfut_promise *self, const void *data, size_t length)
{
    struct member member;
    int32_t code = begin_in_turn(self, data, length);
    memcpy(&member, data, length);
    if (member.number % 9 == 0) {
        cfut_blocking_begin();
        usleep((unsigned)(member.number % 4) * 100);
        cfut_blocking_end();
    }
    return code;
}

static void one_worker_keeps_the_order_while_tasks_block(void)
{
    for (int round = 0; round < 20; round++) {
        cfut_executor *pool = check_pool(1);
        struct sequence sequence = NO_SEQUENCE;
        for (int i = 0; i < 600; i++) {
            struct member member = { &sequence, i };
            CHECK_OK(cfut_submit(pool, begin_and_block, &member, sizeof member, NULL));
        }
        check_close(pool);
        CHECK_EQ(atomic_load(&sequence.next), 600);
        CHECK_EQ(atomic_load(&sequence.wrong), 0);
    }
}

/* Task: submits 300 that are to run in this order, and blocks now and then. */
static int32_t submit_and_block(cfut_promise *self, const void *data, size_t length)
{
    struct member member;
    (void)self;
    memcpy(&member, data, length);
    for (member.number = 0; member.number < 300; member.number++) {
        CHECK_OK(cfut_submit(cfut_executor_current(), begin_and_block, &member, sizeof member, NULL));
        if (member.number % 50 == 49) {
            cfut_blocking_begin();
            usleep(300);
            cfut_blocking_end();
        }
    }
    return 0;
}

static void one_worker_keeps_the_order_of_nested_ones_while_tasks_block(void)
{
    for (int round = 0; round < 20; round++) {
        cfut_executor *pool = check_pool(1);
        struct sequence sequence = NO_SEQUENCE;
        struct member member = { &sequence, 0 };
        CHECK_OK(end_of(submit(pool, submit_and_block, &member, sizeof member)));
        check_close(pool);
        CHECK_EQ(atomic_load(&sequence.next), 300);
        CHECK_EQ(atomic_load(&sequence.wrong), 0);
    }
}

/* ---- cfut_submit_task ---- */

static void builder_may_go_at_once(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    cfut_task *task = task_named(echo_task, "first");
    cfut_future *first, *second;
    CHECK_OK(cfut_submit_task(pool, task, "one", 3, &first));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_OUTPUT_LIMIT, 0)); /* not for the first any more */
    CHECK_OK(cfut_task_set_text(task, CFUT_TASK_NAME, "second"));
    CHECK_OK(cfut_submit_task(pool, task, "", 0, &second));
    cfut_task_free(task);
    latch_open(&gate.open);
    CHECK_OK(cfut_future_wait(first, CFUT_FOREVER));
    CHECK(memcmp(cfut_future_bytes(first, NULL), "one", 3) == 0);
    cfut_future_release(first);
    CHECK_OK(end_of(second));
    check_close(pool);
}

static void names_are_in_the_snapshot(void)
{
    static char text[65536];
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    size_t length, again;
    gate_hold(pool, &gate);
    cfut_future *future = submit_once(pool, task_named(nothing_task, "a \"quoted\" name"), NULL, 0);
    CHECK_OK(cfut_executor_snapshot(pool, text, sizeof text, &length));
    CHECK_EQ(strlen(text), length);
    CHECK(strstr(text, "\"a \\\"quoted\\\" name\"") != NULL);
    CHECK_OK(cfut_executor_snapshot(pool, NULL, 0, &again));
    CHECK(again > 0);
    char small[10];
    memset(small, 'z', sizeof small);
    CHECK_OK(cfut_executor_snapshot(pool, small, sizeof small, &again)); /* cut, and says so */
    CHECK(again > sizeof small);
    CHECK_EQ(strlen(small), 9);
    latch_open(&gate.open);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- cfut_submit_buffer ---- */

static int32_t check_buffer(cfut_promise *self, const void *data, size_t length)
{
    cfut_buffer *input = cfut_promise_input(self);
    CHECK(input != NULL);
    CHECK(data == cfut_buffer_data(input)); /* not copied */
    CHECK_EQ(length, cfut_buffer_size(input));
    CHECK_EQ((uintptr_t)data % 64, 0);
    return cfut_promise_set_buffer(self, input);
}

static void buffer_is_not_copied(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(check_buffer);
    cfut_buffer *buffer;
    cfut_future *future;
    CHECK_OK(cfut_buffer_new(100000, 0, &buffer));
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_task_free(task);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK(cfut_future_buffer(future) == buffer);
    cfut_buffer_release(buffer);
    CHECK_EQ(cfut_buffer_size(cfut_future_buffer(future)), 100000);
    cfut_future_release(future);
    check_close(pool);
}

static void buffer_goes_when_the_task_has_returned(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(nothing_task);
    cfut_buffer *buffer;
    gate gate = GATE_CLOSED;
    atomic_int freed = 0;
    char bytes[4] = "abc";
    gate_hold(pool, &gate);
    CHECK_OK(cfut_buffer_wrap(bytes, sizeof bytes, count_free, &freed, &buffer));
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, NULL));
    cfut_buffer_release(buffer);
    CHECK_EQ(freed, 0);
    latch_open(&gate.open);
    cfut_task_free(task);
    check_close(pool);
    CHECK_EQ(freed, 1);
}

static void buffer_of_a_cancelled_task(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(nothing_task);
    cfut_buffer *buffer;
    cfut_future *future;
    gate gate = GATE_CLOSED;
    atomic_int freed = 0;
    char bytes[4] = "abc";
    gate_hold(pool, &gate);
    CHECK_OK(cfut_buffer_wrap(bytes, sizeof bytes, count_free, &freed, &buffer));
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_buffer_release(buffer);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_EQ(freed, 1); /* at once */
    latch_open(&gate.open);
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(pool);
}

static int32_t check_empty_buffer(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    CHECK(cfut_promise_input(self) != NULL);
    CHECK_EQ(length, 0);
    return 0;
}

static void empty_buffer(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(check_empty_buffer);
    cfut_buffer *buffer;
    cfut_future *future;
    CHECK_OK(cfut_buffer_new(0, 0, &buffer));
    CHECK_EQ(cfut_buffer_size(buffer), 0);
    CHECK(cfut_buffer_data(buffer) == NULL);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    CHECK_OK(end_of(future));
    CHECK_STATUS(cfut_submit_buffer(pool, task, NULL, &future), CFUT_EINVAL);
    cfut_buffer_release(buffer);
    cfut_task_free(task);
    check_close(pool);
}

static void buffers_are_zeroed_and_aligned(void)
{
    for (size_t size = 1; size < 100000; size = size * 3 + 1) {
        cfut_buffer *buffer;
        CHECK_OK(cfut_buffer_new(size, 0, &buffer));
        const unsigned char *bytes = cfut_buffer_data(buffer);
        CHECK_EQ((uintptr_t)bytes % 64, 0);
        for (size_t i = 0; i < size; i++)
            CHECK_EQ(bytes[i], 0);
        memset(cfut_buffer_data(buffer), 0xFF, size);
        CHECK(cfut_buffer_retain(buffer) == buffer);
        cfut_buffer_release(buffer);
        CHECK_EQ(bytes[size - 1], 0xFF);
        cfut_buffer_release(buffer);
    }
}

static void wrapped_memory_is_freed_once(void)
{
    atomic_int freed = 0;
    char bytes[8];
    cfut_buffer *buffer;
    CHECK_OK(cfut_buffer_wrap(bytes, sizeof bytes, count_free, &freed, &buffer));
    CHECK(cfut_buffer_data(buffer) == bytes);
    CHECK_EQ(cfut_buffer_size(buffer), sizeof bytes);
    CHECK_EQ(freed, 0);
    cfut_buffer_release(buffer);
    CHECK_EQ(freed, 1);
    CHECK_STATUS(cfut_buffer_wrap(NULL, 8, count_free, &freed, &buffer), CFUT_EINVAL);
    CHECK_EQ(freed, 2); /* moved, also when the call fails */
    CHECK_STATUS(cfut_buffer_wrap(bytes, sizeof bytes, count_free, &freed, NULL), CFUT_EINVAL);
    CHECK_EQ(freed, 3);
    CHECK_OK(cfut_buffer_wrap(bytes, sizeof bytes, NULL, NULL, &buffer));
    cfut_buffer_release(buffer);
}

/* ---- cfut_submit_closure ---- */

static void closure_argument_is_freed_after_the_call(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int calls = 0;
    cfut_future *future;
    CHECK_OK(cfut_submit_closure(pool, count_closure, &calls, count_free, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    check_close(pool);
    CHECK_EQ(calls, 2); /* the function, then the free function */
    cfut_future_release(future);
}

static void closure_without_free_function(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int calls = 0;
    CHECK_OK(cfut_submit_closure(pool, count_closure, &calls, NULL, NULL));
    CHECK_OK(cfut_submit_closure(pool, count_closure, &calls, NULL, NULL));
    check_close(pool);
    CHECK_EQ(calls, 2);
}

static void closure_argument_of_a_refused_one(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int calls = 0;
    cfut_future *future = NULL;
    CHECK_STATUS(cfut_submit_closure(NULL, count_closure, &calls, count_free, &future), CFUT_EINVAL);
    CHECK_EQ(calls, 1);
    CHECK_STATUS(cfut_submit_closure(pool, NULL, &calls, count_free, &future), CFUT_EINVAL);
    CHECK_EQ(calls, 2);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_STATUS(cfut_submit_closure(pool, count_closure, &calls, count_free, &future),
                 CFUT_ESHUTDOWN);
    CHECK_EQ(calls, 3); /* freed, never called */
    CHECK(future == NULL);
    check_close(pool);
}

static int32_t exit_closure(cfut_promise *self, void *arg)
{
    (void)self;
    atomic_fetch_add((atomic_int *)arg, 1);
    pthread_exit(NULL);
}

static void closure_argument_of_one_that_ends_its_thread(void)
{
    cfut_executor *pool = check_pool(1);
    atomic_int calls = 0;
    cfut_future *future;
    CHECK_OK(cfut_submit_closure(pool, exit_closure, &calls, count_free, &future));
    CHECK_STATUS(end_of(future), CFUT_FAILED);
    check_close(pool);
    CHECK_EQ(calls, 2);
}

/* ---- cfut_submit_many ---- */

static void many_in_order(void)
{
    enum { MANY = 1000 };
    static int64_t items[MANY];
    static cfut_future *futures[MANY];
    cfut_executor *pool = check_pool(3);
    cfut_task *task = task_of(echo_task);
    for (int i = 0; i < MANY; i++)
        items[i] = i * 3;
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], MANY, futures));
    memset(items, 0xFF, sizeof items); /* copied */
    cfut_task_free(task);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        CHECK_EQ(integer_of(futures[i]), i * 3);
        cfut_future_release(futures[i]); /* each is owned */
    }
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), MANY);
    check_close(pool);
}

static void many_large_items(void)
{
    enum { MANY = 20, SIZE = 5000 };
    static char items[MANY][SIZE];
    cfut_future *futures[MANY];
    cfut_executor *pool = check_pool(2);
    cfut_task *task = task_of(echo_task);
    for (int i = 0; i < MANY; i++)
        memset(items[i], 'a' + i, SIZE);
    CHECK_OK(cfut_submit_many(pool, task, items, SIZE, MANY, futures));
    for (int i = 0; i < MANY; i++) {
        size_t length;
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        CHECK(memcmp(cfut_future_bytes(futures[i], &length), items[i], SIZE) == 0);
        CHECK_EQ(length, SIZE);
        cfut_future_release(futures[i]);
    }
    cfut_task_free(task);
    check_close(pool);
}

static void many_without_futures(void)
{
    cfut_executor *pool = check_pool(2);
    atomic_int ran = 0, *items[50];
    cfut_task *task = task_of(count_task);
    for (int i = 0; i < 50; i++)
        items[i] = &ran;
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], 50, NULL));
    cfut_task_free(task);
    check_close(pool);
    CHECK_EQ(ran, 50);
}

static void many_of_none(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(nothing_task);
    cfut_future *untouched = NULL;
    CHECK_OK(cfut_submit_many(pool, task, NULL, 8, 0, &untouched));
    CHECK_OK(cfut_submit_many(pool, task, NULL, 0, 0, NULL));
    CHECK(untouched == NULL);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    cfut_task_free(task);
    check_close(pool);
}

static void many_refuses_all_or_nothing(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(nothing_task);
    cfut_future *futures[2];
    int64_t items[2] = { 1, 2 };
    CHECK_STATUS(cfut_submit_many(pool, task, items, 0, 2, futures), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit_many(pool, task, NULL, 8, 2, futures), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit_many(pool, NULL, items, 8, 2, futures), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit_many(NULL, task, items, 8, 2, futures), CFUT_EINVAL);
    CHECK_STATUS(cfut_submit_many(pool, task, items, SIZE_MAX / 2, 4, futures), CFUT_EINVAL);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_STATUS(cfut_submit_many(pool, task, items, 8, 2, futures), CFUT_ESHUTDOWN);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    cfut_task_free(task);
    check_close(pool);
}

static void many_cancelled_one_by_one(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    int32_t items[10] = { 0 };
    cfut_future *futures[10];
    cfut_task *task = task_of(return_task);
    gate_hold(pool, &gate);
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], 10, futures));
    cfut_task_free(task);
    for (int i = 0; i < 10; i += 2)
        CHECK_OK(cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING));
    latch_open(&gate.open);
    for (int i = 0; i < 10; i++)
        CHECK_STATUS(end_of(futures[i]), i % 2 == 0 ? CFUT_CANCELLED : CFUT_OK);
    check_close(pool);
}

static int32_t submit_batch(cfut_promise *self, const void *data, size_t length)
{
    cfut_task *task = task_of(count_task);
    atomic_int *items[100];
    cfut_future *futures[100];
    (void)self;
    for (int i = 0; i < 100; i++)
        memcpy(&items[i], data, length);
    CHECK_OK(cfut_submit_many(cfut_executor_current(), task, items, sizeof items[0], 100, futures));
    for (int i = 0; i < 100; i++)
        CHECK_OK(end_of(futures[i]));
    cfut_task_free(task);
    return 0;
}

static void many_from_a_task(void)
{
    for (int64_t workers = 1; workers <= 3; workers++) {
        cfut_executor *pool = check_pool(workers);
        atomic_int ran = 0, *data = &ran;
        CHECK_OK(end_of(submit(pool, submit_batch, &data, sizeof data)));
        CHECK_EQ(ran, 100);
        check_close(pool);
    }
}

static void many_refused_writes_nothing(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(nothing_task);
    cfut_future *futures[2] = { NULL, NULL };
    int64_t items[2] = { 1, 2 };
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_STATUS(cfut_submit_many(pool, task, items, 8, 2, futures), CFUT_ESHUTDOWN);
    CHECK(futures[0] == NULL && futures[1] == NULL);
    cfut_task_free(task);
    check_close(pool);
}

CHECK_MAIN(CASE(data_of_every_length), CASE(no_data), CASE(refused_is_not_run),
           CASE(current_executor), CASE(one_worker_keeps_the_order),
           CASE(one_worker_keeps_the_order_of_nested_ones),
           CASE(one_worker_keeps_the_order_while_tasks_block),
           CASE(one_worker_keeps_the_order_of_nested_ones_while_tasks_block),
           CASE(builder_may_go_at_once),
           CASE(names_are_in_the_snapshot), CASE(buffer_is_not_copied),
           CASE(buffer_goes_when_the_task_has_returned), CASE(buffer_of_a_cancelled_task),
           CASE(empty_buffer), CASE(buffers_are_zeroed_and_aligned),
           CASE(wrapped_memory_is_freed_once), CASE(closure_argument_is_freed_after_the_call),
           CASE(closure_without_free_function), CASE(closure_argument_of_a_refused_one),
           CASE(closure_argument_of_one_that_ends_its_thread), CASE(many_in_order),
           CASE(many_large_items), CASE(many_without_futures), CASE(many_of_none),
           CASE(many_refuses_all_or_nothing), CASE(many_cancelled_one_by_one),
           CASE(many_from_a_task), CASE(many_refused_writes_nothing))
