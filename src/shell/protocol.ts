/**
 * How everything is encoded that crosses to the WebAssembly and back. Written by tests/policy/protocol.rs from
 * src/bindings/protocol.rs and src/policy/config.rs: `UPDATE=1 cargo test --test policy protocol`. No other file knows
 * a mask or a shift.
 */

const indexMask = 1048575;
const handleMask = 1073741823;
/** The bit above every handle. */
const flag = 1073741824;
const codeMask = 31;

/** Codes of steps and notices. */
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
  ResetSession = 15,
  Cancel = 16,
  Release = 17,
  Follow = 18,
}

/** What the loss of a connection says of the others. */
export const enum Loss {
  None = 0,
  Alone = 1,
  Others = 2,
}

/** How a step went. */
export const enum Outcome {
  Ok = 0,
  Failed = 1,
  TimedOut = 2,
  LateOk = 3,
  LateFailed = 4,
  Disconnected = 5,
  DisconnectedAll = 6,
  StillOpen = 7,
  Unavailable = 8,
}

/** What the driver says of a connection that comes back. */
export const enum Condition {
  Open = 0,
  Clean = 1,
  Busy = 2,
  GivenUp = 3,
  Stuck = 4,
  Lost = 5,
}

/** Why a caller gets no connection. */
export const enum Refusal {
  Failed = 0,
  Closed = 1,
  QueueFull = 2,
  WaitTimeout = 3,
  WaitDeadline = 4,
  OpenTimeout = 5,
  OpenDeadline = 6,
  PingDeadline = 7,
  ListenerTimeout = 8,
  ListenerDeadline = 9,
  Disconnected = 10,
  InUse = 11,
}

/** The events that the policy emits, by their numbers. */
export const policyEvents = [
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
export type PolicyEvent = (typeof policyEvents)[number];

/** The kinds of pool by their numbers, and what the policy says of each. */
export const kinds = [
  {
    name: "QueuePool",
    shares: false,
    pings: true,
    invalidatesForAll: false,
    defaults: {},
  },
  {
    name: "NullPool",
    shares: false,
    pings: false,
    invalidatesForAll: false,
    defaults: { timeout: Infinity },
  },
  {
    name: "SingletonThreadPool",
    shares: true,
    pings: true,
    invalidatesForAll: true,
    defaults: { timeout: Infinity },
  },
  {
    name: "StaticPool",
    shares: true,
    pings: true,
    invalidatesForAll: false,
    defaults: { timeout: Infinity },
  },
  {
    name: "AssertionPool",
    shares: false,
    pings: true,
    invalidatesForAll: false,
    defaults: { timeout: Infinity },
  },
] as const;
export type Kind = (typeof kinds)[number]["name"];

/** The reset styles by their numbers. */
export const resetStyles = ["none", "rollback", "commit", "session"] as const;

/** The options that cross as numbers, in the order in which they cross. */
export const options = [
  { name: "kind", form: "kind", default: 0, kinds: [] },
  { name: "poolSize", form: "number", default: 5, kinds: ["QueuePool", "SingletonThreadPool"] },
  { name: "maxOverflow", form: "number", default: 10, kinds: ["QueuePool"] },
  { name: "maxWaiters", form: "number", default: Infinity, kinds: ["QueuePool"] },
  { name: "timeout", form: "limit", default: 30000, kinds: ["QueuePool"] },
  { name: "driverTimeout", form: "limit", default: 30000 },
  { name: "returnTimeout", form: "limit", default: 1000 },
  { name: "openTimeout", form: "limit", default: -1 },
  { name: "openRetry", form: "retry", default: -1 },
  { name: "deadline", form: "limit", default: Infinity },
  { name: "useLifo", form: "flag", default: 0, kinds: ["QueuePool"] },
  { name: "resetOnReturn", form: "style", default: 1 },
  { name: "recycle", form: "age", default: Infinity },
  { name: "maxAge", form: "duration", default: Infinity },
  { name: "recycleJitter", form: "number", default: 0 },
  { name: "prePing", form: "flag", default: 0 },
  { name: "prePingAfterIdle", form: "duration", default: 0 },
  { name: "pingTimeout", form: "limit", default: 5000 },
  { name: "idleTimeout", form: "limit", default: Infinity, kinds: ["QueuePool"] },
  { name: "minIdle", form: "number", default: 0, kinds: ["QueuePool"] },
  { name: "min", form: "number", default: 0, kinds: ["QueuePool"] },
  { name: "refill", form: "flag", default: 1, kinds: ["QueuePool"] },
  { name: "maxUses", form: "number", default: Infinity, kinds: ["QueuePool"] },
  { name: "maxConnecting", form: "number", default: Infinity, kinds: ["QueuePool"] },
  { name: "holdLimit", form: "duration", default: Infinity, kinds: ["QueuePool", "NullPool", "AssertionPool"] },
  { name: "onHoldLimit", form: "action", default: 0, kinds: ["QueuePool", "NullPool", "AssertionPool"] },
] as const;
export type OptionName = (typeof options)[number]["name"];

/** Where a pool serves, as far as that changes its defaults. */
export const enum Place {
  Isolate = 0,
  Request = 1,
  Object = 2,
}

/** The defaults of a QueuePool that differ in a place, by the number of the place. */
export const placeDefaults: readonly Partial<Record<OptionName, number>>[] = [
  {},
  { maxOverflow: 0, idleTimeout: 30000, maxConnecting: 5 },
  { idleTimeout: 30000 },
];

/** Why an operation replaces its connection, by number. Empty for a reason that is logged elsewhere. */
export const stalenesses = ["", "age", "pool invalidated", "soft-invalidated"] as const;

/** The gauges, limits and counters of the statistics, in the order in which they cross. */
export const gauges = ["total", "idle", "used", "returning", "opening", "closing", "waiting", "detached"] as const;
export const limits = ["max", "maxIdle", "minIdle"] as const;
export const counters = [
  "opened",
  "openFailed",
  "checkouts",
  "waited",
  "timedOut",
  "aborted",
  "recycled",
  "invalidated",
  "leaked",
] as const;

// ---- handles

/** The index of a handle. */
export function indexOf(handle: number): number {
  return handle & indexMask;
}

// ---- the word of a checkout

/** Whether the checkout was granted: the word is a lease. */
export function isLease(word: number): boolean {
  return word >= 0;
}

/** Whether the operation waits, and neither a step nor a tick is due. */
export function isAsleep(word: number): boolean {
  return word < -1073741824;
}

/** Whether the checkout was refused. */
export function isRefused(word: number): boolean {
  return word === -1073741824;
}

/** The operation of a checkout that is neither granted nor refused, or of a return that goes on. */
export function operationOf(word: number): number {
  return ~word & handleMask;
}

// ---- the word of a return

/** Whether the slot went to a waiter. */
export function isHandedOver(result: number): boolean {
  return result >= 2;
}

/** Whether the return ended at once. */
export function isReturned(result: number): boolean {
  return result >= 0;
}

/** Whether a return that ended at once left output. */
export function leavesOutput(result: number): boolean {
  return result === 1;
}

/** The index of the waiter that has the slot now. */
export function waiterOf(result: number): number {
  return (result - 2) & indexMask;
}

/** The lease of that waiter, after this one of the same slot. */
export function leaseAfter(lease: number, result: number): number {
  return (lease & indexMask) | ((result - 2) & ~indexMask);
}

/** Whether a return that goes on begins with the reset of its slot, and left no output. */
export function beginsWithReset(result: number): boolean {
  return ~result >= flag;
}

// ---- steps and notices

/** Whether the step grants a lease. */
export function isGrant(step: number): boolean {
  return step >= 0;
}

/** The lease that a step grants. */
export function leaseOf(step: number): number {
  return step & handleMask;
}

export function codeOf(step: number): Code {
  return ~step & codeMask;
}

/** The step of this code that concerns the slot. */
export function stepOf(code: Code, slot: number): number {
  return ~(code | (slot << 5));
}

/** The slot that a step concerns, or {@link noSlot}. */
export function slotOf(step: number): number {
  return (~step >> 5) & indexMask;
}

/** Of a step that concerns a connection without a slot. */
export const noSlot = 1048575;

/** The event that a step emits. */
export function eventOf(step: number): PolicyEvent {
  return policyEvents[~step >> 25] as PolicyEvent;
}

export function refusalOf(step: number): Refusal {
  return (~step & handleMask) >> 5;
}

/** Whether the last step of an operation left output. */
export function hasOutput(step: number): boolean {
  return ((step < 0 ? ~step : step) & flag) !== 0;
}

// ---- output

/** Of next_output: there is none. */
export const noOutput = -1;

/** Whether the output is the notice of an operation: its handle. */
export function isNotice(output: number): boolean {
  return output >= 0;
}

/** Whether an output that is no notice is the end of a slot, and no spawned operation. */
export function isSlotEnd(output: number): boolean {
  return output < noOutput - flag;
}

/** The slot that has ended. */
export function endedSlotOf(output: number): number {
  return noOutput - 1 - flag - output;
}

/** The spawned operation of an output that is neither. */
export function spawnedOf(output: number): number {
  return noOutput - 1 - output;
}

// ---- sets of events

/** The bits of a set of events. `everyLease`: no lease may be handed over at once. */
export function eventBits(has: (event: PolicyEvent) => boolean, everyLease: boolean): number {
  let bits = everyLease ? 1 << policyEvents.length : 0;
  for (const [number, event] of policyEvents.entries()) if (has(event)) bits |= 1 << number;
  return bits;
}

// ---- durations

/** A duration as it crosses: whole milliseconds, rounded up so that nothing ends early. Undefined: the pool's own. */
export function toWireMillis(ms: number | undefined): number {
  if (ms === undefined) return -2;
  return ms >= 1073741824 ? -1 : Math.ceil(ms);
}
