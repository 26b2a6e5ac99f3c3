/* What comes with a later version is refused with CFUT_ENOTSUP, and harms nothing. */
#include "parts.h"

static void loops(void)
{
    cfut_executor *made = NULL, *pool = check_pool(1);
    size_t ran = 9;
    int fd = -9;
    CHECK_ERROR(cfut_loop_new(NULL, &made), CFUT_ENOTSUP, "loop");
    CHECK(made == NULL);
    CHECK_ERROR(cfut_loop_run(pool, 0, CFUT_NOW, &ran), CFUT_ENOTSUP, "loop");
    CHECK_EQ(ran, 0); /* always written */
    CHECK_ERROR(cfut_loop_fd(pool, &fd), CFUT_ENOTSUP, "loop");
    CHECK_EQ(fd, -9);
    check_close(pool);
}

static void limited_view(void)
{
    cfut_executor *pool = check_pool(1), *view = NULL;
    CHECK_ERROR(cfut_limited_new(pool, 1, &view), CFUT_ENOTSUP, "limited");
    CHECK(view == NULL);
    check_close(pool);
}

static int32_t next_item(void *arg, const void **data, size_t *length)
{
    (void)arg;
    (void)data;
    (void)length;
    return CFUT_END;
}

static int32_t nothing_range(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)self;
    (void)begin;
    (void)end;
    (void)arg;
    return 0;
}

/* What is moved is freed exactly once, here too. */
static void maps_and_loops(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_of(nothing_task);
    cfut_map *map = NULL;
    cfut_future *future = NULL;
    atomic_int freed = 0;
    void *args[3] = { &freed, &freed, &freed };
    char results[3];
    CHECK_ERROR(cfut_map_new(pool, task, "abc", 1, 3, &map), CFUT_ENOTSUP, "maps");
    CHECK_STATUS(cfut_map_into(pool, task, "abc", 1, 3, results, 1, CFUT_FOREVER), CFUT_ENOTSUP);
    CHECK_STATUS(cfut_map_new_source(pool, task, next_item, &freed, count_free, &map), CFUT_ENOTSUP);
    CHECK_EQ(freed, 1);
    CHECK_STATUS(cfut_map_new_closure(pool, count_closure, args, 3, count_free, &map), CFUT_ENOTSUP);
    CHECK_EQ(freed, 4);
    CHECK_STATUS(cfut_parallel_for(pool, 9, 0, nothing_range, &freed, count_free, &future),
                 CFUT_ENOTSUP);
    CHECK_EQ(freed, 5);
    CHECK(map == NULL && future == NULL);
    cfut_map_free(NULL);
    cfut_map_detach(NULL);
    cfut_task_free(task);
    check_close(pool);
}

/* An option for another kind of executor is refused when it is used, never ignored. */
static void options_of_process_pools(void)
{
    static const int32_t keys[] = { CFUT_OPT_START_METHOD,    CFUT_OPT_TASKS_PER_WORKER,
                                    CFUT_OPT_RSS_PER_WORKER,  CFUT_OPT_MEMORY_LIMIT,
                                    CFUT_OPT_CPU_TIME_LIMIT,  CFUT_OPT_ON_WORKER_DEATH,
                                    CFUT_OPT_START_TIMEOUT_NS };
    static const int32_t texts[] = { CFUT_OPT_WORKER_PROGRAM, CFUT_OPT_PRELOAD, CFUT_OPT_TRACE_FILE };
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

static void task_keys_of_later_versions(void)
{
    static const int32_t keys[] = { CFUT_TASK_CHUNK, CFUT_TASK_WINDOW };
    cfut_task *task = task_of(nothing_task);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        CHECK_ERROR(cfut_task_set(task, keys[i], 1), CFUT_ENOTSUP, "CFUT_TASK_");
    cfut_task_free(task);
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

CHECK_MAIN(CASE(loops), CASE(limited_view),
           CASE(maps_and_loops), CASE(options_of_process_pools),
           CASE(task_keys_of_later_versions), CASE(task_keys_of_processes), CASE(unknown_keys))
