// What only Node can show: the async context of callers, and what abort listeners a pool leaves behind.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawnSync } from "node:child_process";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { QueuePool } from "edgepool";
import { root } from "../../scripts/run.mjs";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

test("every caller's creator, reset and continuation run in that caller's async context", async () => {
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
  const caller = (name) =>
    context.run(name, async () => {
      const lease = await pool.connect();
      seen.push(["lease", context.getStore()]);
      await lease.close();
    });
  await Promise.all([caller("first"), caller("second"), caller("third")]);
  assert.deepEqual(seen, [
    ["open", "first"],
    ["lease", "first"],
    ["rollback", "first"],
    ["lease", "second"],
    ["rollback", "second"],
    ["lease", "third"],
    ["rollback", "third"],
  ]);
});

test("a waiter that is woken to open does so in its own async context", async () => {
  const context = new AsyncLocalStorage();
  const seen = [];
  const pool = new QueuePool(
    async () => {
      seen.push(context.getStore());
      await null;
      if (seen.length < 3) throw new Error("down");
      return { rollback() {}, close() {} };
    },
    { poolSize: 1, maxOverflow: 0, logger: quiet },
  );
  const caller = (name) => context.run(name, () => pool.connect());
  const first = caller("first");
  const second = caller("second");
  const third = caller("third");
  await assert.rejects(first, /down/);
  await assert.rejects(second, /down/);
  await (await third).close();
  assert.deepEqual(seen, ["first", "second", "third"]);
});

test("however many wait with one signal, it has one listener, and none when they are gone", async () => {
  const pool = new QueuePool(() => ({ rollback() {}, close() {} }), { poolSize: 1, maxOverflow: 0, logger: quiet });
  const lease = await pool.connect();
  const { signal } = new AbortController();
  const waiters = Array.from({ length: 100 }, () => pool.connect({ signal }));
  assert.equal(getEventListeners(signal, "abort").length, 1);
  await lease.close();
  for (const waiter of waiters) await (await waiter).close();
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a request whose store is the key of a scope leaves no session behind", () => {
  // A socket keeps the async context in which it was opened, and a timer that in which it was set.
  const program = `
    import { AsyncLocalStorage } from "node:async_hooks";
    import { once } from "node:events";
    import net from "node:net";
    import { QueuePool } from "edgepool";
    const sockets = new Set();
    const server = net.createServer((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket)).on("data", (data) => socket.write(data)).resume();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const storage = new AsyncLocalStorage();
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    for (const options of [{}, { poolSize: 1, maxOverflow: 0, minIdle: 1, idleTimeout: "60s" }]) {
      const pool = new QueuePool(
        async () => {
          const socket = net.connect(server.address().port, "127.0.0.1");
          await once(socket, "connect");
          return socket;
        },
        { dialect: { doClose: (socket) => socket.end() }, logger, scope: () => storage.getStore(), ...options },
      );
      const echo = (socket) => (socket.write("x"), once(socket, "data"));
      for (let request = 0; request < 20; request++)
        await storage.run({}, () => Promise.all([pool.use(echo), pool.use(echo)]));
      const before = sockets.size;
      for (let round = 0; round < 100 && sockets.size > 0; round++) {
        gc();
        await new Promise((turn) => setTimeout(turn, 10));
      }
      console.log(before, sockets.size);
    }
    process.exit();
  `;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--expose-gc", "--input-type=module", "--eval", program],
    { cwd: root, encoding: "utf8" },
  );
  assert.deepEqual([status, stdout], [0, "40 0\n20 0\n"], stderr);
});

test("with a scope function the creator runs outside of every caller's async context", async () => {
  const context = new AsyncLocalStorage();
  const seen = [];
  const pool = new QueuePool(
    async (record) => {
      seen.push(context.getStore(), record.scope);
      await null;
      seen.push(context.getStore());
      return { rollback() {}, close() {} };
    },
    { scope: () => context.getStore(), logger: quiet },
  );
  pool.on("connect", () => void seen.push(context.getStore()));
  const key = {};
  const store = await context.run(key, async () => {
    await pool.use(() => {});
    return context.getStore();
  });
  assert.deepEqual(seen, [undefined, key, undefined, key]);
  assert.equal(store, key);
  await pool.close();
});

test("a process waits for a caller that came after another had left its opening alone", () => {
  const program = `
    import { QueuePool } from "edgepool";
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const pool = new QueuePool(() => new Promise(() => {}), { driverTimeout: "100ms", logger });
    await pool.connect({ deadline: "10ms" }).catch(({ code }) => console.log(code));
    await pool.connect().catch(({ step }) => console.log(step));
  `;
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [0, "ERR_POOL_TIMEOUT\nopen\n"]);
});

test("what a user keeps in info ends with the connection, and in recordInfo and the record with the slot", () => {
  const program = `
    const { QueuePool } = await import("edgepool");
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    let fails = false;
    const open = (record) => {
      record.info.opening = keep("info", {});
      if (fails) throw new Error("down");
      return keep("connection", { rollback() {}, close() {} });
    };
    const kept = [];
    const keep = (what, value) => (kept.push([what, new WeakRef(value)]), value);
    const collect = async () => {
      for (let round = 0; round < 5; round++) { await new Promise((turn) => setTimeout(turn, 5)); gc(); }
    };
    const lives = ([, reference]) => reference.deref() !== undefined;
    const left = () => kept.filter(lives).map(([what]) => what).sort().join(" ");
    const fill = (lease) => {
      lease.info.cache = keep("info", {});
      lease.recordInfo.cache = keep("recordInfo", {});
      keep("record", lease.record);
    };
    const pool = new QueuePool(open, { poolSize: 2, maxOverflow: 50, logger });
    await (async () => {
      const leases = await Promise.all(Array.from({ length: 50 }, () => pool.connect()));
      leases.forEach(fill);
      await Promise.all(leases.map((lease) => lease.close()));
    })();
    await collect();
    console.log("surplus:", left());
    await pool.use((_, lease) => lease.invalidate());
    fails = true;
    await pool.use(() => pool.connect().catch(() => {}));
    await collect();
    console.log("emptied:", left());
    await pool.dispose();
    await collect();
    console.log("disposed:", left());
  `;
  const { status, stdout } = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  const idle = "connection connection info info info info record record recordInfo recordInfo";
  const emptied = "connection info info record record recordInfo recordInfo";
  assert.deepEqual([status, stdout], [0, `surplus: ${idle}\nemptied: ${emptied}\ndisposed: \n`]);
});

test("where finalizers may not act, a lost lease is reported before a checkout takes its place", () => {
  // As in Workers: a finalizer only marks, and the next call reports.
  const program = `
    Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Cloudflare-Workers" }, configurable: true });
    const { QueuePool } = await import("edgepool");
    const logger = { debug() {}, info() {}, warn() {}, error: (message) => console.log(message) };
    const open = () => ({ rollback() {}, close() {} });
    const pool = new QueuePool(open, { poolSize: 2, maxOverflow: 0, timeout: "1s", logger });
    const spare = await pool.connect();
    (() => void pool.connect())();
    for (let round = 0; round < 5; round++) { await new Promise((turn) => setTimeout(turn, 20)); gc(); }
    pool.on("error", (_, { operation }) => { console.log(operation); if (operation === "leak") spare.close(); });
    const lease = await pool.connect();
    console.log(lease.isValid, pool.stats().used);
    process.exit();
  `;
  const { status, stdout } = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [0, "leak\ntrue 2\n"]);
});

test("an abort reaches a caller of a pool that nothing but the caller's promise holds", () => {
  const program = `
    const { QueuePool } = await import("edgepool");
    const controller = new AbortController();
    const wait = () => {
      const pool = new QueuePool(() => new Promise(() => {}), { driverTimeout: null, timeout: null });
      return pool.connect({ signal: controller.signal }).catch((error) => error.message);
    };
    const caller = wait();
    for (let round = 0; round < 5; round++) { await new Promise((turn) => setTimeout(turn, 20)); gc(); }
    setTimeout(() => {}, 1000).unref();
    controller.abort(new Error("enough"));
    console.log(await caller);
  `;
  const { status, stdout } = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [0, "enough\n"]);
});

test("more than ten pools may wait on one signal without a warning", () => {
  const program = `
    const { QueuePool } = await import("edgepool");
    process.on("warning", ({ name }) => console.log(name));
    const { signal } = new AbortController();
    const open = () => ({ rollback() {}, close() {} });
    const pools = Array.from({ length: 20 }, () => new QueuePool(open, { poolSize: 1, maxOverflow: 0 }));
    const leases = await Promise.all(pools.map((pool) => pool.connect()));
    const waiters = pools.map((pool) => pool.connect({ signal }));
    await new Promise((turn) => setTimeout(turn, 20));
    await Promise.all(leases.map((lease) => lease.close()));
    console.log((await Promise.all(waiters)).length);
  `;
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [0, "20\n"]);
});
