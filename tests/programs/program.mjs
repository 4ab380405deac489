// @ts-check
// Makes a random program from a seed: a kind of pool, its options and listeners, and what is done to the pool, act by
// act. What a callback answers, and what it does to the pool from within, comes from the seed, the callback's place and
// the number of its call, so that a program without some of its acts is still the same program.

import { mix, numberOf, Random } from "./random.mjs";

/**
 * One act. `a`, `b` and `c` are fractions from which the act takes its choices. `pause` says what follows: undefined
 * lets everything settle, a number lets so many microtasks run.
 * @typedef {{ do: string, a: number, b: number, c: number, pause?: number }} Act
 */

/**
 * @typedef {{ seed: number, temper: string, kind: string, options: Record<string, any>, isScoped: boolean,
 *   isSized: boolean, dialect: string[], listeners: [string, number][], acts: Act[] }} Program
 */

/** What a callback does: the acts that it performs on the pool, and how it answers. */
/** @typedef {{ acts: Act[], answer: string, number: number, fraction: number }} Decision */

/** @typedef {ReadonlyArray<readonly [number, string]>} Weights */

const outside = /** @type {Weights} */ ([
  [26, "connect"],
  [5, "use"],
  [18, "close"],
  [4, "invalidate"],
  [2, "invalidate pool"],
  [3, "invalidate softly"],
  [3, "detach"],
  [2, "record.close"],
  [2, "record.invalidate"],
  [1, "record.invalidate softly"],
  [2, "finalize"],
  [2, "dispose"],
  [2, "invalidateAll"],
  [2, "warm"],
  [3, "endScope"],
  [2, "on"],
  [1, "off"],
  [5, "abort"],
  [0.4, "pool.close"],
  [14, "pass"],
  [1.5, "freeze"],
  [6, "answer"],
  [3, "die"],
  [1, "stats"],
  [0.5, "echo"],
  [1, "close again"],
]);
const within = /** @type {Weights} */ ([
  ...outside.filter(([, name]) => name !== "pass" && name !== "pool.close"),
  [0.3, "pool.close"],
  [3, "end the shown lease"],
  [3, "close the record"],
]);

/** What programs do that also change the sizes of the pool, and drain it. */
const sizing = /** @type {Weights} */ ([
  [5, "resize"],
  [1, "drain"],
]);
const withinSized = /** @type {Weights} */ ([...within, [3, "resize"], [0.3, "drain"]]);

/** How a callback answers, by the temper of the program. */
const answers = {
  calm: /** @type {Weights} */ ([
    [78, "at once"],
    [12, "soon"],
    [6, "later"],
    [2, "throws"],
    [2, "rejects"],
  ]),
  rough: /** @type {Weights} */ ([
    [55, "at once"],
    [12, "soon"],
    [12, "later"],
    [6, "never"],
    [6, "throws"],
    [5, "rejects"],
    [4, "hostile"],
  ]),
  hostile: /** @type {Weights} */ ([
    [40, "at once"],
    [10, "soon"],
    [12, "later"],
    [10, "never"],
    [8, "throws"],
    [8, "rejects"],
    [12, "hostile"],
  ]),
};
const reentry = { calm: 0.05, rough: 0.2, hostile: 0.4 };

export const events = [
  "firstConnect",
  "connect",
  "checkout",
  "reset",
  "checkin",
  "invalidate",
  "softInvalidate",
  "close",
  "detach",
  "closeDetached",
  "error",
];

/** @returns {Act} */
function makeAct(/** @type {Random} */ random, /** @type {Weights} */ weights) {
  return { do: random.weighted(weights), a: random.fraction(), b: random.fraction(), c: random.fraction() };
}

/** @returns {Program} */
export function makeProgram(/** @type {number} */ seed) {
  const random = new Random(mix(seed, 1));
  const temper = random.weighted([
    [4, "calm"],
    [4, "rough"],
    [3, "hostile"],
  ]);
  const kind = random.weighted([
    [62, "QueuePool"],
    [10, "StaticPool"],
    [12, "SingletonThreadPool"],
    [8, "NullPool"],
    [8, "AssertionPool"],
  ]);
  const isScoped = random.chance(0.3);
  const dialect = makeDialect(random);
  const options = makeOptions(random, kind, dialect);
  const listeners = makeListeners(random);
  const unused = isScoped ? [] : ["endScope"];
  if (kind !== "QueuePool") unused.push("warm");
  const weights = outside.filter(([, name]) => !unused.includes(name));
  const acts = Array.from({ length: 8 + random.below(random.chance(0.2) ? 50 : 22) }, () => {
    const act = makeAct(random, weights);
    if (act.do !== "pass" && random.chance(0.4)) act.pause = random.chance(0.6) ? 0 : random.below(7);
    return act;
  });
  // Of a generator of their own, so that the other programs stay as they are.
  const own = new Random(mix(seed, 3));
  const isSized = kind === "QueuePool" && own.chance(0.4);
  if (isSized && own.chance(0.6)) options.min = own.below(4);
  for (let left = isSized ? 1 + own.below(4) : 0; left > 0; left--) {
    const act = makeAct(own, sizing);
    if (own.chance(0.4)) act.pause = own.below(7);
    acts.splice(own.below(acts.length + 1), 0, act);
  }
  return { seed, temper, kind, options, isScoped, isSized, dialect, listeners, acts };
}

function makeDialect(/** @type {Random} */ random) {
  if (random.chance(0.3)) return [];
  const members = ["doRollback", "doCommit", "doClose", "doTerminate", "doPing"];
  for (const member of ["isDisconnect", "inTransaction", "onDisconnect"]) if (random.chance(0.5)) members.push(member);
  return members;
}

/** @returns {Record<string, any>} */
function makeOptions(/** @type {Random} */ random, /** @type {string} */ kind, /** @type {string[]} */ dialect) {
  /** @type {Record<string, any>} */
  const options = {};
  const maybe = (/** @type {number} */ probability, /** @type {string} */ name, /** @type {() => any} */ value) => {
    if (random.chance(probability)) options[name] = value();
  };
  if (kind === "QueuePool") {
    options.poolSize = random.weighted([
      [5, 1],
      [4, 2],
      [3, 3],
      [1, 0],
      [1, 5],
    ]);
    options.maxOverflow = random.weighted([
      [6, 0],
      [3, 1],
      [2, 2],
      [1, -1],
    ]);
    maybe(0.8, "timeout", () => random.pick([0, "40ms", "1s", "1s", "10s", "10s", null, null]));
    maybe(0.2, "maxWaiters", () => random.below(4));
    maybe(0.3, "useLifo", () => true);
    maybe(0.3, "idleTimeout", () => random.pick(["2s", "20s"]));
    if (options.idleTimeout !== undefined) maybe(0.5, "minIdle", () => 1 + random.below(2));
    maybe(0.2, "maxUses", () => 1 + random.below(3));
    maybe(0.4, "maxConnecting", () => 1 + random.below(2));
  }
  if (kind === "SingletonThreadPool") options.poolSize = 1 + random.below(4);
  if (kind === "AssertionPool") options.storeTraceback = false;
  maybe(0.2, "deadline", () => random.pick(["100ms", "2s", "20s"]));
  if (options.deadline !== undefined) maybe(0.9, "openRetry", () => false);
  else maybe(0.1, "openRetry", () => random.pick([true, 1, 3]));
  maybe(0.1, "openTimeout", () => random.pick(["200ms", "2s"]));
  maybe(0.95, "driverTimeout", () => random.pick(["500ms", "5s", "5s", "30s", "30s", null]));
  maybe(0.3, "recycle", () => random.pick([0, "1s", "30s", "30s", "10m"]));
  if (options.recycle !== undefined) maybe(0.3, "recycleJitter", () => random.pick([0.1, 0.5, 1]));
  if (dialect.includes("doPing")) maybe(0.4, "prePing", () => true);
  if (options.prePing !== undefined) {
    maybe(0.5, "prePingAfterIdle", () => random.pick(["1s", "30s"]));
    options.pingTimeout = random.pick(["200ms", "5s", null]);
  }
  maybe(0.4, "resetOnReturn", () => random.pick(["commit", "none", "none"]));
  maybe(0.3, "trackLeaks", () => false);
  maybe(0.15, "echo", () => random.pick([true, "debug", "debug"]));
  return options;
}

/** @returns {[string, number][]} */
function makeListeners(/** @type {Random} */ random) {
  if (random.chance(0.35)) return [];
  const probability = random.pick([0.15, 0.3, 0.7]);
  return events.flatMap((event) => {
    if (!random.chance(probability)) return [];
    return Array.from(
      { length: random.chance(0.2) ? 2 : 1 },
      (_, number) => /** @type {[string, number]} */ ([event, number]),
    );
  });
}

/** A callback that does nothing and answers at once. */
const plain = Object.freeze({ acts: [], answer: "at once", number: 0, fraction: 0.5 });

/** Decides what the callback at a place does at its call of this number. `muted` names what to leave out. */
export class Decisions {
  #program;
  #muted;
  /** @type {Map<string, number>} */
  #calls = new Map();
  /** @type {Map<string, number>} */
  #places = new Map();
  /** The acts, and the answers that do not come at once. */
  made = /** @type {string[]} */ ([]);

  constructor(/** @type {Program} */ program, /** @type {ReadonlySet<string>} */ muted) {
    this.#program = program;
    this.#muted = muted;
  }

  /**
   * `calm` is the factor on the probability of acts from within.
   * @returns {Decision}
   */
  take(/** @type {string} */ place, calm = 1) {
    const call = (this.#calls.get(place) ?? 0) + 1;
    this.#calls.set(place, call);
    let number = this.#places.get(place);
    if (number === undefined) this.#places.set(place, (number = numberOf(place)));
    const { seed, temper, isSized } = this.#program;
    const random = new Random(mix(seed, number, call));
    const mood = /** @type {keyof typeof answers} */ (temper);
    const answer = random.weighted(answers[mood]);
    const fraction = random.fraction();
    const count = random.chance(reentry[mood] * calm) ? 1 + random.below(3) : 0;
    if (answer === "at once" && count === 0) return { ...plain, fraction };
    const acts = Array.from({ length: count }, () => makeAct(random, isSized ? withinSized : within));
    const name = `${place}#${call}`;
    return {
      acts: acts.filter((_act, at) => this.#keeps(`${name} act ${at}`)),
      answer: answer === "at once" || this.#keeps(`${name} answer`) ? answer : "at once",
      number: random.below(1 << 30),
      fraction,
    };
  }

  #keeps(/** @type {string} */ part) {
    if (this.#muted.has(part)) return false;
    this.made.push(part);
    return true;
  }
}
