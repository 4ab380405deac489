//! Several scopes of one pool: each has its own slots, waiters and times, and all of them share the numbers of the
//! pool. An act on the pool reaches its own scopes in one walk, and no other pool.

use edgepool::policy::{
    Aside, Begin, Condition, Config, Event, Hooks, Kind, LeaseId, Notice, OperationId, Outcome, Pool, Return, Scopes,
    Settings, Span, Step,
};

fn config(settings: &Settings) -> Config {
    Config::new(settings).expect("good settings")
}

fn plain() -> Settings {
    Settings { reset_on_return: Some(edgepool::policy::ResetStyle::None), ..Settings::default() }
}

/// A pool with so many scopes.
fn pool(settings: &Settings, count: u32) -> (Scopes, Vec<u32>) {
    let mut scopes = Scopes::new();
    let first = scopes.begin(config(settings));
    let mut numbers = vec![first];
    for _ in 1..count {
        numbers.push(scopes.begin_beside(first, config(settings), None).expect("the first scope lives"));
    }
    (scopes, numbers)
}

/// Performs the steps of an operation, all of them well; returns the lease, or none at its end.
fn run(scopes: &mut Scopes, number: u32, mut step: Step, id: edgepool::policy::OperationId) -> Option<LeaseId> {
    loop {
        let scope = scopes.get_mut(number).expect("a scope");
        match step {
            Step::Grant(lease) => return Some(lease),
            Step::Done | Step::Share(_) | Step::Wait | Step::Reject(_) => return None,
            _ => step = scope.advance(id, Outcome::Ok),
        }
    }
}

fn drain(scopes: &mut Scopes, number: u32) {
    while scopes.get_mut(number).expect("a scope").take_notice().is_some() {}
    while let Some(aside) = scopes.get_mut(number).expect("a scope").take_aside() {
        let Aside::Spawned(id) = aside else { continue };
        let step = scopes.get_mut(number).expect("a scope").resume(id);
        run(scopes, number, step, id);
    }
}

fn lend(scopes: &mut Scopes, number: u32) -> LeaseId {
    match scopes.get_mut(number).expect("a scope").begin_checkout(None) {
        Begin::Granted(lease) => lease,
        Begin::Pending(id) => {
            let step = scopes.get_mut(number).expect("a scope").resume(id);
            run(scopes, number, step, id).expect("a lease")
        }
        Begin::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn give_back(scopes: &mut Scopes, number: u32, lease: LeaseId) {
    if let Return::Pending(id) = scopes.get_mut(number).expect("a scope").begin_checkin(lease, Condition::Clean) {
        let step = scopes.get_mut(number).expect("a scope").resume(id);
        run(scopes, number, step, id);
    }
    drain(scopes, number);
}

/// Uses the shared connection of a scope once.
fn use_once(scopes: &mut Scopes, number: u32) {
    let Begin::Pending(id) = scopes.get_mut(number).expect("a scope").begin_checkout(None) else {
        panic!("a share has an operation")
    };
    let step = scopes.get_mut(number).expect("a scope").resume(id);
    run(scopes, number, step, id);
    if let Return::Pending(id) = scopes.get_mut(number).expect("a scope").begin_share_return(id, Condition::Clean) {
        let step = scopes.get_mut(number).expect("a scope").resume(id);
        run(scopes, number, step, id);
    }
    drain(scopes, number);
}

fn open(scopes: &mut Scopes, first: u32) -> u32 {
    scopes.stats_everywhere(first, None).expect("the pool").total
}

#[test]
fn an_invalidation_reaches_every_scope_of_the_pool_and_no_other_pool() {
    let (mut scopes, numbers) = pool(&plain(), 3);
    let other = scopes.begin(config(&plain()));
    for &number in numbers.iter().chain([&other]) {
        let lease = lend(&mut scopes, number);
        give_back(&mut scopes, number, lease);
    }
    scopes.invalidate_all(numbers[1]);
    for &number in &numbers {
        assert!(matches!(scopes.get_mut(number).expect("a scope").begin_checkout(None), Begin::Pending(_)), "stale");
    }
    assert!(matches!(scopes.get_mut(other).expect("a scope").begin_checkout(None), Begin::Granted(_)));
}

#[test]
fn the_events_that_have_listeners_are_the_same_in_every_scope() {
    let (mut scopes, numbers) = pool(&plain(), 2);
    scopes.set_hooks(numbers[0], Hooks::from_bits(1 << Event::Connect as u16));
    let late = scopes.begin_beside(numbers[1], config(&plain()), None).expect("a scope");
    for number in [numbers[0], numbers[1], late] {
        let Begin::Pending(id) = scopes.get_mut(number).expect("a scope").begin_checkout(None) else { panic!("opens") };
        assert!(matches!(scopes.get_mut(number).expect("a scope").resume(id), Step::Open(_)));
        let step = scopes.get_mut(number).expect("a scope").advance(id, Outcome::Ok);
        assert!(matches!(step, Step::Emit(Event::Connect, _)));
    }
}

#[test]
fn the_first_connection_of_the_pool_is_presented_once_and_no_scope_waits_for_another() {
    let both = Hooks::from_bits(1 << Event::FirstConnect as u16 | 1 << Event::Connect as u16);
    let (mut scopes, numbers) = pool(&plain(), 2);
    scopes.set_hooks(numbers[0], both);
    let begin = |scopes: &mut Scopes, number| {
        let Begin::Pending(id) = scopes.get_mut(number).expect("a scope").begin_checkout(None) else { panic!("opens") };
        scopes.get_mut(number).expect("a scope").resume(id);
        (id, scopes.get_mut(number).expect("a scope").advance(id, Outcome::Ok))
    };
    let (first, step) = begin(&mut scopes, numbers[0]);
    assert!(matches!(step, Step::Emit(Event::FirstConnect, _)));
    let (_, step) = begin(&mut scopes, numbers[1]);
    assert!(matches!(step, Step::Emit(Event::FirstConnect, _)), "the first one has not succeeded yet");
    run(&mut scopes, numbers[0], step, first);
    let late = scopes.begin_beside(numbers[0], config(&plain()), None).expect("a scope");
    let (_, step) = begin(&mut scopes, late);
    assert!(matches!(step, Step::Emit(Event::Connect, _)), "it has");
}

#[test]
fn counters_are_the_pools_and_outlive_their_scope() {
    let (mut scopes, numbers) = pool(&plain(), 2);
    let lease = lend(&mut scopes, numbers[1]);
    give_back(&mut scopes, numbers[1], lease);
    scopes.end(numbers[1]);
    let stats = scopes.stats_everywhere(numbers[0], None).expect("the pool");
    assert_eq!((stats.opened, stats.checkouts, stats.total), (1, 1, 0), "slots stay with their scope");
    assert!(scopes.get(numbers[1]).is_none());
    assert_eq!(scopes.begin(config(&plain())), numbers[1], "its number is used again");
    assert_eq!(scopes.stats_everywhere(numbers[1], None).expect("another pool").opened, 0);
}

#[test]
fn gauges_are_one_scopes_or_the_sum() {
    let (mut scopes, numbers) = pool(&plain(), 3);
    for &number in &numbers {
        lend(&mut scopes, number);
    }
    assert_eq!(scopes.stats(numbers[0]).expect("the pool").used, 1);
    assert_eq!(scopes.stats_everywhere(numbers[0], None).expect("the pool").used, 3);
}

#[test]
fn a_close_begins_in_every_scope_at_once_and_says_it_once_in_each() {
    let (mut scopes, numbers) = pool(&plain(), 200);
    let leases: Vec<LeaseId> = numbers[..100].iter().map(|&number| lend(&mut scopes, number)).collect();
    scopes.close(numbers[0], Span::Forever, false);
    for (place, &number) in numbers.iter().enumerate() {
        let scope = scopes.get_mut(number).expect("a scope");
        assert!(scope.is_closed());
        assert_eq!(scopes.closing(number).is_some(), place < 100, "it waits for the leases that are out");
        let mut done = 0;
        while let Some((_, notice)) = scopes.get_mut(number).expect("a scope").take_notice() {
            done += u32::from(notice == Notice::Done);
        }
        assert_eq!(done, u32::from(place >= 100));
    }
    for (&number, lease) in numbers.iter().zip(leases) {
        let Return::Pending(id) = scopes.get_mut(number).expect("a scope").begin_checkin(lease, Condition::Clean)
        else {
            panic!("its connection is closed at the return")
        };
        let step = scopes.get_mut(number).expect("a scope").resume(id);
        run(&mut scopes, number, step, id);
        let notice = scopes.get_mut(number).expect("a scope").take_notice();
        assert!(matches!(notice, Some((_, Notice::Done))));
        assert!(scopes.closing(number).is_none());
    }
    assert_eq!(open(&mut scopes, numbers[0]), 0);
}

#[test]
fn a_disposal_closes_what_is_idle_in_every_scope_and_the_pool_goes_on() {
    let (mut scopes, numbers) = pool(&plain(), 5);
    let leases: Vec<LeaseId> = numbers.iter().map(|&number| lend(&mut scopes, number)).collect();
    for (&number, &lease) in numbers.iter().zip(&leases).skip(1) {
        give_back(&mut scopes, number, lease);
    }
    scopes.dispose(numbers[0]);
    numbers.iter().for_each(|&number| drain(&mut scopes, number));
    assert_eq!(open(&mut scopes, numbers[0]), 1, "the lease");
    give_back(&mut scopes, numbers[0], leases[0]);
    assert_eq!(open(&mut scopes, numbers[0]), 0, "closed at its return");
    lend(&mut scopes, numbers[3]);
}

#[test]
fn only_pool_size_scopes_keep_a_connection_and_the_longest_idle_one_is_closed() {
    let settings = Settings { kind: Some(Kind::Singleton), pool_size: 2.0, ..plain() };
    let (mut scopes, numbers) = pool(&settings, 50);
    for &number in &numbers {
        use_once(&mut scopes, number);
        while let Some(woken) = scopes.take_woken(number) {
            drain(&mut scopes, woken);
        }
        assert!(open(&mut scopes, numbers[0]) <= 2);
    }
    let keeps = |scopes: &Scopes, number| scopes.get(number).expect("a scope").stats().idle == 1;
    assert!(keeps(&scopes, numbers[48]) && keeps(&scopes, numbers[49]), "the last two used");
    use_once(&mut scopes, numbers[48]);
    use_once(&mut scopes, numbers[0]);
    while let Some(woken) = scopes.take_woken(numbers[0]) {
        drain(&mut scopes, woken);
    }
    assert!(keeps(&scopes, numbers[48]) && !keeps(&scopes, numbers[49]), "the longest idle one went");
}

#[test]
fn a_scope_that_uses_its_connection_again_before_it_is_woken_keeps_it() {
    let settings = Settings { kind: Some(Kind::Singleton), pool_size: 1.0, ..plain() };
    let (mut scopes, numbers) = pool(&settings, 2);
    use_once(&mut scopes, numbers[0]);
    use_once(&mut scopes, numbers[1]);
    use_once(&mut scopes, numbers[0]);
    let mut woken = Vec::new();
    while let Some(number) = scopes.take_woken(numbers[0]) {
        drain(&mut scopes, number);
        woken.push(number);
    }
    assert_eq!(scopes.get(numbers[0]).expect("a scope").stats().idle, 1, "it is the last one used");
    assert_eq!(scopes.get(numbers[1]).expect("a scope").stats().idle, 0);
}

#[test]
fn a_scope_that_the_others_cannot_reach_keeps_its_connection_and_does_not_count() {
    let settings = Settings { kind: Some(Kind::Singleton), pool_size: 1.0, ..plain() };
    let (mut scopes, numbers) = pool(&settings, 2);
    let apart = scopes.begin_beside(numbers[0], config(&settings), Some(1)).expect("the first scope lives");
    for number in [numbers[0], apart, numbers[1]] {
        use_once(&mut scopes, number);
    }
    assert_eq!(scopes.take_woken(apart), Some(numbers[0]), "the longest idle one of those that count");
    assert_eq!(scopes.take_woken(apart), None);
    assert_eq!(scopes.get(apart).expect("a scope").stats().idle, 1);
}

#[test]
fn a_scope_that_has_ended_keeps_no_place_among_those_that_keep_a_connection() {
    let settings = Settings { kind: Some(Kind::Singleton), pool_size: 1.0, ..plain() };
    let (mut scopes, numbers) = pool(&settings, 3);
    use_once(&mut scopes, numbers[1]);
    scopes.end(numbers[1]);
    use_once(&mut scopes, numbers[2]);
    assert_eq!(scopes.take_woken(numbers[0]), None);
    assert_eq!(scopes.get(numbers[2]).expect("a scope").stats().idle, 1);
}

#[test]
fn a_close_of_the_pool_has_patience_with_the_leases_of_a_scope_that_has_ended() {
    let (mut scopes, numbers) = pool(&plain(), 2);
    let lease = lend(&mut scopes, numbers[1]);
    let ended = scopes.get_mut(numbers[1]).expect("a scope").end_scope();
    scopes.close(numbers[0], Span::Millis(1000), false);
    let scope = scopes.get_mut(numbers[1]).expect("a scope");
    assert!(scope.is_attended() && scope.tick_wanted());
    let first_ms = scope.tick(0.0).expect("a timer runs");
    let left_ms = scope.ring(f64::from(first_ms)).expect("a timer runs");
    assert!(scope.is_leased(lease));
    scope.ring(f64::from(first_ms + left_ms));
    assert!(!scope.is_leased(lease));
    assert!(matches!(scope.take_notice(), Some((id, Notice::Done)) if id == ended));
    drain(&mut scopes, numbers[1]);
    assert_eq!(open(&mut scopes, numbers[0]), 0);
}

#[test]
fn the_end_of_a_scope_that_waits_for_a_lease_wants_no_timer() {
    let (mut scopes, numbers) = pool(&plain(), 2);
    lend(&mut scopes, numbers[1]);
    let scope = scopes.get_mut(numbers[1]).expect("a scope");
    scope.end_scope();
    assert!(!scope.is_attended() && !scope.tick_wanted(), "nothing keeps the process alive");
    scopes.close(numbers[0], Span::Millis(0), false);
    assert_eq!(scopes.closing(numbers[1]), None, "without patience it is over at once");
}

#[test]
fn a_request_at_rest_is_not_counted_elsewhere_since_nothing_tells_that_it_still_runs() {
    let mut scopes = Scopes::new();
    let first = scopes.begin(config(&plain()));
    let request = scopes.begin_beside(first, config(&plain()), Some(1)).expect("a scope");
    let lease = lend(&mut scopes, request);
    let total = |scopes: &mut Scopes, context| scopes.stats_everywhere(first, context).expect("a scope").total;
    assert_eq!(total(&mut scopes, None), 1, "it is at work");
    give_back(&mut scopes, request, lease);
    assert_eq!((total(&mut scopes, Some(2)), total(&mut scopes, Some(1))), (0, 1), "it is the one that asks");
}

#[test]
fn an_object_is_counted_at_rest_too_and_its_waiters_have_its_limits_at_once() {
    let settings = Settings { max_overflow: 0.0, pool_size: 1.0, max_connecting: 1.0, ..plain() };
    let mut scopes = Scopes::new();
    let first = scopes.begin(config(&settings));
    let object = scopes.begin_beside(first, config(&settings), Some(1)).expect("a scope");
    let lease = lend(&mut scopes, object);
    let scope = scopes.get_mut(object).expect("a scope");
    let waiters: Vec<_> = (0..3)
        .map(|_| match scope.begin_checkout(None) {
            Begin::Pending(id) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(scope.stats().waiting, 3);
    scope.become_object(config(&Settings { max_overflow: 2.0, max_connecting: f64::INFINITY, ..settings }));
    assert_eq!((scope.stats().waiting, scope.stats().opening, scope.stats().max), (1, 2, 3.0));
    while scope.take_notice().is_some() {}
    let leases: Vec<_> = waiters[..2]
        .iter()
        .map(|&id| {
            let step = scopes.get_mut(object).expect("a scope").resume(id);
            run(&mut scopes, object, step, id).expect("a lease")
        })
        .collect();
    for lease in leases.into_iter().chain([lease]) {
        give_back(&mut scopes, object, lease);
    }
    assert!(scopes.stats_everywhere(first, None).expect("a scope").total > 0);
}

#[test]
fn a_request_without_waiters_remembers_that_openings_fail() {
    let settings = Settings { open_retry: f64::INFINITY, timeout_ms: 20.0, ..plain() };
    let mut scopes = Scopes::new();
    let first = scopes.begin(config(&settings));
    let request = scopes.begin_beside(first, config(&settings), Some(1)).expect("a scope");
    let scope = scopes.get_mut(request).expect("a scope");
    scope.set_random(0.3);
    let (mut attempts, mut now, mut timer) = (0, 1000.0, None);
    let mut attempt = |scope: &mut Pool, id, now: f64| {
        let mut step = scope.resume(id);
        while matches!(step, Step::Open(_)) {
            scope.read_clock(now);
            scope.time_opening(id);
            attempts += 1;
            step = scope.advance(id, Outcome::Unavailable);
        }
    };
    let mut pass = |scope: &mut Pool, ms: u32, attempt: &mut dyn FnMut(&mut Pool, OperationId, f64)| {
        let mut ends_empty = false;
        for _ in 0..ms {
            now += 1.0;
            let rings = timer.is_some_and(|end| end <= now);
            if rings || scope.tick_wanted() {
                let delay = if rings { scope.ring(now) } else { scope.tick(now) };
                timer = delay.map(|delay| now + f64::from(delay));
            }
            while let Some((id, notice)) = scope.take_notice() {
                if notice == Notice::Resume {
                    attempt(scope, id, now);
                }
            }
            ends_empty |= rings && scope.is_empty();
        }
        ends_empty
    };
    for round in 0..100 {
        if let Begin::Pending(id) = scope.begin_checkout(None) {
            attempt(scope, id, f64::from(1000 + 50 * round));
        }
        assert!(!pass(scope, 50, &mut attempt), "its callers have left, and the next one comes soon");
    }
    assert!(pass(scope, 3000, &mut attempt) && scope.is_empty() && !scope.tick_wanted(), "it does not last");
    assert!(attempts < 16, "so many attempts in five seconds: {attempts}");
}
