/**
 * One scope's part of the policy: the only door to the WebAssembly. A method for each export, which passes numbers in
 * and out (their encoding: protocol.ts). A trap ends the policy, and so does giving up its I/O context.
 *
 * After each call that may settle a promise, the caller drains the output (operations.ts), before any foreign code
 * runs.
 */

import { InvalidRequestError } from "../errors.js";
import type { Condition, Loss, Outcome, Refusal } from "../protocol.js";
import { refuseOption, type PolicyOptions, type Settings } from "../settings.js";
import { toStats, type PoolCounts, type PoolStats } from "../stats.js";
import { become_object, Core, counts, longest_held, take_held, resize, stats } from "../wasm/edgepool.js";
import { crash, crashError, exportsOf, hasCrashed, type Exports } from "./instance.js";

/** In place of the number of a scope that was given up. */
const gone = 2 ** 32 - 1;

/** For how long a lease has been out, and the index of its slot. */
export interface Held {
  readonly ms: number;
  readonly index: number;
}

/** Reads pairs of milliseconds and slots. */
function toHeld(numbers: readonly number[]): Held[] {
  return Array.from({ length: numbers.length / 2 }, (_, place) => ({
    ms: numbers[2 * place] as number,
    index: numbers[2 * place + 1] as number,
  }));
}

export class Policy {
  /** Whether every checkout and return reads the clock. */
  tellsTime = false;
  /** Whether an opening that failed is tried again. */
  readonly retries: boolean;
  readonly #wasm: Exports;
  readonly #pool: string;
  /** Keeps the policy alive; calls name it by its number. */
  readonly #core: Core;
  #number: number;

  /**
   * `options`: those of this scope, in order. `first`: the policy of the pool's first scope, if this is a further one.
   * `context`: the number of the I/O context to which this one belongs, or -1.
   */
  constructor(settings: Settings<any>, options: Float64Array, first: Policy | undefined, context: number) {
    this.#pool = settings.loggingName;
    this.#wasm = exportsOf(this.#pool);
    if (hasCrashed()) throw crashError(this.#pool);
    try {
      this.#core = new Core(options, first === undefined ? -1 : first.#number, context);
    } catch (error) {
      if (typeof error === "string") throw refuseOption(error, settings);
      crash(error);
      throw crashError(this.#pool);
    }
    this.#number = this.#core.number();
    this.readOptions();
    this.retries = this.#wasm.retries(this.#number) !== 0;
    if (settings.dialect.doPing !== undefined) this.#wasm.set_can_ping(this.#number);
  }

  /** Its options may have changed. */
  readOptions(): void {
    this.tellsTime = this.#wasm.tells_time(this.#number) !== 0;
  }

  /** The number of this scope. */
  get number(): number {
    return this.#number;
  }

  get isGivenUp(): boolean {
    return this.#number === gone;
  }

  /** Throws if the policy cannot be called any more. */
  assertAlive(): void {
    if (hasCrashed()) throw crashError(this.#pool);
    if (this.isGivenUp) throw this.givenUpError();
  }

  /** Gives the scope up, with all that is known of it. */
  giveUp(): void {
    this.#number = gone;
    if (!hasCrashed()) this.#core.free();
  }

  /** Returns the error for code that still runs in a context that was given up. */
  givenUpError(): InvalidRequestError {
    return new InvalidRequestError(
      `pool ${this.#pool} no longer tracks this request (more than 1,024 newer ones arrived); its leases can only ` +
        `be closed. A compatibility date of 2025-05-05 or later has no such limit`,
      this.#pool,
    );
  }

  // ---- callers

  /** Returns the word of a checkout on the pool's own times. */
  checkout(): number {
    return this.#wasm.checkout(this.#number);
  }

  checkoutWithin(timeoutMs: number, deadlineMs: number, priority: number, nowMs: number): number {
    return this.#wasm.checkout_within(this.#number, timeoutMs, deadlineMs, priority, nowMs);
  }

  /** The same for a caller that cannot wait. `counts`: whether its refusal is one for want of time. */
  checkoutNow(nowMs: number, counts: boolean): number {
    return this.#wasm.checkout_now(this.#number, nowMs, counts ? 1 : 0);
  }

  /** Takes that the caller of the operation cannot wait. Returns why it is refused. */
  leave(operation: number, counts: boolean): Refusal {
    return this.#wasm.leave(this.#number, operation, counts ? 1 : 0);
  }

  /** Returns why the last checkout was refused. */
  refusal(): number {
    return this.#wasm.refusal(this.#number);
  }

  /** Returns whether the caller is to be refused with its signal's reason. */
  abort(operation: number): boolean {
    return this.#wasm.abort(this.#number, operation) !== 0;
  }

  // ---- operations

  /** Returns the step of an operation that begins or was woken. */
  resume(operation: number): number {
    return this.#wasm.resume(this.#number, operation);
  }

  /** Takes the outcome of a step and returns the next step. */
  advance(operation: number, outcome: Outcome): number {
    return this.#wasm.advance(this.#number, operation, outcome);
  }

  nextOutput(): number {
    return this.#wasm.next_output(this.#number);
  }

  /** Returns the notice that the last output is. */
  notice(): number {
    return this.#wasm.notice(this.#number);
  }

  /** Whether there is output, or a tick is due. */
  hasOutput(): boolean {
    return this.#wasm.has_output(this.#number) !== 0;
  }

  /** Returns why the operation replaces its connection, by number. */
  stalenessOf(operation: number): number {
    return this.#wasm.staleness(this.#number, operation);
  }

  setRandom(random: number): void {
    this.#wasm.set_random(this.#number, random);
  }

  setEvents(bits: number): void {
    this.#wasm.set_hooks(this.#number, bits);
  }

  // ---- time

  wantsTick(): boolean {
    return this.#wasm.tick_wanted(this.#number) !== 0;
  }

  /**
   * Takes the time; `rings`: the timer has run out. Returns after how many milliseconds to tick again: 0 for one turn
   * of the host's loop, or -1.
   */
  tick(nowMs: number, rings: boolean): number {
    return this.#wasm.tick(this.#number, nowMs, rings ? 1 : 0);
  }

  readClock(nowMs: number): void {
    this.#wasm.read_clock(this.#number, nowMs);
  }

  /** Takes that the timer could not be set. */
  timerLost(): void {
    this.#wasm.timer_lost(this.#number);
  }

  /** Whether a caller waits, so that the process must not end. */
  isAttended(): boolean {
    return this.#wasm.is_attended(this.#number) !== 0;
  }

  // ---- leases

  /** Returns the word of a return of a connection at rest. `isClean`: no transaction is open. */
  checkin(lease: number, isClean: 0 | 1): number {
    return this.#wasm.checkin(this.#number, lease, isClean);
  }

  /** The same for a connection that may not be at rest. */
  checkinAs(lease: number, condition: Condition): number {
    return this.#wasm.checkin_as(this.#number, lease, condition);
  }

  returnShare(operation: number, condition: Condition): number {
    return this.#wasm.return_share(this.#number, operation, condition);
  }

  invalidate(lease: number): number {
    return this.#wasm.invalidate(this.#number, lease);
  }

  invalidateShare(operation: number): number {
    return this.#wasm.invalidate_share(this.#number, operation);
  }

  /** Returns the operation that stands for the detached connection, or -1 if the lease had ended. */
  detach(lease: number): number {
    return this.#wasm.detach(this.#number, lease);
  }

  /** Returns whether the share had not ended. */
  detachShare(operation: number): boolean {
    return this.#wasm.detach_share(this.#number, operation) !== 0;
  }

  closeDetached(operation: number, condition: Condition, isAbrupt: boolean): number {
    return this.#wasm.close_detached(this.#number, operation, condition, isAbrupt ? 1 : 0);
  }

  /** Returns whether the lease had not ended. */
  loseLease(lease: number): boolean {
    return this.#wasm.lose_lease(this.#number, lease) !== 0;
  }

  /** Returns whether the share had not ended. */
  loseShare(operation: number): boolean {
    return this.#wasm.lose_share(this.#number, operation) !== 0;
  }

  // ---- slots

  /** Returns the lease that the checkout of this slot will grant, or has granted. */
  leaseOfSlot(slot: number): number {
    return this.#wasm.lease_of(this.#number, slot);
  }

  /** Takes that the creator has returned the connection of the slot: from now on its record can end it. */
  adopt(slot: number): void {
    this.#wasm.adopt(this.#number, slot);
  }

  isInUse(slot: number): boolean {
    return this.#wasm.is_in_use(this.#number, slot) !== 0;
  }

  invalidateSoft(slot: number): void {
    this.#wasm.invalidate_soft(this.#number, slot);
  }

  invalidateAsOld(slot: number): void {
    this.#wasm.invalidate_as_old(this.#number, slot);
  }

  /** Ends the slot's connection. Returns the word of a return. */
  emptySlot(slot: number, isAbrupt: boolean): number {
    return this.#wasm.empty_slot(this.#number, slot, isAbrupt ? 1 : 0);
  }

  addFinalizer(slot: number): void {
    this.#wasm.add_finalizer(this.#number, slot);
  }

  /** Takes that the slot's connection is lost, and what that says of the others. */
  lose(slot: number, loss: Loss): void {
    this.#wasm.lose(this.#number, slot, loss);
  }

  /** Takes the driver's report that the slot's connection is gone. Returns the word of a return. */
  connectionDied(slot: number, loss: Loss): number {
    return this.#wasm.connection_died(this.#number, slot, loss);
  }

  /** Begins an event that nothing depends on. Returns the word of a return. */
  emit(event: number): number {
    return this.#wasm.tell(this.#number, event);
  }

  // ---- the pool as a whole

  /** Begins to open connections, until there are `count`; returns how many are missing after that. */
  timeOpening(operation: number): void {
    this.#wasm.time_opening(this.#number, operation);
  }

  warm(count: number, most: number): number {
    return this.#wasm.warm(this.#number, count, most);
  }

  invalidateAll(): void {
    this.#wasm.invalidate_all(this.#number);
  }

  dispose(): void {
    this.#wasm.dispose(this.#number);
  }

  /** Closes the pool, in every scope, or hastens its close. */
  close(patienceMs: number, drains: boolean): void {
    this.#wasm.close(this.#number, patienceMs, drains ? 1 : 0);
  }

  /** Changes the sizes and limits of every scope. Throws the name of the first that breaks its rule. */
  resize({ poolSize, maxOverflow, minIdle, min, idleTimeout, maxUses, maxAge }: Partial<PolicyOptions>): void {
    this.assertAlive();
    resize(this.#number, poolSize, maxOverflow, minIdle, min, idleTimeout, maxUses, maxAge);
  }

  /** Takes that the scope is that of a Durable Object. `options`: those that it has there. */
  becomeObject(options: Float64Array): void {
    become_object(this.#number, options);
  }

  /** Begins to keep `min` connections open, before any caller asks for one. */
  start(): void {
    this.#wasm.start(this.#number);
  }

  /** Returns the operation that ends when the close of this scope is over, or -1 if it is over. */
  closing(): number {
    return this.#wasm.closing(this.#number);
  }

  /** Returns the number of a scope of this pool that has something to do because of another one, or -1. */
  nextWokenScope(): number {
    return this.#wasm.next_scope(this.#number);
  }

  /** Closes this scope alone. */
  closeScope(): void {
    this.#wasm.close_scope(this.#number);
  }

  isClosed(): boolean {
    return this.#wasm.is_closed(this.#number) !== 0;
  }

  /** Whether all that there is in this scope is idle. */
  isAtRest(): boolean {
    return this.#wasm.is_at_rest(this.#number) !== 0;
  }

  /** Whether there is nothing in this scope. */
  isEmpty(): boolean {
    return this.#wasm.is_empty(this.#number) !== 0;
  }

  // ---- numbers

  /** `context`: the number of the I/O context that asks for those of all scopes, or -1. */
  stats(everywhere: boolean, context: number): PoolStats {
    this.assertAlive();
    return toStats(stats(this.#number, everywhere, context));
  }

  counts(): PoolCounts {
    this.assertAlive();
    const [size, checkedIn, overflow, checkedOut] = counts(this.#number) as [number, number, number, number];
    return { size, checkedIn, overflow, checkedOut };
  }

  /**
   * Returns for how long the longest return has been under way and the first waiter has waited, each -1 if there is
   * none, and the leases that have been out for longest, with the index of their slots. Without `nowMs` by the last
   * reading of the clock.
   */
  longestHeld(nowMs: number | undefined): { returningMs: number; waitingMs: number; held: Held[] } {
    const [returningMs, waitingMs, ...numbers] = longest_held(this.#number, nowMs ?? NaN) as [
      number,
      number,
      ...number[],
    ];
    return { returningMs, waitingMs, held: toHeld(numbers) };
  }

  /** Returns the leases that have come to be out for too long. */
  takeHeld(): Held[] {
    return toHeld(take_held(this.#number) as number[]);
  }
}
