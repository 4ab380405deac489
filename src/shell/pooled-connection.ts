/**
 * What a caller holds: the lease of one connection, from connect() to close(). It forgets its handle when it ends, so
 * that nothing done with it later can reach the slot. Made by lender.ts.
 */

import { InvalidRequestError } from "./errors.js";
import type { Leases } from "./leases.js";
import type { ConnectionRecord, Held } from "./record.js";
import { checkFlags } from "./values.js";

/** What tells soft, pool-wide and hard invalidation apart. */
export interface InvalidateOptions {
  /** Replace the connection at its next checkout; the lease goes on. */
  soft?: boolean;
  /** Mark every connection as old as this one, too. */
  pool?: boolean;
}

/** What the caller knows of a connection that it returns. */
export interface LeaseCloseOptions {
  /** The transaction was ended already: style rollback has nothing to do (style commit commits all the same). */
  transactionWasReset?: boolean;
}

/** In place of a handle: the lease has ended. Below it stands an operation: of a detached connection, or of a share. */
const ended = -1;
const done: Promise<void> = Promise.resolve();

/** The `info` of leases that were asked for it: few are, so a lease has no field for it. */
const infoOf = new WeakMap<object, Record<PropertyKey, unknown>>();
/** Leases whose connection has left the pool. */
const detached = new WeakSet<object>();

/** The operation that stands for a lease without a slot of its own, as a handle of that lease. */
export function handleOfOperation(operation: number): number {
  return ended - 1 - operation;
}

/**
 * A checked-out connection ("lease"). After close() or a hard invalidate(): `connection` throws an InvalidRequestError,
 * `info` stays readable, `isValid` is false, `isDetached` true, `record` null, and close() returns the same promise.
 */
export class PooledConnection<C> implements AsyncDisposable {
  readonly #held: Held<C>;
  /** The lease's handle, {@link ended}, or that of an operation. Few fields: one of these is made for every checkout. */
  #handle: number;
  /** The connection's sentinel (leaks.ts); once the lease has ended, the promise of its end. */
  #attachment: unknown;

  /** @internal */
  constructor(held: Held<C>, handle: number, sentinel: object | undefined) {
    this.#held = held;
    this.#handle = handle;
    this.#attachment = sentinel;
  }

  /** The driver's own connection. Throws once the lease has ended. */
  get connection(): C {
    if (this.#handle === ended || this.#held.isOver) {
      const pool = this.#held.leases.name;
      throw new InvalidRequestError(
        `this lease of the pool ${pool} has ended: its connection may be with another caller now. Use the connection before close(), or connect() again`,
        pool,
      );
    }
    return this.#held.connection;
  }

  /** The slot; null once detached or ended. */
  get record(): ConnectionRecord<C> | null {
    return this.isDetached ? null : this.#held.record;
  }

  /** Belongs to the driver connection: survives returns, cleared on reconnect. Still readable when the lease has ended. */
  get info(): Record<PropertyKey, unknown> {
    let info = infoOf.get(this);
    if (info === undefined) {
      info = this.#handle === ended ? {} : this.#held.info;
      infoOf.set(this, info);
    }
    return info;
  }

  /** Belongs to the slot: survives reconnects. Null once detached or ended. */
  get recordInfo(): Record<PropertyKey, unknown> | null {
    return this.record?.recordInfo ?? null;
  }

  /** Whether the lease has not ended. What its connection is worth is the server's to say: it may have died, or been terminated when pool.close() had waited long enough. */
  get isValid(): boolean {
    return this.#handle !== ended && !this.#held.isOver;
  }

  /** Whether the lease has no slot any more. */
  get isDetached(): boolean {
    return this.#handle < 0 && (!this.isValid || detached.has(this));
  }

  /**
   * Returns the connection: resolves once it is reset and back in the pool (or closed, where it was surplus). Never
   * rejects because a reset or close failed: the pool replaces the connection and reports it. Again, it returns the same
   * promise.
   */
  close(options?: LeaseCloseOptions): Promise<void> {
    const handle = this.#handle;
    if (handle < 0 || options !== undefined) return this.#closeClosely(options);
    const held = this.#held;
    const sentinel = this.#attachment as object | undefined;
    this.#handle = ended;
    // Until it is known better: the driver may close the lease again from within.
    this.#attachment = done;
    return (this.#attachment = held.leases.checkIn(handle, held, sentinel, false));
  }

  /** What is no plain return of a plain lease; apart, so that the other is short enough for its caller to swallow. */
  #closeClosely(options: LeaseCloseOptions = {}): Promise<void> {
    const handle = this.#handle;
    if (handle === ended) return this.#attachment as Promise<void>;
    const held = this.#held;
    try {
      checkFlags(options, ["transactionWasReset"], "close()", held.leases.name);
    } catch (error) {
      return Promise.reject(error);
    }
    const wasReset = options.transactionWasReset === true;
    this.#end();
    return (this.#attachment =
      handle >= 0
        ? held.leases.checkIn(handle, held, held.takeSentinel(), wasReset)
        : detached.has(this)
          ? held.leases.closeDetached(ended - 1 - handle, held, false, wasReset)
          : held.leases.returnShare(ended - 1 - handle, held, wasReset));
  }

  /**
   * Hard: terminates the connection now and ends the lease. Soft: the connection is replaced at its next checkout and
   * the lease goes on. `pool`: so is every connection as old as this one.
   */
  invalidate(error?: unknown, options: InvalidateOptions = {}): Promise<void> {
    const held = this.#held;
    const { leases } = held;
    try {
      checkFlags(options, ["soft", "pool"], "invalidate()", leases.name);
    } catch (refusal) {
      return Promise.reject(refusal);
    }
    const handle = this.#handle;
    if (handle === ended) {
      leases.log.warn("invalidate() on a lease that has ended does nothing");
      return this.#attachment as Promise<void>;
    }
    const isAttached = !detached.has(this);
    if (isAttached && options.pool === true) leases.invalidateAsOld(held);
    if (options.soft === true) return isAttached ? leases.invalidateSoft(held, error) : Promise.resolve();
    this.#end();
    return (this.#attachment =
      handle >= 0
        ? leases.invalidate(handle, held, error)
        : isAttached
          ? leases.invalidateShare(ended - 1 - handle, held, error)
          : leases.closeDetached(ended - 1 - handle, held, true, false));
  }

  /** Takes the connection out of the pool for good: the slot is free at once, and close() then really closes. */
  detach(): Promise<void> {
    if (this.#handle === ended || detached.has(this)) return Promise.resolve();
    const held = this.#held;
    const operation =
      this.#handle >= 0
        ? held.leases.detach(this.#handle, held)
        : held.leases.detachShare(ended - 1 - this.#handle, held);
    if (operation < 0) {
      // Its checkout has not ended yet, or the pool's close has ended it.
      this.#end();
      return Promise.resolve();
    }
    // A private copy: what the slot's other users keep there is not this caller's any more.
    infoOf.set(this, { ...this.info });
    held.shared?.shares.delete(operation);
    this.#handle = handleOfOperation(operation);
    detached.add(this);
    return held.leases.tellDetached(held);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The connection did not stand the checkout: whoever was shown the lease has nothing. */
  revoke(): void {
    if (this.#handle !== ended) this.#end();
  }

  #end(): void {
    if (this.#handle < ended) this.#held.shared?.shares.delete(ended - 1 - this.#handle);
    else this.#held.sentinel = this.#attachment as object | undefined;
    this.#handle = ended;
    // Until it is known better: the driver may close the lease again from within.
    this.#attachment = done;
  }
}

/** The lease of a connection that belongs to an I/O context of Workers: it refuses to be used from another one. */
export class BoundLease<C> extends PooledConnection<C> {
  readonly #leases: Leases<C>;

  /** @internal */
  constructor(held: Held<C>, handle: number, sentinel: object | undefined) {
    super(held, handle, sentinel);
    this.#leases = held.leases;
  }

  override get connection(): C {
    this.#assertHere();
    return super.connection;
  }

  override get record(): ConnectionRecord<C> | null {
    this.#assertHere();
    return super.record;
  }

  override close(options?: LeaseCloseOptions): Promise<void> {
    return this.#here(() => super.close(options));
  }

  override invalidate(error?: unknown, options?: InvalidateOptions): Promise<void> {
    return this.#here(() => super.invalidate(error, options));
  }

  override detach(): Promise<void> {
    return this.#here(() => super.detach());
  }

  #assertHere(): void {
    if (this.isValid) this.#leases.assertHere();
  }

  #here(run: () => Promise<void>): Promise<void> {
    try {
      this.#assertHere();
    } catch (error) {
      return Promise.reject(error);
    }
    return run();
  }
}

// Every checkout resolves a promise with a lease, and the host then looks for a `then` along its whole prototype chain.
// Finding undefined at once saves a tenth of a checkout, and says what holds anyway: a lease is no promise.
Object.defineProperty(PooledConnection.prototype, "then", { value: undefined });
