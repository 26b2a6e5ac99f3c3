/* Several futures: when_all, when_any, as_completed, queues, waits; maps and parallel loops. */
#include "check.hpp"

#include <list>
#include <map>
#include <poll.h>

static void when_all_of_a_vector()
{
    cfut::thread_pool pool(2);
    std::vector<cfut::future<std::unique_ptr<int>>> futures;
    for (int i = 0; i < 20; i++)
        futures.push_back(pool.submit([i] { return std::make_unique<int>(i); }));
    auto all = cfut::when_all(std::move(futures)).get();
    CHECK_EQ(all.size(), 20);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(*all[static_cast<size_t>(i)], i);
    CHECK_EQ(cfut::when_all(std::vector<cfut::future<int>>()).get().size(), 0);
    std::vector<cfut::future<void>> nothing;
    nothing.push_back(pool.submit([] {}));
    cfut::when_all(std::move(nothing)).get();
}

static void when_all_of_several_types()
{
    cfut::thread_pool pool(2);
    auto [number, text, none] =
        cfut::when_all(pool.submit([] { return 1; }), pool.submit([] { return std::string("a"); }),
                       pool.submit([] {}))
            .get();
    CHECK_EQ(number, 1);
    CHECK_STRING(text, "a");
    CHECK(none == std::monostate());
}

static void when_all_with_failures()
{
    {
        cfut::thread_pool pool(2);
        gate stage = GATE_CLOSED;
        std::vector<cfut::future<counted>> futures;
        futures.push_back(pool.submit([&] {
            latch_wait(&stage.open);
            return counted(1);
        }));
        futures.push_back(
            pool.submit([]() -> counted { throw std::out_of_range("the second of two"); }));
        auto all = cfut::when_all(std::move(futures));
        CHECK_SAYS(std::out_of_range, all.get(), "the second of two"); // before the first has ended
        latch_open(&stage.open);

        auto both = cfut::when_all(pool.submit([] { return 1; }),
                                   pool.submit([]() -> int { throw cfut::failed(9, "nine"); }));
        CHECK_THROWS_AND(cfut::failed, both.get(), CHECK_EQ(caught.code(), 9));
        cfut::promise<int> promise;
        auto cancelled = cfut::when_all(promise.get_future(), pool.submit([] { return 1; }));
        promise.set_cancelled();
        CHECK_THROWS(cfut::cancelled, cancelled.get());
        std::vector<cfut::future<int>> holes(2);
        CHECK_SAYS(cfut::error, cfut::when_all(std::move(holes)), "future 0");
    }
    check_none_alive();
}

static void when_any_gives_all_back()
{
    cfut::thread_pool pool(2);
    cfut::promise<int> never;
    std::vector<cfut::future<int>> futures;
    futures.push_back(never.get_future());
    futures.push_back(pool.submit([] { return 7; }));
    auto any = cfut::when_any(std::move(futures)).get();
    CHECK_EQ(any.index, 1);
    CHECK_EQ(any.futures.size(), 2);
    CHECK_EQ(any.futures[1].get(), 7);
    CHECK(!any.futures[0].done());
    never.set_value(8);
    any.futures.pop_back();
    auto last = cfut::when_any(std::move(any.futures)).get();
    CHECK_EQ(last.futures[last.index].get(), 8);
    CHECK_THROWS_AND(cfut::error, cfut::when_any(std::vector<cfut::future<int>>()),
                     CHECK_EQ(caught.status(), CFUT_EINVAL));
}

static void as_completed_in_the_order_they_end()
{
    cfut::thread_pool pool(2);
    cfut::promise<std::string> first, second, third;
    std::vector<cfut::future<std::string>> futures;
    futures.push_back(first.get_future());
    futures.push_back(second.get_future());
    futures.push_back(third.get_future());
    auto completed = cfut::as_completed(futures);
    third.set_value("c");
    first.set_exception(std::make_exception_ptr(std::out_of_range("a")));
    second.set_value("b");
    std::vector<size_t> order;
    for (auto [index, future] : completed) {
        order.push_back(index);
        if (index == 0)
            CHECK_THROWS(std::out_of_range, future.get());
        else
            CHECK_STRING(future.get(), index == 1 ? "b" : "c");
    }
    CHECK(order == (std::vector<size_t>{ 2, 0, 1 }));
    cfut::future<int> array[2];
    array[0] = pool.submit([] { return 1; });
    array[1] = pool.submit([] { return 2; });
    int sum = 0;
    for (auto one : cfut::as_completed(array, 1h))
        sum += one.future.get();
    CHECK_EQ(sum, 3);
    CHECK_SAYS(cfut::error, cfut::as_completed(array), "future 0");
    std::vector<cfut::future<int>> none;
    for (auto one : cfut::as_completed(none))
        CHECK(one.index != one.index);
    std::vector<cfut::shared_future<int>> shared;
    shared.push_back(pool.submit([] { return 4; }).share());
    for (auto one : cfut::as_completed(shared))
        CHECK_EQ(one.future.get(), 4);
#if defined(__cpp_lib_span)
    array[1] = pool.submit([] { return 5; });
    for (auto one : cfut::as_completed(std::span(array).subspan(1)))
        CHECK_EQ(one.future.get(), 5);
#endif
}

static void as_completed_with_a_time_out()
{
    cfut::thread_pool pool(2);
    cfut::promise<int> never;
    std::vector<cfut::future<int>> futures;
    futures.push_back(never.get_future());
    futures.push_back(pool.submit([] { return 1; }));
    futures[1].wait();
    int seen = 0;
    auto look = [&] {
        for (auto one : cfut::as_completed(futures, 10ms)) {
            CHECK_EQ(one.index, 1);
            seen++;
        }
    };
    CHECK_THROWS(cfut::timeout, look());
    CHECK_EQ(seen, 1);
    CHECK_STATUS(cfut::wait(futures, cfut::wait_mode::all, 1ms), CFUT_TIMEOUT);
    CHECK_OK(cfut::wait(futures, cfut::wait_mode::any));
    never.fail(1, "");
    CHECK_STATUS(cfut::wait(futures, cfut::wait_mode::first_failure), CFUT_FAILED);
}

static void queues()
{
    cfut::thread_pool pool(2);
    cfut::queue<std::string> queue;
    CHECK(!queue.next());
    for (uint64_t i = 0; i < 10; i++)
        queue.add(pool.submit([i] { return std::string(i, 'q'); }), i);
    cfut::promise<std::string> last;
    for (int i = 0; i < 10; i++) {
        auto one = queue.next(1min);
        CHECK_EQ(one->future.get().size(), one->tag);
    }
    auto handle = queue.share();
    handle.add(last.get_future(), 77);
    pollfd readable = { queue.fd(), POLLIN, 0 };
    CHECK_EQ(poll(&readable, 1, 0), 0);
    CHECK_THROWS(cfut::timeout, queue.next(1ms));
    CHECK(queue.try_next(cfut::now).second);
    last.set_value("z");
    CHECK_EQ(poll(&readable, 1, -1), 1);
    auto one = queue.next(cfut::now);
    CHECK_EQ(one->tag, 77);
    CHECK_STRING(one->future.get(), "z");
    CHECK(!queue.try_next(cfut::now).second);
}

static void map_of_a_callable()
{
    {
        cfut::thread_pool pool(2);
        std::vector<std::string> words{ "a", "bb", "ccc" };
        size_t wanted = 0;
        for (size_t length : pool.map([](const std::string &word) { return word.size(); }, words))
            CHECK_EQ(length, ++wanted);
        CHECK_EQ(wanted, 3);
        CHECK_STRING(words[2], "ccc");
        std::vector<std::unique_ptr<int>> owners;
        for (int i = 0; i < 100; i++)
            owners.push_back(std::make_unique<int>(i));
        int sum = 0;
        for (auto owner : pool.map([](std::unique_ptr<int> p) { return p; }, std::move(owners)))
            sum += *owner;
        CHECK_EQ(sum, 4950);
        std::list<counted> items;
        for (int i = 0; i < 5; i++)
            items.emplace_back(i);
        auto all = pool.map([held = counted(1)](counted one) { return one.number + held.number; },
                            items);
        CHECK(all.collect() == (std::vector<int>{ 1, 2, 3, 4, 5 }));
        auto dropped = pool.map([](counted one) { return one; }, items);
        auto seen = dropped.next();
        CHECK_EQ(seen->get().number, 0);
        for (int none : pool.map([](int n) { return n; }, std::vector<int>()))
            CHECK_EQ(none, -1);
        std::atomic<int> ran{ 0 };
        pool.map([&](int) { ran++; }, std::array<int, 4>{}).collect();
        CHECK_EQ(ran, 4);
        pool.map([&](cfut::context &self, int) { ran += self.stop_requested() ? 0 : 1; },
                 std::array<int, 4>{})
            .detach();
        pool.shutdown();
        CHECK_EQ(ran, 8);
        CHECK_THROWS(cfut::error, pool.map([](counted one) { return one.number; }, items));
    }
    check_none_alive();
}

static void failures_in_a_map()
{
    cfut::thread_pool pool(2);
    auto half = [](int n) {
        if (n % 2 != 0)
            throw std::invalid_argument("odd: " + std::to_string(n));
        return n / 2;
    };
    std::vector<int> numbers{ 2, 3, 4 };
    int seen = 0;
    auto add = [&seen](auto &&results) {
        for (int n : results)
            seen += n;
    };
    CHECK_SAYS(std::invalid_argument, add(pool.map(half, numbers)), "odd: 3");
    CHECK_EQ(seen, 1);
    auto all = pool.map(half, numbers);
    CHECK_EQ(all.next()->get(), 1);
    CHECK_THROWS(std::invalid_argument, all.next()->get());
    CHECK_EQ(all.next()->get(), 2);
    CHECK(!all.next());
    occupied one(pool), two(pool);
    auto late = pool.map(half, numbers);
    late.within(1ms);
    CHECK_THROWS(cfut::timeout, late.next());
    CHECK_THROWS(cfut::timeout, add(late));
    one.open();
    two.open();
    late.within(cfut::forever);
    CHECK_EQ(late.next()->get(), 1);
}

static int square(int n)
{
    if (n < 0)
        throw std::domain_error("negative");
    return n * n;
}

static double product(int n, double by)
{
    return n * by;
}

/* A range without an end, as views::iota is, which throws where it is told to. */
struct from {
    struct iterator {
        using iterator_category = std::input_iterator_tag;
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        using pointer = const int *;
        using reference = int;

        int at, throws_at;
        int operator*() const
        {
            if (at == throws_at)
                throw std::range_error("no more numbers");
            return at;
        }
        iterator &operator++()
        {
            at++;
            return *this;
        }
        bool operator==(const iterator &) const
        {
            return false;
        }
        bool operator!=(const iterator &) const
        {
            return true;
        }
    };
    int first, throws_at;
    iterator begin() const
    {
        return { first, throws_at };
    }
    iterator end() const
    {
        return { 0, 0 };
    }
};

static void map_of_a_function()
{
    cfut::thread_pool pool(2);
    int wanted = 0;
    for (int n : pool.map<&square>(from{ 0, -1 })) {
        CHECK_EQ(n, wanted * wanted);
        if (++wanted == 1000)
            break;
    }
    std::map<int, double> pairs{ { 1, 0.5 }, { 2, 1.5 } };
    CHECK(pool.map<&product>(pairs).collect() == (std::vector<double>{ 0.5, 3.0 }));
    auto windowed = pool.map(cfut::call<&square>().window(2).chunk(1), std::vector<int>{ 1, -2, 3 });
    CHECK_EQ(windowed.next()->get(), 1);
    CHECK_THROWS_AND(cfut::failed, windowed.next()->get(),
                     CHECK_STRING(caught.type_name(), "std::domain_error"));
    CHECK_EQ(windowed.next()->get(), 9);
    CHECK(!windowed.next());
    pool.shutdown();
    CHECK_THROWS_AND(cfut::error, pool.map<&square>(std::vector<int>{ 1 }),
                     CHECK_EQ(caught.status(), CFUT_ESHUTDOWN));
}

static void exceptions_of_sources()
{
    cfut::thread_pool pool(2);
    int seen = 0;
    auto add = [&seen](auto &&results) {
        for (int n : results)
            seen += n;
    };
    CHECK_SAYS(std::range_error, add(pool.map<&square>(from{ 0, 5 })), "no more numbers");
    CHECK_EQ(seen, 0 + 1 + 4 + 9 + 16);
    CHECK_THROWS(std::range_error, pool.map<&square>(from{ 0, 0 }).collect());
}

static void parallel_loops()
{
    cfut::thread_pool pool(4);
    std::vector<std::atomic<int>> hits(10000);
    pool.parallel_for(hits.size(), [&](size_t i) { hits[i]++; });
    pool.parallel_for(hits.size(), 100, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; i++)
            hits[i]++;
    });
    pool.parallel_for(hits.size(), [&](cfut::context &, size_t i) { hits[i]++; });
    for (auto &hit : hits)
        CHECK_EQ(hit, 3);
    pool.parallel_for(0, [](size_t) { CHECK(false); });
    CHECK_SAYS(std::out_of_range,
               pool.parallel_for(1000, 1,
                                 [](size_t i) {
                                     if (i == 500)
                                         throw std::out_of_range("500");
                                 }),
               "500");
    int sum = 0;
    cfut::thread_pool one(1);
    one.parallel_for(100, [&, held = counted(1)](size_t) { sum += held.number; });
    CHECK_EQ(sum, 100);
    pool.submit([&] { pool.parallel_for(100, [&](size_t i) { hits[i]++; }); }).get();
    CHECK_EQ(hits[99], 4);
    check_none_alive();
}

#if defined(__cpp_lib_span)
static void map_into_arrays()
{
    cfut::thread_pool pool(2);
    std::vector<int> numbers(1000), squares(1000);
    for (size_t i = 0; i < numbers.size(); i++)
        numbers[i] = static_cast<int>(i);
    pool.map_into<&square>(std::span<const int>(numbers), std::span(squares));
    CHECK_EQ(squares[999], 998001);
    numbers[5] = -1;
    CHECK_THROWS_AND(cfut::error, pool.map_into<&square>(std::span(numbers), std::span(squares)),
                     CHECK_EQ(caught.status(), CFUT_FAILED);
                     check_words(caught.what(), "negative", __LINE__));
    CHECK_EQ(squares[6], 36);
    CHECK_SAYS(cfut::error,
               pool.map_into<&square>(std::span(numbers), std::span(squares).subspan(1)),
               "999 places");
}
#else
static void map_into_arrays()
{
    puts("skipped: this C++ has no std::span");
}
#endif

CHECK_MAIN(CASE(when_all_of_a_vector), CASE(when_all_of_several_types),
           CASE(when_all_with_failures), CASE(when_any_gives_all_back),
           CASE(as_completed_in_the_order_they_end), CASE(as_completed_with_a_time_out),
           CASE(queues), CASE(map_of_a_callable), CASE(failures_in_a_map), CASE(map_of_a_function),
           CASE(exceptions_of_sources), CASE(parallel_loops), CASE(map_into_arrays))
