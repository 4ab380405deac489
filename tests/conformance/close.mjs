// pool.close(): terminal. Refuses, rejects, waits for leases, terminates, and always settles.

import { expect } from "chai";
import { PoolClosedError } from "edgepool";
import {
  connects,
  counts,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
} from "./scripted.mjs";

export default (test) => {
  test("an empty pool closes at once, without a clock", async () => {
    const { pool, clock } = scriptedPool();
    expect(pool.closed).to.equal(false);
    const closed = pool.close();
    expect(pool.closed).to.equal(true);
    expect(await closed).to.equal(undefined);
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
  });

  test("idle connections are closed politely, without a reset, and close() waits for them", async () => {
    const { pool, server } = scriptedPool();
    for (const lease of await connects(pool, 2)) await lease.close();
    server.calls.length = 0;
    const closing = gate();
    server.script.close = () => closing.promise;
    const closed = pool.close();
    expect(server.calls).to.deep.equal(["close 1", "close 2"]);
    expect(await stateOf(closed)).to.equal("pending");
    closing.open();
    await closed;
    expect(counts(pool)).to.deep.equal([5, 0, -5, 0]);
  });

  test("a caller that comes after it gets a PoolClosedError that names the pool, and nothing is opened", async () => {
    const { pool, server } = scriptedPool({ loggingName: "orders" });
    await pool.close();
    for (const options of [undefined, {}, { timeout: 0 }, { deadline: "1s" }]) {
      const error = await rejection(pool.connect(options));
      expect(error).to.be.instanceOf(PoolClosedError);
      expect([error.code, error.pool]).to.deep.equal(["ERR_POOL_CLOSED", "orders"]);
    }
    expect(server.calls).to.deep.equal([]);
  });

  test("a caller that has aborted already gets the signal's reason", async () => {
    const { pool } = scriptedPool();
    await pool.close();
    const reason = new Error("enough");
    expect(await rejection(pool.connect({ signal: AbortSignal.abort(reason) }))).to.equal(reason);
  });

  test("every waiter gets a PoolClosedError, in order, and no caller is served any more", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const lease = await pool.connect();
    const refused = [];
    const options = [undefined, { deadline: "1m" }, { timeout: null }, { signal: new AbortController().signal }];
    const waiters = options.map((given, number) =>
      pool.connect(given).catch((error) => refused.push([number, error.code])),
    );
    const closed = pool.close();
    await Promise.all(waiters);
    expect(refused).to.deep.equal([0, 1, 2, 3].map((number) => [number, "ERR_POOL_CLOSED"]));
    expect(pool.stats().waiting).to.equal(0);
    await lease.close();
    await closed;
    expect(server.connections).to.have.length(1);
    await expectSound(context);
  });

  test("a waiter that was woken and has not resumed is refused, too", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const lease = await pool.connect();
    const waiter = rejection(pool.connect());
    void lease.invalidate();
    expect(pool.stats()).to.include({ waiting: 0, opening: 1 });
    const closed = pool.close();
    expect(await waiter).to.be.instanceOf(PoolClosedError);
    await closed;
    expect(server.connections).to.have.length(1);
    await expectSound(context);
  });

  test("it waits for leases: each is reset and closed at its return, and with the last it is over", async () => {
    const { pool, server } = scriptedPool();
    const [first, second] = await connects(pool, 2);
    const closed = pool.close();
    expect([first.isValid, first.connection]).to.deep.equal([true, server.connections[0]]);
    await first.close();
    expect(server.calls.slice(2)).to.deep.equal(["rollback 1", "close 1"]);
    expect(await stateOf(closed)).to.equal("pending");
    await second.close();
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect(server.calls.slice(4)).to.deep.equal(["rollback 2", "close 2"]);
  });

  test("leases that are not back within the timeout are terminated, and no caller waits for that", async () => {
    const context = scriptedPool();
    const { pool, server, clock } = context;
    const [first, second] = await connects(pool, 2);
    server.script.terminate = never;
    const closed = pool.close({ timeout: "3s" });
    await pass(clock, 2_900);
    expect(await stateOf(closed)).to.equal("pending");
    expect(server.live).to.equal(2);
    await pass(clock, 200);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect(server.calls.slice(2)).to.deep.equal(["terminate 1", "terminate 2"]);
    await first.close();
    await second.invalidate();
    expect(server.calls.slice(4), "their late return touches nothing").to.deep.equal([]);
    await expectSound(context);
  });

  test("the timeout is ten seconds, or what is given", async () => {
    for (const [options, ms] of [
      [undefined, 10_000],
      [{}, 10_000],
      [{ timeout: "2s" }, 2_000],
      [{ timeout: 2 }, 2_000],
      [{ timeout: "50ms" }, 50],
    ]) {
      const { pool, clock } = scriptedPool();
      await pool.connect();
      const closed = pool.close(options);
      await pass(clock, ms - 1);
      expect(await stateOf(closed)).to.equal("pending");
      await pass(clock, Math.max(10, ms / 16));
      expect(await stateOf(closed)).to.equal("fulfilled");
    }
  });

  test("with a timeout of 0 leases are terminated at once, without a clock", async () => {
    const { pool, server, clock } = scriptedPool({ driverTimeout: null });
    const lease = await pool.connect();
    const closed = pool.close({ timeout: 0 });
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
    await closed;
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
    await lease.close();
    expect(server.connections[0].closed).to.equal(1);
  });

  test("no timer is left when the leases are back before the timeout", async () => {
    const { pool, clock } = scriptedPool();
    const lease = await pool.connect();
    const closed = pool.close();
    expect(clock.due.size).to.equal(1);
    await lease.close();
    await closed;
    expect(clock.due.size).to.equal(0);
  });

  test("it is idempotent: always the same promise, whatever the later calls ask for", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    const closed = pool.close();
    expect(pool.close()).to.equal(closed);
    expect(pool.close({ timeout: "1h", drain: true })).to.equal(closed);
    expect(server.live).to.equal(1);
    await lease.close();
    await closed;
    expect(pool.close({ timeout: 0 })).to.equal(closed);
    expect(server.connections[0].closed).to.equal(1);
  });

  test("a later call can shorten the first, and with a timeout of 0 end it now", async () => {
    for (const [later, ms] of [
      [{ timeout: "1s" }, 1_000],
      [{ timeout: "1s", drain: true }, 1_000],
      [{ timeout: 0 }, 0],
    ]) {
      const context = scriptedPool();
      const { pool, server, clock } = context;
      await pool.connect();
      const closed = pool.close({ timeout: "30s" });
      await pass(clock, 5_000);
      expect(pool.close(later)).to.equal(closed);
      await pass(clock, Math.max(ms - 1, 0));
      expect(await stateOf(closed)).to.equal(ms === 0 ? "fulfilled" : "pending");
      await pass(clock, ms / 16 + 2);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect(server.calls).to.deep.equal(["open", "terminate 1"]);
      expect(clock.due.size).to.equal(0);
      await expectSound(context);
    }
  });

  test("a later call never lengthens the first, also one that drains", async () => {
    for (const drain of [false, true]) {
      const { pool, clock } = scriptedPool();
      await pool.connect();
      const closed = pool.close({ timeout: "5s" });
      await pass(clock, 4_500);
      void pool.close({ timeout: "1m", drain });
      void pool.close({ timeout: "1s", drain });
      await pass(clock, 900);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect(clock.due.size).to.equal(0);
    }
  });

  test("a listener that closes the pool again while it closes hastens it", async () => {
    const context = scriptedPool();
    const { pool, server } = context;
    const [idle, held] = await connects(pool, 2);
    await idle.close();
    let again;
    pool.on("close", () => void (again ??= pool.close({ timeout: 0 })));
    const closed = pool.close({ timeout: "1h" });
    await closed;
    expect(again).to.equal(closed);
    expect(server.calls.slice(3)).to.deep.equal(["close 1", "terminate 2"]);
    await held.close();
    await expectSound(context);
  });

  test("the end of a scope closes the pool: Symbol.asyncDispose is close(), not dispose()", async () => {
    const { pool } = scriptedPool();
    const disposed = pool[Symbol.asyncDispose]();
    expect(pool.close()).to.equal(disposed);
    await disposed;
    expect(pool.closed).to.equal(true);
  });

  test("an opening under way refuses its caller at once, and its connection is closed when it arrives", async () => {
    const context = scriptedPool();
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = rejection(pool.connect());
    const closed = pool.close();
    expect(await caller).to.be.instanceOf(PoolClosedError);
    expect(await stateOf(closed)).to.equal("pending");
    opening.open();
    await closed;
    expect(server.calls).to.deep.equal(["open", "close 1"]);
    await expectSound(context);
  });

  test("an opening that fails after its caller was refused is logged, and the close goes on", async () => {
    const { pool, server, log } = scriptedPool();
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = rejection(pool.connect());
    const closed = pool.close();
    await caller;
    const down = new Error("down");
    opening.fail(down);
    await closed;
    expect(log.errors).to.deep.equal([down]);
    expect(pool.stats().total).to.equal(0);
  });

  test("an opening that outlives the timeout is not waited for; its connection is closed when it arrives", async () => {
    const context = scriptedPool();
    const { pool, server, clock } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = rejection(pool.connect());
    const closed = pool.close({ timeout: "1s" });
    await caller;
    await pass(clock, 2_000);
    expect(await stateOf(closed)).to.equal("fulfilled");
    opening.open();
    await settled();
    expect(server.connections.map(({ closed: times }) => times)).to.deep.equal([1]);
    await expectSound(context);
  });

  test("an opening that outlives driverTimeout and the close is closed when it arrives", async () => {
    const context = scriptedPool({ driverTimeout: "5s" });
    const { pool, server, clock } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = rejection(pool.connect());
    const closed = pool.close();
    await caller;
    await pass(clock, 6_000);
    expect(await stateOf(closed)).to.equal("fulfilled");
    opening.open();
    await settled();
    expect(server.connections.map(({ closed: times }) => times)).to.deep.equal([1]);
    await expectSound(context);
  });

  test("a replacement under way opens nothing more", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await (await pool.connect()).close();
    pool.invalidateAll();
    const termination = gate();
    server.script.terminate = () => termination.promise;
    const caller = rejection(pool.connect());
    const closed = pool.close();
    expect(await caller).to.be.instanceOf(PoolClosedError);
    termination.open();
    await closed;
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
  });

  test("a reset under way is waited for, then its connection is closed", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const returned = lease.close();
    const closed = pool.close();
    expect(await stateOf(closed)).to.equal("pending");
    reset.open();
    await returned;
    await closed;
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
  });

  test("a connection whose reset or reset listener hangs at the end of the timeout is terminated", async () => {
    for (const hangs of ["rollback", "listener"]) {
      const { pool, server, clock, log } = scriptedPool({ driverTimeout: null });
      if (hangs === "listener") pool.on("reset", never);
      else server.script.rollback = never;
      const lease = await pool.connect();
      const returned = lease.close();
      const closed = pool.close({ timeout: "5s" });
      await pass(clock, 4_900);
      expect([await stateOf(closed), server.live], hangs).to.deep.equal(["pending", 1]);
      await pass(clock, 300);
      await Promise.all([closed, returned]);
      expect([server.calls.at(-1), server.live], hangs).to.deep.equal(["terminate 1", 0]);
      expect(log.of("error").join(), hangs).to.include("than the close of the pool waits");
    }
  });

  test("it settles whatever hangs: opening, reset, close and termination at once", async () => {
    const context = scriptedPool({ poolSize: 4, maxOverflow: 0, driverTimeout: null });
    const { pool, server, clock } = context;
    const [idle, resetting, invalidated] = await connects(pool, 3);
    const held = await pool.connect();
    await idle.close();
    server.script = { open: never, rollback: never, close: never, terminate: never };
    void pool.dispose();
    void resetting.close();
    void invalidated.invalidate();
    await held.detach();
    const opening = rejection(pool.connect());
    const closed = pool.close({ timeout: "5s" });
    expect(await opening).to.be.instanceOf(PoolClosedError);
    await pass(clock, 6_000);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect(clock.due.size).to.equal(0);
  });

  test("failing closes and terminations are logged, and it resolves", async () => {
    const { pool, server, log, clock } = scriptedPool();
    const [idle, lost] = await connects(pool, 2);
    await idle.close();
    const [first, second] = [new Error("close"), new Error("terminate")];
    server.script.close = () => Promise.reject(first);
    server.script.terminate = () => thrower(second);
    const closed = pool.close({ timeout: "1s" });
    await pass(clock, 2_000);
    await closed;
    expect(log.errors).to.deep.equal([first, second]);
    expect(lost.isDetached).to.equal(false);
    expect(pool.stats().total).to.equal(0);
  });

  test("a lease may be invalidated while the pool drains", async () => {
    const context = scriptedPool();
    const { pool } = context;
    const lease = await pool.connect();
    const closed = pool.close();
    await lease.invalidate();
    await closed;
    await expectSound(context);
  });

  test("a lease that is detached while the pool drains is no longer waited for", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    const closed = pool.close();
    await lease.detach();
    await closed;
    expect(server.live).to.equal(1);
    await lease.close();
    expect(server.live).to.equal(0);
  });

  test("awaited inside use() it waits for itself until its timeout", async () => {
    const { pool, server, clock } = scriptedPool();
    const used = pool.use(() => pool.close({ timeout: "2s" }));
    await pass(clock, 1_900);
    expect(await stateOf(used)).to.equal("pending");
    await pass(clock, 200);
    expect(await stateOf(used)).to.equal("fulfilled");
    expect(server.connections[0].closed).to.equal(1);
  });

  test("not awaited inside use(), it lets the function end first", async () => {
    const { pool, server } = scriptedPool();
    let closed;
    const result = await pool.use(() => {
      closed = pool.close();
      return "result";
    });
    await closed;
    expect(result).to.equal("result");
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
  });

  test("the numbers stay readable", async () => {
    const { pool } = scriptedPool();
    await pool.use(() => {});
    await pool.close();
    expect(pool.stats()).to.include({ total: 0, opened: 1, checkouts: 1 });
    expect(pool.status()).to.include("0 in use, 0 idle");
  });
};

function thrower(error) {
  throw error;
}
