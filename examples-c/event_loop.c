/* An event loop of one thread that has work done by others, and is never called by them.
 *
 * Shows: how to use cfutures from epoll, or from libuv, without one callback from a foreign
 * thread. Results come out of a completion queue, whose descriptor the event loop polls like any
 * socket; callbacks run on a loop executor, whose descriptor it polls as well. Nothing here needs a
 * lock.
 */
#define _GNU_SOURCE /* getopt_long, pthread_equal on older systems */
#include <cfutures.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#ifdef HAVE_LIBUV
#include <uv.h>
#endif

enum { GOOD = 0, WRONG = 1, TROUBLE = 2 }; /* exit statuses */
enum { TICK_MS = 10, MOST_NUMBER = 100000000 };

static const char USAGE[] =
    "usage: event_loop [--libuv] [--workers N] [NUMBER...]\n"
    "\n"
    "Counts the primes below each NUMBER on a thread pool, while one thread runs an event loop\n"
    "that ticks, takes results as they come, and is told of each by a callback, in itself.\n"
    "\n"
    "  --libuv      with libuv instead of epoll: event_loop_libuv has that\n"
    "  --workers N  worker threads\n"
    "  --help       this text\n"
    "\n"
    "Exit status: 0 all well, 1 something ran in a foreign thread, 2 trouble.\n";

static const int64_t USUAL[] = { 2000000, 10, 1000000, 100, 1500000, 1000, 500000, 10000 };

/* ---- the work: in worker threads ---- */

static bool is_prime(int64_t n)
{
    if (n % 2 == 0)
        return n == 2;
    for (int64_t factor = 3; factor * factor <= n; factor += 2)
        if (n % factor == 0)
            return false;
    return n > 1;
}

static int32_t count_primes(cfut_promise *promise, const void *data, size_t size)
{
    int64_t below, count = 0;
    memcpy(&below, data, size);
    for (int64_t n = 2; n < below; n++)
        count += is_prime(n);
    return cfut_promise_set_bytes(promise, &count, sizeof count);
}

/* ---- the program: one thread ---- */

struct app {
    pthread_t thread; /* of the event loop */
    cfut_executor *pool, *loop;
    cfut_queue *queue;
    const int64_t *numbers;
    size_t asked, answered, told, ticks, foreign;
    bool failed;
#ifdef HAVE_LIBUV
    uv_loop_t *uv;
#endif
};

static int complain(const char *what, cfut_status status)
{
    char text[480];
    cfut_last_error(text, sizeof text);
    fprintf(stderr, "event_loop: %s: %s: %s\n", what, cfut_status_name(status), text);
    return TROUBLE;
}

static void check_thread(struct app *app)
{
    if (!pthread_equal(pthread_self(), app->thread))
        app->foreign++;
}

/* A callback that was given the loop as its executor: runs in cfut_loop_run(). */
static void was_told(cfut_future *future, void *arg)
{
    struct app *app = arg;
    (void)future;
    check_thread(app);
    app->told++;
}

static bool is_done(const struct app *app)
{
    return app->failed || (app->answered == app->asked && app->told == app->asked);
}

/* The queue's descriptor is readable. */
static void take_results(struct app *app)
{
    cfut_future *future;
    uint64_t tag;
    check_thread(app);
    while (cfut_queue_next(app->queue, CFUT_NOW, &future, &tag) == CFUT_OK) {
        int64_t count = 0;
        size_t size = 0;
        const void *bytes = cfut_future_bytes(future, &size);
        if (bytes != NULL && size == sizeof count) {
            memcpy(&count, bytes, size);
            printf("%" PRId64 " primes below %" PRId64 "\n", count, app->numbers[tag]);
        } else {
            fprintf(stderr, "event_loop: %" PRId64 ": %s\n", app->numbers[tag],
                    cfut_future_message(future));
            app->failed = true;
        }
        app->answered++;
        cfut_future_release(future);
    }
}

/* The loop's descriptor is readable. */
static void run_callbacks(struct app *app)
{
    cfut_status status = cfut_loop_run(app->loop, 0, CFUT_NOW, NULL);
    if (status != CFUT_TIMEOUT) { /* the time, of which there was none, is over */
        complain("the loop", status);
        app->failed = true;
    }
}

static cfut_status start_all(struct app *app)
{
    cfut_status status = CFUT_OK;
    for (size_t i = 0; i < app->asked && status == CFUT_OK; i++) {
        cfut_future *future = NULL;
        status = cfut_submit(app->pool, count_primes, &app->numbers[i], sizeof app->numbers[i],
                             &future);
        if (status == CFUT_OK)
            status = cfut_queue_add(app->queue, future, i);
        if (status == CFUT_OK)
            status = cfut_future_on_done(future, app->loop, was_told, app, NULL);
        cfut_future_release(future);
    }
    return status;
}

/* ---- with epoll ---- */

static int with_epoll(struct app *app, int queue_fd, int loop_fd)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    int fds[] = { queue_fd, loop_fd, timer };
    struct itimerspec every = { { 0, TICK_MS * 1000000 }, { 0, TICK_MS * 1000000 } };
    bool good = epoll >= 0 && timer >= 0 && timerfd_settime(timer, 0, &every, NULL) == 0;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0] && good; i++) {
        struct epoll_event event = { EPOLLIN, { .fd = fds[i] } };
        good = epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0;
    }
    while (good && !is_done(app)) {
        struct epoll_event events[3];
        int count = epoll_wait(epoll, events, 3, -1);
        good = count >= 0 || errno == EINTR;
        for (int i = 0; i < count; i++) {
            uint64_t expirations;
            if (events[i].data.fd == queue_fd)
                take_results(app);
            else if (events[i].data.fd == loop_fd)
                run_callbacks(app);
            else if (read(timer, &expirations, sizeof expirations) == sizeof expirations)
                app->ticks++;
        }
    }
    if (!good)
        perror("event_loop: epoll");
    if (timer >= 0)
        close(timer);
    if (epoll >= 0)
        close(epoll);
    return good ? GOOD : TROUBLE;
}

/* ---- with libuv ---- */

#ifdef HAVE_LIBUV
static void stop_if_done(struct app *app)
{
    if (is_done(app))
        uv_stop(app->uv);
}

static void queue_is_readable(uv_poll_t *handle, int status, int events)
{
    (void)events;
    if (status == 0)
        take_results(handle->data);
    stop_if_done(handle->data);
}

static void loop_is_readable(uv_poll_t *handle, int status, int events)
{
    (void)events;
    if (status == 0)
        run_callbacks(handle->data);
    stop_if_done(handle->data);
}

static void tick(uv_timer_t *handle)
{
    struct app *app = handle->data;
    app->ticks++;
}

static int with_libuv(struct app *app, int queue_fd, int loop_fd)
{
    uv_loop_t uv;
    uv_poll_t queue, loop;
    uv_timer_t timer;
    int error = uv_loop_init(&uv);
    if (error != 0) {
        fprintf(stderr, "event_loop: libuv: %s\n", uv_strerror(error));
        return TROUBLE;
    }
    app->uv = &uv;
    queue.data = loop.data = timer.data = app;
    uv_timer_init(&uv, &timer);
    uv_poll_init(&uv, &queue, queue_fd);
    uv_poll_init(&uv, &loop, loop_fd);
    error = uv_poll_start(&queue, UV_READABLE, queue_is_readable);
    if (error == 0)
        error = uv_poll_start(&loop, UV_READABLE, loop_is_readable);
    if (error == 0)
        error = uv_timer_start(&timer, tick, TICK_MS, TICK_MS);
    if (error == 0)
        uv_run(&uv, UV_RUN_DEFAULT);
    else
        fprintf(stderr, "event_loop: libuv: %s\n", uv_strerror(error));
    uv_close((uv_handle_t *)&queue, NULL);
    uv_close((uv_handle_t *)&loop, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&uv, UV_RUN_DEFAULT);
    uv_loop_close(&uv);
    return error == 0 ? GOOD : TROUBLE;
}
#else
static int with_libuv(struct app *app, int queue_fd, int loop_fd)
{
    (void)app, (void)queue_fd, (void)loop_fd;
    fprintf(stderr, "event_loop: --libuv: this was built without libuv; event_loop_libuv has it\n");
    return TROUBLE;
}
#endif

/* ---- main ---- */

static int run(struct app *app, cfut_options *options, bool libuv)
{
    int queue_fd = -1, loop_fd = -1;
    cfut_status status;
    if ((status = cfut_thread_pool_new(options, &app->pool)) != CFUT_OK ||
        (status = cfut_loop_new(NULL, &app->loop)) != CFUT_OK ||
        (status = cfut_queue_new(&app->queue)) != CFUT_OK ||
        (status = cfut_queue_fd(app->queue, &queue_fd)) != CFUT_OK ||
        (status = cfut_loop_fd(app->loop, &loop_fd)) != CFUT_OK ||
        (status = start_all(app)) != CFUT_OK)
        return complain("cannot start", status);
    if (libuv)
        return with_libuv(app, queue_fd, loop_fd);
    return with_epoll(app, queue_fd, loop_fd);
}

static bool number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
        return false;
    *out = value;
    return true;
}

/* What was printed is out; false: it is not. */
static bool is_written(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    fprintf(stderr, "event_loop: standard output: %s\n", strerror(errno));
    return false;
}

static int finish(struct app *app, int exit_status)
{
    if (app->pool != NULL) /* what is left, after trouble, is not wanted */
        cfut_executor_shutdown(app->pool, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER);
    cfut_queue_release(app->queue);
    cfut_executor_release(app->loop);
    cfut_executor_release(app->pool);
    if (exit_status != GOOD || app->failed)
        return TROUBLE;
    printf("%zu results and %zu callbacks in the event loop's thread, %zu in others; %s\n",
           app->answered, app->told, app->foreign,
           app->ticks > 0 ? "it went on ticking" : "it had no time to tick");
    if (!is_written())
        return TROUBLE;
    return app->foreign == 0 ? GOOD : WRONG;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "libuv", no_argument, NULL, 'u' },
        { "workers", required_argument, NULL, 'w' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct app app = { .thread = pthread_self() };
    cfut_options *options = cfut_options_new();
    bool libuv = false;
    int64_t value, *numbers = NULL;
    int option, exit_status = TROUBLE;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'h':
            fputs(USAGE, stdout);
            cfut_options_free(options);
            return is_written() ? GOOD : TROUBLE;
        case 'u':
            libuv = true;
            break;
        case 'w':
            if (!number(optarg, 1, INT_MAX, &value)) {
                fprintf(stderr, "event_loop: --workers %s: no number of workers\n", optarg);
                cfut_options_free(options);
                return TROUBLE;
            }
            if (cfut_options_set(options, CFUT_OPT_WORKERS, value) != CFUT_OK) {
                cfut_options_free(options);
                return complain("--workers", CFUT_EINVAL);
            }
            break;
        default:
            fputs(USAGE, stderr);
            cfut_options_free(options);
            return TROUBLE;
        }
    }
    app.numbers = USUAL;
    app.asked = sizeof USUAL / sizeof USUAL[0];
    if (optind < argc) {
        app.asked = (size_t)(argc - optind);
        numbers = calloc(app.asked, sizeof *numbers);
        if (numbers == NULL)
            perror("event_loop");
        for (size_t i = 0; i < app.asked && numbers != NULL; i++) {
            const char *text = argv[optind + (int)i];
            if (!number(text, 0, MOST_NUMBER, &numbers[i])) {
                fprintf(stderr, "event_loop: %s: no number from 0 to %d\n", text, MOST_NUMBER);
                free(numbers);
                numbers = NULL;
            }
        }
        app.numbers = numbers;
    }
    if (app.numbers != NULL)
        exit_status = finish(&app, run(&app, options, libuv));
    cfut_options_free(options);
    free(numbers);
    return exit_status;
}
