/**
 * What leases and slots ask of their pool: return, invalidate, detach, empty the slot. Also takes the reports of lost
 * leases and dead connections. How a caller gets a lease is in scope.ts; what happens to the connection is decided in
 * src/policy.
 */

import { InvalidRequestError } from "../errors.js";
import type { Listeners } from "../events.js";
import type { Log } from "../logger.js";
import type { Activity } from "../observer.js";
import {
  beginsWithReset,
  Condition,
  isHandedOver,
  isReturned,
  leaseAfter,
  operationOf,
  policyEvents,
  waiterOf,
  type Loss,
  type PolicyEvent,
} from "../protocol.js";
import type { Settings } from "../settings.js";
import type { Connections } from "./connections.js";
import type { Context } from "./contexts.js";
import { hasCrashed } from "./instance.js";
import type { LostLeases } from "./lost-leases.js";
import { Operation } from "./operation.js";
import type { Operations } from "./operations.js";
import type { Policy } from "./policy.js";
import type { LeaseOwner, LostLease, Slot, SlotConnection } from "./slot.js";
import { resetCodeOf, type ResetCode, type Steps } from "./steps.js";
import type { Waiters } from "./waiters.js";

const done: Promise<void> = Promise.resolve();

export class Leases<C> implements LeaseOwner<C> {
  readonly name: string;
  readonly log: Log;
  scopeKey: { deref(): object | undefined } | undefined = undefined;
  readonly #policy: Policy;
  readonly #settings: Settings<C>;
  readonly #connections: Connections<C>;
  readonly #listeners: Listeners;
  readonly #steps: Steps<C>;
  readonly #operations: Operations<C>;
  readonly #waiters: Waiters<C>;
  readonly #lostLeases: LostLeases<C>;
  readonly #context: Context | undefined;
  /** Whether returns look for an open transaction: the other styles act in any case, or never. */
  readonly #rollsBack: boolean;
  /** The code of the reset, which is the first step of most returns. */
  readonly #reset: ResetCode;
  readonly #isOneOfSeveral: boolean;
  /** Whether the dialect says whether a connection is busy. */
  readonly #asksBusy: boolean;
  /** Whether the pool may have taken a lease back that its holder still has. */
  readonly #takesBack: boolean;
  /** Whether a return is one call and its answer: no clock, no debug log, no transaction to look for. */
  #isFastPath = true;

  /** `context`: the I/O context of the scope. `isOneOfSeveral`: the pool has other scopes. */
  constructor(
    policy: Policy,
    settings: Settings<C>,
    connections: Connections<C>,
    listeners: Listeners,
    steps: Steps<C>,
    operations: Operations<C>,
    waiters: Waiters<C>,
    lostLeases: LostLeases<C>,
    context: Context | undefined,
    isOneOfSeveral: boolean,
  ) {
    this.name = settings.loggingName;
    this.log = settings.log;
    this.#policy = policy;
    this.#settings = settings;
    this.#connections = connections;
    this.#listeners = listeners;
    this.#steps = steps;
    this.#operations = operations;
    this.#waiters = waiters;
    this.#lostLeases = lostLeases;
    this.#context = context;
    this.#rollsBack = settings.resetOnReturn === "rollback";
    this.#asksBusy = settings.dialect.isBusy !== undefined;
    this.#reset = resetCodeOf(settings.resetOnReturn);
    this.#isOneOfSeveral = isOneOfSeveral;
    this.#takesBack = settings.policy.holdLimit !== Infinity && settings.policy.onHoldLimit === 1;
    this.updateFastPath();
  }

  /** Called when the log's `echo` was set. */
  updateFastPath(): void {
    this.#isFastPath =
      !this.#asksBusy && !this.#rollsBack && !this.#policy.tellsTime && !this.log.isDebug && !this.#isOneOfSeveral;
  }

  assertHere(): void {
    if (this.#context?.isCurrent() !== false) return;
    throw new InvalidRequestError(
      `this connection of the pool ${this.name} belongs to another request or Durable Object, and Workers forbid ` +
        `its use here. Call connect() in the handler that uses the connection, and keep no lease at module scope`,
      this.name,
    );
  }

  // ---- return

  /** `sentinel`: the lease's, for the next lease or the slot. Short, so that V8 can inline it. */
  checkIn(lease: number, held: SlotConnection<C>, sentinel: object | undefined, wasReset: boolean): Promise<void> {
    try {
      if (this.#takesBack && held.isInvalidated) return done;
      const condition = this.#isFastPath ? Condition.Clean : this.#beforeReturn(held, wasReset, false);
      if (condition > Condition.Clean) return this.#checkInRestless(lease, held, sentinel, condition, undefined);
      const result = this.#policy.checkin(lease, condition as 0 | 1);
      if (isHandedOver(result)) {
        // To a waiter, without a notice: the most frequent way through a busy pool.
        this.#handOver(waiterOf(result), this.#connections.lend(held, leaseAfter(lease, result), sentinel));
      } else {
        held.sentinel = sentinel;
        if (result !== 0) return this.#finish(result, held, wasReset, undefined);
      }
      return done;
    } catch (trap) {
      return this.#afterTrap(trap, held);
    }
  }

  checkInLost(lease: number, held: SlotConnection<C>, error: unknown): Promise<void> {
    return this.#attempt(held, () =>
      held.isInvalidated
        ? done
        : this.#checkInRestless(lease, held, held.takeSentinel(), this.#beforeReturn(held, false, true), error),
    );
  }

  /** Returns a connection that is busy, stuck or lost. */
  #checkInRestless(
    lease: number,
    held: SlotConnection<C>,
    sentinel: object | undefined,
    condition: Condition,
    lost: unknown,
  ): Promise<void> {
    held.sentinel = sentinel;
    return this.#finish(this.#policy.checkinAs(lease, condition), held, false, lost, condition);
  }

  #handOver(index: number, lease: ReturnType<Connections<C>["lend"]>): void {
    if (!this.#waiters.grantAt(index, lease)) {
      this.log.error("a connection was handed over to a caller that does not wait; it goes back to the pool");
      void lease.close();
    }
    if (this.#waiters.hasEndedSignals) this.#operations.afterwards();
  }

  /** 1 if a rollback would end nothing, or if none is asked for. A reset listener may change that, so it runs first. */
  #isClean(held: SlotConnection<C>, wasReset: boolean): 0 | 1 {
    return !this.#rollsBack || wasReset || (!this.#listeners.hasReset && this.#connections.isClean(held.connection))
      ? 1
      : 0;
  }

  /** `isLost`: the error of the lease holder concerns this connection alone. */
  #conditionOf(held: SlotConnection<C>, wasReset: boolean, isLost: boolean): Condition {
    const busy = this.#asksBusy && this.#connections.isBusy(held.connection);
    if (busy === "stuck") return Condition.Stuck;
    if (busy) return isLost ? Condition.GivenUp : Condition.Busy;
    return isLost ? Condition.Lost : this.#isClean(held, wasReset);
  }

  #beforeReturn(held: SlotConnection<C>, wasReset: boolean, isLost: boolean): Condition {
    const condition = this.#conditionOf(held, wasReset, isLost);
    if (this.#policy.tellsTime) this.#operations.readClock();
    this.log.debug("a connection is being returned");
    if (condition === Condition.Clean && this.#rollsBack) this.log.debug("reset skipped: no transaction is open");
    return condition;
  }

  /** Runs what a return leaves to do. `result`: the word of a return that handed nothing over. */
  #finish(
    result: number,
    held: SlotConnection<C>,
    wasReset: boolean,
    error: unknown,
    condition = Condition.Open,
  ): Promise<void> {
    if (isReturned(result)) {
      this.#operations.afterwards();
      return done;
    }
    const handle = operationOf(result);
    let operation: Operation<C> | undefined;
    if (beginsWithReset(result)) operation = Operation.reset(this.#operations, handle, this.#reset, held, wasReset);
    else {
      operation = this.#operations.beginReturn(handle, held, wasReset);
      if (error !== undefined) operation.state.error = error;
      if (condition > Condition.Clean) this.#note(operation, condition);
      operation.resume();
    }
    return operation?.isSettled === false ? (operation.promise() as unknown as Promise<void>) : done;
  }

  /** Keeps what is known of a connection that is not at rest. Logs only after the callers concerned were settled. */
  #note({ state }: Operation<C>, condition: Condition): void {
    state.isBusy = condition === Condition.Busy || condition === Condition.GivenUp;
    if (state.isBusy) return;
    state.error ??= new InvalidRequestError("it came back closing, or with a cursor, COPY or stream open", this.name);
    this.#operations.drain();
    this.#steps.invalidated(state.error);
  }

  returnShare(operation: number, held: SlotConnection<C>, wasReset: boolean, lost: unknown): Promise<void> {
    return this.#attempt(held, () => {
      const condition = this.#beforeReturn(held, wasReset, lost !== undefined);
      const result = this.#policy.returnShare(operation, condition);
      return this.#finish(result, held, wasReset, lost, condition);
    });
  }

  /** Runs an end of a lease. The connection must be closed even after a crash. */
  #attempt(held: SlotConnection<C>, run: () => Promise<void>): Promise<void> {
    if (hasCrashed()) return this.#closeAfterCrash(held.connection);
    try {
      this.assertHere();
    } catch (error) {
      return Promise.reject(error);
    }
    try {
      return run();
    } catch (trap) {
      return this.#afterTrap(trap, held);
    }
  }

  #afterTrap(trap: unknown, held: SlotConnection<C>): Promise<void> {
    this.#operations.crash(trap);
    return this.#closeAfterCrash(held.connection);
  }

  /** The policy is gone, but the connection need not stay open. */
  async #closeAfterCrash(connection: C): Promise<void> {
    try {
      await this.#connections.call("close", connection);
    } catch (error) {
      this.#listeners.report("close", error, null);
    }
  }

  // ---- invalidation

  invalidate(lease: number, held: SlotConnection<C>, error: unknown): Promise<void> {
    return this.#attempt(held, () => {
      if (held.isInvalidated) return done;
      const result = this.#policy.invalidate(lease);
      return this.#finishInvalidation(result, held, error);
    });
  }

  invalidateShare(operation: number, held: SlotConnection<C>, error: unknown): Promise<void> {
    return this.#attempt(held, () => {
      const result = this.#policy.invalidateShare(operation);
      if (this.#settings.invalidatesForAll) held.isInvalidated = true;
      return this.#finishInvalidation(result, held, error);
    });
  }

  /** Logs only after the callers that the call concerned were settled: a logger may call the pool. */
  #finishInvalidation(result: number, held: SlotConnection<C>, error: unknown): Promise<void> {
    this.#operations.drain();
    this.#steps.invalidated(error);
    return this.#finish(result, held, false, error);
  }

  invalidateSoft(held: SlotConnection<C>, error: unknown): Promise<void> {
    this.assertHere();
    if (!this.#isCurrent(held)) return done;
    this.#policy.assertAlive();
    this.#policy.invalidateSoft(held.slot.index);
    this.#steps.softInvalidated(error);
    return this.#emit("softInvalidate", held, error);
  }

  invalidateAsOld(held: SlotConnection<C>): void {
    this.#policy.assertAlive();
    if (this.#isCurrent(held)) this.#policy.invalidateAsOld(held.slot.index);
  }

  lossOf(error: unknown, { connection }: SlotConnection<C>): Loss {
    return this.#connections.lossOf(error, connection);
  }

  lose(held: SlotConnection<C>, loss: Loss): void {
    this.assertHere();
    this.#policy.assertAlive();
    if (this.#isCurrent(held)) this.#policy.lose(held.slot.index, loss);
  }

  /** Ends the connection of a slot, whether or not a lease has it. */
  emptySlot(slot: Slot<C>, isAbrupt: boolean, error: unknown): Promise<void> {
    const { held } = slot;
    if (held === undefined || !this.#isCurrent(held)) return done;
    return this.#attempt(held, () => {
      const result = this.#policy.emptySlot(slot.index, isAbrupt);
      this.#operations.drain();
      if (!isReturned(result)) {
        this.#connections.leave(held);
        if (isAbrupt) this.#steps.invalidated(error);
      }
      return this.#finish(result, held, false, error);
    });
  }

  addFinalizer(slot: Slot<C>): void {
    this.assertHere();
    this.#policy.assertAlive();
    this.#policy.addFinalizer(slot.index);
  }

  // ---- detached connections

  detach(lease: number, held: SlotConnection<C>): number {
    this.#policy.assertAlive();
    return this.#detached(held.isInvalidated ? -1 : this.#policy.detach(lease), held);
  }

  detachShare(operation: number, held: SlotConnection<C>): number {
    this.#policy.assertAlive();
    return this.#detached(this.#policy.detachShare(operation) ? operation : -1, held);
  }

  /** Runs no foreign code: the lease does not know its new handle yet. */
  #detached(operation: number, held: SlotConnection<C>): number {
    this.#operations.drain();
    if (operation >= 0) this.#connections.leave(held);
    return operation;
  }

  emitDetach(held: SlotConnection<C>): Promise<void> {
    this.#connections.empty(held);
    this.#operations.afterwards();
    return this.#emit("detach", held, undefined);
  }

  closeDetached(
    operation: number,
    held: SlotConnection<C>,
    isAbrupt: boolean,
    wasReset: boolean,
    lost: unknown,
  ): Promise<void> {
    return this.#attempt(held, () => {
      const condition = isAbrupt ? Condition.Clean : this.#conditionOf(held, wasReset, lost !== undefined);
      const result = this.#policy.closeDetached(operation, condition, isAbrupt);
      return this.#finish(result, held, wasReset, lost, condition);
    });
  }

  /** Emits an event that nothing else waits for. */
  #emit(event: PolicyEvent, held: SlotConnection<C>, error: unknown): Promise<void> {
    return this.#finish(this.#policy.emit(policyEvents.indexOf(event)), held, false, error);
  }

  // ---- reports

  observe<R>(activity: Activity, call: () => R): R {
    return this.#listeners.observe(activity, call);
  }

  #isCurrent(held: SlotConnection<C>): boolean {
    return held.slot.held === held && this.#connections.slots[held.slot.index] === held.slot;
  }

  isInUse(slot: Slot<C>): boolean {
    return (
      !hasCrashed() &&
      !this.#policy.isGivenUp &&
      this.#connections.slots[slot.index] === slot &&
      this.#policy.isInUse(slot.index)
    );
  }

  died(held: SlotConnection<C>, cause: unknown): void {
    // Drivers report a death more than once; the first report has the cause.
    if (hasCrashed() || held.isDead || !this.#isCurrent(held)) return;
    held.isDead = true;
    held.deathCause = cause;
    const { slot } = held;
    try {
      const loss = this.lossOf(cause, held);
      // The dialect is foreign code, and may have ended the connection.
      if (!this.#isCurrent(held)) return;
      const wasInUse = this.#policy.isInUse(slot.index);
      const result = this.#policy.connectionDied(slot.index, loss);
      this.#operations.drain();
      let operation: Operation<C> | undefined;
      if (!isReturned(result)) {
        this.#connections.leave(held);
        operation = this.#operations.beginReturn(operationOf(result), held, false);
        operation.state.error = cause;
      }
      this.#steps.invalidated(cause);
      if (wasInUse) this.#listeners.emitError("disconnect", cause, slot);
      if (operation === undefined) this.#operations.afterwards();
      else operation.resume();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  lost(lost: LostLease<C>): void {
    this.#lostLeases.add(lost);
  }
}
