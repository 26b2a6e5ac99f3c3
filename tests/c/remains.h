/* What is left when a case of process pools is over: nothing. The case is run by REMAINS_MAIN,
 * which counts before and after: descriptors, threads, children, mappings of the library's
 * memory, and processes anywhere that carry the case's tag in their environment.
 */
#ifndef REMAINS_H
#define REMAINS_H

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define TAG "CFUT_TEST_TAG"

static char remains_tag[64];

/* ---- counting ---- */

CHECK_UNUSED static int remains_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;
    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Lines of /proc/self/maps with this word. */
CHECK_UNUSED static int remains_mappings(const char *word)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    int count = 0;
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, word) != NULL;
    fclose(maps);
    return count;
}

/* Whether a process has the tag; its first kilobytes of environment may be longer than that. */
CHECK_UNUSED static bool remains_is_tagged(int pid, const char *tag)
{
    static char text[1 << 16];
    char path[64];
    size_t length = strlen(tag) + 1;
    ssize_t size;
    int fd;
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false; /* gone, or somebody else's */
    size = read(fd, text, sizeof text);
    close(fd);
    return size > 0 && memmem(text, (size_t)size, tag, length) != NULL;
}

/* Processes other than this one that have the tag; the first `most` of them are listed. */
CHECK_UNUSED static int remains_list(const char *tag, int *pids, int most)
{
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    int count = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        int pid = atoi(entry->d_name);
        if (pid > 0 && pid != (int)getpid() && remains_is_tagged(pid, tag)) {
            if (count < most)
                pids[count] = pid;
            count++;
        }
    }
    closedir(directory);
    return count;
}

CHECK_UNUSED static int remains_processes(void)
{
    return remains_list(remains_tag, NULL, 0);
}

/* What /proc/PID/stat says after the name: `letter` its state, `parent` its parent. */
CHECK_UNUSED static bool remains_stat(int pid, char *letter, int *parent, char name[64])
{
    char path[64], text[512], *end;
    ssize_t size;
    int fd;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    end = strrchr(text, ')');
    if (end == NULL)
        return false;
    *end = '\0';
    snprintf(name, 64, "%s", strchr(text, '(') + 1);
    return sscanf(end + 2, "%c %d", letter, parent) == 2;
}

/* The pool's supervisor, by its name; 0: there is none (any more, yet). */
CHECK_UNUSED static int remains_supervisor(void)
{
    int pids[64], count = remains_list(remains_tag, pids, 64);
    for (int i = 0; i < count && i < 64; i++) {
        char letter, name[64];
        int parent;
        if (remains_stat(pids[i], &letter, &parent, name) && letter != 'Z' &&
            strcmp(name, "cfut-super") == 0)
            return pids[i];
    }
    return 0;
}

/* ---- before and after ---- */

struct remains {
    int descriptors, threads, mappings;
};

CHECK_UNUSED static struct remains remains_now(void)
{
    struct remains now;
    now.descriptors = remains_entries("/proc/self/fd");
    now.threads = remains_entries("/proc/self/task");
    now.mappings = remains_mappings("memfd:cfutures");
    return now;
}

CHECK_UNUSED static void remains_show(struct remains before, struct remains now)
{
    int pids[16], count = remains_list(remains_tag, pids, 16);
    fprintf(stderr, "before: %d descriptors, %d threads, %d mappings; after: %d, %d, %d; %d processes\n",
            before.descriptors, before.threads, before.mappings, now.descriptors, now.threads,
            now.mappings, count);
    for (int i = 0; i < count && i < 16; i++) {
        char letter = '?', name[64] = "";
        int parent = 0;
        remains_stat(pids[i], &letter, &parent, name);
        fprintf(stderr, "    %d %s %c, child of %d\n", pids[i], name, letter, parent);
    }
}

/* Nothing is left: threads and processes have a moment to be gone. */
CHECK_UNUSED static void remains_check(struct remains before)
{
    int64_t end = check_now() + INT64_C(10000000000);
    for (;;) {
        struct remains now = remains_now();
        int children = waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1;
        bool good = now.descriptors == before.descriptors && now.threads == before.threads &&
                    now.mappings == before.mappings && children == 0 && remains_processes() == 0;
        if (good)
            return;
        if (check_now() > end) {
            remains_show(before, now);
            check_failed(__FILE__, __LINE__, "something is left over");
        }
        check_sleep(2000000);
    }
}

/* ---- pools ---- */

/* Takes the options. */
CHECK_UNUSED static cfut_executor *process_pool_with(cfut_options *options)
{
    cfut_executor *executor = NULL;
    CHECK_OK(cfut_process_pool_new(options, &executor));
    cfut_options_free(options);
    return check_watch(executor);
}

CHECK_UNUSED static cfut_executor *process_pool(int64_t workers)
{
    return process_pool_with(options_of(workers));
}

CHECK_UNUSED static int64_t info_of(cfut_future *future, int32_t key)
{
    int64_t value = -1;
    CHECK_OK(cfut_future_info(future, key, &value));
    return value;
}

/* Task: answers with its data. */
CHECK_UNUSED static int32_t echo_task(cfut_promise *self, const void *data, size_t length)
{
    CHECK_OK(cfut_promise_set_bytes(self, data, length));
    return 0;
}

CHECK_UNUSED static cfut_future *echo_submit(cfut_executor *executor, int64_t number)
{
    cfut_future *future = NULL;
    CHECK_OK(cfut_submit(executor, echo_task, &number, sizeof number, &future));
    return future;
}

/* Its end is the right one; takes the future. */
CHECK_UNUSED static void echo_check(cfut_future *future, int64_t number)
{
    size_t length = 0;
    const void *bytes;
    cfut_status status = cfut_future_wait(future, CFUT_FOREVER);
    if (status != CFUT_OK)
        fprintf(stderr, "%s: %s\n", cfut_status_name(status), cfut_future_message(future));
    CHECK_STATUS(status, CFUT_OK);
    bytes = cfut_future_bytes(future, &length);
    CHECK_EQ(length, sizeof number);
    CHECK(memcmp(bytes, &number, sizeof number) == 0);
    cfut_future_release(future);
}

/* The pool still works: as many tasks in a row and at once. */
CHECK_UNUSED static void pool_works(cfut_executor *executor)
{
    cfut_future *futures[32];
    for (int i = 0; i < 32; i++)
        futures[i] = echo_submit(executor, i * 7);
    for (int i = 0; i < 32; i++)
        echo_check(futures[i], i * 7);
}

/* Memory that the host and all processes it starts later share, at the same address. Made before
 * the pool: workers of this program are executed, so they map it by their own main(). */
struct shared {
    volatile int32_t entered[8], open[8], pids[8];
    volatile int64_t counter;
};

static struct shared *shared;

/* In each process of the test: the file of the case, by its environment. */
CHECK_UNUSED static void shared_map(void)
{
    const char *path = getenv("CFUT_TEST_SHARED");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(shared != MAP_FAILED);
    close(fd);
}

static pid_t remains_owner;

static void remains_forget(void)
{
    if (getpid() == remains_owner)
        unlink(getenv("CFUT_TEST_SHARED"));
}

CHECK_UNUSED static void remains_begin(void)
{
    char path[64];
    int fd;
    remains_owner = getpid();
    snprintf(remains_tag, sizeof remains_tag, TAG "=%d-%llx", (int)getpid(),
             (unsigned long long)check_now());
    CHECK_EQ(setenv(TAG, remains_tag + strlen(TAG) + 1, 1), 0);
    snprintf(path, sizeof path, "/tmp/cfut-test-XXXXXX");
    fd = mkostemp(path, O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, sizeof *shared), 0);
    close(fd);
    CHECK_EQ(setenv("CFUT_TEST_SHARED", path, 1), 0);
    CHECK_EQ(atexit(remains_forget), 0);
    shared_map();
}

/* Runs one case between two counts. The library's own caches are filled by a first pool. */
CHECK_UNUSED static void remains_run(void (*run)(void))
{
    struct remains before;
    remains_begin();
    check_close(process_pool(1));
    while (remains_processes() != 0)
        check_sleep(1000000);
    before = remains_now();
    run();
    remains_check(before);
}

/* `BEFORE` is done in each process, before it is known which it is. */
#define REMAINS_MAIN(...) \
    int main(int argc, char **argv) \
    { \
        static const check_case cases[] = { __VA_ARGS__ }; \
        shared_map(); \
        cfut_worker_main(); \
        return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]); \
    }

/* A case whose end is looked at: LEAVES(name) { ... } */
#define LEAVES_NOTHING(name) \
    static void name##_in(void); \
    static void name(void) \
    { \
        remains_run(name##_in); \
    } \
    static void name##_in(void)

/* Task: says that it has entered gate 0, and waits until it is open. */
CHECK_UNUSED static int32_t stand_task(cfut_promise *self, const void *data, size_t length)
{
    int32_t at = 0;
    (void)self;
    memcpy(&at, data, length < sizeof at ? length : sizeof at);
    shared->pids[at] = (int32_t)getpid();
    __atomic_add_fetch(&shared->entered[at], 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->open[at], __ATOMIC_SEQ_CST) == 0)
        check_sleep(1000000);
    return 0;
}

/* One that stands at gate `at`; returns when it does. */
CHECK_UNUSED static cfut_future *stand_submit(cfut_executor *executor, int32_t at)
{
    int32_t before = shared->entered[at];
    cfut_future *future = NULL;
    CHECK_OK(cfut_submit(executor, stand_task, &at, sizeof at, &future));
    CHECK_SOON(__atomic_load_n(&shared->entered[at], __ATOMIC_SEQ_CST) > before);
    return future;
}

#endif
