//! `resize()` changes `poolSize`, `maxOverflow` and `minIdle` of a running pool. A pool that grows serves its waiters
//! in the same call. One that shrinks closes surplus idle connections at once, and the others at their return.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, counts, plain, sized};
use edgepool::policy::{Begin, Config, Outcome, Scopes, Settings, Sizes, Span, Step, Violation};

#[test]
fn a_pool_that_grows_serves_its_waiters_in_order_and_at_once() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    let waiters: Vec<Operation> = (0..4).map(|_| host.connect()).collect();
    host.resize(2, 1, 0);
    assert_eq!(host.stats().waiting, 2);
    host.run();
    let served: Vec<bool> = waiters.iter().map(|&waiter| host.has_lease(waiter)).collect();
    assert_eq!(served, [true, true, false, false]);
    assert_eq!((host.counts(), host.stats().max), (counts(2, 0, 1, 3), 3.0));
}

#[test]
fn a_pool_without_a_limit_serves_all_of_them() {
    for (pool_size, max_overflow) in [(0, 0), (1, -1)] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        let waiters: Vec<Operation> = (0..4).map(|_| host.connect()).collect();
        host.resize(pool_size, max_overflow, 0);
        host.run();
        assert!(waiters.iter().all(|&waiter| host.has_lease(waiter)));
        assert_eq!(host.stats().max, f64::INFINITY);
    }
}

#[test]
fn a_pool_that_shrinks_closes_surplus_idle_connections_at_once_the_longest_idle_first() {
    for use_lifo in [false, true] {
        let mut host = Host::new(Settings { use_lifo: Some(use_lifo), ..plain(4, 0) });
        let callers: Vec<Operation> = (0..4).map(|_| host.lend()).collect();
        for place in [2, 0, 3, 1] {
            host.give_back(callers[place]);
        }
        host.resize(2, 0, 0);
        assert_eq!(host.steps(), [HostStep::Close(Connection(2)), HostStep::Close(Connection(0))]);
        host.run();
        assert_eq!((host.counts(), host.stats().idle), (counts(2, 2, 0, 0), 2));
    }
}

#[test]
fn idle_connections_go_before_leases_and_leases_at_their_return_also_if_callers_wait() {
    let mut host = Host::new(plain(4, 0));
    let [a, b, c, d] = [host.lend(), host.lend(), host.lend(), host.lend()];
    host.give_back(d);
    host.resize(2, 0, 0);
    assert_eq!(host.steps(), [HostStep::Close(Connection(3))]);
    host.run();
    let waiter = host.connect();
    let close = host.checkin(a, true).expect("a close");
    assert_eq!(host.step(close), Some(HostStep::Close(Connection(0))));
    host.run();
    assert_eq!((host.stage(waiter), host.stats().total), (Stage::Queued, 2));
    assert_eq!(host.checkin(b, true), None);
    assert!(host.has_lease(waiter), "the pool is within its sizes");
    host.give_back(c);
    host.give_back(waiter);
    assert_eq!((host.counts(), host.open_connections()), (counts(2, 2, 0, 0), 2));
}

#[test]
fn no_more_are_closed_than_is_needed_and_those_that_end_for_another_reason_count() {
    let mut host = Host::new(plain(4, 0));
    let callers: Vec<Operation> = (0..4).map(|_| host.lend()).collect();
    host.resize(2, 0, 0);
    host.invalidate(callers[0]);
    host.run();
    assert_eq!(host.stats().total, 3, "the emptied slot is not kept");
    let close = host.checkin(callers[1], true).expect("a close");
    assert_eq!(host.step(close), Some(HostStep::Close(Connection(1))));
    assert_eq!([2, 3].map(|place| host.checkin(callers[place], true)), [None; 2], "the other still closes");
    host.run();
    assert_eq!((host.open_connections(), host.counts()), (2, counts(2, 2, 0, 0)));
}

#[test]
fn overflow_that_is_taken_away_is_closed_at_its_return_and_the_others_stay() {
    let mut host = Host::new(plain(1, 2));
    let callers: Vec<Operation> = (0..3).map(|_| host.lend()).collect();
    host.resize(1, 0, 0);
    assert_eq!((host.counts(), host.stats().max), (counts(1, 0, 2, 3), 1.0));
    callers.into_iter().for_each(|caller| host.give_back(caller));
    assert_eq!((host.counts(), host.open_connections()), (counts(1, 1, 0, 0), 1));
}

#[test]
fn an_opening_beyond_the_new_size_serves_its_caller_and_is_closed_at_its_return() {
    let mut host = Host::new(plain(2, 0));
    let [a, b] = [host.connect(), host.connect()];
    host.resize(1, 0, 0);
    host.run();
    assert!(host.has_lease(a) && host.has_lease(b));
    host.give_back(a);
    host.give_back(b);
    assert_eq!(host.open_connections(), 1);
}

#[test]
fn an_opening_beyond_the_new_size_without_its_caller_is_closed() {
    let mut host = Host::new(plain(2, 0));
    let [a, b] = [host.connect(), host.connect()];
    host.abort(a);
    host.resize(1, 0, 0);
    host.finish(a, Outcome::Ok);
    assert_eq!(host.step(a), Some(HostStep::Close(Connection(0))));
    host.run();
    assert!(host.has_lease(b));
}

#[test]
fn no_emptied_slot_is_opened_while_connections_that_close_take_the_maximum() {
    for min in [0.0, 2.0] {
        let mut host = Host::new(Settings { min, ..plain(3, 0) });
        let mut callers = vec![host.lend()];
        host.run();
        callers.extend([host.lend(), host.lend()]);
        let emptied = host.close_record(host.connection(callers[0]), true).expect("an end");
        host.run_operation(emptied);
        host.checkin(callers[1], true);
        // One slot is being closed, one is empty and one is lent.
        host.dispose();
        host.checkin(callers[0], true);
        host.resize(2, 0, 0);
        let waiter = host.connect();
        assert_eq!((host.stage(waiter), host.open_connections()), (Stage::Queued, 2));
        host.run();
        assert!(host.has_lease(waiter));
    }
}

#[test]
fn a_pool_that_grows_again_keeps_what_it_has_not_closed_yet() {
    let mut host = Host::new(sized(3, 0));
    let callers: Vec<Operation> = (0..3).map(|_| host.lend()).collect();
    host.resize(1, 0, 0);
    host.resize(3, 0, 0);
    callers.into_iter().for_each(|caller| host.give_back(caller));
    assert_eq!((host.open_connections(), host.counts()), (3, counts(3, 3, 0, 0)));
}

#[test]
fn the_common_checkouts_and_returns_are_as_before_once_the_pool_is_within_its_sizes() {
    let mut host = Host::new(plain(3, 0));
    let callers: Vec<Operation> = (0..3).map(|_| host.lend()).collect();
    host.resize(1, 0, 0);
    assert_eq!(host.pool.checkin_at_once(host.lease(callers[0]), true), None, "each return is looked at");
    callers.into_iter().for_each(|caller| host.give_back(caller));
    assert!(matches!(host.pool.checkout_at_once(), Some(Begin::Granted(_))));
}

#[test]
fn a_lower_min_idle_closes_what_was_kept_for_it_and_a_higher_one_opens_nothing() {
    let mut host = Host::new(Settings { idle_timeout_ms: 1000.0, min_idle: 2.0, ..plain(3, 0) });
    let callers: Vec<Operation> = (0..3).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    host.pass(5000.0);
    host.run();
    assert_eq!(host.stats().idle, 2);
    host.resize(3, 0, 1);
    assert_eq!(host.steps(), [HostStep::Close(Connection(1))]);
    host.run();
    host.resize(3, 0, 3);
    assert_eq!((host.steps(), host.stats().idle), (vec![], 1));
}

#[test]
fn a_size_that_breaks_its_rule_is_named_and_nothing_changes() {
    let mut host = Host::new(plain(2, 0));
    let before = host.counts();
    for (sizes, option) in [
        (Sizes { pool_size: Some(-1.0), ..Sizes::default() }, "poolSize"),
        (Sizes { pool_size: Some(7.0), max_overflow: Some(0.5), ..Sizes::default() }, "maxOverflow"),
        (Sizes { pool_size: Some(7.0), min_idle: Some(f64::NAN), ..Sizes::default() }, "minIdle"),
        (Sizes { pool_size: Some(7.0), min: Some(-0.5), ..Sizes::default() }, "min"),
        (Sizes { pool_size: Some(7.0), idle_timeout_ms: Some(-1.0), ..Sizes::default() }, "idleTimeout"),
        (Sizes { pool_size: Some(7.0), max_uses: Some(0.0), ..Sizes::default() }, "maxUses"),
        (Sizes { pool_size: Some(7.0), max_age_ms: Some(0.0), ..Sizes::default() }, "maxAge"),
    ] {
        assert_eq!(host.pool.resize(sizes), Err(Violation { option }));
        assert_eq!((host.counts(), host.stats().max), (before, 2.0));
    }
}

#[test]
fn what_is_not_given_stays() {
    let mut host = Host::new(plain(2, 3));
    assert_eq!(host.pool.resize(Sizes::default()), Ok(()));
    assert_eq!(host.stats().max, 5.0);
    assert_eq!(host.pool.resize(Sizes { pool_size: Some(4.0), ..Sizes::default() }), Ok(()));
    assert_eq!((host.stats().max, host.counts().size), (7.0, 4));
    assert_eq!(host.pool.resize(Sizes { max_overflow: Some(0.0), ..Sizes::default() }), Ok(()));
    assert_eq!(host.stats().max, 4.0);
}

#[test]
fn a_pool_that_closes_or_drains_stays_closed_with_other_sizes() {
    for drains in [false, true] {
        let mut host = Host::new(plain(1, 0));
        let holder = host.lend();
        let waiter = host.connect();
        let closing = if drains { host.drain(Span::Millis(60_000)) } else { host.close(Span::Millis(60_000)) };
        host.resize(3, 0, 0);
        assert_eq!(host.stage(waiter) == Stage::Woken, drains);
        let late = host.connect();
        assert!(host.is_settled(late));
        host.run();
        host.give_back(holder);
        if drains {
            host.give_back(waiter);
        }
        host.run();
        assert!(host.has_ended(closing));
        assert_eq!(host.open_connections(), 0);
    }
}

#[test]
fn every_scope_of_the_pool_follows_and_keeps_what_is_its_own() {
    let mut scopes = Scopes::new();
    let config = |max_overflow| Config::new(&plain(1, max_overflow)).expect("good settings");
    let first = scopes.begin(config(10));
    let other = scopes.begin_beside(first, config(0), None).expect("a scope");
    let unrelated = scopes.begin(config(10));
    let scope = scopes.get_mut(other).expect("a scope");
    let Begin::Pending(holder) = scope.begin_checkout(None) else { panic!("opens") };
    scope.resume(holder);
    assert!(matches!(scope.advance(holder, Outcome::Ok), Step::Grant(_)));
    let Begin::Pending(waiter) = scope.begin_checkout(None) else { panic!("waits") };
    assert!(scopes.resize(first, Sizes { pool_size: Some(f64::NAN), ..Sizes::default() }).is_err());
    assert_eq!(scopes.resize(first, Sizes { pool_size: Some(2.0), ..Sizes::default() }), Ok(()));
    let most = |scopes: &Scopes, number| scopes.get(number).expect("a scope").stats().max;
    assert_eq!([first, other, unrelated].map(|number| most(&scopes, number)), [12.0, 2.0, 11.0]);
    let scope = scopes.get_mut(other).expect("a scope");
    assert!(scope.take_notice().is_some_and(|(woken, _)| woken == waiter));
}

#[test]
fn with_another_idle_timeout_the_time_of_the_idle_begins_again() {
    let mut host = Host::new(plain(3, 0));
    let [a, b, c] = [host.lend(), host.lend(), host.lend()];
    host.give_back(a);
    host.pass(1_000.0);
    host.change(Sizes { idle_timeout_ms: Some(100.0), ..Sizes::default() });
    host.give_back(b);
    host.pass(50.0);
    host.run();
    assert_eq!(host.stats().idle, 2);
    host.pass(150.0);
    host.run();
    assert_eq!((host.stats().idle, host.open_connections()), (0, 1));
    host.give_back(c);
}

#[test]
fn another_max_uses_holds_from_the_next_return_on() {
    let mut host = Host::new(plain(1, 0));
    let use_it = |host: &mut Host| {
        let caller = host.lend();
        host.give_back(caller);
        host.run();
        host.stats().opened
    };
    assert_eq!([use_it(&mut host), use_it(&mut host)], [1, 1]);
    host.change(Sizes { max_uses: Some(1.0), ..Sizes::default() });
    assert_eq!([(); 3].map(|()| use_it(&mut host)), [1, 2, 3]);
    host.change(Sizes { max_uses: Some(f64::INFINITY), ..Sizes::default() });
    assert_eq!([(); 3].map(|()| use_it(&mut host)), [4; 3]);
}

#[test]
fn another_max_age_is_that_of_connections_that_open_later() {
    let mut host = Host::new(plain(2, 0));
    let first = host.lend();
    host.give_back(first);
    host.change(Sizes { max_age_ms: Some(100.0), ..Sizes::default() });
    let [first, second] = [host.lend(), host.lend()];
    host.give_back(first);
    host.give_back(second);
    host.pass(200.0);
    host.run();
    assert_eq!((host.stats().idle, host.stats().recycled), (1, 1));
}
