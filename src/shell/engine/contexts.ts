/**
 * Which I/O context of Cloudflare Workers the code runs in: a request, or a Durable Object for all of its requests. A
 * socket belongs to the context that opened it. Workers do not tell which context is current, so each context is
 * remembered by a marker, an object that throws when another context touches it. A guess is only taken if the marker
 * confirms it. Used by scopes.ts, which decides what a context is given.
 */

import { weakly, WebSocketPair, type ContextMarker } from "../host.js";

/** Returns the span of the invocation that runs: an identity that needs no search, if the runtime has spans. */
let activeSpan: () => object | undefined = () => undefined;

/** Takes the module `cloudflare:workers`; older runtimes have no tracing in it. */
export function identifyBy({ tracing }: { tracing?: { getActiveSpan?(): object | undefined } | undefined }): void {
  if (typeof tracing?.getActiveSpan === "function") activeSpan = () => tracing.getActiveSpan?.();
}

/** Where the code runs, as a marker tells. */
const enum Place {
  /** In the context of the marker. */
  Here,
  /** In another request. */
  Request,
  /** In another context, which is a Durable Object. */
  Actor,
  /** In no context at all: at module scope, or in a finalisation callback. */
  Nowhere,
}

/** A scope that belongs to a context. */
export interface BoundScope {
  /** Whether all that there is in the scope is idle. */
  readonly isAtRest: boolean;
  /** Called when the context is presumed gone: frees what is held outside of the context, and touches nothing else. */
  forget(): void;
}

export class Context {
  /** Whether it is a Durable Object; undefined if nothing tells. */
  readonly isActor: boolean | undefined;
  /** Held by the keys of the context: only its own callers may keep a context alive, and a span keeps what it holds. */
  readonly reference: { deref(): Context | undefined } = weakly(this);
  readonly #marker: ContextMarker;
  /** The scopes that belong to the context, by their owners. */
  readonly #scopes = new Map<object, BoundScope>();

  constructor(marker: ContextMarker, isActor: boolean | undefined) {
    this.#marker = marker;
    this.isActor = isActor;
  }

  /** Whether the code runs in this context. */
  isCurrent(): boolean {
    return this.place() === Place.Here;
  }

  /** @internal */
  place(): Place {
    try {
      void this.#marker.readyState;
      return Place.Here;
    } catch (error) {
      const { message } = error as Error;
      return message.includes("different Durable Object")
        ? Place.Actor
        : message.includes("global scope")
          ? Place.Nowhere
          : Place.Request;
    }
  }

  /** Returns the owner's scope in this context. */
  scopeOf<S extends BoundScope>(owner: object): S | undefined {
    return this.#scopes.get(owner) as S | undefined;
  }

  add(owner: object, scope: BoundScope): void {
    this.#scopes.set(owner, scope);
    if (this.isActor === false || actors.includes(this)) return;
    const fallen = keep(actors, this, most.actors);
    if (!canFinalize) fallen?.forget();
  }

  /** Whether all that belongs to the context is idle. A context without scopes is not known to be. */
  get isAtRest(): boolean {
    return this.#scopes.size > 0 && [...this.#scopes.values()].every((scope) => scope.isAtRest);
  }

  /** Removes the owner's scope. An object without scopes need not be searched for. */
  drop(owner: object): void {
    this.#scopes.delete(owner);
    if (this.#scopes.size === 0) remove(actors, this);
  }

  forget(): void {
    for (const scope of this.#scopes.values()) scope.forget();
    this.#scopes.clear();
  }
}

/** Requests, the latest first. */
const recent: Context[] = [];
/** Objects, the last used first. All of them are searched: they are few, and their connections live long. */
const actors: Context[] = [];
/** By an object that only its context has: the user's key, or a span. */
const byKey = new WeakMap<object, Context["reference"]>();
/** Requests, the oldest first, if the host has no finalisation that frees what their contexts hold. */
const kept: Context[] = [];
const canFinalize = typeof FinalizationRegistry === "function";

const most = { recent: 16, actors: 256, kept: 256, keptAtWork: 1024 };

/**
 * How many requests are searched for one whose span is new. Nearly always the request is new, and a foreign marker
 * throws.
 */
let depth = 1;

/**
 * Returns the current context, made if it is new; undefined outside of any. `key`: the user's object of the context.
 */
export function currentContext(key: object | undefined): Context | undefined {
  const span = activeSpan();
  const context = known(key) ?? known(span) ?? searched(span, kindOf(key), true);
  if (context === undefined) return undefined;
  if (span !== undefined) byKey.set(span, context.reference);
  if (key !== undefined) byKey.set(key, context.reference);
  return context;
}

/** Returns the current context if it has been seen before. */
export function seenContext(): Context | undefined {
  const span = activeSpan();
  return known(span) ?? searched(span, undefined, false);
}

function known(key: object | undefined): Context | undefined {
  const context = key && byKey.get(key)?.deref();
  return context?.isCurrent() === true ? context : undefined;
}

/** The first marker tells whether this is an object, and so which list to search. */
function searched(span: object | undefined, kind: boolean | undefined, mayBegin: boolean): Context | undefined {
  let isActor = kind;
  const candidates = recent.length > 0 ? recent.slice(0, span === undefined ? most.recent : depth) : actors.slice(0, 1);
  for (const context of candidates) {
    const place = context.place();
    if (place === Place.Here) {
      // A request with several spans: from now on others like it are searched for, too.
      if (span !== undefined) depth = most.recent;
      return context;
    }
    if (place === Place.Nowhere) return undefined;
    isActor = place === Place.Actor;
    if (isActor) break;
  }
  const found = isActor === false ? undefined : actors.find((context) => context.isCurrent());
  if (found !== undefined) {
    remove(actors, found);
    actors.unshift(found);
  }
  return found ?? (mayBegin ? begun(isActor) : undefined);
}

/** Whether the user's key is the state of an object. */
function kindOf(key: object | undefined): boolean | undefined {
  return key === undefined ? undefined : "storage" in key ? true : "passThroughOnException" in key ? false : undefined;
}

function begun(isActor: boolean | undefined): Context | undefined {
  let marker: ContextMarker;
  try {
    marker = new (WebSocketPair as NonNullable<typeof WebSocketPair>)()[0];
  } catch {
    return undefined;
  }
  const context = new Context(marker, isActor);
  // A context of unknown kind is searched for as either kind; add() puts it among the objects.
  if (isActor !== true) keep(recent, context, most.recent);
  if (isActor === false && !canFinalize) {
    kept.push(context);
    if (kept.length > most.kept) forgetOldest();
  }
  return context;
}

/**
 * Before the compatibility date 2025-05-05 nothing is finalised: the oldest idle request is presumed gone. If too many
 * requests seem to be at work, so is the oldest of them.
 */
function forgetOldest(): void {
  const atRest = kept.findIndex((context) => context.isAtRest);
  if (atRest < 0 && kept.length <= most.keptAtWork) return;
  kept.splice(Math.max(atRest, 0), 1)[0]?.forget();
}

/** Puts the context first; returns the one that falls out at the end. */
function keep(list: Context[], context: Context, length: number): Context | undefined {
  list.unshift(context);
  return list.length > length ? list.pop() : undefined;
}

function remove(list: Context[], context: Context): void {
  const place = list.indexOf(context);
  if (place >= 0) list.splice(place, 1);
}
