// The page: holds the experiment, moves it frame by frame, and passes the visitor's acts to it. experiment.js runs it,
// screen.js shows it, controls.js has the inputs, address.js and link.js store it, real-tab.js is the other tab.

import { Address } from "./address.js";
import { Controls } from "./controls.js";
import { Experiment } from "./experiment.js";
import { isRepeatable, readLink, speeds, writeLink } from "./link.js";
import { Pace } from "./pace.js";
import { RealTab } from "./real-tab.js";
import { scenarios, storyOf, toCompare } from "./scenarios.js";
import { Screen } from "./screen.js";
import { comparisons, defaults } from "./settings.js";
import { makeSheet } from "./sheet.js";
import { Tabs } from "./tabs.js";

const byId = (id) => document.getElementById(id);
const addressEveryMs = 1000;

let experiment;
let speed = 1;
let isPaused = false;
/** Virtual milliseconds that are due and do not make a whole one yet. */
let owed = 0;
let isMoving = false;
/** The moment of a link to which the experiment is moving. */
let goal;
/** Counts experiments, so that an earlier one stops catching up. */
let turn = 0;
let lastAddress = 0;

const controls = new Controls(byId("controls"), (name, text) => act(name, text));
const pace = new Pace();
const screen = new Screen(
  { panes: byId("panes"), clock: byId("clock"), log: byId("log"), onlyNotable: byId("only-notable") },
  act,
);
makeSheet(byId("sheet"), byId("sheet-toggle"));
const real = new RealTab(document, () => address.write());
const tabs = new Tabs([byId("tab-simulation"), byId("tab-real")], () => {
  address.write();
  openTab();
});
// While the experiment moves to a goal, the address keeps that goal.
const address = new Address(
  () =>
    goal === undefined ? writeLink({ experiment, speed, isPaused, tab: tabs.shown, sql: real.sqlForLink }) : undefined,
  () => void restore(),
);

// ---------------------------------------------------------------- experiments

/** Begins an experiment. `at`: the moment to which it moves immediately, from a link. */
async function begin(wanted, at = 0) {
  const mine = ++turn;
  experiment = new Experiment(wanted);
  owed = 0;
  isMoving = false;
  byId("seed").value = String(experiment.seed);
  screen.begin(experiment);
  say("");
  showGoal(at > 0 ? at : undefined);
  showSettings();
  try {
    if (at > 0) await catchUp(mine);
  } catch (error) {
    stopAt(error);
  }
  if (mine !== turn) return;
  screen.drawChartsSoon();
  draw(performance.now());
  address.writeSoon();
}

/** Moves to the goal, while there is one. */
async function catchUp(mine) {
  isMoving = true;
  const isWanted = () => mine === turn && goal !== undefined;
  try {
    while (isWanted() && experiment.now < goal) {
      const sliceEnd = performance.now() + 30;
      await experiment.advance(goal, () => performance.now() < sliceEnd);
      if (mine === turn) screen.showClock(isPaused);
      await new Promise((resolve) => setTimeout(resolve));
    }
  } finally {
    if (mine === turn) {
      isMoving = false;
      showGoal(undefined);
      say("");
    }
  }
}

/** Blocks the visitor's acts on the way to a goal: the visitor did not choose the moment. */
function showGoal(wanted) {
  goal = wanted;
  const isOnTheWay = goal !== undefined;
  for (const id of ["panes", "deeds", "controls"]) byId(id).inert = isOnTheWay;
  if (isOnTheWay) say(`going to ${(goal / 1000).toFixed(1)} s …`);
  showTransport();
}

/** Shows a message in the bar. Only for changes, because a screen reader reads each of them. */
function say(text, pace = "") {
  write(byId("lag"), text);
  write(byId("pace"), pace);
}

/** Stops an experiment whose state is unknown after an error, and shows the error. */
function stopAt(error) {
  isMoving = false;
  isPaused = true;
  showTransport();
  say(`The experiment has failed: ${error.message}. Start over.`);
}

async function act(action, value) {
  try {
    experiment.perform(action, value);
    // The picture follows immediately, also while time is paused.
    await experiment.advance(experiment.now, () => true);
  } catch (error) {
    stopAt(error);
  }
  draw(performance.now());
  address.writeSoon();
}

let shownChanges;

function showSettings() {
  shownChanges = experiment.changes;
  controls.show(experiment.current, experiment.compare);
  const { scenario, says } = storyOf(experiment);
  write(byId("says"), says);
  for (const button of byId("scenarios").children)
    button.setAttribute("aria-pressed", String(button.textContent === scenario));
  for (const button of byId("comparisons").children)
    button.setAttribute("aria-pressed", String(button.dataset.compare === experiment.compare));
}

// ---------------------------------------------------------------- frames

let lastFrame = performance.now();
let lastDraw = 0;
/** Visitors that prefer reduced motion see a new picture only every half second. */
const wantsStillness = matchMedia("(prefers-reduced-motion: reduce)");
const stillForMs = 500;

function frame(realNow) {
  requestAnimationFrame(frame);
  const elapsed = Math.min(100, realNow - lastFrame);
  lastFrame = realNow;
  if (tabs.shown !== "simulation" || isMoving) return;
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
  const { budgetMs } = pace;
  experiment
    .advance(end, () => performance.now() - start < budgetMs)
    .then(() => {
      isMoving = false;
      showPace(pace.noteMove(experiment.now - before, end - before, realNow));
      finish(realNow, start);
    })
    .catch(stopAt);
}

/** Shows a message if the machine is slower than the chosen speed. */
function showPace(times) {
  if (times === undefined) return;
  if (times === 0) say("");
  else say("as fast as it can", `${times < 10 ? times.toFixed(1) : Math.round(times)}×`);
}

function finish(realNow, start) {
  if (!wantsStillness.matches || realNow - lastDraw > stillForMs) {
    lastDraw = realNow;
    const drawStart = performance.now();
    draw(realNow);
    pace.noteDraw(performance.now() - drawStart);
  }
  if (realNow - lastAddress > addressEveryMs && !isPaused) {
    lastAddress = realNow;
    address.writeSoon();
  }
  if (globalThis.demo.measuresFrames) {
    // Layout would come after this task; this call makes it part of the measurement.
    document.body.getBoundingClientRect();
    performance.measure("frame", { start, end: performance.now() });
  }
}

function draw(realNow) {
  if (experiment.changes !== shownChanges) showSettings();
  screen.draw(realNow, speed, isPaused);
}

// ---------------------------------------------------------------- the address

async function restore() {
  const state = readLink(address.read());
  speed = state.speed;
  isPaused = state.isPaused;
  real.sql = state.sql;
  tabs.show(state.tab);
  openTab();
  try {
    return await begin(state, state.at);
  } catch {
    // No pool accepts these settings.
    return begin(readLink(""));
  }
}

function openTab() {
  if (tabs.shown === "real") void real.open();
}

byId("copy-link").addEventListener("click", async () => {
  address.write();
  const button = byId("copy-link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
  write(
    byId("link-says"),
    isRepeatable(experiment) ? "" : "The link has your settings and begins at 0: your changes are too many for a link.",
  );
  setTimeout(() => (button.textContent = "Copy link"), 2000);
});

// ---------------------------------------------------------------- what the visitor can do

/** Starts another experiment; the browser's Back leads to the current one. */
function start(wanted) {
  address.write();
  isPaused = false;
  void begin(wanted);
  address.write(true);
}

for (const { name, set, script } of scenarios) {
  const button = Object.assign(document.createElement("button"), {
    type: "button",
    textContent: name,
    title: "Begins with its own settings; the browser's Back restores yours",
  });
  button.addEventListener("click", () =>
    start({ initial: { ...defaults, ...set }, compare: "one", script, seed: experiment.seed }),
  );
  byId("scenarios").append(button);
}

for (const [compare, { label }] of Object.entries(comparisons)) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
  button.dataset.compare = compare;
  button.addEventListener("click", () => start(toCompare(compare, experiment)));
  byId("comparisons").append(button);
}

function showTransport() {
  byId("pause").textContent = goal !== undefined ? "Stop" : isPaused ? "Resume" : "Pause";
  byId("speed").value = String(speeds.indexOf(speed));
  byId("speed").setAttribute("aria-valuetext", `${speed} times`);
  write(byId("speed-shown"), `${speed}×`);
}

byId("pause").addEventListener("click", () => {
  // Stopping on the way to a goal keeps the current moment.
  isPaused = goal !== undefined || !isPaused;
  showGoal(undefined);
  say("");
  address.write();
});

byId("step").addEventListener("click", async () => {
  isPaused = true;
  showGoal(undefined);
  if (isMoving) return;
  isMoving = true;
  try {
    say((await experiment.step()) ? "" : "nothing more will happen by itself");
    isMoving = false;
  } catch (error) {
    stopAt(error);
  }
  draw(performance.now());
  address.write();
});

byId("again").addEventListener("click", () => start(experiment.restarted));

byId("seed").addEventListener("change", () => {
  if (byId("seed").reportValidity()) start({ ...experiment.restarted, seed: byId("seed").valueAsNumber });
});

byId("speed").addEventListener("input", () => {
  speed = speeds[byId("speed").value];
  screen.drawChartsSoon();
  showTransport();
});
byId("speed").addEventListener("change", () => address.writeSoon());

for (const button of document.querySelectorAll("[data-deed]")) {
  const { deed } = button.dataset;
  button.addEventListener("click", () => {
    if (deed !== "kill") {
      void act(deed, "");
      return;
    }
    // Prefers a connection in use, because its loss affects a caller.
    const alive = (pane) => [...pane.database.connections].filter(({ isAlive }) => isAlive);
    for (const pane of experiment.panes) {
      const connection = alive(pane).find((one) => pane.stateOf(one) === "used") ?? alive(pane)[0];
      if (connection) void act("kill", `${pane.name}${connection.id}`);
    }
  });
}

/** Changes a text only if it differs. */
function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** For the console and for tests. */
globalThis.demo = {
  measuresFrames: false,
  get experiment() {
    return experiment;
  },
  get isOnTheWay() {
    return goal !== undefined;
  },
};

await restore();
requestAnimationFrame(frame);
