/* pkg-config: libturbojpeg libpng */
/* Small copies of the JPEG and PNG files in a directory.
 *
 * Shows: somebody else's decoders in worker processes, where a crash, a time-out or a limit of
 * memory costs one file; an initializer, which gives each worker what all tasks share; and an
 * as-completed loop that tells how far it is.
 */
#define _GNU_SOURCE /* getopt_long */
#include <cfutures.h>

#include "picture.h"

#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { ALL_RESIZED = 0, SOME_FAILED = 1, TROUBLE = 2 }; /* exit statuses */

static const char USAGE[] =
    "usage: resize_images [OPTION...] FROM TO\n"
    "\n"
    "Writes the .jpg, .jpeg and .png files of directory FROM into directory TO, which is made if\n"
    "it is not there, so that neither side is longer than N pixels. Smaller images keep their\n"
    "size. Metadata (time, place, how the camera was held) is not kept.\n"
    "\n"
    "  --size N           pixels of the longer side; the default is 320\n"
    "  --timeout MS       most milliseconds for one file; the default is no limit\n"
    "  --memory-limit MB  most megabytes (of address space) for each worker process\n"
    "  --workers N        as many files at once; the default suits the machine\n"
    "  --threads          on threads: where a decoder crashes, the program does\n"
    "  --crash-on NAME    have the decoder crash at this file, to see what it costs\n"
    "  --help             this text\n"
    "\n"
    "A file that cannot be resized costs a line on stderr. Exit status: 0 all were resized, 1 some\n"
    "were not, 2 trouble.\n";

/* ---- the tasks: run in worker processes, or on threads ---- */

struct settings {
    uint64_t size;
    char from[4096], to[4096], crash_on[256];
};
enum { MORE = 300 }; /* for a name behind one of these paths */

/* The same for all tasks of a worker. Some workers are threads of this program. */
static _Thread_local struct settings shared;

static int32_t prepare(cfut_promise *promise, const void *data, size_t size)
{
    (void)promise;
    memcpy(&shared, data, size);
    return 0;
}

static bool read_file(const char *name, uint8_t **bytes, size_t *size, reason why)
{
    char path[sizeof shared.from + MORE];
    struct stat about;
    bool good = false;
    snprintf(path, sizeof path, "%s/%s", shared.from, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &about) != 0) {
        give_up(why, strerror(errno));
    } else if ((*bytes = malloc((size_t)about.st_size + 1)) == NULL) {
        give_up(why, "no memory for the file");
    } else {
        *size = fread(*bytes, 1, (size_t)about.st_size, file);
        good = !ferror(file) || give_up(why, strerror(errno));
    }
    if (file != NULL)
        fclose(file);
    return good;
}

/* What is not finished has another name: whoever looks into the directory finds whole files. */
static bool write_file(cfut_promise *promise, const char *name, const struct picture *picture,
                       reason why)
{
    char path[sizeof shared.to + MORE], part[sizeof path + MORE];
    snprintf(path, sizeof path, "%s/%s", shared.to, name);
    snprintf(part, sizeof part, "%s.part", path);
    FILE *file = fopen(part, "wb");
    if (file == NULL)
        return give_up(why, strerror(errno));
    bool good = encode(picture, file, why);
    if (fclose(file) != 0 && good)
        good = give_up(why, strerror(errno));
    /* Out of time: a process is killed, a thread is asked. */
    if (good && cfut_promise_stop_requested(promise))
        good = give_up(why, "stopped");
    if (good && rename(part, path) != 0)
        good = give_up(why, strerror(errno));
    if (!good)
        remove(part);
    return good;
}

static void crash_if_wanted(const char *name)
{
    volatile int *volatile nowhere = NULL;
    if (strcmp(name, shared.crash_on) == 0)
        *nowhere = 1;
}

/* Gets the name of a file; answers with its width and height, before and after. */
static int32_t resize_file(cfut_promise *promise, const void *name, size_t length)
{
    struct picture before = { .pixels = NULL }, after = { .pixels = NULL };
    reason why = "";
    uint8_t *bytes = NULL;
    size_t size = 0;
    (void)length;
    crash_if_wanted(name);
    bool good = read_file(name, &bytes, &size, why) && decode(&before, bytes, size, why) &&
                shrink(&before, shared.size, &after, why) &&
                write_file(promise, name, &after, why);
    free(bytes);
    free(before.pixels);
    free(after.pixels);
    if (!good)
        return cfut_promise_fail(promise, 1, why);
    const uint64_t sides[] = { before.width, before.height, after.width, after.height };
    return cfut_promise_set_bytes(promise, sides, sizeof sides);
}

/* ---- the program ---- */

struct plan {
    struct settings settings;
    bool threads;
    uint64_t workers, timeout_ms, memory_mb; /* 0: the library's choice, no limit, no limit */
};

struct run {
    const struct plan *plan;
    struct dirent **files; /* their index is their tag in the queue */
    int count, done, failed;
    cfut_executor *pool;
    cfut_queue *queue;
    cfut_task *initializer, *task;
};

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "resize_images: %s: %s\n", what, why);
    return false;
}

/* A call of the library failed: it has kept the details. */
static bool failed(const char *call)
{
    char text[256];
    cfut_last_error(text, sizeof text);
    return complain(call, text);
}

static bool make_tasks(struct run *run)
{
    uint64_t limit = run->plan->timeout_ms;
    return (cfut_task_new(prepare, &run->initializer) == CFUT_OK &&
            cfut_task_new(resize_file, &run->task) == CFUT_OK &&
            cfut_task_set(run->task, CFUT_TASK_RUN_TIMEOUT_NS,
                          limit == 0 ? CFUT_FOREVER : CFUT_MSEC(limit)) == CFUT_OK) ||
           failed("tasks");
}

static bool make_pool(struct run *run)
{
    const struct plan *plan = run->plan;
    cfut_options *options = cfut_options_new();
    if (plan->workers != 0 &&
        cfut_options_set(options, CFUT_OPT_WORKERS, (int64_t)plan->workers) != CFUT_OK)
        failed("--workers");
    else if (plan->memory_mb != 0 && cfut_options_set(options, CFUT_OPT_MEMORY_LIMIT,
                                                      (int64_t)plan->memory_mb << 20) != CFUT_OK)
        failed("--memory-limit");
    else if (cfut_options_set_initializer(options, run->initializer, &plan->settings,
                                          sizeof plan->settings) != CFUT_OK)
        failed("cfut_options_set_initializer");
    else if ((plan->threads ? cfut_thread_pool_new : cfut_process_pool_new)(
                 options, &run->pool) != CFUT_OK)
        failed("pool");
    cfut_options_free(options);
    return run->pool != NULL;
}

static bool submit_all(struct run *run)
{
    for (int i = 0; i < run->count; i++) {
        const char *name = run->files[i]->d_name;
        cfut_future *future;
        if (cfut_submit_task(run->pool, run->task, name, strlen(name) + 1, &future) != CFUT_OK)
            return failed("cfut_submit_task");
        cfut_status status = cfut_queue_add(run->queue, future, (uint64_t)i);
        cfut_future_release(future); /* the queue has its own reference */
        if (status != CFUT_OK)
            return failed("cfut_queue_add");
    }
    return true;
}

static void report(struct run *run, const char *name, cfut_future *future)
{
    const char *to = run->plan->settings.to;
    cfut_status outcome = cfut_future_wait(future, CFUT_NOW);
    run->done++;
    if (outcome == CFUT_OK) {
        const uint64_t *sides = cfut_future_bytes(future, NULL);
        printf("[%d/%d] %s -> %s/%s (%" PRIu64 " x %" PRIu64 " to %" PRIu64 " x %" PRIu64 ")\n",
               run->done, run->count, name, to, name, sides[0], sides[1], sides[2], sides[3]);
        fflush(stdout); /* now, also where it is a pipe */
        return;
    }
    run->failed++;
    fprintf(stderr, "resize_images: [%d/%d] %s: %s\n", run->done, run->count, name,
            cfut_future_message(future));
    if (outcome != CFUT_FAILED && !run->plan->threads) { /* perhaps while it wrote */
        char part[sizeof shared.to + MORE];
        snprintf(part, sizeof part, "%s/%s.part", to, name);
        remove(part);
    }
}

/* As completed: whichever file is done first comes first. */
static bool collect(struct run *run)
{
    cfut_future *future;
    uint64_t tag;
    cfut_status status;
    while ((status = cfut_queue_next(run->queue, CFUT_FOREVER, &future, &tag)) == CFUT_OK) {
        report(run, run->files[tag]->d_name, future);
        cfut_future_release(future);
    }
    if (status != CFUT_END)
        return failed("cfut_queue_next");
    printf("%d resized, %d failed\n", run->done - run->failed, run->failed);
    return (fflush(stdout) == 0 && !ferror(stdout)) ||
           complain("standard output", strerror(errno));
}

static int is_picture(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return end != NULL && (strcasecmp(end, ".jpg") == 0 || strcasecmp(end, ".jpeg") == 0 ||
                           strcasecmp(end, ".png") == 0);
}

/* They must not be the same: originals are not to be overwritten. */
static bool check_directories(const char *from, const char *to)
{
    struct stat source, target;
    if (stat(from, &source) != 0)
        return complain(from, strerror(errno));
    if ((mkdir(to, 0777) != 0 && errno != EEXIST) || stat(to, &target) != 0)
        return complain(to, strerror(errno));
    if (!S_ISDIR(target.st_mode))
        return complain(to, strerror(ENOTDIR));
    if (source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        return complain(to, "this is where the originals are");
    return true;
}

static int resize_all(const struct plan *plan)
{
    struct run run = { .plan = plan };
    bool good = false;
    run.count = scandir(plan->settings.from, &run.files, is_picture, alphasort);
    if (run.count < 0)
        complain(plan->settings.from, strerror(errno));
    else if (cfut_queue_new(&run.queue) != CFUT_OK)
        failed("cfut_queue_new");
    else
        good = check_directories(plan->settings.from, plan->settings.to) && make_tasks(&run) &&
               make_pool(&run) && submit_all(&run) && collect(&run);

    /* NULL is fine for all of these; what has not started after trouble is cancelled. */
    cfut_executor_shutdown(run.pool, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER);
    cfut_executor_release(run.pool);
    cfut_queue_release(run.queue);
    cfut_task_free(run.task);
    cfut_task_free(run.initializer);
    while (run.count > 0)
        free(run.files[--run.count]);
    free(run.files);
    return !good ? TROUBLE : run.failed > 0 ? SOME_FAILED : ALL_RESIZED;
}

static int misused(const char *what, const char *why)
{
    if (what != NULL)
        complain(what, why);
    fputs("Try 'resize_images --help'.\n", stderr);
    return TROUBLE;
}

static bool parse(const char *text, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *number >= 1 &&
           *number <= most;
}

static bool keep(char *into, size_t size, const char *text)
{
    return (size_t)snprintf(into, size, "%s", text) < size;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "size", required_argument, NULL, 's' },
                                             { "timeout", required_argument, NULL, 't' },
                                             { "memory-limit", required_argument, NULL, 'm' },
                                             { "workers", required_argument, NULL, 'w' },
                                             { "threads", no_argument, NULL, 'T' },
                                             { "crash-on", required_argument, NULL, 'c' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    static struct plan plan = { .settings = { .size = 320 } };
    const struct rlimit no_core = { 0, 0 };
    int option;

    cfut_worker_main(); /* a worker does not come back from here */

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            if (!parse(optarg, 16384, &plan.settings.size))
                return misused(optarg, "--size wants a number of pixels, 1 to 16384");
            break;
        case 't':
            if (!parse(optarg, INT32_MAX, &plan.timeout_ms))
                return misused(optarg, "--timeout wants a number of milliseconds above 0");
            break;
        case 'm':
            if (!parse(optarg, INT32_MAX, &plan.memory_mb))
                return misused(optarg, "--memory-limit wants a number of megabytes above 0");
            break;
        case 'w':
            if (!parse(optarg, INT32_MAX, &plan.workers))
                return misused(optarg, "--workers wants a number above 0");
            break;
        case 'T':
            plan.threads = true;
            break;
        case 'c':
            if (!keep(plan.settings.crash_on, sizeof plan.settings.crash_on, optarg))
                return misused(optarg, "--crash-on wants the name of a file");
            setrlimit(RLIMIT_CORE, &no_core); /* workers inherit it: this one needs no file */
            break;
        case 'h':
            return fputs(USAGE, stdout) < 0 ? TROUBLE : ALL_RESIZED;
        default: /* getopt_long has said what is wrong */
            return misused(NULL, NULL);
        }
    }
    if (optind + 2 != argc)
        return misused("wrong arguments", "two directories are wanted");
    if (plan.threads && plan.memory_mb != 0)
        return misused("--memory-limit", "is for processes: threads have their memory in common");
    if (!keep(plan.settings.from, sizeof plan.settings.from, argv[optind]) ||
        !keep(plan.settings.to, sizeof plan.settings.to, argv[optind + 1]))
        return misused("wrong arguments", "a path is too long");
    return resize_all(&plan);
}
