/**
 * One abort listener for each signal, with the set of operations behind it: a listener for every waiter of a shared
 * signal would be linear in their number, and Node warns of more than ten. Numbers only, no object for each waiter:
 * with a hundred thousand waiters the garbage collector would cost more than the rest. Used by waiters.ts; decides
 * nothing.
 */

import { hasContexts, weakly } from "../host.js";
import { indexOf } from "../protocol.js";

interface Group {
  readonly signal: AbortSignal;
  readonly operations: Set<number>;
  readonly listener: Listener;
}

/** The listener of one signal, for all scopes that wait on it. */
interface Listener {
  readonly members: Set<{ deref(): Signals | undefined }>;
  readonly onAbort: () => void;
}

/** By signal. In Workers each scope has listeners of its own, which it adds in its own I/O context. */
const listeners = new WeakMap<AbortSignal, Listener>();

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
  readonly #reference = referenceTo(this);

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
      // Another group may have begun since.
      if (this.#groups.get(signal)?.listener === listener) continue;
      listener.members.delete(this.#reference);
      if (listener.members.size > 0) continue;
      if (listeners.get(signal) === listener) listeners.delete(signal);
      try {
        signal.removeEventListener("abort", listener.onAbort);
      } catch {
        // A signal that keeps its listener costs nothing: it has no members.
      }
    }
  }

  /** Leaves every signal: no operation will be aborted any more. */
  clear(): void {
    for (const group of this.#groups.values()) this.#end(group);
    this.release();
  }

  #listen(signal: AbortSignal): Group {
    const known = listeners.get(signal);
    const listener = known ?? listenerOf(signal);
    const group: Group = { signal, operations: new Set(), listener };
    // Before the foreign call: it may re-enter the pool with the same signal.
    this.#groups.set(signal, group);
    this.#count++;
    listener.members.add(this.#reference);
    if (known !== undefined) return group;
    if (!hasContexts) listeners.set(signal, listener);
    try {
      signal.addEventListener("abort", listener.onAbort);
    } catch (error) {
      if (listeners.get(signal) === listener) listeners.delete(signal);
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
 * While a caller waits, its signal keeps its pool: nothing else may. In Workers a signal may outlive the request, whose
 * `finally` may never have run, so there it does not.
 */
function referenceTo(signals: Signals): { deref(): Signals | undefined } {
  return hasContexts ? weakly(signals) : { deref: () => signals };
}

/** Made here, so that the function closes over these two alone. */
function listenerOf(signal: AbortSignal): Listener {
  const members = new Set<{ deref(): Signals | undefined }>();
  return {
    members,
    onAbort() {
      for (const member of members) member.deref()?.onAbort(signal);
    },
  };
}

/** Returns the reason. If the reason cannot be read, the error is the reason. */
function reasonOf(signal: AbortSignal): unknown {
  try {
    return signal.reason;
  } catch (error) {
    return error;
  }
}
