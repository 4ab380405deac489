/** The numbers that cross to the WebAssembly and back, as src/bindings/words.rs defines them. Used wherever they are read or written. */

import type { DriverCall } from "./dialect.js";

/** The index part of a handle. */
export const indexMask = (1 << 20) - 1;
/** The argument of a step that concerns no slot. */
export const noSlot = indexMask;
/** In a word: the operation only waits. Such a word is below `-asleep`. */
export const asleep = 1 << 30;
/** The word of a checkout that is refused. */
export const refused = -asleep;

/** In the word of a return: its first step is the reset. */
export const resets = 1 << 30;
/** In the last step word of an operation: there is news. Such a lease is above {@link handleMask}. */
export const handleMask = (1 << 30) - 1;

/** Of next_news: there is none. Below it stand children. */
export const noNews = -1;

/** Codes of steps and notices. Of a step word: `~word & 15`; its argument: `~word >> 4`. */
export const enum Code {
  Wait = 0,
  Open = 1,
  Rollback = 2,
  Commit = 3,
  Close = 4,
  Terminate = 5,
  Reject = 6,
  Done = 7,
  Resume = 8,
  Expire = 9,
  Ping = 10,
  Finalize = 11,
  Emit = 12,
  Share = 13,
  Detach = 14,
}

export const enum Outcome {
  Ok = 0,
  Failed = 1,
  TimedOut = 2,
  LateOk = 3,
  LateFailed = 4,
  Disconnected = 5,
  DisconnectedAll = 6,
}

export const enum Refusal {
  Failed = 0,
  Aborted = 1,
  Closed = 2,
  QueueFull = 3,
  WaitTimeout = 4,
  WaitDeadline = 5,
  OpenTimeout = 6,
  OpenDeadline = 7,
  PingDeadline = 8,
  ListenerTimeout = 9,
  ListenerDeadline = 10,
  Disconnected = 11,
  InUse = 12,
}

/** The events that the policy tells of, by their numbers: in a step the argument above the slot, in a set of hooks the bit. */
export const hookNames = [
  "firstConnect",
  "connect",
  "checkout",
  "reset",
  "checkin",
  "invalidate",
  "softInvalidate",
  "close",
  "detach",
  "closeDetached",
] as const;
export type HookName = (typeof hookNames)[number];
/** In a set of hooks: no lease may be handed over at once. */
export const everyLease = 1 << hookNames.length;

/** What a step calls on a connection, by its code. */
export const callOf: readonly (DriverCall | undefined)[] = [
  undefined,
  undefined,
  "rollback",
  "commit",
  "close",
  "terminate",
];

const poolsOwn = -2;
const forever = -1;

/** A duration for an i32: whole milliseconds, rounded up so that nothing ends early; undefined for the pool's own. */
export function toCoreMillis(ms: number | undefined): number {
  if (ms === undefined) return poolsOwn;
  return ms >= 2 ** 30 ? forever : Math.ceil(ms);
}
