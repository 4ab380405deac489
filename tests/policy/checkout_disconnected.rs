//! A checkout that finds its connection dead tries another in the same slot. After the second death the third
//! connection is opened and ended, and the caller is refused.

use crate::harness::{CHECKIN_EMPTY, Connection, Host, HostStep, Operation, emit, sized};
use edgepool::policy::{Event, Outcome, Refusal, Settings, Span};

fn host() -> Host {
    Host::listening(Settings { pre_ping: Some(true), ..sized(2, 0) })
}

/// Every step succeeds until the checkout listeners are called.
fn show(host: &mut Host, caller: Operation) -> Connection {
    loop {
        match host.step(caller) {
            Some(HostStep::Emit(Event::Checkout, Some(connection))) => return connection,
            Some(_) => host.finish(caller, Outcome::Ok),
            None => panic!("{caller:?} is {:?}", host.stage(caller)),
        }
    }
}

fn end_of(connection: usize) -> [HostStep; 3] {
    [emit(Event::Invalidate, connection), emit(Event::Close, connection), HostStep::Terminate(Connection(connection))]
}

#[test]
fn one_death_is_survived() {
    let mut host = host();
    let caller = host.connect();
    assert_eq!(show(&mut host, caller), Connection(0));
    host.finish(caller, Outcome::Disconnected);
    assert_eq!(show(&mut host, caller), Connection(1));
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.connection(caller), Connection(1));
    assert_eq!((host.stats().opened, host.stats().invalidated, host.stats().total), (2, 1, 1));
}

#[test]
fn after_two_deaths_a_third_is_opened_and_thrown_away_and_the_caller_refused() {
    let mut host = host();
    let caller = host.connect();
    show(&mut host, caller);
    host.finish(caller, Outcome::Disconnected);
    show(&mut host, caller);
    host.take_log();
    host.finish(caller, Outcome::Disconnected);
    let steps = host.run_steps();
    let third = [HostStep::Open, emit(Event::Connect, 2)];
    assert_eq!(steps, [&end_of(1)[..], &third, &end_of(2), &[CHECKIN_EMPTY]].concat());
    assert_eq!(host.refusal(caller), Some(Refusal::Disconnected));
    assert_eq!((host.stats().opened, host.open_connections(), host.counts().checked_in), (3, 0, 1));
    assert_eq!(host.stats().checkouts, 0);
}

#[test]
fn a_dead_ping_and_a_dead_checkout_are_two_deaths() {
    let mut host = host();
    let caller = host.lend();
    host.give_back(caller);
    let caller = host.connect();
    host.finish(caller, Outcome::Disconnected);
    show(&mut host, caller);
    host.finish(caller, Outcome::Disconnected);
    host.run();
    assert_eq!(host.refusal(caller), Some(Refusal::Disconnected));
}

#[test]
fn the_third_fails_to_open_and_that_is_the_callers_error() {
    let mut host = host();
    let caller = host.connect();
    for _ in 0..2 {
        show(&mut host, caller);
        host.finish(caller, Outcome::Disconnected);
    }
    while host.step(caller) != Some(HostStep::Open) {
        host.finish(caller, Outcome::Ok);
    }
    host.finish(caller, Outcome::Failed);
    host.run();
    assert_eq!(host.refusal(caller), Some(Refusal::Failed));
    assert_eq!(host.counts().checked_in, 1, "emptied, in the slot that it had");
}

#[test]
fn a_death_of_one_leaves_the_others_alone_unless_it_speaks_for_all() {
    for (outcome, replaced) in [(Outcome::Disconnected, 0), (Outcome::DisconnectedAll, 1)] {
        let mut host = host();
        let other = host.lend();
        let caller = host.connect();
        show(&mut host, caller);
        host.finish(caller, outcome);
        host.run();
        host.give_back(other);
        host.lend();
        assert_eq!(host.stats().recycled, replaced);
    }
}

#[test]
fn a_checkout_listener_that_fails_refuses_the_caller_and_ends_the_connection() {
    for (outcome, refusal) in [(Outcome::Failed, Refusal::Failed), (Outcome::TimedOut, Refusal::ListenerTimeout)] {
        let mut host = host();
        let caller = host.connect();
        show(&mut host, caller);
        host.take_log();
        host.finish(caller, outcome);
        assert_eq!(host.run_steps(), [&end_of(0)[..], &[CHECKIN_EMPTY]].concat());
        assert_eq!(host.refusal(caller), Some(refusal));
        assert_eq!(host.counts().checked_in, 1);
        host.lend();
    }
}

#[test]
fn a_caller_that_leaves_while_the_listeners_run_is_refused_and_its_connection_ended() {
    for outcome in [Outcome::Failed, Outcome::Disconnected, Outcome::TimedOut] {
        let mut host = host();
        let caller = host.connect();
        show(&mut host, caller);
        assert!(host.abort(caller));
        assert!(host.has_expired(caller));
        host.take_log();
        host.finish(caller, outcome);
        assert_eq!(host.run_steps(), [&end_of(0)[..], &[CHECKIN_EMPTY]].concat());
        assert_eq!((host.open_connections(), host.stats().opened), (0, 1), "no other is opened without a caller");
    }
}

#[test]
fn a_caller_that_leaves_as_the_listeners_end_leaves_its_connection_to_the_next() {
    let mut host = host();
    let caller = host.connect();
    show(&mut host, caller);
    assert!(host.abort(caller));
    host.finish(caller, Outcome::Ok);
    host.run();
    assert_eq!((host.stats().idle, host.stats().invalidated), (1, 0));
}

#[test]
fn a_caller_that_leaves_while_the_dead_one_is_terminated_leaves_an_empty_slot() {
    let mut host = host();
    let caller = host.connect();
    show(&mut host, caller);
    host.finish(caller, Outcome::Disconnected);
    assert!(host.abort(caller));
    host.run();
    assert_eq!((host.stats().opened, host.counts().checked_in, host.open_connections()), (1, 1, 0));
}

#[test]
fn a_deadline_during_the_listeners_refuses_the_caller() {
    let mut host = host();
    let caller = host.connect_within(None, Some(Span::Millis(50)));
    show(&mut host, caller);
    host.pass(70.0);
    assert_eq!(host.refusal(caller), Some(Refusal::ListenerDeadline));
    host.finish(caller, Outcome::TimedOut);
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn a_close_during_the_listeners_refuses_the_caller_and_ends_the_slot() {
    let mut host = host();
    let caller = host.connect();
    show(&mut host, caller);
    host.close(Span::Forever);
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
    host.run();
    host.assert_nothing_is_left();
}
