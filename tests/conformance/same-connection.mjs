// One object that the creator returns twice: no two callers have it at the same time.

import { expect } from "chai";
import { ArgumentError, QueuePool } from "edgepool";
import { Log, connects, gate, isWorkers, pass, rejection, scriptedPool, settled } from "./scripted.mjs";

export default (test) => {
  test("a connection that the creator returns again while it is open is refused by name, and stays open", async () => {
    for (const connection of [{ rollback() {}, close() {} }, Object.assign(() => {}, { rollback() {}, close() {} })]) {
      let closed = 0;
      connection.close = () => void closed++;
      const pool = new QueuePool(() => connection, { logger: new Log(), loggingName: "one" });
      const [lease, error] = await Promise.all([pool.connect(), rejection(pool.connect())]);
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.include("the creator of the pool one returned a connection that the pool already has");
      expect(pool.stats()).to.include({ used: 1, openFailed: 1, total: 1 });
      expect(closed).to.equal(0);
      await lease.detach();
      expect(await rejection(pool.connect()), "its holder has it still").to.be.instanceOf(ArgumentError);
      await lease.close();
      expect(closed).to.equal(1);
      await pool.use((used) => expect(used).to.equal(connection));
      await pool.close();
      expect(closed).to.equal(2);
    }
  });

  test("a connection that was closed may be returned again, and a number or a text at any time", async () => {
    const connection = { rollback() {}, close() {} };
    const pool = new QueuePool(() => connection, { logger: new Log() });
    for (const end of [(lease) => lease.invalidate(), (lease) => lease.close().then(() => pool.dispose())])
      await end(await pool.connect());
    await pool.use((used) => expect(used).to.equal(connection));
    for (const value of [7, "text"]) {
      const numbers = new QueuePool(() => value, { dialect: { doRollback() {}, doClose() {} } });
      expect((await connects(numbers, 2)).map((lease) => lease.connection)).to.deep.equal([value, value]);
    }
  });

  test("scopes of one pool do not share a connection either", async () => {
    const connection = { rollback() {}, close() {} };
    let key = {};
    const pool = new QueuePool(() => connection, { scope: () => key, logger: new Log() });
    const lease = await pool.connect();
    key = {};
    // In Workers each I/O context has its own connections.
    if (!isWorkers) expect(await rejection(pool.connect())).to.be.instanceOf(ArgumentError);
    await lease.close();
  });

  test("a connection that comes late, and that the pool has, is reported and not closed", async () => {
    const { pool, server, clock, log } = scriptedPool({ driverTimeout: "1s" });
    const lease = await pool.connect();
    const late = gate();
    server.script.open = () => late.promise;
    const refused = rejection(pool.connect());
    await pass(clock, 1100);
    expect((await refused).code).to.equal("ERR_POOL_TIMEOUT");
    late.open(lease.connection);
    await settled();
    expect(server.live).to.equal(1);
    expect(log.errors.at(-1)).to.be.instanceOf(ArgumentError);
    await lease.close();
    server.script = {};
    expect(await pool.use(({ id }) => id)).to.equal(1);
  });
};
