// recreate(): a new pool of the same class with the same settings.

import { expect } from "chai";
import { AsyncAdaptedQueuePool, QueuePool } from "edgepool";
import { connects, counts, rejection, scriptedPool, stateOf } from "./scripted.mjs";

export default (test) => {
  test("001 constructing, disposing and recreating call no creator", async () => {
    let calls = 0;
    const creator = () => {
      calls++;
      throw new Error("down");
    };
    for (const kind of [QueuePool, AsyncAdaptedQueuePool, class extends QueuePool {}]) {
      const pool = new kind(creator);
      await pool.dispose();
      const again = pool.recreate();
      expect(again).to.be.instanceOf(kind);
      expect(again.constructor).to.equal(kind);
      await again.dispose();
    }
    expect(calls).to.equal(0);
  });

  test("006 the new pool has the options of the old one, and its creator", async () => {
    const { pool, server, log, clock } = scriptedPool({
      poolSize: 1,
      maxOverflow: 0,
      resetOnReturn: "none",
      timeout: "7s",
      maxWaiters: 1,
      loggingName: "orders",
    });
    const again = pool.recreate();
    expect([again.size(), again.stats().max, again.timeout(), again.loggingName]).to.deep.equal([1, 1, 7, "orders"]);
    const lease = await again.connect();
    expect(lease.connection).to.equal(server.connections[0]);
    const waiter = again.connect();
    expect((await rejection(again.connect())).code).to.equal("ERR_POOL_QUEUE_FULL");
    expect(clock.due.size, "on the same clock").to.equal(1);
    await lease.close();
    await (await waiter).close();
    expect(server.calls, "reset style none").to.deep.equal(["open"]);
    server.script.close = () => Promise.reject(new Error("gone"));
    await again.dispose();
    expect(log.errors, "in the same log").to.have.length(1);
  });

  test("041 it is LIFO where the old one was", async () => {
    const { pool } = scriptedPool({ useLifo: true });
    const again = pool.recreate();
    const leases = await connects(again, 3);
    for (const lease of leases) await lease.close();
    expect((await again.connect()).connection.id).to.equal(3);
  });

  test("027 a pool without a limit is recreated without one", async () => {
    const again = scriptedPool({ poolSize: 0, maxOverflow: 3 }).pool.recreate();
    expect([again.size(), again.overflow(), again.stats().max]).to.deep.equal([0, 0, Infinity]);
  });

  test("it has the same dialect", async () => {
    const asked = [];
    const { pool } = scriptedPool({ dialect: { inTransaction: (connection) => (asked.push(connection.id), false) } });
    await pool.recreate().use(() => {});
    expect(asked).to.deep.equal([1]);
  });

  test("changing the options object afterwards changes neither pool", async () => {
    const options = { poolSize: 1, maxOverflow: 0 };
    const pool = new QueuePool(() => ({ rollback() {} }), options);
    options.poolSize = 7;
    expect([pool.size(), pool.recreate().size()]).to.deep.equal([1, 1]);
  });

  test("the two share no connection, no slot, no counter and no end", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const again = pool.recreate();
    expect(counts(again)).to.deep.equal([1, 0, -1, 0]);
    expect(again.stats()).to.include({ opened: 0, checkouts: 0 });
    expect((await again.connect()).connection.id).to.equal(2);
    await again.close({ timeout: "0s" });
    expect([pool.closed, again.closed]).to.deep.equal([false, true]);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([0, 1]);
    await lease.close();
    expect(pool.stats().idle).to.equal(1);
  });

  test("a pool that was closed can be recreated, open", async () => {
    const { pool } = scriptedPool();
    await pool.close();
    const again = pool.recreate();
    expect(again.closed).to.equal(false);
    expect(await stateOf(again.use(() => {}))).to.equal("fulfilled");
  });

  test("a pool without a name of its own gives the new one another", async () => {
    const pool = new QueuePool(() => ({}));
    expect(pool.recreate().loggingName).not.to.equal(pool.loggingName);
  });

  test("a subclass whose constructor takes something else keeps its creator, its settings and its properties", () => {
    const seen = [];
    class Shop extends QueuePool {
      url;
      #visits = [];
      constructor(url) {
        super(() => ({ url }), { poolSize: 3, maxOverflow: 0 });
        this.url = url;
        this.#visits.push(url);
        seen.push(url);
      }
      get visits() {
        return this.#visits.length;
      }
    }
    const shop = new Shop("db://shop");
    const again = shop.recreate().recreate();
    expect(again).to.be.instanceOf(Shop);
    expect([again.url, again.visits, again.size(), again.stats().max]).to.deep.equal(["db://shop", 1, 3, 3]);
    return again.use((connection) => expect(connection.url).to.equal("db://shop"));
  });

  test("a subclass whose constructor refuses the creator is recreated without it", async () => {
    class Strict extends QueuePool {
      constructor({ url }) {
        if (typeof url !== "string") throw new TypeError("no url");
        super(() => ({ url }), { poolSize: 2 });
        this.url = url;
      }
      describe() {
        return `${this.url} ${this.size()}`;
      }
    }
    const again = new Strict({ url: "db://strict" }).recreate();
    expect([again instanceof Strict, again.describe()]).to.deep.equal([true, "db://strict 2"]);
    expect(await again.use(({ url }) => url)).to.equal("db://strict");
    await again.close();
  });

  test("a subclass that wraps its creator has it wrapped once, and its own fields begin again", async () => {
    class Counted extends QueuePool {
      uses = 0;
      connect = (options) => {
        this.uses++;
        return super.connect(options);
      };
      constructor(creator, options) {
        super((record) => ({ inner: creator(record) }), options);
      }
    }
    const pool = new Counted(() => ({}), { poolSize: 2 });
    await pool.use(() => {});
    const again = pool.recreate();
    expect(await again.use(({ inner }) => inner.inner)).to.equal(undefined);
    expect([pool.uses, again.size()]).to.deep.equal([1, 2]);
    expect(again.stats().checkouts).to.equal(1);
  });

  test("a pool that a subclass makes in its constructor is not the one that is recreated", () => {
    class Outer extends QueuePool {
      inner;
      constructor(creator, options) {
        const inner = new QueuePool(() => ({}), { poolSize: 7 });
        super(creator, options);
        this.inner = inner;
      }
    }
    const again = new Outer(() => ({}), { poolSize: 2 }).recreate();
    expect([again.size(), again.inner.size()]).to.deep.equal([2, 7]);
  });
};
