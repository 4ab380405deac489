// The Worker of soak.test.mjs: sends itself as many requests as the test wants, one in ten of which ends badly, each
// time in another way and with its lease out. It counts what came of them, and says how much memory its pools have.

// Before edgepool, of which it notes the instance.
import { memory } from "./instance-memory.mjs";
import { env } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

const options = { poolSize: 1, maxOverflow: 0, timeout: "30s" };
const pools = {
  scripted: new QueuePool(() => ({ query: () => Promise.resolve(), rollback() {}, close() {} }), options),
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

/** One in ten ends badly, each in its turn. */
function endingOf(number, disturbed) {
  return number % 10 === 0 ? disturbed[(number / 10) % disturbed.length] : "well";
}

async function one(pool, ending, id) {
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
async function batch({ pool, first, count, together, disturbed }) {
  const tally = { answered: 0, failed: 0 };
  const end = Number(first) + Number(count);
  let next = Number(first);
  const client = async () => {
    for (let id = next++; id < end; id = next++) tally[await one(pool, endingOf(id, disturbed.split(",")), id)]++;
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
