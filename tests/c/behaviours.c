/* What tutorials on futures teach, each in as few lines as a user would write. */
#include "check.h"

static int32_t square(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, sizeof n);
    n *= n;
    return cfut_promise_set_bytes(self, &n, sizeof n);
}

/* Submit returns at once; wait, then 25. */
static void a02_submit(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_future *future;
    int64_t five = 5, result;
    size_t length;
    CHECK_OK(cfut_submit(pool, square, &five, sizeof five, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    memcpy(&result, cfut_future_bytes(future, &length), sizeof result);
    CHECK_EQ(length, sizeof result);
    CHECK_EQ(result, 25);
    cfut_future_release(future);
    check_close(pool);
}

CHECK_MAIN(CASE(a02_submit))
