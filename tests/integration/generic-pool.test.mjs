// edgepool/generic-pool: the options, members, events and errors of generic-pool, on a virtual clock.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import test from "node:test";
import { PoolClosedError, PoolTimeoutError, QueueFullError, QueuePool } from "edgepool";
import { createPool, Pool } from "edgepool/generic-pool";
import { gate, never, pass, rejection, settled, stateOf, virtualClock } from "../conformance/scripted.mjs";

/** A pool of numbered resources, what its factory did, and its clock. */
function made(options = {}, factory = {}) {
  const { clock, poolClock } = virtualClock();
  const calls = { created: 0, destroyed: [] };
  const pool = createPool(
    {
      create: async () => ({ id: calls.created++ }),
      destroy: async (resource) => void calls.destroyed.push(resource.id),
      ...factory,
    },
    { ...options, edgepool: { clock: poolClock, ...options.edgepool } },
  );
  return { pool, clock, calls };
}

/** ready() looks again every few milliseconds. */
async function isReady({ pool, clock }) {
  const ready = pool.ready();
  await pass(clock, 20);
  await ready;
}

const foreign = { message: "Resource not currently part of this pool" };
const counts = ({ size, available, borrowed, pending }) => [size, available, borrowed, pending];

for (const [factory, message] of [
  [undefined, "factory.create must be a function"],
  [null, "factory.create must be a function"],
  [{ destroy() {} }, "factory.create must be a function"],
  [{ create() {} }, "factory.destroy must be a function"],
  [{ create() {}, destroy() {}, validate: true }, "factory.validate must be a function"],
]) {
  test(`${JSON.stringify(factory)} is no factory: ${message}`, () => {
    assert.throws(() => createPool(factory), { name: "TypeError", message });
  });
}

for (const [options, max, min] of [
  [undefined, 1, 0],
  [{ min: "asf", max: [] }, 1, 0],
  [{ min: 5, max: 3 }, 3, 3],
  [{ min: "1", max: "2" }, 2, 1],
  [{ max: 0 }, 1, 0],
]) {
  test(`${JSON.stringify(options)} means max ${max} and min ${min}`, async () => {
    const pool = createPool({ create: () => ({}), destroy() {} }, options);
    assert.deepEqual([pool.max, pool.min], [max, min]);
    assert.ok(pool instanceof Pool && pool instanceof EventEmitter && pool.queuePool instanceof QueuePool);
    assert.equal(pool.then, undefined);
    await pool.drain();
  });
}

test("an unknown option is named in a warning", (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  made({ idletimeoutMillis: 1 });
  assert.match(warn.mock.calls[0].arguments[0], /generic-pool has no option "idletimeoutMillis"/);
});

test("the counts are right in the turn of each call", async () => {
  const { pool } = made({ max: 2 });
  assert.deepEqual([...counts(pool), pool.spareResourceCapacity], [0, 0, 0, 0, 2]);
  const first = await pool.acquire();
  const second = await pool.acquire();
  assert.deepEqual([...counts(pool), pool.spareResourceCapacity], [2, 0, 2, 0, 0]);
  const third = pool.acquire();
  assert.equal(pool.pending, 1);
  pool.release(first);
  assert.equal(await third, first);
  pool.release(first);
  pool.release(second);
  assert.deepEqual(counts(pool), [2, 2, 0, 0]);
  assert.equal(await pool.acquire(), first, "first in, first out");
});

test("with fifo false the resource that was released last is lent first", async () => {
  const { pool } = made({ max: 2, fifo: false });
  const resources = [await pool.acquire(), await pool.acquire()];
  for (const resource of resources) pool.release(resource);
  assert.equal(await pool.acquire(), resources[1]);
});

test("callers are served by priority, 0 first, then by arrival; what is out of range is the last", async () => {
  const { pool } = made({ max: 1, priorityRange: 3 });
  const held = await pool.acquire();
  const order = [];
  const callers = [2, 1, 9, 0, undefined, -1, 1, "0"].map((priority) =>
    pool.use(() => void order.push(String(priority)), priority),
  );
  pool.release(held);
  await Promise.all(callers);
  assert.deepEqual(order, ["0", "undefined", "0", "1", "1", "2", "9", "-1"]);
});

test("without priorityRange every caller has the same priority", async () => {
  const { pool } = made();
  const held = await pool.acquire();
  const order = [];
  const callers = [3, 0, 2].map((priority) => pool.use(() => void order.push(priority), priority));
  pool.release(held);
  await Promise.all(callers);
  assert.deepEqual(order, [3, 0, 2]);
});

test("release() and destroy() of what is not borrowed reject, and change nothing", async () => {
  const { pool, calls } = made({ max: 2 });
  const resource = await pool.acquire();
  for (const call of ["release", "destroy"]) {
    await assert.rejects(pool[call]({}), foreign);
    await assert.rejects(pool[call](undefined), foreign);
  }
  assert.deepEqual(counts(pool), [1, 0, 1, 0]);
  assert.equal(pool.isBorrowedResource(resource), true);
  await pool.release(resource);
  assert.equal(pool.isBorrowedResource(resource), false);
  await assert.rejects(pool.release(resource), foreign);
  await assert.rejects(pool.destroy(resource), foreign);
  assert.deepEqual(counts(pool), [1, 1, 0, 0]);
  assert.deepEqual(calls.destroyed, []);
});

test("destroy() ends a borrowed resource, and the next caller gets a new one", async () => {
  const { pool, calls } = made();
  const resource = await pool.acquire();
  const waiting = pool.acquire();
  await pool.destroy(resource);
  assert.deepEqual(await waiting, { id: 1 });
  assert.deepEqual(calls.destroyed, [0]);
});

test("a create that fails is emitted and tried again, with pauses, until one succeeds", async () => {
  let failures = 5;
  const { pool, clock } = made({}, { create: () => (failures-- > 0 ? Promise.reject(new Error("no")) : { id: "x" }) });
  const emitted = [];
  pool.on("factoryCreateError", (error) => emitted.push(error.message));
  const resource = pool.acquire();
  await pass(clock, 20);
  assert.equal(emitted.length, 1);
  await pass(clock, 5_000);
  assert.deepEqual(await resource, { id: "x" });
  assert.deepEqual(emitted, Array(5).fill("no"));
  assert.equal(pool.pending, 0);
});

test("a create that throws counts as one that rejects", async () => {
  let isDown = true;
  const { pool, clock } = made(
    {},
    {
      create() {
        if (!isDown) return "resource";
        isDown = false;
        throw new Error("sync");
      },
    },
  );
  const resource = pool.acquire();
  await pass(clock, 100);
  assert.equal(await resource, "resource");
  await pool.release("resource");
});

test("a caller that waits for too long gets a TimeoutError with the numbers of the pool", async () => {
  const opening = gate();
  const { pool, clock } = made({ acquireTimeoutMillis: 20 }, { create: () => opening.promise });
  const noted = rejection(pool.acquire());
  await pass(clock, 40);
  const error = await noted;
  assert.ok(error instanceof PoolTimeoutError);
  assert.deepEqual([error.name, error.message], ["TimeoutError", "ResourceRequest timed out"]);
  assert.equal(error.stats.opening, 1);
  opening.open({});
  await settled();
  assert.deepEqual(counts(pool), [1, 1, 0, 0], "the resource is there for the next");
  await pool.release(await pool.acquire());
});

test("without acquireTimeoutMillis a caller waits without limit", async () => {
  const { pool, clock } = made();
  await pool.acquire();
  const waiting = pool.acquire();
  await pass(clock, 10 * 60_000);
  assert.equal(await stateOf(waiting), "pending");
});

test("more callers than maxWaitingClients are refused at once", async () => {
  const { pool } = made({ max: 1, maxWaitingClients: 1 });
  await pool.acquire();
  const waiting = pool.acquire();
  const error = await rejection(pool.acquire());
  assert.ok(error instanceof QueueFullError);
  assert.equal(error.message, "max waitingClients count exceeded");
  assert.equal(await stateOf(waiting), "pending");
  const none = made({ max: 1, maxWaitingClients: 0 }).pool;
  await none.acquire();
  await assert.rejects(none.acquire(), { message: "max waitingClients count exceeded" });
});

test("a destroy that takes longer than destroyTimeoutMillis is emitted, and holds no caller", async () => {
  const { pool, clock } = made({ destroyTimeoutMillis: 20 }, { destroy: never });
  const emitted = [];
  pool.on("factoryDestroyError", (error) => emitted.push(error.message));
  await pool.destroy(await pool.acquire());
  const next = pool.acquire();
  await pass(clock, 30);
  assert.deepEqual(emitted, ["destroy timed out"]);
  assert.deepEqual(await next, { id: 1 });
});

test("a destroy that fails is emitted, a destroy in time is not", async () => {
  let fails = true;
  const { pool } = made(
    { destroyTimeoutMillis: 400 },
    {
      async destroy() {
        if (fails) throw new Error("broken");
      },
    },
  );
  const emitted = [];
  pool.on("factoryDestroyError", (error) => emitted.push(error.message));
  await pool.destroy(await pool.acquire());
  await settled();
  assert.deepEqual(emitted, ["broken"]);
  fails = false;
  await pool.destroy(await pool.acquire());
  await settled();
  assert.equal(emitted.length, 1);
});

test("min resources are opened at the start, and again after one was destroyed", async () => {
  const { pool, clock, calls } = made({ min: 2, max: 4 });
  await isReady({ pool, clock });
  assert.deepEqual(counts(pool), [2, 2, 0, 0]);
  await pool.destroy(await pool.acquire());
  await settled();
  assert.deepEqual(counts(pool), [2, 2, 0, 0]);
  assert.equal(calls.created, 3);
  await isReady({ pool, clock });
});

test("with autostart false nothing is opened before start() or the first call", async () => {
  const { pool, calls } = made({ min: 2, max: 4, autostart: false });
  await settled();
  assert.equal(calls.created, 0);
  pool.start();
  pool.start();
  await settled();
  assert.equal(calls.created, 2);
  const other = made({ min: 2, max: 4, autostart: false });
  await other.pool.acquire();
  await settled();
  assert.equal(other.calls.created, 2);
});

test("with an eviction interval free resources are destroyed when due, and min are opened again", async () => {
  const { pool, clock, calls } = made({ min: 2, max: 4, idleTimeoutMillis: 50, evictionRunIntervalMillis: 10 });
  await isReady({ pool, clock });
  const resources = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const resource of resources) await pool.release(resource);
  await pass(clock, 70);
  assert.deepEqual(calls.destroyed.sort(), [0, 1, 2]);
  assert.deepEqual(counts(pool), [2, 2, 0, 0]);
  assert.ok((await pool.acquire()).id > 2);
});

test("with softIdleTimeoutMillis the free resources above min are destroyed, and the others stay", async () => {
  const options = { min: 2, max: 4, softIdleTimeoutMillis: 50, evictionRunIntervalMillis: 10 };
  const { pool, clock, calls } = made(options);
  await isReady({ pool, clock });
  const resources = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  for (const resource of resources) await pool.release(resource);
  await pass(clock, 1_000);
  assert.equal(calls.destroyed.length, 1);
  assert.deepEqual(counts(pool), [2, 2, 0, 0]);
});

test("without an eviction interval free resources stay", async () => {
  const { pool, clock, calls } = made({ max: 2, idleTimeoutMillis: 50 });
  await pool.release(await pool.acquire());
  await pass(clock, 10_000);
  assert.deepEqual(calls.destroyed, []);
});

for (const [kind, validate] of Object.entries({
  "returns false": () => false,
  "resolves with false": async () => false,
  throws() {
    throw new Error("no");
  },
  rejects: () => Promise.reject(new Error("no")),
})) {
  test(`with testOnBorrow a resource whose validation ${kind} is destroyed, and another one is lent`, async () => {
    const { pool, clock, calls } = made(
      { testOnBorrow: true },
      { validate: ({ id }) => (id === 0 ? validate() : true) },
    );
    const resource = pool.acquire();
    await pass(clock, 10);
    assert.deepEqual(await resource, { id: 1 });
    assert.deepEqual(calls.destroyed, [0]);
    assert.deepEqual(counts(pool), [1, 0, 1, 0]);
  });

  test(`with testOnReturn a resource whose validation ${kind} is destroyed at its return`, async () => {
    const { pool, calls } = made({ testOnReturn: true }, { validate: ({ id }) => (id === 0 ? validate() : true) });
    await pool.release(await pool.acquire()).catch(() => {});
    await settled();
    assert.deepEqual(calls.destroyed, [0]);
    await pool.release(await pool.acquire());
    assert.deepEqual(counts(pool), [1, 1, 0, 0]);
    await assert.rejects(pool.release({}), foreign);
  });
}

test("use() gives its result once the function has ended, and takes the resource back", async () => {
  const { pool } = made();
  const work = gate();
  const result = pool.use(({ id }) => work.promise.then(() => `value ${id}`));
  assert.equal(await stateOf(result), "pending");
  assert.equal(pool.borrowed, 1);
  work.open();
  assert.equal(await result, "value 0");
  assert.deepEqual(counts(pool), [1, 1, 0, 0]);
  assert.equal(await pool.use(() => 7), 7, "a function need not be async");
});

test("use() destroys the resource if its function fails or throws, and rejects with that error", async () => {
  const { pool, calls } = made();
  const broken = new Error("broken");
  assert.equal(await rejection(pool.use(() => Promise.reject(broken))), broken);
  assert.equal(
    await rejection(
      pool.use(() => {
        throw broken;
      }),
    ),
    broken,
  );
  await settled();
  assert.deepEqual(calls.destroyed, [0, 1]);
  assert.equal(pool.borrowed, 0);
});

test("drain() serves the callers that came before, waits for every resource, and refuses later callers", async () => {
  const { pool, clock, calls } = made({ max: 2 });
  const served = [];
  const callers = Array.from({ length: 5 }, async (_, place) => {
    const resource = await pool.acquire();
    served.push(place);
    await new Promise((resolve) => void clock.setTimeout(resolve, 250));
    await pool.release(resource);
  });
  const drained = pool.drain();
  const error = await rejection(pool.acquire());
  assert.ok(error instanceof PoolClosedError);
  assert.equal(error.message, "pool is draining and cannot accept work");
  assert.equal(pool.drain(), drained);
  for (let turn = 0; turn < 3; turn++) {
    await settled();
    clock.tick(250);
  }
  await Promise.all(callers);
  await drained;
  assert.equal(await pool.clear(), undefined);
  assert.deepEqual(served, [0, 1, 2, 3, 4]);
  assert.deepEqual(calls.destroyed.sort(), [0, 1]);
  await assert.rejects(
    pool.use(() => {}),
    { message: "pool is draining and cannot accept work" },
  );
});

test("drain() waits without limit, and with timeoutMillis it ends what is left", async () => {
  const { pool, clock } = made();
  const resource = await pool.acquire();
  const drained = pool.drain();
  await pass(clock, 3_600_000);
  assert.equal(await stateOf(drained), "pending");
  await pool.release(resource);
  await drained;
  const other = made();
  await other.pool.acquire();
  const ended = other.pool.drain({ timeoutMillis: 50 });
  await pass(other.clock, 100);
  await ended;
  assert.deepEqual(other.calls.destroyed, [0]);
});

test("drain() and clear() right after the start leave nothing open", async () => {
  const { pool, calls } = made({ max: 10, min: 1, testOnBorrow: true }, { validate: async () => true });
  await pool.drain();
  await pool.clear();
  assert.equal(calls.created, calls.destroyed.length);
});

test("clear() without drain() destroys the free resources, and the pool goes on", async () => {
  const { pool, calls } = made({ max: 2 });
  await pool.release(await pool.acquire());
  await pool.clear();
  assert.deepEqual(calls.destroyed, [0]);
  assert.deepEqual(await pool.acquire(), { id: 1 });
});

test("the promises are of the class that was asked for", async () => {
  class Own extends Promise {}
  const { pool } = made({ Promise: Own });
  const resource = await pool.acquire();
  for (const promise of [pool.acquire(), pool.release(resource), pool.use(() => 1), pool.ready(), pool.drain()])
    assert.ok(promise instanceof Own);
});

test("with a dialect each return rolls an open transaction back", async () => {
  let rollbacks = 0;
  const { pool } = made({ edgepool: { dialect: { doRollback: () => void rollbacks++ } } });
  await pool.release(await pool.acquire());
  await settled();
  assert.equal(rollbacks, 1);
});
