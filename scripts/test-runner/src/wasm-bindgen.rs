//! `wasm-bindgen` for wasm-pack, which asks for its version before it runs a test.

fn main() {
    let arguments = std::env::args_os();
    if let Err(error) = wasm_bindgen_cli::wasm_bindgen::run_cli_with_args(arguments) {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
}
