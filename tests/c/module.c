/* A shared object with tasks inside, for programs that name them: CFUT_TEST_MODULE is its path. */
#include <cfutures.h>

#include <string.h>

int32_t module_square(cfut_promise *promise, const void *data, size_t length);
int32_t module_initialize(cfut_promise *promise, const void *data, size_t length);
int32_t module_state(cfut_promise *promise, const void *data, size_t length);

/* Task: the square of an int64_t. */
int32_t module_square(cfut_promise *promise, const void *data, size_t length)
{
    int64_t n;
    if (length != sizeof n)
        return cfut_promise_fail(promise, 22, "an int64_t is wanted") == CFUT_OK ? 22 : 1;
    memcpy(&n, data, sizeof n);
    n *= n;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

/* A worker's own: an initializer runs in each, and in those of a thread pool at the same time. */
static _Thread_local int64_t state;

/* Task: keeps the int64_t it is given. */
int32_t module_initialize(cfut_promise *promise, const void *data, size_t length)
{
    (void)promise;
    if (length != sizeof state)
        return 22;
    memcpy(&state, data, sizeof state);
    return 0;
}

/* Task: what module_initialize() was given in this worker. */
int32_t module_state(cfut_promise *promise, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_set_bytes(promise, &state, sizeof state);
}
