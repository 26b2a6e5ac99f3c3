/* Commands of thread pools, first half. Their keeper is cfutures-worker. */
#define NEW_POOL(workers) check_pool(workers)
#define NEW_POOL_WITH(options) check_pool_with(options)
#include "command_ends.h"

CHECK_MAIN(COMMAND_CASES)
