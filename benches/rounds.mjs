// Runs contestants in turn: in every round each runs once, in an order that rotates and alternates its direction.

import { settle, warm } from "./scenarios.mjs";

/** Returns the nanoseconds per operation of every round, by the contestant's name. */
export async function inTurn(scenario, pairs, rounds) {
  const warmUp = scenario.count > 20_000 ? 1 : 3;
  const samples = new Map(pairs.map(({ contestant }) => [contestant.name, []]));
  for (const pair of pairs) pair.kept = await warm(pair.pool, scenario.connections);
  for (let round = -warmUp; round < rounds; round++) {
    note(`${scenario.title}: ${round < 0 ? "warming up" : `round ${round + 1} of ${rounds}`}`);
    for (const pair of inOrder(pairs, round + warmUp)) {
      await settle(pair, scenario);
      const value = await pair.measure();
      if (round >= 0) samples.get(pair.contestant.name).push(value);
    }
  }
  return samples;
}

/** Closes the pools that inTurn() measured. */
export async function closeAll(pairs) {
  for (const { pool, kept } of pairs) {
    if (kept !== undefined) await pool.release(kept[0]);
    await pool.close();
  }
}

/** Rotates the order so that each contestant sooner or later follows each of the others. */
export function inOrder(contestants, round) {
  const first = (round >> 1) % contestants.length;
  const rotated = [...contestants.slice(first), ...contestants.slice(0, first)];
  return round % 2 === 0 ? rotated : rotated.toReversed();
}

/** Shows one line of progress on a terminal. */
export function note(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
