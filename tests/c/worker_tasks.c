/* What tasks may do in a worker process, with both ways of making one. */
#include "parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t methods[] = { CFUT_START_FORKSERVER, CFUT_START_SPAWN };

#define EACH_METHOD(i) for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)

static cfut_executor *processes(const cfut_options *options)
{
    cfut_executor *pool = NULL;
    CHECK_OK(cfut_process_pool_new(options, &pool));
    CHECK(pool != NULL);
    return pool;
}

static cfut_executor *one_process(int64_t method)
{
    cfut_options *options = options_with(1, CFUT_OPT_START_METHOD, method);
    cfut_executor *pool = processes(options);
    cfut_options_free(options);
    return pool;
}

static void check_bytes(cfut_future *future, const void *wanted, size_t length)
{
    size_t got = 0;
    const void *bytes;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    bytes = cfut_future_bytes(future, &got);
    CHECK_EQ(got, length);
    CHECK(length == 0 || memcmp(bytes, wanted, length) == 0);
}

/* ---- bytes ---- */

static void bytes_of_every_size(void)
{
    static const size_t sizes[] = { 0, 1, 8, 15, 16, 17, 100, 8191, 8192, 8193, 65536, 3000000 };
    unsigned char *data = malloc(3000000);
    CHECK(data != NULL);
    for (size_t i = 0; i < 3000000; i++)
        data[i] = (unsigned char)(i * 7 + (i >> 9));
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                cfut_future *future = submit(pool, echo_task, data, sizes[i]);
                check_bytes(future, data, sizes[i]);
                CHECK(cfut_future_buffer(future) == NULL);
                cfut_future_release(future);
            }
        }
        check_close(pool);
    }
    free(data);
}

static int32_t aligned_task(cfut_promise *self, const void *data, size_t length)
{
    if ((uintptr_t)data % 16 != 0)
        return 1;
    return cfut_promise_input(self) == NULL && length > 0 ? 0 : 2;
}

static void data_is_aligned(void)
{
    cfut_executor *pool = one_process(CFUT_START_FORKSERVER);
    static char data[20000];
    for (size_t length = 1; length < sizeof data; length = length * 3 / 2 + 1)
        CHECK_OK(end_of(submit(pool, aligned_task, data, length)));
    check_close(pool);
}

static int32_t large_task(cfut_promise *self, const void *data, size_t length)
{
    size_t size;
    char *bytes;
    cfut_status status;
    memcpy(&size, data, length);
    bytes = malloc(size);
    if (bytes == NULL)
        return 1;
    memset(bytes, 'L', size);
    status = cfut_promise_set_bytes(self, bytes, size);
    free(bytes);
    return status == CFUT_OK ? 0 : status;
}

/* Memory for results is used again: the worker does not grow with each of them. */
static void many_large_results(void)
{
    cfut_executor *pool = one_process(CFUT_START_FORKSERVER);
    size_t size = 1 << 20;
    for (int i = 0; i < 200; i++) {
        cfut_future *future = submit(pool, large_task, &size, sizeof size);
        size_t got = 0;
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_EQ(((const char *)cfut_future_bytes(future, &got))[size - 1], 'L');
        CHECK_EQ(got, size);
        cfut_future_release(future);
    }
    check_close(pool);
}

static void large_results_that_are_kept(void)
{
    cfut_executor *pool = one_process(CFUT_START_SPAWN);
    cfut_future *futures[50];
    size_t size = 20000;
    for (int i = 0; i < 50; i++)
        futures[i] = submit(pool, large_task, &size, sizeof size);
    for (int i = 0; i < 50; i++)
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
    check_close(pool);
    for (int i = 0; i < 50; i++) {
        size_t got = 0;
        CHECK_EQ(((const char *)cfut_future_bytes(futures[i], &got))[size - 1], 'L');
        CHECK_EQ(got, size);
        cfut_future_release(futures[i]);
    }
}

/* ---- outcomes ---- */

static int32_t fail_task(cfut_promise *self, const void *data, size_t length)
{
    size_t size;
    char *message;
    memcpy(&size, data, length);
    message = malloc(size + 1);
    if (message == NULL)
        return 1;
    memset(message, 'm', size);
    message[size] = 0;
    if (cfut_promise_fail_bytes(self, 7, message, message, size) != CFUT_OK)
        return 2;
    free(message);
    return 0;
}

static void failures(void)
{
    static const size_t sizes[] = { 0, 5, 8192, 8193, 70000 };
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            cfut_future *future = submit(pool, fail_task, &sizes[i], sizeof sizes[i]);
            const char *message;
            size_t got = 0;
            CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
            CHECK_EQ(cfut_future_code(future), 7);
            message = cfut_future_message(future);
            if (sizes[i] <= 8192) {
                CHECK_EQ(strlen(message), sizes[i]);
            } else {
                CHECK_EQ(strlen(message), 8192);
                CHECK(strstr(message, "m [cut at 8 KiB]") != NULL);
            }
            (void)cfut_future_bytes(future, &got);
            CHECK_EQ(got, sizes[i]);
            cfut_future_release(future);
        }
        CHECK_STATUS(end_of(submit_code(pool, 9)), CFUT_FAILED);
        CHECK_OK(end_of(submit_code(pool, 0)));
        check_close(pool);
    }
}

static void no_free(void *value)
{
    (void)value;
    abort();
}

static int32_t value_task(cfut_promise *self, const void *data, size_t length)
{
    static int value;
    (void)data;
    (void)length;
    if (cfut_promise_set_value(self, &value, NULL) != CFUT_ENOTSUP)
        return 1;
    if (cfut_promise_fail_value(self, 3, "x", &value, NULL) != CFUT_ENOTSUP)
        return 2;
    if (cfut_executor_current() != NULL)
        return 3;
    (void)no_free;
    return cfut_promise_set_cancelled(self) == CFUT_OK ? 0 : 4;
}

static void pointers_are_refused(void)
{
    cfut_executor *pool = one_process(CFUT_START_FORKSERVER);
    CHECK_STATUS(end_of(submit(pool, value_task, NULL, 0)), CFUT_CANCELLED);
    check_close(pool);
}

static int32_t output_task(cfut_promise *self, const void *data, size_t length)
{
    static char bytes[20000];
    (void)data;
    (void)length;
    if (cfut_promise_set_bytes(self, bytes, 10001) != CFUT_EFULL)
        return 1;
    if (cfut_promise_set_bytes(self, bytes, 20000) != CFUT_EFULL)
        return 2;
    return cfut_promise_set_bytes(self, bytes, 10000) == CFUT_OK ? 0 : 3;
}

static void output_limit(void)
{
    cfut_executor *pool = one_process(CFUT_START_FORKSERVER);
    cfut_task *task = task_with(output_task, CFUT_TASK_OUTPUT_LIMIT, 10000);
    cfut_future *future = NULL;
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
    CHECK_OK(end_of(future));
    cfut_task_free(task);
    check_close(pool);
}

/* ---- promises that are kept ---- */

struct kept {
    cfut_promise *promise;
    size_t size;
};

static void *settle_later(void *arg)
{
    struct kept *kept = arg;
    char *bytes = calloc(1, kept->size + 1);
    memset(bytes, 'k', kept->size);
    if (kept->size == 1)
        cfut_promise_fail(kept->promise, 5, "later");
    else if (kept->size != 0)
        cfut_promise_set_bytes(kept->promise, bytes, kept->size);
    cfut_promise_release(kept->promise);
    free(bytes);
    free(kept);
    return NULL;
}

static int32_t detaching_task(cfut_promise *self, const void *data, size_t length)
{
    struct kept *kept = malloc(sizeof *kept);
    pthread_t thread;
    memcpy(&kept->size, data, length);
    kept->promise = cfut_promise_retain(self);
    if (pthread_create(&thread, NULL, settle_later, kept) != 0)
        return 1;
    pthread_detach(thread);
    return CFUT_DETACH;
}

static void detached_tasks(void)
{
    static const size_t sizes[] = { 0, 1, 2, 100, 8193, 100000 };
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        for (int round = 0; round < 50; round++) {
            cfut_future *futures[6];
            for (size_t i = 0; i < 6; i++)
                futures[i] = submit(pool, detaching_task, &sizes[i], sizeof sizes[i]);
            for (size_t i = 0; i < 6; i++) {
                cfut_status status = cfut_future_wait(futures[i], CFUT_FOREVER);
                size_t got = 0;
                CHECK_EQ(status, sizes[i] == 0   ? CFUT_BROKEN
                                 : sizes[i] == 1 ? CFUT_FAILED
                                                 : CFUT_OK);
                (void)cfut_future_bytes(futures[i], &got);
                CHECK_EQ(got, sizes[i] <= 1 ? 0 : sizes[i]);
                cfut_future_release(futures[i]);
            }
        }
        check_close(pool);
    }
}

/* ---- progress and stop ---- */

static int32_t patient_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    if (cfut_promise_set_progress(self, 3, 10) != CFUT_OK)
        return 1;
    while (!cfut_promise_stop_requested(self))
        usleep(1000);
    if (cfut_promise_set_progress(self, 4, 10) != CFUT_OK)
        return 2;
    return cfut_promise_set_cancelled(self) == CFUT_OK ? 0 : 3;
}

static int has_progress(cfut_future *future)
{
    uint64_t done = 0, total = 0;
    CHECK_OK(cfut_future_progress(future, &done, &total));
    return done == 3 && total == 10;
}

static void progress_and_stop(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        cfut_future *future = submit(pool, patient_task, NULL, 0);
        CHECK_SOON(has_progress(future));
        CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
        CHECK_STATUS(end_of(future), CFUT_CANCELLED);
        CHECK_OK(end_of(submit_nothing(pool)));
        check_close(pool);
    }
}

/* ---- buffers ---- */

static int32_t upper_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_buffer *input = cfut_promise_input(self);
    char *bytes;
    if (input == NULL || cfut_buffer_data(input) != data || cfut_buffer_size(input) != length)
        return 1;
    bytes = cfut_buffer_data(input);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(bytes[i] - 32);
    return cfut_promise_set_buffer(self, input) == CFUT_OK ? 0 : 2;
}

static void input_buffer_as_the_result(void)
{
    static const size_t sizes[] = { 1, 100, 8192, 9000, 500000 };
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        cfut_task *task = task_of(upper_task);
        for (uint32_t shared = 0; shared < 2; shared++) {
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                cfut_buffer *buffer = NULL, *result;
                cfut_future *future = NULL;
                CHECK_OK(cfut_buffer_new(sizes[i], shared ? CFUT_BUFFER_SHARED : 0, &buffer));
                memset(cfut_buffer_data(buffer), 'a', sizes[i]);
                CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
                CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
                result = cfut_future_buffer(future);
                CHECK(result != NULL);
                CHECK_EQ(cfut_buffer_size(result), sizes[i]);
                CHECK_EQ(((char *)cfut_buffer_data(result))[sizes[i] - 1], 'A');
                if (shared) {
                    CHECK_EQ(((char *)cfut_buffer_data(buffer))[0], 'A');
                }
                cfut_future_release(future);
                cfut_buffer_release(buffer);
            }
        }
        cfut_task_free(task);
        check_close(pool);
    }
}

struct wanted {
    size_t size;
    uint32_t flags;
};

static int32_t buffer_task(cfut_promise *self, const void *data, size_t length)
{
    struct wanted wanted;
    cfut_buffer *buffer = NULL;
    cfut_status status;
    memcpy(&wanted, data, length);
    if (cfut_buffer_new(wanted.size, wanted.flags, &buffer) != CFUT_OK)
        return 1;
    if (wanted.size > 0)
        memset(cfut_buffer_data(buffer), 'w', wanted.size);
    status = cfut_promise_set_buffer(self, buffer);
    cfut_buffer_release(buffer);
    return status;
}

static void buffers_of_the_worker(void)
{
    static const size_t sizes[] = { 0, 1, 8192, 8193, 300000 };
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        for (int round = 0; round < 20; round++) {
            for (uint32_t shared = 0; shared < 2; shared++) {
                for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                    struct wanted wanted = { sizes[i], shared ? CFUT_BUFFER_SHARED : 0 };
                    cfut_future *future = submit(pool, buffer_task, &wanted, sizeof wanted);
                    cfut_buffer *result;
                    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
                    result = cfut_future_buffer(future);
                    CHECK(result != NULL);
                    CHECK_EQ(cfut_buffer_size(result), sizes[i]);
                    if (sizes[i] > 0)
                        CHECK_EQ(((char *)cfut_buffer_data(result))[sizes[i] - 1], 'w');
                    cfut_future_release(future);
                }
            }
        }
        check_close(pool);
    }
}

/* A buffer that a task keeps is no result of the next task without a copy. */
static int32_t keeping_task(cfut_promise *self, const void *data, size_t length)
{
    static cfut_buffer *kept;
    (void)data;
    (void)length;
    if (kept == NULL) {
        kept = cfut_buffer_retain(cfut_promise_input(self));
        return 0;
    }
    return cfut_promise_set_buffer(self, kept) == CFUT_OK ? 0 : 1;
}

static void input_buffer_of_an_earlier_task(void)
{
    cfut_executor *pool = one_process(CFUT_START_FORKSERVER);
    cfut_task *task = task_of(keeping_task);
    cfut_buffer *buffer = NULL, *other = NULL;
    cfut_future *future = NULL;
    CHECK_OK(cfut_buffer_new(20000, CFUT_BUFFER_SHARED, &buffer));
    CHECK_OK(cfut_buffer_new(20000, CFUT_BUFFER_SHARED, &other));
    memset(cfut_buffer_data(buffer), 'e', 20000);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    CHECK_OK(end_of(future));
    CHECK_OK(cfut_submit_buffer(pool, task, other, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(((const char *)cfut_future_bytes(future, NULL))[19999], 'e');
    cfut_future_release(future);
    cfut_buffer_release(buffer);
    cfut_buffer_release(other);
    cfut_task_free(task);
    check_close(pool);
}

/* ---- ends ---- */

static int32_t thread_exit_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
}

static int32_t exit_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    exit(3);
}

static void tasks_that_end_their_process(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        int64_t code = 0;
        cfut_future *future = submit(pool, thread_exit_task, NULL, 0);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
        cfut_future_release(future);
        CHECK_OK(end_of(submit_nothing(pool)));
        future = submit(pool, exit_task, NULL, 0);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
        CHECK_OK(cfut_future_info(future, CFUT_INFO_EXIT_CODE, &code));
        CHECK_EQ(code, 3);
        cfut_future_release(future);
        CHECK_OK(end_of(submit_nothing(pool)));
        check_close(pool);
    }
}

static int32_t fork_task(cfut_promise *self, const void *data, size_t length)
{
    pid_t child = fork();
    int status;
    (void)data;
    (void)length;
    if (child == 0) {
        /* The promise is the parent's. */
        return cfut_promise_set_bytes(self, "child", 5) == CFUT_EFORKED ? 0 : 1;
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 2;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return 3;
    return cfut_promise_set_bytes(self, "parent", 6) == CFUT_OK ? 0 : 4;
}

static void tasks_that_fork(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        for (int i = 0; i < 3; i++) {
            cfut_future *future = submit(pool, fork_task, NULL, 0);
            check_bytes(future, "parent", 6);
            cfut_future_release(future);
        }
        check_close(pool);
    }
}

/* ---- names, initializers, nested pools ---- */

static void names_in_a_worker(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        cfut_task *task = NULL, *unknown = NULL;
        cfut_future *future = NULL;
        CHECK_OK(cfut_task_new_named("worker echo", &task));
        CHECK_OK(cfut_task_new_named("unknown to all", &unknown));
        CHECK_OK(cfut_submit_task(pool, task, "abc", 3, &future));
        check_bytes(future, "abc", 3);
        cfut_future_release(future);
        CHECK_OK(cfut_submit_task(pool, unknown, "abc", 3, &future));
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_ENOENT);
        CHECK(strstr(cfut_future_message(future), "unknown to all") != NULL);
        cfut_future_release(future);
        cfut_task_free(task);
        cfut_task_free(unknown);
        check_close(pool);
    }
}

static int64_t initialized;

static int32_t initialize(cfut_promise *self, const void *data, size_t length)
{
    int64_t value;
    memcpy(&value, data, length);
    if (value < 0)
        return cfut_promise_fail(self, 12, "no such thing") == CFUT_OK ? 0 : 1;
    initialized += value;
    return 0;
}

static int32_t initialized_task(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, &initialized, sizeof initialized);
}

static void initializer(void)
{
    EACH_METHOD (m) {
        cfut_options *options = options_with(1, CFUT_OPT_START_METHOD, methods[m]);
        cfut_task *task = task_of(initialize);
        cfut_executor *pool;
        cfut_future *future;
        int64_t value = 5;
        CHECK_OK(cfut_options_set_initializer(options, task, &value, sizeof value));
        pool = processes(options);
        for (int i = 0; i < 3; i++) {
            future = submit(pool, initialized_task, NULL, 0);
            CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
            CHECK_EQ(integer_of(future), 5);
            cfut_future_release(future);
        }
        CHECK_EQ(initialized, 0);
        check_close(pool);
        value = -1;
        CHECK_OK(cfut_options_set_initializer(options, task, &value, sizeof value));
        pool = processes(options);
        future = submit(pool, initialized_task, NULL, 0);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
        CHECK_EQ(cfut_future_code(future), 12);
        CHECK(strstr(cfut_future_message(future), "no such thing") != NULL);
        cfut_future_release(future);
        CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
        cfut_executor_release(pool);
        cfut_task_free(task);
        cfut_options_free(options);
    }
}

static int32_t threads_task(cfut_promise *self, const void *data, size_t length)
{
    cfut_executor *pool = NULL;
    int64_t sum = 0;
    (void)data;
    (void)length;
    if (cfut_thread_pool_new(NULL, &pool) != CFUT_OK)
        return 1;
    for (int64_t i = 0; i < 100; i++) {
        cfut_future *future = NULL;
        int64_t value;
        if (cfut_submit(pool, echo_task, &i, sizeof i, &future) != CFUT_OK)
            return 2;
        if (cfut_future_wait(future, CFUT_FOREVER) != CFUT_OK)
            return 3;
        memcpy(&value, cfut_future_bytes(future, NULL), sizeof value);
        sum += value;
        cfut_future_release(future);
    }
    if (cfut_executor_shutdown(pool, 0, CFUT_FOREVER) != CFUT_OK)
        return 4;
    cfut_executor_release(pool);
    return cfut_promise_set_bytes(self, &sum, sizeof sum);
}

static void threads_in_a_worker(void)
{
    EACH_METHOD (m) {
        cfut_executor *pool = one_process(methods[m]);
        cfut_future *future = submit(pool, threads_task, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK_EQ(integer_of(future), 4950);
        cfut_future_release(future);
        check_close(pool);
    }
}

/* ---- surroundings ---- */

static int32_t surroundings_task(cfut_promise *self, const void *data, size_t length)
{
    char text[64] = "";
    struct stat stream, nothing;
    DIR *fds;
    struct dirent *entry;
    int open_files = 0;
    sigset_t mask;
    struct sigaction action;
    FILE *comm;
    (void)data;
    (void)length;
    if (getenv("CFUT_WORKER") != NULL)
        return 1;
    if (fstat(0, &stream) != 0 || stat("/dev/null", &nothing) != 0 || stream.st_rdev != nothing.st_rdev)
        return 2;
    if (getpgrp() != getpid())
        return 3;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int signal = 1; signal < 32; signal++) {
        if (sigismember(&mask, signal))
            return 100 + signal;
        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            return 200 + signal;
    }
    comm = fopen("/proc/self/comm", "r");
    if (comm == NULL || fgets(text, sizeof text, comm) == NULL)
        return 4;
    fclose(comm);
    if (strcmp(text, "surround-0\n") != 0)
        return cfut_promise_fail(self, 5, text) == CFUT_OK ? 0 : 5;
    fds = opendir("/proc/self/fd");
    while (fds != NULL && (entry = readdir(fds)) != NULL)
        open_files += entry->d_name[0] != '.';
    closedir(fds);
    /* 0 to 2, the socket, the link, the config, and the one that lists them. */
    return open_files <= 8 ? 0 : 1000 + open_files;
}

static void surroundings(void)
{
    int held = open("/dev/zero", O_RDONLY); /* not close-on-exec */
    CHECK(held >= 0);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    EACH_METHOD (m) {
        cfut_options *options = options_with(1, CFUT_OPT_START_METHOD, methods[m]);
        cfut_executor *pool;
        cfut_future *future;
        CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, "surround"));
        pool = processes(options);
        cfut_options_free(options);
        future = submit(pool, surroundings_task, NULL, 0);
        (void)cfut_future_wait(future, CFUT_FOREVER);
        CHECK_TEXT(cfut_future_message(future), "");
        CHECK_EQ(cfut_future_code(future), 0);
        cfut_future_release(future);
        check_close(pool);
    }
    close(held);
}

static int32_t print_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    printf("%.*s", (int)length, (const char *)data);
    return 0;
}

/* What tasks print is there when the pool is shut down. */
static void output_is_flushed(void)
{
    EACH_METHOD (m) {
        int ends[2], saved = dup(1);
        char text[16] = "";
        cfut_executor *pool;
        fflush(stdout);
        CHECK_EQ(pipe(ends), 0);
        CHECK_EQ(dup2(ends[1], 1), 1);
        pool = one_process(methods[m]);
        CHECK_OK(end_of(submit(pool, print_task, "printed", 7)));
        check_close(pool);
        CHECK_EQ(dup2(saved, 1), 1);
        close(ends[1]);
        CHECK_EQ(read(ends[0], text, sizeof text), 7);
        CHECK_TEXT(text, "printed");
        close(ends[0]);
        close(saved);
    }
}

static const check_case cases[] = {
    CASE(bytes_of_every_size),
    CASE(data_is_aligned),
    CASE(many_large_results),
    CASE(large_results_that_are_kept),
    CASE(failures),
    CASE(pointers_are_refused),
    CASE(output_limit),
    CASE(detached_tasks),
    CASE(progress_and_stop),
    CASE(input_buffer_as_the_result),
    CASE(buffers_of_the_worker),
    CASE(input_buffer_of_an_earlier_task),
    CASE(tasks_that_end_their_process),
    CASE(tasks_that_fork),
    CASE(names_in_a_worker),
    CASE(initializer),
    CASE(threads_in_a_worker),
    CASE(surroundings),
    CASE(output_is_flushed),
};

int main(int argc, char **argv)
{
    CHECK_OK(cfut_register("worker echo", echo_task));
    cfut_worker_main();
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
