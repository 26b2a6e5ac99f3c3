/* Long chains of callbacks, continuations, joins and waits: none of them needs a deep stack. */
#include "check.h"

#define DEEP 100000

static int depth_reached;
static char *lowest, *highest;

static void chain_callback(cfut_future *future, void *arg)
{
    char here;
    (void)future;
    if (lowest == NULL || &here < lowest)
        lowest = &here;
    if (&here > highest)
        highest = &here;
    depth_reached++;
    if (arg != NULL) {
        CHECK_OK(cfut_promise_set_bytes(arg, "x", 1));
        cfut_promise_release(arg);
    }
}

/* Each callback settles the next promise: ten thousands of them need no deep stack. */
static void chain_of_callbacks(void)
{
    cfut_promise *next = NULL;
    for (int i = 0; i < DEEP; i++) {
        cfut_promise *promise;
        cfut_future *future;
        CHECK_OK(cfut_promise_new(&promise, &future));
        CHECK_OK(cfut_future_on_done(future, NULL, chain_callback, next, NULL));
        cfut_future_release(future);
        next = promise;
    }
    CHECK_OK(cfut_promise_set_bytes(next, "x", 1));
    cfut_promise_release(next);
    CHECK_EQ(depth_reached, DEEP);
    CHECK(highest - lowest < 65536);
}

static int32_t count_then(cfut_promise *self, cfut_future *input, void *arg)
{
    char here;
    (void)input;
    (void)arg;
    if (lowest == NULL || &here < lowest)
        lowest = &here;
    if (&here > highest)
        highest = &here;
    depth_reached++;
    return cfut_promise_set_bytes(self, "x", 1);
}

static void chain_of_continuations(void)
{
    cfut_promise *first;
    cfut_future *last;
    CHECK_OK(cfut_promise_new(&first, &last));
    for (int i = 0; i < DEEP; i++) {
        cfut_future *next;
        CHECK_OK(cfut_future_then(last, NULL, count_then, NULL, NULL, &next));
        cfut_future_release(last);
        last = next;
    }
    CHECK_OK(cfut_promise_set_bytes(first, "x", 1));
    CHECK_OK(cfut_future_wait(last, CFUT_NOW));
    CHECK_EQ(depth_reached, DEEP);
    CHECK(highest - lowest < 65536);
    cfut_promise_release(first);
    cfut_future_release(last);
}

/* The same, never settled: the whole chain goes with the release of its ends. */
static void chain_is_dropped(void)
{
    cfut_promise *first;
    cfut_future *last;
    CHECK_OK(cfut_promise_new(&first, &last));
    for (int i = 0; i < DEEP * 5; i++) {
        cfut_future *next;
        CHECK_OK(i % 2 == 0 ? cfut_join(&last, 1, CFUT_JOIN_ALL, &next)
                            : cfut_future_then(last, NULL, count_then, NULL, NULL, &next));
        cfut_future_release(last);
        last = next;
    }
    cfut_future_release(last);
    cfut_promise_release(first); /* it breaks, and so does what hangs on it */
}

static void chain_is_released_settled(void)
{
    cfut_promise *first;
    cfut_future *last;
    CHECK_OK(cfut_promise_new(&first, &last));
    for (int i = 0; i < DEEP * 5; i++) {
        cfut_future *next;
        CHECK_OK(cfut_join(&last, 1, CFUT_JOIN_ANY, &next));
        cfut_future_release(last);
        last = next;
    }
    CHECK_OK(cfut_promise_set_bytes(first, "a result that takes memory", 26));
    CHECK_OK(cfut_future_wait(last, CFUT_NOW));
    CHECK(memcmp(cfut_future_bytes(last, NULL), "a result", 8) == 0);
    cfut_promise_release(first);
    cfut_future_release(last); /* each holds the one before */
}

typedef struct nest {
    cfut_executor *pool;
    int left;
} nest;

static int32_t nested_task(cfut_promise *self, const void *data, size_t length)
{
    nest here;
    cfut_future *future;
    memcpy(&here, data, sizeof here);
    if (here.left-- == 0)
        return nothing_task(self, data, length);
    CHECK_OK(cfut_submit(here.pool, nested_task, &here, sizeof here, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    return 0;
}

/* One worker, a thousand tasks that wait for each other. */
static void nested_waits(void)
{
    nest here = { check_pool(1), 1000 };
    cfut_future *future;
    CHECK_OK(cfut_submit(here.pool, nested_task, &here, sizeof here, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    check_close(here.pool);
}

CHECK_MAIN(CASE(chain_of_callbacks), CASE(chain_of_continuations), CASE(chain_is_dropped),
           CASE(chain_is_released_settled), CASE(nested_waits))
