/**
 * The Worker's side of one call, passed along with it by reference. Its object asks it whether an answer is still
 * wanted. If the request ends, however it ends, the runtime rejects the question. Made by pool-of.ts and
 * remote-lease.ts, asked by calls.ts.
 */

import { RpcTarget } from "cloudflare:workers";

/** What the object knows of a caller. */
export interface CallerStub {
  /** Settles when no answer is wanted any more: rejects if the caller's request ended. */
  untilUnwanted(isQueued: boolean): Promise<void>;
  /** Asked before the first statement of a call that has queued for long. Rejects if the caller's request ended. */
  begins(): Promise<void>;
}

export class Caller extends RpcTarget implements CallerStub {
  #isOver = false;
  #over: (() => void) | undefined;
  #isQueued = false;

  untilUnwanted(isQueued: boolean): Promise<void> {
    this.#isQueued = isQueued;
    return this.#isOver ? Promise.resolve() : new Promise((resolve) => (this.#over = resolve));
  }

  begins(): Promise<void> {
    this.#isQueued = false;
    return Promise.resolve();
  }

  /** Not a method, because those can be called over RPC. */
  static end(caller: Caller): void {
    caller.#isOver = true;
    caller.#over?.();
  }

  /** Whether the object said that the call queues, and not that it left the queue. */
  static isQueued(caller: Caller): boolean {
    return caller.#isQueued;
  }
}
