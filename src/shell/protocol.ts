/** The numbers that cross to the WebAssembly and back, as src/bindings/mod.rs defines them. Used by driver.ts and refusal.ts. */

import type { DriverCall } from "./dialect.js";

/** The index part of a handle. */
export const indexMask = (1 << 20) - 1;
/** The argument of a step that concerns no slot. */
export const noSlot = indexMask;
/** The word of a checkout that is refused. */
export const refused = -(2 ** 31);
/** In a word: the operation only waits. Such a word is below `-asleep`. */
export const asleep = 1 << 30;

/** Codes of steps and notices. Of a step word: `~word & 15`; its argument: `~word >> 4`. */
export const Code = { Wait: 0, Open: 1, Rollback: 2, Commit: 3, Close: 4, Terminate: 5, Reject: 6, Done: 7, Resume: 8, Expire: 9 } as const;

export const Outcome = { Ok: 0, Failed: 1, TimedOut: 2, LateOk: 3, LateFailed: 4 } as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

export const Refusal = { Failed: 0, Aborted: 1, Closed: 2, QueueFull: 3, WaitTimeout: 4, WaitDeadline: 5, OpenTimeout: 6, OpenDeadline: 7 } as const;

/** What a step calls on a connection, by its code. */
export const callOf: readonly (DriverCall | "open")[] = ["open", "open", "rollback", "commit", "close", "terminate"];

const poolsOwn = -2;
const forever = -1;

/** A duration for an i32: whole milliseconds, rounded up so that nothing ends early; undefined for the pool's own. */
export function toCoreMillis(ms: number | undefined): number {
  if (ms === undefined) return poolsOwn;
  return ms >= 2 ** 30 ? forever : Math.ceil(ms);
}
