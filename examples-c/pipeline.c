/* The words of each file: fetched on threads, counted in processes, saved on threads.
 *
 * Shows: three stages joined by cfut_future_pipe(). A file goes on to its next stage whatever the
 * others do; one that fails, or crashes, passes by its further stages and costs nobody else
 * anything. A window bounds how many are under way, so any directory fits into memory.
 */
#define _GNU_SOURCE /* getopt_long */
#include <cfutures.h>

#include "words.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { ALL_SAVED = 0, SOME_FAILED = 1, TROUBLE = 2 }; /* exit statuses */

static const char USAGE[] =
    "usage: pipeline [--window N] [--workers N] [--crash-on NAME] DIRECTORY RESULTS\n"
    "\n"
    "Counts how often each word comes in each file of DIRECTORY, and writes for each a file\n"
    "NAME.words with the most frequent words first into directory RESULTS, which is made if it\n"
    "is not there. A word is of letters, digits and all bytes that are not ASCII; capitals\n"
    "count as small letters.\n"
    "\n"
    "  --window N       at most N files are under way; the default is 32\n"
    "  --workers N      N worker processes count; the default suits the machine\n"
    "  --crash-on NAME  the count of this file crashes, to see what it costs\n"
    "  --help           this text\n"
    "\n"
    "A pipe in DIRECTORY is read until its writer closes it; directories are left out. A file that\n"
    "fails costs a line on stderr, which names the stage. Exit status: 0 all were saved, 1 some\n"
    "were not, 2 trouble.\n";

enum stage { FETCH, COUNT, SAVE, STAGES };
static const char *const NAMES[STAGES] = { "fetch", "count", "save" };

/* Threads see the variables of the program; worker processes get what is in the bytes. */
static const char *source, *results, *crash_on = "";

/* Goes from stage to stage, with the text of the file behind it, then with the list of words. */
struct parcel {
    char name[256];
    bool crash;
    uint64_t words, different;
};
enum { MORE = 300 }; /* for a name behind the path of a directory */

/* ---- the tasks: what they return, if not 0, is the code of their failure: an errno ---- */

/* Ends a stage with what was written to `memory`, without a copy; or with an error. */
static int32_t answer(cfut_promise *promise, int error, FILE *memory, char **bytes, size_t *size)
{
    cfut_buffer *buffer;
    if ((memory == NULL || fclose(memory) != 0 || *bytes == NULL) && error == 0)
        error = ENOMEM;
    if (error != 0) {
        free(*bytes);
        return error;
    }
    if (cfut_buffer_wrap(*bytes, *size, free, *bytes, &buffer) != CFUT_OK)
        return ENOMEM;
    cfut_status status = cfut_promise_set_buffer(promise, buffer);
    cfut_buffer_release(buffer);
    return status;
}

/* On a thread: the name of a file becomes its parcel. A download would stand here. */
static int32_t fetch(cfut_promise *promise, const void *name, size_t length)
{
    struct parcel parcel = { .crash = strcmp(name, crash_on) == 0 };
    char path[4096 + MORE], block[65536], *bytes = NULL;
    size_t size = 0, count;
    memcpy(parcel.name, name, length);
    snprintf(path, sizeof path, "%s/%s", source, parcel.name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return errno;
    FILE *memory = open_memstream(&bytes, &size);
    if (memory != NULL) {
        fwrite(&parcel, sizeof parcel, 1, memory);
        while ((count = fread(block, 1, sizeof block, file)) > 0 &&
               fwrite(block, 1, count, memory) == count)
            ;
    }
    int error = ferror(file) ? errno : memory == NULL || ferror(memory) ? ENOMEM : 0;
    fclose(file);
    return answer(promise, error, memory, &bytes, &size);
}

/* In a worker process: the parcel of a text becomes that of its list of words. */
static int32_t count(cfut_promise *promise, const void *data, size_t size)
{
    struct parcel parcel = *(const struct parcel *)data;
    const char *text = (const char *)data + sizeof parcel;
    volatile int *volatile nowhere = NULL;
    struct words words;
    char *bytes = NULL;
    if (parcel.crash)
        *nowhere = 1;
    int error = count_words(text, size - sizeof parcel, &words) ? 0 : ENOMEM;
    FILE *memory = open_memstream(&bytes, &size);
    if (error == 0 && memory != NULL) {
        parcel.words = words.total;
        parcel.different = words.different;
        fwrite(&parcel, sizeof parcel, 1, memory);
        for (uint64_t i = 0; i < words.different; i++)
            fprintf(memory, "%" PRIu64 " %s\n", words.list[i].count, words.list[i].text);
        error = ferror(memory) ? ENOMEM : 0;
    }
    free_words(&words);
    return answer(promise, error, memory, &bytes, &size);
}

/* On a thread: writes the list; what is not finished has another name. */
static int32_t save(cfut_promise *promise, const void *data, size_t size)
{
    const struct parcel *parcel = data;
    size_t length = size - sizeof *parcel;
    char path[4096 + MORE], part[sizeof path + MORE];
    snprintf(path, sizeof path, "%s/%s.words", results, parcel->name);
    snprintf(part, sizeof part, "%s.part", path);
    FILE *file = fopen(part, "wb");
    if (file == NULL)
        return errno;
    int error = fwrite(parcel + 1, 1, length, file) == length ? 0 : errno;
    if (fclose(file) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(part, path) != 0)
        error = errno;
    if (error != 0)
        remove(part);
    return error != 0 ? error : cfut_promise_set_bytes(promise, parcel, sizeof *parcel);
}

/* ---- the program ---- */

/* A file under way: the future of each of its stages. */
struct item {
    char name[256]; /* "": none */
    cfut_future *futures[STAGES];
};

struct line {
    DIR *directory;
    cfut_executor *pools[STAGES];
    cfut_task *tasks[STAGES];
    cfut_queue *queue;
    struct item *items; /* the window; the index of an item is its tag */
    size_t window;
    uint64_t done[STAGES], failed[STAGES], words;
};

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "pipeline: %s: %s\n", what, why);
    return false;
}

/* A call of the library failed: it has kept the details. */
static bool failed(const char *call)
{
    char text[256];
    cfut_last_error(text, sizeof text);
    return complain(call, text);
}

static bool make_pool(enum stage stage, int64_t workers, cfut_executor **pool)
{
    cfut_options *options = cfut_options_new();
    bool good = false;
    if (stage == COUNT && workers != 0 &&
        cfut_options_set(options, CFUT_OPT_WORKERS, workers) != CFUT_OK)
        failed("--workers");
    else if (cfut_options_set_text(options, CFUT_OPT_NAME, NAMES[stage]) != CFUT_OK ||
             (stage == COUNT ? cfut_process_pool_new : cfut_thread_pool_new)(options, pool) !=
                 CFUT_OK)
        failed(NAMES[stage]);
    else
        good = true;
    cfut_options_free(options);
    return good;
}

/* Fetches and saves have pools of their own: a slow source must not keep results from the disk. */
static bool build(struct line *line, int64_t workers)
{
    static const cfut_task_fn FUNCTIONS[STAGES] = { fetch, count, save };
    for (int stage = FETCH; stage < STAGES; stage++) {
        if (!make_pool((enum stage)stage, workers, &line->pools[stage]))
            return false;
        if (cfut_task_new(FUNCTIONS[stage], &line->tasks[stage]) != CFUT_OK)
            return failed("cfut_task_new");
    }
    if (cfut_queue_new(&line->queue) != CFUT_OK)
        return failed("cfut_queue_new");
    line->items = calloc(line->window, sizeof *line->items);
    return line->items != NULL || complain("--window", "no memory for so many");
}

/* All three stages at once; the second and third begin when the one before is done. */
static bool start(struct line *line, struct item *item)
{
    cfut_future **futures = item->futures;
    if (cfut_submit_task(line->pools[FETCH], line->tasks[FETCH], item->name,
                         strlen(item->name) + 1, &futures[FETCH]) != CFUT_OK)
        return failed("cfut_submit_task");
    for (int stage = COUNT; stage < STAGES; stage++) {
        if (cfut_future_pipe(futures[stage - 1], line->pools[stage], line->tasks[stage],
                             &futures[stage]) != CFUT_OK)
            return failed("cfut_future_pipe");
    }
    return cfut_queue_add(line->queue, futures[SAVE], (uint64_t)(item - line->items)) == CFUT_OK ||
           failed("cfut_queue_add");
}

static void release(struct item *item)
{
    for (int stage = FETCH; stage < STAGES; stage++) {
        cfut_future_release(item->futures[stage]);
        item->futures[stage] = NULL;
    }
    item->name[0] = '\0';
}

/* Starts the next file of the directory, if there is one. */
static bool start_next(struct line *line, struct item *item)
{
    const struct dirent *entry;
    struct stat about;
    do {
        errno = 0;
        entry = readdir(line->directory);
        if (entry == NULL)
            return errno == 0 || complain(source, strerror(errno));
    } while (fstatat(dirfd(line->directory), entry->d_name, &about, 0) == 0 &&
             S_ISDIR(about.st_mode));
    snprintf(item->name, sizeof item->name, "%s", entry->d_name);
    return start(line, item);
}

/* How far the others were when the first file was saved. */
static void print_first(const struct line *line)
{
    uint64_t done[STAGES];
    memcpy(done, line->done, sizeof done);
    for (size_t i = 0; i < line->window; i++) {
        for (int stage = FETCH; stage < STAGES && line->items[i].name[0] != '\0'; stage++)
            done[stage] += cfut_future_wait(line->items[i].futures[stage], CFUT_NOW) == CFUT_OK;
    }
    printf("the first file is saved: so far fetched %" PRIu64 ", counted %" PRIu64 "\n",
           done[FETCH], done[COUNT]);
}

/* What the library says of a crash; a task of this program has left an errno, or a status. */
static const char *reason(cfut_future *future)
{
    const char *message = cfut_future_message(future);
    int32_t code = cfut_future_code(future);
    return message[0] != '\0' ? message : code < 0 ? cfut_status_text(code) : strerror(code);
}

/* The first stage that did not succeed is to blame: those after it only passed it on. */
static void finish(struct line *line, struct item *item)
{
    int stage = FETCH;
    while (stage < STAGES && cfut_future_wait(item->futures[stage], CFUT_NOW) == CFUT_OK)
        stage++;
    if (stage == STAGES) {
        const struct parcel *parcel = cfut_future_bytes(item->futures[SAVE], NULL);
        if (line->done[SAVE] == 0)
            print_first(line);
        line->words += parcel->words;
        printf("%s: %" PRIu64 " words, %" PRIu64 " different\n", item->name, parcel->words,
               parcel->different);
        fflush(stdout); /* now, also where it is a pipe */
    } else {
        line->failed[stage]++;
        fprintf(stderr, "pipeline: %s: %s: %s\n", item->name, NAMES[stage],
                reason(item->futures[stage]));
    }
    while (--stage >= FETCH)
        line->done[stage]++;
    release(item);
}

/* Fills the window, then starts a file for each that is done. */
static bool run(struct line *line)
{
    cfut_status status;
    uint64_t tag;
    for (size_t i = 0; i < line->window; i++) {
        if (!start_next(line, &line->items[i]))
            return false;
    }
    while ((status = cfut_queue_next(line->queue, CFUT_FOREVER, NULL, &tag)) == CFUT_OK) {
        finish(line, &line->items[tag]);
        if (!start_next(line, &line->items[tag]))
            return false;
    }
    return status == CFUT_END || failed("cfut_queue_next");
}

static bool print_all(const struct line *line)
{
    printf("%-5s %10s %10s\n", "stage", "done", "failed");
    for (int stage = FETCH; stage < STAGES; stage++)
        printf("%-5s %10" PRIu64 " %10" PRIu64 "\n", NAMES[stage], line->done[stage],
               line->failed[stage]);
    printf("%" PRIu64 " words in %" PRIu64 " files\n", line->words, line->done[SAVE]);
    return (fflush(stdout) == 0 && !ferror(stdout)) ||
           complain("standard output", strerror(errno));
}

static bool open_directories(struct line *line)
{
    struct stat from, to;
    if ((line->directory = opendir(source)) == NULL ||
        fstat(dirfd(line->directory), &from) != 0)
        return complain(source, strerror(errno));
    if ((mkdir(results, 0777) != 0 && errno != EEXIST) || stat(results, &to) != 0)
        return complain(results, strerror(errno));
    if (!S_ISDIR(to.st_mode))
        return complain(results, strerror(ENOTDIR));
    if (from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return complain(results, "results are wanted in another directory than the files");
    return true;
}

static int count_directory(size_t window, int64_t workers)
{
    struct line line = { .window = window };
    bool good = open_directories(&line) && build(&line, workers) && run(&line) && print_all(&line);

    /* NULL is fine for all of these; what has not started after trouble is cancelled. */
    for (int stage = FETCH; stage < STAGES; stage++) {
        cfut_executor_shutdown(line.pools[stage], CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER);
        cfut_executor_release(line.pools[stage]);
        cfut_task_free(line.tasks[stage]);
    }
    for (size_t i = 0; line.items != NULL && i < window; i++)
        release(&line.items[i]);
    free(line.items);
    cfut_queue_release(line.queue);
    if (line.directory != NULL)
        closedir(line.directory);
    for (int stage = FETCH; good && stage < STAGES; stage++) {
        if (line.failed[stage] > 0)
            return SOME_FAILED;
    }
    return good ? ALL_SAVED : TROUBLE;
}

static int misused(const char *what, const char *why)
{
    if (what != NULL)
        complain(what, why);
    fputs("Try 'pipeline --help'.\n", stderr);
    return TROUBLE;
}

static bool parse(const char *text, int64_t *number)
{
    char *end;
    *number = strtoll(text, &end, 10);
    return *number >= 1 && *number <= INT32_MAX && *end == '\0';
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "window", required_argument, NULL, 'W' },
                                             { "workers", required_argument, NULL, 'w' },
                                             { "crash-on", required_argument, NULL, 'c' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    const struct rlimit no_core = { 0, 0 };
    int64_t window = 32, workers = 0; /* 0: the library's choice */
    int option;

    cfut_worker_main(); /* a worker does not come back from here */

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'W':
            if (!parse(optarg, &window))
                return misused(optarg, "--window wants a number above 0");
            break;
        case 'w':
            if (!parse(optarg, &workers))
                return misused(optarg, "--workers wants a number above 0");
            break;
        case 'c':
            crash_on = optarg;
            setrlimit(RLIMIT_CORE, &no_core); /* workers inherit it: this one needs no file */
            break;
        case 'h':
            return fputs(USAGE, stdout) < 0 ? TROUBLE : ALL_SAVED;
        default: /* getopt_long has said what is wrong */
            return misused(NULL, NULL);
        }
    }
    if (optind + 2 != argc)
        return misused("wrong arguments", "two directories are wanted");
    source = argv[optind];
    results = argv[optind + 1];
    if (strlen(source) > 4096 || strlen(results) > 4096)
        return misused("wrong arguments", "a path is too long");
    return count_directory((size_t)window, workers);
}
