//! The firstConnect listeners run once for each pool, before the connect listeners of the first connection. Until both
//! have once succeeded, openings run their listeners one after the other.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, emit, sized};
use edgepool::policy::{Event, Outcome, Refusal, Settings, Span};

fn two_open() -> (Host, Operation, Operation) {
    let mut host = Host::listening(sized(2, 0));
    let (first, second) = (host.connect(), host.connect());
    host.finish(first, Outcome::Ok);
    host.finish(second, Outcome::Ok);
    (host, first, second)
}

#[test]
fn creators_run_at_once_and_their_listeners_one_after_the_other() {
    let (mut host, first, second) = two_open();
    assert_eq!(host.steps(), [emit(Event::FirstConnect, 0)]);
    assert_eq!(host.stage(second), Stage::InLine);
    assert_eq!((host.stats().opening, host.stats().waiting), (2, 0), "it is no waiter");
    host.finish(first, Outcome::Ok);
    assert_eq!(host.stage(second), Stage::InLine, "the connect listeners run for the first time, too");
    host.finish(first, Outcome::Ok);
    assert_eq!(host.stage(second), Stage::Woken);
    host.wake(second);
    assert_eq!(host.step(second), Some(emit(Event::Connect, 1)), "the first time is over");
    host.run();
    assert!(host.has_lease(first) && host.has_lease(second));
}

#[test]
fn after_the_first_time_listeners_run_side_by_side() {
    let mut host = Host::listening(sized(3, 0));
    host.lend();
    let (a, b) = (host.connect(), host.connect());
    host.finish(a, Outcome::Ok);
    host.finish(b, Outcome::Ok);
    assert_eq!(host.steps(), [emit(Event::Connect, 1), emit(Event::Connect, 2)]);
}

#[test]
fn a_first_connect_that_failed_is_not_done() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let (mut host, first, second) = two_open();
        host.finish(first, outcome);
        assert_eq!(host.step(first), Some(HostStep::Terminate(Connection(0))));
        host.wake(second);
        assert_eq!(host.step(second), Some(emit(Event::FirstConnect, 1)));
        host.run();
        let refusal = if outcome == Outcome::Failed { Refusal::Failed } else { Refusal::ListenerTimeout };
        assert_eq!(host.refusal(first), Some(refusal));
        assert!(host.has_lease(second));
    }
}

#[test]
fn a_first_connect_that_passed_stays_done_when_the_connect_listeners_fail() {
    let (mut host, first, second) = two_open();
    host.finish(first, Outcome::Ok);
    host.finish(first, Outcome::Failed);
    host.wake(second);
    assert_eq!(host.step(second), Some(emit(Event::Connect, 1)));
    host.run();
    assert!(host.has_lease(second));
}

#[test]
fn until_the_connect_listeners_have_once_succeeded_each_opening_waits_for_the_one_before() {
    let mut host = Host::listening(sized(3, 0));
    let callers: Vec<Operation> = (0..3).map(|_| host.connect()).collect();
    callers.iter().for_each(|&caller| host.finish(caller, Outcome::Ok));
    host.finish(callers[0], Outcome::Ok);
    host.finish(callers[0], Outcome::Failed);
    host.wake(callers[1]);
    assert_eq!(host.stage(callers[2]), Stage::InLine);
    host.finish(callers[1], Outcome::Ok);
    assert_eq!(host.stage(callers[2]), Stage::Woken);
}

#[test]
fn a_caller_in_line_may_leave_and_the_connection_becomes_idle() {
    let (mut host, first, second) = two_open();
    assert!(host.abort(second));
    assert_eq!(host.refusal(second), Some(Refusal::Aborted));
    host.run();
    assert!(host.has_lease(first));
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn a_caller_whose_listeners_run_may_leave_and_the_next_has_its_turn() {
    let (mut host, first, second) = two_open();
    assert!(host.abort(first));
    host.finish(first, Outcome::Ok);
    host.finish(first, Outcome::Ok);
    host.run();
    assert!(host.has_lease(second));
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn the_deadline_of_a_caller_in_line_runs() {
    let mut host = Host::listening(sized(2, 0));
    let first = host.connect();
    let second = host.connect_within(None, Some(Span::Millis(100)));
    host.finish(first, Outcome::Ok);
    host.finish(second, Outcome::Ok);
    host.pass(120.0);
    assert_eq!(host.refusal(second), Some(Refusal::ListenerDeadline));
    host.run();
    assert!(host.has_lease(first));
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn without_first_connect_listeners_the_connect_listeners_still_run_in_line() {
    let mut host = Host::new(sized(2, 0));
    host.listen(&[Event::Connect]);
    let (first, second) = (host.connect(), host.connect());
    host.finish(first, Outcome::Ok);
    host.finish(second, Outcome::Ok);
    assert_eq!(host.steps(), [emit(Event::Connect, 0)]);
    host.finish(first, Outcome::Ok);
    host.wake(second);
    assert_eq!(host.step(second), Some(emit(Event::Connect, 1)));
}

#[test]
fn without_connect_listeners_first_connect_runs_once() {
    let mut host = Host::new(sized(3, 0));
    host.listen(&[Event::FirstConnect]);
    let (first, second) = (host.connect(), host.connect());
    host.finish(first, Outcome::Ok);
    host.finish(second, Outcome::Ok);
    host.finish(first, Outcome::Ok);
    host.wake(second);
    assert!(host.has_lease(first) && host.has_lease(second));
    host.lend();
}

#[test]
fn a_close_refuses_a_caller_in_line_and_ends_its_connection() {
    let mut host = Host::listening(Settings { ..sized(2, 0) });
    let (first, second) = (host.connect(), host.connect());
    host.finish(first, Outcome::Ok);
    host.finish(second, Outcome::Ok);
    host.close(Span::Forever);
    assert_eq!(host.refusal(second), Some(Refusal::Closed));
    host.run();
    host.assert_nothing_is_left();
}
