// holdLimit: a lease that is out for longer is reported once, by a warning and the event `held`. onHoldLimit:
// "terminate" takes it back, as invalidate() does.

import { expect } from "chai";
import { AssertionPool, NullPool, StaticPool } from "edgepool";
import { expectSound, gate, never, pass, scriptedPool, settled, stateOf, thrown } from "./scripted.mjs";
import { scriptedKind } from "./scripted-kind.mjs";

const minute = 60_000;

function limited(options) {
  const context = scriptedPool({ poolSize: 1, maxOverflow: 0, holdLimit: "1m", ...options });
  const held = [];
  context.pool.on("held", (...parameters) => void held.push(parameters));
  return { ...context, held };
}

export default (test) => {
  test("a lease that is out for longer is reported once, with its record and for how long", async () => {
    const context = limited();
    const { pool, clock, log, held } = context;
    const lease = await pool.connect();
    await pass(clock, minute - 1);
    expect([held, log.of("warn")]).to.deep.equal([[], []]);
    await pass(clock, minute / 50);
    expect(held).to.have.length(1);
    const [record, milliseconds, stack] = held[0];
    expect(record).to.equal(lease.record);
    expect(milliseconds)
      .to.be.at.least(minute)
      .and.at.most(minute * 1.02);
    expect(stack).to.equal(undefined);
    expect(log.of("warn")).to.have.length(1);
    expect(log.of("warn")[0]).to.contain("pool scripted: ").and.contain(`${milliseconds} ms`).and.contain("holdLimit");
    await pass(clock, 100 * minute);
    expect([held.length, log.of("warn").length, lease.isValid]).to.deep.equal([1, 1, true]);
    await lease.close();
    expect(clock.due.size).to.equal(0);
    await expectSound(context);
  });

  test("with stacks it says where the lease was checked out, and five minutes are the limit", async () => {
    const { pool, clock, log, held } = limited({ holdLimit: undefined, trackLeaks: "stack" });
    await pool.connect();
    await pass(clock, 5 * minute - 1);
    expect(held).to.deep.equal([]);
    await pass(clock, 5 * minute * 0.02);
    expect(held).to.have.length(1);
    const [, , stack] = held[0];
    expect(stack).to.be.a("string").and.match(/\S/);
    expect(log.of("warn")[0]).to.contain(stack);
  });

  test("without the option nothing is reported, and no timer runs", async () => {
    const { pool, clock, held } = limited({ holdLimit: undefined });
    const lease = await pool.connect();
    expect([clock.due.size, clock.reads]).to.deep.equal([0, 0]);
    await pass(clock, 1_000 * minute);
    expect(held).to.deep.equal([]);
    await lease.close();
  });

  test("the time of each lease is its own, also if a waiter has the connection in the same instant", async () => {
    const { pool, clock, held } = limited({ timeout: null });
    const first = await pool.connect();
    const waiter = pool.connect();
    await pass(clock, minute - 1_000);
    await first.close();
    const second = await waiter;
    await pass(clock, minute - 1_000);
    expect(held).to.deep.equal([]);
    await pass(clock, minute);
    expect(held).to.have.length(1);
    await second.close();
  });

  test("the timer lets the process end: no caller waits for it", async () => {
    const { pool, clock } = limited();
    const lease = await pool.connect();
    expect(clock.due.size).to.equal(1);
    await lease.close();
    await pass(clock, 2 * minute);
    expect(clock.due.size).to.equal(0);
  });

  test("terminate takes the lease back, and its slot serves the next", async () => {
    const context = limited({ onHoldLimit: "terminate", timeout: null });
    const { pool, server, clock, log, held } = context;
    const lease = await pool.connect();
    const waiter = pool.connect();
    await pass(clock, minute * 1.02);
    expect(held).to.have.length(1);
    expect(log.of("warn")[0]).to.contain("terminated");
    const next = await waiter;
    expect(server.calls).to.deep.equal(["open", "terminate 1", "open"]);
    expect(lease.isValid).to.equal(false);
    expect(thrown(() => lease.connection).code).to.equal("ERR_POOL_INVALID_REQUEST");
    // However the holder ends it, nothing happens to the next lease.
    await lease.close();
    await lease.invalidate();
    expect(next.isValid).to.equal(true);
    expect(pool.stats()).to.include({ used: 1, invalidated: 1 });
    await next.close();
    await expectSound(context);
  });

  test("a lease that was taken back ends in nothing, however often its slot was lent since", async () => {
    for (const end of ["close", "invalidate", "detach"]) {
      // A handle of the slot comes round after 1,024 leases.
      for (const uses of [0, 1_022, 1_023, 1_024]) {
        const { pool, clock } = limited({ onHoldLimit: "terminate" });
        const lost = await pool.connect();
        await pass(clock, minute * 1.02);
        for (let number = 0; number < uses; number++) await pool.use(() => {});
        const lease = await pool.connect();
        await lost[end]();
        expect(pool.stats(), `${end} after ${uses} uses`).to.include({ used: 1, invalidated: 1, detached: 0 });
        await lease.close();
        expect(pool.stats()).to.include({ used: 0, idle: 1, opened: 2 });
      }
    }
  });

  test("use() of a lease that was taken back settles with what its function answers", async () => {
    const context = limited({ onHoldLimit: "terminate" });
    const { pool, clock } = context;
    const work = gate();
    const used = pool.use(() => work.promise);
    await pass(clock, minute * 1.02);
    expect(await stateOf(used)).to.equal("pending");
    work.open("done");
    expect(await used).to.equal("done");
    await expectSound(context);
  });

  test("a termination that never ends keeps the slot for driverTimeout and no longer", async () => {
    const { pool, server, clock } = limited({ onHoldLimit: "terminate", driverTimeout: "1s", timeout: null });
    server.script.terminate = never;
    await pool.connect();
    const waiter = pool.connect();
    await pass(clock, minute * 1.02 + 1_100);
    expect(await stateOf(waiter)).to.equal("fulfilled");
  });

  test("a listener of held may call the pool, throw, or reject; the pool goes on", async () => {
    for (const onHoldLimit of ["report", "terminate"]) {
      const context = limited({ onHoldLimit, poolSize: 2 });
      const { pool, clock, log, held } = context;
      pool.on("held", () => pool.use(() => {}));
      pool.on("held", () => {
        throw new Error("from a listener");
      });
      pool.on("held", () => Promise.reject(new Error("later")));
      const lease = await pool.connect();
      await pass(clock, minute * 1.02);
      await settled();
      expect(held).to.have.length(1);
      expect(log.errors.map(({ message }) => message)).to.deep.equal(["from a listener", "later"]);
      await lease.close();
      await expectSound(context);
    }
  });

  test("a detached connection has no limit", async () => {
    const { pool, clock, held } = limited({ onHoldLimit: "terminate" });
    const lease = await pool.connect();
    await lease.detach();
    await pass(clock, 10 * minute);
    expect([held.length, lease.isValid]).to.deep.equal([0, true]);
    await lease.close();
  });

  test("every kind that lends a connection to one caller has the limit, and no other takes it", async () => {
    for (const Kind of [NullPool, AssertionPool]) {
      const context = scriptedKind(Kind, { holdLimit: "1m", onHoldLimit: "terminate" });
      const lease = await context.pool.connect();
      await pass(context.clock, minute * 1.02);
      expect(lease.isValid, Kind.name).to.equal(false);
      await expectSound(context);
    }
    expect(thrown(() => scriptedKind(StaticPool, { holdLimit: "1m" })).code).to.equal("ERR_POOL_ARGUMENT");
  });
};
