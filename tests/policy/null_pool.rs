//! NullPool opens a connection for each lease and closes it at its return. Nothing is idle, limited or pinged.

use crate::harness::{CHECKIN_EMPTY, Connection, Host, HostStep, Operation, emit, of_kind};
use edgepool::policy::{Event, Kind, Outcome, ResetStyle, Settings, Span};

fn settings() -> Settings {
    Settings { reset_on_return: Some(ResetStyle::None), ..of_kind(Kind::Null) }
}

#[test]
fn each_checkout_opens_and_each_return_closes() {
    let mut host = Host::new(settings());
    for opened in 0..3 {
        let caller = host.lend();
        assert_eq!(host.connection(caller), Connection(opened));
        host.give_back(caller);
        assert!(!host.is_open(Connection(opened)));
        assert_eq!((host.stats().total, host.counts().checked_in), (0, 0));
    }
}

#[test]
fn every_caller_has_a_connection_and_none_waits() {
    let mut host = Host::new(settings());
    let callers: Vec<Operation> = (0..50).map(|_| host.lend()).collect();
    assert_eq!((host.stats().used, host.stats().waiting, host.stats().max), (50, 0, f64::INFINITY));
    callers.into_iter().for_each(|caller| host.give_back(caller));
    assert_eq!(host.stats().total, 0);
}

#[test]
fn nothing_is_ever_pinged() {
    let mut host = Host::listening(Settings { pre_ping: Some(true), ..settings() });
    let caller = host.lend();
    host.give_back(caller);
    host.lend();
    assert!(!host.take_steps().iter().any(|step| matches!(step, HostStep::Ping(_))));
}

#[test]
fn every_event_is_emitted() {
    let mut host = Host::listening(of_kind(Kind::Null));
    let caller = host.lend();
    host.give_back(caller);
    let steps = [
        HostStep::Open,
        emit(Event::FirstConnect, 0),
        emit(Event::Connect, 0),
        emit(Event::Checkout, 0),
        emit(Event::Reset, 0),
        HostStep::Rollback(Connection(0)),
        emit(Event::Checkin, 0),
        emit(Event::Close, 0),
        HostStep::Close(Connection(0)),
    ];
    assert_eq!(host.take_steps(), steps);
}

#[test]
fn an_invalidated_lease_leaves_nothing_behind() {
    let mut host = Host::listening(settings());
    let caller = host.lend();
    host.take_log();
    host.invalidate(caller);
    let end = [emit(Event::Invalidate, 0), emit(Event::Close, 0), HostStep::Terminate(Connection(0)), CHECKIN_EMPTY];
    assert_eq!(host.run_steps(), end);
    assert_eq!(host.counts().checked_in + host.counts().checked_out, 0);
}

#[test]
fn an_opening_whose_caller_left_is_closed() {
    let mut host = Host::new(settings());
    let caller = host.connect();
    host.abort(caller);
    host.run();
    assert_eq!((host.stats().opened, host.open_connections(), host.stats().total), (1, 0, 0));
}

#[test]
fn a_checkout_listener_that_finds_it_dead_has_another_in_the_same_slot() {
    let mut host = Host::listening(settings());
    let caller = host.connect();
    while host.step(caller) != Some(emit(Event::Checkout, 0)) {
        host.finish(caller, Outcome::Ok);
    }
    host.finish(caller, Outcome::Disconnected);
    host.run();
    assert_eq!((host.connection(caller), host.stats().total), (Connection(1), 1));
}

#[test]
fn a_detached_connection_outlives_its_slot() {
    let mut host = Host::new(settings());
    let caller = host.lend();
    let detached = host.detach(caller);
    assert_eq!((host.stats().total, host.stats().detached), (0, 1));
    host.close_detached(detached, true, false);
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn dispose_does_nothing_and_close_waits_for_the_leases() {
    let mut host = Host::new(settings());
    let caller = host.lend();
    host.dispose();
    assert!(host.is_open(Connection(0)));
    let closing = host.close(Span::Forever);
    assert!(!host.has_ended(closing));
    host.give_back(caller);
    assert!(host.has_ended(closing));
    host.assert_nothing_is_left();
}

#[test]
fn a_warm_up_opens_nothing() {
    let mut host = Host::new(settings());
    assert_eq!((host.warm(3), host.stats().total), (0, 0));
}
