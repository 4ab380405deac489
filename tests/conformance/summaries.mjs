// What a person sees: console.log and JSON.stringify of a pool, a lease, a record and an error.

import { expect } from "chai";
import { DisconnectionError, InvalidRequestError, NullPool, PoolError, QueuePool } from "edgepool";
import { isWorkers, pass, rejection, scriptedPool } from "./scripted.mjs";

const nodeInspect = Symbol.for("nodejs.util.inspect.custom");
const denoInspect = Symbol.for("Deno.customInspect");

/** What Node and Deno show, each by its own method; `inspect` stands for theirs. */
function shown(value) {
  const inspect = (summary, options) => `${JSON.stringify(summary)} ${options}`;
  const byNode = value[nodeInspect](2, "options", inspect);
  expect(value[denoInspect](inspect, "options")).to.equal(byNode);
  return byNode.replace(/ options$/, "");
}

class Client {
  config = { password: "hunter2" };
  self = this;
  rollback() {}
  close() {}
}

const clientPool = (options) => new QueuePool(() => new Client(), { loggingName: "shop", poolSize: 2, ...options });

const atRest = { total: 0, idle: 0, used: 0, returning: 0, opening: 0, closing: 0, waiting: 0, detached: 0, max: 12 };

export default (test) => {
  test("a pool shows its class, name, kind and numbers", async () => {
    class ShopPool extends NullPool {}
    const pools = [
      [clientPool({ maxOverflow: 10 }), "QueuePool", "QueuePool", 12],
      [new ShopPool(() => new Client(), { loggingName: "shop" }), "ShopPool", "NullPool", null],
    ];
    for (const [pool, name, kind, max] of pools) {
      const summary = { name: "shop", kind, closed: false, ...atRest, max };
      expect(JSON.parse(JSON.stringify(pool))).to.deep.equal(summary);
      expect(shown(pool)).to.equal(`${name} ${JSON.stringify(summary)}`);
      const lease = await pool.connect();
      // In Workers the numbers are those of the request.
      expect(JSON.parse(JSON.stringify(pool))).to.include({ used: 1, total: 1 });
      await lease.close();
      await pool.close();
      expect(JSON.parse(JSON.stringify(pool))).to.include({ closed: true, used: 0 });
    }
  });

  test("a lease and a record show their state, and of the connection only its class", async () => {
    const pool = clientPool();
    const lease = await pool.connect();
    const { record } = lease;
    const opened = new Date(record.lastConnectTime).toISOString();
    const ofLease = (state) => `PooledConnection ${JSON.stringify({ pool: "shop", state, connection: "Client" })}`;
    const ofRecord = (state, connection = "Client") =>
      `ConnectionRecord ${JSON.stringify({ pool: "shop", slot: 0, state, connection, opened })}`;
    expect([shown(lease), shown(record)]).to.deep.equal([ofLease("in use"), ofRecord("in use")]);
    await lease.close();
    expect([shown(lease), shown(record)]).to.deep.equal([ofLease("ended"), ofRecord("idle")]);
    const next = await pool.connect();
    await next.detach();
    expect([shown(next), shown(record)]).to.deep.equal([ofLease("detached"), ofRecord("empty", null)]);
    await next.close();
    expect(shown(next)).to.equal(ofLease("ended"));
    expect(JSON.stringify([lease, record, pool])).not.to.contain("hunter2");
    await pool.close();
  });

  test("a record is shown while its first connection opens, and of a connection without a class its type", async () => {
    let record;
    const pool = new QueuePool((slot) => ((record = slot), shown(slot), Object.create(null)), {
      dialect: { doRollback() {}, doClose() {} },
      loggingName: "shop",
    });
    const lease = await pool.connect();
    expect(JSON.parse(JSON.stringify(lease)).connection).to.equal("object");
    expect(JSON.parse(JSON.stringify(record)).connection).to.equal("object");
    await lease.close();
    await pool.close();
  });

  test("showing never throws: a proxy, a prototype, a connection or a scope function that throws", async () => {
    const hostile = new Proxy(new Client(), {
      get(target, key) {
        if (key === "constructor") throw new Error("constructor");
        return Reflect.get(target, key);
      },
    });
    let isBroken = false;
    const pool = new QueuePool(() => hostile, {
      loggingName: "shop",
      scope: () => {
        if (isBroken) throw new Error("no store");
        return undefined;
      },
    });
    const lease = await pool.connect();
    expect(JSON.parse(JSON.stringify(lease)).connection).to.equal("object");
    isBroken = true;
    expect(JSON.parse(JSON.stringify(pool))).to.include({ name: "shop", kind: "QueuePool", closed: false });
    isBroken = false;
    for (const subject of [pool, lease, lease.record]) {
      for (const odd of [new Proxy(subject, {}), Object.getPrototypeOf(subject)]) {
        expect(JSON.stringify(odd)).to.equal("{}");
        expect(shown(odd)).to.match(/^\w+ \{\}$/);
      }
    }
    await lease.close();
    await pool.close();
  });

  test("the methods that show are no enumerable members", () => {
    const keys = [];
    for (const key in clientPool()) keys.push(key);
    expect(keys).not.to.include("toJSON");
  });

  test("an error in JSON has its name, message, stack, fields, and the message of its cause", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s" });
    const lease = await pool.connect();
    const refused = rejection(pool.connect());
    await pass(clock, 1_100);
    const error = await refused;
    const shownError = JSON.parse(JSON.stringify(error));
    expect(shownError).to.deep.include({
      name: "PoolTimeoutError",
      message: error.message,
      stack: error.stack,
      code: "ERR_POOL_TIMEOUT",
      pool: "scripted",
      step: "wait",
      timeoutMs: 1000,
      stats: JSON.parse(JSON.stringify(error.stats)),
    });
    // Logs often ask for the own properties of an error, its stack among them.
    expect(JSON.parse(JSON.stringify(error, Object.getOwnPropertyNames(error))).stack).to.equal(error.stack);
    await lease.close();

    const cause = new TypeError("the socket closed");
    cause.self = cause;
    const withCause = new InvalidRequestError("gone", "shop", { cause });
    expect(JSON.parse(JSON.stringify(withCause))).to.deep.equal({
      name: "InvalidRequestError",
      message: "gone",
      stack: withCause.stack,
      code: "ERR_POOL_INVALID_REQUEST",
      pool: "shop",
      cause: "TypeError: the socket closed",
    });
    const odd = new DisconnectionError("gone", { cause: { circular: cause } });
    expect(JSON.parse(JSON.stringify(odd))).to.include({ code: "ERR_POOL_DISCONNECTION", invalidatePool: false });
    expect(new PoolError("ERR_POOL_CLOSED", "closed", "shop").toJSON()).to.include({ message: "closed" });
  });

  test("a clone of an error has its message and stack, and a clone of its JSON has the rest", async () => {
    const { pool } = scriptedPool();
    await pool.close();
    const error = await rejection(pool.connect());
    expect(structuredClone(error)).to.be.instanceOf(Error).and.to.have.property("message", error.message);
    expect(structuredClone(error.toJSON())).to.include({ name: "PoolClosedError", code: "ERR_POOL_CLOSED" });
  });

  test("what an error listener is given can be logged as JSON", async () => {
    const { pool, server } = scriptedPool();
    server.script.rollback = () => Promise.reject(new Error("reset"));
    const lines = [];
    pool.on("error", (_error, context) => void lines.push(JSON.parse(JSON.stringify(context))));
    await pool.use(() => {});
    expect(lines).to.have.length(1);
    expect(lines[0].operation).to.equal("reset");
    expect(lines[0].record).to.include({ pool: "scripted", slot: 0 });
    if (!isWorkers) expect(JSON.stringify(pool)).to.contain("scripted");
  });
};
