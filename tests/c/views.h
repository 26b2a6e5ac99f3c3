/* What the suites of limited views share. */
#ifndef VIEWS_H
#define VIEWS_H

#include "parts.h"

CHECK_UNUSED static cfut_executor *view_of(cfut_executor *parent, uint32_t most)
{
    cfut_executor *view = NULL;
    CHECK_OK(cfut_limited_new(parent, most, &view));
    return check_watch(view);
}

/* Waits until what the view has is done, then until what the pool has is. */
CHECK_UNUSED static void close_both(cfut_executor *view, cfut_executor *pool)
{
    check_close(view);
    check_close(pool);
}

/* ---- tasks ---- */

struct crowd {
    atomic_int inside, most, done;
};

CHECK_UNUSED static int32_t crowd_task(cfut_promise *self, const void *data, size_t length)
{
    struct crowd *crowd;
    int inside, most;
    (void)self;
    memcpy(&crowd, data, length);
    inside = atomic_fetch_add(&crowd->inside, 1) + 1;
    most = atomic_load(&crowd->most);
    while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside)) {
    }
    for (volatile int i = 0; i < 200; i++) {
    }
    atomic_fetch_sub(&crowd->inside, 1);
    atomic_fetch_add(&crowd->done, 1);
    return 0;
}

CHECK_UNUSED static int32_t note_then(cfut_promise *self, cfut_future *input, void *arg)
{
    (void)input;
    return note_place(self, arg, sizeof(struct place));
}

#endif
