// What a return does about an open transaction, how the calls are found on a driver's connection, and what happens when
// they fail or hang.

import { expect } from "chai";
import { QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import {
  Log,
  Server,
  counts,
  expectSound,
  gate,
  never,
  pass,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";

/** A pool of connections that have exactly these members; each call is noted by its name. */
function poolOf(names, options = {}) {
  const calls = [];
  const log = new Log();
  const creator = () => Object.fromEntries(names.map((name) => [name, () => void calls.push(name)]));
  const pool = new QueuePool(creator, {
    logger: log,
    clock: virtualClock().poolClock,
    loggingName: "duck",
    ...options,
  });
  return { pool, calls, log };
}

/** A dialect with these members; each call is noted with its arguments. */
function dialectOf(names) {
  const calls = [];
  const dialect = {};
  for (const name of names) {
    dialect[name] = function (...given) {
      calls.push([name, this === dialect, ...given]);
    };
  }
  return { dialect, calls };
}

const closers = ["close", "end", "quit", "disconnect", "destroy", Symbol.asyncDispose, Symbol.dispose];

export default (test) => {
  test("134 a return rolls back, and does not commit", async () => {
    for (const resetOnReturn of [undefined, "rollback", true]) {
      const { pool, server } = scriptedPool({ resetOnReturn });
      await (await pool.connect()).close();
      expect(server.calls, String(resetOnReturn)).to.deep.equal(["open", "rollback 1"]);
    }
  });

  test("135 style commit commits, and does not roll back", async () => {
    const { pool, server } = scriptedPool({ resetOnReturn: "commit" });
    await (await pool.connect()).close();
    expect(server.calls).to.deep.equal(["open", "commit 1"]);
  });

  test("style none calls nothing, asks nothing and warns of nothing", async () => {
    for (const resetOnReturn of ["none", false, null]) {
      let asked = 0;
      const { pool, server, log } = scriptedPool({ resetOnReturn, dialect: { inTransaction: () => asked++ } });
      await (await pool.connect()).close();
      expect(server.calls, String(resetOnReturn)).to.deep.equal(["open"]);
      const bare = poolOf(["close"], { resetOnReturn });
      await (await bare.pool.connect()).close();
      expect([asked, log.lines, bare.log.lines], String(resetOnReturn)).to.deep.equal([0, [], []]);
    }
  });

  test("141 connect, close, dispose, recreate, connect, close: rollback, close, rollback", async () => {
    const { pool, server } = scriptedPool();
    await (await pool.connect()).close();
    await pool.dispose();
    const again = pool.recreate();
    await (await again.connect()).close();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1", "open", "rollback 2"]);
  });

  test("030 a surplus connection is reset before it is closed", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const leases = [await pool.connect(), await pool.connect()];
    server.calls.length = 0;
    for (const lease of leases) await lease.close();
    expect(server.calls).to.deep.equal(["rollback 1", "rollback 2", "close 2"]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("132 a detached connection is reset at its close", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    await lease.detach();
    await lease.close();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
  });

  test("133 an invalidated connection is not reset", async () => {
    const { pool, server } = scriptedPool();
    await (await pool.connect()).invalidate();
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
  });

  test("a soft invalidation does not spare the reset: the server must not keep the transaction", async () => {
    const { pool, server } = scriptedPool();
    const lease = await pool.connect();
    await lease.invalidate(undefined, { soft: true });
    await lease.close();
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
  });

  test("142 every member of a dialect is called as its method, with the driver's connection", async () => {
    const names = ["doRollback", "doCommit", "doResetSession", "doClose", "doTerminate"];
    for (const [resetOnReturn, reset] of [
      ["rollback", "doRollback"],
      ["commit", "doCommit"],
      ["session", "doResetSession"],
    ]) {
      const { dialect, calls } = dialectOf(names);
      const { pool, server } = scriptedPool({ dialect, resetOnReturn });
      await (await pool.connect()).close();
      await (await pool.connect()).invalidate();
      await (await pool.connect()).close();
      await pool.dispose();
      const [first, second] = server.connections;
      expect(calls).to.deep.equal([
        [reset, true, first],
        ["doTerminate", true, first],
        [reset, true, second],
        ["doClose", true, second],
      ]);
      expect(server.calls, "the connection's own members are left alone").to.deep.equal(["open", "open"]);
    }
  });

  test("a dialect's doClose also ends what is not to be trusted, where it has no doTerminate", async () => {
    const { dialect, calls } = dialectOf(["doClose"]);
    const { pool, server } = scriptedPool({ dialect });
    await (await pool.connect()).invalidate();
    expect(calls.map(([name]) => name)).to.deep.equal(["doClose"]);
    expect(server.calls).to.deep.equal(["open"]);
  });

  test("a polite close is the first of close, end, quit, disconnect, destroy, and the two disposes", async () => {
    for (let first = 0; first < closers.length; first++) {
      const { pool, calls, log } = poolOf(["rollback", ...closers.slice(first)]);
      await (await pool.connect()).close();
      await pool.dispose();
      expect(calls).to.deep.equal(["rollback", closers[first]]);
      expect(log.lines).to.deep.equal([]);
    }
  });

  test("an abrupt close is terminate, else destroy, else the polite close", async () => {
    const offers = [
      [["close", "destroy", "terminate"], "terminate"],
      [["close", "destroy"], "destroy"],
      [["end", "close"], "close"],
      [["end"], "end"],
      [["quit", Symbol.dispose], "quit"],
      [[Symbol.dispose], Symbol.dispose],
    ];
    for (const [names, expected] of offers) {
      const { pool, calls } = poolOf(names);
      await (await pool.connect()).invalidate();
      expect(calls).to.deep.equal([expected]);
    }
  });

  test("calls are found on the connection's class, and called as its methods", async () => {
    class Connection {
      calls = [];
      rollback() {
        this.calls.push("rollback");
      }
      end() {
        this.calls.push("end");
      }
    }
    const connection = new Connection();
    const pool = new QueuePool(() => connection);
    await pool.use(() => {});
    await pool.close();
    expect(connection.calls).to.deep.equal(["rollback", "end"]);
  });

  test("a function may be the connection", async () => {
    const calls = [];
    const connection = Object.assign(() => {}, {
      rollback: () => void calls.push("rollback"),
      close: () => void calls.push("close"),
    });
    const pool = new QueuePool(() => connection);
    expect(await pool.use((given) => given === connection)).to.equal(true);
    await pool.close();
    expect(calls).to.deep.equal(["rollback", "close"]);
  });

  test("a reset that finds nothing to call says so once, and the connection is kept", async () => {
    for (const [resetOnReturn, missing, other] of [
      ["rollback", "rollback", "commit"],
      ["commit", "commit", "rollback"],
    ]) {
      const { pool, calls, log } = poolOf(["close", other], { resetOnReturn });
      for (let round = 0; round < 3; round++) await (await pool.connect()).close();
      expect(calls).to.deep.equal([]);
      expect(log.of("warn"), resetOnReturn).to.have.length(1);
      expect(log.of("warn")[0])
        .to.include("duck")
        .and.to.include(missing)
        .and.to.include('resetOnReturn: "none"')
        .and.not.to.include(other);
      expect(log.lines).to.have.length(1);
      expect(pool.stats().opened).to.equal(1);
    }
  });

  test("style commit needs no rollback, and style rollback no commit: neither warns of the other", async () => {
    for (const [resetOnReturn, name] of [
      ["commit", "commit"],
      ["rollback", "rollback"],
    ]) {
      const { pool, calls, log } = poolOf([name, "close"], { resetOnReturn });
      await (await pool.connect()).close();
      expect(calls, resetOnReturn).to.deep.equal([name]);
      expect(log.lines, resetOnReturn).to.deep.equal([]);
    }
  });

  test("a close that finds nothing to call says so once, and the slot is free", async () => {
    const { pool, log } = poolOf(["rollback"]);
    for (let round = 0; round < 3; round++) {
      await (await pool.connect()).close();
      await pool.dispose();
    }
    expect(log.of("warn")).to.have.length(1);
    expect(log.of("warn")[0]).to.include("duck").and.to.include("close");
    expect(pool.stats().total).to.equal(0);
  });

  test("a termination that finds nothing to call says so once", async () => {
    const { pool, log } = poolOf(["rollback"]);
    for (let round = 0; round < 3; round++) await (await pool.connect()).invalidate();
    expect(log.of("warn")).to.have.length(1);
    expect(log.of("warn")[0]).to.include("terminate");
  });

  test("137 inTransaction that says false spares the rollback", async () => {
    let open = false;
    const { pool, server } = scriptedPool({ dialect: { inTransaction: () => open } });
    await (await pool.connect()).close();
    expect(server.calls).to.deep.equal(["open"]);
    open = true;
    await (await pool.connect()).close();
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
  });

  test("138 style commit commits whatever inTransaction says", async () => {
    const { pool, server } = scriptedPool({ resetOnReturn: "commit", dialect: { inTransaction: () => false } });
    await (await pool.connect()).close();
    expect(server.calls).to.deep.equal(["open", "commit 1"]);
  });

  test("style session resets whatever inTransaction and transactionWasReset say, and rolls nothing back", async () => {
    for (const open of [false, true]) {
      const { dialect, calls } = dialectOf(["doResetSession"]);
      const { pool, server } = scriptedPool({
        resetOnReturn: "session",
        dialect: { ...dialect, inTransaction: () => open },
      });
      await (await pool.connect()).close();
      await (await pool.connect()).close({ transactionWasReset: true });
      expect(calls.map(([name]) => name)).to.deep.equal(["doResetSession", "doResetSession"]);
      expect(server.calls).to.deep.equal(["open"]);
    }
  });

  test("style session resets after the reset listeners, and the next caller waits for it", async () => {
    const order = [];
    const reset = gate();
    const dialect = { doResetSession: () => (order.push("session"), reset.promise) };
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "session", dialect });
    pool.on("reset", () => void order.push("listener"));
    const lease = await pool.connect();
    const next = pool.connect();
    void lease.close();
    expect(await stateOf(next)).to.equal("pending");
    expect(order).to.deep.equal(["listener", "session"]);
    reset.open();
    expect((await next).isValid).to.equal(true);
  });

  test("style session resets a shared connection once, when its last caller returns it", async () => {
    for (const Kind of [StaticPool, SingletonThreadPool]) {
      const { dialect, calls } = dialectOf(["doResetSession"]);
      const server = new Server();
      const pool = new Kind(server.open, { resetOnReturn: "session", dialect });
      const leases = [await pool.connect(), await pool.connect()];
      await leases[0].close();
      expect(calls).to.deep.equal([]);
      await leases[1].close();
      expect(calls).to.deep.equal([["doResetSession", true, server.connections[0]]]);
    }
  });

  test("a session reset that fails or never ends terminates the connection, and the slot is free", async () => {
    const failure = new Error("gone");
    for (const [doResetSession, message] of [
      [() => Promise.reject(failure), "session reset of a connection failed"],
      [() => thrower(failure), "session reset of a connection failed"],
      [never, "session reset of a connection took longer than driverTimeout (1000 ms)"],
    ]) {
      const context = scriptedPool({
        poolSize: 1,
        maxOverflow: 0,
        driverTimeout: "1s",
        resetOnReturn: "session",
        dialect: { doResetSession },
      });
      const { pool, server, clock, log } = context;
      const errors = [];
      pool.on("error", (error, { operation }) => void errors.push(operation));
      const closed = (await pool.connect()).close();
      await pass(clock, 1100);
      await closed;
      expect(server.calls).to.deep.equal(["open", "terminate 1"]);
      expect(pool.stats()).to.include({ idle: 0, total: 0, invalidated: 1 });
      expect(log.of("error")).to.deep.equal([`pool scripted: ${message}`]);
      expect(errors).to.deep.equal(["reset"]);
      expect((await pool.connect()).connection.id).to.equal(2);
    }
  });

  test("inTransaction is asked with the connection, once for each return", async () => {
    const asked = [];
    const { pool, server } = scriptedPool({
      dialect: { inTransaction: (connection) => (asked.push(connection), false) },
    });
    const lease = await pool.connect();
    await lease.close();
    await lease.close();
    await (await pool.connect()).close();
    expect(asked).to.deep.equal([server.connections[0], server.connections[0]]);
  });

  test("only false spares the rollback: an answer that says nothing, or a promise, does not", async () => {
    for (const answer of [undefined, null, 0, true, Promise.resolve(false)]) {
      const { pool, server } = scriptedPool({ dialect: { inTransaction: () => answer } });
      await (await pool.connect()).close();
      expect(server.calls, String(answer)).to.deep.equal(["open", "rollback 1"]);
    }
  });

  test("an inTransaction that throws is logged, and the connection is reset", async () => {
    const failure = new Error("bad dialect");
    const { pool, server, log } = scriptedPool({
      dialect: {
        inTransaction() {
          throw failure;
        },
      },
    });
    await (await pool.connect()).close();
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    expect(log.errors).to.deep.equal([failure]);
    expect(pool.stats().idle).to.equal(1);
  });

  test("a connection whose members cannot even be read is a failed reset, and the pool goes on", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, log } = context;
    const { proxy, revoke } = Proxy.revocable({}, {});
    server.script.open = () => proxy;
    const lease = await pool.connect();
    revoke();
    await lease.close();
    expect(log.of("error")).to.have.length(3);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await expectSound(context);
  });

  test("143 a reset that fails terminates the connection; close() resolves, and the slot is empty", async () => {
    for (const fail of [(error) => Promise.reject(error), (error) => void thrower(error)]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const { pool, server, log } = context;
      const failure = new Error("gone");
      server.script.rollback = () => fail(failure);
      await (await pool.connect()).close();
      expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
      expect(pool.stats()).to.include({ idle: 0, total: 0, invalidated: 1 });
      expect(log.lines).to.deep.equal([["error", "pool scripted: rollback of a connection failed", failure]]);
      expect((await pool.connect()).connection.id).to.equal(2);
    }
  });

  test("145 where the termination fails, too, both are logged and the slot is free", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, log } = context;
    const [first, second] = [new Error("reset"), new Error("terminate")];
    server.script.rollback = () => Promise.reject(first);
    server.script.terminate = () => thrower(second);
    await (await pool.connect()).close();
    expect(log.errors).to.deep.equal([first, second]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await expectSound(context);
  });

  test("a commit that fails terminates the connection", async () => {
    const { pool, server } = scriptedPool({ resetOnReturn: "commit" });
    server.script.commit = () => Promise.reject(new Error("conflict"));
    await (await pool.connect()).close();
    expect(server.calls).to.deep.equal(["open", "commit 1", "terminate 1"]);
  });

  test("a reset that hangs is given driverTimeout, then the connection is terminated", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s", returnTimeout: null });
    const { pool, server, clock, log } = context;
    server.script.rollback = never;
    const closed = (await pool.connect()).close();
    await pass(clock, 4_900);
    expect(await stateOf(closed)).to.equal("pending");
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    await pass(clock, 600);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
    expect(log.of("error")).to.have.length(1);
    expect(log.of("error")[0]).to.include("rollback").and.to.include("driverTimeout").and.to.include("5000 ms");
    await expectSound(context);
  });

  test("a reset and a termination that both hang cost two driverTimeouts, and no slot", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s" });
    const { pool, server, clock, log } = context;
    server.script.rollback = never;
    server.script.terminate = never;
    const closed = (await pool.connect()).close();
    const waiter = pool.connect();
    await pass(clock, 11_000);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect((await waiter).connection.id).to.equal(2);
    expect(log.of("error")).to.have.length(2);
    server.script = {};
    await (await waiter).close();
    await expectSound(context);
  });

  test("what a reset answers after its time has ended is ignored", async () => {
    for (const end of ["open", "fail"]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s" });
      const { pool, server, clock } = context;
      const reset = gate();
      server.script.rollback = () => reset.promise;
      const closed = (await pool.connect()).close();
      await pass(clock, 6_000);
      await closed;
      reset[end](new Error("late"));
      await settled();
      expect(server.calls, end).to.deep.equal(["open", "rollback 1", "terminate 1"]);
      await expectSound(context, end);
    }
  });

  test("with a driver that answers at once, nothing waits for a microtask", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const [first, second, third] = [await pool.connect(), await pool.connect(), pool.connect()];
    void first.close();
    expect(pool.stats(), "the return, with its reset, is over").to.include({ used: 2, waiting: 0, checkouts: 3 });
    void second.close();
    expect(pool.stats()).to.include({ used: 1, idle: 1 });
    void (await third).close();
    expect(pool.stats(), "the surplus one is closed").to.include({ used: 0, idle: 1, total: 1 });
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
    void pool.dispose();
    expect(pool.stats().total).to.equal(0);
    const opened = pool.connect();
    expect(pool.stats().used).to.equal(1);
    void (await opened).invalidate();
    expect(pool.stats()).to.include({ used: 0, total: 0 });
    expect(server.live).to.equal(0);
  });

  test("a driver's answer may be any thenable, and what it resolves to is of no interest", async () => {
    const { pool, server } = scriptedPool();
    const reset = gate();
    server.script.rollback = () => ({
      // oxlint-disable-next-line unicorn/no-thenable -- a foreign promise
      then: (resolve, reject) => void reset.promise.then(resolve, reject),
    });
    const closed = (await pool.connect()).close();
    expect(pool.stats()).to.include({ used: 1, idle: 0 });
    reset.open(false);
    await closed;
    expect(pool.stats()).to.include({ used: 0, idle: 1 });
  });

  test("an answer whose then throws is a failed call, and the pool goes on", async () => {
    const context = scriptedPool();
    const { pool, server, log } = context;
    const failure = new Error("no then");
    server.script.rollback = () => ({
      get then() {
        throw failure;
      },
    });
    await (await pool.connect()).close();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
    expect(log.errors).to.deep.equal([failure]);
    await expectSound(context);
  });
};

function thrower(error) {
  throw error;
}
