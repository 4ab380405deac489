/**
 * The callers that wait for an operation: how to settle the promise of each, its signal and its own times. A waiter is
 * found by the whole handle of its operation. Settling a promise runs no foreign code.
 */

import type { Limits } from "../call-options.js";
import { thenableKeepsContext } from "../host.js";
import { indexOf } from "../protocol.js";
import { rejectBy } from "./caller-stacks.js";
import type { Lease } from "./lease.js";
import { Signals } from "./signals.js";

/** What the promise of a waiter is resolved with: a lease, or a promise of one. */
type Value<C> = Lease<C> | PromiseLike<Lease<C>>;
type Resolve<C> = (value: Value<C> | Resumption<C>) => unknown;
type Reject = (error: unknown) => unknown;

/** Tells a waiter that it must go on by itself. */
class Resumption<C> {
  readonly run: () => PromiseLike<Lease<C>>;

  constructor(run: () => PromiseLike<Lease<C>>) {
    this.run = run;
  }
}

/** Runs in the waiter's own async context. */
function arrive<C>(value: Value<C> | Resumption<C>): Value<C> {
  return value instanceof Resumption ? value.run() : value;
}

/**
 * Returns the promise that a waiter is given. If the host keeps the context of a promise that is resolved with a
 * thenable, that is the promise itself. Elsewhere it is a promise behind it, which costs 96 bytes and a microtask.
 */
function own<C>(promise: Promise<Value<C> | Resumption<C>>): Promise<Lease<C>> {
  return (thenableKeepsContext ? promise : promise.then(arrive)) as Promise<Lease<C>>;
}

/** No handle is negative. */
const noOperation = -1;

export class Waiters<C> {
  /** By index: the whole handle of the operation, and how to settle its caller. */
  readonly #handles: number[] = [];
  readonly #resolves: (Resolve<C> | undefined)[] = [];
  /** Of callers that may abort. */
  readonly #rejects: (Reject | undefined)[] = [];
  readonly #limits: (Limits | undefined)[] = [];
  /** Whether any caller came with a signal or with times of its own, ever: most pools never look for either. */
  #mayHaveTerms = false;
  readonly #signals: Signals;

  /** `aborted` is called with every operation of a signal, once the signal has been aborted. */
  constructor(aborted: (operations: Set<number>, reason: unknown) => void) {
    this.#signals = new Signals(aborted);
  }

  // ---- a waiter begins to wait

  /** Makes one promise and keeps one function for each waiter: a refusal resolves with a rejected promise. */
  wait(operation: number): Promise<Lease<C>> {
    const index = indexOf(operation);
    const promise = new Promise<Value<C> | Resumption<C>>((resolve) => {
      this.#handles[index] = operation;
      this.#resolves[index] = resolve;
    });
    // As `own` does, without its call.
    return (thenableKeepsContext ? promise : promise.then(arrive)) as Promise<Lease<C>>;
  }

  /** Keeps a second function, but only for callers that may abort: thousands may abort at the same time. */
  waitAbortably(operation: number): Promise<Lease<C>> {
    const index = indexOf(operation);
    this.#mayHaveTerms = true;
    return own(
      new Promise<Value<C> | Resumption<C>>((resolve, reject) => {
        this.#handles[index] = operation;
        this.#resolves[index] = resolve;
        this.#rejects[index] = reject;
      }),
    );
  }

  /**
   * Waits in a pool that several I/O contexts share: looks for the answer every 10 ms. Only a timer of the waiter's own
   * context is sure to run there, and before the compatibility date 2024-10-14 a promise that another context settles
   * does not resume.
   */
  waitAcross(operation: number, onTick: () => void): Promise<Lease<C>> {
    const index = indexOf(operation);
    this.#mayHaveTerms = true;
    return own(
      new Promise<Value<C> | Resumption<C>>((resolve, reject) => {
        let answer: (() => void) | undefined;
        this.#handles[index] = operation;
        this.#resolves[index] = (value) => {
          // Nothing else here may hold the lease: if the request of its caller has ended, the lease is lost.
          this.#rejects[index] = undefined;
          answer = () => resolve(value);
        };
        this.#rejects[index] = (error) => (answer = () => reject(error));
        const timer = setInterval(() => {
          if (answer === undefined) return onTick();
          clearInterval(timer);
          answer();
        }, 10);
      }),
    );
  }

  /** Keeps the caller's own times. */
  keepLimits(operation: number, limits: Limits): void {
    this.#mayHaveTerms = true;
    this.#limits[indexOf(operation)] = limits;
  }

  /** Keeps the handle of an operation whose caller has a signal, but does not wait. */
  attend(operation: number): void {
    this.#mayHaveTerms = true;
    this.#handles[indexOf(operation)] = operation;
  }

  /**
   * Listens to the caller's signal, unless foreign code has ended the operation by now: another may have its index.
   * Runs foreign code.
   */
  listen(operation: number, signal: AbortSignal): void {
    if (!this.#knows(operation)) return;
    const group = this.#signals.groupOf(signal);
    if (this.#knows(operation)) this.#signals.add(group, operation);
    else this.#signals.endIfEmpty(group);
  }

  /** The caller of one operation goes on as another. */
  move(from: number, to: number): void {
    if (!this.#knows(from)) return;
    const limits = this.#limits[indexOf(from)];
    this.#handles[indexOf(to)] = to;
    if (limits !== undefined) this.#limits[indexOf(to)] = limits;
    this.#signals.move(indexOf(from), to);
    this.forget(from);
  }

  // ---- what is known of a waiter

  #knows(operation: number): boolean {
    return this.#handles[indexOf(operation)] === operation;
  }

  limitsOf(operation: number): Limits | undefined {
    return this.#knows(operation) ? this.#limits[indexOf(operation)] : undefined;
  }

  /** Whether the caller waits still. */
  has(operation: number): boolean {
    return this.#knows(operation) && this.#resolves[indexOf(operation)] !== undefined;
  }

  /** Whether {@link releaseSignals} has something to do. */
  get hasEndedSignals(): boolean {
    return this.#mayHaveTerms && this.#signals.hasEnded;
  }

  // ---- a waiter is settled

  /** Gives the waiter at this index its lease, and returns whether there is one: the hot path of a return. */
  grantAt(index: number, lease: Lease<C>): boolean {
    const resolve = this.#resolves[index];
    if (resolve === undefined) return false;
    this.#resolves[index] = undefined;
    if (this.#mayHaveTerms) this.#forgetAt(index);
    resolve(lease);
    return true;
  }

  /** Gives a waiter its lease; returns false if the caller does not wait. */
  grant(operation: number, lease: Lease<C>): boolean {
    return this.has(operation) && this.grantAt(indexOf(operation), lease);
  }

  /**
   * Wakes a waiter, to go on by itself: in a microtask of its own, never in the stack of the caller that freed the
   * capacity. Otherwise 20,000 waiters behind a failing creator would overflow the stack. Returns false if the caller
   * does not wait.
   */
  resume(operation: number, run: () => PromiseLike<Lease<C>>): boolean {
    const index = indexOf(operation);
    if (!this.has(operation)) return false;
    const resolve = this.#resolves[index];
    this.#resolves[index] = undefined;
    resolve?.(
      thenableKeepsContext ? { then: (granted, refused) => run().then(granted, refused) } : new Resumption(run),
    );
    return true;
  }

  /** Refuses a waiter; returns false if the caller does not wait: its operation is on its way. */
  refuse(operation: number, error: unknown): boolean {
    if (!this.has(operation)) return false;
    const index = indexOf(operation);
    const resolve = this.#resolves[index];
    this.#resolves[index] = undefined;
    this.#forgetAt(index);
    // The same for callers with a signal and without, so that they are refused in order.
    if (resolve !== undefined) rejectBy(resolve, error);
    return true;
  }

  /** Rejects a waiter whose signal was aborted; returns false if the caller does not wait. */
  abort(operation: number, reason: unknown): boolean {
    const index = indexOf(operation);
    const reject = this.#rejects[index];
    if (reject === undefined || !this.has(operation)) return false;
    this.#resolves[index] = undefined;
    this.#forgetAt(index);
    reject(reason);
    return true;
  }

  /** Drops what is known of the operation's caller: it has its answer, or has left. */
  forget(operation: number): void {
    // Another operation may have the index by now.
    if (!this.#knows(operation)) return;
    const index = indexOf(operation);
    this.#resolves[index] = undefined;
    if (this.#mayHaveTerms) this.#forgetAt(index);
  }

  #forgetAt(index: number): void {
    this.#handles[index] = noOperation;
    if (!this.#signals.isEmpty) this.#signals.removeAt(index);
    if (index < this.#rejects.length) this.#rejects[index] = undefined;
    if (index < this.#limits.length) this.#limits[index] = undefined;
  }

  refuseAll(error: () => unknown): void {
    this.#resolves.forEach((resolve) => resolve?.(Promise.reject(error())));
    this.#resolves.length = 0;
  }

  // ---- signals

  /** Stops listening to the signals of callers that have their answer. Runs foreign code. */
  releaseSignals(): void {
    this.#signals.release();
  }

  /** Stops listening to every signal, so that no signal keeps this scope. */
  leaveSignals(): void {
    this.#signals.clear();
  }
}
