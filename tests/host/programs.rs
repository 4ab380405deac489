//! Random programs against the pool: callers that come, leave, are dropped at any await; calls that fail, hang or take
//! their time; deaths and ends. Whatever happens, each connection ends once, and nothing is lost.

use crate::fakes::{Call, Connection, Fake, Script, World};
use edgepool::{Error, Lease, LeaseOf, Patience, Pool, PoolKind, ResetStyle, VirtualTime};
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A small generator: the programs are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(bound)) as u32
    }

    fn is_one_in(&mut self, of: u32) -> bool {
        self.below(of) == 0
    }

    fn script(&mut self) -> Script {
        match self.below(12) {
            0 => Script::Fails("failed"),
            1 => Script::Fails("lost"),
            2 => Script::Hangs,
            3 => Script::Dead,
            4 => Script::Fails("refused"),
            5..=8 => Script::Takes(1 + self.below(50), Box::new(Script::Ok)),
            9 => Script::Takes(1 + self.below(50), Box::new(Script::Fails("late"))),
            _ => Script::Ok,
        }
    }
}

type Waiting<'pool, L> = Pin<Box<dyn Future<Output = Result<L, Error<crate::fakes::Failure>>> + 'pool>>;

/// How a program changes a lease that it has alone.
trait Spoil {
    fn spoil(&mut self, random: &mut Random);
}

impl Spoil for Lease<Fake, VirtualTime> {
    fn spoil(&mut self, random: &mut Random) {
        let connection: &mut Connection = self;
        connection.in_transaction = random.is_one_in(2);
        connection.is_busy = random.is_one_in(8);
    }
}

impl Spoil for edgepool::Share<Fake, VirtualTime> {
    fn spoil(&mut self, _: &mut Random) {}
}

fn run<K: PoolKind>(seed: u64)
where
    K::Lease<Fake, VirtualTime>: Spoil,
{
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let world = World::new();
    let mut builder = Pool::<K, Fake, edgepool::DefaultRuntime>::builder(world.manager())
        .open_timeout(Duration::from_millis(40))
        .driver_timeout(Duration::from_millis(30))
        .pre_ping(random.is_one_in(2))
        .reset_on_return([ResetStyle::Rollback, ResetStyle::Session, ResetStyle::None][random.below(3) as usize]);
    if std::any::type_name::<K>().ends_with("::Queue") {
        builder = builder
            .pool_size(1 + random.below(3))
            .max_overflow(random.below(2))
            .timeout(Duration::from_millis(60))
            .idle_timeout(Duration::from_millis(200))
            .use_lifo(random.is_one_in(2))
            .max_uses(3)
            .min(random.below(2));
    }
    if random.is_one_in(3) {
        builder = builder.deadline(Duration::from_millis(45));
    }
    let pool = builder.build_on(world.time.clone()).expect("valid options");
    let mut waiting: Vec<Waiting<'_, K::Lease<Fake, VirtualTime>>> = Vec::new();
    let mut leases = Vec::new();
    for _ in 0..60 {
        for scripts in [&world.log.open_scripts, &world.log.reset_scripts, &world.log.ping_scripts] {
            if random.is_one_in(3) {
                scripts.borrow_mut().push_back(random.script());
            }
        }
        match random.below(12) {
            0..=3 => waiting.push(Box::pin(pool.connect())),
            4 if !waiting.is_empty() => {
                let left = random.below(waiting.len() as u32) as usize;
                drop(waiting.swap_remove(left));
            }
            5 | 6 if !leases.is_empty() => {
                let back = random.below(leases.len() as u32) as usize;
                let mut lease: K::Lease<Fake, VirtualTime> = leases.swap_remove(back);
                lease.spoil(&mut random);
                match random.below(3) {
                    0 => drop(lease),
                    1 => world.poll_and_drop(lease.close()),
                    _ => world.poll_and_drop(lease.close_after(&crate::fakes::Failure("lost"))),
                }
            }
            7 => {
                let count = world.log.watches.borrow().len() as u32;
                if count > 0 {
                    let watch = world.log.watches.borrow()[random.below(count) as usize].clone();
                    watch.died(Some(crate::fakes::Failure("lost")));
                }
            }
            8 => world.pass(u64::from(random.below(100))),
            9 if random.is_one_in(4) => drop(pool.dispose()),
            10 if random.is_one_in(4) => pool.invalidate(),
            11 if random.is_one_in(4) => world.poll_and_drop(pool.warm(2)),
            _ => world.time.run(),
        }
        let mut index = 0;
        while index < waiting.len() {
            if random.is_one_in(3) {
                index += 1;
                continue;
            }
            match world.poll(waiting[index].as_mut()) {
                Some(Ok(lease)) => {
                    leases.push(lease);
                    drop(waiting.swap_remove(index));
                }
                Some(Err(_)) => drop(waiting.swap_remove(index)),
                None => index += 1,
            }
        }
        let stats = pool.stats();
        assert_eq!(stats.total, stats.idle + stats.used + stats.opening + stats.closing, "seed {seed}: {stats:?}");
    }
    let drain = random.is_one_in(2);
    world.poll_and_drop(pool.close_within(Patience { time: Some(Duration::from_millis(20)), drain }));
    if random.is_one_in(2) {
        leases.clear();
        waiting.clear();
    }
    world.pass(10_000);
    drop(waiting);
    drop(leases);
    world.pass(10_000);
    let stats = pool.stats();
    assert_eq!((stats.total, stats.waiting, stats.detached), (0, 0, 0), "seed {seed}: {stats:?}");
    let mut ended = HashSet::new();
    for call in world.log.take() {
        if let Call::Close(number) | Call::Terminate(number) | Call::Dropped(number) = call {
            assert!(ended.insert(number), "seed {seed}: connection {number} ended twice");
        }
        assert!(!matches!(call, Call::Dropped(_)), "seed {seed}: {call:?}");
    }
    assert_eq!(world.log.open.get(), 0, "seed {seed}: connections are left open");
}

#[test]
fn a_queue_pool_loses_nothing() {
    (0..3000).for_each(run::<edgepool::Queue>);
}

#[test]
fn a_null_pool_loses_nothing() {
    (0..1000).for_each(run::<edgepool::Null>);
}

#[test]
fn an_assertion_pool_loses_nothing() {
    (0..1000).for_each(run::<edgepool::Assertion>);
}

#[test]
fn a_static_pool_loses_nothing() {
    (0..1000).for_each(run::<edgepool::Static>);
}

#[test]
fn a_singleton_thread_pool_loses_nothing() {
    (0..1000).for_each(run::<edgepool::Singleton>);
}
