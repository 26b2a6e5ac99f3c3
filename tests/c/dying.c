/* A module for tests/c/starts.c: its constructor does what the variable DYING says. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void begin(void)
{
    const char *how = getenv("DYING");
    if (how == NULL)
        return;
    if (strcmp(how, "exit") == 0)
        exit(3);
    if (strcmp(how, "segv") == 0)
        *(volatile int *)8 = 1;
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "hang") == 0) {
        for (;;)
            pause();
    }
}
