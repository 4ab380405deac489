//! `recycle`: the age at which a connection is replaced at its next checkout, never earlier and never under a lease.

use crate::harness::{Connection, Host, HostStep, plain};
use edgepool::policy::{Event, Outcome, Settings, Span, Staleness};

fn recycling(recycle_ms: f64) -> Host {
    Host::new(Settings { recycle_ms, ..plain(1, 0) })
}

fn age(host: &mut Host, ms: f64) -> Vec<HostStep> {
    let caller = host.lend();
    host.give_back(caller);
    host.take_log();
    host.pass(ms);
    host.lend();
    host.take_steps()
}

#[test]
fn strictly_older_is_replaced_and_as_old_is_not() {
    assert_eq!(age(&mut recycling(1000.0), 1000.0), []);
    assert_eq!(age(&mut recycling(1000.0), 1001.0), [HostStep::Terminate(Connection(0)), HostStep::Open]);
}

#[test]
fn zero_replaces_every_time_and_never_what_this_checkout_opened() {
    let mut host = recycling(0.0);
    for opened in 1..4 {
        let caller = host.lend();
        assert_eq!(host.stats().opened, opened);
        host.give_back(caller);
    }
    assert_eq!(host.stats().recycled, 2);
}

#[test]
fn for_ever_never_replaces() {
    assert_eq!(age(&mut recycling(f64::INFINITY), 1e9), []);
}

#[test]
fn the_age_counts_from_the_end_of_the_opening() {
    let mut host = recycling(1000.0);
    let caller = host.connect();
    host.pass(900.0);
    host.finish(caller, Outcome::Ok);
    host.give_back(caller);
    host.pass(900.0);
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), []);
}

#[test]
fn a_lease_that_grows_old_goes_on_and_its_connection_is_replaced_for_the_next() {
    let mut host = recycling(1000.0);
    let caller = host.lend();
    let waiter = host.connect_within(Some(Span::Forever), None);
    host.pass(5000.0);
    assert!(host.is_open(Connection(0)));
    host.give_back(caller);
    host.run();
    assert_eq!((host.connection(waiter), host.stats().recycled), (Connection(1), 1));
}

#[test]
fn jitter_takes_its_part_of_the_age() {
    let mut host = Host::new(Settings { recycle_ms: 1000.0, recycle_jitter: 0.5, ..plain(1, 0) });
    host.pool.set_random(1.0);
    let caller = host.lend();
    host.give_back(caller);
    host.take_log();
    host.pass(500.0);
    let caller = host.lend();
    assert_eq!(host.take_steps(), []);
    host.give_back(caller);
    host.pass(1.0);
    host.pool.set_random(0.0);
    let caller = host.lend();
    assert_eq!(host.take_steps(), [HostStep::Terminate(Connection(0)), HostStep::Open]);
    host.give_back(caller);
    host.take_log();
    host.pass(1000.0);
    host.lend();
    assert_eq!(host.take_steps(), [], "this one has the full age");
}

#[test]
fn the_reason_of_a_replacement_is_known_while_it_is_terminated() {
    let by_age = |host: &mut Host| host.pass(2000.0);
    let by_mark = |host: &mut Host| host.invalidate_all();
    let softly = |host: &mut Host| host.mark(Connection(0));
    let reasons = [(by_age as fn(&mut Host), Staleness::Age), (by_mark, Staleness::Pool), (softly, Staleness::Soft)];
    for (spoil, reason) in reasons {
        let mut host = recycling(1000.0);
        host.listen(&[Event::Close]);
        let caller = host.lend();
        host.give_back(caller);
        spoil(&mut host);
        let caller = host.connect();
        assert_eq!(host.pool.staleness(host.id(caller)), Some(reason));
        host.finish(caller, Outcome::Ok);
        assert_eq!(host.step(caller), Some(HostStep::Terminate(Connection(0))));
        assert_eq!(host.pool.staleness(host.id(caller)), Some(reason));
        host.finish(caller, Outcome::Ok);
        assert_eq!(host.step(caller), Some(HostStep::Open));
    }
}

#[test]
fn the_end_of_a_stale_connection_is_never_a_reason_to_refuse() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = recycling(0.0);
        host.listen(&[Event::Close]);
        let caller = host.lend();
        host.give_back(caller);
        let caller = host.connect();
        host.finish(caller, outcome);
        host.finish(caller, outcome);
        host.run();
        assert_eq!(host.connection(caller), Connection(1));
    }
}
