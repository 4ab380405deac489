/** The leases of one scope that were garbage-collected before their end, until the policy knows of them. */

import { InvalidRequestError } from "../errors.js";
import type { Listeners } from "../events.js";
import { finalizersMayAct } from "../host.js";
import type { Log } from "../logger.js";
import { hasCrashed } from "./instance.js";
import type { Operations } from "./operations.js";
import type { Policy } from "./policy.js";
import { checkedOutAt, type LostLease, type Slot } from "./slot.js";

export class LostLeases<C> {
  readonly #policy: Policy;
  readonly #slots: readonly (Slot<C> | undefined)[];
  readonly #operations: Operations<C>;
  readonly #listeners: Listeners;
  readonly #log: Log;
  readonly #unreported: LostLease<C>[] = [];
  readonly #onChange: () => void;

  /** `onChange` is called when there are unreported leases, and when there are none any more. */
  constructor(
    policy: Policy,
    slots: readonly (Slot<C> | undefined)[],
    operations: Operations<C>,
    listeners: Listeners,
    log: Log,
    onChange: () => void,
  ) {
    this.#policy = policy;
    this.#slots = slots;
    this.#operations = operations;
    this.#listeners = listeners;
    this.#log = log;
    this.#onChange = onChange;
  }

  get areAny(): boolean {
    return this.#unreported.length > 0;
  }

  /** Takes a lost lease. In Workers finalizers run outside any request, so the report waits for the next call. */
  add(lost: LostLease<C>): void {
    this.#unreported.push(lost);
    if (finalizersMayAct) this.report();
    else this.#onChange();
  }

  /** Passes all of them to the policy, then logs and emits them. */
  report(): void {
    const all = this.#unreported.splice(0);
    this.#onChange();
    if (hasCrashed()) return;
    try {
      const reports = all.flatMap((lost) => this.#lose(lost));
      this.#operations.drain();
      for (const [lost, what] of reports) this.#report(lost, what);
      this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Passes one to the policy, and returns what to report of it. */
  #lose(lost: LostLease<C>): Array<[LostLease<C>, string]> {
    if (lost.shares === undefined) return this.#isLost(lost) ? [[lost, "its connection is terminated in 30 s"]] : [];
    return [...lost.shares]
      .filter((operation) => this.#policy.loseShare(operation))
      .map(() => [lost, "one caller fewer shares its connection"]);
  }

  #isLost({ slot, held }: LostLease<C>): boolean {
    // A slot that was emptied under its lease is still the lease's slot; with another connection it is not.
    if (this.#slots[slot.index] !== slot || (slot.held !== undefined && slot.held !== held)) return false;
    return this.#policy.loseLease(this.#policy.leaseOfSlot(slot.index));
  }

  #report({ slot, held }: LostLease<C>, what: string): void {
    const pool = this.#log.pool;
    const error = new InvalidRequestError(
      `a lease of the pool ${pool} was garbage-collected without close(): ${what}${checkedOutAt(held?.stack)}`,
      pool,
    );
    this.#log.warn(error.message);
    this.#listeners.emitError("leak", error, slot);
  }
}
