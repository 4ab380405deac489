// connect(): an idle connection, a new one, or the queue.

import { expect } from "chai";
import { counts, gate, rejection, scriptedPool, settled, stateOf } from "./scripted.mjs";

export default (test) => {
  test("021 counts follow six connects", async () => {
    const { pool } = scriptedPool({ poolSize: 3, maxOverflow: -1 });
    const seen = [];
    for (let number = 0; number < 6; number++) {
      await pool.connect();
      seen.push(counts(pool));
    }
    expect(seen).to.deep.equal([[3, 0, -2, 1], [3, 0, -1, 2], [3, 0, 0, 3], [3, 0, 1, 4], [3, 0, 2, 5], [3, 0, 3, 6]]);
  });

  test("042 an idle connection is used before a new one is opened", async () => {
    const { pool, server } = scriptedPool();
    await (await pool.connect()).close();
    await pool.connect();
    expect(server.connections).to.have.length(1);
  });

  test("053 who returns and asks again does not overtake a waiter", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const order = [];
    const holder = await pool.connect();
    const waiters = ["w0", "w1", "w2"].map((name) => pool.connect().then(async (lease) => (order.push(name), lease.close())));
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
};
