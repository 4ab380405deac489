// AssertionPool: at most one lease at a time. A second one is refused, with where the first one was taken.

import { expect } from "chai";
import { AssertionError, AssertionPool, PoolError, PoolTimeoutError, QueuePool } from "edgepool";
import { expectSound, gate, never, pass, rejection, rejectionTime, settled, stateOf } from "./scripted.mjs";
import { scriptedKind } from "./scripted-kind.mjs";

const down = new Error("down");
const gone = new Error("gone");
const enough = new Error("enough");

async function takenByTheFirstHolder(pool) {
  return pool.connect();
}

async function askedByTheSecond(pool) {
  return rejection(pool.connect());
}

function expectAssertion(error, note) {
  expect(error, note).to.be.instanceOf(AssertionError).and.instanceOf(PoolError);
  expect(error, note).to.include({ code: "ERR_POOL_ASSERTION", name: "AssertionError", pool: "scripted" });
}

export default (test) => {
  test("226 a second connect() while a lease is out is an assertion error; one after it is fine", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server } = context;
    const lease = await pool.connect();
    for (let round = 0; round < 2; round++) expectAssertion(await rejection(pool.connect()));
    expect([lease.isValid, lease.connection.closed]).to.deep.equal([true, 0]);
    await lease.close();
    for (let round = 0; round < 3; round++) await (await pool.connect()).close();
    expect(server.calls.filter((call) => call === "open")).to.have.length(1);
    expect(pool.stats()).to.include({ opened: 1, checkouts: 4, idle: 1 });
    await expectSound(context);
  });

  test("a second connect() while the first is under way is one, too, and the first is served", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const first = pool.connect();
    const second = rejection(pool.connect());
    expectAssertion(await second, "while it opens");
    opening.open();
    server.script = {};
    await (await first).close();
    const listening = gate();
    pool.on("checkout", () => listening.promise, { once: true });
    const third = pool.connect();
    await settled();
    expectAssertion(await rejection(pool.connect()), "while its listener runs");
    listening.open();
    await (await third).close();
    await expectSound(context);
  });

  test("of two connect() calls at once, the first is served and the second refused", async () => {
    const { pool, server } = scriptedKind(AssertionPool);
    const [first, second] = await Promise.allSettled([pool.connect(), pool.connect()]);
    expect([first.status, second.status]).to.deep.equal(["fulfilled", "rejected"]);
    expectAssertion(second.reason);
    expect(server.calls).to.deep.equal(["open"]);
  });

  test("a use() within a use() is one; the outer one ends as ever", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool } = context;
    expectAssertion(await rejection(pool.use(() => pool.use(() => expect.fail("must not run")))));
    expect(pool.stats()).to.include({ used: 0, idle: 1 });
    await expectSound(context);
  });

  test("227 the error says where the first lease was taken, unless storeTraceback is false", async () => {
    for (const [storeTraceback, says] of [
      [undefined, true],
      [true, true],
      [false, false],
    ]) {
      for (const recreated of [false, true]) {
        const original = scriptedKind(AssertionPool, { storeTraceback }).pool;
        const pool = recreated ? original.recreate() : original;
        await takenByTheFirstHolder(pool);
        const { message } = await askedByTheSecond(pool);
        expect(message.includes("takenByTheFirstHolder"), `${storeTraceback} ${recreated}`).to.equal(says);
      }
    }
  });

  test("227 the stack is that of the lease that is out, not of one before it", async () => {
    const { pool } = scriptedKind(AssertionPool);
    await (await takenByTheFirstHolder(pool)).close();
    const second = async function takenByAnother() {
      return pool.connect();
    };
    await second();
    const { message } = await askedByTheSecond(pool);
    expect(message).to.contain("takenByAnother").and.not.to.contain("takenByTheFirstHolder");
  });

  test("while the previous lease is on its way back, connect() waits", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server } = context;
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const closed = (await pool.connect()).close();
    const next = pool.connect();
    expect(await stateOf(next)).to.equal("pending");
    expectAssertion(await rejection(pool.connect()), "a connect() is under way");
    reset.open();
    await closed;
    expect((await next).connection.id).to.equal(1);
    server.script = {};
    await (await next).close();
    await expectSound(context);
  });

  test("close() that is not awaited, then connect(): no assertion", async () => {
    const { pool } = scriptedKind(AssertionPool);
    for (let round = 0; round < 5; round++) {
      const lease = await pool.connect();
      void lease.close();
    }
    expect(pool.stats()).to.include({ opened: 1, checkouts: 5 });
  });

  test("a caller that waits for a return may abort or run out of time, and the next caller is served", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server, clock } = context;
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const closed = (await pool.connect()).close();
    const controller = new AbortController();
    const aborted = rejection(pool.connect({ signal: controller.signal }));
    controller.abort(enough);
    expect(await aborted).to.equal(enough);
    const noted = rejectionTime(pool.connect({ deadline: "2s" }), clock);
    await pass(clock, 2_500);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(noted.at).to.be.within(2_000, 2_125);
    const next = pool.connect();
    reset.open();
    await closed;
    expect((await next).connection.id).to.equal(1);
    server.script = {};
    await (await next).close();
    await expectSound(context);
  });

  test("when the reset of the previous lease fails or hangs, a caller that waits has a new connection", async () => {
    for (const rollback of [() => Promise.reject(gone), never]) {
      const context = scriptedKind(AssertionPool, { driverTimeout: "2s" });
      const { pool, server, clock } = context;
      server.script.rollback = rollback;
      void (await pool.connect()).close();
      const next = pool.connect({ timeout: null });
      await pass(clock, 2_500);
      expect((await next).connection.id).to.equal(2);
      server.script = {};
      await (await next).close();
      await expectSound(context);
    }
  });

  test("an invalidated lease is out no more: connect() waits for the termination and opens another", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server } = context;
    const termination = gate();
    server.script.terminate = () => termination.promise;
    const invalidated = (await pool.connect()).invalidate();
    const next = pool.connect();
    expect(await stateOf(next)).to.equal("pending");
    termination.open();
    await invalidated;
    expect((await next).connection.id).to.equal(2);
    server.script = {};
    await (await next).close();
    await expectSound(context);
  });

  test("229 detach frees it: a second connect() works while the detached connection is open", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server } = context;
    const detached = await pool.connect();
    await detached.detach();
    const lease = await pool.connect();
    expect([lease.connection.id, server.live]).to.deep.equal([2, 2]);
    expectAssertion(await rejection(pool.connect()));
    await detached.close();
    expectAssertion(await rejection(pool.connect()), "the close of the detached one frees nothing");
    await lease.close();
    await expectSound(context);
  });

  test("230 dispose() leaves a lease alone: until its return a second connect() is refused", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server, log } = context;
    const lease = await pool.connect();
    await pool.dispose();
    expect([lease.isValid, lease.connection.closed]).to.deep.equal([true, 0]);
    expectAssertion(await rejection(pool.connect()));
    await lease.close();
    expect([server.connections[0].closed, log.of("error").length]).to.deep.equal([1, 0]);
    expect(await pool.use(({ id }) => id)).to.equal(2);
    await expectSound(context);
  });

  test("after a creator or a listener that failed, the pool is usable", async () => {
    for (const fault of ["open", "connect", "checkout"]) {
      const context = scriptedKind(AssertionPool);
      const { pool, server } = context;
      if (fault === "open") server.script.open = () => Promise.reject(down);
      else pool.on(fault, () => Promise.reject(down), { once: true });
      expect(await rejection(pool.connect()), fault).to.equal(down);
      server.script = {};
      const lease = await pool.connect();
      expectAssertion(await rejection(pool.connect()), fault);
      await lease.close();
      await expectSound(context, fault);
    }
  });

  test("a connect() that was aborted is over: the next caller is served with what it opened", async () => {
    const context = scriptedKind(AssertionPool);
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const aborted = rejection(pool.connect({ signal: controller.signal }));
    controller.abort(enough);
    expect(await aborted).to.equal(enough);
    const next = pool.connect();
    opening.open();
    expect((await next).connection.id).to.equal(1);
    expect(server.calls).to.deep.equal(["open"]);
    await (await next).close();
    await expectSound(context);
  });

  test("closing a lease again frees nothing that another holds", async () => {
    const { pool } = scriptedKind(AssertionPool);
    const first = await pool.connect();
    await first.close();
    const second = await pool.connect();
    await first.close();
    await first.invalidate(gone);
    expectAssertion(await rejection(pool.connect()));
    expect([second.isValid, second.connection.closed]).to.deep.equal([true, 0]);
  });

  test("a refused caller costs nothing: no slot, no waiter, no timer", async () => {
    const { pool, clock, server } = scriptedKind(AssertionPool);
    await pool.connect();
    const before = pool.stats();
    await rejection(pool.connect());
    await rejection(pool.connect({ timeout: "5s" }));
    expect(pool.stats()).to.deep.equal(before);
    expect([clock.due.size, server.calls.length]).to.deep.equal([0, 1]);
  });

  test("a program's Error.prepareStackTrace may return call sites, or anything", async () => {
    const host = /** @type {any} */ (Error);
    const { prepareStackTrace } = host;
    const made = [];
    try {
      for (const prepare of [
        (_error, sites) => sites,
        () => 7,
        () => undefined,
        () => {
          throw new Error("no stack today");
        },
      ]) {
        const pool = new AssertionPool(() => ({ rollback() {}, close() {} }));
        host.prepareStackTrace = prepare;
        made.push([await pool.connect(), await pool.connect().catch((error) => error.code)]);
        const tracked = new QueuePool(() => ({ rollback() {}, close() {} }), { trackLeaks: "stack" });
        made.push([await tracked.connect(), "ERR_POOL_ASSERTION"]);
        host.prepareStackTrace = prepareStackTrace;
      }
    } finally {
      host.prepareStackTrace = prepareStackTrace;
    }
    expect(made.map(([lease, code]) => [lease.isValid, code])).to.deep.equal(
      Array.from({ length: 8 }, () => [true, "ERR_POOL_ASSERTION"]),
    );
  });
};
