/* Commands: time-outs, cancels, how many run at once, what the host sees, and what happens to them
 * when others go. */
#ifndef COMMAND_LIVES_H
#define COMMAND_LIVES_H

#include "commands.h"

/* ---- time-outs ---- */

static void run_time_out_kills_the_group(void)
{
    cfut_executor *pool = NEW_POOL(1);
    place_make();
    cfut_future *future = start(
        pool, shell_with("sleep 1000 & echo $! >child; echo $$ >here; wait", CFUT_TASK_RUN_TIMEOUT_NS,
                         CFUT_MSEC(300)));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK(strstr(cfut_future_message(future), "CFUT_TASK_RUN_TIMEOUT_NS") != NULL);
    cfut_future_release(future);
    check_close(pool); /* waits for the end of the process */
    if (number_in("here") != 0)
        CHECK(is_gone(pid_in("here")));
    if (number_in("child") != 0)
        CHECK_SOON(is_gone(pid_in("child")));
}

static void endless_output_until_the_time_out(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_task *task = command("yes", NULL);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(50)));
    CHECK_STATUS(end_of(start(pool, task)), CFUT_EXPIRED);
    expect_output(pool, command("echo", "on", NULL), "on\n");
    check_close(pool);
}

static void a_grace_to_clean_up(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    cfut_task *task = shell("trap 'echo 1 >cleaned; exit 0' TERM; echo $$ >here; "
                            "while :; do sleep 0.01; done");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, -1));
    cfut_future *future = stand(pool, task, &pid);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_KILL));
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    CHECK_EQ(pid_in("cleaned"), 1);
    check_close(pool);
}

static void one_that_does_not_heed(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    cfut_task *task = shell("trap '' TERM; echo $$ >here; while :; do sleep 0.01; done");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, CFUT_MSEC(20)));
    cfut_future *future = stand(pool, task, &pid);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_KILL));
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    CHECK_SOON(is_gone(pid));
    check_close(pool);
}

static void stopped_until_the_time_out(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_task *task = shell(STAND);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(500)));
    cfut_future *future = stand(pool, task, &pid);
    CHECK_EQ(kill(pid, SIGSTOP), 0);
    CHECK_STATUS(end_of(future), CFUT_EXPIRED);
    check_close(pool);
    CHECK(is_gone(pid));
}

static void queue_time_outs(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *first = stand(pool, shell(STAND), &pid);
    cfut_task *task = command("true", NULL);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_QUEUE_TIMEOUT_NS, CFUT_MSEC(5)));
    cfut_future *late = start(pool, task);
    CHECK_STATUS(cfut_future_wait(late, CFUT_FOREVER), CFUT_EXPIRED);
    CHECK_EQ(info(late, CFUT_INFO_ATTEMPTS), 0);
    cfut_future_release(late);
    gate_pass();
    CHECK_OK(end_of(first));
    check_close(pool);
}

/* ---- cancelling ---- */

static void cancel_of_waiting_ones(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *first = stand(pool, shell(STAND), &pid);
    cfut_future *second = start(pool, shell("echo >second")), *third = start(pool, command("true", NULL));
    CHECK_OK(cfut_future_cancel(second, CFUT_CANCEL_PENDING));
    CHECK_STATUS(end_of(second), CFUT_CANCELLED);
    CHECK_STATUS(cfut_future_cancel(first, CFUT_CANCEL_PENDING), CFUT_TOO_LATE);
    gate_pass();
    CHECK_OK(end_of(first));
    CHECK_OK(end_of(third));
    CHECK(access(path_of("second"), F_OK) != 0);
    check_close(pool);
}

static void cancel_with_stop(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell(STAND), &pid);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    unlink(path_of("here"));
    future = stand(pool, shell("trap 'echo heeded; exit 0' TERM; echo $$ >here; while :; do sleep 0.01; done"),
                   &pid);
    CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_STOP), CFUT_PENDING);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    expect_bytes(future, "heeded\n");
    cfut_future_release(future);
    check_close(pool);
}

static void cancel_with_kill(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell("sleep 1000 & echo $! >child; " STAND), &pid);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_KILL));
    CHECK_STATUS(cfut_future_wait(future, CFUT_NOW), CFUT_CANCELLED);
    cfut_future_release(future);
    pid_t child = pid_in("child");
    CHECK_SOON(is_gone(pid) && is_gone(child));
    expect_output(pool, command("echo", "on", NULL), "on\n");
    check_close(pool);
}

/* ---- how many ---- */

static void as_many_as_workers(void)
{
    cfut_executor *pool = NEW_POOL(3);
    cfut_future *futures[5];
    char gates[5][8] = { "" };
    place_make();
    for (int i = 0; i < 5; i++) {
        char script[64];
        snprintf(script, sizeof script, "echo >>begun; read line <gate%d; echo >>ended", i);
        snprintf(gates[i], sizeof gates[i], "gate%d", i);
        CHECK_EQ(mkfifo(path_of(gates[i]), 0600), 0);
        futures[i] = start(pool, shell(script));
    }
    struct stat begun = { 0 };
    CHECK_SOON(stat(path_of("begun"), &begun) == 0 && begun.st_size == 3);
    CHECK_SOON(check_stat(pool, CFUT_STAT_RUNNING) == 3);
    CHECK_SOON(check_stat(pool, CFUT_STAT_QUEUED) == 2);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUBMITTED), 5);
    for (int i = 1; i <= 5; i++) {
        struct stat ended = { 0 };
        gate_open(gates[i - 1]); /* they begin in their order */
        CHECK_SOON(stat(path_of("ended"), &ended) == 0 && ended.st_size == i);
        CHECK_SOON(stat(path_of("begun"), &begun) == 0 && begun.st_size == (i < 2 ? 3 + i : 5));
    }
    for (int i = 0; i < 5; i++)
        CHECK_OK(end_of(futures[i]));
    CHECK_SOON(check_stat(pool, CFUT_STAT_RUNNING) == 0);
    CHECK_SOON(check_stat(pool, CFUT_STAT_QUEUED) == 0);
    CHECK_SOON(check_stat(pool, CFUT_STAT_SUCCEEDED) == 5);
    check_close(pool);
}

static void beside_busy_workers(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *standing = stand(pool, shell(STAND), &pid);
    CHECK_OK(end_of(submit_nothing(pool)));
    gate_pass();
    CHECK_OK(end_of(standing));
    check_close(pool);
}

static void higher_priorities_first(void)
{
    static const int priorities[3] = { -1, 0, 1 };
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *futures[3];
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *first = stand(pool, shell(STAND), &pid);
    for (int i = 0; i < 3; i++) {
        char script[64];
        snprintf(script, sizeof script, "echo %d >>order", priorities[i]);
        futures[i] = start(pool, shell_with(script, CFUT_TASK_PRIORITY, priorities[i]));
    }
    gate_pass();
    CHECK_OK(end_of(first));
    for (int i = 0; i < 3; i++)
        CHECK_OK(end_of(futures[i]));
    expect_output(pool, command("cat", "order", NULL), "1\n0\n-1\n");
    check_close(pool);
}

static void a_thousand(void)
{
    enum { MANY = 1000 };
    static cfut_future *futures[MANY];
    static int items[MANY];
    cfut_executor *pool = NEW_POOL(4);
    cfut_task *task = command("cat", NULL);
    for (int i = 0; i < MANY; i++)
        items[i] = i;
    CHECK_OK(cfut_submit_many(pool, task, items, sizeof items[0], MANY, futures));
    cfut_task_free(task);
    for (int i = 0; i < MANY; i++) {
        size_t length = 0;
        int back = -1;
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        const void *bytes = cfut_future_bytes(futures[i], &length);
        CHECK_EQ(length, sizeof back);
        memcpy(&back, bytes, sizeof back);
        CHECK_EQ(back, i);
        cfut_future_release(futures[i]);
    }
    check_close(pool);
}

static void bounds(void)
{
    cfut_options *options = options_of(1);
    pid_t pid;
    place_make();
    gate_make();
    CHECK_OK(cfut_options_set(options, CFUT_OPT_QUEUE_LIMIT, 1));
    CHECK_OK(cfut_options_set(options, CFUT_OPT_FULL_POLICY, CFUT_FULL_REJECT));
    cfut_executor *pool = NEW_POOL_WITH(options);
    cfut_future *first = stand(pool, shell(STAND), &pid), *second = start(pool, command("true", NULL));
    cfut_future *third = NULL;
    cfut_task *task = command("true", NULL);
    CHECK_STATUS(cfut_submit_task(pool, task, NULL, 0, &third), CFUT_EFULL);
    cfut_task_free(task);
    gate_pass();
    CHECK_OK(end_of(first));
    CHECK_OK(end_of(second));
    check_close(pool);
}

/* ---- the host ---- */

static atomic_int child_signals;

static void note_child(int signal)
{
    (void)signal;
    atomic_fetch_add(&child_signals, 1);
}

static void the_host_sees_no_child(void)
{
    cfut_executor *pool = NEW_POOL(2);
    pid_t pid;
    struct sigaction action = { .sa_handler = note_child };
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell(STAND), &pid);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    CHECK_EQ(errno, ECHILD);
    gate_pass();
    CHECK_OK(end_of(future));
    expect_failure(start(pool, shell("exit 7")), 7, "7");
    CHECK_EQ(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    check_close(pool);
    CHECK_EQ(atomic_load(&child_signals), 0);
    CHECK_EQ(sigaction(SIGCHLD, NULL, &action), 0);
    CHECK(action.sa_handler == note_child);
    signal(SIGCHLD, SIG_DFL); /* for system() */
}

static void the_host_ignores_its_children(void)
{
    signal(SIGCHLD, SIG_IGN);
    cfut_executor *pool = NEW_POOL(1);
    expect_failure(start(pool, shell("exit 9")), 9, "9");
    check_close(pool);
    signal(SIGCHLD, SIG_DFL);
}

/* In a child that makes a pool of its own: how a host dies. */
static void host_that_dies(void)
{
    int fd[2];
    char byte;
    CHECK_EQ(pipe2(fd, O_CLOEXEC), 0);
    place_make();
    gate_make();
    pid_t host = fork();
    CHECK(host >= 0);
    if (host == 0) {
        cfut_executor *pool = NEW_POOL(1);
        cfut_future *future = start(pool, shell("sleep 1000 & echo $! >child; " STAND));
        (void)future;
        close(fd[0]);
        for (;;)
            pause();
    }
    close(fd[1]);
    pid_t pid = pid_in("here"), child = pid_in("child");
    CHECK_EQ(kill(host, SIGKILL), 0);
    CHECK_EQ(waitpid(host, NULL, 0), host);
    CHECK_EQ(read(fd[0], &byte, 1), 0); /* nobody has it */
    close(fd[0]);
    CHECK_SOON(is_gone(pid) && is_gone(child));
}

static void host_that_forks(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    int status;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell(STAND), &pid);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        cfut_task *task = command("true", NULL);
        CHECK_STATUS(cfut_submit_task(pool, task, NULL, 0, NULL), CFUT_EFORKED);
        CHECK_STATUS(cfut_future_cancel(future, CFUT_CANCEL_KILL), CFUT_EFORKED);
        cfut_task_free(task);
        cfut_executor *own = NEW_POOL(1);
        expect_output(own, command("echo", "child", NULL), "child\n");
        check_close(own);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    gate_pass();
    CHECK_OK(end_of(future));
    check_close(pool);
}

static void keeper_that_is_killed(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell("sleep 1000 & echo $! >child; " STAND), &pid);
    cfut_future *waiting = start(pool, command("echo", "later", NULL));
    pid_t child = pid_in("child"), keeper = parent_of(pid);
    CHECK(keeper > 1 && keeper != getpid());
    CHECK_EQ(kill(keeper, SIGKILL), 0);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK(strstr(cfut_future_message(future), "killed") != NULL);
    cfut_future_release(future);
    CHECK_SOON(is_gone(pid) && is_gone(child));
    CHECK_OK(cfut_future_wait(waiting, CFUT_FOREVER));
    expect_bytes(waiting, "later\n");
    cfut_future_release(waiting);
    check_close(pool);
}

/* It is asked whether it is there, and killed. */
static void keeper_that_is_stopped(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell(STAND), &pid);
    pid_t keeper = parent_of(pid);
    CHECK_EQ(kill(keeper, SIGSTOP), 0);
    CHECK_OK(cfut_future_cancel(future, CFUT_CANCEL_KILL));
    CHECK_STATUS(end_of(future), CFUT_CANCELLED);
    expect_output(pool, command("echo", "on", NULL), "on\n");
    CHECK(is_gone(pid) && is_gone(keeper));
    check_close(pool);
}

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    return fd;
}

static void limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = most;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void few_descriptors(void)
{
    cfut_executor *pool = NEW_POOL(8);
    cfut_future *futures[16];
    limit_descriptors((rlim_t)lowest_free() + 14);
    for (int i = 0; i < 16; i++)
        futures[i] = submit_once(pool, command("cat", NULL), "some input", 10);
    for (int i = 0; i < 16; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        expect_bytes(futures[i], "some input");
        cfut_future_release(futures[i]);
    }
    check_close(pool);
}

/* Neither lost nor hanging: refused, or failed with the reason. */
static void no_descriptors_left(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *future = NULL;
    cfut_task *task = command("true", NULL);
    struct rlimit before;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit_descriptors((rlim_t)lowest_free() + 2); /* enough for the follower alone */
    cfut_status status = cfut_submit_task(pool, task, NULL, 0, &future);
    if (status == CFUT_OK)
        expect_failure(future, CFUT_ESYS, "could not be started");
    else
        CHECK_STATUS(status, CFUT_ESYS);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
    cfut_task_free(task);
    CHECK_OK(end_of(future));
    check_close(pool);
}

/* ---- shutdown ---- */

static void shutdown_waits(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = start(pool, command("echo", "x", NULL));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_NOW));
        cfut_future_release(futures[i]);
    }
    cfut_task *task = command("true", NULL);
    CHECK_STATUS(cfut_submit_task(pool, task, NULL, 0, NULL), CFUT_ESHUTDOWN);
    cfut_task_free(task);
    check_close(pool);
}

static void shutdown_cancels_waiting_ones(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *first = stand(pool, shell(STAND), &pid), *second = start(pool, command("true", NULL));
    CHECK_STATUS(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_NOW), CFUT_TIMEOUT);
    CHECK_STATUS(end_of(second), CFUT_CANCELLED);
    gate_pass();
    CHECK_OK(end_of(first));
    check_close(pool);
}

static void shutdown_stops_running_ones(void)
{
    static const uint32_t ways[2] = { CFUT_SHUTDOWN_STOP, CFUT_SHUTDOWN_TERM };
    place_make();
    gate_make();
    for (int i = 0; i < 2; i++) {
        cfut_executor *pool = NEW_POOL(1);
        pid_t pid;
        cfut_future *future = stand(pool, shell(STAND), &pid);
        CHECK_OK(cfut_executor_shutdown(pool, ways[i], CFUT_FOREVER));
        CHECK_STATUS(end_of(future), CFUT_CANCELLED);
        CHECK(is_gone(pid));
        check_close(pool);
        unlink(path_of("here"));
    }
}

static void shutdown_kills(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    cfut_task *task = shell("trap '' TERM; echo $$ >here; while :; do sleep 0.01; done");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, -1));
    cfut_future *first = stand(pool, task, &pid), *second = start(pool, command("true", NULL));
    CHECK_OK(cfut_executor_shutdown(pool, CFUT_SHUTDOWN_KILL, CFUT_MSEC(20)));
    CHECK_STATUS(end_of(first), CFUT_CANCELLED);
    CHECK_STATUS(end_of(second), CFUT_CANCELLED);
    CHECK(is_gone(pid));
    check_close(pool);
}

static void release_without_shutdown(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *first = start(pool, command("echo", "1", NULL));
    cfut_future *second = start(pool, command("echo", "2", NULL));
    check_unwatch(pool);
    cfut_executor_release(pool);
    CHECK_OK(cfut_future_wait(second, CFUT_FOREVER));
    expect_bytes(second, "2\n");
    cfut_future_release(second);
    CHECK_OK(end_of(first));
}

/* ---- callbacks ---- */

struct follow_up {
    cfut_executor *pool;
    latch done;
    cfut_status status;
};

static void run_another(cfut_future *future, void *arg)
{
    struct follow_up *up = arg;
    CHECK_OK(cfut_future_wait(future, CFUT_NOW));
    up->status = end_of(start(up->pool, command("true", NULL)));
    CHECK_STATUS(cfut_executor_shutdown(up->pool, 0, CFUT_FOREVER), CFUT_EDEADLK);
    latch_open(&up->done);
}

static void callbacks_may_wait_for_commands(void)
{
    struct follow_up up = { NEW_POOL(1), LATCH_CLOSED, CFUT_PENDING };
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(up.pool, shell(STAND), &pid);
    CHECK_OK(cfut_future_on_done(future, NULL, run_another, &up, NULL));
    gate_pass();
    latch_wait(&up.done);
    CHECK_OK(up.status);
    cfut_future_release(future);
    check_close(up.pool);
}

static void completion_queues(void)
{
    cfut_executor *pool = NEW_POOL(2);
    cfut_queue *queue = NULL;
    uint64_t sum = 0;
    CHECK_OK(cfut_queue_new(&queue));
    for (uint64_t tag = 1; tag <= 4; tag++) {
        cfut_future *future = start(pool, command("true", NULL));
        CHECK_OK(cfut_queue_add(queue, future, tag));
        cfut_future_release(future);
    }
    for (int i = 0; i < 4; i++) {
        cfut_future *future = NULL;
        uint64_t tag = 0;
        CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &future, &tag));
        CHECK_OK(end_of(future));
        sum += tag;
    }
    CHECK_EQ(sum, 10);
    cfut_queue_release(queue);
    check_close(pool);
}

#define COMMAND_CASES \
    CASE(run_time_out_kills_the_group), CASE(endless_output_until_the_time_out), \
    CASE(a_grace_to_clean_up), CASE(one_that_does_not_heed), \
    CASE(stopped_until_the_time_out), CASE(queue_time_outs), CASE(cancel_of_waiting_ones), \
    CASE(cancel_with_stop), CASE(cancel_with_kill), CASE(as_many_as_workers), \
    CASE(beside_busy_workers), CASE(higher_priorities_first), CASE(a_thousand), \
    CASE(bounds), \
    CASE(the_host_sees_no_child), \
    CASE(the_host_ignores_its_children), CASE(host_that_dies), CASE(host_that_forks), \
    CASE(keeper_that_is_killed), CASE(keeper_that_is_stopped), CASE(few_descriptors), CASE(no_descriptors_left), \
    CASE(shutdown_waits), CASE(shutdown_cancels_waiting_ones), \
    CASE(shutdown_stops_running_ones), CASE(shutdown_kills), CASE(release_without_shutdown), \
    CASE(callbacks_may_wait_for_commands), CASE(completion_queues)

#endif
