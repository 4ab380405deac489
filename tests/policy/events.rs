//! Which listeners are called, and when: the order of events and driver calls on each path, with listeners of every
//! event. Without listeners of an event nothing is done for it. The order is that of SQLAlchemy's catalogue, section
//! 2.6.

use crate::harness::{CHECKIN_EMPTY, Connection, Host, HostStep, Operation, emit, of_kind, plain, sized};
use edgepool::policy::{Event, Kind, Outcome, ResetStyle, Settings, Span};

const A: Connection = Connection(0);
const B: Connection = Connection(1);

fn lend(host: &mut Host) -> Operation {
    let caller = host.lend();
    host.take_log();
    caller
}

/// A pool with an idle connection, its steps so far taken.
fn idle(settings: Settings) -> Host {
    let mut host = Host::listening(settings);
    let caller = host.lend();
    host.give_back(caller);
    host.run();
    host.take_log();
    host
}

fn end_of(connection: Connection) -> [HostStep; 3] {
    [emit(Event::Invalidate, connection.0), emit(Event::Close, connection.0), HostStep::Terminate(connection)]
}

fn opening_of(connection: usize) -> [HostStep; 3] {
    [HostStep::Open, emit(Event::Connect, connection), emit(Event::Checkout, connection)]
}

#[test]
fn the_first_connection_of_a_pool_is_emitted_as_first_then_as_any() {
    let mut host = Host::listening(sized(2, 0));
    host.lend();
    let first = [HostStep::Open, emit(Event::FirstConnect, 0), emit(Event::Connect, 0), emit(Event::Checkout, 0)];
    assert_eq!(host.take_steps(), first);
    host.lend();
    assert_eq!(host.take_steps(), opening_of(1));
}

#[test]
fn a_reused_connection_is_only_checked_out() {
    let mut host = idle(sized(1, 0));
    host.lend();
    assert_eq!(host.take_steps(), [emit(Event::Checkout, 0)]);
}

#[test]
fn a_reused_connection_is_pinged_before_the_checkout_listeners() {
    let mut host = idle(Settings { pre_ping: Some(true), ..sized(1, 0) });
    host.lend();
    assert_eq!(host.take_steps(), [HostStep::Ping(A), emit(Event::Checkout, 0)]);
}

#[test]
fn a_return_emits_before_the_reset_and_after_it() {
    let mut host = Host::listening(sized(1, 0));
    let caller = lend(&mut host);
    host.give_back(caller);
    assert_eq!(host.take_steps(), [emit(Event::Reset, 0), HostStep::Rollback(A), emit(Event::Checkin, 0)]);
}

#[test]
fn a_return_that_needs_no_reset_emits_the_same() {
    for (style, clean) in [(ResetStyle::None, false), (ResetStyle::Rollback, true)] {
        let mut host = Host::listening(Settings { reset_on_return: Some(style), ..sized(1, 0) });
        let caller = lend(&mut host);
        host.checkin(caller, clean);
        assert_eq!(host.run_steps(), [emit(Event::Reset, 0), emit(Event::Checkin, 0)]);
    }
}

#[test]
fn a_commit_is_never_skipped() {
    let mut host = Host::listening(Settings { reset_on_return: Some(ResetStyle::Commit), ..sized(1, 0) });
    let caller = lend(&mut host);
    host.checkin(caller, true);
    assert_eq!(host.run_steps(), [emit(Event::Reset, 0), HostStep::Commit(A), emit(Event::Checkin, 0)]);
}

#[test]
fn a_surplus_connection_is_checked_in_then_closed() {
    for mut host in [Host::listening(sized(1, 1)), Host::listening(of_kind(Kind::Null))] {
        let (first, second) = (host.lend(), host.lend());
        host.give_back(first);
        host.run();
        host.take_log();
        host.give_back(second);
        let surplus = [
            emit(Event::Reset, 1),
            HostStep::Rollback(B),
            emit(Event::Checkin, 1),
            emit(Event::Close, 1),
            HostStep::Close(B),
        ];
        assert_eq!(host.take_steps(), surplus);
        assert!(!host.is_open(B));
    }
}

#[test]
fn an_invalidated_lease_is_emitted_closed_and_checked_in_empty() {
    let mut host = Host::listening(sized(1, 0));
    let caller = lend(&mut host);
    host.invalidate(caller);
    assert_eq!(host.run_steps(), [&end_of(A)[..], &[CHECKIN_EMPTY]].concat());
}

#[test]
fn a_soft_invalidated_connection_is_returned_like_any_and_replaced_at_the_next_checkout() {
    let mut host = Host::listening(sized(1, 0));
    let caller = lend(&mut host);
    host.invalidate_soft(caller);
    let emission = host.emit(Event::SoftInvalidate, A).expect("the event has listeners");
    host.finish(emission, Outcome::Failed);
    assert!(host.has_ended(emission));
    assert_eq!(host.take_steps(), [emit(Event::SoftInvalidate, 0)]);
    host.give_back(caller);
    assert_eq!(host.take_steps(), [emit(Event::Reset, 0), HostStep::Rollback(A), emit(Event::Checkin, 0)]);
    host.lend();
    assert_eq!(host.take_steps(), [&[emit(Event::Close, 0), HostStep::Terminate(A)][..], &opening_of(1)].concat());
}

#[test]
fn a_connection_that_is_too_old_or_from_before_a_pool_wide_mark_goes_without_an_invalidation() {
    let age = |host: &mut Host| host.pass(1001.0);
    let mark = |host: &mut Host| host.invalidate_all();
    for spoil in [age as fn(&mut Host), mark] {
        let mut host = idle(Settings { recycle_ms: 1000.0, ..sized(1, 0) });
        spoil(&mut host);
        host.lend();
        assert_eq!(host.take_steps(), [&[emit(Event::Close, 0), HostStep::Terminate(A)][..], &opening_of(1)].concat());
        assert_eq!((host.stats().recycled, host.stats().invalidated), (1, 0));
    }
}

#[test]
fn an_emptied_record_opens_like_a_new_one() {
    let mut host = Host::listening(sized(1, 0));
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps(), opening_of(1));
}

#[test]
fn what_a_ping_finds_dead_is_invalidated_and_replaced() {
    let mut host = idle(Settings { pre_ping: Some(true), ..sized(1, 0) });
    let caller = host.connect();
    host.finish(caller, Outcome::Disconnected);
    let steps = host.run_steps();
    assert_eq!(steps, [&[HostStep::Ping(A)][..], &end_of(A), &opening_of(1)].concat(), "the new one is not pinged");
    assert!(host.has_lease(caller));
}

#[test]
fn what_a_checkout_listener_finds_dead_is_replaced_and_shown_again() {
    let mut host = idle(sized(1, 0));
    let caller = host.connect();
    host.finish(caller, Outcome::Disconnected);
    let steps = host.run_steps();
    assert_eq!(steps, [&[emit(Event::Checkout, 0)][..], &end_of(A), &opening_of(1)].concat());
    assert!(host.has_lease(caller));
}

#[test]
fn a_detached_connection_is_reset_and_emitted_as_detached_and_closed() {
    let mut host = Host::listening(sized(1, 0));
    let caller = lend(&mut host);
    let detached = host.detach(caller);
    host.emit(Event::Detach, A);
    assert_eq!(host.run_steps(), [emit(Event::Detach, 0)], "nothing was checked in");
    host.close_detached(detached, false, false);
    let close = [emit(Event::Reset, 0), HostStep::Rollback(A), emit(Event::CloseDetached, 0), HostStep::Close(A)];
    assert_eq!(host.run_steps(), close);
    assert_eq!(host.stats().invalidated, 0);
}

#[test]
fn an_invalidated_detached_connection_is_terminated_without_a_reset() {
    let mut host = Host::listening(sized(1, 0));
    let caller = lend(&mut host);
    let detached = host.detach(caller);
    host.close_detached(detached, false, true);
    assert_eq!(host.run_steps(), [emit(Event::CloseDetached, 0), HostStep::Terminate(A)]);
}

#[test]
fn a_reset_that_fails_invalidates_the_connection_and_the_return_goes_on() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::listening(sized(1, 0));
        let caller = lend(&mut host);
        let operation = host.checkin(caller, false).expect("a reset");
        host.finish(operation, Outcome::Ok);
        host.finish(operation, outcome);
        let steps = host.run_steps();
        let start = [emit(Event::Reset, 0), HostStep::Rollback(A)];
        assert_eq!(steps, [&start[..], &end_of(A), &[CHECKIN_EMPTY]].concat());
        assert!(host.has_ended(operation));
        assert_eq!(host.counts().checked_in, 1);
    }
}

#[test]
fn a_reset_listener_that_fails_counts_as_a_failed_reset() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::listening(sized(1, 0));
        let caller = lend(&mut host);
        let operation = host.checkin(caller, false).expect("a reset");
        host.finish(operation, outcome);
        assert_eq!(host.run_steps(), [&[emit(Event::Reset, 0)][..], &end_of(A), &[CHECKIN_EMPTY]].concat());
    }
}

#[test]
fn a_reset_of_a_detached_connection_that_fails_still_ends_it() {
    for fails_first in [true, false] {
        let mut host = Host::listening(sized(1, 0));
        let caller = lend(&mut host);
        let detached = host.detach(caller);
        host.close_detached(detached, false, false);
        if !fails_first {
            host.finish(detached, Outcome::Ok);
        }
        host.finish(detached, Outcome::Failed);
        let end = [emit(Event::CloseDetached, 0), HostStep::Terminate(A)];
        let steps = host.run_steps();
        assert_eq!(steps[steps.len() - 2..], end);
        assert_eq!((host.stats().detached, host.open_connections()), (0, 0));
    }
}

#[test]
fn dispose_closes_what_is_idle_one_event_for_each() {
    let mut host = Host::listening(sized(2, 0));
    let (first, second) = (host.lend(), host.lend());
    host.give_back(first);
    host.give_back(second);
    host.take_log();
    host.dispose();
    let steps = host.run_steps();
    assert_eq!(steps[..2], [emit(Event::Close, 0), emit(Event::Close, 1)], "in the order of their idleness");
    assert!(steps.contains(&HostStep::Close(A)) && steps.contains(&HostStep::Close(B)));
    assert_eq!(steps.len(), 4);
}

#[test]
fn a_death_while_idle_is_emitted_as_an_invalidation_and_nothing_is_checked_in() {
    let mut host = idle(sized(1, 0));
    host.connection_died(A);
    assert_eq!(host.run_steps(), end_of(A));
    assert_eq!(host.counts().checked_in, 0);
}

#[test]
fn a_connect_listener_that_fails_ends_a_new_slot_without_a_word() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = idle(sized(2, 0));
        let holder = lend(&mut host);
        let caller = host.connect();
        host.finish(caller, Outcome::Ok);
        host.finish(caller, outcome);
        assert_eq!(host.run_steps(), [HostStep::Open, emit(Event::Connect, 1), HostStep::Terminate(B)]);
        assert_eq!((host.stats().total, host.stats().invalidated), (1, 0));
        host.give_back(holder);
    }
}

#[test]
fn a_connect_listener_that_fails_checks_an_older_slot_in_empty() {
    let mut host = Host::listening(sized(1, 0));
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    host.take_log();
    let caller = host.connect();
    host.finish(caller, Outcome::Ok);
    host.finish(caller, Outcome::Failed);
    assert_eq!(host.run_steps(), [HostStep::Open, emit(Event::Connect, 1), HostStep::Terminate(B), CHECKIN_EMPTY]);
    assert_eq!((host.counts().checked_in, host.stats().idle), (1, 0));
    host.lend();
}

#[test]
fn a_creator_that_fails_in_an_older_slot_checks_it_in_empty_and_in_a_new_one_says_nothing() {
    let mut host = Host::listening(sized(1, 0));
    let caller = host.connect();
    host.finish(caller, Outcome::Failed);
    assert_eq!((host.run_steps(), host.stats().total), (vec![HostStep::Open], 0));
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    host.take_log();
    let caller = host.connect();
    host.finish(caller, Outcome::Failed);
    assert_eq!(host.run_steps(), [HostStep::Open, CHECKIN_EMPTY]);
}

#[test]
fn a_listener_of_an_end_that_fails_changes_nothing() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::listening(plain(1, 0));
        let caller = lend(&mut host);
        let operation = host.invalidate(caller);
        for _ in 0..4 {
            host.finish(operation, outcome);
        }
        assert_eq!(host.take_steps(), [&end_of(A)[..], &[CHECKIN_EMPTY]].concat());
        assert!(host.has_ended(operation));
        assert_eq!(host.counts().checked_in, 1);
    }
}

#[test]
fn events_without_listeners_make_no_steps() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    assert_eq!(host.emit(Event::Detach, A), None);
    host.checkin(caller, true);
    let caller = host.lend();
    let operation = host.invalidate(caller);
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.take_steps(), [HostStep::Open, HostStep::Terminate(A)]);
    host.close(Span::Forever);
}

#[test]
fn listeners_that_come_later_are_called_from_the_next_event_on() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.listen(&[Event::Checkin]);
    host.take_log();
    host.give_back(caller);
    assert_eq!(host.take_steps(), [emit(Event::Checkin, 0)]);
    host.listen(&[Event::Checkout]);
    host.take_log();
    let caller = host.lend();
    assert_eq!(host.take_steps(), [emit(Event::Checkout, 0)]);
    host.listen(&[]);
    host.give_back(caller);
    assert_eq!(host.take_steps(), []);
}

#[test]
fn a_checkout_listener_makes_a_waiter_resume() {
    let mut host = Host::new(plain(1, 0));
    host.listen(&[Event::Checkout]);
    let holder = host.lend();
    let waiter = host.connect();
    host.give_back(holder);
    assert!(!host.is_settled(waiter));
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(emit(Event::Checkout, 0)));
    host.finish(waiter, Outcome::Ok);
    assert!(host.has_lease(waiter));
}
