/**
 * The resources of a user's factory in a {@link QueuePool}: the lease of each borrowed one, the factory's time limits,
 * and the validation before each loan. The facades of tarn and generic-pool stand on it. The QueuePool decides which
 * caller gets which resource.
 */

import {
  PoolTimeoutError,
  QueuePool,
  type ConnectOptions,
  type Dialect,
  type OpeningContext,
  type PoolClock,
  type PooledConnection,
  type QueuePoolOptions,
} from "edgepool";

/** What the user makes resources with, and how long each call may take. */
export interface Factory<R> {
  create(): R | PromiseLike<R>;
  destroy(resource: R): unknown;
  /** Whether a resource may be lent. */
  readonly validate: ((resource: R) => unknown) | undefined;
  readonly createMillis: number | undefined;
  readonly destroyMillis: number | undefined;
  /** The pause after a create that failed. */
  readonly retryMillis: number;
  /** How long a loan may take from its request on. */
  readonly acquireMillis: number | undefined;
}

/** What a pool reports to its facade. The first result goes with the second report. */
export interface Reports<R> {
  creates(): number;
  created(id: number, resource: R): void;
  createFailed(id: number, error: unknown): void;
  destroys(resource: R): number;
  destroyed(id: number, resource: R): void;
  destroyFailed(id: number, resource: R, error: unknown): void;
  /** A validation threw, or took too long. */
  validateFailed(error: unknown): void;
}

/** Waits for its turn before all other waiters: its resource was no good. */
const first = 2 ** 31 - 1;

/** A time limit of the factory has run out. */
export class LimitError extends Error {
  static {
    this.prototype.name = "LimitError";
  }
}

export class ResourcePool<R> {
  readonly queue: QueuePool<R>;
  /** The borrowed resources, with their leases. */
  readonly loans = new Map<R, PooledConnection<R>>();
  /** Requests without a resource. */
  requested = 0;
  validating = 0;
  creating = 0;
  readonly #destroys = new Set<Promise<void>>();
  readonly #factory: Factory<R>;
  readonly #reports: Reports<R>;
  readonly #clock: PoolClock;
  /** When the next create may begin, after one that failed. */
  #pauseEnds = 0;
  #lastFailure: unknown = undefined;

  constructor(factory: Factory<R>, reports: Reports<R>, options: QueuePoolOptions<R>, own: QueuePoolOptions<R> = {}) {
    this.#factory = factory;
    this.#reports = reports;
    this.#clock = own.clock ?? hostClock;
    const { acquireMillis } = factory;
    const close = (resource: R): Promise<void> => this.#destroy(resource);
    const { dialect } = own;
    const calls: Dialect<R> = { ...dialect, doClose: close, doTerminate: close, isTransient: () => true };
    this.queue = new QueuePool<R>((_record, opening) => this.#create(opening), {
      maxOverflow: 0,
      timeout: null,
      deadline: acquireMillis === undefined ? null : `${acquireMillis}ms`,
      // The factory's own limits count from the call of the factory.
      openTimeout: null,
      driverTimeout: null,
      // Without a dialect there is nothing to reset.
      resetOnReturn: dialect === undefined ? "none" : "rollback",
      // The resource itself is lent, and the facade keeps its lease.
      guard: false,
      trackLeaks: false,
      ...options,
      ...own,
      dialect: calls,
    });
  }

  // ---- loans

  /** Lends a resource. `priority` as that of connect(). */
  borrow(priority: number, signal: AbortSignal | undefined): Promise<R> {
    const isPlain = priority === 0 && signal === undefined;
    const options = isPlain ? undefined : { priority, signal };
    return this.#factory.validate === undefined ? this.#borrowUnchecked(options) : this.#borrowValid(options);
  }

  async #borrowValid(options: ConnectOptions | undefined): Promise<R> {
    const signal = options?.signal;
    const { acquireMillis } = this.#factory;
    const ends = acquireMillis === undefined ? undefined : this.#clock.now() + acquireMillis;
    let resource = await this.#borrowUnchecked(options);
    while (!(await this.#isValid(resource, signal, ends))) {
      const left = ends === undefined ? undefined : ends - this.#clock.now();
      // Before the discard: no other waiter may have its slot.
      const another =
        left !== undefined && left <= 0
          ? Promise.reject<R>(this.#late())
          : this.#borrowUnchecked({ priority: first, signal, deadline: left === undefined ? undefined : `${left}ms` });
      this.discard(resource);
      // A factory that answers at once must not keep the event loop from the timers.
      [resource] = await Promise.all([another, this.turn()]);
    }
    return resource;
  }

  async #borrowUnchecked(options: ConnectOptions | undefined): Promise<R> {
    this.requested += 1;
    let lease: PooledConnection<R>;
    try {
      lease = await this.queue.connect(options);
    } finally {
      this.requested -= 1;
    }
    const resource = lease.connection;
    this.loans.set(resource, lease);
    if (options?.signal?.aborted !== true) return resource;
    this.giveBack(resource);
    throw options.signal.reason;
  }

  /** Throws at an abort, and when the time is over; the resource goes then, too, unless its validation has passed. */
  async #isValid(resource: R, signal: AbortSignal | undefined, ends: number | undefined): Promise<boolean> {
    const { validate } = this.#factory;
    if (validate === undefined) return true;
    this.validating += 1;
    let isValid = false;
    try {
      const limit = ends === undefined ? undefined : ends - this.#clock.now();
      isValid = Boolean(await this.#within(limit, () => this.#abortable(validate(resource), signal)));
    } catch (error) {
      if (error instanceof LimitError) {
        this.discard(resource);
        throw this.#late();
      }
      if (signal?.aborted !== true) this.#reports.validateFailed(error);
    } finally {
      this.validating -= 1;
    }
    if (signal?.aborted !== true) return isValid;
    if (isValid) this.giveBack(resource);
    else this.discard(resource);
    throw signal.reason;
  }

  /** The time of a loan is over, and no resource passed its validation. */
  #late(): PoolTimeoutError {
    const { queue } = this;
    const { acquireMillis: timeoutMs = 0 } = this.#factory;
    return new PoolTimeoutError(
      `no resource passed its validation within ${timeoutMs} ms; ${queue.status()}`,
      queue.loggingName,
      {
        stats: queue.stats(),
        size: queue.size(),
        overflow: queue.overflow(),
        waitedMs: timeoutMs,
        timeoutMs,
        step: "ping",
        longestHeld: [],
      },
    );
  }

  /** Takes a resource back. Returns whether it was lent. */
  giveBack(resource: R): boolean {
    const lease = this.loans.get(resource);
    if (lease === undefined) return false;
    this.loans.delete(resource);
    void lease.close();
    return true;
  }

  /** Destroys a borrowed resource. Returns whether it was lent. */
  discard(resource: R): boolean {
    const lease = this.loans.get(resource);
    if (lease === undefined) return false;
    this.loans.delete(resource);
    void lease.invalidate();
    return true;
  }

  // ---- the factory

  async #create({ signal }: OpeningContext): Promise<R> {
    const { retryMillis, createMillis } = this.#factory;
    const pauseMillis = this.#pauseEnds - this.#clock.now();
    if (pauseMillis > 0) {
      await this.turn(pauseMillis);
      // Its caller may have left by now.
      if (signal.aborted || this.requested === 0) throw this.#lastFailure;
    }
    const id = this.#reports.creates();
    this.creating += 1;
    try {
      const resource = await this.#within(
        createMillis,
        () => this.#factory.create(),
        (late) => this.#factory.destroy(late),
      );
      this.#reports.created(id, resource);
      return resource;
    } catch (error) {
      this.#lastFailure = error;
      this.#pauseEnds = this.#clock.now() + retryMillis;
      this.#reports.createFailed(id, error);
      throw error;
    } finally {
      this.creating -= 1;
    }
  }

  /** Destroys a resource. Settles when that has ended, or has taken too long. Never rejects. */
  #destroy(resource: R): Promise<void> {
    const reports = this.#reports;
    const id = reports.destroys(resource);
    const ended = this.#within(this.#factory.destroyMillis, () => this.#factory.destroy(resource))
      .then(
        () => reports.destroyed(id, resource),
        (error: unknown) => reports.destroyFailed(id, resource, error),
      )
      .finally(() => this.#destroys.delete(ended));
    this.#destroys.add(ended);
    return ended;
  }

  /** Resolves when no resource is being destroyed. */
  async destroysEnded(): Promise<void> {
    while (this.#destroys.size > 0) await Promise.all(this.#destroys);
  }

  // ---- time

  /** Resolves in a later turn of the event loop. */
  turn(milliseconds = 1): Promise<void> {
    return new Promise((resolve) => void this.#clock.setTimeout(resolve, milliseconds));
  }

  /** Returns what the call returns, or rejects with a {@link LimitError}. `tooLate` takes a result that comes later. */
  #within<T>(limit: number | undefined, call: () => T | PromiseLike<T>, tooLate?: (value: T) => unknown): Promise<T> {
    const clock = this.#clock;
    return new Promise<T>((resolve, reject) => {
      let isOver = false;
      const runOut = (): void => {
        isOver = true;
        reject(new LimitError("operation timed out for an unknown reason"));
      };
      const timer = limit === undefined ? undefined : clock.setTimeout(runOut, limit);
      const end = (settle: () => void): void => {
        if (timer !== undefined) clock.clearTimeout(timer);
        settle();
      };
      new Promise<T>((answer) => answer(call())).then(
        (value) => {
          if (!isOver) return end(() => resolve(value));
          // No caller waits for it: an error of it must not end the process.
          if (tooLate !== undefined) void new Promise((answer) => answer(tooLate(value))).catch(ignore);
        },
        (error: unknown) => end(() => reject(error)),
      );
    });
  }

  /** A result that is there in the turn of the abort counts. */
  #abortable<T>(result: T, signal: AbortSignal | undefined): T | Promise<Awaited<T>> {
    if (signal === undefined || typeof (result as PromiseLike<T> | null)?.then !== "function") return result;
    return new Promise((resolve, reject) => {
      const leave = (): void => void this.turn().then(() => reject(signal.reason));
      signal.addEventListener("abort", leave);
      Promise.resolve(result)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener("abort", leave));
    });
  }
}

const ignore = (): void => {};

/** Looked up at each call: fake timers may stand in their place. */
const hostClock: PoolClock = {
  now: () => performance.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};
