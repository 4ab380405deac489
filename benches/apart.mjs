// Runs one contestant in a process of its own. The bytes of a waiter need one because WebAssembly memory does not
// shrink. A measurement that may never end needs one because only a process can be stopped.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { contestants } from "./adapters.mjs";
import { collect, prepare, scenarios, settle, warm } from "./scenarios.mjs";

/** Returns { value }, or { stopped: true } if the measured part took longer than `limitMs`. */
export function runApart(job, limitMs) {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [], {
      execArgv: ["--expose-gc"],
      env: { ...process.env, EDGEPOOL_BENCH: "apart" },
    });
    let timer;
    let answer;
    child.on("message", (message) => {
      if (message.ready) timer = setTimeout(stop, limitMs);
      else answer = message;
    });
    const stop = () => {
      answer = { stopped: true };
      child.kill("SIGKILL");
    };
    child.on("exit", (code) => {
      clearTimeout(timer);
      if (answer === undefined) reject(new Error(`${job.contestant} failed in ${job.what} (exit code ${code})`));
      else resolve(answer);
    });
    child.send(job);
  });
}

/** Measures one round. */
async function measureOnce(contestant, library, id) {
  const scenario = scenarios.find((one) => one.id === id);
  const pair = prepare(contestant, library, scenario);
  pair.kept = await warm(pair.pool, scenario.connections);
  await settle(pair, scenario);
  process.send({ ready: true });
  return pair.measure();
}

/** Returns heap, buffers and WebAssembly memory of a queue, without the array of promises that the harness keeps. */
async function bytesPerWaiter(contestant, library, wasmBytes) {
  const scenario = scenarios.find(({ id }) => id === "c");
  const earlier = prepare(contestant, library, scenario);
  const kept = await warm(earlier.pool, scenario.connections);
  await earlier.measure({ count: 1000, batch: 1000 });

  const memory = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return { js: heapUsed + arrayBuffers, wasm: wasmBytes() };
  };
  const { pool } = prepare(contestant, library, scenario);
  const waiters = new Array(scenario.count).fill(undefined);
  for (let i = 0; i <= scenario.connections; i++) kept.push(await pool.acquire());
  process.send({ ready: true });
  await collect("major");
  await collect("major");
  const before = memory();
  for (let i = 0; i < waiters.length; i++) waiters[i] = pool.acquire();
  await collect("major");
  await collect("major");
  const after = memory();
  // Keeps the whole pool from being collected until here.
  await pool.release(kept.at(-1));
  const each = { js: (after.js - before.js) / waiters.length, wasm: (after.wasm - before.wasm) / waiters.length };
  return { total: each.js + each.wasm, ...each };
}

if (process.env.EDGEPOOL_BENCH === "apart" && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on("disconnect", () => process.exit(1));
  process.on("message", async ({ contestant: name, what }) => {
    const contestant = contestants.find((one) => one.name === name);
    const { wasmBytes } = await import("./wasm-memory.mjs");
    const library = await contestant.load();
    const value =
      what === "bytes"
        ? await bytesPerWaiter(contestant, library, wasmBytes)
        : await measureOnce(contestant, library, what);
    process.send({ value }, () => process.exit(0));
  });
}
