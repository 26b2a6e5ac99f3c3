/* Commands: what goes in and comes out, which program it is, how it ends, and what it sees. */
#ifndef COMMAND_ENDS_H
#define COMMAND_ENDS_H

#include "commands.h"

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

/* What a task answers is the input of a command, whose output is that of the next task. */
static void piped_through_commands(void)
{
    cfut_executor *pool = NEW_POOL(2);
    cfut_task *upper = command("tr", "a-z", "A-Z", NULL), *wrong = shell("exit 7");
    cfut_future *first = NULL, *second = NULL, *third = NULL, *fourth = NULL;
    size_t length;
    CHECK_OK(cfut_submit_task(pool, upper, "abc", 3, &first));
    CHECK_OK(cfut_future_pipe(first, pool, upper, &second));
    CHECK_OK(cfut_future_pipe(second, pool, wrong, &third));
    CHECK_OK(cfut_future_pipe(third, pool, upper, &fourth));
    CHECK_STATUS(cfut_future_wait(fourth, CFUT_FOREVER), CFUT_FAILED);
    CHECK_EQ(cfut_future_code(fourth), 7);
    CHECK_OK(cfut_future_wait(second, CFUT_FOREVER));
    CHECK(memcmp(cfut_future_bytes(second, &length), "ABC", 3) == 0);
    CHECK_EQ(length, 3);
    cfut_future_release(first);
    cfut_future_release(second);
    cfut_future_release(third);
    cfut_future_release(fourth);
    cfut_task_free(upper);
    cfut_task_free(wrong);
    check_close(pool);
}

/* One at a time, in order, though the pool has room for more. */
static void one_at_a_time_through_a_view(void)
{
    enum { COUNT = 5 };
    cfut_executor *pool = NEW_POOL(3), *view = NULL;
    cfut_task *script = shell("test -e only && exit 1; touch only; read n; echo $n >> order; rm only");
    cfut_future *futures[COUNT];
    char text[64];
    place_make();
    CHECK_OK(cfut_task_set_text(script, CFUT_TASK_DIRECTORY, place));
    CHECK_OK(cfut_limited_new(pool, 1, &view));
    for (int i = 0; i < COUNT; i++) {
        int length = snprintf(text, sizeof text, "%d\n", i);
        CHECK_OK(cfut_submit_task(view, script, text, (size_t)length, &futures[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_OK(cfut_future_wait(futures[i], CFUT_FOREVER));
        cfut_future_release(futures[i]);
    }
    int fd = open(path_of("order"), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(read(fd, text, sizeof text), 10);
    CHECK(memcmp(text, "0\n1\n2\n3\n4\n", 10) == 0);
    close(fd);
    cfut_task_free(script);
    cfut_executor_release(view);
    check_close(pool);
}

static void map_of_commands(void)
{
    cfut_executor *pool = NEW_POOL(2);
    cfut_task *task = command("cat", NULL);
    cfut_map *map = NULL;
    cfut_future *future;
    size_t length;
    CHECK_OK(cfut_map_new(pool, task, "abcdefgh", 1, 8, &map));
    for (int i = 0; i < 8; i++) {
        CHECK_OK(cfut_map_next(map, CFUT_FOREVER, &future));
        CHECK_EQ(*(const char *)cfut_future_bytes(future, &length), "abcdefgh"[i]);
        CHECK_EQ(length, 1);
    }
    CHECK_STATUS(cfut_map_next(map, CFUT_FOREVER, &future), CFUT_END);
    cfut_map_free(map);
    cfut_task_free(task);
    check_close(pool);
}

#define COMMAND_CASES \
    CASE(output_is_the_result), CASE(input_of_every_length), CASE(input_from_a_buffer), \
    CASE(a_lot_of_input_that_nobody_reads), CASE(a_lot_of_output), CASE(arguments_as_given), \
    CASE(a_builder_for_several), CASE(environment_is_the_hosts_and_more), CASE(directories), \
    CASE(programs_are_found), CASE(programs_that_do_not_exist), \
    CASE(programs_that_cannot_be_executed), CASE(exit_status_is_the_code), \
    CASE(message_is_the_end_of_the_errors), CASE(signals_are_told), \
    CASE(killed_from_outside), CASE(infos), CASE(output_limits), \
    CASE(output_that_is_closed_early), CASE(others_that_hold_its_output), CASE(no_descriptors_but_three), CASE(signal_handling_is_the_default), CASE(it_leads_a_group), \
    CASE(piped_through_commands), CASE(one_at_a_time_through_a_view), CASE(map_of_commands), \
    CASE(wrong_use)

#endif
