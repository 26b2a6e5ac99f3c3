//! What is called back from batches and deques while their workers go on.

use super::parts::{entry, take_numbers};
use super::*;

/// A worker empties its batch, then takes what the inbox has, while a snapshot calls its batch back:
/// it finds all of them, in order. All interleavings.
#[test]
fn called_back_in_order() {
    for closes in [false, true] {
        explore(None, move || {
            let (inbox, batch) = (Arc::new(Inbox::new()), Arc::new(Batch::new()));
            for number in 1..5 {
                inbox.push(Lane::Normal, entry(number)).expect("memory");
            }
            batch.fill(&take_entries(&inbox, 3));
            if closes {
                assert!(inbox.close());
            }
            let (here, theirs) = (Arc::clone(&inbox), Arc::clone(&batch));
            let watcher = thread::spawn(move || recall(&here, &theirs));
            let mut taken = Vec::new();
            while taken.len() < 4 {
                match batch.pop() {
                    Some(task) => taken.push(task.as_ptr().addr()),
                    None => taken.extend(take_numbers(&inbox, 1)),
                }
            }
            let count = watcher.join().expect("joined");
            assert_eq!(taken, [1, 2, 3, 4]);
            assert!(count <= 3 && inbox.is_empty_since().is_some());
            assert_eq!(inbox.accepted(), 4);
        });
    }
}

/// Somebody looks whether there is nothing, while the only task is called back: there is. All
/// interleavings.
#[test]
fn called_back_against_a_look() {
    explore(None, || {
        let (inbox, batch) = (Arc::new(Inbox::new()), Arc::new(Batch::new()));
        batch.fill(&[entry(1)]);
        let (here, theirs) = (Arc::clone(&inbox), Arc::clone(&batch));
        let watcher = thread::spawn(move || recall(&here, &theirs));
        // As `Pool::has_work`.
        let is_missed = loop {
            let Some(recalls) = inbox.is_empty_since() else { break false };
            // Else this order is not tried.
            thread::yield_now();
            if batch.len() != 0 {
                break false;
            }
            if !inbox.recalled_since(recalls) {
                break true;
            }
        };
        assert!(!is_missed);
        assert_eq!(watcher.join().expect("joined"), 1);
        assert_eq!(take_numbers(&inbox, 1), [1]);
    });
}

fn recall(inbox: &Inbox, batch: &Batch) -> usize {
    inbox.recall(|found| {
        found.take_batch(batch);
    })
}

fn take_entries(inbox: &Inbox, most: usize) -> Vec<Entry> {
    take_numbers(inbox, most).into_iter().map(entry).collect()
}

/// Snapshots of a pool whose worker takes several tasks at once, and goes to sleep. At most one
/// preemption.
#[test]
fn called_back_in_a_pool() {
    explore(Some(1), || {
        let owner = new_pool(|_| {});
        for _ in 0..3 {
            submit_closure(pool(&owner), count, ptr::null_mut(), false).expect("accepted");
        }
        pool(&owner).recall();
        end(owner);
        assert_eq!(ran(), 3);
    });
}

/// A snapshot of a pool whose tasks have tasks, which they wait for. At most one preemption.
#[test]
fn called_back_from_deques() {
    for workers in [1, 2] {
        explore(Some(2 - workers as usize), move || {
            let owner = new_pool(|config| config.workers = workers);
            let of = ptr::from_ref(pool(&owner)).cast_mut().cast();
            let outer = submit_closure(pool(&owner), nest, of, true).expect("accepted");
            pool(&owner).recall();
            let outer = outer.expect("a handle");
            pool(&owner).recall();
            assert_eq!(wait_for(&outer), Outcome::Succeeded);
            drop(outer);
            end(owner);
            assert_eq!(ran(), 2);
        });
    }
}

/// A snapshot while the pool is shut down and cancels: nothing that waits is left behind. At most
/// two preemptions.
#[test]
fn called_back_against_shutdown() {
    for flags in [0, CANCEL] {
        explore(Some(2), move || {
            let owner = new_pool(|_| {});
            for _ in 0..2 {
                submit_closure(pool(&owner), count, ptr::null_mut(), false).expect("accepted");
            }
            let other = owner.clone();
            let watcher = thread::spawn(move || pool(&other).recall());
            let ended = pool(&owner).shutdown(flags, Timeout::Forever);
            assert!(matches!(ended, Ok(true)));
            assert!(flags == CANCEL || ran() == 2);
            watcher.join().expect("joined");
            release(owner);
        });
    }
}
