/**
 * edgepool/generic-pool: `createPool(factory, options)`, which takes the place of generic-pool's.
 *
 * The options, the members, the events and the errors are those of generic-pool.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import {
  PoolClosedError,
  PoolTimeoutError,
  QueueFullError,
  type Duration,
  type PoolLogger,
  type PoolStats,
  type QueuePool,
  type QueuePoolOptions,
} from "edgepool";
import { ResourcePool } from "../resources/resource-pool.js";

/** What makes resources. */
export interface Factory<T> {
  create(): T | PromiseLike<T>;
  destroy(resource: T): unknown;
  /** Returns, or resolves with, whether a resource may be lent; with `testOnBorrow` or `testOnReturn`. */
  validate?(resource: T): boolean | PromiseLike<boolean>;
}

/** The options of generic-pool, and one more. */
export interface Options<T = any> {
  /** Default 1. */
  max?: number | undefined;
  /** Resources that the pool opens by itself and keeps open. Default 0. */
  min?: number | undefined;
  /** Callers that may wait at the same time. Default: no limit. */
  maxWaitingClients?: number | undefined;
  /** Whether `validate` is asked before each loan. Default false. */
  testOnBorrow?: boolean | undefined;
  /** Whether `validate` is asked at each return. Default false. */
  testOnReturn?: boolean | undefined;
  /** How long `acquire()` may take, in milliseconds. Default: no limit. */
  acquireTimeoutMillis?: number | undefined;
  /** How long one destroy may take, in milliseconds. Default: no limit. */
  destroyTimeoutMillis?: number | undefined;
  /** Whether the resource that has been free for longest is lent. Default true. */
  fifo?: boolean | undefined;
  /** How many priorities there are: 0 is served first. Default 1. */
  priorityRange?: number | undefined;
  /** Whether the pool opens `min` resources when it is made. Default true; else with `start()` or the first call. */
  autostart?: boolean | undefined;
  /** Above 0: free resources are destroyed when they are due. Default 0: never. Their times need no runs. */
  evictionRunIntervalMillis?: number | undefined;
  /** Has no effect: each resource is destroyed when it is due. */
  numTestsPerEvictionRun?: number | undefined;
  /** After how long a free resource above `min` is destroyed, in milliseconds. Default -1: `idleTimeoutMillis`. */
  softIdleTimeoutMillis?: number | undefined;
  /** After how long any free resource is destroyed and replaced, in milliseconds. Default 30,000. */
  idleTimeoutMillis?: number | undefined;
  /** The class of the promises. */
  Promise?: PromiseConstructorLike | undefined;
  /** Options of {@link QueuePool}, such as `dialect` and `holdLimit`. With a dialect each return rolls back. */
  edgepool?: QueuePoolOptions<T> | undefined;
}

const known = new Set<string>([
  "max",
  "min",
  "maxWaitingClients",
  "testOnBorrow",
  "testOnReturn",
  "acquireTimeoutMillis",
  "destroyTimeoutMillis",
  "fifo",
  "priorityRange",
  "autostart",
  "evictionRunIntervalMillis",
  "numTestsPerEvictionRun",
  "softIdleTimeoutMillis",
  "idleTimeoutMillis",
  "Promise",
  "edgepool",
]);

const messages = {
  draining: "pool is draining and cannot accept work",
  full: "max waitingClients count exceeded",
  late: "ResourceRequest timed out",
  foreign: "Resource not currently part of this pool",
  destroyLate: "destroy timed out",
};

const nothing = (): void => {};

/** The errors of creates and destroys are events already. A warning is for the program's author. */
const logger: PoolLogger = { debug: nothing, info: nothing, warn: (message) => console.warn(message), error: nothing };

/** Longer than any limit that counts. */
const noLimit: Duration = "1000h";

function checkFactory(factory: unknown): void {
  const { create, destroy, validate } = (factory ?? {}) as Record<string, unknown>;
  if (typeof create !== "function") throw new TypeError("factory.create must be a function");
  if (typeof destroy !== "function") throw new TypeError("factory.destroy must be a function");
  if (validate !== undefined && typeof validate !== "function")
    throw new TypeError("factory.validate must be a function");
}

/** As generic-pool reads it: what is no number counts as not given. */
function whole(value: unknown): number | undefined {
  const number = Number.parseInt(String(value), 10);
  return Number.isNaN(number) ? undefined : number;
}

/** Settings after generic-pool's rules. */
class Settings<T> {
  readonly max: number;
  readonly min: number;
  readonly priorities: number;
  readonly acquireMillis: number | undefined;
  readonly destroyMillis: number | undefined;
  readonly autostart: boolean;
  readonly testsOnBorrow: boolean;
  readonly testsOnReturn: boolean;
  /** Whether free resources below `min` are destroyed, too, and replaced. */
  readonly replacesIdle: boolean;
  readonly idleTimeout: Duration | null;
  readonly Promise: PromiseConstructorLike;

  constructor(given: Options<T>) {
    this.max = Math.max(whole(given.max) ?? 1, 1);
    this.min = Math.min(whole(given.min) ?? 0, this.max);
    this.priorities = Math.max(1, whole(given.priorityRange) ?? 1);
    this.acquireMillis = whole(given.acquireTimeoutMillis) || undefined;
    this.destroyMillis = whole(given.destroyTimeoutMillis) || undefined;
    this.autostart = given.autostart !== false;
    this.testsOnBorrow = given.testOnBorrow === true;
    this.testsOnReturn = given.testOnReturn === true;
    const evicts = (given.evictionRunIntervalMillis ?? 0) > 0;
    const soft = given.softIdleTimeoutMillis || -1;
    this.replacesIdle = evicts && !(soft > 0);
    const idleMillis = soft > 0 ? soft : given.idleTimeoutMillis || 30_000;
    this.idleTimeout = evicts ? `${idleMillis}ms` : null;
    this.Promise = given.Promise ?? Promise;
  }
}

/** A pool of generic-pool's shape over a {@link QueuePool}. `createPool()` makes it. */
export class Pool<T> extends EventEmitter {
  readonly #resources: ResourcePool<T>;
  readonly #settings: Settings<T>;
  readonly #validate: Factory<T>["validate"];
  #hasStarted = false;
  #drained: Promise<void> | undefined = undefined;

  constructor(factory: Factory<T>, options: Options<T> = {}) {
    super();
    checkFactory(factory);
    const settings = (this.#settings = new Settings(options ?? {}));
    const validate = (this.#validate = factory.validate?.bind(factory));
    const { min, replacesIdle } = settings;
    this.#resources = new ResourcePool<T>(
      {
        create: () => factory.create(),
        destroy: (resource) => factory.destroy(resource),
        validate: settings.testsOnBorrow ? validate : undefined,
        acquireMillis: settings.acquireMillis,
        createMillis: undefined,
        destroyMillis: settings.destroyMillis,
        retryMillis: 0,
      },
      {
        creates: () => 0,
        created: () => {},
        createFailed: (_id, error) => void this.emit("factoryCreateError", error),
        destroys: () => 0,
        destroyed: () => this.#replaceSoon(),
        destroyFailed: (_id, _resource, error) => {
          this.emit("factoryDestroyError", worded(error, messages.destroyLate));
          this.#replaceSoon();
        },
        validateFailed: (error) => void this.emit("factoryCreateError", error),
      },
      {
        poolSize: settings.max,
        // If the last `min` are replaced when they are due, the pool must be able to close them.
        min: settings.autostart && !replacesIdle ? min : 0,
        useLifo: options?.fifo === false,
        idleTimeout: settings.idleTimeout,
        maxWaiters: whole(options?.maxWaitingClients) ?? Infinity,
        openRetry: true,
        logger,
      },
      options?.edgepool,
    );
    for (const key of Object.keys(options ?? {}))
      if (!known.has(key)) console.warn(`pool ${this.queuePool.loggingName}: generic-pool has no option "${key}"`);
    if (settings.autostart) this.start();
  }

  /** The pool behind this one, for `stats()`, `status()` and the events of edgepool. */
  get queuePool(): QueuePool<T> {
    return this.#resources.queue;
  }

  get #stats(): PoolStats {
    return this.#resources.queue.stats();
  }

  /** All resources, with those that are being made. */
  get size(): number {
    const { idle, used, opening } = this.#stats;
    return idle + used + opening;
  }

  /** The free resources, with those on their way back. */
  get available(): number {
    const { idle, returning } = this.#stats;
    return idle + returning;
  }

  get borrowed(): number {
    return this.#resources.loans.size;
  }

  get pending(): number {
    return this.#resources.requested;
  }

  get max(): number {
    return this.#settings.max;
  }

  get min(): number {
    return this.#settings.min;
  }

  get spareResourceCapacity(): number {
    return this.max - this.size;
  }

  /** Opens `min` resources, if that has not begun. */
  start(): void {
    if (this.#hasStarted || this.#drained !== undefined) return;
    this.#hasStarted = true;
    const { autostart, min, replacesIdle } = this.#settings;
    if (!autostart && !replacesIdle) this.queuePool.resize({ min });
    if (!autostart || replacesIdle) this.#fill();
  }

  /** Opens what is missing for `min`. A failure is emitted. */
  #fill(): void {
    void this.queuePool.warm(this.#settings.min).catch(nothing);
  }

  /** A resource was destroyed: its slot is free in the next turn. */
  #replaceSoon(): void {
    if (!this.#settings.replacesIdle || !this.#hasStarted) return;
    void this.#resources.turn().then(() => {
      if (this.#drained === undefined) this.#fill();
    });
  }

  /** Lends a resource. `priority`: from 0, which is served first, to `priorityRange` - 1. */
  acquire(priority?: number): Promise<T> {
    if (this.#drained !== undefined)
      return this.#own(Promise.reject(new PoolClosedError(this.queuePool.loggingName, messages.draining)));
    const resource = this.#resources.borrow(this.#rankOf(priority), undefined).catch(refuse);
    // Afterwards: the caller's resource is one of the first.
    this.start();
    return this.#own(resource);
  }

  /** What is no number is 0; what is out of range is the last, as in generic-pool. */
  #rankOf(priority: unknown): number {
    const last = this.#settings.priorities - 1;
    const place = Math.trunc(Number(priority)) || 0;
    return place < 0 || place > last ? 0 : last - place;
  }

  /** Lends a resource to `fn` and takes it back. If `fn` fails, the resource is destroyed. */
  use<U>(fn: (resource: T) => U | PromiseLike<U>, priority?: number): Promise<U> {
    return this.#own(this.#use(fn, priority));
  }

  async #use<U>(fn: (resource: T) => U | PromiseLike<U>, priority: number | undefined): Promise<U> {
    const resource = await this.acquire(priority);
    let result: U;
    try {
      result = await fn(resource);
    } catch (error) {
      this.#resources.discard(resource);
      throw error;
    }
    await this.release(resource);
    return result;
  }

  isBorrowedResource(resource: T): boolean {
    return this.#resources.loans.has(resource);
  }

  /** Takes a resource back. Rejects if it is not borrowed. */
  release(resource: T): Promise<void> {
    return this.#own(this.#settings.testsOnReturn ? this.#releaseIfValid(resource) : this.#release(resource));
  }

  #release(resource: T): Promise<void> {
    return this.#resources.giveBack(resource) ? Promise.resolve() : Promise.reject(new Error(messages.foreign));
  }

  async #releaseIfValid(resource: T): Promise<void> {
    if (!this.isBorrowedResource(resource)) throw new Error(messages.foreign);
    let isValid = false;
    try {
      isValid = this.#validate === undefined || Boolean(await this.#validate(resource));
    } finally {
      if (isValid) this.#resources.giveBack(resource);
      else this.#resources.discard(resource);
    }
  }

  /** Destroys a borrowed resource. Rejects if it is not borrowed. */
  destroy(resource: T): Promise<void> {
    return this.#own(
      this.#resources.discard(resource) ? Promise.resolve() : Promise.reject(new Error(messages.foreign)),
    );
  }

  /**
   * Refuses new callers, serves those that came before, and waits for every resource; then the resources are destroyed.
   * After `timeoutMillis` (default: no limit) it refuses and destroys what is left. A second call returns the same
   * promise.
   */
  drain(options: { timeoutMillis?: number | undefined } = {}): Promise<void> {
    const { timeoutMillis } = options;
    const timeout: Duration = timeoutMillis === undefined ? noLimit : `${timeoutMillis}ms`;
    return this.#own((this.#drained ??= this.queuePool.close({ drain: true, timeout })));
  }

  /** Destroys the free resources, and the borrowed ones at their return. After `drain()` there is nothing to do. */
  clear(): Promise<void> {
    return this.#own(this.#clear());
  }

  async #clear(): Promise<void> {
    await (this.#drained ?? this.queuePool.dispose());
    await this.#resources.destroysEnded();
  }

  /** Resolves once `min` resources are free. */
  ready(): Promise<void> {
    return this.#own(this.#ready());
  }

  async #ready(): Promise<void> {
    while (this.available < this.min) {
      // A failure is emitted, and the pool goes on trying.
      await this.queuePool.warm(this.min).catch(nothing);
      if (this.available < this.min) await this.#resources.turn(20);
    }
  }

  /** Returns a promise of the class that the user asked for. */
  #own<R>(promise: Promise<R>): Promise<R> {
    const Own = this.#settings.Promise;
    if (Own === Promise) return promise;
    return new Own<R>((resolve, reject) => void promise.then(resolve, reject)) as Promise<R>;
  }
}

/** Makes a pool of the factory's resources. Throws a TypeError if the factory is none. */
export function createPool<T>(factory: Factory<T>, options?: Options<T>): Pool<T> {
  return new Pool(factory, options);
}

function worded(error: unknown, message: string): unknown {
  return (error as Error | undefined)?.name === "LimitError" ? new Error(message, { cause: error }) : error;
}

/** Gives the errors of a checkout the messages of generic-pool. The class, the code and the numbers are edgepool's. */
function refuse(error: unknown): never {
  if (error instanceof PoolClosedError) throw new PoolClosedError(error.pool, messages.draining);
  if (error instanceof QueueFullError) throw new QueueFullError(messages.full, error.pool);
  if (error instanceof PoolTimeoutError) {
    const late = new PoolTimeoutError(messages.late, error.pool, error, { cause: error.cause ?? error });
    late.name = "TimeoutError";
    throw late;
  }
  throw error;
}
