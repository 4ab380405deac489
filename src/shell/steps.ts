/**
 * How each step of an operation is performed, and what its outcome is: the calls into creators, drivers and listeners,
 * what is reported of them, and what their errors mean. In what order steps come is the policy's; operations.ts runs them.
 */

import type { Connections } from "./connections.js";
import type { DriverCall } from "./dialect.js";
import { DisconnectionError, InvalidRequestError } from "./errors.js";
import type { Listeners, PoolOperation } from "./events.js";
import type { Answer, Flow } from "./flow.js";
import type { Log } from "./logger.js";
import type { Settings } from "./options.js";
import { callOf, Code, hookNames, indexMask, noSlot, Outcome, type HookName } from "./protocol.js";
import type { PooledConnection } from "./pooled-connection.js";
import type { Held, Slot } from "./record.js";
import type { Reporter } from "./report.js";
import { isThenable } from "./thenable.js";

/** What the steps ask of the policy, and of who makes leases and refusals. */
export interface StepsHost<C> {
  isNewSlot(index: number): boolean;
  /** The lease that the checkout listeners of this flow are shown. */
  leaseFor(flow: Flow<C>, held: Held<C>): PooledConnection<C>;
  /** Why the flow's connection is replaced; undefined where it ends for another reason. */
  staleness(flow: Flow<C>): string | undefined;
  /** What the caller is told whose listeners took too long. */
  listenerTimeout(flow: Flow<C>): unknown;
}

export class Steps<C> {
  readonly #host: StepsHost<C>;
  readonly #connections: Connections<C>;
  readonly #listeners: Listeners;
  readonly #reporter: Reporter<C>;
  readonly #log: Log;
  readonly #settings: Settings<C>;

  constructor(
    host: StepsHost<C>,
    connections: Connections<C>,
    listeners: Listeners,
    reporter: Reporter<C>,
    settings: Settings<C>,
  ) {
    this.#host = host;
    this.#connections = connections;
    this.#listeners = listeners;
    this.#reporter = reporter;
    this.#log = settings.log;
    this.#settings = settings;
  }

  /** Performs a step. Answers its outcome, or the promise that {@link ended} wants the result of. */
  perform(flow: Flow<C>, code: number, argument: number): Outcome | PromiseLike<unknown> {
    flow.turn++;
    try {
      const answer = flow.answer === undefined ? this.#start(flow, code, argument) : takeAnswer(flow, flow.answer);
      return isThenable(answer) ? answer : this.ended(flow, code, argument, Outcome.Ok, answer);
    } catch (error) {
      return this.ended(flow, code, argument, Outcome.Failed, error);
    }
  }

  /**
   * Performs the first step of an operation that has no flow: the reset, or with a lease the only checkout listener. Answers
   * what the flow must be given that goes on with it, or undefined where all is well at once.
   */
  performFirst(code: number, held: Held<C>, lease: PooledConnection<C> | undefined): Answer | undefined {
    const { onlyCheckout } = this.#listeners;
    try {
      const value = lease === undefined ? this.#reset(code, held) : onlyCheckout?.(held.connection, held.record, lease);
      return isThenable(value) || lease?.isValid === false ? { isFailed: false, value } : undefined;
    } catch (value) {
      return { isFailed: true, value };
    }
  }

  #start(flow: Flow<C>, code: number, argument: number): unknown {
    const index = argument & indexMask;
    switch (code) {
      case Code.Open:
        flow.lease?.revoke();
        flow.lease = undefined;
        flow.subject = undefined;
        flow.disconnection = flow.error;
        flow.error = undefined;
        return this.#connections.open(index, this.#host.isNewSlot(index));
      case Code.Ping:
        this.#log.debug("pinging a connection");
        flow.subject = this.#heldBy(flow, index);
        return this.#connections.ping(flow.subject.connection);
      case Code.Finalize:
        return this.#finalize(flow, this.#slot(index), this.#heldBy(flow, index).connection);
      case Code.Emit:
        return this.#listeners.fire(
          hookNames[argument >> 20] as HookName,
          this.#parameters(flow, hookNames[argument >> 20] as HookName, index),
          flow,
        );
      case Code.Detach: {
        const slot = this.#slot(index);
        flow.held = slot.held;
        flow.record = slot;
        flow.isLost = true;
        if (slot.held !== undefined) this.#connections.empty(slot.held);
        return undefined;
      }
      case Code.Rollback:
        // A reset listener may have ended the transaction.
        if (this.#listeners.hearsReset && this.#connections.isClean(this.#heldBy(flow, index).connection))
          return undefined;
      // falls through
      case Code.Commit:
        return this.#reset(code, this.#heldBy(flow, index));
      default:
        return this.#end(flow, callOf[code] as DriverCall, index);
    }
  }

  /** What the outcome of a step is, once it has answered or thrown `value`. */
  ended(flow: Flow<C>, code: number, argument: number, outcome: Outcome, value: unknown): Outcome {
    const index = argument & indexMask;
    switch (code) {
      case Code.Open:
        return this.#opened(flow, index, outcome, value);
      case Code.Ping:
        return this.#pinged(flow, index, outcome, value);
      case Code.Emit:
        return this.#heard(flow, hookNames[argument >> 20] as HookName, index, outcome, value);
      case Code.Detach:
        return outcome;
      default:
        if (outcome === Outcome.Failed) this.#failed(flow, code, index, value);
        this.#release(flow, code, index);
        return outcome;
    }
  }

  /** The same for a step that took too long. */
  timedOut(flow: Flow<C>, code: number, argument: number): Outcome {
    flow.turn++;
    const index = argument & indexMask;
    if (code === Code.Emit) return this.#heardTooLate(flow, hookNames[argument >> 20] as HookName, index);
    if (code === Code.Ping) {
      flow.subject = undefined;
      flow.error = new DisconnectionError("the ping was not answered in time", {}, this.#log.pool);
      // Told by itself only where somebody waits: an abort ends a ping in the same way.
      if (!flow.isSettled) this.#disconnected(flow.error);
      return Outcome.TimedOut;
    }
    const what =
      code === Code.Open
        ? "opening a connection"
        : code === Code.Finalize
          ? "a finalizer"
          : `${callOf[code]} of a connection`;
    const error = this.#tooLong(what);
    this.#reporter.report(operationOf(code), error, this.#recordOf(flow, index), error.message);
    // Of an end the caller need not hear: he is told why it came to that.
    if (code === Code.Rollback || code === Code.Commit) {
      flow.error = error;
      this.invalidated(error);
    }
    this.#release(flow, code, index);
    return Outcome.TimedOut;
  }

  #tooLong(what: string): Error {
    return new Error(`${what} took longer than driverTimeout (${this.#settings.core.driverTimeout} ms)`);
  }

  /** Says that a connection is not trusted any more. */
  invalidated(error: unknown): void {
    if (this.#log.isInfo) this.#log.info(`a connection is invalidated${reasonOf(error)}`);
  }

  #disconnected(error: unknown): void {
    if (this.#log.isInfo) this.#log.info(`a connection was disconnected at checkout${reasonOf(error)}`);
    this.invalidated(error);
  }

  // ---- opening

  #opened(flow: Flow<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    try {
      if (outcome !== Outcome.Ok) throw value;
      this.#connections.adopt(index, value as C);
      if (this.#log.isDebug) {
        this.#log.debug("created a connection");
        if (this.#settings.core.prePing === 1) this.#log.debug("ping skipped: the connection is new");
      }
      return Outcome.Ok;
    } catch (error) {
      // The caller gets it; where there is none any more, nobody else would tell.
      if (flow.isSettled) this.#reporter.report("open", error, null);
      flow.error = error;
      return Outcome.Failed;
    }
  }

  // ---- checkout

  #pinged(flow: Flow<C>, index: number, outcome: Outcome, value: unknown): Outcome {
    const { subject } = flow;
    flow.subject = undefined;
    // Ended by somebody else meanwhile: the policy knows, and tries another.
    if (subject === undefined || this.#slot(index).held !== subject) return Outcome.Ok;
    if (outcome === Outcome.Ok) {
      if (value !== false) return Outcome.Ok;
      flow.error = new DisconnectionError("the ping says that the connection is dead", {}, this.#log.pool);
    } else if (isDisconnection(value) || this.#connections.isDisconnect(value, subject.connection)) {
      flow.error = new DisconnectionError("the ping failed with a disconnect", { cause: value }, this.#log.pool);
    } else {
      flow.error = value;
      this.invalidated(value);
      if (flow.isSettled) this.#reporter.report("ping", value, this.#slot(index));
      return Outcome.Failed;
    }
    this.#log.debug("ping failed: every connection as old is replaced");
    this.#disconnected(flow.error);
    return Outcome.Disconnected;
  }

  // ---- events

  #parameters(flow: Flow<C>, event: HookName, index: number): unknown[] {
    const record = this.#recordOf(flow, index);
    if (event === "checkin") return [record?.connection ?? null, record];
    const held = event === "invalidate" || event === "close" ? this.#subjectOf(flow, index) : this.#heldBy(flow, index);
    const { connection } = held;
    switch (event) {
      case "checkout":
        flow.lease = this.#host.leaseFor(flow, held);
        return [connection, record, flow.lease];
      case "reset": {
        const isDetached = index === noSlot;
        return [
          connection,
          isDetached ? null : record,
          Object.freeze({ transactionWasReset: flow.wasReset, terminateOnly: isDetached, asyncioSafe: !flow.isLost }),
        ];
      }
      case "invalidate":
      case "softInvalidate":
        return [connection, record, flow.error ?? held.death];
      case "closeDetached":
        return [connection];
      default:
        return [connection, record];
    }
  }

  #heard(flow: Flow<C>, event: HookName, index: number, outcome: Outcome, error: unknown): Outcome {
    const recordInError =
      event === "detach" || event === "softInvalidate" ? flow.record : index === noSlot ? null : this.#slot(index);
    if (outcome === Outcome.Ok) {
      if (event !== "checkout" || flow.lease?.isValid !== false) return Outcome.Ok;
      error = new InvalidRequestError("a checkout listener has ended the lease that it was shown", this.#log.pool);
    }
    switch (event) {
      case "firstConnect":
      case "connect":
        if (flow.isSettled) this.#reporter.report("listener", error, this.#slot(index));
        flow.error = error;
        return Outcome.Failed;
      case "checkout":
        flow.lease?.revoke();
        flow.error = error;
        if (!isDisconnection(error)) {
          this.invalidated(error);
          return Outcome.Failed;
        }
        this.#disconnected(error);
        return error.invalidatePool === true ? Outcome.DisconnectedAll : Outcome.Disconnected;
      default:
        this.#reporter.report("listener", error, recordInError, `a listener of ${event} failed`);
        if (event === "reset") {
          flow.error = error;
          this.invalidated(error);
        }
        return Outcome.Failed;
    }
  }

  #heardTooLate(flow: Flow<C>, event: HookName, index: number): Outcome {
    if (event === "checkout") flow.lease?.revoke();
    const error = this.#tooLong(`a listener of ${event}`);
    // Whoever waits for the checkout is told.
    const isTold = event === "checkout" || event === "connect" || event === "firstConnect";
    if (isTold && !flow.isSettled) flow.error = this.#host.listenerTimeout(flow);
    else if (event !== "checkout")
      this.#reporter.report("listener", error, index === noSlot ? null : this.#slot(index), error.message);
    if (event === "reset") flow.error = error;
    if (event === "reset" || (event === "checkout" && !flow.isSettled)) this.invalidated(flow.error);
    return Outcome.TimedOut;
  }

  // ---- return, and the end of a connection

  #reset(code: number, { connection }: Held<C>): unknown {
    const call = callOf[code] as DriverCall;
    if (this.#log.isDebug) this.#log.debug(`${call} on return`);
    return this.#connections.call(call, connection);
  }

  #end(flow: Flow<C>, call: DriverCall, index: number): unknown {
    const { connection } =
      call === "close" && flow.held === undefined && index === noSlot
        ? { connection: flow.late as C }
        : this.#subjectOf(flow, index);
    if (this.#log.isInfo) this.#say(flow, call);
    return this.#connections.call(call, connection);
  }

  #say(flow: Flow<C>, call: DriverCall): void {
    const staleness = call === "terminate" ? this.#host.staleness(flow) : undefined;
    if (staleness !== undefined) this.#log.info(`recycling: ${staleness}`);
    this.#log.debug(call === "close" ? "closing a connection" : "terminating a connection");
  }

  #failed(flow: Flow<C>, code: number, index: number, error: unknown): void {
    const operation = operationOf(code);
    const what = callOf[code] === undefined ? undefined : `${callOf[code]} of a connection failed`;
    this.#reporter.report(operation, error, index === noSlot ? null : this.#slot(index), what);
    if (operation === "reset") {
      flow.error = error;
      this.invalidated(error);
    }
  }

  /** After its close or termination, however that went, the slot holds no connection. */
  #release(flow: Flow<C>, code: number, index: number): void {
    if (code !== Code.Close && code !== Code.Terminate) return;
    const held = flow.held ?? flow.subject ?? (index === noSlot ? undefined : this.#slot(index).held);
    flow.subject = undefined;
    if (held !== undefined) this.#connections.empty(held);
  }

  /** Newest first, each whatever the others do; one that answers a promise is awaited. */
  #finalize(flow: Flow<C>, slot: Slot<C>, connection: C): void | PromiseLike<void> {
    const finalizers = slot.finalizers.reverse();
    slot.finalizers = [];
    return this.#finalizeFrom(flow, slot, finalizers, 0, connection);
  }

  #finalizeFrom(
    flow: Flow<C>,
    slot: Slot<C>,
    finalizers: Array<(connection: C) => unknown>,
    first: number,
    connection: C,
  ): void | PromiseLike<void> {
    const { turn } = flow;
    for (let place = first; place < finalizers.length; place++) {
      const failed = (error: unknown): void => this.#reporter.report("finalize", error, slot);
      try {
        const answer = Reflect.apply(finalizers[place] as (connection: C) => unknown, undefined, [connection]);
        if (isThenable(answer)) {
          return Promise.resolve(answer)
            .then(undefined, failed)
            .then(() =>
              flow.turn === turn ? this.#finalizeFrom(flow, slot, finalizers, place + 1, connection) : undefined,
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

  #recordOf(flow: Flow<C>, index: number): Slot<C> | null {
    return index === noSlot ? flow.record : this.#slot(index);
  }

  /** The same, kept until it has come to its end: somebody else may take it out of the slot before. */
  #subjectOf(flow: Flow<C>, index: number): Held<C> {
    return flow.held ?? (flow.subject ??= this.#slot(index).held as Held<C>);
  }

  #heldBy(flow: Flow<C>, index: number): Held<C> {
    return (flow.held ?? this.#slot(index).held) as Held<C>;
  }
}

function takeAnswer<C>(flow: Flow<C>, { isFailed, value }: Answer): unknown {
  flow.answer = undefined;
  if (isFailed) throw value;
  return value;
}

function operationOf(code: number): PoolOperation {
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

/** Of any copy of the package. */
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
