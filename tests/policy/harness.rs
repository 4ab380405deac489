//! A scripted host for the policy: it does what the shell does, but each outcome, each wake-up and each millisecond is
//! the test's. It opens numbered connections, runs the host's one timer on a virtual clock, and after every call holds
//! the policy to its books: each caller settled once, each connection in one place and closed once, nobody waiting in
//! vain, and every number of the statistics equal to what the host itself sees.

use edgepool::policy::{
    Begin, Config, Counts, LeaseId, Limits, Notice, OperationId, Outcome, Pool, Refusal, ResetStyle, Return, Settings,
    Span, Stats, Step,
};

/// A flow of the host: a caller's checkout, a return, a child, a close. Counted from 0 in the order of beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow(pub(crate) usize);

/// A connection, counted from 0 in the order of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection(pub(crate) usize);

/// What a flow does to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Open,
    Rollback(Connection),
    Commit(Connection),
    Close(Connection),
    Terminate(Connection),
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
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    Queued,
    Woken,
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
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Slot(u32),
    Flow(Flow),
    Closed,
}

struct Strand {
    id: Option<OperationId>,
    role: Role,
    stage: Stage,
    fate: Fate,
    holds_lease: bool,
    has_deadline: bool,
    expired: bool,
}

pub(crate) struct Host {
    pub(crate) pool: Pool,
    pub(crate) now: f64,
    timer: Option<f64>,
    strands: Vec<Strand>,
    places: Vec<Place>,
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
            timer: None,
            strands: Vec::new(),
            places: Vec::new(),
            log: Vec::new(),
        }
    }

    // ---- what callers do

    pub(crate) fn connect(&mut self) -> Flow {
        self.checkout(None)
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
        while let Stage::Performing(_) = self.stage(caller) {
            self.finish(caller, Outcome::Ok);
        }
        assert!(self.has_lease(caller), "{caller:?} got no lease: {:?}", self.stage(caller));
        caller
    }

    pub(crate) fn abort(&mut self, caller: Flow) -> bool {
        let Some(id) = self.strands[caller.0].id else { return false };
        let told = self.pool.abort(id);
        if told {
            let stage = match self.stage(caller) {
                Stage::Performing(step) => Stage::Performing(step),
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
        let lease = self.take_lease(caller);
        let answer = self.pool.begin_checkin(lease, clean);
        self.begin_return(answer)
    }

    /// Returns the lease, all steps going well.
    pub(crate) fn give_back(&mut self, caller: Flow) {
        if let Some(flow) = self.checkin(caller, false) {
            while let Stage::Performing(_) = self.stage(flow) {
                self.finish(flow, Outcome::Ok);
            }
        }
    }

    pub(crate) fn invalidate(&mut self, caller: Flow) -> Flow {
        let lease = self.take_lease(caller);
        let answer = self.pool.begin_invalidate(lease);
        self.begin_return(answer).expect("a termination is a step")
    }

    fn begin_return(&mut self, answer: Return) -> Option<Flow> {
        let flow = match answer {
            Return::Done => None,
            Return::HandedOver(waiter, lease) => {
                self.take_notice(self.flow_of(waiter), Notice::Grant(lease));
                None
            }
            Return::Pending(id) => {
                let flow = self.add(Some(id), Role::Return, Stage::Queued);
                self.resume(flow);
                Some(flow)
            }
        };
        self.after_call();
        flow
    }

    pub(crate) fn invalidate_soft(&mut self, caller: Flow) {
        self.pool.invalidate_soft(self.lease(caller));
        self.after_call();
    }

    pub(crate) fn invalidate_as_old(&mut self, caller: Flow) {
        self.pool.invalidate_as_old(self.lease(caller));
        self.after_call();
    }

    pub(crate) fn invalidate_all(&mut self) {
        self.pool.invalidate_all();
        self.after_call();
    }

    pub(crate) fn detach(&mut self, caller: Flow) -> Flow {
        let lease = self.take_lease(caller);
        let connection = self.connection_in(lease.index());
        let id = self.pool.detach(lease).expect("a lease can be detached");
        let flow = self.add(Some(id), Role::Detached, Stage::Holding);
        self.places[connection.0] = Place::Flow(flow);
        self.after_call();
        flow
    }

    pub(crate) fn close_detached(&mut self, flow: Flow, clean: bool, abrupt: bool) {
        let id = self.id(flow);
        assert_eq!(self.pool.begin_detached_close(id, clean, abrupt), Return::Pending(id));
        self.resume(flow);
        self.after_call();
    }

    pub(crate) fn connection_died(&mut self, connection: Connection) {
        let Place::Slot(slot) = self.places[connection.0] else { panic!("{connection:?} is in no slot") };
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
        self.resume(flow);
        self.after_call();
    }

    /// The step of the flow comes to this end.
    pub(crate) fn finish(&mut self, flow: Flow, outcome: Outcome) {
        match (self.stage(flow), outcome) {
            (Stage::Performing(Step::Open(slot)), Outcome::Ok) => self.places.push(Place::Slot(slot)),
            (Stage::Performing(Step::Open(_)), Outcome::TimedOut) => self.strands[flow.0].stage = Stage::Late,
            (Stage::Performing(_), Outcome::Ok | Outcome::Failed | Outcome::TimedOut) => {
                if let Some(Deed::Close(connection) | Deed::Terminate(connection)) = self.deed(flow) {
                    assert_ne!(self.places[connection.0], Place::Closed, "{connection:?} is closed twice");
                    self.places[connection.0] = Place::Closed;
                }
            }
            (Stage::Late, Outcome::LateOk) => self.places.push(Place::Flow(flow)),
            (Stage::Late, Outcome::LateFailed) => {}
            (stage, outcome) => panic!("{flow:?} cannot end {stage:?} with {outcome:?}"),
        }
        self.read_clock(flow);
        self.strands[flow.0].expired = false;
        let id = self.id(flow);
        let step = self.pool.advance(id, outcome);
        self.take_step(flow, step);
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

    /// The connection of the caller's lease.
    pub(crate) fn connection(&self, caller: Flow) -> Connection {
        self.connection_in(self.lease(caller).index())
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
        let Stage::Performing(step) = self.stage(flow) else { return None };
        let target = |slot: Option<u32>| match slot {
            Some(slot) => self.connection_in(slot),
            None => {
                let at = self.places.iter().position(|&place| place == Place::Flow(flow));
                Connection(at.unwrap_or_else(|| panic!("{flow:?} holds no connection for {step:?}")))
            }
        };
        Some(match step {
            Step::Open(_) => Deed::Open,
            Step::Rollback(slot) => Deed::Rollback(target(slot)),
            Step::Commit(slot) => Deed::Commit(target(slot)),
            Step::Close(slot) => Deed::Close(target(slot)),
            Step::Terminate(slot) => Deed::Terminate(target(slot)),
            Step::Wait | Step::Grant(_) | Step::Reject(_) | Step::Done => panic!("{step:?} is not performed"),
        })
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

    // ---- the shell's part

    fn add(&mut self, id: Option<OperationId>, role: Role, stage: Stage) -> Flow {
        let (fate, holds_lease, has_deadline, expired) = (Fate::Unsettled, false, false, false);
        self.strands.push(Strand { id, role, stage, fate, holds_lease, has_deadline, expired });
        Flow(self.strands.len() - 1)
    }

    fn take_lease(&mut self, caller: Flow) -> LeaseId {
        assert!(core::mem::take(&mut self.strands[caller.0].holds_lease), "{caller:?} holds no lease");
        self.lease(caller)
    }

    fn connection_in(&self, slot: u32) -> Connection {
        let mut found = self.connections().filter(|connection| self.places[connection.0] == Place::Slot(slot));
        let connection = found.next().unwrap_or_else(|| panic!("slot {slot} holds no connection"));
        assert_eq!(found.next(), None, "slot {slot} holds two connections");
        connection
    }

    fn read_clock(&mut self, flow: Flow) {
        if self.strands[flow.0].has_deadline {
            self.pool.read_clock(self.now);
        }
    }

    fn resume(&mut self, flow: Flow) {
        self.read_clock(flow);
        let id = self.id(flow);
        let step = self.pool.resume(id);
        self.take_step(flow, step);
    }

    fn take_step(&mut self, flow: Flow, step: Step) {
        match step {
            Step::Wait => {
                if self.stage(flow) != Stage::Late {
                    self.strands[flow.0].stage = Stage::Queued;
                }
                self.log.push(Event::Slept(flow));
            }
            Step::Grant(lease) => self.grant(flow, lease),
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
                self.revoke_lease_for(flow, step);
                let deed = self.deed(flow).expect("the step is performed");
                let child = self.role(flow) == Role::Child;
                self.log.push(if child { Event::Bore(flow, deed) } else { Event::Began(flow, deed) });
            }
        }
    }

    /// Who holds the lease of this slot.
    fn holder(&self, slot: u32) -> Option<Flow> {
        self.flows().find(|&flow| self.has_lease(flow) && self.lease(flow).index() == slot)
    }

    /// Nothing is done to a connection that a caller holds, but at the end of a close's patience.
    fn revoke_lease_for(&mut self, flow: Flow, step: Step) {
        let (Step::Rollback(slot) | Step::Commit(slot) | Step::Close(slot) | Step::Terminate(slot)) = step else {
            return;
        };
        let Some(holder) = slot.and_then(|slot| self.holder(slot)) else { return };
        assert!(matches!(step, Step::Terminate(_)) && self.role(flow) == Role::Child, "{step:?} under {holder:?}");
        assert!(self.pool.is_closed() && !self.pool.is_leased(self.lease(holder)));
        self.strands[holder.0].holds_lease = false;
    }

    fn grant(&mut self, flow: Flow, lease: LeaseId) {
        let connection = self.connection_in(lease.index());
        assert!(self.pool.is_leased(lease));
        assert_eq!(self.holder(lease.index()), None, "{flow:?} shares {connection:?}");
        self.settle(flow, Fate::Granted(lease), Stage::Ended);
        self.strands[flow.0].holds_lease = true;
        self.log.push(Event::Granted(flow, connection));
    }

    fn refuse(&mut self, flow: Flow, refusal: Refusal, stage: Stage) {
        self.settle(flow, Fate::Refused(refusal), stage);
        self.log.push(Event::Refused(flow, refusal));
    }

    fn settle(&mut self, flow: Flow, fate: Fate, stage: Stage) {
        let strand = &mut self.strands[flow.0];
        assert_eq!((strand.role, strand.fate), (Role::Checkout, Fate::Unsettled), "{flow:?} is settled once");
        strand.fate = fate;
        strand.stage = stage;
        if let (Some(id), Stage::Ended) = (strand.id, stage) {
            assert_eq!(self.pool.resume(id), Step::Done, "the operation of {flow:?} lives on");
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
                let flow = self.add(Some(id), Role::Child, Stage::Queued);
                self.resume(flow);
            }
            if !self.pool.tick_wanted() {
                break;
            }
            self.tick();
        }
        self.check();
    }

    fn take_notice(&mut self, flow: Flow, notice: Notice) {
        let stage = self.stage(flow);
        match (notice, stage) {
            (Notice::Grant(lease), Stage::Queued) => self.grant(flow, lease),
            (Notice::Reject(refusal), Stage::Queued | Stage::Woken) => self.refuse(flow, refusal, Stage::Ended),
            (Notice::Reject(refusal), Stage::Performing(_)) => self.refuse(flow, refusal, stage),
            (Notice::Resume, Stage::Queued) => {
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

    /// The policy's numbers against what the host sees.
    fn check(&self) {
        let stats = self.stats();
        let counts = self.counts();
        assert_eq!(stats.total, stats.idle + stats.used + stats.opening + stats.closing);

        let number =
            |holds: &dyn Fn(&Strand) -> bool| self.strands.iter().filter(|strand| holds(strand)).count() as u32;
        let performing = |strand: &Strand, wanted: &dyn Fn(Step) -> bool| match strand.stage {
            Stage::Performing(step) => wanted(step),
            _ => false,
        };
        let in_slot = |step| matches!(step, Step::Rollback(Some(_)) | Step::Commit(Some(_)) | Step::Terminate(Some(_)));
        let leases = number(&|strand| strand.holds_lease);
        let returning = number(&|strand| strand.role == Role::Return && performing(strand, &in_slot));
        let opening =
            number(&|strand| strand.role == Role::Checkout && performing(strand, &|s| matches!(s, Step::Open(_))));
        let replacing = number(&|strand| strand.role == Role::Checkout && performing(strand, &in_slot));
        let woken = number(&|strand| strand.stage == Stage::Woken);
        let closing = number(&|strand| {
            performing(strand, &|step| match step {
                Step::Close(Some(_)) => true,
                Step::Terminate(Some(_)) => strand.role == Role::Child,
                _ => false,
            })
        });
        let queued = number(&|strand| strand.stage == Stage::Queued);
        let detached = number(&|strand| strand.role == Role::Detached && strand.stage != Stage::Ended);
        assert_eq!(stats.used, leases + returning, "used");
        assert_eq!(stats.opening, woken + opening + replacing, "opening");
        assert_eq!(stats.closing, closing, "closing");
        assert_eq!(stats.waiting, queued, "waiting");
        assert_eq!(stats.detached, detached, "detached");

        // What is in a slot is idle, used, being closed, being replaced, or stale and kept for a woken caller.
        let in_slots = self.places.iter().filter(|place| matches!(place, Place::Slot(_))).count() as u32;
        let accounted = stats.idle + stats.used + stats.closing + replacing;
        assert!(
            (accounted..=accounted + woken).contains(&in_slots),
            "{in_slots} connections, {accounted} accounted for"
        );

        let slots = counts.checked_in + counts.checked_out;
        assert_eq!(counts.checked_out, (stats.total - stats.idle) as i32);
        assert!(counts.checked_in >= stats.idle as i32);
        assert_eq!(counts.overflow, if counts.size == 0 { 0 } else { slots - counts.size });
        assert!(f64::from(slots) <= stats.max, "{slots} slots of {}", stats.max);
        if counts.size > 0 {
            assert!(counts.checked_in <= counts.size, "more is kept than poolSize");
        }
        if stats.waiting > 0 {
            assert!(!self.pool.is_closed(), "somebody waits for a closed pool");
            assert_eq!((counts.checked_in, f64::from(slots)), (0, stats.max), "somebody waits for what is free");
        }

        let attended = number(&|strand| match strand.role {
            Role::Checkout => strand.fate == Fate::Unsettled,
            Role::Return | Role::Close => strand.stage != Stage::Ended,
            Role::Detached => !matches!(strand.stage, Stage::Ended | Stage::Holding),
            Role::Child => false,
        });
        assert_eq!(self.pool.is_attended(), attended > 0);
        let timed = number(&|strand| matches!(strand.stage, Stage::Queued | Stage::Performing(_) | Stage::Draining));
        assert!(timed > 0 || self.timer.is_none(), "the timer runs for nobody");
        let sleepers = number(&|strand| matches!(strand.stage, Stage::Queued | Stage::Draining));
        assert!(sleepers == 0 || self.timer.is_some(), "somebody sleeps and no timer runs");
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
