/**
 * One operation on its way through its steps, as operations.ts performs it: its caller's promise, what wakes it, and what
 * it carries from step to step. Decides nothing.
 */

import type { Limits } from "./options.js";
import type { PooledConnection } from "./pooled-connection.js";
import type { Held, Slot } from "./record.js";

/** What a step gave: its answer, or what it threw. */
export interface Answer {
  readonly isFailed: boolean;
  readonly value: unknown;
}

export class Flow<C> {
  readonly operation: number;
  readonly limits: Limits | undefined;
  /** The connection of a return, of an end, or of an operation that has no slot. A checkout's is its slot's. */
  held: Held<C> | undefined = undefined;
  /** The slot's connection that is pinged or ended: it may leave its slot meanwhile. */
  subject: Held<C> | undefined = undefined;
  /** Counts the steps, and those that ended by time: what goes on from an earlier one is late. */
  turn = 0;
  /** The record of a connection that has left it. */
  record: Slot<C> | null = null;
  /** The lease that a checkout's listeners were shown. */
  lease: PooledConnection<C> | undefined = undefined;
  /** What the creator, a ping, a listener or the caller of invalidate() gave. */
  error: unknown = undefined;
  /** Why the connection before this one was given up. */
  disconnection: unknown = undefined;
  /** Return: the caller's word that its transaction has ended. */
  wasReset = false;
  /** Whether its lease was lost. */
  isLost = false;
  /** What the creator delivered too late for its slot. */
  late: C | undefined = undefined;
  /** What its first step gave before it had a flow. */
  answer: Answer | undefined = undefined;
  /** Ends the step under way as timed out. */
  wake: (() => void) | undefined = undefined;
  #resume: (() => void) | undefined = undefined;
  #isResumed = false;
  /** Whether the caller has been told, or would be told at once. */
  isSettled = false;

  #resolve: ((value: PooledConnection<C>) => void) | undefined = undefined;
  #reject: ((error: unknown) => void) | undefined = undefined;
  /** What the caller is told who has no promise yet. */
  #value: PooledConnection<C> | undefined = undefined;
  #refusal: { error: unknown } | undefined = undefined;

  constructor(operation: number, limits: Limits | undefined) {
    this.operation = operation;
    this.limits = limits;
  }

  /** Sleeps without a step, until {@link resume}. The promise is made here, so what follows runs in the flow's own async context. */
  sleep(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isResumed) resolve();
      else this.#resume = resolve;
      this.#isResumed = false;
    });
  }

  /** Ends the sleep, or the one that is about to begin. */
  resume(): void {
    if (this.#resume === undefined) this.#isResumed = true;
    else this.#resume();
    this.#resume = undefined;
  }

  /** The caller's promise. May be asked for after the flow has come to its end: one that never slept needs no more. */
  start(): Promise<PooledConnection<C>> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal.error);
    if (this.isSettled) return Promise.resolve(this.#value as PooledConnection<C>);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  resolve(value: PooledConnection<C>): void {
    if (this.isSettled) return;
    this.isSettled = true;
    if (this.#resolve === undefined) this.#value = value;
    else this.#resolve(value);
  }

  reject(error: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#refusal = { error };
    this.#reject?.(error);
  }
}
