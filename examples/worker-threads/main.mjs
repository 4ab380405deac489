// Counts primes in threads, while this thread stays free. One job takes too long, and costs its thread.
// node examples/worker-threads/main.mjs

import { runIn, threadPool } from "./threads.mjs";

const pool = threadPool(new URL("primes.mjs", import.meta.url), { poolSize: 2 });
try {
  const limits = [10, 1_000, 100_000, 200_000];
  const counts = await Promise.all(limits.map((below) => runIn(pool, { below })));
  limits.forEach((below, at) => console.log(`${counts[at]} primes below ${below}`));
  await runIn(pool, { below: Infinity }, 100).catch(({ message }) => console.log(message));
  await runIn(pool, { below: "many" }).catch(({ message }) => console.log(message));
  console.log(`${await runIn(pool, { below: 100 })} primes below 100`);
} finally {
  await pool.close();
}
