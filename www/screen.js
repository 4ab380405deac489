// Shows an experiment: its panes, the lines over time, the clock and the log, each as often as it is useful. Decides
// nothing about the experiment. main.js begins it and calls draw() at every frame.

import { chartTops } from "../src/picture/charts.js";
import { EventLog } from "../src/picture/event-log.js";
import { PanePicture } from "../src/picture/picture.js";
import { onThemeChange } from "../src/picture/theme.js";
import { charts, Pane } from "./pane.js";

const logEveryMs = 200;
/** Above this speed the lines show a longer time. */
const nearSpeed = 5;

export class Screen {
  #panes;
  #clock;
  #log;
  #act;
  #experiment;
  #pictures = [];
  #chartsAreDue = true;
  #drawnPoints = -1;
  #loggedAt = 0;

  /** `act` performs a visitor's act on one connection. */
  constructor({ panes, clock, log, onlyNotable }, act) {
    this.#panes = panes;
    this.#clock = clock;
    this.#log = new EventLog(log, onlyNotable, (at) => `${(at / 1000).toFixed(3)} s`);
    this.#act = act;
    onlyNotable.addEventListener("change", () => this.#log.draw(this.#experiment));
    onThemeChange(() => this.drawChartsSoon());
  }

  begin(experiment) {
    this.#experiment = experiment;
    const panes = experiment.panes.map((pane) => new Pane(pane));
    this.#pictures = panes.map((pane) => new PanePicture(pane, panes.length > 1, this.#act));
    for (const picture of this.#pictures) picture.onResize = () => this.drawChartsSoon();
    this.#panes.replaceChildren(...this.#pictures.map(({ element }) => element));
    this.#panes.classList.toggle("has-two", this.#pictures.length > 1);
    this.drawChartsSoon();
  }

  /** Draws the lines at the next frame, not only with the next points. */
  drawChartsSoon() {
    this.#chartsAreDue = true;
  }

  draw(realNow, speed, isPaused) {
    const { now, panes } = this.#experiment;
    this.showClock(isPaused);
    for (const picture of this.#pictures) picture.draw(now);
    const series = panes.map((pane) => pane.series[speed > nearSpeed ? 1 : 0]);
    const latest = series[0].points.at(-1)?.at ?? 0;
    if (this.#chartsAreDue || latest !== this.#drawnPoints) {
      this.#drawnPoints = latest;
      this.#chartsAreDue = false;
      const tops = series
        .map(({ points }) => chartTops(charts, points))
        .reduce((one, other) => one.map((top, chart) => Math.max(top, other[chart])));
      for (const [pane, picture] of this.#pictures.entries()) picture.drawCharts(series[pane], latest, tops);
    }
    if (realNow - this.#loggedAt > logEveryMs || isPaused) {
      this.#loggedAt = realNow;
      this.#log.draw(this.#experiment);
    }
  }

  /** Shows milliseconds while time is paused, because a step may be that short. */
  showClock(isPaused) {
    const { now } = this.#experiment;
    const decimals = isPaused ? 3 : 2;
    const seconds = ((now % 60_000) / 1000).toFixed(decimals).padStart(decimals + 3, "0");
    this.#clock.textContent = `${Math.floor(now / 60_000)}:${seconds}`;
  }
}
