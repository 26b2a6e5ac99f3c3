//! Several callbacks, joins, waits for several, and completion queues.

use super::*;

// ---- several at once ----

/// Two futures settle, in two threads, and one of these waits for a join of both, which the
/// other may cancel. At most one preemption.
#[test]
fn joins() {
    for (mode, cancels) in
        [(Mode::All, false), (Mode::Any, false), (Mode::FirstSuccess, false), (Mode::All, true)]
    {
        explore(Some(1), move || {
            events();
            SCRIPT.set(Script::Succeed);
            let (mut first, mut second) = (new_task(1), new_task(1));
            let output = join::join(&[&first[0], &second[0]], mode).ok().expect("memory");
            call_back(&output, 1);
            let runner = first.remove(0);
            let handle = output.clone();
            let other = thread::spawn(move || {
                if cancels {
                    let _ = promise::cancel(&handle, promise::Reach::Pending);
                    due::run_pending();
                }
                work(runner);
                drop(handle);
                due::run_pending();
            });
            work(second.remove(0));
            wait_for(&output);
            drop(output);
            due::run_pending();
            other.join().expect("joined");
            let events = events();
            assert_eq!(count(&events, Event::Called(1)), 1, "{events:?}");
            assert_eq!(count(&events, Event::Freed(1)), 1, "{events:?}");
            assert_eq!(count(&events, Event::Ran), 2, "{events:?}");
        });
    }
}

/// A thread waits for one of two futures, or for the first failure, which both threads may
/// report at once. At most one preemption.
#[test]
fn waits_for_one_of_two() {
    for until in [Until::Any, Until::FirstFailure] {
        explore(Some(1), move || {
            events();
            SCRIPT.set(Script::Succeed);
            let (mut first, mut second) = (new_task(2), new_task(2));
            let (one, other) = (first.remove(0), second.remove(0));
            let threads = if until == Until::Any {
                let both = move || {
                    work(one);
                    work(other);
                };
                vec![thread::spawn(both)]
            } else {
                vec![thread::spawn(move || work(one)), thread::spawn(move || work(other))]
            };
            let futures = [&first[0], &second[0]].map(|one| one.as_ptr().as_ptr().cast_const());
            // SAFETY: alive: `first` and `second`.
            let watch = unsafe { Watch::new(&futures, until) }.expect("memory");
            assert!(watch.sleep(None));
            let settled = [&first[0], &second[0]].map(|one| one.snapshot().is_settled());
            assert!(settled == [true; 2] || until == Until::Any && settled != [false; 2]);
            drop(watch);
            threads.into_iter().for_each(|thread| thread.join().expect("joined"));
            drop((first, second));
        });
    }
}

// ---- callbacks ----

/// A callback is there, and another thread adds a second one while the task ends and calls the
/// first: they are called one after the other, whoever does it. At most three preemptions.
#[test]
fn callbacks_one_at_a_time() {
    for run in [work, work_straight] {
        for script in [Script::Succeed, Script::Fail] {
            explore(Some(3), move || {
                events();
                SCRIPT.set(script);
                let mut references = new_task(2);
                let future = references.remove(0);
                call_back(&future, 1);
                let other = thread::spawn(move || {
                    call_back(&future, 2);
                    drop(future);
                    due::run_pending();
                });
                run(references.remove(0));
                other.join().expect("joined");
                check_calls(&events(), &[Deed::CallTwice]);
            });
        }
    }
}

// ---- completion queues ----

/// Two futures are delivered while a thread takes them out and sleeps in between; the queue
/// has them all, each once, and says when there are no more. At most one preemption.
#[test]
fn deliveries_against_the_taker() {
    explore(Some(1), || {
        events();
        SCRIPT.set(Script::Succeed);
        let completions = Queue::new().ok().expect("memory");
        let runners: Vec<_> = (0..2)
            .map(|tag| {
                let mut references = new_task(2);
                queue::add(&completions, &references[0], tag).ok().expect("memory");
                references.remove(0);
                references.remove(0)
            })
            .collect();
        let threads: Vec<_> =
            runners.into_iter().map(|runner| thread::spawn(move || work(runner))).collect();
        let mut tags = 0;
        loop {
            match completions.next().ok().expect("no fork") {
                Next::Entry(future, tag) => {
                    assert!(future.snapshot().is_settled());
                    assert_eq!(tags & 1 << tag, 0);
                    tags |= 1 << tag;
                }
                Next::Empty(seen) => {
                    completions.sleep(seen, None);
                }
                Next::End => break,
            }
        }
        assert_eq!(tags, 0b11);
        threads.into_iter().for_each(|thread| thread.join().expect("joined"));
        completions.drop_handle();
    });
}

/// A future is seen settled by a thread that then settles another one: it is in the queue, in
/// front of that. At most two preemptions.
#[test]
fn deliveries_in_order() {
    for script in [Script::Succeed, Script::Fail] {
        explore(Some(2), move || {
            events();
            SCRIPT.set(script);
            let completions = Queue::new().ok().expect("memory");
            let mut references = new_task(2);
            let (promise, second) = promise::new().ok().expect("memory");
            queue::add(&completions, &second, 2).ok().expect("memory");
            queue::add(&completions, &references[0], 1).ok().expect("memory");
            let runner = references.remove(0);
            let worker = thread::spawn(move || work(runner));
            wait_for(&references[0]);
            promise::release(promise);
            for wanted in 1..=2 {
                match completions.next().ok().expect("no fork") {
                    Next::Entry(_, tag) => assert_eq!(tag, wanted),
                    Next::Empty(_) | Next::End => panic!("both are settled"),
                }
            }
            worker.join().expect("joined");
            completions.drop_handle();
        });
    }
}

/// Two takers for two entries: each gets what the other leaves, and both see the end.
/// At most one preemption.
#[test]
fn two_takers() {
    explore(Some(1), || {
        events();
        SCRIPT.set(Script::Succeed);
        let completions = Queue::new().ok().expect("memory");
        let mut references = new_task(2);
        queue::add(&completions, &references[0], 1).ok().expect("memory");
        references.truncate(1);
        let other = completions.clone();
        other.add_handle();
        let taker = thread::spawn(move || {
            let taken = take_all(&other);
            other.drop_handle();
            taken
        });
        let runner = references.remove(0);
        let worker = thread::spawn(move || work(runner));
        let taken = take_all(&completions);
        completions.drop_handle();
        worker.join().expect("joined");
        assert_eq!(taken + taker.join().expect("joined"), 1);
    });
}

fn take_all(completions: &Queue) -> usize {
    let mut taken = 0;
    loop {
        match completions.next().ok().expect("no fork") {
            Next::Entry(..) => taken += 1,
            Next::Empty(seen) => {
                completions.sleep(seen, None);
            }
            Next::End => return taken,
        }
    }
}

/// The last handle of a queue goes while a future is delivered and another one is still added.
/// At most three preemptions.
#[test]
fn deliveries_against_the_release() {
    explore(Some(3), || {
        events();
        SCRIPT.set(Script::Succeed);
        let completions = Queue::new().ok().expect("memory");
        let mut references = new_task(2);
        queue::add(&completions, &references[0], 1).ok().expect("memory");
        references.truncate(1);
        let runner = references.remove(0);
        let worker = thread::spawn(move || work(runner));
        if let Ok(Next::Entry(future, tag)) = completions.next() {
            assert!(future.snapshot().is_settled() && tag == 1);
        }
        completions.drop_handle();
        drop(completions);
        worker.join().expect("joined");
    });
}
