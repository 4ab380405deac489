#!/usr/bin/env bash
# wasm-bindgen-futures 0.4.80, wasm-bindgen 0.2.130, workerd 1.20261023.1, Rust 1.95, Node 20.20, Linux x64, 2026-11-30.
#
# wasm_bindgen_futures::spawn_local in a request of Cloudflare Workers: if the request ends before the task, the task is
# neither polled nor dropped again. All that it owns stays in memory as long as the isolate. A task that the request
# waits for (ctx.waitUntil) is dropped at its end. So `spawn_local(connection)`, the usual way to run a client of
# tokio-postgres, leaks its buffers in each request. Here a task owns 20 kB and sleeps for 50 ms. Seen, in pages of
# 64 kB, before and after 500 requests. Some dozens of them are under way at once, which is what the second row shows:
#
#   spawn_local: 17 pages, then 171; under waitUntil: 17 pages, then 49
#
# Ends with 0 if that is still so, and with 1 if it has changed. It needs cargo with the target wasm32-unknown-unknown.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p src glue/src
cat > Cargo.toml <<'TOML'
[package]
name = "leak"
version = "0.0.0"
edition = "2024"
[lib]
crate-type = ["cdylib"]
[dependencies]
js-sys = "=0.3.107"
wasm-bindgen = "=0.2.130"
wasm-bindgen-futures = "=0.4.80"
[workspace]
exclude = ["glue"]
TOML
cat > src/lib.rs <<'RS'
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};

#[wasm_bindgen]
extern "C" {
    fn setTimeout(callback: &js_sys::Function, ms: u32) -> JsValue;
}

async fn work() {
    let owned = vec![1_u8; 20_000];
    let _ = JsFuture::from(js_sys::Promise::new(&mut |resolve, _| drop(setTimeout(&resolve, 50)))).await;
    std::hint::black_box(owned);
}

#[wasm_bindgen]
pub fn spawned() {
    spawn_local(work());
}

#[wasm_bindgen]
pub fn awaited() -> js_sys::Promise {
    future_to_promise(async {
        work().await;
        Ok(JsValue::UNDEFINED)
    })
}

#[wasm_bindgen]
pub fn pages() -> usize {
    core::arch::wasm32::memory_size(0)
}
RS
cat > glue/Cargo.toml <<'TOML'
[package]
name = "glue"
version = "0.0.0"
edition = "2024"
[dependencies]
wasm-bindgen-cli-support = "=0.2.130"
[workspace]
TOML
cat > glue/src/main.rs <<'RS'
fn main() {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(std::env::args().nth(1).unwrap()).out_name("leak").web(true).unwrap();
    bindgen.omit_default_module_path(true).generate("out").unwrap();
}
RS
cargo build --quiet --release --target wasm32-unknown-unknown
cargo run --quiet --manifest-path glue/Cargo.toml -- target/wasm32-unknown-unknown/release/leak.wasm
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund workerd@1.20261023.1
cat > worker.mjs <<'JS'
import wasm from "leak_bg.wasm";
import * as rust from "leak.js";
rust.initSync({ module: wasm });
export default {
  fetch({ url }, env, context) {
    if (url.endsWith("/spawned")) rust.spawned();
    if (url.endsWith("/awaited")) context.waitUntil(rust.awaited());
    return new Response(String(rust.pages()));
  },
};
JS
cat > main.mjs <<'JS'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const module = (name, kind, path) => `(name = "${name}", ${kind} = embed "${path}")`;
const modules = [
  module("worker.mjs", "esModule", "worker.mjs"),
  module("leak.js", "esModule", "out/leak.js"),
  module("leak_bg.wasm", "wasm", "out/leak_bg.wasm"),
];
writeFileSync(
  "config.capnp",
  `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [${modules.join(", ")}], compatibilityDate = "2026-10-01"))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`,
);

/** Returns the pages of a new isolate, and those after 500 requests. */
async function measure(path) {
  const binary = createRequire(import.meta.url)("workerd").default;
  const child = spawn(binary, ["serve", "--control-fd=3", "config.capnp"], { stdio: ["ignore", "ignore", "inherit", "pipe"] });
  const [line] = await once(createInterface({ input: child.stdio[3] }), "line");
  const ask = async (path) => Number(await (await fetch(`http://127.0.0.1:${JSON.parse(line).port}${path}`)).text());
  const before = await ask("/pages");
  for (let count = 0; count < 500; count++) await ask(path);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const after = await ask("/pages");
  child.kill("SIGKILL");
  return [before, after];
}
const [spawned, awaited] = [await measure("/spawned"), await measure("/awaited")];
console.log(`spawn_local: ${spawned.join(" pages, then ")}; under waitUntil: ${awaited.join(" pages, then ")}`);
const isSo = spawned[1] - spawned[0] > 100 && awaited[1] - awaited[0] < 100;
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
