/**
 * What a caller holds: the lease of one connection, from connect() to close(). It forgets its handle when it ends, so
 * that nothing done with it later can reach the slot. Made by driver.ts.
 */

import type { Driver } from "./driver.js";
import { InvalidRequestError } from "./errors.js";
import { checkKeys } from "./options.js";
import type { ConnectionRecord } from "./record.js";

/** What tells soft, pool-wide and hard invalidation apart. */
export interface InvalidateOptions {
  /** Replace the connection at its next checkout; the lease goes on. */
  soft?: boolean;
  /** Mark every connection as old as this one, too. */
  pool?: boolean;
}

/** In place of a handle: the lease has ended. Below it stands the operation of a detached connection. */
const ended = -1;
const done: Promise<void> = Promise.resolve();

/** The `info` of leases that were asked for it: few are, so a lease has no field for it. */
const infoOf = new WeakMap<object, Record<PropertyKey, unknown>>();

/**
 * A checked-out connection ("lease"). After close() or a hard invalidate(): `connection` throws an InvalidRequestError,
 * `info` stays readable, `isValid` is false, `isDetached` true, `record` null, and close() returns the same promise.
 */
export class PooledConnection<C> implements AsyncDisposable {
  readonly #driver: Driver<C>;
  /** The lease's handle, {@link ended}, or `ended - 1 - operation` once detached. Few fields: one of these is made for every checkout. */
  #handle: number;
  readonly #connection: C;
  #ending: Promise<void> | undefined = undefined;

  /** @internal */
  constructor(driver: Driver<C>, handle: number, connection: C) {
    this.#driver = driver;
    this.#handle = handle;
    this.#connection = connection;
  }

  /** The driver's own connection. Throws once the lease has ended. */
  get connection(): C {
    if (this.#handle === ended) {
      throw new InvalidRequestError(
        `this lease of the pool ${this.#driver.name} has ended: its connection may be with another caller now. Use the connection before close(), or connect() again`,
        this.#driver.name,
      );
    }
    return this.#connection;
  }

  /** The slot; null once detached or ended. */
  get record(): ConnectionRecord<C> | null {
    return this.#handle >= 0 ? this.#driver.recordOf(this.#handle) : null;
  }

  /** Belongs to the driver connection: survives returns, cleared on reconnect. Still readable when the lease has ended. */
  get info(): Record<PropertyKey, unknown> {
    let info = infoOf.get(this);
    if (info === undefined) {
      info = this.#handle >= 0 ? this.#driver.recordOf(this.#handle).info : {};
      infoOf.set(this, info);
    }
    return info;
  }

  /** Belongs to the slot: survives reconnects. Null once detached or ended. */
  get recordInfo(): Record<PropertyKey, unknown> | null {
    return this.record?.recordInfo ?? null;
  }

  /** Whether `connection` may be used. */
  get isValid(): boolean {
    return this.#handle !== ended;
  }

  /** Whether the lease has no slot any more. */
  get isDetached(): boolean {
    return this.#handle < 0;
  }

  /**
   * Returns the connection: resolves once it is reset and back in the pool (or closed, where it was surplus). Never
   * rejects because a reset or close failed: the pool replaces the connection and logs. Again, it returns the same promise.
   */
  close(): Promise<void> {
    if (this.#ending !== undefined) return this.#ending;
    const handle = this.#handle;
    this.#handle = ended;
    // Until it is known better: the driver may close the lease again from within.
    this.#ending = done;
    return (this.#ending = handle >= 0
      ? this.#driver.checkIn(handle, this.#connection)
      : this.#driver.closeDetached(ended - 1 - handle, this.#connection, false));
  }

  /**
   * Hard: terminates the connection now and ends the lease. Soft: the connection is replaced at its next checkout and
   * the lease goes on.
   */
  invalidate(_error?: unknown, options: InvalidateOptions = {}): Promise<void> {
    try {
      checkKeys(options, ["soft", "pool"], "invalidate()", this.#driver.name);
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#ending !== undefined) {
      this.#driver.logger.warn(`pool ${this.#driver.name}: invalidate() on a lease that has ended does nothing`);
      return this.#ending;
    }
    const handle = this.#handle;
    if (handle >= 0 && options.pool === true) this.#driver.invalidateAsOld(handle);
    if (options.soft === true) {
      if (handle >= 0) this.#driver.invalidateSoft(handle);
      return Promise.resolve();
    }
    this.#handle = ended;
    this.#ending = done;
    return (this.#ending = handle >= 0
      ? this.#driver.invalidate(handle, this.#connection)
      : this.#driver.closeDetached(ended - 1 - handle, this.#connection, true));
  }

  /** Takes the connection out of the pool for good: the slot is free at once, and close() then really closes. */
  detach(): Promise<void> {
    if (this.#handle >= 0) {
      // A private copy: the slot's next connection starts with an empty one.
      infoOf.set(this, { ...this.info });
      this.#handle = ended - 1 - this.#driver.detach(this.#handle);
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

// Every checkout resolves a promise with a lease, and the host then looks for a `then` along its whole prototype chain.
// Finding undefined at once saves a tenth of a checkout, and says what holds anyway: a lease is no promise.
Object.defineProperty(PooledConnection.prototype, "then", { value: undefined });
