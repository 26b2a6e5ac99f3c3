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

/* A6: whether an int64_t is prime, by trial division. */
CHECK_UNUSED static int32_t prime_by_trial(cfut_promise *self, const void *data, size_t length)
{
    int64_t n, prime;
    memcpy(&n, data, length);
    prime = n >= 2;
    for (int64_t divisor = 2; divisor * divisor <= n && prime; divisor++)
        prime = n % divisor != 0;
    return cfut_promise_set_bytes(self, &prime, sizeof prime);
}

/* A8: the sum of the squares below an int64_t. */
CHECK_UNUSED static int32_t sum_of_squares(cfut_promise *self, const void *data, size_t length)
{
    int64_t end, sum = 0;
    memcpy(&end, data, length);
    for (int64_t n = 0; n < end; n++)
        sum += n * n;
    return cfut_promise_set_bytes(self, &sum, sizeof sum);
}

/* A12: a name of up to 15 letters in capitals. */
CHECK_UNUSED static int32_t in_capitals(cfut_promise *self, const void *data, size_t length)
{
    char name[16];
    memcpy(name, data, length);
    for (size_t i = 0; i < length; i++)
        name[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    return cfut_promise_set_bytes(self, name, length);
}

/* A19: sleeps an int64_t of tenths of a second; ten times that. */
CHECK_UNUSED static int32_t sleep_tenths(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    memcpy(&n, data, length);
    for (int64_t i = 0; i < n * 100 && !cfut_promise_stop_requested(self); i++)
        check_sleep(1000000);
    n *= 10;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

/* A map over int64_t. */
CHECK_UNUSED static cfut_map *map_of(cfut_executor *pool, cfut_task *task, const int64_t *items,
                                     size_t count)
{
    cfut_map *map = NULL;
    CHECK_OK(cfut_map_new(pool, task, items, sizeof *items, count, &map));
    CHECK(map != NULL);
    cfut_task_free(task);
    return map;
}

/* The next result, one integer. */
CHECK_UNUSED static int64_t next_integer(cfut_map *map)
{
    cfut_future *future = NULL;
    CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
    return integer_of(future);
}

CHECK_UNUSED static void expect_end(cfut_map *map)
{
    cfut_future *future = (cfut_future *)&future;
    CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_END);
    CHECK(future == NULL);
    cfut_map_free(map);
}

/* A6: three numbers that are prime, by map. Closes the pool. */
CHECK_UNUSED static void three_primes_by_map(cfut_executor *pool)
{
    static const int64_t numbers[3] = { 112272535095293, 112582705942171, 115280095190773 };
    cfut_map *map = map_of(pool, task_of(prime_by_trial), numbers, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(next_integer(map), 1);
    expect_end(map);
    check_close(pool);
}

/* A8: sums of squares, in order. Closes the pool. */
CHECK_UNUSED static void sums_by_map(cfut_executor *pool)
{
    static const int64_t ends[3] = { 100000, 200000, 300000 };
    cfut_map *map = map_of(pool, task_of(sum_of_squares), ends, 3);
    CHECK_EQ(next_integer(map), 333328333350000);
    CHECK_EQ(next_integer(map), 2666646666700000);
    CHECK_EQ(next_integer(map), 8999955000050000);
    expect_end(map);
    check_close(pool);
}

/* A12: an array of names to an array of names. Closes the pool. */
CHECK_UNUSED static void fruits_by_map(cfut_executor *pool)
{
    static const char names[4][8] = { "apple", "banana", "cherry", "date" };
    char results[4][8];
    cfut_task *task = task_of(in_capitals);
    CHECK_OK(cfut_map_into(pool, task, names, sizeof names[0], 4, results, sizeof results[0],
                           CFUT_FOREVER));
    CHECK_TEXT(results[0], "APPLE");
    CHECK_TEXT(results[1], "BANANA");
    CHECK_TEXT(results[2], "CHERRY");
    CHECK_TEXT(results[3], "DATE");
    cfut_task_free(task);
    check_close(pool);
}

/* A19: one second for all of it. The machine may be slow: then others expire, too, but never one
 * before its time. Closes the pool. */
CHECK_UNUSED static void one_second_for_all(cfut_executor *pool)
{
    static const int64_t tenths[5] = { 1, 2, 3, 15, 4 };
    int64_t begin = check_now();
    cfut_future *future;
    cfut_map *map = map_of(pool, task_with(sleep_tenths, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1)),
                           tenths, 5);
    for (int i = 0; i < 5; i++) {
        cfut_status status = cfut_map_next(map, CFUT_FOREVER, &future);
        if (i != 3 && status == CFUT_OK) {
            CHECK_EQ(integer_of(future), tenths[i] * 10);
            continue;
        }
        CHECK_STATUS(status, CFUT_EXPIRED);
        CHECK(strstr(cfut_future_message(future), "CFUT_TASK_TOTAL_TIMEOUT_NS") != NULL);
        CHECK(check_now() - begin >= CFUT_SEC(1));
    }
    expect_end(map);
    check_close(pool);
}

/* A25: 0, 1, 2, ... without an end; counts how many were asked for. */
CHECK_UNUSED static int32_t all_numbers(void *arg, const void **data, size_t *length)
{
    static int64_t number;
    int64_t *pulled = arg;
    number = (*pulled)++;
    *data = &number;
    *length = sizeof number;
    return 0;
}

/* A25: a hundred of endlessly many, window 8. Closes the pool. */
CHECK_UNUSED static void hundred_of_endless(cfut_executor *pool)
{
    int64_t pulled = 0;
    cfut_task *task = task_with(square, CFUT_TASK_WINDOW, 8);
    cfut_map *map = NULL;
    CHECK_OK(cfut_map_new_source(pool, task, all_numbers, &pulled, NULL, &map));
    cfut_task_free(task);
    CHECK_EQ(pulled, 8);
    for (int64_t n = 0; n < 100; n++)
        CHECK_EQ(next_integer(map), n * n);
    CHECK(pulled >= 100 && pulled <= 108);
    cfut_map_free(map);
    check_close(pool);
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
