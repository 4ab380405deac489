// The option `scope`: a function that names the current scope gives each key connections, waiters and limits of its
// own. Which I/O context is current in Workers is for tests/integration/workers.

import { expect } from "chai";
import { ArgumentError, NullPool, PoolClosedError, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { pings, scriptedKind } from "./scripted-kind.mjs";
import { gate, isWorkers, never, pass, rejection, scriptedPool, settled, stateOf, thrown } from "./scripted.mjs";

/** A pool whose current scope is whatever `at.key` is. */
function scopedPool(options = {}, Kind = QueuePool) {
  const at = { key: undefined };
  return { at, ...scriptedKind(Kind, { scope: () => at.key, ...options }) };
}

/** Runs in the scope of a key. */
function within({ at }, key, run) {
  at.key = key;
  try {
    return run();
  } finally {
    at.key = undefined;
  }
}

const idOf = (lease) => lease.connection.id;

export default function (test) {
  test("each key has connections of its own, and so has no key", async () => {
    const context = scopedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const [a, b] = [{}, {}];
    const leases = await Promise.all([undefined, a, b].map((key) => within(context, key, () => pool.connect())));
    expect(leases.map(idOf)).to.deep.equal([1, 2, 3]);
    await Promise.all(leases.map((lease) => lease.close()));
    for (const [place, key] of [undefined, a, b].entries()) {
      const lease = await within(context, key, () => pool.connect());
      expect(idOf(lease)).to.equal(place + 1);
      await lease.close();
    }
    expect(server.live).to.equal(3);
  });

  test("the key that connect() is given goes before the function's", async () => {
    const context = scopedPool();
    const { pool } = context;
    const [a, b] = [{}, {}];
    const lease = await within(context, a, () => pool.connect({ scope: b }));
    await lease.close();
    expect(await within(context, b, () => pool.use(({ id }) => id))).to.equal(1);
    expect(await pool.use(({ id }) => id, { scope: b })).to.equal(1);
    expect(await within(context, a, () => pool.use(({ id }) => id))).to.equal(2);
  });

  test("a record names the key of its scope, for the creator too, and keeps no key", async () => {
    const context = scopedPool();
    const { pool, server } = context;
    const seen = [];
    server.script.open = (record) => void seen.push(record.scope);
    const [a, b] = [{}, {}];
    const lease = await within(context, a, () => pool.connect());
    const other = await within(context, undefined, () => pool.connect({ scope: b }));
    const plain = await within(context, undefined, () => pool.connect());
    expect(seen).to.deep.equal([a, b, undefined]);
    expect([lease, other, plain].map(({ record }) => record.scope)).to.deep.equal([a, b, undefined]);
    expect(seen[0]).to.equal(a);
    expect(lease.record.scope).to.equal(a);
    await within(context, a, () => lease.close());
    for (const held of [other, plain]) await held.close();
  });

  test("a key changes nothing where the scope is the isolate", async () => {
    const { pool } = scriptedPool({ scope: "isolate" });
    expect(await pool.use(({ id }) => id, { scope: {} })).to.equal(1);
    expect(await pool.use(({ id }) => id)).to.equal(1);
    await pool.endScope({});
    expect(await pool.use(({ id }) => id)).to.equal(1);
  });

  test("waiters wait for the connections of their own scope", async () => {
    const context = scopedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, clock } = context;
    const [a, b] = [{}, {}];
    const [first, other] = [
      await within(context, a, () => pool.connect()),
      await within(context, b, () => pool.connect()),
    ];
    const waiting = within(context, a, () => pool.connect({ timeout: "5s" }));
    const late = rejection(within(context, b, () => pool.connect({ timeout: "1s" })));
    await first.close();
    expect(idOf(await waiting)).to.equal(1);
    await pass(clock, 1_100);
    expect((await late).code).to.equal("ERR_POOL_TIMEOUT");
    await other.close();
  });

  test("a listener of the pool is called for every scope, and of the first connection once", async () => {
    const context = scopedPool();
    const { pool } = context;
    const heard = [];
    pool.on("firstConnect", ({ id }) => void heard.push(`first ${id}`));
    await within(context, {}, () => pool.use(() => {}));
    pool.on("checkout", ({ id }) => void heard.push(`checkout ${id}`));
    const key = {};
    await within(context, key, () => pool.use(() => {}));
    const stop = pool.on("checkin", ({ id }) => void heard.push(`checkin ${id}`));
    await within(context, key, () => pool.use(() => {}));
    stop();
    await within(context, key, () => pool.use(() => {}));
    expect(heard).to.deep.equal(["first 1", "checkout 2", "checkout 2", "checkin 2", "checkout 2"]);
  });

  test("numbers are those of the current scope, or of all; counters are the pool's", async () => {
    const context = scopedPool({ poolSize: 3, maxOverflow: 1 });
    const { pool } = context;
    const [a, b] = [{}, {}];
    const lease = await within(context, a, () => pool.connect());
    await within(context, b, () => pool.use(() => {}));
    expect(within(context, a, () => pool.stats())).to.include({
      total: 1,
      used: 1,
      idle: 0,
      opened: 2,
      checkouts: 2,
      max: 4,
    });
    expect(within(context, b, () => pool.stats({ scope: "current" }))).to.include({
      total: 1,
      used: 0,
      idle: 1,
      opened: 2,
    });
    expect(pool.stats({ scope: "all" })).to.include({ total: 2, used: 1, idle: 1, opened: 2 });
    const unseen = {};
    expect(within(context, unseen, () => pool.stats())).to.include({ total: 0, opened: 2, max: 4 });
    expect(
      within(context, unseen, () => [pool.size(), pool.checkedIn(), pool.overflow(), pool.checkedOut()]),
    ).to.deep.equal([3, 0, -3, 0]);
    expect(within(context, a, () => pool.checkedOut())).to.equal(1);
    expect(within(context, a, () => pool.status())).to.contain("1 in use");
    await lease.close();
  });

  test("endScope() closes what is idle, and leases at their return", async () => {
    const context = scopedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    const [a, b] = [{}, {}];
    const [idle, lent] = await within(context, a, () => Promise.all([pool.connect(), pool.connect()]));
    await within(context, b, () => pool.use(() => {}));
    await idle.close();
    expect(await stateOf(pool.endScope(a))).to.equal("fulfilled");
    expect(server.calls.at(-1)).to.equal("close 1");
    expect(idOf(lent)).to.equal(2);
    await lent.close();
    expect(server.calls.slice(-2)).to.deep.equal(["rollback 2", "close 2"]);
    expect(await within(context, b, () => pool.use(({ id }) => id)), "the other scope goes on").to.equal(3);
    expect(pool.closed).to.equal(false);
  });

  test("a waiter of a scope that ends is refused", async () => {
    const context = scopedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool } = context;
    const key = {};
    const lease = await within(context, key, () => pool.connect());
    const waiting = rejection(within(context, key, () => pool.connect()));
    await pool.endScope(key);
    const error = await waiting;
    expect(error).to.be.instanceOf(PoolClosedError);
    expect(error.message).to.contain("this scope of the pool scripted has ended: endScope()");
    await lease.close();
  });

  test("a key whose scope has ended begins a new one", async () => {
    const context = scopedPool();
    const key = {};
    await within(context, key, () => context.pool.use(() => {}));
    await context.pool.endScope(key);
    await context.pool.endScope(key);
    expect(await within(context, key, () => context.pool.use(({ id }) => id))).to.equal(2);
    expect(context.server.calls).to.include("close 1");
  });

  test("a connection that arrives for a scope that has ended is closed", async () => {
    const context = scopedPool();
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const key = {};
    const waiting = rejection(within(context, key, () => pool.connect()));
    await settled();
    await pool.endScope(key);
    expect(await waiting).to.be.instanceOf(PoolClosedError);
    opening.open();
    await settled();
    expect([server.connections.length, server.live]).to.deep.equal([1, 0]);
  });

  test("dispose() closes the connections of every scope; in Workers those of others at their next call", async () => {
    const context = scopedPool();
    const { pool, server } = context;
    const [a, b] = [{}, {}];
    for (const key of [a, b]) await within(context, key, () => pool.use(() => {}));
    await within(context, a, () => pool.dispose());
    expect(server.calls.filter((call) => call.startsWith("close"))).to.have.members(
      isWorkers ? ["close 1"] : ["close 1", "close 2"],
    );
    expect(await within(context, b, () => pool.use(({ id }) => id))).to.equal(3);
    expect(server.calls).to.include("close 2");
    expect(server.live).to.equal(1);
  });

  test("invalidateAll() reaches every scope", async () => {
    const context = scopedPool();
    const { pool } = context;
    const [a, b] = [{}, {}];
    for (const key of [a, b]) await within(context, key, () => pool.use(() => {}));
    pool.invalidateAll();
    expect(await within(context, a, () => pool.use(({ id }) => id))).to.equal(3);
    expect(await within(context, b, () => pool.use(({ id }) => id))).to.equal(4);
  });

  test("close() ends every scope, new ones too; in Workers others notice at their next call", async () => {
    const context = scopedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const [a, b] = [{}, {}];
    const lease = await within(context, b, () => pool.connect());
    const waiting = rejection(within(context, b, () => pool.connect()));
    await within(context, a, () => pool.use(() => {}));
    const closed = within(context, a, () => pool.close());
    expect(pool.closed).to.equal(true);
    for (const key of [a, b, {}, undefined])
      expect(await rejection(within(context, key, () => pool.connect()))).to.be.instanceOf(PoolClosedError);
    expect(await waiting).to.be.instanceOf(PoolClosedError);
    expect(await stateOf(closed)).to.equal(isWorkers ? "fulfilled" : "pending");
    await lease.close();
    await closed;
    expect(server.live).to.equal(0);
  });

  test("close() terminates what is out in any scope when its time has ended", async () => {
    if (isWorkers) return;
    const context = scopedPool();
    const { pool, server, clock } = context;
    for (const key of [{}, {}]) await within(context, key, () => pool.connect());
    const closed = pool.close({ timeout: "1s" });
    await pass(clock, 1_100);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
  });

  test("close() terminates what is out in a scope that has ended, too", async () => {
    if (isWorkers) return;
    const context = scopedPool();
    const { pool, server, clock } = context;
    const key = {};
    await within(context, key, () => pool.connect());
    await pool.endScope(key);
    const closed = pool.close({ timeout: "1s" });
    await pass(clock, 1_100);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
  });

  test("a second close() hastens the first in a scope that has ended since, too", async () => {
    if (isWorkers) return;
    const context = scopedPool();
    const { pool, server } = context;
    const key = {};
    await within(context, key, () => pool.connect());
    const closed = pool.close({ timeout: "20s" });
    await pool.endScope(key);
    void pool.close({ timeout: 0 });
    await settled();
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
  });

  test("no step ends early because the pool was closed while the timer of an ended scope ran", async () => {
    if (isWorkers) return;
    const context = scopedPool({ driverTimeout: "4s" });
    const { pool, server, clock } = context;
    const key = {};
    const lease = await within(context, key, () => pool.connect());
    server.script.rollback = never;
    void lease.close();
    await pool.endScope(key);
    await pass(clock, 500);
    void pool.close({ timeout: "20s" });
    await pass(clock, 3_495);
    expect(server.live).to.equal(1);
    await pass(clock, 100);
    expect(server.live).to.equal(0);
  });

  test("close() settles where scopes have no connection any more, or never had one", async () => {
    const open = {
      NullPool: (pool) => pool.use(() => {}),
      QueuePool: (pool) => pool.use(() => {}).then(() => pool.dispose()),
    };
    for (const Kind of [NullPool, QueuePool]) {
      const context = scopedPool({}, Kind);
      const { pool, server } = context;
      const keys = [{}, {}];
      for (const key of keys) await within(context, key, () => open[Kind.name](pool));
      for (const key of keys) await within(context, key, () => pool.dispose());
      const closed = keys.map((key) => within(context, key, () => pool.close()));
      await settled();
      for (const promise of [...closed, pool.close()]) expect(await stateOf(promise)).to.equal("fulfilled");
      expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
    }
  });

  test("close() with a timeout of 0 settles with leases out in several scopes", async () => {
    const context = scopedPool();
    const { pool, server } = context;
    const keys = [{}, {}, undefined];
    await Promise.all(keys.map((key) => within(context, key, () => pool.connect())));
    const closed = keys.map((key) => within(context, key, () => pool.close({ timeout: 0 })));
    for (const promise of closed) expect(await stateOf(promise)).to.equal("fulfilled");
    expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
  });

  test("a scope function that throws keeps neither close() nor dispose() from their work", async () => {
    let isBroken = false;
    const { pool, server } = scriptedPool({
      scope: () => {
        if (isBroken) throw new Error("no store");
        return undefined;
      },
    });
    await pool.use(() => {});
    isBroken = true;
    await pool.dispose();
    await pool.close();
    expect(pool.closed).to.equal(true);
    // In Workers no caller but its own scope may touch the connection, and none can tell which that is.
    if (!isWorkers) expect(server.live).to.equal(0);
  });

  test("recreate() takes the scope function along", async () => {
    const context = scopedPool();
    const next = context.pool.recreate();
    const key = {};
    await within(context, key, () => next.use(() => {}));
    expect(await within(context, {}, () => next.use(({ id }) => id))).to.equal(2);
    expect(await within(context, key, () => next.use(({ id }) => id))).to.equal(1);
  });

  test("warm() fills the current scope", async () => {
    const context = scopedPool({ poolSize: 2 });
    const key = {};
    await within(context, key, () => context.pool.warm());
    expect(within(context, key, () => context.pool.stats().idle)).to.equal(2);
    expect(context.pool.stats().idle).to.equal(0);
  });

  test("a SingletonThreadPool has one connection for each key, and shares it within", async () => {
    const context = scopedPool({}, SingletonThreadPool);
    const { pool } = context;
    const [a, b] = [{}, {}];
    const leases = [];
    for (const key of [a, a, b]) leases.push(await within(context, key, () => pool.connect()));
    expect(leases.map(idOf)).to.deep.equal([1, 1, 2]);
    await Promise.all(leases.map((lease) => lease.close()));
    expect(await within(context, a, () => pool.use(({ id }) => id))).to.equal(1);
  });

  for (const Kind of [NullPool, StaticPool]) {
    test(`a ${Kind.name} has scopes, too`, async () => {
      const context = scopedPool({}, Kind);
      const [a, b] = [{}, {}];
      const leases = await Promise.all([a, b].map((key) => within(context, key, () => context.pool.connect())));
      expect(leases.map(idOf)).to.deep.equal([1, 2]);
      await Promise.all(leases.map((lease) => lease.close()));
    });
  }

  test("a ping of one scope does not hold up another", async () => {
    const context = scopedPool({ prePing: true, dialect: pings });
    const { pool, server } = context;
    const [a, b] = [{}, {}];
    for (const key of [a, b]) await within(context, key, () => pool.use(() => {}));
    const ping = gate();
    server.script.ping = ({ id }) => (id === 1 ? ping.promise : true);
    const slow = within(context, a, () => pool.use(({ id }) => id));
    expect(await within(context, b, () => pool.use(({ id }) => id))).to.equal(2);
    ping.open(true);
    expect(await slow).to.equal(1);
  });

  test("a scope that is neither a word nor a function is refused, with what it may be", () => {
    for (const scope of ["request", 1, null, {}]) {
      const error = thrown(() => new QueuePool(() => ({}), { scope, loggingName: "mine" }));
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.match(/^scope must be "auto", "isolate", or a function/);
    }
  });

  test("a function that answers no object is refused where it is asked, with its answer", async () => {
    for (const key of ["a", 7, null]) {
      const context = scopedPool();
      const error = await rejection(within(context, key, () => context.pool.connect()));
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.contain("scope must return an object").and.to.contain(String(key));
      expect(within(context, key, () => thrown(() => context.pool.stats()))).to.be.instanceOf(ArgumentError);
    }
  });

  test("a function that answers a promise is refused: each would be a new scope", async () => {
    const { pool } = scriptedPool({ scope: async () => ({}) });
    expect((await rejection(pool.connect())).message).to.contain("it returned a promise");
  });

  test("what the function throws rejects connect() as it is", async () => {
    const failure = new Error("no store");
    const { pool } = scriptedPool({
      scope: () => {
        throw failure;
      },
    });
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(await rejection(pool.use(() => {}))).to.equal(failure);
  });

  test("a key that is no object is refused by connect(), endScope() and stats()", async () => {
    const { pool } = scriptedPool();
    for (const scope of ["a", 7, null]) {
      expect((await rejection(pool.connect({ scope }))).message).to.match(/^scope of connect\(\) must be an object/);
    }
    const context = scopedPool();
    expect((await rejection(context.pool.endScope("a"))).message).to.contain(
      'endScope() wants the key of a scope, an object; it got "a"',
    );
    expect(thrown(() => pool.stats({ scope: "mine" })).message).to.contain('must be "current" or "all"; it is "mine"');
    expect(thrown(() => pool.stats({ all: true })).message).to.contain('"all"');
  });

  test("the isolate is the only scope where none is asked for", async () => {
    if (isWorkers) return;
    const { pool } = scriptedPool();
    await pool.use(() => {});
    expect(pool.stats()).to.deep.equal(pool.stats({ scope: "all" }));
  });
}
