/* Who may become a worker, who may connect, and what a worker can do to its host. */
#include "child.h"
#include "remains.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define DIGITS "00112233445566778899aabbccddeeff"

/* Runs this program's --list with the variable, and descriptor 5 as it is; it lists its cases and
 * ends: it is itself, and no worker. */
static void check_is_itself(const char *value)
{
    int out[2], status;
    char text[4096] = "";
    size_t length = 0;
    ssize_t size;
    pid_t child;
    CHECK_EQ(pipe(out), 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(out[1], 1);
        setenv("CFUT_WORKER", value, 1);
        execl("/proc/self/exe", "intruders", "--list", (char *)NULL);
        _exit(99);
    }
    close(out[1]);
    while ((size = read(out[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)size;
    close(out[0]);
    status = child_wait(child);
    if (status != 0)
        fprintf(stderr, "CFUT_WORKER=%s: status %#x\n", value, status);
    CHECK_EQ(status, 0);
    CHECK(strstr(text, "variable_is_not_enough") != NULL);
}

LEAVES_NOTHING(variable_is_not_enough)
{
    static const char *const values[] = {
        "", "junk", "3", "3:", ":" DIGITS, "0:" DIGITS, "1:" DIGITS, "2:" DIGITS, "3:" DIGITS, "5:" DIGITS,
        "-1:" DIGITS, "99:" DIGITS, "999999999:" DIGITS, "99999999999999999999:" DIGITS, "5:" DIGITS "0",
        "5:0123", " 5:" DIGITS, "5:" DIGITS ":" DIGITS, "5:zz112233445566778899aabbccddeeff",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        check_is_itself(values[i]);
}

/* What descriptor 5 is, with a well-formed variable. */
static void with_descriptor(int fd)
{
    CHECK_EQ(dup2(fd, 5), 5);
    check_is_itself("5:" DIGITS);
    CHECK_EQ(close(5), 0);
}

LEAVES_NOTHING(sockets_of_others)
{
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    char packet[512];
    int fds[2];
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (int filled = 0; filled < 3; filled++) {
            CHECK_EQ(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds), 0);
            /* Nothing but an end; a byte; a packet of another secret's, or of none. */
            memset(packet, filled, sizeof packet);
            packet[0] = 1;
            if (filled > 0)
                CHECK(send(fds[1], packet, filled == 1 ? 1 : 48, 0) > 0);
            close(fds[1]);
            with_descriptor(fds[0]);
            close(fds[0]);
        }
    }
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fds[0] >= 0) {
        with_descriptor(fds[0]);
        close(fds[0]);
    }
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    with_descriptor(fds[0]);
    close(fds[0]);
    close(fds[1]);
}

/* A copy of this program that runs with another user's rights does not become a worker, whatever
 * it inherits: here, everything that a pool gives. */
LEAVES_NOTHING(program_with_other_rights)
{
    char path[64], command[256];
    struct statvfs mount;
    cfut_options *options;
    cfut_executor *executor = NULL;
    cfut_future *future = NULL;
    cfut_task *task = NULL;
    cfut_status status;
    if (getuid() != 0 || statvfs("/tmp", &mount) != 0 || (mount.f_flag & ST_NOSUID) != 0) {
        puts("skipped: not root, or /tmp has no set-id programs");
        return;
    }
    snprintf(path, sizeof path, "/tmp/cfut-setid-%d", (int)getpid());
    snprintf(command, sizeof command, "cp /proc/%d/exe %s", (int)getpid(), path);
    CHECK_EQ((system)(command), 0);
    CHECK_EQ(chown(path, 65534, 65534), 0);
    CHECK_EQ(chmod(path, 04755), 0);
    options = options_of(1);
    CHECK_OK(cfut_options_set_text(options, CFUT_OPT_WORKER_PROGRAM, path));
    CHECK_OK(cfut_process_pool_new(options, &executor));
    cfut_options_free(options);
    CHECK_OK(cfut_task_new_named("any", &task));
    status = cfut_submit_task(executor, task, NULL, 0, &future);
    if (status == CFUT_OK) {
        CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_BROKEN);
        cfut_future_release(future);
    } else {
        CHECK_STATUS(status, CFUT_BROKEN);
    }
    cfut_task_free(task);
    CHECK_OK(cfut_executor_shutdown(executor, 0, CFUT_FOREVER));
    cfut_executor_release(executor);
    unlink(path);
}

/* ---- names ---- */

/* Whether /proc/net/unix has a name for an inode. */
static bool has_name(unsigned long inode)
{
    FILE *sockets = fopen("/proc/net/unix", "re");
    char line[512];
    bool named = false;
    CHECK(sockets != NULL);
    while (fgets(line, sizeof line, sockets) != NULL) {
        unsigned long found;
        char name[256] = "";
        if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %255s", &found, name) >= 1 && found == inode)
            named |= name[0] != '\0';
    }
    fclose(sockets);
    return named;
}

/* Sockets of a process: how many; none has a name. */
static int check_sockets(int pid)
{
    char path[300], target[256];
    struct dirent *entry;
    DIR *directory;
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    directory = opendir(path);
    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL) {
        unsigned long inode;
        ssize_t size;
        snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, entry->d_name);
        size = readlink(path, target, sizeof target - 1);
        if (size <= 0)
            continue;
        target[size] = '\0';
        if (sscanf(target, "socket:[%lu]", &inode) == 1) {
            CHECK(!has_name(inode));
            count++;
        }
    }
    closedir(directory);
    return count;
}

LEAVES_NOTHING(sockets_have_no_names)
{
    cfut_executor *executor = process_pool(2);
    int pids[16], count, sockets = 0;
    CHECK_OK(cfut_executor_warm(executor, CFUT_FOREVER));
    pool_works(executor);
    count = remains_list(remains_tag, pids, 16);
    CHECK_EQ(count, 3);
    for (int i = 0; i < count; i++)
        sockets += check_sockets(pids[i]);
    CHECK(sockets >= 3);
    CHECK(check_sockets(getpid()) >= 3);
    check_close(executor);
}

/* What a worker has open: its streams, its socket, and nothing of the host's. */
static int32_t descriptors_task(cfut_promise *self, const void *data, size_t length)
{
    int count = 0;
    (void)self;
    (void)data;
    (void)length;
    for (int fd = 3; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0 && fcntl(fd, F_GETFD) != FD_CLOEXEC;
    return count; /* everything of ours is closed on exec */
}

LEAVES_NOTHING(descriptors_of_the_host)
{
    int fds[100];
    cfut_executor *executor;
    for (int i = 0; i < 100; i++)
        fds[i] = open("/dev/zero", O_RDONLY); /* not closed on exec */
    for (int method = 0; method < 2; method++) {
        cfut_options *options = options_of(1);
        cfut_future *future = NULL;
        CHECK_OK(cfut_options_set(options, CFUT_OPT_START_METHOD, method));
        executor = process_pool_with(options);
        CHECK_OK(cfut_submit(executor, descriptors_task, NULL, 0, &future));
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        cfut_future_release(future);
        check_close(executor);
    }
    for (int i = 0; i < 100; i++)
        close(fds[i]);
}

/* ---- a worker that writes where it must not ---- */

/* Task: writes random words to random places of the memory it shares with its host, some of it
 * at once and some while the host works on it. */
static int32_t scribble_task(cfut_promise *self, const void *data, size_t length)
{
    uint64_t random;
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    (void)self;
    (void)length;
    memcpy(&random, data, sizeof random);
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        if (strstr(line, "memfd:cfutures-link") == NULL || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        for (int i = 0; i < 3000; i++) {
            uint64_t *word;
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            word = (uint64_t *)(from + (random >> 20) % ((to - from) / 8) * 8);
            /* Words that nearly make sense are worse than others. */
            *word = random % 4 == 0 ? random : random % 4 == 1 ? random >> 40 : random % 4 == 2 ? *word + 16 : 0;
            if (i % 1000 == 999)
                check_sleep(200000);
        }
    }
    return (int32_t)(random >> 33) % 2;
}

static cfut_future *limited_submit(cfut_executor *executor, cfut_task_fn function, uint64_t number)
{
    cfut_task *task = NULL;
    cfut_future *future = NULL;
    CHECK_OK(cfut_task_new(function, &task));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_TOTAL_TIMEOUT_NS, CFUT_MSEC(500)));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, CFUT_MSEC(5)));
    CHECK_OK(cfut_submit_task(executor, task, &number, sizeof number, &future));
    cfut_task_free(task);
    return future;
}

/* Such a worker may lose itself, as one whose task does not end; time-outs hold all the same. */
LEAVES_NOTHING(scribbles)
{
    int rounds = getenv("CHECK_ROUNDS") != NULL ? atoi(getenv("CHECK_ROUNDS")) : 100;
    cfut_executor *executor = process_pool(2);
    uint64_t seed = (uint64_t)check_now();
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < rounds; round++) {
        cfut_future *future = NULL;
        uint64_t number = seed + (uint64_t)round * 977;
        cfut_status status;
        future = limited_submit(executor, scribble_task, number);
        status = cfut_future_wait(future, CFUT_SEC(20));
        if (status == CFUT_TIMEOUT)
            fprintf(stderr, "round %d hangs\n", round);
        CHECK(status != CFUT_TIMEOUT);
        cfut_future_release(future);
        if (round % 10 == 9) {
            /* The worker may only just have been found out: what it was given then is lost with it. But
             * the pool works again, sooner or later. */
            do {
                future = limited_submit(executor, echo_task, 1);
                status = cfut_future_wait(future, CFUT_FOREVER);
                cfut_future_release(future);
            } while (status != CFUT_OK);
        }
    }
    CHECK_EQ(check_stat(executor, CFUT_STAT_BROKEN), 0);
    CHECK_OK(cfut_executor_shutdown(executor, CFUT_SHUTDOWN_KILL, CFUT_SEC(5)));
    check_unwatch(executor);
    cfut_executor_release(executor);
}

REMAINS_MAIN(CASE(variable_is_not_enough), CASE(sockets_of_others), CASE(program_with_other_rights),
             CASE(sockets_have_no_names), CASE(descriptors_of_the_host), CASE(scribbles))
