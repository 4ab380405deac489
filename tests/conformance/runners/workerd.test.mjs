// Runs the conformance suite in real workerd, inside one request, on the build that Workers import.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { freePort } from "../../../scripts/postgres.mjs";
import { bundle, report } from "./bundle.mjs";

const entry = `
  import { QueuePool } from "edgepool";
  // At module scope Workers refuse timers, clocks and random numbers: importing and constructing must need none.
  const pool = new QueuePool(() => ({ close() {} }), { resetOnReturn: "none" });
  export default {
    async fetch(request) {
      await pool.use(() => {});
      // Of the first context of all the pool cannot know that it is a request; of the second it does.
      if (request.url.endsWith("/first")) return new Response("");
      // Evaluated here because the fake clock sets a timer when it loads.
      const { runAll } = await import("./suite.mjs");
      return Response.json(await runAll(3_000));
    },
  };
`;

const config = (port) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [
    (name = "main.js", esModule = embed "main.js"),
    (name = "edgepool_bg.wasm", wasm = embed "edgepool_bg.wasm"),
  ],
  compatibilityDate = "2026-10-01",
);
`;

test("the conformance suite in workerd", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-workerd-"));
  const port = await freePort();
  await bundle({ entry, outdir: folder, conditions: ["workerd", "worker", "browser"] });
  writeFileSync(join(folder, "config.capnp"), config(port));
  const binary = createRequire(import.meta.url)("workerd").default;
  const workerd = spawn(binary, ["serve", join(folder, "config.capnp")], { stdio: "inherit" });
  try {
    await reach(`http://127.0.0.1:${port}/first`, workerd);
    const results = await (await fetch(`http://127.0.0.1:${port}/`)).json();
    await report(t, results);
  } finally {
    // SIGTERM would wait for a request that hangs.
    workerd.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});

/** The answer, as soon as the server takes connections. */
async function reach(url, server) {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (server.exitCode !== null) throw new Error(`workerd ended with exit code ${server.exitCode}`);
    try {
      return await fetch(url);
    } catch (error) {
      if (error.cause?.code !== "ECONNREFUSED") throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error("workerd took no connections within ten seconds");
}
