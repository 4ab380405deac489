//! AssertionPool has one connection. A second lease beside the first is a mistake of the program.

use crate::harness::{Connection, Host, Stage, of_kind};
use edgepool::policy::{Kind, Outcome, Refusal, Settings, Span};

fn host() -> Host {
    Host::new(of_kind(Kind::Assertion))
}

#[test]
fn a_second_checkout_beside_a_lease_is_refused() {
    let mut host = host();
    let caller = host.lend();
    let second = host.connect();
    assert_eq!(host.refusal(second), Some(Refusal::InUse));
    assert!(host.has_lease(caller));
    assert_eq!(host.stats().waiting, 0);
}

#[test]
fn a_second_checkout_beside_one_under_way_is_refused() {
    let mut host = host();
    let first = host.connect();
    let second = host.connect();
    assert_eq!(host.refusal(second), Some(Refusal::InUse));
    host.run();
    assert!(host.has_lease(first));
}

#[test]
fn while_the_lease_is_on_its_way_back_a_checkout_waits_and_a_second_is_refused() {
    let mut host = host();
    let caller = host.lend();
    let reset = host.checkin(caller, false).expect("a reset");
    let next = host.connect();
    assert_eq!(host.stage(next), Stage::Queued);
    let second = host.connect();
    assert_eq!(host.refusal(second), Some(Refusal::InUse));
    host.finish(reset, Outcome::Ok);
    assert_eq!((host.has_lease(next), host.connection(next)), (true, Connection(0)));
}

#[test]
fn the_connection_is_kept_between_leases() {
    let mut host = host();
    for _ in 0..3 {
        let caller = host.lend();
        assert_eq!(host.connection(caller), Connection(0));
        host.give_back(caller);
    }
}

#[test]
fn a_failed_checkout_leaves_it_usable() {
    let mut host = host();
    let caller = host.connect();
    host.finish(caller, Outcome::Failed);
    host.lend();
}

#[test]
fn an_opening_whose_caller_left_lets_the_next_caller_wait_for_it() {
    let mut host = host();
    let caller = host.connect();
    host.abort(caller);
    let next = host.connect();
    assert_eq!(host.stage(next), Stage::Queued);
    host.run();
    assert_eq!((host.has_lease(next), host.stats().opened), (true, 1));
}

#[test]
fn a_detach_frees_it() {
    let mut host = host();
    let caller = host.lend();
    let detached = host.detach(caller);
    let next = host.lend();
    assert_eq!(host.connection(next), Connection(1));
    host.close_detached(detached, true, false);
    host.run();
}

#[test]
fn a_dispose_under_the_lease_closes_at_its_return() {
    let mut host = host();
    let caller = host.lend();
    host.dispose();
    let second = host.connect();
    assert_eq!(host.refusal(second), Some(Refusal::InUse));
    assert!(host.is_open(Connection(0)));
    host.give_back(caller);
    assert!(!host.is_open(Connection(0)));
    host.lend();
}

#[test]
fn a_closed_pool_says_that_it_is_closed() {
    let mut host = host();
    host.lend();
    host.close(Span::Forever);
    let caller = host.connect();
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
}

#[test]
fn a_lost_lease_is_a_lease_until_its_grace_is_over() {
    let mut host = Host::new(Settings { ..of_kind(Kind::Assertion) });
    let caller = host.lend();
    host.lose(caller);
    let second = host.connect();
    assert_eq!(host.refusal(second), Some(Refusal::InUse));
    host.pass(32_000.0);
    host.run();
    host.lend();
}
