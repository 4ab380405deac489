//! `warm()` opens what is missing before a caller asks, never above the pool's size, and calls the same listeners.

use crate::harness::{Connection, Host, HostStep, emit, of_kind, plain};
use edgepool::policy::{Event, Kind, Outcome, Settings, Span};

#[test]
fn it_opens_what_is_missing_for_the_idle_store() {
    let mut host = Host::new(plain(3, 2));
    let caller = host.lend();
    host.take_log();
    assert_eq!(host.warm(3), 0);
    assert_eq!(host.steps(), [HostStep::Open, HostStep::Open]);
    assert_eq!(host.stats().opening, 2);
    host.run();
    assert_eq!((host.stats().idle, host.stats().used), (2, 1));
    assert_eq!(host.stats().checkouts, 1, "no caller has a lease");
    host.give_back(caller);
}

#[test]
fn it_never_opens_more_than_the_size() {
    let mut host = Host::new(plain(2, 5));
    host.warm(100);
    host.run();
    assert_eq!(host.stats().idle, 2);
    host.warm(100);
    assert_eq!(host.steps(), []);
}

#[test]
fn it_fills_emptied_slots() {
    let mut host = Host::new(plain(2, 0));
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    assert_eq!((host.stats().idle, host.counts().checked_in), (0, 1));
    host.warm(2);
    host.run();
    assert_eq!((host.stats().idle, host.counts().checked_in), (2, 2));
}

#[test]
fn it_calls_the_connect_listeners_and_no_others_but_checkin() {
    let mut host = Host::listening(plain(1, 0));
    host.warm(1);
    let steps = host.run_steps();
    assert_eq!(steps, [HostStep::Open, emit(Event::FirstConnect, 0), emit(Event::Connect, 0)]);
}

#[test]
fn it_opens_no_more_at_once_than_max_connecting_and_says_what_is_left() {
    let mut host = Host::new(Settings { max_connecting: 2.0, ..plain(5, 0) });
    assert_eq!(host.warm(5), 3);
    assert_eq!(host.steps().len(), 2);
    host.run();
    assert_eq!(host.warm(5), 1);
    host.run();
    assert_eq!(host.warm(5), 0);
    host.run();
    assert_eq!(host.stats().idle, 5);
}

#[test]
fn a_failed_opening_is_reported_and_leaves_no_slot() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(plain(2, 0));
        host.warm(2);
        let warming = host.operations().next().expect("an opening");
        host.finish(warming, outcome);
        assert!(host.refusal(warming).is_some());
        host.run();
        assert_eq!((host.stats().idle, host.stats().total), (1, 1));
        assert_eq!(host.stats().timed_out, 0, "no caller was refused");
    }
}

#[test]
fn a_caller_that_comes_meanwhile_waits_for_it_if_there_is_no_other_room() {
    let mut host = Host::new(plain(1, 0));
    host.warm(1);
    let caller = host.connect();
    assert_eq!(host.stats().waiting, 1);
    host.run();
    assert_eq!((host.connection(caller), host.stats().opened), (Connection(0), 1));
}

#[test]
fn what_it_opened_is_pinged_like_anything_that_idled() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
    host.warm(1);
    host.run();
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Ping(Connection(0))]);
}

#[test]
fn a_closed_pool_opens_nothing() {
    let mut host = Host::new(plain(2, 0));
    host.warm(1);
    host.close(Span::Forever);
    assert_eq!(host.warm(2), 0);
    host.run();
    host.assert_nothing_is_left();
}

#[test]
fn a_close_ends_the_openings_that_have_not_begun() {
    let mut host = Host::new(plain(4, 0));
    // The first of several openings may close the pool, by its creator.
    host.pool.warm(4, u32::MAX);
    host.close(Span::Forever);
    assert_eq!(host.steps(), []);
    host.assert_nothing_is_left();
}

#[test]
fn every_kind_that_keeps_one_opens_one() {
    for kind in [Kind::Static, Kind::Singleton, Kind::Assertion] {
        let mut host = Host::new(of_kind(kind));
        host.warm(5);
        host.run();
        assert_eq!(host.stats().idle, 1);
        host.lend();
        assert_eq!(host.stats().opened, 1);
    }
}
