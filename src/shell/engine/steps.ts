/**
 * Performs the steps of an operation, and finds their outcomes: the calls into creators, drivers and listeners, what is
 * reported of them, and what their errors mean. In which order steps come is decided in src/policy; operation.ts runs
 * them. A step runs foreign code, so everything that the policy has decided before is settled by then.
 */

import type { DriverCall } from "../dialect.js";
import { DisconnectionError, InvalidRequestError } from "../errors.js";
import type { Listeners, PoolOperation } from "../events.js";
import { isThenable } from "../host.js";
import type { Log } from "../logger.js";
import type { Activity } from "../observer.js";
import {
  Code,
  codeOf,
  eventOf,
  Loss,
  noSlot,
  Outcome,
  Refusal,
  slotOf,
  stalenesses,
  type PolicyEvent,
} from "../protocol.js";
import type { Settings } from "../settings.js";
import type { Connections } from "./connections.js";
import type { Lease } from "./lease.js";
import type { Policy } from "./policy.js";
import type { Refusals } from "./refusals.js";
import type { Slot, SlotConnection } from "./slot.js";
import type { StepContext } from "./step-state.js";

/** The codes of the reset of a return. */
export type ResetCode = Code.Rollback | Code.Commit | Code.ResetSession;

export class Steps<C> {
  readonly #policy: Policy;
  readonly #connections: Connections<C>;
  readonly #listeners: Listeners;
  readonly #refusals: Refusals<C>;
  readonly #log: Log;
  readonly #settings: Settings<C>;

  constructor(
    policy: Policy,
    connections: Connections<C>,
    listeners: Listeners,
    refusals: Refusals<C>,
    settings: Settings<C>,
  ) {
    this.#policy = policy;
    this.#connections = connections;
    this.#listeners = listeners;
    this.#refusals = refusals;
    this.#log = settings.log;
    this.#settings = settings;
  }

  /** Performs a step. Returns its outcome, or the promise whose result {@link ended} takes. */
  perform(operation: StepContext<C>, step: number): Outcome | PromiseLike<unknown> {
    operation.stepSerial++;
    try {
      const answer = this.#start(operation, step);
      return isThenable(answer) ? answer : this.ended(operation, step, Outcome.Ok, answer);
    } catch (error) {
      return this.ended(operation, step, Outcome.Failed, error);
    }
  }

  #start(operation: StepContext<C>, step: number): unknown {
    const index = slotOf(step);
    const code = codeOf(step);
    switch (code) {
      case Code.Open:
        this.#startOver(operation);
        return this.#connections.create(index);
      case Code.Cancel:
        this.#log.debug("cancelling the statement of a connection that comes back");
        return this.#connections.cancel(this.#heldBy(operation, index).connection);
      case Code.Ping: {
        this.#log.debug("pinging a connection");
        const held = this.#heldBy(operation, index);
        const { connection, slot: record } = held;
        operation.state.ending = held;
        return this.#observed({ name: "ping", connection, record });
      }
      case Code.Finalize:
        return this.#finalize(operation, this.#slot(index), this.#heldBy(operation, index).connection);
      case Code.Emit: {
        const event = eventOf(step);
        return this.#listeners.emit(event, this.#parameters(operation, event, index), operation);
      }
      case Code.Detach: {
        const slot = this.#slot(index);
        operation.held = slot.held;
        operation.state.slot = slot;
        operation.state.isLost = true;
        if (slot.held !== undefined) this.#connections.empty(slot.held);
        return undefined;
      }
      case Code.Rollback:
      case Code.Commit:
      case Code.ResetSession:
        return this.reset(code, this.#heldBy(operation, index));
      default:
        return this.#end(operation, callOf(code) as DriverCall, index);
    }
  }

  /** Whether the step is to call the only checkout listener, which leaves nothing to log. */
  isForOneListener(step: number): boolean {
    return (
      this.#listeners.onlyCheckout !== undefined &&
      codeOf(step) === Code.Emit &&
      eventOf(step) === "checkout" &&
      !this.#settings.shares &&
      !this.#log.isDebug
    );
  }

  /** Calls the only checkout listener. Returns or throws what the listener does. */
  present({ connection, slot }: SlotConnection<C>, lease: Lease<C>): unknown {
    const { onlyCheckout } = this.#listeners;
    return onlyCheckout?.(connection, slot, lease);
  }

  /** Another connection is opened: nothing of the one before may show through, except why it was given up. */
  #startOver({ known: state }: StepContext<C>): void {
    if (state === undefined) return;
    state.lease?.revoke();
    state.lease = undefined;
    state.ending = undefined;
    state.disconnection = state.error;
    state.error = undefined;
  }

  /** Returns the outcome of a step that has returned or thrown `value`. */
  ended(operation: StepContext<C>, step: number, outcome: Outcome, value: unknown): Outcome {
    const code = codeOf(step);
    switch (code) {
      case Code.Open:
        return this.#opened(operation, slotOf(step), outcome, value);
      case Code.Cancel:
        return this.#cancelled(operation, slotOf(step), outcome, value);
      case Code.Ping:
        return operation.held === undefined
          ? this.#pinged(operation, slotOf(step), outcome, value)
          : this.#rested(operation, slotOf(step), outcome, value);
      case Code.Emit:
        return this.#emitted(operation, eventOf(step), slotOf(step), outcome, value);
      case Code.Detach:
        return outcome;
      default:
        if (outcome === Outcome.Failed) this.#failed(operation, code, slotOf(step), value);
        this.#release(operation, code, slotOf(step));
        return outcome;
    }
  }

  /** Returns the outcome of a step that took too long. */
  timedOut(operation: StepContext<C>, step: number): Outcome {
    operation.stepSerial++;
    const index = slotOf(step);
    const code = codeOf(step);
    if (code === Code.Emit) return this.#emittedTooLate(operation, eventOf(step), index);
    if (code === Code.Ping && operation.held === undefined) {
      const { state } = operation;
      const { ending } = state;
      state.ending = undefined;
      state.error =
        ending?.isDead === true
          ? new DisconnectionError("the connection died", { cause: ending.deathCause }, this.#log.pool)
          : new DisconnectionError("the ping was not answered in time", {}, this.#log.pool);
      // Logged only if the caller still waits: an abort ends a ping in the same way.
      if (!operation.isSettled) this.#disconnected(state.error);
      return Outcome.TimedOut;
    }
    // Its death was reported, and has ended the reset.
    if (operation.held?.isDead === true && poolOperationOf(code) === "reset") return Outcome.TimedOut;
    const call = callOf(code);
    const isEnd = call === "close" || call === "terminate";
    const error = this.#tooLong(
      code === Code.Open
        ? "opening a connection"
        : code === Code.Finalize
          ? "a finalizer"
          : `${call ?? (code === Code.Cancel ? "cancel" : "ping")} of a connection`,
      code === Code.Open
        ? "openTimeout"
        : code !== Code.Finalize && !isEnd && operation.known?.isBusy === true
          ? "returnTimeout"
          : "driverTimeout",
    );
    const keepsSlot = (isEnd || code === Code.Open) && this.#settings.dialect.keepsSlotUntilClosed === true;
    if (code === Code.Open) {
      if (this.#policy.retries) this.#refusals.openError = error;
      if (!keepsSlot) this.#connections.abandonOpening(index, error);
    }
    this.#listeners.report(poolOperationOf(code), error, this.#slotFor(operation, index), error.message);
    if (keepsSlot) {
      operation.state.isStillOpen = true;
      return Outcome.StillOpen;
    }
    // The caller of a close gets the error that caused the close instead.
    if (!isEnd && code !== Code.Open && code !== Code.Finalize) {
      if (code !== Code.Cancel) operation.state.error = error;
      this.invalidated(operation.known?.error);
    }
    this.#release(operation, code, index);
    return Outcome.TimedOut;
  }

  /** `option`: what bounds the step, unless the driver's time does. */
  #tooLong(what: string, option: "openTimeout" | "returnTimeout" | "driverTimeout"): Error {
    const { policy } = this.#settings;
    const ms = policy[option];
    const isOwn = option === "openTimeout" ? ms >= 0 : ms < policy.driverTimeout;
    const limit = isOwn ? `${option} (${ms} ms)` : `driverTimeout (${policy.driverTimeout} ms)`;
    const orPatience = this.#policy.isClosed() ? ", or than the close of the pool waits" : "";
    return new Error(`${what} took longer than ${limit}${orPatience}`);
  }

  /** Logs that a connection is not trusted any more. */
  invalidated(error: unknown): void {
    if (this.#log.isInfo) this.#log.info(`a connection is invalidated${reasonOf(error)}`);
  }

  softInvalidated(error: unknown): void {
    if (this.#log.isInfo) this.#log.info(`a connection is soft-invalidated${reasonOf(error)}`);
  }

  #disconnected(error: unknown): void {
    if (this.#log.isInfo) this.#log.info(`a connection was disconnected at checkout${reasonOf(error)}`);
    this.invalidated(error);
  }

  // ---- opening

  #opened(operation: StepContext<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    const wasAborted = this.#connections.openingEnded(index);
    try {
      if (outcome !== Outcome.Ok) throw value;
      const held = this.#connections.adopt(index, value as C);
      this.#policy.adopt(index);
      this.#connections.watch(held);
      this.#refusals.openError = undefined;
      if (this.#log.isDebug) {
        this.#log.debug("created a connection");
        if (this.#settings.policy.prePing === 1) this.#log.debug("ping skipped: the connection is new");
      }
      return Outcome.Ok;
    } catch (error) {
      this.#connections.abandon(index);
      // The caller gets the error. If the caller has left, it is reported, unless the pool asked for it.
      if (operation.isSettled && !wasAborted) this.#listeners.report("open", error, null);
      operation.state.error = error;
      if (!this.#policy.retries) return Outcome.Failed;
      this.#refusals.openError = error;
      if (!operation.isSettled) this.#log.warn(`an opening failed${reasonOf(error)}`);
      return this.#connections.isTransient(error) ? Outcome.Unavailable : Outcome.Failed;
    }
  }

  /** Returns the outcome of a creator that has answered too late. */
  arrivedLate(operation: StepContext<C>, outcome: Outcome, value: unknown): Outcome {
    operation.state.arrivedLate = value as C;
    // A creator that returned nothing has left nothing to close.
    if (value === undefined || value === null) return Outcome.LateFailed;
    if (outcome !== Outcome.LateOk || !this.#connections.has(value)) return outcome;
    // Nor has one that returned a connection of another caller.
    this.#listeners.report("open", this.#connections.knownAlready(), null);
    return Outcome.LateFailed;
  }

  // ---- checkout

  #pinged(operation: StepContext<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    const { state } = operation;
    const { ending } = state;
    state.ending = undefined;
    // Another operation has ended the connection: the policy knows, and tries another one.
    if (ending === undefined || this.#connections.slots[index]?.held !== ending) return Outcome.Ok;
    if (outcome === Outcome.Ok) {
      if (value !== false) return Outcome.Ok;
      state.error = new DisconnectionError("the ping returned that the connection is dead", {}, this.#log.pool);
    } else if (isDisconnection(value) || this.#connections.lossOf(value, ending.connection) !== Loss.None) {
      state.error = new DisconnectionError("the ping failed with a disconnect", { cause: value }, this.#log.pool);
    } else {
      state.error = value;
      this.invalidated(value);
      if (operation.isSettled) this.#listeners.report("ping", value, this.#slot(index));
      return Outcome.Failed;
    }
    this.#log.debug("ping failed");
    this.#disconnected(state.error);
    return Outcome.Disconnected;
  }

  // ---- events

  #parameters(operation: StepContext<C>, event: PolicyEvent, index: number): unknown[] {
    const slot = this.#slotFor(operation, index);
    if (event === "checkin") return [slot?.connection ?? null, slot];
    const held =
      event === "invalidate" || event === "close" ? this.#endingOf(operation, index) : this.#heldBy(operation, index);
    const { connection } = held;
    switch (event) {
      case "checkout": {
        const lease = this.#leaseFor(operation, held);
        operation.state.lease = lease;
        return [connection, slot, lease];
      }
      case "reset": {
        const isDetached = index === noSlot;
        return [
          connection,
          isDetached ? null : slot,
          Object.freeze({
            transactionWasReset: operation.wasReset,
            terminateOnly: isDetached,
            asyncioSafe: operation.known?.isLost !== true,
          }),
        ];
      }
      case "invalidate":
      case "softInvalidate":
        return [connection, slot, operation.known?.error ?? held.deathCause];
      case "closeDetached":
        return [connection];
      default:
        return [connection, slot];
    }
  }

  /** Makes the lease that the checkout listeners are given. */
  #leaseFor({ handle, limits }: StepContext<C>, held: SlotConnection<C>) {
    const lease = this.#settings.shares
      ? this.#connections.share(held, handle, limits)
      : this.#connections.leaseFor(this.#policy.leaseOfSlot(held.slot.index), limits);
    // Only now: a logger may end the connection.
    if (this.#log.isDebug) this.#log.debug("a connection is checked out");
    return lease;
  }

  #emitted(operation: StepContext<C>, event: PolicyEvent, index: number, outcome: Outcome, error: unknown): Outcome {
    if (outcome === Outcome.Ok) {
      if (event !== "checkout" || operation.known?.lease?.isValid !== false) return Outcome.Ok;
      error = new InvalidRequestError("a checkout listener ended the lease that it was given", this.#log.pool);
    }
    switch (event) {
      case "firstConnect":
      case "connect":
        if (operation.isSettled) this.#listeners.report("listener", error, this.#slot(index));
        operation.state.error = error;
        return Outcome.Failed;
      case "checkout":
        operation.state.lease?.revoke();
        operation.state.error = error;
        if (!isDisconnection(error)) {
          this.invalidated(error);
          return Outcome.Failed;
        }
        this.#disconnected(error);
        return error.invalidatePool === true ? Outcome.DisconnectedAll : Outcome.Disconnected;
      default: {
        const slot =
          event === "detach" || event === "softInvalidate"
            ? (operation.known?.slot ?? operation.held?.slot ?? null)
            : this.#slotOrNull(index);
        this.#listeners.report("listener", error, slot, `a listener of ${event} failed`);
        if (event === "reset") {
          operation.state.error = error;
          this.invalidated(error);
        }
        return Outcome.Failed;
      }
    }
  }

  #emittedTooLate(operation: StepContext<C>, event: PolicyEvent, index: number): Outcome {
    const { state } = operation;
    if (event === "checkout") state.lease?.revoke();
    const error = this.#tooLong(
      `a listener of ${event}`,
      event === "reset" && state.isBusy ? "returnTimeout" : "driverTimeout",
    );
    // A caller that waits for the checkout gets its own error.
    const rejects = event === "checkout" || event === "connect" || event === "firstConnect";
    if (rejects && !operation.isSettled)
      state.error = this.#refusals.errorFor(Refusal.ListenerTimeout, operation.limits);
    else if (event !== "checkout") this.#listeners.report("listener", error, this.#slotOrNull(index), error.message);
    if (event === "reset") state.error = error;
    if (event === "reset" || (event === "checkout" && !operation.isSettled)) this.invalidated(state.error);
    return Outcome.TimedOut;
  }

  // ---- return, and the end of a connection

  /** Rolls back, commits, or resets the session. Returns or throws what the driver does. */
  reset(code: ResetCode, { connection, slot }: SlotConnection<C>): unknown {
    // A reset listener may have ended the transaction, so there is nothing to roll back.
    if (code === Code.Rollback && this.#listeners.hasReset && this.#connections.isClean(connection)) return undefined;
    const call = callOf(code) as DriverCall;
    if (this.#log.isDebug) this.#log.debug(`${call} on return`);
    if (!this.#listeners.hasObservers) return this.#connections.call(call, connection);
    return this.#observed({ name: "reset", call, connection, record: slot });
  }

  /** Calls the driver. Apart: a closure in reset() would cost each call of it. */
  #observed(activity: Activity): unknown {
    const { call } = activity;
    const connection = activity.connection as C;
    return this.#listeners.observe(activity, () =>
      call === undefined ? this.#connections.ping(connection) : this.#connections.call(call, connection),
    );
  }

  /** The connection is cancelled in order to be kept; if that fails, the error of its caller is why it is not. */
  #cancelled(operation: StepContext<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    if (outcome === Outcome.Ok && value !== false) return Outcome.Ok;
    if (outcome === Outcome.Failed)
      this.#listeners.report("reset", value, this.#slotOrNull(index), "cancel of a statement failed");
    this.invalidated(operation.known?.error);
    return Outcome.Failed;
  }

  /** The ping in place of the reset of a busy connection, to see it at rest. */
  #rested(operation: StepContext<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    if (outcome === Outcome.Ok && value !== false) return Outcome.Ok;
    const isDead = outcome === Outcome.Ok;
    const error = isDead
      ? new DisconnectionError("the ping returned that the connection is dead", {}, this.#log.pool)
      : value;
    this.#failed(operation, Code.Ping, index, error);
    return Outcome.Failed;
  }

  #end(operation: StepContext<C>, call: DriverCall, index: number): unknown {
    const isLate = call === "close" && operation.held === undefined && index === noSlot;
    const held = isLate ? undefined : this.#endingOf(operation, index);
    const connection = held === undefined ? (operation.state.arrivedLate as C) : held.connection;
    if (this.#log.isInfo) this.#logEnd(operation.handle, call);
    const reason = operation.known?.error ?? held?.deathCause;
    return this.#observed({ name: "close", call, connection, record: held?.slot ?? null, reason });
  }

  #logEnd(operation: number, call: DriverCall): void {
    const staleness = call === "terminate" ? stalenesses[this.#policy.stalenessOf(operation)] : "";
    if (staleness !== undefined && staleness !== "") this.#log.info(`recycling: ${staleness}`);
    this.#log.debug(call === "close" ? "closing a connection" : "terminating a connection");
  }

  #failed(operation: StepContext<C>, code: Code, index: number, error: unknown): void {
    if (poolOperationOf(code) === "reset" && this.#isGone(operation, error)) return;
    const failedOperation = poolOperationOf(code);
    const call = callOf(code);
    const what = call === undefined ? undefined : `${call} of a connection failed`;
    this.#listeners.report(failedOperation, error, this.#slotOrNull(index), what);
    if (failedOperation === "reset") {
      operation.state.error = error;
      this.invalidated(error);
    }
  }

  /**
   * Whether a failed reset says nothing new: the death of the connection was reported, or the connection is lost after
   * it has left its slot, which concerns its caller alone.
   */
  #isGone({ held }: StepContext<C>, error: unknown): boolean {
    if (held === undefined || held.isDead) return held !== undefined;
    return held.slot.held !== held && this.#connections.lossOf(error, held.connection) !== Loss.None;
  }

  /** After a close or a termination, even if it failed, the slot holds no connection. */
  #release(operation: StepContext<C>, code: Code, index: number): void {
    if (code !== Code.Close && code !== Code.Terminate) return;
    const held = operation.held ?? operation.known?.ending ?? this.#slotOrNull(index)?.held;
    if (operation.known !== undefined) operation.known.ending = undefined;
    if (held !== undefined) this.#connections.forget(held);
  }

  /** Runs the finalizers, newest first, each whether or not another failed. Awaits those that return a promise. */
  #finalize(operation: StepContext<C>, slot: Slot<C>, connection: C): void | PromiseLike<void> {
    const finalizers = slot.finalizers.reverse();
    slot.finalizers = [];
    return this.#finalizeFrom(operation, slot, finalizers, 0, connection);
  }

  #finalizeFrom(
    operation: StepContext<C>,
    slot: Slot<C>,
    finalizers: Array<(connection: C) => unknown>,
    first: number,
    connection: C,
  ): void | PromiseLike<void> {
    const { stepSerial } = operation;
    for (let place = first; place < finalizers.length; place++) {
      const failed = (error: unknown): void => this.#listeners.report("finalize", error, slot);
      try {
        const answer = Reflect.apply(finalizers[place] as (connection: C) => unknown, undefined, [connection]);
        if (isThenable(answer)) {
          return Promise.resolve(answer)
            .then(undefined, failed)
            .then(() =>
              operation.stepSerial === stepSerial
                ? this.#finalizeFrom(operation, slot, finalizers, place + 1, connection)
                : undefined,
            );
        }
      } catch (error) {
        failed(error);
      }
    }
  }

  // ---- which connection

  #slot(index: number): Slot<C> {
    return this.#connections.slots[index] as Slot<C>;
  }

  #slotOrNull(index: number): Slot<C> | null {
    return index === noSlot ? null : (this.#connections.slots[index] ?? null);
  }

  /** The slot that the step concerns, or that its connection has left. */
  #slotFor(operation: StepContext<C>, index: number): Slot<C> | null {
    return index === noSlot ? (operation.known?.slot ?? operation.held?.slot ?? null) : this.#slot(index);
  }

  /** The connection that ends, kept until its end: another operation may take it out of the slot before. */
  #endingOf(operation: StepContext<C>, index: number): SlotConnection<C> {
    return operation.held ?? (operation.state.ending ??= this.#connections.heldAt(index));
  }

  #heldBy(operation: StepContext<C>, index: number): SlotConnection<C> {
    return operation.held ?? this.#connections.heldAt(index);
  }
}

function callOf(code: Code): DriverCall | undefined {
  switch (code) {
    case Code.Rollback:
      return "rollback";
    case Code.Commit:
      return "commit";
    case Code.ResetSession:
      return "session reset";
    case Code.Close:
      return "close";
    case Code.Terminate:
      return "terminate";
    default:
      return undefined;
  }
}

/** Returns the code of the reset that a style asks for. */
export function resetCodeOf(style: Settings<unknown>["resetOnReturn"]): ResetCode {
  return style === "commit" ? Code.Commit : style === "session" ? Code.ResetSession : Code.Rollback;
}

function poolOperationOf(code: Code): PoolOperation {
  switch (code) {
    case Code.Open:
      return "open";
    case Code.Finalize:
      return "finalize";
    case Code.Close:
      return "close";
    case Code.Terminate:
      return "terminate";
    default:
      return "reset";
  }
}

/** Whether the error is a DisconnectionError, of any copy of the package. */
function isDisconnection(error: unknown): error is { invalidatePool?: unknown } {
  return (
    error instanceof DisconnectionError ||
    (typeof error === "object" && error !== null && (error as { code?: unknown }).code === "ERR_POOL_DISCONNECTION")
  );
}

function reasonOf(error: unknown): string {
  if (error === undefined) return "";
  if (error instanceof Error) return `: ${error.name}: ${error.message}`;
  try {
    return `: ${String(error)}`;
  } catch {
    return "";
  }
}
