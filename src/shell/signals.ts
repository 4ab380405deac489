/**
 * One abort listener for each signal, with the set of operations behind it: a listener for every waiter of a shared signal
 * would be linear in their number. Numbers only, no object for each waiter: under a hundred thousand of them the garbage
 * collector would cost more than all else. Used by callers.ts; decides nothing.
 */

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
  /** Of groups. A number of our own: asked at every hand-over. */
  #count = 0;
  readonly #indexOf: (operation: number) => number;
  readonly #aborted: (operations: Set<number>, reason: unknown) => void;

  /** `aborted` is told once for each signal, with everyone who asked with it, in order. */
  constructor(indexOf: (operation: number) => number, aborted: (operations: Set<number>, reason: unknown) => void) {
    this.#indexOf = indexOf;
    this.#aborted = aborted;
  }

  /** Whether nobody who waits has a signal. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  add(signal: AbortSignal, operation: number): void {
    const group = this.#groups.get(signal) ?? this.#listen(signal);
    group.operations.add(operation);
    this.#groupAt[this.#indexOf(operation)] = group;
    this.#operationAt[this.#indexOf(operation)] = operation;
  }

  /** By index alone: it has one operation at a time. */
  remove(index: number): void {
    const group = this.#groupAt[index];
    if (group === undefined) return;
    this.#groupAt[index] = undefined;
    group.operations.delete(this.#operationAt[index] as number);
    if (group.operations.size === 0) this.#end(group);
  }

  /** Leaves every signal: nobody will be told any more. */
  clear(): void {
    for (const group of this.#groups.values()) this.#end(group);
  }

  #listen(signal: AbortSignal): Group {
    const group: Group = { signal, operations: new Set(), listener: listenerOf(reference(this), signal) };
    signal.addEventListener("abort", group.listener);
    this.#groups.set(signal, group);
    this.#count++;
    return group;
  }

  /** @internal The signal was aborted. */
  heard(signal: AbortSignal): void {
    const group = this.#groups.get(signal);
    if (group === undefined) return;
    this.#end(group);
    for (const operation of group.operations) this.#groupAt[this.#indexOf(operation)] = undefined;
    this.#aborted(group.operations, reasonOf(signal));
  }

  #end(group: Group): void {
    if (this.#groups.delete(group.signal)) this.#count--;
    try {
      group.signal.removeEventListener("abort", group.listener);
    } catch {
      // A signal that keeps its listener costs nothing: the group is empty.
    }
  }
}

/** A signal may outlive the pool, and in Workers the request, of which no `finally` may have run: it must not keep them. */
function reference(signals: Signals): { deref(): Signals | undefined } {
  return typeof WeakRef === "function" ? new WeakRef(signals) : { deref: () => signals };
}

/** Made apart, so that the function sees nothing but these. */
function listenerOf(signals: { deref(): Signals | undefined }, signal: AbortSignal): () => void {
  return () => signals.deref()?.heard(signal);
}

/** A reason that cannot be read is a reason, too. */
function reasonOf(signal: AbortSignal): unknown {
  try {
    return signal.reason;
  } catch (error) {
    return error;
  }
}
