// npm run soak: 100,000 checkouts with 10,000 kills, on PostgreSQL and on MariaDB.
//
// Options: --quick (a fiftieth), --server=postgres, --seed=1, --write (a whole run becomes docs/soak.md).

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { documentPath, figuresOf, render } from "./document.mjs";
import { servers } from "./servers.mjs";
import { Broken, Soak } from "./soak.mjs";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    server: { type: "string" },
    seed: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const seed = Number(options.seed ?? Date.now() % 1_000_000);
const size = options.quick
  ? { checkouts: 2_000, kills: 200, pauses: 2 }
  : { checkouts: 100_000, kills: 10_000, pauses: 10 };

const results = [];
for (const [name, start] of Object.entries(servers)) {
  if (options.server !== undefined && options.server !== name) continue;
  const server = await start();
  if (server === undefined) continue;
  console.log(`${server.version}, seed ${seed}`);
  const began = Date.now();
  const soak = new Soak(server, seed);
  try {
    const tally = await soak.run({
      ...size,
      onPause: (checkouts, killed) => console.log(`  ${checkouts} checkouts, ${killed} kills: all well`),
    });
    results.push({ server: server.name, version: server.version, seed, tally });
    console.log(JSON.stringify(tally, null, 2));
    console.log(`${server.name}: nothing lost, left or passed on, in ${Math.round((Date.now() - began) / 1000)} s`);
  } catch (error) {
    console.error(
      `BROKEN ${error instanceof Broken ? error.message : `seed ${seed}, step ${soak.step}: ${error.stack}`}`,
    );
    process.exitCode = 1;
  }
  await server.stop();
}
// The connections of a pool that is broken would keep the process.
if (process.exitCode !== undefined) process.exit();
if (options.write) {
  if (options.quick || results.length < Object.keys(servers).length) throw new Error("--write takes a whole run");
  writeFileSync(documentPath, render(figuresOf(results)));
}
