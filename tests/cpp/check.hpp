/* The frame of the C++ tests: that of the C tests, and what exceptions and objects need. */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cfutures.hpp>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" // C names a struct and a parameter alike
#include "../c/check.h"
#pragma GCC diagnostic pop

#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

/* The statement throws exactly this class; `caught` is what was thrown. */
#define CHECK_THROWS_AND(type, statement, ...) \
    do { \
        bool check_thrown = false; \
        try { \
            statement; \
        } catch (const type &caught) { \
            check_thrown = true; \
            (void)caught; \
            __VA_ARGS__; \
        } catch (const std::exception &check_other) { \
            check_failed(__FILE__, __LINE__, \
                         (std::string(#statement " threw another class: ") + check_other.what()).c_str()); \
        } \
        if (!check_thrown) \
            check_failed(__FILE__, __LINE__, #statement " did not throw " #type); \
    } while (0)

#define CHECK_THROWS(type, statement) CHECK_THROWS_AND(type, statement, (void)0)

/* And its text has these words. */
#define CHECK_SAYS(type, statement, words) \
    CHECK_THROWS_AND(type, statement, check_words(caught.what(), words, __LINE__))

inline void check_same(const std::string &text, const std::string &wanted, int line)
{
    if (text != wanted)
        check_failed("check.hpp", line, ("\"" + text + "\" is not \"" + wanted + "\"").c_str());
}

#define CHECK_STRING(text, wanted) check_same(text, wanted, __LINE__)

inline void check_words(const std::string &text, const char *words, int line)
{
    if (text.find(words) == std::string::npos)
        check_failed("check.hpp", line, ("\"" + text + "\" lacks \"" + words + "\"").c_str());
}

/* An object that knows how many of its kind there are. */
struct counted {
    static inline std::atomic<int> alive{ 0 };
    int number;

    explicit counted(int n = 0) : number(n)
    {
        alive++;
    }
    counted(const counted &other) : number(other.number)
    {
        alive++;
    }
    counted(counted &&other) noexcept : number(std::exchange(other.number, -1))
    {
        alive++;
    }
    counted &operator=(const counted &) = default;
    counted &operator=(counted &&) = default;
    ~counted()
    {
        alive--;
    }
};

/* What the library holds it frees soon after the last task has ended. */
inline void check_none_alive()
{
    CHECK_SOON(counted::alive == 0);
}

/* Occupies a worker from its making to open(). */
class occupied {
public:
    explicit occupied(const cfut::executor &pool)
        : future_(pool.submit([this] { gate_stand(&gate_); }))
    {
        latch_wait(&gate_.entered);
    }

    void open()
    {
        latch_open(&gate_.open);
        future_.wait();
    }

private:
    static void gate_stand(gate *at)
    {
        latch_open(&at->entered);
        latch_wait(&at->open);
    }

    gate gate_ = GATE_CLOSED;
    cfut::future<void> future_;
};

/* What the log was told. */
class log_kept {
public:
    log_kept()
    {
        cfut::set_log([this](int32_t, std::string_view text) {
            const std::lock_guard<std::mutex> hold(lock_);
            text_ += std::string(text) + "\n";
        });
    }

    ~log_kept()
    {
        cfut::reset_log();
    }

    bool has(const char *words)
    {
        const std::lock_guard<std::mutex> hold(lock_);
        return text_.find(words) != std::string::npos;
    }

private:
    std::mutex lock_;
    std::string text_;
};

#endif
