// The return: the reset event, the driver's rollback or commit, the record's finalizers, the checkin event; and what
// each of them does when it fails.

import { expect } from "chai";
import { ArgumentError, InvalidRequestError } from "edgepool";
import { connects, counts, expectSound, gate, never, pass, rejection, stateOf, thrown } from "./scripted.mjs";
import { cycle, leavable, onePool, thrower, tracedPool } from "./tracing.mjs";

const state = (changed) => ({ transactionWasReset: false, terminateOnly: false, asyncioSafe: true, ...changed });
const failures = { throws: thrower, rejects: (error) => () => Promise.reject(error) };
const failedReset = ["invalidate 1", "close event 1", "terminate 1", "checkin null"];

/** A pool with a lease, its trace restarted. */
async function leased(options) {
  const context = onePool(options);
  const lease = await context.pool.connect();
  context.steps();
  return { ...context, lease, record: lease.record };
}

export default (test) => {
  test("129 reset and checkin are fired once for each close, with the connection and its record", async () => {
    const { lease, record, server, given } = await leased();
    await lease.close();
    await lease.close();
    expect(given("reset")).to.have.length(1);
    expect(given("reset")[0].slice(0, 2)).to.have.ordered.members([server.connections[0], record]);
    expect(given("checkin")).to.have.length(1);
    expect(given("checkin")[0]).to.have.ordered.members([server.connections[0], record]);
  });

  test("130 a recreated pool fires them for its own returns", async () => {
    const { pool, steps } = onePool();
    await cycle(pool.recreate());
    expect(steps().slice(-3)).to.deep.equal(["reset 1", "rollback 1", "checkin 1"]);
    await cycle(pool);
    expect(steps().slice(-3)).to.deep.equal(["reset 2", "rollback 2", "checkin 2"]);
  });

  test("131 with resetOnReturn none the reset event is still fired, and nothing else is done", async () => {
    const { lease, steps, given } = await leased({ resetOnReturn: "none" });
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "checkin 1"]);
    expect(given("reset")[0][2]).to.deep.equal(state());
  });

  test("132 a detached connection's reset says terminateOnly, and has no record", async () => {
    const { lease, steps, given, server } = await leased({ resetOnReturn: "none" });
    await lease.detach();
    await lease.close();
    expect(steps()).to.deep.equal(["detach 1", "reset 1", "closeDetached 1", "close 1"]);
    expect(given("reset")).to.deep.equal([[server.connections[0], null, state({ terminateOnly: true })]]);
  });

  test("133 an invalidated connection is not reset, and no reset event is fired", async () => {
    const { lease, steps } = await leased();
    await lease.invalidate();
    expect(steps()).to.deep.equal(["invalidate 1", "close event 1", "terminate 1", "checkin null"]);
  });

  test("150 a return is safe for I/O, and the state that listeners are shown cannot be changed", async () => {
    const { lease, server, given } = await leased();
    server.script.reset = (connection, record, shown) => void Reflect.set(shown, "transactionWasReset", true);
    await lease.close();
    expect(given("reset")[0][2]).to.deep.equal(state());
    expect(server.calls).to.include("rollback 1");
  });

  test("137 a caller that says that the transaction was reset spares the rollback; the event says so", async () => {
    const { lease, steps, given } = await leased();
    await lease.close({ transactionWasReset: true });
    expect(steps()).to.deep.equal(["reset 1", "checkin 1"]);
    expect(given("reset")[0][2]).to.deep.equal(state({ transactionWasReset: true }));
  });

  test("137 false, or nothing, spares nothing", async () => {
    for (const options of [undefined, {}, { transactionWasReset: undefined }, { transactionWasReset: false }]) {
      const { lease, steps, given } = await leased();
      await lease.close(options);
      expect(steps()).to.deep.equal(["reset 1", "rollback 1", "checkin 1"]);
      expect(given("reset")[0][2]).to.deep.equal(state());
    }
  });

  test("137 it holds for the close that it was said of, not for the connection's next return", async () => {
    const { pool, lease, steps } = await leased();
    await lease.close({ transactionWasReset: true });
    await cycle(pool);
    expect(steps().slice(-3)).to.deep.equal(["reset 1", "rollback 1", "checkin 1"]);
  });

  test("137 a detached connection's close takes it, too", async () => {
    const { lease, steps, given } = await leased();
    await lease.detach();
    await lease.close({ transactionWasReset: true });
    expect(steps()).to.deep.equal(["detach 1", "reset 1", "closeDetached 1", "close 1"]);
    expect(given("reset")[0][2]).to.deep.equal(state({ transactionWasReset: true, terminateOnly: true }));
  });

  test("138 style commit commits whatever the caller says", async () => {
    const { lease, steps, given } = await leased({ resetOnReturn: "commit" });
    await lease.close({ transactionWasReset: true });
    expect(steps()).to.deep.equal(["reset 1", "commit 1", "checkin 1"]);
    expect(given("reset")[0][2].transactionWasReset).to.equal(true);
  });

  test("options of close() that are wrong reject with an ArgumentError, and the lease is returned", async () => {
    for (const options of [{ transactionWasReset: "yes" }, { transactionReset: true }, "now", null]) {
      const context = await leased();
      const { pool, lease } = context;
      expect(await rejection(lease.close(options))).to.be.instanceOf(ArgumentError);
      expect(lease.isValid).to.equal(false);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
      await lease.close();
      await expectSound(context);
    }
  });

  test("an inTransaction that says false spares the rollback, not the event, which claims no reset", async () => {
    const { lease, steps, given } = await leased({ dialect: { inTransaction: () => false } });
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "checkin 1"]);
    expect(given("reset")[0][2]).to.deep.equal(state());
  });

  test("inTransaction is asked after the reset listeners, which may have ended the transaction", async () => {
    let open = true;
    const { lease, server, steps } = await leased({ dialect: { inTransaction: () => open } });
    server.script.reset = async () => void (open = false);
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "checkin 1"]);
  });

  test("the record is in use during reset and not during checkin, and checked out until that is over", async () => {
    const { pool, lease, server } = await leased();
    const seen = [];
    const note = (connection, { inUse }) => void seen.push(inUse, counts(pool));
    server.script.reset = note;
    server.script.checkin = note;
    await lease.close();
    expect(seen).to.deep.equal([true, [1, 0, 0, 1], false, [1, 0, 0, 1]]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("no caller has the connection before checkin is over, and close() resolves after it", async () => {
    const { pool, lease, server } = await leased();
    const running = gate();
    server.script.checkin = () => running.promise;
    const waiter = pool.connect();
    const closed = lease.close();
    expect(await stateOf(waiter)).to.equal("pending");
    expect(await stateOf(closed)).to.equal("pending");
    running.open();
    await closed;
    expect((await waiter).connection.id).to.equal(1);
  });

  test("206 an abort after close() does not interrupt a return", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    const { caller, leave } = leavable(pool);
    const lease = await caller;
    const running = gate();
    server.script.reset = () => running.promise;
    steps();
    const closed = lease.close();
    leave();
    expect(await stateOf(closed)).to.equal("pending");
    running.open();
    await closed;
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "checkin 1"]);
    await expectSound(context);
  });

  test("081 finalizers run between the rollback and checkin, newest first, with the connection", async () => {
    const { lease, record, server, steps } = await leased();
    const finalizer =
      (name) =>
      (...given) => {
        expect(given).to.deep.equal([server.connections[0]]);
        server.calls.push(name);
      };
    record.finalize(finalizer("A"));
    record.finalize(finalizer("B"));
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "B", "A", "checkin 1"]);
  });

  test("081 a finalizer runs at the next return only", async () => {
    const { pool, lease, record, server } = await leased();
    let calls = 0;
    record.finalize(() => calls++);
    await lease.close();
    await cycle(pool);
    expect(calls).to.equal(1);
    expect(server.connections).to.have.length(1);
  });

  test("finalizers are awaited one by one", async () => {
    const { lease, record, server, steps } = await leased();
    const running = gate();
    record.finalize(() => void server.calls.push("A"));
    record.finalize(() => (server.calls.push("B"), running.promise));
    const closed = lease.close();
    expect(await stateOf(closed)).to.equal("pending");
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "B"]);
    running.open();
    await closed;
    expect(steps()).to.deep.equal(["A", "checkin 1"]);
  });

  test("finalizers that answer at once cost no microtask", async () => {
    const { lease, record, server, steps } = await leased();
    record.finalize(() => void server.calls.push("A"));
    void lease.close();
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "A", "checkin 1"]);
  });

  test("a finalizer may be added by a connect, a checkout or a reset listener", async () => {
    const { pool, server, steps } = onePool();
    for (const name of ["connect", "checkout", "reset"]) {
      server.script[name] = (connection, record) => record.finalize(() => void server.calls.push(`of ${name}`));
    }
    const lease = await pool.connect();
    steps();
    await lease.close();
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "of reset", "of checkout", "of connect", "checkin 1"]);
  });

  test("a finalizer that is added by a finalizer loses nothing and loops never", async () => {
    const context = await leased();
    const { pool, lease, record } = context;
    let calls = 0;
    const again = () => {
      calls++;
      if (calls < 3) record.finalize(again);
    };
    record.finalize(again);
    await lease.close();
    await cycle(pool);
    await cycle(pool);
    expect(calls).to.equal(3);
    await expectSound(context);
  });

  test("082 a finalizer of an invalidated connection is not called, nor at the slot's next return", async () => {
    const ends = {
      "lease.invalidate": ({ lease }) => lease.invalidate(),
      "record.invalidate": ({ record }) => record.invalidate(),
      "record.close": ({ record }) => record.close(),
      "failed reset": ({ server }) => void (server.script.rollback = () => Promise.reject(new Error("reset"))),
    };
    for (const [name, end] of Object.entries(ends)) {
      const context = await leased();
      const { pool, lease, record, server } = context;
      let calls = 0;
      record.finalize(() => calls++);
      await end(context);
      await lease.close();
      server.script = {};
      await cycle(pool);
      expect(calls, name).to.equal(0);
      expect(server.connections, name).to.have.length(2);
    }
  });

  test("a finalizer that is no function is refused with an ArgumentError", async () => {
    const { record } = await leased();
    for (const callback of [undefined, null, "rollback", {}]) {
      expect(thrown(() => record.finalize(callback))).to.be.instanceOf(ArgumentError);
    }
  });

  for (const [how, failing] of Object.entries(failures)) {
    test(`a finalizer that ${how} is reported; the others run, and the connection is returned`, async () => {
      const context = await leased();
      const { lease, record, server, log, steps, given } = context;
      const failure = new Error("finalizer");
      record.finalize(() => void server.calls.push("A"));
      record.finalize(failing(failure));
      await lease.close();
      expect(steps()).to.deep.equal(["reset 1", "rollback 1", "error finalize", "A", "checkin 1"]);
      expect(given("error")).to.deep.equal([[failure, { operation: "finalize", record }]]);
      expect(log.errors).to.deep.equal([failure]);
      await expectSound(context);
    });

    test(`149 a reset listener that ${how} is a failed reset: the connection is terminated`, async () => {
      const context = await leased();
      const { pool, lease, record, server, log, steps, given } = context;
      const failure = new Error("reset listener");
      server.script.reset = failing(failure);
      await lease.close();
      expect(steps()).to.deep.equal(["reset 1", "error listener", ...failedReset]);
      expect(given("error")).to.deep.equal([[failure, { operation: "listener", record }]]);
      expect(given("invalidate")[0][2]).to.equal(failure);
      expect(log.errors).to.deep.equal([failure]);
      expect([lease.isValid, counts(pool)]).to.deep.equal([false, [1, 1, 0, 0]]);
      expect(thrown(() => lease.connection)).to.be.instanceOf(InvalidRequestError);
      const next = await pool.connect();
      await lease.close();
      expect([next.isValid, next.connection.id]).to.deep.equal([true, 2]);
      server.script = {};
      await next.close();
      await expectSound(context);
    });

    test(`143 a rollback that ${how}: reported, then invalidate, close, terminate, checkin of null`, async () => {
      const context = await leased();
      const { pool, lease, record, server, log, steps, given } = context;
      const failure = new Error("rollback");
      server.script.rollback = failing(failure);
      await lease.close();
      expect(steps()).to.deep.equal(["reset 1", "rollback 1", "error reset", ...failedReset]);
      expect(given("error")).to.deep.equal([[failure, { operation: "reset", record }]]);
      expect(given("invalidate")).to.deep.equal([[server.connections[0], record, failure]]);
      expect(given("checkin").at(-1)).to.deep.equal([null, record]);
      expect(log.errors).to.deep.equal([failure]);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
      await expectSound(context);
    });

    test(`146 a checkin listener that ${how} costs no slot: a waiter has the connection`, async () => {
      const context = await leased();
      const { pool, lease, server, given } = context;
      const failure = new Error("checkin");
      server.script.checkin = failing(failure);
      const waiter = pool.connect();
      await lease.close();
      const next = await waiter;
      expect(next.connection.id).to.equal(1);
      expect(given("error").map(([error]) => error)).to.deep.equal([failure]);
      await next.close();
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
      await expectSound(context);
    });

    test(`147 a close listener that ${how} at a surplus return: the connection is closed, its place free`, async () => {
      const context = tracedPool({ poolSize: 1, maxOverflow: 1 });
      const { pool, server, steps, given } = context;
      const [first, second] = await connects(pool, 2);
      const failure = new Error("close listener");
      server.script["close event"] = failing(failure);
      await first.close();
      steps();
      await second.close();
      expect(steps()).to.deep.equal([
        "reset 2",
        "rollback 2",
        "checkin 2",
        "close event 2",
        "error listener",
        "close 2",
      ]);
      expect(given("error").map(([error]) => error)).to.deep.equal([failure]);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
      await expectSound(context);
    });
  }

  test("145 where rollback and termination both fail, both are reported", async () => {
    const context = await leased();
    const { pool, lease, server, steps, given } = context;
    const [first, second] = [new Error("rollback"), new Error("terminate")];
    server.script.rollback = () => Promise.reject(first);
    server.script.terminate = thrower(second);
    await lease.close();
    expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal([
      [first, "reset"],
      [second, "terminate"],
    ]);
    expect(steps().at(-1)).to.equal("checkin null");
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await expectSound(context);
  });

  test("a later reset listener is not called after one that failed", async () => {
    const { pool, lease, server } = await leased();
    let calls = 0;
    pool.on("reset", () => calls++);
    server.script.reset = thrower(new Error("reset listener"));
    await lease.close();
    expect(calls).to.equal(0);
  });

  test("a reset listener that hangs is a failed reset after driverTimeout", async () => {
    const context = await leased({ driverTimeout: "5s", returnTimeout: null });
    const { lease, server, clock, steps, given } = context;
    server.script.reset = never;
    const closed = lease.close();
    await pass(clock, 4_900);
    expect(await stateOf(closed)).to.equal("pending");
    await pass(clock, 600);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect(steps()).to.deep.equal(["reset 1", "error listener", ...failedReset]);
    expect(given("invalidate")[0][2]).to.be.instanceOf(Error);
    await expectSound(context);
  });

  test("a finalizer that hangs is given driverTimeout, and the return goes on", async () => {
    const context = await leased({ driverTimeout: "5s" });
    const { lease, record, clock, steps } = context;
    record.finalize(never);
    const closed = lease.close();
    await pass(clock, 5_500);
    expect(await stateOf(closed)).to.equal("fulfilled");
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "error finalize", "checkin 1"]);
    await expectSound(context);
  });

  test("083 a checkin listener may close the record: the slot opens another in the same record", async () => {
    for (const awaited of [true, false]) {
      const context = await leased();
      const { pool, lease, record, server, steps } = context;
      server.script.checkin = (connection, given) => {
        const closed = given.close();
        return awaited ? closed : undefined;
      };
      await lease.close();
      expect(steps()).to.deep.equal(["reset 1", "rollback 1", "checkin 1", "close event 1", "close 1"]);
      expect([record.connection, counts(pool)]).to.deep.equal([null, [1, 1, 0, 0]]);
      server.script = {};
      const next = await pool.connect();
      expect(steps()).to.deep.equal(["open", "connect 2", "checkout 2"]);
      expect(next.record).to.equal(record);
      await next.close();
      await expectSound(context);
    }
  });

  test("a checkin listener that invalidates the record: the next caller has another connection", async () => {
    const context = await leased();
    const { pool, lease, record, server } = context;
    server.script.checkin = () => void record.invalidate(new Error("by the listener"));
    const waiter = pool.connect();
    await lease.close();
    server.script = {};
    const next = await waiter;
    expect([next.connection.id, server.connections[0].closed]).to.deep.equal([2, 1]);
    await next.close();
    await expectSound(context);
  });

  test("a listener of the return may ask for a connection: it waits for the one that is coming back", async () => {
    for (const name of ["reset", "checkin"]) {
      const context = await leased();
      const { pool, lease, server } = context;
      let waiter;
      server.script[name] = () => void (waiter ??= pool.connect());
      await lease.close();
      const next = await waiter;
      expect(next.connection.id, name).to.equal(1);
      await next.close();
      await expectSound(context, name);
    }
  });

  test("a listener of the return may dispose of the pool: the connection is closed after it", async () => {
    for (const name of ["reset", "checkin"]) {
      const context = await leased();
      const { pool, lease, server } = context;
      server.script[name] = () => void pool.dispose();
      await lease.close();
      expect(server.live, name).to.equal(0);
      await expectSound(context, name);
    }
  });
};
