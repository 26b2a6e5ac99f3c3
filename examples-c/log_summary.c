/* Lines, errors and warnings of each log file in a directory, the worst first.
 *
 * Shows: options of a pool, tasks that get and give a struct and run on threads or in processes
 * alike, failures that stay with the task they concern, and an as-completed loop over a
 * completion queue.
 */
#define _GNU_SOURCE /* getopt_long */
#include <cfutures.h>

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ALL_READ = 0, SOME_UNREADABLE = 1, TROUBLE = 2 }; /* exit statuses */

static const char USAGE[] =
    "usage: log_summary [-i] [--processes] [--workers N] [--trace FILE] DIRECTORY\n"
    "\n"
    "Counts, for each file of DIRECTORY, its lines and those with ERROR and with WARN in\n"
    "them, as grep -c does, and lists the files with the most errors first.\n"
    "\n"
    "  -i, --ignore-case  count error, Error, ... as well, as grep -ci does\n"
    "  --processes        read them in worker processes, not on threads\n"
    "  --workers N        read N files at once; the default suits the machine\n"
    "  --trace FILE       write what was read when, for https://ui.perfetto.dev\n"
    "  --help             this text\n"
    "\n"
    "Directories in DIRECTORY, pipes and devices are left out. A file that cannot be read\n"
    "costs a line on stderr. Exit status: 0 all files were read, 1 some were not, 2 trouble.\n";

/* ---- the task: runs on a thread or in a worker process ---- */

struct job {
    bool ignore_case;
    char path[4096];
};

struct counts {
    uint64_t lines, errors, warnings;
};

/* Finds a word in text that comes in pieces. Its first letter must not come again in it. */
struct finder {
    const char *word;
    size_t matched;
    bool in_line;
};

static void find(struct finder *finder, char c)
{
    if (finder->word[finder->matched] == c)
        finder->matched++;
    else
        finder->matched = finder->word[0] == c;
    if (finder->word[finder->matched] == '\0') {
        finder->in_line = true;
        finder->matched = 0;
    }
}

static uint64_t end_line(struct finder *finder)
{
    bool found = finder->in_line;
    finder->in_line = false;
    finder->matched = 0;
    return found;
}

static char upper_case(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static struct counts count_lines(FILE *file, bool ignore_case)
{
    struct counts sum = { 0, 0, 0 };
    struct finder error = { "ERROR", 0, false }, warning = { "WARN", 0, false };
    char block[65536], last = '\n';
    size_t length;

    while ((length = fread(block, 1, sizeof block, file)) > 0) {
        for (size_t i = 0; i < length; i++) {
            last = ignore_case ? upper_case(block[i]) : block[i];
            find(&error, last);
            find(&warning, last);
            if (last == '\n') {
                sum.lines++;
                sum.errors += end_line(&error);
                sum.warnings += end_line(&warning);
            }
        }
    }
    sum.lines += last != '\n'; /* a last line without its end is one, too */
    sum.errors += end_line(&error);
    sum.warnings += end_line(&warning);
    return sum;
}

/* The bytes given to cfut_submit() are aligned, so the struct is read in place. What the task
 * returns, if not 0, is the code of its failure: here an errno. */
static int32_t count_file(cfut_promise *promise, const void *data, size_t size)
{
    const struct job *job = data;
    FILE *file = fopen(job->path, "rb");
    (void)size;
    if (file == NULL)
        return errno;
    errno = 0;
    struct counts sum = count_lines(file, job->ignore_case);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    return error != 0 ? error : cfut_promise_set_bytes(promise, &sum, sizeof sum);
}

/* ---- the program ---- */

struct row {
    const char *name;
    bool is_read;
    struct counts counts;
};

struct table {
    struct row *rows;
    size_t count;
    size_t unreadable;
};

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "log_summary: %s: %s\n", what, why);
    return false;
}

/* A call of the library failed: it has kept the details. */
static bool failed(const char *call)
{
    char text[256];
    cfut_last_error(text, sizeof text);
    return complain(call, text);
}

/* One task for each file, named for it; its tag in the queue is the number of its row. */
static bool submit_file(cfut_executor *pool, cfut_queue *queue, const struct job *job, size_t row,
                        const char *name)
{
    cfut_future *future = NULL;
    cfut_task *task = NULL;
    bool good = (cfut_task_new(count_file, &task) == CFUT_OK || failed("cfut_task_new")) &&
                (cfut_task_set_text(task, CFUT_TASK_NAME, name) == CFUT_OK ||
                 failed("cfut_task_set_text")) &&
                (cfut_submit_task(pool, task, job, sizeof *job, &future) == CFUT_OK ||
                 failed("cfut_submit_task"));
    cfut_task_free(task);
    if (!good)
        return false;
    cfut_status status = cfut_queue_add(queue, future, row);
    cfut_future_release(future); /* the queue has its own reference */
    return status == CFUT_OK || failed("cfut_queue_add");
}

static bool submit_all(cfut_executor *pool, cfut_queue *queue, const char *directory,
                       struct dirent **entries, int count, bool ignore_case, struct table *table)
{
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        struct job job = { .ignore_case = ignore_case };
        struct stat about;
        int length = snprintf(job.path, sizeof job.path, "%s/%s", directory, name);
        if (length < 0 || (size_t)length >= sizeof job.path)
            return complain(name, "the path is too long");
        if (stat(job.path, &about) == 0 && !S_ISREG(about.st_mode))
            continue;
        table->rows[table->count] = (struct row){ .name = name };
        if (!submit_file(pool, queue, &job, table->count++, name))
            return false;
    }
    return true;
}

/* As completed: whichever file is done first comes first. */
static bool collect(cfut_queue *queue, struct table *table)
{
    cfut_future *future;
    uint64_t tag;
    cfut_status status;
    while ((status = cfut_queue_next(queue, CFUT_FOREVER, &future, &tag)) == CFUT_OK) {
        struct row *row = &table->rows[tag];
        cfut_status outcome = cfut_future_wait(future, CFUT_NOW);
        if (outcome == CFUT_OK) {
            memcpy(&row->counts, cfut_future_bytes(future, NULL), sizeof row->counts);
            row->is_read = true;
        } else {
            complain(row->name, outcome == CFUT_FAILED ? strerror(cfut_future_code(future))
                                                       : cfut_status_text(outcome));
            table->unreadable++;
        }
        cfut_future_release(future);
    }
    return status == CFUT_END || failed("cfut_queue_next");
}

static int worst_first(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    if (a->counts.errors != b->counts.errors)
        return a->counts.errors < b->counts.errors ? 1 : -1;
    return strcmp(a->name, b->name);
}

static bool print(const struct table *table)
{
    qsort(table->rows, table->count, sizeof *table->rows, worst_first);
    printf("%12s %12s %12s  %s\n", "lines", "errors", "warnings", "file");
    for (size_t i = 0; i < table->count; i++) {
        const struct row *row = &table->rows[i];
        if (row->is_read)
            printf("%12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %s\n", row->counts.lines,
                   row->counts.errors, row->counts.warnings, row->name);
    }
    return fflush(stdout) == 0 || complain("standard output", strerror(errno));
}

static cfut_executor *make_pool(bool processes, int64_t workers, const char *trace)
{
    cfut_executor *pool = NULL;
    cfut_options *options = cfut_options_new();
    if (workers != 0 && cfut_options_set(options, CFUT_OPT_WORKERS, workers) != CFUT_OK)
        failed("--workers");
    else if (cfut_options_set_text(options, CFUT_OPT_NAME, "logs") != CFUT_OK ||
             (trace != NULL &&
              cfut_options_set_text(options, CFUT_OPT_TRACE_FILE, trace) != CFUT_OK))
        failed("cfut_options_set_text");
    else if ((processes ? cfut_process_pool_new : cfut_thread_pool_new)(options, &pool) != CFUT_OK)
        failed(processes ? "cfut_process_pool_new" : "cfut_thread_pool_new");
    cfut_options_free(options);
    return pool;
}

static int summarize(const char *directory, bool ignore_case, bool processes, int64_t workers,
                     const char *trace)
{
    struct table table = { NULL, 0, 0 };
    struct dirent **entries = NULL;
    cfut_queue *queue = NULL;
    bool good = false;
    cfut_executor *pool = make_pool(processes, workers, trace);
    int count = scandir(directory, &entries, NULL, alphasort);

    if (count < 0)
        complain(directory, strerror(errno));
    else if ((table.rows = calloc((size_t)count + 1, sizeof *table.rows)) == NULL)
        complain(directory, "no memory");
    else if (cfut_queue_new(&queue) != CFUT_OK)
        failed("cfut_queue_new");
    else if (pool != NULL)
        good = submit_all(pool, queue, directory, entries, count, ignore_case, &table) &&
               collect(queue, &table) && print(&table);

    /* NULL is fine for all of these; what has not started after trouble is cancelled. */
    cfut_executor_shutdown(pool, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER);
    cfut_executor_release(pool);
    cfut_queue_release(queue);
    free(table.rows);
    while (count > 0)
        free(entries[--count]);
    free(entries);
    return !good ? TROUBLE : table.unreadable > 0 ? SOME_UNREADABLE : ALL_READ;
}

static int misused(void)
{
    fputs("Try 'log_summary --help'.\n", stderr);
    return TROUBLE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "ignore-case", no_argument, NULL, 'i' },
                                             { "processes", no_argument, NULL, 'p' },
                                             { "workers", required_argument, NULL, 'w' },
                                             { "trace", required_argument, NULL, 't' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    bool ignore_case = false, processes = false;
    int64_t workers = 0; /* the library's choice */
    const char *trace = NULL;
    char *end;
    int option;

    cfut_worker_main(); /* a worker does not come back from here */

    while ((option = getopt_long(argc, argv, "i", options, NULL)) != -1) {
        switch (option) {
        case 'i':
            ignore_case = true;
            break;
        case 'p':
            processes = true;
            break;
        case 'w':
            workers = strtoll(optarg, &end, 10);
            if (workers < 1 || *end != '\0') {
                complain(optarg, "--workers wants a number above 0");
                return misused();
            }
            break;
        case 't':
            trace = optarg;
            break;
        case 'h':
            return fputs(USAGE, stdout) < 0 ? TROUBLE : ALL_READ;
        default: /* getopt_long has said what is wrong */
            return misused();
        }
    }
    if (optind + 1 != argc) {
        complain("wrong arguments", "one directory is wanted");
        return misused();
    }
    return summarize(argv[optind], ignore_case, processes, workers, trace);
}
