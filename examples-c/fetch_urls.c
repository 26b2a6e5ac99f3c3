/* pkg-config: libcurl */

/* URLs from a file, fetched by libcurl, so many at a time.
 *
 * Shows: a limited view in place of a semaphore in the tasks. The pool has a thread for each fetch
 * that may be going on; what waits for its turn holds none of them, and another view of the same
 * pool could do something else meanwhile. Each fetch has a time-out of its own, which the task is
 * told of by its stop flag; results are printed as they come.
 */
#define _GNU_SOURCE /* getopt_long, getline */
#include <cfutures.h>
#include <curl/curl.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOOD = 0, WRONG = 1, TROUBLE = 2 }; /* exit statuses */
enum { MOST_AT_ONCE = 1000 };

static const char USAGE[] =
    "usage: fetch_urls [--at-once N] [--timeout SECONDS] FILE\n"
    "\n"
    "Fetches each URL of FILE (one a line, - for standard input; empty lines and those that begin\n"
    "with # are passed over), and prints its HTTP status and size, or ERROR and why, in the order\n"
    "in which they end.\n"
    "\n"
    "  --at-once N        at most so many at a time; the default is 8\n"
    "  --timeout SECONDS  for each URL from when it is begun; the default is 10\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 each URL has a status, 1 some have an ERROR, 2 trouble.\n";

/* ---- the work: in threads of the pool ---- */

struct fetched {
    int64_t status; /* of HTTP; 0 for other protocols */
    int64_t bytes;
};

static size_t count_bytes(char *data, size_t size, size_t count, void *total)
{
    (void)data;
    *(int64_t *)total += (int64_t)(size * count);
    return size * count;
}

/* libcurl asks about once a second, and as data comes; not 0 ends the fetch. */
static int is_over(void *promise, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                   curl_off_t up)
{
    (void)down_all, (void)down, (void)up_all, (void)up;
    return cfut_promise_stop_requested(promise);
}

/* Task: its data is a URL with its NUL. */
static int32_t fetch(cfut_promise *promise, const void *url, size_t size)
{
    struct fetched fetched = { 0, 0 };
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;
    (void)size;
    if (curl != NULL) {
        curl_easy_setopt(curl, CURLOPT_URL, (const char *)url);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* there are other threads */
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_bytes);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &fetched.bytes);
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_over);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, promise);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_cleanup(curl);
    }
    if (code != CURLE_OK)
        return cfut_promise_fail(promise, (int32_t)code,
                                 why[0] != '\0' ? why : curl_easy_strerror(code));
    fetched.status = status;
    return cfut_promise_set_bytes(promise, &fetched, sizeof fetched);
}

/* ---- the list ---- */

struct list {
    char **urls;
    size_t count, room;
};

static bool add_url(struct list *list, const char *line)
{
    size_t length = strcspn(line, "\r\n");
    if (length == 0 || line[0] == '#')
        return true;
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        char **more = realloc(list->urls, room * sizeof *more);
        if (more == NULL)
            return false;
        list->urls = more;
        list->room = room;
    }
    list->urls[list->count] = strndup(line, length);
    return list->urls[list->count++] != NULL;
}

static bool read_list(const char *path, struct list *list)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    bool good = file != NULL;
    while (good && getline(&line, &room, file) >= 0)
        good = add_url(list, line);
    good = good && !ferror(file);
    if (!good)
        fprintf(stderr, "fetch_urls: %s: %s\n", path, strerror(errno));
    if (file != NULL && file != stdin)
        fclose(file);
    free(line);
    return good;
}

static void free_list(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->urls[i]);
    free(list->urls);
}

/* ---- the program ---- */

static int complain(const char *what, cfut_status status)
{
    char text[480];
    cfut_last_error(text, sizeof text);
    fprintf(stderr, "fetch_urls: %s: %s: %s\n", what, cfut_status_name(status), text);
    return TROUBLE;
}

static cfut_status submit_all(cfut_executor *view, const struct list *list, int64_t timeout,
                              cfut_queue *queue)
{
    cfut_task *task = NULL;
    cfut_status status = cfut_task_new(fetch, &task);
    if (status == CFUT_OK)
        status = cfut_task_set(task, CFUT_TASK_RUN_TIMEOUT_NS, timeout);
    for (size_t i = 0; i < list->count && status == CFUT_OK; i++) {
        cfut_future *future = NULL;
        status = cfut_submit_task(view, task, list->urls[i], strlen(list->urls[i]) + 1, &future);
        if (status == CFUT_OK)
            status = cfut_queue_add(queue, future, i);
        cfut_future_release(future);
    }
    cfut_task_free(task);
    return status;
}

/* What was printed is out; false: it is not. */
static bool is_written(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    fprintf(stderr, "fetch_urls: standard output: %s\n", strerror(errno));
    return false;
}

/* Prints one outcome; false: it is an error. */
static bool print_outcome(const char *url, cfut_future *future)
{
    cfut_status how = cfut_future_wait(future, CFUT_NOW);
    size_t size = 0;
    const struct fetched *fetched = cfut_future_bytes(future, &size);
    if (how == CFUT_OK && fetched != NULL && size == sizeof *fetched) {
        printf("%3" PRId64 " %9" PRId64 " %s\n", fetched->status, fetched->bytes, url);
    } else if (how == CFUT_EXPIRED) {
        printf("ERROR %s: took too long\n", url);
    } else {
        printf("ERROR %s: %s\n", url, cfut_future_message(future));
    }
    return how == CFUT_OK;
}

static int print_all(const struct list *list, cfut_queue *queue)
{
    cfut_future *future;
    uint64_t tag;
    cfut_status status;
    size_t errors = 0;
    while ((status = cfut_queue_next(queue, CFUT_FOREVER, &future, &tag)) == CFUT_OK) {
        errors += !print_outcome(list->urls[tag], future);
        cfut_future_release(future);
        if (!is_written()) /* as they come */
            return TROUBLE;
    }
    if (status != CFUT_END)
        return complain("the queue", status);
    return errors == 0 ? GOOD : WRONG;
}

static int fetch_all(const struct list *list, uint32_t at_once, int64_t timeout)
{
    cfut_executor *pool = NULL, *view = NULL;
    cfut_queue *queue = NULL;
    cfut_options *options = cfut_options_new();
    cfut_status status;
    int exit_status;
    if ((status = cfut_options_set(options, CFUT_OPT_WORKERS, at_once)) != CFUT_OK ||
        (status = cfut_thread_pool_new(options, &pool)) != CFUT_OK ||
        (status = cfut_limited_new(pool, at_once, &view)) != CFUT_OK ||
        (status = cfut_queue_new(&queue)) != CFUT_OK ||
        (status = submit_all(view, list, timeout, queue)) != CFUT_OK)
        exit_status = complain("cannot start", status);
    else
        exit_status = print_all(list, queue);
    if (view != NULL) /* what is left, after trouble, is not wanted */
        cfut_executor_shutdown(view, CFUT_SHUTDOWN_CANCEL, CFUT_FOREVER);
    if (pool != NULL)
        cfut_executor_shutdown(pool, 0, CFUT_FOREVER);
    cfut_queue_release(queue);
    cfut_executor_release(view);
    cfut_executor_release(pool);
    cfut_options_free(options);
    return exit_status;
}

static bool whole_number(const char *text, long most, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *out >= 1 && *out <= most;
}

static bool seconds(const char *text, int64_t *nanoseconds)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0 && value <= 1e6))
        return false;
    *nanoseconds = (int64_t)(value * 1e9);
    return true;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "at-once", required_argument, NULL, 'n' },
        { "timeout", required_argument, NULL, 't' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct list list = { NULL, 0, 0 };
    int64_t timeout = CFUT_SEC(10);
    long at_once = 8;
    int option, exit_status = TROUBLE;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'h':
            fputs(USAGE, stdout);
            return is_written() ? GOOD : TROUBLE;
        case 'n':
            if (!whole_number(optarg, MOST_AT_ONCE, &at_once)) {
                fprintf(stderr, "fetch_urls: --at-once %s: no number from 1 to %d\n", optarg,
                        MOST_AT_ONCE);
                return TROUBLE;
            }
            break;
        case 't':
            if (!seconds(optarg, &timeout)) {
                fprintf(stderr, "fetch_urls: --timeout %s: no number of seconds\n", optarg);
                return TROUBLE;
            }
            break;
        default:
            fputs(USAGE, stderr);
            return TROUBLE;
        }
    }
    if (argc - optind != 1) {
        fprintf(stderr, "fetch_urls: one FILE is wanted, not %d\n%s", argc - optind, USAGE);
        return TROUBLE;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(stderr, "fetch_urls: libcurl cannot be used\n");
        return TROUBLE;
    }
    if (read_list(argv[optind], &list))
        exit_status = fetch_all(&list, (uint32_t)at_once, timeout);
    free_list(&list);
    curl_global_cleanup();
    return exit_status;
}
