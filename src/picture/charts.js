// Draws the lines over time of one pane, such as use, throughput and openings. Two panes share a scale, so that they
// can be compared by eye. Called by picture.js when there are new points.

import { SharpCanvas, theme } from "./theme.js";

const decimal = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(1));
export const seconds = (ms) =>
  ms === undefined ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${decimal(ms / 1000)} s`;
export const perSecond = (value) => `${value < 10 ? decimal(value) : Math.round(value)} /s`;

/** The next of 1, 2, 4, 5, 8 times a power of ten, so that the top of the scale is a plain number. */
function plainTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 4, 5, 8, 10].find((step) => step * power >= value);
}

/**
 * The highest value of each chart, for a common scale. A chart has a `name`, its `lines`, each of a member of the
 * points, the function `show` of a value, and the least top of its scale.
 */
export function chartTops(charts, points) {
  return charts.map(({ lines, atLeast }) =>
    Math.max(atLeast, ...points.flatMap((point) => lines.map(({ of }) => point[of] ?? 0))),
  );
}

export class Charts {
  element = document.createElement("div");
  #drawn;

  constructor(charts) {
    this.element.className = "charts";
    this.#drawn = charts.map((chart) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const values = chart.lines.map(({ word, colour, isDashed }) => {
        const value = document.createElement("b");
        const item = document.createElement("span");
        const sample = document.createElement("i");
        sample.className = `sample ${colour}${isDashed ? " is-dashed" : ""}`;
        item.append(sample, word ? `${word} ` : "", value);
        return { item, value };
      });
      caption.append(
        Object.assign(document.createElement("span"), { textContent: chart.name, className: "chart-name" }),
        ...values.map(({ item }) => item),
      );
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      figure.append(caption, canvas);
      this.element.append(figure);
      return { chart, values: values.map(({ value }) => value), canvas, sharp: new SharpCanvas(canvas) };
    });
  }

  /** Called when a canvas must be drawn again. */
  set onResize(draw) {
    for (const { sharp } of this.#drawn) sharp.onResize = draw;
  }

  draw(series, now, tops, limits) {
    for (const [place, { chart, values, canvas, sharp }] of this.#drawn.entries()) {
      const last = series.points.at(-1);
      for (const [line, value] of values.entries()) value.textContent = chart.show(last?.[chart.lines[line].of]);
      canvas.setAttribute(
        "aria-label",
        `${chart.name}, now ${chart.lines.map(({ of, word = "" }) => `${word} ${chart.show(last?.[of])}`).join(", ")}`,
      );
      drawChart(sharp, chart, series, now, plainTop(tops[place]), chart.hasLimits ? limits : undefined);
    }
  }
}

function drawChart(sharp, { lines, show }, series, now, top, limits) {
  const { width, height } = sharp;
  const context = sharp.begin();
  const colours = theme();
  const bottom = height - 15;
  const ceiling = 12;
  const x = (at) => width - ((now - at) / series.spanMs) * width;
  const y = (amount) => bottom - (Math.min(amount, top) / top) * (bottom - ceiling);

  context.font = `11px ${colours.font}`;
  context.fillStyle = colours.muted;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.setLineDash([]);
  for (const amount of [0, top]) {
    context.beginPath();
    context.moveTo(0, Math.round(y(amount)) + 0.5);
    context.lineTo(width, Math.round(y(amount)) + 0.5);
    context.stroke();
  }
  context.textBaseline = "alphabetic";
  context.fillText(show(top), 0, ceiling - 3);
  context.fillText(`${series.spanMs / 1000} s ago`, 0, height - 2);
  context.textAlign = "right";
  context.fillText("now", width, height - 2);
  context.textAlign = "left";

  for (const { of, colour, isDashed, isFilled } of lines) {
    context.strokeStyle = context.fillStyle = colours[colour];
    context.setLineDash(isDashed ? [4, 3] : []);
    context.lineWidth = 1.6;
    // A piece without a value breaks the line.
    for (const run of runs(series.points, of)) {
      context.beginPath();
      for (const point of run) context.lineTo(x(point.at), y(point[of]));
      if (run.length === 1) context.lineTo(x(run[0].at) - 2, y(run[0][of]));
      context.stroke();
      if (!isFilled) continue;
      context.lineTo(x(run.at(-1).at), bottom);
      context.lineTo(x(run[0].at), bottom);
      context.globalAlpha = 0.14;
      context.fill();
      context.globalAlpha = 1;
    }
  }
  context.setLineDash([]);
  if (limits) {
    const marks = [
      [limits.kept, "kept"],
      [limits.max, "most"],
    ].filter(([amount]) => amount > 0 && amount <= top);
    for (const [amount, words] of limits.kept === limits.max ? marks.slice(1) : marks) {
      context.setLineDash([2, 3]);
      context.lineWidth = 1;
      context.strokeStyle = context.fillStyle = colours.muted;
      context.beginPath();
      context.moveTo(0, y(amount));
      context.lineTo(width, y(amount));
      context.stroke();
      // Has a ground of its own, so that the line behind it does not cross the text.
      context.setLineDash([]);
      context.lineWidth = 4;
      context.strokeStyle = colours.surface;
      context.textAlign = "right";
      context.strokeText(`${words} ${amount}`, width - 2, y(amount) - 3);
      context.fillText(`${words} ${amount}`, width - 2, y(amount) - 3);
      context.textAlign = "left";
    }
  }
}

function runs(points, of) {
  const found = [];
  let run = [];
  for (const point of points) {
    if (point[of] !== undefined) run.push(point);
    else if (run.length > 0) {
      found.push(run);
      run = [];
    }
  }
  if (run.length > 0) found.push(run);
  return found;
}
