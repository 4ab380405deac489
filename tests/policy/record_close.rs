//! `record.close()` and `record.invalidate()` end a record's connection, in every state of the slot and from within
//! every listener. A lease goes on with the dead connection, and the slot opens another later.

use crate::harness::{CHECKIN_EMPTY, Connection, Host, HostStep, Stage, counts, emit, plain, sized};
use edgepool::policy::{Begin, Event, Outcome, Settings, Span, Step};

const A: Connection = Connection(0);

#[test]
fn an_idle_record_is_closed_politely_and_its_slot_opens_again_later() {
    let mut host = Host::listening(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    host.take_log();
    host.close_record(A, false);
    assert_eq!((host.stats().closing, host.stats().idle), (1, 0));
    assert_eq!(host.run_steps(), [emit(Event::Close, 0), HostStep::Close(A)]);
    assert_eq!((host.counts(), host.stats().total), (counts(1, 1, 0, 0), 0));
    let caller = host.lend();
    assert_eq!(host.connection(caller), Connection(1));
}

#[test]
fn an_invalidated_idle_record_is_emitted_and_terminated() {
    let mut host = Host::listening(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    host.take_log();
    host.close_record(A, true);
    assert_eq!(host.run_steps(), [emit(Event::Invalidate, 0), emit(Event::Close, 0), HostStep::Terminate(A)]);
    assert_eq!(host.stats().invalidated, 1);
}

#[test]
fn under_a_lease_the_lease_goes_on_and_its_return_resets_the_dead_one_and_checks_in_empty() {
    for abrupt in [false, true] {
        let mut host = Host::listening(sized(1, 0));
        let caller = host.lend();
        host.close_record(A, abrupt);
        host.run();
        assert!(!host.is_open(A) && host.pool.is_leased(host.lease(caller)));
        assert_eq!(host.stats().used, 1);
        host.take_log();
        host.give_back(caller);
        assert_eq!(host.take_steps(), [emit(Event::Reset, 0), HostStep::Rollback(A), CHECKIN_EMPTY]);
        assert_eq!(host.counts(), counts(1, 1, 0, 0));
    }
}

#[test]
fn a_reset_of_the_dead_one_that_fails_is_no_second_end() {
    let mut host = Host::listening(sized(1, 0));
    let caller = host.lend();
    host.close_record(A, true);
    host.run();
    host.take_log();
    let operation = host.checkin(caller, false).expect("a reset");
    host.finish(operation, Outcome::Ok);
    host.finish(operation, Outcome::Failed);
    assert_eq!(host.run_steps(), [emit(Event::Reset, 0), HostStep::Rollback(A), CHECKIN_EMPTY]);
}

#[test]
fn a_slot_that_is_free_before_the_old_connection_is_closed_waits_for_that() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    let waiter = host.connect();
    let emptying = host.close_record(A, false).expect("a close");
    host.checkin(caller, true);
    assert_eq!((host.stage(waiter), host.stats().closing), (Stage::Queued, 1), "the server never sees more");
    host.finish(emptying, Outcome::Ok);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
}

#[test]
fn an_emptied_record_cannot_be_emptied_again() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    assert!(host.close_record(A, false).is_some());
    assert_eq!(host.pool.begin_emptying(0, true), edgepool::policy::Return::Done);
    host.run();
    assert_eq!(host.pool.begin_emptying(0, true), edgepool::policy::Return::Done);
}

#[test]
fn an_invalidation_of_the_lease_of_an_emptied_record_only_checks_in() {
    let mut host = Host::listening(plain(1, 0));
    let caller = host.lend();
    host.close_record(A, false);
    host.run();
    host.take_log();
    host.invalidate_at_once(caller);
    assert_eq!(host.run_steps(), [CHECKIN_EMPTY]);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn a_detached_lease_of_an_emptied_record_has_nothing_to_close() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.close_record(A, false);
    host.run();
    let detached = host.detach(caller);
    assert_eq!((host.stats().detached, host.counts().checked_in), (0, 1));
    host.close_detached(detached, false, false);
    assert!(host.has_ended(detached));
}

#[test]
fn a_close_of_the_pool_waits_for_it() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.lend();
    host.give_back(caller);
    let emptying = host.close_record(A, false).expect("a close");
    let closing = host.close(Span::Forever);
    assert!(!host.has_ended(closing));
    host.finish(emptying, Outcome::Ok);
    assert!(host.has_ended(closing));
    host.assert_nothing_is_left();
}

/// The record is closed in each listener of a checkout that opens. In each order of the ends the caller has an open
/// connection, and the first is closed once.
#[test]
fn from_within_each_listener_of_a_checkout_the_caller_has_another_connection() {
    for at in [Event::FirstConnect, Event::Connect, Event::Checkout] {
        for abrupt in [false, true] {
            for ends_first in [false, true] {
                let mut host = Host::listening(sized(1, 0));
                let caller = host.connect();
                while host.step(caller) != Some(emit(at, 0)) {
                    host.finish(caller, Outcome::Ok);
                }
                let emptying = host.close_record(A, abrupt).expect("an end");
                if ends_first {
                    host.run_operation(emptying);
                }
                host.run_operation(caller);
                host.run();
                assert!(host.has_lease(caller), "{at:?}: {:?}", host.refusal(caller));
                assert!(host.is_open(host.connection(caller)) && !host.is_open(A));
                host.give_back(caller);
                assert_eq!((host.stats().idle, host.open_connections()), (1, 1));
            }
        }
    }
}

/// The listener that closed the record fails as well.
#[test]
fn from_within_each_listener_that_then_fails_the_caller_is_refused_and_nothing_is_closed_twice() {
    for at in [Event::FirstConnect, Event::Connect, Event::Checkout] {
        for ends_first in [false, true] {
            let mut host = Host::listening(sized(1, 0));
            let caller = host.connect();
            while host.step(caller) != Some(emit(at, 0)) {
                host.finish(caller, Outcome::Ok);
            }
            let emptying = host.close_record(A, true).expect("an end");
            if ends_first {
                host.run_operation(emptying);
            }
            host.finish(caller, Outcome::Failed);
            host.run();
            assert!(host.refusal(caller).is_some());
            assert_eq!(host.open_connections(), 0);
            host.lend();
        }
    }
}

#[test]
fn from_within_each_listener_of_a_return_the_record_is_checked_in_empty() {
    for at in [Event::Reset, Event::Checkin] {
        for ends_first in [false, true] {
            let mut host = Host::listening(sized(1, 0));
            let caller = host.lend();
            let operation = host.checkin(caller, false).expect("a return");
            while host.step(operation) != Some(emit(at, 0)) {
                host.finish(operation, Outcome::Ok);
            }
            let emptying = host.close_record(A, false).expect("an end");
            if ends_first {
                host.run_operation(emptying);
            }
            host.run_operation(operation);
            host.run();
            assert_eq!((host.counts(), host.open_connections()), (counts(1, 1, 0, 0), 0));
            host.lend();
        }
    }
}

#[test]
fn from_within_the_listeners_of_an_end_it_does_nothing() {
    for at in [Event::Invalidate, Event::Close] {
        let mut host = Host::listening(sized(1, 0));
        let caller = host.lend();
        let operation = host.invalidate(caller);
        while host.step(operation) != Some(emit(at, 0)) {
            host.finish(operation, Outcome::Ok);
        }
        assert_eq!(host.pool.begin_emptying(0, true), edgepool::policy::Return::Done);
        host.run();
        assert_eq!(host.counts(), counts(1, 1, 0, 0));
    }
}

#[test]
fn during_a_ping_the_answer_does_not_matter_any_more() {
    for outcome in [Outcome::Ok, Outcome::Disconnected] {
        let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
        let caller = host.lend();
        host.give_back(caller);
        let caller = host.connect();
        assert_eq!(host.step(caller), Some(HostStep::Ping(A)));
        host.close_record(A, true);
        host.finish(caller, outcome);
        host.run();
        assert_eq!(host.connection(caller), Connection(1));
        host.give_back(caller);
    }
}

#[test]
fn a_stale_connection_that_is_emptied_before_its_waiter_wakes_is_ended_once() {
    let mut host = Host::listening(sized(1, 0));
    let caller = host.lend();
    let waiter = host.connect();
    host.mark(A);
    host.give_back(caller);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.close_record(A, false);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
    assert_eq!(host.open_connections(), 1);
}

#[test]
fn a_record_that_is_emptied_before_its_checkout_performs_anything_opens_another_connection() {
    let asks_listener = Host::listening(plain(1, 0));
    let asks_driver = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
    for mut host in [asks_listener, asks_driver] {
        let caller = host.lend();
        host.give_back(caller);
        let Begin::Pending(id) = host.pool.begin_checkout(None) else { panic!("it asks first") };
        let asked = host.pool.resume(id);
        assert!(matches!(asked, Step::Ping(0) | Step::Emit(Event::Checkout, Some(0))), "{asked:?}");
        host.pool.begin_emptying(0, false);
        assert_eq!(host.pool.resume(id), Step::Open(0));
    }
}

#[test]
fn a_record_that_is_closed_while_its_opening_ends_is_closed_and_the_caller_gets_another_connection() {
    for (abrupt, last) in [(false, HostStep::Close(A)), (true, HostStep::Terminate(A))] {
        let mut host = Host::new(plain(1, 0));
        let caller = host.connect();
        assert_eq!(host.adopt(caller), A);
        host.close_record(A, abrupt);
        host.finish(caller, Outcome::Ok);
        assert!(host.steps().contains(&last) && !host.has_lease(caller));
        host.run();
        assert_eq!(host.connection(caller), Connection(1));
        assert_eq!((host.stats().opened, host.open_connections()), (2, 1));
    }
}

#[test]
fn a_record_that_is_closed_while_its_opening_ends_without_a_caller_goes_back_empty() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    host.abort(caller);
    host.adopt(caller);
    host.close_record(A, false);
    host.finish(caller, Outcome::Ok);
    host.run();
    assert_eq!((host.counts(), host.open_connections()), (counts(1, 1, 0, 0), 0));
    let caller = host.lend();
    assert_eq!(host.connection(caller), Connection(1));
}
