/* A future that was not settled at fork() settles in the parent process only: in the child
 * nothing can be hung on it. */
#include "check.h"

#include <sys/wait.h>

static void never(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
    abort();
}

static int32_t never_then(cfut_promise *promise, cfut_future *input, void *arg)
{
    (void)promise;
    (void)input;
    (void)arg;
    abort();
}

static cfut_status queue(cfut_future *future)
{
    cfut_queue *made;
    CHECK_OK(cfut_queue_new(&made));
    return cfut_queue_add(made, future, 1);
}

static cfut_status callback(cfut_future *future)
{
    return cfut_future_on_done(future, NULL, never, NULL, NULL);
}

static cfut_status continuation(cfut_future *future)
{
    cfut_future *made;
    return cfut_future_then(future, NULL, never_then, NULL, NULL, &made);
}

static cfut_status join(cfut_future *future)
{
    cfut_future *made;
    return cfut_join(&future, 1, CFUT_JOIN_ALL, &made);
}

static void refused(cfut_status (*hang)(cfut_future *))
{
    cfut_promise *promise;
    cfut_future *future;
    int status;
    pid_t child;
    CHECK_OK(cfut_promise_new(&promise, &future));
    child = fork();
    if (child == 0) {
        CHECK_STATUS(hang(future), CFUT_EFORKED);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    cfut_promise_release(promise);
    cfut_future_release(future);
}

static void in_a_queue(void)
{
    refused(queue);
}

static void with_a_callback(void)
{
    refused(callback);
}

static void with_a_continuation(void)
{
    refused(continuation);
}

static void in_a_join(void)
{
    refused(join);
}

CHECK_MAIN(CASE(in_a_queue), CASE(with_a_callback), CASE(with_a_continuation), CASE(in_a_join))
