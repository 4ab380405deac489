// The record: the pool's slot for one connection at a time, as a creator and a lease see it. What belongs to the
// connection (info) ends with it; what belongs to the slot (recordInfo) survives reconnects.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import { connects, gate, rejection, scriptedPool, settled, virtualClock } from "./scripted.mjs";

/** A pool that keeps the records its creator was given. */
function recordingPool(options) {
  const context = scriptedPool({ poolSize: 1, maxOverflow: 0, ...options });
  const records = [];
  context.server.script.open = (record) => void records.push(record);
  return { ...context, records };
}

export default (test) => {
  test("the creator is called with the record that will hold its connection, and with its opening", async () => {
    let given;
    let receiver;
    const pool = new QueuePool(
      function (...parameters) {
        [given, receiver] = [parameters, this];
        return { close() {} };
      },
      { resetOnReturn: "none", clock: virtualClock().poolClock },
    );
    const lease = await pool.connect();
    expect(given).to.have.length(2);
    expect(given[1].signal.aborted).to.equal(false);
    expect(lease.record).to.equal(given[0]);
    expect(receiver).to.not.equal(pool);
  });

  test("while its creator runs a record is empty and not in use", async () => {
    const { pool, server } = scriptedPool();
    const opening = gate();
    let record;
    let seen;
    server.script.open = (given) => {
      record = given;
      seen = {
        connection: given.connection,
        info: given.info,
        recordInfo: given.recordInfo,
        inUse: given.inUse,
        lastConnectTime: given.lastConnectTime,
      };
      return opening.promise;
    };
    const caller = pool.connect();
    expect(seen).to.deep.equal({ connection: null, info: {}, recordInfo: {}, inUse: false, lastConnectTime: 0 });
    opening.open();
    const lease = await caller;
    expect(record.connection).to.equal(lease.connection);
    expect(record.inUse).to.equal(true);
  });

  test("a record is in use from the checkout to the end of the return", async () => {
    const { pool, server, records } = recordingPool();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const lease = await pool.connect();
    const [record] = records;
    expect(record.inUse).to.equal(true);
    const closed = lease.close();
    expect(record.inUse).to.equal(true);
    reset.open();
    await closed;
    expect(record.inUse).to.equal(false);
    expect(record.connection).to.equal(server.connections[0]);
    await pool.connect();
    expect(record.inUse).to.equal(true);
  });

  test("lastConnectTime says when the connection was opened, in milliseconds since the epoch", async () => {
    const { pool, records } = recordingPool();
    const before = Date.now();
    const lease = await pool.connect();
    const after = Date.now();
    const [record] = records;
    expect(record.lastConnectTime).to.be.within(before, after);
    const first = record.lastConnectTime;
    await lease.close();
    await (await pool.connect()).close();
    expect(record.lastConnectTime).to.equal(first);
    pool.invalidateAll();
    await pool.connect();
    expect(record.lastConnectTime).to.be.within(after, Date.now());
  });

  test("what the creator writes into info is the lease's info", async () => {
    const { pool, server } = scriptedPool();
    server.script.open = (record) => void Object.assign(record.info, { host: "a" });
    const lease = await pool.connect();
    expect(lease.info).to.deep.equal({ host: "a" }).and.to.equal(lease.record.info);
    lease.info.prepared = 1;
    await lease.close();
    expect((await pool.connect()).info).to.deep.equal({ host: "a", prepared: 1 });
  });

  test("what the creator writes into recordInfo is the lease's recordInfo", async () => {
    const { pool, server } = scriptedPool();
    server.script.open = (record) => void (record.recordInfo.opened = (record.recordInfo.opened ?? 0) + 1);
    const lease = await pool.connect();
    expect(lease.recordInfo).to.deep.equal({ opened: 1 }).and.to.equal(lease.record.recordInfo);
  });

  test("a reconnect empties info and keeps recordInfo, in the same record", async () => {
    const { pool, server, records } = recordingPool();
    const first = await pool.connect();
    first.info.own = "connection";
    first.recordInfo.own = "slot";
    const infoBefore = first.info;
    await first.invalidate();
    const [record] = records;
    expect([record.connection, record.inUse]).to.deep.equal([null, false]);
    const second = await pool.connect();
    expect(records).to.deep.equal([record, record]);
    expect(second.record).to.equal(record);
    expect(second.info).to.deep.equal({});
    expect(second.recordInfo).to.deep.equal({ own: "slot" });
    expect(second.connection).to.equal(server.connections[1]);
    expect(infoBefore).to.deep.equal({ own: "connection" });
  });

  test("replacing a stale connection empties info and keeps recordInfo", async () => {
    const { pool } = recordingPool();
    const first = await pool.connect();
    first.info.own = "connection";
    first.recordInfo.own = "slot";
    await first.close();
    pool.invalidateAll();
    const second = await pool.connect();
    expect([second.info, second.recordInfo]).to.deep.equal([{}, { own: "slot" }]);
  });

  test("an info that a failed opening has filled does not show through the next one", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    server.script.open = (record) => {
      record.info.half = true;
      record.recordInfo.half = true;
      throw new Error("down");
    };
    await rejection(pool.connect());
    server.script.open = undefined;
    const lease = await pool.connect();
    expect([lease.info, lease.recordInfo]).to.deep.equal([{}, {}]);
  });

  test("in a slot that was there before, a failed opening leaves recordInfo", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    lease.recordInfo.own = "slot";
    await lease.invalidate();
    server.script.open = (record) => {
      record.info.half = true;
      throw new Error("down");
    };
    await rejection(pool.connect());
    server.script.open = undefined;
    const second = await pool.connect();
    expect([second.info, second.recordInfo]).to.deep.equal([{}, { own: "slot" }]);
  });

  test("each slot has a record of its own", async () => {
    const { pool } = scriptedPool();
    const [first, second] = await connects(pool, 2);
    first.info.of = first.recordInfo.of = "first";
    expect([second.info, second.recordInfo]).to.deep.equal([{}, {}]);
    expect(second.record).to.not.equal(first.record);
  });

  test("a slot that ends takes its record with it: the next slot starts with an empty one", async () => {
    const { pool, records } = recordingPool();
    const lease = await pool.connect();
    lease.recordInfo.own = "first slot";
    await lease.close();
    await pool.dispose();
    const second = await pool.connect();
    expect(records).to.have.length(2);
    expect(records[1]).to.not.equal(records[0]);
    expect(second.recordInfo).to.deep.equal({});
    // The old record says nothing about the slot that took its place.
    expect([records[0].connection, records[0].inUse]).to.deep.equal([null, false]);
    expect(records[0].recordInfo).to.deep.equal({ own: "first slot" });
  });

  test("the record of a slot that ended under a lease is not in use", async () => {
    const { pool, records } = recordingPool();
    const lease = await pool.connect();
    await lease.detach();
    expect([records[0].connection, records[0].inUse]).to.deep.equal([null, false]);
    await pool.connect();
    expect(records[0].inUse).to.equal(records[1] === records[0]);
    await lease.close();
  });

  test("an emptied surplus slot ends, and its record is not in use", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const records = [];
    server.script.open = (record) => void records.push(record);
    const [first, second] = await connects(pool, 2);
    await first.close();
    await second.invalidate();
    expect(records.map(({ connection, inUse }) => [connection?.id ?? null, inUse])).to.deep.equal([
      [1, false],
      [null, false],
    ]);
  });

  test("info is empty once its connection has ended, however it ended", async () => {
    for (const end of [
      (pool, lease) => lease.invalidate(),
      (pool, lease) => lease.detach(),
      (pool, lease) => lease.record.close(),
      (pool, lease) => lease.close().then(() => pool.dispose()),
      (pool, lease) =>
        lease
          .invalidate(undefined, { soft: true })
          .then(() => lease.close())
          .then(() => pool.connect()),
    ]) {
      const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const seen = [];
      pool.on("close", (_, record) => void seen.push({ ...record.info }));
      const lease = await pool.connect();
      const { record, info } = lease;
      info.own = 1;
      await end(pool, lease);
      expect(record.info).to.deep.equal({}).and.not.to.equal(info);
      for (const shown of seen) expect(shown, "the close listeners still have it").to.deep.equal({ own: 1 });
    }
  });

  test("a slot that opens after another of the same index has ended is another record", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const first = await pool.connect();
    const { record } = first;
    await first.close();
    await pool.dispose();
    const second = await pool.connect();
    expect(second.record).not.to.equal(record);
    expect([record.inUse, record.connection]).to.deep.equal([false, null]);
    await record.invalidate();
    await record.close();
    expect(second.isValid).to.equal(true);
    expect(pool.stats()).to.include({ used: 1, invalidated: 0 });
  });

  test("a lease that has ended has no record and no recordInfo, and keeps its info", async () => {
    const { pool } = scriptedPool();
    const lease = await pool.connect();
    lease.info.own = 1;
    await lease.close();
    expect([lease.record, lease.recordInfo, lease.info]).to.deep.equal([null, null, { own: 1 }]);
  });

  test("an opening whose caller left fills its record for the next one", async () => {
    const { pool, server } = scriptedPool();
    const opening = gate();
    server.script.open = (record) => {
      record.info.by = "first";
      return opening.promise;
    };
    const controller = new AbortController();
    const gone = rejection(pool.connect({ signal: controller.signal }));
    controller.abort(new Error("enough"));
    await gone;
    opening.open();
    await settled();
    const lease = await pool.connect();
    expect(lease.info).to.deep.equal({ by: "first" });
    expect(lease.record.connection).to.equal(server.connections[0]);
  });

  test("a record that onDisconnect() or the log of its opening closes ends, and its caller has another", async () => {
    for (const [where, end] of [
      ["onDisconnect", (record) => record.close()],
      ["onDisconnect", (record) => record.invalidate(new Error("not this one"))],
      ["log", (record) => record.close()],
      ["log", (record) => record.invalidate()],
    ]) {
      let record;
      let ended;
      const endOnce = () => void (ended ??= end(record));
      const logger = { info() {}, warn() {}, error() {}, debug: (line) => line.includes("created") && endOnce() };
      const context = scriptedPool({
        poolSize: 1,
        maxOverflow: 0,
        ...(where === "log" ? { logger, echo: "debug" } : { dialect: { onDisconnect: endOnce } }),
      });
      const { pool, server } = context;
      const { open } = server;
      server.script.open = (given) => void (record = given);
      const lease = await pool.connect();
      await ended;
      expect([open, lease.connection.id, server.connections[0].closed]).to.deep.equal([open, 2, 1]);
      await lease.close();
      await pool.close();
      expect([server.live, server.closedTwice]).to.deep.equal([0, 0]);
    }
  });
};
