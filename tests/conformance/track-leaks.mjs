// trackLeaks: a lease that is forgotten is reported, and after a grace its connection is terminated and its slot freed.
// Only where a collection can be asked for (node --expose-gc); elsewhere nothing is claimed, so no test is registered.

import { expect } from "chai";
import { NullPool, SingletonThreadPool, StaticPool } from "edgepool";
import { expectSound, pass, scriptedPool, settled, stateOf } from "./scripted.mjs";
import { newCalls, scriptedKind, traced } from "./scripted-kind.mjs";

const grace = 30_000;
const latest = grace + grace / 8;

/** Collects until this holds, or for long enough that it never will. The finalizers run in tasks of the host. */
async function collected(isDone = () => false) {
  for (let round = 0; round < 20 && !isDone(); round++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 0));
    await settled();
  }
}

/** Checks out and forgets. What it answers holds nothing of the lease. */
async function forgetfulHandler(pool, note = () => {}) {
  const lease = await pool.connect();
  await note(lease);
}

/** Forgets one lease of this pool and waits for the report. */
async function leak(context, note) {
  const { pool } = context;
  const before = pool.stats().leaked;
  await forgetfulHandler(pool, note);
  await collected(() => pool.stats().leaked > before);
}

function listening(context) {
  const reports = [];
  context.pool.on("error", (error, { operation, record }) => reports.push({ error, operation, record }));
  return { ...context, reports };
}

export default (test) => {
  if (typeof globalThis.gc !== "function") return;

  test("a forgotten lease is reported at once: event, warning, count; its connection stays for now", async () => {
    const context = listening(scriptedPool({ poolSize: 1, maxOverflow: 0 }));
    const { pool, server, log, reports } = context;
    await leak(context);
    expect(reports.map(({ operation }) => operation)).to.deep.equal(["leak"]);
    expect(reports[0].error).to.be.instanceOf(Error);
    expect(reports[0].record.connection).to.equal(server.connections[0]);
    expect(log.of("warn")).to.have.length(1);
    expect(log.of("warn")[0]).to.match(/^pool scripted: /);
    expect(pool.stats()).to.include({ leaked: 1, used: 1, total: 1 });
    expect(server.calls).to.deep.equal(["open"]);
    await pass(context.clock, latest);
    await expectSound(context);
  });

  test("207 after 30 s of the pool's clock its connection is terminated, and the slot is free", async () => {
    const context = traced(scriptedPool({ poolSize: 1, maxOverflow: 0 }));
    const { pool, clock, server } = context;
    const states = [];
    pool.on("reset", (_connection, _record, state) => states.push({ ...state }));
    await leak(context);
    newCalls(context);
    await pass(clock, grace - 100);
    expect(newCalls(context)).to.deep.equal([]);
    await pass(clock, latest - grace + 100);
    expect(newCalls(context)).to.deep.equal([
      "on reset 1 terminateOnly",
      "on detach 1",
      "on closeDetached 1",
      "terminate 1",
    ]);
    expect(states).to.deep.equal([{ transactionWasReset: false, terminateOnly: true, asyncioSafe: false }]);
    expect(pool.stats()).to.include({ leaked: 1, used: 0, total: 0, detached: 0 });
    expect(server.live).to.equal(0);
    await expectSound(context);
  });

  test("209 without terminate a forgotten lease's connection is closed, without a reset", async () => {
    const calls = [];
    const dialect = { doRollback: () => void calls.push("rollback"), doClose: () => void calls.push("close") };
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, dialect });
    const { pool, clock } = context;
    await leak(context);
    await pass(clock, latest);
    expect(calls).to.deep.equal(["close"]);
    expect(pool.stats()).to.include({ used: 0, total: 0, detached: 0 });
  });

  test("a caller that waits for the slot is served then, with a new connection", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: null });
    const { pool, clock } = context;
    await leak(context);
    const waiters = [pool.connect(), pool.connect()];
    await pass(clock, grace - 100);
    expect(await stateOf(waiters[0])).to.equal("pending");
    await pass(clock, latest - grace + 100);
    expect((await waiters[0]).connection.id).to.equal(2);
    expect(await stateOf(waiters[1])).to.equal("pending");
    await (await waiters[0]).close();
    await (await waiters[1]).close();
    await expectSound(context);
  });

  test("until then a caller that kept the connection alone can use it", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    let connection;
    await leak(context, (lease) => void (connection = lease.connection));
    await pass(context.clock, grace - 100);
    expect(connection.closed).to.equal(0);
    await pass(context.clock, latest - grace + 100);
    expect(connection.closed).to.equal(1);
    await expectSound(context);
  });

  test("213 leases that were closed report nothing, also after ten thousand checkouts", async () => {
    const context = listening(scriptedPool({ poolSize: 2, maxOverflow: 0 }));
    const { pool, clock, log, reports } = context;
    for (let round = 0; round < 10_000; round++) await (await pool.connect()).close();
    await collected();
    await pass(clock, latest);
    expect([reports, log.lines]).to.deep.equal([[], []]);
    expect(pool.stats()).to.include({ leaked: 0, idle: 1, checkouts: 10_000 });
  });

  test("leases that were invalidated, and functions in use(), report nothing", async () => {
    const context = listening(scriptedPool({ poolSize: 2, maxOverflow: 0 }));
    const { pool, log, reports } = context;
    for (let round = 0; round < 50; round++) {
      await (await pool.connect()).invalidate();
      await pool.use(() => {});
    }
    await collected();
    expect([reports, log.lines, pool.stats().leaked]).to.deep.equal([[], [], 0]);
  });

  test("a lease that is held reports nothing, however long", async () => {
    const context = listening(scriptedPool({ poolSize: 1, maxOverflow: 0 }));
    const { pool, clock, reports } = context;
    const lease = await pool.connect();
    await collected();
    await pass(clock, 1_000_000);
    expect([reports, pool.stats().leaked, lease.connection.closed]).to.deep.equal([[], 0, 0]);
    await lease.close();
  });

  test("211 a lease in a cycle of references is found, too", async () => {
    const context = listening(scriptedPool({ poolSize: 1, maxOverflow: 0 }));
    await leak(context, (lease) => {
      const cycle = { lease };
      cycle.self = cycle;
    });
    expect(context.reports.map(({ operation }) => operation)).to.deep.equal(["leak"]);
    await pass(context.clock, latest);
    expect(context.pool.checkedOut()).to.equal(0);
    await expectSound(context);
  });

  test("a waiter's lease, and one that came straight from another's return, are found as well", async () => {
    for (const resetOnReturn of ["none", "rollback"]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn });
      const { pool, clock } = context;
      const first = await pool.connect();
      const forgotten = forgetfulHandler(pool);
      await first.close();
      await forgotten;
      await collected(() => pool.stats().leaked > 0);
      expect(pool.stats().leaked, resetOnReturn).to.equal(1);
      await pass(clock, latest);
      await expectSound(context, resetOnReturn);
    }
  });

  test("several are each reported, and each costs its own connection alone", async () => {
    const context = scriptedPool({ poolSize: 5, maxOverflow: 0 });
    const { pool, server, clock } = context;
    const held = await pool.connect();
    for (let round = 0; round < 3; round++) await forgetfulHandler(pool);
    await collected(() => pool.stats().leaked === 3);
    expect(pool.stats().leaked).to.equal(3);
    await pass(clock, latest);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([0, 1, 1, 1]);
    expect(held.isValid).to.equal(true);
    await held.close();
    await expectSound(context);
  });

  test("with trackLeaks: false nothing is ever reported, and nothing taken away", async () => {
    const context = listening(scriptedPool({ poolSize: 1, maxOverflow: 0, trackLeaks: false }));
    const { pool, server, clock, log, reports } = context;
    await forgetfulHandler(pool);
    await collected();
    await pass(clock, latest);
    expect([reports, log.lines, server.calls]).to.deep.equal([[], [], ["open"]]);
    expect(pool.stats()).to.include({ leaked: 0, used: 1 });
  });

  test('with "stack" the report says where the lease was taken; without, it does not', async () => {
    for (const [trackLeaks, says] of [
      ["stack", true],
      [true, false],
      [undefined, false],
    ]) {
      const context = listening(scriptedPool({ poolSize: 1, maxOverflow: 0, trackLeaks }));
      await leak(context);
      const [{ error }] = context.reports;
      expect(`${error.message}\n${error.stack}`.includes("forgetfulHandler"), String(trackLeaks)).to.equal(says);
      await pass(context.clock, latest);
      await expectSound(context);
    }
  });

  test('with "stack" a time-out says where the longest-held leases were taken', async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, trackLeaks: "stack" });
    let held;
    await forgetfulHandler(pool, (lease) => void (held = lease));
    const error = await pool.connect({ timeout: 0 }).catch((reason) => reason);
    expect(error.longestHeld).to.have.length(1);
    expect(error.longestHeld[0].stack).to.contain("forgetfulHandler");
    await held.close();
  });

  test("recreate() carries it", async () => {
    const { pool } = scriptedPool({ trackLeaks: false });
    const again = pool.recreate();
    await forgetfulHandler(again);
    await collected();
    expect(again.stats().leaked).to.equal(0);
  });

  for (const [name, Kind] of Object.entries({ StaticPool, SingletonThreadPool })) {
    test(`${name}: a forgotten lease drops its count alone; the last close returns the connection`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool, server, clock, log } = context;
      const held = await pool.connect();
      await forgetfulHandler(pool);
      await collected();
      newCalls(context);
      expect([held.isValid, server.connections[0].closed]).to.deep.equal([true, 0]);
      await held.close();
      await collected(() => pool.stats().leaked > 0);
      expect([pool.stats().leaked, log.of("warn").length]).to.deep.equal([1, 1]);
      await pass(clock, latest);
      expect(newCalls(context).toSorted()).to.deep.equal(["on checkin 1", "on error leak", "on reset 1", "rollback 1"]);
      expect(pool.stats()).to.include({ used: 0, idle: 1 });
      await expectSound(context);
    });
  }

  test("NullPool: a forgotten lease's connection is terminated after the grace", async () => {
    const context = scriptedKind(NullPool);
    await leak(context);
    expect(context.server.live).to.equal(1);
    await pass(context.clock, latest);
    expect(context.server.calls).to.deep.equal(["open", "terminate 1"]);
    await expectSound(context);
  });

  test("210 if its record was emptied, a forgotten lease costs no slot and closes nothing twice", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, clock } = context;
    await forgetfulHandler(pool, (lease) => lease.record.invalidate());
    await collected(() => pool.stats().leaked > 0 || pool.stats().used === 0);
    await pass(clock, latest);
    expect([server.connections[0].closed, pool.checkedOut()]).to.deep.equal([1, 0]);
    await expectSound(context);
  });

  test("dispose(), invalidateAll() or a death in the grace change nothing: one termination", async () => {
    const deaths = [];
    const between = {
      dispose: ({ pool }) => pool.dispose(),
      invalidateAll: ({ pool }) => pool.invalidateAll(),
      death: () => deaths.at(-1)(new Error("gone")),
    };
    for (const [note, come] of Object.entries(between)) {
      const context = scriptedPool({
        poolSize: 1,
        maxOverflow: 0,
        dialect: { onDisconnect: (_, died) => (deaths.push(died), () => {}) },
      });
      await leak(context);
      await come(context);
      await pass(context.clock, latest);
      expect(context.server.connections[0].closed, note).to.equal(1);
      expect(context.pool.stats().used, note).to.equal(0);
      await expectSound(context, note);
    }
  });

  test("the pool's close waits no longer for a forgotten lease than for any other", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, clock } = context;
    await leak(context);
    const closed = pool.close({ timeout: "2s" });
    await pass(clock, 2_500);
    expect(await stateOf(closed)).to.equal("fulfilled");
    await pass(clock, latest);
    expect(server.connections[0].closed).to.equal(1);
    await expectSound(context);
  });

  test("a scope whose key is collected ends: its idle connections are closed", async () => {
    const at = { key: {} };
    const context = scriptedPool({ scope: () => at.key });
    await context.pool.use(() => {});
    at.key = undefined;
    await collected(() => context.server.live === 0);
    expect(context.server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
    expect(context.pool.stats({ scope: "all" })).to.include({ total: 0, opened: 1 });
  });

  test("a thousand scopes whose keys were collected leave nothing behind", async () => {
    const at = { key: undefined };
    const context = scriptedPool({ scope: () => at.key });
    for (let scope = 0; scope < 1000; scope++) {
      at.key = {};
      await context.pool.use(() => {});
    }
    at.key = undefined;
    await collected(() => context.server.live === 0);
    expect([context.server.live, context.server.closedTwice]).to.deep.equal([0, 0]);
    expect(context.pool.stats({ scope: "all" })).to.include({ total: 0, opened: 1000, checkouts: 1000 });
  });
};
