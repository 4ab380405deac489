//! The settings: which values are accepted, which option a violation names, and how lengths of time are rounded.

use crate::harness::{Host, plain};
use edgepool::policy::{Config, LONGEST_SPAN_MS, Refusal, Settings, Span};

fn broken(settings: &Settings) -> Option<&'static str> {
    Config::new(settings).err().map(|violation| violation.option)
}

fn with(change: impl Fn(&mut Settings)) -> Option<&'static str> {
    let mut settings = Settings::default();
    change(&mut settings);
    broken(&settings)
}

#[test]
fn the_defaults_pass() {
    assert_eq!(broken(&Settings::default()), None);
}

#[test]
fn a_count_is_a_whole_number_from_zero() {
    for value in [-1.0, -0.5, 0.5, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 4_294_967_295.0, 1e300] {
        assert_eq!(with(|settings| settings.pool_size = value), Some("poolSize"), "{value}");
        if value != -1.0 {
            assert_eq!(with(|settings| settings.max_overflow = value), Some("maxOverflow"), "{value}");
        }
        if value != f64::INFINITY {
            assert_eq!(with(|settings| settings.max_waiters = value), Some("maxWaiters"), "{value}");
        }
    }
    for value in [0.0, 1.0, 1_000_000.0] {
        assert_eq!(with(|settings| settings.pool_size = value), None);
        assert_eq!(with(|settings| settings.max_overflow = value), None);
        assert_eq!(with(|settings| settings.max_waiters = value), None);
    }
}

#[test]
fn minus_one_is_no_limit_for_the_overflow_alone() {
    assert_eq!(with(|settings| settings.max_overflow = -1.0), None);
    assert_eq!(with(|settings| settings.max_overflow = -2.0), Some("maxOverflow"));
}

#[test]
fn scenario_047_a_length_of_time_is_not_negative_and_not_nan() {
    for value in [-1.0, -0.001, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(with(|settings| settings.timeout_ms = value), Some("timeout"));
        assert_eq!(with(|settings| settings.driver_timeout_ms = value), Some("driverTimeout"));
        assert_eq!(with(|settings| settings.deadline_ms = value), Some("deadline"));
    }
    for value in [0.0, 0.5, 1e12, f64::INFINITY] {
        assert_eq!(with(|settings| settings.timeout_ms = value), None);
        assert_eq!(with(|settings| settings.driver_timeout_ms = value), None);
        assert_eq!(with(|settings| settings.deadline_ms = value), None);
    }
}

#[test]
fn scenario_010_a_choice_that_is_none_of_those_offered_is_named() {
    assert_eq!(with(|settings| settings.use_lifo = None), Some("useLifo"));
    assert_eq!(with(|settings| settings.reset_on_return = None), Some("resetOnReturn"));
}

#[test]
fn a_fraction_of_a_millisecond_rounds_up() {
    assert_eq!(Span::from_millis(0.0), Some(Span::Millis(0)));
    assert_eq!(Span::from_millis(0.001), Some(Span::Millis(1)));
    assert_eq!(Span::from_millis(7.0), Some(Span::Millis(7)));
    assert_eq!(Span::from_millis(7.5), Some(Span::Millis(8)));
}

#[test]
fn what_no_timer_can_count_is_for_ever() {
    let longest = f64::from(LONGEST_SPAN_MS);
    assert_eq!(Span::from_millis(longest - 1.0), Some(Span::Millis(LONGEST_SPAN_MS - 1)));
    assert_eq!(Span::from_millis(longest), Some(Span::Forever));
    assert_eq!(Span::from_millis(f64::INFINITY), Some(Span::Forever));
    assert_eq!(Span::from_millis(f64::NAN), None);
    assert_eq!(Span::from_millis(-1.0), None);
}

#[test]
fn the_largest_counts_add_up_without_overflow() {
    let mut host = Host::new(Settings { pool_size: 4_294_967_294.0, max_overflow: 4_294_967_294.0, ..plain(1, 0) });
    host.lend();
    assert_eq!(host.stats().used, 1);
}

#[test]
fn a_timeout_of_the_pool_holds_for_a_caller_that_gives_none() {
    let mut host = Host::new(Settings { timeout_ms: 0.0, ..plain(1, 0) });
    host.lend();
    let refused = host.connect();
    assert_eq!(host.refusal(refused), Some(Refusal::WaitTimeout));
}
