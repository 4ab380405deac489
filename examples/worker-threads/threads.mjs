// A pool of worker threads: a dialect for what is no database.
//
// A lease is a thread. A thread that still runs a job at its return is terminated at once, because nothing else stops
// it. So `signal` or `onHoldLimit` ends a job that takes too long, and another thread takes its place.

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { QueuePool } from "edgepool";

/**
 * A worker thread that runs one job at a time. Its file posts "ready" when it is loaded, and answers each message with
 * `{ result }` or `{ error }`.
 */
export class Thread {
  /** The job that runs, if one does. */
  #job;
  #hasEnded = false;

  constructor(file, options) {
    this.worker = new Worker(file, options);
    this.worker.on("message", (answer) => this.#settle(answer));
    this.worker.on("error", (error) => this.#settle({ error }));
    this.worker.on("exit", () => {
      this.#hasEnded = true;
      this.#settle({ error: new Error("the thread has ended") });
    });
  }

  get isBusy() {
    return this.#job !== undefined;
  }

  get hasEnded() {
    return this.#hasEnded;
  }

  run(input) {
    if (this.#hasEnded) return Promise.reject(new Error("the thread has ended"));
    if (this.isBusy) return Promise.reject(new Error("the thread runs a job"));
    return new Promise((resolve, reject) => {
      this.#job = { resolve, reject };
      this.worker.postMessage(input, []);
    });
  }

  #settle({ result, error }) {
    const job = this.#job;
    this.#job = undefined;
    if (error === undefined) job?.resolve(result);
    else job?.reject(error);
  }
}

/** How the pool calls a {@link Thread}. */
export const threads = {
  name: "threads",
  doClose: (thread) => thread.worker.terminate(),
  doPing: (thread) => !thread.hasEnded,
  isBusy: (thread) => thread.isBusy && "stuck",
  /** An error of a job leaves its thread. */
  isDisconnect: (error, thread) => thread.hasEnded && "connection",
  onDisconnect({ worker }, died) {
    const onExit = () => died(new Error("the thread has ended"));
    worker.on("exit", onExit);
    return () => worker.off("exit", onExit);
  },
  /** A late job would run in the next caller's thread. */
  guarded: ["run"],
};

/** Resolves when the file is loaded: what fails before that fails the opening. */
function open(file, options) {
  return new Promise((resolve, reject) => {
    const thread = new Thread(file, options);
    thread.worker.once("message", () => resolve(thread)).once("error", reject);
  });
}

/** Returns a pool of threads that run this file: as many as can run at a time. */
export function threadPool(file, { worker, ...options } = {}) {
  return new QueuePool(() => open(file, worker), {
    dialect: threads,
    resetOnReturn: "none",
    poolSize: availableParallelism(),
    maxOverflow: 0,
    ...options,
  });
}

/** Runs a job in a thread, for at most `ms` milliseconds. Then the thread ends with it. */
export function runIn(pool, input, ms = Infinity) {
  return pool.use(
    (thread) =>
      new Promise((resolve, reject) => {
        const late = () => reject(new Error(`the job took longer than ${ms} ms`));
        const timer = ms === Infinity ? undefined : setTimeout(late, ms);
        thread
          .run(input)
          .then(resolve, reject)
          .finally(() => clearTimeout(timer));
      }),
  );
}
