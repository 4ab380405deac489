//! `edgepool-bindgen <in.wasm> <out dir>`: what `wasm-bindgen --target web --omit-default-module-path` does, without
//! the seven minutes that installing wasm-bindgen-cli takes. Called by scripts/build.mjs only.
//!
//! First it takes out what the linker keeps but nothing runs: see [`NEVER_RUN`].

use std::error::Error;
use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module};
use wasm_bindgen_cli_support::Bindgen;

/// serde's words for a value of the wrong type, with what only they need, the text of floats and quoted strings above all:
/// a fifth of the whole. They are for options that are no array of numbers, and the shell always gives one (src/shell/options.ts). Ran
/// they all the same, the instance would trap, which its callers are told.
const NEVER_RUN: [&str; 9] = [
    "serde_wasm_bindgen::de::Deserializer::invalid_type",
    "serde_core::de::Unexpected as",
    "serde_core::de::WithDecimalPoint as",
    "wasm_bindgen::JsValue as core::fmt::Debug",
    "<&str as core::fmt::Debug>",
    "<char as core::fmt::Debug>",
    "core::str::slice_error_fail",
    "core::fmt::float::float_to_decimal_common",
    "core::num::flt2dec::",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: edgepool-bindgen <in.wasm> <out dir>".into());
    };
    let mut module = Module::from_file(&input)?;
    take_out(&mut module)?;
    let mut bindgen = Bindgen::new();
    bindgen.input_module("edgepool", module).web(true)?.omit_default_module_path(true).typescript(true);
    bindgen.generate(output)?;
    Ok(())
}

fn take_out(module: &mut Module) -> Result<(), Box<dyn Error>> {
    let is_never_run = |name: &str| NEVER_RUN.iter().any(|part| plain(name).contains(part));
    let found: Vec<FunctionId> = module
        .funcs
        .iter()
        .filter(|function| function.name.as_deref().is_some_and(is_never_run))
        .map(|function| function.id())
        .collect();
    if found.is_empty() {
        return Err("nothing was found to take out: the names have changed, see NEVER_RUN".into());
    }
    for id in found {
        let kind = module.types.get(module.funcs.get(id).ty());
        let (parameters, results) = (kind.params().to_vec(), kind.results().to_vec());
        let arguments = parameters.iter().map(|&kind| module.locals.add(kind)).collect();
        let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &results);
        builder.func_body().unreachable();
        module.funcs.get_mut(id).kind = FunctionKind::Local(builder.local_func(arguments));
    }
    Ok(())
}

/// A mangled name as it is written in the source, near enough.
fn plain(name: &str) -> String {
    rustc_demangle::demangle(name)
        .to_string()
        .split('[')
        .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
        .collect()
}
