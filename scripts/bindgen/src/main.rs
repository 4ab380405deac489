//! `edgepool-bindgen <in.wasm> <out dir>`: what `wasm-bindgen --target web --omit-default-module-path` does, without
//! the seven minutes that installing wasm-bindgen-cli takes. Called by scripts/build.mjs only.

use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: edgepool-bindgen <in.wasm> <out dir>".into());
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).web(true)?.omit_default_module_path(true).typescript(true);
    bindgen.generate(output)?;
    Ok(())
}
