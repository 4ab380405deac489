// @ts-check
// The half in WebAssembly: writes the nanoseconds of each round as JSON. Arguments: the folder with the glue, the
// rounds, and the cycles of each.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, rounds, cycles] = process.argv.slice(2);
const { initSync, Contestant } = await import(pathToFileURL(join(folder, "index.js")).href);
initSync({ module: new WebAssembly.Module(readFileSync(join(folder, "index_bg.wasm"))) });

const contestants = ["edgepool", "deadpool"].map((name, kind) => ({
  name,
  pool: new Contestant(kind),
  alone: /** @type {number[]} */ ([]),
  together: /** @type {number[]} */ ([]),
}));

/** Returns the nanoseconds of each cycle. */
async function time(run) {
  const start = performance.now();
  await run(Number(cycles));
  return ((performance.now() - start) * 1e6) / Number(cycles);
}

for (let round = 0; round < Number(rounds); round++) {
  for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
    const { pool } = contestant;
    contestant.alone.push(await time((count) => pool.alone(count)));
    contestant.together.push(await time((count) => pool.together(count)));
  }
}
console.log(JSON.stringify(contestants.map(({ name, alone, together }) => ({ name, alone, together }))));
