/**
 * Where the pool tells what it must swallow to keep its books straight: the log, and the listeners of `error`. Used by
 * steps.ts, leases.ts and leaks.ts.
 */

import type { Listeners, PoolOperation } from "./events.js";
import type { Log } from "./logger.js";
import type { Slot } from "./record.js";

const failed: Record<PoolOperation, string> = {
  open: "opening a connection failed after its caller had left",
  ping: "ping of a connection failed",
  reset: "reset of a connection failed",
  close: "close of a connection failed",
  terminate: "terminate of a connection failed",
  finalize: "a finalizer failed",
  listener: "a listener failed",
  leak: "a lease was lost",
  disconnect: "a connection died while it was in use",
};

export class Reporter<C> {
  readonly #log: Log;
  readonly #listeners: Listeners;

  constructor(log: Log, listeners: Listeners) {
    this.#log = log;
    this.#listeners = listeners;
  }

  /** `what`: where the operation alone does not say it. */
  report(operation: PoolOperation, error: unknown, record: Slot<C> | null, what = failed[operation]): void {
    this.#log.error(what, error);
    this.tell(operation, error, record);
  }

  /** The listeners alone. */
  tell(operation: PoolOperation, error: unknown, record: Slot<C> | null): void {
    this.#listeners.fireError([error, { operation, record }], (failure) =>
      this.#log.error("a listener of error failed", failure),
    );
  }
}
