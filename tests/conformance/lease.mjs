// A lease from connect() to close(): what it says, what it carries, and that it can do nothing once it has ended.

import { expect } from "chai";
import { InvalidRequestError, StaticPool } from "edgepool";
import { counts, expectSound, gate, rejection, scriptedPool, settled, stateOf, thrown } from "./scripted.mjs";
import { scriptedKind } from "./scripted-kind.mjs";

export default (test) => {
  test("a lease gives the driver's own connection, its slot, and says that it is valid", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    expect(lease.connection).to.equal(server.connections[0]);
    expect(lease.record.connection).to.equal(server.connections[0]);
    expect(lease.record.inUse).to.equal(true);
    expect([lease.isValid, lease.isDetached]).to.deep.equal([true, false]);
  });

  test("077 a lease that was closed is not valid, is detached, and has no record", async () => {
    const { pool } = scriptedPool();
    const lease = await pool.connect();
    const { record } = lease;
    await lease.close();
    expect([lease.isValid, lease.isDetached, lease.record, lease.recordInfo]).to.deep.equal([false, true, null, null]);
    expect(record.inUse).to.equal(false);
  });

  test("it ends in the same instant as close() is called, not when the reset is over", async () => {
    const { pool, server } = scriptedPool();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const lease = await pool.connect();
    const closed = lease.close();
    expect(lease.isValid).to.equal(false);
    expect(() => lease.connection).to.throw(InvalidRequestError);
    expect(await stateOf(closed)).to.equal("pending");
    reset.open();
    await closed;
  });

  test("the connection of a lease that has ended throws an InvalidRequestError that names the pool", async () => {
    for (const end of ["close", "invalidate"]) {
      const { pool } = scriptedPool({ loggingName: "orders" });
      const lease = await pool.connect();
      await lease[end]();
      const error = thrown(() => lease.connection);
      expect(error, end).to.be.instanceOf(InvalidRequestError);
      expect(error.code, end).to.equal("ERR_POOL_INVALID_REQUEST");
      expect(error.pool, end).to.equal("orders");
      expect(error.message, end).to.include("orders").and.to.include("connect()");
    }
  });

  test("075 close() again returns the same promise and does nothing, while it runs and after", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const closed = lease.close();
    expect(lease.close()).to.equal(closed);
    reset.open();
    await closed;
    expect(lease.close()).to.equal(closed);
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    expect(counts(pool)).to.deep.equal([5, 1, -4, 0]);
  });

  test("close() after a hard invalidate() returns the invalidation's promise and does nothing", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    const invalidated = lease.invalidate();
    expect(lease.close()).to.equal(invalidated);
    await invalidated;
    expect(lease.close()).to.equal(invalidated);
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
  });

  test("199 an ended lease cannot touch the slot's next holder", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, log } = context;
    const stale = await pool.connect();
    await stale.close();
    const holder = await pool.connect();
    await stale.close();
    await stale.invalidate(new Error("late"), { pool: true });
    await stale.invalidate(new Error("late"), { soft: true, pool: true });
    await stale.detach();
    await stale[Symbol.asyncDispose]();
    expect(holder.isValid).to.equal(true);
    expect(holder.connection).to.equal(server.connections[0]);
    expect(pool.stats()).to.include({ used: 1, idle: 0, detached: 0, invalidated: 0 });
    expect(log.of("warn")).to.have.length(2);
    await holder.close();
    expect(server.connections).to.have.length(1);
    await expectSound(context);
  });

  test("078 invalidate() on a lease that has ended only warns", async () => {
    const { pool, server, log } = scriptedPool();
    const lease = await pool.connect();
    const closed = lease.close();
    await closed;
    expect(lease.invalidate(new Error("late"))).to.equal(closed);
    expect(log.of("warn")).to.have.length(1);
    expect(log.of("warn")[0]).to.include("scripted").and.to.include("invalidate()");
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
  });

  test("174 invalidate() twice terminates once", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    await lease.invalidate();
    await lease.invalidate();
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
    expect(pool.stats().invalidated).to.equal(1);
  });

  test("061 info is empty at first, is the record's own object, and survives a return", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    expect(lease.info).to.deep.equal({});
    expect(lease.info).to.equal(lease.record.info);
    lease.info.prepared = true;
    await lease.close();
    const next = await pool.connect();
    expect(next.info).to.deep.equal({ prepared: true });
    expect(next.info).to.equal(next.record.info);
  });

  test("062 info is empty again after an invalidation", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    lease.info.prepared = true;
    await lease.invalidate();
    expect((await pool.connect()).info).to.deep.equal({});
  });

  test("info is cleared whenever the slot's connection is replaced: soft, pool-wide, failed reset", async () => {
    const replacements = {
      soft: (lease) => lease.invalidate(undefined, { soft: true }),
      "pool-wide": (lease, pool) => pool.invalidateAll(),
      "failed reset": (lease, pool, server) => void (server.script.rollback = () => Promise.reject(new Error("gone"))),
    };
    for (const [name, replace] of Object.entries(replacements)) {
      const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const lease = await pool.connect();
      Object.assign(lease.info, { prepared: true });
      Object.assign(lease.recordInfo, { slot: true });
      await replace(lease, pool, server);
      await lease.close();
      const next = await pool.connect();
      expect([next.connection.id, next.info, next.recordInfo], name).to.deep.equal([2, {}, { slot: true }]);
    }
  });

  test("info stays readable, as the same object, once the lease has ended", async () => {
    for (const end of ["close", "invalidate"]) {
      const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const lease = await pool.connect();
      const { info } = lease;
      info.mine = 1;
      await lease[end]();
      expect(lease.info, end).to.equal(info);
      expect(lease.info, end).to.deep.equal({ mine: 1 });
    }
  });

  test("067 info that was never read before the end is an empty object, not the next holder's", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    await lease.close();
    const next = await pool.connect();
    next.info.secret = true;
    expect(lease.info).to.deep.equal({});
    lease.info.stray = true;
    expect(next.info).to.deep.equal({ secret: true });
  });

  test("064 recordInfo belongs to the slot: it survives returns and invalidations", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    lease.recordInfo.slot = "a";
    await lease.close();
    const second = await pool.connect();
    expect(second.recordInfo).to.deep.equal({ slot: "a" });
    await second.invalidate();
    const third = await pool.connect();
    expect(third.connection.id).to.equal(2);
    expect(third.recordInfo).to.deep.equal({ slot: "a" });
    expect(third.recordInfo).to.equal(third.record.recordInfo);
  });

  test("a slot that was discarded takes its recordInfo with it", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    lease.recordInfo.slot = "a";
    lease.info.prepared = true;
    await lease.close();
    await pool.dispose();
    const next = await pool.connect();
    expect([next.info, next.recordInfo]).to.deep.equal([{}, {}]);
  });

  test("two leases at once share neither info nor recordInfo", async () => {
    const { pool } = scriptedPool();
    const first = await pool.connect();
    const second = await pool.connect();
    first.info.mine = 1;
    first.recordInfo.mine = 1;
    expect([second.info, second.recordInfo]).to.deep.equal([{}, {}]);
  });

  test("073 the end of a scope returns the lease: Symbol.asyncDispose is close()", async () => {
    const { pool } = scriptedPool();
    const lease = await pool.connect();
    expect(pool.checkedOut()).to.equal(1);
    const disposed = lease[Symbol.asyncDispose]();
    expect(lease.close()).to.equal(disposed);
    await disposed;
    expect(pool.checkedOut()).to.equal(0);
  });

  test("a lease is never taken for a promise", async () => {
    const { pool } = scriptedPool();
    const lease = await pool.connect();
    expect(lease.then).to.equal(undefined);
    expect(await lease).to.equal(lease);
    expect(await Promise.resolve(lease)).to.equal(lease);
    await lease.close();
    expect(await lease).to.equal(lease);
  });

  test("close() never rejects, however the reset and the termination fail", async () => {
    const context = scriptedPool();
    const { pool, server, log } = context;
    const [resetFailed, terminateFailed] = [new Error("reset"), new Error("terminate")];
    server.script.rollback = () => Promise.reject(resetFailed);
    server.script.terminate = () => Promise.reject(terminateFailed);
    const lease = await pool.connect();
    expect(await lease.close()).to.equal(undefined);
    expect(log.errors).to.deep.equal([resetFailed, terminateFailed]);
    await expectSound(context);
  });

  test("a promise of close() that is not awaited leaves nothing behind", async () => {
    const { pool, server } = scriptedPool();
    server.script.rollback = () => Promise.reject(new Error("gone"));
    void (await pool.connect()).close();
    await settled();
    expect(counts(pool)).to.deep.equal([5, 1, -4, 0]);
  });

  test("a close() with a wrong argument returns the connection, and then rejects", async () => {
    for (const wrong of [true, 1, "end", [], { reset: true }, { transactionWasReset: "yes" }, null]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const { pool, server } = context;
      const lease = await pool.connect();
      const closed = lease.close(wrong);
      expect(lease.isValid).to.equal(false);
      const error = await rejection(closed);
      expect(error.code).to.equal("ERR_POOL_ARGUMENT");
      expect(server.calls).to.deep.equal(["open", "rollback 1"]);
      expect(await lease.close(), "a later close() has nothing to say").to.equal(undefined);
      expect(await pool.use(({ id }) => id)).to.equal(1);
      await expectSound(context);
    }
  });

  test("a detached and a shared lease with a wrong argument end, too", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    await lease.detach();
    expect((await rejection(lease.close(1))).code).to.equal("ERR_POOL_ARGUMENT");
    expect(server.live).to.equal(0);
    const shared = scriptedKind(StaticPool);
    const share = await shared.pool.connect();
    expect((await rejection(share.close(1))).code).to.equal("ERR_POOL_ARGUMENT");
    expect(shared.pool.stats().used).to.equal(0);
  });
};
