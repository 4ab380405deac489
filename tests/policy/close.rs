//! Close ends a pool for good. Waiters and later callers are refused, and idle connections are closed. Leases have the
//! close's patience and are terminated after it. One notice says that the close is over.

use crate::harness::{Connection, Host, HostStep, LogEntry, Operation, Stage, counts, plain, sized};
use crate::timeout::latest_ms;
use edgepool::policy::{Condition, Event, Outcome, Refusal, Return, Settings, Span};

#[test]
fn an_empty_pool_closes_at_once() {
    let mut host = Host::new(plain(1, 0));
    let closing = host.close(Span::Forever);
    assert!(host.has_ended(closing) && host.pool.is_closed());
    assert!(!host.has_timer());
}

#[test]
fn a_caller_that_comes_after_the_close_is_refused() {
    let mut host = Host::new(plain(1, 0));
    host.close(Span::Forever);
    let caller = host.connect();
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
}

#[test]
fn waiters_are_refused_in_order_and_none_is_woken() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    let waiters: Vec<Operation> = (0..3).map(|_| host.connect()).collect();
    host.take_log();
    host.close(Span::Forever);
    let refused: Vec<LogEntry> = waiters.iter().map(|&waiter| LogEntry::Refused(waiter, Refusal::Closed)).collect();
    assert_eq!(host.take_log(), refused);
}

#[test]
fn a_woken_caller_is_refused_and_its_slot_wakes_no_other() {
    let mut host = Host::new(plain(1, 0));
    let failing = host.connect();
    let (woken, waiting) = (host.connect(), host.connect());
    host.finish(failing, Outcome::Failed);
    host.take_log();
    let closing = host.close(Span::Forever);
    assert_eq!(
        host.take_log(),
        [
            LogEntry::Refused(woken, Refusal::Closed),
            LogEntry::Refused(waiting, Refusal::Closed),
            LogEntry::Ended(closing)
        ]
    );
}

#[test]
fn a_woken_callers_stale_connection_is_closed() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.invalidate_soft(holder);
    host.give_back(holder);
    let closing = host.close(Span::Forever);
    assert_eq!(host.refusal(waiter), Some(Refusal::Closed));
    assert_eq!(host.steps(), [HostStep::Close(Connection(0))]);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn idle_connections_are_closed_politely_and_the_close_waits_for_them() {
    let mut host = Host::new(plain(2, 0));
    let callers = [host.lend(), host.lend()];
    callers.into_iter().for_each(|caller| host.give_back(caller));
    let closing = host.close(Span::Forever);
    assert_eq!(host.steps(), [HostStep::Close(Connection(0)), HostStep::Close(Connection(1))]);
    assert_eq!(host.stage(closing), Stage::Draining);
    let closes: Vec<Operation> = host.operations().filter(|&operation| host.step(operation).is_some()).collect();
    host.finish(closes[1], Outcome::Failed);
    assert_eq!(host.stage(closing), Stage::Draining);
    host.finish(closes[0], Outcome::TimedOut);
    assert!(host.has_ended(closing));
}

#[test]
fn an_opening_refuses_its_caller_and_what_it_opens_is_closed() {
    for (outcome, step) in
        [(Outcome::Ok, Some(HostStep::Close(Connection(0)))), (Outcome::Failed, None), (Outcome::TimedOut, None)]
    {
        let mut host = Host::new(plain(1, 0));
        let caller = host.connect();
        let closing = host.close(Span::Forever);
        assert_eq!(host.refusal(caller), Some(Refusal::Closed));
        assert_eq!(host.stage(closing), Stage::Draining);
        host.finish(caller, outcome);
        assert_eq!(host.step(caller), step);
        host.run();
        assert!(host.has_ended(closing));
        assert_eq!((host.open_connections(), host.counts()), (0, counts(1, 0, -1, 0)));
    }
}

#[test]
fn a_replacement_refuses_its_caller_and_opens_nothing() {
    for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(plain(1, 0));
        let holder = host.lend();
        host.invalidate_soft(holder);
        host.give_back(holder);
        let caller = host.connect();
        let closing = host.close(Span::Forever);
        assert_eq!(host.refusal(caller), Some(Refusal::Closed));
        host.finish(caller, outcome);
        assert!(host.has_ended(caller) && host.has_ended(closing));
    }
}

#[test]
fn the_caller_of_an_orphaned_opening_is_not_refused_twice() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    host.abort(caller);
    let closing = host.close(Span::Forever);
    assert_eq!(host.refusal(caller), Some(Refusal::Aborted));
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn a_lease_is_reset_and_closed_at_its_return_and_that_ends_the_close() {
    let mut host = Host::new(sized(2, 0));
    let (a, b) = (host.lend(), host.lend());
    let closing = host.close(Span::Forever);
    assert!(host.pool.is_leased(host.lease(a)));
    let operation = host.checkin(a, false).expect("a rollback");
    assert_eq!(host.step(operation), Some(HostStep::Rollback(Connection(0))));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.step(operation), Some(HostStep::Close(Connection(0))));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.stage(closing), Stage::Draining);
    host.invalidate(b);
    host.run();
    assert!(host.has_ended(closing));
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn a_reset_that_fails_while_the_pool_drains_ends_the_slot() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let operation = host.checkin(caller, false).expect("a rollback");
    let closing = host.close(Span::Forever);
    host.finish(operation, Outcome::Failed);
    assert_eq!(host.step(operation), Some(HostStep::Terminate(Connection(0))));
    host.finish(operation, Outcome::Ok);
    assert!(host.has_ended(operation) && host.has_ended(closing));
}

#[test]
fn when_the_patience_ends_leases_are_terminated_and_the_close_does_not_wait_for_that() {
    let mut host = Host::new(sized(2, 0));
    let (a, b) = (host.lend(), host.lend());
    let (lease_a, lease_b) = (host.lease(a), host.lease(b));
    let closing = host.close(Span::Millis(500));
    host.pass(499.9);
    assert_eq!((host.stage(closing), host.steps()), (Stage::Draining, vec![]));
    host.pass(latest_ms(500.0) - 499.9);
    assert!(host.has_ended(closing));
    assert_eq!(host.steps(), [HostStep::Terminate(Connection(0)), HostStep::Terminate(Connection(1))]);
    assert!(!host.pool.is_leased(lease_a) && !host.pool.is_leased(lease_b));
    assert_eq!(host.pool.begin_checkin(lease_a, Condition::Clean), Return::Done);
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn without_patience_leases_are_terminated_at_once() {
    let mut host = Host::new(sized(2, 0));
    let (a, idle) = (host.lend(), host.lend());
    host.give_back(idle);
    assert!(host.has_lease(a));
    let closing = host.close(Span::Millis(0));
    assert!(host.has_ended(closing));
    assert_eq!(host.steps(), [HostStep::Close(Connection(1)), HostStep::Terminate(Connection(0))]);
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn when_the_patience_ends_a_connection_whose_return_hangs_is_terminated_too() {
    for (condition, event) in [
        (Condition::Open, None),
        (Condition::Busy, None),
        (Condition::GivenUp, None),
        (Condition::Open, Some(Event::Reset)),
    ] {
        let mut host = Host::new(Settings { return_timeout_ms: f64::INFINITY, ..sized(1, 0) });
        host.listen(&event.into_iter().collect::<Vec<Event>>());
        let caller = host.lend();
        let returning = host.checkin_as(caller, condition).expect("it has a step");
        let closing = host.close(Span::Millis(100));
        host.pass(99.0);
        assert!(!host.has_ended(closing) && !host.has_expired(returning), "it has this long to end");
        host.pass(101.0);
        assert!(host.has_ended(closing) && host.has_expired(returning), "{condition:?}");
        host.finish(returning, Outcome::TimedOut);
        assert_eq!(host.step(returning), Some(HostStep::Terminate(Connection(0))));
        host.run();
        assert_eq!(host.open_connections(), 0);
    }
}

#[test]
fn no_timer_is_left_when_the_last_slot_ends_before_the_patience() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.close(Span::Millis(60_000));
    assert!(host.has_timer());
    host.checkin(caller, true);
    host.run();
    assert!(!host.has_timer());
}

#[test]
fn a_late_connection_is_closed_after_the_pool_has_ended() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    host.finish(caller, Outcome::TimedOut);
    let closing = host.close(Span::Forever);
    assert!(host.has_ended(closing), "it has no slot any more");
    host.finish(caller, Outcome::LateOk);
    assert_eq!(host.step(caller), Some(HostStep::Close(Connection(0))));
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn a_dispose_under_way_is_waited_for() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    host.dispose();
    let closing = host.close(Span::Forever);
    assert_eq!(host.stage(closing), Stage::Draining);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn a_close_refuses_openings_and_waiters_with_deadlines_and_their_time_does_nothing_more() {
    let mut host = Host::new(plain(1, 0));
    let opening = host.connect_within(None, Some(Span::Millis(100)));
    let waiting = host.connect_within(None, Some(Span::Millis(100)));
    host.close(Span::Forever);
    host.pass(1000.0);
    assert_eq!([opening, waiting].map(|caller| host.refusal(caller)), [Some(Refusal::Closed); 2]);
    assert_eq!(host.stats().timed_out, 0);
    host.run();
    assert_eq!(host.open_connections(), 0);
}
