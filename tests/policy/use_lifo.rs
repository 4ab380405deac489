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

/// Spoils one of ten idle connections and returns which connections the next ten callers have.
fn lent_after(use_lifo: bool, spoil: fn(&mut Host, Operation)) -> Vec<usize> {
    let mut host = Host::new(Settings { use_lifo: Some(use_lifo), ..plain(10, 0) });
    let callers: Vec<Operation> = (0..10).map(|_| host.lend()).collect();
    callers.into_iter().for_each(|caller| host.give_back(caller));
    let caller = host.lend();
    spoil(&mut host, caller);
    host.run();
    (0..10).map(|_| next_connection(&mut host)).collect()
}

#[test]
fn an_emptied_slot_is_opened_only_if_no_connection_is_idle() {
    let invalidate = |host: &mut Host, caller| {
        host.invalidate(caller);
    };
    let detach = |host: &mut Host, caller| {
        host.detach(caller);
    };
    for spoil in [invalidate as fn(&mut Host, Operation), detach] {
        assert_eq!(lent_after(false, spoil), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(lent_after(true, spoil), [8, 7, 6, 5, 4, 3, 2, 1, 0, 10]);
    }
}

#[test]
fn a_stale_connection_is_replaced_only_if_no_current_one_is_idle() {
    let mark = |host: &mut Host, caller| {
        host.invalidate_soft(caller);
        host.give_back(caller);
    };
    assert_eq!(lent_after(false, mark), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(lent_after(true, mark), [8, 7, 6, 5, 4, 3, 2, 1, 0, 10]);
}

#[test]
fn after_a_pool_wide_mark_a_new_connection_goes_before_the_stale_ones() {
    for use_lifo in [false, true] {
        let mut host = three_returned_in_order(use_lifo);
        host.invalidate_all();
        for _ in 0..5 {
            let caller = host.lend();
            assert_eq!(host.connection(caller), Connection(3));
            host.give_back(caller);
        }
        assert_eq!((host.stats().opened, host.stats().recycled, host.stats().idle), (4, 1, 3));
    }
}

#[test]
fn a_stale_connection_is_replaced_before_an_emptied_slot_is_opened() {
    let mut host = three_returned_in_order(false);
    let caller = host.lend();
    host.invalidate(caller);
    host.run();
    host.invalidate_all();
    host.lend();
    host.lend();
    assert_eq!((host.stats().recycled, host.open_connections()), (2, 2));
    host.lend();
    assert_eq!(host.open_connections(), 3);
}
