//! Invalidation: hard (the lease ends, the connection is terminated), soft (replaced at the next checkout), pool-wide,
//! pool-wide through a lease (once for all that are as old), and a death that the driver reports.

use crate::harness::{Connection, Host, HostStep, LogEntry, Stage, counts, plain, sized};
use edgepool::policy::{Outcome, Refusal};

#[test]
fn scenario_151_a_returned_connection_comes_again_and_an_invalidated_one_does_not() {
    let mut host = Host::new(sized(1, 0));
    let first = host.lend();
    host.give_back(first);
    let second = host.lend();
    assert_eq!(host.connection(second), Connection(0));
    host.invalidate(second);
    host.run();
    let third = host.lend();
    assert_eq!(host.connection(third), Connection(1));
}

#[test]
fn scenario_133_an_invalidated_connection_is_terminated_without_a_reset() {
    for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(sized(1, 0));
        let caller = host.lend();
        let operation = host.invalidate(caller);
        assert_eq!(host.steps(), [HostStep::Terminate(Connection(0))]);
        assert_eq!(host.stats().used, 1);
        host.finish(operation, outcome);
        assert!(host.has_ended(operation));
        assert_eq!((host.counts(), host.stats().total, host.stats().invalidated), (counts(1, 1, 0, 0), 0, 1));
    }
}

#[test]
fn an_emptied_surplus_slot_ends() {
    let mut host = Host::new(plain(1, 1));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    host.invalidate(b);
    host.run();
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn scenario_154_a_soft_invalidation_lets_the_lease_go_on_and_replaces_at_the_next_checkout() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    host.invalidate_soft(caller);
    assert!(host.pool.is_leased(host.lease(caller)) && host.is_open(Connection(0)));
    let reset = host.checkin(caller, false).expect("a rollback");
    assert_eq!(host.step(reset), Some(HostStep::Rollback(Connection(0))), "it is returned like any other");
    host.finish(reset, Outcome::Ok);
    assert_eq!(host.stats().idle, 1);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Terminate(Connection(0))), "161: terminated, not closed");
    host.run();
    assert_eq!((host.connection(next), host.stats().recycled), (Connection(1), 1));
    host.give_back(next);
    let after = host.lend();
    assert_eq!(host.connection(after), Connection(1), "the mark went with the connection");
}

#[test]
fn scenario_162_a_mark_set_right_after_the_connect_is_not_missed() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.invalidate_all();
    host.give_back(caller);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Terminate(Connection(0))));
}

#[test]
fn a_pool_wide_mark_set_while_an_opening_runs_holds_for_its_connection() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    host.invalidate_all();
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller), "the lease itself is given");
    host.give_back(caller);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Terminate(Connection(0))));
}

#[test]
fn a_pool_wide_mark_replaces_each_open_connection_once_and_closes_nothing_by_itself() {
    let mut host = Host::new(plain(3, 0));
    let callers = [host.lend(), host.lend(), host.lend()];
    host.give_back(callers[0]);
    host.take_log();
    host.invalidate_all();
    assert_eq!(host.take_log(), []);
    assert_eq!((host.open_connections(), host.stats().idle), (3, 1));
    host.give_back(callers[1]);
    host.give_back(callers[2]);
    let again = [host.lend(), host.lend(), host.lend()];
    assert_eq!(again.map(|caller| host.connection(caller).0), [3, 4, 5]);
    again.into_iter().for_each(|caller| host.give_back(caller));
    host.lend();
    assert_eq!((host.stats().recycled, host.stats().opened), (3, 6));
}

#[test]
fn scenario_163_two_leases_of_one_age_mark_the_pool_once() {
    let mut host = Host::new(plain(3, 0));
    let (a, b) = (host.lend(), host.lend());
    host.invalidate_as_old(a);
    let c = host.lend();
    let fresh = host.connection(c);
    host.invalidate_as_old(b);
    host.give_back(c);
    let next = host.lend();
    assert_eq!(host.connection(next), fresh, "it was opened after the first mark");
    host.give_back(a);
    host.give_back(b);
    host.lend();
    assert_eq!(host.stats().recycled, 1);
    host.invalidate_as_old(next);
    host.give_back(next);
    host.lend();
    host.lend();
    assert_eq!(host.stats().recycled, 3, "a younger lease marks the pool again");
}

#[test]
fn scenario_169_an_idle_connection_of_the_same_age_is_replaced_at_its_own_next_checkout() {
    let mut host = Host::new(plain(2, 0));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(b);
    host.invalidate_as_old(a);
    host.invalidate(a);
    host.run();
    assert_eq!((host.is_open(Connection(0)), host.is_open(Connection(1))), (false, true));
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Terminate(Connection(1))));
    host.run();
    host.give_back(next);
    host.lend();
    host.lend();
    assert_eq!((host.is_open(Connection(2)), host.stats().recycled), (true, 1), "the new one stays");
}

#[test]
fn a_replacement_whose_opening_fails_leaves_an_emptied_slot() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.invalidate_soft(caller);
    host.give_back(caller);
    let next = host.connect();
    host.finish(next, Outcome::Failed);
    assert_eq!(host.step(next), Some(HostStep::Open), "a failed termination is no reason to stop");
    host.finish(next, Outcome::Failed);
    assert_eq!(host.refusal(next), Some(Refusal::Failed));
    assert_eq!((host.counts(), host.open_connections()), (counts(1, 1, 0, 0), 0));
    host.lend();
}

#[test]
fn a_connection_that_dies_while_idle_is_terminated_and_its_slot_ends() {
    let mut host = Host::new(plain(3, 0));
    let callers = [host.lend(), host.lend(), host.lend()];
    callers.into_iter().for_each(|caller| host.give_back(caller));
    host.take_log();
    host.connection_died(Connection(1));
    let spawned = host.operations().last().expect("a spawned operation");
    assert_eq!(host.take_log(), [LogEntry::Spawned(spawned, HostStep::Terminate(Connection(1)))]);
    assert_eq!((host.stats().idle, host.stats().closing, host.stats().invalidated), (2, 1, 1));
    host.finish(spawned, Outcome::Failed);
    assert_eq!(host.counts(), counts(3, 2, -1, 0));
    let order = [host.lend(), host.lend(), host.lend()].map(|caller| host.connection(caller).0);
    assert_eq!(order, [0, 2, 3]);
}

#[test]
fn a_death_while_idle_serves_the_caller_that_came_meanwhile() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    host.connection_died(Connection(0));
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn a_death_reported_twice_terminates_once() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    host.connection_died(Connection(0));
    host.connection_died(Connection(0));
    assert_eq!(host.steps(), [HostStep::Terminate(Connection(0))]);
    assert_eq!(host.stats().invalidated, 1);
}
