/**
 * One abort listener for each signal, with the set of operations behind it: a listener for every waiter of a shared
 * signal would be linear in their number. Numbers only, no object for each waiter: with a hundred thousand waiters the
 * garbage collector would cost more than the rest. Used by waiters.ts; decides nothing.
 */

import { weakly } from "../host.js";
import { indexOf } from "../protocol.js";

interface Group {
  readonly signal: AbortSignal;
  readonly operations: Set<number>;
  readonly listener: () => void;
}

export class Signals {
  readonly #groups = new Map<AbortSignal, Group>();
  /** By index of operation: its group, and its whole handle. */
  readonly #groupAt: (Group | undefined)[] = [];
  readonly #operationAt: number[] = [];
  /** The number of groups. A field, because it is read at every hand-over. */
  #count = 0;
  /** Groups without an operation whose listener is still to be removed: a user's signal is foreign code. */
  #ended: Group[] = [];
  readonly #aborted: (operations: Set<number>, reason: unknown) => void;

  /** `aborted` is called once for each signal, with all of its operations, in order. */
  constructor(aborted: (operations: Set<number>, reason: unknown) => void) {
    this.#aborted = aborted;
  }

  /** Whether no waiter has a signal. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether {@link release} has something to do. */
  get hasEnded(): boolean {
    return this.#ended.length > 0;
  }

  /** Returns the group of the signal. Runs foreign code: the signal's addEventListener(). */
  groupOf(signal: AbortSignal): Group {
    return this.#groups.get(signal) ?? this.#listen(signal);
  }

  add(group: Group, operation: number): void {
    group.operations.add(operation);
    this.#groupAt[indexOf(operation)] = group;
    this.#operationAt[indexOf(operation)] = operation;
  }

  /** Removes the operation at this index: an index has one operation at a time. */
  removeAt(index: number): void {
    const group = this.#groupAt[index];
    if (group === undefined) return;
    this.#groupAt[index] = undefined;
    group.operations.delete(this.#operationAt[index] as number);
    this.endIfEmpty(group);
  }

  /** The caller of the operation at this index goes on as another. */
  move(index: number, operation: number): void {
    const group = this.#groupAt[index];
    if (group === undefined) return;
    this.add(group, operation);
    this.removeAt(index);
  }

  endIfEmpty(group: Group): void {
    if (group.operations.size === 0) this.#end(group);
  }

  /** Stops listening to the signals that no operation has any more. Runs foreign code. */
  release(): void {
    while (this.#ended.length > 0) {
      const { signal, listener } = this.#ended.pop() as Group;
      try {
        signal.removeEventListener("abort", listener);
      } catch {
        // A signal that keeps its listener costs nothing: the group is empty.
      }
    }
  }

  /** Leaves every signal: no operation will be aborted any more. */
  clear(): void {
    for (const group of this.#groups.values()) this.#end(group);
    this.release();
  }

  #listen(signal: AbortSignal): Group {
    const group: Group = { signal, operations: new Set(), listener: listenerOf(weakly(this), signal) };
    // Before the foreign call: it may re-enter the pool with the same signal.
    this.#groups.set(signal, group);
    this.#count++;
    try {
      signal.addEventListener("abort", group.listener);
    } catch (error) {
      this.#end(group);
      throw error;
    }
    return group;
  }

  /** @internal The signal was aborted. */
  onAbort(signal: AbortSignal): void {
    const group = this.#groups.get(signal);
    if (group === undefined) return;
    this.#end(group);
    for (const operation of group.operations) this.#groupAt[indexOf(operation)] = undefined;
    this.#aborted(group.operations, reasonOf(signal));
  }

  #end(group: Group): void {
    if (!this.#groups.delete(group.signal)) return;
    this.#count--;
    this.#ended.push(group);
  }
}

/**
 * Made here, so that the function closes over these two alone. A signal may outlive the pool, and in Workers the
 * request, whose `finally` may never have run: it must not keep them.
 */
function listenerOf(signals: { deref(): Signals | undefined }, signal: AbortSignal): () => void {
  return () => signals.deref()?.onAbort(signal);
}

/** Returns the reason. If the reason cannot be read, the error is the reason. */
function reasonOf(signal: AbortSignal): unknown {
  try {
    return signal.reason;
  } catch (error) {
    return error;
  }
}
