// oneTBB in the comparison. task_arena::enqueue() is its way to hand on a task from outside and go
// on (no handle, a cell or a latch of bench.h stands in); task_group::run() and wait() is its way
// to wait for tasks, in which the submitter is one of the workers.
#include "bench.h"

#include <cstdlib>
#include <memory>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

namespace tbb = oneapi::tbb;

namespace {

constexpr std::size_t window = 1024;

std::unique_ptr<tbb::global_control> control;
std::unique_ptr<tbb::task_arena> arena;
std::unique_ptr<tbb::task_arena> own; // the submitter is one of its workers
bench_cell *cells;
bench_latch latch;

void start(const bench *b)
{
    int workers = static_cast<int>(b->workers);
    control = std::make_unique<tbb::global_control>(
        tbb::global_control::max_allowed_parallelism, b->workers + 1);
    arena = std::make_unique<tbb::task_arena>(workers, 0);
    own = std::make_unique<tbb::task_arena>(workers, 1);
    cells = static_cast<bench_cell *>(bench_memory_of((b->tasks + 1) * sizeof *cells));
}

void stop()
{
    arena->terminate();
    own->terminate();
    std::free(cells);
}

void enqueue(bench_cell *cell, std::uint64_t number)
{
    cell->state = 0;
    arena->enqueue([cell, number] { bench_cell_fill(cell, 2 * number); });
}

void collect(bench_cell *cell, std::uint64_t number)
{
    if (bench_cell_read(cell) != 2 * number)
        bench_die("wrong result");
}

// ---- enqueue, one cell a task

void each_with_cell(std::size_t first, std::size_t count)
{
    for (std::uint64_t i = first; i < first + count; i++)
        enqueue(&cells[i], i);
    for (std::uint64_t i = first; i < first + count; i++)
        collect(&cells[i], i);
}

void each_in_window(std::size_t first, std::size_t count)
{
    bench_cell *ring = &cells[first];
    for (std::uint64_t i = 0; i < count + window; i++) {
        if (i >= window && i - window < count)
            collect(&ring[i % window], first + i - window);
        if (i < count)
            enqueue(&ring[i % window], first + i);
    }
}

void each_detached(std::size_t first, std::size_t count)
{
    for (std::size_t i = first; i < first + count; i++)
        arena->enqueue([] { bench_latch_down(&latch); });
    bench_latch_wait(&latch);
}

void case_future(const bench *b)
{
    each_with_cell(0, b->tasks);
    bench_run_producers(b, each_with_cell);
}

void case_window(const bench *b)
{
    each_in_window(0, b->tasks);
    bench_run_producers(b, each_in_window);
}

void case_group(const bench *b)
{
    bench_latch_set(&latch, b->tasks);
    each_detached(0, b->tasks);
    bench_latch_set(&latch, b->tasks / b->producers * b->producers);
    bench_run_producers(b, each_detached);
}

// ---- task_group: from outside, the submitter helps

void run_group(std::size_t first, std::size_t count)
{
    own->execute([=] {
        tbb::task_group group;
        for (std::uint64_t i = first; i < first + count; i++)
            group.run([i] { cells[i].value = 2 * i; });
        group.wait();
        for (std::uint64_t i = first; i < first + count; i++)
            if (cells[i].value != 2 * i)
                bench_die("wrong result");
    });
}

void case_task_group(const bench *b)
{
    run_group(0, b->tasks);
    bench_run_producers(b, run_group);
}

// ---- inside the pool

void case_nested(const bench *b)
{
    for (int round = 0; round < 2; round++) {
        std::size_t count = b->tasks;
        bench_latch_set(&latch, 1);
        bench_span span = bench_begin();
        arena->enqueue([count] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < count; i++)
                group.run([i] { cells[i].value = 2 * i; });
            group.wait();
            bench_latch_down(&latch);
        });
        bench_latch_wait(&latch);
        if (round)
            bench_end(b, span, static_cast<double>(count));
    }
}

std::uint64_t fib(std::uint64_t n)
{
    if (n < 2)
        return n;
    std::uint64_t one;
    tbb::task_group group;
    group.run([n, &one] { one = fib(n - 1); });
    std::uint64_t two = fib(n - 2);
    group.wait();
    return one + two;
}

void case_fib(const bench *b)
{
    for (int round = 0; round < 2; round++) {
        std::uint64_t n = round ? b->tasks : b->tasks - 5, value = 0;
        bench_span span = bench_begin();
        own->execute([&] { value = fib(n); });
        if (value != bench_fib_value(n))
            bench_die("wrong number");
        if (round)
            bench_end(b, span, bench_fib_spawns(n));
    }
}

// ---- one at a time

void case_pingpong(const bench *b)
{
    bench_span span = bench_begin();
    for (std::uint64_t i = 0; i < b->tasks; i++) {
        enqueue(&cells[0], i);
        collect(&cells[0], i);
    }
    bench_end(b, span, static_cast<double>(b->tasks));
}

void case_pingpong_group(const bench *b)
{
    own->execute([b] {
        tbb::task_group group;
        bench_span span = bench_begin();
        for (std::uint64_t i = 0; i < b->tasks; i++) {
            group.run([i] { cells[0].value = 2 * i; });
            group.wait();
            if (cells[0].value != 2 * i)
                bench_die("wrong result");
        }
        bench_end(b, span, static_cast<double>(b->tasks));
    });
}

// The submitter is one of the workers; see README.md.
void case_sum(const bench *b)
{
    bench_check_sum(bench_whole_sum());
    bench_span span = bench_begin();
    own->execute([b] {
        for (std::size_t i = 0; i < b->tasks; i++) {
            std::uint64_t parts[BENCH_SUM_CHUNKS], sum = 0;
            tbb::task_group group;
            for (std::uint64_t c = 0; c < BENCH_SUM_CHUNKS; c++)
                group.run([c, &parts] { parts[c] = bench_sum(c); });
            group.wait();
            for (std::uint64_t part : parts)
                sum += part;
            bench_check_sum(sum);
        }
    });
    bench_end(b, span, static_cast<double>(b->tasks));
}

void case_loop(const bench *b)
{
    auto numbers = static_cast<std::uint64_t *>(std::calloc(b->tasks, sizeof(std::uint64_t)));
    std::size_t count = bench_loops(b);
    own->execute([&] {
        auto loop = [&] {
            tbb::parallel_for(tbb::blocked_range<std::size_t>(0, b->tasks), [&](const auto &range) {
                bench_loop(numbers, range.begin(), range.end());
            });
        };
        loop();
        bench_span span = bench_begin();
        for (std::size_t i = 0; i < count; i++)
            loop();
        bench_end(b, span, static_cast<double>(count));
    });
    bench_check_loops(b, numbers, count + 1);
    std::free(numbers);
}

// ---- memory, idleness

void case_memory(const bench *b)
{
    static bench_latch running;
    bench_latch_set(&latch, 1);
    bench_latch_set(&running, b->workers);
    for (unsigned i = 0; i < b->workers; i++)
        arena->enqueue([] {
            bench_latch_down(&running);
            bench_latch_wait(&latch);
        });
    bench_latch_wait(&running);
    bench_memory before = bench_memory_begin();
    for (std::uint64_t i = 0; i < b->tasks; i++)
        enqueue(&cells[i], i);
    bench_memory_end(b, before);
    bench_latch_down(&latch);
    for (std::uint64_t i = 0; i < b->tasks; i++)
        collect(&cells[i], i);
}

void case_idle(const bench *b)
{
    constexpr std::size_t burst = 100000;
    bench_latch_set(&latch, burst);
    each_detached(0, burst);
    bench_idle(b, static_cast<double>(b->tasks));
}

} // namespace

int main(int argc, char **argv)
{
    static const bench_case cases[] = {
        {"future", case_future},     {"window", case_window},
        {"group", case_group},       {"task-group", case_task_group},
        {"nested", case_nested},     {"fib", case_fib},
        {"pingpong", case_pingpong}, {"pingpong-group", case_pingpong_group},
        {"sum", case_sum},           {"loop", case_loop},
        {"memory", case_memory},     {"idle", case_idle},
        {nullptr, nullptr},
    };
    return bench_main(argc, argv, cases, start, stop);
}
