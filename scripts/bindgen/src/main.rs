//! `edgepool-bindgen <in.wasm> <out dir> [<name>]` does what `wasm-bindgen --target web --omit-default-module-path`
//! does. Installing wasm-bindgen-cli takes seven minutes; building this takes half of one. Called by scripts/build.mjs
//! and scripts/rust-worker.mjs only.

use std::error::Error;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: edgepool-bindgen <in.wasm> <out dir> [<name>]".into());
    };
    let name = arguments.next().unwrap_or_else(|| "edgepool".into());
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).out_name(&name).web(true)?.omit_default_module_path(true).typescript(true);
    Ok(bindgen.generate(output)?)
}
