/* Cases that need a process of their own: what is done to it is over when it is. */
#ifndef CHILD_H
#define CHILD_H

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Status of a child in which a check failed, as check_failed() has it. */
#define CHILD_FAILED 1

/* The case's watchdog is a thread, which a child does not have. */
CHECK_UNUSED static void child_watchdog(void)
{
    signal(SIGALRM, SIG_DFL);
    alarm(getenv("CHILD_SECONDS") != NULL ? (unsigned)atoi(getenv("CHILD_SECONDS")) : 50);
}

/* Waits for a child; what waitpid says. */
CHECK_UNUSED static int child_wait(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) != child)
        CHECK_EQ(errno, EINTR);
    return status;
}

/* The child ended by itself, with this code. */
#define CHILD_EXITED(child, code) \
    do { \
        int child_status = child_wait(child); \
        if (WIFSIGNALED(child_status)) { \
            char child_text[128]; \
            snprintf(child_text, sizeof child_text, "the child was ended by signal %d%s", \
                     WTERMSIG(child_status), \
                     WTERMSIG(child_status) == SIGALRM ? " (it hangs)" : ""); \
            check_failed(__FILE__, __LINE__, child_text); \
        } \
        CHECK_EQ(WEXITSTATUS(child_status), code); \
    } while (0)

/* The child was ended by this signal. */
#define CHILD_KILLED(child, number) \
    do { \
        int child_status = child_wait(child); \
        CHECK(WIFSIGNALED(child_status)); \
        CHECK_EQ(WTERMSIG(child_status), number); \
    } while (0)

/* Runs a function in a child that ends with _exit(0) after it. */
CHECK_UNUSED static void child_run(void (*run)(void))
{
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        child_watchdog();
        run();
        _exit(0);
    }
    CHILD_EXITED(child, 0);
}

/* The soft limit becomes this; the case's process, or child, is not used afterwards. */
CHECK_UNUSED static void child_limit(int resource, rlim_t most)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(resource, &limit), 0);
    limit.rlim_cur = most;
    CHECK_EQ(setrlimit(resource, &limit), 0);
}

#endif
