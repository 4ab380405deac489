// maxAge: an idle connection is closed at its age, by the pool's timer, and one in use at its return. None that is
// older is lent.

import { expect } from "chai";
import { AssertionPool, NullPool, SingletonThreadPool, StaticPool } from "edgepool";
import { expectSound, never, pass, scriptedPool, settled, stateOf } from "./scripted.mjs";
import { scriptedKind } from "./scripted-kind.mjs";

const minute = 60_000;
const latest = minute * 1.02;

function ageing(options) {
  return scriptedPool({ poolSize: 1, maxOverflow: 0, maxAge: "1m", ...options });
}

export default (test) => {
  test("an idle connection is closed at its age and not before, however often it was used", async () => {
    const context = ageing();
    const { pool, server, clock } = context;
    for (let use = 0; use < 59; use++) {
      await pool.use(() => {});
      await pass(clock, 1_000);
    }
    expect(server.live).to.equal(1);
    await pass(clock, latest - 59_000);
    expect(server.calls.at(-1)).to.equal("close 1");
    expect(pool.stats()).to.include({ total: 0, opened: 1, recycled: 1, invalidated: 0 });
    expect(clock.due.size).to.equal(0);
    await expectSound(context);
  });

  test("a connection in use goes on, and is closed at its return; a waiter gets another", async () => {
    const context = ageing({ timeout: null });
    const { pool, server, clock } = context;
    const lease = await pool.connect();
    const waiter = pool.connect();
    await pass(clock, 10 * minute);
    expect([lease.isValid, server.live]).to.deep.equal([true, 1]);
    await lease.close();
    expect(server.calls.slice(-3)).to.deep.equal(["rollback 1", "close 1", "open"]);
    await (await waiter).close();
    await expectSound(context);
  });

  test("after a freeze no caller gets a connection that is too old", async () => {
    let frozen = 0;
    const context = ageing();
    const { clock } = context;
    const { pool, server } = scriptedPool({
      poolSize: 1,
      maxOverflow: 0,
      maxAge: "1m",
      clock: {
        now: () => clock.now + frozen,
        setTimeout: (run, ms) => clock.setTimeout(run, ms),
        clearTimeout: (timer) => clock.clearTimeout(timer),
      },
    });
    await pool.use(() => {});
    frozen = 10 * minute;
    expect(await pool.use(({ id }) => id)).to.equal(2);
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1", "open", "rollback 2"]);
  });

  test("minIdle keeps no connection that is too old; min opens another", async () => {
    const idle = ageing({ idleTimeout: "10s", minIdle: 1 });
    await idle.pool.use(() => {});
    await pass(idle.clock, latest);
    expect(idle.pool.stats()).to.include({ total: 0, opened: 1 });

    const { pool, clock } = ageing({ poolSize: 2, min: 2 });
    await pool.use(() => {});
    await settled();
    expect(pool.stats()).to.include({ idle: 2, opened: 2 });
    await pass(clock, latest);
    expect(pool.stats()).to.include({ idle: 2, opened: 4 });
    await pool.close();
  });

  test("recycleJitter spreads the ages", async () => {
    const { pool, clock } = ageing({ poolSize: 20, recycleJitter: 0.9 });
    await pool.warm(20);
    const left = [];
    for (let step = 0; step < 10; step++) {
      await pass(clock, latest / 10);
      left.push(pool.stats().idle);
    }
    expect(left.at(-1)).to.equal(0);
    expect(new Set(left).size, String(left)).to.be.at.least(3);
  });

  test("a close that never ends keeps its slot for driverTimeout and no longer", async () => {
    const { pool, server, clock } = ageing({ driverTimeout: "10s" });
    await pool.use(() => {});
    server.script.close = never;
    await pass(clock, latest);
    const caller = pool.connect();
    expect(await stateOf(caller)).to.equal("pending");
    await pass(clock, 10_200);
    expect(await stateOf(caller)).to.equal("fulfilled");
  });

  test("the timer lets the process end, and no timer runs once the pool is empty", async () => {
    const { pool, clock } = ageing();
    const lease = await pool.connect();
    expect(clock.due.size).to.equal(1);
    await lease.invalidate();
    await pass(clock, latest);
    expect(clock.due.size).to.equal(0);
    await pool.use(() => {});
    await pool.close();
    expect(clock.due.size).to.equal(0);
  });

  test("every kind that keeps a connection has the limit", async () => {
    for (const Kind of [StaticPool, SingletonThreadPool, AssertionPool]) {
      const context = scriptedKind(Kind, { maxAge: "1m" });
      const { pool, clock } = context;
      await pool.use(() => {});
      await pass(clock, latest);
      expect(pool.stats(), Kind.name).to.include({ total: 0, opened: 1 });
      await expectSound(context);
    }
    const context = scriptedKind(NullPool, { maxAge: "1m" });
    const lease = await context.pool.connect();
    expect(context.clock.due.size).to.equal(0);
    await lease.close();
  });

  test("holders of a shared connection keep it, and its last return closes it", async () => {
    const { pool, clock } = scriptedKind(StaticPool, { maxAge: "1m" });
    const leases = [await pool.connect(), await pool.connect()];
    await pass(clock, 10 * minute);
    leases.push(await pool.connect());
    expect(pool.stats().opened).to.equal(1);
    for (const lease of leases) await lease.close();
    expect(pool.stats()).to.include({ total: 0, opened: 1 });
    expect(await pool.use(({ id }) => id)).to.equal(2);
  });
};
