//! Finalizers of a record: once, at the next return of its connection, after the reset and before the checkin listeners;
//! not for a connection that is closed before.

use crate::harness::{Connection, Deed, Host, plain, sized, tell};
use edgepool::policy::{Event, Outcome};

const A: Connection = Connection(0);

#[test]
fn a_finalizer_runs_after_the_reset_and_before_the_checkin_listeners_once() {
    let mut host = Host::listening(sized(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    host.take_log();
    host.give_back(caller);
    let with = [tell(Event::Reset, 0), Deed::Rollback(A), Deed::Finalize(A), tell(Event::Checkin, 0)];
    assert_eq!(host.take_story(), with);
    let caller = host.lend();
    host.take_log();
    host.give_back(caller);
    assert_eq!(host.take_story(), [tell(Event::Reset, 0), Deed::Rollback(A), tell(Event::Checkin, 0)]);
}

#[test]
fn a_finalizer_is_found_by_the_plainest_return() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    let caller = host.lend();
    host.add_finalizer(caller);
    let flow = host.checkin(caller, true).expect("a finalizer is a step");
    assert_eq!(host.deed(flow), Some(Deed::Finalize(A)));
    assert_eq!(host.stats().used, 1);
    host.finish(flow, Outcome::Ok);
    assert!(host.has_ended(flow));
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn finalizers_that_fail_or_take_too_long_change_nothing() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(plain(1, 0));
        let caller = host.lend();
        host.add_finalizer(caller);
        let flow = host.checkin(caller, true).expect("a finalizer is a step");
        host.finish(flow, outcome);
        assert!(host.has_ended(flow) && host.is_open(A));
        assert_eq!(host.stats().idle, 1);
    }
}

#[test]
fn a_waiter_has_the_connection_after_the_finalizers() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    let waiter = host.connect();
    let flow = host.checkin(caller, true).expect("a finalizer is a step");
    assert!(!host.is_settled(waiter));
    host.finish(flow, Outcome::Ok);
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
    assert_eq!(host.take_story(), []);
}

#[test]
fn a_failed_reset_takes_the_finalizers_along() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    let flow = host.checkin(caller, false).expect("a reset");
    host.finish(flow, Outcome::Failed);
    host.take_log();
    host.run();
    assert_eq!(host.take_story(), []);
    assert!(host.has_ended(flow));
}

#[test]
fn a_record_that_was_closed_under_its_lease_runs_none() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    host.empty(A, false);
    host.take_log();
    host.give_back(caller);
    assert!(!host.run_story().contains(&Deed::Finalize(A)));
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
    assert_eq!(host.take_story(), [Deed::Finalize(A)]);
}

#[test]
fn an_invalidation_that_comes_late_does_not_run_them_twice() {
    let mut host = Host::listening(plain(1, 0));
    let caller = host.lend();
    host.add_finalizer(caller);
    let flow = host.checkin(caller, true).expect("a return");
    host.finish(flow, Outcome::Ok);
    assert_eq!(host.deed(flow), Some(Deed::Finalize(A)));
    host.empty(A, true);
    host.take_log();
    host.finish(flow, Outcome::Ok);
    assert!(!host.run_story().contains(&Deed::Finalize(A)));
    host.lend();
}
