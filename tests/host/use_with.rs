//! `use_with()`: a connection for a function.

use crate::fakes::{Failure, Script, World};
use edgepool::{Error, Loss, Manager, Queue, QueuePool, VirtualTime, Within};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

type Result<T> = std::result::Result<T, Error<Failure>>;

#[test]
fn use_gives_the_lease_and_resolves_to_what_the_function_returns() {
    let world = World::new();
    let pool = world.queue(1);
    let result = world.run(pool.use_with(async |lease| Result::Ok(lease.number + 40)));
    assert_eq!(result.unwrap(), 40);
}

#[test]
fn it_resolves_only_once_the_connection_is_reset_and_back() {
    let world = World::new();
    let pool = world.queue(1);
    world.resets([Script::takes(5)]);
    let mut used = pin!(pool.use_with(async |lease| {
        lease.in_transaction = true;
        Result::Ok(())
    }));
    assert!(world.poll(used.as_mut()).is_none());
    world.pass(5);
    assert!(world.poll(used).is_some());
    assert_eq!(pool.stats().idle, 1);
}

#[test]
fn an_error_of_the_function_comes_out_unchanged_after_the_return() {
    let world = World::new();
    let pool = world.queue(1);
    let result = world.run(pool.use_with(async |lease| {
        lease.in_transaction = true;
        Result::<()>::Err(Error::Manager(Rc::new(Failure("mine"))))
    }));
    assert!(matches!(result, Err(Error::Manager(error)) if *error == Failure("mine")));
    assert_eq!(world.trace(), "open, rollback 0");
}

#[test]
fn an_error_that_is_no_disconnect_invalidates_nothing() {
    let world = World::new();
    let pool = world.queue(1);
    drop(world.run(pool.use_with(async |_| Result::<()>::Err(Error::Manager(Rc::new(Failure("syntax")))))));
    assert_eq!((pool.stats().invalidated, pool.stats().idle), (0, 1));
}

/// An error of a program, in which the manager's is.
#[derive(Debug)]
enum Own {
    Pool,
    Driver(Failure),
}

impl std::fmt::Display for Own {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("own")
    }
}

impl std::error::Error for Own {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pool => None,
            Self::Driver(failure) => Some(failure),
        }
    }
}

impl From<Error<Failure>> for Own {
    fn from(_: Error<Failure>) -> Self {
        Self::Pool
    }
}

#[test]
fn a_disconnect_terminates_the_connection_without_a_reset_whatever_holds_its_error() {
    let world = World::new();
    let boxed: [fn() -> Box<dyn std::error::Error>; 3] = [
        || Box::new(Failure("lost")),
        || Box::new(Own::Driver(Failure("lost"))),
        || Box::new(Error::Manager(Rc::new(Failure("lost")))),
    ];
    for error in boxed {
        let pool = world.queue(1);
        let result = world.run(pool.use_with(async |_| Err::<(), Box<dyn std::error::Error>>(error())));
        assert!(result.is_err());
        assert_eq!((pool.stats().invalidated, pool.stats().total), (1, 0));
    }
    let pool = world.queue(1);
    let result = world.run(pool.use_with(async |lease| {
        lease.in_transaction = true;
        Result::<()>::Err(Error::Manager(Rc::new(Failure("lost"))))
    }));
    assert!(result.is_err());
    assert_eq!(pool.stats().invalidated, 1);
    assert!(!world.trace().contains("rollback"));
}

#[test]
fn a_disconnect_leaves_what_was_opened_since_the_last_one_alone() {
    let world = World::new();
    let pool = world.queue(2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    world.run(first.close_after(&Failure("lost")));
    let new = world.connect(&pool);
    world.run(second.close_after(&Failure("lost")));
    drop(new);
    world.trace();
    assert_eq!(world.connect(&pool).number, 2);
    assert_eq!(world.trace(), "");
}

#[test]
fn a_disconnect_that_concerns_one_connection_replaces_that_one_alone() {
    let world = World::new();
    let pool = world.queue(3);
    let [first, second, third] = [(); 3].map(|()| world.connect(&pool));
    drop((second, third));
    world.run(first.close_after(&Failure("alone")));
    world.trace();
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [1, 2]);
    assert_eq!(world.trace(), "");
}

#[test]
fn a_disconnect_that_concerns_others_has_each_of_them_pinged_once_and_only_the_dead_replaced() {
    for pre_ping in [true, false] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            let builder = builder.pool_size(4).max_overflow(0).pre_ping(pre_ping);
            builder.pre_ping_after_idle(std::time::Duration::from_secs(3_600))
        });
        let [first, second, third, fourth] = [(); 4].map(|()| world.connect(&pool));
        drop((second, third, fourth));
        world.run(first.close_after(&Failure("lost")));
        world.trace();
        // An error that says nothing of the connection stands for dead, since the caller has asked for no ping.
        world.pings([Script::Dead, Script::Fails("odd"), Script::Ok]);
        let leases = [(); 4].map(|()| world.connect(&pool));
        let trace = world.trace();
        assert_eq!(trace, "ping 1, terminate 1, open, ping 2, terminate 2, open, ping 3, open");
        assert_eq!(leases.each_ref().map(|lease| lease.number), [4, 5, 3, 6]);
        drop(leases);
        drop([(); 4].map(|()| world.connect(&pool)));
        assert_eq!(world.trace(), "");
        assert_eq!(world.log.open.get(), 4);
    }
}

#[test]
fn a_connection_that_the_function_ends_is_ended_once() {
    let world = World::new();
    let pool = world.queue(1);
    let result = world.run(pool.use_with(async |lease| {
        lease.invalidate_soft();
        Result::Ok(lease.number)
    }));
    assert_eq!(result.unwrap(), 0);
    assert_eq!(world.connect(&pool).number, 1);
}

#[test]
fn without_a_connection_the_function_is_not_called_and_the_creators_error_comes_out_unchanged() {
    let world = World::new();
    let pool = world.queue(1);
    world.opens([Script::Fails("no route")]);
    let result: Result<()> = world.run(pool.use_with(async |_| panic!("it is called")));
    assert!(matches!(result, Err(Error::Manager(error)) if *error == Failure("no route")));
}

#[test]
fn a_function_that_panics_returns_the_connection() {
    let world = World::new();
    let pool = world.queue(1);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.run(pool.use_with(async |lease| -> Result<()> {
            lease.in_transaction = true;
            panic!("a function")
        }))
    }));
    assert!(result.is_err());
    world.time.run();
    assert_eq!((world.trace().as_str(), pool.stats().idle), ("open, rollback 0", 1));
}

#[test]
fn a_hundred_tasks_of_ten_rounds_on_two_connections_never_meet_on_one() {
    let world = World::new();
    let pool = world.queue(2);
    let out = Rc::new(std::cell::RefCell::new(std::collections::HashSet::new()));
    let done = Rc::new(std::cell::Cell::new(0));
    for _ in 0..100 {
        let (pool, out, done, time) = (pool.clone(), out.clone(), done.clone(), world.time.clone());
        let task = async move {
            for _ in 0..10 {
                let used = pool.use_with(async |lease| {
                    assert!(out.borrow_mut().insert(lease.number));
                    edgepool::Runtime::sleep(&time, 1).await;
                    assert!(out.borrow_mut().remove(&lease.number));
                    Result::Ok(())
                });
                used.await.unwrap();
            }
            done.set(done.get() + 1);
        };
        edgepool::Runtime::spawn(&world.time, Box::pin(task));
    }
    world.pass(20_000);
    assert_eq!((done.get(), world.log.most_open.get()), (100, 2));
    let _: crate::fakes::Of<Queue> = pool;
}

#[test]
fn a_use_that_is_dropped_while_its_reset_runs_keeps_the_connection() {
    for fails in [false, true] {
        let world = World::new();
        let pool = world.queue(1);
        world.resets([Script::takes(5)]);
        let mut used = Box::pin(pool.use_with(async |lease| {
            lease.in_transaction = true;
            if fails { Err(Error::Manager(Rc::new(Failure("mine")))) } else { Ok(()) }
        }));
        assert!(world.poll(used.as_mut()).is_none());
        drop(used);
        world.pass(5);
        assert_eq!(world.trace(), "open, rollback 0");
        assert_eq!((pool.stats().idle, pool.stats().invalidated), (1, 0));
    }
}

/// Keeps what it is asked. Its connections are numbers.
#[derive(Default)]
struct Asked {
    of: RefCell<Vec<(&'static str, u32)>>,
    opened: Cell<u32>,
    loss: Cell<Option<Loss>>,
}

impl Manager for Asked {
    type Connection = u32;
    type Error = Failure;

    async fn open(&self, _: edgepool::Watch<Self>) -> std::result::Result<u32, Failure> {
        Ok(self.opened.replace(self.opened.get() + 1))
    }

    fn is_disconnect(&self, error: &Failure, connection: &u32) -> bool {
        self.of.borrow_mut().push((error.0, *connection));
        self.loss.get().is_some()
    }

    fn loss(&self, error: &Failure, connection: &u32) -> Loss {
        let is_lost = self.is_disconnect(error, connection);
        self.loss.get().filter(|_| is_lost).unwrap_or(Loss::None)
    }
}

fn asked(world: &World, size: u32) -> QueuePool<Asked, VirtualTime> {
    let builder = QueuePool::builder(Asked::default()).pool_size(size).max_overflow(0);
    let pool = builder.build_on(world.time.clone()).unwrap();
    world.run(pool.warm(size)).unwrap();
    pool
}

/// The work fails, and its error says this of the connections.
fn lose(world: &World, pool: &QueuePool<Asked, VirtualTime>, loss: Loss) {
    pool.manager().loss.set(Some(loss));
    let result = world.run(pool.use_with(async |_| Result::<()>::Err(Error::Manager(Rc::new(Failure("gone"))))));
    assert!(matches!(result, Err(Error::Manager(error)) if *error == Failure("gone")));
}

/// The numbers of the connections that so many callers have.
fn lent(world: &World, pool: &QueuePool<Asked, VirtualTime>, count: u32) -> Vec<u32> {
    let leases: Vec<_> = (0..count).map(|_| world.run(pool.connect()).unwrap()).collect();
    leases.iter().map(|lease| **lease).collect()
}

#[test]
fn is_disconnect_gets_the_error_and_the_connection() {
    let world = World::new();
    let pool = asked(&world, 1);
    drop(world.run(pool.use_with(async |_| Result::<()>::Err(Error::Manager(Rc::new(Failure("syntax")))))));
    assert_eq!(pool.manager().of.take(), [("syntax", 0)]);
}

#[test]
fn a_disconnect_terminates_the_connection_without_a_reset_and_marks_every_one_as_old() {
    let world = World::new();
    // Its manager cannot ping, so the others are replaced unasked.
    let pool = asked(&world, 3);
    lose(&world, &pool, Loss::Others);
    assert_eq!(pool.stats().total, 2);
    assert_eq!(lent(&world, &pool, 3), [3, 4, 5]);
    assert_eq!(lent(&world, &pool, 3), [3, 4, 5]);
}

#[test]
fn after_two_such_losses_in_a_row_each_other_connection_is_pinged_without_do_ping_replaced() {
    let world = World::new();
    let pool = world.queue(4);
    let leases = [(); 4].map(|()| world.connect(&pool));
    drop(leases);
    for _ in 0..2 {
        drop(world.run(pool.use_with(async |_| Result::<()>::Err(Error::Manager(Rc::new(Failure("alone")))))));
    }
    world.trace();
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [2, 3]);
    assert_eq!(world.trace(), "ping 2, ping 3");

    let pool = asked(&world, 4);
    lose(&world, &pool, Loss::Alone);
    lose(&world, &pool, Loss::Alone);
    assert_eq!(lent(&world, &pool, 2), [4, 5]);
}

#[test]
fn invalidate_as_old_replaces_every_connection_as_old_without_a_ping() {
    let world = World::new();
    let pool = world.queue(3);
    let leases = [(); 3].map(|()| world.connect(&pool));
    drop(leases);
    let lease = world.connect(&pool);
    lease.invalidate_as_old();
    world.run(lease.invalidate_because(Failure("gone")));
    world.trace();
    let leases = [(); 3].map(|()| world.connect(&pool));
    assert_eq!(leases.map(|lease| lease.number), [3, 4, 5]);
    assert!(!world.trace().contains("ping"));
}

#[test]
fn a_reset_that_fails_changes_neither_result_nor_error() {
    for fails in [false, true] {
        let world = World::new();
        let pool = world.listened::<Queue>(|builder| builder);
        world.resets([Script::Fails("reset")]);
        let result = world.run(pool.use_with(async |lease| {
            lease.in_transaction = true;
            if fails { Err(Error::Manager(Rc::new(Failure("mine")))) } else { Ok(7) }
        }));
        match result {
            Ok(value) => assert_eq!((value, fails), (7, false)),
            Err(Error::Manager(error)) => assert_eq!((error.0, fails), ("mine", true)),
            Err(error) => panic!("{error}"),
        }
        let trace = world.trace();
        assert!(trace.contains("error(reset: reset)") && trace.contains("terminate 0"), "{trace}");
    }
}

#[test]
fn use_takes_the_options_of_connect() {
    let world = World::new();
    let pool = world.queue(1);
    let held = world.connect(&pool);
    let now = Within { timeout: Some(std::time::Duration::ZERO), ..Within::default() };
    let result: Result<()> = world.run(pool.use_within(now, async |_| panic!("it is called")));
    assert!(matches!(result, Err(Error::Timeout(_))));
    let mut plain = Box::pin(pool.use_with(async |_| Result::Ok("plain")));
    assert!(world.poll(plain.as_mut()).is_none());
    let first = Within { priority: 1, ..Within::default() };
    let mut first = Box::pin(pool.use_within(first, async |_| Result::Ok("first")));
    assert!(world.poll(first.as_mut()).is_none());
    drop(held);
    assert!(world.time.poll_once(plain.as_mut()).is_pending());
    assert_eq!(world.run(first).unwrap(), "first");
    assert_eq!(world.run(plain).unwrap(), "plain");
}

// Not here: the lease stands for the connection, too.
// - use() gives the connection and the lease, and resolves to what the function returns
//   = use_gives_the_lease_and_resolves_to_what_the_function_returns

// Not here: a caller has no signal. One that leaves drops the future of its use.
// - 203 it waits for the reset also if its signal aborts meanwhile, and returns its result
//   = a_use_that_is_dropped_while_its_reset_runs_keeps_the_connection
// - an abort after the checkout changes nothing

// Not here: an error is one value of one type, and is returned.
// - 074 an error of the function comes out unchanged, thrown or rejected, after the return
//   = an_error_of_the_function_comes_out_unchanged_after_the_return
// - only true and "connection" are a disconnect

// Not here: the call that marks the others has a name of its own.
// - lease.invalidate(error, { pool: true }) replaces every connection as old without a ping
//   = invalidate_as_old_replaces_every_connection_as_old_without_a_ping

// Not here: what throws in JavaScript is a panic, which costs the connection.
// - an isDisconnect that throws is logged; the caller has the first error, and the reset runs
//   = a_question_to_the_manager_that_panics_costs_no_slot

// Not here: terminate() is no future and returns no error, so it neither hangs nor fails.
// - a termination that fails or hangs after a disconnect does not hide the error

// Not here: the function has its lease by reference, so it cannot return, invalidate or detach it.
// - the function may end the lease itself = a_connection_that_the_function_ends_is_ended_once
// - a connection that the function detached is closed at the end of use()

// Not here: a pool has no subclasses, and the compiler asks for a function.
// - it calls the connect() of a subclass, a patched class and a stubbed pool
// - without a function it rejects with an ArgumentError, and opens nothing
