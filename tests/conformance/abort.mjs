// The signal of connect().

import { expect } from "chai";
import { gate, rejection, scriptedPool, settled } from "./scripted.mjs";

export default (test) => {
  test("an abort in the queue rejects with the signal's reason and leaves the queue", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const controller = new AbortController();
    const waiter = pool.connect({ signal: controller.signal });
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejection(waiter)).to.equal(reason);
    expect(pool.stats()).to.include({ waiting: 0, aborted: 1 });
    await lease.close();
    expect(pool.stats()).to.include({ idle: 1, used: 0 });
  });

  test("an abort while opening rejects now; the connection that then arrives becomes idle", async () => {
    const { pool, server } = scriptedPool();
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal });
    controller.abort(new Error("enough"));
    expect((await rejection(caller)).message).to.equal("enough");
    expect(pool.stats()).to.include({ opening: 1, idle: 0 });
    opening.open();
    await settled();
    expect(pool.stats()).to.include({ opening: 0, idle: 1 });
    expect((await pool.connect()).connection.id).to.equal(1);
  });
};
