/** The pool for nearly everyone: a bounded number of connections, a strict queue for who finds none free. */

import type { Creator } from "./connections.js";
import { warmCount, type QueuePoolOptions } from "./options.js";
import { Pool } from "./pool.js";

/**
 * Keeps up to `poolSize` connections open, opens up to `maxOverflow` more under load, and lets further callers queue in
 * strict order of arrival for at most `timeout`.
 */
export class QueuePool<C> extends Pool<C> {
  /** `creator` makes one connected driver connection; it is called when one is needed, never here. */
  constructor(creator: Creator<C>, options: QueuePoolOptions<C> = {}) {
    super(creator, options, "QueuePool");
  }

  /** The configured `poolSize`. */
  size(): number {
    return this.here.counts().size;
  }

  /** Idle slots, emptied ones that wait to reconnect included. */
  checkedIn(): number {
    return this.here.counts().checkedIn;
  }

  /** Slots beyond `poolSize`: negative until that many exist; 0 where `poolSize` is 0. */
  overflow(): number {
    return this.here.counts().overflow;
  }

  /** Slots that are not idle. */
  checkedOut(): number {
    return this.here.counts().checkedOut;
  }

  /** The configured `timeout` in seconds, or null. */
  timeout(): number | null {
    const ms = this.driver.core.timeout;
    return ms === Infinity ? null : ms / 1000;
  }

  /**
   * Opens connections until there are `count` (default `poolSize`, and never more than that), and parks them. Rejects
   * with the error of the first opening that fails; what was opened stays.
   */
  async warm(count: number = this.size()): Promise<void> {
    await this.enter().warm(warmCount(count, this.loggingName));
  }
}

/** SQLAlchemy's name for its async variant: the same class here. */
export const AsyncAdaptedQueuePool: typeof QueuePool = QueuePool;
export type AsyncAdaptedQueuePool<C> = QueuePool<C>;
