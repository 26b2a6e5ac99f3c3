/* C++ in tasks: what is thrown must be caught in there; one that leaves a task ends the
 * program, and does so at once. A thread that ends inside a task runs destructors on its way. */
#include "child.h"

#include <atomic>
#include <stdexcept>

static int32_t catches(cfut_promise *self, const void *, size_t)
{
    try {
        throw std::runtime_error("thrown and caught");
    } catch (const std::exception &error) {
        return cfut_promise_fail(self, 41, error.what());
    }
}

static void caught_in_the_task()
{
    cfut_executor *pool = check_pool(2);
    for (int i = 0; i < 100; i++) {
        cfut_future *future;
        CHECK_OK(cfut_submit(pool, catches, nullptr, 0, &future));
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_TEXT(cfut_future_message(future), "thrown and caught");
        cfut_future_release(future);
    }
    check_close(pool);
}

static int32_t throws(cfut_promise *, const void *, size_t)
{
    throw std::runtime_error("leaves a task");
}

static void throwing_callback(cfut_future *, void *)
{
    throw 1;
}

static void no_core()
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    fclose(stderr);
}

static void leave_task()
{
    no_core();
    cfut_executor *pool = check_pool(1);
    cfut_future *future;
    CHECK_OK(cfut_submit(pool, throws, nullptr, 0, &future));
    cfut_future_wait(future, CFUT_FOREVER);
}

static void leave_callback_in_worker()
{
    no_core();
    gate stage = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &stage);
    CHECK_OK(cfut_future_on_done(future, nullptr, throwing_callback, nullptr, nullptr));
    latch_open(&stage.open);
    for (;;)
        pause();
}

static void aborts(void (*run)())
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        child_watchdog();
        run();
        _exit(0);
    }
    CHILD_KILLED(child, SIGABRT);
}

static void left_to_the_library()
{
    aborts(leave_task);
    aborts(leave_callback_in_worker);
}

static std::atomic<int> alive(0);

struct Counted {
    Counted() { alive++; }
    ~Counted() { alive--; }
};

static int32_t ends_its_thread(cfut_promise *, const void *, size_t)
{
    Counted counted;
    pthread_exit(nullptr);
}

static void destructors_of_a_task_that_ends_its_thread()
{
    cfut_executor *pool = check_pool(2);
    for (int i = 0; i < 50; i++) {
        cfut_future *future;
        CHECK_OK(cfut_submit(pool, ends_its_thread, nullptr, 0, &future));
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
        CHECK_EQ(cfut_future_code(future), CFUT_EPANIC);
        cfut_future_release(future);
    }
    CHECK_EQ(alive.load(), 0);
    check_close(pool);
}

/* An object of the program that has an executor, and ends it when the program ends. */
struct Owner {
    cfut_executor *pool = nullptr;
    ~Owner()
    {
        if (pool == nullptr)
            return;
        for (int i = 0; i < 100; i++)
            CHECK_OK(cfut_submit(pool, nothing_task, nullptr, 0, nullptr));
        check_close(pool);
    }
};

static Owner owner;

static void end_with_owner()
{
    owner.pool = check_pool(3);
    exit(0);
}

static void static_object_has_an_executor()
{
    for (int i = 0; i < 20; i++)
        child_run(end_with_owner);
}

struct Late {
    int touched = 0;
    ~Late()
    {
        cfut_promise *promise;
        cfut_future *future;
        CHECK_OK(cfut_promise_new(&promise, &future));
        cfut_promise_release(promise);
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
        cfut_future_release(future);
        alive--;
    }
};

static thread_local Late late;

static int32_t touches_late(cfut_promise *, const void *, size_t)
{
    alive++;
    late.touched++;
    return 0;
}

/* Its destructor runs as the worker's thread ends, after the library is done with it. */
static void thread_local_object_calls()
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(cfut_submit(pool, touches_late, nullptr, 0, nullptr));
    check_close(pool);
    CHECK_EQ(alive.load(), 0);
}

CHECK_MAIN(CASE(caught_in_the_task), CASE(left_to_the_library),
           CASE(destructors_of_a_task_that_ends_its_thread), CASE(static_object_has_an_executor),
           CASE(thread_local_object_calls))
