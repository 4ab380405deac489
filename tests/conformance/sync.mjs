// pool.tryConnect() and pool.useSync(): the pool for drivers that answer at once. They never wait, and keep the rules
// of connect() and use().

import { expect } from "chai";
import {
  ArgumentError,
  AssertionError,
  AssertionPool,
  DisconnectionError,
  InvalidRequestError,
  NullPool,
  PoolClosedError,
  PoolTimeoutError,
  QueuePool,
  SingletonThreadPool,
  StaticPool,
} from "edgepool";
import { expectSound, gate, pass, scriptedPool, settled, stateOf, thrown } from "./scripted.mjs";
import { newCalls, pings, scriptedKind, traced } from "./scripted-kind.mjs";

const gone = new Error("gone");
const one = { poolSize: 1, maxOverflow: 0 };

/** Keeps the function from being one statement of a test. */
function thrower(error) {
  throw error;
}

export default (test) => {
  test("useSync() gives the connection and the lease, and returns what the function returns", () => {
    const { pool, server } = scriptedPool();
    const result = pool.useSync((connection, lease) => {
      expect(connection).to.equal(server.connections[0]);
      expect(lease).to.include({ connection, isValid: true });
      return "result";
    });
    expect(result).to.equal("result");
    expect(pool.useSync(() => undefined)).to.equal(undefined);
    expect(pool.stats()).to.include({ opened: 1, checkouts: 2, idle: 1, used: 0 });
  });

  test("the connection is reset and back before useSync() returns", () => {
    const { pool, server } = scriptedPool(one);
    pool.useSync(() => expect(pool.stats().used).to.equal(1));
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    expect(pool.stats()).to.include({ idle: 1, returning: 0 });
  });

  test("an error of the function comes out unchanged, and returns the connection", () => {
    const { pool } = scriptedPool(one);
    for (const error of [new Error("mine"), "a string", undefined, null])
      expect(thrown(() => pool.useSync(() => thrower(error)))).to.equal(error);
    expect(pool.stats()).to.include({ opened: 1, idle: 1 });
  });

  test("an error that isDisconnect recognises costs the connection, or all of its age", async () => {
    for (const isDisconnect of [() => "connection", () => true]) {
      const context = scriptedPool({ dialect: { isDisconnect } });
      const { pool, server } = context;
      const other = pool.tryConnect();
      expect(thrown(() => pool.useSync(() => thrower(gone)))).to.equal(gone);
      expect(server.calls).to.deep.equal(["open", "open", "terminate 2"]);
      await other.close();
      pool.useSync(() => {});
      expect(pool.stats().opened).to.equal(isDisconnect() === true ? 3 : 2);
      await expectSound(context);
    }
  });

  test("tryConnect() returns a lease like that of connect()", async () => {
    const context = traced(scriptedPool(one));
    const { pool, server } = context;
    const lease = pool.tryConnect();
    expect(lease.connection).to.equal(server.connections[0]);
    expect(lease.record.inUse).to.equal(true);
    void lease.close();
    expect(newCalls(context)).to.deep.equal([
      "open",
      "on firstConnect 1",
      "on connect 1",
      "on checkout 1",
      "on reset 1",
      "rollback 1",
      "on checkin 1",
    ]);
    expect(lease.isValid).to.equal(false);
    await expectSound(context);
  });

  test("a full pool answers undefined, or throws its numbers, and no caller was counted as waiting", async () => {
    const { pool } = scriptedPool({ ...one, timeout: "30s" });
    const lease = pool.tryConnect();
    expect(pool.tryConnect()).to.equal(undefined);
    expect(pool.stats()).to.include({ waiting: 0, waited: 0, timedOut: 0 });
    let calls = 0;
    const callsUseSync = () => void pool.useSync(() => calls++);
    const error = thrown(callsUseSync);
    expect(error).to.be.instanceOf(PoolTimeoutError);
    expect(error).to.include({ code: "ERR_POOL_TIMEOUT", step: "wait", timeoutMs: 0, waitedMs: 0, pool: "scripted" });
    expect(error.message).to.equal(
      "no connection came free at once, as useSync() wants it, in the pool scripted: 1 in use, 0 idle, 0 opening, " +
        "0 closing, of at most 1 connections; others waiting: 0",
    );
    expect(error.stats).to.include({ used: 1, max: 1 });
    expect(error.stack).to.contain("callsUseSync");
    expect(calls).to.equal(0);
    expect(pool.stats()).to.include({ waiting: 0, waited: 0, timedOut: 1 });
    await lease.close();
    expect(pool.useSync(() => "free")).to.equal("free");
  });

  test("no waiter is overtaken: neither one that queues nor one that has its connection already", async () => {
    const { pool } = scriptedPool(one);
    const lease = pool.tryConnect();
    const waiting = pool.connect();
    void lease.close();
    expect(pool.tryConnect()).to.equal(undefined);
    await (await waiting).close();
    expect(pool.tryConnect()).to.be.an("object");
  });

  test("a creator that answers with a promise: the opening goes on for the pool", async () => {
    const context = scriptedPool(one);
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    expect(pool.tryConnect()).to.equal(undefined);
    expect(pool.stats()).to.include({ opening: 1, timedOut: 0 });
    const error = thrown(() => pool.useSync(() => {}));
    expect(error).to.include({ code: "ERR_POOL_TIMEOUT", step: "wait" });
    opening.open();
    await settled();
    expect(pool.stats()).to.include({ idle: 1, opened: 1 });
    expect(pool.useSync(({ id }) => id)).to.equal(1);
    await expectSound(context);
  });

  test("an error of useSync() names the creator that answered with a promise", async () => {
    const { pool, server } = scriptedPool();
    server.script.open = async () => undefined;
    const error = thrown(() => pool.useSync(() => {}));
    expect(error).to.be.instanceOf(PoolTimeoutError).and.include({ step: "open" });
    expect(error.message).to.contain("the creator did not answer at once, as useSync() wants it, in the pool");
    await settled();
    expect(pool.stats()).to.include({ idle: 1 });
  });

  test("an opening that goes on serves the first waiter, and its failure is reported", async () => {
    const context = scriptedPool(one);
    const { pool, server, log } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    expect(pool.tryConnect()).to.equal(undefined);
    const waiter = pool.connect();
    opening.open();
    const lease = await waiter;
    await lease.invalidate();
    server.script.open = async () => thrower(gone);
    expect(pool.tryConnect()).to.equal(undefined);
    await settled();
    expect(log.errors).to.deep.equal([gone]);
    await expectSound(context);
  });

  test("an error of the creator is thrown unchanged, by both, also with openRetry", () => {
    for (const openRetry of [false, true]) {
      const { pool, server } = scriptedPool({ openRetry });
      const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
      server.script.open = () => thrower(openRetry ? refused : gone);
      const expected = openRetry ? refused : gone;
      expect(thrown(() => pool.tryConnect())).to.equal(expected);
      if (!openRetry) expect(thrown(() => pool.useSync(() => {}))).to.equal(gone);
      expect(pool.stats()).to.include({ total: 0, opening: 0 });
    }
  });

  test("a creator that returns no connection is an ArgumentError, as for connect()", () => {
    const pool = new QueuePool(() => /** @type {any} */ (undefined));
    expect(thrown(() => pool.tryConnect())).to.be.instanceOf(ArgumentError);
  });

  test("a connection that is too old, or used up, is replaced", async () => {
    const aged = scriptedPool({ ...one, recycle: "1s" });
    aged.pool.useSync(() => {});
    await pass(aged.clock, 1001);
    expect(aged.pool.useSync(({ id }) => id)).to.equal(2);
    const worn = scriptedPool({ ...one, maxUses: 1 });
    worn.pool.useSync(() => {});
    expect(worn.pool.useSync(({ id }) => id)).to.equal(2);
    expect(worn.server.calls).to.deep.equal(["open", "rollback 1", "close 1", "open", "rollback 2", "close 2"]);
  });

  test("a ping that answers at once is awaited for nothing: alive, dead, failing", () => {
    const context = scriptedKind(QueuePool, { ...one, prePing: true, dialect: pings });
    const { pool, server } = context;
    pool.useSync(() => {});
    newCalls(context);
    pool.useSync(() => {});
    expect(newCalls(context)).to.deep.equal(["ping 1", "rollback 1"]);
    server.script.ping = ({ id }) => id !== 1;
    expect(pool.useSync(({ id }) => id)).to.equal(2);
    server.script.ping = () => thrower(gone);
    expect(thrown(() => pool.tryConnect())).to.equal(gone);
  });

  test("a ping that answers with a promise goes on, and keeps the connection that it finds alive", async () => {
    const context = scriptedKind(QueuePool, { ...one, prePing: true, prePingAfterIdle: "1s", dialect: pings });
    const { pool, server, clock } = context;
    pool.useSync(() => {});
    await pass(clock, 2000);
    server.script.ping = async () => true;
    const error = thrown(() => pool.useSync(() => {}));
    expect(error).to.include({ code: "ERR_POOL_TIMEOUT", step: "ping" });
    await settled();
    expect(pool.stats()).to.include({ idle: 1, invalidated: 0 });
    expect(
      pool.useSync(({ id }) => id),
      "it was pinged just now",
    ).to.equal(1);
    await pass(clock, 2000);
    server.script.ping = async () => false;
    expect(pool.tryConnect()).to.equal(undefined);
    await settled();
    expect(server.connections[0].closed).to.equal(1);
    await expectSound(context);
  });

  test("a checkout listener may refuse the connection, or the caller", () => {
    const context = scriptedPool(one);
    const { pool } = context;
    const off = pool.on("checkout", ({ id }) => {
      if (id === 1) throw new DisconnectionError();
    });
    expect(pool.useSync(({ id }) => id)).to.equal(2);
    off();
    pool.on("checkout", () => thrower(gone));
    expect(thrown(() => pool.tryConnect())).to.equal(gone);
    expect(pool.stats()).to.include({ idle: 0, used: 0 });
  });

  test("a checkout listener that answers with a promise goes on, and its connection comes back", async () => {
    for (const listeners of [1, 2]) {
      const context = scriptedPool(one);
      const { pool, server } = context;
      const shown = gate();
      let lease;
      pool.on("checkout", (_connection, _record, given) => {
        lease = given;
        return shown.promise;
      });
      if (listeners === 2) pool.on("checkout", () => {});
      const error = thrown(() => pool.useSync(() => {}));
      expect(error).to.include({ code: "ERR_POOL_TIMEOUT", step: "listener" });
      expect(pool.tryConnect()).to.equal(undefined);
      shown.open();
      await settled();
      expect(lease.isValid).to.equal(false);
      expect(server.calls).to.deep.equal(["open", "rollback 1"]);
      expect(pool.stats()).to.include({ idle: 1, invalidated: 0 });
      await expectSound(context);
    }
  });

  test("a reset that answers with a promise goes on in the background", async () => {
    const context = scriptedPool(one);
    const { pool, server } = context;
    const reset = gate();
    server.script.rollback = () => reset.promise;
    expect(pool.useSync(() => "result")).to.equal("result");
    expect(pool.stats()).to.include({ used: 1, returning: 1 });
    expect(pool.tryConnect()).to.equal(undefined);
    reset.open();
    await settled();
    expect(pool.stats().idle).to.equal(1);
    await expectSound(context);
  });

  test("a failed reset is reported, and replaces the connection", () => {
    const { pool, server, log } = scriptedPool(one);
    server.script.rollback = () => thrower(gone);
    expect(pool.useSync(() => "result")).to.equal("result");
    expect(log.errors).to.deep.equal([gone]);
    server.script = {};
    expect(pool.useSync(({ id }) => id)).to.equal(2);
  });

  test("a function that returns a promise is refused, and its connection is not lent again", async () => {
    const context = scriptedPool(one);
    const { pool, server } = context;
    let ended = false;
    const error = thrown(() =>
      pool.useSync(async () => {
        await settled();
        ended = true;
        throw gone;
      }),
    );
    expect(error).to.be.instanceOf(ArgumentError);
    expect(error.message).to.equal("the function of useSync() returned a promise: call use() instead");
    expect(server.connections[0].closed).to.equal(1);
    await settled(200);
    expect(ended).to.equal(true);
    let begun = 0;
    const lazy = { then: () => begun++ };
    expect(thrown(() => pool.useSync(() => lazy))).to.be.instanceOf(ArgumentError);
    await settled();
    expect(begun, "a query that begins when it is awaited").to.equal(0);
    await expectSound(context);
  });

  test("the kinds keep their rules: a connection for each lease, a shared one, no second lease", async () => {
    const none = scriptedKind(NullPool);
    none.pool.useSync(() => none.pool.useSync(() => {}));
    expect(none.server.calls).to.deep.equal(["open", "open", "rollback 2", "close 2", "rollback 1", "close 1"]);
    for (const Kind of [StaticPool, SingletonThreadPool]) {
      const { pool, server } = scriptedKind(Kind);
      pool.useSync((outer) => pool.useSync((inner) => expect(inner).to.equal(outer)));
      expect(server.calls, Kind.name).to.deep.equal(["open", "rollback 1"]);
    }
    const { pool } = scriptedKind(AssertionPool);
    const lease = pool.tryConnect();
    for (const call of [() => pool.tryConnect(), () => pool.useSync(() => {})]) {
      const error = thrown(call);
      expect(error).to.be.instanceOf(AssertionError);
      expect(error.message).to.match(/it was checked out\s+\S/);
    }
    await lease.close();
    expect(pool.useSync(() => "again")).to.equal("again");
  });

  test("a shared connection whose check takes time stays with its other callers", async () => {
    const context = scriptedKind(StaticPool, { prePing: true, dialect: pings });
    const { pool, server } = context;
    const lease = pool.tryConnect();
    const answer = gate();
    server.script.ping = () => answer.promise;
    expect(pool.tryConnect()).to.equal(undefined);
    answer.open(true);
    await settled();
    expect(lease.isValid).to.equal(true);
    await lease.close();
    expect(pool.stats()).to.include({ idle: 1, invalidated: 0 });
    await expectSound(context);
  });

  test("a closed pool throws a PoolClosedError, and so does one that drains or is closed by its creator", async () => {
    const { pool } = scriptedPool();
    const lease = pool.tryConnect();
    const closing = pool.close({ drain: true });
    expect(thrown(() => pool.tryConnect())).to.be.instanceOf(PoolClosedError);
    expect(thrown(() => pool.useSync(() => {}))).to.be.instanceOf(PoolClosedError);
    await lease.close();
    await closing;
    const other = scriptedPool();
    other.server.script.open = () => void other.pool.close();
    expect(thrown(() => other.pool.tryConnect())).to.be.instanceOf(PoolClosedError);
    await settled();
    expect(other.server.live).to.equal(0);
  });

  test("dispose() closes what they left idle, and close() waits for their leases", async () => {
    const context = scriptedPool(one);
    const { pool, server } = context;
    pool.useSync(() => {});
    await pool.dispose();
    expect(server.live).to.equal(0);
    const lease = pool.tryConnect();
    const closing = pool.close();
    expect(await stateOf(closing)).to.equal("pending");
    void lease.close();
    await closing;
    expect(server.live).to.equal(0);
  });

  test("they may be called from every listener and from each other", async () => {
    const context = scriptedPool({ poolSize: 5 });
    const { pool } = context;
    let depth = 0;
    for (const event of /** @type {const} */ (["connect", "checkout", "reset", "checkin"])) {
      pool.on(event, () => {
        if (depth > 1) return;
        depth++;
        void pool.tryConnect()?.close();
        depth--;
      });
    }
    expect(pool.useSync(() => pool.useSync(() => "inner"))).to.equal("inner");
    await expectSound(context);
  });

  test("their leases are watched: trackLeaks shows where they were checked out, holdLimit reports them", async () => {
    const held = [];
    const context = scriptedPool({ trackLeaks: "stack", holdLimit: "1s", ...one });
    const { pool, clock } = context;
    pool.on("held", (_record, _milliseconds, stack) => held.push(stack));
    const lease = pool.tryConnect();
    await pass(clock, 2500);
    expect(held).to.have.length(1);
    expect(held[0]).to.be.a("string").and.match(/\S/);
    await lease.close();
    await expectSound(context);
  });

  test("a debug log has the lines of a checkout and of a return", () => {
    const { pool, log } = scriptedPool({ echo: "debug" });
    pool.useSync(() => {});
    pool.useSync(() => {});
    expect(log.of("debug").filter((line) => line.includes("checked out"))).to.have.length(2);
    expect(log.of("debug").filter((line) => line.includes("being returned"))).to.have.length(2);
  });

  test("each scope has connections of its own, and the caller may name the scope", async () => {
    const keys = [{}, {}];
    let current = keys[0];
    const { pool, server } = scriptedPool({ scope: () => current });
    pool.useSync(() => {});
    current = keys[1];
    pool.useSync(() => {});
    expect(pool.useSync(({ id }) => id, { scope: keys[0] })).to.equal(1);
    expect(server.connections).to.have.length(2);
    await pool.close();
  });

  test("wrong arguments are ArgumentErrors that name them, and call no creator", () => {
    const { pool, server } = scriptedPool();
    for (const [call, said] of [
      [() => pool.useSync(/** @type {any} */ (7)), "useSync() wants a function"],
      [() => pool.useSync(() => {}, /** @type {any} */ ({ timeout: 1 })), 'useSync() has no option "timeout"'],
      [() => pool.tryConnect(/** @type {any} */ ({ signal: 1 })), 'tryConnect() has no option "signal"'],
      [() => pool.tryConnect(/** @type {any} */ (null)), "the options of tryConnect()"],
      [() => pool.tryConnect({ scope: /** @type {any} */ (7) }), "scope"],
    ]) {
      const error = thrown(call);
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.contain(said);
    }
    expect(server.calls).to.deep.equal([]);
  });

  test("a lease of theirs that has ended cannot be used", () => {
    const { pool } = scriptedPool();
    const lease = pool.useSync((_connection, given) => given);
    expect(thrown(() => lease.connection)).to.be.instanceOf(InvalidRequestError);
  });
};
