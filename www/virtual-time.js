// Virtual time: a clock that only the page moves, timer by timer, each with the promises behind it. The pool has it as
// its option `clock`, the simulated database and the callers sleep by it, experiment.js moves it. Two runs with the
// same seed are equal, however the frames of the screen divide them.

/** The promise chains of the pool, a driver call and a caller together are shorter than this. */
const turnsBehindATimer = 40;

/** Runs the microtasks that are due, without leaving the current task. */
export async function settled() {
  for (let turn = 0; turn < turnsBehindATimer; turn++) await null;
}

export class VirtualTime {
  /** Milliseconds since the start. */
  now = 0;
  #timers = [];
  #made = 0;
  #awaited = 0;

  /** Whether any timer is set, apart from those that only watch. */
  get isAwaited() {
    return this.#awaited > 0;
  }

  /** The value of the pool's option `clock`. */
  get clock() {
    return {
      now: () => this.now,
      setTimeout: (run, ms) => this.after(ms, run),
      clearTimeout: (timer) => this.cancel(timer),
    };
  }

  /** Sets a timer. `isWatching`: it only reads the state and has no effect. */
  after(ms, run, isWatching = false) {
    const timer = { due: this.now + Math.max(0, ms), order: this.#made++, run, isWatching };
    if (!isWatching) this.#awaited++;
    push(this.#timers, timer);
    return timer;
  }

  /** Cancels a timer, which stays in the heap without effect. */
  cancel(timer) {
    if (timer?.run !== undefined) this.#take(timer);
  }

  /** Returns the function of a timer, and removes it. */
  #take(timer) {
    const { run } = timer;
    timer.run = undefined;
    if (!timer.isWatching) this.#awaited--;
    return run;
  }

  sleep(ms) {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** The due time of the next timer; Infinity if there is none. */
  get nextDue() {
    while (this.#timers.length > 0 && this.#timers[0].run === undefined) pop(this.#timers);
    return this.#timers[0]?.due ?? Infinity;
  }

  async advanceTo(end) {
    while (this.nextDue <= end) {
      const timer = pop(this.#timers);
      this.now = timer.due;
      this.#take(timer)();
      await settled();
    }
    this.now = end;
  }
}

const isBefore = (a, b) => a.due < b.due || (a.due === b.due && a.order < b.order);

/** Adds to a binary heap: the earliest timer is first; of two with the same time, the one set first. */
function push(heap, timer) {
  let place = heap.length;
  while (place > 0) {
    const parent = (place - 1) >> 1;
    if (!isBefore(timer, heap[parent])) break;
    heap[place] = heap[parent];
    place = parent;
  }
  heap[place] = timer;
}

function pop(heap) {
  const first = heap[0];
  const last = heap.pop();
  if (heap.length === 0) return first;
  let place = 0;
  for (;;) {
    let child = 2 * place + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
    if (!isBefore(heap[child], last)) break;
    heap[place] = heap[child];
    place = child;
  }
  heap[place] = last;
  return first;
}
