/* Tasks in C for programs in other languages, which name them "tasks.so:square" and the like: no
 * function of theirs is called by a thread that their runtime does not know. CFUT_TASKS is its
 * path. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include <cfutures.h>

#include <signal.h>
#include <string.h>
#include <time.h>

/* The square of an int64_t. */
int32_t square(cfut_promise *promise, const void *data, size_t length);
/* The bytes it is given. */
int32_t echo(cfut_promise *promise, const void *data, size_t length);
/* Fails with code 42 and its bytes as the message. */
int32_t fail(cfut_promise *promise, const void *data, size_t length);
/* Runs until it is asked to stop, and agrees. */
int32_t linger(cfut_promise *promise, const void *data, size_t length);
/* Dies of SIGSEGV, as of a defect: for process pools. */
int32_t crash(cfut_promise *promise, const void *data, size_t length);
/* Sleeps for so many ns, an int64_t, which is its result. */
int32_t nap(cfut_promise *promise, const void *data, size_t length);

static int takes_number(cfut_promise *promise, size_t length)
{
    return length == sizeof(int64_t)
        || cfut_promise_fail(promise, CFUT_EINVAL, "wanted: an int64_t") != CFUT_OK;
}

int32_t square(cfut_promise *promise, const void *data, size_t length)
{
    int64_t n;
    if (!takes_number(promise, length))
        return CFUT_EINVAL;
    memcpy(&n, data, sizeof n);
    n *= n;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

int32_t echo(cfut_promise *promise, const void *data, size_t length)
{
    return cfut_promise_set_bytes(promise, data, length);
}

int32_t fail(cfut_promise *promise, const void *data, size_t length)
{
    char message[256] = "";
    memcpy(message, data, length < sizeof message ? length : sizeof message - 1);
    cfut_promise_fail(promise, 42, message);
    return 42;
}

static void sleep_ns(int64_t ns)
{
    struct timespec time = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    nanosleep(&time, NULL);
}

int32_t linger(cfut_promise *promise, const void *data, size_t length)
{
    (void)data;
    (void)length;
    while (!cfut_promise_stop_requested(promise))
        sleep_ns(1000000);
    return cfut_promise_set_cancelled(promise);
}

int32_t crash(cfut_promise *promise, const void *data, size_t length)
{
    (void)promise;
    (void)data;
    (void)length;
    raise(SIGSEGV);
    return 1;
}

int32_t nap(cfut_promise *promise, const void *data, size_t length)
{
    int64_t ns;
    if (!takes_number(promise, length))
        return CFUT_EINVAL;
    memcpy(&ns, data, sizeof ns);
    sleep_ns(ns);
    return cfut_promise_set_bytes(promise, &ns, sizeof ns);
}
