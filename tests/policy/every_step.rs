//! Every path of one operation, to its end. This file owns the promise that no *sequence* of step ends is wrong: each
//! step of a QueuePool without listeners ends in each way, its caller leaves at each moment, and at most one call from
//! outside comes at any moment.
//!
//! sweep.rs owns breadth: every kind, listeners of every event, every call, but only one or two faults in a run that
//! otherwise goes well. A rule about a long sequence of failures belongs here, a rule about a kind, an event or a call
//! belongs there.
//!
//! After each path each caller was settled once and each connection was closed once. A pool that was not closed still
//! serves as many callers as it may.

use crate::harness::{Connection, Host, Operation, Role, Stage, sized};
use edgepool::policy::{Outcome, Span, Step};

/// The choices of one run: the given ones, then the first of each.
struct Path {
    choices: Vec<(usize, usize)>,
    at: usize,
}

impl Path {
    fn choose<T: Copy>(&mut self, options: &[T]) -> T {
        if self.at == self.choices.len() {
            self.choices.push((0, options.len()));
        }
        let (choice, of) = self.choices[self.at];
        assert_eq!(of, options.len(), "a run depends on its choices alone");
        self.at += 1;
        options[choice]
    }
}

/// Runs once for each combination of choices. Returns how many there were.
fn every_path(run: impl Fn(&mut Path)) -> usize {
    let mut path = Path { choices: Vec::new(), at: 0 };
    for runs in 1.. {
        path.at = 0;
        run(&mut path);
        while path.choices.last().is_some_and(|&(choice, of)| choice + 1 == of) {
            path.choices.pop();
        }
        match path.choices.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return runs,
        }
    }
    unreachable!("the paths are finite")
}

#[derive(Clone, Copy)]
enum Choice {
    End(Outcome),
    Wake,
    Abort,
    Leave,
    Call(PoolCall),
}

#[derive(Clone, Copy)]
enum PoolCall {
    Dispose,
    InvalidateAll,
    Close,
    CloseAtOnce,
    Connect,
}

const POOL_CALLS: [Choice; 5] = [
    Choice::Call(PoolCall::Dispose),
    Choice::Call(PoolCall::InvalidateAll),
    Choice::Call(PoolCall::Close),
    Choice::Call(PoolCall::CloseAtOnce),
    Choice::Call(PoolCall::Connect),
];

fn choices(host: &Host, operation: Operation) -> Vec<Choice> {
    let mut choices = match host.stage(operation) {
        Stage::Woken => vec![Choice::Wake],
        Stage::Late => vec![Choice::End(Outcome::LateOk), Choice::End(Outcome::LateFailed)],
        Stage::Performing(_) => [Outcome::Ok, Outcome::Failed, Outcome::TimedOut].map(Choice::End).to_vec(),
        _ => vec![],
    };
    let checkout = host.role(operation) == Role::Checkout && !host.is_settled(operation);
    if checkout && matches!(host.stage(operation), Stage::Woken | Stage::Performing(Step::Open(_) | Step::Terminate(_)))
    {
        choices.extend([Choice::Abort, Choice::Leave]);
    }
    choices
}

/// Takes every path from this beginning, with at most one call from outside, in a pool of two.
fn every_way(beginning: impl Fn(&mut Host)) -> usize {
    every_way_of(2, beginning)
}

fn every_way_of(most: usize, beginning: impl Fn(&mut Host)) -> usize {
    every_path(|path| {
        let mut host = Host::new(sized(1, most as i32 - 1));
        beginning(&mut host);
        let mut undisturbed = true;
        while let Some(operation) = host.operations().find(|&operation| !choices(&host, operation).is_empty()) {
            let mut options = choices(&host, operation);
            if undisturbed {
                options.extend(POOL_CALLS);
            }
            match path.choose(&options) {
                Choice::End(outcome) => host.finish(operation, outcome),
                Choice::Wake => host.wake(operation),
                Choice::Abort => assert!(host.abort(operation)),
                Choice::Leave => drop(host.leave(operation, false)),
                Choice::Call(call) => {
                    undisturbed = false;
                    match call {
                        PoolCall::Dispose => host.dispose(),
                        PoolCall::InvalidateAll => host.invalidate_all(),
                        PoolCall::Close => {
                            host.close(Span::Forever);
                        }
                        PoolCall::CloseAtOnce => {
                            host.close(Span::Millis(0));
                        }
                        PoolCall::Connect => {
                            host.connect();
                        }
                    }
                }
            }
        }
        host.return_everything();
        if !host.pool.is_closed() {
            for _ in 0..most {
                host.lend();
            }
            host.return_everything();
            assert_eq!(host.stats().idle, 1);
            host.close(Span::Forever);
            host.run();
        }
        host.assert_nothing_is_left();
    })
}

/// One lease of two. The holder of the other keeps it.
fn one_of_two(host: &mut Host) -> Operation {
    let caller = host.lend();
    host.lend();
    caller
}

/// A pool whose only connection is idle and stale.
fn stale_idle(host: &mut Host) {
    let caller = host.lend();
    host.invalidate_soft(caller);
    host.give_back(caller);
}

#[test]
fn a_first_checkout_goes_every_way() {
    assert!(
        every_way(|host| {
            host.connect();
        }) > 50
    );
}

#[test]
fn two_openings_with_a_waiter_behind_them_go_every_way() {
    let beginning = |host: &mut Host| {
        host.connect();
        host.lend();
        host.connect();
    };
    assert!(every_way(beginning) > 500);
}

#[test]
fn the_replacement_of_a_stale_connection_goes_every_way() {
    let beginning = |host: &mut Host| {
        stale_idle(host);
        host.connect();
    };
    assert!(every_way(beginning) > 100);
}

#[test]
fn a_replacement_with_a_waiter_behind_it_goes_every_way() {
    let beginning = |host: &mut Host| {
        stale_idle(host);
        host.connect();
        host.connect();
    };
    assert!(every_way_of(1, beginning) > 500);
}

#[test]
fn a_return_goes_every_way() {
    let beginning = |host: &mut Host| {
        let caller = one_of_two(host);
        host.checkin(caller, false);
    };
    assert!(every_way(beginning) > 30);
}

#[test]
fn a_return_with_a_waiter_goes_every_way() {
    let beginning = |host: &mut Host| {
        let caller = one_of_two(host);
        host.connect();
        host.checkin(caller, false);
    };
    assert!(every_way(beginning) > 50);
}

#[test]
fn the_return_of_a_stale_connection_with_a_waiter_goes_every_way() {
    let beginning = |host: &mut Host| {
        let caller = one_of_two(host);
        host.connect();
        host.invalidate_soft(caller);
        host.checkin(caller, false);
    };
    assert!(every_way(beginning) > 500);
}

#[test]
fn two_returns_of_which_one_is_surplus_go_every_way() {
    let beginning = |host: &mut Host| {
        let (a, b) = (host.lend(), host.lend());
        host.checkin(a, false);
        host.checkin(b, false);
    };
    assert!(every_way(beginning) > 500);
}

#[test]
fn an_invalidation_with_a_waiter_goes_every_way() {
    let beginning = |host: &mut Host| {
        let caller = one_of_two(host);
        host.connect();
        host.invalidate(caller);
    };
    assert!(every_way(beginning) > 100);
}

#[test]
fn the_close_of_a_detached_connection_goes_every_way() {
    for (clean, abrupt) in [(false, false), (true, false), (false, true)] {
        let beginning = |host: &mut Host| {
            let caller = one_of_two(host);
            host.connect();
            let detached = host.detach(caller);
            host.close_detached(detached, clean, abrupt);
        };
        assert!(every_way(beginning) > 100);
    }
}

#[test]
fn a_death_while_idle_with_a_waiter_goes_every_way() {
    let beginning = |host: &mut Host| {
        let caller = one_of_two(host);
        host.give_back(caller);
        host.connection_died(Connection(0));
        host.connect();
    };
    assert!(every_way(beginning) > 50);
}

#[test]
fn a_dispose_with_a_waiter_goes_every_way() {
    let beginning = |host: &mut Host| {
        let caller = one_of_two(host);
        host.give_back(caller);
        host.dispose();
        host.connect();
    };
    assert!(every_way(beginning) > 50);
}
