// @ts-check
// Random numbers that a seed repeats.

/** Mixes whole numbers into one seed of 32 bits. */
export function mix(/** @type {number[]} */ ...numbers) {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ (number >>> 0), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/** Turns a name into a number for {@link mix}. */
export function numberOf(/** @type {string} */ name) {
  let hash = 0;
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0;
  return hash >>> 0;
}

/** A generator of random numbers: mulberry32. */
export class Random {
  #state;

  constructor(/** @type {number} */ seed) {
    this.#state = seed >>> 0;
  }

  /** Returns a fraction from 0 up to 1. */
  fraction() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  below(/** @type {number} */ limit) {
    return Math.floor(this.fraction() * limit);
  }

  chance(/** @type {number} */ probability) {
    return this.fraction() < probability;
  }

  /**
   * @template T
   * @param {readonly T[]} list
   * @returns {T}
   */
  pick(list) {
    return list[this.below(list.length)];
  }

  /**
   * Picks by weight.
   * @template T
   * @param {ReadonlyArray<readonly [number, T]>} table
   * @returns {T}
   */
  weighted(table) {
    let sum = 0;
    for (const [weight] of table) sum += weight;
    let left = this.fraction() * sum;
    for (const [weight, value] of table) if ((left -= weight) < 0) return value;
    return table[table.length - 1][1];
  }
}
