//! `maxConnecting` limits how many creators run at once. One caller more waits for a creator to end or for a connection
//! to come back.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, of_kind, plain};
use edgepool::policy::{Config, Event, Kind, Outcome, Refusal, Settings, Violation};

fn narrow(pool_size: u32, max_connecting: f64) -> Settings {
    Settings { max_connecting, ..plain(pool_size, 0) }
}

#[test]
fn no_more_creators_run_than_allowed() {
    let mut host = Host::new(narrow(10, 2.0));
    let callers: Vec<Operation> = (0..5).map(|_| host.connect()).collect();
    assert_eq!((host.steps().len(), host.stats().waiting), (2, 3));
    host.finish(callers[0], Outcome::Ok);
    assert_eq!(host.stage(callers[2]), Stage::Woken);
    host.run();
    assert!(callers.iter().all(|&caller| host.has_lease(caller)));
    assert_eq!(host.stats().opened, 5);
}

#[test]
fn a_creator_that_failed_makes_room() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(narrow(10, 1.0));
        let (first, second) = (host.connect(), host.connect());
        host.finish(first, outcome);
        host.run();
        assert!(host.is_settled(first) && host.has_lease(second));
    }
}

#[test]
fn what_comes_back_serves_the_caller_of_the_creator_and_then_the_waiters() {
    let mut host = Host::new(narrow(10, 1.0));
    let holders = [host.lend(), host.lend()];
    let slow = host.connect();
    let waiter = host.connect();
    host.give_back(holders[1]);
    assert_eq!(host.connection(slow), Connection(1));
    host.give_back(holders[0]);
    assert_eq!(host.connection(waiter), Connection(0));
    host.run();
    assert_eq!(host.stats().idle, 1, "the opening went on for the pool");
}

#[test]
fn an_idle_connection_needs_no_creator() {
    let mut host = Host::new(narrow(10, 1.0));
    let caller = host.lend();
    host.give_back(caller);
    host.lend();
    let slow = host.connect();
    assert_eq!(host.step(slow), Some(HostStep::Open));
    let caller = host.connect();
    assert_eq!(host.stage(caller), Stage::Queued);
}

#[test]
fn a_replacement_counts_too() {
    let mut host = Host::new(narrow(10, 1.0));
    let callers = [host.lend(), host.lend()];
    for caller in callers {
        host.give_back(caller);
    }
    host.invalidate_all();
    let (first, second) = (host.connect(), host.connect());
    assert_eq!(host.steps(), [HostStep::Terminate(Connection(0))]);
    assert_eq!(host.stage(second), Stage::Queued);
    host.run();
    assert!(host.has_lease(first) && host.has_lease(second));
}

#[test]
fn the_connect_listeners_run_beside_the_next_creator() {
    let mut host = Host::listening(narrow(10, 1.0));
    let (first, second) = (host.connect(), host.connect());
    host.finish(first, Outcome::Ok);
    host.wake(second);
    assert_eq!(host.step(second), Some(HostStep::Open));
    assert!(!host.is_settled(first));
    host.run();
}

#[test]
fn an_opening_whose_caller_left_counts_on() {
    let mut host = Host::new(narrow(10, 1.0));
    let (first, second) = (host.connect(), host.connect());
    host.abort(first);
    assert_eq!(host.stage(second), Stage::Queued);
    host.finish(first, Outcome::Ok);
    host.run();
    assert_eq!((host.connection(second), host.stats().opened), (Connection(0), 1));
}

#[test]
fn a_caller_that_waits_for_a_creator_runs_out_of_time_as_in_any_queue() {
    let mut host = Host::new(Settings { timeout_ms: 100.0, ..narrow(10, 1.0) });
    host.connect();
    let waiter = host.connect();
    host.pass(120.0);
    assert_eq!(host.refusal(waiter), Some(Refusal::WaitTimeout));
}

#[test]
fn a_woken_waiter_that_leaves_makes_room() {
    let mut host = Host::new(narrow(10, 1.0));
    let callers: Vec<Operation> = (0..3).map(|_| host.connect()).collect();
    host.finish(callers[0], Outcome::Failed);
    assert_eq!(host.stage(callers[1]), Stage::Woken);
    host.abort(callers[1]);
    assert_eq!(host.stage(callers[2]), Stage::Woken);
    host.run();
    assert!(host.has_lease(callers[2]));
}

fn dead_beside_a_creator() -> (Host, Operation, Operation, Operation) {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..narrow(10, 1.0) });
    let caller = host.lend();
    host.give_back(caller);
    let (dead, slow, waiter) = (host.connect(), host.connect(), host.connect());
    assert_eq!(host.step(slow), Some(HostStep::Open));
    host.finish(dead, Outcome::Disconnected);
    host.finish(dead, Outcome::Ok);
    assert_eq!(host.stage(dead), Stage::AwaitingPlace);
    (host, dead, slow, waiter)
}

#[test]
fn a_caller_that_found_its_connection_dead_opens_before_every_waiter() {
    let (mut host, dead, slow, waiter) = dead_beside_a_creator();
    host.finish(slow, Outcome::Ok);
    assert_eq!((host.stage(dead), host.stage(waiter)), (Stage::Woken, Stage::Queued));
    host.run();
    assert!([dead, slow, waiter].iter().all(|&caller| host.has_lease(caller)));
}

#[test]
fn a_slot_whose_dead_connection_has_ended_is_not_in_use_while_its_caller_waits_for_a_creator() {
    let (host, ..) = dead_beside_a_creator();
    assert_eq!((host.stats().used, host.stats().opening), (0, 2));
}

#[test]
fn a_caller_that_leaves_before_it_may_open_leaves_an_empty_slot_to_the_next() {
    let (mut host, dead, slow, waiter) = dead_beside_a_creator();
    assert!(host.abort(dead));
    host.run();
    assert!(host.has_lease(slow) && host.has_lease(waiter));
    assert_eq!(host.stats().opened, 3);
}

#[test]
fn a_caller_that_left_before_it_may_open_is_woken_once() {
    let (mut host, dead, slow, waiter) = dead_beside_a_creator();
    host.listen(&[Event::Connect]);
    for caller in [waiter, dead, slow] {
        host.abort(caller);
    }
    host.finish(slow, Outcome::Ok);
    // A place is free and there are no checkin listeners, so it ends in the call in which it wakes.
    host.wake(dead);
    assert!(host.has_ended(dead));
    host.run();
    assert_eq!((host.stats().idle, host.stats().opening), (1, 0));
    host.lend();
    host.lend();
}

#[test]
fn a_caller_that_joins_a_stale_shared_connection_takes_no_place() {
    let mut host = Host::new(Settings { max_connecting: 1.0, ..of_kind(Kind::Singleton) });
    let first = host.lend();
    host.mark(Connection(0));
    let second = host.lend();
    host.give_back(first);
    host.give_back(second);
    host.lend();
}

#[test]
fn a_woken_waiter_that_leaves_a_slot_that_is_being_emptied_makes_room() {
    let mut host = Host::new(narrow(10, 1.0));
    let holder = host.lend();
    let slow = host.connect();
    let (woken, waiter) = (host.connect(), host.connect());
    host.mark(Connection(0));
    host.finish(slow, Outcome::Failed);
    assert_eq!(host.stage(woken), Stage::Woken);
    host.abort(woken);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.give_back(holder);
    host.abort(waiter);
    let (woken, waiter) = (host.connect(), host.connect());
    host.run();
    assert!(host.has_lease(woken) && host.has_lease(waiter));
}

#[test]
fn a_creator_that_ran_out_of_time_in_an_older_slot_makes_room_at_once() {
    let mut host = Host::new(narrow(10, 1.0));
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    host.listen(&[Event::Checkin]);
    let (slow, waiter) = (host.connect(), host.connect());
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.finish(slow, Outcome::TimedOut);
    assert_eq!(host.stage(waiter), Stage::Woken, "not after the checkin listeners of a slot that it does not need");
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn a_reservation_whose_connection_goes_before_it_wakes_waits_for_a_place_like_any() {
    let mut host = Host::new(narrow(10, 1.0));
    host.listen(&[Event::Checkout]);
    let holders = [host.lend(), host.lend()];
    let other = host.connect();
    let (first, waiter) = (host.connect(), host.connect());
    host.give_back(holders[1]);
    host.run_operation(other);
    host.give_back(holders[0]);
    assert_eq!((host.stage(first), host.stage(waiter)), (Stage::Woken, Stage::Queued));
    let waiter = first;
    host.close_record(Connection(0), false);
    host.wake(waiter);
    assert_ne!(host.step(waiter), Some(HostStep::Open), "the second creator");
    host.run();
    assert!(host.has_lease(waiter) && host.has_lease(other));
}

#[test]
fn the_last_to_join_a_connection_that_is_gone_does_not_open_in_its_slot() {
    let mut host = Host::new(of_kind(Kind::Singleton));
    let opening = host.connect();
    let joiner = host.connect();
    host.finish(opening, Outcome::Ok);
    assert_eq!(host.stage(joiner), Stage::Woken);
    let other = host.lend();
    let detached = host.detach(opening);
    host.give_back(other);
    host.wake(joiner);
    host.run();
    host.give_back(joiner);
    host.run();
    assert_eq!(host.stats().idle, 1, "a connection for the next caller");
    host.close_detached(detached, true, false);
    host.run();
}

/// A pool of this size with as many idle connections, the first of them at the head of the idle store.
fn with_idle(settings: Settings, count: usize) -> Host {
    let mut host = Host::new(settings);
    let callers: Vec<Operation> = (0..count).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    host
}

#[test]
fn slots_that_may_not_be_opened_now_hide_no_idle_connection_behind_them() {
    let by_record = |host: &mut Host, connection| {
        host.close_record(connection, true);
    };
    let by_mark = |host: &mut Host, connection| host.mark(connection);
    for (use_lifo, spoilt, current) in [(false, [0, 1], 2), (true, [3, 2], 1)] {
        for spoil in [by_record as fn(&mut Host, Connection), by_mark] {
            let mut host = with_idle(Settings { use_lifo: Some(use_lifo), ..narrow(5, 1.0) }, 4);
            spoilt.into_iter().for_each(|number| spoil(&mut host, Connection(number)));
            host.run();
            host.warm(5);
            assert_eq!(host.steps().last(), Some(&HostStep::Open), "the only creator hangs");
            let caller = host.connect();
            assert_eq!(host.connection(caller), Connection(current));
        }
    }
}

#[test]
fn the_oldest_idle_connections_are_past_their_age_and_the_others_are_lent_before_any_creator_runs() {
    let mut host = Host::new(Settings { recycle_ms: 10_000.0, ..narrow(5, 1.0) });
    let old = [host.lend(), host.lend()];
    host.pass(9_000.0);
    let young = [host.lend(), host.lend(), host.lend()];
    old.into_iter().chain(young).for_each(|caller| host.give_back(caller));
    host.pass(2_000.0);
    for expected in [2, 3, 4] {
        let caller = host.connect();
        assert!(host.has_lease(caller), "an idle connection is there");
        assert_eq!(host.connection(caller), Connection(expected));
    }
    let hanging = host.connect();
    host.finish(hanging, Outcome::Ok);
    assert_eq!(host.step(hanging), Some(HostStep::Open), "the first one is replaced");
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued, "the last idle one is past its age");
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn a_waiter_has_what_comes_back_before_the_emptied_slots_in_front_of_it() {
    let mut host = with_idle(narrow(3, 1.0), 3);
    let holders = [host.lend(), host.lend(), host.lend()];
    for holder in [holders[0], holders[1]] {
        host.invalidate(holder);
        host.run();
    }
    let hanging = host.connect();
    assert_eq!(host.step(hanging), Some(HostStep::Open));
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.give_back(holders[2]);
    assert_eq!(host.connection(hanging), Connection(2));
    host.give_back(hanging);
    assert_eq!(host.connection(waiter), Connection(2));
}

#[test]
fn less_than_one_is_refused() {
    for most in [0.0, -1.0, 0.5, f64::NAN] {
        assert_eq!(Config::new(&narrow(1, most)).err(), Some(Violation { option: "maxConnecting" }));
    }
}
