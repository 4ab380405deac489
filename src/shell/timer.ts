/** The one host timer of a pool: it asks the policy what has run out of time, and when to ask again. Used by operations.ts and driver.ts. */

import { holdProcess, type PoolClock } from "./clock.js";
import type { Log } from "./logger.js";

/** What the timer asks of the policy. */
export interface Ticking {
  /** Takes the time; answers after how many milliseconds to ask again, or -1. */
  tick(nowMs: number): number;
  /** The timer that was asked for could not be set. */
  timerLost(): void;
  /** Whether somebody waits, so that the process must not end. */
  isAttended(): boolean;
  /** It is time. */
  rang(): void;
}

export class Timer {
  readonly #clock: PoolClock;
  readonly #log: Log;
  readonly #ticking: Ticking;
  #handle: unknown = undefined;
  /** Whether it runs, and would let the process end. */
  #isLoose = false;

  constructor(clock: PoolClock, log: Log, ticking: Ticking) {
    this.#clock = clock;
    this.#log = log;
    this.#ticking = ticking;
  }

  /** Answers whether the timer runs. */
  tick(): boolean {
    const delayMs = this.#ticking.tick(this.#clock.now());
    this.clear();
    if (delayMs >= 0) this.#set(delayMs);
    return delayMs >= 0;
  }

  /** Somebody begins to wait: a timer that was set while nobody did must not let the process end any more. */
  hold(): void {
    if (!this.#isLoose) return;
    this.#isLoose = false;
    holdProcess(this.#handle, true);
  }

  clear(): void {
    this.#isLoose = false;
    if (this.#handle !== undefined) this.#clock.clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  /** Workers refuse timers at module scope: then nothing ends by time until somebody asks where one can be set. */
  #set(delayMs: number): void {
    try {
      this.#handle = this.#clock.setTimeout(() => {
        this.#handle = undefined;
        this.#isLoose = false;
        this.#ticking.rang();
      }, delayMs);
    } catch (error) {
      this.#log.error("no timer can be set here, so nothing that waits ends by time", error);
      this.#ticking.timerLost();
      return;
    }
    this.#isLoose = !this.#ticking.isAttended();
    holdProcess(this.#handle, !this.#isLoose);
  }
}
