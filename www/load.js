// The load: who comes when, and what each of them wants. Seeded, so that two panes (and two visitors) see the same
// callers. experiment.js gives every arrival to every pane; what happens to it there is watched-pool.js's story.

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

  /** The rate is another: callers have no memory, so neither has the wait for the next one. */
  changed() {
    this.#time.cancel(this.#timer);
    const { rate, waves } = this.#conditions();
    const mostPerMs = (rate * (1 + waves / 100)) / 1000;
    if (mostPerMs === 0) return;
    this.#timer = this.#time.after(gap(this.#random) / mostPerMs, () => {
      // Of the arrivals at the highest rate, those are dropped that the swing has no room for at this moment.
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
