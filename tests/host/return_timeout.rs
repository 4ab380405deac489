//! `return_timeout`: busy connections at their return, and for how long a return holds its caller.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Loss, Manager, Queue, QueuePool, ResetStyle, Within};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

/// A lease whose connection is busy.
fn busy(world: &World, pool: &Of<Queue>) -> edgepool::Lease<crate::fakes::Fake, edgepool::VirtualTime> {
    let mut lease = world.connect(pool);
    lease.is_busy = true;
    lease.in_transaction = true;
    world.trace();
    lease
}

#[test]
fn close_settles_at_once_when_the_connection_is_busy_and_the_connection_has_return_timeout() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = busy(&world, &pool);
    world.resets([Script::Hangs]);
    assert!(world.poll(pin!(lease.close())).is_some());
    assert_eq!(pool.stats().returning, 1);
    world.pass(1_100);
    assert_eq!(pool.stats().returning, 0);
    assert!(world.trace().contains("rollback 0, error(reset: late), invalidate(0), closing(0), terminate 0"));
}

#[test]
fn close_settles_after_return_timeout_when_the_reset_of_a_connection_at_rest_takes_longer() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5_000)]);
    world.run(lease.close());
    world.assert_time(1_000.0);
    assert_eq!(pool.stats().returning, 1);
    world.pass(4_000);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn use_settles_at_once_when_the_connection_is_busy_and_the_connection_has_return_timeout() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.resets([Script::Hangs]);
    let used = pin!(pool.use_with(async |lease| {
        (lease.is_busy, lease.in_transaction) = (true, true);
        Ok::<_, Error<Failure>>(())
    }));
    assert!(world.poll(used).is_some());
    world.pass(1_100);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn use_settles_after_return_timeout_when_the_reset_of_a_connection_at_rest_takes_longer() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.resets([Script::takes(5_000)]);
    let used = pool.use_with(async |lease| {
        lease.in_transaction = true;
        Ok::<_, Error<Failure>>(())
    });
    world.run(used).unwrap();
    world.assert_time(1_000.0);
}

#[test]
fn the_close_of_a_detached_lease_settles_after_return_timeout_when_the_reset_of_a_connection_at_rest_takes_longer() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut own = world.connect(&pool).detach().unwrap();
    own.in_transaction = true;
    world.resets([Script::takes(5_000)]);
    world.run(own.close());
    world.assert_time(1_000.0);
    world.pass(5_000);
    assert_eq!(world.log.open.get(), 0);
}

#[test]
fn a_busy_connection_that_comes_to_rest_in_time_is_kept_for_the_next_caller() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = busy(&world, &pool);
    world.resets([Script::takes(500)]);
    drop(lease);
    let waiter = world.wait(&pool);
    world.pass(500);
    assert_eq!(world.served(waiter).number, 0);
}

#[test]
fn an_error_of_the_function_reaches_the_caller_before_the_reset_of_its_busy_connection() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.resets([Script::takes(500)]);
    let used = pin!(pool.use_with(async |lease| {
        (lease.is_busy, lease.in_transaction) = (true, true);
        Err::<(), _>(Error::Manager(std::rc::Rc::new(Failure("mine"))))
    }));
    assert!(matches!(world.poll(used), Some(Err(Error::Manager(error))) if error.0 == "mine"));
    assert_eq!(pool.stats().returning, 1);
}

#[test]
fn without_return_timeout_a_busy_connection_has_driver_timeout_and_its_caller_does_not_wait() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.return_timeout(None).driver_timeout(Duration::from_millis(5_000)).pool_size(1)
    });
    let lease = busy(&world, &pool);
    world.resets([Script::Hangs]);
    assert!(world.poll(pin!(lease.close())).is_some());
    world.pass(4_900);
    assert_eq!(pool.stats().returning, 1);
    world.pass(200);
    assert_eq!(pool.stats().returning, 0);
}

#[test]
fn a_busy_connection_that_is_not_to_be_reset_is_pinged_to_see_it_at_rest() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.reset_on_return(ResetStyle::None));
    let lease = busy(&world, &pool);
    drop(lease);
    assert_eq!(world.trace(), "ping 0");
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn a_statement_that_its_caller_gave_up_is_cancelled_and_the_connection_is_reset_and_kept() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    let lease = busy(&world, &pool);
    world.cancels([Script::Ok]);
    world.run(lease.close_after(&Failure("alone")));
    assert_eq!(world.trace(), "cancel 0, rollback 0");
    assert_eq!((world.connect(&pool).number, pool.stats().invalidated), (0, 0));
}

#[test]
fn an_error_of_the_connection_alone_costs_a_connection_at_rest_too_without_a_reset() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.run(lease.close_after(&Failure("alone")));
    assert_eq!(world.trace(), "open, terminate 0");
}

#[test]
fn close_error_of_another_error_settles_at_once_when_the_connection_is_busy_and_the_connection_has_return_timeout() {
    let world = World::new();
    let pool = pool(&world, 1);
    let lease = busy(&world, &pool);
    world.resets([Script::Hangs]);
    assert!(world.poll(pin!(lease.close_after(&Failure("syntax")))).is_some());
    world.pass(900);
    assert_eq!((pool.stats().returning, world.trace().as_str()), (1, "reset(0), rollback 0"));
    world.pass(200);
    assert_eq!(pool.stats().returning, 0);
    assert_eq!(world.trace(), "error(reset: late), invalidate(0), closing(0), terminate 0, checkin()");
}

#[test]
fn close_error_of_another_error_settles_after_return_timeout_when_the_reset_of_a_connection_at_rest_takes_longer() {
    let world = World::new();
    let pool = pool(&world, 1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::takes(5_000)]);
    world.run(lease.close_after(&Failure("syntax")));
    world.assert_time(1_000.0);
    world.pass(5_000);
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn a_drop_waits_for_nothing_and_the_connection_has_return_timeout_only_if_it_is_busy() {
    for is_busy in [true, false] {
        let world = World::new();
        let pool = pool(&world, 1);
        let mut lease = busy(&world, &pool);
        lease.is_busy = is_busy;
        world.resets([Script::Hangs]);
        drop(lease);
        assert_eq!((world.time.now_ms(), pool.stats().returning), (0.0, 1));
        world.pass(1_100);
        assert_eq!(pool.stats().returning, u32::from(!is_busy));
        world.pass(30_000);
        assert!(world.trace().contains("terminate 0"));
    }
}

#[test]
fn the_close_of_a_detached_lease_settles_at_once_when_the_connection_is_busy_and_the_connection_has_return_timeout() {
    let world = World::new();
    let pool = pool(&world, 1);
    let own = busy(&world, &pool).detach().unwrap();
    world.trace();
    world.resets([Script::Hangs]);
    assert!(world.poll(pin!(own.close())).is_some());
    world.pass(900);
    assert_eq!((world.trace().as_str(), world.log.open.get()), ("reset(0), rollback 0", 1));
    world.pass(200);
    assert_eq!(world.log.open.get(), 0);
    assert!(world.trace().contains("error(reset: late)"));
}

#[test]
fn the_next_caller_has_another_connection_after_return_timeout() {
    let world = World::new();
    let pool = world
        .listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0).return_timeout(Duration::from_millis(300)));
    let lease = busy(&world, &pool);
    world.resets([Script::Hangs]);
    drop(lease);
    let mut next = world.wait(&pool);
    world.pass(290);
    assert!(world.waits(&mut next));
    world.pass(50);
    assert_eq!(world.served(next).number, 1);
    assert_eq!(world.trace().matches("error(reset: late)").count(), 1);
}

#[test]
fn a_stuck_connection_is_terminated_at_once_without_a_reset() {
    for style in [ResetStyle::Rollback, ResetStyle::Commit, ResetStyle::Session, ResetStyle::None] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0).reset_on_return(style));
        let mut lease = busy(&world, &pool);
        lease.is_stuck = true;
        assert!(world.poll(pin!(lease.close())).is_some());
        assert_eq!(world.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
        assert_eq!((pool.stats().used, pool.stats().invalidated), (0, 1));
    }
}

/// A busy connection that is not to be reset.
fn rests(answer: Script) {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.reset_on_return(ResetStyle::None));
    let lease = busy(&world, &pool);
    world.pings([answer]);
    drop(lease);
    world.pass(1_100);
    assert_eq!(world.trace(), "ping 0, terminate 0");
    assert_eq!(world.connect(&pool).number, 1);
}

/// A statement that its caller has given up, and that cannot be stopped.
fn given_up(answer: Script) {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(0));
    let other = world.connect(&pool);
    let lease = busy(&world, &pool);
    world.cancels([answer]);
    world.run(lease.close_after(&Failure("alone")));
    world.pass(1_100);
    assert_eq!(world.trace(), "cancel 1, terminate 1");
    drop(other);
    assert_eq!((pool.stats().idle, pool.stats().invalidated), (1, 1));
    assert_eq!(world.connect(&pool).number, 0);
    assert_eq!(world.trace(), "");
}

macro_rules! answers {
    ($run:ident: $($name:ident: $answer:expr;)*) => {
        $(#[test]
        fn $name() {
            $run($answer);
        })*
    };
}

answers! { rests:
    a_busy_connection_whose_ping_never_answers_is_terminated: Script::Hangs;
    a_busy_connection_whose_ping_answers_false_is_terminated: Script::Dead;
    a_busy_connection_whose_ping_fails_is_terminated: Script::Fails("ping");
}

answers! { given_up:
    a_connection_whose_cancel_says_that_it_cannot_is_terminated_alone: Script::Dead;
    a_connection_whose_cancel_promises_false_is_terminated_alone: Script::Takes(5, Box::new(Script::Dead));
    a_connection_whose_cancel_fails_at_once_is_terminated_alone: Script::Fails("no socket");
    a_connection_whose_cancel_fails_later_is_terminated_alone: Script::Takes(5, Box::new(Script::Fails("no socket")));
    a_connection_whose_cancel_never_answers_is_terminated_alone: Script::Hangs;
}

/// Its connections are always busy, and it can stop no statement.
struct Plain(Rc<Cell<u32>>);

impl Manager for Plain {
    type Connection = ();
    type Error = Failure;

    async fn open(&self, _: edgepool::Watch<Self>) -> Result<(), Failure> {
        Ok(())
    }

    async fn reset(&self, (): &mut (), _: edgepool::Reset) -> Result<(), Failure> {
        panic!("it is reset")
    }

    fn terminate(&self, (): ()) {
        self.0.set(self.0.get() + 1);
    }

    fn is_busy(&self, (): &()) -> bool {
        true
    }

    fn loss(&self, _: &Failure, (): &()) -> Loss {
        Loss::Alone
    }
}

#[test]
fn a_manager_without_cancel_costs_the_connection_at_once() {
    let world = World::new();
    let ended = Rc::default();
    let pool = QueuePool::builder(Plain(Rc::clone(&ended))).build_on(world.time.clone()).unwrap();
    let lease = world.run(pool.connect()).unwrap();
    assert!(world.time.poll_once(pin!(lease.close_after(&Failure("slow")))).is_ready());
    assert_eq!((ended.get(), pool.stats().total, pool.stats().invalidated), (1, 0, 1));
}

#[test]
fn close_error_is_what_use_does_after_an_error() {
    for word in ["alone", "lost", "syntax"] {
        let traces = [false, true].map(|uses| {
            let world = World::new();
            let pool = pool(&world, 2);
            let _other = world.connect(&pool);
            if uses {
                let used = pool.use_with(async |lease| {
                    lease.in_transaction = true;
                    Err::<(), _>(Error::Manager(Rc::new(Failure(word))))
                });
                assert!(world.run(used).is_err());
            } else {
                let mut lease = world.connect(&pool);
                lease.in_transaction = true;
                world.run(lease.close_after(&Failure(word)));
            }
            (world.trace(), pool.stats())
        });
        assert_eq!(traces[0], traces[1]);
        assert_eq!(traces[0].0.contains("terminate 1"), word != "syntax", "{word}");
    }
}

#[test]
fn is_busy_is_asked_at_each_return_also_if_nothing_is_reset_and_may_use_the_pool() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.reset_on_return(ResetStyle::None).pool_size(1).max_overflow(0));
    let (own, time, asked, served) =
        (pool.clone(), world.time.clone(), Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let (count, kept) = (asked.clone(), served.clone());
    world.in_calls(move |call| {
        if call == "is_busy" && count.replace(count.get() + 1) == 0 {
            let (own, kept) = (own.clone(), kept.clone());
            let mut caller = Box::pin(async move { kept.set(own.connect().await.ok().map(|lease| lease.number)) });
            // The lease that comes back is out still.
            assert!(time.poll_once(caller.as_mut()).is_pending());
            edgepool::Runtime::spawn(&time, caller);
        }
    });
    world.close(world.connect(&pool));
    assert_eq!((served.get(), asked.get()), (Some(0), 2));
    world.log.in_each_call.take();
    let now = Within { timeout: Some(Duration::ZERO), ..Within::default() };
    assert!(world.run(pool.connect_within(now)).is_ok());
}

// Not here: what `await using` is in JavaScript is a drop, which waits for nothing.
// - await using settles at once when the connection is busy, and the connection has returnTimeout
//   = a_drop_waits_for_nothing_and_the_connection_has_return_timeout_only_if_it_is_busy
// - await using settles after returnTimeout when the reset of a connection at rest takes longer
//   = a_drop_waits_for_nothing_and_the_connection_has_return_timeout_only_if_it_is_busy

// Not here: the Rust host has no log. The event has no error if the time ran out.
// - the next caller has another connection after returnTimeout, and the log names the limit
//   = the_next_caller_has_another_connection_after_return_timeout

// Not here: the reason of an invalidate event is an error of the manager, and none has come.
// - a stuck connection is terminated at once, without a reset, and its invalidate event says why
//   = a_stuck_connection_is_terminated_at_once_without_a_reset

// Not here: terminate() is no future, and what is dropped has ended, so no termination is under way.
// - a termination of a stuck connection that never ends does not hold the caller
// - a close that has not ended keeps its slot, if the dialect wants that
// - a reset that ends late does not end the close that keeps its slot
// - without that a close that has not ended gives its slot to the next caller

// Not here: the error that close_after() borrows cannot be kept for an event; the caller has it. The manager's method
//   is cancel().
// - a connection whose doCancel says that it cannot is terminated, alone, with the caller's error
//   = a_connection_whose_cancel_says_that_it_cannot_is_terminated_alone
// - a connection whose doCancel promises false is terminated, alone, with the caller's error
//   = a_connection_whose_cancel_promises_false_is_terminated_alone
// - a connection whose doCancel throws is terminated, alone, with the caller's error
//   = a_connection_whose_cancel_fails_at_once_is_terminated_alone
// - a connection whose doCancel rejects is terminated, alone, with the caller's error
//   = a_connection_whose_cancel_fails_later_is_terminated_alone
// - a connection whose doCancel never answers is terminated, alone, with the caller's error
//   = a_connection_whose_cancel_never_answers_is_terminated_alone
// - a dialect without doCancel costs the connection at once = a_manager_without_cancel_costs_the_connection_at_once

// Not here: what throws in JavaScript is a panic, which costs the connection.
// - a dialect whose isBusy throws is logged, and the connection is reset as one at rest
//   = a_question_to_the_manager_that_panics_costs_no_slot

// Not here: a Duration is one, and None stands for null.
// - returnTimeout is a duration, or null
