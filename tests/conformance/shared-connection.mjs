// StaticPool and SingletonThreadPool: one connection, shared by every caller, each with a lease of its own. Callers
// wait while it opens and while it is reset; only the last close resets and checks in; no caller can end what another
// holds twice.

import { expect } from "chai";
import { PoolClosedError, PoolTimeoutError, SingletonThreadPool, StaticPool } from "edgepool";
import {
  connects,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  rejectionTime,
  settled,
  stateOf,
  thrown,
} from "./scripted.mjs";
import { newCalls, pings, scriptedKind, traced } from "./scripted-kind.mjs";

const down = new Error("down");
const gone = new Error("gone");
const enough = new Error("enough");
const kinds = { StaticPool, SingletonThreadPool };

/** How the shared connection gets stale. */
const stales = {
  "a soft invalidation": ({ leases }) => leases[0].invalidate(undefined, { soft: true }),
  "invalidateAll()": ({ pool }) => pool.invalidateAll(),
  "dispose()": ({ pool }) => pool.dispose(),
  "record.invalidate()": ({ leases }) => leases[0].record.invalidate(gone),
  "record.close()": ({ leases }) => leases[0].record.close(),
};

export default (test) => {
  for (const [name, Kind] of Object.entries(kinds)) {
    test(`${name}: a connection that grows old while shared serves all sharers, then is replaced`, async () => {
      for (const recycle of [0, "1s"]) {
        const context = scriptedKind(Kind, { recycle });
        const { pool, server, clock } = context;
        const leases = [];
        for (let i = 0; i < 20; i++) {
          leases.push(await pool.connect());
          await pass(clock, 1_500);
        }
        expect(leases.map(({ connection }) => connection.id)).to.deep.equal(leases.map(() => 1));
        expect(server.connections.filter(({ closed }) => !closed)).to.have.length(1);
        for (const lease of leases) await lease.close();
        const next = await pool.connect();
        expect(next.connection.id).to.equal(2);
        await next.close();
        await expectSound(context);
      }
    });

    test(`${name}: callers that come while the connection opens wait for it: one opening for all`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      const callers = Array.from({ length: 4 }, () => pool.connect());
      await settled();
      expect(server.calls).to.deep.equal(["open"]);
      opening.open();
      const leases = await Promise.all(callers);
      expect(new Set(leases).size).to.equal(4);
      expect(leases.map(({ connection }) => connection.id)).to.deep.equal([1, 1, 1, 1]);
      expect(pool.stats()).to.include({ opened: 1, checkouts: 4 });
      for (const lease of leases) await lease.close();
      await expectSound(context);
    });

    test(`${name}: callers that waited are served in the order of their arrival`, async () => {
      const { pool, server } = scriptedKind(Kind);
      const opening = gate();
      server.script.open = () => opening.promise;
      const served = [];
      const callers = Array.from({ length: 5 }, (_, number) => pool.connect().then(() => served.push(number)));
      opening.open();
      await Promise.all(callers);
      expect(served).to.deep.equal([0, 1, 2, 3, 4]);
    });

    test(`${name}: the connection and its record are one; each lease is its own; the slot counts once`, async () => {
      const { pool } = scriptedKind(Kind);
      const leases = await connects(pool, 3);
      const [first] = leases;
      for (const lease of leases) {
        expect(lease.connection).to.equal(first.connection);
        expect(lease.record).to.equal(first.record);
        expect(lease.info).to.equal(first.info);
      }
      expect(pool.stats()).to.include({ total: 1, used: 1, idle: 0, opened: 1, checkouts: 3 });
    });

    test(`${name}: only the last close resets and checks in, in whatever order the leases come back`, async () => {
      for (const order of [
        [0, 1, 2],
        [2, 1, 0],
        [1, 2, 0],
        [0, 2, 1],
      ]) {
        const context = traced(scriptedKind(Kind));
        const { pool } = context;
        const leases = await connects(pool, 3);
        newCalls(context);
        const [first, second, last] = order.map((number) => leases[number]);
        await first.close();
        await second.close();
        expect(newCalls(context), String(order)).to.deep.equal([]);
        expect([last.isValid, pool.stats().used], String(order)).to.deep.equal([true, 1]);
        await last.close();
        expect(newCalls(context), String(order)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1"]);
        expect(pool.stats(), String(order)).to.include({ used: 0, idle: 1 });
      }
    });

    test(`${name}: a lease that was closed is ended, while another goes on with the connection`, async () => {
      const { pool } = scriptedKind(Kind);
      const [first, second] = await connects(pool, 2);
      await first.close();
      expect([first.isValid, first.isDetached, first.record]).to.deep.equal([false, true, null]);
      expect(thrown(() => first.connection).code).to.equal("ERR_POOL_INVALID_REQUEST");
      expect([second.isValid, second.isDetached, second.connection.id]).to.deep.equal([true, false, 1]);
    });

    test(`${name}: closing one lease twice, or more, does not take another's count`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool, server } = context;
      const [first, second] = await connects(pool, 2);
      newCalls(context);
      const closed = first.close();
      for (let round = 0; round < 3; round++) expect(first.close()).to.equal(closed);
      await closed;
      await first.invalidate(gone);
      await first.invalidate(gone, { pool: true });
      await first.detach();
      expect(newCalls(context)).to.deep.equal([]);
      expect([second.isValid, second.connection.closed]).to.deep.equal([true, 0]);
      await second.close();
      expect(newCalls(context)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1"]);
      const third = await pool.connect();
      await first.close();
      await second.close();
      expect([third.isValid, third.connection, pool.stats().used]).to.deep.equal([true, server.connections[0], 1]);
      await third.close();
      await expectSound(context);
    });

    test(`${name}: a failure is the opener's alone; the next in line opens, and the others share`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const openings = [gate(), gate()];
      let number = 0;
      server.script.open = () => openings[number++].promise;
      const first = rejection(pool.connect());
      const others = [pool.connect(), pool.connect()];
      openings[0].fail(down);
      expect(await first).to.equal(down);
      await settled();
      expect(server.calls).to.deep.equal(["open", "open"]);
      openings[1].open();
      const leases = await Promise.all(others);
      expect(leases.map(({ connection }) => connection.id)).to.deep.equal([1, 1]);
      for (const lease of leases) await lease.close();
      await expectSound(context);
    });

    test(`${name}: when every opening fails no caller hangs`, async () => {
      for (const open of [
        () => {
          throw down;
        },
        () => Promise.reject(down),
      ]) {
        const context = scriptedKind(Kind);
        const { pool, server } = context;
        server.script.open = open;
        const errors = await Promise.all(Array.from({ length: 3 }, () => rejection(pool.connect())));
        expect(errors).to.deep.equal([down, down, down]);
        expect(pool.stats()).to.include({ total: 0, waiting: 0 });
        await expectSound(context);
      }
    });

    test(`${name}: a connect listener that fails is the opener's failure; the next in line opens`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const listening = gate();
      pool.on("connect", () => listening.promise, { once: true });
      const first = rejection(pool.connect());
      const second = pool.connect();
      await settled();
      listening.fail(down);
      expect(await first).to.equal(down);
      expect((await second).connection.id).to.equal(2);
      expect(server.connections[0].closed).to.equal(1);
      await (await second).close();
      await expectSound(context);
    });

    test(`${name}: when the opener aborts, its opening goes on for the waiters`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      const controller = new AbortController();
      const first = rejection(pool.connect({ signal: controller.signal }));
      const others = [pool.connect(), pool.connect()];
      controller.abort(enough);
      expect(await first).to.equal(enough);
      opening.open();
      const leases = await Promise.all(others);
      expect(leases.map(({ connection }) => connection.id)).to.deep.equal([1, 1]);
      expect(server.calls).to.deep.equal(["open"]);
      for (const lease of leases) await lease.close();
      await expectSound(context);
    });

    test(`${name}: when the opener and all that wait abort, the connection is kept for the next`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      const controller = new AbortController();
      const callers = Array.from({ length: 3 }, () => rejection(pool.connect({ signal: controller.signal })));
      controller.abort(enough);
      expect(await Promise.all(callers)).to.deep.equal([enough, enough, enough]);
      opening.open();
      await settled();
      expect(pool.stats()).to.include({ idle: 1, used: 0, aborted: 3 });
      expect((await pool.connect()).connection.id).to.equal(1);
    });

    test(`${name}: a caller that waits for the opening may abort, and the others are served`, async () => {
      const { pool, server } = scriptedKind(Kind);
      const opening = gate();
      server.script.open = () => opening.promise;
      const controller = new AbortController();
      const first = pool.connect();
      const second = rejection(pool.connect({ signal: controller.signal }));
      const third = pool.connect();
      controller.abort(enough);
      expect(await second).to.equal(enough);
      opening.open();
      expect([(await first).connection.id, (await third).connection.id]).to.deep.equal([1, 1]);
      expect(pool.stats()).to.include({ checkouts: 2, aborted: 1 });
    });

    test(`${name}: timeout and deadline of a call bound its wait for the shared connection`, async () => {
      for (const option of ["timeout", "deadline"]) {
        const context = scriptedKind(Kind);
        const { pool, server, clock } = context;
        const opening = gate();
        server.script.open = () => opening.promise;
        const first = pool.connect();
        const noted = rejectionTime(pool.connect({ [option]: "2s" }), clock);
        await pass(clock, 2_500);
        expect(noted.error, option).to.be.instanceOf(PoolTimeoutError);
        expect(noted.error, option).to.include({ step: "wait", timeoutMs: 2_000 });
        expect(noted.at, option).to.be.within(2_000, 2_125);
        opening.open();
        await (await first).close();
        await expectSound(context, option);
      }
    });

    test(`${name}: an opening that hangs is given driverTimeout; the next in line opens`, async () => {
      const context = scriptedKind(Kind, { driverTimeout: "2s" });
      const { pool, server, clock } = context;
      const late = gate();
      server.script.open = () => late.promise;
      const first = rejection(pool.connect());
      const others = [pool.connect({ timeout: null }), pool.connect({ timeout: null })];
      server.script = {};
      await pass(clock, 2_500);
      expect((await first).code).to.equal("ERR_POOL_TIMEOUT");
      const leases = await Promise.all(others);
      late.open();
      await settled();
      expect(leases.map(({ connection }) => [connection.id, connection.closed])).to.deep.equal([
        [1, 0],
        [1, 0],
      ]);
      expect(server.connections[1].closed).to.equal(1);
      for (const lease of leases) await lease.close();
      await expectSound(context);
    });

    test(`${name}: a caller that comes while the connection is reset waits, and shares it afterwards`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool, server } = context;
      const reset = gate();
      server.script.rollback = () => reset.promise;
      const closed = (await pool.connect()).close();
      const callers = [pool.connect(), pool.connect()];
      expect(await stateOf(Promise.race(callers))).to.equal("pending");
      expect(server.connections).to.have.length(1);
      newCalls(context);
      reset.open();
      await closed;
      const leases = await Promise.all(callers);
      expect(leases.map(({ connection }) => connection.id)).to.deep.equal([1, 1]);
      expect(newCalls(context).slice(0, 2)).to.deep.equal(["on checkin 1", "on checkout 1"]);
      server.script = {};
      for (const lease of leases) await lease.close();
      await expectSound(context);
    });

    test(`${name}: when the reset fails or hangs, callers that wait share a new connection`, async () => {
      for (const rollback of [() => Promise.reject(gone), never]) {
        const context = scriptedKind(Kind, { driverTimeout: "2s" });
        const { pool, server, clock } = context;
        server.script.rollback = ({ id }) => (id === 1 ? rollback() : undefined);
        const closed = (await pool.connect()).close();
        const callers = [pool.connect({ timeout: null }), pool.connect({ timeout: null })];
        await pass(clock, 2_500);
        expect(await stateOf(closed)).to.equal("fulfilled");
        const leases = await Promise.all(callers);
        expect(leases.map(({ connection }) => connection.id)).to.deep.equal([2, 2]);
        expect(server.connections[0].closed).to.equal(1);
        for (const lease of leases) await lease.close();
        await expectSound(context);
      }
    });

    test(`${name}: a caller that waits for a reset may abort, and the connection is kept`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const reset = gate();
      server.script.rollback = () => reset.promise;
      const closed = (await pool.connect()).close();
      const controller = new AbortController();
      const caller = rejection(pool.connect({ signal: controller.signal }));
      controller.abort(enough);
      expect(await caller).to.equal(enough);
      reset.open();
      await closed;
      expect(pool.stats()).to.include({ idle: 1, used: 0, waiting: 0 });
      await expectSound(context);
    });

    test(`${name}: a caller that comes in the same instant as the last return has the same connection`, async () => {
      const { pool, server } = scriptedKind(Kind, { resetOnReturn: "none" });
      const lease = await pool.connect();
      void lease.close();
      const next = await pool.connect();
      expect([next.connection, next === lease, lease.isValid]).to.deep.equal([server.connections[0], false, false]);
    });

    test(`${name}: users that come and go never see a reset, and never a second connection`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      let users = 0;
      let resets = 0;
      server.script.rollback = async () => {
        resets++;
        expect(users, "at the beginning of a reset").to.equal(0);
        await settled(3);
        expect(users, "at its end").to.equal(0);
      };
      await Promise.all(
        Array.from({ length: 100 }, async (_, number) => {
          await settled(number * 3);
          const lease = await pool.connect();
          users++;
          await settled(number % 11);
          users--;
          await lease.close();
        }),
      );
      expect(server.calls.filter((call) => call === "open")).to.have.length(1);
      expect(resets).to.be.above(0);
      expect(pool.stats()).to.include({ checkouts: 100, used: 0, idle: 1, invalidated: 0 });
      await expectSound(context);
    });

    for (const [staleBy, makeStale] of Object.entries(stales)) {
      // Callers of one scope are one user: what is merely old serves them to the end.
      if (name === "SingletonThreadPool" && !staleBy.startsWith("record")) continue;
      test(`${name}: stale by ${staleBy} while shared, it is replaced and ends with its last lease`, async () => {
        const context = { ...scriptedKind(Kind, { recycle: 60 }), leases: [] };
        const { pool, server, leases } = context;
        leases.push(...(await connects(pool, 2)));
        await makeStale(context);
        expect(leases.map(({ isValid, connection }) => [isValid, connection.id])).to.deep.equal([
          [true, 1],
          [true, 1],
        ]);
        const next = await pool.connect();
        expect(next.connection.id).to.equal(2);
        const isDead = staleBy.startsWith("record");
        await leases[0].close();
        expect(
          server.connections.map(({ closed }) => closed),
          "while a lease is out",
        ).to.deep.equal([isDead ? 1 : 0, 0]);
        await leases[1].close();
        expect(
          server.connections.map(({ closed }) => closed),
          "after the last",
        ).to.deep.equal([1, 0]);
        expect([next.isValid, next.connection.id]).to.deep.equal([true, 2]);
        expect(server.calls.includes("rollback 2"), "the new one is not reset under its user").to.equal(false);
        const third = await pool.connect();
        expect(third.connection.id).to.equal(2);
        await next.close();
        expect(server.calls.includes("rollback 2")).to.equal(false);
        await third.close();
        expect(server.calls.filter((call) => call === "rollback 2")).to.have.length(1);
        await expectSound(context);
      });
    }

    if (name === "StaticPool")
      test(`${name}: three generations of the connection at once each end with their last lease`, async () => {
        const context = scriptedKind(Kind);
        const { pool, server } = context;
        const leases = [];
        for (let generation = 0; generation < 3; generation++) {
          leases.push(...(await connects(pool, 2)));
          pool.invalidateAll();
        }
        expect(leases.map(({ connection }) => connection.id)).to.deep.equal([1, 1, 2, 2, 3, 3]);
        for (const number of [2, 0, 3, 4, 1, 5]) await leases[number].close();
        expect(await pool.use(({ id }) => id)).to.equal(4);
        expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1, 1, 0]);
        expect(
          server.calls.filter((call) => /^(close|terminate) [12]$/.test(call))[0],
          "the one whose leases came back first",
        ).to.match(/ 2$/);
        await expectSound(context);
      });

    test(`${name === "StaticPool" ? "221" : "233"} ${name}: a hard invalidation ends it under all`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool, server } = context;
      const [first, second, third] = await connects(pool, 3);
      newCalls(context);
      await first.invalidate(gone);
      expect(newCalls(context).slice(0, 3)).to.deep.equal(["on invalidate 1", "on close 1", "terminate 1"]);
      expect([first.isValid, first.record]).to.deep.equal([false, null]);
      const next = await pool.connect();
      expect([next.connection.id, next === first]).to.deep.equal([2, false]);
      newCalls(context);
      await second.close();
      await third.invalidate(gone);
      await second.close();
      expect(
        newCalls(context).filter((call) => call.endsWith(" 2")),
        "nothing reaches the new one",
      ).to.deep.equal([]);
      expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
      expect([next.isValid, pool.stats().invalidated]).to.deep.equal([true, 1]);
      await next.close();
      expect(pool.stats()).to.include({ used: 0, idle: 1 });
      await expectSound(context);
    });

    test(`${name}: a connection that one detaches is closed once, and is no longer the pool's`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const [first, second] = await connects(pool, 2);
      await first.detach();
      expect([first.isValid, first.isDetached, first.connection.id]).to.deep.equal([true, true, 1]);
      const next = await pool.connect();
      expect(next.connection.id).to.equal(2);
      await second.close();
      await first.close();
      expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
      expect([next.isValid, server.calls.includes("rollback 2")]).to.deep.equal([true, false]);
      await next.close();
      await expectSound(context);
    });

    test(`${name}: close() of the pool waits for every lease and then closes the connection, once`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      const leases = await connects(pool, 3);
      newCalls(context);
      const closed = pool.close();
      await leases[1].close();
      await leases[0].close();
      expect([await stateOf(closed), leases[2].isValid, newCalls(context)]).to.deep.equal(["pending", true, []]);
      await leases[2].close();
      await closed;
      expect(newCalls(context)).to.deep.equal(["on reset 1", "rollback 1", "on checkin 1", "on close 1", "close 1"]);
      await expectSound(context);
    });

    test(`${name}: leases that are not back in time lose the connection together: one termination`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server, clock } = context;
      const leases = await connects(pool, 3);
      const closed = pool.close({ timeout: "1s" });
      await leases[0].close();
      await pass(clock, 2_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      for (const lease of leases) await lease.close();
      expect(server.calls).to.deep.equal(["open", "terminate 1"]);
      await expectSound(context);
    });

    test(`${name}: close() of the pool refuses callers that wait for an opening or a reset`, async () => {
      for (const step of ["open", "rollback"]) {
        const context = scriptedKind(Kind);
        const { pool, server } = context;
        const blocked = gate();
        server.script[step] = () => blocked.promise;
        const first = pool.connect();
        const firstEnd = first.then(
          () => "fulfilled",
          () => "rejected",
        );
        if (step === "rollback") void (await first).close();
        const waiters = [rejection(pool.connect()), rejection(pool.connect())];
        const closed = pool.close();
        for (const waiter of waiters) expect(await waiter, step).to.be.instanceOf(PoolClosedError);
        blocked.open();
        await closed;
        expect(await firstEnd, step).to.equal(step === "open" ? "rejected" : "fulfilled");
        expect([server.connections.length, server.live], step).to.deep.equal([1, 0]);
        await expectSound(context, step);
      }
    });

    test(`${name}: dispose() while the connection opens: it is closed at the last return`, async () => {
      const context = scriptedKind(Kind);
      const { pool, server } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      const first = pool.connect();
      await pool.dispose();
      opening.open();
      const lease = await first;
      expect([lease.connection.id, lease.connection.closed]).to.deep.equal([1, 0]);
      server.script = {};
      await lease.close();
      expect(server.connections[0].closed).to.equal(1);
      expect(await pool.use(({ id }) => id)).to.equal(2);
      await expectSound(context);
    });

    test(`${name}: use() within use() shares the connection, and only the outer end resets`, async () => {
      const context = traced(scriptedKind(Kind));
      const { pool } = context;
      const seen = await pool.use((outer) => pool.use((inner) => [outer.id, inner.id]));
      expect(seen).to.deep.equal([1, 1]);
      expect(newCalls(context).filter((call) => call === "rollback 1")).to.have.length(1);
      await expectSound(context);
    });

    test(`${name}: the transaction counts as reset where the last lease says so`, async () => {
      for (const [firstSays, lastSays, rollbacks] of [
        [false, true, 0],
        [true, false, 1],
        [true, true, 0],
      ]) {
        const { pool, server } = scriptedKind(Kind);
        const [first, last] = await connects(pool, 2);
        await first.close({ transactionWasReset: firstSays });
        await last.close({ transactionWasReset: lastSays });
        expect(
          server.calls.filter((call) => call === "rollback 1"),
          `${firstSays} ${lastSays}`,
        ).to.have.length(rollbacks);
      }
    });
  }

  test("StaticPool: a ping that fails because another caller ended the connection opens a new one", async () => {
    for (const end of [
      (lease) => lease.invalidate(gone),
      (lease) => lease.record.close(),
      (lease) => lease.record.invalidate(gone),
    ]) {
      const context = scriptedKind(StaticPool, { prePing: true, dialect: pings });
      const { pool, server } = context;
      const first = await pool.connect();
      const ping = gate();
      server.script.ping = () => ping.promise;
      const second = pool.connect();
      await settled();
      server.script.ping = undefined;
      await end(first);
      ping.fail(new Error("terminated"));
      expect((await second).connection.id).to.equal(2);
      await (await second).close();
      await first.close();
      await expectSound(context);
    }
  });

  test("SingletonThreadPool: use() returns its share also if another caller ended the lease before", async () => {
    const context = scriptedKind(SingletonThreadPool);
    const { pool } = context;
    const lease = await pool.connect();
    const used = rejection(pool.use(() => {}));
    await lease.invalidate(gone);
    expect((await used).code).to.equal("ERR_POOL_INVALID_REQUEST");
    await expectSound(context);
  });

  test("StaticPool: a woken caller that must queue again and leaves takes no other wake-up along", async () => {
    const context = scriptedKind(StaticPool);
    const { pool, server } = context;
    const openings = [];
    server.script.open = () => {
      const opening = gate();
      openings.push(opening);
      return opening.promise;
    };
    const first = pool.connect();
    const controller = new AbortController();
    const second = pool.connect();
    const third = rejection(pool.connect({ signal: controller.signal }));
    openings[0].open();
    // In between: the others are woken to share it, and have not gone on yet.
    while (pool.stats().opened === 0) await null;
    pool.invalidateAll();
    await settled();
    controller.abort(gone);
    expect(await third).to.equal(gone);
    const fourth = pool.connect();
    await settled();
    for (const opening of openings) opening.open();
    server.script = {};
    await settled();
    expect(await Promise.all([second, fourth].map(stateOf))).to.deep.equal(["fulfilled", "fulfilled"]);
    for (const lease of await Promise.all([first, second, fourth])) await lease.close();
    await expectSound(context);
  });

  test("StaticPool: a connection that a dead ping is ending is closed once, though it is detached", async () => {
    for (const event of ["close", "invalidate"]) {
      for (const finish of ["close", "invalidate"]) {
        const context = scriptedKind(StaticPool, { prePing: true, dialect: pings });
        const { pool, server } = context;
        const told = gate();
        pool.on(event, () => told.promise, { once: true });
        const first = await pool.connect();
        server.script.ping = () => false;
        const second = pool.connect();
        await settled();
        server.script = {};
        await first.detach();
        await first[finish]();
        told.open();
        await (await second).close();
        expect(server.connections[0].closed, `${event}, ${finish}`).to.equal(1);
        await expectSound(context);
      }
    }
  });

  test("StaticPool: a caller whose pinged connection ended joins its successor, and pings that one", async () => {
    const context = scriptedKind(StaticPool, { prePing: true, dialect: pings });
    const { pool, server } = context;
    const first = await pool.connect();
    const ping = gate();
    server.script.ping = () => ping.promise;
    const second = pool.connect();
    await settled();
    server.script = {};
    await first.invalidate(gone);
    const third = await pool.connect();
    ping.fail(new Error("terminated"));
    expect([(await second).connection.id, third.connection.id]).to.deep.equal([2, 2]);
    expect(server.calls.filter((call) => call.startsWith("ping"))).to.deep.equal(["ping 1", "ping 2"]);
    for (const lease of [await second, third]) await lease.close();
    await expectSound(context);
  });
};
