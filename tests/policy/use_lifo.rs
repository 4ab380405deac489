//! `useLifo` decides which of several idle connections is handed out. It orders connections, never callers.

use crate::harness::{Connection, Host, Operation, plain};
use edgepool::policy::Settings;

fn three_returned_in_order(use_lifo: bool) -> Host {
    let mut host = Host::new(Settings { use_lifo: Some(use_lifo), ..plain(3, 0) });
    let callers: Vec<Operation> = (0..3).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    host
}

fn next_connection(host: &mut Host) -> usize {
    let caller = host.lend();
    host.connection(caller).0
}

#[test]
fn scenario_039_by_default_the_oldest_returned_goes_first() {
    let mut host = three_returned_in_order(false);
    let caller = host.lend();
    assert_eq!(host.connection(caller), Connection(0));
    host.give_back(caller);
    assert_eq!([next_connection(&mut host), next_connection(&mut host), next_connection(&mut host)], [1, 2, 0]);
}

#[test]
fn lifo_hands_out_the_newest_returned_first() {
    let mut host = three_returned_in_order(true);
    let caller = host.lend();
    assert_eq!(host.connection(caller), Connection(2));
    host.give_back(caller);
    assert_eq!([next_connection(&mut host), next_connection(&mut host), next_connection(&mut host)], [2, 1, 0]);
}

#[test]
fn lifo_serves_waiters_in_the_order_in_which_they_came() {
    let mut host = Host::new(Settings { use_lifo: Some(true), ..plain(1, 0) });
    let holder = host.lend();
    let waiters: Vec<Operation> = (0..3).map(|_| host.connect()).collect();
    host.give_back(holder);
    for waiter in waiters {
        assert!(host.has_lease(waiter));
        host.give_back(waiter);
    }
}

#[test]
fn lifo_counts_emptied_slots_as_returned_too() {
    let mut host = three_returned_in_order(true);
    let caller = host.lend();
    host.detach(caller);
    assert_eq!(host.stats().opened, 3);
    assert_eq!(next_connection(&mut host), 3, "the emptied slot was returned last");
    assert_eq!(next_connection(&mut host), 1);
}
