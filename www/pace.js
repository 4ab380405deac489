// Decides how much of a frame the simulation may take beside the picture, and measures whether that is enough for the
// chosen speed. If it is not, virtual time runs as fast as it can. Called by main.js at every frame.

/** For both together: half of a frame, because the browser must also paint it. */
const frameMs = 7;
const leastMs = 1;
const reportEveryMs = 1000;
const slowBelow = 0.8;

export class Pace {
  #drawMs = 0;
  #since = 0;
  #reached = 0;
  #wanted = 0;

  get budgetMs() {
    return Math.max(leastMs, frameMs - this.#drawMs);
  }

  /** Notes the cost of a picture; an expensive one (with charts) counts for some frames. */
  noteDraw(ms) {
    this.#drawMs = Math.max(ms, 0.9 * this.#drawMs);
  }

  /** Returns once a second the reached speed if it is too low, else 0; in between undefined. */
  noteMove(reached, wanted, realNow) {
    this.#reached += reached;
    this.#wanted += wanted;
    if (realNow - this.#since < reportEveryMs) return undefined;
    const times = this.#reached < slowBelow * this.#wanted ? this.#reached / (realNow - this.#since) : 0;
    this.#since = realNow;
    this.#reached = this.#wanted = 0;
    return times;
  }
}
