//! `edgepool-bindgen <in.wasm> <out dir>`: what `wasm-bindgen --target web --omit-default-module-path` does, without
//! the seven minutes that installing wasm-bindgen-cli takes. Called by scripts/build.mjs only.
//!
//! Around it, what makes the package smaller: dead.rs takes out what the linker keeps and nothing runs, names.rs shortens
//! what the module and the glue call each other.

mod dead;
mod names;

use std::error::Error;
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

/// Parts of the names of functions that the linker keeps and nothing runs:
/// - serde's words for a value of the wrong type or an array of the wrong length, with what only they need, the text of
///   floats above all. They are for options that are no array of eighteen numbers, and the shell always gives one
///   (src/shell/options.ts).
/// - What wasm-bindgen and js-sys export for promises and closures. The crate has none, so wasm-bindgen takes the exports
///   away again; names.rs sees to it that it did.
///
/// With what only they lead to they are 16 of 46 kB gzipped. Ran they all the same, the instance would trap, which its
/// callers are told.
const NEVER_RUN: [&str; 9] = [
    "serde_wasm_bindgen::de::Deserializer::invalid_type",
    "serde_core::de::Error::invalid_length",
    "serde_core::de::Unexpected as",
    "wasm_bindgen::JsValue as core::fmt::Debug",
    "core::fmt::float::float_to_decimal_common",
    "core::num::flt2dec::",
    "__wbg_jspi_task_poll",
    "__wbindgen_jspi_set_rejected",
    "__wbindgen_destroy_closure",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: edgepool-bindgen <in.wasm> <out dir>".into());
    };
    let module = dead::blank(&std::fs::read(input)?, is_never_run)?;
    let mut bindgen = Bindgen::new();
    bindgen.input_bytes("edgepool", module).web(true)?.omit_default_module_path(true).typescript(true);
    names::write(bindgen.generate_output()?, Path::new(&output))
}

fn is_never_run(name: &str) -> bool {
    NEVER_RUN.iter().any(|part| plain(name).contains(part))
}

/// A mangled name as it is written in the source, near enough.
fn plain(name: &str) -> String {
    rustc_demangle::demangle(name)
        .to_string()
        .split('[')
        .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
        .collect()
}
