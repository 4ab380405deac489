// What the start of a program costs: importing a pool, its first pool and its first lease, in CPU time and in memory at
// the peak. Each program of start/ is a whole process. All run in turn; a figure is the median over the rounds of the
// difference to the empty program of the same round.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { inOrder, note } from "./rounds.mjs";
import { median } from "./statistics.mjs";

export const programs = ["edgepool", "pg-pool", "generic-pool", "tarn"];
const rounds = 15;
/** The most that edgepool may cost, as a multiple of pg-pool. */
export const startBar = 1.5;

/**
 * Returns, by program, its CPU time in milliseconds and its bytes at the peak, both beyond those of the empty program.
 */
export function measureStart({ quick }) {
  const samples = [];
  for (let round = -1; round < (quick ? 5 : rounds); round++) {
    note(`start: round ${round + 1}`);
    const used = {};
    for (const name of inOrder(["empty", ...programs], round + 1)) used[name] = runProgram(name);
    // The first round fills the caches of the file system.
    if (round >= 0) samples.push(used);
  }
  const beyondEmpty = (name, what) => median(samples.map((used) => used[name][what] - used.empty[what]));
  return Object.fromEntries(
    programs.map((name) => [name, { cpuMs: beyondEmpty(name, "cpuMs"), peakBytes: beyondEmpty(name, "peakBytes") }]),
  );
}

function runProgram(name) {
  const folder = join(import.meta.dirname, "start");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--require", join(folder, "usage.cjs"), join(folder, `${name}.mjs`)],
    { encoding: "utf8", timeout: 60_000 },
  );
  if (status !== 0) throw new Error(`the program start/${name}.mjs failed: ${stderr}`);
  return JSON.parse(stdout);
}
