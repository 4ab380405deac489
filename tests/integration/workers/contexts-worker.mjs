// The Worker behind contexts.test.mjs: module-scope pools of scripted connections, each of which knows the I/O context
// that opened it, and requests that do to them what Workers do. A path names what a request does; what it saw is its
// answer.

import { DurableObject, env, tracing } from "cloudflare:workers";
import { NullPool, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";

let opened = 0;

/** A connection like a socket: a caller that touches it from another I/O context gets the error of Workers. */
class Connection {
  id = ++opened;
  calls = [];
  #socket = new WebSocketPair()[0];

  touch(call) {
    void this.#socket.readyState;
    this.calls.push(call);
    return this.id;
  }

  query = () => this.touch("query");
  rollback = () => this.touch("rollback");
  close = () => this.touch("close");
}

/** Every connection, leased or not: closed ones are found by their calls. */
const connections = [];
const logged = [];
const logger = {
  debug() {},
  info() {},
  warn: (message) => void logged.push(message),
  error: (message, error) => void logged.push(`${message}: ${error?.message}`),
};
const open = () => {
  const connection = new Connection();
  connections.push(connection);
  return connection;
};

const pool = new QueuePool(open, { poolSize: 2, timeout: "2s", logger });
const patient = new QueuePool(open, { poolSize: 1, timeout: null, logger });
const kinds = {
  NullPool: new NullPool(open, { logger }),
  SingletonThreadPool: new SingletonThreadPool(open, { logger }),
  StaticPool: new StaticPool(open, { logger }),
};
const keyed = new QueuePool(open, { logger, scope: () => currentKey });
const shared = new QueuePool(() => ({ id: ++opened, rollback() {}, close() {} }), {
  poolSize: 1,
  maxOverflow: 0,
  scope: "isolate",
  timeout: "5s",
  logger,
});
let atModuleScope;
pool.connect().catch((error) => (atModuleScope = error));
let currentKey;
const kept = {};
const signals = new AbortController();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const told = (error) => ({ name: error.constructor.name, code: error.code, message: error.message });
const caught = async (run) => {
  try {
    await run();
  } catch (error) {
    return told(error);
  }
  return "nothing";
};
const id = (connection) => connection.query();

/** What a request or an object does, by path. */
const deeds = {
  "/nothing": () => ({}),
  "/module-scope": () => told(atModuleScope),
  "/use": async (ctx, { scope }) => {
    const options = scope === "env" ? { scope: env } : scope ? { scope: ctx } : {};
    return [await pool.use(id, options), await pool.use(id, options)];
  },
  "/use-slowly": async () => {
    const first = await pool.use(id);
    await sleep(50);
    return [first, await pool.use(id)];
  },
  "/stats": () => ({
    current: pool.stats(),
    all: pool.stats({ scope: "all" }),
    counts: [pool.size(), pool.checkedIn(), pool.overflow(), pool.checkedOut()],
  }),
  "/opened": () => pool.stats().opened,
  "/limits": () => ({ max: pool.stats().max, status: pool.status() }),
  /** Two connections, and three callers that want one. */
  "/queue": async () => {
    const seen = await Promise.all(
      Array.from({ length: 5 }, () => pool.use(async (connection) => (await sleep(5), connection.query()))),
    );
    return { seen, waited: pool.stats().waited };
  },
  "/time-out": async () => {
    const leases = [await pool.connect(), await pool.connect()];
    const error = await caught(() => pool.connect({ timeout: "100ms" }));
    await Promise.all(leases.map((lease) => lease.close()));
    return error;
  },
  /** Nothing else is pending in the request than the caller that waits without a time-out. */
  "/wait-for-ever": async () => {
    const lease = await patient.connect();
    void patient.connect();
    void lease;
    await new Promise(() => {});
  },
  /** The second checkout is the common way: an idle connection at once. */
  "/keep": async () => {
    await pool.use(id);
    kept.lease = await pool.connect();
    await sleep(500);
    const valid = kept.lease.isValid;
    const query = await caught(() => kept.lease.connection.query());
    await kept.lease.close();
    return { valid, query };
  },
  "/borrow": async () => ({
    connection: await caught(() => kept.lease.connection),
    record: await caught(() => kept.lease.record),
    close: await caught(() => kept.lease.close()),
    invalidate: await caught(() => kept.lease.invalidate(new Error("bad"))),
    detach: await caught(() => kept.lease.detach()),
    own: await pool.use(id),
  }),
  "/keep-record": async () => {
    await pool.use(id);
    const lease = await pool.connect();
    kept.record = lease.record;
    await sleep(400);
    const answer = await caught(() => lease.connection.query());
    await lease.close();
    return answer;
  },
  "/borrow-record": async () => ({
    connection: await caught(() => kept.record.connection),
    invalidate: await caught(() => kept.record.invalidate()),
    soft: await caught(() => kept.record.invalidate(undefined, { soft: true })),
    close: await caught(() => kept.record.close()),
    finalize: await caught(() => kept.record.finalize(() => {})),
  }),
  /** Waits for a signal that another request aborts. */
  "/wait-for-signal": async () => {
    const leases = [await pool.connect(), await pool.connect()];
    const start = Date.now();
    const error = await caught(() => pool.connect({ signal: signals.signal, timeout: "1s" }));
    await Promise.all(leases.map((lease) => lease.close()));
    return { error, ms: Date.now() - start };
  },
  "/abort": () => (signals.abort(new Error("enough")), {}),
  "/hold": async (ctx, { ms }) => pool.use(async (connection) => (await sleep(Number(ms)), connection.query())),
  "/throw": async () => {
    await pool.connect();
    throw new Error("thrown with a lease out");
  },
  "/hang": async () => {
    await pool.connect();
    await new Promise(() => {});
  },
  "/invalidate-all": () => (pool.invalidateAll(), {}),
  /** A connection that is idle while another request disposes of the pool. */
  "/idle-meanwhile": async () => {
    const before = await pool.use(id);
    await sleep(300);
    const after = await pool.use(id);
    return { before, after, calls: connections[before - 1].calls };
  },
  "/dispose": async () => (await pool.dispose(), {}),
  "/kind": async (ctx, { kind }) => [await kinds[kind].use(id), await kinds[kind].use(id)],
  "/key": async (ctx, { key }) => {
    const keys = (kept.keys ??= {});
    currentKey = keys[key] ??= {};
    const first = await keyed.use(id);
    currentKey = keys[key];
    const second = await keyed.use(id);
    currentKey = undefined;
    return [first, second];
  },
  /** A store of the user's, with a member as the state of an object has. */
  "/key-alike": async () => {
    currentKey = { storage: {} };
    const using = keyed.use(id);
    const { max } = keyed.stats();
    currentKey = undefined;
    await using;
    return max;
  },
  "/end-key": async (ctx, { key }) => {
    const own = {};
    currentKey = own;
    const connection = await keyed.use(id);
    currentKey = undefined;
    await keyed.endScope(own);
    await keyed.endScope(kept.keys[key]);
    return connections[connection - 1].calls;
  },
  "/shared": async (ctx, { ms }) => shared.use(async ({ id }) => (await sleep(Number(ms ?? 0)), id)),
  /** Spans of its own, while others run: each is a new identity. */
  "/spans": async (ctx, { scope }) => {
    const seen = new Set();
    for (let span = 0; span < 10; span++) {
      seen.add(await tracing.enterSpan("work", () => pool.use(id, scope ? { scope: ctx } : {})));
      await sleep(2);
    }
    return seen.size;
  },
  /** One key for every request and object. */
  "/same-key": async () => {
    currentKey = env;
    const first = keyed.use(id);
    currentKey = undefined;
    return first;
  },
  /** Ends while a caller of its own waits for the connection that another request has. */
  "/leave-waiting": async () => {
    void shared.connect();
    return {};
  },
  "/close-while-waiting": async () => {
    const leases = [await pool.connect(), await pool.connect()];
    const error = await caught(() => pool.connect({ timeout: "700ms" }));
    await Promise.all(leases.map((lease) => lease.close()));
    return { error, calls: leases.map((lease) => lease.isValid) };
  },
  "/close": async () => (await pool.close(), { closed: pool.closed, error: await caught(() => pool.connect()) }),
  "/logged": () => logged,
};

async function perform(request, ctx) {
  const { pathname, searchParams } = new URL(request.url);
  const answer = await deeds[pathname](ctx, Object.fromEntries(searchParams));
  return Response.json(answer);
}

export class Actor extends DurableObject {
  fetch(request) {
    return perform(request, this.ctx);
  }
}

export default {
  fetch(request, env, ctx) {
    const object = new URL(request.url).searchParams.get("object");
    return object === null ? perform(request, ctx) : env.ACTOR.get(env.ACTOR.idFromName(object)).fetch(request);
  },
};
