// pool.use(): checks out, runs the function, returns the connection whatever happens.

import { expect } from "chai";
import { ArgumentError, Pool, PoolClosedError, QueuePool } from "edgepool";
import { connects, counts, expectSound, gate, pass, rejection, scriptedPool, settled, stateOf } from "./scripted.mjs";

/** A dialect that knows one error as a disconnect. */
const gone = new Error("gone");
const dialect = { isDisconnect: (error) => error === gone };
/** And another one as the loss of one connection. */
const slow = new Error("slow");

/** `pings` gets the connections that are pinged; without it the dialect cannot ping. */
function lossyPool(options, pings, answer = () => true) {
  const isDisconnect = (error) => error === gone || (error === slow && "connection");
  const doPing = ({ id }) => (pings.push(id), answer(id));
  return scriptedPool({ ...options, dialect: pings === undefined ? { isDisconnect } : { isDisconnect, doPing } });
}

/** Leaves so many connections idle. */
async function warmed(pool, count) {
  for (const lease of await connects(pool, count)) await lease.close();
}

export default (test) => {
  test("use() gives the connection and the lease, and resolves to what the function returns", async () => {
    const { pool, server } = scriptedPool();
    const result = await pool.use((connection, lease) => {
      expect(connection).to.equal(server.connections[0]);
      expect(lease.connection).to.equal(connection);
      expect(lease.isValid).to.equal(true);
      return Promise.resolve("result");
    });
    expect(result).to.equal("result");
    expect(await pool.use(() => 7)).to.equal(7);
    expect(counts(pool)).to.deep.equal([5, 1, -4, 0]);
  });

  test("it resolves only once the connection is reset and back", async () => {
    const { pool, server } = scriptedPool();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const used = pool.use(() => "result");
    expect(await stateOf(used)).to.equal("pending");
    reset.open();
    expect(await used).to.equal("result");
    expect(pool.stats().idle).to.equal(1);
  });

  test("203 it waits for the reset also if its signal aborts meanwhile, and returns its result", async () => {
    for (const fails of [false, true]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const { pool, server } = context;
      const reset = gate();
      server.script.rollback = () => reset.promise;
      const controller = new AbortController();
      const used = pool.use(() => (fails ? Promise.reject(gone) : "result"), { signal: controller.signal });
      await settled();
      controller.abort(new Error("enough"));
      expect(await stateOf(used)).to.equal("pending");
      reset.open();
      expect(await used.catch((error) => error)).to.equal(fails ? gone : "result");
      expect(pool.stats()).to.include({ used: 0, idle: 1, invalidated: 0 });
      await expectSound(context);
    }
  });

  test("074 an error of the function comes out unchanged, thrown or rejected, after the return", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    for (const error of [new Error("mine"), "a string", undefined, null, { code: 7 }]) {
      const thrown = pool.use(() => {
        throw error;
      });
      expect(await rejection(thrown)).to.equal(error);
      expect(await rejection(pool.use(() => Promise.reject(error)))).to.equal(error);
    }
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(server.connections).to.have.length(1);
    expect(server.calls.filter((call) => call === "rollback 1")).to.have.length(10);
  });

  test("170 an error that is no disconnect invalidates nothing", async () => {
    const { pool, server } = scriptedPool({ dialect });
    await rejection(pool.use(() => Promise.reject(new Error("syntax error"))));
    expect(pool.stats()).to.include({ idle: 1, invalidated: 0 });
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
  });

  test("171 a disconnect terminates the connection without a reset and marks every one as old", async () => {
    const { pool, server } = scriptedPool({ dialect, poolSize: 3 });
    await Promise.all((await connects(pool, 3)).map((lease) => lease.close()));
    server.calls.length = 0;
    expect(await rejection(pool.use(() => Promise.reject(gone)))).to.equal(gone);
    expect(server.calls).to.deep.equal(["terminate 1"]);
    const leases = await connects(pool, 3);
    expect(leases.map(({ connection }) => connection.id).toSorted()).to.deep.equal([4, 5, 6]);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1, 1, 0, 0, 0]);
  });

  test("a disconnect leaves what was opened since the last one alone", async () => {
    const { pool } = scriptedPool({ dialect, poolSize: 3 });
    const [first, second] = [gate(), gate()];
    const users = [first, second].map(({ promise }) => rejection(pool.use(() => promise)));
    await settled();
    first.fail(gone);
    expect(await users[0]).to.equal(gone);
    const fresh = await pool.connect();
    expect(fresh.connection.id).to.equal(3);
    second.fail(gone);
    expect(await users[1]).to.equal(gone);
    await fresh.close();
    const ids = (await connects(pool, 3)).map(({ connection }) => connection.id);
    expect(ids).to.include(3);
  });

  test("isDisconnect gets the error and the connection", async () => {
    const told = [];
    const { pool, server } = scriptedPool({ dialect: { isDisconnect: (...given) => (told.push(given), false) } });
    await rejection(pool.use(() => Promise.reject(gone)));
    expect(told).to.deep.equal([[gone, server.connections[0]]]);
    expect(told[0][0]).to.equal(gone);
  });

  test('only true and "connection" are a disconnect', async () => {
    for (const answer of [Promise.resolve(true), "pool", 1, {}]) {
      const { pool } = scriptedPool({ dialect: { isDisconnect: () => answer } });
      await rejection(pool.use(() => Promise.reject(gone)));
      expect(pool.stats().invalidated).to.equal(0);
    }
  });

  test("a disconnect that concerns one connection replaces that one alone", async () => {
    for (const canPing of [true, false]) {
      const pings = [];
      const { pool, server } = lossyPool({ poolSize: 3 }, canPing ? pings : undefined);
      await warmed(pool, 3);
      expect(await rejection(pool.use(() => Promise.reject(slow)))).to.equal(slow);
      const leases = await connects(pool, 3);
      expect(leases.map(({ connection }) => connection.id)).to.deep.equal([2, 3, 4]);
      expect([pings, server.connections.map(({ closed }) => closed)]).to.deep.equal([[], [1, 0, 0, 0]]);
    }
  });

  test("after two such losses in a row each other connection is pinged; without doPing, replaced", async () => {
    for (const canPing of [true, false]) {
      const pings = [];
      const { pool } = lossyPool({ poolSize: 4 }, canPing ? pings : undefined);
      await warmed(pool, 4);
      await Promise.all([1, 2].map(() => rejection(pool.use(() => Promise.reject(slow)))));
      const ids = (await connects(pool, 2)).map(({ connection }) => connection.id);
      expect([ids, pings]).to.deep.equal(
        canPing
          ? [
              [3, 4],
              [3, 4],
            ]
          : [[5, 6], []],
      );
    }
  });

  test("a disconnect that concerns others has each of them pinged once, and only the dead replaced", async () => {
    for (const prePing of [true, false]) {
      const pings = [];
      const context = lossyPool({ poolSize: 4, prePing, prePingAfterIdle: "1h" }, pings, (id) => {
        if (id === 3) throw new Error("the ping fails with an error that says nothing");
        return id !== 2;
      });
      const { pool, server } = context;
      await warmed(pool, 4);
      expect(await rejection(pool.use(() => Promise.reject(gone)))).to.equal(gone);
      const leases = await connects(pool, 4);
      expect(leases.map(({ connection }) => connection.id)).to.deep.equal([5, 6, 4, 7]);
      expect(pings).to.deep.equal([2, 3, 4]);
      for (const lease of leases) await lease.close();
      for (const lease of await connects(pool, 4)) await lease.close();
      expect(pings).to.have.length(3);
      expect(server.connections.filter(({ closed }) => closed === 1)).to.have.length(3);
      await expectSound(context);
    }
  });

  test("lease.invalidate(error, { pool: true }) replaces every connection as old without a ping", async () => {
    const pings = [];
    const { pool } = lossyPool({ poolSize: 3 }, pings);
    await warmed(pool, 3);
    await (await pool.connect()).invalidate(gone, { pool: true });
    const ids = (await connects(pool, 3)).map(({ connection }) => connection.id);
    expect([ids, pings]).to.deep.equal([[4, 5, 6], []]);
  });

  test("an isDisconnect that throws is logged; the caller has the first error, and the reset runs", async () => {
    const failure = new Error("bad dialect");
    const context = scriptedPool({
      dialect: {
        isDisconnect() {
          throw failure;
        },
      },
    });
    const { pool, server, log } = context;
    expect(await rejection(pool.use(() => Promise.reject(gone)))).to.equal(gone);
    expect(log.errors).to.deep.equal([failure]);
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    await expectSound(context);
  });

  test("a termination that fails or hangs after a disconnect does not hide the error", async () => {
    for (const terminate of [() => Promise.reject(new Error("no")), () => new Promise(() => {})]) {
      const context = scriptedPool({ dialect });
      const { pool, server, clock } = context;
      server.script.terminate = terminate;
      const used = rejection(pool.use(() => Promise.reject(gone)));
      await pass(clock, 31_000);
      expect(await used).to.equal(gone);
      await expectSound(context);
    }
  });

  test("a reset that fails changes neither result nor error", async () => {
    const { pool, server, log } = scriptedPool();
    server.script.rollback = () => Promise.reject(new Error("reset"));
    expect(await pool.use(() => "result")).to.equal("result");
    const mine = new Error("mine");
    expect(await rejection(pool.use(() => Promise.reject(mine)))).to.equal(mine);
    expect(log.errors).to.have.length(2);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1]);
  });

  test("the function may end the lease itself", async () => {
    for (const end of ["close", "invalidate"]) {
      const context = scriptedPool({ dialect });
      const { pool } = context;
      expect(await pool.use(async (_, lease) => (await lease[end](), "result")), end).to.equal("result");
      const failing = pool.use(async (_, lease) => {
        await lease[end]();
        throw gone;
      });
      expect(await rejection(failing), end).to.equal(gone);
      await expectSound(context, end);
    }
  });

  test("a connection that the function detached is closed at the end of use()", async () => {
    const { pool, server } = scriptedPool();
    await pool.use((_, lease) => lease.detach());
    expect(server.connections[0].closed).to.equal(1);
    expect(pool.stats()).to.include({ detached: 0, used: 0 });
  });

  test("without a connection the function is not called, and the creator's error comes out unchanged", async () => {
    const { pool, server } = scriptedPool();
    const down = new Error("down");
    server.script.open = () => Promise.reject(down);
    let calls = 0;
    expect(await rejection(pool.use(() => calls++))).to.equal(down);
    await pool.close();
    expect(await rejection(pool.use(() => calls++))).to.be.instanceOf(PoolClosedError);
    expect(calls).to.equal(0);
  });

  test("use() takes the options of connect()", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const controller = new AbortController();
    const waiting = pool.use(() => {}, { signal: controller.signal });
    controller.abort(gone);
    expect(await rejection(waiting)).to.equal(gone);
    expect((await rejection(pool.use(() => {}, { timeout: 0 }))).code).to.equal("ERR_POOL_TIMEOUT");
    await lease.close();
  });

  test("it calls the connect() of a subclass, a patched class and a stubbed pool", async () => {
    class Traced extends QueuePool {
      spans = [];
      connect(options) {
        this.spans.push(options);
        return super.connect(options);
      }
    }
    const traced = new Traced(() => ({ rollback() {}, close() {} }));
    const options = { timeout: "1s" };
    await traced.use(() => {}, options);
    expect(traced.spans).to.deep.equal([options]);
    await traced.close();

    const { pool } = scriptedPool();
    const original = Object.getOwnPropertyDescriptor(QueuePool.prototype, "connect");
    let calls = 0;
    QueuePool.prototype.connect = function (...given) {
      calls++;
      return Reflect.apply(Pool.prototype.connect, this, given);
    };
    try {
      await pool.use(() => {});
    } finally {
      if (original === undefined) delete QueuePool.prototype.connect;
      else Object.defineProperty(QueuePool.prototype, "connect", original);
    }
    expect(calls).to.equal(1);

    const ended = [];
    pool.connect = async () => ({ connection: "stub", close: async () => void ended.push("close") });
    expect(await pool.use((connection) => connection)).to.equal("stub");
    expect(ended).to.deep.equal(["close"]);
    expect(await rejection(pool.use(() => Promise.reject(gone)))).to.equal(gone);
  });

  test("an abort after the checkout changes nothing", async () => {
    const { pool } = scriptedPool();
    const controller = new AbortController();
    const result = await pool.use(() => (controller.abort(gone), "result"), { signal: controller.signal });
    expect(result).to.equal("result");
    expect(pool.stats()).to.include({ idle: 1, aborted: 0 });
  });

  test("without a function it rejects with an ArgumentError, and opens nothing", async () => {
    const { pool, server } = scriptedPool();
    for (const wrong of [undefined, null, "fn", {}]) {
      expect(await rejection(pool.use(wrong))).to.be.instanceOf(ArgumentError);
    }
    expect(server.calls).to.deep.equal([]);
  });

  test("a hundred tasks of ten rounds on two connections never meet on one", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    const busy = new Set();
    const round = async (connection) => {
      expect(busy.has(connection)).to.equal(false);
      busy.add(connection);
      await settled(3);
      busy.delete(connection);
    };
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        for (let number = 0; number < 10; number++) await pool.use(round);
      }),
    );
    expect(server.connections).to.have.length(2);
    expect(pool.stats().checkouts).to.equal(1000);
    await expectSound(context);
  });
};
