//! Decodes the options: numbers in the order of `OPTIONS` in src/policy/config.rs. A value of a wrong type is `NaN`,
//! which the policy's own check refuses by the option's name.

use crate::policy::{Config, OPTIONS, Settings};
use wasm_bindgen::JsValue;

/// Throws the name of the first option that breaks its rule, and `undefined` for another count of numbers.
pub(super) fn decode(options: &[f64]) -> Result<Config, JsValue> {
    if options.len() != OPTIONS.len() {
        return Err(JsValue::UNDEFINED);
    }
    Config::new(&Settings::from_numbers(options)).map_err(|violation| JsValue::from_str(violation.option))
}
