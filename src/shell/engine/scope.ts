/**
 * One scope of a pool: checkouts, aborts, and what is done to the scope as a whole. Puts its parts together: the
 * policy, the operations (operations.ts), the leases (leases.ts). Which caller gets what, and when, is decided in
 * src/policy.
 */

import { connectLimits, type Limits, type Patience } from "../call-options.js";
import { GuardedClock } from "../clock.js";
import type { Listeners } from "../events.js";
import type { PooledConnection } from "../lease.js";
import type { Log } from "../logger.js";
import type { ConnectOptions, Creator } from "../options.js";
import {
  Code,
  codeOf,
  eventBits,
  indexOf,
  isAsleep,
  isLease,
  isRefused,
  operationOf,
  Place,
  Refusal,
  toWireMillis,
} from "../protocol.js";
import { changeSizes, policyOptionsIn, type PolicyOptions, type Settings } from "../settings.js";
import type { PoolCounts, PoolStats } from "../stats.js";
import { stackBelow } from "./caller-stacks.js";
import { Connections } from "./connections.js";
import type { Context } from "./contexts.js";
import { hasCrashed } from "./instance.js";
import { Lease } from "./lease.js";
import { Leases } from "./leases.js";
import { LostLeases } from "./lost-leases.js";
import { isLast, Operation } from "./operation.js";
import { Operations } from "./operations.js";
import { Policy, type Held } from "./policy.js";
import { Refusals } from "./refusals.js";
import type { Slot, SlotConnection } from "./slot.js";
import { Steps } from "./steps.js";
import { Timer } from "./timer.js";
import { Waiters } from "./waiters.js";

const done: Promise<void> = Promise.resolve();

/** What a further scope of a pool is given. */
export interface ScopeParent {
  /** In Workers the I/O context, in which alone the scope may act. */
  readonly context: Context | undefined;
  readonly first: Scope<any>;
  /** The key of the option `scope`, if the scope has one. */
  readonly key: { deref(): object | undefined } | undefined;
  /** Called when nothing is left in the scope. */
  onEmpty(): void;
}

export class Scope<C> {
  /** The pool's name. */
  readonly name: string;
  readonly log: Log;
  readonly #settings: Settings<C>;
  readonly #listeners: Listeners;
  readonly #clock: GuardedClock;
  readonly #policy: Policy;
  readonly #connections: Connections<C>;
  readonly #timer: Timer;
  readonly #waiters: Waiters<C>;
  readonly #refusals: Refusals<C>;
  readonly #operations: Operations<C>;
  readonly #lostLeases: LostLeases<C>;
  readonly #leases: Leases<C>;
  readonly #parent: ScopeParent | undefined;
  /** The I/O context to which all that is here belongs. */
  readonly #context: Context | undefined;
  /** Whether the policy takes the scope for that of a Durable Object. */
  #isObjects: boolean;
  /** Whether a checkout is one call and its answer: no clock, stack, debug log, observer, or lost lease to report. */
  #isFastPath = true;
  /** Aborts that fired in another I/O context, and how to wake this one for them. */
  readonly #abortsElsewhere: Array<() => void> = [];
  #wakeHere: (() => void) | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  constructor(creator: Creator<C>, settings: Settings<C>, listeners: Listeners, parent?: ScopeParent) {
    const { log } = settings;
    const context = parent?.context;
    const first: Scope<C> | undefined = parent?.first;
    const isBound = context !== undefined;
    this.name = settings.loggingName;
    this.log = log;
    this.#settings = settings;
    this.#listeners = listeners;
    this.#parent = parent;
    this.#context = context;
    this.#clock = new GuardedClock(settings.clock, log);
    this.#isObjects = context?.isObject === true;
    const options = policyOptionsIn(settings, this.#isObjects ? Place.Object : Place.Request);
    const policy = (this.#policy = new Policy(
      settings,
      options,
      first === undefined ? undefined : first.#policy,
      context?.number ?? -1,
    ));
    if (this.#isObjects) policy.becomeObject(options);
    const connections = (this.#connections = new Connections(
      creator,
      settings,
      policy,
      listeners,
      first === undefined ? undefined : first.#connections,
      isBound,
    ));
    const refusals = (this.#refusals = new Refusals(policy, settings, this.#clock, connections.slots));
    const steps = new Steps(policy, connections, listeners, refusals, settings);
    const timer = (this.#timer = new Timer(this.#clock, log, policy, settings.outside, () => this.#onRing()));
    const waiters = (this.#waiters = new Waiters<C>((operations, reason) => this.#abort(operations, reason)));
    const operations = (this.#operations = new Operations(
      policy,
      steps,
      connections,
      settings,
      this.#clock,
      timer,
      waiters,
      refusals,
      listeners,
      isBound,
    ));
    this.#lostLeases = new LostLeases(policy, connections.slots, operations, listeners, log, () =>
      this.#updateFastPath(),
    );
    this.#leases = new Leases(
      policy,
      settings,
      connections,
      listeners,
      steps,
      operations,
      waiters,
      this.#lostLeases,
      context,
      parent !== undefined,
    );
    this.#leases.scopeKey = parent?.key;
    connections.owner = this.#leases;
    this.#updateFastPath();
    // A further scope takes the events from the first one.
    if (parent === undefined) listeners.onChange = () => this.#updateEvents();
  }

  /** Called when the log's `echo` was set. */
  onEcho(): void {
    this.#updateFastPath();
    this.#leases.updateFastPath();
    this.#listeners.changed();
  }

  #updateEvents(): void {
    if (hasCrashed()) return;
    this.#updateFastPath();
    // A hand-over bypasses the log and the stacks.
    const everyLease = this.log.isDebug || this.#settings.keepsStacks;
    this.#policy.setEvents(eventBits((event) => this.#listeners.has(event), everyLease));
  }

  #updateFastPath(): void {
    this.#isFastPath =
      !this.#needsLimits() &&
      !this.log.isDebug &&
      !this.#lostLeases.areAny &&
      !this.#listeners.hasObservers &&
      this.#context === undefined;
  }

  /** Whether every checkout passes its own times, or its stack. */
  #needsLimits(): boolean {
    const { keepsStacks, crosses, policy } = this.#settings;
    return this.#policy.tellsTime || keepsStacks || crosses || policy.deadline !== Infinity;
  }

  // ---- one scope of several

  /** Names the scope among those of all pools. */
  get number(): number {
    return this.#policy.number;
  }

  /** Sets what wakes other scopes of the pool for what this one has given them to do. */
  set wakeOthers(wake: () => void) {
    this.#operations.wakeOthers = wake;
  }

  /** Returns the number of a scope of this pool that has something to do because of another one, or -1. */
  nextWokenScope(): number {
    return hasCrashed() ? -1 : this.#policy.nextWokenScope();
  }

  /**
   * Does what could not be done before there was a call from here: another scope may have closed or disposed of the
   * pool.
   */
  catchUp(): void {
    if (hasCrashed()) return;
    try {
      for (const abort of this.#abortsElsewhere.splice(0)) abort();
      if (this.#lostLeases.areAny) this.#lostLeases.report();
      else if (this.#policy.hasOutput()) this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Called when it matters whether the scope is that of a Durable Object: a caller waits, or its numbers are read. */
  learnPlace(): void {
    if (this.#isObjects || this.#context?.learnKind() !== true || hasCrashed()) return;
    this.#isObjects = true;
    try {
      this.#policy.becomeObject(policyOptionsIn(this.#settings, Place.Object));
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Whether all that there is in this scope is idle. */
  get isAtRest(): boolean {
    return hasCrashed() || this.#policy.isAtRest();
  }

  /** Whether nothing is left in this scope. */
  get isEmpty(): boolean {
    return hasCrashed() || this.#policy.isEmpty();
  }

  /**
   * Called when the context is presumed gone: frees the policy and touches nothing else. Code that still runs there can
   * only close its leases.
   */
  forget(): void {
    this.#waiters.leaveSignals();
    this.#policy.giveUp();
  }

  /**
   * Ends this scope: closes its idle connections, refuses its waiters, and closes the other connections at their
   * return.
   */
  end(): Promise<void> {
    this.#refusals.isScopeEnded = true;
    const ended = this.#endIdle(() => this.#policy.closeScope());
    this.#giveUpOpenings();
    return ended;
  }

  /** After the end: what is still being opened will be closed. */
  #giveUpOpenings(): void {
    this.#connections.giveUpOpenings(() => this.#refusals.errorFor(Refusal.Closed));
  }

  // ---- checkout

  // Short, so that V8 can inline it. What is rare stands apart.
  connect(options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    if (options !== undefined || !this.#isFastPath)
      return this.#listeners.hasObservers ? this.#observed(options) : this.#connectWithin(options);
    let word: number;
    try {
      word = this.#policy.checkout();
    } catch (trap) {
      return this.#refuseAfter(trap);
    }
    if (isLease(word)) {
      const { held } = this.#connections.slots[indexOf(word)] as { held: SlotConnection<C> };
      return Promise.resolve(new Lease(held, word, held.takeSentinel()));
    }
    if (isAsleep(word)) {
      const promise = this.#waiters.wait(operationOf(word));
      this.#timer.hold();
      return promise;
    }
    return this.#pend(word, undefined, undefined);
  }

  #refuseAfter(trap: unknown): Promise<never> {
    return Promise.reject(this.#operations.crash(trap));
  }

  /** Apart: a closure in connect() would cost each call of it. */
  #observed(options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    return this.#listeners.observe({ name: "checkout" }, () => this.#connectWithin(options));
  }

  #connectWithin(options: ConnectOptions = {}): Promise<PooledConnection<C>> {
    let word: number;
    let limits: Limits | undefined;
    let signal: AbortSignal | undefined;
    try {
      signal = options?.signal;
      limits = connectLimits(options, this.#settings.policy.deadline, this.#clock, this.name, this.#settings.shares);
      if (signal?.aborted === true) return Promise.reject(signal.reason);
      limits = this.#prepared(limits, this.connect);
      word =
        limits === undefined
          ? this.#policy.checkout()
          : this.#policy.checkoutWithin(
              toWireMillis(limits.timeoutMs),
              toWireMillis(limits.deadlineMs),
              limits.priority,
              limits.startedAt === undefined ? 0 : this.#clock.reading,
            );
    } catch (error) {
      return Promise.reject(this.#failure(error));
    }
    this.#noteStack(word, limits);
    return isLease(word) ? Promise.resolve(this.#granted(word, limits)) : this.#pend(word, limits, signal);
  }

  /** What precedes a checkout off the fast path. `called`: the method below which the stack of the caller is. */
  #prepared(limits: Limits | undefined, called: Function): Limits | undefined {
    this.#policy.assertAlive();
    // Before the checkout: the report runs foreign code.
    if (this.#lostLeases.areAny) this.#lostLeases.report();
    if (!this.#needsLimits()) return limits;
    const startedAt = limits?.startedAt ?? (this.#policy.tellsTime ? this.#clock.elapsed() : undefined);
    const stack = this.#settings.keepsStacks ? stackBelow(called) : undefined;
    const { timeoutMs, deadlineMs, priority = 0 } = limits ?? {};
    return { timeoutMs, deadlineMs, priority, startedAt, stack };
  }

  #failure(error: unknown): unknown {
    return error instanceof WebAssembly.RuntimeError ? this.#operations.crash(error) : error;
  }

  #noteStack(word: number, limits: Limits | undefined): void {
    if (!isRefused(word) && limits?.stack !== undefined) this.#refusals.firstCheckoutStack = limits.stack;
  }

  #granted(word: number, limits: Limits | undefined): Lease<C> {
    const lease = this.#connections.leaseFor(word, limits);
    if (this.log.isDebug) {
      this.#operations.drain();
      this.log.debug("a connection is checked out");
    }
    return lease;
  }

  /** The checkout of a caller that cannot wait. Returns undefined if it would have to, or throws then if `fails`. */
  connectNow(fails: boolean, isObserved = false): PooledConnection<C> | undefined {
    if (this.#listeners.hasObservers && !isObserved) return this.#observedNow(fails);
    let word: number;
    let limits: Limits | undefined;
    try {
      if (!this.#isFastPath) limits = this.#prepared(undefined, this.connectNow);
      word = this.#policy.checkoutNow(limits?.startedAt === undefined ? 0 : this.#clock.reading, fails);
    } catch (error) {
      throw this.#failure(error);
    }
    this.#noteStack(word, limits);
    return isLease(word) ? this.#granted(word, limits) : this.#pendNow(word, limits, fails);
  }

  #observedNow(fails: boolean): PooledConnection<C> | undefined {
    return this.#listeners.observe({ name: "checkout" }, () => this.connectNow(fails, true));
  }

  #pendNow(word: number, limits: Limits | undefined, fails: boolean): PooledConnection<C> | undefined {
    const operations = this.#operations;
    let operation: Operation<C> | undefined;
    let refusal: Refusal | undefined;
    try {
      if (isRefused(word)) refusal = this.#policy.refusal();
      else {
        const begun = operations.begin(operationOf(word), limits);
        begun.resume();
        operation = begun.latest;
        if (!operation.isSettled) {
          refusal = this.#policy.leave(operation.handle, fails);
          operation.settleUnlessAwaited();
        }
      }
      if (refusal !== undefined) {
        operations.afterwards();
        if (this.#settings.keepsStacks) this.#clock.now();
      }
    } catch (trap) {
      throw operations.crash(trap);
    }
    if (refusal === undefined) return operation?.result();
    if (!fails && this.#refusals.isTimeout(refusal)) return undefined;
    throw this.#refusals.errorFor(refusal, limits, undefined, true);
  }

  /** Goes on with a checkout that is not granted at once. */
  #pend(word: number, limits: Limits | undefined, signal: AbortSignal | undefined): Promise<PooledConnection<C>> {
    const operations = this.#operations;
    try {
      if (isRefused(word)) {
        const refusal = this.#policy.refusal();
        operations.afterwards();
        if (this.#settings.keepsStacks) this.#clock.now();
        return Promise.reject(this.#refusals.errorFor(refusal, limits));
      }
      const handle = operationOf(word);
      if (isAsleep(word)) return this.#wait(handle, limits, signal, false);
      const step = this.#policy.resume(handle);
      if (codeOf(step) === Code.Wait) return this.#wait(handle, limits, signal, true);
      if (limits === undefined && signal === undefined && operations.steps.isForOneListener(step)) {
        const presented = Operation.present(operations, handle, step);
        return presented instanceof Lease ? Promise.resolve(presented) : this.#promiseOf(presented);
      }
      const operation = operations.begin(handle, limits);
      if (signal === undefined || isLast(step)) operation.run(step);
      else {
        this.#waiters.attend(handle);
        operations.drain();
        try {
          this.#listen(handle, signal);
          // The signal may have brought a connection back, with which the caller goes on.
          if (operation.latest !== operation) this.#listen(operation.latest.handle, signal);
        } catch (error) {
          // Without its caller the operation goes on: what it opens is the next caller's.
          this.#policy.abort(operation.latest.handle);
          operation.latest.reject(error);
        }
        // Again: the signal is foreign code, and may have changed what comes next.
        operation.resume();
      }
      return this.#promiseOf(operation);
    } catch (trap) {
      return this.#refuseAfter(trap);
    }
  }

  #promiseOf(operation: Operation<C>): Promise<PooledConnection<C>> {
    if (!operation.latest.isSettled) this.#timer.hold();
    return operation.promise();
  }

  /** Queues. The promise is in its place before any foreign code runs. */
  #wait(
    handle: number,
    limits: Limits | undefined,
    signal: AbortSignal | undefined,
    mayHaveOutput: boolean,
  ): Promise<PooledConnection<C>> {
    const waiters = this.#waiters;
    const promise = this.#settings.crosses
      ? waiters.waitAcross(handle, () => this.#onRing())
      : signal === undefined
        ? waiters.wait(handle)
        : waiters.waitAbortably(handle);
    if (limits !== undefined) waiters.keepLimits(handle, limits);
    if (this.#context !== undefined) this.learnPlace();
    if (mayHaveOutput || this.#context !== undefined) this.#operations.afterwards();
    this.#timer.hold();
    if (signal === undefined) return promise;
    try {
      this.#listen(handle, signal);
    } catch (error) {
      this.#operations.afterwards();
      // It may have been granted before its signal threw.
      void promise.then(
        (lease) => lease.close(),
        () => {},
      );
      return Promise.reject(error);
    }
    return promise;
  }

  /** Listens to the caller's signal. If the signal refuses a listener, the caller leaves as if it had been aborted. */
  #listen(handle: number, signal: AbortSignal): void {
    try {
      this.#waiters.listen(handle, signal);
      if (this.#context !== undefined) this.#listenHere();
      // It may have been aborted since the call began, by foreign code; then it fires no event any more.
      if (signal.aborted) this.#abort(new Set([handle]), signal.reason);
    } catch (error) {
      if (this.#policy.abort(handle) && !this.#waiters.abort(handle, error))
        this.#operations.find(handle)?.reject(error);
      this.#waiters.forget(handle);
      this.#operations.drain();
      throw error;
    }
  }

  // ---- aborts

  /** Aborts every operation that was begun with the signal. */
  #abort(operations: Set<number>, reason: unknown): void {
    if (hasCrashed()) return;
    if (this.#context?.isCurrent() === false) {
      this.#abortsElsewhere.push(() => this.#abort(operations, reason));
      this.#wakeHere?.();
      return;
    }
    try {
      for (const operation of operations) {
        if (!this.#policy.abort(operation) || this.#waiters.abort(operation, reason)) continue;
        this.#operations.find(operation)?.reject(reason);
        this.#waiters.forget(operation);
      }
      this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /**
   * A signal may be aborted in another I/O context, which must not act here. A promise that was made here resumes here.
   * Before the compatibility date 2024-10-14 it does not, and the next timer notices the abort.
   */
  #listenHere(): void {
    if (this.#wakeHere !== undefined) return;
    void new Promise<void>((resolve) => (this.#wakeHere = resolve)).then(() => {
      this.#wakeHere = undefined;
      this.catchUp();
    });
  }

  // ---- the scope as a whole

  /** Called when the timer has run out, and in Workers for what another context has left. */
  #onRing(): void {
    if (hasCrashed()) return this.#operations.crashed();
    try {
      this.catchUp();
      this.#operations.tick();
      this.#operations.afterwards();
      if (this.isEmpty) this.#parent?.onEmpty();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Begins to keep `min` connections open, before any caller asks for one. */
  start(): void {
    if (hasCrashed()) return;
    try {
      this.#policy.start();
      this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Opens connections until there are `count`, and at most so many; rejects with the first failure. */
  async warm(count: number): Promise<void> {
    this.learnPlace();
    for (let most = count; ;) {
      this.#policy.assertAlive();
      if (this.isClosed) throw this.#refusals.errorFor(Refusal.Closed);
      let isEnough = false;
      const opening = this.#operations.spawn(() => (isEnough = this.#policy.warm(count, most) === 0));
      this.start();
      most -= opening.length;
      const opened = await Promise.allSettled(opening);
      const failure = opened.find(({ status }) => status === "rejected");
      if (failure !== undefined) throw (failure as PromiseRejectedResult).reason;
      // If it may open no more now, openings fail, or callers have the places: it leaves the rest to them.
      if (!isEnough && opened.length === 0 && this.#refusals.openError !== undefined) throw this.#refusals.openError;
      if (isEnough || opened.length === 0 || most <= 0) return;
    }
  }

  invalidateAll(): void {
    this.#policy.assertAlive();
    this.#policy.invalidateAll();
  }

  /**
   * Disposes of the whole pool; the other scopes are those that can act now. In each of them every promise is settled
   * before the first connection is closed. Resolves when their idle connections are closed.
   */
  disposeWith(others: readonly Scope<C>[]): Promise<void> {
    if (hasCrashed()) return done;
    try {
      const scopes = [this, ...others];
      const spawned = scopes.map((scope) => scope.#operations.watchSpawned());
      this.#policy.dispose();
      const closes = spawned.flatMap((promises) => promises());
      for (const scope of scopes) scope.#operations.afterwards();
      return Promise.allSettled(closes).then(() => undefined);
    } catch (trap) {
      this.#operations.crash(trap);
      return done;
    }
  }

  #endIdle(end: () => void): Promise<void> {
    if (hasCrashed()) return done;
    try {
      return Promise.allSettled(this.#operations.spawn(end)).then(() => undefined);
    } catch (trap) {
      this.#operations.crash(trap);
      return done;
    }
  }

  get isClosed(): boolean {
    return this.#closing !== undefined || (!hasCrashed() && this.#policy.isClosed());
  }

  /**
   * Closes the whole pool, or hastens its close; the other scopes are those that can act now. In each of them every
   * promise is settled before the first connection is closed. Resolves when all of them are empty, or the patience has
   * ended.
   */
  closeWith(others: readonly Scope<C>[], { ms, drains }: Patience): Promise<void> {
    const isFirst = this.#closing === undefined;
    this.#closing ??= done;
    if (hasCrashed()) return this.#closing;
    try {
      const scopes = [this, ...others];
      this.#policy.close(toWireMillis(ms), drains);
      const ends = isFirst ? scopes.flatMap((scope) => scope.#end() ?? []) : [];
      for (const scope of scopes) scope.#operations.drain();
      if (isFirst)
        this.#closing = ends.length === 1 ? (ends[0] as Promise<void>) : Promise.all(ends).then(() => undefined);
      for (const scope of scopes) scope.#operations.afterwards();
      // A caller that is served first may wait for an opening.
      const giveUp = (): void => {
        for (const scope of scopes) scope.#giveUpOpenings();
      };
      if (drains) void this.#closing.then(giveUp);
      else giveUp();
    } catch (trap) {
      this.#closing = this.#refuseAfter(trap);
    }
    return this.#closing;
  }

  /**
   * Changes the sizes of the whole pool; the other scopes are those that can act now. In each of them every promise is
   * settled before the first connection is opened or closed. `asked`: as the user wrote them.
   */
  resizeWith(others: readonly Scope<C>[], asked: unknown): void {
    try {
      changeSizes(this.#settings, asked, (sizes) => this.#policy.resize(sizes));
    } catch (error) {
      throw this.#failure(error);
    }
    try {
      const scopes = [this, ...others];
      for (const scope of scopes) scope.#readOptions();
      for (const scope of scopes) scope.#operations.drain();
      for (const scope of scopes) scope.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  #readOptions(): void {
    this.#policy.readOptions();
    this.#updateFastPath();
    this.#leases.updateFastPath();
  }

  /** Returns what ends with the close of this scope, if that is under way. */
  #end(): Promise<void> | undefined {
    const handle = this.#policy.closing();
    return handle < 0 ? undefined : (this.#operations.begin(handle).promise() as unknown as Promise<void>);
  }

  // ---- what is known of it

  stats(): PoolStats {
    return this.#policy.stats(false, -1);
  }

  /** Of all scopes, as the current I/O context knows them. `context`: its number, or -1. */
  statsEverywhere(context: number): PoolStats {
    return this.#policy.stats(true, context);
  }

  counts(): PoolCounts {
    return this.#policy.counts();
  }

  /** Returns what is in the slots, for how long the first waiter has waited, and which leases are out for longest. */
  look(): { slots: readonly (Slot<C> | undefined)[]; waitingMs: number; held: Held[] } {
    return { ...this.#policy.longestHeld(this.#clock.now()), slots: this.#connections.slots };
  }

  get options(): PolicyOptions {
    return this.#settings.policy;
  }
}
