// What the dialect says of the creator's connection before the pool takes it: doCheck.

import { expect } from "chai";
import { counts, expectSound, gate, rejection, scriptedPool, settled } from "./scripted.mjs";

const foreign = new TypeError("another driver's");

/** A pool whose dialect refuses, warns of or takes a connection by its number. */
function checkedPool(answers, options = {}) {
  const checked = [];
  const dialect = {
    doCheck(connection) {
      checked.push(connection.id);
      return answers[connection.id]?.();
    },
  };
  return { ...scriptedPool({ ...options, dialect }), checked };
}

const refusing = {
  1: () => {
    throw foreign;
  },
};

export default (test) => {
  test("a connection is checked once, before any listener has it", async () => {
    const context = checkedPool({});
    const { pool, checked } = context;
    pool.on("connect", () => void checked.push("connect"));
    for (let time = 0; time < 2; time++) await (await pool.connect()).close();
    expect(checked).to.deep.equal([1, "connect"]);
    await expectSound(context);
  });

  test("the caller of a refused connection gets the dialect's error, and its slot serves the next caller", async () => {
    const context = checkedPool(refusing, { poolSize: 1, maxOverflow: 0 });
    const { pool, server, log } = context;
    expect(await rejection(pool.connect())).to.equal(foreign);
    expect(pool.stats()).to.include({ total: 0, opened: 0, openFailed: 1 });
    expect(counts(pool)).to.deep.equal([1, 0, -1, 0]);
    expect(server.calls, "another driver's connection is not called").to.deep.equal(["open"]);
    expect(log.lines).to.deep.equal([]);
    const lease = await pool.connect();
    expect(lease.connection.id).to.equal(2);
    await lease.close();
    // The dialect has refused it, and closes it itself.
    server.connections[0].closed++;
    await expectSound(context);
  });

  test("a refusal is reported if its caller has left", async () => {
    const context = checkedPool(refusing);
    const { pool, server } = context;
    const errors = [];
    pool.on("error", (error) => void errors.push(error));
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal });
    controller.abort();
    await rejection(caller);
    opening.open();
    await settled();
    expect(errors).to.deep.equal([foreign]);
  });

  test("a refused connection is not tried again with openRetry", async () => {
    const { pool, server } = checkedPool(refusing, { openRetry: true });
    expect(await rejection(pool.connect())).to.equal(foreign);
    expect(server.calls).to.deep.equal(["open"]);
  });

  test("each text of a warning is logged once by a pool, and again by another pool", async () => {
    const old = () => "this driver is old";
    const answers = { 1: old, 2: old, 3: () => "this one is new", 4: old, 5: old };
    const context = checkedPool(answers);
    const { pool, log } = context;
    const leases = [await pool.connect(), await pool.connect(), await pool.connect()];
    const lines = [
      ["warn", `pool ${pool.loggingName}: this driver is old`],
      ["warn", `pool ${pool.loggingName}: this one is new`],
    ];
    expect(log.lines).to.deep.equal(lines);
    for (const lease of leases) await lease.close();
    await pool.dispose();
    await (await pool.connect()).close();
    expect(log.lines).to.deep.equal(lines);
    const again = pool.recreate();
    await (await again.connect()).close();
    expect(log.lines).to.deep.equal([...lines, lines[0]]);
    await again.close();
    await expectSound(context);
  });
};
