/* The library loaded and let go again at run time: it stays in memory, for its threads may
 * run in it, and so do its executors. Built without linking it. */
#define _GNU_SOURCE
#include <cfutures.h>

#include "need.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct library {
    void *handle;
    cfut_status (*pool_new)(const cfut_options *, cfut_executor **);
    cfut_status (*process_pool_new)(const cfut_options *, cfut_executor **);
    cfut_status (*warm)(cfut_executor *, int64_t);
    cfut_status (*submit)(cfut_executor *, cfut_task_fn, const void *, size_t, cfut_future **);
    cfut_status (*wait)(cfut_future *, int64_t);
    void (*future_release)(cfut_future *);
    cfut_status (*shutdown)(cfut_executor *, uint32_t, int64_t);
    void (*release)(cfut_executor *);
    cfut_status (*quiesce)(int64_t);
} library;

static const char *name;

static void find(void *handle, const char *symbol, void *place)
{
    *(void **)place = dlsym(handle, symbol);
    NEED(*(void **)place != NULL);
}

static library use_handle(void *handle)
{
    library made;
    if (handle == NULL)
        fprintf(stderr, "%s\n", dlerror());
    NEED(handle != NULL);
    made.handle = handle;
    find(handle, "cfut_thread_pool_new", &made.pool_new);
    find(handle, "cfut_process_pool_new", &made.process_pool_new);
    find(handle, "cfut_executor_warm", &made.warm);
    find(handle, "cfut_submit", &made.submit);
    find(handle, "cfut_future_wait", &made.wait);
    find(handle, "cfut_future_release", &made.future_release);
    find(handle, "cfut_executor_shutdown", &made.shutdown);
    find(handle, "cfut_executor_release", &made.release);
    find(handle, "cfut_quiesce", &made.quiesce);
    return made;
}

static int32_t nothing_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    return 0;
}

static void use(const library *with)
{
    cfut_executor *pool;
    cfut_future *future;
    NEED(with->pool_new(NULL, &pool) == CFUT_OK);
    NEED(with->submit(pool, nothing_task, NULL, 0, &future) == CFUT_OK);
    NEED(with->wait(future, CFUT_FOREVER) == CFUT_OK);
    with->future_release(future);
    NEED(with->shutdown(pool, 0, CFUT_FOREVER) == CFUT_OK);
    with->release(pool);
}

/* Its thread-local things outlive the handle. */
static void *open_use_close(void *unused)
{
    library with = use_handle(dlopen(name, RTLD_NOW | RTLD_LOCAL));
    (void)unused;
    use(&with);
    NEED(dlclose(with.handle) == 0);
    return NULL;
}

static void in_short_lived_threads(void)
{
    for (int i = 0; i < 300; i++) {
        pthread_t threads[2];
        for (int n = 0; n < 2; n++)
            NEED(pthread_create(&threads[n], NULL, open_use_close, NULL) == 0);
        for (int n = 0; n < 2; n++)
            NEED(pthread_join(threads[n], NULL) == 0);
    }
}

static size_t lines_of(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t lines = 0;
    int letter;
    NEED(file != NULL);
    while ((letter = getc(file)) != EOF)
        lines += letter == '\n';
    fclose(file);
    return lines;
}

static size_t entries_of(const char *path)
{
    DIR *directory = opendir(path);
    size_t entries = 0;
    NEED(directory != NULL);
    while (readdir(directory) != NULL)
        entries++;
    closedir(directory);
    return entries;
}

/* What the process holds: mapped files, descriptors, threads. */
typedef struct holdings {
    size_t maps, descriptors, threads;
} holdings;

static holdings count(void)
{
    holdings now = { lines_of("/proc/self/maps"), entries_of("/proc/self/fd"),
                     entries_of("/proc/self/task") };
    return now;
}

static void use_processes(void)
{
    library with = use_handle(dlopen(name, RTLD_NOW | RTLD_LOCAL));
    cfut_executor *pool;
    NEED(with.process_pool_new(NULL, &pool) == CFUT_OK);
    NEED(with.warm(pool, CFUT_FOREVER) == CFUT_OK);
    NEED(with.shutdown(pool, 0, CFUT_FOREVER) == CFUT_OK);
    with.release(pool);
    NEED(dlclose(with.handle) == 0);
}

/* Loaded, used and let go again and again, nothing piles up: neither the library nor descriptors
 * nor threads. (Stacks of ended threads are kept for new ones by the C library, and memory by
 * its allocator: a few maps more are none too many.) */
static void in_a_loop(void)
{
    holdings before = count(), after;
    for (int i = 0; i < 500; i++) {
        open_use_close(NULL);
        if (i % 50 == 0)
            use_processes();
        if (i == 50)
            before = count();
    }
    after = count();
    if (after.maps > before.maps + 32 || after.descriptors != before.descriptors ||
        after.threads != before.threads) {
        fprintf(stderr, "maps %zu -> %zu, descriptors %zu -> %zu, threads %zu -> %zu\n",
                before.maps, after.maps, before.descriptors, after.descriptors, before.threads,
                after.threads);
        _exit(1);
    }
}

/* Closed while an executor is at work, which goes on. */
static void closed_while_at_work(void)
{
    library with = use_handle(dlopen(name, RTLD_NOW | RTLD_LOCAL));
    cfut_executor *pool;
    NEED(with.pool_new(NULL, &pool) == CFUT_OK);
    for (int i = 0; i < 1000; i++)
        NEED(with.submit(pool, nothing_task, NULL, 0, NULL) == CFUT_OK);
    NEED(dlclose(with.handle) == 0);
    NEED(with.quiesce(CFUT_FOREVER) == CFUT_OK);
    NEED(with.shutdown(pool, 0, CFUT_FOREVER) == CFUT_OK);
    with.release(pool);
}

/* Two copies in one process know nothing of each other. */
static void loaded_twice(void)
{
    library first = use_handle(dlopen(name, RTLD_NOW | RTLD_LOCAL)), second;
    void *handle = dlmopen(LM_ID_NEWLM, name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        printf("not tried twice: %s\n", dlerror());
        return;
    }
    second = use_handle(handle);
    NEED((void (*)(void))first.submit != (void (*)(void))second.submit);
    for (int i = 0; i < 20; i++) {
        use(&first);
        use(&second);
    }
}

int main(int argc, char **argv)
{
    NEED(argc == 2);
    name = argv[1];
    in_a_loop();
    in_short_lived_threads();
    closed_while_at_work();
    loaded_twice();
    return 0;
}
