/* Task functions of the tutorials' examples: the same on threads (behaviours.c,
 * behaviours_pools.c) and in processes (process_behaviours.c). */
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

#endif
