// @ts-check
// Runs many programs from a seed on, and reports each rule that one of them has broken.

import { runCrowd } from "./crowd.mjs";
import { makeProgram } from "./program.mjs";
import { onUnhandledRejection, Run } from "./run.mjs";
import { shrink } from "./shrink.mjs";

/** @typedef {{ rule: string, detail: string, kind: string, seeds: number[], count: number }} Finding */

/** Runs so many programs, each with the next seed. Answers the rules that were broken, the most frequent first. */
export async function search(/** @type {{ seed: number, programs: number, isFirstEnough?: boolean }} */ options) {
  const { seed: first, programs, isFirstEnough = false } = options;
  /** @type {Map<string, Finding>} */
  const findings = new Map();
  process.on("unhandledRejection", onUnhandledRejection);
  for (let seed = first; seed < first + programs; seed++) {
    const program = makeProgram(seed);
    const failure = await new Run(program).go();
    if (failure === undefined) continue;
    const { kind } = program;
    const finding = findings.get(failure.rule + kind) ?? { ...failure, kind, seeds: [], count: 0 };
    finding.count++;
    if (finding.seeds.length < 5) finding.seeds.push(seed);
    findings.set(failure.rule + kind, finding);
    if (isFirstEnough || failure.detail.includes("has crashed")) break;
  }
  process.off("unhandledRejection", onUnhandledRejection);
  return [...findings.values()].sort((one, other) => other.count - one.count);
}

/** Runs so many crowds. Answers what was wrong. */
export async function searchCrowds(/** @type {number} */ seed, /** @type {number} */ count) {
  const wrong = [];
  for (let number = 0; number < count; number++) {
    const failure = await runCrowd(seed + number);
    if (failure !== undefined) wrong.push(failure);
  }
  return wrong;
}

/** Says what a program does, line by line, as small as it can be made while it breaks the same rule. */
export async function explain(/** @type {Finding} */ { rule, seeds: [seed] }) {
  process.on("unhandledRejection", onUnhandledRejection);
  const { program, muted } = await shrink(makeProgram(seed), rule);
  const run = new Run(program, muted, true);
  const failure = await run.go();
  process.off("unhandledRejection", onUnhandledRejection);
  return [`seed ${seed}, made smaller:`, ...(run.lines ?? []), `broken: ${rule}: ${failure?.detail}`].join("\n");
}

/** Says which rules were broken, and by which programs. */
export function summary(/** @type {readonly Finding[]} */ findings) {
  return findings
    .map(({ count, rule, kind, seeds, detail }) => `${count} × ${rule} [${kind}], seeds ${seeds.join(", ")}: ${detail}`)
    .join("\n");
}
