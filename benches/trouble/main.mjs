// npm run bench:trouble: what callers of a pool notice when their server, network or program is in trouble. Each run is
// a process of its own, with one contestant in one scenario. PostgreSQL and the proxy before it are two others. In each
// round each contestant runs once, in an order that rotates and alternates its direction.
//
// Options: --quick (one round, fewer scenarios), --only=kill,slow, --rounds=3, --pools=edgepool,pg.Pool, --codes (shows
// the errors by name), --write (a whole run becomes docs/trouble-comparison.md).

import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { inOrder, note } from "../rounds.mjs";
import { Admin } from "./admin.mjs";
import { Child } from "./child.mjs";
import { contestants, judged, measure } from "./contestants.mjs";
import { documentPath, figuresOf, render } from "./document.mjs";
import { printScenario, summarize } from "./report.mjs";
import { scenarios } from "./scenarios.mjs";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    pools: { type: "string" },
    rounds: { type: "string" },
    codes: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const quick = ["kill", "restart", "swallow25", "slow", "nat", "blockedPing"];
const chosen = chosenOf(scenarios, ({ id }) => id, options.only ?? (options.quick ? quick.join() : undefined));
const pools = chosenOf(contestants, ({ name }) => name, options.pools);
if (options.write && (chosen.length < scenarios.length || pools.length < contestants.length || rounds < 3))
  throw new Error("--write wants a whole run: every scenario and pool, three rounds");

const started = performance.now();
const server = await Child.start("server.mjs");
const { port, ...account } = await server.ask("options");
const proxy = await Child.start("proxy.mjs", String(port));
const admin = new Admin({ ...account, port });
try {
  const behindProxy = JSON.stringify({ ...account, port: await proxy.ask("listen") });
  await admin.prepare();
  const results = [];
  for (const scenario of chosen) {
    const runs = Object.fromEntries(pools.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const { name } of inOrder(pools, round)) {
        note(`${scenario.title}, round ${round + 1} of ${rounds}: ${name}`);
        runs[name].push(await runOnce(name, scenario, behindProxy));
      }
    }
    note("");
    results.push(summarize(scenario, runs));
    printScenario(results.at(-1), options);
  }
  const host = `${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}`;
  const seconds = (performance.now() - started) / 1000;
  console.log(`\n${host}, load ${loadavg()[0].toFixed(1)}, ${seconds.toFixed(0)} s, ratios to ${measure}`);
  const missed = results.flatMap(({ verdicts }) => verdicts).filter((reached) => reached === false).length;
  console.log(missed === 0 ? `${judged} reaches every bar` : `${judged} misses ${missed} bars`);
  if (options.write) writeFileSync(documentPath, render(figuresOf(results, host)));
} finally {
  await admin.end();
  await proxy.end();
  await server.end();
}

/** Returns what one run of a pool shows, beside its trouble. */
async function runOnce(name, { id, trouble, reports = {} }, behindProxy) {
  const child = await Child.start("run.mjs", name, id, behindProxy);
  let isOver = false;
  const around = { proxy, server, admin, sleep, isOver: () => isOver };
  for (const [what, act] of Object.entries(reports)) child.reports[what] = () => act(around);
  try {
    await child.ask("warm");
    await proxy.ask("count");
    const mostBackends = admin.watch(around.isOver);
    const troubled = trouble?.(around);
    const { outcomes, attempts } = await child.ask("load");
    isOver = true;
    await troubled;
    return { outcomes, attempts, backends: await mostBackends, ...(await proxy.ask("counted")) };
  } finally {
    isOver = true;
    await child.end();
    await admin.clear();
  }
}

function chosenOf(all, nameOf, list) {
  if (list === undefined) return all;
  const names = list.split(",");
  const unknown = names.filter((name) => !all.some((one) => nameOf(one) === name));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown}. There are ${all.map(nameOf)}`);
  return all.filter((one) => names.includes(nameOf(one)));
}
