// recycle: the age past which a connection is replaced at its next checkout, and its spread.

import { expect } from "chai";
import { connects, counts, expectSound, pass, rejection, settled } from "./scripted.mjs";
import { cycle, onePool, thrower, tracedPool } from "./tracing.mjs";

/** The number of the connection that the next caller has. */
async function nextId(pool) {
  return pool.use(({ id }) => id);
}

export default (test) => {
  test("157 a connection is replaced once it is older than recycle", async () => {
    const { pool, clock } = onePool({ recycle: 30 });
    clock.tick(10_000_000);
    expect(await nextId(pool)).to.equal(1);
    clock.tick(1_000);
    expect(await nextId(pool)).to.equal(1);
    clock.tick(34_000);
    expect(await nextId(pool)).to.equal(2);
  });

  test("158 at exactly its age it is used again, and replaced a millisecond later", async () => {
    const { pool, clock } = onePool({ recycle: "30s" });
    await cycle(pool);
    clock.tick(30_000);
    expect(await nextId(pool)).to.equal(1);
    clock.tick(1);
    expect(await nextId(pool)).to.equal(2);
  });

  test("159 recycle 0 replaces it at every checkout, even in the same instant", async () => {
    const { pool, clock } = onePool({ recycle: 0 });
    expect(await nextId(pool)).to.equal(1);
    expect(await nextId(pool)).to.equal(2);
    clock.tick(1);
    expect(await nextId(pool)).to.equal(3);
    expect(pool.stats()).to.include({ opened: 3, recycled: 2 });
  });

  test("-1 never replaces it, and is the default", async () => {
    for (const recycle of [undefined, -1]) {
      const { pool, clock } = onePool({ recycle });
      await cycle(pool);
      clock.tick(365 * 86_400_000);
      expect(await nextId(pool)).to.equal(1);
    }
  });

  test("161 it is closed with the close event, and terminated, not closed politely", async () => {
    const { pool, clock, steps, given } = onePool({ recycle: "30s" });
    const [, record] = await cycle(pool).then(() => given("checkout")[0]);
    clock.tick(30_001);
    steps();
    const lease = await pool.connect();
    expect(steps()).to.deep.equal(["close event 1", "terminate 1", "open", "connect 2", "checkout 2"]);
    expect(lease.record).to.equal(record);
    expect(given("invalidate")).to.deep.equal([]);
    expect(pool.stats()).to.include({ recycled: 1, invalidated: 0 });
  });

  test("a reconnect starts a new age", async () => {
    const { pool, clock } = onePool({ recycle: "30s" });
    await cycle(pool);
    clock.tick(20_000);
    await (await pool.connect()).invalidate();
    await cycle(pool);
    clock.tick(20_000);
    expect(await nextId(pool)).to.equal(2);
  });

  test("the age counts from the end of the opening; no connection is replaced in its first checkout", async () => {
    const { pool, server, clock } = onePool({ recycle: "3s" });
    server.script.open = () => new Promise((done) => clock.setTimeout(() => done(undefined), 5_000));
    const caller = pool.connect();
    await pass(clock, 5_000);
    await (await caller).close();
    server.script = {};
    clock.tick(3_000);
    expect(await nextId(pool)).to.equal(1);
    clock.tick(1);
    expect(await nextId(pool)).to.equal(2);
  });

  test("a leased connection of any age is left to its caller, and replaced when it goes to a waiter", async () => {
    const { pool, clock, steps } = onePool({ recycle: "3s", timeout: null });
    const lease = await pool.connect();
    clock.tick(60_000);
    expect(lease.isValid).to.equal(true);
    const waiter = pool.connect();
    steps();
    await lease.close();
    expect((await waiter).connection.id).to.equal(2);
    expect(steps()).to.deep.equal([
      "reset 1",
      "rollback 1",
      "checkin 1",
      "close event 1",
      "terminate 1",
      "open",
      "connect 2",
      "checkout 2",
    ]);
  });

  test("a termination that fails is reported, and the caller has the new connection", async () => {
    for (const fail of [thrower(new Error("terminate")), () => Promise.reject(new Error("terminate"))]) {
      const context = onePool({ recycle: "3s" });
      const { pool, server, clock, given } = context;
      await cycle(pool);
      clock.tick(3_001);
      server.script.terminate = fail;
      expect(await nextId(pool)).to.equal(2);
      expect(given("error").map(([, { operation }]) => operation)).to.deep.equal(["terminate"]);
      await expectSound(context);
    }
  });

  test("a close listener that fails while it is replaced is reported; the caller has the new one", async () => {
    const context = onePool({ recycle: "3s" });
    const { pool, server, clock, steps } = context;
    await cycle(pool);
    clock.tick(3_001);
    steps();
    server.script["close event"] = thrower(new Error("close listener"));
    expect(await nextId(pool)).to.equal(2);
    expect(steps().slice(0, 6)).to.deep.equal([
      "close event 1",
      "error listener",
      "terminate 1",
      "open",
      "connect 2",
      "checkout 2",
    ]);
    await expectSound(context);
  });

  test("123 an aged connection whose creator is down loses no place: three leases work afterwards", async () => {
    const context = tracedPool({ poolSize: 1, maxOverflow: 2, recycle: 1 });
    const { pool, server, clock, steps } = context;
    await cycle(pool);
    clock.tick(1_001);
    steps();
    const failure = new Error("down");
    server.script.open = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal(["close event 1", "terminate 1", "open", "checkin null"]);
    for (let round = 0; round < 3; round++) {
      expect(await rejection(pool.connect())).to.equal(failure);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    }
    server.script = {};
    for (const lease of await connects(pool, 3)) await lease.close();
    await expectSound(context);
  });

  test("recycleJitter spreads the age of each connection between recycle * (1 - jitter) and recycle", async () => {
    const size = 100;
    const { pool, clock } = tracedPool({ poolSize: size, maxOverflow: 0, recycle: "100s", recycleJitter: 0.5 });
    const all = async () => {
      for (const lease of await connects(pool, size)) await lease.close();
      return pool.stats().recycled;
    };
    await all();
    clock.tick(50_000);
    expect(await all(), "none is younger than the least age").to.equal(0);
    clock.tick(25_000);
    const half = await all();
    expect(half, "some at half of the spread").to.be.above(0).and.below(size);
  });

  test("recycleJitter: none outlives recycle", async () => {
    const size = 100;
    const { pool, clock } = tracedPool({ poolSize: size, maxOverflow: 0, recycle: "100s", recycleJitter: 0.5 });
    for (const lease of await connects(pool, size)) await lease.close();
    clock.tick(100_001);
    for (const lease of await connects(pool, size)) await lease.close();
    expect(pool.stats()).to.include({ recycled: size, opened: 2 * size });
  });

  test("recycleJitter 0 spreads nothing, and without recycle it means nothing", async () => {
    const { pool, clock } = tracedPool({ poolSize: 20, recycle: "100s", recycleJitter: 0 });
    for (const lease of await connects(pool, 20)) await lease.close();
    await settled();
    clock.tick(100_000);
    for (const lease of await connects(pool, 20)) await lease.close();
    expect(pool.stats().recycled).to.equal(0);
    const never = tracedPool({ recycleJitter: 1 });
    await cycle(never.pool);
    never.clock.tick(365 * 86_400_000);
    await cycle(never.pool);
    expect(never.pool.stats().recycled).to.equal(0);
  });
};
