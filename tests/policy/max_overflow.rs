//! `maxOverflow` limits how many connections there may be beyond `poolSize`. The surplus is closed at its return.
//! Openings count from their start.

use crate::harness::{Connection, Host, HostStep, Operation, Stage, counts, plain, sized};
use edgepool::policy::Outcome;

#[test]
fn scenario_029_a_failed_connect_leaves_the_overflow_as_it_was() {
    let mut host = Host::new(sized(2, 3));
    for _ in 0..3 {
        host.lend();
    }
    let failing = host.connect();
    assert_eq!(host.counts().overflow, 2);
    host.finish(failing, Outcome::Failed);
    assert_eq!(host.counts(), counts(2, 0, 1, 3));
}

#[test]
fn scenario_030_the_first_of_two_returned_is_kept_and_the_second_closed() {
    let mut host = Host::new(sized(1, 1));
    let (a, b) = (host.lend(), host.lend());
    host.give_back(a);
    let operation = host.checkin(b, false).expect("a rollback");
    assert_eq!(host.steps(), [HostStep::Rollback(Connection(1))]);
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.steps(), [HostStep::Close(Connection(1))]);
    assert_eq!((host.stats().closing, host.counts()), (1, counts(1, 1, 1, 1)));
    host.finish(operation, Outcome::Ok);
    assert_eq!(host.counts(), counts(1, 1, 0, 0));
}

#[test]
fn a_surplus_slot_counts_until_its_close_has_ended_however_it_ends() {
    for outcome in [Outcome::Ok, Outcome::Failed, Outcome::TimedOut] {
        let mut host = Host::new(plain(1, 1));
        let (a, b) = (host.lend(), host.lend());
        host.checkin(a, true);
        let closing = host.checkin(b, true).expect("a surplus connection is closed");
        let c = host.connect();
        let d = host.connect();
        assert_eq!((host.has_lease(c), host.stage(d)), (true, Stage::Queued), "{outcome:?}");
        host.finish(closing, outcome);
        assert_eq!(host.stage(d), Stage::Woken);
    }
}

#[test]
fn scenario_036_an_opening_that_hangs_holds_up_no_caller_within_the_overflow() {
    let mut host = Host::new(sized(1, 2));
    let hanging = host.connect();
    for _ in 0..2 {
        host.lend();
    }
    assert_eq!(host.step(hanging), Some(HostStep::Open));
    assert_eq!(host.counts(), counts(1, 0, 2, 3));
}

#[test]
fn scenario_038_of_five_connects_three_open_at_once_and_two_wait() {
    let mut host = Host::new(sized(2, 1));
    let callers: Vec<Operation> = (0..5).map(|_| host.connect()).collect();
    assert_eq!(host.steps(), [HostStep::Open; 3]);
    assert_eq!((host.stage(callers[3]), host.stage(callers[4])), (Stage::Queued, Stage::Queued));
    assert_eq!((host.stats().opening, host.stats().waiting), (3, 2));
}

#[test]
fn scenario_034_ten_callers_in_ten_rounds_all_get_their_turn() {
    for (pool_size, max_overflow) in [(10, 0), (3, 5), (3, 0), (7, 0)] {
        let mut host = Host::new(sized(pool_size, max_overflow));
        let mut served = 0;
        for _ in 0..10 {
            let callers: Vec<Operation> = (0..10).map(|_| host.connect()).collect();
            host.run();
            while let Some(caller) = callers.iter().copied().find(|&caller| host.has_lease(caller)) {
                served += 1;
                host.give_back(caller);
                host.run();
            }
        }
        assert_eq!(served, 100);
        assert_eq!(host.counts().checked_out, 0);
    }
}

#[test]
fn scenario_035_forty_callers_never_exceed_the_maximum() {
    for (max_overflow, most) in [(0, 3), (5, 8)] {
        let mut host = Host::new(sized(3, max_overflow));
        let callers: Vec<Operation> = (0..40).map(|_| host.connect()).collect();
        for caller in callers {
            host.run();
            assert!(host.counts().overflow <= i64::from(max_overflow));
            assert!(host.open_connections() <= most);
            host.give_back(caller);
        }
        host.dispose();
        host.run();
        assert_eq!(host.open_connections(), 0);
    }
}

#[test]
fn without_a_maximum_no_caller_waits_and_only_pool_size_is_kept() {
    let mut host = Host::new(sized(2, -1));
    let callers: Vec<Operation> = (0..20).map(|_| host.lend()).collect();
    assert_eq!((host.stats().waited, host.stats().max), (0, f64::INFINITY));
    callers.into_iter().for_each(|caller| host.give_back(caller));
    assert_eq!((host.counts(), host.open_connections()), (counts(2, 2, 0, 0), 2));
}

#[test]
fn with_no_overflow_pool_size_is_a_hard_cap() {
    let mut host = Host::new(sized(2, 0));
    host.lend();
    host.lend();
    let third = host.connect();
    assert_eq!((host.stage(third), host.stats().max), (Stage::Queued, 2.0));
}
