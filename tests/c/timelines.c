/* Timelines: CFUT_OPT_TRACE_FILE.
 *
 * A case prints what its file must have, line by line, for the checker in tests/it/timelines.rs, which
 * reads the file as JSON: "file PATH", then "slices N", "outcome NAME N", "named NAME N", "marks NAME
 * N", "rows N". N is exact, but for marks and rows: at least.
 */
#include "processes.h"

#include "child.h"

#include <sys/resource.h>

/* ---- parts ---- */

static const char *file_of(int number)
{
    static char paths[4][128];
    const char *dir = getenv("TMPDIR");
    snprintf(paths[number], sizeof paths[number], "%s/cfut-timeline-%d-%d.json",
             dir != NULL && strlen(dir) < 80 ? dir : "/tmp", (int)getpid(), number);
    return paths[number];
}

static cfut_options *traced(int64_t workers, const char *path)
{
    cfut_options *options = options_of(workers);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_TRACE_FILE, path));
    return options;
}

static void expect(const char *what, int64_t count)
{
    printf("%s %lld\n", what, (long long)count);
}

/* The tasks that have run, by the statistics; waits until the executor is done with them. */
static void expect_as_counted(cfut_executor *pool)
{
    static const struct {
        int32_t key;
        const char *name;
    } ends[] = {
        { CFUT_STAT_SUCCEEDED, "outcome succeeded" }, { CFUT_STAT_FAILED, "outcome failed" },
        { CFUT_STAT_CANCELLED, "outcome cancelled" }, { CFUT_STAT_EXPIRED, "outcome expired" },
        { CFUT_STAT_CRASHED, "outcome crashed" },
    };
    int64_t all = 0;
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int64_t count = check_stat(pool, ends[i].key);
        expect(ends[i].name, count);
        all += count;
    }
    expect("slices", all);
}

static void close_now(cfut_executor *pool)
{
    check_unwatch(pool);
    cfut_executor_release(pool);
}

static void run_many(cfut_executor *pool, cfut_task *task, int count)
{
    for (int i = 0; i < count; i++)
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, NULL));
    cfut_task_free(task);
}

/* Task: waits for three more, in its own pool. */
static int32_t root_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = cfut_executor_current();
    int32_t depth;
    (void)self;
    CHECK_EQ(length, sizeof depth);
    memcpy(&depth, data, sizeof depth);
    if (depth == 0)
        return 0;
    depth--;
    cfut_future *leaves[3];
    for (int i = 0; i < 3; i++)
        leaves[i] = submit_once(pool, task_named(root_task, "leaf"), &depth, sizeof depth);
    for (int i = 0; i < 3; i++)
        CHECK_OK(end_of(leaves[i]));
    return 0;
}

/* ---- threads ---- */

static void tasks_of_threads(void)
{
    int32_t bad = 42, depth = 3;
    printf("file %s\n", file_of(0));
    cfut_options *options = traced(2, file_of(0));
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, "a \"pool\""));
    cfut_executor *pool = check_pool_with(options);
    run_many(pool, task_of(nothing_task), 3000);
    CHECK_STATUS(end_of(submit_code(pool, bad)), CFUT_FAILED);
    CHECK_OK(end_of(submit_once(pool, task_named(root_task, "root"), &depth, sizeof depth)));
    expect("named root", 1);
    expect("named leaf", 3 + 9 + 27);
    expect("marks worker started", 1);
    expect("rows", 1);
    expect_as_counted(pool);
    expect("marks worker left", 1);
    close_now(pool);
}

/* The thread that runs them is a row. */
static void tasks_of_a_loop(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *loop = NULL;
    printf("file %s\n", file_of(0));
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_TRACE_FILE, file_of(0)));
    CHECK_OK(cfut_loop_new(options, &loop));
    cfut_options_free(options);
    for (int i = 0; i < 100; i++)
        cfut_future_release(submit_once(loop, task_named(nothing_task, "looped"), NULL, 0));
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_NOW, NULL), CFUT_TIMEOUT);
    expect("named looped", 100);
    expect("rows", 1);
    expect_as_counted(loop);
    CHECK_OK(cfut_executor_shutdown(loop, 0, CFUT_FOREVER));
    cfut_executor_release(loop);
}

static void names_are_escaped(void)
{
    static const char *const names[] = { "say \"no\"", "back\\slash", "line\nend\ttab", "\x01\x1f\x7f",
                                         "\xff\xc3", "Gr\xc3\xb6\xc3\x9f\x65" };
    char longest[2000];
    printf("file %s\n", file_of(0));
    cfut_executor *pool = check_pool_with(traced(1, file_of(0)));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        run_many(pool, task_named(nothing_task, names[i]), 1);
    memset(longest, 1, sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    run_many(pool, task_named(nothing_task, longest), 1);
    expect("named say \"no\"", 1);
    expect("named back\\slash", 1);
    expect("named Gr\xc3\xb6\xc3\x9f\x65", 1);
    expect("named \xef\xbf\xbd\xef\xbf\xbd", 1);
    expect_as_counted(pool);
    close_now(pool);
}

/* The name of the task, of its registered function, or of its symbol. */
static void names_of_functions(void)
{
    cfut_task *task = NULL;
    printf("file %s\n", file_of(0));
    CHECK_OK(cfut_register("noted", nothing_task));
    cfut_executor *pool = check_pool_with(traced(1, file_of(0)));
    CHECK_OK(cfut_task_new_named("noted", &task));
    run_many(pool, task, 2);
    run_many(pool, task_of(nothing_task), 3); /* not exported */
    expect("named noted", 2);
    expect("named task", 3);
    expect_as_counted(pool);
    close_now(pool);
}

static int32_t end_thread_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
}

static int32_t fork_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    CHECK(fork() >= 0); /* the child ends with the return */
    return 0;
}

static void ends_of_every_kind(void)
{
    printf("file %s\n", file_of(0));
    cfut_executor *pool = check_pool_with(traced(2, file_of(0)));
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    latch entered = LATCH_CLOSED, *at = &entered;
    cfut_task *task = task_with(obedient_task, CFUT_TASK_RUN_TIMEOUT_NS, 1000000);
    CHECK_STATUS(end_of(submit_once(pool, task, &at, sizeof at)), CFUT_EXPIRED);
    cfut_future *stopped = submit(pool, obedient_task, &at, sizeof at);
    latch_wait_for(&entered, 2);
    CHECK_STATUS(cfut_future_cancel(stopped, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_STATUS(end_of(stopped), CFUT_CANCELLED);
    CHECK_STATUS(end_of(submit(pool, end_thread_task, NULL, 0)), CFUT_FAILED);
    fflush(stdout); /* the child would print it, too */
    CHECK_OK(end_of(submit(pool, fork_task, NULL, 0)));
    cfut_future *later = submit(pool, detach_task, &data, sizeof data);
    latch_wait(&detached.kept);
    CHECK_SOON(check_stat(pool, CFUT_STAT_IDLE_WORKERS) > 0); /* it has returned */
    CHECK_OK(cfut_promise_set_bytes(detached.promise, "x", 1));
    cfut_promise_release(detached.promise);
    CHECK_OK(end_of(later));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    expect("outcome expired", 1);
    expect("outcome cancelled", 1);
    expect("outcome failed", 1);
    expect("slices", 5);
    close_now(pool);
}

/* Threads of the host that run a task are rows, too. */
static void tasks_of_other_threads(void)
{
    gate gate = GATE_CLOSED;
    printf("file %s\n", file_of(0));
    cfut_options *options = traced(1, file_of(0));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 1));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_RUN_IN_CALLER));
    cfut_executor *pool = check_pool_with(options);
    gate_hold(pool, &gate);
    cfut_future *queued = submit_nothing(pool);
    run_many(pool, task_named(nothing_task, "of the caller"), 3);
    latch_open(&gate.open);
    CHECK_OK(end_of(queued));
    expect("named of the caller", 3);
    expect("rows", 2);
    expect_as_counted(pool);
    close_now(pool);
}

/* ---- processes ---- */

static void tasks_of_processes(void)
{
    printf("file %s\n", file_of(0));
    cfut_executor *pool = check_process_pool_with(traced(2, file_of(0)));
    run_many(pool, task_named(nothing_task, "short"), 500);
    cfut_future *two[2] = { stand(pool, 0), stand(pool, 0) };
    open_gate(0);
    CHECK_OK(end_of(two[0]));
    CHECK_OK(end_of(two[1]));
    CHECK_STATUS(end_of(submit_code(pool, 42)), CFUT_FAILED);
    expect("named short", 500);
    expect("rows", 2);
    expect("marks worker started", 2);
    expect("marks worker ready", 2);
    expect_as_counted(pool);
    expect("marks worker left", 2);
    close_now(pool);
}

static void deaths_and_kills_of_processes(void)
{
    printf("file %s\n", file_of(0));
    cfut_executor *pool = check_process_pool_with(traced(1, file_of(0)));
    open_gate(1);
    CHECK_STATUS(end_of(submit_call(pool, die_task, 1, SIGSEGV)), CFUT_CRASHED);
    cfut_task *task = task_with(stubborn_task, CFUT_TASK_RUN_TIMEOUT_NS, 1000000);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, 1000000));
    CHECK_STATUS(end_of(submit_call_once(pool, task, 2, 0)), CFUT_EXPIRED);
    pid_of_next(pool);
    expect("marks worker died", 2);
    expect("marks worker killed", 1);
    expect("marks worker restarted", 2);
    expect("rows", 3);
    expect_as_counted(pool);
    close_now(pool);
}

/* Each run of a task that is run again is a slice. */
static void attempts_in_processes(void)
{
    printf("file %s\n", file_of(0));
    cfut_executor *pool = check_process_pool_with(traced(1, file_of(0)));
    cfut_task *task = task_with(die_task, CFUT_TASK_ATTEMPTS, 3);
    open_gate(1);
    CHECK_STATUS(end_of(submit_call_once(pool, task, 1, SIGABRT)), CFUT_CRASHED);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    expect("outcome crashed", 3);
    expect("slices", 3);
    close_now(pool);
}

static int32_t find_file_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t found = 0;
    char name[512];
    (void)self;
    for (int fd = 0; fd < 256; fd++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t read = readlink(path, name, sizeof name - 1);
        found += read == (ssize_t)length && memcmp(name, data, length) == 0;
    }
    return found;
}

static void worker_processes_lack_the_file(void)
{
    const char *path = file_of(0);
    printf("file %s\n", path);
    cfut_executor *threads = check_pool_with(traced(1, path));
    CHECK_STATUS(end_of(submit(threads, find_file_task, path, strlen(path))), CFUT_FAILED);
    cfut_executor *pool = check_process_pool_with(traced(1, path));
    CHECK_OK(end_of(submit(pool, find_file_task, path, strlen(path))));
    expect("slices", 2);
    check_close(pool);
    check_close(threads);
}

/* ---- files ---- */

static void threads_and_processes_share_a_file(void)
{
    printf("file %s\n", file_of(0));
    cfut_executor *threads = check_pool_with(traced(1, file_of(0)));
    cfut_executor *processes = check_process_pool_with(traced(1, file_of(0)));
    run_many(threads, task_named(nothing_task, "in a thread"), 100);
    run_many(processes, task_named(nothing_task, "in a process"), 100);
    check_close(threads);
    run_many(processes, task_named(nothing_task, "in a process"), 100);
    check_close(processes);
    expect("named in a thread", 100);
    expect("named in a process", 200);
    expect("slices", 300);
}

/* The next executor begins anew. */
static void file_is_emptied(void)
{
    printf("file %s\n", file_of(0));
    for (int count = 300; count > 0; count -= 200) {
        cfut_executor *pool = check_pool_with(traced(1, file_of(0)));
        run_many(pool, task_of(nothing_task), count);
        check_close(pool);
    }
    expect("slices", 100);
}

static void refuse_path(const char *path, const char *words)
{
    cfut_options *options = traced(1, path);
    cfut_executor *pool = NULL;
    char text[256];
    snprintf(text, sizeof text, "CFUT_OPT_TRACE_FILE %s: %s", path, words);
    CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ESYS, text);
    CHECK_ERROR(cfut_process_pool_new(options, &pool), CFUT_ESYS, text);
    CHECK(pool == NULL);
    cfut_options_free(options);
}

static void files_that_cannot_be_written(void)
{
    const char *pipe = file_of(1);
    refuse_path("/nonexistent/trace.json", "No such file");
    refuse_path("/", "Is a directory");
    refuse_path("/dev/full", "No space");
    CHECK_EQ(mkfifo(pipe, 0600), 0);
    refuse_path(pipe, "No such device"); /* nobody reads */
    int reader = open(pipe, O_RDONLY | O_NONBLOCK);
    refuse_path(pipe, "it is neither a file nor a device");
    close(reader);
    unlink(pipe);
}

static void note_message(int32_t level, const char *message, void *arg)
{
    CHECK_EQ(level, CFUT_LOG_WARNING);
    CHECK(strstr(message, "File too large") != NULL && strstr(message, "timeline") != NULL);
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* The log is told once, the executor goes on, and what was written can be read. */
static void run_out_of_disk(bool processes)
{
    struct rlimit limit = { 300007, 300007 };
    atomic_int messages = 0;
    struct stat state;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_OK(cfut_set_log(note_message, &messages, NULL));
    cfut_options *options = traced(2, file_of(0));
    cfut_executor *pool = processes ? check_process_pool_with(options) : check_pool_with(options);
    run_many(pool, task_named(nothing_task, "one of many"), 10000);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 10000);
    close_now(pool);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    CHECK_EQ(messages, 1);
    CHECK_EQ(stat(file_of(0), &state), 0);
    CHECK(state.st_size > 290000);
    printf("file %s\n", file_of(0));
    CHECK_OK(cfut_set_log(NULL, NULL, NULL));
}

static void disk_that_is_full(void)
{
    run_out_of_disk(false);
}

static void disk_that_is_full_beside_processes(void)
{
    run_out_of_disk(true);
}

/* Without a shutdown the file is complete when the last thread has gone. */
static void released_only(void)
{
    char end[3] = "";
    printf("file %s\n", file_of(0));
    cfut_executor *pool = check_pool_with(traced(1, file_of(0)));
    run_many(pool, task_of(nothing_task), 10);
    close_now(pool);
    while (strcmp(end, "]\n") != 0) {
        FILE *file = fopen(file_of(0), "r");
        CHECK(file != NULL);
        if (fseek(file, -2, SEEK_END) == 0 && fread(end, 1, 2, file) == 2)
            end[2] = 0;
        fclose(file);
        check_sleep(1000000);
    }
    expect("slices", 10);
}

/* ---- fork ---- */

static void other_processes_are_refused(void)
{
    const char *path = file_of(0);
    printf("file %s\n", path);
    fflush(stdout);
    cfut_executor *pool = check_pool_with(traced(1, path));
    CHECK_OK(end_of(submit_nothing(pool)));
    pid_t child = fork();
    if (child == 0) {
        cfut_options *options = traced(1, path);
        cfut_executor *other = NULL;
        CHECK_ERROR(cfut_thread_pool_new(options, &other), CFUT_ESYS, "another process");
        cfut_executor_release(pool);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    run_many(pool, task_of(nothing_task), 1000);
    check_close(pool);
    expect("slices", 1001);
}

CHECK_MAIN_WORKER(board_make(), CASE(tasks_of_threads), CASE(names_are_escaped),
                  CASE(names_of_functions), CASE(tasks_of_a_loop), CASE(ends_of_every_kind), CASE(tasks_of_other_threads),
                  CASE(tasks_of_processes), CASE(deaths_and_kills_of_processes), CASE(attempts_in_processes),
                  CASE(worker_processes_lack_the_file), CASE(threads_and_processes_share_a_file),
                  CASE(file_is_emptied), CASE(files_that_cannot_be_written),
                  CASE(disk_that_is_full), CASE(disk_that_is_full_beside_processes),
                  CASE(released_only), CASE(other_processes_are_refused))
