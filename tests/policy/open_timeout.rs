//! `openTimeout`: an opening has a time of its own. Creators that were given up count, until they end or are old.

use crate::harness::{Connection, Host, Operation, Stage, plain};
use crate::timeout::latest_ms;
use edgepool::policy::{Config, Event, Kind, Outcome, Refusal, Settings, Span, Violation};

fn impatient(pool_size: u32) -> Settings {
    Settings { open_timeout_ms: 100.0, ..plain(pool_size, 0) }
}

/// Lets the time of every opening run out.
fn run_out(host: &mut Host) {
    host.pass(latest_ms(100.0));
    let expired: Vec<Operation> = host.operations().filter(|&operation| host.has_expired(operation)).collect();
    for operation in expired {
        host.finish(operation, Outcome::TimedOut);
    }
}

#[test]
fn it_ends_an_opening_and_nothing_else() {
    let mut host = Host::new(impatient(1));
    host.listen(&[Event::Connect]);
    let caller = host.connect();
    host.finish(caller, Outcome::Ok);
    host.pass(1000.0);
    assert!(!host.has_expired(caller), "the listener has driverTimeout");
    host.run();
    host.invalidate(caller);
    host.run();
    let caller = host.connect();
    run_out(&mut host);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenTimeout));
}

#[test]
fn without_it_an_opening_has_the_drivers_time() {
    let mut host = Host::new(Settings { driver_timeout_ms: 100.0, ..plain(1, 0) });
    let caller = host.connect();
    run_out(&mut host);
    assert_eq!(host.refusal(caller), Some(Refusal::OpenTimeout));
}

#[test]
fn an_opening_that_must_end_before_the_next_keeps_its_slot_and_goes_on_for_the_pool() {
    for outcome in [Outcome::Ok, Outcome::Failed] {
        let mut host = Host::new(Settings { timeout_ms: 300.0, ..impatient(1) });
        let caller = host.connect();
        host.pass(latest_ms(100.0));
        host.finish(caller, Outcome::StillOpen);
        assert_eq!(host.refusal(caller), Some(Refusal::OpenTimeout));
        assert_eq!((host.stats().opening, host.stats().total), (1, 1));
        let refused = host.connect();
        assert_eq!(host.stage(refused), Stage::Queued);
        host.pass(latest_ms(300.0));
        assert_eq!(host.refusal(refused), Some(Refusal::WaitTimeout));
        let next = host.connect();
        host.finish(caller, outcome);
        host.run();
        assert!(host.has_lease(next), "{outcome:?}");
        assert_eq!(host.connection(next), Connection(0));
        host.give_back(next);
        host.run();
    }
}

#[test]
fn an_opening_without_a_caller_that_must_end_before_the_next_keeps_its_slot() {
    let mut host = Host::new(impatient(1));
    let caller = host.connect();
    assert!(host.abort(caller));
    host.pass(latest_ms(100.0));
    host.finish(caller, Outcome::StillOpen);
    assert_eq!(host.stats().opening, 1);
    let close = host.close(Span::Millis(1000));
    host.finish(caller, Outcome::Ok);
    host.run();
    assert!(host.has_ended(close));
    host.assert_nothing_is_left();
}

#[test]
fn creators_that_were_given_up_count_until_they_end() {
    let mut host = Host::new(impatient(3));
    for _ in 0..2 {
        for _ in 0..3 {
            host.connect();
        }
        run_out(&mut host);
    }
    let late: Vec<Operation> = host.operations().filter(|&it| host.stage(it) == Stage::Late).collect();
    assert_eq!(late.len(), 6);
    let refused = host.connect();
    assert_eq!(host.refusal(refused), Some(Refusal::OpenTimeout), "at once: nothing could come back");
    host.finish(late[0], Outcome::LateFailed);
    let caller = host.connect();
    assert!(host.step(caller).is_some());
    host.run();
    assert!(host.has_lease(caller));
}

#[test]
fn a_caller_waits_beside_them_if_a_connection_may_come_back() {
    let mut host = Host::new(impatient(3));
    let holder = host.lend();
    for _ in 0..3 {
        for _ in 0..2 {
            host.connect();
        }
        run_out(&mut host);
    }
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.give_back(holder);
    assert!(host.has_lease(waiter));
}

#[test]
fn a_caller_that_lost_its_connection_does_not_wait_for_creators_that_were_given_up() {
    for is_lost_before in [true, false] {
        let mut host = Host::new(Settings { max_connecting: 2.0, ..impatient(3) });
        host.listen(&[Event::Checkout]);
        let caller = host.connect();
        host.finish(caller, Outcome::Ok);
        for round in 0..3 {
            for _ in 0..2 {
                host.connect();
            }
            if is_lost_before && round == 2 {
                host.finish(caller, Outcome::Disconnected);
                host.finish(caller, Outcome::Ok);
            }
            run_out(&mut host);
        }
        if !is_lost_before {
            host.finish(caller, Outcome::Disconnected);
            host.finish(caller, Outcome::Ok);
        }
        assert_eq!(host.refusal(caller), Some(Refusal::OpenTimeout), "{is_lost_before}");
    }
}

#[test]
fn creators_that_never_answer_do_not_close_the_pool_for_good() {
    let mut host = Host::new(impatient(1));
    for _ in 0..5 {
        host.connect();
        run_out(&mut host);
    }
    let refused = host.connect();
    assert_eq!(host.refusal(refused), Some(Refusal::OpenTimeout));
    host.pass(600_000.0);
    let caller = host.lend();
    host.give_back(caller);
}

#[test]
fn a_pool_without_a_maximum_counts_none() {
    let mut host = Host::new(Settings { kind: Some(Kind::Null), ..impatient(5) });
    for _ in 0..20 {
        host.connect();
    }
    run_out(&mut host);
    host.lend();
}

#[test]
fn what_is_no_time_is_refused() {
    for ms in [-2.0, f64::NAN] {
        let settings = Settings { open_timeout_ms: ms, ..plain(1, 0) };
        assert_eq!(Config::new(&settings).err(), Some(Violation { option: "openTimeout" }));
    }
}
