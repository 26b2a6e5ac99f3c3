/* Prime numbers: one after the other, on threads and in processes, with the times.
 *
 * Shows: the same work with and without a pool, the same task function on either kind of pool,
 * many tasks in one submit, results in the order of the tasks, and a failure with a message.
 */
#define _GNU_SOURCE /* getopt_long */
#include <cfutures.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GOOD = 0, TROUBLE = 2 }; /* exit statuses */

static const char USAGE[] =
    "usage: primes [--count | --sieve] [--processes] [--workers N] [--trace FILE] NUMBER...\n"
    "\n"
    "Tells of each NUMBER whether it is prime, first in one thread, then on a thread pool, and\n"
    "how long each took.\n"
    "\n"
    "  --count      how many primes are below each NUMBER, counted one by one in ten ranges\n"
    "  --sieve      the same by a sieve, for a NUMBER up to 1000000000\n"
    "  --processes  then in a pool of worker processes as well\n"
    "  --workers N  threads or processes of a pool; the default is one for each processor\n"
    "  --trace FILE write the timeline of the last pool, for https://ui.perfetto.dev\n"
    "  --help       this text\n"
    "\n"
    "Exit status: 0 done, 2 trouble.\n";

/* ---- the work ---- */

enum kind { DIVISOR, COUNT, SIEVE };

struct job {
    enum kind kind;
    uint64_t from, to; /* DIVISOR and SIEVE: of `to`; COUNT: from <= n < to */
};

enum { RANGES = 10 };
static const uint64_t LARGEST_SIEVE = 1000000000;

/* The smallest divisor above 1; 0 for 0 and 1, which have none. */
static uint64_t smallest_divisor(uint64_t n)
{
    if (n % 2 == 0)
        return n == 0 ? 0 : 2;
    for (uint64_t divisor = 3; divisor <= n / divisor; divisor += 2) {
        if (n % divisor == 0)
            return divisor;
    }
    return n > 1 ? n : 0;
}

static bool is_prime(uint64_t n)
{
    return n > 1 && smallest_divisor(n) == n;
}

static uint64_t count_primes(uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (uint64_t n = from; n < to; n++)
        count += is_prime(n);
    return count;
}

/* Eratosthenes; false if there is no memory. */
static bool sieve(uint64_t limit, uint64_t *count)
{
    char *composite = calloc(limit + 1, 1);
    if (composite == NULL)
        return false;
    *count = 0;
    for (uint64_t n = 2; n < limit; n++) {
        if (composite[n])
            continue;
        ++*count;
        for (uint64_t multiple = n * n; multiple < limit; multiple += n)
            composite[multiple] = 1;
    }
    free(composite);
    return true;
}

static bool work(const struct job *job, uint64_t *result)
{
    if (job->kind == SIEVE)
        return sieve(job->to, result);
    *result = job->kind == COUNT ? count_primes(job->from, job->to) : smallest_divisor(job->to);
    return true;
}

/* The same work as a task: bytes in, bytes out. It need not know where it runs. */
static int32_t work_task(cfut_promise *promise, const void *data, size_t size)
{
    uint64_t result;
    (void)size;
    if (!work(data, &result))
        return cfut_promise_fail(promise, ENOMEM, "no memory for a sieve");
    return cfut_promise_set_bytes(promise, &result, sizeof result);
}

/* ---- the program ---- */

enum way { SERIALLY, THREADS, PROCESSES, WAYS };

struct plan {
    enum kind kind;
    int64_t workers;
    enum way last;     /* THREADS or PROCESSES: all up to it are done */
    const char *trace; /* NULL: no timeline */
};

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "primes: %s: %s\n", what, why);
    return false;
}

/* A call of the library failed: it has kept the details. */
static bool failed(const char *call)
{
    char text[256];
    cfut_last_error(text, sizeof text);
    return complain(call, text);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool run_serially(const struct job *jobs, size_t count, uint64_t *results)
{
    for (size_t i = 0; i < count; i++) {
        if (!work(&jobs[i], &results[i]))
            return complain("serially", "no memory for a sieve");
    }
    return true;
}

/* Waits for each task in its turn; those after a failure are waited for as well. */
static bool collect(cfut_future **futures, size_t count, uint64_t *results)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        cfut_status outcome = cfut_future_wait(futures[i], CFUT_FOREVER);
        if (outcome == CFUT_OK)
            memcpy(&results[i], cfut_future_bytes(futures[i], NULL), sizeof results[i]);
        else if (outcome == CFUT_FAILED)
            good = complain("task", cfut_future_message(futures[i]));
        else
            good = complain("task", cfut_status_text(outcome));
        cfut_future_release(futures[i]);
    }
    return good;
}

/* What tasks are called in a timeline. */
static const char *const TASK_NAMES[] = { "smallest divisor", "count primes", "sieve" };

static bool run_on(cfut_executor *pool, const struct job *jobs, size_t count, uint64_t *results)
{
    cfut_future **futures = calloc(count, sizeof(cfut_future *));
    cfut_task *task = NULL;
    bool good = false;
    if (futures == NULL)
        complain("futures", "no memory");
    else if (cfut_task_new(work_task, &task) != CFUT_OK)
        failed("cfut_task_new");
    else if (cfut_task_set_text(task, CFUT_TASK_NAME, TASK_NAMES[jobs->kind]) != CFUT_OK)
        failed("cfut_task_set_text");
    else if (cfut_submit_many(pool, task, jobs, sizeof *jobs, count, futures) != CFUT_OK)
        failed("cfut_submit_many");
    else
        good = collect(futures, count, results);
    cfut_task_free(task);
    free(futures);
    return good;
}

/* All that differs between threads and processes. */
static cfut_executor *make_pool(enum way way, const struct plan *plan)
{
    cfut_executor *pool = NULL;
    cfut_options *options = cfut_options_new();
    if (cfut_options_set(options, CFUT_OPT_WORKERS, plan->workers) != CFUT_OK)
        failed("--workers");
    else if (cfut_options_set_text(options, CFUT_OPT_NAME, "primes") != CFUT_OK ||
             (plan->trace != NULL && way == plan->last &&
              cfut_options_set_text(options, CFUT_OPT_TRACE_FILE, plan->trace) != CFUT_OK))
        failed("cfut_options_set_text");
    else if ((way == PROCESSES ? cfut_process_pool_new : cfut_thread_pool_new)(options, &pool) !=
             CFUT_OK)
        failed(way == PROCESSES ? "cfut_process_pool_new" : "cfut_thread_pool_new");
    cfut_options_free(options);
    return pool;
}

/* The job for each number, or its ten jobs. */
static void prepare(enum kind kind, const uint64_t *numbers, size_t count, struct job *jobs)
{
    for (size_t i = 0; i < count; i++) {
        if (kind != COUNT) {
            *jobs++ = (struct job){ kind, 0, numbers[i] };
            continue;
        }
        uint64_t from = 0, share = numbers[i] / RANGES;
        for (int range = 1; range <= RANGES; range++) {
            uint64_t to = range == RANGES ? numbers[i] : from + share;
            *jobs++ = (struct job){ COUNT, from, to };
            from = to;
        }
    }
}

static void print(enum kind kind, uint64_t number, uint64_t result)
{
    if (kind != DIVISOR)
        printf("%" PRIu64 " primes below %" PRIu64 "\n", result, number);
    else if (number < 2)
        printf("%" PRIu64 " is not prime\n", number);
    else if (result == number)
        printf("%" PRIu64 " is prime\n", number);
    else
        printf("%" PRIu64 " is not prime: %" PRIu64 " divides it\n", number, result);
}

static bool print_all(const struct plan *plan, const uint64_t *numbers, size_t count,
                      const uint64_t *results, const double times[WAYS])
{
    static const char *const names[WAYS] = { "serially", "on threads", "in processes" };
    size_t parts = plan->kind == COUNT ? RANGES : 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t sum = 0;
        for (size_t part = 0; part < parts; part++)
            sum += *results++;
        print(plan->kind, numbers[i], sum);
    }
    printf("serially %.3f s", times[SERIALLY]);
    for (int way = THREADS; way <= (int)plan->last; way++)
        printf(", %s (%" PRId64 ") %.3f s: %.2f times as fast", names[way], plan->workers,
               times[way], times[SERIALLY] / times[way]);
    putchar('\n');
    return fflush(stdout) == 0 || complain("standard output", strerror(errno));
}

/* One way, and how long it took: with the making of its pool, which starts its workers. */
static bool run_one(enum way way, const struct plan *plan, const struct job *jobs, size_t count,
                    uint64_t *results, double *time)
{
    double begin = seconds();
    bool good;
    if (way == SERIALLY) {
        good = run_serially(jobs, count, results);
        *time = seconds() - begin;
        return good;
    }
    cfut_executor *pool = make_pool(way, plan);
    good = pool != NULL && run_on(pool, jobs, count, results);
    *time = seconds() - begin;
    cfut_executor_shutdown(pool, 0, CFUT_FOREVER); /* NULL is fine */
    cfut_executor_release(pool);
    return good;
}

/* Each way in its turn; all must agree. */
static bool compare(const struct plan *plan, const struct job *jobs, size_t count,
                    uint64_t *serially, uint64_t *results, double times[WAYS])
{
    if (!run_one(SERIALLY, plan, jobs, count, serially, &times[SERIALLY]))
        return false;
    for (int way = THREADS; way <= (int)plan->last; way++) {
        if (!run_one((enum way)way, plan, jobs, count, results, &times[way]))
            return false;
        if (memcmp(serially, results, count * sizeof *serially) != 0)
            return complain(way == THREADS ? "threads" : "processes",
                            "other results than serially");
    }
    return true;
}

static bool run(const struct plan *plan, const uint64_t *numbers, size_t count)
{
    size_t job_count = plan->kind == COUNT ? count * RANGES : count;
    struct job *jobs = calloc(job_count, sizeof *jobs);
    uint64_t *results = calloc(2 * job_count, sizeof *results);
    double times[WAYS];
    bool good = false;
    if (jobs == NULL || results == NULL) {
        complain("numbers", "no memory for so many");
    } else {
        prepare(plan->kind, numbers, count, jobs);
        good = compare(plan, jobs, job_count, results, results + job_count, times) &&
               print_all(plan, numbers, count, results, times);
    }
    free(results);
    free(jobs);
    return good;
}

static int misused(const char *what, const char *why)
{
    if (what != NULL)
        complain(what, why);
    fputs("Try 'primes --help'.\n", stderr);
    return TROUBLE;
}

static bool parse(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *number >= least &&
           *number <= most;
}

static int run_numbers(const struct plan *plan, char **texts, size_t count)
{
    uint64_t *numbers = calloc(count, sizeof *numbers);
    uint64_t most = plan->kind == SIEVE ? LARGEST_SIEVE : UINT64_MAX;
    int status = TROUBLE;
    size_t good = 0;
    while (numbers != NULL && good < count && parse(texts[good], 0, most, &numbers[good]))
        good++;
    if (numbers == NULL)
        complain("numbers", "no memory for so many");
    else if (good < count)
        misused(texts[good], "no number, or too large");
    else
        status = run(plan, numbers, count) ? GOOD : TROUBLE;
    free(numbers);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "count", no_argument, NULL, 'c' },
                                             { "sieve", no_argument, NULL, 's' },
                                             { "processes", no_argument, NULL, 'p' },
                                             { "workers", required_argument, NULL, 'w' },
                                             { "trace", required_argument, NULL, 't' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    struct plan plan = { DIVISOR, 0, THREADS, NULL };
    uint64_t workers;
    int option;

    cfut_worker_main(); /* a worker does not come back from here */
    workers = cfut_cpu_count(); /* this work computes: more would not help */

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            plan.kind = COUNT;
            break;
        case 's':
            plan.kind = SIEVE;
            break;
        case 'p':
            plan.last = PROCESSES;
            break;
        case 'w':
            if (!parse(optarg, 1, INT32_MAX, &workers))
                return misused(optarg, "--workers wants a number above 0");
            break;
        case 't':
            plan.trace = optarg;
            break;
        case 'h':
            return fputs(USAGE, stdout) < 0 ? TROUBLE : GOOD;
        default: /* getopt_long has said what is wrong */
            return misused(NULL, NULL);
        }
    }
    if (optind == argc)
        return misused("wrong arguments", "a number is wanted");
    plan.workers = (int64_t)workers;
    return run_numbers(&plan, argv + optind, (size_t)(argc - optind));
}
