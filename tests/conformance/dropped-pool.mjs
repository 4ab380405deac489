// A pool that is dropped without close(): its idle connections are closed when it is collected. Only where a collection
// can be asked for (node --expose-gc); elsewhere nothing is claimed, so no test is registered.

import { expect } from "chai";
import { NullPool, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { expectSound, settled } from "./scripted.mjs";
import { scriptedKind } from "./scripted-kind.mjs";

/** Collects until this holds, or for long enough that it never will. The finalizers run in tasks of the host. */
async function collected(isDone = () => false) {
  for (let round = 0; round < 20 && !isDone(); round++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 0));
    await settled();
  }
}

/** Makes a pool, works with it, and drops it. What it returns holds nothing of the pool unless `work` returned it. */
async function dropped(work, options = {}, Kind = QueuePool) {
  const { pool, server, clock, log } = scriptedKind(Kind, options);
  const kept = await work(pool, server);
  return { server, clock, log, kept };
}

async function useTwo(pool) {
  const leases = [await pool.connect(), await pool.connect()];
  for (const lease of leases) await lease.close();
}

export default (test) => {
  if (typeof globalThis.gc !== "function") return;

  for (const [Kind, open] of [
    [QueuePool, 2],
    [SingletonThreadPool, 1],
    [StaticPool, 1],
    [NullPool, 0],
  ]) {
    test(`the idle connections of a dropped ${Kind.name} are closed, once, with a warning`, async () => {
      const { server, clock, log } = await dropped(useTwo, {}, Kind);
      expect(server.live).to.equal(open);
      await collected(() => server.live === 0);
      await collected();
      expect({ live: server.live, closedTwice: server.closedTwice, timers: clock.due.size }).to.deep.equal({
        live: 0,
        closedTwice: 0,
        timers: 0,
      });
      expect(log.of("warn").filter((message) => message.includes("garbage-collected without close()"))).to.have.length(
        open > 0 ? 1 : 0,
      );
    });
  }

  test("the connections of its scopes are closed, too", async () => {
    const keys = [{}, {}];
    let key;
    const work = async (pool) => {
      for (key of keys) await pool.use(() => {});
    };
    const { server } = await dropped(work, { scope: () => key });
    expect(server.live).to.equal(2);
    await collected(() => server.live === 0);
    expect(server.live).to.equal(0);
  });

  test("what the driver holds to report a death does not keep the pool, and reports nothing afterwards", async () => {
    const reports = [];
    let ended = 0;
    const dialect = {
      onDisconnect(_connection, died) {
        reports.push(died);
        return () => ended++;
      },
    };
    const { server, log } = await dropped(useTwo, { dialect });
    await collected(() => server.live === 0);
    expect(server.live).to.equal(0);
    for (const died of reports) died(new Error("the socket closed"));
    expect(log.errors).to.deep.equal([]);
    expect(ended).to.equal(0);
  });

  test("a dialect that lives on closes them; of one that is gone the connection's own method does", async () => {
    const closed = [];
    const lasting = { doClose: ({ id }) => void closed.push(`dialect ${id}`) };
    await dropped(useTwo, { dialect: lasting });
    await collected(() => closed.length === 2);
    expect(closed.toSorted()).to.deep.equal(["dialect 1", "dialect 2"]);
    const beside = await dropped(useTwo, { dialect: { doClose: ({ id }) => void closed.push(`gone ${id}`) } });
    await collected(() => beside.server.live === 0);
    expect(beside.server.live).to.equal(0);
    expect(closed).to.have.length(2);
  });

  test("a close that throws, rejects or hangs hinders no other", async () => {
    const throws = () => {
      throw new Error("thrown");
    };
    for (const [fails, logged] of [
      [throws, 2],
      [() => Promise.reject(new Error("rejected")), 2],
      [() => new Promise(() => {}), 0],
    ]) {
      const { server, log } = await dropped(async (pool, { script }) => {
        await useTwo(pool);
        script.close = fails;
      });
      await collected(() => server.live === 0);
      expect(server.live).to.equal(0);
      await settled();
      expect(log.errors).to.have.length(logged);
    }
  });

  test("a pool with a lease out is not collected while its lease lives", async () => {
    const {
      server,
      kept: lease,
      clock,
    } = await dropped(async (pool) => {
      await useTwo(pool);
      return pool.connect();
    });
    await collected();
    expect(server.live).to.equal(2);
    const { id } = lease.connection;
    await lease.close();
    expect(server.calls.at(-1)).to.equal(`rollback ${id}`);
    expect(clock.due.size).to.equal(0);
  });

  test("nor while a caller waits, nor while use() runs", async () => {
    let finish;
    const { server, kept } = await dropped(
      (pool) => {
        const using = pool.use(() => new Promise((resolve) => (finish = resolve)));
        return { using, waiting: pool.use(({ id }) => id) };
      },
      { poolSize: 1, maxOverflow: 0 },
    );
    await collected();
    finish("done");
    expect(await kept.using).to.equal("done");
    expect(await kept.waiting).to.equal(1);
    await collected(() => server.live === 0);
    expect(server.live).to.equal(0);
  });

  test("a connection of a lost or detached lease is its user's: it stays open", async () => {
    // A lost lease that is found before the pool keeps the pool for its grace of 30 s.
    const options = { trackLeaks: false };
    const { server, kept } = await dropped(async (pool) => {
      const detached = await pool.connect();
      await detached.detach();
      const { connection } = await pool.connect();
      await pool.use(() => {});
      return { connection, detached: detached.connection };
    }, options);
    await collected(() => server.live === 2);
    await collected();
    expect(server.live).to.equal(2);
    expect([kept.connection.closed, kept.detached.closed]).to.deep.equal([0, 0]);
  });

  test("a closed pool leaves nothing to close", async () => {
    const { server, log } = await dropped(async (pool) => {
      await useTwo(pool);
      await pool.close();
    });
    await collected();
    expect(server.closedTwice).to.equal(0);
    expect(log.of("warn")).to.deep.equal([]);
  });

  test("a pool that is kept keeps its connections", async () => {
    const context = scriptedKind(QueuePool);
    await useTwo(context.pool);
    await collected();
    expect(context.server.live).to.equal(2);
    await expectSound(context);
  });
};
