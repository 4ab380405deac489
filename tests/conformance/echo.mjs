// echo: how much a pool logs. Warnings and errors always, what changes the pool's connections with true, every
// checkout and return with "debug". What is not shown is not formatted.

import { expect } from "chai";
import {
  ArgumentError,
  AssertionPool,
  DisconnectionError,
  NullPool,
  QueuePool,
  SingletonThreadPool,
  StaticPool,
} from "edgepool";
import { pass, rejection, settled, thrown } from "./scripted.mjs";
import { pings, scriptedKind } from "./scripted-kind.mjs";

const gone = new Error("gone");

/** Kinds of messages by their words; where one contains another the longer comes first. */
const words = [
  "recycling: age",
  "recycling: pool invalidated",
  "recycling: soft-invalidated",
  "soft-invalidated",
  "invalidated",
  "disconnected at checkout",
  "reconnect attempts exhausted",
  "recreating",
  "disposed",
  "created",
  "checked out",
  "being returned",
  "rollback on return",
  "commit on return",
  "reset skipped",
  "pinging",
  "ping skipped",
  "ping failed",
  "closing",
  "terminating",
];

/** The kinds of the messages of these levels, in order. */
function kindsOf(log, levels = ["debug", "info"], name = "scripted") {
  return log.lines
    .filter(([level]) => levels.includes(level))
    .map(([, message]) => {
      const text = message.replace(`pool ${name}: `, "");
      return words.find((word) => text.includes(word)) ?? message;
    });
}

const use = ["checked out", "being returned", "rollback on return"];

/** Does something of every kind that has a message. */
async function everything(context) {
  const { pool, server, clock } = context;
  await (await pool.connect()).close();
  await (await pool.connect()).close({ transactionWasReset: true });
  server.script.ping = () => false;
  await (await pool.connect()).close();
  server.script = {};
  await pass(clock, 31_000);
  await (await pool.connect()).close();
  pool.invalidateAll();
  await (await pool.connect()).invalidate(gone);
  const soft = await pool.connect();
  await soft.invalidate(gone, { soft: true });
  await soft.close();
  await (await pool.connect()).close();
  pool.on(
    "checkout",
    () => {
      throw new DisconnectionError("dead");
    },
    { once: true },
  );
  await (await pool.connect()).close();
  const remove = pool.on("checkout", () => {
    throw new DisconnectionError("dead");
  });
  await rejection(pool.connect());
  remove();
  pool.recreate();
  server.script.rollback = () => Promise.reject(gone);
  await (await pool.connect()).close();
  server.script = {};
  const ended = await pool.connect();
  await ended.close();
  await ended.invalidate();
  await pool.dispose();
}

/** What {@link everything} tells at info. */
const told = [
  "invalidated",
  "recycling: age",
  "recycling: pool invalidated",
  "invalidated",
  "soft-invalidated",
  "recycling: soft-invalidated",
  "disconnected at checkout",
  "invalidated",
  "disconnected at checkout",
  "invalidated",
  "disconnected at checkout",
  "invalidated",
  "reconnect attempts exhausted",
  "invalidated",
  "recreating",
  "invalidated",
  "disposed",
];

const everythingPool = (options) =>
  scriptedKind(QueuePool, { poolSize: 1, maxOverflow: 0, recycle: 30, prePing: true, dialect: pings, ...options });

export default (test) => {
  test("an invalidation is logged with its reason, a soft one too", async () => {
    const { pool, log } = scriptedKind(QueuePool, { echo: true });
    const cut = Object.assign(new Error("the cable was cut"), { name: "NetworkError" });
    for (const [reason, shown] of [
      [cut, ": NetworkError: the cable was cut"],
      ["maintenance", ": maintenance"],
      [undefined, ""],
      [Object.create(null), ""],
    ]) {
      log.lines.length = 0;
      const lease = await pool.connect();
      await lease.invalidate(reason, { soft: true });
      await lease.record.invalidate(reason, { soft: true });
      await lease.invalidate(reason);
      const [soft, ofRecord, hard] = log.of("info").map((line) => line.replace(/^.*?: /, ""));
      expect([soft, ofRecord, hard]).to.deep.equal([
        `a connection is soft-invalidated${shown}`,
        `a connection is soft-invalidated${shown}`,
        `a connection is invalidated${shown}`,
      ]);
    }
  });

  test('249 with echo "debug" the messages of a pool\'s life come in order', async () => {
    const { pool, log } = scriptedKind(QueuePool, { poolSize: 1, maxOverflow: 0, echo: "debug" });
    await (await pool.connect()).close();
    await (await pool.connect()).close();
    await (await pool.connect()).close({ transactionWasReset: true });
    await (await pool.connect()).close({ transactionWasReset: false });
    await (await pool.connect()).close();
    await pool.dispose();
    expect(kindsOf(log)).to.deep.equal([
      "created",
      ...use,
      ...use,
      "checked out",
      "being returned",
      "reset skipped",
      ...use,
      ...use,
      "closing",
      "disposed",
    ]);
    expect(log.lines.map(([level]) => level)).to.deep.equal([...Array(17).fill("debug"), "info"]);
  });

  for (const [name, Kind] of Object.entries({ StaticPool, SingletonThreadPool, AssertionPool })) {
    test(`249 ${name} logs a use as QueuePool does`, async () => {
      const { pool, log } = scriptedKind(Kind, { echo: "debug" });
      await (await pool.connect()).close();
      await (await pool.connect()).close({ transactionWasReset: true });
      await pool.dispose();
      expect(kindsOf(log, ["debug"])).to.deep.equal([
        "created",
        ...use,
        "checked out",
        "being returned",
        "reset skipped",
        "closing",
      ]);
    });
  }

  test("249 NullPool logs an opening and a closing for every use", async () => {
    const { pool, log } = scriptedKind(NullPool, { echo: "debug" });
    await (await pool.connect()).close();
    await (await pool.connect()).close();
    expect(kindsOf(log)).to.deep.equal(["created", ...use, "closing", "created", ...use, "closing"]);
  });

  test("a return says how it was reset", async () => {
    const ends = [
      [{ resetOnReturn: "commit" }, undefined, ["commit on return"]],
      [{ resetOnReturn: "none" }, undefined, []],
      [{ resetOnReturn: "commit" }, { transactionWasReset: true }, ["commit on return"]],
      [{ dialect: { inTransaction: () => false } }, undefined, ["reset skipped"]],
    ];
    for (const [options, closeOptions, expected] of ends) {
      const { pool, log } = scriptedKind(QueuePool, { echo: "debug", ...options });
      await (await pool.connect()).close(closeOptions);
      const seen = kindsOf(log).slice(3);
      if (options.resetOnReturn === "none") expect(seen.filter((kind) => kind.includes("on return"))).to.deep.equal([]);
      else expect(seen).to.deep.equal(expected);
    }
  });

  test("a ping, a ping that is spared and one that fails each have their message", async () => {
    const { pool, server, log } = scriptedKind(QueuePool, {
      poolSize: 1,
      maxOverflow: 0,
      echo: "debug",
      prePing: true,
      dialect: pings,
    });
    const first = await pool.connect();
    expect(kindsOf(log)).to.have.members(["created", "checked out", "ping skipped"]);
    await first.close();
    log.lines.length = 0;
    const second = await pool.connect();
    expect(kindsOf(log)).to.have.members(["checked out", "pinging"]);
    await second.close();
    log.lines.length = 0;
    server.script.ping = () => false;
    await pool.connect();
    const kinds = kindsOf(log);
    expect(kinds).to.include.members([
      "pinging",
      "ping failed",
      "invalidated",
      "terminating",
      "created",
      "checked out",
    ]);
    const order = ["pinging", "ping failed", "terminating", "created"].map((kind) => kinds.indexOf(kind));
    expect(order).to.deep.equal(order.toSorted((left, right) => left - right));
  });

  test("a termination says terminating, a polite close closing", async () => {
    const { pool, log } = scriptedKind(QueuePool, { echo: "debug" });
    await (await pool.connect()).invalidate();
    await (await pool.connect()).close();
    await pool.dispose();
    expect(kindsOf(log).filter((kind) => kind.endsWith("ing"))).to.deep.equal(["terminating", "closing"]);
  });

  test("with echo true it logs what changes its connections, and nothing of each checkout", async () => {
    const context = everythingPool({ echo: true });
    await everything(context);
    const { log } = context;
    expect(log.of("debug")).to.deep.equal([]);
    // A dead ping may be called a disconnection, too.
    const isOther = (kind) => kind !== "disconnected at checkout";
    const seen = kindsOf(log, ["info"]);
    expect(seen.filter(isOther).toSorted()).to.deep.equal(told.filter(isOther).toSorted());
    expect(seen.filter((kind) => !isOther(kind)).length).to.be.within(3, 4);
    // Each kind for the first time in this order.
    const firsts = (kinds) => [...new Set(kinds.filter((kind) => isOther(kind) && kind !== "invalidated"))];
    expect(firsts(seen)).to.deep.equal(firsts(told));
  });

  test('251 echo false, null or absent logs warnings and errors; true adds info, "debug" everything', async () => {
    for (const [echo, levels] of [
      [undefined, ["error", "warn"]],
      [false, ["error", "warn"]],
      [null, ["error", "warn"]],
      [true, ["error", "info", "warn"]],
      ["debug", ["debug", "error", "info", "warn"]],
    ]) {
      const context = everythingPool({ echo });
      await everything(context);
      const seen = [...new Set(context.log.lines.map(([level]) => level))].toSorted();
      expect(seen, String(echo)).to.deep.equal(levels);
    }
  });

  test("251 two pools are independent", async () => {
    const [loud, quiet] = [scriptedKind(QueuePool, { echo: "debug" }), scriptedKind(QueuePool, { echo: false })];
    for (const { pool } of [loud, quiet]) await pool.use(() => {});
    expect(loud.log.lines.length).to.be.above(0);
    expect(quiet.log.lines).to.deep.equal([]);
  });

  test("pool.echo can be read and set at any time; the new value counts from the next message on", async () => {
    for (const Kind of [QueuePool, NullPool, StaticPool, SingletonThreadPool, AssertionPool]) {
      const { pool, log } = scriptedKind(Kind);
      expect([false, null]).to.include(pool.echo);
      const lease = await pool.connect();
      pool.echo = "debug";
      expect(pool.echo).to.equal("debug");
      await lease.close();
      expect(kindsOf(log).slice(0, 2)).to.deep.equal(["being returned", "rollback on return"]);
      log.lines.length = 0;
      pool.echo = true;
      await (await pool.connect()).invalidate();
      expect(kindsOf(log)).to.deep.equal(["invalidated"]);
      log.lines.length = 0;
      for (const quiet of [false, null]) {
        pool.echo = quiet;
        await (await pool.connect()).invalidate();
        await pool.dispose();
      }
      expect(log.lines).to.deep.equal([]);
    }
  });

  test("what pool.echo cannot be is refused by its name, and nothing changes", async () => {
    const { pool } = scriptedKind(QueuePool, { echo: true });
    for (const value of ["info", 1, {}]) {
      const error = thrown(() => (pool.echo = value));
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.contain("echo").and.to.contain('"debug"');
    }
    expect(pool.echo).to.equal(true);
  });

  test("recreate() carries what echo is now, and from then on each has its own", async () => {
    const { pool } = scriptedKind(QueuePool, { echo: true });
    const again = pool.recreate();
    expect(again.echo).to.equal(true);
    again.echo = "debug";
    pool.echo = false;
    expect([pool.echo, again.echo]).to.deep.equal([false, "debug"]);
  });

  test("250 every message begins with the pool's name, after dispose() and recreate(), too", async () => {
    const context = everythingPool({ echo: "debug", loggingName: "orders" });
    await everything(context);
    const { log, pool } = context;
    const before = log.lines.length;
    await pool.use(() => {});
    await pool.recreate().use(() => {});
    expect(log.lines.length).to.be.above(before);
    for (const [level, message] of log.lines) expect(message, level).to.match(/^pool orders: \S/);
  });

  test("250 without a name of its own, every message has the name that loggingName says", async () => {
    const { pool, log } = scriptedKind(QueuePool, { echo: "debug", loggingName: undefined });
    await pool.use(() => {});
    expect(log.lines).to.have.length(4);
    for (const [, message] of log.lines)
      expect(message.startsWith(`pool ${pool.loggingName}: `), message).to.equal(true);
  });

  test("253 a failed reset is an error with the error itself, whatever echo is", async () => {
    for (const echo of [false, true, "debug"]) {
      const { pool, server, log } = scriptedKind(QueuePool, { echo });
      server.script.rollback = () => Promise.reject(gone);
      await (await pool.connect()).close();
      expect(log.errors, String(echo)).to.deep.equal([gone]);
      expect(log.of("error")[0], String(echo)).to.match(/^pool scripted: .*(rollback|reset)/);
    }
  });

  test("what is not shown is not formatted, and its logger is not called", async () => {
    let formatted = 0;
    const count = () => (formatted++, "shown");
    const connection = () => ({
      rollback() {},
      close() {},
      toString: count,
      toJSON: count,
      [Symbol.toPrimitive]: count,
      get [Symbol.toStringTag]() {
        return count();
      },
    });
    const reason = {
      toString: count,
      [Symbol.toPrimitive]: count,
      get message() {
        return count();
      },
    };
    const calls = { debug: 0, info: 0 };
    const logger = { debug: () => calls.debug++, info: () => calls.info++, warn() {}, error() {} };
    for (const echo of [false, true]) {
      const { pool } = scriptedKind(QueuePool, { echo, logger });
      const plain = new QueuePool(connection, { echo, logger, resetOnReturn: "rollback" });
      for (let round = 0; round < 100; round++) await plain.use(() => {});
      if (!echo) {
        await (await plain.connect()).invalidate(reason);
        await plain.dispose();
      }
      await pool.use(() => {});
      expect([calls.debug, formatted], String(echo)).to.deep.equal([0, 0]);
      if (!echo) expect(calls.info).to.equal(0);
    }
  });

  test('with echo "debug" each message is one call of the logger', async () => {
    let calls = 0;
    const logger = { debug: () => calls++, info() {}, warn() {}, error() {} };
    const { pool } = scriptedKind(QueuePool, { echo: "debug", logger });
    await pool.use(() => {});
    expect(calls).to.equal(4);
  });

  test("a logger that throws changes nothing", async () => {
    const bad = () => {
      throw gone;
    };
    const context = everythingPool({ echo: "debug", logger: { debug: bad, info: bad, warn: bad, error: bad } });
    await everything(context);
    await settled();
    expect(context.pool.stats()).to.include({ used: 0, total: 0 });
    expect(await context.pool.use(({ closed }) => closed)).to.equal(0);
  });

  test("a connection or an error that cannot be shown is no fault of the checkout", async () => {
    const bare = Object.assign(Object.create(null), { rollback() {}, close() {}, terminate() {} });
    const { log } = scriptedKind(QueuePool);
    const pool = new QueuePool(() => bare, { echo: "debug", logger: log, loggingName: "bare" });
    await pool.use(() => {});
    await (await pool.connect()).invalidate(Object.create(null));
    await pool.dispose();
    expect(pool.stats()).to.include({ used: 0, invalidated: 1 });
    expect(kindsOf(log, ["debug", "info"], "bare")).to.include.members(["created", "checked out", "invalidated"]);
  });
};
