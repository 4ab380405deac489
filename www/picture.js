// The picture of one pane: who waits, a cell for each connection and each empty place, who left, and the lines over time.
// It shows what watched-pool.js knows and decides nothing. main.js makes one for each pane and calls draw() at every frame;
// only what has changed reaches the document.

import { Charts } from "./charts.js";
import { LeavingPicture, QueuePicture } from "./queue-picture.js";

/** What a cell can show, with its word; the order is that of the legend. */
const words = {
  used: "in use",
  idle: "idle",
  opening: "opening",
  resetting: "resetting",
  checking: "checking",
  closing: "closing",
  dead: "broken",
  forgotten: "leaked",
  empty: "empty",
};
/** In the legend only when there are any. */
const rare = new Set(["checking", "dead", "forgotten"]);

const endings = { served: "served", timedOut: "timed out", failed: "failed", refused: "turned away" };

const orders = { true: "the latest back is lent first (LIFO)", false: "the longest idle is lent first (FIFO)" };
const mottos = {
  QueuePool: ({ useLifo }) => orders[useLifo],
  NullPool: () => "opens for every caller, closes at every return",
  SingletonThreadPool: () => "one connection for each thread, and a page has one",
  StaticPool: () => "one connection, shared by everybody",
  AssertionPool: () => "one caller at a time, a second one is an error",
};

/** Up to so many places a cell is large; past so many it has room for its sign only. */
const largeCells = 16;
const wordyCells = 40;
const endlessStep = 10;
const mostCells = 300;

export class PanePicture {
  element;
  #pane;
  #select;
  #parts = {};
  #cells = [];
  #legend;
  #queue;
  #leaving;
  #charts = new Charts();
  #selected;
  /** Cells of a pool without a limit. */
  #endless = endlessStep;

  /** `act` does what a visitor asks of one connection. */
  constructor(pane, hasTwo, act) {
    this.#pane = pane;
    this.#select = act;
    const part = (name, tag, className, ...children) => (this.#parts[name] = element(tag, className, ...children));
    this.element = element("section", "pane",
      element("header", "pane-head", hasTwo ? element("span", "pane-name", pane.name) : "", part("kind", "h2", ""), part("motto", "p", "motto"), part("down", "p", "down", "the server is down")),
      element("div", "frame", element("div", "flow",
        element("section", "waiting", heading("Waiting", part("waiting", "b", "")), part("queueHint", "p", "hint"), part("queue", "canvas", "")),
        element("section", "slots",
          heading("Connections", part("total", "b", "")),
          part("keptName", "p", "hint"), part("kept", "div", "cells"),
          part("overflowArea", "div", "overflow", part("overflowName", "p", "hint"), part("overflow", "div", "cells")),
          part("legend", "ul", "legend"),
        ),
        element("section", "leaving", heading("Leaving"), part("endings", "ul", "endings"), part("last", "canvas", "")),
      )),
      part("details", "p", "details"),
      element("div", "frame", this.#charts.element),
    );
    this.element.setAttribute("aria-label", hasTwo ? `Pane ${pane.name}` : "The pool");
    this.#parts.queue.setAttribute("role", "img");
    this.#parts.last.setAttribute("aria-hidden", "true");
    this.#queue = new QueuePicture(this.#parts.queue);
    this.#leaving = new LeavingPicture(this.#parts.last);
    this.#legend = Object.entries(words).map(([state, word]) => {
      const count = element("b", "");
      const item = element("li", "", keyCell(state), count, ` ${word}`);
      this.#parts.legend.append(item);
      return { state, count, item };
    });
    for (const [ending, word] of Object.entries(endings)) this.#parts.endings.append(element("li", ending, icon(ending), part(ending, "b", ""), element("span", "", word)));
    this.#tellDetails();
  }

  draw(now) {
    const { pool, places, settings, database, pending, left, lastToLeave } = this.#pane;
    const stats = pool.stats();
    const { kept, max } = this.#pane.limits;
    const { kind } = settings;
    const parts = this.#parts;
    write(parts.kind, kind);
    write(parts.motto, mottos[kind](settings));
    parts.down.hidden = !database.isDown;

    write(parts.total, `${stats.total}${max === Infinity ? "" : ` of at most ${max}`}`);
    const wanted = Math.min(mostCells, max === Infinity ? this.#endlessCells(places.length) : Math.max(max, places.length));
    const keptCells = Math.min(wanted, kept);
    this.#arrangeCells(wanted, keptCells);
    const isQueue = kind === "QueuePool" && kept !== max;
    write(parts.keptName, kind === "QueuePool" ? (kept === Infinity ? "opened as needed, no limit" : "kept open; # is the caller who has it") : mottos[kind](settings));
    const beyond = Math.max(0, stats.total - kept);
    write(parts.overflowName, kept === max ? "of the pool before, closed when given back" : max === Infinity ? `overflow: ${beyond}, no limit, closed again when enough are idle` : `overflow: ${beyond} of ${max - kept}, opened under load, closed again when enough are idle`);
    parts.overflowArea.hidden = !isQueue && keptCells === wanted;

    const counts = {};
    for (let place = 0; place < this.#cells.length; place++) {
      const state = this.#drawCell(this.#cells[place], places[place], now);
      counts[state] = (counts[state] ?? 0) + 1;
    }
    for (const { state, count, item } of this.#legend) {
      write(count, counts[state] ?? 0);
      item.hidden = rare.has(state) && counts[state] === undefined;
    }

    const waiting = stats.waiting;
    write(parts.waiting, waiting);
    const patienceMs = kind === "QueuePool" ? (settings.timeout ?? Infinity) : Infinity;
    write(parts.queueHint, patienceMs === Infinity ? "first come, first served" : "bars show the patience that is left");
    parts.queue.setAttribute("aria-label", `${waiting} callers wait`);
    this.#queue.draw(this.#pane.queue(), waiting, patienceMs, now, pending.size > 0 ? "nobody waits in line" : "nobody waits");

    for (const ending of Object.keys(endings)) write(parts[ending], left[ending]);
    this.#leaving.draw(lastToLeave);
    this.#tellDetails();
  }

  drawCharts(series, now, tops) {
    this.#charts.draw(series, now, tops, this.#pane.limits);
  }

  set onResize(draw) {
    this.#charts.onResize = draw;
  }

  /** In steps, and slow to shrink, so that the page stands still. */
  #endlessCells(taken) {
    if (taken > this.#endless || taken < this.#endless - 1.5 * endlessStep) this.#endless = Math.max(1, Math.ceil(taken / endlessStep)) * endlessStep;
    return this.#endless;
  }

  #arrangeCells(wanted, kept) {
    const { kept: keptArea, overflow } = this.#parts;
    if (this.#cells.length === wanted && keptArea.childElementCount === kept) return;
    while (this.#cells.length > wanted) this.#cells.pop().button.remove();
    while (this.#cells.length < wanted) this.#cells.push(this.#makeCell(this.#cells.length));
    for (const [place, { button }] of this.#cells.entries()) {
      const area = place < kept ? keptArea : overflow;
      if (button.parentElement !== area) area.append(button);
    }
    this.element.classList.toggle("is-large", wanted <= largeCells);
    this.element.classList.toggle("is-dense", wanted > wordyCells);
  }

  #makeCell(place) {
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("aria-hidden", "true");
    svg.append(use);
    const who = element("span", "who");
    const word = element("span", "word");
    const bar = element("i", "bar");
    const button = element("button", "cell", svg, who, word, bar);
    button.type = "button";
    button.addEventListener("click", () => {
      this.#selected = this.#selected?.place === place && this.#selected.connection === this.#pane.places[place] ? undefined : { place, connection: this.#pane.places[place] };
      this.#tellDetails();
    });
    return { button, use, who, word, bar, state: undefined, connection: undefined, caller: undefined, done: 0, isSelected: false };
  }

  /** Answers the state that it shows. */
  #drawCell(cell, connection, now) {
    const state = connection === undefined ? "empty" : this.#pane.stateOf(connection);
    const holders = connection === undefined ? undefined : this.#pane.holdersOf(connection);
    const first = holders?.values().next().value ?? (state === "opening" || state === "checking" ? this.#pane.servedBy(connection) : undefined);
    const caller = first === undefined ? "" : holders.size > 1 ? `${holders.size} callers` : `#${first.id}`;
    if (cell.state !== state || cell.connection !== connection || cell.caller !== caller) {
      if (cell.state !== state) {
        cell.button.dataset.state = state;
        cell.use.setAttribute("href", `#icon-${state}`);
      }
      write(cell.word, words[state]);
      write(cell.who, caller);
      cell.button.setAttribute("aria-label", connection === undefined ? "Empty place" : `Connection ${connection.id}: ${words[state]}${caller === "" ? "" : `, ${caller}`}`);
      Object.assign(cell, { state, connection, caller });
    }
    const isBusy = connection !== undefined && connection.until > connection.since && (state === "used" || state === "opening" || state === "resetting" || state === "checking" || state === "closing");
    const done = isBusy ? Math.min(1, (now - connection.since) / (connection.until - connection.since)) : 0;
    // What nobody could see costs nothing: a step is about a pixel of the cell.
    if (Math.abs(done - cell.done) > (this.#cells.length > wordyCells ? 0.04 : 0.01) || (done === 1 && cell.done !== 1)) {
      cell.bar.style.transform = `scaleX(${done.toFixed(3)})`;
      cell.done = done;
    }
    const isSelected = connection !== undefined && this.#selected?.connection === connection;
    if (isSelected !== cell.isSelected) cell.button.classList.toggle("is-selected", (cell.isSelected = isSelected));
    return state;
  }

  /** A line about the connection that the visitor picked, with what can be done to it. */
  #tellDetails() {
    const { details } = this.#parts;
    const connection = this.#selected?.connection;
    if (connection === undefined) {
      this.#say("Pick a connection to see what it does, or to break it.", []);
      return;
    }
    const state = connection.doing === "gone" ? "gone" : this.#pane.stateOf(connection);
    const caller = this.#pane.holdersOf(connection).values().next().value;
    const does = state === "gone" ? "is closed" : state === "used" ? `is with caller ${caller.id}, query ${caller.step} of ${caller.queries.length}` : state === "forgotten" ? `was never given back by caller ${caller.id}` : `is ${words[state]}`;
    const deeds = [];
    if (state !== "gone" && connection.isAlive) deeds.push(["Kill it", "kill"]);
    if (state === "forgotten") deeds.push(["Give it back", "giveBack"]);
    this.#say(`Connection ${connection.id} ${does}${connection.isAlive || state === "gone" ? "" : ", broken"}${connection.inTransaction ? ", in a transaction" : ""}.`, deeds);
    details.dataset.connection = `${this.#pane.name}${connection.id}`;
  }

  #say(text, deeds) {
    const { details } = this.#parts;
    const signature = `${text} ${deeds.map(([, deed]) => deed).join(" ")}`;
    if (details.dataset.said === signature) return;
    details.dataset.said = signature;
    const kept = deeds.map(([label, deed]) => [...details.querySelectorAll("button")].find((button) => button.dataset.deed === deed) ?? this.#deedButton(label, deed));
    // A button that has the focus stays in the document.
    let words = details.querySelector("span");
    if (words === null) details.append((words = element("span", "")));
    words.textContent = text;
    for (const button of details.querySelectorAll("button")) if (!kept.includes(button)) button.remove();
    for (const button of kept) if (!button.isConnected) details.append(button);
  }

  #deedButton(label, deed) {
    const button = element("button", "", label);
    button.type = "button";
    button.dataset.deed = deed;
    button.addEventListener("click", () => this.#select(deed, `${this.#pane.name}${this.#selected.connection.id}`));
    return button;
  }
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  made.append(...children);
  return made;
}

const heading = (text, ...children) => element("h3", "", `${text} `, ...children);

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function keyCell(state) {
  const cell = element("span", "key", icon(state));
  cell.dataset.state = state;
  return cell;
}

/** Changes a text only where it differs. */
function write(target, text) {
  const wanted = String(text);
  if (target.textContent !== wanted) target.textContent = wanted;
}
