/**
 * The events of a pool, and their listeners: on one pool, or on every pool of a class. Calls the listeners of one event
 * in order and awaits those that return a promise. What a failure means is for steps.ts and the policy. Also reports
 * the errors that the pool swallows.
 */

import { ArgumentError } from "./errors.js";
import { isThenable } from "./host.js";
import type { PooledConnection } from "./lease.js";
import type { Log } from "./logger.js";
import type { Activity, Observer } from "./observer.js";
import { policyEvents, type PolicyEvent } from "./protocol.js";
import type { ConnectionRecord } from "./record.js";
import { checkFlags, show } from "./validate.js";

/** What the pool was doing when it swallowed an error. */
export type PoolOperation =
  "open" | "ping" | "reset" | "close" | "terminate" | "finalize" | "listener" | "leak" | "disconnect";

/** What a `reset` listener is given about the connection that comes back. */
export interface ResetState {
  /** Whether the lease holder has ended its transaction already. */
  readonly transactionWasReset: boolean;
  /** Whether the connection will not go back to the pool: it is detached, or its lease was lost. */
  readonly terminateOnly: boolean;
  /** Whether the connection may be used now; false if its lease was lost. */
  readonly asyncioSafe: boolean;
}

/**
 * The events of a pool: SQLAlchemy's, in their order and with their arguments. Listeners may be sync or async, and are
 * awaited one by one. An error of a connect, firstConnect or checkout listener rejects connect(). A reset listener that
 * throws counts as a failed reset. An error of any other listener goes to `error` and changes nothing.
 */
export interface PoolEvents<C> {
  /** A connection was opened. */
  connect(connection: C, record: ConnectionRecord<C>): unknown;
  /**
   * The pool's first connection was opened; fires before `connect`. Fires again for the next connection if it failed.
   * In Workers it also fires in each request that opened its own connection before the first firing had ended.
   */
  firstConnect(connection: C, record: ConnectionRecord<C>): unknown;
  /** A connection is about to be handed out. A thrown DisconnectionError makes the pool try another (two tries). */
  checkout(connection: C, record: ConnectionRecord<C>, lease: PooledConnection<C>): unknown;
  /** A record goes back to the pool; its connection is null if it was lost. */
  checkin(connection: C | null, record: ConnectionRecord<C>): unknown;
  /** A connection comes back and is about to be reset; its record is null if it is detached. */
  reset(connection: C, record: ConnectionRecord<C> | null, state: ResetState): unknown;
  /** A connection is not trusted any more and about to be terminated; the error is undefined if none was given. */
  invalidate(connection: C, record: ConnectionRecord<C>, error: unknown): unknown;
  /** A connection was marked to be replaced at its next checkout. */
  softInvalidate(connection: C, record: ConnectionRecord<C>, error: unknown): unknown;
  /** A connection of the pool is about to be closed or terminated. */
  close(connection: C, record: ConnectionRecord<C>): unknown;
  /** A connection has left the pool for good. */
  detach(connection: C, record: ConnectionRecord<C>): unknown;
  /** A detached connection is about to be closed. */
  closeDetached(connection: C): unknown;
  /**
   * A lease has been out for longer than `holdLimit`: its record, for how many milliseconds it has been out, and with
   * `trackLeaks: "stack"` where it was checked out. Fires once for each lease, and is not awaited.
   */
  held(record: ConnectionRecord<C>, milliseconds: number, stack: string | undefined): unknown;
  /** The pool swallowed an error that must not disturb its state: of a failed reset, close or listener. */
  error(error: unknown, context: { operation: PoolOperation; record: ConnectionRecord<C> | null }): unknown;
}

/** Options of a listener. */
export interface ListenOptions {
  /** Removes the listener after its first call. */
  once?: boolean | undefined;
  /** Adds the listener before the others. */
  insert?: boolean | undefined;
}

/** Listeners by event, for the option `events`. */
export type PoolListeners<C> = {
  [E in keyof PoolEvents<C>]?: PoolEvents<C>[E] | ReadonlyArray<PoolEvents<C>[E]> | undefined;
};
/** One listener with its event, for the option `events`. */
export type PoolListenerPair<C> = {
  [E in keyof PoolEvents<C>]: readonly [listener: PoolEvents<C>[E], event: E];
}[keyof PoolEvents<C>];

export type EventName = keyof PoolEvents<unknown>;
type Listener = (...parameters: any[]) => unknown;

const eventNames: readonly EventName[] = [...policyEvents, "held", "error"];

/** The logged text for a swallowed error, if the operation alone says enough. */
const failed: Record<PoolOperation, string> = {
  open: "opening a connection failed after its caller had left",
  ping: "ping of a connection failed",
  reset: "reset of a connection failed",
  close: "close of a connection failed",
  terminate: "terminate of a connection failed",
  finalize: "a finalizer failed",
  listener: "a listener failed",
  leak: "a lease was lost",
  disconnect: "a connection died while it was in use",
};

interface Registration {
  readonly event: EventName | "observe";
  /** Of the event "observe", which no user can name, an observer. */
  readonly listener: Listener;
  readonly once: boolean;
}

interface ClassRegistration extends Registration {
  readonly target: Function;
}

/** The listeners of classes, in order of registration, inserted ones in front. */
const ofClasses: ClassRegistration[] = [];
/**
 * The listeners of every pool, which a change there concerns. Collected pools are dropped when as many have been made.
 */
const everyPool = new Set<WeakRef<Listeners>>();
let pruneAt = 64;

function prune(): void {
  for (const reference of everyPool) if (reference.deref() === undefined) everyPool.delete(reference);
  pruneAt = 2 * everyPool.size + 64;
}

function isClassRegistration(registration: Registration): registration is ClassRegistration {
  return "target" in registration;
}

function add<R extends Registration>(list: R[], registration: R, insert: boolean, isSame: (other: R) => boolean): void {
  if (list.some(isSame)) return;
  if (insert) list.unshift(registration);
  else list.push(registration);
}

/** Checks the arguments of on() and listen(). */
export function checkListener(
  event: unknown,
  listener: unknown,
  options: unknown,
  pool: string,
): asserts event is EventName {
  if (!eventNames.includes(event as EventName)) {
    throw new ArgumentError(`event must be one of ${eventNames.join(", ")}; it is ${show(event)}`, pool);
  }
  if (typeof listener !== "function")
    throw new ArgumentError(`the listener of ${event as string} must be a function; it is ${show(listener)}`, pool);
  checkFlags(options, ["once", "insert"], "a listener", pool);
}

/** Adds a listener on every pool of a class, made before or after; returns the function that removes it. */
export function listenOnClass(
  target: Function,
  event: EventName | "observe",
  listener: Listener,
  { once = false, insert = false }: ListenOptions,
): () => void {
  const registration: ClassRegistration = { target, event, listener, once };
  add(
    ofClasses,
    registration,
    insert,
    (other) => other.target === target && other.event === event && other.listener === listener,
  );
  updateEveryPool();
  return () =>
    void removeFrom(
      ofClasses,
      (other) => other.target === target && other.event === event && other.listener === listener,
    );
}

function removeFrom<R extends Registration>(list: R[], isIt: (registration: R) => boolean): boolean {
  const place = list.findIndex(isIt);
  if (place < 0) return false;
  list.splice(place, 1);
  if ((list as unknown) === ofClasses) updateEveryPool();
  return true;
}

function updateEveryPool(): void {
  for (const reference of everyPool) reference.deref()?.changed();
}

/** The listeners of one pool, those of its classes included. */
export class Listeners {
  readonly #pool: object;
  readonly #log: Log;
  readonly #own: Registration[] = [];
  /**
   * By event, until something changes. Each list is immutable, because the listeners of one event run from one list.
   */
  #current = new Map<EventName | "observe", readonly Registration[]>();
  /** Whether `reset` has listeners: looked at in every return. */
  hasReset = false;
  /** Whether there are observers: looked at in every checkout and return. */
  hasObservers = false;
  /** The listener of `checkout`, if there is just one, and for every time. */
  onlyCheckout: Listener | undefined = undefined;
  #changed: () => void = () => {};

  constructor(pool: object, log: Log) {
    this.#pool = pool;
    this.#log = log;
    // Without WeakRef, a listener of a class is only called for the pools made after it.
    if (typeof WeakRef === "function") everyPool.add(new WeakRef(this));
    if (everyPool.size > pruneAt) prune();
  }

  /** Called whenever the events that have listeners may have changed, and now. */
  set onChange(changed: () => void) {
    this.#changed = changed;
    this.changed();
  }

  add(event: EventName | "observe", listener: Listener, { once = false, insert = false }: ListenOptions): () => void {
    add(this.#own, { event, listener, once }, insert, (other) => other.event === event && other.listener === listener);
    this.changed();
    return () => void this.remove(event, listener);
  }

  remove(event: EventName | "observe", listener: Listener): boolean {
    const isRemoved = removeFrom(this.#own, (other) => other.event === event && other.listener === listener);
    this.changed();
    return isRemoved;
  }

  /** Adds the same listeners to another pool. Later changes of one do not concern the other. */
  copyTo(other: Listeners): void {
    other.#own.push(...this.#own);
    other.changed();
  }

  changed(): void {
    this.#current.clear();
    this.hasReset = this.has("reset");
    this.hasObservers = this.has("observe");
    const [first, ...others] = this.#of("checkout");
    this.onlyCheckout = first?.once === false && others.length === 0 ? first.listener : undefined;
    this.#changed();
  }

  has(event: EventName | "observe"): boolean {
    return this.#of(event).length > 0;
  }

  /**
   * Calls the listeners in order; returns a promise only if one of them does. A failure stops the rest, and so does a
   * change of `stepSerial`: the step has ended by time.
   */
  emit(
    event: PolicyEvent,
    parameters: readonly unknown[],
    step: { readonly stepSerial: number },
  ): void | PromiseLike<void> {
    return this.#call(this.#of(event), 0, parameters, step);
  }

  #call(
    list: readonly Registration[],
    first: number,
    parameters: readonly unknown[],
    step: { readonly stepSerial: number },
  ): void | PromiseLike<void> {
    const { stepSerial } = step;
    for (let place = first; place < list.length; place++) {
      const answer = this.#callOne(list[place] as Registration, parameters);
      if (isThenable(answer))
        return Promise.resolve(answer).then(() =>
          step.stepSerial === stepSerial ? this.#call(list, place + 1, parameters, step) : undefined,
        );
    }
  }

  #callOne(registration: Registration, parameters: readonly unknown[]): unknown {
    if (registration.once) {
      if (isClassRegistration(registration)) removeFrom(ofClasses, (other) => other === registration);
      else removeFrom(this.#own, (other) => other === registration);
      this.changed();
    }
    return Reflect.apply(registration.listener, undefined, parameters);
  }

  /**
   * Logs an error that the pool swallows, and emits it. `what`: for the log, if the operation alone does not say
   * enough.
   */
  report(
    operation: PoolOperation,
    error: unknown,
    record: ConnectionRecord<any> | null,
    what = failed[operation],
  ): void {
    this.#log.error(what, error);
    this.emitError(operation, error, record);
  }

  /** Emits an error that the pool swallows: to every listener, even if one of them throws, and without waiting. */
  emitError(operation: PoolOperation, error: unknown, record: ConnectionRecord<any> | null): void {
    this.#notify("error", [error, { operation, record }], (failure) =>
      this.#log.error("a listener of error failed", failure),
    );
  }

  /** Emits that a lease is out for too long, without waiting. */
  emitHeld(record: ConnectionRecord<any>, milliseconds: number, stack: string | undefined): void {
    this.#notify("held", [record, milliseconds, stack], (failure) =>
      this.report("listener", failure, record, "a listener of held failed"),
    );
  }

  #notify(event: EventName, parameters: unknown[], failed: (failure: unknown) => void): void {
    for (const registration of this.#of(event)) {
      try {
        const answer = this.#callOne(registration, parameters);
        if (isThenable(answer)) Promise.resolve(answer).then(undefined, failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  // ---- observers

  /** Makes the call of an activity through the observers, the first one outermost. */
  observe<R>(activity: Activity, call: () => R): R {
    return this.#of("observe").reduceRight(
      (inner, { listener }) =>
        () =>
          (listener as Observer)(this.#pool, activity, inner),
      call,
    )();
  }

  #of(event: EventName | "observe"): readonly Registration[] {
    let list = this.#current.get(event);
    if (list === undefined) {
      const ofClass = ofClasses.filter(
        (registration) => registration.event === event && this.#pool instanceof registration.target,
      );
      list = [...ofClass, ...this.#own.filter((registration) => registration.event === event)];
      this.#current.set(event, list);
    }
    return list;
  }
}

/** Returns the option `events`, in either form, as listeners in their order. */
export function eventPairs(events: unknown, pool: string): Array<[EventName, Listener]> {
  const pairs: Array<[unknown, unknown]> = [];
  if (Array.isArray(events)) {
    for (const pair of events) {
      if (!Array.isArray(pair) || pair.length !== 2) {
        const found = Array.isArray(pair) ? `the event of one is ${show(pair[1])}` : `one is ${show(pair)}`;
        throw new ArgumentError(`events must be { event: listener } or pairs of [listener, event]; ${found}`, pool);
      }
      pairs.push([pair[1], pair[0]]);
    }
  } else if (typeof events === "object" && events !== null) {
    for (const [event, listeners] of Object.entries(events)) {
      if (listeners === undefined) continue;
      for (const listener of Array.isArray(listeners) ? listeners : [listeners]) pairs.push([event, listener]);
    }
  } else {
    throw new ArgumentError(
      `events must be { event: listener } or pairs of [listener, event]; it is ${show(events)}`,
      pool,
    );
  }
  return pairs.map(([event, listener]) => {
    checkListener(event, listener, {}, pool);
    return [event, listener as Listener];
  });
}
