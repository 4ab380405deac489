// How the package's time and memory grow, as growth.rs measures the policy's: one act on pools of `n` connections, or
// of `n` scopes with one connection each. Called by growth.mjs with ACT N POOLS MODE; writes `begin` before each act
// that may take long, and a line of JSON after it. MODE is one of growth.rs.

import { writeSync } from "node:fs";
import { wasmBytes } from "./wasm-memory.mjs";
// Below the module above, which must be there first.
import { QueuePool } from "edgepool";

const idleTimeoutMs = 1000;
const logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Counts the closes of its connections, and lets each be reported as dead. */
class Driver {
  closes = 0;
  deaths = [];
  create = () => ({});
  dialect = {
    doClose: () => void this.closes++,
    doTerminate: () => void this.closes++,
    onDisconnect: (_connection, died) => {
      this.deaths.push(died);
      return () => {};
    },
  };
}

class VirtualClock {
  #nowMs = 0;
  #timers = new Map();
  #next = 1;

  now() {
    return this.#nowMs;
  }

  setTimeout(callback, ms) {
    this.#timers.set(this.#next, { due: this.#nowMs + ms, callback });
    return this.#next++;
  }

  clearTimeout(handle) {
    this.#timers.delete(handle);
  }

  async pass(ms) {
    const until = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.due <= until).sort(([, a], [, b]) => a.due - b.due)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#nowMs = due[1].due;
      due[1].callback();
      await turn();
    }
    this.#nowMs = until;
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A pool of `n` connections, all lent and then returned or kept. */
async function connections(n, { returned = true, ...options }) {
  const driver = new Driver();
  const clock = new VirtualClock();
  const pool = new QueuePool(driver.create, {
    poolSize: n,
    maxOverflow: 0,
    resetOnReturn: "none",
    dialect: driver.dialect,
    clock,
    logger,
    ...options,
  });
  const leases = [];
  for (let i = 0; i < n; i++) leases.push(await pool.connect());
  if (returned) for (const lease of leases.splice(0)) await lease.close();
  return { pool, driver, clock, leases };
}

/** A pool of `n` scopes, each with one idle connection. */
async function scopes(n) {
  const driver = new Driver();
  const keys = [];
  const pool = new QueuePool(driver.create, {
    scope: () => keys.at(-1),
    resetOnReturn: "none",
    dialect: driver.dialect,
    logger,
  });
  for (let i = 0; i < n; i++) {
    keys.push({});
    await (await pool.connect()).close();
  }
  return { pool, driver, keys };
}

/** `keeps`: whether no connection may be closed; all must be closed otherwise. */
const acts = {
  reap: {
    prepare: (n) => connections(n, { idleTimeout: idleTimeoutMs / 1000 }),
    run: ({ clock }) => clock.pass(10 * idleTimeoutMs),
  },
  idleDeaths: {
    prepare: (n) => connections(n, {}),
    run: ({ driver }) => {
      const error = new Error("the server has gone");
      for (const died of driver.deaths) died(error);
    },
  },
  minIdle: {
    prepare: (n) => connections(n, { idleTimeout: idleTimeoutMs / 1000, minIdle: n }),
    run: ({ clock }) => clock.pass(2 * idleTimeoutMs),
    keeps: true,
  },
  closeWithLeases: {
    prepare: (n) => connections(n, { returned: false }),
    run: ({ pool }) => pool.close({ timeout: 0 }),
  },
  closeScopes: { prepare: scopes, run: ({ pool }) => pool.close() },
  disposeScopes: { prepare: scopes, run: ({ pool }) => pool.dispose() },
  statsOfScopes: { prepare: scopes, run: ({ pool }) => pool.stats({ scope: "all" }), keeps: true },
};

/** Runs the act; returns how long it took, and how many connections were not closed that must be, or the reverse. */
async function measure(act, n, prepared) {
  const start = performance.now();
  await act.run(prepared);
  const ms = performance.now() - start;
  await turn();
  const kept = act.keeps ? n : 0;
  const { total } = prepared.pool.stats({ scope: "all" });
  return { ms, lost: Math.max(Math.abs(n - kept - prepared.driver.closes), Math.abs(total - kept)) };
}

async function bytes() {
  await turn();
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers + wasmBytes();
}

const write = (line) => writeSync(1, `${line}\n`);
const writeResult = (result) => write(JSON.stringify(result));

const [name, count, pools, mode] = process.argv.slice(2);
const act = acts[name];
const n = Number(count);

// V8 compiles what is measured here.
for (let i = 0; i < 3; i++) await measure(act, 1000, await act.prepare(1000));
if (mode === "time") {
  for (let i = 0; i < Number(pools); i++) {
    const prepared = await act.prepare(n);
    globalThis.gc();
    write("begin");
    writeResult(await measure(act, n, prepared));
  }
} else {
  const before = await bytes();
  const prepared = [];
  for (let i = 0; i < Number(pools); i++) prepared.push(await act.prepare(n));
  const full = await bytes();
  for (const one of mode === "memory" ? prepared : []) {
    write("begin");
    writeResult(await measure(act, n, one));
  }
  // WebAssembly memory does not shrink: it shows the peak of the act.
  writeResult({ bytes: (Math.max(full, await bytes()) - before) / (n * prepared.length) });
}
process.exit();
