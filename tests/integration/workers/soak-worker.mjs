// The Worker of soak.test.mjs: sends itself as many requests as the test wants, one in ten of which ends badly, each
// time in another way and with its lease out. It counts what came of them, and says how much memory its pools have.

// Before edgepool, of which it notes the instance.
import { memory } from "./instance-memory.mjs";
import { env, RpcTarget, tracing, WorkerEntrypoint } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

const options = { poolSize: 1, maxOverflow: 0, timeout: "30s" };
const pools = {
  scripted: new QueuePool(() => {
    // Throws in another context, as a socket does.
    const socket = new WebSocketPair()[0];
    return { query: async () => void socket.readyState, rollback() {}, close() {} };
  }, options),
  postgres: new QueuePool(
    async () => {
      const client = new Client({ connectionString: env.DATABASE_URL, application_name: "soak" });
      client.on("error", () => {});
      await client.connect();
      return client;
    },
    { ...options, dialect: pg },
  ),
};

/** Resolved by each request that is to be given up, once it holds its lease. */
const holding = new Set();
/** Is never aborted, and known to every request. */
const never = new AbortController();
/** What disturbed requests have not given back, so that nothing is collected for want of a holder. */
const kept = [];

const use = (pool) => pool.use((connection) => connection.query("SELECT 1"));

/** What a request does, by its ending. */
const endings = {
  async well(pool) {
    await use(pool);
    await use(pool);
  },
  async spans(pool) {
    await tracing.enterSpan("one", () => use(pool));
    await tracing.enterSpan("two", () => tracing.enterSpan("within", () => use(pool)));
  },
  async thrown(pool) {
    const lease = await pool.connect();
    await lease.connection.query("BEGIN");
    throw new Error("thrown on purpose");
  },
  async forgotten(pool) {
    await (await pool.connect()).connection.query("BEGIN");
  },
  /**
   * Its client gives it up: it holds a lease, and two more callers of its own wait, one with a signal that outlives it.
   */
  async givenUp(pool, id) {
    const lease = await pool.connect();
    void Promise.allSettled([use(pool), pool.connect({ signal: never.signal })]);
    holding.add(id);
    await new Promise(() => {});
    await lease.close();
  },
  /** Shot as hung where nothing else is under way. */
  async hung(pool) {
    kept[0] = await pool.connect();
    await new Promise(() => {});
  },
};

/** One in ten ends badly, each in its turn. The others are of several kinds. */
function endingOf(number, kinds, disturbed) {
  return number % 10 === 0 ? disturbed[(number / 10) % disturbed.length] : kinds[number % kinds.length];
}

/** Requests that are entered several times. */
const sessions = {
  async socket(pool) {
    const { webSocket } = await env.SELF.fetch(`http://self/socket?pool=${pool}`, {
      headers: { upgrade: "websocket" },
    });
    webSocket.accept();
    for (let message = 0; message < 3; message++) {
      const answer = new Promise((resolve) => webSocket.addEventListener("message", resolve, { once: true }));
      webSocket.send("x");
      if ((await answer).data !== "well") return "failed";
    }
    webSocket.close();
    return "answered";
  },
  async rpc(pool) {
    using session = await env.SERVICE.session(pool);
    for (let call = 0; call < 3; call++) await session.use();
    return "answered";
  },
};

class Session extends RpcTarget {
  #pool;
  constructor(pool) {
    super();
    this.#pool = pool;
  }
  use() {
    return use(this.#pool).then(() => {});
  }
}

export class Service extends WorkerEntrypoint {
  session(pool) {
    return new Session(pools[pool]);
  }
}

function socket(pool) {
  const [theirs, ours] = Object.values(new WebSocketPair());
  ours.accept();
  ours.addEventListener("message", () => {
    use(pool).then(
      () => ours.send("well"),
      (error) => ours.send(String(error)),
    );
  });
  return new Response(null, { status: 101, webSocket: theirs });
}

async function one(pool, ending, id) {
  if (ending in sessions) return await sessions[ending](pool).catch(() => "failed");
  const gone = new AbortController();
  const answer = env.SELF.fetch(
    `http://self/one?pool=${pool}&ending=${ending}&id=${id}`,
    ending === "givenUp" ? { signal: gone.signal } : undefined,
  ).then(
    ({ ok }) => (ok ? "answered" : "failed"),
    () => "failed",
  );
  if (ending === "givenUp") {
    while (!holding.has(id)) await new Promise((resolve) => setTimeout(resolve, 1));
    holding.delete(id);
    gone.abort();
  }
  return answer;
}

/** `count` requests, `together` at any time. */
async function batch({ pool, first, count, together, kinds, disturbed }) {
  const tally = { answered: 0, failed: 0 };
  const end = Number(first) + Number(count);
  let next = Number(first);
  const client = async () => {
    for (let id = next++; id < end; id = next++) {
      const ending = endingOf(id, kinds.split(","), disturbed.split(","));
      tally[await one(pool, ending, id)]++;
    }
  };
  await Promise.all(Array.from({ length: together }, client));
  return tally;
}

export default {
  async fetch(request) {
    const url = new URL(request.url);
    const parameters = Object.fromEntries(url.searchParams);
    switch (url.pathname) {
      case "/one":
        await endings[parameters.ending](pools[parameters.pool], Number(parameters.id));
        return new Response();
      case "/socket":
        return socket(pools[parameters.pool]);
      case "/batch":
        return Response.json(await batch(parameters));
      default:
        // What finalisation leaves behind is garbage, too.
        for (let round = 0; round < 3; round++) {
          globalThis.gc();
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        return Response.json({
          wasm: memory.buffer.byteLength,
          stats: pools[parameters.pool].stats({ scope: "all" }),
        });
    }
  },
};
