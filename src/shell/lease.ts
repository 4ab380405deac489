/** What a caller holds from connect() to close(): the lease of one connection. */

import type { ConnectionRecord } from "./record.js";

/** Tells soft, pool-wide and hard invalidation apart. */
export interface InvalidateOptions {
  /** Replaces the connection at its next checkout; the lease stays valid. */
  soft?: boolean | undefined;
  /** Also marks every connection that is as old as this one. */
  pool?: boolean | undefined;
}

/** What the lease holder knows of a connection that it returns. */
export interface LeaseCloseOptions {
  /** The transaction has ended: style rollback has nothing to do (other styles act in any case). */
  transactionWasReset?: boolean | undefined;
  /**
   * The error with which the lease holder's work failed. If the dialect's isDisconnect recognises it, the connection
   * is not trusted, as after use(): it is replaced, alone or with those of its age. If it is busy, and the dialect can,
   * its statement is cancelled and the connection is kept.
   */
  error?: unknown;
}

/**
 * A checked-out connection ("lease"). After close() or a hard invalidate(): `connection` throws an InvalidRequestError,
 * `info` stays readable if it was read before, `isValid` is false, `isDetached` true, `record` null, and close()
 * returns the same promise.
 */
export interface PooledConnection<C> extends AsyncDisposable {
  /**
   * The driver's connection; with the option `guard` and a dialect that has `guarded`, a proxy of it. Throws once the
   * lease has ended.
   */
  readonly connection: C;
  /** The slot; null once detached or ended, or if the connection has died. */
  readonly record: ConnectionRecord<C> | null;
  /**
   * Belongs to the driver connection: survives returns, empty on reconnect. If it was read before the lease ended, it
   * stays readable; otherwise it is empty.
   */
  readonly info: Record<PropertyKey, unknown>;
  /** Belongs to the slot: survives reconnects. Null once detached or ended. */
  readonly recordInfo: Record<PropertyKey, unknown> | null;
  /**
   * Whether the lease has not ended. It does not tell whether the server still knows the connection: the connection may
   * have died, or pool.close() may have terminated it. Then close() alone has an effect.
   */
  readonly isValid: boolean;
  /** Whether the lease has no slot any more; also if the connection has died. */
  readonly isDetached: boolean;
  /**
   * Returns the connection. Resolves once the connection is reset and back in the pool, or closed if it is surplus. If
   * the dialect says that it is busy, the promise resolves at once. If a step takes longer than `returnTimeout`, the
   * promise resolves then. The return goes on in both cases. Never rejects because a reset or close failed: the pool
   * then replaces the connection and reports the failure. A second call returns the same promise.
   */
  close(options?: LeaseCloseOptions): Promise<void>;
  /**
   * Hard: terminates the connection now and ends the lease. Soft: marks the connection to be replaced at its next
   * checkout; the lease stays valid. `pool` also marks every connection that is as old as this one.
   */
  invalidate(error?: unknown, options?: InvalidateOptions): Promise<void>;
  /**
   * Takes the connection out of the pool for good. The slot is free at once, and close() then closes the connection.
   */
  detach(): Promise<void>;
  /** Closes the lease. */
  [Symbol.asyncDispose](): Promise<void>;
}
