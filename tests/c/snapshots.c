/* cfut_executor_snapshot() and cfut_executor_stat().
 *
 * What a case prints are snapshots, one a line; tests/it/snapshots.rs holds each to the schema in docs/.
 * "expect KEY VALUE" is about the last one, "task NAME STATE WORKER ATTEMPT" about one of its tasks, and
 * "worker STATE N" about its workers.
 */
#include "processes.h"

static char text[1 << 18];

/* Takes a snapshot, and prints it. */
static void show(cfut_executor *pool)
{
    size_t length;
    CHECK_OK(cfut_executor_snapshot(pool, text, sizeof text, &length));
    CHECK_EQ(strlen(text), length);
    puts(text);
}

static void expect(const char *key, int64_t value)
{
    printf("expect %s %lld\n", key, (long long)value);
}

/* ---- threads ---- */

static void threads_at_work(void)
{
    gate gate = GATE_CLOSED, *at = &gate;
    cfut_options *options = options_of(2);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, "a \"pool\"\n"));
    cfut_executor *pool = check_pool_with(options);
    show(pool);
    expect("workers_started", 0);
    cfut_future *first = submit_once(pool, task_named(gate_task, "a \"task\""), &at, sizeof at);
    latch_wait_for(&gate.entered, 1);
    cfut_future *second = submit(pool, gate_task, &at, sizeof at); /* nameless */
    latch_wait_for(&gate.entered, 2);
    cfut_task *low = task_named(nothing_task, "low");
    CHECK_OK(cfut_task_set(low, CFUT_TASK_PRIORITY, -1));
    cfut_future *third = submit_once(pool, low, NULL, 0);
    show(pool);
    expect("running", 2);
    expect("queued", 1);
    expect("submitted", 3);
    expect("tasks_omitted", 0);
    puts("task a \"task\" running - 1");
    puts("task - running - 1");
    puts("task low queued - 1");
    puts("worker running 2");
    latch_add(&gate.open, 1);
    CHECK_OK(end_of(first));
    CHECK_OK(end_of(second));
    CHECK_OK(end_of(third));
    CHECK_SOON(check_stat(pool, CFUT_STAT_IDLE_WORKERS) == 2);
    show(pool);
    expect("succeeded", 3);
    puts("worker idle 2");
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    show(pool);
    expect("workers_started", 2);
    puts("worker idle 0");
    check_close(pool);
}

struct nest {
    gate *gate;
    int32_t depth;
};

/* Task: runs another one on its own stack by waiting for it. */
static int32_t nest_task(cfut_promise *self, const void *data, size_t length)
{
    struct nest nest;
    (void)self;
    memcpy(&nest, data, length);
    if (--nest.depth == 0) {
        latch_open(&nest.gate->entered);
        latch_wait(&nest.gate->open);
        return 0;
    }
    char name[20];
    snprintf(name, sizeof name, "depth %d", (int)nest.depth);
    return end_of(submit_once(cfut_executor_current(), task_named(nest_task, name), &nest, sizeof nest));
}

static void tasks_that_run_tasks(void)
{
    gate gate = GATE_CLOSED;
    struct nest nest = { &gate, 3 };
    cfut_executor *pool = check_pool(1);
    cfut_future *outer = submit_once(pool, task_named(nest_task, "outer"), &nest, sizeof nest);
    latch_wait(&gate.entered);
    show(pool);
    expect("running", 3);
    puts("task outer running 0 1");
    puts("task depth 2 running 0 1");
    puts("task depth 1 running 0 1");
    latch_open(&gate.open);
    CHECK_OK(end_of(outer));
    check_close(pool);
}

static void many_are_counted(void)
{
    gate gate = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_task *task = task_named(nothing_task, "one of many");
    gate_hold(pool, &gate);
    for (int i = 0; i < 100000; i++)
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, NULL));
    cfut_task_free(task);
    show(pool);
    expect("queued", 100000);
    expect("tasks_omitted", 100001 - 256);
    latch_open(&gate.open);
    check_close(pool);
}

/* Submits `count` tasks with names, of which none is before the one before it. */
static void submit_a_row(cfut_executor *pool, const char *what, struct sequence *row, int count)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        struct member member = { row, i };
        snprintf(name, sizeof name, "%s%d", what, i);
        cfut_task *task = task_named(begin_in_turn, name);
        CHECK_OK(cfut_submit_task(pool, task, &member, sizeof member, NULL));
        cfut_task_free(task);
    }
}

/* What a worker has taken from the inbox while it was free, behind the task that it runs. */
static void taken_ahead_are_named(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        gate first = GATE_CLOSED, second = GATE_CLOSED, other = GATE_CLOSED, *at = &second;
        struct sequence row = NO_SEQUENCE;
        cfut_executor *pool = check_pool(workers);
        gate_hold(pool, &first);
        if (workers == 2)
            gate_hold(pool, &other);
        cfut_future *holder = submit(pool, gate_task, &at, sizeof at);
        submit_a_row(pool, "row-", &row, 100);
        latch_open(&first.open);
        latch_wait(&second.entered);
        CHECK_EQ(atomic_load(&row.next), 0);
        for (int again = 0; again < 2; again++) {
            show(pool);
            expect("queued", 100);
            expect("tasks_omitted", 0);
            for (int i = 0; i < 100; i++)
                printf("task row-%d queued - 1\n", i);
        }
        CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 101 + workers);
        latch_open(&second.open);
        CHECK_SOON(atomic_load(&row.next) == 100);
        CHECK_EQ(atomic_load(&row.wrong), 0); /* the other worker is held: one runs them all */
        latch_open(&other.open);
        CHECK_OK(end_of(holder));
        check_close(pool);
    }
}

struct parent {
    gate *gate;
    struct sequence *row;
};

/* Task: submits some, and stays. */
static int32_t submit_and_stay(cfut_promise *self, const void *data, size_t length)
{
    struct parent parent;
    (void)self;
    memcpy(&parent, data, length);
    submit_a_row(cfut_executor_current(), "child-", parent.row, 100);
    latch_open(&parent.gate->entered);
    latch_wait(&parent.gate->open);
    return 0;
}

static void tasks_of_tasks_are_named(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        gate gate = GATE_CLOSED, other = GATE_CLOSED;
        struct sequence row = NO_SEQUENCE;
        struct parent parent = { &gate, &row };
        cfut_executor *pool = check_pool(workers);
        if (workers == 2)
            gate_hold(pool, &other);
        cfut_future *future = submit(pool, submit_and_stay, &parent, sizeof parent);
        latch_wait(&gate.entered);
        show(pool);
        expect("queued", 100);
        expect("tasks_omitted", 0);
        for (int i = 0; i < 100; i++)
            printf("task child-%d queued - 1\n", i);
        CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 100 + workers);
        latch_open(&gate.open);
        latch_open(&other.open);
        CHECK_OK(end_of(future));
        check_close(pool);
        CHECK_EQ(atomic_load(&row.next), 100);
        if (workers == 1)
            CHECK_EQ(atomic_load(&row.wrong), 0);
    }
}

/* More than a snapshot shows, on their way through batches, deques and back. */
struct watched {
    cfut_executor *pool;
    atomic_int over, looks;
};

static void *look_again_and_again(void *arg)
{
    struct watched *watched = arg;
    static char here[1 << 18];
    size_t length;
    while (!atomic_load(&watched->over)) {
        CHECK_OK(cfut_executor_snapshot(watched->pool, here, sizeof here, &length));
        atomic_fetch_add(&watched->looks, 1);
    }
    return NULL;
}

/* Task: its data is a counter; submits two more that only count. */
static int32_t count_and_submit(cfut_promise *self, const void *data, size_t length)
{
    CHECK_OK(cfut_submit(cfut_executor_current(), count_task, data, length, NULL));
    CHECK_OK(cfut_submit(cfut_executor_current(), count_task, data, length, NULL));
    return count_task(self, data, length);
}

static void looks_lose_nothing(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        struct sequence sequence = NO_SEQUENCE;
        atomic_int count = 0, *counter = &count;
        cfut_executor *pool = check_pool(workers);
        struct watched watched = { pool, 0, 0 };
        pthread_t thread = thread_start(look_again_and_again, &watched);
        for (int i = 0; i < 20000; i++) {
            struct member member = { &sequence, i };
            CHECK_OK(cfut_submit(pool, begin_in_turn, &member, sizeof member, NULL));
            if (i % 4 == 0)
                CHECK_OK(cfut_submit(pool, count_and_submit, &counter, sizeof counter, NULL));
            if (i % 1000 == 999) {
                CHECK_OK(cfut_quiesce(CFUT_FOREVER));
                CHECK_EQ(atomic_load(&sequence.next), i + 1);
                CHECK_EQ(atomic_load(&count), 3 * ((i + 1) / 4));
            }
        }
        CHECK_SOON(atomic_load(&watched.looks) > 10);
        CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
        atomic_store(&watched.over, 1);
        thread_join(thread);
        CHECK_EQ(atomic_load(&count), 15000);
        CHECK_EQ(atomic_load(&sequence.next), 20000);
        if (workers == 1)
            CHECK_EQ(atomic_load(&sequence.wrong), 0);
        CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 35000);
        CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 35000);
        check_close(pool);
    }
}

/* One that is shut down goes on naming what it has; one that settles it has nothing. */
static void closing_pools_name_what_they_have(void)
{
    gate first = GATE_CLOSED, second = GATE_CLOSED, *at = &second;
    struct sequence row = NO_SEQUENCE;
    cfut_executor *pool = check_pool(1);
    gate_hold(pool, &first);
    cfut_future *holder = submit(pool, gate_task, &at, sizeof at);
    submit_a_row(pool, "row-", &row, 10);
    latch_open(&first.open);
    latch_wait(&second.entered);
    CHECK_STATUS(cfut_executor_shutdown(pool, 0, CFUT_NOW), CFUT_TIMEOUT);
    show(pool);
    expect("queued", 10);
    expect("tasks_omitted", 0);
    puts("task row-0 queued - 1");
    puts("task row-9 queued - 1");
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    show(pool);
    expect("queued", 0);
    expect("cancelled", 10);
    latch_open(&second.open);
    CHECK_OK(end_of(holder));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(atomic_load(&row.next), 0);
    cfut_executor_release(pool);
}

static void detached_and_broken(void)
{
    struct detached detached = { LATCH_CLOSED, NULL }, *data = &detached;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = submit(pool, detach_task, &data, sizeof data);
    latch_wait(&detached.kept);
    CHECK_SOON(check_stat(pool, CFUT_STAT_IDLE_WORKERS) == 1);
    show(pool);
    expect("detached", 1);
    expect("running", 1);
    expect("tasks_omitted", 1); /* nobody has it */
    CHECK_OK(cfut_promise_set_bytes(detached.promise, "x", 1));
    cfut_promise_release(detached.promise);
    CHECK_OK(end_of(future));
    check_close(pool);
    cfut_options *options = options_of(1);
    int32_t code = 9;
    cfut_task *task = task_of(return_task);
    CHECK_OK(cfut_options_set_initializer(options, task, &code, sizeof code));
    cfut_task_free(task);
    pool = check_pool_with(options);
    CHECK_STATUS(cfut_executor_warm(pool, CFUT_FOREVER), CFUT_BROKEN);
    show(pool);
    CHECK(strstr(text, "failed with code 9") != NULL);
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 1);
    check_close(pool);
}

/* ---- processes ---- */

static void processes_at_work(void)
{
    cfut_executor *pool = check_process_pool(2);
    cfut_future *busy[2] = { submit_call_once(pool, task_named(stand_task, "first"), 0, 0),
                             submit_call_once(pool, task_named(stand_task, "second"), 0, 0) };
    cfut_future *queued[300];
    entered(0, 2);
    for (int i = 0; i < 300; i++)
        queued[i] = submit_once(pool, task_named(nothing_task, "queued"), NULL, 0);
    show(pool);
    expect("running", 2);
    expect("queued", 300);
    expect("tasks_omitted", 302 - 256);
    puts("task first running + 1");
    puts("task second running + 1");
    puts("task queued queued - 1");
    puts("worker running 2");
    open_gate(0);
    for (int i = 0; i < 300; i++)
        CHECK_OK(end_of(queued[i]));
    CHECK_OK(end_of(busy[0]));
    CHECK_OK(end_of(busy[1]));
    show(pool);
    expect("succeeded", 302);
    puts("worker idle 2");
    check_close(pool);
}

/* The second run of a task is told from the first. */
static void attempts_in_processes(void)
{
    cfut_executor *pool = check_process_pool(1);
    cfut_task *task = task_named(die_task, "again");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_ATTEMPTS, 2));
    cfut_future *future = submit_call_once(pool, task, 1, SIGKILL);
    entered(1, 1);
    show(pool);
    puts("task again running 0 1");
    CHECK_EQ(kill((pid_t)atomic_load(&board->gates[1].pid), SIGKILL), 0);
    entered(1, 2);
    show(pool);
    puts("task again running 0 2");
    open_gate(1);
    CHECK_STATUS(end_of(future), CFUT_CRASHED);
    check_close(pool);
}

/* ---- the call ---- */

/* What it needs is told whatever the room is; more may be needed the next time. */
/* ---- loops, views, commands ---- */

static void loops_with_work(void)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *loop = NULL;
    cfut_future *future;
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_NAME, "a loop"));
    CHECK_OK(cfut_loop_new(options, &loop));
    cfut_options_free(options);
    future = submit_once(loop, task_named(nothing_task, "waits"), NULL, 0);
    show(loop);
    expect("queued", 1);
    expect("tasks_omitted", 0);
    puts("task waits queued - 1");
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_NOW, NULL), CFUT_TIMEOUT);
    CHECK_OK(end_of(future));
    (void)cfut_executor_shutdown(loop, 0, CFUT_NOW);
    show(loop);
    expect("succeeded", 1);
    cfut_executor_release(loop);
}

/* Thread: runs a loop's tasks until its end. */
static void *run_to_the_end(void *loop)
{
    CHECK_STATUS(cfut_loop_run(loop, 0, CFUT_FOREVER, NULL), CFUT_END);
    return NULL;
}

/* Two threads run tasks, one of them two on one stack; who began first ends first. */
static void loops_name_what_they_run(void)
{
    gate gate = GATE_CLOSED, deep = GATE_CLOSED, *at = &gate;
    struct nest nest = { &deep, 2 };
    cfut_executor *loop = NULL;
    pthread_t threads[2];
    CHECK_OK(cfut_loop_new(NULL, &loop));
    cfut_future *first = submit_once(loop, task_named(gate_task, "first"), &at, sizeof at);
    CHECK_EQ(pthread_create(&threads[0], NULL, run_to_the_end, loop), 0);
    latch_wait(&gate.entered);
    cfut_future *outer = submit_once(loop, task_named(nest_task, "outer"), &nest, sizeof nest);
    CHECK_EQ(pthread_create(&threads[1], NULL, run_to_the_end, loop), 0);
    latch_wait(&deep.entered);
    cfut_future *last = submit_once(loop, task_named(nothing_task, "waits"), NULL, 0);
    show(loop);
    expect("running", 3);
    expect("tasks_omitted", 0);
    puts("task first running - 1");
    puts("task outer running - 1");
    puts("task depth 1 running - 1");
    puts("task waits queued - 1");
    latch_open(&gate.open);
    CHECK_OK(end_of(first));
    CHECK_OK(end_of(last));
    CHECK_SOON(check_stat(loop, CFUT_STAT_RUNNING) == 2);
    show(loop);
    expect("tasks_omitted", 0);
    puts("task outer running - 1");
    puts("task depth 1 running - 1");
    latch_open(&deep.open);
    CHECK_OK(end_of(outer));
    CHECK_OK(cfut_executor_shutdown(loop, 0, CFUT_FOREVER));
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    show(loop);
    expect("running", 0);
    cfut_executor_release(loop);
}

static void views_with_work(void)
{
    gate gate = GATE_CLOSED, *at = &gate;
    cfut_executor *pool = check_pool(2), *view = NULL;
    cfut_future *first, *second;
    CHECK_OK(cfut_limited_new(pool, 1, &view));
    first = submit_once(view, task_named(gate_task, "runs"), &at, sizeof at);
    second = submit_once(view, task_named(nothing_task, "waits"), NULL, 0);
    latch_wait_for(&gate.entered, 1);
    show(view);
    expect("max_workers", 1);
    expect("running", 1);
    expect("queued", 1);
    expect("tasks_omitted", 0);
    puts("task runs running - 1");
    puts("task waits queued - 1");
    latch_open(&gate.open);
    CHECK_OK(end_of(first));
    CHECK_OK(end_of(second));
    cfut_executor_release(view);
    check_close(pool);
}

/* They run beside the workers. */
static void commands_of_threads_and_processes(void)
{
    for (int processes = 0; processes < 2; processes++) {
        cfut_executor *pool = processes ? check_process_pool(1) : check_pool(1);
        cfut_task *task = NULL;
        cfut_future *first, *second = NULL;
        CHECK_OK(cfut_task_new_command("sleep", &task));
        CHECK_OK(cfut_task_add_arg(task, "1000"));
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &first));
        CHECK_SOON(cfut_future_state(first) == CFUT_STATE_RUNNING);
        CHECK_OK(cfut_task_set_text(task, CFUT_TASK_NAME, "the second"));
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &second));
        show(pool);
        expect("running", 1);
        expect("queued", 1);
        expect("tasks_omitted", 0);
        puts("task sleep running - 1");
        puts("task the second queued - 1");
        CHECK_OK(cfut_future_cancel(second, CFUT_CANCEL_PENDING));
        CHECK(cfut_future_cancel(first, CFUT_CANCEL_KILL) != CFUT_TOO_LATE);
        CHECK_STATUS(end_of(first), CFUT_CANCELLED);
        CHECK_STATUS(end_of(second), CFUT_CANCELLED);
        cfut_task_free(task);
        check_close(pool);
    }
}

static void length_is_told(void)
{
    cfut_executor *pool = check_pool(1);
    size_t needed = 0, again = 0;
    CHECK_OK(cfut_executor_snapshot(pool, NULL, 0, &needed));
    CHECK(needed > 100);
    for (size_t cap = 0; cap < needed + 2; cap += cap < 20 ? 1 : 37) {
        memset(text, 'z', needed + 10);
        CHECK_OK(cfut_executor_snapshot(pool, text, cap, &again));
        CHECK_EQ(again, needed); /* it is at rest */
        CHECK(cap == 0 || strlen(text) == (cap > needed ? needed : cap - 1));
        CHECK_EQ(text[cap], 'z');
    }
    check_close(pool);
}

struct crowd {
    cfut_executor *pool;
    atomic_int over;
};

static void *submit_for_long(void *arg)
{
    struct crowd *crowd = arg;
    cfut_task *task = task_named(echo_task, "one of a crowd");
    while (!atomic_load(&crowd->over)) {
        cfut_future *some[64];
        for (int i = 0; i < 64; i++)
            CHECK_OK(cfut_submit_task(crowd->pool, task, "x", 1, &some[i]));
        for (int i = 0; i < 64; i++) {
            if (i % 8 == 0)
                (void)cfut_future_cancel(some[i], CFUT_CANCEL_PENDING);
            cfut_future_release(some[i]);
        }
        CHECK_OK(cfut_quiesce(CFUT_FOREVER));
    }
    cfut_task_free(task);
    return NULL;
}

static void look_while_tasks_run(cfut_executor *pool)
{
    struct crowd crowd = { pool, 0 };
    pthread_t thread = thread_start(submit_for_long, &crowd);
    for (int i = 0; i < 300; i++) {
        size_t length;
        CHECK_OK(cfut_executor_snapshot(pool, text, sizeof text, &length));
        CHECK_EQ(strlen(text), length);
        for (int32_t key = CFUT_STAT_WORKERS; key <= CFUT_STAT_BROKEN; key++)
            CHECK(check_stat(pool, key) >= 0);
        if (i % 100 == 0)
            puts(text);
    }
    atomic_store(&crowd.over, 1);
    thread_join(thread);
    check_close(pool);
}

static void snapshots_while_threads_run(void)
{
    look_while_tasks_run(check_pool(3));
}

static void snapshots_while_processes_run(void)
{
    look_while_tasks_run(check_process_pool(2));
}

/* ---- statistics ---- */

static void same(cfut_executor *pool, int32_t key, int64_t value)
{
    CHECK_SOON(check_stat(pool, key) == value);
}

/* Each key, while something runs and waits, and when all is over. */
static void statistics_of_threads(void)
{
    gate gate = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    for (int32_t key = CFUT_STAT_WORKERS; key <= CFUT_STAT_BROKEN; key++)
        CHECK_EQ(check_stat(pool, key), key == CFUT_STAT_MAX_WORKERS ? 1 : 0);
    gate_hold(pool, &gate);
    cfut_future *waiting = submit_nothing(pool), *cancelled = submit_nothing(pool);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    cfut_future_release(cancelled);
    same(pool, CFUT_STAT_WORKERS, 1);
    same(pool, CFUT_STAT_IDLE_WORKERS, 0);
    same(pool, CFUT_STAT_QUEUED, 1);
    same(pool, CFUT_STAT_RUNNING, 1);
    same(pool, CFUT_STAT_SUBMITTED, 3);
    same(pool, CFUT_STAT_CANCELLED, 1);
    CHECK_SOON(check_stat(pool, CFUT_STAT_OLDEST_QUEUED_NS) > 1000000);
    latch_open(&gate.open);
    CHECK_OK(end_of(waiting));
    CHECK_STATUS(end_of(submit_code(pool, 3)), CFUT_FAILED);
    latch entered = LATCH_CLOSED, *at = &entered;
    cfut_task *task = task_with(obedient_task, CFUT_TASK_RUN_TIMEOUT_NS, 1000000);
    CHECK_STATUS(end_of(submit_once(pool, task, &at, sizeof at)), CFUT_EXPIRED);
    same(pool, CFUT_STAT_IDLE_WORKERS, 1);
    same(pool, CFUT_STAT_QUEUED, 0);
    same(pool, CFUT_STAT_RUNNING, 0);
    same(pool, CFUT_STAT_OLDEST_QUEUED_NS, 0);
    same(pool, CFUT_STAT_SUBMITTED, 5);
    same(pool, CFUT_STAT_SUCCEEDED, 2);
    same(pool, CFUT_STAT_FAILED, 1);
    same(pool, CFUT_STAT_EXPIRED, 1);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 1);
    CHECK_EQ(check_stat(pool, CFUT_STAT_CRASHED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 0);
    check_close(pool);
}

static int32_t spread_task(cfut_promise *self, const void *data, size_t length)
{
    atomic_int *met;
    cfut_future *other;
    (void)self;
    memcpy(&met, data, length);
    if (atomic_fetch_add(met, 1) > 0)
        return 0;
    other = submit(cfut_executor_current(), spread_task, &met, sizeof met);
    CHECK_SOON(atomic_load(met) == 2); /* it runs meanwhile, so elsewhere */
    cfut_future_release(other);
    return 0;
}

static void stolen_tasks_are_counted(void)
{
    atomic_int met = 0, *at = &met;
    cfut_executor *pool = check_pool(2);
    CHECK_OK(end_of(submit(pool, spread_task, &at, sizeof at)));
    same(pool, CFUT_STAT_STOLEN, 1);
    check_close(pool);
}

static void statistics_of_processes(void)
{
    cfut_executor *pool = check_process_pool(1);
    for (int32_t key = CFUT_STAT_WORKERS; key <= CFUT_STAT_BROKEN; key++)
        CHECK_EQ(check_stat(pool, key), key == CFUT_STAT_MAX_WORKERS ? 1 : 0);
    cfut_future *busy = stand(pool, 0);
    cfut_future *waiting = submit_nothing(pool), *cancelled = submit_nothing(pool);
    CHECK_OK(cfut_future_cancel(cancelled, CFUT_CANCEL_PENDING));
    cfut_future_release(cancelled);
    same(pool, CFUT_STAT_WORKERS, 1);
    same(pool, CFUT_STAT_IDLE_WORKERS, 0);
    same(pool, CFUT_STAT_QUEUED, 1);
    same(pool, CFUT_STAT_RUNNING, 1);
    same(pool, CFUT_STAT_SUBMITTED, 3);
    same(pool, CFUT_STAT_CANCELLED, 1);
    CHECK_SOON(check_stat(pool, CFUT_STAT_OLDEST_QUEUED_NS) > 1000000);
    open_gate(0);
    CHECK_OK(end_of(busy));
    CHECK_OK(end_of(waiting));
    CHECK_STATUS(end_of(submit_code(pool, 3)), CFUT_FAILED);
    cfut_task *task = task_with(heed_task, CFUT_TASK_RUN_TIMEOUT_NS, 1000000);
    CHECK_STATUS(end_of(submit_call_once(pool, task, 2, 0)), CFUT_EXPIRED);
    open_gate(1);
    CHECK_STATUS(end_of(submit_call(pool, die_task, 1, SIGKILL)), CFUT_CRASHED);
    CHECK_OK(end_of(submit_nothing(pool)));
    same(pool, CFUT_STAT_IDLE_WORKERS, 1);
    same(pool, CFUT_STAT_QUEUED, 0);
    same(pool, CFUT_STAT_RUNNING, 0);
    same(pool, CFUT_STAT_OLDEST_QUEUED_NS, 0);
    same(pool, CFUT_STAT_SUBMITTED, 7);
    same(pool, CFUT_STAT_SUCCEEDED, 3);
    same(pool, CFUT_STAT_FAILED, 1);
    same(pool, CFUT_STAT_EXPIRED, 1);
    same(pool, CFUT_STAT_CRASHED, 1);
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_WORKERS_STARTED), 2);
    CHECK_EQ(check_stat(pool, CFUT_STAT_STOLEN), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_BROKEN), 0);
    check_close(pool);
}

CHECK_MAIN_WORKER(board_make(), CASE(threads_at_work), CASE(tasks_that_run_tasks),
                  CASE(many_are_counted), CASE(taken_ahead_are_named), CASE(tasks_of_tasks_are_named),
                  CASE(looks_lose_nothing), CASE(closing_pools_name_what_they_have), CASE(detached_and_broken), CASE(processes_at_work),
                  CASE(attempts_in_processes), CASE(loops_with_work), CASE(loops_name_what_they_run),
                  CASE(views_with_work),
                  CASE(commands_of_threads_and_processes), CASE(length_is_told), CASE(snapshots_while_threads_run),
                  CASE(snapshots_while_processes_run), CASE(statistics_of_threads),
                  CASE(stolen_tasks_are_counted), CASE(statistics_of_processes))
