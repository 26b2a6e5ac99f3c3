/* Coroutines (C++20): co_await of futures, in which thread they go on, exceptions, and what is left
 * of them. */
#include "check.hpp"

#if !defined(CFUT_HAS_COROUTINES)
#error "this suite is for C++20"
#endif

static int throws(int n)
{
    if (n < 0)
        throw std::domain_error("negative");
    return n;
}

static cfut::future<int> sum(const cfut::executor &pool, int n)
{
    counted local(n);
    int total = 0;
    for (int i = 1; i <= n; i++)
        total += co_await pool.submit([i] { return i; });
    co_return total;
}

static void awaits_results()
{
    {
        cfut::thread_pool pool(2);
        CHECK_EQ(sum(pool, 100).get(), 5050);
        CHECK_EQ(sum(pool, 0).get(), 0);
        auto nested = [](const cfut::executor &on) -> cfut::future<std::string> {
            co_return std::to_string(co_await sum(on, 10)) + "!";
        };
        CHECK_STRING(nested(pool).get(), "55!");
        auto moved = [](const cfut::executor &on) -> cfut::future<std::unique_ptr<int>> {
            auto got = co_await on.submit([] { return std::make_unique<int>(4); });
            co_return got;
        };
        CHECK_EQ(*moved(pool).get(), 4);
    }
    check_none_alive();
}

static cfut::future<void> catches(const cfut::executor &pool, int &seen)
{
    counted local;
    try {
        co_await pool.submit([] { throw std::out_of_range("in a task"); });
    } catch (const std::out_of_range &) {
        seen = 1;
    }
    co_await pool.submit<&throws>(-1); // leaves as cfut::failed
    seen = 2;
}

static void exceptions_come_out_of_co_await()
{
    cfut::thread_pool pool(2);
    int seen = 0;
    CHECK_THROWS_AND(cfut::failed, catches(pool, seen).get(),
                     CHECK_STRING(caught.type_name(), "std::domain_error"));
    CHECK_EQ(seen, 1);
    auto at_once = []() -> cfut::future<int> {
        throw std::out_of_range("before the first wait");
        co_return 1;
    };
    CHECK_SAYS(std::out_of_range, at_once().get(), "before the first");
    check_none_alive();
}

static cfut::future<bool> goes_on_in(const cfut::executor &from, const cfut::executor &to)
{
    cfut::promise<int> promise;
    auto future = promise.get_future();
    from.post([promise = std::move(promise)] { promise.set_value(1); });
    co_await future.on(to);
    co_return cfut::executor::current().native() == to.native();
}

static void goes_on_where_it_is_told()
{
    cfut::thread_pool one(1), two(1);
    CHECK(goes_on_in(one, two).get());
    CHECK(goes_on_in(two, two).get());
    auto settling = [](const cfut::executor &pool) -> cfut::future<bool> {
        gate stage = GATE_CLOSED;
        auto future = pool.submit([&stage] {
            latch_wait(&stage.open);
            return std::this_thread::get_id();
        });
        std::thread opener([&stage] {
            std::this_thread::sleep_for(5ms);
            latch_open(&stage.open);
        });
        const auto worker = co_await future;
        opener.detach();
        // In the thread that settles it, unless it was settled when it was awaited.
        co_return worker == std::this_thread::get_id();
    };
    settling(one).get();
}

static void goes_on_at_once_if_it_is_settled()
{
    cfut::promise<int> promise;
    auto future = promise.get_future();
    promise.set_value(3);
    const auto here = std::this_thread::get_id();
    auto coroutine = [&]() -> cfut::future<bool> {
        co_await future;
        co_return std::this_thread::get_id() == here;
    };
    auto result = coroutine();
    CHECK(result.done());
    CHECK(result.get());
    auto empty = []() -> cfut::future<void> {
        cfut::future<int> none;
        co_await none;
    };
    CHECK_THROWS(cfut::error, empty().get());
}

static cfut::future<bool> hops(const cfut::executor &pool)
{
    counted local;
    co_await pool.schedule();
    co_return cfut::executor::current().native() == pool.native();
}

static void hops_onto_an_executor()
{
    {
        cfut::thread_pool pool(1);
        CHECK(hops(pool).get());
        cfut::loop loop;
        auto later = hops(loop);
        CHECK(!later.done());
        loop.poll();
        CHECK(later.get());
        // Cancelled before it could: it sees that, and its locals go.
        auto never = hops(loop);
        loop.shutdown(CFUT_SHUTDOWN_CANCEL);
        CHECK_THROWS(cfut::cancelled, never.get());
        CHECK_THROWS_AND(cfut::error, hops(loop).get(),
                         CHECK_EQ(caught.status(), CFUT_ESHUTDOWN));
    }
    check_none_alive();
}

static void outlives_the_handles_of_its_future()
{
    {
        cfut::thread_pool pool(2);
        latch done = LATCH_CLOSED;
        auto coroutine = [&]() -> cfut::future<void> {
            counted local;
            for (int i = 0; i < 10; i++)
                co_await pool.submit([] {});
            latch_open(&done);
        };
        coroutine(); // nobody keeps the future
        latch_wait(&done);
    }
    check_none_alive();
}

static void many_at_once()
{
    cfut::thread_pool pool(4);
    std::vector<cfut::future<int>> all;
    for (int i = 0; i < 200; i++)
        all.push_back(sum(pool, 50));
    for (int n : cfut::when_all(std::move(all)).get())
        CHECK_EQ(n, 1275);
    check_none_alive();
}

CHECK_MAIN(CASE(awaits_results), CASE(exceptions_come_out_of_co_await),
           CASE(goes_on_where_it_is_told), CASE(goes_on_at_once_if_it_is_settled),
           CASE(hops_onto_an_executor), CASE(outlives_the_handles_of_its_future),
           CASE(many_at_once))
