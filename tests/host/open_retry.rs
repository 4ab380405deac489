//! `open_retry`: openings that are tried again.

use crate::fakes::{Failure, Of, Script, World};
use edgepool::{Error, Queue, Runtime, Within};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// "refused" is transient, every other word is not.
fn pool(world: &World, retries: Option<u32>) -> Of<Queue> {
    world.listened(|builder| builder.pool_size(1).max_overflow(0).open_retry(retries))
}

fn failures(world: &World, count: usize, word: &'static str) {
    world.opens((0..count).map(|_| Script::Fails(word)));
}

/// Every opening fails until then. Returns how many there were.
fn away_until(world: &World, until_ms: f64) -> Rc<Cell<u32>> {
    let count = Rc::new(Cell::new(0));
    let (own, time, log) = (count.clone(), world.time.clone(), world.log.clone());
    world.in_calls(move |call| {
        if call == "open" {
            own.set(own.get() + 1);
            let answer = if time.now_ms() < until_ms { Script::Fails("refused") } else { Script::Ok };
            log.open_scripts.borrow_mut().push_back(answer);
        }
    });
    count
}

#[test]
fn callers_wait_out_a_server_that_is_away_for_few_attempts() {
    let world = World::new();
    let pool = pool(&world, None);
    failures(&world, 5, "refused");
    let waiters = [world.wait(&pool), world.wait(&pool)];
    for waiter in waiters {
        assert_eq!(world.run(waiter).unwrap().number, 0);
    }
    assert_eq!(world.trace().matches("open,").count(), 6);

    // Many callers, in a pool of five connections, whose server is away for a second and a half.
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(5).max_overflow(0).open_retry(None));
    let away = away_until(&world, 1_500.0);
    let served = Rc::new(Cell::new(0));
    for number in 0..150 {
        let (pool, time, served) = (pool.clone(), world.time.clone(), served.clone());
        world.time.spawn(Box::pin(async move {
            time.sleep(number * 10).await;
            pool.use_with(async |_| Ok::<_, Error<Failure>>(())).await.expect("it is served");
            served.set(served.get() + 1);
        }));
    }
    world.pass(3_600);
    assert_eq!(served.get(), 150);
    assert!((2..20).contains(&away.get()), "{} attempts", away.get());
}

#[test]
fn without_it_each_caller_has_the_error_of_its_own_attempt_at_once() {
    let world = World::new();
    let pool = pool(&world, Some(0));
    failures(&world, 1, "refused");
    assert!(matches!(world.refused(&pool), Error::Manager(_)));
    assert_eq!(world.time.now_ms(), 0.0);
}

#[test]
fn a_pool_with_a_deadline_waits_until_it_unless_open_retry_is_0() {
    for retries in [true, false] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            let builder = builder.deadline(Duration::from_secs(5));
            if retries { builder } else { builder.open_retry(0) }
        });
        failures(&world, 2, "refused");
        assert_eq!(world.run(pool.connect()).is_ok(), retries);
    }
}

#[test]
fn a_caller_whose_time_ends_gets_a_time_out_with_the_last_error_as_its_cause() {
    let second = Duration::from_secs(1);
    let own = |timeout, deadline| Within { timeout, deadline, priority: 0 };
    for (pools, within, option) in [
        (None, own(Some(second), None), "timeout"),
        (Some(second), Within::default(), "timeout"),
        (None, own(None, Some(second)), "deadline"),
    ] {
        let world = World::new();
        let pool = world.pool::<Queue>(|builder| {
            builder.pool_size(5).max_overflow(0).open_retry(None).timeout(pools.unwrap_or(Duration::from_secs(10)))
        });
        failures(&world, 1_000, "refused");
        let mut callers: Vec<_> = (0..7).map(|_| Box::pin(pool.connect_within(within))).collect();
        for caller in &mut callers {
            assert!(world.poll(caller.as_mut()).is_none());
        }
        world.pass(999);
        for caller in &mut callers {
            assert!(world.poll(caller.as_mut()).is_none());
        }
        world.pass(22);
        for mut caller in callers {
            let Some(Err(Error::Timeout(timeout))) = world.poll(caller.as_mut()) else { panic!("not a time-out") };
            assert_eq!((timeout.option, timeout.timeout_ms), (option, 1_000.0));
            assert_eq!(timeout.cause.as_ref().map(|cause| cause.0), Some("refused"));
            assert!(timeout.to_string().contains(&format!("1000 ms ({option})")), "{timeout}");
            let error: &dyn std::error::Error = &Error::Timeout(timeout);
            assert_eq!(error.source().map(ToString::to_string), Some("refused".into()));
        }
        world.run(pool.close());
        assert_eq!((pool.stats().total, pool.stats().waiting), (0, 0));
    }
}

#[test]
fn an_error_that_does_not_pass_refuses_its_caller_at_once_and_the_others_without_attempts() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.pool_size(5).max_overflow(0).open_retry(None));
    failures(&world, 1_000, "no such database");
    for _ in 0..500 {
        let from_ms = world.time.now_ms();
        assert!(matches!(world.refused(&pool), Error::Manager(error) if error.0 == "no such database"));
        assert!(world.time.now_ms() <= from_ms + 10.0);
        world.pass(10);
    }
    let attempts = world.trace().matches("open").count();
    assert!((5..=130).contains(&attempts), "{attempts} attempts");
}

#[test]
fn a_count_bounds_the_retries_in_a_row() {
    let world = World::new();
    let pool = pool(&world, Some(2));
    failures(&world, 10, "refused");
    assert!(matches!(world.refused(&pool), Error::Manager(error) if error.0 == "refused"));
    assert_eq!(world.trace().matches("open").count(), 3);
}

#[test]
fn a_caller_that_waits_for_an_attempt_may_abort_and_close_refuses_it() {
    let world = World::new();
    let pool = pool(&world, None);
    failures(&world, 1_000, "refused");
    let leaving = world.wait(&pool);
    let mut refused = world.wait(&pool);
    world.pass(20);
    drop(leaving);
    world.run(pool.close());
    assert!(matches!(world.poll(refused.as_mut()), Some(Err(Error::Closed { .. }))));
    assert_eq!((pool.stats().opening, pool.stats().waiting, pool.stats().total), (0, 0, 0));
    assert_eq!(world.time.timers(), 0);
    world.pass(100_000);
    assert_eq!((pool.stats().total, world.time.timers()), (0, 0));
}

#[test]
fn timeout_0_waits_for_no_attempt() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.open_retry(None).timeout(Duration::ZERO));
    failures(&world, 10, "refused");
    let mut results = [(); 2].map(|()| world.poll(pin!(pool.connect())).expect("at once"));
    assert!(matches!(&mut results[0], Err(Error::Manager(error)) if error.0 == "refused"));
    let [_, Err(second)] = results else { panic!("it has opened") };
    let source: &dyn std::error::Error = &second;
    assert_eq!(source.source().map(ToString::to_string), Some("refused".into()));
    assert_eq!(world.trace(), "open");
}

#[test]
fn warm_rejects_with_the_error_and_opens_nothing_while_attempts_pause() {
    let world = World::new();
    let pool = pool(&world, None);
    failures(&world, 1_000, "refused");
    for attempts in [1, 0] {
        let Err(Error::Manager(error)) = world.run(pool.warm(1)) else { panic!("it has opened") };
        assert_eq!((error.0, world.trace().matches("open").count()), ("refused", attempts));
    }
}

#[test]
fn an_idle_connection_is_lent_without_a_clock_as_in_every_pool() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| builder.open_retry(None));
    drop(world.connect(&pool));
    let readings = world.time.readings();
    drop(world.connect(&pool));
    assert_eq!(world.time.readings(), readings);
}

#[test]
fn the_manager_says_which_errors_pass() {
    for (word, passes) in [("refused", true), ("no such database", false)] {
        let world = World::new();
        let pool = pool(&world, None);
        failures(&world, 2, word);
        assert_eq!(world.run(pool.connect()).is_ok(), passes);
        assert_eq!(world.trace().matches("open").count(), if passes { 3 } else { 1 });
    }
}

/// Fails at first. It says of no error that it passes.
#[derive(Default)]
struct Plain(Cell<u32>);

impl edgepool::Manager for Plain {
    type Connection = ();
    type Error = Failure;

    async fn open(&self, _: edgepool::Watch<Self>) -> Result<(), Failure> {
        let number = self.0.replace(self.0.get() + 1);
        if number == 0 { Err(Failure("refused")) } else { Ok(()) }
    }
}

#[test]
fn a_manager_that_says_nothing_of_its_errors_has_none_that_pass() {
    let world = World::new();
    let pool = edgepool::QueuePool::builder(Plain::default()).open_retry(None).build_on(world.time.clone()).unwrap();
    assert!(matches!(world.run(pool.connect()), Err(Error::Manager(_))));
    assert_eq!(pool.manager().0.get(), 1);
}

#[test]
fn an_opening_that_takes_too_long_is_tried_again() {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(1).max_overflow(0).open_retry(None).open_timeout(Duration::from_millis(500))
    });
    world.opens([Script::Hangs, Script::takes(700), Script::takes(300)]);
    let lease = world.connect(&pool);
    assert!(world.time.now_ms() >= 1_300.0);
    world.pass(5_000);
    assert_eq!((lease.number, world.log.open.get(), world.trace().as_str()), (0, 1, "open, open, open"));
    // What was given up was dropped before the next began.
    assert_eq!((world.log.most_opening.get(), pool.stats().opened), (1, 1));
}

// Not here: without retries is 0, since the option is a number.
// - a pool with a deadline waits until it, unless openRetry is false
//   = a_pool_with_a_deadline_waits_until_it_unless_open_retry_is_0

// Not here: there is no dialect beside the manager, which has errors of its own, and none with codes of Node.
// - the dialect says which errors pass = the_manager_says_which_errors_pass
// - without a dialect: the codes of the network, of a server that starts, and of one that is full
//   = a_manager_that_says_nothing_of_its_errors_has_none_that_pass

// Not here: an opening that takes too long is dropped, so it opens nothing later.
// - an opening that takes too long is tried again, and what it opens later is closed
//   = an_opening_that_takes_too_long_is_tried_again

// Not here: the Rust host has no log.
// - a failure that is tried again is logged as a warning
