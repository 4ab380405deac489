// driverTimeout on an opening: a creator that hangs costs no slot. The caller is refused, the next waiter is served,
// and what opens later is closed.

import { expect } from "chai";
import { PoolTimeoutError, QueuePool } from "edgepool";
import {
  counts,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  rejectionTime,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";

const latest = (ms) => ms + Math.max(ms / 16, 10);

function expectInTime(noted, startedAt, ms, note) {
  expect(noted.error, note).to.be.instanceOf(PoolTimeoutError);
  expect(noted.at - startedAt, note)
    .to.be.at.least(ms)
    .and.at.most(latest(ms));
}

export default (test) => {
  test("an opening that takes too long refuses its caller in time and frees its slot", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "2s" });
    const { pool, server, clock } = context;
    server.script.open = never;
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 2500);
    expectInTime(noted, 0, 2000);
    expect(noted.error).to.include({ step: "open", timeoutMs: 2000, code: "ERR_POOL_TIMEOUT" });
    expect(noted.error.message).to.contain("creator").and.to.contain("2000 ms").and.to.contain("driverTimeout");
    expect(pool.stats()).to.include({ total: 0, opening: 0, openFailed: 1, timedOut: 1 });
    expect(counts(pool)).to.deep.equal([1, 0, -1, 0]);
    await expectSound(context);
  });

  test("openings of any length are ended neither early nor late", async () => {
    for (const ms of [1, 10, 129, 1000, 30_000]) {
      const { pool, server, clock } = scriptedPool({ poolSize: 50, driverTimeout: `${ms}ms` });
      server.script.open = never;
      const noted = [];
      for (let number = 0; number < 30; number++) {
        noted.push([clock.now, rejectionTime(pool.connect(), clock)]);
        await pass(clock, number % 7, 3);
      }
      await pass(clock, latest(ms) + 1);
      for (const [start, note] of noted) expectInTime(note, start, ms, `${ms} ms from ${start}`);
    }
  });

  test("the next waiter is served as soon as the slot is free", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s", timeout: null });
    server.script.open = never;
    const hanging = rejectionTime(pool.connect(), clock);
    const next = pool.connect();
    server.script.open = undefined;
    await pass(clock, 900);
    expect(await stateOf(next)).to.equal("pending");
    await pass(clock, 300);
    expectInTime(hanging, 0, 1000);
    expect((await next).connection.id).to.equal(1);
  });

  test("waiters behind a server that hangs are refused one after the other, each in its own time", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s", timeout: null });
    const { pool, server, clock } = context;
    server.script.open = never;
    const noted = [1, 2, 3].map(() => rejectionTime(pool.connect(), clock));
    await pass(clock, 3300);
    noted.forEach((note, number) => {
      expect(note.error).to.be.instanceOf(PoolTimeoutError);
      expect(note.error.step).to.equal("open");
      expect(note.at).to.be.within((number + 1) * 1000, (number + 1) * latest(1000));
    });
    await expectSound(context);
  });

  test("a connection that opens too late is closed, once, and no caller gets it", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s" });
    const { pool, server, clock } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 1200);
    expectInTime(noted, 0, 1000);
    server.script.open = undefined;
    const lease = await pool.connect();
    opening.open();
    await settled();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([0, 1]);
    expect(lease.connection.id).to.equal(1);
    expect(pool.stats()).to.include({ total: 1, used: 1, opened: 1, closing: 0 });
    await lease.close();
    await expectSound(context);
  });

  test("the close of a connection that opened too late may fail or hang and costs nothing", async () => {
    for (const close of [() => Promise.reject(new Error("close failed")), never]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s" });
      const { pool, server, clock, log } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      server.script.close = close;
      const noted = rejectionTime(pool.connect(), clock);
      await pass(clock, 1200);
      expectInTime(noted, 0, 1000);
      opening.open();
      await pass(clock, 2000);
      expect(log.of("error")).to.have.length(2);
      expect(pool.stats()).to.include({ total: 0, closing: 0 });
      await expectSound(context);
    }
  });

  test("an opening that fails too late is quiet: the log has it already", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s" });
    const { pool, server, clock, log } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 1200);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(log.of("error")).to.have.length(1);
    expect(log.of("error")[0]).to.contain("scripted").and.to.contain("driverTimeout").and.to.contain("1000 ms");
    opening.fail(new Error("down at last"));
    await settled();
    expect(log.of("error")).to.have.length(1);
    expect(pool.stats()).to.include({ openFailed: 1, total: 0 });
    await expectSound(context);
  });

  test("a creator that answers nothing too late is quiet too", async () => {
    const { clock, poolClock } = virtualClock();
    const lines = [];
    const log = { debug() {}, info() {}, warn() {}, error: (message) => lines.push(message) };
    const opening = gate();
    const pool = new QueuePool(() => opening.promise, { driverTimeout: "1s", clock: poolClock, logger: log });
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 1200);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    opening.open(undefined);
    await settled();
    expect(lines).to.have.length(1);
    expect(pool.stats()).to.include({ total: 0, closing: 0 });
  });

  test("an opening whose caller has left is bounded as well", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s" });
    const { pool, server, clock } = context;
    server.script.open = never;
    const controller = new AbortController();
    const gone = rejectionTime(pool.connect({ signal: controller.signal }), clock);
    const next = rejectionTime(pool.connect({ timeout: null }), clock);
    controller.abort(new Error("enough"));
    await settled();
    expect(gone.error.message).to.equal("enough");
    expect(pool.stats()).to.include({ opening: 1, waiting: 1 });
    await pass(clock, 1100);
    expect(pool.stats()).to.include({ opening: 1, waiting: 0, openFailed: 1, timedOut: 0 });
    await pass(clock, 1100);
    expect(next.error).to.be.instanceOf(PoolTimeoutError);
    await expectSound(context);
  });

  test("null lets a creator take without end", async () => {
    const { pool, server, clock } = scriptedPool({ driverTimeout: null });
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    await pass(clock, 86_400_000);
    opening.open();
    expect((await caller).connection.id).to.equal(1);
  });

  test("the termination of a stale connection is bounded, and the opening after it has its own time", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s" });
    const { pool, server, clock, log } = context;
    await (await pool.connect()).close();
    pool.invalidateAll();
    const opening = gate();
    server.script.terminate = never;
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    await pass(clock, 1900);
    expect(log.of("error")).to.have.length(1);
    expect(await stateOf(caller)).to.equal("pending");
    opening.open();
    expect((await caller).connection.id).to.equal(2);
    await (await caller).close();
    await expectSound(context);
  });

  test("in a slot that was there before, an opening that takes too long leaves it emptied for the next", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "1s" });
    const { pool, server, clock } = context;
    await (await pool.connect()).close();
    pool.invalidateAll();
    const opening = gate();
    server.script.open = () => opening.promise;
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 1200);
    expectInTime(noted, 0, 1000);
    server.script.open = undefined;
    const lease = await pool.connect();
    expect(lease.connection.id).to.equal(2);
    opening.open();
    await settled();
    expect(lease.connection.closed).to.equal(0);
    expect(server.connections[2].closed).to.equal(1);
    expect(counts(pool)).to.deep.equal([1, 0, 0, 1]);
    await lease.close();
    await expectSound(context);
  });

  test("what a listener threw reaches the caller, though the termination that it brings about hangs", async () => {
    for (const event of ["connect", "checkout"]) {
      const mine = new Error("mine");
      const { pool, server, clock } = scriptedPool({ driverTimeout: "2s" });
      pool.on(event, () => {
        throw mine;
      });
      server.script.terminate = never;
      const caller = rejection(pool.connect());
      await pass(clock, 3_000);
      expect(await caller, event).to.equal(mine);
    }
  });

  test("listeners and finalizers that were to follow one that took too long do not run later", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "2s" });
    const ran = [];
    const hanging = [gate(), gate()];
    pool.on("checkin", () => hanging[0].promise, { once: true });
    pool.on("checkin", () => void ran.push("checkin"), { once: true });
    const lease = await pool.connect();
    lease.record.finalize(() => void ran.push("finalizer"));
    lease.record.finalize(() => hanging[1].promise);
    const closed = lease.close();
    await pass(clock, 6_000);
    await closed;
    const next = await pool.connect();
    for (const { open } of hanging) open();
    await settled();
    expect(ran).to.deep.equal([]);
    await next.close();
  });
};
