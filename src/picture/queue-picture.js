// Draws the waiters: one bar for each, the first in line first, with a length for its remaining patience. Draws the
// callers that left last, with a sign for the reason. Uses canvases, because there may be a thousand. Called by
// picture.js at every frame.

import { SharpCanvas, theme } from "./theme.js";

/** From roomy to dense: the size of a caller, and whether its number and its seconds fit. */
const sizes = [
  { width: 150, height: 22, gap: 4, hasNumber: true, hasSeconds: true },
  { width: 70, height: 18, gap: 4, hasNumber: true, hasSeconds: false },
  { width: 24, height: 10, gap: 3, hasNumber: false, hasSeconds: false },
  { width: 14, height: 7, gap: 2, hasNumber: false, hasSeconds: false },
  { width: 8, height: 5, gap: 2, hasNumber: false, hasSeconds: false },
  { width: 5, height: 4, gap: 1, hasNumber: false, hasSeconds: false },
];

const urgentBelow = 0.3;
/** With more callers than this, each is a few pixels, and every third frame is enough. */
const manyCallers = 200;
const framesForMany = 3;

export class QueuePicture {
  #sharp;
  #framesToRest = 0;

  constructor(canvas) {
    this.#sharp = new SharpCanvas(canvas);
    this.#sharp.onResize = () => (this.#framesToRest = 0);
  }

  /** `patienceMs`: the longest wait of a caller; Infinity means no limit. `textWithout`: shown without waiters. */
  draw(callers, count, patienceMs, now, textWithout) {
    if (count > manyCallers && this.#framesToRest-- > 0) return;
    this.#framesToRest = framesForMany - 1;
    const { width, height } = this.#sharp;
    const context = this.#sharp.begin();
    const colours = theme();
    if (count === 0) {
      context.fillStyle = colours.muted;
      context.font = `13px ${colours.font}`;
      context.textBaseline = "top";
      context.fillText(textWithout, 0, 4);
      return;
    }
    const fit = sizes.map((size) => ({
      ...size,
      columns: Math.max(1, Math.floor((width + size.gap) / (size.width + size.gap))),
      rows: Math.floor((height + size.gap) / (size.height + size.gap)),
    }));
    const size = fit.find(({ columns, rows }) => columns * rows >= count) ?? fit.at(-1);
    const cell = size.hasNumber ? (width - (size.columns - 1) * size.gap) / size.columns : size.width;
    const most = size.columns * size.rows;
    context.textBaseline = "middle";
    context.font = `12px ${colours.font}`;
    const bars = [];
    const urgentBars = [];
    const spaces = [];
    const barHeight = size.hasNumber ? 4 : size.height;
    const texts = [];
    let place = 0;
    for (const caller of callers) {
      if (place === most || place === count) break;
      const x = (place % size.columns) * (cell + size.gap);
      const y = Math.floor(place / size.columns) * (size.height + size.gap);
      const leftMs = caller.askedAt + patienceMs - now;
      const left = patienceMs === Infinity ? 1 : Math.max(0, Math.min(1, leftMs / patienceMs));
      const isUrgent = left < urgentBelow;
      if (left < 1 || size.hasNumber) spaces.push(x, y, cell, size.height);
      (isUrgent ? urgentBars : bars).push(x, y + size.height - barHeight, Math.max(1, cell * left), barHeight);
      if (size.hasNumber) texts.push({ caller, isUrgent, leftMs, x, y });
      place++;
    }
    // Draws colour by colour: a thousand changes of colour would cost more than the bars.
    fillAll(context, colours.faint, spaces);
    fillAll(context, colours.waiting, bars);
    fillAll(context, colours.urgent, urgentBars);
    if (size.hasNumber) {
      context.strokeStyle = colours.text;
      context.strokeRect(0.5, 0.5, cell - 1, size.height - 1);
    }
    context.fillStyle = colours.text;
    for (const { caller, isUrgent, leftMs, x, y } of texts) {
      const middle = y + (size.height - 3) / 2;
      context.textAlign = "left";
      context.fillText(`${isUrgent ? "! " : ""}#${caller.id}`, x + 5, middle);
      if (!size.hasSeconds) continue;
      context.textAlign = "right";
      context.fillText(
        patienceMs === Infinity ? "no limit" : `${(Math.max(0, leftMs) / 1000).toFixed(1)} s left`,
        x + cell - 5,
        middle,
      );
    }
    context.textAlign = "left";
  }
}

/** `rectangles`: four numbers each. */
function fillAll(context, colour, rectangles) {
  context.fillStyle = colour;
  for (let at = 0; at < rectangles.length; at += 4)
    context.fillRect(rectangles[at], rectangles[at + 1], rectangles[at + 2], rectangles[at + 3]);
}

/** The signs of the reasons, in a square of 12. */
const signs = {
  served: new Path2D("M2 6.5l2.8 2.8L10 3"),
  timedOut: new Path2D("M6 1.5a4.5 4.5 0 1 0 .01 0M6 3.5V6l2 1.6"),
  failed: new Path2D("M2.5 2.5l7 7M9.5 2.5l-7 7"),
  refused: new Path2D("M6 1.5a4.5 4.5 0 1 0 .01 0M3 9l6-6"),
};

export class LeavingPicture {
  #sharp;

  constructor(canvas) {
    this.#sharp = new SharpCanvas(canvas);
  }

  /** The latest first. */
  draw(lastToLeave) {
    const { width, height } = this.#sharp;
    const context = this.#sharp.begin();
    const colours = theme();
    const colourOf = {
      served: colours.served,
      timedOut: colours.urgent,
      failed: colours.urgent,
      refused: colours.refused,
    };
    const step = 16;
    const columns = Math.max(1, Math.floor(width / step));
    const most = columns * Math.floor(height / step);
    context.lineWidth = 1.6;
    for (let place = 0; place < Math.min(most, lastToLeave.length); place++) {
      const { ending } = lastToLeave[lastToLeave.length - 1 - place];
      context.save();
      context.translate((place % columns) * step + 1, Math.floor(place / columns) * step + 1);
      context.strokeStyle = colourOf[ending];
      context.stroke(signs[ending]);
      context.restore();
    }
  }
}
