/* Signals of the host, and the state of its process: the library changes nothing of it. */
#include "child.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>

static int32_t exit_thread_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    pthread_exit(NULL);
}

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t in_a_worker;

static void interrupt(int number)
{
    char name[16] = "";
    (void)number;
    interrupted++;
    prctl(PR_GET_NAME, name);
    if (memcmp(name, "cfut-", 5) == 0)
        in_a_worker = 1;
}

static void *open_late(void *stage)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    CHECK_SOON(interrupted > 20);
    latch_open(&((gate *)stage)->open);
    return NULL;
}

/* Without SA_RESTART, every half millisecond. Handlers run in threads of the host only. */
static void start_interrupts(void)
{
    struct sigaction action = { .sa_handler = interrupt };
    struct itimerval often = { { 0, 500 }, { 0, 500 } };
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0); /* whoever started this may block it */
    interrupted = 0;
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void stop_interrupts(void)
{
    struct itimerval never = { { 0, 0 }, { 0, 0 } };
    CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK_EQ(in_a_worker, 0);
}

#define WAIT_OVER_INTERRUPTS(call) \
    do { \
        gate stage = GATE_CLOSED; \
        pthread_t opener; \
        cfut_executor *pool = check_pool(1); \
        cfut_future *future = gate_submit(pool, &stage), *taken = NULL; \
        cfut_queue *queue; \
        CHECK_OK(cfut_queue_new(&queue)); \
        CHECK_OK(cfut_queue_add(queue, future, 1)); \
        interrupted = 0; \
        CHECK_EQ(pthread_create(&opener, NULL, open_late, &stage), 0); \
        start_interrupts(); \
        CHECK_OK(call); \
        stop_interrupts(); \
        CHECK(interrupted > 20); \
        CHECK_EQ(pthread_join(opener, NULL), 0); \
        cfut_future_release(taken); \
        cfut_queue_release(queue); \
        cfut_future_release(future); \
        check_close(pool); \
    } while (0)

static void waits_go_on_over_signals(void)
{
    WAIT_OVER_INTERRUPTS(cfut_future_wait(future, CFUT_FOREVER));
    WAIT_OVER_INTERRUPTS(cfut_future_wait(future, CFUT_SEC(1000)));
    WAIT_OVER_INTERRUPTS(cfut_wait_many(&future, 1, CFUT_WAIT_ANY, CFUT_FOREVER, NULL, NULL));
    WAIT_OVER_INTERRUPTS(cfut_queue_next(queue, CFUT_FOREVER, &taken, NULL));
    WAIT_OVER_INTERRUPTS(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    WAIT_OVER_INTERRUPTS(cfut_executor_shutdown(pool, 0, CFUT_SEC(1000)));
    WAIT_OVER_INTERRUPTS(cfut_quiesce(CFUT_FOREVER));
}

/* A time-out is not made longer by signals, nor shorter. */
static void timeouts_hold_over_signals(void)
{
    gate stage = GATE_CLOSED;
    cfut_executor *pool = check_pool(1);
    cfut_future *future = gate_submit(pool, &stage);
    start_interrupts();
    for (int i = 0; i < 5; i++) {
        int64_t before = check_now();
        CHECK_STATUS(cfut_future_wait(future, CFUT_MSEC(20)), CFUT_TIMEOUT);
        CHECK(check_now() - before >= CFUT_MSEC(20));
    }
    stop_interrupts();
    latch_open(&stage.open);
    cfut_future_release(future);
    check_close(pool);
}

/* No child of ours is seen by a host that waits for any child. */
static void no_children(void)
{
    signal(SIGCHLD, SIG_IGN);
    cfut_executor *pool = check_pool(2);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_EQ(waitpid(-1, NULL, 0), -1);
    CHECK_EQ(errno, ECHILD);
    check_close(pool);
}

/* ---- the state of the process ---- */

typedef struct host_state {
    struct sigaction actions[65];
    sigset_t mask;
    mode_t umask;
    char directory[4096];
    int descriptors, threads;
    struct rlimit limits[RLIM_NLIMITS];
    char *const *environment;
} host_state;

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;
    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

extern char **environ;

static void read_host_state(host_state *state)
{
    memset(state, 0, sizeof *state);
    for (int i = 1; i < 65; i++)
        sigaction(i, NULL, &state->actions[i]);
    pthread_sigmask(SIG_BLOCK, NULL, &state->mask);
    state->umask = umask(0);
    umask(state->umask);
    CHECK(getcwd(state->directory, sizeof state->directory) != NULL);
    state->descriptors = count_entries("/proc/self/fd");
    state->threads = count_entries("/proc/self/task");
    for (int i = 0; i < RLIM_NLIMITS; i++)
        getrlimit(i, &state->limits[i]);
    state->environment = environ;
}

static void use_much(void)
{
    cfut_executor *pool = check_pool(4);
    cfut_future *future;
    cfut_queue *queue;
    cfut_task *task;
    int fd;
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    CHECK_OK(cfut_queue_new(&queue));
    CHECK_OK(cfut_queue_fd(queue, &fd));
    CHECK_OK(cfut_task_new(exit_thread_task, &task));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_SEC(1000)));
    for (int i = 0; i < 50; i++) {
        CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &future));
        CHECK_OK(cfut_queue_add(queue, future, 0));
        cfut_future_release(future);
        CHECK_OK(cfut_queue_next(queue, CFUT_FOREVER, &future, NULL));
        cfut_future_release(future);
    }
    cfut_task_free(task);
    cfut_queue_release(queue);
    check_close(pool);
}

/* Nothing of the process is changed by what the library does, but for its memory. */
static void host_state_stays(void)
{
    static host_state before, after;
    use_much(); /* what is opened once, is */
    read_host_state(&before);
    for (int i = 0; i < 20; i++)
        use_much();
    read_host_state(&after);
    for (int i = 1; i < 65; i++) {
        CHECK(before.actions[i].sa_handler == after.actions[i].sa_handler);
        CHECK(before.actions[i].sa_flags == after.actions[i].sa_flags);
    }
    CHECK(memcmp(&before.mask, &after.mask, sizeof before.mask) == 0);
    CHECK_EQ(before.umask, after.umask);
    CHECK(strcmp(after.directory, before.directory) == 0);
    CHECK_EQ(after.descriptors, before.descriptors);
    CHECK_EQ(after.threads, before.threads);
    CHECK(memcmp(before.limits, after.limits, sizeof before.limits) == 0);
    CHECK(before.environment == after.environment);
    for (int i = 1; i < 65; i++)
        CHECK(before.actions[i].sa_handler == SIG_DFL || before.actions[i].sa_handler == SIG_IGN);
}

CHECK_MAIN(CASE(waits_go_on_over_signals), CASE(timeouts_hold_over_signals), CASE(no_children),
           CASE(host_state_stays))
