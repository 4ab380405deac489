//! `prePing`: a connection is pinged before it is handed out again. A dead connection is replaced, and so is every
//! connection as old.

use crate::harness::{Connection, Host, HostStep, Stage, plain};
use crate::timeout::latest_ms;
use edgepool::policy::{Event, Outcome, Refusal, Settings, Span};

const A: Connection = Connection(0);

fn pinging(pool_size: u32) -> Settings {
    Settings { pre_ping: Some(true), ..plain(pool_size, 0) }
}

fn idle(settings: Settings) -> Host {
    let mut host = Host::new(settings);
    let caller = host.lend();
    host.give_back(caller);
    host.take_log();
    host
}

#[test]
fn a_new_connection_is_not_pinged_and_a_reused_one_is() {
    let mut host = Host::new(pinging(1));
    let caller = host.lend();
    assert_eq!(host.take_steps(), [HostStep::Open]);
    host.give_back(caller);
    let caller = host.connect();
    assert_eq!(host.step(caller), Some(HostStep::Ping(A)));
    assert_eq!(host.stats().used, 1);
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn a_connection_that_idled_is_pinged_even_if_it_was_never_handed_out() {
    let mut host = Host::new(pinging(1));
    let caller = host.connect();
    host.abort(caller);
    host.run();
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Ping(A)]);
}

#[test]
fn a_connection_that_goes_from_its_opening_to_a_waiter_is_not_pinged() {
    let mut host = Host::new(pinging(1));
    let caller = host.connect();
    let waiter = host.connect();
    host.abort(caller);
    host.finish(caller, Outcome::Ok);
    host.run();
    assert_eq!((host.has_lease(waiter), host.take_steps()), (true, vec![HostStep::Open]));
}

#[test]
fn a_waiter_pings_what_is_handed_to_it() {
    let mut host = Host::new(pinging(1));
    let holder = host.lend();
    let waiter = host.connect();
    host.give_back(holder);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Ping(A)));
    host.finish(waiter, Outcome::Ok);
    assert!(host.has_lease(waiter));
}

#[test]
fn a_dead_connection_is_replaced_and_every_one_as_old_too() {
    let mut host = Host::new(pinging(3));
    let callers = [host.lend(), host.lend(), host.lend()];
    host.give_back(callers[0]);
    host.give_back(callers[1]);
    let caller = host.connect();
    host.finish(caller, Outcome::Disconnected);
    host.run();
    assert_eq!(host.connection(caller), Connection(3));
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Terminate(Connection(1)), HostStep::Open], "not pinged: it is as old");
    host.give_back(callers[2]);
    host.give_back(caller);
    assert_eq!((host.stats().invalidated, host.stats().recycled), (1, 1));
}

#[test]
fn of_two_dead_ones_only_the_first_marks_the_pool() {
    let mut host = Host::new(pinging(2));
    let callers = [host.lend(), host.lend()];
    callers.into_iter().for_each(|caller| host.give_back(caller));
    let (a, b) = (host.connect(), host.connect());
    host.finish(a, Outcome::Disconnected);
    host.run_operation(a);
    host.finish(b, Outcome::Disconnected);
    host.run();
    host.give_back(a);
    host.take_log();
    let again = host.lend();
    assert_eq!(host.take_steps(), [HostStep::Ping(Connection(2))], "the one opened after the first death is trusted");
    host.give_back(again);
}

#[test]
fn a_ping_that_takes_too_long_is_a_death() {
    let mut host = idle(Settings { ping_timeout_ms: 200.0, ..pinging(1) });
    let caller = host.connect();
    host.pass(199.0);
    assert!(!host.has_expired(caller), "early");
    host.pass(latest_ms(200.0) - 199.0);
    assert!(host.has_expired(caller));
    host.finish(caller, Outcome::TimedOut);
    assert_eq!(host.step(caller), Some(HostStep::Terminate(A)));
    host.run();
    assert_eq!(host.connection(caller), Connection(1));
}

#[test]
fn driver_timeout_does_not_bound_a_ping() {
    let mut host = idle(Settings { ping_timeout_ms: f64::INFINITY, driver_timeout_ms: 100.0, ..pinging(1) });
    let caller = host.connect();
    host.pass(5000.0);
    assert!(!host.has_expired(caller));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn a_ping_that_fails_refuses_the_caller_and_ends_the_connection() {
    let mut host = idle(pinging(1));
    let caller = host.connect();
    host.finish(caller, Outcome::Failed);
    assert_eq!(host.step(caller), Some(HostStep::Terminate(A)));
    assert!(!host.is_settled(caller), "refused when it is over");
    host.run();
    assert_eq!(host.refusal(caller), Some(Refusal::Failed));
    assert_eq!((host.counts().checked_in, host.stats().idle, host.stats().invalidated), (1, 0, 1));
    host.lend();
}

#[test]
fn a_caller_that_leaves_during_the_ping_is_refused_and_the_connection_terminated() {
    for outcome in [Outcome::Disconnected, Outcome::Failed, Outcome::TimedOut] {
        let mut host = idle(pinging(1));
        let caller = host.connect();
        assert!(host.abort(caller));
        assert!(host.has_expired(caller), "its operation need not wait for the answer");
        host.finish(caller, outcome);
        assert_eq!(host.step(caller), Some(HostStep::Terminate(A)));
        host.run();
        assert_eq!((host.open_connections(), host.counts().checked_in), (0, 1));
    }
}

#[test]
fn a_caller_that_leaves_as_its_ping_is_answered_leaves_the_connection_to_the_next() {
    let mut host = idle(pinging(1));
    let caller = host.connect();
    assert!(host.abort(caller));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_ended(caller));
    assert_eq!((host.stats().idle, host.is_open(A)), (1, true));
}

#[test]
fn a_deadline_during_the_ping_refuses_the_caller() {
    let mut host = idle(pinging(1));
    let caller = host.connect_within(None, Some(Span::Millis(100)));
    host.pass(latest_ms(100.0));
    assert_eq!(host.refusal(caller), Some(Refusal::PingDeadline));
    host.finish(caller, Outcome::TimedOut);
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn only_what_has_been_idle_for_long_is_pinged_if_the_option_says_so() {
    let mut host = idle(Settings { pre_ping_after_idle_ms: 1000.0, ..pinging(1) });
    host.pass(999.0);
    let caller = host.lend();
    assert_eq!(host.take_steps(), []);
    host.pass(5000.0);
    host.give_back(caller);
    let caller = host.lend();
    assert_eq!(host.take_steps(), [], "the time of a lease is not idle");
    host.give_back(caller);
    host.pass(1001.0);
    let caller = host.connect();
    assert_eq!(host.step(caller), Some(HostStep::Ping(A)));
}

#[test]
fn a_close_during_the_ping_refuses_the_caller_and_ends_the_connection() {
    let mut host = idle(pinging(1));
    let caller = host.connect();
    host.close(Span::Forever);
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
    host.run();
    host.assert_nothing_is_left();
}

#[test]
fn a_stale_connection_is_replaced_without_a_ping() {
    let mut host = idle(pinging(1));
    host.invalidate_all();
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Terminate(A), HostStep::Open]);
}

#[test]
fn a_checkout_listener_sees_the_connection_after_its_ping() {
    let mut host = idle(pinging(1));
    host.listen(&[Event::Checkout]);
    let caller = host.connect();
    assert_eq!(host.step(caller), Some(HostStep::Ping(A)));
    host.finish(caller, Outcome::Ok);
    assert!(matches!(host.stage(caller), Stage::Performing(_)) && !host.is_settled(caller));
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(caller));
}

#[test]
fn a_connection_that_goes_from_hand_to_hand_is_not_idle() {
    for waits in [false, true] {
        let mut host = Host::new(Settings { pre_ping_after_idle_ms: 30_000.0, ..pinging(1) });
        let mut holder = host.lend();
        for _ in 0..100 {
            host.pass(1_000.0);
            let waiter = waits.then(|| host.connect());
            host.take_log();
            host.give_back(holder);
            holder = waiter.unwrap_or_else(|| host.lend());
            assert!(host.has_lease(holder));
            assert!(!host.take_steps().contains(&HostStep::Ping(A)), "a busy connection needs no ping");
        }
    }
}
