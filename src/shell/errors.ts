/**
 * Every error of the pool itself. An error of a creator, a dialect or a signal is never wrapped in one. Decides
 * nothing: engine/refusals.ts and its callers choose the error, validate.ts words the argument errors.
 */

import type { PoolStats } from "./stats.js";

/** The stable codes of errors, for `switch (error.code)`. */
export type PoolErrorCode =
  | "ERR_POOL_ARGUMENT"
  | "ERR_POOL_TIMEOUT"
  | "ERR_POOL_CLOSED"
  | "ERR_POOL_QUEUE_FULL"
  | "ERR_POOL_INVALID_REQUEST"
  | "ERR_POOL_DISCONNECTION"
  | "ERR_POOL_ASSERTION"
  | "ERR_POOL_CRASHED";

/**
 * Every error of the package. `code` is stable, `cause` is what went wrong underneath, `pool` is the pool's
 * `loggingName`.
 */
export class PoolError extends Error {
  /** What went wrong; stable between versions. */
  readonly code: PoolErrorCode;
  /** The pool's `loggingName`, or `""` if there is no pool yet. */
  readonly pool: string;

  constructor(code: PoolErrorCode, message: string, pool: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.pool = pool;
  }

  /** Returns what JSON shows: name, message, stack, the fields of the error, and the message of its cause. */
  toJSON(): Record<string, unknown> {
    const { name, message, stack, cause } = this;
    const fields: Record<string, unknown> = { name, message, stack, ...(this as object) };
    if (cause instanceof Error) fields["cause"] = `${cause.name}: ${cause.message}`;
    return fields;
  }

  static {
    this.prototype.name = "PoolError";
  }
}

/** A bad option or argument. The message names it, shows its value, and lists what is allowed. */
export class ArgumentError extends PoolError {
  constructor(message: string, pool = "") {
    super("ERR_POOL_ARGUMENT", message, pool);
  }

  static {
    this.prototype.name = "ArgumentError";
  }
}

/** The details of a {@link PoolTimeoutError}. */
export interface TimeoutDetails {
  /** The pool's numbers at that moment, without the refused caller. */
  readonly stats: PoolStats;
  /** The configured `poolSize`. */
  readonly size: number;
  /** Slots beyond `size`, as `QueuePool.overflow()` counts them. */
  readonly overflow: number;
  /** How long the caller had waited, in milliseconds, at least. */
  readonly waitedMs: number;
  /** The limit that ran out, in milliseconds. */
  readonly timeoutMs: number;
  /** What the checkout was doing. */
  readonly step: TimeoutStep;
  /**
   * For how long the longest-held leases have been out, in milliseconds at least, longest first, at most five; under
   * `trackLeaks: "stack"` with where.
   */
  readonly longestHeld: ReadonlyArray<{ readonly ms: number; readonly stack?: string }>;
}

/** What a checkout was doing when its time ran out. */
export type TimeoutStep = "wait" | "open" | "ping" | "listener";

/**
 * Not in time: `timeout` ran out in the queue, or `deadline`, `openTimeout` or `driverTimeout` in a later step. Says
 * where it stood and how the pool did. While openings fail and are tried again, `cause` is the error of the last one.
 */
export class PoolTimeoutError extends PoolError implements TimeoutDetails {
  readonly stats: PoolStats;
  readonly size: number;
  readonly overflow: number;
  readonly waitedMs: number;
  readonly timeoutMs: number;
  readonly step: TimeoutStep;
  readonly longestHeld: ReadonlyArray<{ readonly ms: number; readonly stack?: string }>;

  constructor(message: string, pool: string, details: TimeoutDetails, options?: { cause?: unknown }) {
    super("ERR_POOL_TIMEOUT", message, pool, options);
    this.stats = details.stats;
    this.size = details.size;
    this.overflow = details.overflow;
    this.waitedMs = details.waitedMs;
    this.timeoutMs = details.timeoutMs;
    this.step = details.step;
    this.longestHeld = details.longestHeld;
  }

  static {
    this.prototype.name = "PoolTimeoutError";
  }
}

/** The pool was closed, before the call or while the caller waited. */
export class PoolClosedError extends PoolError {
  constructor(pool: string, message = `the pool ${pool} is closed: close() was called on it`) {
    super("ERR_POOL_CLOSED", message, pool);
  }

  static {
    this.prototype.name = "PoolClosedError";
  }
}

/** As many callers wait already as `maxWaiters` allows. */
export class QueueFullError extends PoolError {
  constructor(message: string, pool: string) {
    super("ERR_POOL_QUEUE_FULL", message, pool);
  }

  static {
    this.prototype.name = "QueueFullError";
  }
}

/** An object was used that has ended, such as a lease after its close. */
export class InvalidRequestError extends PoolError {
  constructor(message: string, pool: string, options?: { cause?: unknown }) {
    super("ERR_POOL_INVALID_REQUEST", message, pool, options);
  }

  static {
    this.prototype.name = "InvalidRequestError";
  }
}

/** A second lease of an {@link AssertionPool} was requested. */
export class AssertionError extends PoolError {
  constructor(message: string, pool: string) {
    super("ERR_POOL_ASSERTION", message, pool);
  }

  static {
    this.prototype.name = "AssertionError";
  }
}

/**
 * Thrown by a checkout listener: this connection is dead, try another. With `invalidatePool` every connection as old as
 * this one is replaced, too. Recognised by its `code`, so an error of another copy of the package counts.
 */
export class DisconnectionError extends PoolError {
  /** Whether every connection opened no later is replaced, too. Default false. */
  readonly invalidatePool: boolean;

  constructor(
    message = "the connection is dead",
    options: { cause?: unknown; invalidatePool?: boolean | undefined } = {},
    pool = "",
  ) {
    super("ERR_POOL_DISCONNECTION", message, pool, "cause" in options ? { cause: options.cause } : undefined);
    this.invalidatePool = options.invalidatePool === true;
  }

  static {
    this.prototype.name = "DisconnectionError";
  }
}

/** The pool's WebAssembly instance has failed for good; `cause` is the trap. */
export class PoolCrashedError extends PoolError {
  constructor(pool: string, cause: unknown) {
    super(
      "ERR_POOL_CRASHED",
      `the WebAssembly instance of pool ${pool} has crashed: its leases can still be closed, and a new pool needs ` +
        `a restart of the isolate (the cause is the trap)`,
      pool,
      { cause },
    );
  }

  static {
    this.prototype.name = "PoolCrashedError";
  }
}
