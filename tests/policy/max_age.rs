//! `maxAge`: how old a connection may grow. An idle one is closed at that age, one in use at its return, and none that
//! is older is lent.

use crate::harness::{Connection, Host, HostStep, Operation, counts, of_kind, plain};
use crate::timeout::latest_ms;
use edgepool::policy::{Config, Event, Kind, Outcome, Settings, Span};

const A: Connection = Connection(0);
const B: Connection = Connection(1);
const MINUTE_MS: f64 = 60_000.0;

fn ageing(pool_size: u32) -> Settings {
    Settings { max_age_ms: MINUTE_MS, ..plain(pool_size, 0) }
}

/// A pool with one idle connection.
fn idle(settings: Settings) -> Host {
    let mut host = Host::new(settings);
    let caller = host.lend();
    host.give_back(caller);
    host.take_log();
    host
}

#[test]
fn an_idle_connection_is_closed_at_its_age_and_not_before() {
    let mut host = idle(ageing(1));
    host.pass(MINUTE_MS - 1.0);
    assert_eq!(host.take_steps(), []);
    host.pass(latest_ms(MINUTE_MS) - MINUTE_MS + 1.0);
    assert_eq!(host.run_steps(), [HostStep::Close(A)]);
    assert_eq!((host.stats().total, host.stats().recycled, host.has_timer()), (0, 1, false));
}

#[test]
fn the_age_counts_from_the_end_of_the_opening_whatever_the_uses() {
    let mut host = Host::new(ageing(1));
    let caller = host.connect();
    host.pass(5000.0);
    host.finish(caller, Outcome::Ok);
    host.give_back(caller);
    for _ in 0..59 {
        host.pass(1000.0);
        let caller = host.lend();
        host.give_back(caller);
    }
    assert_eq!(host.stats().opened, 1);
    host.pass(latest_ms(MINUTE_MS) - 59_000.0);
    assert_eq!(host.steps(), [HostStep::Close(A)]);
}

#[test]
fn a_connection_in_use_goes_on_and_is_closed_at_its_return() {
    let mut host = Host::new(ageing(1));
    let caller = host.lend();
    host.pass(10.0 * MINUTE_MS);
    assert!(host.is_open(A) && host.steps().is_empty());
    let waiter = host.connect_within(Some(Span::Forever), None);
    host.give_back(caller);
    assert_eq!(host.connections().filter(|&connection| host.is_open(connection)).collect::<Vec<_>>(), []);
    host.run();
    assert_eq!((host.connection(waiter), host.stats().recycled), (B, 1));
}

#[test]
fn a_connection_whose_reset_runs_at_its_age_is_closed_after_it() {
    let mut host = Host::new(Settings { reset_on_return: Settings::default().reset_on_return, ..ageing(1) });
    let caller = host.lend();
    host.pass(MINUTE_MS - 100.0);
    host.take_log();
    let resetting = host.checkin(caller, false).expect("a rollback is a step");
    host.pass(latest_ms(MINUTE_MS) - MINUTE_MS + 100.0);
    host.finish(resetting, Outcome::Ok);
    assert_eq!(host.take_steps(), [HostStep::Rollback(A), HostStep::Close(A)]);
    host.run();
}

#[test]
fn after_a_freeze_no_caller_gets_a_connection_that_is_too_old() {
    let mut host = idle(ageing(1));
    host.now += 10.0 * MINUTE_MS;
    let caller = host.lend();
    assert_eq!((host.connection(caller), host.stats().recycled), (B, 1));
}

#[test]
fn an_aged_connection_goes_although_it_is_among_the_least() {
    let settings = Settings { min_idle: 1.0, idle_timeout_ms: 1000.0, ..ageing(1) };
    let mut host = idle(settings);
    host.pass(latest_ms(MINUTE_MS));
    assert_eq!(host.run_steps(), [HostStep::Close(A)]);
    assert_eq!(host.counts(), counts(1, 0, -1, 0));
}

#[test]
fn with_min_another_connection_is_opened_in_place_of_an_aged_one() {
    let mut host = Host::new(Settings { min: 2.0, ..ageing(2) });
    let first = host.connect();
    host.run();
    host.give_back(first);
    host.run();
    assert_eq!(host.stats().idle, 2);
    host.pass(latest_ms(MINUTE_MS));
    host.run();
    assert_eq!((host.stats().idle, host.stats().opened, host.stats().recycled), (2, 4, 2));
}

#[test]
fn jitter_spreads_the_ages() {
    let mut host = Host::new(Settings { recycle_jitter: 0.5, ..ageing(2) });
    host.pool.set_random(1.0);
    let young = host.lend();
    host.pool.set_random(0.0);
    let old = host.lend();
    host.give_back(young);
    host.give_back(old);
    host.pass(latest_ms(30_000.0));
    assert_eq!(host.steps(), [HostStep::Close(A)]);
    host.run();
    host.pass(MINUTE_MS - 30_000.0);
    assert_eq!(host.steps(), [HostStep::Close(B)]);
}

#[test]
fn the_lesser_of_recycle_and_max_age_holds_at_a_checkout() {
    for (recycle_ms, max_age_ms) in [(MINUTE_MS, 2.0 * MINUTE_MS), (2.0 * MINUTE_MS, MINUTE_MS)] {
        let mut host = idle(Settings { recycle_ms, max_age_ms, ..plain(1, 0) });
        host.now += MINUTE_MS + 1.0;
        let caller = host.lend();
        assert_eq!(host.connection(caller), B);
    }
}

#[test]
fn a_connection_that_is_dead_as_it_arrives_leaves_no_age_to_the_next_one() {
    let mut host = Host::new(ageing(1));
    let caller = host.connect();
    host.die_on_arrival(caller);
    host.finish(caller, Outcome::Ok);
    host.pass(MINUTE_MS / 2.0);
    host.run();
    assert_eq!(host.connection(caller), B);
    host.give_back(caller);
    host.pass(latest_ms(MINUTE_MS / 2.0));
    assert_eq!((host.is_open(B), host.stats().recycled), (true, 0), "it is half a minute old");
    host.pass(MINUTE_MS);
    host.run();
    assert_eq!((host.stats().total, host.stats().recycled, host.has_timer()), (0, 1, false));
}

#[test]
fn a_connection_that_ended_before_leaves_no_timer() {
    let end = |host: &mut Host, caller: Operation, how: usize| match how {
        0 => drop(host.invalidate(caller)),
        1 => drop(host.detach(caller)),
        2 => drop(host.close_record(A, true)),
        _ => {
            host.give_back(caller);
            host.dispose();
        }
    };
    for how in 0..4 {
        let mut host = Host::new(ageing(1));
        let caller = host.lend();
        assert!(host.has_timer(), "its age is watched");
        end(&mut host, caller, how);
        host.run();
        host.pass(latest_ms(MINUTE_MS));
        assert!(!host.has_timer(), "{how}");
        assert_eq!(host.stats().recycled, 0);
    }
}

#[test]
fn every_kind_that_keeps_a_connection_has_the_limit() {
    for kind in [Kind::Queue, Kind::Singleton, Kind::Static, Kind::Assertion] {
        let mut host = idle(Settings { max_age_ms: MINUTE_MS, ..of_kind(kind) });
        host.pass(latest_ms(MINUTE_MS));
        assert_eq!(host.run_steps(), [HostStep::Close(A)], "{kind:?}");
        host.lend();
    }
    let mut host = Host::new(Settings { max_age_ms: MINUTE_MS, ..of_kind(Kind::Null) });
    let caller = host.lend();
    assert!(!host.has_timer(), "a NullPool keeps none");
    host.give_back(caller);
}

#[test]
fn a_shared_connection_serves_its_holders_and_is_closed_at_the_last_return() {
    let mut host = Host::new(Settings { max_age_ms: MINUTE_MS, ..of_kind(Kind::Static) });
    let callers = [host.lend(), host.lend()];
    host.pass(2.0 * MINUTE_MS);
    let late = host.lend();
    assert_eq!(host.connection(late), A, "age retires none");
    for caller in callers.into_iter().chain([late]) {
        host.give_back(caller);
    }
    host.run();
    assert_eq!((host.stats().total, host.stats().recycled), (0, 1));
    let next = host.lend();
    assert_eq!(host.connection(next), B);
}

#[test]
fn the_close_of_an_aged_connection_is_polite_and_emits_close() {
    let mut host = idle(ageing(1));
    host.listen(&[Event::Close, Event::Invalidate]);
    host.pass(latest_ms(MINUTE_MS));
    assert_eq!(host.run_steps(), [HostStep::Emit(Event::Close, Some(A)), HostStep::Close(A)]);
}

#[test]
fn an_age_of_zero_is_refused() {
    let violation = Config::new(&Settings { max_age_ms: 0.0, ..Settings::default() }).expect_err("0 is no age");
    assert_eq!(violation.option, "maxAge");
}
