/**
 * The calls that run in an object, and whether their callers still want an answer. A call that is over soon is never
 * asked about: only those that take longer than {@link tickMs}, or can be aborted. Decides when to ask; what becomes of
 * an unwanted call is session.ts's decision. Made by pool-object.ts.
 */

import type { CallerStub } from "./caller.js";

/** A call is asked about once it is between one and two of these old. */
const tickMs = 100;

/** The calls of one object that are not over. */
export class Calls {
  readonly #calls = new Set<Call>();
  #isTicking = false;

  /** `caller` is absent if the caller called the object directly. */
  enter(caller: CallerStub | undefined, isAbortable: boolean): Call {
    const call = new Call(caller);
    if (isAbortable) call.ask();
    this.#calls.add(call);
    if (!this.#isTicking) this.#tick();
    return call;
  }

  leave(call: Call): void {
    this.#calls.delete(call);
  }

  #tick(): void {
    this.#isTicking = this.#calls.size > 0;
    if (!this.#isTicking) return;
    for (const call of this.#calls) call.tick();
    setTimeout(() => this.#tick(), tickMs);
  }
}

/** One call. It is also what the pool needs of an AbortSignal, so that an unwanted call leaves the queue. */
export class Call {
  aborted = false;
  /** Called when the call is unwanted. */
  onUnwanted: (() => void) | undefined;
  readonly #caller: CallerStub | undefined;
  #ticks = 0;
  #isAsked = false;
  #isQueued = true;
  #leaveQueue: (() => void) | undefined;

  constructor(caller: CallerStub | undefined) {
    this.#caller = caller;
  }

  get reason(): Error {
    return new Error("the caller wants no answer any more: its request has ended, or its signal was aborted");
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.#leaveQueue = listener;
  }

  removeEventListener(): void {
    this.#leaveQueue = undefined;
  }

  tick(): void {
    if (++this.#ticks > 1) this.ask();
  }

  /** Asks the caller, once. */
  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    const caller = this.#caller;
    if (caller === undefined) return;
    const end = (): void => this.#end();
    // What is no caller, or one that is gone, throws.
    void (async () => caller.untilUnwanted(this.#isQueued))().then(end, end);
  }

  /** Called when the call has its connection. Rejects if the call is unwanted; a promise only if it must be asked. */
  begin(): Promise<void> | undefined {
    this.#isQueued = false;
    this.check();
    return this.#isAsked ? this.#caller?.begins() : undefined;
  }

  /** Throws if the call is unwanted. */
  check(): void {
    if (this.aborted) throw this.reason;
  }

  #end(): void {
    this.aborted = true;
    this.#leaveQueue?.();
    this.onUnwanted?.();
  }
}
