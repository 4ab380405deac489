// The values of the options of pings, ages, listeners, logging, leaks, idling and opening: good ones are taken, wrong
// ones are refused at construction, by name, with the value and with what is allowed.

import { expect } from "chai";
import {
  ArgumentError,
  AssertionPool,
  NullPool,
  PoolError,
  QueuePool,
  SingletonThreadPool,
  StaticPool,
} from "edgepool";
import { thrown } from "./scripted.mjs";
import { scriptedKind } from "./scripted-kind.mjs";

const create = () => ({ close() {} });
const listener = () => {};
const canPing = { doPing: () => true };

const wrongDurations = [
  [-2, "-2"],
  [-0.5, "-0.5"],
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  ["", '""'],
  ["30", '"30"'],
  ["30 s", '"30 s"'],
  ["-1s", '"-1s"'],
  ["1d", '"1d"'],
  [true, "true"],
  [5n, "5n"],
  [{}, "an object (Object)"],
  [[], "an array of 0"],
  [create, "a function (create)"],
];
const wrongCounts = [
  [-1, "-1"],
  [1.5, "1.5"],
  [NaN, "NaN"],
  [2 ** 32, "4294967296"],
  ["5", '"5"'],
  [null, "null"],
  [true, "true"],
  [5n, "5n"],
  [{}, "an object (Object)"],
];
const wrongFlags = [
  [1, "1"],
  [0, "0"],
  [null, "null"],
  ["yes", '"yes"'],
  ["true", '"true"'],
  [{}, "an object (Object)"],
];
const goodDurations = [0, 0.25, 30, 600, "0s", "500ms", "1.5s", "5m", "1h", "100000s"];

const every = { QueuePool, NullPool, StaticPool, SingletonThreadPool, AssertionPool };
const lending = { QueuePool, NullPool, AssertionPool };
const queueOnly = { QueuePool };

/**
 * Each option: whose it is, what it takes, what it refuses (value, as it is shown), and what its error says is allowed.
 */
const options = {
  recycle: {
    kinds: every,
    good: [-1, ...goodDurations, 86_400],
    wrong: [...wrongDurations, [null, "null"]],
    allowed: ["a duration", "-1"],
  },
  maxAge: {
    kinds: every,
    good: [0.25, 30, 600, 86_400, "500ms", "1.5s", "5m", "1h", "100000s"],
    wrong: [...wrongDurations, [0, "0"], ["0s", '"0s"'], [-1, "-1"], [null, "null"]],
    allowed: ["a duration above 0"],
  },
  recycleJitter: {
    kinds: every,
    good: [0, 0.1, 1],
    wrong: [
      [-0.1, "-0.1"],
      [1.1, "1.1"],
      [NaN, "NaN"],
      [Infinity, "Infinity"],
      ["0.1", '"0.1"'],
      [null, "null"],
      [true, "true"],
      [{}, "an object (Object)"],
    ],
    allowed: ["0", "1"],
  },
  prePing: {
    kinds: every,
    good: [true, false],
    wrong: wrongFlags,
    allowed: ["true or false"],
    with: { dialect: canPing },
  },
  prePingAfterIdle: {
    kinds: every,
    good: goodDurations,
    wrong: [...wrongDurations, [-1, "-1"], [null, "null"]],
    allowed: ["a duration of 0 or more"],
  },
  pingTimeout: {
    kinds: every,
    good: [null, ...goodDurations],
    wrong: [...wrongDurations, [-1, "-1"]],
    allowed: ["a duration of 0 or more", "null"],
  },
  echo: {
    kinds: every,
    good: [true, false, null, "debug"],
    wrong: [
      [1, "1"],
      ["info", '"info"'],
      ["DEBUG", '"DEBUG"'],
      ["", '""'],
      [{}, "an object (Object)"],
    ],
    allowed: ["true", "false", '"debug"'],
  },
  guard: {
    kinds: every,
    good: [true, false],
    wrong: [
      [1, "1"],
      [null, "null"],
      ["yes", '"yes"'],
    ],
    allowed: ["true or false"],
  },
  trackLeaks: {
    kinds: every,
    good: [true, false, "stack"],
    wrong: [
      [1, "1"],
      [null, "null"],
      ["yes", '"yes"'],
      ["STACK", '"STACK"'],
      [{}, "an object (Object)"],
    ],
    allowed: ["true", "false", '"stack"'],
  },
  idleTimeout: {
    kinds: queueOnly,
    good: [null, 1, 7_200, "500ms", "3h", "10000s"],
    wrong: [...wrongDurations, [-1, "-1"]],
    allowed: ["a duration", "null"],
  },
  holdLimit: {
    kinds: lending,
    good: goodDurations,
    wrong: [...wrongDurations, [-1, "-1"], [null, "null"]],
    allowed: ["a duration"],
  },
  onHoldLimit: {
    kinds: lending,
    good: ["report", "terminate"],
    wrong: [
      ["kill", '"kill"'],
      [true, "true"],
      [null, "null"],
      [1, "1"],
    ],
    allowed: ['"report"', '"terminate"'],
  },
  minIdle: {
    kinds: queueOnly,
    good: [0, 1, 5],
    wrong: [...wrongCounts, [Infinity, "Infinity"]],
    allowed: ["a whole number, 0 or more"],
  },
  maxUses: {
    kinds: queueOnly,
    good: [1, 1000, Infinity],
    wrong: [...wrongCounts, [0, "0"]],
    allowed: ["a whole number, 1 or more", "Infinity"],
  },
  maxConnecting: {
    kinds: queueOnly,
    good: [1, 5, Infinity],
    wrong: [...wrongCounts, [0, "0"]],
    allowed: ["a whole number, 1 or more", "Infinity"],
  },
  storeTraceback: { kinds: { AssertionPool }, good: [true, false], wrong: wrongFlags, allowed: ["true or false"] },
  poolSize: {
    kinds: { SingletonThreadPool },
    good: [1, 5, 1000],
    wrong: [...wrongCounts, [0, "0"], [Infinity, "Infinity"]],
    allowed: ["a whole number, 1 or more"],
  },
};

function expectArgumentError(error, parts, note) {
  expect(error, note).to.be.instanceOf(ArgumentError).and.instanceOf(PoolError);
  expect(error, note).to.include({ code: "ERR_POOL_ARGUMENT", name: "ArgumentError" });
  for (const part of parts) expect(error.message, note).to.contain(part);
}

export default (test) => {
  for (const [option, { kinds, good, wrong, allowed, with: others }] of Object.entries(options)) {
    for (const [name, Kind] of Object.entries(kinds)) {
      test(`${option} of ${name} takes each of its values, in recreate(), too`, async () => {
        for (const value of [...good, undefined]) {
          const pool = new Kind(create, { ...others, [option]: value });
          expect(pool.recreate(), String(value)).to.be.instanceOf(Kind);
        }
      });

      test(`a wrong ${option} of ${name} is refused with its name, its value and what is allowed`, async () => {
        for (const [value, shown] of wrong) {
          const note = `${option} = ${shown}`;
          const error = thrown(() => new Kind(create, { ...others, [option]: value, loggingName: "mine" }));
          expectArgumentError(error, [option, ...allowed, `it is ${shown}`], note);
          expect(error.pool, note).to.equal("mine");
        }
      });
    }
  }

  test("a bare number that must mean milliseconds is refused with what to write instead", async () => {
    const limits = {
      pingTimeout: 600,
      timeout: 600,
      driverTimeout: 600,
      deadline: 600,
      idleTimeout: 7_200,
      recycle: 86_400,
      maxAge: 86_400,
    };
    for (const [option, longest] of Object.entries(limits)) {
      expect(new QueuePool(create, { [option]: longest }), option).to.be.instanceOf(QueuePool);
      for (const value of [longest + 1, longest * 1_000]) {
        const error = thrown(() => new QueuePool(create, { [option]: value }));
        expectArgumentError(error, [option, String(value), "seconds", `"${value}ms"`, `"${value}s"`], option);
        expect(new QueuePool(create, { [option]: `${value}s` }), option).to.be.instanceOf(QueuePool);
        expect(new QueuePool(create, { [option]: `${value}ms` }), option).to.be.instanceOf(QueuePool);
      }
    }
  });

  test("the kinds refuse what is wrong in the options that all have", async () => {
    const wrongBase = {
      resetOnReturn: "hi",
      dialect: 1,
      driverTimeout: -1,
      deadline: "soon",
      loggingName: 5,
      logger: {},
      clock: {},
    };
    for (const [name, Kind] of Object.entries(every)) {
      for (const [option, value] of Object.entries(wrongBase)) {
        expectArgumentError(
          thrown(() => new Kind(create, { [option]: value })),
          [option],
          `${name} ${option}`,
        );
      }
      expectArgumentError(
        thrown(() => new Kind("postgres://")),
        ["creator", '"postgres://"'],
        name,
      );
      expectArgumentError(
        thrown(() => new Kind(create, null)),
        [name, "null"],
        name,
      );
    }
  });

  test("prePing wants a dialect that can ping, whatever else the dialect can", async () => {
    for (const dialect of [undefined, {}, { doRollback() {} }]) {
      for (const Kind of [QueuePool, StaticPool, SingletonThreadPool, AssertionPool]) {
        expectArgumentError(
          thrown(() => new Kind(create, { prePing: true, dialect })),
          ["prePing", "doPing"],
        );
        expect(new Kind(create, { prePing: false, dialect })).to.be.instanceOf(Kind);
      }
      expect(new NullPool(create, { prePing: true, dialect })).to.be.instanceOf(NullPool);
    }
  });

  test('resetOnReturn "session" wants a dialect that can reset a session, in every kind of pool', () => {
    for (const dialect of [undefined, {}, { doRollback() {} }]) {
      for (const Kind of Object.values(every)) {
        expectArgumentError(
          thrown(() => new Kind(create, { resetOnReturn: "session", dialect })),
          ["resetOnReturn", "doResetSession"],
        );
      }
    }
    for (const Kind of Object.values(every))
      expect(new Kind(create, { resetOnReturn: "session", dialect: { doResetSession() {} } })).to.be.instanceOf(Kind);
  });

  test("events are taken as an object of functions and lists, or as pairs; empty, too", async () => {
    const good = [
      {},
      [],
      { connect: listener },
      { connect: [listener], checkout: [listener, () => {}], error: undefined },
      { checkin: [] },
      [
        [listener, "connect"],
        [listener, "reset"],
      ],
      undefined,
    ];
    for (const events of good) {
      for (const Kind of Object.values(every)) expect(new Kind(create, { events })).to.be.instanceOf(Kind);
    }
  });

  test("a dialect that is a module, or has a misspelt member, is refused by that name", () => {
    const dialect = { doRollback() {} };
    for (const [wrong, name] of [
      [{ default: dialect, pg: dialect }, "default"],
      [{ ...dialect, doclose() {} }, "doclose"],
      [{ do_rollback() {} }, "do_rollback"],
      [{ ...dialect, keeps_slot_until_closed: true }, "keeps_slot_until_closed"],
    ]) {
      const error = thrown(() => new QueuePool(() => ({}), { dialect: wrong }));
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.contain(`"${name}"`).and.to.contain("doRollback").and.to.contain("guarded");
    }
    const values = [{ name: "mine" }, { keepsSlotUntilClosed: true }, { guarded: [] }, { guarded: () => true }];
    for (const right of [{}, ...values, dialect, { ...dialect, cache: new Map() }])
      expect(() => new QueuePool(() => ({}), { dialect: right })).not.to.throw();
    for (const guarded of ["query", ["query", 7], {}]) {
      expectArgumentError(
        thrown(() => new QueuePool(() => ({}), { dialect: { guarded } })),
        ["dialect.guarded", "an array of names, a function"],
      );
    }
    expectArgumentError(
      thrown(() => new QueuePool(() => ({}), { dialect: { keepsSlotUntilClosed: "yes" } })),
      ["dialect.keepsSlotUntilClosed", "true, false", '"yes"'],
    );
  });

  test("events that are none are refused by name", async () => {
    const wrong = [
      [null, ["events", "null"]],
      [5, ["events", "5"]],
      ["connect", ["events", '"connect"']],
      [listener, ["events", "a function (listener)"]],
      [{ conect: listener }, ['"conect"', "connect", "checkout"]],
      [{ first_connect: listener }, ['"first_connect"', "firstConnect"]],
      [{ connect: 5 }, ["connect", "5", "function"]],
      [{ connect: [listener, null] }, ["connect", "null", "function"]],
      [[listener], ["events", "a function (listener)"]],
      [[[listener]], ["events", "undefined"]],
      [[[listener, "conect"]], ['"conect"', "connect", "checkout"]],
      [[["connect", listener]], ["connect"]],
      [[["connect", "connect"]], ["connect", "function"]],
    ];
    for (const Kind of [QueuePool, StaticPool]) {
      for (const [events, parts] of wrong)
        expectArgumentError(
          thrown(() => new Kind(create, { events })),
          parts,
          parts.join(" "),
        );
    }
  });

  test("018 events given as pairs are registered in their order, on their events", async () => {
    for (const Kind of Object.values(every)) {
      const heard = [];
      const [f, g, h] = ["f", "g", "h"].map((name) => () => void heard.push(name));
      const { pool } = scriptedKind(Kind, {
        events: [
          [f, "checkout"],
          [g, "connect"],
          [h, "checkout"],
        ],
      });
      await pool.use(() => {});
      expect(heard).to.deep.equal(["g", "f", "h"]);
    }
  });

  test("events given as an object are registered in their order, and may be removed", async () => {
    const heard = [];
    const [f, g, h] = ["f", "g", "h"].map((name) => () => void heard.push(name));
    const { pool } = scriptedKind(QueuePool, { events: { checkout: [f, h], connect: g } });
    await pool.use(() => {});
    expect(heard.splice(0)).to.deep.equal(["g", "f", "h"]);
    expect([pool.off("checkout", f), pool.off("checkout", f)]).to.deep.equal([true, false]);
    await pool.use(() => {});
    expect(heard).to.deep.equal(["h"]);
  });

  test("changing the events afterwards changes neither the pool nor its recreation", async () => {
    const heard = [];
    const checkout = [() => void heard.push("first")];
    const events = { checkout };
    const { pool } = scriptedKind(QueuePool, { events });
    checkout.push(() => void heard.push("later"));
    events.checkin = () => void heard.push("later");
    await pool.use(() => {});
    await pool.recreate().use(() => {});
    expect(heard).to.deep.equal(["first", "first"]);
  });
};
