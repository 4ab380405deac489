//! Every fault, at every moment, in every kind of pool. This file owns breadth: each operation of each kind, with and
//! without listeners, with pre-ping and recycle. At each step each way to fail is tried, and at each moment every call
//! that another caller may make: singly, and with listeners in every pair. A run goes well but for its faults;
//! every_step.rs owns longer sequences of failures, for a QueuePool without listeners.
//!
//! After each run each caller was settled once, each connection is closed once or held, and the invariants hold
//! (harness/invariants.rs). The pool still serves, and after its close nothing is left.

use crate::harness::{Connection, Host, Operation, Role, Stage, of_kind, sized};
use edgepool::policy::{Event, Kind, Loss, Outcome, Settings, Span, Step};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What happens in place of the next step's success.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    End(Outcome),
    Abort(Operation),
    Leave(Operation),
    Checkin(Operation),
    Invalidate(Operation),
    Detach(Operation),
    CloseDetached(Operation, bool),
    Lose(Operation),
    CloseRecord(Connection, bool),
    Died(Connection),
    /// The driver can ping, and the others become suspects.
    DiedWithOthers(Connection),
    Soft(Connection),
    Connect,
    ConnectNow,
    Warm,
    Dispose,
    InvalidateAll,
    Close,
    CloseAtOnce,
    Drain,
    Grow,
    Shrink,
    /// Time passes, long enough for every step to expire.
    Wait,
}

fn outcomes(stage: Stage) -> &'static [Outcome] {
    match stage {
        Stage::Late => &[Outcome::LateFailed],
        Stage::Performing(Step::Ping(_)) => &[Outcome::Failed, Outcome::TimedOut, Outcome::Disconnected],
        Stage::Performing(Step::Emit(Event::Checkout, _)) => {
            &[Outcome::Failed, Outcome::TimedOut, Outcome::Disconnected, Outcome::DisconnectedAll]
        }
        Stage::Performing(Step::Detach(_)) => &[],
        Stage::Performing(_) => &[Outcome::Failed, Outcome::TimedOut],
        _ => &[],
    }
}

fn faults(host: &Host, operation: Operation) -> Vec<Fault> {
    let mut faults = vec![Fault::None];
    faults.extend(outcomes(host.stage(operation)).iter().map(|&outcome| Fault::End(outcome)));
    for operation in host.operations() {
        if host.role(operation) == Role::Checkout && !host.is_settled(operation) && host.stage(operation) != Stage::Late
        {
            faults.extend([Fault::Abort(operation), Fault::Leave(operation)]);
        }
        if host.has_lease(operation) {
            faults.extend([
                Fault::Checkin(operation),
                Fault::Invalidate(operation),
                Fault::Lose(operation),
                Fault::Detach(operation),
            ]);
        }
        if host.stage(operation) == Stage::Holding {
            faults.extend([Fault::CloseDetached(operation, false), Fault::CloseDetached(operation, true)]);
        }
    }
    for connection in host.connections().filter(|&connection| host.is_in_a_slot(connection)) {
        faults.extend([Fault::CloseRecord(connection, true), Fault::CloseRecord(connection, false)]);
        faults.extend([Fault::Died(connection), Fault::DiedWithOthers(connection), Fault::Soft(connection)]);
    }
    faults.extend([Fault::Connect, Fault::ConnectNow, Fault::Warm, Fault::Dispose, Fault::InvalidateAll, Fault::Wait]);
    if !host.pool.is_closed() {
        faults.extend([Fault::Close, Fault::CloseAtOnce, Fault::Drain]);
    }
    if host.settings().kind == Some(Kind::Queue) {
        faults.extend([Fault::Grow, Fault::Shrink]);
    }
    faults
}

fn apply(host: &mut Host, operation: Operation, fault: Fault) {
    match fault {
        Fault::None => proceed(host, operation),
        Fault::End(outcome) => host.finish(operation, outcome),
        Fault::Abort(caller) => assert!(host.abort(caller)),
        Fault::Leave(caller) => drop(host.leave(caller, true)),
        Fault::Checkin(caller) => drop(host.checkin(caller, false)),
        Fault::Invalidate(caller) => drop(host.invalidate_at_once(caller)),
        Fault::Detach(caller) => drop(host.detach(caller)),
        Fault::CloseDetached(operation, abrupt) => host.close_detached(operation, false, abrupt),
        Fault::Lose(caller) => drop(host.lose(caller)),
        Fault::CloseRecord(connection, abrupt) => drop(host.close_record(connection, abrupt)),
        Fault::Died(connection) => drop(host.connection_died(connection)),
        Fault::DiedWithOthers(connection) => drop(host.die(connection, Loss::Others, true)),
        Fault::Soft(connection) => host.mark(connection),
        Fault::Connect => drop(host.connect()),
        Fault::ConnectNow => drop(host.connect_now(true)),
        Fault::Warm => drop(host.warm(1)),
        Fault::Dispose => host.dispose(),
        Fault::InvalidateAll => host.invalidate_all(),
        Fault::Close => drop(host.close(Span::Forever)),
        Fault::CloseAtOnce => drop(host.close(Span::Millis(0))),
        Fault::Drain => drop(host.drain(Span::Forever)),
        Fault::Grow => host.resize(2, 1, 0),
        Fault::Shrink => host.resize(1, 0, 0),
        Fault::Wait => host.pass(36_000.0),
    }
}

fn proceed(host: &mut Host, operation: Operation) {
    match host.stage(operation) {
        Stage::Woken => host.wake(operation),
        Stage::Late => host.finish(operation, Outcome::LateOk),
        _ if host.has_expired(operation) => host.finish(operation, Outcome::TimedOut),
        _ => host.finish(operation, Outcome::Ok),
    }
}

/// The operation whose turn it is: the oldest, or in every second program the youngest.
fn next_operation(host: &Host, youngest: bool) -> Option<Operation> {
    let may_move =
        |operation: &Operation| matches!(host.stage(*operation), Stage::Woken | Stage::Performing(_) | Stage::Late);
    if youngest { host.operations().filter(may_move).last() } else { host.operations().find(may_move) }
}

/// More than any program has.
const MOMENTS: usize = 300;

#[derive(Clone, Copy)]
struct Program {
    settings: fn() -> Settings,
    listens: bool,
    youngest: bool,
    begin: fn(&mut Host),
}

/// Runs the program with these faults: the moment of each, and its index among those possible there. Returns how many
/// faults are possible at each moment until `until`.
fn run(program: Program, at: &[(usize, usize)], until: usize, trace: bool) -> Vec<usize> {
    let mut host = Host::new(full(program));
    if program.listens {
        host.listen(&crate::harness::EVENTS);
    }
    (program.begin)(&mut host);
    let mut moments = Vec::new();
    while let Some(operation) = next_operation(&host, program.youngest) {
        let moment = moments.len();
        assert!(moment < MOMENTS, "the program does not end");
        let chosen = at.iter().find(|fault| fault.0 == moment);
        let possible = if chosen.is_some() || moment <= until { faults(&host, operation) } else { Vec::new() };
        let fault = chosen.map_or(Fault::None, |fault| possible[fault.1]);
        moments.push(possible.len());
        if trace {
            println!("  {moment:3} {operation:?} {:?}: {fault:?}", host.step(operation));
        }
        apply(&mut host, operation, fault);
    }
    host.settle_everything();
    let waits =
        host.operations().find(|&operation| host.role(operation) == Role::Checkout && !host.is_settled(operation));
    assert_eq!(waits, None, "a caller waits in vain");
    if !host.pool.is_closed() {
        host.lend();
        host.settle_everything();
        host.close(Span::Forever);
        host.settle_everything();
    }
    host.assert_nothing_is_left();
    moments
}

fn full(program: Program) -> Settings {
    Settings { recycle_ms: 3_600_000.0, pre_ping: Some(program.listens), ..(program.settings)() }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Catches the panics of this thread without output.
fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_QUIET.get() {
                let at = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
                let payload = info.payload();
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_string();
                PLACE.set(format!("{} at {}", text, at.unwrap_or_default()));
            } else {
                hook(info);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(false);
    result.map_err(|_| PLACE.take())
}

/// Runs the program with every single fault, and with every pair of faults that are at most `apart` moments apart.
/// Fails with the smallest program for each place that fails.
fn sweep(name: &str, program: Program, apart: usize) -> usize {
    let mut failures: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    let mut runs = 0;
    let mut attempt = |at: &[(usize, usize)], until: usize| -> Vec<usize> {
        runs += 1;
        match quietly(|| run(program, at, until, false)) {
            Ok(moments) => moments,
            Err(failure) => {
                // One example for each place.
                let key = failure.rsplit_once(" at ").map_or(String::new(), |parts| parts.1.to_string());
                failures.entry(key).or_insert_with(|| at.to_vec());
                Vec::new()
            }
        }
    };
    let moments = attempt(&[], usize::MAX);
    for (first, &count) in moments.iter().enumerate() {
        for fault in 1..count {
            let after = attempt(&[(first, fault)], if apart == 0 { 0 } else { first + apart });
            for (second, &count) in after.iter().enumerate().skip(first + 1).take(apart) {
                for other in 1..count {
                    attempt(&[(first, fault), (second, other)], 0);
                }
            }
        }
    }
    for (failure, at) in &failures {
        println!("{name}: {failure}");
        println!("  then: {:?}", quietly(|| run(program, at, 0, true)).err());
    }
    assert!(failures.is_empty(), "{name}: {} ways to fail", failures.len());
    runs
}

// ---- the kinds

fn queue_1_0() -> Settings {
    sized(1, 0)
}

fn queue_1_1() -> Settings {
    sized(1, 1)
}

fn static_pool() -> Settings {
    of_kind(Kind::Static)
}

fn singleton() -> Settings {
    of_kind(Kind::Singleton)
}

fn assertion() -> Settings {
    of_kind(Kind::Assertion)
}

fn null() -> Settings {
    of_kind(Kind::Null)
}

type NamedKind = (&'static str, fn() -> Settings);

const KINDS: [NamedKind; 6] = [
    ("Queue(1, 0)", queue_1_0),
    ("Queue(1, 1)", queue_1_1),
    ("Static", static_pool),
    ("Singleton", singleton),
    ("Assertion", assertion),
    ("Null", null),
];

fn sweep_kinds(begin: fn(&mut Host)) {
    let mut runs = 0;
    let mut failed = Vec::new();
    for (name, settings) in KINDS {
        for listens in [true, false] {
            for youngest in [false, true] {
                let program = Program { settings, listens, youngest, begin };
                let apart = if listens && !youngest { MOMENTS } else { 0 };
                let name = format!("{name}, listeners: {listens}, youngest first: {youngest}");
                match catch_unwind(|| sweep(&name, program, apart)) {
                    Ok(count) => runs += count,
                    Err(_) => failed.push(name),
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(failed.is_empty(), "{failed:?}");
}

// ---- the operations

/// Lends as many leases as the pool serves at once. Returns the last; one more caller may wait.
fn fill(host: &mut Host) -> Operation {
    let mut last = host.lend();
    while host.settings().kind == Some(Kind::Queue) && f64::from(host.stats().total) < host.stats().max {
        last = host.lend();
    }
    last
}

macro_rules! sweeps {
    ($($name:ident: $begin:expr;)*) => {$(
        #[test]
        fn $name() {
            sweep_kinds($begin);
        }
    )*};
}

sweeps! {
    a_new_connection_survives_every_fault: |host| {
        host.connect();
    };
    two_checkouts_at_once_survive_every_fault: |host| {
        host.connect();
        host.connect();
    };
    a_reused_connection_survives_every_fault: |host| {
        let caller = host.lend();
        host.give_back(caller);
        host.connect();
    };
    a_stale_connection_survives_every_fault: |host| {
        let caller = host.lend();
        host.give_back(caller);
        host.pass(3_700_000.0);
        host.connect();
    };
    an_emptied_slot_survives_every_fault: |host| {
        let caller = host.lend();
        host.invalidate(caller);
        host.run();
        host.connect();
    };
    a_waiter_survives_every_fault: |host| {
        let caller = fill(host);
        host.connect();
        host.checkin(caller, false);
    };
    a_waiter_for_a_stale_connection_survives_every_fault: |host| {
        let caller = fill(host);
        host.invalidate_soft(caller);
        host.connect();
        host.checkin(caller, false);
    };
    a_return_survives_every_fault: |host| {
        let caller = host.lend();
        host.add_finalizer(caller);
        host.checkin(caller, false);
    };
    a_surplus_return_survives_every_fault: |host| {
        let caller = fill(host);
        if let Some(other) = host.operations().find(|&operation| operation != caller && host.has_lease(operation)) {
            host.give_back(other);
        }
        host.checkin(caller, false);
    };
    an_invalidation_survives_every_fault: |host| {
        let caller = fill(host);
        host.connect();
        host.invalidate_at_once(caller);
    };
    a_detach_survives_every_fault: |host| {
        let caller = fill(host);
        host.connect();
        let detached = host.detach(caller);
        host.close_detached(detached, false, false);
    };
    the_close_of_an_idle_record_survives_every_fault: |host| {
        let caller = host.lend();
        let connection = host.connection(caller);
        host.give_back(caller);
        if host.is_in_a_slot(connection) {
            host.close_record(connection, false);
        }
        host.connect();
    };
    the_close_of_a_leased_record_survives_every_fault: |host| {
        let caller = fill(host);
        host.close_record(host.connection(caller), false);
        host.connect();
        host.checkin(caller, false);
    };
    the_invalidation_of_a_leased_record_survives_every_fault: |host| {
        let caller = fill(host);
        host.connect();
        host.close_record(host.connection(caller), true);
    };
    a_lost_lease_survives_every_fault: |host| {
        let caller = fill(host);
        host.lose(caller);
        host.connect_within(Some(Span::Forever), None);
        host.pass(32_000.0);
    };
    a_warm_up_survives_every_fault: |host| {
        host.warm(2);
    };
    a_dispose_survives_every_fault: |host| {
        let (caller, other) = (host.lend(), host.connect());
        host.run();
        if host.has_lease(other) {
            host.give_back(other);
        }
        host.dispose();
        host.connect();
        host.checkin(caller, false);
    };
    a_close_survives_every_fault: |host| {
        let caller = fill(host);
        host.connect();
        host.close(Span::Millis(20_000));
        host.checkin(caller, false);
    };
    the_end_of_a_close_survives_every_fault: |host| {
        fill(host);
        host.connect();
        host.close(Span::Millis(0));
    };
    a_joined_connection_survives_every_fault: |host| {
        let (caller, other) = (host.lend(), host.connect());
        host.run();
        if host.has_lease(other) {
            host.checkin(other, false);
        }
        host.connect();
        host.checkin(caller, false);
    };
}
