//! A scripted host for the policy: it does what the shell does, but each outcome, each wake-up and each millisecond is
//! the test's. It opens numbered connections, runs the host's one timer on a virtual clock, and after every call holds
//! the policy to its books: each caller settled once, each connection in one place and closed once, nobody waiting in
//! vain, and every number of the statistics equal to what the host itself sees (harness/ledger.rs).

mod ledger;

use edgepool::policy::{
    Begin, Config, Counts, Event as Hook, Hooks, Kind, LeaseId, Limits, Notice, OperationId, Outcome, Pool, Refusal,
    ResetStyle, Return, Settings, Span, Stats, Step,
};
use ledger::Claim;

/// A flow of the host: a caller's checkout, a return, a child, a close. Counted from 0 in the order of beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow(pub(crate) usize);

/// A connection, counted from 0 in the order of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection(pub(crate) usize);

/// What a flow does to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Open,
    Ping(Connection),
    Rollback(Connection),
    Commit(Connection),
    Finalize(Connection),
    Close(Connection),
    Terminate(Connection),
    /// Calls the listeners of an event, with the connection that it is about, or with none.
    Emit(Hook, Option<Connection>),
    /// Takes the connection of a lost lease out of its slot, where it is still there.
    TakeOut(Option<Connection>),
}

/// What a call into the policy brought about; first for the flow that called, then for others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    Granted(Flow, Connection),
    Refused(Flow, Refusal),
    Slept(Flow),
    Woken(Flow),
    Expired(Flow),
    Began(Flow, Deed),
    /// A child began.
    Bore(Flow, Deed),
    Ended(Flow),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    Checkout,
    Return,
    Detached,
    Child,
    /// A child that opens a connection before anybody asks.
    Warming,
    /// The end of a slot's connection through its record.
    Emptying,
    /// An event that nothing depends on.
    Telling,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    Queued,
    Woken,
    /// Its connection is open, and another's connect listeners run.
    InLine,
    /// Its connection was dead, and as many creators run as may.
    AwaitingPlace,
    Performing(Step),
    /// The creator ran out of time and may still deliver.
    Late,
    /// A caller holds the detached connection.
    Holding,
    Draining,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Unsettled,
    Granted(LeaseId),
    /// A share of the connection of this slot.
    Shared(u32),
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Slot(u32),
    Flow(Flow),
    Closed,
}

/// What a caller holds, as the policy names it.
#[derive(Clone, Copy)]
enum Hold {
    Lease(LeaseId),
    Share(OperationId),
}

/// The slot that a step concerns.
pub(crate) fn step_slot(step: Step) -> Option<u32> {
    match step {
        Step::Open(slot) | Step::Ping(slot) | Step::Finalize(slot) | Step::Detach(slot) | Step::Share(slot) => {
            Some(slot)
        }
        Step::Rollback(slot) | Step::Commit(slot) | Step::Close(slot) | Step::Terminate(slot) => slot,
        Step::Emit(_, slot) => slot,
        Step::Wait | Step::Grant(_) | Step::Reject(_) | Step::Done => None,
    }
}

struct Strand {
    id: Option<OperationId>,
    role: Role,
    stage: Stage,
    fate: Fate,
    holds_lease: bool,
    /// The lease was dropped without a return.
    is_lost: bool,
    /// What the caller was given, or what the flow works on where that is not whatever its slot holds.
    connection: Option<Connection>,
    /// What it performs now.
    deed: Option<Deed>,
    /// Which slot the flow has, and what the books should say of it.
    claim: Option<(u32, Claim)>,
    /// Whether the return began with the word that its connection is not to be trusted.
    is_invalidation: bool,
    /// Woken because its turn for the first listeners has come.
    is_first_in_line: bool,
    /// Woken in the midst of its steps, so that they go on without its caller.
    goes_on: bool,
    /// How many dead connections its checkout has met.
    deaths: u32,
    has_deadline: bool,
    expired: bool,
}

pub(crate) struct Host {
    pub(crate) pool: Pool,
    pub(crate) now: f64,
    settings: Settings,
    hooks: u16,
    is_invalidating: bool,
    is_warming: bool,
    timer: Option<f64>,
    strands: Vec<Strand>,
    places: Vec<Place>,
    /// What came too late for its slot.
    late: Vec<Connection>,
    log: Vec<Event>,
}

/// Settings of this size, the rest as it comes.
pub(crate) fn sized(pool_size: u32, max_overflow: i32) -> Settings {
    Settings { pool_size: f64::from(pool_size), max_overflow: f64::from(max_overflow), ..Settings::default() }
}

/// The same, where a return resets nothing and so ends at once.
pub(crate) fn plain(pool_size: u32, max_overflow: i32) -> Settings {
    Settings { reset_on_return: Some(ResetStyle::None), ..sized(pool_size, max_overflow) }
}

/// Settings of a pool of this kind, the rest as it comes.
pub(crate) fn of_kind(kind: Kind) -> Settings {
    Settings { kind: Some(kind), ..Settings::default() }
}

/// Every event, in the order of the policy's numbers.
pub(crate) const EVENTS: [Hook; 10] = [
    Hook::FirstConnect,
    Hook::Connect,
    Hook::Checkout,
    Hook::Reset,
    Hook::Checkin,
    Hook::Invalidate,
    Hook::SoftInvalidate,
    Hook::Close,
    Hook::Detach,
    Hook::CloseDetached,
];

/// The listeners of an event are called about this connection.
pub(crate) const fn tell(event: Hook, connection: usize) -> Deed {
    Deed::Emit(event, Some(Connection(connection)))
}

/// The checkin listeners are called about a record without a connection.
pub(crate) const CHECKIN_EMPTY: Deed = Deed::Emit(Hook::Checkin, None);

pub(crate) fn counts(size: i32, checked_in: i32, overflow: i32, checked_out: i32) -> Counts {
    Counts { size, checked_in, overflow, checked_out }
}

impl Host {
    pub(crate) fn new(settings: Settings) -> Self {
        let config = Config::new(&settings).unwrap_or_else(|violation| panic!("{violation:?}"));
        // A host's clock starts anywhere, and between two milliseconds.
        Self {
            pool: Pool::new(config),
            now: 1234.75,
            settings,
            hooks: 0,
            is_invalidating: false,
            is_warming: false,
            timer: None,
            strands: Vec::new(),
            places: Vec::new(),
            late: Vec::new(),
            log: Vec::new(),
        }
    }

    /// A host whose pool has listeners of every event.
    pub(crate) fn listening(settings: Settings) -> Self {
        let mut host = Self::new(settings);
        host.listen(&EVENTS);
        host
    }

    /// From now on these events have listeners, and no others.
    pub(crate) fn listen(&mut self, events: &[Hook]) {
        self.hooks = events.iter().fold(0, |bits, &event| bits | 1 << event as u16);
        self.pool.set_hooks(Hooks::from_bits(self.hooks));
        self.after_call();
    }

    pub(crate) fn hears(&self, event: Hook) -> bool {
        self.hooks & 1 << event as u16 != 0
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn shares(&self) -> bool {
        matches!(self.settings.kind, Some(Kind::Static | Kind::Singleton))
    }

    // ---- what callers do

    pub(crate) fn connect(&mut self) -> Flow {
        let limits = Limits { timeout: None, deadline: None, now_ms: self.now };
        self.checkout(self.pool.config().tells_time().then_some(limits))
    }

    pub(crate) fn connect_within(&mut self, timeout: Option<Span>, deadline: Option<Span>) -> Flow {
        self.checkout(Some(Limits { timeout, deadline, now_ms: self.now }))
    }

    fn checkout(&mut self, limits: Option<Limits>) -> Flow {
        let flow = self.add(None, Role::Checkout, Stage::Queued);
        self.strands[flow.0].has_deadline = limits.is_some();
        match self.pool.begin_checkout(limits) {
            Begin::Granted(lease) => self.grant(flow, lease),
            Begin::Refused(refusal) => self.refuse(flow, refusal, Stage::Ended),
            Begin::Pending(id) => {
                self.strands[flow.0].id = Some(id);
                self.resume(flow);
            }
        }
        self.after_call();
        flow
    }

    /// A connect that must succeed, all its steps going well.
    pub(crate) fn lend(&mut self) -> Flow {
        let caller = self.connect();
        self.run_flow(caller);
        assert!(self.has_lease(caller), "{caller:?} got no lease: {:?}", self.stage(caller));
        caller
    }

    /// All steps of the flow go well, until it sleeps or ends.
    pub(crate) fn run_flow(&mut self, flow: Flow) {
        loop {
            match self.stage(flow) {
                Stage::Performing(_) => self.finish(flow, Outcome::Ok),
                Stage::Woken => self.wake(flow),
                _ => break,
            }
        }
    }

    pub(crate) fn abort(&mut self, caller: Flow) -> bool {
        let Some(id) = self.strands[caller.0].id else { return false };
        let told = self.pool.abort(id);
        if told {
            let stage = match self.stage(caller) {
                Stage::Performing(_) | Stage::InLine | Stage::AwaitingPlace => self.stage(caller),
                Stage::Woken if self.strands[caller.0].goes_on => Stage::Woken,
                Stage::Queued | Stage::Woken => Stage::Ended,
                stage => panic!("{caller:?} was aborted while {stage:?}"),
            };
            self.refuse(caller, Refusal::Aborted, stage);
        }
        self.after_call();
        told
    }

    /// Returns the flow of the return, where it did not end at once.
    pub(crate) fn checkin(&mut self, caller: Flow, clean: bool) -> Option<Flow> {
        if self.pool.config().tells_time() {
            self.pool.read_clock(self.now);
        }
        let answer = match self.take_lease(caller) {
            Hold::Lease(lease) => self.pool.begin_checkin(lease, clean),
            Hold::Share(id) => self.pool.begin_share_return(id, clean),
        };
        let connection = self.strands[caller.0].connection;
        let flow = self.begin_return(answer, Role::Return, connection);
        if flow.is_some() && self.shares() {
            let other =
                self.flows().find(|&other| self.has_lease(other) && self.connection(other) == self.connection(caller));
            assert_eq!(other, None, "{caller:?} was not the last to have its connection");
        }
        flow
    }

    /// Returns the lease, all steps going well.
    pub(crate) fn give_back(&mut self, caller: Flow) {
        if let Some(flow) = self.checkin(caller, false) {
            self.run_flow(flow);
        }
    }

    pub(crate) fn invalidate(&mut self, caller: Flow) -> Flow {
        self.invalidate_at_once(caller).expect("a termination is a step")
    }

    /// The same where the connection may be gone already, so that nothing may be left to do.
    pub(crate) fn invalidate_at_once(&mut self, caller: Flow) -> Option<Flow> {
        let answer = match self.take_lease(caller) {
            Hold::Lease(lease) => self.pool.begin_invalidate(lease),
            Hold::Share(id) => self.pool.begin_share_invalidate(id),
        };
        let connection = self.strands[caller.0].connection;
        self.is_invalidating = true;
        let flow = self.begin_return(answer, Role::Return, connection);
        self.is_invalidating = false;
        flow
    }

    fn begin_return(&mut self, answer: Return, role: Role, connection: Option<Connection>) -> Option<Flow> {
        let flow = match answer {
            Return::Done => None,
            Return::HandedOver(waiter, lease) => {
                self.take_notice(self.flow_of(waiter), Notice::Grant(lease));
                None
            }
            Return::Pending(id) => {
                let flow = self.add(Some(id), role, Stage::Queued);
                self.strands[flow.0].connection = connection;
                self.strands[flow.0].is_invalidation = self.is_invalidating;
                self.resume(flow);
                Some(flow)
            }
        };
        self.after_call();
        flow
    }

    /// The slot of the connection, where it is in one.
    pub(crate) fn slot_of(&self, connection: Connection) -> Option<u32> {
        match self.places[connection.0] {
            Place::Slot(slot) => Some(slot),
            _ => None,
        }
    }

    fn slot_with(&self, connection: Connection) -> u32 {
        self.slot_of(connection).unwrap_or_else(|| panic!("{connection:?} is in no slot"))
    }

    pub(crate) fn invalidate_soft(&mut self, caller: Flow) {
        let slot = self.slot_with(self.connection(caller));
        self.pool.invalidate_soft(slot);
        self.after_call();
    }

    /// The same through the record.
    pub(crate) fn mark(&mut self, connection: Connection) {
        let slot = self.slot_with(connection);
        self.pool.invalidate_soft(slot);
        self.after_call();
    }

    pub(crate) fn invalidate_as_old(&mut self, caller: Flow) {
        let slot = self.slot_with(self.connection(caller));
        self.pool.invalidate_as_old(slot);
        self.after_call();
    }

    pub(crate) fn invalidate_all(&mut self) {
        self.pool.invalidate_all();
        self.after_call();
    }

    /// Whether the connection is closed, or on its way there, or somebody else's.
    pub(crate) fn is_ending(&self, connection: Connection) -> bool {
        let ends = |deed| match deed {
            Deed::Close(it) | Deed::Terminate(it) | Deed::Emit(Hook::Close | Hook::Invalidate, Some(it)) => {
                it == connection
            }
            _ => false,
        };
        self.slot_of(connection).is_none() || self.deeds().into_iter().any(ends)
    }

    /// The detached lease, where its connection ended before, has nothing to close.
    pub(crate) fn detach(&mut self, caller: Flow) -> Flow {
        let connection = self.connection(caller);
        let is_ending = self.is_ending(connection);
        let id = match self.take_lease(caller) {
            Hold::Lease(lease) => self.pool.detach(lease).expect("a lease can be detached"),
            Hold::Share(id) => {
                assert!(self.pool.detach_share(id), "a share can be detached");
                id
            }
        };
        let flow = self.add(Some(id), Role::Detached, Stage::Holding);
        if !is_ending {
            self.strands[flow.0].connection = Some(connection);
            self.places[connection.0] = Place::Flow(flow);
        }
        self.after_call();
        flow
    }

    pub(crate) fn close_detached(&mut self, flow: Flow, clean: bool, abrupt: bool) {
        let id = self.id(flow);
        let is_gone = self.strands[flow.0].connection.is_none();
        let answer = if is_gone { Return::Done } else { Return::Pending(id) };
        assert_eq!(self.pool.begin_detached_close(id, clean, abrupt), answer);
        if is_gone {
            self.strands[flow.0].stage = Stage::Ended;
        } else {
            self.resume(flow);
        }
        self.after_call();
    }

    /// Through the record: ends the connection of its slot, whoever has it.
    pub(crate) fn empty(&mut self, connection: Connection, abrupt: bool) -> Option<Flow> {
        let slot = self.slot_with(connection);
        let answer = self.pool.begin_emptying(slot, abrupt);
        if answer == Return::Done {
            self.after_call();
            return None;
        }
        let flow = Flow(self.strands.len());
        self.places[connection.0] = Place::Flow(flow);
        self.begin_return(answer, Role::Emptying, Some(connection))
    }

    /// Tells the listeners of an event about a connection.
    pub(crate) fn tell(&mut self, event: Hook, connection: Connection) -> Option<Flow> {
        let answer = self.pool.begin_telling(event);
        self.begin_return(answer, Role::Telling, Some(connection))
    }

    pub(crate) fn add_finalizer(&mut self, caller: Flow) {
        let slot = self.slot_with(self.connection(caller));
        self.pool.add_finalizer(slot);
        self.after_call();
    }

    /// The lease is dropped without a return.
    pub(crate) fn lose(&mut self, caller: Flow) -> bool {
        let told = match self.hold(caller) {
            Hold::Lease(lease) => {
                self.strands[caller.0].holds_lease = false;
                self.strands[caller.0].is_lost = true;
                self.pool.lose_lease(lease)
            }
            Hold::Share(id) => {
                self.strands[caller.0].holds_lease = false;
                self.pool.lose_share(id)
            }
        };
        self.after_call();
        told
    }

    /// Answers how many more there are to open.
    pub(crate) fn warm(&mut self, count: u32) -> u32 {
        let rest = self.pool.warm(count);
        self.is_warming = true;
        self.after_call();
        self.is_warming = false;
        rest
    }

    pub(crate) fn connection_died(&mut self, connection: Connection) {
        let slot = self.slot_with(connection);
        self.pool.connection_died(slot);
        self.after_call();
    }

    pub(crate) fn dispose(&mut self) {
        self.pool.dispose();
        self.after_call();
    }

    pub(crate) fn close(&mut self, patience: Span) -> Flow {
        let id = self.pool.begin_close(patience);
        let flow = self.add(Some(id), Role::Close, Stage::Draining);
        self.after_call();
        flow
    }

    // ---- what the driver and the clock do

    /// The woken flow gets its turn.
    pub(crate) fn wake(&mut self, flow: Flow) {
        assert_eq!(self.stage(flow), Stage::Woken);
        if let (true, Some((slot, _))) = (self.strands[flow.0].is_first_in_line, self.strands[flow.0].claim)
            && self.find_connection_in(slot).is_none()
        {
            self.strands[flow.0].deaths += 1;
        }
        self.resume(flow);
        self.after_call();
    }

    /// The step of the flow comes to this end.
    pub(crate) fn finish(&mut self, flow: Flow, outcome: Outcome) {
        if let Stage::Performing(
            Step::Ping(slot) | Step::Emit(Hook::Checkout | Hook::FirstConnect | Hook::Connect, Some(slot)),
        ) = self.stage(flow)
            && outcome == Outcome::Ok
            && self.find_connection_in(slot).is_none_or(|connection| self.is_ending(connection))
        {
            // Emptied meanwhile: that is as good as dead.
            self.strands[flow.0].deaths += 1;
        }
        match (self.stage(flow), outcome) {
            (Stage::Performing(Step::Open(slot)), Outcome::Ok) => self.places.push(Place::Slot(slot)),
            (Stage::Performing(Step::Open(_)), Outcome::TimedOut) => self.strands[flow.0].stage = Stage::Late,
            (Stage::Performing(Step::Detach(slot)), Outcome::Ok) => {
                let connection = self.places.iter().position(|&place| place == Place::Slot(slot));
                self.strands[flow.0].connection = connection.map(Connection);
                if let Some(connection) = connection {
                    self.places[connection] = Place::Flow(flow);
                }
            }
            (
                Stage::Performing(Step::Ping(_) | Step::Emit(Hook::Checkout, _)),
                Outcome::Disconnected | Outcome::DisconnectedAll,
            ) => self.strands[flow.0].deaths += 1,
            (Stage::Performing(Step::Ping(_)), Outcome::TimedOut) => self.strands[flow.0].deaths += 1,
            (Stage::Performing(_), Outcome::Ok | Outcome::Failed | Outcome::TimedOut) => {
                if let Some(Deed::Close(connection) | Deed::Terminate(connection)) = self.deed(flow) {
                    assert_ne!(self.places[connection.0], Place::Closed, "{connection:?} is closed twice");
                    self.places[connection.0] = Place::Closed;
                }
            }
            (Stage::Late, Outcome::LateOk) => {
                let connection = Connection(self.places.len());
                self.strands[flow.0].connection = Some(connection);
                self.places.push(Place::Flow(flow));
                self.late.push(connection);
            }
            (Stage::Late, Outcome::LateFailed) => {}
            (stage, outcome) => panic!("{flow:?} cannot end {stage:?} with {outcome:?}"),
        }
        self.read_clock(flow);
        self.strands[flow.0].expired = false;
        let id = self.id(flow);
        let step = self.pool.advance(id, outcome);
        self.take_step(flow, step, Some(outcome));
        self.after_call();
    }

    /// Everything that can move moves and goes well, until only sleepers and holders are left.
    pub(crate) fn run(&mut self) {
        while let Some(flow) =
            self.flows().find(|&flow| matches!(self.stage(flow), Stage::Woken | Stage::Performing(_) | Stage::Late))
        {
            match self.stage(flow) {
                Stage::Woken => self.wake(flow),
                Stage::Late => self.finish(flow, Outcome::LateOk),
                _ => self.finish(flow, Outcome::Ok),
            }
        }
    }

    /// Time passes; the timer fires whenever it is due.
    pub(crate) fn pass(&mut self, ms: f64) {
        let until = self.now + ms;
        while self.pass_to_tick(until) {}
    }

    /// Time passes until the timer fires, or until then. True: it fired.
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

    /// The timer fires now, due or not: what hosts do that were asleep, or whose timers run fast.
    pub(crate) fn fire_timer(&mut self) {
        self.tick();
        self.after_call();
    }

    fn tick(&mut self) {
        self.timer = self.pool.tick(self.now).map(|delay_ms| {
            assert!(delay_ms < 1 << 31, "no host counts {delay_ms} ms");
            self.now + f64::from(delay_ms)
        });
    }

    // ---- what a test asks

    pub(crate) fn flows(&self) -> impl Iterator<Item = Flow> + use<> {
        (0..self.strands.len()).map(Flow)
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = Connection> + use<> {
        (0..self.places.len()).map(Connection)
    }

    pub(crate) fn stage(&self, flow: Flow) -> Stage {
        self.strands[flow.0].stage
    }

    pub(crate) fn role(&self, flow: Flow) -> Role {
        self.strands[flow.0].role
    }

    pub(crate) fn id(&self, flow: Flow) -> OperationId {
        self.strands[flow.0].id.expect("the flow has an operation")
    }

    pub(crate) fn has_ended(&self, flow: Flow) -> bool {
        self.stage(flow) == Stage::Ended
    }

    pub(crate) fn has_expired(&self, flow: Flow) -> bool {
        self.strands[flow.0].expired
    }

    pub(crate) fn has_lease(&self, caller: Flow) -> bool {
        self.strands[caller.0].holds_lease
    }

    pub(crate) fn refusal(&self, caller: Flow) -> Option<Refusal> {
        match self.strands[caller.0].fate {
            Fate::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn is_settled(&self, caller: Flow) -> bool {
        self.strands[caller.0].fate != Fate::Unsettled
    }

    pub(crate) fn lease(&self, caller: Flow) -> LeaseId {
        match self.strands[caller.0].fate {
            Fate::Granted(lease) => lease,
            fate => panic!("{caller:?} has no lease: {fate:?}"),
        }
    }

    fn hold(&self, caller: Flow) -> Hold {
        match self.strands[caller.0].fate {
            Fate::Shared(_) => Hold::Share(self.id(caller)),
            _ => Hold::Lease(self.lease(caller)),
        }
    }

    /// The connection of the caller's lease.
    pub(crate) fn connection(&self, caller: Flow) -> Connection {
        self.strands[caller.0].connection.unwrap_or_else(|| panic!("{caller:?} was given no connection"))
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

    pub(crate) fn deed(&self, flow: Flow) -> Option<Deed> {
        matches!(self.stage(flow), Stage::Performing(_)).then_some(self.strands[flow.0].deed)?
    }

    fn deed_of(&self, flow: Flow, step: Step) -> Deed {
        let own = self.strands[flow.0].connection;
        let target = |slot: Option<u32>| match (own, slot) {
            (Some(connection), _) => connection,
            (None, Some(slot)) => self.connection_in(slot),
            (None, None) => panic!("{flow:?} holds no connection for {step:?}"),
        };
        match step {
            Step::Open(_) => Deed::Open,
            Step::Ping(slot) => Deed::Ping(target(Some(slot))),
            Step::Rollback(slot) => Deed::Rollback(target(slot)),
            Step::Commit(slot) => Deed::Commit(target(slot)),
            Step::Finalize(slot) => Deed::Finalize(target(Some(slot))),
            Step::Emit(Hook::Checkin, slot) => {
                Deed::Emit(Hook::Checkin, slot.and_then(|slot| self.find_connection_in(slot)))
            }
            Step::Emit(event, slot) => Deed::Emit(event, Some(target(slot))),
            Step::Close(slot) => Deed::Close(target(slot)),
            Step::Terminate(slot) => Deed::Terminate(target(slot)),
            Step::Detach(slot) => Deed::TakeOut(self.find_connection_in(slot)),
            Step::Wait | Step::Grant(_) | Step::Share(_) | Step::Reject(_) | Step::Done => {
                panic!("{step:?} is not performed")
            }
        }
    }

    /// What is being done to the driver right now, by flow.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        self.flows().filter_map(|flow| self.deed(flow)).collect()
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

    pub(crate) fn take_log(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.log)
    }

    /// What was performed since the log was last taken, in order, by whomever.
    pub(crate) fn take_story(&mut self) -> Vec<Deed> {
        let deeds = self.take_log().into_iter().filter_map(|event| match event {
            Event::Began(_, deed) | Event::Bore(_, deed) => Some(deed),
            _ => None,
        });
        deeds.collect()
    }

    /// What is performed until nothing moves, all of it going well.
    pub(crate) fn run_story(&mut self) -> Vec<Deed> {
        self.run();
        self.take_story()
    }

    // ---- the shell's part

    fn add(&mut self, id: Option<OperationId>, role: Role, stage: Stage) -> Flow {
        self.strands.push(Strand {
            id,
            role,
            stage,
            fate: Fate::Unsettled,
            holds_lease: false,
            is_lost: false,
            connection: None,
            deed: None,
            claim: None,
            is_invalidation: false,
            is_first_in_line: false,
            goes_on: false,
            deaths: 0,
            has_deadline: false,
            expired: false,
        });
        Flow(self.strands.len() - 1)
    }

    fn take_lease(&mut self, caller: Flow) -> Hold {
        assert!(core::mem::take(&mut self.strands[caller.0].holds_lease), "{caller:?} holds no lease");
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

    fn read_clock(&mut self, flow: Flow) {
        if self.strands[flow.0].has_deadline || self.pool.config().tells_time() {
            self.pool.read_clock(self.now);
        }
    }

    fn resume(&mut self, flow: Flow) {
        self.read_clock(flow);
        let id = self.id(flow);
        let step = self.pool.resume(id);
        self.take_step(flow, step, None);
    }

    fn take_step(&mut self, flow: Flow, step: Step, outcome: Option<Outcome>) {
        let claim = self.claim(flow, step, outcome);
        self.strands[flow.0].claim = claim;
        match step {
            Step::Wait => {
                if self.stage(flow) != Stage::Late {
                    self.strands[flow.0].stage = match (self.stage(flow), claim) {
                        _ if self.pool.is_waiting(self.id(flow)) => Stage::Queued,
                        (Stage::Performing(Step::Open(_)), _) => Stage::InLine,
                        _ => Stage::AwaitingPlace,
                    };
                }
                self.log.push(Event::Slept(flow));
            }
            Step::Grant(lease) => self.grant(flow, lease),
            Step::Share(slot) => self.grant_share(flow, slot),
            Step::Reject(refusal) => {
                let late = self.stage(flow) == Stage::Late && refusal == Refusal::OpenTimeout;
                self.refuse(flow, refusal, if late { Stage::Late } else { Stage::Ended });
            }
            Step::Done => {
                self.strands[flow.0].stage = Stage::Ended;
                self.log.push(Event::Ended(flow));
            }
            step => {
                self.strands[flow.0].stage = Stage::Performing(step);
                if let Step::Open(slot) = step {
                    assert!(!self.places.contains(&Place::Slot(slot)), "slot {slot} is opened over a connection");
                }
                let deed = self.deed_of(flow, step);
                self.strands[flow.0].deed = Some(deed);
                self.assert_may_perform(flow, step, deed);
                let child = matches!(self.role(flow), Role::Child | Role::Warming);
                self.log.push(if child { Event::Bore(flow, deed) } else { Event::Began(flow, deed) });
            }
        }
    }

    /// Who holds the lease of this slot.
    fn holder(&self, slot: u32) -> Option<Flow> {
        self.flows().find(|&flow| match self.strands[flow.0].fate {
            Fate::Granted(lease) => self.has_lease(flow) && lease.index() == slot,
            _ => false,
        })
    }

    /// What the shell relies on when it performs a step.
    fn assert_may_perform(&self, flow: Flow, step: Step, deed: Deed) {
        let role = self.role(flow);
        if let Step::Emit(event, slot) = step {
            assert!(self.hears(event), "nobody listens to {event:?}");
            // As the listeners see it; of a slot that others share, it is in use whatever this flow does.
            if let (Some(slot), false) = (slot, self.shares() || role == Role::Emptying) {
                match event {
                    Hook::FirstConnect | Hook::Connect | Hook::Checkin => {
                        assert!(!self.pool.is_in_use(slot), "{step:?}")
                    }
                    Hook::Checkout | Hook::Reset => assert!(self.pool.is_in_use(slot), "{step:?}"),
                    Hook::Invalidate => assert_eq!(self.pool.is_in_use(slot), role != Role::Child, "{step:?}"),
                    _ => {}
                }
            }
        }
        if let Deed::Close(connection) | Deed::Terminate(connection) = deed {
            let is_here = match self.places[connection.0] {
                Place::Slot(slot) => step_slot(step) == Some(slot),
                Place::Flow(place) => place == flow,
                Place::Closed => false,
            };
            assert!(is_here, "{step:?} of {flow:?} for {connection:?}, which is {:?}", self.places[connection.0]);
        }
        // Nothing is done to a connection that a caller holds, but at the end of a close's patience, or through the record.
        let acts =
            matches!(step, Step::Ping(_) | Step::Rollback(_) | Step::Commit(_) | Step::Close(_) | Step::Terminate(_));
        if let (true, Some(slot)) = (acts && role != Role::Emptying, step_slot(step))
            && let Some(holder) = self.holder(slot)
        {
            assert!(matches!(step, Step::Terminate(_)) && role == Role::Child, "{step:?} under {holder:?}");
            assert!(self.pool.is_closed() && !self.pool.is_leased(self.lease(holder)));
        }
    }

    fn grant(&mut self, flow: Flow, lease: LeaseId) {
        let connection = self.connection_in(lease.index());
        assert!(self.pool.is_leased(lease));
        assert_eq!(self.pool.lease_of(lease.index()), lease);
        assert_eq!(self.holder(lease.index()), None, "{flow:?} shares {connection:?}");
        self.settle(flow, Fate::Granted(lease), Stage::Ended);
        self.strands[flow.0].holds_lease = true;
        self.strands[flow.0].connection = Some(connection);
        self.log.push(Event::Granted(flow, connection));
    }

    fn grant_share(&mut self, flow: Flow, slot: u32) {
        let connection = self.connection_in(slot);
        assert!(self.shares());
        self.settle(flow, Fate::Shared(slot), Stage::Ended);
        self.strands[flow.0].holds_lease = true;
        self.strands[flow.0].connection = Some(connection);
        self.log.push(Event::Granted(flow, connection));
    }

    fn refuse(&mut self, flow: Flow, refusal: Refusal, stage: Stage) {
        self.settle(flow, Fate::Refused(refusal), stage);
        self.log.push(Event::Refused(flow, refusal));
    }

    fn settle(&mut self, flow: Flow, fate: Fate, stage: Stage) {
        let strand = &mut self.strands[flow.0];
        assert_eq!(strand.fate, Fate::Unsettled, "{flow:?} is settled once");
        let may_fail = strand.role == Role::Warming && matches!(fate, Fate::Refused(_));
        assert!(strand.role == Role::Checkout || may_fail, "{flow:?} has no caller");
        strand.fate = fate;
        strand.stage = stage;
        if stage == Stage::Ended {
            strand.claim = None;
        }
        if let (Some(id), Stage::Ended) = (strand.id, stage) {
            let rest = if matches!(fate, Fate::Shared(_)) { Step::Wait } else { Step::Done };
            assert_eq!(self.pool.resume(id), rest, "the operation of {flow:?} lives on");
        }
    }

    fn flow_of(&self, id: OperationId) -> Flow {
        let lives = |flow: &Flow| self.strands[flow.0].id == Some(id) && self.stage(*flow) != Stage::Ended;
        self.flows().find(lives).unwrap_or_else(|| panic!("news for {id:?}, which nobody runs"))
    }

    fn after_call(&mut self) {
        loop {
            while let Some((id, notice)) = self.pool.take_notice() {
                let flow = self.flow_of(id);
                self.take_notice(flow, notice);
            }
            while let Some(id) = self.pool.take_child() {
                let role = if self.is_warming { Role::Warming } else { Role::Child };
                let flow = self.add(Some(id), role, Stage::Queued);
                self.resume(flow);
            }
            if !self.pool.tick_wanted() {
                break;
            }
            self.tick();
        }
        self.revoke_at_the_end();
        self.check();
    }

    /// The patience of a close has ended: what callers held is not theirs any more.
    fn revoke_at_the_end(&mut self) {
        if !self.pool.is_closed() {
            return;
        }
        let holders: Vec<Flow> = self.flows().filter(|&flow| self.has_lease(flow)).collect();
        for flow in holders {
            let has_ended = match self.hold(flow) {
                Hold::Lease(lease) => !self.pool.is_leased(lease),
                Hold::Share(id) => self.pool.resume(id) == Step::Done,
            };
            if has_ended {
                self.strands[flow.0].holds_lease = false;
            }
        }
    }

    fn take_notice(&mut self, flow: Flow, notice: Notice) {
        let stage = self.stage(flow);
        match (notice, stage) {
            (Notice::Grant(lease), Stage::Queued) => self.grant(flow, lease),
            (Notice::Reject(refusal), Stage::Woken) if self.strands[flow.0].goes_on => {
                self.refuse(flow, refusal, Stage::Woken);
            }
            (Notice::Reject(refusal), Stage::Queued | Stage::Woken) => self.refuse(flow, refusal, Stage::Ended),
            (Notice::Reject(refusal), Stage::Performing(_) | Stage::InLine | Stage::AwaitingPlace) => {
                self.refuse(flow, refusal, stage);
            }
            // Had its place, and then lost its caller.
            (Notice::Resume, Stage::Woken) if self.is_settled(flow) => {}
            (Notice::Resume, Stage::Queued | Stage::InLine | Stage::AwaitingPlace) => {
                if stage == Stage::Queued {
                    let slot = self.pool.slot_of(self.id(flow)).expect("who is woken has a slot");
                    self.strands[flow.0].claim = Some((slot, self.claim_of_woken(slot)));
                }
                self.strands[flow.0].is_first_in_line = stage == Stage::InLine;
                self.strands[flow.0].goes_on = stage != Stage::Queued;
                self.strands[flow.0].stage = Stage::Woken;
                self.log.push(Event::Woken(flow));
            }
            (Notice::Expire, Stage::Performing(_)) => {
                self.strands[flow.0].expired = true;
                self.log.push(Event::Expired(flow));
            }
            (Notice::Done, Stage::Draining) => {
                self.strands[flow.0].stage = Stage::Ended;
                self.log.push(Event::Ended(flow));
            }
            _ => panic!("{notice:?} for {flow:?} while {stage:?}"),
        }
    }

    /// Every step goes well and every caller gives back what it has, until nobody has or wants anything.
    pub(crate) fn return_everything(&mut self) {
        loop {
            self.run();
            if let Some(caller) = self.flows().find(|&flow| self.has_lease(flow)) {
                self.checkin(caller, true);
            } else if let Some(flow) = self.flows().find(|&flow| self.stage(flow) == Stage::Holding) {
                self.close_detached(flow, true, false);
            } else {
                break;
            }
        }
    }

    /// The same, and what was lost comes back, too.
    pub(crate) fn settle_everything(&mut self) {
        self.return_everything();
        if self.strands.iter().any(|strand| strand.is_lost) {
            self.pass(40_000.0);
            self.return_everything();
        }
    }

    /// Nothing is left of a pool that was closed.
    pub(crate) fn assert_nothing_is_left(&self) {
        for flow in self.flows() {
            assert!(self.has_ended(flow), "{flow:?} goes on: {:?}", self.stage(flow));
            assert!(self.role(flow) != Role::Checkout || self.is_settled(flow), "{flow:?} was never settled");
        }
        assert_eq!(self.open_connections(), 0);
        assert_eq!(self.stats().total, 0);
        assert!(!self.has_timer());
        assert!(!self.pool.is_attended());
    }
}
