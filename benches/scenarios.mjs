// What is measured. Each scenario runs `count` operations on a warm pool and answers the nanoseconds that they took, by the
// clock it is given. A round holds some fixed number of operations; what is compared is its time divided by them.
//
// The functions here are templates: every contestant gets a copy of its own, compiled from their source, together with its
// adapter. Shared ones would collect the types of all contestants, and whoever ran first would be the fastest.

/** One caller at a time, who always finds a connection. The return is awaited, here and in all that follows. */
async function checkoutAndReturn(pool, { count }, clock) {
  const start = clock();
  for (let i = 0; i < count; i++) {
    const lease = await pool.acquire();
    await pool.release(lease);
  }
  return clock() - start;
}

/** The same through the pool's own use(), with an async function that does nothing. */
async function use(pool, { count, work }, clock) {
  const start = clock();
  for (let i = 0; i < count; i++) await pool.use(work);
  return clock() - start;
}

/** A batch of tasks is started at once, and each checks out and returns one connection. */
async function contend(pool, { count, batch }, clock) {
  async function task() {
    const lease = await pool.acquire();
    await pool.release(lease);
  }
  const tasks = new Array(batch).fill(undefined);
  const start = clock();
  for (let i = 0; i < count; i += batch) {
    for (let j = 0; j < batch; j++) tasks[j] = task();
    await Promise.all(tasks);
  }
  return clock() - start;
}

/** With all connections lent, a batch of waiters is queued; then all is returned, and each waiter returns what it gets. */
async function queueAndDrain(pool, { count, batch, connections }, clock) {
  const waiters = new Array(batch).fill(undefined);
  const held = [];
  let elapsed = 0;
  for (let i = 0; i < count; i += batch) {
    for (let j = 0; j < connections; j++) held[j] = await pool.acquire();
    const start = clock();
    for (let j = 0; j < batch; j++) waiters[j] = pool.acquire();
    for (const lease of held) await pool.release(lease);
    for (let j = 0; j < batch; j++) {
      const lease = await waiters[j];
      waiters[j] = undefined;
      await pool.release(lease);
    }
    elapsed += clock() - start;
  }
  return elapsed;
}

/** The same, but every second waiter is cancelled when all are queued. It counts that exactly they are rejected. */
async function cancelAndDrain(pool, { count, connections }, clock) {
  const waiters = new Array(count / 2).fill(undefined);
  const held = [];
  for (let j = 0; j < connections; j++) held[j] = await pool.acquire();
  let cancelled = 0;
  let tellAll;
  const all = new Promise((resolve) => (tellAll = resolve));
  const reject = () => {
    if (++cancelled === count / 2) tellAll();
  };
  const resolve = () => {
    throw new Error("a cancelled waiter got a connection");
  };
  const start = clock();
  for (let j = 0; j < count / 2; j++) {
    waiters[j] = pool.acquire();
    void pool.acquireToCancel().then(resolve, reject);
  }
  pool.cancel();
  await all;
  for (const lease of held) await pool.release(lease);
  for (let j = 0; j < count / 2; j++) {
    const lease = await waiters[j];
    waiters[j] = undefined;
    await pool.release(lease);
  }
  return clock() - start;
}

/**
 * `apart`: superlinear in some peers, so each peer tries it once in a process of its own first (apart.mjs). `steps`: edgepool
 * has a listener to call at every checkout and a rollback at every return; the floor has neither.
 */
export const scenarios = [
  {
    id: "a",
    title: "(a) uncontended checkout and return",
    run: checkoutAndReturn,
    connections: 2,
    count: 10_000,
    rounds: 101,
  },
  {
    id: "steps",
    title: "(a) with a checkout listener and a rollback, both sync",
    run: checkoutAndReturn,
    connections: 2,
    count: 10_000,
    rounds: 51,
    steps: true,
    among: ["edgepool", "floor"],
  },
  {
    id: "b",
    title: "(b) 1,000 tasks over 10 connections",
    run: contend,
    connections: 10,
    count: 10_000,
    batch: 1000,
    rounds: 101,
  },
  {
    id: "use",
    title: "use(), uncontended",
    run: use,
    connections: 2,
    count: 10_000,
    rounds: 51,
    work: async () => {},
    needs: "use",
  },
  {
    id: "c1000",
    title: "(e) 1,000 waiters queued, then drained",
    run: queueAndDrain,
    connections: 10,
    count: 10_000,
    batch: 1000,
    rounds: 51,
  },
  {
    id: "c",
    title: "(c) 100,000 waiters queued, then drained",
    run: queueAndDrain,
    connections: 10,
    count: 100_000,
    batch: 100_000,
    rounds: 9,
    apart: true,
    leavesOldGarbage: true,
  },
  {
    id: "d",
    title: "(d) the same, every second one cancelled; CPU time",
    run: cancelAndDrain,
    connections: 10,
    count: 100_000,
    rounds: 5,
    clock: "cpu",
    apart: true,
    leavesOldGarbage: true,
    needs: "acquireToCancel",
  },
];

const clocks = {
  wall: () => Number(process.hrtime.bigint()),
  /** All threads of the process: with it the wait for a time-out does not count, and a collection on another core does. */
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) * 1000;
  },
};

/** A pool of the contestant, with one connection to spare (see warm), and the scenario on it, compiled for this pair alone. */
export function prepare(contestant, library, scenario) {
  const pair = `${contestant.name}, ${scenario.id}`;
  const pool = compile(contestant.adapt, pair)(library, scenario.connections + 1, scenario.steps);
  const run = compile(scenario.run, pair);
  const clock = clocks[scenario.clock ?? "wall"];
  return {
    contestant,
    pool,
    can:
      (scenario.needs === undefined || pool[scenario.needs] !== undefined) &&
      (scenario.among?.includes(contestant.name) ?? true),
    measure: async (sizes = scenario) =>
      (await run(pool, { ...scenario, ...sizes }, clock)) / (sizes.count ?? scenario.count),
  };
}

/**
 * Opens the pool's connections. Answers two leases to be kept as long as the pool is measured, one in use and one ended: no
 * busy process is without a lease when a collection comes, and one without forgets their hidden class (see settle).
 */
export async function warm(pool, connections) {
  const held = [];
  for (let i = 0; i <= connections; i++) held.push(await pool.acquire());
  for (const lease of held.slice(1)) await pool.release(lease);
  return held.slice(0, 2);
}

function compile(template, pair) {
  return new Function(`// for ${pair} alone\nreturn (${template});`)();
}

/**
 * Collects the garbage of whoever ran before, and lets the contestant run a little without counting it.
 *
 * After short runs the young generation is enough. A full collection would also forget the hidden classes of which no
 * object happens to live, and with them all code that was optimized for them: what comes next would be measured cold, most
 * peers at half their speed. Where it must be, 10,000 operations follow that do not count.
 */
export async function settle(pair, { leavesOldGarbage }) {
  await collect(leavesOldGarbage ? "major" : "minor");
  await pair.measure({ count: leavesOldGarbage ? 10_000 : 1000, batch: 1000 });
}

/** After finalizers and timers had their turn. */
export async function collect(type) {
  await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc({ type });
}
