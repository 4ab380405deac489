//! `maxUses`: a connection that was handed out that often is closed, politely, at its return.

use crate::harness::{Connection, Host, HostStep, emit, plain, sized};
use edgepool::policy::{Config, Event, Outcome, Settings, Violation};

fn wearing(max_uses: f64) -> Settings {
    Settings { max_uses, ..plain(1, 0) }
}

#[test]
fn the_last_use_closes_it_at_its_return() {
    let mut host = Host::new(wearing(3.0));
    for use_of in 0..7 {
        let caller = host.lend();
        assert_eq!(host.connection(caller), Connection(use_of / 3));
        host.give_back(caller);
        host.run();
    }
    assert_eq!((host.stats().opened, host.stats().invalidated, host.stats().recycled), (3, 0, 0));
}

#[test]
fn one_use_is_enough() {
    let mut host = Host::new(wearing(1.0));
    for opened in 0..3 {
        let caller = host.lend();
        assert_eq!(host.connection(caller), Connection(opened));
        host.give_back(caller);
        assert_eq!(host.stats().total, 0);
    }
}

#[test]
fn it_is_closed_after_its_reset_and_its_checkin() {
    let mut host = Host::listening(Settings { max_uses: 1.0, ..sized(1, 0) });
    let caller = host.lend();
    host.take_log();
    host.give_back(caller);
    let steps = [
        emit(Event::Reset, 0),
        HostStep::Rollback(Connection(0)),
        emit(Event::Checkin, 0),
        emit(Event::Close, 0),
        HostStep::Close(Connection(0)),
    ];
    assert_eq!(host.take_steps(), steps);
}

#[test]
fn a_waiter_has_a_new_one_when_the_worn_one_is_closed() {
    let mut host = Host::new(wearing(1.0));
    let holder = host.lend();
    let waiter = host.connect();
    host.checkin(holder, true);
    assert_eq!(host.stats().waiting, 1, "the close comes first");
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
}

#[test]
fn a_replaced_connection_counts_from_nought() {
    let mut host = Host::new(wearing(2.0));
    let caller = host.lend();
    host.give_back(caller);
    host.invalidate_all();
    for _ in 0..2 {
        let caller = host.lend();
        assert_eq!(host.connection(caller), Connection(1));
        host.give_back(caller);
    }
    assert!(!host.is_open(Connection(1)));
}

#[test]
fn a_checkout_that_failed_is_no_use() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..wearing(2.0) });
    let caller = host.lend();
    host.give_back(caller);
    let caller = host.connect();
    host.finish(caller, Outcome::Ok);
    host.give_back(caller);
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn less_than_one_is_refused() {
    for max_uses in [0.0, -1.0, 1.5, f64::NAN] {
        assert_eq!(Config::new(&wearing(max_uses)).err(), Some(Violation { option: "maxUses" }));
    }
}
