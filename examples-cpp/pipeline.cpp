/* The words of each file: fetched on threads, counted in processes, saved on threads.
 *
 * Shows: three stages joined by then<&function>(), with classes that say what travels between them.
 * A file goes on to its next stage whatever the others do; one that fails, or crashes, passes by its
 * further stages and costs nobody else anything. A window bounds how many are under way. The same as
 * examples-c/pipeline.c.
 */
#include <cfutures.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <getopt.h>
#include <sys/resource.h>

namespace fs = std::filesystem;

enum { ALL_SAVED = 0, SOME_FAILED = 1, TROUBLE = 2 }; // exit statuses

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

// Threads see the variables of the program; worker processes get what is in the parcel.
static fs::path source, results;
static std::string crash_on;

// Goes from stage to stage with the text of the file, then with the list of its words.
struct parcel {
    std::string name;
    bool crash;
    uint64_t words, different;
    std::string text;
};

template <>
struct cfut::codec<parcel> : cfut::members<&parcel::name, &parcel::crash, &parcel::words,
                                           &parcel::different, &parcel::text> {};

struct totals {
    uint64_t words, different;
};

// ---- the tasks ----

using stream = std::unique_ptr<FILE, int (*)(FILE *)>;

[[noreturn]] static void fail(int error)
{
    throw cfut::failed(error, std::strerror(error));
}

// On a thread: the name of a file becomes its parcel. A download would stand here.
static parcel fetch(const std::string &name)
{
    parcel made{ name, name == crash_on, 0, 0, {} };
    const stream file(std::fopen((source / name).c_str(), "rb"), std::fclose);
    if (!file)
        fail(errno);
    char block[65536];
    while (const size_t count = std::fread(block, 1, sizeof block, file.get()))
        made.text.append(block, count);
    if (std::ferror(file.get()))
        fail(errno);
    return made;
}

// A small letter, a digit or part of a character beyond ASCII; '\0' where no word is.
static char folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return static_cast<char>(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80) != 0 ? c : '\0';
}

// In a worker process: the parcel of a text becomes that of its list of words.
static parcel count(parcel given)
{
    volatile int *volatile nowhere = nullptr;
    if (given.crash)
        *nowhere = 1;
    std::transform(given.text.begin(), given.text.end(), given.text.begin(), folded);
    std::unordered_map<std::string_view, uint64_t> counts;
    for (size_t end, at = 0; at < given.text.size(); at = end + 1) {
        end = std::min(given.text.find('\0', at), given.text.size());
        if (end > at) {
            counts[std::string_view(given.text).substr(at, end - at)]++;
            given.words++;
        }
    }
    std::vector<std::pair<std::string_view, uint64_t>> list(counts.begin(), counts.end());
    std::sort(list.begin(), list.end(), [](const auto &a, const auto &b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    std::string lines;
    for (const auto &[word, times] : list)
        lines.append(std::to_string(times)).append(" ").append(word).append("\n");
    given.different = list.size();
    given.text = std::move(lines);
    return given;
}

// On a thread: writes the list; what is not finished has another name.
static totals save(const parcel &given)
{
    const fs::path path = results / (given.name + ".words"), part = path.string() + ".part";
    stream file(std::fopen(part.c_str(), "wb"), std::fclose);
    if (!file)
        fail(errno);
    int error = std::fwrite(given.text.data(), 1, given.text.size(), file.get()) < given.text.size()
                    ? errno
                    : 0;
    if (std::fclose(file.release()) != 0 && error == 0)
        error = errno;
    if (error == 0 && std::rename(part.c_str(), path.c_str()) != 0)
        error = errno;
    if (error != 0) {
        std::remove(part.c_str());
        fail(error);
    }
    return { given.words, given.different };
}

// ---- the program ----

static void complain(const std::string &what, const char *why)
{
    std::fprintf(stderr, "pipeline: %s: %s\n", what.c_str(), why);
}

// A file under way; its last stage is in the queue.
struct item {
    std::string name;
    cfut::shared_future<parcel> fetched, counted;
};

enum stage { FETCH, COUNT, SAVE, STAGES };
static const char *const NAMES[STAGES] = { "fetch", "count", "save" };

// Fetches and saves have pools of their own: a slow source must not keep results from the disk.
class line {
public:
    line(size_t window, cfut::options &counting)
        : files_(source), fetchers_(cfut::options().name("fetch")), counters_(counting.name("count")),
          savers_(cfut::options().name("save")), items_(window)
    {
    }

    // Fills the window, then starts a file for each that is done.
    int run()
    {
        for (size_t place = 0; place < items_.size(); place++)
            start_next(place);
        while (auto one = queue_.next()) {
            finish(items_[one->tag], one->future);
            start_next(one->tag);
        }
        print_all();
        return failed_[FETCH] + failed_[COUNT] + failed_[SAVE] > 0 ? SOME_FAILED : ALL_SAVED;
    }

private:
    // The next file of the directory, if there is one: all three stages at once.
    void start_next(size_t place)
    {
        item &it = items_[place];
        it = item();
        std::error_code dangling;
        while (files_ != end(files_) && fs::is_directory(files_->path(), dangling))
            ++files_;
        if (files_ == end(files_))
            return;
        it.name = files_->path().filename();
        ++files_;
        it.fetched = fetchers_.submit<&fetch>(it.name).share();
        it.counted = it.fetched.then<&count>(counters_).share();
        queue_.add(it.counted.then<&save>(savers_), place);
    }

    // The first stage that did not succeed is to blame: those after it only passed it on.
    void finish(const item &it, cfut::future<totals> &saved)
    {
        const cfut::status outcomes[] = { it.fetched.wait(), it.counted.wait(), saved.wait() };
        int stage = FETCH;
        while (stage < STAGES && outcomes[stage] == CFUT_OK)
            stage++;
        if (stage == STAGES) {
            if (done_[SAVE] == 0)
                print_first();
            const totals sum = saved.get();
            words_ += sum.words;
            std::printf("%s: %ju words, %ju different\n", it.name.c_str(), uintmax_t{ sum.words },
                        uintmax_t{ sum.different });
            std::fflush(stdout); // now, also where it is a pipe
        } else {
            failed_[stage]++;
            complain(it.name + ": " + NAMES[stage], saved.message().c_str());
        }
        while (--stage >= FETCH)
            done_[stage]++;
    }

    // How far the others were when the first file was saved.
    void print_first() const
    {
        uint64_t fetched = done_[FETCH], counted = done_[COUNT];
        for (const item &it : items_) {
            fetched += it.fetched && it.fetched.wait_for(cfut::now) == CFUT_OK;
            counted += it.counted && it.counted.wait_for(cfut::now) == CFUT_OK;
        }
        std::printf("the first file is saved: so far fetched %ju, counted %ju\n",
                    uintmax_t{ fetched }, uintmax_t{ counted });
    }

    void print_all() const
    {
        std::printf("%-5s %10s %10s\n", "stage", "done", "failed");
        for (int stage = FETCH; stage < STAGES; stage++)
            std::printf("%-5s %10ju %10ju\n", NAMES[stage], uintmax_t{ done_[stage] },
                        uintmax_t{ failed_[stage] });
        std::printf("%ju words in %ju files\n", uintmax_t{ words_ }, uintmax_t{ done_[SAVE] });
        if (std::fflush(stdout) != 0 || std::ferror(stdout))
            throw std::system_error(errno, std::generic_category(), "standard output");
    }

    fs::directory_iterator files_;
    cfut::thread_pool fetchers_;
    cfut::process_pool counters_;
    cfut::thread_pool savers_;
    std::vector<item> items_; // the window; the index of an item is its tag
    cfut::queue<totals> queue_;
    uint64_t done_[STAGES] = {}, failed_[STAGES] = {}, words_ = 0;
};

static int misused(const std::string &what = "", const char *why = nullptr)
{
    if (why != nullptr)
        complain(what, why);
    std::fputs("Try 'pipeline --help'.\n", stderr);
    return TROUBLE;
}

static int run(int argc, char **argv)
{
    static const option options[] = { { "window", required_argument, nullptr, 'w' },
                                      { "workers", required_argument, nullptr, 'n' },
                                      { "crash-on", required_argument, nullptr, 'c' },
                                      { "help", no_argument, nullptr, 'h' },
                                      { nullptr, 0, nullptr, 0 } };
    const rlimit no_core = { 0, 0 };
    cfut::options counting;
    size_t window = 32;
    int option;
    while ((option = getopt_long(argc, argv, "", options, nullptr)) != -1) {
        char *end = nullptr;
        const long long number = optarg != nullptr ? std::strtoll(optarg, &end, 10) : 0;
        const bool is_number = number > 0 && number < INT64_MAX && *end == '\0';
        switch (option) {
        case 'w':
            if (!is_number)
                return misused(optarg, "--window wants a number above 0");
            window = static_cast<size_t>(number);
            break;
        case 'n':
            if (!is_number)
                return misused(optarg, "--workers wants a number above 0");
            counting.workers(number);
            break;
        case 'c':
            crash_on = optarg;
            setrlimit(RLIMIT_CORE, &no_core); // workers inherit it: this one needs no file
            break;
        case 'h':
            return std::fputs(USAGE, stdout) < 0 ? TROUBLE : ALL_SAVED;
        default: // getopt_long has said what is wrong
            return misused();
        }
    }
    if (optind + 2 != argc)
        return misused("wrong arguments", "two directories are wanted");
    source = argv[optind];
    results = argv[optind + 1];
    static_cast<void>(fs::directory_iterator(source)); // throws, before anything is made
    if (fs::exists(results) && !fs::is_directory(results))
        throw std::system_error(ENOTDIR, std::generic_category(), results);
    fs::create_directory(results);
    if (fs::equivalent(source, results))
        return misused(results, "results are wanted in another directory than the files");
    return line(window, counting).run();
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
