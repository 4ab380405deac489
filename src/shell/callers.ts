/**
 * The callers who wait for an operation, by its index: how to tell each, what signal and what times of their own they came
 * with. Keeps them; driver.ts, operations.ts and leases.ts say when to tell whom.
 */

import { thenableKeepsContext } from "./host.js";
import type { Limits } from "./options.js";
import type { PooledConnection } from "./pooled-connection.js";
import { indexMask } from "./protocol.js";
import { Signals } from "./signals.js";

/** What a waiter is resolved with: a lease, or what becomes one. */
type Value<C> = PooledConnection<C> | PromiseLike<PooledConnection<C>>;
type Resolve<C> = (value: Value<C> | Resumption<C>) => unknown;
type Reject = (error: unknown) => unknown;

/** Tells a waiter that it must go on by itself. */
class Resumption<C> {
  readonly run: () => PromiseLike<PooledConnection<C>>;

  constructor(run: () => PromiseLike<PooledConnection<C>>) {
    this.run = run;
  }
}

/** Where a waiter arrives, in its own async context. */
function arrive<C>(value: Value<C> | Resumption<C>): Value<C> {
  return value instanceof Resumption ? value.run() : value;
}

/**
 * What a waiter is given. Where the host keeps the context of a promise that is resolved with a thenable, that is the
 * promise itself; elsewhere one behind it, which costs 96 bytes and a microtask more.
 */
function own<C>(promise: Promise<Value<C> | Resumption<C>>): Promise<PooledConnection<C>> {
  return (thenableKeepsContext ? promise : promise.then(arrive)) as Promise<PooledConnection<C>>;
}

export class Callers<C> {
  /** How to settle a caller who only waits. */
  readonly #resolves: (Resolve<C> | undefined)[] = [];
  /** How to refuse one who may abort. */
  readonly #rejects: (Reject | undefined)[] = [];
  readonly #limits: (Limits | undefined)[] = [];
  #limitsCount = 0;
  readonly #signals: Signals;
  /** Whether nobody has either: one look at each hand-over instead of two, one of them through another object. */
  #isPlain = true;

  /** `aborted` is told with every operation of a signal, once it has been aborted. */
  constructor(aborted: (operations: Set<number>, reason: unknown) => void) {
    this.#signals = new Signals((operation) => operation & indexMask, aborted);
  }

  /** One promise and one function for each waiter: a refusal resolves with a rejection. */
  wait(index: number): Promise<PooledConnection<C>> {
    const promise = new Promise<Value<C> | Resumption<C>>((resolve) => {
      this.#resolves[index] = resolve;
    });
    // As `own` does: a call less for every waiter.
    return (thenableKeepsContext ? promise : promise.then(arrive)) as Promise<PooledConnection<C>>;
  }

  /** A second function is kept only for who may abort: then thousands may do so at once. */
  waitAbortably(index: number): Promise<PooledConnection<C>> {
    return own(
      new Promise<Value<C> | Resumption<C>>((resolve, reject) => {
        this.#resolves[index] = resolve;
        this.#rejects[index] = reject;
      }),
    );
  }

  /**
   * One who waits for a pool that several I/O contexts share, and looks for the answer every 10 ms: no timer but its own is
   * sure to run, and before the compatibility date 2024-10-14 no promise goes on that another context settles.
   */
  waitAcross(index: number, rang: () => void): Promise<PooledConnection<C>> {
    return own(
      new Promise<Value<C> | Resumption<C>>((resolve, reject) => {
        let answer: (() => void) | undefined;
        this.#resolves[index] = (value) => {
          // Nothing here may hold the lease: where its caller's request has ended meanwhile, it is a lost one.
          this.#rejects[index] = undefined;
          answer = () => resolve(value);
        };
        this.#rejects[index] = (error) => (answer = () => reject(error));
        const timer = setInterval(() => {
          if (answer === undefined) return rang();
          clearInterval(timer);
          answer();
        }, 10);
      }),
    );
  }

  remember(operation: number, limits: Limits | undefined, signal: AbortSignal | undefined): void {
    if (limits !== undefined) {
      this.#limits[operation & indexMask] = limits;
      this.#limitsCount++;
    }
    if (signal !== undefined) this.#signals.add(signal, operation);
    if (limits !== undefined || signal !== undefined) this.#isPlain = false;
  }

  limitsOf(index: number): Limits | undefined {
    return this.#limits[index];
  }

  /** The caller has been told, or has left: its signal and its times no longer matter. Answers its times. */
  forget(index: number): Limits | undefined {
    if (this.#isPlain) return undefined;
    if (!this.#signals.isEmpty) {
      this.#signals.remove(index);
      if (index < this.#rejects.length) this.#rejects[index] = undefined;
    }
    const limits = this.#limits[index];
    if (limits !== undefined) {
      this.#limits[index] = undefined;
      this.#limitsCount--;
    }
    this.#isPlain = this.#limitsCount === 0 && this.#signals.isEmpty;
    return limits;
  }

  /**
   * Wakes one who waits, to go on by itself: in a microtask of its own, never in the stack of whoever freed the capacity.
   * Twenty thousand waiters behind a failing creator do not pile up.
   */
  resume(index: number, run: () => PromiseLike<PooledConnection<C>>): void {
    const resolve = this.#resolves[index];
    this.#resolves[index] = undefined;
    resolve?.(
      thenableKeepsContext ? { then: (granted, refused) => run().then(granted, refused) } : new Resumption(run),
    );
  }

  /** Gives one who waits its lease: the hot path of a return. */
  grant(index: number, lease: PooledConnection<C>): void {
    const resolve = this.#resolves[index] as Resolve<C>;
    this.#resolves[index] = undefined;
    if (!this.#isPlain) this.forget(index);
    resolve(lease);
  }

  /** Refuses one who waits; false where nobody does: the caller's flow is under way. */
  refuse(index: number, error: unknown): boolean {
    const resolve = this.#resolves[index];
    if (resolve === undefined) return false;
    this.#resolves[index] = undefined;
    // As everyone else, with a signal or without: so they hear of it in order.
    resolve(Promise.reject(error));
    return true;
  }

  /** The same for one who came with a signal, at its abort. */
  abort(index: number, reason: unknown): boolean {
    const reject = this.#rejects[index];
    if (reject === undefined || this.#resolves[index] === undefined) return false;
    this.#resolves[index] = undefined;
    this.#rejects[index] = undefined;
    reject(reason);
    return true;
  }

  /** Listens to no signal any more, so that none keeps what is here. */
  leaveSignals(): void {
    this.#signals.clear();
  }

  refuseAll(error: () => unknown): void {
    this.#resolves.forEach((resolve) => resolve?.(Promise.reject(error())));
    this.#resolves.length = 0;
  }
}
