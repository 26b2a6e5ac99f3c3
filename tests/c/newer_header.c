/* A program made with the header of a version that is newer than the library it meets: what it is
 * told, at the latest when it uses what is not there. tests/it/versions.rs makes that header. */
#include <cfutures.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CALL_MAY_BE_MISSING
#pragma weak cfut_call_of_tomorrow
#endif

/* The check of docs/abi.md. */
static int library_is_new_enough(void)
{
    if (cfut_version_number() >= CFUT_VERSION_NUMBER)
        return 1;
    fprintf(stderr, "this program needs cfutures %s or newer, and found %s\n", CFUT_VERSION,
            cfut_version());
    return 0;
}

static int unknown_keys_are_refused(void)
{
    char text[512];
    cfut_options *options = cfut_options_new();
    cfut_status status = cfut_options_set(options, CFUT_OPT_OF_TOMORROW, 1);
    cfut_last_error(text, sizeof text);
    printf("%s: %s\n", cfut_status_name(status), text);
    cfut_options_free(options);
    printf("%s: %s\n", cfut_status_name(CFUT_STATUS_OF_TOMORROW),
           cfut_status_text(CFUT_STATUS_OF_TOMORROW));
    return status == CFUT_ENOTSUP;
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "check") == 0)
        return library_is_new_enough() ? 0 : 3;
    if (strcmp(what, "key") == 0)
        return unknown_keys_are_refused() ? 0 : 1;
#ifdef CALL_MAY_BE_MISSING
    if (cfut_call_of_tomorrow == NULL) {
        puts("done without it");
        return 0;
    }
#endif
    puts("before the call");
    fflush(stdout);
    return cfut_call_of_tomorrow(what) == CFUT_OK ? 0 : 1;
}
