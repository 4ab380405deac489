//! StaticPool: all callers share one connection. Each checkout is checked by itself, and only the last return resets
//! and checks in. A connection that is stale while it is lent is replaced for the next caller and closed when its last
//! lease ends.

use crate::harness::{CHECKIN_EMPTY, Connection, Host, HostStep, LogEntry, Operation, Stage, emit, of_kind};
use crate::timeout::latest_ms;
use edgepool::policy::{Condition, Event, Kind, Outcome, Refusal, Settings, Span};

const A: Connection = Connection(0);
const B: Connection = Connection(1);

fn settings() -> Settings {
    of_kind(Kind::Static)
}

fn shared(host: &mut Host) -> (Operation, Operation) {
    let callers = (host.lend(), host.lend());
    host.take_log();
    callers
}

#[test]
fn every_caller_has_the_same_connection_and_a_lease_of_its_own() {
    let mut host = Host::new(settings());
    let callers: Vec<Operation> = (0..5).map(|_| host.lend()).collect();
    assert!(callers.iter().all(|&caller| host.connection(caller) == A));
    assert_eq!((host.stats().used, host.stats().checkouts, host.stats().opened), (1, 5, 1));
}

#[test]
fn only_the_last_return_resets_and_checks_in() {
    let mut host = Host::listening(settings());
    let (first, second) = shared(&mut host);
    host.give_back(first);
    assert_eq!(host.take_steps(), []);
    host.give_back(second);
    assert_eq!(host.take_steps(), [emit(Event::Reset, 0), HostStep::Rollback(A), emit(Event::Checkin, 0)]);
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn each_caller_is_pinged_for_and_shown_to_the_listeners() {
    let mut host = Host::listening(Settings { pre_ping: Some(true), ..settings() });
    host.lend();
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Ping(A), emit(Event::Checkout, 0)]);
}

#[test]
fn while_it_opens_callers_wait_and_then_share_it() {
    let mut host = Host::new(settings());
    let first = host.connect();
    let others = [host.connect(), host.connect()];
    assert_eq!((host.stats().waiting, host.steps()), (2, vec![HostStep::Open]));
    host.finish(first, Outcome::Ok);
    host.run();
    assert!(others.iter().all(|&caller| host.has_lease(caller)));
    assert_eq!(host.stats().opened, 1);
}

#[test]
fn while_it_is_reset_callers_wait_and_then_have_it() {
    let mut host = Host::new(settings());
    let first = host.lend();
    let reset = host.checkin(first, false).expect("a reset");
    let next = host.connect();
    assert_eq!(host.stage(next), Stage::Queued);
    host.finish(reset, Outcome::Ok);
    host.run();
    assert_eq!(host.connection(next), A);
}

#[test]
fn a_waiter_for_an_opening_that_failed_opens_itself() {
    let mut host = Host::new(settings());
    let first = host.connect();
    let next = host.connect();
    host.finish(first, Outcome::Failed);
    assert_eq!(host.refusal(first), Some(Refusal::Failed));
    host.run();
    assert_eq!(host.connection(next), A);
}

#[test]
fn a_waiter_runs_out_of_time() {
    let mut host = Host::new(Settings { timeout_ms: 100.0, ..settings() });
    host.connect();
    let next = host.connect();
    host.pass(120.0);
    assert_eq!(host.refusal(next), Some(Refusal::WaitTimeout));
}

#[test]
fn an_invalidation_ends_the_connection_for_all_and_the_next_caller_has_another() {
    let mut host = Host::listening(settings());
    let (first, second) = shared(&mut host);
    let operation = host.invalidate(first);
    let next = host.connect();
    assert_eq!(host.step(next), Some(HostStep::Open), "no caller waits for its earlier holders");
    host.take_log();
    host.run();
    assert!(host.has_ended(operation) && !host.is_open(A));
    assert_eq!(host.connection(next), B);
    host.take_log();
    host.give_back(second);
    let steps = host.take_steps();
    assert_eq!(steps.last(), Some(&CHECKIN_EMPTY), "{steps:?}");
    host.give_back(next);
    assert_eq!((host.stats().idle, host.stats().total), (1, 1));
}

#[test]
fn the_invalidation_of_the_only_lease_keeps_the_slot() {
    let mut host = Host::listening(settings());
    let caller = host.lend();
    host.take_log();
    host.invalidate(caller);
    let end = [emit(Event::Invalidate, 0), emit(Event::Close, 0), HostStep::Terminate(A), CHECKIN_EMPTY];
    assert_eq!(host.run_steps(), end);
    assert_eq!(host.counts().checked_in, 1);
}

#[test]
fn a_stale_connection_is_replaced_for_the_next_caller_and_closed_with_its_last_lease() {
    let softly = |host: &mut Host| host.mark(A);
    let by_mark = |host: &mut Host| host.invalidate_all();
    for spoil in [softly as fn(&mut Host), by_mark] {
        let mut host = Host::new(settings());
        let (first, second) = shared(&mut host);
        spoil(&mut host);
        let next = host.lend();
        assert_eq!((host.connection(next), host.is_open(A)), (B, true));
        host.give_back(first);
        assert!(host.is_open(A));
        host.take_log();
        host.give_back(second);
        assert_eq!(host.take_steps(), [HostStep::Rollback(A), HostStep::Close(A)]);
        assert_eq!((host.stats().total, host.stats().used), (1, 1));
        let joined = host.lend();
        assert_eq!(host.connection(joined), B);
    }
}

#[test]
fn a_connection_that_grows_old_while_it_is_lent_serves_all_who_join_and_is_replaced_afterwards() {
    for recycle_ms in [0.0, 1000.0] {
        let mut host = Host::new(Settings { recycle_ms, ..settings() });
        let mut callers = Vec::new();
        for _ in 0..20 {
            callers.push(host.lend());
            host.pass(1500.0);
        }
        assert_eq!((host.open_connections(), host.stats().opened), (1, 1), "one connection, as the kind promises");
        callers.into_iter().for_each(|caller| host.give_back(caller));
        host.take_log();
        let next = host.lend();
        assert_eq!((host.connection(next), host.is_open(A)), (B, false));
    }
}

#[test]
fn a_joiner_that_must_queue_again_keeps_its_own_timeout_and_its_place() {
    let mut host = Host::new(Settings { pre_ping: Some(true), timeout_ms: f64::INFINITY, ..settings() });
    let holder = host.lend();
    // The connection dies under the ping of two joiners. The first one terminates it; the second one opens meanwhile.
    let joiners = [Some(Span::Millis(100)), Some(Span::Millis(200))].map(|timeout| host.connect_within(timeout, None));
    joiners.into_iter().for_each(|joiner| host.finish(joiner, Outcome::Disconnected));
    host.finish(joiners[0], Outcome::Ok);
    assert_eq!(host.step(joiners[1]), Some(HostStep::Open));
    assert_eq!(host.stage(joiners[0]), Stage::Queued);
    let newcomer = host.connect_within(Some(Span::Forever), None);
    assert_eq!(host.stage(newcomer), Stage::Queued);
    host.pass(latest_ms(100.0) + 1.0);
    assert_eq!(host.refusal(joiners[0]), Some(Refusal::WaitTimeout), "by its own timeout");
    assert!(!host.is_settled(newcomer));
    host.run();
    assert!(host.has_lease(newcomer));
    host.give_back(holder);
}

#[test]
fn a_stale_connection_without_a_lease_is_replaced_at_the_next_checkout() {
    let mut host = Host::new(settings());
    let caller = host.lend();
    host.give_back(caller);
    host.invalidate_all();
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Terminate(A), HostStep::Open]);
}

#[test]
fn a_caller_that_finds_it_dead_opens_another_and_the_others_keep_their_slot() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..settings() });
    let first = host.lend();
    let second = host.connect();
    host.finish(second, Outcome::Disconnected);
    host.run();
    assert_eq!(host.connection(second), B);
    assert!(!host.is_open(A));
    host.give_back(first);
    host.run();
    assert_eq!(host.stats().total, 1);
    host.give_back(second);
}

#[test]
fn a_detach_takes_the_connection_from_all() {
    let mut host = Host::listening(settings());
    let (first, second) = shared(&mut host);
    let detached = host.detach(first);
    let next = host.lend();
    assert_eq!(host.connection(next), B);
    host.take_log();
    host.give_back(second);
    let steps = host.run_steps();
    assert!(!steps.contains(&HostStep::Rollback(A)), "another caller has it: {steps:?}");
    assert!(host.is_open(A));
    host.close_detached(detached, false, false);
    host.run();
    assert_eq!((host.open_connections(), host.stats().detached), (1, 0));
}

#[test]
fn the_detach_of_the_only_lease_leaves_an_empty_slot() {
    let mut host = Host::new(settings());
    let caller = host.lend();
    host.detach(caller);
    assert_eq!((host.counts().checked_in, host.stats().total), (1, 0));
    let next = host.lend();
    assert_eq!(host.connection(next), B);
}

#[test]
fn dispose_lets_its_lease_holders_go_on_and_the_next_caller_has_another() {
    let mut host = Host::new(settings());
    let (first, second) = shared(&mut host);
    host.dispose();
    let next = host.lend();
    assert_eq!(host.connection(next), B);
    host.give_back(first);
    host.give_back(second);
    assert!(!host.is_open(A));
    assert_eq!(host.stats().total, 1);
}

#[test]
fn a_close_waits_for_the_last_share_and_at_the_end_of_its_patience_ends_it() {
    let mut host = Host::new(settings());
    let (first, second) = shared(&mut host);
    let closing = host.close(Span::Millis(1000));
    host.give_back(first);
    assert!(!host.has_ended(closing));
    host.pass(1100.0);
    assert!(host.has_ended(closing) && !host.has_lease(second));
    host.run();
    host.assert_nothing_is_left();
}

#[test]
fn a_share_that_is_returned_twice_is_returned_once() {
    let mut host = Host::new(settings());
    let (first, second) = shared(&mut host);
    let id = host.id(first);
    host.give_back(first);
    host.pool.begin_share_return(id, Condition::Open);
    host.pool.begin_share_invalidate(id);
    assert!(!host.pool.detach_share(id) && !host.pool.lose_share(id));
    assert_eq!(host.stats().used, 1);
    host.give_back(second);
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn an_abort_while_it_is_shown_ends_it_for_all() {
    let mut host = Host::listening(settings());
    let first = host.lend();
    let second = host.connect();
    assert!(host.abort(second));
    host.finish(second, Outcome::TimedOut);
    host.run();
    assert!(!host.is_open(A));
    host.give_back(first);
    let next = host.lend();
    assert_eq!(host.connection(next), B);
}

#[test]
fn joiners_that_queue_again_keep_their_order_before_the_callers_that_came_later() {
    let mut host = Host::new(of_kind(Kind::Static));
    let first = host.connect();
    let joiners: Vec<Operation> = (0..4).map(|_| host.connect()).collect();
    host.finish(first, Outcome::Ok);
    host.mark(Connection(0));
    let other = host.connect();
    for place in [0, 2, 1, 3] {
        host.wake(joiners[place]);
        assert_eq!(host.stage(joiners[place]), Stage::Queued);
    }
    let late = host.connect();
    assert!(host.abort(joiners[2]));
    host.take_log();
    host.finish(other, Outcome::Ok);
    let woken: Vec<Operation> = host
        .take_log()
        .into_iter()
        .filter_map(|entry| if let LogEntry::Woken(operation) = entry { Some(operation) } else { None })
        .collect();
    assert_eq!(woken, [joiners[0], joiners[1], joiners[3], late]);
}

#[test]
fn a_joiner_that_queues_again_waits_for_what_is_left_of_its_time() {
    let mut host = Host::new(of_kind(Kind::Static));
    let first = host.connect();
    let joiner = host.connect_within(Some(Span::Millis(1000)), None);
    host.pass(600.0);
    host.finish(first, Outcome::Ok);
    host.mark(Connection(0));
    let other = host.connect();
    host.wake(joiner);
    host.pass(380.0);
    assert_eq!((host.stage(joiner), host.refusal(joiner)), (Stage::Queued, None));
    host.pass(latest_ms(1000.0) - 980.0);
    assert_eq!(host.refusal(joiner), Some(Refusal::WaitTimeout));
    assert!(!host.is_settled(other));
}

#[test]
fn a_joiner_without_a_limit_that_queues_again_has_none() {
    let mut host = Host::new(of_kind(Kind::Static));
    let first = host.connect();
    let joiners = [host.connect(), host.connect_within(Some(Span::Forever), None)];
    host.pass(1000.0);
    host.finish(first, Outcome::Ok);
    host.mark(Connection(0));
    host.connect();
    for joiner in joiners {
        host.wake(joiner);
    }
    host.pass(20_000.0);
    assert!(joiners.iter().all(|&joiner| host.stage(joiner) == Stage::Queued));
}
