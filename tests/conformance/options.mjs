// Options and arguments: what is wrong is refused at once, by name, with its value and with what is allowed; what is
// left out has its default. A constructor throws; connect(), use() and close() reject and never throw.

import { expect } from "chai";
import { ArgumentError, AsyncAdaptedQueuePool, Pool, PoolError, QueuePool } from "edgepool";
import { counts, isWorkers, rejection, scriptedPool, settled, thrown, virtualClock } from "./scripted.mjs";

class Strange {}

const create = () => ({});
const counted = "a whole number, 0 or more";
const duration = "a duration of 0 or more";

/** Each option with values that it refuses, as the error shows them, and what the error says is allowed. */
const wrongDurations = [
  [-1, "-1"],
  [-0.5, "-0.5"],
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  [-Infinity, "-Infinity"],
  ["", '""'],
  ["30", '"30"'],
  ["30 s", '"30 s"'],
  ["-1s", '"-1s"'],
  ["1d", '"1d"'],
  ["soon", '"soon"'],
  [true, "true"],
  [5n, "5n"],
  [{}, "an object (Object)"],
  [[], "an array of 0"],
  [create, "a function (create)"],
  [Symbol("s"), "Symbol(s)"],
];
const wrongCounts = [
  [-2, "-2"],
  [1.5, "1.5"],
  [NaN, "NaN"],
  [-Infinity, "-Infinity"],
  [2 ** 32, "4294967296"],
  ["5", '"5"'],
  [null, "null"],
  [true, "true"],
  [5n, "5n"],
  [{}, "an object (Object)"],
  [[5], "an array of 1"],
];
const wrongObjects = [
  [null, "null"],
  [1, "1"],
  ["pg", '"pg"'],
  [create, "a function (create)"],
];
const wrong = {
  poolSize: [counted, [...wrongCounts, [-1, "-1"], [Infinity, "Infinity"]]],
  maxOverflow: [`${counted}, or -1`, [...wrongCounts, [Infinity, "Infinity"], [-5, "-5"]]],
  maxWaiters: [`${counted}, or Infinity`, [...wrongCounts, [-1, "-1"]]],
  timeout: [duration, wrongDurations],
  driverTimeout: [duration, wrongDurations],
  deadline: [duration, wrongDurations],
  useLifo: [
    "true or false",
    [
      [1, "1"],
      [null, "null"],
      ["lifo", '"lifo"'],
    ],
  ],
  resetOnReturn: [
    '"rollback" (true), "commit", "session", or "none" (false, null)',
    [
      ["hi", '"hi"'],
      [3, "3"],
      ["NONE", '"NONE"'],
      ["Rollback", '"Rollback"'],
      [{}, "an object (Object)"],
    ],
  ],
  dialect: ["an object", wrongObjects],
  loggingName: [
    "a string, or null",
    [
      [1, "1"],
      [{}, "an object (Object)"],
      [true, "true"],
    ],
  ],
  logger: [
    "debug, info, warn and error",
    [
      ...wrongObjects,
      [{}, "an object (Object)"],
      [new Strange(), "an object (Strange)"],
      [{ debug() {}, info() {}, warn() {}, error: 1 }, "an object (Object)"],
    ],
  ],
  clock: [
    "now, setTimeout and clearTimeout",
    [...wrongObjects, [{}, "an object (Object)"], [{ now() {}, setTimeout() {} }, "an object (Object)"]],
  ],
};

/** Checks that `error` is an ArgumentError that says all of `parts`. */
function expectArgumentError(error, parts, note = "") {
  expect(error, note).to.be.instanceOf(ArgumentError).and.instanceOf(PoolError);
  expect(error, note).to.include({ code: "ERR_POOL_ARGUMENT", name: "ArgumentError" });
  for (const part of parts) expect(error.message, note).to.contain(part);
}

export default (test) => {
  for (const [option, [allowed, values]] of Object.entries(wrong)) {
    const number = option === "resetOnReturn" ? "010 " : option === "timeout" ? "047 " : "";
    test(`${number}${option} is refused where it is wrong, with its name, its value and what is allowed`, async () => {
      for (const [value, shown] of values) {
        const error = thrown(
          () =>
            new QueuePool(create, { [option]: value, ...(option === "loggingName" ? {} : { loggingName: "mine" }) }),
        );
        expectArgumentError(error, [option, allowed, `it is ${shown}`], `${option} = ${shown}`);
        if (option !== "loggingName") expect(error.pool).to.equal("mine");
      }
    });
  }

  test("a bare number that must be meant as milliseconds is refused with what to write instead", async () => {
    for (const option of ["timeout", "driverTimeout", "deadline"]) {
      expectArgumentError(
        thrown(() => new QueuePool(create, { [option]: 30_000 })),
        [option, "30000", "seconds", '"30000ms"', '"30000s"'],
      );
      expect(new QueuePool(create, { [option]: 600 })).to.be.instanceOf(QueuePool);
      expect(new QueuePool(create, { [option]: "30000s" })).to.be.instanceOf(QueuePool);
    }
  });

  test("a member of the dialect that is no function is refused by its name", async () => {
    for (const member of [
      "doRollback",
      "doCommit",
      "doResetSession",
      "doClose",
      "doTerminate",
      "doPing",
      "isDisconnect",
      "inTransaction",
      "doRefuse",
      "onDisconnect",
    ]) {
      expectArgumentError(
        thrown(() => new QueuePool(create, { dialect: { [member]: "yes" } })),
        [`dialect.${member}`, "a function or absent", '"yes"'],
      );
      expect(new QueuePool(create, { dialect: { [member]: undefined } })).to.be.instanceOf(QueuePool);
    }
  });

  test("011 an unknown option is refused by its name, with the list of those that exist", async () => {
    const error = thrown(() => new QueuePool(create, { pool_size: 7 }));
    expectArgumentError(error, [
      '"pool_size"',
      "7",
      "poolSize",
      "maxOverflow",
      "timeout",
      "useLifo",
      "maxWaiters",
      "resetOnReturn",
      "dialect",
      "driverTimeout",
      "deadline",
      "loggingName",
      "logger",
      "clock",
    ]);
    expectArgumentError(
      thrown(() => new QueuePool(create, { size: undefined })),
      ['"size"'],
    );
  });

  test("options that are no object are refused", async () => {
    for (const [options, shown] of [
      [null, "null"],
      [5, "5"],
      ["x", '"x"'],
      [[], "an array of 0"],
      [create, "a function (create)"],
    ]) {
      expectArgumentError(
        thrown(() => new QueuePool(create, options)),
        ["options of QueuePool", "an object", shown],
      );
    }
  });

  test("a creator may bring a dialect along, and the option comes before it", async () => {
    const asked = [];
    const dialectOf = (name) => ({ name, doRollback: () => void asked.push(name), doClose() {} });
    const creator = Object.assign(() => ({}), { dialect: dialectOf("creator") });
    for (const options of [{}, { dialect: dialectOf("option") }, { dialect: undefined }]) {
      const pool = new QueuePool(creator, options);
      await pool.use(() => {});
      await pool.recreate().use(() => {});
      await pool.close();
    }
    expect(asked).to.deep.equal(["creator", "creator", "option", "option", "creator", "creator"]);
    const wrong = Object.assign(() => ({}), { dialect: { doClose: 1 } });
    expect(thrown(() => new QueuePool(wrong)).message).to.match(/^dialect.doClose must be a function/);
  });

  test("a creator that is no function is refused at construction", async () => {
    for (const [creator, shown] of [
      [undefined, "undefined"],
      [null, "null"],
      [{}, "an object (Object)"],
      [Promise.resolve({}), "an object (Promise)"],
      ["postgres://", '"postgres://"'],
    ]) {
      expectArgumentError(
        thrown(() => new QueuePool(creator)),
        ["creator", "a function", shown],
      );
    }
  });

  test("a creator that returns nothing is an argument error of connect(), and the slot is free again", async () => {
    for (const [answer, shown] of [
      [undefined, "undefined"],
      [null, "null"],
      [Promise.resolve(undefined), "undefined"],
      [Promise.resolve(null), "null"],
    ]) {
      const pool = new QueuePool(() => answer, { poolSize: 1, maxOverflow: 0, clock: virtualClock().poolClock });
      expectArgumentError(await rejection(pool.connect()), [
        "creator",
        "must return a connection",
        `it returned ${shown}`,
      ]);
      expect(pool.stats()).to.include({ total: 0, openFailed: 1, opened: 0 });
    }
  });

  test("what is no nothing is a connection, whatever its type", async () => {
    for (const connection of [0, "", false, Symbol("c"), () => {}]) {
      const pool = new QueuePool(() => connection, { resetOnReturn: "none" });
      expect((await pool.connect()).connection).to.equal(connection);
    }
  });

  test("connect() and use() reject on options that are wrong, and take nothing from the pool", async () => {
    const { pool, server } = scriptedPool();
    const calls = [
      [null, ["options of connect()", "null"]],
      [7, ["options of connect()", "7"]],
      [[], ["options of connect()", "an array of 0"]],
      [{ timout: 5 }, ['"timout"', "5", "signal, timeout, deadline"]],
      [{ signal: {} }, ["signal", "an AbortSignal", "an object (Object)"]],
      [{ signal: null }, ["signal", "an AbortSignal", "null"]],
      [{ signal: new AbortController() }, ["signal", "an AbortSignal", "AbortController"]],
      [{ timeout: 30_000 }, ["timeout", "30000", '"30000ms"']],
      [{ deadline: 1000 }, ["deadline", "1000", '"1000ms"']],
      ...["timeout", "deadline"].flatMap((option) =>
        wrongDurations.map(([value, shown]) => [{ [option]: value }, [option, duration, `it is ${shown}`]]),
      ),
    ];
    for (const [options, parts] of calls) {
      const note = parts.join(" ");
      expectArgumentError(await rejection(pool.connect(options)), parts, note);
      expectArgumentError(await rejection(pool.use(() => expect.fail("must not run"), options)), parts, note);
    }
    expect(server.calls).to.deep.equal([]);
    expect(pool.stats()).to.include({ total: 0, waiting: 0, checkouts: 0 });
  });

  test("options of connect() are checked before the signal, and undefined is as good as absent", async () => {
    const { pool } = scriptedPool();
    expectArgumentError(await rejection(pool.connect({ signal: AbortSignal.abort(new Error("gone")), timeout: -1 })), [
      "timeout",
      "-1",
    ]);
    await (await pool.connect({ signal: undefined, timeout: undefined, deadline: undefined })).close();
    await (await pool.connect({})).close();
    await (await pool.connect(undefined)).close();
  });

  test("use() rejects without a function, before it checks out", async () => {
    const { pool, server } = scriptedPool();
    for (const [fn, shown] of [
      [undefined, "undefined"],
      [null, "null"],
      [{}, "an object (Object)"],
      ["select", '"select"'],
    ]) {
      expectArgumentError(await rejection(pool.use(fn)), ["use()", "a function", shown]);
    }
    expect(server.calls).to.deep.equal([]);
  });

  test("close() rejects on options that are wrong, and the pool goes on", async () => {
    const { pool } = scriptedPool();
    const calls = [
      [null, ["options of close()", "null"]],
      [7, ["options of close()", "7"]],
      [{ timout: "1s" }, ['"timout"', '"1s"', "timeout"]],
      [{ timeout: null }, ["timeout", duration, "it is null"]],
      [{ timeout: 10_000 }, ["timeout", "10000", '"10000ms"']],
      ...wrongDurations.map(([value, shown]) => [{ timeout: value }, ["timeout", duration, `it is ${shown}`]]),
    ];
    for (const [options, parts] of calls) {
      const note = parts.join(" ");
      expectArgumentError(await rejection(pool.close(options)), parts, note);
    }
    expect(pool.closed).to.equal(false);
    await pool.use(() => {});
    await pool.close({ timeout: undefined });
    expect(pool.closed).to.equal(true);
  });

  test("003 the defaults are those of the documentation", async () => {
    const { pool, server } = scriptedPool({ loggingName: undefined });
    expect(counts(pool)).to.deep.equal([5, 0, -5, 0]);
    expect(pool.stats().max).to.equal(15);
    expect(pool.timeout()).to.equal(30);
    expect(pool.loggingName).to.be.a("string").and.not.equal("");
    // In order of return, and rolled back.
    const [a, b] = [await pool.connect(), await pool.connect()];
    await b.close();
    await a.close();
    expect(server.calls).to.deep.equal(["open", "open", "rollback 2", "rollback 1"]);
    expect((await pool.connect()).connection.id).to.equal(2);
  });

  test("names that the pool makes itself differ", async () => {
    expect(new QueuePool(create).loggingName).to.not.equal(new QueuePool(create).loggingName);
    expect(new QueuePool(create, { loggingName: null }).loggingName).to.not.equal("null");
    expect(new QueuePool(create, { loggingName: "mine" }).loggingName).to.equal("mine");
  });

  test("an option that is undefined has its default", async () => {
    const options = Object.fromEntries(Object.keys(wrong).map((option) => [option, undefined]));
    const pool = new QueuePool(create, options);
    expect(counts(pool)).to.deep.equal([5, 0, -5, 0]);
    expect(pool.timeout()).to.equal(30);
    // A request in Workers opens none beyond poolSize.
    expect(pool.stats().max).to.equal(isWorkers ? 5 : 15);
  });

  test("durations are seconds as bare numbers and carry their unit as strings", async () => {
    for (const [timeout, seconds] of [
      [0, 0],
      [0.25, 0.25],
      [30, 30],
      ["500ms", 0.5],
      ["1.5s", 1.5],
      ["5m", 300],
      ["1h", 3600],
      [null, null],
    ]) {
      expect(new QueuePool(create, { timeout }).timeout(), String(timeout)).to.equal(seconds);
    }
  });

  test("009 each way to write resetOnReturn means what it says", async () => {
    const expected = [
      ["rollback", ["rollback 1"]],
      [true, ["rollback 1"]],
      ["commit", ["commit 1"]],
      [null, []],
      [false, []],
      ["none", []],
      [undefined, ["rollback 1"]],
    ];
    for (const [resetOnReturn, calls] of expected) {
      const { pool, server } = scriptedPool({ resetOnReturn });
      await (await pool.connect()).close();
      expect(server.calls.slice(1), String(resetOnReturn)).to.deep.equal(calls);
    }
  });

  test("001 a creator that throws is not called by the constructor, dispose() or recreate()", async () => {
    let calls = 0;
    const pool = new QueuePool(() => {
      calls++;
      throw new Error("down");
    });
    await pool.dispose();
    const again = pool.recreate();
    expect(again).to.be.instanceOf(QueuePool).and.not.equal(pool);
    expect(calls).to.equal(0);
  });

  test("002 after a use, dispose() and recreate() call no creator either", async () => {
    const { pool, server } = scriptedPool();
    await (await pool.connect()).close();
    server.script.open = () => {
      throw new Error("down");
    };
    await pool.dispose();
    expect(pool.recreate()).to.be.instanceOf(QueuePool);
    await settled();
    expect(server.calls.filter((call) => call === "open")).to.have.length(1);
  });

  test("006 recreate() carries size, overflow and reset", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "none", timeout: "3s" });
    const again = pool.recreate();
    expect(again.size()).to.equal(1);
    expect(again.stats().max).to.equal(1);
    expect(again.timeout()).to.equal(3);
    expect(again.loggingName).to.equal("scripted");
    await (await again.connect()).close();
    expect(server.calls).to.deep.equal(["open"]);
  });

  test("changing the options object afterwards changes neither the pool nor its recreation", async () => {
    const options = { poolSize: 2, maxOverflow: 0 };
    const pool = new QueuePool(create, options);
    options.poolSize = 9;
    options.nonsense = true;
    expect(pool.size()).to.equal(2);
    expect(pool.recreate().size()).to.equal(2);
  });

  test("019 the abstract base is no pool", async () => {
    expect(thrown(() => new Pool(create, {}))).to.be.instanceOf(Error);
  });

  test("AsyncAdaptedQueuePool is QueuePool under SQLAlchemy's name", async () => {
    expect(AsyncAdaptedQueuePool).to.equal(QueuePool);
    expect(new AsyncAdaptedQueuePool(create)).to.be.instanceOf(Pool);
  });

  test("options are read by name, whether they are own properties, accessors of a class, or inherited", () => {
    class Config {
      #size = 3;
      get poolSize() {
        return this.#size;
      }
      get maxOverflow() {
        return 0;
      }
    }
    class Longer extends Config {
      timeout = "7s";
    }
    for (const options of [new Longer(), Object.create({ poolSize: 3, maxOverflow: 0, timeout: "7s" })]) {
      const pool = new QueuePool(() => ({}), options);
      expect([pool.size(), pool.stats().max, pool.timeout()]).to.deep.equal([3, 3, 7]);
      expect(pool.recreate().stats().max).to.equal(3);
    }
    class Wrong {
      get poolSize() {
        return -1;
      }
    }
    expect(thrown(() => new QueuePool(() => ({}), new Wrong())).message).to.include("poolSize must be");
  });
};
