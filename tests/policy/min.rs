//! `min` keeps so many connections open, in use or idle. The pool opens them from its first call on, and opens another
//! one for each that ends. After a failure it tries one at a time, each after a longer pause.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, counts, plain};
use edgepool::policy::{Event, Outcome, ResetStyle, Settings, Span};

fn keeping(min: u32, pool_size: u32) -> Settings {
    Settings { min: f64::from(min), ..plain(pool_size, 0) }
}

/// A way to lose a connection, with its name.
type Loss = (&'static str, fn(&mut Host));

/// Counts the creators that run.
fn openings(host: &Host) -> usize {
    host.steps().iter().filter(|&&step| step == HostStep::Open).count()
}

#[test]
fn it_opens_nothing_until_it_is_used_and_then_what_is_missing_beside_the_callers_own() {
    let mut host = Host::new(keeping(3, 5));
    assert_eq!((host.steps(), host.has_timer()), (vec![], false));
    let caller = host.connect();
    assert_eq!(host.steps(), [HostStep::Open; 3]);
    host.run();
    assert!(host.has_lease(caller));
    assert_eq!((host.stats().idle, host.stats().used), (2, 1));
}

#[test]
fn it_opens_them_when_it_is_started_or_asked_by_its_first_caller_and_only_once() {
    let lend = |host: &mut Host| {
        host.lend();
    };
    let ways: [fn(&mut Host); 2] = [Host::start, lend];
    for way in ways {
        let mut host = Host::new(keeping(2, 5));
        way(&mut host);
        host.start();
        host.run();
        assert_eq!((host.open_connections(), host.stats().opened), (2, 2));
    }
}

#[test]
fn warming_opens_its_own_count_and_the_start_after_it_the_rest() {
    let mut host = Host::new(keeping(3, 5));
    host.warm(2);
    assert_eq!(openings(&host), 2);
    host.start();
    assert_eq!(openings(&host), 3);
}

#[test]
fn connections_in_use_count_and_no_more_are_opened_for_idle_ones() {
    let mut host = Host::new(keeping(2, 5));
    host.start();
    host.run();
    let callers: Vec<Operation> = (0..3).map(|_| host.lend()).collect();
    host.run();
    assert_eq!(host.stats().opened, 3);
    callers.into_iter().for_each(|caller| host.give_back(caller));
    assert_eq!((host.stats().idle, host.steps()), (3, vec![]));
}

#[test]
fn each_way_to_lose_a_connection_opens_another_one() {
    let ways: [Loss; 4] = [
        ("an idle one dies", |host| {
            host.connection_died(Connection(0));
        }),
        ("its record is invalidated", |host| {
            host.close_record(Connection(0), true);
        }),
        ("a lease is invalidated", |host| {
            let caller = host.lend();
            host.invalidate(caller);
        }),
        ("a lease is detached", |host| {
            let caller = host.lend();
            host.detach(caller);
        }),
    ];
    for (name, lose) in ways {
        let mut host = Host::new(keeping(2, 2));
        host.start();
        host.run();
        lose(&mut host);
        host.run();
        assert_eq!((host.stats().idle, host.stats().opened), (2, 3), "{name}");
    }
}

#[test]
fn a_connection_that_is_worn_out_is_closed_at_its_return_and_another_one_opened() {
    let mut host = Host::new(Settings { max_uses: 1.0, ..keeping(1, 2) });
    let caller = host.lend();
    host.give_back(caller);
    assert_eq!(host.steps(), [HostStep::Open]);
    host.run();
    assert_eq!((host.stats().idle, host.open_connections()), (1, 1));
}

#[test]
fn idle_connections_are_closed_down_to_it_and_no_further() {
    let mut host = Host::new(Settings { idle_timeout_ms: 1000.0, ..keeping(2, 4) });
    host.start();
    host.run();
    let callers: Vec<Operation> = (0..4).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    host.pass(60_000.0);
    host.run();
    assert_eq!((host.stats().idle, host.stats().opened), (2, 4));
    let caller = host.lend();
    host.give_back(caller);
    host.pass(60_000.0);
    host.run();
    assert_eq!((host.stats().idle, host.stats().opened), (2, 4));
    assert!(!host.has_timer());
}

#[test]
fn beside_min_idle_the_greater_demand_counts() {
    for (min, min_idle, left) in [(1, 3, 3), (3, 1, 3)] {
        let settings = Settings { idle_timeout_ms: 1000.0, min_idle: f64::from(min_idle), ..keeping(min, 4) };
        let mut host = Host::new(settings);
        host.start();
        host.run();
        let callers: Vec<Operation> = (0..4).map(|_| host.lend()).collect();
        callers.into_iter().for_each(|caller| host.give_back(caller));
        host.pass(60_000.0);
        host.run();
        assert_eq!(host.stats().idle, left);
    }
}

#[test]
fn no_more_than_pool_size_are_kept_and_no_more_than_max_connecting_opened_at_once() {
    let mut host = Host::new(Settings { max_connecting: 2.0, ..keeping(9, 4) });
    host.start();
    assert_eq!(openings(&host), 2);
    host.run();
    assert_eq!((host.counts(), host.stats().opened), (counts(4, 4, 0, 0), 4));
}

#[test]
fn what_it_opens_goes_to_a_caller_that_waits() {
    let mut host = Host::new(keeping(1, 1));
    host.start();
    let waiter = host.connect();
    assert_eq!((host.stage(waiter), openings(&host)), (Stage::Queued, 1));
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn after_a_failure_it_pauses_longer_each_time_and_tries_one_at_a_time() {
    let mut host = Host::new(keeping(3, 5));
    host.start();
    let fail_all = |host: &mut Host| {
        while let Some(opening) = host.operations().find(|&it| host.step(it) == Some(HostStep::Open)) {
            host.finish(opening, Outcome::Failed);
        }
    };
    fail_all(&mut host);
    assert_eq!(host.stats().open_failed, 3);
    for pause_ms in [100.0, 200.0, 400.0, 800.0] {
        host.pass(pause_ms - 1.0);
        assert_eq!(openings(&host), 0, "{pause_ms}");
        host.pass(pause_ms / 16.0 + 10.0);
        assert_eq!(openings(&host), 1, "{pause_ms}");
        fail_all(&mut host);
    }
    host.pass(3_600_000.0);
    assert!(!host.pool.is_attended(), "it keeps no host awake");
    assert_eq!(openings(&host), 1);
    host.run();
    assert_eq!((host.stats().idle, host.steps()), (3, vec![]), "what opens ends the pauses");
    assert!(!host.has_timer());
}

#[test]
fn a_dead_server_is_tried_at_most_every_thirty_seconds() {
    let mut host = Host::new(keeping(3, 5));
    host.start();
    for _ in 0..20_000 {
        if let Some(opening) = host.operations().find(|&it| host.step(it) == Some(HostStep::Open)) {
            host.finish(opening, Outcome::Failed);
        }
        host.pass(1000.0);
    }
    let failed = host.stats().open_failed;
    assert!((600..=700).contains(&failed), "{failed} attempts in 20,000 s");
}

#[test]
fn an_opening_that_hangs_and_a_connect_listener_that_fails_are_failures_too() {
    let mut host = Host::new(keeping(1, 5));
    host.start();
    let hanging = host.operations().last().expect("an opening");
    host.finish(hanging, Outcome::TimedOut);
    assert_eq!(openings(&host), 0);
    host.pass(150.0);
    assert_eq!(openings(&host), 1);

    let mut host = Host::new(keeping(1, 5));
    host.listen(&[Event::Connect]);
    host.start();
    let opening = host.operations().last().expect("an opening");
    host.finish(opening, Outcome::Ok);
    host.finish(opening, Outcome::Failed);
    host.finish(opening, Outcome::Ok);
    assert_eq!((openings(&host), host.open_connections()), (0, 0));
    host.pass(150.0);
    assert_eq!(openings(&host), 1);
}

#[test]
fn a_connection_that_is_dead_as_it_arrives_is_a_failure_too() {
    let mut host = Host::new(keeping(1, 1));
    host.start();
    for _ in 0..3 {
        let opening = host.operations().find(|&it| host.step(it) == Some(HostStep::Open)).expect("an opening");
        host.die_on_arrival(opening);
        host.finish(opening, Outcome::Ok);
        host.run();
        assert_eq!(openings(&host), 0, "not at once");
        host.pass(1000.0);
    }
    host.run();
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn a_caller_whose_opening_succeeds_ends_the_pause() {
    let mut host = Host::new(keeping(2, 5));
    host.start();
    for opening in host.operations() {
        host.finish(opening, Outcome::Failed);
    }
    let caller = host.connect();
    assert_eq!(openings(&host), 1, "the caller's own");
    host.finish(caller, Outcome::Ok);
    assert_eq!(openings(&host), 1, "the missing one");
    host.run();
    assert_eq!(host.open_connections(), 2);
}

#[test]
fn a_disposed_pool_is_empty_until_its_next_call() {
    let mut host = Host::new(keeping(2, 5));
    host.start();
    host.run();
    host.dispose();
    host.run();
    host.pass(3_600_000.0);
    assert_eq!((host.stats().total, host.steps()), (0, vec![]));
    host.lend();
    host.run();
    assert_eq!(host.open_connections(), 2);
}

#[test]
fn a_disposed_pool_whose_callers_wait_is_in_use() {
    let mut host = Host::new(keeping(2, 2));
    let first = host.lend();
    host.run();
    let holders = [first, host.lend()];
    let waiters = [host.connect(), host.connect()];
    host.dispose();
    for caller in holders.into_iter().chain(waiters) {
        host.run();
        host.give_back(caller);
    }
    host.run();
    assert_eq!(host.stats().idle, 2);
}

#[test]
fn a_pool_that_closes_or_drains_opens_none_and_no_pause_is_left() {
    for drains in [false, true] {
        let mut host = Host::new(keeping(2, 5));
        let holder = host.lend();
        for opening in host.operations().filter(|&it| it != holder) {
            host.finish(opening, Outcome::Failed);
        }
        assert!(host.has_timer());
        let closing = if drains { host.drain(Span::Forever) } else { host.close(Span::Forever) };
        host.pass(3_600_000.0);
        host.give_back(holder);
        assert!(host.has_ended(closing));
        host.assert_nothing_is_left();
    }
}

#[test]
fn a_shrunken_or_grown_pool_keeps_what_its_sizes_allow() {
    let mut host = Host::new(keeping(4, 2));
    host.start();
    host.run();
    assert_eq!(host.open_connections(), 2);
    host.resize(5, 0, 0);
    host.run();
    assert_eq!(host.open_connections(), 4);
    host.resize(1, 0, 0);
    host.run();
    assert_eq!(host.open_connections(), 1);
}

#[test]
fn an_emptied_slot_is_filled_before_a_new_one_is_made() {
    let mut host = Host::new(Settings { reset_on_return: Some(ResetStyle::Rollback), ..keeping(1, 3) });
    let caller = host.lend();
    let reset = host.checkin(caller, false).expect("a rollback");
    host.finish(reset, Outcome::Failed);
    host.run();
    assert_eq!((host.counts(), host.open_connections()), (counts(3, 1, -2, 0), 1));
}

#[test]
fn without_refill_it_opens_none_and_keeps_those_that_callers_have_opened() {
    let mut host = Host::new(Settings { min: 2.0, refill: Some(false), idle_timeout_ms: 100.0, ..plain(4, 0) });
    host.start();
    host.run();
    assert_eq!(host.stats().opened, 0);
    let callers: Vec<Operation> = (0..4).map(|_| host.lend()).collect();
    host.give_back(callers[0]);
    host.give_back(callers[1]);
    host.pass(200.0);
    host.run();
    assert_eq!((host.stats().total, host.stats().idle), (2, 0), "those in use count");
    host.give_back(callers[2]);
    host.give_back(callers[3]);
    host.pass(10_000.0);
    host.run();
    assert_eq!((host.stats().idle, host.open_connections()), (2, 2));
}

#[test]
fn without_refill_nothing_replaces_a_connection_that_ends_and_no_failure_is_tried_again() {
    let mut host = Host::new(Settings { min: 2.0, refill: Some(false), ..plain(2, 0) });
    let [first, second] = [host.lend(), host.lend()];
    host.invalidate(first);
    host.run();
    host.give_back(second);
    let failing = host.connect();
    let reusing = host.connect();
    host.finish(reusing, Outcome::Failed);
    host.run();
    host.pass(60_000.0);
    host.run();
    assert!(host.has_lease(failing));
    assert_eq!((host.stats().opened, host.stats().total), (2, 1));
}
