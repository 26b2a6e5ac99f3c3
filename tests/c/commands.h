/* Commands: what both halves of the suites are made of. The cases are the same on threads and on
 * processes; NEW_POOL(workers) and NEW_POOL_WITH(options) make the pool.
 *
 * Real programs are run: sh, cat, seq, yes, ... in a directory of the case's own. Host and command
 * meet there: a command that stands has written its number into a file, and goes on when a line comes
 * through a FIFO. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- the directory of the case ---- */

static char place[64] = "";

CHECK_UNUSED static void place_remove(void)
{
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", place);
    if (system(line) != 0)
        fprintf(stderr, "%s stays\n", place);
}

CHECK_UNUSED static void place_make(void)
{
    snprintf(place, sizeof place, "/tmp/cfut-commands-XXXXXX");
    CHECK(mkdtemp(place) != NULL);
    atexit(place_remove);
}

/* A path in it; the last eight stay. */
CHECK_UNUSED static const char *path_of(const char *name)
{
    static char paths[8][160];
    static atomic_int next;
    char *path = paths[atomic_fetch_add(&next, 1) % 8];
    snprintf(path, sizeof paths[0], "%s/%s", place, name);
    return path;
}

CHECK_UNUSED static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text, strlen(text)), (long long)strlen(text));
    close(fd);
}

/* The number that a file holds; 0: there is none yet. */
CHECK_UNUSED static long number_in(const char *name)
{
    char text[32] = "";
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 && strchr(text, '\n') != NULL ? strtol(text, NULL, 10) : 0;
}

CHECK_UNUSED static pid_t pid_in(const char *name)
{
    CHECK_SOON(number_in(name) != 0);
    return (pid_t)number_in(name);
}

/* ---- processes ---- */

/* Gone, or a zombie that nobody has collected. */
CHECK_UNUSED static bool is_gone(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return true;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    const char *state = strrchr(text, ')');
    return state == NULL || state[2] == 'Z' || state[2] == 'X';
}

CHECK_UNUSED static pid_t parent_of(pid_t pid)
{
    char path[64];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK_EQ(fscanf(file, "%*d %*[^)]) %*c %d", &parent), 1);
    fclose(file);
    return parent;
}

/* ---- commands ---- */

/* A program and its arguments, up to NULL. */
CHECK_UNUSED static cfut_task *command(const char *program, ...)
{
    cfut_task *task = NULL;
    va_list arguments;
    CHECK_OK(cfut_task_new_command(program, &task));
    va_start(arguments, program);
    for (const char *next; (next = va_arg(arguments, const char *)) != NULL;)
        CHECK_OK(cfut_task_add_arg(task, next));
    va_end(arguments);
    if (place[0] != 0)
        CHECK_OK(cfut_task_set_text(task, CFUT_TASK_DIRECTORY, place));
    return task;
}

CHECK_UNUSED static cfut_task *shell(const char *script)
{
    return command("sh", "-c", script, NULL);
}

CHECK_UNUSED static cfut_task *shell_with(const char *script, int32_t key, int64_t value)
{
    cfut_task *task = shell(script);
    CHECK_OK(cfut_task_set(task, key, value));
    return task;
}

CHECK_UNUSED static cfut_future *start(cfut_executor *pool, cfut_task *task)
{
    return submit_once(pool, task, NULL, 0);
}

/* Writes its number into the file `here`, and goes on when a line comes through `gate`. */
#define STAND "echo $$ >here; read line <gate; "

CHECK_UNUSED static void gate_make(void)
{
    CHECK_EQ(mkfifo(path_of("gate"), 0600), 0);
}

CHECK_UNUSED static void gate_open(const char *gate)
{
    int fd = open(path_of(gate), O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "\n", 1), 1);
    close(fd);
}

/* Lets the one that stands go on. */
CHECK_UNUSED static void gate_pass(void)
{
    gate_open("gate");
}

/* A command that stands, and its number. */
CHECK_UNUSED static cfut_future *stand(cfut_executor *pool, cfut_task *task, pid_t *pid)
{
    cfut_future *future = start(pool, task);
    *pid = pid_in("here");
    return future;
}

CHECK_UNUSED static void expect_bytes(cfut_future *future, const char *wanted)
{
    size_t length = 0;
    const char *bytes = cfut_future_bytes(future, &length);
    if (length != strlen(wanted) || (length > 0 && memcmp(bytes, wanted, length) != 0)) {
        fprintf(stderr, "bytes: %.*s\nwanted: %s\n", (int)length, bytes, wanted);
        CHECK(!"the bytes are those wanted");
    }
}

CHECK_UNUSED static void expect_output(cfut_executor *pool, cfut_task *task, const char *wanted)
{
    cfut_future *future = start(pool, task);
    cfut_status status = cfut_future_wait(future, CFUT_FOREVER);
    if (status != CFUT_OK)
        fprintf(stderr, "code %d: %s\n", cfut_future_code(future), cfut_future_message(future));
    CHECK_OK(status);
    expect_bytes(future, wanted);
    cfut_future_release(future);
}

/* It fails with this code and a message that has these words. */
CHECK_UNUSED static void expect_failure(cfut_future *future, int32_t code, const char *words)
{
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    const char *message = cfut_future_message(future);
    if (cfut_future_code(future) != code || strstr(message, words) == NULL)
        fprintf(stderr, "message: %s\n", message);
    CHECK_EQ(cfut_future_code(future), code);
    CHECK(strstr(message, words) != NULL);
    cfut_future_release(future);
}

CHECK_UNUSED static int64_t info(cfut_future *future, int32_t key)
{
    int64_t value = -1;
    CHECK_OK(cfut_future_info(future, key, &value));
    return value;
}

#endif
