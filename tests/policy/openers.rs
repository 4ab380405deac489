//! A caller that waits for an opening is also served by a connection that comes free. The opening goes on for the pool.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, emit, plain};
use edgepool::policy::{Event, Kind, Outcome, Refusal, Settings, Span};

/// A pool with one lease out, and callers that open one connection each.
fn opening(callers: usize) -> (Host, Operation, Vec<Operation>) {
    let mut host = Host::new(plain(10, 0));
    let holder = host.lend();
    let openers = (0..callers).map(|_| host.connect()).collect();
    (host, holder, openers)
}

#[test]
fn what_comes_back_serves_the_caller_of_an_opening_and_the_opening_fills_the_pool() {
    let (mut host, holder, openers) = opening(1);
    host.give_back(holder);
    assert_eq!(host.connection(openers[0]), Connection(0));
    assert_eq!(host.stats().opening, 1);
    host.run();
    assert_eq!((host.stats().idle, host.stats().used), (1, 1));
}

#[test]
fn callers_of_openings_are_served_in_the_order_in_which_they_came() {
    let (mut host, holder, openers) = opening(3);
    host.give_back(holder);
    host.give_back(openers[0]);
    host.give_back(openers[1]);
    assert_eq!(host.connection(openers[2]), Connection(0));
}

#[test]
fn what_an_opening_brings_goes_to_its_own_caller_whichever_came_first() {
    let (mut host, _, openers) = opening(2);
    host.finish(openers[1], Outcome::Ok);
    assert!(host.has_lease(openers[1]) && !host.is_settled(openers[0]));
}

#[test]
fn an_opening_that_lost_its_caller_serves_the_next_caller_of_an_opening() {
    let (mut host, _, openers) = opening(2);
    host.abort(openers[0]);
    host.finish(openers[0], Outcome::Ok);
    assert_eq!(host.connection(openers[1]), Connection(1));
}

#[test]
fn a_failure_refuses_the_caller_of_that_opening_and_no_other() {
    let (mut host, holder, openers) = opening(3);
    host.give_back(holder);
    let rest = host.take_splits()[0].1;
    host.finish(openers[1], Outcome::Failed);
    assert_eq!((host.refusal(openers[1]), host.is_settled(openers[2])), (Some(Refusal::Failed), false));
    host.finish(rest, Outcome::Failed);
    assert!(host.has_lease(openers[0]) && !host.is_settled(openers[2]), "that caller has its connection");
    assert_eq!(host.stats().open_failed, 2);
}

#[test]
fn a_caller_that_was_woken_and_has_not_begun_to_open_gives_its_slot_to_the_next() {
    let mut host = Host::new(plain(2, 0));
    let holders = [host.lend(), host.lend()];
    let waiters = [host.connect(), host.connect()];
    let detached = host.detach(holders[0]);
    assert_eq!(host.stage(waiters[0]), Stage::Woken);
    host.give_back(holders[1]);
    assert_eq!((host.connection(waiters[0]), host.stage(waiters[1])), (Connection(1), Stage::Woken));
    host.run();
    assert_eq!(host.connection(waiters[1]), Connection(2));
    host.close_detached(detached, true, false);
    host.run();
}

#[test]
fn a_connection_that_must_be_checked_is_checked_for_the_caller_while_its_opening_goes_on() {
    let mut host = Host::new(plain(10, 0));
    host.listen(&[Event::Checkout]);
    let holder = host.lend();
    let opener = host.connect();
    host.give_back(holder);
    host.wake(opener);
    assert_eq!(host.step(opener), Some(emit(Event::Checkout, 0)));
    assert!(host.steps().contains(&HostStep::Open));
    host.run();
    assert_eq!((host.connection(opener), host.stats().idle), (Connection(0), 1));
}

#[test]
fn a_caller_that_opens_again_comes_before_those_that_came_later() {
    let mut host = Host::new(plain(10, 0));
    host.listen(&[Event::Checkout]);
    let holder = host.lend();
    let (first, second) = (host.connect(), host.connect());
    host.finish(first, Outcome::Ok);
    host.finish(first, Outcome::Disconnected);
    host.finish(first, Outcome::Ok);
    assert_eq!(host.step(first), Some(HostStep::Open));
    host.give_back(holder);
    host.run_operation(first);
    assert_eq!(host.connection(first), Connection(0));
    assert_eq!(host.step(second), Some(HostStep::Open));
    host.run();
}

#[test]
fn a_stale_connection_that_comes_back_serves_no_caller_that_opens_already() {
    let (mut host, holder, openers) = opening(1);
    host.invalidate_soft(holder);
    host.give_back(holder);
    assert!(!host.is_settled(openers[0]));
    host.run();
    assert_eq!(host.connection(openers[0]), Connection(1));
}

#[test]
fn the_deadline_of_a_caller_goes_on_with_it() {
    let mut host = Host::new(plain(10, 0));
    host.listen(&[Event::Checkout]);
    let holder = host.lend();
    let opener = host.connect_within(None, Some(Span::Millis(100)));
    host.give_back(holder);
    host.wake(opener);
    host.pass(120.0);
    assert_eq!(host.refusal(opener), Some(Refusal::ListenerDeadline));
    host.run();
}

#[test]
fn a_caller_that_goes_on_with_what_came_back_may_abort() {
    let mut host = Host::new(plain(10, 0));
    host.listen(&[Event::Checkout]);
    let holder = host.lend();
    let opener = host.connect();
    host.give_back(holder);
    assert!(host.abort(opener));
    host.run();
    assert_eq!(host.stats().idle, 2);
}

#[test]
fn a_null_pool_gives_no_connection_to_a_second_caller() {
    let mut host = Host::new(Settings { kind: Some(Kind::Null), ..plain(5, 0) });
    let holder = host.lend();
    let opener = host.connect();
    host.give_back(holder);
    assert!(!host.is_settled(opener));
    host.run();
    assert_eq!(host.connection(opener), Connection(1));
}
