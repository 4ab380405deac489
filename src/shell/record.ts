/**
 * The pool's slot for one connection at a time, as a creator and a lease see it. What belongs to the connection (`info`)
 * ends with it; what belongs to the slot (`recordInfo`) survives reconnects. Made and reset by driver.ts.
 */

/** The pool's slot for one connection at a time. */
export interface ConnectionRecord<C> {
  /** The driver's connection; null while the slot is empty. */
  readonly connection: C | null;
  /** Belongs to the driver connection. */
  readonly info: Record<PropertyKey, unknown>;
  /** Belongs to the slot. */
  readonly recordInfo: Record<PropertyKey, unknown>;
  /** Whether a lease has it. */
  readonly inUse: boolean;
  /** When the connection was opened, in milliseconds since the epoch; 0 while there was none. */
  readonly lastConnectTime: number;
}

export class Slot<C> implements ConnectionRecord<C> {
  connection: C | null = null;
  info: Record<PropertyKey, unknown> = {};
  recordInfo: Record<PropertyKey, unknown> = {};
  lastConnectTime = 0;
  /** Ends the watch for the driver's own word that the connection died. */
  unwatch: (() => void) | undefined = undefined;
  readonly #isInUse: () => boolean;

  constructor(isInUse: () => boolean) {
    this.#isInUse = isInUse;
  }

  get inUse(): boolean {
    // Whoever kept the record of a slot that has ended: its place may be another slot's by now.
    return this.connection !== null && this.#isInUse();
  }

  /** The connection has left the slot: closed, or detached. It has, whatever the end of its watch throws. */
  empty(): void {
    this.connection = null;
    const unwatch = this.unwatch;
    this.unwatch = undefined;
    unwatch?.();
  }
}
