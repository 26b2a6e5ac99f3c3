/* What one task costs, as work that can be counted: rounds of submit, run, wait, release.
 *
 *     task MODE ROUNDS TASKS
 *
 * The counting is done from outside (callgrind, a count of mallocs, a count of futex calls), by
 * running this twice with different ROUNDS: what start and end cost is in both, and goes away in
 * the difference.
 *
 * MODE  gated    the one worker is held while TASKS tasks are queued, then runs them all: no
 *                thread sleeps or looks for work meanwhile, so the count repeats
 *       flow     the worker runs beside the producer, as in a program
 *       result   as gated, with a number as argument and another as result, which is read
 *       detached as gated, without futures: fire and forget
 *       many     as gated, by cfut_submit_many()
 *       nested   a task submits TASKS tasks and waits for each
 *       loop     TASKS parallel loops, each over a hundred numbers, in which the worker has no part
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfutures.h"

static cfut_executor *pool;
static cfut_future **futures;
static size_t tasks;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void must(int good, const char *what)
{
    if (!good) {
        char why[200];
        cfut_last_error(why, sizeof why);
        fprintf(stderr, "task: %s: %s\n", what, why);
        exit(2);
    }
}

static int32_t empty(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    return 0;
}

static int32_t twice(cfut_promise *promise, const void *data, size_t len)
{
    uint64_t n;
    memcpy(&n, data, len);
    n *= 2;
    return cfut_promise_set_bytes(promise, &n, sizeof n);
}

/* Holds the worker until the main thread has queued its tasks. */
static int32_t hold(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return 0;
}

static void submit_each(cfut_task_fn fn)
{
    for (uint64_t i = 0; i < tasks; i++)
        must(cfut_submit(pool, fn, &i, sizeof i, &futures[i]) == CFUT_OK, "submit");
}

static void submit_all(void)
{
    submit_each(empty);
}

static void submit_numbers(void)
{
    submit_each(twice);
}

static void submit_many(void)
{
    static cfut_task *task;
    static uint64_t *items;
    if (!task) {
        must(cfut_task_new(empty, &task) == CFUT_OK, "task");
        must((items = calloc(tasks, sizeof *items)) != NULL, "memory");
    }
    must(cfut_submit_many(pool, task, items, sizeof *items, tasks, futures) == CFUT_OK, "many");
}

static void wait_and_release(cfut_future *future)
{
    must(cfut_future_wait(future, CFUT_FOREVER) == CFUT_OK, "wait");
    cfut_future_release(future);
}

/* Waits for the last one first, so that the collecting thread sleeps once a round at most. */
static void collect_all(void)
{
    must(cfut_future_wait(futures[tasks - 1], CFUT_FOREVER) == CFUT_OK, "wait");
    for (size_t i = 0; i < tasks; i++)
        wait_and_release(futures[i]);
}

static void collect_numbers(void)
{
    must(cfut_future_wait(futures[tasks - 1], CFUT_FOREVER) == CFUT_OK, "wait");
    for (uint64_t i = 0; i < tasks; i++) {
        uint64_t n;
        must(cfut_future_wait(futures[i], CFUT_FOREVER) == CFUT_OK, "wait");
        memcpy(&n, cfut_future_bytes(futures[i], NULL), sizeof n);
        must(n == 2 * i, "result");
        cfut_future_release(futures[i]);
    }
}

static void collect_none(void) {}

static int32_t parent(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    submit_all();
    collect_all();
    return 0;
}

static void gated_round(void (*submit)(void), void (*collect)(void))
{
    cfut_future *held, *last;
    pthread_mutex_lock(&gate);
    must(cfut_submit(pool, hold, NULL, 0, &held) == CFUT_OK, "submit");
    while (cfut_future_state(held) == CFUT_STATE_PENDING)
        sched_yield();
    submit();
    must(cfut_submit(pool, empty, NULL, 0, &last) == CFUT_OK, "submit");
    pthread_mutex_unlock(&gate);
    wait_and_release(last);
    collect();
    wait_and_release(held);
}

static void submit_detached(void)
{
    for (uint64_t i = 0; i < tasks; i++)
        must(cfut_submit(pool, empty, &i, sizeof i, NULL) == CFUT_OK, "submit");
}

static int32_t count_range(cfut_promise *promise, size_t begin, size_t end, void *sum)
{
    (void)promise;
    *(size_t *)sum += end - begin;
    return 0;
}

/* In a task, for a pool of one worker runs them there. */
static int32_t loops(cfut_promise *promise, const void *data, size_t len)
{
    (void)promise, (void)data, (void)len;
    for (size_t i = 0; i < tasks; i++) {
        cfut_future *future;
        size_t sum = 0;
        must(cfut_parallel_for(pool, 100, 0, count_range, &sum, NULL, &future) == CFUT_OK, "loop");
        wait_and_release(future);
        must(sum == 100, "sum");
    }
    return 0;
}

static void one_round(const char *mode)
{
    if (!strcmp(mode, "gated")) {
        gated_round(submit_all, collect_all);
    } else if (!strcmp(mode, "result")) {
        gated_round(submit_numbers, collect_numbers);
    } else if (!strcmp(mode, "detached")) {
        gated_round(submit_detached, collect_none);
    } else if (!strcmp(mode, "many")) {
        gated_round(submit_many, collect_all);
    } else if (!strcmp(mode, "flow")) {
        submit_all();
        collect_all();
    } else if (!strcmp(mode, "nested") || !strcmp(mode, "loop")) {
        cfut_future *future;
        cfut_task_fn fn = *mode == 'n' ? parent : loops;
        must(cfut_submit(pool, fn, NULL, 0, &future) == CFUT_OK, "submit");
        wait_and_release(future);
    } else {
        fprintf(stderr, "task: no mode %s\n", mode);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: task gated|result|flow|detached|many|nested|loop ROUNDS TASKS\n");
        return 2;
    }
    long rounds = atol(argv[2]);
    tasks = (size_t)atol(argv[3]);
    futures = calloc(tasks, sizeof *futures);
    must(futures != NULL, "memory");
    cfut_options *options = cfut_options_new();
    must(options != NULL, "options");
    must(cfut_options_set(options, CFUT_OPT_WORKERS, 1) == CFUT_OK, "workers");
    must(cfut_thread_pool_new(options, &pool) == CFUT_OK, "pool");
    cfut_options_free(options);
    for (long i = 0; i < rounds; i++)
        one_round(argv[1]);
    must(cfut_executor_shutdown(pool, 0, CFUT_FOREVER) == CFUT_OK, "shutdown");
    cfut_executor_release(pool);
    free(futures);
    return 0;
}
