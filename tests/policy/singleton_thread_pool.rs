//! SingletonThreadPool is like StaticPool, but a caller that joins is not checked. Only the outermost checkout pings
//! and calls the listeners. A stale connection stays with the callers that nest in it.

use crate::harness::{Connection, Host, HostStep, Operation, emit, of_kind};
use edgepool::policy::{Config, Event, Kind, Outcome, Settings, Violation};

const A: Connection = Connection(0);

fn settings() -> Settings {
    Settings { pre_ping: Some(true), ..of_kind(Kind::Singleton) }
}

fn nested(host: &mut Host) -> (Operation, Operation) {
    let callers = (host.lend(), host.lend());
    host.take_log();
    callers
}

#[test]
fn only_the_outermost_checkout_pings_and_is_shown() {
    let mut host = Host::listening(settings());
    let caller = host.lend();
    host.give_back(caller);
    host.take_log();
    let outer = host.lend();
    assert_eq!(host.take_steps(), [HostStep::Ping(A), emit(Event::Checkout, 0)]);
    let inner = host.lend();
    assert_eq!(host.take_steps(), []);
    assert_eq!((host.connection(outer), host.connection(inner)), (A, A));
}

#[test]
fn inner_returns_do_nothing_and_the_last_resets() {
    let mut host = Host::listening(settings());
    let (outer, inner) = nested(&mut host);
    host.give_back(outer);
    assert_eq!(host.take_steps(), [], "whichever comes first");
    host.give_back(inner);
    assert_eq!(host.take_steps(), [emit(Event::Reset, 0), HostStep::Rollback(A), emit(Event::Checkin, 0)]);
}

#[test]
fn what_is_stale_is_shared_on_while_it_is_lent_and_replaced_afterwards() {
    let mut host = Host::new(settings());
    let (outer, inner) = nested(&mut host);
    host.invalidate_all();
    let third = host.lend();
    assert_eq!(host.connection(third), A);
    for caller in [outer, inner, third] {
        host.give_back(caller);
    }
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Terminate(A), HostStep::Open]);
}

#[test]
fn an_invalidation_ends_it_for_all_and_the_next_has_another() {
    let mut host = Host::new(settings());
    let (outer, inner) = nested(&mut host);
    host.invalidate(inner);
    host.run();
    assert!(!host.is_open(A));
    let next = host.lend();
    assert_eq!(host.connection(next), Connection(1));
    host.give_back(outer);
    host.run();
    assert_eq!(host.stats().total, 1);
    host.give_back(next);
}

#[test]
fn a_lost_share_counts_as_returned_and_a_spawned_operation_resets_the_last() {
    let mut host = Host::new(settings());
    let (outer, inner) = nested(&mut host);
    assert!(host.lose(outer));
    assert_eq!((host.take_steps(), host.stats().leaked), (vec![], 1));
    assert!(host.lose(inner));
    assert_eq!(host.run_steps(), [HostStep::Rollback(A)]);
    assert_eq!((host.stats().leaked, host.stats().idle, host.is_open(A)), (2, 1, true));
}

#[test]
fn a_lost_share_whose_reset_fails_is_terminated() {
    let mut host = Host::new(settings());
    let caller = host.lend();
    host.lose(caller);
    let spawned = host.operations().last().expect("a spawned operation");
    host.finish(spawned, Outcome::Failed);
    assert_eq!(host.step(spawned), Some(HostStep::Terminate(A)));
    host.run();
    assert_eq!((host.open_connections(), host.counts().checked_in), (0, 1));
}

#[test]
fn a_size_below_one_is_refused() {
    let violation = |pool_size| Config::new(&Settings { pool_size, ..settings() }).err();
    assert_eq!(violation(0.0), Some(Violation { option: "poolSize" }));
    assert_eq!(violation(-1.0), Some(Violation { option: "poolSize" }));
    assert_eq!(violation(1.0), None);
}
