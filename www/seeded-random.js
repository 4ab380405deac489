// Random numbers that can be repeated: the same seed gives the same numbers. Each use has its own stream (its seed is a
// text), so that one more number here changes nothing there. Used by the simulated database, the load and the callers.

/** Returns a function that returns numbers from 0 up to 1. */
export function seeded(seed) {
  let state = hash(String(seed));
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

function hash(text) {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.codePointAt(0), 0x01000193);
  return value;
}

/** Exponential with mean 1: the gaps between independent callers. */
export const gap = (random) => -Math.log(1 - random());

/** Around 1, never below 0.35, occasionally far above: the time of a query relative to its usual time. */
export const spread = (random) => 0.35 + 0.65 * gap(random);
