/* Tasks that are settled in the queues of process pools, and commands. */
#include "leftovers.h"

/* Task: until somebody kills it. */
static int32_t pause_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    while (pause() != 0) {
    }
    return 0;
}

static void hold_and_give_up(cfut_executor *pool, cfut_task *holds, cfut_task *task)
{
    cfut_future *held = try_it(pool, holds);
    cfut_task_free(holds);
    CHECK_SOON(check_stat(pool, CFUT_STAT_RUNNING) == 1);
    submit_and_give_up(pool, task);
    CHECK_OK(cfut_future_cancel(held, CFUT_CANCEL_KILL));
    CHECK_STATUS(end_of(held), CFUT_CANCELLED);
    check_close(pool);
}

static void processes_do_not_come_back(void)
{
    cfut_executor *pool = check_process_pool(1);
    hold_and_give_up(pool, task_of(pause_task), task_of(nothing_task));
}

static cfut_task *sleep_command(void)
{
    cfut_task *task;
    CHECK_OK(cfut_task_new_command("sleep", &task));
    CHECK_OK(cfut_task_add_arg(task, "1000"));
    return task;
}

static void commands_of_threads_do_not_end(void)
{
    hold_and_give_up(check_pool(1), sleep_command(), sleep_command());
}

static void commands_of_processes_do_not_end(void)
{
    hold_and_give_up(check_process_pool(1), sleep_command(), sleep_command());
}

CHECK_MAIN_WORKER((void)0, CASE(processes_do_not_come_back), CASE(commands_of_threads_do_not_end),
                  CASE(commands_of_processes_do_not_end))
