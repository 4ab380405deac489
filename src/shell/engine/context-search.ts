/**
 * Finds a context among those that were seen, by their markers: for hosts without a directory for each context
 * (context-link.ts), if neither a span nor the user's key names it. Each foreign marker that is asked costs about 10
 * microseconds. Used by contexts.ts.
 */

import { canFinalize } from "../host.js";
import { Place } from "./context-marker.js";

export interface Seen<C> {
  /** Whether it is a Durable Object; undefined if nothing tells. */
  readonly isObject: boolean | undefined;
  readonly reference: { deref(): C | undefined };
  /** Whether all that belongs to it is idle. */
  readonly isAtRest: boolean;
  place(): Place;
  /** Asks what it is. */
  learnKind(): boolean | undefined;
  forget(): void;
}

/** What a search tells if it finds no context. */
export interface Nothing {
  /** Whether the code runs in an object; undefined if nothing tells. */
  readonly isObject: boolean | undefined;
}

/** Hosts without finalisation have no weak references: there the lists keep what is in them. */
const most = { requests: 1024, objects: canFinalize ? Infinity : 1024, kept: 256, keptAtWork: 1024, depth: 16 };

export class SeenContexts<C extends Seen<C>> {
  /** Requests, the last used first. */
  readonly #requests: Array<C["reference"]> = [];
  /** Objects, the last used first. A context of unknown kind is in both lists. */
  readonly #objects: Array<C["reference"]> = [];
  /** Requests, the oldest first, if the host has no finalisation that frees what they hold. */
  readonly #kept: C[] = [];
  /**
   * How many requests are asked if the span is new. Each search in vain makes the next one shorter. One that finds a
   * request shows that requests have several spans here.
   */
  #depth = most.depth;

  /** Takes a context that has begun. Called in it. */
  add(context: C): void {
    context.learnKind();
    if (context.isObject !== true) keep(this.#requests, context, most.requests);
    if (context.isObject === false && !canFinalize) {
      this.#kept.push(context);
      if (this.#kept.length > most.kept) this.#forgetOldest();
    }
  }

  /** Takes an object, or what may be one, that has scopes. */
  addObject(context: C): void {
    if (context.isObject === false || this.#objects.includes(context.reference)) return;
    const fallen = keep(this.#objects, context, most.objects);
    if (!canFinalize) fallen?.deref()?.forget();
  }

  /** An object without scopes need not be searched for. */
  removeObject({ reference }: C): void {
    const place = this.#objects.indexOf(reference);
    if (place >= 0) this.#objects.splice(place, 1);
  }

  /**
   * Returns the current context, or what the markers tell of it. `mayBeNew`: whether the code may belong to a request
   * that was not seen. `isObject`: what is known before.
   */
  search(mayBeNew: boolean, isObject: boolean | undefined): C | Nothing {
    let kind = isObject;
    if (kind !== true) {
      const number = mayBeNew ? this.#depth : Infinity;
      const found = firstHere(this.#requests.length > 0 ? this.#requests : this.#objects, number);
      if ("reference" in found) {
        this.#depth = most.depth;
        return found;
      }
      kind ??= found.isObject;
      if (kind === false && this.#depth > 1) this.#depth--;
    }
    if (kind === false) return { isObject: kind };
    const found = firstHere(this.#objects, Infinity);
    return "reference" in found ? found : { isObject: kind };
  }

  /**
   * Before the compatibility date 2025-05-05 nothing is finalised: the oldest idle request is presumed gone. If too
   * many requests seem to be at work, so is the oldest of them.
   */
  #forgetOldest(): void {
    const atRest = this.#kept.findIndex((context) => context.isAtRest);
    if (atRest < 0 && this.#kept.length <= most.keptAtWork) return;
    this.#kept.splice(Math.max(atRest, 0), 1)[0]?.forget();
  }
}

/** Asks the markers of so many contexts. Moves the current one to the front. Ends if the code runs in another kind. */
function firstHere<C extends Seen<C>>(list: Array<C["reference"]>, number: number): C | Nothing {
  let isObject: boolean | undefined;
  for (let place = 0; place < list.length && place < number;) {
    const context = list[place]?.deref();
    if (context === undefined) {
      list.splice(place, 1);
      continue;
    }
    const where = context.place();
    if (where === Place.Here) {
      list.unshift(...list.splice(place, 1));
      return context;
    }
    if (where === Place.Nowhere) return { isObject: undefined };
    isObject = where === Place.Object;
    if (context.isObject !== undefined && context.isObject !== isObject) break;
    place++;
  }
  return { isObject };
}

/** Puts the context first; returns the one that falls out at the end. */
function keep<R>(list: R[], { reference }: { readonly reference: R }, length: number): R | undefined {
  list.unshift(reference);
  return list.length > length ? list.pop() : undefined;
}
