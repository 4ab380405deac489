/**
 * The pool's slot for one connection at a time, as a creator, a listener and a lease see it. What belongs to the
 * connection ({@link Held}, with its `info`) ends with it; what belongs to the slot (`recordInfo`) survives reconnects.
 * Made by connections.ts.
 */

import { ArgumentError } from "./errors.js";
import type { SharedSentinel } from "./leaks.js";
import type { Leases } from "./leases.js";
import { checkFlags, show } from "./values.js";

/** The pool's slot for one connection at a time. */
export interface ConnectionRecord<C> {
  /** The driver's connection; null while the slot is empty. */
  readonly connection: C | null;
  /** Belongs to the driver connection. */
  readonly info: Record<PropertyKey, unknown>;
  /** Belongs to the slot. */
  readonly recordInfo: Record<PropertyKey, unknown>;
  /** Whether a lease has it, on its way in and out included. */
  readonly inUse: boolean;
  /** When the connection was opened, in milliseconds since the epoch; 0 while there was none. */
  readonly lastConnectTime: number;
  /** Runs once, at the next return, newest first, before the checkin event; not for a connection that is closed before. */
  finalize(callback: (connection: C) => unknown): void;
  /**
   * Terminates the connection, or with `soft` has it replaced at its next checkout. Under a lease: the lease lives on
   * with the dead connection; its close still resets it, then checks in null.
   */
  invalidate(error?: unknown, options?: { soft?: boolean }): Promise<void>;
  /** Politely closes the driver connection; the slot reconnects at its next checkout. */
  close(): Promise<void>;
}

/** One connection of a pool, from its opening to its end, whoever has it. */
export class Held<C> {
  readonly leases: Leases<C>;
  readonly connection: C;
  readonly record: Slot<C>;
  /** Whether all who share it have lost it: its lease was invalidated. */
  isOver = false;
  info: Record<PropertyKey, unknown>;
  /** While nobody has the connection; a lease takes it along, and gives it to the next one. See leaks.ts. */
  sentinel: object | undefined = undefined;
  /** Of a shared connection: the sentinel that all who have it keep alive together. */
  shared: SharedSentinel | undefined = undefined;
  /** Where it was checked out, for the few who asked to know. */
  stack: string | undefined = undefined;
  /** What its driver said when it died. */
  death: unknown = undefined;
  /** Ends the watch for the driver's own word that the connection died. */
  unwatch: (() => void) | undefined = undefined;

  constructor(leases: Leases<C>, connection: C, record: Slot<C>) {
    this.leases = leases;
    this.connection = connection;
    this.record = record;
    this.info = record.info;
  }

  takeSentinel(): object | undefined {
    const { sentinel } = this;
    this.sentinel = undefined;
    return sentinel;
  }
}

export class Slot<C> implements ConnectionRecord<C> {
  readonly index: number;
  readonly #leases: Leases<C>;
  held: Held<C> | undefined = undefined;
  info: Record<PropertyKey, unknown> = {};
  recordInfo: Record<PropertyKey, unknown> = {};
  lastConnectTime = 0;
  finalizers: Array<(connection: C) => unknown> = [];

  constructor(leases: Leases<C>, index: number) {
    this.#leases = leases;
    this.index = index;
  }

  get connection(): C | null {
    if (this.held === undefined) return null;
    this.#leases.assertHere();
    return this.held.connection;
  }

  get inUse(): boolean {
    // Whoever kept the record of a slot that has ended: its place may be another slot's by now.
    return this.#leases.isInUse(this);
  }

  finalize(callback: (connection: C) => unknown): void {
    if (typeof callback !== "function")
      throw new ArgumentError(
        `finalize() wants a function of the connection; it got ${show(callback)}`,
        this.#leases.name,
      );
    if (this.held === undefined) return;
    this.finalizers.push(callback);
    this.#leases.addFinalizer(this);
  }

  invalidate(error?: unknown, options: { soft?: boolean } = {}): Promise<void> {
    try {
      checkFlags(options, ["soft"], "invalidate()", this.#leases.name);
    } catch (refusal) {
      return Promise.reject(refusal);
    }
    if (this.held === undefined) return Promise.resolve();
    return options.soft === true
      ? this.#leases.invalidateSoft(this.held, error)
      : this.#leases.emptySlot(this, true, error);
  }

  close(): Promise<void> {
    return this.held === undefined ? Promise.resolve() : this.#leases.emptySlot(this, false, undefined);
  }
}
