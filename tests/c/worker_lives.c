/* How worker processes begin and end, as their surroundings see it. */
#include "parts.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t methods[] = { CFUT_START_FORKSERVER, CFUT_START_SPAWN };

#define EACH_METHOD(i) for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)

static cfut_executor *processes(cfut_options *options)
{
    cfut_executor *pool = NULL;
    CHECK_OK(cfut_process_pool_new(options, &pool));
    CHECK(pool != NULL);
    cfut_options_free(options);
    return pool;
}

static cfut_options *one_process(int64_t method)
{
    return options_with(1, CFUT_OPT_START_METHOD, method);
}

static int64_t integer_from(cfut_executor *pool, cfut_task_fn fn)
{
    cfut_future *future = submit(pool, fn, NULL, 0);
    int64_t value;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    value = integer_of(future);
    cfut_future_release(future);
    return value;
}

static int32_t answer(cfut_promise *self, int64_t value)
{
    return cfut_promise_set_bytes(self, &value, sizeof value);
}

static int32_t pid_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return answer(self, getpid());
}

static int32_t parent_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return answer(self, getppid());
}

static int is_gone(int64_t pid)
{
    char path[64], state = 0;
    FILE *stat;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    stat = fopen(path, "r");
    if (stat == NULL)
        return 1;
    /* Dead, and to be collected by whoever has inherited it. */
    if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(stat);
    return state == 'Z' || state == 'X';
}

/* ---- limits ---- */

static int32_t memory_task(cfut_promise *self, const void *data, size_t length)
{
    void *volatile memory = malloc((size_t)600 << 20); /* volatile: compilers leave it out else */
    (void)data;
    (void)length;
    free(memory);
    return answer(self, memory != NULL);
}

static void memory_limit(void)
{
    EACH_METHOD (m) {
        cfut_options *options = one_process(methods[m]);
        cfut_executor *pool;
        CHECK_OK(cfut_options_set(options, CFUT_OPT_MEMORY_LIMIT, 500 << 20));
        pool = processes(options);
        CHECK_EQ(integer_from(pool, memory_task), 0);
        check_close(pool);
        pool = processes(one_process(methods[m]));
        CHECK_EQ(integer_from(pool, memory_task), 1);
        check_close(pool);
    }
}

static int32_t endless_task(cfut_promise *self, const void *data, size_t length)
{
    volatile int go_on = 1;
    (void)self;
    (void)data;
    (void)length;
    while (go_on) {
    }
    return 0;
}

static void cpu_time_limit(void)
{
    cfut_options *options = one_process(CFUT_START_FORKSERVER);
    cfut_executor *pool;
    cfut_future *future;
    int64_t signal = 0;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_CPU_TIME_LIMIT, 1));
    pool = processes(options);
    future = submit(pool, endless_task, NULL, 0);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_OK(cfut_future_info(future, CFUT_INFO_SIGNAL, &signal));
    CHECK(signal == SIGXCPU || signal == SIGKILL);
    cfut_future_release(future);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static int32_t nice_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return answer(self, getpriority(PRIO_PROCESS, 0));
}

static void nice_value(void)
{
    EACH_METHOD (m) {
        cfut_options *options = one_process(methods[m]);
        cfut_executor *pool;
        int64_t own = getpriority(PRIO_PROCESS, 0), wanted = own + 3 > 19 ? 19 : own + 3;
        CHECK_OK(cfut_options_set(options, CFUT_OPT_NICE, wanted));
        pool = processes(options);
        CHECK_EQ(integer_from(pool, nice_task), wanted);
        CHECK_EQ(getpriority(PRIO_PROCESS, 0), own);
        check_close(pool);
    }
}

static char *volatile grown;

static int32_t growing_task(cfut_promise *self, const void *data, size_t length)
{
    char *memory = malloc(64 << 20);
    (void)data;
    (void)length;
    if (memory == NULL)
        return 1;
    grown = memory;
    memset(grown, 1, 64 << 20);
    return answer(self, getpid());
}

static void too_large_workers_are_replaced(void)
{
    cfut_options *options = one_process(CFUT_START_FORKSERVER);
    cfut_executor *pool;
    int64_t first;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_RSS_PER_WORKER, 40 << 20));
    pool = processes(options);
    first = integer_from(pool, pid_task);
    CHECK_EQ(integer_from(pool, pid_task), first);
    CHECK_EQ(integer_from(pool, growing_task), first);
    CHECK_SOON(integer_from(pool, pid_task) != first);
    CHECK_SOON(is_gone(first));
    check_close(pool);
}

/* ---- preloading ---- */

static void preloaded_modules(void)
{
    cfut_options *options = one_process(CFUT_START_FORKSERVER);
    cfut_executor *pool;
    cfut_future *future = NULL;
    cfut_task *task = NULL;
    char name[4096];
    int64_t n = 6;
    const char *module = getenv("CFUT_TEST_MODULE");
    CHECK(module != NULL);
    snprintf(name, sizeof name, "%s:module_square", module);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_PRELOAD, module));
    pool = processes(options);
    CHECK_OK(cfut_task_new_named(name, &task));
    CHECK_OK(cfut_submit_task(pool, task, &n, sizeof n, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 36);
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(pool);
}

static void preloaded_module_that_is_missing(void)
{
    cfut_options *options = one_process(CFUT_START_FORKSERVER);
    cfut_executor *pool = NULL;
    cfut_future *future = NULL;
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_PRELOAD, "/nowhere/missing.so"));
    CHECK_OK(cfut_process_pool_new(options, &pool));
    cfut_options_free(options);
    if (cfut_submit(pool, nothing_task, NULL, 0, &future) == CFUT_OK) {
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
        CHECK(strstr(cfut_future_message(future), "/nowhere/missing.so") != NULL);
        cfut_future_release(future);
    }
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, &future), CFUT_BROKEN, "missing.so");
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

/* ---- who sees whom ---- */

static atomic_int children_told;

static void on_child(int signal)
{
    (void)signal;
    atomic_fetch_add(&children_told, 1);
}

static void host_has_no_children(void)
{
    struct sigaction action = { .sa_handler = on_child };
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    EACH_METHOD (m) {
        cfut_executor *pool = processes(one_process(methods[m]));
        int64_t worker = integer_from(pool, pid_task);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
        CHECK_EQ(errno, ECHILD);
        CHECK_EQ(kill((pid_t)worker, SIGKILL), 0);
        CHECK_OK(end_of(submit_nothing(pool)));
        check_close(pool);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
        CHECK_EQ(errno, ECHILD);
    }
    CHECK_EQ(children_told, 0);
}

/* A host that is killed has no chance to clean up: its workers go all the same. */
static void workers_die_with_their_host(void)
{
    EACH_METHOD (m) {
        int ends[2], status;
        int64_t pids[2];
        pid_t host;
        CHECK_EQ(pipe(ends), 0);
        host = fork();
        CHECK(host >= 0);
        if (host == 0) {
            cfut_executor *pool = processes(one_process(methods[m]));
            pids[0] = integer_from(pool, pid_task);
            pids[1] = integer_from(pool, parent_task);
            if (write(ends[1], pids, sizeof pids) != sizeof pids)
                _exit(1);
            submit(pool, endless_task, NULL, 0);
            pause();
        }
        CHECK_EQ(read(ends[0], pids, sizeof pids), sizeof pids);
        CHECK_EQ(kill(host, SIGKILL), 0);
        CHECK_EQ(waitpid(host, &status, 0), host);
        CHECK_SOON(is_gone(pids[0]));
        CHECK_SOON(is_gone(pids[1]));
        close(ends[0]);
        close(ends[1]);
    }
}

static void workers_die_with_their_supervisor(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool = processes(one_process(methods[m]));
        int64_t worker = integer_from(pool, pid_task), supervisor = integer_from(pool, parent_task);
        CHECK_EQ(kill((pid_t)supervisor, SIGKILL), 0);
        CHECK_SOON(is_gone(worker));
        CHECK_OK(end_of(submit_nothing(pool)));
        check_close(pool);
    }
}

static int32_t starting_task(cfut_promise *self, const void *data, size_t length)
{
    pid_t child = fork();
    (void)data;
    (void)length;
    if (child == 0) {
        pause();
        _exit(0);
    }
    return child < 0 ? 1 : answer(self, child);
}

static int32_t crashing_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    abort();
}

/* What a worker has started in its group goes when it crashes, and when the pool ends. */
static void children_of_workers_go_with_them(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool = processes(one_process(methods[m]));
        int64_t child = integer_from(pool, starting_task);
        CHECK(!is_gone(child));
        CHECK_STATUS(end_of(submit(pool, crashing_task, NULL, 0)), CFUT_CRASHED);
        CHECK_SOON(is_gone(child));
        child = integer_from(pool, starting_task);
        CHECK(!is_gone(child));
        check_close(pool);
        CHECK_SOON(is_gone(child));
    }
}

/* Streams that the host has closed are nothing in a worker, not its first file. */
static int32_t streams_task(cfut_promise *self, const void *data, size_t length)
{
    char target[64] = "";
    (void)data;
    (void)length;
    if (readlink("/proc/self/fd/1", target, sizeof target - 1) < 0)
        return 1;
    return answer(self, strcmp(target, "/dev/null") == 0);
}

static void closed_streams(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool;
        int saved = dup(1), first = dup(0);
        close(1);
        close(0);
        pool = processes(one_process(methods[m]));
        CHECK_EQ(integer_from(pool, streams_task), 1);
        check_close(pool);
        CHECK_EQ(dup2(first, 0), 0);
        CHECK_EQ(dup2(saved, 1), 1);
        close(saved);
        close(first);
    }
}

/* ---- programs of the user's ---- */

/* With --worker this program is one that brings its own runtime. */
static int own_program(void)
{
    cfut_status status;
    CHECK_OK(cfut_register("own echo", echo_task));
    CHECK_OK(cfut_register("own parent", parent_task));
    status = cfut_worker_run();
    if (status == CFUT_OK)
        fprintf(stderr, "cleaned up\n");
    return status == CFUT_OK ? 0 : 7;
}

/* One worker, which is this program with an argument. */
static cfut_options *this_program(const char *argument)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    cfut_options *options = options_of(1);
    CHECK(length > 0);
    path[length] = 0;
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_WORKER_PROGRAM, path));
    CHECK_OK(cfut_options_add_worker_arg(options, argument));
    return options;
}

static void program_of_its_own(void)
{
    int ends[2], saved = dup(2);
    char text[64] = "";
    cfut_options *options = this_program("--worker");
    cfut_executor *pool;
    cfut_task *task = NULL;
    cfut_future *future = NULL;
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(dup2(ends[1], 2), 2);
    pool = processes(options);
    CHECK_OK(cfut_task_new_named("own echo", &task));
    for (int i = 0; i < 10; i++) {
        CHECK_OK(cfut_submit_task(pool, task, "own", 3, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK(memcmp(cfut_future_bytes(future, NULL), "own", 3) == 0);
        cfut_future_release(future);
    }
    cfut_task_free(task);
    check_close(pool);
    CHECK_EQ(dup2(saved, 2), 2);
    close(ends[1]);
    CHECK(read(ends[0], text, sizeof text - 1) > 0);
    CHECK_TEXT(text, "cleaned up\n");
    close(ends[0]);
    close(saved);
}

static void *stay(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static int32_t abort_task(cfut_promise *promise, const void *data, size_t length)
{
    (void)promise;
    (void)data;
    (void)length;
    raise(SIGABRT);
    return 1;
}

/* With --threads this program is as a runtime that has threads of its own before it is a worker. */
static int program_with_threads(void)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, stay, NULL), 0);
    }
    CHECK_OK(cfut_register("own abort", abort_task));
    return cfut_worker_run() == CFUT_OK ? 0 : 7;
}

/* None of those threads takes away what tells that a worker has ended. */
static void program_with_threads_of_its_own(void)
{
    cfut_executor *pool = processes(this_program("--threads"));
    cfut_task *task = NULL;
    CHECK_OK(cfut_task_new_named("own abort", &task));
    for (int i = 0; i < 20; i++) {
        cfut_future *future = NULL;
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
        CHECK_EQ(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
        CHECK(strstr(cfut_future_message(future), "SIGABRT") != NULL);
        cfut_future_release(future);
    }
    cfut_task_free(task);
    check_close(pool);
}

static const check_case cases[] = {
    CASE(memory_limit),
    CASE(cpu_time_limit),
    CASE(nice_value),
    CASE(too_large_workers_are_replaced),
    CASE(preloaded_modules),
    CASE(preloaded_module_that_is_missing),
    CASE(host_has_no_children),
    CASE(workers_die_with_their_host),
    CASE(workers_die_with_their_supervisor),
    CASE(children_of_workers_go_with_them),
    CASE(closed_streams),
    CASE(program_of_its_own),
    CASE(program_with_threads_of_its_own),
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--worker") == 0)
        return own_program();
    if (argc == 2 && strcmp(argv[1], "--threads") == 0)
        return program_with_threads();
    cfut_worker_main();
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
