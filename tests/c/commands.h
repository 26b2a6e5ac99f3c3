/* Commands: the cases are the same on threads (commands.c) and on processes (process_commands.c);
 * NEW_POOL(workers) and NEW_POOL_WITH(options) make the pool.
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

static void place_remove(void)
{
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", place);
    if (system(line) != 0)
        fprintf(stderr, "%s stays\n", place);
}

static void place_make(void)
{
    snprintf(place, sizeof place, "/tmp/cfut-commands-XXXXXX");
    CHECK(mkdtemp(place) != NULL);
    atexit(place_remove);
}

/* A path in it; the last eight stay. */
static const char *path_of(const char *name)
{
    static char paths[8][160];
    static atomic_int next;
    char *path = paths[atomic_fetch_add(&next, 1) % 8];
    snprintf(path, sizeof paths[0], "%s/%s", place, name);
    return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text, strlen(text)), (long long)strlen(text));
    close(fd);
}

/* The number that a file holds; 0: there is none yet. */
static long number_in(const char *name)
{
    char text[32] = "";
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 && strchr(text, '\n') != NULL ? strtol(text, NULL, 10) : 0;
}

static pid_t pid_in(const char *name)
{
    CHECK_SOON(number_in(name) != 0);
    return (pid_t)number_in(name);
}

/* ---- processes ---- */

/* Gone, or a zombie that nobody has collected. */
static bool is_gone(pid_t pid)
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

static pid_t parent_of(pid_t pid)
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
static cfut_task *command(const char *program, ...)
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

static cfut_task *shell(const char *script)
{
    return command("sh", "-c", script, NULL);
}

static cfut_task *shell_with(const char *script, int32_t key, int64_t value)
{
    cfut_task *task = shell(script);
    CHECK_OK(cfut_task_set(task, key, value));
    return task;
}

static cfut_future *start(cfut_executor *pool, cfut_task *task)
{
    return submit_once(pool, task, NULL, 0);
}

/* Writes its number into the file `here`, and goes on when a line comes through `gate`. */
#define STAND "echo $$ >here; read line <gate; "

static void gate_make(void)
{
    CHECK_EQ(mkfifo(path_of("gate"), 0600), 0);
}

static void gate_open(const char *gate)
{
    int fd = open(path_of(gate), O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "\n", 1), 1);
    close(fd);
}

/* Lets the one that stands go on. */
static void gate_pass(void)
{
    gate_open("gate");
}

/* A command that stands, and its number. */
static cfut_future *stand(cfut_executor *pool, cfut_task *task, pid_t *pid)
{
    cfut_future *future = start(pool, task);
    *pid = pid_in("here");
    return future;
}

static void expect_bytes(cfut_future *future, const char *wanted)
{
    size_t length = 0;
    const char *bytes = cfut_future_bytes(future, &length);
    if (length != strlen(wanted) || (length > 0 && memcmp(bytes, wanted, length) != 0)) {
        fprintf(stderr, "bytes: %.*s\nwanted: %s\n", (int)length, bytes, wanted);
        CHECK(!"the bytes are those wanted");
    }
}

static void expect_output(cfut_executor *pool, cfut_task *task, const char *wanted)
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
static void expect_failure(cfut_future *future, int32_t code, const char *words)
{
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    const char *message = cfut_future_message(future);
    if (cfut_future_code(future) != code || strstr(message, words) == NULL)
        fprintf(stderr, "message: %s\n", message);
    CHECK_EQ(cfut_future_code(future), code);
    CHECK(strstr(message, words) != NULL);
    cfut_future_release(future);
}

static int64_t info(cfut_future *future, int32_t key)
{
    int64_t value = -1;
    CHECK_OK(cfut_future_info(future, key, &value));
    return value;
}

/* ---- what goes in, and what comes out ---- */

static void output_is_the_result(void)
{
    cfut_executor *pool = NEW_POOL(2);
    expect_output(pool, command("printf", "hello", NULL), "hello");
    expect_output(pool, command("printf", "a longer text than fits a future itself\\n", NULL),
                  "a longer text than fits a future itself\n");
    expect_output(pool, command("true", NULL), "");
    check_close(pool);
}

static void input_of_every_length(void)
{
    static const size_t lengths[] = { 0, 1, 8, 17, 961, 65536, 65537, 3000000 };
    static unsigned char bytes[3000000];
    cfut_executor *pool = NEW_POOL(2);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        cfut_future *future = submit_once(pool, command("cat", NULL), bytes, lengths[i]);
        size_t length = 1;
        CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
        const void *back = cfut_future_bytes(future, &length);
        CHECK_EQ(length, lengths[i]);
        CHECK(length == 0 || memcmp(back, bytes, length) == 0);
        cfut_future_release(future);
    }
    check_close(pool);
}

static void input_from_a_buffer(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_buffer *buffer = NULL;
    cfut_future *future = NULL;
    cfut_task *task = command("tr", "a-z", "A-Z", NULL);
    CHECK_OK(cfut_buffer_new(12, 0, &buffer));
    memcpy(cfut_buffer_data(buffer), "from buffers", 12);
    CHECK_OK(cfut_submit_buffer(pool, task, buffer, &future));
    cfut_buffer_release(buffer);
    cfut_task_free(task);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    expect_bytes(future, "FROM BUFFERS");
    cfut_future_release(future);
    check_close(pool);
}

#define HUNDRED_MB 100000000

static void a_lot_of_input_that_nobody_reads(void)
{
    cfut_executor *pool = NEW_POOL(1);
    char *bytes = calloc(1, HUNDRED_MB);
    CHECK(bytes != NULL);
    cfut_future *future = submit_once(pool, command("true", NULL), bytes, HUNDRED_MB);
    free(bytes);
    CHECK_OK(end_of(future));
    check_close(pool);
}

static void a_lot_of_output(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *future = start(pool, command("head", "-c", "100000000", "/dev/zero", NULL));
    size_t length = 0;
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    const char *bytes = cfut_future_bytes(future, &length);
    CHECK_EQ(length, HUNDRED_MB);
    CHECK_EQ(bytes[0], 0);
    CHECK_EQ(bytes[length - 1], 0);
    cfut_future_release(future);
    check_close(pool);
}

static void arguments_as_given(void)
{
    cfut_executor *pool = NEW_POOL(1);
    static char longest[100001], wanted[100100];
    memset(longest, 'x', sizeof longest - 1);
    snprintf(wanted, sizeof wanted, "a b||*$HOME|\"\\'|\xff|%s|", longest);
    expect_output(pool, command("printf", "%s|", "a b", "", "*$HOME", "\"\\'", "\xff", longest, NULL),
                  wanted);
    check_close(pool);
}

static void a_builder_for_several(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_task *task = command("echo", "one", NULL);
    cfut_future *first = NULL, *second = NULL;
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &first));
    CHECK_OK(cfut_task_add_arg(task, "two")); /* the first has what it had */
    CHECK_OK(cfut_submit_task(pool, task, NULL, 0, &second));
    cfut_task_free(task);
    CHECK_OK(cfut_future_wait(first, CFUT_FOREVER));
    CHECK_OK(cfut_future_wait(second, CFUT_FOREVER));
    expect_bytes(first, "one\n");
    expect_bytes(second, "one two\n");
    cfut_future_release(first);
    cfut_future_release(second);
    check_close(pool);
}

static void environment_is_the_hosts_and_more(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_task *task;
    CHECK_EQ(setenv("CFUT_TEST_KEPT", "kept", 1), 0);
    CHECK_EQ(setenv("CFUT_TEST_CHANGED", "host", 1), 0);
    task = shell("printf %s-%s-%s \"$CFUT_TEST_KEPT\" \"$CFUT_TEST_CHANGED\" \"$CFUT_TEST_NEW\"");
    CHECK_OK(cfut_task_add_env(task, "CFUT_TEST_NEW", "old"));
    CHECK_OK(cfut_task_add_env(task, "CFUT_TEST_NEW", "a=b c"));
    CHECK_OK(cfut_task_add_env(task, "CFUT_TEST_CHANGED", ""));
    CHECK_EQ(setenv("CFUT_TEST_KEPT", "later", 1), 0); /* after the builder was made */
    expect_output(pool, task, "kept--a=b c");
    expect_output(pool, shell("printf %s \"${CFUT_WORKER-none}\""), "none");
    check_close(pool);
}

static void directories(void)
{
    cfut_executor *pool = NEW_POOL(1);
    char wanted[128];
    place_make();
    CHECK_EQ(mkdir(path_of("inner"), 0700), 0);
    snprintf(wanted, sizeof wanted, "%s\n", place);
    expect_output(pool, command("pwd", NULL), wanted);
    CHECK_EQ(chdir(place), 0);
    cfut_task *task = command("pwd", NULL);
    CHECK_OK(cfut_task_set_text(task, CFUT_TASK_DIRECTORY, "inner")); /* from the host's */
    snprintf(wanted, sizeof wanted, "%s/inner\n", place);
    expect_output(pool, task, wanted);
    task = NULL;
    CHECK_OK(cfut_task_new_command("pwd", &task)); /* where the host is when it begins */
    CHECK_EQ(chdir("inner"), 0);
    expect_output(pool, task, wanted);
    CHECK_EQ(chdir("/"), 0);
    task = command("pwd", NULL);
    CHECK_OK(cfut_task_set_text(task, CFUT_TASK_DIRECTORY, "/nowhere/at/all"));
    expect_failure(start(pool, task), CFUT_ESYS, "/nowhere/at/all");
    check_close(pool);
}

static void programs_are_found(void)
{
    cfut_executor *pool = NEW_POOL(1);
    place_make();
    CHECK_EQ(mkdir(path_of("bin"), 0700), 0);
    write_file("bin/mine", "#!/bin/sh\necho \"mine: $1\"\n", 0700);
    expect_output(pool, command("bin/mine", "by path", NULL), "mine: by path\n");
    cfut_task *task = command("mine", "by PATH", NULL);
    char path[256];
    snprintf(path, sizeof path, "/nowhere:%s:/bin:/usr/bin", path_of("bin"));
    CHECK_OK(cfut_task_add_env(task, "PATH", path));
    expect_output(pool, task, "mine: by PATH\n");
    expect_output(pool, command("/bin/echo", "whole", NULL), "whole\n");
    check_close(pool);
}

static void programs_that_do_not_exist(void)
{
    cfut_executor *pool = NEW_POOL(1);
    expect_failure(start(pool, command("no-such-program", NULL)), CFUT_ENOENT, "no-such-program");
    expect_failure(start(pool, command("/no/such/program", NULL)), CFUT_ENOENT, "/no/such/program");
    expect_output(pool, command("echo", "on", NULL), "on\n");
    check_close(pool);
}

static void programs_that_cannot_be_executed(void)
{
    cfut_executor *pool = NEW_POOL(1);
    place_make();
    write_file("plain", "text\n", 0600);
    write_file("odd", "text\n", 0700);
    write_file("gone", "#!/no/such/shell\n", 0700);
    expect_failure(start(pool, command("./plain", NULL)), CFUT_ESYS, "may not be executed");
    expect_failure(start(pool, command("./odd", NULL)), CFUT_ESYS, "is no program");
    expect_failure(start(pool, command("./gone", NULL)), CFUT_ENOENT, "./gone");
    expect_failure(start(pool, command(place, NULL)), CFUT_ESYS, "may not be executed");
    check_close(pool);
}

/* ---- how it ends ---- */

static void exit_status_is_the_code(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *future = start(pool, shell("echo some; echo \"why not\" >&2; exit 3"));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 3);
    CHECK_TEXT(cfut_future_message(future), "why not");
    expect_bytes(future, "some\n");
    CHECK_EQ(info(future, CFUT_INFO_EXIT_CODE), 3);
    CHECK_EQ(info(future, CFUT_INFO_SIGNAL), 0);
    cfut_future_release(future);
    expect_failure(start(pool, shell("exit 255")), 255, "exited with status 255");
    future = start(pool, shell("echo warning >&2"));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_TEXT(cfut_future_message(future), "");
    cfut_future_release(future);
    check_close(pool);
}

static void message_is_the_end_of_the_errors(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *future = start(pool, shell("seq 1 100000 >&2; exit 1"));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    const char *message = cfut_future_message(future);
    int first = atoi(message);
    CHECK(first > 90000 && first < 100000);
    CHECK_TEXT(message + strlen(message) - 7, "\n100000");
    cfut_future_release(future);
    check_close(pool);
}

static void signals_are_told(void)
{
    cfut_executor *pool = NEW_POOL(1);
    cfut_future *future = start(pool, shell("kill -SEGV $$"));
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 128 + SIGSEGV);
    CHECK_EQ(info(future, CFUT_INFO_SIGNAL), SIGSEGV);
    CHECK_EQ(info(future, CFUT_INFO_EXIT_CODE), 0);
    CHECK(strstr(cfut_future_message(future), "SIGSEGV") != NULL);
    cfut_future_release(future);
    check_close(pool);
}

static void killed_from_outside(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell(STAND), &pid);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    expect_failure(future, 128 + SIGKILL, "SIGKILL");
    check_close(pool);
}

static void infos(void)
{
    cfut_executor *pool = NEW_POOL(1);
    place_make();
    cfut_future *future = start(pool, shell("echo $$ >here; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    CHECK_EQ(info(future, CFUT_INFO_WORKER_PID), pid_in("here"));
    CHECK_EQ(info(future, CFUT_INFO_ATTEMPTS), 1);
    CHECK(info(future, CFUT_INFO_CPU_NS) > 0);
    CHECK(info(future, CFUT_INFO_MAX_RSS) > 100000);
    CHECK(info(future, CFUT_INFO_RUN_NS) > 0);
    cfut_future_release(future);
    check_close(pool);
}

static void output_limits(void)
{
    cfut_executor *pool = NEW_POOL(2);
    cfut_task *task = command("head", "-c", "1000", "/dev/zero", NULL);
    size_t length = 0;
    CHECK_OK(cfut_task_set(task, CFUT_TASK_OUTPUT_LIMIT, 1000));
    cfut_future *future = start(pool, task);
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    cfut_future_bytes(future, &length);
    CHECK_EQ(length, 1000);
    cfut_future_release(future);
    task = command("head", "-c", "1001", "/dev/zero", NULL);
    CHECK_OK(cfut_task_set(task, CFUT_TASK_OUTPUT_LIMIT, 1000));
    expect_failure(start(pool, task), CFUT_EFULL, "OUTPUT_LIMIT of 1000 bytes");
    place_make();
    task = shell("sleep 1000 & echo $! >child; echo $$ >here; yes");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_OUTPUT_LIMIT, 100000));
    expect_failure(start(pool, task), CFUT_EFULL, "was killed");
    pid_t here = pid_in("here"), child = pid_in("child");
    CHECK_SOON(is_gone(here) && is_gone(child));
    check_close(pool);
}

static void output_that_is_closed_early(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell("echo out; exec >&- 2>&-; " STAND "exit 5"), &pid);
    CHECK_STATUS(cfut_future_wait(future, CFUT_MSEC(20)), CFUT_TIMEOUT);
    gate_pass();
    CHECK_STATUS(cfut_future_wait(future, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(future), 5);
    expect_bytes(future, "out\n");
    cfut_future_release(future);
    check_close(pool);
}

/* Who stays in its group goes with a command; who has left it stays, and keeps nobody waiting. */
static void others_that_hold_its_output(void)
{
    cfut_executor *pool = NEW_POOL(1);
    place_make();
    cfut_future *future = start(
        pool, shell("sleep 1000 & echo $! >child; setsid sh -c 'echo $$ >daemon; exec sleep 1000' & "
                    "while [ ! -s daemon ]; do :; done; echo done"));
    CHECK_OK(cfut_future_wait(future, CFUT_FOREVER));
    expect_bytes(future, "done\n");
    cfut_future_release(future);
    pid_t child = pid_in("child"), daemon = pid_in("daemon");
    CHECK_SOON(is_gone(child));
    CHECK(!is_gone(daemon));
    CHECK_EQ(kill(daemon, SIGKILL), 0);
    check_close(pool);
}

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
    place_make();
    cfut_task *task = shell("trap 'echo 1 >cleaned; exit 0' TERM; echo $$ >here; "
                            "while :; do sleep 0.01; done");
    CHECK_OK(cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, CFUT_MSEC(500)));
    CHECK_OK(cfut_task_set(task, CFUT_TASK_GRACE_NS, -1));
    cfut_future *future = start(pool, task);
    pid_in("here");
    CHECK_STATUS(end_of(future), CFUT_EXPIRED);
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
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 2);
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
    CHECK_EQ(check_stat(pool, CFUT_STAT_QUEUED), 0);
    CHECK_EQ(check_stat(pool, CFUT_STAT_SUCCEEDED), 5);
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

/* ---- what the program sees ---- */

static void no_descriptors_but_three(void)
{
    cfut_executor *pool = NEW_POOL(1);
    int kept = open("/dev/null", O_RDONLY); /* not close-on-exec */
    CHECK(kept > 2);
    expect_output(pool, command("ls", "/proc/self/fd", NULL), "0\n1\n2\n3\n"); /* 3 lists them */
    close(kept);
    check_close(pool);
}

static void signal_handling_is_the_default(void)
{
    cfut_executor *pool = NEW_POOL(1);
    sigset_t all;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    sigfillset(&all);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
    expect_output(pool, command("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL),
                  "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    check_close(pool);
}

static void it_leads_a_group(void)
{
    cfut_executor *pool = NEW_POOL(1);
    pid_t pid;
    place_make();
    gate_make();
    cfut_future *future = stand(pool, shell(STAND), &pid);
    CHECK_EQ(getpgid(pid), pid);
    gate_pass();
    CHECK_OK(end_of(future));
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

/* ---- wrong use ---- */

static void wrong_use(void)
{
    cfut_task *task = NULL, *function = task_of(nothing_task);
    cfut_options *options = options_of(1);
    CHECK_ERROR(cfut_task_new_command("", &task), CFUT_EINVAL, "program");
    CHECK_ERROR(cfut_task_add_arg(function, "x"), CFUT_ENOTSUP, "command");
    CHECK_ERROR(cfut_task_add_env(function, "A", "x"), CFUT_ENOTSUP, "command");
    CHECK_ERROR(cfut_task_set_text(function, CFUT_TASK_DIRECTORY, "/"), CFUT_ENOTSUP, "command");
    CHECK_OK(cfut_task_new_command("true", &task));
    CHECK_ERROR(cfut_task_add_env(task, "A=B", "x"), CFUT_EINVAL, "A=B");
    CHECK_ERROR(cfut_task_add_env(task, "", "x"), CFUT_EINVAL, "variable");
    CHECK_ERROR(cfut_task_set_text(task, CFUT_TASK_DIRECTORY, ""), CFUT_EINVAL, "DIRECTORY");
    CHECK_ERROR(cfut_options_set_initializer(options, task, NULL, 0), CFUT_EINVAL, "command");
    cfut_options_free(options);
    cfut_task_free(function);
    cfut_task_free(task);
}

#define COMMAND_CASES \
    CASE(output_is_the_result), CASE(input_of_every_length), CASE(input_from_a_buffer), \
        CASE(a_lot_of_input_that_nobody_reads), CASE(a_lot_of_output), CASE(arguments_as_given), \
        CASE(a_builder_for_several), CASE(environment_is_the_hosts_and_more), CASE(directories), \
        CASE(programs_are_found), CASE(programs_that_do_not_exist), \
        CASE(programs_that_cannot_be_executed), CASE(exit_status_is_the_code), \
        CASE(message_is_the_end_of_the_errors), CASE(signals_are_told), CASE(killed_from_outside), \
        CASE(infos), CASE(output_limits), CASE(output_that_is_closed_early), \
        CASE(others_that_hold_its_output), CASE(run_time_out_kills_the_group), \
        CASE(endless_output_until_the_time_out), CASE(a_grace_to_clean_up), \
        CASE(one_that_does_not_heed), CASE(stopped_until_the_time_out), CASE(queue_time_outs), \
        CASE(cancel_of_waiting_ones), CASE(cancel_with_stop), CASE(cancel_with_kill), \
        CASE(as_many_as_workers), CASE(beside_busy_workers), CASE(higher_priorities_first), \
        CASE(a_thousand), CASE(bounds), CASE(no_descriptors_but_three), \
        CASE(signal_handling_is_the_default), CASE(it_leads_a_group), CASE(the_host_sees_no_child), \
        CASE(the_host_ignores_its_children), CASE(host_that_dies), CASE(host_that_forks), \
        CASE(keeper_that_is_killed), CASE(few_descriptors), CASE(no_descriptors_left), \
        CASE(shutdown_waits), CASE(shutdown_cancels_waiting_ones), CASE(shutdown_stops_running_ones), \
        CASE(shutdown_kills), CASE(release_without_shutdown), CASE(callbacks_may_wait_for_commands), \
        CASE(completion_queues), CASE(wrong_use)

#endif
