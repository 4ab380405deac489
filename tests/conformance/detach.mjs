// detach(): the connection leaves the pool for good and is its caller's own.

import { expect } from "chai";
import { InvalidRequestError } from "edgepool";
import { counts, expectSound, gate, never, pass, scriptedPool, stateOf } from "./scripted.mjs";

export default (test) => {
  test("178 the slot is free at once, and the connection is closed once, when its lease is", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    await lease.detach();
    const next = await pool.connect();
    expect(next.connection.id).to.equal(2);
    expect(server.connections[0].closed).to.equal(0);
    await lease.close();
    await lease.close();
    expect(server.connections[0].closed).to.equal(1);
    expect(server.connections[1].closed).to.equal(0);
  });

  test("179 detach() neither returns nor resets; the slot is idle and empty, the lease valid", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const { record } = lease;
    await lease.detach();
    expect(server.calls).to.deep.equal(["open"]);
    expect([lease.isValid, lease.isDetached, lease.record, lease.recordInfo]).to.deep.equal([true, true, null, null]);
    expect(lease.connection).to.equal(server.connections[0]);
    expect([record.connection, record.inUse]).to.deep.equal([null, false]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats()).to.include({ used: 0, idle: 0, total: 0, detached: 1 });
  });

  test("031 five in a row: five connections are open, and the pool has none of them", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const leases = [];
    for (let number = 0; number < 5; number++) {
      const lease = await pool.connect();
      await lease.detach();
      leases.push(lease);
    }
    expect(server.live).to.equal(5);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats().detached).to.equal(5);
    for (const lease of leases) await lease.close();
    expect([server.live, pool.stats().detached]).to.deep.equal([0, 0]);
    await expectSound(context);
  });

  test("181 close() of a detached lease resets, then closes", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    await lease.detach();
    await lease.close();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
    expect(lease.isValid).to.equal(false);
    expect(() => lease.connection).to.throw(InvalidRequestError);
  });

  test("the reset of a detached connection follows resetOnReturn and inTransaction", async () => {
    const expected = [
      [{ resetOnReturn: "commit" }, ["commit 1", "close 1"]],
      [{ resetOnReturn: "none" }, ["close 1"]],
      [{ dialect: { inTransaction: () => false } }, ["close 1"]],
    ];
    for (const [options, calls] of expected) {
      const { pool, server } = scriptedPool(options);
      const lease = await pool.connect();
      await lease.detach();
      await lease.close();
      expect(server.calls.slice(1)).to.deep.equal(calls);
    }
  });

  test("182 a hard invalidation of a detached lease terminates the connection", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const lease = await pool.connect();
    await lease.detach();
    const invalidated = lease.invalidate();
    expect(lease.close()).to.equal(invalidated);
    await invalidated;
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
    expect([lease.isValid, pool.stats().detached]).to.deep.equal([false, 0]);
    await expectSound(context);
  });

  test("an invalidation of a detached lease asks no inTransaction and warns of nothing", async () => {
    let asked = 0;
    const { pool, log } = scriptedPool({ dialect: { inTransaction: () => asked++ === 0 } });
    const lease = await pool.connect();
    await lease.detach();
    await lease.invalidate();
    expect([asked, log.lines]).to.deep.equal([0, []]);
  });

  test("183 a soft invalidation of a detached lease does nothing", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    await lease.detach();
    await lease.invalidate(undefined, { soft: true });
    expect(server.calls).to.deep.equal(["open"]);
    expect(lease.connection).to.equal(server.connections[0]);
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("185 a driver without terminate has its detached connection closed anyway", async () => {
    const calls = [];
    const dialect = {
      doRollback: async () => void calls.push("rollback"),
      doClose: async () => void calls.push("close"),
    };
    const { pool } = scriptedPool({ dialect });
    for (const end of ["close", "invalidate"]) {
      const lease = await pool.connect();
      await lease.detach();
      await lease[end]();
    }
    expect(calls).to.deep.equal(["rollback", "close", "close"]);
  });

  test("a reset that fails because the connection is dead is not reported", async () => {
    const dead = new Error("the server is gone");
    const context = scriptedPool({ dialect: { isDisconnect: (error) => error === dead } });
    const { pool, server, log } = context;
    const reported = [];
    pool.on("error", (error) => void reported.push(error));
    server.script.rollback = () => Promise.reject(dead);
    const lease = await pool.connect();
    await lease.detach();
    await lease.close();
    expect([reported, log.lines]).to.deep.equal([[], []]);
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
    await expectSound(context);
  });

  test("a reset that fails or hangs ends in a termination", async () => {
    for (const rollback of [() => Promise.reject(new Error("gone")), never]) {
      const context = scriptedPool({ driverTimeout: "5s" });
      const { pool, server, clock } = context;
      const lease = await pool.connect();
      await lease.detach();
      server.script.rollback = rollback;
      const closed = lease.close();
      await pass(clock, 6_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
      expect(pool.stats().detached).to.equal(0);
      await expectSound(context);
    }
  });

  test("a close that fails or hangs is logged; close() resolves", async () => {
    for (const close of [() => Promise.reject(new Error("gone")), never]) {
      const context = scriptedPool({ driverTimeout: "5s" });
      const { pool, server, clock, log } = context;
      const lease = await pool.connect();
      await lease.detach();
      server.script.close = close;
      const closed = lease.close();
      await pass(clock, 6_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect(log.of("error")).to.have.length(1);
      await expectSound(context);
    }
  });

  test("it counts as detached until it is closed", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    await lease.detach();
    const closing = gate();
    server.script.close = () => closing.promise;
    const closed = lease.close();
    expect(pool.stats().detached).to.equal(1);
    closing.open();
    await closed;
    expect(pool.stats().detached).to.equal(0);
  });

  test("063 the lease keeps a copy of info; the slot's next connection starts with an empty one", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    lease.info.prepared = true;
    await lease.detach();
    expect(lease.info).to.deep.equal({ prepared: true });
    const next = await pool.connect();
    expect([next.connection.id, next.info]).to.deep.equal([2, {}]);
    lease.info.late = true;
    expect(next.info).to.deep.equal({});
    await lease.close();
    expect(lease.info).to.deep.equal({ prepared: true, late: true });
  });

  test("065 recordInfo stays with the slot", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    lease.recordInfo.slot = "a";
    await lease.detach();
    expect([lease.recordInfo, lease.record]).to.deep.equal([null, null]);
    expect((await pool.connect()).recordInfo).to.deep.equal({ slot: "a" });
  });

  test("detach() again does nothing; on a lease that has ended it does nothing, either", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const lease = await pool.connect();
    await lease.detach();
    await lease.detach();
    expect(pool.stats().detached).to.equal(1);
    await lease.close();
    await lease.detach();
    const holder = await pool.connect();
    await lease.detach();
    expect(pool.stats()).to.include({ detached: 0, used: 1 });
    await holder.close();
    expect(server.connections[1].closed).to.equal(0);
    await expectSound(context);
  });

  test("a surplus slot ends when it is detached", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const first = await pool.connect();
    const second = await pool.connect();
    await first.detach();
    await second.detach();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("dispose, invalidateAll and the pool's close leave a detached connection alone", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    await lease.detach();
    await pool.dispose();
    pool.invalidateAll();
    await pool.close();
    expect(server.live).to.equal(1);
    expect(lease.connection).to.equal(server.connections[0]);
    await lease.close();
    expect(server.live).to.equal(0);
    expect(pool.stats().detached).to.equal(0);
  });

  test("detach() after the pool's close has terminated the lease does nothing", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    await pool.close({ timeout: "0s" });
    await lease.detach();
    await lease.close();
    expect([server.connections[0].closed, pool.stats().detached]).to.deep.equal([1, 0]);
  });
};
