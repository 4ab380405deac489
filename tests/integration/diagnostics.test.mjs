// What only Node can show of edgepool/diagnostics and edgepool/otel: a subscriber that throws, the async context of
// callers, and a switch that leaves nothing behind.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawnSync } from "node:child_process";
import { subscribe, tracingChannel, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import "edgepool/diagnostics";
import { QueuePool } from "edgepool";
import { attachMeter } from "edgepool/otel";
import { root } from "../../scripts/run.mjs";
import { scriptedMeter } from "../conformance/metered.mjs";

const names = ["checkout", "open", "ping", "reset", "close"];
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Subscribes to every event of these channels. Returns what ends that. */
function subscribed(listener, wanted = names) {
  const ends = wanted.map((name) => {
    const channel = tracingChannel(`edgepool:${name}`);
    const handlers = { start: listener, end: listener, asyncStart: listener, asyncEnd: listener, error: listener };
    channel.subscribe(handlers);
    return () => channel.unsubscribe(handlers);
  });
  return () => ends.forEach((end) => end());
}

test("a subscriber that comes after a garbage collection is called", async () => {
  globalThis.gc();
  const calls = [];
  const end = subscribed(() => void calls.push("checkout"), ["checkout"]);
  const pool = new QueuePool(() => ({ rollback() {}, close() {} }), { logger: quiet });
  await pool.use(() => {});
  end();
  assert.ok(calls.length > 0);
  await pool.close();
});

test("with subscribers and a meter, creator, reset and continuation keep their caller's context", async () => {
  const context = new AsyncLocalStorage();
  const seen = [];
  const pool = new QueuePool(
    async () => {
      seen.push(["open", context.getStore()]);
      await null;
      return { rollback: () => void seen.push(["rollback", context.getStore()]), close() {} };
    },
    { poolSize: 1, maxOverflow: 0, logger: quiet },
  );
  const end = subscribed(() => {});
  attachMeter(pool, scriptedMeter().meter);
  const caller = (name) =>
    context.run(name, async () => {
      const lease = await pool.connect();
      seen.push(["lease", context.getStore()]);
      await lease.close();
    });
  await Promise.all([caller("first"), caller("second")]);
  end();
  assert.deepEqual(seen, [
    ["open", "first"],
    ["lease", "first"],
    ["rollback", "first"],
    ["lease", "second"],
    ["rollback", "second"],
  ]);
});

test("a subscription by name is noticed, and its end, too", async () => {
  const pool = new QueuePool(() => ({ rollback() {}, close() {} }), { logger: quiet });
  const seen = [];
  const listener = (message, name) => void seen.push([name, message.pool === pool]);
  const channel = "tracing:edgepool:checkout:asyncEnd";
  await pool.use(() => {});
  subscribe(channel, listener);
  await pool.use(() => {});
  unsubscribe(channel, listener);
  await pool.use(() => {});
  assert.deepEqual(seen, [[channel, true]]);
});

test("a program that subscribed before the import is served, and one without the import is not", () => {
  const program = (first, second) => `
    import { tracingChannel } from "node:diagnostics_channel";
    import { QueuePool } from "edgepool";
    const seen = [];
    const subscribe = async () => tracingChannel("edgepool:open").subscribe({ end: () => seen.push("open") });
    const imports = () => import("edgepool/diagnostics");
    await ${first}();
    await ${second}();
    await new QueuePool(() => ({ rollback() {}, close() {} })).use(() => {});
    console.log(seen.join());
  `;
  const run = (...args) =>
    spawnSync(process.execPath, ["--input-type=module", ...args], { encoding: "utf8", cwd: root }).stdout.trim();
  const nothing = "(async () => {})";
  assert.equal(run("-e", program("subscribe", "imports")), "open");
  assert.equal(run("-e", program("imports", "subscribe")), "open");
  assert.equal(run("-e", program("subscribe", nothing)), "");
  assert.equal(run("--import=edgepool/diagnostics", "-e", program("subscribe", nothing)), "open");
});

/** What runs in a process of its own: what a subscriber throws is an uncaught exception there. */
const throwing = `
  import { tracingChannel } from "node:diagnostics_channel";
  import * as edgepool from "edgepool";
  import "edgepool/diagnostics";
  const uncaught = new Set();
  process.on("uncaughtException", (error) => uncaught.add(error.message));
  const events = ["start", "end", "asyncStart", "asyncEnd", "error"];
  for (const name of ${JSON.stringify(names)}) {
    const handlers = events.map((event) => [event, () => { throw new Error(name + " " + event); }]);
    tracingChannel("edgepool:" + name).subscribe(Object.fromEntries(handlers));
  }
  const dialect = {
    doPing: (connection) => connection.ping(),
    doRollback: (connection) => connection.rollback(),
    doTerminate: (connection) => connection.terminate(),
  };
  for (const isAsync of [false, true]) {
    for (const name of ["QueuePool", "NullPool", "StaticPool", "SingletonThreadPool", "AssertionPool"]) {
      let open = 0;
      let fails = "";
      const answers = (call) => {
        if (fails !== call) return isAsync ? Promise.resolve(true) : true;
        const error = new Error(call);
        if (isAsync) return Promise.reject(error);
        throw error;
      };
      const connection = () => ({
        ping: () => answers("ping"),
        rollback: () => answers("rollback"),
        close: () => (open--, answers("close")),
        terminate: () => (open--, answers("terminate")),
      });
      const create = () => {
        const answer = answers("open");
        open++;
        return isAsync ? answer.then(connection, (error) => { open--; throw error; }) : connection();
      };
      const prePing = name !== "NullPool";
      const logger = { debug() {}, info() {}, warn() {}, error() {} };
      const pool = new edgepool[name](create, { dialect, prePing, logger });
      for (const call of ["", "open", "ping", "rollback", "close", "terminate"]) {
        for (let round = 0; round < 3; round++) {
          fails = call;
          await pool.use(() => {}).catch(() => {});
          if (call === "terminate" || call === "close") await pool.connect().then((lease) => lease.invalidate());
        }
      }
      fails = "";
      await pool.use(() => {});
      const { used, opening, waiting, closing } = pool.stats();
      if (used + opening + waiting + closing > 0) console.log(name, isAsync, "has lost a slot", pool.stats());
      await pool.close();
      if (open !== 0) console.log(name, isAsync, "has lost a connection", open);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  console.log([...uncaught].sort().join());
`;

test("a subscriber that throws, in every event of every channel, costs no slot and no connection", () => {
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", throwing], {
    encoding: "utf8",
    cwd: root,
  });
  const all = names.flatMap((name) =>
    ["start", "end", "asyncStart", "asyncEnd", "error"].map((event) => `${name} ${event}`),
  );
  assert.equal(stdout.trim(), all.sort().join(), stderr);
});
