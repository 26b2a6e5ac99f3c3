/* What the host does with signals, children and limits while it has a process pool: the pool is not
 * seen by it, and works or says what it lacks.
 */
#include "child.h"
#include "remains.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

extern char **environ;

static int32_t kill_task(cfut_promise *self, const void *data, size_t length)
{
    (void)self;
    (void)data;
    (void)length;
    raise(SIGKILL);
    return 0;
}

/* Everything that makes processes come and go: work, the death of a worker, of the supervisor. */
static void live_through(void)
{
    cfut_executor *executor = process_pool(2);
    cfut_future *future = NULL;
    int pid, next;
    pool_works(executor);
    CHECK_OK(cfut_submit(executor, kill_task, NULL, 0, &future));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_CRASHED);
    CHECK_EQ(info_of(future, CFUT_INFO_SIGNAL), SIGKILL);
    cfut_future_release(future);
    pool_works(executor);
    pid = remains_supervisor();
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_SOON((next = remains_supervisor()) != 0 && next != pid);
    pool_works(executor);
    check_close(executor);
}

/* ---- SIGCHLD ---- */

static atomic_int signals_seen;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals_seen, 1);
}

static void with_sigchld(void (*handler)(int), int flags)
{
    struct sigaction action = { 0 }, now;
    action.sa_handler = handler;
    action.sa_flags = flags;
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    live_through();
    CHECK_EQ(atomic_load(&signals_seen), 0);
    CHECK_EQ(sigaction(SIGCHLD, NULL, &now), 0);
    CHECK(now.sa_handler == handler);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

LEAVES_NOTHING(sigchld_ignored)
{
    with_sigchld(SIG_IGN, 0);
}

LEAVES_NOTHING(sigchld_without_zombies)
{
    with_sigchld(SIG_DFL, SA_NOCLDWAIT);
}

LEAVES_NOTHING(sigchld_counted)
{
    with_sigchld(count_signal, 0);
}

LEAVES_NOTHING(all_signals_blocked)
{
    sigset_t all, before;
    sigfillset(&all);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
    live_through();
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* A thread that collects whatever can be collected, as fast as it can. */
static atomic_int stop_loop, strangers, codes[256];

static void *waitpid_loop(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop_loop)) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            continue;
        if (WIFEXITED(status))
            atomic_fetch_add(&codes[WEXITSTATUS(status)], 1);
        else
            atomic_fetch_add(&strangers, 1);
    }
    return NULL;
}

LEAVES_NOTHING(host_waits_for_any_child)
{
    pthread_t looper;
    int sum = 0;
    CHECK_EQ(pthread_create(&looper, NULL, waitpid_loop, NULL), 0);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(100 + i % 10);
        if (i % 25 == 0)
            live_through();
    }
    do {
        sum = 0;
        for (int code = 0; code < 256; code++)
            sum += atomic_load(&codes[code]);
    } while (sum < 100);
    atomic_store(&stop_loop, 1);
    pthread_join(looper, NULL);
    CHECK_EQ(sum, 100);
    CHECK_EQ(atomic_load(&strangers), 0);
    for (int code = 0; code < 256; code++)
        CHECK_EQ(atomic_load(&codes[code]), code >= 100 && code < 110 ? 10 : 0);
}

/* Forks of the host's own, as many as CHECK_FORKS says, while a pool is at work. */
static atomic_int stop_work;

static void *work(void *executor)
{
    while (!atomic_load(&stop_work))
        pool_works(executor);
    return NULL;
}

LEAVES_NOTHING(forks_alongside)
{
    int count = getenv("CHECK_FORKS") != NULL ? atoi(getenv("CHECK_FORKS")) : 500;
    cfut_executor *executor = process_pool(2);
    pthread_t worker;
    CHECK_EQ(pthread_create(&worker, NULL, work, executor), 0);
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(i % 200);
        CHECK_EQ(WEXITSTATUS(child_wait(child)), i % 200);
    }
    atomic_store(&stop_work, 1);
    pthread_join(worker, NULL);
    check_close(executor);
}

/* ---- the state of the host ---- */

struct state {
    struct sigaction actions[65];
    sigset_t mask;
    char directory[4096];
    mode_t umask;
    size_t environment;
    struct rlimit limits[RLIM_NLIMITS];
    pid_t session, group;
    int subreaper;
};

static struct state state_now(void)
{
    static struct state state;
    memset(&state, 0, sizeof state);
    for (int number = 1; number < 65; number++)
        sigaction(number, NULL, &state.actions[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &state.mask);
    CHECK(getcwd(state.directory, sizeof state.directory) != NULL);
    state.umask = umask(0);
    umask(state.umask);
    for (char **entry = environ; *entry != NULL; entry++) {
        for (char *at = *entry; *at != '\0'; at++)
            state.environment = state.environment * 31 + (unsigned char)*at;
    }
    for (int limit = 0; limit < RLIM_NLIMITS; limit++)
        getrlimit(limit, &state.limits[limit]);
    state.session = getsid(0);
    state.group = getpgid(0);
    prctl(PR_GET_CHILD_SUBREAPER, &state.subreaper);
    return state;
}

LEAVES_NOTHING(host_state_stays)
{
    static struct state before, after;
    before = state_now();
    live_through();
    after = state_now();
    for (int number = 1; number < 65; number++)
        CHECK(before.actions[number].sa_handler == after.actions[number].sa_handler);
    for (int limit = 0; limit < RLIM_NLIMITS; limit++) {
        CHECK_EQ(before.limits[limit].rlim_cur, after.limits[limit].rlim_cur);
        CHECK_EQ(before.limits[limit].rlim_max, after.limits[limit].rlim_max);
    }
    CHECK(memcmp(&before.mask, &after.mask, sizeof before.mask) == 0);
    CHECK(strcmp(after.directory, before.directory) == 0);
    CHECK_EQ(after.umask, before.umask);
    CHECK_EQ(after.environment, before.environment);
    CHECK_EQ(after.session, before.session);
    CHECK_EQ(after.group, before.group);
    CHECK_EQ(after.subreaper, before.subreaper);
}

/* A worker that comes late begins where the pool was made, with what there was in the environment. */
static int32_t surroundings_task(cfut_promise *self, const void *data, size_t length)
{
    char text[4200];
    (void)data;
    (void)length;
    CHECK(getcwd(text, 4096) != NULL);
    strcat(text, getenv("SURROUNDINGS") != NULL ? getenv("SURROUNDINGS") : " none");
    CHECK_OK(cfut_promise_set_bytes(self, text, strlen(text) + 1));
    return 0;
}

LEAVES_NOTHING(surroundings_of_later_workers)
{
    for (int method = 0; method < 2; method++) {
        cfut_options *options = options_of(1);
        cfut_executor *executor;
        int pid, next;
        CHECK_OK(cfut_options_set(options, CFUT_OPT_START_METHOD, method));
        CHECK_EQ(chdir("/usr"), 0);
        setenv("SURROUNDINGS", " first", 1);
        executor = process_pool_with(options);
        CHECK_EQ(chdir("/"), 0);
        setenv("SURROUNDINGS", " second", 1);
        for (int round = 0; round < 2; round++) {
            cfut_future *future = NULL;
            size_t length;
            CHECK_OK(cfut_submit(executor, surroundings_task, NULL, 0, &future));
            CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
            CHECK_TEXT((const char *)cfut_future_bytes(future, &length), "/usr first");
            cfut_future_release(future);
            pid = remains_supervisor();
            CHECK_EQ(kill(pid, SIGKILL), 0);
            CHECK_SOON((next = remains_supervisor()) != 0 && next != pid);
        }
        check_close(executor);
    }
}

/* ---- shortage ---- */

/* A pool, a task, an end: good, or a status with a text. In a child whose limits are odd. */
static void work_or_tell(struct remains before)
{
    cfut_options *options = options_of(1);
    cfut_executor *executor = NULL;
    cfut_status status = cfut_process_pool_new(options, &executor);
    char text[512];
    cfut_options_free(options);
    if (status == CFUT_OK) {
        int64_t number = 5;
        cfut_future *future = NULL;
        status = cfut_submit(executor, echo_task, &number, sizeof number, &future);
        if (status == CFUT_OK) {
            status = cfut_future_wait(future, CFUT_FOREVER);
            if (status != CFUT_OK) {
                snprintf(text, sizeof text, "%s", cfut_future_message(future));
                CHECK(status == CFUT_BROKEN || status == CFUT_FAILED);
                CHECK(strlen(text) > 10);
            }
            cfut_future_release(future);
        } else {
            CHECK(status < 0 || status == CFUT_BROKEN);
            CHECK(cfut_last_error(text, sizeof text) > 10);
        }
        CHECK_OK(cfut_executor_shutdown(executor, 0, CFUT_FOREVER));
        cfut_executor_release(executor);
    } else {
        CHECK(status == CFUT_ESYS || status == CFUT_ENOMEM);
        CHECK(cfut_last_error(text, sizeof text) > 10);
    }
    if (getenv("CHECK_SHOW") != NULL)
        fprintf(stderr, "%s: %s\n", cfut_status_name(status), status == CFUT_OK ? "" : text);
    /* To look round takes more than there may be. */
    for (int limit = 0; limit < RLIM_NLIMITS; limit++) {
        struct rlimit most;
        getrlimit(limit, &most);
        most.rlim_cur = most.rlim_max;
        setrlimit(limit, &most);
    }
    remains_check(before);
    _exit(status == CFUT_OK ? 0 : 3);
}

/* Runs it in a child in which `limit` is `most`; whether it worked. */
static bool works_with(int limit, rlim_t most)
{
    int status;
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct remains before = remains_now();
        child_watchdog();
        child_limit(limit, most);
        work_or_tell(before);
    }
    status = child_wait(child);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3))
        fprintf(stderr, "limit %d at %llu: status %#x\n", limit, (unsigned long long)most, status);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
    return WEXITSTATUS(status) == 0;
}

static void descriptors(void)
{
    int good = 0;
    remains_begin();
    for (rlim_t most = 3; most <= 64; most++)
        good += works_with(RLIMIT_NOFILE, most);
    printf("works with %d of 62 limits\n", good);
    CHECK(good > 30);
    CHECK_SOON(remains_processes() == 0);
}

static void address_space(void)
{
    int good = 0;
    remains_begin();
    for (rlim_t most = 8; most <= 4096; most *= 2)
        good += works_with(RLIMIT_AS, most << 20);
    CHECK(good > 1);
    CHECK_SOON(remains_processes() == 0);
}

static void file_size(void)
{
    remains_begin();
    CHECK(!works_with(RLIMIT_FSIZE, 0));
    CHECK(!works_with(RLIMIT_FSIZE, 4096));
    CHECK(works_with(RLIMIT_FSIZE, 64 << 20));
    CHECK_SOON(remains_processes() == 0);
}

/* As a user for whom the limit counts. Processes of others with the same number count, too. */
static void processes(void)
{
    int status;
    pid_t child;
    if (getuid() != 0) {
        puts("skipped: not root");
        return;
    }
    remains_begin();
    CHECK_EQ(chmod(getenv("CFUT_TEST_SHARED"), 0666), 0);
    for (rlim_t most = 0; most < 8; most++) {
        fflush(NULL);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            struct remains before;
            child_watchdog();
            CHECK_EQ(setgid(54321), 0);
            CHECK_EQ(setuid(54321), 0);
            prctl(PR_SET_DUMPABLE, 1);
            if (access("/proc/self/exe", X_OK) != 0)
                _exit(0); /* this program lies where only root may go */
            before = remains_now();
            child_limit(RLIMIT_NPROC, most);
            work_or_tell(before);
        }
        status = child_wait(child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
    }
    CHECK_SOON(remains_processes() == 0);
}

/* ---- filters of system calls ---- */

struct refusal {
    const char *name;
    long call;
    int first; /* its first argument; -1: any */
    bool must_work;
};

static const struct refusal refusals[] = {
    { "memfd_create", SYS_memfd_create, -1, true },
    { "pidfd_open", SYS_pidfd_open, -1, true },
    { "close_range", SYS_close_range, -1, true },
    { "getrandom", SYS_getrandom, -1, true },
    { "clone3", SYS_clone3, -1, false }, /* with EPERM the C library makes no threads */
    { "fallocate", SYS_fallocate, -1, false },
    { "signalfd4", SYS_signalfd4, -1, false },
    { "eventfd2", SYS_eventfd2, -1, false },
    { "epoll_create1", SYS_epoll_create1, -1, false },
    { "socketpair", SYS_socketpair, -1, false },
    { "membarrier", SYS_membarrier, -1, true },
    { "prctl(PR_SET_PDEATHSIG)", SYS_prctl, PR_SET_PDEATHSIG, true },
    { "prctl(PR_SET_CHILD_SUBREAPER)", SYS_prctl, PR_SET_CHILD_SUBREAPER, true },
    { "prctl(PR_SET_NAME)", SYS_prctl, PR_SET_NAME, true },
    { "setpgid", SYS_setpgid, -1, true },
    { "setsid", SYS_setsid, -1, true },
};

static void refuse(const struct refusal *refusal, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refusal->call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refusal->first, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };
    if (refusal->first == -1)
        filter[3] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

static void refused(int error)
{
    remains_begin();
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        int status;
        pid_t child;
        fflush(NULL);
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            struct remains before = remains_now();
            child_watchdog();
            refuse(&refusals[i], error);
            work_or_tell(before);
        }
        status = child_wait(child);
        if (status != 0)
            fprintf(stderr, "%s, %s: status %#x\n", refusals[i].name, strerror(error), status);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0 || (WEXITSTATUS(status) == 3 && !refusals[i].must_work));
        CHECK_SOON(remains_processes() == 0);
    }
}

static void calls_do_not_exist(void)
{
    refused(ENOSYS);
}

static void calls_are_forbidden(void)
{
    refused(EPERM);
}

static void calls_are_invalid(void)
{
    refused(EINVAL);
}

REMAINS_MAIN(CASE(sigchld_ignored), CASE(sigchld_without_zombies), CASE(sigchld_counted),
             CASE(all_signals_blocked), CASE(host_waits_for_any_child), CASE(forks_alongside),
             CASE(host_state_stays), CASE(surroundings_of_later_workers), CASE(descriptors),
             CASE(address_space), CASE(file_size), CASE(processes), CASE(calls_do_not_exist),
             CASE(calls_are_forbidden), CASE(calls_are_invalid))
