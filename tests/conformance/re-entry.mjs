// Creators, drivers, dialects and loggers that call the pool back while it is calling them: nothing of the pool is
// half done while foreign code runs.

import { expect } from "chai";
import { AssertionPool, PoolClosedError, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import {
  connects,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";
import { pings, scriptedKind } from "./scripted-kind.mjs";

const gone = new Error("gone");

/** What the foreign code does to the pool, and to the leases that are out. */
const actions = {
  connect: ({ pool, leases }) =>
    void pool.connect().then(
      (lease) => leases.push(lease),
      () => {},
    ),
  use: ({ pool }) => void pool.use(() => {}).catch(() => {}),
  "connect and abort": ({ pool }) => {
    const controller = new AbortController();
    pool.connect({ signal: controller.signal }).then(
      (lease) => lease.close(),
      () => {},
    );
    controller.abort(gone);
  },
  dispose: ({ pool }) => void pool.dispose(),
  invalidateAll: ({ pool }) => pool.invalidateAll(),
  "close every lease": ({ leases }) => leases.forEach((lease) => void lease.close()),
  "invalidate every lease": ({ leases }) => leases.forEach((lease) => void lease.invalidate(gone, { pool: true })),
  "detach every lease": ({ leases }) => leases.forEach((lease) => void lease.detach()),
  "close the pool": ({ pool }) => void pool.close({ timeout: "1s" }),
  "close the pool without patience": ({ pool }) => void pool.close({ timeout: 0 }),
  "read the numbers": ({ pool }) => void [pool.stats(), pool.status(), pool.checkedOut()],
};

/** Where foreign code runs. Each wires `act` in. */
const places = {
  "the creator": ({ server }, act) => void (server.script.open = act),
  rollback: ({ server }, act) => void (server.script.rollback = act),
  close: ({ server }, act) => void (server.script.close = act),
  terminate: ({ server }, act) => void (server.script.terminate = act),
  inTransaction: ({ dialect }, act) => void (dialect.inTransaction = () => (act(), true)),
  onDisconnect: ({ dialect }, act) => void (dialect.onDisconnect = () => (act(), () => {})),
  "the end of onDisconnect": ({ dialect }, act) => void (dialect.onDisconnect = () => act),
  "the logger": ({ server, log }, act) => {
    server.script.rollback = () => Promise.reject(gone);
    log.error = act;
  },
};

/** Comes by every place: opens, returns, waits, invalidates, replaces, detaches, disposes. */
async function visitEverything({ pool, leases }) {
  const ignore = () => {};
  leases.push(
    ...(await Promise.all([pool.connect(), pool.connect()].map((promise) => promise.catch(ignore)))).filter(Boolean),
  );
  const waiters = Array.from({ length: 3 }, () => pool.use(() => settled(2)).catch(ignore));
  await leases[0]?.close();
  await leases[1]?.invalidate(gone);
  await Promise.all(waiters);
  pool.invalidateAll();
  await pool.use((_, lease) => lease.detach()).catch(ignore);
  await pool.use(ignore).catch(ignore);
  await pool.dispose();
  await pool.use(ignore).catch(ignore);
}

async function reenter(wire, action, isLater) {
  const dialect = {};
  const context = {
    ...scriptedPool({ poolSize: 2, maxOverflow: 0, dialect, driverTimeout: "5s" }),
    dialect,
    leases: [],
  };
  let calls = 0;
  wire(context, () => {
    // A bounded number of times: a creator that always asks the pool for a connection would never end.
    if (++calls > 3) return undefined;
    if (!isLater) return action(context);
    return settled(2).then(() => action(context));
  });
  const visit = visitEverything(context);
  await pass(context.clock, 40_000);
  // A return may call the place, and that check out once more.
  for (let round = 0; round < 4; round++) {
    context.leases.forEach((lease) => void lease.close());
    await pass(context.clock, 40_000);
  }
  return { context, visited: await stateOf(visit), calls };
}

export default (test) => {
  for (const [place, wire] of Object.entries(places)) {
    test(`whatever ${place} does to the pool, at once or later, no caller hangs and no slot is lost`, async () => {
      for (const isLater of [false, true]) {
        for (const [name, action] of Object.entries(actions)) {
          const note = `${place}: ${name}${isLater ? ", later" : ""}`;
          const { context, visited, calls } = await reenter(wire, action, isLater);
          expect(visited, note).to.equal("fulfilled");
          expect(calls, `${note}: the place was visited`).to.be.above(0);
          await expectSound(context, note);
        }
      }
    });
  }

  test("connect() from inside a creator opens another connection, for either its own", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    let inner;
    server.script.open = () => {
      server.script = {};
      inner = pool.connect();
    };
    const outer = await pool.connect();
    expect([outer.connection.id, (await inner).connection.id].toSorted()).to.deep.equal([1, 2]);
    expect(pool.stats()).to.include({ used: 2, opened: 2 });
    await outer.close();
    await (await inner).close();
    await expectSound(context);
  });

  test("connect() from inside the creator of the only slot queues behind it", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    let inner;
    server.script.open = () => {
      server.script = {};
      inner = pool.connect();
    };
    const outer = await pool.connect();
    expect(await stateOf(inner)).to.equal("pending");
    await outer.close();
    expect((await inner).connection).to.equal(server.connections[0]);
  });

  test("a creator that awaits a connection of its own full pool fails in time, and the pool goes on", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "2s" });
    const { pool, server, clock } = context;
    server.script.open = () => pool.connect();
    const outer = rejection(pool.connect());
    await pass(clock, 3_000);
    expect((await outer).code).to.equal("ERR_POOL_TIMEOUT");
    await expectSound(context);
  });

  test("pool.close() from inside a creator refuses its caller, and closes what the creator returns", async () => {
    for (const isLater of [false, true]) {
      const context = scriptedPool();
      const { pool, server } = context;
      let closed;
      server.script.open = () => {
        if (isLater) return settled(2).then(() => void (closed = pool.close()));
        closed = pool.close();
        return undefined;
      };
      expect(await rejection(pool.connect())).to.be.instanceOf(PoolClosedError);
      await closed;
      expect(server.calls).to.deep.equal(["open", "close 1"]);
      await expectSound(context);
    }
  });

  test("pool.close() inside the only checkout listener refuses its caller and ends the connection", async () => {
    for (const isLater of [false, true]) {
      const context = scriptedPool();
      const { pool, server } = context;
      await (await pool.connect()).close();
      let closed;
      let receiver = "none";
      pool.on("checkout", function () {
        receiver = this;
        closed = pool.close();
        return isLater ? settled(2) : undefined;
      });
      const refused = rejection(pool.connect());
      expect(await refused).to.be.instanceOf(PoolClosedError);
      expect(receiver).to.equal(undefined);
      await closed;
      // A listener that has ended leaves a connection that can be trusted.
      const end = isLater ? ["terminate 1"] : ["rollback 1", "close 1"];
      expect(server.calls).to.deep.equal(["open", "rollback 1", ...end]);
      await expectSound(context);
    }
  });

  test("what the only checkout listener and a rollback ask of the pool at once is answered in its turn", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await (await pool.connect()).close();
    const order = [];
    let waiter;
    pool.on("checkout", () => {
      waiter ??= pool.connect().then((lease) => (order.push("waiter"), lease));
    });
    const lease = await pool.connect();
    let last;
    server.script.rollback = () => void (last ??= pool.connect().then((next) => (order.push("last"), next)));
    await lease.close();
    await (await waiter).close();
    await (await last).close();
    expect(order).to.deep.equal(["waiter", "last"]);
    expect(pool.checkedIn()).to.equal(1);
  });

  test("dispose() from inside a creator: its caller has the connection, which is closed at its return", async () => {
    const { pool, server } = scriptedPool();
    server.script.open = () => void pool.dispose();
    const lease = await pool.connect();
    expect(lease.connection.closed).to.equal(0);
    await lease.close();
    expect(server.live).to.equal(0);
  });

  test("invalidateAll() from inside a creator marks the connection that it is opening", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    server.script.open = () => pool.invalidateAll();
    await (await pool.connect()).close();
    server.script = {};
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("closing the lease from inside its own rollback does nothing more", async () => {
    for (const again of ["close", "invalidate", "detach"]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const { pool, server } = context;
      const lease = await pool.connect();
      server.script.rollback = () => void lease[again]();
      await lease.close();
      expect(server.calls, again).to.deep.equal(["open", "rollback 1"]);
      expect(pool.stats(), again).to.include({ idle: 1, used: 0, detached: 0 });
      await expectSound(context, again);
    }
  });

  test("closing the lease from inside inTransaction does not go round in circles", async () => {
    let lease;
    let calls = 0;
    const context = scriptedPool({ dialect: { inTransaction: () => (calls++, void lease.close()) } });
    lease = await context.pool.connect();
    await lease.close();
    expect([calls, context.server.calls]).to.deep.equal([1, ["open", "rollback 1"]]);
  });

  test("connect() from inside a rollback does not get the connection that is being reset", async () => {
    const { pool, server } = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const lease = await pool.connect();
    let inner;
    server.script.rollback = () => {
      server.script = {};
      inner = pool.connect();
    };
    await lease.close();
    expect((await inner).connection.id).to.equal(2);
  });

  test("pool.close() from inside a rollback closes the connection after it", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    let closed;
    server.script.rollback = () => void (closed = pool.close());
    await lease.close();
    await closed;
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
  });

  test("pool.close() from inside a close or a terminate returns the promise of the close under way", async () => {
    for (const call of ["close", "terminate"]) {
      const { pool, server } = scriptedPool();
      const leases = await connects(pool, 3);
      if (call === "close") for (const lease of leases) await lease.close();
      const inner = [];
      server.script[call] = () => void inner.push(pool.close());
      const closed = pool.close({ timeout: 0 });
      await closed;
      expect(inner).to.deep.equal([closed, closed, closed]);
      expect(server.connections.map(({ closed: times }) => times)).to.deep.equal([1, 1, 1]);
    }
  });

  test("a lease that is detached inside the termination of another is ended by its holder, once", async () => {
    const context = scriptedPool();
    const { pool, server } = context;
    const [, second] = await connects(pool, 2);
    server.script.terminate = () => void second.detach();
    await pool.close({ timeout: 0 });
    await second.close();
    await expectSound(context);
  });

  test("dispose() waits for every close, also for those that a re-entering driver starts", async () => {
    const reentries = [
      (pool) => void pool.dispose(),
      (pool) => void pool.use(() => {}),
      (pool) => pool.invalidateAll(),
    ];
    for (const reenterPool of reentries) {
      const { pool, server } = scriptedPool({ poolSize: 3, maxOverflow: 1 });
      for (const lease of await connects(pool, 3)) await lease.close();
      const closings = [];
      server.script.close = () => {
        if (closings.length === 0) reenterPool(pool);
        closings.push(gate());
        return closings.at(-1).promise;
      };
      const disposed = pool.dispose();
      expect(closings.length).to.be.at.least(3);
      closings[0].open();
      expect(await stateOf(disposed)).to.equal("pending");
      closings.forEach(({ open }) => open());
      await disposed;
    }
  });

  test("a driver that re-enters without end does not take the stack of the pool with it", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    let rounds = 0;
    server.script.rollback = () => {
      if (++rounds < 20_000) void pool.connect().then((lease) => lease.close());
    };
    await (await pool.connect()).close();
    for (let turn = 0; rounds < 20_000 && turn < 1_000; turn++) await settled(1_000);
    expect(rounds).to.equal(20_000);
    await expectSound(context);
  });

  test("a waiter that aborts before it resumes leaves the caller that comes next alone", async () => {
    for (const hangs of [false, true]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s" });
      const { pool, server, clock } = context;
      const lease = await pool.connect();
      const [first, second] = [new AbortController(), new AbortController()];
      const aborted = rejection(pool.connect({ signal: first.signal }));
      void lease.invalidate();
      // Its slot is emptied and reserved for it; it has not resumed.
      first.abort(gone);
      if (hangs) server.script.open = never;
      const caller = pool.connect({ signal: second.signal });
      const queued = pool.connect({ signal: second.signal });
      expect(await aborted).to.equal(gone);
      if (hangs) {
        await settled();
        second.abort(new Error("enough"));
        expect((await rejection(caller)).message).to.equal("enough");
        await pass(clock, 6_000);
      } else {
        const held = await caller;
        second.abort(new Error("enough"));
        await held.close();
      }
      expect((await rejection(queued)).message).to.equal("enough");
      await expectSound(context);
    }
  });

  test("a waiter that is refused before it resumes does not end what reuses its operation's place", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0, driverTimeout: "5s" });
    const { pool, server, clock } = context;
    const leases = await connects(pool, 2);
    const controllers = [new AbortController(), new AbortController()];
    const aborted = controllers.map(({ signal }) => rejection(pool.connect({ signal })));
    for (const lease of leases) void lease.invalidate();
    for (const controller of controllers) controller.abort(gone);
    server.script.open = never;
    const callers = [pool.connect(), pool.connect()];
    expect(await Promise.all(aborted)).to.deep.equal([gone, gone]);
    await pass(clock, 6_000);
    for (const caller of callers) expect((await rejection(caller)).code).to.equal("ERR_POOL_TIMEOUT");
    await expectSound(context);
  });

  for (const place of ["the clock", "addEventListener() of the signal"])
    test(`a waiter that is served from within ${place} keeps nothing of the next waiter's`, async () => {
      const { clock, poolClock } = virtualClock();
      const context = { ...scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "10s", clock: poolClock }), clock };
      const { pool } = context;
      const lease = await pool.connect();
      const { signal } = new AbortController();
      let next;
      const act = () => {
        void lease.close();
        next ??= pool.connect();
      };
      if (place === "the clock") afterOne(poolClock, "setTimeout", act);
      else afterOne(signal, "addEventListener", act);
      const served = await pool.connect({ signal });
      const refused = rejection(next);
      await pass(clock, 11_000);
      expect((await refused).code).to.equal("ERR_POOL_TIMEOUT");
      await served.close();
      await expectSound(context);
    });

  for (const Kind of [QueuePool, StaticPool, SingletonThreadPool, AssertionPool])
    for (const options of [{}, { prePing: true, dialect: pings }])
      test(`a ${Kind.name} opens another connection if the signal ends the record, ${pinging(options)}`, async () => {
        const context = scriptedKind(Kind, options);
        const { pool, server } = context;
        let record;
        pool.on("checkout", (_connection, shown) => (record = shown));
        await (await pool.connect()).close();
        const { signal } = new AbortController();
        afterOne(signal, "addEventListener", () => record.close());
        const lease = await pool.connect({ signal });
        expect(lease.connection).to.equal(server.connections[1]);
        await lease.close();
        await expectSound(context);
      });
};

/** Calls `act` once, after the next call of a method. */
function afterOne(object, name, act) {
  const method = object[name];
  object[name] = (...given) => {
    object[name] = method;
    const result = method.apply(object, given);
    act();
    return result;
  };
}

const pinging = ({ prePing = false }) => (prePing ? "with prePing" : "without prePing");
