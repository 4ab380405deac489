// What strangers hand in: promises with a `then` of their own, signals that throw, values that cannot be shown. Each
// costs its caller an error, never the pool, and never another pool.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import { rejection, scriptedPool } from "./scripted.mjs";

const failure = new Error("of its own");

/** Promises that do not behave as promises. */
const promises = {
  "whose then throws": () =>
    Object.assign(Promise.resolve({}), {
      then: () => {
        throw failure;
      },
    }),
  "whose constructor cannot be read": () =>
    Object.defineProperty(Promise.resolve({}), "constructor", {
      get: () => {
        throw failure;
      },
    }),
};

class Connection {
  closed = 0;
  rollback() {}
  close() {
    this.closed++;
  }
}

export default (test) => {
  test("of a creator whose promise answers twice at once the first answer counts", async () => {
    const both = [new Connection(), new Connection()];
    const creator = () =>
      Object.assign(Promise.resolve(), { then: (answer) => both.forEach((connection) => answer(connection)) });
    const pool = new QueuePool(creator, { poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    expect(lease.connection).to.equal(both[0]);
    await lease.close();
    await pool.close();
    expect(both[0].closed).to.equal(1);
  });

  for (const [kind, make] of Object.entries(promises)) {
    test(`a creator that answers a promise ${kind} fails its caller, and the slot is free again`, async () => {
      const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      server.script.open = make;
      expect(await rejection(pool.connect())).to.equal(failure);
      server.script.open = undefined;
      await (await pool.connect()).close();
      expect(pool.stats()).to.include({ idle: 1, opening: 0 });
    });

    test(`a rollback that answers a promise ${kind} is a failed reset, and the return ends`, async () => {
      const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const lease = await pool.connect();
      server.script.rollback = make;
      await lease.close();
      expect(pool.stats()).to.include({ used: 0, invalidated: 1 });
      await (await pool.connect()).close();
    });
  }

  test("a signal that takes no listener costs its caller an error, and no other caller", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const signal = {
      aborted: false,
      addEventListener: () => {
        throw failure;
      },
      removeEventListener() {},
    };
    expect(await rejection(pool.connect({ signal }))).to.equal(failure);
    expect(pool.stats().waiting).to.equal(0);
    const waiter = pool.connect();
    await lease.close();
    await (await waiter).close();
  });

  test("a signal that keeps its listener does not keep its waiter from the connection", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const signal = {
      aborted: false,
      addEventListener() {},
      removeEventListener: () => {
        throw failure;
      },
    };
    const waiter = pool.connect({ signal });
    await lease.close();
    await (await waiter).close();
    expect(scriptedPool().pool.stats().total).to.equal(0);
  });

  test("a value that cannot be shown is still refused by the option's name", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    for (const value of [{ constructor: { name: Symbol("no text") } }, Object.create(null), proxy]) {
      expect(() => scriptedPool({ poolSize: value })).to.throw(/^poolSize must be a whole number/);
    }
  });

  test("invalidate() rejects on options that are wrong, and the lease goes on", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    expect((await rejection(lease.invalidate(undefined, null))).code).to.equal("ERR_POOL_ARGUMENT");
    expect((await rejection(lease.invalidate(undefined, { sotf: true }))).message).to.match(/sotf/);
    expect(lease.isValid).to.equal(true);
    await lease.close();
  });
};
