//! `use_with()`: a connection for a function.

use crate::fakes::{Failure, Script, World};
use edgepool::{Error, Queue};
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
    let world = World::new();
    let pool = world.queue(3);
    let [first, second, third] = [(); 3].map(|()| world.connect(&pool));
    drop((second, third));
    world.run(first.close_after(&Failure("lost")));
    world.trace();
    world.pings([Script::Ok, Script::Dead]);
    let leases = [(); 2].map(|()| world.connect(&pool));
    assert_eq!(world.trace(), "ping 1, ping 2, terminate 2, open");
    drop(leases);
    drop(world.connect(&pool));
    assert_eq!(world.trace(), "");
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
