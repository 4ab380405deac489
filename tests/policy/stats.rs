//! The numbers of `stats()`: what each gauge holds in each state, and what each counter counts. The harness checks
//! after every call of every test that they add up.

use crate::harness::{Host, of_kind, plain, sized};
use edgepool::policy::{Event, Kind, Outcome, Refusal, Settings, Span};

#[test]
fn each_gauge_holds_what_it_is_named_for() {
    let mut host = Host::new(sized(6, 0));
    let callers = [host.lend(), host.lend(), host.lend(), host.lend(), host.lend()];
    host.give_back(callers[0]);
    host.detach(callers[1]);
    host.checkin(callers[2], false);
    host.dispose();
    // The dispose removed the emptied slot of the detached lease. The idle connection is being closed.
    host.connect();
    let stats = host.stats();
    assert_eq!((stats.idle, stats.used, stats.opening, stats.closing), (0, 3, 1, 1));
    assert_eq!((stats.total, stats.detached, stats.waiting, stats.max), (5, 1, 0, 6.0));
    host.connect();
    host.connect();
    assert_eq!((host.stats().opening, host.stats().waiting), (2, 1));
}

#[test]
fn a_connection_on_its_way_back_is_used_and_returning() {
    let mut host = Host::new(sized(2, 0));
    host.listen(&[Event::Reset, Event::Checkin]);
    let (first, second) = (host.lend(), host.lend());
    let back = host.checkin(first, false).expect("a reset");
    for _ in 0..3 {
        assert_eq!((host.stats().used, host.stats().returning), (2, 1));
        host.finish(back, Outcome::Ok);
    }
    assert_eq!((host.stats().used, host.stats().returning, host.stats().idle), (1, 0, 1));
    host.invalidate(second);
    assert_eq!((host.stats().used, host.stats().returning), (1, 1));
    host.run();
    assert_eq!((host.stats().used, host.stats().returning), (0, 0));
}

#[test]
fn the_limits_are_those_of_the_kind_and_follow_a_resize_and_a_close() {
    let limits = |host: &Host| (host.stats().max, host.stats().max_idle, host.stats().min_idle);
    let mut host = Host::new(Settings { min_idle: 2.0, ..plain(5, 10) });
    assert_eq!(limits(&host), (15.0, 5.0, 2));
    host.resize(1, -1, 2);
    assert_eq!(limits(&host), (f64::INFINITY, 1.0, 1), "it never keeps more than the most");
    host.close(Span::Forever);
    assert_eq!(limits(&host), (f64::INFINITY, 0.0, 0));
    assert_eq!(limits(&Host::new(sized(0, 0))), (f64::INFINITY, f64::INFINITY, 0));
    assert_eq!(limits(&Host::new(of_kind(Kind::Null))), (f64::INFINITY, 0.0, 0));
    for kind in [Kind::Singleton, Kind::Static, Kind::Assertion] {
        assert_eq!(limits(&Host::new(of_kind(kind))), (1.0, 1.0, 0), "{kind:?}");
    }
}

#[test]
fn an_emptied_idle_slot_is_checked_in_but_not_idle() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    assert_eq!((host.stats().idle, host.stats().total, host.counts().checked_in), (0, 0, 1));
}

#[test]
fn a_stale_idle_connection_is_idle() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    host.invalidate_all();
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn each_counter_counts_what_it_is_named_for() {
    let mut host = Host::new(Settings { timeout_ms: 50.0, driver_timeout_ms: 100.0, ..plain(1, 0) });
    let failing = host.connect();
    host.finish(failing, Outcome::Failed);
    let slow = host.connect();
    host.pass(120.0);
    host.finish(slow, Outcome::TimedOut);
    host.finish(slow, Outcome::LateFailed);
    let holder = host.lend();
    let (waiter, aborted) = (host.connect(), host.connect());
    host.abort(aborted);
    host.pass(70.0);
    assert!(host.is_settled(waiter));
    let served = host.connect();
    host.invalidate_soft(holder);
    host.give_back(holder);
    host.run();
    assert!(host.has_lease(served));
    host.invalidate(served);
    host.run();
    let stats = host.stats();
    assert_eq!((stats.opened, stats.open_failed, stats.checkouts), (2, 2, 2));
    assert_eq!((stats.waited, stats.timed_out, stats.aborted), (3, 2, 1));
    assert_eq!((stats.recycled, stats.invalidated, stats.leaked), (1, 1, 0));
}

#[test]
fn the_timer_keeps_the_host_alive_for_callers_and_not_for_spawned_operations() {
    let mut host = Host::new(plain(1, 0));
    let opening = host.connect();
    assert!(host.pool.is_attended());
    host.abort(opening);
    assert!(!host.pool.is_attended(), "the opening goes on without a caller");
    host.finish(opening, Outcome::Ok);
    host.dispose();
    assert!(!host.pool.is_attended());
    let waiter = host.connect_within(Some(Span::Forever), None);
    assert!(host.pool.is_attended());
    host.run();
    assert!(host.has_lease(waiter) && !host.pool.is_attended());
    let detached = host.detach(waiter);
    assert!(!host.pool.is_attended());
    host.close_detached(detached, false, false);
    assert!(host.pool.is_attended());
}

#[test]
fn a_caller_whose_time_runs_out_counts_once_however_its_step_goes_on() {
    let listening = Settings { driver_timeout_ms: 100.0, ..plain(1, 0) };
    for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(listening.clone());
        host.listen(&[Event::Checkout]);
        let caller = host.connect_within(None, Some(Span::Millis(50)));
        host.finish(caller, Outcome::Ok);
        host.pass(70.0);
        assert_eq!(host.refusal(caller), Some(Refusal::ListenerDeadline));
        host.finish(caller, outcome);
        host.run();
        assert_eq!((host.stats().timed_out, host.stats().aborted), (1, 0), "{outcome:?}");
    }
}

#[test]
fn a_caller_that_left_before_its_listener_took_too_long_did_not_time_out() {
    let mut host = Host::new(plain(1, 0));
    host.listen(&[Event::Checkout]);
    let caller = host.connect();
    host.finish(caller, Outcome::Ok);
    host.finish(caller, Outcome::TimedOut);
    // The connection ends now; its caller leaves before that.
    assert!(host.abort(caller));
    host.run();
    assert_eq!((host.stats().timed_out, host.stats().aborted), (0, 1));
}

#[test]
fn counters_do_not_wrap_at_32_bits_and_a_size_beyond_31_bits_is_positive() {
    let host = Host::new(sized(u32::MAX - 1, 0));
    assert_eq!(host.counts().size, i64::from(u32::MAX - 1));
    let _: u64 = host.stats().checkouts;
}
