//! The event `first_connect`: once for each pool, before any other.

use crate::fakes::{Failure, Of, Script, Waiter, World};
use edgepool::{Error, Null, Queue};
use std::cell::RefCell;
use std::rc::Rc;

fn pool(world: &World, size: u32) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(size).max_overflow(0))
}

fn firsts(trace: &str) -> usize {
    trace.matches("first_connect").count()
}

#[test]
fn first_connect_is_fired_by_the_first_connection_with_it() {
    let world = World::new();
    let pool = pool(&world, 1);
    let _lease = world.connect(&pool);
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0)");
}

#[test]
fn a_second_connection_does_not_fire_it_again_nor_does_a_reconnect() {
    let world = World::new();
    let pool = pool(&world, 2);
    let [first, _second] = [(); 2].map(|()| world.connect(&pool));
    world.run(first.invalidate());
    let _third = world.connect(&pool);
    assert_eq!(firsts(&world.trace()), 1);
}

#[test]
fn a_recreated_pool_has_a_first_connection_of_its_own_recreated_before_or_after_the_old_ones() {
    let world = World::new();
    let old = pool(&world, 1);
    let before = old.recreate();
    drop(world.connect(&old));
    let after = old.recreate();
    drop(world.connect(&before));
    drop(world.connect(&after));
    assert_eq!(firsts(&world.trace()), 3);
}

#[test]
fn ten_callers_of_a_null_pool_first_connect_once_before_any_of_the_ten_connects() {
    let world = World::new();
    let pool = world.listened::<Null>(|builder| builder);
    world.opens((0..10).map(|_| Script::takes(5)));
    let waiters: Vec<_> = (0..10).map(|_| world.wait(&pool)).collect();
    world.pass(5);
    let leases: Vec<_> = waiters.into_iter().map(|waiter| world.served(waiter)).collect();
    let trace = world.trace();
    assert_eq!((firsts(&trace), trace.matches(", connect").count()), (1, 10));
    assert!(trace.find("first_connect") < trace.find(", connect"));
    assert_eq!(leases.len(), 10);
}

#[test]
fn one_that_fails_rejects_its_caller_terminates_the_connection_and_removes_the_slot() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("first_connect", "no");
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    assert_eq!(world.trace(), "open, first_connect(0), terminate 0");
    assert_eq!((pool.stats().total, pool.counts().checked_in), (0, 0));
}

#[test]
fn one_that_fails_is_tried_again_with_each_connection_once_it_succeeded_never_again() {
    let world = World::new();
    let pool = pool(&world, 1);
    world.listener_fails("first_connect", "no");
    world.listener_fails("first_connect", "no");
    world.refused(&pool);
    world.refused(&pool);
    world.run(world.connect(&pool).invalidate());
    drop(world.connect(&pool));
    assert_eq!(firsts(&world.trace()), 3);
}

#[test]
fn first_connect_comes_before_connect_and_connect_before_checkout() {
    let world = World::new();
    let pool = pool(&world, 2);
    let _first = world.connect(&pool);
    assert_eq!(world.trace(), "open, first_connect(0), connect(0), checkout(0)");
    let _second = world.connect(&pool);
    assert_eq!(world.trace(), "open, connect(1), checkout(1)");
}

type Callers = Rc<RefCell<Vec<Waiter<'static>>>>;

/// Callers whose connections are all open, in a pool of so many: the listener of the first one is polled below.
fn opening(world: &World, pool: &Of<Queue>, callers: usize) -> (Waiter<'static>, Callers) {
    world.opens((0..callers).map(|_| Script::takes(5)));
    let first = world.wait_apart(pool);
    let others = (1..callers).map(|_| world.wait_apart(pool)).collect();
    world.pass(5);
    (first, Rc::new(RefCell::new(others)))
}

/// While the first listener runs, each of these is polled, and waits. Then this happens, once.
fn while_it_runs(world: &World, callers: &Callers, act: impl FnOnce(&mut Vec<Waiter<'static>>) + 'static) {
    let (time, callers, act) = (world.time.clone(), callers.clone(), RefCell::new(Some(act)));
    world.within(move |event| {
        let act = if event == "first_connect" { act.take() } else { None };
        if let Some(act) = act {
            let mut callers = callers.borrow_mut();
            for caller in callers.iter_mut() {
                assert!(time.poll_once(caller.as_mut()).is_pending(), "it is served");
            }
            act(&mut callers);
        }
    });
}

#[test]
fn while_it_runs_no_caller_is_served_then_it_has_run_once_and_connect_for_each_connection() {
    let world = World::new();
    let pool = pool(&world, 3);
    let (first, others) = opening(&world, &pool, 5);
    while_it_runs(&world, &others, |_| ());
    let mut leases = vec![world.served(first)];
    for caller in others.take() {
        if leases.len() == 3 {
            leases.clear();
        }
        leases.push(world.served(caller));
    }
    let trace = world.trace();
    assert!(trace.starts_with("open, open, open, first_connect(0), connect(0), checkout(0), connect(1)"), "{trace}");
    assert_eq!((firsts(&trace), trace.matches(", connect(").count()), (1, 3));
    assert_eq!(pool.stats().checkouts, 5);
}

#[test]
fn when_it_fails_while_others_wait_for_it_the_next_of_them_runs_it_with_its_own_connection() {
    let world = World::new();
    let pool = pool(&world, 3);
    let (mut first, others) = opening(&world, &pool, 3);
    world.listener_fails("first_connect", "first");
    while_it_runs(&world, &others, |_| ());
    let Some(Err(Error::Manager(error))) = world.poll(first.as_mut()) else { panic!("it is not refused") };
    assert_eq!(*error, Failure("first"));
    let numbers: Vec<u32> = others.take().into_iter().map(|caller| world.served(caller).number).collect();
    assert_eq!(numbers, [1, 2]);
    let trace = world.trace();
    assert!(trace.contains("first_connect(0), terminate 0, first_connect(1), connect(1), checkout(1)"), "{trace}");
    assert_eq!((firsts(&trace), world.log.open.get()), (2, 2));
}

#[test]
fn a_caller_that_leaves_while_running_it_is_refused_at_once_and_it_runs_on_for_the_others() {
    let world = World::new();
    let pool = pool(&world, 1);
    // A caller that has waited is not polled while its connection opens, so it can leave.
    world.opens([Script::Takes(5, Box::new(Script::Fails("no route")))]);
    let mut first = world.wait_apart(&pool);
    let others: Callers = Rc::new(RefCell::new(vec![world.wait_apart(&pool), world.wait_apart(&pool)]));
    while_it_runs(&world, &others, |callers| drop(callers.remove(0)));
    world.pass(5);
    assert!(matches!(world.poll(first.as_mut()), Some(Err(Error::Manager(_)))));
    assert_eq!(world.served(others.take().remove(0)).number, 0);
    assert!(world.trace().starts_with("open, open, first_connect(0), connect(0), checkout(0)"));
    assert_eq!(world.log.open.get(), 1);
}

#[test]
fn a_caller_that_leaves_while_waiting_for_it_is_refused_at_once_and_the_opened_connection_is_kept() {
    let world = World::new();
    let pool = pool(&world, 2);
    let (first, others) = opening(&world, &pool, 2);
    while_it_runs(&world, &others, Vec::clear);
    let _lease = world.served(first);
    let trace = world.trace();
    assert!(trace.contains(", connect(1)") && !trace.contains("checkout(1)"), "{trace}");
    let stats = pool.stats();
    assert_eq!((stats.idle, stats.used, stats.opening), (1, 1, 0));
}

#[test]
fn a_waiter_that_is_given_the_connection_of_an_opener_that_left_is_served_at_once() {
    let world = World::new();
    let pool = pool(&world, 2);
    let (first, others) = opening(&world, &pool, 4);
    while_it_runs(&world, &others, |callers| drop(callers.remove(0)));
    let lease = world.served(first);
    let mut waiters = others.take();
    let second = world.served(waiters.remove(0));
    let mut third = waiters.remove(0);
    assert_eq!(second.number, 1);
    assert!(world.waits(&mut third));
    let late = world.wait(&pool);
    drop((lease, second));
    drop((world.served(third), world.served(late)));
}

// Not here: a connection has no record beside it.
// - 085 firstConnect is fired by the first connection, with it and its record =
//     first_connect_is_fired_by_the_first_connection_with_it
// Not here: the listeners of a pool are given to its builder, before its first connection.
// - a listener that is added after the first connection is not called
