/**
 * Finds leases that were dropped without a return. Each connection has a sentinel: an object that the pool keeps while
 * the connection is idle, and that its lease takes along while it is out. A lease that is collected takes the sentinel
 * with it, and the registry says so. Registered once for each connection, so a checkout costs two stores. Those who share
 * a connection keep one sentinel together: it goes with the last of them, and what is left in its list was lost. Decides
 * nothing: the policy does, once it is told.
 */

import type { Books } from "./books.js";
import { InvalidRequestError } from "./errors.js";
import { finalizersMayAct } from "./host.js";
import { hasCrashed } from "./instance.js";
import type { Leases } from "./leases.js";
import type { Log } from "./logger.js";
import type { Operations } from "./operations.js";
import type { Held, Slot } from "./record.js";
import type { Reporter } from "./report.js";

/** Nothing here keeps a pool, or its connections, alive. */
interface Watch {
  readonly leases: WeakRef<Leases<any>>;
  readonly record: WeakRef<Slot<any>>;
  /** Collected with its lease where the record was emptied under it. */
  readonly held: WeakRef<Held<any>>;
  readonly shares: Set<number> | undefined;
}

/** What is known of leases that were collected. */
export interface Lost<C> {
  readonly record: Slot<C>;
  readonly held: Held<C> | undefined;
  /** Of a shared connection: the operations that stand for them. */
  readonly shares: Set<number> | undefined;
}

/** The sentinel of those who share a connection, and the operations that stand for their shares. */
export interface SharedSentinel {
  readonly sentinel: WeakRef<object>;
  readonly shares: Set<number>;
}

export const canTrackLeaks = typeof FinalizationRegistry === "function" && typeof WeakRef === "function";

const registry = canTrackLeaks
  ? new FinalizationRegistry<Watch>(({ leases, record, held, shares }) => {
      const slot = record.deref();
      if (slot !== undefined) leases.deref()?.lost({ record: slot, held: held.deref(), shares });
    })
  : undefined;

/** A new sentinel for the leases of the connection, one after the other. */
export function guard(held: Held<any>): void {
  held.sentinel = register(held, undefined);
}

/** The sentinel for one more share of the connection. */
export function guardShare(held: Held<any>, operation: number): object {
  let sentinel = held.shared?.sentinel.deref();
  if (sentinel === undefined) {
    const shares = new Set<number>();
    sentinel = register(held, shares);
    held.shared = { sentinel: new WeakRef(sentinel), shares };
  }
  held.shared?.shares.add(operation);
  return sentinel;
}

function register(held: Held<any>, shares: Set<number> | undefined): object {
  const sentinel = {};
  registry?.register(sentinel, {
    leases: new WeakRef(held.leases),
    record: new WeakRef(held.record),
    held: new WeakRef(held),
    shares,
  });
  return sentinel;
}

/** The leases of one driver that were lost, until the policy is told of them. */
export class LostLeases<C> {
  readonly #books: Books;
  readonly #slots: Slot<C>[];
  readonly #operations: Operations<C>;
  readonly #reporter: Reporter<C>;
  readonly #log: Log;
  readonly #waiting: Lost<C>[] = [];
  /** Told when there are some, or none any more. */
  readonly #changed: () => void;

  constructor(
    books: Books,
    slots: Slot<C>[],
    operations: Operations<C>,
    reporter: Reporter<C>,
    log: Log,
    changed: () => void,
  ) {
    this.#books = books;
    this.#slots = slots;
    this.#operations = operations;
    this.#reporter = reporter;
    this.#log = log;
    this.#changed = changed;
  }

  get areAny(): boolean {
    return this.#waiting.length > 0;
  }

  /** In Workers that is heard in no request at all: then it waits for the next. */
  add(lost: Lost<C>): void {
    this.#waiting.push(lost);
    if (finalizersMayAct) this.tell();
    else this.#changed();
  }

  /** Tells the policy, and the log, of all of them. */
  tell(): void {
    const all = this.#waiting.splice(0);
    this.#changed();
    if (hasCrashed()) return;
    try {
      for (const lost of all) {
        if (lost.shares === undefined) {
          if (this.#isLost(lost)) this.#report(lost, "its connection is terminated in 30 s");
          continue;
        }
        for (const operation of lost.shares) {
          if (this.#books.wasm.lose_share(this.#books.number, operation) !== 0)
            this.#report(lost, "those who share its connection are one less");
        }
      }
      this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  #isLost({ record, held }: Lost<C>): boolean {
    // Emptied under its lease, the slot is still the lease's; with another connection it is not.
    if (this.#slots[record.index] !== record || (record.held !== undefined && record.held !== held)) return false;
    const { wasm, number } = this.#books;
    return wasm.lose_lease(number, wasm.lease_of(number, record.index)) !== 0;
  }

  #report({ record, held }: Lost<C>, what: string): void {
    const pool = this.#log.pool;
    const where =
      held?.stack === undefined
        ? ' (trackLeaks: "stack" tells where it was checked out)'
        : `; it was checked out\n${held.stack}`;
    const error = new InvalidRequestError(
      `a lease of the pool ${pool} was garbage-collected without close(): ${what}${where}`,
      pool,
    );
    this.#log.warn(error.message);
    this.#reporter.tell("leak", error, record);
  }
}
