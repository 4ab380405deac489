//! `wasm-bindgen-test-runner` for wasm-pack: runs the tests of tests/bindings in Node or in headless Chromium.

fn main() {
    let arguments = std::env::args_os();
    if let Err(error) = wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(arguments) {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
}
