// connect(): an idle connection, a new one, or the queue.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import { connects, counts, gate, never, rejection, scriptedPool, settled, stateOf, virtualClock } from "./scripted.mjs";

export default (test) => {
  test("021 counts follow six connects", async () => {
    const { pool } = scriptedPool({ poolSize: 3, maxOverflow: -1 });
    const seen = [];
    for (let number = 0; number < 6; number++) {
      await pool.connect();
      seen.push(counts(pool));
    }
    expect(seen).to.deep.equal([
      [3, 0, -2, 1],
      [3, 0, -1, 2],
      [3, 0, 0, 3],
      [3, 0, 1, 4],
      [3, 0, 2, 5],
      [3, 0, 3, 6],
    ]);
  });

  test("042 an idle connection is used before a new one is opened", async () => {
    const { pool, server } = scriptedPool();
    await (await pool.connect()).close();
    await pool.connect();
    expect(server.connections).to.have.length(1);
  });

  test("053 a caller that returns and asks again does not overtake a waiter", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const order = [];
    const holder = await pool.connect();
    const waiters = ["w0", "w1", "w2"].map((name) =>
      pool.connect().then(async (lease) => (order.push(name), lease.close())),
    );
    void holder.close();
    const again = pool.connect().then(async (lease) => (order.push("holder"), lease.close()));
    await Promise.all([...waiters, again]);
    expect(order).to.deep.equal(["w0", "w1", "w2", "holder"]);
  });

  test("055 when an opening fails, the next waiter is tried at once", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: null });
    const opening = gate();
    server.script.open = () => opening.promise;
    const first = pool.connect();
    const second = pool.connect();
    const down = new Error("down");
    server.script.open = undefined;
    opening.fail(down);
    expect(await rejection(first)).to.equal(down);
    expect((await second).connection.id).to.equal(1);
    expect(clock.now).to.equal(0);
  });

  test("a creator's own error reaches the caller as it is, thrown or rejected", async () => {
    const { pool, server } = scriptedPool();
    const down = new Error("down");
    server.script.open = () => {
      throw down;
    };
    expect(await rejection(pool.connect())).to.equal(down);
    server.script.open = () => Promise.reject(down);
    expect(await rejection(pool.connect())).to.equal(down);
    expect(counts(pool)).to.deep.equal([5, 0, -5, 0]);
  });

  test("twenty thousand waiters behind a failing creator each get its error", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    server.script.open = () => {
      throw new Error("down");
    };
    const results = await Promise.allSettled(Array.from({ length: 20_000 }, () => pool.connect()));
    expect(results.every(({ reason }) => reason?.message === "down")).to.equal(true);
    expect(pool.stats().waiting).to.equal(0);
  });

  test("a lease handed to a waiter is settled in the microtasks of the return", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });
    const lease = await pool.connect();
    const waiter = pool.connect();
    expect(await stateOf(waiter)).to.equal("pending");
    void lease.close();
    await settled();
    expect((await waiter).connection.id).to.equal(1);
  });

  test("036 a creator that hangs holds up no caller within the overflow", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 2 });
    server.script.open = never;
    const hanging = pool.connect();
    server.script.open = undefined;
    const others = await connects(pool, 2);
    expect(others.map(({ connection }) => connection.id)).to.deep.equal([1, 2]);
    expect(await stateOf(hanging)).to.equal("pending");
    expect(pool.stats()).to.include({ opening: 1, used: 2, waiting: 0 });
  });

  test("038 as many creators start at once as the pool allows; the others wait", async () => {
    const { pool, server } = scriptedPool({ poolSize: 2, maxOverflow: 1 });
    const openings = [];
    server.script.open = () => (openings.push(gate()), openings.at(-1).promise);
    const callers = Array.from({ length: 5 }, () => pool.connect());
    expect(openings).to.have.length(3);
    expect(pool.stats()).to.include({ opening: 3, waiting: 2 });
    openings.forEach(({ open }) => open());
    const leases = await Promise.all(callers.slice(0, 3));
    expect(openings).to.have.length(3);
    await Promise.all(leases.map((lease) => lease.close()));
    await Promise.all(callers);
    expect(openings).to.have.length(3);
  });

  test("a creator is called in the stack of connect(), once for each connection", async () => {
    const { pool, server } = scriptedPool();
    const first = pool.connect();
    expect(server.calls).to.deep.equal(["open"]);
    await (await first).close();
    await (await pool.connect()).close();
    expect(server.calls.filter((call) => call === "open")).to.have.length(1);
  });

  test("connections that open in any order go to the callers that started them", async () => {
    const { pool, server } = scriptedPool();
    const openings = [];
    server.script.open = () => (openings.push(gate()), openings.at(-1).promise);
    const callers = [pool.connect(), pool.connect(), pool.connect()];
    for (const index of [2, 0, 1]) openings[index].open({ name: index });
    expect((await Promise.all(callers)).map(({ connection }) => connection.name)).to.deep.equal([0, 1, 2]);
  });

  test("a creator may answer any thenable", async () => {
    const connection = { close() {} };
    // oxlint-disable-next-line unicorn/no-thenable -- being one is the point
    const pool = new QueuePool(() => ({ then: (resolve) => resolve(connection) }), {
      resetOnReturn: "none",
      clock: virtualClock().poolClock,
    });
    expect((await pool.connect()).connection).to.equal(connection);
  });

  test("a creator may use the pool: a connection made with the help of another", async () => {
    const { pool, server } = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    let inner;
    server.script.open = () => {
      server.script.open = undefined;
      inner = pool.connect();
      return inner.then((lease) => lease.close()).then(() => undefined);
    };
    // The helper comes back before the creator has ended, so it serves the caller.
    expect((await pool.connect()).connection.id).to.equal(1);
    await settled();
    expect(pool.stats()).to.include({ used: 1, idle: 1, opened: 2 });
  });

  test("an idle connection is checked out without a creator, a clock or a timer", async () => {
    const { pool, server, clock } = scriptedPool({ resetOnReturn: "none" });
    await (await pool.connect()).close();
    const before = [clock.reads, clock.set, server.calls.length];
    for (let round = 0; round < 10; round++) await (await pool.connect()).close();
    expect([clock.reads, clock.set, server.calls.length]).to.deep.equal(before);
  });

  test("039 idle connections are used in the order of their return", async () => {
    const { pool } = scriptedPool();
    const [a, b, c] = await connects(pool, 3);
    for (const lease of [a, b, c]) await lease.close();
    const once = await pool.connect();
    const used = [once.connection.id];
    await once.close();
    for (let round = 0; round < 4; round++) {
      const lease = await pool.connect();
      used.push(lease.connection.id);
      if (round === 2) await lease.close();
    }
    expect(used).to.deep.equal([1, 2, 3, 1, 1]);
  });

  test("useLifo uses the connection that came back last first", async () => {
    const { pool } = scriptedPool({ useLifo: true });
    const leases = await connects(pool, 3);
    for (const lease of leases) await lease.close();
    expect((await connects(pool, 3)).map(({ connection }) => connection.id)).to.deep.equal([3, 2, 1]);
  });

  test("041 a pool recreated from a LIFO pool is LIFO", async () => {
    const pool = scriptedPool({ useLifo: true }).pool.recreate();
    const leases = await connects(pool, 2);
    for (const lease of leases) await lease.close();
    expect((await connects(pool, 2)).map(({ connection }) => connection.id)).to.deep.equal([2, 1]);
  });

  test("with no limit on the size every caller has a connection at once", async () => {
    const { pool, server } = scriptedPool({ poolSize: 0, maxOverflow: 0, timeout: 0 });
    await connects(pool, 500);
    expect(server.live).to.equal(500);
    expect(pool.stats().max).to.equal(Infinity);
  });

  test("a pool of no overflow and no waiting still works one after the other", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: 0, maxWaiters: 0 });
    for (let round = 0; round < 3; round++) await pool.use(() => {});
    expect(server.connections).to.have.length(1);
  });
};
