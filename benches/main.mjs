// npm run bench: edgepool beside five pools of npm and two floors written for the purpose. A benchmark, not a test.
//
// One process measures all of them in turn: each keeps one live pool for a scenario, warmed up; in every round each runs
// once, in an order that rotates and alternates its direction, after a collection of the others' garbage. Medians are
// compared. Absolute figures move by a factor of two between processes; ratios within one run are what counts.
//
// Only what some peers do in more than linear time runs apart: each peer tries (c) and (d) once in a process of its own,
// which is killed after 20 s and shown as slower than that. Who needs less than 3 s is then measured here with the others;
// of the rest the one round stands, marked "apart". The bytes of a waiter come from processes of their own, too.
//
// Options: --quick (fewer rounds, 5 s instead of 20 s), --only=a,steps,b,use,c,d,e, --write (a whole run becomes
// docs/speed-comparison.md).

import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { contestants } from "./adapters.mjs";
import { runApart } from "./apart.mjs";
import { documentPath, figuresOf, render } from "./document.mjs";
import { report } from "./report.mjs";
import { prepare, scenarios, settle, warm } from "./scenarios.mjs";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
if (options.write && (options.quick || options.only !== undefined))
  throw new Error("--write wants a whole run: without --quick and --only");
const limitMs = options.quick ? 5000 : 20_000;
const longestHereMs = 3000;

// pg-pool's timers do not keep a process alive, not even for those who wait.
setInterval(() => {}, 60_000);

const wanted =
  options.only === undefined
    ? undefined
    : new Set(options.only.split(",").flatMap((id) => (id === "e" ? ["c1000", "c"] : [id])));
for (const id of wanted ?? []) {
  if (!scenarios.some((scenario) => scenario.id === id))
    throw new Error(`--only: there is no scenario ${id}; there are a, steps, b, use, c, d, e`);
}

const results = {
  date: new Date().toISOString(),
  node: process.version,
  v8: process.versions.v8,
  platform: `${process.platform} ${process.arch}`,
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  load: loadavg(),
  quick: options.quick,
  scenarios: [],
  bytes: {},
};
const started = performance.now();
const libraries = new Map();
for (const contestant of contestants) libraries.set(contestant, await contestant.load());

if (wanted === undefined || wanted.has("c")) {
  for (const { name } of contestants) {
    note(`bytes per waiter: ${name}`);
    results.bytes[name] = (await runApart({ contestant: name, what: "bytes" }, limitMs)).value;
  }
}
for (const scenario of scenarios) {
  if (wanted === undefined || wanted.has(scenario.id)) results.scenarios.push(await measure(scenario));
}
results.seconds = (performance.now() - started) / 1000;
note("");
report(results);
if (options.write) writeFileSync(documentPath, render(figuresOf(results)));
process.exit(0);

async function measure(scenario) {
  const outcomes = {};
  const here = [];
  for (const contestant of contestants) {
    const trial = scenario.apart && contestant.kind === "peer" ? await tryApart(scenario, contestant) : undefined;
    if (trial !== undefined) outcomes[contestant.name] = trial;
    else here.push(prepare(contestant, libraries.get(contestant), scenario));
  }
  const samples = await inTurn(
    scenario,
    here.filter(({ can }) => can),
  );
  for (const [name, values] of samples) outcomes[name] = { samples: values };
  for (const { pool, kept } of here) {
    if (kept !== undefined) await pool.release(kept[0]);
    await pool.close();
  }
  const { id, title, connections, count, batch, clock = "wall" } = scenario;
  return { id, title, connections, count, batch, clock, outcomes };
}

/** The outcome of one round in a process of its own, or undefined where it was quick enough for this one. */
async function tryApart({ id, count, title }, { name }) {
  note(`${title}: ${name}, apart`);
  const { value, stopped } = await runApart({ contestant: name, what: id }, limitMs);
  if (stopped) return { slowerThan: (limitMs * 1e6) / count };
  return value * count > longestHereMs * 1e6 ? { samples: [value], apart: true } : undefined;
}

/** Nanoseconds per operation of every round, by name. */
async function inTurn(scenario, pairs) {
  const rounds = options.quick ? Math.ceil(scenario.rounds / 5) : scenario.rounds;
  const warmUp = scenario.count > 20_000 ? 1 : 3;
  const samples = new Map(pairs.map(({ contestant }) => [contestant.name, []]));
  for (const pair of pairs) pair.kept = await warm(pair.pool, scenario.connections);
  for (let round = -warmUp; round < rounds; round++) {
    note(`${scenario.title}: ${round < 0 ? "warming up" : `round ${round + 1} of ${rounds}`}`);
    for (const pair of inOrder(pairs, round + warmUp)) {
      await settle(pair, scenario);
      const value = await pair.measure();
      if (round >= 0) samples.get(pair.contestant.name).push(value);
    }
  }
  return samples;
}

/** Everybody comes after everybody else sooner or later. */
function inOrder(pairs, round) {
  const first = (round >> 1) % pairs.length;
  const rotated = [...pairs.slice(first), ...pairs.slice(0, first)];
  return round % 2 === 0 ? rotated : rotated.toReversed();
}

/** One line of progress, where somebody watches. */
function note(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
