//! A close that drains serves the callers that came before it, and then ends the pool. Later callers are refused at
//! once. A further close hastens the first and never lengthens it, whether or not the first drains.

use crate::harness::{Connection, Host, HostStep, LogEntry, Operation, Stage, counts, of_kind, plain, sized};
use crate::timeout::latest_ms;
use edgepool::policy::{
    Begin, Condition, Config, Event, Kind, Notice, Outcome, Refusal, Return, Scopes, Settings, Span, Step,
};

#[test]
fn an_empty_pool_drains_at_once() {
    let mut host = Host::new(plain(1, 0));
    let closing = host.drain(Span::Millis(1000));
    assert!(host.has_ended(closing) && host.pool.is_closed());
    assert!(!host.has_timer());
}

#[test]
fn waiters_are_served_in_order_on_the_same_connection_and_with_the_last_return_the_close_is_over() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiters: Vec<Operation> = (0..3).map(|_| host.connect()).collect();
    let closing = host.drain(Span::Millis(60_000));
    host.give_back(holder);
    for &waiter in &waiters {
        assert_eq!((host.has_lease(waiter), host.connection(waiter)), (true, Connection(0)));
        assert_eq!(host.stage(closing), Stage::Draining);
        let close = host.checkin(waiter, true);
        assert_eq!(close.and_then(|close| host.step(close)).is_some(), waiter == waiters[2]);
    }
    assert_eq!(host.steps(), [HostStep::Close(Connection(0))]);
    host.run();
    assert!(host.has_ended(closing));
    assert_eq!((host.open_connections(), host.has_timer()), (0, false));
}

#[test]
fn a_later_caller_is_refused_at_once_while_others_wait_and_while_none_does() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.drain(Span::Millis(60_000));
    let later = [host.connect(), host.connect_within(Some(Span::Millis(0)), None)];
    host.give_back(holder);
    let last = host.connect();
    for caller in later.into_iter().chain([last]) {
        assert_eq!(host.refusal(caller), Some(Refusal::Closed));
    }
    assert!(host.has_lease(waiter));
    host.give_back(waiter);
    let caller = host.connect();
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
    assert_eq!(host.pool.warm(1, 1), 0);
}

#[test]
fn a_caller_under_way_goes_on_through_every_step_to_its_lease() {
    let settings = Settings { pre_ping: Some(true), ..plain(1, 0) };
    let mut host = Host::new(settings);
    host.listen(&[Event::Connect, Event::Checkout]);
    let opening = host.connect();
    let closing = host.drain(Span::Millis(60_000));
    host.run_operation(opening);
    assert!(host.has_lease(opening));
    host.give_back(opening);
    host.run();
    assert!(host.has_ended(closing));

    let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
    let holder = host.lend();
    host.give_back(holder);
    let pinging = host.connect();
    let closing = host.drain(Span::Millis(60_000));
    host.finish(pinging, Outcome::Disconnected);
    host.run_operation(pinging);
    assert_eq!((host.has_lease(pinging), host.connection(pinging)), (true, Connection(1)));
    host.give_back(pinging);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn a_woken_caller_is_served_and_its_slot_is_not_given_to_another() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let woken = host.connect();
    host.invalidate_soft(holder);
    host.give_back(holder);
    assert_eq!(host.stage(woken), Stage::Woken);
    let closing = host.drain(Span::Millis(60_000));
    host.run_operation(woken);
    assert!(host.has_lease(woken));
    host.give_back(woken);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn idle_connections_are_closed_at_once_and_each_other_one_at_its_return_if_no_caller_waits() {
    let mut host = Host::new(plain(3, 0));
    let [a, b, c] = [host.lend(), host.lend(), host.lend()];
    host.give_back(c);
    let closing = host.drain(Span::Millis(60_000));
    assert_eq!(host.steps(), [HostStep::Close(Connection(2))]);
    host.run();
    host.checkin(a, true);
    assert_eq!(host.steps(), [HostStep::Close(Connection(0))]);
    host.run();
    assert_eq!(host.stage(closing), Stage::Draining);
    host.invalidate(b);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn a_creator_that_fails_refuses_its_own_caller_and_the_next_one_opens() {
    let mut host = Host::new(plain(1, 0));
    let failing = host.connect();
    let waiter = host.connect();
    let closing = host.drain(Span::Millis(60_000));
    host.finish(failing, Outcome::Failed);
    assert_eq!(host.refusal(failing), Some(Refusal::Failed));
    host.run_operation(waiter);
    assert!(host.has_lease(waiter));
    host.give_back(waiter);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn a_waiter_keeps_its_own_time_and_its_signal_and_the_last_that_leaves_ends_the_close() {
    let mut host = Host::new(Settings { timeout_ms: 100.0, ..plain(1, 0) });
    let holder = host.lend();
    let [timed, aborted] = [host.connect(), host.connect()];
    let closing = host.drain(Span::Millis(60_000));
    assert!(host.abort(aborted));
    host.pass(latest_ms(100.0));
    assert_eq!(host.refusal(timed), Some(Refusal::WaitTimeout));
    assert_eq!(host.stage(closing), Stage::Draining);
    host.give_back(holder);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn when_its_time_ends_what_is_left_is_refused_and_terminated() {
    let mut host = Host::new(sized(2, 0));
    host.listen(&[Event::Connect]);
    let holder = host.lend();
    let opening = host.connect();
    let waiter = host.connect();
    let closing = host.drain(Span::Millis(500));
    host.pass(499.9);
    assert_eq!(host.stage(closing), Stage::Draining);
    host.take_log();
    host.pass(latest_ms(500.0) - 499.9);
    assert_eq!(
        host.take_log(),
        [
            LogEntry::Refused(opening, Refusal::Closed),
            LogEntry::Refused(waiter, Refusal::Closed),
            LogEntry::Ended(closing),
            LogEntry::Spawned(Operation(4), HostStep::Terminate(Connection(0))),
        ]
    );
    assert!(!host.pool.is_leased(host.lease(holder)));
    host.run();
    assert_eq!((host.open_connections(), host.counts()), (0, counts(2, 0, -2, 0)));
}

#[test]
fn without_time_it_is_a_close_without_time() {
    let mut host = Host::new(sized(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    let closing = host.drain(Span::Millis(0));
    assert_eq!(host.refusal(waiter), Some(Refusal::Closed));
    assert!(host.has_ended(closing) && !host.pool.is_leased(host.lease(holder)));
    host.run();
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn a_second_close_that_does_not_drain_ends_the_draining_and_refuses_the_waiters() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    let first = host.drain(Span::Millis(60_000));
    let second = host.close(Span::Millis(60_000));
    assert_eq!(host.refusal(waiter), Some(Refusal::Closed));
    assert_eq!([host.stage(first), host.stage(second)], [Stage::Draining; 2]);
    host.give_back(holder);
    host.run();
    assert!(host.has_ended(first) && host.has_ended(second));
}

#[test]
fn a_close_that_drains_does_not_bring_back_what_an_earlier_close_has_refused() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let first = host.close(Span::Millis(60_000));
    let second = host.drain(Span::Millis(60_000));
    let caller = host.connect();
    assert_eq!(host.refusal(caller), Some(Refusal::Closed));
    host.give_back(holder);
    host.run();
    assert!(host.has_ended(first) && host.has_ended(second));
}

#[test]
fn a_second_close_shortens_the_first_and_never_lengthens_it() {
    for drains in [false, true] {
        // Each case: the two times in milliseconds, and when the pool ends, from the second close on.
        for (first_ms, passed_ms, second_ms, left_ms) in
            [(10_000, 4_000, 1_000, 1_000), (10_000, 9_000, 5_000, 1_000), (10_000, 9_900, 60_000, 100)]
        {
            let mut host = Host::new(plain(1, 0));
            let holder = host.lend();
            let begin = |host: &mut Host, ms| {
                if drains { host.drain(Span::Millis(ms)) } else { host.close(Span::Millis(ms)) }
            };
            let first = begin(&mut host, first_ms);
            host.pass(f64::from(passed_ms));
            let second = begin(&mut host, second_ms);
            host.pass(f64::from(left_ms) - 1.0);
            assert_eq!([host.stage(first), host.stage(second)], [Stage::Draining; 2]);
            // As late as a time of its own length may be.
            host.pass(latest_ms(f64::from(passed_ms + left_ms)) - f64::from(passed_ms + left_ms) + 1.0);
            assert!(host.has_ended(first) && host.has_ended(second), "{first_ms} {passed_ms} {second_ms}");
            assert!(!host.pool.is_leased(host.lease(holder)));
            host.run();
            assert!(!host.has_timer());
        }
    }
}

#[test]
fn a_second_close_without_time_ends_the_first_now() {
    for drains in [false, true] {
        let mut host = Host::new(plain(1, 0));
        let holder = host.lend();
        let first = if drains { host.drain(Span::Millis(60_000)) } else { host.close(Span::Millis(60_000)) };
        let second = host.close(Span::Millis(0));
        assert!(host.has_ended(first) && host.has_ended(second));
        assert!(!host.pool.is_leased(host.lease(holder)));
        host.run();
        assert_eq!((host.open_connections(), host.has_timer()), (0, false));
    }
}

#[test]
fn sharers_that_wait_for_the_connection_are_served_before_the_pool_ends() {
    for kind in [Kind::Static, Kind::Singleton] {
        let mut host = Host::new(of_kind(kind));
        let opening = host.connect();
        let waiting = [host.connect(), host.connect()];
        let closing = host.drain(Span::Millis(60_000));
        host.run();
        for caller in [opening].into_iter().chain(waiting) {
            assert!(host.has_lease(caller), "{kind:?}");
            host.give_back(caller);
        }
        host.run();
        assert!(host.has_ended(closing));
        assert_eq!(host.open_connections(), 0);
    }
}

#[test]
fn a_caller_that_waits_for_the_return_of_an_assertion_pool_is_served() {
    let mut host = Host::new(of_kind(Kind::Assertion));
    let holder = host.lend();
    let reset = host.checkin(holder, false).expect("a rollback");
    let waiting = host.connect();
    let closing = host.drain(Span::Millis(60_000));
    host.run_operation(reset);
    host.run_operation(waiting);
    assert!(host.has_lease(waiting));
    host.give_back(waiting);
    host.run();
    assert!(host.has_ended(closing));
}

#[test]
fn a_limit_of_creators_serves_the_admitted_one_after_the_other() {
    let mut host = Host::new(Settings { max_connecting: 1.0, ..plain(3, 0) });
    let holders = [host.lend(), host.lend()];
    for holder in holders {
        host.invalidate_soft(holder);
        host.give_back(holder);
    }
    let callers = [host.connect(), host.connect(), host.connect()];
    let closing = host.drain(Span::Millis(60_000));
    host.run();
    for caller in callers {
        assert!(host.has_lease(caller));
        host.give_back(caller);
    }
    host.run();
    assert!(host.has_ended(closing));
    assert_eq!(host.open_connections(), 0);
}

#[test]
fn each_scope_drains_by_itself_and_a_second_close_reaches_all() {
    let mut scopes = Scopes::new();
    let config = || Config::new(&plain(1, 0)).expect("good settings");
    let first = scopes.begin(config());
    let numbers = [first, scopes.begin_beside(first, config(), None).expect("a scope")];
    let mut leases = Vec::new();
    let mut waiters = Vec::new();
    for number in numbers {
        let scope = scopes.get_mut(number).expect("a scope");
        let Begin::Pending(id) = scope.begin_checkout(None) else { panic!("opens") };
        assert!(matches!(scope.resume(id), Step::Open(_)));
        let Step::Grant(lease) = scope.advance(id, Outcome::Ok) else { panic!("a lease") };
        leases.push(lease);
        let Begin::Pending(waiter) = scope.begin_checkout(None) else { panic!("waits") };
        waiters.push(waiter);
    }
    scopes.close(numbers[1], Span::Millis(60_000), true);
    let first_scope = scopes.get_mut(numbers[0]).expect("a scope");
    assert_eq!(first_scope.begin_checkout(None), Begin::Refused(Refusal::Closed));
    assert_eq!(first_scope.begin_checkin(leases[0], Condition::Clean), Return::Done);
    assert!(matches!(first_scope.take_notice(), Some((waiter, Notice::Grant(_))) if waiter == waiters[0]));
    scopes.close(numbers[0], Span::Millis(0), false);
    let other = scopes.get_mut(numbers[1]).expect("a scope");
    assert_eq!(other.take_notice(), Some((waiters[1], Notice::Reject(Refusal::Closed))));
    for number in numbers {
        let scope = scopes.get_mut(number).expect("a scope");
        let closes = core::iter::from_fn(|| scope.take_notice()).filter(|(_, notice)| *notice == Notice::Done).count();
        assert_eq!(closes, 2, "both closes are over");
    }
}

#[test]
fn a_caller_whose_opening_is_tried_again_is_served_and_waited_for() {
    let retrying = || Settings { open_retry: f64::INFINITY, timeout_ms: 5000.0, ..plain(1, 0) };
    let mut host = Host::new(retrying());
    let callers = [host.connect(), host.connect()];
    host.finish(callers[0], Outcome::Unavailable);
    let closing = host.drain(Span::Millis(60_000));
    assert_eq!((host.stage(closing), host.steps()), (Stage::Draining, vec![]));
    host.pass(100.0);
    host.run();
    for caller in callers {
        assert!(host.has_lease(caller));
        host.give_back(caller);
    }
    host.run();
    assert!(host.has_ended(closing));

    let mut host = Host::new(retrying());
    let caller = host.connect();
    host.finish(caller, Outcome::Unavailable);
    let closing = host.drain(Span::Millis(60_000));
    assert!(host.abort(caller));
    host.run();
    assert!(host.has_ended(closing), "the last caller has left");
    host.assert_nothing_is_left();
}
