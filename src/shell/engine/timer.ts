/** The one host timer of a scope: calls the policy when a time may have ended, and asks when to call it again. */

import { holdProcess, type GuardedClock } from "../clock.js";
import type { Run } from "../host.js";
import type { Log } from "../logger.js";
import type { Policy } from "./policy.js";

export class Timer {
  readonly #clock: GuardedClock;
  readonly #log: Log;
  readonly #policy: Policy;
  readonly #onRing: () => void;
  readonly #outside: Run;
  #handle: unknown = undefined;
  /** When it rings, and when it should. Most times are over before they end, and to set a timer costs the most. */
  #ringsAt = 0;
  #dueAt = 0;
  /** Counts what sets or clears the timer: the clock may be foreign code that re-enters the pool. */
  #serial = 0;
  /** Whether the timer runs and lets the process end. */
  #isLoose = false;
  /** Whether the timer has run out since the policy was last given the time. */
  #hasRung = false;

  constructor(clock: GuardedClock, log: Log, policy: Policy, outside: Run, onRing: () => void) {
    this.#clock = clock;
    this.#log = log;
    this.#policy = policy;
    this.#outside = outside;
    this.#onRing = onRing;
  }

  /** Passes the time to the policy, drains its output, and sets the timer again. Returns whether the timer runs. */
  tick(drain: () => void): boolean {
    const nowMs = this.#clock.now();
    // A ring tells the time once. The clock may be foreign code, which has passed it on and set the timer again.
    const rings = this.#hasRung;
    this.#hasRung = false;
    const delayMs = this.#policy.tick(nowMs, rings);
    drain();
    this.#dueAt = nowMs + delayMs;
    if (this.#handle !== undefined && delayMs > 0 && this.#ringsAt <= this.#dueAt) {
      this.#hold(this.#policy.isAttended());
      return true;
    }
    const serial = ++this.#serial;
    this.#clear();
    // The clock may be foreign code: a re-entrant tick knows better.
    if (serial !== this.#serial) return this.#handle !== undefined;
    if (delayMs >= 0) this.#set(delayMs);
    return delayMs >= 0;
  }

  /** Keeps the process alive: a caller begins to wait, and the timer may have been set while none did. */
  hold(): void {
    if (this.#isLoose) this.#hold(true);
  }

  #hold(holds: boolean): void {
    if (this.#isLoose !== holds) return;
    this.#isLoose = !holds;
    holdProcess(this.#handle, holds);
  }

  clear(): void {
    this.#serial++;
    this.#clear();
  }

  #clear(): void {
    const handle = this.#handle;
    this.#isLoose = false;
    this.#handle = undefined;
    if (handle !== undefined) this.#clock.clearTimeout(handle);
  }

  /** Workers refuse timers at module scope: nothing ends by time until a call comes from where a timer can be set. */
  #set(delayMs: number): void {
    const serial = this.#serial;
    this.#ringsAt = this.#dueAt;
    let handle: unknown;
    try {
      const ring = (): void => {
        if (this.#serial !== serial) return;
        this.#handle = undefined;
        this.#isLoose = false;
        if (this.#ringsAt < this.#dueAt) {
          // A clock that stands still does not tell that the timer has run.
          const leftMs = this.#dueAt - Math.max(this.#ringsAt, this.#clock.now());
          if (this.#serial !== serial) return;
          if (leftMs > 0) return this.#set(leftMs);
        }
        this.#hasRung = true;
        this.#onRing();
      };
      handle = delayMs === 0 ? this.#clock.afterTurn(ring) : this.#outside(() => this.#clock.setTimeout(ring, delayMs));
    } catch (error) {
      this.#policy.timerLost();
      this.#log.error("no timer can be set here, so no waiting ends by time", error);
      return;
    }
    if (serial !== this.#serial) return this.#clock.clearTimeout(handle);
    this.#handle = handle;
    this.#isLoose = !this.#policy.isAttended();
    holdProcess(handle, !this.#isLoose);
  }
}
