// SingletonThreadPool: one connection for the isolate. Nested connect() calls share it; only the outermost is a
// checkout with a ping and listeners. What it shares with StaticPool: shared-connection.mjs.

import { expect } from "chai";
import { ArgumentError, DisconnectionError, SingletonThreadPool } from "edgepool";
import { connects, expectSound, gate, isWorkers, pass, rejection, settled, stateOf, thrown } from "./scripted.mjs";
import { newCalls, pings, scriptedKind, traced } from "./scripted-kind.mjs";

const down = new Error("down");
const enough = new Error("enough");

export default (test) => {
  test("231 a nested connect() shares the connection; only the outer close rolls back, once", async () => {
    const context = traced(scriptedKind(SingletonThreadPool));
    const { pool } = context;
    const outer = await pool.connect();
    newCalls(context);
    const inner = await pool.connect();
    expect(inner).to.not.equal(outer);
    expect([inner.connection === outer.connection, inner.record === outer.record]).to.deep.equal([true, true]);
    await inner.close();
    expect(newCalls(context)).to.deep.equal([]);
    expect([outer.isValid, inner.isValid]).to.deep.equal([true, false]);
    await outer.close();
    expect(newCalls(context)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1"]);
    await expectSound(context);
  });

  test("only the outermost connect() pings and runs the checkout listeners", async () => {
    const context = traced(scriptedKind(SingletonThreadPool, { prePing: true, dialect: pings }));
    const { pool } = context;
    await (await pool.connect()).close();
    newCalls(context);
    const outer = await pool.connect();
    expect(newCalls(context)).to.deep.equal(["ping 1", "on checkout 1"]);
    const inner = await connects(pool, 3);
    expect(newCalls(context)).to.deep.equal([]);
    expect(pool.stats().checkouts).to.be.at.least(2);
    // The connection is out as long as one of them has it, whichever came first.
    await outer.close();
    const another = await pool.connect();
    expect(newCalls(context)).to.deep.equal([]);
    for (const lease of [...inner, another]) await lease.close();
    expect(newCalls(context)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1"]);
    await (await pool.connect()).close();
    expect(newCalls(context).slice(0, 2)).to.deep.equal(["ping 1", "on checkout 1"]);
    await expectSound(context);
  });

  test("a caller during the outermost checkout waits for its ping and listeners, then shares", async () => {
    const context = scriptedKind(SingletonThreadPool);
    const { pool } = context;
    const listening = gate();
    let calls = 0;
    pool.on("checkout", () => (calls++, listening.promise));
    const outer = pool.connect();
    const inner = pool.connect();
    await settled();
    expect([calls, await stateOf(inner)]).to.deep.equal([1, "pending"]);
    listening.open();
    expect([(await outer).connection.id, (await inner).connection.id, calls]).to.deep.equal([1, 1, 1]);
    await (await outer).close();
    await (await inner).close();
    await expectSound(context);
  });

  test("when the outermost checkout fails, the next in line is the outermost, with a new connection", async () => {
    for (const event of ["checkout", "connect"]) {
      const context = scriptedKind(SingletonThreadPool);
      const { pool } = context;
      const listening = gate();
      const shown = [];
      pool.on(event, (connection) => {
        shown.push(connection.id);
        return connection.id === 1 ? listening.promise : undefined;
      });
      const outer = rejection(pool.connect());
      const inner = pool.connect();
      await settled();
      listening.fail(down);
      expect(await outer, event).to.equal(down);
      expect((await inner).connection.id, event).to.equal(2);
      expect(shown, event).to.deep.equal([1, 2]);
      await (await inner).close();
      await expectSound(context, event);
    }
  });

  test("when the outermost checkout is aborted in its listener, the next in line is served", async () => {
    const context = scriptedKind(SingletonThreadPool);
    const { pool } = context;
    const listening = gate();
    pool.on("checkout", () => listening.promise, { once: true });
    const controller = new AbortController();
    const outer = rejection(pool.connect({ signal: controller.signal }));
    await settled();
    const inner = pool.connect();
    controller.abort(enough);
    expect(await outer).to.equal(enough);
    listening.open();
    const lease = await inner;
    expect(lease.connection.closed).to.equal(0);
    await lease.close();
    await expectSound(context);
  });

  test("a DisconnectionError in the outermost checkout gives all that came the new connection", async () => {
    const context = scriptedKind(SingletonThreadPool);
    const { pool, server } = context;
    pool.on("checkout", async ({ id }) => {
      await settled(3);
      if (id === 1) throw new DisconnectionError("dead");
    });
    const leases = await connects(pool, 3);
    expect(leases.map(({ connection }) => connection.id)).to.deep.equal([2, 2, 2]);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
    for (const lease of leases) await lease.close();
    await expectSound(context);
  });

  test("233 an invalidation while nested ends it for the next: another lease and connection", async () => {
    const context = traced(scriptedKind(SingletonThreadPool));
    const { pool } = context;
    const outer = await pool.connect();
    const inner = await pool.connect();
    await inner.invalidate(down);
    newCalls(context);
    const next = await pool.connect();
    expect(next.connection.id).to.equal(2);
    expect(newCalls(context)).to.deep.equal(["open", "on connect 2", "on checkout 2"]);
    await outer.close();
    expect([next.isValid, next.connection.closed]).to.deep.equal([true, 0]);
    await next.close();
    await expectSound(context);
  });

  test("size is a number, 5 unless poolSize says otherwise, and recreate() carries it", async () => {
    expect(new SingletonThreadPool(() => ({})).size).to.equal(5);
    expect(new SingletonThreadPool(() => ({}), { poolSize: undefined }).size).to.equal(5);
    for (const poolSize of [1, 3]) {
      const pool = new SingletonThreadPool(() => ({}), { poolSize });
      expect([pool.size, pool.recreate().size]).to.deep.equal([poolSize, poolSize]);
    }
  });

  test("a poolSize below 1, or no whole number, is refused", async () => {
    for (const [poolSize, shown] of [
      [0, "0"],
      [-1, "-1"],
      [1.5, "1.5"],
      [NaN, "NaN"],
      ["5", '"5"'],
      [null, "null"],
    ]) {
      const error = thrown(() => new SingletonThreadPool(() => ({}), { poolSize }));
      expect(error, shown).to.be.instanceOf(ArgumentError);
      expect(error.message).to.contain("poolSize").and.to.contain(`it is ${shown}`).and.to.contain("1 or more");
    }
  });

  if (!isWorkers) {
    test("poolSize scopes keep a connection: of more the one that is idle for longest is closed", async () => {
      const key = { current: {} };
      const { pool, server } = scriptedKind(SingletonThreadPool, { poolSize: 2, scope: () => key.current });
      const keys = Array.from({ length: 50 }, () => ({}));
      for (const each of keys) {
        key.current = each;
        await pool.use(() => {});
        await settled();
        expect(server.live).to.be.at.most(2);
      }
      const opened = pool.stats().opened;
      for (const each of keys.slice(-2)) {
        key.current = each;
        await pool.use(() => {});
      }
      expect(pool.stats().opened, "the two that were used last have kept theirs").to.equal(opened);
      key.current = keys[0];
      await pool.use(() => {});
      await settled();
      expect([pool.stats().opened, server.live]).to.deep.equal([opened + 1, 2]);
      await pool.close();
      expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
    });

    test("connections in use do not count against poolSize, and the surplus closes as they come back", async () => {
      const key = { current: {} };
      const { pool, server } = scriptedKind(SingletonThreadPool, { poolSize: 2, scope: () => key.current });
      const leases = [];
      for (let i = 0; i < 10; i++) {
        key.current = {};
        leases.push([key.current, await pool.connect()]);
      }
      expect(server.live, "no caller waits for another scope").to.equal(10);
      for (const [own, lease] of leases) {
        key.current = own;
        await lease.close();
      }
      await settled();
      expect(server.live).to.equal(2);
      await pool.close();
      expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
    });
  }

  test("a poolSize of 1 is enough for callers that share: none of them waits", async () => {
    const { pool } = scriptedKind(SingletonThreadPool, { poolSize: 1 });
    const leases = await connects(pool, 20);
    expect(new Set(leases.map(({ connection }) => connection.id)).size).to.equal(1);
    expect(pool.stats()).to.include({ total: 1, used: 1, waiting: 0 });
  });

  test("dispose() closes the connection, and the next connect() is a first one again", async () => {
    const context = traced(scriptedKind(SingletonThreadPool));
    const { pool } = context;
    await (await pool.connect()).close();
    newCalls(context);
    await pool.dispose();
    expect(newCalls(context)).to.deep.equal(["on close 1", "close 1"]);
    const lease = await pool.connect();
    expect(newCalls(context)).to.deep.equal(["open", "on connect 2", "on checkout 2"]);
    await lease.close();
    await expectSound(context);
  });

  test("a stale connection serves its nested callers to the end; the next outermost one replaces it", async () => {
    for (const makeStale of [
      ({ outer }) => outer.invalidate(undefined, { soft: true }),
      ({ pool }) => pool.invalidateAll(),
      ({ clock }) => pass(clock, 61_000),
    ]) {
      const context = scriptedKind(SingletonThreadPool, { recycle: 60 });
      const outer = await context.pool.connect();
      await makeStale({ ...context, outer });
      const nested = await context.pool.connect();
      expect(nested.connection).to.equal(outer.connection);
      await nested.close();
      await outer.close();
      const next = await context.pool.connect();
      expect(next.connection.id).to.equal(2);
      await next.close();
      await expectSound(context);
    }
  });
};
