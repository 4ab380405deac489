/** The error of a time limit. Where tarn is installed it is one of tarn's, too: Knex asks for that class. */

import type { PoolStats } from "edgepool";

/** Not in time: `acquireTimeoutMillis`, `createTimeoutMillis` or `destroyTimeoutMillis` has run out. */
export class TimeoutError extends Error {
  /** The code of edgepool's own time-outs. */
  readonly code = "ERR_POOL_TIMEOUT";
  /** The numbers of the pool when `acquire()` ran out of time. */
  readonly stats: PoolStats | undefined;

  constructor(message?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.stats = (cause as { stats?: PoolStats } | undefined)?.stats;
  }

  static {
    this.prototype.name = "TimeoutError";
    const theirs = tarnsPrototype();
    if (theirs !== undefined) Object.setPrototypeOf(this.prototype, theirs);
  }
}

/** Returns the prototype of the TimeoutError of Knex's tarn, else of the tarn that is installed beside edgepool. */
function tarnsPrototype(): object | undefined {
  for (const parents of [["knex"], []]) {
    try {
      const { createRequire } = process.getBuiltinModule("node:module");
      // A variable named require would make bundlers look for tarn.
      let load = createRequire(import.meta.url);
      for (const parent of parents) load = createRequire(load.resolve(parent));
      return (load("tarn") as { TimeoutError: { prototype: object } }).TimeoutError.prototype;
    } catch {
      // Not installed, or not in Node.
    }
  }
  return undefined;
}
