/* Functions in worker processes, and on every other kind of executor alike: what travels, what is
 * thrown, crashes, exits and time-outs. */
#include "check.hpp"

#include <csignal>
#include <map>
#include <set>
#include <sys/resource.h>
#include <unordered_map>

/* ---- the functions ---- */

static int64_t add(int64_t a, int64_t b)
{
    return a + b;
}

static pid_t whose(void)
{
    return getpid();
}

static std::string greet(const std::string &name, int times)
{
    std::string text;
    for (int i = 0; i < times; i++)
        text += "hello " + name + ";";
    return text;
}

static void nothing() noexcept {}

struct point {
    double x, y;
};

static point mirror(point p)
{
    return { p.y, p.x };
}

struct person {
    std::string name;
    std::vector<point> path;
    std::optional<std::string> nick;
};

struct text_only {
    std::string text;
};

template <>
struct cfut::codec<person> : cfut::members<&person::name, &person::path, &person::nick> {};

/* One whose writer and reader throw. */
template <> struct cfut::codec<text_only> {
    static void write(cfut::writer &to, const text_only &object)
    {
        if (object.text == "unwritable")
            throw std::invalid_argument("cannot be written");
        to.value(object.text);
    }

    static text_only read(cfut::reader &from)
    {
        text_only object{ from.value<std::string>() };
        if (object.text == "unreadable")
            throw std::invalid_argument("cannot be read");
        return object;
    }
};

static person rename_person(person one, const std::map<std::string, std::string> &names)
{
    one.name = names.at(one.name);
    one.path.push_back({ 9, 9 });
    return one;
}

using everything = std::tuple<std::pair<int, std::string>, std::vector<std::vector<bool>>,
                              std::set<std::string>, std::unordered_map<int, std::vector<char>>,
                              std::array<std::string, 2>, std::optional<double>, std::u16string>;

static everything same(const everything &all)
{
    return all;
}

static text_only pass(const text_only &object)
{
    return object.text == "make it unreadable"   ? text_only{ "unreadable" }
           : object.text == "make it unwritable" ? text_only{ "unwritable" }
                                                 : object;
}

static int throws(int kind)
{
    switch (kind) {
    case 0:
        throw std::out_of_range("no place for it");
    case 1:
        throw std::system_error(EACCES, std::generic_category(), "opening");
    case 2:
        throw cfut::failed(77, "by choice");
    case 3:
        throw 5;
    case 4:
        throw cfut::cancelled();
    default:
        return kind;
    }
}

static void no_core()
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
}

static int dies(int how)
{
    no_core();
    if (how < 0)
        std::exit(-how);
    std::raise(how);
    return how;
}

static int spins(cfut::context &self, int until_stopped)
{
    self.progress(1, 3);
    while (until_stopped == 0 || !self.stop_requested())
        std::this_thread::sleep_for(1ms);
    self.throw_if_stop_requested();
    return 0;
}

static bool token_is_clear(cfut::stop_token token)
{
    return token.stop_possible() && !token.stop_requested();
}

static cfut::buffer upper(cfut::buffer text)
{
    auto big = cfut::buffer::shared(text.size());
    for (size_t i = 0; i < text.size(); i++)
        big.data()[i] = static_cast<unsigned char>(toupper(text.data()[i]));
    return big;
}

static size_t length_of(const cfut::buffer &text)
{
    return text.size();
}

static int started = 0;

static void begin(int value)
{
    if (value < 0)
        throw std::runtime_error("the worker cannot begin");
    started = value;
}

static int began_with()
{
    return started;
}

/* ---- the cases: what is alike everywhere runs on all of them ---- */

/* Calls `check` with each kind of executor, and whether it is made of processes. */
template <class Check> static void on_every_kind(Check check)
{
    cfut::thread_pool threads(2);
    check(threads, false);
    cfut::process_pool processes(2);
    check(processes, true);
    cfut::limited view(processes, 1);
    check(view, true);
    cfut::loop loop;
    std::thread runner([&] { loop.run(); });
    check(loop, false);
    loop.shutdown();
    runner.join();
}

static void functions_on_every_kind()
{
    on_every_kind([](const cfut::executor &executor, bool is_foreign) {
        CHECK_EQ(executor.submit<&add>(2, 3).get(), 5);
        CHECK_EQ(executor.submit<&whose>().get() == getpid(), !is_foreign);
        CHECK_STRING(executor.submit<&greet>("you", 2).get(), "hello you;hello you;");
        CHECK_EQ(executor.submit<&greet>(std::string(1000, 'n'), 1000).get().size(), 1007000);
        CHECK_EQ(executor.submit<&greet>("", 0).get().size(), 0);
        executor.submit<&nothing>().get();
        CHECK_EQ(executor.submit<&mirror>(point{ 1, 2 }).get().x, 2);
        CHECK(executor.submit<&token_is_clear>().get());
    });
}

static void what_travels()
{
    on_every_kind([](const cfut::executor &executor, bool) {
        person one{ "ann", { { 1, 2 } }, "an" };
        auto changed = executor
                           .submit<&rename_person>(
                               one, std::map<std::string, std::string>{ { "ann", "bob" } })
                           .get();
        CHECK_STRING(changed.name, "bob");
        CHECK_EQ(changed.path.size(), 2);
        CHECK_STRING(*changed.nick, "an");
        const everything all{ { 1, "one" },
                              { { true, false }, {} },
                              { "a", "b" },
                              { { 3, { 'x', 'y' } } },
                              { { "c", "" } },
                              2.5,
                              u"wide" };
        CHECK(executor.submit<&same>(all).get() == all);
        CHECK(executor.submit<&same>(everything()).get() == everything());
    });
}

static void exceptions_come_as_failures()
{
    on_every_kind([](const cfut::executor &executor, bool) {
        CHECK_THROWS_AND(cfut::failed, executor.submit<&throws>(0).get(),
                         CHECK_EQ(caught.code(), cfut::exception_code);
                         CHECK_STRING(caught.what(), "no place for it");
                         CHECK_STRING(caught.type_name(), "std::out_of_range"));
        CHECK_THROWS_AND(cfut::failed, executor.submit<&throws>(1).get(),
                         CHECK_EQ(caught.code(), EACCES);
                         CHECK_STRING(caught.type_name(), "std::system_error"));
        CHECK_THROWS_AND(cfut::failed, executor.submit<&throws>(2).get(),
                         CHECK_EQ(caught.code(), 77);
                         CHECK_STRING(caught.what(), "by choice"));
        CHECK_THROWS_AND(cfut::failed, executor.submit<&throws>(3).get(),
                         CHECK_STRING(caught.type_name(), "int"));
        CHECK_THROWS(cfut::cancelled, executor.submit<&throws>(4).get());
        CHECK_EQ(executor.submit<&throws>(5).get(), 5);
        CHECK_THROWS_AND(cfut::failed,
                         executor.submit<&rename_person>(person(),
                                                         std::map<std::string, std::string>()).get(),
                         CHECK_STRING(caught.type_name(), "std::out_of_range"));
    });
}

static void exceptions_of_codecs()
{
    on_every_kind([](const cfut::executor &executor, bool) {
        CHECK_STRING(executor.submit<&pass>(text_only{ "fine" }).get().text, "fine");
        // Here, before it is submitted:
        CHECK_SAYS(std::invalid_argument, executor.submit<&pass>(text_only{ "unwritable" }),
                   "cannot be written");
        // There, as the argument is read, and as the result is written:
        CHECK_SAYS(cfut::failed, executor.submit<&pass>(text_only{ "unreadable" }).get(),
                   "cannot be read");
        CHECK_SAYS(cfut::failed, executor.submit<&pass>(text_only{ "make it unwritable" }).get(),
                   "cannot be written");
        // Here, as the result is read:
        CHECK_SAYS(std::invalid_argument,
                   executor.submit<&pass>(text_only{ "make it unreadable" }).get(),
                   "cannot be read");
    });
}

static void crashes_and_exits()
{
    cfut::process_pool pool(2);
    auto crash = pool.submit<&dies>(SIGSEGV);
    auto exits = pool.submit<&dies>(-3);
    CHECK_THROWS_AND(cfut::crashed, crash.get(), CHECK_EQ(caught.signal(), SIGSEGV);
                     CHECK_EQ(caught.exit_code(), 0); CHECK(caught.pid() > 1);
                     CHECK_EQ(caught.attempts(), 1); CHECK(!caught.out_of_memory());
                     CHECK_EQ(caught.status(), CFUT_CRASHED));
    CHECK_THROWS_AND(cfut::crashed, exits.get(), CHECK_EQ(caught.exit_code(), 3);
                     CHECK_EQ(caught.signal(), 0));
    CHECK_THROWS_AND(cfut::crashed,
                     pool.submit(cfut::call<&dies>().attempts(2), SIGKILL).get(),
                     CHECK_EQ(caught.attempts(), 2));
    CHECK_EQ(pool.submit<&add>(1, 1).get(), 2);
    // Also out of what comes after it:
    std::vector<cfut::future<int>> futures;
    futures.push_back(pool.submit<&dies>(SIGABRT));
    CHECK_THROWS_AND(cfut::crashed, cfut::when_all(std::move(futures)).get(),
                     CHECK_EQ(caught.signal(), SIGABRT));
    CHECK_THROWS(cfut::crashed, pool.submit<&dies>(SIGABRT).then([](int n) { return n; }).get());
}

static void time_outs_and_cancels()
{
    cfut::process_pool pool(2);
    auto expires = pool.submit(cfut::call<&spins>().run_timeout(20ms).grace(10ms), 0);
    CHECK_THROWS(cfut::expired, expires.get());
    auto stops = pool.submit<&spins>(1);
    CHECK_SOON(stops.progress().second == 3);
    CHECK_STATUS(stops.cancel(cfut::cancel_mode::stop), CFUT_PENDING);
    CHECK_THROWS(cfut::cancelled, stops.get());
    auto killed = pool.submit(cfut::call<&spins>().grace(0s).name("to be killed"), 0);
    CHECK_SOON(killed.progress().second == 3);
    killed.cancel(cfut::cancel_mode::kill);
    CHECK_THROWS(cfut::cancelled, killed.get());
}

static void callables_are_refused()
{
    cfut::process_pool pool(1);
    CHECK_THROWS_AND(cfut::error, pool.submit([held = counted(1)] { return held.number; }),
                     CHECK_EQ(caught.status(), CFUT_ENOTSUP);
                     check_words(caught.what(), "other processes", __LINE__));
    CHECK_THROWS_AND(cfut::error,
                     pool.submit(cfut::task(), [held = counted(1)] { return held.number; }),
                     CHECK_EQ(caught.status(), CFUT_ENOTSUP));
    CHECK_THROWS(cfut::error, pool.post([held = counted(1)] {}));
    CHECK_THROWS(cfut::error, pool.map([](counted) {}, std::vector<counted>(3)));
    CHECK_THROWS(cfut::error, pool.parallel_for(3, [held = counted(1)](size_t) {}));
    auto future = pool.submit<&add>(1, 2);
    CHECK_THROWS(cfut::error, future.on_done(pool, [held = counted(1)](const auto &) {}));
    // Where nobody knows what is under a handle, the task itself does.
    auto unknown = cfut::executor::adopt(cfut_executor_retain(pool.native()));
    CHECK_THROWS_AND(cfut::failed,
                     unknown.submit(cfut::task(), [held = counted(1)] { return held.number; }).get(),
                     CHECK_EQ(caught.code(), CFUT_ENOTSUP));
    check_none_alive();
}

static void buffers_cross_without_a_copy()
{
    on_every_kind([](const cfut::executor &executor, bool) {
        auto text = cfut::buffer::shared(1 << 20);
        std::memset(text.data(), 'a', text.size());
        auto shouted = executor.submit<&upper>(text).get();
        CHECK_EQ(shouted.size(), text.size());
        CHECK_EQ(shouted.data()[text.size() - 1], 'A');
        CHECK_EQ(executor.submit<&length_of>(cfut::buffer::wrap(std::string("abc"))).get(), 3);
        CHECK_EQ(executor.submit<&upper>(cfut::buffer(0)).get().size(), 0);
    });
}

static size_t size_of(const std::string &text)
{
    return text.size();
}

static int64_t twice(int64_t n)
{
    return 2 * n;
}

static void pipes_between_threads_and_processes()
{
    cfut::thread_pool threads(2);
    cfut::process_pool processes(2);
    CHECK_EQ(threads.submit([] { return std::string(100, 'p'); }).then<&size_of>(processes).get(),
             100);
    CHECK_EQ(threads.submit([] { return int64_t(4); })
                 .then<&twice>(processes)
                 .then<&twice>(threads)
                 .then([](int64_t n) { return n + 1; })
                 .get(),
             17);
    CHECK_EQ(processes.submit<&greet>("a", 1).then<&size_of>(threads).get(), 8);
    CHECK_EQ(threads.submit([] { return cfut::buffer(5); }).then<&length_of>(processes).get(), 5);
    CHECK_SAYS(cfut::failed,
               threads.submit([]() -> std::string { throw std::out_of_range("first stage"); })
                   .then<&size_of>(processes)
                   .get(),
               "first stage");
    CHECK_THROWS(cfut::crashed, processes.submit<&dies>(SIGKILL).then<&throws>(threads).get());
    auto limited_time = cfut::call<&twice>();
    limited_time.total_timeout(1ms);
    cfut::promise<int64_t> never;
    CHECK_THROWS(cfut::expired, never.get_future().then<&twice>(processes, limited_time).get());
}

static void maps_in_processes()
{
    cfut::process_pool pool(2);
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < 1000; i++)
        numbers.push_back(i);
    int64_t wanted = 0;
    for (int64_t n : pool.map<&twice>(numbers))
        CHECK_EQ(n, 2 * wanted++);
    CHECK_EQ(wanted, 1000);
    auto results = pool.map(cfut::call<&dies>().window(1), std::vector<int>{ SIGKILL, -1 });
    CHECK_THROWS(cfut::crashed, results.next()->get());
    CHECK_THROWS(cfut::crashed, results.next()->get());
    CHECK(!results.next());
}

static void as_completed_across_kinds()
{
    cfut::thread_pool threads(1);
    cfut::process_pool processes(1);
    std::vector<cfut::future<int64_t>> futures;
    for (int i = 0; i < 20; i++)
        futures.push_back(i % 2 != 0 ? processes.submit<&add>(i, 1)
                                     : threads.submit([i] { return int64_t(i + 1); }));
    for (auto [index, future] : cfut::as_completed(futures))
        CHECK_EQ(future.get(), index + 1);
}

static void initializers_of_processes()
{
    cfut::process_pool pool(cfut::options().workers(1).initializer<&begin>(12));
    CHECK_EQ(pool.submit<&began_with>().get(), 12);
    CHECK_EQ(pool.submit<&began_with>().get(), 12);
    cfut::process_pool bad(cfut::options().workers(1).initializer<&begin>(-1));
    CHECK_SAYS(cfut::broken, bad.submit<&began_with>().get(), "cannot begin");
}

static void functions_by_name()
{
    cfut::register_function<&greet>("greet");
    cfut::thread_pool pool(1);
    cfut::writer bytes;
    bytes.value(std::string("you"));
    bytes.value(1);
    auto answer = pool.submit(cfut::bytes_task::named("greet"),
                              std::string_view(static_cast<const char *>(bytes.data()),
                                               bytes.size()))
                      .get();
    cfut::reader from(answer.data(), answer.size());
    CHECK_STRING(from.value<std::string>(), "hello you;");
    CHECK_SAYS(cfut::failed, pool.submit(cfut::bytes_task::named("greet"), "abc").get(),
               "3 are left");
    CHECK_SAYS(cfut::failed,
               pool.submit(cfut::bytes_task::named("greet"), std::string(8, '\xff')).get(),
               "elements were announced");
}

static void a_pool_of_processes_finishes_its_work()
{
    std::vector<cfut::future<int64_t>> futures;
    {
        cfut::process_pool pool(1);
        for (int i = 0; i < 50; i++)
            futures.push_back(pool.submit<&twice>(i));
    }
    for (size_t i = 0; i < futures.size(); i++)
        CHECK_EQ(futures[i].get(), 2 * i);
}

CHECK_MAIN_WORKER((void)0, CASE(functions_on_every_kind), CASE(what_travels),
                  CASE(exceptions_come_as_failures), CASE(exceptions_of_codecs),
                  CASE(crashes_and_exits), CASE(time_outs_and_cancels),
                  CASE(callables_are_refused), CASE(buffers_cross_without_a_copy),
                  CASE(pipes_between_threads_and_processes), CASE(maps_in_processes),
                  CASE(as_completed_across_kinds), CASE(initializers_of_processes),
                  CASE(functions_by_name), CASE(a_pool_of_processes_finishes_its_work))
