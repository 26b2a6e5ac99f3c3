/* Workers and supervisors that cannot begin: the pool breaks with the reason, and never goes on
 * for ever. CFUT_TEST_DYING is a module (tests/c/dying.c) whose constructor does what DYING says.
 */
#include "remains.h"

#include <sys/syscall.h>

/* Breaks, and says why: what was accepted ends, and what comes later is refused. */
static void check_ends(cfut_options *options, const char *words, bool named)
{
    cfut_executor *executor = process_pool_with(options);
    cfut_future *future = NULL;
    cfut_task *task = NULL;
    cfut_status status;
    if (named)
        CHECK_OK(cfut_task_new_named("echo", &task));
    else
        CHECK_OK(cfut_task_new(echo_task, &task));
    status = cfut_submit_task(executor, task, NULL, 0, &future);
    if (status == CFUT_OK) {
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
        if (strstr(cfut_future_message(future), words) == NULL)
            fprintf(stderr, "\"%s\"\n", cfut_future_message(future));
        CHECK(strstr(cfut_future_message(future), words) != NULL);
        cfut_future_release(future);
    } else {
        CHECK_STATUS(status, CFUT_BROKEN);
    }
    CHECK_SOON(check_stat(executor, CFUT_STAT_BROKEN) == 1);
    CHECK_ERROR(cfut_submit_task(executor, task, NULL, 0, NULL), CFUT_BROKEN, words);
    cfut_task_free(task);
    check_close(executor);
}

static void check_breaks(cfut_options *options, const char *words)
{
    check_ends(options, words, false);
}

/* ---- initializers ---- */

static int32_t initializer(cfut_promise *self, const void *data, size_t length)
{
    int32_t how;
    (void)length;
    memcpy(&how, data, sizeof how);
    __atomic_add_fetch(&shared->counter, 1, __ATOMIC_SEQ_CST);
    if (how == 0)
        return 0;
    if (how == 1)
        return cfut_promise_fail(self, 42, "no licence") == CFUT_OK ? 42 : 1;
    if (how == 2)
        exit(3);
    if (how == 3)
        raise(SIGSEGV);
    if (how == 4)
        abort();
    if (how == 5)
        pthread_exit(NULL);
    if (how == 7) { /* the first two times only */
        if (shared->counter <= 2)
            raise(SIGKILL);
        return 0;
    }
    for (;;)
        pause();
}

static cfut_options *with_initializer(int32_t how, int64_t method)
{
    cfut_options *options = options_of(2);
    cfut_task *task = NULL;
    CHECK_OK(cfut_task_new(initializer, &task));
    CHECK_OK(cfut_options_set_initializer(options, task, &how, sizeof how));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_START_METHOD, method));
    cfut_task_free(task);
    return options;
}

LEAVES_NOTHING(initializer_fails)
{
    check_breaks(with_initializer(1, CFUT_START_FORKSERVER), "no licence");
    check_breaks(with_initializer(1, CFUT_START_SPAWN), "no licence");
}

LEAVES_NOTHING(initializer_exits)
{
    check_breaks(with_initializer(2, CFUT_START_FORKSERVER), "status 3 before it was ready");
    check_breaks(with_initializer(2, CFUT_START_SPAWN), "status 3 before it was ready");
    CHECK(shared->counter <= 40);
}

LEAVES_NOTHING(initializer_crashes)
{
    check_breaks(with_initializer(3, CFUT_START_FORKSERVER), "SIGSEGV");
    check_breaks(with_initializer(4, CFUT_START_SPAWN), "SIGABRT");
}

LEAVES_NOTHING(initializer_ends_its_thread)
{
    check_breaks(with_initializer(5, CFUT_START_FORKSERVER), "ended its thread");
}

LEAVES_NOTHING(initializer_hangs)
{
    cfut_options *options = with_initializer(6, CFUT_START_FORKSERVER);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_START_TIMEOUT_NS, CFUT_MSEC(200)));
    check_breaks(options, "CFUT_OPT_START_TIMEOUT_NS");
}

LEAVES_NOTHING(initializer_dies_twice_only)
{
    cfut_executor *executor = process_pool_with(with_initializer(7, CFUT_START_FORKSERVER));
    pool_works(executor);
    check_close(executor);
}

/* ---- modules ---- */

static cfut_options *with_module(const char *how)
{
    const char *module = getenv("CFUT_TEST_DYING");
    cfut_options *options = options_of(2);
    CHECK(module != NULL);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_PRELOAD, module));
    CHECK_OK(cfut_options_add_worker_env(options, "DYING", how));
    return options;
}

LEAVES_NOTHING(module_is_good)
{
    cfut_executor *executor = process_pool_with(with_module("not"));
    pool_works(executor);
    check_close(executor);
}

LEAVES_NOTHING(module_exits)
{
    check_breaks(with_module("exit"), "CFUT_OPT_PRELOAD");
}

LEAVES_NOTHING(module_crashes)
{
    check_breaks(with_module("segv"), "CFUT_OPT_PRELOAD");
    check_breaks(with_module("abort"), "CFUT_OPT_PRELOAD");
}

LEAVES_NOTHING(module_hangs)
{
    cfut_options *options = with_module("hang");
    CHECK_OK(cfut_options_set(options, CFUT_OPT_START_TIMEOUT_NS, CFUT_MSEC(200)));
    check_breaks(options, "CFUT_OPT_START_TIMEOUT_NS");
}

LEAVES_NOTHING(module_is_missing)
{
    cfut_options *options = options_of(2);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_PRELOAD, "/nowhere/at-all.so"));
    check_breaks(options, "/nowhere/at-all.so");
}

/* ---- programs ---- */

static cfut_options *with_program(const char *path)
{
    cfut_options *options = options_of(2);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_WORKER_PROGRAM, path));
    return options;
}

static void check_refused(const char *path, cfut_status status, const char *words)
{
    cfut_options *options = with_program(path);
    cfut_executor *executor = NULL;
    CHECK_ERROR(cfut_process_pool_new(options, &executor), status, words);
    CHECK(executor == NULL);
    cfut_options_free(options);
}

LEAVES_NOTHING(program_is_none)
{
    check_refused("/nowhere/at-all", CFUT_ENOENT, "/nowhere/at-all");
    check_refused("/etc/passwd", CFUT_ENOENT, "/etc/passwd");
    check_refused("/tmp", CFUT_ENOENT, "/tmp");
    check_refused("sh", CFUT_EINVAL, "PATH");
}

/* Any program: it is executed once, and told what it lacks. */
LEAVES_NOTHING(program_knows_nothing_of_it)
{
    check_ends(with_program("/bin/true"), "cfut_worker_main()", true);
    check_ends(with_program("/bin/false"), "cfut_worker_main()", true);
}

LEAVES_NOTHING(program_goes_its_own_way)
{
    cfut_options *options = with_program("/bin/sleep");
    CHECK_OK(cfut_options_add_worker_arg(options, "1000"));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_START_TIMEOUT_NS, CFUT_MSEC(200)));
    check_ends(options, "CFUT_OPT_START_TIMEOUT_NS", true);
}

REMAINS_MAIN(CASE(initializer_fails), CASE(initializer_exits), CASE(initializer_crashes),
             CASE(initializer_ends_its_thread), CASE(initializer_hangs),
             CASE(initializer_dies_twice_only), CASE(module_is_good), CASE(module_exits),
             CASE(module_crashes), CASE(module_hangs), CASE(module_is_missing), CASE(program_is_none),
             CASE(program_knows_nothing_of_it), CASE(program_goes_its_own_way))
