// The driver's own word that a connection died, through the dialect's onDisconnect.

import { expect } from "chai";
import { connects, counts, expectSound, gate, rejection, scriptedPool, settled } from "./scripted.mjs";

const gone = new Error("gone");

/** A pool whose connections can be made to die: `die(1)` is what the driver of the first one says. */
function mortalPool(options = {}) {
  const deaths = new Map();
  const unsubscribed = [];
  const onDisconnect = (connection, died) => {
    deaths.set(connection.id, died);
    return () => void unsubscribed.push(connection.id);
  };
  const context = scriptedPool({ ...options, dialect: { onDisconnect, ...options.dialect } });
  return { ...context, unsubscribed, die: (id) => deaths.get(id)(gone) };
}

export default (test) => {
  test("an idle connection that dies is terminated quietly, and its slot ends", async () => {
    const context = mortalPool({ poolSize: 2 });
    const { pool, server, log, die } = context;
    for (const lease of await connects(pool, 2)) await lease.close();
    server.calls.length = 0;
    die(1);
    expect(server.calls).to.deep.equal(["terminate 1"]);
    expect(pool.stats()).to.include({ idle: 1, total: 1, invalidated: 1 });
    expect(counts(pool)).to.deep.equal([2, 1, -1, 0]);
    expect(log.lines).to.deep.equal([]);
    expect((await pool.connect()).connection.id).to.equal(2);
    expect((await pool.connect()).connection.id).to.equal(3);
  });

  test("the other idle connections stay", async () => {
    const { pool, die } = mortalPool({ poolSize: 4 });
    for (const lease of await connects(pool, 4)) await lease.close();
    die(2);
    die(3);
    const leases = await connects(pool, 2);
    expect(leases.map(({ connection }) => connection.id)).to.deep.equal([1, 4]);
  });

  test("a connection that dies in use is terminated, and its slot serves the next caller at once", async () => {
    const context = mortalPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, log, die } = context;
    const lease = await pool.connect();
    const waiter = pool.connect();
    die(1);
    expect(server.calls.slice(0, 2)).to.deep.equal(["open", "terminate 1"]);
    const next = await waiter;
    expect(next.connection.id, "though the lease was not returned").to.equal(2);
    expect(log.lines).to.deep.equal([]);
    await next.close();
    await lease.close();
    await expectSound(context);
  });

  test("the holder of a dead connection can see it and close the lease, and change nothing", async () => {
    const context = mortalPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, die } = context;
    const ends = {
      close: (lease) => lease.close(),
      invalidate: (lease) => lease.invalidate(gone, { pool: true }),
      "soft invalidate": async (lease) => (await lease.invalidate(gone, { soft: true }), lease.close()),
      detach: async (lease) => (await lease.detach(), lease.close()),
    };
    for (const [name, end] of Object.entries(ends)) {
      const lease = await pool.connect();
      const { id } = lease.connection;
      die(id);
      expect([lease.isValid, lease.connection.id], name).to.deep.equal([true, id]);
      expect([lease.record, lease.recordInfo, lease.isDetached], "the slot is no longer its own").to.deep.equal([
        null,
        null,
        true,
      ]);
      const next = await pool.connect();
      await end(lease);
      await lease.close();
      expect(pool.stats(), name).to.include({ used: 1, total: 1 });
      await next.close();
      server.calls.length = 0;
      expect(await pool.use((connection) => connection.id), name).to.equal(id + 1);
      expect(server.calls).to.deep.equal([`rollback ${id + 1}`]);
    }
    await expectSound(context);
  });

  test("use() whose function hangs on a dead connection keeps no slot", async () => {
    const context = mortalPool({ poolSize: 1, maxOverflow: 0, dialect: { isDisconnect: (error) => error === gone } });
    const { pool, die } = context;
    const work = gate();
    const used = rejection(pool.use(() => work.promise));
    await settled();
    die(1);
    expect(await pool.use(({ id }) => id)).to.equal(2);
    work.fail(gone);
    expect(await used).to.equal(gone);
    expect(pool.stats()).to.include({ invalidated: 1, idle: 1, total: 1 });
    await expectSound(context);
  });

  test("a death during its reset ends the return at once, and is reported once", async () => {
    const context = mortalPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, log, die } = context;
    const reported = [];
    pool.on("error", (error, { operation }) => void reported.push([operation, error]));
    for (const answers of [true, false]) {
      const lease = await pool.connect();
      const { id } = lease.connection;
      const reset = gate();
      server.script.rollback = () => reset.promise;
      const closed = lease.close();
      die(id);
      if (answers) reset.fail(new Error("connection lost"));
      await closed;
      server.script = {};
    }
    expect(reported).to.deep.equal([
      ["disconnect", gone],
      ["disconnect", gone],
    ]);
    expect(log.lines).to.deep.equal([]);
    expect(pool.stats()).to.include({ total: 0, invalidated: 2 });
    await expectSound(context);
  });

  test("a death during its ping gives the same caller another connection at once", async () => {
    const context = mortalPool({ poolSize: 2, prePing: true, dialect: { doPing: () => ping.promise } });
    const { pool, server, die } = context;
    let ping = gate();
    const leases = await connects(pool, 2);
    for (const lease of leases) await lease.close();
    const caller = pool.connect();
    await settled();
    die(1);
    expect((await caller).connection.id).to.equal(3);
    ping = gate();
    ping.open(true);
    expect((await pool.connect()).connection.id, "the other one is not replaced for it").to.equal(2);
    expect(server.calls.filter((call) => call === "terminate 1")).to.have.length(1);
  });

  test("a death while idle has the others pinged if its error concerns them", async () => {
    for (const [answer, pinged] of [
      [true, [2]],
      ["connection", []],
      [false, []],
    ]) {
      const pings = [];
      const doPing = ({ id }) => (pings.push(id), true);
      const { pool, die } = mortalPool({ poolSize: 2, dialect: { doPing, isDisconnect: () => answer } });
      for (const lease of await connects(pool, 2)) await lease.close();
      die(1);
      expect((await pool.connect()).connection.id).to.equal(2);
      expect(pings).to.deep.equal(pinged);
    }
  });

  test("a listener of the death may return the lease, or ask for another connection", async () => {
    for (const act of [(lease) => lease.close(), (lease, pool) => pool.use(() => {}), (lease, pool) => pool.close()]) {
      const context = mortalPool({ poolSize: 1, maxOverflow: 0 });
      const { pool, die } = context;
      const lease = await pool.connect();
      let done;
      pool.on("error", () => void (done = act(lease, pool)));
      die(1);
      await done;
      await lease.close();
      await expectSound(context);
    }
  });

  test("a connection that dies while it is reset is not handed out again", async () => {
    const { pool, server, die } = mortalPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const closed = lease.close();
    die(1);
    reset.open();
    await closed;
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("a connection that dies while onDisconnect subscribes is replaced for its caller", async () => {
    let calls = 0;
    const dialect = {
      onDisconnect(_, died) {
        if (++calls === 1) died(gone);
        return () => {};
      },
    };
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, dialect });
    const { pool, server } = context;
    const lease = await pool.connect();
    expect(lease.connection.id).to.equal(2);
    expect(server.calls).to.deep.equal(["open", "terminate 1", "open"]);
    await lease.close();
    await expectSound(context);
  });

  test("a connection whose caller has left dies when it arrives: the next caller has another one", async () => {
    let calls = 0;
    const dialect = {
      onDisconnect(_, died) {
        if (++calls === 1) died(gone);
        return () => {};
      },
    };
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, dialect });
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal }).catch(() => {});
    controller.abort(gone);
    await caller;
    opening.open();
    await settled();
    server.script = {};
    const lease = await pool.connect();
    expect(lease.connection.id).to.equal(2);
    await lease.close();
    await expectSound(context);
  });

  test("a death that is reported twice, or by its own termination, counts once", async () => {
    const { pool, server, die, unsubscribed } = mortalPool({ poolSize: 2 });
    await (await pool.connect()).close();
    server.script.terminate = () => die(1);
    die(1);
    die(1);
    await settled();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
    expect(pool.stats()).to.include({ total: 0, invalidated: 1 });
    expect(unsubscribed).to.deep.equal([1]);
  });

  test("what a driver says of a connection that has left its slot does not touch the slot's next one", async () => {
    const leave = {
      invalidate: (lease) => lease.invalidate(),
      detach: (lease) => lease.detach(),
      "soft invalidate": async (lease) => (await lease.invalidate(undefined, { soft: true }), lease.close()),
      dispose: async (lease, pool) => (await lease.close(), pool.dispose()),
    };
    for (const [name, end] of Object.entries(leave)) {
      const { pool, die } = mortalPool({ poolSize: 1, maxOverflow: 0 });
      await end(await pool.connect(), pool);
      await (await pool.connect()).close();
      die(1);
      expect(pool.stats(), name).to.include({ idle: 1, opened: 2 });
      expect((await pool.connect()).connection.id, name).to.equal(2);
    }
  });

  test("unsubscribe is called once for each connection, when it leaves the pool, and not before", async () => {
    const { pool, server, unsubscribed } = mortalPool({ poolSize: 4 });
    const [closed, invalidated, detached, other] = await connects(pool, 4);
    await detached.detach();
    expect(unsubscribed).to.deep.equal([3]);
    await invalidated.invalidate();
    expect(unsubscribed).to.deep.equal([3, 2]);
    await closed.close();
    await other.close();
    expect(unsubscribed, "kept while they are idle").to.deep.equal([3, 2]);
    await detached.close();
    await pool.dispose();
    expect(unsubscribed.toSorted()).to.deep.equal([1, 2, 3, 4]);
    const stale = await pool.connect();
    await stale.invalidate(undefined, { soft: true });
    await stale.close();
    await pool.connect();
    expect(unsubscribed.slice(4)).to.deep.equal([5]);
    await pool.close({ timeout: "0s" });
    expect(unsubscribed.slice(4)).to.deep.equal([5, 6]);
    expect(server.live).to.equal(0);
  });

  test("the driver is listened to until its close has ended: an error on the way out has a listener", async () => {
    const { pool, server, unsubscribed } = mortalPool();
    await (await pool.connect()).close();
    const closing = gate();
    server.script.close = () => closing.promise;
    const disposed = pool.dispose();
    expect(unsubscribed).to.deep.equal([]);
    closing.open();
    await disposed;
    expect(unsubscribed).to.deep.equal([1]);
  });

  test("a connection that is ended through its record is listened to until then, too", async () => {
    const { pool, server, unsubscribed } = mortalPool();
    const lease = await pool.connect();
    const ending = gate();
    server.script.terminate = () => ending.promise;
    const { record } = lease;
    const ended = record.invalidate();
    expect([record.connection, unsubscribed]).to.deep.equal([null, []]);
    ending.open();
    await ended;
    expect(unsubscribed).to.deep.equal([1]);
    await lease.close();
  });

  test("an onDisconnect that throws is logged; the connection is used without it", async () => {
    const failure = new Error("bad dialect");
    const context = mortalPool({ dialect: { onDisconnect: () => thrower(failure) } });
    const { pool, log } = context;
    expect(await pool.use(({ id }) => id)).to.equal(1);
    expect(log.errors).to.deep.equal([failure]);
    await expectSound(context);
  });

  test("an onDisconnect that answers nothing is no fault", async () => {
    for (const answer of [undefined, null]) {
      const context = mortalPool({ dialect: { onDisconnect: () => answer } });
      const { pool, log } = context;
      await pool.use(() => {});
      await (await pool.connect()).invalidate();
      await expectSound(context);
      expect(log.lines).to.deep.equal([]);
    }
  });

  test("an unsubscribe that throws is logged, and the pool goes on", async () => {
    const failure = new Error("bad dialect");
    const context = mortalPool({ dialect: { onDisconnect: () => () => thrower(failure) } });
    const { pool, log } = context;
    await (await pool.connect()).invalidate();
    const lease = await pool.connect();
    await lease.detach();
    await lease.close();
    await pool.use(() => {});
    await pool.dispose();
    expect(log.errors).to.deep.equal([failure, failure, failure]);
    await expectSound(context);
  });

  test("a death while the pool drains ends the pool like any return", async () => {
    const context = mortalPool();
    const { pool, server, die } = context;
    const lease = await pool.connect();
    const closed = pool.close();
    die(1);
    await lease.close();
    await closed;
    expect(server.connections[0].closed).to.equal(1);
    die(1);
    await expectSound(context);
  });

  test("when an idle connection dies its capacity is there for the next caller at once", async () => {
    const { pool, server, die } = mortalPool({ poolSize: 1, maxOverflow: 0 });
    await (await pool.connect()).close();
    const termination = gate();
    server.script.terminate = () => termination.promise;
    die(1);
    const caller = pool.connect();
    await settled();
    expect(pool.stats()).to.include({ closing: 1, waiting: 1 });
    termination.open();
    expect((await caller).connection.id).to.equal(2);
  });
};

function thrower(error) {
  throw error;
}
