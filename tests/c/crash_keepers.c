/* The keeper of commands ends at a named point. Needs a library with the feature `fault-injection`. */
#include "parts.h"

static const char *once(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/cfut-keeper-%d", (int)getpid());
    return path;
}

/* The n-th passage of the point kills it; at most so many of the commands, two at a time, are lost. */
static void killed_at(const char *point, int most_crashed)
{
    enum { COMMANDS = 20 };
    cfut_executor *pool = check_pool(2);
    cfut_future *futures[COMMANDS];
    cfut_task *task = NULL;
    int crashed = 0;
    unlink(once());
    CHECK_EQ(setenv("CFUT_CRASH_AT", point, 1), 0);
    CHECK_EQ(setenv("CFUT_CRASH_ONCE", once(), 1), 0);
    CHECK_OK(cfut_task_new_command("echo", &task));
    CHECK_OK(cfut_task_add_arg(task, "there"));
    for (int i = 0; i < COMMANDS; i++)
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &futures[i]));
    cfut_task_free(task);
    for (int i = 0; i < COMMANDS; i++) {
        cfut_status status = cfut_future_wait(futures[i], CFUT_FOREVER);
        CHECK(status == CFUT_OK || status == CFUT_CRASHED);
        crashed += status == CFUT_CRASHED;
        cfut_future_release(futures[i]);
    }
    CHECK(crashed <= most_crashed);
    CHECK_EQ(access(once(), F_OK), 0); /* it was there */
    unlink(once());
    check_close(pool);
}

static void before_it_is_ready(void)
{
    killed_at("keeper:1:9", 0);
}

static void at_the_first_start(void)
{
    killed_at("command:1:9", 2);
}

static void at_a_later_start(void)
{
    killed_at("command:7:9", 2);
}

static void before_it_tells_of_an_end(void)
{
    killed_at("ended:5:9", 2);
}

CHECK_MAIN(CASE(before_it_is_ready), CASE(at_the_first_start), CASE(at_a_later_start),
           CASE(before_it_tells_of_an_end))
