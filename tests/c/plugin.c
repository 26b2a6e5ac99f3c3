/* A shared object with the static library inside, for tests/c/host.c: what somebody builds who
 * cannot ship a second library. */
#include <cfutures.h>

#include <string.h>

int64_t plugin_sum_of_squares(int64_t last);

static int32_t square(cfut_promise *promise, const void *data, size_t len)
{
    int64_t n;
    memcpy(&n, data, len);
    n *= n;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

/* 1 + 4 + ... + last * last; negative if something went wrong. */
int64_t plugin_sum_of_squares(int64_t last)
{
    cfut_executor *pool;
    int64_t sum = 0;
    if (cfut_thread_pool_new(NULL, &pool) != CFUT_OK)
        return -1;
    for (int64_t n = 1; n <= last; n++) {
        cfut_future *future;
        int64_t one;
        if (cfut_submit(pool, square, &n, sizeof n, &future) != CFUT_OK)
            return -2;
        if (cfut_future_wait(future, CFUT_FOREVER) != CFUT_OK)
            return -3;
        memcpy(&one, cfut_future_bytes(future, NULL), sizeof one);
        cfut_future_release(future);
        sum += one;
    }
    if (cfut_executor_shutdown(pool, 0, CFUT_FOREVER) != CFUT_OK)
        return -4;
    cfut_executor_release(pool);
    return sum;
}
