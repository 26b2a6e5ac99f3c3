/* Commands of process pools, second half. Their keeper is this program. */
#define NEW_POOL(workers) check_process_pool(workers)
#define NEW_POOL_WITH(options) check_process_pool_with(options)
#include "command_lives.h"

/* Task: a command of a pool that the worker makes itself. */
static int32_t command_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future = submit_once(pool, command("cat", NULL), data, length);
    size_t written = 0;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    const void *bytes = cfut_future_bytes(future, &written);
    CHECK_OK(cfut_promise_set_bytes(self, bytes, written));
    cfut_future_release(future);
    check_close(pool);
    return 0;
}

static void in_a_worker(void)
{
    cfut_executor *pool = check_process_pool(1);
    for (int i = 0; i < 2; i++) {
        cfut_future *future = submit(pool, command_task, "through a worker", 16);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        expect_bytes(future, "through a worker");
        cfut_future_release(future);
    }
    check_close(pool);
}

CHECK_MAIN_WORKER((void)0, COMMAND_CASES, CASE(in_a_worker))
