// How much of a frame the simulation may take beside the picture, and whether that is enough for the speed that was asked
// for: where it is too little, virtual time goes as fast as it can. Called by main.js at every frame.

/** For both together: half of a frame, since the browser has to paint it, too. */
const frameMs = 7;
const leastMs = 1;
const tellEveryMs = 1000;
const slowBelow = 0.8;

export class Pace {
  #drawMs = 0;
  #since = 0;
  #reached = 0;
  #wanted = 0;

  get budgetMs() {
    return Math.max(leastMs, frameMs - this.#drawMs);
  }

  /** What the picture cost; a dear one (with charts) counts for some frames. */
  noteDraw(ms) {
    this.#drawMs = Math.max(ms, 0.9 * this.#drawMs);
  }

  /** Once a second: how many times as fast as the clock it was, where that is too slow, else 0. Undefined in between. */
  noteMove(reached, wanted, realNow) {
    this.#reached += reached;
    this.#wanted += wanted;
    if (realNow - this.#since < tellEveryMs) return undefined;
    const times = this.#reached < slowBelow * this.#wanted ? this.#reached / (realNow - this.#since) : 0;
    this.#since = realNow;
    this.#reached = this.#wanted = 0;
    return times;
  }
}
