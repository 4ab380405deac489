//! Each operation is dropped at every await point, while each call into the manager fails, never answers or is late.
//! Whatever happens, no slot is lost, each connection ends once, and no caller waits for ever.

use crate::fakes::{Call, Failure, Fake, Of, Script, World};
use edgepool::{
    Assertion, Error, Lease, Null, Patience, PoolKind, Queue, ResetStyle, Share, Singleton, Sizes, Static, VirtualTime,
};
use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Connect,
    /// A second caller of the same moment is there, and is not dropped.
    ConnectBeside,
    Close,
    CloseReset,
    CloseAfterLoss,
    Invalidate,
    Detach,
    DetachAndInvalidate,
    Use,
    UseThatFails,
    Warm,
    Dispose,
    ClosePool,
    Drain,
    Resize,
}

const ACTS: [Act; 15] = [
    Act::Connect,
    Act::ConnectBeside,
    Act::Close,
    Act::CloseReset,
    Act::CloseAfterLoss,
    Act::Invalidate,
    Act::Detach,
    Act::DetachAndInvalidate,
    Act::Use,
    Act::UseThatFails,
    Act::Warm,
    Act::Dispose,
    Act::ClosePool,
    Act::Drain,
    Act::Resize,
];

const STEPS: [&str; 5] = ["open", "reset", "ping", "close", "cancel"];

fn scripts() -> [Script; 6] {
    [
        Script::Ok,
        Script::takes(5),
        Script::Fails("failed"),
        Script::Takes(5, Box::new(Script::Fails("lost"))),
        Script::Hangs,
        // After the time of any call.
        Script::takes(500),
    ]
}

/// What differs between leases and shares.
trait Held: Sized {
    async fn invalidate(self);
    async fn detach(self, then_invalidates: bool);
    fn spoil(&mut self);
    async fn close_reset(self);
    async fn close_after(self, error: &Failure);
}

impl Held for Lease<Fake, VirtualTime> {
    async fn invalidate(self) {
        Self::invalidate(self).await;
    }

    async fn detach(self, then_invalidates: bool) {
        let Ok(own) = Self::detach(self) else { return };
        if then_invalidates { own.invalidate().await } else { own.close().await }
    }

    fn spoil(&mut self) {
        self.in_transaction = true;
        self.is_busy = self.number % 2 == 1;
    }

    async fn close_reset(self) {
        Self::close_reset(self).await;
    }

    async fn close_after(self, error: &Failure) {
        Self::close_after(self, error).await;
    }
}

impl Held for Share<Fake, VirtualTime> {
    async fn invalidate(self) {
        Self::invalidate(self).await;
    }

    async fn detach(self, _: bool) {
        Self::close(self).await;
    }

    fn spoil(&mut self) {}

    async fn close_reset(self) {
        Self::close_reset(self).await;
    }

    async fn close_after(self, error: &Failure) {
        Self::close_after(self, error).await;
    }
}

fn begin<'a, K: PoolKind>(act: Act, pool: &'a Of<K>, lease: Option<K::Lease<Fake, VirtualTime>>) -> Running<'a>
where
    K::Lease<Fake, VirtualTime>: Held,
{
    let patience = |drain| Patience { time: Some(Duration::from_millis(60)), drain };
    Box::pin(async move {
        match (act, lease) {
            (Act::Close, Some(lease)) => edgepool::LeaseOf::close(lease).await,
            (Act::CloseReset, Some(lease)) => Held::close_reset(lease).await,
            (Act::CloseAfterLoss, Some(lease)) => Held::close_after(lease, &Failure("lost")).await,
            (Act::Invalidate, Some(lease)) => Held::invalidate(lease).await,
            (Act::Detach | Act::DetachAndInvalidate, Some(lease)) => {
                lease.detach(act == Act::DetachAndInvalidate).await;
            }
            (Act::Use, _) => drop(pool.use_with(async |_| Ok::<_, Error<Failure>>(())).await),
            (Act::UseThatFails, _) => {
                let lost = Error::Manager(std::rc::Rc::new(Failure("lost")));
                drop(pool.use_with(async |_| Err::<(), _>(lost)).await);
            }
            (Act::Warm, _) => drop(pool.warm(4).await),
            (Act::Dispose, _) => pool.dispose().await,
            (Act::ClosePool, _) => pool.close_within(patience(false)).await,
            (Act::Drain, _) => pool.close_within(patience(true)).await,
            (Act::Resize, _) => drop(pool.resize(Sizes { pool_size: Some(1.0), ..Sizes::default() })),
            _ => drop(pool.connect().await),
        }
    })
}

/// Runs one case. Returns whether the operation had ended before it was to be dropped.
fn run<K: PoolKind>(act: Act, step: &str, script: &Script, listens: bool, waits: bool, drop_at: u32) -> bool
where
    K::Lease<Fake, VirtualTime>: Held,
{
    let name = format!("{act:?}, {step} {script:?}, listens {listens}, waits {waits}, dropped at {drop_at}");
    let world = World::new();
    let is_queue = K::KIND == Queue::KIND;
    // There must be something to warm.
    let waits = waits && act != Act::Warm;
    let options = |builder: edgepool::Builder<K, Fake>| {
        let builder = builder
            .open_timeout(Duration::from_millis(40))
            .driver_timeout(Duration::from_millis(30))
            .return_timeout(Duration::from_millis(20))
            .ping_timeout(Duration::from_millis(20))
            .pre_ping(true)
            .reset_on_return(if listens { ResetStyle::Rollback } else { ResetStyle::Session });
        if is_queue {
            builder.pool_size(if act == Act::Warm { 4 } else { 2 }).max_overflow(0).timeout(Duration::from_millis(300))
        } else {
            builder
        }
    };
    let pool: Of<K> = if listens { world.listened(options) } else { world.pool(options) };
    // One connection is out; of a queue pool another one is idle.
    let mut lease = world.connect(&pool);
    if is_queue && !waits {
        world.close(world.connect(&pool));
    }
    let mut kept = if is_queue && waits { Some(world.connect(&pool)) } else { None };
    lease.spoil();
    let scripts = match step {
        "open" => &world.log.open_scripts,
        "reset" => &world.log.reset_scripts,
        "ping" => &world.log.ping_scripts,
        "close" => &world.log.close_scripts,
        _ => &world.log.cancel_scripts,
    };
    scripts.borrow_mut().push_back(script.clone());
    let takes_lease = matches!(
        act,
        Act::Close | Act::CloseReset | Act::CloseAfterLoss | Act::Invalidate | Act::Detach | Act::DetachAndInvalidate
    );
    let mut out = Some(lease);
    if K::KIND == Assertion::KIND && !takes_lease {
        out = None;
        world.time.run();
    }
    let given = if takes_lease { out.take() } else { None };
    let mut waiter = (waits && is_queue).then(|| world.wait(&pool));
    let mut beside: Option<Running<'_>> =
        (act == Act::ConnectBeside).then(|| Box::pin(async { drop(pool.connect().await) }) as Running<'_>);
    let mut running = Some(begin::<K>(act, &pool, given));
    let mut has_ended = false;
    for _ in 0..drop_at {
        if let Some(future) = &mut running
            && world.poll(future.as_mut()).is_some()
        {
            running = None;
            has_ended = true;
            break;
        }
        if let Some(future) = &mut beside
            && world.poll(future.as_mut()).is_some()
        {
            beside = None;
        }
        // The lease of before comes back meanwhile.
        if world.time.now_ms() > 12.0 {
            drop(out.take());
        }
        world.time.step();
    }
    drop(running);
    drop(out);
    drop(kept.take());
    if let Some(future) = beside {
        assert!(world.time.run_until(future).is_some(), "{name}: a caller waits for ever");
    }
    if let Some(waiter) = &mut waiter {
        assert!(world.time.run_until(waiter.as_mut()).is_some(), "{name}: a waiter waits for ever");
    }
    drop(waiter);
    expect_sound(&world, &pool, &name);
    has_ended
}

fn expect_sound<K: PoolKind>(world: &World, pool: &Of<K>, name: &str) {
    world.pass(2_000);
    let stats = pool.stats();
    assert_eq!(stats.total, stats.idle, "{name}: {stats:?}");
    assert_eq!((stats.waiting, stats.detached), (0, 0), "{name}: {stats:?}");
    assert_eq!(world.log.open.get(), stats.idle, "{name}: a connection is left open");
    for scripts in
        [&world.log.open_scripts, &world.log.reset_scripts, &world.log.ping_scripts, &world.log.close_scripts]
    {
        scripts.borrow_mut().clear();
    }
    if !pool.is_closed() {
        // Each slot still serves.
        let count = if K::KIND == Queue::KIND { stats.max as u32 } else { 1 };
        let leases: Vec<_> = (0..count).map(|_| world.connect(pool)).collect();
        drop(leases);
        world.run(pool.close());
    }
    let stats = pool.stats();
    assert_eq!((stats.total, world.log.open.get()), (0, 0), "{name}: {stats:?}");
    let mut ended = HashSet::new();
    for call in world.log.take() {
        match call {
            Call::Close(number) | Call::Terminate(number) => {
                assert!(ended.insert(number), "{name}: connection {number} ended twice");
            }
            // The close of a manager that was dropped with its connection in it.
            Call::Dropped(number) => panic!("{name}: connection {number} was dropped"),
            _ => {}
        }
    }
    world.pass(100);
    assert_eq!(world.time.timers(), 0, "{name}: a timer is left");
}

fn sweep<K: PoolKind>(acts: &[Act])
where
    K::Lease<Fake, VirtualTime>: Held,
{
    for &act in acts {
        for step in STEPS {
            for script in scripts() {
                for listens in [false, true] {
                    for waits in [false, true] {
                        // 0: never polled. Until it ends by itself.
                        let ends = (0..200).find(|&drop_at| run::<K>(act, step, &script, listens, waits, drop_at));
                        assert!(ends.is_some(), "{act:?}, {step} {script:?}: it never ends");
                    }
                }
            }
        }
    }
}

#[test]
fn every_operation_of_a_queue_pool_may_be_dropped_at_every_await() {
    sweep::<Queue>(&ACTS);
}

#[test]
fn every_operation_of_a_null_pool_may_be_dropped_at_every_await() {
    let acts: Vec<Act> = ACTS.into_iter().filter(|&act| !matches!(act, Act::Warm | Act::Resize)).collect();
    sweep::<Null>(&acts);
}

#[test]
fn every_operation_of_an_assertion_pool_may_be_dropped_at_every_await() {
    let acts: Vec<Act> = ACTS.into_iter().filter(|&act| !matches!(act, Act::Warm | Act::Resize)).collect();
    sweep::<Assertion>(&acts);
}

#[test]
fn every_operation_of_a_static_pool_may_be_dropped_at_every_await() {
    let acts: Vec<Act> = ACTS.into_iter().filter(|&act| !matches!(act, Act::Warm | Act::Resize)).collect();
    sweep::<Static>(&acts);
}

#[test]
fn every_operation_of_a_singleton_thread_pool_may_be_dropped_at_every_await() {
    let acts: Vec<Act> = ACTS.into_iter().filter(|&act| !matches!(act, Act::Warm | Act::Resize)).collect();
    sweep::<Singleton>(&acts);
}

// ---- what comes between an opening and its end

/// Two callers of a pool of one connection; this happens while the first one's connection opens.
fn between(script: Script, what: &str) {
    let world = World::new();
    let pool = world.pool::<Queue>(|builder| {
        builder
            .pool_size(1)
            .max_overflow(0)
            .timeout(Duration::from_millis(300))
            .driver_timeout(Duration::from_millis(40))
    });
    world.opens([script]);
    let mut first: Option<Running<'_>> = Some(Box::pin(async { drop(pool.connect().await) }));
    let mut second: Running<'_> = Box::pin(async { drop(pool.connect().await) });
    if let Some(future) = &mut first
        && world.time.poll_once(future.as_mut()).is_ready()
    {
        first = None;
    }
    let mut has_second = world.time.poll_once(second.as_mut()).is_ready();
    match what {
        "abort" => drop(first.take()),
        "dispose" => drop(pool.dispose()),
        "close" => world.poll_and_drop(pool.close()),
        "invalidate" => pool.invalidate(),
        _ => {}
    }
    if let Some(future) = first {
        assert!(world.time.run_until(future).is_some(), "the first caller waits for ever");
    }
    if !has_second {
        has_second = world.time.run_until(second).is_some();
    }
    assert!(has_second, "the second caller waits for ever");
    expect_sound(&world, &pool, what);
}

macro_rules! openings {
    ($($name:ident: $script:expr, $what:literal;)*) => {
        $(#[test]
        fn $name() {
            between($script, $what);
        })*
    };
}

openings! {
    an_opening_that_succeeds_at_once_with_none_between_all_is_sound: Script::Ok, "none";
    an_opening_that_succeeds_at_once_with_abort_between_all_is_sound: Script::Ok, "abort";
    an_opening_that_succeeds_at_once_with_dispose_between_all_is_sound: Script::Ok, "dispose";
    an_opening_that_succeeds_at_once_with_pool_close_between_all_is_sound: Script::Ok, "close";
    an_opening_that_succeeds_at_once_with_invalidate_all_between_all_is_sound: Script::Ok, "invalidate";
    an_opening_that_succeeds_later_with_none_between_all_is_sound: Script::takes(5), "none";
    an_opening_that_succeeds_later_with_abort_between_all_is_sound: Script::takes(5), "abort";
    an_opening_that_succeeds_later_with_dispose_between_all_is_sound: Script::takes(5), "dispose";
    an_opening_that_succeeds_later_with_pool_close_between_all_is_sound: Script::takes(5), "close";
    an_opening_that_succeeds_later_with_invalidate_all_between_all_is_sound: Script::takes(5), "invalidate";
    an_opening_that_throws_with_none_between_all_is_sound: Script::Fails("no route"), "none";
    an_opening_that_throws_with_abort_between_all_is_sound: Script::Fails("no route"), "abort";
    an_opening_that_throws_with_dispose_between_all_is_sound: Script::Fails("no route"), "dispose";
    an_opening_that_throws_with_pool_close_between_all_is_sound: Script::Fails("no route"), "close";
    an_opening_that_throws_with_invalidate_all_between_all_is_sound: Script::Fails("no route"), "invalidate";
    an_opening_that_rejects_with_none_between_all_is_sound: late_failure(), "none";
    an_opening_that_rejects_with_abort_between_all_is_sound: late_failure(), "abort";
    an_opening_that_rejects_with_dispose_between_all_is_sound: late_failure(), "dispose";
    an_opening_that_rejects_with_pool_close_between_all_is_sound: late_failure(), "close";
    an_opening_that_rejects_with_invalidate_all_between_all_is_sound: late_failure(), "invalidate";
    an_opening_that_never_settles_with_none_between_all_is_sound: Script::Hangs, "none";
    an_opening_that_never_settles_with_abort_between_all_is_sound: Script::Hangs, "abort";
    an_opening_that_never_settles_with_dispose_between_all_is_sound: Script::Hangs, "dispose";
    an_opening_that_never_settles_with_pool_close_between_all_is_sound: Script::Hangs, "close";
    an_opening_that_never_settles_with_invalidate_all_between_all_is_sound: Script::Hangs, "invalidate";
    an_opening_that_settles_late_with_none_between_all_is_sound: Script::takes(80), "none";
    an_opening_that_settles_late_with_abort_between_all_is_sound: Script::takes(80), "abort";
    an_opening_that_settles_late_with_dispose_between_all_is_sound: Script::takes(80), "dispose";
    an_opening_that_settles_late_with_pool_close_between_all_is_sound: Script::takes(80), "close";
    an_opening_that_settles_late_with_invalidate_all_between_all_is_sound: Script::takes(80), "invalidate";
}

fn late_failure() -> Script {
    Script::Takes(5, Box::new(Script::Fails("no route")))
}

// Not here: a close consumes its lease, so there is no second one. A close whose future is dropped is swept above.
// - an opening that succeeds at once, with a second close of every lease between: all is sound
// - an opening that succeeds later, with a second close of every lease between: all is sound
// - an opening that throws, with a second close of every lease between: all is sound
// - an opening that rejects, with a second close of every lease between: all is sound
// - an opening that never settles, with a second close of every lease between: all is sound
// - an opening that settles late, with a second close of every lease between: all is sound
