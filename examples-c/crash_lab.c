/* Tasks that crash, hang and vanish in worker processes, and a pool that goes on.
 *
 * Shows: what a process pool is for. Each ill task costs its own future, which tells what
 * happened; the worker is replaced, and healthy tasks on the same pool all get their results.
 */
#define _GNU_SOURCE /* getopt_long */
#include <cfutures.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { GOOD = 0, WRONG = 1, TROUBLE = 2 }; /* exit statuses */

enum {
    HEALTHY = 10,                 /* tasks after each ill one */
    RUN_TIMEOUT_MS = 200,         /* for tasks that would never end */
    PATIENCE_MS = 30000,          /* this program's own: longer means that something is wrong */
    MEMORY_LIMIT = 256 << 20,     /* bytes of address space of each worker */
    BLOCK = 16 << 20
};

static const char USAGE[] =
    "usage: crash_lab [--workers N] [--trace FILE] [TASK...]\n"
    "\n"
    "Gives ill tasks to one pool of worker processes, one after the other (all of them, or each\n"
    "TASK), and 10 healthy ones after each. One line each: how it ended, how many of the\n"
    "healthy tasks have their results, and what the library says of it.\n"
    "\n"
    "  --workers N  worker processes; the default is 2\n"
    "  --trace FILE write what happens as a timeline, for https://ui.perfetto.dev\n"
    "  --list       the tasks, and what each does\n"
    "  --help       this text\n"
    "\n"
    "Exit status: 0 all went as it should, 1 something did not, 2 trouble.\n";

/* ---- the tasks: run in worker processes ---- */

static int32_t square(cfut_promise *promise, const void *data, size_t size)
{
    int64_t n;
    memcpy(&n, data, size);
    n *= n;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

static int32_t refuse(cfut_promise *promise, const void *data, size_t size)
{
    (void)data, (void)size;
    return cfut_promise_fail(promise, 42, "cannot process that");
}

static int32_t segfault(cfut_promise *promise, const void *data, size_t size)
{
    volatile int *volatile nowhere = NULL;
    (void)promise, (void)data, (void)size;
    *nowhere = 1;
    return 0;
}

static int32_t abort_it(cfut_promise *promise, const void *data, size_t size)
{
    (void)promise, (void)data, (void)size;
    abort();
}

static int32_t exit_0(cfut_promise *promise, const void *data, size_t size)
{
    (void)promise, (void)data, (void)size;
    exit(0);
}

static int32_t exit_3(cfut_promise *promise, const void *data, size_t size)
{
    (void)promise, (void)data, (void)size;
    exit(3);
}

static int32_t spin(cfut_promise *promise, const void *data, size_t size)
{
    volatile bool spinning = true;
    (void)promise, (void)data, (void)size;
    while (spinning)
        ;
    return 0;
}

static int32_t freeze(cfut_promise *promise, const void *data, size_t size)
{
    (void)promise, (void)data, (void)size;
    return raise(SIGSTOP);
}

/* A task that looks at what malloc() answers fails alone; its worker lives on. */
static int32_t eat_memory(cfut_promise *promise, const void *data, size_t size)
{
    void *blocks = NULL, **block;
    (void)data, (void)size;
    while ((block = malloc(BLOCK)) != NULL) {
        memset(block, 1, BLOCK);
        *block = blocks;
        blocks = block;
    }
    while ((block = blocks) != NULL) {
        blocks = *block;
        free(block);
    }
    return cfut_promise_fail(promise, ENOMEM, "no more memory");
}

/* One that does not look crashes. */
static int32_t eat_blindly(cfut_promise *promise, const void *data, size_t size)
{
    /* Volatile: compilers leave out what nobody can see. */
    volatile bool hungry = true;
    void *volatile block;
    (void)promise, (void)data, (void)size;
    while (hungry) {
        block = malloc(BLOCK);
        memset(block, 1, BLOCK);
    }
    return 0;
}

static int32_t overflow(cfut_promise *promise, const void *data, size_t size)
{
    volatile char frame[4096];
    frame[0] = (char)size;
    return size == SIZE_MAX ? 0 : overflow(promise, data, size + 1) + frame[0];
}

static int32_t close_all(cfut_promise *promise, const void *data, size_t size)
{
    (void)promise, (void)data, (void)size;
    for (int descriptor = 0; descriptor < 1024; descriptor++)
        close(descriptor);
    while (pause() != 0)
        ;
    return 0;
}

/* Leaves a child behind, whose number the progress tells. */
static int32_t vanish(cfut_promise *promise, const void *data, size_t size)
{
    pid_t child = fork();
    (void)data, (void)size;
    while (child == 0)
        pause();
    if (child < 0)
        return errno;
    cfut_promise_set_progress(promise, (uint64_t)child, 0);
    _exit(0);
}

/* Waits to be killed; the progress tells its own number. */
static int32_t linger(cfut_promise *promise, const void *data, size_t size)
{
    (void)data, (void)size;
    cfut_promise_set_progress(promise, (uint64_t)getpid(), 0);
    while (pause() != 0)
        ;
    return 0;
}

/* ---- what is expected of them ---- */

enum companion { NONE, KILLER, WITNESS };

struct ill {
    const char *name;
    cfut_task_fn fn;
    cfut_status expected;
    bool endless;             /* needs a run time-out */
    enum companion companion; /* what the host does meanwhile */
    const char *what;
};

static const struct ill ILL[] = {
    { "refuse", refuse, CFUT_FAILED, false, NONE, "fails with code and message: no crash" },
    { "segfault", segfault, CFUT_CRASHED, false, NONE, "writes through a null pointer" },
    { "abort", abort_it, CFUT_CRASHED, false, NONE, "calls abort()" },
    { "exit-0", exit_0, CFUT_CRASHED, false, NONE, "calls exit(0)" },
    { "exit-3", exit_3, CFUT_CRASHED, false, NONE, "calls exit(3)" },
    { "spin", spin, CFUT_EXPIRED, true, NONE, "computes for ever, with a run time-out" },
    { "freeze", freeze, CFUT_EXPIRED, true, NONE, "stops its process, with a run time-out" },
    { "overflow", overflow, CFUT_CRASHED, false, NONE, "recurses until the stack is full" },
    { "close", close_all, CFUT_CRASHED, false, NONE, "closes all descriptors and goes on" },
    { "vanish", vanish, CFUT_CRASHED, false, WITNESS, "forks, and ends without the child" },
    { "killed", linger, CFUT_CRASHED, false, KILLER, "is killed by somebody else" },
    { "eat", eat_memory, CFUT_FAILED, false, NONE, "takes all memory, and notices the limit" },
    { "eat-blindly", eat_blindly, CFUT_CRASHED, false, NONE, "takes all memory, and does not" },
};
enum { ILL_COUNT = sizeof ILL / sizeof ILL[0] };

/* ---- the program ---- */

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "crash_lab: %s: %s\n", what, why);
    return false;
}

/* A call of the library failed: it has kept the details. */
static bool failed(const char *call)
{
    char text[256];
    cfut_last_error(text, sizeof text);
    return complain(call, text);
}

static void nap(void)
{
    struct timespec millisecond = { 0, 1000000 };
    nanosleep(&millisecond, NULL);
}

/* The process a task has told of; 0 if it does not. */
static pid_t told_process(cfut_future *future)
{
    uint64_t process = 0;
    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        if (cfut_future_progress(future, &process, NULL) == CFUT_OK && process != 0)
            return (pid_t)process;
        nap();
    }
    return 0;
}

static bool kill_it(cfut_future *future)
{
    pid_t process = told_process(future);
    if (process == 0 || kill(process, SIGKILL) != 0)
        return complain("killed", "no worker to kill");
    return true;
}

/* What a crashed task has started is ended with it. */
static bool child_is_gone(cfut_future *future)
{
    pid_t child = told_process(future);
    if (child == 0)
        return complain("vanish", "has not told its child");
    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        if (kill(child, 0) != 0 && errno == ESRCH)
            return true;
        nap();
    }
    return complain("vanish", "its child is still there");
}

static bool submit_ill(cfut_executor *pool, const struct ill *ill, cfut_future **future)
{
    cfut_task *task = NULL;
    bool good = (cfut_task_new(ill->fn, &task) == CFUT_OK || failed("cfut_task_new")) &&
                (cfut_task_set_text(task, CFUT_TASK_NAME, ill->name) == CFUT_OK ||
                 failed("cfut_task_set_text")) &&
                (!ill->endless ||
                 cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(RUN_TIMEOUT_MS)) ==
                     CFUT_OK || failed("cfut_task_set")) &&
                (cfut_submit_task(pool, task, NULL, 0, future) == CFUT_OK ||
                 failed("cfut_submit_task"));
    cfut_task_free(task);
    return good;
}

static int run_healthy(cfut_executor *pool)
{
    cfut_future *futures[HEALTHY] = { NULL };
    int right = 0;
    for (int64_t n = 0; n < HEALTHY; n++) {
        if (cfut_submit(pool, square, &n, sizeof n, &futures[n]) != CFUT_OK)
            failed("cfut_submit");
    }
    for (int64_t n = 0; n < HEALTHY; n++) {
        if (cfut_future_wait(futures[n], CFUT_MSEC(PATIENCE_MS)) == CFUT_OK)
            right += *(const int64_t *)cfut_future_bytes(futures[n], NULL) == n * n;
        cfut_future_release(futures[n]);
    }
    return right;
}

static bool run_one(cfut_executor *pool, const struct ill *ill)
{
    cfut_future *future;
    if (!submit_ill(pool, ill, &future))
        return false;
    bool good = ill->companion != KILLER || kill_it(future);
    cfut_status ended = cfut_future_wait(future, CFUT_MSEC(PATIENCE_MS));
    good = (ill->companion != WITNESS || child_is_gone(future)) && good;
    int right = run_healthy(pool);
    const char *message = cfut_future_message(future);
    printf("%-11s  %-12s  %2d of %d  %s%s\n", ill->name, cfut_status_name(ended), right, HEALTHY,
           message == NULL ? "" : message,
           ill->companion == WITNESS && good ? "; its child is gone" : "");
    cfut_future_release(future);
    return good && ended == ill->expected && right == HEALTHY;
}

static cfut_executor *make_pool(int64_t workers, const char *trace)
{
    cfut_executor *pool = NULL;
    cfut_options *options = cfut_options_new();
    if (cfut_options_set(options, CFUT_OPT_WORKERS, workers) != CFUT_OK)
        failed("--workers");
    else if (cfut_options_set(options, CFUT_OPT_MEMORY_LIMIT, MEMORY_LIMIT) != CFUT_OK ||
             cfut_options_set_text(options, CFUT_OPT_NAME, "lab") != CFUT_OK ||
             (trace != NULL &&
              cfut_options_set_text(options, CFUT_OPT_TRACE_FILE, trace) != CFUT_OK))
        failed("options");
    else if (cfut_process_pool_new(options, &pool) != CFUT_OK)
        failed("cfut_process_pool_new");
    cfut_options_free(options);
    return pool;
}

static bool is_wanted(const struct ill *ill, char **names, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(ill->name, names[i]) == 0)
            return true;
    }
    return count == 0;
}

static int run(int64_t workers, const char *trace, char **names, int count)
{
    cfut_executor *pool = make_pool(workers, trace);
    int wrong = 0;
    if (pool == NULL)
        return TROUBLE;
    printf("%-11s  %-12s  %-8s  %s\n", "task", "ended as", "after it", "what the library says");
    for (int i = 0; i < ILL_COUNT; i++) {
        if (is_wanted(&ILL[i], names, count) && !run_one(pool, &ILL[i]))
            wrong += !complain(ILL[i].name, "did not go as it should");
    }
    if (cfut_executor_shutdown(pool, 0, CFUT_MSEC(PATIENCE_MS)) != CFUT_OK)
        wrong += !failed("cfut_executor_shutdown");
    cfut_executor_release(pool);
    if (fflush(stdout) != 0)
        return complain("standard output", strerror(errno)), TROUBLE;
    return wrong == 0 ? GOOD : WRONG;
}

static int list(void)
{
    for (int i = 0; i < ILL_COUNT; i++)
        printf("%-11s  %s\n", ILL[i].name, ILL[i].what);
    return fflush(stdout) == 0 ? GOOD : TROUBLE;
}

static int misused(const char *what, const char *why)
{
    if (what != NULL)
        complain(what, why);
    fputs("Try 'crash_lab --help'.\n", stderr);
    return TROUBLE;
}

static bool is_known(char *name)
{
    for (int i = 0; i < ILL_COUNT; i++) {
        if (is_wanted(&ILL[i], &name, 1))
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "workers", required_argument, NULL, 'w' },
                                             { "trace", required_argument, NULL, 't' },
                                             { "list", no_argument, NULL, 'l' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    const struct rlimit no_core = { 0, 0 };
    int64_t workers = 2;
    const char *trace = NULL;
    char *end;
    int option;

    cfut_worker_main(); /* a worker does not come back from here */

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'w':
            workers = strtoll(optarg, &end, 10);
            if (workers < 1 || *end != '\0')
                return misused(optarg, "--workers wants a number above 0");
            break;
        case 't':
            trace = optarg;
            break;
        case 'l':
            return list();
        case 'h':
            return fputs(USAGE, stdout) < 0 ? TROUBLE : GOOD;
        default: /* getopt_long has said what is wrong */
            return misused(NULL, NULL);
        }
    }
    for (int i = optind; i < argc; i++) {
        if (!is_known(argv[i]))
            return misused(argv[i], "no such task; --list names them");
    }
    setrlimit(RLIMIT_CORE, &no_core); /* which workers inherit: crashes on purpose need no files */
    return run(workers, trace, argv + optind, argc - optind);
}
