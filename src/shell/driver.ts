/**
 * Performs what the policy decides, for one pool in one scope: the only file that calls the WebAssembly. Here live the
 * promises and the order of calls; who gets what, and when, is decided in src/policy, and how a step is performed in
 * steps.ts.
 *
 * After every call into the policy its books are right and nothing of it is borrowed: a creator, a driver or a listener
 * may re-enter the pool. Words and step words: src/bindings/mod.rs.
 */

import { Callers } from "./callers.js";
import { guardedClock, type PoolClock } from "./clock.js";
import { Connections, type Creator } from "./connections.js";
import type { Context } from "./contexts.js";
import { DisconnectionError, InvalidRequestError } from "./errors.js";
import type { Listeners } from "./events.js";
import { Flow, type Answer } from "./flow.js";
import { finalizersMayAct } from "./host.js";
import { crash, crashError, exportsOf, hasCrashed, watch, type Exports } from "./instance.js";
import { guardShare, type Lost } from "./leaks.js";
import type { Log } from "./logger.js";
import { connectLimits, coreIn, refuseOption, type ConnectOptions, type Limits, type Settings } from "./options.js";
import { BoundLease, handleOfOperation, PooledConnection } from "./pooled-connection.js";
import { asleep, Code, everyLease, handleMask, hookNames, indexMask, noNews, Outcome, Refusal, refused, resets, toCoreMillis, type HookName } from "./protocol.js";
import type { Held, Slot } from "./record.js";
import { refusalError, type Circumstances, type Snapshot } from "./refusal.js";
import { Reporter } from "./report.js";
import { toStats, type PoolCounts, type PoolStats } from "./stats.js";
import { Steps } from "./steps.js";
import { Timer } from "./timer.js";
import { Core, counts, longest_held, stats } from "./wasm/edgepool.js";

const done: Promise<void> = Promise.resolve();

/** In place of a number: the books are given up. */
const gone = 2 ** 32 - 1;

/** Where a driver serves that is one of several of its pool. */
export interface Home {
  /** In Workers the I/O context, in which alone it may do anything. */
  readonly context: Context | undefined;
  readonly first: Driver<any>;
  /** Told when nothing is left in it. */
  emptied(): void;
}

export class Driver<C> implements Circumstances {
  readonly name: string;
  readonly log: Log;
  /** Where the lease of an assertion pool was checked out. */
  takenAt: string | undefined = undefined;
  readonly #settings: Settings<C>;
  readonly #listeners: Listeners;
  readonly #reporter: Reporter<C>;
  readonly #connections: Connections<C>;
  readonly #steps: Steps<C>;
  readonly #slots: Slot<C>[];
  readonly #clock: PoolClock;
  readonly #timer: Timer;
  readonly #wasm: Exports;
  /** Keeps the policy alive; calls name it by its number. */
  readonly #core: Core;
  #number: number;
  readonly #home: Home | undefined;
  /** The I/O context to which all that is here belongs. */
  readonly #context: Context | undefined;
  /** The two calls of the hot path: the exports are an object without a shape, in which every look is a search. */
  readonly #checkout: Exports["checkout"];
  readonly #checkin: Exports["checkin"];
  /** Whether returns look for an open transaction: style commit commits either way. */
  readonly #resets: boolean;
  /** Whether every checkout and return tells the time. */
  readonly #tellsTime: boolean;
  /** Whether a checkout is one call and its answer: no clock, no stack, no debug log, no lost lease to tell. */
  #isPlain = true;
  /** Whether a return is: no clock, no debug log, no transaction to look for. */
  #returnsPlainly = true;

  readonly #callers = new Callers<C>((operations, reason) => this.#abort(operations, reason));
  /** By index of operation: the flow that performs its steps. */
  readonly #flows: (Flow<C> | undefined)[] = [];
  /** Leases that were collected, not told to the policy yet. */
  readonly #lost: Lost<C>[] = [];
  /** Aborts that were heard in another I/O context, and how to wake this one for them. */
  readonly #abortsElsewhere: Array<() => void> = [];
  #wakeHere: (() => void) | undefined = undefined;
  /** Whether this scope was ended, and not the whole pool. */
  #isEnded = false;
  #snapshot: Snapshot | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  constructor(creator: Creator<C>, settings: Settings<C>, listeners: Listeners, home?: Home) {
    this.#home = home;
    this.#context = home?.context;
    this.name = settings.loggingName;
    this.log = settings.log;
    this.#settings = settings;
    this.#listeners = listeners;
    this.#reporter = new Reporter(this.log, listeners);
    this.#connections = new Connections(this, creator, settings);
    this.#slots = this.#connections.slots;
    this.#clock = guardedClock(settings.clock, this.log);
    this.#wasm = exportsOf(this.name);
    this.#assertAlive();
    try {
      this.#core = new Core(Object.values(coreIn(settings, home === undefined ? false : this.#context?.isActor)), home === undefined ? -1 : home.first.#number);
    } catch (error) {
      if (typeof error === "string") throw refuseOption(error, settings);
      crash(error);
      throw crashError(this.name);
    }
    const wasm = this.#wasm;
    const number = this.#core.number();
    this.#number = number;
    this.#checkout = this.#wasm.checkout;
    this.#checkin = this.#wasm.checkin;
    this.#resets = settings.resetOnReturn === "rollback";
    this.#tellsTime = wasm.tells_time(number) !== 0;
    this.#lookAtReturns();
    this.#steps = new Steps(
      {
        isNewSlot: (index) => wasm.is_new_slot(this.#number, index) !== 0,
        leaseFor: (flow, held) => (settings.shares ? this.#share(held, flow) : this.#leaseOf(held, wasm.lease_of(this.#number, held.record.index), flow.limits)),
        listenerTimeout: (flow) => this.#refusal(Refusal.ListenerTimeout, flow.limits),
        staleness: (flow) => stalenesses[wasm.staleness(this.#number, flow.operation)],
      },
      this.#connections, listeners, this.#reporter, settings,
    );
    this.#timer = new Timer(this.#clock, this.log, {
      tick: (nowMs) => wasm.tick(this.#number, nowMs),
      timerLost: () => wasm.timer_lost(this.#number),
      isAttended: () => wasm.is_attended(this.#number) !== 0,
      rang: () => this.#rang(),
    });
    // A further scope was told of the events when it began.
    if (home === undefined) listeners.onChange = (bits) => {
      // A hand-over at once passes by the log and the stacks.
      const all = this.log.isDebug || settings.keepsStacks ? bits | everyLease : bits;
      if (!hasCrashed()) wasm.set_hooks(number, all);
    };
  }

  /** The log's `echo` was set. */
  echoed(): void {
    this.#lookAtReturns();
    this.#listeners.changed();
  }

  #lookAtReturns(): void {
    this.#look();
    this.#returnsPlainly = !this.#resets && !this.#tellsTime && !this.log.isDebug && this.#home === undefined;
  }

  #look(): void {
    this.#isPlain = !this.#looksClosely() && !this.log.isDebug && this.#lost.length === 0 && this.#context === undefined;
  }

  #looksClosely(): boolean {
    return this.#tellsTime || this.#settings.keepsStacks || this.#settings.crosses || this.#settings.core.deadline !== Infinity;
  }

  // ---- one scope of several

  /** Whether the code runs in another I/O context than this driver's. */
  get isElsewhere(): boolean {
    return this.#context?.isCurrent() === false;
  }

  /** Throws where the code runs in another I/O context. */
  assertHere(): void {
    if (!this.isElsewhere) return;
    throw new InvalidRequestError(
      `this connection of the pool ${this.name} belongs to another request or Durable Object: Workers let nobody else use it. Call connect() in the handler that uses the connection, and keep no lease at module scope`,
      this.name,
    );
  }

  /** Does what was left to do until somebody called from here: another scope may have ended the pool, or disposed of it. */
  catchUp(): void {
    if (hasCrashed()) return;
    try {
      for (const abort of this.#abortsElsewhere.splice(0)) abort();
      if (this.#lost.length > 0) this.#tellLost();
      else if (this.#wasm.has_news(this.#number) !== 0) this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  /** Whether what is idle is all there is: nobody has a connection, or wants one. */
  get isAtRest(): boolean {
    return hasCrashed() || this.#wasm.is_at_rest(this.#number) !== 0;
  }

  /** Its context is taken for gone: the books are given up, and nothing else is touched. Whoever comes from there all the same can still close a lease. */
  forget(): void {
    this.#number = gone;
    this.#callers.leaveSignals();
    if (!hasCrashed()) this.#core.free();
  }

  /** Ends this scope: closes what is idle, refuses who waits, and closes the rest at its return. */
  end(): Promise<void> {
    this.#isEnded = true;
    return this.#endIdle(() => void this.#wasm.close_scope(this.#number, toCoreMillis(Infinity)));
  }

  // ---- checkout

  // This and checkIn() are short, so that V8 takes them into its callers: what is rare stands apart.
  connect(options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    if (options !== undefined || !this.#isPlain) return this.#connectWithin(options);
    let word: number;
    try {
      word = this.#checkout(this.#number);
    } catch (trap) {
      return this.#refuseAfter(trap);
    }
    if (word >= 0) {
      const { held } = this.#slots[word & indexMask] as { held: Held<C> };
      return Promise.resolve(new PooledConnection(held, word, held.takeSentinel()));
    }
    if (word < -asleep) {
      this.#timer.hold();
      return this.#callers.wait(~word & indexMask);
    }
    return this.#pend(word, undefined, undefined);
  }

  #refuseAfter(trap: unknown): Promise<never> {
    return Promise.reject(this.#crash(trap));
  }

  #connectWithin(options: ConnectOptions = {}): Promise<PooledConnection<C>> {
    let word: number;
    let limits: Limits | undefined;
    let signal: AbortSignal | undefined;
    try {
      signal = options?.signal;
      limits = connectLimits(options, this.#settings.core.deadline, this.#clock, this.name);
      if (signal?.aborted === true) return Promise.reject(signal.reason);
      this.#assertAlive();
      if (this.#looksClosely()) limits = this.#lookClosely(limits);
      word =
        limits === undefined
          ? this.#checkout(this.#number)
          : this.#wasm.checkout_within(this.#number, toCoreMillis(limits.timeoutMs), toCoreMillis(limits.deadlineMs), limits.startedAt ?? 0);
    } catch (error) {
      return Promise.reject(error instanceof WebAssembly.RuntimeError ? this.#crash(error) : error);
    }
    if (word !== refused && limits?.stack !== undefined) this.takenAt = limits.stack;
    if (word >= 0) return Promise.resolve(this.#lease(word, limits));
    return this.#pend(word, limits, signal);
  }

  #lookClosely(limits: Limits | undefined): Limits {
    const startedAt = limits?.startedAt ?? (this.#tellsTime ? this.#clock.now() : undefined);
    const stack = this.#settings.keepsStacks ? stackBelow(this.connect) : undefined;
    return { timeoutMs: limits?.timeoutMs, deadlineMs: limits?.deadlineMs, startedAt, stack };
  }

  #lease(word: number, limits: Limits | undefined): PooledConnection<C> {
    return this.#leaseOf((this.#slots[word & indexMask] as Slot<C>).held as Held<C>, word, limits);
  }

  #leaseOf(held: Held<C>, handle: number, limits: Limits | undefined): PooledConnection<C> {
    if (this.log.isDebug) this.log.debug("a connection is checked out");
    if (limits !== undefined) held.stack = limits.stack;
    return this.#lend(held, handle, held.takeSentinel());
  }

  #lend(held: Held<C>, handle: number, sentinel: object | undefined): PooledConnection<C> {
    return this.#context === undefined ? new PooledConnection(held, handle, sentinel) : new BoundLease(held, handle, sentinel);
  }

  #share(held: Held<C>, flow: Flow<C>): PooledConnection<C> {
    if (this.log.isDebug) this.log.debug("a connection is checked out");
    held.stack = flow.limits?.stack;
    const sentinel = this.#settings.tracksLeaks ? guardShare(held, this, flow.operation) : undefined;
    return this.#lend(held, handleOfOperation(flow.operation), sentinel);
  }

  /** A checkout that is not granted at once. */
  #pend(word: number, limits: Limits | undefined, signal: AbortSignal | undefined): Promise<PooledConnection<C>> {
    try {
      if (this.#lost.length > 0) this.#tellLost();
      if (word === refused) return Promise.reject(this.#refusal(this.#wasm.refusal(this.#number), limits));
      const operation = ~word & ~asleep;
      const index = operation & indexMask;
      this.#timer.hold();
      try {
        this.#callers.remember(operation, limits, signal);
        if (signal !== undefined && this.#context !== undefined) this.#listenHere();
      } catch (error) {
        // The signal refused a listener: its caller leaves as if it had been aborted.
        this.#wasm.abort(this.#number, operation);
        this.#callers.forget(index);
        this.#afterwards();
        return Promise.reject(error);
      }
      const isAsleep = word < -asleep;
      const step = isAsleep ? ~Code.Wait : this.#wasm.resume(this.#number, operation);
      if ((~step & 15) === Code.Wait) {
        const promise = this.#settings.crosses ? this.#callers.waitAcross(index, () => this.#rang())
          : signal === undefined ? this.#callers.wait(index)
          : this.#callers.waitAbortably(index);
        if (!isAsleep) this.#afterwards();
        return promise;
      }
      if (limits === undefined && signal === undefined && this.#isForOneListener(step)) return this.#present(operation, step);
      const flow = this.#begin(operation, limits);
      this.#run(flow, step);
      return flow.start();
    } catch (trap) {
      return this.#refuseAfter(trap);
    }
  }

  /** A signal may be aborted in another I/O context, where nothing of this one may be done. A promise that was made here goes on here; before the compatibility date 2024-10-14 it does not, and the next timer finds the abort. */
  #listenHere(): void {
    if (this.#wakeHere !== undefined) return;
    void new Promise<void>((resolve) => (this.#wakeHere = resolve)).then(() => {
      this.#wakeHere = undefined;
      this.catchUp();
    });
  }

  /** Whether there is but one listener to call, who must be shown a lease. */
  #isForOneListener(step: number): boolean {
    return this.#listeners.onlyCheckout !== undefined && (~step & 15) === Code.Emit && hookNames[~step >> 24] === "checkout" && !this.#settings.shares;
  }

  /** Calls that listener. Where he answers at once, and all is well, the caller has the lease: no flow is made. */
  #present(operation: number, first: number): Promise<PooledConnection<C>> {
    const index = operation & indexMask;
    const held = (this.#slots[(~first >> 4) & indexMask] as Slot<C>).held as Held<C>;
    const lease = this.#leaseOf(held, this.#wasm.lease_of(this.#number, held.record.index), undefined);
    // What an earlier operation left is not to be taken for a flow of this one, which a refusal makes meanwhile.
    this.#flows[index] = undefined;
    const answer = this.#steps.performFirst(Code.Emit, held, lease);
    const step = answer === undefined ? this.#wasm.advance(this.#number, operation, Outcome.Ok) : first;
    if (step >= 0) {
      if (step > handleMask) this.#afterwards();
      return Promise.resolve(lease);
    }
    const flow = this.#flows[index] ?? this.#begin(operation, undefined);
    flow.lease = lease;
    this.#goOn(flow, step, answer);
    return flow.start();
  }

  /** Everyone who asked with a signal that has been aborted. */
  #abort(operations: Set<number>, reason: unknown): void {
    if (hasCrashed()) return;
    if (this.isElsewhere) {
      this.#abortsElsewhere.push(() => this.#abort(operations, reason));
      this.#wakeHere?.();
      return;
    }
    try {
      for (const operation of operations) {
        const index = operation & indexMask;
        if (this.#wasm.abort(this.#number, operation) !== 0 && !this.#callers.abort(index, reason)) this.#flows[index]?.reject(reason);
        this.#callers.forget(index);
      }
      this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  // ---- performing steps

  /** Runs the steps of one operation, in the caller's stack as long as everything that is called answers synchronously. */
  #run(flow: Flow<C>, first: number): void {
    this.#perform(flow, first);
    // Only now: a timer for a step that was over at once would be set in vain. News may have come of the first step, too,
    // which no answer of ours brought about.
    if (this.#wasm.has_news(this.#number) !== 0) this.#afterwards();
  }

  /** The same from a step on that was begun without a flow, or the one after it. */
  #goOn(flow: Flow<C>, step: number, answer: Answer | undefined): void {
    flow.answer = answer;
    this.#handOut();
    this.#run(flow, step);
  }

  #begin(operation: number, limits: Limits | undefined): Flow<C> {
    const flow = new Flow<C>(operation, limits);
    this.#flows[operation & indexMask] = flow;
    return flow;
  }

  #perform(flow: Flow<C>, first: number): void {
    let step = first;
    for (;;) {
      if (step >= 0) {
        this.#end(flow);
        flow.resolve(flow.lease ?? this.#lease(step & handleMask, flow.limits));
        return;
      }
      const code = ~step & 15;
      const argument = ~step >> 4;
      switch (code) {
        case Code.Wait:
          this.#awaitResume(flow);
          return;
        case Code.Done:
          this.#end(flow);
          flow.lease?.revoke();
          flow.resolve(undefined as never);
          return;
        case Code.Share:
          this.#end(flow);
          flow.resolve(flow.lease ?? this.#share((this.#slots[argument] as Slot<C>).held as Held<C>, flow));
          return;
        case Code.Reject: {
          const limits = this.#callers.forget(flow.operation & indexMask);
          // An opening that timed out keeps its operation until the creator has answered.
          if (argument !== Refusal.OpenTimeout) this.#end(flow);
          flow.lease?.revoke();
          flow.reject(this.#refusalOf(flow, argument, limits));
          return;
        }
      }
      const result = this.#steps.perform(flow, code, argument);
      if (typeof result !== "number") {
        this.#sleep(flow, code, argument, result);
        return;
      }
      step = this.#advance(flow, result);
    }
  }

  #end(flow: Flow<C>): void {
    const index = flow.operation & indexMask;
    this.#callers.forget(index);
    if (this.#flows[index] === flow) this.#flows[index] = undefined;
  }

  #advance(flow: Flow<C>, outcome: Outcome): number {
    if (flow.limits?.startedAt !== undefined || this.#tellsTime) this.#readClock();
    if (this.#settings.core.recycleJitter !== 0) this.#wasm.set_random(this.#number, Math.random());
    const step = this.#wasm.advance(this.#number, flow.operation, outcome);
    this.#handOut();
    return step;
  }

  #readClock(): void {
    this.#wasm.read_clock(this.#number, this.#clock.now());
  }

  /** Sleeps until what was called answers or the policy's time for it has ended; what comes after that is late. */
  #sleep(flow: Flow<C>, code: number, argument: number, answer: PromiseLike<unknown>): void {
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
      if (isOver) return void settled.then(() => this.#late(flow, code, late, answer));
      value = answer;
      end(outcome);
    };
    const failed = answered(Outcome.Failed, Outcome.LateFailed);
    flow.wake = () => end(Outcome.TimedOut);
    try {
      Promise.resolve(answer).then(answered(Outcome.Ok, Outcome.LateOk), failed);
    } catch (error) {
      // A promise may have a `then` of its own, and that may throw.
      failed(error);
    }
    // Registered here, in the operation's own async context: so is all that it performs from now on.
    void settled.then((outcome) => {
      flow.wake = undefined;
      this.#guard(flow, () => {
        const result = outcome === Outcome.TimedOut ? this.#steps.timedOut(flow, code, argument) : this.#steps.ended(flow, code, argument, outcome, value);
        this.#run(flow, this.#advance(flow, result));
      });
    });
  }

  /** Sleeps without a step, until the policy has one for it; goes on in its own async context. */
  #awaitResume(flow: Flow<C>): void {
    void flow.sleep().then(() => {
      this.#guard(flow, () => this.#run(flow, this.#wasm.resume(this.#number, flow.operation)));
    });
  }

  /** After a time-out of its own the operation goes on; only an opening still wants to know what came of it. */
  #late(flow: Flow<C>, code: number, outcome: Outcome, value: unknown): void {
    if (code !== Code.Open) return;
    this.#guard(flow, () => {
      flow.late = value as C;
      // A creator that answered nothing has left nothing to close.
      this.#run(flow, this.#advance(flow, value === undefined || value === null ? Outcome.LateFailed : outcome));
    });
  }

  // ---- return

  /** `sentinel` is the lease's; it goes on to the next lease, or back to the connection. */
  checkIn(lease: number, held: Held<C>, sentinel: object | undefined, wasReset: boolean): Promise<void> {
    try {
      const result = this.#checkin(this.#number, lease, this.#returnsPlainly ? 1 : this.#beforeReturn(held, wasReset));
      if (result > 1) {
        // Straight to a waiter, without a call: the hottest way through the pool.
        const word = result - 2;
        const index = word & indexMask;
        this.#callers.grant(index, this.#lend(held, (lease & indexMask) | (word - index), sentinel));
      } else {
        held.sentinel = sentinel;
        if (result !== 0) return this.#finish(result, held, wasReset, undefined);
      }
      return done;
    } catch (trap) {
      return this.#afterTrap(trap, held);
    }
  }

  /** 1 where a rollback would end nothing, or where none is asked for. A reset listener may change that: asked after it. */
  #isClean(held: Held<C>, wasReset: boolean): 0 | 1 {
    return !this.#resets || wasReset || (!this.#listeners.hearsReset && this.#connections.isClean(held.connection)) ? 1 : 0;
  }

  #beforeReturn(held: Held<C>, wasReset: boolean): 0 | 1 {
    const clean = this.#isClean(held, wasReset);
    if (this.#tellsTime) this.#readClock();
    this.log.debug("a connection is being returned");
    if (clean === 1 && this.#resets) this.log.debug("reset skipped: no transaction is open");
    return clean;
  }

  /** Runs what a return leaves to do; `result` as the bindings' return word, and no hand-over, which only checkIn() gets. */
  #finish(result: number, held: Held<C>, wasReset: boolean, error: unknown): Promise<void> {
    if (result >= 0) {
      this.#afterwards();
      return done;
    }
    const operation = ~result & ~resets;
    let step: number | undefined;
    let answer: Answer | undefined;
    if (~result >= resets && !this.#tellsTime) {
      answer = this.#steps.performFirst(this.#resets ? Code.Rollback : Code.Commit, held, undefined);
      if (answer === undefined) {
        step = this.#wasm.advance(this.#number, operation, Outcome.Ok);
        if ((~step & 15) === Code.Done) {
          if (step !== ~Code.Done) this.#afterwards();
          return done;
        }
      }
    }
    step ??= this.#wasm.resume(this.#number, operation);
    const flow = this.#begin(operation, undefined);
    flow.held = held;
    flow.record = held.record;
    flow.wasReset = wasReset;
    flow.error = error;
    this.#goOn(flow, step, answer);
    return flow.isSettled ? done : (flow.start() as unknown as Promise<void>);
  }

  returnShare(operation: number, held: Held<C>, wasReset: boolean): Promise<void> {
    return this.#attempt(held, () => {
      return this.#finish(this.#wasm.return_share(this.#number, operation, this.#beforeReturn(held, wasReset)), held, wasReset, undefined);
    });
  }

  /** An end of a lease that must come to its end even after a crash. */
  #attempt(held: Held<C>, run: () => Promise<void>): Promise<void> {
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

  #afterTrap(trap: unknown, held: Held<C>): Promise<void> {
    this.#crash(trap);
    return this.#closeAfterCrash(held.connection);
  }

  invalidate(lease: number, held: Held<C>, error: unknown): Promise<void> {
    return this.#attempt(held, () => {
      this.#steps.invalidated(error);
      return this.#finish(this.#wasm.invalidate(this.#number, lease), held, false, error);
    });
  }

  invalidateShare(operation: number, held: Held<C>, error: unknown): Promise<void> {
    return this.#attempt(held, () => {
      this.#steps.invalidated(error);
      if (this.#settings.kind === "SingletonThreadPool") held.isOver = true;
      return this.#finish(this.#wasm.invalidate_share(this.#number, operation), held, false, error);
    });
  }

  invalidateSoft(held: Held<C>, error: unknown): Promise<void> {
    this.assertHere();
    if (!this.#isCurrent(held)) return done;
    this.#assertAlive();
    this.#wasm.invalidate_soft(this.#number, held.record.index);
    if (this.log.isInfo) this.log.info("a connection is soft-invalidated");
    return this.#tell("softInvalidate", held, error);
  }

  invalidateAsOld(held: Held<C>): void {
    this.#assertAlive();
    if (this.#isCurrent(held)) this.#wasm.invalidate_as_old(this.#number, held.record.index);
  }

  invalidateAll(): void {
    this.#assertAlive();
    this.#wasm.invalidate_all(this.#number);
  }

  /** Ends the connection of a record, whoever has it. */
  emptySlot(slot: Slot<C>, abrupt: boolean, error: unknown): Promise<void> {
    const { held } = slot;
    if (held === undefined || !this.#isCurrent(held)) return done;
    return this.#attempt(held, () => {
      const word = this.#wasm.empty_slot(this.#number, slot.index, abrupt ? 1 : 0);
      if (word < 0) {
        this.#connections.leave(held);
        if (abrupt) this.#steps.invalidated(error);
      }
      return this.#finish(word, held, false, error);
    });
  }

  addFinalizer(slot: Slot<C>): void {
    this.assertHere();
    this.#assertAlive();
    this.#wasm.add_finalizer(this.#number, slot.index);
  }

  /** Answers the operation that stands for the connection from now on, or -1 where the lease is none. */
  detach(lease: number, held: Held<C>): number {
    this.#assertAlive();
    return this.#detached(this.#wasm.detach(this.#number, lease), held);
  }

  detachShare(operation: number, held: Held<C>): number {
    this.#assertAlive();
    return this.#detached(this.#wasm.detach_share(this.#number, operation) !== 0 ? operation : -1, held);
  }

  #detached(operation: number, held: Held<C>): number {
    if (operation >= 0) this.#connections.empty(held);
    this.#afterwards();
    return operation;
  }

  tellDetached(held: Held<C>): Promise<void> {
    return this.#tell("detach", held, undefined);
  }

  closeDetached(operation: number, held: Held<C>, abrupt: boolean, wasReset: boolean): Promise<void> {
    return this.#attempt(held, () => {
      const clean = this.#isClean(held, abrupt || wasReset);
      return this.#finish(this.#wasm.close_detached(this.#number, operation, clean, abrupt ? 1 : 0), held, wasReset, undefined);
    });
  }

  /** An event that nothing else waits for. */
  #tell(event: HookName, held: Held<C>, error: unknown): Promise<void> {
    return this.#finish(this.#wasm.tell(this.#number, hookNames.indexOf(event)), held, false, error);
  }

  // ---- what the connections say

  #isCurrent(held: Held<C>): boolean {
    return held.record.held === held && this.#slots[held.record.index] === held.record;
  }

  isInUse(slot: Slot<C>): boolean {
    return !hasCrashed() && this.#number !== gone && this.#slots[slot.index] === slot && this.#wasm.is_in_use(this.#number, slot.index) !== 0;
  }

  /** The driver says that this connection is gone. */
  died(held: Held<C>): void {
    if (hasCrashed()) return;
    try {
      if (this.#wasm.connection_died(this.#number, held.record.index) !== 0) this.#reporter.tell("disconnect", held.death, held.record);
      else this.#steps.invalidated(held.death);
      this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  /** Leases were collected unreturned. In Workers that is heard in no request at all: then it waits for the next. */
  lost(lost: Lost<C>): void {
    this.#lost.push(lost);
    if (finalizersMayAct) this.#tellLost();
    else this.#isPlain = false;
  }

  #tellLost(): void {
    const all = this.#lost.splice(0);
    this.#look();
    if (hasCrashed()) return;
    try {
      for (const lost of all) {
        if (lost.shares === undefined) {
          if (this.#loseLease(lost)) this.#reportLost(lost, "its connection is terminated in 30 s");
          continue;
        }
        for (const operation of lost.shares) {
          if (this.#wasm.lose_share(this.#number, operation) !== 0) this.#reportLost(lost, "those who share its connection are one less");
        }
      }
      this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  #loseLease({ record, held }: Lost<C>): boolean {
    // Emptied under its lease, the slot is still the lease's; with another connection it is not.
    if (this.#slots[record.index] !== record || (record.held !== undefined && record.held !== held)) return false;
    return this.#wasm.lose_lease(this.#number, this.#wasm.lease_of(this.#number, record.index)) !== 0;
  }

  #reportLost({ record, held }: Lost<C>, what: string): void {
    const where = held?.stack === undefined ? ' (trackLeaks: "stack" tells where it was checked out)' : `; it was checked out\n${held.stack}`;
    const error = new InvalidRequestError(`a lease of the pool ${this.name} was garbage-collected without close(): ${what}${where}`, this.name);
    this.log.warn(error.message);
    this.#reporter.tell("leak", error, record);
  }

  // ---- news for those who sleep

  /** Hands out everything that the last call into the policy made ready, and sees to the timer. */
  #afterwards(): void {
    do this.#handOut();
    while (this.#wasm.tick_wanted(this.#number) !== 0 && (this.#tick(), true));
  }

  /** A crash is told to who waits. Not across I/O contexts, of which nothing may be kept: they find out by their timers. */
  #tick(): void {
    const runs = this.#timer.tick();
    if (this.#context === undefined) watch(this, runs);
  }

  #handOut(): void {
    this.#snapshot = undefined;
    const wasm = this.#wasm;
    const number = this.#number;
    for (let news: number; (news = wasm.next_news(number)) !== noNews; ) {
      if (news >= 0) this.#notify(news, wasm.notice(number));
      // Nobody waits for a child; after a crash there is nothing to say.
      else this.#startChild(noNews - 1 - news).catch(() => {});
    }
  }

  #notify(operation: number, word: number): void {
    const index = operation & indexMask;
    if (word >= 0) {
      this.#callers.grant(index, this.#lease(word, this.#callers.limitsOf(index)));
      return;
    }
    const found = this.#flows[index];
    // One that was aborted while it slept may still be found at the place of its operation.
    const flow = found?.operation === operation ? found : undefined;
    switch (~word & 15) {
      case Code.Resume:
        if (flow === undefined) this.#resumeLater(operation);
        else flow.resume();
        return;
      case Code.Reject: {
        const refusal = ~word >> 4;
        const limits = this.#callers.limitsOf(index);
        const error = flow === undefined ? refusalError(refusal, limits, this) : this.#refusalOf(flow, refusal, limits);
        if (!this.#callers.refuse(index, error)) (flow ?? this.#begin(operation, limits)).reject(error);
        this.#callers.forget(index);
        return;
      }
      case Code.Expire:
        flow?.wake?.();
        return;
      default:
        // The pool's close, which did not know its operation when it began.
        this.#flows[index] = undefined;
        found?.resolve(undefined as never);
    }
  }

  /** A waiter has a slot, with something to do first: its flow begins when it wakes. */
  #resumeLater(operation: number): void {
    const index = operation & indexMask;
    const flow = this.#begin(operation, this.#callers.limitsOf(index));
    this.#callers.resume(index, () => {
      const promise = flow.start();
      // Refused before it resumed: its operation has ended, and its index may be another's by now.
      if (flow.isSettled) {
        if (this.#flows[index] === flow) this.#flows[index] = undefined;
        return promise;
      }
      this.#guard(flow, () => {
        if (flow.limits?.startedAt !== undefined || this.#tellsTime) this.#readClock();
        this.#run(flow, this.#wasm.resume(this.#number, operation));
      });
      return promise;
    });
  }

  #startChild(operation: number): Promise<unknown> {
    const flow = this.#begin(operation, undefined);
    const promise = flow.start();
    this.#guard(flow, () => this.#run(flow, this.#wasm.resume(this.#number, operation)));
    return promise;
  }

  /** Starts every child; all of them are known before the first runs: a driver that re-enters the pool would start the rest, and nobody would wait. */
  #startChildren(): Promise<unknown>[] {
    const children: number[] = [];
    for (let operation: number; (operation = this.#wasm.next_child(this.#number)) >= 0; ) children.push(operation);
    return children.map((operation) => this.#startChild(operation));
  }

  #rang(): void {
    if (hasCrashed()) return this.crashed();
    try {
      this.catchUp();
      this.#tick();
      this.#afterwards();
      if (this.#wasm.is_empty(this.#number) !== 0) this.#home?.emptied();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  // ---- the pool as a whole

  /** Opens connections until there are `count`; rejects with the first failure. */
  async warm(count: number): Promise<void> {
    for (;;) {
      this.#assertAlive();
      if (this.isClosed) throw this.#refusal(Refusal.Closed, undefined);
      const isEnough = this.#wasm.warm(this.#number, count) === 0;
      const children = this.#startChildren();
      this.#afterwards();
      const failure = (await Promise.allSettled(children)).find(({ status }) => status === "rejected");
      if (failure !== undefined) throw (failure as PromiseRejectedResult).reason;
      // Where it may open no more now, callers have the places: it leaves the rest to them.
      if (isEnough || children.length === 0) return;
    }
  }

  /** Closes what is idle; resolves when it is closed. */
  dispose(): Promise<void> {
    return this.#endIdle(() => this.#wasm.dispose(this.#number));
  }

  #endIdle(end: () => void): Promise<void> {
    if (hasCrashed()) return done;
    try {
      end();
      const closed = Promise.all(this.#startChildren());
      this.#afterwards();
      return closed.then(() => undefined);
    } catch (trap) {
      this.#crash(trap);
      return done;
    }
  }

  get isClosed(): boolean {
    return this.#closing !== undefined || (!hasCrashed() && this.#wasm.is_closed(this.#number) !== 0);
  }

  close(patienceMs: number): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    if (hasCrashed()) return (this.#closing = done);
    const flow = new Flow<C>(0, undefined);
    this.#closing = flow.start() as unknown as Promise<void>;
    this.#guard(flow, () => {
      const operation = this.#wasm.close(this.#number, toCoreMillis(patienceMs));
      this.#flows[operation & indexMask] = flow;
      this.#afterwards();
    });
    return this.#closing;
  }

  // ---- numbers

  /** What an error tells of the pool; the same for all who are refused together. */
  circumstances(): Snapshot {
    this.#snapshot ??= { stats: this.stats(false), counts: this.counts(), longestHeld: this.#longestHeld() };
    return this.#snapshot;
  }

  #longestHeld(): Array<{ ms: number; stack?: string }> {
    const numbers = longest_held(this.#number, this.#settings.keepsStacks ? this.#clock.now() : NaN) as number[];
    const held: Array<{ ms: number; stack?: string }> = [];
    for (let place = 0; place < numbers.length; place += 2) {
      const stack = this.#slots[numbers[place + 1] as number]?.held?.stack;
      held.push(stack === undefined ? { ms: numbers[place] as number } : { ms: numbers[place] as number, stack });
    }
    return held;
  }

  stats(everywhere: boolean): PoolStats {
    this.#assertAlive();
    return toStats(stats(this.#number, everywhere));
  }

  counts(): PoolCounts {
    this.#assertAlive();
    const [size, checkedIn, overflow, checkedOut] = counts(this.#number) as [number, number, number, number];
    return { size, checkedIn, overflow, checkedOut };
  }

  get isScopeEnded(): boolean {
    return this.#isEnded;
  }

  get core(): Settings<C>["core"] {
    return this.#settings.core;
  }

  nowMs(): number {
    return this.#clock.now();
  }

  // ---- what can go wrong

  isDisconnect(error: unknown, connection: C): boolean {
    return this.#connections.isDisconnect(error, connection);
  }

  /** What the caller of a flow is told. */
  #refusalOf(flow: Flow<C>, refusal: number, limits: Limits | undefined): unknown {
    if (refusal === Refusal.Failed || (refusal === Refusal.ListenerTimeout && flow.error !== undefined)) return flow.error;
    if (refusal !== Refusal.Disconnected) return this.#refusal(refusal, limits ?? flow.limits);
    this.log.info("reconnect attempts exhausted");
    this.#steps.invalidated(undefined);
    const cause = flow.disconnection ?? new DisconnectionError(undefined, {}, this.name);
    return new InvalidRequestError(`the pool ${this.name} found one connection after the other dead, and gave up; the cause is the last one's error`, this.name, { cause });
  }

  #refusal(refusal: number, limits: Limits | undefined): unknown {
    this.#snapshot = undefined;
    return refusalError(refusal, limits, this);
  }

  /** Runs what calls the policy where no caller would see a throw. */
  #guard(flow: Flow<C>, run: () => void): void {
    try {
      this.#assertAlive();
      run();
    } catch (trap) {
      flow.reject(this.#crash(trap));
    }
  }

  #assertAlive(): void {
    if (hasCrashed()) throw crashError(this.name);
    if (this.#number === gone) throw this.#givenUp();
  }

  #givenUp(): InvalidRequestError {
    return new InvalidRequestError(
      `the pool ${this.name} has given up what it knew of this request, since a thousand others have come meanwhile: its leases can only be closed. A compatibility date of 2025-05-05 or later has no such limit`,
      this.name,
    );
  }

  /** A trap ends every pool. Anything else that got here is somebody else's throw: it is told, and the pool goes on. */
  #crash(trap: unknown): unknown {
    if (this.#number === gone && !hasCrashed()) {
      const error = this.#givenUp();
      this.#refuseEveryone(() => error);
      return error;
    }
    if (!hasCrashed() && !(trap instanceof WebAssembly.RuntimeError)) {
      this.log.error("something that the pool called threw where nothing may throw", trap);
      return trap;
    }
    crash(trap);
    this.crashed();
    return crashError(this.name);
  }

  /** @internal The instance is dead: tells everyone who waits here. */
  crashed(): void {
    this.#refuseEveryone(() => crashError(this.name));
  }

  #refuseEveryone(error: () => unknown): void {
    this.#timer.clear();
    this.#callers.refuseAll(error);
    this.#flows.forEach((flow) => flow?.reject(error()));
    this.#flows.length = 0;
  }

  /** The books are gone; the connection need not stay open. */
  async #closeAfterCrash(connection: C): Promise<void> {
    try {
      await this.#connections.call("close", connection);
    } catch (error) {
      this.#reporter.report("close", error, null);
    }
  }
}

/** By the policy's numbers. */
const stalenesses: readonly (string | undefined)[] = [undefined, "age", "pool invalidated", "soft-invalidated"];

/** Who called the pool's method that called this function, where the host can say. */
function stackBelow(called: Function): string | undefined {
  const holder: { stack?: string } = {};
  const { captureStackTrace } = Error as unknown as { captureStackTrace?: (holder: object, below: Function) => void };
  captureStackTrace?.(holder, called);
  // Where a host drops the frames of tail calls (Bun), there may be nothing below the function: then all there is.
  return holder.stack?.split("\n").slice(2).join("\n") || new Error().stack;
}
