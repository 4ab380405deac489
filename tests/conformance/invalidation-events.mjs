// The events of connections that end: invalidate, softInvalidate, close, detach, closeDetached; and what a record's own
// invalidate() and close() do, idle and under a lease.

import { expect } from "chai";
import { ArgumentError } from "edgepool";
import { connects, counts, expectSound, gate, rejection, settled, stateOf } from "./scripted.mjs";
import { onePool, thrower, tracedPool } from "./tracing.mjs";

const gone = new Error("gone");
const died = ["invalidate 1", "close event 1", "terminate 1"];
const failures = { throws: thrower, rejects: (error) => () => Promise.reject(error) };

async function leased(options) {
  const context = onePool(options);
  const lease = await context.pool.connect();
  context.steps();
  return { ...context, lease, record: lease.record };
}

/** A pool with one idle connection, and its record. */
async function idle(options) {
  const context = await leased(options);
  await context.lease.close();
  context.steps();
  return context;
}

export default (test) => {
  test("151 a hard invalidation: invalidate with its error, close, terminate, checkin of null", async () => {
    for (const error of [gone, undefined]) {
      const { lease, record, server, steps, given } = await leased();
      await lease.invalidate(error);
      expect(steps()).to.deep.equal([...died, "checkin null"]);
      const [connection] = server.connections;
      expect(given("invalidate")).to.deep.equal([[connection, record, error]]);
      expect(given("close event")).to.deep.equal([[connection, record]]);
      expect(given("checkin")).to.deep.equal([[null, record]]);
    }
  });

  test("153 a soft invalidation: softInvalidate with its error, or without one, and nothing else", async () => {
    for (const error of [gone, undefined]) {
      const { lease, record, server, steps, given } = await leased();
      await lease.invalidate(error, { soft: true });
      expect(steps()).to.deep.equal(["softInvalidate 1"]);
      expect(given("softInvalidate")).to.deep.equal([[server.connections[0], record, error]]);
      expect(server.connections[0].closed).to.equal(0);
    }
  });

  test("155 with pool: true the others fire nothing until their next checkout, and then close alone", async () => {
    const { pool, steps } = tracedPool({ poolSize: 2 });
    const [first, second] = await connects(pool, 2);
    steps();
    await first.invalidate(gone, { pool: true });
    expect(steps()).to.deep.equal([...died, "checkin null"]);
    await second.close();
    expect(steps()).to.deep.equal(["reset 2", "rollback 2", "checkin 2"]);
    await connects(pool, 2);
    expect(steps().filter((step) => /^(invalidate|close|terminate)/.test(step))).to.deep.equal([
      "close event 2",
      "terminate 2",
    ]);
  });

  test("invalidateAll() fires nothing; each connection's close is fired at its next checkout", async () => {
    const { pool, steps } = await idle();
    pool.invalidateAll(gone);
    await settled();
    expect(steps()).to.deep.equal([]);
    await pool.connect();
    expect(steps()).to.deep.equal(["close event 1", "terminate 1", "open", "connect 2", "checkout 2"]);
  });

  for (const [how, failing] of Object.entries(failures)) {
    test(`166 an invalidate listener that ${how} keeps nothing: connection and lease end`, async () => {
      const context = await leased();
      const { pool, lease, server, steps, given } = context;
      const failure = new Error("listener");
      server.script.invalidate = failing(failure);
      await lease.invalidate(gone);
      expect(steps()).to.deep.equal(["invalidate 1", "error listener", "close event 1", "terminate 1", "checkin null"]);
      expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal([[failure, "listener"]]);
      expect([lease.isValid, counts(pool)]).to.deep.equal([false, [1, 1, 0, 0]]);
      expect((await pool.connect()).connection.id).to.equal(2);
    });

    test(`a softInvalidate listener that ${how} spares nothing: the connection is replaced`, async () => {
      const context = await leased();
      const { pool, lease, server } = context;
      server.script.softInvalidate = failing(new Error("listener"));
      await lease.invalidate(gone, { soft: true });
      expect(lease.isValid).to.equal(true);
      await lease.close();
      expect((await pool.connect()).connection.id).to.equal(2);
    });

    test(`167 a termination that ${how} is reported; the record is empty and idle`, async () => {
      const context = await leased();
      const { pool, lease, record, server, steps, given } = context;
      server.script.terminate = failing(gone);
      await lease.invalidate();
      await lease.close();
      expect(steps()).to.deep.equal([...died, "error terminate", "checkin null"]);
      expect(given("error")).to.deep.equal([[gone, { operation: "terminate", record }]]);
      expect([record.connection, counts(pool)]).to.deep.equal([null, [1, 1, 0, 0]]);
    });

    test(`a detach listener that ${how} changes nothing: the lease is detached`, async () => {
      const context = await leased();
      const { pool, lease, server, given } = context;
      server.script.detach = failing(gone);
      await lease.detach();
      expect([lease.isDetached, lease.isValid, counts(pool)]).to.deep.equal([true, true, [1, 1, 0, 0]]);
      expect(given("error").map(([error]) => error)).to.deep.equal([gone]);
      await lease.close();
      await expectSound(context);
    });

    test(`191 a close listener that ${how} during dispose() is reported; every connection is closed`, async () => {
      const context = tracedPool({ poolSize: 3 });
      const { pool, server, given } = context;
      for (const lease of await connects(pool, 3)) await lease.close();
      server.script["close event"] = failing(gone);
      await pool.dispose();
      expect(server.live).to.equal(0);
      expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal(
        Array.from({ length: 3 }, () => [gone, "listener"]),
      );
      expect(pool.stats().total).to.equal(0);
      await expectSound(context);
    });
  }

  test("171 a disconnect in use(): invalidate with the error that use() rejects with, and no reset", async () => {
    const { pool, steps, given } = onePool({ dialect: { isDisconnect: (error) => error === gone } });
    expect(await rejection(pool.use(() => Promise.reject(gone)))).to.equal(gone);
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "checkout 1", ...died, "checkin null"]);
    expect(given("invalidate")[0][2]).to.equal(gone);
    expect(given("error")).to.deep.equal([]);
  });

  test("170 any other error of use() fires no invalidate", async () => {
    const { pool, steps } = onePool({ dialect: { isDisconnect: () => false } });
    await rejection(pool.use(() => Promise.reject(gone)));
    expect(steps()).to.deep.equal([
      "open",
      "firstConnect 1",
      "connect 1",
      "checkout 1",
      "reset 1",
      "rollback 1",
      "checkin 1",
    ]);
  });

  test("an idle connection that dies: invalidate with its error, close, terminate; its slot is gone", async () => {
    let die;
    const { pool, record, server, steps, given } = await idle({
      dialect: { onDisconnect: (_, tell) => ((die = tell), () => {}) },
    });
    die(gone);
    await settled();
    expect(steps()).to.deep.equal(died);
    expect(given("invalidate")).to.deep.equal([[server.connections[0], record, gone]]);
    expect(counts(pool)).to.deep.equal([1, 0, -1, 0]);
    expect(pool.stats()).to.include({ total: 0, invalidated: 1 });
  });

  test("a connection that dies in use is reported to `error`, and ended then", async () => {
    let die;
    const { pool, lease, record, server, steps, given } = await leased({
      dialect: { onDisconnect: (_, tell) => ((die = tell), () => {}) },
    });
    die(gone);
    await settled();
    expect(steps()).to.deep.equal(["error disconnect", ...died, "checkin null"]);
    expect(given("invalidate")).to.deep.equal([[server.connections[0], record, gone]]);
    expect(given("error")).to.deep.equal([[gone, { operation: "disconnect", record }]]);
    const next = await pool.connect();
    expect(steps()).to.deep.equal(["open", "connect 2", "checkout 2"]);
    await lease.close();
    expect(steps()).to.deep.equal([]);
    await next.close();
  });

  test("record.invalidate() under a lease: the connection ends now, and the lease lives on with it", async () => {
    const { pool, lease, record, server, steps, given } = await leased();
    const [connection] = server.connections;
    const termination = gate();
    server.script.terminate = () => termination.promise;
    const invalidated = record.invalidate(gone);
    expect(record.connection).to.equal(null);
    expect(await stateOf(invalidated)).to.equal("pending");
    termination.open();
    await invalidated;
    expect(steps()).to.deep.equal(died);
    expect(given("invalidate")).to.deep.equal([[connection, record, gone]]);
    expect([lease.isValid, lease.connection === connection, record.inUse]).to.deep.equal([true, true, true]);
    expect(counts(pool)).to.deep.equal([1, 0, 0, 1]);
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "checkin null"]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    const next = await pool.connect();
    expect([next.record === record, next.connection.id, connection.closed]).to.deep.equal([true, 2, 1]);
  });

  test("after record.invalidate() a reset that fails on the dead connection terminates nothing twice", async () => {
    const context = await leased();
    const { pool, lease, record, server, steps, given } = context;
    await record.invalidate();
    server.script.rollback = () => Promise.reject(gone);
    await lease.close();
    expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal([[gone, "reset"]]);
    expect(steps().at(-1)).to.equal("checkin null");
    expect([counts(pool), server.closedTwice]).to.deep.equal([[1, 1, 0, 0], 0]);
    await expectSound(context);
  });

  test("after record.invalidate() the lease's own invalidate() or detach() ends nothing twice", async () => {
    for (const end of ["invalidate", "detach"]) {
      const context = await leased();
      const { lease, record } = context;
      await record.invalidate();
      await lease[end]();
      await lease.close();
      await expectSound(context, end);
    }
  });

  test("record.invalidate() twice, or of an empty record, does nothing more", async () => {
    const { lease, record, steps } = await leased();
    await record.invalidate();
    steps();
    await record.invalidate(gone);
    await record.close();
    expect(steps()).to.deep.equal([]);
    await lease.close();
    steps();
    await record.invalidate(gone);
    expect(steps()).to.deep.equal([]);
  });

  test("record.invalidate() of an idle record: the connection ends now, and the slot opens another", async () => {
    const context = await idle();
    const { pool, record, steps, given } = context;
    await record.invalidate(gone);
    expect(steps()).to.deep.equal(died);
    expect(given("invalidate")[0][2]).to.equal(gone);
    expect([record.connection, counts(pool)]).to.deep.equal([null, [1, 1, 0, 0]]);
    expect(pool.stats()).to.include({ idle: 0, total: 0, invalidated: 1 });
    const next = await pool.connect();
    expect(steps()).to.deep.equal(["open", "connect 2", "checkout 2"]);
    expect(next.record).to.equal(record);
    await next.close();
    await expectSound(context);
  });

  test("no caller gets a connection while record.invalidate() of its idle record terminates it", async () => {
    const context = await idle();
    const { pool, record, server } = context;
    const termination = gate();
    server.script.terminate = () => termination.promise;
    const invalidated = record.invalidate();
    const caller = pool.connect();
    expect(await stateOf(caller)).to.equal("pending");
    expect(server.connections).to.have.length(1);
    termination.open();
    await invalidated;
    expect((await caller).connection.id).to.equal(2);
    await (await caller).close();
    await expectSound(context);
  });

  test("154 record.invalidate() softly, idle or leased: replaced at the next checkout", async () => {
    for (const make of [idle, leased]) {
      const { pool, lease, record, server, steps, given } = await make();
      await record.invalidate(gone, { soft: true });
      expect(steps()).to.deep.equal(["softInvalidate 1"]);
      expect(given("softInvalidate")).to.deep.equal([[server.connections[0], record, gone]]);
      expect(record.connection).to.equal(server.connections[0]);
      await lease.close();
      steps();
      const next = await pool.connect();
      expect(steps()).to.deep.equal(["close event 1", "terminate 1", "open", "connect 2", "checkout 2"]);
      expect(next.record).to.equal(record);
    }
  });

  test("record.close() of an idle record closes politely, and the slot opens another connection in it", async () => {
    const context = await idle();
    const { pool, record, server, steps, given } = context;
    await record.close();
    expect(steps()).to.deep.equal(["close event 1", "close 1"]);
    expect(given("close event")).to.deep.equal([[server.connections[0], record]]);
    expect([record.connection, counts(pool)]).to.deep.equal([null, [1, 1, 0, 0]]);
    expect(pool.stats()).to.include({ idle: 0, total: 0, invalidated: 0 });
    const next = await pool.connect();
    expect(steps()).to.deep.equal(["open", "connect 2", "checkout 2"]);
    expect(next.record).to.equal(record);
    await next.close();
    await expectSound(context);
  });

  test("record.close() under a lease closes politely now; the lease's close checks in null", async () => {
    const context = await leased();
    const { pool, lease, record, server, steps } = context;
    await record.close();
    expect(steps()).to.deep.equal(["close event 1", "close 1"]);
    expect([record.connection, lease.isValid, lease.connection === server.connections[0]]).to.deep.equal([
      null,
      true,
      true,
    ]);
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "checkin null"]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await expectSound(context);
  });

  test("what the driver throws at record.close() or record.invalidate() is reported; both resolve", async () => {
    for (const make of [idle, leased]) {
      for (const [end, call] of [
        ["close", "close"],
        ["invalidate", "terminate"],
      ]) {
        const context = await make();
        const { lease, record, server, given } = context;
        server.script[call] = () => Promise.reject(gone);
        await record[end]();
        expect(given("error"), end).to.deep.equal([[gone, { operation: call, record }]]);
        await lease.close();
        await expectSound(context, end);
      }
    }
  });

  test("the record of a slot that has ended does nothing any more", async () => {
    const context = await idle();
    const { pool, record, steps } = context;
    await pool.dispose();
    const next = await pool.connect();
    steps();
    await record.invalidate(gone);
    await record.invalidate(gone, { soft: true });
    await record.close();
    expect(steps()).to.deep.equal([]);
    expect(next.isValid).to.equal(true);
    await next.close();
    await expectSound(context);
  });

  test("options of record.invalidate() that are wrong reject with an ArgumentError, and nothing happens", async () => {
    const { record, steps } = await leased();
    expect(await rejection(record.invalidate(gone, { soft: "yes" }))).to.be.instanceOf(ArgumentError);
    expect(await rejection(record.invalidate(gone, { hard: true }))).to.be.instanceOf(ArgumentError);
    expect(steps()).to.deep.equal([]);
  });

  test("177 closeDetached is fired with the connection alone, when a detached lease is closed", async () => {
    const { lease, server, given } = await leased();
    await lease.detach();
    expect(given("closeDetached")).to.deep.equal([]);
    await lease.close();
    expect(given("closeDetached")).to.deep.equal([[server.connections[0]]]);
  });

  test("178 after detach() the next caller has a new connection, with its own events", async () => {
    const { pool, lease, server, steps } = await leased();
    await lease.detach();
    steps();
    await pool.connect();
    expect(steps()).to.deep.equal(["open", "connect 2", "checkout 2"]);
    expect(server.connections[0].closed).to.equal(0);
    await lease.close();
    expect(server.connections[0].closed).to.equal(1);
  });

  test("179 detach() emits detach alone; the slot is free before its listeners run", async () => {
    const { pool, lease, record, server, steps, given } = await leased();
    let seen;
    server.script.detach = (connection, of) =>
      void (seen = [of.connection, of.inUse, lease.isDetached, lease.connection === connection, counts(pool)]);
    await lease.detach();
    expect(steps()).to.deep.equal(["detach 1"]);
    expect(given("detach")).to.have.length(1);
    expect(given("detach")[0]).to.have.ordered.members([server.connections[0], record]);
    expect(seen).to.deep.equal([null, false, true, true, [1, 1, 0, 0]]);
    await lease.detach();
    expect(steps()).to.deep.equal([]);
  });

  test("a waiter that has the slot of a detached lease does not wait for the detach listeners", async () => {
    const { pool, lease, server } = await leased();
    const running = gate();
    server.script.detach = () => running.promise;
    const waiter = pool.connect();
    const detached = lease.detach();
    expect((await waiter).connection.id).to.equal(2);
    expect(await stateOf(detached)).to.equal("pending");
    running.open();
    await detached;
  });

  test("181 close() of a detached lease: reset, rollback, closeDetached, the driver's close", async () => {
    const { lease, steps, given } = await leased();
    await lease.detach();
    steps();
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "closeDetached 1", "close 1"]);
    expect(given("reset")[0].slice(1)).to.deep.equal([
      null,
      { transactionWasReset: false, terminateOnly: true, asyncioSafe: true },
    ]);
  });

  test("182 a hard invalidation of a detached lease: closeDetached and a termination, no other event", async () => {
    const { lease, steps } = await leased();
    await lease.detach();
    steps();
    await lease.invalidate(gone);
    expect(steps()).to.deep.equal(["closeDetached 1", "terminate 1"]);
    await lease.close();
    expect(steps()).to.deep.equal([]);
  });

  test("183 a soft invalidation of a detached lease fires nothing", async () => {
    const { lease, steps } = await leased();
    await lease.detach();
    steps();
    await lease.invalidate(gone, { soft: true });
    expect(steps()).to.deep.equal([]);
  });

  for (const name of ["reset", "rollback"]) {
    test(`a detached connection whose ${name} fails is reported, and terminated with closeDetached`, async () => {
      const context = await leased();
      const { lease, server, steps, given } = context;
      await lease.detach();
      server.script[name] = () => Promise.reject(gone);
      steps();
      await lease.close();
      const happened = steps();
      expect(happened.slice(-2)).to.deep.equal(["closeDetached 1", "terminate 1"]);
      expect(happened.filter((step) => /^(invalidate|close event|checkin)/.test(step))).to.deep.equal([]);
      expect(given("error")).to.deep.equal([
        [gone, { operation: name === "reset" ? "listener" : "reset", record: null }],
      ]);
      await expectSound(context);
    });
  }

  test("187 dispose() emits close for the idle connection; the leased one is closed at its return", async () => {
    const { pool, steps } = tracedPool({ poolSize: 2 });
    const [first, second] = await connects(pool, 2);
    await first.close();
    steps();
    await pool.dispose();
    expect(steps()).to.deep.equal(["close event 1", "close 1"]);
    await second.close();
    expect(steps()).to.deep.equal(["reset 2", "rollback 2", "checkin 2", "close event 2", "close 2"]);
  });

  test("190 dispose fires close with the connection and its record, in the order of idleness", async () => {
    const { pool, server, given } = tracedPool({ poolSize: 2 });
    const [first, second] = await connects(pool, 2);
    const records = [second.record, first.record];
    await second.close();
    await first.close();
    await pool.dispose();
    expect(given("close event").map(([connection]) => connection.id)).to.deep.equal([2, 1]);
    expect(given("close event").map(([, record]) => record)).to.have.ordered.members(records);
    expect(server.live).to.equal(0);
  });

  test("191 closes that fail while the pool is disposed of are reported, each, and the others go on", async () => {
    const { pool, server, given } = tracedPool({ poolSize: 3 });
    for (const lease of await connects(pool, 3)) await lease.close();
    server.script.close = ({ id }) => (id === 2 ? undefined : Promise.reject(gone));
    await pool.dispose();
    expect(server.live).to.equal(0);
    expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal(
      Array.from({ length: 2 }, () => [gone, "close"]),
    );
  });

  test("dispose fires nothing for an emptied slot", async () => {
    const { pool, lease, steps } = await leased();
    await lease.invalidate();
    steps();
    await pool.dispose();
    expect(steps()).to.deep.equal([]);
  });

  test("the pool's own close() fires close for idle connections, and for the leases that come back", async () => {
    const { pool, steps } = tracedPool({ poolSize: 2 });
    const [first, second] = await connects(pool, 2);
    await first.close();
    steps();
    const closed = pool.close();
    expect(steps()).to.deep.equal(["close event 1", "close 1"]);
    await second.close();
    await closed;
    expect(steps()).to.deep.equal(["reset 2", "rollback 2", "checkin 2", "close event 2", "close 2"]);
  });
};
