/**
 * Which I/O context of Cloudflare Workers the code runs in: a request, or a Durable Object for all of its requests. A
 * socket belongs to the one that opened it. Nothing says which one is current, so each is remembered by a marker, an
 * object that throws when it is touched from another. A wrong guess is never taken: the marker has the last word. Used by
 * scopes.ts, which decides what a context is given.
 */

interface Marker {
  readonly readyState: number;
}

/** Workers and nobody else have this; it works from every compatibility date on, and needs no import. */
const { WebSocketPair } = globalThis as { WebSocketPair?: new () => { 0: Marker } };

/** Whether the host has I/O contexts. */
export const hasContexts = typeof WebSocketPair === "function";

/** The span of the invocation that runs: an identity that needs no search, where the runtime has one. */
let activeSpan: () => object | undefined = () => undefined;

/** Takes the module `cloudflare:workers`; older runtimes have no tracing in it. */
export function identifyBy({ tracing }: { tracing?: { getActiveSpan?(): object | undefined } | undefined }): void {
  if (typeof tracing?.getActiveSpan === "function") activeSpan = () => tracing.getActiveSpan?.();
}

/** What a marker tells of where the code runs. */
const enum Place {
  /** Where the marker was made. */
  Here,
  /** In another request. */
  Request,
  /** In another context, which is a Durable Object. */
  Actor,
  /** In no context at all: at module scope, or in a finalisation callback. */
  Nowhere,
}

/** What belongs to a context. */
export interface Ends {
  /** Whether nobody has, or wants, anything of it. */
  readonly isAtRest: boolean;
  /** Its context is taken for gone: gives up what it holds outside of it, and touches nothing else. */
  forget(): void;
}

export class Context {
  /** Whether it is a Durable Object; undefined where nothing tells. */
  readonly isActor: boolean | undefined;
  /** What its keys hold: a context that only its own callers hold must go with them, and a span holds on to all of these. */
  readonly reference: { deref(): Context | undefined } =
    typeof WeakRef === "function" ? new WeakRef(this) : { deref: () => this };
  readonly #marker: Marker;
  /** What belongs to it, by whose it is. */
  readonly #scopes = new Map<object, Ends>();

  constructor(marker: Marker, isActor: boolean | undefined) {
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

  /** What belongs to it of this owner. */
  scopeOf<S extends Ends>(owner: object): S | undefined {
    return this.#scopes.get(owner) as S | undefined;
  }

  add(owner: object, scope: Ends): void {
    this.#scopes.set(owner, scope);
    if (this.isActor === false || actors.includes(this)) return;
    const fallen = keep(actors, this, most.actors);
    if (!canFinalize) fallen?.forget();
  }

  /** Whether nobody has, or wants, anything that belongs to it. Of one that is new nobody knows. */
  get isAtRest(): boolean {
    return this.#scopes.size > 0 && [...this.#scopes.values()].every((scope) => scope.isAtRest);
  }

  /** An object that holds nothing any more need not be searched for. */
  drop(owner: object): void {
    this.#scopes.delete(owner);
    if (this.#scopes.size === 0) remove(actors, this);
  }

  forget(): void {
    for (const scope of this.#scopes.values()) scope.forget();
    this.#scopes.clear();
  }
}

/** Requests, the latest first: where they are searched, no matter how long they live. */
const recent: Context[] = [];
/** Objects, the last used first: few, and their connections live long, so all of them are searched. */
const actors: Context[] = [];
/** By an object that only its context has: what the user gave, or a span. */
const byKey = new WeakMap<object, Context["reference"]>();
/** Requests, where no finalisation frees what their contexts hold; the oldest first. */
const kept: Context[] = [];
const canFinalize = typeof FinalizationRegistry === "function";

const most = { recent: 16, actors: 256, kept: 256, keptAtWork: 1024 };

/** How many requests are searched for one whose span is new: nearly always it is new itself, and a foreign marker costs a throw. */
let depth = 1;

/** The current context, or undefined where there is none. `key`: an object that the user says is the context's own. */
export function currentContext(key: object | undefined): Context | undefined {
  const span = activeSpan();
  const context = known(key) ?? known(span) ?? searched(span, kindOf(key), true);
  if (context === undefined) return undefined;
  if (span !== undefined) byKey.set(span, context.reference);
  if (key !== undefined) byKey.set(key, context.reference);
  return context;
}

/** The same, where it has been seen before. */
export function seenContext(): Context | undefined {
  const span = activeSpan();
  return known(span) ?? searched(span, undefined, false);
}

function known(key: object | undefined): Context | undefined {
  const context = key && byKey.get(key)?.deref();
  return context?.isCurrent() === true ? context : undefined;
}

/** The first marker tells whether this is an object, and so which list to go through. */
function searched(span: object | undefined, kind: boolean | undefined, mayBegin: boolean): Context | undefined {
  let isActor = kind;
  const candidates = recent.length > 0 ? recent.slice(0, span === undefined ? most.recent : depth) : actors.slice(0, 1);
  for (const context of candidates) {
    const place = context.place();
    if (place === Place.Here) {
      // A request that has spans of its own: from now on others like it are looked for, too.
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

/** Whether what the user gave is the state of an object. */
function kindOf(key: object | undefined): boolean | undefined {
  return key === undefined ? undefined : "storage" in key ? true : "passThroughOnException" in key ? false : undefined;
}

function begun(isActor: boolean | undefined): Context | undefined {
  let marker: Marker;
  try {
    marker = new (WebSocketPair as NonNullable<typeof WebSocketPair>)()[0];
  } catch {
    return undefined;
  }
  const context = new Context(marker, isActor);
  // One of which nothing is known is searched for as either; add() puts it among the objects.
  if (isActor !== true) keep(recent, context, most.recent);
  if (isActor === false && !canFinalize) {
    kept.push(context);
    if (kept.length > most.kept) forgetOldest();
  }
  return context;
}

/** Before the compatibility date 2025-05-05 nothing is ever finalised: the oldest request that holds nothing is taken for gone, and of too many that seem to be at work the oldest. */
function forgetOldest(): void {
  const atRest = kept.findIndex((context) => context.isAtRest);
  if (atRest < 0 && kept.length <= most.keptAtWork) return;
  kept.splice(Math.max(atRest, 0), 1)[0]?.forget();
}

/** Puts it first; answers the one that falls out at the end. */
function keep(list: Context[], context: Context, length: number): Context | undefined {
  list.unshift(context);
  return list.length > length ? list.pop() : undefined;
}

function remove(list: Context[], context: Context): void {
  const place = list.indexOf(context);
  if (place >= 0) list.splice(place, 1);
}
