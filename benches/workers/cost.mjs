// What the first two connects of a request cost: CPU of the workerd process for each request, beside a request that
// does the same without a pool. Every round runs each kind of request once. Rounds are compared by their medians.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startWorkerd } from "../../tests/integration/workers/workerd.mjs";

export const kinds = ["/empty", "/connects", "/spans", "/connects-in-spans"];

/** Microseconds of CPU for a request of each kind, by round; undefined if the host does not tell a process's CPU. */
export async function measureCost({ rounds, requests }) {
  if (!existsSync("/proc/self/schedstat")) return undefined;
  const main = { entry: join(import.meta.dirname, "cost-worker.mjs"), durableObjects: { OTHER: "Other" } };
  const workerd = await startWorkerd({ workers: { main } });
  try {
    const samples = Object.fromEntries(kinds.map((kind) => [kind, []]));
    for (let round = -1; round < rounds; round++) {
      for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
        const before = cpuMicroseconds(workerd.pid);
        for (let request = 0; request < requests; request++) await workerd.ask(kind);
        if (round >= 0) samples[kind].push((cpuMicroseconds(workerd.pid) - before) / requests);
      }
    }
    return samples;
  } finally {
    await workerd.stop();
  }
}

function cpuMicroseconds(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => {
    const [nanoseconds] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
    return sum + Number(nanoseconds) / 1000;
  }, 0);
}
