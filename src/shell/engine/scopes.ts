/**
 * The scopes of a pool that has more than one: in Cloudflare Workers one for each I/O context, elsewhere one for each
 * key of the user's `scope` function. No connection, waiter or timer passes from one scope to another; what is
 * pool-wide is numbers, which the policy keeps. Made by pool.ts.
 */

import { ArgumentError, InvalidRequestError } from "../errors.js";
import { hasContexts, isThenable, weakly } from "../host.js";
import { show } from "../validate.js";
import { currentContext, seenContext, type Context } from "./contexts.js";
import type { Scope, ScopeParent } from "./scope.js";

export class Scopes<C> {
  /** The pool's first scope. In Workers it has no context and serves no caller: it stands for the pool as a whole. */
  readonly #first: Scope<C>;
  readonly #make: (parent: ScopeParent) => Scope<C>;
  readonly #keyOf: (() => unknown) | undefined;
  /** By key, and in Workers by context, because several contexts may use one key. */
  readonly #byKey = new WeakMap<object, WeakMap<object, Scope<C>>>();
  /** Without I/O contexts: the scopes of the keys that were not collected. */
  readonly #reachable = new Map<number, Scope<C>>();
  /** Without I/O contexts: scopes that have ended, and of which something may be left. */
  readonly #ended = new Set<Scope<C>>();
  /** From so many on it is worth while to look for those of which nothing is left. */
  #mostEnded = 16;
  /** Ends the scopes whose keys were collected. A scope must not keep its key, so it does not know it. */
  readonly #collected =
    typeof FinalizationRegistry === "function" && !hasContexts
      ? new FinalizationRegistry<Scope<C>>((scope) => void this.#end(scope))
      : undefined;

  constructor(first: Scope<C>, make: (parent: ScopeParent) => Scope<C>, keyOf: (() => unknown) | undefined) {
    this.#first = first;
    this.#make = make;
    this.#keyOf = keyOf;
    if (!hasContexts) first.wakeOthers = this.#wake;
  }

  readonly #wake = (): void => {
    for (let number: number; (number = this.#first.nextWokenScope()) >= 0;) {
      (number === this.#first.number ? this.#first : this.#reachable.get(number))?.catchUp();
    }
  };

  /** Returns the current scope, made if there is none. Throws if there can be none. */
  current(given: object | undefined): Scope<C> {
    const key = given ?? this.#ownKey();
    const context = hasContexts ? currentContext(key) : undefined;
    if (hasContexts && context === undefined) {
      const pool = this.#first.name;
      throw new InvalidRequestError(
        `the pool ${pool} was used outside of any request, and Workers allow no connections there: use the pool ` +
          `in a handler, not at module scope`,
        pool,
      );
    }
    const scope = this.#find(key, context);
    if (scope !== undefined) {
      if (context?.isObject === true) scope.learnPlace();
      scope.catchUp();
      return scope;
    }
    return this.#first.isClosed ? this.#first : this.#begin(key, context);
  }

  /** Returns the current scope, if there is one. */
  seen(): Scope<C> | undefined {
    const scope = this.#find(this.#ownKey(), hasContexts ? seenContext() : undefined);
    scope?.learnPlace();
    return scope;
  }

  /** Returns the number of the current I/O context, or -1. */
  get contextNumber(): number {
    return hasContexts ? (seenContext()?.number ?? -1) : -1;
  }

  /** Returns the scopes that can act now: in Workers the current one, elsewhere all of them, ended ones too. */
  withinReach(): Scope<C>[] {
    if (!hasContexts) return [this.#first, ...this.#reachable.values(), ...this.#ended];
    try {
      return [this.seen() ?? this.#first];
    } catch {
      // The user's function has no key here.
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
    const scope = this.#byKey.get(key)?.get(place);
    if (scope === undefined) return Promise.resolve();
    this.#byKey.get(key)?.delete(place);
    this.#collected?.unregister(scope);
    return this.#end(scope);
  }

  #end(scope: Scope<C>): Promise<void> {
    this.#reachable.delete(scope.number);
    const ended = scope.end();
    if (!hasContexts && !scope.isEmpty) this.#keepEnded(scope);
    return ended;
  }

  #keepEnded(scope: Scope<C>): void {
    if (this.#ended.size >= this.#mostEnded) {
      for (const other of this.#ended) if (other.isEmpty) this.#ended.delete(other);
      this.#mostEnded = 2 * this.#ended.size + 16;
    }
    this.#ended.add(scope);
  }

  #ownKey(): object | undefined {
    const key = this.#keyOf?.();
    if (key === undefined || (typeof key === "object" && key !== null && !isThenable(key))) return key;
    throw new ArgumentError(
      `scope must return an object, or undefined; it returned ${isThenable(key) ? "a promise" : show(key)}`,
      this.#first.name,
    );
  }

  /** Returns the key of a context in {@link #byKey}; a host without contexts has one. */
  #placeOf(context: Context | undefined): object {
    return context ?? this;
  }

  #find(key: object | undefined, context: Context | undefined): Scope<C> | undefined {
    if (this.#keyOf !== undefined && key !== undefined) return this.#byKey.get(key)?.get(this.#placeOf(context));
    return hasContexts ? context?.scopeOf<Scope<C>>(this) : this.#first;
  }

  #begin(key: object | undefined, context: Context | undefined): Scope<C> {
    const isKeyed = this.#keyOf !== undefined && key !== undefined;
    const scope: Scope<C> = this.#make({
      context,
      first: this.#first,
      key: isKeyed ? weakly(key) : undefined,
      onEmpty: () => context?.drop(isKeyed ? scope : this),
    });
    if (isKeyed) {
      let byPlace = this.#byKey.get(key);
      if (byPlace === undefined) this.#byKey.set(key, (byPlace = new WeakMap()));
      byPlace.set(this.#placeOf(context), scope);
      this.#collected?.register(key, scope, scope);
      if (!hasContexts) {
        this.#reachable.set(scope.number, scope);
        scope.wakeOthers = this.#wake;
      }
    }
    context?.add(isKeyed ? scope : this, scope);
    return scope;
  }
}
