/* A program that knows nothing of the library and loads a plugin that has it inside, several
 * times, in a thread of its own and in the main thread. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int64_t sum_fn(int64_t last);

static sum_fn *load(const char *path, void **object)
{
    sum_fn *sum = NULL;
    void *symbol;
    *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*object == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    symbol = dlsym(*object, "plugin_sum_of_squares");
    memcpy(&sum, &symbol, sizeof sum);
    return sum;
}

static void *use(void *path)
{
    void *object;
    sum_fn *sum = load(path, &object);
    int64_t answer = sum != NULL ? sum(100) : -100;
    if (answer != 338350) {
        fprintf(stderr, "the plugin answered %lld\n", (long long)answer);
        return path;
    }
    /* This thread ends after it: what the library keeps for a thread must still be there. */
    return dlclose(object) == 0 ? NULL : path;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (int round = 0; round < 5; round++) {
        pthread_t thread;
        void *failed = NULL;
        if (pthread_create(&thread, NULL, use, argv[1]) != 0)
            return 3;
        pthread_join(thread, &failed);
        if (failed != NULL || use(argv[1]) != NULL)
            return 1;
    }
    return 0;
}
