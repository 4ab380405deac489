//! `driverTimeout` limits one call into the driver. A call that takes longer loses its slot or its connection. A
//! connection that comes late is closed.

use crate::harness::{Connection, Host, HostStep, Stage, counts, plain, sized};
use crate::timeout::latest_ms;
use edgepool::policy::{Outcome, Refusal, ResetStyle, Settings, Span};

fn impatient(settings: Settings) -> Host {
    Host::new(Settings { driver_timeout_ms: 100.0, ..settings })
}

fn expire(host: &mut Host, operation: crate::harness::Operation) {
    host.pass(99.9);
    assert!(!host.has_expired(operation), "early");
    host.pass(latest_ms(100.0) - 99.9);
    assert!(host.has_expired(operation), "late");
    host.finish(operation, Outcome::TimedOut);
}

#[test]
fn an_opening_that_takes_too_long_refuses_its_caller_and_frees_its_slot() {
    let mut host = impatient(plain(1, 0));
    let caller = host.connect();
    expire(&mut host, caller);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenTimeout));
    assert_eq!((host.counts(), host.stats().open_failed, host.stats().timed_out), (counts(1, 0, -1, 0), 1, 1));
    assert!(!host.has_timer());
}

#[test]
fn a_connection_that_comes_too_late_is_closed() {
    let mut host = impatient(plain(1, 0));
    let caller = host.connect();
    expire(&mut host, caller);
    let next = host.lend();
    host.finish(caller, Outcome::LateOk);
    assert_eq!(host.step(caller), Some(HostStep::Close(Connection(1))));
    host.finish(caller, Outcome::Failed);
    assert!(host.has_ended(caller) && host.has_lease(next));
    assert_eq!(host.stats().opened, 1);
}

#[test]
fn an_opening_that_fails_too_late_just_ends() {
    let mut host = impatient(plain(1, 0));
    let caller = host.connect();
    expire(&mut host, caller);
    host.finish(caller, Outcome::LateFailed);
    assert!(host.has_ended(caller));
    assert_eq!(host.stats().open_failed, 1);
}

#[test]
fn the_close_of_a_late_connection_has_its_time_too() {
    let mut host = impatient(plain(1, 0));
    let caller = host.connect();
    expire(&mut host, caller);
    host.finish(caller, Outcome::LateOk);
    expire(&mut host, caller);
    assert!(host.has_ended(caller));
}

#[test]
fn a_slot_whose_opening_took_too_long_goes_to_the_head_waiter() {
    let mut host = impatient(plain(1, 0));
    let slow = host.connect();
    let waiter = host.connect();
    expire(&mut host, slow);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Open));
    host.finish(waiter, Outcome::Ok);
    host.finish(slow, Outcome::LateOk);
    assert!(host.has_lease(waiter));
    assert_eq!(host.stats().used, 1);
}

#[test]
fn a_reset_that_takes_too_long_costs_the_connection_and_not_the_slot() {
    for style in [ResetStyle::Rollback, ResetStyle::Commit, ResetStyle::Session] {
        let mut host = impatient(Settings { reset_on_return: Some(style), ..sized(1, 0) });
        let caller = host.lend();
        let reset = host.checkin(caller, false).expect("a reset");
        expire(&mut host, reset);
        assert_eq!(host.steps(), [HostStep::Terminate(Connection(0))]);
        expire(&mut host, reset);
        assert_eq!((host.counts(), host.stats().invalidated), (counts(1, 1, 0, 0), 1));
        assert!(host.has_ended(reset));
    }
}

#[test]
fn a_close_that_takes_too_long_frees_its_slot() {
    let mut host = impatient(plain(1, 1));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    let surplus = host.checkin(b, true).expect("a close");
    assert_eq!(host.steps(), [HostStep::Close(Connection(1))]);
    expire(&mut host, surplus);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn a_termination_that_takes_too_long_lets_the_checkout_go_on() {
    let mut host = impatient(plain(1, 0));
    let caller = host.lend();
    host.invalidate_soft(caller);
    host.give_back(caller);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Terminate(Connection(0))));
    expire(&mut host, next);
    assert_eq!(host.step(next), Some(HostStep::Open));
    host.pass(60.0);
    assert!(!host.has_expired(next), "each call has its own time");
    host.finish(next, Outcome::Ok);
    assert!(host.has_lease(next));
}

#[test]
fn the_closes_of_dispose_and_of_detached_connections_have_their_time() {
    let mut host = impatient(sized(2, 0));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    let detached = host.detach(b);
    host.dispose();
    let spawned = host.operations().last().expect("a spawned operation");
    host.close_detached(detached, false, false);
    assert_eq!(host.steps(), [HostStep::Rollback(Connection(1)), HostStep::Close(Connection(0))]);
    host.pass(latest_ms(100.0));
    assert!(host.has_expired(detached) && host.has_expired(spawned));
    host.finish(detached, Outcome::TimedOut);
    assert_eq!(host.step(detached), Some(HostStep::Terminate(Connection(1))));
    expire(&mut host, detached);
    host.finish(spawned, Outcome::TimedOut);
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn an_outcome_that_comes_before_the_notice_of_the_time_out_counts() {
    let mut host = impatient(plain(1, 0));
    let caller = host.connect();
    host.pass(200.0);
    assert!(host.has_expired(caller));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn without_a_driver_timeout_a_step_takes_its_time_and_no_timer() {
    let mut host = Host::new(Settings { driver_timeout_ms: f64::INFINITY, ..plain(1, 0) });
    let caller = host.connect();
    assert!(!host.has_timer());
    host.pass(1e9);
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn an_aborted_opening_keeps_its_slot_until_the_driver_timeout() {
    let mut host = impatient(plain(1, 0));
    let caller = host.connect();
    host.abort(caller);
    let waiter = host.connect_within(Some(Span::Forever), None);
    host.pass(99.0);
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.pass(12.0);
    assert!(host.has_expired(caller));
    host.finish(caller, Outcome::TimedOut);
    assert_eq!(host.stage(waiter), Stage::Woken);
    assert_eq!((host.stats().timed_out, host.stats().aborted), (0, 1), "no caller was refused for it");
    host.finish(caller, Outcome::LateOk);
    host.run();
    assert!(host.has_lease(waiter));
    assert_eq!(host.open_connections(), 1);
}
