// The numbers behind the lines, in equal pieces of virtual time: the waits of callers, the connections in use, the
// callers served, the connections opened. watched-pool.js adds them, src/picture/charts.js draws them.

const pieces = 120;
const smoothed = 4;

/** The last 120 pieces of `pieceMs` each. */
export class Series {
  points = [];
  /** The latest pieces; the last one is not complete. Shown values cover all of them, so that they do not jump. */
  #latest = [emptyPiece()];

  constructor(pieceMs) {
    this.pieceMs = pieceMs;
  }

  get spanMs() {
    return pieces * this.pieceMs;
  }

  noteWait(ms) {
    this.#latest.at(-1).waits.push(ms);
  }

  noteServed() {
    this.#latest.at(-1).served++;
  }

  noteOpened() {
    this.#latest.at(-1).opened++;
  }

  /** Ends a piece. It shows no wait if no caller got a connection. */
  end(at, used) {
    const waits = this.#latest.flatMap((piece) => piece.waits).sort((a, b) => a - b);
    const perSecond = (name) =>
      (this.#latest.reduce((sum, piece) => sum + piece[name], 0) * 1000) / (this.pieceMs * this.#latest.length);
    this.points.push({
      at,
      p50: quantile(waits, 0.5),
      p95: quantile(waits, 0.95),
      used,
      served: perSecond("served"),
      opened: perSecond("opened"),
    });
    if (this.points.length > pieces) this.points.shift();
    this.#latest.push(emptyPiece());
    if (this.#latest.length > smoothed) this.#latest.shift();
  }
}

function emptyPiece() {
  return { waits: [], served: 0, opened: 0 };
}

function quantile(sorted, part) {
  return sorted.length === 0 ? undefined : sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}
