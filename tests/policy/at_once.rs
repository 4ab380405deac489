//! A caller that cannot wait: it has a lease at once or is refused, and joins no queue. What was begun for it and would
//! take time goes on for the pool.

use crate::harness::{
    CHECKIN_EMPTY, Connection, Host, HostStep, Operation, Stage, counts, emit, of_kind, plain, sized,
};
use edgepool::policy::{Event, Kind, Outcome, Refusal, Settings, Span};

/// Returns what the caller is refused with that does not wait for its step.
fn leave(host: &mut Host, caller: Operation) -> Refusal {
    host.leave(caller, false)
}

// ---- at once

#[test]
fn an_idle_connection_is_lent_at_once() {
    let mut host = Host::new(plain(1, 0));
    let before = host.lend();
    host.give_back(before);
    let caller = host.connect_now(false);
    assert!(host.has_lease(caller));
    assert_eq!((host.connection(caller), host.stats().checkouts), (Connection(0), 2));
}

#[test]
fn a_connection_is_opened_if_the_creator_answers_at_once() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect_now(false);
    assert_eq!(host.step(caller), Some(HostStep::Open));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn a_connection_is_checked_as_for_any_caller() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
    host.listen(&[Event::Checkout]);
    let before = host.lend();
    host.give_back(before);
    let caller = host.connect_now(false);
    assert_eq!(host.step(caller), Some(HostStep::Ping(Connection(0))));
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.step(caller), Some(emit(Event::Checkout, 0)));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn an_old_connection_is_replaced_as_for_any_caller() {
    let mut host = Host::new(Settings { recycle_ms: 1000.0, ..plain(1, 0) });
    let before = host.lend();
    host.give_back(before);
    host.pass(1001.0);
    let caller = host.connect_now(false);
    assert_eq!(host.step(caller), Some(HostStep::Terminate(Connection(0))));
    host.run_operation(caller);
    assert_eq!((host.connection(caller), host.stats().recycled), (Connection(1), 1));
}

#[test]
fn a_creator_that_fails_refuses_its_caller_and_is_not_tried_again() {
    for open_retry in [-1.0, f64::INFINITY] {
        let mut host = Host::new(Settings { open_retry, ..plain(1, 0) });
        let caller = host.connect_now(true);
        host.finish(caller, Outcome::Unavailable);
        assert_eq!(host.refusal(caller), Some(Refusal::Failed));
        assert_eq!((host.stats().total, host.stats().timed_out), (0, 0));
    }
}

// ---- refused

#[test]
fn a_caller_that_would_have_to_queue_is_refused_and_leaves_no_trace() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    let caller = host.connect_now(false);
    assert_eq!(host.refusal(caller), Some(Refusal::WaitTimeout));
    let stats = host.stats();
    assert_eq!((stats.waiting, stats.waited, stats.timed_out), (0, 0, 0));
}

#[test]
fn the_refusal_counts_as_one_for_want_of_time_if_it_becomes_an_error() {
    let mut host = Host::new(plain(1, 0));
    let opening = host.connect_now(true);
    host.leave(opening, true);
    host.connect_now(true);
    assert_eq!(host.stats().timed_out, 2);
}

#[test]
fn no_waiter_is_overtaken_although_a_slot_is_free() {
    let mut host = Host::new(Settings { max_connecting: 1.0, ..plain(2, 0) });
    let opening = host.connect();
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
    let caller = host.connect_now(false);
    assert_eq!(host.refusal(caller), Some(Refusal::WaitTimeout));
    host.finish(opening, Outcome::Ok);
    host.run_operation(waiter);
    assert!(host.has_lease(waiter));
}

#[test]
fn no_waiter_with_a_priority_is_overtaken_either() {
    let mut host = Host::new(Settings { max_connecting: 1.0, ..plain(2, 0) });
    let opening = host.connect();
    let waiter = host.connect_with(None, None, 1);
    let caller = host.connect_now(false);
    assert_eq!(host.refusal(caller), Some(Refusal::WaitTimeout));
    host.finish(opening, Outcome::Ok);
    host.run_operation(waiter);
    assert!(host.has_lease(waiter));
}

#[test]
fn a_connection_that_a_woken_waiter_has_not_fetched_yet_is_not_taken() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
    let holder = host.lend();
    let waiter = host.connect();
    host.give_back(holder);
    assert_eq!(host.stage(waiter), Stage::Woken);
    let caller = host.connect_now(false);
    assert_eq!(host.refusal(caller), Some(Refusal::WaitTimeout));
    host.run_operation(waiter);
    assert!(host.has_lease(waiter));
}

#[test]
fn the_pools_own_times_do_not_matter() {
    let mut host = Host::new(Settings { timeout_ms: f64::INFINITY, deadline_ms: 5.0, ..plain(1, 0) });
    let opening = host.connect_now(false);
    host.pass(1000.0);
    assert!(!host.is_settled(opening));
    host.finish(opening, Outcome::Ok);
    let caller = host.connect_now(false);
    assert_eq!(host.refusal(caller), Some(Refusal::WaitTimeout));
}

#[test]
fn a_closed_pool_and_a_draining_one_refuse_it_as_they_refuse_any_caller() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    host.drain(Span::Forever);
    let caller = host.connect_now(false);
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
}

#[test]
fn an_assertion_pool_takes_a_second_caller_for_a_mistake() {
    let mut host = Host::new(of_kind(Kind::Assertion));
    host.lend();
    let caller = host.connect_now(false);
    assert_eq!(host.refusal(caller), Some(Refusal::InUse));
}

// ---- what would take time

#[test]
fn an_opening_goes_on_for_the_pool() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect_now(false);
    assert_eq!(leave(&mut host, caller), Refusal::OpenDeadline);
    assert_eq!((host.step(caller), host.stats().opening), (Some(HostStep::Open), 1));
    let second = host.connect_now(false);
    assert_eq!(host.refusal(second), Some(Refusal::WaitTimeout));
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
    let third = host.connect_now(false);
    assert!(host.has_lease(third));
}

#[test]
fn an_opening_that_goes_on_serves_the_first_waiter() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect_now(false);
    leave(&mut host, caller);
    let waiter = host.connect();
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(waiter));
}

#[test]
fn the_listeners_of_an_opening_go_on_for_the_pool() {
    for event in [Event::FirstConnect, Event::Connect] {
        let mut host = Host::new(plain(1, 0));
        host.listen(&[event]);
        let caller = host.connect_now(false);
        host.finish(caller, Outcome::Ok);
        assert_eq!(host.step(caller), Some(emit(event, 0)));
        assert_eq!(leave(&mut host, caller), Refusal::ListenerDeadline);
        host.finish(caller, Outcome::Ok);
        assert_eq!(host.stats().idle, 1);
    }
}

#[test]
fn an_opening_that_waits_for_the_first_listeners_goes_on_for_the_pool() {
    let mut host = Host::new(plain(2, 0));
    host.listen(&[Event::FirstConnect]);
    let first = host.connect();
    host.finish(first, Outcome::Ok);
    let caller = host.connect_now(false);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.stage(caller), Stage::InLine);
    assert_eq!(leave(&mut host, caller), Refusal::ListenerDeadline);
    host.run();
    assert!(host.has_lease(first));
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn a_ping_goes_on_and_a_connection_that_answers_it_is_kept() {
    let mut host = Host::new(Settings { pre_ping: Some(true), pre_ping_after_idle_ms: 100.0, ..plain(1, 0) });
    let before = host.lend();
    host.give_back(before);
    host.pass(200.0);
    let caller = host.connect_now(false);
    assert_eq!(leave(&mut host, caller), Refusal::PingDeadline);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
    let next = host.connect_now(false);
    assert!(host.has_lease(next), "it was pinged just now");
    assert_eq!(host.connection(next), Connection(0));
}

#[test]
fn a_connection_whose_ping_fails_later_is_ended() {
    for outcome in [Outcome::Failed, Outcome::Disconnected, Outcome::TimedOut] {
        let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
        let before = host.lend();
        host.give_back(before);
        let caller = host.connect_now(false);
        leave(&mut host, caller);
        host.finish(caller, outcome);
        assert_eq!(host.step(caller), Some(HostStep::Terminate(Connection(0))));
        host.run();
        assert_eq!((host.stats().idle, host.counts()), (0, counts(1, 1, 0, 0)));
    }
}

#[test]
fn a_connection_that_answers_its_ping_in_a_closed_pool_is_closed() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
    let before = host.lend();
    host.give_back(before);
    let caller = host.connect_now(false);
    leave(&mut host, caller);
    let close = host.close(Span::Forever);
    host.run();
    assert!(host.has_ended(close));
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn a_presented_connection_comes_back_as_after_any_lease() {
    let mut host = Host::new(sized(1, 0));
    host.listen(&[Event::Checkout, Event::Reset, Event::Checkin]);
    let caller = host.connect_now(false);
    host.finish(caller, Outcome::Ok);
    assert_eq!(leave(&mut host, caller), Refusal::ListenerDeadline);
    host.take_log();
    assert_eq!(host.run_steps(), [emit(Event::Reset, 0), HostStep::Rollback(Connection(0)), emit(Event::Checkin, 0)],);
    assert_eq!((host.stats().idle, host.stats().opened), (1, 1));
}

#[test]
fn a_connection_whose_checkout_listener_fails_later_is_ended() {
    let mut host = Host::new(sized(1, 0));
    host.listen(&[Event::Checkout, Event::Checkin]);
    let caller = host.connect_now(false);
    host.finish(caller, Outcome::Ok);
    leave(&mut host, caller);
    host.take_log();
    host.finish(caller, Outcome::Failed);
    assert_eq!(host.run_steps(), [HostStep::Terminate(Connection(0)), CHECKIN_EMPTY]);
}

#[test]
fn the_end_of_an_old_connection_goes_on_and_its_slot_stays() {
    let mut host = Host::new(Settings { recycle_ms: 1000.0, ..plain(1, 0) });
    let before = host.lend();
    host.give_back(before);
    host.pass(1001.0);
    let caller = host.connect_now(false);
    assert_eq!(leave(&mut host, caller), Refusal::OpenDeadline);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
    let next = host.connect_now(false);
    assert_eq!(host.step(next), Some(HostStep::Open));
}

#[test]
fn a_checkout_whose_connection_was_dead_gives_its_place_up() {
    let mut host = Host::new(Settings { pre_ping: Some(true), max_connecting: 1.0, ..plain(2, 0) });
    let before = host.lend();
    host.give_back(before);
    let caller = host.connect_now(false);
    let opening = host.connect();
    host.finish(caller, Outcome::Disconnected);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.stage(caller), Stage::AwaitingPlace);
    assert_eq!(leave(&mut host, caller), Refusal::WaitDeadline);
    host.run();
    assert!(host.has_lease(opening));
    assert_eq!((host.stats().opened, host.stats().opening), (2, 0));
}

// ---- callers that share

#[test]
fn a_shared_connection_is_joined_at_once() {
    for kind in [Kind::Static, Kind::Singleton] {
        let mut host = Host::new(of_kind(kind));
        let first = host.lend();
        let caller = host.connect_now(false);
        assert_eq!(host.connection(caller), host.connection(first));
    }
}

#[test]
fn a_caller_that_leaves_a_shared_connection_disturbs_no_other() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..of_kind(Kind::Static) });
    host.listen(&[Event::Checkout]);
    let first = host.lend();
    let pinging = host.connect_now(false);
    assert_eq!(host.step(pinging), Some(HostStep::Ping(Connection(0))));
    leave(&mut host, pinging);
    let presented = host.connect_now(false);
    host.finish(presented, Outcome::Ok);
    assert_eq!(host.step(presented), Some(emit(Event::Checkout, 0)));
    leave(&mut host, presented);
    host.run();
    assert!(host.has_lease(first));
    assert_eq!((host.stats().used, host.stats().opened), (1, 1));
    host.give_back(first);
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn a_shared_connection_of_which_a_caller_that_left_is_the_last_is_reset() {
    let mut host = Host::new(of_kind(Kind::Static));
    host.listen(&[Event::Checkout]);
    let first = host.lend();
    let caller = host.connect_now(false);
    leave(&mut host, caller);
    assert_eq!(host.checkin_beside_others(first, edgepool::policy::Condition::Clean), None);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.step(caller), Some(HostStep::Rollback(Connection(0))));
    host.run();
    assert_eq!(host.stats().idle, 1);
}
