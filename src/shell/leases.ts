/**
 * What leases and records ask of their pool: return, invalidate, detach, empty the slot; and what is heard of connections
 * that were lost or died. How a caller comes to a lease is in driver.ts; what becomes of the connection is decided in
 * src/policy.
 */

import type { Books } from "./books.js";
import type { Callers } from "./callers.js";
import type { Connections } from "./connections.js";
import type { Context } from "./contexts.js";
import { InvalidRequestError } from "./errors.js";
import type { Listeners } from "./events.js";
import type { Answer } from "./flow.js";
import { hasCrashed } from "./instance.js";
import type { Lost, LostLeases } from "./leaks.js";
import type { Lender } from "./lender.js";
import type { Log } from "./logger.js";
import type { Operations } from "./operations.js";
import type { Settings } from "./options.js";
import { Code, hookNames, indexMask, Outcome, resets, type HookName } from "./protocol.js";
import type { Held, Slot } from "./record.js";
import type { Reporter } from "./report.js";
import type { Steps } from "./steps.js";

const done: Promise<void> = Promise.resolve();

/** What the leases of one driver are served with. */
export interface LeasesParts<C> {
  readonly books: Books;
  readonly settings: Settings<C>;
  readonly connections: Connections<C>;
  readonly listeners: Listeners;
  readonly steps: Steps<C>;
  readonly operations: Operations<C>;
  readonly callers: Callers<C>;
  readonly lender: Lender<C>;
  readonly reporter: Reporter<C>;
  readonly lostLeases: LostLeases<C>;
  /** The I/O context to which all of it belongs. */
  readonly context: Context | undefined;
  /** Whether the driver is one of several of its pool. */
  readonly isOneOfSeveral: boolean;
}

export class Leases<C> {
  /** The pool's name. */
  readonly name: string;
  readonly log: Log;
  readonly #books: Books;
  readonly #settings: Settings<C>;
  readonly #connections: Connections<C>;
  readonly #slots: Slot<C>[];
  readonly #listeners: Listeners;
  readonly #steps: Steps<C>;
  readonly #operations: Operations<C>;
  readonly #callers: Callers<C>;
  readonly #lender: Lender<C>;
  readonly #reporter: Reporter<C>;
  readonly #lostLeases: LostLeases<C>;
  readonly #context: Context | undefined;
  readonly #isOneOfSeveral: boolean;
  /** The call of the hot path: the exports are an object without a shape, in which every look is a search. */
  readonly #checkin: Books["wasm"]["checkin"];
  /** Whether returns look for an open transaction: style commit commits either way. */
  readonly #resets: boolean;
  /** Whether a return is one call and its answer: no clock, no debug log, no transaction to look for. */
  #isPlain = true;

  constructor({
    books,
    settings,
    connections,
    listeners,
    steps,
    operations,
    callers,
    lender,
    reporter,
    lostLeases,
    context,
    isOneOfSeveral,
  }: LeasesParts<C>) {
    this.name = settings.loggingName;
    this.log = settings.log;
    this.#books = books;
    this.#settings = settings;
    this.#connections = connections;
    this.#slots = connections.slots;
    this.#listeners = listeners;
    this.#steps = steps;
    this.#operations = operations;
    this.#callers = callers;
    this.#lender = lender;
    this.#reporter = reporter;
    this.#lostLeases = lostLeases;
    this.#context = context;
    this.#isOneOfSeveral = isOneOfSeveral;
    this.#checkin = books.wasm.checkin;
    this.#resets = settings.resetOnReturn === "rollback";
    this.echoed();
  }

  /** The log's `echo` was set. */
  echoed(): void {
    this.#isPlain = !this.#resets && !this.#books.tellsTime && !this.log.isDebug && !this.#isOneOfSeveral;
  }

  /** Throws where the code runs in another I/O context. */
  assertHere(): void {
    if (this.#context?.isCurrent() !== false) return;
    throw new InvalidRequestError(
      `this connection of the pool ${this.name} belongs to another request or Durable Object: Workers let nobody else use it. Call connect() in the handler that uses the connection, and keep no lease at module scope`,
      this.name,
    );
  }

  // ---- return

  /** `sentinel` is the lease's; it goes on to the next lease, or back to the connection. Short, so that V8 takes it into its callers. */
  checkIn(lease: number, held: Held<C>, sentinel: object | undefined, wasReset: boolean): Promise<void> {
    try {
      const result = this.#checkin(this.#books.number, lease, this.#isPlain ? 1 : this.#beforeReturn(held, wasReset));
      if (result > 1) {
        // Straight to a waiter, without a call: the hottest way through the pool.
        const word = result - 2;
        const index = word & indexMask;
        this.#callers.grant(index, this.#lender.lend(held, (lease & indexMask) | (word - index), sentinel));
      } else {
        held.sentinel = sentinel;
        if (result !== 0) return this.#finish(result, held, wasReset, undefined);
      }
      return done;
    } catch (trap) {
      return this.#afterTrap(trap, held);
    }
  }

  /** 1 where a rollback would end nothing, or where none is asked for. A reset listener may change that: asked after it. */
  #isClean(held: Held<C>, wasReset: boolean): 0 | 1 {
    return !this.#resets || wasReset || (!this.#listeners.hearsReset && this.#connections.isClean(held.connection))
      ? 1
      : 0;
  }

  #beforeReturn(held: Held<C>, wasReset: boolean): 0 | 1 {
    const clean = this.#isClean(held, wasReset);
    if (this.#books.tellsTime) this.#operations.readClock();
    this.log.debug("a connection is being returned");
    if (clean === 1 && this.#resets) this.log.debug("reset skipped: no transaction is open");
    return clean;
  }

  /** Runs what a return leaves to do; `result` as the bindings' return word, and no hand-over, which only checkIn() gets. */
  #finish(result: number, held: Held<C>, wasReset: boolean, error: unknown): Promise<void> {
    if (result >= 0) {
      this.#operations.afterwards();
      return done;
    }
    const operation = ~result & ~resets;
    let step: number | undefined;
    let answer: Answer | undefined;
    if (~result >= resets && !this.#books.tellsTime) {
      // The reset comes first, and is performed without a flow, which most returns need not have.
      answer = this.#steps.performFirst(this.#resets ? Code.Rollback : Code.Commit, held, undefined);
      if (answer === undefined) {
        step = this.#books.wasm.advance(this.#books.number, operation, Outcome.Ok);
        if ((~step & 15) === Code.Done) {
          if (step !== ~Code.Done) this.#operations.afterwards();
          return done;
        }
      }
    }
    step ??= this.#books.wasm.resume(this.#books.number, operation);
    const flow = this.#operations.begin(operation, undefined);
    flow.held = held;
    flow.record = held.record;
    flow.wasReset = wasReset;
    flow.error = error;
    this.#operations.goOn(flow, step, answer);
    return flow.isSettled ? done : (flow.start() as unknown as Promise<void>);
  }

  returnShare(operation: number, held: Held<C>, wasReset: boolean): Promise<void> {
    return this.#attempt(held, () => {
      return this.#finish(
        this.#books.wasm.return_share(this.#books.number, operation, this.#beforeReturn(held, wasReset)),
        held,
        wasReset,
        undefined,
      );
    });
  }

  /** An end of a lease that must come to its end even after a crash. */
  #attempt(held: Held<C>, run: () => Promise<void>): Promise<void> {
    if (hasCrashed()) return this.#closeAfterCrash(held.connection);
    try {
      this.assertHere();
    } catch (error) {
      return Promise.reject(error);
    }
    try {
      return run();
    } catch (trap) {
      return this.#afterTrap(trap, held);
    }
  }

  #afterTrap(trap: unknown, held: Held<C>): Promise<void> {
    this.#operations.crash(trap);
    return this.#closeAfterCrash(held.connection);
  }

  /** The books are gone; the connection need not stay open. */
  async #closeAfterCrash(connection: C): Promise<void> {
    try {
      await this.#connections.call("close", connection);
    } catch (error) {
      this.#reporter.report("close", error, null);
    }
  }

  // ---- invalidation

  invalidate(lease: number, held: Held<C>, error: unknown): Promise<void> {
    return this.#attempt(held, () => {
      this.#steps.invalidated(error);
      return this.#finish(this.#books.wasm.invalidate(this.#books.number, lease), held, false, error);
    });
  }

  invalidateShare(operation: number, held: Held<C>, error: unknown): Promise<void> {
    return this.#attempt(held, () => {
      this.#steps.invalidated(error);
      if (this.#settings.kind === "SingletonThreadPool") held.isOver = true;
      return this.#finish(this.#books.wasm.invalidate_share(this.#books.number, operation), held, false, error);
    });
  }

  invalidateSoft(held: Held<C>, error: unknown): Promise<void> {
    this.assertHere();
    if (!this.#isCurrent(held)) return done;
    this.#books.assertAlive();
    this.#books.wasm.invalidate_soft(this.#books.number, held.record.index);
    if (this.log.isInfo) this.log.info("a connection is soft-invalidated");
    return this.#tell("softInvalidate", held, error);
  }

  invalidateAsOld(held: Held<C>): void {
    this.#books.assertAlive();
    if (this.#isCurrent(held)) this.#books.wasm.invalidate_as_old(this.#books.number, held.record.index);
  }

  /** Ends the connection of a record, whoever has it. */
  emptySlot(slot: Slot<C>, abrupt: boolean, error: unknown): Promise<void> {
    const { held } = slot;
    if (held === undefined || !this.#isCurrent(held)) return done;
    return this.#attempt(held, () => {
      const word = this.#books.wasm.empty_slot(this.#books.number, slot.index, abrupt ? 1 : 0);
      if (word < 0) {
        this.#connections.leave(held);
        if (abrupt) this.#steps.invalidated(error);
      }
      return this.#finish(word, held, false, error);
    });
  }

  addFinalizer(slot: Slot<C>): void {
    this.assertHere();
    this.#books.assertAlive();
    this.#books.wasm.add_finalizer(this.#books.number, slot.index);
  }

  // ---- out of the pool for good

  /** Answers the operation that stands for the connection from now on, or -1 where the lease is none. */
  detach(lease: number, held: Held<C>): number {
    this.#books.assertAlive();
    return this.#detached(this.#books.wasm.detach(this.#books.number, lease), held);
  }

  detachShare(operation: number, held: Held<C>): number {
    this.#books.assertAlive();
    return this.#detached(this.#books.wasm.detach_share(this.#books.number, operation) !== 0 ? operation : -1, held);
  }

  #detached(operation: number, held: Held<C>): number {
    if (operation >= 0) this.#connections.empty(held);
    this.#operations.afterwards();
    return operation;
  }

  tellDetached(held: Held<C>): Promise<void> {
    return this.#tell("detach", held, undefined);
  }

  closeDetached(operation: number, held: Held<C>, abrupt: boolean, wasReset: boolean): Promise<void> {
    return this.#attempt(held, () => {
      const clean = this.#isClean(held, abrupt || wasReset);
      return this.#finish(
        this.#books.wasm.close_detached(this.#books.number, operation, clean, abrupt ? 1 : 0),
        held,
        wasReset,
        undefined,
      );
    });
  }

  /** An event that nothing else waits for. */
  #tell(event: HookName, held: Held<C>, error: unknown): Promise<void> {
    return this.#finish(this.#books.wasm.tell(this.#books.number, hookNames.indexOf(event)), held, false, error);
  }

  // ---- what became of them

  #isCurrent(held: Held<C>): boolean {
    return held.record.held === held && this.#slots[held.record.index] === held.record;
  }

  isInUse(slot: Slot<C>): boolean {
    return (
      !hasCrashed() &&
      !this.#books.isGivenUp &&
      this.#slots[slot.index] === slot &&
      this.#books.wasm.is_in_use(this.#books.number, slot.index) !== 0
    );
  }

  /** The driver says that this connection is gone. */
  died(held: Held<C>): void {
    if (hasCrashed()) return;
    try {
      if (this.#books.wasm.connection_died(this.#books.number, held.record.index) !== 0)
        this.#reporter.tell("disconnect", held.death, held.record);
      else this.#steps.invalidated(held.death);
      this.#operations.afterwards();
    } catch (trap) {
      this.#operations.crash(trap);
    }
  }

  /** A lease was collected unreturned. */
  lost(lost: Lost<C>): void {
    this.#lostLeases.add(lost);
  }
}
