/* Commands of thread pools, second half. Their keeper is cfutures-worker. */
#define NEW_POOL(workers) check_pool(workers)
#define NEW_POOL_WITH(options) check_pool_with(options)
#include "command_lives.h"

/* All threads are busy, for as long as it takes. */
static void no_thread_is_needed(void)
{
    cfut_executor *pool = check_pool(1);
    gate gate = GATE_CLOSED;
    gate_hold(pool, &gate);
    expect_output(pool, command("echo", "beside", NULL), "beside\n");
    latch_open(&gate.open);
    check_close(pool);
}

static int32_t wait_for_command(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool;
    (void)self;
    CHECK_EQ(length, sizeof pool);
    memcpy(&pool, data, sizeof pool);
    return end_of(start(pool, shell("exit 0")));
}

/* Nobody runs a command in a task's place, so the only thread waits. */
static void a_task_may_wait_for_a_command(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(end_of(submit(pool, wait_for_command, &pool, sizeof pool)));
    check_close(pool);
}

CHECK_MAIN(COMMAND_CASES, CASE(no_thread_is_needed), CASE(a_task_may_wait_for_a_command))
