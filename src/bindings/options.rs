//! Decodes the options that the shell has normalised: each is a number, in the order of CoreOptions in
//! src/shell/options.ts. A value of a wrong type is `NaN`, which the policy's own check refuses by the option's name.

use crate::policy::{Config, Kind, ResetStyle, Settings};
use wasm_bindgen::JsValue;

const FLAGS: [bool; 2] = [false, true];
const KINDS: [Kind; 5] = [Kind::Queue, Kind::Null, Kind::Singleton, Kind::Static, Kind::Assertion];
const STYLES: [ResetStyle; 3] = [ResetStyle::None, ResetStyle::Rollback, ResetStyle::Commit];

/// Throws the name of the first option that breaks its rule, and `undefined` for another count of numbers.
pub(super) fn decode(options: &[f64]) -> Result<Config, JsValue> {
    let &[
        kind,
        pool_size,
        max_overflow,
        max_waiters,
        timeout_ms,
        driver_timeout_ms,
        deadline_ms,
        use_lifo,
        reset_on_return,
        recycle_ms,
        recycle_jitter,
        pre_ping,
        pre_ping_after_idle_ms,
        ping_timeout_ms,
        idle_timeout_ms,
        min_idle,
        max_uses,
        max_connecting,
    ] = options
    else {
        return Err(JsValue::UNDEFINED);
    };
    let settings = Settings {
        kind: choice(&KINDS, kind),
        pool_size,
        max_overflow,
        max_waiters,
        timeout_ms,
        driver_timeout_ms,
        deadline_ms,
        use_lifo: choice(&FLAGS, use_lifo),
        reset_on_return: choice(&STYLES, reset_on_return),
        recycle_ms,
        recycle_jitter,
        pre_ping: choice(&FLAGS, pre_ping),
        pre_ping_after_idle_ms,
        ping_timeout_ms,
        idle_timeout_ms,
        min_idle,
        max_uses,
        max_connecting,
    };
    Config::new(&settings).map_err(|violation| JsValue::from_str(violation.option))
}

fn choice<T: Copy>(choices: &[T], number: f64) -> Option<T> {
    if number.is_nan() { None } else { choices.get(number as usize).copied() }
}
