//! Random programs of operations and faults, on random settings, against a second set of books: naive, written from the
//! rules, slots moved from hand to hand so that each is in one place by construction. After every operation both must
//! say the same about who got what, who is told what, and every number. Only the moment at which time runs out is taken
//! from the policy, and checked: never early, at most a sixteenth or ten milliseconds late.

use crate::harness::{Connection, Deed, EVENTS, Event, Flow, Host, Role, Stage};
use crate::timeout::latest_ms;
use edgepool::policy::{Counts, Event as Topic, Kind, Outcome, Refusal, ResetStyle, Settings, Span, Stats, Step};
use proptest::prelude::*;

struct Slot {
    connection: Option<Connection>,
    stale: bool,
    marks: u32,
    disposals: u32,
    uses: u32,
}

enum Task {
    Waiting,
    Woken(Slot),
    Replacing(Slot),
    Opening(Slot),
    Late,
    Resetting(Slot),
    Condemned(Slot),
    Discarding(Slot),
    Holding(Connection),
    ResettingAlone(Connection),
    ClosingAlone,
    Draining,
}

struct Job {
    flow: Flow,
    task: Task,
    /// A caller still waits for it.
    wanted: bool,
    /// Its slot was made for it.
    made: bool,
    /// When its present step began.
    since: f64,
    /// When its caller, or the patience of a close, runs out of time, and how long that was.
    due: Option<(f64, f64)>,
    deadline: Option<(f64, f64)>,
    expired: bool,
}

impl Job {
    /// A connection that is closed because it came too late has no caller.
    fn is_detached(&self) -> bool {
        match self.task {
            Task::Holding(_) | Task::ResettingAlone(_) => true,
            Task::ClosingAlone => self.wanted,
            _ => false,
        }
    }
}

struct Books {
    size: usize,
    max: usize,
    settings: Settings,
    idle: Vec<Slot>,
    queue: Vec<Flow>,
    leases: Vec<(Flow, Slot)>,
    jobs: Vec<Job>,
    marks: u32,
    disposals: u32,
    closed: bool,
    now: f64,
    numbers: Stats,
    /// What the present call brings about: for the flow that called, for others, and as children.
    own: Vec<Event>,
    news: Vec<Event>,
    births: Vec<(Slot, Deed)>,
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

impl Books {
    fn new(settings: Settings, numbers: Stats, now: f64) -> Self {
        let size = settings.pool_size as usize;
        let unlimited = size == 0 || settings.max_overflow < 0.0;
        let max = if unlimited { usize::MAX } else { size + settings.max_overflow as usize };
        Self {
            size,
            max,
            settings,
            idle: vec![],
            queue: vec![],
            leases: vec![],
            jobs: vec![],
            marks: 0,
            disposals: 0,
            closed: false,
            now,
            numbers,
            own: vec![],
            news: vec![],
            births: vec![],
        }
    }

    fn slots(&self) -> usize {
        let working = self.jobs.iter().filter(|job| {
            matches!(
                job.task,
                Task::Woken(_)
                    | Task::Replacing(_)
                    | Task::Opening(_)
                    | Task::Resetting(_)
                    | Task::Condemned(_)
                    | Task::Discarding(_)
            )
        });
        self.idle.len() + self.leases.len() + working.count() + self.births.len()
    }

    fn is_fresh(&self, slot: &Slot) -> bool {
        slot.connection.is_some() && !slot.stale && slot.marks == self.marks
    }

    fn new_slot() -> Slot {
        Slot { connection: None, stale: false, marks: 0, disposals: 0, uses: 0 }
    }

    fn add(&mut self, flow: Flow, task: Task, wanted: bool) -> &mut Job {
        let since = self.now;
        self.jobs.push(Job { flow, task, wanted, made: false, since, due: None, deadline: None, expired: false });
        self.jobs.last_mut().expect("just added")
    }

    fn take(&mut self, flow: Flow) -> Job {
        let at = self.jobs.iter().position(|job| job.flow == flow).unwrap_or_else(|| panic!("{flow:?} does nothing"));
        self.jobs.remove(at)
    }

    fn take_lease(&mut self, caller: Flow) -> Slot {
        let at = self.leases.iter().position(|lease| lease.0 == caller).expect("a lease");
        self.leases.remove(at).1
    }

    // ---- where slots go

    fn lease(&mut self, caller: Flow, slot: Slot) -> Event {
        self.numbers.checkouts += 1;
        let slot = Slot { uses: slot.uses + 1, ..slot };
        let event = Event::Granted(caller, slot.holds());
        self.leases.push((caller, slot));
        event
    }

    /// A slot comes free. Handed back: its connection must be closed.
    fn place(&mut self, slot: Slot) -> Option<Slot> {
        let is_worn = slot.disposals != self.disposals || f64::from(slot.uses) >= self.settings.max_uses;
        if slot.connection.is_some() && (self.closed || is_worn) {
            return Some(slot);
        }
        if self.closed {
            self.slot_gone();
        } else if !self.queue.is_empty() {
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

    fn slot_gone(&mut self) {
        while !self.closed && !self.queue.is_empty() && self.slots() < self.max {
            self.hand_to_head(Self::new_slot(), true);
        }
        if self.slots() == 0
            && let Some(at) = self.jobs.iter().position(|job| matches!(job.task, Task::Draining))
        {
            let drained = self.jobs.remove(at);
            self.news.push(Event::Ended(drained.flow));
        }
    }

    fn hand_to_head(&mut self, slot: Slot, made: bool) {
        let caller = self.queue.remove(0);
        let mut job = self.take(caller);
        if self.is_fresh(&slot) {
            let granted = self.lease(caller, slot);
            self.news.push(granted);
        } else {
            job.task = Task::Woken(slot);
            job.made = made;
            self.jobs.push(job);
            self.news.push(Event::Woken(caller));
        }
    }

    // ---- the checkout

    fn connect(&mut self, caller: Flow, timeout: Option<Span>, deadline: Option<Span>) {
        let timeout_ms = timeout.map_or(self.settings.timeout_ms, millis);
        let deadline = due(self.now, deadline.map_or(self.settings.deadline_ms, millis));
        if self.closed {
            return self.own.push(Event::Refused(caller, Refusal::Closed));
        }
        if self.queue.is_empty() && (!self.idle.is_empty() || self.slots() < self.max) {
            let made = self.idle.is_empty();
            let slot = match (made, self.settings.use_lifo) {
                (true, _) => Self::new_slot(),
                (false, Some(true)) => self.idle.remove(self.idle.len() - 1),
                (false, _) => self.idle.remove(0),
            };
            if self.is_fresh(&slot) {
                let granted = self.lease(caller, slot);
                return self.own.push(granted);
            }
            let job = self.add(caller, Task::Woken(slot), true);
            job.made = made;
            job.deadline = deadline;
            return self.wake(caller);
        }
        if timeout_ms == 0.0 {
            self.numbers.timed_out += 1;
            return self.own.push(Event::Refused(caller, Refusal::WaitTimeout));
        }
        if self.queue.len() as f64 >= self.settings.max_waiters {
            return self.own.push(Event::Refused(caller, Refusal::QueueFull));
        }
        self.numbers.waited += 1;
        let due = due(self.now, timeout_ms);
        let job = self.add(caller, Task::Waiting, true);
        job.due = due;
        job.deadline = deadline;
        self.queue.push(caller);
        self.own.push(Event::Slept(caller));
    }

    fn wake(&mut self, caller: Flow) {
        let job = self.take(caller);
        let Task::Woken(slot) = job.task else { panic!("{caller:?} was not woken") };
        let job = Job { task: Task::Waiting, ..job };
        if slot.connection.is_none() {
            return self.open(job, slot);
        }
        self.numbers.recycled += 1;
        self.own.push(Event::Began(caller, Deed::Terminate(slot.holds())));
        let task = Task::Replacing(slot);
        self.jobs.push(Job { task, since: self.now, expired: false, ..job });
    }

    fn open(&mut self, job: Job, slot: Slot) {
        self.own.push(Event::Began(job.flow, Deed::Open));
        let slot = Slot { stale: false, marks: self.marks, disposals: self.disposals, uses: 0, ..slot };
        let task = Task::Opening(slot);
        self.jobs.push(Job { task, since: self.now, expired: false, ..job });
    }

    fn opened(&mut self, flow: Flow, outcome: Outcome, slot: Slot, wanted: bool, made: bool, next: Connection) {
        match outcome {
            Outcome::Ok => {
                self.numbers.opened += 1;
                let slot = Slot { connection: Some(next), ..slot };
                if wanted {
                    let granted = self.lease(flow, slot);
                    self.own.push(granted);
                } else {
                    self.free(flow, slot);
                }
                return;
            }
            Outcome::TimedOut => {
                self.own.push(match wanted {
                    true => Event::Refused(flow, Refusal::OpenTimeout),
                    false => Event::Slept(flow),
                });
                self.numbers.timed_out += u32::from(wanted);
                self.add(flow, Task::Late, false);
            }
            _ => self.own.push(match wanted {
                true => Event::Refused(flow, Refusal::Failed),
                false => Event::Ended(flow),
            }),
        }
        self.numbers.open_failed += 1;
        if made {
            self.slot_gone();
        } else {
            self.place(slot);
        }
    }

    fn abort(&mut self, caller: Flow) -> bool {
        let Some(job) = self.jobs.iter_mut().find(|job| job.flow == caller && job.wanted) else { return false };
        match job.task {
            Task::Replacing(_) | Task::Opening(_) => job.wanted = false,
            Task::Waiting | Task::Woken(_) => self.leave(caller),
            _ => return false,
        }
        self.numbers.aborted += 1;
        self.own.push(Event::Refused(caller, Refusal::Aborted));
        true
    }

    /// A caller who waits, or was woken and did not start, is gone.
    fn leave(&mut self, caller: Flow) {
        let job = self.take(caller);
        self.queue.retain(|&waiter| waiter != caller);
        match job.task {
            Task::Woken(_) if job.made => self.slot_gone(),
            Task::Woken(slot) => {
                if let Some(slot) = self.place(slot) {
                    self.bear(slot, false);
                }
            }
            _ => {}
        }
    }

    // ---- the return

    fn reset(&self, connection: Connection, clean: bool) -> Option<Deed> {
        match self.settings.reset_on_return {
            Some(ResetStyle::Rollback) if !clean => Some(Deed::Rollback(connection)),
            Some(ResetStyle::Commit) => Some(Deed::Commit(connection)),
            _ => None,
        }
    }

    /// The flow of the return is given where the policy began one.
    fn checkin(&mut self, caller: Flow, clean: bool, flow: Option<Flow>) {
        let slot = self.take_lease(caller);
        if let Some(deed) = self.reset(slot.holds(), clean) {
            let flow = flow.expect("a reset is a step");
            self.own.push(Event::Began(flow, deed));
            self.add(flow, Task::Resetting(slot), true);
        } else if let Some(slot) = self.place(slot) {
            self.discard(flow.expect("a close is a step"), slot);
        } else {
            assert_eq!(flow, None, "nothing is to be done");
        }
    }

    fn invalidate(&mut self, caller: Flow, flow: Flow) {
        let slot = self.take_lease(caller);
        self.numbers.invalidated += 1;
        self.own.push(Event::Began(flow, Deed::Terminate(slot.holds())));
        self.add(flow, Task::Condemned(slot), true);
    }

    fn detach(&mut self, caller: Flow, flow: Flow) {
        let slot = self.take_lease(caller);
        self.add(flow, Task::Holding(slot.holds()), true);
        self.place(Slot { connection: None, ..slot });
    }

    fn close_detached(&mut self, flow: Flow, clean: bool, abrupt: bool) {
        let Task::Holding(connection) = self.take(flow).task else { panic!("{flow:?} holds nothing") };
        let reset = if abrupt { None } else { self.reset(connection, clean) };
        self.own.push(match (reset, abrupt) {
            (Some(deed), _) => Event::Began(flow, deed),
            (None, false) => Event::Began(flow, Deed::Close(connection)),
            (None, true) => Event::Began(flow, Deed::Terminate(connection)),
        });
        self.add(flow, if reset.is_some() { Task::ResettingAlone(connection) } else { Task::ClosingAlone }, true);
    }

    fn discard(&mut self, flow: Flow, slot: Slot) {
        self.own.push(Event::Began(flow, Deed::Close(slot.holds())));
        self.add(flow, Task::Discarding(slot), true);
    }

    fn free(&mut self, flow: Flow, slot: Slot) {
        match self.place(slot) {
            Some(slot) => self.discard(flow, slot),
            None => self.own.push(Event::Ended(flow)),
        }
    }

    /// `next` is the connection that an opening that goes well opens.
    fn finish(&mut self, flow: Flow, outcome: Outcome, next: Connection) {
        let Job { task, wanted, made, since, due, deadline, .. } = self.take(flow);
        match task {
            Task::Replacing(slot) => {
                let slot = Slot { connection: None, ..slot };
                if wanted {
                    let task = Task::Waiting;
                    self.open(Job { flow, task, wanted, made, since, due, deadline, expired: false }, slot);
                } else {
                    self.own.push(Event::Ended(flow));
                    self.place(slot);
                }
            }
            Task::Opening(slot) => self.opened(flow, outcome, slot, wanted, made, next),
            Task::Late if outcome == Outcome::LateOk => {
                self.own.push(Event::Began(flow, Deed::Close(next)));
                self.add(flow, Task::ClosingAlone, false);
            }
            Task::Resetting(slot) if outcome == Outcome::Ok => self.free(flow, slot),
            Task::Resetting(slot) => {
                self.numbers.invalidated += 1;
                self.own.push(Event::Began(flow, Deed::Terminate(slot.holds())));
                self.add(flow, Task::Condemned(slot), true);
            }
            Task::Condemned(slot) => self.free(flow, Slot { connection: None, ..slot }),
            Task::Discarding(_) => {
                self.own.push(Event::Ended(flow));
                self.slot_gone();
            }
            Task::ResettingAlone(connection) => {
                let deed = if outcome == Outcome::Ok { Deed::Close(connection) } else { Deed::Terminate(connection) };
                self.own.push(Event::Began(flow, deed));
                self.add(flow, Task::ClosingAlone, true);
            }
            Task::Late | Task::ClosingAlone => self.own.push(Event::Ended(flow)),
            Task::Waiting | Task::Woken(_) | Task::Holding(_) | Task::Draining => panic!("{flow:?} performs nothing"),
        }
    }

    // ---- marks and ends

    fn slot_of(&mut self, connection: Connection) -> &mut Slot {
        let leased = self.leases.iter_mut().map(|lease| &mut lease.1);
        let working = self.jobs.iter_mut().filter_map(|job| match &mut job.task {
            Task::Woken(slot) | Task::Replacing(slot) | Task::Opening(slot) => Some(slot),
            Task::Resetting(slot) | Task::Condemned(slot) | Task::Discarding(slot) => Some(slot),
            _ => None,
        });
        leased.chain(working).find(|slot| slot.connection == Some(connection)).expect("in a slot")
    }

    fn died(&mut self, connection: Connection) {
        match self.idle.iter().position(|slot| slot.connection == Some(connection)) {
            Some(at) => {
                let slot = self.idle.remove(at);
                self.numbers.invalidated += 1;
                self.bear(slot, true);
            }
            None => self.slot_of(connection).stale = true,
        }
    }

    fn mark_as_old(&mut self, connection: Connection) {
        if self.slot_of(connection).marks == self.marks {
            self.marks += 1;
        }
    }

    fn dispose(&mut self) {
        self.disposals += 1;
        let mut idle = std::mem::take(&mut self.idle);
        if self.settings.use_lifo == Some(true) {
            idle.reverse();
        }
        for slot in idle {
            match slot.connection {
                Some(_) => self.bear(slot, false),
                None => self.slot_gone(),
            }
        }
    }

    fn close(&mut self, flow: Flow, patience: Span) {
        self.closed = true;
        let callers: Vec<Flow> = self.jobs.iter().filter(|job| job.wanted).map(|job| job.flow).collect();
        for caller in callers {
            let job = self.jobs.iter_mut().find(|job| job.flow == caller).expect("still there");
            match job.task {
                Task::Replacing(_) | Task::Opening(_) => job.wanted = false,
                Task::Waiting | Task::Woken(_) => self.leave(caller),
                _ => continue,
            }
            self.news.push(Event::Refused(caller, Refusal::Closed));
        }
        self.dispose();
        if self.slots() == 0 {
            self.news.push(Event::Ended(flow));
        } else if patience == Span::Millis(0) {
            self.stop_draining(flow);
            self.news.push(Event::Ended(flow));
        } else {
            let due = due(self.now, millis(patience));
            self.add(flow, Task::Draining, true).due = due;
        }
    }

    fn stop_draining(&mut self, flow: Flow) {
        self.jobs.retain(|job| job.flow != flow);
        for (_, slot) in std::mem::take(&mut self.leases) {
            self.bear(slot, true);
        }
    }

    fn bear(&mut self, slot: Slot, abrupt: bool) {
        let connection = slot.holds();
        self.births.push((slot, if abrupt { Deed::Terminate(connection) } else { Deed::Close(connection) }));
    }

    // ---- comparison

    /// Compares what the call brought about; what the log has beyond it is the end of somebody's time.
    fn compare(&mut self, log: &[Event], any_order: bool) {
        let mut expected = std::mem::take(&mut self.own);
        expected.append(&mut self.news);
        // The flow of a child is the policy's choice, its order is not.
        expected.extend(self.births.iter().map(|(_, deed)| Event::Bore(Flow(0), *deed)));
        assert!(log.len() >= expected.len(), "{log:?} instead of {expected:?}");
        let (present, later) = log.split_at(expected.len());
        let mut found: Vec<Event> = present
            .iter()
            .map(|&event| if let Event::Bore(_, deed) = event { Event::Bore(Flow(0), deed) } else { event })
            .collect();
        if any_order {
            found.sort_by_key(|event| format!("{event:?}"));
            expected.sort_by_key(|event| format!("{event:?}"));
        }
        assert_eq!(found, expected);
        self.adopt(present);
        self.run_out(later);
    }

    fn adopt(&mut self, events: &[Event]) {
        for event in events {
            let &Event::Bore(flow, deed) = event else { continue };
            let at = self.births.iter().position(|birth| birth.1 == deed).expect("a child that was expected");
            let (slot, _) = self.births.remove(at);
            self.add(flow, Task::Discarding(slot), false);
        }
        assert!(self.births.is_empty(), "somebody's child did not begin");
    }

    /// Time ends for whom the policy says, never early.
    fn run_out(&mut self, events: &[Event]) {
        let now = self.now;
        let driver_ms = self.settings.driver_timeout_ms;
        for &event in events {
            let flow = match event {
                Event::Refused(flow, _) | Event::Expired(flow) | Event::Ended(flow) => flow,
                Event::Bore(..) => continue,
                _ => panic!("{event:?} is not about time"),
            };
            let job = self.jobs.iter_mut().find(|job| job.flow == flow).expect("somebody whose time runs");
            let ran_out = |due: Option<(f64, f64)>| due.is_some_and(|(due, _)| now >= due);
            match (event, &job.task) {
                (Event::Refused(_, Refusal::WaitTimeout), Task::Waiting) => assert!(ran_out(job.due), "early"),
                (Event::Refused(_, Refusal::WaitDeadline), Task::Waiting) => assert!(ran_out(job.deadline), "early"),
                (Event::Refused(_, Refusal::OpenDeadline), Task::Opening(_) | Task::Replacing(_)) => {
                    assert!(job.wanted && ran_out(job.deadline), "early");
                    job.wanted = false;
                    self.numbers.timed_out += 1;
                    continue;
                }
                (Event::Expired(_), _) => {
                    assert!(!job.expired && now >= job.since + driver_ms, "early");
                    job.expired = true;
                    continue;
                }
                (Event::Ended(_), Task::Draining) => {
                    assert!(ran_out(job.due), "early");
                    self.stop_draining(flow);
                    continue;
                }
                _ => panic!("{event:?} cannot be"),
            }
            self.numbers.timed_out += 1;
            self.leave(flow);
        }
        self.adopt(events);
    }

    fn assert_nobody_is_overdue(&self) {
        let in_time = |due: Option<(f64, f64)>, from: f64| {
            due.is_none_or(|(due, ms)| self.now <= due.max(from) + latest_ms(ms) - ms)
        };
        for job in &self.jobs {
            let late = || format!("{:?} is overdue at {}", job.flow, self.now);
            let performs = !matches!(job.task, Task::Waiting | Task::Woken(_) | Task::Holding(_) | Task::Draining);
            if matches!(job.task, Task::Waiting | Task::Draining) {
                assert!(in_time(job.due, 0.0), "{}", late());
            }
            if job.wanted && !matches!(job.task, Task::Woken(_)) && !job.expired {
                assert!(in_time(job.deadline, job.since), "{}", late());
            }
            if performs && !matches!(job.task, Task::Late) && !job.expired {
                // An opening whose deadline was armed when its caller left has the driver's time after that.
                let latest_start = job.deadline.map_or(job.since, |(due, ms)| job.since.max(due + latest_ms(ms) - ms));
                assert!(in_time(due(latest_start, self.settings.driver_timeout_ms), 0.0), "{}", late());
            }
        }
    }

    fn count(&self, is: impl Fn(&Task) -> bool) -> u32 {
        self.jobs.iter().filter(|job| is(&job.task)).count() as u32
    }

    fn stats(&self) -> Stats {
        let idle = self.idle.iter().filter(|slot| slot.connection.is_some()).count() as u32;
        let used =
            self.leases.len() as u32 + self.count(|task| matches!(task, Task::Resetting(_) | Task::Condemned(_)));
        let opening = self.count(|task| matches!(task, Task::Woken(_) | Task::Replacing(_) | Task::Opening(_)));
        let closing = self.count(|task| matches!(task, Task::Discarding(_)));
        Stats {
            total: idle + used + opening + closing,
            idle,
            used,
            opening,
            closing,
            waiting: self.queue.len() as u32,
            detached: self.jobs.iter().filter(|job| job.is_detached()).count() as u32,
            ..self.numbers
        }
    }

    fn counts(&self) -> Counts {
        let (size, slots, checked_in) = (self.size as i32, self.slots() as i32, self.idle.len() as i32);
        Counts { size, checked_in, overflow: if size == 0 { 0 } else { slots - size }, checked_out: slots - checked_in }
    }
}

// ---- programs

#[derive(Clone, Debug)]
enum Action {
    Connect(Option<Span>, Option<Span>),
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
    Dispose,
    Close(Span),
    Pass(f64),
}

struct Both {
    host: Host,
    books: Books,
}

impl Both {
    fn new(settings: Settings) -> Self {
        let host = Host::new(settings.clone());
        let books = Books::new(settings, host.stats(), host.now);
        Self { host, books }
    }

    fn pick(&self, at: usize, fits: impl Fn(&Host, Flow) -> bool) -> Option<Flow> {
        let fitting: Vec<Flow> = self.host.flows().filter(|&flow| fits(&self.host, flow)).collect();
        (!fitting.is_empty()).then(|| fitting[at % fitting.len()])
    }

    fn pick_lease(&self, at: usize) -> Option<Flow> {
        self.pick(at, Host::has_lease)
    }

    /// Does it to both, where it can be done.
    fn apply(&mut self, action: &Action) -> Option<()> {
        let mut any_order = false;
        match *action {
            Action::Connect(timeout, deadline) => {
                let plain = timeout.is_none() && deadline.is_none() && self.books.settings.deadline_ms.is_infinite();
                let caller = if plain { self.host.connect() } else { self.host.connect_within(timeout, deadline) };
                self.books.connect(caller, timeout, deadline);
            }
            Action::Finish(at, outcome) => {
                let flow =
                    self.pick(at, |host, flow| matches!(host.stage(flow), Stage::Performing(_) | Stage::Late))?;
                let outcome = match self.host.stage(flow) {
                    Stage::Late => [Outcome::LateOk, Outcome::LateFailed][outcome % 2],
                    // A call has timed out when the policy has said so.
                    _ if self.host.has_expired(flow) => {
                        [Outcome::Ok, Outcome::TimedOut, Outcome::TimedOut, Outcome::Failed][outcome % 4]
                    }
                    _ => [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Failed][outcome % 4],
                };
                let next = Connection(self.host.connections().count());
                self.host.finish(flow, outcome);
                self.books.finish(flow, outcome, next);
            }
            Action::Wake(at) => {
                let flow = self.pick(at, |host, flow| host.stage(flow) == Stage::Woken)?;
                self.host.wake(flow);
                self.books.wake(flow);
            }
            Action::Abort(at) => {
                let flow = self.pick(at, |host, flow| {
                    !host.has_ended(flow) && !matches!(host.role(flow), Role::Child | Role::Close)
                })?;
                assert_eq!(self.host.abort(flow), self.books.abort(flow));
            }
            Action::Checkin(at, clean) => {
                let caller = self.pick_lease(at)?;
                let flow = self.host.checkin(caller, clean);
                self.books.checkin(caller, clean, flow);
            }
            Action::Invalidate(at) => {
                let caller = self.pick_lease(at)?;
                let flow = self.host.invalidate(caller);
                self.books.invalidate(caller, flow);
            }
            Action::InvalidateSoft(at) => {
                let caller = self.pick_lease(at)?;
                let connection = self.host.connection(caller);
                self.host.invalidate_soft(caller);
                self.books.slot_of(connection).stale = true;
            }
            Action::InvalidateAsOld(at) => {
                let caller = self.pick_lease(at)?;
                let connection = self.host.connection(caller);
                self.host.invalidate_as_old(caller);
                self.books.mark_as_old(connection);
            }
            Action::InvalidateAll => {
                self.host.invalidate_all();
                self.books.marks += 1;
            }
            Action::Detach(at) => {
                let caller = self.pick_lease(at)?;
                let flow = self.host.detach(caller);
                self.books.detach(caller, flow);
            }
            Action::CloseDetached(at, clean, abrupt) => {
                let flow = self.pick(at, |host, flow| host.stage(flow) == Stage::Holding)?;
                self.host.close_detached(flow, clean, abrupt);
                self.books.close_detached(flow, clean, abrupt);
            }
            Action::Died(at) => {
                let alive: Vec<Connection> =
                    self.host.connections().filter(|&connection| self.host.is_in_a_slot(connection)).collect();
                if alive.is_empty() {
                    return None;
                }
                let connection = alive[at % alive.len()];
                self.host.connection_died(connection);
                self.books.died(connection);
            }
            Action::Dispose => {
                self.host.dispose();
                self.books.dispose();
            }
            Action::Close(patience) => {
                if self.host.pool.is_closed() {
                    return None;
                }
                let waiters: Vec<Event> =
                    self.books.queue.iter().map(|&waiter| Event::Refused(waiter, Refusal::Closed)).collect();
                let flow = self.host.close(patience);
                self.books.close(flow, patience);
                any_order = true;
                let log = self.host.take_log();
                let told: Vec<Event> = log.iter().copied().filter(|event| waiters.contains(event)).collect();
                assert_eq!(told, waiters, "in the order in which they came");
                self.books.compare(&log, any_order);
            }
            Action::Pass(ms) => self.pass(ms),
        }
        let log = self.host.take_log();
        self.books.compare(&log, any_order);
        assert_eq!(self.host.stats(), self.books.stats());
        assert_eq!(self.host.counts(), self.books.counts());
        Some(())
    }

    fn pass(&mut self, ms: f64) {
        let until = self.host.now + ms;
        loop {
            let fired = self.host.pass_to_tick(until);
            self.books.now = self.host.now;
            let log = self.host.take_log();
            self.books.compare(&log, false);
            self.books.assert_nobody_is_overdue();
            if !fired {
                break;
            }
        }
    }

    /// Everybody gives back what they have and the pool is closed, all in front of both sets of books.
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
        assert_eq!(self.books.slots() + self.books.jobs.len(), 0);
    }
}

fn run(settings: Settings, program: &[Action]) {
    let mut both = Both::new(settings);
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

fn any_action() -> impl Strategy<Value = Action> {
    let at = 0..64usize;
    prop_oneof![
        16 => (any_span(), any_span()).prop_map(|(timeout, deadline)| Action::Connect(timeout, deadline)),
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
        2 => at.prop_map(Action::Died),
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
        prop::sample::select(&[ResetStyle::Rollback, ResetStyle::Commit, ResetStyle::None][..]),
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
                ..Settings::default()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_leaves_both_sets_of_books_alike(
        settings in any_settings(),
        program in prop::collection::vec(any_action(), 0..120),
    ) {
        run(settings, &program);
    }
}

// ---- what the naive books do not know: every kind, every option, listeners, records, lost leases

/// What is done to a pool of any kind, and to which of those to whom it can be done.
#[derive(Clone, Debug)]
enum Deal {
    Act(Action),
    Empty(usize, bool),
    Lose(usize),
    Finalizer(usize),
    Warm(u32),
    Tell(usize),
    Listen(u16),
}

fn pick(flows: impl Iterator<Item = Flow>, at: usize) -> Option<Flow> {
    let flows: Vec<Flow> = flows.collect();
    (!flows.is_empty()).then(|| flows[at % flows.len()])
}

fn outcome_of(host: &Host, flow: Flow, choice: usize) -> Outcome {
    let outcomes: &[Outcome] = match host.stage(flow) {
        Stage::Late => &[Outcome::LateOk, Outcome::LateFailed],
        Stage::Performing(Step::Detach(_)) => &[Outcome::Ok],
        _ if host.has_expired(flow) => &[Outcome::TimedOut, Outcome::Ok, Outcome::Failed],
        Stage::Performing(Step::Ping(_)) => &[Outcome::Ok, Outcome::Disconnected, Outcome::Failed],
        Stage::Performing(Step::Emit(Topic::Checkout, _)) => {
            &[Outcome::Ok, Outcome::Ok, Outcome::Disconnected, Outcome::DisconnectedAll, Outcome::Failed]
        }
        _ => &[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Failed],
    };
    outcomes[choice % outcomes.len()]
}

/// Does it, where it can be done. The harness checks the books after each call.
fn deal(host: &mut Host, deal: &Deal) -> Option<()> {
    let lease = |host: &Host, at: usize| pick(host.flows().filter(|&flow| host.has_lease(flow)), at);
    let connection = |host: &Host, at: usize| {
        let slots: Vec<Connection> = host.connections().filter(|&it| host.is_in_a_slot(it)).collect();
        (!slots.is_empty()).then(|| slots[at % slots.len()])
    };
    match *deal {
        Deal::Act(ref action) => match *action {
            Action::Connect(None, None) if host.settings().deadline_ms.is_infinite() => drop(host.connect()),
            Action::Connect(timeout, deadline) => drop(host.connect_within(timeout, deadline)),
            Action::Finish(at, choice) => {
                let moving = |flow: &Flow| matches!(host.stage(*flow), Stage::Performing(_) | Stage::Late);
                let flow = pick(host.flows().filter(moving), at)?;
                host.finish(flow, outcome_of(host, flow, choice));
            }
            Action::Wake(at) => {
                let flow = pick(host.flows().filter(|&flow| host.stage(flow) == Stage::Woken), at)?;
                host.wake(flow);
            }
            Action::Abort(at) => {
                let calls = |flow: &Flow| host.role(*flow) == Role::Checkout && !host.is_settled(*flow);
                let caller = pick(host.flows().filter(calls), at)?;
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
                let flow = pick(host.flows().filter(|&flow| host.stage(flow) == Stage::Holding), at)?;
                host.close_detached(flow, clean, abrupt);
            }
            Action::Died(at) => host.connection_died(connection(host, at)?),
            Action::Dispose => host.dispose(),
            Action::Close(patience) => {
                if host.pool.is_closed() {
                    return None;
                }
                host.close(patience);
            }
            Action::Pass(ms) => host.pass(ms),
        },
        Deal::Empty(at, abrupt) => drop(host.empty(connection(host, at)?, abrupt)),
        Deal::Lose(at) => drop(host.lose(lease(host, at)?)),
        Deal::Finalizer(at) => {
            let caller = lease(host, at).filter(|&caller| host.is_in_a_slot(host.connection(caller)))?;
            host.add_finalizer(caller);
        }
        Deal::Warm(count) => drop(host.warm(count)),
        Deal::Tell(at) => drop(host.tell(Topic::SoftInvalidate, connection(host, at)?)),
        Deal::Listen(bits) => {
            let events: Vec<Topic> = EVENTS.iter().copied().filter(|&event| bits & 1 << event as u16 != 0).collect();
            host.listen(&events);
        }
    }
    Some(())
}

fn any_deal() -> impl Strategy<Value = Deal> {
    let at = 0..64usize;
    prop_oneof![
        60 => any_action().prop_map(Deal::Act),
        2 => (at.clone(), any::<bool>()).prop_map(|(at, abrupt)| Deal::Empty(at, abrupt)),
        1 => at.clone().prop_map(Deal::Lose),
        1 => at.clone().prop_map(Deal::Finalizer),
        1 => (1..5u32).prop_map(Deal::Warm),
        1 => at.prop_map(Deal::Tell),
        1 => (0..1024u16).prop_map(Deal::Listen),
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
        (ms(&[f64::INFINITY, 100.0, 1000.0]), 0..3u32),
        ms(&[f64::INFINITY, f64::INFINITY, 1.0, 2.0]),
    )
        .prop_map(|((settings, kind, pre_ping), recycle_ms, pre_ping_after_idle_ms, idle, max_connecting)| {
            Settings {
                kind: Some(kind),
                pool_size: if kind == Kind::Queue { settings.pool_size } else { 1.0 },
                pre_ping: Some(pre_ping),
                recycle_ms,
                pre_ping_after_idle_ms,
                idle_timeout_ms: idle.0,
                min_idle: f64::from(idle.1),
                max_connecting,
                ..settings
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_program_on_any_pool_leaves_its_books_in_order(
        settings in any_pool(),
        events in prop_oneof![Just(0), Just(1023), 0..1024u16],
        program in prop::collection::vec(any_deal(), 0..120),
    ) {
        let mut host = Host::new(settings);
        deal(&mut host, &Deal::Listen(events));
        for step in &program {
            deal(&mut host, step);
        }
        host.settle_everything();
        let waits = host.flows().find(|&flow| host.role(flow) == Role::Checkout && !host.is_settled(flow));
        prop_assert_eq!(waits, None, "somebody waits in vain");
        if !host.pool.is_closed() {
            host.lend();
            host.settle_everything();
            host.close(Span::Forever);
            host.settle_everything();
        }
        // The timer of what was idle may run out.
        host.pass(2000.0);
        host.assert_nothing_is_left();
    }
}
