//! How the policy's time and memory grow with the number of connections: one act on pools of `n`, driven as the shell
//! drives them, by a driver that always succeeds at once. Called by growth.mjs as `growth ACT N POOLS MODE`; writes
//! `begin` before each act that may take long, and a line of JSON after it. MODE is `time`, `memory` (of all pools at
//! once, and of their acts), or `state` (the same without acts).

use edgepool::policy::{
    Aside, Begin, Condition, Config, LeaseId, Loss, Notice, OperationId, Outcome, Pool, ResetStyle, Return, Settings,
    Span, Step,
};
use std::time::Instant;

const IDLE_TIMEOUT_MS: f64 = 1_000.0;

/// A pool with its host: the timer on a virtual clock, and the number of closes.
struct Host {
    pool: Pool,
    now_ms: f64,
    timer: Option<f64>,
    closes: usize,
}

impl Host {
    fn new(settings: Settings) -> Self {
        let config = Config::new(&settings).expect("the settings are valid");
        Self { pool: Pool::new(config), now_ms: 0.0, timer: None, closes: 0 }
    }

    fn checkout(&mut self) -> LeaseId {
        let lease = match self.pool.begin_checkout(None) {
            Begin::Granted(lease) => Some(lease),
            Begin::Pending(id) => self.run(id),
            Begin::Refused(refusal) => panic!("{refusal:?}"),
        };
        self.settle();
        lease.expect("a place is free")
    }

    fn checkin(&mut self, lease: LeaseId) {
        if let Return::Pending(id) = self.pool.begin_checkin(lease, Condition::Clean) {
            self.run(id);
        }
        self.settle();
    }

    /// Performs the steps of an operation to its end; returns what it was granted.
    fn run(&mut self, id: OperationId) -> Option<LeaseId> {
        let mut step = self.pool.resume(id);
        loop {
            match step {
                Step::Wait | Step::Done => return None,
                Step::Grant(lease) => return Some(lease),
                Step::Reject(refusal) => panic!("{refusal:?}"),
                Step::Close(_) | Step::Terminate(_) => self.closes += 1,
                _ => {}
            }
            step = self.pool.advance(id, Outcome::Ok);
        }
    }

    /// What follows every call: notices, then operations without a caller, then the timer.
    fn settle(&mut self) {
        loop {
            while let Some((_, notice)) = self.pool.take_notice() {
                assert_eq!(notice, Notice::Done, "no caller waits");
            }
            while let Some(aside) = self.pool.take_aside() {
                if let Aside::Spawned(id) = aside {
                    self.run(id);
                }
            }
            if !self.pool.tick_wanted() {
                return;
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.timer = self.pool.tick(self.now_ms).map(|delay_ms| self.now_ms + f64::from(delay_ms));
    }

    fn pass(&mut self, ms: f64) {
        let until = self.now_ms + ms;
        while let Some(due) = self.timer.filter(|&due| due <= until) {
            self.now_ms = due;
            self.tick();
            self.settle();
        }
        self.now_ms = until;
    }
}

/// What is measured, with how many closes must come of it.
struct Act {
    name: &'static str,
    idle_timeout_ms: f64,
    /// Whether `minIdle` keeps all connections.
    keeps_all: bool,
    run: fn(&mut Host, leases: &[LeaseId]),
    /// Whether the leases are returned first.
    returns: bool,
}

const ACTS: [Act; 4] = [
    Act {
        name: "reap",
        idle_timeout_ms: IDLE_TIMEOUT_MS,
        keeps_all: false,
        run: |host, _| host.pass(10.0 * IDLE_TIMEOUT_MS),
        returns: true,
    },
    Act {
        name: "idleDeaths",
        idle_timeout_ms: f64::INFINITY,
        keeps_all: false,
        run: |host, leases| {
            for lease in leases {
                if let Return::Pending(id) = host.pool.connection_died(lease.index(), Loss::None) {
                    host.run(id);
                }
                host.settle();
            }
        },
        returns: true,
    },
    Act {
        name: "minIdle",
        idle_timeout_ms: IDLE_TIMEOUT_MS,
        keeps_all: true,
        run: |host, _| {
            host.pass(2.0 * IDLE_TIMEOUT_MS);
            host.tick();
            host.settle();
        },
        returns: true,
    },
    Act {
        name: "closeWithLeases",
        idle_timeout_ms: f64::INFINITY,
        keeps_all: false,
        run: |host, _| {
            host.pool.begin_close(Span::Millis(0), false);
            host.settle();
        },
        returns: false,
    },
];

impl Act {
    fn prepare(&self, n: usize) -> (Host, Vec<LeaseId>) {
        let mut host = Host::new(Settings {
            pool_size: n as f64,
            max_overflow: 0.0,
            reset_on_return: Some(ResetStyle::None),
            idle_timeout_ms: self.idle_timeout_ms,
            min_idle: if self.keeps_all { n as f64 } else { 0.0 },
            ..Settings::default()
        });
        let leases: Vec<LeaseId> = (0..n).map(|_| host.checkout()).collect();
        if self.returns {
            leases.iter().for_each(|&lease| host.checkin(lease));
        }
        (host, leases)
    }

    /// Runs it; writes how long it took and how many connections were not closed that must be, or the reverse.
    fn measure(&self, n: usize, (host, leases): &mut (Host, Vec<LeaseId>)) {
        println!("begin");
        let start = Instant::now();
        (self.run)(host, leases);
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let kept = if self.keeps_all { n } else { 0 };
        let lost = (n - kept).abs_diff(host.closes).max(kept.abs_diff(host.pool.stats().total as usize));
        println!(r#"{{"ms":{ms},"lost":{lost}}}"#);
    }
}

/// The most memory that this process has had; Linux alone says so.
fn peak_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? * 1024.0)
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, n, pools, mode] = arguments.as_slice() else {
        println!("run it by: npm run bench -- --only=growth");
        return;
    };
    let act = ACTS.iter().find(|act| act.name == name).expect("an act");
    let n: usize = n.parse().expect("a number of connections");
    let pools: usize = pools.parse().expect("a number of pools");
    if mode == "time" {
        for _ in 0..pools {
            act.measure(n, &mut act.prepare(n));
        }
        return;
    }
    let before = peak_bytes();
    let mut prepared: Vec<(Host, Vec<LeaseId>)> = (0..pools).map(|_| act.prepare(n)).collect();
    if mode == "memory" {
        prepared.iter_mut().for_each(|pool| act.measure(n, pool));
    }
    let each = before.zip(peak_bytes()).map(|(before, after)| (after - before) / (n * pools) as f64);
    println!(r#"{{"bytes":{}}}"#, each.map_or("null".into(), |each| each.to_string()));
}
