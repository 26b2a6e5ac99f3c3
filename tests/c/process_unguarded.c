/* A program that does not call cfut_worker_main(): its own functions cannot run in workers, those
 * of shared objects can; and whatever its main does, there is an end to it. */
#include "processes.h"

#include <dlfcn.h>

static cfut_executor *pool_of_modules(int64_t method)
{
    return check_process_pool_with(options_with(2, CFUT_OPT_START_METHOD, method));
}

/* The error says what is missing, at the submit. */
static void own_function_is_refused(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_future *future = NULL;
    cfut_task *task = task_of(nothing_task);
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, &future), CFUT_ENOENT, "cfut_worker_main");
    CHECK_ERROR(cfut_submit_task(pool, task, NULL, 0, &future), CFUT_ENOENT, "cfut_worker_main");
    CHECK_ERROR(cfut_submit_many(pool, task, "abc", 1, 3, NULL), CFUT_ENOENT, "cfut_worker_main");
    CHECK(future == NULL);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 0);
    cfut_task_free(task);
    check_close(pool);
}

static void own_initializer_is_refused(void)
{
    cfut_options *options = options_of(1);
    cfut_executor *pool = NULL;
    cfut_task *task = task_of(nothing_task);
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    CHECK_ERROR(cfut_process_pool_new(options, &pool), CFUT_ENOENT, "cfut_worker_main");
    CHECK(pool == NULL);
    cfut_task_free(task);
    cfut_options_free(options);
}

/* A piped task is only looked at when its input has ended. */
static void own_function_in_a_pipe_fails(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_of(nothing_task);
    cfut_future *input = ended(CFUT_OK), *future = NULL;
    cfut_status status = cfut_future_pipe(input, pool, task, &future);
    if (status == CFUT_OK) {
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_ENOENT);
        CHECK(strstr(cfut_future_message(future), "cfut_worker_main") != NULL);
        cfut_future_release(future);
    } else {
        CHECK_STATUS(status, CFUT_ENOENT);
    }
    cfut_future_release(input);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- functions of shared objects, with cfutures-worker ---- */

static cfut_task_fn in_module(const char *symbol)
{
    void *module = dlopen(getenv("CFUT_TEST_MODULE"), RTLD_NOW | RTLD_LOCAL);
    void *address;
    cfut_task_fn fn;
    CHECK(module != NULL);
    address = dlsym(module, symbol);
    CHECK(address != NULL);
    memcpy(&fn, &address, sizeof fn);
    return fn;
}

static const char *name_in_module(const char *symbol)
{
    static char name[4096];
    snprintf(name, sizeof name, "%s:%s", getenv("CFUT_TEST_MODULE"), symbol);
    return name;
}

static void functions_of_modules(void)
{
    static const int64_t methods[] = { CFUT_START_FORKSERVER, CFUT_START_SPAWN };
    for (int i = 0; i < 2; i++) {
        cfut_executor *pool = pool_of_modules(methods[i]);
        cfut_future *futures[50];
        for (int64_t n = 0; n < 50; n++) {
            if (n % 2 == 0) {
                futures[n] = submit(pool, in_module("module_square"), &n, sizeof n);
            } else {
                cfut_task *task;
                CHECK_OK(cfut_task_new_named(name_in_module("module_square"), &task));
                futures[n] = submit_once(pool, task, &n, sizeof n);
            }
        }
        for (int64_t n = 0; n < 50; n++) {
            CHECK_OK(cfut_future_wait(futures[n], CFUT_FOREVER));
            CHECK_EQ(integer_of(futures[n]), n * n);
            CHECK(info_of(futures[n], CFUT_INFO_WORKER_PID) != getpid());
            cfut_future_release(futures[n]);
        }
        check_close(pool);
    }
}

static void initializer_of_a_module(void)
{
    cfut_options *options = options_of(1);
    cfut_task *task = task_of(in_module("module_initialize"));
    int64_t state = 31;
    CHECK_OK(cfut_options_set_initializer(options, task, &state, sizeof state));
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_PRELOAD, getenv("CFUT_TEST_MODULE")));
    cfut_task_free(task);
    cfut_executor *pool = check_process_pool_with(options);
    cfut_future *future = submit(pool, in_module("module_state"), NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 31);
    cfut_future_release(future);
    check_close(pool);
}

/* ---- this program as its own worker, which it is not made for ---- */

/* What main does in there. */
enum { USES_A_POOL = 1, FORGETS_ITS_ROLE, ENDS };

static void pretend(int what, const char *words)
{
    char number[16];
    cfut_options *options = options_of(2);
    cfut_executor *pool;
    cfut_task *task;
    cfut_future *future = NULL;
    snprintf(number, sizeof number, "%d", what);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_WORKER_PROGRAM, "/proc/self/exe"));
    CHECK_OK(cfut_options_add_worker_env(options, "UNGUARDED_MAIN", number));
    CHECK_OK(cfut_options_add_worker_env(options, "UNGUARDED_BOARD", board_name()));
    pool = check_process_pool_with(options);
    CHECK_OK(cfut_task_new_named(name_in_module("module_square"), &task));
    cfut_status status = cfut_submit_task(pool, task, NULL, 0, &future);
    if (status == CFUT_OK) {
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
        CHECK(strstr(cfut_future_message(future), "cfut_worker_main") != NULL);
        cfut_future_release(future);
    } else {
        CHECK_STATUS(status, CFUT_BROKEN);
    }
    CHECK_ERROR(cfut_submit_task(pool, task, NULL, 0, NULL), CFUT_BROKEN, "cfut_worker_main");
    cfut_task_free(task);
    check_close(pool);
    CHECK_TEXT(board->text, words);
}

/* In a process that a pool has started: main goes on as if nothing was. */
static void unguarded_main(int what)
{
    struct call call = call_of_name(getenv("UNGUARDED_BOARD"));
    cfut_options *options = options_of(1);
    cfut_executor *pool = NULL;
    call_from(&call, sizeof call);
    atomic_fetch_add(&board->count, 1);
    if (what == ENDS)
        exit(0);
    if (what == FORGETS_ITS_ROLE)
        unsetenv("CFUT_WORKER");
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_WORKER_PROGRAM, "/proc/self/exe"));
    if (cfut_process_pool_new(options, &pool) != CFUT_OK) {
        cfut_last_error(board->text, 30);
        exit(1);
    }
    (void)cfut_executor_warm(pool, CFUT_FOREVER);
    (void)cfut_executor_shutdown(pool, 0, CFUT_FOREVER);
    exit(1);
}

/* It cannot make a pool of its own: it was started for another one. */
static void main_that_makes_a_pool(void)
{
    pretend(USES_A_POOL, "this process was executed as ");
    CHECK_EQ(board->count, 1);
}

/* Also one that hides what it was started for stops at some depth. */
static void main_that_forgets_its_role(void)
{
    pretend(FORGETS_ITS_ROLE, "process pools are nested 9 de");
    CHECK_EQ(board->count, 8);
}

static void main_that_ends(void)
{
    pretend(ENDS, "");
    CHECK_EQ(board->count, 1);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        CASE(own_function_is_refused),
        CASE(own_initializer_is_refused),
        CASE(own_function_in_a_pipe_fails),
        CASE(functions_of_modules),
        CASE(initializer_of_a_module),
        CASE(main_that_makes_a_pool),
        CASE(main_that_forgets_its_role),
        CASE(main_that_ends),
    };
    if (getenv("UNGUARDED_MAIN") != NULL)
        unguarded_main(atoi(getenv("UNGUARDED_MAIN")));
    board_make();
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
