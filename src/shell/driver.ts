/**
 * Performs what the policy decides, for one pool in one scope: the only file that calls the WebAssembly. Here live the
 * promises, the one timer and the calls into driver connections; who gets what, and when, is decided in src/policy.
 *
 * After every call into the policy its books are right and nothing of it is borrowed: a creator or a driver may
 * re-enter the pool. Words and step words: src/bindings/mod.rs.
 */

import { Callers } from "./callers.js";
import { guardedClock, holdProcess, type PoolClock } from "./clock.js";
import { Connections, type Creator } from "./connections.js";
import type { DriverCall } from "./dialect.js";
import { Flow } from "./flow.js";
import { crash, crashError, exportsOf, hasCrashed, watch, type Exports } from "./instance.js";
import { guarded, type PoolLogger } from "./logger.js";
import { connectLimits, refuse, type ConnectOptions, type Limits, type Settings } from "./options.js";
import { PooledConnection } from "./pooled-connection.js";
import { asleep, callOf, Code, indexMask, noSlot, Outcome, Refusal, refused, toCoreMillis } from "./protocol.js";
import type { Slot } from "./record.js";
import { refusalError, type Circumstances, type Snapshot } from "./refusal.js";
import type { PoolCounts, PoolStats } from "./stats.js";
import { Core } from "./wasm/edgepool.js";

const done: Promise<void> = Promise.resolve();

export class Driver<C> implements Circumstances {
  readonly name: string;
  readonly logger: PoolLogger;
  readonly #settings: Settings<C>;
  readonly #connections: Connections<C>;
  readonly #slots: Slot<C>[];
  readonly #clock: PoolClock;
  readonly #wasm: Exports;
  /** Keeps the policy alive; calls go through its address. */
  readonly #core: Core;
  readonly #address: number;
  /** Names the policy on the hot path. */
  readonly #number: number;
  /** Its two calls there: the exports are an object without a shape, in which every look is a search. */
  readonly #checkout: Exports["checkout"];
  readonly #checkin: Exports["checkin"];
  /** Whether returns look for an open transaction: style commit commits either way. */
  readonly #resets: boolean;
  /** Whether every checkout tells the time, for the pool's own deadline. */
  readonly #tellsTime: boolean;

  readonly #callers = new Callers<C>((operations, reason) => this.#abort(operations, reason));
  /** By index of operation: the flow that performs its steps. */
  readonly #flows: (Flow<C> | undefined)[] = [];
  #timer: unknown = undefined;
  #snapshot: Snapshot | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  constructor(creator: Creator<C>, settings: Settings<C>) {
    this.name = settings.loggingName;
    this.logger = guarded(settings.logger);
    this.#settings = settings;
    this.#connections = new Connections(creator, settings, this.logger, {
      isInUse: (slot) => !hasCrashed() && this.#wasm.core_is_in_use(this.#address, slot) !== 0,
      died: (slot) => this.#died(slot),
    });
    this.#slots = this.#connections.slots;
    this.#clock = guardedClock(settings.clock, this.logger);
    this.#wasm = exportsOf(this.name);
    this.#assertAlive();
    try {
      this.#core = new Core(settings.core);
    } catch (error) {
      const option = (error as { option?: unknown } | null)?.option;
      if (typeof option !== "string") throw error;
      throw refuse(option, (settings.given as Record<string, unknown>)[option], this.name);
    }
    this.#address = (this.#core as unknown as { __wbg_ptr: number }).__wbg_ptr;
    this.#number = this.#core.number();
    this.#checkout = this.#wasm.checkout;
    this.#checkin = this.#wasm.checkin;
    this.#resets = settings.core.resetOnReturn === "rollback";
    this.#tellsTime = settings.core.deadline !== Infinity;
  }

  // ---- checkout

  connect(options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    if (options !== undefined || this.#tellsTime) return this.#connectWithin(options === undefined ? {} : options);
    let word: number;
    try {
      word = this.#checkout(this.#number);
    } catch (trap) {
      return Promise.reject(this.#crash(trap));
    }
    if (word >= 0) return Promise.resolve(new PooledConnection(this, word, this.#connectionIn(word)));
    if (word < -asleep && word !== refused) return this.#callers.wait(~word & indexMask);
    return this.#pend(word, undefined, undefined);
  }

  #connectWithin(options: ConnectOptions): Promise<PooledConnection<C>> {
    let word: number;
    let limits: Limits | undefined;
    let signal: AbortSignal | undefined;
    try {
      signal = options?.signal;
      limits = connectLimits(options, this.#settings.core.deadline, this.#clock, this.name);
      if (signal?.aborted === true) return Promise.reject(signal.reason);
      this.#assertAlive();
      word =
        limits === undefined
          ? this.#checkout(this.#number)
          : this.#wasm.core_checkout_within(this.#address, toCoreMillis(limits.timeoutMs), toCoreMillis(limits.deadlineMs), limits.startedAt ?? 0);
    } catch (error) {
      return Promise.reject(error instanceof WebAssembly.RuntimeError ? this.#crash(error) : error);
    }
    if (word >= 0) return Promise.resolve(new PooledConnection(this, word, this.#connectionIn(word)));
    return this.#pend(word, limits, signal);
  }

  #connectionIn(lease: number): C {
    return (this.#slots[lease & indexMask] as Slot<C>).connection as C;
  }

  /** A checkout that is not granted at once. */
  #pend(word: number, limits: Limits | undefined, signal: AbortSignal | undefined): Promise<PooledConnection<C>> {
    try {
      if (word === refused) return Promise.reject(this.#refusal(this.#wasm.core_refusal(this.#address), limits));
      const operation = ~word & ~asleep;
      const index = operation & indexMask;
      try {
        this.#callers.remember(operation, limits, signal);
      } catch (error) {
        // The signal refused a listener: its caller leaves as if it had been aborted.
        this.#wasm.core_abort(this.#address, operation);
        this.#callers.forget(index);
        this.#afterwards();
        return Promise.reject(error);
      }
      const isAsleep = word < -asleep;
      const step = isAsleep ? ~Code.Wait : this.#wasm.core_resume(this.#address, operation);
      if ((~step & 15) === Code.Wait) {
        const promise = signal === undefined ? this.#callers.wait(index) : this.#callers.waitAbortably(index);
        if (!isAsleep) this.#afterwards();
        return promise;
      }
      const flow = new Flow<C>(operation, limits);
      const promise = flow.start();
      this.#flows[index] = flow;
      this.#run(flow, step);
      return promise;
    } catch (trap) {
      return Promise.reject(this.#crash(trap));
    }
  }

  /** Everyone who asked with a signal that has been aborted. */
  #abort(operations: Set<number>, reason: unknown): void {
    if (hasCrashed()) return;
    try {
      for (const operation of operations) {
        const index = operation & indexMask;
        if (this.#wasm.core_abort(this.#address, operation) !== 0 && !this.#callers.abort(index, reason)) this.#flows[index]?.reject(reason);
        this.#callers.forget(index);
      }
      this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  /** Settles the caller of an operation with an error; a flow that still performs a step goes on without its caller. */
  #refuse(index: number, error: unknown): void {
    if (!this.#callers.refuse(index, error)) this.#flows[index]?.reject(error);
  }

  // ---- performing steps

  /** Performs the steps of one operation, in the caller's stack as long as the driver answers synchronously. */
  #run(flow: Flow<C>, first: number): void {
    this.#perform(flow, first);
    // Only now: a timer for a step that was over at once would be set in vain.
    if (this.#wasm.core_tick_wanted(this.#address) !== 0) this.#afterwards();
  }

  #perform(flow: Flow<C>, first: number): void {
    let step = first;
    for (;;) {
      if (step >= 0) {
        this.#end(flow);
        flow.resolve(new PooledConnection(this, step, this.#connectionIn(step)));
        return;
      }
      const code = ~step & 15;
      const argument = ~step >> 4;
      if (code === Code.Wait) return;
      if (code === Code.Done) {
        this.#end(flow);
        flow.resolve(undefined as never);
        return;
      }
      if (code === Code.Reject) {
        const limits = this.#callers.forget(flow.operation & indexMask);
        // An opening that timed out keeps its operation until the creator has answered.
        if (argument !== Refusal.OpenTimeout) this.#end(flow);
        flow.reject(argument === Refusal.Failed ? flow.error : this.#refusal(argument, limits));
        return;
      }
      const result = code === Code.Open ? this.#open(flow, argument) : this.#call(flow, code, argument);
      if (typeof result !== "number") {
        this.#sleep(flow, code, argument, result);
        return;
      }
      step = this.#advance(flow, result);
    }
  }

  #end(flow: Flow<C>): void {
    this.#callers.forget(flow.operation & indexMask);
    const index = flow.operation & indexMask;
    if (this.#flows[index] === flow) this.#flows[index] = undefined;
  }

  #advance(flow: Flow<C>, outcome: Outcome): number {
    if (flow.limits?.startedAt !== undefined) this.#wasm.core_read_clock(this.#address, this.#clock.now());
    const step = this.#wasm.core_advance(this.#address, flow.operation, outcome);
    this.#handOut();
    return step;
  }

  /** Sleeps until the driver answers or the policy's time for it has ended; what comes after that is late. */
  #sleep(flow: Flow<C>, code: number, slot: number, answer: PromiseLike<unknown>): void {
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
        const result =
          outcome === Outcome.TimedOut ? this.#timedOut(code, slot)
          : code === Code.Open ? this.#opened(flow, slot, outcome, value)
          : this.#called(code, slot, outcome, value);
        this.#run(flow, this.#advance(flow, result));
      });
    });
  }

  /** After a time-out of its own the operation goes on; only an opening still wants to know what came of it. */
  #late(flow: Flow<C>, code: number, outcome: Outcome, value: unknown): void {
    if (code !== Code.Open) return;
    this.#guard(flow, () => {
      flow.connection = value as C;
      // A creator that answered nothing has left nothing to close.
      this.#run(flow, this.#advance(flow, value === undefined || value === null ? Outcome.LateFailed : outcome));
    });
  }

  #open(flow: Flow<C>, index: number): Outcome | PromiseLike<unknown> {
    try {
      const answer = this.#connections.open(index, this.#wasm.core_is_new_slot(this.#address, flow.operation) !== 0);
      return isThenable(answer) ? answer : this.#opened(flow, index, Outcome.Ok, answer);
    } catch (error) {
      return this.#opened(flow, index, Outcome.Failed, error);
    }
  }

  #opened(flow: Flow<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    try {
      if (outcome !== Outcome.Ok) throw value;
      this.#connections.adopt(index, value as C);
      return Outcome.Ok;
    } catch (error) {
      // The caller gets it; where there is none any more, nobody else would tell.
      if (flow.isSettled) this.#connections.reportFailed("open", error);
      flow.error = error;
      return Outcome.Failed;
    }
  }

  #died(slot: number): void {
    if (hasCrashed()) return;
    try {
      this.#wasm.core_connection_died(this.#address, slot);
      this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  /** Rollback, commit, close or terminate. */
  #call(flow: Flow<C>, code: number, index: number): Outcome | PromiseLike<unknown> {
    const connection = index === noSlot ? flow.connection : (this.#slots[index] as Slot<C>).connection;
    try {
      const answer = this.#connections.call(callOf[code] as DriverCall, connection as C);
      return isThenable(answer) ? answer : this.#called(code, index, Outcome.Ok, undefined);
    } catch (error) {
      return this.#called(code, index, Outcome.Failed, error);
    }
  }

  #called(code: number, index: number, outcome: Outcome, error: unknown): Outcome {
    if (outcome === Outcome.Failed) this.#connections.reportFailed(callOf[code] as DriverCall, error);
    this.#release(code, index);
    return outcome;
  }

  #timedOut(code: number, index: number): Outcome {
    this.#connections.reportTimedOut(callOf[code] as DriverCall);
    this.#release(code, index);
    return Outcome.TimedOut;
  }

  /** After its close or termination, however that went, the slot holds no connection. */
  #release(code: number, index: number): void {
    if ((code === Code.Close || code === Code.Terminate) && index !== noSlot) this.#connections.empty(index);
  }

  // ---- return

  checkIn(lease: number, connection: C): Promise<void> {
    try {
      const result = this.#checkin(this.#number, lease, this.#isClean(connection));
      if (result === 0) return done;
      if (result > 1) {
        // Straight to a waiter, without a call: the hottest way through the pool.
        const word = result - 2;
        this.#callers.grant(word & indexMask, new PooledConnection(this, (lease & indexMask) | (word & ~indexMask), connection));
        return done;
      }
      return this.#finish(result, connection);
    } catch (trap) {
      this.#crash(trap);
      return this.#closeAfterCrash(connection);
    }
  }

  /** 1 where a rollback would end nothing, or where none is asked for. */
  #isClean(connection: C): 0 | 1 {
    return !this.#resets || this.#connections.isClean(connection) ? 1 : 0;
  }

  /** Runs what a return leaves to do; `result` as the bindings' return word, and no hand-over, which only checkIn() gets. */
  #finish(result: number, connection: C): Promise<void> {
    if (result >= 0) {
      if (result === 1) this.#afterwards();
      return done;
    }
    const flow = new Flow<C>(~result, undefined);
    flow.connection = connection;
    this.#flows[flow.operation & indexMask] = flow;
    this.#run(flow, this.#wasm.core_resume(this.#address, flow.operation));
    return flow.isSettled ? done : (flow.start() as unknown as Promise<void>);
  }

  invalidate(lease: number, connection: C): Promise<void> {
    if (hasCrashed()) return this.#closeAfterCrash(connection);
    try {
      return this.#finish(this.#wasm.core_invalidate(this.#address, lease), connection);
    } catch (trap) {
      this.#crash(trap);
      return this.#closeAfterCrash(connection);
    }
  }

  invalidateSoft(lease: number): void {
    this.#assertAlive();
    this.#wasm.core_invalidate_soft(this.#address, lease);
  }

  invalidateAsOld(lease: number): void {
    this.#assertAlive();
    this.#wasm.core_invalidate_as_old(this.#address, lease);
  }

  invalidateAll(): void {
    this.#assertAlive();
    this.#wasm.core_invalidate_all(this.#address);
  }

  /** Answers the operation that stands for the connection from now on. */
  detach(lease: number): number {
    this.#assertAlive();
    const operation = this.#wasm.core_detach(this.#address, lease);
    if (operation >= 0) this.#connections.empty(lease & indexMask);
    this.#afterwards();
    return operation;
  }

  closeDetached(operation: number, connection: C, abrupt: boolean): Promise<void> {
    if (hasCrashed()) return this.#closeAfterCrash(connection);
    try {
      const clean = abrupt ? 1 : this.#isClean(connection);
      return this.#finish(this.#wasm.core_close_detached(this.#address, operation, clean, abrupt ? 1 : 0), connection);
    } catch (trap) {
      this.#crash(trap);
      return this.#closeAfterCrash(connection);
    }
  }

  // ---- news for those who sleep

  /** Hands out everything that the last call into the policy made ready, and sees to the timer. */
  #afterwards(): void {
    do this.#handOut();
    while (this.#wasm.core_tick_wanted(this.#address) !== 0 && (this.#tick(), true));
  }

  #handOut(): void {
    this.#snapshot = undefined;
    const wasm = this.#wasm;
    const address = this.#address;
    for (let operation: number; (operation = wasm.core_next_notice(address)) >= 0; ) {
      this.#notify(operation, wasm.core_notice(address));
    }
    for (let operation: number; (operation = wasm.core_next_child(address)) >= 0; ) {
      void this.#startChild(operation);
    }
  }

  #notify(operation: number, word: number): void {
    const index = operation & indexMask;
    if (word >= 0) {
      this.#callers.grant(index, new PooledConnection(this, word, this.#connectionIn(word)));
      return;
    }
    switch (~word & 15) {
      case Code.Resume:
        this.#resumeLater(operation);
        return;
      case Code.Reject:
        this.#refuse(index, refusalError(~word >> 4, this.#callers.limitsOf(index), this));
        this.#callers.forget(index);
        return;
      case Code.Expire:
        this.#flows[index]?.wake?.();
        return;
      default: {
        const flow = this.#flows[index];
        this.#flows[index] = undefined;
        flow?.resolve(undefined as never);
      }
    }
  }

  /** A waiter must open a connection: its flow begins when it wakes. */
  #resumeLater(operation: number): void {
    const index = operation & indexMask;
    const flow = new Flow<C>(operation, this.#callers.limitsOf(index));
    this.#flows[index] = flow;
    this.#callers.resume(index, () => {
      const promise = flow.start();
      // Refused before it resumed: its operation has ended, and its index may be another's by now.
      if (flow.isSettled) {
        if (this.#flows[index] === flow) this.#flows[index] = undefined;
        return promise;
      }
      this.#guard(flow, () => {
        if (flow.limits?.startedAt !== undefined) this.#wasm.core_read_clock(this.#address, this.#clock.now());
        this.#run(flow, this.#wasm.core_resume(this.#address, operation));
      });
      return promise;
    });
  }

  #startChild(operation: number): Promise<unknown> {
    const flow = new Flow<C>(operation, undefined);
    const promise = flow.start();
    this.#flows[operation & indexMask] = flow;
    this.#guard(flow, () => this.#run(flow, this.#wasm.core_resume(this.#address, operation)));
    return promise;
  }

  // ---- time

  #tick(): void {
    const delayMs = this.#wasm.core_tick(this.#address, this.#clock.now());
    if (this.#timer !== undefined) {
      this.#clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    if (delayMs >= 0) this.#setTimer(delayMs);
    watch(this, delayMs >= 0);
  }

  /** Workers refuse timers at module scope: then nothing ends by time until somebody asks where one can be set. */
  #setTimer(delayMs: number): void {
    try {
      this.#timer = this.#clock.setTimeout(() => this.#onTimer(), delayMs);
    } catch (error) {
      this.logger.error(`pool ${this.name}: no timer can be set here, so nothing that waits ends by time`, error);
      this.#wasm.core_timer_lost(this.#address);
      return;
    }
    holdProcess(this.#timer, this.#wasm.core_is_attended(this.#address) !== 0);
  }

  #onTimer(): void {
    this.#timer = undefined;
    if (hasCrashed()) return;
    try {
      this.#tick();
      this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  // ---- the ends

  /** Closes what is idle; resolves when it is closed. */
  dispose(): Promise<void> {
    if (hasCrashed()) return done;
    try {
      this.#wasm.core_dispose(this.#address);
      // All of them before the first starts: a driver that re-enters the pool would start the rest, and nobody would wait.
      const children: number[] = [];
      for (let operation: number; (operation = this.#wasm.core_next_child(this.#address)) >= 0; ) children.push(operation);
      const closed = Promise.all(children.map((operation) => this.#startChild(operation)));
      this.#afterwards();
      return closed.then(() => undefined);
    } catch (trap) {
      this.#crash(trap);
      return done;
    }
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  close(patienceMs: number): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    if (hasCrashed()) return (this.#closing = done);
    const flow = new Flow<C>(0, undefined);
    this.#closing = flow.start() as unknown as Promise<void>;
    this.#guard(flow, () => {
      const operation = this.#wasm.core_close(this.#address, toCoreMillis(patienceMs));
      this.#flows[operation & indexMask] = flow;
      this.#afterwards();
    });
    return this.#closing;
  }

  // ---- numbers

  /** @internal What an error tells of the pool; the same for all who are refused together. */
  circumstances(): Snapshot {
    this.#snapshot ??= { stats: this.stats(), counts: this.counts(), longestHeldMs: this.#core.longest_held() as number[] };
    return this.#snapshot;
  }

  stats(): PoolStats {
    this.#assertAlive();
    return this.#core.stats() as PoolStats;
  }

  counts(): PoolCounts {
    this.#assertAlive();
    return this.#core.counts() as PoolCounts;
  }

  get timeoutMs(): number {
    return this.#settings.core.timeout;
  }

  recordOf(lease: number): Slot<C> {
    return this.#slots[lease & indexMask] as Slot<C>;
  }

  // ---- what can go wrong

  nowMs(): number {
    return this.#clock.now();
  }

  get core(): Settings<C>["core"] {
    return this.#settings.core;
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
  }

  /** A trap ends every pool. Anything else that got here is somebody else's throw: it is told, and the pool goes on. */
  #crash(trap: unknown): unknown {
    if (!hasCrashed() && !(trap instanceof WebAssembly.RuntimeError)) {
      this.logger.error(`pool ${this.name}: something that the pool called threw where nothing may throw`, trap);
      return trap;
    }
    crash(trap);
    this.crashed();
    return crashError(this.name);
  }

  /** @internal The instance is dead: tells everyone who waits here. */
  crashed(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#callers.refuseAll(() => crashError(this.name));
    this.#flows.forEach((flow) => flow?.reject(crashError(this.name)));
    this.#flows.length = 0;
  }

  /** The books are gone; the connection need not stay open. */
  async #closeAfterCrash(connection: C): Promise<void> {
    try {
      await this.#connections.call("close", connection);
    } catch (error) {
      this.#connections.reportFailed("close", error);
    }
  }
}

function isThenable<T>(value: unknown): value is PromiseLike<T> {
  return (typeof value === "object" || typeof value === "function") && value !== null && typeof (value as { then?: unknown }).then === "function";
}
