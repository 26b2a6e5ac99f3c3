/* What comes with a later version is refused with CFUT_ENOTSUP, and harms nothing. */
#include "parts.h"

/* An option for another kind of executor is refused when it is used, never ignored. */
static void options_of_process_pools(void)
{
    static const int32_t keys[] = { CFUT_OPT_START_METHOD,    CFUT_OPT_TASKS_PER_WORKER,
                                    CFUT_OPT_RSS_PER_WORKER,  CFUT_OPT_MEMORY_LIMIT,
                                    CFUT_OPT_CPU_TIME_LIMIT,  CFUT_OPT_ON_WORKER_DEATH,
                                    CFUT_OPT_START_TIMEOUT_NS };
    static const int32_t texts[] = { CFUT_OPT_WORKER_PROGRAM, CFUT_OPT_PRELOAD };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        cfut_options *options = options_with(1, keys[i], 1);
        cfut_executor *pool = NULL;
        CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOTSUP, "CFUT_OPT_");
        CHECK(pool == NULL);
        cfut_options_free(options);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cfut_options *options = options_of(1);
        cfut_executor *pool = NULL;
        CHECK_OK(cfut_options_set_text(options, texts[i], "x"));
        CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOTSUP, "CFUT_OPT_");
        CHECK(pool == NULL);
        cfut_options_free(options);
    }
}

/* What is for processes does nothing on threads: a program can change its pool and no task. */
static void task_keys_of_processes(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(nothing_task);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, 1));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_ATTEMPTS, 3));
    CHECK_OK(end_of(submit_once(pool, task, NULL, 0)));
    check_close(pool);
}

static void unknown_keys(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_options *options = options_of(1);
    cfut_task *task = task_of(nothing_task);
    int64_t value = 9;
    CHECK_ERROR(cfut_options_set(options, 9999, 1), CFUT_ENOTSUP, "9999");
    CHECK_ERROR(cfut_options_set(options, CFUT_OPT_NAME, 1), CFUT_ENOTSUP, "64");
    CHECK_ERROR(cfut_options_set_text(options, CFUT_OPT_WORKERS, "x"), CFUT_ENOTSUP, "1");
    CHECK_ERROR(cfut_task_set(task, 9999, 1), CFUT_ENOTSUP, "9999");
    CHECK_ERROR(cfut_task_set_text(task, CFUT_TASK_PRIORITY, "x"), CFUT_ENOTSUP, "5");
    CHECK_ERROR(cfut_executor_stat(pool, 9999, &value), CFUT_ENOTSUP, "9999");
    CHECK_EQ(value, 9);
    cfut_task_free(task);
    cfut_options_free(options);
    check_close(pool);
}

CHECK_MAIN(CASE(options_of_process_pools), CASE(task_keys_of_processes), CASE(unknown_keys))
