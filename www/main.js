// The page: holds the experiment, moves it frame by frame, hands what the visitor does to it, and keeps the address true.
// Everything else is in the file that its name says: experiment.js runs, picture.js and event-log.js show, controls.js
// asks, link.js remembers, real-tab.js is the other tab.

import { chartTops } from "./charts.js";
import { Controls } from "./controls.js";
import { EventLog } from "./event-log.js";
import { Experiment } from "./experiment.js";
import { readLink, speeds, writeLink } from "./link.js";
import { PanePicture } from "./picture.js";
import { RealTab } from "./real-tab.js";
import { comparisonStarts, scenarios } from "./scenarios.js";
import { comparisons, defaults } from "./settings.js";
import { onThemeChange } from "./theme.js";

const byId = (id) => document.getElementById(id);
/** What the simulation may cost of a frame; where that is too little, virtual time goes as fast as it can. */
const budgetMs = 5;
const addressEveryMs = 1000;
const logEveryMs = 200;

let experiment;
let pictures = [];
let speed = 1;
let isPaused = false;
let tab = "simulation";
/** Virtual milliseconds that are due and not a whole one yet. */
let owed = 0;
let isMoving = false;
/** Counts experiments, so that one that is still catching up knows that it is over. */
let turn = 0;
let writtenHash;
let chartsAreDue = true;
let lastLog = 0;
let lastAddress = 0;

const controls = new Controls(byId("controls"), (name, text) => act(name, text));
const log = new EventLog(byId("log"), byId("only-notable"));
const real = new RealTab(document, () => writeAddress());

// ---------------------------------------------------------------- experiments

/** Begins anew. `at`: the moment to go to at once, as a link says. */
async function begin(wanted, at = 0) {
  const mine = ++turn;
  experiment = new Experiment(wanted);
  owed = 0;
  isMoving = false;
  byId("seed").value = String(experiment.seed);
  const panes = byId("panes");
  pictures = experiment.panes.map((pane) => new PanePicture(pane, experiment.panes.length > 1, act));
  panes.replaceChildren(...pictures.map(({ element }) => element));
  panes.classList.toggle("has-two", pictures.length > 1);
  for (const picture of pictures) picture.onResize = () => (chartsAreDue = true);
  const { name, says } = saysOf(experiment);
  byId("says").textContent = says;
  for (const button of byId("scenarios").children) button.setAttribute("aria-pressed", String(button.textContent === name));
  showSettings();
  try {
    if (at > 0) await catchUp(at, () => mine === turn);
  } catch (error) {
    stopAt(error);
  }
  if (mine !== turn) return;
  chartsAreDue = true;
  draw(performance.now());
}

async function catchUp(at, isWanted) {
  isMoving = true;
  try {
    while (isWanted() && experiment.now < at) {
      const stopAt = performance.now() + 30;
      await experiment.advance(at, () => performance.now() < stopAt);
      byId("lag").textContent = `going to ${(at / 1000).toFixed(1)} s …`;
      byId("clock").textContent = clockText(experiment.now);
      await new Promise((resolve) => setTimeout(resolve));
    }
  } finally {
    if (isWanted()) {
      isMoving = false;
      byId("lag").textContent = "";
    }
  }
}

/** Nothing is known of the experiment any more; the page stays, and says why. */
function stopAt(error) {
  isMoving = false;
  isPaused = true;
  showTransport();
  byId("lag").textContent = `It cannot go on: ${error.message}. Start over.`;
}

async function act(action, value) {
  try {
    experiment.perform(action, value);
    // The picture follows at once, also while time stands still.
    await experiment.advance(experiment.now, () => true);
  } catch (error) {
    stopAt(error);
  }
  draw(performance.now());
  writeAddress();
}

function showSettings() {
  controls.show(experiment.current, experiment.compare);
  for (const button of byId("comparisons").children) button.setAttribute("aria-pressed", String(button.dataset.compare === experiment.compare));
  showTransport();
}

// ---------------------------------------------------------------- frames

let lastFrame = performance.now();
let lastDraw = 0;
/** Who does not want motion sees a picture, and soon the next one. */
const wantsStillness = matchMedia("(prefers-reduced-motion: reduce)");
const stillForMs = 500;

function frame(realNow) {
  requestAnimationFrame(frame);
  const elapsed = Math.min(100, realNow - lastFrame);
  lastFrame = realNow;
  if (tab !== "simulation" || isMoving) return;
  const start = performance.now();
  if (isPaused) {
    finish(realNow, start);
    return;
  }
  owed += elapsed * speed;
  const end = experiment.now + Math.floor(owed);
  owed -= Math.floor(owed);
  isMoving = true;
  const before = experiment.now;
  experiment.advance(end, () => performance.now() - start < budgetMs).then(() => {
    isMoving = false;
    noteSpeed(experiment.now - before, end - before, realNow);
    finish(realNow, start);
  }).catch(stopAt);
}

const pace = { since: 0, reached: 0, wanted: 0 };

/** Once a second: says so where the machine is slower than the speed that was asked for. */
function noteSpeed(reached, wanted, realNow) {
  pace.reached += reached;
  pace.wanted += wanted;
  if (realNow - pace.since < 1000) return;
  const times = pace.reached / (realNow - pace.since);
  byId("lag").textContent = pace.reached < 0.8 * pace.wanted ? `as fast as it can: ${times < 10 ? times.toFixed(1) : Math.round(times)}×` : "";
  Object.assign(pace, { since: realNow, reached: 0, wanted: 0 });
}

function finish(realNow, start) {
  if (!wantsStillness.matches || realNow - lastDraw > stillForMs) {
    lastDraw = realNow;
    draw(realNow);
  }
  if (realNow - lastAddress > addressEveryMs && !isPaused) writeAddress();
  if (globalThis.demo.measuresFrames) {
    // Layout would come after this task; asked for here, it is part of what is measured.
    document.body.getBoundingClientRect();
    performance.measure("frame", { start, end: performance.now() });
  }
}

let drawnPoints = -1;
let shownChanges = 0;

function draw(realNow) {
  if (experiment.changes !== shownChanges) {
    shownChanges = experiment.changes;
    controls.show(experiment.current, experiment.compare);
  }
  byId("clock").textContent = clockText(experiment.now);
  for (const picture of pictures) picture.draw(experiment.now);
  const place = speed > 5 ? 1 : 0;
  const points = experiment.panes[0].series[place].points;
  const latest = points.at(-1)?.at ?? 0;
  if (chartsAreDue || latest !== drawnPoints) {
    drawnPoints = latest;
    chartsAreDue = false;
    const tops = experiment.panes.map(({ series }) => chartTops(series[place].points)).reduce((one, other) => one.map((top, chart) => Math.max(top, other[chart])));
    for (const [pane, picture] of pictures.entries()) picture.drawCharts(experiment.panes[pane].series[place], latest, tops);
  }
  if (realNow - lastLog > logEveryMs || isPaused) {
    lastLog = realNow;
    log.draw(experiment);
  }
}

/** To the millisecond where time stands still: a step may be no longer. */
function clockText(ms) {
  const decimals = isPaused ? 3 : 2;
  return `${Math.floor(ms / 60_000)}:${((ms % 60_000) / 1000).toFixed(decimals).padStart(decimals + 3, "0")}`;
}

// ---------------------------------------------------------------- the address

function writeAddress() {
  lastAddress = performance.now();
  const hash = writeLink({ experiment, speed, isPaused, tab, sql: real.sqlForLink });
  if (hash === writtenHash) return;
  writtenHash = hash;
  history.replaceState(null, "", hash === "" ? location.pathname + location.search : `#${hash}`);
}

async function restore() {
  const state = readLink(location.hash);
  writtenHash = location.hash.slice(1);
  speed = state.speed;
  isPaused = state.isPaused;
  real.sql = state.sql;
  showTab(state.tab);
  try {
    return await begin(state, state.at);
  } catch {
    // No pool can be made of these settings.
    return begin(readLink(""));
  }
}

addEventListener("hashchange", () => {
  if (location.hash.slice(1) !== writtenHash) void restore();
});
addEventListener("pagehide", () => writeAddress());

byId("copy-link").addEventListener("click", async () => {
  writeAddress();
  const button = byId("copy-link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
  setTimeout(() => (button.textContent = "Copy link"), 2000);
});

// ---------------------------------------------------------------- what the visitor can do

/** What the scenario of this experiment says, where it is one of them. */
function saysOf({ compare, initial, script }) {
  const isSame = (set) => Object.entries({ ...defaults, ...set }).every(([name, value]) => initial[name] === value);
  if (compare !== "one") return { name: undefined, says: comparisonStarts[compare].says };
  const hasScript = (entries) => entries.every((entry) => script.some(({ at, action, value }) => at === entry.at && action === entry.action && value === (entry.value ?? "")));
  return scenarios.toReversed().find(({ set, script: entries }) => isSame(set) && hasScript(entries)) ?? { name: undefined, says: "Your own settings." };
}

function start(initial, compare, script = [], seed = experiment.seed) {
  isPaused = false;
  byId("lag").textContent = "";
  void begin({ initial, compare, script, seed });
  writeAddress();
}

for (const { name, set, script } of scenarios) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
  button.addEventListener("click", () => {
    start({ ...defaults, ...set }, "one", script);
  });
  byId("scenarios").append(button);
}

for (const [compare, { label }] of Object.entries(comparisons)) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
  button.dataset.compare = compare;
  button.addEventListener("click", () => {
    start({ ...defaults, ...comparisonStarts[compare].set }, compare, comparisonStarts[compare].script);
  });
  byId("comparisons").append(button);
}

function showTransport() {
  byId("pause").textContent = isPaused ? "Go on" : "Pause";
  byId("speed").value = String(speeds.indexOf(speed));
  byId("speed").setAttribute("aria-valuetext", `${speed} times`);
  byId("speed-shown").textContent = `${speed}×`;
}

byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  showTransport();
  writeAddress();
});

byId("step").addEventListener("click", async () => {
  isPaused = true;
  showTransport();
  if (isMoving) return;
  isMoving = true;
  try {
    await experiment.step();
    isMoving = false;
  } catch (error) {
    stopAt(error);
  }
  draw(performance.now());
  writeAddress();
});

byId("again").addEventListener("click", () => start(experiment.current, experiment.compare));

byId("seed").addEventListener("change", () => {
  if (byId("seed").reportValidity()) start(experiment.current, experiment.compare, [], byId("seed").valueAsNumber);
});

byId("speed").addEventListener("input", () => {
  speed = speeds[byId("speed").value];
  chartsAreDue = true;
  showTransport();
});
byId("speed").addEventListener("change", () => writeAddress());

byId("only-notable").addEventListener("change", () => log.draw(experiment));

for (const button of document.querySelectorAll("[data-deed]")) {
  const { deed } = button.dataset;
  button.addEventListener("click", () => {
    if (deed !== "kill") {
      void act(deed, "");
      return;
    }
    // One in use, since that is what hurts.
    const alive = (pane) => [...pane.database.connections].filter(({ isAlive }) => isAlive);
    for (const pane of experiment.panes) {
      const connection = alive(pane).find((one) => pane.stateOf(one) === "used") ?? alive(pane)[0];
      if (connection) void act("kill", `${pane.name}${connection.id}`);
    }
  });
}

// ---------------------------------------------------------------- tabs

const tabs = [byId("tab-simulation"), byId("tab-real")];

function showTab(wanted) {
  tab = wanted;
  for (const button of tabs) {
    const isShown = button.id === `tab-${wanted}`;
    button.setAttribute("aria-selected", String(isShown));
    button.tabIndex = isShown ? 0 : -1;
    byId(button.getAttribute("aria-controls")).hidden = !isShown;
  }
  if (wanted === "real") void real.open();
}

for (const [place, button] of tabs.entries()) {
  button.addEventListener("click", () => {
    showTab(button.id.slice("tab-".length));
    writeAddress();
  });
  button.addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const other = tabs[1 - place];
    other.focus();
    other.click();
  });
}

// ----------------------------------------------------------------

onThemeChange(() => {
  chartsAreDue = true;
});

/** For the console and for tests. */
globalThis.demo = {
  measuresFrames: false,
  get experiment() {
    return experiment;
  },
};

await restore();
requestAnimationFrame(frame);
