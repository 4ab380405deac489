/**
 * The connections of one scope, by slot: opens them, makes the leases of them, and makes every call into them (ping,
 * rollback, commit, session reset, close, terminate, onDisconnect). A call may throw or return a promise; what that
 * means is for steps.ts and the policy.
 */

import type { Limits } from "../call-options.js";
import { callDriver, isTransient, nothingToCall, type Dialect, type DriverCall } from "../dialect.js";
import { ArgumentError } from "../errors.js";
import type { Listeners } from "../events.js";
import { isObject, weakly, type Run } from "../host.js";
import type { Log } from "../logger.js";
import type { Creator } from "../options.js";
import { indexOf, Loss } from "../protocol.js";
import type { Settings } from "../settings.js";
import { show } from "../validate.js";
import { openConnectionsOf, type OpenConnections } from "./dropped-pools.js";
import { Facades, guardedBy, type Guarded } from "./facade.js";
import { BoundLease, handleOfOperation, Lease } from "./lease.js";
import type { Policy } from "./policy.js";
import { guard, guardShare, Opening, Slot, SlotConnection, type LeaseOwner } from "./slot.js";

/**
 * To which scope of an I/O context a connection belongs. The runtime keeps a connection with a socket until its context
 * ends. So the scope is kept, too, and the next call there finds it.
 */
const ownerOf = new WeakMap<object, LeaseOwner<any>>();

export class Connections<C> {
  /** By index; a slot exists from its first opening to its end. */
  readonly slots: (Slot<C> | undefined)[] = [];
  /** The connections that are open, in all scopes of the pool. Those of an I/O context have {@link ownerOf}. */
  readonly known: WeakSet<object> | undefined;
  /** The owner of every lease. Set once, before the first opening. */
  owner!: LeaseOwner<C>;
  readonly #creator: Creator<C>;
  readonly #dialect: Dialect<C>;
  readonly #log: Log;
  readonly #tracksLeaks: boolean;
  readonly #shares: boolean;
  readonly #isBound: boolean;
  /** The methods that are guarded, if any are. */
  readonly #guarded: Guarded | undefined;
  readonly #outside: Run;
  readonly #policy: Policy;
  readonly #listeners: Listeners;
  /** Unless a host without finalisation, or an I/O context, has the connections. */
  #open: OpenConnections | undefined = undefined;

  /**
   * `first`: the connections of the pool's first scope, if this is another. `isBound`: these belong to an I/O context.
   */
  constructor(
    creator: Creator<C>,
    settings: Settings<C>,
    policy: Policy,
    listeners: Listeners,
    first: Connections<C> | undefined,
    isBound: boolean,
  ) {
    Slot.showSummaries();
    Lease.showSummaries();
    this.#policy = policy;
    this.#listeners = listeners;
    this.known = isBound ? undefined : (first?.known ?? new WeakSet());
    this.#outside = settings.outside;
    this.#creator = creator;
    this.#dialect = settings.dialect;
    this.#log = settings.log;
    this.#tracksLeaks = settings.tracksLeaks;
    this.#shares = settings.shares;
    this.#isBound = isBound;
    const { guarded } = settings.dialect;
    this.#guarded = settings.guards && guarded !== undefined ? guardedBy(guarded) : undefined;
  }

  // ---- in their slots

  heldAt(index: number): SlotConnection<C> {
    return (this.slots[index] as Slot<C>).held as SlotConnection<C>;
  }

  /** Calls the creator. */
  create(index: number): C | PromiseLike<C> {
    const slot = (this.slots[index] ??= new Slot<C>(this.owner, index));
    slot.info = {};
    const opening = (slot.opening = new Opening());
    const create = (): C | PromiseLike<C> => this.#creator(slot, opening);
    const listeners = this.#listeners;
    // Without observers no frame of theirs: a creator's error has ten of them in its stack, with that of the caller.
    return this.#outside(
      listeners.hasObservers ? () => listeners.observe({ name: "open", record: slot }, create) : create,
    );
  }

  /** The creator of this slot has answered. Returns whether the pool had aborted its signal before. */
  openingEnded(index: number): boolean {
    const slot = this.slots[index] as Slot<C>;
    const { opening } = slot;
    slot.opening = undefined;
    return opening?.wasAborted === true;
  }

  /** Aborts the signal of an opening that took too long. Runs foreign code. */
  abandonOpening(index: number, reason: unknown): void {
    const slot = this.slots[index] as Slot<C>;
    const { opening } = slot;
    slot.opening = undefined;
    opening?.giveUp(reason);
  }

  /** Aborts the signals of all openings, for this reason: what they open will be closed. Runs foreign code. */
  giveUpOpenings(reasonOf: () => unknown): void {
    let reason: unknown;
    for (const slot of this.slots) slot?.opening?.giveUp((reason ??= reasonOf()));
  }

  /** Whether the pool has the connection: a creator may return the same object again. */
  has(connection: unknown): boolean {
    if (!isObject(connection)) return false;
    return this.known === undefined ? ownerOf.get(connection) === this.owner : this.known.has(connection);
  }

  /** The opening has failed. */
  abandon(index: number): void {
    const slot = this.slots[index];
    if (slot !== undefined) slot.info = {};
  }

  /**
   * Puts the creator's connection into its slot. Throws if there is none, if the pool has it already, or if the dialect
   * refuses it. Calls no other foreign code.
   */
  adopt(index: number, connection: C): SlotConnection<C> {
    if (connection === undefined || connection === null) {
      throw new ArgumentError(
        `creator must return a connection, or a promise of one; it returned ${show(connection)}`,
        this.#log.pool,
      );
    }
    if (this.has(connection)) throw this.knownAlready();
    const warning = this.#dialect.doCheck?.(connection);
    if (warning) this.#log.warnOnce(warning);
    if (isObject(connection)) {
      if (this.known === undefined) ownerOf.set(connection, this.owner);
      else this.known.add(connection);
    }
    const slot = this.slots[index] as Slot<C>;
    const held = new SlotConnection(this.owner, connection, slot);
    if (this.#guarded !== undefined && isObject(connection))
      held.facades = new Facades(connection, this.owner, this.#dialect, this.#guarded);
    slot.held = held;
    slot.lastConnectTime = Date.now();
    // A share is guarded when it is made.
    if (this.#tracksLeaks && !this.#shares) guard(held);
    if (!this.#isBound) {
      this.#open ??= openConnectionsOf(this, this.#policy, this.#dialect, this.#log);
      this.#open[index] = connection;
    }
    return held;
  }

  /** Lets the dialect report the death of the connection. */
  watch(held: SlotConnection<C>): void {
    const { connection } = held;
    try {
      held.unwatch = this.#dialect.onDisconnect?.(connection, deathReporter(held));
    } catch (error) {
      this.#log.error("the dialect's onDisconnect failed", error);
    }
  }

  /** Returns the error for a creator that returned a connection twice. */
  knownAlready(): ArgumentError {
    const { pool } = this.#log;
    return new ArgumentError(
      `the creator of the pool ${pool} returned a connection that the pool already has, and that another caller may ` +
        `use. It must return a new connection each time`,
      pool,
    );
  }

  /** The slot at this index has ended, and with it what a user keeps in its record. */
  end(index: number): void {
    const { slots } = this;
    slots[index] = undefined;
    while (slots.length > 0 && slots[slots.length - 1] === undefined) slots.pop();
  }

  /** Takes the connection out of its slot; onDisconnect goes on. */
  leave(held: SlotConnection<C>): void {
    const { slot } = held;
    if (slot.held !== held) return;
    slot.held = undefined;
    slot.finalizers = [];
    if (this.#open?.[slot.index] === held.connection) this.#open[slot.index] = undefined;
  }

  /** Takes the connection out of the pool for good: it was closed or terminated, or that failed. */
  forget(held: SlotConnection<C>): void {
    if (held.facades !== undefined) held.facades.isClosed = true;
    if (isObject(held.connection)) (this.known ?? ownerOf).delete(held.connection);
    this.empty(held);
  }

  /** Takes the connection out of the pool: it was closed, terminated or detached, or that failed. */
  empty(held: SlotConnection<C>): void {
    this.leave(held);
    // It belongs to the connection. Another one may be in the slot already.
    if (held.slot.info === held.info) held.slot.info = {};
    const { unwatch } = held;
    held.unwatch = undefined;
    try {
      unwatch?.();
    } catch (error) {
      this.#log.error("the end of the dialect's onDisconnect failed", error);
    }
  }

  // ---- with lease holders

  /** Makes the lease that a checkout granted. Runs no foreign code. */
  leaseFor(lease: number, limits: Limits | undefined): Lease<C> {
    const held = this.heldAt(indexOf(lease));
    if (limits !== undefined) held.stack = limits.stack;
    return this.lend(held, lease, held.takeSentinel());
  }

  /** Makes a lease. `sentinel`: the connection's; see slot.ts. */
  lend(held: SlotConnection<C>, lease: number, sentinel: object | undefined): Lease<C> {
    return this.#isBound || this.#listeners.hasObservers
      ? new BoundLease(held, lease, sentinel)
      : new Lease(held, lease, sentinel);
  }

  /** Makes one more share, for which the operation stands. Runs no foreign code. */
  share(held: SlotConnection<C>, operation: number, limits: Limits | undefined): Lease<C> {
    held.stack = limits?.stack;
    held.facades?.join();
    const sentinel = this.#tracksLeaks ? guardShare(held, operation) : undefined;
    return this.lend(held, handleOfOperation(operation), sentinel);
  }

  // ---- calls into the driver

  /** Rolls back, commits, resets, closes or terminates. If nothing offers that, logs it once. */
  call(call: DriverCall, connection: C): unknown {
    const answer = callDriver(this.#dialect, call, connection);
    if (answer !== nothingToCall) return answer;
    this.#warnOnce(call);
    return undefined;
  }

  ping(connection: C): unknown {
    return this.#dialect.doPing?.(connection);
  }

  /** Asks the server to stop the statement under way. False: the dialect cannot. */
  cancel(connection: C): unknown {
    return this.#dialect.doCancel === undefined ? false : this.#dialect.doCancel(connection);
  }

  /** What the dialect says of a connection that comes back. */
  isBusy(connection: C): boolean | "stuck" {
    try {
      const answer = this.#dialect.isBusy?.(connection);
      return answer === "stuck" ? answer : answer === true;
    } catch (failure) {
      this.#log.error("the dialect's isBusy failed", failure);
      return false;
    }
  }

  /** What the driver's error says of the connection, and of the others. */
  lossOf(error: unknown, connection: C): Loss {
    try {
      const answer = this.#dialect.isDisconnect?.(error, connection);
      return answer === true ? Loss.Others : answer === "connection" ? Loss.Alone : Loss.None;
    } catch (failure) {
      this.#log.error("the dialect's isDisconnect failed", failure);
      return Loss.None;
    }
  }

  /** Whether another attempt at an opening that failed like this is worth while. */
  isTransient(error: unknown): boolean {
    try {
      return this.#dialect.isTransient?.(error) ?? isTransient(error);
    } catch (failure) {
      this.#log.error("the dialect's isTransient failed", failure);
      return false;
    }
  }

  /** Whether no transaction is open, or nothing could end one. */
  isClean(connection: C): boolean {
    const { inTransaction, doRollback } = this.#dialect;
    try {
      if (inTransaction !== undefined) return this.#dialect.inTransaction?.(connection) === false;
      if (doRollback !== undefined || typeof (connection as { rollback?: unknown }).rollback === "function")
        return false;
    } catch (error) {
      this.#log.error("the dialect's inTransaction failed; the connection is reset", error);
      return false;
    }
    this.#warnOnce("rollback");
    return true;
  }

  #warnOnce(call: DriverCall): void {
    const remedy = call === "rollback" || call === "commit" ? ', or set resetOnReturn: "none"' : "";
    this.#log.warnOnce(`the connections have no method to call for ${call}; give a dialect with it${remedy}`);
  }
}

/** Made here, so that the driver's connection does not keep the pool: a socket is alive until it is closed. */
function deathReporter(held: SlotConnection<any>): (error: unknown) => void {
  const reference = weakly(held);
  return (error) => {
    const dead = reference.deref();
    dead?.owner.died(dead, error);
  };
}
