//! The tables of the policy: for each operation each state, each outcome of its step, and the next state. Real pools
//! are driven into every state, once with listeners of every event and once with none. The result is compared with
//! state_tables.md.
//!
//! `UPDATE=1 cargo test --test policy state_tables` writes that file. Its diff is what a change of the policy means.
//!
//! A state is named after the step that it performs. If several states perform the same step, each name adds what
//! failed on the shortest way there. Two states with the same ways out are one.

use crate::harness::{Connection, EVENTS, Host, Operation, Role, Stage, of_kind, sized};
use edgepool::policy::{Condition, Event, Kind, Outcome, ResetStyle, Settings, Span, Step};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

#[derive(Clone, Copy, PartialEq)]
enum Choice {
    End(Outcome),
    /// Any outcome: all of them lead to the same step.
    Any,
    Abort,
    /// The caller cannot wait for the end of the step.
    Leave,
}

impl Choice {
    const fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Abort => "caller leaves",
            Self::Leave => "caller cannot wait",
            Self::End(Outcome::Ok) => "ok",
            Self::End(Outcome::Failed) => "failed",
            Self::End(Outcome::TimedOut) => "timed out",
            Self::End(Outcome::LateOk) => "late ok",
            Self::End(Outcome::LateFailed) => "late failed",
            Self::End(Outcome::Unavailable) => "unavailable",
            Self::End(Outcome::Disconnected) => "disconnected",
            Self::End(Outcome::DisconnectedAll) => "disconnected, all",
            Self::End(Outcome::StillOpen) => "still open",
        }
    }

    fn apply(self, host: &mut Host, operation: Operation) {
        match self {
            Self::Any => host.finish(operation, Outcome::Ok),
            Self::End(outcome) => host.finish(operation, outcome),
            Self::Abort => assert!(host.abort(operation)),
            Self::Leave => drop(host.leave(operation, false)),
        }
    }
}

struct Case {
    name: &'static str,
    settings: Settings,
    begin: fn(&mut Host) -> Operation,
}

/// A state, or an end, which has no ways out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    name: String,
    ways: Vec<(&'static str, usize)>,
}

struct Explorer<'a> {
    case: &'a Case,
    listens: bool,
    states: Vec<State>,
    known: BTreeMap<State, usize>,
}

impl Explorer<'_> {
    /// Returns also whether the caller was settled before the last choice.
    fn drive(&self, way: &[Choice]) -> (Host, Operation, bool) {
        let mut host = Host::new(self.case.settings.clone());
        if self.listens {
            host.listen(&EVENTS);
        }
        let operation = (self.case.begin)(&mut host);
        let mut was_settled = false;
        for choice in way {
            was_settled = host.is_settled(operation);
            choice.apply(&mut host, operation);
        }
        if host.has_ended(operation) {
            host.run();
        }
        (host, operation, was_settled)
    }

    fn nexts(&self, way: &[Choice], outcomes: &[Outcome]) -> Vec<String> {
        let next = |&outcome: &Outcome| {
            let (host, operation, was_settled) = self.drive(&[way, &[Choice::End(outcome)]].concat());
            name(&host, operation, was_settled)
        };
        outcomes.iter().map(next).collect()
    }

    fn explore(&mut self, way: &mut Vec<Choice>) -> usize {
        let (host, operation, was_settled) = self.drive(way);
        let name = name(&host, operation, was_settled);
        let choices = choices(&host, operation);
        let mut ways = Vec::new();
        for choice in choices {
            if choice == Choice::Any {
                let found = self.nexts(way, &[Outcome::Ok, Outcome::Failed, Outcome::TimedOut]);
                assert!(found.iter().all(|next| *next == found[0]), "{name} is not indifferent: {found:?}");
            }
            way.push(choice);
            ways.push((choice.word(), self.explore(way)));
            way.pop();
        }
        let state = State { name, ways };
        if let Some(&known) = self.known.get(&state) {
            return known;
        }
        self.known.insert(state.clone(), self.states.len());
        self.states.push(state);
        self.states.len() - 1
    }

    /// Returns distinct names for the states, from the first on.
    fn names(&self, first: usize) -> (Vec<usize>, BTreeMap<usize, String>) {
        let mut order = Vec::new();
        let mut wrongs: BTreeMap<usize, Vec<String>> = BTreeMap::from([(first, Vec::new())]);
        let mut queue = VecDeque::from([first]);
        while let Some(at) = queue.pop_front() {
            order.push(at);
            let state = &self.states[at];
            for &(word, next) in &state.ways {
                if wrongs.contains_key(&next) {
                    continue;
                }
                let mut wrong = wrongs[&at].clone();
                if !["ok", "any", "caller leaves", "caller cannot wait", "late ok"].contains(&word) {
                    wrong.push(format!("{} {word}", short(&state.name)));
                }
                wrongs.insert(next, wrong);
                queue.push_back(next);
            }
        }
        let mut names: BTreeMap<usize, String> = BTreeMap::new();
        for &at in &order {
            let name = &self.states[at].name;
            let is_alone = order.iter().filter(|&&other| self.states[other].name == *name).count() == 1;
            let is_plain = is_alone || wrongs[&at].is_empty() || self.states[at].ways.is_empty();
            let name = if is_plain { name.clone() } else { format!("{name}, after {}", wrongs[&at].join(", ")) };
            let namesakes = names.values().filter(|other| other.starts_with(&name)).count();
            names.insert(at, if namesakes == 0 { name } else { format!("{name} ({})", namesakes + 1) });
        }
        (order, names)
    }
}

/// The step alone, without ", after …"; for an emission the name of the event.
fn short(name: &str) -> &str {
    let step = name.split_once(',').map_or(name, |parts| parts.0);
    step.strip_prefix("Emit(").map_or(step, |event| event.trim_end_matches(')'))
}

fn name(host: &Host, operation: Operation, was_settled: bool) -> String {
    let is_left = host.role(operation) == Role::Checkout && host.is_settled(operation);
    let left = if is_left { ", for nobody" } else { "" };
    match host.stage(operation) {
        Stage::Performing(step) => format!("{}{left}", step_name(step)),
        Stage::Late => "Open, abandoned".to_string(),
        Stage::Ended => end_name(host, operation, was_settled),
        stage => format!("{stage:?}"),
    }
}

fn step_name(step: Step) -> String {
    match step {
        Step::Open(_) => "Open".to_string(),
        Step::Ping(_) => "Ping".to_string(),
        Step::Rollback(_) => "Rollback".to_string(),
        Step::Commit(_) => "Commit".to_string(),
        Step::ResetSession(_) => "ResetSession".to_string(),
        Step::Cancel(_) => "Cancel".to_string(),
        Step::Finalize(_) => "Finalize".to_string(),
        Step::Close(_) => "Close".to_string(),
        Step::Terminate(_) => "Terminate".to_string(),
        Step::Detach(_) => "Detach".to_string(),
        Step::Emit(event, _) => format!("Emit({event:?})"),
        step => panic!("{step:?} is not performed"),
    }
}

/// How it ended, and what the slots are now.
fn end_name(host: &Host, operation: Operation, was_settled: bool) -> String {
    let (stats, counts) = (host.stats(), host.counts());
    let outcome = match host.refusal(operation) {
        Some(refusal) if !was_settled => format!("refused ({refusal:?})"),
        _ if host.has_lease(operation) => "granted".to_string(),
        _ => "done".to_string(),
    };
    let mut slots = Vec::new();
    let emptied = counts.checked_in as u32 - stats.idle;
    for (count, what) in [
        (stats.used, "used"),
        (stats.opening, "opening"),
        (stats.closing, "closing"),
        (stats.idle, "idle"),
        (emptied, "empty"),
    ] {
        if count > 0 {
            slots.push(if count == 1 { what.to_string() } else { format!("{count} {what}") });
        }
    }
    let slots = if slots.is_empty() { "no slot".to_string() } else { format!("slots: {}", slots.join(" + ")) };
    format!("**{outcome}**; {slots}")
}

fn choices(host: &Host, operation: Operation) -> Vec<Choice> {
    let outcomes: &[Outcome] = match host.stage(operation) {
        Stage::Late => &[Outcome::LateOk, Outcome::LateFailed],
        Stage::Performing(Step::Ping(_)) => &[Outcome::Ok, Outcome::Failed, Outcome::TimedOut, Outcome::Disconnected],
        Stage::Performing(Step::Emit(Event::Checkout, _)) => {
            &[Outcome::Ok, Outcome::Failed, Outcome::TimedOut, Outcome::Disconnected, Outcome::DisconnectedAll]
        }
        Stage::Performing(
            Step::Open(_)
            | Step::Rollback(_)
            | Step::Commit(_)
            | Step::Cancel(_)
            | Step::ResetSession(_)
            | Step::Emit(Event::FirstConnect | Event::Connect | Event::Reset, _),
        ) => &[Outcome::Ok, Outcome::Failed, Outcome::TimedOut],
        Stage::Performing(Step::Detach(_)) => &[Outcome::Ok],
        Stage::Performing(_) => &[],
        _ => return Vec::new(),
    };
    let mut choices: Vec<Choice> = outcomes.iter().map(|&outcome| Choice::End(outcome)).collect();
    if choices.is_empty() {
        choices.push(Choice::Any);
    }
    let may_leave = host.role(operation) == Role::Checkout && !host.is_settled(operation);
    if may_leave && matches!(host.stage(operation), Stage::Performing(_)) {
        choices.extend([Choice::Abort, Choice::Leave]);
    }
    choices
}

fn last(host: &Host) -> Operation {
    host.operations().last().expect("an operation")
}

fn cases() -> Vec<Case> {
    let one = || Settings { pre_ping: Some(true), recycle_ms: 10_000.0, ..sized(1, 0) };
    let unreset = || Settings { reset_on_return: Some(ResetStyle::None), ..sized(1, 0) };
    let two = || Settings { pre_ping: Some(true), ..sized(1, 1) };
    let shared = || Settings { pre_ping: Some(true), ..of_kind(Kind::Static) };
    let case = |name, settings, begin| Case { name, settings, begin };
    vec![
        case("checkout, new slot", one(), |host| host.connect()),
        case("checkout, idle connection", one(), |host| {
            let caller = host.lend();
            host.give_back(caller);
            host.connect()
        }),
        case("checkout, stale connection", one(), |host| {
            let caller = host.lend();
            host.give_back(caller);
            host.pass(11_000.0);
            host.connect()
        }),
        case("checkout, emptied slot", one(), |host| {
            let caller = host.lend();
            host.invalidate(caller);
            host.run();
            host.connect()
        }),
        case("checkout, shared connection that another has", shared(), |host| {
            host.lend();
            host.connect()
        }),
        case("return", one(), |host| {
            let caller = host.lend();
            host.checkin(caller, false).unwrap_or_else(|| last(host))
        }),
        case("return, with a finalizer", one(), |host| {
            let caller = host.lend();
            host.add_finalizer(caller);
            host.checkin(caller, true).expect("a finalizer is a step")
        }),
        case("return, busy", one(), |host| {
            let caller = host.lend();
            host.checkin_as(caller, Condition::Busy).expect("a reset")
        }),
        case("return, busy, with resetOnReturn \"none\"", unreset(), |host| {
            let caller = host.lend();
            host.checkin_as(caller, Condition::Busy).expect("a ping")
        }),
        case("return, with a statement that was given up", one(), |host| {
            let caller = host.lend();
            host.checkin_as(caller, Condition::GivenUp).expect("a cancellation")
        }),
        case("return, stuck or lost", one(), |host| {
            let caller = host.lend();
            host.checkin_as(caller, Condition::Stuck).expect("a termination")
        }),
        case("return, surplus", two(), |host| {
            let (first, second) = (host.lend(), host.lend());
            host.give_back(first);
            host.checkin(second, false).expect("a reset")
        }),
        case("return, of a record that was emptied", one(), |host| {
            let caller = host.lend();
            host.close_record(Connection(0), true);
            host.run();
            host.checkin(caller, false).expect("a reset")
        }),
        case("invalidate", one(), |host| {
            let caller = host.lend();
            host.invalidate(caller)
        }),
        case("close of a detached connection", one(), |host| {
            let caller = host.lend();
            let detached = host.detach(caller);
            host.close_detached(detached, false, false);
            detached
        }),
        case("invalidate, of a detached connection", one(), |host| {
            let caller = host.lend();
            let detached = host.detach(caller);
            host.close_detached(detached, false, true);
            detached
        }),
        case("record.close(), idle", one(), |host| {
            let caller = host.lend();
            host.give_back(caller);
            host.close_record(Connection(0), false).expect("a close")
        }),
        case("record.invalidate(), under a lease", one(), |host| {
            host.lend();
            host.close_record(Connection(0), true).expect("a termination")
        }),
        case("lost lease, after its grace", one(), |host| {
            let caller = host.lend();
            host.lose(caller);
            host.pass(32_000.0);
            last(host)
        }),
        case("warm", one(), |host| {
            host.warm(1);
            last(host)
        }),
        case("close of what is idle (dispose, idleTimeout)", one(), |host| {
            let caller = host.lend();
            host.give_back(caller);
            host.dispose();
            last(host)
        }),
        case("death while idle", one(), |host| {
            let caller = host.lend();
            host.give_back(caller);
            host.connection_died(Connection(0));
            last(host)
        }),
        case("end of a lease at the end of a close's patience", one(), |host| {
            host.lend();
            host.close(Span::Millis(0));
            last_spawned(host)
        }),
    ]
}

fn last_spawned(host: &Host) -> Operation {
    host.operations().filter(|&operation| host.role(operation) == Role::Spawned).last().expect("a spawned operation")
}

fn tables() -> String {
    let mut text = String::from(
        "# What follows what\n\n\
         Written by tests/policy/state_tables.rs; see there. *any*: the outcome changes nothing.\n",
    );
    for case in cases() {
        for listens in [true, false] {
            let mut explorer = Explorer { case: &case, listens, states: Vec::new(), known: BTreeMap::new() };
            let first = explorer.explore(&mut Vec::new());
            let (order, names) = explorer.names(first);
            let listeners = if listens { "with listeners" } else { "without listeners" };
            let _ =
                write!(text, "\n## {}, {listeners}\n\n| state | outcome | next |\n| --- | --- | --- |\n", case.name);
            for at in order {
                for (place, (word, next)) in explorer.states[at].ways.iter().enumerate() {
                    let state = if place == 0 { names[&at].as_str() } else { "" };
                    let _ = writeln!(text, "| {state} | {word} | {} |", names[next]);
                }
            }
        }
    }
    text
}

#[test]
fn the_tables_are_as_they_are_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policy/state_tables.md");
    let tables = tables();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &tables).expect("the file can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let differing = tables.lines().zip(written.lines()).find(|(found, written)| found != written);
    assert!(written == tables, "state_tables.md says otherwise (found, written): {differing:?}");
}
