//! Finalizers of a record run once, at the next return of its connection, after the reset and before the checkin
//! listeners. They do not run for a connection that is closed before.

use crate::harness::{Connection, Host, HostStep, emit, plain, sized};
use edgepool::policy::{Event, Outcome};

const A: Connection = Connection(0);

#[test]
fn a_finalizer_runs_after_the_reset_and_before_the_checkin_listeners_once() {
    let mut host = Host::listening(sized(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    host.take_log();
    host.give_back(caller);
    let with = [emit(Event::Reset, 0), HostStep::Rollback(A), HostStep::Finalize(A), emit(Event::Checkin, 0)];
    assert_eq!(host.take_steps(), with);
    let caller = host.lend();
    host.take_log();
    host.give_back(caller);
    assert_eq!(host.take_steps(), [emit(Event::Reset, 0), HostStep::Rollback(A), emit(Event::Checkin, 0)]);
}

#[test]
fn a_finalizer_is_found_by_the_plainest_return() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    let caller = host.lend();
    host.add_finalizer(caller);
    let operation = host.checkin(caller, true).expect("a finalizer is a step");
    assert_eq!(host.step(operation), Some(HostStep::Finalize(A)));
    assert_eq!(host.stats().used, 1);
    host.finish(operation, Outcome::Ok);
    assert!(host.has_ended(operation));
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn finalizers_that_fail_or_take_too_long_change_nothing() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(plain(1, 0));
        let caller = host.lend();
        host.add_finalizer(caller);
        let operation = host.checkin(caller, true).expect("a finalizer is a step");
        host.finish(operation, outcome);
        assert!(host.has_ended(operation) && host.is_open(A));
        assert_eq!(host.stats().idle, 1);
    }
}

#[test]
fn a_waiter_has_the_connection_after_the_finalizers() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    let waiter = host.connect();
    let operation = host.checkin(caller, true).expect("a finalizer is a step");
    assert!(!host.is_settled(waiter));
    host.finish(operation, Outcome::Ok);
    assert!(host.has_lease(waiter));
}

#[test]
fn an_invalidated_connection_takes_its_finalizers_along() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    host.invalidate(caller);
    host.run();
    let caller = host.lend();
    host.take_log();
    host.give_back(caller);
    assert_eq!(host.take_steps(), []);
}

#[test]
fn a_failed_reset_takes_the_finalizers_along() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    let operation = host.checkin(caller, false).expect("a reset");
    host.finish(operation, Outcome::Failed);
    host.take_log();
    host.run();
    assert_eq!(host.take_steps(), []);
    assert!(host.has_ended(operation));
}

#[test]
fn a_record_that_was_closed_under_its_lease_runs_none() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    host.close_record(A, false);
    host.take_log();
    host.give_back(caller);
    assert!(!host.run_steps().contains(&HostStep::Finalize(A)));
}

#[test]
fn a_finalizer_that_is_added_while_idle_runs_at_the_next_return() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    host.pool.add_finalizer(0);
    let caller = host.lend();
    host.take_log();
    host.give_back(caller);
    assert_eq!(host.take_steps(), [HostStep::Finalize(A)]);
}

#[test]
fn an_invalidation_that_comes_late_does_not_run_them_twice() {
    let mut host = Host::listening(plain(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    let operation = host.checkin(caller, true).expect("a return");
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.step(operation), Some(HostStep::Finalize(A)));
    host.close_record(A, true);
    host.take_log();
    host.finish(operation, Outcome::Ok);
    assert!(!host.run_steps().contains(&HostStep::Finalize(A)));
    host.lend();
}
