//! Several scopes of one pool: each is a policy of its own, with numbers in common.

use crate::harness::{Host, emit, sized};
use edgepool::policy::{Config, Event, Outcome, Pool, Span};

/// A further scope of the host's pool.
fn scope_of(host: &Host) -> Host {
    let mut scope = Host::listening(host.settings().clone());
    scope.pool.follow(&host.pool);
    scope
}

#[test]
fn a_new_scope_does_not_emit_the_first_connection_again() {
    let mut host = Host::listening(sized(1, 0));
    host.lend();
    let mut scope = scope_of(&host);
    let caller = scope.connect();
    scope.finish(caller, Outcome::Ok);
    assert_eq!(scope.step(caller), Some(emit(Event::Connect, 0)));
    scope.run();
    assert!(scope.has_lease(caller));
}

#[test]
fn a_scope_that_begins_before_the_first_connection_stood_emits_its_own() {
    let mut host = Host::listening(sized(1, 0));
    let first = host.connect();
    host.finish(first, Outcome::Ok);
    let mut scope = scope_of(&host);
    let caller = scope.connect();
    scope.finish(caller, Outcome::Ok);
    assert_eq!(scope.step(caller), Some(emit(Event::FirstConnect, 0)), "no scope waits for another");
    for mut each in [host, scope] {
        each.run();
        each.return_everything();
    }
}

#[test]
fn a_scope_that_has_ended_leaves_its_counters_and_no_slot() {
    let mut first = Pool::new(Config::new(&sized(1, 0)).expect("good settings"));
    let mut host = Host::new(sized(1, 0));
    host.lend();
    let (opened, waited) = (host.connect_within(Some(Span::Millis(0)), None), host.stats());
    assert!(host.refusal(opened).is_some());
    for times in 1..=2 {
        first.inherit(&host.pool);
        let stats = first.stats();
        assert_eq!((stats.opened, stats.checkouts, stats.timed_out), (times, times, times * host.stats().timed_out));
        assert_eq!((stats.total, stats.used), (0, 0), "slots stay where they were");
    }
    assert_eq!(waited.used, 1);
}

#[test]
fn a_scope_is_empty_before_its_first_connection_and_after_its_last() {
    let mut host = Host::new(sized(1, 0));
    assert!(host.pool.is_empty());
    let caller = host.connect();
    assert!(!host.pool.is_empty(), "a caller wants a connection");
    host.run();
    assert!(!host.pool.is_empty(), "it is lent");
    host.give_back(caller);
    assert!(!host.pool.is_empty(), "it is idle");
    host.dispose();
    host.run();
    assert!(host.pool.is_empty());
}

#[test]
fn a_close_that_is_asked_for_twice_is_one_close() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let closing = host.pool.begin_close(Span::Forever);
    assert_eq!(host.pool.begin_close(Span::Millis(0)), closing, "the first still waits for the lease");
    assert!(host.pool.is_leased(host.lease(caller)));
}
