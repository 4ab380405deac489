// The Worker of requests.test.mjs: one pool at module scope, and one situation of a request for each path. Each answers
// with the server's process ids of its queries. requests-driver.mjs plays the other side.

import { AsyncLocalStorage } from "node:async_hooks";
import { env, RpcTarget, tracing, waitUntil, WorkerEntrypoint } from "cloudflare:workers";
import { QueuePool, SingletonThreadPool, StaticPool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

const open = async () => {
  const client = new Client({ connectionString: env.DATABASE_URL, application_name: env.NAME });
  client.on("error", () => {});
  await client.connect();
  return client;
};
const sizes = { dialect: pg, poolSize: 2, maxOverflow: 0 };
const pool = new QueuePool(open, sizes);
const stored = new AsyncLocalStorage();
const keyed = new QueuePool(open, { ...sizes, scope: () => stored.getStore() });
const kinds = {
  SingletonThreadPool: new SingletonThreadPool(open, { dialect: pg }),
  StaticPool: new StaticPool(open, { dialect: pg }),
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks which backend serves. A host whose runtime does not tell which request runs gets the request's `ctx`. */
async function backend(ctx) {
  const options = env.GIVES_CTX ? { scope: ctx } : {};
  const { rows } = await pool.use((client) => client.query("SELECT pg_backend_pid() AS pid"), options);
  return rows[0].pid;
}

async function times(count, run) {
  const pids = [];
  for (let time = 0; time < count; time++) {
    pids.push(await run(time));
    await sleep(5);
  }
  return pids;
}

/** What a situation leaves for a later request to read. */
const left = new Map();

const situations = {
  "/other": async (ctx) => [await backend(ctx)],
  "/plain": (ctx) => times(5, () => backend(ctx)),
  "/spans": (ctx) => times(10, () => tracing.enterSpan("query", () => backend(ctx))),
  "/nested-spans": (ctx) =>
    tracing.enterSpan("outer", () => times(5, () => tracing.enterSpan("inner", () => backend(ctx)))),
  "/parallel-spans": (ctx) =>
    Promise.all(Array.from({ length: 6 }, () => tracing.enterSpan("query", () => backend(ctx)))),
  "/spans-and-no-spans": (ctx) =>
    times(6, (time) => (time % 2 === 0 ? backend(ctx) : tracing.enterSpan("query", () => backend(ctx)))),
  "/keyed-spans": (ctx) =>
    stored.run(ctx, () =>
      times(6, () =>
        tracing.enterSpan("query", async () => {
          const { rows } = await keyed.use((client) => client.query("SELECT pg_backend_pid() AS pid"));
          return rows[0].pid;
        }),
      ),
    ),
  "/timers": (ctx) =>
    new Promise((resolve, reject) => {
      const pids = [];
      const next = () => {
        backend(ctx).then((pid) => {
          if (pids.push(pid) === 5) resolve(pids);
          else setTimeout(next, 5);
        }, reject);
      };
      setTimeout(next, 5);
    }),
  "/wait-until": async (ctx, { searchParams }) => {
    const first = await backend(ctx);
    waitUntil(
      (async () => {
        const later = await times(3, () => tracing.enterSpan("later", () => backend(ctx)));
        left.set(searchParams.get("id"), [first, ...later]);
      })(),
    );
    return [first];
  },
  "/left": async (_ctx, { searchParams }) => left.get(searchParams.get("id")) ?? [],
};

/** A transaction of the request, and a helper that uses the same pool in a span: is it inside? */
async function transaction(kind, ctx) {
  const options = env.GIVES_CTX ? { scope: ctx } : {};
  return await kinds[kind].use(async (client) => {
    await client.query("BEGIN");
    await client.query("CREATE TEMP TABLE mine (x int) ON COMMIT DROP");
    await sleep(20);
    const isInside = await tracing.enterSpan("helper", () =>
      kinds[kind].use(async (other) => {
        const { rows } = await other.query("SELECT to_regclass('mine') IS NOT NULL AS inside");
        return rows[0].inside;
      }, options),
    );
    await client.query("COMMIT");
    return isInside;
  }, options);
}

function socket(ctx) {
  const [theirs, ours] = Object.values(new WebSocketPair());
  ours.accept();
  ours.addEventListener("message", async () => {
    try {
      ours.send(String(await backend(ctx)));
    } catch (error) {
      ours.send(String(error));
    }
  });
  return new Response(null, { status: 101, webSocket: theirs });
}

/** Each chunk of the body is one query, asked for by the client's reading. */
function pulled(ctx) {
  let count = 0;
  const body = new ReadableStream({
    async pull(controller) {
      controller.enqueue(new TextEncoder().encode(`${await backend(ctx)} `));
      if (++count === 5) controller.close();
    },
  });
  return new Response(body);
}

export default {
  async fetch(request, _env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/socket") return socket(ctx);
    if (url.pathname === "/pull") return pulled(ctx);
    if (url.pathname === "/transaction") return Response.json(await transaction(url.searchParams.get("kind"), ctx));
    return Response.json(await situations[url.pathname](ctx, url));
  },
  async scheduled({ cron }, _env, ctx) {
    left.set(cron, await times(3, () => tracing.enterSpan("query", () => backend(ctx))));
  },
  async queue({ messages }, _env, ctx) {
    const pids = await times(messages.length, () => tracing.enterSpan("message", () => backend(ctx)));
    left.set(messages[0].body, pids);
  },
};

class Session extends RpcTarget {
  #ctx;
  constructor(ctx) {
    super();
    this.#ctx = ctx;
  }
  backend() {
    return backend(this.#ctx);
  }
}

/** What is called over RPC. */
export class Service extends WorkerEntrypoint {
  session() {
    return new Session(this.ctx);
  }
  async many(count) {
    return await times(count, () => backend(this.ctx));
  }
}

/** The request whose function is called back. */
export class Calling extends WorkerEntrypoint {
  async run(count) {
    return await this.env.CALLER.call(() => backend(this.ctx), count);
  }
}
