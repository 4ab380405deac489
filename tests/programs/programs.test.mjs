// @ts-check
// Random programs against the built package. SEED and PROGRAMS change what runs; main.mjs repeats one by hand.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { text } from "node:stream/consumers";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { makeProgram } from "./program.mjs";
import { Run } from "./run.mjs";
import { searchCrowds } from "./search.mjs";

const { SEED = "1", PROGRAMS = "50000" } = process.env;
const seed = Number(SEED);
const programs = Number(PROGRAMS);

// In a process of their own: the test runner's async hooks make every promise cost three times as much.
test(`${programs} programs from seed ${seed} break no rule`, async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("main.mjs", import.meta.url))], {
    env: { ...process.env, SEED, PROGRAMS, SHRINK: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const found = await text(child.stdout);
  assert.equal(await ended, 0, `${found}\nRepeat one: SEED=<its seed> PROGRAMS=1 TRACE=1 node tests/programs/main.mjs`);
});

test("thousands of connections that end in one call are each closed once, and the pool serves again", async () => {
  assert.deepEqual(await searchCrowds(seed, 18), []);
});

test("each mutant's text stands once in the policy", () => {
  const mutants = fileURLToPath(new URL("mutants.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [mutants, "check"], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

test("a seed repeats its program, line by line", async () => {
  for (let number = 0; number < 20; number++) {
    const runs = [];
    for (let time = 0; time < 2; time++) {
      const run = new Run(makeProgram(seed + number), new Set(), true);
      await run.go();
      runs.push(run.lines);
    }
    assert.deepEqual(runs[0], runs[1]);
  }
});
