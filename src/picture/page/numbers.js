// The numbers under a picture: the longest wait and the oldest lease, then those of stats(). Only changes reach the
// document.

import { seconds } from "../charts.js";

const own = {
  longestWaitMs: "longest wait, at least",
  oldestLeaseMs: "oldest lease, at least",
};
const shown = [
  "waiting",
  "used",
  "returning",
  "idle",
  "opening",
  "closing",
  "detached",
  "checkouts",
  "waited",
  "timedOut",
  "aborted",
  "opened",
  "openFailed",
  "recycled",
  "invalidated",
  "leaked",
];

export class Numbers {
  element = document.createElement("dl");
  #values = new Map();

  constructor() {
    this.element.className = "numbers";
    for (const [key, name] of [...Object.entries(own), ...shown.map((one) => [one, one])]) {
      const value = document.createElement("dd");
      const term = Object.assign(document.createElement("dt"), { textContent: name });
      const pair = document.createElement("div");
      pair.dataset.number = key;
      pair.append(term, value);
      this.element.append(pair);
      this.#values.set(key, value);
    }
  }

  draw(pane) {
    for (const [key, value] of this.#values) {
      const text = key in own ? seconds(pane[key] ?? undefined) : String(pane.stats[key] ?? 0);
      if (value.textContent !== text) value.textContent = text;
    }
  }
}
