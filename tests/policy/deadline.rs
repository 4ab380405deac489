//! `deadline` limits the whole of a checkout, in the queue and in the driver together. The opening that a deadline cuts
//! short goes on without its caller.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, plain};
use crate::timeout::latest_ms;
use edgepool::policy::{Outcome, Refusal, Settings, Span};

const NO_LIMIT: Option<Span> = Some(Span::Forever);

fn within(ms: u32) -> Option<Span> {
    Some(Span::Millis(ms))
}

#[test]
fn a_deadline_ends_the_wait_when_it_is_shorter_than_the_timeout() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    let by_deadline = host.connect_within(within(500), within(100));
    let by_timeout = host.connect_within(within(100), within(500));
    let equal = host.connect_within(within(100), within(100));
    let without_timeout = host.connect_within(NO_LIMIT, within(100));
    host.pass(99.9);
    assert_eq!(host.stats().waiting, 4);
    host.pass(latest_ms(100.0) - 99.9);
    assert_eq!(host.refusal(by_deadline), Some(Refusal::WaitDeadline));
    assert_eq!(host.refusal(by_timeout), Some(Refusal::WaitTimeout));
    assert_eq!(host.refusal(equal), Some(Refusal::WaitTimeout));
    assert_eq!(host.refusal(without_timeout), Some(Refusal::WaitDeadline));
    assert_eq!(host.stats().timed_out, 4);
}

#[test]
fn a_deadline_ends_the_opening_for_its_caller_and_the_connection_is_kept() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect_within(None, within(100));
    host.pass(99.9);
    assert!(!host.is_settled(caller));
    host.pass(latest_ms(100.0) - 99.9);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenDeadline));
    assert_eq!(host.step(caller), Some(HostStep::Open), "it goes on");
    assert_eq!((host.stats().opening, host.stats().timed_out), (1, 1));
    host.finish(caller, Outcome::Ok);
    assert_eq!((host.stats().idle, host.stats().open_failed), (1, 0));
}

#[test]
fn a_connection_that_comes_after_the_deadline_goes_to_the_next_waiter() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect_within(None, within(100));
    let waiter = host.connect();
    host.pass(200.0);
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(waiter));
    assert_eq!(host.refusal(caller), Some(Refusal::OpenDeadline));
}

#[test]
fn the_queue_and_the_opening_share_one_deadline() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let caller = host.connect_within(NO_LIMIT, within(1000));
    host.pass(700.0);
    let operation = host.invalidate(holder);
    host.finish(operation, Outcome::Ok);
    host.wake(caller);
    assert_eq!(host.step(caller), Some(HostStep::Open));
    host.pass(299.9);
    assert!(!host.is_settled(caller), "early");
    host.pass(latest_ms(1000.0) - 999.9);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenDeadline));
}

#[test]
fn a_deadline_runs_through_the_replacement_of_a_stale_connection() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    host.invalidate_soft(holder);
    host.give_back(holder);
    let caller = host.connect_within(None, within(1000));
    assert_eq!(host.step(caller), Some(HostStep::Terminate(Connection(0))));
    host.pass(600.0);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.step(caller), Some(HostStep::Open));
    host.pass(399.9);
    assert!(!host.is_settled(caller));
    host.pass(latest_ms(1000.0) - 999.9);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenDeadline));
}

#[test]
fn a_deadline_that_ends_during_the_replacement_opens_nothing() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    host.invalidate_soft(holder);
    host.give_back(holder);
    let caller = host.connect_within(None, within(100));
    host.pass(200.0);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenDeadline));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_ended(caller));
    assert_eq!((host.stats().total, host.counts().checked_in), (0, 1));
}

#[test]
fn a_deadline_that_passed_before_the_caller_woke_refuses_at_the_next_tick() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let caller = host.connect_within(NO_LIMIT, within(100));
    let operation = host.invalidate(holder);
    host.finish(operation, Outcome::Ok);
    host.pass(5000.0);
    assert_eq!(host.stage(caller), Stage::Woken);
    host.wake(caller);
    host.pass(latest_ms(0.0));
    assert_eq!(host.refusal(caller), Some(Refusal::OpenDeadline));
}

#[test]
fn a_driver_timeout_shorter_than_the_deadline_is_reported_as_such() {
    let mut host = Host::new(Settings { driver_timeout_ms: 50.0, ..plain(1, 0) });
    let caller = host.connect_within(None, within(1000));
    host.pass(latest_ms(50.0));
    assert!(host.has_expired(caller) && !host.is_settled(caller));
    host.finish(caller, Outcome::TimedOut);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenTimeout));
}

#[test]
fn after_the_deadline_the_driver_timeout_still_bounds_the_opening() {
    let mut host = Host::new(Settings { driver_timeout_ms: 500.0, ..plain(1, 0) });
    let caller = host.connect_within(None, within(100));
    let waiter = host.connect();
    host.pass(latest_ms(100.0));
    assert!(host.is_settled(caller) && !host.has_expired(caller));
    host.pass(latest_ms(500.0));
    assert!(host.has_expired(caller));
    host.finish(caller, Outcome::TimedOut);
    assert_eq!(host.stage(waiter), Stage::Woken, "the slot is free for the next");
    host.run();
    assert!(host.has_lease(waiter));
    assert_eq!(host.open_connections(), 1, "the late one was closed");
}

#[test]
fn an_abort_before_the_deadline_settles_the_caller_and_the_deadline_does_nothing_more() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect_within(None, within(100));
    assert!(host.abort(caller));
    host.pass(1000.0);
    assert_eq!(host.refusal(caller), Some(Refusal::Aborted));
    assert_eq!((host.stats().aborted, host.stats().timed_out), (1, 0));
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn the_pools_own_deadline_holds_unless_the_call_has_another() {
    let mut host = Host::new(Settings { deadline_ms: 100.0, ..plain(3, 0) });
    let own = host.connect_within(None, None);
    let longer = host.connect_within(None, within(1000));
    let none = host.connect_within(None, NO_LIMIT);
    host.pass(200.0);
    assert_eq!([own, longer, none].map(|caller| host.is_settled(caller)), [true, false, false]);
    host.pass(1000.0);
    assert_eq!([longer, none].map(|caller| host.is_settled(caller)), [true, false]);
}

#[test]
fn a_caller_served_at_once_meets_no_deadline() {
    let mut host = Host::new(plain(1, 0));
    let first = host.lend();
    host.give_back(first);
    let caller = host.connect_within(None, within(0));
    assert!(host.has_lease(caller) && !host.has_timer());
}

#[test]
fn many_deadlines_in_queue_and_driver_each_end_in_time() {
    let mut host = Host::new(plain(2, 0));
    let mut ends = Vec::new();
    for (at, ms) in [700, 90, 2500, 300, 1100, 40, 900].into_iter().enumerate() {
        let caller = host.connect_within(NO_LIMIT, within(ms));
        ends.push((caller, host.now + f64::from(ms), host.now + latest_ms(f64::from(ms))));
        host.pass(f64::from(at as u32) + 0.3);
    }
    let all: Vec<Operation> = ends.iter().map(|&(caller, ..)| caller).collect();
    let until = host.now + 5000.0;
    loop {
        let before: Vec<bool> = all.iter().map(|&caller| host.is_settled(caller)).collect();
        let fired = host.pass_to_tick(until);
        for (&(caller, earliest, latest), settled) in ends.iter().zip(before) {
            if host.is_settled(caller) && !settled {
                assert!((earliest..=latest).contains(&host.now), "{caller:?}: {} of {earliest}", host.now);
            }
        }
        if !fired {
            break;
        }
    }
    assert!(all.iter().all(|&caller| host.is_settled(caller)));
}
