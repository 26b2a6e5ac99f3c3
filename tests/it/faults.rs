//! Faults, limits and bad input: the C programs about them, and those that need special
//! surroundings.

use crate::suites::suite;
use crate::support::{build, build_with, library_dir, root, soname, succeed};
use std::io::Write;
use std::path::Path;
use std::process::Command;

suite!(statuses: ok, timeout, pending, cancelled, failed, crashed, expired, broken, end, too_late,
    einval, enomem, enotsup, eshutdown, efull, edeadlk, eforked, enoent, esys, epanic, estate,
    all_are_here);

suite!(bad_input: option_values, task_values, options_that_do_not_fit, other_numbers,
    names_that_are_none, huge_sizes, empty_sizes, small_buffers, long_texts, far_waits,
    far_deadlines, far_options, no_idle_time, far_but_allowed);

suite!(null_input: null_library_and_options, null_executors, null_tasks_and_submits, null_maps,
    null_futures, null_groups_and_queues, null_promises, null_results, null_buffers);

suite!(lifecycles: ends_well, fails, ends_its_thread, cancelled_queued, cancelled_running);

suite!(forks: child_is_told, child_uses_new_pool_first, grandchild_is_told, child_exits,
    daemon_is_told, descriptors_close_on_exec, fork_in_a_storm, raw_fork, fork_in_a_task,
    fork_in_a_task_in_a_storm, fork_in_a_callback, wait_in_the_child, return_in_the_child);

suite!(exits: tasks_end_their_threads, tasks_are_cancelled_by_pthread_cancel,
    cancel_is_pending_in_the_library, cancel_is_pending_at_return,
    host_thread_is_cancelled_in_a_wait, start_hook_ends_the_thread, initializer_ends_the_thread,
    stop_hook_ends_the_thread, callback_ends_the_thread, destructors_of_threads_call,
    main_is_busy_at_exit, user_code_exits, main_thread_ends, main_aborts);

suite!(signals: waits_go_on_over_signals, timeouts_hold_over_signals, no_children,
    host_state_stays);

suite!(reentrancy: from_callback_in_worker, from_callback_on_executor, from_callback_in_host,
    from_callback_at_once, from_callback_of_cancel, from_inside_task, from_then_function,
    from_then_without_executor, from_free_in_worker, from_free_of_refused, from_free_of_value,
    from_free_of_buffer, from_start_hook, task_releases_its_executor, from_log);

suite!(depths: chain_of_callbacks, chain_of_continuations, chain_is_dropped,
    chain_is_released_settled, nested_waits);

suite!(quotas: default_sizes_follow_a_quota, quota_of_an_outer_group_counts);

suite!(shortage: not_one_thread, end_without_threads, quiet_without_threads,
    refused_is_not_counted, refused_batch_writes_nothing, works_with_fewer, one_of_them_fails,
    no_thread_for_time_outs, nobody_to_stand_in, next_submit_replaces_a_worker,
    shutdown_replaces_a_worker, shutdown_without_threads, replacement_fails_for_a_moment,
    limit_of_processes, limit_of_descriptors, limit_of_address_space, more_items_than_memory,
    stack_too_large, many_threads);

suite!(no_memory: each_fails_once);

suite!(one_cpu: counts_one, nested_waits, nested_waits_with_timeout,
    host_waits_for_turning_task, turning_task_that_says_so, sleeping_tasks_get_workers,
    turning_task_is_stopped, hand_overs, one_worker_keeps_the_order, full_queue);

suite!(stress: everything_at_once, submits_meet_shutdown, pools_come_and_go);

suite!(leftovers: tasks_without_end_leave_nothing_behind, threads_do_not_come_back, place_of_a_view_is_held, nobody_runs_the_loop);

suite!(process_leftovers: processes_do_not_come_back, commands_of_threads_do_not_end, commands_of_processes_do_not_end);

suite!(random_calls: calls_against_the_model);

suite!(random_threads: threads_against_the_rules);

/// The cases of a program that was built.
fn cases(program: &Path) -> Vec<String> {
    let listed = succeed(Command::new(program).arg("--list"));
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn exceptions_in_cpp() {
    let program = build("tests/c/exceptions.cpp");
    for case in cases(&program) {
        succeed(Command::new(&program).arg(case));
    }
}

/// A program that loads the library itself, and is not linked with it.
#[test]
fn library_is_let_go_and_stays() {
    let program = build_with("tests/c/unload.c", &["-Wl,--as-needed"]);
    succeed(Command::new(program).arg(library_dir().join(soname())));
}

/// The first process of a container has to collect every orphan.
#[test]
fn processes_of_the_library_are_not_left_to_a_host_that_takes_orphans() {
    succeed(&mut Command::new(build("tests/c/orphans.c")));
}

// ---- under other programs ----

/// Whether the system has a program; if not, says what is therefore not tried.
fn has(program: &str, for_what: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        // Straight to the terminal: a test that passes shows nothing else.
        let _ = writeln!(std::io::stderr(), "skipped, no {program} here: {for_what}");
    }
    found
}

/// Suites in which threads wait for each other, bound to one processor.
#[test]
fn suites_on_one_cpu() {
    const SUITES: [&str; 6] =
        ["behaviours", "statuses", "lifecycles", "reentrancy", "shortage", "random_calls"];
    if !has("taskset", "the suites on one processor") {
        return;
    }
    let first = first_cpu().to_string();
    for suite in SUITES {
        let program = build(&format!("tests/c/{suite}.c"));
        for case in cases(&program) {
            let mut command = Command::new("taskset");
            command.args(["-c", &first]).arg(&program).arg(case).env("CHECK_SEQUENCES", "500");
            succeed(&mut command);
        }
    }
}

fn first_cpu() -> usize {
    // SAFETY: the set is filled before it is read.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set), 0);
        (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &set)).expect("a CPU")
    }
}

/// What valgrind looks at, for wrong accesses and lost memory: each takes seconds.
/// `CFUT_TEST_VALGRIND=all` for all cases of these suites.
const UNDER_VALGRIND: [(&str, &[&str]); 9] = [
    ("statuses", &["broken", "efull", "edeadlk", "epanic"]),
    ("null_input", &["null_tasks_and_submits", "null_futures", "null_results"]),
    ("bad_input", &["huge_sizes"]),
    ("lifecycles", &["fails", "ends_its_thread", "cancelled_running"]),
    ("reentrancy", &["from_inside_task", "task_releases_its_executor"]),
    ("exits", &["tasks_end_their_threads", "callback_ends_the_thread"]),
    ("stress", &["everything_at_once"]),
    ("random_calls", &["calls_against_the_model"]),
    ("random_threads", &["threads_against_the_rules"]),
];

#[test]
fn suites_under_valgrind() {
    if !has("valgrind", "wrong accesses and lost memory") {
        return;
    }
    let all = std::env::var("CFUT_TEST_VALGRIND").is_ok_and(|wanted| wanted == "all");
    for (suite, some) in UNDER_VALGRIND {
        let program = build(&format!("tests/c/{suite}.c"));
        let every = cases(&program);
        for case in every.iter().filter(|case| all || some.contains(&case.as_str())) {
            succeed(&mut valgrind(&program, case));
        }
        assert!(some.iter().all(|case| every.iter().any(|one| one == case)), "{suite}: {some:?}");
    }
}

fn valgrind(program: &Path, case: &str) -> Command {
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--error-exitcode=9", "--fair-sched=yes", "--leak-check=full"])
        .args(["--show-leak-kinds=definite,indirect"])
        .args(["--errors-for-leak-kinds=definite,indirect"])
        .arg(program)
        .arg(case)
        .env("CFUT_CHECK", "1")
        .env("CHECK_SECONDS", "170")
        .env("CHILD_SECONDS", "170")
        .env("CHECK_SEQUENCES", "60");
    command
}

// ---- what must not be forgotten ----

/// Each pointer parameter of each export has its row in the tables of null_input.c.
#[test]
fn every_pointer_is_given_as_null() {
    let header = std::fs::read_to_string(root().join("include/cfutures.h")).expect("header");
    let program = std::fs::read_to_string(root().join("tests/c/null_input.c")).expect("program");
    let rows: Vec<String> = program.lines().filter_map(row).collect();
    let wanted = pointer_parameters(&header);
    assert!(wanted.len() > 150, "only {} parameters found in the header", wanted.len());
    for parameter in &wanted {
        assert!(rows.contains(parameter), "null_input.c has no row for NULL as {parameter}");
    }
    for row in &rows {
        assert!(wanted.contains(row), "null_input.c has a row for {row}, which is no parameter");
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
