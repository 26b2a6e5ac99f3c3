/* A program outside the tree, as a user of an installed cfutures has it. C and C++.
 *
 *   consumer JOBS.so    a task on a thread, a command, and a task of JOBS.so in a worker process
 *
 * Made with IS_ITS_OWN_WORKER, its worker processes are itself, with the tasks inside.
 */
#ifdef __cplusplus
#if __has_include(<cfutures.hpp>)
#include <cfutures.hpp>
#endif
#endif
#include <cfutures.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef IS_ITS_OWN_WORKER
#include "jobs.c"
#endif

static void must(cfut_status status, const char *what)
{
    char text[512];
    if (status == CFUT_OK)
        return;
    cfut_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s: %s\n", what, cfut_status_name(status), text);
    exit(1);
}

static int32_t square(cfut_promise *promise, const void *data, size_t len)
{
    int64_t number;
    memcpy(&number, data, len);
    number *= number;
    return cfut_promise_set_bytes(promise, &number, sizeof number);
}

/* Submits, waits, and copies what came: how many bytes that was. */
static size_t result_of(cfut_executor *pool, cfut_task *task, const void *data, size_t size,
                        void *into, size_t room)
{
    cfut_future *future = NULL;
    const void *bytes;
    size_t length = 0;
    must(cfut_submit_task(pool, task, data, size, &future), "submit");
    if (cfut_future_wait(future, CFUT_FOREVER) != CFUT_OK) {
        fprintf(stderr, "task: %s\n", cfut_future_message(future));
        exit(1);
    }
    bytes = cfut_future_bytes(future, &length);
    if (length > room)
        length = room;
    if (length > 0)
        memcpy(into, bytes, length);
    cfut_future_release(future);
    cfut_task_free(task);
    return length;
}

static void on_a_thread(void)
{
    cfut_executor *pool = NULL;
    cfut_task *task = NULL;
    int64_t number = 5, squared = 0;
    char said[16] = "";
    must(cfut_thread_pool_new(NULL, &pool), "thread pool");
    must(cfut_task_new(square, &task), "task");
    result_of(pool, task, &number, sizeof number, &squared, sizeof squared);
    must(cfut_task_new_command("/bin/echo", &task), "command");
    must(cfut_task_add_arg(task, "hello"), "argument");
    result_of(pool, task, NULL, 0, said, sizeof said - 1);
    must(cfut_executor_shutdown(pool, 0, CFUT_FOREVER), "shutdown");
    cfut_executor_release(pool);
    printf("thread %" PRId64 ", command %s", squared, said);
}

static void in_a_process(const char *module)
{
    cfut_executor *pool = NULL;
    cfut_task *task = NULL;
    int64_t number = 6, numbers[2] = {0, 0};
    must(cfut_process_pool_new(NULL, &pool), "process pool");
#ifdef IS_ITS_OWN_WORKER
    (void)module;
    must(cfut_task_new(square_and_pid, &task), "task");
#else
    char name[4096];
    snprintf(name, sizeof name, "%s:square_and_pid", module);
    must(cfut_task_new_named(name, &task), "task");
#endif
    result_of(pool, task, &number, sizeof number, numbers, sizeof numbers);
    must(cfut_executor_shutdown(pool, 0, CFUT_FOREVER), "shutdown");
    cfut_executor_release(pool);
    printf("process %" PRId64 ", %s\n", numbers[0],
           numbers[1] != getpid() ? "another one" : "the same");
}

int main(int argc, char **argv)
{
#ifdef IS_ITS_OWN_WORKER
    cfut_worker_main();
#endif
    if (argc != 2 || cfut_version_number() != CFUT_VERSION_NUMBER) {
        fprintf(stderr, "usage: consumer JOBS.so, with the library that it was made for\n");
        return 2;
    }
    on_a_thread();
    in_a_process(argv[1]);
    return 0;
}
