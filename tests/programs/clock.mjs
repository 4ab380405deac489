// @ts-check
// Virtual time. The pool reads `reading`, which a program may set back; timers run by `elapsed`, which only grows.

export class VirtualClock {
  /** Milliseconds that have passed since the start of the program. */
  elapsed = 0;
  #skew = 0;
  /** @type {Map<number, { due: number, run: () => void }>} */
  #timers = new Map();
  #lastId = 0;
  fired = 0;
  /** When the pool read the clock last. */
  #lastRead = 0;
  #hasSteppedBack = false;
  /** Is called with the time that a step back has cost the pool: what has passed between two readings. */
  lost = (/** @type {number} */ _ms) => {};

  /** What the pool is given as its option `clock`. */
  forPool = {
    now: () => {
      if (this.#hasSteppedBack) this.lost(this.elapsed - this.#lastRead);
      this.#hasSteppedBack = false;
      this.#lastRead = this.elapsed;
      return this.elapsed + this.#skew;
    },
    setTimeout: (/** @type {() => void} */ run, /** @type {number} */ ms) => this.after(ms, run),
    clearTimeout: (/** @type {number} */ id) => void this.#timers.delete(id),
  };

  /** Timers that the pool or a program has set. */
  get size() {
    return this.#timers.size;
  }

  after(/** @type {number} */ ms, /** @type {() => void} */ run) {
    const id = ++this.#lastId;
    this.#timers.set(id, { due: this.elapsed + Math.max(Math.ceil(ms), 0), run });
    return id;
  }

  /** Lets time pass without running a timer: the process was frozen, or busy. */
  freeze(/** @type {number} */ ms) {
    this.elapsed += ms;
  }

  /** Sets the clock that the pool reads back. */
  stepBack(/** @type {number} */ ms) {
    this.#skew -= ms;
    this.#hasSteppedBack = true;
  }

  /** Runs the next timer that is due until then, and answers whether there was one. */
  runNext(/** @type {number} */ until) {
    let next;
    for (const [id, timer] of this.#timers)
      if (timer.due <= until && (next === undefined || timer.due < next.timer.due)) next = { id, timer };
    if (next === undefined) return false;
    this.#timers.delete(next.id);
    this.elapsed = Math.max(this.elapsed, next.timer.due);
    this.fired++;
    next.timer.run();
    return true;
  }
}
