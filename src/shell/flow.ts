/**
 * One operation on its way through its steps, as the driver performs it: its caller's promise, what wakes it, and what
 * it carries from step to step. Decides nothing; driver.ts runs it.
 */

import type { Limits } from "./options.js";
import type { PooledConnection } from "./pooled-connection.js";

export class Flow<C> {
  readonly operation: number;
  readonly limits: Limits | undefined;
  /** The connection of an operation that has no slot. */
  connection: C | undefined = undefined;
  /** What the creator threw. */
  error: unknown = undefined;
  /** Ends the step under way as timed out. */
  wake: (() => void) | undefined = undefined;
  /** Whether the caller has been told, or would be told at once. */
  isSettled = false;

  #resolve: ((value: PooledConnection<C>) => void) | undefined = undefined;
  #reject: ((error: unknown) => void) | undefined = undefined;
  #refusal: { error: unknown } | undefined = undefined;

  constructor(operation: number, limits: Limits | undefined) {
    this.operation = operation;
    this.limits = limits;
  }

  /** The caller's promise. May be asked for after the flow has been refused. */
  start(): Promise<PooledConnection<C>> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) return reject(this.#refusal.error);
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  resolve(value: PooledConnection<C>): void {
    this.isSettled = true;
    this.#resolve?.(value);
  }

  reject(error: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#refusal = { error };
    this.#reject?.(error);
  }
}
