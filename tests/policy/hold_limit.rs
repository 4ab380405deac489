//! `holdLimit`: a lease that is out for longer is reported once. `onHoldLimit: "terminate"` also takes it back, as an
//! invalidation by its holder would.

use crate::harness::{CHECKIN_EMPTY, Connection, Host, HostStep, LogEntry, Operation, counts, emit, of_kind, plain};
use crate::timeout::latest_ms;
use edgepool::policy::{Event, Kind, Outcome, Settings, Span};

const A: Connection = Connection(0);

fn limited(pool_size: u32) -> Settings {
    Settings { hold_limit_ms: 60_000.0, ..plain(pool_size, 0) }
}

fn taking_back(pool_size: u32) -> Settings {
    Settings { on_hold_limit: Some(true), ..limited(pool_size) }
}

/// Returns the holders that were reported since the log was last taken, each with its milliseconds.
fn reports(host: &mut Host) -> Vec<(Operation, u32)> {
    let held = host.take_log().into_iter().filter_map(|entry| match entry {
        LogEntry::Held(holder, ms) => Some((holder, ms)),
        _ => None,
    });
    held.collect()
}

#[test]
fn a_lease_is_reported_once_when_it_has_been_out_for_the_limit() {
    let mut host = Host::new(limited(2));
    let holder = host.lend();
    host.pass(59_999.0);
    assert_eq!(reports(&mut host), []);
    host.pass(latest_ms(60_000.0) - 59_999.0);
    let [(reported, ms)] = reports(&mut host)[..] else { panic!("one report") };
    assert!(reported == holder && ms >= 60_000 && f64::from(ms) <= latest_ms(60_000.0), "{ms} ms");
    host.pass(1_000_000.0);
    assert_eq!((reports(&mut host), host.has_lease(holder)), (vec![], true));
    host.give_back(holder);
    assert!(host.stats().idle == 1 && !host.has_timer());
}

#[test]
fn each_lease_has_its_own_time_also_of_one_connection() {
    let mut host = Host::new(limited(1));
    let first = host.lend();
    host.pass(50_000.0);
    host.give_back(first);
    let second = host.lend();
    let waiter = host.connect_within(Some(Span::Forever), None);
    host.pass(latest_ms(10_000.0));
    assert_eq!(reports(&mut host), [], "the second has been out for ten seconds");
    host.give_back(second);
    assert!(host.has_lease(waiter), "a hand-over begins a lease, too");
    host.pass(59_000.0);
    assert_eq!(reports(&mut host), []);
    host.pass(latest_ms(60_000.0) - 59_000.0);
    assert_eq!(reports(&mut host).len(), 1);
}

#[test]
fn many_leases_are_reported_each_once() {
    let mut host = Host::new(limited(10));
    let mut holders: Vec<Operation> = Vec::new();
    for _ in 0..10 {
        holders.push(host.lend());
        host.pass(1000.0);
    }
    host.pass(latest_ms(60_000.0));
    assert_eq!(reports(&mut host).into_iter().map(|(holder, _)| holder).collect::<Vec<_>>(), holders);
}

#[test]
fn no_kind_reports_without_a_limit_and_every_kind_that_does_not_share_reports_with_one() {
    for kind in [Kind::Queue, Kind::Null, Kind::Assertion] {
        for (hold_limit_ms, times) in [(f64::INFINITY, 0), (60_000.0, 1)] {
            let mut host = Host::new(Settings { hold_limit_ms, ..of_kind(kind) });
            host.lend();
            assert_eq!(host.has_timer(), times > 0);
            host.pass(10_000_000.0);
            assert_eq!(reports(&mut host).len(), times, "{kind:?}");
        }
    }
}

#[test]
fn a_detached_and_a_lost_lease_are_not_reported_as_held() {
    let mut host = Host::new(limited(2));
    let detached = host.lend();
    host.detach(detached);
    let lost = host.lend();
    host.pass(50_000.0);
    host.lose(lost);
    host.pass(100_000.0);
    assert_eq!(reports(&mut host), []);
    host.run();
}

#[test]
fn a_lease_that_is_out_for_too_long_is_taken_back_and_its_slot_serves_the_next() {
    let mut host = Host::new(taking_back(1));
    let holder = host.lend();
    let lease = host.lease(holder);
    let waiter = host.connect_within(Some(Span::Forever), None);
    host.take_log();
    host.pass(latest_ms(60_000.0));
    assert!(!host.has_lease(holder) && !host.pool.is_leased(lease));
    assert_eq!(host.steps(), [HostStep::Terminate(A)]);
    assert_eq!((host.stats().invalidated, host.stats().used), (1, 1));
    host.run();
    assert!(host.has_lease(waiter));
    assert_eq!(host.counts(), counts(1, 0, 0, 1));
}

#[test]
fn taking_back_runs_the_listeners_of_an_invalidation() {
    let mut host = Host::listening(taking_back(1));
    host.lend();
    host.take_log();
    host.pass(latest_ms(60_000.0));
    let expected = [emit(Event::Invalidate, 0), emit(Event::Close, 0), HostStep::Terminate(A), CHECKIN_EMPTY];
    assert_eq!(host.run_steps(), expected);
    assert_eq!(host.stats().total, 0);
}

#[test]
fn a_termination_that_never_ends_frees_the_slot_after_its_time() {
    let mut host = Host::new(Settings { driver_timeout_ms: 1000.0, ..taking_back(1) });
    host.lend();
    let waiter = host.connect_within(Some(Span::Forever), None);
    host.pass(latest_ms(60_000.0) + latest_ms(1000.0));
    let ending = host
        .operations()
        .find(|&operation| host.step(operation) == Some(HostStep::Terminate(A)) && host.has_expired(operation))
        .expect("its time has ended");
    host.finish(ending, Outcome::TimedOut);
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn a_lease_whose_connection_has_ended_through_its_record_is_taken_back_without_a_step() {
    let mut host = Host::new(taking_back(1));
    let holder = host.lend();
    host.close_record(A, true);
    host.run();
    host.pass(latest_ms(60_000.0));
    assert_eq!((host.has_lease(holder), host.stats().used), (false, 0));
    host.lend();
}

#[test]
fn after_the_close_of_the_pool_the_limit_still_holds() {
    let mut host = Host::new(taking_back(1));
    host.lend();
    host.close(Span::Forever);
    host.pass(latest_ms(60_000.0));
    host.run();
    host.assert_nothing_is_left();
}

#[test]
fn a_late_timer_takes_no_lease_back_that_is_returned_right_after_it() {
    let mut host = Host::new(taking_back(1));
    let holder = host.lend();
    host.now += 70_000.0;
    host.fire_timer();
    host.give_back(holder);
    assert_eq!((reports(&mut host), host.stats().idle), (vec![], 1));
}
