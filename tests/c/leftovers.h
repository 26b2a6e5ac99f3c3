/* What tasks leave in queues when they are settled there, while no worker comes by. */
#ifndef LEFTOVERS_H
#define LEFTOVERS_H

#include "parts.h"

#define ELDER 3
#define WAITING 50

static void give_up(cfut_future *future)
{
    if (future != NULL)
        CHECK_OK(cfut_future_cancel(future, 0));
    cfut_future_release(future);
}

static cfut_future *try_it(cfut_executor *executor, cfut_task *task)
{
    cfut_future *future;
    CHECK_OK(cfut_submit_task(executor, task, NULL, 0, &future));
    return future;
}

/* Submits to an executor whose workers do not come back, and gives up: at once, or each time after a
 * while. A few that were there before wait on. */
static void submit_and_give_up(cfut_executor *executor, cfut_task *task)
{
    enum { ROUNDS = 100000 };
    cfut_future *elder[ELDER], *waiting[WAITING] = { NULL };
    int64_t before = 0;
    for (int i = 0; i < ELDER; i++)
        elder[i] = try_it(executor, task);
    for (int i = 0; i < ROUNDS; i++) {
        if (i == ROUNDS / 10)
            before = resident_kib();
        give_up(try_it(executor, task));
        give_up(waiting[i % WAITING]);
        waiting[i % WAITING] = try_it(executor, task);
    }
    CHECK_EQ(check_stat(executor, CFUT_STAT_QUEUED), ELDER + WAITING);
    CHECK(resident_kib() < before + 4 * 1024);
    for (int i = 0; i < WAITING; i++)
        give_up(waiting[i]);
    for (int i = 0; i < ELDER; i++)
        give_up(elder[i]);
    cfut_task_free(task);
}

#endif
