/**
 * The JavaScript half of one operation: runs it through its steps, in its caller's stack as long as everything that it
 * calls answers at once, and settles its caller's promise. The contract of ARCHITECTURE.md holds after each call into
 * the policy; the numbers in this file are its steps. What the next step is, is decided in src/policy; how a step is
 * performed, in steps.ts.
 */

import type { Limits } from "../call-options.js";
import { isThenable } from "../host.js";
import {
  Code,
  codeOf,
  hasOutput,
  indexOf,
  isGrant,
  leaseOf,
  Outcome,
  Refusal,
  refusalOf,
  slotOf,
  stepOf,
} from "../protocol.js";
import { lacksCallerStack, rejectBy } from "./caller-stacks.js";
import type { Connections } from "./connections.js";
import type { Lease } from "./lease.js";
import type { Policy } from "./policy.js";
import type { SlotConnection } from "./slot.js";
import { StepState, type StepContext } from "./step-state.js";
import type { ResetCode, Steps } from "./steps.js";

/** What an operation asks of the scope in which it runs. */
export interface OperationOwner<C> {
  readonly policy: Policy;
  readonly steps: Steps<C>;
  readonly connections: Connections<C>;
  /** Contract step 2: settles every promise that the last call into the policy settled. */
  drain(): void;
  /** Contract steps 2, 4, 5, and in the outermost call 6. */
  afterwards(): void;
  /** Foreign code may run from now on, until {@link leave}: spawned operations wait. */
  enter(): void;
  leave(): void;
  /** Makes the operation of a checkout whose first listener was called, with the notices that came for it before. */
  beginPresented(handle: number, lease: Lease<C>): Operation<C>;
  /** Whether a notice came for an operation that was not begun. */
  hasMissed(handle: number): boolean;
  /** Makes the operation of a return, woken if a notice came for it before. */
  beginReturn(handle: number, held: SlotConnection<C>, wasReset: boolean): Operation<C>;
  /** The operation has ended. */
  end(operation: Operation<C>): void;
  /** The operation goes on without its caller. */
  forget(operation: Operation<C>): void;
  /** Reads the clock before a creator is called, if the opening may be tried again. */
  timeOpening(operation: Operation<C>): void;
  /** Reads the clock before an outcome is passed, if the operation or the pool needs the time. */
  prepare(limits: Limits | undefined): void;
  /** Returns what a refused caller is rejected with. */
  refusalFor(operation: Operation<C>, refusal: Refusal): unknown;
  /** Take what contract step 5 is to log. */
  noteRefusal(refusal: Refusal): void;
  noteCheckout(): void;
  /** Runs what calls the policy if no caller would get its error. */
  guard(operation: Operation<C>, run: () => void): void;
}

interface Caller<C> {
  readonly resolve: (lease: Lease<C> | Promise<never>) => void;
  readonly reject: (error: unknown) => void;
}

class Refused {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** Whether a step settles its caller. */
export function isLast(step: number): boolean {
  if (isGrant(step)) return true;
  const code = codeOf(step);
  return code === Code.Share || code === Code.Reject || code === Code.Done;
}

export class Operation<C> implements StepContext<C> {
  readonly handle: number;
  readonly limits: Limits | undefined;
  held: SlotConnection<C> | undefined = undefined;
  wasReset = false;
  stepSerial = 0;
  isSettled = false;
  known: StepState<C> | undefined = undefined;
  readonly #owner: OperationOwner<C>;
  /** Ends the sleep of the operation. */
  #wake: (() => void) | undefined = undefined;
  /** Whether a notice came while the operation was not asleep: its next sleep ends at once. */
  #isWoken = false;
  /** How to settle the caller's promise, which is made only if it is asked for. */
  #caller: Caller<C> | undefined = undefined;
  /** The operation that has its caller now, and how to start that one in this one's async context. */
  #successor: Operation<C> | undefined = undefined;
  #isPassing = false;
  #pass: ((successor: Operation<C>) => void) | undefined = undefined;
  /** What the promise will be settled with, if it is asked for after the end. */
  #result: Lease<C> | Refused | undefined = undefined;

  constructor(owner: OperationOwner<C>, handle: number, limits: Limits | undefined) {
    this.#owner = owner;
    this.handle = handle;
    this.limits = limits;
  }

  get state(): StepState<C> {
    return (this.known ??= new StepState());
  }

  // ---- the caller's promise

  /** Returns the caller's promise. An operation that never slept needs no promise of its own. */
  promise(): Promise<Lease<C>> {
    if (this.#successor !== undefined) return this.#successor.promise();
    const result = this.#result;
    if (result instanceof Refused) return Promise.reject(result.error);
    if (this.isSettled) return Promise.resolve(result as Lease<C>);
    return new Promise((resolve, reject) => (this.#caller = { resolve, reject }));
  }

  /** Returns the lease of a caller that does not wait for a promise. Throws what the caller is refused with. */
  result(): Lease<C> {
    const result = this.#result;
    if (result instanceof Refused) throw result.error;
    return result as Lease<C>;
  }

  /** Marks an operation without a caller as settled: what fails in it is reported. */
  settleUnlessAwaited(): void {
    if (this.#caller === undefined) this.isSettled = true;
  }

  /** Settles the promise of a return or an end, or of a checkout with its lease. */
  resolve(lease: Lease<C> | undefined): void {
    if (this.isSettled) return;
    this.isSettled = true;
    if (this.#caller === undefined) this.#result = lease;
    else this.#caller.resolve(lease as Lease<C>);
  }

  reject(error: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    if (this.#caller === undefined) this.#result = new Refused(error);
    else if (lacksCallerStack(error)) rejectBy(this.#caller.resolve, error);
    else this.#caller.reject(error);
  }

  /** The operation that has the caller now. */
  get latest(): Operation<C> {
    return this.#successor?.latest ?? this;
  }

  /** The caller goes on with another operation, in its own async context. This one goes on without a caller. */
  handOver(successor: Operation<C>): void {
    successor.#caller = this.#caller;
    this.#caller = undefined;
    this.#successor = successor;
    this.isSettled = true;
    if (this.#pass === undefined) this.#isPassing = true;
    else this.#pass(successor);
  }

  /** Keeps the present async context for {@link handOver}, while the operation sleeps. */
  #keepContext(): void {
    void new Promise<Operation<C>>((resolve) => (this.#pass = resolve)).then((successor) =>
      this.#owner.guard(successor, () => successor.goOn()),
    );
  }

  // ---- its steps

  /** Asks the policy for the present step, and goes on from there. */
  resume(): void {
    this.#isWoken = false;
    this.run(this.#owner.policy.resume(this.handle));
  }

  /** The same after a sleep, in which time has passed. */
  goOn(): void {
    this.#owner.prepare(this.limits);
    this.resume();
  }

  /**
   * Performs `first` and every step after it (contract step 3), as long as everything that is called answers at once.
   */
  run(first: number): void {
    const owner = this.#owner;
    owner.enter();
    try {
      for (let step = first; ;) {
        if (this.#settles(step)) {
          if (hasOutput(step)) owner.afterwards();
          return;
        }
        owner.drain();
        if (codeOf(step) === Code.Wait) {
          this.#awaitResume();
          break;
        }
        if (codeOf(step) === Code.Open) owner.timeOpening(this);
        const result = owner.steps.perform(this, step);
        if (typeof result !== "number") {
          this.#sleep(step, result);
          break;
        }
        step = this.#advance(result);
      }
      // Only now: a timer for a step that ended at once would be set in vain.
      owner.afterwards();
    } finally {
      owner.leave();
      if (this.#isPassing) {
        this.#isPassing = false;
        this.#keepContext();
        this.#pass?.(this.#successor as Operation<C>);
      }
    }
  }

  /**
   * Runs a return whose first step is the reset. Most drivers in the same process answer at once, and then the return
   * has ended: no operation is made. Returns the operation that goes on otherwise.
   */
  static reset<C>(
    owner: OperationOwner<C>,
    handle: number,
    code: ResetCode,
    held: SlotConnection<C>,
    wasReset: boolean,
  ): Operation<C> | undefined {
    owner.enter();
    try {
      let answer: unknown;
      let isPromise = false;
      let outcome = Outcome.Ok;
      try {
        answer = owner.steps.reset(code, held);
        isPromise = isThenable(answer);
      } catch (error) {
        answer = error;
        outcome = Outcome.Failed;
      }
      const step = stepOf(code, held.slot.index);
      if (outcome === Outcome.Failed) {
        const operation = owner.beginReturn(handle, held, wasReset);
        return operation.#started(operation.#advance(owner.steps.ended(operation, step, outcome, answer)));
      }
      if (isPromise) {
        const operation = owner.beginReturn(handle, held, wasReset);
        operation.#sleep(step, answer as PromiseLike<unknown>);
        owner.afterwards();
        return operation;
      }
      owner.prepare(undefined);
      const next = owner.policy.advance(handle, outcome);
      if (codeOf(next) !== Code.Done) return owner.beginReturn(handle, held, wasReset).#started(next);
      if (hasOutput(next)) owner.afterwards();
      return undefined;
    } finally {
      owner.leave();
    }
  }

  /**
   * Runs a checkout whose first step is to call its only checkout listener. Most listeners answer at once, and then the
   * caller has its lease: no operation is made. Returns the lease, or the operation that goes on.
   */
  static present<C>(owner: OperationOwner<C>, handle: number, step: number): Lease<C> | Operation<C> {
    owner.enter();
    try {
      owner.drain();
      const { connections, policy } = owner;
      const held = connections.heldAt(slotOf(step));
      const lease = connections.leaseFor(policy.leaseOfSlot(held.slot.index), undefined);
      let answer: unknown;
      let outcome = Outcome.Ok;
      try {
        answer = owner.steps.present(held, lease);
        if (isThenable(answer)) {
          const operation = owner.beginPresented(handle, lease);
          operation.#sleep(step, answer);
          owner.afterwards();
          return operation;
        }
      } catch (error) {
        answer = error;
        outcome = Outcome.Failed;
      }
      if (outcome === Outcome.Failed || !lease.isValid || owner.hasMissed(handle)) {
        const operation = owner.beginPresented(handle, lease);
        return operation.#started(operation.#advance(owner.steps.ended(operation, step, outcome, answer)));
      }
      owner.prepare(undefined);
      const next = policy.advance(handle, outcome);
      if (!isGrant(next)) return owner.beginPresented(handle, lease).#started(next);
      if (hasOutput(next)) owner.afterwards();
      return lease;
    } finally {
      owner.leave();
    }
  }

  #started(step: number): this {
    this.run(step);
    return this;
  }

  /** Settles the caller, if this is the last step, and returns whether it is. */
  #settles(step: number): boolean {
    const owner = this.#owner;
    if (isGrant(step)) {
      owner.end(this);
      const { connections } = owner;
      const lease = leaseOf(step);
      if (!this.#resolveShown(connections.heldAt(indexOf(lease)))) {
        this.resolve(connections.leaseFor(lease, this.limits));
        owner.noteCheckout();
      }
      return true;
    }
    switch (codeOf(step)) {
      case Code.Done:
        owner.end(this);
        this.known?.lease?.revoke();
        this.resolve(undefined);
        return true;
      case Code.Share: {
        owner.end(this);
        const { connections } = owner;
        const held = connections.heldAt(slotOf(step));
        if (!this.#resolveShown(held)) {
          this.resolve(connections.share(held, this.handle, this.limits));
          owner.noteCheckout();
        }
        return true;
      }
      case Code.Reject: {
        const refusal = refusalOf(step);
        // An opening that timed out keeps its operation until the creator has answered.
        if (refusal === Refusal.OpenTimeout) owner.forget(this);
        else owner.end(this);
        this.known?.lease?.revoke();
        this.reject(owner.refusalFor(this, refusal));
        owner.noteRefusal(refusal);
        return true;
      }
      default:
        return false;
    }
  }

  /**
   * Settles the caller with the lease that the checkout listeners were given, if it is one of the granted connection.
   */
  #resolveShown(held: SlotConnection<C>): boolean {
    const shown = this.known?.lease;
    if (shown?.isOf(held) !== true) {
      // Its handle is this operation's, which stands for another connection now.
      shown?.revoke();
      return false;
    }
    this.resolve(shown);
    return true;
  }

  /** Passes an outcome to the policy and returns the next step. */
  #advance(outcome: Outcome): number {
    const owner = this.#owner;
    owner.prepare(this.limits);
    this.#isWoken = false;
    return owner.policy.advance(this.handle, outcome);
  }

  // ---- asleep

  /** Called for a notice: ends the sleep, or the one that is about to begin. */
  wake(): void {
    if (this.#wake === undefined) this.#isWoken = true;
    else this.#wake();
  }

  /** Sleeps until the call has answered, or until the policy ends its time; an answer after that is late. */
  #sleep(step: number, answer: PromiseLike<unknown>): void {
    let value: unknown;
    let isOver = false;
    let end: (outcome: Outcome) => void = () => {};
    const settled = new Promise<Outcome>((resolve) => {
      end = (outcome) => {
        isOver = true;
        resolve(outcome);
      };
    });
    const answered = (outcome: Outcome, late: Outcome) => (answer: unknown) => {
      if (isOver) return void settled.then(() => this.#late(step, late, answer));
      value = answer;
      end(outcome);
    };
    const failed = answered(Outcome.Failed, Outcome.LateFailed);
    this.#wake = () => end(Outcome.TimedOut);
    // Only a checkout that waits for an opening hands its caller over: no return, and no ping.
    if (this.held === undefined && codeOf(step) !== Code.Ping && !this.isSettled) this.#keepContext();
    // Registered here, in the operation's own async context, and so is all that it performs from now on; before the
    // call, which may answer twice at once: its first answer comes first.
    void settled.then((outcome) => {
      this.#wake = undefined;
      this.#pass = undefined;
      this.#owner.guard(this, () => {
        const { steps } = this.#owner;
        const result =
          outcome === Outcome.TimedOut ? steps.timedOut(this, step) : steps.ended(this, step, outcome, value);
        this.run(this.#advance(result));
      });
    });
    // The time may have ended while the call was in its synchronous part.
    if (this.#isWoken) this.#wake();
    try {
      Promise.resolve(answer).then(answered(Outcome.Ok, Outcome.LateOk), failed);
    } catch (error) {
      // A promise may have a `then` of its own, which may throw.
      failed(error);
    }
  }

  /** Sleeps without a step, until the policy has one; goes on in the operation's own async context. */
  #awaitResume(): void {
    const woken = new Promise<void>((resolve) => {
      if (this.#isWoken) resolve();
      else this.#wake = resolve;
    });
    if (!this.isSettled) this.#keepContext();
    void woken.then(() => {
      this.#wake = undefined;
      this.#pass = undefined;
      this.#owner.guard(this, () => this.goOn());
    });
  }

  /**
   * After the end of its time the operation has gone on. A late answer concerns an opening, and an end or an opening
   * that keeps its slot.
   */
  #late(step: number, outcome: Outcome, value: unknown): void {
    const code = codeOf(step);
    const { steps } = this.#owner;
    const goesOnWith = (run: () => Outcome): void =>
      this.#owner.guard(this, () => {
        // It slept without a step, and goes on with its next one: a time that ends is the time of that.
        this.#wake = undefined;
        this.run(this.#advance(run()));
      });
    if (this.known?.isStillOpen === true && (code === Code.Open || code === Code.Close || code === Code.Terminate)) {
      this.known.isStillOpen = false;
      const ended = outcome === Outcome.LateOk ? Outcome.Ok : Outcome.Failed;
      return goesOnWith(() => steps.ended(this, step, ended, value));
    }
    if (code === Code.Open) goesOnWith(() => steps.arrivedLate(this, outcome, value));
  }
}
