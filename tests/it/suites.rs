//! The C programs of tests/c, each case a test of its own.

use crate::support::{build, build_with, program, root, succeed};
use std::process::Command;

/// One program: `suite!(name: case, case, …)` for tests/c/name.c.
macro_rules! suite {
    ($suite:ident: $($case:ident),+ $(,)?) => {
        mod $suite {
            $(
                #[test]
                fn $case() {
                    $crate::suites::run(stringify!($suite), stringify!($case));
                }
            )+

            #[test]
            fn all_cases_are_run() {
                $crate::suites::compare(stringify!($suite), &[$(stringify!($case)),+]);
            }
        }
    };
}

pub(crate) use suite;

/// Runs one case; what it printed.
pub(crate) fn run(suite: &str, case: &str) -> String {
    let source = format!("tests/c/{suite}.c");
    let mut command = program(&build(&source));
    with_module(&source, &mut command);
    succeed(command.arg(case))
}

/// Shared objects, and the variables that tell programs where they are.
const MODULES: [(&str, &str); 2] =
    [("CFUT_TEST_MODULE", "tests/c/module.c"), ("CFUT_TEST_DYING", "tests/c/dying.c")];

/// For sources that name their variables.
fn with_module(source: &str, command: &mut Command) {
    let text = std::fs::read_to_string(root().join(source)).expect("a source");
    for (variable, module) in MODULES {
        if text.contains(variable) {
            command.env(variable, build_with(module, &["-shared", "-fPIC"]));
        }
    }
}

pub(crate) fn compare(suite: &str, cases: &[&str]) {
    let path = build(&format!("tests/c/{suite}.c"));
    let listed = succeed(std::process::Command::new(path).arg("--list"));
    assert_eq!(listed.lines().collect::<Vec<_>>(), cases);
}

suite!(
    behaviours:
    a02_submit,
    a02_submit_returns_at_once,
    a03_as_completed,
    a03_completion_order,
    a04_one_failure,
    a05_wait_times_out,
    a05_run_time_out,
    a09_states,
    a09_callbacks,
    a11_outcome_of_each,
    a13_total_time_out,
    a14_many_workers,
    a14_four_workers,
    a14_default_workers,
    a16_any_then_all,
    a17_first_failure,
    a18_cancel_the_rest,
    a18_every_kind_of_waiter,
    a01_map,
    a06_by_map,
    a08_sums_by_map,
    a12_fruits_by_map,
    a19_one_second_for_all,
    a25_endless,
);

suite!(
    promises:
    new_promise_is_pending,
    start_makes_it_running,
    start_of_a_cancelled_one,
    bytes_of_every_length,
    value_is_freed_at_the_last_release,
    value_without_free_function,
    buffer_result,
    failure_has_code_and_message,
    failure_without_message,
    failure_with_a_reserved_code,
    failure_with_bytes,
    failure_with_a_value,
    first_outcome_stays,
    set_cancelled,
    released_unsettled_is_broken,
    promise_outlives_its_future,
    stop_flag,
    progress,
    long_messages_are_cut,
);

suite!(
    futures:
    getters_before_the_end,
    getters_where_nothing_is,
    bytes_without_length,
    bytes_of_a_buffer_result,
    take_moves_the_value_once,
    take_gives_to_one_thread_only,
    info_of_a_task,
    info_of_a_task_that_failed,
    info_that_does_not_apply_is_0,
    released_before_the_end_runs_all_the_same,
    outlives_its_executor,
    cancel_frees_the_arguments_at_once,
    cancel_by_every_mode,
    cancel_too_late,
);

suite!(
    groups:
    wait_for_none,
    wait_all,
    wait_any,
    wait_first_failure_of_each_kind,
    wait_first_failure_expired,
    wait_first_failure_when_none_fails,
    wait_is_woken,
    duplicates_count_by_position,
    wait_for_many,
    wait_leaves_nothing_behind,
    wait_refuses_nonsense,
    join_all_succeeds_with_the_last,
    join_all_fails_with_the_first,
    join_all_of_a_cancelled_one,
    join_settled,
    join_any_is_as_the_first,
    join_first_success,
    join_first_success_when_all_fail,
    join_of_none,
    join_of_settled_ones,
    join_of_duplicates,
    join_touches_no_input,
    join_keeps_its_inputs,
    join_of_joins,
    join_in_a_pool,
    join_refuses_nonsense,
);

suite!(
    queues:
    empty_queue_answers_end,
    outstanding_is_a_time_out,
    order_is_that_of_settling,
    seen_settled_comes_out_first,
    every_end_comes_out,
    cancelled_comes_out_at_once,
    added_twice_comes_out_twice,
    outputs_may_be_null,
    queue_keeps_its_futures,
    release_lets_go_of_entries,
    several_readers,
    descriptor_is_level_triggered,
    descriptor_stays_the_same,
    descriptor_asked_for_late,
    descriptor_that_somebody_reads,
    many_entries_do_not_fill_the_pipe,
    epoll_level_triggered,
    epoll_edge_triggered,
);

suite!(
    behaviours_pools:
    a20_divide,
    a21_shutdown_waits,
    a21_shutdown_without_waiting,
    a21_shutdown_cancels_pending,
    a21_shutdown_from_a_task,
    a21_shutdown_twice,
    a21_shutdown_while_submitting,
    a22_cpu_count,
    a22_default_workers,
    a22_own_number,
    a22_under_affinity,
    a23_initializer,
    a23_initializer_that_fails,
    a24_one_worker_1000_deep,
    a24_two_workers_1000_deep,
    a24_tree,
);

suite!(
    outcomes:
    nothing_recorded_is_success,
    recorded_and_0_returned,
    other_than_0_returned,
    value_dropped_by_a_failure_is_freed_once,
    settles_at_the_return_only,
    second_recording_is_refused,
    detached_settles_later,
    detached_without_a_promise_is_broken,
    detached_and_released_is_broken,
    recorded_before_detach_settles_at_the_return,
    retained_without_detach,
    thread_exit_fails_the_task,
    thread_cancellation_fails_the_task,
    task_agrees_to_stop,
    task_does_not_heed_the_request,
    output_limit,
);

suite!(
    callbacks:
    callback_in_the_settling_thread,
    callback_of_a_settled_one_comes_at_once,
    callback_in_the_worker,
    callback_on_an_executor,
    callback_on_an_executor_that_is_shut_down,
    callback_on_a_full_executor,
    callbacks_added_during_callbacks_run_too,
    callback_argument_is_freed_after_the_call,
    callback_may_release_the_future,
    callback_of_a_released_future,
    callback_runs_in_the_thread_that_cancels,
    callback_cannot_harm_a_worker,
);

suite!(
    continuations:
    then_on_an_executor,
    then_in_the_settling_thread,
    then_on_an_executor_that_is_shut_down,
    then_of_one_that_failed,
    then_cancelled_before_its_input,
    then_frees_its_argument,
    long_chain_of_then,
    pipe_gets_the_bytes,
    pipe_of_one_without_bytes,
    pipe_passes_other_ends_through,
    pipe_is_queued_by_priority,
    pipe_total_time_out_while_it_waits,
    pipe_total_time_out_in_the_queue,
    pipe_total_time_out_of_one_that_runs,
    pipe_queue_time_out_is_from_its_input,
    pipe_run_time_out_is_from_its_start,
    pipe_in_time,
    pipe_with_time_outs_is_cancelled,
    pipe_with_time_outs_ends_with_its_pool,
    pipe_with_time_outs_comes_too_late,
    pipes_with_time_outs_meet_the_end,
);

suite!(
    submits:
    data_of_every_length,
    no_data,
    refused_is_not_run,
    current_executor,
    one_worker_keeps_the_order,
    one_worker_keeps_the_order_of_nested_ones,
    one_worker_keeps_the_order_while_tasks_block,
    one_worker_keeps_the_order_of_nested_ones_while_tasks_block,
    builder_may_go_at_once,
    names_are_in_the_snapshot,
    buffer_is_not_copied,
    buffer_goes_when_the_task_has_returned,
    buffer_of_a_cancelled_task,
    empty_buffer,
    buffers_are_zeroed_and_aligned,
    wrapped_memory_is_freed_once,
    closure_argument_is_freed_after_the_call,
    closure_without_free_function,
    closure_argument_of_a_refused_one,
    closure_argument_of_one_that_ends_its_thread,
    many_in_order,
    many_large_items,
    many_without_futures,
    many_of_none,
    many_refuses_all_or_nothing,
    many_cancelled_one_by_one,
    many_from_a_task,
    many_refused_writes_nothing,
);

suite!(
    bounds:
    no_bound_by_default,
    count_of_tasks,
    bytes_of_arguments,
    bytes_of_buffers,
    larger_than_the_bound_goes_in_alone,
    unread_results_count,
    expired_tasks_give_room_back,
    block_until_there_is_room,
    block_until_one_is_cancelled,
    block_no_longer_than_asked,
    block_ends_with_a_shutdown,
    block_ends_with_a_break,
    a_hundred_submitters_and_little_room,
    run_in_caller,
    own_task_runs_it_at_once,
    own_task_is_rejected,
    batch_of_any_size_once_empty,
    batch_waits_for_room,
    batch_with_run_in_caller,
    batch_from_own_task,
);

suite!(
    priorities_timeouts:
    higher_is_started_first,
    order_within_a_priority,
    low_is_not_starved_by_normal,
    equal_is_not_starved_by_nested,
    priorities_have_a_range,
    queue_time_out_passes,
    queue_time_out_ends_with_the_start,
    queue_time_out_of_0,
    run_time_out_of_a_stubborn_one,
    total_time_out_of_a_stubborn_one,
    run_time_out_of_one_that_heeds_it,
    run_time_out_starts_with_the_run,
    total_time_out_counts_the_queue,
    run_time_out_of_a_detached_one,
    in_time_is_in_time,
    many_deadlines,
    time_outs_of_a_batch,
    cancelled_before_its_deadline,
    callback_of_an_expired_one,
    low_is_not_starved_by_high,
    normal_is_not_starved_by_high,
    detached_one_ends_in_time_after_a_shutdown,
);

suite!(
    shutdowns:
    nothing_is_accepted_any_more,
    of_a_pool_that_never_worked,
    threads_have_gone_afterwards,
    queued_work_runs_first,
    cancel_settles_everything_queued,
    more_flags_later,
    stop_flag_is_raised_if_asked,
    kill_and_term_act_as_stop,
    unknown_flags,
    by_several_threads,
    nested_submits_are_refused,
    waits_for_detached_tasks,
    last_release_lets_accepted_work_run,
    released_by_a_task_of_its_own,
    of_another_pool_from_a_task,
    callbacks_run_within_it,
    nothing_is_lost,
);

suite!(
    notsup:
    options_of_process_pools,
    task_keys_of_processes,
    unknown_keys,
);

suite!(
    named:
    registered_name,
    registered_again,
    registered_after_the_builder_was_made,
    symbol_of_a_module,
    registered_name_comes_before_a_module,
    unknown_names,
    every_kind_of_submit,
    pipe_to_a_name,
    initializer_by_name,
    initializer_by_an_unknown_name,
    names_that_are_none,
    shared_buffers_on_threads,
    worker_calls_in_a_program,
);

suite!(
    worker_tasks:
    bytes_of_every_size,
    data_is_aligned,
    many_large_results,
    large_results_that_are_kept,
    failures,
    pointers_are_refused,
    output_limit,
    detached_tasks,
    progress_and_stop,
    input_buffer_as_the_result,
    buffers_of_the_worker,
    input_buffer_of_an_earlier_task,
    tasks_that_end_their_process,
    tasks_that_fork,
    names_in_a_worker,
    initializer,
    threads_in_a_worker,
    surroundings,
    output_is_flushed,
);

suite!(
    worker_lives:
    memory_limit,
    cpu_time_limit,
    nice_value,
    too_large_workers_are_replaced,
    preloaded_modules,
    preloaded_module_that_is_missing,
    host_has_no_children,
    workers_die_with_their_host,
    workers_die_with_their_supervisor,
    children_of_workers_go_with_them,
    closed_streams,
    program_of_its_own,
    program_with_threads_of_its_own,
);

suite!(
    deadlocks:
    waiting_for_oneself,
    waiting_for_oneself_for_a_time,
    waiting_for_each_other,
    waiting_for_each_other_in_two_pools,
    waiting_for_ones_continuation,
    waiting_for_ones_continuation_with_a_time_out,
    waiting_for_a_join_with_oneself,
    more_waits_than_there_can_be_threads,
);

suite!(
    library:
    version_is_the_headers,
    statuses_have_names_and_texts,
    numbers_that_are_no_status,
    last_error_names_argument_and_value,
    last_error_is_cut_to_fit,
    last_error_stays_until_the_next,
    last_error_of_each_thread,
    nothing_to_release,
    quiet_at_once,
    quiet_when_the_work_is_done,
    quiet_when_callbacks_have_returned,
    quiet_when_detached_tasks_are_settled,
    quiesce_from_what_it_waits_for,
);

suite!(
    waiting:
    time_out_of_0_only_looks,
    time_out_is_not_early,
    many_threads_wait_for_one,
    waits_go_on_over_signals,
    waiters_do_not_help_by_default,
    waiters_help_if_asked,
    waiters_with_a_time_out_do_not_help,
    waiters_do_not_help_with_an_initializer_or_hooks,
    waiters_help_within_the_number_of_workers,
    claim_on_wait,
    claim_takes_the_awaited_one_only,
    time_limited_waits_run_nothing,
    another_worker_stands_in,
    every_kind_of_wait_in_a_task,
    one_worker_is_a_lock,
    announced_blocking_lets_another_run,
    end_that_nothing_began,
    thread_that_ends_while_it_blocks,
    begin_that_nothing_ends,
);

suite!(
    workers:
    threads_start_lazily,
    blocked_tasks_get_more_threads,
    never_more_threads_than_asked_for,
    computing_tasks_get_no_more_threads_than_processors,
    idle_workers_leave,
    idle_workers_all_leave_by_default,
    minimum_above_the_maximum,
    options_are_copied,
    warm_starts_them_all,
    warm_waits_for_the_initializers,
    warm_tells_of_a_failure,
    initializer_data_is_copied,
    initializer_can_be_removed,
    initializer_that_returns_a_code,
    initializer_must_not_detach,
    hooks_run_first_and_last,
    hooks_of_idle_workers_that_leave,
    hook_that_fails_breaks_the_pool,
    hook_argument_is_freed_with_the_last_user,
    hooks_know_their_executor,
    names_of_threads,
    stack_size,
    nice_value_of_the_workers_alone,
    signals_are_left_to_the_host,
    figures_add_up,
    initializer_that_ends_its_thread,
    hook_that_ends_its_thread,
);

suite!(
    logs:
    broken_executor_is_told,
    no_function_no_messages,
    argument_is_freed_when_replaced,
    function_may_call_the_library,
    failure_of_a_task_without_a_name,
    what_is_not_told,
    failure_without_a_future,
    failure_of_a_future_released_before,
    failure_of_a_detached_task,
    failures_of_a_batch,
    released_unread,
    ways_to_see_a_failure,
    wait_that_was_too_early,
    end_of_a_chain,
    promises_that_nobody_reads,
    expired_and_broken_ones,
    failures_in_processes,
);
suite!(
    leaving:
    second_callback_of_a_worker,
    second_callback_of_a_cancel,
    callback_of_another_future,
    callback_after_a_free_function,
);

suite!(inherited: in_a_queue, with_a_callback, with_a_continuation, in_a_join);
