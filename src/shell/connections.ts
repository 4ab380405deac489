/**
 * The connections of one pool, by slot, and every call into them: open, rollback, commit, close, terminate, and the watch
 * for the driver's word that one died. A call may throw or answer a promise; what that means is for driver.ts and the
 * policy. Reports to the logger what nobody else would hear of.
 */

import { findCall, type Dialect, type DriverCall } from "./dialect.js";
import { ArgumentError } from "./errors.js";
import type { PoolLogger } from "./logger.js";
import { show, type Settings } from "./options.js";
import { Slot, type ConnectionRecord } from "./record.js";

/** Makes one driver connection, sync or async. Called with the slot that will hold it. */
export type Creator<C> = (record: ConnectionRecord<C>) => C | PromiseLike<C>;

/** What the connections ask of the driver. */
export interface Host {
  isInUse(slot: number): boolean;
  /** The connection in this slot is gone, says its driver. */
  died(slot: number): void;
}

export class Connections<C> {
  /** By index; a slot exists since its first opening. */
  readonly slots: Slot<C>[] = [];
  readonly #creator: Creator<C>;
  readonly #dialect: Dialect<C>;
  readonly #logger: PoolLogger;
  readonly #host: Host;
  readonly #pool: string;
  readonly #driverTimeoutMs: number;
  readonly #warned = new Set<DriverCall>();

  constructor(creator: Creator<C>, settings: Settings<C>, logger: PoolLogger, host: Host) {
    this.#creator = creator;
    this.#dialect = settings.dialect;
    this.#logger = logger;
    this.#host = host;
    this.#pool = settings.loggingName;
    this.#driverTimeoutMs = settings.core.driverTimeout;
  }

  /** Calls the creator. `isNew`: nothing of an earlier slot at this index may show through. */
  open(index: number, isNew: boolean): C | PromiseLike<C> {
    let slot = this.slots[index];
    if (slot === undefined || isNew) {
      slot = new Slot<C>(() => this.#host.isInUse(index));
      this.slots[index] = slot;
    }
    slot.info = {};
    return this.#creator(slot);
  }

  /** Puts what the creator answered into its slot. Throws where that is nothing. */
  adopt(index: number, connection: C): void {
    if (connection === undefined || connection === null) {
      throw new ArgumentError(`creator must return a connection, or a promise of one; it returned ${show(connection)}`, this.#pool);
    }
    const slot = this.slots[index] as Slot<C>;
    slot.connection = connection;
    slot.lastConnectTime = Date.now();
    try {
      slot.unwatch = this.#dialect.onDisconnect?.(connection, () => {
        if (slot.connection === connection && this.slots[index] === slot) this.#host.died(index);
      });
    } catch (error) {
      this.#logger.error(`pool ${this.#pool}: the dialect's onDisconnect failed`, error);
    }
  }

  /** Rolls back, commits, closes or terminates; where nothing offers that, says so once. */
  call(call: DriverCall, connection: C): unknown {
    const make = findCall(this.#dialect, call, connection);
    if (make === undefined) this.#warnOnce(call);
    return make?.();
  }

  /** The connection has left the slot: closed, terminated or detached, however that went. */
  empty(index: number): void {
    try {
      this.slots[index]?.empty();
    } catch (error) {
      this.#logger.error(`pool ${this.#pool}: the end of the dialect's onDisconnect failed`, error);
    }
  }

  /** Whether no transaction is open, or nothing could end one. */
  isClean(connection: C): boolean {
    const { inTransaction, doRollback } = this.#dialect;
    try {
      if (inTransaction !== undefined) return this.#dialect.inTransaction?.(connection) === false;
      if (doRollback !== undefined || typeof (connection as { rollback?: unknown }).rollback === "function") return false;
    } catch (error) {
      this.#logger.error(`pool ${this.#pool}: asking whether a transaction is open failed; the connection is reset`, error);
      return false;
    }
    this.#warnOnce("rollback");
    return true;
  }

  reportFailed(call: DriverCall | "open", error: unknown): void {
    const what = call === "open" ? "opening a connection failed after its caller had left" : `${call} of a connection failed`;
    this.#logger.error(`pool ${this.#pool}: ${what}`, error);
  }

  reportTimedOut(call: DriverCall | "open"): void {
    const what = call === "open" ? "opening a connection" : `${call} of a connection`;
    this.#logger.error(`pool ${this.#pool}: ${what} took longer than driverTimeout (${this.#driverTimeoutMs} ms)`);
  }

  #warnOnce(call: DriverCall): void {
    if (this.#warned.has(call)) return;
    this.#warned.add(call);
    const remedy = call === "rollback" || call === "commit" ? ', or set resetOnReturn: "none"' : "";
    this.#logger.warn(`pool ${this.#pool}: the connections offer nothing to call for ${call}; give a dialect with it${remedy}`);
  }
}
