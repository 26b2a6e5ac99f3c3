#include "bridge.h"
#include "_cgo_export.h"

static int32_t run(cfut_promise *promise, void *closure)
{
    return cfutRun(promise, (uintptr_t)closure);
}

static void drop(void *closure)
{
    cfutDrop((uintptr_t)closure);
}

cfut_status bridge_submit(cfut_executor *executor, uint64_t closure, cfut_future **out)
{
    return cfut_submit_closure(executor, run, (void *)(uintptr_t)closure, drop, out);
}

/* A registered task is a plain function, so each Go function has one that knows its number. */
#define TASK(n)                                                                  \
    static int32_t task_##n(cfut_promise *promise, const void *data, size_t len) \
    {                                                                            \
        return cfutRunTask(promise, n, (void *)data, len);                       \
    }
TASK(0) TASK(1) TASK(2) TASK(3) TASK(4) TASK(5) TASK(6) TASK(7)
TASK(8) TASK(9) TASK(10) TASK(11) TASK(12) TASK(13) TASK(14) TASK(15)

static const cfut_task_fn tasks[BRIDGE_TASKS] = {
    task_0, task_1, task_2,  task_3,  task_4,  task_5,  task_6,  task_7,
    task_8, task_9, task_10, task_11, task_12, task_13, task_14, task_15,
};

cfut_status bridge_register(const char *name, int task)
{
    return cfut_register(name, tasks[task]);
}
