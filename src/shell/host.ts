/** Facts about the runtime, beyond its clock. Decides nothing about pools. */

interface Versions {
  readonly node?: string;
  readonly bun?: string;
  readonly deno?: string;
}

/** An object that belongs to one I/O context of Workers, and throws when another context touches it. */
export interface ContextMarker {
  readonly readyState: number;
}

const { process, navigator } = globalThis as { process?: { versions?: Versions }; navigator?: { userAgent?: string } };

/** Makes a marker. Only Workers have this class; it needs no import, and exists at every compatibility date. */
export const { WebSocketPair } = globalThis as { WebSocketPair?: new () => { 0: ContextMarker } };

/** Whether the host has I/O contexts. */
export const hasContexts = typeof WebSocketPair === "function";

const isWorkers = navigator?.userAgent === "Cloudflare-Workers";

/** Returns a module of the runtime of Workers, if the host is one and has it. */
function builtin(name: string): object | undefined {
  const { getBuiltinModule } = (process ?? {}) as { getBuiltinModule?(name: string): object | undefined };
  try {
    return isWorkers ? getBuiltinModule?.(name) : undefined;
  } catch {
    // A host may have the name alone, as Next.js.
    return undefined;
  }
}

/** Returns the module `cloudflare:workers`, if the host has it. An import of it fails in other hosts. */
export function cloudflareWorkers(): object | undefined {
  return builtin("cloudflare:workers");
}

/** The functions of node:fs with which a context keeps a number in its own /tmp; see context-link.ts. */
export interface ContextFiles {
  lstatSync(path: URL, options: { readonly throwIfNoEntry: false }): unknown;
  readlinkSync(path: URL): string;
  symlinkSync(target: string, path: URL): void;
}

/** Of node:fs of Workers, as it is now: others may replace its functions. Elsewhere /tmp is one directory for all. */
export const contextFiles = ((): ContextFiles | undefined => {
  const { lstatSync, readlinkSync, symlinkSync } = ((hasContexts && builtin("node:fs")) || {}) as Partial<ContextFiles>;
  return lstatSync && readlinkSync && symlinkSync && { lstatSync, readlinkSync, symlinkSync };
})();

/** Whether a finalisation callback may act. In Workers it runs in no I/O context, so it may only mark. */
export const finalizersMayAct = !isWorkers;

/** Whether the host reports objects that were garbage-collected, and has references that do not keep an object. */
export const canFinalize = typeof FinalizationRegistry === "function" && typeof WeakRef === "function";

/**
 * Whether the `then` of a thenable that resolves a promise is called in the async context in which the promise was
 * made. Node does that before 24, by its hooks. Hosts that carry the context in frames (Node from 24 on, Deno, Bun,
 * workerd) call it in the context of the code that resolves. Browsers have no async context to keep.
 */
export const thenableKeepsContext = ((): boolean => {
  if (isWorkers) return false;
  const versions = process?.versions;
  if (versions?.node === undefined) return true;
  return versions.bun === undefined && versions.deno === undefined && Number.parseInt(versions.node, 10) < 24;
})();

/** Runs a function and returns what it returns. */
export type Run = <R>(run: () => R) => R;

/**
 * Runs a function in the async context in which this module was loaded: outside of every request. What begins there,
 * such as a socket or a timer, keeps no request's AsyncLocalStorage. Hosts without async contexts run the function as
 * it is.
 */
export const outsideOfRequests: Run = ((): Run => {
  interface AsyncHooks {
    AsyncLocalStorage?: { snapshot?(): Run };
  }
  const { getBuiltinModule } = (process ?? {}) as { getBuiltinModule?(name: string): AsyncHooks | undefined };
  try {
    // In Workers a scope ends with its I/O context.
    const snapshot = hasContexts ? undefined : getBuiltinModule?.("node:async_hooks")?.AsyncLocalStorage?.snapshot?.();
    if (snapshot !== undefined) return snapshot;
  } catch {
    // A host may have the names alone.
  }
  return (run) => run();
})();

/** Returns a reference that does not keep the object alive, if the host has such references. */
export function weakly<T extends object>(object: T): { deref(): T | undefined } {
  return typeof WeakRef === "function" ? new WeakRef(object) : { deref: () => object };
}

/** Tells a promise from a value, so that a synchronous answer costs no microtask. */
export function isThenable<T>(value: unknown): value is PromiseLike<T> {
  return isObject(value) && typeof (value as { then?: unknown }).then === "function";
}

export function isObject(value: unknown): value is object {
  return (typeof value === "object" || typeof value === "function") && value !== null;
}
