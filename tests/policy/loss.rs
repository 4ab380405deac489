//! What a lost connection costs: itself, and after a second loss, or one that concerns the server, a ping of each that
//! is as old. A death that the driver reports frees the slot of the connection, whatever its holder does.

use crate::harness::{Connection, Host, HostStep, LogEntry, Operation, Stage, emit, of_kind, plain, sized};
use edgepool::policy::{Condition, Event, Kind, Loss, Outcome, Refusal, Settings, Span};

const A: Connection = Connection(0);

fn lend<const N: usize>(host: &mut Host) -> [Operation; N] {
    core::array::from_fn(|_| host.lend())
}

/// A holder's error says that its connection is lost: what use() does.
fn lose(host: &mut Host, caller: Operation, loss: Loss, can_ping: bool) {
    host.lose_connection(caller, loss, can_ping);
    host.invalidate(caller);
    host.run();
}

/// Returns the steps of so many checkouts, whose leases are returned after that.
fn steps_of(host: &mut Host, checkouts: usize) -> Vec<HostStep> {
    host.take_log();
    let callers: Vec<Operation> = (0..checkouts).map(|_| host.lend()).collect();
    let steps = host.take_steps();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    steps
}

fn pings(numbers: impl IntoIterator<Item = usize>) -> Vec<HostStep> {
    numbers.into_iter().map(|number| HostStep::Ping(Connection(number))).collect()
}

// ---- what a loss says of the others

#[test]
fn the_loss_of_one_replaces_one() {
    for can_ping in [true, false] {
        let mut host = Host::new(plain(5, 0));
        let [lost, others @ ..] = lend::<5>(&mut host);
        others.into_iter().for_each(|caller| host.give_back(caller));
        lose(&mut host, lost, Loss::Alone, can_ping);
        assert_eq!(steps_of(&mut host, 5), [HostStep::Open]);
    }
}

#[test]
fn a_loss_that_concerns_others_makes_them_suspects_that_are_pinged_once_each() {
    let mut host = Host::new(plain(4, 0));
    let [lost, others @ ..] = lend::<4>(&mut host);
    host.give_back(others[0]);
    lose(&mut host, lost, Loss::Others, true);
    others[1..].iter().for_each(|&caller| host.give_back(caller));
    assert_eq!(steps_of(&mut host, 3), pings([1, 2, 3]));
    assert_eq!(steps_of(&mut host, 4), [HostStep::Open], "they have answered");
    assert_eq!(steps_of(&mut host, 4), []);
    assert_eq!((host.stats().opened, host.stats().invalidated, host.stats().recycled), (5, 1, 0));
}

#[test]
fn a_driver_that_cannot_ping_replaces_what_would_be_a_suspect() {
    let mut host = Host::new(plain(3, 0));
    let [lost, others @ ..] = lend::<3>(&mut host);
    others.into_iter().for_each(|caller| host.give_back(caller));
    lose(&mut host, lost, Loss::Others, false);
    let expected =
        [HostStep::Terminate(Connection(1)), HostStep::Open, HostStep::Terminate(Connection(2)), HostStep::Open];
    assert_eq!(steps_of(&mut host, 2), expected);
}

#[test]
fn the_second_of_two_losses_in_a_row_makes_suspects() {
    let mut host = Host::new(plain(5, 0));
    let [first, second, others @ ..] = lend::<5>(&mut host);
    others.into_iter().for_each(|caller| host.give_back(caller));
    lose(&mut host, first, Loss::Alone, true);
    lose(&mut host, second, Loss::Alone, true);
    assert_eq!(steps_of(&mut host, 3), pings([2, 3, 4]));
}

#[test]
fn a_loss_after_every_connection_had_its_turn_is_the_loss_of_one_again() {
    for (turns, suspects) in [(3, 3), (4, 0)] {
        let mut host = Host::new(plain(4, 0));
        let [first, others @ ..] = lend::<4>(&mut host);
        others.into_iter().for_each(|caller| host.give_back(caller));
        lose(&mut host, first, Loss::Alone, true);
        for _ in 1..turns {
            steps_of(&mut host, 1);
        }
        let second = host.lend();
        lose(&mut host, second, Loss::Alone, true);
        let pinged = steps_of(&mut host, 4).iter().filter(|step| matches!(step, HostStep::Ping(_))).count();
        assert_eq!(pinged, if suspects == 0 { 0 } else { 2 }, "after {turns} turns");
    }
}

#[test]
fn the_loss_of_a_suspect_says_nothing_more_of_those_opened_since() {
    let mut host = Host::new(plain(3, 0));
    let [first, second, third] = lend::<3>(&mut host);
    lose(&mut host, first, Loss::Others, true);
    let young = host.lend();
    assert_eq!(host.connection(young), Connection(3));
    lose(&mut host, second, Loss::Others, true);
    lose(&mut host, third, Loss::Others, true);
    host.give_back(young);
    assert_eq!(steps_of(&mut host, 1), [], "it was opened after the first loss");
}

#[test]
fn a_connection_whose_opening_began_before_the_loss_is_a_suspect_from_its_second_use_on() {
    let mut host = Host::new(plain(2, 0));
    let lost = host.lend();
    let opening = host.connect();
    host.lose_connection(lost, Loss::Others, true);
    host.finish(opening, Outcome::Ok);
    assert!(host.has_lease(opening), "new, so not pinged");
    host.give_back(opening);
    assert_eq!(steps_of(&mut host, 1), pings([1]));
}

// ---- the ping of a suspect

fn with_suspect(settings: Settings) -> (Host, Operation) {
    let mut host = Host::new(settings);
    let [lost, other, third] = lend::<3>(&mut host);
    host.give_back(other);
    host.give_back(third);
    lose(&mut host, lost, Loss::Others, true);
    let caller = host.connect();
    assert_eq!(host.step(caller), Some(HostStep::Ping(Connection(1))));
    (host, caller)
}

#[test]
fn a_suspect_that_does_not_answer_is_replaced_alone_and_the_others_stay_suspects() {
    for outcome in [Outcome::Disconnected, Outcome::Failed, Outcome::TimedOut] {
        for pre_ping in [false, true] {
            let (mut host, caller) = with_suspect(Settings { pre_ping: Some(pre_ping), ..plain(3, 0) });
            host.finish(caller, outcome);
            host.run_operation(caller);
            assert_eq!(host.connection(caller), Connection(3), "no error of its ping refuses its caller");
            let next = host.connect();
            assert_eq!(host.step(next), Some(HostStep::Ping(Connection(2))), "{outcome:?}");
            host.run();
            assert!(host.has_lease(next));
        }
    }
}

#[test]
fn the_ping_of_a_suspect_has_the_time_of_a_ping() {
    let (mut host, caller) = with_suspect(Settings { ping_timeout_ms: 100.0, ..plain(3, 0) });
    host.pass(crate::timeout::latest_ms(100.0));
    assert!(host.has_expired(caller));
    host.finish(caller, Outcome::TimedOut);
    host.run();
    assert_eq!(host.connection(caller), Connection(3));
}

#[test]
fn a_caller_that_leaves_during_the_ping_of_a_suspect_leaves_an_empty_slot() {
    let (mut host, caller) = with_suspect(plain(3, 0));
    assert!(host.abort(caller));
    host.finish(caller, Outcome::TimedOut);
    host.run();
    assert_eq!((host.open_connections(), host.counts().checked_in), (1, 3));
}

#[test]
fn a_suspect_is_pinged_before_a_waiter_has_it() {
    let mut host = Host::new(plain(2, 0));
    let [lost, other] = lend::<2>(&mut host);
    let waiter = host.connect();
    host.lose_connection(lost, Loss::Others, true);
    host.give_back(other);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.wake(waiter);
    assert_eq!(host.step(waiter), Some(HostStep::Ping(Connection(1))));
    host.run();
    assert!(host.has_lease(waiter));
}

#[test]
fn a_suspect_takes_no_place_of_a_creator() {
    let mut host = Host::new(Settings { max_connecting: 1.0, ..plain(3, 0) });
    let [lost, other] = lend::<2>(&mut host);
    host.lose_connection(lost, Loss::Others, true);
    host.give_back(other);
    let pinged = host.connect();
    let opening = host.connect();
    assert_eq!(host.step(pinged), Some(HostStep::Ping(Connection(1))));
    assert_eq!(host.step(opening), Some(HostStep::Open));
    host.run();
}

#[test]
fn an_invalidation_of_the_pool_replaces_suspects_without_a_ping() {
    let (mut host, caller) = with_suspect(plain(3, 0));
    host.run();
    host.give_back(caller);
    host.invalidate_all();
    host.take_log();
    host.lend();
    assert_eq!(host.take_steps()[0], HostStep::Terminate(Connection(2)));
}

#[test]
fn a_shared_connection_that_is_a_suspect_is_pinged_for_its_next_caller() {
    for kind in [Kind::Static, Kind::Singleton] {
        let mut host =
            Host::new(Settings { reset_on_return: Some(edgepool::policy::ResetStyle::None), ..of_kind(kind) });
        let caller = host.lend();
        host.lose_connection(caller, Loss::Others, true);
        host.give_back(caller);
        assert_eq!(steps_of(&mut host, 1), pings([0]));
        assert_eq!(steps_of(&mut host, 1), []);
    }
}

// ---- a death that the driver reports

#[test]
fn a_connection_that_dies_with_its_holder_is_terminated_and_its_slot_serves_the_next() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    let waiter = host.connect();
    let ending = host.connection_died(A).expect("an end");
    assert_eq!(host.step(ending), Some(HostStep::Terminate(A)));
    assert_eq!((host.stats().used, host.stage(waiter)), (1, Stage::Queued));
    host.finish(ending, Outcome::Ok);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1), "though the lease was not returned");
    assert!(!host.pool.is_leased(host.lease(holder)));
    host.give_back(waiter);
    assert_eq!((host.stats().idle, host.stats().opened, host.stats().invalidated), (1, 2, 1));
}

#[test]
fn the_listeners_learn_of_a_death_in_use() {
    let mut host = Host::listening(sized(1, 0));
    host.lend();
    host.take_log();
    host.connection_died(A);
    let expected =
        [emit(Event::Invalidate, 0), emit(Event::Close, 0), HostStep::Terminate(A), crate::harness::CHECKIN_EMPTY];
    assert_eq!(host.run_steps(), expected);
}

#[test]
fn what_the_holder_of_a_dead_connection_does_has_no_effect() {
    for early in [true, false] {
        let mut host = Host::new(sized(1, 0));
        let holder = host.lend();
        let lease = host.lease(holder);
        host.connection_died(A);
        if !early {
            host.run();
            host.lend();
        }
        assert_eq!(host.pool.begin_checkin(lease, Condition::Open), edgepool::policy::Return::Done);
        assert_eq!(host.pool.begin_invalidate(lease), edgepool::policy::Return::Done);
        assert_eq!(host.pool.detach(lease), None);
        assert!(!host.pool.lose_lease(lease));
        host.settle_everything();
        assert_eq!(host.counts().checked_in, 1);
    }
}

#[test]
fn a_termination_of_a_dead_connection_that_fails_or_hangs_frees_the_slot_all_the_same() {
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(plain(1, 0));
        host.lend();
        let waiter = host.connect();
        let ending = host.connection_died(A).expect("an end");
        host.finish(ending, outcome);
        host.run();
        assert_eq!(host.connection(waiter), Connection(1));
    }
}

#[test]
fn the_death_of_an_idle_or_a_leased_connection_makes_suspects_if_it_concerns_others() {
    for is_leased in [false, true] {
        for (loss, can_ping, pinged) in
            [(Loss::Others, true, 2), (Loss::Alone, true, 0), (Loss::None, true, 0), (Loss::Others, false, 0)]
        {
            let mut host = Host::new(plain(3, 0));
            let [dead, others @ ..] = lend::<3>(&mut host);
            others.into_iter().for_each(|caller| host.give_back(caller));
            if !is_leased {
                host.give_back(dead);
            }
            host.die(A, loss, can_ping);
            host.run();
            assert_eq!(steps_of(&mut host, 2), pings([1, 2].into_iter().take(pinged)));
        }
    }
}

#[test]
fn a_connection_that_dies_during_its_reset_is_not_reset_any_more() {
    for late in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(sized(1, 0));
        let holder = host.lend();
        let reset = host.checkin(holder, false).expect("a rollback");
        let waiter = host.connect();
        host.connection_died(A);
        assert!(host.has_expired(reset), "its return does not wait for the driver");
        host.finish(reset, late);
        assert!(host.has_ended(reset));
        assert_eq!(host.stage(waiter), Stage::Queued, "the connection is still being terminated");
        host.run();
        assert_eq!((host.connection(waiter), host.stats().invalidated), (Connection(1), 1));
    }
}

#[test]
fn a_connection_that_dies_while_its_reset_listeners_run_is_not_reset() {
    let mut host = Host::new(sized(1, 0));
    host.listen(&[Event::Reset]);
    let holder = host.lend();
    let reset = host.checkin(holder, false).expect("listeners");
    host.connection_died(A);
    assert!(!host.has_expired(reset), "listeners have their time");
    host.finish(reset, Outcome::Ok);
    assert!(host.has_ended(reset), "there is nothing to roll back");
    host.run();
    assert_eq!((host.open_connections(), host.counts().checked_in), (0, 1));
}

#[test]
fn a_connection_that_dies_while_it_is_pinged_is_replaced_for_the_same_caller() {
    for late in [Outcome::Ok, Outcome::Failed, Outcome::Disconnected, Outcome::TimedOut] {
        let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(2, 0) });
        let [first, second] = lend::<2>(&mut host);
        host.give_back(first);
        host.give_back(second);
        let caller = host.connect();
        host.connection_died(A);
        assert!(host.has_expired(caller));
        host.finish(caller, late);
        host.run_operation(caller);
        host.run();
        assert_eq!(host.connection(caller), Connection(2));
        assert_eq!(steps_of(&mut host, 1), pings([1]), "the other one is not replaced for it");
    }
}

#[test]
fn a_connection_that_dies_while_checkout_listeners_see_it_is_replaced_for_the_same_caller() {
    let mut host = Host::new(plain(1, 0));
    host.listen(&[Event::Checkout]);
    let caller = host.connect();
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.step(caller), Some(emit(Event::Checkout, 0)));
    host.connection_died(A);
    host.finish(caller, Outcome::Ok);
    host.run();
    assert_eq!(host.connection(caller), Connection(1));
}

#[test]
fn a_connection_that_dies_before_its_waiter_wakes_is_replaced_for_it() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..plain(1, 0) });
    let holder = host.lend();
    let waiter = host.connect();
    host.give_back(holder);
    assert_eq!(host.stage(waiter), Stage::Woken);
    host.connection_died(A);
    host.run();
    assert_eq!(host.connection(waiter), Connection(1));
}

#[test]
fn a_connection_that_is_dead_as_it_arrives_is_replaced_for_its_caller() {
    let mut host = Host::listening(plain(1, 0));
    let caller = host.connect();
    host.die_on_arrival(caller);
    host.take_log();
    host.finish(caller, Outcome::Ok);
    assert_eq!(host.take_steps(), [HostStep::Terminate(A)], "no listener has seen it");
    host.run();
    assert_eq!((host.connection(caller), host.stats().opened), (Connection(1), 2));
}

#[test]
fn a_connection_that_ends_while_it_is_adopted_is_terminated_once_and_replaced_for_its_caller() {
    for dies in [false, true] {
        let mut host = Host::new(plain(1, 0));
        let caller = host.connect();
        if dies {
            host.adopt(caller);
            host.connection_died(A);
        } else {
            host.die_on_arrival(caller);
            host.adopt(caller);
            host.close_record(A, true);
        }
        host.take_log();
        host.finish(caller, Outcome::Ok);
        assert_eq!(host.take_steps(), [HostStep::Open]);
        host.run();
        assert_eq!((host.connection(caller), host.open_connections()), (Connection(1), 1));
    }
}

#[test]
fn of_connections_that_are_dead_as_they_arrive_a_caller_tries_three() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    for _ in 0..3 {
        host.die_on_arrival(caller);
        host.finish(caller, Outcome::Ok);
        host.finish(caller, Outcome::Ok);
    }
    host.run();
    assert_eq!((host.refusal(caller), host.open_connections()), (Some(Refusal::Disconnected), 0));
    host.lend();
}

#[test]
fn a_caller_that_left_gets_no_other_connection_for_one_that_is_dead_as_it_arrives() {
    let mut host = Host::new(plain(1, 0));
    let caller = host.connect();
    host.abort(caller);
    host.die_on_arrival(caller);
    host.finish(caller, Outcome::Ok);
    host.run();
    assert_eq!((host.stats().opened, host.open_connections(), host.counts().checked_in), (1, 0, 1));
}

#[test]
fn a_death_in_use_that_is_reported_twice_ends_the_connection_once() {
    let mut host = Host::new(sized(1, 0));
    host.lend();
    host.connection_died(A);
    assert_eq!(host.connection_died(A), None);
    host.run();
    assert_eq!((host.stats().invalidated, host.stats().total), (1, 0));
}

#[test]
fn a_slot_opened_again_does_not_inherit_the_death_of_its_last_connection() {
    let mut host = Host::new(plain(1, 0));
    host.lend();
    host.connection_died(A);
    host.run();
    let next = host.lend();
    host.give_back(next);
    let after = host.lend();
    assert_eq!(host.connection(after), Connection(1));
}

#[test]
fn a_lost_lease_whose_connection_dies_frees_its_slot_before_its_grace_ends() {
    let mut host = Host::new(plain(1, 0));
    let holder = host.lend();
    assert!(host.lose(holder));
    host.connection_died(A);
    host.run();
    let next = host.lend();
    assert_eq!(host.connection(next), Connection(1));
    host.pass(40_000.0);
    assert!(host.pool.is_leased(host.lease(next)), "the grace was that of the other lease");
}

#[test]
fn a_death_lets_a_pool_that_closes_come_to_its_end() {
    let mut host = Host::new(sized(2, 0));
    lend::<1>(&mut host);
    let closing = host.close(Span::Forever);
    host.connection_died(A);
    host.run();
    assert!(host.has_ended(closing), "it does not wait for the lease");
    host.assert_nothing_is_left();
}

#[test]
fn the_holders_of_a_shared_connection_that_dies_keep_nothing_from_the_next_caller() {
    for (kind, holders) in [(Kind::Static, 1), (Kind::Static, 3), (Kind::Singleton, 1), (Kind::Singleton, 3)] {
        let mut host = Host::new(of_kind(kind));
        let callers: Vec<Operation> = (0..holders).map(|_| host.lend()).collect();
        host.die(A, Loss::Others, true);
        host.run();
        let next = host.lend();
        assert_eq!(host.connection(next), Connection(1), "{kind:?}");
        host.take_log();
        for caller in callers {
            assert_eq!(host.checkin(caller, false), None, "there is nothing to reset");
        }
        host.give_back(next);
        assert_eq!((host.stats().total, host.stats().idle, host.open_connections()), (1, 1, 1));
        assert_eq!(host.stats().invalidated, 1);
    }
}

#[test]
fn a_shared_connection_that_dies_while_it_is_pinged_for_a_joiner_is_replaced_for_the_joiner() {
    let mut host = Host::new(Settings { pre_ping: Some(true), ..of_kind(Kind::Static) });
    let holder = host.lend();
    let joiner = host.connect();
    assert_eq!(host.step(joiner), Some(HostStep::Ping(A)));
    host.connection_died(A);
    assert!(host.has_expired(joiner));
    host.finish(joiner, Outcome::TimedOut);
    host.run();
    assert_eq!(host.connection(joiner), Connection(1));
    host.give_back(holder);
    host.give_back(joiner);
    assert_eq!(host.open_connections(), 1);
}

#[test]
fn two_deaths_in_one_slot_while_the_first_is_being_ended_are_both_ended() {
    let mut host = Host::new(sized(1, 0));
    let holder = host.lend();
    let reset = host.checkin(holder, false).expect("a rollback");
    let first = host.connection_died(A).expect("an end");
    let next = host.connect();
    host.finish(reset, Outcome::TimedOut);
    assert_eq!(host.stats().closing, 1);
    host.finish(first, Outcome::Ok);
    host.run();
    let second = host.connection_died(host.connection(next)).expect("an end");
    host.finish(second, Outcome::Ok);
    host.run();
    assert_eq!((host.open_connections(), host.stats().invalidated), (0, 2));
    assert!(!host.take_log().iter().any(|event| matches!(event, LogEntry::Refused(..))));
}
