//! What listeners are shown, and what no caller gets.

use crate::fakes::{Failure, Fake, Of, Script, World};
use edgepool::{Background, Error, Events, Queue};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

fn pool(world: &World) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(0))
}

#[test]
fn error_gets_an_opening_that_failed_after_its_caller_had_left() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
    drop(world.wait(&pool));
    world.pass(5);
    assert_eq!(world.trace(), "open, error(open: no route)");
}

#[test]
fn the_error_of_a_caller_that_is_still_there_is_not_reported_too() {
    let world = World::new();
    let pool = pool(&world);
    world.opens([Script::Fails("no route")]);
    world.refused(&pool);
    world.listener_fails("checkout", "no");
    world.refused(&pool);
    assert!(!world.trace().contains("error("));
}

#[test]
fn error_gets_what_was_swallowed_with_its_operation() {
    let world = World::new();
    let pool = pool(&world);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Fails("reset")]);
    world.close(lease);
    drop(world.connect(&pool));
    world.closes([Script::Fails("bye")]);
    world.run(pool.dispose());
    let trace = world.trace();
    assert!(trace.contains("error(reset: reset)") && trace.contains("error(close: bye)"), "{trace}");
}

#[test]
fn without_listeners_nothing_is_lost() {
    let world = World::new();
    let pool = world.queue(1);
    let mut lease = world.connect(&pool);
    lease.in_transaction = true;
    world.resets([Script::Fails("reset")]);
    world.close(lease);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn listeners_of_one_pool_are_not_called_by_another() {
    let world = World::new();
    let _listened = pool(&world);
    let other = world.queue(1);
    drop(world.connect(&other));
    assert_eq!(world.trace(), "open");
}

#[test]
fn recreate_takes_the_pools_listeners() {
    let world = World::new();
    let pool = pool(&world).recreate();
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0), reset(0), checkin(0)");
}

#[test]
fn listeners_take_no_turn_of_the_runtime_checkout_return_invalidation_and_dispose_are_over() {
    let world = World::new();
    let pool = pool(&world);
    let connect = || match world.time.poll_once(pin!(pool.connect())) {
        Poll::Ready(Ok(lease)) => lease,
        _ => panic!("it waits"),
    };
    let lease = connect();
    assert_eq!(world.log.trace(), "open, first_connect(0), connect(0), checkout(0)");
    assert_eq!((pool.stats().used, pool.stats().checkouts), (1, 1));
    drop(lease);
    assert_eq!((world.log.trace().as_str(), pool.stats().idle), ("reset(0), checkin(0)", 1));
    let lease = connect();
    assert_eq!(world.log.trace(), "checkout(0)");
    assert!(world.time.poll_once(pin!(lease.invalidate())).is_ready());
    assert_eq!(world.log.trace(), "invalidate(0), closing(0), terminate 0, checkin()");
    assert_eq!((pool.stats().used, pool.stats().total), (0, 0));
    drop(connect());
    world.log.trace();
    drop(pool.dispose());
    assert_eq!((world.log.trace().as_str(), pool.stats().total), ("closing(1), close 1", 0));
}

/// A listener fails: its caller has the error, no other listener is called for the opening, and nothing is reported.
fn fails(event: &'static str, called: &str) {
    let world = World::new();
    let pool = pool(&world);
    world.listener_fails(event, "no");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if *error == Failure("no")));
    assert_eq!(world.trace(), called);
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
    world.listener_fails(event, "again");
    let used = world.run(pool.use_with(async |_| -> Result<(), Error<Failure>> { panic!("it has no connection") }));
    assert!(matches!(used, Err(Error::Manager(error)) if *error == Failure("again")));
    assert!(!world.trace().contains("error("));
    drop(world.connect(&pool));
}

#[test]
fn a_first_connect_listener_that_fails_rejects_connect_and_use_with_its_error() {
    fails("first_connect", "open, first_connect(0), terminate 0");
}

#[test]
fn a_connect_listener_that_fails_rejects_connect_and_use_with_its_error() {
    fails("connect", "open, first_connect(0), connect(0), terminate 0");
}

#[test]
fn a_checkout_listener_that_fails_rejects_connect_and_use_with_its_error() {
    let ended = "invalidate(0), closing(0), terminate 0, checkin()";
    fails("checkout", &format!("open, first_connect(0), connect(0), checkout(0), {ended}"));
}

/// Its listener of errors panics once.
struct Panics(Rc<Cell<bool>>);

impl Events<Fake> for Panics {
    fn error(&self, _: Background, _: Option<&Rc<Failure>>) {
        assert!(!self.0.replace(false), "a listener of errors");
    }
}

#[test]
fn an_error_listener_that_panics_loses_no_slot() {
    for background in [Background::Open, Background::Reset, Background::Close, Background::Disconnect] {
        let world = World::new();
        let panics = Rc::new(Cell::new(true));
        let events = Panics(panics.clone());
        let pool = world.pool::<Queue>(|builder| builder.pool_size(1).max_overflow(0).events(events));
        let fails = || {
            match background {
                Background::Open => {
                    world.opens([Script::Takes(1, Box::new(Script::Fails("down")))]);
                    drop(world.wait(&pool));
                }
                Background::Close => {
                    drop(world.connect(&pool));
                    world.closes([Script::Fails("bye")]);
                    drop(pool.dispose());
                }
                Background::Disconnect => {
                    let lease = world.connect(&pool);
                    world.dies(0, Some("gone"));
                    drop(lease);
                }
                _ => {
                    let mut lease = world.connect(&pool);
                    lease.in_transaction = true;
                    world.resets([Script::Fails("reset")]);
                    drop(lease);
                }
            }
            world.pass(1);
        };
        let result = catch_unwind(AssertUnwindSafe(fails));
        assert!(result.is_err() && !panics.get(), "{background:?} does not panic");
        world.time.run();
        let stats = pool.stats();
        assert_eq!((stats.used, stats.opening, stats.closing, stats.idle), (0, 0, 0, 0), "{background:?}: {stats:?}");
        assert_eq!(world.log.open.get(), 0, "{background:?}");
        let lease = world.connect(&pool);
        let waiter = world.wait(&pool);
        world.close(lease);
        drop(world.served(waiter));
    }
}

#[test]
fn with_every_listener_failing_at_once_the_books_stay_right() {
    let world = World::new();
    let pool = pool(&world);
    for round in 0..30 {
        for event in ["first_connect", "connect", "checkout"] {
            if round % 3 != 2 {
                world.listener_fails(event, "no");
            }
        }
        match world.run(pool.connect()) {
            Ok(lease) => world.close(lease),
            Err(error) => assert!(matches!(error, Error::Manager(_))),
        }
        let stats = pool.stats();
        assert_eq!((stats.used, stats.opening, stats.closing), (0, 0, 0));
        assert_eq!(stats.idle, world.log.open.get());
    }
}

#[test]
fn a_listener_that_panics_costs_no_slot() {
    let events = ["first_connect", "connect", "checkout", "reset", "checkin", "invalidate", "closing"];
    for event in events.into_iter().chain(["soft_invalidate", "detach", "close_detached"]) {
        let world = World::new();
        let pool = pool(&world);
        let panics = Rc::new(Cell::new(true));
        let first = panics.clone();
        world.within(move |now| assert!(now != event || !first.replace(false), "a listener"));
        let use_it = || {
            let lease = world.connect(&pool);
            lease.invalidate_soft();
            world.run(lease.close());
            world.run(world.connect(&pool).invalidate());
            let detached = world.connect(&pool).detach().unwrap();
            world.run(detached.close());
        };
        let result = catch_unwind(AssertUnwindSafe(use_it));
        assert!(result.is_err() && !panics.get(), "{event} does not panic");
        world.time.run();
        use_it();
        let stats = pool.stats();
        assert_eq!((stats.used, stats.opening, stats.closing, stats.detached), (0, 0, 0, 0), "{event}: {stats:?}");
        assert_eq!(stats.idle, world.log.open.get(), "{event}");
    }
}

// Not here: a pool has one listener, given to its builder for good. It is a trait with a method for each event.
// - a listener is called each time with the event's arguments, until off() takes it away
// - off() says whether the listener was there
// - the function that on() returns removes the listener, and does nothing when called again
// - the same function twice on the same event of the same pool is called once
// - the same function on two events is registered for each of them
// - listeners run in the order of their registration, inserted ones in front
// - a listener that is asked for once is called for the first firing only
// - once: it is removed before it runs, so that a firing that overlaps does not call it again
// - a listener that is asked for once and throws is gone as well
// - once: it can be taken away before it was called
// - a listener that is added while its event fires is called from the next firing on
// - a listener that is removed while its event fires is called this time, and then no more
// - the listeners of a firing are those of its beginning, however long one of them takes
// - listen() on a pool is its on()
// - events: pairs of listener and event, given in any order, run in the order of the events
// - events: pairs of one event run in the order of the pairs, before what on() adds
// - events: an object of listeners, one or a list for each event
// - events: what is done to the given object or list afterwards changes nothing
// - recreate() takes a snapshot of the pool's listeners, in their order
//   = recreate_takes_the_pools_listeners
// - after recreate() what is added or removed on either pool stays there
// - recreate() does not bring back removed listeners, nor those for one time that have run
// - driverTimeout bounds a firing, however many listeners share it
// Not here: a type of pools has no listeners.
// - a pool calls the listeners of its own class and of the base, not those of another class
// - a listener of a class is called by the pools made before it and after it, until it is removed
// - a listener of a class is also called by a pool that has already run without one
// - class listeners run first, base and class in the order of registration, then the pool's
// - inserted listeners go to the front of their level: of the classes' or of the pool's
// - a class listener that is asked for once is called once among all pools
// - off() of a pool takes away what was registered on the pool, not on its class
// - the same function twice on a class is called once
// Not here: the compiler refuses what is no Events of the manager.
// - an unknown event is refused by its name, wherever it is registered
// - a listener that is no function is refused by the name of its event
// - events that are neither an object nor a list of pairs are refused by the option's name
// - an unknown option of a listener is refused by its name
// - what was refused has registered nothing
// - listen() takes a pool or a pool class, nothing else
// Not here: a listener takes no time: what is to be awaited belongs to the manager.
// - synchronous listeners cost no microtask: checkout, return, invalidation and dispose are over
//   = listeners_take_no_turn_of_the_runtime_checkout_return_invalidation_and_dispose_are_over
// - listeners that answer promises are awaited one by one
// - every event is awaited before the next step is taken
//   = listeners_take_no_turn_of_the_runtime_checkout_return_invalidation_and_dispose_are_over
// - a listener may answer any thenable, and what it answers is of no interest
// - a checkin listener that hangs is given driverTimeout, then things go on without it
// - a invalidate listener that hangs is given driverTimeout, then things go on without it
// - a softInvalidate listener that hangs is given driverTimeout, then things go on without it
// - a close event listener that hangs is given driverTimeout, then things go on without it
// - a detach listener that hangs is given driverTimeout, then things go on without it
// - a closeDetached listener that hangs is given driverTimeout, then things go on without it
// - a firstConnect listener that hangs is given driverTimeout, then connect() rejects: step "listener"
// - a connect listener that hangs is given driverTimeout, then connect() rejects: step "listener"
// - a checkout listener that hangs is given driverTimeout, then connect() rejects: step "listener"
// - driverTimeout null gives a listener all the time it takes
// - what a listener answers after its time has ended is ignored
// - an `error` listener that hangs loses no slot
//   = an_error_listener_that_panics_loses_no_slot
// Not here: these listeners return nothing, so they fail by a panic alone, which reaches the code that called the pool.
// - a checkin listener that throws changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a checkin listener that rejects changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a invalidate listener that throws changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a invalidate listener that rejects changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a softInvalidate listener that throws changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a softInvalidate listener that rejects changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a close event listener that throws changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a close event listener that rejects changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a detach listener that throws changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a detach listener that rejects changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a closeDetached listener that throws changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - a closeDetached listener that rejects changes nothing: `error` and the log have the error
//   = a_listener_that_panics_costs_no_slot
// - an `error` listener that throws is logged, and is not called for its own error
//   = an_error_listener_that_panics_loses_no_slot
// - an `error` listener that rejects is logged, and is not called for its own error
//   = an_error_listener_that_panics_loses_no_slot
// Not here: these listeners return an Err of the manager's error, and no other follows them.
// - a firstConnect listener that throws rejects connect() with its error; later ones are not called
//   = a_first_connect_listener_that_fails_rejects_connect_and_use_with_its_error
// - a firstConnect listener that rejects rejects connect() with its error; later ones are not called
//   = a_first_connect_listener_that_fails_rejects_connect_and_use_with_its_error
// - a connect listener that throws rejects connect() with its error; later ones are not called
//   = a_connect_listener_that_fails_rejects_connect_and_use_with_its_error
// - a connect listener that rejects rejects connect() with its error; later ones are not called
//   = a_connect_listener_that_fails_rejects_connect_and_use_with_its_error
// - a checkout listener that throws rejects connect() with its error; later ones are not called
//   = a_checkout_listener_that_fails_rejects_connect_and_use_with_its_error
// - a checkout listener that rejects rejects connect() with its error; later ones are not called
//   = a_checkout_listener_that_fails_rejects_connect_and_use_with_its_error
// - a firstConnect listener may throw anything, and use() rejects with it
//   = a_first_connect_listener_that_fails_rejects_connect_and_use_with_its_error
// - a connect listener may throw anything, and use() rejects with it
//   = a_connect_listener_that_fails_rejects_connect_and_use_with_its_error
// - a checkout listener may throw anything, and use() rejects with it
//   = a_checkout_listener_that_fails_rejects_connect_and_use_with_its_error
// Not here: there is neither a record nor a log, and terminate() cannot fail.
// - `error` gets what was swallowed, with its operation and the record
//   = error_gets_what_was_swallowed_with_its_operation
// - without listeners of `error`, the log alone has it
//   = without_listeners_nothing_is_lost
