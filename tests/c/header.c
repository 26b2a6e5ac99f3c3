/* Compiled, never run, by every C and C++ compiler there is: the header says what it needs, can
 * be had twice, and its macros are expressions of the types that the calls want. */
#include <cfutures.h>

#include <cfutures.h>

/* In the preprocessor: what a program asks that works with several versions. */
#if CFUT_VERSION_NUMBER < ((CFUT_VERSION_MAJOR << 16) | (CFUT_VERSION_MINOR << 8))
#error "the version number"
#endif
#if CFUT_OK != 0 || CFUT_EINVAL != -1 || 1 - CFUT_EINVAL != 2 || CFUT_FOREVER >= 0
#error "numbers that do not stand alone"
#endif
#if 2 - CFUT_WINDOW_ALL != 3
#error "a negative number without parentheses"
#endif

#ifdef __cplusplus
#define NOTHING nullptr
#else
#define NOTHING NULL
#endif

int header_in_use(cfut_executor *executor, const char *text);

static int32_t task(cfut_promise *promise, const void *data, size_t len)
{
    int32_t percent = (int32_t)len;
    (void)data;
    if (cfut_promise_stop_requested(promise))
        return cfut_promise_set_cancelled(promise);
    (void)cfut_promise_set_progress(promise, 1, 2);
    return len == 0 ? CFUT_DETACH : percent;
}

static void done(cfut_future *future, void *arg)
{
    (void)arg;
    cfut_future_release(future);
}

int header_in_use(cfut_executor *executor, const char *text)
{
    const int64_t times[] = { CFUT_FOREVER, CFUT_NOW, CFUT_USEC(1), CFUT_MSEC(2 + 3), CFUT_SEC(4) };
    const uint32_t flags = CFUT_SHUTDOWN_CANCEL | CFUT_SHUTDOWN_STOP | CFUT_SHUTDOWN_KILL |
                           CFUT_SHUTDOWN_TERM | CFUT_BUFFER_SHARED | CFUT_CANCEL_KILL;
    cfut_options *options = cfut_options_new();
    cfut_future *future = NOTHING;
    cfut_task *builder = NOTHING;
    cfut_status status = cfut_options_set(options, CFUT_OPT_SPIN_NS, times[2]);
    if (status == CFUT_OK)
        status = cfut_options_set_text(options, CFUT_OPT_NAME, text);
    if (status == CFUT_OK)
        status = cfut_task_new(task, &builder);
    if (status == CFUT_OK)
        status = cfut_submit_task(executor, builder, text, sizeof times, &future);
    if (status == CFUT_OK)
        status = cfut_future_on_done(future, NOTHING, done, NOTHING, NOTHING);
    switch (status) {
    case CFUT_OK:
    case CFUT_BROKEN:
    case CFUT_EINVAL:
    case CFUT_ESTATE:
        return cfut_executor_shutdown(executor, flags, CFUT_FOREVER);
    default:
        return 1;
    }
}
