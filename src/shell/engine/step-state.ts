/** What the steps of one operation carry from one to the next. Steps see an operation only as {@link StepContext}. */

import type { Limits } from "../call-options.js";
import type { Lease } from "./lease.js";
import type { Slot, SlotConnection } from "./slot.js";

/** What few operations carry; made at the first step that needs it. */
export class StepState<C> {
  /** The slot's connection that is pinged or ended: another operation may take it out of the slot before the end. */
  ending: SlotConnection<C> | undefined = undefined;
  /** The slot of a connection that has left it. */
  slot: Slot<C> | null = null;
  /** The lease that the checkout listeners were given. */
  lease: Lease<C> | undefined = undefined;
  /** The error of the creator, of a ping, of a listener, or of the caller of invalidate(). */
  error: unknown = undefined;
  /** Why the connection before this one was given up. */
  disconnection: unknown = undefined;
  /** Whether the connection was busy at its return, so that its steps have `returnTimeout`. */
  isBusy = false;
  /** Whether the opening or the end of the connection has taken too long, and keeps the slot until it ends. */
  isStillOpen = false;
  /** Whether its lease was lost. */
  isLost = false;
  /** The connection that arrived after the time of its opening had ended. */
  arrivedLate: C | undefined = undefined;
}

/** An operation, as far as its steps are concerned. */
export interface StepContext<C> {
  /** The operation's handle. */
  readonly handle: number;
  readonly limits: Limits | undefined;
  /**
   * The connection of a return, of an end, or of an operation without a slot. A checkout's connection is its slot's.
   */
  held: SlotConnection<C> | undefined;
  /** Whether the lease holder has ended its transaction. */
  readonly wasReset: boolean;
  /** Counts the steps, and the steps that ended by time. Code that belongs to an earlier step is late. */
  stepSerial: number;
  /** Whether the caller has its answer. */
  readonly isSettled: boolean;
  /** The state, if a step has needed it. */
  readonly known: StepState<C> | undefined;
  /** The state, made if there is none. */
  readonly state: StepState<C>;
}
