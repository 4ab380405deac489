// @ts-check
// Makes a program that breaks a rule smaller, as long as it breaks the same rule: with fewer acts, fewer acts and
// answers of callbacks, fewer options and fewer listeners.

import { Run } from "./run.mjs";

/** @typedef {import("./program.mjs").Program} Program */

/** Answers the smallest program found, with the acts and answers of callbacks that it leaves out. */
export async function shrink(/** @type {Program} */ program, /** @type {string} */ rule, mostRuns = 1_000) {
  let smallest = program;
  let muted = /** @type {ReadonlySet<string>} */ (new Set());
  let made = /** @type {string[]} */ ([]);
  let runs = 0;

  const breaks = async (/** @type {Program} */ candidate, /** @type {ReadonlySet<string>} */ candidateMuted) => {
    if (++runs > mostRuns) return false;
    const run = new Run(candidate, candidateMuted);
    const failure = await run.go();
    if (failure?.rule !== rule) return false;
    [smallest, muted, made] = [candidate, candidateMuted, run.made];
    return true;
  };

  if (!(await breaks(program, muted))) return { program, muted };
  for (let before = -1; before !== size(smallest, made) && runs < mostRuns;) {
    before = size(smallest, made);
    await drop(
      () => smallest.acts,
      (acts) => breaks({ ...smallest, acts }, muted),
    );
    await drop(
      () => made,
      (kept) => breaks(smallest, new Set([...muted, ...made.filter((name) => !kept.includes(name))])),
    );
    await drop(
      () => smallest.listeners,
      (listeners) => breaks({ ...smallest, listeners }, muted),
    );
    await drop(
      () => Object.entries(smallest.options),
      (entries) => breaks({ ...smallest, options: Object.fromEntries(entries) }, muted),
    );
    for (const [place, act] of smallest.acts.entries()) {
      if (act.pause === undefined) continue;
      const { pause: _pause, ...quiet } = act;
      await breaks({ ...smallest, acts: smallest.acts.map((other, at) => (at === place ? quiet : other)) }, muted);
    }
  }
  return { program: smallest, muted };
}

function size(/** @type {Program} */ { acts, listeners, options }, /** @type {string[]} */ made) {
  return acts.length + listeners.length + Object.keys(options).length + made.length;
}

/**
 * Drops parts of a list, halves first, then ever smaller ones.
 * @template T
 * @param {() => readonly T[]} list
 * @param {(kept: T[]) => Promise<boolean>} isEnough
 */
async function drop(list, isEnough) {
  for (let length = Math.ceil(list().length / 2); length >= 1; length = length > 1 ? Math.ceil(length / 2) : 0) {
    for (let start = list().length - length; start > -length; start -= length) {
      const from = Math.max(start, 0);
      const kept = [...list().slice(0, from), ...list().slice(start + length)];
      if (kept.length < list().length) await isEnough(kept);
    }
  }
}
