//! `maxWaiters` limits how many callers may queue. One more is refused at once and changes nothing.

use crate::harness::{Host, Stage, plain};
use edgepool::policy::{Refusal, Settings, Span};

#[test]
fn the_caller_after_the_last_allowed_waiter_is_refused() {
    let mut host = Host::new(Settings { max_waiters: 2.0, ..plain(1, 0) });
    host.lend();
    let waiters = [host.connect(), host.connect()];
    let before = host.stats();
    let refused = host.connect();
    assert_eq!(host.refusal(refused), Some(Refusal::QueueFull));
    assert_eq!(host.stats(), before);
    assert!(waiters.iter().all(|&waiter| host.stage(waiter) == Stage::Queued));
}

#[test]
fn a_waiter_that_leaves_makes_room_for_another() {
    let mut host = Host::new(Settings { max_waiters: 1.0, ..plain(1, 0) });
    let holder = host.lend();
    let served = host.connect();
    host.give_back(holder);
    let aborted = host.connect();
    assert!(host.has_lease(served));
    assert!(host.abort(aborted));
    let expiring = host.connect_within(Some(Span::Millis(50)), None);
    host.pass(100.0);
    assert_eq!(host.refusal(expiring), Some(Refusal::WaitTimeout));
    let last = host.connect();
    assert_eq!(host.stage(last), Stage::Queued);
}

#[test]
fn with_no_waiters_allowed_a_full_pool_refuses_and_a_free_one_serves() {
    let mut host = Host::new(Settings { max_waiters: 0.0, ..plain(1, 0) });
    let holder = host.lend();
    let refused = host.connect();
    assert_eq!(host.refusal(refused), Some(Refusal::QueueFull));
    host.give_back(holder);
    host.lend();
}

#[test]
fn a_caller_that_would_not_wait_is_refused_for_the_timeout_not_for_the_queue() {
    let mut host = Host::new(Settings { max_waiters: 0.0, ..plain(1, 0) });
    host.lend();
    let refused = host.connect_within(Some(Span::Millis(0)), None);
    assert_eq!(host.refusal(refused), Some(Refusal::WaitTimeout));
}

#[test]
fn an_opening_is_not_a_waiter() {
    let mut host = Host::new(Settings { max_waiters: 0.0, ..plain(2, 0) });
    let (a, b) = (host.connect(), host.connect());
    host.run();
    assert!(host.has_lease(a) && host.has_lease(b));
}
