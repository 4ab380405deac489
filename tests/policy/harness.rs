//! A scripted host for the policy. It does what the shell does, but the test decides each outcome, each wake-up and
//! each millisecond. It opens numbered connections and runs the host's one timer on a virtual clock.
//!
//! After every call the host checks the invariants (harness/invariants.rs): each caller is settled once, each
//! connection is in one place and closed once, no caller waits in vain, and every number of the statistics equals what
//! the host itself sees.

mod invariants;

use edgepool::policy::{
    Aside, Begin, Condition, Config, Counts, Event, Hooks, Kind, LeaseId, Limits, Loss, Notice, OperationId, Outcome,
    Pool, Refusal, ResetStyle, Return, Settings, Sizes, Span, Stats, Step,
};
use invariants::SlotUse;

/// An operation as the host numbers it: a checkout, a return, a spawned operation, a close. Counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation(pub(crate) usize);

/// A connection, counted from 0 in the order of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection(pub(crate) usize);

/// A step as the host performs it: on a connection, while the policy's step names a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostStep {
    Open,
    Ping(Connection),
    Rollback(Connection),
    Commit(Connection),
    ResetSession(Connection),
    Cancel(Connection),
    Finalize(Connection),
    Close(Connection),
    Terminate(Connection),
    /// Calls the listeners of an event, with its connection, or with none.
    Emit(Event, Option<Connection>),
    /// Takes the connection of a lost lease out of its slot, if it is still there.
    Detach(Option<Connection>),
}

/// What a call into the policy brought about, first for the operation that called, then for others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LogEntry {
    Granted(Operation, Connection),
    Refused(Operation, Refusal),
    Slept(Operation),
    Woken(Operation),
    Expired(Operation),
    Began(Operation, HostStep),
    /// A spawned operation began.
    Spawned(Operation, HostStep),
    Ended(Operation),
    /// The lease of this caller is out for too long, for so many milliseconds.
    Held(Operation, u32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    Checkout,
    Return,
    Detached,
    Spawned,
    /// Opens a connection before a caller asks.
    Warming,
    /// Opens a connection because the pool has too few.
    Filling,
    /// Ends a slot's connection through its record.
    RecordClose,
    /// Terminates the connection of a lease that was out for too long.
    TakingBack,
    /// Emits an event that nothing depends on.
    Emission,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    Queued,
    Woken,
    /// Its connection is open, and another operation's connect listeners run.
    InLine,
    /// Its connection was dead, and `maxConnecting` creators run.
    AwaitingPlace,
    Performing(Step),
    /// The creator ran out of time and may still deliver.
    Late,
    /// The end of its connection took too long, and goes on.
    StillOpen(Step),
    /// A caller holds the detached connection.
    Holding,
    Draining,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq)]
/// How a checkout ended for its caller.
enum CallerOutcome {
    Pending,
    Granted(LeaseId),
    /// A share of the connection of this slot.
    Shared(u32),
    Refused(Refusal),
    /// Its caller went on as another operation, or has the connection of another slot.
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Slot(u32),
    Operation(Operation),
    Closed,
}

/// What a caller holds, as the policy names it.
#[derive(Clone, Copy)]
enum Hold {
    Lease(LeaseId),
    Share(OperationId),
}

/// Returns the slot of a step.
pub(crate) fn step_slot(step: Step) -> Option<u32> {
    match step {
        Step::Open(slot)
        | Step::Ping(slot)
        | Step::Cancel(slot)
        | Step::Finalize(slot)
        | Step::Detach(slot)
        | Step::Share(slot) => Some(slot),
        Step::Rollback(slot) | Step::Commit(slot) | Step::ResetSession(slot) => slot,
        Step::Close(slot) | Step::Terminate(slot) => slot,
        Step::Emit(_, slot) => slot,
        Step::Wait | Step::Grant(_) | Step::Reject(_) | Step::Done => None,
    }
}

struct OperationState {
    id: Option<OperationId>,
    role: Role,
    stage: Stage,
    caller_outcome: CallerOutcome,
    holds_lease: bool,
    /// The lease was dropped without a return.
    is_lost: bool,
    /// The lease's connection, or the one that the operation works on if its slot does not hold it.
    connection: Option<Connection>,
    /// The step that it performs now.
    host_step: Option<HostStep>,
    /// The operation's slot and its expected use.
    slot_use: Option<(u32, SlotUse)>,
    /// Whether the return began as an invalidation.
    is_invalidation: bool,
    /// Whether no caller waits for it, because a death began it.
    is_unattended: bool,
    /// Woken because its turn for the first listeners came.
    is_first_in_line: bool,
    /// The return's caller waits no more.
    is_released: bool,
    /// Woken between two steps, so that it goes on without its caller.
    goes_on: bool,
    /// How many dead connections its checkout has met.
    deaths: u32,
    has_deadline: bool,
    /// Its creator has returned.
    is_adopted: bool,
    expired: bool,
}

pub(crate) struct Host {
    pub(crate) pool: Pool,
    pub(crate) now: f64,
    settings: Settings,
    hooks: u16,
    is_invalidating: bool,
    is_unattended: bool,
    dead_on_arrival: Option<u32>,
    is_warming: bool,
    /// The slots of leases that the policy has taken back.
    taken_back: Vec<u32>,
    /// Whether callers that came before the close are still served.
    is_draining: bool,
    /// As many slots as there were when the pool shrank.
    most_slots: i64,
    timer: Option<f64>,
    states: Vec<OperationState>,
    places: Vec<Place>,
    /// The connections that came too late for their slots.
    late: Vec<Connection>,
    ended_slots: Vec<u32>,
    splits: Vec<(Operation, Operation)>,
    log: Vec<LogEntry>,
}

/// Returns settings of this size, otherwise with the defaults.
pub(crate) fn sized(pool_size: u32, max_overflow: i32) -> Settings {
    Settings { pool_size: f64::from(pool_size), max_overflow: f64::from(max_overflow), ..Settings::default() }
}

/// Returns settings of this size without a reset, so that a return ends at once.
pub(crate) fn plain(pool_size: u32, max_overflow: i32) -> Settings {
    Settings { reset_on_return: Some(ResetStyle::None), ..sized(pool_size, max_overflow) }
}

/// Returns settings of a pool of this kind, otherwise with the defaults.
pub(crate) fn of_kind(kind: Kind) -> Settings {
    Settings { kind: Some(kind), ..Settings::default() }
}

/// Every event, in the order of the policy's numbers.
pub(crate) const EVENTS: [Event; 10] = [
    Event::FirstConnect,
    Event::Connect,
    Event::Checkout,
    Event::Reset,
    Event::Checkin,
    Event::Invalidate,
    Event::SoftInvalidate,
    Event::Close,
    Event::Detach,
    Event::CloseDetached,
];

/// The step that calls the listeners of an event with this connection.
pub(crate) const fn emit(event: Event, connection: usize) -> HostStep {
    HostStep::Emit(event, Some(Connection(connection)))
}

/// The step that calls the checkin listeners for a record without a connection.
pub(crate) const CHECKIN_EMPTY: HostStep = HostStep::Emit(Event::Checkin, None);

pub(crate) fn counts(size: i64, checked_in: i64, overflow: i64, checked_out: i64) -> Counts {
    Counts { size, checked_in, overflow, checked_out }
}

impl Host {
    pub(crate) fn new(settings: Settings) -> Self {
        let config = Config::new(&settings).unwrap_or_else(|violation| panic!("{violation:?}"));
        // A host's clock starts anywhere, also between two milliseconds.
        Self {
            pool: Pool::new(config),
            now: 1234.75,
            settings,
            hooks: 0,
            is_invalidating: false,
            is_unattended: false,
            dead_on_arrival: None,
            is_warming: false,
            taken_back: Vec::new(),
            is_draining: false,
            most_slots: 0,
            timer: None,
            states: Vec::new(),
            places: Vec::new(),
            late: Vec::new(),
            ended_slots: Vec::new(),
            splits: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Returns a host whose pool has listeners of every event.
    pub(crate) fn listening(settings: Settings) -> Self {
        let mut host = Self::new(settings);
        host.listen(&EVENTS);
        host
    }

    /// Gives these events listeners, and no others.
    pub(crate) fn listen(&mut self, events: &[Event]) {
        self.hooks = events.iter().fold(0, |bits, &event| bits | 1 << event as u16);
        self.pool.set_hooks(Hooks::from_bits(self.hooks));
        self.after_call();
    }

    pub(crate) fn has_listeners(&self, event: Event) -> bool {
        self.hooks & 1 << event as u16 != 0
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn shares(&self) -> bool {
        matches!(self.settings.kind, Some(Kind::Static | Kind::Singleton))
    }

    // ---- what callers do

    pub(crate) fn connect(&mut self) -> Operation {
        let limits = Limits { timeout: None, deadline: None, priority: 0, now_ms: self.now };
        self.checkout(self.pool.config().tells_time().then_some(limits))
    }

    pub(crate) fn connect_within(&mut self, timeout: Option<Span>, deadline: Option<Span>) -> Operation {
        self.connect_with(timeout, deadline, 0)
    }

    pub(crate) fn connect_with(&mut self, timeout: Option<Span>, deadline: Option<Span>, priority: u32) -> Operation {
        self.checkout(Some(Limits { timeout, deadline, priority, now_ms: self.now }))
    }

    /// Connects as a caller that cannot wait: it leaves when its operation would sleep. `counts`: whether its refusal
    /// is one for want of time.
    pub(crate) fn connect_now(&mut self, counts: bool) -> Operation {
        let operation = self.add(None, Role::Checkout, Stage::Queued);
        let begin = self.pool.begin_checkout_now(self.now, counts);
        self.begin_checkout(operation, begin)
    }

    /// The caller does not wait for the end of the step.
    pub(crate) fn leave(&mut self, caller: Operation, counts: bool) -> Refusal {
        let stage = self.stage(caller);
        let refusal = self.pool.leave(self.id(caller), counts).expect("a caller waits");
        let goes_on = self.states[caller.0].goes_on;
        let ends = stage == Stage::Queued || stage == Stage::Woken && !goes_on;
        let stage = if ends { Stage::Ended } else { stage };
        self.refuse(caller, refusal, stage);
        self.after_call();
        refusal
    }

    fn checkout(&mut self, limits: Option<Limits>) -> Operation {
        let operation = self.add(None, Role::Checkout, Stage::Queued);
        self.states[operation.0].has_deadline = limits.is_some();
        let begin = self.pool.begin_checkout(limits);
        self.begin_checkout(operation, begin)
    }

    fn begin_checkout(&mut self, operation: Operation, begin: Begin) -> Operation {
        match begin {
            Begin::Granted(lease) => self.grant(operation, lease),
            Begin::Refused(refusal) => self.refuse(operation, refusal, Stage::Ended),
            Begin::Pending(id) => {
                self.states[operation.0].id = Some(id);
                self.resume(operation);
            }
        }
        self.after_call();
        operation
    }

    /// Connects; every step succeeds, and the caller gets a lease.
    pub(crate) fn lend(&mut self) -> Operation {
        let caller = self.connect();
        self.run_operation(caller);
        assert!(self.has_lease(caller), "{caller:?} got no lease: {:?}", self.stage(caller));
        caller
    }

    /// Lets every step of the operation succeed, until it sleeps or ends.
    pub(crate) fn run_operation(&mut self, operation: Operation) {
        loop {
            match self.stage(operation) {
                Stage::Performing(_) => self.finish(operation, Outcome::Ok),
                Stage::Woken => self.wake(operation),
                _ => break,
            }
        }
    }

    pub(crate) fn abort(&mut self, caller: Operation) -> bool {
        let Some(id) = self.states[caller.0].id else { return false };
        let was_pending = self.pool.abort(id);
        if was_pending {
            let stage = match self.stage(caller) {
                Stage::Performing(_) | Stage::InLine | Stage::AwaitingPlace => self.stage(caller),
                Stage::Woken if self.states[caller.0].goes_on => Stage::Woken,
                Stage::Queued | Stage::Woken => Stage::Ended,
                stage => panic!("{caller:?} was aborted while {stage:?}"),
            };
            self.refuse(caller, Refusal::Aborted, stage);
        }
        self.after_call();
        was_pending
    }

    /// Returns the operation of the return, if it did not end at once.
    pub(crate) fn checkin(&mut self, caller: Operation, clean: bool) -> Option<Operation> {
        self.checkin_as(caller, Condition::at_rest(clean))
    }

    /// The same for a connection in this condition.
    pub(crate) fn checkin_as(&mut self, caller: Operation, condition: Condition) -> Option<Operation> {
        let operation = self.checkin_beside_others(caller, condition);
        if operation.is_some() && self.shares() {
            let other = self
                .operations()
                .find(|&other| self.has_lease(other) && self.connection(other) == self.connection(caller));
            assert_eq!(other, None, "{caller:?} was not the last to have its connection");
        }
        operation
    }

    /// The same for a share that others may have, too.
    pub(crate) fn checkin_beside_others(&mut self, caller: Operation, condition: Condition) -> Option<Operation> {
        if self.pool.config().tells_time() {
            self.pool.read_clock(self.now);
        }
        let answer = match self.take_lease(caller) {
            Hold::Lease(lease) => self.pool.begin_checkin(lease, condition),
            Hold::Share(id) => self.pool.begin_share_return(id, condition),
        };
        let connection = self.states[caller.0].connection;
        self.is_invalidating = !matches!(condition, Condition::Open | Condition::Clean | Condition::Busy);
        let operation = self.begin_return(answer, Role::Return, connection);
        self.is_invalidating = false;
        operation
    }

    /// Returns the lease; every step succeeds.
    pub(crate) fn give_back(&mut self, caller: Operation) {
        if let Some(operation) = self.checkin(caller, false) {
            self.run_operation(operation);
        }
    }

    pub(crate) fn invalidate(&mut self, caller: Operation) -> Operation {
        self.invalidate_at_once(caller).expect("a termination is a step")
    }

    /// Invalidates a lease whose connection may be gone, so that nothing may be left to do.
    pub(crate) fn invalidate_at_once(&mut self, caller: Operation) -> Option<Operation> {
        let answer = match self.take_lease(caller) {
            Hold::Lease(lease) => self.pool.begin_invalidate(lease),
            Hold::Share(id) => self.pool.begin_share_invalidate(id),
        };
        let connection = self.states[caller.0].connection;
        self.is_invalidating = true;
        let operation = self.begin_return(answer, Role::Return, connection);
        self.is_invalidating = false;
        operation
    }

    fn begin_return(&mut self, answer: Return, role: Role, connection: Option<Connection>) -> Option<Operation> {
        let operation = match answer {
            Return::Done => None,
            Return::HandedOver(waiter, lease) => {
                self.take_notice(self.operation_of(waiter), Notice::Grant(lease));
                None
            }
            Return::Pending(id) => {
                let operation = self.add(Some(id), role, Stage::Queued);
                self.states[operation.0].connection = connection;
                self.states[operation.0].is_invalidation = self.is_invalidating;
                self.states[operation.0].is_unattended = self.is_unattended;
                self.resume(operation);
                Some(operation)
            }
        };
        self.after_call();
        operation
    }

    /// Returns the slot of the connection, if it is in one.
    pub(crate) fn slot_of(&self, connection: Connection) -> Option<u32> {
        match self.places[connection.0] {
            Place::Slot(slot) => Some(slot),
            _ => None,
        }
    }

    fn slot_with(&self, connection: Connection) -> u32 {
        self.slot_of(connection).unwrap_or_else(|| panic!("{connection:?} is in no slot"))
    }

    pub(crate) fn invalidate_soft(&mut self, caller: Operation) {
        let slot = self.slot_with(self.connection(caller));
        self.pool.invalidate_soft(slot);
        self.after_call();
    }

    /// Invalidates softly through the record.
    pub(crate) fn mark(&mut self, connection: Connection) {
        let slot = self.slot_with(connection);
        self.pool.invalidate_soft(slot);
        self.after_call();
    }

    pub(crate) fn invalidate_as_old(&mut self, caller: Operation) {
        let slot = self.slot_with(self.connection(caller));
        self.pool.invalidate_as_old(slot);
        self.after_call();
    }

    pub(crate) fn invalidate_all(&mut self) {
        self.pool.invalidate_all();
        self.after_call();
    }

    /// Returns whether the connection is closed, is being closed, or has left its slot.
    pub(crate) fn is_ending(&self, connection: Connection) -> bool {
        let ends = |host_step| match host_step {
            HostStep::Close(it)
            | HostStep::Terminate(it)
            | HostStep::Emit(Event::Close | Event::Invalidate, Some(it)) => it == connection,
            _ => false,
        };
        let step = |operation: Operation| match self.stage(operation) {
            Stage::Performing(_) | Stage::StillOpen(_) => self.states[operation.0].host_step,
            _ => None,
        };
        self.slot_of(connection).is_none() || self.operations().filter_map(step).any(ends)
    }

    /// Detaches the lease. If its connection ended before, nothing is left to close.
    pub(crate) fn detach(&mut self, caller: Operation) -> Operation {
        let connection = self.connection(caller);
        let is_ending = self.is_ending(connection);
        let id = match self.take_lease(caller) {
            Hold::Lease(lease) => self.pool.detach(lease).expect("a lease can be detached"),
            Hold::Share(id) => {
                assert!(self.pool.detach_share(id), "a share can be detached");
                id
            }
        };
        let operation = self.add(Some(id), Role::Detached, Stage::Holding);
        if !is_ending {
            self.states[operation.0].connection = Some(connection);
            self.places[connection.0] = Place::Operation(operation);
        }
        self.after_call();
        operation
    }

    pub(crate) fn close_detached(&mut self, operation: Operation, clean: bool, abrupt: bool) {
        self.close_detached_as(operation, Condition::at_rest(clean), abrupt);
    }

    /// The same for a connection in this condition.
    pub(crate) fn close_detached_as(&mut self, operation: Operation, condition: Condition, abrupt: bool) {
        let id = self.id(operation);
        let is_gone = self.states[operation.0].connection.is_none();
        let answer = if is_gone { Return::Done } else { Return::Pending(id) };
        assert_eq!(self.pool.begin_detached_close(id, condition, abrupt), answer);
        if is_gone {
            self.states[operation.0].stage = Stage::Ended;
        } else {
            self.resume(operation);
        }
        self.after_call();
    }

    /// Ends the connection through its record, leased or not.
    pub(crate) fn close_record(&mut self, connection: Connection, abrupt: bool) -> Option<Operation> {
        let slot = self.slot_with(connection);
        let answer = self.pool.begin_emptying(slot, abrupt);
        if answer == Return::Done {
            self.after_call();
            return None;
        }
        let operation = Operation(self.states.len());
        self.places[connection.0] = Place::Operation(operation);
        self.begin_return(answer, Role::RecordClose, Some(connection))
    }

    /// Calls the listeners of an event with a connection.
    pub(crate) fn emit(&mut self, event: Event, connection: Connection) -> Option<Operation> {
        let answer = self.pool.begin_telling(event);
        self.begin_return(answer, Role::Emission, Some(connection))
    }

    pub(crate) fn add_finalizer(&mut self, caller: Operation) {
        let slot = self.slot_with(self.connection(caller));
        self.pool.add_finalizer(slot);
        self.after_call();
    }

    /// Drops the lease without a return. Returns whether the policy had it as a lease.
    pub(crate) fn lose(&mut self, caller: Operation) -> bool {
        let was_known = match self.hold(caller) {
            Hold::Lease(lease) => {
                self.states[caller.0].holds_lease = false;
                self.states[caller.0].is_lost = true;
                self.pool.lose_lease(lease)
            }
            Hold::Share(id) => {
                self.states[caller.0].holds_lease = false;
                self.pool.lose_share(id)
            }
        };
        self.after_call();
        was_known
    }

    /// Returns how many are still to be opened.
    pub(crate) fn warm(&mut self, count: u32) -> u32 {
        let rest = self.pool.warm(count, u32::MAX);
        self.is_warming = true;
        self.after_call();
        self.is_warming = false;
        rest
    }

    /// Begins to keep `min` connections open.
    pub(crate) fn start(&mut self) {
        self.pool.start();
        self.after_call();
    }

    /// The driver cannot ping, and reports a death of which the dialect knows nothing.
    pub(crate) fn connection_died(&mut self, connection: Connection) -> Option<Operation> {
        self.die(connection, Loss::None, false)
    }

    /// Returns the operation that ends the connection, if it had not ended before.
    pub(crate) fn die(&mut self, connection: Connection, loss: Loss, can_ping: bool) -> Option<Operation> {
        let slot = self.slot_with(connection);
        let was_busy = self.is_busy(slot);
        let holder = self.operations().find(|&caller| match self.states[caller.0].caller_outcome {
            CallerOutcome::Granted(lease) => lease.index() == slot && self.pool.is_leased(lease),
            _ => false,
        });
        self.pool.set_can_ping(can_ping);
        let answer = self.pool.connection_died(slot, loss);
        let Return::Pending(_) = answer else {
            assert_eq!(answer, Return::Done);
            self.after_call();
            return None;
        };
        let role = match holder {
            _ if !was_busy => Role::Spawned,
            Some(holder) => {
                let lease = self.lease(holder);
                assert!(!self.pool.is_leased(lease), "the lease of a dead connection has ended");
                assert_eq!(self.pool.begin_checkin(lease, Condition::Open), Return::Done, "its return does nothing");
                self.states[holder.0].holds_lease = false;
                self.is_invalidating = true;
                Role::Return
            }
            _ => {
                self.places[connection.0] = Place::Operation(Operation(self.states.len()));
                Role::RecordClose
            }
        };
        self.is_unattended = true;
        let operation = self.begin_return(answer, role, Some(connection));
        (self.is_invalidating, self.is_unattended) = (false, false);
        operation
    }

    /// The driver reports the death of the connection that is being opened, before the creator has answered.
    pub(crate) fn die_on_arrival(&mut self, opening: Operation) {
        let Stage::Performing(Step::Open(slot)) = self.stage(opening) else { panic!("{opening:?} opens nothing") };
        assert_eq!(self.pool.connection_died(slot, Loss::Others), Return::Done);
        self.dead_on_arrival = Some(slot);
        self.after_call();
    }

    /// Takes that the connection of a lease is lost, as its holder's error says.
    pub(crate) fn lose_connection(&mut self, caller: Operation, loss: Loss, can_ping: bool) {
        let slot = self.slot_with(self.connection(caller));
        self.pool.set_can_ping(can_ping);
        self.pool.lose(slot, loss);
        self.after_call();
    }

    pub(crate) fn dispose(&mut self) {
        self.pool.dispose();
        self.after_call();
    }

    pub(crate) fn close(&mut self, patience: Span) -> Operation {
        self.end_pool(patience, false)
    }

    /// Closes the pool, and lets it serve the callers that came before.
    pub(crate) fn drain(&mut self, patience: Span) -> Operation {
        self.is_draining = !self.pool.is_closed() || self.is_draining;
        self.end_pool(patience, true)
    }

    fn end_pool(&mut self, patience: Span, drains: bool) -> Operation {
        self.is_draining &= drains;
        let id = self.pool.begin_close(patience, drains);
        let operation = self.add(Some(id), Role::Close, Stage::Draining);
        self.after_call();
        operation
    }

    /// Changes the sizes of the pool: `poolSize`, `maxOverflow`, `minIdle`.
    pub(crate) fn resize(&mut self, pool_size: u32, max_overflow: i32, min_idle: u32) {
        let min = self.settings.min;
        let Settings { pool_size, max_overflow, min_idle, .. } =
            Settings { min_idle: f64::from(min_idle), ..sized(pool_size, max_overflow) };
        let sizes = Sizes {
            pool_size: Some(pool_size),
            max_overflow: Some(max_overflow),
            min_idle: Some(min_idle),
            min: Some(min),
            ..Sizes::default()
        };
        self.settings = Settings { pool_size, max_overflow, min_idle, ..self.settings.clone() };
        let Counts { checked_in, checked_out, .. } = self.counts();
        self.most_slots = checked_in + checked_out;
        self.pool.resize(sizes).expect("good sizes");
        self.after_call();
    }

    /// Changes limits that hold for each connection.
    pub(crate) fn change(&mut self, sizes: Sizes) {
        let Sizes { idle_timeout_ms, max_uses, max_age_ms, .. } = sizes;
        self.settings.idle_timeout_ms = idle_timeout_ms.unwrap_or(self.settings.idle_timeout_ms);
        // The timer may run for what opened before.
        if let Some(ms) = max_age_ms.filter(|ms| ms.is_finite()) {
            self.settings.max_age_ms = ms;
        }
        self.settings.max_uses = max_uses.unwrap_or(self.settings.max_uses);
        self.pool.resize(sizes).expect("good limits");
        self.after_call();
    }

    // ---- what the driver and the clock do

    /// Gives the woken operation its turn.
    pub(crate) fn wake(&mut self, operation: Operation) {
        assert_eq!(self.stage(operation), Stage::Woken);
        if let (true, Some((slot, _))) = (self.states[operation.0].is_first_in_line, self.states[operation.0].slot_use)
            && self.find_connection_in(slot).is_none()
        {
            self.states[operation.0].deaths += 1;
        }
        self.resume(operation);
        self.after_call();
    }

    /// The creator of this operation has returned: foreign code may see the connection before its opening ends.
    pub(crate) fn adopt(&mut self, operation: Operation) -> Connection {
        let Stage::Performing(Step::Open(slot)) = self.stage(operation) else { panic!("{operation:?} opens nothing") };
        self.states[operation.0].is_adopted = true;
        self.places.push(Place::Slot(slot));
        self.pool.adopt(slot);
        self.after_call();
        Connection(self.places.len() - 1)
    }

    /// Ends the operation's step with this outcome.
    pub(crate) fn finish(&mut self, operation: Operation, outcome: Outcome) {
        if let Stage::StillOpen(step @ Step::Open(_)) = self.stage(operation) {
            // It ends as any opening does that has no caller.
            self.states[operation.0].stage = Stage::Performing(step);
        }
        if let Stage::Performing(
            Step::Ping(slot) | Step::Emit(Event::Checkout | Event::FirstConnect | Event::Connect, Some(slot)),
        ) = self.stage(operation)
            && outcome == Outcome::Ok
            && self.find_connection_in(slot).is_none_or(|connection| self.is_ending(connection))
        {
            // Its record was closed meanwhile, which counts as a death.
            self.states[operation.0].deaths += 1;
        }
        if let (Stage::Performing(Step::Ping(slot)), Outcome::Failed) = (self.stage(operation), outcome)
            && (self.pool.is_suspect(slot) || self.find_connection_in(slot).is_none_or(|it| self.is_ending(it)))
        {
            // Its caller has not asked for the ping, or another operation has ended the connection.
            self.states[operation.0].deaths += 1;
        }
        let dies_on_arrival = match self.stage(operation) {
            Stage::Performing(Step::Open(slot)) => self.dead_on_arrival.take() == Some(slot),
            _ => false,
        };
        match (self.stage(operation), outcome) {
            (Stage::Performing(Step::Open(slot)), Outcome::Ok) if self.states[operation.0].is_adopted => {
                if self.find_connection_in(slot).is_none() {
                    // Its record was closed since, which counts as a death.
                    self.states[operation.0].deaths += 1;
                }
            }
            (Stage::Performing(Step::Open(slot)), Outcome::Ok) => self.places.push(Place::Slot(slot)),
            (Stage::Performing(Step::Open(_)), Outcome::TimedOut) => self.states[operation.0].stage = Stage::Late,
            (Stage::Performing(Step::Detach(slot)), Outcome::Ok) => {
                let connection = self.places.iter().position(|&place| place == Place::Slot(slot));
                self.states[operation.0].connection = connection.map(Connection);
                if let Some(connection) = connection {
                    self.places[connection] = Place::Operation(operation);
                }
            }
            (
                Stage::Performing(Step::Ping(_) | Step::Emit(Event::Checkout, _)),
                Outcome::Disconnected | Outcome::DisconnectedAll,
            ) => self.states[operation.0].deaths += 1,
            (Stage::Performing(Step::Ping(_)), Outcome::TimedOut) => self.states[operation.0].deaths += 1,
            (Stage::Performing(Step::Open(_)), Outcome::Unavailable) => {}
            (Stage::Performing(step @ (Step::Open(_) | Step::Close(_) | Step::Terminate(_))), Outcome::StillOpen) => {
                self.states[operation.0].stage = Stage::StillOpen(step);
            }
            (Stage::Performing(_) | Stage::StillOpen(_), Outcome::Ok | Outcome::Failed | Outcome::TimedOut) => {
                if let Some(HostStep::Close(connection) | HostStep::Terminate(connection)) =
                    self.states[operation.0].host_step
                {
                    assert_ne!(self.places[connection.0], Place::Closed, "{connection:?} is closed twice");
                    self.places[connection.0] = Place::Closed;
                }
            }
            (Stage::Late, Outcome::LateOk) => {
                let connection = Connection(self.places.len());
                self.states[operation.0].connection = Some(connection);
                self.places.push(Place::Operation(operation));
                self.late.push(connection);
            }
            (Stage::Late, Outcome::LateFailed) => {}
            (stage, outcome) => panic!("{operation:?} cannot end {stage:?} with {outcome:?}"),
        }
        self.read_clock(operation);
        self.states[operation.0].is_adopted = false;
        self.states[operation.0].expired = false;
        let id = self.id(operation);
        let step = self.pool.advance(id, outcome);
        self.take_step(operation, step, Some(outcome));
        self.states[operation.0].deaths += u32::from(dies_on_arrival);
        self.after_call();
    }

    /// Lets every step succeed until only sleepers and lease holders are left.
    pub(crate) fn run(&mut self) {
        while let Some(operation) = self.operations().find(|&operation| {
            matches!(self.stage(operation), Stage::Woken | Stage::Performing(_) | Stage::Late | Stage::StillOpen(_))
        }) {
            match self.stage(operation) {
                Stage::Woken => self.wake(operation),
                Stage::Late => self.finish(operation, Outcome::LateOk),
                _ => self.finish(operation, Outcome::Ok),
            }
        }
    }

    /// Lets time pass. The timer fires when it is due.
    pub(crate) fn pass(&mut self, ms: f64) {
        let until = self.now + ms;
        while self.pass_to_tick(until) {}
    }

    /// Lets time pass until the timer fires, or until then. Returns whether it fired.
    pub(crate) fn pass_to_tick(&mut self, until: f64) -> bool {
        match self.timer {
            Some(due) if due <= until => {
                self.now = due;
                self.fire_timer();
                true
            }
            _ => {
                self.now = until;
                false
            }
        }
    }

    /// Fires the timer now, due or not, as hosts do that slept or whose timers run fast.
    pub(crate) fn fire_timer(&mut self) {
        let delay_ms = self.pool.ring(self.now);
        self.set_timer(delay_ms);
        self.after_call();
    }

    /// Ticks without a ring, as after a call that wants a tick.
    pub(crate) fn tick_without_ring(&mut self) {
        self.tick();
        self.after_call();
    }

    fn tick(&mut self) {
        let delay_ms = self.pool.tick(self.now);
        self.set_timer(delay_ms);
    }

    fn set_timer(&mut self, delay_ms: Option<u32>) {
        self.timer = delay_ms.map(|delay_ms| {
            assert!(delay_ms < 1 << 31, "no host counts {delay_ms} ms");
            self.now + f64::from(delay_ms)
        });
        for (ms, slot) in self.pool.take_held() {
            let holder = self.holder(slot).expect("a lease that is held has a holder");
            self.log.push(LogEntry::Held(holder, ms));
            if self.settings.on_hold_limit == Some(true) {
                self.states[holder.0].holds_lease = false;
                self.taken_back.push(slot);
            }
        }
    }

    /// Returns for how long the timer still runs.
    pub(crate) fn timer_ms(&self) -> Option<f64> {
        self.timer.map(|due| due - self.now)
    }

    // ---- what a test asks

    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation> + use<> {
        (0..self.states.len()).map(Operation)
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = Connection> + use<> {
        (0..self.places.len()).map(Connection)
    }

    pub(crate) fn stage(&self, operation: Operation) -> Stage {
        self.states[operation.0].stage
    }

    pub(crate) fn role(&self, operation: Operation) -> Role {
        self.states[operation.0].role
    }

    pub(crate) fn id(&self, operation: Operation) -> OperationId {
        self.states[operation.0].id.expect("the operation has an id")
    }

    pub(crate) fn has_ended(&self, operation: Operation) -> bool {
        self.stage(operation) == Stage::Ended
    }

    pub(crate) fn is_released(&self, operation: Operation) -> bool {
        self.states[operation.0].is_released
    }

    pub(crate) fn has_expired(&self, operation: Operation) -> bool {
        self.states[operation.0].expired
    }

    pub(crate) fn has_lease(&self, caller: Operation) -> bool {
        self.states[caller.0].holds_lease
    }

    pub(crate) fn refusal(&self, caller: Operation) -> Option<Refusal> {
        match self.states[caller.0].caller_outcome {
            CallerOutcome::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn is_settled(&self, caller: Operation) -> bool {
        self.states[caller.0].caller_outcome != CallerOutcome::Pending
    }

    pub(crate) fn lease(&self, caller: Operation) -> LeaseId {
        match self.states[caller.0].caller_outcome {
            CallerOutcome::Granted(lease) => lease,
            caller_outcome => panic!("{caller:?} has no lease: {caller_outcome:?}"),
        }
    }

    fn hold(&self, caller: Operation) -> Hold {
        match self.states[caller.0].caller_outcome {
            CallerOutcome::Shared(_) => Hold::Share(self.id(caller)),
            _ => Hold::Lease(self.lease(caller)),
        }
    }

    /// Returns the connection of the caller's lease.
    pub(crate) fn connection(&self, caller: Operation) -> Connection {
        self.states[caller.0].connection.unwrap_or_else(|| panic!("{caller:?} was given no connection"))
    }

    pub(crate) fn is_open(&self, connection: Connection) -> bool {
        self.places[connection.0] != Place::Closed
    }

    pub(crate) fn is_in_a_slot(&self, connection: Connection) -> bool {
        matches!(self.places[connection.0], Place::Slot(_))
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.connections().filter(|&connection| self.is_open(connection)).count()
    }

    pub(crate) fn step(&self, operation: Operation) -> Option<HostStep> {
        matches!(self.stage(operation), Stage::Performing(_)).then_some(self.states[operation.0].host_step)?
    }

    fn host_step(&self, operation: Operation, step: Step) -> HostStep {
        let own = self.states[operation.0].connection;
        let target = |slot: Option<u32>| match (own, slot) {
            (Some(connection), _) => connection,
            (None, Some(slot)) => self.connection_in(slot),
            (None, None) => panic!("{operation:?} holds no connection for {step:?}"),
        };
        match step {
            Step::Open(_) => HostStep::Open,
            Step::Ping(slot) => HostStep::Ping(target(Some(slot))),
            Step::Rollback(slot) => HostStep::Rollback(target(slot)),
            Step::Commit(slot) => HostStep::Commit(target(slot)),
            Step::ResetSession(slot) => HostStep::ResetSession(target(slot)),
            Step::Cancel(slot) => HostStep::Cancel(target(Some(slot))),
            Step::Finalize(slot) => HostStep::Finalize(target(Some(slot))),
            Step::Emit(Event::Checkin, slot) => {
                HostStep::Emit(Event::Checkin, slot.and_then(|slot| self.find_connection_in(slot)))
            }
            Step::Emit(event, slot) => HostStep::Emit(event, Some(target(slot))),
            Step::Close(slot) => HostStep::Close(target(slot)),
            Step::Terminate(slot) => HostStep::Terminate(target(slot)),
            Step::Detach(slot) => HostStep::Detach(self.find_connection_in(slot)),
            Step::Wait | Step::Grant(_) | Step::Share(_) | Step::Reject(_) | Step::Done => {
                panic!("{step:?} is not performed")
            }
        }
    }

    /// Returns the steps that are being performed, in the order of their operations.
    pub(crate) fn steps(&self) -> Vec<HostStep> {
        self.operations().filter_map(|operation| self.step(operation)).collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.pool.stats()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.pool.counts()
    }

    pub(crate) fn has_timer(&self) -> bool {
        self.timer.is_some()
    }

    /// Returns the slots that ended since this was last asked, in order.
    pub(crate) fn take_ended_slots(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.ended_slots)
    }

    /// Invariant: a slot does not end while it holds a connection.
    fn note_ended_slot(&mut self, aside: Aside) -> Aside {
        if let Aside::SlotEnded(slot) = aside {
            assert_eq!(self.find_connection_in(slot), None, "slot {slot} has ended");
            self.ended_slots.push(slot);
        }
        aside
    }

    pub(crate) fn take_log(&mut self) -> Vec<LogEntry> {
        core::mem::take(&mut self.log)
    }

    /// Returns the steps that began since the log was last taken, in order.
    pub(crate) fn take_steps(&mut self) -> Vec<HostStep> {
        let steps = self.take_log().into_iter().filter_map(|event| match event {
            LogEntry::Began(_, host_step) | LogEntry::Spawned(_, host_step) => Some(host_step),
            _ => None,
        });
        steps.collect()
    }

    /// Lets every step succeed until nothing moves. Returns the steps.
    pub(crate) fn run_steps(&mut self) -> Vec<HostStep> {
        self.run();
        self.take_steps()
    }

    // ---- the shell's part

    fn add(&mut self, id: Option<OperationId>, role: Role, stage: Stage) -> Operation {
        self.states.push(OperationState {
            id,
            role,
            stage,
            caller_outcome: CallerOutcome::Pending,
            holds_lease: false,
            is_lost: false,
            connection: None,
            host_step: None,
            slot_use: None,
            is_invalidation: false,
            is_unattended: false,
            is_first_in_line: false,
            is_released: false,
            goes_on: false,
            deaths: 0,
            has_deadline: false,
            is_adopted: false,
            expired: false,
        });
        Operation(self.states.len() - 1)
    }

    fn take_lease(&mut self, caller: Operation) -> Hold {
        assert!(core::mem::take(&mut self.states[caller.0].holds_lease), "{caller:?} holds no lease");
        self.hold(caller)
    }

    fn find_connection_in(&self, slot: u32) -> Option<Connection> {
        let mut found = self.connections().filter(|connection| self.places[connection.0] == Place::Slot(slot));
        let connection = found.next();
        assert_eq!(found.next(), None, "slot {slot} holds two connections");
        connection
    }

    fn connection_in(&self, slot: u32) -> Connection {
        self.find_connection_in(slot).unwrap_or_else(|| panic!("slot {slot} holds no connection"))
    }

    fn read_clock(&mut self, operation: Operation) {
        let config = self.pool.config();
        if self.states[operation.0].has_deadline || config.tells_time() || config.retries() {
            self.pool.read_clock(self.now);
        }
    }

    fn resume(&mut self, operation: Operation) {
        self.read_clock(operation);
        let id = self.id(operation);
        let step = self.pool.resume(id);
        self.take_step(operation, step, None);
    }

    fn take_step(&mut self, operation: Operation, step: Step, outcome: Option<Outcome>) {
        let slot_use = self.expected_use(operation, step, outcome);
        if !matches!(self.stage(operation), Stage::StillOpen(_)) || slot_use.is_some() {
            self.states[operation.0].slot_use = slot_use;
        }
        match step {
            Step::Wait => {
                if !matches!(self.stage(operation), Stage::Late | Stage::StillOpen(_)) {
                    self.states[operation.0].stage = match (self.stage(operation), slot_use) {
                        _ if self.pool.is_waiting(self.id(operation)) => Stage::Queued,
                        (Stage::Performing(Step::Open(_)), _) if outcome == Some(Outcome::Ok) => Stage::InLine,
                        _ => Stage::AwaitingPlace,
                    };
                }
                self.log.push(LogEntry::Slept(operation));
            }
            Step::Grant(lease) => self.grant(operation, lease),
            Step::Share(slot) => self.grant_share(operation, slot),
            Step::Reject(refusal) => {
                let stage = self.stage(operation);
                let goes_on = matches!(stage, Stage::Late | Stage::StillOpen(_)) && refusal == Refusal::OpenTimeout;
                self.refuse(operation, refusal, if goes_on { stage } else { Stage::Ended });
            }
            Step::Done => {
                self.states[operation.0].stage = Stage::Ended;
                self.log.push(LogEntry::Ended(operation));
            }
            step => {
                self.states[operation.0].stage = Stage::Performing(step);
                if let Step::Open(slot) = step {
                    assert!(!self.places.contains(&Place::Slot(slot)), "slot {slot} is opened over a connection");
                }
                if let (Step::Open(_), true) = (step, self.pool.config().retries()) {
                    self.pool.read_clock(self.now);
                    self.pool.time_opening(self.id(operation));
                }
                let host_step = self.host_step(operation, step);
                self.states[operation.0].host_step = Some(host_step);
                self.assert_may_perform(operation, step, host_step);
                let is_spawned = matches!(self.role(operation), Role::Spawned | Role::Warming | Role::Filling);
                self.log.push(if is_spawned {
                    LogEntry::Spawned(operation, host_step)
                } else {
                    LogEntry::Began(operation, host_step)
                });
            }
        }
    }

    /// Returns the lease holder of this slot.
    fn holder(&self, slot: u32) -> Option<Operation> {
        self.operations().find(|&operation| match self.states[operation.0].caller_outcome {
            CallerOutcome::Granted(lease) => self.has_lease(operation) && lease.index() == slot,
            _ => false,
        })
    }

    /// Asserts what the shell relies on when it performs a step.
    fn assert_may_perform(&self, operation: Operation, step: Step, host_step: HostStep) {
        let role = self.role(operation);
        if let Step::Emit(event, slot) = step {
            assert!(self.has_listeners(event), "{event:?} has no listeners");
            // What the listeners see. A shared slot is in use in any case.
            if let (Some(slot), false) = (slot, self.shares() || role == Role::RecordClose) {
                match event {
                    Event::FirstConnect | Event::Connect | Event::Checkin => {
                        assert!(!self.pool.is_in_use(slot), "{step:?}")
                    }
                    Event::Checkout | Event::Reset => assert!(self.pool.is_in_use(slot), "{step:?}"),
                    Event::Invalidate => assert_eq!(self.pool.is_in_use(slot), role != Role::Spawned, "{step:?}"),
                    _ => {}
                }
            }
        }
        if let HostStep::Close(connection) | HostStep::Terminate(connection) = host_step {
            let is_here = match self.places[connection.0] {
                Place::Slot(slot) => step_slot(step) == Some(slot),
                Place::Operation(place) => place == operation,
                Place::Closed => false,
            };
            assert!(is_here, "{step:?} of {operation:?} for {connection:?}, which is {:?}", self.places[connection.0]);
        }
        // A leased connection is left alone, except at the end of a close's patience or through its record.
        let resets = matches!(step, Step::Rollback(_) | Step::Commit(_) | Step::ResetSession(_));
        let acts = resets || matches!(step, Step::Ping(_) | Step::Cancel(_) | Step::Close(_) | Step::Terminate(_));
        if let (true, Some(slot)) = (acts && role != Role::RecordClose, step_slot(step))
            && let Some(holder) = self.holder(slot)
        {
            assert!(matches!(step, Step::Terminate(_)) && role == Role::Spawned, "{step:?} under {holder:?}");
            assert!(self.pool.is_closed() && !self.pool.is_leased(self.lease(holder)));
        }
    }

    fn grant(&mut self, operation: Operation, lease: LeaseId) {
        let connection = self.connection_in(lease.index());
        assert!(self.pool.is_leased(lease));
        assert_eq!(self.pool.lease_of(lease.index()), lease);
        assert_eq!(self.holder(lease.index()), None, "{operation:?} shares {connection:?}");
        self.settle(operation, CallerOutcome::Granted(lease), Stage::Ended);
        self.states[operation.0].holds_lease = true;
        self.states[operation.0].connection = Some(connection);
        self.log.push(LogEntry::Granted(operation, connection));
    }

    fn grant_share(&mut self, operation: Operation, slot: u32) {
        let connection = self.connection_in(slot);
        assert!(self.shares());
        self.settle(operation, CallerOutcome::Shared(slot), Stage::Ended);
        self.states[operation.0].holds_lease = true;
        self.states[operation.0].connection = Some(connection);
        self.log.push(LogEntry::Granted(operation, connection));
    }

    fn refuse(&mut self, operation: Operation, refusal: Refusal, stage: Stage) {
        self.settle(operation, CallerOutcome::Refused(refusal), stage);
        self.log.push(LogEntry::Refused(operation, refusal));
    }

    fn settle(&mut self, operation: Operation, caller_outcome: CallerOutcome, stage: Stage) {
        let state = &mut self.states[operation.0];
        assert_eq!(state.caller_outcome, CallerOutcome::Pending, "{operation:?} is settled once");
        let may_fail = state.role == Role::Warming && matches!(caller_outcome, CallerOutcome::Refused(_));
        assert!(state.role == Role::Checkout || may_fail, "{operation:?} has no caller");
        state.caller_outcome = caller_outcome;
        state.stage = stage;
        if stage == Stage::Ended {
            state.slot_use = None;
        }
        if let (Some(id), Stage::Ended) = (state.id, stage) {
            let rest = if matches!(caller_outcome, CallerOutcome::Shared(_)) { Step::Wait } else { Step::Done };
            assert_eq!(self.pool.resume(id), rest, "{operation:?} lives on");
        }
    }

    fn operation_of(&self, id: OperationId) -> Operation {
        let lives =
            |operation: &Operation| self.states[operation.0].id == Some(id) && self.stage(*operation) != Stage::Ended;
        self.operations().find(lives).unwrap_or_else(|| panic!("a notice for {id:?}, which has ended"))
    }

    fn after_call(&mut self) {
        loop {
            while let Some((id, notice)) = self.pool.take_notice() {
                if let Notice::Follow(predecessor) = notice {
                    self.follow(predecessor, id);
                    continue;
                }
                let operation = self.operation_of(id);
                self.take_notice(operation, notice);
            }
            while let Some(aside) = self.pool.take_aside() {
                let Aside::Spawned(id) = self.note_ended_slot(aside) else { continue };
                let slot = self.pool.slot_of(id);
                let taken_back = self.taken_back.iter().position(|&taken| Some(taken) == slot);
                let role = match taken_back {
                    Some(_) => Role::TakingBack,
                    None if self.is_warming => Role::Warming,
                    None => Role::Spawned,
                };
                let operation = self.add(Some(id), role, Stage::Queued);
                if let Some(place) = taken_back {
                    self.taken_back.remove(place);
                    self.states[operation.0].is_invalidation = true;
                }
                self.resume(operation);
                if (self.role(operation), self.step(operation)) == (Role::Spawned, Some(HostStep::Open)) {
                    self.states[operation.0].role = Role::Filling;
                }
            }
            if !self.pool.tick_wanted() {
                break;
            }
            self.tick();
        }
        self.revoke_at_the_end();
        if !self.shares() {
            self.follow_reserved_slots();
        }
        self.check();
    }

    /// A woken operation may have been given another slot since.
    fn follow_reserved_slots(&mut self) {
        for operation in self.operations() {
            let state = &self.states[operation.0];
            if let (Stage::Woken, false, Some(id)) = (state.stage, state.goes_on, state.id)
                && let Some(slot) = self.pool.slot_of(id)
            {
                self.states[operation.0].slot_use = Some((slot, SlotUse::Opening));
            }
        }
    }

    /// The caller leaves its operation, which goes on under a new number.
    fn split(&mut self, caller: Operation) -> Operation {
        let rest = self.add(None, Role::Checkout, Stage::Ended);
        self.states.swap(caller.0, rest.0);
        let state = &mut self.states[rest.0];
        state.caller_outcome = CallerOutcome::Left;
        let (role, has_deadline, deaths) = (state.role, state.has_deadline, state.deaths);
        let state = &mut self.states[caller.0];
        (state.role, state.has_deadline, state.deaths) = (role, has_deadline, deaths);
        self.splits.push((caller, rest));
        rest
    }

    fn follow(&mut self, predecessor: OperationId, id: OperationId) {
        let caller = self.operation_of(predecessor);
        let rest = self.split(caller);
        let is_tried_again = self.stage(rest) == Stage::Late;
        let slot = self.pool.slot_of(id).expect("a follower has a slot");
        let state = &mut self.states[caller.0];
        state.id = Some(id);
        state.stage = Stage::Woken;
        state.slot_use = Some((slot, SlotUse::Opening));
        state.goes_on = is_tried_again;
        if !is_tried_again {
            state.deaths = 0;
        }
        self.log.push(LogEntry::Woken(caller));
    }

    /// Returns the callers that left their operations since, with the numbers under which those go on.
    pub(crate) fn take_splits(&mut self) -> Vec<(Operation, Operation)> {
        core::mem::take(&mut self.splits)
    }

    /// Takes away the leases that the end of a close's patience ended.
    fn revoke_at_the_end(&mut self) {
        if !self.pool.is_closed() {
            return;
        }
        let holders: Vec<Operation> = self.operations().filter(|&operation| self.has_lease(operation)).collect();
        for operation in holders {
            let has_ended = match self.hold(operation) {
                Hold::Lease(lease) => !self.pool.is_leased(lease),
                Hold::Share(id) => self.pool.resume(id) == Step::Done,
            };
            if has_ended {
                self.states[operation.0].holds_lease = false;
            }
        }
    }

    fn take_notice(&mut self, operation: Operation, notice: Notice) {
        let stage = self.stage(operation);
        match (notice, stage) {
            (Notice::Grant(lease), Stage::Queued) => self.grant(operation, lease),
            (Notice::Grant(lease), Stage::Woken) if !self.states[operation.0].goes_on => self.grant(operation, lease),
            (Notice::Grant(lease), Stage::Woken | Stage::Performing(_) | Stage::InLine | Stage::AwaitingPlace) => {
                self.split(operation);
                self.states[operation.0].stage = Stage::Ended;
                self.grant(operation, lease);
            }
            (Notice::Resume, Stage::Woken) if self.states[operation.0].goes_on => {}
            (Notice::Reject(refusal), Stage::Woken) if self.states[operation.0].goes_on => {
                self.refuse(operation, refusal, Stage::Woken);
            }
            (Notice::Reject(refusal), Stage::Queued | Stage::Woken) => self.refuse(operation, refusal, Stage::Ended),
            (Notice::Reject(refusal), Stage::Performing(_) | Stage::InLine | Stage::AwaitingPlace) => {
                self.refuse(operation, refusal, stage);
            }
            // It had its place, and then lost its caller.
            (Notice::Resume, Stage::Queued | Stage::InLine | Stage::AwaitingPlace) => {
                if stage == Stage::Queued {
                    let slot = self.pool.slot_of(self.id(operation)).expect("a woken operation has a slot");
                    self.states[operation.0].slot_use = Some((slot, self.use_when_woken(slot)));
                }
                self.states[operation.0].is_first_in_line = stage == Stage::InLine;
                self.states[operation.0].goes_on = stage != Stage::Queued;
                self.states[operation.0].stage = Stage::Woken;
                self.log.push(LogEntry::Woken(operation));
            }
            (Notice::Expire, Stage::Performing(_)) => {
                self.states[operation.0].expired = true;
                self.log.push(LogEntry::Expired(operation));
            }
            (Notice::Release, Stage::Performing(_) | Stage::StillOpen(_)) => {
                assert!(!self.states[operation.0].is_released, "{operation:?} is settled once");
                self.states[operation.0].is_released = true;
            }
            (Notice::Done, Stage::Draining) => {
                self.states[operation.0].stage = Stage::Ended;
                self.log.push(LogEntry::Ended(operation));
            }
            _ => panic!("{notice:?} for {operation:?} while {stage:?}"),
        }
    }

    /// Lets every step succeed and every caller return its lease, until none has or wants one.
    pub(crate) fn return_everything(&mut self) {
        loop {
            self.run();
            if let Some(caller) = self.operations().find(|&operation| self.has_lease(operation)) {
                self.checkin(caller, true);
            } else if let Some(operation) = self.operations().find(|&operation| self.stage(operation) == Stage::Holding)
            {
                self.close_detached(operation, true, false);
            } else {
                break;
            }
        }
    }

    /// Returns everything, and lets the grace of lost leases pass.
    pub(crate) fn settle_everything(&mut self) {
        self.return_everything();
        if self.states.iter().any(|state| state.is_lost) {
            self.pass(40_000.0);
            self.return_everything();
        }
    }

    /// Asserts that nothing is left of a pool that was closed.
    pub(crate) fn assert_nothing_is_left(&self) {
        for operation in self.operations() {
            assert!(self.has_ended(operation), "{operation:?} goes on: {:?}", self.stage(operation));
            assert!(
                self.role(operation) != Role::Checkout || self.is_settled(operation),
                "{operation:?} was never settled"
            );
        }
        assert_eq!(self.open_connections(), 0);
        assert_eq!(self.stats().total, 0);
        assert!(!self.has_timer());
        assert!(!self.pool.is_attended());
    }
}
