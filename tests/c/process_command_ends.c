/* Commands of process pools, first half. Their keeper is this program. */
#define NEW_POOL(workers) check_process_pool(workers)
#define NEW_POOL_WITH(options) check_process_pool_with(options)
#include "command_ends.h"

CHECK_MAIN_WORKER((void)0, COMMAND_CASES)
