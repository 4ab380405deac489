/**
 * Who listens to what: on one pool, or on every pool of a class. Calls the listeners of one firing in order and awaits
 * those that answer a promise; what a failure means is for steps.ts and the policy.
 */

import { ArgumentError } from "./errors.js";
import { checkFlags, show } from "./values.js";
import type { PooledConnection } from "./pooled-connection.js";
import { hookNames, type HookName } from "./protocol.js";
import type { ConnectionRecord } from "./record.js";
import { isThenable } from "./thenable.js";

/** What the pool was doing when it swallowed an error. */
export type PoolOperation =
  "open" | "ping" | "reset" | "close" | "terminate" | "finalize" | "listener" | "leak" | "disconnect";

/** What a `reset` listener may know of the connection that comes back. */
export interface ResetState {
  /** The caller has ended its transaction already. */
  readonly transactionWasReset: boolean;
  /** The connection will not go back to the pool: it is detached, or its lease was lost. */
  readonly terminateOnly: boolean;
  /** Whether the connection may be used now; false where its lease was lost. */
  readonly asyncioSafe: boolean;
}

/**
 * The events of a pool: SQLAlchemy's, in their order and with their arguments. Listeners may be sync or async, and are
 * awaited one by one. What connect, firstConnect and checkout listeners throw rejects connect(); a reset listener that
 * throws counts as a failed reset; what any other throws goes to `error` and changes nothing.
 */
export interface PoolEvents<C> {
  /** A connection was opened. */
  connect(connection: C, record: ConnectionRecord<C>): unknown;
  /** The pool's first connection was opened; before `connect`. Again with the next one if it failed, and of each request in Workers that opened its own before the first was told of. */
  firstConnect(connection: C, record: ConnectionRecord<C>): unknown;
  /** A connection is about to be handed out. A thrown DisconnectionError makes the pool try another (two tries). */
  checkout(connection: C, record: ConnectionRecord<C>, lease: PooledConnection<C>): unknown;
  /** A record goes back to the pool; its connection is null where it was lost. */
  checkin(connection: C | null, record: ConnectionRecord<C>): unknown;
  /** A connection comes back and is about to be reset; its record is null where it is detached. */
  reset(connection: C, record: ConnectionRecord<C> | null, state: ResetState): unknown;
  /** A connection is not to be trusted and about to be terminated; the error is undefined where nobody gave one. */
  invalidate(connection: C, record: ConnectionRecord<C>, error: unknown): unknown;
  /** A connection was marked to be replaced at its next checkout. */
  softInvalidate(connection: C, record: ConnectionRecord<C>, error: unknown): unknown;
  /** A connection of the pool is about to be closed or terminated. */
  close(connection: C, record: ConnectionRecord<C>): unknown;
  /** A connection has left the pool for good. */
  detach(connection: C, record: ConnectionRecord<C>): unknown;
  /** A detached connection is about to be closed. */
  closeDetached(connection: C): unknown;
  /** What was swallowed to keep the pool's books straight: a failed reset, close, listener. */
  error(error: unknown, context: { operation: PoolOperation; record: ConnectionRecord<C> | null }): unknown;
}

/** How a listener is added. */
export interface ListenOptions {
  /** For one firing only. */
  once?: boolean;
  /** Before those that are there. */
  insert?: boolean;
}

/** Listeners by event, as the option `events` takes them. */
export type PoolListeners<C> = { [E in keyof PoolEvents<C>]?: PoolEvents<C>[E] | ReadonlyArray<PoolEvents<C>[E]> };
/** One listener with its event, as the option `events` takes them, too. */
export type PoolListenerPair<C> = {
  [E in keyof PoolEvents<C>]: readonly [listener: PoolEvents<C>[E], event: E];
}[keyof PoolEvents<C>];

export type EventName = keyof PoolEvents<unknown>;
type Listener = (...parameters: any[]) => unknown;

const eventNames: readonly EventName[] = [...hookNames, "error"];

interface Registration {
  readonly event: EventName;
  readonly listener: Listener;
  readonly once: boolean;
}

interface ClassRegistration extends Registration {
  readonly target: Function;
}

/** Of the classes; in order of registration, inserted ones in front. */
const ofClasses: ClassRegistration[] = [];
/** Every pool that may have to hear of a change there; those that were collected are dropped when as many have come. */
const everyone = new Set<WeakRef<Listeners>>();
let pruneAt = 64;

function prune(): void {
  for (const reference of everyone) if (reference.deref() === undefined) everyone.delete(reference);
  pruneAt = 2 * everyone.size + 64;
}

function isClassRegistration(registration: Registration): registration is ClassRegistration {
  return "target" in registration;
}

function add<R extends Registration>(list: R[], registration: R, insert: boolean, isSame: (other: R) => boolean): void {
  if (list.some(isSame)) return;
  if (insert) list.unshift(registration);
  else list.push(registration);
}

/** Checks what on() and listen() are given. */
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

/** Adds a listener on every pool of a class, made before or after; answers the function that removes it. */
export function listenOnClass(
  target: Function,
  event: EventName,
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
  tellEveryone();
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
  if ((list as unknown) === ofClasses) tellEveryone();
  return true;
}

function tellEveryone(): void {
  for (const reference of everyone) reference.deref()?.changed();
}

/** The listeners of one pool, those of its classes included. */
export class Listeners {
  readonly #pool: object;
  readonly #own: Registration[] = [];
  /** By event, as they stand now; undefined where that must be looked up anew. Never changed: a firing goes through one of these. */
  #current = new Map<EventName, readonly Registration[]>();
  /** The listener of `checkout`, where there is one, and for good. */
  onlyCheckout: Listener | undefined = undefined;
  /** Whether `reset` has listeners: asked at every return. */
  hearsReset = false;
  /** Told with the bits of the events that have listeners, by number, whenever they may have changed. */
  #changed: (bits: number) => void = () => {};

  constructor(pool: object) {
    this.#pool = pool;
    // Where there is no WeakRef, a listener of a class is heard by the pools made after it.
    if (typeof WeakRef === "function") everyone.add(new WeakRef(this));
    if (everyone.size > pruneAt) prune();
  }

  set onChange(changed: (bits: number) => void) {
    this.#changed = changed;
    this.changed();
  }

  add(event: EventName, listener: Listener, { once = false, insert = false }: ListenOptions): () => void {
    add(this.#own, { event, listener, once }, insert, (other) => other.event === event && other.listener === listener);
    this.changed();
    return () => void this.remove(event, listener);
  }

  remove(event: EventName, listener: Listener): boolean {
    const isRemoved = removeFrom(this.#own, (other) => other.event === event && other.listener === listener);
    this.changed();
    return isRemoved;
  }

  /** The same listeners on another pool, from now on apart. */
  copyTo(other: Listeners): void {
    other.#own.push(...this.#own);
    other.changed();
  }

  changed(): void {
    this.#current.clear();
    let bits = 0;
    for (const [number, name] of hookNames.entries()) if (this.#of(name).length > 0) bits |= 1 << number;
    const [first, ...others] = this.#of("checkout");
    this.onlyCheckout = first?.once === false && others.length === 0 ? first.listener : undefined;
    this.hearsReset = this.#of("reset").length > 0;
    this.#changed(bits);
  }

  /** Calls the listeners in order; answers a promise only where one of them does. A failure, or another turn of `step`, stops the rest. */
  fire(event: HookName, parameters: readonly unknown[], step: { readonly turn: number }): void | PromiseLike<void> {
    return this.#call(this.#of(event), 0, parameters, step);
  }

  #call(
    list: readonly Registration[],
    first: number,
    parameters: readonly unknown[],
    step: { readonly turn: number },
  ): void | PromiseLike<void> {
    const { turn } = step;
    for (let place = first; place < list.length; place++) {
      const answer = this.#callOne(list[place] as Registration, parameters);
      if (isThenable(answer))
        return Promise.resolve(answer).then(() =>
          step.turn === turn ? this.#call(list, place + 1, parameters, step) : undefined,
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

  /** The error listeners, all of them whatever one throws; nobody waits for them. */
  fireError(parameters: readonly [unknown, object], failed: (error: unknown) => void): void {
    for (const registration of this.#of("error")) {
      try {
        const answer = this.#callOne(registration, parameters);
        if (isThenable(answer)) Promise.resolve(answer).then(undefined, failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  #of(event: EventName): readonly Registration[] {
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

/** The option `events`, in either form, as listeners in their order. */
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
