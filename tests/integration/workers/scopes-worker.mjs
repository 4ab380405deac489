// The Worker of scopes.test.mjs: pools at module scope, and one route for each thing that a request, or an object, may
// do with them: /use?pool=shared, or /object/one/use?pool=shared for the object "one". Every connection bears the name
// of its opener, and every use compares; it counts and answers, and leaves all judgement to the tests.

import { AsyncLocalStorage } from "node:async_hooks";
import { DurableObject, env } from "cloudflare:workers";
import { PoolError, QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

/** The runners: one name for each request, one for each object. */
const running = new AsyncLocalStorage();
let requests = 0;

/** How many connections each has opened, how often one had another caller's, and what the pools swallowed. */
const opened = new Map();
let foreign = 0;
const swallowed = [];

/** What requests share: leases that they hold, by a name of the test's, and those that are to go on. */
const held = new Map();
const released = new Set();

function noteOpening() {
  const owner = running.getStore();
  opened.set(owner, (opened.get(owner) ?? 0) + 1);
  return owner;
}

const creator = (name) => async () => {
  const client = new Client({ connectionString: env.DATABASE_URL, application_name: name });
  client.on("error", () => {});
  client.owner = noteOpening();
  await client.connect();
  return client;
};

const databasePool = (name, options, Kind = QueuePool) =>
  new Kind(creator(name), { dialect: pg, loggingName: name, ...options });

/** No socket, so nothing but the pool keeps a request that waits from being shot. */
const scriptedPool = (name, options) =>
  new QueuePool(() => ({ owner: noteOpening(), close() {} }), { loggingName: name, resetOnReturn: "none", ...options });

/** Time that runs fifty times as fast. */
const fast = {
  now: () => performance.now() * 50,
  setTimeout: (fn, ms) => setTimeout(fn, ms / 50),
  clearTimeout: (timer) => clearTimeout(timer),
};

const pools = {
  defaults: databasePool("defaults"),
  reaped: databasePool("reaped", { clock: fast }),
  singleton: databasePool("singleton", {}, SingletonThreadPool),
  static: databasePool("static", {}, StaticPool),
  scripted: scriptedPool("scripted", { poolSize: 1, maxOverflow: 0, timeout: "200ms" }),
};
// One for each test, so that the backends of each can be counted apart.
for (const name of [
  "shared",
  "apart",
  "beside",
  "hung",
  "killed",
  "thrown",
  "left",
  "borrowed",
  "explicit",
  "objects",
  "kept",
  "traffic",
  "crowd",
  "queue",
  "outlived",
  "wrongKey",
  "counted",
  "closed",
  "closedHeld",
  "invalidated",
  "invalidatedHeld",
  "disposed",
  "disposedHeld",
]) {
  pools[name] = databasePool(name, { poolSize: 2, maxOverflow: 0 });
}
for (const pool of Object.values(pools))
  pool.on("error", (error, { operation }) => void swallowed.push(`${operation}: ${error}`));

/** Read while no request runs. */
const atModuleScope = {
  current: pools.shared.stats(),
  all: pools.shared.stats({ scope: "all" }),
  status: pools.shared.status(),
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** By its own timers: a promise that another request settles would not do at every compatibility date. */
async function until(condition) {
  for (let waited = 0; !condition(); waited += 10) {
    if (waited > 15_000) throw new Error("not within 15 seconds");
    await sleep(10);
  }
}

/** One question to the server, having looked whose connection it is. */
async function ask(client, seconds = 0) {
  if (client.owner !== running.getStore()) foreign++;
  const { rows } = await client.query("SELECT pg_backend_pid() AS pid, pg_sleep($1)", [seconds]);
  return rows[0].pid;
}

/** What an error says, as the tests compare it. */
const told = (error) => ({
  name: error.name,
  code: error.code,
  message: error.message,
  ours: error instanceof PoolError,
});

/** What came of an attempt that should fail at once. */
async function attempt(fn) {
  const start = performance.now();
  try {
    const value = await fn();
    return { value: typeof value };
  } catch (error) {
    return { ...told(error), ms: performance.now() - start };
  }
}

const routes = {
  /** `uses` times one after another, with something else between. */
  async use(pool, { uses = 1, seconds = 0 }) {
    const pids = [];
    for (let use = 0; use < uses; use++) {
      if (use > 0) await sleep(1);
      pids.push(await pool.use((client) => ask(client, seconds)));
    }
    return { pids };
  },

  /** One use without questions. */
  async touch(pool) {
    await pool.use(({ owner }) => void (owner !== running.getStore() && foreign++));
    return {};
  },

  /** `uses` at once. */
  async useTogether(pool, { uses, seconds = 0 }) {
    const pids = await Promise.all(Array.from({ length: uses }, () => pool.use((client) => ask(client, seconds))));
    return { pids, stats: pool.stats() };
  },

  /** Checks out and keeps the lease until it is released by name. */
  async hold(pool, { as, till = as }) {
    const lease = await pool.connect();
    const before = await ask(lease.connection);
    held.set(as, lease);
    await until(() => released.has(till));
    const after = await ask(lease.connection);
    await lease.close();
    const again = await pool.use((client) => ask(client));
    return { pids: [before, after, again], stats: pool.stats() };
  },

  release(_pool, { as }) {
    released.add(as);
    return {};
  },

  /** How many leases were checked out under names that begin so. */
  held: (_pool, { as }) => ({ count: [...held.keys()].filter((name) => name.startsWith(as)).length }),

  /** Ends with its lease out. */
  async leave(pool, { as }) {
    const lease = await pool.connect();
    held.set(as, lease);
    return { pids: [await ask(lease.connection)] };
  },

  /** Throws with its lease out. */
  async throw(pool, { as }) {
    const lease = await pool.connect();
    await lease.connection.query("BEGIN");
    held.set(as, lease);
    throw new Error("thrown on purpose");
  },

  /** Never answers, its lease out in an open transaction. */
  async hang(pool, { as }) {
    const lease = await pool.connect();
    await lease.connection.query("BEGIN");
    held.set(as, lease);
    await new Promise(() => {});
  },

  /** Never answers, on a connection without a socket: the runtime finds that out and shoots it. */
  async hangIdle(pool, { as }) {
    held.set(as, await pool.connect());
    await new Promise(() => {});
  },

  /**
   * Runs `path` as a request of its own and, once it holds its lease, gives it up as a client that disconnects does.
   */
  async kill(_pool, { path, as }) {
    const gone = new AbortController();
    const answer = env.SELF.fetch(`http://self${path}`, { signal: gone.signal });
    answer.catch(() => {});
    await until(() => held.has(as));
    gone.abort();
    return {};
  },

  /** How a lease that may be another caller's answers its use. */
  borrow: (_pool, { as }) => attempt(() => held.get(as).connection),

  /** And to the rest. */
  async meddle(_pool, { as }) {
    const lease = held.get(as);
    return {
      close: await attempt(() => lease.close()),
      invalidate: await attempt(() => lease.invalidate(new Error("not mine"))),
      detach: await attempt(() => lease.detach()),
    };
  },

  /** The key that the caller gives. */
  async explicit(pool, { uses = 2 }, key) {
    const pids = [];
    for (let use = 0; use < uses; use++) pids.push(await pool.use((client) => ask(client), { scope: key }));
    return { pids };
  },

  /** Keeps what only this invocation has, for others to give as their own. */
  async lendKey(pool, { as }, key) {
    held.set(as, { key });
    await pool.use((client) => ask(client), { scope: key });
    await until(() => released.has(as));
    return { pids: [await pool.use((client) => ask(client), { scope: key })] };
  },

  /** Gives the key of another request. */
  async wrongKey(pool, { as }) {
    const { key } = held.get(as);
    const pids = [];
    for (let use = 0; use < 2; use++) pids.push(await pool.use((client) => ask(client), { scope: key }));
    return { pids };
  },

  /** Waits for what is never returned. */
  async waitInVain(pool) {
    const lease = await pool.connect();
    const second = await attempt(() => pool.connect());
    return { second, owner: lease.connection.owner };
  },

  /** Waits with no limit for what this request returns later. */
  async waitForever(pool) {
    const lease = await pool.connect();
    const second = pool.connect({ timeout: null });
    await sleep(20);
    await lease.close();
    await (await second).close();
    return { waited: pool.stats().waited };
  },

  stats: (pool) => ({ current: pool.stats(), all: pool.stats({ scope: "all" }), status: pool.status() }),
  statsAtModuleScope: () => atModuleScope,

  async close(pool, { timeout }) {
    await pool.close({ timeout });
    return { closed: pool.closed };
  },

  async dispose(pool) {
    await pool.dispose();
    return {};
  },

  invalidateAll(pool) {
    pool.invalidateAll(new Error("the server has moved"));
    return {};
  },

  /** Uses the pool, lets a request of its own do `path`, and tries again. */
  async useAround(pool, { path }) {
    const before = await pool.use((client) => ask(client));
    const between = await env.SELF.fetch(`http://self${path}`);
    await between.text();
    const after = await attempt(() => pool.use((client) => ask(client)));
    const pids = after.value === undefined ? [before] : [before, await pool.use((client) => ask(client))];
    return { pids, after, stats: pool.stats() };
  },

  /** Checks out, lets a request of its own do `path`, and goes on with the lease. */
  async holdAround(pool, { path }) {
    const lease = await pool.connect();
    const before = await ask(lease.connection);
    const between = await env.SELF.fetch(`http://self${path}`);
    await between.text();
    const after = await ask(lease.connection);
    await lease.close();
    return { pids: [before, after], next: await attempt(() => pool.use((client) => ask(client))) };
  },

  /** Everything counted since the start, or since it was last asked. */
  tally() {
    const answer = { opened: Object.fromEntries(opened), foreign, swallowed: swallowed.splice(0) };
    opened.clear();
    foreign = 0;
    return answer;
  },
};

async function answer(owner, url, key) {
  const { pool, ...parameters } = Object.fromEntries(url.searchParams);
  const route = routes[url.pathname.split("/").at(-1)];
  return running.run(owner, async () => {
    try {
      return Response.json({ owner, ...(await route(pools[pool], parameters, key)) });
    } catch (error) {
      if (error.message === "thrown on purpose") throw error;
      return Response.json({ owner, error: told(error) }, { status: 500 });
    }
  });
}

export class Holder extends DurableObject {
  fetch(request) {
    const url = new URL(request.url);
    return answer(`object ${url.pathname.split("/")[2]}`, url, this.ctx);
  }
}

export default {
  fetch(request, _env, ctx) {
    const url = new URL(request.url);
    const [, first, name] = url.pathname.split("/");
    if (first === "object") return env.HOLDER.get(env.HOLDER.idFromName(name)).fetch(request);
    return answer(`request ${++requests}`, url, ctx);
  },
};
