//! `returnTimeout`, and the condition in which a connection comes back: a busy one has a time of its own, a stuck one
//! ends at once, and no return holds its caller for longer.

use crate::harness::{Connection, EVENTS, Host, HostStep, Operation, Stage, counts, emit, of_kind, plain, sized};
use crate::timeout::latest_ms;
use edgepool::policy::{Condition, Config, Event, Kind, Outcome, Refusal, ResetStyle, Settings, Span, Violation};

const A: Connection = Connection(0);
const CONDITIONS: [Condition; 4] = [Condition::Busy, Condition::GivenUp, Condition::Stuck, Condition::Lost];

/// A pool of one connection whose returns have 100 ms, and whose driver has 5 s.
fn impatient(settings: Settings) -> Settings {
    Settings { return_timeout_ms: 100.0, driver_timeout_ms: 5_000.0, ..settings }
}

fn host() -> Host {
    Host::new(impatient(sized(1, 0)))
}

/// Lends the connection and takes it back in this condition.
fn give_back(host: &mut Host, condition: Condition) -> Operation {
    let caller = host.lend();
    host.checkin_as(caller, condition).expect("a step")
}

fn expire_after(host: &mut Host, operation: Operation, ms: f64) {
    host.pass(ms - 0.1);
    assert!(!host.has_expired(operation), "early");
    host.pass(latest_ms(ms) - ms + 0.1);
    assert!(host.has_expired(operation), "late");
}

#[test]
fn a_busy_connection_is_reset_within_return_timeout_and_kept() {
    for (style, step) in [(ResetStyle::Rollback, HostStep::Rollback(A)), (ResetStyle::Commit, HostStep::Commit(A))] {
        let mut host = Host::new(impatient(Settings { reset_on_return: Some(style), ..sized(1, 0) }));
        let operation = give_back(&mut host, Condition::Busy);
        assert_eq!(host.step(operation), Some(step));
        host.finish(operation, Outcome::Ok);
        assert_eq!((host.counts(), host.stats().idle, host.stats().invalidated), (counts(1, 1, 0, 0), 1, 0));
    }
}

#[test]
fn a_busy_connection_that_does_not_come_to_rest_is_terminated_and_its_slot_serves_the_next() {
    let mut host = host();
    let operation = give_back(&mut host, Condition::Busy);
    let waiter = host.connect();
    expire_after(&mut host, operation, 100.0);
    host.finish(operation, Outcome::TimedOut);
    assert_eq!(host.steps(), [HostStep::Terminate(A)]);
    host.finish(operation, Outcome::Ok);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Open));
}

#[test]
fn without_a_return_timeout_driver_timeout_bounds_a_busy_connection() {
    for (return_timeout_ms, driver_timeout_ms) in [(f64::INFINITY, 300.0), (5_000.0, 300.0)] {
        let mut host = Host::new(Settings { return_timeout_ms, driver_timeout_ms, ..sized(1, 0) });
        let operation = give_back(&mut host, Condition::Busy);
        assert!(host.is_released(operation));
        expire_after(&mut host, operation, 300.0);
    }
}

#[test]
fn the_reset_listeners_of_a_busy_connection_have_the_same_time() {
    let mut host = host();
    host.listen(&[Event::Reset]);
    let operation = give_back(&mut host, Condition::Busy);
    assert_eq!(host.step(operation), Some(emit(Event::Reset, 0)));
    expire_after(&mut host, operation, 100.0);
    host.finish(operation, Outcome::TimedOut);
    assert_eq!(host.steps(), [HostStep::Terminate(A)]);
}

#[test]
fn the_reset_after_the_listeners_of_a_busy_connection_has_the_same_time() {
    let mut host = host();
    host.listen(&[Event::Reset]);
    let operation = give_back(&mut host, Condition::Busy);
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.step(operation), Some(HostStep::Rollback(A)));
    expire_after(&mut host, operation, 100.0);
}

#[test]
fn a_busy_connection_that_is_not_reset_is_pinged_to_see_it_at_rest() {
    for (outcome, kept) in [(Outcome::Ok, true), (Outcome::Failed, false), (Outcome::Disconnected, false)] {
        let mut host = Host::new(impatient(plain(1, 0)));
        let operation = give_back(&mut host, Condition::Busy);
        assert_eq!(host.step(operation), Some(HostStep::Ping(A)));
        host.finish(operation, outcome);
        host.run();
        assert_eq!((host.stats().idle == 1, host.stats().invalidated == 0), (kept, kept), "{outcome:?}");
    }
    let mut host = Host::new(impatient(plain(1, 0)));
    let operation = give_back(&mut host, Condition::Busy);
    expire_after(&mut host, operation, 100.0);
    host.finish(operation, Outcome::TimedOut);
    assert_eq!(host.steps(), [HostStep::Terminate(A)]);
}

#[test]
fn a_statement_that_was_given_up_is_cancelled_and_its_connection_is_reset_and_kept() {
    let mut host = host();
    let operation = give_back(&mut host, Condition::GivenUp);
    assert_eq!(host.step(operation), Some(HostStep::Cancel(A)));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.step(operation), Some(HostStep::Rollback(A)));
    host.finish(operation, Outcome::Ok);
    assert_eq!((host.stats().idle, host.stats().invalidated, host.stats().opened), (1, 0, 1));
}

#[test]
fn a_statement_that_was_given_up_and_cannot_be_cancelled_costs_its_connection() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = host();
        let operation = give_back(&mut host, Condition::GivenUp);
        if outcome == Outcome::TimedOut {
            expire_after(&mut host, operation, 100.0);
        }
        host.finish(operation, outcome);
        assert_eq!(host.steps(), [HostStep::Terminate(A)]);
    }
}

#[test]
fn a_cancelled_statement_that_does_not_come_to_rest_costs_its_connection() {
    let mut host = host();
    let operation = give_back(&mut host, Condition::GivenUp);
    host.finish(operation, Outcome::Ok);
    expire_after(&mut host, operation, 100.0);
    host.finish(operation, Outcome::TimedOut);
    assert_eq!(host.steps(), [HostStep::Terminate(A)]);
}

#[test]
fn a_stuck_or_lost_connection_is_terminated_without_a_reset() {
    for condition in [Condition::Stuck, Condition::Lost] {
        for settings in [sized(1, 0), plain(1, 0)] {
            let mut host = Host::new(impatient(settings));
            host.listen(&EVENTS);
            let caller = host.connect();
            host.run_operation(caller);
            let operation = host.checkin_as(caller, condition).expect("a step");
            assert_eq!(host.step(operation), Some(emit(Event::Invalidate, 0)));
            host.take_log();
            let steps = host.run_steps();
            assert_eq!(steps[..2], [emit(Event::Close, 0), HostStep::Terminate(A)]);
            assert_eq!((host.counts(), host.stats().invalidated), (counts(1, 1, 0, 0), 1));
        }
    }
}

#[test]
fn the_caller_of_a_connection_that_is_not_at_rest_waits_for_nothing() {
    for condition in CONDITIONS {
        let mut host = host();
        let operation = give_back(&mut host, condition);
        assert!(host.is_released(operation), "{condition:?}");
        assert!(!host.pool.is_attended());
        host.run();
        assert!(host.has_ended(operation));
    }
}

#[test]
fn a_return_of_a_connection_at_rest_holds_its_caller_for_return_timeout_at_most() {
    let mut host = host();
    let operation = give_back(&mut host, Condition::Open);
    assert!(!host.is_released(operation));
    host.pass(latest_ms(100.0));
    assert!(host.is_released(operation) && !host.has_expired(operation));
    // The reset goes on for what is left of the driver's time.
    host.pass(4_800.0);
    assert!(!host.has_expired(operation), "early");
    host.pass(latest_ms(4_900.0) - 4_800.0);
    assert!(host.has_expired(operation), "late");
    host.finish(operation, Outcome::TimedOut);
    assert_eq!(host.steps(), [HostStep::Terminate(A)]);
}

#[test]
fn a_return_that_its_caller_left_puts_the_connection_back_when_it_has_ended() {
    let mut host = host();
    let operation = give_back(&mut host, Condition::Open);
    let waiter = host.connect();
    host.pass(latest_ms(100.0));
    host.finish(operation, Outcome::Ok);
    assert!(host.has_lease(waiter));
    assert_eq!(host.connection(waiter), A);
}

#[test]
fn each_step_of_a_return_holds_its_caller_for_return_timeout_at_most() {
    for (event, steps_before) in [(Event::Reset, 0), (Event::Checkin, 1)] {
        let mut host = host();
        host.listen(&[event]);
        let operation = give_back(&mut host, Condition::Open);
        for _ in 0..steps_before {
            host.finish(operation, Outcome::Ok);
        }
        host.pass(latest_ms(100.0));
        assert!(host.is_released(operation) && !host.has_expired(operation), "{event:?}");
        host.run();
        assert!(host.has_ended(operation));
    }
}

#[test]
fn an_invalidation_and_the_close_of_a_detached_connection_hold_their_caller_no_longer() {
    let mut host = host();
    let caller = host.lend();
    let invalidation = host.invalidate(caller);
    host.pass(latest_ms(100.0));
    assert!(host.is_released(invalidation));
    host.run();
    let caller = host.lend();
    let detached = host.detach(caller);
    host.close_detached(detached, false, false);
    host.pass(latest_ms(100.0));
    assert!(host.is_released(detached));
    host.run();
    assert!(host.has_ended(detached));
}

#[test]
fn a_record_close_and_a_warm_up_hold_their_caller_to_the_end() {
    let mut host = host();
    let caller = host.lend();
    host.give_back(caller);
    let close = host.close_record(A, false).expect("a close");
    host.pass(1_000.0);
    assert!(!host.is_released(close));
    host.finish(close, Outcome::Ok);
    host.warm(1);
    let opening = host.operations().last().expect("an opening");
    host.pass(1_000.0);
    assert!(!host.is_released(opening) && host.pool.is_attended());
}

#[test]
fn without_a_return_timeout_a_return_holds_its_caller_until_driver_timeout() {
    let settings = Settings { return_timeout_ms: f64::INFINITY, driver_timeout_ms: 300.0, ..sized(1, 0) };
    let mut host = Host::new(settings);
    let operation = give_back(&mut host, Condition::Open);
    expire_after(&mut host, operation, 300.0);
    assert!(!host.is_released(operation));
}

#[test]
fn without_a_driver_timeout_a_return_still_lets_its_caller_go() {
    let mut host = Host::new(Settings { return_timeout_ms: 100.0, driver_timeout_ms: f64::INFINITY, ..sized(1, 0) });
    let operation = give_back(&mut host, Condition::Open);
    host.pass(latest_ms(100.0));
    assert!(host.is_released(operation));
    host.pass(1_000_000.0);
    assert!(!host.has_expired(operation) && !host.has_timer());
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn a_detached_connection_that_is_busy_is_reset_and_closed_within_return_timeout() {
    let mut host = host();
    let caller = host.lend();
    let detached = host.detach(caller);
    host.close_detached_as(detached, Condition::Busy, false);
    assert!(host.is_released(detached));
    assert_eq!(host.step(detached), Some(HostStep::Rollback(A)));
    expire_after(&mut host, detached, 100.0);
    host.finish(detached, Outcome::TimedOut);
    assert_eq!(host.steps(), [HostStep::Terminate(A)]);
}

#[test]
fn a_detached_connection_that_would_not_come_to_rest_is_terminated_at_once() {
    for condition in [Condition::GivenUp, Condition::Stuck, Condition::Lost] {
        let mut host = host();
        let caller = host.lend();
        let detached = host.detach(caller);
        host.close_detached_as(detached, condition, false);
        assert_eq!(host.steps(), [HostStep::Terminate(A)]);
        assert!(host.is_released(detached));
        host.finish(detached, Outcome::Ok);
    }
}

#[test]
fn the_condition_of_a_shared_connection_counts_at_its_last_return() {
    let mut host = Host::new(impatient(of_kind(Kind::Static)));
    let (first, last) = (host.lend(), host.lend());
    assert_eq!(host.checkin_as(first, Condition::Stuck), None, "another caller uses it");
    let operation = host.checkin_as(last, Condition::Stuck).expect("a step");
    assert_eq!(host.step(operation), Some(HostStep::Terminate(A)));
}

#[test]
fn a_sharer_whose_connection_is_lost_ends_it_for_all() {
    for condition in [Condition::GivenUp, Condition::Lost] {
        let mut host = Host::new(impatient(of_kind(Kind::Static)));
        let (first, _) = (host.lend(), host.lend());
        let operation = host.checkin_beside_others(first, condition).expect("a step");
        assert_eq!(host.step(operation), Some(HostStep::Terminate(A)), "{condition:?}");
        host.run();
        let next = host.lend();
        assert_eq!(host.connection(next), Connection(1));
    }
}

#[test]
fn a_close_that_has_not_ended_keeps_its_slot_until_it_has() {
    let mut host = Host::new(impatient(plain(1, 0)));
    let operation = give_back(&mut host, Condition::Stuck);
    let waiter = host.connect();
    expire_after(&mut host, operation, 5_000.0);
    host.finish(operation, Outcome::StillOpen);
    assert!(matches!(host.stage(operation), Stage::StillOpen(_)));
    assert_eq!(host.stage(waiter), Stage::Queued);
    assert_eq!((host.stats().used, host.stats().total), (1, 1));
    host.pass(1_000_000.0);
    assert_eq!(host.refusal(waiter), Some(Refusal::WaitTimeout));
    assert!(!host.has_timer());
    let next = host.connect();
    host.finish(operation, Outcome::Ok);
    host.wake(next);
    assert_eq!(host.step(next), Some(HostStep::Open));
}

#[test]
fn a_checkout_whose_old_connection_does_not_end_is_refused_and_opens_nothing() {
    let mut host = Host::new(impatient(plain(1, 0)));
    let caller = host.lend();
    host.invalidate_soft(caller);
    host.give_back(caller);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Terminate(A)));
    host.finish(next, Outcome::StillOpen);
    assert_eq!(host.refusal(next), Some(Refusal::OpenTimeout));
    assert_eq!(host.stats().timed_out, 1);
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.finish(next, Outcome::Failed);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Open));
}

#[test]
fn a_return_whose_connection_does_not_end_lets_its_caller_go() {
    let mut host = Host::new(Settings { return_timeout_ms: f64::INFINITY, ..plain(1, 0) });
    let caller = host.lend();
    let operation = host.invalidate(caller);
    host.finish(operation, Outcome::StillOpen);
    assert!(host.is_released(operation));
    host.finish(operation, Outcome::Ok);
    assert!(host.has_ended(operation));
}

#[test]
fn a_pool_that_closes_waits_for_a_busy_return() {
    let mut host = host();
    let operation = give_back(&mut host, Condition::Busy);
    let close = host.close(Span::Millis(10_000));
    assert_eq!(host.stage(close), Stage::Draining);
    host.finish(operation, Outcome::Ok);
    host.run();
    assert!(host.has_ended(close));
    host.assert_nothing_is_left();
}

#[test]
fn return_timeout_is_a_span() {
    for (return_timeout_ms, is_valid) in [(0.0, true), (f64::INFINITY, true), (-1.0, false), (f64::NAN, false)] {
        let checked = Config::new(&Settings { return_timeout_ms, ..Settings::default() });
        let violation = Violation { option: "returnTimeout" };
        assert_eq!(checked.err(), (!is_valid).then_some(violation), "{return_timeout_ms}");
    }
}
