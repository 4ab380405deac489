/** The kinds of pool. They differ in their options; what else tells them apart is decided in src/policy. */

import { warmCount } from "./call-options.js";
import type { Scope } from "./engine/scope.js";
import type {
  AssertionPoolOptions,
  Creator,
  LendingPoolOptions,
  PoolOptions,
  PoolSizes,
  QueuePoolOptions,
  SingletonThreadPoolOptions,
} from "./options.js";
import { Pool } from "./pool.js";

/**
 * Keeps up to `poolSize` connections open, opens up to `maxOverflow` more under load, and lets further callers queue in
 * strict order of arrival for at most `timeout`.
 */
export class QueuePool<C> extends Pool<C> {
  /** `creator` makes one connected driver connection. It is called when a connection is needed, never here. */
  constructor(creator: Creator<C>, options: QueuePoolOptions<C> = {}) {
    super(creator, options, "QueuePool");
  }

  /** Returns the configured `poolSize`. */
  size(): number {
    return this.counts.size;
  }

  /** Returns the number of idle slots, including emptied ones that wait to reconnect. */
  checkedIn(): number {
    return this.counts.checkedIn;
  }

  /** Returns the number of slots beyond `poolSize`: negative until that many exist; 0 if `poolSize` is 0. */
  overflow(): number {
    return this.counts.overflow;
  }

  /** Returns the number of slots that are not idle. */
  checkedOut(): number {
    return this.counts.checkedOut;
  }

  /** Returns the configured `timeout` in seconds, or null. */
  timeout(): number | null {
    const ms = this.first.options.timeout;
    return ms === Infinity ? null : ms / 1000;
  }

  /**
   * Changes the sizes of the running pool, in every scope; what is not given stays. A pool that grows serves its
   * waiters at once. One that shrinks closes surplus idle connections at once, and the others at their return.
   * recreate() and later scopes have the new sizes. In Workers other requests and objects act at their next call.
   * Throws an ArgumentError that names a wrong option, and then changes nothing.
   */
  resize(sizes: PoolSizes): void {
    const [scope, ...others] = this.withinReach() as [Scope<C>, ...Array<Scope<C>>];
    scope.resizeWith(others, sizes);
  }

  /**
   * Opens connections until there are `count` (default `poolSize`, and never more than that), and keeps them idle.
   * Rejects with the error of the first opening that fails; the other connections stay.
   */
  async warm(count: number = this.size()): Promise<void> {
    await this.enter().warm(warmCount(count, this.loggingName));
  }
}

/** SQLAlchemy's name for its async variant: the same class here. */
export const AsyncAdaptedQueuePool: typeof QueuePool = QueuePool;
export type AsyncAdaptedQueuePool<C> = QueuePool<C>;

/**
 * Opens a connection for every connect() and closes it at its return, for hosts and servers with pools of their own.
 */
export class NullPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: LendingPoolOptions<C> = {}) {
    super(creator, options, "NullPool");
  }
}

/**
 * One connection for each scope ("thread"): nested connect() calls share it, each through a lease of its own. Only the
 * outermost checkout pings and fires `checkout`. The last close resets and returns the connection. See the option
 * `scope`.
 */
export class SingletonThreadPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: SingletonThreadPoolOptions<C> = {}) {
    super(creator, options, "SingletonThreadPool");
  }

  /** The configured `poolSize`. */
  get size(): number {
    return this.counts.size;
  }
}

/**
 * One connection, shared by every caller; each checkout is checked. The last close resets and returns the connection.
 */
export class StaticPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: PoolOptions<C> = {}) {
    super(creator, options, "StaticPool");
  }
}

/**
 * At most one lease at a time. A second checkout rejects with an AssertionError that shows where the first was made.
 * For finding leaks in tests.
 */
export class AssertionPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: AssertionPoolOptions<C> = {}) {
    super(creator, options, "AssertionPool");
  }
}
