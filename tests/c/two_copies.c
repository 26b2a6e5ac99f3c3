/* Two copies of the library in one process: one in the program (it is linked with the static
 * library), one loaded with dlopen. Each works by itself, in any order and at the same time, and
 * after a fork. A handle of one that reaches the other is misuse, which CFUT_CHECK=1 tells at its
 * release. */
#define _GNU_SOURCE
#include <cfutures.h>

#include "need.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is used of a copy. */
#define CALLS(CALL) \
    CALL(thread_pool_new) CALL(process_pool_new) CALL(submit) CALL(submit_task) \
    CALL(task_new_named) CALL(task_free) CALL(future_wait) CALL(future_bytes) \
    CALL(future_message) CALL(future_release) CALL(promise_set_bytes) CALL(executor_shutdown) \
    CALL(executor_release) CALL(last_error) CALL(quiesce)

typedef struct copy {
#define MEMBER(name) __typeof__(&cfut_##name) name;
    CALLS(MEMBER)
} copy;

static const copy in_program = {
#define OWN(name) .name = cfut_##name,
    CALLS(OWN)
};

static copy loaded;

static void load(const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL)
        fprintf(stderr, "%s\n", dlerror());
    NEED(object != NULL);
#define FIND(call) \
    *(void **)(void *)&loaded.call = dlsym(object, "cfut_" #call); \
    NEED(loaded.call != NULL); \
    NEED(loaded.call != in_program.call);
    CALLS(FIND)
}

static int32_t square(cfut_promise *promise, const void *data, size_t len, const copy *with)
{
    int64_t n;
    memcpy(&n, data, len);
    n *= n;
    return with->promise_set_bytes(promise, &n, sizeof n);
}

static int32_t square_in_program(cfut_promise *promise, const void *data, size_t len)
{
    return square(promise, data, len, &in_program);
}

static int32_t square_loaded(cfut_promise *promise, const void *data, size_t len)
{
    return square(promise, data, len, &loaded);
}

static void expect_square(const copy *with, cfut_future *future, int64_t n)
{
    int64_t result;
    cfut_status status = with->future_wait(future, CFUT_FOREVER);
    if (status != CFUT_OK)
        fprintf(stderr, "status %d: %s\n", (int)status, with->future_message(future));
    NEED(status == CFUT_OK);
    memcpy(&result, with->future_bytes(future, NULL), sizeof result);
    NEED(result == n * n);
    with->future_release(future);
}

static void close_pool(const copy *with, cfut_executor *pool)
{
    NEED(with->executor_shutdown(pool, 0, CFUT_FOREVER) == CFUT_OK);
    with->executor_release(pool);
}

static cfut_executor *thread_pool(const copy *with)
{
    cfut_executor *pool;
    NEED(with->thread_pool_new(NULL, &pool) == CFUT_OK);
    return pool;
}

/* Turn by turn, with both at work. */
static void on_threads(void)
{
    cfut_executor *own = thread_pool(&in_program), *other = thread_pool(&loaded);
    for (int64_t n = 0; n < 1000; n++) {
        cfut_future *first, *second;
        NEED(in_program.submit(own, square_in_program, &n, sizeof n, &first) == CFUT_OK);
        NEED(loaded.submit(other, square_loaded, &n, sizeof n, &second) == CFUT_OK);
        expect_square(&loaded, second, n);
        expect_square(&in_program, first, n);
    }
    close_pool(&loaded, other);
    close_pool(&in_program, own);
}

static void in_a_forked_child(void)
{
    cfut_executor *own = thread_pool(&in_program), *other = thread_pool(&loaded);
    int status;
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        cfut_future *future;
        NEED(in_program.submit(own, square_in_program, NULL, 0, &future) == CFUT_EFORKED);
        NEED(loaded.submit(other, square_loaded, NULL, 0, &future) == CFUT_EFORKED);
        on_threads();
        exit(0);
    }
    NEED(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close_pool(&loaded, other);
    close_pool(&in_program, own);
}

static void expect_refusal(cfut_executor *pool)
{
    cfut_future *future;
    char text[512];
    cfut_status status = loaded.submit(pool, square_loaded, NULL, 0, &future);
    loaded.last_error(text, sizeof text);
    printf("%d: %s\n", (int)status, text);
    NEED(status == CFUT_ENOENT && strstr(text, "cfut_worker_main") != NULL);
}

/* cfut_worker_main() was called in the program's own copy: its workers are this program. Those of
 * the other are cfutures-worker, and reach functions of modules, not of this program. */
static void in_processes(const char *module)
{
    cfut_executor *own, *other;
    cfut_task *named;
    NEED(in_program.process_pool_new(NULL, &own) == CFUT_OK);
    NEED(loaded.process_pool_new(NULL, &other) == CFUT_OK);
    NEED(loaded.task_new_named(module, &named) == CFUT_OK);
    for (int64_t n = 0; n < 50; n++) {
        cfut_future *first, *second;
        NEED(in_program.submit(own, square_in_program, &n, sizeof n, &first) == CFUT_OK);
        NEED(loaded.submit_task(other, named, &n, sizeof n, &second) == CFUT_OK);
        expect_square(&in_program, first, n);
        expect_square(&loaded, second, n);
    }
    loaded.task_free(named);
    expect_refusal(other);
    close_pool(&loaded, other);
    close_pool(&in_program, own);
}

static void mixed(void)
{
    cfut_executor *pool = thread_pool(&in_program);
    puts("released by the other copy");
    fflush(stdout);
    loaded.executor_release(pool);
    puts("nobody has noticed");
}

/* PROGRAM LIBRARY "MODULE.so:FUNCTION", or PROGRAM LIBRARY mixed */
int main(int argc, char **argv)
{
    cfut_worker_main();
    NEED(argc == 3);
    load(argv[1]);
    if (strcmp(argv[2], "mixed") == 0) {
        mixed();
        return 0;
    }
    on_threads();
    in_a_forked_child();
    in_processes(argv[2]);
    on_threads();
    NEED(in_program.quiesce(CFUT_FOREVER) == CFUT_OK);
    NEED(loaded.quiesce(CFUT_FOREVER) == CFUT_OK);
    return 0;
}
