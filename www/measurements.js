// The numbers behind the lines: how long callers waited, how many connections were in use, how many callers were served,
// how many connections were opened, in equal pieces of virtual time. watched-pool.js notes, charts.js draws.

const pieces = 120;
const smoothed = 4;

/** The last 120 pieces of `pieceMs` each. */
export class Series {
  points = [];
  #waits = [];
  #served = 0;
  #opened = 0;
  /** What was served and opened in the latest pieces: a rate is taken over all of them, or it would only jump. */
  #latest = [];

  constructor(pieceMs) {
    this.pieceMs = pieceMs;
  }

  get spanMs() {
    return pieces * this.pieceMs;
  }

  noteWait(ms) {
    this.#waits.push(ms);
  }

  noteServed() {
    this.#served++;
  }

  noteOpened() {
    this.#opened++;
  }

  /** Ends a piece. Where nobody got a connection there is no wait to show. */
  end(at, used) {
    const waits = this.#waits.sort((a, b) => a - b);
    this.#latest.push({ served: this.#served, opened: this.#opened });
    if (this.#latest.length > smoothed) this.#latest.shift();
    const perSecond = (name) => (this.#latest.reduce((sum, piece) => sum + piece[name], 0) * 1000) / (this.pieceMs * this.#latest.length);
    this.points.push({ at, p50: quantile(waits, 0.5), p95: quantile(waits, 0.95), used, served: perSecond("served"), opened: perSecond("opened") });
    if (this.points.length > pieces) this.points.shift();
    this.#waits = [];
    this.#served = 0;
    this.#opened = 0;
  }
}

function quantile(sorted, part) {
  return sorted.length === 0 ? undefined : sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}
