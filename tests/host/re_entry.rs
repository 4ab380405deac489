//! Foreign code that calls the pool: managers, listeners, and the drop of a connection.

use crate::fakes::{Call, Failure, Fake, Of, Script, World};
use edgepool::{Error, Lease, Patience, Queue, Runtime, VirtualTime};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

type Out = Rc<RefCell<Vec<Lease<Fake, VirtualTime>>>>;

/// How many acts there are, with those on the leases that are out.
const ACTS: usize = 11;

/// What foreign code does to the pool, or to the leases that are out.
fn act_on(pool: &Of<Queue>, time: &VirtualTime, out: &Out, what: usize) {
    if what < 7 {
        return act(pool, time, what);
    }
    let leases = out.take();
    for lease in leases {
        match what {
            7 => drop(lease),
            8 => {
                let mut ending = Box::pin(lease.invalidate_because(Failure("gone")));
                if time.poll_once(ending.as_mut()).is_pending() {
                    time.spawn(ending);
                }
            }
            9 => drop(lease.detach()),
            _ => {
                out.borrow_mut().push(lease);
                let own = pool.clone();
                let patience = Patience { time: Some(Duration::ZERO), drain: false };
                let mut closing = Box::pin(async move { own.close_within(patience).await });
                if time.poll_once(closing.as_mut()).is_pending() {
                    time.spawn(closing);
                }
            }
        }
    }
}

/// Visits a place of foreign code, with this act in it, and expects the pool to be sound.
fn visit(place: &'static str, what: usize, later: u32) {
    let world = World::new();
    let options = |builder: edgepool::Builder<Queue, Fake>| {
        let builder = builder.pool_size(2).max_overflow(0).driver_timeout(Duration::from_secs(5));
        match place {
            "ping" => builder.pre_ping(true),
            "is_transient" => builder.open_retry(2),
            _ => builder,
        }
    };
    let pool: Of<Queue> = if place == "error" { world.listened(options) } else { world.pool(options) };
    let (out, calls) = (Out::default(), Rc::new(Cell::new(0)));
    let (own, time, leases, count) = (pool.clone(), world.time.clone(), out.clone(), calls.clone());
    let enter = move |now: &'static str| {
        // A place that always asks the pool for a connection would never end.
        if now != place || count.replace(count.get() + 1) >= 3 {
            return;
        }
        if later == 0 {
            return act_on(&own, &time, &leases, what);
        }
        let (own, clock, leases) = (own.clone(), time.clone(), leases.clone());
        time.spawn(Box::pin(async move {
            clock.sleep(later).await;
            act_on(&own, &clock, &leases, what);
        }));
    };
    if place == "error" {
        world.within(enter)
    } else {
        world.in_calls(enter)
    }
    match place {
        "error" => world.resets((0..3).map(|_| Script::Fails("reset"))),
        "is_transient" => world.opens([Script::Fails("refused"), Script::Fails("odd")]),
        _ => world.opens([Script::Ok, Script::takes(10), Script::Ok, Script::takes(10)]),
    }
    world.closes([Script::takes(10), Script::takes(10)]);
    world.cancels([Script::takes(10), Script::Fails("cancel")]);
    let failure = Failure(if place == "cancel" { "alone" } else { "lost" });
    for round in 0..3 {
        for _ in 0..2 {
            if let Ok(mut lease) = world.run(pool.connect()) {
                lease.in_transaction = true;
                lease.is_busy = round == 1;
                out.borrow_mut().push(lease);
            }
        }
        let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(pool.connect())).collect();
        waiters.retain_mut(|waiter| world.poll(waiter.as_mut()).is_none());
        for ends in [0, 1] {
            let lease = out.borrow_mut().pop();
            match lease {
                Some(lease) if ends == round % 2 => world.run(lease.close_after(&failure)),
                Some(lease) if round == 2 => world.run(lease.invalidate()),
                Some(lease) => world.close(lease),
                None => {}
            }
        }
        for waiter in waiters {
            drop(world.run(waiter));
        }
        pool.invalidate();
        if let Ok(lease) = world.run(pool.connect())
            && let Ok(own) = lease.detach()
        {
            world.run(own.close());
        }
        world.run(pool.dispose());
        drop(world.run(pool.connect()));
    }
    let note = format!("act {what} in {place}, after {later} ms");
    world.pass(40_000);
    out.take();
    expect_sound(&world, &pool, &note);
    assert!(calls.get() > 0, "{note}: the place was not visited");
    let mut ended = std::collections::HashSet::new();
    for call in world.log.take() {
        match call {
            Call::Close(number) | Call::Terminate(number) => {
                assert!(ended.insert(number), "{note}: {number} ends twice")
            }
            Call::Dropped(number) => panic!("{note}: {number} was dropped"),
            _ => {}
        }
    }
    assert_eq!(world.time.timers(), 0, "{note}: a timer is left");
    world.log.in_each_call.take();
    world.log.within.take();
}

macro_rules! places {
    ($($name:ident: $($place:literal)*;)*) => {
        $(#[test]
        fn $name() {
            for place in [$($place),*] {
                for what in 0..ACTS {
                    for later in [0, 5] {
                        visit(place, what, later);
                    }
                }
            }
        })*
    };
}

places! {
    whatever_the_creator_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost: "open";
    whatever_rollback_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost: "reset";
    whatever_close_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost: "close";
    whatever_terminate_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost: "terminate";
    whatever_in_transaction_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost: "in_transaction";
    whatever_a_ping_or_a_cancel_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost: "ping" "cancel";
    whatever_a_question_to_the_manager_does_to_the_pool_no_caller_hangs_and_no_slot_is_lost:
        "is_busy" "is_stuck" "is_disconnect" "is_transient";
    whatever_the_listener_of_errors_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost: "error";
}

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
fn a_creator_under_way_may_do_to_the_pool_whatever_it_wants() {
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
fn a_rollback_under_way_may_do_to_the_pool_whatever_it_wants() {
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
            let (own, time, calls) = (pool.clone(), world.time.clone(), Cell::new(0));
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
    let served = Rc::new(Cell::new(false));
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
    let (own, calls) = (pool.clone(), Cell::new(0));
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

#[test]
fn a_waiter_that_is_refused_before_it_resumes_does_not_end_what_reuses_its_operations_place() {
    let world = World::new();
    let pool =
        world.pool::<Queue>(|builder| builder.pool_size(2).max_overflow(0).driver_timeout(Duration::from_millis(50)));
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let woken = [world.wait(&pool), world.wait(&pool)];
    let _ = world.time.poll_once(pin!(first.invalidate()));
    let _ = world.time.poll_once(pin!(second.invalidate()));
    drop(woken);
    world.opens([Script::Hangs, Script::Hangs]);
    let mut callers = [(); 2].map(|()| Box::pin(pool.connect()));
    for caller in &mut callers {
        assert!(world.time.poll_once(caller.as_mut()).is_pending());
    }
    world.time.run();
    world.pass(60);
    for mut caller in callers {
        assert!(matches!(world.poll(caller.as_mut()), Some(Err(Error::Timeout(_)))));
    }
    world.assert_time(60.0);
    expect_sound(&world, &pool, "two that were refused");
}

#[test]
fn pool_close_inside_the_only_checkout_listener_refuses_its_caller_and_ends_the_connection() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    drop(world.connect(&pool));
    let (own, time) = (pool.clone(), world.time.clone());
    world.within(move |event| {
        if event == "checkout" {
            act(&own, &time, 6);
        }
    });
    world.trace();
    assert!(matches!(world.refused(&pool), Error::Closed { .. }));
    let trace = world.trace();
    assert!(trace.starts_with("checkout(0)") && !trace.contains("open"), "{trace}");
    assert_eq!((world.log.open.get(), pool.stats().total), (0, 0));
    world.log.within.take();
}

#[test]
fn what_the_only_checkout_listener_and_a_rollback_ask_of_the_pool_at_once_is_answered_in_its_turn() {
    let world = World::new();
    let pool = world.listened::<Queue>(|builder| builder.pool_size(1).max_overflow(0));
    drop(world.connect(&pool));
    let order = Rc::new(RefCell::new(Vec::new()));
    let ask = |name: &'static str, once: &'static str| {
        let (own, time, order, asked) = (pool.clone(), world.time.clone(), order.clone(), Cell::new(false));
        move |event: &'static str| {
            if event != once || asked.replace(true) {
                return;
            }
            let (own, order, clock) = (own.clone(), order.clone(), time.clone());
            let mut caller = Box::pin(async move {
                let lease = own.connect().await.unwrap();
                order.borrow_mut().push(name);
                lease.close().await;
            });
            assert!(clock.poll_once(caller.as_mut()).is_pending(), "{name} is served at once");
            clock.spawn(caller);
        }
    };
    world.within(ask("waiter", "checkout"));
    world.in_calls(ask("last", "reset"));
    let mut lease = world.connect(&pool);
    assert_eq!(pool.stats().waiting, 1);
    lease.in_transaction = true;
    world.close(lease);
    assert_eq!(order.take(), ["waiter", "last"]);
    assert_eq!((pool.stats().idle, pool.stats().waiting), (1, 0));
    world.log.within.take();
    world.log.in_each_call.take();
}

#[test]
fn pool_close_from_inside_a_close_or_a_terminate_ends_with_the_close_under_way() {
    for call in ["close", "terminate"] {
        let world = World::new();
        let pool = world.queue(3);
        let leases = [(); 3].map(|()| world.connect(&pool));
        let held = if call == "close" {
            drop(leases);
            None
        } else {
            Some(leases)
        };
        world.closes((0..3).map(|_| Script::takes(5)));
        let (own, time, ended) = (pool.clone(), world.time.clone(), Rc::new(RefCell::new(Vec::new())));
        let ends = ended.clone();
        world.in_calls(move |now| {
            if now != call {
                return;
            }
            let (own, clock, ends) = (own.clone(), time.clone(), ends.clone());
            let inner = async move {
                own.close().await;
                ends.borrow_mut().push(clock.now_ms());
            };
            let mut inner = Box::pin(inner);
            if time.poll_once(inner.as_mut()).is_pending() {
                time.spawn(inner);
            }
        });
        world.trace();
        world.run(pool.close_within(Patience { time: Some(Duration::from_secs(1)), drain: false }));
        drop(held);
        world.pass(10);
        let ended_ms = ended.take();
        assert_eq!(ended_ms.len(), 3, "{call}");
        if call == "close" {
            assert_eq!(ended_ms, [5.0; 3]);
        }
        assert_eq!(world.trace(), format!("{call} 0, {call} 1, {call} 2"));
        world.log.in_each_call.take();
    }
}

#[test]
fn a_lease_that_is_detached_inside_the_termination_of_another_is_ended_by_its_holder_once() {
    let world = World::new();
    let pool = world.queue(2);
    let [first, second] = [(); 2].map(|()| world.connect(&pool));
    let (second, detached) = (Cell::new(Some(second)), Rc::new(RefCell::new(None)));
    let own = detached.clone();
    world.in_calls(move |call| {
        if call == "terminate"
            && let Some(lease) = second.take()
        {
            own.replace(lease.detach().ok());
        }
    });
    world.run(first.invalidate());
    let own = detached.take().expect("it was detached");
    world.run(pool.close_within(Patience { time: Some(Duration::ZERO), drain: false }));
    assert!(!world.trace().contains('1'));
    world.run(own.close());
    let trace = world.trace();
    assert_eq!((trace.matches('1').count(), world.log.open.get()), (1, 0), "{trace}");
    world.log.in_each_call.take();
}

#[test]
fn dispose_waits_for_every_close_also_for_those_that_a_re_entering_driver_starts() {
    for what in [0, 1, 3] {
        let world = World::new();
        let pool = world.queue(3);
        let leases = [(); 3].map(|()| world.connect(&pool));
        drop(leases);
        world.closes([Script::takes(5), Script::takes(10), Script::takes(15), Script::takes(15)]);
        let (own, time, has_acted) = (pool.clone(), world.time.clone(), Cell::new(false));
        world.in_calls(move |call| {
            if call == "close" && !has_acted.replace(true) {
                act(&own, &time, what);
            }
        });
        world.trace();
        let mut disposing = pin!(pool.dispose());
        assert!(world.poll(disposing.as_mut()).is_none());
        assert!(world.trace().matches("close").count() >= 3);
        world.pass(14);
        assert!(world.poll(disposing.as_mut()).is_none(), "act {what}");
        world.pass(1);
        assert!(world.poll(disposing).is_some(), "act {what}");
        world.log.in_each_call.take();
        expect_sound(&world, &pool, &format!("act {what}"));
    }
}

thread_local! {
    static ON_WAKE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A task that is woken, and acts.
struct Acts;

impl std::task::Wake for Acts {
    fn wake(self: std::sync::Arc<Self>) {
        if let Some(act) = ON_WAKE.take() {
            act();
        }
    }
}

/// A waiter that is served by a return, an opening or its time-out, while its waker acts. Returns whether it has a
/// connection.
fn woken(way: &str, act: impl FnOnce(&World, &Of<Queue>) -> Box<dyn FnOnce()>) -> (World, Of<Queue>, bool) {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder.pool_size(1).max_overflow(0).timeout(Duration::from_secs(1)).open_timeout(Duration::from_secs(2))
    });
    let lease = world.connect(&pool);
    let mut waiter = Box::pin(pool.connect());
    let waker = std::task::Waker::from(std::sync::Arc::new(Acts));
    assert!(waiter.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    ON_WAKE.set(Some(act(&world, &pool)));
    match way {
        "return" => drop(lease),
        "invalidation" => world.run(lease.invalidate()),
        "time-out" => {
            world.pass(1_100);
            drop(lease);
        }
        _ => {
            let mut closing = pin!(pool.close());
            assert!(world.poll(closing.as_mut()).is_none());
            drop(lease);
            world.run(closing);
        }
    }
    world.time.run();
    assert!(ON_WAKE.take().is_none(), "{way}: it is not woken");
    let is_served = world.run(waiter).is_ok();
    (world, pool, is_served)
}

#[test]
fn whatever_a_waker_does_to_the_pool_no_caller_hangs_and_no_slot_is_lost() {
    for way in ["return", "invalidation", "time-out", "close"] {
        for what in 0..7 {
            let (world, pool, is_served) = woken(way, |world, pool| {
                let (own, time) = (pool.clone(), world.time.clone());
                Box::new(move || act(&own, &time, what))
            });
            // It had its connection, or its refusal, before it was woken.
            assert_eq!(is_served, way == "return" || way == "invalidation", "{way} {what}");
            expect_sound(&world, &pool, &format!("act {what} in a waker, by {way}"));
        }
    }
}

type Next = Rc<RefCell<Option<(&'static str, Box<dyn FnOnce()>)>>>;

/// A runtime that acts in its next call of this name.
#[derive(Clone)]
struct Acting {
    time: VirtualTime,
    next: Next,
}

impl Acting {
    fn enter(&self, call: &'static str) {
        let next = self.next.borrow_mut().take_if(|(name, _)| *name == call);
        if let Some((_, act)) = next {
            act();
        }
    }
}

impl Runtime for Acting {
    type Sleep = <VirtualTime as Runtime>::Sleep;
    type Place = <VirtualTime as Runtime>::Place;

    fn now(&self) -> f64 {
        self.enter("now");
        self.time.now()
    }

    fn sleep(&self, ms: u32) -> Self::Sleep {
        self.enter("sleep");
        self.time.sleep(ms)
    }

    fn spawn(&self, task: edgepool::Task) {
        self.enter("spawn");
        self.time.spawn(task);
    }

    fn place(&self) -> Option<Self::Place> {
        self.time.place()
    }
}

#[test]
fn a_waiter_that_is_served_from_within_the_clock_keeps_nothing_of_the_next_waiters() {
    for call in ["now", "sleep", "spawn"] {
        let world = World::new();
        let runtime = Acting { time: world.time.clone(), next: Rc::default() };
        let pool = edgepool::QueuePool::builder(world.manager())
            .pool_size(1)
            .max_overflow(0)
            .timeout(Duration::from_secs(10))
            .build_on(runtime.clone())
            .unwrap();
        let lease = world.run(pool.connect()).unwrap();
        let next = Rc::new(RefCell::new(None));
        let (own, time, kept) = (pool.clone(), world.time.clone(), next.clone());
        let act = move || {
            drop(lease);
            let mut caller = Box::pin(async move { own.connect().await });
            assert!(time.poll_once(caller.as_mut()).is_pending(), "it is served at once");
            kept.replace(Some(caller));
        };
        runtime.next.replace(Some((call, Box::new(act))));
        let mut waiter = Box::pin(pool.connect());
        let served = match world.poll(waiter.as_mut()) {
            Some(result) => result.unwrap(),
            None => world.poll(waiter.as_mut()).expect(call).unwrap(),
        };
        let mut refused = next.take().expect(call);
        world.pass(11_000);
        assert!(matches!(world.poll(refused.as_mut()), Some(Err(Error::Timeout(_)))), "{call}");
        drop(refused);
        drop(served);
        world.time.run();
        assert_eq!((pool.stats().idle, pool.stats().waiting, world.time.timers()), (1, 0, 0), "{call}");
    }
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

// Not here: a Watch calls nothing. Its report may come from any place of foreign code: see on_disconnect.rs.
// - whatever onDisconnect does to the pool, at once or later, no caller hangs and no slot is lost
// - whatever the end of onDisconnect does to the pool, at once or later, no caller hangs and no slot is lost

// Not here: the Rust host has no log. What it would log is an event.
// - whatever the logger does to the pool, at once or later, no caller hangs and no slot is lost
//   = whatever_the_listener_of_errors_does_to_the_pool_at_once_or_later_no_caller_hangs_and_no_slot_is_lost

// Not here: a close consumes its lease, so no second end of one lease can be written.
// - closing the lease from inside its own rollback does nothing more
// - closing the lease from inside inTransaction does not go round in circles

// Not here: each call of close() has a future of its own.
// - pool.close() from inside a close or a terminate returns the promise of the close under way
//   = pool_close_from_inside_a_close_or_a_terminate_ends_with_the_close_under_way

// Not here: a caller has no signal, and a connection no record. A caller that leaves drops its future.
// - a waiter that is served from within addEventListener() of the signal keeps nothing of the next waiter's
//   = whatever_a_waker_does_to_the_pool_no_caller_hangs_and_no_slot_is_lost
// - a QueuePool opens another connection if the signal ends the record, without prePing
// - a QueuePool opens another connection if the signal ends the record, with prePing
// - a StaticPool opens another connection if the signal ends the record, without prePing
// - a StaticPool opens another connection if the signal ends the record, with prePing
// - a SingletonThreadPool opens another connection if the signal ends the record, without prePing
// - a SingletonThreadPool opens another connection if the signal ends the record, with prePing
// - a AssertionPool opens another connection if the signal ends the record, without prePing
// - a AssertionPool opens another connection if the signal ends the record, with prePing
