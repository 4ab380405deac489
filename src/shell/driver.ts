/**
 * Performs what the policy decides, for one pool in one scope: the only file that calls the WebAssembly. Here live the
 * promises, the one timer and the calls into driver connections; who gets what, and when, is decided in src/policy.
 *
 * After every call into the policy its books are right and nothing of it is borrowed: a creator or a driver may
 * re-enter the pool. Words and step words: src/bindings/mod.rs.
 */

import { holdProcess, type PoolClock } from "./clock.js";
import { findCall, type Dialect, type DriverCall } from "./dialect.js";
import { ArgumentError, PoolClosedError, PoolTimeoutError, QueueFullError } from "./errors.js";
import { Flow } from "./flow.js";
import { crash, crashError, exportsOf, hasCrashed, watch, type Exports } from "./instance.js";
import type { PoolLogger } from "./logger.js";
import { guarded } from "./logger.js";
import { connectSettings, refuse, show, type ConnectOptions, type ConnectSettings, type Settings } from "./options.js";
import { PooledConnection } from "./pooled-connection.js";
import { Slot, type ConnectionRecord } from "./record.js";
import { Signals } from "./signals.js";
import type { PoolCounts, PoolStats } from "./stats.js";
import { Core } from "./wasm/edgepool.js";

/** Makes one driver connection, sync or async. Called with the slot that will hold it. */
export type Creator<C> = (record: ConnectionRecord<C>) => C | PromiseLike<C>;

/** The index part of a handle. */
const indexMask = (1 << 20) - 1;
const noSlot = indexMask;
const refused = -(2 ** 31);
/** In a word: the operation only waits. */
const asleep = 1 << 30;
const poolsOwn = -2;
const forever = -1;

/** Codes of steps and notices. Of a step word: `~word & 15`; its argument: `~word >> 4`. */
const Code = { Wait: 0, Open: 1, Rollback: 2, Commit: 3, Close: 4, Terminate: 5, Reject: 6, Done: 7, Resume: 8, Expire: 9 } as const;
const Outcome = { Ok: 0, Failed: 1, TimedOut: 2, LateOk: 3, LateFailed: 4 } as const;
type Outcome = (typeof Outcome)[keyof typeof Outcome];
const Refusal = { Failed: 0, Aborted: 1, Closed: 2, QueueFull: 3, WaitTimeout: 4, WaitDeadline: 5, OpenTimeout: 6, OpenDeadline: 7 } as const;

const callOf: Record<number, DriverCall> = {
  [Code.Rollback]: "rollback",
  [Code.Commit]: "commit",
  [Code.Close]: "close",
  [Code.Terminate]: "terminate",
};

/** What one call of connect() asked for, kept as long as its operation. */
interface Request extends ConnectSettings {
  readonly startedAt: number;
  /** Whose it is, once there is one. */
  operation: number;
}

type Resolve<C> = (value: PooledConnection<C> | PromiseLike<PooledConnection<C>>) => void;

const done: Promise<void> = Promise.resolve();

/** For i32: whole milliseconds, rounded up so that nothing ends early. */
function toCoreMillis(ms: number | undefined): number {
  if (ms === undefined) return poolsOwn;
  return ms >= 2 ** 30 ? forever : Math.ceil(ms);
}

export class Driver<C> {
  readonly name: string;
  readonly logger: PoolLogger;
  readonly #settings: Settings<C>;
  readonly #creator: Creator<C>;
  readonly #dialect: Dialect<C>;
  readonly #clock: PoolClock;
  readonly #wasm: Exports;
  /** Keeps the policy alive; calls go through its address. */
  readonly #core: Core;
  readonly #address: number;
  /** Whether returns look for an open transaction at all. */
  readonly #resets: boolean;
  /** Whether every checkout tells the time, for the pool's own deadline. */
  readonly #tellsTime: boolean;

  readonly #slots: Slot<C>[] = [];
  /** By index of operation: how to settle a caller who only waits. */
  readonly #waiters: (Resolve<C> | undefined)[] = [];
  /** By index of operation: the flow that performs its steps. */
  readonly #flows: (Flow<C> | undefined)[] = [];
  /** By index of operation, for callers with options of their own. */
  readonly #requests: (Request | undefined)[] = [];
  #requestCount = 0;
  readonly #signals = new Signals((operation) => this.#abort(operation));
  #timer: unknown = undefined;
  #closing: Promise<void> | undefined = undefined;
  readonly #warned = new Set<DriverCall>();

  constructor(creator: Creator<C>, settings: Settings<C>) {
    this.name = settings.loggingName;
    this.logger = guarded(settings.logger);
    this.#settings = settings;
    this.#creator = creator;
    this.#dialect = settings.dialect;
    this.#clock = settings.clock;
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
    this.#resets = settings.core.resetOnReturn !== "none";
    this.#tellsTime = settings.core.deadline !== Infinity;
  }

  // ---- checkout

  connect(options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    if (options !== undefined || this.#tellsTime || hasCrashed()) return this.#connectWithin(options ?? {});
    let word: number;
    try {
      word = this.#wasm.core_checkout(this.#address);
    } catch (trap) {
      return Promise.reject(this.#crash(trap));
    }
    if (word >= 0) return Promise.resolve(new PooledConnection(this, word, this.#connectionIn(word)));
    return this.#pend(word, undefined);
  }

  #connectWithin(options: ConnectOptions): Promise<PooledConnection<C>> {
    let word: number;
    let request: Request;
    try {
      const settings = connectSettings(options, this.name);
      if (settings.signal?.aborted === true) return Promise.reject(settings.signal.reason);
      const finite = (settings.deadlineMs ?? this.#settings.core.deadline) !== Infinity;
      const startedAt = finite ? this.#clock.now() : 0;
      request = { ...settings, startedAt, operation: 0 };
      this.#assertAlive();
      word = this.#wasm.core_checkout_within(this.#address, toCoreMillis(settings.timeoutMs), toCoreMillis(settings.deadlineMs), startedAt);
    } catch (error) {
      return Promise.reject(this.#orCrash(error));
    }
    if (word >= 0) return Promise.resolve(new PooledConnection(this, word, this.#connectionIn(word)));
    return this.#pend(word, request);
  }

  #connectionIn(lease: number): C {
    return (this.#slots[lease & indexMask] as Slot<C>).connection as C;
  }

  /** A checkout that is not granted at once. */
  #pend(word: number, request: Request | undefined): Promise<PooledConnection<C>> {
    try {
      if ((~word & asleep) !== 0 && word !== refused) {
        const operation = ~word & ~asleep;
        if (request !== undefined) this.#remember(operation, request);
        return this.#wait(operation);
      }
      if (word === refused) return Promise.reject(this.#refusal(this.#wasm.core_refusal(this.#address), request));
      const operation = ~word;
      const index = operation & indexMask;
      if (request !== undefined) this.#remember(operation, request);
      const step = this.#wasm.core_resume(this.#address, operation);
      if ((~step & 15) === Code.Wait) {
        const promise = this.#wait(operation);
        this.#afterwards();
        return promise;
      }
      const flow = new Flow<C>(operation, request);
      const promise = flow.start();
      this.#flows[index] = flow;
      this.#run(flow, step);
      return promise;
    } catch (trap) {
      return Promise.reject(this.#crash(trap));
    }
  }

  /** One promise and one function for each waiter: a refusal resolves with a rejection. */
  #wait(operation: number): Promise<PooledConnection<C>> {
    return new Promise<PooledConnection<C>>((resolve) => {
      this.#waiters[operation & indexMask] = resolve;
    });
  }

  #remember(operation: number, request: Request): void {
    request.operation = operation;
    this.#requests[operation & indexMask] = request;
    this.#requestCount++;
    if (request.signal !== undefined) this.#signals.add(request.signal, operation);
  }

  #forget(operation: number): Request | undefined {
    return this.#requestCount === 0 ? undefined : this.#forgetAt(operation & indexMask);
  }

  #forgetAt(index: number): Request | undefined {
    const request = this.#requests[index];
    if (request !== undefined) {
      this.#requests[index] = undefined;
      this.#requestCount--;
      if (request.signal !== undefined) this.#signals.remove(request.signal, request.operation);
    }
    return request;
  }

  #abort(operation: number): void {
    const request = this.#forget(operation);
    if (hasCrashed()) return;
    try {
      if (this.#wasm.core_abort(this.#address, operation) !== 0) this.#refuse(operation, request?.signal?.reason);
      this.#afterwards();
    } catch (trap) {
      this.#crash(trap);
    }
  }

  /** Settles the caller of an operation with an error; a flow that still performs a step goes on without its caller. */
  #refuse(operation: number, error: unknown): void {
    const index = operation & indexMask;
    const waiter = this.#waiters[index];
    if (waiter !== undefined) {
      this.#waiters[index] = undefined;
      waiter(Promise.reject(error));
    } else {
      this.#flows[index]?.reject(error);
    }
  }

  // ---- performing steps

  /** Performs the steps of one operation, in the caller's stack as long as the driver answers synchronously. */
  #run(flow: Flow<C>, first: number): void {
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
        const request = this.#forget(flow.operation);
        // An opening that timed out keeps its operation until the creator has answered.
        if (argument !== Refusal.OpenTimeout) this.#end(flow);
        flow.reject(argument === Refusal.Failed ? flow.error : this.#refusal(argument, request));
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
    this.#forget(flow.operation);
    this.#flows[flow.operation & indexMask] = undefined;
  }

  #advance(flow: Flow<C>, outcome: Outcome): number {
    if (flow.request !== undefined && flow.request.startedAt !== 0) this.#wasm.core_read_clock(this.#address, this.#clock.now());
    const step = this.#wasm.core_advance(this.#address, flow.operation, outcome);
    this.#afterwards();
    return step;
  }

  /** Sleeps until the driver answers or the policy's time for it has ended; what comes after that is late. */
  #sleep(flow: Flow<C>, code: number, slot: number, answer: PromiseLike<unknown>): void {
    let value: unknown;
    let isOver = false;
    const settled = new Promise<Outcome>((resolve) => {
      const end = (outcome: Outcome): void => {
        isOver = true;
        resolve(outcome);
      };
      flow.wake = () => end(Outcome.TimedOut);
      Promise.resolve(answer).then(
        (answered: unknown) => {
          if (isOver) return void settled.then(() => this.#late(flow, code, Outcome.LateOk, answered));
          value = answered;
          end(Outcome.Ok);
        },
        (error: unknown) => {
          if (isOver) return void settled.then(() => this.#late(flow, code, Outcome.LateFailed, error));
          value = error;
          end(Outcome.Failed);
        },
      );
    });
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
    if (this.#wasm.core_tick_wanted(this.#address) !== 0) this.#tick();
  }

  /** After a time-out of its own the operation goes on; only an opening still wants to know what came of it. */
  #late(flow: Flow<C>, code: number, outcome: Outcome, value: unknown): void {
    if (code !== Code.Open) return;
    this.#guard(flow, () => {
      flow.connection = value as C;
      this.#run(flow, this.#advance(flow, outcome));
    });
  }

  #open(flow: Flow<C>, index: number): Outcome | PromiseLike<C> {
    const wasm = this.#wasm;
    let slot = this.#slots[index];
    if (slot === undefined || wasm.core_is_new_slot(this.#address, flow.operation) !== 0) {
      slot = new Slot<C>(() => !hasCrashed() && wasm.core_is_in_use(this.#address, index) !== 0);
      this.#slots[index] = slot;
    }
    slot.info = {};
    let answer: C | PromiseLike<C>;
    try {
      answer = this.#creator(slot);
    } catch (error) {
      return this.#opened(flow, index, Outcome.Failed, error);
    }
    return isThenable<C>(answer) ? answer : this.#opened(flow, index, Outcome.Ok, answer);
  }

  #opened(flow: Flow<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    if (outcome === Outcome.Ok && (value === undefined || value === null)) {
      outcome = Outcome.Failed;
      value = new ArgumentError(`creator must return a connection, or a promise of one; it returned ${show(value)}`, this.name);
    }
    if (outcome !== Outcome.Ok) {
      // The caller gets it; where there is none any more, nobody else would tell.
      if (flow.isSettled) this.logger.error(`pool ${this.name}: opening a connection failed after its caller had left`, value);
      flow.error = value;
      return outcome;
    }
    const slot = this.#slots[index] as Slot<C>;
    slot.connection = value as C;
    slot.lastConnectTime = Date.now();
    this.#watch(slot, index, value as C);
    return outcome;
  }

  #watch(slot: Slot<C>, index: number, connection: C): void {
    if (this.#dialect.onDisconnect === undefined) return;
    try {
      slot.unwatch = this.#dialect.onDisconnect(connection, () => {
        if (slot.connection !== connection || this.#slots[index] !== slot || hasCrashed()) return;
        try {
          this.#wasm.core_connection_died(this.#address, index);
          this.#afterwards();
        } catch (trap) {
          this.#crash(trap);
        }
      });
    } catch (error) {
      this.logger.error(`pool ${this.name}: the dialect's onDisconnect failed`, error);
    }
  }

  /** Rollback, commit, close or terminate. */
  #call(flow: Flow<C>, code: number, index: number): Outcome | PromiseLike<unknown> {
    const connection = index === noSlot ? flow.connection : (this.#slots[index] as Slot<C>).connection;
    let answer: unknown;
    try {
      const call = findCall(this.#dialect, callOf[code] as DriverCall, connection as C);
      if (call === undefined) this.#warnOnce(callOf[code] as DriverCall);
      answer = call?.();
    } catch (error) {
      return this.#called(code, index, Outcome.Failed, error);
    }
    return isThenable(answer) ? answer : this.#called(code, index, Outcome.Ok, undefined);
  }

  #called(code: number, index: number, outcome: Outcome, error: unknown): Outcome {
    if (outcome === Outcome.Failed) this.logger.error(`pool ${this.name}: ${callOf[code]} of a connection failed`, error);
    this.#release(code, index);
    return outcome;
  }

  #timedOut(code: number, index: number): Outcome {
    const what = code === Code.Open ? "opening a connection" : `${callOf[code]} of a connection`;
    this.logger.error(`pool ${this.name}: ${what} took longer than driverTimeout (${this.#settings.core.driverTimeout} ms)`);
    this.#release(code, index);
    return Outcome.TimedOut;
  }

  /** After its close or termination, however that went, the slot holds no connection. */
  #release(code: number, index: number): void {
    if ((code !== Code.Close && code !== Code.Terminate) || index === noSlot) return;
    this.#slots[index]?.empty();
  }

  #warnOnce(call: DriverCall): void {
    if (this.#warned.has(call)) return;
    this.#warned.add(call);
    this.logger.warn(`pool ${this.name}: the connections offer nothing to call for ${call}; give a dialect with it${call === "rollback" ? ', or set resetOnReturn: "none"' : ""}`);
  }

  // ---- return

  checkIn(lease: number, connection: C): Promise<void> {
    if (hasCrashed()) return this.#closeAfterCrash(connection);
    try {
      const result = this.#wasm.core_checkin(this.#address, lease, this.#resets ? this.#isClean(connection) : 1);
      if (result === 0) return done;
      if (result > 1) {
        this.#handOver(lease, result - 2);
        return done;
      }
      return this.#finish(result, lease, connection);
    } catch (trap) {
      this.#crash(trap);
      return this.#closeAfterCrash(connection);
    }
  }

  /** The returned slot goes straight to a waiter; `word` as the bindings' return word, less 2. */
  #handOver(returned: number, word: number): void {
    const index = word & indexMask;
    const slot = returned & indexMask;
    const waiter = this.#waiters[index] as Resolve<C>;
    this.#waiters[index] = undefined;
    if (this.#requestCount !== 0) this.#forgetAt(index);
    waiter(new PooledConnection(this, slot | (word & ~indexMask), (this.#slots[slot] as Slot<C>).connection as C));
  }

  /** 1 where no transaction is open, or where nothing could end one. */
  #isClean(connection: C): 0 | 1 {
    const dialect = this.#dialect;
    if (dialect.inTransaction !== undefined) {
      try {
        return dialect.inTransaction(connection) === false ? 1 : 0;
      } catch (error) {
        this.logger.error(`pool ${this.name}: the dialect's inTransaction failed; the connection is reset`, error);
        return 0;
      }
    }
    if (dialect.doRollback !== undefined || typeof (connection as { rollback?: unknown }).rollback === "function") return 0;
    this.#warnOnce("rollback");
    return 1;
  }

  /** Runs what a return leaves to do; `result` as the bindings' `checkin` answers it. */
  #finish(result: number, lease: number, connection: C): Promise<void> {
    if (result >= 0) {
      if (result > 1) this.#handOver(lease, result - 2);
      else if (result === 1) this.#afterwards();
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
      return this.#finish(this.#wasm.core_invalidate(this.#address, lease), lease, connection);
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
    this.#slots[lease & indexMask]?.empty();
    this.#afterwards();
    return operation;
  }

  closeDetached(operation: number, connection: C, abrupt: boolean): Promise<void> {
    if (hasCrashed()) return this.#closeAfterCrash(connection);
    try {
      const clean = this.#resets ? this.#isClean(connection) : 1;
      return this.#finish(this.#wasm.core_close_detached(this.#address, operation, clean, abrupt ? 1 : 0), 0, connection);
    } catch (trap) {
      this.#crash(trap);
      return this.#closeAfterCrash(connection);
    }
  }

  // ---- news for those who sleep

  /** Hands out everything that the last call into the policy made ready. */
  #afterwards(): void {
    const wasm = this.#wasm;
    const address = this.#address;
    do {
      for (let operation: number; (operation = wasm.core_next_notice(address)) >= 0; ) {
        this.#notify(operation, wasm.core_notice(address));
      }
      for (let operation: number; (operation = wasm.core_next_child(address)) >= 0; ) {
        void this.#startChild(operation);
      }
    } while (wasm.core_tick_wanted(address) !== 0 && (this.#tick(), true));
  }

  #notify(operation: number, word: number): void {
    const index = operation & indexMask;
    const waiter = this.#waiters[index];
    if (word >= 0) {
      this.#waiters[index] = undefined;
      this.#forget(operation);
      waiter?.(new PooledConnection(this, word, this.#connectionIn(word)));
      return;
    }
    switch (~word & 15) {
      case Code.Resume:
        this.#waiters[index] = undefined;
        waiter?.(this.#resumeLater(operation));
        return;
      case Code.Reject: {
        const request = this.#forget(operation);
        this.#refuse(operation, this.#refusal(~word >> 4, request));
        return;
      }
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

  /**
   * What a woken waiter's promise is resolved with. The host calls its `then` in a microtask of the waiter's own, never
   * in the stack of whoever freed the capacity: twenty thousand waiters behind a failing creator do not pile up.
   */
  #resumeLater(operation: number): PromiseLike<PooledConnection<C>> {
    const flow = new Flow<C>(operation, this.#requests[operation & indexMask]);
    this.#flows[operation & indexMask] = flow;
    return {
      // oxlint-disable-next-line unicorn/no-thenable -- being one is the point
      then: (resolve, reject): never => {
        flow.start().then(resolve, reject);
        this.#guard(flow, () => {
          if (flow.request !== undefined && flow.request.startedAt !== 0) this.#wasm.core_read_clock(this.#address, this.#clock.now());
          this.#run(flow, this.#wasm.core_resume(this.#address, operation));
        });
        return undefined as never;
      },
    };
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
    if (delayMs >= 0) {
      this.#timer = this.#clock.setTimeout(() => this.#onTimer(), delayMs);
      holdProcess(this.#timer, this.#wasm.core_is_attended(this.#address) !== 0);
    }
    watch(this, delayMs >= 0);
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
      const children: Promise<unknown>[] = [];
      for (let operation: number; (operation = this.#wasm.core_next_child(this.#address)) >= 0; ) {
        children.push(this.#startChild(operation));
      }
      this.#afterwards();
      return Promise.all(children).then(() => undefined);
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

  #refusal(refusal: number, request: Request | undefined): unknown {
    switch (refusal) {
      case Refusal.Closed:
        return new PoolClosedError(this.name);
      case Refusal.QueueFull: {
        const { waiting, used, max } = this.stats();
        return new QueueFullError(
          `the queue of the pool ${this.name} is full: ${waiting} callers wait already (maxWaiters: ${show(this.#settings.core.maxWaiters)}), ${used} of at most ${max} connections are in use`,
          this.name,
        );
      }
      default:
        return this.#timeoutError(refusal, request);
    }
  }

  #timeoutError(refusal: number, request: Request | undefined): PoolTimeoutError {
    const { core } = this.#settings;
    const byDeadline = refusal === Refusal.WaitDeadline || refusal === Refusal.OpenDeadline;
    const step = refusal === Refusal.WaitTimeout || refusal === Refusal.WaitDeadline ? "wait" : "open";
    const option = byDeadline ? "deadline" : step === "wait" ? "timeout" : "driverTimeout";
    const timeoutMs = byDeadline ? (request?.deadlineMs ?? core.deadline) : step === "wait" ? (request?.timeoutMs ?? core.timeout) : core.driverTimeout;
    // Without a deadline the start was not timed: then the limit itself is what is known to have passed.
    const waitedMs = request !== undefined && request.startedAt !== 0 ? this.#clock.now() - request.startedAt : timeoutMs;
    const stats = this.stats();
    const { size, overflow } = this.counts();
    const longestHeld = (this.#core.longest_held() as number[]).map((ms) => ({ ms }));
    const what = step === "wait" ? "no connection came free" : "the creator did not answer";
    const held = longestHeld.length > 0 ? `; held longest: ${longestHeld.map(({ ms }) => `${ms} ms`).join(", ")}` : "";
    return new PoolTimeoutError(
      `${what} within ${timeoutMs} ms (${option}) in the pool ${this.name}: ${stats.used} in use, ${stats.idle} idle, ${stats.opening} opening of at most ${stats.max}, ${stats.waiting} waiting${held}`,
      this.name,
      { stats, size, overflow, waitedMs, timeoutMs, step, longestHeld },
    );
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

  #orCrash(error: unknown): unknown {
    return error instanceof WebAssembly.RuntimeError ? this.#crash(error) : error;
  }

  #crash(trap: unknown): unknown {
    crash(trap);
    this.crashed();
    return crashError(this.name);
  }

  /** @internal The instance is dead: tells everyone who waits here. */
  crashed(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiters.forEach((waiter) => waiter?.(Promise.reject(crashError(this.name))));
    this.#waiters.length = 0;
    this.#flows.forEach((flow) => flow?.reject(crashError(this.name)));
    this.#flows.length = 0;
  }

  /** The books are gone; the connection need not stay open. */
  async #closeAfterCrash(connection: C): Promise<void> {
    try {
      await findCall(this.#dialect, "close", connection)?.();
    } catch (error) {
      this.logger.error(`pool ${this.name}: close of a connection failed`, error);
    }
  }
}

function isThenable<T>(value: unknown): value is PromiseLike<T> {
  return (typeof value === "object" || typeof value === "function") && value !== null && typeof (value as { then?: unknown }).then === "function";
}
