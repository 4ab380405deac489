//! `poolSize`: how many connections are kept, and how the four counts follow. Nothing is opened while a connection is
//! idle. Zero keeps every connection.

use crate::harness::{Host, HostStep, Operation, Stage, counts, plain, sized};
use edgepool::policy::{Outcome, Settings};

#[test]
fn a_new_pool_opens_nothing() {
    let host = Host::new(sized(5, 10));
    assert_eq!(host.stats().total, 0);
    assert!(!host.has_timer() && !host.pool.tick_wanted());
}

#[test]
fn scenario_003_the_defaults_are_five_and_ten_more() {
    let mut host = Host::new(Settings::default());
    assert_eq!(host.counts(), counts(5, 0, -5, 0));
    for _ in 0..15 {
        host.lend();
    }
    assert_eq!(host.counts(), counts(5, 0, 10, 15));
    let sixteenth = host.connect();
    assert_eq!(host.stage(sixteenth), Stage::Queued);
}

#[test]
fn scenario_021_counts_follow_six_connects() {
    let mut host = Host::new(sized(3, -1));
    for (connects, overflow) in [(1, -2), (2, -1), (3, 0), (4, 1), (5, 2), (6, 3)] {
        host.lend();
        assert_eq!(host.counts(), counts(3, 0, overflow, connects));
    }
}

#[test]
fn scenario_022_counts_follow_six_returns() {
    let mut host = Host::new(sized(3, -1));
    let callers: Vec<Operation> = (0..6).map(|_| host.lend()).collect();
    for &caller in &callers[..3] {
        host.give_back(caller);
    }
    assert_eq!(host.counts(), counts(3, 3, 3, 3));
    for &caller in &callers[3..] {
        host.give_back(caller);
    }
    assert_eq!(host.counts(), counts(3, 3, 0, 0));
    assert_eq!(host.open_connections(), 3);
}

#[test]
fn scenario_023_counts_follow_a_second_round() {
    let mut host = Host::new(sized(3, -1));
    let callers: Vec<Operation> = (0..3).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    let first = host.lend();
    host.lend();
    assert_eq!(host.counts(), counts(3, 1, 0, 2));
    host.give_back(first);
    assert_eq!(host.counts(), counts(3, 2, 0, 1));
}

#[test]
fn scenario_025_a_pool_of_size_zero_has_no_overflow_whatever_its_maximum() {
    for max_overflow in [42, 0, 1, -1] {
        let mut host = Host::new(sized(0, max_overflow));
        let (a, b) = (host.lend(), host.lend());
        assert_eq!(host.counts(), counts(0, 0, 0, 2));
        host.give_back(a);
        host.give_back(b);
        assert_eq!(host.counts(), counts(0, 2, 0, 0));
        assert_eq!(host.stats().max, f64::INFINITY);
    }
}

#[test]
fn scenario_026_a_pool_of_size_zero_keeps_all_thirty_until_dispose() {
    let mut host = Host::new(sized(0, 3));
    let callers: Vec<Operation> = (0..30).map(|_| host.lend()).collect();
    assert_eq!(host.counts(), counts(0, 0, 0, 30));
    callers.into_iter().for_each(|caller| host.give_back(caller));
    assert_eq!(host.counts(), counts(0, 30, 0, 0));
    assert_eq!(host.open_connections(), 30);
    host.dispose();
    host.run();
    assert_eq!(host.counts(), counts(0, 0, 0, 0));
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn scenario_031_five_detached_connections_leave_one_emptied_slot() {
    let mut host = Host::new(sized(1, 0));
    for _ in 0..5 {
        let caller = host.lend();
        host.detach(caller);
    }
    assert_eq!(host.open_connections(), 5);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
    assert_eq!((host.stats().total, host.stats().detached), (0, 5));
}

#[test]
fn scenario_042_an_idle_connection_is_used_before_a_new_one_is_opened() {
    let mut host = Host::new(sized(3, 3));
    let first = host.lend();
    let connection = host.connection(first);
    host.give_back(first);
    let second = host.connect();
    assert_eq!(host.connection(second), connection);
    assert_eq!(host.stats().opened, 1);
}

#[test]
fn scenario_069_a_slot_gives_the_same_connection_until_it_was_emptied() {
    let mut host = Host::new(sized(1, 0));
    let a = host.lend();
    let first = host.connection(a);
    host.give_back(a);
    let b = host.lend();
    assert_eq!(host.connection(b), first);
    let operation = host.invalidate(b);
    host.finish(operation, Outcome::Ok);
    assert_eq!((host.is_open(first), host.counts()), (false, counts(1, 1, 0, 0)));
    let c = host.lend();
    assert_ne!(host.connection(c), first);
}

#[test]
fn scenario_073_one_lease_counts_while_it_is_out_and_not_after() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    assert_eq!(host.counts().checked_out, 1);
    host.give_back(caller);
    assert_eq!(host.counts().checked_out, 0);
}

#[test]
fn a_return_that_resets_nothing_ends_at_once() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    assert_eq!(host.checkin(caller, false), None);
    assert_eq!(host.steps(), []);
}

#[test]
fn an_emptied_slot_is_opened_before_a_new_one_is_made() {
    let mut host = Host::new(sized(2, 0));
    let caller = host.lend();
    let operation = host.invalidate(caller);
    host.finish(operation, Outcome::Ok);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Open));
    assert_eq!(host.counts(), counts(2, 0, -1, 1));
}
