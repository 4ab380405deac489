// npm run bench: edgepool beside five pools of npm and two floors written for the purpose. It is a benchmark, not a
// test.
//
// One process measures all of them in turn. Each has one live pool for a scenario, which is warmed up first. In every
// round each runs once, in an order that rotates and alternates its direction, after a collection of the others'
// garbage. Medians are compared. Absolute figures move by a factor of two between processes; compare only ratios within
// one run.
//
// What some peers do in more than linear time runs apart. Each peer tries (c) and (d) once in a process of its own,
// which is killed after 20 s and shown as slower than that. A peer that needs less than 3 s is then measured here with
// the others. For the rest the one round stands, marked "apart". The bytes of a waiter come from processes of their
// own, too.
//
// Two parts measure more than speed: growth.mjs and start.mjs.
//
// Options: --quick (fewer rounds, 5 s instead of 20 s), --only=a,steps,b,use,sync,useSync,c,d,e,growth,start, --write
// (a whole run becomes docs/speed-comparison.md), --beside=FOLDER (another checkout instead of all that, see
// beside.mjs; --only takes a,b,c,d,use,steps,rb,as).

import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { contestants } from "./adapters.mjs";
import { runApart } from "./apart.mjs";
import { compareWith, comparedIds } from "./beside.mjs";
import { documentPath, figuresOf, render } from "./document.mjs";
import { measureGrowth } from "./growth.mjs";
import { report, reportBeside } from "./report.mjs";
import { closeAll, inTurn, note } from "./rounds.mjs";
import { prepare, scenarios } from "./scenarios.mjs";
import { measureStart } from "./start.mjs";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    write: { type: "boolean", default: false },
    beside: { type: "string" },
  },
});
const { quick } = options;
if (options.write && (quick || options.only !== undefined || options.beside !== undefined))
  throw new Error("--write needs a whole run: without --quick, --only and --beside");
const limitMs = quick ? 5000 : 20_000;
const longestHereMs = 3000;

// The timers of pg-pool do not keep a process alive, not even while callers wait.
setInterval(() => {}, 60_000);

const parts = options.beside === undefined ? [...scenarios.map(({ id }) => id), "e", "growth", "start"] : comparedIds;
const wanted = options.only?.split(",") ?? parts;
for (const id of wanted) {
  if (!parts.includes(id)) throw new Error(`--only: there is no part ${id}; there are ${parts.join(", ")}`);
}
const isWanted = (id) => wanted.includes(id) || (wanted.includes("e") && ["c1000", "c"].includes(id));

const results = {
  date: new Date().toISOString(),
  node: process.version,
  v8: process.versions.v8,
  platform: `${process.platform} ${process.arch}`,
  cpu: cpus()[0]?.model.trim(),
  cores: cpus().length,
  load: loadavg(),
  quick,
};
const started = performance.now();
if (options.beside !== undefined) results.beside = await compareWith(options.beside, { quick, wanted });
else await measureAll();
results.seconds = (performance.now() - started) / 1000;
note("");
if (options.beside !== undefined) reportBeside(results);
else report(results);
if (options.write) writeFileSync(documentPath, render(figuresOf(results)));
const lost = results.growth?.filter(({ lost }) => lost > 0) ?? [];
if (lost.length > 0) console.error(`closes were lost: ${lost.map(({ id, room }) => `${id} (${room})`).join(", ")}`);
process.exit(lost.length > 0 ? 1 : 0);

async function measureAll() {
  results.bytes = {};
  results.scenarios = [];
  if (isWanted("start")) results.start = measureStart({ quick });
  if (isWanted("c")) {
    for (const { name } of contestants) {
      note(`bytes per waiter: ${name}`);
      results.bytes[name] = (await runApart({ contestant: name, what: "bytes" }, limitMs)).value;
    }
  }
  const libraries = new Map();
  for (const contestant of contestants) libraries.set(contestant, await contestant.load());
  for (const scenario of scenarios)
    if (isWanted(scenario.id)) results.scenarios.push(await measure(scenario, libraries));
  if (isWanted("growth")) results.growth = await measureGrowth({ quick, limitMs });
}

async function measure(scenario, libraries) {
  const outcomes = {};
  const here = [];
  for (const contestant of contestants) {
    const trial = scenario.apart && contestant.kind === "peer" ? await tryApart(scenario, contestant) : undefined;
    if (trial !== undefined) outcomes[contestant.name] = trial;
    else here.push(prepare(contestant, libraries.get(contestant), scenario));
  }
  const able = here.filter(({ can }) => can);
  const samples = await inTurn(scenario, able, quick ? Math.ceil(scenario.rounds / 5) : scenario.rounds);
  for (const [name, values] of samples) outcomes[name] = { samples: values };
  await closeAll(here);
  const { id, title, connections, count, batch, clock = "wall" } = scenario;
  return { id, title, connections, count, batch, clock, outcomes };
}

/** Returns the outcome of one round in a process of its own, or undefined if it was quick enough for this one. */
async function tryApart({ id, count, title }, { name }) {
  note(`${title}: ${name}, apart`);
  const { value, stopped } = await runApart({ contestant: name, what: id }, limitMs);
  if (stopped) return { slowerThan: (limitMs * 1e6) / count };
  return value * count > longestHereMs * 1e6 ? { samples: [value], apart: true } : undefined;
}
