// edgepool/otel: a pool's metrics on a meter. Numbers are read when the meter is collected. Times are recorded at the
// end of a wait, an opening or a use, by the pool's clock.

import { expect } from "chai";
import { AssertionPool, listen, NullPool, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { attachMeter } from "edgepool/otel";
import { scriptedMeter } from "./metered.mjs";
import { pings, scriptedKind } from "./scripted-kind.mjs";
import { expectSound, gate, isWorkers, pass, rejection, scriptedPool, settled, thrown } from "./scripted.mjs";

function metered(options = {}, more = {}) {
  const context = scriptedPool(options);
  const observed = scriptedMeter();
  const metrics = attachMeter(context.pool, observed.meter, more);
  return { ...context, ...observed, metrics };
}

const small = { poolSize: 1, maxOverflow: 0 };

export default (test) => {
  test("the numbers are those of stats(), at each moment", async () => {
    const { pool, server, clock, read } = metered({ poolSize: 1, maxOverflow: 2, minIdle: 1, timeout: 0.05 });
    const limits = { "idle.max": 1, "idle.min": 1, limit: 3, max: 3, pending_requests: 0, timeouts: 0 };
    expect(read()).to.deep.equal({ "count idle": 0, "count used": 0, ...limits });
    const leases = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    const waiter = rejection(pool.connect());
    expect(read()).to.deep.equal({ "count idle": 0, "count used": 3, ...limits, pending_requests: 1 });
    await pass(clock, 60);
    await waiter;
    expect(read()).to.deep.equal({ "count idle": 0, "count used": 3, ...limits, timeouts: 1 });
    for (const lease of leases) await lease.close();
    expect(read()).to.deep.equal({ "count idle": 1, "count used": 0, ...limits, timeouts: 1 });
    pool.resize({ poolSize: 4, maxOverflow: 0, minIdle: 2 });
    expect(read()).to.include({ "idle.max": 4, "idle.min": 2, limit: 4, max: 4 });
    await expectSound({ pool, server, clock });
  });

  test("no limit is no number", () => {
    const { read } = metered({ poolSize: 0 });
    expect(Object.keys(read()).sort()).to.deep.equal(
      ["count idle", "count used", "idle.min", "pending_requests", "timeouts"].sort(),
    );
  });

  test("wait_time is from the call to the lease: at once, in the queue, and through an opening", async () => {
    const { pool, server, clock, times, recorded } = metered({ ...small, timeout: null });
    const opening = gate();
    server.script.open = () => opening.promise;
    const first = pool.connect();
    await pass(clock, 30);
    opening.open();
    const lease = await first;
    expect(recorded[1]).to.deep.equal(["wait_time", 0.03, { "db.client.connection.pool.name": "scripted" }]);
    recorded.length = 0;
    const second = pool.connect();
    await pass(clock, 200);
    void lease.close();
    const next = await second;
    await next.close();
    await (await pool.connect()).close();
    expect(times().filter(([name]) => name === "wait_time")).to.deep.equal([
      ["wait_time", 0.2],
      ["wait_time", 0],
    ]);
  });

  test("use_time is from the lease to its close, without the reset", async () => {
    const { pool, server, clock, times } = metered(small);
    const lease = await pool.connect();
    times();
    const reset = gate();
    server.script.rollback = () => reset.promise;
    await pass(clock, 40);
    const closed = lease.close();
    await pass(clock, 1000);
    reset.open();
    await closed;
    expect(times()).to.deep.equal([["use_time", 0.04]]);
    await lease.close();
    expect(times()).to.deep.equal([]);
  });

  test("create_time is that of the creator alone, and of those that succeed", async () => {
    const { pool, server, clock, times } = metered(small);
    const refused = new Error("refused");
    server.script.open = () => {
      throw refused;
    };
    expect(await rejection(pool.connect())).to.equal(refused);
    expect(times()).to.deep.equal([]);
    const [opening, listening] = [gate(), gate()];
    server.script.open = () => opening.promise;
    pool.on("connect", () => listening.promise);
    const caller = pool.connect();
    await pass(clock, 20);
    opening.open();
    await pass(clock, 70);
    listening.open();
    await caller;
    expect(times()).to.deep.equal([
      ["create_time", 0.02],
      ["wait_time", 0.09],
    ]);
  });

  test("a creator that answers at once takes no time, and its answer stays synchronous", async () => {
    const { pool, times } = metered(small);
    await pool.use(() => {});
    expect(times()).to.deep.equal([
      ["create_time", 0],
      ["wait_time", 0],
      ["use_time", 0],
    ]);
  });

  test("a use has one time however it ends", async () => {
    const ends = {
      close: (lease) => lease.close(),
      "close with an error": (lease) => lease.close({ error: new Error("mine") }),
      invalidate: (lease) => lease.invalidate(),
      detach: (lease) => lease.detach().then(() => lease.close()),
      dispose: (lease) => lease[Symbol.asyncDispose](),
      "record.invalidate": (lease) => lease.record.invalidate().then(() => lease.close()),
      "soft invalidate": (lease) => lease.invalidate(undefined, { soft: true }).then(() => lease.close()),
    };
    for (const [name, end] of Object.entries(ends)) {
      const { pool, server, clock, times } = metered(small);
      const lease = await pool.connect();
      times();
      await pass(clock, 10);
      await end(lease);
      await lease.close();
      expect(times(), name).to.deep.equal([["use_time", 0.01]]);
      await expectSound({ pool, server, clock }, name);
    }
  });

  test("a soft invalidation ends no use", async () => {
    const { pool, clock, times } = metered(small);
    const lease = await pool.connect();
    times();
    await lease.invalidate(undefined, { soft: true });
    expect(times()).to.deep.equal([]);
    await pass(clock, 10);
    await lease.close();
    expect(times()).to.deep.equal([["use_time", 0.01]]);
  });

  test("the use of a connection that died goes on until its holder returns it", async () => {
    let died;
    const onDisconnect = (_, report) => {
      died = report;
      return () => {};
    };
    const { pool, server, clock, times } = metered({ ...small, dialect: { onDisconnect } });
    const lease = await pool.connect();
    times();
    died(new Error("reset by peer"));
    await pass(clock, 25);
    await lease.close();
    expect(times()).to.deep.equal([["use_time", 0.025]]);
    await expectSound({ pool, server, clock });
  });

  test("the use of a lease that the pool took back goes on until its holder returns it", async () => {
    const { pool, server, clock, times } = metered({ ...small, holdLimit: 0.1, onHoldLimit: "terminate" });
    const lease = await pool.connect();
    times();
    await pass(clock, 500);
    expect(lease.isValid).to.equal(false);
    await lease.close();
    expect(times()).to.deep.equal([["use_time", 0.5]]);
    await expectSound({ pool, server, clock });
  });

  test("callers that are refused, or leave, have no time", async () => {
    const { pool, server, clock, times } = metered({ ...small, timeout: 0.05 });
    const lease = await pool.connect();
    times();
    const controller = new AbortController();
    const [late, gone] = [rejection(pool.connect()), rejection(pool.connect({ signal: controller.signal }))];
    controller.abort(new Error("left"));
    await pass(clock, 60);
    expect((await late).code).to.equal("ERR_POOL_TIMEOUT");
    expect((await gone).message).to.equal("left");
    expect(times()).to.deep.equal([]);
    await lease.close();
    await expectSound({ pool, server, clock });
  });

  test("a refusal comes out unchanged, with the stack of its caller", async () => {
    const { pool, clock } = metered({ ...small, timeout: 0.05 });
    await pool.connect();
    async function theCallerOfThisTest() {
      await pool.connect();
    }
    const refused = rejection(theCallerOfThisTest());
    await pass(clock, 60);
    const plain = scriptedPool({ ...small, timeout: 0.05 });
    await plain.pool.connect();
    const unobserved = rejection((async () => await plain.pool.connect())());
    await pass(plain.clock, 60);
    const error = await refused;
    expect(error.message).to.equal((await unobserved).message);
    if ("captureStackTrace" in Error && /at async/.test((await unobserved).stack))
      expect(error.stack).to.include("theCallerOfThisTest");
  });

  test("useSync() and tryConnect() have a wait and a use, too, if they get a lease", async () => {
    const { pool, server, clock, times } = metered(small);
    pool.useSync(() => {});
    const lease = pool.tryConnect();
    expect(pool.tryConnect()).to.equal(undefined);
    expect(thrown(() => pool.useSync(() => {})).code).to.equal("ERR_POOL_TIMEOUT");
    await lease.close();
    const both = [
      ["wait_time", 0],
      ["use_time", 0],
    ];
    expect(times()).to.deep.equal([["create_time", 0], ...both, ...both]);
    await expectSound({ pool, server, clock });
  });

  test("a ping and a checkout listener are part of the wait", async () => {
    const context = scriptedKind(QueuePool, { ...small, prePing: true, dialect: pings });
    const { meter, times } = scriptedMeter();
    attachMeter(context.pool, meter);
    await context.pool.use(() => {});
    times();
    const [ping, listening] = [gate(), gate()];
    context.server.script.ping = () => ping.promise;
    context.pool.on("checkout", () => listening.promise);
    const caller = context.pool.connect();
    await pass(context.clock, 5);
    ping.open(true);
    await pass(context.clock, 5);
    listening.open();
    await (await caller).close();
    expect(times()).to.deep.equal([
      ["wait_time", 0.01],
      ["use_time", 0],
    ]);
  });

  for (const Kind of [QueuePool, NullPool, SingletonThreadPool, StaticPool, AssertionPool]) {
    test(`${Kind.name}: each lease has a wait and a use, and the limits are its own`, async () => {
      const context = scriptedKind(Kind, {});
      const { meter, times, read } = scriptedMeter();
      attachMeter(context.pool, meter);
      const shares = Kind === StaticPool || Kind === SingletonThreadPool;
      const lease = await context.pool.connect();
      const nested = shares ? await context.pool.connect() : undefined;
      expect(read()).to.include({ "count used": 1, "count idle": 0 });
      await pass(context.clock, 10);
      await nested?.close();
      await pass(context.clock, 10);
      await lease.close();
      const wait = ["wait_time", 0];
      expect(times()).to.deep.equal([
        ["create_time", 0],
        ...(shares ? [wait, wait, ["use_time", 0.01]] : [wait]),
        ["use_time", 0.02],
      ]);
      const max = { QueuePool: 15, NullPool: undefined }[Kind.name] ?? (Kind === NullPool ? undefined : 1);
      const idle = { QueuePool: 5, NullPool: 0 }[Kind.name] ?? 1;
      const numbers = read();
      expect([numbers.max, numbers["idle.max"], numbers["idle.min"]]).to.deep.equal([max, idle, 0]);
      await expectSound(context);
    });
  }

  test("a lease of before the attachment has no use_time, and one of after the detachment neither", async () => {
    const { pool, server, clock } = scriptedPool();
    const before = await pool.connect();
    const { meter, times } = scriptedMeter();
    const metrics = attachMeter(pool, meter);
    await before.close();
    expect(times()).to.deep.equal([]);
    const during = await pool.connect();
    expect(times()).to.deep.equal([["wait_time", 0]]);
    metrics.detach();
    await during.close();
    await pool.use(() => {});
    expect(times()).to.deep.equal([]);
    metrics.detach();
    await expectSound({ pool, server, clock });
  });

  test("using ends the metrics at the end of a block: the numbers are 0 once more, and then none", async () => {
    const { metrics, callbacks, pool, times, read } = metered();
    await pool.connect();
    times();
    expect(read()).to.include({ "count used": 1 });
    metrics[Symbol.dispose]();
    const none = { "count idle": 0, "count used": 0, "idle.max": 0, "idle.min": 0, limit: 0, max: 0 };
    expect(read()).to.deep.equal({ ...none, pending_requests: 0, timeouts: 0 });
    expect(read()).to.deep.equal({});
    expect(callbacks.size).to.equal(0);
    await pool.use(() => {});
    expect(times()).to.deep.equal([]);
  });

  test("a pool has its metrics once on a meter, and again after a detachment", async () => {
    const { pool, meter, metrics, times, instruments, read } = metered();
    expect(attachMeter(pool, meter)).to.equal(metrics);
    expect(instruments).to.have.length(10);
    await pool.use(() => {});
    expect(times()).to.have.length(3);
    metrics.detach();
    expect(attachMeter(pool, meter)).to.not.equal(metrics);
    await pool.use(() => {});
    expect(times()).to.have.length(2);
    expect(read()).to.include({ "count idle": 1 });
    expect(instruments).to.have.length(10);
  });

  test("two meters have the same numbers and times", async () => {
    const { pool, clock, meter: _meter, ...first } = metered();
    const second = scriptedMeter();
    attachMeter(pool, second.meter);
    const lease = await pool.connect();
    await pass(clock, 15);
    await lease.close();
    expect(first.times()).to.deep.equal(second.times());
    expect(first.read()).to.deep.equal(second.read());
  });

  test("pools have a series for each name; those of one name are added up", async () => {
    const { meter, read, recorded } = scriptedMeter();
    const named = (loggingName) => scriptedPool({ loggingName, poolSize: 2, maxOverflow: 1 });
    const [shop, stock, other] = [named("shop"), named("stock"), named("another")];
    attachMeter(shop.pool, meter);
    attachMeter(stock.pool, meter);
    attachMeter(other.pool, meter, { poolName: "shop" });
    for (const { pool } of [shop, stock, other]) await pool.connect();
    expect(read("shop")).to.include({ "count used": 2, max: 6, "idle.max": 4 });
    expect(read("stock")).to.include({ "count used": 1, max: 3, "idle.max": 2 });
    expect(read("another")).to.deep.equal({});
    const names = recorded.map(([, , attributes]) => attributes["db.client.connection.pool.name"]);
    expect(names).to.deep.equal(["shop", "shop", "stock", "stock", "shop", "shop"]);
  });

  test("a pool that recreate() makes has the metrics of the first one, under its name", async () => {
    const { pool, meter, metrics, read, times } = metered({ ...small, loggingName: undefined });
    const name = pool.loggingName;
    const lease = await pool.connect();
    const next = pool.recreate();
    expect(next.loggingName).to.not.equal(name);
    expect(attachMeter(next, meter)).to.equal(metrics);
    await next.use(() => {});
    expect(read(name)).to.include({ "count used": 1, "count idle": 1, max: 2 });
    const closed = pool.close();
    await lease.close();
    await closed;
    expect(times().filter(([kind]) => kind === "use_time")).to.have.length(2);
    read();
    expect(read(name)).to.include({ "count used": 0, "count idle": 1, max: 1 });
    metrics.detach();
    await next.use(() => {});
    expect(times()).to.deep.equal([]);
    expect(read()).to.include({ "count idle": 0 });
    expect(read()).to.deep.equal({});
  });

  test("a closed pool is read until nothing is left of it, and the last time shows its time-outs", async () => {
    const { pool, clock, read, callbacks } = metered({ ...small, timeout: 0.01 });
    const lease = await pool.connect();
    const refused = rejection(pool.connect());
    await pass(clock, 20);
    await refused;
    const closed = pool.close();
    const none = { "count idle": 0, "idle.max": 0, "idle.min": 0, limit: 0, max: 0, pending_requests: 0, timeouts: 1 };
    expect(read()).to.deep.equal({ "count used": 1, ...none });
    await lease.close();
    await closed;
    expect(read()).to.deep.equal({ "count used": 0, ...none });
    expect(read()).to.deep.equal({});
    expect(callbacks.size).to.equal(0);
  });

  test("the time-outs of a pool that is gone stay in the sum of its name", async () => {
    const { meter, read } = scriptedMeter();
    const [first, second] = [scriptedPool({ ...small, timeout: 0.01 }), scriptedPool({ ...small, timeout: 0.01 })];
    const both = [attachMeter(first.pool, meter), attachMeter(second.pool, meter)];
    for (const { pool, clock } of [first, second]) {
      const lease = await pool.connect();
      const refused = rejection(pool.connect());
      await pass(clock, 20);
      await refused;
      await lease.close();
    }
    expect(read().timeouts).to.equal(2);
    await first.pool.close();
    expect([read().timeouts, read().timeouts]).to.deep.equal([2, 2]);
    both[0].detach();
    expect(read().timeouts).to.equal(2);
  });

  test("a meter that throws costs no slot and no caller, and is reported", async () => {
    for (const Kind of [QueuePool, NullPool, SingletonThreadPool, StaticPool, AssertionPool]) {
      const context = scriptedKind(Kind, {});
      const { pool, log } = context;
      const { meter, script, read } = scriptedMeter();
      attachMeter(pool, meter);
      const failure = new Error("the meter failed");
      const errors = [];
      pool.on("error", (error, { operation }) => errors.push([error, operation]));
      script.record = script.observe = () => {
        throw failure;
      };
      const lease = await pool.connect();
      await lease.close();
      await pool.use(() => {});
      expect(thrown(read)).to.equal(failure);
      expect(errors.length, Kind.name).to.be.at.least(4);
      for (const error of errors) expect(error).to.deep.equal([failure, "listener"]);
      expect(log.of("error")[0]).to.include("a meter failed");
      await expectSound(context, Kind.name);
    }
  });

  test("a meter may call the pool", async () => {
    const { pool, server, clock, script, recorded } = metered(small);
    let isInside = false;
    const uses = [];
    script.record = () => {
      if (isInside) return;
      isInside = true;
      uses.push(pool.use(() => {}));
    };
    await pool.use(() => {});
    await Promise.all(uses);
    expect(recorded.filter(([name]) => name === "use_time")).to.have.length(2);
    await expectSound({ pool, server, clock });
  });

  test("a clock that fails, or goes back, gives no time and breaks nothing", async () => {
    const context = scriptedPool();
    let now = () => 1000;
    const clock = { now: () => now(), setTimeout: () => 1, clearTimeout() {} };
    const pool = new QueuePool(context.server.open, { clock, logger: context.log, resetOnReturn: "none" });
    const { meter, times } = scriptedMeter();
    attachMeter(pool, meter);
    const lease = await pool.connect();
    times();
    now = () => 900;
    await lease.close();
    now = () => {
      throw new Error("no time");
    };
    await pool.use(() => {});
    expect(times()).to.deep.equal([]);
    expect(pool.stats()).to.include({ used: 0, idle: 1 });
  });

  test("it is refused for what is no pool, no meter or no name", () => {
    const { meter } = scriptedMeter();
    const { pool } = scriptedPool();
    for (const wrong of [undefined, null, {}, "pool", { queuePool: {} }])
      expect(thrown(() => attachMeter(wrong, meter))).to.be.instanceOf(TypeError);
    for (const wrong of [undefined, null, {}]) {
      const { message } = thrown(() => attachMeter(pool, wrong));
      expect(message).to.include("wants a Meter");
    }
    expect(thrown(() => attachMeter(pool, meter, { poolName: 5 })).message).to.include("poolName");
  });

  test("a stand-in with a queuePool is taken for that pool", async () => {
    const { pool } = scriptedPool();
    const { meter, read } = scriptedMeter();
    attachMeter({ queuePool: pool }, meter);
    await pool.connect();
    expect(read("scripted")).to.include({ "count used": 1 });
  });

  test("listeners and observers of a pool do not meet", async () => {
    const { pool } = metered();
    expect(thrown(() => pool.on("observe", () => {})).code).to.equal("ERR_POOL_ARGUMENT");
    expect(thrown(() => listen(QueuePool, "observe", () => {})).code).to.equal("ERR_POOL_ARGUMENT");
  });

  if (!isWorkers) {
    test("the numbers are the sums over all scopes, and times are recorded in each", async () => {
      let key = {};
      const context = scriptedPool({ scope: () => key, poolSize: 2, maxOverflow: 1 });
      const { meter, read, times } = scriptedMeter();
      const metrics = attachMeter(context.pool, meter);
      const first = await context.pool.connect();
      key = {};
      const second = await context.pool.connect();
      await second.close();
      key = undefined;
      expect(read()).to.include({ "count used": 1, "count idle": 1, max: 3 });
      expect(times().map(([name]) => name)).to.deep.equal([
        "create_time",
        "wait_time",
        "create_time",
        "wait_time",
        "use_time",
      ]);
      await first.close();
      expect(times()).to.deep.equal([["use_time", 0]]);
      metrics.detach();
      await context.pool.use(() => {});
      await settled();
      expect(times()).to.deep.equal([]);
    });

    test("a scope function that throws outside of its requests keeps no number back", () => {
      const scope = () => {
        throw new Error("outside of a request");
      };
      const { read } = metered({ scope });
      expect(read()).to.include({ "count used": 0, max: 15 });
    });
  }
};
