//! `resetOnReturn`: what happens to an open transaction at the return, when the reset is skipped, and what a failed
//! reset costs.

use crate::harness::{Connection, Host, HostStep, Stage, counts, emit, plain, sized};
use edgepool::policy::{Condition, Event, Outcome, ResetStyle, Return, Settings};

fn styled(style: ResetStyle) -> Settings {
    Settings { reset_on_return: Some(style), ..sized(1, 0) }
}

/// The steps of a return that all succeed.
fn steps_of_return(style: ResetStyle, clean: bool) -> Vec<HostStep> {
    let mut host = Host::new(styled(style));
    let caller = host.lend();
    let mut steps = Vec::new();
    if let Some(operation) = host.checkin(caller, clean) {
        while let Stage::Performing(_) = host.stage(operation) {
            steps.extend(host.step(operation));
            host.finish(operation, Outcome::Ok);
        }
    }
    assert_eq!((host.counts(), host.stats().idle), (counts(1, 1, 0, 0), 1));
    steps
}

#[test]
fn scenario_134_rollback_rolls_back_and_does_not_commit() {
    assert_eq!(steps_of_return(ResetStyle::Rollback, false), [HostStep::Rollback(Connection(0))]);
}

#[test]
fn scenario_135_commit_commits_and_does_not_roll_back() {
    assert_eq!(steps_of_return(ResetStyle::Commit, false), [HostStep::Commit(Connection(0))]);
}

#[test]
fn none_does_nothing_clean_or_not() {
    assert_eq!(steps_of_return(ResetStyle::None, false), []);
    assert_eq!(steps_of_return(ResetStyle::None, true), []);
}

#[test]
fn scenario_137_a_clean_connection_is_not_rolled_back_again() {
    assert_eq!(steps_of_return(ResetStyle::Rollback, true), []);
}

#[test]
fn scenario_138_commit_runs_on_a_clean_connection_too() {
    assert_eq!(steps_of_return(ResetStyle::Commit, true), [HostStep::Commit(Connection(0))]);
}

#[test]
fn style_session_resets_the_session_clean_or_not_and_does_not_roll_back() {
    for clean in [false, true] {
        assert_eq!(steps_of_return(ResetStyle::Session, clean), [HostStep::ResetSession(Connection(0))]);
    }
}

#[test]
fn style_session_resets_after_the_reset_listeners_and_before_the_checkin_listeners() {
    let mut host = Host::listening(styled(ResetStyle::Session));
    let caller = host.lend();
    host.take_steps();
    host.checkin(caller, true);
    host.run();
    let reset = HostStep::ResetSession(Connection(0));
    assert_eq!(host.take_steps(), [emit(Event::Reset, 0), reset, emit(Event::Checkin, 0)]);
}

#[test]
fn a_waiter_gets_the_connection_only_when_its_session_is_reset() {
    let mut host = Host::new(styled(ResetStyle::Session));
    let caller = host.lend();
    let waiter = host.connect();
    let reset = host.checkin(caller, true).expect("a session reset");
    assert_eq!(host.stage(waiter), Stage::Queued);
    host.finish(reset, Outcome::Ok);
    assert!(host.has_lease(waiter));
}

#[test]
fn scenario_143_a_failed_reset_costs_the_connection_and_leaves_an_emptied_slot() {
    for (style, step) in [
        (ResetStyle::Rollback, HostStep::Rollback(Connection(0))),
        (ResetStyle::Commit, HostStep::Commit(Connection(0))),
        (ResetStyle::Session, HostStep::ResetSession(Connection(0))),
    ] {
        // 145: each end of the termination.
        for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
            let mut host = Host::new(styled(style));
            let caller = host.lend();
            let operation = host.checkin(caller, false).expect("a reset");
            assert_eq!(host.step(operation), Some(step));
            host.finish(operation, Outcome::Failed);
            assert_eq!(host.step(operation), Some(HostStep::Terminate(Connection(0))));
            assert_eq!(host.stats().used, 1, "until the connection is gone");
            host.finish(operation, outcome);
            assert!(host.has_ended(operation));
            assert_eq!((host.counts(), host.stats().invalidated), (counts(1, 1, 0, 0), 1));
            host.lend();
        }
    }
}

#[test]
fn a_slot_being_reset_is_used_and_counted() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    host.checkin(caller, false);
    assert_eq!((host.stats().used, host.stats().idle, host.counts()), (1, 0, counts(1, 0, 0, 1)));
    let waiter = host.connect();
    assert_eq!(host.stage(waiter), Stage::Queued);
}

#[test]
fn a_surplus_connection_is_reset_before_it_is_closed() {
    let mut host = Host::new(sized(1, 1));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    let operation = host.checkin(b, false).expect("a rollback");
    assert_eq!(host.step(operation), Some(HostStep::Rollback(Connection(1))));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.step(operation), Some(HostStep::Close(Connection(1))));
}

#[test]
fn what_was_returned_first_may_come_back_last() {
    let mut host = Host::new(sized(2, 0));
    let (a, b) = (host.lend(), host.lend());
    let slow = host.checkin(a, false).expect("a rollback");
    host.give_back(b);
    host.finish(slow, Outcome::Ok);
    let next = host.lend();
    assert_eq!(host.connection(next), Connection(1), "idle order is the order in which the resets ended");
}

#[test]
fn a_dispose_during_the_reset_has_the_connection_closed() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let operation = host.checkin(caller, false).expect("a rollback");
    host.dispose();
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.step(operation), Some(HostStep::Close(Connection(0))));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.counts(), counts(1, 0, -1, 0));
}

#[test]
fn many_returns_at_once_each_have_their_own_reset() {
    let mut host = Host::new(sized(3, 0));
    let callers = [host.lend(), host.lend(), host.lend()];
    let operations = callers.map(|caller| host.checkin(caller, false).expect("a rollback"));
    assert_eq!(host.steps(), [0, 1, 2].map(|at| HostStep::Rollback(Connection(at))));
    host.finish(operations[1], Outcome::Failed);
    host.finish(operations[2], Outcome::Ok);
    host.finish(operations[0], Outcome::TimedOut);
    host.run();
    assert_eq!((host.stats().idle, host.counts()), (1, counts(3, 3, 0, 0)));
}

#[test]
fn with_no_reset_a_lease_goes_round_without_a_single_step() {
    let mut host = Host::new(plain(1, 0));
    let first = host.lend();
    host.give_back(first);
    host.take_log();
    for _ in 0..2000 {
        let caller = host.pool.begin_checkout(None);
        let edgepool::policy::Begin::Granted(lease) = caller else { panic!("{caller:?}") };
        assert_eq!(host.pool.begin_checkin(lease, Condition::Clean), Return::Done);
        assert_eq!((host.pool.take_notice(), host.pool.tick_wanted()), (None, false));
    }
    assert_eq!(host.stats().checkouts, 2001);
}
