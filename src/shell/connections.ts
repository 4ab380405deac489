/**
 * The connections of one pool, by slot, and every call into them: open, ping, rollback, commit, close, terminate, and the
 * watch for the driver's word that one died. A call may throw or answer a promise; what that means is for steps.ts and
 * the policy.
 */

import { callDriver, nothingToCall, type Dialect, type DriverCall } from "./dialect.js";
import { ArgumentError } from "./errors.js";
import { guard } from "./leaks.js";
import type { Leases } from "./leases.js";
import type { Log } from "./logger.js";
import type { Settings } from "./options.js";
import { Held, Slot, type ConnectionRecord } from "./record.js";
import { show } from "./values.js";

/** Makes one driver connection, sync or async. Called with the slot that will hold it. */
export type Creator<C> = (record: ConnectionRecord<any>) => C | PromiseLike<C>;

export class Connections<C> {
  /** By index; a slot exists since its first opening. */
  readonly slots: Slot<C>[] = [];
  readonly #pool: { readonly leases: Leases<C> };
  readonly #creator: Creator<C>;
  readonly #dialect: Dialect<C>;
  readonly #log: Log;
  readonly #tracksLeaks: boolean;
  readonly #warned = new Set<DriverCall>();

  /** `pool` has its leases when the first connection is opened. */
  constructor(pool: { readonly leases: Leases<C> }, creator: Creator<C>, settings: Settings<C>) {
    this.#pool = pool;
    this.#creator = creator;
    this.#dialect = settings.dialect;
    this.#log = settings.log;
    // Shares are watched over as they are given, by lender.ts.
    this.#tracksLeaks = settings.tracksLeaks && !settings.shares;
  }

  /** Calls the creator. `isNew`: nothing of an earlier slot at this index may show through. */
  open(index: number, isNew: boolean): C | PromiseLike<C> {
    let slot = this.slots[index];
    if (slot === undefined || isNew) {
      slot = new Slot<C>(this.#pool.leases, index);
      this.slots[index] = slot;
    }
    slot.info = {};
    return this.#creator(slot);
  }

  /** Puts what the creator answered into its slot. Throws where that is nothing. */
  adopt(index: number, connection: C): void {
    if (connection === undefined || connection === null) {
      throw new ArgumentError(
        `creator must return a connection, or a promise of one; it returned ${show(connection)}`,
        this.#log.pool,
      );
    }
    const slot = this.slots[index] as Slot<C>;
    const held = new Held(this.#pool.leases, connection, slot);
    slot.held = held;
    slot.lastConnectTime = Date.now();
    if (this.#tracksLeaks) guard(held);
    try {
      let isDead = false;
      held.unwatch = this.#dialect.onDisconnect?.(connection, (error) => {
        // Drivers say it more than once; the first word is the one that tells why.
        if (isDead || slot.held !== held || this.slots[index] !== slot) return;
        isDead = true;
        held.death = error;
        held.leases.died(held);
      });
    } catch (error) {
      this.#log.error("the dialect's onDisconnect failed", error);
    }
  }

  /** Rolls back, commits, closes or terminates; where nothing offers that, says so once. */
  call(call: DriverCall, connection: C): unknown {
    const answer = callDriver(this.#dialect, call, connection);
    if (answer !== nothingToCall) return answer;
    this.#warnOnce(call);
    return undefined;
  }

  ping(connection: C): unknown {
    return this.#dialect.doPing?.(connection);
  }

  /** Whether the driver's error means that the connection is gone. */
  isDisconnect(error: unknown, connection: C): boolean {
    try {
      return this.#dialect.isDisconnect?.(error, connection) === true;
    } catch (failure) {
      this.#log.error("the dialect's isDisconnect failed", failure);
      return false;
    }
  }

  /** The connection leaves its slot; its driver is still heard. */
  leave(held: Held<C>): void {
    const { record: slot } = held;
    if (slot.held !== held) return;
    slot.held = undefined;
    slot.finalizers = [];
  }

  /** The connection has left the pool: closed, terminated or detached, however that went. */
  empty(held: Held<C>): void {
    this.leave(held);
    const { unwatch } = held;
    held.unwatch = undefined;
    try {
      unwatch?.();
    } catch (error) {
      this.#log.error("the end of the dialect's onDisconnect failed", error);
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
      this.#log.error("asking whether a transaction is open failed; the connection is reset", error);
      return false;
    }
    this.#warnOnce("rollback");
    return true;
  }

  #warnOnce(call: DriverCall): void {
    if (this.#warned.has(call)) return;
    this.#warned.add(call);
    const remedy = call === "rollback" || call === "commit" ? ', or set resetOnReturn: "none"' : "";
    this.#log.warn(`the connections offer nothing to call for ${call}; give a dialect with it${remedy}`);
  }
}
