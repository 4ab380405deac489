// NullPool: opens on every connect(), closes on every return, keeps nothing and bounds nothing.

import { expect } from "chai";
import { DisconnectionError, NullPool } from "edgepool";
import { connects, expectSound, gate, never, pass, rejection, settled, stateOf } from "./scripted.mjs";
import { newCalls, pings, scriptedKind, traced } from "./scripted-kind.mjs";

const down = new Error("down");

export default (test) => {
  test("215 connect, close, connect, invalidate, connect: three connections, none used twice", async () => {
    const context = scriptedKind(NullPool);
    const { pool, server } = context;
    await (await pool.connect()).close();
    await (await pool.connect()).invalidate();
    const third = await pool.connect();
    expect(third.connection.id).to.equal(3);
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1", "open", "terminate 2", "open"]);
    await third.close();
    await expectSound(context);
  });

  test("113 it never pings, whatever prePing says", async () => {
    const { pool, server } = scriptedKind(NullPool, { prePing: true, prePingAfterIdle: 0, dialect: pings });
    for (let round = 0; round < 3; round++) await (await pool.connect()).close();
    expect(server.calls.filter((call) => call.startsWith("ping"))).to.deep.equal([]);
    expect(server.connections).to.have.length(3);
  });

  test("217 a checkout listener that fails closes the connection and nothing of it is kept", async () => {
    const context = scriptedKind(NullPool);
    const { pool, server } = context;
    const remove = pool.on("checkout", () => {
      throw down;
    });
    for (let round = 0; round < 3; round++) expect(await rejection(pool.connect())).to.equal(down);
    expect(server.calls).to.deep.equal([1, 2, 3].flatMap((id) => ["open", `terminate ${id}`]));
    expect(pool.stats()).to.include({ total: 0, idle: 0, used: 0 });
    remove();
    await expectSound(context);
  });

  test("nothing is ever idle, and there is no maximum", async () => {
    const context = scriptedKind(NullPool);
    const { pool, server } = context;
    const leases = await connects(pool, 50);
    expect(new Set(leases.map(({ connection }) => connection.id)).size).to.equal(50);
    expect(pool.stats()).to.include({ total: 50, used: 50, idle: 0, waiting: 0, max: Infinity });
    for (const lease of leases) {
      await lease.close();
      expect(pool.stats().idle).to.equal(0);
    }
    expect(pool.stats()).to.include({ total: 0, checkouts: 50, opened: 50 });
    expect(server.live).to.equal(0);
    await expectSound(context);
  });

  test("a creator that hangs holds up no other caller", async () => {
    const context = scriptedKind(NullPool, { driverTimeout: "5s" });
    const { pool, server, clock } = context;
    server.script.open = never;
    const hanging = rejection(pool.connect());
    server.script = {};
    expect(await stateOf(pool.use(() => {}))).to.equal("fulfilled");
    await pass(clock, 6_000);
    expect((await hanging).code).to.equal("ERR_POOL_TIMEOUT");
    await expectSound(context);
  });

  test("a caller that comes while another's connection is reset or closed waits for neither", async () => {
    for (const call of ["rollback", "close"]) {
      const context = scriptedKind(NullPool);
      const { pool, server } = context;
      const blocked = gate();
      server.script[call] = ({ id }) => (id === 1 ? blocked.promise : undefined);
      const closed = (await pool.connect()).close();
      const next = await pool.connect();
      expect(next.connection.id, call).to.equal(2);
      expect(await stateOf(closed), call).to.equal("pending");
      blocked.open();
      await closed;
      await next.close();
      await expectSound(context, call);
    }
  });

  test("close() of a lease resolves when its connection is closed", async () => {
    const { pool, server } = scriptedKind(NullPool);
    const closing = gate();
    server.script.close = () => closing.promise;
    const closed = (await pool.connect()).close();
    await settled();
    expect([await stateOf(closed), pool.stats().closing]).to.deep.equal(["pending", 1]);
    closing.open();
    await closed;
    expect(pool.stats().total).to.equal(0);
  });

  test("a close that fails or hangs is reported, and the return resolves", async () => {
    for (const close of [() => Promise.reject(down), never]) {
      const context = traced(scriptedKind(NullPool, { driverTimeout: "5s" }));
      const { pool, server, clock, log } = context;
      server.script.close = close;
      const closed = (await pool.connect()).close();
      await pass(clock, 6_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect(newCalls(context).at(-1)).to.equal("on error close");
      expect(log.errors).to.have.length(1);
      expect(pool.stats().total).to.equal(0);
      await expectSound(context);
    }
  });

  test("every lease has a record of its own, with nothing in it", async () => {
    const { pool } = scriptedKind(NullPool);
    const [first, second] = await connects(pool, 2);
    expect(first.record).to.not.equal(second.record);
    first.recordInfo.own = 1;
    const { record } = first;
    await first.close();
    const third = await pool.connect();
    expect([third.recordInfo, third.record === record]).to.deep.equal([{}, false]);
    expect([record.connection, record.inUse]).to.deep.equal([null, false]);
  });

  test("recycle 0 replaces nothing: what was opened in the same checkout has no age", async () => {
    const { pool, server, clock } = scriptedKind(NullPool, { recycle: 0 });
    server.script.open = () => new Promise((resolve) => clock.setTimeout(resolve, 2_000));
    const caller = pool.connect();
    clock.tick(2_000);
    await (await caller).close();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
    expect(pool.stats().recycled).to.equal(0);
  });

  test("dispose() closes nothing that is out, and needs not wait", async () => {
    const { pool, server } = scriptedKind(NullPool);
    const leases = await connects(pool, 3);
    await pool.dispose();
    expect(server.live).to.equal(3);
    for (const lease of leases) await lease.close();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1, 1]);
  });

  test("close() of the pool waits for every lease, and terminates those that do not come", async () => {
    const context = scriptedKind(NullPool);
    const { pool, server, clock } = context;
    const [first, second, third] = await connects(pool, 3);
    const closed = pool.close({ timeout: "2s" });
    await first.close();
    await second.close();
    expect(await stateOf(closed)).to.equal("pending");
    await pass(clock, 2_500);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect(server.calls.slice(-1)).to.deep.equal(["terminate 3"]);
    await third.close();
    await expectSound(context);
  });

  test("of many concurrent openers one runs its connect listeners first, then the others theirs", async () => {
    const { pool } = scriptedKind(NullPool);
    const first = gate();
    const running = [];
    pool.on("connect", ({ id }) => {
      running.push(id);
      return running.length === 1 ? first.promise : undefined;
    });
    const callers = Array.from({ length: 3 }, () => pool.connect());
    await settled();
    expect(running).to.have.length(1);
    first.open();
    await Promise.all(callers);
    expect(running.toSorted()).to.deep.equal([1, 2, 3]);
  });

  test("a DisconnectionError with invalidatePool: true costs other leases nothing", async () => {
    const context = scriptedKind(NullPool);
    const { pool, server } = context;
    const other = await pool.connect();
    pool.on("checkout", ({ id }) => {
      if (id === 2) throw new DisconnectionError("dead", { invalidatePool: true });
    });
    const lease = await pool.connect();
    expect([lease.connection.id, other.isValid, server.connections[0].closed]).to.deep.equal([3, true, 0]);
    await other.close();
    await lease.close();
    await expectSound(context);
  });
};
