// edgepool/tarn: the options, members, events and errors of tarn's Pool, on a virtual clock.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { PoolClosedError, QueuePool } from "edgepool";
import { Pool, TimeoutError } from "edgepool/tarn";
import * as tarn from "tarn";
import { root } from "../../scripts/run.mjs";
import { gate, never, pass, rejection, settled, stateOf, thrown, virtualClock } from "../conformance/scripted.mjs";

/** A pool of numbered resources, what was done with them, and its clock. */
function made(options = {}) {
  const { clock, poolClock } = virtualClock();
  const calls = { created: 0, destroyed: [], logged: [] };
  const pool = new Pool({
    create: () => ({ number: calls.created++ }),
    destroy: (resource) => void calls.destroyed.push(resource),
    min: 0,
    max: 2,
    log: (message) => calls.logged.push(message),
    ...options,
    edgepool: { clock: poolClock, ...options.edgepool },
  });
  return { pool, clock, calls };
}

const acquired = async (pool, count) => {
  const resources = Promise.all(Array.from({ length: count }, () => pool.acquire().promise));
  await settled();
  return resources;
};

const counts = (pool) => [pool.numUsed(), pool.numFree(), pool.numPendingAcquires(), pool.numPendingCreates()];

const create = () => ({});
const destroy = () => {};
const whole = { create, destroy, min: 0, max: 1 };

for (const [given, message] of [
  [undefined, "Tarn: opt.create function most be provided"],
  [{ destroy, min: 0, max: 1 }, "Tarn: opt.create function most be provided"],
  [{ ...whole, create: "create" }, "Tarn: opt.create function most be provided"],
  [{ create, min: 0, max: 1 }, "Tarn: opt.destroy function most be provided"],
  [{ create, destroy, max: 1 }, "Tarn: opt.min must be an integer >= 0"],
  [{ ...whole, min: "0" }, "Tarn: opt.min must be an integer >= 0"],
  [{ ...whole, min: -1 }, "Tarn: opt.min must be an integer >= 0"],
  [{ create, destroy, min: 0 }, "Tarn: opt.max must be an integer > 0"],
  [{ ...whole, max: "1" }, "Tarn: opt.max must be an integer > 0"],
  [{ ...whole, max: -1 }, "Tarn: opt.max must be an integer > 0"],
  [{ ...whole, max: 0 }, "Tarn: opt.max must be an integer > 0"],
  [{ ...whole, min: 2 }, "Tarn: opt.max is smaller than opt.min"],
  [{ ...whole, validate: true }, "Tarn: opt.validate must be a function"],
  [{ ...whole, size: 1 }, "Tarn: unsupported option opt.size"],
]) {
  test(`the constructor refuses ${JSON.stringify(given)}: ${message}`, () => {
    assert.throws(() => new Pool(given), { message });
  });
}

for (const option of [
  "acquireTimeoutMillis",
  "createTimeoutMillis",
  "destroyTimeoutMillis",
  "idleTimeoutMillis",
  "reapIntervalMillis",
  "createRetryIntervalMillis",
]) {
  test(`the constructor refuses an ${option} that is no whole number above 0, with the words of tarn`, () => {
    for (const value of ["10", -10, 0, 1.5, NaN]) {
      const { message } = thrown(() => new tarn.Pool({ ...whole, [option]: value }));
      assert.throws(() => new Pool({ ...whole, [option]: value }), { message });
    }
  });
}

for (const [kind, make] of Object.entries({
  "calls back": (done) => void done(null, {}),
  "calls back later": (done) => void queueMicrotask(() => done(null, {})),
  "returns a resource": () => ({}),
  "returns a promise": async () => ({}),
})) {
  test(`a create that ${kind} makes at most max resources, the same object for each loan`, async () => {
    const { pool } = made({ create: make, max: 3 });
    const resources = await acquired(pool, 3);
    assert.deepEqual(counts(pool), [3, 0, 0, 0]);
    const waiting = pool.acquire();
    assert.deepEqual(counts(pool), [3, 0, 1, 0]);
    assert.equal(await stateOf(waiting.promise), "pending");
    assert.equal(pool.release(resources[1]), true);
    assert.equal(await waiting.promise, resources[1]);
    assert.equal(pool.then, undefined);
  });
}

test("waiters get released resources in the order of arrival", async () => {
  const { pool } = made({ max: 3 });
  const resources = await acquired(pool, 3);
  const waiters = [pool.acquire(), pool.acquire(), pool.acquire()];
  for (const resource of resources) pool.release(resource);
  assert.deepEqual(await Promise.all(waiters.map(({ promise }) => promise)), resources);
});

test("the resource that was released last is lent first", async () => {
  const { pool } = made();
  const [first, second] = await acquired(pool, 2);
  pool.release(first);
  pool.release(second);
  assert.equal(await pool.acquire().promise, second);
});

test("acquire() counts its create and itself at once", async () => {
  const opening = gate();
  const { pool } = made({ create: () => opening.promise.then(() => ({})), max: 4 });
  const resources = acquired(pool, 4);
  assert.deepEqual(counts(pool), [0, 0, 4, 4]);
  opening.open();
  await resources;
});

test("a create that fails is tried again after its pause, for the same caller", async () => {
  const failures = [new Error("first"), new Error("second")];
  const { pool, clock, calls } = made({
    create() {
      calls.created++;
      if (failures.length > 0) throw failures.shift();
      return {};
    },
    createRetryIntervalMillis: 300,
  });
  const pending = pool.acquire();
  await pass(clock, 290);
  assert.equal(calls.created, 1);
  assert.equal(pool.numPendingCreates(), 0);
  await pass(clock, 1_500);
  assert.equal(calls.created, 3);
  assert.equal(await stateOf(pending.promise), "fulfilled");
});

test("a create that takes too long is tried again, and its late resource is destroyed", async () => {
  const late = gate();
  const { pool, clock, calls } = made({
    create: () => (calls.created++ === 0 ? late.promise : { number: 2 }),
    createTimeoutMillis: 100,
    createRetryIntervalMillis: 10,
  });
  const pending = pool.acquire();
  await pass(clock, 400);
  assert.deepEqual(await pending.promise, { number: 2 });
  assert.deepEqual(counts(pool), [1, 0, 0, 0]);
  late.open({ number: 1 });
  await settled();
  assert.deepEqual(calls.destroyed, [{ number: 1 }]);
});

test("an acquire that no create could serve ends with a TimeoutError that has the create's message", async () => {
  const { pool, clock } = made({
    create: (done) => void done(new Error("no route")),
    acquireTimeoutMillis: 100,
  });
  const noted = rejection(pool.acquire().promise);
  await pass(clock, 110);
  const error = await noted;
  assert.ok(error instanceof TimeoutError && error instanceof tarn.TimeoutError);
  assert.equal(error.message, "no route");
  assert.equal(error.stats.waiting, 0);
  assert.deepEqual(counts(pool), [0, 0, 0, 0]);
  await pass(clock, 1_000);
  assert.deepEqual(counts(pool), [0, 0, 0, 0]);
});

test("a caller that waits for too long gets a TimeoutError with the numbers of the pool", async () => {
  const { pool, clock } = made({ max: 1, acquireTimeoutMillis: 100 });
  const [resource] = await acquired(pool, 1);
  const noted = rejection(pool.acquire().promise);
  await pass(clock, 99);
  assert.equal(pool.numPendingAcquires(), 1);
  await pass(clock, 20);
  const error = await noted;
  assert.ok(error instanceof tarn.TimeoutError && error.name === "TimeoutError");
  assert.match(error.message, /^operation timed out: .*in use: 1 of at most 1|^operation timed out/);
  assert.equal(error.stats.used, 1);
  assert.equal(error.code, "ERR_POOL_TIMEOUT");
  assert.equal(pool.release(resource), true);
  assert.deepEqual(counts(pool), [0, 1, 0, 0]);
});

test("with propagateCreateError the caller gets the create's error at once, and the next one creates", async () => {
  const refused = new Error("create fail");
  let isDown = true;
  const { pool } = made({
    async create() {
      if (isDown) throw refused;
      return {};
    },
    propagateCreateError: true,
  });
  assert.equal(await rejection(pool.acquire().promise), refused);
  isDown = false;
  await pool.acquire().promise;
  assert.deepEqual(counts(pool), [1, 0, 0, 0]);
});

test("abort() rejects an acquire that waits; its create goes on, and its resource is free", async () => {
  const opening = gate();
  const { pool } = made({ create: () => opening.promise });
  const pending = pool.acquire();
  pending.abort();
  assert.equal((await rejection(pending.promise)).message, "aborted");
  assert.equal(pending.isRejected, true);
  assert.deepEqual(counts(pool), [0, 0, 0, 1]);
  opening.open({});
  await settled();
  assert.deepEqual(counts(pool), [0, 1, 0, 0]);
});

test("abort() after the loan does nothing", async () => {
  const { pool } = made();
  const pending = pool.acquire();
  const resource = await pending.promise;
  pending.abort();
  await settled();
  assert.equal(pending.isRejected, false);
  assert.equal(pool.release(resource), true);
});

for (const [kind, validate] of Object.entries({
  "returns false": () => false,
  throws() {
    throw new Error("no");
  },
  rejects: () => Promise.reject(new Error("no")),
  "resolves with false": async () => false,
})) {
  test(`a resource whose validation ${kind} is destroyed, and the caller gets another one`, async () => {
    const { pool, clock, calls } = made({ validate: (resource) => (resource.number < 3 ? validate() : true) });
    const pending = pool.acquire();
    await pass(clock, 100);
    assert.deepEqual(await pending.promise, { number: 3 });
    assert.deepEqual(
      calls.destroyed.map(({ number }) => number),
      [0, 1, 2],
    );
    assert.deepEqual(counts(pool), [1, 0, 0, 0]);
  });
}

test("a validation that goes wrong keeps its caller's place before the others", async () => {
  const { pool, clock } = made({ max: 1, validate: ({ number }) => number !== 0 || undefined });
  const order = [];
  const first = pool.acquire().promise.then((resource) => order.push("first") && pool.release(resource));
  const second = pool.acquire().promise.then((resource) => order.push("second") && pool.release(resource));
  await pass(clock, 100);
  await Promise.all([first, second]);
  assert.deepEqual(order, ["first", "second"]);
});

test("validations that never pass end with the caller's time, and leave nothing behind", async () => {
  const { pool, clock, calls } = made({ validate: () => false, acquireTimeoutMillis: 50 });
  const noted = rejection(pool.acquire().promise);
  await pass(clock, 100);
  assert.ok((await noted) instanceof tarn.TimeoutError);
  assert.equal(calls.destroyed.length, calls.created);
  assert.deepEqual(counts(pool), [0, 0, 0, 0]);
});

test("a validation that does not end costs the resource when the caller's time is over, or at its abort", async () => {
  const { pool, clock, calls } = made({ validate: never, acquireTimeoutMillis: 50 });
  const noted = rejection(pool.acquire().promise);
  await settled();
  assert.equal(pool.numPendingValidations(), 1);
  await pass(clock, 60);
  assert.ok((await noted) instanceof tarn.TimeoutError);
  assert.equal(calls.destroyed.length, 1);
  const pending = pool.acquire();
  const aborted = rejection(pending.promise);
  await settled();
  pending.abort();
  await pass(clock, 1);
  assert.equal((await aborted).message, "aborted");
  assert.equal(calls.destroyed.length, 2);
  assert.deepEqual([...counts(pool), pool.numPendingValidations()], [0, 0, 0, 0, 0]);
});

test("a resource that passes its validation in the turn of the abort stays in the pool", async () => {
  const validation = gate();
  const { pool, clock, calls } = made({ validate: () => validation.promise });
  const pending = pool.acquire();
  const aborted = rejection(pending.promise);
  await settled();
  pending.abort();
  validation.open(true);
  await pass(clock, 1);
  assert.equal((await aborted).message, "aborted");
  assert.deepEqual(calls.destroyed, []);
  assert.deepEqual(counts(pool), [0, 1, 0, 0]);
});

test("release() of what is not lent returns false, and changes nothing", async () => {
  const { pool } = made();
  const [resource] = await acquired(pool, 1);
  assert.equal(pool.release({ number: 0 }), false);
  assert.equal(pool.release(undefined), false);
  assert.deepEqual(counts(pool), [1, 0, 0, 0]);
  assert.equal(pool.release(resource), true);
  const next = await pool.acquire().promise;
  assert.equal(next, resource);
  pool.release(resource);
  assert.equal(pool.release(resource), false, "a second time");
  assert.deepEqual(counts(pool), [0, 1, 0, 0]);
});

test("free resources are destroyed after idleTimeoutMillis, as long as min are there, in use or free", async () => {
  const { pool, clock, calls } = made({ min: 2, max: 4, idleTimeoutMillis: 100 });
  const resources = await acquired(pool, 4);
  for (const resource of resources.slice(0, 3)) pool.release(resource);
  await pass(clock, 90);
  assert.deepEqual(counts(pool), [1, 3, 0, 0]);
  await pass(clock, 30);
  assert.deepEqual(counts(pool), [1, 1, 0, 0]);
  assert.deepEqual(
    calls.destroyed.map(({ number }) => number),
    [0, 1],
  );
  pool.release(resources[3]);
  await pass(clock, 500);
  assert.deepEqual(counts(pool), [0, 2, 0, 0]);
});

test("min opens nothing by itself", async () => {
  const { pool, clock, calls } = made({ min: 2 });
  await pass(clock, 1_000);
  assert.equal(calls.created, 0);
  assert.deepEqual(counts(pool), [0, 0, 0, 0]);
});

test("startReaping and stopReaping say whether free resources are timed", async () => {
  const { pool, clock } = made({ idleTimeoutMillis: 100 });
  const events = [];
  for (const event of ["startReaping", "stopReaping"]) pool.on(event, () => events.push(event));
  assert.equal(pool.interval, null);
  for (let round = 0; round < 2; round++) {
    const [resource] = await acquired(pool, 1);
    assert.notEqual(pool.interval, null);
    pool.release(resource);
    await pass(clock, 150);
    assert.equal(pool.interval, null);
  }
  assert.deepEqual(events, ["startReaping", "stopReaping", "startReaping", "stopReaping"]);
});

test("events come in pairs with one number, in the order of tarn", async () => {
  const { pool } = made();
  const events = [];
  for (const event of [
    "acquireRequest",
    "acquireSuccess",
    "release",
    "createRequest",
    "createSuccess",
    "destroyRequest",
    "destroySuccess",
    "poolDestroyRequest",
    "poolDestroySuccess",
  ])
    pool.on(event, (...given) => events.push([event, ...given]));
  const resource = await pool.acquire().promise;
  pool.release(resource);
  await pool.destroy();
  assert.deepEqual(events, [
    ["acquireRequest", 1],
    ["createRequest", 2],
    ["createSuccess", 2, resource],
    ["acquireSuccess", 1, resource],
    ["release", resource],
    ["poolDestroyRequest", 3],
    ["destroyRequest", 4, resource],
    ["destroySuccess", 4, resource],
    ["poolDestroySuccess", 3],
  ]);
});

test("failures are emitted, of creates, acquires and destroys, by a time limit too", async () => {
  const { pool, clock, calls } = made({
    create: () => (calls.created++ === 0 ? never() : {}),
    destroy: never,
    createTimeoutMillis: 20,
    destroyTimeoutMillis: 20,
    idleTimeoutMillis: 10,
    propagateCreateError: true,
  });
  const events = [];
  for (const event of ["createFail", "acquireFail", "destroyFail"])
    pool.on(event, (...given) => events.push([event, given.at(-1) instanceof TimeoutError]));
  const noted = rejection(pool.acquire().promise);
  await pass(clock, 30);
  assert.ok((await noted) instanceof TimeoutError);
  pool.release(await pool.acquire().promise);
  await pass(clock, 60);
  assert.deepEqual(events, [
    ["createFail", true],
    ["acquireFail", true],
    ["destroyFail", true],
  ]);
  assert.match(calls.logged.join("\n"), /resource destroyer threw an exception .*operation timed out/);
});

test("a listener that throws keeps no other from its event, and is logged", async () => {
  const { pool, calls } = made();
  let called = 0;
  const removed = () => called++;
  pool.on("acquireRequest", removed);
  pool.on("acquireRequest", () => {
    throw new Error("broken");
  });
  pool.on("acquireRequest", () => called++);
  await pool.acquire().promise;
  assert.equal(called, 2);
  assert.match(calls.logged[0], /event handler "acquireRequest" threw an exception Error: broken/);
  pool.removeListener("acquireRequest", removed);
  await pool.acquire().promise;
  assert.equal(called, 3);
  pool.removeAllListeners("acquireRequest");
  pool.acquire().promise.catch(() => {});
  assert.equal(called, 3);
});

test("destroy() waits for creates and for used resources, aborts the callers that wait, and destroys all", async () => {
  const opening = gate();
  const { pool, calls } = made({ max: 3, create: () => (calls.created++ < 2 ? { number: 1 } : opening.promise) });
  const resources = [await pool.acquire().promise, await pool.acquire().promise];
  const creating = rejection(pool.acquire().promise);
  const waiting = rejection(pool.acquire().promise);
  await settled();
  const destroyed = pool.destroy();
  for (const error of [await creating, await waiting]) {
    assert.ok(error instanceof PoolClosedError);
    assert.equal(error.message, "aborted");
  }
  pool.release(resources[0]);
  opening.open({ number: 3 });
  assert.equal(await stateOf(destroyed), "pending");
  pool.release(resources[1]);
  await destroyed;
  assert.equal(calls.destroyed.length, 3);
  assert.deepEqual(counts(pool), [0, 0, 0, 0]);
  assert.deepEqual(pool.emitter.eventNames(), []);
});

test("destroy() has a limit, and a second call returns the same promise", async () => {
  const { pool, clock, calls } = made();
  const resource = await pool.acquire().promise;
  const destroyed = pool.destroy({ timeoutMillis: 50 });
  assert.equal(pool.destroy(), destroyed);
  await pass(clock, 100);
  await destroyed;
  assert.deepEqual(calls.destroyed, [resource]);
  assert.equal(pool.release(resource), true, "a late return does no harm");
  await settled();
  assert.equal(calls.destroyed.length, 1);
});

test("an acquire after destroy() is refused at once", async () => {
  const { pool } = made();
  await pool.destroy();
  const error = await rejection(pool.acquire().promise);
  assert.equal(error.message, "aborted");
  assert.equal(error.code, "ERR_POOL_CLOSED");
});

test("destroy() waits for destroys that are under way, and its errors are logged", async () => {
  const slow = gate();
  const { pool, calls } = made({
    async destroy(resource) {
      calls.destroyed.push(resource);
      await slow.promise;
      throw new Error("destroy error");
    },
  });
  const resource = await pool.acquire().promise;
  pool.release(resource);
  const destroyed = pool.destroy();
  assert.equal(await stateOf(destroyed), "pending");
  slow.open();
  await destroyed;
  assert.match(calls.logged.join(), /destroy error/);
});

test("with a dialect each return rolls an open transaction back, and queuePool is the pool behind", async () => {
  let rollbacks = 0;
  const { pool } = made({ edgepool: { dialect: { doRollback: () => void rollbacks++ }, loggingName: "behind" } });
  assert.ok(pool.queuePool instanceof QueuePool);
  assert.equal(pool.queuePool.loggingName, "behind");
  pool.release(await pool.acquire().promise);
  await settled();
  assert.equal(rollbacks, 1);
  assert.deepEqual(counts(pool), [0, 1, 0, 0]);
});

test("many callers on a pool whose creates, validations and destroys fail lose no resource", async () => {
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const { pool, clock, calls } = made({
    max: 7,
    min: 3,
    create: async () => {
      if (random() < 0.4) throw new Error("create");
      return { number: calls.created++ };
    },
    destroy(resource) {
      calls.destroyed.push(resource);
      if (random() < 0.4) throw new Error("destroy");
    },
    validate: async () => random() > 0.3,
    idleTimeoutMillis: 20,
    acquireTimeoutMillis: 100_000,
    createRetryIntervalMillis: 5,
  });
  const used = new Set();
  const callers = Array.from({ length: 100 }, async () => {
    const resource = await pool.acquire().promise;
    assert.equal(used.has(resource), false);
    used.add(resource);
    assert.ok(used.size <= 7);
    await null;
    used.delete(resource);
    pool.release(resource);
  });
  await pass(clock, 60_000);
  await Promise.all(callers);
  await pool.destroy();
  assert.equal(calls.created, calls.destroyed.length);
  assert.deepEqual(counts(pool), [0, 0, 0, 0]);
});

test("without tarn a TimeoutError is an Error, and the entry still loads", () => {
  const program = `
    import { registerHooks } from "node:module";
    process.getBuiltinModule = undefined;
    const { TimeoutError } = await import("edgepool/tarn");
    const error = new TimeoutError("late");
    if (!(error instanceof Error) || error.message !== "late" || error.name !== "TimeoutError") throw error;
  `.replace(/.*registerHooks.*\n/, "");
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: root,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
});
