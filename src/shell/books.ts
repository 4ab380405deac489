/**
 * One scope's part of the policy, as the shell sees it: the exports, the number that names it there, and whether it may
 * still be asked. A trap ends it, and so does giving up its I/O context. The calls of the policy are made through it, by
 * driver.ts, operations.ts, leases.ts and leaks.ts; words and step words: src/bindings/mod.rs.
 */

import { InvalidRequestError } from "./errors.js";
import { crash, crashError, exportsOf, hasCrashed, type Exports } from "./instance.js";
import { refuseOption, type CoreOptions, type Settings } from "./options.js";
import { toStats, type PoolCounts, type PoolStats } from "./stats.js";
import { Core, counts, longest_held, stats } from "./wasm/edgepool.js";

/** In place of a number: the books are given up. */
const gone = 2 ** 32 - 1;

export class Books {
  readonly wasm: Exports;
  /** Whether every checkout and return tells the time. */
  readonly tellsTime: boolean;
  readonly #pool: string;
  /** Keeps the policy alive; calls name it by its number. */
  readonly #core: Core;
  #number: number;

  /** `options`: those of this scope. `scopeOf`: the books of the pool's first scope, of which this is a further one. */
  constructor(settings: Settings<any>, options: CoreOptions, scopeOf: Books | undefined) {
    this.#pool = settings.loggingName;
    this.wasm = exportsOf(this.#pool);
    if (hasCrashed()) throw crashError(this.#pool);
    try {
      this.#core = new Core(Float64Array.from(Object.values(options)), scopeOf === undefined ? -1 : scopeOf.number);
    } catch (error) {
      if (typeof error === "string") throw refuseOption(error, settings);
      crash(error);
      throw crashError(this.#pool);
    }
    this.#number = this.#core.number();
    this.tellsTime = this.wasm.tells_time(this.#number) !== 0;
  }

  /** What names this scope in every call. */
  get number(): number {
    return this.#number;
  }

  get isGivenUp(): boolean {
    return this.#number === gone;
  }

  /** Throws where the policy cannot be asked any more. */
  assertAlive(): void {
    if (hasCrashed()) throw crashError(this.#pool);
    if (this.isGivenUp) throw this.givenUp();
  }

  /** Gives the scope up, with all that is known of it. */
  giveUp(): void {
    this.#number = gone;
    if (!hasCrashed()) this.#core.free();
  }

  /** What whoever comes from a scope that was given up is told. */
  givenUp(): InvalidRequestError {
    return new InvalidRequestError(
      `the pool ${this.#pool} has given up what it knew of this request, since a thousand others have come meanwhile: its leases can only be closed. A compatibility date of 2025-05-05 or later has no such limit`,
      this.#pool,
    );
  }

  // ---- numbers

  stats(everywhere: boolean): PoolStats {
    this.assertAlive();
    return toStats(stats(this.#number, everywhere));
  }

  counts(): PoolCounts {
    this.assertAlive();
    const [size, checkedIn, overflow, checkedOut] = counts(this.#number) as [number, number, number, number];
    return { size, checkedIn, overflow, checkedOut };
  }

  /** The leases that have been out for longest, with the index of their slots. Without `nowMs` by the last time that was read. */
  longestHeld(nowMs: number | undefined): Array<{ ms: number; index: number }> {
    const numbers = longest_held(this.#number, nowMs ?? NaN) as number[];
    return Array.from({ length: numbers.length / 2 }, (_, place) => ({
      ms: numbers[2 * place] as number,
      index: numbers[2 * place + 1] as number,
    }));
  }
}
