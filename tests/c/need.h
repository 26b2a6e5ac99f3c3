/* For programs that are no suite of cases: what has to hold, or the program ends with 1. */
#ifndef NEED_H
#define NEED_H

#include <stdio.h>
#include <unistd.h>

#define NEED(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

#endif
