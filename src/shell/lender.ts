/**
 * Makes the leases of one driver: of a connection that nobody else has, of a share of one, of one that belongs to an I/O
 * context. Whether there is one to make is decided before.
 */

import type { Flow } from "./flow.js";
import { guardShare } from "./leaks.js";
import type { Log } from "./logger.js";
import type { Limits, Settings } from "./options.js";
import { BoundLease, handleOfOperation, PooledConnection } from "./pooled-connection.js";
import { indexMask } from "./protocol.js";
import type { Held, Slot } from "./record.js";

export class Lender<C> {
  readonly #slots: Slot<C>[];
  readonly #log: Log;
  readonly #tracksLeaks: boolean;
  readonly #isBound: boolean;

  /** `isBound`: the connections belong to an I/O context. */
  constructor(slots: Slot<C>[], settings: Settings<C>, isBound: boolean) {
    this.#slots = slots;
    this.#log = settings.log;
    this.#tracksLeaks = settings.tracksLeaks;
    this.#isBound = isBound;
  }

  /** For the word of a checkout that was granted. */
  leaseFor(word: number, limits: Limits | undefined): PooledConnection<C> {
    return this.leaseOf((this.#slots[word & indexMask] as Slot<C>).held as Held<C>, word, limits);
  }

  leaseOf(held: Held<C>, handle: number, limits: Limits | undefined): PooledConnection<C> {
    if (this.#log.isDebug) this.#log.debug("a connection is checked out");
    if (limits !== undefined) held.stack = limits.stack;
    return this.lend(held, handle, held.takeSentinel());
  }

  /** `sentinel`: the connection's; see leaks.ts. */
  lend(held: Held<C>, handle: number, sentinel: object | undefined): PooledConnection<C> {
    return this.#isBound ? new BoundLease(held, handle, sentinel) : new PooledConnection(held, handle, sentinel);
  }

  /** One more share, for which the flow's operation stands. */
  share(held: Held<C>, flow: Flow<C>): PooledConnection<C> {
    if (this.#log.isDebug) this.#log.debug("a connection is checked out");
    held.stack = flow.limits?.stack;
    const sentinel = this.#tracksLeaks ? guardShare(held, flow.operation) : undefined;
    return this.lend(held, handleOfOperation(flow.operation), sentinel);
  }
}
