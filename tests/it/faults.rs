//! Faults, limits and bad input: the C programs about them, and those that need special
//! surroundings.

use crate::suites::suite;
use crate::support::root;

suite!(statuses: ok, timeout, pending, cancelled, failed, expired, broken, end, too_late,
    einval, enomem, enotsup, eshutdown, efull, edeadlk, eforked, esys, epanic, estate,
    all_are_here);

suite!(bad_input: null_library_and_options, null_executors, null_tasks_and_submits, null_maps,
    null_futures, null_groups_and_queues, null_promises, null_results, null_buffers, option_values,
    task_values, options_that_do_not_fit, other_numbers, huge_sizes, empty_sizes, small_buffers,
    long_texts, far_waits, far_deadlines, far_options, no_idle_time, far_but_allowed);

suite!(lifecycles: ends_well, fails, ends_its_thread, cancelled_queued, cancelled_running);

suite!(forks: child_is_told, child_uses_new_pool_first, grandchild_is_told, child_exits,
    daemon_is_told, descriptors_close_on_exec, fork_in_a_storm, raw_fork, fork_in_a_task,
    fork_in_a_task_in_a_storm, fork_in_a_callback, wait_in_the_child);

suite!(exits: tasks_end_their_threads, tasks_are_cancelled_by_pthread_cancel,
    host_thread_is_cancelled_in_a_wait, destructors_of_threads_call, main_is_busy_at_exit,
    user_code_exits, main_thread_ends, main_aborts, waits_go_on_over_signals,
    timeouts_hold_over_signals, no_children, host_state_stays);

suite!(reentrancy: from_callback_in_worker, from_callback_on_executor, from_callback_in_host,
    from_callback_at_once, from_callback_of_cancel, from_inside_task, from_then_function,
    from_then_without_executor, from_free_in_worker, from_free_of_refused, from_free_of_value,
    from_free_of_buffer, from_start_hook, task_releases_its_executor, chain_of_callbacks,
    chain_of_continuations, chain_is_dropped, nested_waits);

suite!(shortage: not_one_thread, end_without_threads, works_with_fewer, one_of_them_fails,
    no_thread_for_time_outs, next_submit_replaces_a_worker, shutdown_replaces_a_worker,
    shutdown_without_threads, limit_of_processes, limit_of_descriptors, limit_of_address_space,
    more_items_than_memory, stack_too_large, many_threads);

suite!(no_memory: each_fails_once);

suite!(stress: everything_at_once, submits_meet_shutdown, pools_come_and_go);

/// Each pointer parameter of each export has its row in the tables of bad_input.c.
#[test]
fn every_pointer_is_given_as_null() {
    let header = std::fs::read_to_string(root().join("include/cfutures.h")).expect("header");
    let program = std::fs::read_to_string(root().join("tests/c/bad_input.c")).expect("program");
    let rows: Vec<String> = program.lines().filter_map(row).collect();
    let wanted = pointer_parameters(&header);
    assert!(wanted.len() > 150, "only {} parameters found in the header", wanted.len());
    for parameter in &wanted {
        assert!(rows.contains(parameter), "bad_input.c has no row for NULL as {parameter}");
    }
    for row in &rows {
        assert!(wanted.contains(row), "bad_input.c has a row for {row}, which is no parameter");
    }
}

/// "call parameter" of a line that is a row of a table.
fn row(line: &str) -> Option<String> {
    const MARKS: [&str; 6] =
        ["REFUSES(", "ALLOWS(", "GIVES(", "DOES_NOTHING(", "LATER(", "SETTLES("];
    let line = line.trim_start();
    let rest = MARKS.iter().find_map(|mark| line.strip_prefix(mark))?;
    let mut words = rest.split(',').map(|word| word.trim().trim_start_matches('*'));
    let (call, parameter) = (words.next()?, words.next()?);
    call.starts_with("cfut_").then(|| format!("{call} {parameter}"))
}

/// All "call parameter" whose parameter is a pointer, or a function.
fn pointer_parameters(header: &str) -> Vec<String> {
    let mut found = Vec::new();
    for declaration in without_comments(header).split(';') {
        let Some((front, rest)) = declaration.split_once('(') else { continue };
        let Some(call) = front.split_whitespace().last().map(|name| name.trim_start_matches('*'))
        else {
            continue;
        };
        if !call.starts_with("cfut_") || front.contains("typedef") || front.contains("#define") {
            continue;
        }
        for parameter in rest.trim_end().trim_end_matches(')').split(',') {
            if !parameter.contains('*') && !parameter.contains("_fn ") {
                continue;
            }
            let name = parameter.rsplit([' ', '*']).next().unwrap_or_default();
            found.push(format!("{call} {}", name.trim()));
        }
    }
    found
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once("*/").map_or("", |(_, after)| after));
    }
    kept
}
