/**
 * A slot and the connection in it, and the sentinel by which a lost lease is found. `info` belongs to the connection
 * and ends with it; `recordInfo` belongs to the slot and survives reconnects.
 *
 * Each connection has a sentinel: an object that the pool keeps while the connection is idle, and that the lease holds
 * while it is out. A lease that is garbage-collected takes the sentinel with it, and the registry reports that. A
 * sentinel is registered once for each connection, so a checkout costs two stores. The leases of a shared connection
 * hold one sentinel together: it goes with the last of them, and the shares that are left in its list were lost.
 */

import { ArgumentError } from "../errors.js";
import { canFinalize } from "../host.js";
import type { Log } from "../logger.js";
import type { Activity } from "../observer.js";
import type { OpeningContext } from "../options.js";
import type { Loss } from "../protocol.js";
import type { ConnectionRecord } from "../record.js";
import { nameOfClass, summarize } from "../summaries.js";
import { checkFlags, show } from "../validate.js";
import type { Facades } from "./facade.js";

/** What leases and slots ask of their pool. */
export interface LeaseOwner<C> {
  /** The pool's name. */
  readonly name: string;
  readonly log: Log;
  /** A scope must not keep its key. */
  readonly scopeKey: { deref(): object | undefined } | undefined;
  /** Throws if the code runs in another I/O context. */
  assertHere(): void;
  checkIn(lease: number, held: SlotConnection<C>, sentinel: object | undefined, wasReset: boolean): Promise<void>;
  /** The same after an error that concerns the connection alone. */
  checkInLost(lease: number, held: SlotConnection<C>, error: unknown): Promise<void>;
  /** `lost`: the error of its holder that concerns the connection alone. */
  returnShare(operation: number, held: SlotConnection<C>, wasReset: boolean, lost: unknown): Promise<void>;
  invalidate(lease: number, held: SlotConnection<C>, error: unknown): Promise<void>;
  invalidateShare(operation: number, held: SlotConnection<C>, error: unknown): Promise<void>;
  invalidateSoft(held: SlotConnection<C>, error: unknown): Promise<void>;
  invalidateAsOld(held: SlotConnection<C>): void;
  /** Returns what an error of the lease holder says of the connection, and of the others. */
  lossOf(error: unknown, held: SlotConnection<C>): Loss;
  /** Takes that the connection is lost. */
  lose(held: SlotConnection<C>, loss: Loss): void;
  emptySlot(slot: Slot<C>, isAbrupt: boolean, error: unknown): Promise<void>;
  addFinalizer(slot: Slot<C>): void;
  /** Returns the operation that stands for the detached connection, or -1 if the lease had ended. */
  detach(lease: number, held: SlotConnection<C>): number;
  /** The same for a share. */
  detachShare(operation: number, held: SlotConnection<C>): number;
  emitDetach(held: SlotConnection<C>): Promise<void>;
  closeDetached(
    operation: number,
    held: SlotConnection<C>,
    isAbrupt: boolean,
    wasReset: boolean,
    lost: unknown,
  ): Promise<void>;
  isInUse(slot: Slot<C>): boolean;
  /** Makes the call of an activity through its observers. */
  observe<R>(activity: Activity, call: () => R): R;
  /** Called when the driver reports that the connection is gone. */
  died(held: SlotConnection<C>, cause: unknown): void;
  /** Called when a lease was garbage-collected before its end. */
  lost(lost: LostLease<C>): void;
}

/** What is known of leases that were garbage-collected. */
export interface LostLease<C> {
  readonly slot: Slot<C>;
  readonly held: SlotConnection<C> | undefined;
  /** Of a shared connection: the operations that stand for its shares. */
  readonly shares: Set<number> | undefined;
}

/** The sentinel of a shared connection, and the operations that stand for its shares. */
interface SharedSentinel {
  readonly sentinel: WeakRef<object>;
  readonly shares: Set<number>;
}

/** One connection of a pool, from its opening to its end. */
export class SlotConnection<C> {
  readonly owner: LeaseOwner<C>;
  readonly connection: C;
  readonly slot: Slot<C>;
  /** Whether every lease of the connection has ended: one of its sharers invalidated it, or the pool took it back. */
  isInvalidated = false;
  info: Record<PropertyKey, unknown>;
  /** While no lease has the connection. A lease takes the sentinel along and passes it to the next one. */
  sentinel: object | undefined = undefined;
  /** Of a shared connection: the sentinel that its leases keep alive together. */
  shared: SharedSentinel | undefined = undefined;
  /** Where the connection was checked out, if the pool keeps stacks. */
  stack: string | undefined = undefined;
  /** Whether the driver reported the death of the connection, and the cause of it. */
  isDead = false;
  deathCause: unknown = undefined;
  /** What its lease holders have in its place, if it is guarded. */
  facades: Facades<C> | undefined = undefined;
  /** Ends the dialect's onDisconnect. */
  unwatch: (() => void) | undefined = undefined;

  constructor(owner: LeaseOwner<C>, connection: C, slot: Slot<C>) {
    this.owner = owner;
    this.connection = connection;
    this.slot = slot;
    this.info = slot.info;
  }

  takeSentinel(): object | undefined {
    const { sentinel } = this;
    this.sentinel = undefined;
    return sentinel;
  }
}

/** Says where a lease was checked out, or how to find out. */
export function checkedOutAt(stack: string | undefined): string {
  return stack === undefined
    ? ' (trackLeaks: "stack" shows where it was checked out)'
    : `; it was checked out\n${stack}`;
}

/** What a creator is given of its opening. */
export class Opening implements OpeningContext {
  #isGivenUp = false;
  #reason: unknown = undefined;
  #controller: AbortController | undefined = undefined;

  /** Made only if it is asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isGivenUp) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Whether the creator may have failed because its signal was aborted. */
  get wasAborted(): boolean {
    return this.#isGivenUp && this.#controller !== undefined;
  }

  giveUp(reason: unknown): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

export class Slot<C> implements ConnectionRecord<C> {
  readonly index: number;
  readonly #owner: LeaseOwner<C>;
  held: SlotConnection<C> | undefined = undefined;
  /** The opening under way. */
  opening: Opening | undefined = undefined;
  info: Record<PropertyKey, unknown> = {};
  recordInfo: Record<PropertyKey, unknown> = {};
  lastConnectTime = 0;
  finalizers: Array<(connection: C) => unknown> = [];

  constructor(owner: LeaseOwner<C>, index: number) {
    this.#owner = owner;
    this.index = index;
  }

  get connection(): C | null {
    if (this.held === undefined) return null;
    this.#owner.assertHere();
    return this.held.connection;
  }

  get scope(): object | undefined {
    return this.#owner.scopeKey?.deref();
  }

  get inUse(): boolean {
    // A record may be kept after its slot has ended, and another slot may have the index now.
    return this.#owner.isInUse(this);
  }

  finalize(callback: (connection: C) => unknown): void {
    if (typeof callback !== "function")
      throw new ArgumentError(
        `finalize() wants a function of the connection; it got ${show(callback)}`,
        this.#owner.name,
      );
    if (this.held === undefined) return;
    this.finalizers.push(callback);
    this.#owner.addFinalizer(this);
  }

  invalidate(error?: unknown, options: { soft?: boolean } = {}): Promise<void> {
    try {
      checkFlags(options, ["soft"], "invalidate()", this.#owner.name);
    } catch (refusal) {
      return Promise.reject(refusal);
    }
    if (this.held === undefined) return Promise.resolve();
    return options.soft === true
      ? this.#owner.invalidateSoft(this.held, error)
      : this.#owner.emptySlot(this, true, error);
  }

  static showSummaries(): void {
    summarize(
      Slot.prototype,
      (slot: Slot<any>) => ({
        pool: slot.#owner.name,
        slot: slot.index,
        state: slot.held === undefined ? "empty" : slot.inUse ? "in use" : "idle",
        connection: slot.held === undefined ? null : nameOfClass(slot.held.connection),
        opened: slot.lastConnectTime === 0 ? null : new Date(slot.lastConnectTime).toISOString(),
      }),
      "ConnectionRecord",
    );
  }

  close(): Promise<void> {
    return this.held === undefined ? Promise.resolve() : this.#owner.emptySlot(this, false, undefined);
  }
}

// ---- sentinels

/** What the registry knows. It keeps no pool and no connection alive. */
interface Watch {
  readonly owner: WeakRef<LeaseOwner<any>>;
  readonly slot: WeakRef<Slot<any>>;
  /** Collected with its lease if the slot was emptied before. */
  readonly held: WeakRef<SlotConnection<any>>;
  readonly shares: Set<number> | undefined;
}

const registry = canFinalize
  ? new FinalizationRegistry<Watch>(({ owner, slot: reference, held, shares }) => {
      const slot = reference.deref();
      if (slot !== undefined) owner.deref()?.lost({ slot, held: held.deref(), shares });
    })
  : undefined;

/** Makes the sentinel for the leases of a connection, one after the other. */
export function guard(held: SlotConnection<any>): void {
  held.sentinel = register(held, undefined);
}

/** Returns the sentinel for one more share of the connection. */
export function guardShare(held: SlotConnection<any>, operation: number): object {
  let sentinel = held.shared?.sentinel.deref();
  if (sentinel === undefined) {
    const shares = new Set<number>();
    sentinel = register(held, shares);
    held.shared = { sentinel: new WeakRef(sentinel), shares };
  }
  held.shared?.shares.add(operation);
  return sentinel;
}

function register(held: SlotConnection<any>, shares: Set<number> | undefined): object {
  const sentinel = {};
  registry?.register(sentinel, {
    owner: new WeakRef(held.owner),
    slot: new WeakRef(held.slot),
    held: new WeakRef(held),
    shares,
  });
  return sentinel;
}
