// The load: when each caller arrives, and what it needs. Seeded, so that two panes (and two visitors) see the same
// callers. experiment.js gives every arrival to every pane, and watched-pool.js serves it there.

import { gap, seeded, spread } from "./seeded-random.js";

const swingMs = 16_000;

export class Load {
  #time;
  #seed;
  #conditions;
  #random;
  #timer;
  #arrived = 0;
  /** Called with each arrival. */
  onArrival = () => {};

  constructor(time, seed, conditions) {
    this.#time = time;
    this.#seed = seed;
    this.#conditions = conditions;
    this.#random = seeded(`${seed} arrivals`);
    this.changed();
  }

  /** Adapts to a new rate: arrivals are independent, so the wait for the next one starts again. */
  changed() {
    this.#time.cancel(this.#timer);
    const { rate, waves } = this.#conditions();
    const mostPerMs = (rate * (1 + waves / 100)) / 1000;
    if (mostPerMs === 0) return;
    this.#timer = this.#time.after(gap(this.#random) / mostPerMs, () => {
      // Arrivals come at the highest rate, and this drops those that exceed the current rate of the swing.
      const share = (1 + (waves / 100) * Math.sin((2 * Math.PI * this.#time.now) / swingMs)) / (1 + waves / 100);
      if (this.#random() < share) this.onArrival(this.#next());
      this.changed();
    });
  }

  #next() {
    const id = ++this.#arrived;
    const random = seeded(`${this.#seed} caller ${id}`);
    const queries = Array.from({ length: 1 + Math.floor(3 * random()) }, () => ({
      weight: spread(random),
      luck: 100 * random(),
    }));
    return { id, at: this.#time.now, queries, forgetfulness: 100 * random(), leavesTransactionOpen: random() < 0.4 };
  }
}
