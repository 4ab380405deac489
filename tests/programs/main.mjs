// @ts-check
// Runs programs by hand: node tests/programs/main.mjs. SEED is the first seed, PROGRAMS how many run from there.
// TRACE=1 prints what each of them does. SHRINK=1 makes programs that break a rule smaller, for the three most frequent
// rules. FIRST=1 ends at the first failure. CROWDS is how many crowds run. EDGEPOOL is another build's entry/inline.js.

import { makeProgram } from "./program.mjs";
import { Run } from "./run.mjs";
import { explain, search, searchCrowds, summary } from "./search.mjs";

const { SEED = "1", PROGRAMS = "1000", TRACE, SHRINK, FIRST, CROWDS = "0" } = process.env;
const seed = Number(SEED);
const programs = Number(PROGRAMS);

if (TRACE !== undefined) {
  for (let number = 0; number < programs; number++) {
    const run = new Run(makeProgram(seed + number), new Set(), true);
    const failure = await run.go();
    console.log([`seed ${seed + number}`, ...(run.lines ?? [])].join("\n"));
    if (failure !== undefined) console.log(`broken: ${failure.rule}: ${failure.detail}`);
  }
  process.exit();
}

const before = process.cpuUsage();
const findings = await search({ seed, programs, isFirstEnough: FIRST !== undefined });
const { user, system } = process.cpuUsage(before);
const wrong = await searchCrowds(seed, Number(CROWDS));
const seconds = (user + system) / 1e6;
console.log(
  `${programs} programs from seed ${seed}, ${CROWDS} crowds: ${seconds.toFixed(1)} s of CPU for the programs`,
);
console.log(
  `${Math.round(programs / seconds)} programs a second, peak ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`,
);
if (findings.length > 0) console.log(summary(findings));
for (const { rule, detail } of wrong) console.log(`${rule}: ${detail}`);
if (SHRINK !== undefined) for (const finding of findings.slice(0, 3)) console.log(`\n${await explain(finding)}`);
process.exitCode = findings.length + wrong.length > 0 ? 1 : 0;
