/**
 * Finds leases that were dropped without a return. Each connection has a sentinel: an object that the pool keeps while
 * the connection is idle, and that its lease takes along while it is out. A lease that is collected takes the sentinel
 * with it, and the registry says so. Registered once for each connection, so a checkout costs two stores. Those who share
 * a connection keep one sentinel together: it goes with the last of them, and what is left in its list was lost. Decides
 * nothing: driver.ts asks the policy.
 */

import type { Driver } from "./driver.js";
import type { Held, Slot } from "./record.js";

/** Nothing here keeps a pool, or its connections, alive. */
interface Watch {
  readonly driver: WeakRef<Driver<any>>;
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
  ? new FinalizationRegistry<Watch>(({ driver, record, held, shares }) => {
      const slot = record.deref();
      if (slot !== undefined) driver.deref()?.lost({ record: slot, held: held.deref(), shares });
    })
  : undefined;

/** A new sentinel for the leases of the connection, one after the other. */
export function guard(held: Held<any>, driver: Driver<any>): void {
  held.sentinel = register(held, driver, undefined);
}

/** The sentinel for one more share of the connection. */
export function guardShare(held: Held<any>, driver: Driver<any>, operation: number): object {
  let sentinel = held.shared?.sentinel.deref();
  if (sentinel === undefined) {
    const shares = new Set<number>();
    sentinel = register(held, driver, shares);
    held.shared = { sentinel: new WeakRef(sentinel), shares };
  }
  held.shared?.shares.add(operation);
  return sentinel;
}

function register(held: Held<any>, driver: Driver<any>, shares: Set<number> | undefined): object {
  const sentinel = {};
  registry?.register(sentinel, { driver: new WeakRef(driver), record: new WeakRef(held.record), held: new WeakRef(held), shares });
  return sentinel;
}
