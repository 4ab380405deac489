// dispose(): closes what is idle; leases go on and are closed at their return; the pool stays usable.

import { expect } from "chai";
import { connects, counts, expectSound, gate, never, pass, scriptedPool, settled, stateOf } from "./scripted.mjs";

/** A pool with so many idle connections. */
async function withIdle(count, options = {}) {
  const context = scriptedPool({ poolSize: count, maxOverflow: 0, ...options });
  for (const lease of await connects(context.pool, count)) await lease.close();
  context.server.calls.length = 0;
  return context;
}

export default (test) => {
  test("187 an idle connection is closed, one in use at its return, and the next caller has a new one", async () => {
    const { pool, server } = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const [first, second] = await connects(pool, 2);
    await first.close();
    await pool.dispose();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
    expect(second.connection).to.equal(server.connections[1]);
    await second.close();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1]);
    expect((await pool.connect()).connection.id).to.equal(3);
  });

  test("189 a lease from before still counts, so that the maximum holds", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    await pool.dispose();
    expect(counts(pool)).to.deep.equal([1, 0, 0, 1]);
    const waiter = pool.connect();
    expect(await stateOf(waiter)).to.equal("pending");
    await lease.close();
    expect((await waiter).connection.id).to.equal(2);
    expect(counts(pool)).to.deep.equal([1, 0, 0, 1]);
    await (await waiter).close();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("190 dispose closes politely, without a reset, in the order of idleness", async () => {
    const { pool, server } = await withIdle(3);
    await pool.dispose();
    expect(server.calls).to.deep.equal(["close 1", "close 2", "close 3"]);
    expect(counts(pool)).to.deep.equal([3, 0, -3, 0]);
  });

  test("191 closes that fail are logged, and dispose goes on with the others and resolves", async () => {
    const failure = new Error("gone");
    for (const close of [() => Promise.reject(failure), () => thrower(failure)]) {
      const context = await withIdle(3);
      const { pool, server, log } = context;
      server.script.close = close;
      expect(await pool.dispose()).to.equal(undefined);
      expect(server.calls).to.deep.equal(["close 1", "close 2", "close 3"]);
      expect(log.errors).to.deep.equal([failure, failure, failure]);
      await expectSound(context);
    }
  });

  test("the closes run at the same time, and dispose resolves when the last has ended", async () => {
    const { pool, server } = await withIdle(3);
    const closings = [];
    server.script.close = () => (closings.push(gate()), closings.at(-1).promise);
    const disposed = pool.dispose();
    expect(closings).to.have.length(3);
    closings[2].open();
    closings[0].open();
    expect(await stateOf(disposed)).to.equal("pending");
    expect(pool.stats()).to.include({ closing: 1, total: 1 });
    closings[1].open();
    await disposed;
    expect(pool.stats().total).to.equal(0);
  });

  test("a close that hangs is given driverTimeout", async () => {
    const context = await withIdle(2, { driverTimeout: "5s" });
    const { pool, server, clock } = context;
    server.script.close = never;
    const disposed = pool.dispose();
    await pass(clock, 4_900);
    expect(await stateOf(disposed)).to.equal("pending");
    await pass(clock, 600);
    expect(await stateOf(disposed)).to.equal("fulfilled");
    await expectSound(context);
  });

  test("a connection that is still closing counts, so that the server never has more than the maximum", async () => {
    const { pool, server } = await withIdle(1);
    const closing = gate();
    server.script.close = () => closing.promise;
    void pool.dispose();
    const caller = pool.connect();
    expect(await stateOf(caller)).to.equal("pending");
    expect(server.connections).to.have.length(1);
    closing.open();
    expect((await caller).connection.id).to.equal(2);
  });

  test("026 without a limit on the pool, thirty connections are kept, and dispose closes them all", async () => {
    const { pool, server } = scriptedPool({ poolSize: 0, maxOverflow: 3 });
    const leases = await connects(pool, 30);
    expect(pool.checkedOut()).to.equal(30);
    for (const lease of leases) await lease.close();
    expect([pool.checkedOut(), pool.checkedIn()]).to.deep.equal([0, 30]);
    await pool.dispose();
    expect(counts(pool)).to.deep.equal([0, 0, 0, 0]);
    expect(server.live).to.equal(0);
  });

  test("002 it opens nothing, and needs no creator that works", async () => {
    const { pool, server } = scriptedPool();
    await (await pool.connect()).close();
    server.script.open = () => thrower(new Error("down"));
    await pool.dispose();
    await pool.dispose();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
  });

  test("dispose of an empty pool resolves, and of an emptied slot closes nothing", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await pool.dispose();
    await (await pool.connect()).invalidate();
    expect(pool.checkedIn()).to.equal(1);
    await pool.dispose();
    expect(counts(pool)).to.deep.equal([1, 0, -1, 0]);
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
  });

  test("a connection whose opening began before is its caller's, and is closed at its return", async () => {
    const { pool, server } = scriptedPool();
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    await pool.dispose();
    opening.open();
    const lease = await caller;
    expect(lease.connection.closed).to.equal(0);
    await lease.close();
    expect(server.live).to.equal(0);
    expect(pool.stats().total).to.equal(0);
  });

  test("a connection whose opening began before, and whose caller has left, is closed when it arrives", async () => {
    const { pool, server } = scriptedPool();
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await stateOf(caller);
    await pool.dispose();
    opening.open();
    await settled();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1]);
    expect(pool.stats().total).to.equal(0);
  });

  test("a connection that is being reset when dispose is called is closed after it", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const closed = lease.close();
    await pool.dispose();
    reset.open();
    await closed;
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
  });

  test("what is opened after it is kept; an older lease is closed once, however often it is called", async () => {
    const { pool, server } = scriptedPool();
    const before = await pool.connect();
    await pool.dispose();
    await pool.dispose();
    const after = await pool.connect();
    await after.close();
    await before.close();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("waiters stay in the queue", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    const [first, second] = await connects(pool, 2);
    const waiters = [pool.connect(), pool.connect()];
    await pool.dispose();
    expect(pool.stats().waiting).to.equal(2);
    await first.close();
    await second.close();
    const leases = await Promise.all(waiters);
    expect(leases.map(({ connection }) => connection.id)).to.deep.equal([3, 4]);
    expect(server.live).to.equal(2);
    for (const lease of leases) await lease.close();
    await expectSound(context);
  });

  test("dispose of a closed pool resolves and does nothing", async () => {
    const { pool, server } = scriptedPool();
    await (await pool.connect()).close();
    await pool.close();
    await pool.dispose();
    expect(server.connections[0].closed).to.equal(1);
  });
};

function thrower(error) {
  throw error;
}
