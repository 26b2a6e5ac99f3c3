/* For programs whose work is done by several processes: the time of one case, and the processor
 * time of all that belong to it. */
#ifndef TREE_H
#define TREE_H

#include "bench.h"

/* CPU time of every process that has what the variable BENCH_TREE has in its own environment, and
 * of the children that these have collected: workers are not always our children. In steps of
 * 10 ms. Without the variable: this process alone. */
static inline double tree_cpu_ns(void)
{
    const char *mark = getenv("BENCH_TREE");
    double ticks = 0;
    char path[64], text[65536], entry[64];
    struct dirent *process;
    DIR *dir = mark ? opendir("/proc") : NULL;
    if (!dir)
        return bench_cpu_ns();
    size_t length = (size_t)snprintf(entry, sizeof entry, "BENCH_TREE=%s", mark) + 1;
    while ((process = readdir(dir)) != NULL) {
        unsigned long utime, stime;
        long cutime, cstime;
        FILE *file;
        if (process->d_name[0] < '0' || process->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/environ", process->d_name);
        if ((file = fopen(path, "r")) == NULL)
            continue;
        size_t size = fread(text, 1, sizeof text, file);
        fclose(file);
        if (!memmem(text, size, entry, length))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/stat", process->d_name);
        if ((file = fopen(path, "r")) == NULL)
            continue;
        size = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[size] = '\0';
        char *rest = strrchr(text, ')'); /* a name may have spaces and brackets */
        if (rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
                           &utime, &stime, &cutime, &cstime) == 4)
            ticks += (double)utime + (double)stime + (double)cutime + (double)cstime;
    }
    closedir(dir);
    return 1e9 / (double)sysconf(_SC_CLK_TCK) * ticks;
}

static inline struct bench_span tree_begin(void)
{
    struct bench_span s;
    s.sleeps = 0;
    s.busy = bench_busy_ns();
    s.cpu = tree_cpu_ns();
    s.wall = bench_wall_ns();
    return s;
}

/* `more` is further words of the line, each with a blank before it. */
static inline void tree_end_with(const struct bench *b, struct bench_span s, double count,
                                 const char *more)
{
    double wall = bench_wall_ns() - s.wall, cpu = tree_cpu_ns() - s.cpu;
    double others = (bench_busy_ns() - s.busy - cpu) / wall;
    printf("%s took %.1f cpu %.1f others %.2f%s\n", b->name, wall / count, cpu / count,
           others > 0 ? others : 0, more);
}

static inline void tree_end(const struct bench *b, struct bench_span s, double count)
{
    tree_end_with(b, s, count, "");
}

#endif
