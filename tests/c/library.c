/* The library as a whole: version, statuses, the last error, quiet. */
#include "parts.h"

/* ---- version ---- */

static void version_is_the_headers(void)
{
    char text[32];
    CHECK_EQ(cfut_version_number(), CFUT_VERSION_NUMBER);
    CHECK_TEXT(cfut_version(), CFUT_VERSION);
    snprintf(text, sizeof text, "%u.%u.%u", cfut_version_number() >> 16,
             cfut_version_number() >> 8 & 0xFF, cfut_version_number() & 0xFF);
    CHECK_TEXT(cfut_version(), text);
    CHECK(cfut_version() == cfut_version());
}

/* ---- statuses ---- */

static void statuses_have_names_and_texts(void)
{
    CHECK_TEXT(cfut_status_name(CFUT_OK), "CFUT_OK");
    CHECK_TEXT(cfut_status_name(CFUT_TOO_LATE), "CFUT_TOO_LATE");
    CHECK_TEXT(cfut_status_name(CFUT_EINVAL), "CFUT_EINVAL");
    CHECK_TEXT(cfut_status_name(CFUT_ESTATE), "CFUT_ESTATE");
    for (cfut_status status = CFUT_ESTATE; status <= CFUT_TOO_LATE; status++) {
        CHECK(strncmp(cfut_status_name(status), "CFUT_", 5) == 0);
        CHECK(strcmp(cfut_status_name(status), "CFUT_?") != 0);
        CHECK(strcmp(cfut_status_text(status), "unknown status") != 0);
        for (cfut_status other = CFUT_ESTATE; other < status; other++) {
            CHECK(strcmp(cfut_status_name(status), cfut_status_name(other)) != 0);
            CHECK(strcmp(cfut_status_text(status), cfut_status_text(other)) != 0);
        }
    }
}

static void numbers_that_are_no_status(void)
{
    static const cfut_status numbers[] = { INT32_MIN, CFUT_ESTATE - 1, CFUT_TOO_LATE + 1, INT32_MAX };
    for (int i = 0; i < 4; i++) {
        CHECK_TEXT(cfut_status_name(numbers[i]), "CFUT_?");
        CHECK_TEXT(cfut_status_text(numbers[i]), "unknown status");
    }
}

/* ---- the last error ---- */

static void provoke_error(void)
{
    cfut_options *options = options_of(1);
    CHECK_STATUS(cfut_options_set(options, CFUT_OPT_WORKERS, 0), CFUT_EINVAL);
    cfut_options_free(options);
}

static void last_error_names_argument_and_value(void)
{
    char text[256];
    provoke_error();
    size_t length = cfut_last_error(text, sizeof text);
    CHECK_EQ(length, strlen(text)); /* without its NUL */
    CHECK(strstr(text, "CFUT_OPT_WORKERS") != NULL);
    CHECK(strstr(text, "0") != NULL);
}

static void last_error_is_cut_to_fit(void)
{
    char whole[256], part[8];
    provoke_error();
    size_t length = cfut_last_error(whole, sizeof whole);
    CHECK_EQ(cfut_last_error(NULL, 0), length);
    memset(part, 'z', sizeof part);
    CHECK_EQ(cfut_last_error(part, 5), length);
    CHECK(memcmp(part, whole, 4) == 0);
    CHECK_EQ(part[4], '\0');
    CHECK_EQ(part[5], 'z');
    CHECK_EQ(cfut_last_error(part, 1), length);
    CHECK_EQ(part[0], '\0');
    part[0] = 'z';
    CHECK_EQ(cfut_last_error(part, 0), length);
    CHECK_EQ(part[0], 'z');
}

static void last_error_stays_until_the_next(void)
{
    char before[256], after[256];
    provoke_error();
    cfut_last_error(before, sizeof before);
    cfut_executor *pool = check_pool(1);
    CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_STATUS(end_of(submit_code(pool, 3)), CFUT_FAILED); /* an outcome is no error */
    check_close(pool);
    cfut_last_error(after, sizeof after);
    CHECK_TEXT(after, before);
    CHECK_STATUS(cfut_future_wait(NULL, CFUT_NOW), CFUT_EINVAL);
    cfut_last_error(after, sizeof after);
    CHECK(strcmp(after, before) != 0);
}

static void *read_last_error(void *arg)
{
    (void)arg;
    CHECK_EQ(cfut_last_error(NULL, 0), 0); /* this thread had none */
    CHECK_STATUS(cfut_future_wait(NULL, CFUT_NOW), CFUT_EINVAL);
    CHECK(cfut_last_error(NULL, 0) > 0);
    return NULL;
}

static void last_error_of_each_thread(void)
{
    char before[256], after[256];
    CHECK_EQ(cfut_last_error(NULL, 0), 0);
    provoke_error();
    cfut_last_error(before, sizeof before);
    thread_join(thread_start(read_last_error, NULL));
    cfut_last_error(after, sizeof after);
    CHECK_TEXT(after, before);
}

/* ---- NULL ---- */

static void nothing_to_release(void)
{
    cfut_options_free(NULL);
    cfut_task_free(NULL);
    cfut_executor_release(NULL);
    cfut_future_release(NULL);
    cfut_promise_release(NULL);
    cfut_queue_release(NULL);
    cfut_buffer_release(NULL);
    CHECK(cfut_executor_retain(NULL) == NULL);
    CHECK(cfut_future_retain(NULL) == NULL);
    CHECK(cfut_promise_retain(NULL) == NULL);
    CHECK(cfut_queue_retain(NULL) == NULL);
    CHECK(cfut_buffer_retain(NULL) == NULL);
}

/* ---- quiet ---- */

static void quiet_at_once(void)
{
    CHECK_OK(cfut_quiesce(CFUT_NOW)); /* there is no executor */
    cfut_executor *pool = check_pool(2);
    CHECK_OK(cfut_quiesce(CFUT_NOW)); /* none has work */
    for (int i = 0; i < 20; i++) {
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, NULL));
        CHECK_OK(cfut_quiesce(CFUT_FOREVER));
        CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), i + 1); /* executors stay usable */
    }
    check_close(pool);
}

static void quiet_when_the_work_is_done(void)
{
    cfut_executor *pools[2] = { check_pool(1), check_pool(2) };
    gate gate = GATE_CLOSED;
    atomic_int ran = 0, *data = &ran;
    gate_hold(pools[0], &gate);
    for (int i = 0; i < 10; i++)
        CHECK_OK(cfut_submit(pools[0], count_task, &data, sizeof data, NULL));
    CHECK_STATUS(cfut_quiesce(CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_quiesce(CFUT_MSEC(5)), CFUT_TIMEOUT);
    latch_open(&gate.open);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(ran, 10);
    check_close(pools[0]);
    check_close(pools[1]);
}

static void slow_callback(cfut_future *future, void *arg)
{
    gate *gate = arg;
    (void)future;
    latch_open(&gate->entered);
    latch_wait(&gate->open);
}

static void quiet_when_callbacks_have_returned(void)
{
    cfut_executor *pool = check_pool(1);
    gate first = GATE_CLOSED, second = GATE_CLOSED;
    cfut_future *future = gate_submit(pool, &first);
    CHECK_OK(cfut_future_on_done(future, NULL, slow_callback, &second, NULL));
    latch_open(&first.open);
    latch_wait(&second.entered);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER)); /* settled, and still calling */
    CHECK_STATUS(cfut_quiesce(CFUT_MSEC(5)), CFUT_TIMEOUT);
    latch_open(&second.open);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    cfut_future_release(future);
    check_close(pool);
}

static void quiet_when_detached_tasks_are_settled(void)
{
    cfut_executor *pool = check_pool(1);
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    cfut_future *future = submit(pool, detach_task, &data, sizeof data);
    latch_wait(&detached.kept);
    CHECK_STATUS(cfut_quiesce(CFUT_MSEC(5)), CFUT_TIMEOUT);
    CHECK_OK(cfut_promise_set_bytes(detached.promise, "x", 1));
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    cfut_promise_release(detached.promise);
    cfut_future_release(future);
    check_close(pool);
}

static int32_t quiesce_in_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    CHECK_ERROR(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK, "");
    CHECK_STATUS(cfut_quiesce(CFUT_NOW), CFUT_EDEADLK);
    return 0;
}

static void quiesce_in_callback(cfut_future *future, void *arg)
{
    (void)future;
    CHECK_STATUS(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK);
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void quiesce_in_free(void *arg)
{
    CHECK_STATUS(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK);
    atomic_fetch_add((atomic_int *)arg, 1);
}

static int32_t quiesce_in_hook(void *arg, uint32_t worker)
{
    (void)worker;
    CHECK_STATUS(cfut_quiesce(CFUT_FOREVER), CFUT_EDEADLK);
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void quiesce_from_what_it_waits_for(void)
{
    atomic_int calls = 0, hooks = 0;
    cfut_options *options = options_of(1);
    CHECK_OK(cfut_options_set_worker_hooks(options, quiesce_in_hook, quiesce_in_hook, &hooks, NULL));
    cfut_executor *pool = check_pool_with(options);
    CHECK_OK(end_of(submit(pool, quiesce_in_task, NULL, 0)));
    cfut_future *future = ended(CFUT_OK);
    CHECK_OK(cfut_future_on_done(future, NULL, quiesce_in_callback, &calls, quiesce_in_free));
    cfut_future_release(future);
    CHECK_EQ(calls, 2); /* the callback and the free function */
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(hooks, 2 * check_stat(pool, CFUT_STAT_WORKERS_STARTED)); /* both of each worker */
    check_close(pool);
}

CHECK_MAIN(CASE(version_is_the_headers), CASE(statuses_have_names_and_texts),
           CASE(numbers_that_are_no_status), CASE(last_error_names_argument_and_value),
           CASE(last_error_is_cut_to_fit), CASE(last_error_stays_until_the_next),
           CASE(last_error_of_each_thread), CASE(nothing_to_release), CASE(quiet_at_once),
           CASE(quiet_when_the_work_is_done), CASE(quiet_when_callbacks_have_returned),
           CASE(quiet_when_detached_tasks_are_settled), CASE(quiesce_from_what_it_waits_for))
