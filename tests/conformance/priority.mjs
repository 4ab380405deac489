// priority: waiters of a higher one are served first, and those of one in the order of arrival.

import { expect } from "chai";
import { ArgumentError, PoolTimeoutError, StaticPool } from "edgepool";
import { pass, rejection, scriptedPool, stateOf } from "./scripted.mjs";

async function fullPool(options) {
  const context = scriptedPool({ poolSize: 1, maxOverflow: 0, ...options });
  return { ...context, lease: await context.pool.connect() };
}

export default (test) => {
  test("waiters are served by their priority, then by their arrival", async () => {
    const { pool, lease } = await fullPool();
    const served = [];
    const callers = [undefined, 2, 1, undefined, 2].map((priority, place) =>
      pool.use(() => void served.push(place), { priority }),
    );
    expect(pool.stats().waiting).to.equal(5);
    await lease.close();
    await Promise.all(callers);
    expect(served).to.deep.equal([1, 4, 2, 0, 3]);
    expect(pool.stats()).to.include({ waiting: 0, used: 0, idle: 1 });
  });

  test("a waiter with a priority leaves the queue at its abort, and at its time-out", async () => {
    const { pool, clock, lease } = await fullPool();
    const controller = new AbortController();
    const aborted = rejection(pool.connect({ priority: 9, signal: controller.signal }));
    const late = rejection(pool.connect({ priority: 8, timeout: "100ms" }));
    const patient = pool.connect({ priority: 1 });
    controller.abort(new Error("gone"));
    expect((await aborted).message).to.equal("gone");
    await pass(clock, 200);
    expect(await late).to.be.instanceOf(PoolTimeoutError);
    await lease.close();
    await (await patient).close();
    expect(pool.stats()).to.include({ waiting: 0, idle: 1 });
  });

  test("a caller without a priority waits behind those that have one, whenever they came", async () => {
    const { pool, lease } = await fullPool();
    const first = pool.connect();
    const second = pool.connect({ priority: 1 });
    await lease.close();
    const preferred = await second;
    expect(await stateOf(first)).to.equal("pending");
    await preferred.close();
    await (await first).close();
  });

  test("a priority that is no whole number from 0 on is refused by name", async () => {
    const { pool } = scriptedPool();
    for (const priority of [-1, 0.5, NaN, Infinity, "1", null, 2 ** 31]) {
      const error = await rejection(pool.connect({ priority }));
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.contain("priority must be a whole number, 0 to 2147483647");
    }
    expect(pool.stats()).to.include({ total: 0, waiting: 0 });
    await (await pool.connect({ priority: 2 ** 31 - 1 })).close();
  });

  test("callers that share a connection may give one, and it has no effect", async () => {
    const pool = new StaticPool(() => ({ rollback() {}, close() {} }));
    const leases = await Promise.all([pool.connect(), pool.connect({ priority: 5 })]);
    expect(leases[0].connection).to.equal(leases[1].connection);
    await Promise.all(leases.map((lease) => lease.close()));
    await pool.close();
  });
};
