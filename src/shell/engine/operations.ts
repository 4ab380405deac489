/**
 * The operations of one scope: the table by handle, and what a call into the policy leaves behind for others. The
 * contract of ARCHITECTURE.md in short, whose step numbers are cited here: 1 call the policy; 2 drain, so that every
 * promise that the call settled is settled; 3 perform the operation's own next step, if it has one, and go on with 1; 4
 * tick if a tick is due, drain, and set the timer; 5 log what happened, and leave signals; 6 start spawned operations,
 * in one loop of the outermost call. Foreign code runs in 3 to 6 and may re-enter the pool: a re-entrant call leaves 6
 * to the outermost one.
 */

import type { Limits } from "../call-options.js";
import type { GuardedClock } from "../clock.js";
import type { Listeners } from "../events.js";
import { DisconnectionError, InvalidRequestError } from "../errors.js";
import {
  Code,
  codeOf,
  endedSlotOf,
  indexOf,
  isGrant,
  isNotice,
  isSlotEnd,
  noOutput,
  Refusal,
  refusalOf,
  slotOf,
  spawnedOf,
} from "../protocol.js";
import type { Settings } from "../settings.js";
import type { Connections } from "./connections.js";
import { crash, crashError, hasCrashed, watch } from "./instance.js";
import type { Lease } from "./lease.js";
import { Operation, type OperationOwner } from "./operation.js";
import type { Policy } from "./policy.js";
import type { Refusals, Snapshot } from "./refusals.js";
import { checkedOutAt, type Slot, type SlotConnection } from "./slot.js";
import type { Steps } from "./steps.js";
import type { Timer } from "./timer.js";
import type { Waiters } from "./waiters.js";

export class Operations<C> implements OperationOwner<C> {
  readonly policy: Policy;
  readonly steps: Steps<C>;
  readonly connections: Connections<C>;
  readonly #settings: Settings<C>;
  readonly #clock: GuardedClock;
  readonly #timer: Timer;
  readonly #waiters: Waiters<C>;
  readonly #refusals: Refusals<C>;
  readonly #listeners: Listeners;
  /** Whether the scope belongs to an I/O context. */
  readonly #isBound: boolean;
  readonly #isRandom: boolean;
  /** By index: the operation that performs its steps. */
  readonly #table: (Operation<C> | undefined)[] = [];
  /** Wakes other scopes of the pool, if it has any within reach. */
  wakeOthers: (() => void) | undefined = undefined;
  /** Spawned operations that have not started. */
  #spawned: Operation<C>[] = [];
  /** How many calls of this scope run foreign code, one inside the other. */
  #depth = 0;
  /**
   * Notices for operations that are in their first step and not begun here: that their time ended (undefined), or why
   * their caller is refused.
   */
  readonly #missed = new Map<number, unknown>();
  /** What contract step 5 is to log: granted leases, callers without a live connection, notices without a waiter. */
  #grantsToLog = 0;
  #exhaustedToLog = 0;
  #strays: Array<{ handle: number; lease: Lease<C> | undefined }> = [];
  /** Whether leases may be out for too long, and those to report. */
  readonly #limitsHolding: boolean;
  #heldToReport: Array<{ ms: number; slot: Slot<C>; stack: string | undefined }> = [];
  readonly #drain = (): void => {
    this.drain();
    if (this.#limitsHolding) this.#takeHeld();
  };

  constructor(
    policy: Policy,
    steps: Steps<C>,
    connections: Connections<C>,
    settings: Settings<C>,
    clock: GuardedClock,
    timer: Timer,
    waiters: Waiters<C>,
    refusals: Refusals<C>,
    listeners: Listeners,
    isBound: boolean,
  ) {
    this.policy = policy;
    this.steps = steps;
    this.connections = connections;
    this.#settings = settings;
    this.#clock = clock;
    this.#timer = timer;
    this.#waiters = waiters;
    this.#refusals = refusals;
    this.#listeners = listeners;
    this.#isBound = isBound;
    this.#limitsHolding = settings.policy.holdLimit !== Infinity;
    this.#isRandom = settings.policy.recycleJitter !== 0 || policy.retries;
  }

  // ---- the table

  /** Makes the operation that will perform the steps. */
  begin(handle: number, limits?: Limits): Operation<C> {
    const operation = new Operation<C>(this, handle, limits);
    this.#table[indexOf(handle)] = operation;
    return operation;
  }

  beginReturn(handle: number, held: SlotConnection<C>, wasReset: boolean): Operation<C> {
    const operation = this.begin(handle);
    operation.held = held;
    operation.wasReset = wasReset;
    this.#takeMissed(operation);
    return operation;
  }

  beginPresented(handle: number, lease: Lease<C>): Operation<C> {
    const operation = this.begin(handle);
    operation.state.lease = lease;
    this.#takeMissed(operation);
    return operation;
  }

  hasMissed(handle: number): boolean {
    return this.#missed.size > 0 && this.#missed.has(handle);
  }

  #takeMissed(operation: Operation<C>): void {
    if (!this.hasMissed(operation.handle)) return;
    const error = this.#missed.get(operation.handle);
    this.#missed.delete(operation.handle);
    if (error !== undefined) operation.reject(error);
    operation.wake();
  }

  /** Returns an operation by its whole handle, if it performs steps. */
  find(handle: number): Operation<C> | undefined {
    const operation = this.#table[indexOf(handle)];
    return operation?.handle === handle ? operation : undefined;
  }

  end(operation: Operation<C>): void {
    const index = indexOf(operation.handle);
    this.#waiters.forget(operation.handle);
    if (this.#table[index] === operation) this.#table[index] = undefined;
  }

  forget(operation: Operation<C>): void {
    this.#waiters.forget(operation.handle);
  }

  // ---- the contract

  /** Contract steps 2, 4, 5, and in the outermost call 6. */
  afterwards(): void {
    while (this.policy.hasOutput()) {
      this.drain();
      if (this.policy.wantsTick()) this.tick();
    }
    this.#report();
    if (this.#depth === 0) this.#startOthers();
  }

  /** Contract step 2. Runs no foreign code. */
  drain(): void {
    let snapshot: Snapshot | undefined;
    for (let output: number; (output = this.policy.nextOutput()) !== noOutput;) {
      if (!isNotice(output)) {
        if (isSlotEnd(output)) this.connections.end(endedSlotOf(output));
        else this.#spawned.push(this.begin(spawnedOf(output)));
        continue;
      }
      const notice = this.policy.notice();
      if (isGrant(notice)) {
        this.#grant(output, notice);
        continue;
      }
      switch (codeOf(notice)) {
        case Code.Resume: {
          const operation = this.find(output);
          if (operation === undefined) this.#resumeLater(output);
          else operation.wake();
          break;
        }
        case Code.Expire: {
          const operation = this.find(output);
          if (operation === undefined) this.#miss(output, undefined);
          else operation.wake();
          break;
        }
        // The caller of a return is not held any longer.
        case Code.Release:
          this.find(output)?.resolve(undefined);
          break;
        case Code.Follow:
          this.#follow(this.#table[slotOf(notice)], output);
          break;
        case Code.Reject:
          snapshot ??= this.#refusals.snapshot();
          this.#refuse(output, refusalOf(notice), snapshot);
          break;
        default: {
          // The close of the pool or of the scope has ended. For that of a scope no operation was begun.
          const operation = this.find(output);
          if (operation === undefined) break;
          this.end(operation);
          operation.resolve(undefined);
        }
      }
    }
  }

  /**
   * Contract step 4. A crash rejects the waiters of this scope, unless it belongs to an I/O context, which is not to be
   * kept: its timer notices.
   */
  tick(): void {
    const isRunning = this.#timer.tick(this.#drain);
    if (!this.#isBound) watch(this, isRunning);
  }

  /** Takes the leases that are out for too long. Those that the policy has taken back end here. */
  #takeHeld(): void {
    for (const { ms, index } of this.policy.takeHeld()) {
      const slot = this.connections.slots[index] as Slot<C>;
      const { held } = slot;
      if (this.#settings.policy.onHoldLimit === 1 && held !== undefined) held.isInvalidated = true;
      this.#heldToReport.push({ ms, slot, stack: held?.stack });
    }
  }

  #reportHeld({ ms, slot, stack }: { ms: number; slot: Slot<C>; stack: string | undefined }): void {
    const { log, policy } = this.#settings;
    const what = policy.onHoldLimit === 1 ? "; its connection is terminated" : "";
    log.warn(`a lease has been out for ${ms} ms (holdLimit)${what}${checkedOutAt(stack)}`);
    this.#listeners.emitHeld(slot, ms, stack);
  }

  /** Contract step 5. */
  #report(): void {
    while (this.#exhaustedToLog > 0) {
      this.#exhaustedToLog--;
      this.#settings.log.info("reconnect attempts exhausted");
      this.steps.invalidated(undefined);
    }
    while (this.#grantsToLog > 0) {
      this.#grantsToLog--;
      this.#settings.log.debug("a connection is checked out");
    }
    for (let held; (held = this.#heldToReport.shift()) !== undefined;) this.#reportHeld(held);
    for (let stray; (stray = this.#strays.pop()) !== undefined;) {
      this.#settings.log.error(`a notice names the operation ${stray.handle}, which no caller waits for`);
      void stray.lease?.close();
    }
    if (this.#waiters.hasEndedSignals) this.#waiters.releaseSignals();
  }

  /** Contract step 6. The same loop starts the operations that these spawn, however many there are. */
  #startSpawned(): void {
    this.#depth++;
    try {
      while (this.#spawned.length > 0) {
        const batch = this.#spawned;
        this.#spawned = [];
        for (const operation of batch) {
          operation.settleUnlessAwaited();
          this.guard(operation, () => operation.resume());
        }
      }
    } finally {
      this.#depth--;
    }
  }

  get #hasReport(): boolean {
    return (
      this.#grantsToLog + this.#exhaustedToLog + this.#heldToReport.length + this.#strays.length > 0 ||
      this.#waiters.hasEndedSignals
    );
  }

  enter(): void {
    this.#depth++;
  }

  leave(): void {
    this.#depth--;
    if (this.#depth > 0) return;
    if (this.#missed.size > 0) this.#dropMissed();
    if (this.#hasReport) this.#report();
    this.#startOthers();
  }

  /** Contract step 6, in this scope and then in the scopes that have something to do. */
  #startOthers(): void {
    if (this.#spawned.length > 0) this.#startSpawned();
    this.wakeOthers?.();
  }

  /**
   * Makes a call into the policy that spawns operations, does contract steps 2 to 6, and returns the promises of those
   * operations.
   */
  spawn(call: () => void): Promise<unknown>[] {
    const spawned = this.watchSpawned();
    call();
    const promises = spawned();
    this.afterwards();
    return promises;
  }

  /** Returns a function that drains, and returns the promises of the operations that were spawned since. */
  watchSpawned(): () => Promise<unknown>[] {
    this.drain();
    const before = this.#spawned.length;
    return () => {
      this.drain();
      return this.#spawned.slice(before).map((operation) => operation.promise());
    };
  }

  // ---- notices

  #grant(handle: number, granted: number): void {
    const operation = this.find(handle);
    const lease = this.connections.leaseFor(granted, operation?.limits ?? this.#waiters.limitsOf(handle));
    if (operation?.isSettled === false) {
      // What it does goes on without its caller.
      operation.resolve(lease);
      this.#waiters.forget(handle);
    } else if (!this.#waiters.grant(handle, lease)) return void this.#strays.push({ handle, lease });
    this.noteCheckout();
  }

  /** The caller of an operation goes on as another one. */
  #follow(predecessor: Operation<C> | undefined, handle: number): void {
    if (predecessor === undefined) return void this.#strays.push({ handle, lease: undefined });
    predecessor.handOver(this.begin(handle, predecessor.limits));
    this.#waiters.move(predecessor.handle, handle);
  }

  #refuse(handle: number, refusal: Refusal, snapshot: Snapshot): void {
    const operation = this.find(handle);
    if (operation === undefined) {
      const error = this.#refusals.errorFor(refusal, this.#waiters.limitsOf(handle), snapshot);
      if (!this.#waiters.refuse(handle, error)) this.#miss(handle, error);
      return;
    }
    operation.reject(this.refusalFor(operation, refusal, snapshot));
    this.#waiters.forget(handle);
  }

  /** Keeps a notice for an operation that may begin later in the present call. */
  #miss(handle: number, error: unknown): void {
    if (error !== undefined || !this.#missed.has(handle)) this.#missed.set(handle, error);
    if (this.#depth === 0) this.#dropMissed();
  }

  /** A refusal that no operation has taken is an error of the pool's own. */
  #dropMissed(): void {
    for (const [handle, error] of this.#missed)
      if (error !== undefined) this.#strays.push({ handle, lease: undefined });
    this.#missed.clear();
  }

  /** A waiter has a slot, with something to do first: its operation begins when the waiter wakes. */
  #resumeLater(handle: number): void {
    const operation = this.begin(handle, this.#waiters.limitsOf(handle));
    const isWaiting = this.#waiters.resume(handle, () => {
      const promise = operation.promise();
      // Refused before it resumed: the operation has ended, and another may have its index.
      if (operation.isSettled) {
        this.end(operation);
        return promise;
      }
      this.guard(operation, () => operation.goOn());
      return promise;
    });
    if (!isWaiting) this.#strays.push({ handle, lease: undefined });
  }

  // ---- what operations ask

  prepare(limits: Limits | undefined): void {
    if (this.policy.tellsTime || limits?.startedAt !== undefined) this.readClock();
    if (this.#isRandom) this.policy.setRandom(Math.random());
  }

  timeOpening(operation: Operation<C>): void {
    if (!this.policy.retries) return;
    this.readClock();
    this.policy.timeOpening(operation.handle);
  }

  readClock(): void {
    this.policy.readClock(this.#clock.now());
  }

  refusalFor(operation: Operation<C>, refusal: Refusal, snapshot?: Snapshot): unknown {
    const error = operation.known?.error;
    // By a notice: the error of another opening.
    if (refusal === Refusal.Failed) return snapshot === undefined ? error : this.#refusals.openError;
    if (refusal === Refusal.ListenerTimeout && error !== undefined) return error;
    if (refusal !== Refusal.Disconnected) return this.#refusals.errorFor(refusal, operation.limits, snapshot);
    const { loggingName: pool } = this.#settings;
    const cause = operation.known?.disconnection ?? new DisconnectionError(undefined, {}, pool);
    return new InvalidRequestError(
      `the pool ${pool} found one dead connection after another and gave up; the cause is the error of the last one`,
      pool,
      { cause },
    );
  }

  noteRefusal(refusal: Refusal): void {
    if (refusal === Refusal.Disconnected) this.#exhaustedToLog++;
  }

  noteCheckout(): void {
    if (this.#settings.log.isDebug) this.#grantsToLog++;
  }

  // ---- what can go wrong

  guard(operation: Operation<C>, run: () => void): void {
    try {
      this.policy.assertAlive();
      run();
    } catch (trap) {
      operation.reject(this.crash(trap));
    }
  }

  /**
   * Ends every pool if this is a trap. Anything else that gets here was thrown by foreign code: it is logged, and the
   * pool goes on. Returns the error for the caller.
   */
  crash(trap: unknown): unknown {
    if (this.policy.isGivenUp && !hasCrashed()) {
      const error = this.policy.givenUpError();
      this.#refuseEveryone(() => error);
      return error;
    }
    if (!hasCrashed() && !(trap instanceof WebAssembly.RuntimeError)) {
      this.#settings.log.error("code that the pool called threw at a place that allows no throw", trap);
      return trap;
    }
    crash(trap);
    this.crashed();
    return crashError(this.#settings.loggingName);
  }

  /** The instance is dead: rejects every caller that waits here. */
  crashed(): void {
    this.#refuseEveryone(() => crashError(this.#settings.loggingName));
  }

  #refuseEveryone(error: () => unknown): void {
    this.#waiters.refuseAll(error);
    this.#table.forEach((operation) => operation?.reject(error()));
    this.#table.length = 0;
    this.#spawned.length = 0;
    this.#timer.clear();
  }
}
