// openTimeout: an opening has a time of its own. The creator's signal says when the pool has no use for it any more.

import { expect } from "chai";
import { PoolClosedError, PoolTimeoutError, QueuePool } from "edgepool";
import {
  everywhere,
  gate,
  Log,
  never,
  pass,
  rejection,
  rejectionTime,
  scriptedPool,
  settled,
  virtualClock,
} from "./scripted.mjs";

/** A pool whose creators hang, and the signals that they were given. */
function signalledPool(options = {}) {
  const { clock, poolClock } = virtualClock();
  const log = new Log();
  const signals = [];
  const create = (_record, { signal }) => {
    signals.push(signal);
    return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  const pool = new QueuePool(create, { clock: poolClock, logger: log, ...everywhere, ...options });
  return { pool, clock, log, signals };
}

export default (test) => {
  test("an opening ends in its time, and a reset has driverTimeout", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, openTimeout: "1s" });
    const lease = await pool.connect();
    server.script.rollback = never;
    const returned = lease.close();
    await pass(clock, 2000);
    expect(pool.stats().used).to.equal(1);
    await pass(clock, 30_000);
    await returned;
    server.script.open = never;
    const startedAt = clock.now;
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 1100);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(noted.error).to.include({ step: "open", timeoutMs: 1000 });
    expect(noted.error.message).to.contain("(openTimeout)");
    expect(noted.at - startedAt).to.be.within(1000, 1063);
  });

  test("an opening that takes too long serves the next caller, if the dialect wants that", async () => {
    const context = scriptedPool({
      poolSize: 1,
      maxOverflow: 0,
      timeout: "2s",
      openTimeout: "1s",
      dialect: { keepsSlotUntilClosed: true },
    });
    const { pool, server, clock, log } = context;
    const opens = gate();
    server.script.open = () => opens.promise.then(() => server.connection());
    const refused = [pool.connect(), pool.connect()];
    await pass(clock, 3_000);
    for (const each of refused) expect(await rejection(each)).to.have.property("code", "ERR_POOL_TIMEOUT");
    expect(log.of("error")[0]).to.include("opening").and.to.include("openTimeout (1000 ms)");
    const next = pool.connect();
    expect(pool.stats()).to.include({ opening: 1, total: 1, waiting: 1 });
    opens.open();
    const lease = await next;
    expect(server.calls.filter((call) => call.startsWith("open"))).to.have.length(1);
    await lease.close();
    expect(pool.stats()).to.include({ opened: 1, idle: 1, openFailed: 0 });
  });

  test("if that opening fails in the end, the next caller has another one", async () => {
    const context = scriptedPool({
      poolSize: 1,
      maxOverflow: 0,
      openTimeout: "1s",
      dialect: { keepsSlotUntilClosed: true },
    });
    const { pool, server, clock } = context;
    const errors = [];
    pool.on("error", (error, { operation }) => void errors.push([operation, error.message]));
    const opens = gate();
    server.script.open = () => opens.promise.then(() => Promise.reject(new Error("no such folder")));
    const refused = pool.connect();
    await pass(clock, 1_100);
    expect(await rejection(refused)).to.have.property("code", "ERR_POOL_TIMEOUT");
    const next = pool.connect();
    delete server.script.open;
    opens.open();
    await (await next).close();
    expect(errors.map(([operation]) => operation)).to.deep.equal(["open", "open"]);
    expect(errors[1][1]).to.equal("no such folder");
    expect(pool.stats()).to.include({ total: 1, idle: 1, opening: 0 });
  });

  test("null is no limit, and without it the opening has driverTimeout", async () => {
    for (const [options, isSettled] of [
      [{ openTimeout: null, driverTimeout: "1s" }, false],
      [{ driverTimeout: "1s" }, true],
    ]) {
      const { pool, server, clock } = scriptedPool(options);
      server.script.open = never;
      const noted = rejectionTime(pool.connect(), clock);
      await pass(clock, 60_000);
      expect(noted.error !== undefined).to.equal(isSettled);
    }
  });

  test("the creator's signal is aborted by openTimeout, with the error that is reported", async () => {
    const { pool, clock, signals, log } = signalledPool({ openTimeout: "1s" });
    const reported = [];
    pool.on("error", (error) => reported.push(error));
    const refused = rejection(pool.connect());
    await settled();
    expect(signals[0].aborted).to.equal(false);
    await pass(clock, 1100);
    expect(await refused).to.be.instanceOf(PoolTimeoutError);
    expect(signals[0].aborted).to.equal(true);
    expect(signals[0].reason.message).to.contain("openTimeout");
    await settled();
    expect(reported).to.deep.equal([signals[0].reason]);
    expect(log.of("error")).to.have.length(1);
  });

  test("close(), endScope() and a second scope: the signals of all openings are aborted, quietly", async () => {
    const key = {};
    const { pool, signals, log } = signalledPool({ scope: () => key });
    const refused = [rejection(pool.connect()), rejection(pool.connect())];
    await settled();
    await pool.endScope(key);
    for (const error of await Promise.all(refused)) expect(error).to.be.instanceOf(PoolClosedError);
    expect(signals.map(({ aborted, reason }) => [aborted, reason.code])).to.deep.equal([
      [true, "ERR_POOL_CLOSED"],
      [true, "ERR_POOL_CLOSED"],
    ]);
    const other = signalledPool();
    const caller = rejection(other.pool.connect());
    await settled();
    await other.pool.close();
    expect(await caller).to.be.instanceOf(PoolClosedError);
    expect(other.signals[0].aborted).to.equal(true);
    expect([...log.of("error"), ...other.log.of("error")]).to.deep.equal([]);
  });

  test("a caller that leaves aborts no creator", async () => {
    const { pool, signals } = signalledPool();
    const controller = new AbortController();
    const refused = rejection(pool.connect({ signal: controller.signal }));
    await settled();
    controller.abort(new Error("enough"));
    expect((await refused).message).to.equal("enough");
    expect(signals[0].aborted).to.equal(false);
    await pool.close();
  });

  test("a signal that is read late is aborted already", async () => {
    const { clock, poolClock } = virtualClock();
    let opening;
    const create = (_record, context) => {
      opening = context;
      return new Promise(() => {});
    };
    const pool = new QueuePool(create, { clock: poolClock, logger: new Log(), ...everywhere, openTimeout: "1s" });
    const refused = rejection(pool.connect());
    await pass(clock, 1100);
    await refused;
    expect(opening.signal.aborted).to.equal(true);
  });

  test("creators that were given up count until they end", async () => {
    const { clock, poolClock } = virtualClock();
    let running = 0;
    let most = 0;
    const create = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => clock.setTimeout(resolve, 5000));
      running--;
      return { close() {}, rollback() {} };
    };
    const pool = new QueuePool(create, {
      poolSize: 3,
      maxOverflow: 0,
      openTimeout: "300ms",
      clock: poolClock,
      logger: new Log(),
      maxConnecting: Infinity,
    });
    for (let number = 0; number < 200; number++) {
      pool.connect().catch(() => {});
      await pass(clock, 70);
    }
    expect(most).to.equal(6);
  });
};
