//! A handle may name what has ended. Every entry of the policy detects it and does nothing.

use crate::harness::{Host, plain, sized};
use edgepool::policy::{Condition, Handle, Outcome, Return, Step};

#[test]
fn scenario_075_a_second_return_of_the_same_lease_does_nothing() {
    let mut host = Host::new(plain(2, 0));
    let caller = host.lend();
    let lease = host.lease(caller);
    host.give_back(caller);
    let before = (host.stats(), host.counts());
    assert_eq!(host.pool.begin_checkin(lease, Condition::Clean), Return::Done);
    assert_eq!(host.pool.begin_checkin(lease, Condition::Open), Return::Done);
    assert_eq!((host.stats(), host.counts()), before);
}

#[test]
fn scenario_077_a_returned_lease_is_leased_no_more() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let lease = host.lease(caller);
    assert!(host.pool.is_leased(lease));
    let reset = host.checkin(caller, false).expect("a rollback");
    assert!(!host.pool.is_leased(lease), "from the start of its return");
    host.finish(reset, Outcome::Ok);
    assert!(!host.pool.is_leased(lease));
}

#[test]
fn scenario_078_an_ended_lease_can_neither_be_invalidated_nor_detached_nor_lost() {
    let mut host = Host::new(plain(1, 0));
    let old = host.lend();
    let lease = host.lease(old);
    let connection = host.connection(old);
    host.give_back(old);
    let holder = host.lend();
    let before = host.stats();
    assert_eq!(host.pool.begin_invalidate(lease), Return::Done);
    assert_eq!(host.pool.detach(lease), None);
    assert!(!host.pool.lose_lease(lease));
    assert_eq!(host.stats(), before);
    host.give_back(holder);
    let next = host.lend();
    assert_eq!(host.connection(next), connection, "the old handle marked nothing");
}

#[test]
fn a_return_with_an_old_handle_does_not_take_the_lease_of_the_next_holder() {
    let mut host = Host::new(plain(1, 0));
    let old = host.lend();
    let lease = host.lease(old);
    host.give_back(old);
    let holder = host.lend();
    assert_eq!(host.pool.begin_checkin(lease, Condition::Clean), Return::Done);
    assert!(host.pool.is_leased(host.lease(holder)));
    assert_eq!(host.stats().used, 1);
}

#[test]
fn an_operation_that_has_ended_is_done_and_takes_no_outcome_and_no_abort() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let id = host.id(caller);
    let before = host.stats();
    assert_eq!(host.pool.resume(id), Step::Done);
    for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut, Outcome::LateOk, Outcome::LateFailed] {
        assert_eq!(host.pool.advance(id, outcome), Step::Done);
    }
    assert!(!host.pool.abort(id));
    assert_eq!(host.pool.begin_detached_close(id, Condition::Clean, true), Return::Done);
    assert_eq!(host.stats(), before);
}

#[test]
fn a_detached_connection_is_closed_once() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let detached = host.detach(caller);
    let id = host.id(detached);
    host.close_detached(detached, true, false);
    assert_eq!(host.pool.begin_detached_close(id, Condition::Clean, false), Return::Done);
    host.run();
    assert_eq!(host.pool.begin_detached_close(id, Condition::Clean, false), Return::Done);
    assert_eq!(host.stats().detached, 0);
}

#[test]
fn any_integer_may_come_as_a_handle() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    let before = host.stats();
    for bits in [7, 1 << 19, (1 << 30) - 1, u32::MAX] {
        assert!(!host.pool.is_leased(Handle::from_bits(bits)));
        assert_eq!(host.pool.begin_checkin(Handle::from_bits(bits), Condition::Clean), Return::Done);
        assert_eq!(host.pool.detach(Handle::from_bits(bits)), None);
        assert_eq!(host.pool.resume(Handle::from_bits(bits)), Step::Done);
        assert_eq!(host.pool.advance(Handle::from_bits(bits), Outcome::Ok), Step::Done);
        assert!(!host.pool.abort(Handle::from_bits(bits)));
    }
    assert_eq!(host.stats(), before);
}

#[test]
fn an_outcome_for_a_waiter_is_harmless() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    let id = host.id(waiter);
    assert_eq!(host.pool.advance(id, Outcome::Ok), Step::Wait);
    host.pass(60_000.0);
    assert!(host.is_settled(waiter), "its timeout still runs");
    let next = host.connect();
    host.give_back(holder);
    assert!(host.has_lease(next));
}
