//! Listeners that fail, in each kind of pool.

use crate::fakes::World;
use edgepool::{Assertion, Null, PoolKind, Queue, Singleton, Static};

fn run<K: PoolKind>() {
    for event in ["first_connect", "connect", "checkout"] {
        for disconnects in [false, true] {
            let world = World::new();
            let pool = world.listened::<K>(|builder| builder);
            for _ in 0..3 {
                if disconnects {
                    world.listener_disconnects(event, "gone", true);
                } else {
                    world.listener_fails(event, "no");
                }
                drop(world.run(pool.connect()));
                world.time.run();
            }
            for _ in 0..3 {
                world.log.answers.take();
                drop(world.connect(&pool));
                world.time.run();
            }
            let stats = pool.stats();
            assert_eq!((stats.used, stats.opening, stats.closing, stats.waiting), (0, 0, 0, 0), "{event}");
            assert_eq!(stats.idle, world.log.open.get(), "{event}");
        }
    }
}

#[test]
fn queue_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection() {
    run::<Queue>();
}

#[test]
fn null_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection() {
    run::<Null>();
}

#[test]
fn singleton_thread_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection() {
    run::<Singleton>();
}

#[test]
fn static_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection() {
    run::<Static>();
}

#[test]
fn assertion_pool_a_listener_of_any_event_that_rejects_costs_no_slot_and_no_connection() {
    run::<Assertion>();
}
