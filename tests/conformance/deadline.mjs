// deadline: bounds the whole of connect(), queue and opening together, by the same measure as a timeout: never early,
// late by at most 1/50 or 10 ms. An opening goes on without its caller.

import { expect } from "chai";
import { PoolTimeoutError } from "edgepool";
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

const latest = (ms) => ms + Math.max(ms / 16, 10);

function expectInTime(noted, startedAt, ms, note) {
  expect(noted.error, note).to.be.instanceOf(PoolTimeoutError);
  expect(noted.at - startedAt, note)
    .to.be.at.least(ms)
    .and.at.most(latest(ms));
}

/** The pool's own deadline, or the call's: the same promise. */
const ways = {
  "the pool's": (options, deadline) => ({ ...scriptedPool({ ...options, deadline }), asked: undefined }),
  "the call's": (options, deadline) => ({ ...scriptedPool(options), asked: { deadline } }),
  "the call's, over the pool's": (options, deadline) => ({
    ...scriptedPool({ ...options, deadline: "10m" }),
    asked: { deadline },
  }),
};

export default (test) => {
  for (const [way, make] of Object.entries(ways)) {
    for (const startedAt of [0, 12_345]) {
      test(`${way} deadline ends the wait in the queue (clock at ${startedAt})`, async () => {
        const { pool, clock, asked } = make({ poolSize: 1, maxOverflow: 0 }, "1s");
        clock.tick(startedAt);
        await pool.connect();
        const noted = rejectionTime(pool.connect(asked), clock);
        await pass(clock, 1200);
        expectInTime(noted, startedAt, 1000);
        expect(noted.error).to.include({ step: "wait", timeoutMs: 1000 });
        expect(noted.error.waitedMs).to.equal(noted.at - startedAt);
        expect(noted.error.message).to.contain("deadline").and.to.contain("1000 ms");
        expect(pool.stats()).to.include({ timedOut: 1, waiting: 0 });
      });

      test(`${way} deadline ends the wait for a creator, but not the creator (clock at ${startedAt})`, async () => {
        const context = make({ poolSize: 1, maxOverflow: 0 }, "1s");
        const { pool, server, clock, asked } = context;
        clock.tick(startedAt);
        const opening = gate();
        server.script.open = () => opening.promise;
        const noted = rejectionTime(pool.connect(asked), clock);
        await pass(clock, 1200);
        expectInTime(noted, startedAt, 1000);
        expect(noted.error).to.include({ step: "open", timeoutMs: 1000 });
        expect(noted.error.message).to.contain("deadline").and.to.contain("creator");
        expect(pool.stats()).to.include({ timedOut: 1, opening: 1, openFailed: 0 });
        opening.open();
        await settled();
        expect(pool.stats()).to.include({ opening: 0, idle: 1, opened: 1 });
        server.script.open = undefined;
        expect((await pool.connect()).connection.id).to.equal(1);
      });

      test(`${way} deadline counts queue and opening together (clock at ${startedAt})`, async () => {
        const { pool, server, clock, asked } = make({ poolSize: 1, maxOverflow: 0 }, "1s");
        clock.tick(startedAt);
        const lease = await pool.connect();
        server.script.open = never;
        const noted = rejectionTime(pool.connect(asked), clock);
        await pass(clock, 700);
        await lease.detach();
        await settled();
        expect(pool.stats()).to.include({ opening: 1, waiting: 0 });
        await pass(clock, 500);
        expectInTime(noted, startedAt, 1000);
        expect(noted.error).to.include({ step: "open", timeoutMs: 1000 });
        expect(noted.error.waitedMs).to.equal(noted.at - startedAt);
      });

      test(`${way} deadline counts a replacement's end and opening together (clock at ${startedAt})`, async () => {
        const { pool, server, clock, asked } = make({ poolSize: 1, maxOverflow: 0 }, "1s");
        clock.tick(startedAt);
        await (await pool.connect()).close();
        pool.invalidateAll();
        const terminating = gate();
        server.script.terminate = () => terminating.promise;
        server.script.open = never;
        const noted = rejectionTime(pool.connect(asked), clock);
        await pass(clock, 600);
        terminating.open();
        await pass(clock, 600);
        expectInTime(noted, startedAt, 1000);
      });
    }
  }

  test("an idle connection needs no deadline: nothing is timed", async () => {
    const { pool, clock } = scriptedPool();
    await (await pool.connect()).close();
    const lease = await pool.connect({ deadline: "1s" });
    await pass(clock, 5000);
    expect(lease.isValid).to.equal(true);
    expect(clock.set).to.equal(0);
  });

  test("a deadline of 0 serves callers that can be served at once and refuses the others", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect({ deadline: 0 });
    const noted = rejectionTime(pool.connect({ deadline: 0 }), clock);
    await pass(clock, 20);
    expectInTime(noted, 0, 0);
    await lease.close();
  });

  test("null is no deadline, even in a pool that has one", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, deadline: "1s", timeout: null });
    const lease = await pool.connect();
    const patient = pool.connect({ deadline: null });
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 100_000);
    expect(await stateOf(patient)).to.equal("pending");
    expectInTime(noted, 0, 1000);
    await lease.close();
    await patient;
  });

  test("whichever of timeout and deadline is shorter ends the wait, under its own name", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await pool.connect();
    const byTimeout = rejectionTime(pool.connect({ timeout: "100ms", deadline: "1s" }), clock);
    const byDeadline = rejectionTime(pool.connect({ timeout: "1s", deadline: "100ms" }), clock);
    await pass(clock, 200);
    for (const noted of [byTimeout, byDeadline]) expectInTime(noted, 0, 100);
    expect(byTimeout.error.message).to.contain("(timeout)");
    expect(byDeadline.error.message).to.contain("(deadline)");
  });

  test("whichever of driverTimeout and deadline is shorter ends the opening, under its own name", async () => {
    const { pool, server, clock } = scriptedPool({ driverTimeout: "100ms" });
    server.script.open = never;
    const byDriver = rejectionTime(pool.connect({ deadline: "1s" }), clock);
    const byDeadline = rejectionTime(pool.connect({ deadline: "50ms" }), clock);
    await pass(clock, 200);
    expectInTime(byDriver, 0, 100);
    expectInTime(byDeadline, 0, 50);
    expect(byDriver.error.message).to.contain("(driverTimeout)");
    expect(byDeadline.error.message).to.contain("(deadline)");
  });

  test("after the deadline driverTimeout still bounds the opening, counted from its start", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s" });
    const { pool, server, clock } = context;
    server.script.open = never;
    await Promise.all([rejection(pool.connect({ deadline: "900ms" })), pass(clock, 1100)]);
    expect(pool.stats()).to.include({ opening: 0, openFailed: 1, total: 0 });
    await expectSound(context);
  });

  test("a caller that is served before the deadline keeps the lease after it", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, deadline: "1s" });
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    await pass(clock, 900);
    opening.open();
    const lease = await caller;
    await pass(clock, 10_000);
    expect(lease.isValid).to.equal(true);
    expect(pool.stats()).to.include({ timedOut: 0, used: 1 });
  });

  test("deadlines of single calls end each in its time, in whatever order they were asked for", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: null });
    await pool.connect();
    const noted = [];
    for (const ms of [5000, 100, 20_000, 10, 700, 100, 2500, 15]) {
      noted.push([clock.now, ms, rejectionTime(pool.connect({ deadline: `${ms}ms` }), clock)]);
      await pass(clock, 3, 3);
    }
    await pass(clock, 30_000);
    for (const [start, ms, note] of noted) expectInTime(note, start, ms, `${ms} ms from ${start}`);
  });

  test("an opening whose caller ran out of time serves the next waiter", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, clock } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const hasty = rejectionTime(pool.connect({ deadline: "100ms" }), clock);
    const patient = pool.connect();
    await pass(clock, 200);
    expect(hasty.error).to.be.instanceOf(PoolTimeoutError);
    opening.open();
    const lease = await patient;
    expect(lease.connection.id).to.equal(1);
    await lease.close();
    await expectSound(context);
  });

  test("an opening that fails after its caller ran out of time is logged, and the next waiter opens", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, clock, log } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const hasty = rejectionTime(pool.connect({ deadline: "100ms" }), clock);
    const patient = pool.connect();
    await pass(clock, 200);
    expect(hasty.error).to.be.instanceOf(PoolTimeoutError);
    const down = new Error("down");
    server.script.open = undefined;
    opening.fail(down);
    await (await patient).close();
    expect(log.errors).to.deep.equal([down]);
    await expectSound(context);
  });

  test("use() has the same deadline", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const [lease] = await connects(pool, 1);
    const noted = rejectionTime(
      pool.use(() => expect.fail("must not run"), { deadline: "100ms" }),
      clock,
    );
    await pass(clock, 200);
    expectInTime(noted, 0, 100);
    await lease.close();
  });
};
