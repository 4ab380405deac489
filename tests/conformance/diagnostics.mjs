// edgepool/diagnostics: TracingChannels for checkout, open, ping, reset and close. In a host without
// node:diagnostics_channel the import does nothing.

import { expect } from "chai";
import "edgepool/diagnostics";
import { AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { cycle } from "./tracing.mjs";
import { pings, scriptedKind } from "./scripted-kind.mjs";
import { expectSound, gate, pass, rejection, scriptedPool, settled } from "./scripted.mjs";

const { process } = globalThis;
const builtin = (name) => {
  try {
    return process?.getBuiltinModule?.(name);
  } catch {
    return undefined;
  }
};
const channels = builtin("node:diagnostics_channel");
const { AsyncLocalStorage } = builtin("node:async_hooks") ?? {};

const names = ["checkout", "open", "ping", "reset", "close"];
const events = ["start", "end", "asyncStart", "asyncEnd", "error"];

/** Subscribes to these channels while the work is done. Returns what was published: [channel, event, message]. */
async function published(work, wanted = names) {
  const seen = [];
  const subscriptions = wanted.map((name) => {
    const channel = channels.tracingChannel(`edgepool:${name}`);
    const handlers = Object.fromEntries(
      events.map((event) => [event, (message) => void seen.push([name, event, message])]),
    );
    channel.subscribe(handlers);
    return () => channel.unsubscribe(handlers);
  });
  try {
    await work(seen);
  } finally {
    for (const end of subscriptions) end();
  }
  return seen;
}

const short = (seen) => seen.map(([name, event]) => `${name} ${event}`);
const small = { poolSize: 1, maxOverflow: 0 };

export default (test) => {
  test("the import changes nothing for a pool whose host has no such channels, or no subscribers", async () => {
    const context = scriptedPool(small);
    await cycle(context.pool);
    expect(context.server.calls).to.deep.equal(["open", "rollback 1"]);
    await expectSound(context);
  });

  if (typeof channels?.tracingChannel !== "function") return;

  test("calls that answer at once have start and end, promises asyncStart and asyncEnd, too", async () => {
    const context = scriptedPool(small);
    const seen = await published(async () => {
      await cycle(context.pool);
      context.server.script.rollback = async () => {};
      await cycle(context.pool);
    });
    const checkout = ["checkout end", "checkout asyncStart", "checkout asyncEnd"];
    expect(short(seen)).to.deep.equal([
      "checkout start",
      "open start",
      "open end",
      ...checkout,
      "reset start",
      "reset end",
      "checkout start",
      ...checkout,
      "reset start",
      "reset end",
      "reset asyncStart",
      "reset asyncEnd",
    ]);
    await expectSound(context);
  });

  test("one message goes through the events of a call, with its pool and its result", async () => {
    const context = scriptedPool(small);
    const { pool } = context;
    let lease;
    const seen = await published(async () => {
      lease = await pool.connect();
    });
    const messagesOf = (name) => [...new Set(seen.filter(([of]) => of === name).map(([, , message]) => message))];
    const [[checkout, ...others], [open, ...moreOpen]] = [messagesOf("checkout"), messagesOf("open")];
    expect([others, moreOpen]).to.deep.equal([[], []]);
    expect(checkout).to.deep.equal({ pool, result: lease });
    expect(open.pool).to.equal(pool);
    expect(open.record).to.equal(lease.record);
    expect(open.result).to.equal(context.server.connections[0]);
    expect(Object.keys(open).sort()).to.deep.equal(["pool", "record", "result"]);
    await lease.close();
    await expectSound(context);
  });

  test("ping, reset and close have the connection and its record, and say how and why", async () => {
    const context = scriptedKind(QueuePool, { ...small, prePing: true, dialect: pings });
    const { pool, server } = context;
    const lease = await pool.connect();
    const { record } = lease;
    const [connection] = server.connections;
    const failure = new Error("the rollback failed");
    await lease.close();
    const seen = await published(async () => {
      const again = await pool.connect();
      server.script.rollback = () => {
        throw failure;
      };
      await again.close();
      server.script = {};
      await pool.use(() => {});
      await pool.dispose();
    });
    const of = (name) => seen.filter(([channel, event]) => channel === name && event === "end").map(([, , it]) => it);
    expect(of("ping")[0]).to.deep.equal({ pool, connection, record, result: true });
    const [reset] = of("reset");
    expect(reset).to.deep.equal({ pool, call: "rollback", connection, record, error: failure });
    const [terminated, closed] = of("close");
    expect(terminated).to.include({ pool, call: "terminate", connection, record, reason: failure });
    expect(closed).to.include({ call: "close", connection: server.connections[1], reason: undefined });
    expect(short(seen)).to.include("reset error");
    await expectSound(context);
  });

  test("close says whether the connection is terminated", async () => {
    const context = scriptedPool({ ...small, dialect: { doTerminate: (connection) => connection.terminate() } });
    const reason = new Error("mine");
    const seen = await published(async () => {
      const lease = await context.pool.connect();
      await lease.invalidate(reason);
      await cycle(context.pool);
      await context.pool.dispose();
    }, ["close"]);
    const ends = seen.filter(([, event]) => event === "end").map(([, , { call, reason: why }]) => [call, why]);
    expect(ends).to.deep.equal([
      ["terminate", reason],
      ["close", undefined],
    ]);
    await expectSound(context);
  });

  test("an error goes out before the end of its call: of a creator, a refusal, an abort", async () => {
    const context = scriptedPool({ ...small, timeout: 0.01 });
    const { pool, server, clock } = context;
    const refused = new Error("refused");
    server.script.open = async () => {
      throw refused;
    };
    const failing = await published(async () => void (await rejection(pool.connect())));
    expect(short(failing)).to.deep.equal([
      "checkout start",
      "open start",
      "open end",
      "checkout end",
      "open error",
      "open asyncStart",
      "open asyncEnd",
      "checkout error",
      "checkout asyncStart",
      "checkout asyncEnd",
    ]);
    for (const [, event, message] of failing) if (event === "error") expect(message.error).to.equal(refused);
    server.script.open = () => {
      throw refused;
    };
    const atOnce = await published(async () => void (await rejection(pool.connect())));
    expect(short(atOnce).slice(0, 5)).to.deep.equal([
      "checkout start",
      "open start",
      "open error",
      "open end",
      "checkout end",
    ]);
    server.script = {};
    const lease = await pool.connect();
    const controller = new AbortController();
    let errors;
    const late = await published(async () => {
      errors = [rejection(pool.connect()), rejection(pool.connect({ signal: controller.signal }))];
      controller.abort(refused);
      await pass(clock, 20);
    });
    expect(late.filter(([, event]) => event === "error").map(([, , { error }]) => error)).to.deep.equal([
      await errors[1],
      await errors[0],
    ]);
    await lease.close();
    await expectSound(context);
  });

  test("an opening that the pool gave up ends when its creator answers", async () => {
    const context = scriptedPool({ ...small, openTimeout: 0.01 });
    const { pool, server, clock } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const seen = await published(async (so) => {
      const refused = rejection(pool.connect());
      await pass(clock, 20);
      await refused;
      expect(short(so).filter((line) => line.startsWith("open"))).to.deep.equal(["open start", "open end"]);
      opening.open();
      await settled();
    });
    expect(short(seen).slice(-5)).to.deep.equal([
      "checkout asyncEnd",
      "open asyncStart",
      "open asyncEnd",
      "close start",
      "close end",
    ]);
    expect(seen.at(-1)[2]).to.include({ call: "close", connection: server.connections[0], record: null });
    await expectSound(context);
  });

  for (const Kind of [QueuePool, NullPool, SingletonThreadPool, StaticPool, AssertionPool]) {
    test(`${Kind.name}: every checkout is published, and nothing after the end of the subscription`, async () => {
      const context = scriptedKind(Kind, {});
      const seen = await published(async () => {
        await context.pool.use(() => {});
        await context.pool.use(() => {});
      });
      expect(short(seen).filter((line) => line === "checkout asyncEnd")).to.have.length(2);
      const before = seen.length;
      await context.pool.use(() => {});
      expect(seen).to.have.length(before);
      await expectSound(context);
    });
  }

  test("useSync() and tryConnect() are checkouts that answer at once", async () => {
    const context = scriptedPool(small);
    const { pool } = context;
    const results = [];
    const seen = await published(async () => {
      pool.useSync((_, lease) => void results.push(lease));
      const lease = pool.tryConnect();
      results.push(lease, pool.tryConnect());
      await lease.close();
    }, ["checkout"]);
    expect(short(seen)).to.deep.equal(results.flatMap(() => ["checkout start", "checkout end"]));
    expect(seen.filter(([, event]) => event === "end").map(([, , { result }]) => result)).to.deep.equal(results);
    await expectSound(context);
  });

  test("openings without a caller are published, too", async () => {
    const context = scriptedPool({ poolSize: 3 });
    const seen = await published(() => context.pool.warm(2));
    expect(short(seen)).to.deep.equal(["open start", "open end", "open start", "open end"]);
    await expectSound(context);
  });

  test("a subscriber to one channel sees no other", async () => {
    const context = scriptedPool(small);
    const seen = await published(() => cycle(context.pool), ["reset"]);
    expect(short(seen)).to.deep.equal(["reset start", "reset end"]);
    await expectSound(context);
  });

  test("a pool made after the subscription is published, and recreate() changes nothing", async () => {
    let context;
    const seen = await published(async () => {
      context = scriptedPool(small);
      await cycle(context.pool.recreate());
    });
    expect(short(seen).filter((line) => line === "open end")).to.have.length(1);
  });

  if (AsyncLocalStorage !== undefined && channels.channel("edgepool:has-stores").bindStore !== undefined) {
    test("a store that is bound to open is the creator's, and one bound to checkout is seen below it", async () => {
      const [ofOpen, ofCheckout] = [new AsyncLocalStorage(), new AsyncLocalStorage()];
      const { open, checkout } = {
        open: channels.tracingChannel("edgepool:open"),
        checkout: channels.tracingChannel("edgepool:checkout"),
      };
      const context = scriptedPool(small);
      const { pool, server } = context;
      const seen = [];
      server.script.open = async () => {
        seen.push([ofOpen.getStore(), ofCheckout.getStore()]);
        await null;
        seen.push([ofOpen.getStore(), ofCheckout.getStore()]);
      };
      open.start.bindStore(ofOpen, ({ record }) => ["opening for", record.scope]);
      checkout.start.bindStore(ofCheckout, ({ pool: { loggingName } }) => loggingName);
      try {
        await pool.use(() => seen.push([ofOpen.getStore(), ofCheckout.getStore()]));
      } finally {
        open.start.unbindStore(ofOpen);
        checkout.start.unbindStore(ofCheckout);
      }
      const inside = [["opening for", undefined], "scripted"];
      expect(seen).to.deep.equal([inside, inside, [undefined, undefined]]);
      await cycle(pool);
      expect(seen).to.have.length(3);
      await expectSound(context);
    });

    test("a creator with keyed scopes keeps no caller's store, and has the store of open", async () => {
      const [store, ofOpen] = [new AsyncLocalStorage(), new AsyncLocalStorage()];
      const open = channels.tracingChannel("edgepool:open");
      const key = {};
      const context = scriptedPool({ ...small, scope: () => key });
      const seen = [];
      context.server.script.open = () => void seen.push([store.getStore(), ofOpen.getStore()]);
      open.start.bindStore(ofOpen, () => "open");
      try {
        await store.run("caller", () => cycle(context.pool));
      } finally {
        open.start.unbindStore(ofOpen);
      }
      const ofCaller = "WebSocketPair" in globalThis ? "caller" : undefined;
      expect(seen).to.deep.equal([[ofCaller, "open"]]);
    });
  }
};
