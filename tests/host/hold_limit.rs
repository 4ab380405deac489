//! `hold_limit`: leases that are out for too long.

use crate::fakes::{Of, Script, World, panics};
use edgepool::{Assertion, Null, OnHoldLimit, Queue, Static};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

fn pool(world: &World, action: OnHoldLimit) -> Of<Queue> {
    world.listened(|builder| {
        builder.pool_size(1).max_overflow(0).hold_limit(Duration::from_secs(60)).on_hold_limit(action)
    })
}

#[test]
fn a_lease_that_is_out_for_longer_is_reported_once_with_where_it_was_taken_and_for_how_long() {
    let world = World::new();
    let pool = pool(&world, OnHoldLimit::Report);
    let line = line!() + 1;
    let lease = world.run(pool.connect()).unwrap();
    world.pass(59_999);
    assert!(world.log.held.borrow().is_empty());
    world.pass(2_000);
    world.pass(600_000);
    let held = world.log.held.take();
    assert_eq!(held.len(), 1);
    let (ms, taken_at) = held[0];
    assert!((60_000..=61_200).contains(&ms), "{ms}");
    assert_eq!(taken_at.map(|taken_at| (taken_at.file(), taken_at.line())), Some((file!(), line)));
    assert!(lease.is_valid());
}

#[test]
fn without_the_option_nothing_is_reported_and_no_timer_runs() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder);
    let _lease = world.connect(&pool);
    world.time.run();
    assert_eq!(world.time.timers(), 0);
    world.pass(100_000_000);
    assert!(world.log.held.borrow().is_empty());
}

#[test]
fn the_time_of_each_lease_is_its_own_also_if_a_waiter_has_the_connection_in_the_same_instant() {
    let world = World::new();
    let pool = pool(&world, OnHoldLimit::Report);
    let held = world.connect(&pool);
    world.pass(10_000);
    let waiter = world.wait(&pool);
    world.pass(15_000);
    drop(held);
    let _lease = world.served(waiter);
    world.pass(59_000);
    assert!(world.log.held.borrow().is_empty());
    world.pass(2_300);
    assert_eq!(world.log.held.borrow().len(), 1);
}

#[test]
fn terminate_takes_the_lease_back_and_its_slot_serves_the_next() {
    let world = World::new();
    let pool = pool(&world, OnHoldLimit::Terminate);
    let lease = world.connect(&pool);
    world.pass(62_000);
    assert!(!lease.is_valid());
    let next = world.connect(&pool);
    assert_eq!(next.number, 1);
    world.trace();
    drop(lease);
    assert_eq!(world.trace(), "terminate 0");
    assert_eq!(pool.stats().used, 1);
}

#[test]
fn a_lease_that_was_taken_back_ends_in_nothing_however_often_its_slot_was_lent_since() {
    for end in ["close", "invalidate", "detach", "drop"] {
        // A handle of the slot comes round after 1,024 leases.
        for uses in [0, 3, 1_022, 1_023, 1_024] {
            let world = World::new();
            let pool = pool(&world, OnHoldLimit::Terminate);
            let lost = world.connect(&pool);
            world.pass(62_000);
            for _ in 0..uses {
                drop(world.connect(&pool));
            }
            let other = world.connect(&pool);
            match end {
                "close" => world.close(lost),
                "invalidate" => world.run(lost.invalidate()),
                "detach" => assert!(lost.detach().is_err()),
                _ => drop(lost),
            }
            let stats = pool.stats();
            assert_eq!((stats.used, stats.invalidated, stats.detached), (1, 1, 0), "{end} after {uses} uses");
            assert!(other.is_valid());
            drop(other);
            let stats = pool.stats();
            assert_eq!((stats.used, stats.idle, stats.opened), (0, 1, 2), "{end} after {uses} uses");
        }
    }
}

#[test]
fn use_of_a_lease_that_was_taken_back_settles_with_what_its_function_answers() {
    let world = World::new();
    let pool = pool(&world, OnHoldLimit::Terminate);
    let time = world.time.clone();
    let result = world.run(pool.use_with(async |lease| {
        edgepool::Runtime::sleep(&time, 70_000).await;
        assert!(!lease.is_valid());
        Ok::<_, edgepool::Error<_>>(7)
    }));
    assert_eq!(result.unwrap(), 7);
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn a_listener_of_held_may_call_the_pool_the_pool_goes_on() {
    for action in [OnHoldLimit::Report, OnHoldLimit::Terminate] {
        let world = World::new();
        let pool = pool(&world, action);
        let own = pool.clone();
        world.within(move |event| {
            if event == "held" {
                drop(own.dispose());
                own.invalidate();
            }
        });
        let lease = world.connect(&pool);
        world.pass(62_000);
        drop(lease);
        drop(world.connect(&pool));
        assert_eq!(world.log.held.borrow().len(), 1);
    }
}

#[test]
fn a_listener_of_held_that_panics_keeps_the_limit_from_no_other_lease() {
    for action in [OnHoldLimit::Report, OnHoldLimit::Terminate] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| {
            builder.pool_size(3).max_overflow(0).hold_limit(Duration::from_secs(60)).on_hold_limit(action)
        });
        let leases = [(); 3].map(|()| world.connect(&pool));
        world.within(|event| assert_ne!(event, "held", "a listener"));
        assert!(panics(|| world.pass(62_000)));
        world.log.within.take();
        world.pass(62_000);
        let taken_back = action == OnHoldLimit::Terminate;
        assert!(leases.iter().all(|lease| lease.is_valid() != taken_back), "{action:?}");
        assert_eq!(world.log.held.borrow().len(), 3, "{action:?}");
        assert_eq!(pool.stats().used, if taken_back { 0 } else { 3 });
        drop(leases);
        let _leases = [(); 3].map(|()| world.connect(&pool));
        assert!(!world.trace().contains("dropped"));
    }
}

#[test]
fn a_listener_of_held_that_lends_a_slot_again_costs_its_new_holder_nothing() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| {
        let builder = builder.pool_size(2).max_overflow(0).hold_limit(Duration::from_secs(60));
        builder.on_hold_limit(OnHoldLimit::Terminate)
    });
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let (own, time, old) = (pool.clone(), world.time.clone(), RefCell::new(Some((first, second))));
    let next = Rc::new(RefCell::new(Vec::new()));
    let kept = next.clone();
    world.within(move |event| {
        if event == "held" && old.borrow().is_some() {
            drop(old.take());
            time.run();
            for _ in 0..2 {
                let mut caller = Box::pin(own.connect());
                if let Poll::Ready(Ok(lease)) = time.poll_once(caller.as_mut()) {
                    kept.borrow_mut().push(lease);
                }
            }
        }
    });
    world.pass(62_000);
    assert_eq!(world.log.held.borrow().len(), 2);
    let leases = next.take();
    assert_eq!(leases.iter().map(|lease| (lease.number, lease.is_valid())).collect::<Vec<_>>(), [(2, true), (3, true)]);
}

#[test]
fn no_timer_runs_on_for_a_lease_that_came_back() {
    let world = World::new();
    let pool = pool(&world, OnHoldLimit::Report);
    let lease = world.connect(&pool);
    assert_eq!(world.time.timers(), 1);
    world.close(lease);
    world.pass(120_000);
    assert_eq!(world.time.timers(), 0);
    assert!(world.log.held.borrow().is_empty());
}

#[test]
fn a_detached_connection_has_no_limit() {
    let world = World::new();
    let pool = pool(&world, OnHoldLimit::Terminate);
    let own = world.connect(&pool).detach().unwrap();
    world.pass(1_000_000);
    assert!(world.log.held.borrow().is_empty());
    assert!(own.is_valid());
}

#[test]
fn every_kind_that_lends_a_connection_to_one_caller_has_the_limit_and_no_other_takes_it() {
    let world = World::new();
    let minute = Duration::from_secs(60);
    let null = world.listened::<Null>(|builder| builder.hold_limit(minute));
    let assertion = world.listened::<Assertion>(|builder| builder.hold_limit(minute));
    let _leases = (world.connect(&null), world.connect(&assertion));
    world.pass(62_000);
    assert_eq!(world.log.held.borrow().len(), 2);
    let refused = edgepool::StaticPool::builder(world.manager()).hold_limit(minute).build_on(world.time.clone());
    assert_eq!(refused.map(|_: Of<Static>| ()).unwrap_err().option, "holdLimit");
}

#[test]
fn a_slot_whose_lease_was_taken_back_serves_a_waiter() {
    let world = World::new();
    let pool = pool(&world, OnHoldLimit::Terminate);
    let _lease = world.connect(&pool);
    world.pass(40_000);
    let waiter = world.wait(&pool);
    world.opens([Script::takes(5)]);
    world.pass(22_000);
    assert_eq!(world.served(waiter).number, 1);
}

// Not here: a lease has no record. The host always knows the place of connect(), and its limit has no default.
// - a lease that is out for longer is reported once, with its record and for how long =
//     a_lease_that_is_out_for_longer_is_reported_once_with_where_it_was_taken_and_for_how_long
// - with stacks it says where the lease was checked out, and five minutes are the limit =
//     a_lease_that_is_out_for_longer_is_reported_once_with_where_it_was_taken_and_for_how_long
// Not here: a runtime ends with the future that it runs, whatever task still sleeps.
// - the timer lets the process end: no caller waits for it = no_timer_runs_on_for_a_lease_that_came_back
// Not here: `terminate` is not awaited, so it cannot hang.
// - a termination that never ends keeps the slot for driverTimeout and no longer
// Not here: a listener of Rust is not awaited, so it can panic and cannot reject later.
// - a listener of held may call the pool, throw, or reject; the pool goes on =
//     a_listener_of_held_that_panics_keeps_the_limit_from_no_other_lease
