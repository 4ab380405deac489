//! Random programs of calls and faults, on random settings, against a second model of the pool. The model is naive and
//! written from the rules: a slot moves from hand to hand, so that it is in one place by construction.
//!
//! After every call policy and model must agree on each lease, each notice and each number. Only the moment at which a
//! time runs out is taken from the policy, and checked: never early, at most a fiftieth or ten milliseconds late.

use crate::harness::{Connection, EVENTS, Host, HostStep, LogEntry, Operation, Role, Stage};
use crate::timeout::latest_ms;
use edgepool::policy::{
    Condition, Counts, Event, Kind, Loss, MOST_PRIORITY, Outcome, Refusal, ResetStyle, Settings, Span, Stats, Step,
};
use proptest::prelude::*;

struct Slot {
    connection: Option<Connection>,
    /// When it was passed over in the idle store, because it was stale.
    passed_at: Option<u32>,
    stale: bool,
    marks: u32,
    disposals: u32,
    uses: u32,
    /// What ends connections that died in it while it was in use.
    terminators: Vec<Operation>,
}

enum State {
    Waiting,
    Woken(Slot),
    Replacing(Slot),
    Opening(Slot),
    Late,
    Resetting(Slot),
    Terminating(Slot),
    Closing(Slot),
    /// Ends a connection that died in use; its slot goes on.
    Burying,
    Holding(Connection),
    ResettingDetached(Connection),
    ClosingDetached,
    Draining,
}

struct ModelOperation {
    id: Operation,
    state: State,
    /// Whether a caller still waits for it.
    wanted: bool,
    /// Whether its slot was made for it.
    made: bool,
    /// When its current step began.
    since: f64,
    /// When its caller, or the patience of a close, runs out of time, and how long that span is.
    due: Option<(f64, f64)>,
    deadline: Option<(f64, f64)>,
    expired: bool,
    /// In which order it came, as far as it has left the queue.
    arrival: usize,
}

impl ModelOperation {
    /// A connection that is closed because it came too late has no caller.
    fn is_detached(&self) -> bool {
        match self.state {
            State::Holding(_) | State::ResettingDetached(_) => true,
            State::ClosingDetached => self.wanted,
            _ => false,
        }
    }
}

struct Model {
    size: usize,
    max: usize,
    settings: Settings,
    idle: Vec<Slot>,
    /// Free slots, each with a connection that died in it and has not ended.
    parked: Vec<Slot>,
    queue: Vec<(u32, Operation)>,
    leases: Vec<(Operation, Slot)>,
    operations: Vec<ModelOperation>,
    marks: u32,
    disposals: u32,
    passed: u32,
    /// The marks and the checkouts when a connection was lost last.
    first_loss: Option<(u32, u64)>,
    closed: bool,
    now: f64,
    numbers: Stats,
    arrivals: usize,
    /// Callers that were served while they opened, with the number under which the opening goes on, or one to be
    /// replaced by that.
    splits: Vec<(Operation, Operation)>,
    /// What the current call brings about: for the operation that called, for others, and in spawned operations.
    own: Vec<LogEntry>,
    others: Vec<LogEntry>,
    spawned: Vec<(Slot, HostStep)>,
}

fn millis(span: Span) -> f64 {
    match span {
        Span::Millis(ms) => f64::from(ms),
        Span::Forever => f64::INFINITY,
    }
}

fn due(now: f64, ms: f64) -> Option<(f64, f64)> {
    ms.is_finite().then_some((now + ms, ms))
}

impl Slot {
    fn holds(&self) -> Connection {
        self.connection.expect("the slot holds a connection")
    }
}

impl Model {
    fn new(settings: Settings, numbers: Stats, now: f64) -> Self {
        let size = settings.pool_size as usize;
        let unlimited = size == 0 || settings.max_overflow < 0.0;
        let max = if unlimited { usize::MAX } else { size + settings.max_overflow as usize };
        Self {
            size,
            max,
            settings,
            idle: vec![],
            parked: vec![],
            queue: vec![],
            leases: vec![],
            operations: vec![],
            marks: 0,
            disposals: 0,
            passed: 0,
            first_loss: None,
            closed: false,
            now,
            numbers,
            arrivals: 0,
            splits: vec![],
            own: vec![],
            others: vec![],
            spawned: vec![],
        }
    }

    fn slots(&self) -> usize {
        let working = self.operations.iter().filter(|entry| {
            matches!(
                entry.state,
                State::Woken(_)
                    | State::Replacing(_)
                    | State::Opening(_)
                    | State::Resetting(_)
                    | State::Terminating(_)
                    | State::Closing(_)
            )
        });
        self.idle.len() + self.parked.len() + self.leases.len() + working.count() + self.spawned.len()
    }

    fn is_fresh(&self, slot: &Slot) -> bool {
        slot.connection.is_some() && !slot.stale && slot.marks == self.marks
    }

    fn new_slot() -> Slot {
        Slot { connection: None, passed_at: None, stale: false, marks: 0, disposals: 0, uses: 0, terminators: vec![] }
    }

    fn add(&mut self, operation: Operation, state: State, wanted: bool) -> &mut ModelOperation {
        let since = self.now;
        self.arrivals += 1;
        self.operations.push(ModelOperation {
            arrival: self.arrivals,
            id: operation,
            state,
            wanted,
            made: false,
            since,
            due: None,
            deadline: None,
            expired: false,
        });
        self.operations.last_mut().expect("just added")
    }

    fn take(&mut self, operation: Operation) -> ModelOperation {
        let at = self
            .operations
            .iter()
            .position(|entry| entry.id == operation)
            .unwrap_or_else(|| panic!("{operation:?} does nothing"));
        self.operations.remove(at)
    }

    fn take_lease(&mut self, caller: Operation) -> Slot {
        let at = self.leases.iter().position(|lease| lease.0 == caller).expect("a lease");
        self.leases.remove(at).1
    }

    // ---- where slots go

    fn lease(&mut self, caller: Operation, slot: Slot) -> LogEntry {
        self.numbers.checkouts += 1;
        let slot = Slot { uses: slot.uses + 1, ..slot };
        let event = LogEntry::Granted(caller, slot.holds());
        self.leases.push((caller, slot));
        event
    }

    /// Takes a slot that came free. Returns it if its connection must be closed.
    fn place(&mut self, slot: Slot) -> Option<Slot> {
        if slot.connection.is_none() && self.is_burying(&slot) {
            self.parked.push(slot);
            return None;
        }
        let is_worn = slot.disposals != self.disposals || f64::from(slot.uses) >= self.settings.max_uses;
        if slot.connection.is_some() && (self.closed || is_worn) {
            return Some(slot);
        }
        if self.closed {
            self.slot_gone();
        } else if self.is_fresh(&slot) && self.has_opener() {
            self.serve_opener(slot);
        } else if !self.queue.is_empty() && (self.has_room() || self.is_fresh(&slot)) {
            self.hand_to_head(slot, false);
        } else if self.size == 0 || self.idle.len() < self.size {
            self.idle.push(slot);
        } else if slot.connection.is_some() {
            return Some(slot);
        } else {
            self.slot_gone();
        }
        None
    }

    fn is_burying(&self, slot: &Slot) -> bool {
        self.operations.iter().any(|entry| slot.terminators.contains(&entry.id))
    }

    fn is_opener(entry: &ModelOperation) -> bool {
        entry.wanted && matches!(entry.state, State::Woken(_) | State::Replacing(_) | State::Opening(_))
    }

    fn has_opener(&self) -> bool {
        self.operations.iter().any(Self::is_opener)
    }

    /// The caller that has waited longest for an opening has a connection that came free.
    fn serve_opener(&mut self, slot: Slot) {
        let openers = self.operations.iter().enumerate().filter(|(_, entry)| Self::is_opener(entry));
        let (at, _) = openers.min_by_key(|(_, entry)| entry.arrival).expect("a caller that opens");
        let caller = self.operations[at].id;
        let granted = self.lease(caller, slot);
        self.others.retain(|&event| event != LogEntry::Woken(caller));
        self.others.push(granted);
        if let State::Woken(_) = self.operations[at].state {
            let entry = self.operations.remove(at);
            let State::Woken(reserved) = entry.state else { unreachable!() };
            if entry.made {
                self.slot_gone();
            } else if let Some(slot) = self.place(reserved) {
                self.spawn(slot, false);
            }
            self.serve();
            return;
        }
        let rest = match self.splits.iter().position(|split| split.0 == caller) {
            Some(known) => self.splits.remove(known).1,
            None => {
                let placeholder = Operation(usize::MAX - self.splits.len());
                self.splits.push((caller, placeholder));
                placeholder
            }
        };
        let entry = &mut self.operations[at];
        (entry.wanted, entry.id) = (false, rest);
    }

    /// Takes the numbers under which openings go on.
    fn rename(&mut self, splits: Vec<(Operation, Operation)>) {
        for (caller, rest) in splits {
            match self.splits.iter().position(|split| split.0 == caller) {
                Some(at) => {
                    let placeholder = self.splits.remove(at).1;
                    let entry = self.operations.iter_mut().find(|entry| entry.id == placeholder);
                    entry.expect("an opening goes on").id = rest;
                }
                None => self.splits.push((caller, rest)),
            }
        }
    }

    fn has_live(&self) -> bool {
        !self.leases.is_empty()
            || self.idle.iter().any(|slot| slot.connection.is_some())
            || self.count(|state| matches!(state, State::Resetting(_))) > 0
    }

    fn creators(&self) -> usize {
        self.count(|state| matches!(state, State::Woken(_) | State::Replacing(_) | State::Opening(_))) as usize
    }

    /// Whether one more creator may run beside those that were given up.
    fn has_room(&self) -> bool {
        let late = self.count(|state| matches!(state, State::Late)) as usize;
        self.max == usize::MAX || self.creators() + late < (2 * self.max).max(5)
    }

    fn serve(&mut self) {
        while !self.closed && !self.queue.is_empty() {
            if let Some(slot) = self.next_idle() {
                self.hand_to_head(slot, false);
            } else if self.slots() < self.max && self.has_room() {
                self.hand_to_head(Self::new_slot(), true);
            } else {
                break;
            }
        }
    }

    fn slot_gone(&mut self) {
        self.serve();
        if self.slots() == 0
            && let Some(at) = self.operations.iter().position(|entry| matches!(entry.state, State::Draining))
        {
            let drained = self.operations.remove(at);
            self.others.push(LogEntry::Ended(drained.id));
        }
    }

    fn hand_to_head(&mut self, slot: Slot, made: bool) {
        let (_, caller) = self.queue.remove(0);
        let mut entry = self.take(caller);
        self.arrivals += 1;
        entry.arrival = self.arrivals;
        if self.is_fresh(&slot) {
            let granted = self.lease(caller, slot);
            self.others.push(granted);
        } else {
            entry.state = State::Woken(slot);
            entry.made = made;
            self.operations.push(entry);
            self.others.push(LogEntry::Woken(caller));
        }
    }

    // ---- the checkout

    fn connect(&mut self, caller: Operation, timeout: Option<Span>, deadline: Option<Span>, priority: u32) {
        let timeout_ms = timeout.map_or(self.settings.timeout_ms, millis);
        let deadline = due(self.now, deadline.map_or(self.settings.deadline_ms, millis));
        if self.closed {
            return self.own.push(LogEntry::Refused(caller, Refusal::Closed));
        }
        let idle = if self.queue.is_empty() { self.next_idle() } else { None };
        let made = idle.is_none();
        if self.queue.is_empty() && (!made || self.slots() < self.max && self.has_room()) {
            let slot = idle.unwrap_or_else(Self::new_slot);
            if self.is_fresh(&slot) {
                let granted = self.lease(caller, slot);
                return self.own.push(granted);
            }
            let entry = self.add(caller, State::Woken(slot), true);
            entry.made = made;
            entry.deadline = deadline;
            return self.wake(caller);
        }
        if timeout_ms == 0.0 {
            self.numbers.timed_out += 1;
            return self.own.push(LogEntry::Refused(caller, Refusal::WaitTimeout));
        }
        if self.queue.len() as f64 >= self.settings.max_waiters {
            return self.own.push(LogEntry::Refused(caller, Refusal::QueueFull));
        }
        self.numbers.waited += 1;
        let due = due(self.now, timeout_ms);
        let entry = self.add(caller, State::Waiting, true);
        entry.due = due;
        entry.deadline = deadline;
        let before = self.queue.iter().take_while(|&&(rank, _)| rank >= priority).count();
        self.queue.insert(before, (priority, caller));
        self.own.push(LogEntry::Slept(caller));
    }

    /// A current connection goes before a stale one, and that before an emptied slot. The stale ones go in the order in
    /// which they were passed over.
    fn next_idle(&mut self) -> Option<Slot> {
        let is_lifo = self.settings.use_lifo == Some(true);
        let mut order: Vec<usize> = (0..self.idle.len()).collect();
        if is_lifo {
            order.reverse();
        }
        for &at in &order {
            let slot = &self.idle[at];
            if slot.connection.is_none() || slot.passed_at.is_some() {
                continue;
            }
            if self.is_fresh(slot) {
                return Some(self.idle.remove(at));
            }
            self.passed += 1;
            self.idle[at].passed_at = Some(self.passed);
        }
        let stale = order.iter().copied().filter(|&at| self.idle[at].passed_at.is_some());
        let at = stale.min_by_key(|&at| self.idle[at].passed_at).or(order.first().copied())?;
        self.has_room().then(|| Slot { passed_at: None, ..self.idle.remove(at) })
    }

    fn wake(&mut self, caller: Operation) {
        let entry = self.take(caller);
        let State::Woken(slot) = entry.state else { panic!("{caller:?} was not woken") };
        let entry = ModelOperation { state: State::Waiting, ..entry };
        if slot.connection.is_none() {
            return self.open(entry, slot);
        }
        self.numbers.recycled += 1;
        self.own.push(LogEntry::Began(caller, HostStep::Terminate(slot.holds())));
        let state = State::Replacing(slot);
        self.operations.push(ModelOperation { state, since: self.now, expired: false, ..entry });
    }

    fn open(&mut self, entry: ModelOperation, slot: Slot) {
        self.own.push(LogEntry::Began(entry.id, HostStep::Open));
        let slot = Slot { stale: false, marks: self.marks, disposals: self.disposals, uses: 0, ..slot };
        let state = State::Opening(slot);
        self.operations.push(ModelOperation { state, since: self.now, expired: false, ..entry });
    }

    fn opened(
        &mut self,
        operation: Operation,
        outcome: Outcome,
        slot: Slot,
        wanted: bool,
        made: bool,
        next: Connection,
    ) {
        match outcome {
            Outcome::Ok => {
                self.numbers.opened += 1;
                let slot = Slot { connection: Some(next), ..slot };
                if wanted {
                    let granted = self.lease(operation, slot);
                    self.own.push(granted);
                } else {
                    self.free(operation, slot);
                }
                return self.serve();
            }
            Outcome::TimedOut => {
                self.own.push(match wanted {
                    true => LogEntry::Refused(operation, Refusal::OpenTimeout),
                    false => LogEntry::Slept(operation),
                });
                self.numbers.timed_out += u64::from(wanted);
                self.add(operation, State::Late, false);
            }
            _ => self.own.push(match wanted {
                true => LogEntry::Refused(operation, Refusal::Failed),
                false => LogEntry::Ended(operation),
            }),
        }
        self.numbers.open_failed += 1;
        if made {
            self.slot_gone();
        } else {
            self.place(slot);
        }
        self.serve();
    }

    fn abort(&mut self, caller: Operation) -> bool {
        let Some(entry) = self.operations.iter_mut().find(|entry| entry.id == caller && entry.wanted) else {
            return false;
        };
        match entry.state {
            State::Replacing(_) | State::Opening(_) => entry.wanted = false,
            State::Waiting | State::Woken(_) => self.leave(caller),
            _ => return false,
        }
        self.numbers.aborted += 1;
        self.own.push(LogEntry::Refused(caller, Refusal::Aborted));
        true
    }

    /// Removes a caller that waits, or was woken and did not start.
    fn leave(&mut self, caller: Operation) {
        let entry = self.take(caller);
        self.queue.retain(|&(_, waiter)| waiter != caller);
        match entry.state {
            State::Woken(_) if entry.made => self.slot_gone(),
            State::Woken(slot) => {
                if let Some(slot) = self.place(slot) {
                    self.spawn(slot, false);
                }
            }
            _ => {}
        }
        self.serve();
    }

    // ---- the return

    fn reset(&self, connection: Connection, clean: bool) -> Option<HostStep> {
        match self.settings.reset_on_return {
            Some(ResetStyle::Rollback) if !clean => Some(HostStep::Rollback(connection)),
            Some(ResetStyle::Commit) => Some(HostStep::Commit(connection)),
            Some(ResetStyle::Session) => Some(HostStep::ResetSession(connection)),
            _ => None,
        }
    }

    /// `operation` is the return's, if the policy began one.
    fn checkin(&mut self, caller: Operation, clean: bool, operation: Option<Operation>) {
        let slot = self.take_lease(caller);
        if let Some(step) = self.reset(slot.holds(), clean) {
            let operation = operation.expect("a reset is a step");
            self.own.push(LogEntry::Began(operation, step));
            self.add(operation, State::Resetting(slot), true);
        } else if let Some(slot) = self.place(slot) {
            self.discard(operation.expect("a close is a step"), slot);
        } else {
            assert_eq!(operation, None, "nothing is to be done");
        }
    }

    fn invalidate(&mut self, caller: Operation, operation: Operation) {
        let slot = self.take_lease(caller);
        self.numbers.invalidated += 1;
        self.own.push(LogEntry::Began(operation, HostStep::Terminate(slot.holds())));
        self.add(operation, State::Terminating(slot), true);
    }

    fn detach(&mut self, caller: Operation, operation: Operation) {
        let slot = self.take_lease(caller);
        self.add(operation, State::Holding(slot.holds()), true);
        self.place(Slot { connection: None, ..slot });
    }

    fn close_detached(&mut self, operation: Operation, clean: bool, abrupt: bool) {
        let State::Holding(connection) = self.take(operation).state else { panic!("{operation:?} holds nothing") };
        let reset = if abrupt { None } else { self.reset(connection, clean) };
        self.own.push(match (reset, abrupt) {
            (Some(step), _) => LogEntry::Began(operation, step),
            (None, false) => LogEntry::Began(operation, HostStep::Close(connection)),
            (None, true) => LogEntry::Began(operation, HostStep::Terminate(connection)),
        });
        self.add(
            operation,
            if reset.is_some() { State::ResettingDetached(connection) } else { State::ClosingDetached },
            true,
        );
    }

    fn discard(&mut self, operation: Operation, slot: Slot) {
        self.own.push(LogEntry::Began(operation, HostStep::Close(slot.holds())));
        self.add(operation, State::Closing(slot), true);
    }

    fn free(&mut self, operation: Operation, slot: Slot) {
        match self.place(slot) {
            Some(slot) => self.discard(operation, slot),
            None => self.own.push(LogEntry::Ended(operation)),
        }
    }

    /// `next` is the connection that an opening opens if it succeeds.
    fn finish(&mut self, operation: Operation, outcome: Outcome, next: Connection) {
        let ModelOperation { state, wanted, made, since, due, deadline, arrival, .. } = self.take(operation);
        match state {
            State::Replacing(slot) => {
                let slot = Slot { connection: None, ..slot };
                if wanted {
                    let state = State::Waiting;
                    self.open(
                        ModelOperation {
                            id: operation,
                            state,
                            wanted,
                            made,
                            since,
                            due,
                            deadline,
                            expired: false,
                            arrival,
                        },
                        slot,
                    );
                } else {
                    self.own.push(LogEntry::Ended(operation));
                    self.place(slot);
                    self.serve();
                }
            }
            State::Opening(slot) => self.opened(operation, outcome, slot, wanted, made, next),
            State::Late if outcome == Outcome::LateOk => {
                self.own.push(LogEntry::Began(operation, HostStep::Close(next)));
                self.add(operation, State::ClosingDetached, false);
                self.serve();
            }
            State::Resetting(slot) if outcome == Outcome::Ok || slot.connection.is_none() => self.free(operation, slot),
            State::Resetting(slot) => {
                let connection = slot.holds();
                self.numbers.invalidated += 1;
                self.own.push(LogEntry::Began(operation, HostStep::Terminate(connection)));
                self.add(operation, State::Terminating(slot), true);
                if outcome == Outcome::TimedOut {
                    self.lose(connection, Loss::Alone);
                }
            }
            State::Terminating(slot) => self.free(operation, Slot { connection: None, ..slot }),
            State::Closing(slot) if self.is_burying(&slot) => {
                self.own.push(LogEntry::Ended(operation));
                self.parked.push(Slot { connection: None, ..slot });
            }
            State::Closing(_) => {
                self.own.push(LogEntry::Ended(operation));
                self.slot_gone();
            }
            State::Burying => {
                let at = self.parked.iter().position(|slot| !self.is_burying(slot));
                match at.map(|at| self.parked.remove(at)) {
                    Some(slot) => self.free(operation, slot),
                    None => self.own.push(LogEntry::Ended(operation)),
                }
            }
            State::ResettingDetached(connection) => {
                let step =
                    if outcome == Outcome::Ok { HostStep::Close(connection) } else { HostStep::Terminate(connection) };
                self.own.push(LogEntry::Began(operation, step));
                self.add(operation, State::ClosingDetached, true);
            }
            State::Late | State::ClosingDetached => {
                self.own.push(LogEntry::Ended(operation));
                self.serve();
            }
            State::Waiting | State::Woken(_) | State::Holding(_) | State::Draining => {
                panic!("{operation:?} performs nothing")
            }
        }
    }

    // ---- marks and ends

    fn slot_of(&mut self, connection: Connection) -> &mut Slot {
        let leased = self.leases.iter_mut().map(|lease| &mut lease.1);
        let working = self.operations.iter_mut().filter_map(|entry| match &mut entry.state {
            State::Woken(slot) | State::Replacing(slot) | State::Opening(slot) => Some(slot),
            State::Resetting(slot) | State::Terminating(slot) | State::Closing(slot) => Some(slot),
            _ => None,
        });
        leased.chain(working).find(|slot| slot.connection == Some(connection)).expect("in a slot")
    }

    /// `operation` ends the connection, if it had not ended before.
    fn died(&mut self, connection: Connection, operation: Option<Operation>) {
        let Some(operation) = operation else { return };
        self.numbers.invalidated += 1;
        let is_it = |slot: &Slot| slot.connection == Some(connection);
        if let Some(at) = self.idle.iter().position(is_it) {
            let slot = self.idle.remove(at);
            return self.spawn(slot, true);
        }
        self.own.push(LogEntry::Began(operation, HostStep::Terminate(connection)));
        if let Some(at) = self.leases.iter().position(|lease| is_it(&lease.1)) {
            let slot = self.leases.remove(at).1;
            self.add(operation, State::Terminating(slot), false);
        } else {
            let slot = self.slot_of(connection);
            slot.connection = None;
            slot.terminators.push(operation);
            let resets = |entry: &&mut ModelOperation| match &entry.state {
                State::Resetting(slot) => slot.terminators.contains(&operation),
                _ => false,
            };
            if let Some(entry) = self.operations.iter_mut().find(resets) {
                entry.expired = true;
                self.others.push(LogEntry::Expired(entry.id));
            }
            self.add(operation, State::Burying, false);
        }
    }

    fn mark_as_old(&mut self, connection: Connection) {
        if self.slot_of(connection).marks == self.marks {
            self.marks += 1;
        }
    }

    fn lose(&mut self, connection: Connection, loss: Loss) {
        if self.slot_of(connection).marks != self.marks {
            return;
        }
        let (slots, present) = (self.slots() as u64, (self.marks, self.numbers.checkouts));
        let first = self.first_loss.replace(present);
        let is_second = first.is_some_and(|first| first.0 == present.0 && present.1 - first.1 < slots);
        self.marks += u32::from(is_second || loss == Loss::Others);
    }

    fn dispose(&mut self) {
        self.disposals += 1;
        let mut idle = std::mem::take(&mut self.idle);
        if self.settings.use_lifo == Some(true) {
            idle.reverse();
        }
        idle.sort_by_key(|slot| slot.passed_at);
        for slot in idle {
            match slot.connection {
                Some(_) => self.spawn(slot, false),
                None => self.slot_gone(),
            }
        }
    }

    fn close(&mut self, operation: Operation, patience: Span) {
        self.closed = true;
        (self.numbers.max_idle, self.numbers.min_idle) = (0.0, 0);
        let callers: Vec<Operation> =
            self.operations.iter().filter(|entry| entry.wanted).map(|entry| entry.id).collect();
        for caller in callers {
            let entry = self.operations.iter_mut().find(|entry| entry.id == caller).expect("still there");
            match entry.state {
                State::Replacing(_) | State::Opening(_) => entry.wanted = false,
                State::Waiting | State::Woken(_) => self.leave(caller),
                _ => continue,
            }
            self.others.push(LogEntry::Refused(caller, Refusal::Closed));
        }
        self.dispose();
        if self.slots() == 0 {
            self.others.push(LogEntry::Ended(operation));
        } else if patience == Span::Millis(0) {
            for entry in self.operations.iter_mut().filter(|entry| matches!(entry.state, State::Resetting(_))) {
                entry.expired = true;
                self.others.push(LogEntry::Expired(entry.id));
            }
            self.stop_draining(operation);
            self.others.push(LogEntry::Ended(operation));
        } else {
            let due = due(self.now, millis(patience));
            self.add(operation, State::Draining, true).due = due;
        }
    }

    fn stop_draining(&mut self, operation: Operation) {
        self.operations.retain(|entry| entry.id != operation);
        for (_, slot) in std::mem::take(&mut self.leases) {
            self.spawn(slot, true);
        }
    }

    fn spawn(&mut self, slot: Slot, abrupt: bool) {
        let connection = slot.holds();
        self.spawned.push((slot, if abrupt { HostStep::Terminate(connection) } else { HostStep::Close(connection) }));
    }

    // ---- comparison

    /// Compares what the call brought about. What the log has beyond it are times that ran out.
    fn compare(&mut self, log: &[LogEntry], any_order: bool) {
        let mut expected = std::mem::take(&mut self.own);
        expected.append(&mut self.others);
        // The policy chooses a spawned operation's number, but not its order.
        expected.extend(self.spawned.iter().map(|(_, step)| LogEntry::Spawned(Operation(0), *step)));
        assert!(log.len() >= expected.len(), "{log:?} instead of {expected:?}");
        let (present, later) = log.split_at(expected.len());
        let mut found: Vec<LogEntry> = present
            .iter()
            .map(
                |&event| {
                    if let LogEntry::Spawned(_, step) = event { LogEntry::Spawned(Operation(0), step) } else { event }
                },
            )
            .collect();
        if any_order {
            found.sort_by_key(|event| format!("{event:?}"));
            expected.sort_by_key(|event| format!("{event:?}"));
        }
        assert_eq!(found, expected);
        self.adopt(present);
        self.run_out(later);
    }

    fn adopt(&mut self, events: &[LogEntry]) {
        for event in events {
            let &LogEntry::Spawned(operation, step) = event else { continue };
            let at = self.spawned.iter().position(|spawned| spawned.1 == step).expect("an expected operation");
            let (slot, _) = self.spawned.remove(at);
            self.add(operation, State::Closing(slot), false);
        }
        assert!(self.spawned.is_empty(), "a spawned operation did not begin");
    }

    /// Takes from the policy whose time ran out, and checks that it was not early.
    fn run_out(&mut self, events: &[LogEntry]) {
        let now = self.now;
        let driver_ms = self.settings.driver_timeout_ms;
        let is_over = |entry: &ModelOperation| {
            matches!(entry.state, State::Draining) && entry.due.is_some_and(|(due, _)| now >= due)
        };
        let is_close_over = self.operations.iter().any(is_over);
        for &event in events {
            let operation = match event {
                LogEntry::Refused(operation, _) | LogEntry::Expired(operation) | LogEntry::Ended(operation) => {
                    operation
                }
                LogEntry::Spawned(..) => continue,
                _ => panic!("{event:?} is not about time"),
            };
            let entry =
                self.operations.iter_mut().find(|entry| entry.id == operation).expect("an operation whose time runs");
            let ran_out = |due: Option<(f64, f64)>| due.is_some_and(|(due, _)| now >= due);
            match (event, &entry.state) {
                (LogEntry::Refused(_, Refusal::WaitTimeout), State::Waiting) => assert!(ran_out(entry.due), "early"),
                (LogEntry::Refused(_, Refusal::WaitDeadline), State::Waiting) => {
                    assert!(ran_out(entry.deadline), "early")
                }
                (LogEntry::Refused(_, Refusal::OpenTimeout), State::Waiting) => {
                    assert!(self.creators() == 0 && !self.has_room() && !self.has_live(), "early");
                }
                (LogEntry::Refused(_, Refusal::OpenDeadline), State::Opening(_) | State::Replacing(_)) => {
                    assert!(entry.wanted && ran_out(entry.deadline), "early");
                    entry.wanted = false;
                    self.numbers.timed_out += 1;
                    continue;
                }
                (LogEntry::Expired(_), State::Resetting(_)) if is_close_over => {
                    entry.expired = true;
                    continue;
                }
                (LogEntry::Expired(_), _) => {
                    assert!(!entry.expired && now >= entry.since + driver_ms, "early");
                    entry.expired = true;
                    continue;
                }
                (LogEntry::Ended(_), State::Draining) => {
                    assert!(ran_out(entry.due), "early");
                    self.stop_draining(operation);
                    let is_left = |entry: &ModelOperation| matches!(entry.state, State::Resetting(_)) && !entry.expired;
                    assert!(!self.operations.iter().any(is_left), "a reset goes on after the close");
                    continue;
                }
                _ => panic!("{event:?} cannot be"),
            }
            self.numbers.timed_out += 1;
            self.leave(operation);
        }
        self.adopt(events);
    }

    fn assert_none_is_overdue(&self) {
        let in_time = |due: Option<(f64, f64)>, from: f64| {
            due.is_none_or(|(due, ms)| self.now <= due.max(from) + latest_ms(ms) - ms)
        };
        for entry in &self.operations {
            let late = || format!("{:?} is overdue at {}", entry.id, self.now);
            let performs =
                !matches!(entry.state, State::Waiting | State::Woken(_) | State::Holding(_) | State::Draining);
            if matches!(entry.state, State::Waiting | State::Draining) {
                assert!(in_time(entry.due, 0.0), "{}", late());
            }
            if entry.wanted && !matches!(entry.state, State::Woken(_)) && !entry.expired {
                assert!(in_time(entry.deadline, entry.since), "{}", late());
            }
            if performs && !matches!(entry.state, State::Late) && !entry.expired {
                // An opening whose deadline was armed when its caller left has the driver's time after that.
                let latest_start =
                    entry.deadline.map_or(entry.since, |(due, ms)| entry.since.max(due + latest_ms(ms) - ms));
                assert!(in_time(due(latest_start, self.settings.driver_timeout_ms), 0.0), "{}", late());
            }
        }
    }

    fn count(&self, is: impl Fn(&State) -> bool) -> u32 {
        self.operations.iter().filter(|entry| is(&entry.state)).count() as u32
    }

    fn stats(&self) -> Stats {
        let idle = self.idle.iter().filter(|slot| slot.connection.is_some()).count() as u32;
        let returning = self.count(|state| matches!(state, State::Resetting(_) | State::Terminating(_)));
        let used = self.leases.len() as u32 + returning;
        let opening = self.count(|state| matches!(state, State::Woken(_) | State::Replacing(_) | State::Opening(_)));
        let closing = self.count(|state| matches!(state, State::Closing(_))) + self.parked.len() as u32;
        let mut stats = self.numbers;
        stats.total = idle + used + opening + closing;
        (stats.idle, stats.used, stats.returning) = (idle, used, returning);
        (stats.opening, stats.closing) = (opening, closing);
        stats.waiting = self.queue.len() as u32;
        stats.detached = self.operations.iter().filter(|entry| entry.is_detached()).count() as u32;
        stats
    }

    fn counts(&self) -> Counts {
        let (size, slots, checked_in) = (self.size as i64, self.slots() as i64, self.idle.len() as i64);
        Counts { size, checked_in, overflow: if size == 0 { 0 } else { slots - size }, checked_out: slots - checked_in }
    }
}

// ---- programs

#[derive(Clone, Debug)]
enum Action {
    Connect(Option<Span>, Option<Span>, u32),
    Finish(usize, usize),
    Wake(usize),
    Abort(usize),
    Checkin(usize, bool),
    Invalidate(usize),
    InvalidateSoft(usize),
    InvalidateAsOld(usize),
    InvalidateAll,
    Detach(usize),
    CloseDetached(usize, bool, bool),
    Died(usize),
    /// A holder's error says that its connection is lost; whether the driver can ping.
    Lost(usize, bool),
    Dispose,
    Close(Span),
    Pass(f64),
}

struct Comparison {
    host: Host,
    model: Model,
}

impl Comparison {
    fn new(settings: Settings) -> Self {
        let host = Host::new(settings.clone());
        let model = Model::new(settings, host.stats(), host.now);
        Self { host, model }
    }

    fn pick(&self, at: usize, fits: impl Fn(&Host, Operation) -> bool) -> Option<Operation> {
        let fitting: Vec<Operation> = self.host.operations().filter(|&operation| fits(&self.host, operation)).collect();
        (!fitting.is_empty()).then(|| fitting[at % fitting.len()])
    }

    fn pick_lease(&self, at: usize) -> Option<Operation> {
        self.pick(at, Host::has_lease)
    }

    /// Applies the action to both, if it is possible. Returns None if not.
    fn apply(&mut self, action: &Action) -> Option<()> {
        let mut any_order = false;
        match *action {
            Action::Connect(timeout, deadline, priority) => {
                let is_plain = timeout.is_none() && deadline.is_none() && priority == 0;
                let caller = if is_plain && self.model.settings.deadline_ms.is_infinite() {
                    self.host.connect()
                } else {
                    self.host.connect_with(timeout, deadline, priority)
                };
                self.model.connect(caller, timeout, deadline, priority);
            }
            Action::Finish(at, outcome) => {
                let operation = self
                    .pick(at, |host, operation| matches!(host.stage(operation), Stage::Performing(_) | Stage::Late))?;
                let outcome = match self.host.stage(operation) {
                    Stage::Late => [Outcome::LateOk, Outcome::LateFailed][outcome % 2],
                    // A call has timed out only after the policy's notice.
                    _ if self.host.has_expired(operation) => {
                        [Outcome::Ok, Outcome::TimedOut, Outcome::TimedOut, Outcome::Failed][outcome % 4]
                    }
                    _ => [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Failed][outcome % 4],
                };
                let next = Connection(self.host.connections().count());
                self.host.finish(operation, outcome);
                self.model.finish(operation, outcome, next);
            }
            Action::Wake(at) => {
                let operation = self.pick(at, |host, operation| host.stage(operation) == Stage::Woken)?;
                self.host.wake(operation);
                self.model.wake(operation);
            }
            Action::Abort(at) => {
                let operation = self.pick(at, |host, operation| {
                    !host.has_ended(operation) && !matches!(host.role(operation), Role::Spawned | Role::Close)
                })?;
                assert_eq!(self.host.abort(operation), self.model.abort(operation));
            }
            Action::Checkin(at, clean) => {
                let caller = self.pick_lease(at)?;
                let operation = self.host.checkin(caller, clean);
                self.model.checkin(caller, clean, operation);
            }
            Action::Invalidate(at) => {
                let caller = self.pick_lease(at)?;
                let operation = self.host.invalidate(caller);
                self.model.invalidate(caller, operation);
            }
            Action::InvalidateSoft(at) => {
                let caller = self.pick_lease(at)?;
                let connection = self.host.connection(caller);
                self.host.invalidate_soft(caller);
                self.model.slot_of(connection).stale = true;
            }
            Action::InvalidateAsOld(at) => {
                let caller = self.pick_lease(at)?;
                let connection = self.host.connection(caller);
                self.host.invalidate_as_old(caller);
                self.model.mark_as_old(connection);
            }
            Action::InvalidateAll => {
                self.host.invalidate_all();
                self.model.marks += 1;
            }
            Action::Detach(at) => {
                let caller = self.pick_lease(at)?;
                let operation = self.host.detach(caller);
                self.model.detach(caller, operation);
            }
            Action::CloseDetached(at, clean, abrupt) => {
                let operation = self.pick(at, |host, operation| host.stage(operation) == Stage::Holding)?;
                self.host.close_detached(operation, clean, abrupt);
                self.model.close_detached(operation, clean, abrupt);
            }
            Action::Died(at) => {
                let alive: Vec<Connection> =
                    self.host.connections().filter(|&connection| self.host.is_in_a_slot(connection)).collect();
                if alive.is_empty() {
                    return None;
                }
                let connection = alive[at % alive.len()];
                let operation = self.host.connection_died(connection);
                self.model.died(connection, operation);
            }
            Action::Lost(at, _) => {
                let caller = self.pick_lease(at)?;
                let loss = if at % 2 == 0 { Loss::Alone } else { Loss::Others };
                let connection = self.host.connection(caller);
                // What a driver that can ping does is in tests/policy/loss.rs.
                self.host.lose_connection(caller, loss, false);
                self.model.lose(connection, loss);
                let operation = self.host.invalidate(caller);
                self.model.invalidate(caller, operation);
            }
            Action::Dispose => {
                self.host.dispose();
                self.model.dispose();
            }
            Action::Close(patience) => {
                if self.host.pool.is_closed() {
                    return None;
                }
                let waiters: Vec<LogEntry> =
                    self.model.queue.iter().map(|&(_, waiter)| LogEntry::Refused(waiter, Refusal::Closed)).collect();
                let operation = self.host.close(patience);
                self.model.close(operation, patience);
                any_order = true;
                let log = self.host.take_log();
                let refused: Vec<LogEntry> = log.iter().copied().filter(|event| waiters.contains(event)).collect();
                assert_eq!(refused, waiters, "in the order in which they came");
                self.model.rename(self.host.take_splits());
                self.model.compare(&log, any_order);
            }
            Action::Pass(ms) => self.pass(ms),
        }
        let log = self.host.take_log();
        self.model.rename(self.host.take_splits());
        self.model.compare(&log, any_order);
        assert_eq!(self.host.stats(), self.model.stats());
        assert_eq!(self.host.counts(), self.model.counts());
        Some(())
    }

    fn pass(&mut self, ms: f64) {
        let until = self.host.now + ms;
        loop {
            let fired = self.host.pass_to_tick(until);
            self.model.now = self.host.now;
            let log = self.host.take_log();
            self.model.rename(self.host.take_splits());
            self.model.compare(&log, false);
            self.model.assert_none_is_overdue();
            if !fired {
                break;
            }
        }
    }

    /// Returns every lease and closes the pool, in policy and model.
    fn end(&mut self) {
        let ending = [
            Action::Wake(0),
            Action::Finish(0, 0),
            Action::Checkin(0, false),
            Action::CloseDetached(0, false, false),
            Action::Close(Span::Forever),
        ];
        while ending.iter().any(|action| self.apply(action).is_some()) {}
        self.host.assert_nothing_is_left();
        assert_eq!(self.model.slots() + self.model.operations.len(), 0);
    }
}

fn run(settings: Settings, program: &[Action]) {
    let mut both = Comparison::new(settings);
    for action in program {
        both.apply(action);
    }
    both.end();
}

fn any_span() -> impl Strategy<Value = Option<Span>> {
    prop_oneof![
        6 => Just(None),
        1 => Just(Some(Span::Millis(0))),
        1 => (1..40u32).prop_map(|ms| Some(Span::Millis(ms))),
        1 => (100..3000u32).prop_map(|ms| Some(Span::Millis(ms))),
        1 => Just(Some(Span::Forever)),
    ]
}

fn any_priority() -> impl Strategy<Value = u32> {
    prop_oneof![8 => Just(0), 1 => 1..3u32, 1 => Just(MOST_PRIORITY)]
}

fn any_action() -> impl Strategy<Value = Action> {
    let at = 0..64usize;
    prop_oneof![
        16 => (any_span(), any_span(), any_priority())
            .prop_map(|(timeout, deadline, priority)| Action::Connect(timeout, deadline, priority)),
        24 => (at.clone(), 0..4usize).prop_map(|(at, outcome)| Action::Finish(at, outcome)),
        6 => at.clone().prop_map(Action::Wake),
        4 => at.clone().prop_map(Action::Abort),
        12 => (at.clone(), any::<bool>()).prop_map(|(at, clean)| Action::Checkin(at, clean)),
        3 => at.clone().prop_map(Action::Invalidate),
        2 => at.clone().prop_map(Action::InvalidateSoft),
        2 => at.clone().prop_map(Action::InvalidateAsOld),
        1 => Just(Action::InvalidateAll),
        2 => at.clone().prop_map(Action::Detach),
        2 => (at.clone(), any::<(bool, bool)>())
            .prop_map(|(at, (clean, abrupt))| Action::CloseDetached(at, clean, abrupt)),
        2 => at.clone().prop_map(Action::Died),
        2 => (at, any::<bool>()).prop_map(|(at, can_ping)| Action::Lost(at, can_ping)),
        2 => Just(Action::Dispose),
        1 => prop_oneof![Just(Span::Forever), Just(Span::Millis(0)), Just(Span::Millis(200))].prop_map(Action::Close),
        6 => prop_oneof![(0..100u32).prop_map(|tenths| f64::from(tenths) / 10.0), (10..2000u32).prop_map(f64::from)]
            .prop_map(Action::Pass),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let ms = |values: &'static [f64]| prop::sample::select(values);
    (
        (0..4u32, -1..3i32, any::<bool>()),
        ms(&[f64::INFINITY, 30_000.0, 500.0, 20.0, 0.0]),
        ms(&[f64::INFINITY, 1000.0, 100.0]),
        ms(&[f64::INFINITY, f64::INFINITY, 300.0]),
        ms(&[f64::INFINITY, f64::INFINITY, 2.0, 1.0, 0.0]),
        prop::sample::select(&[ResetStyle::Rollback, ResetStyle::Commit, ResetStyle::Session, ResetStyle::None][..]),
        ms(&[f64::INFINITY, f64::INFINITY, 1.0, 3.0]),
    )
        .prop_map(
            |(
                (pool_size, max_overflow, use_lifo),
                timeout_ms,
                driver_timeout_ms,
                deadline_ms,
                most,
                reset,
                max_uses,
            )| Settings {
                pool_size: f64::from(pool_size),
                max_overflow: f64::from(max_overflow),
                max_waiters: most,
                timeout_ms,
                driver_timeout_ms,
                deadline_ms,
                use_lifo: Some(use_lifo),
                reset_on_return: Some(reset),
                max_uses,
                open_retry: 0.0,
                ..Settings::default()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_leaves_policy_and_model_alike(
        settings in any_settings(),
        program in prop::collection::vec(any_action(), 0..120),
    ) {
        run(settings, &program);
    }
}

// ---- what the model leaves out: every kind, every option, listeners, records, lost leases

/// A call to a pool of any kind, with the index of its target among the possible ones.
#[derive(Clone, Debug)]
enum PoolAction {
    Modelled(Action),
    ConnectNow(bool),
    Leave(usize, bool),
    CheckinAs(usize, Condition),
    CloseDetachedAs(usize, Condition),
    CloseRecord(usize, bool),
    Lose(usize),
    AddFinalizer(usize),
    Warm(u32),
    Emit(usize),
    Listen(u16),
    Drain(Span),
    Resize(u32, i32, u32),
}

fn pick(operations: impl Iterator<Item = Operation>, at: usize) -> Option<Operation> {
    let operations: Vec<Operation> = operations.collect();
    (!operations.is_empty()).then(|| operations[at % operations.len()])
}

fn outcome_of(host: &Host, operation: Operation, choice: usize) -> Outcome {
    let outcomes: &[Outcome] = match host.stage(operation) {
        Stage::Late => &[Outcome::LateOk, Outcome::LateFailed],
        Stage::StillOpen(_) => &[Outcome::Ok, Outcome::Failed],
        Stage::Performing(Step::Detach(_)) => &[Outcome::Ok],
        Stage::Performing(Step::Close(_) | Step::Terminate(_)) if host.has_expired(operation) => {
            &[Outcome::TimedOut, Outcome::StillOpen, Outcome::Ok, Outcome::Failed]
        }
        Stage::Performing(Step::Open(_)) if host.has_expired(operation) => {
            &[Outcome::TimedOut, Outcome::StillOpen, Outcome::Ok, Outcome::Failed]
        }
        _ if host.has_expired(operation) => &[Outcome::TimedOut, Outcome::Ok, Outcome::Failed],
        Stage::Performing(Step::Ping(_)) => &[Outcome::Ok, Outcome::Disconnected, Outcome::Failed],
        Stage::Performing(Step::Emit(Event::Checkout, _)) => {
            &[Outcome::Ok, Outcome::Ok, Outcome::Disconnected, Outcome::DisconnectedAll, Outcome::Failed]
        }
        Stage::Performing(Step::Open(_)) => {
            &[Outcome::Ok, Outcome::Ok, Outcome::Unavailable, Outcome::Unavailable, Outcome::Failed]
        }
        _ => &[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Failed],
    };
    outcomes[choice % outcomes.len()]
}

/// Applies the action, if it is possible. The harness checks the invariants after each call.
fn apply(host: &mut Host, action: &PoolAction) -> Option<()> {
    let lease = |host: &Host, at: usize| pick(host.operations().filter(|&operation| host.has_lease(operation)), at);
    let connection = |host: &Host, at: usize| {
        let slots: Vec<Connection> = host.connections().filter(|&it| host.is_in_a_slot(it)).collect();
        (!slots.is_empty()).then(|| slots[at % slots.len()])
    };
    match *action {
        PoolAction::Modelled(ref action) => match *action {
            Action::Connect(None, None, 0) if host.settings().deadline_ms.is_infinite() => drop(host.connect()),
            Action::Connect(timeout, deadline, priority) => drop(host.connect_with(timeout, deadline, priority)),
            Action::Finish(at, choice) => {
                let moving = |operation: &Operation| {
                    matches!(host.stage(*operation), Stage::Performing(_) | Stage::Late | Stage::StillOpen(_))
                };
                let operation = pick(host.operations().filter(moving), at)?;
                host.finish(operation, outcome_of(host, operation, choice));
            }
            Action::Wake(at) => {
                let operation = pick(host.operations().filter(|&operation| host.stage(operation) == Stage::Woken), at)?;
                host.wake(operation);
            }
            Action::Abort(at) => {
                let calls =
                    |operation: &Operation| host.role(*operation) == Role::Checkout && !host.is_settled(*operation);
                let caller = pick(host.operations().filter(calls), at)?;
                assert!(host.abort(caller));
            }
            Action::Checkin(at, clean) => drop(host.checkin(lease(host, at)?, clean)),
            Action::Invalidate(at) => drop(host.invalidate_at_once(lease(host, at)?)),
            Action::InvalidateSoft(at) => host.mark(connection(host, at)?),
            Action::InvalidateAsOld(at) => {
                let caller = lease(host, at).filter(|&caller| host.is_in_a_slot(host.connection(caller)))?;
                host.invalidate_as_old(caller);
            }
            Action::InvalidateAll => host.invalidate_all(),
            Action::Detach(at) => drop(host.detach(lease(host, at)?)),
            Action::CloseDetached(at, clean, abrupt) => {
                let operation =
                    pick(host.operations().filter(|&operation| host.stage(operation) == Stage::Holding), at)?;
                host.close_detached(operation, clean, abrupt);
            }
            Action::Died(at) => {
                let loss = [Loss::None, Loss::Alone, Loss::Others][at % 3];
                host.die(connection(host, at)?, loss, at % 2 == 0);
            }
            Action::Lost(at, can_ping) => {
                let caller = lease(host, at).filter(|&caller| host.is_in_a_slot(host.connection(caller)))?;
                host.lose_connection(caller, [Loss::Alone, Loss::Others][at % 2], can_ping);
                host.invalidate_at_once(caller);
            }
            Action::Dispose => host.dispose(),
            Action::Close(patience) => {
                host.close(patience);
            }
            Action::Pass(ms) => host.pass(ms),
        },
        PoolAction::ConnectNow(counts) => drop(host.connect_now(counts)),
        PoolAction::Leave(at, counts) => {
            let calls = |operation: &Operation| host.role(*operation) == Role::Checkout && !host.is_settled(*operation);
            host.leave(pick(host.operations().filter(calls), at)?, counts);
        }
        PoolAction::CheckinAs(at, condition) => {
            host.checkin_beside_others(lease(host, at)?, condition);
        }
        PoolAction::CloseDetachedAs(at, condition) => {
            let operation = pick(host.operations().filter(|&operation| host.stage(operation) == Stage::Holding), at)?;
            host.close_detached_as(operation, condition, false);
        }
        PoolAction::CloseRecord(at, abrupt) => drop(host.close_record(connection(host, at)?, abrupt)),
        PoolAction::Lose(at) => drop(host.lose(lease(host, at)?)),
        PoolAction::AddFinalizer(at) => {
            let caller = lease(host, at).filter(|&caller| host.is_in_a_slot(host.connection(caller)))?;
            host.add_finalizer(caller);
        }
        PoolAction::Warm(count) => drop(host.warm(count)),
        PoolAction::Emit(at) => drop(host.emit(Event::SoftInvalidate, connection(host, at)?)),
        PoolAction::Listen(bits) => {
            let events: Vec<Event> = EVENTS.iter().copied().filter(|&event| bits & 1 << event as u16 != 0).collect();
            host.listen(&events);
        }
        PoolAction::Drain(patience) => drop(host.drain(patience)),
        PoolAction::Resize(..) if host.settings().kind != Some(Kind::Queue) => return None,
        PoolAction::Resize(pool_size, max_overflow, min_idle) => host.resize(pool_size, max_overflow, min_idle),
    }
    Some(())
}

fn any_condition() -> impl Strategy<Value = Condition> {
    prop::sample::select(&[Condition::Busy, Condition::GivenUp, Condition::Stuck, Condition::Lost][..])
}

fn any_pool_action() -> impl Strategy<Value = PoolAction> {
    let at = 0..64usize;
    prop_oneof![
        60 => any_action().prop_map(PoolAction::Modelled),
        4 => any::<bool>().prop_map(PoolAction::ConnectNow),
        4 => (at.clone(), any::<bool>()).prop_map(|(at, counts)| PoolAction::Leave(at, counts)),
        6 => (at.clone(), any_condition()).prop_map(|(at, condition)| PoolAction::CheckinAs(at, condition)),
        1 => (at.clone(), any_condition()).prop_map(|(at, condition)| PoolAction::CloseDetachedAs(at, condition)),
        2 => (at.clone(), any::<bool>()).prop_map(|(at, abrupt)| PoolAction::CloseRecord(at, abrupt)),
        1 => at.clone().prop_map(PoolAction::Lose),
        1 => at.clone().prop_map(PoolAction::AddFinalizer),
        1 => (1..5u32).prop_map(PoolAction::Warm),
        1 => at.prop_map(PoolAction::Emit),
        1 => (0..1024u16).prop_map(PoolAction::Listen),
        1 => prop::sample::select(&[Span::Forever, Span::Millis(5000), Span::Millis(50)][..])
            .prop_map(PoolAction::Drain),
        1 => (0..5u32, -1..3i32, 0..3u32).prop_map(|(a, b, c)| PoolAction::Resize(a, b, c)),
    ]
}

fn any_pool() -> impl Strategy<Value = Settings> {
    let ms = |values: &'static [f64]| prop::sample::select(values);
    let kinds =
        &[Kind::Queue, Kind::Queue, Kind::Queue, Kind::Static, Kind::Singleton, Kind::Assertion, Kind::Null][..];
    (
        (any_settings(), prop::sample::select(kinds), any::<bool>()),
        ms(&[f64::INFINITY, 0.0, 50.0, 1000.0]),
        ms(&[0.0, 0.0, 100.0]),
        (ms(&[f64::INFINITY, 100.0, 1000.0]), 0..3u32, ms(&[0.0, 0.0, 0.0, 1.0, 3.0])),
        ms(&[f64::INFINITY, f64::INFINITY, 1.0, 2.0]),
        (ms(&[0.0, -1.0, f64::INFINITY, 2.0]), ms(&[-1.0, 50.0])),
    )
        .prop_map(
            |((settings, kind, pre_ping), recycle_ms, pre_ping_after_idle_ms, idle, max_connecting, open)| Settings {
                kind: Some(kind),
                pool_size: if kind == Kind::Queue { settings.pool_size } else { 1.0 },
                pre_ping: Some(pre_ping),
                recycle_ms,
                pre_ping_after_idle_ms,
                idle_timeout_ms: idle.0,
                min_idle: f64::from(idle.1),
                min: if kind == Kind::Queue { idle.2 } else { 0.0 },
                max_connecting,
                open_retry: open.0,
                open_timeout_ms: open.1,
                ..settings
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_on_any_pool_keeps_every_invariant(
        settings in any_pool(),
        events in prop_oneof![Just(0), Just(1023), 0..1024u16],
        program in prop::collection::vec(any_pool_action(), 0..120),
    ) {
        let mut host = Host::new(settings);
        apply(&mut host, &PoolAction::Listen(events));
        for step in &program {
            apply(&mut host, step);
        }
        host.settle_everything();
        if host.pool.config().retries() {
            // The pause after an opening that failed ends.
            host.pass(2000.0);
            host.settle_everything();
        }
        let waits = |&operation: &Operation| host.role(operation) == Role::Checkout && !host.is_settled(operation);
        let waiter = host.operations().find(waits);
        prop_assert_eq!(waiter, None, "a caller waits in vain");
        if !host.pool.is_closed() {
            host.run();
            host.lend();
            host.settle_everything();
            host.close(Span::Forever);
            host.settle_everything();
        }
        // The timer of idle connections may run out.
        host.pass(2000.0);
        host.assert_nothing_is_left();
    }
}
