//! Decodes the options that the shell has normalised. A value of a wrong type becomes `NaN` or `None`, which the
//! policy's own check refuses by name: serde's errors do not say which field they mean.

use crate::policy::{Config, ResetStyle, Settings};
use alloc::string::String;
use serde::de::{Deserialize, Deserializer};
use serde::{Deserialize as Derive, Serialize};
use wasm_bindgen::JsValue;

struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(f64::deserialize(deserializer).unwrap_or(f64::NAN)))
    }
}

struct Flag(Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(bool::deserialize(deserializer).ok()))
    }
}

struct Style(Option<ResetStyle>);

impl<'de> Deserialize<'de> for Style {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match String::deserialize(deserializer).as_deref() {
            Ok("rollback") => Some(ResetStyle::Rollback),
            Ok("commit") => Some(ResetStyle::Commit),
            Ok("none") => Some(ResetStyle::None),
            _ => None,
        }))
    }
}

/// Every option is there: the shell fills in the defaults.
#[derive(Derive)]
#[serde(rename_all = "camelCase")]
struct Options {
    pool_size: Number,
    max_overflow: Number,
    max_waiters: Number,
    timeout: Number,
    driver_timeout: Number,
    deadline: Number,
    use_lifo: Flag,
    reset_on_return: Style,
}

/// What is thrown for an option that breaks its rule.
#[derive(Serialize)]
struct Refused {
    option: &'static str,
}

pub(super) fn decode(options: JsValue) -> Result<Config, JsValue> {
    let options: Options = serde_wasm_bindgen::from_value(options).map_err(JsValue::from)?;
    let settings = Settings {
        pool_size: options.pool_size.0,
        max_overflow: options.max_overflow.0,
        max_waiters: options.max_waiters.0,
        timeout_ms: options.timeout.0,
        driver_timeout_ms: options.driver_timeout.0,
        deadline_ms: options.deadline.0,
        use_lifo: options.use_lifo.0,
        reset_on_return: options.reset_on_return.0,
    };
    Config::new(&settings).map_err(|violation| super::encode(&Refused { option: violation.option }))
}
