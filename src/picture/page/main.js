// The page of edgepool/inspect: takes the pictures of the stream and draws them. The handler (src/shell/inspect) sends
// the page and the stream. Nothing of it comes from elsewhere, and all that is shown is text.

import { chartTops } from "../charts.js";
import { EventLog } from "../event-log.js";
import { PanePicture } from "../picture.js";
import { onThemeChange } from "../theme.js";
import { Holders } from "./holders.js";
import { Numbers } from "./numbers.js";
import { charts, RemotePane } from "./remote-pane.js";

const byId = (id) => document.getElementById(id);
const soonMs = 300;
const againMs = 3000;
/** The server sends something at least every two seconds. */
const silentMs = 10_000;
/** A reader that prefers reduced motion sees a new picture only so often. */
const stillMs = 1000;
const mostLines = 500;

const wantsStillness = matchMedia("(prefers-reduced-motion: reduce)");
const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

/** By the pool's number on the server. */
const shown = new Map();
const history = { lines: [], linesWritten: 0, panes: [] };
const log = new EventLog(byId("log"), byId("only-notable"), clock);
let now = 0;
let drawnAt = 0;
let frame = 0;
let heardAt = 0;
/** Streams that ended since the last picture. */
let failures = 0;

// ---------------------------------------------------------------- the stream

function connect() {
  const address = new URL(location.href);
  address.searchParams.set("events", "");
  address.hash = "";
  const stream = new EventSource(address);
  heardAt = performance.now();
  stream.addEventListener("message", ({ data }) => {
    heardAt = performance.now();
    failures = 0;
    say("live");
    take(JSON.parse(data));
  });
  stream.addEventListener("last", ({ data }) => {
    stream.close();
    clearInterval(watchdog);
    take(JSON.parse(data));
    say(history.panes.length > 1 ? "ended: the pools are closed" : "ended: the pool is closed");
  });
  const again = () => {
    stream.close();
    clearInterval(watchdog);
    // A stream ends now and then, to be authorised again.
    if (++failures > 1) say("no connection: this is the last picture");
    setTimeout(connect, failures > 1 ? againMs : soonMs);
  };
  stream.addEventListener("error", again);
  const watchdog = setInterval(() => performance.now() - heardAt > silentMs && again(), silentMs / 2);
}

/** Only changes, because a screen reader reads each of them. */
function say(text) {
  const link = byId("link");
  if (link.textContent === text) return;
  link.textContent = text;
  link.dataset.isLive = String(text === "live");
}

// ---------------------------------------------------------------- the pools

function take({ at, pools, lines, missed }) {
  now = at;
  for (const id of shown.keys()) if (!pools.some((pool) => pool.id === id)) shown.delete(id);
  for (const pool of pools) {
    if (!shown.has(pool.id)) shown.set(pool.id, makeView());
    shown.get(pool.id).pane.take(pool, at);
  }
  const views = pools.map(({ id }) => shown.get(id));
  for (const view of views) view.begin();
  const elements = views.map(({ element }) => element);
  const area = byId("panes");
  if (elements.length !== area.childElementCount || elements.some((one, place) => area.children[place] !== one))
    area.replaceChildren(...elements);
  history.panes = views;
  if (missed > 0) note({ at, pool: "", text: `${missed} events are left out`, isNotable: false });
  for (const line of lines) note(line);
  byId("log-area").hidden = false;
  drawSoon();
}

function makeView() {
  const pane = new RemotePane();
  const view = { pane, element: document.createElement("div"), numbers: new Numbers(), holders: new Holders() };
  view.begin = () => {
    if (view.picture !== undefined) return;
    view.picture = new PanePicture(pane, false, () => {});
    view.picture.onResize = drawSoon;
    view.picture.element.append(view.numbers.element, view.holders.element);
    view.element.append(view.picture.element);
  };
  return view;
}

function note({ at, pool, text, isNotable }) {
  history.lines.push({ at, pane: pool, text, isNotable });
  history.linesWritten++;
  if (history.lines.length > 2 * mostLines) history.lines.splice(0, mostLines);
}

// ---------------------------------------------------------------- drawing

function drawSoon() {
  if (frame !== 0) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    const wait = wantsStillness.matches ? drawnAt + stillMs - performance.now() : 0;
    if (wait > 0) setTimeout(drawSoon, wait);
    else draw();
  });
}

function draw() {
  drawnAt = performance.now();
  const views = history.panes;
  for (const { picture, pane, numbers, holders } of views) {
    picture.draw(now);
    numbers.draw(pane);
    holders.draw(pane);
    picture.drawCharts(pane.series, now, chartTops(charts, pane.series.points));
  }
  log.draw(history);
}

byId("only-notable").addEventListener("change", () => log.draw(history));
onThemeChange(drawSoon);
connect();
