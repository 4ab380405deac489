/** The pools beside QueuePool: none, one for each scope, one for all, one at a time. What tells them apart is the policy's. */

import type { Creator } from "./connections.js";
import type { AssertionPoolOptions, PoolOptions, SingletonThreadPoolOptions } from "./options.js";
import { Pool } from "./pool.js";

/** Opens a connection for every connect() and closes it at its return: for hosts and servers that do their own pooling. */
export class NullPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: PoolOptions<C> = {}) {
    super(creator, options, "NullPool");
  }
}

/**
 * One connection for each scope ("thread"): nested connect() calls share it, each through a lease of its own; only the
 * outermost is pinged and shown to checkout listeners, and the last close resets and returns it. See the option `scope`.
 */
export class SingletonThreadPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: SingletonThreadPoolOptions<C> = {}) {
    super(creator, options, "SingletonThreadPool");
  }

  /** The configured `poolSize`. */
  get size(): number {
    return this.here.counts().size;
  }
}

/** One connection, shared by every caller, each of whom is checked; the last close resets and returns it. */
export class StaticPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: PoolOptions<C> = {}) {
    super(creator, options, "StaticPool");
  }
}

/** At most one lease at a time; a second one is an AssertionError that tells where the first was checked out. For finding leaks in tests. */
export class AssertionPool<C> extends Pool<C> {
  constructor(creator: Creator<C>, options: AssertionPoolOptions<C> = {}) {
    super(creator, options, "AssertionPool");
  }
}
