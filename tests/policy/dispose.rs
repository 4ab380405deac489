//! Dispose closes idle connections in spawned operations. Leases go on and are closed at their return. The pool stays
//! usable and its counts stay true.

use crate::harness::{Connection, Host, HostStep, LogEntry, Stage, counts, plain, sized};
use edgepool::policy::Outcome;

#[test]
fn scenario_187_dispose_closes_what_is_idle_and_a_lease_from_before_at_its_return() {
    let mut host = Host::new(sized(2, 0));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    host.dispose();
    host.run();
    assert_eq!((host.is_open(Connection(0)), host.is_open(Connection(1))), (false, true));
    assert!(host.pool.is_leased(host.lease(b)));
    let operation = host.checkin(b, false).expect("a rollback");
    assert_eq!(host.step(operation), Some(HostStep::Rollback(Connection(1))));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.step(operation), Some(HostStep::Close(Connection(1))));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.counts(), counts(2, 0, -2, 0));
}

#[test]
fn scenario_189_leases_from_before_a_dispose_still_count_until_they_are_returned() {
    let mut host = Host::new(sized(1, 0));
    let old = host.lend();
    host.dispose();
    assert_eq!(host.counts(), counts(1, 0, 0, 1));
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued, "the cap still knows the lease");
    host.give_back(old);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
    host.give_back(waiter);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn scenario_190_dispose_closes_politely_and_in_idle_order() {
    let mut host = Host::new(plain(3, 0));
    let callers = [host.lend(), host.lend(), host.lend()];
    for at in [1, 0, 2] {
        host.give_back(callers[at]);
    }
    host.take_log();
    host.dispose();
    let steps: Vec<HostStep> = host
        .take_log()
        .into_iter()
        .map(|event| match event {
            LogEntry::Spawned(_, step) => step,
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(steps, [1, 0, 2].map(|at| HostStep::Close(Connection(at))));
    assert_eq!((host.stats().closing, host.stats().idle), (3, 0));
}

#[test]
fn scenario_191_a_close_that_fails_or_hangs_stops_nothing() {
    let mut host = Host::new(plain(3, 0));
    let callers = [host.lend(), host.lend(), host.lend()];
    callers.into_iter().for_each(|caller| host.give_back(caller));
    host.dispose();
    let closes: Vec<_> = host.operations().filter(|&operation| host.step(operation).is_some()).collect();
    host.finish(closes[0], Outcome::Failed);
    host.finish(closes[2], Outcome::TimedOut);
    host.finish(closes[1], Outcome::Ok);
    assert_eq!((host.counts(), host.open_connections()), (counts(3, 0, -3, 0), 0));
}

#[test]
fn dispose_takes_emptied_slots_away() {
    let mut host = Host::new(plain(2, 0));
    let (a, b) = (host.lend(), host.lend());
    host.detach(a);
    host.invalidate(b);
    host.run();
    assert_eq!(host.counts(), counts(2, 2, 0, 0));
    host.take_log();
    host.dispose();
    assert_eq!((host.take_log(), host.counts()), (vec![], counts(2, 0, -2, 0)));
}

#[test]
fn an_opening_under_way_is_granted_and_closed_at_its_return() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    host.dispose();
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
    let operation = host.checkin(caller, true).expect("a close");
    assert_eq!(host.step(operation), Some(HostStep::Close(Connection(0))));
}

#[test]
fn an_orphaned_opening_from_before_is_closed_and_its_slot_serves_the_waiter() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    let waiter = host.connect();
    host.abort(caller);
    host.dispose();
    host.finish(caller, Outcome::Ok);
    assert_eq!((host.step(caller), host.stage(waiter)), (Some(HostStep::Close(Connection(0))), Stage::Queued));
    host.finish(caller, Outcome::Ok);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
}

#[test]
fn a_stale_connection_kept_for_a_woken_caller_is_replaced_as_ever() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.invalidate_soft(holder);
    host.give_back(holder);
    host.dispose();
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Terminate(Connection(0))));
    host.run();
    host.give_back(waiter);
    assert_eq!(host.stats().idle, 1, "opened after the dispose");
}

#[test]
fn a_waiter_does_not_get_a_connection_from_before() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.dispose();
    let closing = host.checkin(holder, true).expect("a close");
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.finish(closing, Outcome::Ok);
    assert_eq!(host.stage(waiter), Stage::Woken);
}

#[test]
fn what_is_opened_after_is_kept_and_a_second_dispose_finds_it() {
    let mut host = Host::new(plain(1, 0));
    let first = host.lend();
    host.give_back(first);
    host.dispose();
    host.run();
    let second = host.lend();
    host.give_back(second);
    assert_eq!((host.stats().idle, host.is_open(Connection(1))), (1, true));
    host.dispose();
    host.run();
    assert_eq!(host.open_connections(), 0);
    host.lend();
}

#[test]
fn an_empty_pool_can_be_disposed_of() {
    let mut host = Host::new(plain(1, 0));
    host.dispose();
    assert_eq!(host.take_log(), []);
    host.lend();
}
