/**
 * The scopes of one pool, where it has more than one: in Cloudflare Workers one for each I/O context, elsewhere one for
 * each key of the user's `scope` function. Each is a driver of its own, so that no connection, waiter or timer passes from
 * one to another; what is pool-wide is numbers, which the policy keeps. Made by pool.ts.
 */

import { currentContext, hasContexts, seenContext, type Context } from "./contexts.js";
import type { Driver, Home } from "./driver.js";
import { ArgumentError, InvalidRequestError } from "./errors.js";
import { isThenable } from "./thenable.js";
import { show } from "./values.js";

export class Scopes<C> {
  /** The pool's first driver. In Workers it has no context and serves nobody: it stands for the pool where no scope does. */
  readonly #first: Driver<C>;
  readonly #make: (home: Home) => Driver<C>;
  readonly #keyOf: (() => unknown) | undefined;
  /** By key, and by context in Workers, where the same key may be another's too. */
  readonly #byKey = new WeakMap<object, WeakMap<object, Driver<C>>>();
  /** Where none of them is out of reach: those of the keys that live. */
  readonly #reachable = new Set<Driver<C>>();
  /** Ends the scopes whose keys were collected. It must not keep them: a driver does not know its key. */
  readonly #collected =
    typeof FinalizationRegistry === "function" && !hasContexts
      ? new FinalizationRegistry<Driver<C>>((driver) => void this.#end(driver))
      : undefined;

  constructor(first: Driver<C>, make: (home: Home) => Driver<C>, keyOf: (() => unknown) | undefined) {
    this.#first = first;
    this.#make = make;
    this.#keyOf = keyOf;
  }

  /** The driver of the current scope, made where there is none. Throws where there can be none. */
  current(given: object | undefined): Driver<C> {
    const key = given ?? this.#ownKey();
    const context = hasContexts ? currentContext(this.#keyOf === undefined ? key : undefined) : undefined;
    if (hasContexts && context === undefined) {
      const pool = this.#first.name;
      throw new InvalidRequestError(
        `the pool ${pool} was asked for a connection outside of any request, where Workers allow no connections: use the pool in a handler, not at module scope`,
        pool,
      );
    }
    const driver = this.#find(key, context);
    if (driver !== undefined) {
      driver.catchUp();
      return driver;
    }
    return this.#first.isClosed ? this.#first : this.#begin(key, context);
  }

  /** The driver of the current scope, or the first where there is none. */
  seen(): Driver<C> {
    return this.#find(this.#ownKey(), hasContexts ? seenContext() : undefined) ?? this.#first;
  }

  /** Those that may be told at once that the pool ends: in Workers the current scope, elsewhere all of them. */
  withinReach(): Driver<C>[] {
    if (!hasContexts) return [this.#first, ...this.#reachable];
    try {
      return [this.seen()];
    } catch {
      // The user's function has no key to give here.
      return [this.#first];
    }
  }

  /** Ends the scope of a key. */
  end(key: unknown): Promise<void> {
    if (typeof key !== "object" || key === null)
      return Promise.reject(
        new ArgumentError(`endScope() wants the key of a scope, an object; it got ${show(key)}`, this.#first.name),
      );
    const place = this.#placeOf(hasContexts ? seenContext() : undefined);
    const driver = this.#byKey.get(key)?.get(place);
    if (driver === undefined) return Promise.resolve();
    this.#byKey.get(key)?.delete(place);
    this.#collected?.unregister(driver);
    return this.#end(driver);
  }

  #end(driver: Driver<C>): Promise<void> {
    this.#reachable.delete(driver);
    return driver.end();
  }

  #ownKey(): object | undefined {
    const key = this.#keyOf?.();
    if (key === undefined || (typeof key === "object" && key !== null && !isThenable(key))) return key;
    throw new ArgumentError(
      `scope must return an object, or undefined; it returned ${isThenable(key) ? "a promise" : show(key)}`,
      this.#first.name,
    );
  }

  /** What stands for a context, or for a host that has none, in {@link #byKey}. */
  #placeOf(context: Context | undefined): object {
    return context ?? this;
  }

  #find(key: object | undefined, context: Context | undefined): Driver<C> | undefined {
    if (this.#keyOf !== undefined && key !== undefined) return this.#byKey.get(key)?.get(this.#placeOf(context));
    return hasContexts ? context?.scopeOf<Driver<C>>(this) : this.#first;
  }

  #begin(key: object | undefined, context: Context | undefined): Driver<C> {
    const isKeyed = this.#keyOf !== undefined && key !== undefined;
    const driver: Driver<C> = this.#make({
      context,
      first: this.#first,
      emptied: () => context?.drop(isKeyed ? driver : this),
    });
    if (isKeyed) {
      let byPlace = this.#byKey.get(key);
      if (byPlace === undefined) this.#byKey.set(key, (byPlace = new WeakMap()));
      byPlace.set(this.#placeOf(context), driver);
      this.#collected?.register(key, driver, driver);
      if (!hasContexts) this.#reachable.add(driver);
    }
    context?.add(isKeyed ? driver : this, driver);
    return driver;
  }
}
