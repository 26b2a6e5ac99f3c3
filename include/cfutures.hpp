/* cfutures in C++: executors, futures and tasks of <cfutures.h> as classes.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Header-only, C++17; std::span, coroutines and std::stop_token with C++20. Link with libcfutures
 * as a C program does. <cfutures.h> is the manual of the calls under this; here stands what C++
 * adds.
 *
 * THE MODEL
 *
 *     cfut::thread_pool pool;
 *     cfut::future<int> sum = pool.submit([](int a, int b) { return a + b; }, 2, 3);
 *     std::cout << sum.get();
 *
 * Any callable runs on threads, loops and views of them. Functions run on every kind of executor,
 * also in worker processes, if their arguments and results can travel as bytes (cfut::codec):
 *
 *     static double area(double width, double height) { return width * height; }
 *
 *     int main()
 *     {
 *         cfut::worker_main();
 *         cfut::process_pool pool;
 *         std::cout << pool.submit<&area>(2.0, 3.0).get();
 *     }
 *
 * OWNERSHIP. Handles can be moved, not copied: share() makes another one where that is meant.
 * A handle that was moved from is empty, and using it throws cfut::error with CFUT_EINVAL.
 * native() lends the C handle, adopt() takes one over.
 *
 * ERRORS. Calls that fail throw; waits answer a status. The classes:
 *
 *     std::runtime_error
 *       error         a call failed: status() is the CFUT_ status, what() says what and why
 *         timeout     a wait ended before what it waited for
 *         failed      the task reported failure: code(), message in what(), details()
 *         crashed     its worker process died: signal(), exit_code(), pid(), out_of_memory()
 *         cancelled   it never ran, or stopped on request
 *         expired     a queue, run or total time-out passed
 *         broken      the executor or the promise broke first
 *
 * What a callable throws comes out of get() as it was thrown. What a function of submit<&function>()
 * throws has to be able to come from another process, so it always comes as cfut::failed: its
 * message is what(), its code that of a std::system_error or cfut::failed, else
 * cfut::exception_code, and type_name() says what it was. A task that throws cfut::cancelled ends
 * as cancelled.
 *
 * YOUR FUNCTIONS may throw anything, anywhere: nothing thrown gets into the library. What a
 * callback of on_done(), a worker hook or a log function throws, which nobody waits for, goes to
 * the log (set_log()) or, there, nowhere.
 *
 * DESTRUCTORS. That of a pool or view shuts it down and waits for all it has accepted, as that of
 * std::jthread does; call shutdown() before to cancel, to stop or to wait no longer than so. That
 * of a future lets go of it: the task runs all the same. That of a promise that has not been
 * settled breaks its future.
 *
 * TIME is any std::chrono duration. What is too long to count is for ever, what is negative is
 * over at once, and fractions of a nanosecond are rounded up. cfut::forever is the longest.
 */
#ifndef CFUTURES_HPP
#define CFUTURES_HPP

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "cfutures.hpp needs C++17: compile with -std=c++17 or newer, or use cfutures.h"
#endif
#if !defined(__cpp_exceptions)
#error "cfutures.hpp needs exceptions: compile without -fno-exceptions, or use cfutures.h"
#endif

#include <cfutures.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <cxxabi.h>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#if __cplusplus >= 202002L
#include <version>
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif
#if defined(__cpp_impl_coroutine) && defined(__cpp_lib_coroutine)
#include <coroutine>
#define CFUT_HAS_COROUTINES 1
#endif
#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

/* Its functions are inline, and those of the library are C: an object of another version of this
 * header must not share them. */
namespace cfut {
inline namespace v0_1 {

/** What a call answers: the CFUT_ constants of <cfutures.h>. */
using status = cfut_status;

/** The code that an exception has as a failure, unless it brings one. */
inline constexpr int32_t exception_code = 0x632b2b; // "c++"

/** The longest time: for ever. */
inline constexpr std::chrono::nanoseconds forever = std::chrono::nanoseconds::max();

/** No time: a look. */
inline constexpr std::chrono::nanoseconds now = std::chrono::nanoseconds::zero();

/* ---- 1. Errors ---------------------------------------------------------------------- */

/** A call that failed, or the outcome of a task that did not succeed. */
class error : public std::runtime_error {
public:
    error(cfut::status status, const std::string &what) : std::runtime_error(what), status_(status)
    {
    }

    /** The CFUT_ status. */
    cfut::status status() const noexcept
    {
        return status_;
    }

private:
    cfut::status status_;
};

/** A wait ended before what it waited for. The task goes on. */
class timeout : public error {
public:
    explicit timeout(const std::string &what = "the wait ended before the task")
        : error(CFUT_TIMEOUT, what)
    {
    }
};

/** The task never ran, or stopped on request. Thrown by a task: it ends as cancelled. */
class cancelled : public error {
public:
    explicit cancelled(const std::string &what = "the task was cancelled")
        : error(CFUT_CANCELLED, what)
    {
    }
};

/** A queue, run or total time-out of the task passed. */
class expired : public error {
public:
    explicit expired(const std::string &what) : error(CFUT_EXPIRED, what)
    {
    }
};

/** The executor or the promise broke before the task could end. */
class broken : public error {
public:
    explicit broken(const std::string &what, int32_t code = 0) : error(CFUT_BROKEN, what), code_(code)
    {
    }

    /** That of the initializer that failed, or 0. */
    int32_t code() const noexcept
    {
        return code_;
    }

private:
    int32_t code_;
};

/** The task reported failure. A task may throw one to fail with a code of its own, which is
 * anything but 0 and CFUT_DETACH. */
class failed : public error {
public:
    failed(int32_t code, const std::string &what, std::string details = std::string())
        : error(CFUT_FAILED, what), code_(code), details_(std::move(details))
    {
    }

    /** What the task returned or gave to cfut_promise_fail(); see ERRORS above for exceptions. */
    int32_t code() const noexcept
    {
        return code_;
    }

    /** The bytes given to cfut_promise_fail_bytes(); of an exception its type. */
    const std::string &details() const noexcept
    {
        return details_;
    }

    /** The type of the exception that ended a function of submit<&function>(), as in
     * "std::out_of_range"; "" if the failure was no exception. */
    std::string type_name() const
    {
        return details_.compare(0, sizeof thrown - 1, thrown) == 0
                   ? details_.substr(sizeof thrown - 1)
                   : std::string();
    }

    /** What the details of an exception begin with. */
    static constexpr char thrown[] = "exception: ";

private:
    int32_t code_;
    std::string details_;
};

/** The worker process died in the task. */
class crashed : public error {
public:
    crashed(const std::string &what, const cfut_future *future) : error(CFUT_CRASHED, what)
    {
        const int32_t keys[] = { CFUT_INFO_SIGNAL, CFUT_INFO_EXIT_CODE, CFUT_INFO_WORKER_PID,
                                 CFUT_INFO_OUT_OF_MEMORY, CFUT_INFO_ATTEMPTS };
        for (size_t i = 0; i < figures_.size(); i++)
            cfut_future_info(future, keys[i], &figures_[i]);
    }

    /** What killed it, or 0. */
    int signal() const noexcept
    {
        return static_cast<int>(figures_[0]);
    }

    /** What it exited with, or 0. */
    int exit_code() const noexcept
    {
        return static_cast<int>(figures_[1]);
    }

    /** Its process. */
    pid_t pid() const noexcept
    {
        return static_cast<pid_t>(figures_[2]);
    }

    /** Whether want of memory caused it. */
    bool out_of_memory() const noexcept
    {
        return figures_[3] != 0;
    }

    /** How often the task was started. */
    int64_t attempts() const noexcept
    {
        return figures_[4];
    }

private:
    std::array<int64_t, 5> figures_ = {};
};

class context;
class executor;
class buffer;
class queue_base;
template <class T> class future;
template <class T> class shared_future;
template <class T> class promise;

namespace detail {

inline std::string last_error()
{
    char text[512];
    return std::string(text, std::min(cfut_last_error(text, sizeof text), sizeof text - 1));
}

/** Throws for a status that a call must not answer. */
[[noreturn]] inline void fail(cfut::status answer)
{
    if (answer == CFUT_BROKEN)
        throw broken(last_error());
    if (answer == CFUT_TIMEOUT)
        throw timeout();
    if (answer == CFUT_CANCELLED)
        throw cancelled();
    std::string text = answer < 0 ? last_error() : std::string();
    throw error(answer, text.empty() ? cfut_status_text(answer) : text);
}

inline void check(cfut::status answer)
{
    if (answer != CFUT_OK)
        fail(answer);
}

/** Misuse that is seen before the library is called. */
[[noreturn]] inline void misuse(cfut::status answer, const std::string &what)
{
    throw error(answer, what);
}

/* ---- time ---- */

template <class Rep, class Period>
int64_t nanoseconds(std::chrono::duration<Rep, Period> time)
{
    using std::chrono::nanoseconds;
    const double about = std::chrono::duration<double, std::nano>(time).count();
    if (!(about > 0)) // negative, nothing, or no number
        return CFUT_NOW;
    if (about >= 9.2e18)
        return CFUT_FOREVER;
    const nanoseconds whole = std::chrono::duration_cast<nanoseconds>(time);
    return whole < time ? whole.count() + 1 : whole.count();
}

/** Calls `wait(ns)` until it answers something else than CFUT_TIMEOUT or the time has come, also on
 * a clock that somebody sets meanwhile. */
template <class Clock, class Duration, class Wait>
cfut::status until(const std::chrono::time_point<Clock, Duration> &time, Wait wait)
{
    for (;;) {
        const auto present = Clock::now();
        const cfut::status answer = wait(time <= present ? CFUT_NOW : nanoseconds(time - present));
        if (answer != CFUT_TIMEOUT || Clock::now() >= time)
            return answer;
    }
}

/** The end of something that several waits share. */
class deadline {
public:
    template <class Rep, class Period>
    explicit deadline(std::chrono::duration<Rep, Period> time) : left_(nanoseconds(time))
    {
        start();
    }

    int64_t left() const
    {
        if (left_ < 0)
            return CFUT_FOREVER;
        const auto spent = std::chrono::steady_clock::now() - begin_;
        return std::max<int64_t>(left_ - std::chrono::nanoseconds(spent).count(), 0);
    }

private:
    void start()
    {
        if (left_ >= 0)
            begin_ = std::chrono::steady_clock::now();
    }

    int64_t left_;
    std::chrono::steady_clock::time_point begin_;
};

/* ---- handles ---- */

/** Owns one reference of a counted object of the library. */
template <class T, T *(*Retain)(T *), void (*Release)(T *)> class handle {
public:
    handle() noexcept = default;

    explicit handle(T *raw) noexcept : raw_(raw)
    {
    }

    handle(handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr))
    {
    }

    handle &operator=(handle &&other) noexcept
    {
        if (this != &other)
            reset(std::exchange(other.raw_, nullptr));
        return *this;
    }

    ~handle()
    {
        Release(raw_);
    }

    T *get() const noexcept
    {
        return raw_;
    }

    T *release() noexcept
    {
        return std::exchange(raw_, nullptr);
    }

    void reset(T *raw = nullptr) noexcept
    {
        Release(std::exchange(raw_, raw));
    }

    handle share() const noexcept
    {
        return handle(Retain(raw_));
    }

private:
    T *raw_ = nullptr;
};

using future_handle = handle<cfut_future, cfut_future_retain, cfut_future_release>;
using promise_handle = handle<cfut_promise, cfut_promise_retain, cfut_promise_release>;
using executor_handle = handle<cfut_executor, cfut_executor_retain, cfut_executor_release>;
using buffer_handle = handle<cfut_buffer, cfut_buffer_retain, cfut_buffer_release>;
using queue_handle = handle<cfut_queue, cfut_queue_retain, cfut_queue_release>;

/* ---- exceptions ---- */

/** The name of the type of the exception that is being handled. Works without RTTI, too. */
inline std::string current_type()
{
    const std::type_info *type = abi::__cxa_current_exception_type();
    if (type == nullptr)
        return "unknown";
    int status = 0;
    std::unique_ptr<char, void (*)(void *)> name(
        abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
    return name ? name.get() : type->name();
}

template <class T> void delete_value(void *value) noexcept
{
    delete static_cast<T *>(value);
}

struct thrown {
    int32_t code = exception_code;
    std::string message;
    bool is_cancelled = false;
};

/** What the exception that is being handled says. */
inline thrown current()
{
    thrown it;
    try {
        throw;
    } catch (const cancelled &exception) {
        it.is_cancelled = true;
        it.message = exception.what();
    } catch (const failed &exception) {
        it.code = exception.code();
        it.message = exception.what();
    } catch (const std::system_error &exception) {
        it.code = exception.code().value();
        it.message = exception.what();
    } catch (const std::exception &exception) {
        it.message = exception.what();
    } catch (...) {
        it.message = "exception of type " + current_type();
    }
    if (it.code == 0 || it.code == CFUT_DETACH)
        it.code = exception_code;
    return it;
}

/** Ends a promise with the exception that is being handled, for a reader in this process. */
inline cfut::status fail_with_object(cfut_promise *promise, std::exception_ptr exception)
{
    const thrown it = current();
    if (it.is_cancelled)
        return cfut_promise_set_cancelled(promise);
    return cfut_promise_fail_value(promise, exception_code, it.message.c_str(),
                                   new std::exception_ptr(std::move(exception)),
                                   delete_value<std::exception_ptr>);
}

/** The same for a reader that may be in another process. */
inline void fail_with_text(cfut_promise *promise)
{
    const thrown it = current();
    const std::string details = failed::thrown + current_type();
    if (it.is_cancelled)
        cfut_promise_set_cancelled(promise);
    else
        cfut_promise_fail_bytes(promise, it.code, it.message.c_str(), details.data(),
                                details.size());
}

/** Tells the log of an exception that has no other reader: a failure that nobody has looked at. */
inline void log_current(const char *where) noexcept
{
    try {
        const std::string text = where + (": " + current().message);
        cfut_promise *writer;
        cfut_future *reader;
        if (cfut_promise_new(&writer, &reader) != CFUT_OK)
            return;
        cfut_promise_fail(writer, exception_code, text.c_str());
        cfut_promise_release(writer);
        cfut_future_release(reader);
    } catch (...) { // no memory for a text
    }
}

/** Calls the body of a task for the library. `report` is told of what it throws. A thread that ends
 * in it goes on unwinding: the library replaces it. */
template <class Body, class Report>
int32_t guarded(cfut_promise *promise, Body &&body, Report &&report)
{
    try {
        body();
        return CFUT_OK;
#if defined(__GLIBCXX__)
    } catch (const abi::__forced_unwind &) {
        throw;
#endif
    } catch (...) {
        try {
            report();
        } catch (...) { // no memory for the report
            cfut_promise_fail(promise, CFUT_ENOMEM, "no memory for the exception of the task");
        }
        return CFUT_OK;
    }
}

template <class Body> int32_t guard_object(cfut_promise *promise, Body &&body)
{
    return guarded(promise, body,
                   [promise] { fail_with_object(promise, std::current_exception()); });
}

template <class Body> int32_t guard_text(cfut_promise *promise, Body &&body)
{
    return guarded(promise, body, [promise] { fail_with_text(promise); });
}

/** Throws what a settled future that did not succeed ended with. */
[[noreturn]] inline void throw_outcome(cfut::status outcome, const cfut_future *future)
{
    const std::string message = cfut_future_message(future);
    const std::string text = message.empty() ? cfut_status_text(outcome) : message;
    const int32_t code = cfut_future_code(future);
    switch (outcome) {
    case CFUT_FAILED: {
        if (code == exception_code && cfut_future_value(future) != nullptr)
            std::rethrow_exception(
                *static_cast<std::exception_ptr *>(cfut_future_value(future)));
        size_t length = 0;
        const void *bytes = cfut_future_bytes(future, &length);
        throw failed(code,
                     message.empty() ? "the task failed with code " + std::to_string(code)
                                     : message,
                     std::string(static_cast<const char *>(bytes), bytes ? length : 0));
    }
    case CFUT_CRASHED:
        throw crashed(text, future);
    case CFUT_EXPIRED:
        throw expired(text);
    case CFUT_BROKEN:
        throw broken(text, code);
    case CFUT_CANCELLED:
        throw cancelled(text);
    default:
        fail(outcome);
    }
}

} // namespace detail

/* ---- 2. Buffers --------------------------------------------------------------------- */

/** Bytes that are handed over, not copied: cfut_buffer. A function of submit<&function>() may take
 * one as its only argument, and answer with one. */
class buffer {
public:
    /** None. */
    buffer() noexcept = default;

    /** `size` zeroed bytes, aligned to 64. */
    explicit buffer(size_t size) : buffer(size, 0)
    {
    }

    /** The same in memory that worker processes map instead of copying. */
    static buffer shared(size_t size)
    {
        return buffer(size, CFUT_BUFFER_SHARED);
    }

    /** Makes a buffer of a container with data() and size(), a std::vector or std::string say, which is
     * moved in: its elements stay where they are, if moving it leaves them there. */
    template <class Container> static buffer wrap(Container container)
    {
        using element = std::remove_pointer_t<decltype(std::data(container))>;
        static_assert(std::is_trivially_copyable_v<element>,
                      "cfut: the elements of a buffer are bytes to others: they have to be "
                      "trivially copyable");
        auto owner = std::make_unique<Container>(std::move(container));
        void *data = const_cast<std::remove_const_t<element> *>(std::data(*owner));
        const size_t size = std::size(*owner) * sizeof(element);
        buffer made;
        cfut_buffer *raw = nullptr;
        detail::check(cfut_buffer_wrap(size == 0 ? nullptr : data, size,
                                       detail::delete_value<Container>, owner.release(), &raw));
        made.handle_.reset(raw);
        return made;
    }

    /** Takes over a C handle. */
    static buffer adopt(cfut_buffer *raw) noexcept
    {
        buffer made;
        made.handle_.reset(raw);
        return made;
    }

    /** Another handle of the same bytes. */
    buffer share() const noexcept
    {
        return adopt(cfut_buffer_retain(native()));
    }

    cfut_buffer *native() const noexcept
    {
        return handle_.get();
    }

    explicit operator bool() const noexcept
    {
        return native() != nullptr;
    }

    unsigned char *data() const noexcept
    {
        return static_cast<unsigned char *>(cfut_buffer_data(native()));
    }

    size_t size() const noexcept
    {
        return cfut_buffer_size(native());
    }

    unsigned char *begin() const noexcept
    {
        return data();
    }

    unsigned char *end() const noexcept
    {
        return data() + size();
    }

    /** The bytes as text. */
    std::string_view view() const noexcept
    {
        return std::string_view(reinterpret_cast<const char *>(data()), size());
    }

    /** The bytes as an array: its first element. What is left over at the end is not counted. */
    template <class T> T *as() const noexcept
    {
        static_assert(std::is_trivially_copyable_v<T>, "cfut: bytes are no object of such a class");
        return reinterpret_cast<T *>(data());
    }

#if defined(__cpp_lib_span)
    /** The bytes as an array of T. What is left over at the end is not in it. */
    template <class T = std::byte> std::span<T> span() const noexcept
    {
        return std::span<T>(as<std::remove_const_t<T>>(), size() / sizeof(T));
    }
#endif

private:
    buffer(size_t size, uint32_t flags)
    {
        cfut_buffer *raw = nullptr;
        detail::check(cfut_buffer_new(size, flags, &raw));
        handle_.reset(raw);
    }

    detail::buffer_handle handle_;
};

/* ---- 3. Codecs: what travels to another process ---------------------------------------- */

/** Collects the bytes of arguments and results. Short ones take no memory. */
class writer {
public:
    writer() noexcept = default;
    writer(const writer &) = delete;
    writer &operator=(const writer &) = delete;

    void bytes(const void *data, size_t length)
    {
        if (length == 0)
            return;
        if (long_.empty() && length <= sizeof short_ - size_) {
            std::memcpy(short_ + size_, data, length);
        } else {
            if (long_.empty())
                long_.assign(short_, size_);
            long_.append(static_cast<const char *>(data), length);
        }
        size_ += length;
    }

    /** A length before what has that many elements. */
    void count(size_t elements)
    {
        const uint64_t fixed = elements;
        bytes(&fixed, sizeof fixed);
    }

    template <class T> void value(const T &object);

    const void *data() const noexcept
    {
        return size_ == 0 ? nullptr : long_.empty() ? short_ : long_.data();
    }

    size_t size() const noexcept
    {
        return size_;
    }

private:
    char short_[248];
    size_t size_ = 0;
    std::string long_;
};

/** Gives back what a writer has collected. What is not there throws cfut::error. */
class reader {
public:
    reader(const void *data, size_t length) noexcept
        : at_(static_cast<const char *>(data)), left_(length)
    {
    }

    /** The next `length` bytes, borrowed. */
    const char *bytes(size_t length)
    {
        if (length > left_)
            detail::misuse(CFUT_EINVAL, "a value of " + std::to_string(length) +
                                            " bytes was wanted where " + std::to_string(left_) +
                                            " are left: reader and writer have to be of one type");
        const char *place = at_;
        if (length > 0)
            at_ += length;
        left_ -= length;
        return place;
    }

    /** A length that count() has written. `least` bytes for each are still there. */
    size_t count(size_t least)
    {
        uint64_t fixed;
        std::memcpy(&fixed, bytes(sizeof fixed), sizeof fixed);
        if (least > 0 && fixed > left_ / least)
            detail::misuse(CFUT_EINVAL, std::to_string(fixed) + " elements were announced where " +
                                            std::to_string(left_) + " bytes are left");
        return static_cast<size_t>(fixed);
    }

    template <class T> T value();

    size_t left() const noexcept
    {
        return left_;
    }

private:
    const char *at_;
    size_t left_;
};

namespace detail {

/** Trivially copyable, and yet of no use elsewhere: what it points to stays behind. */
template <class T>
inline constexpr bool points = std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                               std::is_null_pointer_v<T>;
template <class C, class Traits>
inline constexpr bool points<std::basic_string_view<C, Traits>> = true;
template <class T> inline constexpr bool points<std::reference_wrapper<T>> = true;
template <class T, size_t N> inline constexpr bool points<std::array<T, N>> = points<T>;
template <class T> inline constexpr bool points<std::optional<T>> = points<T>;
#if defined(__cpp_lib_span)
template <class T, size_t N> inline constexpr bool points<std::span<T, N>> = true;
#endif

/** An object from its bytes, whether or not it has a default constructor. */
template <class T> T from_bytes(const void *data)
{
    static_assert(std::is_trivially_copyable_v<T>);
    if constexpr (std::is_default_constructible_v<T>) {
        T object;
        std::memcpy(static_cast<void *>(&object), data, sizeof object);
        return object;
    } else {
        alignas(T) unsigned char place[sizeof(T)];
        std::memcpy(place, data, sizeof place);
        return *std::launder(reinterpret_cast<T *>(place));
    }
}

} // namespace detail

/** How objects of a type travel. Trivially copyable ones go as they are; there are ready codecs for
 * std::string, vector, array, pair, tuple, optional, map, set and unordered_map of what can
 * travel. For a class of your own name its members:
 *
 *     template <> struct cfut::codec<point> : cfut::members<&point::x, &point::y> {};
 *
 * or write the two functions. Host and worker are the same program, so sizes and byte order are
 * no concern; a pointer means nothing there. A class that is trivially copyable and has pointers in it
 * is not found out. */
template <class T, class = void> struct codec {
    /** Of the primary template alone: by the bytes of the object. */
    static constexpr bool as_is = std::is_trivially_copyable_v<T> && !detail::points<T>;

    static void write(writer &to, const T &object)
    {
        static_assert(as_is, "cfut: this type cannot travel to another process: it points to things "
                             "that stay behind, or is not trivially copyable. Specialise "
                             "cfut::codec for it, or submit a callable to threads");
        to.bytes(&object, sizeof object);
    }

    static T read(reader &from)
    {
        static_assert(as_is, "cfut: this type cannot travel to another process: it points to things "
                             "that stay behind, or is not trivially copyable. Specialise "
                             "cfut::codec for it, or submit a callable to threads");
        return detail::from_bytes<T>(from.bytes(sizeof(T)));
    }
};

template <class T> void writer::value(const T &object)
{
    codec<T>::write(*this, object);
}

template <class T> T reader::value()
{
    return codec<T>::read(*this);
}

namespace detail {

template <class T, class = void> struct has_own_codec : std::true_type {};
template <class T>
struct has_own_codec<T, std::void_t<decltype(codec<T>::as_is)>> : std::false_type {};

/** Whether an object is its bytes, in this process at least. */
template <class T>
inline constexpr bool is_plain = std::is_trivially_copyable_v<T> && alignof(T) <= 16 &&
                                 !has_own_codec<T>::value;

/** Ready codecs have a `travels`, which asks those of the elements. */
template <class T, class = void> struct asks_elements : std::false_type {};
template <class T>
struct asks_elements<T, std::void_t<decltype(codec<T>::travels)>> : std::true_type {};

template <class... T> constexpr bool can_travel();

template <class T> constexpr bool one_can_travel()
{
    if constexpr (std::is_void_v<T>)
        return true;
    else if constexpr (asks_elements<T>::value)
        return codec<T>::travels;
    else if constexpr (has_own_codec<T>::value)
        return true;
    else
        return codec<T>::as_is;
}

template <class... T> constexpr bool can_travel()
{
    return (one_can_travel<T>() && ...);
}

/** Containers that are filled from their end. */
template <class Container> struct sequence_codec {
    using element = typename Container::value_type;
    static constexpr bool travels = can_travel<element>();

    static void write(writer &to, const Container &container)
    {
        to.count(container.size());
        for (const auto &item : container)
            to.value<element>(item);
    }

    static Container read(reader &from)
    {
        Container container;
        for (size_t left = from.count(1); left > 0; left--)
            container.insert(container.end(), from.value<element>());
        return container;
    }
};

template <class Container> struct map_codec {
    using key = typename Container::key_type;
    using mapped = typename Container::mapped_type;
    static constexpr bool travels = can_travel<key, mapped>();

    static void write(writer &to, const Container &container)
    {
        to.count(container.size());
        for (const auto &item : container) {
            to.value<key>(item.first);
            to.value<mapped>(item.second);
        }
    }

    static Container read(reader &from)
    {
        Container container;
        for (size_t left = from.count(1); left > 0; left--) {
            key first = from.value<key>();
            container.emplace_hint(container.end(), std::move(first), from.value<mapped>());
        }
        return container;
    }
};

/** Arrays of plain elements go in one piece. */
template <class Container> struct block_codec {
    using element = typename Container::value_type;

    static void write(writer &to, const Container &container)
    {
        to.count(container.size());
        to.bytes(container.data(), container.size() * sizeof(element));
    }

    static Container read(reader &from)
    {
        const size_t size = from.count(sizeof(element));
        const char *bytes = from.bytes(size * sizeof(element));
        Container container(size, element());
        if (size > 0)
            std::memcpy(static_cast<void *>(container.data()), bytes, size * sizeof(element));
        return container;
    }
};

template <class T>
inline constexpr bool is_block = is_plain<T> && can_travel<T>() &&
                                 std::is_default_constructible_v<T> && !std::is_same_v<T, bool>;

} // namespace detail

template <class C, class Traits, class A>
struct codec<std::basic_string<C, Traits, A>>
    : detail::block_codec<std::basic_string<C, Traits, A>> {};

template <class T, class A>
struct codec<std::vector<T, A>>
    : std::conditional_t<detail::is_block<T>, detail::block_codec<std::vector<T, A>>,
                         detail::sequence_codec<std::vector<T, A>>> {};

template <class T, class C, class A>
struct codec<std::set<T, C, A>> : detail::sequence_codec<std::set<T, C, A>> {};

template <class K, class V, class C, class A>
struct codec<std::map<K, V, C, A>> : detail::map_codec<std::map<K, V, C, A>> {};

template <class K, class V, class H, class E, class A>
struct codec<std::unordered_map<K, V, H, E, A>>
    : detail::map_codec<std::unordered_map<K, V, H, E, A>> {};

template <class T, size_t N>
struct codec<std::array<T, N>, std::enable_if_t<!std::is_trivially_copyable_v<T>>> {
    static constexpr bool travels = detail::can_travel<T>();

    static void write(writer &to, const std::array<T, N> &array)
    {
        for (const T &item : array)
            to.value<T>(item);
    }

    static std::array<T, N> read(reader &from)
    {
        return read(from, std::make_index_sequence<N>());
    }

private:
    template <size_t... I> static std::array<T, N> read(reader &from, std::index_sequence<I...>)
    {
        return { { ((void)I, from.value<T>())... } };
    }
};

template <class A, class B> struct codec<std::pair<A, B>> {
    static constexpr bool travels = detail::can_travel<A, B>();

    static void write(writer &to, const std::pair<A, B> &pair)
    {
        to.value<A>(pair.first);
        to.value<B>(pair.second);
    }

    static std::pair<A, B> read(reader &from)
    {
        A first = from.value<A>();
        return { std::move(first), from.value<B>() };
    }
};

template <class... T> struct codec<std::tuple<T...>> {
    static constexpr bool travels = detail::can_travel<T...>();

    static void write(writer &to, const std::tuple<T...> &tuple)
    {
        std::apply([&to](const T &...item) { (to.value<T>(item), ...); }, tuple);
    }

    static std::tuple<T...> read(reader &from)
    {
        (void)from; // of no elements
        return std::tuple<T...>{ from.value<T>()... }; // braces: in this order
    }
};

template <class T>
struct codec<std::optional<T>, std::enable_if_t<!std::is_trivially_copyable_v<T>>> {
    static constexpr bool travels = detail::can_travel<T>();

    static void write(writer &to, const std::optional<T> &object)
    {
        to.value<unsigned char>(object.has_value() ? 1 : 0);
        if (object)
            to.value<T>(*object);
    }

    static std::optional<T> read(reader &from)
    {
        if (from.value<unsigned char>() == 0)
            return std::nullopt;
        return from.value<T>();
    }
};

namespace detail {
template <class> struct member_of;
template <class T, class Class> struct member_of<T Class::*> {
    using type = T;
    using owner = Class;
};
} // namespace detail

/** A codec that goes through members of a class, which has a default constructor. */
template <auto First, auto... Rest> struct members {
    using owner = typename detail::member_of<decltype(First)>::owner;

    static void write(writer &to, const owner &object)
    {
        one<First>(to, object);
        (one<Rest>(to, object), ...);
    }

    static owner read(reader &from)
    {
        owner object{};
        fill<First>(from, object);
        (fill<Rest>(from, object), ...);
        return object;
    }

private:
    template <auto Member> using type = typename detail::member_of<decltype(Member)>::type;

    template <auto Member> static void one(writer &to, const owner &object)
    {
        to.value<type<Member>>(object.*Member);
    }

    template <auto Member> static void fill(reader &from, owner &object)
    {
        object.*Member = from.value<type<Member>>();
    }
};

/* ---- 4. What a task is given ------------------------------------------------------------ */

/** Tells a task that it is to end: cancelled, out of time, or its executor shuts down. As
 * std::stop_token, but for callbacks: the flag of the library is looked at, and calls nobody. A copy
 * may outlive the task. A callable or function that takes one as its first parameter gets it. */
class stop_token {
public:
    /** One that is never asked to stop. */
    stop_token() noexcept = default;

    explicit stop_token(cfut_promise *promise) noexcept : handle_(cfut_promise_retain(promise))
    {
    }

    stop_token(const stop_token &other) noexcept : handle_(other.handle_.share())
    {
    }

    stop_token(stop_token &&) noexcept = default;

    stop_token &operator=(const stop_token &other) noexcept
    {
        handle_ = other.handle_.share();
        return *this;
    }

    stop_token &operator=(stop_token &&) noexcept = default;

    bool stop_requested() const noexcept
    {
        return cfut_promise_stop_requested(handle_.get()) != 0;
    }

    bool stop_possible() const noexcept
    {
        return handle_.get() != nullptr;
    }

private:
    detail::promise_handle handle_;
};

/** The task that runs, for as long as it runs. A callable or function whose first parameter is a
 * `cfut::context &` gets it. */
class context {
public:
    explicit context(cfut_promise *promise) noexcept : promise_(promise)
    {
    }

    context(const context &) = delete;
    context &operator=(const context &) = delete;

    /** Whether it is to end. A task that runs for long looks now and then. */
    bool stop_requested() const noexcept
    {
        return cfut_promise_stop_requested(promise_) != 0;
    }

    /** Leaves the task, which ends as cancelled, if it is to end. */
    void throw_if_stop_requested() const
    {
        if (stop_requested())
            throw cancelled("the task stopped as it was asked to");
    }

    cfut::stop_token token() const noexcept
    {
        return cfut::stop_token(promise_);
    }

    /** Says how far the work is, for future::progress(). */
    void progress(uint64_t done, uint64_t total) const
    {
        detail::check(cfut_promise_set_progress(promise_, done, total));
    }

    /** Borrowed. */
    cfut_promise *native() const noexcept
    {
        return promise_;
    }

private:
    cfut_promise *promise_;
};

namespace detail {

/* ---- functions and what they take ---- */

template <class T> inline constexpr bool never = false;

/** What a first parameter asks for: nothing, the context, or a token. */
enum class asks { nothing, context, token };

template <class First> constexpr asks asks_for()
{
    if constexpr (std::is_same_v<First, context &> || std::is_same_v<First, const context &>)
        return asks::context;
    else if constexpr (std::is_same_v<std::decay_t<First>, stop_token>)
        return asks::token;
    else
        return asks::nothing;
}

template <class... T> struct list {};

template <class First, class... Rest> struct parameters_of {
    static constexpr asks first = asks_for<First>();
    using rest = std::conditional_t<first == asks::nothing, list<First, Rest...>, list<Rest...>>;
};

template <class... P> struct parameters {
    static constexpr asks first = asks::nothing;
    using rest = list<>;
};
template <class First, class... Rest>
struct parameters<First, Rest...> : parameters_of<First, Rest...> {};

template <class F> struct signature {
    static_assert(never<F>, "cfut: submit<&function>() wants the address of a function that is not "
                            "overloaded, a template or a member of a class");
};
template <class R, class... P> struct signature<R (*)(P...)> {
    using result = R;
    using all = parameters<P...>;
};
template <class R, class... P>
struct signature<R (*)(P...) noexcept> : signature<R (*)(P...)> {};

template <class T> constexpr void refuse_reference()
{
    static_assert(!std::is_reference_v<T>,
                  "cfut: a task cannot answer with a reference, which may be to something that is "
                  "gone by then: answer with a value, a pointer or std::ref()");
}

/* ---- results ---- */

/** Ends a promise with an object, in this process. Plain ones of up to 16 bytes take no memory. */
template <class T> cfut::status set_object(cfut_promise *promise, T &&object)
{
    using value = std::decay_t<T>;
    if constexpr (std::is_same_v<value, buffer>) {
        return cfut_promise_set_buffer(promise, object.native());
    } else if constexpr (is_plain<value>) {
        return cfut_promise_set_bytes(promise, &object, sizeof object);
    } else {
        return cfut_promise_set_value(promise, new value(std::forward<T>(object)),
                                      delete_value<value>);
    }
}

/** Ends a promise with what can be read in any process. */
template <class T> cfut::status set_encoded(cfut_promise *promise, T &&object)
{
    using value = std::decay_t<T>;
    if constexpr (std::is_same_v<value, buffer>) {
        return cfut_promise_set_buffer(promise, object.native());
    } else if constexpr (is_plain<value>) {
        return cfut_promise_set_bytes(promise, &object, sizeof object);
    } else {
        writer bytes;
        bytes.value<value>(object);
        return cfut_promise_set_bytes(promise, bytes.data(), bytes.size());
    }
}

/** Calls what has a result, or none, and ends the promise with it. What another one has settled
 * before, a time-out say, stays so. */
template <class Call> void answer(cfut_promise *promise, Call &&call)
{
    using result = decltype(call());
    cfut::status status = CFUT_OK;
    if constexpr (std::is_void_v<result>)
        call();
    else
        status = set_object(promise, call());
    if (status != CFUT_OK && status != CFUT_ESTATE)
        fail(status);
}

template <class Call> void answer_encoded(cfut_promise *promise, Call &&call)
{
    using result = decltype(call());
    cfut::status status = CFUT_OK;
    if constexpr (std::is_void_v<result>)
        call();
    else
        status = set_encoded(promise, call());
    if (status != CFUT_OK && status != CFUT_ESTATE)
        fail(status);
}

inline buffer shared_buffer(cfut_buffer *borrowed)
{
    return buffer::adopt(cfut_buffer_retain(borrowed));
}

/** The result of a future that succeeded as bytes. */
template <class T> T decode(const cfut_future *future)
{
    size_t length = 0;
    const void *bytes = cfut_future_bytes(future, &length);
    if constexpr (std::is_same_v<T, buffer>) {
        if (cfut_buffer *whole = cfut_future_buffer(future))
            return shared_buffer(whole);
        return buffer::wrap(std::string(static_cast<const char *>(bytes), bytes ? length : 0));
    } else if constexpr (is_plain<T> || can_travel<T>()) {
        reader from(bytes, length);
        if constexpr (is_plain<T>)
            return from_bytes<T>(from.bytes(sizeof(T)));
        else
            return from.value<T>();
    } else {
        misuse(CFUT_ESTATE, "the result of this future has been taken, or was never of this type");
    }
}

/** Moves the result out. */
template <class T> T take(cfut_future *future)
{
    if constexpr (!std::is_void_v<T>) {
        if constexpr (!is_plain<T> && !std::is_same_v<T, buffer>) {
            if (cfut_future_value(future) != nullptr) {
                std::unique_ptr<T> value(static_cast<T *>(cfut_future_take(future)));
                if (value)
                    return std::move(*value);
            }
        }
        return decode<T>(future);
    }
}

/** Copies the result. */
template <class T> T copy(const cfut_future *future)
{
    if constexpr (!std::is_void_v<T>) {
        if constexpr (std::is_same_v<T, buffer>) {
            return decode<T>(future);
        } else {
            static_assert(std::is_copy_constructible_v<T>,
                          "cfut: a shared future gives copies of its result, and this type cannot be "
                          "copied: have one future, and get() it once");
            if constexpr (!is_plain<T>) {
                if (const void *value = cfut_future_value(future))
                    return *static_cast<const T *>(value);
            }
            return decode<T>(future);
        }
    }
}

template <class F, class... A> constexpr bool takes = std::is_invocable_v<F, A...>;

template <class F, class... A> constexpr asks closure_asks()
{
    if constexpr (takes<F, A...>)
        return asks::nothing;
    else if constexpr (takes<F, context &, A...>)
        return asks::context;
    else
        return asks::token;
}

/** Calls a callable as it wants to be called. */
template <class F, class... A>
decltype(auto) call(cfut_promise *promise, F &&function, A &&...arguments)
{
    (void)promise;
    constexpr asks first = closure_asks<F, A...>();
    if constexpr (first == asks::nothing) {
        return std::invoke(std::forward<F>(function), std::forward<A>(arguments)...);
    } else if constexpr (first == asks::context) {
        context given(promise);
        return std::invoke(std::forward<F>(function), given, std::forward<A>(arguments)...);
    } else {
#if defined(__cpp_lib_jthread)
        static_assert(!takes<F, std::stop_token, A...> || takes<F, stop_token, A...>,
                      "cfut: a std::stop_token has to be told, and the stop flag of a task is looked "
                      "at: take a cfut::stop_token, which has the same stop_requested()");
#endif
        static_assert(takes<F, stop_token, A...>,
                      "cfut: this cannot be called with these arguments, nor with a cfut::context & "
                      "or cfut::stop_token before them. Arguments are copied or moved in and handed "
                      "to it as rvalues; std::ref() gives a reference");
        return std::invoke(std::forward<F>(function), stop_token(promise),
                           std::forward<A>(arguments)...);
    }
}

template <class F, class... A>
using call_result = decltype(call(nullptr, std::declval<F>(), std::declval<A>()...));

/** A callable with its arguments: one allocation, freed by the library. */
template <class F, class... A> struct closure {
    F function;
    std::tuple<A...> arguments;

    template <class G, class... B>
    explicit closure(G &&given, B &&...with)
        : function(std::forward<G>(given)), arguments(std::forward<B>(with)...)
    {
    }

    static int32_t run(cfut_promise *promise, void *place)
    {
        closure *self = static_cast<closure *>(place);
        return guard_object(promise, [&] {
            answer(promise, [&]() -> decltype(auto) {
                return std::apply(
                    [&](A &&...argument) -> decltype(auto) {
                        return call(promise, std::move(self->function),
                                    std::forward<A>(argument)...);
                    },
                    std::move(self->arguments));
            });
        });
    }
};

template <class F, class... A>
using closure_of = closure<std::decay_t<F>, std::decay_t<A>...>;
template <class F, class... A>
using closure_result = call_result<std::decay_t<F>, std::decay_t<A>...>;

/** A closure in a buffer, which is how one gets the options of a task. The bytes of it would mean
 * nothing in a worker process: it is asked whose it is. */
struct boxed {
    cfut_closure_fn run;
    void *arg;
    cfut_free_fn arg_free;
    pid_t process;

    ~boxed()
    {
        if (arg_free != nullptr)
            arg_free(arg);
    }

    static int32_t run_box(cfut_promise *promise, const void *data, size_t length)
    {
        boxed box{};
        if (length == sizeof box)
            std::memcpy(static_cast<void *>(&box), data, sizeof box);
        const bool here = box.process == ::getpid();
        box.arg_free = nullptr;
        if (here)
            return box.run(promise, box.arg);
        cfut_promise_fail(promise, CFUT_ENOTSUP,
                          "a callable cannot travel to another process: submit<&function>() can");
        return CFUT_OK;
    }
};

/** A function of submit<&function>() as a task function: takes its arguments from bytes. */
template <auto F> struct remote {
    using signature = detail::signature<decltype(F)>;
    using result = typename signature::result;
    using all = typename signature::all;

    template <class List> struct unpack;
    template <class... P> struct unpack<list<P...>> {
        using values = std::tuple<std::decay_t<P>...>;
        static constexpr size_t count = sizeof...(P);
        static constexpr bool is_buffer =
            count == 1 && (std::is_same_v<std::decay_t<P>, buffer> && ...);

        static constexpr void verify()
        {
            refuse_reference<result>();
            static_assert(((!std::is_lvalue_reference_v<P> ||
                            std::is_const_v<std::remove_reference_t<P>>)&&...),
                          "cfut: a function for submit<&function>() cannot change its arguments, "
                          "which may be in another process: take them by value or const &");
            static_assert(is_buffer || can_travel<std::decay_t<P>...>(),
                          "cfut: an argument of this function cannot travel to another process: it "
                          "points to things that stay behind, or is not trivially copyable. "
                          "Specialise cfut::codec for its type (a cfut::buffer travels as the only "
                          "argument)");
            static_assert(std::is_same_v<std::decay_t<result>, buffer> ||
                              can_travel<std::decay_t<result>>(),
                          "cfut: the result of this function cannot travel to another process: it "
                          "points to things that stay behind, or is not trivially copyable. "
                          "Specialise cfut::codec for its type");
        }

        static values decode(cfut_promise *promise, const void *data, size_t length)
        {
            if constexpr (is_buffer) {
                cfut_buffer *whole = cfut_promise_input(promise);
                return values(whole != nullptr
                                  ? shared_buffer(whole)
                                  : buffer::wrap(std::string(static_cast<const char *>(data),
                                                             data ? length : 0)));
            } else {
                reader from(data, length);
                (void)promise;
                return values{ from.value<std::decay_t<P>>()... };
            }
        }

        template <class... A> static void encode(writer &to, A &&...arguments)
        {
            static_assert(sizeof...(A) == count,
                          "cfut: submit<&function>() wants as many arguments as the function has "
                          "(but a cfut::context & or cfut::stop_token in front)");
            static_assert((std::is_convertible_v<A, std::decay_t<P>> && ...),
                          "cfut: an argument does not convert to the parameter of the function");
            (to.value<std::decay_t<P>>(static_cast<std::decay_t<P>>(std::forward<A>(arguments))),
             ...);
        }
    };

    using arguments = unpack<typename all::rest>;
    using values = typename arguments::values;

    static int32_t run(cfut_promise *promise, const void *data, size_t length)
    {
        arguments::verify();
        return guard_text(promise, [&] {
            values given = arguments::decode(promise, data, length);
            answer_encoded(promise, [&]() -> decltype(auto) {
                return std::apply(
                    [&](auto &&...value) -> decltype(auto) {
                        return invoke(promise, std::forward<decltype(value)>(value)...);
                    },
                    std::move(given));
            });
        });
    }

private:
    template <class... A> static decltype(auto) invoke(cfut_promise *promise, A &&...value)
    {
        (void)promise;
        if constexpr (all::first == asks::context) {
            context given(promise);
            return F(given, std::forward<A>(value)...);
        } else if constexpr (all::first == asks::token) {
            return F(stop_token(promise), std::forward<A>(value)...);
        } else {
            return F(std::forward<A>(value)...);
        }
    }
};

template <auto F> using remote_result = std::decay_t<typename remote<F>::result>;

/** A callable that is called once, by the library, with a settled future. */
template <class T, class F> struct continuation;
template <class F> struct callback;

} // namespace detail

/* ---- 5. Futures ---------------------------------------------------------------------------- */

/** How far cancel() goes: see cfut_future_cancel(). */
enum class cancel_mode : uint32_t {
    pending = CFUT_CANCEL_PENDING,
    stop = CFUT_CANCEL_STOP,
    kill = CFUT_CANCEL_KILL,
};

/** Where a future is in its life. */
enum class state : int32_t {
    pending = CFUT_STATE_PENDING,
    running = CFUT_STATE_RUNNING,
    cancelled = CFUT_STATE_CANCELLED,
    finished = CFUT_STATE_FINISHED,
};

/** What future<T> and shared_future<T> have in common. */
class future_base {
public:
    /** Whether there is a task to speak of: false for one that was made empty, moved from, or whose
     * get() or then() has been called. */
    bool valid() const noexcept
    {
        return native() != nullptr;
    }

    explicit operator bool() const noexcept
    {
        return valid();
    }

    /** Borrowed. */
    cfut_future *native() const noexcept
    {
        return handle_.get();
    }

    /** Waits for the end, however it is: CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, ... Throws only if
     * the wait itself fails, with CFUT_EDEADLK for instance. */
    status wait() const
    {
        return wait_ns(CFUT_FOREVER);
    }

    /** As wait(); CFUT_TIMEOUT if it has not ended in this time. The task goes on then. */
    template <class Rep, class Period>
    status wait_for(std::chrono::duration<Rep, Period> time) const
    {
        return wait_ns(detail::nanoseconds(time));
    }

    /** The same up to a point of any clock. */
    template <class Clock, class Duration>
    status wait_until(const std::chrono::time_point<Clock, Duration> &time) const
    {
        return detail::until(time, [this](int64_t ns) { return wait_ns(ns); });
    }

    /** Whether it has ended. */
    bool done() const
    {
        return state() == state::finished || state() == state::cancelled;
    }

    cfut::state state() const
    {
        return static_cast<cfut::state>(cfut_future_state(present()));
    }

    /** CFUT_OK: it is cancelled; CFUT_PENDING: it was asked to stop; CFUT_TOO_LATE: it has ended, or
     * runs and `mode` does not reach it. */
    status cancel(cancel_mode mode = cancel_mode::pending) const
    {
        const cfut::status answer = cfut_future_cancel(present(), static_cast<uint32_t>(mode));
        if (answer < 0)
            detail::fail(answer);
        return answer;
    }

    /** The failure code, or 0. */
    int32_t code() const
    {
        return cfut_future_code(present());
    }

    /** The message that goes with a failure, or "". */
    std::string message() const
    {
        return cfut_future_message(present());
    }

    /** A figure with a CFUT_INFO_ key; 0 before the end. */
    int64_t info(int32_t key) const
    {
        int64_t figure = 0;
        const cfut::status answer = cfut_future_info(present(), key, &figure);
        if (answer < 0)
            detail::fail(answer);
        return figure;
    }

    /** From its submit to its start. */
    std::chrono::nanoseconds queued_time() const
    {
        return std::chrono::nanoseconds(info(CFUT_INFO_QUEUED_NS));
    }

    /** From its start to its end. */
    std::chrono::nanoseconds run_time() const
    {
        return std::chrono::nanoseconds(info(CFUT_INFO_RUN_NS));
    }

    /** How far the task says it is: done, and of how much. */
    std::pair<uint64_t, uint64_t> progress() const
    {
        std::pair<uint64_t, uint64_t> is{ 0, 0 };
        detail::check(cfut_future_progress(present(), &is.first, &is.second));
        return is;
    }

#if defined(__cpp_lib_jthread)
    /** From now on a stop of `token` cancels it, and asks it to stop if it runs. */
    void stop_with(std::stop_token token) const;
#endif

protected:
    future_base() noexcept = default;

    explicit future_base(cfut_future *raw) noexcept : handle_(raw)
    {
    }

    cfut_future *present() const
    {
        if (!valid())
            detail::misuse(CFUT_EINVAL, "a future without a task: it was moved from, or get() or "
                                        "then() has been called; share() gives one that can be "
                                        "read again");
        return native();
    }

    status wait_ns(int64_t ns) const
    {
        const cfut::status answer = cfut_future_wait(present(), ns);
        if (answer < 0)
            detail::fail(answer);
        return answer;
    }

    void succeeded(int64_t ns) const
    {
        const cfut::status outcome = wait_ns(ns);
        if (outcome == CFUT_TIMEOUT)
            throw timeout();
        if (outcome != CFUT_OK)
            detail::throw_outcome(outcome, native());
    }

    template <class F>
    void call_when_done(cfut_executor *where, F &&function) const;

    detail::future_handle handle_;

    friend class queue_base;
    friend class executor;
};

/** The reading side of an outcome, for one reader: get() moves the result out. Letting go of it
 * does not cancel the task. */
template <class T> class future : public future_base {
    static_assert(!std::is_reference_v<T>, "cfut: a future of a reference: see submit()");

public:
    using value_type = T;

    future() noexcept = default;

    /** Takes over a C handle. Its result, if there is one, is the bytes of a T as its codec writes
     * them. */
    static future adopt(cfut_future *raw) noexcept
    {
        return future(raw, false);
    }

    /** Gives the C handle away. */
    cfut_future *release() noexcept
    {
        return handle_.release();
    }

    /** Waits, and moves the result out, or throws what the task ended with. Once: the future is
     * empty afterwards, as std::future is. */
    T get()
    {
        return get_ns(CFUT_FOREVER);
    }

    /** As get(), but throws cfut::timeout if there is no outcome in this time. The future is as it was
     * then. */
    template <class Rep, class Period> T get_for(std::chrono::duration<Rep, Period> time)
    {
        return get_ns(detail::nanoseconds(time));
    }

    /** A future that may be copied and read many times. This one is empty afterwards. */
    shared_future<T> share();

    /** Makes a future for `function` of the result, or for `function` of the settled
     * cfut::future<T>, if it takes that. It runs in the thread that settles this one, so it should be
     * short. If this one does not succeed, a function of the result is not called, and get()
     * throws what this one's would have. This one is empty afterwards. */
    template <class F> auto then(F &&function)
    {
        return then_on(nullptr, std::forward<F>(function));
    }

    /** The same with `function` as a task of an executor of this process. */
    template <class F> auto then(const executor &where, F &&function);

    /** Makes a future for F of the result, on any kind of executor: cfut_future_pipe(). If this one does
     * not succeed, it ends in the same way. This one is empty afterwards. */
    template <auto F> auto then(const executor &where);

    /** The same with the options of a task. */
    template <auto F, class Task> auto then(const executor &where, const Task &task);

    /** Has `function` called with a cfut::shared_future<T> of the same task when that has ended, in the
     * thread that ends it, or here and now. What it throws goes to the log. */
    template <class F> void on_done(F &&function) const
    {
        on_done_on(nullptr, std::forward<F>(function));
    }

    /** The same as a task of an executor of this process. */
    template <class F> void on_done(const executor &where, F &&function) const;

#if defined(CFUT_HAS_COROUTINES)
    class awaiter;
    class promise_type;

    /** `co_await future` is get() without a thread that waits: the coroutine goes on in the thread that
     * settles the future, or at once if it is settled. */
    awaiter operator co_await();

    /** `co_await future.on(executor)`: the coroutine goes on as a task of the executor. */
    awaiter on(const executor &where);
#endif

private:
    future(cfut_future *raw, bool is_object) noexcept : future_base(raw), is_object_(is_object)
    {
    }

    T get_ns(int64_t ns)
    {
        const cfut::status outcome = wait_ns(ns);
        if (outcome == CFUT_TIMEOUT)
            throw timeout();
        const detail::future_handle once(std::move(handle_));
        if (outcome != CFUT_OK)
            detail::throw_outcome(outcome, once.get());
        return detail::take<T>(once.get());
    }

    template <class F> auto then_on(cfut_executor *where, F &&function);
    template <class F> void on_done_on(cfut_executor *where, F &&function) const;

    /** Whether its result is an object, not bytes: what cannot be piped as it is. */
    bool is_object_ = false;

    template <class> friend class future;
    template <class> friend class shared_future;
    template <class> friend class promise;
    template <class> friend class queue;
    template <class> friend class map_results;
    template <class, class> friend struct detail::continuation;
    template <class U> friend future<U> make_future(cfut_future *raw, bool is_object) noexcept;
};

/** For the inside of this header: a future whose result is an object or bytes. */
template <class T> future<T> make_future(cfut_future *raw, bool is_object) noexcept
{
    return future<T>(raw, is_object);
}

/** The reading side of an outcome, for any number of readers: may be copied, and get() gives
 * copies. */
template <class T> class shared_future : public future_base {
public:
    using value_type = T;

    shared_future() noexcept = default;

    shared_future(const shared_future &other) noexcept
        : future_base(cfut_future_retain(other.native())), is_object_(other.is_object_)
    {
    }

    shared_future(shared_future &&) noexcept = default;

    shared_future &operator=(const shared_future &other) noexcept
    {
        handle_ = other.handle_.share();
        is_object_ = other.is_object_;
        return *this;
    }

    shared_future &operator=(shared_future &&) noexcept = default;

    /** Takes over a C handle, as future<T>::adopt(). */
    static shared_future adopt(cfut_future *raw) noexcept
    {
        shared_future made;
        made.handle_.reset(raw);
        return made;
    }

    /** Waits, and copies the result, or throws what the task ended with. */
    T get() const
    {
        this->succeeded(CFUT_FOREVER);
        return detail::copy<T>(native());
    }

    /** As get(), but throws cfut::timeout if there is no outcome in this time. */
    template <class Rep, class Period> T get_for(std::chrono::duration<Rep, Period> time) const
    {
        this->succeeded(detail::nanoseconds(time));
        return detail::copy<T>(native());
    }

    /** As future<T>::then(), with a copy of the result, or the settled shared future. */
    template <class F> auto then(F &&function) const;
    template <class F> auto then(const executor &where, F &&function) const;
    template <auto F> auto then(const executor &where) const;
    template <auto F, class Task> auto then(const executor &where, const Task &task) const;

    /** As future<T>::on_done(). */
    template <class F> void on_done(F &&function) const;
    template <class F> void on_done(const executor &where, F &&function) const;

private:
    template <class F> auto then_on(cfut_executor *where, F &&function) const;

    bool is_object_ = false; // as in future<T>

    template <class> friend class future;
    template <class> friend struct detail::callback;
};

namespace detail {

template <class T, class F> struct continuation {
    F function;

    explicit continuation(F &&given) : function(std::move(given))
    {
    }

    explicit continuation(const F &given) : function(given)
    {
    }

    static decltype(auto) call(F &function, cfut_future *input)
    {
        if constexpr (std::is_void_v<T>) {
            if constexpr (std::is_invocable_v<F>) {
                throw_unless_good(input);
                return std::invoke(std::move(function));
            } else {
                return call_whole(function, input);
            }
        } else if constexpr (std::is_invocable_v<F, T>) {
            throw_unless_good(input);
            return std::invoke(std::move(function), take<T>(input));
        } else {
            return call_whole(function, input);
        }
    }

    static int32_t run(cfut_promise *promise, cfut_future *input, void *place)
    {
        continuation *self = static_cast<continuation *>(place);
        return guard_object(promise, [&] {
            answer(promise, [&]() -> decltype(auto) { return call(self->function, input); });
        });
    }

private:
    static void throw_unless_good(cfut_future *input)
    {
        const cfut::status outcome = cfut_future_wait(input, CFUT_NOW);
        if (outcome != CFUT_OK)
            throw_outcome(outcome, input);
    }

    static decltype(auto) call_whole(F &function, cfut_future *input)
    {
        static_assert(std::is_invocable_v<F, future<T>>,
                      "cfut: a continuation takes the result of the future before it, or a "
                      "cfut::future of it");
        return std::invoke(std::move(function),
                           make_future<T>(cfut_future_retain(input),
                                          cfut_future_value(input) != nullptr));
    }
};

template <class T, class F>
using continuation_result =
    decltype(continuation<T, F>::call(std::declval<F &>(), std::declval<cfut_future *>()));

/** cfut_future_then() with a continuation; R is its result. */
template <class R, class Box>
future<R> chain(cfut_future *input, cfut_executor *where, std::unique_ptr<Box> box)
{
    cfut_future *raw = nullptr;
    check(cfut_future_then(input, where, Box::run, box.release(), delete_value<Box>, &raw));
    return make_future<R>(raw, true);
}

template <class F> struct callback {
    F function;

    template <class Future> static void run(cfut_future *settled, void *place)
    {
        callback *self = static_cast<callback *>(place);
        try {
            std::invoke(std::move(self->function),
                        Future::adopt(cfut_future_retain(settled)));
#if defined(__GLIBCXX__)
        } catch (const abi::__forced_unwind &) {
            throw;
#endif
        } catch (...) {
            log_current("exception in a callback of on_done()");
        }
    }
};

template <class Future, class F>
void add_callback(cfut_future *future, cfut_executor *where, F &&function)
{
    using box = callback<std::decay_t<F>>;
    static_assert(std::is_invocable_v<std::decay_t<F>, Future>,
                  "cfut: a callback of on_done() takes a cfut::shared_future of the result");
    std::unique_ptr<box> made(new box{ std::forward<F>(function) });
    check(cfut_future_on_done(future, where, box::template run<Future>, made.release(),
                              delete_value<box>));
}

} // namespace detail

template <class T> shared_future<T> future<T>::share()
{
    shared_future<T> made;
    present();
    made.handle_ = std::move(handle_);
    made.is_object_ = is_object_;
    return made;
}

template <class T> template <class F> auto future<T>::then_on(cfut_executor *where, F &&function)
{
    using box = detail::continuation<T, std::decay_t<F>>;
    using result = detail::continuation_result<T, std::decay_t<F>>;
    detail::refuse_reference<result>();
    auto made = std::make_unique<box>(std::forward<F>(function));
    auto next = detail::chain<std::decay_t<result>>(present(), where, std::move(made));
    handle_.reset();
    return next;
}

template <class T>
template <class F>
void future<T>::on_done_on(cfut_executor *where, F &&function) const
{
    detail::add_callback<shared_future<T>>(present(), where, std::forward<F>(function));
}

template <class T>
template <class F>
auto shared_future<T>::then_on(cfut_executor *where, F &&function) const
{
    auto step = [keep = shared_future(*this),
                 call = std::decay_t<F>(std::forward<F>(function))](future<T>) mutable
        -> decltype(auto) {
        if constexpr (std::is_void_v<T>) {
            if constexpr (std::is_invocable_v<std::decay_t<F>>) {
                keep.get();
                return std::invoke(std::move(call));
            } else {
                return std::invoke(std::move(call), std::move(keep));
            }
        } else if constexpr (std::is_invocable_v<std::decay_t<F>, T>) {
            return std::invoke(std::move(call), keep.get());
        } else {
            return std::invoke(std::move(call), std::move(keep));
        }
    };
    using box = detail::continuation<T, decltype(step)>;
    using result = detail::continuation_result<T, decltype(step)>;
    detail::refuse_reference<result>();
    return detail::chain<std::decay_t<result>>(this->present(), where,
                                                  std::make_unique<box>(std::move(step)));
}

template <class T> template <class F> auto shared_future<T>::then(F &&function) const
{
    return then_on(nullptr, std::forward<F>(function));
}

template <class T> template <class F> void shared_future<T>::on_done(F &&function) const
{
    detail::add_callback<shared_future>(this->present(), nullptr, std::forward<F>(function));
}

/* ---- 6. Options and tasks ---------------------------------------------------------------- */

/** What a submit does that finds the queue full. */
enum class full_policy : int64_t {
    block = CFUT_FULL_BLOCK,
    reject = CFUT_FULL_REJECT,
    run_in_caller = CFUT_FULL_RUN_IN_CALLER,
};

/** How a worker process is made. */
enum class start_method : int64_t {
    forkserver = CFUT_START_FORKSERVER,
    spawn = CFUT_START_SPAWN,
};

/** What the crash of a worker process costs. */
enum class worker_death : int64_t {
    fails_task = CFUT_DEATH_FAIL_TASK,
    breaks_pool = CFUT_DEATH_BREAK_POOL,
};

/** When a task is started. */
enum class priority : int64_t { low = -1, normal = 0, high = 1 };

namespace detail {

/** Handles of builders: moved, not shared. */
template <class T, void (*Free)(T *)> struct freed_by {
    void operator()(T *raw) const noexcept
    {
        Free(raw);
    }
};
template <class T, void (*Free)(T *)> using builder = std::unique_ptr<T, freed_by<T, Free>>;

struct task_base {};

template <auto F> cfut_task *new_function_task()
{
    remote<F>::arguments::verify();
    cfut_task *raw = nullptr;
    check(cfut_task_new(remote<F>::run, &raw));
    return raw;
}

} // namespace detail

/** What the kinds of tasks have in common: their options. A task is a builder: it may be submitted
 * any number of times, and what was submitted keeps the options it had. */
template <class Self> class task_options : public detail::task_base {
public:
    /** For messages, snapshots and the timeline. */
    Self &name(const std::string &text)
    {
        return set_text(CFUT_TASK_NAME, text);
    }

    /** Most time in the queue, or it is expired. */
    template <class Rep, class Period> Self &queue_timeout(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_TASK_QUEUE_TIMEOUT_NS, detail::nanoseconds(time));
    }

    /** Most time it may run: then it is expired at once, and asked to stop. */
    template <class Rep, class Period> Self &run_timeout(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_TASK_RUN_TIMEOUT_NS, detail::nanoseconds(time));
    }

    /** The same from its submit; of a map for all of it. */
    template <class Rep, class Period> Self &total_timeout(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_TASK_TOTAL_TIMEOUT_NS, detail::nanoseconds(time));
    }

    /** Processes and commands: how long it may go on after that before it is killed. */
    template <class Rep, class Period> Self &grace(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_TASK_GRACE_NS, detail::nanoseconds(time));
    }

    Self &priority(cfut::priority when)
    {
        return set(CFUT_TASK_PRIORITY, static_cast<int64_t>(when));
    }

    /** Processes: how often it is started if its worker dies in it. */
    Self &attempts(int64_t most)
    {
        return set(CFUT_TASK_ATTEMPTS, most);
    }

    /** Maps: items that are handed out at once. */
    Self &chunk(int64_t items)
    {
        return set(CFUT_TASK_CHUNK, items);
    }

    /** Maps: most items handed out and not read yet; CFUT_WINDOW_ALL for all at once. */
    Self &window(int64_t items)
    {
        return set(CFUT_TASK_WINDOW, items);
    }

    /** Most bytes of a result. */
    Self &output_limit(int64_t bytes)
    {
        return set(CFUT_TASK_OUTPUT_LIMIT, bytes);
    }

    /** An integer option by its CFUT_TASK_ key. */
    Self &set(int32_t key, int64_t value)
    {
        detail::check(cfut_task_set(native(), key, value));
        return static_cast<Self &>(*this);
    }

    /** A text option by its CFUT_TASK_ key. */
    Self &set_text(int32_t key, const std::string &text)
    {
        detail::check(cfut_task_set_text(native(), key, text.c_str()));
        return static_cast<Self &>(*this);
    }

    /** Borrowed. */
    cfut_task *native() const noexcept
    {
        return handle_.get();
    }

protected:
    explicit task_options(cfut_task *raw) noexcept : handle_(raw)
    {
    }

    detail::builder<cfut_task, cfut_task_free> handle_;
};

/** Options for a callable:
 *
 *     cfut::task brief;
 *     brief.name("thumbnail").run_timeout(2s);
 *     pool.submit(brief, [] { ... });
 *
 * Such a submit takes one allocation more than one without options. */
class task : public task_options<task> {
public:
    task() : task_options(make())
    {
    }

private:
    static cfut_task *make()
    {
        cfut_task *raw = nullptr;
        detail::check(cfut_task_new(detail::boxed::run_box, &raw));
        return raw;
    }
};

/** A function with options, for every kind of executor:
 *
 *     pool.submit(cfut::call<&resize>().run_timeout(2s), "a.png", 640);
 */
template <auto F> class call : public task_options<call<F>> {
public:
    call() : task_options<call>(detail::new_function_task<F>())
    {
    }
};

/** A task that works on bytes, and answers with a cfut::buffer. */
class bytes_task : public task_options<bytes_task> {
public:
    /** A function as C has them. No exception may leave it. */
    static bytes_task function(cfut_task_fn fn)
    {
        cfut_task *raw = nullptr;
        detail::check(cfut_task_new(fn, &raw));
        return bytes_task(raw);
    }

    /** By a name given with cfut_register(), or "module.so:symbol". */
    static bytes_task named(const std::string &name)
    {
        cfut_task *raw = nullptr;
        detail::check(cfut_task_new_named(name.c_str(), &raw));
        return bytes_task(raw);
    }

private:
    explicit bytes_task(cfut_task *raw) noexcept : task_options(raw)
    {
    }
};

/** A program as a task: its bytes are standard input, and what it writes is the result. An exit
 * status other than 0 is cfut::failed with that code. See cfut_task_new_command(). */
class command : public task_options<command> {
public:
    explicit command(const std::string &program, const std::vector<std::string> &arguments = {})
        : task_options(make(program))
    {
        for (const std::string &one : arguments)
            arg(one);
    }

    command &arg(const std::string &text)
    {
        detail::check(cfut_task_add_arg(native(), text.c_str()));
        return *this;
    }

    /** Adds or changes a variable of its environment. */
    command &env(const std::string &name, const std::string &value)
    {
        detail::check(cfut_task_add_env(native(), name.c_str(), value.c_str()));
        return *this;
    }

    /** Where it begins; without, where this process is. */
    command &directory(const std::string &path)
    {
        return set_text(CFUT_TASK_DIRECTORY, path);
    }

private:
    static cfut_task *make(const std::string &program)
    {
        cfut_task *raw = nullptr;
        detail::check(cfut_task_new_command(program.c_str(), &raw));
        return raw;
    }
};

/** How an executor works; what is not set is the library's choice. An option that is not for the
 * kind of executor it is then used with is refused there, with cfut::error. */
class options {
public:
    options() : handle_(cfut_options_new())
    {
        if (!handle_)
            throw std::bad_alloc();
    }

    /** Most workers. */
    options &workers(int64_t most)
    {
        return set(CFUT_OPT_WORKERS, most);
    }

    /** Kept when idle. */
    options &min_workers(int64_t least)
    {
        return set(CFUT_OPT_MIN_WORKERS, least);
    }

    /** An idle worker above the minimum leaves after this. */
    template <class Rep, class Period> options &idle(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_OPT_IDLE_NS, detail::nanoseconds(time));
    }

    /** Most tasks accepted and not started. */
    options &queue_limit(int64_t tasks)
    {
        return set(CFUT_OPT_QUEUE_LIMIT, tasks);
    }

    /** The same in bytes of their arguments, and of results that nobody has read. */
    options &queue_bytes(int64_t bytes)
    {
        return set(CFUT_OPT_QUEUE_BYTES, bytes);
    }

    /** What a submit does that finds the queue full. */
    options &when_full(full_policy policy)
    {
        return set(CFUT_OPT_FULL_POLICY, static_cast<int64_t>(policy));
    }

    /** Longest wait of full_policy::block. */
    template <class Rep, class Period>
    options &full_timeout(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_OPT_FULL_TIMEOUT_NS, detail::nanoseconds(time));
    }

    /** Bytes of a worker's stack. */
    options &stack_size(int64_t bytes)
    {
        return set(CFUT_OPT_STACK_SIZE, bytes);
    }

    /** Processes: how a worker is made. */
    options &start(start_method how)
    {
        return set(CFUT_OPT_START_METHOD, static_cast<int64_t>(how));
    }

    /** Processes: recycle one after so many tasks. */
    options &tasks_per_worker(int64_t tasks)
    {
        return set(CFUT_OPT_TASKS_PER_WORKER, tasks);
    }

    /** Processes: recycle one above so many resident bytes. */
    options &rss_per_worker(int64_t bytes)
    {
        return set(CFUT_OPT_RSS_PER_WORKER, bytes);
    }

    /** Processes: bytes of address space. */
    options &memory_limit(int64_t bytes)
    {
        return set(CFUT_OPT_MEMORY_LIMIT, bytes);
    }

    /** Processes: processor time of a worker's life. */
    options &cpu_time_limit(std::chrono::seconds time)
    {
        return set(CFUT_OPT_CPU_TIME_LIMIT, time.count());
    }

    /** Nice value of the workers. */
    options &nice(int64_t value)
    {
        return set(CFUT_OPT_NICE, value);
    }

    /** Processes: what a crash costs. */
    options &on_worker_death(worker_death costs)
    {
        return set(CFUT_OPT_ON_WORKER_DEATH, static_cast<int64_t>(costs));
    }

    /** Processes: a worker that is not ready after this is killed. */
    template <class Rep, class Period>
    options &start_timeout(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_OPT_START_TIMEOUT_NS, detail::nanoseconds(time));
    }

    /** How long one idle worker looks for work before it sleeps, up to 1 s. */
    template <class Rep, class Period> options &spin(std::chrono::duration<Rep, Period> time)
    {
        return set(CFUT_OPT_SPIN_NS, detail::nanoseconds(time));
    }

    /** Whether threads outside that wait for ever may run the awaited task. */
    options &waiters_help(bool may = true)
    {
        return set(CFUT_OPT_WAITERS_HELP, may ? 1 : 0);
    }

    /** Workers are NAME-0, NAME-1, ... */
    options &name(const std::string &text)
    {
        return set_text(CFUT_OPT_NAME, text);
    }

    /** Processes: path of a program that calls cfut::worker_main() or cfut_worker_run(), and its
     * arguments. */
    options &worker_program(const std::string &path, const std::vector<std::string> &arguments = {})
    {
        set_text(CFUT_OPT_WORKER_PROGRAM, path);
        for (const std::string &one : arguments)
            detail::check(cfut_options_add_worker_arg(native(), one.c_str()));
        return *this;
    }

    /** Processes: adds or changes a variable in the environment of the workers. */
    options &worker_env(const std::string &name, const std::string &value)
    {
        detail::check(cfut_options_add_worker_env(native(), name.c_str(), value.c_str()));
        return *this;
    }

    /** Processes: shared objects that are loaded before workers are forked, with ':' between them. */
    options &preload(const std::string &paths)
    {
        return set_text(CFUT_OPT_PRELOAD, paths);
    }

    /** A timeline in the Chrome trace format. */
    options &trace_file(const std::string &path)
    {
        return set_text(CFUT_OPT_TRACE_FILE, path);
    }

    /** Has a function run in each worker before its first task. If it throws, the executor breaks. */
    template <auto F, class... A> options &initializer(A &&...arguments)
    {
        const cfut::call<F> made;
        writer bytes;
        detail::remote<F>::arguments::encode(bytes, std::forward<A>(arguments)...);
        detail::check(
            cfut_options_set_initializer(native(), made.native(), bytes.data(), bytes.size()));
        return *this;
    }

    /** Threads: has callables run in each worker as it starts and as it leaves, with its number. If
     * `start` throws, the executor breaks, and `stop` is not called for that worker; what `stop`
     * throws is told to the log. */
    template <class Start, class Stop> options &worker_hooks(Start start, Stop stop)
    {
        struct hooks {
            Start start;
            Stop stop;

            static int32_t starts(void *place, uint32_t worker) noexcept
            {
                try {
                    static_cast<hooks *>(place)->start(worker);
                    return CFUT_OK;
                } catch (...) {
                    detail::log_current("exception in the start hook of a worker");
                    return exception_code;
                }
            }

            static int32_t stops(void *place, uint32_t worker) noexcept
            {
                try {
                    static_cast<hooks *>(place)->stop(worker);
                } catch (...) {
                    detail::log_current("exception in the stop hook of a worker");
                }
                return CFUT_OK;
            }
        };
        auto both = std::unique_ptr<hooks>(new hooks{ std::move(start), std::move(stop) });
        detail::check(cfut_options_set_worker_hooks(native(), hooks::starts, hooks::stops,
                                                    both.release(), detail::delete_value<hooks>));
        return *this;
    }

    /** An integer option by its CFUT_OPT_ key. */
    options &set(int32_t key, int64_t value)
    {
        detail::check(cfut_options_set(native(), key, value));
        return *this;
    }

    /** A text option by its CFUT_OPT_ key. */
    options &set_text(int32_t key, const std::string &text)
    {
        detail::check(cfut_options_set_text(native(), key, text.c_str()));
        return *this;
    }

    /** Borrowed. */
    cfut_options *native() const noexcept
    {
        return handle_.get();
    }

private:
    detail::builder<cfut_options, cfut_options_free> handle_;
};

/* ---- 7. Executors ------------------------------------------------------------------------ */

template <class R> class map_results;

namespace detail {

/** The items of a map of a callable, in one allocation: the library gets the address of each. */
template <class F, class Item> struct map_closure {
    struct element {
        map_closure *owner;
        std::optional<Item> item;
    };

    F function;
    std::vector<element> elements;
    std::atomic<size_t> left{ 0 };

    explicit map_closure(F &&given) : function(std::move(given))
    {
    }

    static int32_t run(cfut_promise *promise, void *place)
    {
        element *self = static_cast<element *>(place);
        return guard_object(promise, [&] {
            answer(promise, [&]() -> decltype(auto) {
                return call(promise, self->owner->function, std::move(*self->item));
            });
        });
    }

    static void free_one(void *place) noexcept
    {
        element *self = static_cast<element *>(place);
        map_closure *owner = self->owner;
        self->item.reset();
        if (owner->left.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete owner;
    }
};

/** What a map of a function reads its items from. */
template <auto F, class Range> struct map_source {
    using stored = std::conditional_t<std::is_lvalue_reference_v<Range>,
                                      std::reference_wrapper<std::remove_reference_t<Range>>, Range>;

    stored range;
    decltype(std::begin(std::declval<std::remove_reference_t<Range> &>())) at;
    decltype(std::end(std::declval<std::remove_reference_t<Range> &>())) end;
    std::optional<writer> item;
    std::exception_ptr thrown;
    bool is_first = true;

    explicit map_source(Range &&given)
        : range(std::forward<Range>(given)), at(std::begin(whole())), end(std::end(whole()))
    {
    }

    static int32_t next(void *place, const void **data, size_t *length) noexcept
    {
        map_source *self = static_cast<map_source *>(place);
        try {
            if (!std::exchange(self->is_first, false))
                ++self->at;
            if (self->at == self->end)
                return CFUT_END;
            self->item.emplace();
            encode(*self->item, *self->at);
            *data = self->item->data();
            *length = self->item->size();
            return CFUT_OK;
        } catch (...) {
            self->thrown = std::current_exception();
            return CFUT_EINVAL;
        }
    }

private:
    std::remove_reference_t<Range> &whole()
    {
        if constexpr (std::is_lvalue_reference_v<Range>)
            return range.get();
        else
            return range;
    }

    template <class Item> static void encode(writer &to, Item &&item)
    {
        using arguments = typename remote<F>::arguments;
        if constexpr (arguments::count == 1)
            arguments::encode(to, std::forward<Item>(item));
        else
            std::apply([&to](auto &&...one) { arguments::encode(to, one...); }, item);
    }
};

/** The ranges of a parallel loop. */
template <class F> struct range_loop {
    F function;

    static constexpr bool ranges = takes<F &, size_t, size_t> ||
                                   takes<F &, context &, size_t, size_t> ||
                                   takes<F &, stop_token, size_t, size_t>;

    static int32_t run(cfut_promise *promise, size_t begin, size_t end, void *place)
    {
        F &function = static_cast<range_loop *>(place)->function;
        return guard_object(promise, [&] {
            if constexpr (ranges) {
                call(promise, function, static_cast<size_t>(begin), static_cast<size_t>(end));
            } else {
                for (size_t i = begin; i < end; i++) {
                    call(promise, function, static_cast<size_t>(i));
                    if ((i & 255) == 255 && i + 1 < end && cfut_promise_stop_requested(promise) != 0)
                        throw cancelled();
                }
            }
        });
    }
};

/** Whether the elements of a range that is given away are its own, and may be moved out of it. */
template <class Range>
inline constexpr bool owns_elements =
    !std::is_lvalue_reference_v<Range> &&
    std::is_const_v<std::remove_reference_t<
        decltype(*std::begin(std::declval<const std::remove_reference_t<Range> &>()))>>;

template <class Range> using item_of = std::decay_t<decltype(*std::begin(
    std::declval<std::remove_reference_t<Range> &>()))>;

} // namespace detail

/** All figures of an executor, as cfut_executor_stat() gives them. */
struct statistics {
    int64_t workers, idle_workers, max_workers, workers_started;
    int64_t queued, running, submitted, succeeded, failed, cancelled, expired, crashed, stolen;
    std::chrono::nanoseconds oldest_queued;
    bool broken;
};

/** Something that runs tasks: a handle of a thread pool, a process pool, a view or a loop. Moving one
 * moves with it what its destructor does; share() makes a handle that only lets go. */
class executor {
public:
    /** None. */
    executor() noexcept = default;

    executor(executor &&other) noexcept
        : handle_(std::move(other.handle_)), joins_(std::exchange(other.joins_, false)),
          is_loop_(other.is_loop_), is_foreign_(other.is_foreign_)
    {
    }

    executor &operator=(executor &&other) noexcept
    {
        if (this != &other) {
            close();
            handle_ = std::move(other.handle_);
            joins_ = std::exchange(other.joins_, false);
            is_loop_ = other.is_loop_;
            is_foreign_ = other.is_foreign_;
        }
        return *this;
    }

    /** That of a pool or view shuts it down and waits; in a task of its own, where that would be for
     * ever, it only lets go. */
    ~executor()
    {
        close();
    }

    /** Takes over a C handle. The destructor of this one does not wait. */
    static executor adopt(cfut_executor *raw) noexcept
    {
        executor made;
        made.handle_.reset(raw);
        return made;
    }

    /** The executor whose task this thread runs; none in other threads. */
    static executor current() noexcept
    {
        return adopt(cfut_executor_retain(cfut_executor_current()));
    }

    /** Another handle, whose destructor does not wait. */
    executor share() const noexcept
    {
        executor made = adopt(cfut_executor_retain(native()));
        made.is_loop_ = is_loop_;
        made.is_foreign_ = is_foreign_;
        return made;
    }

    /** Borrowed. */
    cfut_executor *native() const noexcept
    {
        return handle_.get();
    }

    explicit operator bool() const noexcept
    {
        return native() != nullptr;
    }

    /* ---- submit ---- */

    /** Hands a callable with its arguments, which are copied or moved in, to threads, a loop or a view
     * of them. It is called once, with the arguments as rvalues; if it can be called only with a
     * `cfut::context &` or a cfut::stop_token in front, it gets that. What it answers, of whatever
     * class, comes out of get(), and so does what it throws. Throws cfut::error with CFUT_ENOTSUP
     * for worker processes, and as cfut_submit(). */
    template <class F, class... A,
              class = std::enable_if_t<!std::is_base_of_v<detail::task_base, std::decay_t<F>>>>
    auto submit(F &&function, A &&...arguments) const
    {
        using box = detail::closure_of<F, A...>;
        using result = detail::closure_result<F, A...>;
        detail::refuse_reference<result>();
        auto made = std::make_unique<box>(std::forward<F>(function), std::forward<A>(arguments)...);
        cfut_future *raw = nullptr;
        detail::check(cfut_submit_closure(native(), box::run, made.release(),
                                          detail::delete_value<box>, &raw));
        return make_future<std::decay_t<result>>(raw, true);
    }

    /** The same with options. */
    template <class F, class... A>
    auto submit(const task &how, F &&function, A &&...arguments) const
    {
        using box = detail::closure_of<F, A...>;
        using result = detail::closure_result<F, A...>;
        detail::refuse_reference<result>();
        refuse_closures();
        auto made = std::make_unique<box>(std::forward<F>(function), std::forward<A>(arguments)...);
        std::unique_ptr<detail::boxed> whole(new detail::boxed{
            box::run, made.release(), detail::delete_value<box>, ::getpid() });
        void *data = whole.get();
        cfut_buffer *bytes = nullptr;
        detail::check(cfut_buffer_wrap(data, sizeof(detail::boxed),
                                       detail::delete_value<detail::boxed>, whole.release(), &bytes));
        const detail::buffer_handle keep(bytes);
        cfut_future *raw = nullptr;
        detail::check(cfut_submit_buffer(native(), how.native(), bytes, &raw));
        return make_future<std::decay_t<result>>(raw, true);
    }

    /** Hands a function to any kind of executor: `pool.submit<&area>(2.0, 3.0)`. The arguments are
     * converted to its parameters, and travel by their codecs; so does the result. What it throws
     * comes as cfut::failed (see ERRORS above). */
    template <auto F, class... A> auto submit(A &&...arguments) const
    {
        using remote = detail::remote<F>;
        using unpack = typename remote::arguments;
        unpack::verify();
        if constexpr (unpack::is_buffer) {
            return submit(cfut::call<F>(), std::forward<A>(arguments)...);
        } else {
            writer bytes;
            unpack::encode(bytes, std::forward<A>(arguments)...);
            cfut_future *raw = nullptr;
            detail::check(cfut_submit(native(), remote::run, bytes.data(), bytes.size(), &raw));
            return make_future<detail::remote_result<F>>(raw, false);
        }
    }

    /** The same with options. */
    template <auto F, class... A> auto submit(const cfut::call<F> &how, A &&...arguments) const
    {
        using unpack = typename detail::remote<F>::arguments;
        cfut_future *raw = nullptr;
        if constexpr (unpack::is_buffer) {
            static_assert(sizeof...(A) == 1, "cfut: this function takes one buffer");
            const buffer &whole = std::get<0>(std::forward_as_tuple(arguments...));
            detail::check(cfut_submit_buffer(native(), how.native(), whole.native(), &raw));
        } else {
            writer bytes;
            unpack::encode(bytes, std::forward<A>(arguments)...);
            detail::check(
                cfut_submit_task(native(), how.native(), bytes.data(), bytes.size(), &raw));
        }
        return make_future<detail::remote_result<F>>(raw, false);
    }

    /** Hands a C function, a named task or a program to any kind of executor, with a copy of bytes. */
    template <class Task, class = std::enable_if_t<std::is_same_v<Task, bytes_task> ||
                                                   std::is_same_v<Task, command>>>
    future<buffer> submit(const Task &how, std::string_view bytes = {}) const
    {
        cfut_future *raw = nullptr;
        detail::check(cfut_submit_task(native(), how.native(), bytes.empty() ? nullptr : bytes.data(),
                                       bytes.size(), &raw));
        return make_future<buffer>(raw, false);
    }

    /** The same with a buffer, which is not copied. */
    template <class Task, class = std::enable_if_t<std::is_same_v<Task, bytes_task> ||
                                                   std::is_same_v<Task, command>>>
    future<buffer> submit(const Task &how, const buffer &bytes) const
    {
        cfut_future *raw = nullptr;
        detail::check(cfut_submit_buffer(native(), how.native(), bytes.native(), &raw));
        return make_future<buffer>(raw, false);
    }

    /** As submit() of a callable, fire and forget: what it throws goes to the log. */
    template <class F, class... A> void post(F &&function, A &&...arguments) const
    {
        using box = detail::closure_of<F, A...>;
        auto made = std::make_unique<box>(std::forward<F>(function), std::forward<A>(arguments)...);
        detail::check(cfut_submit_closure(native(), box::run, made.release(),
                                          detail::delete_value<box>, nullptr));
    }

    /* ---- maps and loops ---- */

    /** Results, in order, of a callable that is called with each item of a range, by several threads at
     * once. The items are copied in; moved, if the range is given away. */
    template <class F, class Range,
              class = std::enable_if_t<!std::is_base_of_v<detail::task_base, std::decay_t<F>>>>
    auto map(F &&function, Range &&range) const;

    /** Results, in order, of a function, on any kind of executor. The range is asked for items as
     * results are read, so it need not end; it has to outlive the map unless it is given away. */
    template <auto F, class Range> auto map(Range &&range) const;

    /** The same with options: `pool.map(cfut::call<&f>().window(8), files)`. */
    template <auto F, class Range> auto map(const cfut::call<F> &how, Range &&range) const;

#if defined(__cpp_lib_span)
    /** Results of a function into an array of as many places: cfut_map_into(). Throws what the first
     * item that did not succeed says; all others have their results. */
    template <auto F, class In, class Out>
    void map_into(std::span<In> items, std::span<Out> results,
                  std::chrono::nanoseconds time = forever) const;
#endif

    /** Calls `function(begin, end)` for ranges of [0, count), or `function(i)` for each index, on
     * several threads at once, this one among them if that is possible. Waits for all; throws what the first call
     * threw that failed, after which no more are begun. */
    template <class F> void parallel_for(size_t count, F &&function) const
    {
        parallel_for(count, 0, std::forward<F>(function));
    }

    /** The same with ranges of at least `grain` indices. */
    template <class F> void parallel_for(size_t count, size_t grain, F &&function) const
    {
        using box = detail::range_loop<std::decay_t<F>>;
        std::unique_ptr<box> made(new box{ std::forward<F>(function) });
        cfut_future *raw = nullptr;
        detail::check(cfut_parallel_for(native(), count, grain, box::run, made.release(),
                                        detail::delete_value<box>, &raw));
        make_future<void>(raw, true).get();
    }

#if defined(CFUT_HAS_COROUTINES)
    class scheduler;

    /** `co_await pool.schedule()`: the coroutine goes on as a task of the executor. If that is
     * cancelled before, it gets cfut::cancelled where it is. */
    scheduler schedule() const;
#endif

    /* ---- life ---- */

    /** Ends it: no new work, and waits for the rest. `flags` are CFUT_SHUTDOWN_ bits. CFUT_OK: all is
     * done; CFUT_TIMEOUT: not yet, it goes on. */
    template <class Rep = int64_t, class Period = std::nano>
    status shutdown(uint32_t flags = 0, std::chrono::duration<Rep, Period> time = forever) const
    {
        const status answer = cfut_executor_shutdown(native(), flags, detail::nanoseconds(time));
        if (answer < 0)
            detail::fail(answer);
        return answer;
    }

    /** Starts all workers, and waits until each is ready. CFUT_OK or CFUT_TIMEOUT. */
    template <class Rep = int64_t, class Period = std::nano>
    status warm(std::chrono::duration<Rep, Period> time = forever) const
    {
        const status answer = cfut_executor_warm(native(), detail::nanoseconds(time));
        if (answer != CFUT_TIMEOUT)
            detail::check(answer);
        return answer;
    }

    /** One figure with a CFUT_STAT_ key. */
    int64_t stat(int32_t key) const
    {
        int64_t figure = 0;
        detail::check(cfut_executor_stat(native(), key, &figure));
        return figure;
    }

    /** All figures, each as it is at a moment of its own. */
    statistics stats() const
    {
        return { stat(CFUT_STAT_WORKERS),
                 stat(CFUT_STAT_IDLE_WORKERS),
                 stat(CFUT_STAT_MAX_WORKERS),
                 stat(CFUT_STAT_WORKERS_STARTED),
                 stat(CFUT_STAT_QUEUED),
                 stat(CFUT_STAT_RUNNING),
                 stat(CFUT_STAT_SUBMITTED),
                 stat(CFUT_STAT_SUCCEEDED),
                 stat(CFUT_STAT_FAILED),
                 stat(CFUT_STAT_CANCELLED),
                 stat(CFUT_STAT_EXPIRED),
                 stat(CFUT_STAT_CRASHED),
                 stat(CFUT_STAT_STOLEN),
                 std::chrono::nanoseconds(stat(CFUT_STAT_OLDEST_QUEUED_NS)),
                 stat(CFUT_STAT_BROKEN) != 0 };
    }

    /** Its state as JSON, for people and logs. */
    std::string snapshot() const
    {
        std::string text;
        size_t length = 0;
        do { // it may have grown meanwhile
            text.resize(length + 1024);
            detail::check(cfut_executor_snapshot(native(), text.data(), text.size(), &length));
        } while (length >= text.size());
        text.resize(length);
        return text;
    }

protected:
    executor(cfut_executor *raw, bool joins, bool is_loop, bool is_foreign) noexcept
        : handle_(raw), joins_(joins), is_loop_(is_loop), is_foreign_(is_foreign)
    {
    }

    /** Makes one with cfut_thread_pool_new() or its like. */
    template <class New, class... A> static cfut_executor *make(New call, A... arguments)
    {
        cfut_executor *raw = nullptr;
        detail::check(call(arguments..., &raw));
        return raw;
    }

    bool is_loop() const noexcept
    {
        return is_loop_;
    }

private:
    void close() noexcept
    {
        if (std::exchange(joins_, false) && handle_.get() != nullptr)
            cfut_executor_shutdown(handle_.get(), 0, CFUT_FOREVER);
        handle_.reset();
    }

    /** The library says why. */
    void refuse_closures() const
    {
        if (is_foreign_)
            detail::check(cfut_submit_closure(
                native(), [](cfut_promise *, void *) -> int32_t { return 0; }, nullptr, nullptr,
                nullptr));
    }

    detail::executor_handle handle_;
    bool joins_ = false, is_loop_ = false, is_foreign_ = false;

    friend class limited;
};

/** A pool of threads: cfut_thread_pool_new(). The destructor waits for all it has accepted. */
class thread_pool : public executor {
public:
    thread_pool() : executor(make(cfut_thread_pool_new, nullptr), true, false, false)
    {
    }

    /** With so many workers at most. */
    explicit thread_pool(unsigned workers) : thread_pool(options().workers(workers))
    {
    }

    explicit thread_pool(const options &how)
        : executor(make(cfut_thread_pool_new, how.native()), true, false, false)
    {
    }
};

/** A pool of worker processes: cfut_process_pool_new(). A crash in a task costs that task. The
 * program calls cfut::worker_main() first of all. The destructor waits for all it has accepted. */
class process_pool : public executor {
public:
    process_pool() : executor(make(cfut_process_pool_new, nullptr), true, false, true)
    {
    }

    /** With so many workers at most. */
    explicit process_pool(unsigned workers) : process_pool(options().workers(workers))
    {
    }

    explicit process_pool(const options &how)
        : executor(make(cfut_process_pool_new, how.native()), true, false, true)
    {
    }
};

/** A view of an executor that runs at most so many tasks at once; with 1 one after the other, in
 * order: cfut_limited_new(). The destructor waits for all it has accepted, but not on a loop. */
class limited : public executor {
public:
    limited(const executor &parent, unsigned most)
        : executor(make(cfut_limited_new, parent.native(), most), !parent.is_loop_, parent.is_loop_,
                   parent.is_foreign_)
    {
    }
};

/** An executor whose tasks run in the threads that call run(): cfut_loop_new(). The destructor
 * breaks what is queued, for nobody can run it any more. */
class loop : public executor {
public:
    loop() : executor(make(cfut_loop_new, nullptr), false, true, false)
    {
    }

    explicit loop(const options &how)
        : executor(make(cfut_loop_new, how.native()), false, true, false)
    {
    }

    /** Runs tasks in this thread, waiting for more, until `most` have been run (CFUT_OK), the time is
     * over (CFUT_TIMEOUT), or the loop is shut down and empty (CFUT_END). */
    template <class Rep, class Period>
    status run_for(std::chrono::duration<Rep, Period> time, size_t most = 0, size_t *ran = nullptr) const
    {
        const status answer = cfut_loop_run(native(), most, detail::nanoseconds(time), ran);
        if (answer < 0)
            detail::fail(answer);
        return answer;
    }

    /** The same without an end in time. */
    status run(size_t most = 0) const
    {
        return run_for(forever, most);
    }

    /** Runs what is queued now: the call for an event loop. How many that were. */
    size_t poll() const
    {
        size_t ran = 0;
        run_for(now, 0, &ran);
        return ran;
    }

    /** Readable while something is queued. Only poll it. */
    int fd() const
    {
        int descriptor = -1;
        detail::check(cfut_loop_fd(native(), &descriptor));
        return descriptor;
    }
};

/* ---- 8. Continuations on executors -------------------------------------------------------- */

template <class T> template <class F> auto future<T>::then(const executor &where, F &&function)
{
    return then_on(where.native(), std::forward<F>(function));
}

template <class T>
template <class F>
auto shared_future<T>::then(const executor &where, F &&function) const
{
    return then_on(where.native(), std::forward<F>(function));
}

template <class T>
template <class F>
void future<T>::on_done(const executor &where, F &&function) const
{
    on_done_on(where.native(), std::forward<F>(function));
}

template <class T>
template <class F>
void shared_future<T>::on_done(const executor &where, F &&function) const
{
    detail::add_callback<shared_future>(this->present(), where.native(), std::forward<F>(function));
}

namespace detail {

/** One more handle of a future, whose result is bytes: an object is made into them first. `Result`
 * moves it out, or copies it. */
template <class T, T (*Result)(cfut_future *)>
future_handle encoded(cfut_future *future, bool is_object)
{
    (void)is_object;
    if constexpr (!std::is_void_v<T>) {
        if constexpr (!is_plain<T> && !std::is_same_v<T, buffer>) {
            if (is_object) {
                auto step = [](cfut_promise *promise, cfut_future *input, void *) -> int32_t {
                    return guard_text(promise, [&] {
                        const cfut::status outcome = cfut_future_wait(input, CFUT_NOW);
                        if (outcome != CFUT_OK)
                            throw_outcome(outcome, input);
                        check(set_encoded(promise, Result(input)));
                    });
                };
                cfut_future *raw = nullptr;
                check(cfut_future_then(future, nullptr, step, nullptr, nullptr, &raw));
                return future_handle(raw);
            }
        }
    }
    return future_handle(cfut_future_retain(future));
}

/** cfut_future_pipe() to F. */
template <auto F, class T, class Task>
cfut::future<remote_result<F>> pipe(const future_handle &input, const executor &where, const Task &how)
{
    using unpack = typename remote<F>::arguments;
    unpack::verify();
    static_assert(unpack::count == (std::is_void_v<T> ? 0 : 1),
                  "cfut: a function of then<&function>() takes the result of the future before it");
    if constexpr (!std::is_void_v<T>)
        static_assert(std::is_same_v<typename remote<F>::values, std::tuple<T>>,
                      "cfut: a function of then<&function>() takes exactly the type of the result "
                      "before it, which travels as bytes");
    cfut_future *raw = nullptr;
    check(cfut_future_pipe(input.get(), where.native(), how.native(), &raw));
    return make_future<remote_result<F>>(raw, false);
}

template <class T> T copy_of(cfut_future *future)
{
    return copy<T>(future);
}

} // namespace detail

template <class T>
template <auto F, class Task>
auto future<T>::then(const executor &where, const Task &how)
{
    const auto input = detail::encoded<T, detail::take<T>>(present(), is_object_);
    auto next = detail::pipe<F, T>(input, where, how);
    handle_.reset();
    return next;
}

template <class T> template <auto F> auto future<T>::then(const executor &where)
{
    return then<F>(where, cfut::call<F>());
}

template <class T>
template <auto F, class Task>
auto shared_future<T>::then(const executor &where, const Task &how) const
{
    const auto input = detail::encoded<T, detail::copy_of<T>>(this->present(), is_object_);
    return detail::pipe<F, T>(input, where, how);
}

template <class T> template <auto F> auto shared_future<T>::then(const executor &where) const
{
    return then<F>(where, cfut::call<F>());
}

/* ---- 9. Maps ------------------------------------------------------------------------------- */

/** The results of a map in the order of its items. A range to go through once:
 *
 *     for (double area : pool.map<&area_of>(shapes)) ...
 *
 * An item that did not succeed throws where it is looked at; next() gives the futures instead, and
 * goes on after one. Destroying it cancels what has not started. One thread at a time. */
template <class R> class map_results {
public:
    map_results(map_results &&) noexcept = default;
    map_results &operator=(map_results &&) noexcept = default;

    /** From now on all waits for results end together after this time, with cfut::timeout. */
    template <class Rep, class Period>
    map_results &within(std::chrono::duration<Rep, Period> time)
    {
        end_ = detail::deadline(time);
        return *this;
    }

    /** The next item when it is done, however it ended; nothing after the last. Throws what the range
     * threw that gave the items, and cfut::timeout, after which it may be called again. */
    std::optional<future<R>> next()
    {
        cfut_future *borrowed = nullptr;
        const status answer = cfut_map_next(map_.get(), end_.left(), &borrowed);
        if (answer == CFUT_END)
            return std::nullopt;
        if (answer == CFUT_TIMEOUT)
            throw timeout();
        if (borrowed == nullptr) {
            if (thrown_ != nullptr && *thrown_)
                std::rethrow_exception(std::exchange(*thrown_, nullptr));
            detail::fail(answer);
        }
        return future<R>(cfut_future_retain(borrowed), is_object_);
    }

    /** Reads all results; throws what the first throws that did not succeed. */
    auto collect()
    {
        if constexpr (std::is_void_v<R>) {
            while (auto one = next())
                one->get();
        } else {
            std::vector<R> all;
            while (auto one = next())
                all.push_back(one->get());
            return all;
        }
    }

    /** Runs all of it with nobody to see the results: cfut_map_detach(). */
    void detach()
    {
        cfut_map_detach(map_.release());
    }

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = R;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = R;

        iterator() noexcept = default;

        /** The result, once. */
        R operator*() const
        {
            return (*map_->current_).get();
        }

        iterator &operator++()
        {
            map_->current_ = map_->next();
            return *this;
        }

        void operator++(int)
        {
            ++*this;
        }

        friend bool operator==(const iterator &a, const iterator &b)
        {
            return a.at_end() == b.at_end();
        }

        friend bool operator!=(const iterator &a, const iterator &b)
        {
            return !(a == b);
        }

    private:
        explicit iterator(map_results *map) noexcept : map_(map)
        {
        }

        bool at_end() const
        {
            return map_ == nullptr || !map_->current_;
        }

        map_results *map_ = nullptr;
        friend class map_results;
    };

    iterator begin()
    {
        if (!current_)
            current_ = next();
        return iterator(this);
    }

    iterator end() noexcept
    {
        return iterator();
    }

private:
    map_results(cfut_map *raw, bool is_object, std::exception_ptr *thrown)
        : map_(raw), thrown_(thrown), is_object_(is_object), end_(forever)
    {
    }

    detail::builder<cfut_map, cfut_map_free> map_;
    std::exception_ptr *thrown_; // in the source, which lives as long as the map
    bool is_object_;
    detail::deadline end_;
    std::optional<future<R>> current_;

    friend class executor;
};

template <class F, class Range, class> auto executor::map(F &&function, Range &&range) const
{
    using item = detail::item_of<Range>;
    using closure = detail::map_closure<std::decay_t<F>, item>;
    using result = detail::call_result<std::decay_t<F> &, item>;
    detail::refuse_reference<result>();
    auto all = std::make_unique<closure>(std::decay_t<F>(std::forward<F>(function)));
    for (auto &&one : range) {
        if constexpr (detail::owns_elements<Range &&>)
            all->elements.push_back({ all.get(), std::move(one) });
        else
            all->elements.push_back({ all.get(), std::forward<decltype(one)>(one) });
    }
    std::vector<void *> places;
    places.reserve(all->elements.size());
    for (auto &one : all->elements)
        places.push_back(&one);
    all->left = places.size();
    if (!places.empty())
        static_cast<void>(all.release()); // the last item frees it
    cfut_map *raw = nullptr;
    detail::check(cfut_map_new_closure(native(), closure::run, places.data(), places.size(),
                                       closure::free_one, &raw));
    return map_results<std::decay_t<result>>(raw, true, nullptr);
}

template <auto F, class Range> auto executor::map(const cfut::call<F> &how, Range &&range) const
{
    using source = detail::map_source<F, Range>;
    detail::remote<F>::arguments::verify();
    auto made = std::make_unique<source>(std::forward<Range>(range));
    std::exception_ptr *thrown = &made->thrown;
    cfut_map *raw = nullptr;
    detail::check(cfut_map_new_source(native(), how.native(), source::next, made.release(),
                                      detail::delete_value<source>, &raw));
    return map_results<detail::remote_result<F>>(raw, false, thrown);
}

template <auto F, class Range> auto executor::map(Range &&range) const
{
    return map(cfut::call<F>(), std::forward<Range>(range));
}

#if defined(__cpp_lib_span)
template <auto F, class In, class Out>
void executor::map_into(std::span<In> items, std::span<Out> results,
                        std::chrono::nanoseconds time) const
{
    using remote = detail::remote<F>;
    static_assert(std::is_same_v<typename remote::values, std::tuple<std::remove_const_t<In>>> &&
                      std::is_same_v<detail::remote_result<F>, Out>,
                  "cfut: the arrays of map_into() have the types of the parameter and the result");
    static_assert(detail::is_plain<std::remove_const_t<In>> && detail::is_plain<Out>,
                  "cfut: the arrays of map_into() hold what is trivially copyable");
    if (items.size() != results.size())
        detail::misuse(CFUT_EINVAL, "map_into() of " + std::to_string(items.size()) +
                                        " items into " + std::to_string(results.size()) +
                                        " places: both have to be as many");
    const call<F> how;
    const status answer =
        cfut_map_into(native(), how.native(), items.data(), sizeof(In), items.size(),
                      results.data(), sizeof(Out), detail::nanoseconds(time));
    if (answer == CFUT_FAILED || answer == CFUT_CRASHED || answer == CFUT_EXPIRED)
        throw error(answer, detail::last_error());
    detail::check(answer);
}
#endif

/* ---- 10. Several futures -------------------------------------------------------------------- */

/** What a completion queue gives: a future that has ended, and the tag it was added with. */
template <class T> struct completion {
    cfut::future<T> future;
    uint64_t tag;
};

/** For the inside of this header: what queues have in common. */
class queue_base {
public:
    /** The descriptor for event loops: readable while an entry waits. Only poll it; then call
     * next(cfut::now) until there is nothing. */
    int fd() const
    {
        int descriptor = -1;
        detail::check(cfut_queue_fd(native(), &descriptor));
        return descriptor;
    }

    /** Borrowed. */
    cfut_queue *native() const noexcept
    {
        return handle_.get();
    }

protected:
    queue_base()
    {
        cfut_queue *raw = nullptr;
        detail::check(cfut_queue_new(&raw));
        handle_.reset(raw);
    }

    explicit queue_base(detail::queue_handle &&other) noexcept : handle_(std::move(other))
    {
    }

    detail::queue_handle handle_;
};

/** A completion queue: futures come out in the order they end. No callback runs in a foreign
 * thread. */
template <class T> class queue : public queue_base {
public:
    queue() = default;

    /** Another handle of the same queue. */
    queue share() const noexcept
    {
        return queue(handle_.share());
    }

    /** Moves a future in, which comes out when it has ended. */
    void add(future<T> one, uint64_t tag = 0) const
    {
        detail::check(cfut_queue_add(native(), one.present(), tag));
    }

    /** The next that has ended; nothing if none is outstanding. */
    std::optional<completion<T>> next() const
    {
        return next(forever);
    }

    /** The same; cfut::timeout if none ends in this time. */
    template <class Rep, class Period>
    std::optional<completion<T>> next(std::chrono::duration<Rep, Period> time) const
    {
        auto one = try_next(time);
        if (!one.second)
            return std::nullopt;
        if (!one.first)
            throw timeout("no future has ended in this time");
        return std::move(one.first);
    }

    /** The next that has ended, and whether another one is or was outstanding: for loops that poll. */
    template <class Rep, class Period>
    std::pair<std::optional<completion<T>>, bool>
    try_next(std::chrono::duration<Rep, Period> time) const
    {
        cfut_future *raw = nullptr;
        uint64_t tag = 0;
        const status answer = cfut_queue_next(native(), detail::nanoseconds(time), &raw, &tag);
        if (answer == CFUT_END)
            return { std::nullopt, false };
        if (answer == CFUT_TIMEOUT)
            return { std::nullopt, true };
        detail::check(answer);
        const bool is_object = cfut_future_value(raw) != nullptr;
        return { completion<T>{ make_future<T>(raw, is_object), tag }, true };
    }

private:
    explicit queue(detail::queue_handle &&other) noexcept : queue_base(std::move(other))
    {
    }
};

/** What as_completed() gives: a future of the array that has ended, and its index. */
template <class Future> struct completed {
    size_t index;
    Future &future;
};

/** The futures of an array in the order they end: as_completed(). */
template <class Future> class completions {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = completed<Future>;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = completed<Future>;

        iterator() noexcept = default;

        completed<Future> operator*() const
        {
            return { index_, from_->futures_[index_] };
        }

        iterator &operator++()
        {
            if (!from_->next(index_))
                from_ = nullptr;
            return *this;
        }

        void operator++(int)
        {
            ++*this;
        }

        friend bool operator==(const iterator &a, const iterator &b)
        {
            return a.from_ == b.from_;
        }

        friend bool operator!=(const iterator &a, const iterator &b)
        {
            return a.from_ != b.from_;
        }

    private:
        explicit iterator(completions *from) : from_(from)
        {
            ++*this;
        }

        completions *from_ = nullptr;
        size_t index_ = 0;
        friend class completions;
    };

    iterator begin()
    {
        return iterator(this);
    }

    iterator end() noexcept
    {
        return iterator();
    }

    /** For the inside of this header: see as_completed(). */
    completions(Future *futures, size_t count, detail::deadline end) : futures_(futures), end_(end)
    {
        cfut_queue *raw = nullptr;
        detail::check(cfut_queue_new(&raw));
        queue_.reset(raw);
        for (size_t i = 0; i < count; i++) {
            if (!futures[i].valid())
                detail::misuse(CFUT_EINVAL, "future " + std::to_string(i) +
                                                " of as_completed() is empty");
            detail::check(cfut_queue_add(raw, futures[i].native(), i));
        }
    }

private:
    bool next(size_t &index)
    {
        uint64_t tag = 0;
        const status answer = cfut_queue_next(queue_.get(), end_.left(), nullptr, &tag);
        if (answer == CFUT_END)
            return false;
        if (answer == CFUT_TIMEOUT)
            throw timeout("not all futures of as_completed() have ended in its time");
        detail::check(answer);
        index = static_cast<size_t>(tag);
        return true;
    }

    Future *futures_;
    detail::deadline end_;
    detail::queue_handle queue_;
};

/** The futures of a vector, array or span in the order they end, each with its index:
 *
 *     for (auto [index, future] : cfut::as_completed(futures, 10s))
 *         use(index, future.get());
 *
 * The time is for all of them together: when it is over, the next step throws cfut::timeout. The
 * array has to stay where it is meanwhile. */
template <class Futures, class Rep = int64_t, class Period = std::nano>
auto as_completed(Futures &futures, std::chrono::duration<Rep, Period> time = forever)
{
    using element = std::remove_pointer_t<decltype(std::data(futures))>;
    return completions<element>(std::data(futures), std::size(futures), detail::deadline(time));
}

#if defined(__cpp_lib_span)
template <class Future, class Rep = int64_t, class Period = std::nano>
auto as_completed(std::span<Future> futures, std::chrono::duration<Rep, Period> time = forever)
{
    return completions<Future>(futures.data(), futures.size(), detail::deadline(time));
}
#endif

/** What wait() waits for. */
enum class wait_mode : int32_t {
    all = CFUT_WAIT_ALL,
    any = CFUT_WAIT_ANY,
    first_failure = CFUT_WAIT_FIRST_FAILURE,
};

/** Waits until all futures of an array have ended, or any, or one has failed: cfut_wait_many(). */
template <class Futures, class Rep = int64_t, class Period = std::nano>
status wait(const Futures &futures, wait_mode mode = wait_mode::all,
            std::chrono::duration<Rep, Period> time = forever)
{
    std::vector<cfut_future *> raw;
    raw.reserve(std::size(futures));
    for (const auto &one : futures)
        raw.push_back(one.native());
    const status answer = cfut_wait_many(raw.data(), raw.size(), static_cast<int32_t>(mode),
                                         detail::nanoseconds(time), nullptr, nullptr);
    if (answer < 0)
        detail::fail(answer);
    return answer;
}

/** What when_any() gives: the futures that were given, and which one ended first. */
template <class Futures> struct any_result {
    size_t index;
    Futures futures;
};

namespace detail {

inline future_handle join(const std::vector<cfut_future *> &inputs, int32_t mode)
{
    cfut_future *raw = nullptr;
    check(cfut_join(inputs.data(), inputs.size(), mode, &raw));
    return future_handle(raw);
}

template <class Futures> std::vector<cfut_future *> natives(const Futures &futures)
{
    std::vector<cfut_future *> raw;
    raw.reserve(futures.size());
    for (const auto &one : futures) {
        if (!one.valid())
            misuse(CFUT_EINVAL, "future " + std::to_string(raw.size()) + " is empty");
        raw.push_back(one.native());
    }
    return raw;
}

/** A continuation of a join, with the futures that were joined. */
template <class R, class F> future<R> after_join(const future_handle &joined, F &&function)
{
    using box = continuation<void, std::decay_t<F>>;
    return chain<R>(joined.get(), nullptr, std::make_unique<box>(std::forward<F>(function)));
}

/** Throws what a join of all ended with, if it is no success, as the future throws it that it is of:
 * a join has its status, code and message, and not what is known of its worker. */
inline void throw_first(future<void> joined, const std::vector<const future_base *> &inputs)
{
    const cfut::status outcome = joined.wait();
    if (outcome == CFUT_OK)
        return;
    for (const future_base *one : inputs) {
        if (one->done() && one->wait() == outcome && one->code() == joined.code() &&
            one->message() == joined.message())
            throw_outcome(outcome, one->native());
    }
    throw_outcome(outcome, joined.native());
}

/** The result in a tuple, where nothing has a place, too. */
template <class T> auto get_in_tuple(future<T> &one)
{
    if constexpr (std::is_void_v<T>) {
        one.get();
        return std::monostate();
    } else {
        return one.get();
    }
}

template <class T>
using in_tuple = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

} // namespace detail

/** Makes a future of the results of all, in order; of nothing for futures of nothing. It ends with the
 * first that does not succeed, and get() throws what that one's would have. The futures are moved
 * in. */
template <class T> auto when_all(std::vector<future<T>> futures)
{
    using result = std::conditional_t<std::is_void_v<T>, void, std::vector<detail::in_tuple<T>>>;
    const auto joined = detail::join(detail::natives(futures), CFUT_JOIN_ALL);
    return detail::after_join<result>(joined, [all = std::move(futures)](future<void> end) mutable {
        std::vector<const future_base *> inputs;
        for (const auto &one : all)
            inputs.push_back(&one);
        detail::throw_first(std::move(end), inputs);
        if constexpr (!std::is_void_v<T>) {
            std::vector<T> results;
            results.reserve(all.size());
            for (auto &one : all)
                results.push_back(one.get());
            return results;
        }
    });
}

/** The same for futures of several types: a future of a tuple, with std::monostate for nothing. */
template <class... T>
future<std::tuple<detail::in_tuple<T>...>> when_all(future<T> &&...futures)
{
    const std::vector<cfut_future *> inputs{ futures.native()... };
    const auto joined = detail::join(inputs, CFUT_JOIN_ALL);
    return detail::after_join<std::tuple<detail::in_tuple<T>...>>(
        joined, [all = std::tuple<future<T>...>(std::move(futures)...)](future<void> end) mutable {
            return std::apply(
                [&end](auto &...one) {
                    detail::throw_first(std::move(end), { &one... });
                    return std::tuple<detail::in_tuple<T>...>{ detail::get_in_tuple(one)... };
                },
                all);
        });
}

/** Makes a future of the first that ends, however it does: its index, and all futures back. They are
 * moved in. */
template <class T>
future<any_result<std::vector<future<T>>>> when_any(std::vector<future<T>> futures)
{
    using result = any_result<std::vector<future<T>>>;
    const auto joined = detail::join(detail::natives(futures), CFUT_JOIN_ANY);
    auto choose = [all = std::move(futures)](future<void>) mutable {
        size_t first = 0;
        while (first + 1 < all.size() && !all[first].done())
            first++;
        return result{ first, std::move(all) };
    };
    return detail::after_join<result>(joined, std::move(choose));
}

/* ---- 11. Promises -------------------------------------------------------------------------- */

/** The writing side of a future that is made by hand. If it goes before it has settled, the future
 * ends as cfut::broken. */
template <class T> class promise {
public:
    promise()
    {
        cfut_promise *writer = nullptr;
        cfut_future *reader = nullptr;
        detail::check(cfut_promise_new(&writer, &reader));
        handle_.reset(writer);
        future_ = future<T>(reader, true);
    }

    /** The reading side, once. */
    future<T> get_future()
    {
        if (!future_.valid())
            detail::misuse(CFUT_ESTATE, "the future of this promise has been given away");
        return std::move(future_);
    }

    /** Says that the work begins: it can no longer be cancelled, only asked to stop. False: it was
     * cancelled, do not begin. */
    bool start() const
    {
        const status answer = cfut_promise_start(handle_.get());
        if (answer < 0)
            detail::fail(answer);
        return answer == CFUT_OK;
    }

    /** Succeeds. False: it is settled, by a cancel say. */
    template <class... V> bool set_value(V &&...value) const
    {
        if constexpr (std::is_void_v<T>) {
            static_assert(sizeof...(V) == 0, "cfut: a promise of nothing takes no value");
            return settled(cfut_promise_set_bytes(handle_.get(), nullptr, 0));
        } else {
            return settled(detail::set_object(handle_.get(), T(std::forward<V>(value)...)));
        }
    }

    /** Fails with an exception, which get() throws; as cancelled with a cfut::cancelled. */
    bool set_exception(std::exception_ptr exception) const
    {
        try {
            std::rethrow_exception(exception);
        } catch (...) {
            return settled(detail::fail_with_object(handle_.get(), std::move(exception)));
        }
    }

    /** Fails with a code and a message: cfut::failed. */
    bool fail(int32_t code, const std::string &message) const
    {
        return settled(cfut_promise_fail(handle_.get(), code, message.c_str()));
    }

    /** Ends as cancelled. */
    bool set_cancelled() const
    {
        return settled(cfut_promise_set_cancelled(handle_.get()));
    }

    /** Whether it was asked to stop. */
    bool stop_requested() const noexcept
    {
        return cfut_promise_stop_requested(handle_.get()) != 0;
    }

    cfut::stop_token token() const noexcept
    {
        return cfut::stop_token(handle_.get());
    }

    /** Says how far the work is. */
    void progress(uint64_t done, uint64_t total) const
    {
        detail::check(cfut_promise_set_progress(handle_.get(), done, total));
    }

    /** Borrowed. */
    cfut_promise *native() const noexcept
    {
        return handle_.get();
    }

private:
    static bool settled(status answer)
    {
        if (answer != CFUT_ESTATE)
            detail::check(answer);
        return answer == CFUT_OK;
    }

    detail::promise_handle handle_;
    future<T> future_;
};

/* ---- 12. Coroutines ------------------------------------------------------------------------ */

#if defined(CFUT_HAS_COROUTINES)

/** What `co_await` of a future does. */
template <class T> class future<T>::awaiter {
public:
    bool await_ready() const
    {
        return !where_ && future_.done();
    }

    void await_suspend(std::coroutine_handle<> coroutine)
    {
        // The coroutine may go on elsewhere, and this object be gone, before the call returns.
        detail::check(cfut_future_on_done(
            future_.present(), where_.native(),
            [](cfut_future *, void *address) {
                std::coroutine_handle<>::from_address(address).resume();
            },
            coroutine.address(), nullptr));
    }

    T await_resume()
    {
        return future_.get();
    }

private:
    awaiter(future &&whose, cfut::executor &&where) noexcept
        : future_(std::move(whose)), where_(std::move(where))
    {
    }

    future future_;
    executor where_;
    friend class future;
};

template <class T> typename future<T>::awaiter future<T>::operator co_await()
{
    present();
    return awaiter(std::move(*this), executor());
}

template <class T> typename future<T>::awaiter future<T>::on(const executor &where)
{
    present();
    return awaiter(std::move(*this), where.share());
}

/** What `co_await pool.schedule()` does. */
class executor::scheduler {
public:
    bool await_ready() const noexcept
    {
        return false;
    }

    void await_suspend(std::coroutine_handle<> coroutine)
    {
        struct hop {
            std::coroutine_handle<> coroutine;
            scheduler *self; // in the coroutine: not to be used once that goes on
            bool ran = false;

            static int32_t run(cfut_promise *, void *place)
            {
                static_cast<hop *>(place)->ran = true;
                static_cast<hop *>(place)->coroutine.resume();
                return CFUT_OK;
            }

            static void settled(cfut_future *, void *place)
            {
                hop *one = static_cast<hop *>(place);
                if (!one->ran) {
                    one->self->was_cancelled_ = true;
                    one->coroutine.resume();
                }
            }
        };
        auto made = std::unique_ptr<hop>(new hop{ coroutine, this });
        cfut_future *raw = nullptr;
        detail::check(cfut_submit_closure(where_, hop::run, made.get(), nullptr, &raw));
        // From here on the coroutine may go on elsewhere: nothing may be thrown.
        cfut_future_on_done(raw, nullptr, hop::settled, made.release(), detail::delete_value<hop>);
        cfut_future_release(raw);
    }

    void await_resume() const
    {
        if (was_cancelled_)
            throw cancelled();
    }

private:
    explicit scheduler(const executor &where) noexcept : where_(where.native())
    {
    }

    cfut_executor *where_;
    bool was_cancelled_ = false;
    friend class executor;
};

inline executor::scheduler executor::schedule() const
{
    return scheduler(*this);
}

namespace detail {

/** What coroutines that answer with a future have in common. */
template <class T> class coroutine_promise {
public:
    future<T> get_return_object()
    {
        return promise_.get_future();
    }

    std::suspend_never initial_suspend() const noexcept
    {
        return {};
    }

    std::suspend_never final_suspend() const noexcept
    {
        return {};
    }

    void unhandled_exception() const
    {
        promise_.set_exception(std::current_exception());
    }

protected:
    cfut::promise<T> promise_;
};

template <class T> class coroutine_result : public coroutine_promise<T> {
public:
    template <class V> void return_value(V &&value) const
    {
        this->promise_.set_value(std::forward<V>(value));
    }
};

template <> class coroutine_result<void> : public coroutine_promise<void> {
public:
    void return_void() const
    {
        this->promise_.set_value();
    }
};

} // namespace detail

/** A coroutine may answer with a cfut::future: it begins at once, in the thread that calls it, and
 * what it throws comes out of get(). */
template <class T> class future<T>::promise_type : public detail::coroutine_result<T> {};

#endif // CFUT_HAS_COROUTINES

#if defined(__cpp_lib_jthread)
inline void future_base::stop_with(std::stop_token token) const
{
    struct cancels {
        cfut_future *future; // alive: the callback is gone before its last reference
        void operator()() const noexcept
        {
            const detail::future_handle keep(cfut_future_retain(future));
            cfut_future_cancel(keep.get(), CFUT_CANCEL_STOP);
        }
    };
    using registered = std::stop_callback<cancels>;
    present();
    auto made = std::make_unique<registered>(std::move(token), cancels{ native() });
    detail::check(cfut_future_on_done(
        native(), nullptr, [](cfut_future *, void *) {}, made.release(),
        detail::delete_value<registered>));
}
#endif

/* ---- 13. The library ------------------------------------------------------------------------ */

/** The first line of main() in a program with process pools: cfut_worker_main(). */
inline void worker_main()
{
    cfut_worker_main();
}

/** Gives a function a name, by which other programs and languages reach it. Its arguments and result
 * are bytes as the codecs write them: one plain argument is its own bytes. */
template <auto F> void register_function(const std::string &name)
{
    detail::remote<F>::arguments::verify();
    detail::check(cfut_register(name.c_str(), detail::remote<F>::run));
}

/** Sets where messages go that no call can answer with: `function(level, text)`, with
 * CFUT_LOG_ERROR or CFUT_LOG_WARNING, in any thread, several at once. What it throws is lost. */
template <class F> void set_log(F &&function)
{
    using callable = std::decay_t<F>;
    auto made = std::make_unique<callable>(std::forward<F>(function));
    const auto write = [](int32_t level, const char *text, void *place) {
        try {
            (*static_cast<callable *>(place))(level, std::string_view(text));
        } catch (...) { // there is no place left to tell of it
        }
    };
    detail::check(cfut_set_log(write, made.release(), detail::delete_value<callable>));
}

/** Messages go nowhere, as in the beginning. */
inline void reset_log()
{
    detail::check(cfut_set_log(nullptr, nullptr, nullptr));
}

/** How many processors this process may use. */
inline unsigned cpu_count() noexcept
{
    return cfut_cpu_count();
}

/** Waits until no executor has work: cfut_quiesce(). CFUT_OK or CFUT_TIMEOUT. */
template <class Rep = int64_t, class Period = std::nano>
status quiesce(std::chrono::duration<Rep, Period> time = forever)
{
    const status answer = cfut_quiesce(detail::nanoseconds(time));
    if (answer < 0)
        detail::fail(answer);
    return answer;
}

/** Says, while it lives, that this task is about to block outside of the library, so that another
 * worker may run meanwhile: cfut_blocking_begin(). */
class blocking {
public:
    blocking() noexcept
    {
        cfut_blocking_begin();
    }

    ~blocking()
    {
        cfut_blocking_end();
    }

    blocking(const blocking &) = delete;
    blocking &operator=(const blocking &) = delete;
};

} // namespace v0_1
} // namespace cfut

#endif /* CFUTURES_HPP */
