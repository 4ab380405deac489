/**
 * The lease of one connection. It forgets its handle when it ends, so that no later use of the lease can reach the
 * slot. Made by connections.ts.
 */

import type { InvalidateOptions, LeaseCloseOptions, PooledConnection } from "../lease.js";
import type { ObservableLease } from "../observer.js";
import { Loss } from "../protocol.js";
import type { ConnectionRecord } from "../record.js";
import { nameOfClass, summarize } from "../summaries.js";
import { checkFlags, checkKeys } from "../validate.js";
import { leaseHasEnded } from "./facade.js";
import type { LeaseOwner, SlotConnection } from "./slot.js";

/**
 * In place of a handle: the lease has ended. Handles below it are operations: of a detached connection, or of a share.
 */
const ended = -1;
const done: Promise<void> = Promise.resolve();

/** The `info` of the leases whose `info` was read: few are, so a lease has no field for it. */
const infoOf = new WeakMap<object, Record<PropertyKey, unknown>>();
/** Leases whose connection has left the pool. */
const detached = new WeakSet<object>();

/** Returns the handle of a lease without a slot of its own, for which an operation stands. */
export function handleOfOperation(operation: number): number {
  return ended - 1 - operation;
}

/** The inverse of {@link handleOfOperation}. */
const operationOfHandle = handleOfOperation;

export class Lease<C> implements PooledConnection<C> {
  readonly #held: SlotConnection<C>;
  /** The lease's handle, {@link ended}, or the handle of an operation. Few fields: every checkout makes a lease. */
  #handle: number;
  /** The connection's sentinel (slot.ts). */
  #sentinel: object | undefined;
  /** Of an ended lease the promise of its end. Until then the facade of the connection, once it was asked for. */
  #end: unknown = undefined;

  constructor(held: SlotConnection<C>, handle: number, sentinel: object | undefined) {
    this.#held = held;
    this.#handle = handle;
    this.#sentinel = sentinel;
  }

  get connection(): C {
    if (this.#handle === ended || this.#held.isInvalidated) throw leaseHasEnded(this.#held.owner.name);
    const { facades, connection } = this.#held;
    return facades === undefined ? connection : ((this.#end ??= facades.facadeFor(this)) as C);
  }

  get record(): ConnectionRecord<C> | null {
    return this.isDetached ? null : this.#held.slot;
  }

  get info(): Record<PropertyKey, unknown> {
    let info = infoOf.get(this);
    if (info === undefined) {
      info = this.#handle === ended ? {} : this.#held.info;
      infoOf.set(this, info);
    }
    return info;
  }

  get recordInfo(): Record<PropertyKey, unknown> | null {
    return this.record?.recordInfo ?? null;
  }

  get isValid(): boolean {
    return this.#handle !== ended && !this.#held.isInvalidated;
  }

  get isDetached(): boolean {
    return this.#held.isDead || (this.#handle < 0 && (!this.isValid || detached.has(this)));
  }

  close(options?: LeaseCloseOptions): Promise<void> {
    const handle = this.#handle;
    if (handle < 0 || options !== undefined) return this.#closeSlowly(options);
    const held = this.#held;
    const sentinel = this.#sentinel;
    this.#handle = ended;
    // A lease that has ended must not keep the sentinel of a later one.
    this.#sentinel = undefined;
    // Until the policy has answered: the driver may close the lease again from within.
    this.#end = done;
    return (this.#end = held.owner.checkIn(handle, held, sentinel, false));
  }

  /**
   * Closes a lease that has ended, that an operation stands for, or with options. Apart, so that V8 can inline close().
   */
  #closeSlowly(options: LeaseCloseOptions = {}): Promise<void> {
    const handle = this.#handle;
    if (handle === ended) return this.#end as Promise<void>;
    const held = this.#held;
    const { owner } = held;
    let error: unknown;
    try {
      checkKeys(options, ["transactionWasReset", "error"], "close()", owner.name);
      checkFlags({ transactionWasReset: options.transactionWasReset }, ["transactionWasReset"], "close()", owner.name);
      ({ error } = options);
    } catch (refusal) {
      // The caller is done with the lease, whatever it has passed along.
      return this.close().then(() => Promise.reject(refusal as Error));
    }
    // The death of the connection was reported: the pool knows, and has ended it.
    const isAlive = this.isValid && !held.isDead;
    const loss = error !== undefined && isAlive ? owner.lossOf(error, held) : Loss.None;
    const lost = loss === Loss.None ? undefined : error;
    // The dialect may have closed the lease.
    if (this.#handle === ended) return this.#end as Promise<void>;
    if (loss === Loss.Others) {
      if (!detached.has(this)) owner.lose(held, loss);
      return this.invalidate(error);
    }
    const wasReset = options.transactionWasReset === true;
    this.#forget();
    return (this.#end =
      handle >= 0
        ? lost === undefined
          ? owner.checkIn(handle, held, held.takeSentinel(), wasReset)
          : owner.checkInLost(handle, held, lost)
        : detached.has(this)
          ? owner.closeDetached(operationOfHandle(handle), held, false, wasReset, lost)
          : owner.returnShare(operationOfHandle(handle), held, wasReset, lost));
  }

  invalidate(error?: unknown, options: InvalidateOptions = {}): Promise<void> {
    const held = this.#held;
    const { owner } = held;
    try {
      checkFlags(options, ["soft", "pool"], "invalidate()", owner.name);
    } catch (refusal) {
      return Promise.reject(refusal);
    }
    const handle = this.#handle;
    if (handle === ended) {
      owner.log.warn("invalidate() on a lease that has ended does nothing");
      return this.#end as Promise<void>;
    }
    const isAttached = !detached.has(this);
    if (isAttached && options.pool === true) owner.invalidateAsOld(held);
    if (options.soft === true) return isAttached ? owner.invalidateSoft(held, error) : Promise.resolve();
    this.#forget();
    return (this.#end =
      handle >= 0
        ? owner.invalidate(handle, held, error)
        : isAttached
          ? owner.invalidateShare(operationOfHandle(handle), held, error)
          : owner.closeDetached(operationOfHandle(handle), held, true, false, undefined));
  }

  detach(): Promise<void> {
    if (this.#handle === ended || detached.has(this)) return Promise.resolve();
    const held = this.#held;
    const operation =
      this.#handle >= 0
        ? held.owner.detach(this.#handle, held)
        : held.owner.detachShare(operationOfHandle(this.#handle), held);
    if (operation < 0) {
      // Its checkout has not ended yet, or the pool's close has ended the lease.
      this.#forget();
      return Promise.resolve();
    }
    // A private copy: the slot's later lease holders share the other one.
    infoOf.set(this, { ...this.info });
    held.shared?.shares.delete(operation);
    this.#handle = handleOfOperation(operation);
    detached.add(this);
    return held.owner.emitDetach(held);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Whether this is a lease of that connection, and has not ended. */
  isOf(held: SlotConnection<C>): boolean {
    return this.#held === held && this.#handle !== ended;
  }

  /** Ends a lease that the checkout listeners were given, and that its caller will not get. */
  revoke(): void {
    if (this.#handle !== ended) this.#forget();
  }

  static showSummaries(): void {
    summarize(
      Lease.prototype,
      (lease: Lease<any>) => ({
        pool: lease.#held.owner.name,
        state:
          lease.#handle === ended || lease.#held.isInvalidated ? "ended" : detached.has(lease) ? "detached" : "in use",
        connection: nameOfClass(lease.#held.connection),
      }),
      "PooledConnection",
    );
  }

  #forget(): void {
    if (this.#handle < ended) {
      this.#held.shared?.shares.delete(operationOfHandle(this.#handle));
      this.#held.facades?.leave();
    } else this.#held.sentinel = this.#sentinel;
    this.#sentinel = undefined;
    this.#handle = ended;
    // Until the policy has answered: the driver may close the lease again from within.
    this.#end = done;
  }
}

/**
 * The lease of a connection that belongs to an I/O context of Workers, or of a pool with observers: throws when another
 * context uses it, and lets the observers see its end.
 */
export class BoundLease<C> extends Lease<C> implements ObservableLease {
  lentAt: number | undefined = undefined;
  readonly #owner: LeaseOwner<C>;

  constructor(held: SlotConnection<C>, handle: number, sentinel: object | undefined) {
    super(held, handle, sentinel);
    this.#owner = held.owner;
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
    if (this.isValid) this.#owner.assertHere();
  }

  #here(run: () => Promise<void>): Promise<void> {
    try {
      this.#assertHere();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#owner.observe({ name: "return", lease: this }, run);
  }
}

// Every checkout resolves a promise with a lease, and the host then looks for a `then` along the lease's prototype
// chain. Finding undefined at once saves a tenth of a checkout. It also keeps foreign code out: a patched
// Object.prototype.then.
Object.defineProperty(Lease.prototype, "then", { value: undefined });
