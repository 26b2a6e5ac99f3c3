/* How process pools are made: each option and what is wrong with others, pools in pools, and what
 * a pool tells of itself. Limits, preloading and the surroundings of workers are in worker_lives.c
 * and worker_tasks.c. */
#include "child.h"
#include "processes.h"

/* ---- options that are refused ---- */

static void refuse(cfut_options *options, cfut_status status, const char *words)
{
    cfut_executor *pool = NULL;
    CHECK_ERROR(cfut_process_pool_new(options, &pool), status, words);
    CHECK(pool == NULL);
    cfut_options_free(options);
}

static int32_t hook(void *arg, uint32_t worker)
{
    (void)arg;
    (void)worker;
    return 0;
}

static void options_of_thread_pools(void)
{
    cfut_options *options = options_of(1);
    refuse(options_with(1, CFUT_OPT_STACK_SIZE, 1 << 20), CFUT_ENOTSUP, "CFUT_OPT_STACK_SIZE");
    refuse(options_with(1, CFUT_OPT_WAITERS_HELP, 1), CFUT_ENOTSUP, "CFUT_OPT_WAITERS_HELP");
    refuse(options_with(1, CFUT_OPT_FULL_POLICY, CFUT_FULL_RUN_IN_CALLER), CFUT_ENOTSUP,
           "CFUT_FULL_RUN_IN_CALLER");
    CHECK_OK(cfut_options_set_worker_hooks(options, hook, NULL, NULL, NULL));
    refuse(options, CFUT_ENOTSUP, "hooks");
}

static void values_out_of_range(void)
{
    static const struct {
        int32_t key;
        int64_t value;
    } wrong[] = {
        { CFUT_OPT_START_METHOD, 2 },      { CFUT_OPT_START_METHOD, -1 },
        { CFUT_OPT_TASKS_PER_WORKER, 0 },  { CFUT_OPT_TASKS_PER_WORKER, -1 },
        { CFUT_OPT_RSS_PER_WORKER, 0 },    { CFUT_OPT_MEMORY_LIMIT, 0 },
        { CFUT_OPT_MEMORY_LIMIT, -5 },     { CFUT_OPT_CPU_TIME_LIMIT, 0 },
        { CFUT_OPT_NICE, 20 },             { CFUT_OPT_NICE, -21 },
        { CFUT_OPT_ON_WORKER_DEATH, 2 },   { CFUT_OPT_SPIN_NS, -2 },
        { CFUT_OPT_SPIN_NS, 1000000001 },
    };
    cfut_options *options = options_of(2);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_ERROR(cfut_options_set(options, wrong[i].key, wrong[i].value), CFUT_EINVAL,
                    "CFUT_OPT_");
    CHECK_ERROR(cfut_options_add_worker_env(options, "", "x"), CFUT_EINVAL, "no name");
    CHECK_ERROR(cfut_options_add_worker_env(options, "A=B", "x"), CFUT_EINVAL, "A=B");
    CHECK_OK(cfut_options_add_worker_arg(options, "for nobody"));
    refuse(options, CFUT_EINVAL, "CFUT_OPT_WORKER_PROGRAM");
    refuse(options_with(2, CFUT_OPT_MIN_WORKERS, 3), CFUT_EINVAL, "CFUT_OPT_MIN_WORKERS is 3");
    refuse(options_of(1025), CFUT_EINVAL, "CFUT_OPT_WORKERS is 1025");
    CHECK_ERROR(cfut_process_pool_new(NULL, NULL), CFUT_EINVAL, "out");
}

/* Thread pools refuse what only processes have. */
static void threads_refuse_arguments_and_variables(void)
{
    cfut_executor *pool = NULL;
    cfut_options *options = options_of(1);
    CHECK_OK(cfut_options_add_worker_env(options, "A", "x"));
    CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOTSUP, "worker processes");
    cfut_options_free(options);
    options = options_of(1);
    CHECK_OK(cfut_options_add_worker_arg(options, "x"));
    CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOTSUP, "worker processes");
    cfut_options_free(options);
    CHECK(pool == NULL);
}

/* ---- worker programs ---- */

static cfut_options *with_program(const char *path)
{
    cfut_options *options = options_of(1);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_WORKER_PROGRAM, path));
    return options;
}

static void program_that_cannot_be_executed(void)
{
    char path[] = "/tmp/cfut-options-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    refuse(with_program("/nowhere/at-all"), CFUT_ENOENT, "/nowhere/at-all");
    refuse(with_program("cfutures-worker"), CFUT_EINVAL, "not looked up in PATH");
    refuse(with_program(path), CFUT_ENOENT, path); /* it is not executable */
    unlink(path);
}

/* One that is no worker ends before it is ready: the pool breaks, and says what is missing. */
static void program_that_is_no_worker(void)
{
    static const int64_t methods[] = { CFUT_START_FORKSERVER, CFUT_START_SPAWN };
    for (int i = 0; i < 2; i++) {
        cfut_options *options = with_program("/bin/true");
        CHECK_OK(cfut_options_set(options, CFUT_OPT_START_METHOD, methods[i]));
        cfut_executor *pool = check_process_pool_with(options);
        cfut_task *task;
        cfut_future *future = NULL;
        CHECK_OK(cfut_task_new_named("libc.so.6:getpid", &task));
        cfut_status status = cfut_submit_task(pool, task, NULL, 0, &future);
        if (status == CFUT_OK) {
            CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
            CHECK(strstr(cfut_future_message(future), "cfut_worker_main") != NULL);
            cfut_future_release(future);
        } else {
            CHECK_STATUS(status, CFUT_BROKEN);
        }
        CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN, "cfut_worker_main");
        CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 1);
        cfut_task_free(task);
        check_close(pool);
    }
}

/* One that does something else for ever is given up. */
static void program_that_is_never_ready(void)
{
    cfut_options *options = with_program("/bin/sleep");
    CHECK_OK(cfut_options_add_worker_arg(options, "1000"));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_START_TIMEOUT_NS, CFUT_MSEC(30)));
    cfut_executor *pool = check_process_pool_with(options);
    cfut_task *task;
    cfut_future *future;
    int64_t supervisor = snapshot_number(pool, "supervisor");
    CHECK_OK(cfut_task_new_named("libc.so.6:getpid", &task));
    if (cfut_submit_task(pool, task, NULL, 0, &future) == CFUT_OK) {
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
        CHECK(strstr(cfut_future_message(future), "cfut_worker_main") != NULL);
        cfut_future_release(future);
    }
    cfut_task_free(task);
    check_close(pool);
    gone(supervisor);
}

/* Arguments, and variables that replace those of the host, reach the workers. */
static int32_t surroundings_task(cfut_promise *self, const void *data, size_t length)
{
    char text[256], *value = getenv("PROCESS_OPTIONS_A");
    (void)data;
    (void)length;
    CHECK(getenv("CFUT_WORKER") == NULL);
    snprintf(text, sizeof text, "%s %s", value ? value : "none",
             getenv("PROCESS_OPTIONS_B") ? getenv("PROCESS_OPTIONS_B") : "none");
    return cfut_promise_set_bytes(self, text, strlen(text) + 1);
}

static void variables_of_workers(void)
{
    static const int64_t methods[] = { CFUT_START_FORKSERVER, CFUT_START_SPAWN };
    for (int i = 0; i < 2; i++) {
        cfut_options *options = options_with(1, CFUT_OPT_START_METHOD, methods[i]);
        CHECK_EQ(setenv("PROCESS_OPTIONS_A", "host's", 1), 0);
        CHECK_EQ(setenv("PROCESS_OPTIONS_B", "inherited", 1), 0);
        CHECK_OK(cfut_options_add_worker_env(options, "PROCESS_OPTIONS_A", "first"));
        CHECK_OK(cfut_options_add_worker_env(options, "PROCESS_OPTIONS_A", "last = counts"));
        cfut_executor *pool = check_process_pool_with(options);
        CHECK_EQ(setenv("PROCESS_OPTIONS_B", "too late", 1), 0);
        cfut_future *future = submit(pool, surroundings_task, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_TEXT((const char *)cfut_future_bytes(future, NULL), "last = counts inherited");
        CHECK_TEXT(getenv("PROCESS_OPTIONS_A"), "host's");
        cfut_future_release(future);
        check_close(pool);
    }
}

static int32_t name_task(cfut_promise *self, const void *data, size_t length)
{
    char name[32] = "";
    FILE *file = fopen("/proc/self/comm", "r");
    (void)data;
    (void)length;
    CHECK(file != NULL);
    CHECK(fgets(name, sizeof name, file) != NULL);
    fclose(file);
    name[strcspn(name, "\n")] = '\0';
    return cfut_promise_set_bytes(self, name, sizeof name);
}

static void names_of_workers(void)
{
    static const char *const names[][2] = {
        { NULL, "cfut-0" }, { "crunch", "crunch-0" }, { "a-name-that-is-long", "a-name-that-i-0" },
    };
    for (int i = 0; i < 3; i++) {
        cfut_options *options = options_of(1);
        if (names[i][0] != NULL)
            CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, names[i][0]));
        cfut_executor *pool = check_process_pool_with(options);
        cfut_future *future = submit(pool, name_task, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_TEXT((const char *)cfut_future_bytes(future, NULL), names[i][1]);
        cfut_future_release(future);
        check_close(pool);
    }
}

/* ---- how many workers, and for how long ---- */

static void workers_stay_by_default(void)
{
    cfut_executor *pool = check_process_pool(2);
    int64_t pid;
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    pid = pid_of_next(pool);
    check_sleep(CFUT_MSEC(20));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 2);
    CHECK_EQ(kill((pid_t)pid, 0), 0);
    check_close(pool);
    gone(pid);
}

static void idle_workers_leave(void)
{
    cfut_options *options = options_with(3, CFUT_OPT_IDLE_NS, CFUT_MSEC(5));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_MIN_WORKERS, 1));
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *busy[3];
    for (int i = 0; i < 3; i++)
        busy[i] = stand(pool, 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 3);
    open_gate(0);
    for (int i = 0; i < 3; i++)
        CHECK_OK(end_of(busy[i]));
    CHECK_SOON(check_stat(pool, CFUT_STAT_WORKERS) == 1);
    CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 0);
    check_close(pool);
}

static void idle_workers_all_leave(void)
{
    cfut_executor *pool =
        check_process_pool_with(options_with(2, CFUT_OPT_IDLE_NS, CFUT_MSEC(1)));
    for (int i = 0; i < 5; i++) {
        CHECK_OK(end_of(submit_nothing(pool)));
        CHECK_SOON(check_stat(pool, CFUT_STAT_WORKERS) == 0);
    }
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 5);
    check_close(pool);
}

/* Each worker runs so many tasks; none is lost in the change. */
static void tasks_per_worker(void)
{
    static const int64_t limits[] = { 1, 3 };
    for (int l = 0; l < 2; l++) {
        enum { COUNT = 60 };
        int64_t seen[COUNT], many[COUNT], kinds = 0;
        cfut_executor *pool =
            check_process_pool_with(options_with(2, CFUT_OPT_TASKS_PER_WORKER, limits[l]));
        cfut_future *futures[COUNT];
        for (int i = 0; i < COUNT; i++)
            futures[i] = submit(pool, pid_task, NULL, 0);
        for (int i = 0; i < COUNT; i++) {
            int64_t pid, at = 0;
            CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
            pid = integer_of(futures[i]);
            while (at < kinds && seen[at] != pid)
                at++;
            if (at == kinds) {
                seen[kinds] = pid;
                many[kinds++] = 0;
            }
            CHECK(++many[at] <= limits[l]);
            cfut_future_release(futures[i]);
        }
        CHECK(kinds >= COUNT / limits[l]);
        CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 0);
        check_close(pool);
    }
}

/* What a worker that takes no more was handed ahead does not wait behind a task that takes long. */
static void last_tasks_of_a_worker_do_not_wait(void)
{
    enum { BEFORE = 15, LAST = 5 };
    cfut_executor *pool =
        check_process_pool_with(options_with(2, CFUT_OPT_TASKS_PER_WORKER, BEFORE + LAST));
    cfut_task *task = task_of(stand_task);
    struct call calls[LAST];
    cfut_future *futures[LAST];
    for (int i = 0; i < BEFORE; i++) /* short ones: several are handed over ahead */
        CHECK_OK(end_of(submit_nothing(pool)));
    open_gate(0);
    for (int i = 0; i < LAST; i++)
        calls[i] = call_of(i == 0, i);
    CHECK_OK(cfut_submit_many(pool, task, calls, sizeof calls[0], LAST, futures));
    cfut_task_free(task);
    for (int i = 1; i < LAST; i++)
        CHECK_OK(end_of(futures[i]));
    open_gate(1);
    CHECK_OK(end_of(futures[0]));
    check_close(pool);
}

static void warm_starts_them_all(void)
{
    cfut_executor *pool = check_process_pool(3);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0);
    cfut_status status = cfut_executor_warm(pool, CFUT_NOW);
    CHECK(status == CFUT_TIMEOUT || status == CFUT_OK);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 3);
    CHECK_EQ(check_stat(pool, CFUT_STAT_IDLE_WORKERS), 3);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 3);
    CHECK_OK(cfut_executor_warm(pool, CFUT_NOW));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_ESHUTDOWN);
    check_close(pool);
}

/* ---- what a death costs ---- */

static void death_breaks_the_pool_if_asked(void)
{
    cfut_executor *pool = check_process_pool_with(
        options_with(2, CFUT_OPT_ON_WORKER_DEATH, CFUT_DEATH_BREAK_POOL));
    cfut_future *dying = submit_call(pool, die_task, 0, SIGKILL), *beside = stand(pool, 1);
    cfut_future *queued[10];
    entered(0, 1);
    for (int i = 0; i < 10; i++)
        queued[i] = submit_nothing(pool);
    open_gate(0);
    CHECK_STATUS(end_of(dying), CFUT_CRASHED);
    for (int i = 0; i < 10; i++) {
        CHECK_STATUS(cfut_future_wait(queued[i], CFUT_FOREVER), CFUT_BROKEN);
        CHECK(strstr(cfut_future_message(queued[i]), "signal 9") != NULL);
        cfut_future_release(queued[i]);
    }
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_BROKEN, "signal 9");
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 1);
    open_gate(1);
    CHECK_OK(end_of(beside)); /* what runs may end */
    check_close(pool);
}

static int32_t eat_memory_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    for (;;) {
        char *volatile more = malloc(1 << 20); /* volatile: compilers leave it out else */
        if (more == NULL)
            abort();
        memset(more, 1, 1 << 20);
    }
    return 0;
}

static void memory_limit_is_told(void)
{
    cfut_executor *pool =
        check_process_pool_with(options_with(1, CFUT_OPT_MEMORY_LIMIT, INT64_C(400) << 20));
    cfut_future *future = submit(pool, eat_memory_task, NULL, 0);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_EQ(info_of(future, CFUT_INFO_OUT_OF_MEMORY), 1);
    CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), SIGABRT);
    CHECK(strstr(cfut_future_message(future), "memory") != NULL);
    cfut_future_release(future);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

/* ---- pools in pools, and beside each other ---- */

static int32_t nest_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = NULL;
    cfut_options *options = options_of(1);
    int64_t deeper = 1;
    cfut_status status = cfut_process_pool_new(options, &pool);
    (void)data;
    (void)length;
    cfut_options_free(options);
    if (status == CFUT_OK) {
        cfut_future *future = submit(pool, nest_task, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        deeper = integer_of(future) + 1;
        cfut_future_release(future);
        CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
        cfut_executor_release(pool);
    } else {
        char text[512];
        CHECK_STATUS(status, CFUT_ENOTSUP);
        cfut_last_error(text, sizeof text);
        CHECK(strstr(text, "nested 9 deep") != NULL);
    }
    return cfut_promise_set_bytes(self, &deeper, sizeof deeper);
}

static void nested_at_most_eight_deep(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = submit(pool, nest_task, NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 8);
    cfut_future_release(future);
    check_close(pool);
}

/* A pool of threads in a worker, whose tasks call the library as anywhere. */
static int32_t threads_inside_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *threads = NULL;
    int64_t sum = 0;
    (void)data;
    (void)length;
    CHECK_OK(cfut_thread_pool_new(NULL, &threads));
    for (int32_t i = 1; i <= 20; i++) {
        cfut_future *future = submit_code(threads, i);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        sum += cfut_future_code(future);
        cfut_future_release(future);
    }
    CHECK_OK(cfut_executor_shutdown(threads, 0, CFUT_FOREVER));
    cfut_executor_release(threads);
    return cfut_promise_set_bytes(self, &sum, sizeof sum);
}

static void threads_in_workers(void)
{
    cfut_executor *pool = check_process_pool(2);
    for (int i = 0; i < 5; i++) {
        cfut_future *future = submit(pool, threads_inside_task, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_EQ(integer_of(future), 210);
        cfut_future_release(future);
    }
    check_close(pool);
}

/* No worker is made for what nobody wants any more. */
static void cancelled_before_a_worker_is_ready(void)
{
    enum { TASKS = 40 };
    cfut_executor *pool = check_process_pool(2);
    cfut_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++)
        CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &futures[i]));
    for (int i = TASKS - 1; i >= 0; i--) {
        (void)cfut_future_cancel(futures[i], CFUT_CANCEL_PENDING); /* some may have run */
        cfut_future_release(futures[i]);
    }
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK(check_stat(pool, CFUT_STAT_WORKERS_STARTED) <= 4);
    check_unwatch(pool);
    cfut_executor_release(pool);
}

static void several_pools_at_once(void)
{
    cfut_executor *pools[4];
    cfut_future *futures[4][25];
    for (int p = 0; p < 4; p++)
        pools[p] = check_process_pool(1);
    for (int i = 0; i < 25; i++)
        for (int p = 0; p < 4; p++)
            futures[p][i] = submit_code(pools[p], 1 + 100 * p + i);
    for (int p = 0; p < 4; p++) {
        for (int i = 0; i < 25; i++) {
            CHECK_STATUS(cfut_future_wait(futures[p][i], CFUT_FOREVER), CFUT_FAILED);
            CHECK_EQ(cfut_future_code(futures[p][i]), 1 + 100 * p + i);
            cfut_future_release(futures[p][i]);
        }
        check_close(pools[p]);
    }
}

static cfut_executor *inherited;
static cfut_future *inherited_future;

static void use_in_a_child(void)
{
    cfut_executor *pool = NULL;
    cfut_options *options = options_of(1);
    CHECK_ERROR(cfut_submit(inherited, nothing_task, NULL, 0, NULL), CFUT_EFORKED, "fork");
    CHECK_STATUS(cfut_future_wait(inherited_future, CFUT_FOREVER), CFUT_EFORKED);
    CHECK_STATUS(cfut_future_cancel(inherited_future, CFUT_CANCEL_KILL), CFUT_EFORKED);
    CHECK_STATUS(cfut_executor_shutdown(inherited, CFUT_SHUTDOWN_KILL, CFUT_FOREVER), CFUT_EFORKED);
    cfut_future_release(inherited_future);
    cfut_executor_release(inherited);
    CHECK_OK(cfut_process_pool_new(options, &pool)); /* a new one works */
    cfut_options_free(options);
    for (int i = 0; i < 10; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

static void pool_in_a_forked_child(void)
{
    inherited = check_process_pool(1);
    inherited_future = stand(inherited, 0);
    child_run(use_in_a_child);
    open_gate(0); /* the child has taken nothing away */
    CHECK_OK(end_of(inherited_future));
    CHECK_OK(end_of(submit_nothing(inherited)));
    check_close(inherited);
}

/* ---- what a pool tells of itself ---- */

/* The end of a JSON value. */
static const char *skip_value(const char *at);

static const char *skip_text(const char *at)
{
    CHECK_EQ(*at, '"');
    for (at++; *at != '"'; at++) {
        CHECK((unsigned char)*at >= 0x20);
        if (*at == '\\')
            at++;
    }
    return at + 1;
}

static const char *skip_list(const char *at, char end)
{
    for (at++; *at != end;) {
        if (end == '}') {
            at = skip_text(at);
            CHECK_EQ(*at++, ':');
        }
        at = skip_value(at);
        CHECK(*at == ',' || *at == end);
        if (*at == ',') {
            at++;
            CHECK(*at != end);
        }
    }
    return at + 1;
}

static const char *skip_value(const char *at)
{
    static const char *const words[] = { "null", "true", "false" };
    char *end;
    if (*at == '{' || *at == '[')
        return skip_list(at, *at == '{' ? '}' : ']');
    if (*at == '"')
        return skip_text(at);
    for (int i = 0; i < 3; i++)
        if (strncmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    strtod(at, &end);
    CHECK(end != at);
    return end;
}

static void snapshot_is_json(void)
{
    static char state[1 << 16];
    cfut_options *options = options_of(2);
    size_t length;
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, "quote\" back\\ \n end"));
    cfut_executor *pool = check_process_pool_with(options);
    cfut_task *task = task_named(stand_task, "named \"task\"");
    cfut_future *busy[2] = { stand(pool, 0), submit_call_once(pool, task, 0, 0) }, *queued[150];
    entered(0, 2);
    for (int i = 0; i < 150; i++)
        queued[i] = submit_nothing(pool);
    CHECK_OK(cfut_executor_snapshot(pool, state, sizeof state, &length));
    CHECK_EQ(strlen(state), length);
    CHECK_EQ(skip_value(state) - state, length);
    CHECK(strstr(state, "\"kind\":\"process_pool\"") != NULL);
    CHECK(strstr(state, "named \\\"task\\\"") != NULL);
    CHECK_EQ(snapshot_number(pool, "running"), 2);
    CHECK_EQ(snapshot_number(pool, "queued"), 150);
    CHECK(snapshot_number(pool, "supervisor") > 0);
    CHECK(check_stat(pool, CFUT_STAT_OLDEST_QUEUED_NS) >= 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 150);
    CHECK_EQ(check_stat(pool, CFUT_STAT_RUNNING), 2);
    open_gate(0);
    for (int i = 0; i < 150; i++)
        CHECK_OK(end_of(queued[i]));
    CHECK_OK(end_of(busy[0]));
    CHECK_OK(end_of(busy[1]));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_OK(cfut_executor_snapshot(pool, state, sizeof state, &length));
    CHECK_EQ(skip_value(state) - state, length);
    check_close(pool);
}

/* Nothing is left of a pool: workers and supervisor are gone when the shutdown has returned. */
static void nothing_is_left(void)
{
    cfut_executor *pool = check_process_pool(2);
    int64_t supervisor = snapshot_number(pool, "supervisor"), pid = pid_of_next(pool);
    CHECK(supervisor > 0);
    check_close(pool);
    gone(pid);
    gone(supervisor);
}

CHECK_MAIN_WORKER(board_make(), CASE(options_of_thread_pools), CASE(values_out_of_range),
                  CASE(threads_refuse_arguments_and_variables),
                  CASE(program_that_cannot_be_executed), CASE(program_that_is_no_worker),
                  CASE(program_that_is_never_ready), CASE(variables_of_workers),
                  CASE(names_of_workers), CASE(workers_stay_by_default), CASE(idle_workers_leave),
                  CASE(idle_workers_all_leave), CASE(tasks_per_worker),
                  CASE(last_tasks_of_a_worker_do_not_wait), CASE(warm_starts_them_all),
                  CASE(death_breaks_the_pool_if_asked), CASE(memory_limit_is_told),
                  CASE(nested_at_most_eight_deep), CASE(threads_in_workers),
                  CASE(cancelled_before_a_worker_is_ready), CASE(several_pools_at_once), CASE(pool_in_a_forked_child), CASE(snapshot_is_json),
                  CASE(nothing_is_left))
