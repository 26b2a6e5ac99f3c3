/* The frame of the C tests.
 *
 * A test program is a table of cases; `PROGRAM --list` names them, `PROGRAM CASE` runs one.
 * A failed check prints where, what, and the library's last error, and ends the process. A case
 * that takes longer than CHECK_SECONDS (60) is a hang: the watchdog prints the state of
 * every executor made with check_pool() or shown to it with check_watch(), and aborts.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <cfutures.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK_UNUSED __attribute__((unused))

/* ---- checks ---- */

CHECK_UNUSED static void check_failed(const char *file, int line, const char *what)
{
    char last[512];
    cfut_last_error(last, sizeof last);
    fprintf(stderr, "%s:%d: %s\n    last error: %s\n", file, line, what, last);
    fflush(stderr);
    _exit(1);
}

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            check_failed(__FILE__, __LINE__, "not so: " #condition); \
    } while (0)

/* Two integers. */
#define CHECK_EQ(left, right) \
    do { \
        long long check_left = (long long)(left), check_right = (long long)(right); \
        if (check_left != check_right) { \
            char check_text[512]; \
            snprintf(check_text, sizeof check_text, "%s is %lld, not %lld (%s)", #left, check_left, \
                     check_right, #right); \
            check_failed(__FILE__, __LINE__, check_text); \
        } \
    } while (0)

#define CHECK_TEXT(left, right) \
    do { \
        const char *check_left = (left), *check_right = (right); \
        if (strcmp(check_left, check_right) != 0) { \
            char check_text[1024]; \
            snprintf(check_text, sizeof check_text, "%s is \"%s\", not \"%s\"", #left, check_left, \
                     check_right); \
            check_failed(__FILE__, __LINE__, check_text); \
        } \
    } while (0)

#define CHECK_STATUS(call, wanted) \
    do { \
        cfut_status check_got = (call), check_wanted = (wanted); \
        if (check_got != check_wanted) { \
            char check_text[512]; \
            snprintf(check_text, sizeof check_text, "%s answered %s, not %s", #call, \
                     cfut_status_name(check_got), cfut_status_name(check_wanted)); \
            check_failed(__FILE__, __LINE__, check_text); \
        } \
    } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, CFUT_OK)

/* A wrong use: the status, and words that its text must have. */
#define CHECK_ERROR(call, wanted, words) \
    do { \
        CHECK_STATUS(call, wanted); \
        char check_last[1024]; \
        cfut_last_error(check_last, sizeof check_last); \
        if (strstr(check_last, (words)) == NULL) { \
            char check_text[1500]; \
            snprintf(check_text, sizeof check_text, "the text of %s lacks \"%s\"", #call, (words)); \
            check_failed(__FILE__, __LINE__, check_text); \
        } \
    } while (0)

/* ---- the watchdog ---- */

#define CHECK_WATCHED 64
static pthread_mutex_t check_lock = PTHREAD_MUTEX_INITIALIZER;
static cfut_executor *check_watched[CHECK_WATCHED];

/* The watchdog prints this executor's state if the case hangs. It keeps no reference: take
 * the executor away with check_unwatch() before the last release. */
CHECK_UNUSED static cfut_executor *check_watch(cfut_executor *executor)
{
    pthread_mutex_lock(&check_lock);
    for (int i = 0; i < CHECK_WATCHED; i++) {
        if (check_watched[i] == NULL) {
            check_watched[i] = executor;
            break;
        }
    }
    pthread_mutex_unlock(&check_lock);
    return executor;
}

CHECK_UNUSED static void check_unwatch(cfut_executor *executor)
{
    pthread_mutex_lock(&check_lock);
    for (int i = 0; i < CHECK_WATCHED; i++) {
        if (check_watched[i] == executor)
            check_watched[i] = NULL;
    }
    pthread_mutex_unlock(&check_lock);
}

static const char *check_name = "";

CHECK_UNUSED static void check_show_state(void)
{
    static char state[1 << 16];
    for (int i = 0; i < CHECK_WATCHED; i++) {
        size_t length = 0;
        if (check_watched[i] != NULL &&
            cfut_executor_snapshot(check_watched[i], state, sizeof state, &length) == CFUT_OK)
            fprintf(stderr, "executor %d: %.*s\n", i, (int)length, state);
    }
    fflush(stderr);
}

CHECK_UNUSED static void *check_watchdog(void *seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += *(const int *)seconds;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0) {
    }
    fprintf(stderr, "%s hangs\n", check_name);
    check_show_state();
    abort();
    return NULL;
}

/* ---- what most cases need ---- */

/* With the defaults and this many workers. */
CHECK_UNUSED static cfut_options *options_of(int64_t workers)
{
    cfut_options *options = cfut_options_new();
    CHECK(options != NULL);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, workers));
    return options;
}

/* A thread pool with options; frees them. */
CHECK_UNUSED static cfut_executor *check_pool_with(cfut_options *options)
{
    cfut_executor *executor = NULL;
    CHECK_OK(cfut_thread_pool_new(options, &executor));
    cfut_options_free(options);
    return check_watch(executor);
}

CHECK_UNUSED static cfut_executor *check_pool(int64_t workers)
{
    return check_pool_with(options_of(workers));
}

/* A pool of worker processes with options; frees them. What its tasks call lies in this program: the
 * program is made with CHECK_MAIN_WORKER. */
CHECK_UNUSED static cfut_executor *check_process_pool_with(cfut_options *options)
{
    cfut_executor *executor = NULL;
    CHECK_OK(cfut_process_pool_new(options, &executor));
    cfut_options_free(options);
    return check_watch(executor);
}

CHECK_UNUSED static cfut_executor *check_process_pool(int64_t workers)
{
    return check_process_pool_with(options_of(workers));
}

/* Waits until all is done, and lets go. */
CHECK_UNUSED static void check_close(cfut_executor *executor)
{
    CHECK_OK(cfut_executor_shutdown(executor, 0, CFUT_FOREVER));
    check_unwatch(executor);
    cfut_executor_release(executor);
}

CHECK_UNUSED static int64_t check_stat(cfut_executor *executor, int32_t key)
{
    int64_t value = -1;
    CHECK_OK(cfut_executor_stat(executor, key, &value));
    return value;
}

CHECK_UNUSED static int64_t check_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

CHECK_UNUSED static void check_sleep(int64_t nanoseconds)
{
    struct timespec time = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    while (nanosleep(&time, &time) != 0) {
    }
}

/* Looks every millisecond until it is so; the watchdog ends it otherwise. */
#define CHECK_SOON(condition) \
    do { \
        while (!(condition)) \
            check_sleep(1000000); \
    } while (0)

/* A counter to wait on: tests are ordered by these, not by time. */
typedef struct latch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
} latch;

#define LATCH_CLOSED { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

CHECK_UNUSED static void latch_add(latch *latch, int more)
{
    pthread_mutex_lock(&latch->lock);
    latch->count += more;
    pthread_cond_broadcast(&latch->changed);
    pthread_mutex_unlock(&latch->lock);
}

/* One more has come. */
CHECK_UNUSED static void latch_open(latch *latch)
{
    latch_add(latch, 1);
}

/* Waits until `count` have come. */
CHECK_UNUSED static void latch_wait_for(latch *latch, int count)
{
    pthread_mutex_lock(&latch->lock);
    while (latch->count < count)
        pthread_cond_wait(&latch->changed, &latch->lock);
    pthread_mutex_unlock(&latch->lock);
}

CHECK_UNUSED static void latch_wait(latch *latch)
{
    latch_wait_for(latch, 1);
}

CHECK_UNUSED static int latch_count(latch *latch)
{
    int count;
    pthread_mutex_lock(&latch->lock);
    count = latch->count;
    pthread_mutex_unlock(&latch->lock);
    return count;
}

/* A task that says it has begun, then stands until told to go on. */
typedef struct gate {
    latch entered;
    latch open;
} gate;

#define GATE_CLOSED { LATCH_CLOSED, LATCH_CLOSED }

/* Task: its data is a `gate *`. */
CHECK_UNUSED static int32_t gate_task(cfut_promise *self, const void *data, size_t length)
{
    gate *at;
    (void)self;
    (void)length;
    memcpy(&at, data, sizeof at);
    latch_open(&at->entered);
    latch_wait(&at->open);
    return 0;
}

/* Occupies one worker; returns once it does. */
CHECK_UNUSED static cfut_future *gate_submit(cfut_executor *executor, gate *gate)
{
    cfut_future *future = NULL;
    int before = latch_count(&gate->entered);
    CHECK_OK(cfut_submit(executor, gate_task, &gate, sizeof gate, &future));
    latch_wait_for(&gate->entered, before + 1);
    return future;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECK_KEEPS_FREED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CHECK_KEEPS_FREED
#endif

/* Memory in use; 0 with AddressSanitizer, which keeps what is freed for a while. */
CHECK_UNUSED static int64_t resident_kib(void)
{
#ifdef CHECK_KEEPS_FREED
    return 0;
#else
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long long kib = -1;
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmRSS: %lld", &kib) != 1) {
    }
    fclose(file);
    return kib;
#endif
}

/* Task: does nothing. */
CHECK_UNUSED static int32_t nothing_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    return 0;
}

/* ---- the table ---- */

typedef struct check_case {
    const char *name;
    void (*run)(void);
} check_case;

#define CASE(name) { #name, name }

CHECK_UNUSED static int check_main(int argc, char **argv, const check_case *cases, size_t count)
{
    pthread_t watchdog;
    static int seconds = 60; /* read before the case starts: it may change the environment */
    if (getenv("CHECK_SECONDS") != NULL)
        seconds = atoi(getenv("CHECK_SECONDS"));
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            puts(cases[i].name);
        return 0;
    }
    for (size_t i = 0; argc == 2 && i < count; i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            check_name = cases[i].name;
            if (pthread_create(&watchdog, NULL, check_watchdog, &seconds) == 0)
                pthread_detach(watchdog);
            cases[i].run();
            return 0;
        }
    }
    fprintf(stderr, "usage: %s --list | CASE\n", argv[0]);
    return 2;
}

#define CHECK_MAIN(...) \
    int main(int argc, char **argv) \
    { \
        static const check_case cases[] = { __VA_ARGS__ }; \
        return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]); \
    }

/* The same for a program whose functions run in worker processes, too. `first` is done in the
 * program itself, not in its workers. */
#define CHECK_MAIN_WORKER(first, ...) \
    int main(int argc, char **argv) \
    { \
        static const check_case cases[] = { __VA_ARGS__ }; \
        cfut_worker_main(); \
        first; \
        return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]); \
    }

#endif
