//! Leases that were dropped without a return. They are emitted at once. After a grace their connection is taken out of
//! its slot and terminated.

use crate::harness::{CHECKIN_EMPTY, Connection, Host, HostStep, emit, sized};
use crate::timeout::latest_ms;
use edgepool::policy::{Event, Outcome, Span};

const A: Connection = Connection(0);
const GRACE_MS: f64 = 30_000.0;

fn lost(host: &mut Host) {
    let caller = host.lend();
    host.take_log();
    assert!(host.lose(caller));
}

#[test]
fn it_is_counted_at_once_and_left_alone_for_a_grace() {
    let mut host = Host::listening(sized(1, 0));
    lost(&mut host);
    assert_eq!((host.stats().leaked, host.stats().used), (1, 1));
    host.pass(GRACE_MS - 1.0);
    assert_eq!((host.take_steps(), host.stats().used), (vec![], 1));
}

#[test]
fn after_the_grace_it_is_taken_out_emitted_and_terminated_without_a_reset() {
    let mut host = Host::listening(sized(1, 0));
    lost(&mut host);
    host.pass(latest_ms(GRACE_MS));
    let steps = [
        HostStep::Detach(Some(A)),
        emit(Event::Reset, 0),
        emit(Event::Detach, 0),
        emit(Event::CloseDetached, 0),
        HostStep::Terminate(A),
    ];
    assert_eq!(host.run_steps(), steps);
    assert_eq!((host.stats().detached, host.stats().total, host.counts().checked_in), (0, 0, 1));
}

#[test]
fn without_listeners_it_is_just_terminated() {
    let mut host = Host::new(sized(1, 0));
    lost(&mut host);
    host.pass(latest_ms(GRACE_MS));
    assert_eq!(host.run_steps(), [HostStep::Detach(Some(A)), HostStep::Terminate(A)]);
}

#[test]
fn its_slot_goes_to_a_waiter_while_it_is_still_being_terminated() {
    let mut host = Host::new(sized(1, 0));
    lost(&mut host);
    let waiter = host.connect_within(Some(Span::Forever), None);
    host.pass(latest_ms(GRACE_MS));
    let spawned = host.operations().last().expect("a spawned operation");
    host.finish(spawned, Outcome::Ok);
    assert_eq!(host.stats().detached, 1);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Open));
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn listeners_that_fail_change_nothing() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::listening(sized(1, 0));
        lost(&mut host);
        host.pass(latest_ms(GRACE_MS));
        let spawned = host.operations().last().expect("a spawned operation");
        host.finish(spawned, Outcome::Ok);
        for _ in 0..4 {
            host.finish(spawned, outcome);
        }
        assert!(host.has_ended(spawned));
        assert_eq!((host.open_connections(), host.stats().detached), (0, 0));
    }
}

#[test]
fn a_lease_that_had_ended_cannot_be_lost() {
    let mut host = Host::new(sized(1, 0));
    let caller = host.lend();
    let lease = host.lease(caller);
    host.give_back(caller);
    assert!(!host.pool.lose_lease(lease));
    assert_eq!(host.stats().leaked, 0);
}

#[test]
fn a_close_does_not_wait_for_it_longer_than_its_patience() {
    let mut host = Host::new(sized(1, 0));
    lost(&mut host);
    let closing = host.close(Span::Millis(1000));
    host.pass(1100.0);
    assert!(host.has_ended(closing));
    host.run();
    assert_eq!(host.open_connections(), 0);
    host.pass(40_000.0);
    host.run();
    host.assert_nothing_is_left();
}

#[test]
fn a_close_that_waits_ends_with_the_grace() {
    let mut host = Host::new(sized(1, 0));
    lost(&mut host);
    let closing = host.close(Span::Forever);
    host.pass(latest_ms(GRACE_MS));
    host.run();
    assert!(host.has_ended(closing));
    host.assert_nothing_is_left();
}

#[test]
fn one_whose_record_was_emptied_is_only_checked_in() {
    let mut host = Host::listening(sized(1, 0));
    lost(&mut host);
    host.close_record(A, true);
    host.run();
    host.take_log();
    host.pass(latest_ms(GRACE_MS));
    assert_eq!(host.run_steps(), [HostStep::Detach(None), CHECKIN_EMPTY]);
    assert_eq!(host.counts().checked_in, 1);
}

#[test]
fn no_host_is_kept_awake_for_it() {
    let mut host = Host::new(sized(1, 0));
    lost(&mut host);
    assert!(host.has_timer() && !host.pool.is_attended());
}
