// @ts-check
// How a callback answers: at once, soon, later, never, by a throw, by a rejection, or by a thenable that breaks the
// rules of promises.

/**
 * @typedef {object} Answering
 * @property {() => unknown} value Makes the value of a good answer, at the moment of the answer.
 * @property {(error: unknown) => void} failed Is called at the moment of a bad answer.
 * @property {unknown} error What a bad answer throws, or rejects with.
 */

/**
 * What the answers need of the program that runs.
 * @typedef {object} Host
 * @property {import("./clock.mjs").VirtualClock} clock
 * @property {() => void} stir Notes that something has happened.
 * @property {(settle: (isGood: boolean) => void) => void} hang Keeps a call that does not answer.
 * @property {() => void} reenter Calls the pool.
 */

const delays = [1, 20, 300, 2_000, 12_000];

/** Performs the answer of a decision: returns a value, a promise or a thenable, or throws. */
export function answer(
  /** @type {import("./program.mjs").Decision} */ { answer: how, number, fraction },
  /** @type {Host} */ host,
  /** @type {Answering} */ answering,
) {
  switch (how) {
    case "at once":
      return answering.value();
    case "throws":
      return fail(answering);
    case "soon":
      return soon(1 + (number % 6), () => good(host, answering));
    case "rejects":
      return soon(number % 4, () => bad(host, answering));
    case "later":
      return new Promise((resolve, reject) => {
        const isGood = fraction < 0.8;
        host.clock.after(delays[number % delays.length], () => settle(isGood, host, answering, resolve, reject));
      });
    case "never":
      return new Promise((resolve, reject) => {
        host.hang((isGood) => settle(isGood, host, answering, resolve, reject));
      });
    default:
      return hostile(number, host, answering);
  }
}

function fail(/** @type {Answering} */ answering) {
  answering.failed(answering.error);
  throw answering.error;
}

function good(/** @type {Host} */ host, /** @type {Answering} */ answering) {
  host.stir();
  return answering.value();
}

function bad(/** @type {Host} */ host, /** @type {Answering} */ answering) {
  host.stir();
  return fail(answering);
}

async function soon(/** @type {number} */ turns, /** @type {() => unknown} */ then) {
  for (let turn = 0; turn < turns; turn++) await null;
  return then();
}

function settle(
  /** @type {boolean} */ isGood,
  /** @type {Host} */ host,
  /** @type {Answering} */ answering,
  /** @type {(value: unknown) => void} */ resolve,
  /** @type {(error: unknown) => void} */ reject,
) {
  host.stir();
  if (isGood) return resolve(answering.value());
  answering.failed(answering.error);
  reject(answering.error);
}

/** A thenable answers once for the model, however often it calls back. */
function hostile(/** @type {number} */ number, /** @type {Host} */ host, /** @type {Answering} */ answering) {
  const { error } = answering;
  if (number % 8 === 0) {
    answering.failed(error);
    return Object.defineProperty({}, "then", {
      get() {
        throw error;
      },
    });
  }
  /** @type {{ value: unknown } | undefined} */
  let made;
  const value = () => (made ??= { value: good(host, answering) }).value;
  let hasFailed = false;
  const failed = () => {
    host.stir();
    if (!hasFailed) answering.failed(error);
    hasFailed = true;
    return error;
  };
  /** @type {((resolve: (value: unknown) => void, reject: (error: unknown) => void) => void)[]} */
  const thens = [
    (resolve, reject) => (resolve(value()), resolve({}), reject(error)),
    (resolve, reject) => (reject(failed()), resolve({}), reject(undefined)),
    (resolve) => {
      resolve(value());
      throw error;
    },
    () => {
      throw failed();
    },
    (resolve) => (host.reenter(), resolve(value()), host.reenter()),
    (resolve) => void host.clock.after(delays[number % 5], () => (resolve(value()), resolve({}))),
    (resolve, reject) => host.hang((isGood) => (isGood ? resolve(value()) : reject(failed()))),
  ];
  return { then: thens[(number % 8) - 1] };
}
