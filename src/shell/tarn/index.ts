/**
 * edgepool/tarn: `Pool`, which takes the place of tarn's.
 *
 * The options, the members, the events and the errors are those of tarn. Where the package tarn is installed, a
 * `TimeoutError` is one of tarn's, too, so that Knex recognises it.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import {
  PoolClosedError,
  PoolTimeoutError,
  type PoolLogger,
  type PoolStats,
  type QueuePool,
  type QueuePoolOptions,
} from "edgepool";
import { LimitError, ResourcePool } from "../resources/resource-pool.js";
import { TimeoutError } from "./timeout-error.js";

export { TimeoutError };

/** Called with an error, or with null and the resource. */
export type Callback<T> = (error: Error | null | undefined, resource?: T) => unknown;

/** The options of tarn's Pool, and one more. */
export interface PoolOptions<T> {
  /** Makes a resource: returns it, or a promise of it, or calls back. */
  create: (callback: Callback<T>) => T | PromiseLike<T> | void;
  destroy: (resource: T) => unknown;
  /** Resources that are kept, in use or free. It opens none. */
  min: number;
  max: number;
  /** How long `acquire()` may take, in milliseconds. Default 30,000. */
  acquireTimeoutMillis?: number | undefined;
  /** How long one create may take, in milliseconds. Default 30,000. */
  createTimeoutMillis?: number | undefined;
  /** How long one destroy may take, in milliseconds. Default 5,000. */
  destroyTimeoutMillis?: number | undefined;
  /** After how long a free resource is destroyed, in milliseconds. Default 30,000. */
  idleTimeoutMillis?: number | undefined;
  /** The least pause after a create that failed, in milliseconds. Default 200. */
  createRetryIntervalMillis?: number | undefined;
  /** Has no effect: one timer is set for the next resource that is due. */
  reapIntervalMillis?: number | undefined;
  log?: ((message: string, level: "warn") => unknown) | undefined;
  /** Returns, or resolves with, whether a resource may be lent. It is asked before each loan. */
  validate?: ((resource: T) => boolean | PromiseLike<boolean>) | undefined;
  /** Whether the caller gets the error of its create. Default false: creates are tried again. */
  propagateCreateError?: boolean | undefined;
  /** Options of {@link QueuePool}, such as `dialect` and `prePing`. With a dialect each return rolls back. */
  edgepool?: QueuePoolOptions<T> | undefined;
}

/** What `acquire()` returns. */
export interface PendingAcquire<T> {
  readonly promise: Promise<T>;
  /** Whether the promise was rejected. */
  readonly isRejected: boolean;
  /** Rejects the promise, unless it has settled. */
  abort(): void;
}

/** The events of tarn, with the parameters of their listeners. */
export interface PoolEvents<T> {
  acquireRequest: [eventId: number];
  acquireSuccess: [eventId: number, resource: T];
  acquireFail: [eventId: number, error: Error];
  release: [resource: T];
  createRequest: [eventId: number];
  createSuccess: [eventId: number, resource: T];
  createFail: [eventId: number, error: Error];
  destroyRequest: [eventId: number, resource: T];
  destroySuccess: [eventId: number, resource: T];
  destroyFail: [eventId: number, resource: T, error: Error];
  startReaping: [];
  stopReaping: [];
  poolDestroyRequest: [eventId: number];
  poolDestroySuccess: [eventId: number];
}

/** How long destroy() waits for resources that are in use. */
const destroyPoolMillis = 30_000;

const times = [
  "acquireTimeoutMillis",
  "createTimeoutMillis",
  "destroyTimeoutMillis",
  "idleTimeoutMillis",
  "reapIntervalMillis",
  "createRetryIntervalMillis",
] as const;

const known = ["create", "validate", "destroy", "log", "min", "max", ...times, "propagateCreateError", "edgepool"];

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;

/** Throws the errors of tarn. */
function check<T>(given: PoolOptions<T> | undefined): PoolOptions<T> {
  const options = (given ?? {}) as PoolOptions<T>;
  for (const name of ["create", "destroy"] as const) {
    if (typeof options[name] !== "function") throw new Error(`Tarn: opt.${name} function most be provided`);
  }
  const { min, max } = options;
  if (!isCount(min)) throw new Error("Tarn: opt.min must be an integer >= 0");
  if (!isCount(max) || max === 0) throw new Error("Tarn: opt.max must be an integer > 0");
  if (min > max) throw new Error("Tarn: opt.max is smaller than opt.min");
  for (const name of times) {
    const value: unknown = options[name];
    if (value !== undefined && !(isCount(value) && value > 0))
      throw new Error(`Tarn: invalid opt.${name} ${JSON.stringify(value)}`);
  }
  if (options.validate !== undefined && typeof options.validate !== "function")
    throw new Error("Tarn: opt.validate must be a function");
  for (const key of Object.keys(options))
    if (!known.includes(key)) throw new Error(`Tarn: unsupported option opt.${key}`);
  return options;
}

/** A pool of tarn's shape over a {@link QueuePool}. */
export class Pool<T> {
  /** Where the listeners are. */
  readonly emitter: EventEmitter = new EventEmitter();
  /** Not null while there may be resources whose idle time runs. */
  interval: object | null = null;
  readonly #resources: ResourcePool<T>;
  readonly #log: PoolOptions<T>["log"];
  #eventId = 1;
  #destroyed: Promise<void> | undefined = undefined;

  /** Opens nothing. Throws if an option is missing, wrong or unknown. */
  constructor(given: PoolOptions<T>) {
    const options = check(given);
    const { create, validate, min, max } = options;
    this.#log = options.log;
    const { propagateCreateError = false } = options;
    this.#resources = new ResourcePool<T>(
      {
        create: () => createdBy(create),
        destroy: options.destroy,
        validate,
        acquireMillis: options.acquireTimeoutMillis ?? 30_000,
        createMillis: options.createTimeoutMillis ?? 30_000,
        destroyMillis: options.destroyTimeoutMillis ?? 5_000,
        retryMillis: propagateCreateError ? 0 : (options.createRetryIntervalMillis ?? 200),
      },
      {
        creates: () => this.#begin("createRequest"),
        created: (id, resource) => this.#emit("createSuccess", id, resource),
        createFailed: (id, error) => this.#emit("createFail", id, worded(error)),
        destroys: (resource) => {
          const id = this.#begin("destroyRequest", resource);
          if (this.isEmpty()) this.#stopTiming();
          return id;
        },
        destroyed: (id, resource) => this.#emit("destroySuccess", id, resource),
        destroyFailed: (id, resource, error) => {
          this.#emit("destroyFail", id, resource, worded(error));
          this.#warn("resource destroyer", error);
        },
        validateFailed: (error) => this.#warn("resource validator", error),
      },
      {
        poolSize: max,
        min,
        // It keeps resources and opens none.
        refill: false,
        useLifo: true,
        idleTimeout: `${options.idleTimeoutMillis ?? 30_000}ms`,
        openRetry: !propagateCreateError,
        logger: this.#logger,
      },
      options.edgepool,
    );
  }

  /** The pool behind this one, for `stats()`, `status()` and the events of edgepool. */
  get queuePool(): QueuePool<T> {
    return this.#resources.queue;
  }

  get #stats(): PoolStats {
    return this.#resources.queue.stats();
  }

  numUsed(): number {
    const { used, returning } = this.#stats;
    return used - returning;
  }

  /** A resource on its way back counts as free. */
  numFree(): number {
    const { idle, returning } = this.#stats;
    return idle + returning;
  }

  numPendingAcquires(): number {
    return this.#resources.requested;
  }

  numPendingValidations(): number {
    return this.#resources.validating;
  }

  numPendingCreates(): number {
    return this.#resources.creating;
  }

  isEmpty(): boolean {
    const { idle, used } = this.#stats;
    const { requested, creating } = this.#resources;
    return idle + used + requested + creating === 0;
  }

  acquire(): PendingAcquire<T> {
    const id = this.#begin("acquireRequest");
    const signal = new AbortWord();
    const pending = { isRejected: false, abort: () => signal.abort(), promise: undefined as unknown as Promise<T> };
    pending.promise = this.#resources.borrow(0, signal as unknown as AbortSignal).then(
      (resource) => {
        this.#startTiming();
        this.#emit("acquireSuccess", id, resource);
        return resource;
      },
      (error: unknown) => {
        pending.isRejected = true;
        const reason = worded(error);
        this.#emit("acquireFail", id, reason);
        throw reason;
      },
    );
    return pending;
  }

  /** Takes a resource back. Returns false, and does nothing, if it is not in use. */
  release(resource: T): boolean {
    this.#emit("release", resource);
    return this.#resources.giveBack(resource);
  }

  /**
   * Waits for the resources that are in use, and destroys all. Refuses callers that still wait, with `aborted`. After
   * `timeoutMillis` (default 30,000) it destroys the resources that are in use. A second call returns the same promise.
   */
  destroy(options: { timeoutMillis?: number | undefined } = {}): Promise<void> {
    return (this.#destroyed ??= this.#destroy(options.timeoutMillis ?? destroyPoolMillis));
  }

  async #destroy(milliseconds: number): Promise<void> {
    const id = this.#begin("poolDestroyRequest");
    this.#stopTiming();
    await this.#resources.queue.close({ timeout: `${milliseconds}ms` });
    await this.#resources.destroysEnded();
    this.#emit("poolDestroySuccess", id);
    this.emitter.removeAllListeners();
  }

  on<E extends keyof PoolEvents<T>>(event: E, listener: (...parameters: PoolEvents<T>[E]) => void): void {
    this.emitter.on(event, listener as (...parameters: any[]) => void);
  }

  removeListener(event: keyof PoolEvents<T>, listener: (...parameters: any[]) => void): void {
    this.emitter.removeListener(event, listener);
  }

  removeAllListeners(event?: keyof PoolEvents<T>): void {
    if (event === undefined) this.emitter.removeAllListeners();
    else this.emitter.removeAllListeners(event);
  }

  #startTiming(): void {
    if (this.interval !== null || this.#destroyed !== undefined) return;
    this.interval = this.queuePool;
    this.#emit("startReaping");
  }

  #stopTiming(): void {
    if (this.interval === null) return;
    this.interval = null;
    this.#emit("stopReaping");
  }

  #begin(event: keyof PoolEvents<T>, ...parameters: unknown[]): number {
    const id = this.#eventId++;
    this.#emit(event, id, ...parameters);
    return id;
  }

  /** An error of one listener keeps no other from its event. */
  #emit(event: keyof PoolEvents<T>, ...parameters: unknown[]): void {
    if (this.emitter.listenerCount(event) === 0) return;
    for (const listener of this.emitter.listeners(event)) {
      try {
        Reflect.apply(listener, this, parameters);
      } catch (error) {
        this.#warn(`event handler "${event}"`, error);
      }
    }
  }

  #warn(what: string, error: unknown): void {
    const { stack = String(error) } = (error ?? {}) as Error;
    this.#log?.(`Tarn: ${what} threw an exception ${stack}`, "warn");
  }

  /** The errors of creates and destroys are events already. Without `log` only a warning is written. */
  get #logger(): PoolLogger {
    const log = this.#log;
    const nothing = (): void => {};
    return {
      debug: (message) => void log?.(message, "warn"),
      info: (message) => void log?.(message, "warn"),
      warn: (message) => void (log === undefined ? console.warn(message) : log(message, "warn")),
      error: nothing,
    };
  }
}

/** The part of an AbortSignal that the pool needs: a whole one for each acquire costs as much as the acquire. */
class AbortWord {
  aborted = false;
  reason: unknown = undefined;
  /** Rarely more than one. */
  #listeners: Array<() => void> = [];

  addEventListener(_event: "abort", listener: () => void): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_event: "abort", listener: () => void): void {
    this.#listeners = this.#listeners.filter((other) => other !== listener);
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = new Error("aborted");
    for (const listener of this.#listeners) listener();
  }
}

/** A create that returns nothing calls back. */
function createdBy<T>(create: PoolOptions<T>["create"]): Promise<T> {
  return new Promise((resolve, reject) => {
    const given = create((error, resource) => (error ? reject(error) : resolve(resource as T)));
    void Promise.resolve(given).then((resource) => {
      if (resource) resolve(resource as T);
    }, reject);
  });
}

/** Gives the errors of the pool the classes and messages of tarn. `cause` is the pool's own, with its numbers. */
function worded(error: unknown): unknown {
  if (error instanceof PoolClosedError) return new PoolClosedError(error.pool, "aborted");
  if (error instanceof LimitError) return new TimeoutError(error.message, error);
  if (!(error instanceof PoolTimeoutError)) return error;
  const { cause, message } = error;
  return new TimeoutError(cause instanceof Error ? cause.message : `operation timed out: ${message}`, error);
}
