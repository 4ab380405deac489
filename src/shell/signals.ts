/**
 * One abort listener for each signal, with the set of operations behind it: adding and removing a listener for every
 * waiter of a shared signal would be linear in their number. Used by driver.ts; decides nothing.
 */

export class Signals {
  readonly #groups = new Map<AbortSignal, { operations: Set<number>; listener: () => void }>();
  readonly #aborted: (operation: number) => void;

  constructor(aborted: (operation: number) => void) {
    this.#aborted = aborted;
  }

  add(signal: AbortSignal, operation: number): void {
    let group = this.#groups.get(signal);
    if (group === undefined) {
      const operations = new Set<number>();
      // Aborted operations delete themselves from the set while it is walked, which a Set allows.
      group = { operations, listener: () => operations.forEach(this.#aborted) };
      this.#groups.set(signal, group);
      signal.addEventListener("abort", group.listener);
    }
    group.operations.add(operation);
  }

  remove(signal: AbortSignal, operation: number): void {
    const group = this.#groups.get(signal);
    if (group === undefined || !group.operations.delete(operation) || group.operations.size > 0) return;
    this.#groups.delete(signal);
    signal.removeEventListener("abort", group.listener);
  }
}
