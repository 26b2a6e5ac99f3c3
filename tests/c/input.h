/* What the programs about wrong arguments share: good ones to put beside a wrong one. */
#ifndef INPUT_H
#define INPUT_H

#include "check.h"

/* What calls are given besides the argument that is wrong. */
static struct {
    cfut_executor *pool;
    cfut_task *task;
    cfut_options *options;
    cfut_future *future; /* settled: three bytes */
    cfut_promise *promise;
    cfut_future *promised;
    cfut_queue *queue;
    cfut_buffer *buffer;
} good;

CHECK_UNUSED static int moved; /* arguments handed over */
CHECK_UNUSED static int freed;

CHECK_UNUSED static void free_moved(void *arg)
{
    CHECK(arg == (void *)&moved);
    freed++;
}

/* An argument and its free function. */
#define MOVED (moved++, (void *)&moved), free_moved

CHECK_UNUSED static int32_t closure(cfut_promise *self, void *arg)
{
    (void)self;
    (void)arg;
    return 0;
}

CHECK_UNUSED static int32_t range(cfut_promise *self, size_t begin, size_t end, void *arg)
{
    (void)begin;
    (void)end;
    return closure(self, arg);
}

CHECK_UNUSED static int32_t then(cfut_promise *self, cfut_future *input, void *arg)
{
    (void)input;
    return closure(self, arg);
}

CHECK_UNUSED static int32_t source(void *arg, const void **data, size_t *length)
{
    (void)arg;
    (void)data;
    (void)length;
    return CFUT_END;
}

CHECK_UNUSED static void done(cfut_future *future, void *arg)
{
    (void)future;
    (void)arg;
}

CHECK_UNUSED static int32_t hook(void *arg, uint32_t worker)
{
    (void)arg;
    (void)worker;
    return 0;
}

CHECK_UNUSED static int32_t three_bytes(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(self, "abc", 3);
}

CHECK_UNUSED static void make_good(void)
{
    good.pool = check_pool(1);
    CHECK_OK(cfut_task_new(nothing_task, &good.task));
    good.options = cfut_options_new();
    CHECK(good.options != NULL);
    CHECK_OK(cfut_submit(good.pool, three_bytes, NULL, 0, &good.future));
    CHECK_OK(cfut_future_wait(good.future, CFUT_FOREVER));
    CHECK_OK(cfut_promise_new(&good.promise, &good.promised));
    CHECK_OK(cfut_queue_new(&good.queue));
    CHECK_OK(cfut_buffer_new(3, 0, &good.buffer));
}

CHECK_UNUSED static void free_good(void)
{
    cfut_task_free(good.task);
    cfut_options_free(good.options);
    cfut_future_release(good.future);
    cfut_promise_release(good.promise);
    cfut_future_release(good.promised);
    cfut_queue_release(good.queue);
    cfut_buffer_release(good.buffer);
    check_close(good.pool);
    CHECK_EQ(freed, moved);
}

#endif
