/**
 * The one WebAssembly instance of this copy of the package: attached by an entry (entry/*.ts), and dead for good after
 * a trap. Called through policy.ts.
 */

import { PoolCrashedError, PoolError } from "../errors.js";
import type { InitOutput } from "../wasm/edgepool.js";

/** The raw exports: integers in and out, without the generated glue, which would cost more than the calls. */
export type Exports = InitOutput;

let attached: Exports | undefined;
let trap: { cause: unknown } | undefined;

/** The scopes whose host timer runs: a crash must reject their callers. */
const watching = new Set<{ crashed(): void }>();

/** Throws if the host has no WebAssembly: what it would say by itself names a global alone. */
export function requireWebAssembly(): void {
  if (typeof WebAssembly === "object") return;
  throw new PoolError(
    "ERR_POOL_INVALID_REQUEST",
    "this host has no WebAssembly, and edgepool cannot run without it",
    "",
  );
}

export function attach(exports: Exports): void {
  attached = exports;
}

export function isAttached(): boolean {
  return attached !== undefined;
}

export function exportsOf(pool: string): Exports {
  if (attached === undefined) {
    throw new PoolError(
      "ERR_POOL_INVALID_REQUEST",
      'edgepool/slim has no WebAssembly yet: call initialize(module) first, or import "edgepool"',
      pool,
    );
  }
  return attached;
}

export function watch(operations: { crashed(): void }, on: boolean): void {
  if (on) watching.add(operations);
  else watching.delete(operations);
}

/** Records the trap and rejects every caller that waits. */
export function crash(cause: unknown): void {
  if (trap !== undefined) return;
  trap = { cause };
  for (const operations of watching) operations.crashed();
  watching.clear();
}

export function hasCrashed(): boolean {
  return trap !== undefined;
}

export function crashError(pool: string): PoolCrashedError {
  return new PoolCrashedError(pool, trap?.cause);
}
