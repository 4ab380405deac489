// Connections that are not to be trusted any more: hard (terminated now), soft (replaced at the next checkout),
// pool-wide (every one as old), and invalidateAll().

import { expect } from "chai";
import {
  connects,
  counts,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
} from "./scripted.mjs";

const gone = new Error("gone");

/** The numbers of these leases' connections, in ascending order. */
function ids(leases) {
  return leases.map(({ connection }) => connection.id).toSorted((left, right) => left - right);
}

/** Checks `count` connections out at once and returns them. */
async function returned(pool, count) {
  for (const lease of await connects(pool, count)) await lease.close();
}

export default (test) => {
  test("151 after a return the next caller has the same connection, after an invalidation another one", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await (await pool.connect()).close();
    const same = await pool.connect();
    expect(same.connection.id).to.equal(1);
    await same.invalidate(gone);
    expect((await pool.connect()).connection.id).to.equal(2);
    expect(server.connections[0].closed).to.equal(1);
  });

  test("a hard invalidation terminates at once, without a reset, and ends the lease", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const invalidated = lease.invalidate(gone);
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
    expect([lease.isValid, lease.isDetached, lease.record]).to.deep.equal([false, true, null]);
    await invalidated;
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats()).to.include({ idle: 0, total: 0, invalidated: 1 });
  });

  test("its slot is taken until the termination has ended: the server never has more than the maximum", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const termination = gate();
    server.script.terminate = () => termination.promise;
    const lease = await pool.connect();
    const invalidated = lease.invalidate();
    const waiter = pool.connect();
    expect(await stateOf(invalidated)).to.equal("pending");
    expect(server.connections).to.have.length(1);
    termination.open();
    expect((await waiter).connection.id).to.equal(2);
    await invalidated;
    await (await waiter).close();
    await expectSound(context);
  });

  test("167 a termination that fails is logged; invalidate() resolves and the slot goes on", async () => {
    for (const terminate of [() => Promise.reject(gone), () => thrower(gone)]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const { pool, server, log } = context;
      server.script.terminate = terminate;
      const lease = await pool.connect();
      await lease.invalidate();
      await lease.close();
      expect(log.errors).to.deep.equal([gone]);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
      expect((await pool.connect()).connection.id).to.equal(2);
    }
  });

  test("a termination that hangs is given driverTimeout", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s" });
    const { pool, server, clock } = context;
    server.script.terminate = never;
    const invalidated = (await pool.connect()).invalidate();
    const waiter = pool.connect();
    await pass(clock, 6_000);
    expect(await stateOf(invalidated)).to.equal("fulfilled");
    expect((await waiter).connection.id).to.equal(2);
    await (await waiter).close();
    await expectSound(context);
  });

  test("a surplus slot that was invalidated ends", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const [first, second] = await connects(pool, 2);
    await first.invalidate();
    await second.invalidate();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats().total).to.equal(0);
  });

  test("153 a soft invalidation leaves the connection open and the lease as it is", async () => {
    for (const error of [undefined, gone]) {
      const { pool, server } = scriptedPool();
      const lease = await pool.connect();
      await lease.invalidate(error, { soft: true });
      expect(server.calls).to.deep.equal(["open"]);
      expect([lease.isValid, lease.isDetached]).to.deep.equal([true, false]);
      expect(lease.connection).to.equal(server.connections[0]);
      expect(pool.stats()).to.include({ used: 1, invalidated: 0 });
    }
  });

  test("154 after a soft invalidation the same slot gets another connection at its next checkout", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const { record } = lease;
    await lease.invalidate(undefined, { soft: true });
    await lease.close();
    expect(record.connection, "kept until then").to.equal(server.connections[0]);
    expect(pool.stats()).to.include({ idle: 1, recycled: 0 });
    const next = await pool.connect();
    expect(next.record).to.equal(record);
    expect(next.connection.id).to.equal(2);
    expect(pool.stats().recycled).to.equal(1);
    await next.close();
    expect((await pool.connect()).connection.id, "and is fresh again").to.equal(2);
  });

  test("a soft invalidation counts for a waiter, too", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const waiter = pool.connect();
    await lease.invalidate(undefined, { soft: true });
    await lease.close();
    expect((await waiter).connection.id).to.equal(2);
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1", "open"]);
  });

  test("155 an invalidation with pool: true terminates this connection and marks every one as old", async () => {
    const { pool, server } = scriptedPool({ poolSize: 3 });
    const [first, second, third] = await connects(pool, 3);
    await third.close();
    await first.invalidate(gone, { pool: true });
    expect(
      server.connections.map(({ closed }) => closed),
      "the others only when they are wanted",
    ).to.deep.equal([1, 0, 0]);
    expect(second.isValid).to.equal(true);
    await second.close();
    expect(ids(await connects(pool, 3))).to.deep.equal([4, 5, 6]);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1, 1, 0, 0, 0]);
  });

  test("soft and pool together: the lease goes on, and every connection as old is replaced", async () => {
    const { pool } = scriptedPool({ poolSize: 2 });
    const [first, second] = await connects(pool, 2);
    await first.invalidate(gone, { soft: true, pool: true });
    expect(first.isValid).to.equal(true);
    await first.close();
    await second.close();
    expect(ids(await connects(pool, 2))).to.deep.equal([3, 4]);
  });

  test("161 a stale connection is terminated, not closed politely", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await returned(pool, 1);
    pool.invalidateAll();
    await pool.connect();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1", "open"]);
  });

  test("162 an invalidation in the same instant as the opening counts", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    await lease.invalidate(undefined, { soft: true });
    await lease.close();
    const next = await pool.connect();
    expect(next.connection.id).to.equal(2);
    pool.invalidateAll();
    await next.close();
    expect((await pool.connect()).connection.id).to.equal(3);
    expect(clock.now).to.equal(0);
  });

  test("165 invalidations compare no times, so that a clock that jumps back changes nothing", async () => {
    let now = 10_000;
    let due = 0;
    const clock = { now: () => now, setTimeout: () => ++due, clearTimeout() {} };
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, clock });
    await returned(pool, 1);
    pool.invalidateAll();
    now = 0;
    for (let round = 0; round < 3; round++) await returned(pool, 1);
    expect(pool.stats()).to.include({ opened: 2, recycled: 1 });
  });

  test("163 what was opened since the invalidation is kept when another old connection reports the same", async () => {
    const { pool } = scriptedPool({ poolSize: 3 });
    const [first, second] = await connects(pool, 2);
    await first.invalidate(gone, { pool: true });
    const fresh = await pool.connect();
    expect(fresh.connection.id).to.equal(3);
    await second.invalidate(gone, { pool: true });
    await fresh.close();
    expect(ids(await connects(pool, 3))).to.deep.equal([3, 4, 5]);
  });

  test("164 fifteen connections that all report one disconnect are replaced once each", async () => {
    const context = scriptedPool({ poolSize: 20, maxOverflow: 0 });
    const { pool, server } = context;
    const terminations = [];
    server.script.terminate = () => (terminations.push(gate()), terminations.at(-1).promise);
    const leases = await connects(pool, 15);
    for (const lease of leases.splice(0, 7)) await lease.close();
    const users = leases.map(async (lease, number) => {
      await settled(number * 7);
      await lease.invalidate(gone, { pool: true });
    });
    await settled(30);
    const reconnected = Array.from({ length: 15 }, () => pool.connect());
    for (let round = 0; round < 50; round++) {
      await settled(3);
      terminations.shift()?.open();
    }
    await Promise.all(users);
    const fresh = await Promise.all(reconnected);
    expect(ids(fresh)).to.deep.equal(Array.from({ length: 15 }, (_, number) => 16 + number));
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([...Array(15).fill(1), ...Array(15).fill(0)]);
    for (const lease of fresh) await lease.close();
    await expectSound(context);
  });

  test("169 a disconnect in use: its connection goes at once, the idle one at its next checkout", async () => {
    const { pool, server } = scriptedPool({ poolSize: 2, dialect: { isDisconnect: (error) => error === gone } });
    await returned(pool, 2);
    await rejection(pool.use(() => Promise.reject(gone)));
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
    const [first, second] = await connects(pool, 2);
    expect(ids([first, second])).to.deep.equal([3, 4]);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1, 0, 0]);
    await first.close();
    expect((await pool.connect()).connection).to.equal(server.connections[2]);
    await second.close();
  });

  test("invalidateAll() replaces idle and leased connections at their next checkout, no later ones", async () => {
    const { pool, server } = scriptedPool({ poolSize: 3 });
    const [first, second] = await connects(pool, 2);
    await second.close();
    pool.invalidateAll();
    expect(server.live).to.equal(2);
    expect(first.isValid).to.equal(true);
    const fresh = await pool.connect();
    await first.close();
    const others = await connects(pool, 2);
    expect(ids([fresh, ...others])).to.deep.equal([3, 4, 5]);
    for (const lease of [fresh, ...others]) await lease.close();
    expect(ids(await connects(pool, 3))).to.deep.equal([3, 4, 5]);
  });

  test("a connection whose opening began before invalidateAll() is replaced at its next checkout", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    pool.invalidateAll();
    server.script = {};
    opening.open();
    const lease = await caller;
    expect(lease.connection.id).to.equal(1);
    await lease.close();
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("invalidateAll() while a stale connection is being replaced: what is opened after it is fresh", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await returned(pool, 1);
    pool.invalidateAll();
    const termination = gate();
    server.script.terminate = () => termination.promise;
    const caller = pool.connect();
    pool.invalidateAll();
    server.script = {};
    termination.open();
    await (await caller).close();
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("invalidateAll() on an empty or a closed pool does nothing", async () => {
    const { pool, server } = scriptedPool();
    pool.invalidateAll();
    await returned(pool, 1);
    expect((await pool.connect()).connection.id).to.equal(1);
    await pool.close({ timeout: "0s" });
    pool.invalidateAll();
    expect(server.live).to.equal(0);
  });

  test("a stale connection whose termination fails or hangs is replaced anyway", async () => {
    for (const terminate of [() => thrower(gone), () => Promise.reject(gone), never]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s" });
      const { pool, server, clock, log } = context;
      await returned(pool, 1);
      pool.invalidateAll();
      server.script.terminate = terminate;
      const caller = pool.connect();
      await pass(clock, 6_000);
      expect((await caller).connection.id).to.equal(2);
      expect(log.of("error")).to.have.length(1);
      await (await caller).close();
      await expectSound(context);
    }
  });

  test("when the new connection cannot be opened its caller is refused, and the slot waits empty", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await returned(pool, 1);
    pool.invalidateAll();
    server.script.open = () => Promise.reject(gone);
    expect(await rejection(pool.connect())).to.equal(gone);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats()).to.include({ idle: 0, total: 0, openFailed: 1 });
    server.script = {};
    expect((await pool.connect()).connection.id).to.equal(2);
    expect(server.connections[0].closed).to.equal(1);
  });
};

function thrower(error) {
  throw error;
}
