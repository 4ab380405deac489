//! Connections that leave the pool.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Manager, Queue, QueuePool, ResetStyle, Watch};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

type Detached = edgepool::Detached<crate::fakes::Fake, edgepool::VirtualTime>;

fn detached(world: &World, pool: &Of<Queue>) -> Detached {
    world.connect(pool).detach().expect("its lease had not ended")
}

#[test]
fn the_slot_is_free_at_once_and_the_connection_is_closed_once_when_its_lease_is() {
    let world = World::new();
    let pool = world.queue(1);
    let own = detached(&world, &pool);
    assert_eq!(world.connect(&pool).number, 1);
    world.run(own.close());
    assert_eq!(world.trace(), "open, open, close 0");
}

#[test]
fn detach_neither_returns_nor_resets_the_slot_is_idle_and_empty_the_lease_valid() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    let own = lease.detach().unwrap();
    assert_eq!(world.trace(), "open");
    assert_eq!((pool.counts().checked_in, pool.stats().idle, pool.stats().detached), (1, 0, 1));
    assert!(own.in_transaction);
    drop(own);
    assert_eq!(world.trace(), "rollback 0, close 0");
}

#[test]
fn five_in_a_row_five_connections_are_open_and_the_pool_has_none_of_them() {
    let world = World::new();
    let pool = world.queue(1);
    let all: Vec<_> = (0..5).map(|_| detached(&world, &pool)).collect();
    assert_eq!((world.log.open.get(), pool.stats().total, pool.stats().detached), (5, 0, 5));
    drop(all);
    world.time.run();
    assert_eq!((world.log.open.get(), pool.stats().detached), (0, 0));
}

#[test]
fn close_of_a_detached_lease_resets_then_closes() {
    let world = World::new();
    let pool = world.queue(1);
    for is_dropped in [false, true] {
        let mut own = detached(&world, &pool);
        own.in_transaction = true;
        world.trace();
        if is_dropped {
            drop(own);
        } else {
            world.run(own.close());
        }
        let number = u32::from(is_dropped);
        assert_eq!(world.trace(), format!("rollback {number}, close {number}"));
    }
}

#[test]
fn the_reset_of_a_detached_connection_follows_reset_on_return_and_in_transaction() {
    for (style, in_transaction, expected) in [
        (ResetStyle::Rollback, true, "open, rollback 0, close 0"),
        (ResetStyle::Rollback, false, "open, close 0"),
        (ResetStyle::Commit, false, "open, commit 0, close 0"),
        (ResetStyle::Session, false, "open, session 0, close 0"),
        (ResetStyle::None, true, "open, close 0"),
    ] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.reset_on_return(style));
        let mut own = detached(&world, &pool);
        own.in_transaction = in_transaction;
        world.run(own.close());
        assert_eq!(world.trace(), expected);
    }
}

#[test]
fn a_hard_invalidation_of_a_detached_lease_terminates_the_connection() {
    let world = World::new();
    let pool = world.queue(1);
    let mut own = detached(&world, &pool);
    own.in_transaction = true;
    world.run(own.invalidate());
    assert_eq!(world.trace(), "open, terminate 0");
}

#[test]
fn an_invalidation_of_a_detached_lease_asks_no_in_transaction_and_warns_of_nothing() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder);
    let own = detached(&world, &pool);
    world.trace();
    world.run(own.invalidate());
    assert_eq!(world.log.asked.get(), 0);
    assert_eq!(world.trace(), "close_detached(0), terminate 0");
}

/// Its connections end by their drop alone.
struct Plain(Rc<Cell<u32>>);

struct Ending(Rc<Cell<u32>>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Manager for Plain {
    type Connection = Ending;
    type Error = Failure;

    async fn open(&self, _: Watch<Self>) -> Result<Ending, Failure> {
        Ok(Ending(self.0.clone()))
    }
}

#[test]
fn a_driver_without_terminate_has_its_detached_connection_closed_anyway() {
    let world = World::new();
    let ended = Rc::new(Cell::new(0));
    let pool = QueuePool::builder(Plain(ended.clone())).build_on(world.time.clone()).unwrap();
    for is_invalidated in [false, true] {
        let own = world.run(pool.connect()).unwrap().detach().unwrap();
        ended.set(0);
        if is_invalidated {
            world.run(own.invalidate());
        } else {
            world.run(own.close());
        }
        assert_eq!((ended.get(), pool.stats().detached), (1, 0));
    }
}

#[test]
fn a_reset_that_fails_because_the_connection_is_dead_is_not_reported() {
    for word in ["lost", "alone"] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder);
        let mut own = detached(&world, &pool);
        own.in_transaction = true;
        world.resets([Script::Fails(word)]);
        world.trace();
        world.run(own.close());
        assert_eq!(world.trace(), "reset(0), rollback 0, close_detached(0), terminate 0");
        assert_eq!(pool.stats().detached, 0);
    }
}

#[test]
fn a_reset_that_fails_or_hangs_ends_in_a_termination() {
    for script in [Script::Fails("reset"), Script::Hangs] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| builder.driver_timeout(Duration::from_millis(50)));
        let mut own = detached(&world, &pool);
        own.in_transaction = true;
        world.resets([script]);
        world.run(own.close());
        assert_eq!(world.trace(), "open, rollback 0, terminate 0");
        assert_eq!(pool.stats().detached, 0);
    }
}

#[test]
fn a_close_that_fails_or_hangs_is_logged_close_resolves() {
    for (script, word) in [(Script::Fails("bye"), "bye"), (Script::Hangs, "late")] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.driver_timeout(Duration::from_millis(50)));
        let own = detached(&world, &pool);
        world.trace();
        world.closes([script]);
        world.run(own.close());
        world.pass(100);
        assert_eq!(world.trace(), format!("reset(0), close_detached(0), close 0, error(close: {word})"));
        assert_eq!(pool.stats().detached, 0);
    }
}

#[test]
fn it_counts_as_detached_until_it_is_closed() {
    let world = World::new();
    let pool = world.queue(1);
    let own = detached(&world, &pool);
    world.closes([Script::takes(5)]);
    let mut closing = pin!(own.close());
    assert!(world.poll(closing.as_mut()).is_none());
    assert_eq!(pool.stats().detached, 1);
    world.pass(5);
    assert!(world.poll(closing).is_some());
    assert_eq!(pool.stats().detached, 0);
}

#[test]
fn a_surplus_slot_ends_when_it_is_detached() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(1));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let own = [first, second].map(|lease| lease.detach().unwrap());
    let counts = pool.counts();
    assert_eq!((counts.size, counts.checked_in, counts.overflow, counts.checked_out), (1, 1, 0, 0));
    drop(own);
}

#[test]
fn dispose_invalidate_all_and_the_pools_close_leave_a_detached_connection_alone() {
    let world = World::new();
    let pool = world.queue(1);
    let own = detached(&world, &pool);
    pool.invalidate();
    world.run(pool.dispose());
    world.run(pool.close());
    assert_eq!(world.trace(), "open");
    assert_eq!(own.number, 0);
    world.run(own.close());
    assert_eq!(world.trace(), "close 0");
}

#[test]
fn detach_after_the_pools_close_has_ended_the_lease_does_nothing() {
    let world = World::new();
    let pool = world.queue(1);
    let lease = world.connect(&pool);
    world.run(pool.close());
    assert!(matches!(lease.detach(), Err(edgepool::Error::LeaseEnded { .. })));
    assert_eq!(world.trace(), "open, terminate 0");
}

#[test]
fn a_detached_connection_may_be_given_away_and_is_not_closed_by_the_pool() {
    let world = World::new();
    let pool = world.queue(1);
    let connection = detached(&world, &pool).into_inner();
    assert_eq!((world.trace().as_str(), pool.stats().detached), ("open", 0));
    drop(connection);
}

#[test]
fn the_loss_of_a_detached_connection_is_none_of_the_slot_that_it_had() {
    let world = World::new();
    let pool = world.queue(1);
    let own = detached(&world, &pool);
    drop(world.connect(&pool));
    world.dies(0, Some("lost"));
    assert_eq!(world.connect(&pool).number, 1);
    drop(own);
}

// Not here: detach() consumes the lease, and a Detached has no soft invalidation. The compiler refuses both.
// - a soft invalidation of a detached lease does nothing
// - detach() again does nothing; on a lease that has ended it does nothing, either
//   = detach_after_the_pools_close_has_ended_the_lease_does_nothing
// Not here: a connection keeps its own data; there is neither info nor a record.
// - the lease keeps a copy of info; the slot's next connection starts with an empty one
// - recordInfo stays with the slot
// Not here: a connection that its holder may be using is not touched under it. It is terminated when it comes back.
// - detach() after the pool's close has terminated the lease does nothing
//   = detach_after_the_pools_close_has_ended_the_lease_does_nothing
