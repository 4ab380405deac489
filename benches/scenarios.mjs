// The scenarios. Each runs `count` operations on a warm pool and returns the nanoseconds that they took, by the clock
// that it is given. Contestants are compared by the time of one operation.
//
// The functions here are templates: every contestant gets a copy of its own, compiled from their source, together with
// its adapter. A shared function would collect the types of all contestants, and the first contestant would be the
// fastest.

/** Checks out and returns with one caller at a time; a connection is always idle. Every scenario awaits the return. */
async function checkoutAndReturn(pool, { count }, clock) {
  const start = clock();
  for (let i = 0; i < count; i++) {
    const lease = await pool.acquire();
    await pool.release(lease);
  }
  return clock() - start;
}

/** Calls the pool's own use() with an async function that does nothing. */
async function use(pool, { count, work }, clock) {
  const start = clock();
  for (let i = 0; i < count; i++) await pool.use(work);
  return clock() - start;
}

/** Calls the pool's own useSync() with a function that does nothing. */
async function useSync(pool, { count, work }, clock) {
  const start = clock();
  for (let i = 0; i < count; i++) pool.useSync(work);
  return clock() - start;
}

/** Starts a batch of tasks in one turn; each checks out and returns one connection. */
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

/** Lends all connections, queues a batch of waiters, returns all; each waiter returns the connection that it gets. */
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

/** Queues waiters as queueAndDrain() does, cancels every second one, and checks that exactly these are rejected. */
async function cancelAndDrain(pool, { count, connections }, clock) {
  const waiters = new Array(count / 2).fill(undefined);
  const held = [];
  for (let j = 0; j < connections; j++) held[j] = await pool.acquire();
  let cancelled = 0;
  let finish;
  const all = new Promise((resolve) => (finish = resolve));
  const reject = () => {
    if (++cancelled === count / 2) finish();
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
 * `apart`: some peers take more than linear time, so each peer first tries it once in a process of its own (apart.mjs).
 * `steps`: what edgepool calls at every checkout and return; the floor calls nothing.
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
    steps: "listenerAndRollback",
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
    id: "sync",
    title: "use() of an empty synchronous function",
    run: use,
    connections: 2,
    count: 10_000,
    rounds: 51,
    work: () => {},
    among: ["edgepool"],
  },
  {
    id: "useSync",
    title: "useSync() of the same function",
    run: useSync,
    connections: 2,
    count: 10_000,
    rounds: 51,
    work: () => {},
    needs: "useSync",
    among: ["edgepool"],
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
  /** Counts all threads of the process: not the wait for a time-out, but a garbage collection on another core. */
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) * 1000;
  },
};

/**
 * Makes a pool of the contestant with one connection to spare (see warm), and compiles the scenario for this pair
 * alone.
 */
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
 * Opens the pool's connections. Returns two leases, one in use and one ended, which the caller must keep as long as it
 * measures the pool. A garbage collection without any lease would make V8 forget their hidden class (see settle).
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
 * Collects the garbage of earlier contestants, and runs this one for a moment without counting it.
 *
 * After short runs, a collection of the young generation is enough. A full collection would also drop the hidden
 * classes that have no living object, with all code that was optimized for them. The next contestant would be measured
 * cold, most peers at half their speed. If a full collection is needed, 10,000 operations follow that are not counted.
 */
export async function settle(pair, { leavesOldGarbage }) {
  await collect(leavesOldGarbage ? "major" : "minor");
  await pair.measure({ count: leavesOldGarbage ? 10_000 : 1000, batch: 1000 });
}

/** Collects garbage after finalizers and timers have run. */
export async function collect(type) {
  await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc({ type });
}
