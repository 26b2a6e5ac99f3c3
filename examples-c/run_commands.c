/* Shell commands, several at once: `xargs -P` with what each wrote and how it ended.
 *
 * Shows: command tasks, as many at once as the pool has workers and without a thread for each;
 * time-outs that kill the whole process group; results as they come, from a completion queue; what
 * a program wrote, its exit status or signal, and the end of its errors.
 */
#define _GNU_SOURCE /* getopt_long, getline */
#include <cfutures.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GOOD = 0, FAILURES = 1, TROUBLE = 2 }; /* exit statuses */

static const char USAGE[] =
    "usage: run_commands [--jobs N] [--time-out SECONDS] [--limit BYTES] [FILE]\n"
    "\n"
    "Runs each line of FILE, or of the standard input, with sh. Tells of each as it ends: its number,\n"
    "how it ended, how long it took, the line, and what it wrote.\n"
    "\n"
    "  --jobs N            at most N at once; the default is one for each processor\n"
    "  --time-out SECONDS  a line that takes longer is killed, with all it has started\n"
    "  --limit BYTES       so is one that writes more\n"
    "  --help              this text\n"
    "\n"
    "Empty lines and lines that begin with # are left out.\n"
    "Exit status: 0 all succeeded, 1 some did not, 2 trouble.\n";

struct plan {
    int64_t jobs, time_out_ns, limit;
};

struct list {
    char **lines;
    size_t count, room;
};

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "run_commands: %s: %s\n", what, why);
    return false;
}

/* A call of the library failed: it has kept the details. */
static bool failed(const char *call)
{
    char text[512];
    cfut_last_error(text, sizeof text);
    return complain(call, text);
}

/* ---- the commands ---- */

static bool add_line(struct list *list, const char *line)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        char **lines = realloc(list->lines, room * sizeof *lines);
        if (lines == NULL)
            return complain("the list", "no memory");
        list->lines = lines;
        list->room = room;
    }
    list->lines[list->count] = strdup(line);
    return list->lines[list->count++] != NULL || complain("the list", "no memory");
}

static bool read_lines(FILE *from, const char *name, struct list *list)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool good = true;
    while (good && (length = getline(&line, &room, from)) >= 0) {
        if (length > 0 && line[length - 1] == '\n')
            line[--length] = 0;
        if (memchr(line, 0, (size_t)length) != NULL)
            good = complain(name, "a line has a NUL in it");
        else if (line[strspn(line, " \t")] != 0 && line[0] != '#')
            good = add_line(list, line);
    }
    if (good && ferror(from))
        good = complain(name, strerror(errno));
    free(line);
    return good;
}

static bool read_file(const char *name, struct list *list)
{
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return complain(name, strerror(errno));
    bool good = read_lines(file, name, list);
    fclose(file);
    return good;
}

static void free_list(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->lines[i]);
    free(list->lines);
}

/* A task for one line. */
static cfut_task *command_for(const char *line, const struct plan *plan)
{
    cfut_task *task = NULL;
    if (cfut_task_new_command("sh", &task) == CFUT_OK && cfut_task_add_arg(task, "-c") == CFUT_OK &&
        cfut_task_add_arg(task, line) == CFUT_OK &&
        cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, plan->time_out_ns) == CFUT_OK &&
        cfut_task_set(task, CFUT_TASK_OUTPUT_LIMIT, plan->limit) == CFUT_OK)
        return task;
    failed("the command");
    cfut_task_free(task);
    return NULL;
}

/* The queue keeps the futures; their tags are their places in the list. */
static bool submit_all(cfut_executor *pool, cfut_queue *queue, const struct list *list,
                       const struct plan *plan)
{
    for (size_t i = 0; i < list->count; i++) {
        cfut_future *future = NULL;
        cfut_task *task = command_for(list->lines[i], plan);
        if (task == NULL)
            return false;
        cfut_status status = cfut_submit_task(pool, task, NULL, 0, &future);
        cfut_task_free(task);
        if (status != CFUT_OK)
            return failed("cfut_submit_task");
        status = cfut_queue_add(queue, future, i);
        cfut_future_release(future);
        if (status != CFUT_OK)
            return failed("cfut_queue_add");
    }
    return true;
}

/* ---- what it shows ---- */

/* On a terminal only; `done` of 0 takes it away. */
static void show_progress(size_t done, size_t count)
{
    enum { WIDTH = 40 };
    static const char full[] = "########################################";
    if (!isatty(STDERR_FILENO))
        return;
    if (done == 0)
        fprintf(stderr, "\r\033[K");
    else
        fprintf(stderr, "\r[%-*.*s] %zu/%zu", WIDTH, (int)(done * WIDTH / count), full, done, count);
    fflush(stderr);
}

/* "exit 3", "signal 9", "expired", ... */
static void write_end(const cfut_future *future, cfut_status status)
{
    int64_t signal = 0;
    switch (status) {
    case CFUT_OK:
        printf("exit 0");
        break;
    case CFUT_FAILED:
        cfut_future_info(future, CFUT_INFO_SIGNAL, &signal);
        if (cfut_future_code(future) < 0) /* the library's own: not started, or too much output */
            printf("failed");
        else if (signal != 0)
            printf("signal %" PRId64, signal);
        else
            printf("exit %" PRId32, cfut_future_code(future));
        break;
    case CFUT_EXPIRED:
        printf("time-out");
        break;
    default:
        printf("%s", cfut_status_text(status));
    }
}

/* Each line of a text behind two signs. */
static void write_lines(const char *before, const char *text, size_t length)
{
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end == NULL ? length : (size_t)(end - text);
        printf("%s%.*s\n", before, (int)line, text);
        line += end != NULL;
        text += line;
        length -= line;
    }
}

/* True: it succeeded. */
static bool tell(cfut_future *future, size_t number, const struct list *list, uint64_t place)
{
    cfut_status status = cfut_future_wait(future, CFUT_NOW);
    int64_t ran = 0;
    size_t length = 0;
    const char *bytes = cfut_future_bytes(future, &length);
    const char *message = cfut_future_message(future);
    cfut_future_info(future, CFUT_INFO_RUN_NS, &ran);
    printf("[%zu/%zu] ", number, list->count);
    write_end(future, status);
    if (ran > 0)
        printf(", %.2f s", 1e-9 * (double)ran);
    printf(": %s\n", list->lines[place]);
    write_lines("  | ", bytes, length);
    if (status != CFUT_OK)
        write_lines("  ! ", message, strlen(message));
    return status == CFUT_OK;
}

static int collect(cfut_queue *queue, const struct list *list)
{
    size_t done = 0, good = 0;
    for (;;) {
        cfut_future *future = NULL;
        uint64_t place;
        cfut_status status = cfut_queue_next(queue, CFUT_FOREVER, &future, &place);
        if (status == CFUT_END)
            break;
        if (status != CFUT_OK) {
            failed("cfut_queue_next");
            return TROUBLE;
        }
        show_progress(0, list->count);
        good += tell(future, ++done, list, place);
        cfut_future_release(future);
        if (fflush(stdout) != 0) {
            complain("the standard output", strerror(errno));
            return TROUBLE;
        }
        show_progress(done, list->count);
    }
    show_progress(0, list->count);
    return good == list->count ? GOOD : FAILURES;
}

/* ---- the program ---- */

static int run(const struct list *list, const struct plan *plan)
{
    cfut_options *options = cfut_options_new();
    cfut_executor *pool = NULL;
    cfut_queue *queue = NULL;
    int status = TROUBLE;
    int64_t jobs = plan->jobs > 0 ? plan->jobs : cfut_cpu_count();
    if (options == NULL || cfut_options_set(options, CFUT_OPT_WORKERS, jobs) != CFUT_OK ||
        cfut_thread_pool_new(options, &pool) != CFUT_OK || cfut_queue_new(&queue) != CFUT_OK)
        failed("the pool");
    else if (submit_all(pool, queue, list, plan))
        status = collect(queue, list);
    if (pool != NULL) /* after trouble something may still run */
        cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL | CFUT_SHUTDOWN_KILL, CFUT_SEC(1));
    cfut_queue_release(queue);
    cfut_executor_release(pool);
    cfut_options_free(options);
    return status;
}

static bool read_number(const char *option, const char *text, double least, double *number)
{
    char *end;
    *number = strtod(text, &end);
    if (end == text || *end != 0 || !(*number >= least) || *number > 1e9) {
        fprintf(stderr, "run_commands: %s: \"%s\" is not a number from %g to 1e9\n", option, text,
                least);
        return false;
    }
    return true;
}

static bool take_option(int option, struct plan *plan)
{
    double number;
    switch (option) {
    case 'j':
        if (!read_number("--jobs", optarg, 1, &number))
            return false;
        plan->jobs = (int64_t)number;
        return true;
    case 't':
        if (!read_number("--time-out", optarg, 0.001, &number))
            return false;
        plan->time_out_ns = (int64_t)(number * 1e9);
        return true;
    case 'l':
        if (!read_number("--limit", optarg, 1, &number))
            return false;
        plan->limit = (int64_t)number;
        return true;
    default:
        fprintf(stderr, "run_commands: --help tells how to use it\n");
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "jobs", required_argument, NULL, 'j' },  { "time-out", required_argument, NULL, 't' },
        { "limit", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct plan plan = { 0, -1, -1 };
    struct list list = { NULL, 0, 0 };
    int option, status = TROUBLE;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(USAGE, stdout);
            return GOOD;
        }
        if (!take_option(option, &plan))
            return TROUBLE;
    }
    if (argc - optind > 1)
        complain(argv[optind + 1], "one FILE is enough; --help tells how to use it");
    else if (optind < argc ? read_file(argv[optind], &list)
                           : read_lines(stdin, "the standard input", &list))
        status = run(&list, &plan);
    free_list(&list);
    return status;
}
