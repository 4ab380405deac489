// openRetry: an opening that failed with an error that may pass is tried again while its caller has time.
// One creator at a time tries.

import { expect } from "chai";
import { PoolTimeoutError } from "edgepool";
import { expectSound, pass, rejection, rejectionTime, scriptedPool, settled } from "./scripted.mjs";

const down = (code = "ECONNREFUSED") => Object.assign(new Error("down"), { code });

/** A pool whose server is away until `until`, and counts the attempts. */
function awayPool(until, options = {}, error = down) {
  const context = scriptedPool({ poolSize: 5, maxOverflow: 0, openRetry: true, timeout: "10s", ...options });
  const { server, clock } = context;
  server.script.open = () => {
    if (clock.now < until) throw error();
  };
  return context;
}

const attemptsOf = (server) => server.calls.filter((call) => call === "open").length;

export default (test) => {
  test("callers wait out a server that is away, for few attempts", async () => {
    const context = awayPool(1500);
    const { pool, server, clock } = context;
    const outcomes = [];
    for (let number = 0; number < 150; number++) {
      outcomes.push(pool.use(() => undefined).then(() => "served"));
      await pass(clock, 10);
    }
    await pass(clock, 2000);
    expect(new Set(await Promise.all(outcomes))).to.deep.equal(new Set(["served"]));
    expect(attemptsOf(server)).to.be.below(20);
    await expectSound(context);
  });

  test("without it each caller has the error of its own attempt at once", async () => {
    const { pool, server } = awayPool(Infinity, { openRetry: false });
    for (let number = 0; number < 5; number++) expect((await rejection(pool.connect())).code).to.equal("ECONNREFUSED");
    expect(attemptsOf(server)).to.equal(5);
  });

  test("a pool with a deadline waits until it, unless openRetry is false", async () => {
    const { pool, clock } = awayPool(500, { openRetry: undefined, deadline: "5s" });
    const lease = pool.connect();
    await pass(clock, 2000);
    expect((await lease).isValid).to.equal(true);
    const other = awayPool(500, { openRetry: false, deadline: "5s" });
    expect((await rejection(other.pool.connect())).code).to.equal("ECONNREFUSED");
  });

  test("a caller whose time ends gets a time-out with the last error as its cause", async () => {
    for (const [options, call, option] of [
      [{}, { timeout: "1s" }, "timeout"],
      [{ timeout: "1s" }, undefined, "timeout"],
      [{}, { deadline: "1s" }, "deadline"],
    ]) {
      const { pool, clock } = awayPool(Infinity, options);
      const opener = rejectionTime(pool.connect(call), clock);
      const waiters = [1, 2, 3, 4, 5, 6].map(() => rejectionTime(pool.connect(call), clock));
      await pass(clock, 1100);
      for (const { error, at } of [opener, ...waiters]) {
        expect(error).to.be.instanceOf(PoolTimeoutError);
        expect(error.cause.code).to.equal("ECONNREFUSED");
        expect(error.message).to.contain(`1000 ms (${option})`);
        expect(at).to.be.within(1000, 1063);
      }
    }
  });

  test("an error that does not pass refuses its caller at once, and the others without attempts", async () => {
    const wrong = () => down("28P01");
    const { pool, server, clock } = awayPool(Infinity, {}, wrong);
    const codes = [];
    for (let number = 0; number < 500; number++) {
      pool.connect().catch(({ code }) => codes.push([code, clock.now - number * 10]));
      await pass(clock, 10);
    }
    expect(codes).to.have.length(500);
    expect(new Set(codes.map(([code]) => code))).to.deep.equal(new Set(["28P01"]));
    expect(Math.max(...codes.map(([, ms]) => ms))).to.be.at.most(10);
    // In Workers a scope that is empty forgets its pauses.
    expect(attemptsOf(server)).to.be.within(5, 130);
  });

  test("the dialect says which errors pass", async () => {
    const seen = [];
    const dialect = {
      isTransient(error) {
        seen.push(error.code);
        return error.code === "busy";
      },
    };
    const { pool, clock } = awayPool(100, { dialect }, () => down("busy"));
    const lease = pool.connect();
    await pass(clock, 500);
    expect((await lease).isValid).to.equal(true);
    expect(new Set(seen)).to.deep.equal(new Set(["busy"]));
    const other = awayPool(100, { dialect });
    expect((await rejection(other.pool.connect())).code).to.equal("ECONNREFUSED");
  });

  test("without a dialect: the codes of the network, of a server that starts, and of one that is full", async () => {
    const passing = ["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EPIPE", "57P03", "53300"].map((code) => ({ code }));
    const lasting = [{ code: "28P01" }, { code: "ENOTFOUND" }, { code: "ENOENT" }, {}];
    for (const details of [...passing, { errno: 1040 }, { errno: 1203 }, { errno: 1226 }]) {
      const { pool, clock } = awayPool(100, {}, () => Object.assign(new Error("down"), details));
      const lease = pool.connect();
      await pass(clock, 500);
      expect((await lease).isValid).to.equal(true);
    }
    for (const details of lasting) {
      const error = Object.assign(new Error("down"), details);
      const { pool } = awayPool(100, {}, () => error);
      expect(await rejection(pool.connect())).to.equal(error);
    }
  });

  test("a count bounds the retries in a row", async () => {
    const { pool, server, clock } = awayPool(Infinity, { openRetry: 3 });
    const refused = rejection(pool.connect());
    await pass(clock, 1000);
    expect((await refused).code).to.equal("ECONNREFUSED");
    expect(attemptsOf(server)).to.equal(4);
  });

  test("an opening that takes too long is tried again, and what it opens later is closed", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, openRetry: true, openTimeout: "500ms" });
    const { pool, server, clock } = context;
    let release;
    server.script.open = () => new Promise((resolve) => (release = resolve));
    const lease = pool.connect();
    await pass(clock, 300);
    server.script.open = undefined;
    await pass(clock, 500);
    expect((await lease).connection.id).to.equal(1);
    release(undefined);
    await settled();
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([0, 1]);
    await (await lease).close();
    await expectSound(context);
  });

  test("a caller that waits for an attempt may abort, and close() refuses it", async () => {
    const context = awayPool(Infinity);
    const { pool, clock } = context;
    const controller = new AbortController();
    const aborted = rejection(pool.connect({ signal: controller.signal }));
    const refused = rejection(pool.connect());
    await pass(clock, 20);
    controller.abort(new Error("enough"));
    expect((await aborted).message).to.equal("enough");
    await pool.close();
    expect((await refused).code).to.equal("ERR_POOL_CLOSED");
    expect(pool.stats()).to.include({ opening: 0, waiting: 0, total: 0 });
    expect(clock.due.size).to.equal(0);
  });

  test("timeout 0 waits for no attempt", async () => {
    const { pool, server } = awayPool(Infinity, { timeout: 0 });
    expect((await rejection(pool.connect())).code).to.equal("ECONNREFUSED");
    expect((await rejection(pool.connect())).cause.code).to.equal("ECONNREFUSED");
    expect(attemptsOf(server)).to.equal(1);
  });

  test("warm() rejects with the error, and opens nothing while attempts pause", async () => {
    const { pool, server } = awayPool(Infinity);
    expect((await rejection(pool.warm(3))).code).to.equal("ECONNREFUSED");
    const before = attemptsOf(server);
    expect((await rejection(pool.warm(3))).code).to.equal("ECONNREFUSED");
    expect(attemptsOf(server)).to.equal(before);
  });

  test("a failure that is tried again is logged as a warning", async () => {
    const { pool, clock, log } = awayPool(10);
    const lease = pool.connect();
    await pass(clock, 200);
    await lease;
    expect(log.of("warn")).to.have.length(1);
    expect(log.of("warn")[0]).to.contain("down");
    expect(log.of("error")).to.deep.equal([]);
  });

  test("an idle connection is lent without a clock, as in every pool", async () => {
    const { pool, clock } = scriptedPool({ openRetry: true, resetOnReturn: "none" });
    await (await pool.connect()).close();
    const { reads, set } = clock;
    for (let round = 0; round < 10; round++) await (await pool.connect()).close();
    expect([clock.reads, clock.set]).to.deep.equal([reads, set]);
  });
};
