//! What must hold after every call. The expected use of each slot is derived from the steps alone, and every number of
//! the policy is compared with it.

use super::{CallerOutcome, Event, Host, Operation, OperationState, Place, Role, Stage, step_slot};
use edgepool::policy::{Counts, Kind, Outcome, Stats, Step};

/// The expected use of a slot, from the least to the greatest weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SlotUse {
    Closing,
    Opening,
    Used,
}

impl Host {
    /// Derives the use from the step, the step before, and the outcome of that.
    pub(super) fn expected_use(
        &self,
        operation: Operation,
        step: Step,
        outcome: Option<Outcome>,
    ) -> Option<(u32, SlotUse)> {
        let OperationState { role, slot_use: before, deaths, stage, is_invalidation, is_first_in_line, .. } =
            self.states[operation.0];
        if let (Step::Wait, Some(slot_use)) = (step, before)
            && stage != Stage::Late
            && !self.pool.is_waiting(self.id(operation))
        {
            // It waits for the end of its connection, or for the place of a creator.
            return Some(if outcome == Some(Outcome::StillOpen) { slot_use } else { (slot_use.0, SlotUse::Opening) });
        }
        let slot = step_slot(step)?;
        if role == Role::RecordClose {
            return None;
        }
        let last = match (stage, outcome) {
            (Stage::Performing(last), Some(outcome)) => Some((last, outcome)),
            _ => None,
        };
        let gives_up = deaths > 1 && self.states[operation.0].caller_outcome == CallerOutcome::Pending;
        // From one slot to another, whose connection is stale.
        let has_moved = last.is_some() && before.is_some_and(|before| before.0 != slot);
        let slot_use = match step {
            Step::Emit(Event::Close, _) | Step::Terminate(_) if has_moved => SlotUse::Opening,
            Step::Open(_) | Step::Emit(Event::FirstConnect | Event::Connect, _) => SlotUse::Opening,
            Step::Emit(Event::Invalidate | Event::Close, _) | Step::Terminate(_) => match last {
                // Its turn came after its caller left.
                None if is_first_in_line && gives_up => SlotUse::Used,
                None if is_first_in_line => SlotUse::Closing,
                None => match (role, step) {
                    (Role::Checkout, _) => SlotUse::Opening,
                    (Role::Spawned | Role::Warming | Role::Filling, _) => SlotUse::Closing,
                    // A return whose first step is a polite close has nothing else to do.
                    (_, Step::Emit(Event::Close, _)) if !is_invalidation => SlotUse::Closing,
                    _ => SlotUse::Used,
                },
                Some((Step::Emit(Event::Invalidate | Event::Close, _), _)) => before?.1,
                Some((Step::Open(_) | Step::Emit(Event::FirstConnect | Event::Connect, _), outcome)) => {
                    match (outcome, step) {
                        (Outcome::Ok, _) if gives_up => SlotUse::Used,
                        // It was dead as it arrived.
                        (Outcome::Ok, Step::Terminate(_)) => SlotUse::Opening,
                        (Outcome::Ok, _) => SlotUse::Closing,
                        _ => SlotUse::Opening,
                    }
                }
                Some((Step::Ping(_) | Step::Emit(Event::Checkout, _), Outcome::Ok)) => SlotUse::Closing,
                Some((Step::Emit(Event::Reset, _) | Step::Rollback(_), Outcome::Ok)) => SlotUse::Closing,
                Some((Step::Commit(_) | Step::ResetSession(_), Outcome::Ok)) => SlotUse::Closing,
                Some((Step::Finalize(_) | Step::Emit(Event::Checkin, _), _)) => SlotUse::Closing,
                Some(_) => SlotUse::Used,
            },
            Step::Close(_) => SlotUse::Closing,
            _ => SlotUse::Used,
        };
        Some((slot, slot_use))
    }

    /// A woken operation opens a connection or checks one. It joins a connection that is shared already.
    pub(super) fn use_when_woken(&self, slot: u32) -> SlotUse {
        if self.shares() && self.uses_of(slot).contains(&SlotUse::Used) { SlotUse::Used } else { SlotUse::Opening }
    }

    fn uses_of(&self, slot: u32) -> Vec<SlotUse> {
        let uses = self.states.iter().filter_map(|state| self.current_use(state));
        uses.filter(|slot_use| slot_use.0 == slot).map(|slot_use| slot_use.1).collect()
    }

    fn current_use(&self, state: &OperationState) -> Option<(u32, SlotUse)> {
        match state.caller_outcome {
            CallerOutcome::Granted(lease) if state.holds_lease || state.is_lost && self.pool.is_leased(lease) => {
                Some((lease.index(), SlotUse::Used))
            }
            CallerOutcome::Shared(slot) if state.holds_lease => Some((slot, SlotUse::Used)),
            _ if matches!(state.stage, Stage::Ended | Stage::Late) => None,
            _ => state.slot_use,
        }
    }

    /// Returns whether the slot is not idle.
    pub(super) fn is_busy(&self, slot: u32) -> bool {
        self.busy_slots().iter().any(|busy| busy.0 == slot)
    }

    /// Returns each slot that is not idle, with the greatest of its uses.
    fn busy_slots(&self) -> Vec<(u32, SlotUse)> {
        let mut uses: Vec<(u32, SlotUse)> = self.states.iter().filter_map(|state| self.current_use(state)).collect();
        uses.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        if !self.shares() {
            let slots = uses.len();
            uses.dedup_by_key(|slot_use| slot_use.0);
            assert_eq!(slots, uses.len(), "a slot is in two places");
        }
        uses.dedup_by_key(|slot_use| slot_use.0);
        // The slot is free, but its old connection is being closed.
        for state in &self.states {
            if state.role == Role::RecordClose
                && let Stage::Performing(step) | Stage::StillOpen(step) = state.stage
                && let Some(slot) = step_slot(step)
                && uses.iter().all(|slot_use| slot_use.0 != slot)
                && !self.places.contains(&Place::Slot(slot))
            {
                uses.push((slot, SlotUse::Closing));
            }
        }
        uses
    }

    fn number(&self, holds: impl Fn(&OperationState) -> bool) -> u32 {
        self.states.iter().filter(|state| holds(state)).count() as u32
    }

    /// Compares the policy's numbers with what the host sees.
    pub(super) fn check(&self) {
        let (stats, counts) = (self.stats(), self.counts());
        let busy = self.busy_slots();
        let count = |wanted: SlotUse| busy.iter().filter(|slot| slot.1 == wanted).count() as u32;
        let gauges = (count(SlotUse::Used), count(SlotUse::Opening), count(SlotUse::Closing));
        assert_eq!((stats.used, stats.opening, stats.closing), gauges, "used, opening, closing of {busy:?}");

        // A connection is in a used slot, in an idle slot, or with an operation of its own.
        let resting = |place: &&Place| match place {
            Place::Slot(slot) => busy.iter().all(|busy| busy.0 != *slot),
            _ => false,
        };
        assert_eq!(stats.idle, self.places.iter().filter(resting).count() as u32, "idle beside {busy:?}");
        assert_eq!(stats.total, stats.idle + stats.used + stats.opening + stats.closing);
        let queued = self.number(|state| state.stage == Stage::Queued);
        assert_eq!(stats.waiting, queued, "waiting");
        let detached = self.number(|state| match state.role {
            Role::Detached => state.stage != Stage::Ended && state.connection.is_some(),
            // It was taken out of a slot whose lease was lost.
            Role::Spawned => state.connection.is_some_and(|connection| {
                matches!(self.places[connection.0], Place::Operation(_)) && !self.late.contains(&connection)
            }),
            _ => false,
        });
        assert_eq!(stats.detached, detached, "detached");
        assert_eq!(stats.opened as usize, self.places.len() - self.late.len(), "opened");

        let slots = counts.checked_in + counts.checked_out;
        assert_eq!(counts.checked_out, busy.len() as i64, "checked out");
        assert!(counts.checked_in >= i64::from(stats.idle));
        assert_eq!(counts.overflow, if counts.size == 0 { 0 } else { slots - counts.size });
        self.check_limits(&stats, &counts, &busy);
        self.check_time(stats.idle);
    }

    /// Returns how many slots the pool keeps idle.
    pub(super) fn most_kept(&self) -> f64 {
        match self.settings.kind {
            Some(Kind::Queue) if self.settings.pool_size == 0.0 => f64::INFINITY,
            Some(Kind::Queue) => self.settings.pool_size,
            Some(Kind::Null) => 0.0,
            _ => 1.0,
        }
    }

    fn check_limits(&self, stats: &Stats, counts: &Counts, busy: &[(u32, SlotUse)]) {
        let slots = counts.checked_in + counts.checked_out;
        if !self.shares() {
            assert!((slots as f64) <= stats.max.max(self.most_slots as f64), "{slots} slots of {}", stats.max);
        }
        let kept = self.most_kept();
        assert!(counts.checked_in as f64 <= kept, "{} are kept", counts.checked_in);
        let performs = |wanted: fn(Step) -> bool| {
            self.number(|state| matches!(state.stage, Stage::Performing(step) if wanted(step)))
        };
        let opening = performs(|step| matches!(step, Step::Open(_)));
        assert!(f64::from(opening) <= self.settings.max_connecting, "{opening} creators run");
        if stats.waiting == 0 {
            return;
        }
        assert!(self.is_draining || !self.pool.is_closed(), "a caller waits for a closed pool");
        if self.shares() {
            let arriving = busy.iter().any(|slot| !self.is_only_held(slot.0));
            let may_pause = self.pool.config().retries();
            assert!(arriving || may_pause, "a caller waits for what may be joined");
            return;
        }
        // After the pool has shrunk an emptied slot, or one whose connection is stale, may have to wait until another
        // one has ended.
        let is_full = f64::from(stats.total) >= stats.max && (stats.idle == 0 || slots as f64 > stats.max);
        // Each checkout on its way, with or without its caller, will serve the waiters.
        let on_the_way = self.number(|state| {
            let opens =
                matches!(state.role, Role::Checkout | Role::Warming | Role::Filling) && state.slot_use.is_some();
            opens && !matches!(state.stage, Stage::Queued | Stage::Ended | Stage::Late)
        });
        let waits_for_creators = f64::from(on_the_way) >= self.settings.max_connecting;
        // Creators that were given up count, and openings that fail are spaced out.
        let late = self.number(|state| state.stage == Stage::Late);
        // A checkout that was woken for an opening has its place already.
        let is_exhausted = f64::from(late) + f64::from(stats.opening) >= (2.0 * stats.max).max(5.0);
        let may_pause = self.pool.config().retries();
        assert!(is_full || waits_for_creators || is_exhausted || may_pause, "a caller waits for what is free");
    }

    /// Returns whether only lease holders use the slot.
    fn is_only_held(&self, slot: u32) -> bool {
        let holders = self
            .states
            .iter()
            .filter(|state| state.holds_lease && state.caller_outcome == CallerOutcome::Shared(slot))
            .count();
        self.uses_of(slot).len() == holders && holders > 0
    }

    fn check_time(&self, idle: u32) {
        let attended = self.number(|state| match state.role {
            _ if state.is_unattended => false,
            Role::Checkout => state.caller_outcome == CallerOutcome::Pending,
            Role::Return | Role::Close | Role::RecordClose | Role::Emission => {
                state.stage != Stage::Ended && !state.is_released
            }
            Role::Detached => !matches!(state.stage, Stage::Ended | Stage::Holding) && !state.is_released,
            Role::Warming => state.stage != Stage::Ended && state.caller_outcome == CallerOutcome::Pending,
            Role::Spawned | Role::Filling | Role::TakingBack => false,
        });
        assert_eq!(self.pool.is_attended(), attended > 0);
        let timed = self.number(|state| {
            let sleeps = matches!(state.stage, Stage::Queued | Stage::InLine | Stage::AwaitingPlace | Stage::Draining);
            // The deadline of an operation in line runs until its turn.
            sleeps || matches!(state.stage, Stage::Performing(_)) || state.has_deadline && state.stage == Stage::Woken
        });
        // A timer may run out after its last waiter left.
        let is_quiet = [self.settings.idle_timeout_ms, self.settings.hold_limit_ms, self.settings.max_age_ms]
            .iter()
            .any(|ms| ms.is_finite())
            || self.settings.min > 0.0
            || self.number(|state| state.is_lost) > 0
            || self.pool.config().retries();
        assert!(timed > 0 || is_quiet || self.timer.is_none(), "the timer runs without a reason");
        let Stats { total, closing, .. } = self.stats();
        let keeps_all = f64::from(total - closing) <= self.settings.min;
        let reaping =
            self.settings.idle_timeout_ms.is_finite() && f64::from(idle) > self.settings.min_idle && !keeps_all;
        assert!(!reaping || self.timer.is_some(), "more than minIdle are idle and no timer runs");
        let sleepers = self.number(|state| matches!(state.stage, Stage::Queued | Stage::Draining));
        assert!(sleepers == 0 || self.timer.is_some(), "an operation sleeps and no timer runs");
        let is_in_line = self.number(|state| state.stage == Stage::InLine) > 0;
        let listens = self.number(|state| match state.stage {
            Stage::Performing(Step::Emit(Event::FirstConnect | Event::Connect, _)) => true,
            Stage::Woken => state.is_first_in_line,
            _ => false,
        });
        assert!(!is_in_line || listens > 0, "an operation is in line behind none");
    }
}
