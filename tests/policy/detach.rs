//! Detach: the connection leaves the pool with its caller, and the slot is free at once. The close of the connection is
//! an operation of its own.

use crate::harness::{Connection, Host, HostStep, Stage, counts, plain, sized};
use edgepool::policy::{Outcome, ResetStyle, Settings, Span};

#[test]
fn scenario_178_after_a_detach_the_next_connect_opens_another() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let detached = host.detach(caller);
    let next = host.lend();
    assert_eq!(host.connection(next), Connection(1));
    assert!(host.is_open(Connection(0)));
    host.close_detached(detached, true, false);
    host.run();
    assert!(!host.is_open(Connection(0)));
    assert_eq!(host.stats().used, 1);
}

#[test]
fn scenario_179_a_detach_does_nothing_to_the_driver_and_leaves_an_emptied_slot() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let detached = host.detach(caller);
    assert_eq!((host.steps(), host.stage(detached)), (vec![], Stage::Holding));
    assert_eq!((host.counts(), host.stats().total, host.stats().detached), (counts(1, 1, 0, 0), 0, 1));
    assert!(!host.pool.is_leased(host.lease(caller)));
}

#[test]
fn a_detached_surplus_slot_ends() {
    let mut host = Host::new(plain(1, 1));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    host.detach(b);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn scenario_181_a_detached_connection_is_reset_and_then_closed() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let detached = host.detach(caller);
    host.close_detached(detached, false, false);
    assert_eq!(host.step(detached), Some(HostStep::Rollback(Connection(0))));
    host.finish(detached, Outcome::Ok);
    assert_eq!(host.step(detached), Some(HostStep::Close(Connection(0))));
    host.finish(detached, Outcome::Ok);
    assert!(host.has_ended(detached));
    assert_eq!(host.stats().detached, 0);
}

#[test]
fn a_failed_reset_of_a_detached_connection_still_ends_it_abruptly() {
    for (first, step) in [
        (Outcome::Ok, HostStep::Close(Connection(0))),
        (Outcome::Failed, HostStep::Terminate(Connection(0))),
        (Outcome::TimedOut, HostStep::Terminate(Connection(0))),
    ] {
        for second in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
            let mut host = Host::new(sized(1, 0));
            let caller = host.lend();
            let detached = host.detach(caller);
            host.close_detached(detached, false, false);
            host.finish(detached, first);
            assert_eq!(host.step(detached), Some(step));
            host.finish(detached, second);
            assert!(host.has_ended(detached) && !host.is_open(Connection(0)));
        }
    }
}

#[test]
fn scenario_182_a_detached_connection_that_is_invalidated_is_terminated_without_a_reset() {
    for style in [ResetStyle::Rollback, ResetStyle::Commit, ResetStyle::Session, ResetStyle::None] {
        let mut host = Host::new(Settings { reset_on_return: Some(style), ..sized(1, 0) });
        let caller = host.lend();
        let detached = host.detach(caller);
        host.close_detached(detached, false, true);
        assert_eq!(host.step(detached), Some(HostStep::Terminate(Connection(0))));
        host.run();
        assert!(!host.is_open(Connection(0)));
    }
}

#[test]
fn a_clean_detached_connection_is_closed_without_a_rollback_but_with_every_other_reset() {
    for (style, step) in [
        (ResetStyle::Rollback, HostStep::Close(Connection(0))),
        (ResetStyle::Commit, HostStep::Commit(Connection(0))),
        (ResetStyle::Session, HostStep::ResetSession(Connection(0))),
        (ResetStyle::None, HostStep::Close(Connection(0))),
    ] {
        let mut host = Host::new(Settings { reset_on_return: Some(style), ..sized(1, 0) });
        let caller = host.lend();
        let detached = host.detach(caller);
        host.close_detached(detached, true, false);
        assert_eq!(host.step(detached), Some(step));
    }
}

#[test]
fn neither_dispose_nor_close_touches_a_detached_connection() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let detached = host.detach(caller);
    host.dispose();
    let closing = host.close(Span::Forever);
    assert!(host.has_ended(closing), "the pool does not wait for it");
    assert_eq!((host.stage(detached), host.open_connections()), (Stage::Holding, 1));
    host.close_detached(detached, false, false);
    assert_eq!(host.step(detached), Some(HostStep::Rollback(Connection(0))));
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn a_lease_detached_while_the_pool_drains_ends_the_drain() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let closing = host.close(Span::Forever);
    assert!(!host.has_ended(closing));
    let detached = host.detach(caller);
    assert!(host.has_ended(closing));
    host.close_detached(detached, true, false);
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn a_pool_wide_mark_does_not_concern_a_detached_connection() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let detached = host.detach(caller);
    host.invalidate_all();
    assert_eq!(host.stage(detached), Stage::Holding);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Open));
}
