//! Foreign code that calls the pool: managers, listeners, and the drop of a connection.

use crate::fakes::{Of, Script, World};
use edgepool::{Error, Queue, Runtime};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// What foreign code does to the pool, by number.
fn act(pool: &Of<Queue>, time: &edgepool::VirtualTime, what: usize) {
    match what {
        0 => drop(pool.dispose()),
        1 => pool.invalidate(),
        2 => {
            let mut asked = Box::pin(pool.connect());
            let _ = time.poll_once(asked.as_mut());
        }
        3 => {
            let own = pool.clone();
            time.spawn(Box::pin(async move { drop(own.connect().await) }));
        }
        4 => {
            let mut warming = Box::pin(pool.warm(2));
            let _ = time.poll_once(warming.as_mut());
        }
        5 => drop(pool.resize(edgepool::Sizes { pool_size: Some(1.0), ..edgepool::Sizes::default() })),
        _ => {
            let own = pool.clone();
            let mut closing = Box::pin(async move { own.close().await });
            if time.poll_once(closing.as_mut()).is_pending() {
                time.spawn(closing);
            }
        }
    }
}

fn expect_sound(world: &World, pool: &Of<Queue>, what: &str) {
    world.pass(60_000);
    world.run(pool.close());
    let stats = pool.stats();
    assert_eq!((stats.total, stats.waiting, stats.detached), (0, 0, 0), "{what}: {stats:?}");
    assert_eq!(world.log.open.get(), 0, "{what}");
}

#[test]
fn whatever_the_creator_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost() {
    for what in 0..7 {
        for later in [0, 5] {
            let world = World::new();
            let pool = world.queue(2);
            let (own, time) = (pool.clone(), world.time.clone());
            *world.log.in_open.borrow_mut() = Some(Box::new(move || {
                if later == 0 {
                    act(&own, &time, what);
                } else {
                    let clock = time.clone();
                    time.spawn(Box::pin(async move {
                        clock.sleep(later).await;
                        act(&own, &clock, what);
                    }));
                }
            }));
            world.opens([Script::takes(10)]);
            drop(world.run(pool.connect()));
            drop(world.run(pool.connect()));
            expect_sound(&world, &pool, &format!("act {what} after {later} ms"));
        }
    }
}

#[test]
fn whatever_rollback_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost() {
    for what in 0..7 {
        let world = World::new();
        let pool = world.queue(2);
        let (own, time) = (pool.clone(), world.time.clone());
        *world.log.in_reset.borrow_mut() = Some(Box::new(move || act(&own, &time, what)));
        let mut lease = world.connect(&pool);
        lease.in_transaction = true;
        world.resets([Script::takes(5)]);
        world.close(lease);
        drop(world.run(pool.connect()));
        expect_sound(&world, &pool, &format!("act {what}"));
    }
}

#[test]
fn whatever_a_listener_does_to_the_pool_no_caller_hangs_and_no_slot_is_lost() {
    let events = ["first_connect", "connect", "checkout", "reset", "checkin", "invalidate", "closing", "detach"];
    for event in events.into_iter().chain(["close_detached", "soft_invalidate"]) {
        for what in 0..7 {
            let world = World::new();
            let pool = world.listened::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
            let (own, time, calls) = (pool.clone(), world.time.clone(), std::cell::Cell::new(0));
            world.within(move |now| {
                if now == event && calls.replace(calls.get() + 1) < 3 {
                    act(&own, &time, what);
                }
            });
            if let Ok(lease) = world.run(pool.connect()) {
                lease.invalidate_soft();
                world.close(lease);
            }
            if let Ok(lease) = world.run(pool.connect()) {
                world.run(lease.invalidate());
            }
            if let Ok(lease) = world.run(pool.connect())
                && let Ok(own) = lease.detach()
            {
                world.run(own.close());
            }
            world.log.within.take();
            expect_sound(&world, &pool, &format!("act {what} in {event}"));
        }
    }
}

#[test]
fn connect_from_inside_a_creator_opens_another_connection_for_either_its_own() {
    let world = World::new();
    let pool = world.queue(2);
    let inner = Rc::new(RefCell::new(None));
    let (own, time, kept) = (pool.clone(), world.time.clone(), inner.clone());
    *world.log.in_open.borrow_mut() = Some(Box::new(move || {
        kept.replace(time.run_until(own.connect()).map(Result::unwrap));
    }));
    let outer = world.connect(&pool);
    assert_eq!((outer.number, inner.take().map(|lease| lease.number)), (1, Some(0)));
}

#[test]
fn connect_from_inside_the_creator_of_the_only_slot_queues_behind_it() {
    let world = World::new();
    let pool = world.queue(1);
    let served = Rc::new(std::cell::Cell::new(false));
    let (own, time, flag) = (pool.clone(), world.time.clone(), served.clone());
    *world.log.in_open.borrow_mut() = Some(Box::new(move || {
        time.spawn(Box::pin(async move {
            drop(own.connect().await.unwrap());
            flag.set(true);
        }));
    }));
    world.opens([Script::takes(5)]);
    let lease = world.connect(&pool);
    assert!(!served.get());
    drop(lease);
    world.time.run();
    assert!(served.get());
}

#[test]
fn a_creator_that_awaits_a_connection_of_its_own_full_pool_fails_in_time_and_the_pool_goes_on() {
    let world = World::new();
    // Its manager asks the pool for a connection in open().
    struct Recursive(RefCell<Option<edgepool::QueuePool<Self, edgepool::VirtualTime>>>);
    impl edgepool::Manager for Recursive {
        type Connection = u32;
        type Error = crate::fakes::Failure;

        async fn open(&self, _: edgepool::Watch<Self>) -> Result<u32, crate::fakes::Failure> {
            let pool = self.0.borrow_mut().take();
            let Some(pool) = pool else { return Ok(0) };
            pool.connect().await.map(|lease| *lease).map_err(|_| crate::fakes::Failure("full"))
        }
    }
    let pool = edgepool::QueuePool::builder(Recursive(RefCell::default()))
        .pool_size(1)
        .max_overflow(0)
        .timeout(Duration::from_millis(50))
        .build_on(world.time.clone())
        .unwrap();
    *pool.manager().0.borrow_mut() = Some(pool.clone());
    let Err(Error::Manager(error)) = world.run(pool.connect()) else { panic!("it opened") };
    assert_eq!(error.0, "full");
    world.assert_time(50.0);
    assert!(world.run(pool.connect()).is_ok());
}

#[test]
fn pool_close_from_inside_a_creator_refuses_its_caller_and_closes_what_the_creator_returns() {
    let world = World::new();
    let pool = world.queue(1);
    let (own, time) = (pool.clone(), world.time.clone());
    *world.log.in_open.borrow_mut() = Some(Box::new(move || act(&own, &time, 6)));
    assert!(matches!(world.refused(&pool), Error::Closed { .. }));
    world.time.run();
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn dispose_from_inside_a_creator_its_caller_has_the_connection_which_is_closed_at_its_return() {
    let world = World::new();
    let pool = world.queue(1);
    let own = pool.clone();
    *world.log.in_open.borrow_mut() = Some(Box::new(move || drop(own.dispose())));
    let lease = world.connect(&pool);
    drop(lease);
    assert_eq!(world.trace(), "open, close 0");
}

#[test]
fn invalidate_all_from_inside_a_creator_marks_the_connection_that_it_is_opening() {
    let world = World::new();
    let pool = world.queue(1);
    let own = pool.clone();
    *world.log.in_open.borrow_mut() = Some(Box::new(move || own.invalidate()));
    drop(world.connect(&pool));
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn connect_from_inside_a_rollback_does_not_get_the_connection_that_is_being_reset() {
    let world = World::new();
    let pool = world.queue(2);
    let got = Rc::new(RefCell::new(None));
    let (own, time, kept) = (pool.clone(), world.time.clone(), got.clone());
    *world.log.in_reset.borrow_mut() = Some(Box::new(move || {
        kept.replace(time.run_until(own.connect()).map(Result::unwrap));
    }));
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.close(lease);
    assert_eq!(got.take().map(|lease| lease.number), Some(1));
}

#[test]
fn pool_close_from_inside_a_rollback_closes_the_connection_after_it() {
    let world = World::new();
    let pool = world.queue(1);
    let (own, time) = (pool.clone(), world.time.clone());
    *world.log.in_reset.borrow_mut() = Some(Box::new(move || act(&own, &time, 6)));
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.close(lease);
    world.time.run();
    assert_eq!(world.trace(), "open, rollback 0, close 0");
}

#[test]
fn a_driver_that_re_enters_without_end_does_not_take_the_stack_of_the_pool_with_it() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0).max_uses(1));
    let (own, calls) = (pool.clone(), std::cell::Cell::new(0));
    world.within(move |event| {
        if event == "closing" && calls.replace(calls.get() + 1) < 5_000 {
            drop(own.dispose());
        }
    });
    for _ in 0..100 {
        drop(world.connect(&pool));
    }
    world.log.within.take();
    expect_sound(&world, &pool, "dispose within close");
}

#[test]
fn a_waiter_that_aborts_before_it_resumes_leaves_the_caller_that_comes_next_alone() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let woken = world.wait(&pool);
    let _ = world.time.poll_once(pin!(held.invalidate()));
    drop(woken);
    let next = world.connect(&pool);
    assert_eq!((next.number, pool.stats().used), (1, 1));
}

/// An error whose drop looks at the pool.
#[derive(Debug)]
struct Looks(Rc<RefCell<Option<edgepool::QueuePool<Refuses, edgepool::VirtualTime>>>>);

impl std::fmt::Display for Looks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("refused")
    }
}

impl std::error::Error for Looks {}

impl Drop for Looks {
    fn drop(&mut self) {
        if let Some(pool) = &*self.0.borrow() {
            assert_eq!(pool.stats().used, 0);
        }
    }
}

struct Refuses(Rc<RefCell<Option<edgepool::QueuePool<Self, edgepool::VirtualTime>>>>);

impl edgepool::Manager for Refuses {
    type Connection = ();
    type Error = Looks;

    async fn open(&self, _: edgepool::Watch<Self>) -> Result<(), Looks> {
        Err(Looks(self.0.clone()))
    }
}

#[test]
fn the_drop_of_an_error_may_look_at_the_pool() {
    let world = World::new();
    let own = Rc::default();
    let pool = edgepool::QueuePool::builder(Refuses(Rc::clone(&own))).build_on(world.time.clone()).unwrap();
    *own.borrow_mut() = Some(pool.clone());
    for _ in 0..3 {
        assert!(matches!(world.run(pool.connect()), Err(Error::Manager(_))));
    }
    own.take();
}
