/* Under a CPU quota of a control group: default sizes follow it, and everything goes on.
 * Needs a mounted cpu controller in which this user may make groups; says so where not. */
#include "parts.h"
#include "child.h"

#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <sys/stat.h>

/* A group made below our own, with one inside it. */
struct groups {
    bool unified;
    char outer[PATH_MAX - 100], inner[PATH_MAX - 50];
};

/* Writes a file of a group; 0 or why not. */
static int write_in(const char *group, const char *name, const char *text)
{
    char path[PATH_MAX];
    int fd, why = 0;
    snprintf(path, sizeof path, "%s/%s", group, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (write(fd, text, strlen(text)) < 0)
        why = errno;
    close(fd);
    return why;
}

/* Our group's path in the hierarchy that has the cpu controller, or in the unified one. */
static bool own_group(bool unified, char *path, size_t size)
{
    FILE *table = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    bool found = false;
    while (table != NULL && !found && fgets(line, sizeof line, table) != NULL) {
        char *controllers = strchr(line, ':'), *group;
        if (controllers == NULL || (group = strchr(++controllers, ':')) == NULL)
            continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        if (unified)
            found = strcmp(line, "0:") == 0 || strcmp(controllers, "") == 0;
        else
            for (char *rest, *word = strtok_r(controllers, ",", &rest); word != NULL;
                 word = strtok_r(NULL, ",", &rest))
                found |= strcmp(word, "cpu") == 0;
        if (found)
            snprintf(path, size, "%s", strcmp(group, "/") == 0 ? "" : group);
    }
    if (table != NULL)
        fclose(table);
    return found;
}

/* Half a processor for the outer group; 0 or why not. */
static int set_quota(const struct groups *groups)
{
    if (groups->unified)
        return write_in(groups->outer, "cpu.max", "50000 100000");
    return write_in(groups->outer, "cpu.cfs_quota_us", "50000");
}

static int make_groups(struct groups *groups, const char *mount)
{
    char own[PATH_MAX / 2];
    int why;
    if (!own_group(groups->unified, own, sizeof own))
        return ENOENT;
    snprintf(groups->outer, sizeof groups->outer, "%s%s/cfut-test-%d", mount, own, (int)getpid());
    snprintf(groups->inner, sizeof groups->inner, "%s/inner", groups->outer);
    if (mkdir(groups->outer, 0755) != 0)
        return errno;
    if ((why = set_quota(groups)) == 0 && mkdir(groups->inner, 0755) != 0)
        why = errno;
    if (why != 0)
        rmdir(groups->outer);
    return why;
}

/* False, having said why, if there is no controller for us here. */
static bool find_groups(struct groups *groups)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent *mount;
    bool made = false;
    while (mounts != NULL && !made && (mount = getmntent(mounts)) != NULL) {
        groups->unified = strcmp(mount->mnt_type, "cgroup2") == 0;
        if (groups->unified ||
            (strcmp(mount->mnt_type, "cgroup") == 0 && hasmntopt(mount, "cpu") != NULL)) {
            int why = make_groups(groups, mount->mnt_dir);
            made = why == 0;
            if (!made)
                printf("not tried in %s: %s\n", mount->mnt_dir, strerror(why));
        }
    }
    if (mounts != NULL)
        endmntent(mounts);
    if (!made)
        puts("not tried: no control group with a CPU quota can be made here");
    return made;
}

static int64_t workers_by_default(void)
{
    cfut_executor *pool;
    int64_t workers;
    CHECK_OK(cfut_thread_pool_new(NULL, &pool));
    workers = check_stat(pool, CFUT_STAT_MAX_WORKERS);
    CHECK_OK(cfut_executor_warm(pool, CFUT_FOREVER));
    for (int i = 0; i < 100; i++)
        CHECK_OK(end_of(submit_nothing(pool)));
    CHECK_OK(cfut_executor_shutdown(pool, 0, CFUT_FOREVER));
    cfut_executor_release(pool);
    return workers;
}

static void remove_groups(const struct groups *groups)
{
    CHECK_SOON(rmdir(groups->inner) == 0 || errno == ENOENT);
    CHECK_SOON(rmdir(groups->outer) == 0 || errno == ENOENT);
}

/* The library looks once a process: a child does, and goes into the group before. */
static void expect_one_processor_in(const struct groups *groups, const char *group)
{
    char pid[24];
    int status;
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        child_watchdog();
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        CHECK_EQ(write_in(group, "cgroup.procs", pid), 0);
        CHECK_EQ(cfut_cpu_count(), 1);
        CHECK_EQ(workers_by_default(), 1 + 4);
        _exit(0);
    }
    status = child_wait(child);
    remove_groups(groups);
    CHECK_EQ(status, 0);
}

static bool has_two_processors(void)
{
    cpu_set_t set;
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    if (CPU_COUNT(&set) > 1)
        return true;
    puts("not tried: with one processor a quota makes no difference");
    return false;
}

static void default_sizes_follow_a_quota(void)
{
    struct groups groups;
    if (!has_two_processors() || !find_groups(&groups))
        return;
    expect_one_processor_in(&groups, groups.outer);
}

static void quota_of_an_outer_group_counts(void)
{
    struct groups groups;
    if (!has_two_processors() || !find_groups(&groups))
        return;
    expect_one_processor_in(&groups, groups.inner);
}

CHECK_MAIN(CASE(default_sizes_follow_a_quota), CASE(quota_of_an_outer_group_counts))
