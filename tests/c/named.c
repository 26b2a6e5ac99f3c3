/* Tasks by name, on threads: registered ones, and symbols of modules. */
#include "parts.h"

#include <stdlib.h>

static cfut_task *task_by_name(const char *name)
{
    cfut_task *task = NULL;
    CHECK_OK(cfut_task_new_named(name, &task));
    CHECK(task != NULL);
    return task;
}

/* "module.so:symbol" of tests/c/module.c. */
static const char *in_module(const char *symbol)
{
    static char name[4096];
    const char *module = getenv("CFUT_TEST_MODULE");
    CHECK(module != NULL);
    snprintf(name, sizeof name, "%s:%s", module, symbol);
    return name;
}

static cfut_future *submit_named(cfut_executor *pool, const char *name, int64_t value)
{
    cfut_future *future = NULL;
    cfut_task *task = task_by_name(name);
    CHECK_OK(cfut_submit_task(pool, task, &value, sizeof value, &future));
    cfut_task_free(task);
    return future;
}

static void check_square(cfut_future *future, int64_t wanted)
{
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), wanted);
    cfut_future_release(future);
}

static int32_t double_task(cfut_promise *self, const void *data, size_t length)
{
    int64_t n;
    CHECK_EQ(length, sizeof n);
    memcpy(&n, data, sizeof n);
    n *= 2;
    CHECK_OK(cfut_promise_set_bytes(self, &n, sizeof n));
    return 0;
}

static void registered_name(void)
{
    cfut_executor *pool = check_pool(2);
    CHECK_OK(cfut_register("double", double_task));
    for (int64_t n = 0; n < 100; n++)
        check_square(submit_named(pool, "double", n), 2 * n);
    check_close(pool);
}

static void registered_again(void)
{
    CHECK_OK(cfut_register("echo", echo_task));
    CHECK_OK(cfut_register("echo", echo_task));
    CHECK_ERROR(cfut_register("echo", nothing_task), CFUT_EINVAL, "echo");
}

static void registered_after_the_builder_was_made(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_by_name("later");
    cfut_future *future = NULL;
    int64_t n = 21;
    CHECK_ERROR(cfut_submit_task(pool, task, &n, sizeof n, &future), CFUT_ENOENT, "later");
    CHECK(future == NULL);
    CHECK_OK(cfut_register("later", double_task));
    CHECK_OK(cfut_submit_task(pool, task, &n, sizeof n, &future));
    check_square(future, 42);
    cfut_task_free(task);
    check_close(pool);
}

static void symbol_of_a_module(void)
{
    cfut_executor *pool = check_pool(2);
    check_square(submit_named(pool, in_module("module_square"), 12), 144);
    check_square(submit_named(pool, in_module("module_square"), -3), 9);
    check_close(pool);
}

static void registered_name_comes_before_a_module(void)
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(cfut_register(in_module("module_square"), double_task));
    check_square(submit_named(pool, in_module("module_square"), 12), 24);
    check_close(pool);
}

static void unknown_names(void)
{
    static const char *const names[] = { "nothing of this name", "nowhere.so:symbol", ":", "a:", ":b" };
    cfut_executor *pool = check_pool(1);
    cfut_future *future = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cfut_task *task = task_by_name(names[i]);
        cfut_future *many[3] = { NULL, NULL, NULL };
        cfut_buffer *buffer = NULL;
        CHECK_ERROR(cfut_submit_task(pool, task, NULL, 0, &future), CFUT_ENOENT, names[i]);
        CHECK_STATUS(cfut_submit_many(pool, task, "abc", 1, 3, many), CFUT_ENOENT);
        CHECK_OK(cfut_buffer_new(8, 0, &buffer));
        CHECK_STATUS(cfut_submit_buffer(pool, task, buffer, &future), CFUT_ENOENT);
        cfut_buffer_release(buffer);
        CHECK(future == NULL && many[0] == NULL);
        cfut_task_free(task);
    }
    {
        cfut_task *task = task_by_name(in_module("no_such_symbol"));
        CHECK_ERROR(cfut_submit_task(pool, task, NULL, 0, &future), CFUT_ENOENT, "no_such_symbol");
        CHECK(future == NULL);
        cfut_task_free(task);
    }
    check_close(pool);
}

static void every_kind_of_submit(void)
{
    cfut_executor *pool = check_pool(2);
    cfut_task *task = task_by_name(in_module("module_square"));
    cfut_future *many[4];
    int64_t items[4] = { 1, 2, 3, 4 };
    cfut_buffer *buffer = NULL;
    cfut_future *future = NULL;
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], 4, many));
    for (int64_t i = 0; i < 4; i++)
        check_square(many[i], items[i] * items[i]);
    CHECK_OK(cfut_buffer_new(sizeof items[0], 0, &buffer));
    memcpy(cfut_buffer_data(buffer), &items[3], sizeof items[3]);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_buffer_release(buffer);
    check_square(future, 16);
    cfut_task_free(task);
    check_close(pool);
}

static void pipe_to_a_name(void)
{
    cfut_executor *pool = check_pool(1);
    int64_t n = 5;
    cfut_task *square = task_by_name(in_module("module_square")), *unknown = task_by_name("nobody");
    cfut_future *input = submit(pool, echo_task, &n, sizeof n), *output = NULL;
    CHECK_ERROR(cfut_future_pipe(input, pool, unknown, &output), CFUT_ENOENT, "nobody");
    CHECK(output == NULL);
    CHECK_OK(cfut_future_pipe(input, pool, square, &output));
    check_square(output, 25);
    cfut_future_release(input);
    cfut_task_free(unknown);
    cfut_task_free(square);
    check_close(pool);
}

static void initializer_by_name(void)
{
    cfut_executor *pool = NULL;
    cfut_options *options = options_of(2);
    int64_t value = 77;
    cfut_task *task = task_by_name(in_module("module_initialize"));
    CHECK_OK(cfut_options_set_initializer(options, task, &value, sizeof value));
    cfut_task_free(task);
    CHECK_OK(cfut_thread_pool_new(options, &pool));
    cfut_options_free(options);
    check_square(submit_named(pool, in_module("module_state"), 0), 77);
    check_close(pool);
}

static void initializer_by_an_unknown_name(void)
{
    cfut_executor *pool = NULL;
    cfut_options *options = options_of(2);
    cfut_task *task = task_by_name("no initializer");
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    cfut_task_free(task);
    CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_ENOENT, "no initializer");
    CHECK(pool == NULL);
    cfut_options_free(options);
}

static void names_that_are_none(void)
{
    static char longest[1026];
    cfut_task *task = NULL;
    memset(longest, 'x', 1025);
    CHECK_ERROR(cfut_register("", nothing_task), CFUT_EINVAL, "empty");
    CHECK_ERROR(cfut_register("\xff", nothing_task), CFUT_EINVAL, "UTF-8");
    CHECK_ERROR(cfut_register(longest, nothing_task), CFUT_EINVAL, "1025");
    CHECK_ERROR(cfut_register("x", NULL), CFUT_EINVAL, "NULL");
    CHECK_ERROR(cfut_register(NULL, nothing_task), CFUT_EINVAL, "NULL");
    CHECK_ERROR(cfut_task_new_named("", &task), CFUT_EINVAL, "empty");
    CHECK_ERROR(cfut_task_new_named(longest, &task), CFUT_EINVAL, "1025");
    CHECK_ERROR(cfut_task_new_named(NULL, &task), CFUT_EINVAL, "NULL");
    CHECK_ERROR(cfut_task_new_named("x", NULL), CFUT_EINVAL, "NULL");
    CHECK(task == NULL);
    longest[1024] = 0;
    CHECK_OK(cfut_register(longest, nothing_task));
}

static void shared_buffers_on_threads(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_by_name(in_module("module_square"));
    cfut_buffer *buffer = NULL, *empty = NULL;
    cfut_future *future = NULL;
    int64_t n = 11;
    CHECK_OK(cfut_buffer_new(sizeof n, CFUT_BUFFER_SHARED, &buffer));
    CHECK_EQ(cfut_buffer_size(buffer), sizeof n);
    CHECK_EQ((uintptr_t)cfut_buffer_data(buffer) % 64, 0);
    CHECK(memcmp(cfut_buffer_data(buffer), "\0\0\0\0\0\0\0", sizeof n) == 0);
    memcpy(cfut_buffer_data(buffer), &n, sizeof n);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_buffer_release(buffer);
    check_square(future, 121);
    CHECK_OK(cfut_buffer_new(0, CFUT_BUFFER_SHARED, &empty));
    CHECK_EQ(cfut_buffer_size(empty), 0);
    cfut_buffer_release(empty);
    CHECK_STATUS(cfut_buffer_new(SIZE_MAX / 2, CFUT_BUFFER_SHARED, &empty), CFUT_ENOMEM);
    CHECK_STATUS(cfut_buffer_new(8, 2, &empty), CFUT_EINVAL);
    cfut_task_free(task);
    check_close(pool);
}

/* A program that no pool has started is none of theirs, whatever its environment says. */
static void worker_calls_in_a_program(void)
{
    static const char *const values[] = { "", "3", "1:00000000000000000000000000000000",
                                          "3:00000000000000000000000000000000", "x" };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        CHECK_EQ(setenv("CFUT_WORKER", values[i], 1), 0);
        cfut_worker_main();
        CHECK(getenv("CFUT_WORKER") == NULL);
        CHECK_EQ(setenv("CFUT_WORKER", values[i], 1), 0);
        CHECK_ERROR(cfut_worker_run(), CFUT_ESTATE, "CFUT_OPT_WORKER_PROGRAM");
    }
    cfut_worker_main();
}

CHECK_MAIN(CASE(registered_name), CASE(registered_again),
           CASE(registered_after_the_builder_was_made), CASE(symbol_of_a_module),
           CASE(registered_name_comes_before_a_module), CASE(unknown_names),
           CASE(every_kind_of_submit), CASE(pipe_to_a_name), CASE(initializer_by_name),
           CASE(initializer_by_an_unknown_name), CASE(names_that_are_none),
           CASE(shared_buffers_on_threads), CASE(worker_calls_in_a_program))
