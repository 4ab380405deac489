//! `timeout` limits how long a caller may queue. It ends late by at most a fiftieth or ten milliseconds, whichever is
//! more, and never early. It runs in the queue only. Without waiters no timer runs.

use crate::harness::{Host, LogEntry, Operation, Stage, counts, plain, sized};
use edgepool::policy::{LONGEST_SPAN_MS, Outcome, Refusal, Settings, Span};

/// Returns the latest end of a span of this length, counted from its start.
pub(crate) fn latest_ms(span_ms: f64) -> f64 {
    span_ms + (span_ms / 50.0).max(10.0)
}

fn full(settings: Settings) -> Host {
    let mut host = Host::new(settings);
    host.lend();
    host.take_log();
    host
}

/// Lets time pass tick by tick and records when each caller is refused.
fn watch(host: &mut Host, ms: f64, ends: &mut Vec<(Operation, f64)>) {
    host.take_log();
    let until = host.now + ms;
    while host.pass_to_tick(until) {
        for event in host.take_log() {
            let LogEntry::Refused(operation, Refusal::WaitTimeout) = event else { panic!("{event:?}") };
            ends.push((operation, host.now));
        }
    }
}

/// Returns how long after its start each caller was refused, all within this time.
fn refused_after(host: &mut Host, callers: &[(Operation, f64)], ms: f64) -> Vec<f64> {
    let mut ends = Vec::new();
    watch(host, ms, &mut ends);
    took(callers, &ends)
}

fn took(starts: &[(Operation, f64)], ends: &[(Operation, f64)]) -> Vec<f64> {
    let end = |caller| ends.iter().find(|(operation, _)| *operation == caller).expect("was refused").1;
    starts.iter().map(|&(caller, start)| end(caller) - start).collect()
}

fn assert_in_time(span_ms: u32, took_ms: f64) {
    let span_ms = f64::from(span_ms);
    assert!(took_ms >= span_ms && took_ms <= latest_ms(span_ms), "{span_ms} ms took {took_ms}");
}

#[test]
fn scenario_043_a_waiter_is_refused_after_the_timeout() {
    let mut host = Host::new(Settings { timeout_ms: 2000.0, ..plain(3, 0) });
    for _ in 0..3 {
        host.lend();
    }
    host.take_log();
    let waiter = host.connect();
    host.pass(1999.9);
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.pass(latest_ms(2000.0) - 1999.9);
    assert_eq!(host.refusal(waiter), Some(Refusal::WaitTimeout));
    assert_eq!((host.stats().timed_out, host.counts()), (1, counts(3, 0, 0, 3)));
}

#[test]
fn scenario_033_a_caller_beyond_the_overflow_is_refused_and_the_counts_stay() {
    let mut host = Host::new(Settings { timeout_ms: 10.0, ..plain(2, 1) });
    for _ in 0..3 {
        host.lend();
    }
    let waiter = host.connect();
    host.pass(20.0);
    assert_eq!((host.refusal(waiter), host.counts()), (Some(Refusal::WaitTimeout), counts(2, 0, 1, 3)));
}

#[test]
fn scenario_045_a_tenth_of_a_second_is_a_tenth_of_a_second() {
    let mut host = full(Settings { timeout_ms: 100.0, ..plain(1, 0) });
    let waiter = (host.connect(), host.now);
    assert_in_time(100, refused_after(&mut host, &[waiter], 200.0)[0]);
}

#[test]
fn scenario_046_a_timeout_of_zero_refuses_at_once_when_the_pool_is_full() {
    let mut host = full(Settings { timeout_ms: 0.0, ..plain(1, 0) });
    let refused = host.connect();
    assert_eq!(host.refusal(refused), Some(Refusal::WaitTimeout));
    assert!(!host.has_timer());
    assert_eq!((host.stats().waited, host.stats().timed_out), (0, 1));
}

#[test]
fn a_timeout_of_zero_is_served_if_something_is_free() {
    let mut host = Host::new(Settings { timeout_ms: 0.0, ..plain(1, 0) });
    let caller = host.lend();
    host.give_back(caller);
    host.lend();
}

#[test]
fn scenario_037_no_caller_is_refused_before_the_timeout_however_many_race() {
    let mut host = Host::new(Settings { timeout_ms: 3000.0, ..plain(2, 1) });
    let callers: Vec<Operation> = (0..10).map(|_| host.connect()).collect();
    host.pass(500.0);
    host.run();
    host.pass(2499.9);
    assert!(callers[3..].iter().all(|&caller| !host.is_settled(caller)));
    host.pass(200.0);
    assert!(callers[3..].iter().all(|&caller| host.refusal(caller) == Some(Refusal::WaitTimeout)));
}

#[test]
fn scenario_059_the_timeout_runs_in_the_queue_only() {
    let mut host = Host::new(Settings { timeout_ms: 50.0, ..plain(1, 0) });
    let opening = host.connect();
    host.pass(200.0);
    host.finish(opening, Outcome::Ok);
    assert!(host.has_lease(opening));
}

#[test]
fn a_served_waiter_opens_for_longer_than_its_timeout() {
    let mut host = full(Settings { timeout_ms: 50.0, ..plain(1, 0) });
    let waiter = host.connect();
    let operation = host.invalidate(Operation(0));
    host.finish(operation, Outcome::Ok);
    host.pass(200.0);
    host.wake(waiter);
    host.pass(200.0);
    host.finish(waiter, Outcome::Ok);
    assert!(host.has_lease(waiter));
}

#[test]
fn every_length_ends_never_early_and_at_most_a_fiftieth_late() {
    for span_ms in (1..70).chain([100, 127, 128, 129, 160, 161, 255, 257, 333, 500, 999, 1025, 4097, 30_000, 999_999]) {
        for fraction in [0.0, 0.001, 0.5, 0.999] {
            let mut host = full(plain(1, 0));
            host.now += fraction;
            let waiter = (host.connect_within(Some(Span::Millis(span_ms)), None), host.now);
            assert_in_time(span_ms, refused_after(&mut host, &[waiter], 2.0 * latest_ms(f64::from(span_ms)))[0]);
        }
    }
}

#[test]
fn each_of_many_waiters_that_came_at_different_times_has_its_own_end() {
    for gap_ms in [0.3, 1.0, 7.9, 40.0, 333.0] {
        let mut host = full(plain(1, 0));
        let mut waiters = Vec::new();
        for _ in 0..50 {
            waiters.push((host.connect_within(Some(Span::Millis(30_000)), None), host.now));
            host.pass(gap_ms);
        }
        for took_ms in refused_after(&mut host, &waiters, 80_000.0) {
            assert_in_time(30_000, took_ms);
        }
        assert!(!host.has_timer());
    }
}

#[test]
fn mixed_timeouts_out_of_order_each_end_in_time() {
    let spans_ms = [500, 20, 3000, 1, 90, 500, 21, 250, 3001, 90, 8, 1000];
    for gap_ms in [0.0, 0.7, 3.0, 19.0, 170.0] {
        let mut host = full(plain(1, 0));
        let (mut waiters, mut spans, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..5 {
            for span_ms in spans_ms {
                spans.push(span_ms + round);
                waiters.push((host.connect_within(Some(Span::Millis(span_ms + round)), None), host.now));
                watch(&mut host, gap_ms / 12.0, &mut ends);
            }
            watch(&mut host, gap_ms, &mut ends);
        }
        watch(&mut host, 10_000.0, &mut ends);
        for (span_ms, took_ms) in spans.into_iter().zip(took(&waiters, &ends)) {
            assert_in_time(span_ms, took_ms);
        }
    }
}

#[test]
fn a_waiter_that_comes_just_after_a_tick_is_not_late() {
    let mut host = full(plain(1, 0));
    host.connect_within(Some(Span::Millis(30_000)), None);
    // By then the first has its stamp, and its timer sleeps until its end.
    host.pass(2000.0);
    let second = (host.connect_within(Some(Span::Millis(30_000)), None), host.now);
    let third = (host.connect_within(Some(Span::Millis(40)), None), host.now);
    let took_ms = refused_after(&mut host, &[second, third], 70_000.0);
    assert_in_time(30_000, took_ms[0]);
    assert_in_time(40, took_ms[1]);
}

#[test]
fn a_waiter_that_comes_in_the_instant_of_a_tick_is_not_late() {
    let mut host = full(plain(1, 0));
    let first = host.connect_within(Some(Span::Millis(1000)), None);
    let until = host.now + 5000.0;
    while !host.is_settled(first) && host.pass_to_tick(until) {}
    let second = (host.connect_within(Some(Span::Millis(1000)), None), host.now);
    assert_in_time(1000, refused_after(&mut host, &[second], 5000.0)[0]);
}

#[test]
fn a_timer_that_runs_fast_refuses_no_caller_early_and_is_set_again() {
    for part in [0.1, 0.5, 0.9, 0.99] {
        let mut host = full(plain(1, 0));
        let start = host.now;
        let waiter = host.connect_within(Some(Span::Millis(1000)), None);
        while host.now - start < 999.0 {
            assert!(!host.is_settled(waiter), "after {}", host.now - start);
            let delay_ms = host.timer_ms().expect("the timer is set again");
            host.now += (delay_ms * part).ceil();
            host.fire_timer();
        }
        host.pass(20.0);
        assert!(host.is_settled(waiter));
    }
}

#[test]
fn a_timer_that_comes_very_late_refuses_every_due_caller_and_no_other() {
    let mut host = full(plain(1, 0));
    let short = [10, 200, 30].map(|ms| host.connect_within(Some(Span::Millis(ms)), None));
    let long = host.connect_within(Some(Span::Millis(60_000)), None);
    host.now += 20_000.0;
    host.fire_timer();
    assert!(short.iter().all(|&waiter| host.stage(waiter) == Stage::Queued), "a late timer proves nothing");
    host.pass(50.0);
    assert!(short.iter().all(|&waiter| host.refusal(waiter) == Some(Refusal::WaitTimeout)));
    assert_eq!(host.stage(long), Stage::Queued);
}

#[test]
fn waiters_of_one_timeout_are_refused_in_the_order_in_which_they_came() {
    let mut host = full(Settings { timeout_ms: 100.0, ..plain(1, 0) });
    let waiters: Vec<Operation> = (0..20).map(|_| host.connect()).collect();
    host.take_log();
    host.pass(200.0);
    let refused: Vec<LogEntry> =
        waiters.iter().map(|&waiter| LogEntry::Refused(waiter, Refusal::WaitTimeout)).collect();
    assert_eq!(host.take_log(), refused);
}

#[test]
fn no_timer_runs_once_the_last_waiter_is_served_refused_or_gone() {
    let mut host = full(plain(1, 0));
    assert!(!host.has_timer());
    let served = host.connect();
    assert!(host.has_timer());
    host.give_back(Operation(0));
    assert!(host.has_lease(served) && !host.has_timer());
    let gone = host.connect();
    assert!(host.has_timer());
    host.abort(gone);
    assert!(!host.has_timer());
    host.connect_within(Some(Span::Millis(10)), None);
    host.pass(20.0);
    assert!(!host.has_timer());
}

#[test]
fn a_lease_that_is_out_needs_no_timer() {
    let host = full(sized(1, 0));
    assert!(!host.has_timer() && !host.pool.tick_wanted());
}

#[test]
fn a_waiter_that_leaves_the_middle_changes_no_other_waiters_time() {
    let mut host = full(plain(1, 0));
    let start = host.now;
    let waiters: Vec<Operation> = (0..5).map(|_| host.connect_within(Some(Span::Millis(100)), None)).collect();
    host.pass(30.0);
    for at in [2, 0, 4] {
        assert!(host.abort(waiters[at]));
    }
    for took_ms in refused_after(&mut host, &[(waiters[1], start), (waiters[3], start)], 300.0) {
        assert_in_time(100, took_ms);
    }
    assert_eq!(host.stats().waiting, 0);
}

#[test]
fn a_waiter_that_leaves_before_the_first_tick_takes_no_stamp_from_others() {
    let mut host = full(plain(1, 0));
    let first = host.connect_within(Some(Span::Millis(1000)), None);
    host.pass(50.0);
    // No tick has stamped these two. The first of them leaves, and then the one ahead of both.
    let [gone, second] = [1000, 1000].map(|ms| (host.connect_within(Some(Span::Millis(ms)), None), host.now));
    host.abort(gone.0);
    host.abort(first);
    assert_in_time(1000, refused_after(&mut host, &[second], 3000.0)[0]);
}

#[test]
fn a_caller_that_may_wait_for_ever_does() {
    let mut host = full(Settings { timeout_ms: f64::INFINITY, ..plain(1, 0) });
    let waiters = [host.connect(), host.connect(), host.connect()];
    assert!(host.has_timer(), "it keeps the process alive");
    for _ in 0..100 {
        host.pass(f64::from(LONGEST_SPAN_MS) / 3.0);
    }
    assert!(waiters.iter().all(|&waiter| host.stage(waiter) == Stage::Queued));
    host.give_back(Operation(0));
    assert!(host.has_lease(waiters[0]));
}

#[test]
fn a_host_that_slept_through_several_spans_of_for_ever_sets_a_timer_that_hosts_can_count() {
    let mut host = full(Settings { timeout_ms: f64::INFINITY, ..plain(1, 0) });
    let waiters = [host.connect(), host.connect(), host.connect()];
    host.pass(f64::from(LONGEST_SPAN_MS) / 16.0);
    host.now += f64::from(LONGEST_SPAN_MS) + 1000.0;
    host.fire_timer();
    assert!(host.has_timer());
    assert!(waiters.iter().all(|&waiter| host.stage(waiter) == Stage::Queued));
}

#[test]
fn a_timeout_of_one_call_replaces_the_pools_in_both_directions() {
    let mut host = full(Settings { timeout_ms: 1000.0, ..plain(1, 0) });
    let shorter = host.connect_within(Some(Span::Millis(50)), None);
    let own = host.connect_within(None, None);
    let longer = host.connect_within(Some(Span::Millis(5000)), None);
    let for_ever = host.connect_within(Some(Span::Forever), None);
    host.pass(100.0);
    assert_eq!([shorter, own, longer, for_ever].map(|caller| host.is_settled(caller)), [true, false, false, false]);
    host.pass(1000.0);
    assert_eq!([own, longer, for_ever].map(|caller| host.is_settled(caller)), [true, false, false]);
    host.pass(5000.0);
    assert_eq!([longer, for_ever].map(|caller| host.is_settled(caller)), [true, false]);
}

#[test]
fn a_callers_own_timeout_is_not_put_off_when_the_for_ever_of_others_restarts() {
    let mut host = full(Settings { timeout_ms: f64::INFINITY, ..plain(1, 0) });
    let others = [host.connect(), host.connect()];
    // The class of these waiters takes its stamp within a sixty-fourth. Its longest span ends during the loop below.
    host.pass(f64::from(LONGEST_SPAN_MS) / 32.0);
    host.pass(f64::from(LONGEST_SPAN_MS) * 31.0 / 32.0 - 60_000.0);
    let mut waiters = Vec::new();
    let mut ends = Vec::new();
    while host.now < 1234.75 + f64::from(LONGEST_SPAN_MS) * 65.0 / 64.0 + 60_000.0 {
        waiters.push((host.connect_within(Some(Span::Millis(100_000)), None), host.now));
        watch(&mut host, 40_000.0, &mut ends);
    }
    watch(&mut host, 200_000.0, &mut ends);
    for took_ms in took(&waiters, &ends) {
        assert_in_time(100_000, took_ms);
    }
    assert!(others.iter().all(|&waiter| host.stage(waiter) == Stage::Queued));
}
