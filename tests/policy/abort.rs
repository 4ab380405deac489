//! The caller's signal, in each state of a checkout: queued, woken, replacing, opening, settled. The caller is refused
//! at once and nothing is lost. A return ignores the signal.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, counts, plain, sized};
use edgepool::policy::{Outcome, Refusal};

#[test]
fn scenario_057_a_waiter_that_leaves_changes_no_count_and_the_pool_works_on() {
    let mut host = Host::new(sized(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    let before = host.counts();
    assert!(host.abort(waiter));
    assert_eq!((host.counts(), host.stats().waiting, host.stats().aborted), (before, 0, 1));
    host.give_back(holder);
    host.lend();
}

#[test]
fn a_waiter_that_leaves_from_the_middle_is_passed_over() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiters: Vec<Operation> = (0..4).map(|_| host.connect()).collect();
    host.abort(waiters[1]);
    host.abort(waiters[3]);
    host.give_back(holder);
    assert!(host.has_lease(waiters[0]));
    host.give_back(waiters[0]);
    assert!(host.has_lease(waiters[2]));
    host.give_back(waiters[2]);
    assert_eq!(host.stats().idle, 1);
}

#[test]
fn hundreds_of_waiters_that_leave_the_middle_keep_the_order_of_the_rest() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiters: Vec<Operation> = (0..300).map(|_| host.connect()).collect();
    // The order jumps about, so that the places of the remaining waiters move again and again.
    for at in (0..300).map(|step| (step * 7 + 1) % 300).filter(|at| at % 5 != 0) {
        assert!(host.abort(waiters[at]));
    }
    let mut left: Vec<Operation> = waiters.into_iter().filter(|&waiter| !host.is_settled(waiter)).collect();
    let (gone, last) = (left.remove(left.len() / 2), left.pop().expect("many are left"));
    host.abort(gone);
    host.abort(last);
    assert_eq!(host.stats().waiting as usize, left.len());
    host.give_back(holder);
    for waiter in left {
        assert!(host.has_lease(waiter), "{waiter:?}");
        host.give_back(waiter);
    }
}

#[test]
fn scenario_058_once_a_connection_was_handed_over_the_signal_comes_too_late() {
    let mut host = Host::new(sized(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.give_back(holder);
    assert!(host.has_lease(waiter));
    assert!(!host.abort(waiter));
    host.give_back(waiter);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn scenario_058_a_woken_caller_that_leaves_gives_its_new_slot_to_the_next() {
    let mut host = Host::new(plain(1, 0));
    let failing = host.connect();
    let (first, second) = (host.connect(), host.connect());
    host.finish(failing, Outcome::Failed);
    assert_eq!((host.stage(first), host.stage(second)), (Stage::Woken, Stage::Queued));
    assert!(host.abort(first));
    assert_eq!(host.stage(second), Stage::Woken);
    host.run();
    assert!(host.has_lease(second));
}

#[test]
fn a_woken_caller_that_leaves_alone_takes_its_new_slot_with_it() {
    let mut host = Host::new(plain(1, 0));
    let failing = host.connect();
    let waiter = host.connect();
    host.finish(failing, Outcome::Failed);
    assert!(host.abort(waiter));
    assert_eq!(host.counts(), counts(1, 0, -1, 0));
}

#[test]
fn a_woken_caller_that_leaves_puts_an_emptied_slot_back() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let (first, second) = (host.connect(), host.connect());
    let operation = host.invalidate(holder);
    host.finish(operation, Outcome::Ok);
    host.abort(first);
    assert_eq!(host.stage(second), Stage::Woken);
    host.abort(second);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn a_woken_caller_that_leaves_puts_a_stale_connection_back_or_has_it_closed_as_surplus() {
    let mut host = Host::new(plain(1, 1));
    let (a, b) = (host.lend(), host.lend());
    let (first, second) = (host.connect(), host.connect());
    host.invalidate_all();
    host.give_back(a);
    host.give_back(b);
    assert_eq!((host.stage(first), host.stage(second)), (Stage::Woken, Stage::Woken));
    host.abort(first);
    assert_eq!((host.stats().idle, host.counts()), (1, counts(1, 1, 1, 1)));
    host.abort(second);
    assert_eq!(host.steps(), [HostStep::Close(Connection(1))]);
    host.run();
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn a_woken_caller_that_leaves_after_a_dispose_has_the_old_connection_closed() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    host.invalidate_soft(holder);
    host.give_back(holder);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.dispose();
    host.abort(waiter);
    assert_eq!(host.steps(), [HostStep::Close(Connection(0))]);
    host.run();
    assert_eq!(host.counts(), counts(1, 0, -1, 0));
}

#[test]
fn an_opening_whose_caller_left_goes_on_and_is_kept_idle() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    assert!(host.abort(caller));
    assert_eq!((host.refusal(caller), host.step(caller)), (Some(Refusal::Aborted), Some(HostStep::Open)));
    assert_eq!(host.stats().opening, 1, "its capacity stays taken");
    host.finish(caller, Outcome::Ok);
    assert_eq!((host.stats().idle, host.stats().opened, host.stats().checkouts), (1, 1, 0));
    let next = host.lend();
    assert_eq!(host.connection(next), Connection(0));
}

#[test]
fn an_opening_whose_caller_left_serves_the_head_waiter() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    let (first, second) = (host.connect(), host.connect());
    host.abort(caller);
    host.finish(caller, Outcome::Ok);
    assert!(host.has_lease(first));
    assert_eq!(host.stage(second), Stage::Queued);
}

#[test]
fn an_opening_whose_caller_left_is_closed_if_enough_is_idle() {
    let mut host = Host::new(plain(1, 1));
    let kept = host.lend();
    let caller = host.connect();
    host.abort(caller);
    host.give_back(kept);
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.step(caller), Some(HostStep::Close(Connection(1))));
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn an_opening_whose_caller_left_and_that_fails_frees_its_slot_for_the_next() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    let waiter = host.connect();
    host.abort(caller);
    host.finish(caller, Outcome::Failed);
    assert!(host.has_ended(caller));
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn a_connection_marked_stale_while_its_orphaned_opening_ran_is_replaced_for_the_waiter() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    let waiter = host.connect();
    host.abort(caller);
    host.invalidate_all();
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Terminate(Connection(0))));
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
}

#[test]
fn a_replacement_whose_caller_left_ends_the_old_connection_and_opens_none() {
    for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(plain(1, 0));
        let holder = host.lend();
        host.invalidate_soft(holder);
        host.give_back(holder);
        let caller = host.connect();
        let waiter = host.connect();
        assert!(host.abort(caller));
        host.finish(caller, outcome);
        assert!(host.has_ended(caller));
        assert_eq!(host.stage(waiter), Stage::Woken);
        host.wake(waiter);
        assert_eq!(host.step(waiter), Some(HostStep::Open));
    }
}

#[test]
fn a_caller_is_aborted_once() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    assert!(host.abort(caller));
    assert!(!host.abort(caller));
    assert_eq!(host.stats().aborted, 1);
}

#[test]
fn no_signal_reaches_a_return_a_detached_connection_or_a_close() {
    let mut host = Host::new(sized(3, 0));
    let (a, b, c) = (host.lend(), host.lend(), host.lend());
    let reset = host.checkin(a, false).expect("a rollback");
    let condemned = host.invalidate(b);
    let detached = host.detach(c);
    assert!(!host.abort(reset) && !host.abort(condemned) && !host.abort(detached));
    let closing = host.close(edgepool::policy::Span::Forever);
    assert!(!host.abort(closing));
    assert_eq!(host.stats().aborted, 0);
}
