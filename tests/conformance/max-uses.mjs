// maxUses: after so many uses a connection is closed politely at its return, and the next caller has a new one.

import { expect } from "chai";
import { connects, expectSound, gate, never, pass, scriptedPool, stateOf } from "./scripted.mjs";
import { newCalls, traced } from "./scripted-kind.mjs";

/** The numbers of the connections that so many callers in turn have. */
async function usedBy(pool, callers) {
  const ids = [];
  for (let caller = 0; caller < callers; caller++) ids.push(await pool.use(({ id }) => id));
  return ids;
}

export default (test) => {
  test("the last use ends with a reset, a return and a polite close", async () => {
    const context = traced(scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses: 2 }));
    const { pool } = context;
    await pool.use(() => {});
    newCalls(context);
    await pool.use(() => {});
    expect(newCalls(context)).to.deep.equal([
      "on checkout 1",
      "on reset 1",
      "rollback 1",
      "on checkin 1",
      "on close 1",
      "close 1",
    ]);
    expect(pool.stats()).to.include({ total: 0, idle: 0, invalidated: 0, recycled: 0 });
    await expectSound(context);
  });

  test("each connection is used as often as that, and no more", async () => {
    for (const [maxUses, expected] of [
      [1, [1, 2, 3, 4, 5, 6]],
      [2, [1, 1, 2, 2, 3, 3]],
      [3, [1, 1, 1, 2, 2, 2]],
    ]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses });
      expect(await usedBy(context.pool, 6), String(maxUses)).to.deep.equal(expected);
      expect(context.server.live, String(maxUses)).to.equal(0);
      await expectSound(context, String(maxUses));
    }
  });

  test("without maxUses, or with Infinity, a connection is used without end", async () => {
    for (const maxUses of [undefined, Infinity]) {
      const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses });
      await usedBy(pool, 500);
      expect(server.connections).to.have.length(1);
    }
  });

  test("it counts uses, not time or other connections'", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 2, maxOverflow: 0, maxUses: 3 });
    const [first, second] = await connects(pool, 2);
    await first.close();
    await pass(clock, 1_000_000);
    await (await pool.connect()).close();
    await second.close();
    expect(server.live).to.equal(2);
    expect(await usedBy(pool, 3)).to.deep.equal([1, 2, 2]);
    expect(server.live).to.equal(0);
  });

  test("uses count on when a waiter has the connection straight from another's return", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses: 2 });
    const { pool, server } = context;
    const lease = await pool.connect();
    const waiters = Array.from({ length: 3 }, () => pool.connect());
    const seen = [];
    let held = lease;
    for (const waiter of waiters) {
      await held.close();
      held = await waiter;
      seen.push(held.connection.id);
    }
    expect(seen).to.deep.equal([1, 2, 2]);
    expect(server.live).to.equal(1);
    await held.close();
    expect(server.live).to.equal(0);
    await expectSound(context);
  });

  test("the server never has more than the maximum: a waiter is served when the close has ended", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses: 1 });
    const { pool, server } = context;
    const closing = gate();
    server.script.close = () => closing.promise;
    const closed = (await pool.connect()).close();
    const caller = pool.connect();
    expect([await stateOf(caller), server.connections.length]).to.deep.equal(["pending", 1]);
    closing.open();
    await closed;
    expect((await caller).connection.id).to.equal(2);
    await (await caller).close();
    await expectSound(context);
  });

  test("a close that fails or hangs costs no slot", async () => {
    for (const close of [() => Promise.reject(new Error("down")), never]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses: 1, driverTimeout: "2s" });
      const { pool, server, clock, log } = context;
      server.script.close = ({ id }) => (id === 1 ? close() : undefined);
      const closed = (await pool.connect()).close();
      const next = pool.connect();
      await pass(clock, 3_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect((await next).connection.id).to.equal(2);
      expect(log.errors).to.have.length(1);
      await (await next).close();
      await expectSound(context);
    }
  });

  test("a connection that is replaced in its slot starts from none", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses: 3 });
    await usedBy(pool, 2);
    pool.invalidateAll();
    expect(await usedBy(pool, 4)).to.deep.equal([2, 2, 2, 3]);
    const lease = await pool.connect();
    await lease.invalidate();
    expect(await usedBy(pool, 4)).to.deep.equal([4, 4, 4, 5]);
    expect(server.closedTwice).to.equal(0);
  });

  test("a last use that does not return: invalidated it is terminated, detached its holder's", async () => {
    const context = traced(scriptedPool({ poolSize: 2, maxOverflow: 0, maxUses: 1 }));
    const { pool, server } = context;
    const [first, second] = await connects(pool, 2);
    await first.invalidate();
    await second.detach();
    expect([server.connections[0].closed, second.connection.closed]).to.deep.equal([1, 0]);
    newCalls(context);
    await second.close();
    expect(newCalls(context)).to.deep.equal([
      "on reset 2 terminateOnly",
      "rollback 2",
      "on closeDetached 2",
      "close 2",
    ]);
    await expectSound(context);
  });

  test("opening by warm() is no use", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses: 2 });
    await pool.warm();
    expect(await usedBy(pool, 3)).to.deep.equal([1, 1, 2]);
  });

  test("recreate() carries it", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, maxUses: 2 });
    expect(await usedBy(pool.recreate(), 3)).to.deep.equal([1, 1, 2]);
  });
};
