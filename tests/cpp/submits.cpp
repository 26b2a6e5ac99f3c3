/* Callables on threads, views and loops: what they get, what comes out of get(), what is thrown. */
#include "check.hpp"

#include <future>
#include <numeric>
#include <system_error>

static int twice(int n)
{
    return 2 * n;
}

struct adder {
    int by;
    int add(int n) const
    {
        return n + by;
    }
};

static void every_kind_of_callable()
{
    cfut::thread_pool pool(2);
    int captured = 5;
    CHECK_EQ(pool.submit([captured] { return captured; }).get(), 5);
    CHECK_EQ(pool.submit(twice, 4).get(), 8);
    CHECK_EQ(pool.submit(&adder::add, adder{ 3 }, 4).get(), 7);
    CHECK_EQ(pool.submit(std::function<int(int)>(twice), 5).get(), 10);
    CHECK_EQ(pool.submit([n = 1]() mutable { return ++n; }).get(), 2);
    CHECK_EQ(pool.submit([](auto a, auto b) { return a + b; }, 1, 2).get(), 3);
    pool.submit([&captured] { captured = 6; }).get();
    CHECK_EQ(captured, 6);
    pool.submit([](int &n) { n = 7; }, std::ref(captured)).get();
    CHECK_EQ(captured, 7);
}

static void every_kind_of_result()
{
    cfut::thread_pool pool(2);
    struct alignas(64) wide {
        double values[8];
    };
    struct none {};
    static int place = 4;
    static_assert(std::is_same_v<decltype(pool.submit(twice, 1)), cfut::future<int>>);
    CHECK_EQ(pool.submit([] { return 'c'; }).get(), 'c');
    CHECK_EQ(pool.submit([] { return true; }).get(), true);
    CHECK_EQ(pool.submit([] { return std::string(); }).get().size(), 0);
    CHECK_STRING(pool.submit([] { return std::string(1000, 'x'); }).get(), std::string(1000, 'x'));
    CHECK_TEXT(pool.submit([] { return "literal"; }).get(), "literal");
    CHECK_EQ(pool.submit([] { return std::string_view("view"); }).get().size(), 4);
    CHECK_EQ(*pool.submit([] { return &place; }).get(), 4);
    CHECK_EQ(&pool.submit([] { return std::ref(place); }).get().get() == &place, 1);
    CHECK_EQ(pool.submit([] { return wide{ { 1, 2, 3, 4, 5, 6, 7, 8 } }; }).get().values[7], 8);
    CHECK_EQ(pool.submit([] { return std::vector<bool>(9, true); }).get().size(), 9);
    CHECK_EQ(pool.submit([] { return std::array<char, 5000>{ { 'a' } }; }).get()[0], 'a');
    CHECK_EQ(*pool.submit([] { return std::make_unique<int>(3); }).get(), 3);
    CHECK_EQ(*pool.submit([] { return std::make_shared<int>(3); }).get(), 3);
    CHECK_EQ(std::get<1>(pool.submit([] { return std::make_tuple(1, 2.5, "three"); }).get()), 2.5);
    pool.submit([] { return none(); }).get();
    CHECK_EQ(pool.submit([] { return twice; }).get()(4), 8);
    CHECK(!pool.submit([] { return std::optional<std::string>(); }).get());
}

static void move_only_arguments_and_callables()
{
    cfut::thread_pool pool(2);
    auto owner = std::make_unique<int>(7);
    auto future = pool.submit([](std::unique_ptr<int> got) { return *got; }, std::move(owner));
    CHECK_EQ(future.get(), 7);
    auto inside = pool.submit([held = std::make_unique<int>(8)]() mutable { return std::move(held); });
    CHECK_EQ(*inside.get(), 8);
    std::packaged_task<int()> packaged([] { return 9; });
    auto standard = packaged.get_future();
    pool.submit(std::move(packaged)).get();
    CHECK_EQ(standard.get(), 9);
}

struct odd_exception {
    int number;
};

static void what_is_thrown_comes_out_of_get()
{
    cfut::thread_pool pool(2);
    CHECK_SAYS(std::out_of_range, pool.submit([] { throw std::out_of_range("no place 3"); }).get(),
               "no place 3");
    CHECK_EQ(pool.submit([]() -> int { throw odd_exception{ 4 }; }).wait(), CFUT_FAILED);
    try {
        pool.submit([]() -> std::string { throw odd_exception{ 4 }; }).get();
        CHECK(false);
    } catch (const odd_exception &caught) {
        CHECK_EQ(caught.number, 4);
    }
    CHECK_THROWS_AND(std::system_error,
                     pool.submit([] {
                             throw std::system_error(ENOENT, std::generic_category(), "file");
                         }).get(),
                     CHECK_EQ(caught.code().value(), ENOENT));
    // What others see of it: a code and a text.
    auto future = pool.submit([] { throw std::runtime_error("for C"); });
    CHECK_EQ(future.wait(), CFUT_FAILED);
    CHECK_EQ(future.code(), cfut::exception_code);
    CHECK_STRING(future.message(), "for C");
    auto odd = pool.submit([] { throw odd_exception{ 1 }; });
    CHECK_EQ(odd.wait(), CFUT_FAILED);
    check_words(odd.message(), "odd_exception", __LINE__);
}

static void codes_of_its_own()
{
    cfut::thread_pool pool(1);
    CHECK_THROWS_AND(cfut::failed,
                     pool.submit([] { throw cfut::failed(42, "out of tea"); }).get(),
                     CHECK_EQ(caught.code(), 42);
                     CHECK_EQ(caught.status(), CFUT_FAILED); CHECK_TEXT(caught.what(), "out of tea"));
}

static void exceptions_are_destroyed_once()
{
    {
        cfut::thread_pool pool(2);
        for (int i = 0; i < 100; i++) {
            auto future = pool.submit([i] { throw counted(i); });
            if (i % 2 == 0)
                continue; // nobody reads it
            try {
                future.get();
                CHECK(false);
            } catch (const counted &caught) {
                CHECK_EQ(caught.number, i);
            }
        }
    }
    check_none_alive();
}

static void results_and_callables_are_destroyed_once()
{
    {
        cfut::thread_pool pool(2);
        for (int i = 0; i < 100; i++) {
            auto future = pool.submit(
                [held = counted(i)](counted given) { return counted(held.number + given.number); },
                counted(1));
            if (i % 3 == 0)
                CHECK_EQ(future.get().number, i + 1);
            else if (i % 3 == 1)
                future.wait();
        }
    }
    check_none_alive();
}

static void refused_callables_are_destroyed_once()
{
    cfut::thread_pool pool(1);
    pool.shutdown();
    CHECK_THROWS_AND(cfut::error, pool.submit([held = counted(1)] { return held.number; }),
                     CHECK_EQ(caught.status(), CFUT_ESHUTDOWN));
    CHECK_THROWS_AND(cfut::error,
                     pool.submit(cfut::task(), [held = counted(1)] { return held.number; }),
                     CHECK_EQ(caught.status(), CFUT_ESHUTDOWN));
    CHECK_EQ(counted::alive, 0);
}

static void full_queue_is_an_error()
{
    cfut::thread_pool pool(
        cfut::options().workers(1).queue_limit(1).when_full(cfut::full_policy::reject));
    occupied busy(pool);
    auto waits = pool.submit([] { return 1; });
    CHECK_THROWS_AND(cfut::error, pool.submit([] { return 2; }),
                     CHECK_EQ(caught.status(), CFUT_EFULL));
    busy.open();
    CHECK_EQ(waits.get(), 1);
}

static void empty_executor_is_an_error()
{
    cfut::executor none;
    CHECK(!none);
    CHECK_THROWS_AND(cfut::error, none.submit([] {}), CHECK_EQ(caught.status(), CFUT_EINVAL));
    CHECK_THROWS(cfut::error, none.stats());
    CHECK_THROWS(cfut::error, none.shutdown());
    CHECK(!cfut::executor::current());
}

static void stop_flag_and_progress()
{
    cfut::thread_pool pool(2);
    gate stage = GATE_CLOSED;
    auto future = pool.submit(
        [&](cfut::context &self, int total) {
            self.progress(1, static_cast<uint64_t>(total));
            CHECK(!self.stop_requested());
            latch_open(&stage.entered);
            while (!self.token().stop_requested())
                std::this_thread::sleep_for(1ms);
            self.throw_if_stop_requested();
        },
        9);
    latch_wait(&stage.entered);
    CHECK_EQ(future.progress().first, 1);
    CHECK_EQ(future.progress().second, 9);
    CHECK(future.state() == cfut::state::running);
    CHECK_STATUS(future.cancel(), CFUT_TOO_LATE);
    CHECK_STATUS(future.cancel(cfut::cancel_mode::stop), CFUT_PENDING);
    CHECK_THROWS_AND(cfut::cancelled, future.get(), CHECK_EQ(caught.status(), CFUT_CANCELLED));
    CHECK(!future.valid());
}

static void stop_token_outlives_its_task()
{
    cfut::thread_pool pool(1);
    cfut::stop_token kept = pool.submit([](cfut::stop_token token) { return token; }).get();
    CHECK(kept.stop_possible());
    CHECK(!kept.stop_requested());
    CHECK(!cfut::stop_token().stop_possible());
    cfut::stop_token copy = kept;
    kept = cfut::stop_token();
    CHECK(!copy.stop_requested());
}

static void options_of_a_task()
{
    cfut::thread_pool pool(1);
    cfut::task brief;
    brief.name("brief").run_timeout(20ms).priority(cfut::priority::high);
    auto future = pool.submit(brief, [held = counted(3)](cfut::context &self) {
        while (!self.stop_requested())
            std::this_thread::sleep_for(1ms);
        return held.number;
    });
    CHECK_SAYS(cfut::expired, future.get(), "20 ms");
    CHECK_EQ(pool.submit(brief, [](int n) { return n; }, 4).get(), 4);
    CHECK_THROWS(std::out_of_range,
                 pool.submit(brief, []() -> int { throw std::out_of_range(""); }).get());
    occupied busy(pool);
    cfut::task patient;
    patient.queue_timeout(1ms);
    auto waits = pool.submit(patient, [held = counted(4)] { return held.number; });
    CHECK_THROWS(cfut::expired, waits.get());
    auto stopped = pool.submit(cfut::task(), [held = counted(5)] { return held.number; });
    CHECK_OK(stopped.cancel());
    check_none_alive();
    busy.open();
}

static void bad_options_say_what_is_wrong()
{
    CHECK_THROWS_AND(cfut::error, cfut::options().workers(0),
                     CHECK_EQ(caught.status(), CFUT_EINVAL);
                     check_words(caught.what(), "0", __LINE__));
    CHECK_THROWS(cfut::error, cfut::task().attempts(0));
    CHECK_THROWS_AND(cfut::error, cfut::thread_pool(cfut::options().tasks_per_worker(3)),
                     CHECK_EQ(caught.status(), CFUT_ENOTSUP));
    CHECK_THROWS_AND(cfut::error, cfut::thread_pool(cfut::options().trace_file("/no/such/place")),
                     CHECK_EQ(caught.status(), CFUT_ESYS));
}

static void fire_and_forget()
{
    log_kept log;
    std::atomic<int> ran{ 0 };
    {
        cfut::thread_pool pool(2);
        for (int i = 0; i < 100; i++)
            pool.post([&](int by) { ran += by; }, 1);
        pool.post([] { throw std::runtime_error("nobody looks"); });
    }
    CHECK_EQ(ran, 100);
    CHECK(log.has("nobody looks"));
}

static void views_and_loops()
{
    cfut::thread_pool pool(4);
    std::atomic<int> inside{ 0 };
    std::vector<int> order;
    {
        cfut::limited strand(pool, 1);
        for (int i = 0; i < 50; i++)
            strand.post([&, i] {
                CHECK_EQ(++inside, 1);
                order.push_back(i);
                --inside;
            });
    } // waits
    CHECK_EQ(order.size(), 50);
    CHECK_EQ(order[49], 49);

    cfut::loop loop;
    const auto here = std::this_thread::get_id();
    auto future = loop.submit([&] { return std::this_thread::get_id() == here; });
    CHECK(loop.fd() >= 0);
    CHECK_EQ(loop.poll(), 1);
    CHECK(future.get());
    CHECK_STATUS(loop.run_for(1ms), CFUT_TIMEOUT);
    {
        cfut::limited on_loop(loop, 2);
        auto second = on_loop.submit([] { return 2; });
        CHECK_STATUS(loop.run(1), CFUT_OK);
        CHECK_EQ(second.get(), 2);
    }
    auto never = loop.submit([] { return 3; });
    loop = cfut::loop();
    CHECK_THROWS(cfut::broken, never.get());
}

static void hooks_of_workers()
{
    std::atomic<int> began{ 0 }, left{ 0 };
    {
        cfut::thread_pool pool(cfut::options().workers(2).worker_hooks(
            [&](uint32_t) { began++; }, [&](uint32_t) { left++; }));
        pool.warm();
        CHECK_EQ(began, 2);
    }
    CHECK_EQ(left, 2);
    log_kept log;
    cfut::thread_pool bad(cfut::options().workers(1).worker_hooks(
        [](uint32_t) { throw std::runtime_error("no runtime"); }, [](uint32_t) {}));
    CHECK_THROWS(cfut::broken, bad.submit([] {}).get());
    CHECK_SOON(log.has("no runtime"));
}

static std::atomic<int> prepared{ 0 };

static void prepare(const std::string &what)
{
    if (what.empty())
        throw std::invalid_argument("nothing to prepare");
    prepared++;
}

static void initializer_of_workers()
{
    cfut::thread_pool pool(cfut::options().workers(2).initializer<&prepare>("tables"));
    pool.warm();
    CHECK_EQ(prepared, 2);
    cfut::thread_pool bad(cfut::options().workers(1).initializer<&prepare>(""));
    CHECK_SAYS(cfut::broken, bad.submit([] {}).get(), "nothing to prepare");
}

static void nested_tasks()
{
    cfut::thread_pool pool(1);
    struct fibonacci {
        const cfut::executor &pool;
        long operator()(int n) const
        {
            if (n < 2)
                return n;
            auto left = pool.submit(*this, n - 1);
            return (*this)(n - 2) + left.get();
        }
    };
    CHECK_EQ(pool.submit(fibonacci{ pool }, 15).get(), 610);
    CHECK(pool.submit([&] { return cfut::executor::current().native() == pool.native(); }).get());
}

static void figures_and_snapshot()
{
    cfut::thread_pool pool(cfut::options().workers(3).name("figures"));
    for (int i = 0; i < 10; i++)
        pool.submit([] {}).get();
    CHECK_THROWS(std::runtime_error, pool.submit([] { throw std::runtime_error(""); }).get());
    CHECK_SOON(pool.stats().succeeded == 10);
    CHECK_SOON(pool.stats().failed == 1);
    CHECK_EQ(pool.stats().max_workers, 3);
    CHECK_SOON(pool.stat(CFUT_STAT_SUBMITTED) == 11);
    CHECK(pool.snapshot().find("figures") != std::string::npos);
    CHECK(cfut::cpu_count() >= 1);
    CHECK_OK(cfut::quiesce(10s));
    auto future = pool.submit([] { std::this_thread::sleep_for(2ms); });
    future.wait();
    CHECK(future.run_time() >= 2ms);
    CHECK(future.queued_time() >= 0ns);
}

static void commands_and_c_functions()
{
    cfut::thread_pool pool(2);
    cfut::command cat("cat");
    CHECK(pool.submit(cat, "some text").get().view() == "some text");
    cfut::command shell("sh", { "-c", "echo \"$1 $WORD\"; exit $2", "sh", "arg", "3" });
    shell.env("WORD", "word").directory("/");
    auto future = pool.submit(shell);
    CHECK_THROWS_AND(cfut::failed, future.get(), CHECK_EQ(caught.code(), 3);
                     CHECK_TEXT(caught.details().c_str(), "arg word\n"));
    auto none = pool.submit(cfut::bytes_task::function(nothing_task), "abc");
    CHECK_EQ(none.get().size(), 0);
    CHECK_THROWS_AND(cfut::error, pool.submit(cfut::bytes_task::named("nobody")),
                     CHECK_EQ(caught.status(), CFUT_ENOENT));
}

static void buffers()
{
    cfut::thread_pool pool(1);
    auto wrapped = cfut::buffer::wrap(std::vector<int>{ 1, 2, 3 });
    CHECK_EQ(wrapped.size(), 3 * sizeof(int));
    CHECK_EQ(wrapped.as<int>()[2], 3);
    auto back = pool.submit([](cfut::buffer given) { return given; }, wrapped.share()).get();
    CHECK(back.data() == wrapped.data());
    CHECK_EQ(cfut::buffer::wrap(std::string()).size(), 0);
    CHECK(cfut::buffer::shared(100).data() != nullptr);
    CHECK(!cfut::buffer());
    CHECK_EQ(cfut::buffer(64).end() - cfut::buffer(0).begin() != 0, 1);
#if defined(__cpp_lib_span)
    CHECK_EQ(wrapped.span<const int>()[1], 2);
#endif
}

CHECK_MAIN(CASE(every_kind_of_callable), CASE(every_kind_of_result),
           CASE(move_only_arguments_and_callables), CASE(what_is_thrown_comes_out_of_get),
           CASE(codes_of_its_own), CASE(exceptions_are_destroyed_once),
           CASE(results_and_callables_are_destroyed_once),
           CASE(refused_callables_are_destroyed_once), CASE(full_queue_is_an_error),
           CASE(empty_executor_is_an_error), CASE(stop_flag_and_progress),
           CASE(stop_token_outlives_its_task), CASE(options_of_a_task),
           CASE(bad_options_say_what_is_wrong), CASE(fire_and_forget), CASE(views_and_loops),
           CASE(hooks_of_workers), CASE(initializer_of_workers), CASE(nested_tasks),
           CASE(figures_and_snapshot), CASE(commands_and_c_functions), CASE(buffers))
