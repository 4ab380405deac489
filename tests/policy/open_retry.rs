//! `openRetry`: an opening that failed with an error that may pass is tried again while its caller has time. Openings
//! that fail are spaced out, for all callers.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, emit, of_kind, plain};
use edgepool::policy::{Begin, Condition, Config, Event, Kind, Outcome, Pool, Refusal, Settings, Span, Violation};

fn retrying(pool_size: u32) -> Settings {
    Settings { open_retry: f64::INFINITY, timeout_ms: 5000.0, ..plain(pool_size, 0) }
}

fn creators(host: &Host) -> Vec<Operation> {
    host.operations().filter(|&it| host.step(it) == Some(HostStep::Open)).collect()
}

/// Lets creators fail, with callers every 10 ms, for this long. Returns how many were called.
fn attempts(host: &mut Host, outcome: Outcome, ms: u32) -> usize {
    let mut called = 0;
    for _ in 0..ms / 10 {
        host.connect();
        loop {
            let woken = host.operations().find(|&it| host.stage(it) == Stage::Woken);
            if let Some(operation) = woken {
                host.wake(operation);
            } else if let Some(&operation) = creators(host).first() {
                called += 1;
                host.finish(operation, outcome);
            } else {
                break;
            }
        }
        host.pass(10.0);
    }
    called
}

#[test]
fn a_caller_is_served_by_a_later_attempt() {
    let mut host = Host::new(retrying(1));
    let caller = host.connect();
    host.finish(caller, Outcome::Unavailable);
    assert_eq!((host.is_settled(caller), creators(&host).len()), (false, 0), "not at once");
    host.pass(60.0);
    host.run();
    assert_eq!((host.connection(caller), host.stats().open_failed), (Connection(0), 1));
}

#[test]
fn without_it_every_failure_refuses_its_caller() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    host.finish(caller, Outcome::Unavailable);
    assert_eq!(host.refusal(caller), Some(Refusal::Failed));
    let caller = host.connect();
    assert_eq!(host.step(caller), Some(HostStep::Open), "and delays none");
}

#[test]
fn a_pool_with_a_deadline_tries_again_unless_it_is_told_not_to() {
    let limited = Settings { deadline_ms: 1000.0, ..plain(1, 0) };
    for (settings, is_settled) in [(limited.clone(), false), (Settings { open_retry: 0.0, ..limited }, true)] {
        let mut host = Host::new(settings);
        let caller = host.connect_within(None, None);
        host.finish(caller, Outcome::Unavailable);
        assert_eq!(host.is_settled(caller), is_settled);
    }
}

#[test]
fn while_openings_fail_one_creator_at_a_time_tries() {
    let mut host = Host::new(retrying(10));
    let callers: Vec<Operation> = (0..5).map(|_| host.connect()).collect();
    for &caller in &callers {
        host.finish(caller, Outcome::Unavailable);
    }
    host.pass(60.0);
    host.wake(callers[0]);
    assert_eq!(creators(&host), [callers[0]]);
    host.finish(callers[0], Outcome::Ok);
    for &caller in &callers[1..] {
        host.wake(caller);
    }
    assert_eq!(creators(&host).len(), 4, "a success lets all of them open");
}

#[test]
fn the_pauses_double_from_50_ms_to_a_second_less_up_to_half_at_random() {
    for random in [0.0, 0.5, 1.0] {
        let mut host = Host::new(retrying(1));
        host.pool.set_random(random);
        let caller = host.connect_within(Some(Span::Millis(60_000)), None);
        for pause_ms in [50.0, 100.0, 200.0, 400.0, 800.0, 1000.0, 1000.0] {
            host.finish(caller, Outcome::Unavailable);
            let failed_at = host.now;
            while host.stage(caller) != Stage::Woken {
                host.pass(1.0);
            }
            let expected = pause_ms * (1.0 - random / 2.0);
            let took = host.now - failed_at;
            assert!((expected - 1.0..=expected * 1.05 + 12.0).contains(&took), "{took} ms instead of {expected}");
            host.wake(caller);
        }
    }
}

#[test]
fn an_outage_of_a_second_under_load_costs_few_attempts_and_no_caller() {
    let mut host = Host::new(retrying(10));
    let called = attempts(&mut host, Outcome::Unavailable, 1000);
    assert!(called < 10, "{called}");
    assert_eq!(host.stats().timed_out, 0);
    host.pass(1100.0);
    host.return_everything();
    assert_eq!(host.stats().checkouts, 100);
}

#[test]
fn a_pause_wants_its_timer_though_the_last_waiter_left_in_the_call_in_which_it_began() {
    let config = Config::new(&Settings { open_retry: 1.0, ..retrying(1) }).expect("good settings");
    let mut pool = Pool::new(config);
    let Begin::Pending(caller) = pool.begin_checkout(None) else { panic!("it opens") };
    pool.resume(caller);
    let Begin::Pending(_) = pool.begin_checkout(None) else { panic!("it waits") };
    // No tick has set a timer yet.
    pool.advance(caller, Outcome::Failed);
    assert_eq!(pool.stats().waiting, 0);
    assert!(pool.tick_wanted());
}

#[test]
fn a_wrong_password_under_load_costs_a_handful_of_attempts() {
    let mut host = Host::new(retrying(10));
    let called = attempts(&mut host, Outcome::Failed, 5000);
    assert!((5..20).contains(&called), "{called}");
    let refused = host.operations().filter(|&it| host.refusal(it) == Some(Refusal::Failed)).count();
    assert_eq!(refused, 500, "each has the error, most without an attempt of their own");
}

#[test]
fn an_error_that_does_not_pass_refuses_nobody_that_a_returned_connection_may_serve() {
    let mut host = Host::new(retrying(2));
    let holder = host.lend();
    let (opener, waiter) = (host.connect(), host.connect());
    host.finish(opener, Outcome::Failed);
    assert_eq!((host.refusal(opener), host.stage(waiter)), (Some(Refusal::Failed), Stage::Queued));
    let other = host.connect();
    host.give_back(holder);
    host.give_back(waiter);
    assert!(host.has_lease(other));
}

#[test]
fn a_count_bounds_the_retries_in_a_row() {
    let mut host = Host::new(Settings { open_retry: 2.0, ..retrying(1) });
    let (caller, waiter) = (host.connect(), host.connect());
    for _ in 0..2 {
        host.finish(caller, Outcome::Unavailable);
        assert!(!host.is_settled(caller));
        host.pass(120.0);
        host.wake(caller);
    }
    host.finish(caller, Outcome::Unavailable);
    assert_eq!((host.refusal(caller), host.refusal(waiter)), (Some(Refusal::Failed), Some(Refusal::Failed)));
    let later = host.connect();
    assert_eq!(host.refusal(later), Some(Refusal::Failed), "without an attempt of its own");
    host.pass(300.0);
    host.lend();
}

#[test]
fn its_time_is_its_timeout_from_when_it_came() {
    let mut host = Host::new(retrying(1));
    let caller = host.connect_within(Some(Span::Millis(300)), None);
    let mut waited = 0.0;
    while !host.is_settled(caller) {
        if let Some(&operation) = creators(&host).first() {
            host.finish(operation, Outcome::Unavailable);
        }
        host.pass(10.0);
        waited += 10.0;
        if host.stage(caller) == Stage::Woken && !host.is_settled(caller) {
            host.wake(caller);
        }
    }
    assert!((300.0..340.0).contains(&waited), "{waited}");
    assert!(host.refusal(caller).is_some_and(|refusal| refusal == Refusal::WaitDeadline));
}

#[test]
fn a_waiter_keeps_what_is_left_of_its_time() {
    let mut host = Host::new(Settings { timeout_ms: 1000.0, ..retrying(1) });
    let holder = host.lend();
    let waiter = host.connect();
    host.pass(900.0);
    let invalidation = host.invalidate(holder);
    host.run_operation(invalidation);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Open));
    host.pass(130.0);
    assert_eq!(host.refusal(waiter), Some(Refusal::OpenDeadline));
    host.run();
}

#[test]
fn a_waiter_with_a_timeout_of_its_own_has_that_for_its_opening() {
    for (timeout, is_refused) in [(Span::Forever, false), (Span::Millis(300), true), (Span::Millis(5000), false)] {
        let mut host = Host::new(Settings { timeout_ms: 1000.0, ..retrying(1) });
        let holder = host.lend();
        let waiter = host.connect_within(Some(timeout), None);
        let invalidation = host.invalidate(holder);
        host.run_operation(invalidation);
        host.wake(waiter);
        assert_eq!(host.step(waiter), Some(HostStep::Open));
        for (ms, is_over) in [(290.0, false), (40.0, is_refused), (2000.0, is_refused)] {
            host.pass(ms);
            assert_eq!(host.is_settled(waiter), is_over, "{timeout:?}");
        }
        host.run();
    }
}

#[test]
fn a_caller_that_goes_on_with_what_came_back_keeps_its_time() {
    for (timeout, is_refused) in [(Span::Forever, false), (Span::Millis(300), true)] {
        // It waits for its creator, or for its turn to call it.
        for is_reserved in [false, true] {
            let mut host = Host::new(Settings { timeout_ms: 1000.0, ..retrying(2) });
            host.listen(&[Event::Checkout]);
            let (first, second) = (host.lend(), host.lend());
            let caller = if is_reserved { Some(host.connect_within(Some(timeout), None)) } else { None };
            let invalidation = host.invalidate(second);
            host.run_operation(invalidation);
            let caller = caller.unwrap_or_else(|| host.connect_within(Some(timeout), None));
            host.give_back(first);
            host.wake(caller);
            assert_eq!(host.step(caller), Some(emit(Event::Checkout, 0)));
            host.finish(caller, Outcome::Disconnected);
            host.finish(caller, Outcome::Ok);
            assert_eq!(host.step(caller), Some(HostStep::Open));
            host.pass(2000.0);
            assert_eq!(host.is_settled(caller), is_refused, "{timeout:?}");
            host.run();
        }
    }
}

#[test]
fn a_caller_that_shares_has_its_own_time_and_not_that_of_another() {
    let settings = of_kind(Kind::Static);
    let mut host = Host::new(Settings { open_retry: f64::INFINITY, pre_ping: Some(true), ..settings });
    let holder = host.lend();
    let caller = host.connect();
    let other = host.connect_within(Some(Span::Millis(0)), None);
    host.run_operation(other);
    for sharer in [other, holder] {
        host.checkin_beside_others(sharer, Condition::Clean);
    }
    host.finish(caller, Outcome::Disconnected);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.step(caller), Some(HostStep::Open));
    host.finish(caller, Outcome::Unavailable);
    assert!(!host.is_settled(caller));
    host.pass(60.0);
    host.run();
}

#[test]
fn a_creator_that_hangs_is_given_up_and_its_caller_has_another_attempt() {
    let mut host = Host::new(Settings { open_timeout_ms: 100.0, ..retrying(1) });
    let caller = host.connect();
    host.pass(110.0);
    assert!(host.has_expired(caller));
    host.finish(caller, Outcome::TimedOut);
    let late = host.take_splits()[0].1;
    assert_eq!((host.is_settled(caller), host.stage(late)), (false, Stage::Late));
    host.pass(60.0);
    host.run_operation(caller);
    assert_eq!(host.connection(caller), Connection(0));
    host.finish(late, Outcome::LateOk);
    host.run();
    assert!(!host.is_open(Connection(1)), "what it opens is closed");
}

#[test]
fn a_hanging_creator_holds_up_no_attempt() {
    let mut host = Host::new(retrying(10));
    let (hanging, caller) = (host.connect(), host.connect());
    host.finish(caller, Outcome::Unavailable);
    host.pass(60.0);
    host.wake(caller);
    assert_eq!(creators(&host), [hanging, caller]);
    host.run();
}

#[test]
fn a_caller_that_waits_for_an_attempt_may_leave_and_is_served_by_what_comes_back() {
    let mut host = Host::new(retrying(3));
    let holder = host.lend();
    let (leaver, caller) = (host.connect(), host.connect());
    host.finish(leaver, Outcome::Unavailable);
    host.finish(caller, Outcome::Unavailable);
    assert!(host.abort(leaver));
    host.give_back(holder);
    assert!(host.has_lease(caller));
    host.run();
    assert_eq!(host.stats().opening, 0);
}

#[test]
fn a_close_refuses_those_that_wait_for_an_attempt() {
    let mut host = Host::new(retrying(1));
    let caller = host.connect();
    host.finish(caller, Outcome::Unavailable);
    host.close(Span::Forever);
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
    host.run();
    host.assert_nothing_is_left();
}

#[test]
fn what_is_no_count_is_refused() {
    for most in [-2.0, 0.5, f64::NAN] {
        let settings = Settings { open_retry: most, ..plain(1, 0) };
        assert_eq!(Config::new(&settings).err(), Some(Violation { option: "openRetry" }));
    }
}
