/* The writing side: promises made by hand. What tasks do with theirs is in outcomes.c. */
#include "parts.h"

static void new_promise_is_pending(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_EQ(cfut_promise_stop_requested(promise), 0);
    CHECK(cfut_promise_input(promise) == NULL);
    CHECK_OK(cfut_promise_set_bytes(promise, NULL, 0));
    cfut_promise_release(promise);
    CHECK_OK(end_of(future));
}

static void start_makes_it_running(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_promise_start(promise));
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_RUNNING);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    CHECK_ERROR(cfut_promise_start(promise), CFUT_ESTATE, "");
    CHECK_OK(cfut_promise_set_bytes(promise, NULL, 0));
    CHECK_STATUS(cfut_promise_start(promise), CFUT_ESTATE);
    cfut_promise_release(promise);
    CHECK_OK(end_of(future));
}

static void start_of_a_cancelled_one(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    CHECK_STATUS(cfut_promise_start(promise), CFUT_CANCELLED);
    CHECK_STATUS(cfut_promise_set_bytes(promise, "late", 4), CFUT_ESTATE);
    cfut_promise_release(promise);
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
}

static void bytes_of_every_length(void)
{
    static const size_t lengths[] = { 0, 1, 8, 15, 16, 17, 100, 4096, 1 << 20 };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        cfut_promise *promise;
        cfut_future *future = by_hand(&promise);
        unsigned char *data = malloc(lengths[i] + 1);
        size_t length = 99;
        CHECK(data != NULL);
        memset(data, (int)i + 1, lengths[i] + 1);
        CHECK_OK(cfut_promise_set_bytes(promise, data, lengths[i]));
        cfut_promise_release(promise);
        CHECK_OK(cfut_future_wait(future, CFUT_NOW));
        const void *bytes = cfut_future_bytes(future, &length);
        CHECK_EQ(length, lengths[i]);
        CHECK_EQ((uintptr_t)bytes % 16, 0);
        CHECK(length == 0 ? bytes == NULL : memcmp(bytes, data, length) == 0);
        free(data);
        cfut_future_release(future);
    }
}

static void value_is_freed_at_the_last_release(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    atomic_int freed = 0;
    CHECK_OK(cfut_promise_set_value(promise, &freed, count_free));
    cfut_promise_release(promise);
    CHECK(cfut_future_value(future) == &freed);
    cfut_future_retain(future);
    cfut_future_release(future);
    CHECK_EQ(freed, 0);
    CHECK_OK(end_of(future));
    CHECK_EQ(freed, 1);
}

static void value_without_free_function(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    int value = 5;
    CHECK_OK(cfut_promise_set_value(promise, &value, NULL));
    cfut_promise_release(promise);
    CHECK(cfut_future_value(future) == &value);
    CHECK_OK(end_of(future));
}

static void buffer_result(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    cfut_buffer *buffer;
    atomic_int freed = 0;
    char text[] = "buffer";
    CHECK_OK(cfut_buffer_wrap(text, sizeof text, count_free, &freed, &buffer));
    CHECK_OK(cfut_promise_set_buffer(promise, buffer));
    cfut_buffer_release(buffer);
    cfut_promise_release(promise);
    CHECK_EQ(freed, 0);
    CHECK(cfut_future_buffer(future) == buffer);
    CHECK_OK(end_of(future));
    CHECK_EQ(freed, 1);
}

static void failure_has_code_and_message(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_promise_fail(promise, -42, "no paper"));
    cfut_promise_release(promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), -42);
    CHECK_TEXT(cfut_future_message(future), "no paper");
    CHECK(cfut_future_bytes(future, NULL) == NULL);
    CHECK(cfut_future_value(future) == NULL);
    cfut_future_release(future);
}

static void failure_without_message(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK_OK(cfut_promise_fail(promise, INT32_MAX, NULL));
    cfut_promise_release(promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), INT32_MAX);
    CHECK_TEXT(cfut_future_message(future), "");
    cfut_future_release(future);
}

static void failure_with_a_reserved_code(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    atomic_int freed = 0;
    CHECK_ERROR(cfut_promise_fail(promise, 0, "x"), CFUT_EINVAL, "0");
    CHECK_STATUS(cfut_promise_fail(promise, CFUT_DETACH, "x"), CFUT_EINVAL);
    CHECK_STATUS(cfut_promise_fail_bytes(promise, 0, "x", "y", 1), CFUT_EINVAL);
    CHECK_STATUS(cfut_promise_fail_value(promise, 0, "x", &freed, count_free), CFUT_EINVAL);
    CHECK_EQ(freed, 1); /* moved, also when the call fails */
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING);
    CHECK_OK(cfut_promise_fail(promise, 1, "x"));
    cfut_promise_release(promise);
    CHECK_STATUS(end_of(future), CFUT_FAILED);
}

static void failure_with_bytes(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    size_t length;
    CHECK_OK(cfut_promise_fail_bytes(promise, 3, "line 7", "details of it, and more", 23));
    cfut_promise_release(promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 3);
    CHECK_TEXT(cfut_future_message(future), "line 7");
    CHECK(memcmp(cfut_future_bytes(future, &length), "details of it, and more", 23) == 0);
    CHECK_EQ(length, 23);
    cfut_future_release(future);
}

static void failure_with_a_value(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    atomic_int freed = 0;
    CHECK_OK(cfut_promise_fail_value(promise, 3, "line 7", &freed, count_free));
    cfut_promise_release(promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_FAILED);
    CHECK_TEXT(cfut_future_message(future), "line 7");
    CHECK(cfut_future_value(future) == &freed);
    CHECK_STATUS(end_of(future), CFUT_FAILED);
    CHECK_EQ(freed, 1);
}

static void first_outcome_stays(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    cfut_buffer *buffer;
    atomic_int freed = 0;
    CHECK_OK(cfut_buffer_new(1, 0, &buffer));
    CHECK_OK(cfut_promise_set_bytes(promise, "first", 5));
    CHECK_ERROR(cfut_promise_set_bytes(promise, "second", 6), CFUT_ESTATE, "first outcome");
    CHECK_STATUS(cfut_promise_set_value(promise, &freed, count_free), CFUT_ESTATE);
    CHECK_EQ(freed, 1);
    CHECK_STATUS(cfut_promise_set_buffer(promise, buffer), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_fail(promise, 1, "no"), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_fail_bytes(promise, 1, "no", "x", 1), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_fail_value(promise, 1, "no", &freed, count_free), CFUT_ESTATE);
    CHECK_EQ(freed, 2);
    CHECK_STATUS(cfut_promise_set_cancelled(promise), CFUT_ESTATE);
    CHECK_STATUS(cfut_promise_set_progress(promise, 1, 2), CFUT_ESTATE);
    cfut_buffer_release(buffer);
    cfut_promise_release(promise);
    CHECK(memcmp(cfut_future_bytes(future, NULL), "first", 5) == 0);
    CHECK_OK(end_of(future));
}

static void set_cancelled(void)
{
    cfut_future *future = ended(CFUT_CANCELLED);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_CANCELLED);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_PENDING));
    cfut_future_release(future);
}

static void released_unsettled_is_broken(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    CHECK(cfut_promise_retain(promise) == promise);
    cfut_promise_release(promise);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_PENDING); /* there is another handle */
    cfut_promise_release(promise);
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_BROKEN);
    CHECK_EQ(cfut_future_state(future), CFUT_STATE_FINISHED);
    expect_promise_released(future);
}

static void promise_outlives_its_future(void)
{
    cfut_promise *promise;
    atomic_int freed = 0;
    cfut_future_release(by_hand(&promise));
    CHECK_OK(cfut_promise_set_value(promise, &freed, count_free));
    cfut_promise_release(promise);
    CHECK_EQ(freed, 1);
}

static void stop_flag(void)
{
    for (uint32_t mode = CFUT_CANCEL_STOP; mode <= CFUT_CANCEL_KILL; mode++) { /* KILL acts as STOP */
        cfut_promise *promise;
        cfut_future *future = by_hand(&promise);
        CHECK_OK(cfut_promise_start(promise));
        CHECK_EQ(cfut_promise_stop_requested(promise), 0);
        CHECK_STATUS(cfut_future_cancel(future, mode), CFUT_PENDING);
        CHECK_EQ(cfut_promise_stop_requested(promise), 1);
        CHECK_STATUS(cfut_future_cancel(future, mode), CFUT_PENDING);
        CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_TIMEOUT);
        CHECK_OK(cfut_promise_set_bytes(promise, "as the task says", 16));
        cfut_promise_release(promise);
        CHECK_OK(end_of(future));
    }
}

static void progress(void)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    uint64_t done = 9, total = 9;
    CHECK_OK(cfut_future_progress(future, &done, &total));
    CHECK(done == 0 && total == 0);
    CHECK_OK(cfut_promise_set_progress(promise, 3, 10));
    CHECK_OK(cfut_future_progress(future, &done, NULL));
    CHECK_OK(cfut_future_progress(future, NULL, &total));
    CHECK(done == 3 && total == 10);
    CHECK_OK(cfut_promise_set_progress(promise, UINT64_MAX, UINT64_MAX));
    CHECK_OK(cfut_promise_set_bytes(promise, "x", 1));
    cfut_promise_release(promise);
    CHECK_OK(cfut_future_progress(future, &done, &total)); /* also after the end */
    CHECK(done == UINT64_MAX && total == UINT64_MAX);
    cfut_future_release(future);
}

static cfut_future *failed_with_message_of(size_t length)
{
    cfut_promise *promise;
    cfut_future *future = by_hand(&promise);
    char *message = malloc(length + 1);
    CHECK(message != NULL);
    memset(message, 'm', length);
    message[length] = '\0';
    CHECK_OK(cfut_promise_fail(promise, 1, message));
    free(message);
    cfut_promise_release(promise);
    return future;
}

static void long_messages_are_cut(void)
{
    cfut_future *future = failed_with_message_of(60000);
    CHECK_EQ(strlen(cfut_future_message(future)), 60000);
    CHECK_EQ(strspn(cfut_future_message(future), "m"), 60000);
    cfut_future_release(future);
    future = failed_with_message_of(200000);
    const char *message = cfut_future_message(future);
    CHECK(strlen(message) > 60000);
    CHECK(strlen(message) <= 65536);
    CHECK(strspn(message, "m") < strlen(message)); /* its end says that it was cut */
    CHECK(strstr(message + strspn(message, "m"), "cut") != NULL);
    cfut_future_release(future);
}

CHECK_MAIN(CASE(new_promise_is_pending), CASE(start_makes_it_running),
           CASE(start_of_a_cancelled_one), CASE(bytes_of_every_length),
           CASE(value_is_freed_at_the_last_release), CASE(value_without_free_function),
           CASE(buffer_result), CASE(failure_has_code_and_message), CASE(failure_without_message),
           CASE(failure_with_a_reserved_code), CASE(failure_with_bytes), CASE(failure_with_a_value),
           CASE(first_outcome_stays), CASE(set_cancelled), CASE(released_unsettled_is_broken),
           CASE(promise_outlives_its_future), CASE(stop_flag), CASE(progress),
           CASE(long_messages_are_cut))
