//! `idleTimeout` and `minIdle`: a connection that was not used for that long is closed, except for a few. The timer for
//! that keeps no host awake.

use crate::harness::{Connection, Host, HostStep, emit, plain};
use crate::timeout::latest_ms;
use edgepool::policy::{Event, Outcome, Settings};

fn reaping(pool_size: u32, min_idle: u32) -> Settings {
    Settings { idle_timeout_ms: 1000.0, min_idle: f64::from(min_idle), ..plain(pool_size, 0) }
}

fn idle(host: &mut Host, count: usize) {
    let callers: Vec<_> = (0..count).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    host.take_log();
}

#[test]
fn what_has_been_idle_for_long_is_closed_never_early_and_hardly_late() {
    let mut host = Host::new(reaping(1, 0));
    idle(&mut host, 1);
    host.pass(999.0);
    assert_eq!(host.take_steps(), [], "early");
    host.pass(latest_ms(1000.0) - 999.0);
    assert_eq!(host.take_steps(), [HostStep::Close(Connection(0))]);
    host.run();
    assert_eq!((host.stats().total, host.counts().checked_in), (0, 0));
    host.pass(10_000.0);
    assert!(!host.has_timer());
}

#[test]
fn a_use_restarts_the_time() {
    let mut host = Host::new(reaping(1, 0));
    idle(&mut host, 1);
    for _ in 0..5 {
        host.pass(900.0);
        idle(&mut host, 1);
    }
    assert_eq!(host.stats().opened, 1);
}

#[test]
fn a_lease_is_not_idle() {
    let mut host = Host::new(reaping(1, 0));
    let caller = host.lend();
    host.pass(50_000.0);
    assert!(host.is_open(Connection(0)));
    host.give_back(caller);
    host.pass(900.0);
    assert!(host.is_open(Connection(0)));
}

#[test]
fn min_idle_stay() {
    let mut host = Host::new(reaping(3, 1));
    idle(&mut host, 3);
    host.pass(latest_ms(1000.0) + 1.0);
    host.run();
    assert_eq!(host.stats().idle, 1);
    host.pass(20_000.0);
    host.run();
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn the_longest_idle_go_first() {
    let mut host = Host::new(reaping(2, 1));
    let callers = [host.lend(), host.lend()];
    host.give_back(callers[1]);
    host.pass(300.0);
    host.give_back(callers[0]);
    host.pass(900.0);
    host.run();
    assert_eq!((host.is_open(Connection(0)), host.is_open(Connection(1))), (true, false));
}

#[test]
fn the_close_event_comes_before_the_close() {
    let mut host = Host::listening(reaping(1, 0));
    idle(&mut host, 1);
    host.pass(1200.0);
    assert_eq!(host.run_steps(), [emit(Event::Close, 0), HostStep::Close(Connection(0))]);
}

#[test]
fn the_timer_of_idle_connections_keeps_no_host_awake() {
    let mut host = Host::new(reaping(1, 0));
    idle(&mut host, 1);
    assert!(host.has_timer() && !host.pool.is_attended());
}

#[test]
fn an_emptied_slot_needs_no_timer() {
    let mut host = Host::new(reaping(1, 0));
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    host.pass(5000.0);
    assert_eq!((host.counts().checked_in, host.has_timer()), (1, false));
}

#[test]
fn what_is_being_closed_takes_no_caller_and_gives_its_place_afterwards() {
    let mut host = Host::new(reaping(1, 0));
    idle(&mut host, 1);
    host.pass(1200.0);
    let caller = host.connect();
    assert_eq!(host.stats().waiting, 1, "the server never sees more");
    let spawned = host.operations().find(|&operation| host.step(operation).is_some()).expect("a close");
    host.finish(spawned, Outcome::Ok);
    host.run();
    assert_eq!(host.connection(caller), Connection(1));
}

#[test]
fn dispose_and_death_end_the_time_of_what_is_idle() {
    let mut host = Host::new(reaping(2, 0));
    idle(&mut host, 2);
    host.connection_died(Connection(0));
    host.dispose();
    host.run();
    host.pass(5000.0);
    assert_eq!((host.open_connections(), host.has_timer()), (0, false));
}

#[test]
fn the_timer_rests_while_only_min_idle_are_idle() {
    let mut host = Host::new(reaping(3, 3));
    idle(&mut host, 3);
    host.pass(latest_ms(1000.0) + 1.0);
    assert_eq!((host.stats().idle, host.has_timer()), (3, false));
}

#[test]
fn a_connection_that_stayed_as_one_of_min_idle_goes_as_soon_as_another_one_comes() {
    let mut host = Host::new(reaping(2, 1));
    let callers = [host.lend(), host.lend()];
    host.give_back(callers[0]);
    host.pass(latest_ms(1000.0) + 1.0);
    host.take_log();
    host.give_back(callers[1]);
    host.run();
    assert_eq!((host.is_open(Connection(0)), host.is_open(Connection(1))), (false, true), "the longest idle goes");
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn a_connection_that_had_its_time_and_was_used_again_has_a_new_one() {
    let mut host = Host::new(reaping(2, 1));
    let other = host.lend();
    idle(&mut host, 1);
    host.pass(latest_ms(1000.0) + 1.0);
    idle(&mut host, 1);
    host.give_back(other);
    host.pass(900.0);
    host.run();
    assert_eq!(host.stats().idle, 2, "neither has been idle for long");
    host.pass(latest_ms(1000.0) - 900.0 + 1.0);
    host.run();
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn an_idle_timeout_of_nothing_closes_at_once_and_its_timer_rests() {
    let mut host = Host::new(Settings { idle_timeout_ms: 0.0, ..reaping(2, 1) });
    idle(&mut host, 2);
    host.pass(latest_ms(0.0) + 1.0);
    host.run();
    assert_eq!((host.stats().idle, host.has_timer()), (1, false));
}
