/* Tasks in a shared object, for cfutures-worker. */
#include <cfutures.h>

#include <string.h>
#include <unistd.h>

CFUT_API int32_t square_and_pid(cfut_promise *promise, const void *data, size_t len);

/* Two numbers: the square, and the process that it was made in. */
int32_t square_and_pid(cfut_promise *promise, const void *data, size_t len)
{
    int64_t numbers[2];
    if (len != sizeof numbers[0])
        return 1;
    memcpy(numbers, data, len);
    numbers[0] *= numbers[0];
    numbers[1] = getpid();
    return cfut_promise_set_bytes(promise, numbers, sizeof numbers);
}
