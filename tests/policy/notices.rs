//! How the shell learns what a call brought about: notices in order, the shortcut for a lone grant, and the questions
//! that save a call. All of them must say the same.

use crate::harness::{Connection, Host, HostStep, Operation, plain, sized};
use edgepool::policy::{Aside, Condition, Event, Hooks, Notice, Outcome, Refusal, Return, Settings, Span, Step};

/// Returns the caller's lease and leaves the output untaken.
fn return_quietly(host: &mut Host, caller: Operation) -> Return {
    let lease = host.lease(caller);
    host.pool.begin_checkin(lease, Condition::Clean)
}

#[test]
fn a_lone_grant_comes_with_the_return_itself() {
    let mut host = Host::new(plain(1, 0));
    let (holder, waiter) = (host.lend(), host.connect());
    // A second waiter keeps the timer. Without it the tick would be wanted, which is output too.
    let second = host.connect();
    let old = host.lease(holder);
    let Return::HandedOver(id, lease) = return_quietly(&mut host, holder) else { panic!("a grant and nothing else") };
    assert_eq!((id, host.pool.is_leased(lease), host.pool.is_leased(old)), (host.id(waiter), true, false));
    assert!(!host.pool.has_news() && host.pool.is_waiting(host.id(second)));
    assert_eq!(host.pool.take_notice(), None);
}

#[test]
fn an_idle_timeout_is_no_reason_for_a_notice() {
    let mut host = Host::new(Settings { idle_timeout_ms: 1000.0, ..plain(1, 0) });
    let (holder, waiter) = (host.lend(), host.connect());
    host.connect();
    let Return::HandedOver(id, lease) = return_quietly(&mut host, holder) else { panic!("a grant and nothing else") };
    assert_eq!((id, host.pool.is_leased(lease)), (host.id(waiter), true));
}

#[test]
fn the_grace_of_a_lost_lease_ends_with_its_late_return_also_if_there_is_an_idle_timeout() {
    let mut host = Host::new(Settings { idle_timeout_ms: 1000.0, ..plain(1, 0) });
    let (holder, waiter) = (host.lend(), host.connect());
    host.connect();
    let lease = host.lease(holder);
    assert!(host.pool.lose_lease(lease));
    assert_eq!(host.pool.begin_checkin(lease, Condition::Clean), Return::Done);
    assert!(matches!(host.pool.take_notice(), Some((id, Notice::Grant(_))) if id == host.id(waiter)));
}

#[test]
fn a_grant_among_other_notices_keeps_its_place_among_them() {
    let mut host = Host::new(plain(3, 0));
    let holders = [host.lend(), host.lend(), host.lend()];
    let waiters = [host.connect(), host.connect(), host.connect(), host.connect()].map(|waiter| host.id(waiter));
    host.invalidate_soft(holders[0]);
    for holder in holders {
        assert_eq!(return_quietly(&mut host, holder), Return::Done);
    }
    // The second return serves the waiter that was woken for the first one, which must be replaced.
    for waiter in &waiters[0..2] {
        assert!(matches!(host.pool.take_notice(), Some((id, Notice::Grant(_))) if id == *waiter));
    }
    assert_eq!(host.pool.take_notice(), Some((waiters[2], Notice::Resume)));
    assert_eq!(host.pool.take_notice(), None);
}

#[test]
fn a_grant_that_ends_the_last_wait_leaves_the_timer_to_be_stopped() {
    let mut host = Host::new(plain(1, 0));
    let (holder, waiter) = (host.lend(), host.connect());
    assert_eq!(return_quietly(&mut host, holder), Return::Done, "the tick is wanted too");
    assert!(matches!(host.pool.take_notice(), Some((id, Notice::Grant(_))) if id == host.id(waiter)));
    assert!(host.pool.has_news() && host.pool.tick_wanted());
    assert_eq!(host.pool.tick(host.now), None);
    assert!(!host.pool.has_news());
}

#[test]
fn a_lone_wake_up_is_no_grant() {
    let mut host = Host::new(plain(1, 0));
    let (holder, waiter) = (host.lend(), host.connect());
    host.connect();
    host.invalidate_soft(holder);
    assert_eq!(return_quietly(&mut host, holder), Return::Done);
    assert_eq!(host.pool.take_notice(), Some((host.id(waiter), Notice::Resume)));
}

#[test]
fn notices_taken_one_by_one_between_calls_stay_in_order() {
    let mut host = Host::new(Settings { timeout_ms: f64::INFINITY, ..plain(3, 0) });
    let holders = [host.lend(), host.lend(), host.lend()];
    let waiters = [0; 4].map(|_| host.connect()).map(|waiter| host.id(waiter));
    let mut taken = Vec::new();
    // The wake-up comes first, so that the grants queue behind it.
    host.invalidate_soft(holders[0]);
    return_quietly(&mut host, holders[0]);
    return_quietly(&mut host, holders[1]);
    taken.extend(host.pool.take_notice());
    return_quietly(&mut host, holders[2]);
    while let Some(notice) = host.pool.take_notice() {
        taken.push(notice);
    }
    assert_eq!(taken.iter().map(|(id, _)| *id).collect::<Vec<_>>(), waiters[..3]);
}

#[test]
fn spawned_operations_are_output() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    assert!(!host.pool.has_news());
    host.pool.dispose();
    assert!(host.pool.has_news());
    assert!(matches!(host.pool.take_aside(), Some(Aside::Spawned(_))));
    assert_eq!(host.pool.take_aside(), None);
}

#[test]
fn only_a_caller_in_the_queue_is_waiting() {
    let mut host = Host::new(sized(1, 0));
    let opening = host.connect();
    let waiter = host.connect();
    assert!(!host.pool.is_waiting(host.id(opening)));
    assert!(host.pool.is_waiting(host.id(waiter)));
    host.finish(opening, Outcome::Failed);
    assert!(!host.pool.is_waiting(host.id(waiter)), "woken");
    host.run();
    assert!(!host.pool.is_waiting(host.id(waiter)), "served");
}

#[test]
fn a_slot_is_in_use_from_the_grant_to_the_end_of_the_return() {
    let mut host = Host::new(sized(1, 0));
    let opening = host.connect();
    assert!(!host.pool.is_in_use(0));
    host.finish(opening, Outcome::Ok);
    assert!(host.pool.is_in_use(0));
    let reset = host.checkin(opening, false).expect("a rollback");
    assert!(host.pool.is_in_use(0));
    host.finish(reset, Outcome::Ok);
    assert!(!host.pool.is_in_use(0));
}

#[test]
fn the_end_of_a_slot_is_output_and_an_emptied_slot_goes_on() {
    let mut host = Host::new(plain(1, 1));
    let first = host.connect();
    let waiter = host.connect();
    host.finish(first, Outcome::Failed);
    assert_eq!(host.take_ended_slots(), [0], "its only opening failed");
    host.finish(waiter, Outcome::Ok);
    host.invalidate(waiter);
    host.run();
    assert_eq!(host.take_ended_slots(), [], "emptied");
    host.dispose();
    host.run();
    assert_eq!(host.take_ended_slots(), [1]);
}

#[test]
fn a_surplus_slot_ends_when_its_connection_is_closed() {
    let mut host = Host::new(plain(1, 1));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    let closing = host.checkin(b, true).expect("a close");
    assert_eq!(host.take_ended_slots(), []);
    host.finish(closing, Outcome::Failed);
    assert_eq!(host.take_ended_slots(), [1]);
}

#[test]
fn the_end_of_a_slot_is_output_before_its_index_is_used_again() {
    let mut host = Host::new(plain(1, 0));
    let opening = host.connect();
    let waiter = host.connect();
    host.finish(opening, Outcome::Failed);
    assert_eq!(host.take_ended_slots(), [0]);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Open), "in a slot of the same index");
    host.finish(waiter, Outcome::Ok);
    assert_eq!(host.connection(waiter), Connection(0));
}

#[test]
fn the_index_of_an_operation_is_taken_until_its_notice_was_handed_out() {
    let mut host = Host::new(Settings { max_waiters: 2.0, ..plain(1, 0) });
    host.lend();
    let waiters = [host.connect(), host.connect()].map(|waiter| host.id(waiter));
    host.pool.begin_close(Span::Forever, false);
    // Both were refused and have ended. An operation that begins before that is handed out takes neither index.
    let emission = host.pool.begin_telling(Event::Detach);
    assert_eq!(emission, Return::Done, "no listener");
    host.pool.set_hooks(Hooks::from_bits(1 << Event::Detach as u16));
    let Return::Pending(other) = host.pool.begin_telling(Event::Detach) else { panic!("there is a listener") };
    assert!(waiters.iter().all(|waiter| waiter.index() != other.index()));
    for waiter in waiters {
        assert_eq!(host.pool.resume(waiter), Step::Done);
        assert_eq!(host.pool.advance(waiter, Outcome::Ok), Step::Done);
        assert!(!host.pool.abort(waiter), "it has its answer");
        assert_eq!(host.pool.take_notice(), Some((waiter, Notice::Reject(Refusal::Closed))));
    }
    let Return::Pending(next) = host.pool.begin_telling(Event::Detach) else { panic!("there is a listener") };
    assert!(waiters.iter().any(|waiter| waiter.index() == next.index()), "afterwards it is used again");
}

#[test]
fn a_wake_up_of_an_operation_that_has_ended_since_is_not_handed_out() {
    let mut host = Host::new(plain(1, 0));
    let (holder, waiter) = (host.lend(), host.connect());
    host.connect();
    host.invalidate_soft(holder);
    assert_eq!(return_quietly(&mut host, holder), Return::Done);
    let id = host.id(waiter);
    assert!(host.pool.abort(id), "it was woken, and leaves before it goes on");
    let Some((other, Notice::Resume)) = host.pool.take_notice() else { panic!("the next waiter is woken") };
    assert!(other != id);
    assert_eq!(host.pool.take_notice(), None);
}
