//! The harness's own books: what each slot should be doing, told from the steps alone, and every number of the policy
//! held against that after every call.

use super::{Fate, Flow, Hook, Host, Place, Role, Stage, Strand, step_slot};
use edgepool::policy::{Counts, Kind, Outcome, Stats, Step};

/// What a flow makes of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    Closing,
    Opening,
    Used,
}

impl Host {
    /// Told from the step, from the one before, and how that went.
    pub(super) fn claim(&self, flow: Flow, step: Step, outcome: Option<Outcome>) -> Option<(u32, Claim)> {
        let Strand { role, claim: before, deaths, stage, is_invalidation, is_first_in_line, .. } = self.strands[flow.0];
        if let (Step::Wait, Some(claim)) = (step, before)
            && stage != Stage::Late
            && !self.pool.is_waiting(self.id(flow))
        {
            return Some(claim);
        }
        let slot = step_slot(step)?;
        if role == Role::Emptying {
            return None;
        }
        let last = match (stage, outcome) {
            (Stage::Performing(last), Some(outcome)) => Some((last, outcome)),
            _ => None,
        };
        let gives_up = deaths > 1 && self.strands[flow.0].fate == Fate::Unsettled;
        // From one slot to another, whose connection is stale.
        let has_moved = last.is_some() && before.is_some_and(|before| before.0 != slot);
        let claim = match step {
            Step::Emit(Hook::Close, _) | Step::Terminate(_) if has_moved => Claim::Opening,
            Step::Open(_) | Step::Emit(Hook::FirstConnect | Hook::Connect, _) => Claim::Opening,
            Step::Emit(Hook::Invalidate | Hook::Close, _) | Step::Terminate(_) => match last {
                // Its turn has come, and there is nobody to tell of its connection any more.
                None if is_first_in_line && gives_up => Claim::Used,
                None if is_first_in_line => Claim::Closing,
                None => match (role, step) {
                    (Role::Checkout, _) => Claim::Opening,
                    (Role::Child | Role::Warming, _) => Claim::Closing,
                    // A return whose first step is a polite close has nothing else to do.
                    (_, Step::Emit(Hook::Close, _)) if !is_invalidation => Claim::Closing,
                    _ => Claim::Used,
                },
                Some((Step::Emit(Hook::Invalidate | Hook::Close, _), _)) => before?.1,
                Some((Step::Open(_) | Step::Emit(Hook::FirstConnect | Hook::Connect, _), outcome)) => {
                    match (outcome, step) {
                        (Outcome::Ok, _) if gives_up => Claim::Used,
                        (Outcome::Ok, _) => Claim::Closing,
                        _ => Claim::Opening,
                    }
                }
                Some((Step::Emit(Hook::Reset, _) | Step::Rollback(_) | Step::Commit(_), Outcome::Ok)) => Claim::Closing,
                Some((Step::Finalize(_) | Step::Emit(Hook::Checkin, _), _)) => Claim::Closing,
                Some(_) => Claim::Used,
            },
            Step::Close(_) => Claim::Closing,
            _ => Claim::Used,
        };
        Some((slot, claim))
    }

    /// Who is woken opens a connection, or checks one; of a connection that is shared already, it joins it.
    pub(super) fn claim_of_woken(&self, slot: u32) -> Claim {
        if self.shares() && self.claims(slot).contains(&Claim::Used) { Claim::Used } else { Claim::Opening }
    }

    fn claims(&self, slot: u32) -> Vec<Claim> {
        let claims = self.strands.iter().filter_map(|strand| self.claim_now(strand));
        claims.filter(|claim| claim.0 == slot).map(|claim| claim.1).collect()
    }

    fn claim_now(&self, strand: &Strand) -> Option<(u32, Claim)> {
        match strand.fate {
            Fate::Granted(lease) if strand.holds_lease || strand.is_lost && self.pool.is_leased(lease) => {
                Some((lease.index(), Claim::Used))
            }
            Fate::Shared(slot) if strand.holds_lease => Some((slot, Claim::Used)),
            _ if matches!(strand.stage, Stage::Ended | Stage::Late) => None,
            _ => strand.claim,
        }
    }

    /// What each slot is doing that is not idle: that of its claims which weighs most.
    fn busy_slots(&self) -> Vec<(u32, Claim)> {
        let mut claims: Vec<(u32, Claim)> = self.strands.iter().filter_map(|strand| self.claim_now(strand)).collect();
        claims.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        if !self.shares() {
            let slots = claims.len();
            claims.dedup_by_key(|claim| claim.0);
            assert_eq!(slots, claims.len(), "a slot is in two places");
        }
        claims.dedup_by_key(|claim| claim.0);
        // Free, but for the close of what it held.
        for strand in &self.strands {
            if strand.role == Role::Emptying
                && let Stage::Performing(step) = strand.stage
                && let Some(slot) = step_slot(step)
                && claims.iter().all(|claim| claim.0 != slot)
                && !self.places.contains(&Place::Slot(slot))
            {
                claims.push((slot, Claim::Closing));
            }
        }
        claims
    }

    fn number(&self, holds: impl Fn(&Strand) -> bool) -> u32 {
        self.strands.iter().filter(|strand| holds(strand)).count() as u32
    }

    /// The policy's numbers against what the host sees.
    pub(super) fn check(&self) {
        let (stats, counts) = (self.stats(), self.counts());
        let busy = self.busy_slots();
        let count = |wanted: Claim| busy.iter().filter(|slot| slot.1 == wanted).count() as u32;
        let gauges = (count(Claim::Used), count(Claim::Opening), count(Claim::Closing));
        assert_eq!((stats.used, stats.opening, stats.closing), gauges, "used, opening, closing of {busy:?}");

        // A connection is with who has its slot, in a slot that is idle, or with a flow of its own.
        let resting = |place: &&Place| match place {
            Place::Slot(slot) => busy.iter().all(|busy| busy.0 != *slot),
            _ => false,
        };
        assert_eq!(stats.idle, self.places.iter().filter(resting).count() as u32, "idle beside {busy:?}");
        assert_eq!(stats.total, stats.idle + stats.used + stats.opening + stats.closing);
        let queued = self.number(|strand| strand.stage == Stage::Queued);
        assert_eq!(stats.waiting, queued, "waiting");
        let detached = self.number(|strand| match strand.role {
            Role::Detached => strand.stage != Stage::Ended && strand.connection.is_some(),
            // What was taken out of a slot whose lease was lost.
            Role::Child => strand.connection.is_some_and(|connection| {
                matches!(self.places[connection.0], Place::Flow(_)) && !self.late.contains(&connection)
            }),
            _ => false,
        });
        assert_eq!(stats.detached, detached, "detached");
        assert_eq!(stats.opened as usize, self.places.len() - self.late.len(), "opened");

        let slots = counts.checked_in + counts.checked_out;
        assert_eq!(counts.checked_out, busy.len() as i32, "checked out");
        assert!(counts.checked_in >= stats.idle as i32);
        assert_eq!(counts.overflow, if counts.size == 0 { 0 } else { slots - counts.size });
        self.check_limits(&stats, &counts, &busy);
        self.check_time(stats.idle);
    }

    fn check_limits(&self, stats: &Stats, counts: &Counts, busy: &[(u32, Claim)]) {
        let slots = counts.checked_in + counts.checked_out;
        if !self.shares() {
            assert!(f64::from(slots) <= stats.max, "{slots} slots of {}", stats.max);
        }
        let kept = match self.settings.kind {
            Some(Kind::Queue) if self.settings.pool_size == 0.0 => f64::INFINITY,
            Some(Kind::Queue) => self.settings.pool_size,
            Some(Kind::Null) => 0.0,
            _ => 1.0,
        };
        assert!(f64::from(counts.checked_in) <= kept, "{} are kept", counts.checked_in);
        let performs = |wanted: fn(Step) -> bool| {
            self.number(|strand| matches!(strand.stage, Stage::Performing(step) if wanted(step)))
        };
        let opening = performs(|step| matches!(step, Step::Open(_)));
        assert!(f64::from(opening) <= self.settings.max_connecting, "{opening} creators run");
        if stats.waiting == 0 {
            return;
        }
        assert!(!self.pool.is_closed(), "somebody waits for a closed pool");
        if self.shares() {
            let arriving = busy.iter().any(|slot| !self.is_only_held(slot.0));
            assert!(arriving, "somebody waits for what may be joined");
            return;
        }
        let is_full = counts.checked_in == 0 && f64::from(slots) == stats.max;
        // Each checkout on its way, its caller or not, ends in the service of those who wait.
        let on_the_way = self.number(|strand| {
            let opens = matches!(strand.role, Role::Checkout | Role::Warming) && strand.claim.is_some();
            opens && !matches!(strand.stage, Stage::Queued | Stage::Ended | Stage::Late)
        });
        let waits_for_creators = f64::from(on_the_way) >= self.settings.max_connecting;
        assert!(is_full || waits_for_creators, "somebody waits for what is free");
    }

    /// Whether nobody but holders has to do with the slot.
    fn is_only_held(&self, slot: u32) -> bool {
        let holders =
            self.strands.iter().filter(|strand| strand.holds_lease && strand.fate == Fate::Shared(slot)).count();
        self.claims(slot).len() == holders && holders > 0
    }

    fn check_time(&self, idle: u32) {
        let attended = self.number(|strand| match strand.role {
            Role::Checkout => strand.fate == Fate::Unsettled,
            Role::Return | Role::Close | Role::Emptying | Role::Telling => strand.stage != Stage::Ended,
            Role::Detached => !matches!(strand.stage, Stage::Ended | Stage::Holding),
            Role::Warming => strand.stage != Stage::Ended && strand.fate == Fate::Unsettled,
            Role::Child => false,
        });
        assert_eq!(self.pool.is_attended(), attended > 0);
        let timed = self.number(|strand| {
            let sleeps = matches!(strand.stage, Stage::Queued | Stage::InLine | Stage::AwaitingPlace | Stage::Draining);
            // The deadline of who stood in line runs until its turn.
            sleeps
                || matches!(strand.stage, Stage::Performing(_))
                || strand.has_deadline && strand.stage == Stage::Woken
        });
        // A timer that was set for what nobody waits for may run out.
        let is_quiet = self.settings.idle_timeout_ms.is_finite() || self.number(|strand| strand.is_lost) > 0;
        assert!(timed > 0 || is_quiet || self.timer.is_none(), "the timer runs for nobody");
        let reaping = self.settings.idle_timeout_ms.is_finite() && idle > 0;
        assert!(!reaping || self.timer.is_some(), "something idles and no timer runs");
        let sleepers = self.number(|strand| matches!(strand.stage, Stage::Queued | Stage::Draining));
        assert!(sleepers == 0 || self.timer.is_some(), "somebody sleeps and no timer runs");
        let is_in_line = self.number(|strand| strand.stage == Stage::InLine) > 0;
        let listens = self.number(|strand| match strand.stage {
            Stage::Performing(Step::Emit(Hook::FirstConnect | Hook::Connect, _)) => true,
            Stage::Woken => strand.is_first_in_line,
            _ => false,
        });
        assert!(!is_in_line || listens > 0, "somebody stands in line behind nobody");
    }
}
