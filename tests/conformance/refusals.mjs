// What the error of a refused caller shows: the stack of the caller, and whether it holds a connection already.

import { expect } from "chai";
import { PoolClosedError, PoolTimeoutError } from "edgepool";
import { connects, gate, never, pass, rejection, scriptedPool, settled } from "./scripted.mjs";

/** Whether the host's stacks show a handler the functions that await what follows it, as those of V8 do. */
const showsAwaiting = await (async function awaitingFunction() {
  const { captureStackTrace } = Error;
  const holder = { stack: "" };
  const first = Promise.resolve().then(() => {});
  await first.then(() => captureStackTrace?.(holder));
  return String(holder.stack).includes("awaitingFunction");
})();

/** Two callers that await the pool, each in a function of its own name. */
const callers = {
  async connectingHandler(pool, options) {
    await pool.connect(options);
  },
  async usingHandler(pool, options) {
    await pool.use(() => {}, options);
  },
};

/** What refuses a caller that is suspended: brings it about, and returns the error. */
const refusals = {
  "in the queue": async (call) => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s" });
    await pool.connect();
    const refused = rejection(call(pool));
    await pass(clock, 1_100);
    return refused;
  },
  "in the queue, by its deadline": async (call) => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await pool.connect();
    const refused = rejection(call(pool, { deadline: "1s", signal: new AbortController().signal }));
    await pass(clock, 1_100);
    return refused;
  },
  "by close()": async (call) => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await pool.connect();
    const refused = rejection(call(pool));
    await settled();
    void pool.close();
    return refused;
  },
  "while its connection opens": async (call) => {
    const { pool, clock, server } = scriptedPool({ driverTimeout: "1s" });
    server.script.open = never;
    const refused = rejection(call(pool));
    await pass(clock, 1_100);
    return refused;
  },
  "while its connection is pinged": async (call) => {
    const { pool, clock } = scriptedPool({ prePing: true, dialect: { doPing: never } });
    await pool.use(() => {});
    const refused = rejection(call(pool, { deadline: "1s" }));
    await pass(clock, 1_100);
    return refused;
  },
  "while a listener runs": async (call) => {
    const { pool, clock } = scriptedPool({ driverTimeout: "1s" });
    pool.on("checkout", never);
    const refused = rejection(call(pool));
    await pass(clock, 1_100);
    return refused;
  },
};

/** A full pool of one on which a caller in this place waits until its time is over. */
async function refusedInside(place, options = {}) {
  const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s", ...options });
  const refused = rejection(place(pool));
  await pass(clock, 1_100);
  return refused;
}

async function atDepth(depth, run) {
  await null;
  return depth === 0 ? await run() : await atDepth(depth - 1, run);
}

const saysNested = (error) => {
  expect(error).to.be.instanceOf(PoolTimeoutError);
  return error.message.includes("it holds one connection already (nested use)");
};

export default (test) => {
  for (const [when, refuse] of Object.entries(refusals)) {
    test(`the stack of a caller that is refused ${when} names the functions that await it`, async () => {
      for (const [name, call] of Object.entries(callers)) {
        const error = await refuse(call);
        expect(error).to.be.instanceOf(when === "by close()" ? PoolClosedError : PoolTimeoutError);
        expect(error.stack.includes(name), `${name} in ${error.stack}`).to.equal(showsAwaiting);
        if (showsAwaiting) expect(error.stack).to.contain(`${error.name}: ${error.message}`);
      }
    });
  }

  test('with trackLeaks: "stack" it is the stack of the call, also of a caller that awaits nothing', async () => {
    for (const call of [
      function plainConnect(pool) {
        return pool.connect().then(() => {});
      },
      function plainUse(pool) {
        return pool.use(() => {}).then(() => {});
      },
    ]) {
      const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s", trackLeaks: "stack" });
      await pool.connect();
      const refused = rejection(call(pool));
      await pass(clock, 1_100);
      const { stack, name, message } = await refused;
      expect(stack).to.contain(call.name);
      if (showsAwaiting) expect(stack).to.contain(`${name}: ${message}`);
    }
  });

  test("a caller that is refused at once has the stack of its call", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, maxWaiters: 0 });
    await pool.connect();
    function plainHandler() {
      return pool.connect().then(() => {});
    }
    const error = await rejection(plainHandler());
    expect(error.code).to.equal("ERR_POOL_QUEUE_FULL");
    expect(error.stack).to.contain("plainHandler");
  });

  test("thousands of callers that are refused together have their own stacks and are refused in order", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s" });
    await pool.connect();
    const order = [];
    const handlers = Array.from({ length: 2_000 }, (_, number) => {
      const name = `handler${number}End`;
      const { [name]: handler } = {
        async [name]() {
          await pool.connect(number % 2 === 0 ? undefined : { signal: new AbortController().signal });
        },
      };
      return handler().catch((error) => {
        order.push(number);
        return error.stack.includes(name);
      });
    });
    await pass(clock, 1_100);
    expect(new Set(await Promise.all(handlers))).to.deep.equal(new Set([showsAwaiting]));
    expect(order).to.deep.equal(order.toSorted((one, other) => one - other));
  });

  test("an error of the creator keeps its stack, also if it is a refusal of another pool", async () => {
    const { pool, server } = scriptedPool();
    const foreign = await refusals["by close()"](callers.connectingHandler);
    const { stack } = foreign;
    const opening = gate();
    server.script.open = () => opening.promise;
    const refused = rejection(callers.usingHandler(pool));
    await settled();
    opening.fail(foreign);
    expect(await refused).to.equal(foreign);
    expect(foreign.stack).to.equal(stack);
  });

  const nestings = {
    "use() in use()": (pool) => pool.use(() => pool.use(() => {})),
    "use() in use(), after a pause": (pool) => pool.use(async () => (await null, pool.use(() => {}))),
    "connect() in use()": (pool) => pool.use(async () => void (await (await pool.connect()).close())),
    "one of several in use()": (pool) => pool.use(async () => void (await Promise.all([pool.use(() => {}), null]))),
    "far down in use()": (pool) => pool.use(() => atDepth(30, () => pool.use(() => {}))),
  };
  for (const [nesting, run] of Object.entries(nestings)) {
    test(`a time-out in the queue says that the caller holds a connection: ${nesting}`, async () => {
      const error = await refusedInside(run);
      expect(saysNested(error)).to.equal(showsAwaiting);
      if (showsAwaiting) expect(error.stack).to.contain(error.message);
      const limit = Error.stackTraceLimit;
      expect(saysNested(await refusedInside(run, { trackLeaks: "stack" }))).to.equal(showsAwaiting);
      expect(Error.stackTraceLimit).to.equal(limit);
    });
  }

  test("it does not say so of a caller that holds none", async () => {
    for (const trackLeaks of [true, "stack"]) {
      const { pool, clock } = scriptedPool({ poolSize: 2, maxOverflow: 0, timeout: "1s", trackLeaks });
      await pool.use(() => {});
      await connects(pool, 2);
      const other = scriptedPool().pool;
      const calls = [
        () => pool.use(() => {}),
        () => pool.connect(),
        () => other.use(() => pool.use(() => {})),
        async () => void (await other.use(async () => await pool.connect())),
      ];
      const refused = calls.map((call) => rejection(call()));
      await pass(clock, 1_100);
      for (const error of await Promise.all(refused)) expect(saysNested(error)).to.equal(false);
    }
  });

  test("a program's prepareStackTrace costs no caller its refusal", async () => {
    const { prepareStackTrace } = Error;
    for (const prepare of [
      () => {
        throw new Error("prepare");
      },
      (_, sites) => sites,
    ]) {
      try {
        Error.prepareStackTrace = prepare;
        expect((await refusedInside(nestings["use() in use()"])).code).to.equal("ERR_POOL_TIMEOUT");
      } finally {
        Error.prepareStackTrace = prepareStackTrace;
      }
    }
  });
};
