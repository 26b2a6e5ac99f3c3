/* The threads of a pool: when they start and leave, what runs in them first and last, and what
 * they look like to the system. */
#include "parts.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- numbers ---- */

static void threads_start_lazily(void)
{
    cfut_executor *pool = check_pool(8);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0);
    for (int i = 0; i < 100; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    CHECK(check_stat(pool, CFUT_STAT_WORKERS) >= 1);
    check_close(pool);
}

/* Nothing more is submitted once they stand: the pool finds out by itself that they block. */
static void blocked_tasks_get_more_threads(void)
{
    cfut_executor *pool = check_pool(24);
    gate gate = GATE_CLOSED, *data = &gate;
    for (int i = 0; i < 24; i++)
        CHECK_OK(cfut_submit(pool, gate_task, &data, sizeof data, NULL));
    latch_wait_for(&gate.entered, 24);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 24);
    CHECK_SOON(check_stat(pool, CFUT_STAT_RUNNING) == 24);
    latch_open(&gate.open);
    check_close(pool);
}

static void never_more_threads_than_asked_for(void)
{
    cfut_executor *pool = check_pool(3);
    gate gate = GATE_CLOSED, *data = &gate;
    for (int i = 0; i < 20; i++)
        CHECK_OK(cfut_submit(pool, gate_task, &data, sizeof data, NULL));
    latch_wait_for(&gate.entered, 3);
    check_sleep(CFUT_MSEC(20));
    CHECK_EQ(latch_count(&gate.entered), 3);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 3);
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 17);
    CHECK(check_stat(pool, CFUT_STAT_OLDEST_QUEUED_NS) >= CFUT_MSEC(10));
    latch_open(&gate.open);
    check_close(pool);
}

static int32_t compute(cfut_promise *self, const void *data, size_t length)
{
    int64_t end = check_now() + CFUT_MSEC(2);
    (void)self;
    (void)data;
    (void)length;
    while (check_now() < end) {
    }
    return 0;
}

/* They would only take each other's time. */
static void computing_tasks_get_no_more_threads_than_processors(void)
{
    cfut_executor *pool = check_pool(64);
    for (int i = 0; i < 100; i++)
        CHECK_OK(cfut_submit(pool, compute, NULL, 0, NULL));
    CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    /* A few more are started if the machine lets none of them run for long. */
    CHECK(check_stat(pool, CFUT_STAT_WORKERS_STARTED) <= cfut_cpu_count() + 8);
    check_close(pool);
}

static void idle_workers_leave(void)
{
    cfut_options *options = options_with(6, CFUT_OPT_IDLE_NS, CFUT_MSEC(20));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_MIN_WORKERS, 2));
    cfut_executor *pool = check_pool_with(options);
    for (int round = 1; round <= 2; round++) {
        gate gate = GATE_CLOSED, *data = &gate;
        for (int i = 0; i < 6; i++)
            CHECK_OK(cfut_submit(pool, gate_task, &data, sizeof data, NULL));
        latch_wait_for(&gate.entered, 6);
        latch_open(&gate.open);
        CHECK_SOON(check_stat(pool, CFUT_STAT_WORKERS) == 2);
        check_sleep(CFUT_MSEC(60));
        CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 2); /* the minimum stays */
    }
    CHECK(check_stat(pool, CFUT_STAT_WORKERS_STARTED) >= 10);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static void idle_workers_all_leave_by_default(void)
{
    cfut_executor *pool = check_pool_with(options_with(2, CFUT_OPT_IDLE_NS, CFUT_MSEC(10)));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(end_of(submit_nothing(pool)));
        CHECK_SOON(check_stat(pool, CFUT_STAT_WORKERS) == 0);
    }
    check_close(pool);
}

static void minimum_above_the_maximum(void)
{
    cfut_options *options = options_with(2, CFUT_OPT_MIN_WORKERS, 3);
    cfut_executor *pool = NULL;
    CHECK_ERROR(cfut_thread_pool_new(options, &pool), CFUT_EINVAL, "CFUT_OPT_MIN_WORKERS");
    CHECK(pool == NULL);
    cfut_options_free(options);
}

static void options_are_copied(void)
{
    cfut_options *options = options_of(3);
    cfut_executor *pools[2];
    CHECK_OK(cfut_thread_pool_new(options, &pools[0]));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_WORKERS, 5));
    CHECK_OK(cfut_thread_pool_new(options, &pools[1]));
    cfut_options_free(options);
    CHECK_EQ(check_stat(pools[0], CFUT_STAT_MAX_WORKERS), 3);
    CHECK_EQ(check_stat(pools[1], CFUT_STAT_MAX_WORKERS), 5);
    for (int i = 0; i < 2; i++)
        check_close(check_watch(pools[i]));
}

/* ---- warm ---- */

static void warm_starts_them_all(void)
{
    cfut_executor *pool = check_pool(9);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 9);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER)); /* again: nothing to do */
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 9);
    CHECK_SOON(check_stat(pool, CFUT_STAT_IDLE_WORKERS) == 9);
    check_close(pool);
}

static cfut_executor *pool_with_initializer(int64_t workers, cfut_task_fn fn, const void *data,
                                            size_t length)
{
    cfut_options *options = options_of(workers);
    cfut_task *task = task_of(fn);
    CHECK_OK(cfut_options_set_initializer(options, task, data, length));
    cfut_task_free(task);
    return check_pool_with(options);
}

static void warm_waits_for_the_initializers(void)
{
    gate gate = GATE_CLOSED, *data = &gate;
    cfut_executor *pool = pool_with_initializer(3, gate_task, &data, sizeof data);
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_MSEC(5)), CFUT_TIMEOUT);
    latch_wait_for(&gate.entered, 3);
    latch_open(&gate.open);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    check_close(pool);
}

static int32_t fail_to_start(cfut_promise *self, const void *data, size_t length)
{
    (void)data;
    (void)length;
    return cfut_promise_fail(self, 77, "no display");
}

static void warm_tells_of_a_failure(void)
{
    cfut_executor *pool = pool_with_initializer(2, fail_to_start, NULL, 0);
    CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN, "no display");
    CHECK_ERROR(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_BROKEN, "no display");
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 1);
    check_close(pool);
}

/* ---- initializers ---- */

static void initializer_data_is_copied(void)
{
    atomic_int ran = 0, *data = &ran;
    cfut_executor *pool = pool_with_initializer(4, count_task, &data, sizeof data);
    data = NULL;
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(ran, 4);
    check_close(pool);
}

static void initializer_can_be_removed(void)
{
    cfut_options *options = options_of(1);
    cfut_task *task = task_of(fail_to_start);
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    CHECK_OK(cfut_options_set_initializer(options, NULL, NULL, 0));
    cfut_task_free(task);
    cfut_executor *pool = check_pool_with(options);
    CHECK_OK(end_of(submit_nothing(pool)));
    check_close(pool);
}

static int32_t return_5(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    return 5;
}

static void initializer_that_returns_a_code(void)
{
    cfut_executor *pool = pool_with_initializer(1, return_5, NULL, 0);
    CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN, "5");
    check_close(pool);
}

static int32_t detach(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    return CFUT_DETACH;
}

static void initializer_must_not_detach(void)
{
    cfut_executor *pool = pool_with_initializer(1, detach, NULL, 0);
    CHECK_ERROR(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN, "CFUT_DETACH");
    check_close(pool);
}

/* ---- hooks ---- */

struct hooked {
    atomic_int started, stopped, freed;
    cfut_executor *executor;
    int32_t answer;
};

static _Thread_local int hook_state;

static int32_t hook_start(void *arg, uint32_t worker)
{
    struct hooked *hooked = arg;
    CHECK(worker < 3);
    CHECK_EQ(hook_state, 0);
    hook_state = 1 + (int)worker;
    atomic_fetch_add(&hooked->started, 1);
    return hooked->answer;
}

static int32_t hook_stop(void *arg, uint32_t worker)
{
    struct hooked *hooked = arg;
    CHECK_EQ(hook_state, 1 + (int)worker); /* in the same thread */
    atomic_fetch_add(&hooked->stopped, 1);
    return 99; /* does not matter */
}

static void hook_free(void *arg)
{
    atomic_fetch_add(&((struct hooked *)arg)->freed, 1);
}

static int32_t see_hook(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    CHECK(hook_state != 0); /* after the hook, and so the initializer as well */
    return 0;
}

static cfut_options *hooked_options(struct hooked *hooked)
{
    cfut_options *options = options_of(3);
    CHECK_OK(cfut_options_set_worker_hooks(options, hook_start, hook_stop, hooked, hook_free));
    return options;
}

static void hooks_run_first_and_last(void)
{
    struct hooked hooked = { 0, 0, 0, NULL, 0 };
    cfut_options *options = hooked_options(&hooked);
    cfut_task *task = task_of(see_hook);
    CHECK_OK(cfut_options_set_initializer(options, task, NULL, 0));
    cfut_task_free(task);
    cfut_executor *pool = check_pool_with(options);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    for (int i = 0; i < 50; i++)
        CHECK_OK(end_of(submit(pool, see_hook, NULL, 0)));
    CHECK_EQ(hooked.started, 3);
    CHECK_EQ(hooked.stopped, 0);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(hooked.stopped, 3);
    check_close(pool);
    CHECK_EQ(hooked.freed, 1);
}

static void hooks_of_idle_workers_that_leave(void)
{
    struct hooked hooked = { 0, 0, 0, NULL, 0 };
    cfut_options *options = hooked_options(&hooked);
    CHECK_OK(cfut_options_set(options, CFUT_OPT_IDLE_NS, CFUT_MSEC(5)));
    cfut_executor *pool = check_pool_with(options);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_SOON(atomic_load(&hooked.stopped) >= 3);
    check_close(pool);
    CHECK_EQ(hooked.stopped, hooked.started);
}

static void hook_that_fails_breaks_the_pool(void)
{
    struct hooked hooked = { 0, 0, 0, NULL, 8 };
    cfut_executor *pool = check_pool_with(hooked_options(&hooked));
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_BROKEN);
    check_close(pool);
    CHECK_EQ(hooked.stopped, 0); /* not called for those that did not start */
    CHECK_EQ(hooked.freed, 1);
}

static void hook_argument_is_freed_with_the_last_user(void)
{
    struct hooked first = { 0, 0, 0, NULL, 0 }, second = { 0, 0, 0, NULL, 0 };
    cfut_options *options = hooked_options(&first);
    cfut_executor *pool;
    CHECK_OK(cfut_thread_pool_new(options, &pool));
    CHECK_OK(cfut_options_set_worker_hooks(options, hook_start, hook_stop, &second, hook_free));
    CHECK_EQ(first.freed, 0); /* the pool still has it */
    check_close(check_watch(pool));
    CHECK_EQ(first.freed, 1);
    CHECK_EQ(second.freed, 0);
    cfut_options_free(options);
    CHECK_EQ(second.freed, 1);
    CHECK_STATUS(cfut_options_set_worker_hooks(NULL, NULL, NULL, &second, hook_free), CFUT_EINVAL);
    CHECK_EQ(second.freed, 2); /* moved, also when the call fails */
}

static int32_t hook_current(void *arg, uint32_t worker)
{
    (void)worker;
    ((struct hooked *)arg)->executor = cfut_executor_current();
    return 0;
}

static void hooks_know_their_executor(void)
{
    struct hooked hooked = { 0, 0, 0, NULL, 0 };
    cfut_options *options = options_of(1);
    CHECK_OK(cfut_options_set_worker_hooks(options, hook_current, NULL, &hooked, NULL));
    cfut_executor *pool = check_pool_with(options);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK(hooked.executor == pool);
    check_close(pool);
}

/* ---- what the system sees ---- */

static int32_t tell_name(cfut_promise *self, const void *data, size_t length)
{
    char name[16] = "";
    (void)data;
    (void)length;
    CHECK_EQ(prctl(PR_GET_NAME, name), 0);
    return cfut_promise_set_bytes(self, name, strlen(name) + 1);
}

static void expect_thread_name(const char *given, const char *wanted)
{
    cfut_options *options = options_of(1);
    if (given != NULL)
        CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, given));
    cfut_executor *pool = check_pool_with(options);
    cfut_future *future = submit(pool, tell_name, NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_TEXT(cfut_future_bytes(future, NULL), wanted);
    cfut_future_release(future);
    check_close(pool);
}

static void names_of_threads(void)
{
    expect_thread_name(NULL, "cfut-0");
    expect_thread_name("loader", "loader-0");
    expect_thread_name("exactly-13-ch", "exactly-13-ch-0");
    expect_thread_name("a name that is too long", "a name that i-0"); /* the name is cut */
}

static int32_t tell_stack(cfut_promise *self, const void *data, size_t length)
{
    pthread_attr_t attributes;
    void *address;
    size_t size;
    (void)data;
    (void)length;
    CHECK_EQ(pthread_getattr_np(pthread_self(), &attributes), 0);
    CHECK_EQ(pthread_attr_getstack(&attributes, &address, &size), 0);
    pthread_attr_destroy(&attributes);
    return cfut_promise_set_bytes(self, &size, sizeof size);
}

static void stack_size(void)
{
    static const int64_t sizes[] = { 65536, 1 << 20, 64 << 20 };
    for (int i = 0; i < 3; i++) {
        cfut_executor *pool = check_pool_with(options_with(1, CFUT_OPT_STACK_SIZE, sizes[i]));
        cfut_future *future = submit(pool, tell_stack, NULL, 0);
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        CHECK(integer_of(future) >= sizes[i]);
        CHECK(integer_of(future) < sizes[i] + (1 << 20));
        cfut_future_release(future);
        check_close(pool);
    }
    cfut_options *options = options_of(1);
    CHECK_ERROR(cfut_options_set(options, CFUT_OPT_STACK_SIZE, 65535), CFUT_EINVAL, "65536");
    CHECK_OK(cfut_options_set(options, CFUT_OPT_STACK_SIZE, 0)); /* the system's default */
    check_close(check_pool_with(options));
}

static int32_t tell_nice(cfut_promise *self, const void *data, size_t length)
{
    int64_t nice;
    (void)data;
    (void)length;
    errno = 0;
    nice = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
    CHECK_EQ(errno, 0);
    return cfut_promise_set_bytes(self, &nice, sizeof nice);
}

static void nice_value_of_the_workers_alone(void)
{
    int before = getpriority(PRIO_PROCESS, 0);
    if (before > 18)
        return; /* nothing nicer is left */
    cfut_executor *pool = check_pool_with(options_with(1, CFUT_OPT_NICE, 19));
    cfut_future *future = submit(pool, tell_nice, NULL, 0);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(integer_of(future), 19);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), before);
    cfut_future_release(future);
    check_close(pool);
}

static int32_t tell_signals(cfut_promise *self, const void *data, size_t length)
{
    sigset_t blocked;
    (void)data;
    (void)length;
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    return cfut_promise_set_bytes(self, &blocked, sizeof blocked);
}

static void signals_are_left_to_the_host(void)
{
    static const int host[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, SIGALRM, SIGPIPE };
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    cfut_executor *pool = check_pool(1);
    cfut_future *future = submit(pool, tell_signals, NULL, 0);
    sigset_t blocked, mine;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    memcpy(&blocked, cfut_future_bytes(future, NULL), sizeof blocked);
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++)
        CHECK(sigismember(&blocked, host[i]) == 1);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        CHECK(sigismember(&blocked, faults[i]) == 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &mine), 0);
    CHECK(sigismember(&mine, SIGINT) == 0); /* the caller's mask is as it was */
    cfut_future_release(future);
    check_close(pool);
}

/* ---- figures ---- */

static void figures_add_up(void)
{
    cfut_executor *pool = check_pool(2);
    gate gate = GATE_CLOSED;
    cfut_future *futures[6];
    gate_hold(pool, &gate);
    gate_hold(pool, &gate);
    for (int i = 0; i < 6; i++)
        futures[i] = submit_code(pool, i % 2);
    CHECK_OK(cfut_future_cancel(futures[0], CFUT_CANCEL_PENDING));
    cfut_task *task = task_with(nothing_task, CFUT_TASK_QUEUE_TIMEOUT_NS, 0);
    CHECK_STATUS(end_of(submit_once(pool, task, NULL, 0)), CFUT_EXPIRED);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 9);
    CHECK_SOON(check_stat(pool, CFUT_STAT_RUNNING) == 2); /* figures may lag a moment */
    CHECK_SOON(check_stat(pool, CFUT_STAT_QUEUED) == 5);
    latch_open(&gate.open);
    for (int i = 0; i < 6; i++)
        CHECK(end_of(futures[i]) != CFUT_TIMEOUT);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 4);
    CHECK_EQ(check_stat(pool, CFUT_STAT_FAILED), 3);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CANCELLED), 1);
    CHECK_EQ(check_stat(pool, CFUT_STAT_EXPIRED), 1);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_RUNNING), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_OLDEST_QUEUED_NS), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 0);
    CHECK(check_stat(pool, CFUT_STAT_STOLEN) >= 0);
    check_close(pool);
}

/* ---- threads that end before their first task ---- */

static int32_t exit_thread(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
}

/* The pool breaks; it does not make threads for ever. */
static void expect_broken(cfut_executor *pool)
{
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN);
    CHECK_STATUS(cfut_submit(pool, nothing_task, NULL, 0, NULL), CFUT_BROKEN);
    CHECK(check_stat(pool, CFUT_STAT_WORKERS_STARTED) <= 2);
    check_close(pool);
}

static void initializer_that_ends_its_thread(void)
{
    expect_broken(pool_with_initializer(1, exit_thread, NULL, 0));
}

static int32_t exit_hook(void *arg, uint32_t worker)
{
    (void)arg;
    (void)worker;
    pthread_exit(NULL);
}

static void hook_that_ends_its_thread(void)
{
    cfut_options *options = options_of(1);
    CHECK_OK(cfut_options_set_worker_hooks(options, exit_hook, NULL, NULL, NULL));
    expect_broken(check_pool_with(options));
}

CHECK_MAIN(CASE(threads_start_lazily), CASE(blocked_tasks_get_more_threads),
           CASE(never_more_threads_than_asked_for),
           CASE(computing_tasks_get_no_more_threads_than_processors), CASE(idle_workers_leave),
           CASE(idle_workers_all_leave_by_default), CASE(minimum_above_the_maximum),
           CASE(options_are_copied), CASE(warm_starts_them_all),
           CASE(warm_waits_for_the_initializers), CASE(warm_tells_of_a_failure),
           CASE(initializer_data_is_copied), CASE(initializer_can_be_removed),
           CASE(initializer_that_returns_a_code), CASE(initializer_must_not_detach),
           CASE(hooks_run_first_and_last), CASE(hooks_of_idle_workers_that_leave),
           CASE(hook_that_fails_breaks_the_pool), CASE(hook_argument_is_freed_with_the_last_user),
           CASE(hooks_know_their_executor), CASE(names_of_threads), CASE(stack_size),
           CASE(nice_value_of_the_workers_alone), CASE(signals_are_left_to_the_host),
           CASE(figures_add_up), CASE(initializer_that_ends_its_thread),
           CASE(hook_that_ends_its_thread))
