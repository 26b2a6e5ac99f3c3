/* Futures and promises: get() once, waits with any clock, continuations, callbacks, what outlives
 * what. */
#include "check.hpp"

static void get_empties_the_future()
{
    cfut::thread_pool pool(1);
    auto future = pool.submit([] { return 1; });
    CHECK(future.valid());
    CHECK_EQ(future.get(), 1);
    CHECK(!future.valid());
    CHECK_THROWS_AND(cfut::error, future.get(), CHECK_EQ(caught.status(), CFUT_EINVAL);
                     check_words(caught.what(), "share()", __LINE__));
    cfut::future<int> none;
    CHECK_THROWS(cfut::error, none.wait());
    CHECK_THROWS(cfut::error, none.cancel());
    CHECK_THROWS(cfut::error, none.done());
    CHECK_THROWS(cfut::error, none.share());
    CHECK_THROWS(cfut::error, none.then([](int) {}));
    CHECK_THROWS(cfut::error, none.on_done([](const cfut::shared_future<int> &) {}));
    auto moved = pool.submit([] { return 2; });
    auto to = std::move(moved);
    CHECK(!moved);
    CHECK_EQ(to.get(), 2);
}

static void waits_with_every_clock()
{
    cfut::thread_pool pool(2);
    cfut::promise<int> promise;
    auto future = promise.get_future();
    CHECK_STATUS(future.wait_for(1ms), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_for(0s), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_for(-1h), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_for(std::chrono::duration<double>(0.001)), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_for(std::chrono::duration<double, std::pico>(1)), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_for(std::chrono::hours::min()), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_for(std::chrono::duration<double>(-1e300)), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_until(std::chrono::steady_clock::now() + 1ms), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_until(std::chrono::system_clock::now() + 1ms), CFUT_TIMEOUT);
    CHECK_STATUS(future.wait_until(std::chrono::system_clock::time_point::min()), CFUT_TIMEOUT);
    CHECK_THROWS_AND(cfut::timeout, future.get_for(1ms), CHECK_EQ(caught.status(), CFUT_TIMEOUT));
    CHECK(future.valid());
    pool.post([&promise] { promise.set_value(3); });
    CHECK_OK(future.wait_until(std::chrono::system_clock::time_point::max()));
    CHECK_OK(future.wait_for(std::chrono::hours::max()));
    CHECK_OK(future.wait_for(std::chrono::duration<double>(1e300)));
    CHECK_OK(future.wait_for(-1s));
    CHECK_EQ(future.get_for(1h), 3);
}

static void time_is_rounded_up_and_never_overflows()
{
    using cfut::detail::nanoseconds;
    CHECK_EQ(nanoseconds(0s), 0);
    CHECK_EQ(nanoseconds(1ns), 1);
    CHECK_EQ(nanoseconds(-1ns), 0);
    CHECK_EQ(nanoseconds(2h), INT64_C(7200000000000));
    CHECK_EQ(nanoseconds(std::chrono::duration<int64_t, std::pico>(1)), 1);
    CHECK_EQ(nanoseconds(std::chrono::duration<int64_t, std::pico>(1001)), 2);
    CHECK_EQ(nanoseconds(std::chrono::duration<double>(1e-12)), 1);
    CHECK_EQ(nanoseconds(std::chrono::duration<double>(2.5e-9)), 3);
    CHECK_EQ(nanoseconds(std::chrono::duration<int64_t, std::ratio<1, 3>>(1)), 333333334);
    CHECK_EQ(nanoseconds(std::chrono::hours::max()), CFUT_FOREVER);
    CHECK_EQ(nanoseconds(std::chrono::hours::min()), 0);
    CHECK_EQ(nanoseconds(std::chrono::nanoseconds::max()), CFUT_FOREVER);
    CHECK_EQ(nanoseconds(std::chrono::duration<double>(1e300)), CFUT_FOREVER);
    CHECK_EQ(nanoseconds(std::chrono::duration<double>(
                 std::numeric_limits<double>::quiet_NaN())),
             0);
    CHECK_EQ(nanoseconds(std::chrono::duration<double>(std::numeric_limits<double>::infinity())),
             CFUT_FOREVER);
    CHECK_EQ(nanoseconds(std::chrono::duration<unsigned char>(200)), INT64_C(200000000000));
}

static void shared_futures_give_copies()
{
    {
        cfut::thread_pool pool(2);
        auto shared = pool.submit([] { return counted(5); }).share();
        auto other = shared;
        CHECK_EQ(shared.get().number, 5);
        CHECK_EQ(shared.get().number, 5);
        CHECK_EQ(other.get_for(1s).number, 5);
        CHECK_EQ(other.then([](const counted &one) { return one.number + 1; }).get(), 6);
        CHECK_EQ(other.get().number, 5);
        other = cfut::shared_future<counted>();
        CHECK(!other.valid());
        CHECK_EQ(pool.submit([] { return std::string("text"); }).share().get().size(), 4);
        auto failed = pool.submit([]() -> int { throw std::out_of_range("twice"); }).share();
        CHECK_THROWS(std::out_of_range, failed.get());
        CHECK_THROWS(std::out_of_range, failed.get());
        CHECK_THROWS(std::out_of_range, failed.then([](int n) { return n; }).get());
        CHECK(failed.then([](const cfut::shared_future<int> &f) { return f.done(); }).get());
        auto nothing = pool.submit([] {}).share();
        nothing.get();
        nothing.then([] {}).get();
    }
    check_none_alive();
}

static void continuations()
{
    cfut::thread_pool pool(2), other(2);
    auto text = pool.submit([] { return 20; })
                    .then([](int n) { return n + 1; })
                    .then(other, [](int n) { return std::to_string(n); })
                    .then([](std::string s) { return s + "!"; });
    CHECK_STRING(text.get(), "21!");
    auto moved = pool.submit([] { return std::make_unique<int>(3); })
                     .then([](std::unique_ptr<int> p) { return p; })
                     .then(pool, [](std::unique_ptr<int> p) { return *p; });
    CHECK_EQ(moved.get(), 3);
    std::atomic<bool> ran{ false };
    pool.submit([] {}).then([&] { ran = true; }).get();
    CHECK(ran);
    CHECK(other.submit([] {})
              .then(other, [&] { return cfut::executor::current().native() == other.native(); })
              .get());
}

static void failures_pass_by_continuations()
{
    cfut::thread_pool pool(2);
    std::atomic<bool> ran{ false };
    auto next = pool.submit([]() -> int { throw std::out_of_range("first"); }).then([&](int) {
        ran = true;
    });
    CHECK_SAYS(std::out_of_range, next.get(), "first");
    CHECK(!ran);
    auto caught_one =
        pool.submit([]() -> int { throw std::out_of_range("first"); }).then([](cfut::future<int> f) {
            try {
                return f.get();
            } catch (const std::out_of_range &) {
                return -1;
            }
        });
    CHECK_EQ(caught_one.get(), -1);
    auto throws = pool.submit([] { return 1; }).then([](int) { throw std::logic_error("second"); });
    CHECK_SAYS(std::logic_error, throws.get(), "second");
    cfut::promise<int> promise;
    auto cancelled = promise.get_future().then([](int n) { return n; });
    promise.set_cancelled();
    CHECK_THROWS(cfut::cancelled, cancelled.get());
    CHECK_EQ(cancelled.valid(), false);
    auto broken = cfut::promise<int>().get_future().then([](int n) { return n; });
    CHECK_THROWS(cfut::broken, broken.get());
}

static void a_cancelled_continuation_is_destroyed_once()
{
    cfut::promise<int> promise;
    auto next = promise.get_future().then([held = counted(1)](int n) { return n + held.number; });
    CHECK_OK(next.cancel());
    check_none_alive();
    promise.set_value(1);
    CHECK_THROWS(cfut::cancelled, next.get());
}

static void callbacks()
{
    cfut::thread_pool pool(2);
    cfut::promise<std::string> promise;
    auto future = promise.get_future();
    std::vector<int> order;
    future.on_done([&, held = counted(1)](cfut::shared_future<std::string> f) {
        CHECK_STRING(f.get(), "done");
        order.push_back(held.number);
    });
    future.on_done([&](const cfut::shared_future<std::string> &) { order.push_back(2); });
    latch elsewhere = LATCH_CLOSED;
    future.on_done(pool, [&](const cfut::shared_future<std::string> &f) {
        CHECK(cfut::executor::current().native() == pool.native());
        CHECK(f.done());
        latch_open(&elsewhere);
    });
    CHECK(promise.set_value("done"));
    CHECK_EQ(order.size(), 2);
    CHECK_EQ(order[0], 1);
    latch_wait(&elsewhere);
    future.on_done([&](const auto &) { order.push_back(3); }); // at once
    CHECK_EQ(order.back(), 3);
    CHECK_STRING(future.get(), "done");
    check_none_alive();
}

static void exceptions_of_callbacks_go_to_the_log()
{
    log_kept log;
    cfut::thread_pool pool(1);
    auto future = pool.submit([] { return 1; });
    future.wait();
    future.on_done([](const auto &) { throw std::runtime_error("in a callback"); });
    CHECK(log.has("in a callback"));
    future.on_done(pool, [](const auto &) { throw 3; });
    CHECK_EQ(future.get(), 1);
    CHECK_SOON(log.has("exception of type int"));
}

static void promises()
{
    cfut::promise<std::string> promise;
    CHECK(!promise.stop_requested());
    auto future = promise.get_future();
    CHECK_THROWS_AND(cfut::error, promise.get_future(), CHECK_EQ(caught.status(), CFUT_ESTATE));
    CHECK(promise.start());
    promise.progress(1, 2);
    CHECK_EQ(future.progress().second, 2);
    CHECK_STATUS(future.cancel(cfut::cancel_mode::stop), CFUT_PENDING);
    CHECK(promise.stop_requested());
    CHECK(promise.token().stop_requested());
    CHECK(promise.set_value(3u, 'x'));
    CHECK(!promise.set_value("late"));
    CHECK(!promise.fail(3, "late"));
    CHECK(!promise.set_exception(std::make_exception_ptr(1)));
    CHECK_STRING(future.get(), "xxx");

    cfut::promise<void> second;
    auto failure = second.get_future();
    CHECK(second.fail(12, "by hand"));
    CHECK_THROWS_AND(cfut::failed, failure.get(), CHECK_EQ(caught.code(), 12));
    cfut::promise<counted> third;
    auto thrown = third.get_future();
    third.set_exception(std::make_exception_ptr(std::out_of_range("given")));
    CHECK_SAYS(std::out_of_range, thrown.get(), "given");
    cfut::promise<int> fourth;
    auto cancelled = fourth.get_future();
    CHECK_OK(cancelled.cancel());
    CHECK(!fourth.start());
    CHECK_THROWS(cfut::cancelled, cancelled.get());
    auto broken = cfut::promise<void>().get_future();
    CHECK_THROWS(cfut::broken, broken.get());
}

static void cancelled_before_the_start_is_destroyed_once()
{
    cfut::thread_pool pool(1);
    occupied busy(pool);
    auto future = pool.submit([held = counted(1)] { return held.number; });
    CHECK_EQ(counted::alive, 1);
    CHECK_OK(future.cancel());
    CHECK_EQ(counted::alive, 0);
    CHECK_THROWS(cfut::cancelled, future.get());
    busy.open();
}

static void futures_outlive_their_pool()
{
    cfut::future<std::string> text;
    cfut::future<int> thrown;
    {
        cfut::thread_pool pool(2);
        text = pool.submit([] { return std::string(100, 'y'); });
        thrown = pool.submit([]() -> int { throw std::out_of_range("kept"); });
    }
    CHECK_STRING(text.get(), std::string(100, 'y'));
    CHECK_SAYS(std::out_of_range, thrown.get(), "kept");
}

static void a_pool_with_work_queued_finishes_it()
{
    std::atomic<int> ran{ 0 };
    {
        cfut::thread_pool pool(1);
        occupied busy(pool);
        for (int i = 0; i < 100; i++)
            pool.post([&] { ran++; });
        auto let_go = pool.submit([&] { ran++; });
        busy.open();
    }
    CHECK_EQ(ran, 101);
    std::vector<cfut::future<int>> futures;
    {
        cfut::thread_pool pool(1);
        auto busy = std::make_unique<occupied>(pool);
        for (int i = 0; i < 10; i++)
            futures.push_back(pool.submit([held = counted(i)] { return held.number; }));
        CHECK_STATUS(pool.shutdown(CFUT_SHUTDOWN_CANCEL, 0s), CFUT_TIMEOUT);
        check_none_alive();
        busy->open();
    }
    for (auto &future : futures)
        CHECK_THROWS(cfut::cancelled, future.get());
}

static void moved_pools_wait_where_they_are()
{
    std::atomic<int> ran{ 0 };
    {
        cfut::executor any;
        {
            cfut::thread_pool pool(1);
            any = std::move(pool);
            CHECK(!pool);
        }
        any.post([&] {
            std::this_thread::sleep_for(5ms);
            ran++;
        });
        cfut::executor shared = any.share();
        CHECK(shared.native() == any.native());
        any = cfut::thread_pool(1); // waits for the first
        CHECK_EQ(ran, 1);
        CHECK_THROWS_AND(cfut::error, shared.submit([] {}),
                         CHECK_EQ(caught.status(), CFUT_ESHUTDOWN));
        any.post([&] { ran++; });
    }
    CHECK_EQ(ran, 2);
}

static void a_pool_may_go_in_a_task_of_its_own()
{
    latch done = LATCH_CLOSED;
    auto pool = std::make_shared<cfut::thread_pool>(1);
    pool->post([pool, &done]() mutable {
        pool.reset();
        latch_open(&done);
    });
    pool.reset();
    latch_wait(&done);
    CHECK_OK(cfut::quiesce(30s));
}

static void a_wait_that_cannot_end_is_an_error()
{
    cfut::thread_pool pool(1);
    cfut::promise<cfut::future_base *> own;
    auto given = own.get_future();
    auto future = pool.submit([&] {
        CHECK_THROWS_AND(cfut::error, given.get()->wait(),
                         CHECK_EQ(caught.status(), CFUT_EDEADLK));
    });
    own.set_value(&future);
    future.wait();
    future.get();
}

static void c_handles()
{
    cfut_promise *writer;
    cfut_future *reader;
    CHECK_OK(cfut_promise_new(&writer, &reader));
    auto future = cfut::future<int64_t>::adopt(reader);
    int64_t n = 77;
    CHECK_OK(cfut_promise_set_bytes(writer, &n, sizeof n));
    cfut_promise_release(writer);
    CHECK_EQ(future.get(), 77);
    CHECK_OK(cfut_promise_new(&writer, &reader));
    CHECK_OK(cfut_promise_set_bytes(writer, "abc", 3));
    cfut_promise_release(writer);
    auto shared = cfut::shared_future<int64_t>::adopt(reader);
    CHECK_SAYS(cfut::error, shared.get(), "3 are left");
    CHECK(cfut::executor::adopt(check_pool(1)).submit([] { return true; }).get());
    cfut::thread_pool pool(1);
    cfut_future *raw = pool.submit([] { return 1; }).release();
    CHECK_OK(cfut_future_wait(raw, CFUT_FOREVER));
    cfut_future_release(raw);
}

#if defined(__cpp_lib_jthread)
static void std_stop_tokens_cancel()
{
    cfut::thread_pool pool(1);
    std::stop_source source;
    gate stage = GATE_CLOSED;
    auto runs = pool.submit([&](cfut::context &self) {
        latch_open(&stage.entered);
        while (!self.stop_requested())
            std::this_thread::sleep_for(1ms);
        self.throw_if_stop_requested();
    });
    auto waits = pool.submit([held = counted(1)] { return held.number; });
    runs.stop_with(source.get_token());
    waits.stop_with(source.get_token());
    latch_wait(&stage.entered);
    source.request_stop();
    CHECK_THROWS(cfut::cancelled, runs.get());
    CHECK_THROWS(cfut::cancelled, waits.get());
    auto late = pool.submit([] { return 1; });
    late.wait();
    late.stop_with(source.get_token());
    CHECK_EQ(late.get(), 1);
    std::stop_source unused;
    auto untouched = pool.submit([] { return 2; });
    untouched.stop_with(unused.get_token());
    CHECK_EQ(untouched.get(), 2);
    unused.request_stop();
    check_none_alive();
}
#else
static void std_stop_tokens_cancel()
{
    puts("skipped: this C++ has no std::stop_token");
}
#endif

CHECK_MAIN(CASE(get_empties_the_future), CASE(waits_with_every_clock),
           CASE(time_is_rounded_up_and_never_overflows), CASE(shared_futures_give_copies),
           CASE(continuations), CASE(failures_pass_by_continuations),
           CASE(a_cancelled_continuation_is_destroyed_once), CASE(callbacks),
           CASE(exceptions_of_callbacks_go_to_the_log), CASE(promises),
           CASE(cancelled_before_the_start_is_destroyed_once), CASE(futures_outlive_their_pool),
           CASE(a_pool_with_work_queued_finishes_it), CASE(moved_pools_wait_where_they_are),
           CASE(a_pool_may_go_in_a_task_of_its_own), CASE(a_wait_that_cannot_end_is_an_error),
           CASE(c_handles), CASE(std_stop_tokens_cancel))
