//! Worker processes that die, hang and lie, and hosts that make it hard for them: the C programs of
//! tests/c that are made with remains.h, and end with nothing left over.

use crate::suites::suite;

suite!(crashes: each_way_forked, each_way_executed, memory_limit, closed_descriptors, killed_idle, stopped_idle, stopped_between_tasks, stopped_for_good, daemons, shared_memory_is_sealed, attempts, break_pool);

suite!(starts: initializer_fails, initializer_exits, initializer_crashes, initializer_ends_its_thread, initializer_hangs, initializer_dies_twice_only, module_is_good, module_exits, module_crashes, module_hangs, module_is_missing, program_is_none, program_knows_nothing_of_it, program_goes_its_own_way);

suite!(endurance: chaos, pools_come_and_go, host_is_killed, group_of_the_host_is_killed, host_executes, supervisor_is_killed_idle, supervisor_is_killed_at_work, supervisor_is_killed_at_its_start, supervisor_is_killed_for_ever, supervisor_is_stopped, supervisor_is_stopped_and_work_goes_on, supervisor_is_stopped_and_a_worker_dies);

suite!(hosts: sigchld_ignored, sigchld_without_zombies, sigchld_counted, all_signals_blocked, host_waits_for_any_child, forks_alongside, host_state_stays, surroundings_of_later_workers, descriptors, address_space, file_size, processes, calls_do_not_exist, calls_are_forbidden, calls_are_invalid);

suite!(intruders: variable_is_not_enough, sockets_of_others, program_with_other_rights, sockets_have_no_names, descriptors_of_the_host, scribbles);

// Needs a library that can crash on demand: step `crashes` of .ci/steps.
#[cfg(feature = "fault-injection")]
suite!(crash_points: no_worker_is_of_use, some_workers_are_of_use, killed, invalid_access, aborted, exits, stopped);
#[cfg(feature = "fault-injection")]
suite!(
    crash_keepers: before_it_is_ready,
    at_the_first_start,
    at_a_later_start,
    before_it_tells_of_an_end,
);
