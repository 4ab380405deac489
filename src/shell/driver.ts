/**
 * One pool in one scope: checkouts, aborts, and what is done to the pool as a whole. Puts together what serves it: the
 * policy's books, the operations that run (operations.ts), the leases that are out (leases.ts). Who gets what, and when, is
 * decided in src/policy.
 *
 * After every call into the policy its books are right and nothing of it is borrowed: a creator, a driver or a listener
 * may re-enter the pool.
 */

import { Books } from "./books.js";
import { Callers } from "./callers.js";
import { guardedClock, type PoolClock } from "./clock.js";
import { Connections, type Creator } from "./connections.js";
import type { Context } from "./contexts.js";
import type { Listeners } from "./events.js";
import { hasCrashed } from "./instance.js";
import { LostLeases } from "./leaks.js";
import { Leases } from "./leases.js";
import { Lender } from "./lender.js";
import type { Log } from "./logger.js";
import { Operations } from "./operations.js";
import { connectLimits, coreIn, type ConnectOptions, type CoreOptions, type Limits, type Settings } from "./options.js";
import { PooledConnection } from "./pooled-connection.js";
import {
  asleep,
  Code,
  everyLease,
  handleMask,
  hookNames,
  indexMask,
  Outcome,
  Refusal,
  refused,
  toCoreMillis,
} from "./protocol.js";
import type { Held, Slot } from "./record.js";
import { Refusals } from "./refusal.js";
import { Reporter } from "./report.js";
import type { PoolCounts, PoolStats } from "./stats.js";
import { Steps } from "./steps.js";
import { Timer } from "./timer.js";

const done: Promise<void> = Promise.resolve();

/** Where a driver serves that is one of several of its pool. */
export interface Home {
  /** In Workers the I/O context, in which alone it may do anything. */
  readonly context: Context | undefined;
  readonly first: Driver<any>;
  /** Told when nothing is left in it. */
  emptied(): void;
}

export class Driver<C> {
  readonly name: string;
  readonly log: Log;
  /** What leases and records ask of this pool. */
  readonly leases: Leases<C>;
  readonly #settings: Settings<C>;
  readonly #listeners: Listeners;
  readonly #clock: PoolClock;
  readonly #books: Books;
  readonly #connections: Connections<C>;
  readonly #slots: Slot<C>[];
  readonly #steps: Steps<C>;
  readonly #timer: Timer;
  readonly #callers = new Callers<C>((operations, reason) => this.#abort(operations, reason));
  readonly #lender: Lender<C>;
  readonly #refusals: Refusals<C>;
  readonly #operations: Operations<C>;
  readonly #lostLeases: LostLeases<C>;
  readonly #home: Home | undefined;
  /** The I/O context to which all that is here belongs. */
  readonly #context: Context | undefined;
  /** The call of the hot path: the exports are an object without a shape, in which every look is a search. */
  readonly #checkout: Books["wasm"]["checkout"];
  /** Whether a checkout is one call and its answer: no clock, no stack, no debug log, no lost lease to tell. */
  #isPlain = true;
  /** Aborts that were heard in another I/O context, and how to wake this one for them. */
  readonly #abortsElsewhere: Array<() => void> = [];
  #wakeHere: (() => void) | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  constructor(creator: Creator<C>, settings: Settings<C>, listeners: Listeners, home?: Home) {
    const { log } = settings;
    const context = home?.context;
    const isBound = context !== undefined;
    this.name = settings.loggingName;
    this.log = log;
    this.#settings = settings;
    this.#listeners = listeners;
    this.#home = home;
    this.#context = context;
    this.#clock = guardedClock(settings.clock, log);
    this.#books = new Books(
      settings,
      coreIn(settings, home === undefined ? false : context?.isActor),
      home === undefined ? undefined : home.first.#books,
    );
    const books = this.#books;
    const { wasm } = books;
    this.#checkout = wasm.checkout;

    this.#connections = new Connections(this, creator, settings);
    this.#slots = this.#connections.slots;
    this.#lender = new Lender(this.#slots, settings, isBound);
    this.#refusals = new Refusals(books, settings, this.#clock, this.#slots);
    const reporter = new Reporter<C>(log, listeners);
    this.#steps = new Steps(
      {
        isNewSlot: (index) => wasm.is_new_slot(books.number, index) !== 0,
        leaseFor: (flow, held) =>
          settings.shares
            ? this.#lender.share(held, flow)
            : this.#lender.leaseOf(held, wasm.lease_of(books.number, held.record.index), flow.limits),
        listenerTimeout: (flow) => this.#refusals.alone(Refusal.ListenerTimeout, flow.limits),
        staleness: (flow) => stalenesses[wasm.staleness(books.number, flow.operation)],
      },
      this.#connections,
      listeners,
      reporter,
      settings,
    );
    this.#timer = new Timer(this.#clock, log, {
      tick: (nowMs) => wasm.tick(books.number, nowMs),
      timerLost: () => wasm.timer_lost(books.number),
      isAttended: () => wasm.is_attended(books.number) !== 0,
      rang: () => this.#rang(),
    });
    const shared = { books, settings, steps: this.#steps, callers: this.#callers, lender: this.#lender };
    this.#operations = new Operations({
      ...shared,
      clock: this.#clock,
      slots: this.#slots,
      timer: this.#timer,
      refusals: this.#refusals,
      isBound,
    });
    this.#lostLeases = new LostLeases(books, this.#slots, this.#operations, reporter, log, () => this.#look());
    this.leases = new Leases({
      ...shared,
      connections: this.#connections,
      listeners,
      operations: this.#operations,
      reporter,
      lostLeases: this.#lostLeases,
      context,
      isOneOfSeveral: home !== undefined,
    });
    this.#look();
    // A further scope was told of the events when it began.
    if (home === undefined)
      listeners.onChange = (bits) => {
        // A hand-over at once passes by the log and the stacks.
        const all = log.isDebug || settings.keepsStacks ? bits | everyLease : bits;
        if (!hasCrashed()) wasm.set_hooks(books.number, all);
      };
  }

  /** The log's `echo` was set. */
  echoed(): void {
    this.#look();
    this.leases.echoed();
    this.#listeners.changed();
  }

  #look(): void {
    this.#isPlain =
      !this.#looksClosely() && !this.log.isDebug && !this.#lostLeases.areAny && this.#context === undefined;
  }

  #looksClosely(): boolean {
    return (
      this.#books.tellsTime ||
      this.#settings.keepsStacks ||
      this.#settings.crosses ||
      this.#settings.core.deadline !== Infinity
    );
  }

  // ---- one scope of several

  /** Does what was left to do until somebody called from here: another scope may have ended the pool, or disposed of it. */
  catchUp(): void {
    if (hasCrashed()) return;
    try {
      for (const abort of this.#abortsElsewhere.splice(0)) abort();
      if (this.#lostLeases.areAny) this.#lostLeases.tell();
      else if (this.#books.wasm.has_news(this.#books.number) !== 0) this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Whether what is idle is all there is: nobody has a connection, or wants one. */
  get isAtRest(): boolean {
    return hasCrashed() || this.#books.wasm.is_at_rest(this.#books.number) !== 0;
  }

  /** Its context is taken for gone: the books are given up, and nothing else is touched. Whoever comes from there all the same can still close a lease. */
  forget(): void {
    this.#callers.leaveSignals();
    this.#books.giveUp();
  }

  /** Ends this scope: closes what is idle, refuses who waits, and closes the rest at its return. */
  end(): Promise<void> {
    this.#refusals.isScopeEnded = true;
    return this.#endIdle(() => this.#books.wasm.close_scope(this.#books.number));
  }

  // ---- checkout

  // Short, so that V8 takes it into its callers: what is rare stands apart.
  connect(options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    if (options !== undefined || !this.#isPlain) return this.#connectWithin(options);
    let word: number;
    try {
      word = this.#checkout(this.#books.number);
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
    return Promise.reject(this.#operations.crash(trap));
  }

  #connectWithin(options: ConnectOptions = {}): Promise<PooledConnection<C>> {
    let word: number;
    let limits: Limits | undefined;
    let signal: AbortSignal | undefined;
    try {
      signal = options?.signal;
      limits = connectLimits(options, this.#settings.core.deadline, this.#clock, this.name);
      if (signal?.aborted === true) return Promise.reject(signal.reason);
      this.#books.assertAlive();
      if (this.#looksClosely()) limits = this.#lookClosely(limits);
      word =
        limits === undefined
          ? this.#checkout(this.#books.number)
          : this.#books.wasm.checkout_within(
              this.#books.number,
              toCoreMillis(limits.timeoutMs),
              toCoreMillis(limits.deadlineMs),
              limits.startedAt ?? 0,
            );
    } catch (error) {
      return Promise.reject(error instanceof WebAssembly.RuntimeError ? this.#operations.crash(error) : error);
    }
    if (word !== refused && limits?.stack !== undefined) this.#refusals.takenAt = limits.stack;
    if (word >= 0) return Promise.resolve(this.#lender.leaseFor(word, limits));
    return this.#pend(word, limits, signal);
  }

  #lookClosely(limits: Limits | undefined): Limits {
    const startedAt = limits?.startedAt ?? (this.#books.tellsTime ? this.#clock.now() : undefined);
    const stack = this.#settings.keepsStacks ? stackBelow(this.connect) : undefined;
    return { timeoutMs: limits?.timeoutMs, deadlineMs: limits?.deadlineMs, startedAt, stack };
  }

  /** A checkout that is not granted at once. */
  #pend(word: number, limits: Limits | undefined, signal: AbortSignal | undefined): Promise<PooledConnection<C>> {
    const books = this.#books;
    const { wasm } = books;
    try {
      if (this.#lostLeases.areAny) this.#lostLeases.tell();
      if (word === refused) return Promise.reject(this.#refusals.alone(wasm.refusal(books.number), limits));
      const operation = ~word & ~asleep;
      const index = operation & indexMask;
      this.#timer.hold();
      try {
        this.#callers.remember(operation, limits, signal);
        if (signal !== undefined && this.#context !== undefined) this.#listenHere();
      } catch (error) {
        // The signal refused a listener: its caller leaves as if it had been aborted.
        wasm.abort(books.number, operation);
        this.#callers.forget(index);
        this.#operations.afterwards();
        return Promise.reject(error);
      }
      const isAsleep = word < -asleep;
      const step = isAsleep ? ~Code.Wait : wasm.resume(books.number, operation);
      if ((~step & 15) === Code.Wait) {
        const promise = this.#settings.crosses
          ? this.#callers.waitAcross(index, () => this.#rang())
          : signal === undefined
            ? this.#callers.wait(index)
            : this.#callers.waitAbortably(index);
        if (!isAsleep) this.#operations.afterwards();
        return promise;
      }
      if (limits === undefined && signal === undefined && this.#isForOneListener(step))
        return this.#present(operation, step);
      const flow = this.#operations.begin(operation, limits);
      this.#operations.run(flow, step);
      return flow.start();
    } catch (trap) {
      return this.#refuseAfter(trap);
    }
  }

  /** Whether there is but one listener to call, who must be shown a lease. */
  #isForOneListener(step: number): boolean {
    return (
      this.#listeners.onlyCheckout !== undefined &&
      (~step & 15) === Code.Emit &&
      hookNames[~step >> 24] === "checkout" &&
      !this.#settings.shares
    );
  }

  /** Calls that listener. Where he answers at once, and all is well, the caller has the lease: no flow is made. */
  #present(operation: number, first: number): Promise<PooledConnection<C>> {
    const books = this.#books;
    const { wasm } = books;
    const held = (this.#slots[(~first >> 4) & indexMask] as Slot<C>).held as Held<C>;
    const lease = this.#lender.leaseOf(held, wasm.lease_of(books.number, held.record.index), undefined);
    const answer = this.#steps.performFirst(Code.Emit, held, lease);
    const step = answer === undefined ? wasm.advance(books.number, operation, Outcome.Ok) : first;
    if (step >= 0) {
      if (step > handleMask) this.#operations.afterwards();
      return Promise.resolve(lease);
    }
    const flow = this.#operations.flowOf(operation) ?? this.#operations.begin(operation, undefined);
    flow.lease = lease;
    this.#operations.goOn(flow, step, answer);
    return flow.start();
  }

  // ---- aborts

  /** Everyone who asked with a signal that has been aborted. */
  #abort(operations: Set<number>, reason: unknown): void {
    if (hasCrashed()) return;
    if (this.#context?.isCurrent() === false) {
      this.#abortsElsewhere.push(() => this.#abort(operations, reason));
      this.#wakeHere?.();
      return;
    }
    try {
      for (const operation of operations) {
        const index = operation & indexMask;
        const hasLeft = this.#books.wasm.abort(this.#books.number, operation) !== 0;
        if (hasLeft && !this.#callers.abort(index, reason)) this.#operations.flowOf(operation)?.reject(reason);
        this.#callers.forget(index);
      }
      this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
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

  // ---- the pool as a whole

  #rang(): void {
    if (hasCrashed()) return this.#operations.crashed();
    try {
      this.catchUp();
      this.#operations.tick();
      this.#operations.afterwards();
      if (this.#books.wasm.is_empty(this.#books.number) !== 0) this.#home?.emptied();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Opens connections until there are `count`; rejects with the first failure. */
  async warm(count: number): Promise<void> {
    for (;;) {
      this.#books.assertAlive();
      if (this.isClosed) throw this.#refusals.alone(Refusal.Closed, undefined);
      const isEnough = this.#books.wasm.warm(this.#books.number, count) === 0;
      const ended = Promise.allSettled(this.#operations.startChildren());
      this.#operations.afterwards();
      const children = await ended;
      const failure = children.find(({ status }) => status === "rejected");
      if (failure !== undefined) throw (failure as PromiseRejectedResult).reason;
      // Where it may open no more now, callers have the places: it leaves the rest to them.
      if (isEnough || children.length === 0) return;
    }
  }

  invalidateAll(): void {
    this.#books.assertAlive();
    this.#books.wasm.invalidate_all(this.#books.number);
  }

  /** Closes what is idle; resolves when it is closed. */
  dispose(): Promise<void> {
    return this.#endIdle(() => {});
  }

  /** Disposes of every scope of the pool; {@link dispose} performs what that has begun in this one. */
  disposePool(): void {
    if (!hasCrashed()) this.#books.wasm.dispose(this.#books.number);
  }

  #endIdle(end: () => void): Promise<void> {
    if (hasCrashed()) return done;
    try {
      end();
      const closed = Promise.allSettled(this.#operations.startChildren());
      this.#operations.afterwards();
      return closed.then(() => undefined);
    } catch (trap) {
      this.#operations.crash(trap);
      return done;
    }
  }

  get isClosed(): boolean {
    return this.#closing !== undefined || (!hasCrashed() && this.#books.wasm.is_closed(this.#books.number) !== 0);
  }

  /** Ends the pool: the policy begins the close of every scope. */
  endPool(patienceMs: number): void {
    if (hasCrashed()) return;
    try {
      this.#books.wasm.close(this.#books.number, toCoreMillis(patienceMs));
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** Resolves when the close of this scope, which {@link endPool} has begun, is over. */
  awaitEnd(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    this.#closing = done;
    if (hasCrashed()) return done;
    try {
      const operation = this.#books.wasm.closing(this.#books.number);
      if (operation < 0) {
        this.#operations.afterwards();
        return done;
      }
      const flow = this.#operations.begin(operation, undefined);
      this.#closing = flow.start() as unknown as Promise<void>;
      this.#operations.guard(flow, () => this.#operations.afterwards());
    } catch (trap) {
      this.#closing = this.#refuseAfter(trap);
    }
    return this.#closing;
  }

  // ---- what it knows

  stats(everywhere: boolean): PoolStats {
    return this.#books.stats(everywhere);
  }

  counts(): PoolCounts {
    return this.#books.counts();
  }

  get core(): CoreOptions {
    return this.#settings.core;
  }

  isDisconnect(error: unknown, connection: C): boolean {
    return this.#connections.isDisconnect(error, connection);
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
