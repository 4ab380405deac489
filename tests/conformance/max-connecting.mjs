// maxConnecting: never more creators at once; the others wait in the queue, and are served in order by what comes
// first: a free place, or a returned connection.

import { expect } from "chai";
import { DisconnectionError, PoolClosedError, PoolTimeoutError } from "edgepool";
import {
  connects,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  rejectionTime,
  scriptedPool,
  settled,
  stateOf,
} from "./scripted.mjs";

const down = new Error("down");
const enough = new Error("enough");

/** A pool whose creators the test lets go one by one: `openings` has a gate for each that was called. */
function gatedPool(options) {
  const context = scriptedPool({ poolSize: 10, maxOverflow: 0, ...options });
  const openings = [];
  context.server.script.open = () => {
    openings.push(gate());
    return openings.at(-1).promise;
  };
  return { ...context, openings };
}

export default (test) => {
  test("no more creators run at once; as one ends the next begins", async () => {
    for (const maxConnecting of [1, 2, 3]) {
      const context = gatedPool({ maxConnecting });
      const { pool, openings } = context;
      const callers = Array.from({ length: 6 }, () => pool.connect());
      await settled();
      expect(openings.length).to.equal(maxConnecting);
      expect(pool.stats()).to.include({ opening: maxConnecting, waiting: 6 - maxConnecting });
      for (let number = 0; number < 6; number++) {
        openings[number].open();
        await settled();
        expect(openings.length).to.equal(Math.min(6, number + 1 + maxConnecting));
      }
      for (const lease of await Promise.all(callers)) await lease.close();
      expect(pool.stats().opened).to.equal(6);
      await expectSound(context);
    }
  });

  test("without maxConnecting every creator begins at once", async () => {
    for (const maxConnecting of [undefined, Infinity]) {
      // Workers have a default of their own.
      if (maxConnecting === undefined && globalThis.navigator?.userAgent === "Cloudflare-Workers") continue;
      const { pool, openings } = gatedPool({ maxConnecting });
      void Promise.allSettled(Array.from({ length: 10 }, () => pool.connect()));
      await settled();
      expect(openings.length).to.equal(10);
    }
  });

  test("a caller that waits for a place is served in the order of arrival", async () => {
    const { pool, openings } = gatedPool({ maxConnecting: 1 });
    const served = [];
    const callers = Array.from({ length: 5 }, (_, number) => pool.connect().then(() => served.push(number)));
    for (let number = 0; number < 5; number++) {
      await settled();
      openings[number].open();
    }
    await Promise.all(callers);
    expect(served).to.deep.equal([0, 1, 2, 3, 4]);
  });

  test("a return serves the caller of the creator, and then a caller that waits for a place", async () => {
    const context = gatedPool({ maxConnecting: 1 });
    const { pool, openings } = context;
    const first = pool.connect();
    openings[0].open();
    const lease = await first;
    const opener = pool.connect();
    const waiter = pool.connect();
    await lease.close();
    expect((await opener).connection.id).to.equal(1);
    expect(await stateOf(waiter)).to.equal("pending");
    await (await opener).close();
    expect((await waiter).connection.id).to.equal(1);
    expect(openings.length).to.equal(2);
    openings[1].open();
    await (await waiter).close();
    await expectSound(context);
  });

  test("a creator that fails frees its place", async () => {
    for (const fail of ["throws", "rejects"]) {
      const context = scriptedPool({ poolSize: 10, maxOverflow: 0, maxConnecting: 1 });
      const { pool, server } = context;
      server.script.open = () => {
        server.script = {};
        if (fail === "throws") throw down;
        return settled(3).then(() => Promise.reject(down));
      };
      const first = rejection(pool.connect());
      const others = connects(pool, 3);
      expect(await first, fail).to.equal(down);
      for (const lease of await others) await lease.close();
      await expectSound(context, fail);
    }
  });

  test("creators that all fail tell each caller, one after the other", async () => {
    const context = scriptedPool({ poolSize: 10, maxOverflow: 0, maxConnecting: 2 });
    const { pool, server } = context;
    let running = 0;
    let most = 0;
    server.script.open = async () => {
      most = Math.max(most, ++running);
      await settled(5);
      running--;
      throw down;
    };
    const errors = await Promise.all(Array.from({ length: 7 }, () => rejection(pool.connect())));
    expect([errors.every((error) => error === down), most]).to.deep.equal([true, 2]);
    expect(server.calls).to.have.length(7);
    await expectSound(context);
  });

  test("a connect listener that fails frees its place, too", async () => {
    const context = scriptedPool({ poolSize: 10, maxOverflow: 0, maxConnecting: 1 });
    const { pool } = context;
    pool.on("connect", () => Promise.reject(down), { once: true });
    const first = rejection(pool.connect());
    const second = pool.connect();
    expect(await first).to.equal(down);
    await (await second).close();
    await expectSound(context);
  });

  test("a creator that hangs frees its place after driverTimeout", async () => {
    const context = scriptedPool({
      poolSize: 10,
      maxOverflow: 0,
      maxConnecting: 1,
      driverTimeout: "2s",
      timeout: null,
    });
    const { pool, server, clock } = context;
    server.script.open = never;
    const first = rejection(pool.connect());
    server.script = {};
    const second = pool.connect();
    await pass(clock, 1_900);
    expect(await stateOf(second)).to.equal("pending");
    await pass(clock, 600);
    expect((await first).code).to.equal("ERR_POOL_TIMEOUT");
    await (await second).close();
    await expectSound(context);
  });

  test("the wait for a place is a wait: timeout bounds it, and it says so", async () => {
    const context = gatedPool({ maxConnecting: 1, timeout: "2s" });
    const { pool, openings, clock } = context;
    const first = pool.connect();
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 2_500);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(noted.error).to.include({ step: "wait", timeoutMs: 2_000 });
    expect(noted.at).to.be.within(2_000, 2_125);
    expect((await rejection(pool.connect({ timeout: 0 }))).code).to.equal("ERR_POOL_TIMEOUT");
    openings[0].open();
    await (await first).close();
    await expectSound(context);
  });

  test("maxWaiters counts callers that wait for a place", async () => {
    const { pool } = gatedPool({ maxConnecting: 1, maxWaiters: 1 });
    void Promise.allSettled([pool.connect(), pool.connect()]);
    await settled();
    expect((await rejection(pool.connect())).code).to.equal("ERR_POOL_QUEUE_FULL");
  });

  test("a caller that waits for a place may abort; those behind move up", async () => {
    const context = gatedPool({ maxConnecting: 1 });
    const { pool, openings } = context;
    const controller = new AbortController();
    const first = pool.connect();
    const second = rejection(pool.connect({ signal: controller.signal }));
    const third = pool.connect();
    controller.abort(enough);
    expect(await second).to.equal(enough);
    openings[0].open();
    await first;
    await settled();
    openings[1].open();
    expect((await third).connection.id).to.equal(2);
    expect(openings.length).to.equal(2);
    await (await first).close();
    await (await third).close();
    await expectSound(context);
  });

  test("a caller that left while it waited to reconnect blocks none that gets its number later", async () => {
    const context = gatedPool({ poolSize: 2, maxConnecting: 1, resetOnReturn: "none" });
    const { pool, openings, server } = context;
    const controller = new AbortController();
    const first = pool.connect();
    openings[0].open();
    const opening = (await settled(), await first, pool.connect());
    await (await first).close();
    const refuse = () => {
      throw new DisconnectionError();
    };
    pool.on("checkout", refuse, { once: true });
    const left = rejection(pool.connect({ signal: controller.signal }));
    await settled();
    controller.abort(enough);
    expect(await left).to.equal(enough);
    openings[1].open();
    server.script.open = undefined;
    let leases = [await opening, await pool.connect()];
    // A number has ten bits of generation. Two waiters each time, since the place used last is the first to be used
    // again.
    for (let generation = 1; generation < 1024; generation++) {
      const waiters = [pool.connect(), pool.connect()];
      for (const lease of leases) void lease.close();
      leases = await Promise.all(waiters);
    }
    const waiters = [pool.connect(), pool.connect()];
    for (const lease of leases) void lease.invalidate();
    await settled();
    expect(await Promise.all(waiters.map(stateOf))).to.deep.equal(["fulfilled", "fulfilled"]);
    for (const waiter of waiters) await (await waiter).close();
    await expectSound(context);
  });

  test("an opener that aborts keeps its place until its creator has ended; the head waiter is served", async () => {
    const context = gatedPool({ maxConnecting: 1 });
    const { pool, openings } = context;
    const controller = new AbortController();
    const first = rejection(pool.connect({ signal: controller.signal }));
    const others = [pool.connect(), pool.connect()];
    controller.abort(enough);
    expect(await first).to.equal(enough);
    await settled();
    expect(openings.length, "the creator still runs").to.equal(1);
    openings[0].open();
    expect((await others[0]).connection.id).to.equal(1);
    await settled();
    openings[1].open();
    expect((await others[1]).connection.id).to.equal(2);
    expect(openings.length).to.equal(2);
    for (const other of others) await (await other).close();
    await expectSound(context);
  });

  test("replacing what is stale or was emptied takes a place, too", async () => {
    for (const how of ["stale", "emptied"]) {
      const context = gatedPool({ poolSize: 3, maxConnecting: 1 });
      const { pool, openings, server } = context;
      server.script = {};
      const leases = await connects(pool, 3);
      for (const lease of leases) await (how === "emptied" ? lease.invalidate() : lease.close());
      pool.invalidateAll();
      const gates = openings;
      server.script.open = () => (gates.push(gate()), gates.at(-1).promise);
      const callers = Array.from({ length: 3 }, () => pool.connect());
      for (let number = 0; number < 3; number++) {
        await settled();
        expect(gates.length, how).to.equal(number + 1);
        gates[number].open();
      }
      for (const lease of await Promise.all(callers)) await lease.close();
      server.script = {};
      await expectSound(context, how);
    }
  });

  test("a caller that needs no creator waits for no place", async () => {
    const { pool, openings } = gatedPool({ maxConnecting: 1 });
    const first = pool.connect();
    openings[0].open();
    await (await first).close();
    const [idle, opener] = [pool.connect(), pool.connect()];
    await settled();
    expect([(await idle).connection.id, openings.length]).to.deep.equal([1, 2]);
    await (await idle).close();
    await (await opener).close();
    // The creator still hangs.
    expect((await pool.connect()).connection.id).to.equal(1);
    openings[1].open();
  });

  test("close() refuses callers that wait for a place, and ends what the creators bring", async () => {
    const context = gatedPool({ maxConnecting: 1 });
    const { pool, openings, server } = context;
    const callers = Array.from({ length: 3 }, () => rejection(pool.connect()));
    const closed = pool.close();
    for (const caller of callers) expect(await caller).to.be.instanceOf(PoolClosedError);
    openings[0].open();
    await closed;
    await settled();
    expect([openings.length, server.live]).to.deep.equal([1, 0]);
    await expectSound(context);
  });

  test("a herd with creators of every length is served, in order, by no more than that many at once", async () => {
    const context = scriptedPool({ poolSize: 40, maxOverflow: 0, maxConnecting: 3 });
    const { pool, server } = context;
    let running = 0;
    let most = 0;
    let number = 0;
    server.script.open = async () => {
      const isBad = ++number % 5 === 0;
      most = Math.max(most, ++running);
      await settled((number * 7) % 13);
      running--;
      if (isBad) throw down;
    };
    const results = await Promise.allSettled(Array.from({ length: 40 }, () => pool.connect()));
    expect(most).to.equal(3);
    expect(results.filter(({ status }) => status === "rejected").every(({ reason }) => reason === down)).to.equal(true);
    expect(results.filter(({ status }) => status === "fulfilled")).to.have.length(32);
    for (const { value } of results) await value?.close();
    await expectSound(context);
  });

  test("recreate() carries it", async () => {
    const { pool, openings } = gatedPool({ maxConnecting: 2 });
    const again = pool.recreate();
    void Promise.allSettled(Array.from({ length: 5 }, () => again.connect()));
    await settled();
    expect(openings.length).to.equal(2);
  });
};
