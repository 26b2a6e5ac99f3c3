/* pkg-config: libuv */

/* event_loop.c with its option --libuv. */
#define HAVE_LIBUV 1
#include "event_loop.c"
