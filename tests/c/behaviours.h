/* Task functions of the tutorials' examples, and cases that ask nothing of a pool but that it is one:
 * the same on threads (behaviours.c, behaviours_pools.c) and in processes (process_behaviours.c). */
#ifndef BEHAVIOURS_H
#define BEHAVIOURS_H

#include "parts.h"

/* A2: the square of an int64_t. */
CHECK_UNUSED static int32_t square(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, sizeof n);
    n *= n;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

/* A4: ten times an int64_t, unless it is 3. */
CHECK_UNUSED static int32_t risky(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    memcpy(&n, data, length);
    if (n == 3)
        return cfut_promise_fail(self, 33, "cannot process 3");
    n *= 10;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

/* A11: fails. */
CHECK_UNUSED static int32_t unlucky(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_fail(self, 1, "Number 3 is unlucky!");
}

/* A20: the first of two int64_t, divided by the second. */
CHECK_UNUSED static int32_t divide(cfut_promise *self, const void *data, size_t length)
{
    int64_t numbers[2];
    memcpy(numbers, data, length);
    if (numbers[1] == 0)
        return cfut_promise_fail(self, 1, "cannot divide by zero");
    numbers[0] /= numbers[1];
    return cfut_promise_set_bytes(self, numbers, sizeof numbers[0]);
}

/* A4: one task fails, the pool goes on. Closes it. */
CHECK_UNUSED static void one_failure(cfut_executor *pool)
{
    cfut_future *futures[5];
    for (int64_t n = 0; n < 5; n++)
        futures[n] = submit(pool, risky, &n, sizeof n);
    for (int64_t n = 0; n < 5; n++) {
        cfut_status status = cfut_future_wait(futures[n], CFUT_FOREVER);
        if (n == 3) {
            CHECK_STATUS(status, CFUT_FAILED);
            CHECK_EQ(cfut_future_code(futures[n]), 33);
            CHECK_TEXT(cfut_future_message(futures[n]), "cannot process 3");
        } else {
            CHECK_OK(status);
            CHECK_EQ(integer_of(futures[n]), 10 * n);
        }
        cfut_future_release(futures[n]);
    }
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

/* A20: a failure with its reason. Closes the pool. */
CHECK_UNUSED static void divisions(cfut_executor *pool)
{
    static const int64_t pairs[3][2] = { { 10, 2 }, { 5, 0 }, { 8, 4 } };
    cfut_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = submit(pool, divide, pairs[i], sizeof pairs[i]);
    CHECK_OK(cfut_future_wait(futures[0], CFUT_FOREVER));
    CHECK_STATUS(cfut_future_wait(futures[1], CFUT_FOREVER), CFUT_FAILED);
    CHECK_OK(cfut_future_wait(futures[2], CFUT_FOREVER));
    CHECK_EQ(integer_of(futures[0]), 5);
    CHECK_TEXT(cfut_future_message(futures[1]), "cannot divide by zero");
    CHECK_EQ(cfut_future_code(futures[1]), 1);
    CHECK_EQ(integer_of(futures[2]), 2);
    for (int i = 0; i < 3; i++)
        cfut_future_release(futures[i]);
    check_close(pool);
}

/* A9: what callbacks have been told, in order. */
CHECK_UNUSED static char a09_letters[8];

CHECK_UNUSED static void append(cfut_future *future, void *arg)
{
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    strcat(a09_letters, arg);
}

#endif
