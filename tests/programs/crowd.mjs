// @ts-check
// Many connections that end in one call: by time, by dispose(), by close(), by their driver's word, by their records.
// Each is closed once, and the pool serves again.

import { VirtualClock } from "./clock.mjs";
import { Random } from "./random.mjs";
import { edgepool } from "./subject.mjs";

const { QueuePool } = edgepool;

const quiet = { debug() {}, info() {}, warn() {} };

/** How so many connections come to their end. */
const ends = {
  /** Idle for too long. */
  reap: (/** @type {Crowd} */ crowd) => crowd.giveBack(),
  dispose: (/** @type {Crowd} */ crowd) => crowd.giveBack().then(() => crowd.pool.dispose()),
  "dispose with leases out": (/** @type {Crowd} */ crowd) => {
    void crowd.pool.dispose();
    return crowd.giveBack();
  },
  "close without patience": (/** @type {Crowd} */ crowd) => crowd.pool.close({ timeout: 0 }),
  "close at the end of its patience": (/** @type {Crowd} */ crowd) => crowd.pool.close({ timeout: "1s" }),
  "close with everything idle": (/** @type {Crowd} */ crowd) => crowd.giveBack().then(() => crowd.pool.close()),
  "death of all idle": async (/** @type {Crowd} */ crowd) => {
    await crowd.giveBack();
    for (const died of crowd.watchers.splice(0)) died(new Error("the server is gone"));
  },
  invalidate: (/** @type {Crowd} */ crowd) =>
    Promise.all(crowd.leases.splice(0).map((lease) => lease.invalidate(new Error("broken")))),
  "records closed": async (/** @type {Crowd} */ crowd) => {
    const records = crowd.leases.map(({ record }) => record);
    await crowd.giveBack();
    await Promise.all(records.map((record) => record?.close()));
  },
};

class Crowd {
  clock = new VirtualClock();
  opened = 0;
  closed = 0;
  closedTwice = 0;
  errors = /** @type {string[]} */ ([]);
  /** @type {import("edgepool").PooledConnection<any>[]} */
  leases = [];
  /** @type {((error: unknown) => void)[]} */
  watchers = [];

  constructor(/** @type {number} */ count, /** @type {boolean} */ isAsync, /** @type {boolean} */ listens) {
    const error = (/** @type {string} */ message, /** @type {any} */ cause) =>
      void this.errors.push(`${message}: ${cause?.message}`);
    this.pool = new QueuePool(() => ({ id: ++this.opened, ends: 0 }), {
      poolSize: count,
      maxOverflow: 0,
      idleTimeout: "30s",
      clock: this.clock.forPool,
      logger: { ...quiet, error },
      dialect: {
        doRollback: () => {},
        doClose: (connection) => this.#end(connection, isAsync),
        onDisconnect: (_connection, died) => (this.watchers.push(died), () => {}),
      },
      events: listens ? { close() {}, checkin() {}, invalidate: () => Promise.resolve() } : {},
    });
  }

  /** @returns {unknown} */
  #end(/** @type {{ ends: number }} */ connection, /** @type {boolean} */ isAsync) {
    if (++connection.ends > 1) this.closedTwice++;
    if (!isAsync) return void this.closed++;
    return Promise.resolve().then(() => void this.closed++);
  }

  async fill(/** @type {number} */ count) {
    for (let number = 0; number < count; number++) this.leases.push(await this.pool.connect());
  }

  giveBack() {
    return Promise.all(this.leases.splice(0).map((lease) => lease.close()));
  }

  async pass(/** @type {number} */ ms) {
    const end = this.clock.elapsed + ms;
    while (this.clock.runNext(end)) await settled();
    this.clock.elapsed = end;
    await settled();
  }
}

async function settled() {
  for (let turn = 0; turn < 20; turn++) await null;
  await new Promise((resolve) => setImmediate(resolve));
}

/** Runs one crowd, and answers what was wrong, or undefined. */
export async function runCrowd(/** @type {number} */ seed) {
  const random = new Random(seed);
  const names = Object.keys(ends);
  const how = /** @type {keyof typeof ends} */ (names[seed % names.length]);
  const count = 6_000 + random.below(3_000);
  const isAsync = random.chance(0.4);
  const listens = random.chance(0.3);
  const crowd = new Crowd(count, isAsync, listens);
  await crowd.fill(count);
  let isOver = false;
  void Promise.resolve(ends[how](crowd)).then(() => (isOver = true));
  await settled();
  await crowd.pass(41_000);
  const detail = `${how}, ${count} connections, ${isAsync ? "asynchronous" : "synchronous"} closes`;
  const wrong = (/** @type {string} */ what) => ({
    rule: "a crowd of closes loses nothing",
    detail: `${detail}: ${what}`,
  });
  const { opened, closed, closedTwice, errors, pool } = crowd;
  if (!isOver) return wrong(`it never ends; ${opened} opened, ${closed} closed`);
  if (errors.length > 0) return wrong(`${errors.length} errors, such as ${errors[0]}`);
  if (closed !== opened || closedTwice > 0) return wrong(`${opened} opened, ${closed} closed, ${closedTwice} twice`);
  const { used, opening, closing, idle } = pool.stats();
  if (used + opening + closing + idle > 0) return wrong(JSON.stringify({ used, opening, closing, idle }));
  if (!pool.closed) {
    void pool.connect().then((lease) => lease.close());
    await settled();
    if (crowd.opened === opened) return wrong("the pool does not serve again");
    void pool.close();
  }
  void crowd.giveBack();
  await crowd.pass(31_000);
  if (crowd.closed !== crowd.opened || crowd.clock.size > 0)
    return wrong(`in the end ${crowd.opened} opened, ${crowd.closed} closed, ${crowd.clock.size} timers`);
  return undefined;
}
