//! Decides what the compiled module and its glue call each other, and writes both. wasm-bindgen gives every import a hash,
//! for crates that say the same; here each is in two files, and nothing compresses it: 0.6 kB gzipped. Called by main.rs
//! only.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use wasm_bindgen_cli_support::Output;

/// What the linker and wasm-bindgen leave for tools that have run by now.
const LEFT_OVER_SECTIONS: [&str; 4] = ["linking", "reloc.CODE", "reloc.DATA", "target_features"];
/// Only the glue of a crate that unwinds asks for them.
const LEFT_OVER_EXPORTS: [&str; 2] = ["__abort_handler", "__instance_terminated"];

/// Writes `edgepool.js`, which is the glue, the module and their types.
pub(crate) fn write(mut output: Output, directory: &Path) -> Result<(), Box<dyn Error>> {
    let module = output.wasm_mut();
    for name in LEFT_OVER_SECTIONS {
        module.customs.remove_raw(name);
    }
    for name in LEFT_OVER_EXPORTS {
        module.exports.remove(name)?;
    }
    if let Some(export) = module.exports.iter().find(|export| crate::is_never_run(&export.name)) {
        return Err(format!("{} is in NEVER_RUN, but the glue calls it", export.name).into());
    }
    let mut renamed = vec![];
    let mut taken = HashSet::new();
    for import in module.imports.iter_mut() {
        let plain = without_hash(&import.name).to_owned();
        let mut short = plain.clone();
        for count in 2.. {
            if taken.insert(short.clone()) {
                break;
            }
            short = format!("{plain}_{count}");
        }
        renamed.push((std::mem::replace(&mut import.name, short.clone()), short));
    }
    output.emit(directory)?;

    let path = directory.join("edgepool.js");
    let mut glue = fs::read_to_string(&path)?;
    for (name, short) in renamed {
        let [before, after] = glue.split(&name).collect::<Vec<_>>()[..] else {
            return Err(format!("the glue has {name} not exactly once").into());
        };
        if !before.ends_with("\n        ") || !after.starts_with(": function(") {
            return Err(format!("the glue has {name}, but does not define it there").into());
        }
        glue = format!("{before}{short}{after}");
    }
    if let Some(name) = LEFT_OVER_EXPORTS.iter().find(|&&name| glue.contains(name)) {
        return Err(format!("the glue asks for {name}").into());
    }
    Ok(fs::write(&path, glue)?)
}

/// `next` of `__wbg_next_af5ac6a08bb0a717`, `throw` of `__wbg___wbindgen_throw_4c88d8bf264fd984`.
fn without_hash(name: &str) -> &str {
    let name = name.strip_prefix("__wbg_").unwrap_or(name);
    let name = name.strip_prefix("__wbindgen_").unwrap_or(name);
    match name.rsplit_once('_') {
        Some((plain, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => plain,
        _ => name,
    }
}
