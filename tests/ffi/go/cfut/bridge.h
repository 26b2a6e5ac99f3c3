/* What Go cannot say: the address of an exported Go function. */
#include <cfutures.h>
#include <stdlib.h>

/* Most tasks that a worker can register. */
#define BRIDGE_TASKS 16

cfut_status bridge_submit(cfut_executor *executor, uint64_t closure, cfut_future **out);
cfut_status bridge_register(const char *name, int task);
