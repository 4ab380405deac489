// returnTimeout, isBusy and doCancel: neither a busy connection nor a slow reset holds the caller or the slot.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import { expectSound, gate, never, pass, rejection, scriptedPool, stateOf } from "./scripted.mjs";

const slowError = new Error("the client's time-out");
const gone = new Error("gone");

/** A pool of one connection whose dialect says what the test wants. */
function busyPool(dialect, options = {}) {
  const context = scriptedPool({
    poolSize: 1,
    maxOverflow: 0,
    dialect: {
      isDisconnect: (error) => (error === slowError ? "connection" : error === gone),
      isBusy: () => true,
      doTerminate: (connection) => connection.terminate(),
      ...dialect,
    },
    ...options,
  });
  context.server.script.rollback = never;
  return context;
}

/** A doCancel that the server records. */
const cancels = (server, answer) => (connection) => {
  server().calls.push(`cancel ${connection.id}`);
  return answer(connection);
};

/** The ways to take a connection and give it back. */
const ways = {
  "use()": (pool) => pool.use(() => "result"),
  "close()": async (pool) => {
    const lease = await pool.connect();
    await lease.close();
    return "result";
  },
  "close({ error }) of another error": async (pool) => {
    const lease = await pool.connect();
    await lease.close({ error: new Error("syntax") });
    return "result";
  },
  "await using": async (pool) => {
    const lease = await pool.connect();
    await lease[Symbol.asyncDispose]();
    return "result";
  },
  "the close of a detached lease": (pool) =>
    pool.use(async (_, lease) => {
      await lease.detach();
      return "result";
    }),
};

export default (test) => {
  for (const [name, way] of Object.entries(ways)) {
    test(`${name} settles at once when the connection is busy, and the connection has returnTimeout`, async () => {
      const context = busyPool();
      const { pool, server, clock } = context;
      expect(await way(pool)).to.equal("result");
      await pass(clock, 900);
      expect(server.calls).to.deep.equal(["open", "rollback 1"]);
      await pass(clock, 200);
      expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
      await expectSound(context);
    });

    test(`${name} settles after returnTimeout when the reset of a connection at rest takes longer`, async () => {
      const context = busyPool({ isBusy: () => false }, { driverTimeout: "5s" });
      const { pool, server, clock } = context;
      const done = way(pool);
      await pass(clock, 950);
      expect(await stateOf(done)).to.equal("pending");
      await pass(clock, 150);
      expect(await stateOf(done)).to.equal("fulfilled");
      expect(server.calls).to.deep.equal(["open", "rollback 1"]);
      await pass(clock, 4_500);
      expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
      await expectSound(context);
    });
  }

  test("the next caller has another connection after returnTimeout, and the log names the limit", async () => {
    const { pool, clock, log } = busyPool({}, { returnTimeout: "300ms" });
    await pool.use(() => {});
    const next = pool.connect();
    await pass(clock, 290);
    expect(await stateOf(next)).to.equal("pending");
    await pass(clock, 50);
    expect((await next).connection.id).to.equal(2);
    expect(log.of("error")).to.have.length(1);
    expect(log.of("error")[0]).to.include("rollback").and.to.include("returnTimeout (300 ms)");
  });

  test("a busy connection that comes to rest in time is kept for the next caller", async () => {
    const context = busyPool();
    const { pool, server, clock } = context;
    const reset = gate();
    server.script.rollback = () => reset.promise;
    await pool.use(() => {});
    const next = pool.connect();
    await pass(clock, 500);
    expect(await stateOf(next)).to.equal("pending");
    reset.open();
    const lease = await next;
    expect(lease.connection.id).to.equal(1);
    expect(pool.stats()).to.include({ opened: 1, invalidated: 0 });
    void lease.close();
    await expectSound(context);
  });

  test("an error of the function reaches the caller before the reset of its busy connection", async () => {
    const context = busyPool();
    const failure = new Error("mine");
    expect(await rejection(context.pool.use(() => Promise.reject(failure)))).to.equal(failure);
    expect(context.server.calls).to.deep.equal(["open", "rollback 1"]);
    await expectSound(context);
  });

  test("without returnTimeout a busy connection has driverTimeout, and its caller does not wait", async () => {
    const context = busyPool({}, { returnTimeout: null, driverTimeout: "5s" });
    const { pool, server, clock } = context;
    await pool.use(() => {});
    await pass(clock, 4_900);
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    await pass(clock, 600);
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
    await expectSound(context);
  });

  test("a stuck connection is terminated at once, without a reset, and its invalidate event says why", async () => {
    for (const resetOnReturn of ["rollback", "commit", "none"]) {
      const context = busyPool({ isBusy: () => "stuck" }, { resetOnReturn });
      const { pool, server } = context;
      const given = [];
      pool.on("invalidate", (_connection, _record, error) => void given.push(error));
      const next = pool.use(() => pool.connect({ timeout: 0 }).catch(() => "in use"));
      expect(await next).to.equal("in use");
      expect(server.calls).to.deep.equal(["open", "terminate 1"]);
      expect(given).to.have.length(1);
      expect(given[0].message).to.include("cursor");
      expect(pool.stats()).to.include({ used: 0, invalidated: 1 });
      await expectSound(context);
    }
  });

  test("a termination of a stuck connection that never ends does not hold the caller", async () => {
    const context = busyPool({ isBusy: () => "stuck" }, { driverTimeout: "5s" });
    context.server.script.terminate = never;
    expect(await context.pool.use(() => "result")).to.equal("result");
    await expectSound(context);
  });

  test("a busy connection that is not to be reset is pinged, to see it at rest", async () => {
    const ping = gate();
    const context = busyPool({ doPing: () => ping.promise }, { resetOnReturn: "none" });
    const { pool, server, clock } = context;
    await pool.use(() => {});
    const next = pool.connect();
    await pass(clock, 500);
    expect(await stateOf(next)).to.equal("pending");
    ping.open(true);
    expect((await next).connection.id).to.equal(1);
    expect(server.calls).to.deep.equal(["open"]);
  });

  for (const [how, doPing] of Object.entries({
    "never answers": never,
    "answers false": () => false,
    fails: () => Promise.reject(new Error("ping")),
  })) {
    test(`a busy connection whose ping ${how} is terminated`, async () => {
      const context = busyPool({ doPing }, { resetOnReturn: "none" });
      const { pool, server, clock } = context;
      await pool.use(() => {});
      await pass(clock, 1_100);
      expect(server.calls).to.deep.equal(["open", "terminate 1"]);
      await expectSound(context);
    });
  }

  test("a statement that its caller gave up is cancelled, and the connection is reset and kept", async () => {
    for (const answer of [() => true, () => undefined, async () => true]) {
      const context = busyPool({ doCancel: cancels(() => context.server, answer) });
      const { pool, server } = context;
      server.script.rollback = () => Promise.resolve();
      expect(await rejection(pool.use(() => Promise.reject(slowError)))).to.equal(slowError);
      expect((await pool.connect()).connection.id).to.equal(1);
      expect(server.calls).to.deep.equal(["open", "cancel 1", "rollback 1"]);
      expect(pool.stats()).to.include({ opened: 1, invalidated: 0 });
    }
  });

  for (const [how, answer] of Object.entries({
    "says that it cannot": () => false,
    "promises false": async () => false,
    throws: () => {
      throw new Error("no socket");
    },
    rejects: () => Promise.reject(new Error("no socket")),
    "never answers": never,
  })) {
    test(`a connection whose doCancel ${how} is terminated, alone, with the caller's error`, async () => {
      const context = busyPool({ doCancel: answer }, { poolSize: 2 });
      const { pool, server, clock } = context;
      server.script.rollback = undefined;
      const other = await pool.connect();
      const given = [];
      pool.on("invalidate", (_connection, _record, error) => void given.push(error));
      const failed = pool.use(() => Promise.reject(slowError));
      expect(await rejection(failed)).to.equal(slowError);
      await pass(clock, 1_100);
      expect(server.calls).to.deep.equal(["open", "open", "terminate 2"]);
      expect(given).to.deep.equal([slowError]);
      await other.close();
      expect(server.connections[0].closed).to.equal(0);
      expect(pool.stats()).to.include({ idle: 1, invalidated: 1 });
    });
  }

  test("a dialect without doCancel costs the connection at once", async () => {
    const context = busyPool();
    expect(await rejection(context.pool.use(() => Promise.reject(slowError)))).to.equal(slowError);
    expect(context.server.calls).to.deep.equal(["open", "terminate 1"]);
    await expectSound(context);
  });

  test("an error of the connection alone costs a connection at rest, too, without a reset", async () => {
    const context = busyPool({ isBusy: () => false, doCancel: () => true });
    expect(await rejection(context.pool.use(() => Promise.reject(slowError)))).to.equal(slowError);
    expect(context.server.calls).to.deep.equal(["open", "terminate 1"]);
    await expectSound(context);
  });

  test("close({ error }) is what use() does after an error", async () => {
    const context = busyPool({ isBusy: () => false }, { poolSize: 2 });
    const { pool, server } = context;
    const [first, second] = [await pool.connect(), await pool.connect()];
    await first.close({ error: slowError });
    expect(server.calls).to.deep.equal(["open", "open", "terminate 1"]);
    await second.close({ error: gone });
    expect(server.calls.at(-1)).to.equal("terminate 2");
    expect(second.isValid).to.equal(false);
    await second.close({ error: gone });
    await expectSound(context);
  });

  test("a dialect whose isBusy throws is logged, and the connection is reset as one at rest", async () => {
    const context = busyPool({
      isBusy() {
        throw new Error("isBusy");
      },
    });
    const { pool, server, log } = context;
    server.script.rollback = undefined;
    await pool.use(() => {});
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    expect(log.of("error")[0]).to.include("isBusy");
    await expectSound(context);
  });

  test("isBusy is asked at each return, also if nothing is reset, and may use the pool", async () => {
    let asked = 0;
    const served = [];
    const context = busyPool(
      {
        isBusy() {
          if (asked++ === 0) served.push(context.pool.use(({ id }) => id));
          return false;
        },
      },
      { resetOnReturn: "none" },
    );
    await context.pool.use(() => {});
    expect(await Promise.all(served)).to.deep.equal([1]);
    expect(asked).to.equal(2);
    await expectSound(context);
  });

  test("a close that has not ended keeps its slot, if the dialect wants that", async () => {
    const open = new Set();
    const ends = gate();
    let most = 0;
    const dialect = {
      keepsSlotUntilClosed: true,
      isBusy: () => "stuck",
      doClose: (connection) => ends.promise.then(() => open.delete(connection)),
    };
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "2s", driverTimeout: "1s", dialect });
    const { pool, server, clock, log } = context;
    server.script.open = () => {
      const connection = server.connection();
      open.add(connection);
      most = Math.max(most, open.size);
      return connection;
    };
    await pool.use(() => {});
    const refused = pool.connect();
    await pass(clock, 3_000);
    expect(await rejection(refused)).to.have.property("code", "ERR_POOL_TIMEOUT");
    expect(log.of("error")[0]).to.include("terminate").and.to.include("driverTimeout (1000 ms)");
    const next = pool.connect();
    await pass(clock, 1_000);
    ends.open();
    expect((await next).connection.id).to.equal(2);
    expect(most).to.equal(1);
  });

  test("a reset that ends late does not end the close that keeps its slot", async () => {
    const context = busyPool({ isBusy: undefined, keepsSlotUntilClosed: true }, { driverTimeout: "1s", timeout: "9s" });
    const { pool, server, clock } = context;
    const [reset, end] = [gate(), gate()];
    server.script.rollback = () => reset.promise;
    server.script.terminate = () => end.promise;
    const used = pool.use(() => {});
    await pass(clock, 2_500);
    await used;
    const next = pool.connect();
    reset.open();
    expect(await stateOf(next)).to.equal("pending");
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
    end.open();
    expect((await next).connection.id).to.equal(2);
  });

  test("without that a close that has not ended gives its slot to the next caller", async () => {
    const context = busyPool({ isBusy: () => "stuck", doTerminate: never }, { driverTimeout: "1s" });
    const { pool, clock } = context;
    await pool.use(() => {});
    const next = pool.connect();
    await pass(clock, 1_200);
    expect((await next).connection.id).to.equal(2);
  });

  test("returnTimeout is a duration, or null", () => {
    for (const returnTimeout of [-1, "soon", true, Infinity])
      expect(() => new QueuePool(() => ({}), { returnTimeout })).to.throw(/returnTimeout/);
    for (const returnTimeout of [0, "50ms", null])
      expect(() => new QueuePool(() => ({}), { returnTimeout })).not.to.throw();
  });
};
