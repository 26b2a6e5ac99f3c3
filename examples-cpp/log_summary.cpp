/* Lines, errors and warnings of each log file in a directory, the worst first.
 *
 * Shows: options of a pool, one function that runs on threads or in processes alike, failures that
 * stay with the task they concern, and an as-completed loop. The same as examples-c/log_summary.c.
 */
#include <cfutures.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <getopt.h>

namespace fs = std::filesystem;

enum { ALL_READ = 0, SOME_UNREADABLE = 1, TROUBLE = 2 }; // exit statuses

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

// ---- the task: runs on a thread or in a worker process ----

struct counts {
    uint64_t lines = 0, errors = 0, warnings = 0;
};

static counts count_file(const std::string &path, bool ignore_case)
{
    const std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "rb"), std::fclose);
    if (!file)
        throw cfut::failed(errno, std::strerror(errno));
    counts sum;
    char *text = nullptr; // getline() makes it longer
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&text, &room, file.get())) > 0) {
        if (ignore_case)
            std::transform(text, text + length, text, [](char c) {
                return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
            });
        const std::string_view line(text, static_cast<size_t>(length));
        sum.lines++;
        sum.errors += line.find("ERROR") != line.npos;
        sum.warnings += line.find("WARN") != line.npos;
    }
    const int error = std::ferror(file.get()) ? errno : 0;
    std::free(text);
    if (error != 0)
        throw cfut::failed(error, std::strerror(error));
    return sum;
}

// ---- the program ----

struct row {
    std::string name;
    counts sum;
};

struct arguments {
    bool ignore_case = false, processes = false;
    cfut::options options;
    std::string directory;
};

static void complain(const std::string &what, const char *why)
{
    std::fprintf(stderr, "log_summary: %s: %s\n", what.c_str(), why);
}

static void print(std::vector<row> &rows)
{
    std::sort(rows.begin(), rows.end(), [](const row &a, const row &b) {
        return a.sum.errors != b.sum.errors ? a.sum.errors > b.sum.errors : a.name < b.name;
    });
    std::printf("%12s %12s %12s  %s\n", "lines", "errors", "warnings", "file");
    for (const row &it : rows)
        std::printf("%12ju %12ju %12ju  %s\n", uintmax_t{ it.sum.lines }, uintmax_t{ it.sum.errors },
                    uintmax_t{ it.sum.warnings }, it.name.c_str());
    if (std::fflush(stdout) != 0)
        throw std::system_error(errno, std::generic_category(), "standard output");
}

static int summarize(const arguments &given)
{
    const fs::directory_iterator files(given.directory);
    const cfut::executor pool = given.processes
                                    ? cfut::executor(cfut::process_pool(given.options))
                                    : cfut::executor(cfut::thread_pool(given.options));
    std::vector<std::string> names;
    std::vector<cfut::future<counts>> futures;
    for (const fs::directory_entry &file : files) {
        std::error_code dangling;
        if (fs::exists(file.path(), dangling) && !fs::is_regular_file(file.path(), dangling))
            continue;
        names.push_back(file.path().filename());
        cfut::call<&count_file> task;
        task.name(names.back());
        futures.push_back(pool.submit(task, file.path(), given.ignore_case));
    }
    std::vector<row> rows;
    for (auto [index, future] : cfut::as_completed(futures)) {
        try {
            rows.push_back({ names[index], future.get() });
        } catch (const cfut::error &error) {
            complain(names[index], error.what());
        }
    }
    print(rows);
    return rows.size() < names.size() ? SOME_UNREADABLE : ALL_READ;
}

static int misused(const std::string &what = "", const char *why = nullptr)
{
    if (why != nullptr)
        complain(what, why);
    std::fputs("Try 'log_summary --help'.\n", stderr);
    return TROUBLE;
}

static int run(int argc, char **argv)
{
    static const option options[] = { { "ignore-case", no_argument, nullptr, 'i' },
                                      { "processes", no_argument, nullptr, 'p' },
                                      { "workers", required_argument, nullptr, 'w' },
                                      { "trace", required_argument, nullptr, 't' },
                                      { "help", no_argument, nullptr, 'h' },
                                      { nullptr, 0, nullptr, 0 } };
    arguments given;
    given.options.name("logs");
    int option;
    while ((option = getopt_long(argc, argv, "i", options, nullptr)) != -1) {
        char *end = nullptr;
        long long number = 0;
        switch (option) {
        case 'i':
            given.ignore_case = true;
            break;
        case 'p':
            given.processes = true;
            break;
        case 'w':
            number = std::strtoll(optarg, &end, 10);
            if (number < 1 || number == INT64_MAX || *end != '\0')
                return misused(optarg, "--workers wants a number above 0");
            given.options.workers(number);
            break;
        case 't':
            given.options.trace_file(optarg);
            break;
        case 'h':
            return std::fputs(USAGE, stdout) < 0 ? TROUBLE : ALL_READ;
        default: // getopt_long has said what is wrong
            return misused();
        }
    }
    if (optind + 1 != argc)
        return misused("wrong arguments", "one directory is wanted");
    given.directory = argv[optind];
    return summarize(given);
}

int main(int argc, char **argv)
{
    cfut::worker_main(); // a worker does not come back from here
    try {
        return run(argc, argv);
    } catch (const std::exception &error) {
        complain("trouble", error.what());
        return TROUBLE;
    }
}
