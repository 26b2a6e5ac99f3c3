/* Processes of a pool that die all the time, from outside. How much of it is in the environment:
 * CHECK_TASKS, CHECK_CYCLES, CHECK_HOSTS (what `make check` does is less than what is meant to hold).
 */
#include "remains.h"

#include <stdatomic.h>

static int wanted(const char *name, int usual)
{
    const char *value = getenv(name);
    return value != NULL ? atoi(value) : usual;
}

/* ---- a worker is killed every 10 ms ---- */

struct job {
    uint64_t number, size;
};

static uint64_t mixed(uint64_t value)
{
    value = (value ^ value >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return value ^ value >> 29;
}

/* Task: answers with as many bytes as it is told, all of them its number. Notes where it runs. */
static int32_t job_task(cfut_promise *self, const void *data, size_t length)
{
    struct job job;
    char *bytes;
    if (length < sizeof job)
        return 1;
    memcpy(&job, data, sizeof job);
    if (length != sizeof job + job.size)
        return 2;
    for (size_t i = sizeof job; i < length; i += 4096) {
        if (((const char *)data)[i] != (char)job.number)
            return 3;
    }
    bytes = malloc(job.size + 1);
    memset(bytes, (int)job.number, job.size);
    if (cfut_promise_set_bytes(self, bytes, job.size) != CFUT_OK)
        return 4;
    free(bytes);
    return 0;
}

struct chaos {
    cfut_executor *executor;
    atomic_int stop, kills;
};

/* The workers of this case's pool that are alive; they are children of the supervisor. */
static int list_workers(int *pids, int most)
{
    int all[256], count = remains_list(remains_tag, all, 256), found = 0;
    for (int i = 0; i < count && i < 256; i++) {
        char letter, name[64];
        int parent;
        if (remains_stat(all[i], &letter, &parent, name) && letter != 'Z' && found < most &&
            strncmp(name, "cfut-", 5) == 0 && strcmp(name, "cfut-super") != 0)
            pids[found++] = all[i];
    }
    return found;
}

static void *kill_workers(void *argument)
{
    struct chaos *chaos = argument;
    uint64_t random = (uint64_t)check_now();
    int pids[64], count = 0;
    while (!atomic_load(&chaos->stop)) {
        check_sleep(10000000);
        count = list_workers(pids, 64);
        random = mixed(random + 1);
        if (count > 0 && kill(pids[random % (unsigned)count], SIGKILL) == 0)
            atomic_fetch_add(&chaos->kills, 1);
    }
    return NULL;
}

static atomic_int told_times[1 << 20];

static void told(cfut_future *future, void *argument)
{
    (void)future;
    atomic_fetch_add(&told_times[(uintptr_t)argument], 1);
}

static cfut_future *job_submit(cfut_executor *executor, uint64_t number)
{
    static char data[sizeof(struct job) + (1 << 20)];
    uint64_t random = mixed(number * 77 + 5);
    struct job job = { number, 0 };
    cfut_future *future = NULL;
    /* Most are small, some fill a ring, a few are up to a megabyte. */
    job.size = random % 100 < 90 ? random % 200 : random % 100 < 98 ? random % 20000 : random % ((1 << 20) + 1);
    memcpy(data, &job, sizeof job);
    memset(data + sizeof job, (int)number, job.size);
    CHECK_OK(cfut_submit(executor, job_task, data, sizeof job + job.size, &future));
    CHECK_OK(cfut_future_on_done(future, NULL, told, (void *)(uintptr_t)number, NULL));
    return future;
}

static void job_check(cfut_future *future, uint64_t number, int *crashed)
{
    cfut_status status = cfut_future_wait(future, CFUT_FOREVER);
    if (status == CFUT_CRASHED) {
        ++*crashed;
        CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), SIGKILL);
    } else {
        size_t length = 0;
        uint64_t random = mixed(number * 77 + 5);
        uint64_t size = random % 100 < 90 ? random % 200 : random % 100 < 98 ? random % 20000 : random % ((1 << 20) + 1);
        const char *bytes;
        if (status != CFUT_OK)
            fprintf(stderr, "%llu: %s, %d: %s\n", (unsigned long long)number, cfut_status_name(status),
                    cfut_future_code(future), cfut_future_message(future));
        CHECK_STATUS(status, CFUT_OK);
        bytes = cfut_future_bytes(future, &length);
        CHECK_EQ(length, size);
        for (size_t i = 0; i < length; i += i + 64 < length ? 61 : 1)
            CHECK_EQ(bytes[i], (char)number);
    }
    cfut_future_release(future);
}

LEAVES_NOTHING(chaos)
{
    enum { WINDOW = 500 };
    static cfut_future *futures[WINDOW];
    struct chaos chaos = { process_pool(3), 0, 0 };
    int count = wanted("CHECK_TASKS", 20000), crashed = 0;
    pthread_t killer;
    CHECK(count <= 1 << 20);
    CHECK_EQ(pthread_create(&killer, NULL, kill_workers, &chaos), 0);
    for (int i = 0; i < count; i++) {
        if (i >= WINDOW)
            job_check(futures[i % WINDOW], (uint64_t)(i - WINDOW), &crashed);
        futures[i % WINDOW] = job_submit(chaos.executor, (uint64_t)i);
    }
    for (int i = count > WINDOW ? count - WINDOW : 0; i < count; i++)
        job_check(futures[i % WINDOW], (uint64_t)i, &crashed);
    atomic_store(&chaos.stop, 1);
    pthread_join(killer, NULL);
    printf("%d tasks, %d kills, %d crashed\n", count, atomic_load(&chaos.kills), crashed);
    /* One worker runs one task: what was not running at a kill has succeeded. */
    CHECK(crashed <= atomic_load(&chaos.kills));
    CHECK(atomic_load(&chaos.kills) > 0);
    CHECK_EQ(check_stat(chaos.executor, CFUT_STAT_CRASHED), crashed);
    CHECK_EQ(check_stat(chaos.executor, CFUT_STAT_SUCCEEDED), count - crashed);
    check_close(chaos.executor);
    for (int i = 0; i < count; i++)
        CHECK_EQ(atomic_load(&told_times[i]), 1);
}

/* ---- pools come and go ---- */

static void cycle(int number)
{
    cfut_executor *executor = process_pool(1 + number % 2);
    switch (number % 5) {
    case 0: /* nothing was ever asked of it */
        break;
    case 1:
        echo_check(echo_submit(executor, number), number);
        break;
    case 2: /* released in the middle of it */
        cfut_future_release(echo_submit(executor, number));
        check_unwatch(executor);
        cfut_executor_release(executor);
        return;
    case 3:
        cfut_future_release(echo_submit(executor, number));
        CHECK_OK(cfut_executor_shutdown(executor, CFUT_SHUTDOWN_CANCEL | CFUT_SHUTDOWN_STOP, CFUT_FOREVER));
        break;
    default: {
        cfut_future *future = stand_submit(executor, 1); /* the gate stays closed */
        CHECK_OK(cfut_executor_shutdown(executor, CFUT_SHUTDOWN_KILL, CFUT_NOW));
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CANCELLED);
        cfut_future_release(future);
    }
    }
    check_close(executor);
}

LEAVES_NOTHING(pools_come_and_go)
{
    int count = wanted("CHECK_CYCLES", 100);
    for (int i = 0; i < count; i++)
        cycle(i);
}

/* ---- the host is killed ---- */

static void be_host(int number)
{
    int workers = 1 + number % 3;
    cfut_executor *executor = process_pool(workers);
    for (int i = 0; i < workers * 2; i++) {
        int32_t gate = 2; /* stays closed */
        if (i % 2 == 0)
            CHECK_OK(cfut_submit(executor, stand_task, &gate, sizeof gate, NULL));
        else
            cfut_future_release(echo_submit(executor, i));
    }
    for (;;)
        pause();
}

/* At a random moment of its life no process of its pool is left a second later. */
static void kill_hosts(bool whole_group)
{
    int count = wanted("CHECK_HOSTS", 30);
    uint64_t random = (uint64_t)check_now();
    for (int i = 0; i < count; i++) {
        int64_t end;
        pid_t host;
        random = mixed(random + 1);
        host = fork();
        CHECK(host >= 0);
        if (host == 0) {
            if (whole_group)
                setpgid(0, 0);
            be_host(i);
        }
        if (whole_group)
            setpgid(host, host);
        check_sleep((int64_t)(random % 30000000));
        CHECK_EQ(kill(whole_group ? -host : host, SIGKILL), 0);
        CHECK_EQ(waitpid(host, NULL, 0), host);
        end = check_now() + wanted("CHECK_GONE_MS", 1000) * INT64_C(1000000);
        while (remains_processes() != 0) {
            if (check_now() > end) {
                remains_show(remains_now(), remains_now());
                check_failed(__FILE__, __LINE__, "processes outlive their host by more than a second");
            }
            check_sleep(1000000);
        }
    }
}

LEAVES_NOTHING(host_is_killed)
{
    kill_hosts(false);
}

LEAVES_NOTHING(group_of_the_host_is_killed)
{
    kill_hosts(true);
}

/* The host becomes another program, which knows nothing of a pool. */
LEAVES_NOTHING(host_executes)
{
    pid_t host = fork();
    CHECK(host >= 0);
    if (host == 0) {
        char *const nothing[] = { NULL };
        cfut_executor *executor = process_pool(2);
        (void)stand_submit(executor, 2);
        execle("/bin/sleep", "sleep", "100", (char *)NULL, nothing);
        _exit(99);
    }
    CHECK_SOON(shared->entered[2] > 0);
    CHECK_SOON(remains_processes() == 0);
    CHECK(waitpid(host, NULL, WNOHANG) == 0); /* it sleeps */
    CHECK_EQ(kill(host, SIGKILL), 0);
    CHECK_EQ(waitpid(host, NULL, 0), host);
}

/* ---- the supervisor is killed ---- */

/* Kills it, and waits until its successor is there: the pool has heard of it. */
static void replace_supervisor(int pid)
{
    int next;
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_SOON((next = remains_supervisor()) != 0 && next != pid);
}

LEAVES_NOTHING(supervisor_is_killed_idle)
{
    cfut_executor *executor = process_pool(2);
    for (int round = 0; round < 5; round++) {
        int pid;
        pool_works(executor);
        CHECK_SOON((pid = remains_supervisor()) != 0);
        replace_supervisor(pid);
    }
    pool_works(executor);
    CHECK_EQ(check_stat(executor, CFUT_STAT_CRASHED), 0);
    check_close(executor);
}

LEAVES_NOTHING(supervisor_is_killed_at_work)
{
    cfut_executor *executor = process_pool(2);
    for (int round = 0; round < 5; round++) {
        cfut_future *running[2], *waiting[20];
        for (int i = 0; i < 2; i++)
            running[i] = stand_submit(executor, 0);
        for (int i = 0; i < 20; i++)
            waiting[i] = echo_submit(executor, i);
        kill(remains_supervisor(), SIGKILL);
        for (int i = 0; i < 2; i++) {
            CHECK_STATUS(cfut_future_wait(running[i], CFUT_FOREVER), CFUT_CRASHED);
            CHECK(strstr(cfut_future_message(running[i]), "supervisor") != NULL);
            cfut_future_release(running[i]);
        }
        for (int i = 0; i < 20; i++)
            echo_check(waiting[i], i);
    }
    CHECK_EQ(check_stat(executor, CFUT_STAT_CRASHED), 10);
    check_close(executor);
}

/* As soon as it can be seen, and after a random time. */
LEAVES_NOTHING(supervisor_is_killed_at_its_start)
{
    int rounds = wanted("CHECK_STARTS", 20);
    uint64_t random = (uint64_t)check_now();
    for (int round = 0; round < rounds; round++) {
        cfut_executor *executor = process_pool(2);
        cfut_future *futures[8];
        int pid;
        for (int i = 0; i < 8; i++)
            futures[i] = echo_submit(executor, i);
        CHECK_SOON((pid = remains_supervisor()) != 0);
        random = mixed(random + 1);
        check_sleep((int64_t)(random % 3000000));
        replace_supervisor(pid);
        for (int i = 0; i < 8; i++) {
            cfut_status status = cfut_future_wait(futures[i], CFUT_FOREVER);
            CHECK(status == CFUT_OK || status == CFUT_CRASHED);
            cfut_future_release(futures[i]);
        }
        pool_works(executor);
        check_close(executor);
    }
}

/* Too often in too short a time: the pool breaks rather than that it tries for ever. */
LEAVES_NOTHING(supervisor_is_killed_for_ever)
{
    cfut_executor *executor = process_pool(1);
    cfut_future *future = NULL;
    int pid;
    CHECK_OK(cfut_executor_warm(executor, CFUT_FOREVER));
    for (;;) {
        int64_t number = 1;
        cfut_status status = cfut_submit(executor, echo_task, &number, sizeof number, &future);
        if (status == CFUT_BROKEN)
            break;
        CHECK_OK(status);
        cfut_future_release(future);
        pid = remains_supervisor();
        if (pid != 0)
            kill(pid, SIGKILL);
        if (check_stat(executor, CFUT_STAT_BROKEN) == 1)
            break;
    }
    check_close(executor);
}

LEAVES_NOTHING(supervisor_is_stopped)
{
    cfut_executor *executor = process_pool(2);
    cfut_future *future, *other;
    int64_t begin;
    future = stand_submit(executor, 1);
    CHECK_EQ(kill(remains_supervisor(), SIGSTOP), 0);
    begin = check_now();
    other = echo_submit(executor, 1); /* a submit does not wait for it */
    CHECK_STATUS(cfut_executor_shutdown(executor, CFUT_SHUTDOWN_KILL, CFUT_MSEC(100)), CFUT_OK);
    if (check_now() - begin > CFUT_SEC(2))
        fprintf(stderr, "it took %lld ms\n", (long long)((check_now() - begin) / 1000000));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CANCELLED);
    (void)cfut_future_wait(other, CFUT_FOREVER);
    cfut_future_release(future);
    cfut_future_release(other);
    check_close(executor);
}

/* It is given up when a worker that it was asked for does not come. */
LEAVES_NOTHING(supervisor_is_stopped_and_work_goes_on)
{
    cfut_options *options = options_of(2);
    cfut_executor *executor;
    cfut_future *future;
    int pid;
    CHECK_OK(cfut_options_set(options, CFUT_OPT_START_TIMEOUT_NS, CFUT_MSEC(300)));
    executor = process_pool_with(options);
    CHECK_SOON((pid = remains_supervisor()) != 0);
    CHECK_EQ(kill(pid, SIGSTOP), 0);
    future = echo_submit(executor, 1);
    echo_check(future, 1);
    CHECK(remains_supervisor() != pid);
    pool_works(executor);
    check_close(executor);
}

/* A worker dies while nobody tells of it. */
LEAVES_NOTHING(supervisor_is_stopped_and_a_worker_dies)
{
    cfut_executor *executor = process_pool(1);
    cfut_future *future = stand_submit(executor, 1);
    int pid = remains_supervisor();
    CHECK_EQ(kill(pid, SIGSTOP), 0);
    CHECK_EQ(kill(shared->pids[1], SIGKILL), 0);
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    cfut_future_release(future);
    pool_works(executor);
    check_close(executor);
}

REMAINS_MAIN(CASE(chaos), CASE(pools_come_and_go), CASE(host_is_killed),
             CASE(group_of_the_host_is_killed), CASE(host_executes), CASE(supervisor_is_killed_idle),
             CASE(supervisor_is_killed_at_work), CASE(supervisor_is_killed_at_its_start),
             CASE(supervisor_is_killed_for_ever), CASE(supervisor_is_stopped),
             CASE(supervisor_is_stopped_and_work_goes_on),
             CASE(supervisor_is_stopped_and_a_worker_dies))
