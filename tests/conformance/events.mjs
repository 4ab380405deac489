// Listeners: how they are registered and removed, in which order they run, how they are awaited, and that none of them
// can lose a slot by failing.

import { expect } from "chai";
import { ArgumentError, NullPool, Pool, PoolTimeoutError, QueuePool, listen } from "edgepool";
import {
  connects,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
  thrown,
} from "./scripted.mjs";
import { cycle, onePool, thrower, tracedPool } from "./tracing.mjs";

/** Listeners that note their names. */
function namedListeners() {
  const called = [];
  const named = (name) => () => void called.push(name);
  return { called, named };
}

/** Runs `body` and takes away every class listener that it made through `on`, whatever happens. */
async function withClassListeners(body) {
  const removers = [];
  const on = (...given) => {
    const remove = listen(...given);
    removers.push(remove);
    return remove;
  };
  try {
    await body(on);
  } finally {
    for (const remove of removers) remove();
  }
}

const nullPool = () => new NullPool(() => ({ close() {}, rollback() {} }));

/** How to bring each event about whose listeners are not to change anything. */
const provocations = {
  checkin: (pool) => cycle(pool),
  invalidate: async (pool) => (await pool.connect()).invalidate(),
  softInvalidate: async (pool) => {
    const lease = await pool.connect();
    await lease.invalidate(undefined, { soft: true });
    await lease.close();
  },
  "close event": async (pool) => {
    await cycle(pool);
    await pool.dispose();
  },
  detach: async (pool) => {
    const lease = await pool.connect();
    await lease.detach();
    await lease.close();
  },
  closeDetached: async (pool) => {
    const lease = await pool.connect();
    await lease.detach();
    await lease.close();
  },
};

const failures = { throws: thrower, rejects: (error) => () => Promise.reject(error) };

export default (test) => {
  test("a listener is called each time with the event's arguments, until off() takes it away", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const calls = [];
    const listener = (...given) => void calls.push(given);
    pool.on("checkout", listener);
    const lease = await pool.connect();
    expect(calls).to.have.length(1);
    expect(calls[0]).to.have.length(3);
    expect(calls[0][0]).to.equal(server.connections[0]);
    expect(calls[0][1]).to.equal(lease.record);
    expect(calls[0][2]).to.equal(lease);
    await lease.close();
    await cycle(pool);
    expect(calls).to.have.length(2);
    expect(pool.off("checkout", listener)).to.equal(true);
    await cycle(pool);
    expect(calls).to.have.length(2);
  });

  test("off() says whether the listener was there", () => {
    const { pool } = scriptedPool();
    const listener = () => {};
    expect(pool.off("connect", listener)).to.equal(false);
    pool.on("connect", listener);
    expect(pool.off("checkout", listener)).to.equal(false);
    expect(pool.off("connect", listener)).to.equal(true);
    expect(pool.off("connect", listener)).to.equal(false);
  });

  test("the function that on() returns removes the listener, and does nothing when called again", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const remove = pool.on("checkout", named("a"));
    pool.on("checkout", named("b"));
    expect(remove()).to.equal(undefined);
    remove();
    await cycle(pool);
    expect(called).to.deep.equal(["b"]);
  });

  test("239 the same function twice on the same event of the same pool is called once", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const listener = named("same");
    pool.on("checkout", listener);
    pool.on("checkout", listener);
    listen(pool, "checkout", listener);
    await cycle(pool);
    expect(called).to.deep.equal(["same"]);
    expect(pool.off("checkout", listener)).to.equal(true);
    await cycle(pool);
    expect(called).to.deep.equal(["same"]);
  });

  test("the same function on two events is registered for each of them", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const listener = named("same");
    pool.on("checkout", listener);
    pool.on("connect", listener);
    await cycle(pool);
    expect(called).to.deep.equal(["same", "same"]);
    pool.off("connect", listener);
    await cycle(pool);
    expect(called).to.deep.equal(["same", "same", "same"]);
  });

  test("listeners run in the order of their registration, inserted ones in front", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    pool.on("checkin", named("a"));
    pool.on("checkin", named("b"));
    pool.on("checkin", named("c"), { insert: true });
    pool.on("checkin", named("d"), { insert: true });
    pool.on("checkin", named("e"), { insert: false });
    await cycle(pool);
    expect(called).to.deep.equal(["d", "c", "a", "b", "e"]);
  });

  test("241 a listener that is asked for once is called for the first firing only", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    pool.on("checkout", named("once"), { once: true });
    pool.on("checkout", named("always"));
    await cycle(pool);
    await cycle(pool);
    expect(called).to.deep.equal(["once", "always", "always"]);
  });

  test("once: it is removed before it runs, so that a firing that overlaps does not call it again", async () => {
    const { pool } = scriptedPool();
    const running = gate();
    let calls = 0;
    let there;
    const listener = () => {
      calls++;
      there = pool.off("checkout", listener);
      return running.promise;
    };
    pool.on("checkout", listener, { once: true });
    const first = pool.connect();
    await (await pool.connect()).close();
    expect([calls, there]).to.deep.equal([1, false]);
    expect(await stateOf(first)).to.equal("pending");
    running.open();
    await (await first).close();
  });

  test("247 a listener that is asked for once and throws is gone as well", async () => {
    const { pool } = scriptedPool();
    const failure = new Error("once");
    pool.on("checkout", thrower(failure), { once: true });
    expect(await rejection(pool.connect())).to.equal(failure);
    expect((await pool.connect()).isValid).to.equal(true);
  });

  test("once: it can be taken away before it was called", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const byFunction = named("off");
    pool.on("checkout", named("remove"), { once: true })();
    pool.on("checkout", byFunction, { once: true });
    expect(pool.off("checkout", byFunction)).to.equal(true);
    await cycle(pool);
    expect(called).to.deep.equal([]);
  });

  test("243 a listener that is added while its event fires is called from the next firing on", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const [late, front] = [named("late"), named("front")];
    pool.on("checkout", () => {
      called.push("first");
      pool.on("checkout", late);
      pool.on("checkout", front, { insert: true });
    });
    await cycle(pool);
    expect(called).to.deep.equal(["first"]);
    await cycle(pool);
    expect(called).to.deep.equal(["first", "front", "first", "late"]);
  });

  test("243 a listener that is removed while its event fires is called this time, and then no more", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const second = named("second");
    pool.on("checkout", () => {
      called.push("first");
      pool.off("checkout", second);
    });
    pool.on("checkout", second);
    await cycle(pool);
    await cycle(pool);
    expect(called).to.deep.equal(["first", "second", "first"]);
  });

  test("the listeners of a firing are those of its beginning, however long one of them takes", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const running = gate();
    const second = named("second");
    pool.on("checkout", () => (called.push("slow"), running.promise));
    pool.on("checkout", second);
    const caller = pool.connect();
    pool.off("checkout", second);
    pool.on("checkout", named("late"));
    running.open();
    await caller;
    expect(called).to.deep.equal(["slow", "second"]);
  });

  test("237 a pool calls the listeners of its own class and of the base, not those of another class", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      on(Pool, "checkout", named("base"));
      on(QueuePool, "checkout", named("queue"));
      on(NullPool, "checkout", named("null"));
      await cycle(scriptedPool().pool);
      expect(called).to.deep.equal(["base", "queue"]);
      called.length = 0;
      await cycle(nullPool());
      expect(called).to.deep.equal(["base", "null"]);
    });
  });

  test("a listener of a class is called by the pools made before it and after it, until it is removed", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      const before = scriptedPool().pool;
      const remove = on(QueuePool, "checkout", named("class"));
      const after = scriptedPool().pool;
      await cycle(before);
      await cycle(after);
      expect(called).to.deep.equal(["class", "class"]);
      remove();
      await cycle(before);
      await cycle(after);
      await cycle(scriptedPool().pool);
      expect(called).to.deep.equal(["class", "class"]);
    });
  });

  test("a listener of a class is also called by a pool that has already run without one", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      const { pool } = scriptedPool();
      await cycle(pool);
      on(Pool, "checkout", named("class"));
      await cycle(pool);
      expect(called).to.deep.equal(["class"]);
    });
  });

  test("238 class listeners run first, base and class in the order of registration, then the pool's", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      const { pool } = scriptedPool({ events: { checkout: named("events") } });
      pool.on("checkout", named("own"));
      on(QueuePool, "checkout", named("class 1"));
      on(Pool, "checkout", named("base 1"));
      on(QueuePool, "checkout", named("class 2"));
      await cycle(pool);
      expect(called).to.deep.equal(["class 1", "base 1", "class 2", "events", "own"]);
    });
  });

  test("inserted listeners go to the front of their level: of the classes' or of the pool's", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      const { pool } = scriptedPool();
      pool.on("checkout", named("own"));
      pool.on("checkout", named("own, inserted"), { insert: true });
      on(QueuePool, "checkout", named("class"));
      on(Pool, "checkout", named("base, inserted"), { insert: true });
      await cycle(pool);
      expect(called).to.deep.equal(["base, inserted", "class", "own, inserted", "own"]);
    });
  });

  test("a class listener that is asked for once is called once among all pools", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      on(QueuePool, "checkout", named("once"), { once: true });
      await cycle(scriptedPool().pool);
      await cycle(scriptedPool().pool);
      expect(called).to.deep.equal(["once"]);
    });
  });

  test("off() of a pool takes away what was registered on the pool, not on its class", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      const listener = named("class");
      on(QueuePool, "checkout", listener);
      const { pool } = scriptedPool();
      expect(pool.off("checkout", listener)).to.equal(false);
      await cycle(pool);
      expect(called).to.deep.equal(["class"]);
    });
  });

  test("the same function twice on a class is called once", async () => {
    await withClassListeners(async (on) => {
      const { called, named } = namedListeners();
      const listener = named("class");
      on(QueuePool, "checkout", listener);
      on(QueuePool, "checkout", listener);
      await cycle(scriptedPool().pool);
      expect(called).to.deep.equal(["class"]);
    });
  });

  test("listen() on a pool is its on()", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const listener = named("b");
    pool.on("checkout", named("a"));
    listen(pool, "checkout", listener);
    const remove = listen(pool, "checkout", named("c"), { insert: true, once: true });
    await cycle(pool);
    expect(called).to.deep.equal(["c", "a", "b"]);
    remove();
    expect(pool.off("checkout", listener)).to.equal(true);
  });

  test("listeners of one pool are not called by another", async () => {
    const { called, named } = namedListeners();
    const [one, other] = [scriptedPool().pool, scriptedPool().pool];
    one.on("checkout", named("one"));
    await cycle(other);
    expect(called).to.deep.equal([]);
  });

  test("018 events: pairs of listener and event, given in any order, run in the order of the events", async () => {
    const { called, named } = namedListeners();
    const { pool } = scriptedPool({
      events: [
        [named("checkout"), "checkout"],
        [named("connect"), "connect"],
      ],
    });
    await cycle(pool);
    expect(called).to.deep.equal(["connect", "checkout"]);
  });

  test("events: pairs of one event run in the order of the pairs, before what on() adds", async () => {
    const { called, named } = namedListeners();
    const twice = named("b");
    const { pool } = scriptedPool({
      events: [
        [named("a"), "checkout"],
        [twice, "checkout"],
        [named("c"), "checkout"],
        [twice, "checkout"],
      ],
    });
    pool.on("checkout", named("d"));
    await cycle(pool);
    expect(called).to.deep.equal(["a", "b", "c", "d"]);
    expect(pool.off("checkout", twice)).to.equal(true);
  });

  test("events: an object of listeners, one or a list for each event", async () => {
    const { called, named } = namedListeners();
    const { pool } = scriptedPool({
      events: { checkout: [named("a"), named("b")], connect: named("connect"), checkin: undefined, reset: [] },
    });
    pool.on("checkout", named("c"));
    await cycle(pool);
    expect(called).to.deep.equal(["connect", "a", "b", "c"]);
  });

  test("events: what is done to the given object or list afterwards changes nothing", async () => {
    const { called, named } = namedListeners();
    const events = { checkout: [named("a")] };
    const { pool } = scriptedPool({ events });
    events.checkout.push(named("late"));
    events.connect = named("late");
    await cycle(pool);
    expect(called).to.deep.equal(["a"]);
  });

  test("recreate() takes a snapshot of the pool's listeners, in their order", async () => {
    const { called, named } = namedListeners();
    const { pool } = scriptedPool({ events: { checkout: named("b") } });
    pool.on("checkout", named("c"));
    pool.on("checkout", named("a"), { insert: true });
    await cycle(pool.recreate());
    expect(called).to.deep.equal(["a", "b", "c"]);
  });

  test("after recreate() what is added or removed on either pool stays there", async () => {
    const { called, named } = namedListeners();
    const { pool } = scriptedPool();
    const shared = named("shared");
    const removeFromOld = pool.on("checkout", named("old's"));
    pool.on("checkout", shared);
    const again = pool.recreate();
    removeFromOld();
    pool.on("checkout", named("old"));
    again.on("checkout", named("new"));
    expect(again.off("checkout", shared)).to.equal(true);
    await cycle(again);
    expect(called.splice(0)).to.deep.equal(["old's", "new"]);
    await cycle(pool);
    expect(called).to.deep.equal(["shared", "old"]);
  });

  test("recreate() does not bring back removed listeners, nor those for one time that have run", async () => {
    const { called, named } = namedListeners();
    const removed = named("removed");
    const { pool } = scriptedPool({ events: { checkout: removed } });
    pool.off("checkout", removed);
    pool.on("checkout", named("once"), { once: true });
    await cycle(pool);
    pool.on("checkout", named("still once"), { once: true });
    called.length = 0;
    const again = pool.recreate();
    await cycle(again);
    await cycle(again);
    expect(called).to.deep.equal(["still once"]);
  });

  test("246 an unknown event is refused by its name, wherever it is registered", () => {
    const { pool } = scriptedPool();
    const listener = () => {};
    for (const event of ["conect", "first_connect", "toString", "__proto__", "", undefined, 7, Symbol("connect")]) {
      const calls = {
        on: () => pool.on(event, listener),
        "listen, pool": () => listen(pool, event, listener),
        "listen, class": () => listen(QueuePool, event, listener),
        "events, pairs": () => new QueuePool(() => ({}), { events: [[listener, event]] }),
      };
      for (const [way, call] of Object.entries(calls)) {
        const error = thrown(call);
        expect(error, way).to.be.instanceOf(ArgumentError);
        expect(error.code, way).to.equal("ERR_POOL_ARGUMENT");
        expect(error.message, way).to.include(String(event));
      }
    }
    const error = thrown(() => new QueuePool(() => ({}), { events: { conect: listener } }));
    expect(error).to.be.instanceOf(ArgumentError);
    expect(error.message).to.include("conect");
  });

  test("a listener that is no function is refused by the name of its event", () => {
    const { pool } = scriptedPool();
    for (const listener of [undefined, null, "connect", {}, 1]) {
      const calls = {
        on: () => pool.on("connect", listener),
        listen: () => listen(QueuePool, "connect", listener),
        "events, pairs": () => new QueuePool(() => ({}), { events: [[listener, "connect"]] }),
        "events, list": () => new QueuePool(() => ({}), { events: { connect: [() => {}, listener] } }),
      };
      for (const [way, call] of Object.entries(calls)) {
        const error = thrown(call);
        expect(error, `${way}, ${String(listener)}`).to.be.instanceOf(ArgumentError);
        expect(error.message, `${way}, ${String(listener)}`).to.include("connect");
      }
    }
  });

  test("events that are neither an object nor a list of pairs are refused by the option's name", () => {
    for (const events of ["connect", 1, true, () => {}, [() => {}]]) {
      const error = thrown(() => new QueuePool(() => ({}), { events }));
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.include("events");
    }
  });

  test("an unknown option of a listener is refused by its name", () => {
    const { pool } = scriptedPool();
    for (const call of [
      () => pool.on("connect", () => {}, { named: true }),
      () => listen(QueuePool, "connect", () => {}, { named: true }),
    ]) {
      const error = thrown(call);
      expect(error).to.be.instanceOf(ArgumentError);
      expect(error.message).to.include("named");
    }
  });

  test("what was refused has registered nothing", async () => {
    const { pool } = scriptedPool();
    const { called, named } = namedListeners();
    const listener = named("refused");
    thrown(() => pool.on("checkout", listener, { once: true, named: true }));
    await cycle(pool);
    expect(called).to.deep.equal([]);
    expect(pool.off("checkout", listener)).to.equal(false);
  });

  test("listen() takes a pool or a pool class, nothing else", () => {
    for (const target of [undefined, null, {}, "QueuePool", class {}, () => {}, Object, QueuePool.prototype]) {
      expect(thrown(() => listen(target, "connect", () => {}))).to.be.instanceOf(ArgumentError);
    }
  });

  test("synchronous listeners cost no microtask: checkout, return, invalidation and dispose are over", async () => {
    const { pool, steps } = onePool();
    const caller = pool.connect();
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "checkout 1"]);
    expect(pool.stats()).to.include({ used: 1, opening: 0, checkouts: 1 });
    const lease = await caller;
    void lease.close();
    expect(steps()).to.deep.equal(["reset 1", "rollback 1", "checkin 1"]);
    expect(pool.stats()).to.include({ used: 0, idle: 1 });
    const again = pool.connect();
    expect(steps()).to.deep.equal(["checkout 1"]);
    void (await again).invalidate();
    expect(steps()).to.deep.equal(["invalidate 1", "close event 1", "terminate 1", "checkin null"]);
    expect(pool.stats()).to.include({ used: 0, total: 0 });
    await cycle(pool);
    steps();
    void pool.dispose();
    expect(steps()).to.deep.equal(["close event 2", "close 2"]);
    expect(pool.stats().total).to.equal(0);
  });

  test("listeners that answer promises are awaited one by one", async () => {
    const { pool } = scriptedPool();
    const running = [gate(), gate()];
    const called = [];
    for (const number of [0, 1]) pool.on("checkout", () => (called.push(number), running[number].promise));
    const caller = pool.connect();
    expect(await stateOf(caller)).to.equal("pending");
    expect(called).to.deep.equal([0]);
    running[0].open();
    expect(await stateOf(caller)).to.equal("pending");
    expect(called).to.deep.equal([0, 1]);
    running[1].open();
    expect((await caller).connection.id).to.equal(1);
  });

  test("every event is awaited before the next step is taken", async () => {
    for (const name of Object.keys(provocations)) {
      const { pool, server, steps } = onePool();
      const running = gate();
      server.script[name] = () => running.promise;
      const done = provocations[name](pool);
      expect(await stateOf(done), name).to.equal("pending");
      expect(steps().at(-1), name).to.match(new RegExp(`^${name} `));
      running.open();
      await done;
      expect(server.live, name).to.equal(["checkin", "softInvalidate"].includes(name) ? 1 : 0);
    }
  });

  test("a listener may answer any thenable, and what it answers is of no interest", async () => {
    const { pool } = scriptedPool();
    const running = gate();
    pool.on("checkout", () => ({
      // oxlint-disable-next-line unicorn/no-thenable -- a foreign promise
      then: (resolve, reject) => void running.promise.then(resolve, reject),
    }));
    pool.on("checkout", () => false);
    const caller = pool.connect();
    expect(await stateOf(caller)).to.equal("pending");
    running.open(false);
    expect((await caller).connection.id).to.equal(1);
  });

  for (const [name, provoke] of Object.entries(provocations)) {
    for (const [how, failing] of Object.entries(failures)) {
      test(`a ${name} listener that ${how} changes nothing: \`error\` and the log have the error`, async () => {
        const undisturbed = onePool();
        await provoke(undisturbed.pool);
        const context = onePool();
        const { pool, server, log, steps, given } = context;
        const failure = new Error(name);
        server.script[name] = failing(failure);
        await provoke(pool);
        const happened = steps();
        expect(happened.filter((step) => step !== "error listener")).to.deep.equal(undisturbed.steps());
        expect(happened.indexOf("error listener")).to.be.above(happened.findIndex((step) => step.startsWith(name)));
        expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal([
          [failure, "listener"],
        ]);
        expect(log.errors).to.deep.equal([failure]);
        await expectSound(context);
      });
    }

    test(`a ${name} listener that hangs is given driverTimeout, then things go on without it`, async () => {
      const context = onePool({ driverTimeout: "5s", returnTimeout: null });
      const { pool, server, clock, log, given } = context;
      server.script[name] = never;
      const done = provoke(pool);
      await pass(clock, 4_900);
      expect(await stateOf(done)).to.equal("pending");
      await pass(clock, 600);
      expect(await stateOf(done)).to.equal("fulfilled");
      expect(given("error").map(([, { operation }]) => operation)).to.deep.equal(["listener"]);
      expect(given("error")[0][0]).to.be.instanceOf(Error);
      expect(log.of("error")).to.have.length(1);
      expect(log.of("error")[0]).to.include("driverTimeout").and.to.include("5000 ms");
      await expectSound(context);
    });
  }

  for (const name of ["firstConnect", "connect", "checkout"]) {
    for (const [how, failing] of Object.entries(failures)) {
      test(`a ${name} listener that ${how} rejects connect() with its error; later ones are not called`, async () => {
        const context = onePool();
        const { pool, server, log, given } = context;
        const { called, named } = namedListeners();
        pool.on(name, named("later"));
        const failure = new Error(name);
        server.script[name] = failing(failure);
        expect(await rejection(pool.connect())).to.equal(failure);
        expect(called).to.deep.equal([]);
        expect(server.live).to.equal(0);
        expect(given("error")).to.deep.equal([]);
        expect(log.lines).to.deep.equal([]);
        await expectSound(context);
      });
    }

    test(`a ${name} listener may throw anything, and use() rejects with it`, async () => {
      for (const failure of [undefined, null, "text", 0]) {
        const context = onePool();
        const { pool, server } = context;
        let called = false;
        server.script[name] = () => Promise.reject(failure);
        const outcome = await pool
          .use(() => (called = true))
          .then(
            () => "fulfilled",
            (error) => ["rejected", error],
          );
        expect(outcome).to.deep.equal(["rejected", failure]);
        expect(called).to.equal(false);
        await expectSound(context);
      }
    });

    test(`a ${name} listener that hangs is given driverTimeout, then connect() rejects: step "listener"`, async () => {
      const context = onePool({ driverTimeout: "5s" });
      const { pool, server, clock } = context;
      server.script[name] = never;
      const caller = pool.connect();
      await pass(clock, 4_900);
      expect(await stateOf(caller)).to.equal("pending");
      await pass(clock, 600);
      const error = await rejection(caller);
      expect(error).to.be.instanceOf(PoolTimeoutError);
      expect(error).to.include({ step: "listener", timeoutMs: 5000 });
      expect(server.live).to.equal(0);
      await expectSound(context);
    });
  }

  test("driverTimeout null gives a listener all the time it takes", async () => {
    const { pool, server, clock } = onePool({ driverTimeout: null });
    const running = gate();
    server.script.connect = () => running.promise;
    const caller = pool.connect();
    await pass(clock, 3_600_000);
    expect(await stateOf(caller)).to.equal("pending");
    running.open();
    expect((await caller).connection.id).to.equal(1);
  });

  test("driverTimeout bounds a firing, however many listeners share it", async () => {
    const context = tracedPool({ driverTimeout: "5s" });
    const { pool, clock } = context;
    const slow = () => new Promise((done) => clock.setTimeout(done, 3_000));
    pool.on("checkout", slow);
    pool.on("checkout", () => slow());
    const caller = pool.connect();
    await pass(clock, 3_000);
    await pass(clock, 2_400);
    expect(await stateOf(caller)).to.equal("rejected");
    expect(await rejection(caller)).to.include({ step: "listener", timeoutMs: 5000 });
    expect(context.server.live).to.equal(0);
  });

  test("what a listener answers after its time has ended is ignored", async () => {
    for (const end of ["open", "fail"]) {
      for (const name of ["connect", "checkout", "checkin"]) {
        const context = onePool({ driverTimeout: "5s" });
        const { pool, server, clock, steps } = context;
        const running = gate();
        server.script[name] = () => running.promise;
        const done = cycle(pool).catch(() => {});
        await pass(clock, 6_000);
        await done;
        server.script = {};
        steps();
        running[end](new Error("late"));
        await settled();
        expect(steps(), `${name}, ${end}`).to.deep.equal([]);
        await expectSound(context, `${name}, ${end}`);
      }
    }
  });

  test("`error` gets what was swallowed, with its operation and the record", async () => {
    const operations = { rollback: "reset", close: "close", terminate: "terminate" };
    for (const [call, operation] of Object.entries(operations)) {
      const { pool, server, log, given } = onePool();
      const failure = new Error(call);
      const lease = await pool.connect();
      const { record } = lease;
      server.script[call] = () => Promise.reject(failure);
      if (call === "terminate") await lease.invalidate();
      await lease.close();
      await pool.dispose();
      expect(given("error"), call).to.have.length(1);
      const [error, context] = given("error")[0];
      expect(error, call).to.equal(failure);
      expect(context.operation, call).to.equal(operation);
      expect(context.record, call).to.equal(record);
      expect(log.errors, call).to.deep.equal([failure]);
    }
  });

  test("`error` gets an opening that failed after its caller had left", async () => {
    const { pool, server, log, given } = onePool();
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = rejection(pool.connect({ signal: controller.signal }));
    controller.abort();
    await caller;
    const failure = new Error("down");
    opening.fail(failure);
    await settled();
    expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal([[failure, "open"]]);
    expect(log.errors).to.deep.equal([failure]);
  });

  test("the error of a caller that is still there is not reported, too", async () => {
    const { pool, server, log, given } = onePool();
    const failure = new Error("down");
    server.script.open = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(given("error")).to.deep.equal([]);
    expect(log.lines).to.deep.equal([]);
  });

  test("without listeners of `error`, the log alone has it", async () => {
    const context = scriptedPool();
    const { pool, log } = context;
    const failure = new Error("checkin");
    pool.on("checkin", thrower(failure));
    await cycle(pool);
    expect(log.errors).to.deep.equal([failure]);
  });

  for (const [how, failing] of Object.entries(failures)) {
    test(`an \`error\` listener that ${how} is logged, and is not called for its own error`, async () => {
      const context = onePool();
      const { pool, server, log, given, steps } = context;
      const [reset, own] = [new Error("reset"), new Error("listener of errors")];
      server.script.rollback = () => Promise.reject(reset);
      server.script.error = failing(own);
      await cycle(pool);
      await settled();
      expect(steps().slice(-5)).to.have.members([
        "error reset",
        "invalidate 1",
        "close event 1",
        "terminate 1",
        "checkin null",
      ]);
      expect(given("error").map(([error]) => error)).to.deep.equal([reset]);
      expect(log.errors).to.have.members([reset, own]).and.to.have.length(2);
      await expectSound(context);
    });
  }

  test("an `error` listener that hangs loses no slot", async () => {
    const context = onePool({ driverTimeout: "5s" });
    const { pool, server, clock } = context;
    server.script.rollback = () => Promise.reject(new Error("reset"));
    server.script.error = never;
    const done = cycle(pool);
    await pass(clock, 6_000);
    expect(await stateOf(done)).to.equal("fulfilled");
    await expectSound(context);
  });

  test("with every listener failing at once the books stay right", async () => {
    for (const failing of Object.values(failures)) {
      const context = tracedPool({ poolSize: 2, maxOverflow: 1 });
      const { pool, server } = context;
      const leases = await connects(pool, 3);
      for (const name of [
        "reset",
        "rollback",
        "checkin",
        "invalidate",
        "softInvalidate",
        "close event",
        "detach",
        "closeDetached",
        "error",
        "close",
        "terminate",
      ]) {
        server.script[name] = failing(new Error(name));
      }
      await leases[0].invalidate(undefined, { soft: true });
      await leases[0].close();
      await leases[1].detach();
      await leases[1].close();
      await leases[2].invalidate();
      await cycle(pool);
      await pool.dispose();
      await expectSound(context);
    }
  });
};
