//! `wasm-pack` from its own library. Built beside the two tools that it looks for, it shares most of their
//! dependencies.

use clap::Parser as _;
use wasm_pack::{Cli, PBAR, command::run_wasm_pack};

fn main() {
    let arguments = Cli::parse();
    PBAR.set_log_level(arguments.log_level);
    PBAR.set_quiet(arguments.quiet);
    if let Err(error) = run_wasm_pack(arguments.cmd) {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
}
