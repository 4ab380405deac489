// StaticPool: exactly one connection. Each connect() is a checkout of its own, with a ping and the checkout listeners,
// if another caller has the connection at that time. What it shares with SingletonThreadPool: shared-connection.mjs.

import { expect } from "chai";
import { DisconnectionError, StaticPool } from "edgepool";
import { connects, expectSound, gate, rejection, settled } from "./scripted.mjs";
import { newCalls, pings, scriptedKind, traced } from "./scripted-kind.mjs";

const down = new Error("down");

export default (test) => {
  test("219 close and connect gives the same connection, in the same record", async () => {
    const context = scriptedKind(StaticPool);
    const { pool, server } = context;
    const first = await pool.connect();
    const { record } = first;
    await first.close();
    const second = await pool.connect();
    expect(second.connection).to.equal(server.connections[0]);
    expect(second.record).to.equal(record);
    expect(pool.stats()).to.include({ opened: 1, checkouts: 2, total: 1 });
    await second.close();
    await expectSound(context);
  });

  test("each connect() runs the checkout listeners with its own lease, also while sharing", async () => {
    const { pool } = scriptedKind(StaticPool);
    const shown = [];
    pool.on("checkout", (connection, record, lease) => shown.push([connection.id, record, lease]));
    const leases = await connects(pool, 3);
    expect(shown).to.have.length(3);
    expect(shown.map(([id]) => id)).to.deep.equal([1, 1, 1]);
    expect(shown.map(([, , lease]) => lease)).to.have.members(leases);
    expect(shown.every(([, record]) => record === leases[0].record)).to.equal(true);
  });

  test("each connect() pings what was opened before, also while the connection is shared", async () => {
    const context = traced(scriptedKind(StaticPool, { prePing: true, dialect: pings }));
    const { pool } = context;
    const first = await pool.connect();
    expect(newCalls(context)).to.deep.equal(["open", "on firstConnect 1", "on connect 1", "on checkout 1"]);
    const second = await pool.connect();
    expect(newCalls(context)).to.deep.equal(["ping 1", "on checkout 1"]);
    await first.close();
    await second.close();
    await expectSound(context);
  });

  test("a ping that finds the shared connection dead gives this caller a new one, and no other", async () => {
    const context = scriptedKind(StaticPool, { prePing: true, dialect: pings });
    const { pool, server } = context;
    const first = await pool.connect();
    server.script.ping = ({ id }) => id !== 1;
    const second = await pool.connect();
    expect(second.connection.id).to.equal(2);
    expect(first.isValid).to.equal(true);
    await first.close();
    expect([second.isValid, second.connection.closed, server.calls.includes("rollback 2")]).to.deep.equal([
      true,
      0,
      false,
    ]);
    await second.close();
    expect(server.connections[0].closed).to.equal(1);
    await expectSound(context);
  });

  test("a checkout listener that fails for one sharer is that caller's error alone", async () => {
    for (const error of [down, new DisconnectionError("dead")]) {
      const context = scriptedKind(StaticPool);
      const { pool, server } = context;
      const first = await pool.connect();
      pool.on("checkout", () => Promise.reject(error), { once: true });
      if (error === down) expect(await rejection(pool.connect())).to.equal(down);
      else await (await pool.connect()).close();
      const next = await pool.connect();
      expect([next.connection.id, next.connection.closed]).to.deep.equal([2, 0]);
      await first.close();
      expect([next.isValid, next.connection.closed]).to.deep.equal([true, 0]);
      await next.close();
      expect(server.connections[0].closed).to.equal(1);
      await expectSound(context);
    }
  });

  test("222 stale by an invalidation without a lease, the connection is replaced and closed", async () => {
    for (const soft of [true, false]) {
      const context = traced(scriptedKind(StaticPool));
      const { pool, server } = context;
      const lease = await pool.connect();
      if (soft) await lease.invalidate(undefined, { soft: true });
      await lease.close();
      if (!soft) newCalls(context);
      if (!soft) pool.invalidateAll();
      expect((await pool.connect()).connection.id).to.equal(2);
      expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
      const calls = newCalls(context);
      expect(calls.slice(-3)).to.deep.equal(["open", "on connect 2", "on checkout 2"]);
      if (!soft) expect(calls.slice(0, -3)).to.deep.equal(["on close 1", "terminate 1"]);
    }
  });

  test("223 past its age the connection is closed and opened again in the same record", async () => {
    const { pool, clock } = scriptedKind(StaticPool, { recycle: 10 });
    const first = await pool.connect();
    const { record } = first;
    await first.close();
    clock.tick(10_001);
    const second = await pool.connect();
    expect([second.connection.id, second.record === record]).to.deep.equal([2, true]);
  });

  test("225 dispose() closes, at the return if a lease is out; connect() opens again", async () => {
    const context = scriptedKind(StaticPool);
    const { pool, server } = context;
    await pool.dispose();
    await (await pool.connect()).close();
    await pool.dispose();
    await pool.dispose();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
    const lease = await pool.connect();
    expect(lease.connection.id).to.equal(2);
    await pool.dispose();
    const next = await pool.connect();
    expect([lease.connection.closed, next.connection.id]).to.deep.equal([0, 3]);
    await lease.close();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1, 0]);
    await next.close();
    await expectSound(context);
  });

  test("a caller that comes while another's checkout listener runs needs not wait for it", async () => {
    const context = scriptedKind(StaticPool);
    const { pool } = context;
    const first = await pool.connect();
    const listening = gate();
    pool.on("checkout", () => listening.promise, { once: true });
    const slow = pool.connect();
    const quick = await pool.connect();
    await quick.close();
    await first.close();
    await settled();
    listening.open();
    const lease = await slow;
    expect([lease.isValid, lease.connection.id, lease.connection.closed]).to.deep.equal([true, 1, 0]);
    await lease.close();
    await expectSound(context);
  });

  test("an abort in a checkout listener refuses its caller at once and costs no other a connection", async () => {
    const context = scriptedKind(StaticPool);
    const { pool } = context;
    const enough = new Error("enough");
    const first = await pool.connect();
    const listening = gate();
    pool.on("checkout", () => listening.promise, { once: true });
    const controller = new AbortController();
    const caller = rejection(pool.connect({ signal: controller.signal }));
    controller.abort(enough);
    expect(await caller).to.equal(enough);
    listening.open();
    const next = await pool.connect();
    expect(next.connection.closed).to.equal(0);
    await first.close();
    expect([next.isValid, next.connection.closed]).to.deep.equal([true, 0]);
    await next.close();
    await expectSound(context);
  });
};
