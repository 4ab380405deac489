//! The host's clock and its one timer: readings that step back, stand still or leap. An operation armed during a tick
//! is timed like any other.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, plain, sized};
use crate::timeout::latest_ms;
use edgepool::policy::{Outcome, Refusal, Settings, Span};

const A: Connection = Connection(0);
const DAY_MS: f64 = 86_400_000.0;

#[test]
fn a_clock_that_steps_back_costs_nothing() {
    for step_ms in [10.0, 60.0, 1000.0, DAY_MS] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        let waiter = host.connect_within(Some(Span::Millis(100)), None);
        host.pass(50.0);
        // The timer goes on, and rings when its delay has passed.
        let left_ms = host.timer_ms().expect("a timer runs");
        host.pass(left_ms / 2.0);
        host.pool.read_clock(host.now);
        host.now -= step_ms;
        host.pool.read_clock(host.now);
        host.now += left_ms / 2.0;
        assert_eq!(host.stage(waiter), Stage::Queued);
        host.fire_timer();
        assert_eq!(host.refusal(waiter), Some(Refusal::WaitTimeout), "{step_ms} ms back are no debt");
    }
}

#[test]
fn a_clock_that_steps_back_makes_no_caller_early_that_comes_later() {
    for step_ms in [10.0, 1000.0, DAY_MS] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        host.connect_within(Some(Span::Millis(100)), None);
        host.pass(50.0);
        host.now -= step_ms;
        host.tick_without_ring();
        let later = host.connect_within(Some(Span::Millis(100)), None);
        host.pass(99.0);
        assert_eq!(host.stage(later), Stage::Queued);
        host.pass(latest_ms(100.0) - 99.0);
        assert_eq!(host.refusal(later), Some(Refusal::WaitTimeout));
    }
}

#[test]
fn a_clock_that_steps_back_makes_no_caller_early_that_comes_before_the_timer_rings() {
    const SPAN: Option<Span> = Some(Span::Millis(8000));
    for (timeout, deadline) in [(SPAN, None), (None, SPAN)] {
        let mut host = Host::new(Settings { timeout_ms: 8000.0, ..plain(1, 0) });
        host.lend();
        host.connect();
        let delay_ms = host.timer_ms().expect("a timer runs");
        // Most of its delay has passed.
        host.now -= 1000.0;
        let start = host.now;
        let later = host.connect_within(timeout, deadline);
        host.pool.read_clock(host.now);
        if host.timer_ms().expect("a timer runs") > 1000.0 {
            host.now += delay_ms / 10.0;
            host.fire_timer();
        }
        host.pass(start + 7999.0 - host.now);
        assert_eq!(host.stage(later), Stage::Queued);
        host.pass(latest_ms(8000.0) - 7999.0);
        assert!(host.is_settled(later));
    }
}

#[test]
fn a_clock_that_stands_still_makes_no_caller_early_that_comes_before_the_timer_rings() {
    let mut host = Host::new(Settings { timeout_ms: 8000.0, ..plain(1, 0) });
    host.lend();
    host.connect();
    let later = host.connect();
    host.pool.read_clock(host.now);
    host.fire_timer();
    host.pass(7999.0);
    assert_eq!(host.stage(later), Stage::Queued);
    host.pass(latest_ms(8000.0) - 7999.0);
    assert!(host.is_settled(later));
}

#[test]
fn a_ring_tells_the_time_while_the_clock_stands_still() {
    for span_ms in [100, 1000, 30_000, 3_600_000] {
        for moves_ms in [0.0, 0.4] {
            let mut host = Host::new(plain(1, 0));
            host.lend();
            let waiters = [0; 3].map(|_| host.connect_within(Some(Span::Millis(span_ms)), None));
            let mut passed_ms = 0.0;
            while !waiters.iter().all(|&waiter| host.is_settled(waiter)) {
                passed_ms += host.timer_ms().expect("a timer runs");
                assert!(passed_ms < latest_ms(f64::from(span_ms)), "{span_ms} ms last {passed_ms}");
                host.now += moves_ms;
                host.fire_timer();
            }
            assert!(passed_ms >= f64::from(span_ms) - 5.0);
            assert!(waiters.iter().all(|&waiter| host.refusal(waiter) == Some(Refusal::WaitTimeout)));
        }
    }
}

#[test]
fn a_timer_that_rings_a_millisecond_early_moves_no_time() {
    for span_ms in [1, 2, 5, 20, 1000] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        let start = host.now;
        let waiter = host.connect_within(Some(Span::Millis(span_ms)), None);
        while !host.is_settled(waiter) {
            let delay_ms = host.timer_ms().expect("a timer runs");
            host.now += (delay_ms - 1.0).max(0.5);
            host.fire_timer();
        }
        assert!(host.now - start >= f64::from(span_ms), "{span_ms} ms ended after {}", host.now - start);
    }
}

#[test]
fn a_reading_that_is_no_number_counts_for_nothing() {
    for reading in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 4e12] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        let waiter = host.connect_within(Some(Span::Millis(100)), None);
        host.pool.read_clock(reading);
        assert_eq!(host.stage(waiter), Stage::Queued);
        host.pass(latest_ms(100.0) + 1.0);
        assert!(host.is_settled(waiter));
    }
}

#[test]
fn an_age_is_right_however_long_a_connection_rests() {
    for days in [1.0, 24.0, 49.0, 49.71, 49.72, 50.5, 99.5, 400.0] {
        let day = Settings { recycle_ms: DAY_MS - 1.0, ..plain(1, 0) };
        let idle_for_long = Settings { pre_ping: Some(true), pre_ping_after_idle_ms: DAY_MS - 1.0, ..plain(1, 0) };
        for (settings, expected) in [(day, HostStep::Terminate(A)), (idle_for_long, HostStep::Ping(A))] {
            let mut host = Host::new(settings);
            let caller = host.lend();
            host.give_back(caller);
            host.now += days * DAY_MS;
            host.take_log();
            host.lend();
            assert_eq!(host.take_steps().first(), Some(&expected), "after {days} days");
        }
    }
}

#[test]
fn a_clock_that_starts_below_zero_or_steps_below_its_start_is_no_matter() {
    let mut host = Host::new(plain(1, 0));
    host.now = -5000.5;
    host.lend();
    let waiter = host.connect_within(Some(Span::Millis(100)), None);
    host.now -= 10.0;
    host.fire_timer();
    host.pass(150.0);
    assert!(host.is_settled(waiter));
}

#[test]
fn timeouts_end_in_time_however_long_the_clock_was_not_read() {
    for days in [1.0, 12.5, 24.9, 30.0, 49.0, 49.8, 75.0, 400.0] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        let first = host.connect_within(Some(Span::Millis(100)), None);
        host.abort(first);
        // No timer runs without a waiter.
        host.pass(days * DAY_MS);
        let start = host.now;
        let waiter = host.connect_within(Some(Span::Millis(1000)), None);
        host.pass(999.0);
        assert!(!host.is_settled(waiter), "{days} days: early");
        host.pass(latest_ms(1000.0) - 999.0);
        assert!(host.is_settled(waiter), "{days} days: still waiting after {}", host.now - start);
    }
}

#[test]
fn a_host_that_slept_for_days_refuses_every_caller_that_was_due() {
    for days in [1.0, 12.5, 24.9, 30.0, 49.0, 49.8, 75.0, 400.0] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        let waiter = host.connect_within(Some(Span::Millis(1000)), None);
        host.pass(100.0);
        host.now += days * DAY_MS;
        host.fire_timer();
        host.pass(50.0);
        assert!(host.is_settled(waiter), "{days} days");
    }
}

#[test]
fn an_opening_that_lost_its_caller_during_a_tick_gets_its_own_time_from_then() {
    let mut host = Host::new(Settings { driver_timeout_ms: 1000.0, ..plain(2, 0) });
    let slow = host.connect();
    host.pass(600.0);
    let orphaned = host.connect_within(None, Some(Span::Millis(300)));
    while !host.is_settled(orphaned) {
        assert!(host.pass_to_tick(host.now + 1000.0), "a timer runs");
    }
    assert_eq!(host.refusal(orphaned), Some(Refusal::OpenDeadline));
    host.finish(slow, Outcome::Ok);
    host.pass(latest_ms(1000.0));
    assert!(host.has_expired(orphaned), "the driver has its time and no more");
}

#[test]
fn an_operation_armed_in_a_tick_behind_a_stamped_one_is_not_late() {
    // `ahead` is stamped and leads the class; `behind` joins that class inside a tick that stamps nothing.
    let mut host = Host::new(Settings { driver_timeout_ms: 30_000.0, ..plain(3, 0) });
    let behind = host.connect_within(None, Some(Span::Millis(1000)));
    let ahead = host.connect();
    host.pass(500.0);
    while !host.is_settled(behind) {
        assert!(host.pass_to_tick(host.now + 5000.0), "a timer runs");
    }
    let start = host.now;
    host.pass(latest_ms(30_000.0));
    assert!(host.has_expired(ahead) && host.has_expired(behind), "{} ms later", host.now - start);
}

#[test]
fn the_clock_is_read_before_a_step_without_ending_anything() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    let waiter = host.connect_within(Some(Span::Millis(10)), None);
    host.now += 500.0;
    host.pool.read_clock(host.now);
    assert_eq!(host.stage(waiter), Stage::Queued);
    assert_eq!(host.pool.take_notice(), None);
}

#[test]
fn a_read_clock_stamps_and_so_makes_no_caller_late() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    let first = host.connect_within(Some(Span::Millis(6400)), None);
    host.pass(1.0);
    let start = host.now;
    let second = host.connect_within(Some(Span::Millis(6400)), None);
    host.pass(3.0);
    host.pool.read_clock(host.now);
    host.abort(first);
    host.pass(6396.9);
    assert_eq!(host.stage(second), Stage::Queued, "early");
    host.pass(latest_ms(6400.0) - (host.now - start));
    assert!(host.is_settled(second));
}

#[test]
fn the_longest_return_is_timed_from_the_first_reading_after_it_began() {
    let mut host = Host::new(sized(3, 0));
    let callers = [host.lend(), host.lend(), host.lend()];
    host.tick_without_ring();
    assert_eq!(host.pool.longest_return(), None);
    host.pass(100.0);
    let first = host.checkin(callers[0], false).expect("a reset");
    host.tick_without_ring();
    host.pass(50.0);
    host.checkin(callers[1], false);
    host.tick_without_ring();
    host.pass(30.0);
    host.tick_without_ring();
    assert_eq!(host.pool.longest_return(), Some(80));
    // A return is no held lease.
    assert_eq!(host.pool.longest_held(), [Some((180, host.lease(callers[2]).index())), None, None, None, None]);
    host.finish(first, Outcome::Ok);
    assert_eq!(host.pool.longest_return(), Some(30));
    host.run();
    assert_eq!(host.pool.longest_return(), None);
    // A lease that follows a return begins a time of its own.
    host.lend();
    host.tick_without_ring();
    assert!(host.pool.longest_held().iter().flatten().any(|&(ms, _)| ms == 0));
}

#[test]
fn the_longest_wait_is_that_of_the_first_in_the_queue_and_at_least_as_long_as_said() {
    for timeout_ms in [30_000.0, f64::INFINITY] {
        let mut host = Host::new(Settings { timeout_ms, ..plain(1, 0) });
        let holder = host.lend();
        assert_eq!(host.pool.longest_wait(), None);
        let first = host.connect();
        host.tick_without_ring();
        host.pass(700.0);
        host.connect();
        host.tick_without_ring();
        host.pass(300.0);
        host.tick_without_ring();
        assert_eq!(host.pool.longest_wait(), Some(1000));
        host.give_back(holder);
        assert!(host.is_settled(first));
        assert_eq!(host.pool.longest_wait(), Some(300));
        host.give_back(first);
        assert_eq!(host.pool.longest_wait(), None);
    }
}

#[test]
fn the_longest_held_leases_are_listed_longest_first_and_at_most_five() {
    let mut host = Host::new(sized(10, 0));
    let mut callers = Vec::new();
    for _ in 0..7 {
        callers.push(host.lend());
        host.tick_without_ring();
        host.pass(100.0);
    }
    host.tick_without_ring();
    let slot = |place: usize| host.lease(callers[place]).index();
    let longest = [(700, slot(0)), (600, slot(1)), (500, slot(2)), (400, slot(3)), (300, slot(4))];
    assert_eq!(host.pool.longest_held(), longest.map(Some));
    host.give_back(callers[0]);
    for caller in &callers[2..6] {
        host.give_back(*caller);
    }
    let slots = [host.lease(callers[1]).index(), host.lease(callers[6]).index()];
    assert_eq!(host.pool.longest_held(), [Some((600, slots[0])), Some((100, slots[1])), None, None, None]);
    let again: Vec<Operation> = (0..2).map(|_| host.lend()).collect();
    host.tick_without_ring();
    let ms = host.pool.longest_held().map(|held| held.map(|(ms, _)| ms));
    assert_eq!(ms, [Some(600), Some(100), Some(0), Some(0), None]);
    again.into_iter().for_each(|caller| host.give_back(caller));
}
