/**
 * Which I/O context of Cloudflare Workers the code runs in: a request, or a Durable Object for all of its requests. A
 * socket belongs to the context that opened it. Workers do not tell which context is current. The user's `ctx`, the
 * span, or a number that the context keeps for itself names it. If nothing does, it is searched for. Whatever names a
 * context, its marker must confirm it. Used by scopes.ts, which decides what a context is given.
 */

import { canFinalize, weakly, type ContextMarker } from "../host.js";
import { hasLinks, linkedNumber, linkNumber } from "./context-link.js";
import { markHere, Place, placeBy } from "./context-marker.js";
import { SeenContexts, type Seen } from "./context-search.js";

/** Returns the span of the code that runs. An event of a socket has none; each call over RPC has one of its own. */
let activeSpan: (() => object | undefined) | undefined;

/** Takes the module `cloudflare:workers`; older runtimes have no tracing in it. */
export function identifyBy({ tracing }: { tracing?: { getActiveSpan?(): object | undefined } | undefined }): void {
  if (typeof tracing?.getActiveSpan === "function") activeSpan = () => tracing.getActiveSpan?.();
}

/** A scope that belongs to a context. */
export interface BoundScope {
  /** Whether all that there is in the scope is idle. */
  readonly isAtRest: boolean;
  /** Called when the context is presumed gone: frees what is held outside of the context, and touches nothing else. */
  forget(): void;
}

export class Context implements Seen<Context> {
  /** Held by what names the context: only its own callers may keep a context alive. */
  readonly reference: { deref(): Context | undefined } = weakly(this);
  /** Names the context in {@link byNumber}. */
  readonly number: number;
  readonly #marker: ContextMarker;
  /** The marker of another context, which tells what this one is. */
  readonly #witness: ContextMarker | undefined;
  #isObject: boolean | undefined;
  /** The scopes that belong to the context, by their owners. */
  readonly #scopes = new Map<object, BoundScope>();

  /** `isObject`: if that is known. */
  constructor(
    number: number,
    marker: ContextMarker,
    witness: ContextMarker | undefined,
    isObject: boolean | undefined,
  ) {
    this.number = number;
    this.#marker = marker;
    this.#witness = witness;
    this.#isObject = isObject;
  }

  /** Whether the code runs in this context. */
  isCurrent(): boolean {
    return this.place() === Place.Here;
  }

  place(): Place {
    return placeBy(this.#marker);
  }

  get isObject(): boolean | undefined {
    return this.#isObject;
  }

  /** Asks whether this is a Durable Object. Called in the context. Returns undefined if no other context has begun. */
  learnKind(): boolean | undefined {
    const witness = this.#witness ?? lastMarker;
    if (this.#isObject === undefined && witness !== undefined) {
      const place = placeBy(witness);
      this.#isObject = place === Place.Object ? true : place === Place.Request ? false : undefined;
    }
    return this.#isObject;
  }

  /** Returns the owner's scope in this context. */
  scopeOf<S extends BoundScope>(owner: object): S | undefined {
    return this.#scopes.get(owner) as S | undefined;
  }

  add(owner: object, scope: BoundScope): void {
    this.#scopes.set(owner, scope);
    if (isSearched()) seen.addObject(this);
  }

  get isAtRest(): boolean {
    return this.#scopes.size > 0 && [...this.#scopes.values()].every((scope) => scope.isAtRest);
  }

  /** Removes the owner's scope. */
  drop(owner: object): void {
    this.#scopes.delete(owner);
    if (this.#scopes.size === 0) seen.removeObject(this);
  }

  forget(): void {
    byNumber.delete(this.number);
    for (const scope of this.#scopes.values()) scope.forget();
    this.#scopes.clear();
  }
}

/** By an object that only its context has: the user's key, or a span. */
const byObject = new WeakMap<object, Context["reference"]>();
/** By the number that the context keeps. Swept now and then: a registry of finalisers would cost more. */
const byNumber = new Map<number, Context["reference"]>();
const seen = new SeenContexts<Context>();
/** The marker of the context that began last. */
let lastMarker: ContextMarker | undefined;
let begunCount = 0;
const sweepEvery = 1024;

/** Whether contexts are remembered beyond what names them. Hosts without finalisation must forget what is gone. */
function isSearched(): boolean {
  return !hasLinks() || !canFinalize;
}

/**
 * Returns the current context, made if it is new; undefined outside of any. `key`: an object of the user's, which names
 * the context if it is the `ctx` of a handler or the state of a Durable Object.
 */
export function currentContext(key: object | undefined): Context | undefined {
  const isObject = kindOf(key);
  const own = isObject === undefined ? undefined : key;
  const known = named(own);
  // The key names it as well as a span would, and the runtime makes a new object of each span that is asked for.
  if (known !== undefined) return known;
  const span = activeSpan?.();
  const context = named(span) ?? (hasLinks() ? linked(isObject) : searched(span, isObject));
  if (context === undefined) return undefined;
  if (span !== undefined) byObject.set(span, context.reference);
  if (own !== undefined) byObject.set(own, context.reference);
  return context;
}

/** Returns the current context if it has been seen before. */
export function seenContext(): Context | undefined {
  const span = activeSpan?.();
  const context = named(span);
  if (context !== undefined) return context;
  if (hasLinks()) return confirmed(byNumber.get(linkedNumber() ?? 0));
  const found = seen.search(mayBeNew(span), undefined);
  return found instanceof Context ? found : undefined;
}

function named(object: object | undefined): Context | undefined {
  return confirmed(object && byObject.get(object));
}

function confirmed(reference: Context["reference"] | undefined): Context | undefined {
  const context = reference?.deref();
  return context?.isCurrent() === true ? context : undefined;
}

/** A context that is entered again may be an object. If it is one, its scopes should know. */
function linked(isObject: boolean | undefined): Context | undefined {
  const number = linkedNumber();
  const context = number === undefined ? undefined : confirmed(byNumber.get(number));
  if (context === undefined) return begun(isObject, number);
  context.learnKind();
  return context;
}

function searched(span: object | undefined, isObject: boolean | undefined): Context | undefined {
  const found = seen.search(mayBeNew(span), isObject);
  return found instanceof Context ? found : begun(found.isObject, undefined);
}

/** A request begins with a span, in a host that has spans. */
function mayBeNew(span: object | undefined): boolean {
  return span !== undefined || activeSpan === undefined;
}

/** Whether the user's key is the state of an object, or the ctx of a request; undefined if it is something else. */
function kindOf(key: object | undefined): boolean | undefined {
  if (key === undefined) return undefined;
  // A store of the user's may well have something named storage.
  return "blockConcurrencyWhile" in key ? true : "passThroughOnException" in key ? false : undefined;
}

/** `kept`: the number that the I/O context keeps already, if an earlier context of it is gone. */
function begun(isObject: boolean | undefined, kept: number | undefined): Context | undefined {
  const marker = markHere();
  if (marker === undefined) return undefined;
  const number = kept ?? ++begunCount;
  const context = new Context(number, marker, lastMarker, isObject);
  lastMarker = marker;
  if (kept === undefined) linkNumber(number);
  if (hasLinks()) byNumber.set(number, context.reference);
  if (isSearched()) seen.add(context);
  if (begunCount % sweepEvery === 0) sweep();
  return context;
}

function sweep(): void {
  for (const [number, reference] of byNumber) if (reference.deref() === undefined) byNumber.delete(number);
}
