// npm run bench -- --beside=FOLDER: this build beside that of another checkout, which must be built: usually the parent
// commit.
//
// Each process holds three contestants: the other build, this one, and a copy of this one. The copy shows the noise:
// its ratio to this build should be 1. Every copy of the package is a module instance of its own, with a WebAssembly
// instance of its own. A ratio is the median over the rounds of a process, and then over several processes, because V8
// compiles the same code differently from process to process.

import { fork } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { contestants } from "./adapters.mjs";
import { closeAll, inOrder, inTurn, note } from "./rounds.mjs";
import { prepare, scenarios } from "./scenarios.mjs";
import { median, quantile } from "./statistics.mjs";

const root = join(import.meta.dirname, "..");
const scenario = (id, changes) => ({ ...scenarios.find((one) => one.id === id), ...changes });

/** The scenarios, each with the most that this build may take, as a ratio to the other build. */
const compared = [
  { bar: 1.03, ...scenario("a") },
  { bar: 1.03, ...scenario("b") },
  { bar: 1.03, ...scenario("c") },
  { bar: 1.03, ...scenario("d") },
  { bar: 1.03, ...scenario("use") },
  { bar: 1.03, ...scenario("steps") },
  { bar: 1.3, ...scenario("a", { id: "rb", title: "(rb) a synchronous rollback at each return", steps: "rollback" }) },
  { bar: 1.05, ...scenario("a", { id: "as", title: "(as) an asynchronous rollback", steps: "asyncRollback" }) },
];
/** Returns more rounds for scenarios with fewer operations in a round. */
const roundsOf = ({ count }) => (count > 20_000 ? 15 : 201);

export const comparedIds = compared.map(({ id }) => id);

/** Returns a summary of each scenario that is wanted. */
export async function compareWith(folder, { quick, wanted }) {
  const copy = mkdtempSync(join(tmpdir(), "edgepool-copy-"));
  try {
    for (const part of ["package.json", "pkg"]) cpSync(join(root, part), join(copy, part), { recursive: true });
    const folders = { other: resolve(folder), this: root, copy };
    const results = [];
    for (const { id, title, bar } of compared) {
      if (!wanted.includes(id)) continue;
      const runs = [];
      for (let run = 0; run < (quick ? 3 : 7); run++) {
        note(`${title}: process ${run + 1}`);
        runs.push(await inProcess({ id, folders, run, quick }));
      }
      const summary = summaryOf(runs);
      results.push({ id, title, bar, ...summary, reached: Number(summary.ratio.toFixed(3)) <= bar });
    }
    return results;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

/** Returns the samples of every contestant from one new process. */
function inProcess(job) {
  return new Promise((settle, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [], {
      execArgv: ["--expose-gc"],
      env: { ...process.env, EDGEPOOL_BENCH: "beside" },
    });
    child.once("message", settle);
    child.once("exit", (code) => reject(new Error(`the comparison of (${job.id}) failed (exit code ${code})`)));
    child.send(job);
  });
}

/** Returns the ratio to the other build and that of the copy to this build, each with its range over the processes. */
function summaryOf(runs) {
  const ratios = (one, other) =>
    runs.map((samples) => median(samples[one].map((value, i) => value / samples[other][i])));
  const own = ratios("this", "other");
  const noise = ratios("copy", "this");
  return {
    ratio: median(own),
    range: [Math.min(...own), Math.max(...own)],
    noise: median(noise),
    noiseRange: [Math.min(...noise), Math.max(...noise)],
    p25: quantile(
      runs.flatMap((samples) => samples.this),
      0.25,
    ),
  };
}

async function measure({ id, folders, run, quick }) {
  const one = compared.find((scenario) => scenario.id === id);
  const edgepool = contestants.find(({ name }) => name === "edgepool");
  const pairs = [];
  for (const [name, folder] of inOrder(Object.entries(folders), run)) {
    const { exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const library = await import(pathToFileURL(join(folder, exports["."].default)).href);
    pairs.push(prepare({ ...edgepool, name }, library, one));
  }
  const samples = await inTurn(one, pairs, quick ? Math.ceil(roundsOf(one) / 3) : roundsOf(one));
  await closeAll(pairs);
  return Object.fromEntries(samples);
}

if (process.env.EDGEPOOL_BENCH === "beside" && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once("message", async (job) => process.send(await measure(job), () => process.exit(0)));
}
