//! The hand-off: waiters are served in the order of arrival, and capacity that appears serves the head waiter at once.
//! These tests fix SQLAlchemy's barging and its lost wake-ups.

use crate::harness::{Connection, Host, HostStep, LogEntry, Operation, Stage, counts, plain, sized};
use edgepool::policy::{Outcome, Settings, Span};

const FOR_EVER: f64 = f64::INFINITY;

#[test]
fn a_returned_connection_goes_to_the_head_waiter_in_the_same_call() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiters: Vec<Operation> = (0..3).map(|_| host.connect()).collect();
    host.take_log();
    host.checkin(holder, true);
    assert_eq!(host.take_log(), [LogEntry::Granted(waiters[0], Connection(0))]);
    assert_eq!(host.stats().opened, 1);
}

#[test]
fn scenario_053_a_caller_that_returns_and_asks_again_does_not_overtake_a_waiter() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiters: Vec<Operation> = (0..3).map(|_| host.connect()).collect();
    host.give_back(holder);
    let again = host.connect();
    assert!(host.has_lease(waiters[0]));
    host.give_back(waiters[0]);
    assert!(host.has_lease(waiters[1]));
    host.give_back(waiters[1]);
    assert!(host.has_lease(waiters[2]));
    host.give_back(waiters[2]);
    assert!(host.has_lease(again));
}

#[test]
fn scenario_054_a_caller_in_a_loop_does_not_starve_a_waiter() {
    let mut host = Host::new(Settings { timeout_ms: 300.0, ..sized(1, 0) });
    let mut holder = host.lend();
    let waiter = host.connect();
    host.pass(50.0);
    for _ in 0..20 {
        if host.has_lease(holder) {
            host.give_back(holder);
            holder = host.connect();
        }
        host.pass(10.0);
    }
    assert!(host.has_lease(waiter));
}

#[test]
fn scenario_055_a_failed_opening_wakes_the_head_waiter_at_once() {
    let mut host = Host::new(Settings { timeout_ms: FOR_EVER, ..sized(1, 0) });
    let failing = host.connect();
    let waiter = host.connect();
    host.pass(50.0);
    host.finish(failing, Outcome::Failed);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.wake(waiter);
    host.finish(waiter, Outcome::Ok);
    assert!(host.has_lease(waiter));
}

#[test]
fn twenty_thousand_waiters_behind_a_creator_that_fails_each_get_their_own_try() {
    let mut host = Host::new(Settings { timeout_ms: FOR_EVER, ..plain(1, 0) });
    let first = host.connect();
    // The host's own checks are quadratic, so this runs with 200.
    let waiters: Vec<Operation> = (0..200).map(|_| host.connect()).collect();
    host.finish(first, Outcome::Failed);
    for &waiter in &waiters {
        assert_eq!(host.stage(waiter), Stage::Woken);
        host.wake(waiter);
        host.finish(waiter, Outcome::Failed);
    }
    assert_eq!((host.stats().open_failed, host.counts()), (201, counts(1, 0, -1, 0)));
}

#[test]
fn scenario_049_after_an_invalidation_one_new_connection_serves_five_waiters_in_turn() {
    let mut host = Host::new(Settings { timeout_ms: FOR_EVER, ..sized(1, 0) });
    let holder = host.lend();
    let waiters: Vec<Operation> = (0..5).map(|_| host.connect()).collect();
    host.invalidate(holder);
    for &waiter in &waiters {
        host.run();
        assert_eq!(host.connection(waiter), Connection(1));
        host.give_back(waiter);
    }
    assert_eq!(host.stats().opened, 2);
}

#[test]
fn scenario_050_all_waiters_are_served_after_a_pool_wide_invalidation() {
    let mut successes = 0;
    for max_overflow in [0, -1, 3] {
        for timeout_ms in [FOR_EVER, 30_000.0] {
            let mut host = Host::new(Settings { timeout_ms, ..sized(2, max_overflow) });
            let (a, b) = (host.lend(), host.lend());
            let waiters = [host.connect(), host.connect()];
            host.invalidate_as_old(a);
            host.invalidate(a);
            host.run();
            host.give_back(b);
            host.run();
            successes += waiters.iter().filter(|&&waiter| host.has_lease(waiter)).count();
        }
    }
    assert_eq!(successes, 12);
}

#[test]
fn scenario_051_a_detached_lease_serves_the_waiter_with_a_new_connection() {
    let mut host = Host::new(sized(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.detach(holder);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
    assert!(host.is_open(Connection(0)));
}

#[test]
fn a_surplus_close_that_ends_serves_the_head_waiter() {
    let mut host = Host::new(plain(1, 1));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    let closing = host.checkin(b, true).expect("a close");
    host.lend();
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.finish(closing, Outcome::Failed);
    assert_eq!(host.stage(waiter), Stage::Woken);
}

#[test]
fn a_slot_disposed_of_serves_the_head_waiter_once_it_is_closed() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    host.give_back(holder);
    host.dispose();
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
}

#[test]
fn a_reset_is_over_before_the_next_waiter_has_the_connection() {
    let mut host = Host::new(sized(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    let reset = host.checkin(holder, false).expect("a rollback");
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.finish(reset, Outcome::Ok);
    assert_eq!(host.connection(waiter), Connection(0));
}

#[test]
fn a_failed_reset_wakes_the_head_waiter_when_the_connection_is_gone() {
    for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(sized(1, 0));
        let holder = host.lend();
        let waiter = host.connect();
        let reset = host.checkin(holder, false).expect("a rollback");
        host.finish(reset, Outcome::Failed);
        assert_eq!((host.step(reset), host.stage(waiter)), (Some(HostStep::Terminate(Connection(0))), Stage::Queued));
        host.finish(reset, outcome);
        assert_eq!(host.stage(waiter), Stage::Woken);
    }
}

#[test]
fn a_newcomer_does_not_overtake_a_woken_caller() {
    let mut host = Host::new(plain(1, 0));
    let failing = host.connect();
    let waiter = host.connect();
    host.finish(failing, Outcome::Failed);
    let newcomer = host.connect();
    assert_eq!((host.stage(waiter), host.stage(newcomer)), (Stage::Woken, Stage::Queued));
    host.run();
    assert!(host.has_lease(waiter));
    assert_eq!(host.stage(newcomer), Stage::Queued);
}

#[test]
fn woken_callers_may_take_their_turns_in_any_order() {
    let mut host = Host::new(plain(2, 0));
    let failing = [host.connect(), host.connect()];
    let waiters = [host.connect(), host.connect()];
    failing.into_iter().for_each(|caller| host.finish(caller, Outcome::Failed));
    host.wake(waiters[1]);
    host.finish(waiters[1], Outcome::Ok);
    assert!(host.has_lease(waiters[1]));
    host.wake(waiters[0]);
    host.finish(waiters[0], Outcome::Ok);
    assert!(host.has_lease(waiters[0]));
}

#[test]
fn a_stale_connection_handed_over_is_replaced_by_the_waiters_own_operation() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.invalidate_soft(holder);
    host.give_back(holder);
    assert_eq!((host.stage(waiter), host.steps()), (Stage::Woken, vec![]), "the returner does nothing for it");
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Terminate(Connection(0))));
    host.finish(waiter, Outcome::Failed);
    assert_eq!(host.step(waiter), Some(HostStep::Open));
    host.finish(waiter, Outcome::Ok);
    assert_eq!((host.connection(waiter), host.stats().recycled), (Connection(1), 1));
}

#[test]
fn a_waiter_whose_opening_on_an_older_slot_fails_leaves_the_slot_emptied_for_the_next() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let (first, second) = (host.connect(), host.connect());
    let operation = host.invalidate(holder);
    host.finish(operation, Outcome::Ok);
    host.wake(first);
    host.finish(first, Outcome::Failed);
    assert_eq!(host.stage(second), Stage::Woken);
    host.wake(second);
    host.finish(second, Outcome::Failed);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn callers_with_timeouts_of_their_own_are_still_served_in_order_of_arrival() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiters = [5000, 100, 900].map(|ms| host.connect_within(Some(Span::Millis(ms)), None));
    host.pass(50.0);
    host.give_back(holder);
    for waiter in waiters {
        assert!(host.has_lease(waiter));
        host.give_back(waiter);
    }
}
