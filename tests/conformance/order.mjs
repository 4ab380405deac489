// The order of events and driver calls on each path: SQLAlchemy's table, one test for each row, each with its whole
// trace.

import { expect } from "chai";
import { DisconnectionError, NullPool } from "edgepool";
import { connects } from "./scripted.mjs";
import { cycle, onePool, thrower, tracedPool } from "./tracing.mjs";

const first = ["open", "firstConnect 1", "connect 1", "checkout 1"];
const returned = (id) => [`reset ${id}`, `rollback ${id}`, `checkin ${id}`];
const ended = (id) => [`invalidate ${id}`, `close event ${id}`, `terminate ${id}`];
const reconnected = ["open", "connect 2", "checkout 2"];
const recycled = ["close event 1", "terminate 1", ...reconnected];

export default (test) => {
  test("the first connection of a pool: creator, firstConnect, connect, checkout", async () => {
    const { pool, steps } = tracedPool();
    await pool.connect();
    expect(steps()).to.deep.equal(first);
  });

  test("a later connection: creator, connect, checkout", async () => {
    const { pool, steps } = tracedPool();
    await connects(pool, 2);
    expect(steps()).to.deep.equal([...first, ...reconnected]);
  });

  test("a connection that is used again: ping, checkout", async () => {
    const { pool, steps } = tracedPool({ prePing: true });
    await cycle(pool);
    await pool.connect();
    expect(steps()).to.deep.equal([...first, ...returned(1), "ping 1", "checkout 1"]);
  });

  test("a return: reset, rollback or commit, finalizers, checkin", async () => {
    for (const [resetOnReturn, calls] of [
      ["rollback", ["rollback 1"]],
      ["commit", ["commit 1"]],
      ["none", []],
    ]) {
      const { pool, server, steps } = tracedPool({ resetOnReturn });
      const lease = await pool.connect();
      lease.record.finalize(() => void server.calls.push("finalizer"));
      await lease.close();
      expect(steps(), resetOnReturn).to.deep.equal([...first, "reset 1", ...calls, "finalizer", "checkin 1"]);
    }
  });

  test("the return of a surplus connection: reset, rollback, checkin, close, the driver's close", async () => {
    const { pool, steps } = tracedPool({ poolSize: 1, maxOverflow: 1 });
    for (const lease of await connects(pool, 2)) await lease.close();
    expect(steps()).to.deep.equal([
      ...first,
      ...reconnected,
      ...returned(1),
      ...returned(2),
      "close event 2",
      "close 2",
    ]);
  });

  test("the return to a NullPool: the same as of a surplus connection", async () => {
    const { pool, steps } = tracedPool({}, NullPool);
    await cycle(pool);
    expect(steps()).to.deep.equal([...first, ...returned(1), "close event 1", "close 1"]);
  });

  test("a hard invalidation: invalidate, close, terminate, checkin of null", async () => {
    const { pool, steps } = tracedPool();
    await (await pool.connect()).invalidate();
    expect(steps()).to.deep.equal([...first, ...ended(1), "checkin null"]);
  });

  test("a soft invalidation, the return, the next checkout", async () => {
    const { pool, steps } = onePool();
    const lease = await pool.connect();
    await lease.invalidate(undefined, { soft: true });
    await lease.close();
    await pool.connect();
    expect(steps()).to.deep.equal([...first, "softInvalidate 1", ...returned(1), ...recycled]);
  });

  test("a connection that is too old at its checkout: close, terminate, creator, connect, checkout", async () => {
    const { pool, clock, steps } = onePool({ recycle: "10s" });
    await cycle(pool);
    clock.tick(10_001);
    await pool.connect();
    expect(steps()).to.deep.equal([...first, ...returned(1), ...recycled]);
  });

  test("a connection of an invalidated pool at its checkout: the same", async () => {
    const { pool, steps } = onePool();
    await cycle(pool);
    pool.invalidateAll();
    await pool.connect();
    expect(steps()).to.deep.equal([...first, ...returned(1), ...recycled]);
  });

  test("a slot that was emptied: creator, connect, checkout", async () => {
    const { pool, steps } = onePool();
    await (await pool.connect()).invalidate();
    await pool.connect();
    expect(steps()).to.deep.equal([...first, ...ended(1), "checkin null", ...reconnected]);
  });

  test("a ping that finds it dead: ping, invalidate, close, terminate, creator, connect, checkout", async () => {
    const { pool, server, steps } = onePool({ prePing: true });
    await cycle(pool);
    server.script.ping = () => false;
    await pool.connect();
    expect(steps()).to.deep.equal([...first, ...returned(1), "ping 1", ...ended(1), ...reconnected]);
  });

  test("a DisconnectionError: checkout, invalidate, close, terminate, creator, connect, checkout", async () => {
    const { pool, server, steps } = onePool();
    server.script.checkout = ({ id }) => {
      if (id === 1) throw new DisconnectionError("stale");
    };
    await pool.connect();
    expect(steps()).to.deep.equal([...first, ...ended(1), ...reconnected]);
  });

  test("detach and close: detach, reset, rollback, closeDetached, the driver's close", async () => {
    const { pool, steps } = tracedPool();
    const lease = await pool.connect();
    await lease.detach();
    await lease.close();
    expect(steps()).to.deep.equal([...first, "detach 1", "reset 1", "rollback 1", "closeDetached 1", "close 1"]);
  });

  test("a reset that fails: reset, rollback, error, invalidate, close, terminate, checkin of null", async () => {
    const { pool, server, steps } = tracedPool();
    server.script.rollback = thrower(new Error("rollback"));
    await cycle(pool);
    expect(steps()).to.deep.equal([...first, "reset 1", "rollback 1", "error reset", ...ended(1), "checkin null"]);
  });

  test("dispose: for each idle connection close, the driver's close", async () => {
    const { pool, steps } = tracedPool();
    for (const lease of await connects(pool, 2)) await lease.close();
    await pool.dispose();
    expect(steps()).to.deep.equal([
      ...first,
      ...reconnected,
      ...returned(1),
      ...returned(2),
      "close event 1",
      "close 1",
      "close event 2",
      "close 2",
    ]);
  });

  test("what listeners see: in use during checkout, reset and invalidate, not in connect and checkin", async () => {
    const { pool, server } = onePool();
    const seen = [];
    for (const name of ["firstConnect", "connect", "checkout", "reset", "checkin", "invalidate"]) {
      server.script[name] = (connection, { inUse }) => void seen.push(`${name} ${inUse}`);
    }
    await cycle(pool);
    await (await pool.connect()).invalidate();
    expect(seen).to.deep.equal([
      "firstConnect false",
      "connect false",
      "checkout true",
      "reset true",
      "checkin false",
      "checkout true",
      "invalidate true",
      "checkin false",
    ]);
  });
};
