/* No threads, no descriptors, no address space: a status, never a crash or a hang, and the
 * pool works with what it got. Memory has a suite of its own, no_memory.c. */
#include "child.h"

#include <dlfcn.h>
#include <grp.h>
#include <sys/mman.h>

/* ---- threads that cannot be made ---- */

static latch made = LATCH_CLOSED; /* tries to make one, since fail_threads() */
static int first_failure = 0, last_failure = -1;

/* Stands in front of the C library's own, which it calls or not. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    static create *real;
    int number;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    pthread_mutex_lock(&made.lock);
    number = ++made.count;
    pthread_cond_broadcast(&made.changed);
    pthread_mutex_unlock(&made.lock);
    if (number >= first_failure && number <= last_failure)
        return EAGAIN;
    return real(thread, attributes, run, argument);
}

/* From now on the tries number `first` to `last` fail; 1 is the next. */
static void fail_threads(int first, int last)
{
    pthread_mutex_lock(&made.lock);
    made.count = 0;
    first_failure = first;
    last_failure = last;
    pthread_mutex_unlock(&made.lock);
}

static void all_fail(void)
{
    fail_threads(1, INT32_MAX);
}

static void none_fails(void)
{
    fail_threads(0, -1);
}

static latch freed = LATCH_CLOSED;

static void free_argument(void *arg)
{
    (void)arg;
    latch_open(&freed);
}

static int32_t closure(cfut_promise *self, void *arg)
{
    (void)self;
    (void)arg;
    return 0;
}

static void run_one(cfut_executor *pool)
{
    cfut_future *future;
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
}

/* Refused whole; the next submit tries again. */
static void not_one_thread(void)
{
    cfut_executor *pool = check_pool(3);
    cfut_future *future = NULL, *futures[3];
    cfut_task *task;
    CHECK_OK(cfut_task_new(nothing_task, &task));
    all_fail();
    for (int i = 0; i < 5; i++) {
        CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, &future), CFUT_ESYS, "thread");
        CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESYS, "not accepted");
        CHECK_STATUS(cfut_submit_closure(pool, closure, NULL, free_argument, NULL), CFUT_ESYS);
        CHECK_EQ(latch_count(&freed), i + 1);
        CHECK_STATUS(cfut_submit_many(pool, task, "abc", 1, 3, futures), CFUT_ESYS);
        CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_ESYS, "0 of 3 workers run");
    }
    CHECK(future == NULL);
    none_fails();
    run_one(pool);
    CHECK_OK(cfut_submit_many(pool, task, "abc", 1, 3, NULL));
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 3);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 4);
    cfut_task_free(task);
    check_close(pool);
}

/* A pool that never had a thread ends like others. */
static void end_without_threads(void)
{
    cfut_executor *pool = check_pool(3);
    all_fail();
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESYS);
    check_close(pool);
    none_fails();
}

/* A task that was refused is no work that anybody could wait for. */
static void quiet_without_threads(void)
{
    cfut_executor *pool = check_pool(3);
    all_fail();
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESYS);
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    none_fails();
    check_close(pool);
}

/* Nor is it counted. */
static void refused_is_not_counted(void)
{
    cfut_executor *pool = check_pool(3);
    all_fail();
    for (int i = 0; i < 5; i++)
        CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESYS);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CANCELLED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 0);
    none_fails();
    check_close(pool);
}

/* Outputs are written on success only. */
static void refused_batch_writes_nothing(void)
{
    cfut_executor *pool = check_pool(3);
    cfut_future *futures[3] = { NULL, NULL, NULL };
    cfut_task *task;
    CHECK_OK(cfut_task_new(nothing_task, &task));
    all_fail();
    CHECK_STATUS(cfut_submit_many(pool, task, "abc", 1, 3, futures), CFUT_ESYS);
    CHECK(futures[0] == NULL && futures[1] == NULL && futures[2] == NULL);
    none_fails();
    cfut_task_free(task);
    check_close(pool);
}


#define MOST 5

/* From the k-th on none can be made: the pool works with k - 1, and warm says so. */
static void works_with_fewer(void)
{
    for (int k = 1; k <= MOST + 1; k++) {
        cfut_executor *pool = check_pool(MOST);
        cfut_future *futures[200];
        char words[64];
        int accepted = 0;
        fail_threads(k, INT32_MAX);
        if (k <= MOST) {
            snprintf(words, sizeof words, "%d of %d workers run", k - 1, MOST);
            CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_ESYS, words);
        } else {
            CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
        }
        CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), k - 1);
        for (int i = 0; i < 200; i++) {
            cfut_status status = cfut_submit(pool, nothing_task, NULL, 0, &futures[accepted]);
            CHECK_STATUS(status, k == 1 ? CFUT_ESYS : CFUT_OK);
            accepted += status == CFUT_OK;
        }
        for (int i = 0; i < accepted; i++) {
            CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
            cfut_future_release(futures[i]);
        }
        none_fails();
        CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
        CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), MOST);
        check_close(pool);
    }
}

static int32_t nap_task(cfut_promise *self, const void *data, size_t length)
{
    check_sleep(CFUT_MSEC(1));
    return nothing_task(self, data, length);
}

/* Only the k-th fails, whoever needs it: a worker, one more for blocking tasks, the monitor.
 * What is accepted ends. */
static void one_of_them_fails(void)
{
    for (int k = 1; k <= MOST + 2; k++) {
        cfut_executor *pool = check_pool(MOST);
        cfut_future *futures[30];
        cfut_task *task;
        int accepted = 0;
        CHECK_OK(cfut_task_new(nap_task, &task));
        CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_SEC(1000)));
        fail_threads(k, k);
        for (int i = 0; i < 30; i++) {
            cfut_status status =
                i % 2 == 0 ? cfut_submit(pool, nap_task, NULL, 0, &futures[accepted])
                           : cfut_submit_task(pool, task, NULL, 0, &futures[accepted]);
            CHECK(status == CFUT_OK || status == CFUT_ESYS);
            accepted += status == CFUT_OK;
        }
        CHECK(accepted >= 29);
        for (int i = 0; i < accepted; i++) {
            CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
            cfut_future_release(futures[i]);
        }
        cfut_task_free(task);
        check_close(pool);
        none_fails();
    }
}

/* Time-outs need a thread that keeps them. */
static void no_thread_for_time_outs(void)
{
    cfut_executor *pool = check_pool(1);
    cfut_future *future = NULL, *input;
    cfut_promise *promise;
    cfut_task *task;
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_OK(cfut_task_new(nothing_task, &task));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(1000)));
    CHECK_OK(cfut_promise_new(&promise, &input));
    all_fail();
    CHECK_ERROR(cfut_submit_task(pool, task, NULL, 0, &future), CFUT_ESYS, "thread");
    CHECK_STATUS(cfut_submit_many(pool, task, "abc", 1, 3, &future), CFUT_ESYS);
    CHECK_STATUS(cfut_future_pipe(input, pool, task, &future), CFUT_ESYS);
    CHECK(future == NULL);
    run_one(pool);
    none_fails();
    cfut_promise_release(promise);
    cfut_future_release(input);
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_release(future);
    cfut_task_free(task);
    check_close(pool);
}

typedef struct pair {
    cfut_executor *pool;
    cfut_promise *promise;
    cfut_future *future;
    cfut_status status;
} pair;

static int32_t settling_task(cfut_promise *self, const void *data, size_t length)
{
    pair *at;
    (void)self;
    (void)length;
    memcpy(&at, data, sizeof at);
    CHECK_OK(cfut_promise_set_bytes(at->promise, "x", 1));
    return 0;
}

/* Waits for what only another worker can bring about. */
static int32_t waiting_task(cfut_promise *self, const void *data, size_t length)
{
    pair *at;
    (void)self;
    memcpy(&at, data, sizeof at);
    CHECK_OK(cfut_submit(at->pool, settling_task, data, length, NULL));
    at->status = cfut_future_wait(at->future, CFUT_FOREVER);
    return 0;
}

/* No thread to stand in: the wait says so, and the other task runs afterwards. */
static void nobody_to_stand_in(void)
{
    pair both = { check_pool(1), NULL, NULL, CFUT_EPANIC }, *at = &both;
    cfut_future *future;
    CHECK_OK(cfut_promise_new(&both.promise, &both.future));
    CHECK_OK(cfut_executor_warm(both.pool, CFUT_FOREVER));
    all_fail();
    CHECK_OK(cfut_submit(both.pool, waiting_task, &at, sizeof at, &future));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_STATUS(both.status, CFUT_EDEADLK);
    CHECK_OK(cfut_future_wait(both.future, CFUT_FOREVER));
    cfut_future_release(future);
    cfut_promise_release(both.promise);
    cfut_future_release(both.future);
    none_fails();
    check_close(both.pool);
}

static int32_t ending_task(cfut_promise *self, const void *data, size_t length)
{
    gate_task(self, data, length);
    pthread_exit(NULL);
}

static cfut_executor *pool_without_worker(cfut_future **left, int failures)
{
    gate stage = GATE_CLOSED, *place = &stage;
    cfut_executor *pool = check_pool(1);
    cfut_future *ending;
    CHECK_OK(cfut_submit(pool, ending_task, &place, sizeof place, &ending));
    latch_wait(&stage.entered);
    CHECK_OK(cfut_submit(pool, nothing_task, NULL, 0, left));
    fail_threads(1, failures);
    latch_open(&stage.open);
    CHECK_STATUS(cfut_future_wait(ending, CFUT_FOREVER), CFUT_FAILED);
    cfut_future_release(ending);
    latch_wait(&made); /* it has been tried to replace the worker */
    CHECK_SOON(failures != INT32_MAX || check_stat(pool, CFUT_STAT_WORKERS) == 0);
    return pool;
}

/* The only worker has gone, with work left, and cannot be replaced: the next submit finds one
 * again. */
static void next_submit_replaces_a_worker(void)
{
    cfut_future *left;
    cfut_executor *pool = pool_without_worker(&left, INT32_MAX);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESYS);
    none_fails();
    run_one(pool);
    CHECK_OK(cfut_future_wait(left, CFUT_FOREVER));
    cfut_future_release(left);
    check_close(pool);
}

/* ... and so does a shutdown. */
static void shutdown_replaces_a_worker(void)
{
    cfut_future *left;
    cfut_executor *pool = pool_without_worker(&left, INT32_MAX);
    none_fails();
    check_close(pool);
    CHECK_OK(cfut_future_wait(left, CFUT_NOW));
    cfut_future_release(left);
}

/* If there is none to be had even then, what is left is BROKEN: it was promised an end. */
static void shutdown_without_threads(void)
{
    cfut_future *left;
    cfut_executor *pool = pool_without_worker(&left, INT32_MAX);
    check_close(pool);
    CHECK_STATUS(cfut_future_wait(left, CFUT_NOW), CFUT_BROKEN);
    CHECK(strstr(cfut_future_message(left), "thread") != NULL);
    cfut_future_release(left);
    none_fails();
}

/* The system had none for a moment: somebody has to try again, though nobody submits. */
static void replacement_fails_for_a_moment(void)
{
    cfut_future *left;
    cfut_executor *pool = pool_without_worker(&left, 1);
    CHECK_OK(cfut_future_wait(left, CFUT_FOREVER));
    cfut_future_release(left);
    check_close(pool);
}

/* ---- limits of the system ---- */

/* The system itself refuses: not for root, so this child is nobody. */
static void without_processes(void)
{
    cfut_executor *pool = check_pool(2);
    if (geteuid() == 0) {
        CHECK_EQ(setgroups(0, NULL), 0);
        CHECK_EQ(setresgid(65534, 65534, 65534), 0);
        CHECK_EQ(setresuid(65534, 65534, 65534), 0);
    }
    child_limit(RLIMIT_NPROC, 0);
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESYS, "thread");
    CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_ESYS, "0 of 2");
    check_close(pool);
}

static void limit_of_processes(void)
{
    child_run(without_processes);
}

static rlim_t descriptors;

static void with_few_descriptors(void)
{
    cfut_executor *pool;
    cfut_queue *queue;
    cfut_future *future;
    int fd = -1;
    cfut_status status;
    child_limit(RLIMIT_NOFILE, descriptors);
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    CHECK(cfut_cpu_count() >= 1);
    CHECK_OK(cfut_queue_new(&queue));
    for (int i = 0; i < 3; i++) {
        status = cfut_queue_fd(queue, &fd);
        CHECK(status == CFUT_OK || status == CFUT_ESYS);
        CHECK((fd >= 0) == (status == CFUT_OK));
        CHECK_OK(cfut_submit(pool, nap_task, NULL, 0, &future));
        CHECK_OK(cfut_queue_add(queue, future, 1));
        cfut_future_release(future);
        CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &future, NULL));
        cfut_future_release(future);
    }
    child_limit(RLIMIT_NOFILE, 64); /* better now */
    CHECK_OK(cfut_queue_fd(queue, &fd));
    cfut_queue_release(queue);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

static void limit_of_descriptors(void)
{
    for (descriptors = 0; descriptors < 12; descriptors++)
        child_run(with_few_descriptors);
}

/* Address space in use, in bytes. */
static size_t space_in_use(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;
    CHECK(file != NULL);
    CHECK_EQ(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t space_left;

static bool is_shortage(cfut_status status)
{
    return status == CFUT_ENOMEM || status == CFUT_ESYS;
}

/* Submits of growing size until the end; what is accepted is done. */
static void with_little_space(void)
{
    static char data[1 << 20];
    cfut_executor *pool = NULL;
    cfut_future *futures[64];
    int accepted = 0;
    cfut_status status;
    child_limit(RLIMIT_AS, space_in_use() + space_left);
    status = cfut_thread_pool_new(NULL, &pool);
    if (status != CFUT_OK) {
        CHECK(is_shortage(status));
        return;
    }
    for (int i = 0; i < 64; i++) {
        status = cfut_submit(pool, nothing_task, data, (size_t)1 << (i % 20), &futures[accepted]);
        CHECK(status == CFUT_OK || is_shortage(status));
        accepted += status == CFUT_OK;
    }
    status = cfut_executor_warm(pool, CFUT_FOREVER);
    CHECK(status == CFUT_OK || is_shortage(status));
    for (int i = 0; i < accepted; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        cfut_future_release(futures[i]);
    }
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
}

static void limit_of_address_space(void)
{
    for (space_left = 0; space_left < (size_t)24 << 20; space_left += 300000)
        child_run(with_little_space);
}

/* More than 2^31 items, and no memory for so many tasks: refused whole. */
static void with_many_items(void)
{
    const size_t count = ((size_t)1 << 31) + 10;
    cfut_executor *pool;
    cfut_task *task;
    char *items = mmap(NULL, count, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cfut_future **futures = mmap(NULL, count * sizeof *futures, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(items != MAP_FAILED);
    CHECK(futures != MAP_FAILED);
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    CHECK_OK(cfut_task_new(nothing_task, &task));
    run_one(pool);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    child_limit(RLIMIT_AS, space_in_use() + ((size_t)100 << 20));
    CHECK_STATUS(cfut_submit_many(pool, task, items, 1, count, futures), CFUT_ENOMEM);
    CHECK_STATUS(cfut_submit_many(pool, task, items, 1, count, NULL), CFUT_ENOMEM);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 1);
    run_one(pool);
    CHECK_OK(cfut_submit_many(pool, task, items, 1, 100000, NULL));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 100002);
    cfut_task_free(task);
    cfut_executor_release(pool);
}

static void more_items_than_memory(void)
{
    child_run(with_many_items);
}

/* A stack that is larger than what there is. */
static void stack_too_large(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_STACK_SIZE, INT64_C(1) << 40));
    child_limit(RLIMIT_AS, space_in_use() + ((size_t)1 << 30));
    pool = check_pool_with(options);
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_ESYS, "thread");
    check_close(pool);
}

/* Very many threads, with small stacks; then one call ends them all. */
static void many_threads(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool;
    cfut_status status;
    int64_t workers;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 1000));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_STACK_SIZE, 65536));
    pool = check_pool_with(options);
    status = cfut_executor_warm(pool, CFUT_FOREVER);
    CHECK(status == CFUT_OK || status == CFUT_ESYS);
    workers = check_stat(pool, CFUT_STAT_WORKERS);
    CHECK(workers > 0 && (workers == 1000 || status == CFUT_ESYS));
    run_one(pool);
    check_close(pool);
}

CHECK_MAIN(CASE(not_one_thread), CASE(end_without_threads),
           CASE(quiet_without_threads), CASE(refused_is_not_counted), CASE(refused_batch_writes_nothing), CASE(works_with_fewer),
           CASE(one_of_them_fails), CASE(no_thread_for_time_outs), CASE(nobody_to_stand_in),
           CASE(next_submit_replaces_a_worker), CASE(shutdown_replaces_a_worker),
           CASE(shutdown_without_threads), CASE(replacement_fails_for_a_moment),
           CASE(limit_of_processes), CASE(limit_of_descriptors), CASE(limit_of_address_space),
           CASE(more_items_than_memory), CASE(stack_too_large), CASE(many_threads))
