// The picture of one pane: waiters, cells, callers that left, lines over time, and the texts and numbers beside them.
// Shows the state of watched-pool.js and decides nothing. main.js makes one for each pane and calls draw() at every
// frame. Only changes reach the document.

import { Cells, stateWords, wordyCells } from "./cells.js";
import { Charts } from "./charts.js";
import { LeavingPicture, QueuePicture } from "./queue-picture.js";

/** States that the legend has only if there are any. */
const rare = new Set(["checking", "dead", "forgotten"]);

const endings = { served: "served", timedOut: "timed out", failed: "failed", refused: "refused" };

const orders = { true: "lends the latest returned first (LIFO)", false: "lends the longest idle first (FIFO)" };
const mottos = {
  QueuePool: ({ useLifo }) => orders[useLifo],
  NullPool: () => "opens for every caller, closes at every return",
  SingletonThreadPool: () => "one connection for each thread; a page has one thread",
  StaticPool: () => "one connection, shared by all callers",
  AssertionPool: () => "one caller at a time; a second one is an error",
};

/** Up to this number of cells, each is large. */
const largeCells = 16;
const endlessStep = 10;
const mostCells = 300;

export class PanePicture {
  element;
  #pane;
  #select;
  #parts = {};
  #cells;
  #legend;
  #queue;
  #leaving;
  #charts = new Charts();
  #selected;
  /** Cells of a pool without a limit. */
  #endless = endlessStep;

  /** `act` performs a visitor's act on one connection. */
  constructor(pane, hasTwo, act) {
    this.#pane = pane;
    this.#select = act;
    const part = (name, tag, className, ...children) => (this.#parts[name] = element(tag, className, ...children));
    this.element = element(
      "section",
      "pane",
      element(
        "header",
        "pane-head",
        hasTwo ? element("span", "pane-name", pane.name) : "",
        part("kind", "h2", ""),
        part("motto", "p", "motto"),
        part("down", "p", "down", "the server is down"),
      ),
      element(
        "div",
        "frame",
        element(
          "div",
          "flow",
          element(
            "section",
            "waiting",
            heading("Waiting", part("waiting", "b", "")),
            part("queueHint", "p", "hint"),
            part("queue", "canvas", ""),
          ),
          element(
            "section",
            "slots",
            heading("Connections", part("total", "b", ""), part("fromBefore", "small", "")),
            part("keptName", "p", "hint"),
            part("kept", "div", "cells"),
            part(
              "overflowArea",
              "div",
              "overflow",
              part("overflowName", "p", "hint"),
              part("overflow", "div", "cells"),
            ),
            part("beforeArea", "div", "before", part("beforeName", "p", "hint"), part("before", "div", "cells")),
            part("unseen", "p", "hint"),
            part("legend", "ul", "legend"),
          ),
          element(
            "section",
            "leaving",
            heading("Leaving"),
            part("endings", "ul", "endings"),
            part("last", "canvas", ""),
          ),
        ),
      ),
      part("details", "p", "details"),
      element("div", "frame", this.#charts.element),
    );
    this.element.setAttribute("aria-label", hasTwo ? `Pane ${pane.name}` : "The pool");
    this.#parts.queue.setAttribute("role", "img");
    this.#parts.last.setAttribute("aria-hidden", "true");
    this.#queue = new QueuePicture(this.#parts.queue);
    this.#leaving = new LeavingPicture(this.#parts.last);
    this.#cells = new Cells(pane, this.#parts, (connection) => {
      this.#selected = this.#selected === connection ? undefined : connection;
      this.#tellDetails();
    });
    this.#legend = Object.entries(stateWords).map(([state, word]) => {
      const count = element("b", "");
      const item = element("li", "", keyCell(state), count, ` ${word}`);
      this.#parts.legend.append(item);
      return { state, count, item };
    });
    for (const [ending, word] of Object.entries(endings))
      this.#parts.endings.append(element("li", ending, icon(ending), part(ending, "b", ""), element("span", "", word)));
    this.#tellDetails();
  }

  draw(now) {
    const { pool, places, leftovers, settings, database, pending, left, lastToLeave } = this.#pane;
    const stats = pool.stats();
    const { kept, max } = this.#pane.limits;
    const { kind } = settings;
    const parts = this.#parts;
    write(parts.kind, kind);
    write(parts.motto, mottos[kind](settings));
    parts.down.hidden = !database.isDown;

    // A replaced connection still belongs to the pool, but does not count against its limit.
    const total = Math.min(stats.total, max);
    write(parts.total, `${total}${max === Infinity ? "" : ` of at most ${max}`}`);
    write(parts.fromBefore, leftovers.length > 0 ? `+ ${leftovers.length} earlier` : "");
    const wanted = Math.min(mostCells, max === Infinity ? this.#endlessCells(places.length) : max);
    const before = Math.min(mostCells, leftovers.length);
    this.#cells.arrange(wanted, Math.min(wanted, kept), before);
    this.element.classList.toggle("is-large", wanted + before <= largeCells);
    this.element.classList.toggle("is-dense", wanted + before > wordyCells);
    write(
      parts.keptName,
      kind === "QueuePool"
        ? kept === Infinity
          ? "opened as needed, no limit"
          : "kept open; # is the lease holder"
        : mottos[kind](settings),
    );
    const beyond = Math.max(0, total - kept);
    write(
      parts.overflowName,
      max === Infinity
        ? `overflow: ${beyond}, no limit, closed when enough are idle`
        : `overflow: ${beyond} of ${max - kept}, opened under load, closed when enough are idle`,
    );
    parts.overflowArea.hidden = wanted <= kept;
    write(parts.beforeName, `earlier: ${leftovers.length}, closed when returned`);
    parts.beforeArea.hidden = leftovers.length === 0;
    const seen = Math.min(wanted, places.length) + before;
    const all = places.length + leftovers.length;
    write(parts.unseen, `${seen} of ${all} are shown`);
    parts.unseen.hidden = seen === all;

    const counts = this.#cells.draw(now, this.#selected);
    for (const { state, count, item } of this.#legend) {
      write(count, counts[state] ?? 0);
      item.hidden = rare.has(state) && counts[state] === undefined;
    }

    const waiting = stats.waiting;
    write(parts.waiting, waiting);
    const { patienceMs } = this.#pane;
    write(parts.queueHint, patienceMs === Infinity ? "first come, first served" : "bars show the remaining patience");
    parts.queue.setAttribute("aria-label", `${waiting} callers wait`);
    this.#queue.draw(
      this.#pane.queue(),
      waiting,
      patienceMs,
      now,
      pending.size > 0 ? "the line is empty" : "no callers wait",
    );

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

  /** Changes in steps, and shrinks slowly, so that the page does not move. */
  #endlessCells(taken) {
    if (taken > this.#endless || taken < this.#endless - 1.5 * endlessStep)
      this.#endless = Math.max(1, Math.ceil(taken / endlessStep)) * endlessStep;
    return this.#endless;
  }

  /** Shows a line about the picked connection, with the acts that it allows. */
  #tellDetails() {
    const { details } = this.#parts;
    const connection = this.#selected;
    if (connection === undefined) {
      this.#say("Pick a connection to see its state, or to break it.", []);
      return;
    }
    const state = connection.doing === "gone" ? "gone" : this.#pane.stateOf(connection);
    const caller = this.#pane.holdersOf(connection).values().next().value;
    const does =
      state === "gone"
        ? "is closed"
        : state === "used"
          ? `is in use by caller ${caller.id}, query ${caller.step} of ${caller.queries.length}`
          : state === "forgotten"
            ? `was never returned by caller ${caller.id}`
            : `is ${stateWords[state]}`;
    const deeds = [];
    if (state !== "gone" && connection.isAlive) deeds.push(["Kill it", "kill"]);
    if (state === "forgotten") deeds.push(["Return it", "giveBack"]);
    const broken = connection.isAlive || state === "gone" ? "" : ", broken";
    const transaction = connection.inTransaction ? ", in a transaction" : "";
    this.#say(`Connection ${connection.id} ${does}${broken}${transaction}.`, deeds);
    details.dataset.connection = `${this.#pane.name}${connection.id}`;
  }

  #say(text, deeds) {
    const { details } = this.#parts;
    const signature = `${text} ${deeds.map(([, deed]) => deed).join(" ")}`;
    if (details.dataset.said === signature) return;
    details.dataset.said = signature;
    const kept = deeds.map(
      ([label, deed]) =>
        [...details.querySelectorAll("button")].find((button) => button.dataset.deed === deed) ??
        this.#deedButton(label, deed),
    );
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
    button.addEventListener("click", () => this.#select(deed, `${this.#pane.name}${this.#selected.id}`));
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

/** Changes a text only if it differs. */
function write(target, text) {
  const wanted = String(text);
  if (target.textContent !== wanted) target.textContent = wanted;
}
