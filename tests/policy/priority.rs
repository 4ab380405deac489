//! A caller may have a priority. The waiters of a higher one are served first, and those of one in the order in which
//! they came. Callers without one pay nothing for it.

use crate::harness::{Host, LogEntry, Operation, Stage, plain};
use edgepool::policy::{Kind, MOST_PRIORITY, Outcome, Refusal, Settings, Span};

fn full(settings: Settings) -> (Host, Operation) {
    let mut host = Host::new(settings);
    let holder = host.lend();
    (host, holder)
}

fn wait(host: &mut Host, priority: u32) -> Operation {
    let caller = host.connect_with(None, None, priority);
    assert_eq!(host.stage(caller), Stage::Queued);
    caller
}

/// Returns the leases one by one; the order in which the waiters have them.
fn order_of(host: &mut Host, mut holder: Operation, waiters: &[Operation]) -> Vec<usize> {
    let mut order = Vec::new();
    while order.len() < waiters.len() {
        host.give_back(holder);
        let served = waiters.iter().position(|&waiter| host.has_lease(waiter)).expect("a waiter is served");
        order.push(served);
        holder = waiters[served];
    }
    order
}

#[test]
fn waiters_of_a_higher_priority_are_served_first_and_those_of_one_in_the_order_of_arrival() {
    let (mut host, holder) = full(plain(1, 0));
    let waiters = [0, 2, 1, MOST_PRIORITY, 2, 0, 1, MOST_PRIORITY].map(|priority| wait(&mut host, priority));
    assert_eq!(host.stats().waiting, 8);
    assert_eq!(order_of(&mut host, holder, &waiters), [3, 7, 1, 4, 2, 6, 0, 5]);
    assert_eq!(host.stats().waiting, 0);
}

#[test]
fn a_priority_of_zero_is_that_of_a_call_without_one() {
    let (mut host, holder) = full(plain(1, 0));
    let waiters = [host.connect(), wait(&mut host, 0), host.connect(), wait(&mut host, 1)];
    assert_eq!(order_of(&mut host, holder, &waiters), [3, 0, 1, 2]);
}

#[test]
fn a_caller_with_a_priority_overtakes_no_opening() {
    let mut host = Host::new(plain(1, 0));
    let opening = host.connect();
    let waiter = host.connect_with(None, None, 9);
    host.finish(opening, Outcome::Ok);
    assert!(host.has_lease(opening));
    assert_eq!(host.stage(waiter), Stage::Queued);
}

#[test]
fn a_caller_with_a_priority_has_a_free_connection_at_once() {
    let (mut host, holder) = full(plain(1, 0));
    host.give_back(holder);
    let caller = host.connect_with(None, None, 3);
    assert!(host.has_lease(caller));
}

#[test]
fn a_connection_that_comes_back_goes_to_the_waiter_with_the_priority_while_others_wait() {
    let (mut host, holder) = full(plain(1, 0));
    let others = [host.connect(), host.connect(), host.connect()];
    let preferred = wait(&mut host, 1);
    host.give_back(holder);
    assert!(host.has_lease(preferred));
    host.give_back(preferred);
    assert!(host.has_lease(others[0]));
    host.give_back(others[0]);
    assert!(host.has_lease(others[1]));
}

#[test]
fn waiters_that_leave_or_run_out_of_time_leave_the_order_of_the_others() {
    let (mut host, holder) = full(plain(1, 0));
    let gone = wait(&mut host, 5);
    let brief = host.connect_with(Some(Span::Millis(20)), None, 5);
    let late = host.connect_with(None, Some(Span::Millis(30)), 4);
    let waiters = [host.connect(), wait(&mut host, 1), wait(&mut host, 5)];
    assert!(host.abort(gone));
    assert_eq!(host.stats().waiting, 5);
    host.pass(100.0);
    assert_eq!(host.refusal(brief), Some(Refusal::WaitTimeout));
    assert_eq!(host.refusal(late), Some(Refusal::WaitDeadline));
    assert_eq!(host.stats().waiting, 3);
    assert_eq!(order_of(&mut host, holder, &waiters), [2, 1, 0]);
}

#[test]
fn the_pools_own_timeout_ends_waiters_with_a_priority_too() {
    let (mut host, _) = full(Settings { timeout_ms: 100.0, ..plain(1, 0) });
    let waiters = [wait(&mut host, 7), host.connect(), wait(&mut host, 8)];
    host.pass(200.0);
    assert!(waiters.iter().all(|&waiter| host.refusal(waiter) == Some(Refusal::WaitTimeout)));
    assert!(!host.has_timer());
}

#[test]
fn waiters_with_a_priority_count_for_max_waiters() {
    let (mut host, _) = full(Settings { max_waiters: 2.0, ..plain(1, 0) });
    wait(&mut host, 1);
    host.connect();
    let refused = host.connect_with(None, None, 9);
    assert_eq!(host.refusal(refused), Some(Refusal::QueueFull));
    let refused = host.connect();
    assert_eq!(host.refusal(refused), Some(Refusal::QueueFull));
}

#[test]
fn a_close_refuses_waiters_in_the_order_in_which_they_would_be_served() {
    let (mut host, _) = full(plain(1, 0));
    let waiters = [host.connect(), wait(&mut host, 1), host.connect(), wait(&mut host, 2)];
    host.take_log();
    host.close(Span::Millis(1000));
    let refused: Vec<LogEntry> =
        host.take_log().into_iter().filter(|entry| matches!(entry, LogEntry::Refused(..))).collect();
    let expected = [3, 1, 0, 2].map(|place| LogEntry::Refused(waiters[place], Refusal::Closed));
    assert_eq!(refused, expected);
}

#[test]
fn a_pool_that_grows_serves_the_highest_priority_first() {
    let (mut host, _) = full(plain(1, 0));
    let other = host.connect();
    let preferred = wait(&mut host, 1);
    host.resize(2, 0, 0);
    assert_eq!((host.stage(preferred), host.stage(other)), (Stage::Woken, Stage::Queued));
}

#[test]
fn while_openings_fail_the_highest_priority_is_refused_with_the_others() {
    let mut host = Host::new(Settings { open_retry: 1.0, ..plain(1, 0) });
    let opening = host.connect();
    let waiters = [host.connect(), wait(&mut host, 3)];
    host.finish(opening, Outcome::Failed);
    assert!(host.is_settled(opening));
    assert!(waiters.iter().all(|&waiter| host.is_settled(waiter)));
}

#[test]
fn callers_that_share_a_connection_have_no_priority() {
    let mut host = Host::new(Settings { kind: Some(Kind::Static), ..plain(1, 0) });
    let first = host.connect_with(None, None, 1);
    let second = host.connect_with(None, None, 2);
    host.run();
    assert!(host.has_lease(first) && host.has_lease(second));
}

#[test]
fn once_no_waiter_has_a_priority_the_others_are_served_as_before() {
    let (mut host, holder) = full(plain(1, 0));
    let preferred = wait(&mut host, 1);
    let others = [host.connect(), host.connect(), host.connect()];
    host.give_back(holder);
    host.give_back(preferred);
    host.take_log();
    host.give_back(others[0]);
    assert!(host.has_lease(others[1]));
    assert!(!host.pool.has_output());
}
