// The C interface as a C++ program without a wrapper uses it, and what an exception does that
// leaves a function which the library called.
#include "check.h"

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

// Functions without captures are C functions to every compiler that matters here.
static const cfut_task_fn square = [](cfut_promise *promise, const void *data, size_t) -> int32_t {
    int64_t n = *static_cast<const int64_t *>(data);
    n *= n;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
};

static void works()
{
    cfut_executor *pool = check_pool(2);
    std::vector<cfut_future *> futures(100);
    for (int64_t n = 0; n < 100; n++)
        CHECK_OK(cfut_submit(pool, square, &n, sizeof n, &futures[static_cast<size_t>(n)]));
    CHECK_OK(cfut_wait_many(futures.data(), futures.size(), CFUT_WAIT_ALL, CFUT_FOREVER, nullptr,
                            nullptr));
    for (int64_t n = 0; n < 100; n++) {
        cfut_future *future = futures[static_cast<size_t>(n)];
        CHECK_EQ(*static_cast<const int64_t *>(cfut_future_bytes(future, nullptr)), n * n);
        cfut_future_release(future);
    }

    // An object travels in, another one out.
    cfut_future *future;
    auto *words = new std::string("moved");
    CHECK_OK(cfut_submit_closure(
        pool,
        [](cfut_promise *promise, void *arg) -> int32_t {
            auto *answer = new std::string(*static_cast<std::string *>(arg) + " there and back");
            return cfut_promise_set_value(
                promise, answer, [](void *value) { delete static_cast<std::string *>(value); });
        },
        words, [](void *arg) { delete static_cast<std::string *>(arg); }, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    auto *answer = static_cast<std::string *>(cfut_future_take(future));
    CHECK_TEXT(answer->c_str(), "moved there and back");
    delete answer;
    cfut_future_release(future);

    // An exception that the task itself catches is nobody's business.
    CHECK_OK(cfut_submit_closure(
        pool,
        [](cfut_promise *promise, void *) -> int32_t {
            try {
                throw std::runtime_error("inside");
            } catch (const std::exception &caught) {
                return cfut_promise_fail(promise, 7, caught.what());
            }
        },
        nullptr, nullptr, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 7);
    CHECK_TEXT(cfut_future_message(future), "inside");
    cfut_future_release(future);

    // Threads of the C++ library are as good as any.
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([pool] {
            int64_t three = 3;
            cfut_future *nine;
            CHECK_OK(cfut_submit(pool, square, &three, sizeof three, &nine));
            CHECK_OK(cfut_future_wait(nine, CFUT_FOREVER));
            cfut_future_release(nine);
        });
    }
    for (auto &thread : threads)
        thread.join();
    check_close(pool);
}

// ---- exceptions that leave a C function ----

[[noreturn]] static void leave()
{
    throw std::runtime_error("out of a C function");
}

// The program must not get here.
static void survived()
{
    fprintf(stderr, "the exception did not end the program\n");
    fflush(stderr);
    _exit(3);
}

static const cfut_task_fn throwing_task = [](cfut_promise *, const void *, size_t) -> int32_t {
    leave();
};
static const cfut_closure_fn throwing_closure = [](cfut_promise *, void *) -> int32_t { leave(); };
static const cfut_done_fn throwing_callback = [](cfut_future *, void *) { leave(); };
static const cfut_free_fn throwing_free = [](void *) { leave(); };

static void wait_for_end(cfut_executor *pool)
{
    cfut_executor_shutdown(pool, 0, CFUT_FOREVER);
    survived();
}

static void task()
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(cfut_submit(pool, throwing_task, nullptr, 0, nullptr));
    wait_for_end(pool);
}

static void closure()
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(cfut_submit_closure(pool, throwing_closure, nullptr, nullptr, nullptr));
    wait_for_end(pool);
}

static void free_function()
{
    cfut_executor *pool = check_pool(1);
    CHECK_OK(cfut_submit_closure(
        pool, [](cfut_promise *, void *) -> int32_t { return 0; }, nullptr, throwing_free,
        nullptr));
    wait_for_end(pool);
}

static void callback_of_a_worker()
{
    static gate at = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &at);
    CHECK_OK(cfut_future_on_done(future, nullptr, throwing_callback, nullptr, nullptr));
    latch_open(&at.open);
    wait_for_end(pool);
}

static void callback_at_once()
{
    cfut_promise *promise;
    cfut_future *future;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_promise_set_bytes(promise, nullptr, 0));
    cfut_future_on_done(future, nullptr, throwing_callback, nullptr, nullptr);
    survived();
}

static void callback_of_a_cancel()
{
    cfut_promise *promise;
    cfut_future *future;
    CHECK_OK(cfut_promise_new(&promise, &future));
    CHECK_OK(cfut_future_on_done(future, nullptr, throwing_callback, nullptr, nullptr));
    cfut_future_cancel(future, CFUT_CANCEL_PENDING);
    survived();
}

static void task_of_a_helping_waiter()
{
    static gate at = GATE_CLOSED;
    cfut_options *options = cfut_options_new();
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 2));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WAITERS_HELP, 1));
    cfut_executor *pool = check_pool_with(options);
    gate_submit(pool, &at);
    cfut_future *future;
    CHECK_OK(cfut_submit(pool, throwing_task, nullptr, 0, &future));
    cfut_future_wait(future, CFUT_FOREVER);
    survived();
}

static void task_run_in_the_submit()
{
    static gate at = GATE_CLOSED;
    cfut_options *options = cfut_options_new();
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 1));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 1));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_RUN_IN_CALLER));
    cfut_executor *pool = check_pool_with(options);
    gate_submit(pool, &at);
    CHECK_OK(cfut_submit(pool, nothing_task, nullptr, 0, nullptr));
    cfut_submit(pool, throwing_task, nullptr, 0, nullptr);
    survived();
}

static const cfut_task_fn waiting_task = [](cfut_promise *, const void *, size_t) -> int32_t {
    cfut_future *inner;
    CHECK_OK(cfut_submit(cfut_executor_current(), throwing_task, nullptr, 0, &inner));
    cfut_future_wait(inner, CFUT_FOREVER);
    survived();
    return 0;
};

static void nested_task()
{
    cfut_executor *pool = check_pool(1);
    cfut_future *outer;
    CHECK_OK(cfut_submit(pool, waiting_task, nullptr, 0, &outer));
    cfut_future_wait(outer, CFUT_FOREVER);
    survived();
}

static void hook()
{
    cfut_options *options = cfut_options_new();
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 1));
    CHECK_OK(cfut_options_set_worker_hooks(
        options, [](void *, uint32_t) -> int32_t { leave(); }, nullptr, nullptr, nullptr));
    cfut_executor *pool = check_pool_with(options);
    CHECK_OK(cfut_submit(pool, nothing_task, nullptr, 0, nullptr));
    wait_for_end(pool);
}

CHECK_MAIN(CASE(works), CASE(task), CASE(closure), CASE(free_function),
           CASE(callback_of_a_worker), CASE(callback_at_once), CASE(callback_of_a_cancel),
           CASE(task_of_a_helping_waiter), CASE(task_run_in_the_submit), CASE(nested_task),
           CASE(hook))
