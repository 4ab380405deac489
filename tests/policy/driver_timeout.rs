//! `driverTimeout`: how long one call into the driver may take. What runs out of it loses its slot, or its connection,
//! and what comes late is closed.

use crate::harness::{Connection, Deed, Host, Stage, counts, plain, sized};
use crate::timeout::latest_ms;
use edgepool::policy::{Outcome, Refusal, ResetStyle, Settings, Span};

fn impatient(settings: Settings) -> Host {
    Host::new(Settings { driver_timeout_ms: 100.0, ..settings })
}

fn expire(host: &mut Host, flow: crate::harness::Flow) {
    host.pass(99.9);
    assert!(!host.has_expired(flow), "early");
    host.pass(latest_ms(100.0) - 99.9);
    assert!(host.has_expired(flow), "late");
    host.finish(flow, Outcome::TimedOut);
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
    assert_eq!(host.deed(caller), Some(Deed::Close(Connection(1))));
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
    assert_eq!(host.deed(waiter), Some(Deed::Open));
    host.finish(waiter, Outcome::Ok);
    host.finish(slow, Outcome::LateOk);
    assert!(host.has_lease(waiter));
    assert_eq!(host.stats().used, 1);
}

#[test]
fn a_reset_that_takes_too_long_costs_the_connection_and_not_the_slot() {
    for style in [ResetStyle::Rollback, ResetStyle::Commit] {
        let mut host = impatient(Settings { reset_on_return: Some(style), ..sized(1, 0) });
        let caller = host.lend();
        let reset = host.checkin(caller, false).expect("a reset");
        expire(&mut host, reset);
        assert_eq!(host.deeds(), [Deed::Terminate(Connection(0))]);
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
    assert_eq!(host.deeds(), [Deed::Close(Connection(1))]);
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
    assert_eq!(host.deed(next), Some(Deed::Terminate(Connection(0))));
    expire(&mut host, next);
    assert_eq!(host.deed(next), Some(Deed::Open));
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
    let child = host.flows().last().expect("a child");
    host.close_detached(detached, false, false);
    assert_eq!(host.deeds(), [Deed::Rollback(Connection(1)), Deed::Close(Connection(0))]);
    host.pass(latest_ms(100.0));
    assert!(host.has_expired(detached) && host.has_expired(child));
    host.finish(detached, Outcome::TimedOut);
    assert_eq!(host.deed(detached), Some(Deed::Terminate(Connection(1))));
    expire(&mut host, detached);
    host.finish(child, Outcome::TimedOut);
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn an_outcome_that_comes_before_the_time_out_was_told_counts() {
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
    assert_eq!((host.stats().timed_out, host.stats().aborted), (0, 1), "nobody was refused for it");
    host.finish(caller, Outcome::LateOk);
    host.run();
    assert!(host.has_lease(waiter));
    assert_eq!(host.open_connections(), 1);
}
