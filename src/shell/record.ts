/** The pool's slot for one connection at a time, as creators, listeners and lease holders see it. */

/** The pool's slot for one connection at a time. */
export interface ConnectionRecord<C> {
  /** The driver's connection; null while the slot is empty. */
  readonly connection: C | null;
  /** Belongs to the driver connection, and is empty once that has ended. */
  readonly info: Record<PropertyKey, unknown>;
  /** Belongs to the slot, and ends with it. */
  readonly recordInfo: Record<PropertyKey, unknown>;
  /**
   * The key of the scope that has the slot, if the option `scope` returned one and it was not collected. Tells a
   * creator for which key it opens.
   */
  readonly scope: object | undefined;
  /** Whether a lease has the slot, including while it is checked out or returned. */
  readonly inUse: boolean;
  /** When the connection was opened, in milliseconds since the epoch; 0 before the first one. */
  readonly lastConnectTime: number;
  /**
   * Registers a callback that runs once, at the next return, newest first, before the checkin event. It does not run if
   * the connection is closed before.
   */
  finalize(callback: (connection: C) => unknown): void;
  /**
   * Terminates the connection, or with `soft` marks it to be replaced at its next checkout. A lease of the connection
   * stays valid, with the dead connection: its close still resets it, then checks in null.
   */
  invalidate(error?: unknown, options?: { soft?: boolean | undefined }): Promise<void>;
  /** Closes the driver connection politely; the slot reconnects at its next checkout. */
  close(): Promise<void>;
}
