//! A late timer proves nothing: the answer may lie in a socket. The host gets a grace and one turn of its loop, in
//! which answers and returned connections still count. Then the policy judges, however busy the loop is.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, plain};
use edgepool::policy::{Event, Outcome, Refusal, Settings, Span};

const A: Connection = Connection(0);

/// Blocks the host's loop for so long; then the timer rings, if it is due.
fn block(host: &mut Host, ms: f64) {
    host.now += ms;
    if host.timer_ms().is_some_and(|left_ms| left_ms <= 0.0) {
        host.fire_timer();
    }
}

/// A pool of one that has lent its connection, and a waiter.
fn waiting(timeout_ms: f64) -> (Host, Operation, Operation) {
    let mut host = Host::new(Settings { timeout_ms, ..plain(1, 0) });
    let holder = host.lend();
    let waiter = host.connect();
    host.pass(50.0);
    (host, holder, waiter)
}

#[test]
fn a_connection_that_comes_back_after_a_late_ring_goes_to_the_waiter() {
    let (mut host, holder, waiter) = waiting(1000.0);
    block(&mut host, 1500.0);
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.give_back(holder);
    assert!(host.has_lease(waiter));
}

#[test]
fn waiters_are_served_in_order_after_a_late_ring() {
    let mut host = Host::new(Settings { timeout_ms: 1000.0, ..plain(2, 0) });
    let holders = [host.lend(), host.lend()];
    let waiters = [0; 3].map(|_| host.connect());
    host.pass(50.0);
    block(&mut host, 1500.0);
    holders.into_iter().for_each(|holder| host.give_back(holder));
    assert!(host.has_lease(waiters[0]) && host.has_lease(waiters[1]));
    host.pass(50.0);
    assert_eq!(host.refusal(waiters[2]), Some(Refusal::WaitTimeout));
}

#[test]
fn the_grace_is_as_long_as_the_timer_was_late_and_at_most_50_ms() {
    for (late_ms, grace_ms) in [(12.0, 12.0), (30.0, 30.0), (50.0, 50.0), (1000.0, 50.0), (1e9, 50.0)] {
        let (mut host, _, waiter) = waiting(1000.0);
        host.now += host.timer_ms().expect("a timer runs") + late_ms;
        host.fire_timer();
        assert_eq!(host.timer_ms(), Some(grace_ms), "{late_ms} ms late");
        host.now += grace_ms;
        host.fire_timer();
        assert_eq!((host.timer_ms(), host.stage(waiter)), (Some(0.0), Stage::Queued), "one turn of the loop");
        host.fire_timer();
        assert_eq!(host.refusal(waiter), Some(Refusal::WaitTimeout));
    }
}

#[test]
fn a_ring_that_is_late_by_at_most_ten_milliseconds_judges_at_once() {
    for late_ms in [0.0, 1.0, 4.0, 10.0] {
        let (mut host, _, waiter) = waiting(1000.0);
        host.now += host.timer_ms().expect("a timer runs") + late_ms;
        host.fire_timer();
        assert_eq!(host.refusal(waiter), Some(Refusal::WaitTimeout), "{late_ms} ms late");
    }
}

#[test]
fn a_late_ring_with_nothing_due_is_like_any_other() {
    let mut host = Host::new(Settings { timeout_ms: 60_000.0, ..plain(1, 0) });
    host.lend();
    let waiter = host.connect();
    // The timer of a busy queue rings more often than callers run out of time.
    block(&mut host, 5000.0);
    assert_eq!(host.stage(waiter), Stage::Queued);
    assert!(host.timer_ms().is_some_and(|left_ms| left_ms > 50.0));
}

#[test]
fn a_call_within_the_grace_refuses_no_waiter() {
    let (mut host, holder, waiter) = waiting(1000.0);
    block(&mut host, 1500.0);
    for _ in 0..20 {
        host.now += 10.0;
        host.tick_without_ring();
        assert_eq!(host.stage(waiter), Stage::Queued, "code that runs now says nothing of the sockets");
    }
    host.give_back(holder);
    assert!(host.has_lease(waiter));
}

#[test]
fn a_call_that_comes_before_the_late_ring_refuses_no_waiter() {
    let (mut host, holder, waiter) = waiting(1000.0);
    host.now += 1500.0;
    host.tick_without_ring();
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.give_back(holder);
    assert!(host.has_lease(waiter));
}

#[test]
fn a_timer_that_is_lost_with_its_context_puts_no_refusal_off_by_more_than_a_second() {
    let (mut host, _, waiter) = waiting(1000.0);
    host.now += 1500.0;
    let start = host.now;
    while !host.is_settled(waiter) {
        host.now += 10.0;
        host.tick_without_ring();
        assert!(host.now - start < 1100.0);
    }
}

#[test]
fn a_loop_that_is_always_late_still_times_out() {
    for late_ms in [11.0, 90.0, 101.0, 1000.0, 60_000.0] {
        let (mut host, _, waiter) = waiting(1000.0);
        let mut late_rings = 0;
        while !host.is_settled(waiter) {
            late_rings += 1;
            host.now += host.timer_ms().expect("a timer runs") + late_ms;
            host.fire_timer();
        }
        assert!(late_rings <= if late_ms > 100.0 { 2 } else { 3 }, "{late_rings} rings that are {late_ms} ms late");
    }
}

#[test]
fn a_grace_that_ended_with_nothing_due_leaves_none_for_the_next_end() {
    let (mut host, holder, waiter) = waiting(1000.0);
    block(&mut host, 1500.0);
    host.give_back(holder);
    let second = host.connect();
    host.pass(1050.0);
    assert_eq!(host.refusal(second), Some(Refusal::WaitTimeout));
    assert!(host.has_lease(waiter));
}

#[test]
fn a_ping_whose_answer_lies_in_the_socket_replaces_no_connection() {
    let settings = Settings { pre_ping: Some(true), ping_timeout_ms: 400.0, ..plain(4, 0) };
    let mut host = Host::new(settings);
    let callers: Vec<Operation> = (0..4).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    let caller = host.connect();
    assert_eq!(host.step(caller), Some(HostStep::Ping(A)));
    block(&mut host, 600.0);
    assert!(!host.has_expired(caller));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
    assert_eq!((host.stats().invalidated, host.stats().total), (0, 4));
}

#[test]
fn a_ping_that_is_not_answered_within_the_grace_counts_as_dead() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ping_timeout_ms: 400.0, ..plain(1, 0) });
    let caller = host.lend();
    host.give_back(caller);
    let caller = host.connect();
    block(&mut host, 600.0);
    host.pass(50.0);
    assert!(host.has_expired(caller));
}

#[test]
fn a_step_of_the_driver_or_of_a_listener_that_has_ended_by_then_has_ended_in_time() {
    let settings = Settings { driver_timeout_ms: 400.0, ..plain(1, 0) };
    let mut host = Host::new(settings.clone());
    let opening = host.connect();
    block(&mut host, 600.0);
    assert!(!host.has_expired(opening));
    host.finish(opening, Outcome::Ok);
    assert!(host.has_lease(opening));

    for event in [Event::Connect, Event::Checkout, Event::Reset, Event::Checkin] {
        let mut host = Host::listening(settings.clone());
        host.listen(&[event]);
        let caller = host.connect();
        host.finish(caller, Outcome::Ok);
        let listening = if matches!(event, Event::Connect | Event::Checkout) {
            caller
        } else {
            host.checkin(caller, true).expect("the listeners run")
        };
        assert_eq!(host.step(listening), Some(HostStep::Emit(event, Some(A))));
        block(&mut host, 600.0);
        assert!(!host.has_expired(listening), "{event:?}");
        host.finish(listening, Outcome::Ok);
        assert_eq!(host.stats().invalidated, 0);
    }

    let mut host = Host::new(Settings { reset_on_return: Settings::default().reset_on_return, ..settings });
    let caller = host.lend();
    let resetting = host.checkin(caller, false).expect("a rollback is a step");
    block(&mut host, 600.0);
    assert!(!host.has_expired(resetting));
    host.finish(resetting, Outcome::Ok);
    assert_eq!((host.stats().idle, host.stats().invalidated), (1, 0));
}

#[test]
fn a_deadline_that_passed_while_the_loop_was_blocked_still_gives_what_has_come() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect_within(None, Some(Span::Millis(400)));
    block(&mut host, 600.0);
    assert!(!host.is_settled(caller));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn a_lease_that_comes_back_right_after_the_patience_of_a_close_is_not_terminated() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let close = host.close(Span::Millis(400));
    block(&mut host, 600.0);
    assert_eq!(host.stage(close), Stage::Draining);
    host.give_back(holder);
    assert_eq!(host.stats().invalidated, 0);
    host.run();
    assert_eq!(host.stage(close), Stage::Ended);
}
