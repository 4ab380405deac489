// @ts-check
// Random programs against the built package. SEED and PROGRAMS change what runs; main.mjs repeats one by hand.

import assert from "node:assert/strict";
import test from "node:test";
import { makeProgram } from "./program.mjs";
import { Run } from "./run.mjs";
import { explain, search, searchCrowds, summary } from "./search.mjs";

const { SEED = "1", PROGRAMS = "50000" } = process.env;
const seed = Number(SEED);
const programs = Number(PROGRAMS);

test(`${programs} programs from seed ${seed} that call the pool from every callback break no rule`, async () => {
  const findings = await search({ seed, programs });
  const smallest = [];
  for (const finding of findings.slice(0, 3)) smallest.push(await explain(finding));
  const text = [
    `${findings.length} rules are broken:`,
    summary(findings),
    "Repeat one: SEED=<its seed> PROGRAMS=1 TRACE=1 node tests/programs/main.mjs",
    ...smallest,
  ];
  assert.equal(findings.length, 0, text.join("\n\n"));
});

test("thousands of connections that end in one call are each closed once, and the pool serves again", async () => {
  assert.deepEqual(await searchCrowds(seed, 18), []);
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
